import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.data import Gaussian, points
from genbound.estimators.chain_density import chain_log_density, line_kl
from genbound.sampler import affine_law, clock_grid, euler, exponential, sample, time_grid
from genbound.sde import ou, vp
from tests.estimators.reference import seeded

PROCESS = ou()
LINE = torch.linspace(-12, 13, 882, dtype=torch.float64)


def normal(mean, variance):
    return -((LINE - mean) ** 2) / (2 * variance)


@pytest.mark.parametrize(
    ("variance", "mean", "golden"), [(0.25, 1.0, 0.010643), (4.0, 0.0, 0.002231)]
)
def test_golden_divergences_of_the_exponential_integrator(variance, mean, golden):
    """Fifty equal steps from T = 3 down to 0, with the exact score."""
    source = Gaussian(torch.tensor([mean]), torch.tensor([[variance]]))
    times = clock_grid(PROCESS, 3.0, 0.0, steps=50)
    line = LINE if variance < 1 else 2 * LINE
    made = chain_log_density(PROCESS, source.path_score(PROCESS), times, line)
    found = line_kl(source.log_density(line[:, None]), made, line)
    assert found.value == pytest.approx(golden, abs=1e-6)


@pytest.mark.parametrize("scheme", [euler, exponential])
@pytest.mark.parametrize("process", [PROCESS, vp()])
def test_affine_chains_are_normal(scheme, process):
    source = Gaussian(torch.tensor([0.7]), torch.tensor([[0.5]]))
    horizon = 2.0 if process is PROCESS else 0.9
    times = time_grid(process, horizon, 0.05, step=0.4)
    score = source.path_score(process)
    mean, covariance = affine_law(process, score, times, d=1, scheme=scheme)
    made = chain_log_density(process, score, times, LINE, scheme=scheme).exp()
    law = torch.distributions.Normal(mean, covariance[0].sqrt())
    torch.testing.assert_close(made, law.log_prob(LINE).exp(), rtol=1e-6, atol=1e-12)


def test_it_is_the_law_of_samples():
    """A score that copies five points: the shares on either side of a cut, within four errors."""
    law = points(torch.tensor([[-1.0], [-0.5], [0.2], [0.9], [1.6]]))
    score, options = law.path_score(PROCESS), {"horizon": 2.0, "t_min": 0.05, "step": 0.5}
    times = time_grid(PROCESS, 2.0, 0.05, step=0.5)
    made = chain_log_density(PROCESS, score, times, LINE).exp()
    drawn = sample(PROCESS, score, n=4000, d=1, generator=seeded(), scheme=exponential, **options)
    spacing = float(LINE[1] - LINE[0])
    for cut in (-0.7, 0.0, 0.5, 1.2):
        share = float(made[cut > LINE].sum() * spacing)
        error = math.sqrt(share * (1 - share) / 4000)
        assert abs(float((drawn < cut).double().mean()) - share) <= 4 * error + spacing / 2


@settings(max_examples=30)
@given(*[st.floats(-1, 1), st.floats(0.2, 2)] * 2)
def test_divergence_of_normal_laws(mean, variance, mean_2, variance_2):
    found = line_kl(normal(mean, variance), normal(mean_2, variance_2), LINE)
    truth = (variance / variance_2 - 1 - math.log(variance / variance_2)) / 2
    truth += (mean - mean_2) ** 2 / (2 * variance_2)
    assert found.value == pytest.approx(truth, abs=1e-6) and found.stderr < 1e-6


def test_lost_mass_is_infinite():
    second = torch.where(LINE > 0, 0.0, -torch.inf)
    assert line_kl(normal(0.0, 1.0), second, LINE).value == math.inf


def test_densities_on_a_device(device):
    line = torch.linspace(-5, 5, 200, dtype=torch.float64, device=device)
    times = clock_grid(PROCESS, 2.0, 0.1, steps=5)
    made = chain_log_density(PROCESS, lambda state, _: -state, times, line)
    assert line_kl(-line.square() / 2, made, line).value == pytest.approx(0, abs=1e-5)


def test_bad_lines_are_refused():
    times = clock_grid(PROCESS, 3.0, 0.01, steps=1000)
    with pytest.raises(ValueError, match="width of the kernel"):
        chain_log_density(PROCESS, lambda state, _: -state, times, LINE[::10])
    with pytest.raises(ValueError, match="choose it longer"):
        chain_log_density(PROCESS, lambda state, _: -state, times[::50], LINE / 8)
    for line in (LINE.exp(), LINE.flip(0), LINE[:2]):
        with pytest.raises(ValueError, match="equally spaced"):
            line_kl(-line, -line, line)
