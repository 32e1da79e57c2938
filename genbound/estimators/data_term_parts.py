"""The data term of a sample by its definition, in two parts, under any law of times.

What :mod:`genbound.estimators.data_term` has from informations over all times is measured here
with the scores themselves, also at the times of a sampler's grid, where there is no such identity.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from genbound.arguments import Count, Sample, declared
from genbound.data import Source, points
from genbound.data.source import check_dimension
from genbound.estimate import Estimate, mean
from genbound.estimators.noise_levels import Levels, integrals
from genbound.estimators.spread import from_effects
from genbound.sde import LinearSDE

__all__ = ["DataTermParts", "data_term_parts", "irreducible_by_draws"]


class DataTermParts(NamedTuple):
    """The data term and its two parts, in nats.

    Attributes:
        total: ``C(P-hat) - C(P)``, the sum of the parts.
        moments: ``1/2 int g^2 alpha^2 dt`` times the fluctuation of the second moment,
            ``mean_i ||X_i||^2 - E ||X||^2``.
        fisher: ``1/2 int g^2 [J(P_t) - J(P-hat_t)] dt`` with ``J(P) = E_P ||grad log p + x||^2``,
            the Fisher information relative to N(0, I).
    """

    total: Estimate
    moments: Estimate
    fisher: Estimate


@declared
def irreducible_by_draws(
    law: Source,
    process: LinearSDE,
    data: Sample,
    levels: Levels,
    *,
    draws: Count,
    generator: torch.Generator,
) -> Estimate:
    """Irreducible loss by its definition, ``1/2 int g^2 E ||s + noise / sigma||^2 dt``.

    Args:
        law: Any law, of which the score s is known; ``data.points(sample)`` for an empirical one.
        process: Noising process.
        data: Draws from that law, shape ``(n, d)``; the sample itself for the empirical law.
        levels: Law of the times, such as that of a sampler's grid.
        draws: Noise levels per datum, at least 1.
        generator: Source of levels and noise, on the device of ``data``.

    Returns:
        Nats; the standard error covers data and draws.

    Raises:
        ValueError: If ``draws`` is below 1 or ``data`` is no matrix of at least two rows.
    """
    _, losses = _both(law, process, data, levels, draws, generator)
    return mean(losses, method=f"denoising loss of the law's own score, {draws} draws per datum")


@declared
def data_term_parts(
    source: Source,
    process: LinearSDE,
    sample: Sample,
    fresh: Sample,
    levels: Levels,
    *,
    draws: int,
    generator: torch.Generator,
    law_draws: Count = 2,
    given_sample: bool = False,
) -> DataTermParts:
    """Data term of a sample by its definition, in two parts, for any law of times.

    The values come from the informations themselves. The effect of a datum on them is its own part
    of ``E ||s + x||^2 = E ||k + x||^2 - E ||k - s||^2``, with the score k of the kernel: the last
    term is stationary in s, the first a function of the datum alone.

    Args:
        source: The law.
        process: Noising process.
        sample: Shape ``(n, d)``, n >= 2.
        fresh: Other draws from the law, shape ``(m, d)``, m >= 2; the more, the smaller the error.
        levels: Law of the times: :func:`genbound.estimators.noise_levels.between` for the
            integral, :func:`genbound.estimators.noise_levels.on_grid` for the times of a sampler.
        draws: Noise levels per datum of the sample, half of them for each of two evaluations;
            even, at least 2.
        generator: Source of levels and noise, on the device of the data.
        law_draws: Noise levels per fresh datum, at least 1.
        given_sample: Whether the errors are those of this sample's values alone.

    Returns:
        Total and parts. The process should be one whose prior is N(0, I): else the informations
        relative to it are large, and so is their noise. With the default errors the parts may be
        combined with the losses of the same data: the influences of the data are kept. They are
        of first order: of a hundred normal data in three dimensions the error of the Fisher part
        was a tenth too small, of four hundred a twentieth.

    Raises:
        ValueError: If ``draws`` is odd or below 2, or the data are no matrices of two rows or
            more.

    Reference:
        The components of Lemma 3.1 of Dupuis et al. 2025.
    """
    if draws < 2 or draws % 2:
        raise ValueError(f"draws: got {draws}, allowed are even numbers from 2 on")
    check_dimension(source, sample)
    own = torch.stack(
        [_both(points(sample), process, sample, levels, draws // 2, generator) for _ in range(2)]
    )
    law_fisher, _ = _both(source, process, fresh, levels, law_draws, generator)
    weight = _signal_weight(process, levels)
    moment, law_moment = (weight * data.double().square().sum(1) for data in (sample, fresh))
    own_fisher, residual = own.unbind(1)
    # Per part: two evaluations of the values and of the effects of the sample; the law.
    parts = (
        (moment - own_fisher, residual, law_moment - law_fisher),
        (moment.expand(2, -1), moment.expand(2, -1), law_moment),
        (-own_fisher, residual - moment, -law_fisher),
    )
    method = f"by the scores, {draws} draws per datum and {law_draws} for {len(fresh)} of the law"
    return DataTermParts(*(_less(*part, method, given_sample) for part in parts))


def _both(
    law: Source,
    process: LinearSDE,
    data: Tensor,
    levels: Levels,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Integrals of ``||s + x||^2`` and of ``||s - k||^2`` along each datum's path, ``(2, n)``."""
    score = law.path_score(process)

    def integrand(noisy: Tensor, time: Tensor, noise_scale: Tensor, noise: Tensor) -> Tensor:
        scaled = noise_scale * score(noisy, time)
        parts = torch.stack([scaled + noise_scale * noisy, scaled + noise])
        return parts.square().sum(-1)

    return integrals(process, data, integrand, levels, draws=draws, generator=generator)


def _less(
    values: Tensor, effects: Tensor, law: Tensor, method: str, given_sample: bool
) -> Estimate:
    """Mean over the sample less that over the law, from two evaluations of the first."""
    n = values.shape[1]
    known = mean(law, method=method)
    value = float(values.mean()) - known.value
    drawn = float(values.diff(dim=0).square().sum()) / 4 / n**2
    if given_sample:
        return Estimate(value, math.sqrt(drawn + known.stderr**2), n, method)
    noise = effects.diff(dim=0).square()[0] / 4
    part = from_effects(value, effects.mean(0), noise=noise, mean_noise=drawn, method=method)
    return replace(part, stderr=math.hypot(part.stderr, known.stderr))


def _signal_weight(process: LinearSDE, levels: Levels) -> float:
    """``1/2 int g^2 alpha^2 dt``: mass times the mean of ``alpha^2 sigma^2``."""
    signal_scale, noise_scale = process.moments(levels.times)
    return levels.mass * float(levels.shares @ (signal_scale * noise_scale).square())
