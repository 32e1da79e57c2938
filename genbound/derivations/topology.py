r"""The worst gap along a trajectory, from the shape of the set of its iterates.

W is the set of iterates in a window of the training, with any optimizer; the loss is
R-sub-Gaussian in the data and L-Lipschitz in the weights, so the gap G (population loss less
training loss) is R / \sqrt{n}-sub-Gaussian for fixed weights and 2L-Lipschitz. A set that doesn't
know the data costs the logarithm of an effective number of points; what it knows costs its
information I_\infty, which is infinite for a deterministic training on continuous data. The
metric must not know the data either: the Euclidean one of the weights, not one of their losses.
In the spirit of the results for general optimizers in Dupuis, Shariatian, Haddouche, Durmus and
Simsekli 2025 (arXiv 2506.03849), with constants of our own.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import scale, slope
from genbound.derivations.trade_off import n

worst_gap = sp.Symbol(r"\sup_{\theta\in\mathcal{W}}\mathcal{G}", real=True)
mean_worst_gap = sp.Symbol(r"{\mathbb{E}\sup_{\theta\in\mathcal{W}}\mathcal{G}}", real=True)
effective = sp.Symbol(r"\log\mathcal{N}", positive=True)
lifetimes = sp.Symbol(r"E^{\alpha}", nonnegative=True)
positive_magnitude = sp.Symbol(r"\operatorname{PMag}", positive=True)
dependence = sp.Symbol(r"I_{\infty}", nonnegative=True)
confidence = sp.Symbol("u", nonnegative=True)
failure = sp.Symbol("zeta", positive=True)
lipschitz = sp.Symbol("L", positive=True)
alpha = sp.Symbol("alpha", positive=True)
multiple = sp.Symbol("c", positive=True)
iterates = sp.Symbol("k", positive=True, integer=True)

_radius = sp.Symbol("delta", positive=True)
_laplace = sp.Symbol(r"{\log\,\mathbb{E}\,e^{\lambda\sup\mathcal{G}}}", real=True)
_packing = sp.Symbol(r"E^{\alpha}(\mathcal{P})", nonnegative=True)
_a, _r, _v = sp.symbols("a r v", positive=True)
_m = sp.Symbol("m", real=True)

# Two points with gaps X and -X, X normal of variance R^2 / n: nearly equal for large lambda.
_opposite = {
    _laplace: sp.log(1 + sp.erf(slope * scale / sp.sqrt(2 * n))) + slope**2 * scale**2 / (2 * n),
    effective: sp.log(2),
}

_counted = Derivation.of(_laplace, _laplace, by=r"\(\mathcal{N}\) fixed points").granted(
    "<=",
    effective + slope**2 * scale**2 / (2 * n),
    cite="Boucheron, Lugosi and Massart 2013, section 2.5",
    by=r"\(\max\le\sum\) of exponentials",
    witness=_opposite,
)

# Of a variable that is m with a probability just above r, and far below otherwise, the quantile at
# e^{-u} = r is m.
_at_slope = (
    Derivation.of(
        worst_gap,
        worst_gap,
        by=r"quantile at \(1-e^{-u}\), data independent of \(\mathcal{W}\)",
        domain={_r: (0, 1)},
    )
    .granted(
        "<=",
        (_laplace + confidence) / slope,
        cite="Chernoff",
        by="Markov's inequality for the exponential",
        witness={
            worst_gap: _m,
            _laplace: sp.log(_r * sp.exp(slope * _m) + (1 - _r) * sp.exp(slope * (_m - _v))),
            confidence: -sp.log(_r),
        },
    )
    .at_most(
        (effective + confidence) / slope + slope * scale**2 / (2 * n),
        by="effective number of points",
        using=[_counted],
    )
)

union_bound = _at_slope.specialise(
    {slope: sp.sqrt(2 * n * (effective + confidence)) / scale}, by=r"the best \(\lambda\)"
).equals(scale * sp.sqrt(2 * (effective + confidence) / n), by="collecting terms")
"""With N the number of iterates this is the union bound, which the shape has to beat."""

# One point whose gap is normal, with mean m and variance v.
mean_union_bound = (
    Derivation.of(mean_worst_gap, mean_worst_gap, by=r"data independent of \(\mathcal{W}\)")
    .granted(
        "<=",
        _laplace / slope,
        cite="Jensen",
        by="convexity of the exponential",
        witness={mean_worst_gap: _m, _laplace: slope * _m + slope**2 * _v / 2},
    )
    .at_most(
        effective / slope + slope * scale**2 / (2 * n),
        by="effective number of points",
        using=[_counted],
    )
    .specialise({slope: sp.sqrt(2 * n * effective) / scale}, by=r"the best \(\lambda\)")
    .equals(scale * sp.sqrt(2 * effective / n), by="collecting terms")
)
"""The same on the mean over the data."""

# A finite set of centres: population and training loss each move by at most L delta.
_at_centre = sp.Symbol(r"\mathcal{G}(\theta_{j})", real=True)
_x, _y = sp.symbols("x y", real=True)

nearby = Derivation.of(
    sp.Symbol(r"\mathcal{G}(\theta)", real=True),
    _at_centre + lipschitz * _radius * _x - lipschitz * _radius * _y,
    by=r"\(\theta\) within \(\delta\) of \(\theta_j\); \(x\), \(y\): shares of \(L\delta\)",
    domain={_x: (-1, 1), _y: (-1, 1), _at_centre: (None, None)},
).at_most(_at_centre + 2 * lipschitz * _radius, by="both losses are Lipschitz")
"""From the nearest centre the gap differs by at most 2 L delta."""

# For a power above 1, rho^alpha is no metric and the step fails. (An open interval: alpha = 1
# follows by continuity.)
cover = (
    Derivation.of(
        effective, effective, by=r"centres of a \(\delta\)-cover", domain={alpha: (0, 1)}
    )
    .granted(
        "<=",
        sp.log(1 + _packing / _radius**alpha),
        cite="Vershynin 2018, section 4.2",
        by=r"a greatest \(\delta\)-packing \(\mathcal{P}\) covers; its tree has no shorter edge",
        # k + 1 points on a line, each gap a little above delta.
        witness={effective: sp.log(iterates + 1), _packing: iterates * (_radius + _a) ** alpha},
    )
    .granted(
        "<=",
        sp.log(1 + 2 * lifetimes / _radius**alpha),
        cite="Kou, Markowsky and Berman 1981",
        by=r"\(\rho^{\alpha}\) is a metric: walk round the tree, leave out what is not in it",
        # The k + 1 leaves of a star: with its centre the tree is nearly half as long.
        witness={_packing: 2 * _a * iterates, lifetimes: _a * (iterates + 1)},
    )
)
"""How many balls of radius delta cover the iterates."""

_centres = sp.Symbol(r"\sup_{j}\mathcal{G}(\theta_{j})", real=True)


def covered(at_points: Derivation, size: sp.Symbol, level: sp.Expr) -> Derivation:
    """From a bound at finitely many points to the whole set, for that number of data."""
    at_centres = at_points.specialise({n: size}, by="at the centres").named(_centres)
    nearest = nearby.specialise({_at_centre: _centres}, by=r"the largest").named(at_points.lhs)
    return (
        Derivation.of(at_points.lhs, at_points.lhs, by=r"\(\delta\)-cover")
        .at_most(nearest.expr, by="the nearest centre", using=[nearest])
        .at_most(at_centres.expr + 2 * lipschitz * _radius, by="union bound", using=[at_centres])
        .at_most(
            scale * sp.sqrt(2 * (sp.log(1 + 2 * lifetimes / _radius**alpha) + level) / size)
            + 2 * lipschitz * _radius,
            by="number of centres",
            using=[cover],
        )
        .specialise(
            {_radius: scale / (2 * lipschitz * sp.sqrt(size))},
            by=r"\(\delta=R/2L\sqrt{\cdot}\)",
            domain={alpha: (0, 1)},
        )
    )


# Bits Z and W that agree with probability (1 + r) / 2, and the event that they do.
_bad = sp.Symbol(r"{P_{S,\mathcal{W}}(A)}", positive=True)
_bad_apart = sp.Symbol(r"{P_{S}\otimes P_{\mathcal{W}}(A)}", positive=True)

product_law = (
    Derivation.of(_bad, _bad, by=r"an event of data and iterates", domain={_r: (0, 1)})
    .granted(
        "<=",
        sp.exp(dependence) * _bad_apart,
        cite="definition of the maximal information",
        by=r"\(I_\infty=\log\,\mathrm{ess\,sup}\,dP_{S,\mathcal{W}}/dP_S\otimes P_{\mathcal{W}}\)",
        witness={
            _bad: (1 + _r) / 2,
            _bad_apart: sp.Rational(1, 2),
            dependence: sp.log(1 + _r),
        },
    )
    .specialise({_bad_apart: sp.exp(-confidence)}, by=r"probability \(e^{-u}\) when independent")
    .specialise({confidence: dependence + sp.log(1 / failure)}, by=r"\(u=I_\infty+\log1/\zeta\)")
    .equals(failure, by="collecting terms")
)
"""What holds with probability 1 - exp(-u) for independent data holds with 1 - zeta for these."""

_level = dependence + sp.log(1 / failure)

iterates_bound = union_bound.specialise(
    {effective: sp.log(iterates), confidence: _level},
    by=r"\(k\) iterates, \(u=I_\infty+\log1/\zeta\)",
    domain={failure: (0, 1)},
)
"""With probability 1 - zeta, from the number of different iterates alone."""

lifetimes_bound = covered(union_bound, n, confidence).specialise(
    {confidence: _level}, by=r"\(u=I_\infty+\log1/\zeta\)", domain={failure: (0, 1)}
)
"""With probability 1 - zeta, from the lifetime sum: it never falls below R / sqrt(n)."""

# Lemma for the magnitude, at one pair of points: f has slope at most 1.
_f = sp.Symbol("f(b)", real=True)
_weight, _distance = sp.symbols("w rho", nonnegative=True)
_s, _slack = sp.symbols("s x", positive=True)

magnitude_point = (
    Derivation.of(
        sp.Symbol(r"{e^{sf(a)}e^{-s\rho}w_{+}}", nonnegative=True),
        sp.exp(_s * (_f + _distance - _slack)) * sp.exp(-_s * _distance) * _weight,
        by=r"\(f(a)=f(b)+\rho-x\), \(x>0\)",
    )
    .equals(_weight * sp.exp(_s * _f) * sp.exp(-_s * _slack), by="collecting exponents")
    .at_most(_weight * sp.exp(_s * _f), by=r"\(e^{-sx}\le1\)")
)
"""The sum over b of the left sides is at least exp(s f(a)), because Z w = 1 and w_+ >= w."""

_top = sp.Symbol(r"{e^{s\sup f}}", positive=True)
_weighted = sp.Symbol(r"{\sum_b w_{b+}e^{sf(b)}}", positive=True)
_slope_of_f = sp.Symbol("g", positive=True)

magnitude_lemma = Derivation.of(
    _top, _top, by=r"\(f\) of slope at most 1", domain={_slope_of_f: (0, 1)}
).granted(
    "<=",
    _weighted,
    cite="Andreeva, Dupuis, Sarkar, Birdal and Simsekli 2024",
    by=r"sum over \(b\) of the inequality at a pair",
    # Two points at distance rho, f = 0 and g rho there: equality for g = 1.
    witness={
        _top: sp.exp(_s * _slope_of_f * _r),
        _weighted: (1 + sp.exp(_s * _slope_of_f * _r)) / (1 + sp.exp(-_s * _r)),
    },
)
"""The positive magnitude stands for a number of points."""

magnitude_bound = (
    _at_slope.specialise(
        {effective: sp.log(positive_magnitude)},
        by=r"magnitude lemma for \(\mathcal{G}/2L\) at \(s=2L\lambda\)",
    )
    .specialise(
        {slope: multiple * sp.sqrt(n) / (2 * lipschitz)},
        by=r"\(\lambda=c\sqrt{n}/2L\): the magnitude of \(c\sqrt{n}\,\mathcal{W}\)",
    )
    .equals(
        2 * lipschitz * (sp.log(positive_magnitude) + confidence) / (multiple * sp.sqrt(n))
        + multiple * scale**2 / (4 * lipschitz * sp.sqrt(n)),
        by="collecting terms",
    )
    .specialise({confidence: _level}, by=r"\(u=I_\infty+\log1/\zeta\)", domain={failure: (0, 1)})
)
"""With probability 1 - zeta, from the positive magnitude at the scale c sqrt(n)."""

equidistant = Derivation.of(
    sp.Symbol(r"\operatorname{Mag}", positive=True),
    iterates / (1 + (iterates - 1) * sp.exp(-_r)),
    by=r"\(k\) points, all distances \(r\), equal weights",
    domain={iterates: (1, None)},
).at_most(iterates, by=r"each counts at most as one")
"""The effective number of points grows with their distances up to their number."""

saving = Derivation.of(
    sp.Symbol("q", positive=True),
    sp.sqrt(2 * (sp.log(iterates) + confidence)) / (1 + sp.sqrt(2 * confidence)),
    by=r"union bound over \(R/\sqrt{n}+R\sqrt{2u/n}\), the lifetimes' with all iterates in one",
    domain={iterates: (1, None)},
).at_most(sp.sqrt(2 * sp.log(iterates)), by=r"\(2\log k\ge1\)")
"""At that radius of the cover no lifetimes are worth more than this factor over counting."""
