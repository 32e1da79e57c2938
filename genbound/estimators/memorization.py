"""Do generated samples lie nearer to the training data than to fresh ones?

Three answers: the kernel gap, which :mod:`genbound.bounds.memorization` bounds; the ratio of the
nearest to the second nearest training distance; and the share of generated samples that are
copies by that ratio.
"""

import math

import torch
from torch import Tensor

from genbound import mixtures
from genbound.arguments import declared
from genbound.estimate import Estimate, mean
from genbound.estimators.two_sample import gaussian_kernel, joined

__all__ = ["copies", "kernel_gap", "nearest_distances", "nearest_ratio"]

# Entries of one block of distances, float64.
BLOCK_ENTRIES = 2**22


@declared
def kernel_gap(generated: Tensor, data: Tensor, held_out: Tensor, *, bandwidth: float) -> Estimate:
    """Memorization gap ``E[ mean_i k(X~, X_i) - k(X~, X) ]`` of a model, given its sample.

    With the kernel ``k(x, y) = exp(-||x - y||^2 / (2 h^2))``, whose values lie in (0, 1].

    Args:
        generated: Independent samples of the model, shape ``(s, d)``, s >= 2.
        data: Its training data, shape ``(n, d)``.
        held_out: Fresh data, shape ``(m, d)``, m >= 2.
        bandwidth: h, positive.

    Returns:
        A number in (-1, 1), unbiased given the training data. The influences are those of the
        generated samples, then those of the held-out data; average over training samples, which
        the theorem asks for, with :func:`genbound.estimate.across`.

    Raises:
        ValueError: If the shapes don't fit or the bandwidth is not positive.
    """
    _check(generated, data, held_out)
    kernel = gaussian_kernel(bandwidth)
    seen, near, fresh = [], [], torch.zeros(len(held_out)).to(held_out.device, torch.float64)
    for part in generated.split(max(1, BLOCK_ENTRIES // max(len(data), len(held_out)))):
        values = kernel(part, held_out)
        seen.append(kernel(part, data).mean(1))
        near.append(values.mean(1))
        fresh += values.sum(0) / len(generated)
    effects = torch.cat(seen) - torch.cat(near)
    value = float(effects.mean())
    variance = float(effects.var()) / len(generated) + float(fresh.var()) / len(held_out)
    return Estimate(
        value,
        math.sqrt(variance),
        len(generated) + len(held_out),
        f"kernel gap, bandwidth {bandwidth:.3g}",
        influence=joined(effects, -fresh),
    )


@declared
def nearest_distances(points: Tensor, data: Tensor) -> Tensor:
    """Distances from each point to its nearest and its second nearest datum.

    Args:
        points: Shape ``(s, d)``.
        data: Shape ``(n, d)``, n >= 2.

    Returns:
        Shape ``(s, 2)``, float64, ascending.

    Raises:
        ValueError: If the shapes don't fit.
    """
    _check(points, data)
    distances = []
    for part in points.double().split(max(1, BLOCK_ENTRIES // len(data))):
        nearest = mixtures.squared_distances(part, data).topk(2, dim=1, largest=False).indices
        # Once more from the differences: the matrix product loses the digits of near copies.
        offsets = part[:, None, :] - data.double()[nearest]
        distances.append(torch.linalg.vector_norm(offsets, dim=-1).sort(dim=1).values)
    return torch.cat(distances)


@declared
def nearest_ratio(points: Tensor, data: Tensor) -> Estimate:
    """Mean ratio of the distance to the nearest datum to that to the second nearest.

    Near 0 for copies. What it is without copying depends on n, d and the law: compare with the
    ratio of held-out data.

    Args:
        points: Generated samples (or held-out data), shape ``(s, d)``, s >= 2.
        data: Training data, shape ``(n, d)``, n >= 2.

    Returns:
        A number in [0, 1]; the standard error is over the points.

    Raises:
        ValueError: If the shapes don't fit.
    """
    return mean(_ratios(points, data), method="nearest to second nearest distance")


@declared
def copies(points: Tensor, data: Tensor, *, threshold: float = 1 / 3) -> Estimate:
    """Share of points whose nearest datum is nearer than ``threshold`` times the second nearest.

    Args:
        points: As for :func:`nearest_ratio`.
        data: As for :func:`nearest_ratio`.
        threshold: In (0, 1).

    Returns:
        A share; the standard error is over the points.

    Raises:
        ValueError: If the shapes don't fit or the threshold is out of range.

    Reference:
        Yoon, Choi, Kwon and Ryu, Diffusion probabilistic models generalize when they fail to
        memorize (2023), with the threshold 1/3.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold: got {threshold}, allowed is 0 < threshold < 1")
    below = (_ratios(points, data) < threshold).double()
    return mean(below, method=f"share of ratios below {threshold:.3g}")


def _ratios(points: Tensor, data: Tensor) -> Tensor:
    nearest, second = nearest_distances(points, data).unbind(1)
    # A point on two equal data is a copy of both.
    return torch.where(second > 0, nearest / second.where(second > 0, 1.0), 0.0)


def _check(points: Tensor, *others: Tensor) -> None:
    shapes = [tuple(word.shape) for word in (points, *others)]
    if any(word.ndim != 2 or word.shape[1] != points.shape[-1] for word in (points, *others)):
        raise ValueError(f"points: got shapes {shapes}, allowed are (s, d), (n, d)")
    if any(len(word) < 2 for word in others):
        raise ValueError(f"data: got shapes {shapes}, allowed are at least 2 data of each kind")
