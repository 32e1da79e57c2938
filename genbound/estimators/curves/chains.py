"""What a chain from each horizon does: its energy, and the density of its end."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from genbound.data import Source
from genbound.estimate import mean
from genbound.estimators import divergence
from genbound.estimators.curves.intervals import Curve, intervals
from genbound.estimators.trajectory import Score, reference_score
from genbound.protocols import ScoreModel
from genbound.sampler import Step, step_mean, time_grid

__all__ = ["model_kl", "model_nll", "path_energy"]


@torch.no_grad()
def path_energy(
    model: ScoreModel,
    horizons: Sequence[float],
    *,
    reference: str | Score,
    d: int,
    paths: int,
    step: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Curve:
    """Path energy of the chains that start at N(0, I) at each horizon.

    The chains run down together, batched, and share starts and noise: a chain joins when its
    horizon is passed. The cost is that of one chain from each horizon.

    Args:
        model: Score model.
        horizons: As for :func:`denoising`.
        reference: As for :func:`genbound.estimators.trajectory.path_energy`, like all that follow.
        d: Dimension.
        paths: Number of independent chains, at least 2.
        step: Largest spacing in the log signal-to-noise ratio (nats).
        generator: Source of all noise, on ``device``.
        dtype: Dtype of the states.
        device: Device of the states.

    Returns:
        Nats; the influences are those of the paths.

    Raises:
        ValueError: If the reference is unknown or the horizons are out of order.
    """
    reference, name = reference_score(reference)
    like = {"generator": generator, "dtype": dtype, "device": device}
    start = torch.randn(1, paths, d, **like)
    state = start[:0]
    energy = torch.zeros(0, paths, dtype=torch.float64, device=device)
    for first, last, _ in reversed(intervals(model, horizons, 1)):
        state = torch.cat([state, start])
        energy = torch.cat([energy, energy.new_zeros(1, paths)])
        times = time_grid(model.process, last, first, step=step).to(device)
        increments = -model.process.clock_of(times).diff()
        for k, increment in enumerate(increments):
            time = times[k].to(state).expand(state.shape[:-1])
            learned = model.score(state, time)
            energy += increment / 2 * (learned - reference(state, time)).square().sum(-1).double()
            centre = step_mean(
                model.process, Step(times[k], times[k + 1], state, learned, increment)
            )
            state = centre + increment.sqrt().to(state) * torch.randn(1, paths, d, **like)
    method = f"path energy against the {name} score, {paths} shared paths"
    return tuple(mean(row, method=method) for row in energy.flip(0))


def model_kl(
    source: Source,
    model: ScoreModel,
    horizons: Sequence[float],
    *,
    n: int,
    paths: int,
    step: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Curve:
    """The measured truth: divergence of the truncated models from the data law at ``t_min``.

    One noising path from each point up to the longest horizon gives the density of the chain
    from every horizon on the way.

    Args:
        source: The law of the data noised to ``model.t_min``.
        model: Score model.
        horizons: As for :func:`denoising`.
        n: Number of points drawn from the source, at least 2.
        paths: Noising paths per point; at least 2.
        step: Largest spacing of the chain in the log signal-to-noise ratio (nats).
        generator: Source of points and noise.
        dtype: Dtype of the points, that of the model's weights.

    Returns:
        Nats, consistent as the paths grow; see :func:`genbound.estimators.divergence.model_kl`.
    """
    points = source.sample(n, generator=generator, dtype=dtype)
    truth = source.log_density(points).double()
    densities = _log_densities(model, points, horizons, paths, step, generator)
    method = f"log density ratio, {paths} shared paths per point"
    return tuple(mean(truth - row, method=method, side="consistent") for row in densities)


def model_nll(
    model: ScoreModel,
    data: Tensor,
    horizons: Sequence[float],
    *,
    paths: int,
    step: float,
    generator: torch.Generator,
) -> Curve:
    """Negative log likelihood of data noised to ``t_min``, under each truncated model.

    Arguments as for :func:`model_kl`, with data of shape ``(n, d)`` in place of a source.

    Returns:
        Nats per datum, consistent as the paths grow.
    """
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
    points = model.process.perturb(data, model.t_min, noise)
    densities = _log_densities(model, points, horizons, paths, step, generator)
    method = f"negative log likelihood at t_min, {paths} shared paths per point"
    return tuple(mean(-row, method=method, side="consistent") for row in densities)


def _log_densities(
    model: ScoreModel,
    points: Tensor,
    horizons: Sequence[float],
    paths: int,
    step: float,
    generator: torch.Generator,
) -> Tensor:
    """Log densities of the chains from each horizon, shape (horizons, n)."""
    if paths < 2:
        raise ValueError(f"paths: got {paths}, allowed is at least 2")
    grids = [
        time_grid(model.process, end, start, step=step).to(points.device)
        for start, end, _ in intervals(model, horizons, 1)
    ]
    times = torch.cat([grids[0], *(grid[:-1] for grid in grids[1:])]).sort(descending=True)[0]
    stops = torch.tensor([len(grid) - 1 for grid in grids]).cumsum(0).tolist()
    block = max(1, divergence.BLOCK_ENTRIES // (paths * points.shape[1]))
    columns = []
    for part in points.split(block):
        ends = part.repeat_interleave(paths, 0)
        running = divergence.running_log_weights(model, ends, times, generator=generator)
        kept = _at(running, stops)
        columns.append(
            torch.stack([divergence.log_mean_weight(each.reshape(-1, paths)) for each in kept])
        )
    return torch.cat(columns, 1)


def _at(running: Iterator[Tensor], stops: Sequence[int]) -> list[Tensor]:
    """The items of an iterator at these counts, from 1."""
    wanted = set(stops)
    return [item for count, item in enumerate(running, start=1) if count in wanted]
