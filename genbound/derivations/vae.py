r"""Variational autoencoders: a bound on the test likelihood, and what the paper plots instead.

The encoder E(x) is a normal law on latents, the prior is pi = N(0, I), the generator has the
density g_theta(x|z), so p_theta(x) = E_pi g_theta(x|z). Letters are means over the sample S; a
hat marks a mean over the training data. Chen, Zhu and Shkurti 2025 (arXiv 2506.00849).
"""

import sympy as sp
from sympy.stats import Expectation, Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations import gaussian, linear_vae
from genbound.derivations.change_of_measure import gap, information, sample_gap, scale

d = sp.Symbol("d", positive=True, integer=True)
n = sp.Symbol("n", positive=True)

nll = sp.Symbol(r"\mathrm{NLL}", real=True)
nll_hat = sp.Symbol(r"\widehat{\mathrm{NLL}}", real=True)
nelbo = sp.Symbol(r"\mathrm{NELBO}", real=True)
distortion_hat = sp.Symbol(r"\hat{D}", real=True)
rate_hat = sp.Symbol(r"\hat{\mathcal{R}}", nonnegative=True)
nelbo_gap = sp.Symbol(r"\Delta_{\mathrm{NELBO}}", real=True)
information_encoder = sp.Symbol(r"{I(\phi;X_i|\theta)}", nonnegative=True)
information_pair = sp.Symbol(r"{I(\phi,\theta;X_i)}", nonnegative=True)

# The solvable family: d equal coordinates of a linear VAE that learns its centre c as the mean of
# n data. A datum lies around it with variance C (1 - 1/n) if it is among them, C (1 + 1/n) if not.
# The encoder is nearly the posterior, so that a wrong constant would show.
_t = sp.Symbol("t", positive=True)
_ends = {n: (1, None), _t: (sp.Rational(9, 10), sp.Rational(11, 10))}


def _closed_forms(sign: int) -> tuple[sp.Expr, ...]:
    """Likelihood, distortion and rate on training data (sign -1) or fresh data (sign 1)."""
    around = {
        linear_vae.mu: 0,
        linear_vae.b: 0,
        linear_vae.c: 0,
        linear_vae.A: linear_vae.optimum[linear_vae.A],
        linear_vae.q: linear_vae.optimum[linear_vae.q] * _t,
        linear_vae.C: linear_vae.C * (1 + sp.Integer(sign) / n),
    }
    log_loss = linear_vae.entropy.expr + linear_vae.model_kl.expr
    parts = (log_loss, linear_vae.distortion.expr, linear_vae.rate.expr)
    return tuple(d * part.subs(around, simultaneous=True) for part in parts)


_seen, _fresh = _closed_forms(-1), _closed_forms(1)
_witness_seen = dict(zip((nll_hat, distortion_hat, rate_hat), _seen, strict=True))

evidence = Derivation.of(nll_hat, nll_hat, by="on the training data", domain=_ends).granted(
    "<=",
    distortion_hat + rate_hat,
    cite="Kingma and Welling 2014",
    by=r"Jensen: \(-\log \mathbb{E}_{\pi}\,g(x|z)\) against the encoder",
    witness=_witness_seen,
)
"""The negative ELBO is at least the negative log-likelihood."""

nll_with_gap = Derivation.of(
    nll, nll_hat + gap, by="training value plus gap", domain=_ends
).at_most(distortion_hat + rate_hat + gap, by="evidence bound", using=[evidence])
"""The likelihood bound with the gap of -log p_theta kept as a letter."""

nll_information = nll_with_gap.at_most(
    distortion_hat + rate_hat + scale * sp.sqrt(2 * information),
    by=r"\(-\log p_{\theta}\) depends on \(\theta\) alone",
    using=[sample_gap],
)
"""Only the generator's information enters; the encoder is in the training value."""

nll_held_out = (
    Derivation.of(nll, nll, by="negative log-likelihood", domain=_ends)
    .granted(
        "<=",
        nelbo,
        cite="Kingma and Welling 2014",
        by="the same evidence bound on fresh data",
        witness={nll: _fresh[0], nelbo: _fresh[1] + _fresh[2]},
    )
    .equals(
        distortion_hat + rate_hat + nelbo_gap,
        by="training value plus gap",
        using=[
            Derivation.of(nelbo, distortion_hat + rate_hat + nelbo_gap, by="definition of the gap")
        ],
    )
)
"""The likelihood bound with the gap of the negative ELBO, to be measured on held-out data."""

_signal, _r1, _r2 = sp.symbols("q^2 r_1 r_2", positive=True)


# theta and phi see one signal through two noises; given theta its variance is the posterior's.
chain_rule = Derivation.of(
    information_pair, information_pair, by="encoder and generator together"
).granted(
    "=",
    information + information_encoder,
    cite="Cover and Thomas 2006, theorem 2.5.2",
    by="chain rule",
    witness={
        information: gaussian.channel_of(_signal, _r1),
        information_encoder: gaussian.channel_of(_signal * _r1 / (_signal + _r1), _r2),
        information_pair: gaussian.channel_of(_signal, 1 / (1 / _r1 + 1 / _r2)),
    },
)
"""Generator's information plus encoder's information, where both networks are in the loss."""

nelbo_information = (
    Derivation.of(nelbo, distortion_hat + rate_hat + gap, by="training value plus gap")
    .at_most(
        distortion_hat + rate_hat + scale * sp.sqrt(2 * information),
        by=r"the pair \((\phi,\theta)\)",
        using=[sample_gap],
    )
    .specialise({information: information_pair}, by="what the pair knows of a datum")
    .equals(
        distortion_hat + rate_hat + scale * sp.sqrt(2 * (information + information_encoder)),
        by="chain rule",
        using=[chain_rule],
    )
)
"""The same for the negative ELBO of fresh data: there the encoder's information does enter."""

# The learner of the witness, with data r times as wide as the generator's law. In whitened
# coordinates its loss is |y|^2 / 2 with y ~ N(0, r (1 -+ 1/n)).
ratio = sp.Symbol("r", positive=True)
_xi = Normal("xi", 0, 1)


def _loss(sign: int) -> sp.Expr:
    return ratio * (1 + sp.Integer(sign) / n) * _xi**2 / 2


learned_gap = Derivation.of(
    gap,
    d * (Expectation(_loss(1)) - Expectation(_loss(-1))),
    by=r"\(\frac12|y|^2\) at a fresh less at a training datum",
    domain={n: (1, None)},
).equals(ratio * d / n, by=r"variances \(r(1 \pm 1/n)\)")
"""Gap of the negative log-likelihood when the centre is learned."""

learned_scale2 = Derivation.of(
    scale**2, d * Variance(_loss(1)), by="variance of the loss of an independent datum"
).equals((ratio * (1 + 1 / n)) ** 2 * d / 2, by="variance of a squared normal")
"""Its left-sub-Gaussian constant, squared."""

learned_information = Derivation.of(
    information,
    d * gaussian.channel_of(1 / n**2, (n - 1) / n**2),
    by=r"Gaussian channel: \(X_i/n\) among the others",
    domain={n: (1, None)},
).equals(d * sp.log(n / (n - 1)) / 2, by="collecting logarithms")
"""What the learned centre knows of one datum."""

_u = sp.Symbol("u", positive=True)
_information_floor = learned_information.specialise(
    {n: 1 / _u}, by=r"\(u = 1/n\)", domain={_u: (0, 1)}
).at_least(d * _u / 2, by=r"\(-\log(1-u)\ge u\)")

learned_gap_is_bounded = (
    Derivation.of(
        sp.Symbol(r"{(R\sqrt{2\bar{I}})^{2}}", positive=True),
        2 * learned_scale2.expr.subs(n, 1 / _u) * information,
        by=r"the square of the bound, \(u=1/n\)",
        domain={_u: (0, 1)},
    )
    .at_least(
        2 * learned_scale2.expr.subs(n, 1 / _u) * d * _u / 2,
        by=r"\(-\log(1-u)\ge u\)",
        using=[_information_floor],
    )
    .at_least(learned_gap.expr.subs(n, 1 / _u) ** 2, by=r"\((1+u)^2\ge u\)")
)
"""The bound on the gap is at least the gap, in squares."""

# What the paper plots.
plotted = sp.Symbol(r"\mathcal{B}_{\mathrm{plotted}}", real=True)
mi_hat = sp.Symbol(r"\widehat{\mathrm{MI}}_{G}", nonnegative=True)
untrained = sp.Symbol(r"\hat{D}_{0}", real=True)
_r = sp.Symbol("r_{0}", nonnegative=True)

paper = Derivation.of(
    plotted,
    distortion_hat + (1 + _r) * sp.sqrt(rate_hat) + (1 + _r) * sp.sqrt(mi_hat / n),
    by="as plotted, with one hand-set constant",
).specialise({_r: 1}, by=r"the released code sets \(r_0 = 1\)")
"""Reconstruction plus roots of rate and "information": units of sqrt(2) R = 1."""

paper_previous = Derivation.of(
    sp.Symbol(r"\mathcal{B}_{\mathrm{previous}}", real=True),
    distortion_hat + sp.sqrt(rate_hat),
    by="as plotted",
)
"""The bound that the paper compares with, as its code evaluates it."""

disguise = Derivation.of(
    mi_hat, untrained - distortion_hat, by="as coded: against a decoder that is never trained"
).specialise({untrained: d * sp.log(2)}, by="untrained: every pixel a fair coin")
"""The plotted "information" of a binary image is a constant less the training reconstruction."""

# A bound with a free parameter, Mbacke, Clerc and Germain 2023, theorem 4.3: its two terms that
# depend on lambda.
_root = sp.Symbol(r"\sqrt{\hat{\mathcal{R}}}", positive=True)
_range = sp.Symbol("Delta_f", positive=True)
_lambda = sp.Symbol("lambda", positive=True)

optimised = Derivation.of(
    sp.Symbol("{f(\\lambda)}", real=True),
    n * _root**2 / _lambda + _lambda * _range**2 / (8 * n),
    by=r"loss of range \(\Delta_f\), any \(\lambda > 0\)",
).at_least(
    sp.sqrt(2) * (_range / 2) * _root, by=r"least at \(\lambda=\sqrt{8}\,n\sqrt{\hat R}/\Delta_f\)"
)
"""The best lambda gives the root of the rate with the sub-Gaussian constant of a bounded loss."""

attained = Derivation.of(
    optimised.lhs,
    optimised.steps[0].expr.subs(_lambda, sp.sqrt(8) * n * _root / _range),
    by=r"at the best \(\lambda\)",
).equals(optimised.expr, by="collecting terms")
"""The minimum is attained."""

# The self-tuned weight: move the weights a little, so that the rate is rate + h slope.
_slope = sp.Symbol(r"\hat{\mathcal{R}}'", real=True)
_h = sp.Symbol("h", real=True)
_rate = sp.Symbol(r"\hat{\mathcal{R}}", positive=True)

self_tuned = Derivation.of(
    sp.Symbol(r"{\partial_h\, R\sqrt{2\hat{\mathcal{R}}}}", real=True),
    sp.Subs(sp.Derivative(scale * sp.sqrt(2 * (_rate + _h * _slope)), _h), _h, 0),
    by=r"along any direction, \(\hat{\mathcal{R}}(h)=\hat{\mathcal{R}}+h\hat{\mathcal{R}}'\)",
).equals(scale / sp.sqrt(2 * _rate) * _slope, by="chain rule")
"""Minimising D + R sqrt(2 rate) is training with the weight R / sqrt(2 rate) on the rate."""
