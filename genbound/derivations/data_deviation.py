"""How far chance moves the data term: two concentrations, by moments and by entropy.

The letters are those of :mod:`data_term`. Constants are our own; the first has the shape of Lemma
3.1 of Dupuis et al. 2025 (arXiv 2506.03849), the second needs neither a support nor a dimension.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.data_term import mean_data_term, n, sign
from genbound.derivations.sampler_error import span

moved = sp.Symbol("c", positive=True)
_slope = sp.Symbol("lambda", positive=True)
_log_laplace = sp.Symbol(r"{\log\,\mathbb{E}\,e^{\lambda(F-\mathbb{E}F)}}", real=True)
level = sp.Symbol(r"\log\frac{1}{\zeta}", positive=True)
_excess = sp.Symbol(r"{(F-\mathbb{E}F)_{\zeta}}", real=True)

bounded_differences = Derivation.of(
    _log_laplace, _log_laplace, by=r"one datum moves \(F\) by at most \(c\)"
).granted(
    "<=",
    n * (_slope * moved) ** 2 / 8,
    cite="Hoeffding 1963; McDiarmid 1989",
    by="one martingale difference for each datum",
    # The sum of n tosses of a fair coin, each worth c or nothing.
    witness={_log_laplace: n * sp.log(sp.cosh(_slope * moved / 2))},
)
"""Laplace transform of a function of independent data with bounded differences."""

deviation = (
    Derivation.of(
        _excess,
        (level + _log_laplace) / _slope,
        by=r"Chernoff: exceeded with probability at most \(\zeta\)",
    )
    .at_most(
        level / _slope + n * _slope * moved**2 / 8,
        by="bounded differences",
        using=[bounded_differences],
    )
    .specialise(
        {_slope: sp.sqrt(8 * level / n) / moved},
        by=r"\(\lambda=\sqrt{8\log(1/\zeta)/n}/c\), the best",
    )
    .equals(moved * sp.sqrt(n * level / 2), by="collecting terms")
)
"""What F exceeds its mean by, with probability at most zeta: c sqrt(n log(1 / zeta) / 2)."""

support = sp.Symbol("D", positive=True)
_weight = sp.Symbol(r"{\int e^{-2t}\lambda(\mathrm{d}t)}", positive=True)

bounded_support = deviation.specialise(
    {moved: 4 * _weight * support**2 / n},
    by=r"\(F=4\int e^{-2t}\lambda(\mathrm{d}t)\,\frac{1}{n}\sum_i\|X_i\|^2\), \(\|X\|\le D\)",
).equals(4 * _weight * support**2 * sp.sqrt(level / (2 * n)), by="collecting terms")
"""The fluctuation of the second moment where the support is bounded."""

data_term = sp.Symbol(r"{\Delta_{s,\zeta}}", real=True)
fisher_gap = sp.Symbol(
    r"{\int(\mathcal{I}(P_t\|\pi)-\mathcal{I}(\hat{P}_t\|\pi))\lambda(\mathrm{d}t)}", real=True
)

by_moments = Derivation.of(
    data_term, _excess + 4 * fisher_gap, by="moments and Fisher informations, over the times"
).at_most(bounded_support.expr + 4 * fisher_gap, by="the second moment", using=[bounded_support])
"""The data term where the support is bounded, with probability at least 1 - zeta."""

# Concentration by entropy: no assumption on the law, no dimension.
_mixture = sp.Symbol("{h(P)-(1-q)h(R)-qh(K)}", real=True)
_q = sp.Symbol("q", positive=True)
_apart = sp.Symbol("o", positive=True)


def _binary(q: sp.Expr) -> sp.Expr:
    return -q * sp.log(q) - (1 - q) * sp.log(1 - q)


mixture_entropy = Derivation.of(
    _mixture,
    _mixture,
    by=r"\(P=(1-q)R+qK\)",
    domain={_q: (0, 1), _apart: (0, 1)},
).granted(
    "<=",
    _binary(_q),
    cite="Cover and Thomas 2006, section 2.7",
    by="what the component tells of a value; concavity says it is not negative",
    # Uniform laws on two unit intervals, one moved by o.
    witness={_mixture: _apart * _binary(_q)},
)
"""One component of weight q moves an entropy by at most the entropy of a coin."""

_lost, _other_lost = (
    sp.Symbol(f"{{(J_{{t_0}}-J_{{T}})({x})}}", nonnegative=True) for x in ("X_1", "X_1'")
)
_left = sp.Symbol("w", positive=True)

component_lost = (
    Derivation.of(
        _lost,
        _lost,
        by=r"\(J_t\): the mixture's excess, what noised data tell of their component",
        domain={_q: (0, 1), _apart: (0, 1), _left: (0, 1)},
    )
    .granted(
        "<=",
        _mixture,
        cite="Cover and Thomas 2006, data processing",
        by=r"\(0\le J_T\le J_{t_0}\): noise tells no more later on",
        # The uniform laws again, of which a share w of the distance is left.
        witness={
            _lost: (_apart - _left * _apart) * _binary(_q),
            _mixture: _apart * _binary(_q),
        },
    )
    .at_most(_binary(_q), by="at most the coin", using=[mixture_entropy])
)
"""What one component tells at first and no more in the end: between 0 and a coin."""

_difference = sp.Symbol(r"c_{\Delta}", real=True)

difference = (
    Derivation.of(
        _difference,
        4 * (_lost - _other_lost) / span,
        by=r"\(X_1\) replaced by \(X_1'\); the others and equal kernels cancel",
        domain={_q: (0, 1)},
    )
    .at_most(4 * _lost / span, by="what is lost is not negative")
    .at_most(4 * _binary(_q) / span, by=r"\(q=1/n\)", using=[component_lost])
)
"""How far one datum moves the data term; both signs, by exchanging the two."""

_others = sp.Symbol("k", positive=True)
_doubt = sp.Symbol("{nH(1/n)}", nonnegative=True)

_ratio = sp.Symbol("r", positive=True)
_log = sp.Symbol(r"{\log(1+1/k)}", nonnegative=True)

_logarithm = (
    Derivation.of(_log, sp.log(1 + _ratio), by=r"\(r=1/k\)")
    .at_most(_ratio, by=r"\(\log(1+r)\le r\)")
    .specialise({_ratio: 1 / _others}, by=r"\(r=1/k\)")
)

coin = (
    Derivation.of(_doubt, (_others + 1) * _binary(1 / (_others + 1)), by=r"\(n=k+1\)")
    .equals(
        sp.log(_others + 1) + _others * _log,
        by="collecting logarithms",
        using=[Derivation.of(_log, sp.log(1 + 1 / _others))],
    )
    .at_most(1 + sp.log(_others + 1), by=r"\(\log(1+r)\le r\)", using=[_logarithm])
)
"""Entropy of a coin of weight 1 / n, n times."""

concentration = (
    deviation.specialise({moved: 4 * _doubt / (n * span)}, by=r"the data term, \(H(1/n)\)")
    .equals(4 * _doubt / span * sp.sqrt(level / (2 * n)), by="collecting terms")
    .at_most(
        4 * (1 + sp.log(n)) / span * sp.sqrt(level / (2 * n)),
        by=r"\(nH(1/n)\le1+\log n\)",
        using=[coin.specialise({_others: n - 1}, by=r"\(k=n-1\)", domain={n: (1, None)})],
    )
)
"""The data term above its mean."""

by_entropy = (
    Derivation.of(data_term, mean_data_term + _excess, by="mean and excess")
    .at_most(_excess, by="the mean is negative", using=[sign])
    .at_most(concentration.expr, by="one datum moves little", using=[concentration])
)
"""The data term over uniform times, with probability at least 1 - zeta, for any law."""
