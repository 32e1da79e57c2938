"""How far a generator's output lies from data: from their own codes, and from the prior's.

The discrepancy c(x, x~) is a function of two batches of points; the prior of the latents is
N(0, I_k).
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal, kl_divergence

from genbound.arguments import declared
from genbound.estimate import Estimate, mean
from genbound.estimators.draws import draw
from genbound.protocols import Encoder, EncoderGenerator

__all__ = [
    "Discrepancy",
    "distance",
    "encoded_loss",
    "left_scale",
    "prior_loss",
    "prior_scales",
    "squared_distance",
    "weighted_root_rate",
]

Discrepancy = Callable[[Tensor, Tensor], Tensor]

# Numbers held at once, over the data of a block, their draws and the dimension.
BLOCK_ENTRIES = 2**21


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distance of points ``(..., d)`` that broadcast, shape ``(...,)``."""
    return torch.linalg.vector_norm(first - second, dim=-1)


def squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared Euclidean distance of points ``(..., d)`` that broadcast, shape ``(...,)``."""
    return (first - second).square().sum(-1)


@declared
def encoded_loss(
    model: EncoderGenerator,
    data: Tensor,
    *,
    discrepancy: Discrepancy,
    draws: int,
    generator: Generator,
) -> Estimate:
    """Reconstruction loss, ``mean_i E c(x_i, x~)`` with ``z ~ E(x_i)`` and ``x~ ~ G(z)``.

    Args:
        model: Encoder and generator.
        data: Points, shape ``(n, d)``, n >= 2.
        discrepancy: Function of two batches of points.
        draws: Codes and generated points per datum.
        generator: Source of the draws, on the device of ``data``.

    Returns:
        In the unit of the discrepancy; unbiased, every datum with draws of its own.

    Raises:
        ValueError: If ``draws`` is below 1 or ``data`` is no matrix.
    """
    blocks = _blocks(model, data, discrepancy, draws, generator, encoded=True)
    losses = torch.cat([block.mean(0) for block in blocks])
    return mean(losses, method=f"distance to what comes back, {draws} codes per datum")


@declared
def prior_loss(
    model: EncoderGenerator,
    data: Tensor,
    *,
    discrepancy: Discrepancy,
    draws: int,
    generator: Generator,
) -> Estimate:
    """Mean discrepancy from what the prior generates, ``mean_i E c(x_i, x~)`` with ``z ~ pi``.

    On held-out data this is the test functional that the encoder-generator bound bounds. Less its
    value on training data it is the generator's gap (arguments as for :func:`encoded_loss`).
    """
    blocks = _blocks(model, data, discrepancy, draws, generator, encoded=False)
    losses = torch.cat([block.mean(0) for block in blocks])
    return mean(losses, method=f"distance to generated points, {draws} per datum")


@declared
def left_scale(
    model: EncoderGenerator,
    held_out: Tensor,
    *,
    discrepancy: Discrepancy,
    draws: int,
    generator: Generator,
) -> Estimate:
    """Left-sub-Gaussian constant of a non-negative discrepancy, ``R_2 = sqrt(E c(X, x~)^2)``.

    Args:
        model: Encoder and generator.
        held_out: Data that the model was not trained on, shape ``(n, d)``, n >= 2.
        discrepancy: Function of two batches of points, never negative.
        draws: Generated points per datum.
        generator: Source of the draws, on the device of ``held_out``.

    Returns:
        In the unit of the discrepancy; the root of an unbiased mean.

    Raises:
        ValueError: If a discrepancy is negative.
    """
    blocks = _blocks(model, held_out, discrepancy, draws, generator, encoded=False)
    square = mean(torch.cat([_squares(block).mean(0) for block in blocks]), method="")
    root = math.sqrt(square.value)
    slope = 1 / (2 * root) if root else 0.0
    return Estimate(
        root,
        slope * square.stderr,
        square.n,
        f"root mean square of the discrepancy, {draws} generated points per datum",
        "consistent",
        slope * square.influence,
    )


@declared
@torch.no_grad()
def prior_scales(
    model: EncoderGenerator,
    data: Tensor,
    *,
    discrepancy: Discrepancy,
    draws: int,
    generator: Generator,
) -> Tensor:
    """The constant of each datum, ``R_1(S, x_i) = sqrt(E c(x_i, x~)^2)`` with ``z ~ pi``.

    ``f_S(x_i, z)``, the mean of the discrepancy over ``x~ ~ G(z)``, is left-sub-Gaussian under the
    prior with this constant if the discrepancy is never negative. All data share the generated
    points; as the root of a mean the constants err low by a share of order ``1 / draws``.

    Args:
        model: Encoder and generator.
        data: Points, shape ``(n, d)``.
        discrepancy: Function of two batches of points, never negative.
        draws: Generated points, for all data together.
        generator: Source of the draws, on the device of ``data``.

    Returns:
        Shape ``(n,)``, float64, in the unit of the discrepancy.

    Raises:
        ValueError: If a discrepancy is negative.
    """
    latent = _from_prior(model, data[:1], draws, generator)
    made = model.generate(latent, generator=generator).squeeze(1)
    parts = [
        _squares(discrepancy(part.unsqueeze(1), made).double()).mean(1)
        for part in data.split(_rows(draws * data.shape[1]))
    ]
    return torch.cat(parts).sqrt()


@declared
@torch.no_grad()
def weighted_root_rate(model: Encoder, data: Tensor, scales: Tensor) -> Estimate:
    """Mean of ``R_1(S, x_i) sqrt(KL(E(x_i) || pi))``: the encoder's term with its own constants.

    Args:
        model: Encoder with independent normal coordinates.
        data: Points, shape ``(n, d)``, n >= 2.
        scales: The constants, shape ``(n,)``.

    Returns:
        In the unit of the constants.

    Raises:
        ValueError: If there is not one constant for each datum.
    """
    if scales.shape != data.shape[:1]:
        raise ValueError(f"scales: got shape {tuple(scales.shape)}, allowed is ({len(data)},)")
    law = model.encode(data)
    zero = torch.zeros_like(law.mean)
    rates = kl_divergence(law, Independent(Normal(zero, zero + 1), 1))
    return mean(scales.double() * rates.double().sqrt(), method="R_1 sqrt KL, closed form")


@torch.no_grad()
def _blocks(
    model: EncoderGenerator,
    data: Tensor,
    discrepancy: Discrepancy,
    draws: int,
    generator: Generator,
    *,
    encoded: bool,
) -> Iterator[Tensor]:
    """Discrepancies of the data of a block from points of their own, ``(draws, b)``, float64."""
    if data.ndim != 2:
        raise ValueError(f"data: got shape {tuple(data.shape)}, allowed is (n, d)")
    for part in data.split(_rows(draws * data.shape[1])):
        if encoded:
            latent = draw(model.encode(part), generator=generator, shape=(draws,))
        else:
            latent = _from_prior(model, part, draws, generator)
        yield discrepancy(part, model.generate(latent, generator=generator)).double()


def _from_prior(model: Encoder, data: Tensor, draws: int, generator: Generator) -> Tensor:
    """Latents of the prior, ``(draws, b, k)``; k is known from the encoder's laws."""
    k = model.encode(data).event_shape[-1]
    shape, like = (draws, len(data), k), {"dtype": data.dtype, "device": data.device}
    return torch.randn(shape, generator=generator, **like)


def _squares(discrepancies: Tensor) -> Tensor:
    if bool((discrepancies < 0).any()):
        raise ValueError(f"discrepancy: got {float(discrepancies.min()):.6g}, allowed is >= 0")
    return discrepancies.square()


def _rows(entries: int) -> int:
    if entries < 1:
        raise ValueError("draws: got fewer than 1, allowed is at least 1")
    return max(1, BLOCK_ENTRIES // entries)
