"""How far an average can move when the law changes: the lemmas behind every gap term."""

import sympy as sp

from genbound.derivation import Derivation

__all__ = ["gap", "gaussian_quadratic", "information", "nonnegative_loss", "scale", "transport"]

divergence = sp.Symbol(r"\mathrm{KL}", positive=True)
scale = sp.Symbol("R", positive=True)
slope = sp.Symbol("lambda", positive=True)
gap = sp.Symbol(r"\Delta", real=True)
information = sp.Symbol(r"\bar{I}", nonnegative=True)

_s2 = sp.Symbol("s^{2}", positive=True)
_d = sp.Symbol("d", positive=True, integer=True)

# f = |x|^2/2 with Q = N(0, I_d) and P = N(0, s^2 I_d), s < 1: both sides are closed forms.
_quadratic = {
    gap: _d * (1 - _s2) / 2,
    divergence: _d * (_s2 - 1 - sp.log(_s2)) / 2,
    scale: sp.sqrt(_d / 2),
}

transport = (
    Derivation.of(gap, gap, by=r"mean under \(Q\) less mean under \(P\)", domain={_s2: (0, 1)})
    .granted(
        "<=",
        divergence / slope + slope * scale**2 / 2,
        cite="Donsker and Varadhan 1983; Boucheron, Lugosi and Massart 2013, section 4.9",
        by=r"variational formula with \(-\lambda f\)",
        witness=_quadratic,
    )
    .specialise({slope: sp.sqrt(2 * divergence) / scale}, by=r"the best \(\lambda\)")
    .equals(scale * sp.sqrt(2 * divergence), by="collecting terms")
)
"""One-sided transport inequality: E_Q f <= E_P f + R sqrt(2 KL(P||Q)).

Only the left tail of f under Q is needed: log E exp(-lambda (f - E f)) <= lambda^2 R^2 / 2.
"""

_a, _b = sp.symbols("a b", positive=True)

gaussian_quadratic = Derivation.of(
    sp.Symbol(r"\log\,\mathbb{E}\,e^{-\lambda a(\xi+b)^2}"),
    -sp.log(1 + 2 * slope * _a) / 2 - slope * _a * _b**2 / (1 + 2 * slope * _a),
    by="Gaussian integral",
).at_most(
    -slope * _a * (1 + _b**2) + slope**2 * 2 * _a**2 * (1 + 2 * _b**2) / 2,
    by=r"\(-\lambda\) mean \(+\,\lambda^2/2\) variance",
)
"""A positive quadratic of a normal variable is left-sub-Gaussian with R^2 its variance."""

_loss = sp.Symbol("f", positive=True)
_second = sp.Symbol(r"{\mathbb{E}[f^{2}]}", positive=True)
_first = sp.Symbol(r"{\mathbb{E}[f]}", positive=True)

_pointwise = Derivation.of(
    sp.Symbol(r"e^{-\lambda f}"), sp.exp(-slope * _loss), by=r"for one value \(f \ge 0\)"
).at_most(1 - slope * _loss + (slope * _loss) ** 2 / 2, by="Taylor with a sign")

_laplace = sp.Symbol(r"{\mathbb{E}[e^{-\lambda f}]}", positive=True)

# The monotone step from one value of f to its mean, tried on an exponential variable.
_mean = Derivation.of(_laplace, _laplace, by="the mean").granted(
    "<=",
    1 - slope * _first + slope**2 * _second / 2,
    cite="monotonicity of the expectation",
    by="mean of the pointwise inequality",
    witness={_laplace: 1 / (1 + slope), _first: 1, _second: 2},
)

nonnegative_loss = (
    Derivation.of(
        sp.Symbol(r"\log\,\mathbb{E}\,e^{-\lambda f}"), sp.log(_laplace), by="definition"
    )
    .at_most(_laplace - 1, by=r"\(\log y \le y - 1\)")
    .at_most(-slope * _first + slope**2 * _second / 2, by="the mean", using=[_mean])
)
"""A non-negative loss is left-sub-Gaussian with R^2 = E f^2: no bounded loss is needed."""

# The sample mean of N(mu, I_d) under the loss w |x - mean|^2 / 2: chapter "solved exactly".
_n, _w = sp.symbols("n w", positive=True)
_mean_learner = {
    gap: _w * _d / _n,
    scale: _w * (1 + 1 / _n) * sp.sqrt(_d / 2),
    information: _d * sp.log(_n / (_n - 1)) / 2,
}

sample_gap = Derivation.of(
    gap, gap, by="population loss minus training loss", domain={_n: (1, None)}
).granted(
    "<=",
    scale * sp.sqrt(2 * information),
    cite="Xu and Raginsky 2017; Bu, Zou and Veeravalli 2020",
    by="transport for each datum, then concavity of the root",
    witness=_mean_learner,
)
"""Expected gap of a left-R-sub-Gaussian loss: Delta <= R sqrt(2 I), with I = mean_i I(theta; X_i).

For independent data I <= I(theta; S) / n, so a bound on the information in the whole sample
serves as well.
"""
