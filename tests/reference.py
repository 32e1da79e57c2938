"""Slow, obvious versions of what the package computes fast."""

import math

import torch
from torch import Tensor

__all__ = ["gaussian_log_density", "mixture_log_density", "mixture_score"]


def gaussian_log_density(point: Tensor, mean: Tensor, variance: float) -> float:
    """Log density of ``N(mean, variance I)`` at one point, coordinate by coordinate."""
    return sum(
        -((float(x) - float(m)) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
        for x, m in zip(point, mean, strict=True)
    )


def mixture_log_density(
    points: Tensor, centres: Tensor, variance: float, log_weights: Tensor
) -> Tensor:
    """Log density of an isotropic mixture: a loop over points, a sum over components."""
    values = []
    for point in points:
        terms = [
            float(weight) + gaussian_log_density(point, centre, variance)
            for weight, centre in zip(log_weights, centres, strict=True)
        ]
        largest = max(terms)
        values.append(largest + math.log(sum(math.exp(term - largest) for term in terms)))
    return torch.tensor(values, dtype=torch.float64)


def mixture_score(
    points: Tensor, centres: Tensor, variance: float, log_weights: Tensor, *, step: float = 1e-5
) -> Tensor:
    """Score of an isotropic mixture by central differences of its log density."""
    columns = []
    for k in range(points.shape[1]):
        shift = torch.zeros(points.shape[1], dtype=torch.float64)
        shift[k] = step
        above, below = (
            mixture_log_density(points.double() + sign * shift, centres, variance, log_weights)
            for sign in (1, -1)
        )
        columns.append((above - below) / (2 * step))
    return torch.stack(columns, -1)
