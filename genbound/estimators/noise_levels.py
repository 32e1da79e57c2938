"""Integrals along the noising of data, over all times or over the steps of a sampler.

What score matching weighs by ``1/2 g^2`` becomes, in units of the noise, a mean over noise levels:

    1/2 int g^2 f(t) / sigma^2 dt = mass E f(t),

with t drawn from :class:`Levels`. Since ``g^2 / sigma^2 dt = -d log_snr`` for every linear
process, the log signal-to-noise ratio of t is uniform and the mass is half its range.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genbound.arguments import Times, declared
from genbound.sde import LinearSDE

__all__ = ["Integrand", "Levels", "between", "integrals", "on_grid"]

# Numbers per evaluation of the integrand, over the data of a block, their draws and the dimension.
BLOCK_ENTRIES = 2**21
# Of the rule over an interval; its integrands are smooth in the log signal-to-noise ratio.
NODES = 128

# (noised data (b, k, d), times (b, k), noise scales (b, k, 1), noise (b, k, d)) -> (..., b, k)
Integrand = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class Levels(NamedTuple):
    """A law of times and what its total weight is.

    Attributes:
        mass: Total weight, ``1/2 int g^2 / sigma^2 dt`` or its sum over steps.
        time_at: From uniform numbers of any shape to times: a quantile function.
        times: Nodes of a rule for means without draws, shape ``(q,)``, float64.
        shares: Their weights, shape ``(q,)``, of sum 1.
    """

    mass: float
    time_at: Callable[[Tensor], Tensor]
    times: Tensor
    shares: Tensor


@declared
def between(process: LinearSDE, t_min: float, horizon: float) -> Levels:
    """All times of an interval, each with its weight ``1/2 g^2``.

    Args:
        process: Noising process.
        t_min: Start of the interval.
        horizon: Its end.

    Returns:
        The law.

    Raises:
        ValueError: If ``0 < t_min < horizon`` fails.
    """
    if not 0 < t_min < horizon:
        raise ValueError(f"t_min: got {t_min}, allowed is 0 < t_min < horizon = {horizon}")
    last, first = (float(process.log_snr_of(time)) for time in (t_min, horizon))

    def time_at(share: Tensor) -> Tensor:
        return process.time_of(first + (last - first) * share)

    nodes, weights = (
        torch.from_numpy(part) / 2 for part in np.polynomial.legendre.leggauss(NODES)
    )
    return Levels((last - first) / 2, time_at, time_at(nodes + 0.5), weights)


@declared
def on_grid(process: LinearSDE, times: Times) -> Levels:
    """The times at which a sampler asks for the score, each with the clock that its step runs.

    A step from ``t_k`` to ``t_{k+1}`` keeps the score of ``t_k``, so that its part of the path
    divergence is ``1/2 [clock(t_k) - clock(t_{k+1})]`` times a squared error at ``t_k``.

    Args:
        process: Noising process.
        times: Decreasing times, shape ``(N + 1,)``, such as those of
            :func:`genbound.sampler.time_grid`; the last is never asked for.

    Returns:
        The law.

    Raises:
        ValueError: If the times do not decrease, or one is negative.
    """
    times = times.double()
    asked = times[:-1]
    weights = -process.clock_of(times).diff() / process.moments(asked)[1].square()
    edges = weights.cumsum(0) / weights.sum()

    def time_at(share: Tensor) -> Tensor:
        step = torch.searchsorted(edges.to(share.device), share.contiguous(), right=True)
        return asked.to(share.device)[step.clamp(max=len(asked) - 1)]

    return Levels(float(weights.sum()) / 2, time_at, asked, weights / weights.sum())


@torch.no_grad()
def integrals(
    process: LinearSDE,
    data: Tensor,
    integrand: Integrand,
    levels: Levels,
    *,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Unbiased value of ``mass E f`` along the noised path of every datum.

    Args:
        process: Noising process.
        data: Shape ``(n, d)``.
        integrand: f of noised data, times, noise scales and noise, in units of the noise; may
            have several components, in front.
        levels: Law of the times.
        draws: Noise levels per datum, one in each of as many strata; at least 1.
        generator: Source of levels and noise, on the device of ``data``.

    Returns:
        Shape ``(..., n)``, float64. Every datum has its own draws.

    Raises:
        ValueError: If ``draws`` is below 1 or ``data`` is no matrix.
    """
    if data.ndim != 2:
        raise ValueError(f"data: got shape {tuple(data.shape)}, allowed is (n, d)")
    if draws < 1:
        raise ValueError(f"draws: got {draws}, allowed is at least 1")
    device = data.device
    strata = torch.arange(draws, dtype=torch.float64, device=device)
    block = max(1, BLOCK_ENTRIES // (draws * data.shape[1]))
    parts = []
    for part in data.split(block):
        shifts = torch.rand(len(part), 1, generator=generator, dtype=torch.float64, device=device)
        time = levels.time_at((strata + shifts) / draws)
        signal_scale, noise_scale = (scale[..., None].to(part) for scale in process.moments(time))
        noise = torch.randn(
            len(part), draws, data.shape[1], generator=generator, dtype=data.dtype, device=device
        )
        noisy = signal_scale * part[:, None, :] + noise_scale * noise
        parts.append(integrand(noisy, time.to(part), noise_scale, noise).double().mean(-1))
    return torch.cat(parts, -1) * levels.mass
