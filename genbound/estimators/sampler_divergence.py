"""What a sampler on a given grid makes of a score: the divergence of its paths and of its law.

The sampler is the exponential integrator of :mod:`genbound.sampler`, whose score relative to
N(0, I), ``r = s + x``, is held over each step. Along the exact reverse process the true one grows
like ``e^u`` in the mean, so that the divergence of the paths is known up to expectations at the
grid points: :mod:`genbound.derivations.frozen_score` proves it.
"""

import math
from dataclasses import replace

import torch

from genbound.arguments import Several, Times, declared, score_at
from genbound.data import Gaussian, Mixture, Source, kl
from genbound.data.source import DRAWS
from genbound.estimate import Estimate, mean
from genbound.estimators import fisher
from genbound.estimators.divergence import log_mean_weight, running_log_weights
from genbound.protocols import ScoreModel
from genbound.sampler import exponential

__all__ = ["generated_kl", "path_kl", "prior_kl"]

# Numbers per evaluation of the model, over the points of a block, their paths and the dimension.
BLOCK_ENTRIES = 2**20


@declared
def prior_kl(law: Source, *, generator: torch.Generator | None = None) -> Estimate:
    """Divergence of a law from the prior, ``KL(P || N(0, I))``.

    Args:
        law: P, with a density.
        generator: Source of draws, where there is neither closed form nor quadrature.

    Returns:
        Nats.
    """
    zero = torch.zeros(1, law.d, dtype=torch.float64)
    prior = Gaussian(zero[0], torch.eye(law.d)) if isinstance(law, Gaussian) else Mixture(zero, 1)
    return kl(law, prior, generator=generator)


@declared
@torch.no_grad()
def path_kl(
    law: Source,
    model: ScoreModel,
    times: Times,
    *,
    generator: torch.Generator,
    n: Several = DRAWS,
) -> Estimate:
    """Divergence of the exact reverse path from the sampler's: what data processing starts from.

    ``KL(P_delta || pi) + sum_k E[h_k ||r||^2 - 2 (e^{h_k} - 1) r.Y]`` at the starts of the steps.

    Args:
        law: The law of the data.
        model: Score model of a variance-preserving process.
        times: Decreasing times of the exponential integrator, shape ``(N + 1,)``.
        generator: Source of the draws.
        n: Data drawn, at least 2; each is noised to every grid point.

    Returns:
        Nats, unbiased.
    """
    process, times = model.process, times.double()
    steps = -process.clock_of(times).diff() / 2
    end = prior_kl(law.noised(process, float(times[-1])), generator=generator)
    known = isinstance(law, Gaussian)
    data = law.sample(n, generator=generator)
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
    exact = law.path_score(process)
    total = torch.full((n,), end.value, dtype=torch.float64, device=data.device)
    for time, step in zip(times[:-1], steps, strict=True):
        at = time.to(data).expand(n)
        noisy = process.perturb(data, at, noise)
        learned, true = score_at(model.score, noisy, at) + noisy, exact(noisy, at) + noisy
        growth = torch.expm1(step) / step
        # the square completed: what no score can foresee is a Fisher information of the law
        unforeseen = true.square().sum(-1)
        if known:
            unforeseen = fisher.of_law(law, process, float(time)).value
        total += step * ((learned - growth * true).square().sum(-1) - growth**2 * unforeseen)
    cost = mean(total, method=f"score along {n} noised data at every step")
    return replace(cost, stderr=math.hypot(cost.stderr, end.stderr))


@declared
@torch.no_grad()
def generated_kl(
    law: Source,
    model: ScoreModel,
    times: Times,
    *,
    n: Several,
    paths: Several,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
) -> Estimate:
    """Divergence of the law that the sampler makes, ``KL(P_delta || law of its end)``.

    The density of the chain's end by importance sampling over noised paths, as in
    :mod:`genbound.estimators.divergence`, here with the exponential integrator on any grid.

    Args:
        law: The law of the data.
        model: Score model of a variance-preserving process.
        times: Decreasing times, shape ``(N + 1,)``.
        n: Points drawn from ``P_delta``, at least 2.
        paths: Noised paths per point, at least 2.
        generator: Source of points and noise.
        dtype: Dtype of the points, that of the model's weights.

    Returns:
        Nats; consistent as the paths grow.

    Raises:
        ValueError: If ``paths`` is below 2.
    """
    noised = law.noised(model.process, float(times[-1]))
    points = noised.sample(n, generator=generator, dtype=dtype)
    parts = []
    for part in points.split(max(1, BLOCK_ENTRIES // (paths * law.d))):
        ends = part.repeat_interleave(paths, 0)
        *_, weights = running_log_weights(
            model, ends, times.double(), generator=generator, scheme=exponential
        )
        parts.append(log_mean_weight(weights.reshape(-1, paths)))
    gaps = noised.log_density(points).double() - torch.cat(parts)
    method = f"log density ratio, {paths} paths per point"
    return mean(gaps, method=method, side="consistent")
