"""What the noised data still tell about the data: the encoder's terms of a diffusion bound.

The encoder of a diffusion model is known, ``E_t(x) = N(alpha_t x, sigma_t^2 I)``, so its terms
need a sample and no model. With ``P-hat`` the empirical law of n data,

    rate = information + KL(P-hat_t || N(0, I)),

where the rate is ``mean_i KL(E_t(x_i) || N(0, I))`` and the information is
``mean_i KL(E_t(x_i) || P-hat_t)``, the mutual information between the index of a datum and its
noised version.
"""

import math

import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.estimate import Estimate, mean
from genbound.estimators.mixture_divergence import divergences_to_mixture
from genbound.estimators.spread import from_effects
from genbound.sde import LinearSDE

__all__ = [
    "aggregate_kl",
    "encoder_information",
    "encoder_rate",
    "encoder_root_rate",
]


@declared
def encoder_information(
    process: LinearSDE,
    data: Tensor,
    time: float | Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    block: int | None = None,
    among: int | None = None,
) -> Estimate:
    """Information of the encoder about which datum it was given.

    ``mean_i KL(E_t(x_i) || P-hat_t)``, which with ``delta_ij = alpha_t (x_i - x_j) / sigma_t`` is
    ``log n - mean_i E log sum_j exp(-eps . delta_ij - ||delta_ij||^2 / 2)``. The mixture runs
    over all n data (over a minibatch it saturates at the logarithm of the batch). The log ratio
    contains no ``||eps||^2``, whose noise of size ``sqrt(d / 2)`` would drown the value in high
    dimension.

    Args:
        process: Noising process.
        data: Sample, shape ``(n, d)``, n >= 2.
        time: Diffusion time, positive.
        draws: Noise draws per datum, in antithetic pairs; even, at least 4. In one and two
            dimensions quadrature takes their place: more accurate, and faster.
        generator: Source of the noise, on the device of ``data``.
        block: Data that share their draws, by default the larger of 16 and ``draws / 4``. Larger
            is faster and noisier; the standard error tells. Memory: ``n (block + draws)`` numbers.
        among: Number of data, chosen at random, over which the mean is taken; all by default.
            The mixture is over all n in any case. For large n: the cost falls in proportion.

    Returns:
        Value in ``[0, log n]`` nats. Its standard error covers both the choice of the sample and
        the draws, so it is the error about the mean of this statistic over samples of size n.

    Raises:
        ValueError: If ``data`` has no two rows, ``draws`` is odd or below 4 or ``among`` is not
            in 2..n.

    Reference:
        Chen et al. 2025, the encoder term of the diffusion bound.
    """
    centres = data.double() * _root_snr(process, time)
    parts = divergences_to_mixture(
        centres, draws=draws, generator=generator, block=block, among=among
    )
    n = len(data)
    return from_effects(
        min(max(float(parts.kl.mean()), 0.0), math.log(n)),
        parts.effect,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method=f"KL to the mixture of all {n} noised data, {parts.method}",
    )


@declared
def encoder_rate(process: LinearSDE, data: Tensor, time: float | Tensor) -> Estimate:
    """Mean divergence of the encoder from the prior, ``mean_i KL(E_t(x_i) || N(0, I))``.

    ``KL_i = (alpha_t^2 ||x_i||^2 + d (sigma_t^2 - 1 - log sigma_t^2)) / 2``.

    Args:
        process: Noising process.
        data: Sample, shape ``(n, d)``.
        time: Diffusion time, positive.

    Returns:
        Nats; the standard error is that of sampling the data.
    """
    return mean(_rates(process, data, time), method="mean KL(E_t(x) || N(0, I)), closed form")


@declared
def encoder_root_rate(process: LinearSDE, data: Tensor, time: float | Tensor) -> Estimate:
    """Mean root of the encoder's divergence, ``mean_i sqrt(KL(E_t(x_i) || N(0, I)))``.

    Args:
        process: Noising process.
        data: Sample, shape ``(n, d)``.
        time: Diffusion time, positive.

    Returns:
        Root nats; the standard error is that of sampling the data.

    Reference:
        Chen et al. 2025, the prior term of the diffusion bound.
    """
    rates = _rates(process, data, time)
    return mean(rates.sqrt(), method="mean sqrt KL(E_t(x) || N(0, I)), closed form")


@declared
def aggregate_kl(
    process: LinearSDE,
    data: Tensor,
    time: float | Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    block: int | None = None,
) -> Estimate:
    """Divergence of the noised empirical law from the prior, ``KL(P-hat_t || N(0, I))``.

    The rate less the information (the compensation identity), datum by datum.

    Args:
        process: Noising process.
        data: Sample, shape ``(n, d)``, n >= 2.
        time: Diffusion time, positive.
        draws: As for :func:`encoder_information`.
        generator: Source of the noise, on the device of ``data``.
        block: Data that share their draws.

    Returns:
        Non-negative nats; the standard error covers the sample and the draws. It is too large by
        up to a factor sqrt(2) where the divergence is near its minimum 0.

    Raises:
        ValueError: If ``data`` has no two rows or ``draws`` is odd or below 4.
    """
    centres = data.double() * _root_snr(process, time)
    parts = divergences_to_mixture(centres, draws=draws, generator=generator, block=block)
    rates = _rates(process, data, time)
    return from_effects(
        max(float((rates - parts.kl).mean()), 0.0),
        rates - parts.effect,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method=f"rate less encoder information, {parts.method}",
    )


def _moments(process: LinearSDE, time: float | Tensor) -> tuple[float, float]:
    """Signal and noise scale at one time, in double precision."""
    signal_scale, noise_scale = process.moments(torch.as_tensor(time, dtype=torch.float64))
    return float(signal_scale), float(noise_scale)


def _root_snr(process: LinearSDE, time: float | Tensor) -> float:
    """Signal scale in units of the noise scale."""
    signal_scale, noise_scale = _moments(process, time)
    return signal_scale / noise_scale


def _rates(process: LinearSDE, data: Tensor, time: float | Tensor) -> Tensor:
    signal_scale, noise_scale = _moments(process, time)
    variance = noise_scale**2
    offset = data.shape[-1] * (variance - 1 - math.log(variance))
    # Rounding may leave -1e-17 of a noise variance next to 1, whose root would be nan.
    return ((signal_scale**2 * data.double().square().sum(-1) + offset) / 2).clamp(min=0)
