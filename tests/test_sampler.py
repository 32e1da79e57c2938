"""The reverse chain: its law against the closed form, its path divergence, its grid."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import sampler, sde
from genbound.data import Gaussian, kl, two_point
from genbound.models.solvable import MeanLearner
from genbound.protocols import EncoderGenerator

HORIZON, T_MIN = 0.4, 1e-4
MEAN, VARIANCE = 1.3, 0.4


def linear_score(process, mean=MEAN, variance=VARIANCE):
    return Gaussian([mean], [[variance]]).path_score(process)


def discrete_moments(process, step, mean=MEAN, variance=VARIANCE):
    """Mean and variance of the chain with the score of N(mean, variance), by recursion."""
    times = sampler.time_grid(process, HORIZON, T_MIN, step=step).tolist()
    centre, spread = 0.0, 1.0
    for time, later in zip(times[:-1], times[1:], strict=True):
        signal, noise = (float(scale) for scale in process.moments(time))
        delta = float(process.clock_of(time) - process.clock_of(later))
        law = signal**2 * variance + noise**2
        slope = 1 + math.log(float(process.moments(later)[0]) / signal) - delta / law
        centre = slope * centre + delta * signal * mean / law
        spread = slope**2 * spread + delta
    return centre, spread


def closed_moments(process, mean=MEAN, variance=VARIANCE):
    """Mean and variance of the reverse process from N(0, I), run to time 0."""
    signal, noise = (float(scale) for scale in process.moments(HORIZON))
    law = signal**2 * variance + noise**2
    return mean * noise**2 / law, variance - (variance - 1) * signal**4 * variance**2 / law**2


@pytest.mark.parametrize("process", [sde.vp(), sde.ou(4), sde.cosine()], ids=lambda p: p.name)
def test_law_of_the_chain(process, generator):
    n = 40_000
    draws = sampler.sample(
        process,
        linear_score(process),
        n=n,
        d=1,
        horizon=HORIZON,
        t_min=T_MIN,
        step=0.2,
        generator=generator,
        dtype=torch.float64,
    )
    centre, spread = discrete_moments(process, 0.2)
    assert abs(float(draws.mean()) - centre) < 4 * math.sqrt(spread / n)
    assert abs(float(draws.var()) - spread) < 4 * spread * math.sqrt(2 / n)


@pytest.mark.parametrize("variance", [0.4, 2.0])
def test_chain_converges_to_the_reverse_process_at_order_one(variance):
    process = sde.vp()
    truth = closed_moments(process, variance=variance)
    errors = [
        [
            a - b
            for a, b in zip(discrete_moments(process, step, variance=variance), truth, strict=True)
        ]
        for step in (0.1, 0.05, 0.0125)
    ]
    for coarse, _, fine in zip(*errors, strict=True):
        # what stays is the mean at t_min instead of at 0, of order alpha(t_min) - 1
        assert abs(fine) < 0.2 * abs(coarse) + 1e-4


def test_path_divergence_of_two_chains(generator):
    process, n = sde.vp(), 20_000
    first, second = linear_score(process), linear_score(process, mean=0.9, variance=0.7)
    times = sampler.time_grid(process, HORIZON, 0.01, step=0.3)
    start = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    chain = sampler.reverse_chain(process, first, start, times, generator=generator)
    steps = list(chain)
    energy = log_ratio = torch.zeros(n, dtype=torch.float64)
    for step, following in zip(steps[:-1], steps[1:], strict=True):
        other = step._replace(score=second(step.state, step.time))
        gap = (step.score - other.score).square().sum(-1)
        energy = energy + step.increment / 2 * gap
        residuals = [following.state - sampler.step_mean(process, s) for s in (step, other)]
        near, far = (r.square().sum(-1) / (2 * step.increment) for r in residuals)
        log_ratio = log_ratio + far - near
    difference = log_ratio - energy
    assert float(energy.mean()) > 0.01
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / math.sqrt(n)


def test_steps_tell_what_happens(generator):
    process = sde.vp()
    times = sampler.time_grid(process, HORIZON, T_MIN, step=0.5)
    start = torch.ones(6, 2)
    chain = sampler.reverse_chain(
        process, lambda x, time: -x * time[:, None], start, times, generator=generator
    )
    steps = []
    while True:
        try:
            steps.append(next(chain))
        except StopIteration as end:
            last = end.value
            break
    assert [float(s.time) for s in steps] == times[:-1].tolist()
    assert [float(s.next_time) for s in steps] == times[1:].tolist()
    torch.testing.assert_close(steps[0].state, start)
    assert last.dtype == start.dtype
    assert last.shape == start.shape
    total = process.clock_of(HORIZON) - process.clock_of(T_MIN)
    torch.testing.assert_close(torch.stack([s.increment for s in steps]).sum(), total)


def test_exact_score_of_two_points_finds_both(generator):
    process, n = sde.vp(), 4000
    source = two_point([1.0, 2.0])
    draws = sampler.sample(
        process,
        source.path_score(process),
        n=n,
        d=2,
        horizon=1.0,
        t_min=1e-3,
        step=0.1,
        generator=generator,
    )
    distance = (draws.abs() - torch.tensor([1.0, 2.0])).norm(dim=-1)
    assert float(distance.max()) < 0.2
    right = (draws[:, 0] > 0).double()
    assert abs(float(right.mean()) - 0.5) < 4 * 0.5 / math.sqrt(n)


@given(st.floats(0.05, 1.0), st.floats(1e-5, 0.04), st.floats(0.05, 2.0))
def test_grid(horizon, t_min, step):
    process = sde.vp()
    times = sampler.time_grid(process, horizon, t_min, step=step)
    assert float(times[0]) == horizon
    assert float(times[-1]) == t_min
    spacing = process.log_snr_of(times).diff()
    assert bool((spacing > 0).all())
    assert float(spacing.max()) <= step * (1 + 1e-6)
    assert float(spacing.max() - spacing.min()) < 1e-6
    assert len(times) == 2 or len(times) - 2 < float(spacing.sum()) / step


def test_same_generator_same_samples():
    process = sde.ou()

    def draw(seed):
        return sampler.sample(
            process,
            lambda x, _: -x,
            n=5,
            d=2,
            horizon=1.0,
            t_min=0.01,
            step=0.5,
            generator=torch.Generator().manual_seed(seed),
        )

    torch.testing.assert_close(draw(1), draw(1), rtol=0, atol=0)
    assert not torch.equal(draw(1), draw(2))
    assert draw(1).dtype == torch.float32


@pytest.mark.parametrize(
    ("horizon", "t_min", "step", "message"),
    [(0.1, 0.2, 0.1, "t_min"), (0.1, 0.0, 0.1, "t_min"), (0.1, 0.01, 0.0, "step")],
)
def test_refuses_a_bad_grid(horizon, t_min, step, message):
    with pytest.raises(ValueError, match=message):
        sampler.time_grid(sde.vp(), horizon, t_min, step=step)


def test_refuses_times_that_do_not_decrease(generator):
    chain = sampler.reverse_chain(
        sde.vp(), lambda x, _: -x, torch.zeros(1, 1), torch.tensor([0.1, 0.2]), generator=generator
    )
    with pytest.raises(ValueError, match="decrease"):
        next(chain)


def test_the_round_trip_encodes_by_noising_and_generates_by_the_chain():
    process = sde.vp()
    mean = torch.tensor([1.3, -0.4], dtype=torch.float64)
    model = sampler.RoundTrip(MeanLearner(mean, process, HORIZON, T_MIN), 0.05)
    assert isinstance(model, EncoderGenerator)
    signal, noise = process.moments(torch.tensor(HORIZON, dtype=torch.float64))
    data = torch.tensor([[[0.5, 2.0]], [[-1.0, 0.0]]], dtype=torch.float64)
    law = model.encode(data)
    assert law.batch_shape == (2, 1) and law.event_shape == (2,)
    assert torch.allclose(law.mean, signal * data)
    assert torch.allclose(law.stddev, noise.expand(2, 1, 2))
    latent = torch.tensor([0.7, -1.1], dtype=torch.float64).expand(300, 100, 2)
    generator = torch.Generator().manual_seed(0)
    made = model.generate(latent, generator=generator).reshape(-1, 2)
    # At t_min = 0 the chain from z ends at alpha z + (1 - alpha^2) mean, variance 1 - alpha^2.
    centre = signal * latent[0, 0] + noise**2 * mean
    assert torch.allclose(made.mean(0), centre, atol=0.02)
    assert torch.allclose(made.var(0), (noise**2).expand(2), atol=0.03)


def relative(slope, offset):
    """A score whose part relative to N(0, I) is affine, the same at all times."""
    return lambda state, _: slope * state + offset - state


def paper_score(v, m, shift, tilt):
    """The golden table's score: data N(m, v), a wrong mean and a wrong slope."""

    def score(state, time):
        signal = torch.exp(-time).unsqueeze(-1)
        law = 1 + (v - 1) * signal**2
        return ((law - 1) / law + tilt) * state + signal * (m + shift) / law - state

    return score


@pytest.mark.parametrize(
    ("v", "m", "shift", "tilt", "divergence"),
    [
        (0.25, 1.0, 0.0, 0.0, 0.010643),
        (4.0, 0.0, 0.0, 0.0, 0.002231),
        (0.25, 1.0, 0.3, 0.0, 0.136899),
        (0.25, 1.0, 0.3, 0.05, 0.165278),
    ],
)
def test_the_exponential_integrator_on_the_golden_table(v, m, shift, tilt, divergence):
    process = sde.ou()
    times = sampler.clock_grid(process, 3.0, 0.0, steps=50)
    law = sampler.affine_law(
        process, paper_score(v, m, shift, tilt), times, d=1, scheme=sampler.exponential
    )
    found = kl(Gaussian([m], [[v]]), Gaussian(*law))
    assert found.value == pytest.approx(divergence, abs=1.5e-6)


@given(horizon=st.floats(0.05, 2.0), steps=st.integers(1, 6), d=st.integers(1, 3))
@settings(max_examples=15)
def test_without_a_score_the_exponential_integrator_keeps_the_prior(horizon, steps, d):
    process = sde.vp()
    times = sampler.clock_grid(process, horizon, 0.0, steps=steps)
    mean, covariance = sampler.affine_law(
        process, relative(0.0, 0.0), times, d=d, scheme=sampler.exponential
    )
    assert torch.allclose(mean, torch.zeros(d).double())
    assert torch.allclose(covariance, torch.eye(d).double())


@given(offset=st.floats(-3.0, 3.0), steps=st.integers(2, 9))
@settings(max_examples=15)
def test_a_constant_relative_score_is_integrated_exactly(offset, steps):
    process = sde.ou()
    ends = [
        sampler.affine_law(
            process,
            relative(0.0, offset),
            sampler.clock_grid(process, 1.5, 0.1, steps=count),
            d=1,
            scheme=sampler.exponential,
        )
        for count in (1, steps)
    ]
    for one, many in zip(*ends, strict=True):
        assert torch.allclose(one, many, atol=1e-12)


@pytest.mark.parametrize("scheme", [sampler.euler, sampler.exponential])
def test_the_law_of_an_affine_chain_is_that_of_its_draws(scheme, generator):
    process, n = sde.vp(), 40_000
    source = Gaussian([1.0, -0.5], [[0.5, 0.2], [0.2, 0.3]])
    times = sampler.time_grid(process, HORIZON, T_MIN, step=0.5)
    mean, covariance = sampler.affine_law(
        process, source.path_score(process), times, d=2, scheme=scheme
    )
    draws = sampler.sample(
        process,
        source.path_score(process),
        n=n,
        d=2,
        horizon=HORIZON,
        t_min=T_MIN,
        step=0.5,
        generator=generator,
        dtype=torch.float64,
        scheme=scheme,
    )
    scale = covariance.diagonal().sqrt() / math.sqrt(n)
    assert bool(((draws.mean(0) - mean).abs() < 4 * scale).all())
    assert torch.allclose(draws.T.cov(), covariance, atol=4 * 1.5 / math.sqrt(n))


def test_a_grid_even_in_the_clock():
    for process in (sde.ou(), sde.vp()):
        times = sampler.clock_grid(process, 0.8, 0.0, steps=7)
        assert times[0] == 0.8 and times[-1] == 0.0
        steps = process.clock_of(times).diff()
        assert torch.allclose(steps, steps[0].expand(7), atol=1e-12)
    assert torch.allclose(
        sampler.clock_grid(sde.ou(), 3.0, 1.0, steps=4),
        torch.tensor([3.0, 2.5, 2.0, 1.5, 1.0]).double(),
    )


def test_what_the_integrator_and_its_grid_refuse():
    with pytest.raises(ValueError, match="process: got VE"):
        sampler.clock_grid(sde.ve(), 1.0, 0.1, steps=3)
    with pytest.raises(ValueError, match="t_min: got 1.0"):
        sampler.clock_grid(sde.ou(), 1.0, 1.0, steps=3)
    with pytest.raises(ValueError, match="steps: got 0"):
        sampler.clock_grid(sde.ou(), 1.0, 0.1, steps=0)
    times = sampler.clock_grid(sde.ou(), 1.0, 0.1, steps=3)
    with pytest.raises(ValueError, match="score: got one that is not affine"):
        sampler.affine_law(sde.ou(), two_point([1.0]).path_score(sde.ou()), times, d=1)
    with pytest.raises(ValueError, match="process: got VE"):
        sampler.affine_law(sde.ve(), relative(0.0, 0.0), times, d=1, scheme=sampler.exponential)


def test_the_integrator_on_devices(device):
    process = sde.ou()
    times = sampler.clock_grid(process, 2.0, 0.1, steps=5).to(device)
    start = torch.zeros(3, 2, device=device)
    chain = sampler.reverse_chain(
        process,
        relative(0.2, 0.1),
        start,
        times,
        generator=torch.Generator(device).manual_seed(0),
        scheme=sampler.exponential,
    )
    *_, last = chain
    assert last.state.device.type == device.type and last.state.dtype == torch.float32


def test_a_score_that_would_be_broadcast_is_refused():
    """On the line a score of shape (s,) makes a matrix of the states (s, 1), without a word."""
    process, start = sde.ou(), torch.ones(5, 1)
    times = sampler.clock_grid(process, 1.0, 0.1, steps=3)
    chain = sampler.reverse_chain(
        process, lambda state, _: -state[:, 0], start, times, generator=torch.Generator()
    )
    with pytest.raises(ValueError, match=r"^score: got shape \(5,\) at points of shape \(5, 1\)"):
        next(chain)
