r"""The learner of a mean, stopped at t_min: every letter of the diffusion bounds in closed form.

Data P = N(mu, I_d), sample mean \hat{mu}, score -(x - alpha_t \hat{mu}), variance-preserving
process. With u = alpha_eps^2, r = alpha_T^2 / alpha_eps^2 (so a = u r) and M = |mu|^2. As in
:mod:`genbound.derivations.trade_off`, which is the limit u = 1, each line is d times one
coordinate of a frame in which all coordinates of mu equal sqrt(M / d).
"""

import sympy as sp
from sympy.stats import Expectation, Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations.gaussian import channel_of

u = sp.Symbol("u", positive=True)
r = sp.Symbol("r", positive=True)
n = sp.Symbol("n", positive=True)
d = sp.Symbol("d", positive=True, integer=True)
M = sp.Symbol("M", positive=True)

letters = (u, r, n, d, M)
"""Argument order of every compiled result of this file."""

domain = {u: (0, 1), r: (0, 1), n: (1, None)}

_a, _v = u * r, 1 - r
_w = sp.Symbol("w", positive=True)
_mu = sp.sqrt(M / d)
_learned = Normal(r"\hat{\mu}", _mu, 1 / sp.sqrt(n))
_standard = Normal("xi", 0, 1)


def _result(name: str, expr: sp.Expr, by: str) -> Derivation:
    ends = {symbol: domain[symbol] for symbol in domain if symbol in expr.free_symbols}
    return Derivation.of(sp.Symbol(name, real=True), expr, by=by, domain=ends | {_w: (0, 1)})


exact = _result(
    r"\mathrm{KL}(P_{\varepsilon}\|p_{\theta})",
    d * Expectation((sp.sqrt(u) * _mu - sp.sqrt(u) * _v * _learned) ** 2) / 2,
    r"\(p_\theta=N(\sqrt{u}(1-r)\hat{\mu},I)\)",
).equals(u * (r**2 * M + _v**2 * d / n) / 2, by="moments of the sample mean")
"""Expected divergence at t_min, nats."""

score_error = _result(
    r"\mathcal{L}_{\mathrm{ESM}}",
    d / 2 * sp.Integral(Expectation((_learned - _mu) ** 2), (_w, _a, u)),
    r"score error \(\sqrt{w}(\hat{\mu}-\mu)\) over the shares \(w\) of signal",
).equals(u * _v * d / (2 * n), by="variance of the sample mean")

prior = _result(
    r"\mathrm{KL}(P_{T}\|\pi)", d * (sp.sqrt(_a) * _mu) ** 2 / 2, "two normal laws"
).equals(u * r * M / 2, by="collecting terms")

_kernel = -u * _v - sp.log(1 - u) + sp.log(1 - _a)


kernel = _result(
    r"{\partial_w\ell_{0}}", sp.diff(-_w - sp.log(1 - _w), _w), r"\(\ell_0=-w-\log(1-w)\)"
).equals(
    Expectation((_standard * (1 / sp.sqrt(1 - _w) - sp.sqrt(1 - _w))) ** 2) / _w,
    by="squared distance of the kernel's score from the score of its mean",
)
"""The part of the denoising loss that no mean can remove, as a derivative in the share w."""

spread = _result(
    r"{\mathbb{E}(x-\hat{\mu})^{2}}",
    Expectation((sp.sqrt(1 + 1 / n) * _standard) ** 2),
    r"a fresh datum: \(x-\hat{\mu}\sim N(0,1+1/n)\)",
).equals(1 + 1 / n, by="second moment")

spread_hat = _result(
    r"{\hat{\mathbb{E}}(x-\hat{\mu})^{2}}",
    Expectation((sp.sqrt(1 - 1 / n) * _standard) ** 2),
    r"a training datum: \(X_i-\hat{\mu}\sim N(0,1-1/n)\)",
).equals(1 - 1 / n, by="second moment")


def _denoising(name: str, spread: Derivation) -> Derivation:
    expr = d * (u * _v * spread.expr + _kernel) / 2
    return _result(name, expr, r"integral of spread and kernel from \(a\) to \(u\)")


denoising = _denoising(r"\mathcal{L}_{\mathrm{DSM}}", spread)
denoising_hat = _denoising(r"\hat{\mathcal{L}}_{\mathrm{DSM}}", spread_hat)

gap = _result(
    r"\Delta", denoising.expr - denoising_hat.expr, "population less training loss"
).equals(u * _v * d / n, by="collecting terms")


def _information(name: str, signal: sp.Expr, noise: sp.Expr, by: str) -> Derivation:
    return _result(name, d * channel_of(signal, noise), by)


information_min = _information(
    r"I_{\varepsilon}", u, 1 - u, r"Gaussian channel, signal \(u\)"
).equals(-d * sp.log(1 - u) / 2, by=r"\(u+(1-u)=1\)")

information_end = _information("I_{T}", _a, 1 - _a, r"Gaussian channel, signal \(a=ur\)").equals(
    -d * sp.log(1 - _a) / 2, by=r"\(a+(1-a)=1\)"
)

information_pair = _information(
    r"{I(x_{\varepsilon};x_{T})}", r, 1 - r, r"Gaussian channel, signal \(r\)"
).equals(-d * sp.log(1 - r) / 2, by=r"\(r+(1-r)=1\)")

rate = _result(
    r"\mathcal{R}_{T}",
    d * Expectation(_a * (_mu + _standard) ** 2 - _a - sp.log(1 - _a)) / 2,
    r"mean of \(\mathrm{KL}(N(\sqrt{a}x,1-a)\|N(0,1))\)",
).equals((_a * M - d * sp.log(1 - _a)) / 2, by=r"moments of \(x\)")

scale = _result("R", u * _v * (1 + 1 / n) * sp.sqrt(d / 2), "root of the variance of the loss")

scale2 = _result(
    "R^{2}",
    d * Variance(u * _v * (1 + 1 / n) * _standard**2 / 2),
    r"variance of the loss, \(\hat{\mu}\) and \(x\) independent",
).equals(scale.expr**2, by="variance of a squared normal")

information = _information(
    r"{I(\hat{\mu};X_i)}",
    1 / n**2,
    (n - 1) / n**2,
    r"Gaussian channel: \(X_i/n\) among the others",
).equals(d * sp.log(n / (n - 1)) / 2, by="collecting logarithms")

gap_is_bounded = (
    _result(
        r"{\Delta^{2}/(2R^{2})}", gap.expr**2 / (2 * scale.expr**2), r"\(\Delta\le R\sqrt{2I}\)"
    )
    .equals(d / (n + 1) ** 2, by="collecting terms")
    .at_most(d / (2 * n), by=r"\((n+1)^2\ge 2n\)")
    .at_most(information.expr, by=r"\(\log(1+x)\ge x/(1+x)\)")
)
"""The information bound on the gap, squared to be free of roots."""

information_noised = _information(
    r"{I(\hat{\mu};X_i^{\varepsilon})}",
    u / n**2,
    (n - u) / n**2,
    r"regression of \(\hat{\mu}\) on the noised datum",
).equals(-d * sp.log(1 - u / n) / 2, by="collecting logarithms")


# The generator x_eps = sqrt(r) z + sqrt(u)(1 - r) mean + sqrt(1 - r) noise misses a datum by a
# normal variable; its loss is -log g(x | z).
def _square(mean: sp.Expr, variance: sp.Expr) -> Expectation:
    return Expectation(Normal("D", mean, sp.sqrt(variance)) ** 2)


miss_prior = _result(
    r"{\mathbb{E}_{\pi}\|x-g\|^{2}/d}",
    _square(sp.sqrt(u) * r * _mu, 1 + r + u * _v**2 / n),
    r"fresh datum, latent from the prior: variances 1, \(r\) and \(u(1-r)^2/n\) add",
).equals(1 + r + u * (r**2 * M / d + _v**2 / n), by="second moment")

miss_prior_hat = _result(
    r"{\hat{\mathbb{E}}_{\pi}\|x-g\|^{2}/d}",
    _square(sp.sqrt(u) * r * _mu, (1 - u / n) + r + u * r**2 / n),
    r"training datum \(x\): \(x-\sqrt{u}\hat{\mu}\sim N(0,1-u/n)\) apart from \(\hat{\mu}\)",
).equals(1 + r - u / n + u * r**2 * (M / d + 1 / n), by="second moment")

miss_encoder_hat = _result(
    r"{\hat{\mathbb{E}}_{E}\|x-g\|^{2}/d}",
    _square(sp.Integer(0), _v**2 * (1 - u / n) + r * _v),
    r"training datum, latent from its own encoder: \(\hat{\mu}\) drops out",
).equals(_v * (1 - u * _v / n), by="second moment")


def _loss(name: str, miss: Derivation) -> Derivation:
    expr = d * (sp.log(2 * sp.pi * _v) + miss.expr / _v) / 2
    return _result(name, expr, r"\(-\log g\) of a normal law with variance \(1-r\)")


loss_prior = _loss(r"\mathcal{N}_{\pi}", miss_prior)
loss_prior_hat = _loss(r"\hat{\mathcal{N}}_{\pi}", miss_prior_hat)
loss_encoder_hat = _loss(r"\hat{\mathcal{N}}_{E}", miss_encoder_hat)

_miss = Normal("M_d", sp.sqrt(u) * r * _mu, sp.sqrt(1 + u * _v**2 / n))
generator_scale2 = _result(
    "R_{2}^{2}",
    d * Variance(_miss**2 / (2 * _v)),
    "variance of the generator's loss over an independent datum",
).equals(
    d * (1 + u * _v**2 / n) * (1 + u * _v**2 / n + 2 * u * r**2 * M / d) / (2 * _v**2),
    by="fourth moment of a normal",
)

# One noised datum x at distance b from sqrt(u)(1 - r) mean: its own change of measure.
offset2 = sp.Symbol("b^{2}", positive=True)
point2 = sp.Symbol(r"\|x\|^{2}", positive=True)
encoder_scale2 = _result(
    "R_{1}^{2}",
    d * Variance((sp.sqrt(offset2 / d) - sp.sqrt(r) * _standard) ** 2 / (2 * _v)),
    "variance of the loss over the prior, one datum",
).equals((2 * d * r**2 + 4 * r * offset2) / (4 * _v**2), by="fourth moment of a normal")

encoder_rate = _result(
    r"\mathrm{KL}(E_{T|\varepsilon}(x)\|\pi)",
    (r * (point2 - d) - d * sp.log(1 - r)) / 2,
    "the encoder of one noised datum against the prior",
)

base = _result(
    r"{\hat{\mathcal{L}}_{\mathrm{DSM}}-I_{\varepsilon}}",
    denoising_hat.expr - information_min.expr,
    "what both forms have in common",
).equals(d * (sp.log(1 - _a) - u * _v / n) / 2, by="collecting logarithms")
"""Training loss less the information kept at t_min: explicit loss less encoder information,
less the divergence between the noised empirical law and the noised truth."""

path = _result(r"\mathcal{B}_{\mathrm{path}}", score_error.expr + prior.expr, "score plus prior")
"""The path bound; also D+ with the gap and the sample's distance from the truth kept."""

_root = scale.expr * sp.sqrt(2 * information.expr)

tight = _result(
    r"\mathcal{B}_{\mathrm{tight}}", base.expr + rate.expr + _root, "base, rate, bounded gap"
)
"""Theorem D+ with the sample's distance from the truth kept: it may be dropped, which adds it."""

generator_term = _result(
    r"{R_{2}\sqrt{2\bar{I}}}",
    sp.sqrt(2 * generator_scale2.expr * information.expr),
    "the paper's generator term, with the information of the weights",
)
"""Theorem C_eps is base + mean of R_1 sqrt(2 KL) over noised data + this term."""

nll = _result(
    r"\mathrm{NLL}_{\varepsilon}", exact.expr + d * sp.log(2 * sp.pi * sp.E) / 2, "plus entropy"
)

nll_bound = _result(
    r"\mathcal{B}_{\mathrm{NLL}}",
    denoising_hat.expr + rate.expr + _root + d * sp.log(2 * sp.pi * sp.E * (1 - u)) / 2,
    "training loss, rate, bounded gap, entropy of the last noise",
)
"""Theorem E; less the entropy of the noised truth it is :data:`tight`."""
