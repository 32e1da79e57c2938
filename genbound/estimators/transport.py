"""Wasserstein distances between samples, by exact and by sliced optimal transport."""

import ot
import torch
from torch import Generator, Tensor

from genbound.arguments import Count, Sample, declared
from genbound.estimate import Estimate, mean, subsample

__all__ = ["distance_to_point", "sliced", "wasserstein1"]

# Pivots of the network simplex; it stops far earlier unless the samples are of tens of thousands.
PIVOTS = 10**7


@declared
def wasserstein1(first: Sample, second: Sample, *, parts: int = 4) -> Estimate:
    """Euclidean Wasserstein-1 distance between two samples, exactly.

    ``min over couplings of sum_ij c_ij |x_i - y_j|``, by network simplex (d = 1: by sorting).
    The distance is a largest difference of means, hence convex in both laws: that of two samples
    exceeds, in the mean, that of the laws they were drawn from. The excess is of order
    ``n^(-1/d)`` for d > 2; two samples of one law show its size.

    Args:
        first: Independent points, shape ``(n, d)``.
        second: Independent points, shape ``(m, d)``.
        parts: Disjoint parts of both samples whose spread gives the standard error.

    Returns:
        In the unit of the points; side ``upper``. The time grows as the cube of the sizes.

    Raises:
        ValueError: If the samples are no matrices over the same space, or ``parts`` is below 2 or
            above the smaller size.

    Reference:
        Peyre and Cuturi 2019; Villani 2009, theorem 4.8 for the convexity.
    """
    _check(first, second, parts)
    method = "exact transport" if first.shape[1] > 1 else "exact transport by sorting"
    return subsample(_cost, first, second, parts=parts, method=method, side="upper")


@declared
def sliced(
    first: Sample, second: Sample, *, directions: int, generator: Generator, parts: int = 4
) -> Estimate:
    """Mean over directions of the Wasserstein-1 distance of the projections.

    Never above the distance in space; without its curse of dimension, in time ``n log n``.

    Args:
        first: Independent points, shape ``(n, d)``.
        second: Independent points, shape ``(m, d)``.
        directions: Number of unit vectors, drawn uniformly.
        generator: Source of the directions, on the device of the points.
        parts: As for :func:`wasserstein1`; all parts share the directions, whose choice adds no
            error here: the distance is the one along these directions.

    Returns:
        In the unit of the points; side ``upper`` for the laws along these directions.

    Raises:
        ValueError: As for :func:`wasserstein1`, or if ``directions`` is below 1.

    Reference:
        Bonneel, Rabin, Peyre and Pfister 2015.
    """
    _check(first, second, parts)
    if directions < 1:
        raise ValueError(f"directions: got {directions}, allowed is at least 1")
    like = {"dtype": first.dtype, "device": first.device}
    axes = torch.randn(first.shape[1], directions, generator=generator, **like)
    axes = axes / axes.norm(dim=0)
    return subsample(
        lambda x, y: float(ot.wasserstein_1d(x @ axes, y @ axes, p=1).mean()),
        first,
        second,
        parts=parts,
        method=f"transport along {directions} directions",
        side="upper",
    )


@declared
def distance_to_point(data: Sample, *, rounds: Count = 100) -> Estimate:
    """Wasserstein-1 distance between the data and the best single point, their median.

    ``min_y mean_i |x_i - y|`` by Weiszfeld's iteration: what a generator gets that always says
    the same.

    Args:
        data: Points, shape ``(n, d)``, n >= 2.
        rounds: Iterations, from the mean.

    Returns:
        In the unit of the points; ``lower`` for the law of the data, as a least mean.

    Raises:
        ValueError: If ``data`` is no matrix of two or more rows.

    Reference:
        Weiszfeld 1937.
    """
    points = data.double()
    centre = points.mean(0)
    tiny = torch.finfo(torch.float64).eps * (1 + float(points.abs().max()))
    for _ in range(rounds):
        weights = 1 / (points - centre).norm(dim=1, keepdim=True).clamp_min(tiny)
        centre = (weights * points).sum(0) / weights.sum()
    return mean((points - centre).norm(dim=1), method="distance to the median", side="lower")


def _cost(first: Tensor, second: Tensor) -> float:
    first, second = first.detach().double(), second.detach().double()
    if first.shape[1] == 1:
        return float(ot.wasserstein_1d(first, second, p=1)[0])
    costs = torch.cdist(first, second).cpu().numpy()
    return float(ot.emd2([], [], costs, numItermax=PIVOTS))


def _check(first: Tensor, second: Tensor, parts: int) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"first, second: got shapes {tuple(first.shape)} and {tuple(second.shape)}, "
            "allowed are (n, d) and (m, d)"
        )
    smaller = min(len(first), len(second))
    if not 2 <= parts <= smaller:
        raise ValueError(f"parts: got {parts}, allowed are 2..{smaller}")
