"""The data term by its definition: the informations, quadrature on the line, any law of times."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import mixtures
from genbound.data import Gaussian, gaussian_mixture, points
from genbound.estimators.data_term import data_term, irreducible, irreducible_of_sample
from genbound.estimators.data_term_parts import data_term_parts, irreducible_by_draws
from genbound.estimators.noise_levels import between, on_grid
from genbound.sampler import time_grid
from genbound.sde import cosine, ou, sub_vp, vp
from tests.estimators.reference import seeded

PROCESS = ou()
SPAN = {"horizon": 3.0, "t_min": 0.05}
INTERVAL = between(PROCESS, 0.05, 3.0)
LAW = Gaussian([0.4], [[1.7]])
PLANE = gaussian_mixture([[1.0, 0.0], [-1.0, 0.5], [0.0, 2.0]], variance=0.1)
SPACE = gaussian_mixture(
    [[1.0, 0.0, 0.0], [-1.0, 0.5, 1.0], [0.0, 2.0, 0.5], [1.0, 1.0, 1.0]], variance=0.1
)


def parts(source, sample, levels=INTERVAL, *, process=PROCESS, seed=0, given_sample=True):
    fresh = source.sample(20_000, generator=seeded(seed + 1))
    return data_term_parts(
        source,
        process,
        sample,
        fresh,
        levels,
        draws=400,
        generator=seeded(seed),
        given_sample=given_sample,
    )


@pytest.mark.parametrize("process", [ou(), vp(), sub_vp(), cosine()])
@pytest.mark.parametrize("source", [LAW, PLANE, SPACE])
def test_both_methods_agree(process, source):
    sample = source.sample(20, generator=seeded(5))
    span = {"horizon": 0.9, "t_min": 0.03}
    by_scores = parts(source, sample, between(process, 0.03, 0.9), process=process)
    by_information = data_term(
        source, process, sample, draws=2000, generator=seeded(), given_sample=True, **span
    )
    for part in (by_scores.total, by_information):
        assert part.influence is None
    errors = math.hypot(by_scores.total.stderr, by_information.stderr)
    assert abs(by_scores.total.value - by_information.value) < 4 * errors < 0.8
    assert by_scores.total.value == pytest.approx(by_scores.moments.value + by_scores.fisher.value)


def test_the_parts_on_the_line():
    """Moments and Fisher informations by quadrature, one after the other."""
    sample = LAW.sample(10, generator=seeded(3))
    x = torch.linspace(-9, 9, 6001, dtype=torch.float64)[:, None]
    rows = []
    for time, share in zip(INTERVAL.times, INTERVAL.shares, strict=True):
        informations = [
            torch.trapezoid(law.log_density(x).exp() * (law.score(x) + x)[:, 0] ** 2, x[:, 0])
            for law in (LAW.noised(PROCESS, time), points(sample).noised(PROCESS, time))
        ]
        noise2 = PROCESS.moments(time)[1] ** 2
        rows.append(share * noise2 * (informations[0] - informations[1]))
    fisher = INTERVAL.mass * float(sum(rows))
    # g^2 = 2: half the integral of 2 e^{-2t}.
    weight = (math.exp(-0.1) - math.exp(-6)) / 2
    moments = weight * (float(sample.square().mean()) - 1.7 - 0.16)
    found = parts(LAW, sample)
    for part, truth in ((found.fisher, fisher), (found.moments, moments)):
        assert abs(part.value - truth) < 4 * part.stderr
    known = data_term(LAW, PROCESS, sample, generator=seeded(), **SPAN)
    assert fisher + moments == pytest.approx(known.value, abs=1e-7)


@given(n=st.integers(2, 20), d=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_empirical_law_and_its_limit(n, d, seed):
    """Never above log n, which the definition does not know of; and the information lost."""
    sample = 0.7 * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)
    found = irreducible_by_draws(
        points(sample), PROCESS, sample, INTERVAL, draws=500, generator=seeded(seed)
    )
    assert found.value <= math.log(n) + 4 * found.stderr
    known = irreducible_of_sample(
        PROCESS, sample, draws=500, generator=seeded(1), given_sample=True, **SPAN
    )
    own = 3 * n**0.5 / (500 * n) ** 0.5
    assert abs(found.value - known.value) < 4 * math.hypot(known.stderr, own)


@pytest.mark.parametrize("source", [LAW, PLANE, SPACE])
def test_the_irreducible_loss_of_a_law(source):
    known = irreducible(source, PROCESS, generator=seeded(), **SPAN)
    data = source.sample(20_000, generator=seeded(1))
    found = irreducible_by_draws(source, PROCESS, data, INTERVAL, draws=2, generator=seeded(2))
    assert abs(found.value - known.value) < 4 * math.hypot(found.stderr, known.stderr) < 0.15


@given(step=st.floats(0.1, 1.5), v=st.floats(0.2, 4.0))
@settings(max_examples=15)
def test_gaussian_data_on_a_grid(step, v):
    """Each step: half its clock times ``1 / sigma^2 - 1 / v_t``; the data term's moments too."""
    law = Gaussian([0.5], [[v]])
    times = time_grid(PROCESS, 3.0, 0.05, step=step)
    levels = on_grid(PROCESS, times)
    signal, noise = PROCESS.moments(times[:-1])
    clocks = -PROCESS.clock_of(times).diff() / 2
    truth = float(clocks @ (1 / noise**2 - 1 / (signal**2 * v + noise**2)))
    data = law.sample(10_000, generator=seeded())
    found = irreducible_by_draws(law, PROCESS, data, levels, draws=4, generator=seeded(1))
    assert abs(found.value - truth) < 4 * found.stderr < 0.1 * truth + 0.1
    sample = law.sample(6, generator=seeded(2))
    moments = float(clocks @ signal**2) * (float(sample.square().mean()) - v - 0.25)
    part = parts(law, sample, levels).moments
    assert abs(part.value - moments) < 4 * part.stderr


def test_the_standard_error_covers_the_sample():
    found = []
    for k in range(100):
        sample, fresh = (LAW.sample(m, generator=seeded(7 * k + m)) for m in (30, 2000))
        found.append(
            data_term_parts(
                LAW, PROCESS, sample, fresh, INTERVAL, draws=32, generator=seeded(7 * k)
            )
        )
    for name in ("total", "moments", "fisher"):
        values = torch.tensor([getattr(each, name).value for each in found])
        claimed = torch.tensor([getattr(each, name).stderr for each in found])
        assert 0.75 < float(claimed.square().mean().sqrt() / values.std()) < 1.35


def test_the_error_given_the_sample_is_that_of_the_draws():
    sample = PLANE.sample(15, generator=seeded())
    found = [parts(PLANE, sample, seed=3 * k).total for k in range(60)]
    values = torch.tensor([each.value for each in found])
    claimed = torch.tensor([each.stderr for each in found])
    assert 0.75 < float(claimed.square().mean().sqrt() / values.std()) < 1.35


def test_blocks_change_nothing(monkeypatch):
    sample = SPACE.sample(30, generator=seeded())
    whole = parts(SPACE, sample)
    monkeypatch.setattr(mixtures, "BLOCK_ENTRIES", 64)
    split = parts(SPACE, sample)
    for one, other in zip(whole, split, strict=True):
        assert math.isclose(one.value, other.value, rel_tol=1e-12)


def test_bad_input_is_named():
    sample = PLANE.sample(4, generator=seeded())
    for draws in (0, 3):
        with pytest.raises(ValueError, match=f"draws: got {draws}, allowed are even"):
            data_term_parts(
                PLANE, PROCESS, sample, sample, INTERVAL, draws=draws, generator=seeded()
            )
    for given_data, name in (((sample[:1], sample), "sample"), ((sample, sample[0]), "fresh")):
        with pytest.raises(ValueError, match=f"{name}: got shape"):
            data_term_parts(PLANE, PROCESS, *given_data, INTERVAL, draws=2, generator=seeded())


def test_devices(device):
    source = gaussian_mixture(torch.eye(3, device=device), variance=0.1)
    generator = torch.Generator(device).manual_seed(0)
    sample, fresh = (source.sample(m, generator=generator) for m in (20, 500))
    found = data_term_parts(source, PROCESS, sample, fresh, INTERVAL, draws=8, generator=generator)
    assert found.total.influence.shape == (20,)
    assert found.total.stderr > 0
