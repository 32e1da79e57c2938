"""Tail indices: of the laws that training makes, of samples; and noise with a given one.

A tail P(|X| > x) of order x^(-alpha) has the index alpha; 1 / alpha is its extreme value index,
0 for tails that fall faster than every power.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from scipy import optimize, stats
from torch import Tensor

from genbound.arguments import declared
from genbound.estimate import Estimate

__all__ = ["hill", "kesten_index", "kesten_index_of", "moment_index", "stable_noise"]

# Root finding gives up where the index is so large that no simulation would see the tail.
LARGEST = 200.0


@declared
def kesten_index(rate: float, *, batch: int, variance: float) -> float:
    """Tail index of the weight of a linear score in one coordinate, trained in batches.

    The root of ``E |1 - 2 rate x2|^alpha = 1`` with the mean square ``x2`` of a batch of states
    ``N(0, variance)``.

    Args:
        rate: Learning rate, positive.
        batch: States per step, at least 1.
        variance: Variance of the noised data, positive.

    Returns:
        The index; 0 if the weight has no stationary law, infinite from 200 on.

    Raises:
        ValueError: If a number is out of range.

    Reference:
        Kesten 1973; Gurbuzbalaban, Simsekli and Zhu 2021.
    """
    for name, value in {"rate": rate, "batch": batch, "variance": variance}.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: got {value}, allowed is > 0 and finite")
    # A batch's mean square is (variance / batch) y^2 with y chi-distributed. The factor has its
    # zero, and its logarithm no finite value, at the kink: nodes gather there.
    kink = math.sqrt(batch / (2 * rate * variance))
    reach = math.sqrt(batch + 2 * LARGEST) + 12
    places, weights = _nodes()
    y = np.concatenate([kink - kink * places**3, kink + reach * places**3])
    measure = np.concatenate([kink * weights, reach * weights]) * 3 * np.tile(places, 2) ** 2
    log_measure = stats.chi(batch).logpdf(y) + np.log(measure)
    log_factor = np.log(np.abs(1 - (y / kink) ** 2))
    if float((log_factor * np.exp(log_measure)).sum()) >= 0:
        return 0.0
    return _root(lambda alpha: float(np.exp(alpha * log_factor + log_measure).sum()) - 1)


@declared
def kesten_index_of(multipliers: Tensor) -> Estimate:
    """Tail index of ``X <- A X + B`` from draws of the factor A.

    The root of ``mean |A|^alpha = 1``.

    Args:
        multipliers: Independent draws of A, shape ``(n,)``, n >= 2.

    Returns:
        The index with its first-order error, side ``consistent``; it presumes
        ``E |A|^(2 alpha) < inf``. Where alpha is large the mean rests on a few draws, and a
        sample that lacks them gives too large an index. 0 (without an error) if
        ``mean log |A| >= 0``, and infinite if no draw exceeds 1: the sample then shows no tail.

    Raises:
        ValueError: If ``multipliers`` is no vector of two or more finite numbers.
    """
    logs = _logarithms(multipliers, "multipliers")
    n, method = len(logs), "Kesten's root of sampled factors"
    if float(logs.mean()) >= 0:
        return Estimate(0.0, math.nan, n, method, "consistent")
    if float(logs.max()) <= 0:
        return Estimate(math.inf, math.nan, n, method, "consistent")
    alpha = _root(lambda a: float((a * logs).exp().mean()) - 1)
    if not math.isfinite(alpha):
        return Estimate(alpha, math.nan, n, method, "consistent")
    powers = (alpha * logs).exp()
    slope = float((powers * logs.clamp_min(-1e6)).mean())
    influence = -(powers - 1) / slope
    stderr = float(influence.std()) / math.sqrt(n)
    return Estimate(alpha, stderr, n, method, "consistent", influence=influence)


@declared
def hill(samples: Tensor, *, tail: int) -> Estimate:
    """Extreme value index ``1 / alpha`` by Hill's estimator.

    The mean of ``log(|x_(i)| / |x_(tail + 1)|)`` over the ``tail`` largest. For an exact Pareto
    law it is unbiased, with standard error ``1 / (alpha sqrt(tail))``. It presumes a power tail:
    it is never 0, and gives a finite alpha to the normal law as well.

    Args:
        samples: Independent numbers, shape ``(n,)``; their absolute values are used.
        tail: Number of largest values, from 2 to n - 1.

    Returns:
        The index, side ``consistent`` (for tail of order below n).

    Raises:
        ValueError: If ``samples`` is no vector, or ``tail`` is out of range.

    Reference:
        Hill 1975.
    """
    excesses = _excesses(samples, tail)
    value = float(excesses.mean())
    method = f"Hill, the {tail} largest of {len(samples)}"
    return Estimate(value, value / math.sqrt(tail), tail, method, "consistent")


@declared
def moment_index(samples: Tensor, *, tail: int) -> Estimate:
    """Extreme value index by the moments of the log excesses, for light tails too.

    ``M_1 + 1 - 1 / (2 (1 - M_1^2 / M_2))`` with the first two moments of the log excesses of
    :func:`hill`. It is about 0 where all moments exist, and negative for bounded laws: a check of
    whether there is a power tail at all.

    Args:
        samples: As for :func:`hill`.
        tail: As for :func:`hill`.

    Returns:
        The index, side ``consistent``; the error is that of a tail index above 0 or at it,
        ``((1 + index^2) / tail)^(1/2)``.

    Raises:
        ValueError: As :func:`hill`.

    Reference:
        Dekkers, Einmahl and de Haan 1989.
    """
    excesses = _excesses(samples, tail)
    first, second = float(excesses.mean()), float(excesses.square().mean())
    value = first + 1 - 1 / (2 * (1 - first**2 / second))
    stderr = math.sqrt((1 + max(value, 0.0) ** 2) / tail)
    method = f"moments of log excesses, the {tail} largest of {len(samples)}"
    return Estimate(value, stderr, tail, method, "consistent")


@declared
def stable_noise(
    *size: int,
    index: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Isotropic stable noise, ``E exp(i <xi, L>) = exp(-|xi|^index)`` along the last axis.

    ``L = (2 A)^(1/2) G`` with a normal G and a positive stable A of index ``index / 2``, drawn by
    Kanter's formula. At index 2 it is N(0, 2 I).

    Args:
        *size: Shape; the last axis is that of one vector.
        index: Tail index, in (0, 2].
        generator: Source of all draws; the noise lives on its device.
        dtype: Floating dtype.

    Returns:
        The noise, shape ``size``.

    Raises:
        ValueError: If the index is out of range or there is no axis.

    Reference:
        Kanter 1975; Chambers, Mallows and Stuck 1976.
    """
    if not 0 < index <= 2:
        raise ValueError(f"index: got {index}, allowed is 0 < index <= 2")
    if not size:
        raise ValueError("size: got no axis, allowed is one or more")
    words = {"generator": generator, "dtype": dtype, "device": generator.device}
    normal = torch.randn(*size, **words)
    half = index / 2
    tiny = torch.finfo(dtype).tiny
    angle = math.pi * torch.rand(*size[:-1], 1, **words).clamp(torch.finfo(dtype).eps)
    waiting = -torch.rand(*size[:-1], 1, **words).clamp_min(tiny).log()
    if half == 1:
        return math.sqrt(2) * normal
    mixing = (half * angle).sin() / angle.sin() ** (1 / half)
    mixing = mixing * (((1 - half) * angle).sin() / waiting) ** ((1 - half) / half)
    return (2 * mixing).sqrt() * normal


@cache
def _nodes(panels: int = 60, order: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on panels of the unit interval."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    places = (np.arange(panels)[:, None] + (nodes + 1) / 2) / panels
    return places.ravel(), np.tile(weights / (2 * panels), panels)


def _root(excess: Callable[[float], float]) -> float:
    """The positive root of a convex function that starts at 0 and falls first."""
    high = 1.0
    while excess(high) < 0:
        if high >= LARGEST:
            return math.inf
        high = min(2 * high, LARGEST)
    low = high / 2
    while excess(low) >= 0:
        low /= 2
    return float(optimize.brentq(excess, low, high, xtol=1e-12, rtol=1e-12))


def _excesses(samples: Tensor, tail: int) -> Tensor:
    logs = _logarithms(samples, "samples")
    if not 2 <= tail < len(logs):
        raise ValueError(f"tail: got {tail}, allowed are 2..{len(logs) - 1}")
    largest = logs.topk(tail + 1).values
    if not bool(largest[-1].isfinite()):
        raise ValueError(f"samples: fewer than {tail + 1} numbers differ from 0")
    return largest[:-1] - largest[-1]


def _logarithms(samples: Tensor, name: str) -> Tensor:
    if samples.ndim != 1 or len(samples) < 2 or not bool(samples.isfinite().all()):
        shape = tuple(samples.shape)
        raise ValueError(f"{name}: got shape {shape}, allowed are (n,) finite numbers, n >= 2")
    return samples.detach().double().cpu().abs().log()
