"""Isotropic Gaussian mixtures and laws on points."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genbound import estimate, mixtures
from genbound.data import quadrature
from genbound.data.source import DRAWS, column_moments, information_from_entropy, require
from genbound.estimate import Estimate
from genbound.sde import LinearSDE

__all__ = ["Mixture", "gaussian_mixture", "orthogonal_points", "points", "two_point"]


@dataclass(frozen=True, eq=False)
class Mixture:
    """An isotropic Gaussian mixture ``sum_j w_j N(c_j, variance I)``.

    With variance 0 it is a law on points: it can be sampled, noised, and asked for its
    information, but it has no density.

    Attributes:
        centres: Shape ``(k, d)``.
        variance: Variance of each component, non-negative.
        log_weights: Logarithms of the weights, shape ``(k,)``; equal weights by default.

    Raises:
        ValueError: If the shapes don't fit, a variance is negative or the weights don't sum to 1.
    """

    centres: Tensor
    variance: float
    log_weights: Tensor | None = None

    def __post_init__(self) -> None:
        """Check, and keep float64."""
        centres = torch.as_tensor(self.centres, dtype=torch.float64)
        if centres.ndim != 2:
            raise ValueError(f"centres: got shape {tuple(centres.shape)}, allowed is (k, d)")
        if not 0 <= self.variance < math.inf:
            raise ValueError(f"variance: got {self.variance}, allowed is 0 <= variance < inf")
        k = len(centres)
        given = self.log_weights
        weights = torch.full((k,), -math.log(k)) if given is None else torch.as_tensor(given)
        weights = weights.to(centres)
        if weights.shape != (k,) or abs(float(weights.exp().sum()) - 1) > 1e-6:
            raise ValueError(f"log_weights: need {k} logarithms of weights that sum to 1")
        object.__setattr__(self, "centres", centres)
        object.__setattr__(self, "variance", float(self.variance))
        object.__setattr__(self, "log_weights", weights - weights.logsumexp(0))

    @property
    def d(self) -> int:
        """Dimension."""
        return self.centres.shape[1]

    def sample(
        self, n: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draw ``n`` independent points, shape ``(n, d)``."""
        index = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=generator)
        centres = self.centres[index]
        noise = torch.randn(
            centres.shape, generator=generator, dtype=torch.float64, device=centres.device
        )
        return (centres + math.sqrt(self.variance) * noise).to(dtype)

    def noised(self, process: LinearSDE, time: float) -> "Mixture":
        """The law of ``alpha X + sigma noise`` at ``time``."""
        signal_scale, noise_scale = (float(scale) for scale in process.moments(time))
        variance = signal_scale**2 * self.variance + noise_scale**2
        return Mixture(signal_scale * self.centres, variance, self.log_weights)

    def log_density(self, data: Tensor) -> Tensor:
        """Log density in nats at ``data`` of shape ``(..., d)``."""
        return mixtures.log_density(data, *self._regular("log_density"))

    def score(self, data: Tensor) -> Tensor:
        """Gradient of the log density, shape ``(..., d)``."""
        return mixtures.score(data, *self._regular("score"))

    def path_score(self, process: LinearSDE) -> Callable[[Tensor, float | Tensor], Tensor]:
        """Scores of all noised laws, as a function of ``(noisy (..., d), time (...))``."""

        def score(noisy: Tensor, time: float | Tensor) -> Tensor:
            # a law made elsewhere serves the points where they are
            signal_scale, noise_scale = column_moments(
                process, time, self.centres.to(noisy.device)
            )
            # in the coordinates x / alpha the centres stay put, so each point has its own time
            variance = self.variance + (noise_scale / signal_scale).square().squeeze(-1)
            still = noisy.double() / signal_scale
            scores = mixtures.score(still, self.centres, variance, self.log_weights)
            return (scores / signal_scale).to(noisy.dtype)

        return score

    def entropy(self, *, generator: torch.Generator | None = None, n: int = DRAWS) -> Estimate:
        """Differential entropy in nats.

        By quadrature if the centres span at most a plane and are few enough, else the mean of
        ``n`` draws of the surprise.

        Args:
            generator: Source of the draws; needed in the second case only.
            n: Number of draws.

        Returns:
            The entropy.

        Raises:
            ValueError: If draws are needed and there is no generator, or there is no density.
        """
        self._regular("entropy")
        places = quadrature.coordinates(self.centres)
        order = quadrature.affordable_order(len(places), places.shape[1])
        if order is not None:
            return quadrature.entropy(
                places, self.variance, self.log_weights, d=self.d, order=order
            )
        draws = self.sample(n, generator=require(generator, "entropy"))
        return estimate.mean(-self.log_density(draws), method=f"mean surprise of {n} draws")

    def information(
        self,
        process: LinearSDE,
        time: float,
        *,
        generator: torch.Generator | None = None,
        n: int = DRAWS,
    ) -> Estimate:
        """Mutual information ``I(X; X_t)`` in nats.

        ``h(P_t) - d log(2 pi e sigma2) / 2`` where the entropy has a quadrature, else the mean
        over draws of the log density ratio of kernel and mixture, which varies far less than the
        surprise does.

        Args:
            process: Noising process.
            time: Time, positive.
            generator: Source of the draws; needed in the second case only.
            n: Number of draws.

        Returns:
            The information.

        Raises:
            ValueError: If draws are needed and there is no generator.
        """
        places = quadrature.coordinates(self.centres)
        if quadrature.affordable_order(len(places), places.shape[1]) is not None:
            return information_from_entropy(
                self.noised(process, time).entropy(), process, time, self.d
            )
        generator = require(generator, "information")
        data = self.sample(n, generator=generator)
        noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
        _, noise_scale = process.moments(time)
        kernel = -(
            noise.square().sum(-1) / 2 + self.d * torch.log(2 * math.pi * noise_scale**2) / 2
        )
        noisy = process.perturb(data, time, noise)
        ratio = kernel - self.noised(process, time).log_density(noisy)
        return estimate.mean(ratio, method=f"mean log density ratio of {n} draws")

    def _regular(self, name: str) -> tuple[Tensor, float, Tensor]:
        if self.variance == 0:
            raise ValueError(
                f"{name}: a law on points (variance 0) has no density; noise it first"
            )
        return self.centres, self.variance, self.log_weights


def two_point(a: Tensor | Sequence[float]) -> Mixture:
    """Two points, ``+a`` and ``-a``, with equal weights.

    Args:
        a: Shape ``(d,)``.

    Returns:
        The law. Its information is that of a binary signal in Gaussian noise.
    """
    a = torch.as_tensor(a, dtype=torch.float64)
    return points(torch.stack([a, -a]))


def points(centres: Tensor | Sequence[Sequence[float]]) -> Mixture:
    """Equal weights on given points, such as the empirical law of a sample.

    Args:
        centres: Shape ``(k, d)``.

    Returns:
        The law, with variance 0.
    """
    return Mixture(torch.as_tensor(centres, dtype=torch.float64), 0.0)


def orthogonal_points(m: int, norm: float) -> Mixture:
    """Equal weights on ``m`` orthogonal points of one norm in R^m.

    Args:
        m: Number of points, at least 1.
        norm: Their distance from the origin, positive.

    Returns:
        The law, with variance 0.
    """
    if m < 1 or not norm > 0:
        raise ValueError(f"m: got {m} points of norm {norm}, allowed is m >= 1 and norm > 0")
    return points(norm * torch.eye(m, dtype=torch.float64))


def gaussian_mixture(
    centres: Tensor | Sequence[Sequence[float]],
    *,
    variance: float,
    weights: Tensor | Sequence[float] | None = None,
) -> Mixture:
    """An isotropic Gaussian mixture from plain lists.

    Args:
        centres: Shape ``(k, d)``.
        variance: Variance of each component, positive.
        weights: Positive, shape ``(k,)``; scaled to sum to 1. Equal by default.

    Returns:
        The law.
    """
    centres = torch.as_tensor(centres, dtype=torch.float64)
    if weights is None:
        return Mixture(centres, variance)
    weights = torch.as_tensor(weights, dtype=torch.float64)
    return Mixture(centres, variance, torch.log(weights / weights.sum()))
