"""How far an average can move when the law changes: the lemmas behind every gap term."""

import sympy as sp
from sympy.stats import Expectation, Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations import gaussian

__all__ = [
    "divergence",
    "gamma_tail",
    "gamma_scale",
    "gap",
    "gaussian_quadratic",
    "information",
    "left_tail",
    "nonnegative_loss",
    "pointwise",
    "quadratic_moments",
    "sample_gap",
    "scale",
    "slope",
    "transport",
    "transport_at_slope",
    "transport_gamma",
    "variance_factor",
    "variational",
]

divergence = sp.Symbol(r"\operatorname{KL}", positive=True)
scale = sp.Symbol("R", positive=True)
slope = sp.Symbol("lambda", positive=True)
gap = sp.Symbol(r"\Delta", real=True)
information = sp.Symbol(r"\bar{I}", nonnegative=True)
variance_factor = sp.Symbol("v", positive=True)
gamma_scale = sp.Symbol("c", positive=True)

_d = sp.Symbol("d", positive=True, integer=True)

# The variational formula. The tilted law Q_f has the density q e^f / z, with z = E_Q e^f.
_p, _q, _z = sp.symbols("p q z", positive=True)
_f = sp.Symbol("f", real=True)
_tilted = _q * sp.exp(_f) / _z

pointwise = Derivation.of(
    sp.Symbol(r"{f-\log z}"), _f - sp.log(_z), by=r"at one point, \(z=\mathbb{E}_Qe^{f}\)"
).equals(sp.log(_p / _q) - sp.log(_p / _tilted), by=r"the tilted density is \(q_f = q\,e^{f}/z\)")
"""The identity behind the variational formula, before any mean is taken."""

_mean_p = sp.Symbol(r"{\mathbb{E}_P[f]}", real=True)
_mean_q = sp.Symbol(r"{\mathbb{E}_Q[f]}", real=True)
_log_laplace = sp.Symbol(r"{\log\,\mathbb{E}_Q[e^{f}]}", real=True)
_to_tilted = sp.Symbol(r"\mathrm{KL}(P\|Q_f)", nonnegative=True)
_functional = sp.Symbol("{J(f)}", real=True)
_m, _c = sp.symbols("m c", real=True)
_s2 = sp.Symbol("s^{2}", positive=True)


# P = N(m, s^2), Q = N(0, 1) and f = c x: the tilted law is N(c, 1).
_shifted = {
    _mean_p: _c * _m,
    _log_laplace: _c**2 / 2,
    divergence: gaussian.kl_of(_m, _s2),
    _to_tilted: gaussian.kl_of(_m - _c, _s2),
}

variational = (
    Derivation.of(_functional, _mean_p - _log_laplace, by="definition")
    .granted(
        "=",
        divergence - _to_tilted,
        cite="Donsker and Varadhan 1983; Boucheron, Lugosi and Massart 2013, section 4.9",
        by=r"mean under \(P\) of the pointwise identity",
        witness=_shifted,
    )
    .at_most(divergence, by="a divergence is not negative")
)
"""Donsker and Varadhan: E_P f - log E_Q e^f <= KL(P||Q), equality where P is the tilted law."""

# One side only: the formula for -lambda f, lambda > 0.
_left_laplace = sp.Symbol(r"{\log\,\mathbb{E}_Q[e^{-\lambda f}]}", real=True)
_left_functional = sp.Symbol(r"{J(-\lambda f)}", real=True)
_left_variational = variational.specialise(
    {_functional: _left_functional}, by=r"\(-\lambda f\) for \(f\)"
)
_left_definition = Derivation.of(_left_functional, -slope * _mean_p - _left_laplace)

left_tail = Derivation.of(_left_laplace, _left_laplace, by="left tail").granted(
    "<=",
    -slope * _mean_q + slope**2 * scale**2 / 2,
    cite="definition of R",
    by=r"assumption: \(f\) is left-\(R\)-sub-Gaussian under \(Q\)",
    # f = R x + c under N(0, 1), where the two sides agree.
    witness={_left_laplace: -slope * _c + (slope * scale) ** 2 / 2, _mean_q: _c},
)
"""What the constant R promises: only of the left tail of f under Q."""

_moved = (
    Derivation.of(gap, _mean_q - _mean_p, by=r"mean under \(Q\) less mean under \(P\)")
    .equals(
        _mean_q + (_left_functional + _left_laplace) / slope,
        by=r"definition of \(J(-\lambda f)\)",
        using=[_left_definition],
    )
    .at_most(
        _mean_q + (divergence + _left_laplace) / slope,
        by="variational formula",
        using=[_left_variational],
    )
)

transport_at_slope = _moved.at_most(
    divergence / slope + slope * scale**2 / 2, by="the left tail", using=[left_tail]
)
"""The inequality at one lambda: what the divergence costs plus what the tail costs."""

transport = transport_at_slope.specialise(
    {slope: sp.sqrt(2 * divergence) / scale}, by=r"\(\lambda=\sqrt{2\,\mathrm{KL}}/R\), the best"
)
"""One-sided transport inequality: E_Q f <= E_P f + R sqrt(2 KL(P||Q)).

Only the left tail of f under Q is needed: log E exp(-lambda (f - E f)) <= lambda^2 R^2 / 2.
"""

# Heavier left tails. Witness: f = -X, X gamma with shape k and scale c, so that v = k c^2.
_share, _rest = sp.symbols("r w", positive=True)
_shape = sp.Symbol("k", positive=True)
_gamma_domain = {_share: (0, 1)}

gamma_tail = Derivation.of(
    sp.Symbol(r"{\log\,\mathbb{E}\,e^{\lambda(X-\mathbb{E}X)}}", real=True),
    -_shape * sp.log(1 - _share) - _shape * _share,
    by=r"gamma law of shape \(k\), \(r=c\lambda\)",
    domain=_gamma_domain,
).at_most(_shape * _share**2 / (2 * (1 - _share)), by=r"\(\lambda^2 v/2(1-c\lambda)\)")
"""A gamma variable is sub-gamma, with v its variance and c its scale."""

_heavy_tail = Derivation.of(
    _left_laplace, _left_laplace, by="left tail", domain=_gamma_domain
).granted(
    "<=",
    -slope * _mean_q + slope**2 * variance_factor / (2 * (1 - gamma_scale * slope)),
    cite="definition of v and c",
    by=r"assumption: \(f\) is left-sub-gamma, \(\lambda<1/c\)",
    witness={
        _left_laplace: -_shape * sp.log(1 - _share),
        _mean_q: -_shape * gamma_scale,
        slope: _share / gamma_scale,
        variance_factor: _shape * gamma_scale**2,
    },
)

transport_gamma = (
    _moved.at_most(
        divergence / slope + slope * variance_factor / (2 * (1 - gamma_scale * slope)),
        by="the heavier left tail",
        using=[_heavy_tail],
    )
    .specialise({slope: 1 / (gamma_scale + _rest)}, by=r"\(\lambda=1/(c+w)\)")
    .equals(divergence * (gamma_scale + _rest) + variance_factor / (2 * _rest), by="fractions")
    .specialise(
        {_rest: sp.sqrt(variance_factor / (2 * divergence))},
        by=r"\(\lambda=1/(c+w)\) with \(w=\sqrt{v/2\,\mathrm{KL}}\), the best",
    )
    .equals(
        sp.sqrt(2 * variance_factor * divergence) + gamma_scale * divergence,
        by="collecting terms",
    )
)
"""The same for a left-sub-gamma f: E_Q f <= E_P f + sqrt(2 v KL) + c KL."""

# Quadratics of a normal variable.
_a = sp.Symbol("a", positive=True)
_b = sp.Symbol("b", real=True)
_x = sp.Symbol("x", real=True)
_xi = Normal("xi", 0, 1)
_quadratic = _a * (_xi + _b) ** 2
_square = -slope * _a + slope**2 * _a**2
_offset = -slope * _a * _b**2

quadratic_moments = Derivation.of(
    sp.Symbol(r"{\lambda^{2}\mathrm{Var}(f)/2-\lambda\,\mathbb{E}f}", real=True),
    slope**2 * Variance(_quadratic) / 2 - slope * Expectation(_quadratic),
    by=r"\(f=a(\xi+b)^2\)",
).equals(_square + _offset + 2 * slope**2 * _a**2 * _b**2, by="moments of a normal")
"""Mean a (1 + b^2) and variance 2 a^2 (1 + 2 b^2)."""

gaussian_quadratic = (
    Derivation.of(
        sp.Symbol(r"\log\,\mathbb{E}\,e^{-\lambda a(\xi+b)^2}"),
        sp.log(
            sp.Integral(
                sp.exp(-slope * _a * (_x + _b) ** 2 - _x**2 / 2) / sp.sqrt(2 * sp.pi),
                (_x, -sp.oo, sp.oo),
            )
        ),
        by="normal density",
    )
    .equals(
        -sp.log(1 + 2 * slope * _a) / 2 + _offset / (1 + 2 * slope * _a), by="Gaussian integral"
    )
    .at_most(_square + _offset / (1 + 2 * slope * _a), by=r"\(\log(1+x)\ge x-x^2/2\)")
    .at_most(_square + _offset + 2 * slope**2 * _a**2 * _b**2, by=r"\(-\frac{1}{1+x}\le x-1\)")
    .equals(
        quadratic_moments.lhs,
        by=r"\(-\lambda\) mean \(+\,\lambda^2/2\) variance",
        using=[quadratic_moments],
    )
)
"""A positive quadratic of a normal variable is left-sub-Gaussian with R^2 its variance.

Logarithms of Laplace transforms add over independent coordinates, and so do means and variances:
the same holds for sums of such quadratics.
"""

# A loss that is not negative.
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

# Data X = +1 or -1, a learner that keeps a copy W of one datum, right with probability
# (1 + rho) / 2, and the loss -R W X: as rho tends to 0 the two sides agree.
_rho = sp.Symbol("rho", positive=True)
_mean_root = sp.Symbol(r"\overline{\sqrt{I}}", nonnegative=True)
_copied = ((1 + _rho) * sp.log(1 + _rho) + (1 - _rho) * sp.log(1 - _rho)) / 2
_copier = {gap: scale * _rho, information: _copied, _mean_root: sp.sqrt(_copied)}

sample_gap = (
    Derivation.of(gap, gap, by="population loss minus training loss", domain={_rho: (0, 1)})
    .granted(
        "<=",
        sp.sqrt(2) * scale * _mean_root,
        cite="Xu and Raginsky 2017; Bu, Zou and Veeravalli 2020",
        by="transport for each datum, then the mean over data",
        witness=_copier,
    )
    .granted(
        "<=",
        scale * sp.sqrt(2 * information),
        cite="Jensen",
        by="concavity of the root",
        # Two values of the information, alpha^2 and beta^2, with weights rho and 1 - rho.
        witness={
            _mean_root: _rho * _p + (1 - _rho) * _q,
            information: _rho * _p**2 + (1 - _rho) * _q**2,
        },
    )
)
"""Expected gap of a left-R-sub-Gaussian loss: Delta <= R sqrt(2 I), with I = mean_i I(theta; X_i).

For independent data I <= I(theta; S) / n, so a bound on the information in the whole sample
serves as well.
"""
