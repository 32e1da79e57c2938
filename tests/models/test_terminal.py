"""Standard coordinates: the terminal law they stand for, densities, and the way back."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from genbound import data
from genbound.derivations import penalty
from genbound.estimators import divergence
from genbound.models.solvable import MeanLearner
from genbound.models.terminal import Standard
from genbound.sde import cosine, ou, vp


@given(
    process=st.sampled_from([vp(), ou(), vp(1, 10)]),
    time=st.floats(0.05, 0.9),
    spread=st.floats(0.3, 3.0),
    seed=st.integers(0, 99),
)
def test_the_prior_stands_for_the_fitted_terminal_law(process, time, spread, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    sample = 1 + spread * torch.randn(40, 3, generator=generator, dtype=torch.float64)
    standard = Standard.fit(process, sample)
    signal2 = float(process.moments(time)[0]) ** 2
    start = torch.tensor([[0.0] * 3, [1.0] * 3], dtype=torch.float64)
    centre, shifted = standard.restored(start, time)
    torch.testing.assert_close(centre, math.sqrt(signal2) * sample.mean(0))
    law = penalty.terminal_spread.expr.subs(
        {penalty.a: signal2, penalty._spread2: standard.scale**2}
    )
    torch.testing.assert_close((shifted - centre).square(), torch.full((3,), float(law)).double())


@given(time=st.floats(0.02, 0.9), seed=st.integers(0, 99))
def test_noising_and_standardising_change_places(time: float, seed: int) -> None:
    process = vp()
    generator = torch.Generator().manual_seed(seed)
    sample = 2 + 3 * torch.randn(20, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(20, 2, generator=generator, dtype=torch.float64)
    standard = Standard.fit(process, sample)
    encoded = standard.encode(sample)
    torch.testing.assert_close(encoded.mean(0), torch.zeros(2).double())
    assert float(encoded.square().mean()) == pytest.approx(1.0)
    later = process.perturb(encoded, standard.time_of(time), noise)
    noisy = process.perturb(sample, time, noise)
    torch.testing.assert_close(standard.noised(noisy, time), later)
    torch.testing.assert_close(standard.restored(later, time), noisy)


def test_log_densities_keep_their_volume(generator: Generator) -> None:
    """For Gaussian data the standardised model is exact, in both coordinates."""
    process, t_min = vp(), 0.05
    spread, mean = 2.0, torch.tensor([1.0, -1.0], dtype=torch.float64)
    source = data.Gaussian(mean, spread**2 * torch.eye(2, dtype=torch.float64))
    standard = Standard(process, mean, spread)
    model = MeanLearner(
        torch.zeros(2, dtype=torch.float64),
        process,
        standard.time_of(0.5),
        standard.time_of(t_min),
    )
    noised = source.noised(process, t_min)
    points = noised.sample(50, generator=generator)
    found = divergence.model_log_density(
        model, standard.noised(points, t_min), paths=200, step=0.02, generator=generator
    ) + standard.log_volume(t_min)
    torch.testing.assert_close(found, noised.log_density(points), rtol=0, atol=0.05)


@pytest.mark.parametrize("rows", [torch.zeros(1, 2), torch.zeros(3), torch.ones(4, 2)])
def test_bad_input(rows) -> None:
    with pytest.raises(ValueError, match="sample: "):
        Standard.fit(cosine(), rows)
