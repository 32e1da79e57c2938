"""How steep a learned score is, and what becomes of the errors that its reverse process carries.

The slope of a score is its one-sided Lipschitz constant, the supremum over the space of the
largest eigenvalue of its symmetrised Jacobian. A supremum can be known (of a normal law, of two
bumps, of points in a ball: :mod:`genbound.derivations.score_slope`), but samples only show it from
below: what is measured here is a diagnosis and no certificate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from genbound.arguments import Sample, declared
from genbound.protocols import ScoreModel
from genbound.sde import LinearSDE

__all__ = ["Course", "MeasuredSlope", "Slope", "course", "largest", "measured"]

Slope = Callable[[Tensor], Tensor]


class Course(NamedTuple):
    r"""An interval of diffusion times in cells that are equal in the log signal-to-noise ratio.

    Attributes:
        time: Middle of each cell, from ``t_min`` to the horizon, shape ``(levels,)``.
        clock: Clock ``int g^2 dt`` of each cell, shape ``(levels,)``.
        gain: ``A = exp int (1/2 + slope) db`` from ``t_min`` to the middle of each cell.
        total_gain: The same to the horizon, 0-dim.
    """

    time: Tensor
    clock: Tensor
    gain: Tensor
    total_gain: Tensor


@dataclass(frozen=True, eq=False)
class MeasuredSlope:
    """The largest slopes found at sampled points, a lower estimate of the true ones.

    Attributes:
        process: Noising process.
        log_snr: Increasing log signal-to-noise ratios, shape ``(levels,)``.
        slopes: The largest found at each, shape ``(levels,)``.
        points: Number of points looked at, at each level.
    """

    process: LinearSDE
    log_snr: Tensor
    slopes: Tensor
    points: int

    def __call__(self, time: Tensor) -> Tensor:
        """Slopes at times (any shape), interpolated in the log signal-to-noise ratio."""
        wanted = self.process.log_snr_of(time).double().cpu().numpy()
        found = np.interp(wanted, self.log_snr.numpy(), self.slopes.numpy())
        return torch.as_tensor(found, dtype=torch.float64)


@declared
def largest(score: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Largest eigenvalue of the symmetrised Jacobian of a field.

    Args:
        score: Map of one point ``(d,)`` to one vector ``(d,)``, differentiable.
        points: Shape ``(n, d)``.

    Returns:
        Shape ``(n,)``. It costs d backward passes for each point and n matrices of d x d.

    Raises:
        ValueError: If ``points`` is no matrix.
    """
    if points.ndim != 2:
        raise ValueError(f"points: got shape {tuple(points.shape)}, allowed is (n, d)")
    jacobians = vmap(jacrev(score))(points)
    return torch.linalg.eigvalsh((jacobians + jacobians.mT) / 2)[:, -1]


@declared
def measured(
    model: ScoreModel,
    data: Sample,
    *,
    levels: int = 48,
    points: int = 256,
    generator: torch.Generator,
) -> MeasuredSlope:
    """Look for steep places of a learned score.

    Half of the points at each noise level are noised data; the other half lies between two of
    them, at a uniformly drawn share of the way, since the steepest places of a multimodal score
    are between its modes, where data do not lie but coupled paths may pass.

    Args:
        model: Score model.
        data: Shape ``(n, d)``, n >= 2.
        levels: Noise levels, evenly spaced in the log signal-to-noise ratio; at least 2.
        points: Points at each level, even.
        generator: Source of points and noise, on the device of ``data``.

    Returns:
        The slopes. They err downwards: a supremum over all points is not seen from some.

    Raises:
        ValueError: If data are no matrix of two or more rows, or a number is out of range.
    """
    if levels < 2 or points < 2 or points % 2:
        raise ValueError(
            f"levels, points: got {levels} and {points}, allowed are 2 or more, points even"
        )
    process = model.process
    ends = [float(process.log_snr_of(time)) for time in (model.horizon, model.t_min)]
    log_snr = torch.linspace(*ends, levels, dtype=torch.float64)
    times = process.time_of(log_snr)
    times[0], times[-1] = model.horizon, model.t_min

    def draw(*size: int) -> Tensor:
        index = torch.randint(len(data), size, generator=generator, device=data.device)
        return data[index]

    found = []
    for time in times:
        at = time.to(data)
        picked = draw(2 * points)
        noise = torch.randn(
            picked.shape, generator=generator, dtype=data.dtype, device=data.device
        )
        first, second = process.perturb(picked, at, noise).split(points)
        share = torch.rand(points, 1, generator=generator, dtype=data.dtype, device=data.device)
        share[: points // 2] = 0
        places = first + share * (second - first)
        found.append(largest(lambda point, at=at: model.score(point, at), places).max())
    return MeasuredSlope(process, log_snr, torch.stack(found).detach().double().cpu(), points)


@declared
def course(
    process: LinearSDE, slope: Slope, *, horizon: float, t_min: float, levels: int = 64
) -> Course:
    """Integrate a slope along the clock, by the midpoint rule.

    Args:
        process: Noising process, variance preserving.
        slope: Times ``(levels,)`` to slopes ``(levels,)``.
        horizon: Largest time.
        t_min: Smallest time, positive.
        levels: Cells; the error falls with their square.

    Returns:
        Times, clock and gains, float64 on the CPU. A gain beyond the largest number is infinite.

    Raises:
        ValueError: If ``0 < t_min < horizon`` fails, there is no cell, or the process does not
            preserve variance.
    """
    if not process.preserves_variance:
        raise ValueError(f"process: got {process.name}, allowed are those that preserve variance")
    if not 0 < t_min < horizon:
        raise ValueError(f"t_min: got {t_min}, allowed is 0 < t_min < horizon = {horizon}")
    if levels < 1:
        raise ValueError(f"levels: got {levels}, allowed is at least 1")
    ends = [float(process.log_snr_of(time)) for time in (t_min, horizon)]
    log_snr = torch.linspace(*ends, 2 * levels + 1, dtype=torch.float64)
    times = process.time_of(log_snr)
    times[0], times[-1] = t_min, horizon
    clock = process.clock_of(times)
    rate = 0.5 + torch.as_tensor(slope(times[1::2]), dtype=torch.float64).cpu()
    cells, before = clock[2::2] - clock[:-2:2], clock[1::2] - clock[:-2:2]
    exponent = (rate * cells).cumsum(0)
    middle = exponent - rate * (cells - before)
    return Course(times[1::2], cells, middle.exp(), exponent[-1].exp())
