import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from genbound.data import Gaussian
from genbound.estimators import divergence
from genbound.sde import ou, vp
from tests.estimators.reference import (
    GaussianScore,
    naive_chain_log_density,
    seeded,
)

PROCESS = vp()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def chain_end(model, step):
    """The chain's own law at t_min, an isotropic Gaussian."""
    *_, means, variances = model.chain(step)
    return means[-1], torch.tensor(variances[-1], dtype=torch.float64)


def measured_kl(source, model, **options):
    return divergence.model_kl(source, model, dtype=torch.float64, **options)


def source_at_t_min(model, mean, variance):
    d = len(mean)
    source = Gaussian(mean, variance * torch.eye(d, dtype=torch.float64))
    return source, source.noised(model.process, model.t_min)


LEARNED = {
    "mean": st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=2).map(
        lambda mean: torch.tensor(mean, dtype=torch.float64)
    ),
    "variance": st.floats(0.4, 2.0),
    "times": st.tuples(st.floats(0.01, 0.1), st.floats(0.3, 1.2)),
}


@given(**LEARNED, step=st.floats(0.1, 0.4), process=st.sampled_from([vp(), ou()]))
@settings(max_examples=8)
def test_log_density_is_the_chain_s_own(mean, variance, times, step, process):
    model = GaussianScore(process, times[1], times[0], mean, variance)
    centre, spread = chain_end(model, step)
    law = Independent(Normal(centre, spread.sqrt().expand(len(mean))), 1)
    points = centre + spread.sqrt() * normal(300, len(mean))
    found = divergence.model_log_density(model, points, paths=32, step=step, generator=seeded())
    gaps = found - law.log_prob(points)
    # Third-order effects of the logarithm remain.
    assert abs(float(gaps.mean())) <= 4 * float(gaps.std()) / math.sqrt(300) + 5e-3
    assert float(gaps.abs().mean()) < 0.5


def test_log_density_is_the_mixture_of_the_last_kernels():
    model = GaussianScore(PROCESS, 0.6, 0.15, torch.tensor([0.8], dtype=torch.float64), 0.5)
    points = torch.linspace(-1, 2.5, 8, dtype=torch.float64)[:, None]
    options = {"step": 0.5, "generator": seeded()}
    naive = naive_chain_log_density(model, points, chains=100_000, **options)
    found = divergence.model_log_density(model, points, paths=20_000, **options)
    torch.testing.assert_close(found, naive, atol=0.03, rtol=0)
    # So coarse a chain is far from the continuous model, and both say so.
    fine = divergence.model_log_density(model, points, paths=2000, step=0.02, generator=seeded())
    assert float((fine - naive).abs().max()) > 0.1


@given(**LEARNED, offset=st.floats(-1, 1), true_variance=st.floats(0.4, 2.0))
@settings(max_examples=20)
def test_divergence_of_the_chain(mean, variance, times, offset, true_variance):
    model = GaussianScore(PROCESS, times[1], times[0], mean, variance)
    _, noised = source_at_t_min(model, mean + offset, true_variance)
    estimate = measured_kl(noised, model, n=400, paths=32, step=0.2, generator=seeded())
    centre, spread = chain_end(model, 0.2)
    truth = divergence.gaussian_kl(noised.mean, noised.covariance.diag(), centre, spread)
    assert abs(estimate.value - truth.value) <= 4 * estimate.stderr + 3e-3
    assert estimate.side == "consistent"


@pytest.mark.parametrize("horizon", [0.2, 0.6, 1.0])
def test_divergence_in_the_solvable_case(horizon):
    mean, learned = torch.tensor([[1.0, 1.0], [1.3, 0.6]], dtype=torch.float64)
    model = GaussianScore(PROCESS, horizon, 0.01, learned)
    _, noised = source_at_t_min(model, mean, 1.0)
    early, late = (float(PROCESS.clock_of(time)) for time in (0.01, horizon))
    end = math.exp(-early / 2) * learned * (1 - math.exp(early - late))
    truth = float((end - noised.mean).square().sum()) / 2
    estimate = measured_kl(noised, model, n=4000, paths=8, step=0.05, generator=seeded())
    assert abs(estimate.value - truth) <= 4 * estimate.stderr + 0.01


def test_divergence_with_a_wrong_variance():
    # Reverse process from N(0, 1) at T with the score of N(0, 1.5): variance in closed form.
    model = GaussianScore(PROCESS, 0.4, 0.002, torch.zeros(1).double(), 1.5)
    signal2 = float(PROCESS.moments(0.4)[0]) ** 2
    end = 1.5 - 0.5 * signal2**2 * 1.5**2 / (1 + 0.5 * signal2) ** 2
    truth = (2 / end - 1 - math.log(2 / end)) / 2
    _, noised = source_at_t_min(model, torch.zeros(1).double(), 2.0)
    estimate = measured_kl(noised, model, n=3000, paths=8, step=0.05, generator=seeded())
    assert abs(estimate.value - truth) <= 4 * estimate.stderr + 0.01


def test_negative_log_likelihood():
    mean = torch.tensor([1.0, -0.5], dtype=torch.float64)
    model = GaussianScore(PROCESS, 0.8, 0.05, mean, 0.7)
    source, noised = source_at_t_min(model, mean + 0.3, 1.2)
    data = source.sample(3000, generator=seeded(1))
    estimate = divergence.model_nll(model, data, paths=8, step=0.1, generator=seeded())
    centre, spread = chain_end(model, 0.1)
    gap = divergence.gaussian_kl(noised.mean, noised.covariance.diag(), centre, spread)
    truth = gap.value + noised.entropy().value
    assert abs(estimate.value - truth) <= 4 * estimate.stderr + 3e-3
    assert len(estimate.influence) == 3000


def test_correction_removes_the_first_order_of_the_bias():
    model = GaussianScore(PROCESS, 0.5, 0.05, torch.tensor([1.0, -1.0]).double(), 0.6)
    point, times = normal(1, 2), divergence.time_grid(PROCESS, 0.5, 0.05, step=0.4)
    ends = point.repeat(80_000, 1)
    *_, weights = divergence.running_log_weights(model, ends, times, generator=seeded())
    truth = float(torch.logsumexp(weights, 0)) - math.log(80_000)
    plain = torch.logsumexp(weights.reshape(-1, 8), 1) - math.log(8)
    corrected = divergence.model_log_density(
        model, point.repeat(10_000, 1), paths=8, step=0.4, generator=seeded(1)
    )
    bias = float(plain.mean()) - truth
    assert bias < -10 * float(plain.std()) / 100
    assert abs(float(corrected.mean()) - truth) < 0.4 * abs(bias)


@pytest.mark.parametrize("paths", [2, 16])
def test_error_covers_points_and_paths(paths):
    model = GaussianScore(PROCESS, 0.4, 0.05, torch.tensor([1.5, -1.0]).double(), 0.4)
    _, noised = source_at_t_min(model, torch.zeros(2).double(), 1.0)
    generator = seeded(5)
    estimates = [
        measured_kl(noised, model, n=50, paths=paths, step=0.4, generator=generator)
        for _ in range(200)
    ]
    values = torch.tensor([estimate.value for estimate in estimates])
    errors = torch.tensor([estimate.stderr for estimate in estimates])
    centre = float(values.mean())
    inside = [low <= centre <= high for low, high in (e.interval() for e in estimates)]
    assert 0.90 <= sum(inside) / len(inside) <= 0.99
    assert 0.8 <= float(errors.square().mean().sqrt() / values.std()) <= 1.25


def test_log_density_keeps_single_precision():
    seen = set()
    model = GaussianScore(PROCESS, 0.6, 0.05, torch.zeros(2))
    inner = model.score

    def score(noisy, time):
        seen.update((noisy.dtype, time.dtype))
        return inner(noisy, time).to(noisy.dtype)

    model.score = score
    found = divergence.model_log_density(
        model, normal(5, 2).float(), paths=4, step=0.3, generator=seeded()
    )
    assert seen == {torch.float32}
    assert found.shape == (5,)


@pytest.mark.parametrize(
    ("points", "paths", "message"),
    [(normal(5, 2), 1, "paths: got 1"), (normal(5), 4, "points: got shape")],
)
def test_log_density_refuses_bad_input(points, paths, message):
    model = GaussianScore(PROCESS, 0.6, 0.05, torch.zeros(2).double())
    with pytest.raises(ValueError, match=message):
        divergence.model_log_density(model, points, paths=paths, step=0.3, generator=seeded())


@given(
    d=st.integers(1, 6), isotropic=st.tuples(st.booleans(), st.booleans()), seed=st.integers(0, 99)
)
def test_gaussian_kl(d, isotropic, seed):
    means = normal(2, d, seed=seed)
    variances = [normal(1 if same else d, seed=seed + k).exp() for k, same in enumerate(isotropic)]
    laws = [
        Independent(Normal(mean, variance.sqrt().expand(d)), 1)
        for mean, variance in zip(means, variances, strict=True)
    ]
    estimate = divergence.gaussian_kl(means[0], variances[0], means[1], variances[1])
    assert estimate.value == pytest.approx(float(kl_divergence(*laws)), rel=1e-9, abs=1e-12)
    assert estimate.stderr == 0
    zero = divergence.gaussian_kl(means[0], variances[0], means[0], variances[0])
    assert zero.value == 0


def test_gaussian_kl_of_multiples_of_the_identity():
    mean, one = torch.zeros(3).double(), torch.tensor(1.0).double()
    estimate = divergence.gaussian_kl(mean, 2 * one, mean, one)
    assert estimate.value == pytest.approx(3 * (2 - 1 - math.log(2)) / 2)


def test_gaussian_kl_refuses_what_is_no_variance():
    mean, one = torch.zeros(3), torch.tensor(1.0)
    with pytest.raises(ValueError, match="variance"):
        divergence.gaussian_kl(mean, -one, mean, one)
