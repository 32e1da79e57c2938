"""The dimension of a cloud of points: from its spanning trees, and from its pairs.

Both read an exponent off finitely many points, so both have a bias that vanishes slowly: no
number of points shows what lies between them.
"""

import math

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from torch import Tensor

from genbound.arguments import Several, declared
from genbound.estimate import Estimate, subsample
from genbound.estimators.trajectory_geometry import distances

__all__ = ["correlation_dimension", "lifetimes_by_size", "ph_dimension"]

# Fewer points than this show no exponent.
FEWEST = 8


@declared
def ph_dimension(
    points: Tensor,
    *,
    generator: torch.Generator,
    alpha: float = 0.5,
    levels: int = 4,
    parts: Several = 5,
) -> Estimate:
    r"""Dimension by persistent homology in degree 0: alpha / (1 - slope).

    The lifetime sum of N points of a set of dimension D grows as ``N^(1 - alpha / D)`` for
    alpha < D. The slope of ``log E^alpha`` over ``log(N - 1)`` is fitted to all points, their
    halves, quarters and so on: N points have N - 1 edges, and for points at equal distances on a
    line this leaves no bias.

    Args:
        points: Shape ``(n, d)``; equal points count as one.
        generator: Source of the order in which the points are divided, on any device.
        alpha: Power, positive; below the dimension, else nothing grows.
        levels: Sizes in the fit, each half of the one before; at least 2.
        parts: Parts of the points that the standard error rests on, at least 2.

    Returns:
        The dimension of all points, ``consistent`` for independent draws from a regular law. The
        error is the spread over disjoint parts of the points, taken as independent: iterates of
        one run are not, so over runs take :func:`genbound.estimate.across`. It does not cover the
        bias of finitely many points. ``inf`` where the sum grows as fast as the points or faster.

    Raises:
        ValueError: If an option is out of range, or there are too few different points for the
            smallest size of a part.

    Reference:
        Adams et al. 2020; Schweinhart 2020; for training, Birdal, Lou, Guibas and Simsekli 2021.
    """
    if not alpha > 0:
        raise ValueError(f"alpha: got {alpha}, allowed is alpha > 0")
    if levels < 2:
        raise ValueError(f"levels: got {levels}, allowed is at least 2")
    separations = _different(points)
    _check_size(separations, parts, 2 ** (levels - 1))

    def dimension(order: Tensor) -> float:
        edges, sums = _growth(separations[np.ix_(order, order)], alpha, levels)
        slope = np.polyfit(np.log(edges), np.log(sums), 1)[0]
        return float(alpha / (1 - slope)) if slope < 1 else math.inf

    order = torch.randperm(len(separations), generator=generator, device=generator.device).cpu()
    method = f"spanning trees, alpha={alpha:g}, {levels} sizes up to {len(order)}"
    return subsample(dimension, order, parts=parts, method=method, side="consistent")


@declared
def lifetimes_by_size(
    points: Tensor, *, generator: torch.Generator, alpha: float = 0.5, levels: int = 4
) -> tuple[Tensor, Tensor]:
    """What :func:`ph_dimension` fits a line to, on logarithmic axes.

    Args:
        points: As for :func:`ph_dimension`, like all that follow.
        generator: Source of the order.
        alpha: Power.
        levels: Sizes.

    Returns:
        Numbers of edges, one less than the points, and mean lifetime sums over the disjoint parts
        of that size, each ``(levels,)``.

    Raises:
        ValueError: If there are too few different points.
    """
    separations = _different(points)
    _check_size(separations, 1, 2 ** (levels - 1))
    order = torch.randperm(len(separations), generator=generator, device=generator.device).cpu()
    found = _growth(separations[np.ix_(order, order)], alpha, levels)
    return tuple(torch.as_tensor(part) for part in found)


@declared
def correlation_dimension(
    points: Tensor,
    *,
    generator: torch.Generator,
    shares: tuple[float, float] = (0.005, 0.1),
    parts: Several = 5,
) -> Estimate:
    """Correlation dimension: how the share of pairs nearer than a radius grows with the radius.

    Between the radii below which two given shares of all pairs lie,
    ``D = log(share_2 / share_1) / log(radius_2 / radius_1)``.

    Args:
        points: Shape ``(n, d)``; equal points count as one.
        generator: Source of the order in which the points are divided, on any device.
        shares: The two shares, increasing, in (0, 1).
        parts: Parts of the points that the standard error rests on, at least 2.

    Returns:
        The dimension; the error as for :func:`ph_dimension`. It never exceeds the Hausdorff
        dimension in the limit, and is smaller for a law that is not evenly spread.

    Raises:
        ValueError: If an option is out of range or there are too few different points.

    Reference:
        Grassberger and Procaccia 1983.
    """
    low, high = shares
    if not 0 < low < high < 1:
        raise ValueError(f"shares: got {shares}, allowed are two increasing numbers in (0, 1)")
    separations = _different(points)
    _check_size(separations, parts, 1)
    fewest = len(separations) // parts
    if low * fewest * (fewest - 1) / 2 < 1:
        raise ValueError(f"shares: got {low}, of which no pair of a part of {fewest} is left")

    def dimension(order: Tensor) -> float:
        inside = separations[np.ix_(order, order)]
        radii = np.quantile(inside[np.triu_indices(len(order), 1)], shares)
        return float(math.log(high / low) / math.log(radii[1] / radii[0]))

    order = torch.randperm(len(separations), generator=generator, device=generator.device).cpu()
    method = f"pairs, shares {low:g} to {high:g} of {len(order)} points"
    return subsample(dimension, order, parts=parts, method=method, side="consistent")


def _different(points: Tensor) -> np.ndarray:
    """Distances between the different points."""
    separations = distances(points)
    indices = torch.arange(len(separations), device=separations.device)
    kept = (separations == 0).int().argmax(1) == indices
    return separations[kept][:, kept].cpu().numpy()


def _growth(separations: np.ndarray, alpha: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of edges, and mean lifetime sums over the disjoint parts of each size."""
    edges, sums = [], []
    for level in range(levels):
        count = 2**level
        size = len(separations) // count
        parts = [slice(k * size, (k + 1) * size) for k in range(count)]
        edges.append(size - 1)
        sums.append(np.mean([_lifetime_sum(separations[part, part], alpha) for part in parts]))
    return np.array(edges, dtype=float), np.array(sums)


def _lifetime_sum(separations: np.ndarray, alpha: float) -> float:
    # Heights of single linkage are the edges of the spanning tree.
    pairs = separations[np.triu_indices(len(separations), 1)]
    return float((linkage(pairs, "single")[:, 2] ** alpha).sum())


def _check_size(separations: np.ndarray, parts: int, divisor: int) -> None:
    need = FEWEST * max(parts, 1) * divisor
    if len(separations) < need:
        raise ValueError(
            f"points: got {len(separations)} different ones, allowed are {need} or more for "
            f"{parts} parts and a smallest size of {FEWEST}"
        )
