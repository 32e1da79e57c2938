"""Divergence of the components of a mixture of diagonal normal laws from the whole mixture.

Unlike the noised data of :mod:`genbound.estimators.mixture_divergence` the components have
variances of their own, so that no draws can be shared. The densities of all components at a point
are products of matrices; nothing of size n x n x k is held.
"""

import math

import torch
from torch import Generator, Tensor

from genbound.estimators.mixture_divergence import Divergences, gathered, leave_one_out

__all__ = ["code_divergences"]

# Log densities that one block may hold.
BLOCK_ENTRIES = 2**21


@torch.no_grad()
def code_divergences(
    means: Tensor,
    scales: Tensor,
    *,
    draws: int,
    generator: Generator,
    among: int | None = None,
) -> Divergences:
    """Monte Carlo values of ``KL(N(m_i, diag s_i^2) || mean_j N(m_j, diag s_j^2))``.

    Args:
        means: Shape ``(n, k)``, n >= 2.
        scales: Standard deviations, shape ``(n, k)``, positive.
        draws: Draws per component, in antithetic pairs; even, at least 4.
        generator: Source of the draws, on the device of ``means``.
        among: Number m of components to evaluate, chosen at random; all by default. The mixture
            is that of all n. The time grows as ``n m draws k``.

    Returns:
        Values and their numerical errors. With ``among`` they belong to unknown components.

    Raises:
        ValueError: If there are no two components, ``draws`` is odd or below 4 or ``among`` is not
            in 2..n.
    """
    n, k = means.shape
    if n < 2:
        raise ValueError(f"data: got {n} rows, allowed are at least 2")
    if draws < 4 or draws % 2:
        raise ValueError(f"draws: got {draws}, allowed are even numbers from 4 on")
    if among is not None and not 2 <= among <= n:
        raise ValueError(f"among: got {among}, allowed are 2..{n} (the number of data)")
    means, scales = means.double() - means.double().mean(0), scales.double()
    chosen = torch.arange(n, device=means.device)
    if among is not None:
        chosen = torch.randperm(n, generator=generator, device=means.device)[:among]
    # log density j at z = [z^2, z] @ slopes[:, j] + heights[j] - k log(2 pi) / 2.
    precisions = scales.square().reciprocal()
    slopes = torch.cat([-precisions / 2, means * precisions], 1).mT
    heights = -(means.square() * precisions / 2 + scales.log()).sum(1)
    pairs, parts = draws // 2, []
    for own in chosen.split(max(1, BLOCK_ENTRIES // (n * draws))):
        half = torch.randn(
            len(own), pairs, k, generator=generator, dtype=torch.float64, device=means.device
        )
        noise = torch.cat([half, -half], 1)
        code = means[own, None] + scales[own, None] * noise
        log_densities = torch.cat([code.square(), code], -1) @ slopes + heights
        mine = -noise.square().sum(-1) / 2 - scales[own].log().sum(-1, keepdim=True)
        # A component's own density without rounding, so that no value can exceed log n.
        log_densities.scatter_(2, own[:, None, None].expand(-1, draws, 1), mine[..., None])
        ratios = math.log(n) + mine - torch.logsumexp(log_densities, -1)
        echoes = leave_one_out(ratios, n)
        effects = ratios + len(chosen) / n * echoes
        paired = torch.stack([ratios, effects, echoes]).unflatten(2, (2, pairs)).mean(2)
        kl, _, echo = paired.mean(2)
        noise_of_kl, noise_of_effect, _ = paired.var(2) / pairs
        parts.append(torch.stack([kl, echo, noise_of_effect, noise_of_kl]))
    kl, echo, noise_of_effect, noise_of_kl = torch.cat(parts, 1)
    mean_noise = float(noise_of_kl.sum()) / len(chosen) ** 2
    return gathered(kl, echo, noise_of_effect, mean_noise, n, f"{draws} draws each")
