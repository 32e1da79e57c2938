"""What the noised data still tell about the data: the encoder's terms of a diffusion bound.

The encoder of a diffusion model is known, ``E_t(x) = N(alpha_t x, sigma_t^2 I)``, so its terms
need a sample and no model. With ``P-hat`` the empirical law of n data,

    rate = information + KL(P-hat_t || N(0, I)),

where the rate is ``mean_i KL(E_t(x_i) || N(0, I))`` and the information is
``mean_i KL(E_t(x_i) || P-hat_t)``, the mutual information between the index of a datum and its
noised version.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genbound.estimate import Estimate, mean
from genbound.estimators.spread import from_effects
from genbound.sde import LinearSDE

__all__ = [
    "Divergences",
    "aggregate_kl",
    "divergences_to_mixture",
    "encoder_information",
    "encoder_rate",
    "encoder_root_rate",
]

# exp() of a float64 stays normal over this range, with room for the sum over the mixture.
EXPONENT_RANGE = 600.0
# Logarithm of a term that adds nothing to a sum of at least 1, even n times.
NEGLIGIBLE = -60.0
# Entries of the array that the slow path of _log_sums may hold.
SUM_ENTRIES = 2**22


class Divergences(NamedTuple):
    """Monte Carlo values of ``KL(N(c_i, v I) || mean_j N(c_j, v I))``, one per component.

    Attributes:
        kl: Unbiased value of each component, shape ``(n,)``, float64.
        noise: Monte Carlo variance of each value, shape ``(n,)``.
        mean_noise: Monte Carlo variance of the mean of all n values. Components of a block share
            their draws, so this is not the mean of ``noise`` divided by n.
    """

    kl: Tensor
    noise: Tensor
    mean_noise: float


def encoder_information(
    process: LinearSDE,
    data: Tensor,
    time: float | Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    block: int | None = None,
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
        draws: Noise draws per datum, in antithetic pairs; even, at least 4.
        generator: Source of the noise, on the device of ``data``.
        block: Data that share their draws, by default the larger of 16 and ``draws / 4``. Larger
            is faster and noisier; the standard error tells. Memory: ``n (block + draws)`` numbers.

    Returns:
        Value in ``[0, log n]`` nats. Its standard error covers both the choice of the sample and
        the draws, so it is the error about the mean of this statistic over samples of size n.

    Raises:
        ValueError: If ``data`` has no two rows or ``draws`` is odd or below 4.

    Reference:
        Chen et al. 2025, the encoder term of the diffusion bound.
    """
    centres = data.double() * _root_snr(process, time)
    parts = divergences_to_mixture(centres, draws=draws, generator=generator, block=block)
    n = len(data)
    return from_effects(
        min(max(float(parts.kl.mean()), 0.0), math.log(n)),
        parts.kl,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method=f"KL to the mixture of all {n} noised data, {draws} draws each",
    )


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
        draws: Noise draws per datum, in antithetic pairs; even, at least 4.
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
    effects = _rates(process, data, time) - parts.kl
    return from_effects(
        max(float(effects.mean()), 0.0),
        effects,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method=f"rate less encoder information, {draws} draws each",
    )


@torch.no_grad()
def divergences_to_mixture(
    centres: Tensor, *, draws: int, generator: torch.Generator, block: int | None = None
) -> Divergences:
    """Monte Carlo of ``KL(N(c_i, I) || mean_j N(c_j, I))`` for every component i.

    Args:
        centres: Centres in units of the common standard deviation, shape ``(n, d)``, n >= 2.
        draws: Draws per component, in antithetic pairs; even, at least 4.
        generator: Source of the noise, on the device of ``centres``.
        block: Components that share their draws.

    Returns:
        Values and their Monte Carlo variances.

    Raises:
        ValueError: If ``centres`` has no two rows or ``draws`` is odd or below 4.
    """
    if centres.ndim != 2 or len(centres) < 2:
        raise ValueError(f"data: got shape {tuple(centres.shape)}, allowed is (n, d) with n >= 2")
    if draws < 4 or draws % 2:
        raise ValueError(f"draws: got {draws}, allowed are even numbers from 4 on")
    n, d = centres.shape
    pairs, block = draws // 2, block or max(16, draws // 4)
    # Double precision throughout: near duplicates far from the origin leave no digits to spare.
    centres = centres.double() - centres.double().mean(0)
    halves = centres.square().sum(1) / 2
    kl, noise, mean_noise = [], [], 0.0
    for first in range(0, n, block):
        own = slice(first, min(first + block, n))
        affinities = (centres[own] @ centres.mT).sub_(halves).sub_(halves[own, None]).clamp_(max=0)
        # A component lies at distance 0 from itself, whatever rounding says.
        affinities[:, own].fill_diagonal_(0.0)
        shifts = torch.randn(
            pairs, d, generator=generator, dtype=torch.float64, device=centres.device
        )
        tilts, reach = shifts @ centres.mT, float(shifts.norm(dim=1).max())
        tilts = torch.cat([tilts, -tilts])
        ratios = tilts[:, own].mT - _log_sums(affinities, tilts, own, reach)
        paired = math.log(n) + ratios.unflatten(1, (2, pairs)).mean(1)
        kl.append(paired.mean(1))
        noise.append(paired.var(1) / pairs)
        mean_noise += float(paired.sum(0).var()) / pairs / n**2
    return Divergences(torch.cat(kl), torch.cat(noise), mean_noise)


def _log_sums(affinities: Tensor, tilts: Tensor, own: slice, reach: float) -> Tensor:
    """``log sum_j exp(affinities[i, j] + tilts[k, j])``, shape (b, k).

    The rows i are the components ``own``; each sum is at least its term j = i. So if no tilt
    exceeds those of ``own`` by more than the range of the exponential, whatever underflows is
    negligible and one product of matrices gives the sums to full precision. Otherwise the sums
    are taken in log space, over the components that are near one of the rows: at distance r, a
    term is at most ``exp(reach r - r^2 / 2)`` times the term j = i.
    """
    top = tilts.amax(1)
    if float((top - tilts[:, own].amin(1)).max()) < EXPONENT_RANGE:
        sums = affinities.exp() @ (tilts - top[:, None]).exp_().mT
        return sums.log_() + top
    near = (affinities + reach * (-2 * affinities).sqrt()).amax(0) > NEGLIGIBLE
    affinities, tilts = affinities[:, near], tilts[:, near]
    rows = max(1, SUM_ENTRIES // tilts.numel())
    return torch.cat(
        [torch.logsumexp(part[:, None, :] + tilts, -1) for part in affinities.split(rows)]
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
