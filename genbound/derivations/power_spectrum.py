r"""A linear score, direction by direction: what each error costs where the data have variance v.

Data N(\mu, C) in their principal axes; start, steps, stopping and sample each cost something in
squared Wasserstein-2 distance, and the costs of the axes add up. In the spirit of Hurault, Terris,
Moreau and Peyre 2025 (arXiv 2503.11615), for the reverse SDE of this book; each error is alone
here, the others are 0. a = \alpha_T^2 and u = \alpha_\varepsilon^2 are the shares of the signal.
"""

import sympy as sp
from sympy.stats import Chi, Expectation

from genbound.derivation import Derivation
from genbound.derivations import linear_score
from genbound.derivations.frozen_score import v
from genbound.derivations.linear_score import a, u
from genbound.derivations.score_slope import noised

n = sp.Symbol("n", positive=True, integer=True)
_chi = Chi("q", n - 1)

of_start = Derivation.of(
    sp.Symbol(r"{W_2^2[T]}", nonnegative=True),
    (sp.sqrt(v) - sp.sqrt(linear_score.sde_variance_start.expr)).subs(linear_score.s2_hat, v) ** 2,
    by="exact score from N(0, 1), centred data",
    domain={a: (0, 1)},
).equals(
    v * (1 - sp.sqrt(1 - (v - 1) * v * a**2 / noised(a) ** 2)) ** 2, by="take out the variance"
)
"""The wrong start, of order a^4: nothing is left of it after a few units of the clock."""

of_stopping = Derivation.of(
    sp.Symbol(r"{W_2^2[\varepsilon]}", nonnegative=True),
    (sp.sqrt(noised(u)) - sp.sqrt(v)) ** 2,
    by="noise that is not taken off, centred data",
    domain={u: (0, 1)},
)
"""Stopping early costs most where the data are thin."""

of_sample = Derivation.of(
    sp.Symbol(r"{\mathbb{E}W_2^2[n]}", nonnegative=True),
    v / n + v * Expectation((_chi / sp.sqrt(n) - 1) ** 2),
    by=r"\(\hat{\mu}-\mu\sim N(0,v/n)\), \(n\hat{v}/v\sim\chi^2_{n-1}\)",
    domain={n: (1, None)},
).equals(
    2 * v * (1 - sp.sqrt(2 / n) * sp.gamma(n / 2) / sp.gamma((n - 1) / 2)),
    by="moments of chi",
)
"""A finite sample costs the same share of the variance in every direction, about 3 / (2 n)."""
