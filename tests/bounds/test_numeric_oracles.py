"""Laws without closed forms: points with their exact score, and mixtures with a wrong one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import data
from genbound.bounds import diffusion_kl_tight, diffusion_nll
from genbound.estimators import information, score_matching, trajectory
from genbound.sampler import Step, step_mean, time_grid
from genbound.sde import vp

PROCESS = vp()


class Model:
    process = PROCESS

    def __init__(self, score, horizon, t_min):
        self.score, self.horizon, self.t_min = score, horizon, t_min


@pytest.mark.parametrize(("n", "d"), [(2, 1), (5, 2), (12, 6)])
def test_the_exact_score_of_points(n, d, generator):
    """ESM = 0, DSM = I_eps - I_T, and the energy against -x is what the prior divergence loses."""
    points = 2 * torch.randn(n, d, generator=generator, dtype=torch.float64)
    law = data.points(points)
    model = Model(law.path_score(PROCESS), 0.7, 0.05)
    explicit = score_matching.explicit(model, points, draws=8, generator=generator)
    assert explicit.value == pytest.approx(0, abs=1e-12)
    many = points.repeat(400, 1)
    denoising = score_matching.denoising(model, many, draws=32, generator=generator)
    kept, left = (
        information.encoder_information(PROCESS, points, time, draws=4096, generator=generator)
        for time in (0.05, 0.7)
    )
    noise = score_matching.denoising(model, many, draws=32, generator=generator)
    error = 4 * math.hypot(denoising.stderr, noise.stderr) + 0.02
    assert abs(denoising.value - (kept.value - left.value)) < error
    energy = trajectory.path_energy(
        model,
        reference="prior",
        d=d,
        paths=4000,
        step=0.02,
        generator=generator,
        dtype=torch.float64,
    )
    start, end = (
        information.aggregate_kl(PROCESS, points, time, draws=4096, generator=generator)
        for time in (0.05, 0.7)
    )
    # along the model's own path, which starts at N(0, I) and not at the noised points
    lost = start.value - end.value
    assert abs(energy.value - lost) < 4 * energy.stderr + 0.1 * lost + 3 * end.value


GRID = torch.linspace(-9, 9, 901, dtype=torch.float64)
CELL = float(GRID[1] - GRID[0])


def chain_density(model, step):
    """Density on the grid of the chain's end: one Gaussian kernel after the other."""
    density = torch.exp(-(GRID**2) / 2) / math.sqrt(2 * math.pi)
    times = time_grid(PROCESS, model.horizon, model.t_min, step=step)
    increments = -PROCESS.clock_of(times).diff()
    states = GRID[:, None]
    for time, next_time, increment in zip(times[:-1], times[1:], increments, strict=True):
        score = model.score(states, time.expand(len(GRID)))
        means = step_mean(PROCESS, Step(time, next_time, states, score, increment))
        kernel = torch.exp(-((GRID[:, None] - means.mT) ** 2) / (2 * increment))
        density = kernel @ density * CELL / math.sqrt(2 * math.pi * float(increment))
    return density


@st.composite
def mixtures(draw):
    centres = draw(st.lists(st.floats(-2, 2), min_size=2, max_size=3))
    law = data.Mixture(torch.tensor(centres, dtype=torch.float64)[:, None], 0.1)
    size, wave = draw(st.floats(0.05, 0.8)), draw(st.floats(0.5, 3))
    return law, size, wave, draw(st.floats(0.3, 0.9)), draw(st.integers(0, 1000))


@given(mixtures())
@settings(max_examples=8)
def test_mixtures_with_a_wrong_score(case):
    law, size, wave, horizon, seed = case
    true_score = law.path_score(PROCESS)
    model = Model(lambda x, t: true_score(x, t) + size * torch.sin(wave * x), horizon, 0.05)
    density = chain_density(model, 0.1)
    assert float(density.sum()) * CELL == pytest.approx(1, abs=1e-3)
    truth = law.noised(PROCESS, 0.05).log_density(GRID[:, None])
    weights = truth.exp() * CELL
    kl = float((weights * (truth - density.clamp(min=1e-300).log())).sum())
    nll = kl - float((weights * truth).sum())
    generator = torch.Generator().manual_seed(seed)
    sample, fresh = (law.sample(size, generator=generator) for size in (40, 2000))
    for make, lowest in ((diffusion_kl_tight, kl), (diffusion_nll, nll)):
        bound = make(draws=32, held_out=fresh)
        total = bound.evaluate(model, sample, generator=generator).total
        # the chain's step costs up to a few hundredths of a nat
        assert total.value >= lowest - 4 * total.stderr - 0.03
