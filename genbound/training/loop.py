"""Training: many members (seeds, rates, horizons) in one vmapped program, the path kept.

Every random number is drawn outside the vmap, from one generator per member, so that member i of
an ensemble equals its solo run.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_map  # the trees of torch.func: what a sample may be

from genbound.protocols import Objective
from genbound.training import checkpoint as checkpoints
from genbound.training.ensemble import Build, Member, built, flatten, gradients, stack, stream
from genbound.training.optim import Params, Transform, adam
from genbound.training.progress import Progress

Capture = Callable[[Tensor], Tensor]
_CHECK_EVERY = 100


class Run(NamedTuple):
    """A trained ensemble of e members.

    Attributes:
        params: The trained weights, {name: (e, ...)}.
        losses: The loss of each step, before its update, (steps, e).
        trajectory: What was captured every `capture_every` updates, (snapshots, e, k), or None:
            the flattened weights, in the order of `params`, or what `capture` made of them.
        members: What distinguishes the members, as given.
        build: The builder of one member's module, as given.
    """

    params: Params
    losses: Tensor
    trajectory: Tensor | None
    members: tuple[Member, ...]
    build: Build

    def model(self, i: int, *, snapshot: int | None = None) -> nn.Module:
        """Member i's module with its trained weights, in evaluation mode, without gradients.

        Args:
            i: The member's index.
            snapshot: An index of the trajectory, for the weights of that time; the last if None.

        Returns:
            A new module, in the dtype and on the device of the training.

        Raises:
            ValueError: If a snapshot is asked for and the trajectory does not hold the weights.
            FloatingPointError: If this member diverged.
        """
        weights = {name: stacked[i] for name, stacked in self.params.items()}
        if snapshot is not None:
            weights = self._captured(weights, i, snapshot)
        if not all(weight.isfinite().all() for weight in weights.values()):
            raise FloatingPointError(f"member {i} {dict(self.members[i])} diverged: no model")
        module = built(self.build, self.members[i], next(iter(weights.values())))
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in weights:
                    parameter.copy_(weights[name])
        return module.eval().requires_grad_(False)

    def _captured(self, like: Params, i: int, snapshot: int) -> Params:
        sizes = [weight.numel() for weight in like.values()]
        if self.trajectory is None or self.trajectory.shape[-1] != sum(sizes):
            raise ValueError(f"snapshot: got {snapshot}, but the weights were not captured whole")
        parts = self.trajectory[snapshot, i].split(sizes)
        pairs = zip(like.items(), parts, strict=True)
        return {name: part.view_as(weight) for (name, weight), part in pairs}


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """The crossed design: one dict for each combination, the last axis fastest.

    Args:
        **axes: The values of each name.

    Returns:
        The members.

    Raises:
        TypeError: If an axis is not a sequence of values.
    """
    for name, values in axes.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"{name} must be a sequence of values, got {values!r}")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def train(
    objective: Objective | Sequence[Objective],
    build: Build,
    data: Tensor | Sequence[Tensor],
    members: Sequence[Member],
    *,
    steps: int,
    optimiser: Transform | None = None,
    capture_every: int | None = None,
    capture_from: int = 1,
    capture: Capture | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 1000,
    progress: Progress | None = None,
    keep_diverged: bool = False,
) -> Run:
    """Train all members at once.

    Members may differ in seed, rate, data and draws; they share the architecture, and whatever a
    module's `forward` reads beside parameters and buffers is taken from member 0. Parameters that
    do not require gradients, and buffers, stay as they were built; networks that change their
    buffers or draw random numbers in `forward` (batch norm, dropout) are out of scope.

    Args:
        objective: What to minimise: one for all, or one per member with equal losses.
        build: member -> module. Draw the weights from `stream(member["seed"],
            "initialisation")`; layers that draw from the global CPU generator find it seeded per
            member, and it is restored afterwards. The module is moved to the data's device, and
            to its dtype where that is floating.
        data: (n, ...) shared, or one tensor per member; the lengths may differ.
        members: Mappings with "seed" (int), "lr" (float, positive) and anything that `build`
            reads; see `grid`.
        steps: Number of updates.
        optimiser: The update rule, `adam()` if None.
        capture_every: Keep the weights after every so many updates, in the trajectory.
        capture_from: The first update after which they may be kept: later, only the end is.
        capture: What is kept of them: flattened weights (e, p) -> (e, k), a pure function such as
            a sketch, so that a path that does not fit is never held. All of them if None.
        checkpoint: A file. The state is saved there every `checkpoint_every` updates and at the
            end, atomically; a later call with the same arguments resumes, with results identical
            to the bit.
        checkpoint_every: Updates between two saves.
        progress: Called as (step, steps, mean loss) about 100 times; see `progress_bar`.
        keep_diverged: Return although members diverged: their losses are not finite from some
            step on, and `Run.model` refuses them. The others are not affected.

    Returns:
        The trained ensemble.

    Raises:
        ValueError: If an argument is out of range, the members' modules or draws differ in
            shape, or the checkpoint belongs to another run.
        TypeError: If the loss is not a 0-dim tensor.
        FloatingPointError: If a member's loss or weights stop being finite (looked for every
            100 steps), unless `keep_diverged`.
    """
    members = tuple(members)
    _check_members(members)
    _check_counts(steps, capture_every, capture_from, checkpoint_every)
    if capture is not None and capture_every is None:
        raise ValueError("capture_every must be given with capture, got None")
    objectives = _per_member("objective", objective, Objective, len(members))
    datasets = _per_member("data", data, Tensor, len(members))
    loss, like = objectives[0].loss, datasets[0]
    if any(other.loss != loss for other in objectives):
        raise ValueError("objective: members must have equal losses, only their draws may differ")
    if any((other.dtype, other.device) != (like.dtype, like.device) for other in datasets):
        raise ValueError("data: the members' tensors must have one dtype and one device")
    if not all(len(each) and bool(each.isfinite().all()) for each in datasets):
        raise ValueError("data must be finite, got none or values that are not")

    def streams(name: str) -> list[Generator]:
        return [stream(member["seed"], name, device=like.device) for member in members]

    optimiser = adam() if optimiser is None else optimiser
    modules = [built(build, member, like) for member in members]
    params, constants = stack(modules)
    evaluate = gradients(loss, modules[0], constants)
    rates = torch.tensor([float(m["lr"]) for m in members], dtype=torch.float64).to(like.device)
    generators = streams("draws")
    weights = flatten(params)
    view = weights if capture is None else capture(weights)
    if view.ndim != 2 or len(view) != len(members):
        raise ValueError(f"capture: must give ({len(members)}, k), got {tuple(view.shape)}")
    skipped, snapshots = (
        update // capture_every if capture_every else 0 for update in (capture_from - 1, steps)
    )
    state = {
        "step": 0,
        "params": params,
        "optimiser": optimiser.init(params),
        "losses": weights.new_full((steps, len(members)), torch.nan),
        "trajectory": view.new_full((max(0, snapshots - skipped), *view.shape), torch.nan),
    }

    if checkpoint is not None:
        checkpoint = Path(checkpoint)
        identity = {
            "members": repr([dict(member) for member in members]),
            "steps": steps,
            "capture_every": capture_every,
            "capture_from": capture_from,
            # Its value, for a name may hide a draw, and that of a function is an address.
            "capture": checkpoints.checksum(view) if capture else None,
            "optimiser": optimiser.name,
            "build": checkpoints.checksum((params, constants)),
            "data": checkpoints.checksum(datasets),
            "objective": checkpoints.checksum(_draws(objectives, datasets, streams("trial"))),
        }
        if (saved := checkpoints.load(checkpoint, identity, device=like.device)) is not None:
            for generator, position in zip(generators, saved.pop("generators"), strict=True):
                generator.set_state(position.cpu())
            state = saved

    losses, trajectory = state["losses"], state["trajectory"]
    for step in range(state["step"] + 1, steps + 1):
        samples = _draws(objectives, datasets, generators)
        losses[step - 1], grads = evaluate(state["params"], samples)
        state["params"], state["optimiser"] = optimiser.update(
            state["params"], grads, state["optimiser"], rates
        )
        if optimiser.kick is not None:
            optimiser.kick(state["params"], state["optimiser"], rates, generators)
        state["step"] = step
        if capture_every and step >= capture_from and step % capture_every == 0:
            weights = flatten(state["params"])
            snapshot = weights if capture is None else capture(weights)
            trajectory[step // capture_every - skipped - 1] = snapshot
        if not keep_diverged and step % _CHECK_EVERY == 0:
            _check_finite(losses[:step], state["params"], members)
        if checkpoint is not None and (step % checkpoint_every == 0 or step == steps):
            positions = [generator.get_state() for generator in generators]
            checkpoints.save(checkpoint, identity, state | {"generators": positions})
        if progress is not None and (step % max(1, steps // 100) == 0 or step == steps):
            progress(step, steps, losses[step - 1].nanmean().item())

    if not keep_diverged:
        _check_finite(losses, state["params"], members)
    return Run(state["params"], losses, trajectory if capture_every else None, members, build)


def _check_members(members: Sequence[Member]) -> None:
    if not members:
        raise ValueError("members must not be empty")
    for i, member in enumerate(members):
        if missing := {"seed", "lr"} - set(member):
            raise ValueError(f"members: member {i} has no {', '.join(sorted(missing))}: {member}")
        if not (math.isfinite(member["lr"]) and member["lr"] > 0):
            raise ValueError(f"members: member {i} has lr {member['lr']}, must be positive")


def _check_counts(
    steps: int, capture_every: int | None, capture_from: int, checkpoint_every: int
) -> None:
    counts = {
        "steps": steps,
        "capture_every": capture_every,
        "capture_from": capture_from,
        "checkpoint_every": checkpoint_every,
    }
    for name, count in counts.items():
        if count is not None and not (isinstance(count, Integral) and count >= 1):
            raise ValueError(f"{name} must be at least 1 and whole, got {count!r}")


def _per_member(name: str, value: Any, kind: type, n_members: int) -> list[Any]:  # noqa: ANN401
    """One value for each member: the shared one, or the given ones."""
    values = [value] * n_members if isinstance(value, kind) else list(value)
    if len(values) != n_members or not all(isinstance(each, kind) for each in values):
        raise ValueError(
            f"{name} must be one {kind.__name__} or one per member ({n_members}), "
            f"got {len(values)} of {sorted({type(each).__name__ for each in values})}"
        )
    return values


def _draws(
    objectives: Sequence[Objective], datasets: Sequence[Tensor], streams: Sequence[Generator]
) -> Any:  # noqa: ANN401
    """One sample of each member, stacked."""
    samples = [
        objective.draw(data, generator)
        for objective, data, generator in zip(objectives, datasets, streams, strict=True)
    ]
    try:
        return tree_map(lambda *leaves: torch.stack(leaves), *samples)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"objective: the members' draws differ in shape ({error})") from error


def _check_finite(losses: Tensor, params: Params, members: Sequence[Member]) -> None:
    lost = ~losses.isfinite().all(0)
    broken = lost | ~flatten(params).isfinite().all(1)
    if broken.any():
        reports = []
        for i in broken.nonzero().flatten().tolist():
            bad = (~losses[:, i].isfinite()).nonzero().flatten()
            step = bad[0].item() + 1 if len(bad) else len(losses)
            reports.append(f"member {i} {dict(members[i])} at step {step}")
        raise FloatingPointError(
            f"training diverged: {'; '.join(reports)}; keep_diverged=True keeps the others"
        )
