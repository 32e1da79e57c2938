"""Fisher informations: closed forms, de Bruijn, the reverse martingale, and honest errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import sampler, sde
from genbound.data import Gaussian, Mixture, points
from genbound.derivations import frozen_score
from genbound.estimate import across
from genbound.estimators import fisher
from genbound.estimators.sampler_divergence import prior_kl
from tests.estimators.reference import seeded

OU = sde.ou()
TWO = Mixture([[1.2, 0.0], [-0.8, 0.5]], 0.3)
LINE = Mixture([[1.5], [-1.0]], 0.2)


@given(v=st.floats(0.05, 6.0), mu=st.floats(-3.0, 3.0), time=st.floats(0.0, 3.0))
def test_gaussian_data(v, mu, time):
    letters = frozen_score.share, frozen_score.mu, frozen_score.v
    solved = float(frozen_score.fisher.to_torch(*letters)(math.exp(-2 * time), mu, v))
    found = fisher.of_law(Gaussian([mu, mu], [[v, 0], [0, v]]), OU, time)
    assert found.side == "exact" and found.value == pytest.approx(2 * solved, abs=1e-9)


@pytest.mark.parametrize("process", [sde.ou(), sde.vp()], ids=lambda p: p.name)
@pytest.mark.parametrize("law", [TWO, LINE, Gaussian([1.0], [[0.3]])])
def test_de_bruijn(law, process):
    """The divergence from the prior falls at the rate of the Fisher information."""
    time, h = 0.3, 1e-3
    ends = [prior_kl(law.noised(process, t)).value for t in (time - h, time + h)]
    clocks = [float(process.clock_of(t)) / 2 for t in (time - h, time + h)]
    rate = (ends[0] - ends[1]) / (clocks[1] - clocks[0])
    found = fisher.of_law(law, process, time, n=100_000, generator=seeded())
    assert abs(found.value - rate) <= 4 * found.stderr + 1e-4 * rate


@given(time=st.floats(0.05, 1.5), u=st.floats(0.02, 1.0), x=st.floats(-2.5, 2.5))
def test_the_reverse_martingale(time, u, x):
    """E[Y_t | X_{t+u} = x] = e^u Y_{t+u}(x), by quadrature over the reverse kernel."""
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    early, late = LINE.noised(OU, time), LINE.noised(OU, time + u)
    spread = -math.expm1(-2 * u)
    logits = early.log_density(z) - (x - math.exp(-u) * z[:, 0]).square() / (2 * spread)
    ahead = torch.softmax(logits, 0) @ (early.score(z) + z)
    here = torch.tensor([[x]], dtype=torch.float64)
    now = late.score(here) + here
    assert float(ahead[0]) == pytest.approx(math.exp(u) * float(now), rel=1e-6, abs=1e-8)


def test_the_noised_sample_is_wrinkled():
    """Its information is that of its mixture, and on average above that of the law."""
    law, time = Gaussian([0.5], [[0.8]]), 0.2
    truth = fisher.of_law(law, OU, time).value
    found = []
    for k in range(60):
        sample = law.sample(15, generator=seeded(k))
        found.append(fisher.of_sample(OU, sample, time, draws=32, generator=seeded(k)))
    assert found[0].side == "upper"
    reference = fisher.of_law(points(sample), OU, time, n=50_000, generator=seeded(1))
    own = math.hypot(reference.stderr, 3 * reference.value / math.sqrt(15 * 32))
    assert abs(found[-1].value - reference.value) < 4 * own
    seen = across(found)
    assert seen.lower() > truth


def test_the_error_of_a_sample_s_information_is_its_spread():
    law, time = Gaussian([0.5, 0.0], [[0.8, 0.0], [0.0, 2.0]]), 0.5
    found = [
        fisher.of_sample(
            OU, law.sample(100, generator=seeded(k)), time, draws=8, generator=seeded(k)
        )
        for k in range(120)
    ]
    spread = across(found).stderr * math.sqrt(len(found))
    mean_error = math.sqrt(sum(e.stderr**2 for e in found) / len(found))
    assert 0.75 < mean_error / spread < 1.35
    influence = found[0].influence
    assert float(influence.std()) / 10 == pytest.approx(found[0].stderr)


def test_relative_to_another_law():
    first = Gaussian([1.0, 0.0], [[0.5, 0.2], [0.2, 0.7]])
    second = Gaussian([0.3, -0.4], [[1.0, 0.0], [0.0, 2.0]])
    known = fisher.relative(first, second)
    assert known.side == "exact"
    drawn = fisher.relative(first, second.score, n=50_000, generator=seeded())
    assert abs(drawn.value - known.value) < 4 * drawn.stderr
    prior = Gaussian([0.0, 0.0], torch.eye(2))
    assert fisher.relative(first, prior).value == pytest.approx(fisher.of_law(first, OU, 0).value)
    assert fisher.relative(TWO, TWO, generator=seeded()).value == 0


def test_what_a_grid_pays():
    law = Gaussian([1.0], [[0.25]])
    times = sampler.clock_grid(OU, 3.0, 0.0, steps=50)
    even = fisher.rise(law, OU, times).value
    ends = [fisher.of_law(law, OU, t).value for t in (0.0, 3.0)]
    assert even == pytest.approx(3 / 50 * (ends[0] - ends[1]))
    grid = sampler.time_grid(sde.vp(), 1.0, 0.01, step=0.4)
    apart = Mixture([[1.0]], 0.25)
    exact = fisher.rise(law, sde.vp(), grid).value
    drawn = fisher.rise(apart, sde.vp(), grid, n=40_000, generator=seeded())
    assert abs(drawn.value - exact) < 4 * drawn.stderr < 0.1 * exact


@given(v=st.floats(0.05, 4.0), mu=st.floats(-2.0, 2.0), step=st.floats(0.05, 1.0))
@settings(max_examples=25)
def test_moments_bound_what_a_grid_pays(v, mu, step):
    law = Gaussian([mu], [[v]])
    # Points with exactly these first two moments: the bound is about the law, not its sample.
    sample = torch.tensor([[mu - math.sqrt(v)], [mu + math.sqrt(v)]], dtype=torch.float64)
    for times in (
        sampler.time_grid(OU, 3.0, 0.02, step=step),
        sampler.clock_grid(OU, 3.0, 0.02, steps=max(2, int(6 / step))),
    ):
        bound = fisher.rise_of_moments(OU, times, sample)
        assert bound.side == "upper"
        assert fisher.rise(law, OU, times).value <= bound.value
    # With points as data the moments are all there is to it, near the data.
    near = sampler.time_grid(OU, 0.02, 0.001, step=0.05)
    truth = fisher.rise(points([[mu]]), OU, near, n=2000, generator=seeded())
    single = torch.tensor([[mu], [mu]], dtype=torch.float64)
    assert truth.value <= fisher.rise_of_moments(OU, near, single).value + 4 * truth.stderr


def test_bad_input():
    sample = torch.zeros(3, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="generator: of_law"):
        fisher.of_law(TWO, OU, 0.1)
    with pytest.raises(ValueError, match="generator: rise"):
        fisher.rise(TWO, OU, torch.tensor([1.0, 0.5]))
    with pytest.raises(ValueError, match="draws: got 3"):
        fisher.of_sample(OU, sample, 0.1, draws=3, generator=seeded())
    with pytest.raises(ValueError, match=r"sample: got shape \(1, 1\)"):
        fisher.of_sample(OU, sample[:1], 0.1, draws=2, generator=seeded())
    with pytest.raises(ValueError, match="times: got steps that grow"):
        fisher.rise_of_moments(OU, torch.tensor([1.0, 0.9, 0.5]), sample)
    with pytest.raises(ValueError, match="times: got a last one of 0"):
        fisher.rise_of_moments(OU, torch.tensor([1.0, 0.5, 0.0]), sample)
    with pytest.raises(ValueError, match="law: the covariance is singular"):
        fisher.of_law(Gaussian([0.0], [[0.0]]), OU, 0.0)


def test_devices(device):
    sample = torch.randn(20, 2, generator=seeded()).to(device)
    generator = torch.Generator(device).manual_seed(0)
    assert fisher.of_sample(OU, sample, 0.3, draws=4, generator=generator).value > 0
    times = sampler.clock_grid(OU, 1.0, 0.1, steps=4).to(device)
    assert fisher.rise_of_moments(OU, times, sample).value > 0
