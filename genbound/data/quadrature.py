"""Expectations under isotropic Gaussian mixtures of low rank, by Gauss-Hermite quadrature.

Around the affine span of its centres such a mixture is plain Gaussian noise, so a mixture in any
dimension whose centres span a line or a plane is a one- or two-dimensional problem.
"""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from genbound import mixtures
from genbound.estimate import Estimate

__all__ = ["LARGEST_RANK", "affordable_order", "coordinates", "entropy", "kl", "standard_nodes"]

LARGEST_RANK = 2
ORDERS = (12, 128)
# pairs of a quadrature node and a component: about a second on one core
BUDGET = 2**26


def coordinates(centres: Tensor) -> Tensor:
    """Coordinates of points in their affine span.

    Args:
        centres: Shape ``(k, d)``.

    Returns:
        Shape ``(k, r)`` with r the rank of the centred points; all distances are kept.
    """
    centred = centres - centres.mean(0)
    left, scales, _ = torch.linalg.svd(centred, full_matrices=False)
    rank = int((scales > 1e-12 * max(1.0, float(centres.abs().max()))).sum())
    return left[:, :rank] * scales[:rank]


def affordable_order(components: int, rank: int) -> int | None:
    """Number of nodes per axis that the budget allows, or ``None`` if too few or rank too high."""
    if rank > LARGEST_RANK:
        return None
    order = int((BUDGET / components**2) ** (1 / max(rank, 1)))
    return None if order < ORDERS[0] else min(order, ORDERS[1])


@functools.cache
def standard_nodes(order: int, d: int) -> tuple[Tensor, Tensor]:
    """Nodes ``(q, d)`` and weights ``(q,)`` of N(0, I), ``order`` per axis.

    Those whose weight can't be seen in float64 would only cost time and are left out.
    """
    line, line_weights = np.polynomial.hermite_e.hermegauss(order)
    nodes = np.array(list(itertools.product(line, repeat=d))).reshape(order**d, d)
    shares = [line_weights / line_weights.sum()] * d
    weights = functools.reduce(np.multiply.outer, shares, np.ones(())).ravel()
    kept = weights > 1e-20
    weights = weights[kept] / weights[kept].sum()
    return torch.as_tensor(nodes[kept]), torch.as_tensor(weights)


def entropy(
    places: Tensor, variance: float, log_weights: Tensor, *, d: int, order: int
) -> Estimate:
    """Differential entropy of a mixture in dimension ``d``.

    Args:
        places: Coordinates of the centres in their span, shape ``(k, r)``.
        variance: Variance of each component, positive.
        log_weights: Shape ``(k,)``.
        d: Dimension of the space, at least r.
        order: Nodes per axis.

    Returns:
        Entropy in nats; the error is the change from two thirds of the nodes to all of them.
    """
    beside = (d - places.shape[1]) / 2 * math.log(2 * math.pi * math.e * variance)

    def value(order: int) -> float:
        nodes, weights = _nodes(places, variance, log_weights, order)
        surprise = -mixtures.log_density(nodes, places, variance, log_weights)
        return float((weights * surprise).sum()) + beside

    return _two_orders(value, order)


def kl(
    first: tuple[Tensor, float, Tensor],
    second: tuple[Tensor, float, Tensor],
    *,
    d: int,
    order: int,
) -> Estimate:
    """Divergence ``KL(first || second)`` of two mixtures with a common span.

    Args:
        first: Coordinates ``(k, r)``, variance, log weights ``(k,)``.
        second: The same, in the same coordinates.
        d: Dimension of the space, at least r.
        order: Nodes per axis.

    Returns:
        Divergence in nats; the error is the change from two thirds of the nodes to all of them.
    """
    ratio = first[1] / second[1]
    beside = (d - first[0].shape[1]) / 2 * (ratio - 1 - math.log(ratio))

    def value(order: int) -> float:
        nodes, weights = _nodes(*first, order)
        gain = mixtures.log_density(nodes, *first) - mixtures.log_density(nodes, *second)
        return float((weights * gain).sum()) + beside

    return _two_orders(value, order)


def _nodes(
    places: Tensor, variance: float, log_weights: Tensor, order: int
) -> tuple[Tensor, Tensor]:
    """Nodes ``(q, r)`` and weights ``(q,)`` of the expectation under a mixture."""
    noise, weights = (part.to(places) for part in standard_nodes(order, places.shape[1]))
    nodes = places.unsqueeze(1) + math.sqrt(variance) * noise
    return nodes.flatten(0, 1), (log_weights.exp().unsqueeze(-1) * weights).flatten()


def _two_orders(value: Callable[[int], float], order: int) -> Estimate:
    fine = value(order)
    coarse = value(2 * order // 3)
    method = f"Gauss-Hermite quadrature, {order} nodes per axis; error from {2 * order // 3} nodes"
    return Estimate(fine, abs(fine - coarse), 0, method, "consistent")
