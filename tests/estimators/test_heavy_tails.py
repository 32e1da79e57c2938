"""Tail indices against laws that have one; stable noise against its characteristic function."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genbound.estimators.heavy_tails import (
    hill,
    kesten_index,
    kesten_index_of,
    moment_index,
    stable_noise,
)


@pytest.mark.parametrize("batch", [1, 4, 16])
@given(variance=st.floats(0.05, 20))
def test_index_two_at_the_edge(batch, variance):
    """t14."""
    rate = 1 / (variance * (1 + 2 / batch))
    assert math.isclose(kesten_index(rate, batch=batch, variance=variance), 2, rel_tol=1e-9)


@given(st.integers(1, 40), st.floats(0.05, 1))
def test_index_four_and_order(batch, share):
    """At the root of E A^4 = 1, by the moments of chi-square, the index is 4."""
    moments = [stats.chi2(batch).moment(k) / batch**k for k in range(5)]

    def excess(size):
        return sum(math.comb(4, k) * (-size) ** k * moments[k] for k in range(1, 5))

    low, high = 1e-6, 2.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    assert math.isclose(kesten_index(low / 2, batch=batch, variance=1.0), 4, rel_tol=1e-7)
    # heavier with the rate, lighter with the batch
    lower = kesten_index(share * low / 2, batch=batch, variance=1.0)
    assert lower >= 4 - 1e-7
    assert kesten_index(low / 2, batch=2 * batch, variance=1.0) > 4


def test_no_stationary_law():
    assert kesten_index(1.5, batch=1, variance=1.0) == 0
    assert kesten_index(1e-3, batch=64, variance=1.0) == math.inf


def test_root_of_draws_and_its_error(generator):
    rate, batch, n = 0.4, 2, 4000
    exact = kesten_index(rate, batch=batch, variance=1.0)
    draws = torch.randn(60, n, batch, generator=generator, dtype=torch.float64)
    factors = 1 - 2 * rate * draws.square().mean(-1)
    found = [kesten_index_of(row) for row in factors]
    values = torch.tensor([each.value for each in found])
    errors = torch.tensor([each.stderr for each in found])
    assert abs(float(values.mean()) - exact) < 4 * float(values.std()) / 60**0.5 + 0.05 * exact
    assert 0.5 < float(errors.mean() / values.std()) < 1.5
    assert kesten_index_of(torch.tensor([0.5, 0.2])).value == math.inf
    assert kesten_index_of(torch.tensor([3.0, 2.0])).value == 0


def test_the_chain_has_the_tail_of_the_theory(generator):
    """Independent chains W <- (1 - 2 eta x2) W + noise, after they have become stationary."""
    rate, batch, chains = 0.25, 1, 40_000
    weights = torch.zeros(chains, dtype=torch.float64)
    for _ in range(150):
        states = torch.randn(chains, batch + 1, generator=generator, dtype=torch.float64)
        weights = (1 - 2 * rate * states[:, :batch].square().mean(1)) * weights + states[:, -1]
    index = kesten_index(rate, batch=batch, variance=1.0)
    found = hill(weights, tail=400)
    assert abs(found.value - 1 / index) < 5 * found.stderr


def pareto(index, n, generator):
    return torch.rand(n, generator=generator, dtype=torch.float64) ** (-1 / index)


@given(st.floats(0.3, 6), st.integers(0, 1000))
def test_hill_is_unbiased_for_pareto(index, seed):
    generator = torch.Generator().manual_seed(seed)
    found = [hill(pareto(index, 300, generator), tail=100) for _ in range(60)]
    values = torch.tensor([each.value for each in found])
    assert abs(float(values.mean()) - 1 / index) < 5 * float(values.std()) / 60**0.5
    expected = 1 / (index * 10)
    assert abs(float(values.std()) / expected - 1) < 0.45
    assert math.isclose(found[0].stderr, found[0].value / 10)


@pytest.mark.parametrize("index", [0.7, 1.5, 4.0])
def test_moment_index_for_pareto(index, generator):
    found = [moment_index(pareto(index, 4000, generator), tail=800) for _ in range(60)]
    values = torch.tensor([each.value for each in found])
    assert abs(float(values.mean()) - 1 / index) < 5 * float(values.std()) / 60**0.5 + 0.01
    assert 0.7 < found[0].stderr / float(values.std()) < 1.4


def test_light_tails_are_seen_as_light_by_the_moments_alone(generator):
    normal = torch.randn(100_000, generator=generator, dtype=torch.float64)
    uniform = torch.rand(100_000, generator=generator, dtype=torch.float64)
    assert hill(normal, tail=1000).value > 0.08
    assert abs(moment_index(normal, tail=1000).value) < 0.2
    assert abs(moment_index(uniform, tail=1000).value + 1) < 0.2


def test_scale_does_not_matter(generator):
    sample = pareto(1.3, 500, generator)
    signs = torch.randn(500, generator=generator).sign()
    for estimator in (hill, moment_index):
        first = estimator(sample, tail=50).value
        assert math.isclose(first, estimator(-7 * sample * signs, tail=50).value, rel_tol=1e-9)


@pytest.mark.parametrize("index", [0.4, 0.9, 1.0, 1.5, 1.9, 2.0])
@pytest.mark.parametrize("d", [1, 3])
def test_characteristic_function(index, d, generator):
    n = 40_000
    noise = stable_noise(n, d, index=index, generator=generator)
    for size in (0.2, 0.7, 1.5):
        direction = torch.randn(d, generator=generator, dtype=torch.float64)
        waves = (size * noise @ (direction / direction.norm())).cos()
        gap = float(waves.mean()) - math.exp(-(size**index))
        assert abs(gap) < 4 * float(waves.std()) / n**0.5


def test_known_members_of_the_family(generator):
    cauchy = stable_noise(20_000, 1, index=1.0, generator=generator)[:, 0]
    normal = stable_noise(20_000, 1, index=2.0, generator=generator)[:, 0]
    assert stats.kstest(cauchy.numpy(), stats.cauchy().cdf).pvalue > 1e-3
    assert stats.kstest(normal.numpy(), stats.norm(scale=2**0.5).cdf).pvalue > 1e-3
    other = stable_noise(20_000, 1, index=1.4, generator=generator)[:, 0]
    found = hill(other, tail=300)
    assert abs(found.value - 1 / 1.4) < 4 * found.stderr


def test_noise_on_every_device_and_in_every_precision(device):
    generator = torch.Generator(device).manual_seed(1)
    noise = stable_noise(5, 2, index=1.2, generator=generator, dtype=torch.float32)
    assert noise.shape == (5, 2) and noise.dtype == torch.float32
    assert noise.device.type == device.type
    again = torch.Generator(device).manual_seed(1)
    assert torch.equal(noise, stable_noise(5, 2, index=1.2, generator=again, dtype=torch.float32))


@pytest.mark.parametrize(
    ("call", "words", "message"),
    [
        (kesten_index, {"rate": 0.0, "batch": 1, "variance": 1.0}, "rate"),
        (kesten_index, {"rate": 1.0, "batch": 0, "variance": 1.0}, "batch"),
        (kesten_index, {"rate": 1.0, "batch": 1, "variance": math.inf}, "variance"),
        (kesten_index_of, {"multipliers": torch.zeros(2, 2)}, "multipliers"),
        (hill, {"samples": torch.arange(5.0), "tail": 1}, "tail"),
        (hill, {"samples": torch.arange(5.0), "tail": 5}, "tail"),
        (hill, {"samples": torch.tensor([0.0, 0.0, 0.0, 1.0]), "tail": 2}, "samples"),
        (hill, {"samples": torch.tensor([1.0, math.nan, 2.0, 3.0]), "tail": 2}, "samples"),
        (moment_index, {"samples": torch.zeros(3, 3), "tail": 2}, "samples"),
    ],
)
def test_bad_input(call, words, message):
    with pytest.raises(ValueError, match=message):
        call(**words)


@pytest.mark.parametrize(
    ("size", "index", "message"), [((3,), 0.0, "index"), ((3,), 2.1, "index"), ((), 1.0, "size")]
)
def test_bad_noise(size, index, message, generator):
    with pytest.raises(ValueError, match=message):
        stable_noise(*size, index=index, generator=generator)
