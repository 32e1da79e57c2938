"""Score-matching losses on the times at which a sampler reads its score, in nats.

    L_h = sum_k h_k E ||s(x_{t_k}, t_k) - ...||^2,

where h_k is half the clock that the step from t_k runs (its length, under the Ornstein-Uhlenbeck
process with g^2 = 2). These are the losses of :mod:`genbound.estimators.score_matching` with the
integral over time replaced by the sum that the sampler makes of it. Under that process the mean
squared error of ``2 (s + x)`` over the grid is ``4 / (horizon - t_min)`` times as large.
Against the score of a known law: :func:`genbound.estimators.score_error.score_error`.
"""

import torch
from torch import Generator, Tensor

from genbound.arguments import Count, Sample, Times, declared
from genbound.data import points
from genbound.estimate import Estimate, mean
from genbound.estimators.noise_levels import integrals, on_grid
from genbound.estimators.score_matching import denoising_integrand, from_errors
from genbound.protocols import ScoreModel

__all__ = ["denoising", "explicit"]


@declared
def denoising(
    model: ScoreModel, data: Sample, times: Times, *, draws: Count, generator: Generator
) -> Estimate:
    """Denoising loss on the grid.

    Args:
        model: Score model.
        data: Shape ``(n, d)``, n >= 2.
        times: Decreasing times of the sampler, shape ``(N + 1,)``.
        draws: Grid points per datum, one in each of as many strata; at least 1.
        generator: Source of grid points and noise, on the device of ``data``.

    Returns:
        Nats; the standard error covers data and draws.

    Raises:
        ValueError: If the times do not decrease, ``draws`` is below 1 or ``data`` is no matrix.
    """
    integrand = denoising_integrand(model, data)
    levels = on_grid(model.process, times)
    losses = integrals(model.process, data, integrand, levels, draws=draws, generator=generator)
    return mean(losses, method=f"denoising on {len(times) - 1} steps, {draws} draws per datum")


@declared
def explicit(
    model: ScoreModel, data: Sample, times: Times, *, draws: int, generator: Generator
) -> Estimate:
    """Explicit loss on the grid against the score of the noised sample.

    Args:
        model: Score model.
        data: The sample that defines the empirical law, shape ``(n, d)``, n >= 2.
        times: Decreasing times of the sampler, shape ``(N + 1,)``.
        draws: Grid points per datum, half of them for each of two evaluations; even, at least 2.
        generator: Source of grid points and noise, on the device of ``data``.

    Returns:
        Non-negative nats; the error covers data (for a model held fixed) and draws, with the
        first-order effects of :func:`genbound.estimators.score_matching.explicit`.

    Raises:
        ValueError: If the times do not decrease, ``draws`` is odd or below 2, or ``data`` is no
            matrix.
    """
    if draws < 2 or draws % 2:
        raise ValueError(f"draws: got {draws}, allowed are even numbers from 2 on")
    empirical_score = points(data).path_score(model.process)

    def integrand(noisy: Tensor, time: Tensor, noise_scale: Tensor, noise: Tensor) -> Tensor:
        learned = noise_scale * model.score(noisy, time)
        exact = noise_scale * empirical_score(noisy, time)
        gap = (learned - exact).square().sum(-1)
        effect = ((learned - exact) * (learned + exact + 2 * noise)).sum(-1)
        return torch.stack([gap, effect])

    levels = on_grid(model.process, times)
    half = {"draws": draws // 2, "generator": generator}
    evaluations = [integrals(model.process, data, integrand, levels, **half) for _ in range(2)]
    return from_errors(torch.stack(evaluations), draws=draws)
