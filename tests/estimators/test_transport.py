"""Transport distances against closed forms, brute force and their own inequalities."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genbound.derivations import wasserstein
from genbound.estimators.transport import distance_to_point, sliced, wasserstein1


def points(n, d, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return shift + torch.randn(n, d, generator=generator, dtype=torch.float64)


@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 1000))
def test_against_all_permutations(n, d, seed):
    first, second = points(n, d, seed), points(n, d, seed + 1, 0.5)
    best = min(
        sum(float((x - second[j]).norm()) for x, j in zip(first, order, strict=True))
        for order in itertools.permutations(range(n))
    )
    assert math.isclose(wasserstein1(first, second, parts=2).value, best / n, rel_tol=1e-9)


@given(st.integers(4, 40), st.integers(4, 40), st.integers(0, 1000))
def test_on_the_line_with_unequal_sizes(n, m, seed):
    first, second = points(n, 1, seed), points(m, 1, seed + 1, 0.5)
    reference = stats.wasserstein_distance(first[:, 0], second[:, 0])
    assert math.isclose(wasserstein1(first, second).value, reference, rel_tol=1e-9)
    # The same points in a plane take the other algorithm.
    flat = [torch.cat([x, torch.zeros_like(x)], 1) for x in (first, second)]
    assert math.isclose(wasserstein1(*flat).value, reference, rel_tol=1e-9)


@given(st.floats(-2, 2), st.floats(0.3, 2))
def test_gaussians_on_the_line(shift, scale):
    first, second = points(20_000, 1, 1), shift + scale * points(20_000, 1, 2)
    found = wasserstein1(first, second, parts=20)
    formula = wasserstein.gaussian.to_torch(wasserstein.shift, wasserstein.spread)
    truth = float(formula(abs(shift) + 1e-9, abs(scale - 1) + 1e-9))
    # Empirical distances lie above, by about the distance of two samples of one law.
    excess = wasserstein1(first, points(20_000, 1, 3)).value * (1 + scale)
    assert truth - 4 * found.stderr <= found.value <= truth + excess + 4 * found.stderr


def test_the_bias_is_upward():
    """Mean over 200 pairs of small samples of one law: well above 0, and falling with n."""
    means = []
    for n in (10, 40):
        found = [wasserstein1(points(n, 2, k), points(n, 2, 1000 + k)).value for k in range(200)]
        means.append(sum(found) / 200)
    assert means[0] > 1.5 * means[1] > 0.1
    estimate = wasserstein1(points(10, 2, 0), points(10, 2, 1))
    assert estimate.side == "upper" and estimate.n == 4


def test_standard_error_covers_the_spread_over_samples():
    found = [
        wasserstein1(points(400, 1, k), points(400, 1, 5000 + k, 1.0), parts=8) for k in range(200)
    ]
    values = torch.tensor([e.value for e in found])
    claimed = torch.tensor([e.stderr for e in found])
    assert 0.85 < float(claimed.square().mean().sqrt() / values.std()) < 1.2


def test_sliced_lies_below_and_equals_on_the_line():
    first, second = points(300, 5, 1), points(300, 5, 2, 0.3)
    generator = torch.Generator().manual_seed(0)
    along = sliced(first, second, directions=40, generator=generator)
    assert 0 < along.value < wasserstein1(first, second).value
    line = sliced(first[:, :1], second[:, :1], directions=3, generator=generator)
    assert math.isclose(line.value, wasserstein1(first[:, :1], second[:, :1]).value)


def test_sliced_of_a_shift_is_its_mean_projection():
    """|<shift, u>| has mean 2 |shift| / pi over unit vectors of the plane."""
    first = points(12, 2, 1)
    second = first + torch.tensor([3.0, 4.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    found = sliced(first, second, directions=20_000, generator=generator)
    assert abs(found.value - 10 / math.pi) < 4 * 5 / 20_000**0.5


def test_the_best_point_is_the_median():
    line = points(101, 1, 4).square()
    median = line.median()
    assert abs(distance_to_point(line).value - float((line - median).abs().mean())) < 1e-3
    corners = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert math.isclose(distance_to_point(corners).value, 1.0, rel_tol=1e-9)


@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 1000))
def test_no_point_does_better(n, d, seed):
    cloud = points(n, d, seed)
    best = distance_to_point(cloud, rounds=300).value
    for other in torch.cat([points(20, d, seed + 1), cloud, cloud.mean(0, keepdim=True)]):
        assert best <= float((cloud - other).norm(dim=1).mean()) + 1e-3


@pytest.mark.parametrize(
    ("shapes", "parts", "message"),
    [
        (((5, 2), (5, 3)), 2, "first, second: got shapes"),
        (((5,), (5,)), 2, r"first: got shape \(5,\)"),
        (((5, 2), (4, 2)), 5, "parts: got 5, allowed are 2..4"),
        (((5, 2), (4, 2)), 1, "parts: got 1, allowed are 2..4"),
    ],
)
def test_bad_input_is_named(shapes, parts, message):
    first, second = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        wasserstein1(first, second, parts=parts)
    with pytest.raises(ValueError, match=message):
        sliced(first, second, directions=2, generator=torch.Generator(), parts=parts)


def test_directions_and_data_are_checked():
    cloud = torch.zeros(5, 2)
    with pytest.raises(ValueError, match="directions: got 0, allowed is at least 1"):
        sliced(cloud, cloud, directions=0, generator=torch.Generator())
    with pytest.raises(ValueError, match="data: got shape"):
        distance_to_point(cloud[:1])


def test_devices(device):
    first, second = points(50, 3, 1).to(device), points(40, 3, 2).to(device)
    generator = torch.Generator(device).manual_seed(0)
    reference = wasserstein1(first.cpu(), second.cpu()).value
    assert math.isclose(wasserstein1(first, second).value, reference, rel_tol=1e-6)
    assert sliced(first, second, directions=4, generator=generator).value > 0
    assert distance_to_point(first).value > 0
