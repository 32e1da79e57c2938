r"""Fisher informations: how far a law is from N(0, I), or from another law, by their scores.

    J(P) = E_P ||grad log p + x||^2,        J(P|Q) = E_P ||grad log p - grad log q||^2.

J(P_t) is the rate at which the divergence of noised data from N(0, I) falls, and what a sampler
pays for reading the score at the start of each step only.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from genbound.arguments import Positive, Sample, Several, Times, declared
from genbound.data import Gaussian, Source, points
from genbound.data.source import DRAWS, require
from genbound.estimate import Estimate, exact, mean
from genbound.estimators.spread import from_effects
from genbound.sde import LinearSDE

__all__ = ["of_law", "of_sample", "relative", "rise", "rise_of_moments"]

# Numbers per evaluation of a score, over the draws of a block and the dimension.
BLOCK_ENTRIES = 2**20


@declared
def of_law(
    law: Source,
    process: LinearSDE,
    time: float,
    *,
    n: Several = DRAWS,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Fisher information of a noised law relative to the prior, ``J(P_t)``.

    Args:
        law: P; a law on points will do, if the time is positive.
        process: Noising process.
        time: Diffusion time t.
        n: Number of draws, at least 2; none are needed for a Gaussian.
        generator: Source of the draws.

    Returns:
        Nats per unit of half the clock: exact for a Gaussian, else unbiased.

    Raises:
        ValueError: If draws are needed and there is no generator, or ``P_t`` has no density.
    """
    noised = law.noised(process, time)
    if isinstance(noised, Gaussian):
        return exact(_of_gaussian(noised), method="closed form")
    draws = noised.sample(n, generator=require(generator, "of_law"))
    squares = (noised.score(draws) + draws).square().sum(-1)
    return mean(squares, method=f"score of the noised law, {n} draws")


@declared
def of_sample(
    process: LinearSDE,
    sample: Sample,
    time: Positive,
    *,
    draws: int,
    generator: torch.Generator,
) -> Estimate:
    """Fisher information of a noised sample, ``J(P-hat_t)``, from the law with the data as points.

    On average over samples it is larger than ``J(P_t)``, by ``E J(P-hat_t|P_t)``: the noised
    sample has wrinkles of its own. The effect of a datum is the mean of ``2 k.r - ||r||^2`` along
    its noised kernel, where k and r are the scores of kernel and mixture relative to the prior.

    Args:
        process: Noising process.
        sample: Shape ``(n, d)``, n >= 2.
        time: Diffusion time, positive.
        draws: Noise draws per datum, half of them for each of two evaluations; even, at least 2.
        generator: Source of the noise, on the device of ``sample``.

    Returns:
        The value, with an error that covers data and draws; from above, as an estimate of
        ``J(P_t)``. The error is of first order: of a hundred normal data in three dimensions it
        was a tenth too small, of four hundred a twentieth.

    Raises:
        ValueError: If ``draws`` is odd or below 2, or ``sample`` is no matrix of two rows.
    """
    if draws < 2 or draws % 2:
        raise ValueError(f"draws: got {draws}, allowed are even numbers from 2 on")
    score = points(sample).path_score(process)
    squares, effects = [], []
    for _ in range(2):
        noise = torch.randn(
            len(sample), draws // 2, sample.shape[1],
            generator=generator, dtype=sample.dtype, device=sample.device,
        )  # fmt: skip
        at = torch.tensor(time, dtype=sample.dtype, device=sample.device)
        noisy = process.perturb(sample[:, None], at, noise)
        of_kernel = process.kernel_score(sample[:, None], noisy, at) + noisy
        of_mixture = score(noisy, at) + noisy
        square = of_mixture.square().sum(-1)
        effect = 2 * (of_kernel * of_mixture).sum(-1) - square
        squares.append(square.double().mean(-1))
        effects.append(effect.double().mean(-1))
    n = len(sample)
    return from_effects(
        float((squares[0] + squares[1]).mean() / 2),
        (effects[0] + effects[1]) / 2,
        noise=(effects[0] - effects[1]).square() / 4,
        mean_noise=float((squares[0] - squares[1]).square().sum()) / 4 / n**2,
        method=f"score of the noised sample, {draws} draws per datum",
        side="upper",
    )


@declared
def relative(
    law: Source,
    other: Source | Callable[[Tensor], Tensor],
    *,
    n: Several = DRAWS,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Relative Fisher information ``J(P|Q)``, or the error of any score under P.

    Args:
        law: P, a law with a density.
        other: Q, or a score: function of points ``(n, d)``.
        n: Number of draws, at least 2; none are needed for two Gaussians.
        generator: Source of the draws.

    Returns:
        Exact for two Gaussians, else unbiased.

    Raises:
        ValueError: If draws are needed and there is no generator.
    """
    if isinstance(law, Gaussian) and isinstance(other, Gaussian):
        inverses = [torch.linalg.inv(part.covariance) for part in (law, other)]
        slope = inverses[1] - inverses[0]
        shift = inverses[1] @ (law.mean - other.mean)
        value = torch.trace(slope @ law.covariance @ slope) + shift.square().sum()
        return exact(float(value), method="closed form")
    draws = law.sample(n, generator=require(generator, "relative"))
    score = other if callable(other) else other.score
    errors = (law.score(draws) - score(draws)).square().sum(-1)
    return mean(errors, method=f"difference of scores, {n} draws")


@declared
def rise(
    law: Source,
    process: LinearSDE,
    times: Times,
    *,
    n: Several = DRAWS,
    generator: torch.Generator | None = None,
) -> Estimate:
    """What a grid pays: ``sum_k h_k [J(P_{t_{k+1}}) - J(P_{t_k})]``, times decreasing.

    ``h_k`` is half the clock that the step from ``t_k`` to ``t_{k+1}`` runs. Draws are shared by
    all times, so that the differences err little.

    Args:
        law: P.
        process: Noising process.
        times: Decreasing times, shape ``(N + 1,)``.
        n: Number of draws, at least 2; none are needed for a Gaussian.
        generator: Source of the draws.

    Returns:
        Nats: exact for a Gaussian, else unbiased. The error is that of draws, not of data.

    Raises:
        ValueError: If draws are needed and there is no generator.
    """
    times = times.double()
    weights = _weights(process, times)
    if isinstance(law, Gaussian):
        values = [_of_gaussian(law.noised(process, float(time))) for time in times]
        return exact(float(weights @ torch.tensor(values).to(weights)), method="closed form")
    generator = require(generator, "rise")
    data = law.sample(n, generator=generator)
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
    score = law.path_score(process)
    block = max(1, BLOCK_ENTRIES // (len(times) * law.d))
    parts = []
    for clean, shock in zip(data.split(block), noise.split(block), strict=True):
        at = times.to(clean).expand(len(clean), -1)
        noisy = process.perturb(clean[:, None], at, shock[:, None])
        squares = (score(noisy, at) + noisy).square().sum(-1)
        parts.append(squares @ weights.to(squares))
    return mean(torch.cat(parts), method=f"scores of the noised law on the grid, {n} draws")


@declared
def rise_of_moments(process: LinearSDE, times: Times, sample: Sample) -> Estimate:
    """Bound on :func:`rise` that needs the second moment of the law only.

    Summation by parts, and ``J(P_t) <= alpha^2 E ||X||^2 + d alpha^4 / sigma^2`` by Jensen's
    inequality; points without a density have it, too.

    Args:
        process: Noising process, variance preserving.
        times: Decreasing times, shape ``(N + 1,)``, the last one positive, whose steps do not
            grow towards the data.
        sample: Draws from the law, shape ``(n, d)``, n >= 2.

    Returns:
        Nats, an upper bound in the mean over samples; the error is that of the sample's moment.

    Raises:
        ValueError: If a step is longer than the one before it, or the last time is 0.

    Reference:
        :mod:`genbound.derivations.sampler_steps`.
    """
    times = times.double()
    # Grids come out of logarithms: equal steps differ by rounding.
    weights = _weights(process, times)[1:]
    if not bool((weights >= -1e-9 * weights[-1]).all()):
        raise ValueError("times: got steps that grow towards the data; allowed are none that do")
    if not float(times[-1]) > 0:
        raise ValueError("times: got a last one of 0, allowed is a positive one")
    signal2, noise2 = (scale.square() for scale in process.moments(times[1:]))
    per_norm = float(weights @ signal2)
    rest = sample.shape[-1] * float(weights @ (signal2.square() / noise2))
    norms = sample.double().square().sum(-1)
    return mean(per_norm * norms + rest, method="second moment of the data", side="upper")


def _weights(process: LinearSDE, times: Tensor) -> Tensor:
    """Weight of the information at each time in the sum over steps: summation by parts."""
    steps = -process.clock_of(times).diff() / 2
    nothing = torch.zeros_like(steps[:1])
    return -torch.cat([nothing, steps, nothing]).diff()


def _of_gaussian(law: Gaussian) -> float:
    variances, _ = law.spectrum
    if not bool((variances > 0).all()):
        raise ValueError("law: the covariance is singular, there is no density")
    return float(((variances - 1).square() / variances).sum() + law.mean.square().sum())
