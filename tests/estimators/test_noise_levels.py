"""Laws of times: masses, rules and draws agree with integrals written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.estimators.noise_levels import between, integrals, on_grid
from genbound.sampler import time_grid
from genbound.sde import cosine, ou, sub_vp, ve, vp
from tests.estimators.reference import seeded

PROCESSES = [ou(), vp(), sub_vp(), ve(), cosine()]


def shares(count):
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


@pytest.mark.parametrize("process", PROCESSES)
@given(t_min=st.floats(0.01, 0.1), horizon=st.floats(0.3, 0.9))
def test_an_interval(process, t_min, horizon):
    """``1/2 int g^2 f dt`` for f = 1, written in time, is the mass times the mean of sigma^2."""
    levels = between(process, t_min, horizon)
    truth = float(process.clock_of(horizon) - process.clock_of(t_min)) / 2
    variance = process.moments(levels.times)[1].square()
    assert math.isclose(levels.mass * float(levels.shares @ variance), truth, rel_tol=1e-9)
    drawn = process.moments(levels.time_at(shares(20_000)))[1].square().mean()
    assert math.isclose(levels.mass * float(drawn), truth, rel_tol=1e-6)


@pytest.mark.parametrize("process", PROCESSES)
@given(step=st.floats(0.2, 2.0))
def test_a_grid(process, step):
    times = time_grid(process, 0.8, 0.02, step=step)
    levels = on_grid(process, times)
    clocks = -process.clock_of(times).diff()
    variance = process.moments(times[:-1])[1].square()
    assert math.isclose(levels.mass, float((clocks / variance).sum()) / 2, rel_tol=1e-12)
    drawn = levels.time_at(shares(100_000))
    counts = torch.stack([(drawn == time).double().mean() for time in times[:-1]])
    torch.testing.assert_close(counts, levels.shares, atol=2e-5, rtol=0)
    assert float(counts.sum()) == pytest.approx(1)


def test_a_single_step_asks_at_its_start():
    levels = on_grid(ou(), torch.tensor([0.7, 0.4]))
    assert set(levels.time_at(torch.tensor([0.0, 0.3, 1.0])).tolist()) == {
        float(torch.tensor(0.7))
    }


def test_each_datum_has_its_integral():
    """f = |x_t|^2 - sigma^2 d: the integral of alpha^2 |x|^2, times sigma^2 in these units."""
    process, data = ou(), torch.tensor([[1.0, 2.0], [0.0, 0.5]]).double()
    for levels in (
        between(process, 0.1, 1.5),
        on_grid(process, time_grid(process, 1.5, 0.1, step=0.3)),
    ):

        def integrand(noisy, _time, noise_scale, _noise):
            square = noisy.square().sum(-1)
            return torch.stack([square, noise_scale.squeeze(-1).square()])

        found = torch.stack(
            [
                integrals(process, data, integrand, levels, draws=50, generator=seeded(k))
                for k in range(200)
            ]
        )
        signal_scale, noise_scale = process.moments(levels.times)
        signal = levels.mass * float(levels.shares @ signal_scale.square())
        noise = levels.mass * float(levels.shares @ noise_scale.square())
        truth = signal * data.square().sum(1) + 2 * noise
        error = found[:, 0].std(0) / 200**0.5
        assert bool(((found[:, 0].mean(0) - truth).abs() < 4 * error).all())
        torch.testing.assert_close(
            found[:, 1].mean(), torch.tensor(noise).double(), rtol=1e-3, atol=0
        )


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="t_min: got 0.5"):
        between(ou(), 0.5, 0.5)
    for times in ([0.5], [0.1, 0.5], [0.5, -0.1]):
        with pytest.raises(ValueError, match="times: .* two or more"):
            on_grid(ou(), torch.tensor(times))
    levels = between(ou(), 0.1, 1.0)
    with pytest.raises(ValueError, match=r"data: got shape \(3,\)"):
        integrals(ou(), torch.zeros(3), None, levels, draws=1, generator=seeded())
    with pytest.raises(ValueError, match="draws: got 0"):
        integrals(ou(), torch.zeros(3, 1), None, levels, draws=0, generator=seeded())


def test_devices(device):
    process, data = ou(), torch.ones(4, 2, device=device)
    generator = torch.Generator(device).manual_seed(0)
    for levels in (between(process, 0.1, 1.0), on_grid(process, torch.tensor([1.0, 0.4, 0.1]))):
        found = integrals(
            process, data, lambda noisy, *_: noisy.sum(-1), levels, draws=3, generator=generator
        )
        assert found.shape == (4,)
        assert found.device == data.device
