"""Losses on a sampler's grid against closed forms and against each other."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import sampler, sde
from genbound.data import Gaussian, points
from genbound.derivations import frozen_score
from genbound.estimate import across
from genbound.estimators import sampler_losses
from genbound.estimators.data_term_parts import irreducible_by_draws
from genbound.estimators.noise_levels import on_grid
from genbound.estimators.score_error import score_error
from tests.estimators.reference import Model, seeded

OU = sde.ou()
LAW = Gaussian([0.4], [[1.7]])


def linear(slope=0.3, offset=0.2, process=OU):
    """A score whose part relative to N(0, I) is affine."""
    return Model(lambda x, _: slope * x + offset - x, process, 3.0, 0.05)


@given(slope=st.floats(-0.5, 0.8), offset=st.floats(-1.0, 1.0), steps=st.integers(1, 30))
@settings(max_examples=15)
def test_denoising_is_the_score_error_and_a_constant(slope, offset, steps):
    """Per step: h times the closed form of a linear score, plus h / sigma^2 - h / v_t."""
    model, times = linear(slope, offset), sampler.clock_grid(OU, 3.0, 0.05, steps=steps)
    error = frozen_score.grid_error.to_torch(*frozen_score.letters)
    shares = (-2 * times).exp()
    h = -times.diff()
    solved = float(
        sum(h[k] * error(shares[k + 1], h[k].exp(), 0.4, 1.7, slope, offset) for k in range(steps))
    )
    constant = float(h @ (1 / (1 - shares[:-1]) - 1 / (1 + 0.7 * shares[:-1])))
    data = LAW.sample(4000, generator=seeded())
    found = sampler_losses.denoising(model, data, times, draws=8, generator=seeded(1))
    assert abs(found.value - solved - constant) < 4 * found.stderr < 0.2 * (solved + constant)
    levels = on_grid(OU, times)
    direct = score_error(model, LAW, data, draws=8, generator=seeded(2), levels=levels)
    assert abs(direct.value - solved) < 4 * direct.stderr + 1e-12


def test_explicit_against_the_sample_is_the_error_of_that_law():
    sample = LAW.sample(12, generator=seeded())
    model, times = linear(), sampler.time_grid(OU, 3.0, 0.05, step=0.3)
    found = sampler_losses.explicit(model, sample, times, draws=2000, generator=seeded(1))
    levels = on_grid(OU, times)
    same = score_error(
        model, points(sample), sample, draws=2000, generator=seeded(2), levels=levels
    )
    assert found.value == pytest.approx(same.value, rel=0.05)
    # Vincent's identity for the empirical law, on the same grid.
    denoising = sampler_losses.denoising(model, sample, times, draws=2000, generator=seeded(3))
    constant = irreducible_by_draws(
        points(sample), OU, sample, levels, draws=2000, generator=seeded(4)
    )
    assert denoising.value - constant.value == pytest.approx(found.value, rel=0.07)


def test_the_memoriser_has_none():
    sample = LAW.sample(12, generator=seeded())
    model = Model(points(sample).path_score(OU), OU, 3.0, 0.05)
    times = sampler.time_grid(OU, 3.0, 0.05, step=0.3)
    found = sampler_losses.explicit(model, sample, times, draws=4, generator=seeded())
    assert found.value == 0 and found.stderr == 0


def test_errors_are_those_of_repetitions():
    """Over samples, for a model that does not depend on them."""
    model, times = linear(), sampler.clock_grid(OU, 2.0, 0.1, steps=12)
    for loss in (sampler_losses.denoising, sampler_losses.explicit):
        found = [
            loss(model, LAW.sample(60, generator=seeded(k)), times, draws=8, generator=seeded(k))
            for k in range(100)
        ]
        spread = across(found).stderr * 10
        own = math.sqrt(sum(e.stderr**2 for e in found) / len(found))
        assert 0.7 < own / spread < 1.4, loss.__name__


def test_bad_input():
    data, times = LAW.sample(5, generator=seeded()), torch.tensor([1.0, 0.5])
    with pytest.raises(ValueError, match="draws: got 3"):
        sampler_losses.explicit(linear(), data, times, draws=3, generator=seeded())
    with pytest.raises(ValueError, match="times: got shape"):
        sampler_losses.denoising(linear(), data, times.flip(0), draws=2, generator=seeded())
    with pytest.raises(ValueError, match=r"data: got shape \(5,\)"):
        sampler_losses.denoising(linear(), data[:, 0], times, draws=2, generator=seeded())


def test_devices(device):
    data = torch.randn(6, 2, generator=seeded()).to(device)
    times = sampler.clock_grid(OU, 2.0, 0.1, steps=5)
    generator = torch.Generator(device).manual_seed(0)
    for loss in (sampler_losses.denoising, sampler_losses.explicit):
        assert loss(linear(), data, times, draws=4, generator=generator).value > 0
