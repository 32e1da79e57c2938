"""What is captured of a path: all of it, its end, or what a map makes of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from genbound.estimators.trajectory_geometry import Sketch, sketch
from genbound.protocols import Objective
from genbound.training import Run, adam, grid, sgd, sgld, train

P, STEPS = 600, 24
MEMBERS = grid(seed=range(3), lr=[0.01])


def build(member: dict) -> nn.Module:
    module = nn.Linear(P, 1, bias=False)
    nn.init.constant_(module.weight, 0.1 * member["seed"])
    return module


def pick(data: Tensor, generator: Generator) -> Tensor:
    return data[torch.randint(len(data), (5,), generator=generator, device=data.device)]


OBJECTIVE = Objective(pick, lambda module, data: (module(data) - 1).square().mean())
DATA = torch.randn(20, P, generator=Generator().manual_seed(7))


def run_of(**options: object) -> Run:
    return train(OBJECTIVE, build, DATA, MEMBERS, steps=STEPS, **options)


def sketch_of(seed: int, k: int = 40) -> Sketch:
    return sketch(P, k, generator=Generator().manual_seed(seed))


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation returns."""

    size = 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.size = max(self.size, result.numel())
        return result


@pytest.mark.parametrize(
    "optimiser", [adam(), sgld(inverse_temperature=1e3)], ids=["adam", "sgld"]
)
def test_a_captured_path_is_the_map_of_the_path(optimiser: object) -> None:
    whole = run_of(capture_every=2, optimiser=optimiser)
    draw = sketch_of(1)
    seen = run_of(capture_every=2, capture=draw, optimiser=optimiser)
    assert seen.trajectory.shape == (STEPS // 2, len(MEMBERS), 40)
    assert seen.trajectory.dtype == torch.float64
    assert torch.equal(seen.trajectory, draw(whole.trajectory))
    assert torch.equal(seen.losses, whole.losses)
    for i in range(len(MEMBERS)):
        true, kept = (
            torch.pdist(whole.trajectory[:, i].double()),
            torch.pdist(seen.trajectory[:, i]),
        )
        assert float((kept / true - 1).abs().max()) <= 5 * draw.distortion


@pytest.mark.parametrize("every", [1, 3, 5])
@pytest.mark.parametrize("start", [1, 2, 5, 6, 7, 21, STEPS, STEPS + 1])
def test_from_a_step_on_it_is_the_end_of_the_path(every: int, start: int) -> None:
    whole = run_of(capture_every=every).trajectory
    taken = [k for k, step in enumerate(range(every, STEPS + 1, every)) if step >= start]
    late = run_of(capture_every=every, capture_from=start).trajectory
    assert torch.equal(late, whole[taken])


def test_a_member_s_capture_is_that_of_its_solo_run() -> None:
    draw, data = sketch_of(2), DATA.double()
    options = {"steps": STEPS, "capture_every": 4, "capture_from": 9}
    together = train(OBJECTIVE, build, data, MEMBERS, capture=draw, **options)
    solo = train(OBJECTIVE, build, data, MEMBERS[1:2], **options)
    torch.testing.assert_close(together.trajectory[:, 1:2], draw(solo.trajectory))
    torch.testing.assert_close(together.losses[:, 1:2], solo.losses)


def test_a_path_that_is_sketched_is_never_held() -> None:
    def largest(**options: object) -> int:
        with Largest() as seen:
            run_of(capture_every=1, **options)
        return seen.size

    path = STEPS * len(MEMBERS) * P
    assert largest() >= path > 2 * largest(capture=sketch_of(3, k=8))


def interrupt(step: int, _steps: int, _loss: float) -> None:
    if step == 13:
        raise KeyboardInterrupt


def test_a_resumed_capture_is_an_uninterrupted_one(tmp_path: Path) -> None:
    options = {"capture_every": 2, "capture_from": 8}
    whole = run_of(capture=sketch_of(4), **options)
    saved = options | {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 6}
    with pytest.raises(KeyboardInterrupt):
        run_of(capture=sketch_of(4), progress=interrupt, **saved)
    assert torch.equal(run_of(capture=sketch_of(4), **saved).trajectory, whole.trajectory)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capture", sketch_of(6)),
        ("capture", sketch_of(5, k=20)),
        ("capture", lambda weights: weights.double()),
        ("capture", None),
        ("capture_from", 3),
    ],
)
def test_another_capture_is_refused_by_the_checkpoint(
    name: str, value: Callable | int | None, tmp_path: Path
) -> None:
    options = {"capture_every": 2, "capture": sketch_of(5), "checkpoint": tmp_path / "run.pt"}
    run_of(**options)
    with pytest.raises(ValueError, match=f"differs in {name}$"):
        run_of(**options | {name: value})
    run_of(**options | {"capture": sketch_of(5)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capture_from": 0}, "capture_from must be at least 1"),
        ({"capture": sketch_of(0)}, "capture_every must be given with capture"),
        ({"capture": lambda weights: weights.sum(), "capture_every": 1}, r"must give \(3, k\)"),
        ({"capture": lambda weights: weights[:2], "capture_every": 1}, r"got \(2, 600\)"),
    ],
)
def test_bad_input_is_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_of(**options)


def test_it_is_captured_where_the_weights_are(device: torch.device) -> None:
    draw = sketch(P, 16, generator=Generator(device).manual_seed(0), device=device)
    data = DATA.to(device)
    options = {"steps": 6, "capture_every": 3, "optimiser": sgd()}
    run = train(OBJECTIVE, build, data, MEMBERS, capture=draw, **options)
    assert run.trajectory.device.type == device.type
    whole = train(OBJECTIVE, build, data, MEMBERS, **options)
    torch.testing.assert_close(run.trajectory, draw(whole.trajectory))
