"""Does a quantity rank trained models as their gaps do? Kendall's tau over a grid, and granulated.

A grid of hyper-parameters trains one model per setting and seed. Ranks are compared within a seed
only: runs of one seed share their data, and a pair of runs from two seeds would also see how the
samples differ. Each seed gives one coefficient; the estimates are their means over seeds.
"""

from typing import NamedTuple

import torch
from scipy import stats
from torch import Generator, Tensor

from genbound.estimate import Estimate, mean

__all__ = ["RankCorrelation", "along", "granulated", "kendall", "tau"]


class RankCorrelation(NamedTuple):
    """A coefficient in [-1, 1] and how far it would move with other seeds.

    Attributes:
        estimate: Mean over seeds, unbiased for the mean coefficient of one seed. Its influences
            are those of the seeds, so that two quantities held against the same gaps can be
            compared seed by seed (:func:`genbound.estimate.combine`).
        low: Low end of the bootstrap interval over seeds.
        high: High end.
    """

    estimate: Estimate
    low: float
    high: float


def tau(quantity: Tensor, gap: Tensor) -> float:
    """Kendall's tau-b of two lists: the share of ordered pairs less that of reversed ones.

    Ties count for neither; tau-b divides by the pairs that are tied in neither list. A list of
    one value ranks nothing: its coefficient is 0, as in the definition of the granulated
    coefficient, where a tied pair adds 0.

    Args:
        quantity: What should rank, shape ``(k,)``, k >= 2.
        gap: What is to be ranked, shape ``(k,)``.

    Returns:
        The coefficient, in [-1, 1].

    Raises:
        ValueError: If the lists are no vectors of one length k >= 2, or a value is not finite.

    Reference:
        Kendall 1945.
    """
    if quantity.ndim != 1 or len(quantity) < 2:
        raise ValueError(f"quantity: got shape {tuple(quantity.shape)}, allowed is (k,), k >= 2")
    _check(quantity, gap)
    return _tau(quantity, gap)


def kendall(
    quantity: Tensor, gap: Tensor, *, resamples: int, generator: Generator, level: float = 0.95
) -> RankCorrelation:
    """Kendall's tau over all settings of the grid, the mean over seeds.

    Where several hyper-parameters move both the quantity and the gap it may be large although
    none of them alone is followed; :func:`granulated` sees that.

    Args:
        quantity: What should rank, shape ``(seeds, *grid)``: at least two seeds, and a grid of
            one or more axes of at least two values each.
        gap: What is to be ranked, of the same shape.
        resamples: Bootstrap resamples of the seeds, at least 2.
        generator: Source of the resampling, on any device.
        level: Of the interval, in (0, 1).

    Returns:
        The coefficient.

    Raises:
        ValueError: If the shapes don't fit, an axis has one value only, a value is not finite
            (leave out settings whose training diverged), or an option is out of range.

    Reference:
        Kendall 1945.
    """
    _check_grid(quantity, gap)
    per_seed = _lines(quantity.flatten(1), gap.flatten(1), axis=1)
    return _over_seeds(per_seed, "tau over all settings", resamples, level, generator)


def along(
    quantity: Tensor,
    gap: Tensor,
    *,
    axis: int,
    resamples: int,
    generator: Generator,
    level: float = 0.95,
) -> RankCorrelation:
    """Tau with one hyper-parameter varying, the mean over all settings of the others.

    Args:
        quantity: As for :func:`kendall`, like all that follow.
        gap: What is to be ranked.
        axis: Which axis of the grid varies, from 0 on; the seeds don't count.
        resamples: Bootstrap resamples of the seeds.
        generator: Source of the resampling.
        level: Of the interval.

    Returns:
        The coefficient psi of this hyper-parameter.

    Raises:
        ValueError: As :func:`kendall`, or if the grid has no such axis.

    Reference:
        Jiang, Neyshabur, Mobahi, Krishnan and Bengio 2020, section 4.
    """
    _check_grid(quantity, gap)
    if not 0 <= axis < quantity.ndim - 1:
        raise ValueError(f"axis: got {axis}, allowed are 0..{quantity.ndim - 2}")
    per_seed = _lines(quantity, gap, axis=axis + 1)
    return _over_seeds(per_seed, f"tau along axis {axis}", resamples, level, generator)


def granulated(
    quantity: Tensor, gap: Tensor, *, resamples: int, generator: Generator, level: float = 0.95
) -> RankCorrelation:
    """The granulated Kendall coefficient: the mean over hyper-parameters of :func:`along`.

    Two runs are compared only if they differ in one hyper-parameter. So a quantity that follows
    one of them, whatever the gap does, can't pass for one that follows the gap.

    Args:
        quantity: As for :func:`kendall`, like all that follow.
        gap: What is to be ranked.
        resamples: Bootstrap resamples of the seeds.
        generator: Source of the resampling.
        level: Of the interval.

    Returns:
        The coefficient Psi.

    Raises:
        ValueError: As :func:`kendall`.

    Reference:
        Jiang, Neyshabur, Mobahi, Krishnan and Bengio 2020, section 4.
    """
    _check_grid(quantity, gap)
    axes = [_lines(quantity, gap, axis=axis) for axis in range(1, quantity.ndim)]
    per_seed = torch.stack(axes).mean(0)
    return _over_seeds(per_seed, "granulated tau", resamples, level, generator)


def _lines(quantity: Tensor, gap: Tensor, *, axis: int) -> Tensor:
    """Mean over all lines along an axis of their coefficients, for each seed, shape (seeds,)."""
    count = quantity.shape[axis]
    pairs = zip(
        quantity.movedim(axis, -1).reshape(-1, count),
        gap.movedim(axis, -1).reshape(-1, count),
        strict=True,
    )
    values = torch.tensor([_tau(first, second) for first, second in pairs], dtype=torch.float64)
    return values.reshape(len(quantity), -1).mean(1)


def _tau(quantity: Tensor, gap: Tensor) -> float:
    if (quantity == quantity[0]).all() or (gap == gap[0]).all():
        return 0.0
    found = stats.kendalltau(quantity.detach().cpu().numpy(), gap.detach().cpu().numpy())
    return float(found.statistic)


def _over_seeds(
    per_seed: Tensor, what: str, resamples: int, level: float, generator: Generator
) -> RankCorrelation:
    if resamples < 2:
        raise ValueError(f"resamples: got {resamples}, allowed is at least 2")
    if not 0 < level < 1:
        raise ValueError(f"level: got {level}, allowed is 0 < level < 1")
    seeds = len(per_seed)
    estimate = mean(per_seed, method=f"{what}, mean over {seeds} seeds")
    chosen = torch.randint(
        seeds, (resamples, seeds), generator=generator, device=generator.device
    ).cpu()
    # A resample has variance (seeds - 1) / seeds of the sample's.
    moves = estimate.influence[chosen].mean(1) * (seeds / (seeds - 1)) ** 0.5
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = (estimate.value + moves.quantile(ends)).clamp(-1, 1).tolist()
    return RankCorrelation(estimate, low, high)


def _check_grid(quantity: Tensor, gap: Tensor) -> None:
    shape = tuple(quantity.shape)
    if len(shape) < 2 or shape[0] < 2:
        raise ValueError(f"quantity: got shape {shape}, allowed is (seeds, *grid), seeds >= 2")
    if short := [axis - 1 for axis in range(1, len(shape)) if shape[axis] < 2]:
        raise ValueError(
            f"quantity: got {shape[1 + short[0]]} value along axis {short[0]} of the grid, "
            "which ranks nothing; allowed are at least 2"
        )
    _check(quantity, gap)


def _check(quantity: Tensor, gap: Tensor) -> None:
    if gap.shape != quantity.shape:
        raise ValueError(f"gap: got shape {tuple(gap.shape)}, allowed is {tuple(quantity.shape)}")
    for name, values in {"quantity": quantity, "gap": gap}.items():
        if lost := int((~values.isfinite()).sum()):
            raise ValueError(f"{name}: got {lost} values that are not finite")
