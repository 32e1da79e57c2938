"""The contracts a model must meet, and nothing else of the package.

Bounds and estimators know models only through these protocols, so that any object with the right
methods will do: a foreign network needs an adapter of a few lines and no base class.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Generator, Tensor
from torch.distributions import Distribution


@runtime_checkable
class ScoreModel(Protocol):
    """A learned score s(x, t), close to the gradient of log p_t, on [t_min, horizon].

    Attributes:
        process: The noising process that the score was learned for, a `LinearSDE`.
        horizon: T, the time at which the reverse process starts from N(0, I).
        t_min: The time at which the reverse process stops.
    """

    process: Any
    horizon: float
    t_min: float

    def score(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """The score of the noised law.

        Args:
            noisy: Points x, (..., d).
            time: Diffusion times, (...,), or one time for all points.

        Returns:
            s(x, t), (..., d), in the dtype and on the device of `noisy`.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """A Markov kernel E from data to latents."""

    def encode(self, data: Tensor) -> Distribution:
        """The laws E(x).

        Args:
            data: Points x, (..., d).

        Returns:
            A batch of distributions: batch shape (...,), event shape (k,).
        """
        ...


@runtime_checkable
class Decoder(Protocol):
    """A Markov kernel G from latents to data, the generator."""

    def decode(self, latent: Tensor) -> Distribution:
        """The laws G(z).

        Args:
            latent: Latents z, (..., k).

        Returns:
            A batch of distributions: batch shape (...,), event shape (d,).
        """
        ...


@runtime_checkable
class EncoderGenerator(Protocol):
    """An encoder and a generator that can be sampled, with or without a density.

    The prior of the latents is pi = N(0, I_k).
    """

    def encode(self, data: Tensor) -> Distribution:
        """The laws E(x).

        Args:
            data: Points x, (..., d).

        Returns:
            A batch of distributions: batch shape (...,), event shape (k,).
        """
        ...

    def generate(self, latent: Tensor, *, generator: Generator) -> Tensor:
        """One draw of G(z) for each latent, independent given the latents.

        Args:
            latent: Latents z, (..., k).
            generator: Source of the draws, on the device of `latent`.

        Returns:
            Data, (..., d).
        """
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """An encoder E and a generator G whose density g(x|z) is known, such as a VAE."""

    def encode(self, data: Tensor) -> Distribution:
        """The laws E(x), as for :class:`Encoder`."""
        ...

    def decode(self, latent: Tensor) -> Distribution:
        """The laws G(z), as for :class:`Decoder`."""
        ...


class Objective(NamedTuple):
    """What to minimise: all the randomness of one step, and a pure function of it.

    Attributes:
        draw: (data, generator) -> sample: picks a batch and draws every random number of one
            step. A sample is a tensor or a tuple, list or dict of tensors; its shapes must not
            depend on the data's length.
        loss: (module, sample) -> 0-dim tensor: pure, deterministic. `module` is called as the
            network itself is.
    """

    draw: Callable[[Tensor, Generator], Any]
    loss: Callable[[Callable[..., Any], Any], Tensor]
