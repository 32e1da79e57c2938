"""Variational autoencoders: two networks turned into an encoder and a generator, and the ELBO.

The prior is pi = N(0, I_k). The encoder is E(x) = N(m(x), diag s(x)^2); the generator G(z) draws
every coordinate of a datum on its own, from a normal or a Bernoulli law.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal

from genbound.protocols import Objective

__all__ = ["VAE", "Terms", "distortion_and_rate", "elbo_loss", "elbo_objective"]

Likelihood = Literal["gaussian", "bernoulli"]


class Terms(NamedTuple):
    """The two parts of the negative ELBO, in nats.

    Attributes:
        distortion: -log g(x|z) at one latent z drawn from E(x).
        rate: KL(E(x) || pi), in closed form.
    """

    distortion: Tensor
    rate: Tensor


class VAE(nn.Module):
    """An encoder and a generator with a Gaussian or a Bernoulli likelihood.

    Attributes:
        encoder_net: (..., d) -> (..., 2 k), the means m(x) and the logarithms of the scales s(x).
        decoder_net: (..., k) -> (..., d), the means of the data, or their logits.
        latent: k.
        likelihood: "gaussian" or "bernoulli".
        log_scale: Logarithm of the one scale of a Gaussian likelihood: a parameter if it is
            learned, a buffer if it is fixed. A Bernoulli likelihood has none.
    """

    def __init__(
        self,
        encoder_net: nn.Module,
        decoder_net: nn.Module,
        *,
        latent: int,
        likelihood: Likelihood,
        scale: float | None = None,
    ) -> None:
        """Join two networks.

        Args:
            encoder_net: Maps (..., d) to (..., 2 latent).
            decoder_net: Maps (..., latent) to (..., d).
            latent: k.
            likelihood: The law of a datum given its latent.
            scale: Standard deviation of a Gaussian likelihood; learned, from 1 on, if None.

        Raises:
            ValueError: If the likelihood is unknown, `latent` is not positive, or `scale` is not
                positive or given for a Bernoulli likelihood.
        """
        super().__init__()
        if likelihood not in get_args(Likelihood):
            raise ValueError(f"likelihood: got {likelihood!r}, allowed are {get_args(Likelihood)}")
        if latent < 1:
            raise ValueError(f"latent must be at least 1, got {latent}")
        if scale is not None and (likelihood == "bernoulli" or not 0 < scale < math.inf):
            raise ValueError(f"scale: got {scale}; a positive one, for a gaussian likelihood only")
        self.encoder_net = encoder_net
        self.decoder_net = decoder_net
        self.latent = latent
        self.likelihood = likelihood
        if likelihood == "gaussian" and scale is None:
            self.log_scale = nn.Parameter(torch.zeros(1))
        elif likelihood == "gaussian":
            self.register_buffer("log_scale", torch.full((1,), math.log(scale)))

    def encode(self, data: Tensor) -> Independent:
        """The laws E(x).

        Args:
            data: Points x, (..., d).

        Returns:
            Normal laws with independent coordinates: batch shape (...,), event shape (k,).
        """
        mean, log_scale = self.encoder_net(data).split(self.latent, -1)
        return Independent(Normal(mean, log_scale.exp()), 1)

    def decode(self, latent: Tensor) -> Independent:
        """The laws G(z).

        Args:
            latent: Latents z, (..., k).

        Returns:
            Normal or Bernoulli laws with independent coordinates: batch shape (...,), event
            shape (d,).
        """
        return self._law(latent, check=True)

    def generate(self, latent: Tensor, *, generator: Generator) -> Tensor:
        """One draw of G(z) for each latent.

        Args:
            latent: Latents z, (..., k).
            generator: Source of the draws, on the device of `latent`.

        Returns:
            Data, (..., d).
        """
        law = self.decode(latent).base_dist
        if self.likelihood == "bernoulli":
            return torch.bernoulli(law.probs, generator=generator)
        like = {"dtype": latent.dtype, "device": latent.device}
        return law.mean + law.stddev * torch.randn(law.mean.shape, generator=generator, **like)

    def forward(self, data: Tensor, noise: Tensor) -> Terms:
        """Distortion and rate of each datum, at the latent m(x) + s(x) noise.

        Args:
            data: Points x, (..., d).
            noise: Standard normal, (..., k).

        Returns:
            The terms, each (...,).
        """
        mean, log_scale = self.encoder_net(data).split(self.latent, -1)
        scale = log_scale.exp()
        law = self._law(mean + scale * noise, check=False)
        rate = (mean.square() + scale.square() - 1 - 2 * log_scale).sum(-1) / 2
        return Terms(-law.log_prob(data), rate)

    def _law(self, latent: Tensor, *, check: bool) -> Independent:
        # Under vmap no value can be looked at, so there the checks of torch must be off.
        output, quiet = self.decoder_net(latent), None if check else False
        if self.likelihood == "bernoulli":
            return Independent(Bernoulli(logits=output, validate_args=quiet), 1, quiet)
        scale = self.log_scale.to(output).exp().expand_as(output)
        return Independent(Normal(output, scale, validate_args=quiet), 1, quiet)


def elbo_objective(*, latent: int, batch: int, beta: float = 1.0) -> Objective:
    r"""The negative evidence lower bound, mean over the data, in nats per datum.

    One sample estimates, without bias, the mean over the data of
    E_{z ~ E(x)}[-log g(x|z)] + beta KL(E(x) || pi), which for beta = 1 is at least -log p(x).

    Objectives share one `loss` whatever their beta, so that an ensemble can train members of
    different beta together.

    Args:
        latent: Dimension k of the latents, that of the model.
        batch: Points per step, drawn with replacement.
        beta: Weight of the rate, not negative.

    Returns:
        The objective. The module that is trained is called as module(data, noise) -> Terms, with
        data (batch, d) and noise (batch, k).

    Raises:
        ValueError: If the batch or the latent is empty, or beta is negative or not finite.

    Reference:
        Kingma and Welling (2014), equation 7; Higgins et al. (2017) for beta.
    """
    for name, size in {"latent": latent, "batch": batch}.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}")

    def draw(data: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        like = {"dtype": data.dtype, "device": data.device}
        index = torch.randint(len(data), (batch,), generator=generator, device=data.device)
        noise = torch.randn(batch, latent, generator=generator, **like)
        return data[index], noise, noise.new_full((), beta)

    return Objective(draw, elbo_loss)


def elbo_loss(module: Callable[[Tensor, Tensor], Terms], sample: Any) -> Tensor:  # noqa: ANN401
    """The loss of :func:`elbo_objective`: mean distortion + beta mean rate, 0-dim, in nats."""
    *points, beta = sample
    distortion, rate = distortion_and_rate(module, points)
    return distortion + beta * rate


def distortion_and_rate(module: Callable[[Tensor, Tensor], Terms], sample: Any) -> Terms:  # noqa: ANN401
    """The means of both terms over a batch, from which any weighting of them is a loss.

    Args:
        module: module(data, noise) -> Terms, such as a :class:`VAE`.
        sample: The pair (data (b, d), noise (b, k)).

    Returns:
        Mean distortion and mean rate, each 0-dim, in nats.
    """
    data, noise = sample
    distortion, rate = module(data, noise)
    return Terms(distortion.mean(), rate.mean())
