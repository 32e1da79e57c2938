"""The explicit error against the law: closed forms, and Vincent's identity."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.data import Gaussian, gaussian_mixture
from genbound.estimators.data_term import irreducible
from genbound.estimators.noise_levels import on_grid
from genbound.estimators.score_error import score_error
from genbound.estimators.score_matching import denoising
from genbound.models.solvable import MeanLearner
from genbound.sampler import time_grid
from genbound.sde import ou, vp
from tests.estimators.reference import Model, seeded

PROCESS = ou()
TIMES = {"horizon": 2.0, "t_min": 0.05}


@given(d=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_wrong_mean(d, seed):
    """N(m, I) and the score of N(m', I): half the lost share of signal times the distance."""
    generator = seeded(seed)
    mean, wrong = torch.randn(2, d, generator=generator, dtype=torch.float64)
    source = Gaussian(mean, torch.eye(d))
    model = MeanLearner(wrong, PROCESS, **TIMES)
    fresh = source.sample(50, generator=generator)
    found = score_error(model, source, fresh, draws=64, generator=generator)
    shares = [float(PROCESS.moments(time)[0]) ** 2 for time in (0.05, 2.0)]
    truth = (shares[0] - shares[1]) / 2 * float((mean - wrong).square().sum())
    # The error does not depend on the state; only the levels are drawn.
    assert math.isclose(found.value, truth, rel_tol=0.02)
    levels = on_grid(PROCESS, time_grid(PROCESS, 2.0, 0.05, step=0.5))
    signal2 = PROCESS.moments(levels.times)[0].square() * PROCESS.moments(levels.times)[1].square()
    truth = levels.mass * float(levels.shares @ signal2) * float((mean - wrong).square().sum())
    found = score_error(model, source, fresh, draws=64, generator=generator, levels=levels)
    assert math.isclose(found.value, truth, rel_tol=0.05)


def test_the_exact_score_has_none():
    source = gaussian_mixture([[1.0, 0.0], [-1.0, 0.5]], variance=0.2)
    model = Model(source.path_score(vp()))
    fresh = source.sample(20, generator=seeded())
    assert score_error(model, source, fresh, draws=3, generator=seeded(1)).value == 0


@pytest.mark.parametrize("process", [ou(), vp()])
def test_denoising_loss_less_the_irreducible(process):
    """Vincent's identity for a wrong score of a mixture."""
    source = gaussian_mixture([[1.0, 0.0], [-1.0, 0.5]], variance=0.2)
    model = Model(lambda noisy, _: 0.3 - 1.5 * noisy, process, 0.9, 0.05)
    fresh = source.sample(20_000, generator=seeded())
    found = score_error(model, source, fresh, draws=4, generator=seeded(1))
    loss = denoising(model, fresh, draws=4, generator=seeded(2))
    constant = irreducible(source, process, horizon=0.9, t_min=0.05)
    assert abs(found.value - (loss.value - constant.value)) < 4 * math.hypot(
        found.stderr, loss.stderr
    )
    assert found.stderr + loss.stderr < 0.05 * found.value


def test_devices(device):
    """The law may live elsewhere than the data."""
    fresh = torch.ones(5, 2, device=device)
    model = Model(lambda noisy, _: -2 * noisy)
    generator = torch.Generator(device).manual_seed(0)
    for source in (
        Gaussian(torch.zeros(2), torch.eye(2)),
        gaussian_mixture([[1.0, 0.0], [-1.0, 0.5]], variance=0.2),
    ):
        assert score_error(model, source, fresh, draws=2, generator=generator).value > 0
