"""The law that a sampler draws from on the line, by quadrature instead of by samples."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from genbound.arguments import Times, declared
from genbound.estimate import Estimate
from genbound.sampler import Scheme, Step, exponential
from genbound.sde import LinearSDE

__all__ = ["chain_log_density", "line_kl"]


@declared
@torch.no_grad()
def chain_log_density(
    process: LinearSDE,
    score: Callable[[Tensor, Tensor], Tensor],
    times: Times,
    line: Tensor,
    *,
    scheme: Scheme = exponential,
) -> Tensor:
    """Log density of the reverse chain's end in one dimension, from N(0, 1) at the first time.

    Each step of the chain is a Gaussian kernel, so the density after it is an integral, which
    the trapezoidal rule on equal steps gives to rounding once they are shorter than the kernel
    is wide.

    Args:
        process: Noising process.
        score: Function of ``(state (s, 1), time (s,))``.
        times: Decreasing times, shape ``(N + 1,)``.
        line: Where the density lives, equally spaced and increasing, shape ``(s,)``, float64.
        scheme: What one step is.

    Returns:
        Log density on ``line``, shape ``(s,)``; -inf where the density is below 1e-308.

    Raises:
        ValueError: If the line is not equally spaced, too coarse for a kernel, or too short: more
            than a thousandth of the mass is lost.
    """
    spacing = _spacing(line)
    state = line.unsqueeze(-1)
    density = torch.exp(-line.square() / 2) / math.sqrt(2 * math.pi)
    times = times.to(line)
    for time, next_time in zip(times[:-1], times[1:], strict=True):
        increment = process.clock_of(time) - process.clock_of(next_time)
        at = Step(time, next_time, state, score(state, time.expand(len(line))), increment)
        centre, variance = scheme(process, at)
        if (width := float(variance.sqrt())) < spacing:
            raise ValueError(
                f"line: got spacing {spacing:.3g}, allowed is up to {width:.3g}, "
                f"the width of the kernel at time {float(time):.3g}"
            )
        kernel = torch.exp(-(line.unsqueeze(-1) - centre.mT).square() / (2 * variance))
        density = kernel @ density * (spacing / width / math.sqrt(2 * math.pi))
    if abs(lost := 1 - float(density.sum() * spacing)) > 1e-3:
        raise ValueError(f"line: {lost:.2g} of the mass lies outside of it; choose it longer")
    return density.log()


def line_kl(log_density: Tensor, log_other: Tensor, line: Tensor) -> Estimate:
    """``KL(P || Q)`` of two densities on a line.

    Args:
        log_density: Logarithm of the density of P, shape ``(s,)``, up to a constant.
        log_other: The same of Q.
        line: Equally spaced, shape ``(s,)``; both laws are normalised on it.

    Returns:
        Nats; the error is the change from every other point to all of them. ``inf`` where Q has
        lost mass that P has.

    Raises:
        ValueError: If the line is not equally spaced.
    """
    spacing = _spacing(line)

    def divergence(first: Tensor, second: Tensor) -> float:
        logarithms = torch.log_softmax(first, 0), torch.log_softmax(second, 0)
        mass = logarithms[0].exp()
        return float(torch.where(mass > 0, mass * (logarithms[0] - logarithms[1]), 0.0).sum())

    fine, coarse = (divergence(log_density[::k], log_other[::k]) for k in (1, 2))
    error = abs(fine - coarse) if math.isfinite(fine) else 0.0
    return Estimate(fine, error, 0, f"quadrature, spacing {spacing:.3g}", "consistent")


def _spacing(line: Tensor) -> float:
    steps = line.diff()
    spacing = float(steps.mean()) if line.ndim == 1 and len(line) > 2 else 0.0
    if not spacing > 0 or not torch.allclose(steps, steps.mean(), rtol=1e-6, atol=0):
        raise ValueError("line: allowed are three or more equally spaced numbers that increase")
    return spacing
