r"""The sub-Gaussian scale of a denoising loss: what can be known of it, and at which price.

Every bound on the gap of a training algorithm multiplies it. Three ways to a number: a bounded
loss, a loss less that of fixed reference weights, and a scale that may depend on the weights.
Losses are in the package's nats, 1/2 \int g^2 E|...|^2 dt of an Ornstein-Uhlenbeck process
with g^2 = 2, whose score relative to N(0, I) is bounded by A: |grad log p_t + x| <= A.
"""

import sympy as sp
from sympy.stats import Expectation, Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import sample_gap, scale
from genbound.derivations.linear_score import a, u
from genbound.derivations.pac_bayes import square_moment
from genbound.derivations.parameter_information import information
from genbound.derivations.sgld_solved import span, variance, weight
from genbound.derivations.trade_off import d, n

__all__ = [
    "bounded",
    "bounded_scale",
    "centred",
    "centred_tail",
    "hoeffding",
    "kernel_above",
    "kernel_below",
    "kernel_integral",
    "moving_scale",
    "moving_scale2",
    "parallelogram",
    "score_size",
    "size",
    "target",
    "target_integral",
]

size = sp.Symbol("D", positive=True)
score_size = sp.Symbol("A", positive=True)
moving_scale2 = sp.Symbol(r"\mathbb{E}R_{\theta}^{2}", positive=True)

_times = {u: (0, 1), a: (0, 1)}
_w = sp.Symbol("w", positive=True)
_xi = Normal("xi", 0, 1)
_x = sp.Symbol("x", real=True)
_share = sp.Symbol("r", positive=True)
_norm2 = sp.Symbol(r"\|z\|^{2}", positive=True)

# At the share w = e^{-2t} of signal the target is sqrt(w) z - w / sqrt(1 - w) noise.
target = Derivation.of(
    sp.Symbol(r"{\mathbb{E}\|v_{t}\|^{2}}", positive=True),
    d * Expectation((sp.sqrt(_w) * sp.sqrt(_norm2 / d) - _w / sp.sqrt(1 - _w) * _xi) ** 2),
    by=r"target \(\sqrt{w}z-\frac{w}{\sqrt{1-w}}\varepsilon\), \(w=e^{-2t}\)",
    domain={_w: (0, 1)},
).equals(_w * _norm2 + d * _w**2 / (1 - _w), by="moments of a normal")
"""Size of what the score is trained on, relative to N(0, I)."""


def _primitive(at: sp.Expr) -> sp.Expr:
    return (-at - sp.log(1 - at)) / 2


kernel_integral = Derivation.of(
    sp.Symbol(r"{\partial_{u}\int\frac{e^{-4t}}{\sigma_{t}^{2}}dt}", real=True),
    sp.diff(_primitive(u), u),
    by=r"primitive \(\frac12(-w-\log(1-w))\) in \(w=e^{-2t}\), \(dt=-dw/2w\)",
    domain=_times,
).equals(u**2 / (1 - u) / (2 * u), by="differentiate")
"""The noise's part of the target, integrated over time, is elementary."""

_noise_part = sp.Symbol(r"{\int_{t_{0}}^{\infty}\frac{e^{-4t}}{\sigma_{t}^{2}}dt}", positive=True)
kernel_above = Derivation.of(_noise_part, _primitive(u), by=r"\(u=e^{-2t_0}\)", domain=_times)
kernel_below = kernel_above.at_least(
    (sp.log(1 / (1 - u)) - 1) / 2, by=r"\(u<1\): it grows like \(\frac12\log\frac{1}{2t_0}\)"
)
kernel_above = kernel_above.at_most(sp.log(1 / (1 - u)) / 2, by=r"\(u>0\)")
"""Between these two: divergent, but only like a logarithm of the first time."""

_one, _two = sp.symbols("s_1 v_1", real=True)
parallelogram = Derivation.of(
    sp.Symbol(r"{(s-v)^{2}}", nonnegative=True), (_one - _two) ** 2, by="one coordinate"
).at_most(2 * _one**2 + 2 * _two**2, by=r"\((s+v)^2\ge0\)")

_loss = sp.Symbol(r"\ell", nonnegative=True)
_mean_square = sp.Symbol(r"{\int\mathbb{E}\|s-v_{t}\|^{2}dt}", nonnegative=True)
_s2 = sp.Symbol(r"{\int\mathbb{E}\|s\|^{2}dt}", nonnegative=True)
_v2 = sp.Symbol(r"{\int\mathbb{E}\|v_{t}\|^{2}dt}", nonnegative=True)

_score_part = Derivation.of(_s2, _s2, by="of the score", domain={_share: (0, 1)}).granted(
    "<=",
    score_size**2 * span,
    cite="definition of A",
    by=r"assumption: \(\|s\|\le A\)",
    witness={_s2: _share * score_size**2 * span},
)
target_integral = Derivation.of(
    _v2,
    sp.Integral(target.expr.subs(_norm2, size**2) / (2 * _w), (_w, a, u)),
    by=r"\(\|z\|\le D\), \(dt=-dw/2w\)",
    domain=_times,
).equals((u - a) / 2 * size**2 + d * (_primitive(u) - _primitive(a)), by="the integral")

bounded = (
    Derivation.of(_loss, _mean_square, by=r"\(\frac12g^2=1\)", domain=_times)
    .granted(
        "<=",
        2 * _s2 + 2 * _v2,
        cite="monotonicity of the integral",
        by="the inequality of one coordinate, over coordinates, noise and time",
        # Two times of weight one each, one coordinate, a score opposite to its target at both.
        witness={
            _mean_square: (2 * _one) ** 2 + (2 * _two) ** 2,
            _s2: _one**2 + _two**2,
            _v2: _one**2 + _two**2,
        },
    )
    .at_most(2 * score_size**2 * span + 2 * _v2, by="a bounded score", using=[_score_part])
    .equals(
        2 * score_size**2 * span + 2 * target_integral.expr,
        by="bounded data",
        using=[target_integral],
    )
)
"""Largest denoising loss of bounded data and a bounded score."""

_top = sp.Symbol("B", positive=True)
_slope = sp.Symbol("lambda", positive=True)
_laplace = sp.Symbol(r"{\log\,\mathbb{E}\,e^{-\lambda(\ell-\mathbb{E}\ell)}}", real=True)
hoeffding = Derivation.of(_laplace, _laplace, by=r"\(0\le\ell\le B\)").granted(
    "<=",
    _slope**2 * (_top / 2) ** 2 / 2,
    cite="Hoeffding 1963",
    by=r"scale \(R=B/2\)",
    # A loss that is 0 or B, each with probability one half.
    witness={_laplace: sp.log(sp.cosh(_slope * _top / 2))},
)
"""A bounded loss is sub-Gaussian; no smaller constant serves all laws."""

bounded_scale = Derivation.of(
    scale, bounded.expr / 2, by=r"\(R=B/2\): Hoeffding's lemma", domain=_times
)
"""Sub-Gaussian scale from boundedness alone: assumed, as a network's score is not bounded."""

# The learner of a mean: the loss less that of reference weights at distance |theta - theta_ref|.
_apart = sp.Symbol(r"\|\theta-\theta_{\star}\|", positive=True)
_fresh = Normal("z", 0, sp.sqrt(variance))
_difference = weight * ((_apart - _fresh) ** 2 - _fresh**2)
centred = Derivation.of(
    sp.Symbol(r"R_{\theta}^{2}", positive=True),
    Variance(_difference),
    by=r"variance of \(\ell(\theta,z)-\ell(\theta_{\star},z)\), one coordinate counts",
).equals((2 * weight * _apart * sp.sqrt(variance)) ** 2, by="moments of a normal")
"""Squared scale of the learner of a mean, less a reference: it vanishes with the distance."""

centred_tail = Derivation.of(
    sp.Symbol(r"{\log\,\mathbb{E}\,e^{-\lambda(f-\mathbb{E}f)}}", real=True),
    sp.log(
        sp.Integral(
            sp.exp(2 * _slope * weight * _apart * _x - _x**2 / (2 * variance))
            / sp.sqrt(2 * sp.pi * variance),
            (_x, -sp.oo, sp.oo),
        )
    ),
    by="the squares cancel: linear in the datum",
).equals(_slope**2 * centred.expr / 2, by="Gaussian integral")
"""It is normal: the scale is its standard deviation, and the tail is met with equality."""

# A scale of its own for each theta: the gap over its scale, then Cauchy and Schwarz.
_gap = sample_gap.lhs
_normalised2 = sp.Symbol(r"{\mathbb{E}(\mathcal{G}/R_{\theta})^{2}}", nonnegative=True)
_log_laplace = sp.Symbol(
    r"{\log\,\mathbb{E}\,e^{n(\mathcal{G}/R_{\theta})^{2}/4}}", nonnegative=True
)
_p, _q = sp.symbols("p q", positive=True)

moving_scale = (
    Derivation.of(_gap, _gap, by="population less training loss", domain={_share: (0, 1)})
    .granted(
        "<=",
        sp.sqrt(moving_scale2 * _normalised2),
        cite="Cauchy and Schwarz",
        by=r"\(\mathcal{G}=R_\theta\cdot\mathcal{G}/R_\theta\)",
        # Two weights of probability r and 1 - r, scales p and q, gaps p and p q.
        witness={
            _gap: _share * _p + (1 - _share) * _p * _q,
            moving_scale2: _share * _p**2 + (1 - _share) * _q**2,
            _normalised2: _share + (1 - _share) * _p**2,
        },
    )
    .granted(
        "<=",
        sp.sqrt(moving_scale2 * 4 / n * (information + _log_laplace)),
        cite="Donsker and Varadhan 1983",
        by=r"variational formula for \(n(\mathcal{G}/R_\theta)^2/4\), weights and sample apart",
        # A copy of the sample's gap, a normal law of variance (1 + p) / n against 1 / n.
        witness={
            _normalised2: (1 + _p) / n,
            information: (_p - sp.log(1 + _p)) / 2,
            _log_laplace: sp.log(2) / 2,
        },
    )
    .granted(
        "<=",
        2 * sp.sqrt(moving_scale2 * (information + sp.log(2) / 2) / n),
        cite="monotonicity of the logarithm",
        by="square moment of a sub-Gaussian gap",
        witness={_log_laplace: sp.log(square_moment.expr)},
    )
)
"""Expected gap where the scale may depend on the weights: its mean square enters."""
