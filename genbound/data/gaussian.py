"""Gaussian data: every question has a closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genbound import estimate
from genbound.data.source import DRAWS, column_moments
from genbound.estimate import Estimate
from genbound.sde import LinearSDE

__all__ = ["Gaussian"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The normal law ``N(mean, covariance)``.

    Attributes:
        mean: Shape ``(d,)``.
        covariance: Symmetric, positive semi-definite, shape ``(d, d)``.

    Raises:
        ValueError: If the shapes don't fit or the covariance is none.
    """

    mean: Tensor
    covariance: Tensor

    def __post_init__(self) -> None:
        """Check, and keep float64."""
        mean, covariance = (
            torch.as_tensor(part, dtype=torch.float64) for part in (self.mean, self.covariance)
        )
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            shape = tuple(covariance.shape)
            raise ValueError(f"covariance: got shape {shape} with a mean of {tuple(mean.shape)}")
        if not torch.allclose(covariance, covariance.mT):
            raise ValueError("covariance: got a matrix that is not symmetric")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)
        smallest = float(self.spectrum[0].min())
        if smallest < -1e-10 * float(self.spectrum[0].max()):
            raise ValueError(f"covariance: got eigenvalue {smallest:.3g}, allowed is >= 0")

    @property
    def d(self) -> int:
        """Dimension."""
        return len(self.mean)

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues ``(d,)`` and eigenvectors ``(d, d)`` (columns) of the covariance."""
        return torch.linalg.eigh(self.covariance)

    def sample(
        self, n: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draw ``n`` independent points, shape ``(n, d)``."""
        variances, axes = self.spectrum
        noise = torch.randn(
            n, self.d, generator=generator, dtype=torch.float64, device=self.mean.device
        )
        return (self.mean + noise * variances.clamp(min=0).sqrt() @ axes.mT).to(dtype)

    def noised(self, process: LinearSDE, time: float) -> "Gaussian":
        """The law of ``alpha X + sigma noise`` at ``time``."""
        signal_scale, noise_scale = process.moments(time)
        identity = torch.eye(self.d).to(self.mean)
        return Gaussian(
            signal_scale * self.mean,
            signal_scale**2 * self.covariance + noise_scale**2 * identity,
        )

    def log_density(self, data: Tensor) -> Tensor:
        """Log density in nats at ``data`` of shape ``(..., d)``."""
        variances, axes = self._regular_spectrum("log_density")
        whitened = (data.double() - self.mean) @ axes / variances.sqrt()
        volume = torch.log(2 * math.pi * variances).sum()
        return (-(whitened.square().sum(-1) + volume) / 2).to(data.dtype)

    def score(self, data: Tensor) -> Tensor:
        """Gradient of the log density, shape ``(..., d)``."""
        variances, axes = self._regular_spectrum("score")
        return -((data.double() - self.mean) @ axes / variances @ axes.mT).to(data.dtype)

    def path_score(self, process: LinearSDE) -> Callable[[Tensor, float | Tensor], Tensor]:
        """Scores of all noised laws, as a function of ``(noisy (..., d), time (...))``."""
        variances, axes = self.spectrum

        def score(noisy: Tensor, time: float | Tensor) -> Tensor:
            # a law made elsewhere serves the points where they are
            mean, scales, turn = (part.to(noisy.device) for part in (self.mean, variances, axes))
            signal_scale, noise_scale = column_moments(process, time, mean)
            along = (noisy.double() - signal_scale * mean) @ turn
            return -(along / (signal_scale**2 * scales + noise_scale**2) @ turn.mT).to(noisy)

        return score

    def entropy(
        self,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002
        n: int = DRAWS,  # noqa: ARG002
    ) -> Estimate:
        """Differential entropy ``log det(2 pi e covariance) / 2`` in nats; needs no draws."""
        variances, _ = self._regular_spectrum("entropy")
        value = torch.log(2 * math.pi * math.e * variances).sum() / 2
        return estimate.exact(float(value), method="closed form")

    def information(
        self,
        process: LinearSDE,
        time: float,
        *,
        generator: torch.Generator | None = None,  # noqa: ARG002
        n: int = DRAWS,  # noqa: ARG002
    ) -> Estimate:
        """Mutual information ``log det(I + alpha^2 covariance / sigma2) / 2``; needs no draws."""
        ratio = process.log_snr_of(time).exp() * self.spectrum[0].clamp(min=0)
        return estimate.exact(float(torch.log1p(ratio).sum() / 2), method="closed form")

    def _regular_spectrum(self, name: str) -> tuple[Tensor, Tensor]:
        variances, axes = self.spectrum
        if not bool((variances > 0).all()):
            raise ValueError(f"{name}: the covariance is singular, there is no density")
        return variances, axes
