r"""Training with a penalty taken from the bound, solved exactly for the mean learner.

The generator term of a diffusion bound is a path energy A: how far the learned score departs from
a reference that has not seen the data. Here A enters the objective of the training. The law is
P = N(mu, I_d) with M = |mu|^2, the learned score -(x - alpha_t m), a = alpha_T^2 and v = 1 - a; in
a rotated frame all d coordinates are equal, and each derivation works in one of them. Chen, Zhu
and Shkurti 2025 (arXiv 2506.00849) suggest to penalise; the objectives are ours.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import trade_off
from genbound.derivations.trade_off import B, M, a, b, d, n

weight = sp.Symbol("lambda", positive=True)

letters = (a, n, d, M, weight)
"""Argument order of every compiled result about the mean learner."""

_v = 1 - a
_mu = sp.sqrt(M / d)
_hat = sp.Symbol(r"\hat{\mu}", real=True)
_learned = Normal(r"\hat{\mu}", _mu, 1 / sp.sqrt(n))


def _named(name: str, expr: sp.Expr, by: str) -> Derivation:
    return Derivation.of(sp.Symbol(name, real=True), expr, by=by, domain={a: (0, 1)})


# One point x_t and one coordinate: y is the target -noise / sigma_t, with mean s* given x_t. Only
# two moments of y enter, so that the normal law stands for any.
score, reference, best_score = sp.symbols(r"s \bar{s} {s^{*}}", real=True)
_tau = sp.Symbol("tau", positive=True)
_target = Normal("y", best_score, _tau)

shrunk_score = (best_score + weight * reference) / (1 + weight)
"""The score at which the penalised loss of a point is least."""

pointwise = (
    _named(
        r"{\ell(s)}",
        Expectation((score - _target) ** 2) / 2 + weight * (score - reference) ** 2 / 2,
        r"denoising target \(y\) of mean \(s^{*}\), and the penalty",
    )
    .equals(
        (1 + weight) * (score - shrunk_score) ** 2 / 2
        + weight * (best_score - reference) ** 2 / (2 * (1 + weight))
        + _tau**2 / 2,
        by="moments of y, then complete the square",
    )
    .at_least(
        weight * (best_score - reference) ** 2 / (2 * (1 + weight)) + _tau**2 / 2,
        by=r"least at \(s=(s^{*}+\lambda\bar{s})/(1+\lambda)\)",
    )
)
"""The linear penalty pulls the score at every point towards the reference."""

_m = sp.Symbol("m", real=True)

mean_loss = (
    _named(
        "{J(m)}",
        sp.Integral(sp.exp(-b) * ((_m - _hat) ** 2 + weight * _m**2), (b, 0, -sp.log(a))) / 2,
        r"denoising loss \(+\,\lambda A_{-x}\), up to a constant",
    )
    .equals(
        _v
        * ((1 + weight) * (_m - _hat / (1 + weight)) ** 2 + weight * _hat**2 / (1 + weight))
        / 2,
        by="integrate and complete the square",
    )
    .at_least(
        _v * weight * _hat**2 / (2 * (1 + weight)), by=r"least at \(m=\hat{\mu}/(1+\lambda)\)"
    )
)
"""Trained with the prior as reference, the mean learner learns mu-hat / (1 + lambda)."""

exact = _named(
    r"\mathrm{KL}_{\lambda}",
    d * Expectation((_mu - _v * _learned / (1 + weight)) ** 2) / 2,
    r"generated law \(N(v\hat{\mu}/(1+\lambda),1)\) per coordinate",
).equals(
    (M * (1 - _v / (1 + weight)) ** 2 + (_v / (1 + weight)) ** 2 * d / n) / 2,
    by="moments of the sample mean",
)
"""Expected KL(P || G#pi) after training with the linear penalty, nats."""

exact_minimum = exact.at_least(
    trade_off.exact_minimum.expr, by=r"complete the square in \(v/(1+\lambda)\)"
)
"""No pair of horizon and weight does better than the best horizon alone."""

best_weight_endless = d / (n * M)
"""The best weight for T to infinity."""

endless_optimum = _named(
    r"{\mathrm{KL}_{\lambda^{\star}}}",
    exact.expr.subs({a: 0, weight: best_weight_endless}, simultaneous=True),
    r"\(T\to\infty\) and \(\lambda^{\star}=d/(nM)\)",
).equals(trade_off.exact_minimum.expr, by="the best horizon's value")
"""The best weight gains exactly what the best horizon gains: the same shrinkage."""

best_weight = _v * (1 + d / (n * M)) - 1
"""The best weight at a given horizon; negative where the horizon alone shrinks too much."""

stationary = _named(
    r"{\partial_{\lambda}\mathrm{KL}_{\lambda}|_{\lambda^{\star}(T)}}",
    sp.diff(exact.expr, weight).subs(weight, best_weight),
    r"slope at \(\lambda^{\star}(T)=v(1+d/(nM))-1\)",
).equals(0, by="collecting terms")

joint_optimum = _named(
    r"{\mathrm{KL}_{\lambda^{\star}(T)}}",
    exact.expr.subs(weight, best_weight),
    "the best weight at any horizon",
).equals(trade_off.exact_minimum.expr, by="collecting terms")
"""Horizon and penalty are one regularisation: only v / (1 + lambda) counts."""

# The root form, R sqrt(2 A / n). The learned mean has norm r and the cosine c to mu-hat, whose
# norm is h.
R = sp.Symbol("R", positive=True)
h = sp.Symbol("h", positive=True)
sigma = sp.Symbol("sigma_T", positive=True)
_r = sp.Symbol("r", positive=True)
_c = sp.Symbol("c", real=True)
_kappa = sp.Symbol("kappa", positive=True)

root_loss = Derivation.of(
    sp.Symbol("{J_R(m)}", real=True),
    sigma**2 * (_r**2 - 2 * _c * _r * h + h**2) / 2 + R * sp.sqrt(2 * (sigma**2 * _r**2 / 2) / n),
    by=r"denoising loss \(+\,R\sqrt{2A_{-x}/n}\); \(r=\|m\|\), \(h=\|\hat{\mu}\|\)",
    domain={_c: (-1, 1)},
).at_least(
    sigma**2 * (_r - h) ** 2 / 2 + R * sigma * _r / sp.sqrt(n), by=r"least along \(\hat{\mu}\)"
)
"""Along mu-hat the root form is a lasso in one variable."""


_ratio = r"\kappa=R/(\sigma_T\sqrt{n}\,h)"
_in_ratios = {R: _kappa * sigma * sp.sqrt(n) * h}

root_kept = root_loss.specialise(
    _in_ratios, by=rf"\({_ratio}<1\)", domain={_kappa: (0, 1)}
).at_least(sigma**2 * h**2 * (1 - (1 - _kappa) ** 2) / 2, by=r"least at \(r=(1-\kappa)h\)")
"""A mean longer than R / (sigma_T sqrt(n)) is shortened by that much."""

root_dropped = root_loss.specialise(
    _in_ratios, by=rf"\({_ratio}>1\)", domain={_kappa: (1, None)}
).at_least(sigma**2 * h**2 / 2, by=r"least at \(r=0\)")
"""A shorter one is replaced by 0: the generator is the prior."""

threshold = sp.Max(0, 1 - R / (sigma * sp.sqrt(n) * h))
"""The factor q of the root form: soft thresholding of the learned mean."""

_share = sp.sqrt(d / 2) / sp.sqrt(n * M)

root_price = Derivation.of(
    sp.Symbol(r"{\lim_{n}\,n\,\mathrm{KL}_R}", real=True),
    sp.Limit(n * (M * _share**2 + (1 - _share) ** 2 * d / n) / 2, n, sp.oo),
    by=r"\(T\to\infty\), \(R^{2}=d/2\), \(\|\hat{\mu}\|^{2}\approx M\)",
).equals(sp.Rational(3, 2) * d / 2, by="limit")
"""With the constant of the bound, the root form costs half as much again as no penalty at all."""

# A terminal law that is learned: the reverse process starts at N(alpha_T mu-hat, 1).
_path = _hat * sp.exp(-b / 2)

terminal_equation = Derivation.of(
    sp.Symbol(r"{-\partial_b m_{b}}", real=True),
    -sp.diff(_path, b),
    by=r"\(m_b=e^{-b/2}\hat{\mu}\)",
).equals(_path / 2 - (_path - sp.exp(-b / 2) * _hat), by=r"the drift \(m/2+s(m)\)")
"""Started at alpha_T mu-hat, the mean stays on the noised path of mu-hat and ends in it."""

terminal_prior = _named(
    r"{\mathrm{KL}(P_{T}\|\hat{\pi}_{T})}",
    d * Expectation((sp.sqrt(a) * (_mu - _learned)) ** 2) / 2,
    r"\(\mathrm{KL}(N(\sqrt{a}\mu,1)\,\|\,N(\sqrt{a}\hat{\mu},1))\)",
).equals(a * d / (2 * n), by="variance of the sample mean")
"""What is left of the prior's term: a d / (2 n) in place of a M / 2."""

terminal_exact = _named(
    r"\mathrm{KL}_{\hat{\pi}}",
    d * Expectation((_mu - _learned) ** 2) / 2,
    r"\(\mathrm{KL}(N(\mu,1)\,\|\,N(\hat{\mu},1))\), whatever \(T\)",
).equals(d / (2 * n), by="variance of the sample mean")
"""The horizon no longer matters, and its shrinkage is gone with its cost."""

_spread2 = sp.Symbol(r"\hat{s}^{2}", positive=True)
_kept2 = _spread2 * a / (_spread2 * a + _v)

terminal_spread = _named(
    r"{\hat{v}_{T}}",
    a * _spread2 / _kept2,
    r"scale back \(N(0,1)\): \(x_T=\alpha_T(\bar{x}+\hat{s}\,x'/\alpha')\), equal signal-to-noise",
).equals(1 + (_spread2 - 1) * a, by="collecting terms")
"""Standardised data with the prior N(0, I) are the data with the prior N(alpha_T x-bar, v-hat)."""

_gap = sp.Symbol("s^{2}", positive=True) - 1

prior_second_order = Derivation.of(
    sp.Symbol(r"{\lim_{a}\,a^{-2}\,\mathrm{KL}(N(0,v_{T})\|\pi)}", real=True),
    sp.Limit((a * _gap - sp.log(1 + a * _gap)) / (2 * a**2), a, 0, "+"),
    by=r"centred data of variance \(s^{2}\), \(v_T=1+(s^{2}-1)a\)",
).equals(_gap**2 / 4, by="limit")
"""A mean costs a M / 2, a spread costs (s^2 - 1)^2 a^2 / 4: a fit of both leaves order a^3."""

# The reference zero, a penalty on the norm of the score: every score is multiplied by q.
q = sp.Symbol("q", positive=True)
letters_zero = (a, n, d, M, q)
"""Argument order of :data:`zero_exact`; q = 1 / (1 + lambda)."""

_narrow = 1 / (2 * q - 1)
_variance = _narrow + (1 - _narrow) * sp.exp(-(2 * q - 1) * (B - b))
_mean_path = _hat * (sp.exp(-b / 2) - sp.exp(-B / 2) * sp.exp((sp.Rational(1, 2) - q) * (B - b)))

zero_variance = Derivation.of(
    sp.Symbol(r"{-\partial_b V_{b}}", real=True),
    -sp.diff(_variance, b),
    by=r"\(V_B=1\), score \(-q(x-\alpha_b\hat{\mu})\)",
    domain={q: (sp.Rational(1, 2), 1)},
).equals((1 - 2 * q) * _variance + 1, by="reverse process, variance")

zero_mean = Derivation.of(
    sp.Symbol(r"{-\partial_b m_{b}}", real=True),
    -sp.diff(_mean_path, b),
    by=r"\(m_B=0\)",
    domain={q: (sp.Rational(1, 2), 1)},
).equals(_mean_path / 2 - q * (_mean_path - sp.exp(-b / 2) * _hat), by="reverse process, mean")

V = sp.Symbol("{V_{0}}", positive=True)

end_variance = Derivation.of(
    V,
    _variance.subs(B - b, -sp.log(a)),
    by=r"at clock 0",
    domain={a: (0, 1), q: (sp.Rational(1, 2), 1)},
).equals((1 - 2 * (1 - q) * a ** (2 * q - 1)) / (2 * q - 1), by="collecting terms")
"""Variance of what is generated: above 1 for every q < 1."""

zero_exact = (
    _named(
        r"\mathrm{KL}_{0}",
        d * ((1 + Expectation((_mu - (1 - a**q) * _learned) ** 2)) / V - 1 + sp.log(V)) / 2,
        r"\(\mathrm{KL}(N(\mu,1)\,\|\,N((1-a^{q})\hat{\mu},V_0))\)",
    )
    .equals(
        d * ((1 + (1 - a**q) ** 2 / n) / V - 1 + sp.log(V)) / 2 + M * a ** (2 * q) / (2 * V),
        by="moments of the sample mean",
    )
    .specialise({V: end_variance.expr}, by="the variance above", domain=dict(end_variance.domain))
)
"""Expected KL(P || G#pi) after training with a penalty on the norm of the score, nats."""

_narrowness = sp.Symbol("y", positive=True)

zero_price = Derivation.of(
    sp.Symbol(r"{\mathrm{KL}_{0}|_{n,T\to\infty}/d}", real=True),
    (_narrowness - 1 - sp.log(_narrowness)) / 2,
    by=r"\(\hat{\mu}=\mu\), \(a=0\), \(y=1/V_0=2q-1\)",
).at_least(0, by=r"least at \(y=1\), that is \(q=1\)")
"""Pulled towards zero, even the perfect model gets worse: its samples spread too far."""
