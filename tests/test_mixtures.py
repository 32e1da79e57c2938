"""Mixtures against slow references, torch.distributions, and their own symmetries."""

import math

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.func import grad, vmap

from genbound import mixtures


def draw(seed, n, k, d, *, shift=0.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, d, generator=generator, dtype=torch.float64) + shift
    centres = torch.randn(k, d, generator=generator, dtype=torch.float64) + shift
    weights = torch.rand(k, generator=generator, dtype=torch.float64) + 0.1
    return points.to(dtype), centres.to(dtype), torch.log(weights / weights.sum()).to(dtype)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 5), st.floats(0.01, 10))
def test_agrees_with_the_reference(seed, k, d, variance):
    points, centres, log_weights = draw(seed, 3, k, d)
    torch.testing.assert_close(
        mixtures.log_density(points, centres, variance, log_weights),
        reference.mixture_log_density(points, centres, variance, log_weights),
        rtol=1e-10,
        atol=1e-10,
    )
    torch.testing.assert_close(
        mixtures.score(points, centres, variance, log_weights),
        reference.mixture_score(points, centres, variance, log_weights),
        rtol=1e-4,
        atol=1e-4,
    )


def test_agrees_with_torch_distributions():
    points, centres, log_weights = draw(1, 50, 7, 4)
    law = MixtureSameFamily(
        Categorical(logits=log_weights),
        Independent(Normal(centres, torch.full_like(centres, math.sqrt(0.3))), 1),
    )
    torch.testing.assert_close(
        mixtures.log_density(points, centres, 0.3, log_weights), law.log_prob(points)
    )


def test_score_is_the_gradient():
    points, centres, log_weights = draw(2, 20, 9, 3)
    variance = torch.linspace(0.05, 3, 20, dtype=torch.float64)

    def density(point, variance):
        return mixtures.log_density(point, centres, variance, log_weights)

    torch.testing.assert_close(
        vmap(grad(density))(points, variance),
        mixtures.score(points, centres, variance, log_weights),
    )


def test_equal_weights_are_the_default():
    points, centres, _ = draw(3, 6, 4, 2)
    equal = torch.full((4,), -math.log(4), dtype=torch.float64)
    for function in (mixtures.log_density, mixtures.score):
        torch.testing.assert_close(
            function(points, centres, 0.5), function(points, centres, 0.5, equal)
        )


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_change_nothing(block):
    points, centres, log_weights = draw(4, 21, 5, 3)
    points, variance = points.reshape(3, 7, 3), torch.rand(7).double() + 0.1
    for function in (mixtures.log_density, mixtures.score):
        torch.testing.assert_close(
            function(points, centres, variance, log_weights, block=block),
            function(points, centres, variance, log_weights),
            rtol=1e-13,
            atol=1e-13,
        )


@given(st.floats(-1e3, 1e3), st.sampled_from([1e-4, 1e-2, 1.0]))
def test_far_from_the_origin(shift, variance):
    points, centres, log_weights = draw(5, 8, 5, 3)
    near = mixtures.log_density(points, centres, variance, log_weights)
    far = mixtures.log_density(points + shift, centres + shift, variance, log_weights)
    torch.testing.assert_close(near, far, rtol=1e-8, atol=1e-8)


def test_close_pairs_far_from_the_origin():
    points, centres, log_weights = draw(9, 5, 5, 3)
    points, shift = centres + 1e-3 * points, 2.0**17
    near = mixtures.score(points, centres, 1e-4, log_weights)
    # a shift by a power of two rounds the data, so the rounded data are what is compared
    points, centres = points + shift, centres + shift
    exact = mixtures.score(points - shift, centres - shift, 1e-4, log_weights)
    torch.testing.assert_close(mixtures.score(points, centres, 1e-4, log_weights), exact)
    torch.testing.assert_close(exact, near, rtol=1e-4, atol=1e-4)
    distances = mixtures.squared_distances(points, centres)
    truth = (points[:, None] - centres).square().sum(-1)
    torch.testing.assert_close(distances, truth, rtol=1e-9, atol=1e-12)


def test_single_precision_data_with_a_small_variance():
    points, centres, log_weights = draw(6, 40, 30, 64, dtype=torch.float32)
    points = centres.repeat(2, 1)[:40] + 1e-3 * points
    for function in (mixtures.log_density, mixtures.score):
        single = function(points, centres, 1e-4, log_weights)
        double = function(points.double(), centres.double(), 1e-4, log_weights.double())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4)


def test_very_distant_points_stay_finite():
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    points = torch.tensor([[1e4, 0.0]], dtype=torch.float64)
    assert float(mixtures.log_density(points, centres, 1e-3)) == pytest.approx(
        -(9999.0**2) / 2e-3 - math.log(2 * math.pi * 1e-3) - math.log(2), rel=1e-12
    )
    torch.testing.assert_close(
        mixtures.score(points, centres, 1e-3), torch.tensor([[-9999e3, 0.0]]).double()
    )


def test_empty_batch_shapes():
    points, centres, _ = draw(7, 1, 4, 2)
    assert mixtures.log_density(points[0], centres, 1.0).shape == ()
    assert mixtures.score(points[0], centres, 1.0).shape == (2,)
    assert mixtures.score(points[:0], centres, 1.0).shape == (0, 2)


def test_squared_distances():
    points, centres, _ = draw(8, 6, 4, 3, shift=100.0)
    exact = (points[:, None] - centres).square().sum(-1)
    torch.testing.assert_close(mixtures.squared_distances(points, centres), exact)
    assert bool((mixtures.squared_distances(points, points).diagonal() >= 0).all())


@pytest.mark.parametrize(
    ("points", "log_weights", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(5), "log_weights: got shape"),
        (torch.zeros(3, 4), None, "points: got dimension 4"),
    ],
)
def test_refuses_shapes_that_do_not_fit(points, log_weights, message):
    with pytest.raises(ValueError, match=message):
        mixtures.log_density(points, torch.zeros(3, 2), 1.0, log_weights)


def test_the_work_is_done_where_the_points_are(
    device: torch.device, generator: torch.Generator
) -> None:
    centres = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    points = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    for function in (mixtures.log_density, mixtures.score):
        there = function(points.to(device), centres, 0.3)
        assert there.device.type == device.type
        torch.testing.assert_close(there.cpu(), function(points, centres, 0.3))
