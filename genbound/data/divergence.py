"""The divergence between two sources."""

import torch

from genbound import estimate
from genbound.data import quadrature
from genbound.data.gaussian import Gaussian
from genbound.data.mixture import Mixture
from genbound.data.source import DRAWS, Source, require
from genbound.data.swiss_roll import SwissRoll
from genbound.estimate import Estimate

__all__ = ["kl"]


def kl(
    first: Source, second: Source, *, generator: torch.Generator | None = None, n: int = DRAWS
) -> Estimate:
    """Divergence ``KL(first || second)`` in nats.

    Closed form for two Gaussians; quadrature for two mixtures whose centres span at most a plane;
    else the mean over ``n`` draws of the log density ratio.

    Args:
        first: Law of the draws.
        second: Law they are coded with.
        generator: Source of the draws; needed in the last case only.
        n: Number of draws.

    Returns:
        The divergence.

    Raises:
        ValueError: If the dimensions differ, or draws are needed and there is no generator.
    """
    if first.d != second.d:
        raise ValueError(f"second: got dimension {second.d}, allowed is that of first, {first.d}")
    if isinstance(first, Gaussian) and isinstance(second, Gaussian):
        return estimate.exact(_gaussian_kl(first, second), method="closed form")
    left, right = (law.mixture if isinstance(law, SwissRoll) else law for law in (first, second))
    if isinstance(left, Mixture) and isinstance(right, Mixture):
        if left.variance == 0 or right.variance == 0:
            raise ValueError("first: a law on points (variance 0) has no density; noise it first")
        k = len(left.centres)
        places = quadrature.coordinates(torch.cat([left.centres, right.centres]))
        order = quadrature.affordable_order(len(places), places.shape[1])
        if order is not None:
            return quadrature.kl(
                (places[:k], left.variance, left.log_weights),
                (places[k:], right.variance, right.log_weights),
                d=first.d,
                order=order,
            )
    draws = first.sample(n, generator=require(generator, "kl"))
    ratio = first.log_density(draws) - second.log_density(draws)
    return estimate.mean(ratio, method=f"mean log density ratio of {n} draws")


def _gaussian_kl(first: Gaussian, second: Gaussian) -> float:
    root = torch.linalg.cholesky(second.covariance)
    whitened = torch.linalg.solve_triangular(root, first.covariance, upper=False)
    whitened = torch.linalg.solve_triangular(root, whitened.mT, upper=False)
    shift = torch.linalg.solve_triangular(
        root, (first.mean - second.mean).unsqueeze(-1), upper=False
    )
    excess = torch.linalg.eigvalsh((whitened + whitened.mT) / 2) - 1
    # x - log(1 + x) keeps its digits when the two laws are close
    return float(((excess - torch.log1p(excess)).sum() + shift.square().sum()) / 2)
