"""Replacing a datum and training again gives the closed form of Langevin training of a mean."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genbound.derivations import linear_score, sgld_solved
from genbound.estimate import Estimate, across, exact, mean
from genbound.estimators import noise_levels
from genbound.estimators.score_matching import denoising_losses
from genbound.estimators.stability import (
    random_set_stability,
    replaced,
    replacement_gap,
    root,
    score_stability,
)
from genbound.models.solvable import LinearScore
from genbound.protocols import Objective
from genbound.sde import ou
from genbound.training import sgld, stream, train
from tests.estimators.reference import Model, seeded

N, D, VARIANCE, START, HORIZON = 20, 5, 0.6, 0.05, 3.0
RATE, BETA, STEPS, SEEDS = 0.05, 200.0, 40, 150
PROCESS, SPAN = ou(), HORIZON - START
EDGES = [math.exp(-2 * time) for time in (START, HORIZON)]
WEIGHT = float(
    sgld_solved.curvature.to_torch(
        linear_score.u, linear_score.a, sgld_solved.variance, sgld_solved.span
    )(*EDGES, VARIANCE, SPAN)
)
CASE = (WEIGHT, 1 - 2 * WEIGHT * RATE, BETA, STEPS, N, D, VARIANCE)


class Mean(nn.Module):
    """The learner of a mean with its exact denoising loss, in units of the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(D, dtype=torch.float64))

    def forward(self, data):
        return WEIGHT * (data - self.theta).square().sum(-1).mean()


WHOLE = Objective(lambda data, _: data, lambda module, data: module(data))


def normal(n, seed, name):
    generator = stream(seed, name)
    return math.sqrt(VARIANCE) * torch.randn(n, D, generator=generator, dtype=torch.float64)


def score(theta):
    covariance = VARIANCE * torch.eye(D, dtype=torch.float64)
    return LinearScore(theta, covariance, PROCESS, HORIZON, START)


def trained(samples, seeds, *, beta=BETA):
    members = [{"seed": seed, "lr": RATE} for seed in seeds]
    rule = sgld(inverse_temperature=beta)
    run = train(WHOLE, lambda _: Mean(), samples, members, steps=STEPS, optimiser=rule)
    return run.params["theta"]


@pytest.fixture(scope="module")
def ensemble():
    """Sample, fresh pair, and weights of the training and of its two repetitions, per seed."""
    samples = [normal(N, seed, "sample") for seed in range(SEEDS)]
    fresh = [normal(2, seed, "fresh") for seed in range(SEEDS)]
    places = [(seed % N, N - 1 - seed % (N - 1)) for seed in range(SEEDS)]
    everything = [
        member
        for sample, pair, place in zip(samples, fresh, places, strict=True)
        for member in (sample, *replaced(sample, pair, place))
    ]
    seeds = [seed for seed in range(SEEDS) for _ in range(3)]
    return samples, fresh, trained(everything, seeds).reshape(SEEDS, 3, D)


def measured(ensemble):
    _, fresh, weights = ensemble
    squares = []
    for data, (theta, *others) in zip(fresh, weights, strict=True):
        models = [score(other) for other in others]
        square = score_stability(score(theta), models, data, draws=4, generator=seeded(1))
        squares.append(square)
    return squares


def test_retraining_gives_the_golden_stability(ensemble):
    square = across(measured(ensemble))
    golden = 0.1178635
    closed = float(sgld_solved.swap.to_torch(*sgld_solved.letters)(*CASE))
    assert math.sqrt(closed) == pytest.approx(golden, abs=1e-7)
    assert square.side == "upper"
    # The package counts (T - t_0) / 4 of the paper's mean over times.
    truth = SPAN / 4 * closed
    assert abs(square.value - truth) <= 4 * square.stderr < 0.5 * truth
    stability = root(square)
    assert abs(stability.value - math.sqrt(truth)) <= 4 * stability.stderr
    assert stability.stderr == pytest.approx(square.stderr / (2 * stability.value))


def test_the_root_gap_is_golden_and_below_the_stability(ensemble):
    samples, _, weights = ensemble
    fixed = 3.5660838399

    def losses(data, theta):
        return WEIGHT * (data - theta).square().sum(-1).mean() + fixed

    seen, unseen = (
        mean(torch.stack([losses(data, theta[0]) for data, theta in pairs]), method="losses")
        for pairs in (
            list(zip(samples, weights, strict=True)),
            [(normal(500, seed, "test"), theta) for seed, theta in enumerate(weights)],
        )
    )
    gap = math.sqrt(unseen.value) - math.sqrt(seen.value)
    error = math.hypot(unseen.stderr, seen.stderr) / (2 * math.sqrt(seen.value))
    assert abs(gap - 0.0556607) <= 4 * error < 0.05
    assert gap <= 0.1178635


def test_a_datum_loses_the_gap_when_it_was_not_trained_on(ensemble):
    samples, fresh, weights = ensemble
    population, training = (
        float(
            getattr(sgld_solved, name).to_torch(*sgld_solved.letters, sgld_solved.fixed)(*CASE, 0)
        )
        for name in ("population", "training")
    )
    truth = SPAN / 4 * (population - training)
    assert truth == pytest.approx(SPAN / 4 * 0.2828340, rel=1e-6)
    paired, held_out = [], []
    for seed, (theta, *others) in enumerate(weights):
        models = [score(other) for other in others]
        options = {"draws": 4, "generator": seeded(seed)}
        paired.append(replacement_gap(score(theta), models, fresh[seed], **options))
        seen, unseen = (
            SPAN / 4 * WEIGHT * (points - theta).square().sum(-1).mean()
            for points in (samples[seed], normal(500, seed, "test"))
        )
        held_out.append(unseen - seen)
    paired, held_out = across(paired), mean(torch.stack(held_out), method="held-out")
    assert abs(paired.value - truth) <= 4 * paired.stderr
    assert paired.stderr < held_out.stderr / 2
    assert paired.side == "unbiased"


def test_the_difference_of_losses_is_that_of_each_loss():
    fresh = torch.randn(3, 2, generator=seeded(3), dtype=torch.float64)
    model, other = (Model(lambda noisy, _, k=k: -k * noisy, process=PROCESS) for k in (1, 0.8))
    gap = replacement_gap(model, [other] * 3, fresh, draws=8, generator=seeded())
    apart = [denoising_losses(one, fresh, draws=8, generator=seeded()) for one in (model, other)]
    torch.testing.assert_close(gap.influence + gap.value, apart[0] - apart[1])


def test_a_score_moves_by_its_mean_alone(ensemble):
    """The two scores differ by alpha (theta - theta') / v_t, whatever the noised point is."""
    _, fresh, weights = ensemble
    theta, *others = weights[0]
    square = score_stability(
        score(theta), [score(o) for o in others], fresh[0], draws=256, generator=seeded()
    )
    moved = torch.stack([(theta - other).square().sum() for other in others]).mean()
    assert square.value == pytest.approx(float(SPAN / 4 * WEIGHT * moved), rel=5e-3)
    # Shared noise cancels: what is left is the replaced datum's pull.
    sample, pair = normal(N, 0, "sample"), normal(2, 0, "fresh")
    pull = (1 - CASE[1] ** STEPS) * (sample[0] - pair[0]) / N
    torch.testing.assert_close(theta - others[0], pull, rtol=1e-9, atol=1e-12)


def test_a_repetition_equals_its_solo_run(ensemble):
    samples, fresh, weights = ensemble
    seed = 7
    repeated = replaced(samples[seed], fresh[seed], (seed % N, N - 1 - seed % (N - 1)))
    for k, sample in enumerate([samples[seed], *repeated]):
        assert torch.equal(trained([sample], [seed])[0], weights[seed, k])


def test_data_are_exchangeable_and_noise_must_be_shared():
    samples, fresh, seeds = [], [], range(60)
    for seed in seeds:
        sample, pair = normal(N, seed, "sample"), normal(2, seed, "fresh")
        samples += [sample, *replaced(sample, pair, (0, N - 1))]
        fresh.append(pair)
    shared = trained(samples, [seed for seed in seeds for _ in range(3)])
    apart = trained(samples, list(range(3 * len(seeds))))

    def distances(weights):
        theta = weights.reshape(len(seeds), 3, D)
        return (theta[:, 1:] - theta[:, :1]).square().sum(-1)

    first, last = distances(shared).T
    difference = mean(first - last, method="paired")
    assert abs(difference.value) <= 4 * difference.stderr
    assert float(distances(apart).mean()) > 2 * float(distances(shared).mean())


@given(st.integers(1, 12), st.integers(1, 3), st.data())
def test_replaced_samples_differ_in_one_row(n, d, data):
    m = data.draw(st.integers(1, 4))
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=m, max_size=m))
    sample = torch.arange(n * d, dtype=torch.float64).reshape(n, d)
    fresh = -1 - torch.arange(m * d, dtype=torch.float64).reshape(m, d)
    before = sample.clone()
    for k, other in enumerate(replaced(sample, fresh, indices)):
        changed = (other != sample).any(1).nonzero().flatten().tolist()
        assert changed == [indices[k]] and torch.equal(other[indices[k]], fresh[k])
        torch.testing.assert_close(other.sum(0), sample.sum(0) - sample[indices[k]] + fresh[k])
    assert torch.equal(sample, before)


@settings(max_examples=15)
@given(st.floats(-3, 3), st.floats(0.1, 4))
def test_distances_are_squares(shift, factor):
    """Zero for equal scores, symmetric, and of degree two in what is between the scores."""
    fresh = torch.randn(3, 2, generator=seeded(3), dtype=torch.float64)

    def shifted(by):
        return Model(lambda noisy, _: -noisy + by, process=PROCESS)

    def square(first, second):
        models = [shifted(second)] * 3
        return score_stability(shifted(first), models, fresh, draws=2, generator=seeded())

    once = square(0.0, shift).value
    assert square(shift, shift).value == 0
    assert square(shift, 0.0).value == pytest.approx(once)
    assert square(0.0, factor * shift).value == pytest.approx(factor**2 * once)


def test_blocks_of_data_keep_their_models(monkeypatch):
    fresh = torch.randn(5, 2, generator=seeded(3), dtype=torch.float64)
    model = Model(lambda noisy, _: -noisy, process=PROCESS)
    others = [Model(lambda noisy, _, k=k: k - noisy, process=PROCESS) for k in range(5)]

    def squares():
        square = score_stability(model, others, fresh, draws=64, generator=seeded())
        return square.influence + square.value

    whole = squares()
    monkeypatch.setattr(noise_levels, "BLOCK_ENTRIES", 2 * 64 * 2)
    torch.testing.assert_close(
        squares() / whole[1], torch.arange(5.0).double() ** 2, rtol=0.1, atol=1e-12
    )


def test_a_root_of_nothing_has_no_known_error():
    assert root(exact(0.0, method="")).stderr == 0
    assert math.isnan(root(Estimate(0.0, 0.1, 9, "")).stderr)
    square = mean(torch.tensor([1.0, 2.0, 6.0]), method="three", side="upper")
    result = root(square)
    assert result.side == "upper" and result.n == 3
    torch.testing.assert_close(result.influence, square.influence / (2 * math.sqrt(3)))


def test_random_set_stability_takes_the_worst_iterate_and_datum():
    losses = torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]])
    retrained = torch.stack([losses - 1, losses + torch.tensor([[0.0, 0.5], [0.25, 0], [0, 0]])])
    result = random_set_stability(losses, retrained)
    assert (result.value, result.side, result.n) == (0.25, "lower", 2)


def test_random_set_stability_of_the_mean_learner(ensemble):
    """Its loss at z moves by weight (theta' - theta) (theta + theta' - 2 z), at every step."""
    _, _, weights = ensemble
    points = normal(50, 0, "points")

    def losses(theta):
        return WEIGHT * (points - theta[..., None, :]).square().sum(-1)

    theta, others = weights[0, :1], weights[0, 1:, None]
    moved = (others - theta)[..., None, :] * ((others + theta)[..., None, :] - 2 * points)
    expected = (WEIGHT * moved.sum(-1)).clamp(min=0).amax((1, 2)).mean()
    assert random_set_stability(losses(theta), losses(others)).value == pytest.approx(
        float(expected)
    )


def test_stability_on_a_device(device):
    fresh = torch.randn(2, 3, device=device)
    model = Model(lambda noisy, _: -noisy)
    other = Model(lambda noisy, _: -2 * noisy)
    generator = torch.Generator(device).manual_seed(0)
    square = score_stability(model, [other, model], fresh, draws=4, generator=generator)
    assert square.value > 0


BAD = {
    "fresh": lambda: replaced(torch.zeros(3, 2), torch.zeros(1, 3), [0]),
    "indices": lambda: replaced(torch.zeros(3, 2), torch.zeros(1, 2), [3]),
    "indices: got \\[0, 1\\]": lambda: replaced(torch.zeros(3, 2), torch.zeros(1, 2), [0, 1]),
    "fresh: got shape": lambda: score_stability(
        Model(None), [Model(None)], torch.zeros(1, 2), draws=2, generator=seeded()
    ),
    "square": lambda: root(Estimate(-1.0, 0.1, 3, "")),
    "retrained": lambda: random_set_stability(torch.zeros(3, 2), torch.zeros(2, 2, 2)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()
