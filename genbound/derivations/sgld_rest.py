r"""The learner of a mean with weight decay, started from rest: every form has its case.

The loss is \kappa |\theta - z|^2 + c_0 as in :mod:`sgld_solved`, the data are N(m, v I_d), and
\theta \leftarrow \theta - \eta(\hat{g} + \varpi(\theta - m)) + \sqrt{2\eta/\beta}\,\xi starts at
\pi = N(m, v_\infty I), which the chain without gradients leaves as it is. The origin is at m, so
that the decay spends nothing on finding the mean. After k steps \theta = m + A (\bar{z} - m) plus
normal noise of variance s^2: two letters in which all is closed. Unstable steps, |\rho| > 1, are
allowed.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations.gaussian import channel_of, kl_of
from genbound.derivations.parameter_information import rate
from genbound.derivations.sgld_forgetting import decay, stationary
from genbound.derivations.sgld_solved import inverse_temperature, step, variance, weight
from genbound.derivations.trade_off import d, n

__all__ = [
    "contraction",
    "divergence",
    "gap",
    "gradient2",
    "information",
    "letters",
    "loss",
    "moments",
    "rest",
    "share",
    "share_at",
    "share_step",
    "shift2",
    "single2",
    "spread",
    "spread_at",
    "spread_step",
    "step_variance",
]

share = sp.Symbol("A", real=True)
spread = sp.Symbol("s^{2}", positive=True)
rest = sp.Symbol(r"v_{\infty}", positive=True)

letters = (weight, rate, decay, inverse_temperature, step)
"""Arguments of the moments: those of the chain, and the step k."""

moments = (share, spread, weight, n, d, variance)
"""Arguments of all that follows from the moments."""

_some = {n: (1, None)}
_ratio = sp.Symbol("rho", real=True)
contraction = Derivation.of(
    _ratio, 1 - rate * (2 * weight + decay), by="what a step keeps of the way"
)
"""Between -1 and 1 where the chain is stable."""

_at = sp.Symbol("A_{k}", real=True)
_next_share = Derivation.of(
    _at, _ratio * share + 2 * weight * rate, by=r"one step of \(\theta=m+A(\bar{z}-m)\)"
)


def _closed_share(kept: sp.Expr) -> sp.Expr:
    return 2 * weight / (2 * weight + decay) * (1 - kept)


def _closed_spread(kept2: sp.Expr) -> sp.Expr:
    limit = 2 * rate / (inverse_temperature * (1 - contraction.expr**2))
    return limit + (stationary.expr - limit) * kept2


# One more step of the recursion, from the closed form at k.
_power = sp.Symbol("q", real=True)
share_step = _next_share.specialise(
    {share: _closed_share(_power), _ratio: contraction.expr}, by="at k"
).equals(_closed_share(contraction.expr * _power), by=r"\(\rho\rho^k=\rho^{k+1}\)")
spread_step = Derivation.of(
    sp.Symbol("s_{k+1}^{2}", real=True),
    contraction.expr**2 * _closed_spread(_power**2) + 2 * rate / inverse_temperature,
    by="a step keeps, and adds its noise",
).equals(_closed_spread((contraction.expr * _power) ** 2), by="a geometric sum")
"""The closed forms obey the recursion; at k = 0 they are the start."""

share_at = Derivation.of(_at, _closed_share(contraction.expr**step), by="from no step at all")
spread_at = Derivation.of(
    sp.Symbol("s_{k}^{2}", positive=True),
    _closed_spread(contraction.expr ** (2 * step)),
    by=r"from \(v_\infty\)",
)

_mean, _own, _noise = (Normal(name, 0, 1) for name in ("xi_1", "xi_2", "xi_3"))
# The sample mean, one datum's distance from it, and the noise of the weights.
_centre = sp.sqrt(variance / n) * _mean
_theta = share * _centre + sp.sqrt(spread) * _noise
_datum = _centre + sp.sqrt(variance * (1 - 1 / n)) * _own

loss = Derivation.of(
    sp.Symbol(r"{\mathbb{E}\hat{\mathcal{R}}-c_{0}}", positive=True),
    d * weight * Expectation((_theta - _datum) ** 2),
    by="mean over the data of the sample",
    domain=_some,
).equals(
    d * weight * (share**2 * variance / n + spread + variance - 2 * share * variance / n),
    by="moments of a normal",
)
"""Training loss, above what no weights can lower."""

gap = Derivation.of(
    sp.Symbol(r"\mathbb{E}\mathcal{G}", real=True),
    d * weight * (Expectation(_theta**2) + variance) - loss.expr,
    by="a fresh datum less one of the sample",
    domain=_some,
).equals(2 * d * weight * share * variance / n, by="what is common cancels")
"""Exact expected gap of the score-matching loss."""

gradient2 = Derivation.of(
    sp.Symbol(r"\mathbb{E}\|\hat{g}_{k}\|^{2}", nonnegative=True),
    d * Expectation((2 * weight * (_theta - _centre)) ** 2),
    by=r"\(\hat{g}=2\kappa(\theta-\bar{z})\)",
).equals(4 * weight**2 * d * ((1 - share) ** 2 * variance / n + spread), by="moments of a normal")
"""Squared full-batch gradient."""

single2 = Derivation.of(
    sp.Symbol(r"{\mathbb{E}\frac{1}{n}\sum_i\|\nabla\ell(\theta_{k},Z_{i})\|^{2}}", positive=True),
    d * Expectation((2 * weight * (_theta - _datum)) ** 2),
    by=r"\(\nabla\ell=2\kappa(\theta-Z_i)\)",
    domain=_some,
).equals(
    gradient2.expr + 4 * weight**2 * d * variance * (1 - 1 / n),
    by="the mean of the gradients, and their spread",
)
"""Squared gradient of a single datum."""

shift2 = Derivation.of(
    sp.Symbol(r"{\mathbb{E}\|\theta-m\|^{2}}", positive=True),
    d * Expectation(_theta**2),
    by="distance from where the chain without data rests",
).equals(d * (share**2 * variance / n + spread), by="moments of a normal")
"""Squared distance of the weights from the population's mean."""

_slope = share * variance / n / (share**2 * variance / n + spread)
step_variance = Derivation.of(
    sp.Symbol("V_{k}", nonnegative=True),
    4 * weight**2 * d * Expectation((_centre - _slope * _theta) ** 2),
    by=r"normal regression of \(\bar{z}\) on \(\theta_k\)",
).equals(
    4 * weight**2 * d * variance / n * spread / (share**2 * variance / n + spread),
    by="moments of a normal",
)
"""Variance of the gradient given the weights."""

information = Derivation.of(
    sp.Symbol(r"I(\theta_{k};S)", nonnegative=True),
    d * channel_of(share**2 * variance / n, spread),
    by=r"Gaussian channel: signal \(A\bar{z}\)",
)
"""Exact information of the weights in the sample."""

divergence = Derivation.of(
    sp.Symbol(r"\mathbb{E}\,\mathrm{KL}(\rho_{k}\|\pi)", nonnegative=True),
    d * kl_of(sp.sqrt(share**2 * variance / n), spread, variance_2=rest),
    by=r"two normal laws; \(\pi\) is where the chain without gradients rests",
)
"""Divergence of the trained weights from rest, mean over samples."""
