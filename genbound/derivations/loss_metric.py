r"""The worst gap along a trajectory, from distances between losses instead of weights.

The distance of two iterates is the mean absolute difference of their losses on the training
sample, \rho_S. It feels no reparametrisation and needs no Lipschitz constant. But it knows the
sample, so the centres of its balls do, and a union bound over them proves nothing of the
population. Random signs do: given the sample they are fresh, and the price is a factor of two
and a loss with values in an interval of length 2R. The proof for a metric that doesn't know the
data, :mod:`genbound.derivations.topology`, must not be used with \rho_S.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import scale, slope
from genbound.derivations.topology import (
    alpha,
    cover,
    dependence,
    effective,
    failure,
    lifetimes,
    multiple,
    positive_magnitude,
    worst_gap,
)
from genbound.derivations.trade_off import n

__all__ = ["lifetimes_bound", "magnitude_bound", "rademacher", "symmetrised"]

rademacher = sp.Symbol(r"\mathfrak{R}_{S}", nonnegative=True)
_mean_rademacher = sp.Symbol(r"{\mathbb{E}\,\mathfrak{R}_{S}}", nonnegative=True)
_mean_gap = sp.Symbol(r"{\mathbb{E}\sup_{\theta\in\mathcal{W}}\mathcal{G}}", real=True)
_radius = sp.Symbol("delta", positive=True)
_laplace = sp.Symbol(r"{\log\,\mathbb{E}_{\sigma}e^{\lambda\sup}}", real=True)
_p = sp.Symbol("p", positive=True)
_level = sp.Symbol("v", positive=True)
_deviation = scale * sp.sqrt(2 * _level / n)

# One datum that is high with probability p, low otherwise: for one theta the gap is 2 R (1 - p).
_high = {worst_gap: 2 * scale * (1 - _p), _mean_gap: 0, _level: -sp.log(_p), n: 1}
# The same for the signs: their mean is above its mean by the range's part.
_signs = {_mean_rademacher: 2 * scale * (1 - _p), rademacher: 0, _level: -sp.log(_p), n: 1}
# Every labelling fits: all losses are low on the sample, high on the share 1 - r of the rest.
_fits_all = {_mean_gap: 2 * scale * (1 - _p), _mean_rademacher: scale}

symmetrised = (
    Derivation.of(
        worst_gap,
        worst_gap,
        by=r"data independent of \(\mathcal{W}\), loss in an interval of length \(2R\)",
        domain={_p: (0, 1), alpha: (0, 1)},
    )
    .granted(
        "<=",
        _mean_gap + _deviation,
        cite="McDiarmid 1989",
        by=r"one datum moves the supremum by \(2R/n\) at most; probability \(1-e^{-v}\)",
        witness=_high,
    )
    .granted(
        "<=",
        2 * _mean_rademacher + _deviation,
        cite="Mohri, Rostamizadeh and Talwalkar 2018, theorem 3.3",
        by="symmetrisation",
        witness=_fits_all,
    )
    .granted(
        "<=",
        2 * rademacher + 3 * _deviation,
        cite="McDiarmid 1989",
        by=r"one datum moves \(\mathfrak{R}_S\) by \(2R/n\) at most; probability \(1-e^{-v}\)",
        witness=_signs,
    )
    .specialise(
        {_level: dependence + sp.log(2 / failure)},
        by=r"twice \(\zeta/2\), and \(I_\infty\) for the trajectory",
        domain={failure: (0, 1)},
    )
)
"""Random signs stand for fresh data, with probability 1 - zeta."""

# One sign, two points: sup of +-R x is R |x|.
_points = Derivation.of(rademacher, rademacher, by="given the sample").granted(
    "<=",
    _laplace / slope,
    cite="Jensen",
    by="convexity of the exponential",
    witness={rademacher: scale, _laplace: slope * scale},
)
_counted = Derivation.of(_laplace, _laplace, by=r"losses on the sample, less the middle").granted(
    "<=",
    effective + slope**2 * scale**2 / (2 * n),
    cite="Hoeffding 1963",
    by=r"\(\max\le\sum\) of exponentials of signs",
    # Losses R and -R, in the limit of many data: a sum of signs is normal.
    witness={
        _laplace: sp.log(1 + sp.erf(slope * scale / sp.sqrt(2 * n)))
        + slope**2 * scale**2 / (2 * n),
        effective: sp.log(2),
    },
)
_at_slope = _points.at_most(
    effective / slope + slope * scale**2 / (2 * n), by="effective number", using=[_counted]
)

_at_centres = sp.Symbol(r"\mathfrak{R}_{S}(\theta_{j})", nonnegative=True)
_massart = (
    _at_slope.specialise({slope: sp.sqrt(2 * n * effective) / scale}, by=r"the best \(\lambda\)")
    .equals(scale * sp.sqrt(2 * effective / n), by="collecting terms")
    .named(_at_centres)
)
_x = sp.Symbol("x", real=True)
_covered = (
    Derivation.of(
        rademacher,
        _at_centres + _radius * _x,
        by=r"the nearest centre: \(\rho_S\) is the mean of the differences",
        domain={_x: (-1, 1)},
    )
    .at_most(_at_centres + _radius, by=r"within \(\delta\)")
    .at_most(scale * sp.sqrt(2 * effective / n) + _radius, by="centres", using=[_massart])
    .at_most(
        scale * sp.sqrt(2 * sp.log(1 + 2 * lifetimes / _radius**alpha) / n) + _radius,
        by="number of centres",
        using=[cover],
    )
    .specialise({_radius: scale / sp.sqrt(n)}, by=r"\(\delta=R/\sqrt{n}\)", domain={alpha: (0, 1)})
)

lifetimes_bound = symmetrised.at_most(
    2 * _covered.expr + 3 * scale * sp.sqrt(2 * (dependence + sp.log(2 / failure)) / n),
    by="lifetime sum",
    using=[_covered],
)
"""With probability 1 - zeta, from the lifetime sum in the distance of the losses."""

_by_magnitude = _at_slope.specialise(
    {effective: sp.log(positive_magnitude), slope: multiple * sp.sqrt(n)},
    by=r"magnitude lemma for a function of slope 1 in \(\rho_S\), at \(s=\lambda=c\sqrt{n}\)",
).equals(
    sp.log(positive_magnitude) / (multiple * sp.sqrt(n)) + multiple * scale**2 / (2 * sp.sqrt(n)),
    by="collecting terms",
)

magnitude_bound = symmetrised.at_most(
    2 * _by_magnitude.expr + 3 * scale * sp.sqrt(2 * (dependence + sp.log(2 / failure)) / n),
    by="positive magnitude",
    using=[_by_magnitude],
)
"""With probability 1 - zeta, from the positive magnitude at the scale c sqrt(n)."""
