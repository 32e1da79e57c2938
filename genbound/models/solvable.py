"""Scores whose every bound has a closed form: a learned mean, and a learned Gaussian."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genbound.sde import LinearSDE

__all__ = ["LinearScore", "MeanLearner"]


@dataclass(frozen=True, eq=False)
class MeanLearner:
    """The score ``-(x - alpha_t mean)`` of N(mean, I) under a variance-preserving process.

    Trained on S it takes ``mean = S.mean(0)``; :mod:`genbound.derivations.trade_off` solves it.

    Attributes:
        mean: Learned mean, shape ``(d,)``.
        process: Noising process, variance preserving.
        horizon: Time T at which the reverse process starts.
        t_min: Time at which it stops.
    """

    mean: Tensor
    process: LinearSDE
    horizon: float
    t_min: float

    def score(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """Score at ``noisy`` of shape ``(..., d)`` and ``time`` of shape ``(...,)``."""
        signal_scale, _ = self.process.moments(time)
        return signal_scale.to(noisy).unsqueeze(-1) * self.mean.to(noisy) - noisy


@dataclass(frozen=True, eq=False)
class LinearScore:
    """The score of N(mean, covariance), right or wrong, under any noising process.

    ``s(x, t) = -(alpha_t^2 covariance + sigma_t^2 I)^{-1} (x - alpha_t mean)``. Under a
    variance-preserving process the laws of its SDE and of its flow, and every bound, are closed
    forms: :mod:`genbound.derivations.linear_score` solves one axis of the covariance.

    Attributes:
        mean: Learned mean, shape ``(d,)``.
        covariance: Learned covariance, symmetric and positive semi-definite, shape ``(d, d)``.
        process: Noising process.
        horizon: Time T at which the reverse process starts.
        t_min: Time at which it stops.

    Raises:
        ValueError: If the shapes don't fit, or ``covariance`` is none.
    """

    mean: Tensor
    covariance: Tensor
    process: LinearSDE
    horizon: float
    t_min: float

    def __post_init__(self) -> None:
        """Check the shapes and the eigenvalues."""
        d = len(self.mean)
        if self.covariance.shape != (d, d):
            shape = tuple(self.covariance.shape)
            raise ValueError(f"covariance: got shape {shape}, allowed is {(d, d)}")
        if not torch.allclose(self.covariance, self.covariance.mT):
            raise ValueError("covariance: got a matrix that is not symmetric")
        if (least := float(self.spectrum[0].min())) < -1e-6:
            raise ValueError(f"covariance: got eigenvalue {least:.3g}, allowed is >= 0")

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues ``(d,)`` and eigenvectors ``(d, d)`` (columns) of the covariance."""
        return torch.linalg.eigh(self.covariance)

    def score(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """Score at ``noisy`` of shape ``(..., d)`` and ``time`` of shape ``(...,)``."""
        moments = self.process.moments(time)
        signal_scale, noise_scale = (word.to(noisy).unsqueeze(-1) for word in moments)
        variances, axes = (part.to(noisy) for part in self.spectrum)
        along = (noisy - signal_scale * self.mean.to(noisy)) @ axes
        return -(along / (signal_scale**2 * variances + noise_scale**2)) @ axes.mT
