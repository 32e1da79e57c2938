r"""What rate, batch and number of steps do to a learner of a mean that descends on minibatches.

The learner of :mod:`sgld_solved` without injected noise: \theta \leftarrow \theta - \eta \hat{g},
a batch of b data drawn anew, with replacement, from the n of the sample, in every step. It starts
at the squared distance D^2 from the truth. With \rho = 1 - 2\kappa\eta the weights after K steps
keep \rho^K of the way, whatever the batch is: rate and steps act as one, as time; what the batch
adds is noise. Units are those of :mod:`sgld_solved`.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations.parameter_information import steps, weights
from genbound.derivations.plain_sgd import same_spread, scatter
from genbound.derivations.sgld import batch
from genbound.derivations.sgld_solved import keep, variance, weight
from genbound.derivations.trade_off import d, n

__all__ = [
    "batch",
    "best",
    "best_kept",
    "by_epochs",
    "distance2",
    "epochs",
    "excess",
    "gap",
    "jitter",
    "letters",
    "score_error",
]

distance2 = sp.Symbol("{D^{2}}", nonnegative=True)
epochs = sp.Symbol("E", positive=True)

letters = (weight, keep, steps, batch, n, d, variance, distance2)
"""Argument order of every compiled result; keep = 1 - 2 weight rate."""

_below_one = {keep: (0, 1), n: (1, None)}
_kept_letter = sp.Symbol("r", nonnegative=True)
_tau = sp.Symbol("tau", nonnegative=True)
_inside = {_kept_letter: (0, 1), n: (1, None)}

# The gradient of one datum is 2 weight (theta - z): its spread over the sample, one coordinate.
_scatter = 4 * weight**2 * variance * (1 - 1 / n)
jitter = same_spread.specialise(
    {weights: 1, scatter: _scatter},
    by=r"\(\Sigma=4\kappa^2v(1-\frac{1}{n})\), one coordinate",
    domain=_below_one,
).equals(
    variance * (1 - 1 / n) / batch * (1 - keep) / (1 + keep) * (1 - keep ** (2 * steps)),
    by=r"\(\kappa\) cancels",
)
"""Variance of the last weights over the draws of the batches, per coordinate."""

# Only second moments enter, so normal letters stand for the sample mean and the batches' noise.
_mean = sp.sqrt(variance / n) * Normal("xi_1", 0, 1)
_noise = _tau * Normal("xi_2", 0, 1)
_start = sp.sqrt(distance2 / d)
_offset = _kept_letter * _start + (1 - _kept_letter) * _mean + _noise


def _of(name: str, expr: sp.Expr, by: str) -> Derivation:
    return Derivation.of(sp.Symbol(name, real=True), d * weight * expr, by=by, domain=_inside)


_trained = {_kept_letter: keep**steps, _tau: sp.sqrt(jitter.expr)}

_score_error = _of(
    r"\mathbb{E}\varepsilon_{s}",
    Expectation(_offset**2),
    r"\(\kappa\|\theta_K-m\|^2\), with \(r=\rho^K\)",
).equals(
    weight
    * (_kept_letter**2 * distance2 + d * (1 - _kept_letter) ** 2 * variance / n + d * _tau**2),
    by="second moments",
)
score_error = _score_error.specialise(_trained, by=r"\(K\) steps", domain=_below_one)
"""Score error against the law: what is left of the start, the sample's noise, the batches'."""

_excess = _of(
    r"{\mathbb{E}[\hat{\mathcal{R}}(\theta_{K})-\hat{\mathcal{R}}(\bar{z})]}",
    Expectation((_offset - _mean) ** 2),
    r"\(\kappa\|\theta_K-\bar{z}\|^2\), with \(r=\rho^K\)",
).equals(
    weight * (_kept_letter**2 * (distance2 + d * variance / n) + d * _tau**2),
    by="second moments",
)
excess = _excess.specialise(_trained, by=r"\(K\) steps", domain=_below_one)
"""How far the training loss is from its least value."""

_gap = _of(
    r"\mathbb{E}\mathcal{G}",
    Expectation(_offset**2 - (_offset - _mean) ** 2 + _mean**2),
    r"\(\kappa(\|\theta_K-m\|^2-\|\theta_K-\bar{z}\|^2+\|\bar{z}-m\|^2)\): "
    r"\(\mathbb{E}\mathcal{R}-\mathbb{E}\hat{\mathcal{R}}\)",
).equals(2 * d * weight * (1 - _kept_letter) * variance / n, by="second moments")
gap = _gap.specialise(_trained, by=r"\(K\) steps", domain=_below_one)
"""Gap of the score-matching loss: rate and steps enter as one number, the batch not at all."""

by_epochs = gap.specialise(
    {steps: epochs * n / batch}, by=r"\(E\) epochs are \(K=En/b\) steps", domain=_below_one
)
"""The gap at equal epochs: a smaller batch has gone further."""

_quiet = {_tau: 0}
best_kept = Derivation.of(
    sp.Symbol(r"r^{\star}", positive=True),
    sp.solve(sp.diff(_score_error.expr.subs(_quiet), _kept_letter), _kept_letter)[0],
    by=r"where \({\partial_{r}\mathbb{E}\varepsilon_{s}}=0\), batches without noise",
    domain={n: (1, None)},
)
"""How much of the start the best stopping time keeps: James and Stein's shrinkage to it."""

best = _score_error.specialise(
    _quiet | {_kept_letter: best_kept.expr}, by=r"\(r=r^\star\), no noise", domain={n: (1, None)}
).equals(
    weight * distance2 * d * variance / (n * distance2 + d * variance), by="common denominator"
)
"""The least score error that stopping in time can reach."""
