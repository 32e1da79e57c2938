"""Every setting is what `train` makes of it alone; only the order of work differs."""

import math
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from genbound.models.networks import MLP
from genbound.protocols import Objective
from genbound.training import Sweep, grid, sgd, sgld, stream, train, train_settings

# The key's values alternate, so that an order by groups would show.
MEMBERS = grid(lr=[1e-3, 1e-2], batch=[4, 8], seed=range(2))
STEPS = {4: 30, 8: 15}


def build(member: dict) -> nn.Module:
    return MLP(2, 2, 8, 1, generator=stream(member["seed"], "initialisation"))


def miss(module: nn.Module, data: Tensor) -> Tensor:
    return (module(data) - data.flip(-1)).square().sum(-1).mean()


def objective(batch: int) -> Objective:
    def draw(data: Tensor, generator: Generator) -> Tensor:
        index = torch.randint(len(data), (batch,), generator=generator, device=data.device)
        return data[index]

    return Objective(draw, miss)


def points(n: int = 20, seed: int = 0) -> Tensor:
    return torch.randn(n, 2, generator=Generator().manual_seed(seed), dtype=torch.float64)


def assert_member(sweep: Sweep, i: int, other: Sweep, j: int) -> None:
    """Equality to the bit."""
    assert sweep.members[i] == other.members[j]
    assert torch.equal(sweep.losses(i), other.losses(j))
    left, right = sweep.model(i).state_dict(), other.model(j).state_dict()
    assert all(torch.equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("steps", [20, STEPS])
def test_every_member_is_what_train_makes_of_its_group(steps: int | dict) -> None:
    data = points()
    sweep = train_settings(objective, build, data, MEMBERS, steps=steps, capture_every=5)
    for batch in (4, 8):
        indices = [i for i, member in enumerate(MEMBERS) if member["batch"] == batch]
        group = [MEMBERS[i] for i in indices]
        count = steps if isinstance(steps, int) else steps[batch]
        run = train(objective(batch), build, data, group, steps=count, capture_every=5)
        for k, i in enumerate(indices):
            assert sweep.losses(i).shape == (count,)
            assert torch.equal(sweep.losses(i), run.losses[:, k])
            assert torch.equal(sweep.trajectory(i), run.trajectory[:, k])
            pairs = zip(sweep.model(i).parameters(), run.model(k).parameters(), strict=True)
            assert all(torch.equal(left, right) for left, right in pairs)
            then = nn.utils.parameters_to_vector(sweep.model(i, snapshot=1).parameters())
            assert torch.equal(then, run.trajectory[1, k])
    assert sweep.members == tuple(MEMBERS)
    assert sweep.diverged == ()


def test_the_order_of_the_members_does_not_matter() -> None:
    there = train_settings(objective, build, points(), MEMBERS, steps=10)
    back = train_settings(objective, build, points(), MEMBERS[::-1], steps=10)
    for i in range(len(MEMBERS)):
        assert_member(there, i, back, len(MEMBERS) - 1 - i)
    assert there.trajectory(0) is None
    assert len({tuple(there.losses(i).tolist()) for i in range(len(MEMBERS))}) == len(MEMBERS)


def test_the_number_of_data_may_be_an_axis() -> None:
    members = grid(n=[10, 40], batch=[4, 8], seed=[0], lr=[0.01])
    samples = [points(member["n"], seed=member["n"]) for member in members]
    sweep = train_settings(objective, build, samples, members, steps=12)
    for i, member in enumerate(members):
        solo = train(objective(member["batch"]), build, samples[i], [member], steps=12)
        assert torch.equal(sweep.losses(i), solo.losses[:, 0])


def test_any_key_groups_and_a_rule_may_look_at_its_group() -> None:
    members = grid(temperature=[math.inf, 30.0], size=[4, 8], seed=[0], lr=[0.01])

    def rule(group: list[dict]) -> object:
        betas = torch.tensor([member["temperature"] for member in group])
        return sgld(inverse_temperature=betas)

    sweep = train_settings(
        objective, build, points(), members, by="size", steps=12, optimiser=rule
    )
    for i, member in enumerate(members):
        alone = rule([member])
        solo = train(
            objective(member["size"]), build, points(), [member], steps=12, optimiser=alone
        )
        assert torch.equal(sweep.losses(i), solo.losses[:, 0])


def test_members_that_diverge_are_kept_and_told() -> None:
    members = grid(lr=[1e-3, 1e30], batch=[4, 8], seed=[0])
    sweep = train_settings(objective, build, points(), members, steps=20, optimiser=sgd())
    assert sweep.diverged == (2, 3)
    assert sweep.losses(0).isfinite().all() and not sweep.losses(2)[-1].isfinite()
    sweep.model(1)
    with pytest.raises(FloatingPointError, match="diverged"):
        sweep.model(3)


def test_a_broken_call_goes_on_where_it_was(tmp_path: Path) -> None:
    def interrupt(step: int, _steps: int, _loss: float) -> None:
        if step == 30 + 7:
            raise KeyboardInterrupt

    options = {"steps": STEPS, "capture_every": 5}
    whole = train_settings(objective, build, points(), MEMBERS, **options)
    options |= {"checkpoints": tmp_path / "states", "checkpoint_every": 3}
    with pytest.raises(KeyboardInterrupt):
        train_settings(objective, build, points(), MEMBERS, progress=interrupt, **options)
    names = {path.name for path in (tmp_path / "states").iterdir()}
    assert names == {"batch=4.pt", "batch=8.pt"}
    seen = []
    again = train_settings(
        objective, build, points(), MEMBERS, progress=lambda *now: seen.append(now[:2]), **options
    )
    assert seen == [(step, 45) for step in range(37, 46)]
    for i in range(len(MEMBERS)):
        assert_member(whole, i, again, i)
        assert torch.equal(whole.trajectory(i), again.trajectory(i))
    with pytest.raises(ValueError, match=r"belongs to another run.* steps"):
        train_settings(objective, build, points(), MEMBERS, **options | {"steps": 31})


def test_it_trains_where_the_data_are(device: torch.device) -> None:
    sweep = train_settings(objective, build, points().to(device), MEMBERS, steps=5)
    assert all(sweep.losses(i).device.type == device.type for i in range(len(MEMBERS)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": []}, "members must not be empty"),
        ({"members": [{"seed": 0, "lr": 0.1}]}, "member 0 has no batch"),
        ({"members": [{"seed": 0, "batch": 4}]}, "member 0 has no lr"),
        ({"by": "width"}, "member 0 has no width"),
        ({"steps": {4: 3}}, r"steps: none given for batch in \[8\]"),
        ({"steps": {4: 3, 8: 0}}, "steps must be at least 1"),
        ({"data": [points()] * 3}, r"data must be one or one per member \(8\), got 3"),
    ],
)
def test_bad_input_is_refused_by_name(change: dict, message: str) -> None:
    arguments = {"objective": objective, "build": build, "data": points(), "members": MEMBERS}
    with pytest.raises(ValueError, match=message):
        train_settings(**(arguments | {"steps": 2} | change))
