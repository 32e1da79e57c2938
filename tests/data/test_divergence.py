"""Divergences between sources: closed form, quadrature and draws agree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, kl_divergence

from genbound.data import Gaussian, SwissRoll, gaussian_mixture, kl, orthogonal_points, points

CENTRES = [[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 2.0, 1.0]]


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_gaussians(seed, d):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(2, d, generator=generator, dtype=torch.float64)
    roots = torch.randn(2, d, d, generator=generator, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.2 * torch.eye(d)
    laws = list(zip(means, covariances, strict=True))
    truth = kl_divergence(*(MultivariateNormal(*law) for law in laws))
    value = kl(*(Gaussian(*law) for law in laws))
    assert value.side == "exact"
    assert value.value == pytest.approx(float(truth), rel=1e-9)


def test_close_gaussians_keep_their_digits():
    first, second = (Gaussian([0.0], [[variance]]) for variance in (1 + 1e-6, 1.0))
    assert kl(first, second).value == pytest.approx(1e-12 / 4, rel=1e-5)


@given(st.floats(0.1, 2.0), st.floats(0.1, 2.0), st.floats(-2, 2))
def test_mixture_quadrature_against_gaussians(first_variance, second_variance, shift):
    first, second = (
        gaussian_mixture([[m, 0.0, 1.0, 0.0]], variance=v)
        for m, v in ((0.0, first_variance), (shift, second_variance))
    )
    truth = kl(
        Gaussian(first.centres[0], first_variance * torch.eye(4).double()),
        Gaussian(second.centres[0], second_variance * torch.eye(4).double()),
    )
    assert kl(first, second).value == pytest.approx(truth.value, rel=1e-8, abs=1e-10)


def test_mixture_quadrature_against_draws(generator):
    first = gaussian_mixture(CENTRES, variance=0.3, weights=[1.0, 2.0, 3.0])
    second = gaussian_mixture(CENTRES[:2], variance=0.8)
    value = kl(first, second)
    draws = first.sample(20_000, generator=generator)
    ratio = first.log_density(draws) - second.log_density(draws)
    assert value.side == "consistent"
    assert abs(value.value - float(ratio.mean())) < 4 * float(ratio.std()) / 20_000**0.5
    assert kl(first, first).value == pytest.approx(0, abs=1e-12)


def test_draws_where_there_is_no_quadrature(generator):
    first = gaussian_mixture(torch.zeros(1, 4), variance=1.0)
    second = Gaussian(torch.ones(4) / 2, torch.eye(4))
    with pytest.raises(ValueError, match="generator"):
        kl(first, second)
    value = kl(first, second, generator=generator)
    assert abs(value.value - 0.5) < 4 * value.stderr


def test_swiss_roll_counts_as_a_mixture():
    value = kl(SwissRoll(0.5), gaussian_mixture([[0.0, 0.0]], variance=4.0))
    assert value.side == "consistent"
    assert value.value > 0
    assert kl(SwissRoll(1.0), SwissRoll(1.0)).value == pytest.approx(0, abs=1e-12)


def test_refuses(generator):
    with pytest.raises(ValueError, match="dimension"):
        kl(SwissRoll(), orthogonal_points(3, 1.0), generator=generator)
    with pytest.raises(ValueError, match="no density"):
        kl(points([[0.0]]), gaussian_mixture([[0.0]], variance=1.0))
