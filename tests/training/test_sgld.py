"""Langevin descent has the law it should have, exactly, and keeps the promises of `train`."""

import math
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from genbound.models.networks import MLP
from genbound.protocols import Objective
from genbound.training import Run, grid, sgd, sgld, stream, train
from genbound.training.schedules import Constant, Cosine, Power, Schedule

SEEDS = 400
RATES, TEMPERATURES = (0.1, 0.4), (2.0, 50.0)


class Mean(nn.Module):
    """A learner of a mean: on the whole sample its loss is |theta - mean|^2 / 2 + const."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(start.clone())

    def forward(self, data: Tensor) -> Tensor:
        return (data - self.theta).square().sum(-1).mean() / 2


class Quadratic(nn.Module):
    """Axes of different curvature: the loss is sum_j a_j theta_j^2 / 2."""

    def __init__(self, curvature: Tensor, start: float) -> None:
        super().__init__()
        self.curvature = nn.Parameter(curvature.clone(), requires_grad=False)
        self.theta = nn.Parameter(torch.full_like(curvature, start))

    def forward(self, _: Tensor) -> Tensor:
        return (self.curvature * self.theta.square()).sum() / 2


WHOLE = Objective(lambda data, _: data, lambda module, data: module(data))
MEMBERS = grid(inverse_temperature=TEMPERATURES, lr=RATES, seed=range(SEEDS))


def temperatures(members: list[dict]) -> Tensor:
    return torch.tensor([member["inverse_temperature"] for member in members])


def groups(weights: Tensor) -> dict[tuple[float, float], Tensor]:
    """Weights (e, p) of each (inverse temperature, rate): independent rows, one per seed."""
    cells = weights.reshape(len(TEMPERATURES), len(RATES), SEEDS, -1)
    return {
        (beta, rate): cells[i, j]
        for i, beta in enumerate(TEMPERATURES)
        for j, rate in enumerate(RATES)
    }


def distance(sample: Tensor, mean: Tensor | float, variance: Tensor | float) -> float:
    """How many standard errors mean and variance of normal columns are off, at most."""
    n = len(sample)
    spread = torch.as_tensor(variance, dtype=sample.dtype)
    off_mean = (sample.mean(0) - mean).abs() / (spread / n).sqrt()
    off_variance = (sample.var(0) / spread - 1).abs() / math.sqrt(2 / (n - 1))
    return float(torch.maximum(off_mean, off_variance).max())


@pytest.mark.parametrize(
    "schedule", [Constant(), Power(0.6), Cosine(12)], ids=lambda s: type(s).__name__
)
def test_the_mean_learner_has_the_law_of_its_recursion(schedule: Schedule) -> None:
    decay, steps, start = 0.3, 9, torch.tensor([1.0, -2.0, 0.5]).double()
    data = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rule = sgld(inverse_temperature=temperatures(MEMBERS), weight_decay=decay, schedule=schedule)
    run = train(WHOLE, lambda _: Mean(start), data, MEMBERS, steps=steps, optimiser=rule)
    for (beta, rate), sample in groups(run.params["theta"]).items():
        mean, variance = start, 0.0
        for step in range(steps):
            lr = rate * schedule(step)
            keep = 1 - lr * (1 + decay)
            mean, variance = keep * mean + lr * data.mean(0), keep**2 * variance + 2 * lr / beta
        assert distance(sample, mean, variance) <= 4
        # The coordinates of one member do not share their noise.
        assert float(torch.corrcoef(sample.T).triu(1).abs().max()) <= 4 / math.sqrt(SEEDS)
        # The test has power: for the factor 2, and, where the noise is small, for the mean.
        assert distance(sample, mean, 2 * variance) > 4
        if beta == max(TEMPERATURES):
            assert distance(sample, data.mean(0), variance) > 4


def test_full_batch_steps_from_the_true_mean_have_their_closed_form() -> None:
    # Kept of the way: r = 1 - lr; variance (2 lr / beta) (1 - r^2K) / (1 - r^2).
    data, steps = torch.full((4, 2), 1.5, dtype=torch.float64), 7
    rule = sgld(inverse_temperature=temperatures(MEMBERS))
    build = lambda _: Mean(torch.zeros(2, dtype=torch.float64))  # noqa: E731
    run = train(WHOLE, build, data, MEMBERS, steps=steps, optimiser=rule)
    for (beta, rate), sample in groups(run.params["theta"]).items():
        keep = 1 - rate
        variance = 2 * rate / beta * (1 - keep ** (2 * steps)) / (1 - keep**2)
        assert distance(sample, (1 - keep**steps) * 1.5, variance) <= 4


def test_a_quadratic_has_its_stationary_law_with_the_step_correction() -> None:
    curvature, decay = torch.tensor([1.0, 2.0, 3.5]).double(), 0.5
    rule = sgld(inverse_temperature=temperatures(MEMBERS), weight_decay=decay)
    run = train(
        WHOLE,
        lambda _: Quadratic(curvature, 1.0),
        torch.zeros(1, dtype=torch.float64),
        MEMBERS,
        steps=80,
        optimiser=rule,
    )
    total = curvature + decay
    for (beta, rate), sample in groups(run.params["theta"]).items():
        limit = 1 / (beta * total)
        assert float((1 - rate * total).abs().max()) ** 80 < 1e-4  # What the start still does.
        assert distance(sample, 0.0, limit / (1 - rate * total / 2)) <= 4
        if rate == max(RATES):
            assert distance(sample, 0.0, limit) > 4


def test_weight_decay_is_a_gaussian_prior() -> None:
    # Without a gradient the prior N(0, I / (beta w)) is sampled; with one, the posterior.
    decay, rates = 2.0, torch.tensor([member["lr"] for member in MEMBERS])
    flat = Quadratic(torch.zeros(2, dtype=torch.float64), 0.0)
    rule = sgld(inverse_temperature=temperatures(MEMBERS), weight_decay=decay)
    run = train(
        WHOLE,
        lambda _: Quadratic(flat.curvature, 0.0),
        torch.zeros(1, dtype=torch.float64),
        MEMBERS,
        steps=40,
        optimiser=rule,
    )
    unbiased = run.params["theta"] * (1 - rates[:, None] * decay / 2).sqrt()
    for (beta, _), sample in groups(unbiased).items():
        assert distance(sample, 0.0, 1 / (beta * decay)) <= 4
    data = torch.full((3, 2), 1.5, dtype=torch.float64)
    run = train(WHOLE, lambda _: Mean(data[0] * 0), data, MEMBERS, steps=80, optimiser=rule)
    unbiased = (run.params["theta"] - 0.5) * (1 - rates[:, None] * (1 + decay) / 2).sqrt()
    for (beta, _), sample in groups(unbiased).items():
        assert distance(sample, 0.0, 1 / (beta * (1 + decay))) <= 4


BATCH = 8


def build(member: dict) -> nn.Module:
    return MLP(2, 2, 8, 2, generator=stream(member["seed"], "initialisation"))


def draw(data: Tensor, generator: Generator) -> Tensor:
    return data[torch.randint(len(data), (BATCH,), generator=generator, device=data.device)]


NETWORK = Objective(
    draw, lambda module, batch: (module(batch) - batch.flip(-1)).square().sum(-1).mean()
)
FEW = grid(inverse_temperature=[math.inf, 1e3, 30.0], lr=[1e-3, 1e-2], seed=range(2))


def points(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(30, 2, generator=torch.Generator().manual_seed(0), dtype=dtype)


def rule_of(members: list[dict], schedule: Schedule | None = None) -> object:
    return sgld(inverse_temperature=temperatures(members), weight_decay=0.01, schedule=schedule)


def assert_same(run: Run, other: Run, members: list[int] | slice = slice(None)) -> None:
    """Equality to the bit."""
    assert torch.equal(run.losses[:, members], other.losses)
    for name, param in other.params.items():
        assert torch.equal(run.params[name][members], param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("schedule", [None, Power(0.55), Cosine(50)], ids=repr)
def test_a_member_is_its_solo_run(
    schedule: Schedule | None, dtype: torch.dtype, device: torch.device
) -> None:
    data = points(dtype).to(device)
    run = train(NETWORK, build, data, FEW, steps=60, optimiser=rule_of(FEW, schedule))
    assert len({tuple(column.tolist()) for column in run.losses.T}) == len(FEW)
    for i in (0, 5, 10):
        solo_rule = rule_of(FEW[i : i + 1], schedule)
        solo = train(NETWORK, build, data, FEW[i : i + 1], steps=60, optimiser=solo_rule)
        if device.type == "cpu":
            assert_same(run, solo, [i])
        tolerance = 1e-9 if dtype == torch.float64 else 1e-3
        torch.testing.assert_close(
            run.losses[:, i], solo.losses[:, 0], rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("schedule", [None, Power(0.55), Cosine(50)], ids=repr)
def test_a_resumed_run_is_its_uninterrupted_twin(
    schedule: Schedule | None, tmp_path: Path
) -> None:
    def stop(step: int, _steps: int, _loss: float) -> None:
        if step == 37:
            raise KeyboardInterrupt

    arguments = {"steps": 60, "capture_every": 20}
    whole = train(NETWORK, build, points(), FEW, optimiser=rule_of(FEW, schedule), **arguments)
    arguments |= {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 10}
    with pytest.raises(KeyboardInterrupt):
        train(
            NETWORK,
            build,
            points(),
            FEW,
            optimiser=rule_of(FEW, schedule),
            progress=stop,
            **arguments,
        )
    again = train(NETWORK, build, points(), FEW, optimiser=rule_of(FEW, schedule), **arguments)
    assert_same(whole, again)
    assert torch.equal(whole.trajectory, again.trajectory)
    with pytest.raises(ValueError, match=r"differs in .*optimiser"):
        train(NETWORK, build, points(), FEW, optimiser=rule_of(FEW, Power(0.9)), **arguments)


def test_at_temperature_zero_it_is_plain_descent() -> None:
    cold = [member for member in FEW if math.isinf(member["inverse_temperature"])]
    plain = train(NETWORK, build, points(), cold, steps=30, optimiser=sgd(weight_decay=0.01))
    one = sgld(inverse_temperature=math.inf, weight_decay=0.01)
    assert_same(train(NETWORK, build, points(), cold, steps=30, optimiser=one), plain)
    mixed = train(NETWORK, build, points(), FEW, steps=30, optimiser=rule_of(FEW))
    assert_same(mixed, plain, list(range(len(cold))))


def test_one_number_is_for_all_and_the_given_tensor_is_copied() -> None:
    given = torch.full((len(FEW),), 30.0)
    each, one = sgld(inverse_temperature=given), sgld(inverse_temperature=30.0)
    given.fill_(1.0)
    first, second = (
        train(NETWORK, build, points(), FEW, steps=5, optimiser=rule) for rule in (each, one)
    )
    assert_same(first, second)


def test_names_tell_constants_apart() -> None:
    rules = [
        sgld(inverse_temperature=beta, weight_decay=decay, schedule=schedule)
        for beta in (1.0, math.inf, torch.tensor([1.0, 2.0]))
        for decay in (0.0, 0.1)
        for schedule in (None, Power(0.5))
    ]
    assert len({rule.name for rule in rules}) == len(rules)


@pytest.mark.parametrize(
    "options",
    [
        {"inverse_temperature": 0.0},
        {"inverse_temperature": math.nan},
        {"inverse_temperature": torch.tensor([1.0, -1.0])},
        {"inverse_temperature": torch.ones(2, 2)},
        {"inverse_temperature": 1.0, "weight_decay": -0.1},
    ],
)
def test_constants_out_of_range_are_refused_by_name(options: dict) -> None:
    with pytest.raises(ValueError, match=list(options)[-1]):
        sgld(**options)


def test_there_is_one_temperature_for_each_member() -> None:
    rule = sgld(inverse_temperature=torch.ones(3))
    with pytest.raises(ValueError, match="inverse_temperature must be one number or 2, got 3"):
        rule.init({"theta": torch.zeros(2, 4)})
