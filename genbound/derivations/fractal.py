r"""Where stochastic descent ends up: the attractor of an iterated function system, its dimension.

Descent with one datum at a time on the mean learner, loss \kappa (\theta - z)^2, draws one of m
maps in each step, each a contraction by r = 1 - 2 \kappa \eta. With two data and r < 1/2 its
iterates fill a Cantor set of dimension \log 2 / \log(1/r). The bounds by a dimension at the end
have the shapes of Simsekli, Sener, Deligiannidis and Erdogdu 2020 and of Camuto, Deligiannidis,
Erdogdu, Gurbuzbalaban, Simsekli and Zhu 2021; their constants stand here from memory, unverified.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import topology
from genbound.derivations.change_of_measure import scale
from genbound.derivations.sgld_solved import weight
from genbound.derivations.topology import alpha, lipschitz, worst_gap
from genbound.derivations.trade_off import n

__all__ = [
    "camuto_shape",
    "covering",
    "dimension",
    "dimension_bound",
    "dimension_from_slope",
    "edge_high",
    "edge_low",
    "entropy",
    "growth",
    "hausdorff",
    "lifetimes",
    "lyapunov",
    "maps",
    "measure_dimension",
    "moran",
    "ratio",
    "simsekli_shape",
    "step",
]

ratio = sp.Symbol("r", positive=True)
maps = sp.Symbol("m", positive=True)
dimension = sp.Symbol(r"\dim", positive=True)
entropy = sp.Symbol("H", positive=True)
lyapunov = sp.Symbol("Lambda", positive=True)

_below_one = {ratio: (0, 1)}
_two_maps = {ratio: (0, sp.Rational(1, 2))}
_similarity = sp.log(maps) / sp.log(1 / ratio)

_theta, _z = sp.symbols("theta z", real=True)
_rate = sp.Symbol("eta", positive=True)
_contraction = Derivation.of(ratio, 1 - 2 * weight * _rate, by="contraction of one step")

step = Derivation.of(
    sp.Symbol(r"\theta'", real=True),
    _theta - _rate * sp.diff(weight * (_theta - _z) ** 2, _theta),
    by=r"one step on one datum \(z\)",
).equals(ratio * _theta + (1 - ratio) * _z, by=r"\(r=1-2\kappa\eta\)", using=[_contraction])
"""One step of descent is one of m maps, chosen by the datum that is drawn."""

# The level-k intervals: m^k of them, of length r^k.
_k = sp.Symbol("k", positive=True, integer=True)

moran = Derivation.of(
    sp.Symbol(r"\sum_{\mathrm{level}\,k}|I|^{s}", positive=True),
    maps**_k * ratio ** (_k * _similarity),
    by=r"\(m^{k}\) images of length \(r^{k}\), at \(s=\log m/\log(1/r)\)",
    domain=_below_one | {maps: (1, None)},
).equals(1, by="the same at every level")
"""The power of the lengths that all levels agree on."""

hausdorff = Derivation.of(
    sp.Symbol(r"\dim_{H}", positive=True),
    sp.Symbol(r"\dim_{H}", positive=True),
    by="attractor whose images do not overlap",
    domain=_below_one | {maps: (1, None)},
).granted(
    "=",
    _similarity,
    cite="Moran 1946; Hutchinson 1981",
    by="the power at which the intervals' lengths neither grow nor shrink",
    # m intervals of length 1/m: the whole interval.
    witness={sp.Symbol(r"\dim_{H}", positive=True): 1, ratio: 1 / maps},
)
"""Hausdorff dimension: the similarity dimension, below one where r < 1/m."""

_p = sp.Symbol("p", positive=True)
_two_point = -_p * sp.log(_p) - (1 - _p) * sp.log(1 - _p)
_dim_measure = sp.Symbol(r"\dim\mu", positive=True)

measure_dimension = (
    Derivation.of(
        _dim_measure,
        _dim_measure,
        by="invariant law of contractions drawn independently",
        domain=_below_one | {maps: (1, None), _p: (0, 1)},
    )
    .granted(
        "<=",
        entropy / lyapunov,
        cite="Camuto et al. 2021, arXiv 2106.04881",
        by=r"\(\Lambda=-\mathbb{E}\log|\mathrm{slope}|\), \(H\) entropy of the draw",
        # Two images without overlap, drawn with probabilities p and 1 - p: equality.
        witness={
            _dim_measure: _two_point / sp.log(1 / ratio),
            entropy: _two_point,
            lyapunov: sp.log(1 / ratio),
        },
    )
    .specialise(
        {entropy: sp.log(maps), lyapunov: sp.log(1 / ratio)}, by="equal chances, equal slopes"
    )
)
"""Dimension of the law of the iterates: information per step over contraction per step."""

# 2^k end points of level k in [0, 1]; two that part at the step j are this far apart at least.
# r^(k - j - 1) is a number x in (0, 1].
_j = sp.Symbol("j", nonnegative=True, integer=True)
_x = sp.Symbol("x", positive=True)

_edge = (
    Derivation.of(
        sp.Symbol("e_{j}", positive=True),
        ratio**_j * (1 - ratio) - (ratio ** (_j + 1) - ratio ** (_j + 1) * _x),
        by=r"difference in step \(j\) less all that may follow, \(x=r^{k-j-1}\)",
        domain=_two_maps | {_x: (0, 1)},
    )
).equals(ratio**_j * (1 - 2 * ratio + ratio * _x), by="collecting terms")

edge_low = _edge.at_least(ratio**_j * (1 - 2 * ratio), by=r"\(x\ge0\)")
edge_high = _edge.at_most(ratio**_j * (1 - ratio), by=r"\(x\le1\)")
"""Edges of the spanning tree of the Cantor set's points: 2^j of them for each j < k."""

_base = 2 * ratio**alpha


def _levels(count: sp.Expr) -> sp.Expr:
    return (_base**count - 1) / (_base - 1)


lifetimes = Derivation.of(
    sp.Symbol(r"\Sigma_{k+1}-\Sigma_{k}", positive=True),
    _levels(_k + 1) - _levels(_k),
    by=r"\(\Sigma_k=((2r^{\alpha})^{k}-1)/(2r^{\alpha}-1)\)",
    domain=_two_maps,
).equals(2**_k * (ratio**_k) ** alpha, by="one level more")
"""E^alpha of the 2^k points lies between (1 - 2 r)^alpha and (1 - r)^alpha times Sigma_k."""

_slope = sp.Symbol("q", real=True)

growth = Derivation.of(
    sp.Symbol(r"{(2r^{\alpha})^{k}}", positive=True),
    _base**_k,
    by=r"what grows in \(E^{\alpha}\), for \(\alpha<\dim\)",
    domain=_two_maps,
).equals((2**_k) ** (1 - alpha * sp.log(1 / ratio) / sp.log(2)), by=r"\(N=2^{k}\) points")
"""The lifetime sum of N points grows as N^(1 - alpha / dim)."""

dimension_from_slope = (
    Derivation.of(
        sp.Symbol(r"\dim_{\mathrm{PH}}", positive=True),
        alpha / (1 - _slope),
        by=r"\(q\): slope of \(\log E^{\alpha}\) over \(\log N\)",
    )
    .specialise({_slope: 1 - alpha / dimension}, by=r"\(E^{\alpha}\sim N^{1-\alpha/\dim}\)")
    .equals(dimension, by="the exponent, solved for the dimension")
)
"""What the estimator reads off a straight line."""

# A cover of the attractor (diameter 1) by balls of radius delta = x r^j, x in (r, 1].
covering = Derivation.of(
    topology.effective,
    (_j + 1) * sp.log(maps),
    by=r"\(m^{j+1}\) images of length \(r^{j+1}\le\delta=x\,r^{j}\)",
    domain=_below_one | {maps: (1, None), _x: (0, 1)},
).at_most(
    sp.log(maps) + _similarity * sp.log(1 / (_x * ratio**_j)), by=r"\(\dim=\log m/\log(1/r)\)"
)
"""Balls of radius delta that cover the attractor: at most m delta^-dim."""

_radius = sp.Symbol("delta", positive=True)
_at_centres = sp.Symbol(r"\sup_{j}\mathcal{G}(\theta_{j})", real=True)
_covered = topology.union_bound.specialise(
    {topology.effective: sp.log(maps) + dimension * sp.log(1 / _radius)},
    by=r"at the centres of a \(\delta\)-cover",
).named(_at_centres)
_nearest = topology.nearby.specialise(
    {sp.Symbol(r"\mathcal{G}(\theta_{j})", real=True): _at_centres}, by="the largest"
).named(worst_gap)

dimension_bound = (
    Derivation.of(worst_gap, worst_gap, by=r"\(\delta\)-cover of the attractor")
    .at_most(_nearest.expr, by="the nearest centre", using=[_nearest])
    .at_most(
        _covered.expr + 2 * lipschitz * _radius, by="union bound over the cover", using=[_covered]
    )
    .specialise({_radius: scale / (2 * lipschitz * sp.sqrt(n))}, by=r"\(\delta=R/2L\sqrt{n}\)")
)
"""With probability 1 - exp(-u), for an attractor of diameter 1 that does not know the data."""

_constant = sp.Symbol("c", positive=True)
_zeta = topology.failure

simsekli_shape = Derivation.of(worst_gap, worst_gap, by="set of all end points").granted(
    "<=",
    _constant * scale * sp.sqrt((dimension * sp.log(lipschitz**2 * n) + sp.log(1 / _zeta)) / n),
    cite="shape of Simsekli et al. 2020, from memory",
    by=r"\(\dim\): Hausdorff dimension; constant \(c\) not verified",
)
"""For n large; with a dimension of the trajectories, which are modelled as Feller processes."""

camuto_shape = Derivation.of(worst_gap, worst_gap, by="support of the invariant law").granted(
    "<=",
    _constant
    * scale
    * sp.sqrt((dimension * sp.log(lipschitz**2 * n) ** 2 + sp.log(1 / _zeta)) / n),
    cite="shape of Camuto et al. 2021, from memory",
    by=r"\(\dim\): dimension of the invariant law; constant \(c\) not verified",
)
"""For n large, and a term for what the dimension knows of the data left out."""
