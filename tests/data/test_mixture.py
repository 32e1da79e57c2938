"""Mixtures and laws on points: golden informations, quadrature against draws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from genbound import sde
from genbound.data import Gaussian, Mixture, gaussian_mixture, orthogonal_points, points, two_point
from genbound.data.quadrature import coordinates

PROCESS = sde.vp()


def time_at(snr: float) -> float:
    return float(PROCESS.time_of(math.log(snr)))


@pytest.mark.parametrize(
    ("snr", "value"), [(0.1, 0.0476492), (0.5, 0.201345), (1.0, 0.336831), (10.0, 0.690899)]
)
def test_two_points_are_a_binary_signal_in_gaussian_noise(snr, value):
    information = two_point([1.0]).information(PROCESS, time_at(snr))
    assert information.value == pytest.approx(value, abs=1e-6)
    assert information.stderr < 1e-6


@pytest.mark.parametrize(("time", "value"), [(0.2, 0.685401), (0.8, 0.00316237)])
def test_only_the_distance_of_two_points_counts(time, value):
    for a in ([2.0], [0.0, 2.0], [1.0, 1.0, -1.0, 1.0]):
        assert two_point(a).information(PROCESS, time).value == pytest.approx(value, abs=1e-6)


@given(st.floats(0.05, 8.0))
def test_two_points_against_an_integral(snr):
    def loss(x):
        density = math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
        return density * math.log1p(math.exp(-2 * snr - 2 * math.sqrt(snr) * x))

    truth = math.log(2) - quad(loss, -30, 30, points=[-math.sqrt(snr)])[0]
    value = two_point([0.6, 0.8]).information(PROCESS, time_at(snr)).value
    assert value == pytest.approx(truth, abs=2e-7)


@pytest.mark.parametrize(("kappa", "value"), [(0.5, 0.116), (1.0, 0.451), (3.0, 2.36)])
def test_sixteen_orthogonal_points(kappa, value, generator):
    information = orthogonal_points(16, 1.0).information(
        PROCESS, time_at(kappa**2), generator=generator
    )
    assert information.side == "unbiased"
    assert abs(information.value - value) < 4 * information.stderr + 0.005
    assert information.stderr < 0.01


def test_three_orthogonal_points_by_quadrature_and_by_draws(generator):
    source, time = orthogonal_points(3, 2.0), time_at(0.3)
    by_quadrature = source.information(PROCESS, time)
    data = source.sample(40_000, generator=generator)
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype)
    law = source.noised(PROCESS, time)
    _, sigma = PROCESS.moments(time)
    kernel = -noise.square().sum(-1) / 2 - 1.5 * torch.log(2 * math.pi * sigma**2)
    ratio = kernel - law.log_density(PROCESS.perturb(data, time, noise))
    assert by_quadrature.side == "consistent"
    assert abs(by_quadrature.value - float(ratio.mean())) < 4 * float(ratio.std()) / 200


@given(st.integers(0, 10**6), st.integers(1, 2), st.floats(0.05, 2.0))
def test_entropy_against_draws(seed, rank, variance):
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
    centres = 2 * torch.randn(5, rank, generator=generator, dtype=torch.float64) @ frame[:rank]
    weights = torch.rand(5, generator=generator, dtype=torch.float64) + 0.1
    source = gaussian_mixture(centres + 3, variance=variance, weights=weights)
    surprise = -source.log_density(source.sample(2000, generator=generator))
    entropy = source.entropy()
    # five standard errors: fifty seeds are tried
    assert abs(entropy.value - float(surprise.mean())) < 5 * float(surprise.std()) / math.sqrt(
        2000
    )
    assert entropy.stderr < 1e-4


def test_one_component_is_a_gaussian(generator):
    mixture = gaussian_mixture([[1.0, -2.0, 0.5]], variance=0.7)
    normal = Gaussian([1.0, -2.0, 0.5], 0.7 * torch.eye(3))
    data = mixture.sample(10, generator=generator)
    assert mixture.entropy().value == pytest.approx(normal.entropy().value)
    torch.testing.assert_close(mixture.log_density(data), normal.log_density(data))
    torch.testing.assert_close(mixture.score(data), normal.score(data))
    assert mixture.information(PROCESS, 0.3).value == pytest.approx(
        normal.information(PROCESS, 0.3).value
    )


def test_path_score_is_the_score_of_each_noised_law(generator):
    source = gaussian_mixture([[1.0, 0.0], [-1.0, 2.0]], variance=0.2, weights=[1.0, 3.0])
    noisy = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    times = torch.linspace(1e-3, 1, 6, dtype=torch.float64)
    scores = source.path_score(PROCESS)(noisy, times)
    for k in range(6):
        law = source.noised(PROCESS, float(times[k]))
        torch.testing.assert_close(scores[k], law.score(noisy[k]), rtol=1e-8, atol=1e-8)
    single = source.path_score(PROCESS)(noisy.float(), 0.2)
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single.double(), source.noised(PROCESS, 0.2).score(noisy), rtol=1e-5, atol=1e-5
    )


def test_samples_follow_the_weights(generator):
    source = gaussian_mixture([[0.0], [10.0]], variance=0.01, weights=[1.0, 3.0])
    draws = source.sample(4000, generator=generator)
    share = float((draws > 5).double().mean())
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 4000)
    assert float((draws - draws.round(decimals=-1)).std()) == pytest.approx(0.1, rel=0.05)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_coordinates_keep_distances(k, d, seed):
    centres = torch.randn(k, d, generator=torch.Generator().manual_seed(seed)).double()
    places = coordinates(centres)
    assert places.shape[1] <= min(k - 1, d)
    torch.testing.assert_close(torch.cdist(places, places), torch.cdist(centres, centres))


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda: points([[0.0], [1.0]]).entropy(), "no density"),
        (lambda: points([[0.0]]).score(torch.zeros(1)), "no density"),
        (lambda: orthogonal_points(9, 1.0).information(PROCESS, 0.1), "generator"),
        (lambda: orthogonal_points(9, 1.0).noised(PROCESS, 0.1).entropy(), "generator"),
        (lambda: orthogonal_points(0, 1.0), "m: got 0"),
        (lambda: Mixture(torch.zeros(2, 1), -1.0), "variance: got -1"),
        (lambda: Mixture(torch.zeros(2), 1.0), "centres: got shape"),
        (lambda: Mixture(torch.zeros(2, 1), 1.0, torch.zeros(2)), "log_weights"),
    ],
)
def test_refuses(question, message):
    with pytest.raises(ValueError, match=message):
        question()
