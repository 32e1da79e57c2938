"""Isotropic Gaussian mixtures, exactly and in blocks.

The law of noised data is a mixture with one component per datum, so its log density and its score
are sums over all data. They are written with matrix products: no array of shape ``(n, k, d)``
ever exists, and blocks of points bound the array of shape ``(n, k)``.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["log_density", "score", "squared_distances"]

# Entries of one (block, k) array of float64: 2 MB stay in a cache, and measured twice as fast as
# arrays of 32 MB.
BLOCK_ENTRIES = 2**18
# A component this far (nats) below the largest adds nothing, but its exponential would be
# denormal, which costs ten times an ordinary one.
NEGLIGIBLE = 700.0


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """All squared distances ``||x_i - c_j||^2``, by one matrix product in float64.

    Args:
        points: Shape ``(n, d)``.
        centres: Shape ``(k, d)``.

    Returns:
        Shape ``(n, k)``, float64, non-negative.
    """
    # ||x||^2 - 2 x.c + ||c||^2 cancels for close pairs far from the origin; so the origin is put
    # among the centres, and float64 leaves digits enough to divide by a small variance.
    centres = centres.double()
    origin = centres.mean(0)
    points, centres = points.double() - origin, centres - origin
    lengths = points.square().sum(-1, keepdim=True) + centres.square().sum(-1)
    return (lengths - 2 * points @ centres.mT).clamp(min=0)


def log_density(
    points: Tensor,
    centres: Tensor,
    variance: float | Tensor,
    log_weights: Tensor | None = None,
    *,
    block: int | None = None,
) -> Tensor:
    """Log density of ``sum_j w_j N(c_j, variance I)``.

    Args:
        points: Shape ``(..., d)``.
        centres: Shape ``(k, d)``.
        variance: Positive; a number, or a tensor that broadcasts with ``points.shape[:-1]``.
        log_weights: Logarithms of the weights, shape ``(k,)``; equal weights by default.
        block: Points per block; chosen by memory by default. Never changes the result.

    Returns:
        Log densities in nats, shape ``(...)``, in the dtype of ``points``.

    Raises:
        ValueError: If the shapes don't fit.
    """
    d = points.shape[-1]
    values = [
        torch.logsumexp(logits, -1) - d / 2 * torch.log(2 * math.pi * variances)
        for _, variances, logits in _blocks(points, centres, variance, log_weights, block)
    ]
    return torch.cat(values).reshape(points.shape[:-1]).to(points.dtype)


def score(
    points: Tensor,
    centres: Tensor,
    variance: float | Tensor,
    log_weights: Tensor | None = None,
    *,
    block: int | None = None,
) -> Tensor:
    """Gradient of :func:`log_density`: ``(posterior mean of the centre - x) / variance``.

    Args:
        points: Shape ``(..., d)``.
        centres: Shape ``(k, d)``.
        variance: Positive; a number, or a tensor that broadcasts with ``points.shape[:-1]``.
        log_weights: Logarithms of the weights, shape ``(k,)``; equal weights by default.
        block: Points per block; chosen by memory by default. Never changes the result.

    Returns:
        Scores, shape ``(..., d)``, in the dtype of ``points``.

    Raises:
        ValueError: If the shapes don't fit.
    """
    targets = centres.to(points.device, torch.float64)
    values = [
        (torch.softmax(logits, -1) @ targets - part) / variances.unsqueeze(-1)
        for part, variances, logits in _blocks(points, centres, variance, log_weights, block)
    ]
    return torch.cat(values).reshape(points.shape).to(points.dtype)


def _blocks(
    points: Tensor,
    centres: Tensor,
    variance: float | Tensor,
    log_weights: Tensor | None,
    block: int | None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Points ``(b, d)``, variances ``(b,)``, joint log weights ``(b, k)``, all in float64."""
    shape, (k, d) = points.shape[:-1], centres.shape
    # A law keeps its centres where it was made; the work is done where the points are.
    centres = centres.to(points.device)
    if points.shape[-1] != d:
        raise ValueError(f"points: got dimension {points.shape[-1]}, the centres have {d}")
    if log_weights is None:
        log_weights = centres.new_full((k,), -math.log(k), dtype=torch.float64)
    if log_weights.shape != (k,):
        raise ValueError(f"log_weights: got shape {tuple(log_weights.shape)}, allowed is ({k},)")
    if isinstance(variance, Tensor):
        variances = variance.to(centres.device).double().broadcast_to(shape).reshape(-1)
    else:
        variances = centres.new_full((math.prod(shape),), variance, dtype=torch.float64)
    block = block or max(1, BLOCK_ENTRIES // k)
    flat = points.double().reshape(math.prod(shape), d)
    for part, part_variances in zip(flat.split(block), variances.split(block), strict=True):
        distances = squared_distances(part, centres)
        logits = log_weights.to(distances) - distances / (2 * part_variances.unsqueeze(-1))
        floor = logits.detach().amax(-1, keepdim=True) - NEGLIGIBLE
        yield part, part_variances, torch.maximum(logits, floor)
