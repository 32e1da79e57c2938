"""Draws from torch distributions with an explicit source of randomness."""

import torch
from torch import Generator, Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

__all__ = ["draw"]


def draw(law: Distribution, *, generator: Generator, shape: tuple[int, ...] = ()) -> Tensor:
    """Independent draws from each law of a batch.

    The draws of a normal law are ``mean + stddev noise``, so they have gradients in both.

    Args:
        law: Normal or Bernoulli laws, or independent coordinates of such; batch shape (...,),
            event shape (k,) or ().
        generator: Source of the draws, on the device of the law.
        shape: How many draws of each law.

    Returns:
        Draws, shape (*shape, ..., k).

    Raises:
        TypeError: If the law is of another family.
    """
    if isinstance(law, Independent):
        return draw(law.base_dist, generator=generator, shape=shape)
    if isinstance(law, Bernoulli):
        probability = law.probs.expand(*shape, *law.probs.shape)
        return torch.bernoulli(probability, generator=generator)
    if isinstance(law, Normal):
        mean = law.mean.expand(*shape, *law.mean.shape)
        like = {"dtype": mean.dtype, "device": mean.device}
        return mean + law.stddev * torch.randn(mean.shape, generator=generator, **like)
    raise TypeError(
        f"law: got {type(law).__name__}, allowed are Normal, Bernoulli and Independent of them"
    )
