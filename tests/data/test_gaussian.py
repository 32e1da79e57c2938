"""Gaussian sources against torch.distributions and the closed forms."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal
from torch.func import grad, vmap

from genbound import sde
from genbound.data import Gaussian

MEAN = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[2.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 1.0]], dtype=torch.float64)
SOURCE = Gaussian(MEAN, COVARIANCE)


def test_density_score_and_entropy(generator):
    law = MultivariateNormal(MEAN, COVARIANCE)
    data = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(SOURCE.log_density(data), law.log_prob(data))
    flat = data.reshape(-1, 3)
    torch.testing.assert_close(SOURCE.score(flat), vmap(grad(law.log_prob))(flat))
    assert SOURCE.entropy().value == pytest.approx(float(law.entropy()))
    assert SOURCE.entropy().side == "exact"


def test_samples(generator):
    n = 20_000
    draws = SOURCE.sample(n, generator=generator)
    error = COVARIANCE.diagonal().sqrt() / math.sqrt(n)
    assert bool(((draws.mean(0) - MEAN).abs() < 4 * error).all())
    products = (draws - MEAN).unsqueeze(-1) * (draws - MEAN).unsqueeze(-2)
    gap = (products.mean(0) - COVARIANCE).abs()
    assert bool((gap < 4 * products.std(0) / math.sqrt(n)).all())
    assert SOURCE.sample(2, generator=generator, dtype=torch.float32).dtype == torch.float32


def test_noised_law_and_path_score(generator):
    process = sde.vp()
    noisy = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    times = torch.rand(6, generator=generator, dtype=torch.float64) + 0.01
    scores = SOURCE.path_score(process)(noisy, times)
    for k in range(6):
        law = SOURCE.noised(process, float(times[k]))
        alpha, sigma = process.moments(times[k])
        torch.testing.assert_close(law.mean, alpha * MEAN)
        torch.testing.assert_close(law.covariance, alpha**2 * COVARIANCE + sigma**2 * torch.eye(3))
        torch.testing.assert_close(law.score(noisy[k]), scores[k])


def test_information_is_the_fall_of_entropy():
    process = sde.sub_vp()
    for time in (0.01, 0.3, 1.0):
        _, sigma = process.moments(time)
        noise = 1.5 * math.log(2 * math.pi * math.e * float(sigma) ** 2)
        fall = SOURCE.noised(process, time).entropy().value - noise
        assert SOURCE.information(process, time).value == pytest.approx(fall)


def test_standard_normal_data_in_the_vp_process():
    process = sde.vp()
    _, sigma = process.moments(0.2)
    information = Gaussian(torch.zeros(2), torch.eye(2)).information(process, 0.2)
    assert information.value == pytest.approx(1.074004, abs=1e-6)
    assert information.value == pytest.approx(-2 * math.log(float(sigma)))


def test_singular_covariance_has_no_density_until_noised():
    flat = Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 0.0]])
    for question in (flat.entropy, lambda: flat.score(torch.zeros(2))):
        with pytest.raises(ValueError, match="singular"):
            question()
    assert math.isfinite(flat.noised(sde.ou(), 0.1).entropy().value)


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        ([0.0], [[1.0, 0.0], [0.0, 1.0]], "got shape"),
        ([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]], "symmetric"),
        ([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]], "eigenvalue"),
    ],
)
def test_refuses_what_is_no_covariance(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(mean, covariance)
