"""The reverse chain: a Markov chain with Gaussian steps, from the horizon down."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from genbound.arguments import Count, Times, declared, score_at
from genbound.protocols import ScoreModel
from genbound.sampler.grids import time_grid
from genbound.sampler.schemes import Scheme, Step, euler
from genbound.sde import LinearSDE

__all__ = ["RoundTrip", "affine_law", "reverse_chain", "sample"]

Score = Callable[[Tensor, Tensor], Tensor]


def reverse_chain(
    process: LinearSDE,
    score: Score,
    start: Tensor,
    times: Tensor,
    *,
    generator: torch.Generator,
    scheme: Scheme = euler,
) -> Generator[Step, None, Tensor]:
    """Run the reverse process as a Markov chain with Gaussian steps.

    By default ``Y' = Y + log(alpha(t') / alpha(t)) Y + delta score(Y, t) + sqrt(delta) noise``,
    where delta is the clock run down by the step. The noise has exactly the variance that the
    continuous process gains, so two chains with different scores have a finite divergence.

    Args:
        process: Noising process.
        score: Function of ``(state (s, d), time (s,))``.
        start: States at the first time, shape ``(s, d)``.
        times: Decreasing times, shape ``(N + 1,)``.
        generator: Source of the noise.
        scheme: What one step is: :func:`euler` or :func:`exponential`.

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
        step = Step(time, next_time, state, score_at(score, state, at), increment)
        yield step
        noise = torch.randn(
            state.shape, generator=generator, dtype=state.dtype, device=state.device
        )
        centre, variance = scheme(process, step)
        state = centre + variance.sqrt().to(state) * noise
    return state


@declared
@torch.no_grad()
def affine_law(
    process: LinearSDE, score: Score, times: Times, *, d: Count, scheme: Scheme = euler
) -> tuple[Tensor, Tensor]:
    """Law of the chain's end for a score that is affine in the state: a normal law, exactly.

    Args:
        process: Noising process.
        score: Function of ``(state (s, d), time (s,))``, affine in the state.
        times: Decreasing times, shape ``(N + 1,)``; the chain starts at N(0, I).
        d: Dimension.
        scheme: What one step is.

    Returns:
        Mean ``(d,)`` and covariance ``(d, d)``, float64.

    Raises:
        ValueError: If a step is not affine.
    """
    times = times.double()
    identity = torch.eye(d).to(times)
    far = 2 * identity.sum(0, keepdim=True)
    probes = torch.cat([torch.zeros_like(far), identity, far])
    mean, covariance = torch.zeros_like(identity[0]), identity
    for time, next_time in zip(times[:-1], times[1:], strict=True):
        increment = process.clock_of(time) - process.clock_of(next_time)
        read = score(probes, time.expand(len(probes)))
        centres, variance = scheme(process, Step(time, next_time, probes, read, increment))
        offset, rows = centres[0], centres[1:-1] - centres[0]
        if not torch.allclose(offset + 2 * rows.sum(0), centres[-1], rtol=1e-6, atol=1e-8):
            raise ValueError("score: got one that is not affine in the state; use reverse_chain")
        mean = mean @ rows + offset
        covariance = rows.mT @ covariance @ rows + variance * identity
    return mean, covariance


@declared
@torch.no_grad()
def sample(
    process: LinearSDE,
    score: Score,
    *,
    n: Count,
    d: Count,
    horizon: float,
    t_min: float,
    step: float,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    scheme: Scheme = euler,
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
        scheme: What one step is: :func:`euler` or :func:`exponential`.

    Returns:
        Samples, shape ``(n, d)``.
    """
    start = torch.randn(n, d, generator=generator, dtype=dtype, device=device)
    times = time_grid(process, horizon, t_min, step=step).to(device)
    chain = reverse_chain(process, score, start, times, generator=generator, scheme=scheme)
    return _end(chain)


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
