"""A VAE with linear networks: probabilistic PCA, in which every term is a closed form."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

__all__ = ["Exact", "LinearVAE"]


class Exact(NamedTuple):
    """Terms of a linear VAE on Gaussian data, in nats, each 0-dim.

    Attributes:
        distortion: E -log g(X|Z) with Z drawn from E(X).
        rate: E KL(E(X) || pi).
        information: I(X; Z).
        aggregate_kl: KL(E#P || pi).
        nll: E -log p(X), the cross-entropy of the generator's law.
    """

    distortion: Tensor
    rate: Tensor
    information: Tensor
    aggregate_kl: Tensor
    nll: Tensor


@dataclass(frozen=True, eq=False)
class LinearVAE:
    """Decoder N(W z + c, sigma2 I), encoder N(A x + b, diag v), prior N(0, I_k).

    :mod:`genbound.derivations.linear_vae` solves one coordinate of it.

    Attributes:
        weight: W, shape ``(d, k)``.
        centre: c, shape ``(d,)``.
        sigma2: Variance of the decoder.
        encoder_weight: A, shape ``(k, d)``.
        encoder_offset: b, shape ``(k,)``.
        encoder_variance: v, shape ``(k,)``, positive.
    """

    weight: Tensor
    centre: Tensor
    sigma2: float
    encoder_weight: Tensor
    encoder_offset: Tensor
    encoder_variance: Tensor

    def __post_init__(self) -> None:
        """Check the variances."""
        if not self.sigma2 > 0:
            raise ValueError(f"sigma2: got {self.sigma2}, must be positive")
        if not bool((self.encoder_variance > 0).all()):
            raise ValueError("encoder_variance: got a value that is not positive")

    @classmethod
    def ppca(cls, weight: Tensor, centre: Tensor, sigma2: float) -> Self:
        """The generator's own posterior as the encoder: rate + distortion is the entropy.

        The latent space is rotated so that W has orthogonal columns, which leaves the generated
        law as it is and makes the posterior's covariance diagonal.

        Args:
            weight: W, shape ``(d, k)``.
            centre: c, shape ``(d,)``.
            sigma2: Variance of the decoder, positive.

        Returns:
            The model, with weight ``W V`` for the singular value decomposition ``W = U S V^T``.

        Reference:
            Tipping and Bishop (1999), section 3.
        """
        left, sizes, _ = torch.linalg.svd(weight, full_matrices=False)
        rotated = left * sizes
        k = weight.shape[1]
        # With fewer coordinates than latents the surplus latents stay at the prior.
        rotated = torch.nn.functional.pad(rotated, (0, k - rotated.shape[1]))
        variance = sigma2 / (rotated.square().sum(0) + sigma2)
        encoder = (rotated * variance / sigma2).mT
        return cls(rotated, centre, sigma2, encoder, -encoder @ centre, variance)

    @property
    def covariance(self) -> Tensor:
        """Covariance of the generated law, ``W W^T + sigma2 I``, shape ``(d, d)``."""
        identity = torch.eye(len(self.weight), dtype=self.weight.dtype, device=self.weight.device)
        return self.weight @ self.weight.mT + self.sigma2 * identity

    def encode(self, data: Tensor) -> Independent:
        """The laws E(x) of data ``(..., d)``: batch shape (...,), event shape (k,)."""
        mean = data @ self.encoder_weight.mT + self.encoder_offset
        return Independent(Normal(mean, self.encoder_variance.sqrt().expand_as(mean)), 1)

    def decode(self, latent: Tensor) -> Independent:
        """The laws G(z) of latents ``(..., k)``: batch shape (...,), event shape (d,)."""
        mean = latent @ self.weight.mT + self.centre
        scale = mean.new_full((), math.sqrt(self.sigma2)).expand_as(mean)
        return Independent(Normal(mean, scale), 1)

    def generate(self, latent: Tensor, *, generator: Generator) -> Tensor:
        """One draw of G(z) for each latent ``(..., k)``, shape ``(..., d)``."""
        law = self.decode(latent)
        noise = torch.randn(
            law.mean.shape, generator=generator, dtype=latent.dtype, device=latent.device
        )
        return law.mean + law.stddev * noise

    def log_density(self, data: Tensor) -> Tensor:
        """Exact log density of the generated law, ``(..., d) -> (...)``."""
        return MultivariateNormal(self.centre, self.covariance).log_prob(data)

    def exact(self, mean: Tensor, covariance: Tensor) -> Exact:
        """Every term on data of law N(mean, covariance).

        Args:
            mean: Shape ``(d,)``.
            covariance: Shape ``(d, d)``.

        Returns:
            The terms. For a sample of n data the mean and the covariance with divisor n give its
            training distortion, rate and likelihood, because these are means of quadratics.
        """
        d, k = self.weight.shape
        code_mean = self.encoder_weight @ mean + self.encoder_offset
        spread = self.encoder_weight @ covariance @ self.encoder_weight.mT
        together = spread + torch.diag(self.encoder_variance)
        rest = torch.eye(d).to(covariance) - self.weight @ self.encoder_weight
        error = mean - self.weight @ code_mean - self.centre
        squares = (
            (rest @ covariance @ rest.mT).trace()
            + (self.weight.square() * self.encoder_variance).sum()
            + error.square().sum()
        )
        size = code_mean.square().sum() + together.trace() - k
        log_volume = self.encoder_variance.log().sum()
        offset = mean - self.centre
        inverse = torch.linalg.inv(self.covariance)
        return Exact(
            distortion=(squares / self.sigma2 + d * math.log(2 * math.pi * self.sigma2)) / 2,
            rate=(size - log_volume) / 2,
            information=(torch.logdet(together) - log_volume) / 2,
            aggregate_kl=(size - torch.logdet(together)) / 2,
            nll=(
                (inverse @ covariance).trace()
                + offset @ inverse @ offset
                + torch.logdet(2 * math.pi * self.covariance)
            )
            / 2,
        )
