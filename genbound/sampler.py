"""The reverse chain: Euler-Maruyama in the clock of the process, with exact step noise."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from genbound.protocols import ScoreModel
from genbound.sde import LinearSDE

__all__ = ["RoundTrip", "Step", "reverse_chain", "sample", "step_mean", "time_grid"]

Score = Callable[[Tensor, Tensor], Tensor]


class Step(NamedTuple):
    """One step of the reverse chain, before the state is updated.

    Attributes:
        time: Time of the state, a float64 scalar.
        next_time: Time after the step, earlier than ``time``.
        state: Shape ``(s, d)``.
        score: Score at ``(state, time)``, shape ``(s, d)``.
        increment: Clock run down by the step, ``clock(time) - clock(next_time)``; it is the
            variance of the step's noise.
    """

    time: Tensor
    next_time: Tensor
    state: Tensor
    score: Tensor
    increment: Tensor


def time_grid(process: LinearSDE, horizon: float, t_min: float, *, step: float) -> Tensor:
    """Times from the horizon down to ``t_min``, evenly spaced in the log signal-to-noise ratio.

    Args:
        process: Noising process.
        horizon: Largest time.
        t_min: Smallest time, positive.
        step: Largest allowed spacing (nats).

    Returns:
        Decreasing times, shape ``(N + 1,)``, float64; first and last are exactly the given ends.

    Raises:
        ValueError: If ``0 < t_min < horizon`` or ``step > 0`` fails, or no signal is left.
    """
    if not 0 < t_min < horizon:
        raise ValueError(f"t_min: got {t_min}, allowed is 0 < t_min < horizon = {horizon}")
    if not step > 0:
        raise ValueError(f"step: got {step}, allowed is step > 0")
    first, last = process.log_snr_of(horizon).item(), process.log_snr_of(t_min).item()
    if not math.isfinite(first):
        raise ValueError(f"horizon: got {horizon}, where no signal is left; choose it smaller")
    # the tolerance keeps a range that is a whole number of steps from gaining one by rounding
    count = max(1, math.ceil((last - first) / step - 1e-9))
    times = process.time_of(torch.linspace(first, last, count + 1, dtype=torch.float64))
    times[0], times[-1] = horizon, t_min
    return times


def reverse_chain(
    process: LinearSDE,
    score: Score,
    start: Tensor,
    times: Tensor,
    *,
    generator: torch.Generator,
) -> Generator[Step, None, Tensor]:
    """Run the reverse process as a Markov chain with Gaussian steps.

    ``Y' = Y + log(alpha(t') / alpha(t)) Y + delta score(Y, t) + sqrt(delta) noise``, where delta
    is the clock run down by the step. The noise has exactly the variance that the continuous
    process gains, so two chains with different scores have a finite divergence.

    Args:
        process: Noising process.
        score: Function of ``(state (s, d), time (s,))``.
        start: States at the first time, shape ``(s, d)``.
        times: Decreasing times, shape ``(N + 1,)``.
        generator: Source of the noise.

    Yields:
        The N steps, each before its update.

    Returns:
        The states at the last time, shape ``(s, d)`` (the generator's return value).

    Raises:
        ValueError: If the times don't decrease.
    """
    times = times.double()
    if len(times) < 2 or not bool((times.diff() < 0).all()):
        raise ValueError("times: got times that do not decrease; allowed are two or more that do")
    increments = -process.clock_of(times).diff()
    state = start
    for time, next_time, increment in zip(times[:-1], times[1:], increments, strict=True):
        at = time.to(state).expand(state.shape[:-1])
        step = Step(time, next_time, state, score(state, at), increment)
        yield step
        noise = torch.randn(
            state.shape, generator=generator, dtype=state.dtype, device=state.device
        )
        state = step_mean(process, step) + increment.sqrt().to(state) * noise
    return state


def step_mean(process: LinearSDE, step: Step) -> Tensor:
    """Mean of the next state; given a step, that state is ``N(step_mean, increment I)``.

    Args:
        process: Noising process.
        step: A step of :func:`reverse_chain`.

    Returns:
        Shape ``(s, d)``.
    """
    scales, _ = process.moments(torch.stack([step.time, step.next_time]))
    growth = (1 + scales.log().diff()).to(step.state)
    return growth * step.state + step.increment.to(step.state) * step.score


@torch.no_grad()
def sample(
    process: LinearSDE,
    score: Score,
    *,
    n: int,
    d: int,
    horizon: float,
    t_min: float,
    step: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw from the model: the reverse chain from N(0, I) at the horizon down to ``t_min``.

    Args:
        process: Noising process whose prior is N(0, I).
        score: Function of ``(state (n, d), time (n,))``.
        n: Number of samples.
        d: Dimension.
        horizon: Time of the start.
        t_min: Time of the end.
        step: Largest spacing in the log signal-to-noise ratio (nats).
        generator: Source of all noise, on ``device``.
        dtype: Dtype of the states.
        device: Device of the states.

    Returns:
        Samples, shape ``(n, d)``.
    """
    start = torch.randn(n, d, generator=generator, dtype=dtype, device=device)
    times = time_grid(process, horizon, t_min, step=step).to(device)
    return _end(reverse_chain(process, score, start, times, generator=generator))


@dataclass(frozen=True)
class RoundTrip:
    """A score model as an encoder and a generator: noise up to the horizon, and the way back.

    Attributes:
        model: The score model; its process is one whose prior is N(0, I).
        step: Largest spacing of the reverse chain in the log signal-to-noise ratio (nats).
    """

    model: ScoreModel
    step: float

    def encode(self, data: Tensor) -> Independent:
        """The laws ``E_T(x) = N(alpha_T x, sigma_T^2 I)``.

        Args:
            data: Points x, shape ``(..., d)``.

        Returns:
            Batch shape ``(...,)``, event shape ``(d,)``.
        """
        signal, noise = (m.to(data) for m in self.model.process.moments(self.model.horizon))
        return Independent(Normal(signal * data, noise.expand_as(data)), 1)

    @torch.no_grad()
    def generate(self, latent: Tensor, *, generator: torch.Generator) -> Tensor:
        """One run of the reverse chain from each latent, down to ``t_min``.

        Args:
            latent: States at the horizon, shape ``(..., d)``.
            generator: Source of all noise, on the device of the latents.

        Returns:
            Shape ``(..., d)``.
        """
        model = self.model
        times = time_grid(model.process, model.horizon, model.t_min, step=self.step)
        start = latent.reshape(-1, latent.shape[-1])
        chain = reverse_chain(
            model.process, model.score, start, times.to(latent.device), generator=generator
        )
        return _end(chain).reshape(latent.shape)


def _end(chain: Generator[Step, None, Tensor]) -> Tensor:
    """Run a chain; the states after its last step."""
    while True:
        try:
            next(chain)
        except StopIteration as end:
            return end.value
