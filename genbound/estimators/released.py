"""The terms of a diffusion bound as released code computed them, kept for comparison only.

These formulas contain faults, named in each method text; none belongs in a bound. The right ones
are :func:`information.encoder_information`, :func:`trajectory.path_energy` and
:func:`score_matching.denoising`.
"""

import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.estimate import Estimate, mean
from genbound.estimators.mixture_divergence import divergences_to_mixture
from genbound.estimators.spread import from_effects
from genbound.protocols import ScoreModel
from genbound.sde import LinearSDE

__all__ = ["epsilon_loss", "mixture_term", "score_bound"]

# Numbers per evaluation of the model.
BLOCK_ENTRIES = 2**21


@declared
def mixture_term(
    process: LinearSDE,
    data: Tensor,
    time: float | Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    block: int | None = None,
) -> Estimate:
    """Encoder information with the noise *scale* where its variance belongs.

    ``mean_i KL(N(alpha x_i, sigma I) || mean_j N(alpha x_j, sigma I))``. Too small for sigma < 1,
    since ``sigma > sigma^2`` blurs the data more.

    Args:
        process: Noising process.
        data: Sample, shape ``(n, d)``, n >= 2.
        time: Diffusion time, positive.
        draws: Noise draws per datum; even, at least 4.
        generator: Source of the noise, on the device of ``data``.
        block: Data that share their draws.

    Returns:
        Nats.
    """
    scales = process.moments(torch.as_tensor(time, dtype=torch.float64))
    signal_scale, noise_scale = (float(scale) for scale in scales)
    parts = divergences_to_mixture(
        data.double() * (signal_scale / noise_scale**0.5),
        draws=draws,
        generator=generator,
        block=block,
    )
    return from_effects(
        float(parts.kl.mean()),
        parts.kl,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method="released: sigma taken for the variance sigma^2 of components and kernels",
        side="unknown",
    )


@declared
@torch.no_grad()
def score_bound(
    model: ScoreModel,
    data: Tensor,
    *,
    steps: int,
    generator: torch.Generator,
    horizon: float | None = None,
) -> Estimate:
    """Score norm read off a reverse path that starts at the data, at the times of a forward one.

    Euler-Maruyama of the reverse equation from clean training data at time T, where it should
    start from N(0, I). The norm recorded at step k is that of ``s(Y_k, t_k)``, where Y_k has come
    down to time ``T - t_k``; of its means over the batch the largest is kept, which is neither a
    supremum nor a root mean square.

    Args:
        model: Score model.
        data: Starting points, shape ``(n, d)``, n >= 2.
        steps: Number of equal steps in time.
        generator: Source of the noise, on the device of ``data``.
        horizon: Length of the path in time; the model's by default.

    Returns:
        Norm; the standard error is that of the batch mean at the largest step.
    """
    process = model.process
    horizon = model.horizon if horizon is None else horizon
    delta = horizon / steps
    state, largest = data, torch.zeros(len(data), dtype=data.dtype, device=data.device)
    for k in range(steps):
        elapsed, time = (
            torch.full_like(largest, max(word, model.t_min))
            for word in (k * delta, horizon - k * delta)
        )
        norms = torch.linalg.vector_norm(model.score(state, elapsed), dim=-1)
        largest = norms if norms.mean() > largest.mean() else largest
        drift = process.reverse_drift(model.score)(state, time)
        diffusion = process.diffusion2_of(time[0]).sqrt()
        noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
        state = state - delta * drift + delta**0.5 * diffusion * noise
    method = (
        "released: maximum over steps of the batch-mean score norm, reverse path from clean data, "
        "score at the reversed time"
    )
    return mean(largest, method=method, side="unknown")


@declared
@torch.no_grad()
def epsilon_loss(
    model: ScoreModel,
    data: Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    horizon: float | None = None,
) -> Estimate:
    """Noise-prediction loss averaged over uniform times, without likelihood weights.

    ``E_{t ~ U[0, T]} 1/2 ||sigma_t s(x_t, t) + eps||^2``. Without the weight ``g^2 / sigma^2``
    and the length T it is no divergence, and it falls with T where the right loss rises.

    Args:
        model: Score model.
        data: Shape ``(n, d)``, n >= 2.
        draws: Times per datum.
        generator: Source of times and noise, on the device of ``data``.
        horizon: End of the time interval; the model's by default.

    Returns:
        A number without the meaning of nats.
    """
    horizon = model.horizon if horizon is None else horizon
    losses = []
    for part in data.split(max(1, BLOCK_ENTRIES // (draws * data.shape[1]))):
        shape, like = (len(part), draws), {"dtype": part.dtype, "device": part.device}
        # 1 - U lies in (0, 1], where every process has noise.
        time = horizon * (1 - torch.rand(shape, generator=generator, **like))
        noise = torch.randn(*shape, part.shape[1], generator=generator, **like)
        noisy = model.process.perturb(part[:, None, :], time, noise)
        noise_scale = model.process.moments(time)[1].unsqueeze(-1)
        errors = (noise_scale * model.score(noisy, time) + noise).square().sum(-1)
        losses.append(errors.mean(1) / 2)
    method = "released: epsilon loss over uniform times, no likelihood weight, no factor T"
    return mean(torch.cat(losses), method=method, side="unknown")
