"""Divergences: of a diffusion model from the truth, and between Gaussians.

The sampling chain of a diffusion model starts at N(0, I) and has Gaussian steps
``p(x_k | x_{k+1})``. The density of its end is an integral over all paths, here taken by
importance sampling: from the point x run the noising process forward to the horizon, which is
nearly the posterior law of the path, and average

    w = N(x_N; 0, I) prod_k p(x_k | x_{k+1}) / q(x_{k+1} | x_k).

If the score were exact and the step small, w would be the density itself, without noise. One path
gives the familiar evidence bound; the mean over paths is the chain's own density, discretisation
included. (The mixture of the last steps' kernels is the same density, but its kernels have width
``sigma(t_min)``, which no affordable number of chains resolves.)
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genbound.arguments import declared, score_at
from genbound.data import Source
from genbound.estimate import Estimate, exact, mean
from genbound.protocols import ScoreModel
from genbound.sampler import Scheme, Step, euler, time_grid

__all__ = [
    "gaussian_kl",
    "log_mean_weight",
    "model_kl",
    "model_log_density",
    "model_nll",
    "running_log_weights",
]

# Numbers per evaluation of the model, over the points of a block, their paths and the dimension.
BLOCK_ENTRIES = 2**21


@declared
def model_kl(
    source: Source,
    model: ScoreModel,
    *,
    n: int,
    paths: int,
    step: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Estimate:
    """Divergence of the model from the truth at ``t_min``, ``KL(P_t_min || p_model)``.

    Args:
        source: The law of the data noised to ``model.t_min`` (``source.noised(process, t_min)``).
        model: Score model; its chain ends at ``t_min``.
        n: Number of points drawn from the source, at least 2.
        paths: Noising paths per point; at least 2.
        step: Largest spacing of the chain in the log signal-to-noise ratio (nats).
        generator: Source of points and noise.
        dtype: Dtype of the points, that of the model's weights.

    Returns:
        Nats. Consistent as the paths grow: the logarithm of a mean is corrected to first order.
        Every point has its own paths, so the standard error covers points and paths.
    """
    points = source.sample(n, generator=generator, dtype=dtype)
    log_model = model_log_density(model, points, paths=paths, step=step, generator=generator)
    gaps = source.log_density(points).double() - log_model
    return mean(gaps, method=f"log density ratio, {paths} paths per point", side="consistent")


@declared
def model_nll(
    model: ScoreModel,
    data: Tensor,
    *,
    paths: int,
    step: float,
    generator: torch.Generator,
) -> Estimate:
    """Negative log likelihood of noised data, ``-E log p_model(alpha x + sigma eps)`` at t_min.

    Args:
        model: Score model; its chain ends at ``t_min``.
        data: Data, each noised to ``t_min`` once; shape ``(n, d)``, n >= 2.
        paths: Noising paths per point; at least 2.
        step: Largest spacing of the chain in the log signal-to-noise ratio (nats).
        generator: Source of noise, on the device of ``data``.

    Returns:
        Nats (per datum, not per dimension); consistent as the paths grow. The standard error
        covers data, noise and paths.
    """
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
    points = model.process.perturb(data, model.t_min, noise)
    log_model = model_log_density(model, points, paths=paths, step=step, generator=generator)
    method = f"negative log likelihood at t_min, {paths} paths per point"
    return mean(-log_model, method=method, side="consistent")


@declared
@torch.no_grad()
def model_log_density(
    model: ScoreModel,
    points: Tensor,
    *,
    paths: int,
    step: float,
    generator: torch.Generator,
) -> Tensor:
    """Log density of the end of the model's sampling chain.

    Args:
        model: Score model.
        points: Shape ``(n, d)``.
        paths: Noising paths per point; at least 2.
        step: Largest spacing of the chain in the log signal-to-noise ratio (nats).
        generator: Source of noise, on the device of ``points``.

    Returns:
        Nats, shape ``(n,)``, float64: the logarithm of the mean weight plus half its squared
        relative error, which removes the first-order bias of the logarithm.

    Raises:
        ValueError: If ``paths`` is below 2 or ``points`` is no matrix.
    """
    if points.ndim != 2:
        raise ValueError(f"points: got shape {tuple(points.shape)}, allowed is (n, d)")
    if paths < 2:
        raise ValueError(f"paths: got {paths}, allowed is at least 2")
    times = time_grid(model.process, model.horizon, model.t_min, step=step).to(points.device)
    block = max(1, BLOCK_ENTRIES // (paths * points.shape[1]))
    log_densities = []
    for part in points.split(block):
        ends = part.repeat_interleave(paths, 0)
        *_, log_weights = running_log_weights(model, ends, times, generator=generator)
        log_densities.append(log_mean_weight(log_weights.reshape(-1, paths)))
    return torch.cat(log_densities)


def log_mean_weight(log_weights: Tensor) -> Tensor:
    """Log of the mean of path weights ``(n, paths)``, corrected to first order; shape ``(n,)``."""
    paths = log_weights.shape[1]
    log_mean = torch.logsumexp(log_weights, 1) - math.log(paths)
    relative = (log_weights - log_mean[:, None]).exp().var(1) / paths
    return log_mean + relative / 2


@torch.no_grad()
def running_log_weights(
    model: ScoreModel,
    points: Tensor,
    times: Tensor,
    *,
    generator: torch.Generator,
    scheme: Scheme = euler,
) -> Iterator[Tensor]:
    """Log of the path weights w of the module's head, while one path from each point grows.

    Args:
        model: Score model.
        points: Where the paths begin, at the last time; shape ``(n, d)``.
        times: Decreasing times of the chain, ``(N + 1,)``, as of :func:`sampler.time_grid`.
        generator: Source of noise, on the device of ``points``.
        scheme: What one step of the chain is.

    Yields:
        Shape ``(n,)``, float64, N of them: the weight if the chain started at N(0, I) at the last
        time but one, and so on up to the first time.
    """
    process = model.process
    signal_scales, noise_scales = process.moments(times)
    clocks = process.clock_of(times)
    state, total = points, torch.zeros(len(points), dtype=torch.float64, device=points.device)
    for k in range(len(times) - 1, 0, -1):
        growth = signal_scales[k - 1] / signal_scales[k]
        variance = noise_scales[k - 1] ** 2 - (growth * noise_scales[k]) ** 2
        noise = torch.randn(
            state.shape, generator=generator, dtype=state.dtype, device=state.device
        )
        noisier = growth.to(state) * state + variance.sqrt().to(state) * noise
        time = times[k - 1].to(state).expand(len(state))
        increment = clocks[k - 1] - clocks[k]
        back = Step(
            times[k - 1], times[k], noisier, score_at(model.score, noisier, time), increment
        )
        centre, spread = scheme(process, back)
        reverse = _log_gaussian(state - centre, spread)
        forward = _log_gaussian(variance.sqrt().to(state) * noise, variance)
        total, state = total + reverse - forward, noisier
        yield total + _log_gaussian(state, torch.ones_like(clocks[0]))


def _log_gaussian(offsets: Tensor, variance: Tensor) -> Tensor:
    d = offsets.shape[-1]
    squares = offsets.double().square().sum(-1)
    return -squares / (2 * variance) - d / 2 * torch.log(2 * math.pi * variance)


@declared
def gaussian_kl(mean1: Tensor, variance1: Tensor, mean2: Tensor, variance2: Tensor) -> Estimate:
    """Divergence ``KL(N(mean1, variance1) || N(mean2, variance2))``, diagonal covariances.

    Args:
        mean1: Shape ``(d,)``.
        variance1: Shape ``(d,)``, or 0-dim for a multiple of the identity; positive.
        mean2: Shape ``(d,)``.
        variance2: Shape ``(d,)``, or 0-dim for a multiple of the identity; positive.

    Returns:
        Nats, exact.

    Raises:
        ValueError: If a variance is not positive.
    """
    ratio = variance1.double() / variance2.double()
    if not (bool((variance1 > 0).all()) and bool((variance2 > 0).all())):
        raise ValueError("variance: got a value that is not positive; allowed are positive ones")
    shift = (mean1 - mean2).double().square() / variance2
    terms = shift + (ratio - 1 - ratio.log())
    return exact(float(terms.sum()) / 2, method="KL of two Gaussians")
