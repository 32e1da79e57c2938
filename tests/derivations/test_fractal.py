import math

import pytest
import sympy as sp
import torch

from genbound.derivation import Derivation
from genbound.derivations import fractal, topology
from genbound.derivations.change_of_measure import scale
from genbound.derivations.trade_off import n
from genbound.estimators.topology import lifetime_sum
from genbound.symbolic import Refuted, verify
from tests.estimators.reference import seeded


def test_what_is_granted_says_so():
    cited = {"hausdorff", "measure_dimension", "dimension_bound"}
    unverified = {"simsekli_shape", "camuto_shape"}
    for name, derivation in vars(fractal).items():
        if isinstance(derivation, Derivation) and not name.startswith("_"):
            assert (derivation.grade == "granted") == (name in cited | unverified), name
            unchecked = any("not checked" in step.detail for step in derivation.steps)
            assert unchecked == (name in unverified), name
            if unchecked:
                assert "from memory" in derivation.steps[-1].cite


def cantor_points(ratio, k):
    """The 2^k end points of level k."""
    points = torch.zeros(1, dtype=torch.float64)
    for _ in range(k):
        points = torch.cat([ratio * points, ratio * points + 1 - ratio])
    return points[:, None]


@pytest.mark.parametrize("ratio", [0.2, 1 / 3, 0.45])
@pytest.mark.parametrize("alpha", [0.2, 0.7, 1.0])
def test_the_lifetime_sum_lies_between_its_two_forms(ratio, alpha):
    for k in (1, 3, 7):
        sum_k = sum((2 * ratio**alpha) ** j for j in range(k))
        low, high = (1 - 2 * ratio) ** alpha * sum_k, (1 - ratio) ** alpha * sum_k
        edges = [
            (ratio**j * (1 - 2 * ratio) + ratio**k) ** alpha for j in range(k) for _ in range(2**j)
        ]
        found = lifetime_sum(cantor_points(ratio, k), alpha=alpha).value
        assert found == pytest.approx(sum(edges))
        assert low <= found <= high * (1 + 1e-12)


def test_the_slope_tends_to_the_dimension():
    ratio, alpha = 1 / 3, 0.2
    sums = [lifetime_sum(cantor_points(ratio, k), alpha=alpha).value for k in (9, 10)]
    slope = math.log(sums[1] / sums[0]) / math.log(2)
    truth = float(fractal.hausdorff.to_torch(fractal.maps, fractal.ratio)(2, ratio))
    assert truth == pytest.approx(0.6309298)
    assert alpha / (1 - slope) == pytest.approx(truth, rel=0.03)


def test_balls_cover_the_attractor():
    gen, points = seeded(), cantor_points(1 / 3, 9)[:, 0].sort().values
    radii = torch.rand(200, generator=gen, dtype=torch.float64) * 0.9 + 0.05
    dimension = math.log(2) / math.log(3)
    for radius in radii.tolist():
        needed, reach = 0, -1.0
        for point in points.tolist():
            if point > reach:
                # One ball, centred in the set, reaches at least as far as its radius.
                needed, reach = needed + 1, point + radius
        assert needed <= 2 * radius**-dimension


def test_the_bound_holds_on_random_gaps():
    """A thousand processes on a Cantor set that do not know the data: random Fourier losses."""
    gen, many, size, quantile = seeded(3), 1000, 40, 0.05
    ratio = 0.1 + 0.35 * torch.rand(many, 1, generator=gen, dtype=torch.float64)
    points = torch.zeros(many, 1, dtype=torch.float64)
    for _ in range(5):
        points = torch.cat([ratio * points, ratio * points + 1 - ratio], 1)
    # Loss sin(w theta + z), z uniform on the circle: mean 0, within [-1, 1], slope at most w.
    slope = torch.rand(many, 1, generator=gen, dtype=torch.float64) * 20 + 1
    phase = 2 * math.pi * torch.rand(many, 1, size, generator=gen, dtype=torch.float64)
    gaps = -(slope[..., None] * points[..., None] + phase).sin().mean(-1)
    dimension = math.log(2) / (1 / ratio).log()
    bound = fractal.dimension_bound.to_torch(
        scale, n, topology.lipschitz, fractal.dimension, fractal.maps, topology.confidence
    )(1.0, size, slope, dimension, 2.0, math.log(1 / quantile))
    assert float((gaps.amax(1) > bound[:, 0]).double().mean()) <= quantile
    assert float((gaps.amax(1) / bound[:, 0]).max()) > 0.3


WRONG = {
    "the dimension doubled": (
        "=",
        fractal.hausdorff.lhs,
        2 * sp.log(fractal.maps) / sp.log(1 / fractal.ratio),
        {fractal.hausdorff.lhs: 1, fractal.ratio: 1 / fractal.maps},
    ),
    "entropy over twice the exponent": (
        "<=",
        fractal._dim_measure,
        fractal.entropy / (2 * fractal.lyapunov),
        {
            fractal._dim_measure: fractal._two_point / sp.log(1 / fractal.ratio),
            fractal.entropy: fractal._two_point,
            fractal.lyapunov: sp.log(1 / fractal.ratio),
        },
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_false_variants_are_refuted(name):
    relation, left, right, witness = WRONG[name]
    domain = {fractal.ratio: (0, 1), fractal.maps: (1, None), fractal._p: (0, 1)}
    with pytest.raises(Refuted):
        verify(relation, left, right, witness=witness, domain=domain)


def test_too_few_balls_are_refuted():
    without = fractal.covering.expr - sp.log(fractal.maps)
    with pytest.raises(Refuted):
        verify("<=", fractal.covering.steps[0].expr, without, domain=dict(fractal.covering.domain))
