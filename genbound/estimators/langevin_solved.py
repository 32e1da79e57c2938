"""A run of Langevin training of which everything is known: the learner of a mean, from rest."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genbound.arguments import Count, Positive, declared
from genbound.derivations import sgld_rest
from genbound.estimate import exact
from genbound.estimators.langevin import LangevinRun

__all__ = ["SolvedRun", "solved_run"]


class SolvedRun(NamedTuple):
    """The run and what its bounds are about.

    Attributes:
        run: The run, without errors.
        gap: Exact expected gap.
        information: I(theta; S), nats.
        uniform: A valid scale R of the loss, one for all weights: weights and datum independent,
            it is a positive quadratic of normal variables.
        moving: Root mean square of the scales of the loss less that of the population's mean.
    """

    run: LangevinRun
    gap: float
    information: float
    uniform: float
    moving: float


@declared
def solved_run(
    *,
    n: Count,
    d: Count,
    variance: Positive,
    curvature: Positive,
    constant: float,
    untrained: float,
    rate: Positive,
    steps: Count,
    inverse_temperature: Positive,
    weight_decay: Positive,
) -> SolvedRun:
    """Full batches of the loss ``curvature |theta - z|^2 + constant``, data N(m, variance I_d).

    The weights start at rest, where the chain without gradients stays, around m.

    Args:
        n: Training samples.
        d: Dimension of data and weights.
        variance: v.
        curvature: kappa.
        constant: c_0, in the unit of the loss.
        untrained: Loss of a model that learned nothing.
        rate: lr.
        steps: K, at least 1.
        inverse_temperature: beta.
        weight_decay: w, positive.

    Returns:
        The run, exact.

    Reference:
        :mod:`genbound.derivations.sgld_rest`.
    """
    k = torch.arange(steps + 1, dtype=torch.float64)
    chain = (curvature, rate, weight_decay, inverse_temperature, k)
    share, spread = (_compiled(name)(*chain) for name in ("share_at", "spread_at"))

    def at(name: str) -> Tensor:
        return _compiled(name)(share, spread, curvature, n, d, variance)

    losses = at("loss") + constant
    run = LangevinRun(
        rates=torch.full((steps,), rate, dtype=torch.float64),
        measured=torch.arange(steps),
        squared=at("gradient2")[:-1, None],
        centred=at("step_variance")[:-1, None],
        single=at("single2")[:-1, None],
        batch=n,
        weights=d,
        inverse_temperature=inverse_temperature,
        loss=exact(float(losses[-1]), method="closed form"),
        start_loss=exact(float(losses[0]), method="closed form"),
        untrained_loss=exact(untrained, method="closed form"),
        weight_decay=weight_decay,
        start_divergence=0.0,
    )
    distance2 = float(at("shift2")[-1])
    return SolvedRun(
        run,
        float(at("gap")[-1]),
        float(at("information")[-1]),
        curvature * (variance + distance2 / d) * (2 * d) ** 0.5,
        2 * curvature * (variance * distance2) ** 0.5,
    )


@functools.cache
def _compiled(name: str) -> Callable[..., Tensor]:
    letters = sgld_rest.letters if name.endswith("_at") else sgld_rest.moments
    return getattr(sgld_rest, name).to_torch(*letters)
