"""Member i of an ensemble is its solo run; a resumed run is an uninterrupted one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from genbound.models.networks import MLP
from genbound.protocols import Objective
from genbound.training import (
    Run,
    Transform,
    adam,
    grid,
    noisy_sgd,
    progress_bar,
    sgd,
    stream,
    train,
)
from genbound.training.ensemble import flatten

BATCH = 8
OPTIMISERS = [adam(weight_decay=0.01), sgd(momentum=0.9), noisy_sgd(noise=0.01, clip=0.5)]


def build(member: dict) -> nn.Module:
    return MLP(4, 2, 16, 2, generator=stream(member["seed"], "initialisation"))


def draw(data: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    index = torch.randint(len(data), (BATCH,), generator=generator, device=data.device)
    like = {"dtype": data.dtype, "device": data.device}
    return data[index], torch.randn(BATCH, 2, generator=generator, **like)


def denoise(module: nn.Module, sample: tuple[Tensor, Tensor]) -> Tensor:
    data, noise = sample
    return (module(torch.cat([data + noise, noise * 0 + 1], -1)) - data).square().sum(-1).mean()


OBJECTIVE = Objective(draw, denoise)


def points(n: int = 30, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_same(run: Run, other: Run, members: Sequence[int] | slice = slice(None)) -> None:
    """Equality to the bit."""
    assert torch.equal(run.losses[:, members], other.losses)
    assert set(run.params) == set(other.params)
    for name, param in other.params.items():
        assert torch.equal(run.params[name][members], param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda o: o.name)
def test_a_member_is_its_solo_run(
    optimiser: Transform, dtype: torch.dtype, device: torch.device
) -> None:
    data = points(dtype=dtype).to(device)
    members = grid(lr=[1e-3, 1e-2], seed=range(3))
    run = train(OBJECTIVE, build, data, members, steps=150, optimiser=optimiser)
    for i in (0, 4):
        solo = train(OBJECTIVE, build, data, [members[i]], steps=150, optimiser=optimiser)
        if device.type == "cpu":
            assert_same(run, solo, [i])
        tolerance = 1e-9 if dtype == torch.float64 else 1e-3
        torch.testing.assert_close(
            run.losses[:, i], solo.losses[:, 0], rtol=tolerance, atol=tolerance
        )
    assert run.losses.shape == (150, 6)
    assert run.losses.device.type == device.type
    assert len({tuple(column.tolist()) for column in run.losses.T}) == 6


def test_a_member_is_plain_torch() -> None:
    data, member = points(), {"seed": 3, "lr": 0.01}
    run = train(OBJECTIVE, build, data, [{"seed": 8, "lr": 0.1}, member], steps=100)
    module = build(member).double()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    generator = stream(3, "draws")
    for step in range(100):
        optimiser.zero_grad()
        loss = denoise(module, draw(data, generator))
        loss.backward()
        optimiser.step()
        torch.testing.assert_close(run.losses[step, 1], loss.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        run.model(1).state_dict(), module.state_dict(), rtol=1e-8, atol=1e-10
    )


def test_members_may_have_their_own_data_and_draws() -> None:
    def shifted(shift: float) -> Objective:
        return Objective(lambda data, generator: draw(data + shift, generator), denoise)

    datasets = [points(20), points(50, seed=1)]
    members = [{"seed": 0, "lr": 0.01}, {"seed": 0, "lr": 0.01}]
    run = train([shifted(0), shifted(2)], build, datasets, members, steps=60)
    for i, shift in enumerate((0, 2)):
        solo = train(shifted(shift), build, datasets[i], members[i : i + 1], steps=60)
        assert_same(run, solo, [i])


class Interrupted(Exception):
    pass


def interrupt_at(moment: int) -> Callable[[int, int, float], None]:
    def progress(step: int, _steps: int, _loss: float) -> None:
        if step >= moment:
            raise Interrupted

    return progress


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda o: o.name)
@pytest.mark.parametrize("moment", [3, 25, 70])
def test_a_resumed_run_is_an_uninterrupted_one(
    optimiser: Transform, moment: int, tmp_path: Path
) -> None:
    data, members = points(), grid(seed=range(2), lr=[0.01])
    options = {"steps": 80, "optimiser": optimiser, "capture_every": 7}
    whole = train(OBJECTIVE, build, data, members, **options)
    options |= {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 10}
    with pytest.raises(Interrupted):
        train(OBJECTIVE, build, data, members, progress=interrupt_at(moment), **options)
    assert (tmp_path / "run.pt").exists() == (moment >= 10)
    seen = []
    resumed = train(
        OBJECTIVE, build, data, members, progress=lambda *now: seen.append(now[0]), **options
    )
    assert seen[0] == moment // 10 * 10 + 1
    assert_same(whole, resumed)
    assert torch.equal(whole.trajectory, resumed.trajectory)
    finished = train(OBJECTIVE, build, data, members, progress=interrupt_at(0), **options)
    assert_same(whole, finished)
    assert torch.equal(whole.trajectory, finished.trajectory)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    right = {
        "objective": OBJECTIVE,
        "build": build,
        "data": points(),
        "members": grid(seed=[0], lr=[0.01]),
        "steps": 10,
        "capture_every": None,
        "optimiser": adam(),
    }
    path = tmp_path / "run.pt"
    train(**right, checkpoint=path)
    moved = Objective(lambda data, generator: draw(data + 1, generator), denoise)
    wrong = {
        "objective": moved,
        "build": lambda member: MLP(
            4, 2, 16, 2, generator=stream(member["seed"], "another purpose")
        ),
        "data": points(seed=1),
        "members": grid(seed=[1], lr=[0.01]),
        "steps": 11,
        "capture_every": 5,
        "optimiser": adam(eps=1e-6),
    }
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"differs in .*{name}"):
            train(**(right | {name: value}), checkpoint=path)
    train(**right, checkpoint=path)


def test_the_trajectory_is_the_path_of_the_weights() -> None:
    data, members = points(), grid(seed=range(2), lr=[0.01])
    run = train(OBJECTIVE, build, data, members, steps=25, capture_every=10)
    size = sum(p.numel() for p in build(members[0]).parameters())
    assert run.trajectory.shape == (2, 2, size)
    for snapshot, steps in enumerate((10, 20)):
        short = train(OBJECTIVE, build, data, members, steps=steps)
        for i in range(2):
            vector = nn.utils.parameters_to_vector(short.model(i).parameters())
            assert torch.equal(run.trajectory[snapshot, i], vector)
            then = run.model(i, snapshot=snapshot)
            assert torch.equal(nn.utils.parameters_to_vector(then.parameters()), vector)
    short = train(OBJECTIVE, build, data, members, steps=2)
    assert short.trajectory is None
    seen = train(OBJECTIVE, build, data, members, steps=2, capture_every=1, capture=torch.abs)
    assert torch.equal(seen.trajectory[-1], flatten(seen.params).abs())
    part = train(
        OBJECTIVE, build, data, members, steps=2, capture_every=1, capture=lambda w: w[:, :3]
    )
    for run in (short, part):
        with pytest.raises(ValueError, match="snapshot: got 0, but the weights were not captured"):
            run.model(0, snapshot=0)


def test_a_model_has_the_trained_weights_and_is_at_rest() -> None:
    def with_frozen(member: dict) -> nn.Module:
        module = build(member)
        module[0].requires_grad_(False)
        return module

    members = grid(seed=range(2), lr=[0.01])
    run = train(OBJECTIVE, with_frozen, points(dtype=torch.float32), members, steps=20)
    model = run.model(1)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model[0].weight, with_frozen(members[1])[0].weight)
    assert torch.equal(model[2].weight, run.params["2.weight"][1])
    assert not torch.equal(model[2].weight, with_frozen(members[1])[2].weight)


def test_a_diverging_member_is_named_and_the_others_can_be_kept() -> None:
    data, members = points(), grid(lr=[1e-3, 1e30], seed=[0])
    arguments = (OBJECTIVE, build, data, members)
    with pytest.raises(FloatingPointError, match=r"member 1 .*1e\+30.* at step \d"):
        train(*arguments, steps=300, optimiser=sgd(), progress=interrupt_at(150))
    run = train(*arguments, steps=20, optimiser=sgd(), keep_diverged=True)
    assert_same(run, train(OBJECTIVE, build, data, members[:1], steps=20, optimiser=sgd()), [0])
    assert run.losses[:, 0].isfinite().all() and not run.losses[-1, 1].isfinite()
    run.model(0)
    with pytest.raises(FloatingPointError, match="member 1"):
        run.model(1)


def test_training_leaves_the_global_generator_and_the_data_alone() -> None:
    data = points()
    kept, before = data.clone(), torch.random.get_rng_state()
    train(OBJECTIVE, build, data, grid(seed=[0], lr=[0.01]), steps=5).model(0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(kept, data)


def test_progress_is_told_about_a_hundred_times() -> None:
    seen = []
    run = train(
        OBJECTIVE,
        build,
        points(),
        grid(seed=range(2), lr=[0.01]),
        steps=305,
        progress=lambda *now: seen.append(now),
    )
    assert [step for step, _, _ in seen] == [*range(3, 304, 3), 305]
    assert all(steps == 305 for _, steps, _ in seen)
    assert seen[-1][2] == pytest.approx(run.losses[-1].mean().item())


def test_the_progress_bar_is_silent_away_from_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(OBJECTIVE, build, points(), grid(seed=[0], lr=[0.01]), steps=5, progress=progress_bar())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_grid_is_crossed_with_the_last_axis_fastest() -> None:
    assert grid(lr=[0.1, 0.2], seed=range(2)) == [
        {"lr": 0.1, "seed": 0},
        {"lr": 0.1, "seed": 1},
        {"lr": 0.2, "seed": 0},
        {"lr": 0.2, "seed": 1},
    ]
    assert grid(lr=(rate for rate in (1, 2))) == [{"lr": 1}, {"lr": 2}]
    assert grid(seed=[]) == []


@pytest.mark.parametrize("axis", [3, "ab"])
def test_an_axis_that_is_no_sequence_is_refused(axis: object) -> None:
    with pytest.raises(TypeError, match="seed must be a sequence"):
        grid(seed=axis)


ONE = [{"seed": 0, "lr": 0.01}]
OTHER_LOSS = Objective(draw, lambda module, sample: denoise(module, sample))
UNEVEN = Objective(lambda data, _: data, lambda module, _: module[0].weight.sum())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": []}, "members must not be empty"),
        ({"members": [{"lr": 0.1}]}, "member 0 has no seed"),
        ({"members": [*ONE, {"seed": 1}]}, "member 1 has no lr"),
        ({"members": [{"seed": 0, "lr": 0.0}]}, "lr 0.0, must be positive"),
        ({"members": [{"seed": 0, "lr": float("nan")}]}, "lr nan, must be positive"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 2.5}, "steps must be at least 1 and whole, got 2.5"),
        ({"capture_every": 0}, "capture_every must be at least 1"),
        ({"capture_every": float("nan")}, "capture_every must be at least 1 and whole, got nan"),
        ({"checkpoint_every": -1}, "checkpoint_every must be at least 1"),
        ({"objective": [OBJECTIVE] * 2}, r"one Objective or one per member \(1\), got 2"),
        ({"data": [points(), points()]}, r"one Tensor or one per member \(1\), got 2"),
        ({"data": points() * float("inf")}, "data must be finite"),
        ({"data": points()[:0]}, "data must be finite, got none"),
        ({"data": [[0.0]]}, r"one per member \(1\), got 1 of \['list'\]"),
        ({"members": ONE * 2, "objective": [OBJECTIVE, OTHER_LOSS]}, "equal losses"),
        ({"members": ONE * 2, "data": [points(), points().float()]}, "one dtype"),
        (
            {"members": ONE * 2, "data": [points(3), points(4)], "objective": UNEVEN},
            "draws differ in shape",
        ),
    ],
)
def test_bad_input_is_refused_by_name(change: dict, message: str) -> None:
    arguments = {
        "objective": OBJECTIVE,
        "build": build,
        "data": points(),
        "members": ONE,
        "steps": 2,
    }
    with pytest.raises(ValueError, match=message):
        train(**(arguments | change))
