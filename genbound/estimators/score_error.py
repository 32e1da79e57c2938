"""The score error of a model where the law is known: what a bound on it has to reach."""

import torch
from torch import Tensor

from genbound.arguments import Count, Sample, declared, score_at
from genbound.data import Source
from genbound.estimate import Estimate, mean
from genbound.estimators.noise_levels import Levels, between, integrals
from genbound.protocols import ScoreModel

__all__ = ["score_error"]


@declared
def score_error(
    model: ScoreModel,
    source: Source,
    fresh: Sample,
    *,
    draws: Count,
    generator: torch.Generator,
    levels: Levels | None = None,
) -> Estimate:
    """Explicit score-matching loss against the law's own score.

    ``1/2 int g^2 E_{P_t} ||s - grad log p_t||^2 dt``.

    Args:
        model: Score model.
        source: The law of the data, whose noised scores are known.
        fresh: Draws of it that the model was not trained on, shape ``(n, d)``, n >= 2.
        draws: Noise levels per datum, at least 1.
        generator: Source of levels and noise, on the device of ``fresh``.
        levels: Law of the times, such as :func:`genbound.estimators.noise_levels.on_grid`; by
            default the model's whole interval.

    Returns:
        Non-negative nats, unbiased; the standard error covers data and draws.

    Raises:
        ValueError: If ``draws`` is below 1 or ``fresh`` is no matrix of at least two rows.

    Reference:
        The left side of the decomposition in the spirit of Theorem 3.1 of Dupuis et al. 2025.
    """
    levels = levels or between(model.process, model.t_min, model.horizon)
    exact = source.path_score(model.process)

    def integrand(noisy: Tensor, time: Tensor, noise_scale: Tensor, _: Tensor) -> Tensor:
        return (
            (noise_scale * (score_at(model.score, noisy, time) - exact(noisy, time)))
            .square()
            .sum(-1)
        )

    errors = integrals(model.process, fresh, integrand, levels, draws=draws, generator=generator)
    return mean(errors, method=f"explicit score matching to the law, {draws} draws per datum")
