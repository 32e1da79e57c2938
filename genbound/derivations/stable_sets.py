r"""The worst gap along a trajectory, from how little the trajectory depends on one datum.

beta bounds by how much the loss of an iterate, wherever a rule may choose it in W, moves when one
datum is exchanged, J times that for J of them. Then no information of the trajectory is asked
for, which may be infinite: J data that were exchanged meet a trajectory that doesn't know them.
In the spirit of Tuci et al. 2025 (arXiv 2507.06775).
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import scale
from genbound.derivations.topology import (
    alpha,
    covered,
    lifetimes,
    lipschitz,
    mean_union_bound,
    mean_worst_gap,
)
from genbound.derivations.trade_off import n

stability = sp.Symbol(r"\beta_{n}", positive=True)
block = sp.Symbol("J", positive=True)

# A loss -theta z of signs z = +1 or -1, theta = c * mean: the gap is c / n and beta = c / n.
_expected_block = sp.Symbol(r"{\mathbb{E}\sup_{\mathcal{W}'}\mathcal{G}_{J}}", real=True)
_c = sp.Symbol("c", positive=True)

_blocked = covered(mean_union_bound, block, sp.S.Zero).named(_expected_block)

block_bound = (
    Derivation.of(mean_worst_gap, mean_worst_gap, by=r"mean over data and training")
    .granted(
        "<=",
        _expected_block + 2 * block * stability,
        cite="Tuci et al. 2025, arXiv 2507.06775",
        by=r"\(J\) of \(n\) data exchanged, twice: \(\mathcal{W}'\) does not know them",
        witness={mean_worst_gap: _c / n, _expected_block: 0, stability: _c / n, block: 1},
    )
    .at_most(
        _blocked.expr + 2 * block * stability,
        by=r"lifetime sum, for \(J\) data",
        using=[_blocked],
    )
)
"""On the mean, for any J that divides n: what a stable training pays for its worst iterate.

It is concave in the lifetime sum, which therefore stands for its mean.
"""

stability_bound = block_bound.specialise(
    {block: stability ** sp.Rational(-2, 3)}, by=r"\(J=\beta_n^{-2/3}\)", domain={alpha: (0, 1)}
).equals(
    sp.cbrt(stability)
    * (
        2
        + scale
        + scale
        * sp.sqrt(
            2 * sp.log(1 + 2 * lifetimes * (2 * lipschitz / sp.cbrt(stability) / scale) ** alpha)
        )
    ),
    by="collecting terms",
)
"""The same at the best order of J, were it a divisor of n: the rate is the cube root of beta."""
