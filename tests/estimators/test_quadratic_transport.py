"""Quadratic transport: maps optimal for every sample, brute force, and Gaussians."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from genbound.estimators.quadratic_transport import frechet, squared_wasserstein2, wasserstein2


def points(n, d, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return shift + torch.randn(n, d, generator=generator, dtype=torch.float64)


def covariance_of(d, seed):
    part = points(d, d, seed)
    return part @ part.mT / d + 0.1 * torch.eye(d, dtype=torch.float64)


def gaussian_distance(shift, first, second):
    """The squared distance of two Gaussians, by SciPy's matrix root."""
    cross = linalg.sqrtm(first.numpy() @ second.numpy()).real.trace()
    return float(shift.square().sum() + first.trace() + second.trace()) - 2 * float(cross)


@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 1000))
def test_against_all_permutations(n, d, seed):
    first, second = points(n, d, seed), points(n, d, seed + 1, 0.5)
    best = min(
        float((first - second[list(order)]).square().sum()) / n
        for order in itertools.permutations(range(n))
    )
    assert math.isclose(squared_wasserstein2(first, second).value, best, rel_tol=1e-9)
    assert math.isclose(wasserstein2(first, second).value, math.sqrt(best), rel_tol=1e-9)
    assert math.isclose(squared_wasserstein2(second, first).value, best, rel_tol=1e-9)


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 1000))
def test_monotone_linear_maps_are_optimal(n, d, seed):
    """x -> A x + b with A positive definite is a convex gradient: optimal on every sample."""
    first, matrix = points(n, d, seed), covariance_of(d, seed + 1)
    second = first @ matrix + points(1, d, seed + 2)
    shuffled = second[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]
    expected = float((first - second).square().sum(1).mean())
    assert math.isclose(squared_wasserstein2(first, shuffled).value, expected, rel_tol=1e-9)


@given(st.integers(2, 20), st.integers(2, 20), st.integers(2, 20), st.integers(0, 1000))
def test_a_distance(n, m, k, seed):
    clouds = [points(size, 2, seed + i, 0.3 * i) for i, size in enumerate((n, m, k))]
    one, two, three = (
        wasserstein2(clouds[i], clouds[j]).value for i, j in ((0, 1), (1, 2), (0, 2))
    )
    assert three <= one + two + 1e-9
    # Never below the distance of the means, and far from 0 the same.
    assert one >= float((clouds[0].mean(0) - clouds[1].mean(0)).norm()) - 1e-9
    far = [cloud + 1e6 for cloud in clouds[:2]]
    assert math.isclose(wasserstein2(*far).value, one, rel_tol=1e-6)


def test_equal_samples():
    cloud = points(20, 2, 1)
    assert squared_wasserstein2(cloud, cloud.flip(0)).value == 0
    root = wasserstein2(cloud, cloud.flip(0))
    assert root.value == 0 and math.isnan(root.stderr)


def test_gaussians_and_the_standard_error():
    """200 pairs of samples: the mean a little above the truth, the claimed error the spread."""
    scales = torch.tensor([0.5, 2.0], dtype=torch.float64)
    truth = 2 * 1.0 + float((scales - 1).square().sum())
    found = [
        squared_wasserstein2(points(100, 2, k), points(100, 2, 1000 + k) * scales + 1)
        for k in range(200)
    ]
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    claimed = torch.tensor([each.stderr for each in found]).square().mean().sqrt()
    assert 0.85 < float(claimed / values.std()) < 1.2
    error = float(values.std()) / 200**0.5
    assert -4 * error < float(values.mean()) - truth < 0.3
    estimate = found[0]
    assert estimate.side == "upper" and estimate.n == len(estimate.influence) == 200
    implied = float(estimate.influence.std()) / math.sqrt(estimate.n)
    assert math.isclose(implied, estimate.stderr, rel_tol=0.02)
    root = wasserstein2(points(100, 2, 0), points(100, 2, 1000) * scales + 1)
    assert math.isclose(root.stderr, estimate.stderr / (2 * root.value))


def test_the_root_can_fall_short():
    """A point against a rare other one: the square is right in the mean, the root below."""
    rare = torch.rand(400, 20, generator=torch.Generator().manual_seed(0)) < 0.1
    point = torch.zeros(20, 1)
    pairs = [(row.double()[:, None], point) for row in rare]
    squares = torch.tensor([squared_wasserstein2(*pair).value for pair in pairs])
    roots = torch.tensor([wasserstein2(*pair).value for pair in pairs])
    assert abs(float(squares.mean()) - 0.1) < 4 * float(squares.std()) / 20
    assert float(roots.mean()) + 4 * float(roots.std()) / 20 < math.sqrt(0.1)


@given(st.integers(1, 5), st.integers(0, 1000))
def test_frechet_of_moments(d, seed):
    """From the samples' own moments it is the Gaussian formula; a linear map shows it exactly."""
    first, second = points(30, d, seed), points(25, d, seed + 1, 0.5) @ covariance_of(d, seed)
    expected = gaussian_distance(
        first.mean(0) - second.mean(0), first.mT.cov().reshape(d, d), second.mT.cov().reshape(d, d)
    )
    assert math.isclose(frechet(first, second).value, expected, rel_tol=1e-6, abs_tol=1e-7)
    assert math.isclose(frechet(second, first).value, expected, rel_tol=1e-6, abs_tol=1e-7)
    # A shift and a scale of one sample: |b|^2 + (c - 1)^2 tr S.
    moved = 1.5 * first + 2.0
    shift = 0.5 * first.mean(0) + 2.0
    expected = float(shift.square().sum() + 0.25 * first.var(0).sum())
    assert math.isclose(frechet(first, moved).value, expected, rel_tol=1e-9)
    # Of all couplings with these means and covariances it is the least.
    n = min(len(first), len(second))
    same = [part[:n] for part in (first, second)]
    scale = (n - 1) / n
    shift = float((same[0].mean(0) - same[1].mean(0)).square().sum())
    fitted = shift + scale * (frechet(*same).value - shift)
    assert fitted <= squared_wasserstein2(*same).value + 1e-9


def test_frechet_is_biased_upward_and_knows_its_error():
    first, second = covariance_of(3, 1), covariance_of(3, 2)
    roots = [torch.linalg.cholesky(part).mT for part in (first, second)]
    shift = torch.tensor([0.5, 0.0, -0.3], dtype=torch.float64)
    truth = gaussian_distance(shift, first, second)
    found = [
        frechet(points(60, 3, k) @ roots[0], points(80, 3, 5000 + k) @ roots[1] - shift)
        for k in range(400)
    ]
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    claimed = torch.tensor([each.stderr for each in found]).square().mean().sqrt()
    assert 0.85 < float(claimed / values.std()) < 1.15
    # The means alone add tr S / n + tr S' / m.
    least = float(first.trace() / 60 + second.trace() / 80)
    assert float(values.mean()) - truth > least - 4 * float(values.std()) / 20
    assert found[0].side == "upper" and found[0].n == len(found[0].influence) == 140


def test_frechet_of_features():
    first, second = points(40, 3, 1).reshape(40, 3, 1), points(50, 3, 2).reshape(50, 3, 1)

    def features(data):
        return torch.cat([data.flatten(1), data.flatten(1).square()], 1)

    found = frechet(first, second, features=features)
    assert found.value == frechet(features(first), features(second)).value
    assert "features, k=6" in found.method


def test_singular_covariances_leave_the_error_unknown():
    found = frechet(points(4, 6, 1), points(50, 6, 2))
    assert found.value > 0 and math.isnan(found.stderr) and found.side == "upper"


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((5, 2), (5, 3)), r"first, second: got shapes \(5, 2\) and \(5, 3\)"),
        (((5,), (5,)), r"^first.*: got shapes? \(5,\)"),
        (((5, 2), (1, 2)), "second: got (shape|5 and 1 points)"),
    ],
)
def test_bad_input_is_named(shapes, message):
    first, second = (torch.zeros(shape) for shape in shapes)
    for distance in (squared_wasserstein2, wasserstein2, frechet):
        with pytest.raises(ValueError, match=message):
            distance(first, second)


def test_devices(device):
    first, second = points(50, 3, 1), points(40, 3, 2, 0.5)
    for distance in (wasserstein2, frechet):
        reference = distance(first, second)
        found = distance(first.to(device), second.to(device))
        assert math.isclose(found.value, reference.value, rel_tol=1e-6)
        assert math.isclose(found.stderr, reference.stderr, rel_tol=1e-6)
