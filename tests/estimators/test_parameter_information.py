import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genbound.derivations import parameter_information as proof
from genbound.derivations.trade_off import M, d, n
from genbound.estimators import parameter_information as estimators
from genbound.protocols import Objective
from genbound.training import grid, noisy_sgd, train
from tests.estimators.reference import seeded


def means(count, size, dim, seed=0):
    """Weights of independent mean learners, data N(1, I)."""
    noise = torch.randn(count, dim, generator=seeded(seed), dtype=torch.float64)
    return 1 + noise / math.sqrt(size)


@given(
    size=st.integers(1, 100), dim=st.integers(1, 8), tau=st.floats(0.01, 2), seed=st.integers(0, 9)
)
@settings(max_examples=20)
def test_bounds_on_the_mean_learner(size, dim, tau, seed):
    weights = means(100, size, dim, seed)
    exact = float(proof.mean_learner.to_torch(n, d, proof.tau2)(size, dim, tau**2))
    moved = estimators.gaussian_weights(weights.square().sum(1), tau=tau)
    spread = estimators.gaussian_spread(weights, tau=tau)
    channel = estimators.gaussian_channel(weights, tau=tau)
    for estimate, truth in (
        (moved, (dim + dim / size) / (2 * tau**2)),
        (spread, dim / size / (2 * tau**2)),
    ):
        assert abs(estimate.value - truth) <= 4.5 * estimate.stderr
        assert estimate.side == "upper" and estimate.value + 4 * estimate.stderr >= exact
    assert channel.side == "lower"
    # 100 trainings, at most 8 weights: the bias is small beside the error.
    assert abs(channel.value - exact) <= 4.5 * channel.stderr + dim**2 / 100
    assert channel.value <= spread.value


def test_the_channel_by_inner_products_is_that_by_the_covariance():
    for count, size in ((5, 40), (40, 5)):
        weights = torch.randn(count, size, generator=seeded(), dtype=torch.float64)
        full = torch.eye(size).double() + torch.cov(weights.T) / 0.3**2
        estimate = estimators.gaussian_channel(weights, tau=0.3)
        assert estimate.value == pytest.approx(float(torch.logdet(full)) / 2)
        left_out = [
            estimators.gaussian_channel(torch.cat([weights[:k], weights[k + 1 :]]), tau=0.3).value
            for k in range(count)
        ]
        jackknife = torch.tensor(left_out).double()
        spread = (jackknife - jackknife.mean()).square().sum() * (count - 1) / count
        assert estimate.stderr == pytest.approx(math.sqrt(float(spread)), rel=1e-5)


def test_few_trainings_make_the_channel_too_small():
    exact = float(proof.mean_learner.to_torch(n, d, proof.tau2)(10, 50, 0.05**2))
    values = torch.tensor(
        [estimators.gaussian_channel(means(4, 10, 50, s), tau=0.05).value for s in range(100)]
    )
    assert float(values.mean()) + 4 * float(values.std()) / 10 < exact


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))

    def forward(self, points):
        return (points - self.theta).square().sum(-1).mean() / 2


def test_noisy_sgd_measured_along_its_path():
    """Gradients recovered from the path of real training, against the closed sums."""
    count, size, steps, rate, noise = 500, 5, 6, 0.3, 0.2
    points = 1 + torch.randn(count, size, 2, generator=seeded(1), dtype=torch.float64)
    run = train(
        Objective(lambda points, _: points, lambda module, points: module(points)),
        lambda _: Mean(),
        list(points),
        grid(lr=[rate], seed=range(count)),
        steps=steps,
        optimiser=noisy_sgd(noise=noise),
        capture_every=1,
    )
    start = torch.cat([torch.zeros(1, count, 2).double(), run.trajectory[:-1]])
    norms2 = (start - points.mean(1)).square().sum(-1)
    estimate = estimators.noisy_sgd(norms2, rate, noise)
    letters = (proof.keep, proof.steps, n, d, proof.noise_variance)
    point = (1 - rate, steps, size, 2, noise**2)
    gradients2 = float(proof.noisy_gradients.to_torch(*letters, M)(*point, 2.0))
    solved = rate**2 * gradients2 / (2 * noise**2)
    assert abs(estimate.value - solved) <= 4 * estimate.stderr
    truth = float(proof.noisy_mean_learner.to_torch(*letters)(*point))
    assert truth < estimate.value and estimate.side == "upper"


def test_noisy_sgd_with_bounds_and_schedules():
    clip2 = torch.full((10,), 4.0)
    bound = estimators.noisy_sgd(clip2, 0.1, 0.5)
    solved = proof.noisy_sgd.to_torch(proof.rate, proof.steps, proof.clip, proof.noise_variance)
    assert bound.value == pytest.approx(float(solved(0.1, 10, 2.0, 0.25)))
    assert (bound.stderr, bound.side) == (0.0, "upper")
    rates, scales = torch.linspace(0.1, 0.2, 10), torch.linspace(0.5, 1, 10)
    scheduled = estimators.noisy_sgd(clip2, rates, scales)
    assert scheduled.value == pytest.approx(float((4 * (rates / scales) ** 2 / 2).sum()))


def test_rounded_weights_and_the_share_of_a_datum():
    whole = estimators.quantised(100, bits=8)
    assert whole.value == pytest.approx(800 * math.log(2))
    assert whole.side == "upper"
    share = estimators.per_datum(whole, 50)
    assert share.value == pytest.approx(16 * math.log(2)) and share.side == "upper"
    moved = estimators.gaussian_weights(torch.tensor([1.0, 3.0]), tau=1.0)
    share = estimators.per_datum(moved, 4)
    assert share.stderr == pytest.approx(moved.stderr / 4)
    assert float(share.influence.std()) == pytest.approx(float(moved.influence.std()) / 4)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: estimators.gaussian_weights(torch.ones(3), tau=0.0), "tau"),
        (lambda: estimators.gaussian_spread(torch.ones(3, 2), tau=-1.0), "tau"),
        (lambda: estimators.gaussian_spread(torch.ones(1, 2), tau=1.0), "weights"),
        (lambda: estimators.gaussian_channel(torch.ones(2, 2), tau=1.0), "weights"),
        (lambda: estimators.noisy_sgd(torch.ones(3), 0.1, 0.0), "noise"),
        (lambda: estimators.noisy_sgd(torch.ones(3, 2, 2), 0.1, 1.0), "gradient_norms2"),
        (lambda: estimators.quantised(3, bits=0), "bits"),
        (lambda: estimators.quantised(0, bits=1), "weights"),
        (lambda: estimators.per_datum(estimators.quantised(1, bits=1), 0), "n"),
    ],
)
def test_bad_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        call()
