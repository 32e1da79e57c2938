r"""Objectives with a penalty from the bound: the path energy A of the generator term.

A = 1/2 int_{t_min}^T g_t^2 E ||s(x_t, t) - s_ref(x_t, t)||^2 dt says how far the learned score
departs from a reference that has not seen the data. In the bound x_t runs along the model's own
reverse path; here it is *noised data*, so that one batch gives the loss and the penalty at once,
and the penalised loss has the pointwise minimiser (s* + lambda s_ref) / (1 + lambda). The two
energies agree for a score that is right, and for every mean learner; in general they differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor

from genbound.models.diffusion import denoising_objective, noised
from genbound.models.vae import Terms, distortion_and_rate, elbo_objective
from genbound.protocols import Objective

__all__ = ["penalised_objective", "self_tuned_objective"]

Form = Literal["linear", "root"]
Reference = Literal["prior", "zero"]

# Below this the root is treated as flat: its slope at 0 is infinite, and 0 is in its subgradient.
_TINY = 1e-12


def penalised_objective(
    process: Any,  # noqa: ANN401
    *,
    batch: int,
    horizon: float,
    t_min: float,
    weight: float,
    form: Form = "linear",
    reference: Reference = "prior",
) -> Objective:
    r"""Denoising score matching with a penalty on the path energy.

    With the loss L and the draws of :func:`genbound.models.diffusion.denoising_objective`, and A
    the energy above under the same noised data,

    - ``linear``: L + weight A. One sample is unbiased for it.
    - ``root``: L + weight sqrt(2 A). The bound's weight is R / sqrt(n). The root of a batch's
      energy lies below the root of its mean by Jensen's inequality, by a share of about one
      eighth of the squared relative error of a batch; so one sample errs downwards.

    Objectives of one process, form and reference share one `loss` whatever their weights and
    horizons, so that an ensemble can train members of different weights together.

    Args:
        process: The noising process, a `LinearSDE`.
        batch: Points per step, drawn with replacement.
        horizon: T.
        t_min: In (0, T).
        weight: Weight of the penalty, not negative.
        form: "linear" or "root".
        reference: "prior", the score -x of N(0, I), or "zero", as in the paper.

    Returns:
        The objective. The module that is trained is called as module(noisy, time) -> score, with
        noisy (batch, d) and time (batch,).

    Raises:
        ValueError: If a word is unknown, the weight is negative or not finite, the times are out
            of order or the batch is empty.

    Reference:
        Chen, Zhu and Shkurti (2025) for the energy; :mod:`genbound.derivations.penalty` for what
        the penalty does where that can be solved.
    """
    for name, word, known in (("form", form, Form), ("reference", reference, Reference)):
        if word not in get_args(known):
            raise ValueError(f"{name}: got {word!r}, allowed are {get_args(known)}")
    plain = denoising_objective(process, batch=batch, horizon=horizon, t_min=t_min)
    return Objective(
        _weighted(plain.draw, "weight", weight), PenalisedLoss(process, form, reference)
    )


@dataclass(frozen=True)
class PenalisedLoss:
    """The loss of `penalised_objective`; a value, so that equal settings have equal losses."""

    process: Any
    form: Form
    reference: Reference

    def __call__(self, module: Callable[[Tensor, Tensor], Tensor], sample: Any) -> Tensor:  # noqa: ANN401
        """The loss of one sample, 0-dim, in nats."""
        points, weight = sample
        noisy, time, noise, noise_scale, half_range = noised(self.process, points)
        score = module(noisy, time)
        apart = score + noisy if self.reference == "prior" else score
        loss = half_range * (noise + noise_scale * score).square().sum(-1).mean()
        energy = half_range * (noise_scale * apart).square().sum(-1).mean()
        if self.form == "linear":
            return loss + weight * energy
        return loss + weight * (2 * energy).clamp_min(_TINY).sqrt()


def self_tuned_objective(*, latent: int, batch: int, scale: float) -> Objective:
    r"""The objective of a VAE with the encoder's term of the bound: distortion + R sqrt(2 rate).

    Its gradient is that of the beta-VAE with beta = R / sqrt(2 rate), where the rate is that of
    the current batch: a weight that tunes itself, strong while the code is short.

    Objectives share one `loss` whatever their scales.

    Args:
        latent: Dimension k of the latents, that of the model.
        batch: Points per step, drawn with replacement.
        scale: R, the sub-Gaussian constant of the loss in nats, not negative.

    Returns:
        The objective, for modules such as :class:`genbound.models.vae.VAE`.

    Raises:
        ValueError: If the batch or the latent is empty, or the scale is negative or not finite.

    Reference:
        Chen, Zhu and Shkurti (2025), in the spirit of the encoder-generator bound;
        :data:`genbound.derivations.vae.self_tuned` for the weight.
    """
    plain = elbo_objective(latent=latent, batch=batch)

    def points(data: Tensor, generator: Generator) -> tuple[Tensor, ...]:
        return plain.draw(data, generator)[:-1]

    return Objective(_weighted(points, "scale", scale), self_tuned_loss)


def self_tuned_loss(module: Callable[[Tensor, Tensor], Terms], sample: Any) -> Tensor:  # noqa: ANN401
    """The loss of :func:`self_tuned_objective`, 0-dim, in nats."""
    points, scale = sample
    distortion, rate = distortion_and_rate(module, points)
    return distortion + scale * (2 * rate).clamp_min(_TINY).sqrt()


def _weighted(draw: Callable[..., Any], name: str, weight: float) -> Callable[..., Any]:
    """The same draws, and a member's own weight beside them."""
    if not 0 <= weight < float("inf"):
        raise ValueError(f"{name} must be finite and not negative, got {weight}")

    def with_weight(data: Tensor, generator: Generator) -> tuple[Any, Tensor]:
        return draw(data, generator), torch.tensor(weight, dtype=data.dtype, device=data.device)

    return with_weight
