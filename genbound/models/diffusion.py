"""Diffusion models: a network turned into a score, and the objective that trains it.

Everything is written in the logarithm of the signal-to-noise ratio, lambda(t) =
log(alpha_t^2 / sigma_t^2). For every linear process g^2 dt / sigma^2 = -d lambda, so that the
likelihood weighting of the score-matching loss is the uniform law in lambda.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from genbound.protocols import Objective

#: Number of features of the noise level that the network sees beside its d coordinates.
N_FEATURES = 8

_ATOL = 1e-6


class Diffusion(nn.Module):
    """A score model s(x, t) = -x - (alpha_t / sigma_t) net([x, features(t)]).

    The network predicts the velocity v = alpha_t noise - sigma_t data, which is of order one at
    every noise level. Then s is the score of the noised law when the prediction is the posterior
    mean, and s tends to -x, the score of the prior N(0, I), as alpha_t tends to 0. This asks for
    a variance-preserving process, alpha_t^2 + sigma_t^2 = 1.

    Attributes:
        net: The network, (..., d + N_FEATURES) -> (..., d).
        process: The noising process.
        horizon: T, where the reverse process starts.
        t_min: Where it stops.
    """

    def __init__(self, net: nn.Module, process: Any, *, horizon: float, t_min: float) -> None:  # noqa: ANN401
        """Join a network and a noising process.

        Args:
            net: Maps (..., d + N_FEATURES) to (..., d).
            process: A variance-preserving `LinearSDE`.
            horizon: T.
            t_min: In (0, T).

        Raises:
            ValueError: If the times are out of order or the process is not variance preserving.
        """
        super().__init__()
        _check_times(horizon, t_min)
        times = torch.linspace(t_min, horizon, 33, dtype=torch.float64)
        signal_scale, noise_scale = process.moments(times)
        excess = (signal_scale**2 + noise_scale**2 - 1).abs().max().item()
        if excess > _ATOL:
            raise ValueError(
                "process must be variance preserving (alpha^2 + sigma2 = 1), "
                f"got |alpha^2 + sigma2 - 1| = {excess:.3g} on [t_min, horizon]"
            )
        self.net = net
        self.process = process
        self.horizon = float(horizon)
        self.t_min = float(t_min)

    def score(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """The score s(x, t).

        Args:
            noisy: Points x, (..., d).
            time: Diffusion times, (...,), or one time for all points.

        Returns:
            s(x, t), (..., d).
        """
        time = torch.as_tensor(time, dtype=noisy.dtype, device=noisy.device)
        signal_scale, noise_scale = self.process.moments(time)
        known = features(signal_scale, noise_scale).expand(*noisy.shape[:-1], N_FEATURES)
        velocity = self.net(torch.cat([noisy, known], -1))
        return -noisy - (signal_scale / noise_scale).unsqueeze(-1) * velocity

    def forward(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """The same as `score`."""
        return self.score(noisy, time)


def features(signal_scale: Tensor, noise_scale: Tensor) -> Tensor:
    """What a network is told of the noise level, all in [-1, 1].

    alpha, sigma, and cos and sin of 2^k pi lambda / 16 for k = 0, 1, 2, with lambda clipped to
    [-16, 16], where the slowest wave runs its period. With alpha and sigma among them, the ideal
    network for Gaussian data N(mu, I) is linear: v = -sigma mu.

    Args:
        signal_scale: alpha, (...,).
        noise_scale: sigma, (...,).

    Returns:
        The features, (..., N_FEATURES).
    """
    # Bounded below before the logarithm: at the end of a process alpha may round to 0.
    half = (signal_scale / noise_scale).clamp_min(math.exp(-8)).log().clamp_max(8)
    angle = (math.pi / 8) * half
    waves = [wave(2**k * angle) for k in range(3) for wave in (torch.cos, torch.sin)]
    return torch.stack([signal_scale, noise_scale, *waves], -1)


def denoising_objective(
    process: Any,  # noqa: ANN401
    *,
    batch: int,
    horizon: float,
    t_min: float,
) -> Objective:
    """Denoising score matching with the likelihood weighting.

    One sample estimates, without bias, the mean over the data of
    l(x) = 1/2 int_{t_min}^T g_t^2 E ||s(x_t, t) + noise / sigma_t||^2 dt
         = 1/2 [lambda(t_min) - lambda(T)] E ||noise + sigma_t s(x_t, t)||^2,
    with x_t = alpha_t x + sigma_t noise and lambda uniform. The lambdas of a batch are
    stratified: one in each of `batch` equal intervals.

    Objectives of one process share one `loss` whatever their horizons, so that an ensemble can
    train members of different horizons together.

    Args:
        process: The noising process, a `LinearSDE`; any, variance preserving or not.
        batch: Points per step, drawn with replacement.
        horizon: T.
        t_min: In (0, T).

    Returns:
        The objective. The module that is trained is called as module(noisy, time) -> score,
        with noisy (batch, d) and time (batch,).

    Raises:
        ValueError: If the times are out of order or the batch is empty.

    Reference:
        Song, Durkan, Murray and Ermon (2021), theorem 1 and section 4.
    """
    _check_times(horizon, t_min)
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    ends = torch.tensor([horizon, t_min], dtype=torch.float64)
    low, high = process.log_snr_of(ends).tolist()

    def draw(data: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        like = {"dtype": data.dtype, "device": data.device}
        index = torch.randint(len(data), (batch,), generator=generator, device=data.device)
        uniform = torch.rand(batch, generator=generator, **like)
        noise = torch.randn(batch, *data.shape[1:], generator=generator, **like)
        return data[index], noise, uniform, uniform.new_full((), low), uniform.new_full((), high)

    return Objective(draw, DenoisingLoss(process))


@dataclass(frozen=True)
class DenoisingLoss:
    """The loss of `denoising_objective`; a value, so that equal processes have equal losses."""

    process: Any

    def __call__(self, module: Callable[[Tensor, Tensor], Tensor], sample: Any) -> Tensor:  # noqa: ANN401
        """The loss of one sample, 0-dim, in nats."""
        noisy, time, noise, noise_scale, half_range = noised(self.process, sample)
        error = noise + noise_scale * module(noisy, time)
        return half_range * error.square().sum(-1).mean()


class Noised(NamedTuple):
    """A batch of `denoising_objective`, noised.

    Attributes:
        noisy: x_t, (b, d).
        time: t, (b,).
        noise: (b, d).
        noise_scale: sigma_t, (b, 1).
        half_range: [lambda(t_min) - lambda(T)] / 2, 0-dim: the factor that turns a mean over the
            batch of sigma_t^2 |...|^2 into 1/2 int g_t^2 E |...|^2 dt.
    """

    noisy: Tensor
    time: Tensor
    noise: Tensor
    noise_scale: Tensor
    half_range: Tensor


def noised(process: Any, sample: Any) -> Noised:  # noqa: ANN401
    """Noise the batch that `denoising_objective` drew."""
    data, noise, uniform, low, high = sample
    strata = torch.arange(len(uniform), dtype=data.dtype, device=data.device)
    time = process.time_of(low + (high - low) * (strata + uniform) / len(uniform))
    signal_scale, noise_scale = (scale.unsqueeze(-1) for scale in process.moments(time))
    noisy = signal_scale * data + noise_scale * noise
    return Noised(noisy, time, noise, noise_scale, (high - low) / 2)


def _check_times(horizon: float, t_min: float) -> None:
    if not 0.0 < t_min < horizon:
        raise ValueError(f"t_min must be in (0, horizon), got {t_min} and horizon {horizon}")
