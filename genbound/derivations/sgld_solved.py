r"""A learner of the mean, trained by Langevin dynamics: everything is normal, in closed form.

Data N(m, v I_d) with v known, score 2 a_t x + 2 e^{-t} \theta / v_t. Its denoising loss is exactly
\kappa |\theta - z|^2 + c_0, in the units of Dupuis, Shariatian, Haddouche, Durmus and Simsekli
2025 (arXiv 2506.03849): the score is twice that of :mod:`linear_score`, and the loss is its mean
over the times from t_0 to T. Full-batch Langevin steps start at \theta_0 = m, so that no gradient
is spent on finding the mean: \theta \leftarrow \theta - \eta \hat{g} + \sqrt{2\eta/\beta}\,\xi
keeps \rho = 1 - 2\kappa\eta of the way, and \theta_K = m + (1 - \rho^K)(\bar{z} - m) + noise.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import linear_score, parameter_information
from genbound.derivations.gaussian import kl_of
from genbound.derivations.linear_score import a, u
from genbound.derivations.parameter_information import keep, steps
from genbound.derivations.trade_off import M, d, n

__all__ = [
    "constant",
    "curvature",
    "datum_gradients",
    "datum_information",
    "divergence",
    "fixed",
    "gap",
    "gradients",
    "information",
    "inverse_temperature",
    "irreducible",
    "keep",
    "leave_one_out",
    "letters",
    "noise_spread",
    "population",
    "span",
    "step",
    "step_variance",
    "swap",
    "training",
    "variance",
    "weight",
]

variance = sp.Symbol("v", positive=True)
weight = sp.Symbol("kappa", positive=True)
fixed = sp.Symbol("c_{0}", nonnegative=True)
inverse_temperature = sp.Symbol("beta", positive=True)
span = sp.Symbol("{(T-t_{0})}", positive=True)
step = sp.Symbol("k", positive=True, integer=True)

letters = (weight, keep, inverse_temperature, steps, n, d, variance)
"""Argument order of what depends on the trajectory; keep = 1 - 2 weight rate."""

_below_one = {keep: (0, 1)}
_rate = (1 - keep) / (2 * weight)
_kept = keep**steps

# The loss of a datum is that of the linear score, over its own noise, in other units.
_unit = 4 / span
_loss = linear_score.loss.expr.subs(linear_score.s2_hat, variance)
_times = {u: (0, 1), a: (0, 1)}


def _share(of: sp.Expr) -> sp.Expr:
    return of / (1 + (variance - 1) * of)


curvature = Derivation.of(
    weight,
    _unit * sp.diff(_loss, linear_score.y2),
    by=r"slope of the loss in \(|\theta-z|^2\); \(u=e^{-2t_0}\), \(a=e^{-2T}\)",
    domain=_times,
).equals(2 * (_share(u) - _share(a)) / span, by="differentiate")
"""Weight of the squared distance in the denoising loss."""

constant = Derivation.of(
    fixed,
    d * _unit * _loss.subs(linear_score.y2, 0),
    by=r"loss at \(\theta=z\), over \(d\) coordinates",
    domain=_times,
)
"""What no choice of the mean can lower."""

_channel = {linear_score.s2: variance}
irreducible = Derivation.of(
    sp.Symbol("C(P)", nonnegative=True),
    curvature.expr * d * variance + constant.expr,
    by=r"loss at \(\theta=m\)",
    domain=_times,
).equals(
    d
    * _unit
    * (linear_score.information_min.expr - linear_score.information_end.expr).subs(_channel),
    by="four times the information lost on the way, per unit of time",
)
"""The loss of the exact score."""

noise_spread = Derivation.of(
    sp.Symbol(r"\tau_{K}^{2}", positive=True),
    2 * _rate / inverse_temperature * (1 - _kept**2) / (1 - keep**2),
    by=r"geometric sum of the steps' noise, \(\eta=(1-\rho)/2\kappa\)",
    domain=_below_one,
).equals(
    (1 - _kept**2) / (weight * inverse_temperature * (1 + keep)), by="a difference of squares"
)
"""Variance of the last weights given the sample, per coordinate."""

# In units of sqrt(v) this is the noisy descent of the mean learner.
_unit_noise = {
    parameter_information.noise_variance: (1 - keep) / (weight * inverse_temperature * variance)
}

information = parameter_information.noisy_mean_learner.specialise(
    _unit_noise, by=r"\(\sigma^2=2\eta/\beta v\), in units of \(\sqrt{v}\)"
)
"""Exact information of the last weights in the sample."""

datum_information = parameter_information.mean_learner_datum.specialise(
    {parameter_information.tau2: noise_spread.expr / ((1 - _kept) ** 2 * variance)},
    by=r"the same units, \(\theta_K\) scaled to the sample mean",
    domain=_below_one,
)
"""Exact information of the last weights in one datum."""

gradients = Derivation.of(
    sp.Symbol(r"\sum_k\eta\,\mathbb{E}\|\hat{g}_{k}\|^{2}", nonnegative=True),
    4
    * weight**2
    * variance
    * _rate
    * parameter_information.noisy_gradients.expr.subs(M, 0).subs(_unit_noise),
    by=r"\(\hat{g}_k=2\kappa(\theta_k-\bar{z})\)",
    domain=_below_one,
).equals(
    d * weight * variance / n * (1 - _kept**2) * 2 / (1 + keep)
    + 2
    * d
    / (inverse_temperature * (1 + keep))
    * (steps * (1 - keep) - (1 - _kept**2) / (1 + keep)),
    by="collecting terms",
)
"""Squared gradients along the way, each times its step."""

# The weights know one datum by its share in the mean; the others and the noise are one normal.
_own, _other = Normal("xi_1", 0, 1), Normal("xi_2", 0, 1)
_kept_letter = sp.Symbol("r", positive=True)
_tau = sp.Symbol("tau", positive=True)
_spread = (1 - _kept_letter) ** 2 * variance / n + _tau**2
_rest = (1 - _kept_letter) ** 2 * variance * (n - 1) / n**2 + _tau**2
_trained = {_kept_letter: _kept, _tau: sp.sqrt(noise_spread.expr)}


def _loss_of(name: str, distance2: sp.Expr, by: str) -> Derivation:
    return Derivation.of(
        sp.Symbol(name, positive=True),
        d * weight * distance2 + fixed,
        by=by,
        domain={_kept_letter: (0, 1), n: (1, None)},
    )


_population = _loss_of(
    r"\mathbb{E}\mathcal{R}",
    Expectation((sp.sqrt(_spread) * _own - sp.sqrt(variance) * _other) ** 2),
    r"a fresh datum, \(r=\rho^K\)",
).equals(d * weight * (_spread + variance) + fixed, by="moments of a normal")
_training = _loss_of(
    r"\mathbb{E}\hat{\mathcal{R}}",
    Expectation(
        (((1 - _kept_letter) / n - 1) * sp.sqrt(variance) * _own + sp.sqrt(_rest) * _other) ** 2
    ),
    r"a datum of the sample, \(r=\rho^K\)",
).equals(
    d * weight * (_spread + variance - 2 * (1 - _kept_letter) * variance / n) + fixed,
    by="moments of a normal",
)
population = _population.specialise(_trained, by=r"\(K\) steps", domain=_below_one)
training = _training.specialise(_trained, by=r"\(K\) steps", domain=_below_one)
"""Mean denoising loss of the last weights, on fresh data and on the sample."""

gap = Derivation.of(
    sp.Symbol(r"\mathbb{E}\mathcal{G}", real=True),
    population.expr - training.expr,
    by="population less training",
    domain=_below_one,
).equals(2 * d * weight * (1 - _kept) * variance / n, by="what is common cancels")
"""Exact expected gap of the score-matching loss."""

datum_gradients = Derivation.of(
    sp.Symbol(
        r"{\sum_k\eta\,\mathbb{E}[\frac{1}{n}\sum_i\|\nabla\ell(\theta_{k},Z_{i})\|^{2}]}",
        nonnegative=True,
    ),
    gradients.expr + steps * _rate * 4 * weight**2 * d * variance * (1 - 1 / n),
    by=r"\(2\kappa(\theta_k-Z_i)\): its mean over data, and its spread over data",
    domain=_below_one | {n: (1, None)},
)
"""Squared gradients of single data, each times its step."""

_kept_k = keep**step
step_variance = Derivation.of(
    sp.Symbol("V_{k}", nonnegative=True),
    4
    * weight**2
    * d
    * (
        variance / n
        - ((1 - _kept_k) * variance / n) ** 2
        / ((1 - _kept_k) ** 2 * variance / n + noise_spread.expr.subs(steps, step))
    ),
    by=r"normal regression of \(\bar{z}\) on \(\theta_k\)",
    domain=_below_one,
).equals(
    4
    * weight**2
    * d
    * variance
    / n
    * (1 + _kept_k)
    / (1 + _kept_k + (1 - _kept_k) * weight * inverse_temperature * (1 + keep) * variance / n),
    by="common denominator",
)
"""Variance of the gradient given the weights; at k = 0 they tell nothing of it."""


def _divergence(name: str, shift2: sp.Expr, reference: sp.Expr, by: str) -> Derivation:
    return Derivation.of(
        sp.Symbol(name, nonnegative=True),
        d * kl_of(sp.sqrt(shift2), noise_spread.expr, variance_2=reference),
        by=by,
        domain=_below_one | {n: (1, None)},
    )


divergence = _divergence(
    r"\mathbb{E}\,\mathrm{KL}(\rho_{K}\|\pi_{K})",
    (1 - _kept) ** 2 * variance / n,
    2 * _rate / inverse_temperature * steps,
    r"two normal laws; \(\pi_K\) has moved by its noise alone",
)
"""Divergence of the trained weights from the chain without gradients, mean over samples."""

# Without one datum the chain keeps more and goes to the mean of the others.
_keep_others = 1 - (1 - keep) * (n - 1) / n
_kept_others = _keep_others**steps
leave_one_out = _divergence(
    r"\mathbb{E}\,\mathrm{KL}(\rho_{K}\|Q_{i})",
    ((1 - _kept) * (n - 1) / n - (1 - _kept_others)) ** 2 * variance / (n - 1)
    + (1 - _kept) ** 2 * variance / n**2,
    2 * _rate / inverse_temperature * (1 - _kept_others**2) / (1 - _keep_others**2),
    r"two normal laws; \(Q_i\) lacks the gradient of one datum",
)
"""Divergence from the chain that does not see one datum, mean over samples."""

swap = Derivation.of(
    sp.Symbol(r"\varepsilon_{\mathrm{stab}}^{2}", nonnegative=True),
    weight * d * (1 - _kept) ** 2 * Expectation((_own - _other) ** 2) * variance / n**2,
    by="one datum replaced, the same noise",
    domain=_below_one,
).equals(2 * d * weight * (1 - _kept) ** 2 * variance / n**2, by="moments of a normal")
"""Squared stability of the score."""
