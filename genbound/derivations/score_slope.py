r"""How steep a score is, and what becomes of an error that a reverse process carries along.

The slope \Lambda of a score is its one-sided Lipschitz constant: the largest eigenvalue of its
symmetrised Jacobian. Backwards in the clock b of a variance-preserving process an error grows at
the rate 1/2 + \Lambda, so that A_b = \exp\int_0^b(1/2 + \Lambda) is what a unit of it at b has
become at t_min. w = \alpha^2 is the share of the signal, w = u e^{-b}; u at t_min, a at the
horizon. Solved: one normal law, two bumps, anything in a ball.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.frozen_score import v
from genbound.derivations.linear_score import a, u

slope = sp.Symbol("Lambda", real=True)
gain = sp.Symbol("A_{B}", positive=True)
M = sp.Symbol("M", positive=True)
w = sp.Symbol("w", positive=True)


def noised(share: sp.Expr) -> sp.Expr:
    """Variance of noised N(., v) where the signal's share is `share`."""
    return 1 + (v - 1) * share


_v_u, _v_a = noised(u), noised(a)
_ends = {u: (0, 1), a: (0, 1)}

gaussian_slope = Derivation.of(
    slope, -1 / noised(w), by=r"score of \(N(\cdot,1+(v-1)w)\), \(w=\alpha^2\)"
)
"""A normal law contracts: the slope is that of its widest axis."""

gaussian_gain = Derivation.of(
    gain,
    sp.sqrt(a / u) * _v_u / _v_a,
    by=r"\(\exp\int_a^u(\frac12-\frac1{v_w})\frac{\mathrm{d}w}{w}\)",
    domain=_ends,
)
"""What a unit of error at the horizon has become at t_min, for the score of a normal law."""


def _rate(grown: Derivation, steepness: Derivation) -> Derivation:
    """The rate at which a gain grows along the clock."""
    logarithm = sp.expand_log(sp.log(grown.expr), force=True)
    return Derivation.of(
        sp.Symbol(r"{\partial_b\log A_b}", real=True),
        -a * sp.diff(logarithm, a),
        by=r"\(w=ue^{-b}\)",
        domain=_ends,
    ).equals(sp.Rational(1, 2) + steepness.expr.subs(w, a), by="half plus the slope")


gaussian_gain_equation = _rate(gaussian_gain, gaussian_slope)

# Where the exponent comes from: two bumps N(+-M, v) in one coordinate.
_x = sp.Symbol("x", real=True)
_width, _half = sp.symbols("k c", positive=True)
_bumps = -(_x**2) / (2 * _width) + sp.log(sp.cosh(_half * _x / _width))

steepest = (
    Derivation.of(
        sp.Symbol(r"{\partial_x s(x)}", real=True),
        sp.diff(_bumps, _x, 2),
        by=r"\(s=\partial_x\log p\), bumps of variance \(k\) at \(\pm c\)",
        domain={_x: (None, None)},
    )
    .equals(
        -1 / _width + _half**2 / _width**2 * (1 - sp.tanh(_half * _x / _width) ** 2),
        by="differentiate",
    )
    .at_most(-1 / _width + _half**2 / _width**2, by="largest at 0, between the bumps")
)
"""The slope of the score of two bumps; positive once they part."""

bump_slope = steepest.specialise(
    {_half: sp.sqrt(w) * M, _width: noised(w)},
    by=r"noised: \(c=\alpha M\), \(k=v_w\)",
    domain={w: (0, 1)},
)
"""The slope on the way, w = alpha^2."""

bump_gain = Derivation.of(
    gain,
    gaussian_gain.expr * sp.exp(M**2 * (u / _v_u - a / _v_a)),
    by=r"\(\int w M^2/v_w^2\,\mathrm{d}w/w\) added in the exponent",
    domain=_ends,
)
"""The exponential of M^2 w / v_w. For points, v = 0, w / v_w is the signal-to-noise ratio."""

bump_gain_equation = _rate(bump_gain, bump_slope)

support_slope = Derivation.of(
    slope,
    slope,
    by=r"score of data (or of a sample) in a ball of radius \(M\)",
    domain={w: (0, 1)},
).granted(
    "<=",
    -1 / (1 - w) + w * M**2 / (1 - w) ** 2,
    cite="Popoviciu 1935",
    by=r"\(\nabla s=-1/\sigma^2+\alpha^2\mathrm{Cov}(X\mid x_t)/\sigma^4\)",
    witness={slope: bump_slope.expr.subs(v, 0)},
)
"""For every law on a ball, two points at its ends are the worst: no score is steeper."""
