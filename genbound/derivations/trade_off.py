r"""The trade-off in T, solved exactly: a Gaussian, and a learner that only estimates its mean.

Data P = N(mu, I_d), sample mean \hat{mu}, learned score s(x, t) = -(x - alpha_t \hat{mu}),
variance-preserving process. With a = alpha_T^2 = e^{-B}, v = 1 - a and M = |mu|^2 every letter of
the diffusion bounds is a closed form. Since all depend on mu through M alone, each derivation
works in one coordinate of a rotated frame in which all d coordinates of mu equal sqrt(M / d).

Letters without a bar on top are means over the sample S; t_min tends to 0 where that is finite.
"""

import sympy as sp
from sympy.stats import Expectation, Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations.gaussian import channel_of

n = sp.Symbol("n", positive=True)
d = sp.Symbol("d", positive=True)
M = sp.Symbol("M", positive=True)
a = sp.Symbol("a", positive=True)
B = sp.Symbol("B", positive=True)
b = sp.Symbol("b", positive=True)

letters = (a, n, d, M)
"""Argument order of every compiled result of this file (a = alpha_T^2)."""


_v = 1 - a
_mu = sp.sqrt(M / d)
# One coordinate of the sample mean, and one of a fresh datum.
_learned = Normal(r"\hat{\mu}", _mu, 1 / sp.sqrt(n))
_standard = Normal("xi", 0, 1)


def _result(name: str, expr: sp.Expr, by: str, *, n_min: int = 0) -> Derivation:
    ends = {a: (0, 1)} | ({n: (n_min, None)} if n_min else {})
    domain = {symbol: ends[symbol] for symbol in ends if symbol in expr.free_symbols}
    return Derivation.of(sp.Symbol(name, real=True), expr, by=by, domain=domain)


_mean = sp.Symbol(r"\hat{\mu}", real=True)
_path_mean = _mean * (sp.exp(-b / 2) - sp.exp(b / 2 - B))

generator_mean = Derivation.of(
    sp.Symbol("{m_{b}}", real=True),
    _path_mean,
    by=r"from mean 0 at clock \(B\); \(b\) counts down",
    domain={_mean: (None, None)},
)
"""Mean of the reverse process at clock b."""

generator_equation = Derivation.of(
    sp.Symbol(r"{-\partial_b m_{b}}", real=True), -sp.diff(_path_mean, b), by="differentiate"
).equals(
    _path_mean / 2 - (_path_mean - sp.exp(-b / 2) * _mean),
    by=r"the drift \(m/2 + s(m)\)",
)
"""The mean solves the reverse equation; the variance stays 1, so G#pi = N(v mu-hat, I)."""

exact = _result(
    r"\mathrm{KL}",
    d * Expectation((_mu - _v * _learned) ** 2) / 2,
    r"\(\mathrm{KL}(N(\mu,1)\,\|\,N(v\hat{\mu},1))\) per coordinate",
).equals((M * a**2 + _v**2 * d / n) / 2, by="moments of the sample mean")
"""Expected KL(P || G#pi), nats."""

minimiser = d / (d + n * M)
"""The a = alpha_T^2 at which the exact divergence is least."""

best_clock = Derivation.of(
    sp.Symbol(r"{B^{\star}}", real=True), -sp.log(minimiser), by=r"\(a = e^{-B}\)"
).equals(sp.log(1 + n * M / d), by="collecting terms")
"""Clock of the best horizon."""

exact_minimum = exact.at_least(d * M / (2 * (d + n * M)), by=r"complete the square in \(a\)")
"""No horizon does better; equality at :data:`minimiser`."""

james_stein = _result(
    r"{\mathrm{KL}^{\star}/\mathrm{KL}_{\infty}}",
    exact_minimum.expr / exact.expr.subs(a, 0),
    "best horizon against T to infinity",
).equals(n * M / (d + n * M), by="collecting terms")
"""What the best horizon gains: the shrinkage factor of James and Stein's estimator."""

score_error = _result(
    r"\mathcal{L}_{\mathrm{ESM}}",
    d / 2 * sp.Integral(sp.exp(-b) * Expectation((_learned - _mu) ** 2), (b, 0, -sp.log(a))),
    r"score error \(\alpha_b(\hat{\mu}-\mu)\) over the clock",
).equals(_v * d / (2 * n), by="variance of the sample mean")
"""Explicit score-matching loss of the population."""

prior = _result(
    r"\mathrm{KL}(P_{T}\|\pi)",
    d * (sp.sqrt(a) * _mu) ** 2 / 2,
    r"\(\mathrm{KL}(N(\sqrt{a}\mu,1)\,\|\,N(0,1))\)",
)
"""What the wrong starting law costs."""

path = _result(r"\mathcal{B}_{\mathrm{path}}", score_error.expr + prior.expr, "score plus prior")
"""The path bound."""

path_is_bound = exact.at_most(path.expr, by=r"the difference is \(a v (M + d/n)/2\)")
"""Data processing loses a v (M + d / n) / 2."""

path_slope = _result(
    r"{\partial_a \mathcal{B}_{\mathrm{path}}}", sp.diff(path.expr, a), "differentiate"
)
"""Constant sign: the path bound is monotone in T and cannot see the U-shape."""

rate = _result(
    r"\mathcal{R}_{T}",
    d * Expectation(a * (_mu + _standard) ** 2 + _v - 1 - sp.log(_v)) / 2,
    r"mean of \(\mathrm{KL}(N(\sqrt{a}x,v)\,\|\,N(0,1))\)",
).equals((a * M - d * sp.log(_v)) / 2, by=r"moments of \(x\)")
"""E KL(E_T(X) || pi)."""

information = _result(
    "I_{T}",
    d * channel_of(a, _v),
    r"Gaussian channel, signal \(a\), noise \(v\)",
).equals(-d * sp.log(_v) / 2, by=r"\(a + v = 1\)")
"""Information I(X; X_T) that the encoder keeps."""

compensation = _result(
    r"{\mathcal{R}_{T}-I_{T}}", rate.expr - information.expr, "rate minus information"
).equals(prior.expr, by="the prior term again")
"""Rate - information = KL(P_T || pi)."""

gap = _result(
    r"\Delta",
    _v * d * (Expectation((_mu + _standard - _learned) ** 2) - (1 - 1 / n)) / 2,
    r"\(v|x-\hat{\mu}|^2/2\) at a fresh less at a training datum",
    n_min=1,
).equals(_v * d / n, by=r"variances \(1 + 1/n\) and \(1 - 1/n\)")
"""Generalization gap of the denoising loss."""

scale2 = _result(
    "R^{2}",
    d * Variance(_v * (1 + 1 / n) * _standard**2 / 2),
    r"variance of the loss, \(\hat{\mu}\) and \(x\) independent",
).equals(d * (_v * (1 + 1 / n)) ** 2 / 2, by="variance of a squared normal")
"""Left-sub-Gaussian constant of the denoising loss, squared."""

sample_information = _result(
    r"{I(\hat{\mu};X_i)}",
    d * channel_of(1 / n**2, (n - 1) / n**2),
    r"Gaussian channel: \(X_i/n\) among the others",
    n_min=1,
).equals(d * sp.log(n / (n - 1)) / 2, by="collecting logarithms")
"""Information of the learned mean about one datum."""

gap_is_bounded = gap.at_most(
    sp.sqrt(2 * scale2.expr * sample_information.expr), by=r"\(R\sqrt{2I}\)"
)
"""The information bound on the gap."""

tight = _result(
    r"\mathcal{B}_{\mathrm{tight}}",
    (score_error.expr - gap.expr)
    + prior.expr
    + sp.sqrt(2 * scale2.expr * sample_information.expr),
    "training loss, prior, bounded gap",
    n_min=1,
).equals(
    -_v * d / (2 * n) + a * M / 2 + _v * (1 + 1 / n) * d * sp.sqrt(sp.log(n / (n - 1)) / 2),
    by="collecting terms",
)
"""Theorem D+ with the divergence of the empirical law kept."""

tight_is_bound = path.at_most(tight.expr, by="the gap is bounded")

generator_information = _result(
    r"{I(\tilde{X};S|Z)}",
    d * channel_of(_v**2 / n, _v),
    r"Gaussian channel: signal \(v\hat{\mu}\), noise \(v\)",
)
"""Information between a generated sample and the training sample."""


def _energy(name: str, mismatch2: sp.Expr, by: str) -> Derivation:
    integral = sp.Integral(mismatch2.subs(B, -sp.log(a)), (b, 0, -sp.log(a)))
    return _result(name, d / 2 * integral, by)


_mean2 = Expectation(_learned**2)
energy_mean = _energy(
    r"A_{\mathbb{E}s}", sp.exp(-b) * Expectation((_learned - _mu) ** 2), "reference: mean score"
).equals(_v * d / (2 * n), by="variance of the sample mean")
"""Path energy against the mean score."""

energy_prior = _energy(r"A_{-x}", sp.exp(-b) * _mean2, "reference: score of the prior").equals(
    _v * (M + d / n) / 2, by="second moment of the sample mean"
)
"""Path energy against the prior's score."""

energy_zero = _energy(
    "A_{0}", 1 + sp.exp(b - 2 * B) * _mean2, "reference: zero, as in the paper"
).equals((-d * sp.log(a) + a * _v * (M + d / n)) / 2, by="second moment of the sample mean")
"""Path energy against zero: it grows with the clock even if nothing was learned."""

information_is_bounded = generator_information.at_most(
    energy_mean.expr, by=r"\(\log(1+x)\le x\)"
).at_most(energy_prior.expr, by=r"\(M\ge 0\)")
"""Truth, mean-score reference, prior reference."""

# The squared reconstruction loss |x - x~|^2 of the encoder-generator bound.
_w = 2 + _v**2 / n
_correlation2 = (_v / n) ** 2 / (1 + _v**2 / n)

squared_gap = _result(
    r"\Delta_{\mathrm{sq}}",
    2 * d * _v * Expectation((_mu + _standard - _mu) ** 2) / n,
    r"twice the covariance of \(\tilde{x}\) and \(X_i\)",
    n_min=1,
).equals(2 * d * _v / n, by="unit variance")
"""Generator-step gap of the squared loss."""

_difference = Normal("D", a * _mu, sp.sqrt(_w))
squared_scale2 = _result(
    r"R_{\mathrm{sq}}^{2}",
    d * Variance(_difference**2),
    r"variance of \(|x-\tilde{x}|^2\), \(D\sim N(a\mu,w)\)",
).equals(2 * d * _w**2 + 4 * _w * a**2 * M, by="fourth moment of a normal")
"""Left-sub-Gaussian constant of the squared loss, squared."""

generated_sample_information = _result(
    r"{I(\tilde{X};X_i)}",
    -d * sp.log(1 - _correlation2) / 2,
    r"Gaussian pair, \(\rho^2=(v/n)^2/(1+v^2/n)\)",
    n_min=1,
).equals(d * sp.log((1 + _v**2 / n) / (1 + _v**2 * (n - 1) / n**2)) / 2, by="collecting terms")
"""Information of one generated sample about one datum."""

squared_gap_is_bounded = squared_gap.at_most(
    sp.sqrt(2 * squared_scale2.expr * generated_sample_information.expr), by=r"\(R\sqrt{2I}\)"
)
"""Encoder-generator bound, generator step: exact gap against its bound."""

# The paper's form, with the conditional likelihood of the exact decoder as its loss. Its encoder
# term is a mean of R_1(S, X_i) sqrt(KL_i), which has no closed form: these are its ingredients.
offset2 = sp.Symbol(r"\|x-v\hat{\mu}\|^{2}", positive=True)

paper_base = _result(
    r"{\mathcal{B}_{\mathrm{paper}}-\mathrm{roots}}",
    d / 2 * (sp.log(2 * sp.pi * _v) + 1 - _v / n) - d / 2 * sp.log(2 * sp.pi * sp.E),
    r"training log-loss of the decoder less the entropy",
).equals(d * sp.log(_v) / 2 - d * _v / (2 * n), by="collecting terms")
"""What is left of the paper's form without its two square-root terms."""

encoder_scale2 = _result(
    "R_{1}^{2}",
    d * Variance((sp.sqrt(offset2 / d) - sp.sqrt(a) * _standard) ** 2 / (2 * _v)),
    "variance of the log-loss over the prior, one datum",
).equals((2 * d * a**2 + 4 * a * offset2) / (4 * _v**2), by="fourth moment of a normal")
"""Left-sub-Gaussian constant of the log-loss under the prior, squared, given one datum."""

_miss = Normal("M_d", a * _mu, sp.sqrt(1 + _v**2 / n))
generator_scale2 = _result(
    "R_{2}^{2}",
    d * Variance(_miss**2 / (2 * _v)),
    "variance of the log-loss over an independent datum",
).equals(
    (2 * d * (1 + _v**2 / n) ** 2 + 4 * (1 + _v**2 / n) * a**2 * M) / (4 * _v**2),
    by="fourth moment of a normal",
)
"""Left-sub-Gaussian constant of the log-loss under an independent datum, squared."""
