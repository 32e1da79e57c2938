r"""How much nearer a generated sample can lie to its training data than to fresh data.

For a kernel k with values in [0, 1] the memorization gap is

    Gamma = E[ mean_i k(X~, X_i) - k(X~, X) ],    X fresh,

and a loss of one generated sample: the information of the sample, not of the weights, bounds it.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import trade_off
from genbound.derivations.change_of_measure import gap, sample_gap, scale, slope
from genbound.derivations.change_of_measure import information as bar_information
from genbound.derivations.generator import (
    energy,
    information,
    mean_information,
    mean_wise,
    reference_score,
)
from genbound.derivations.trade_off import M, a, d, n

memorization_gap = sp.Symbol(r"\Gamma", real=True)
bandwidth2 = sp.Symbol("h^{2}", positive=True)

_p = sp.Symbol("p", positive=True)
_laplace = sp.Symbol(r"{\log\mathbb{E}\,e^{\lambda(k-\mathbb{E}k)}}", real=True)

bounded_kernel = Derivation.of(
    _laplace, _laplace, by=r"a kernel with values in \([0,1]\)", domain={_p: (0, 1)}
).granted(
    "<=",
    slope**2 * sp.Rational(1, 2) ** 2 / 2,
    cite="Hoeffding 1963; Boucheron, Lugosi and Massart 2013, lemma 2.2",
    by=r"sub-Gaussian with \(R=1/2\)",
    # A kernel that is 1 with probability p and else 0; equality to second order at p = 1/2.
    witness={_laplace: sp.log(1 - _p + _p * sp.exp(slope)) - _p * slope},
)
"""A number in [0, 1] is 1/2-sub-Gaussian: Hoeffding's lemma."""

memorization = (
    sample_gap.specialise(
        {gap: memorization_gap, scale: sp.Rational(1, 2), bar_information: mean_information},
        by=r"loss \(-k(\tilde{X},\cdot)\), which is \(1/2\)-sub-Gaussian",
    )
    .equals(sp.sqrt(mean_information / 2), by="collecting terms")
    .at_most(sp.sqrt(information / (2 * n)), by="from one datum to all", using=[mean_wise])
    .at_most(sp.sqrt(energy / (2 * n)), by="reference score", using=[reference_score])
)
"""Corollary M: Gamma <= sqrt(A / (2 n)) for every reference that has not seen the sample."""

# A Gaussian kernel in the solvable case: X~ - X and X~ - X_i are normal in each coordinate.
_curvature, _tilt = sp.symbols("A b", positive=True)
_x = sp.Symbol("x", real=True)

gaussian_integral = Derivation.of(
    sp.Symbol(r"{\int e^{-Ax^2/2+bx}}", real=True),
    sp.Integral(sp.exp(-_curvature * _x**2 / 2 + _tilt * _x), (_x, -sp.oo, sp.oo)),
    by="a Gaussian integral",
).equals(
    sp.sqrt(2 * sp.pi / _curvature) * sp.exp(_tilt**2 / (2 * _curvature)),
    by="complete the square",
)

_m = sp.Symbol("m", positive=True)
_s2 = sp.Symbol("s^{2}", positive=True)

kernel_mean = Derivation.of(
    sp.Symbol(r"{\mathbb{E}\,e^{-D^2/2h^2}}", real=True),
    sp.exp(-(_m**2) / (2 * _s2))
    / sp.sqrt(2 * sp.pi * _s2)
    * gaussian_integral.expr.subs({_curvature: 1 / bandwidth2 + 1 / _s2, _tilt: _m / _s2}),
    by=r"\(D\sim N(m,s^2)\): \(A=1/h^2+1/s^2\), \(b=m/s^2\)",
).equals(
    sp.sqrt(bandwidth2 / (bandwidth2 + _s2)) * sp.exp(-(_m**2) / (2 * (bandwidth2 + _s2))),
    by="collecting terms",
)
"""Mean of a Gaussian kernel at a normal difference, one coordinate."""

_v = 1 - a
_fresh = 2 + _v**2 / n
_seen = _fresh - 2 * _v / n


_near, _far = sp.symbols(r"\kappa_{\mathrm{seen}} \kappa_{\mathrm{fresh}}", positive=True)


def _kernel(variance: sp.Expr) -> sp.Expr:
    """One coordinate: the difference has mean a sqrt(M / d), since X~ has mean v mu."""
    return kernel_mean.expr.subs({_s2: variance, _m: a * sp.sqrt(M / d)})


solved_gap = Derivation.of(
    memorization_gap,
    _near**d - _far**d,
    by=r"mean kernel at a training less at a fresh datum, \(d\) equal coordinates",
).specialise(
    {_near: _kernel(_seen), _far: _kernel(_fresh)},
    by=r"variances \(2+v^2/n-2v/n\) and \(2+v^2/n\), means \(a\sqrt{M/d}\)",
    domain={a: (0, 1), n: (1, None)},
)
"""The memorization gap of the mean learner with a Gaussian kernel, in closed form."""

gap_is_bounded = solved_gap.at_most(
    sp.sqrt(trade_off.generator_information.expr / (2 * n)), by="the information of the sample"
).at_most(sp.sqrt(trade_off.energy_mean.expr / (2 * n)), by="reference: the mean score")
"""Corollary M in the solvable case."""
