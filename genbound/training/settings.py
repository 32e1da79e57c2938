"""Settings that one program can't hold: members whose draws differ in shape, as batch sizes do.

A grid of learning rate x batch size x seed x number of data is trained as one ensemble for each
batch size; what comes back is in the order in which the members were given.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from genbound.protocols import Objective
from genbound.training.ensemble import Build, Member, flatten
from genbound.training.loop import Capture, Run, train
from genbound.training.optim import Transform, adam
from genbound.training.progress import Progress

__all__ = ["Sweep", "train_settings"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Trained members of several groups, numbered as they were given.

    Attributes:
        members: What distinguishes the members.
        runs: One ensemble for each value of the key, in the order of first appearance.
        places: Of each member, the index of its run and its index in it.
    """

    members: tuple[Member, ...]
    runs: tuple[Run, ...]
    places: tuple[tuple[int, int], ...]

    def model(self, i: int, *, snapshot: int | None = None) -> nn.Module:
        """Member i's module, as :meth:`Run.model`, which says what it raises."""
        group, k = self.places[i]
        return self.runs[group].model(k, snapshot=snapshot)

    def losses(self, i: int) -> Tensor:
        """Member i's loss in each of its steps, before the update, (steps,)."""
        group, k = self.places[i]
        return self.runs[group].losses[:, k]

    def trajectory(self, i: int) -> Tensor | None:
        """What was captured of member i's weights, (snapshots, k), or None."""
        group, k = self.places[i]
        captured = self.runs[group].trajectory
        return None if captured is None else captured[:, k]

    @property
    def diverged(self) -> tuple[int, ...]:
        """The members whose losses or weights are not finite: they have no model."""
        finite = [
            run.losses.isfinite().all(0) & flatten(run.params).isfinite().all(1)
            for run in self.runs
        ]
        return tuple(i for i, (group, k) in enumerate(self.places) if not finite[group][k])


def train_settings(
    objective: Callable[[Hashable], Objective],
    build: Build,
    data: Tensor | Sequence[Tensor],
    members: Sequence[Member],
    *,
    by: str = "batch",
    steps: int | Mapping[Hashable, int],
    optimiser: Transform | Callable[[Sequence[Member]], Transform] | None = None,
    capture_every: int | None = None,
    capture_from: int = 1,
    capture: Capture | None = None,
    checkpoints: Path | None = None,
    checkpoint_every: int = 1000,
    progress: Progress | None = None,
) -> Sweep:
    """Train the members of each value of a key at once, one value after the other.

    Every member equals its solo run, so neither the groups nor the order of the members matter.
    Members that diverge are kept, and named by :attr:`Sweep.diverged`.

    Args:
        objective: Value of the key -> what to minimise.
        build: member -> module, as for `train`; one architecture within a group.
        data: (n, ...) shared, or one tensor per member; the lengths may differ.
        members: Mappings with "seed", "lr", the key, and anything that `build` reads.
        by: The key.
        steps: Number of updates: one for all, or value of the key -> its own (equal numbers of
            epochs, say).
        optimiser: The update rule, or members of a group -> their rule, for one that holds a
            number per member; `adam()` if None.
        capture_every: As for `train`, like the other captures.
        capture_from: The first update after which weights may be kept.
        capture: What is kept of the flattened weights.
        checkpoints: A folder, with one file for each value of the key, from which a broken call
            goes on. The values must be fit for names of files.
        checkpoint_every: Updates between two saves.
        progress: Called as (step, steps, mean loss), with the steps of all groups in one count.

    Returns:
        The trained members, in the given order.

    Raises:
        ValueError: If a member lacks the key, the steps lack a value of it, the data are not one
            or one per member, or as for `train`.
        TypeError: If the loss is not a 0-dim tensor.
    """
    members = tuple(members)
    groups: dict[Hashable, list[int]] = {}
    for i, member in enumerate(members):
        if by not in member:
            raise ValueError(f"members: member {i} has no {by}: {dict(member)}")
        groups.setdefault(member[by], []).append(i)
    if not groups:
        raise ValueError("members must not be empty")
    lengths = steps if isinstance(steps, Mapping) else dict.fromkeys(groups, steps)
    if missing := [value for value in groups if value not in lengths]:
        raise ValueError(f"steps: none given for {by} in {missing}, got {dict(lengths)}")
    if not isinstance(data, Tensor) and len(data) != len(members):
        raise ValueError(f"data must be one or one per member ({len(members)}), got {len(data)}")

    total, before, runs = sum(lengths[value] for value in groups), 0, []
    for value, indices in groups.items():
        group = [members[i] for i in indices]
        rule = adam() if optimiser is None else optimiser
        run = train(
            objective(value),
            build,
            data if isinstance(data, Tensor) else [data[i] for i in indices],
            group,
            steps=lengths[value],
            optimiser=rule if isinstance(rule, Transform) else rule(group),
            capture_every=capture_every,
            capture_from=capture_from,
            capture=capture,
            checkpoint=None if checkpoints is None else Path(checkpoints) / f"{by}={value}.pt",
            checkpoint_every=checkpoint_every,
            progress=None if progress is None else _shifted(progress, before, total),
            keep_diverged=True,
        )
        runs.append(run)
        before += lengths[value]
    places = {
        i: (g, k) for g, indices in enumerate(groups.values()) for k, i in enumerate(indices)
    }
    return Sweep(members, tuple(runs), tuple(places[i] for i in range(len(members))))


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    """The same for a part of a longer work."""

    def show(step: int, _steps: int, loss: float) -> None:
        progress(before + step, total, loss)

    return show
