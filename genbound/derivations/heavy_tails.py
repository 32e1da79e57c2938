r"""Heavy tails in training: made by batches, or put in by the noise.

A linear score W x at one time is trained with batches of b states x ~ N(0, v I): a step
multiplies what is wrong by the random matrix I - 2\eta\overline{xx^T}. In one coordinate Kesten's
theorem gives the tail index \alpha of the weights: E|1 - 2\eta v\chi_b^2/b|^\alpha = 1. That this
happens in training is due to Hodgkinson and Mahoney 2021 and Gurbuzbalaban, Simsekli and Zhu
2021. The other source is noise of a stable law, W <- W - \eta g + \sigma\eta^{1/\alpha}L with
E e^{i\xi L} = e^{-|\xi|^\alpha}. The generalization bound for it is that of Dupuis and Simsekli
2024 (arXiv 2402.07723), with constants read in their code, not in their paper: it is granted, and
tied to what :mod:`sgld` proves where \alpha = 2.
"""

import sympy as sp
from sympy.stats import ChiSquared, Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import pac_bayes, sgld
from genbound.derivations.parameter_information import rate, steps

batch = sp.Symbol("b", positive=True, integer=True)
v = sp.Symbol("v", positive=True)
d = sp.Symbol("d", positive=True, integer=True)
index = sp.Symbol("alpha", positive=True)

_chi2 = ChiSquared("q", batch)

second_moment = Derivation.of(
    sp.Symbol(r"\mathbb{E}A^{2}", positive=True),
    Expectation((1 - 2 * rate * v * _chi2 / batch) ** 2),
    by=r"\(A=1-2\eta\,\overline{x^2}\), \(b\,\overline{x^2}/v\sim\chi^2_b\)",
).equals(1 - 4 * rate * v + 4 * rate**2 * v**2 * (1 + 2 / batch), by="moments of chi-square")
"""Mean square of a step's factor, one coordinate."""

edge = 1 / (v * (1 + 2 / batch))

finite_variance = second_moment.specialise({rate: edge}, by=r"\(\eta=1/(v(1+2/b))\)").equals(
    1, by="collecting terms"
)
"""From this rate on the tail index is at most 2: the weights have no variance."""

_first, _others = Normal("x_1", 0, sp.sqrt(v)), ChiSquared("q", d - 1)

own_square = Derivation.of(
    sp.Symbol(r"\mathbb{E}[x_{1}^{2}\|x\|^{2}]", positive=True),
    Expectation(_first**4) + Expectation(_first**2) * v * Expectation(_others),
    by=r"\(\|x\|^2=x_1^2+v\chi^2_{d-1}\)",
    domain={d: (1, None)},
).equals(v**2 * (d + 2), by="moments")
"""One state with itself in the square of the batch's matrix."""

second_moment_isotropic = Derivation.of(
    sp.Symbol(r"\mathbb{E}\|Ae_{1}\|^{2}", positive=True),
    1
    - 4 * rate * Expectation(_first**2)
    + 4 * rate**2 * (own_square.expr / batch + (1 - 1 / batch) * Expectation(_first**2) ** 2),
    by=r"\(A=I-2\eta\,\overline{xx^T}\): \(b\) squares, \(b(b-1)\) pairs",
).equals(1 - 4 * rate * v + 4 * rate**2 * v**2 * (1 + (d + 1) / batch), by="collecting terms")
"""The same in d coordinates."""

edge_isotropic = 1 / (v * (1 + (d + 1) / batch))

finite_variance_isotropic = second_moment_isotropic.specialise(
    {rate: edge_isotropic}, by=r"\(\eta=1/(v(1+(d+1)/b))\)"
).equals(1, by="collecting terms")
"""In d coordinates the second moment is lost earlier."""

# A perpetuity whose law is known: X = A (1 + X), A beta prime (p, p + q), X beta prime (p, q).
_p, _q, _z = sp.symbols("p q z", positive=True)


def _moment(first: sp.Expr, second: sp.Expr) -> sp.Expr:
    """Moment of order z of the beta prime law, infinite from z = second on."""
    return sp.gamma(first + _z) * sp.gamma(second - _z) / (sp.gamma(first) * sp.gamma(second))


perpetuity = Derivation.of(
    sp.Symbol(r"\mathbb{E}[A^{z}(1+X)^{z}]", positive=True),
    _moment(_p, _p + _q)
    * sp.gamma(_q - _z)
    * sp.gamma(_p + _q)
    / (sp.gamma(_q) * sp.gamma(_p + _q - _z)),
    by=r"\(A\sim\beta'(p,p+q)\) and \(1/(1+X)\sim\beta(q,p)\), independent",
    domain={_q: (2, None), _z: (0, 2)},
).equals(_moment(_p, _q), by=r"\(\mathbb{E}X^z\), \(X\sim\beta'(p,q)\): the law is stationary")
"""A solved case: the stationary law has the tail index q."""

_mean_power = sp.Symbol(r"\mathbb{E}|A|^{\alpha}", positive=True)

kesten = Derivation.of(
    _mean_power, _mean_power, by="at the tail index of the stationary law"
).granted(
    "=",
    sp.Integer(1),
    cite="Kesten 1973; Goldie 1991",
    by=r"\(\theta\leftarrow A\theta+B\), independent steps, \(\mathbb{E}\log|A|<0\)",
    witness={_mean_power: _moment(_p, _p + _q).subs(_z, _q)},
)
"""Multiplicative noise makes power tails, light as the noise may be."""

# Stable noise on a linear gradient.
keep = sp.Symbol("r", positive=True)
noise_scale = sp.Symbol("sigma", positive=True)

stable_scale = Derivation.of(
    sp.Symbol(r"\gamma_{K}^{\alpha}", positive=True),
    noise_scale**index * rate * (1 - keep ** (index * steps)) / (1 - keep**index),
    by=r"a sum of \(r^kL_k\): the scales add in the power \(\alpha\)",
    domain={keep: (0, 1)},
)
"""Scale, to the power alpha, of the weights after K steps that keep the share r of the way."""

stable_recursion = Derivation.of(
    sp.Symbol(r"\gamma_{K+1}^{\alpha}", positive=True),
    stable_scale.expr.subs(steps, steps + 1),
    by="one step more",
    domain={keep: (0, 1)},
).equals(
    keep**index * stable_scale.expr + noise_scale**index * rate,
    by=r"\(|r|^\alpha\) times what was, plus the step's",
)
"""The closed form obeys the recursion; at K = 0 it is 0."""

# The constant of the bound, as the authors' code has it, and its end at alpha = 2.
constant = sp.Symbol(r"K_{\alpha,p}", positive=True)
weights = sp.Symbol("p", positive=True, integer=True)
radius = sp.Symbol("rho", positive=True)
_coded = (2 - index) * sp.gamma(1 - index / 2) / (index * 2 ** (index / 2))
_smooth = 2 * sp.gamma(2 - index / 2) / (index * 2 ** (index / 2))

stable_constant = Derivation.of(
    constant,
    _coded * weights ** (1 - index / 2),
    by="Dupuis and Simsekli 2024, from their code",
).equals(_smooth * weights ** (1 - index / 2), by=r"\(z\Gamma(z)=\Gamma(z+1)\)")
"""The second form has no pole: it also serves at alpha = 2."""

gaussian_constant = Derivation.of(
    constant, stable_constant.expr.subs(index, 2), by=r"\(\alpha=2\)"
).equals(sp.Rational(1, 2), by="arithmetic")
"""One half, whatever the number of weights."""

# Cauchy noise and a constant gradient g: after K steps two Cauchy laws of one scale.
_slope = sp.Symbol("g", positive=True)
cauchy_shift = _slope * rate * steps
cauchy_scale = noise_scale * rate * steps

cauchy = Derivation.of(
    sgld.divergence,
    sp.log(1 + cauchy_shift**2 / (4 * cauchy_scale**2)),
    by=r"\(\alpha=1\): Cauchy laws of scale \(\sigma\eta K\), shifted by \(\eta Kg\)",
).at_most(_slope**2 / (4 * noise_scale**2), by=r"\(\log(1+x)\le x\), equal for small \(g\)")
"""Divergence of two Cauchy laws (Chyzak and Nielsen 2019, arXiv 1905.10965), symmetric."""

cauchy_radius = sp.sqrt(2 * sp.pi) * cauchy_scale
"""The largest radius with which the bound on stable noise holds in that case."""

stable_complexity = Derivation.of(
    sgld.divergence, sgld.divergence, by="of the weights; reference without gradients"
).granted(
    "<=",
    constant * sgld.gradients / (2 * radius ** (2 - index) * noise_scale**index),
    cite="Dupuis and Simsekli 2024, constants from their code",
    by=r"entropy flow along a stable process; \(\rho\): a radius that its laws allow, assumed",
    witness={
        sgld.divergence: cauchy.steps[0].expr,
        constant: stable_constant.expr.subs({index: 1, weights: 1}),
        sgld.gradients: rate * steps * _slope**2,
        radius: cauchy_radius,
        index: sp.Integer(1),
    },
)
"""Divergence from the same noise without gradients; at alpha = 2 the line of :mod:`sgld`."""

stable_gap = pac_bayes.at_divergence(stable_complexity, "stable noise")
"""The gap of a sub-Gaussian loss, with high probability over the sample."""
