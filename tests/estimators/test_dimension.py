"""Dimensions of sets that have a known one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genbound.estimators.dimension import (
    correlation_dimension,
    lifetimes_by_size,
    ph_dimension,
)
from genbound.estimators.topology import lifetime_sum
from genbound.protocols import Objective
from genbound.training import sgd, train
from tests.estimators.reference import seeded

WEIGHT = 0.7


class Mean(nn.Module):
    """The learner of a mean, one datum at a time, with its exact denoising loss."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((1,), 0.3, dtype=torch.float64))

    def forward(self, datum):
        return WEIGHT * (datum - self.theta).square().sum()


def pick(data, generator):
    return data[torch.randint(len(data), (), generator=generator)]


ONE = Objective(pick, lambda module, datum: module(datum))
RATIOS = {1 / 3: 0.631, 1 / 4: 0.5, 0.45: 0.868}


@pytest.fixture(scope="module")
def cantor():
    """Iterates of stochastic descent on the data 0 and 1, at the rates of three contractions."""
    data = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    members = [{"seed": 3, "lr": (1 - ratio) / (2 * WEIGHT)} for ratio in RATIOS]
    run = train(
        ONE,
        lambda _: Mean(),
        data,
        members,
        steps=1100,
        optimiser=sgd(),
        capture_every=1,
        capture_from=101,
    )
    return dict(zip(RATIOS, run.trajectory.transpose(0, 1), strict=True))


@pytest.mark.parametrize("ratio", RATIOS)
def test_stochastic_descent_fills_a_cantor_set(cantor, ratio):
    points, truth = cantor[ratio], math.log(2) / math.log(1 / ratio)
    assert truth == pytest.approx(RATIOS[ratio], abs=5e-4)
    gaps = points[:, 0].sort().values.diff()
    assert float(gaps.max()) == pytest.approx(1 - 2 * ratio, rel=0.02)
    dimension = ph_dimension(points, generator=seeded(1), alpha=0.1)
    assert abs(dimension.value - truth) <= 4 * dimension.stderr < 0.08
    assert dimension.side == "consistent"
    pairs = correlation_dimension(points, generator=seeded(1))
    assert abs(pairs.value - truth) <= 4 * pairs.stderr + 0.03 and pairs.stderr < 0.03


@pytest.mark.parametrize("d", [1, 2])
def test_boxes(d):
    points = torch.rand(1200, d, generator=seeded(d), dtype=torch.float64)
    dimension = ph_dimension(points, generator=seeded(1))
    assert abs(dimension.value - d) <= 4 * dimension.stderr + 0.02 * d
    pairs = correlation_dimension(points, generator=seeded(1), shares=(0.001, 0.02))
    assert abs(pairs.value - d) <= 4 * pairs.stderr + 0.03 * d


def test_equal_distances_on_a_line_leave_no_bias():
    """Random halves of a grid are not grids, so the whole is compared with coarser grids."""
    for alpha in (0.3, 0.8):
        sums = {
            n: lifetime_sum(torch.linspace(0, 1, n, dtype=torch.float64)[:, None], alpha=alpha)
            for n in (101, 401)
        }
        slope = math.log(sums[401].value / sums[101].value) / math.log(400 / 100)
        assert alpha / (1 - slope) == pytest.approx(1)


def test_the_line_goes_through_spanning_trees():
    points = torch.rand(64, 3, generator=seeded(), dtype=torch.float64)
    edges, sums = lifetimes_by_size(points, generator=seeded(4), alpha=0.7, levels=3)
    assert edges.tolist() == [63, 31, 15]
    order = torch.randperm(64, generator=seeded(4))
    for size, found in zip((64, 32, 16), sums, strict=True):
        parts = points[order].split(size)
        trees = [lifetime_sum(part, alpha=0.7).value for part in parts]
        assert float(found) == pytest.approx(sum(trees) / len(trees))


@settings(max_examples=10)
@given(st.floats(0.01, 100), st.floats(-50, 50), st.booleans())
def test_similar_sets_have_one_dimension(scale, shift, turned):
    points = torch.randn(200, 2, generator=seeded(2), dtype=torch.float64)
    angle = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    moved = scale * (points @ angle if turned else points) + shift
    for estimate in (ph_dimension, correlation_dimension):
        options = {"parts": 2} | ({"levels": 2} if estimate is ph_dimension else {})
        before, after = (estimate(p, generator=seeded(5), **options) for p in (points, moved))
        assert after.value == pytest.approx(before.value, rel=1e-6)
        assert after.stderr == pytest.approx(before.stderr, rel=1e-4)


def test_equal_points_count_once():
    points = torch.rand(400, 2, generator=seeded(6), dtype=torch.float64)
    doubled = torch.cat([points, points[:100]])
    for estimate in (ph_dimension, correlation_dimension):
        once, twice = (estimate(p, generator=seeded(7)) for p in (points, doubled))
        assert once.value == pytest.approx(twice.value)


def test_isolated_points_have_no_finite_dimension():
    """Nearly a simplex: each new point adds an edge of the same length."""
    points = torch.eye(80, dtype=torch.float64)
    assert ph_dimension(points, generator=seeded(), levels=2, parts=2).value > 50


def test_iterates_on_a_device(device):
    points = torch.rand(160, 2, device=device)
    assert ph_dimension(points, generator=seeded(), levels=2).value > 0
    assert correlation_dimension(points, generator=seeded()).value > 0


POINTS = torch.rand(100, 2, generator=seeded())
BAD = {
    "alpha": (ph_dimension, {"alpha": 0.0}),
    "levels": (ph_dimension, {"levels": 1}),
    "points: got 100": (ph_dimension, {}),
    "parts: got 1": (ph_dimension, {"parts": 1, "levels": 2}),
    "shares": (correlation_dimension, {"shares": (0.2, 0.1)}),
    "no pair": (correlation_dimension, {"shares": (1e-6, 0.1)}),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused(message):
    estimate, options = BAD[message]
    with pytest.raises(ValueError, match=message):
        estimate(POINTS, generator=seeded(), **options)


def test_points_that_are_none_are_refused():
    for estimate in (ph_dimension, correlation_dimension, lifetimes_by_size):
        with pytest.raises(ValueError, match="points"):
            estimate(torch.zeros(100, 2, dtype=torch.float64), generator=seeded())
        with pytest.raises(ValueError, match="points"):
            estimate(torch.full((100, 2), torch.nan), generator=seeded())
