"""Does a quantity rank trained models as their gaps do? Kendall's tau over a grid, and granulated.

A grid of hyper-parameters trains one model per setting and seed. Ranks are compared within a seed
only: runs of one seed share their data, and a pair of runs from two seeds would also see how the
samples differ. Each seed gives one coefficient; the estimates are their means over seeds. What is
left when a baseline is known (:func:`partial`), and when no hyper-parameter differs at all
(:func:`between_seeds`), are questions of their own.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from genbound.arguments import declared
from genbound.estimate import mean
from genbound.estimators.ranks import (
    RankCorrelation,
    check,
    mean_over_seeds,
    tau,
    taus,
    with_interval,
)

__all__ = [
    "RankCorrelation",
    "along",
    "between_seeds",
    "granulated",
    "kendall",
    "partial",
    "tau",
]


@declared
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
    _check_grid(quantity, gap=gap)
    per_seed = taus(quantity.flatten(1), gap.flatten(1))
    return mean_over_seeds(per_seed, "tau over all settings", resamples, level, generator)


@declared
def along(
    quantity: Tensor,
    gap: Tensor,
    *,
    axis: int | Sequence[int],
    resamples: int,
    generator: Generator,
    level: float = 0.95,
) -> RankCorrelation:
    """Tau with one hyper-parameter varying, the mean over all settings of the others.

    Args:
        quantity: As for :func:`kendall`, like all that follow.
        gap: What is to be ranked.
        axis: Which axis of the grid varies, from 0 on; the seeds don't count. Several: all these
            vary, and what is held fixed are the others. In a grid of learning rate x batch size
            the coefficient along the rate tells what a quantity says beyond the batch size.
        resamples: Bootstrap resamples of the seeds.
        generator: Source of the resampling.
        level: Of the interval.

    Returns:
        The coefficient psi of this hyper-parameter.

    Raises:
        ValueError: As :func:`kendall`, or if the grid has no such axis, or no axis is given.

    Reference:
        Jiang, Neyshabur, Mobahi, Krishnan and Bengio 2020, section 4.
    """
    _check_grid(quantity, gap=gap)
    axes = [axis] if isinstance(axis, int) else sorted(set(axis))
    if not axes or not all(0 <= each < quantity.ndim - 1 for each in axes):
        raise ValueError(f"axis: got {axis}, allowed are 0..{quantity.ndim - 2}")
    per_seed = _lines(quantity, gap, [each + 1 for each in axes])
    what = f"tau along axis {', '.join(map(str, axes))}"
    return mean_over_seeds(per_seed, what, resamples, level, generator)


@declared
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
    _check_grid(quantity, gap=gap)
    axes = [_lines(quantity, gap, [axis]) for axis in range(1, quantity.ndim)]
    per_seed = torch.stack(axes).mean(0)
    return mean_over_seeds(per_seed, "granulated tau", resamples, level, generator)


@declared
def partial(
    quantity: Tensor,
    gap: Tensor,
    baseline: Tensor,
    *,
    resamples: int,
    generator: Generator,
    level: float = 0.95,
) -> RankCorrelation:
    """Tau over all settings when a baseline is known: what the quantity says beyond it.

    Of normal pairs with correlation r, tau is ``2 asin(r) / pi``. So the three taus become
    correlations, these the partial correlation ``(r_qg - r_qb r_gb) / sqrt((1 - r_qb^2)
    (1 - r_gb^2))``, and that a tau again. It is 0 where quantity and gap are independent given
    the baseline and all three are, in monotone scales, jointly normal. (Kendall's own partial
    tau, which puts the taus themselves into the formula, is not: with two correlations of 0.8 it
    gives 0.14 for nothing.) From 9 settings it is biased by some hundredths downwards, from 16 on
    no more. The law has no ties, and ties are refused: for a baseline that is a hyper-parameter,
    :func:`along` the others answers the question, and needs no law at all.

    Args:
        quantity: As for :func:`kendall`, like all that follow.
        gap: What is to be ranked.
        baseline: What is known before, of the same shape.
        resamples: Bootstrap resamples of the seeds.
        generator: Source of the resampling.
        level: Of the interval.

    Returns:
        The coefficient. A seed where the baseline ranks like the quantity, or like the gap, adds
        0: nothing is left there.

    Raises:
        ValueError: As :func:`kendall`, or if a seed has equal values.

    Reference:
        Liu, Han, Yuan, Lafferty and Wasserman 2012, for correlations from ranks.
    """
    _check_grid(quantity, gap=gap, baseline=baseline)
    quantity, gap, baseline = (part.flatten(1) for part in (quantity, gap, baseline))
    for name, values in {"quantity": quantity, "gap": gap, "baseline": baseline}.items():
        if bool((values.sort(1).values.diff(dim=1) == 0).any()):
            raise ValueError(f"{name}: got equal values, allowed are different ones; see `along`")
    pairs = ((quantity, gap), (quantity, baseline), (gap, baseline))
    both, first, second = (torch.sin(taus(*pair) * math.pi / 2) for pair in pairs)
    left = ((1 - first**2) * (1 - second**2)).sqrt()
    rest = torch.where(left > 1e-9, (both - first * second) / left.clamp_min(1e-9), 0.0)
    per_seed = torch.asin(rest.clamp(-1, 1)) * 2 / math.pi
    return mean_over_seeds(per_seed, "tau given a baseline", resamples, level, generator)


@declared
def between_seeds(
    quantity: Tensor, gap: Tensor, *, resamples: int, generator: Generator, level: float = 0.95
) -> RankCorrelation:
    """Tau over the seeds of each setting, the mean over settings: no hyper-parameter differs.

    Args:
        quantity: As for :func:`kendall`, like all that follow; at least three seeds.
        gap: What is to be ranked.
        resamples: Bootstrap resamples of the seeds' influences.
        generator: Source of the resampling.
        level: Of the interval.

    Returns:
        The coefficient; the error is that of the jackknife, which leaves out one seed of all
        settings, for the settings share it. It errs to the safe side: with eight seeds it was a
        third too large.

    Raises:
        ValueError: As :func:`kendall`, or if there are fewer than three seeds.
    """
    _check_grid(quantity, gap=gap)
    seeds = len(quantity)
    if seeds < 3:
        raise ValueError(f"quantity: got {seeds} seeds, allowed are at least 3")
    quantity, gap = (part.flatten(1).mT for part in (quantity, gap))

    def without(seed: int | None) -> Tensor:
        kept = [k for k in range(seeds) if k != seed]
        return taus(quantity[:, kept], gap[:, kept]).mean()

    left_out = torch.stack([without(seed) for seed in range(seeds)])
    effects = (seeds - 1) * (left_out.mean() - left_out)
    found = mean(effects + without(None), method=f"tau between {seeds} seeds, mean over settings")
    return with_interval(found, resamples, level, generator)


def _lines(quantity: Tensor, gap: Tensor, axes: Sequence[int]) -> Tensor:
    """Mean over the others of the coefficients of all these axes, for each seed, (seeds,)."""
    last = tuple(range(-len(axes), 0))
    count = math.prod(quantity.shape[axis] for axis in axes)
    moved = (part.movedim(tuple(axes), last) for part in (quantity, gap))
    return taus(*(part.reshape(len(part), -1, count) for part in moved)).mean(1)


def _check_grid(quantity: Tensor, **others: Tensor) -> None:
    shape = tuple(quantity.shape)
    if len(shape) < 2 or shape[0] < 2:
        raise ValueError(f"quantity: got shape {shape}, allowed is (seeds, *grid), seeds >= 2")
    if short := [axis - 1 for axis in range(1, len(shape)) if shape[axis] < 2]:
        raise ValueError(
            f"quantity: got {shape[1 + short[0]]} value along axis {short[0]} of the grid, "
            "which ranks nothing; allowed are at least 2"
        )
    check(quantity, **others)
