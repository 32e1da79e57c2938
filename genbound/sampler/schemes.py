"""What one step of the reverse chain is: a normal law, given the state and the score there."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genbound.sde import LinearSDE

__all__ = ["Scheme", "Step", "euler", "exponential", "need_preserved", "step_mean"]


class Step(NamedTuple):
    """One step of the reverse chain, before the state is updated.

    Attributes:
        time: Time of the state, a float64 scalar.
        next_time: Time after the step, earlier than ``time``.
        state: Shape ``(s, d)``.
        score: Score at ``(state, time)``, shape ``(s, d)``.
        increment: Clock run down by the step, ``clock(time) - clock(next_time)``.
    """

    time: Tensor
    next_time: Tensor
    state: Tensor
    score: Tensor
    increment: Tensor


Scheme = Callable[[LinearSDE, Step], tuple[Tensor, Tensor]]
"""Mean ``(s, d)`` and variance (a scalar) of the next state, given a step."""


def euler(process: LinearSDE, step: Step) -> tuple[Tensor, Tensor]:
    """Euler-Maruyama in the clock, with exactly the noise that the process gains.

    Args:
        process: Noising process.
        step: A step of :func:`reverse_chain`.

    Returns:
        Mean :func:`step_mean` and variance ``increment``.
    """
    return step_mean(process, step), step.increment


def exponential(process: LinearSDE, step: Step) -> tuple[Tensor, Tensor]:
    """Exponential integrator: score relative to N(0, I) held over the step, the rest exact.

    ``dX = (-X + 2 r) du + sqrt(2) dB`` with ``r = score + state`` read at the step's start and
    ``u`` half the clock: the mean is ``e^{-h} state + 2 (1 - e^{-h}) r``, the variance
    ``1 - e^{-2h}``, with ``h = increment / 2``. Without a score, ``r = 0``, it keeps N(0, I).

    Args:
        process: Noising process, variance preserving.
        step: A step of :func:`reverse_chain`.

    Returns:
        Mean, shape ``(s, d)``, and variance.

    Raises:
        ValueError: If the process does not preserve variance.

    Reference:
        The sampler of Dupuis et al. 2025 and of Conforti, Durmus and Silveri 2023.
    """
    need_preserved(process)
    keep = (-step.increment / 2).exp().to(step.state)
    pull = -torch.expm1(-step.increment / 2).to(step.state)
    mean = keep * step.state + 2 * pull * (step.score + step.state)
    return mean, -torch.expm1(-step.increment)


def step_mean(process: LinearSDE, step: Step) -> Tensor:
    """Mean of the next state under :func:`euler`, which is ``N(step_mean, increment I)``.

    Args:
        process: Noising process.
        step: A step of :func:`reverse_chain`.

    Returns:
        Shape ``(s, d)``.
    """
    scales, _ = process.moments(torch.stack([step.time, step.next_time]))
    growth = (1 + scales.log().diff()).to(step.state)
    return growth * step.state + step.increment.to(step.state) * step.score


def need_preserved(process: LinearSDE) -> None:
    """Raise ValueError unless N(0, I) is left as it is."""
    if not process.preserves_variance:
        raise ValueError(f"process: got {process.name}, allowed are those that preserve variance")
