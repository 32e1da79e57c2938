"""A learner whose every bound has a closed form: it estimates a mean, and nothing else."""

from dataclasses import dataclass

from torch import Tensor

from genbound.sde import LinearSDE

__all__ = ["MeanLearner"]


@dataclass(frozen=True, eq=False)
class MeanLearner:
    """The score ``-(x - alpha_t mean)`` of N(mean, I) under a variance-preserving process.

    Trained on S it takes ``mean = S.mean(0)``; :mod:`genbound.derivations.trade_off` solves it.

    Attributes:
        mean: Learned mean, shape ``(d,)``.
        process: Noising process, variance preserving.
        horizon: Time T at which the reverse process starts.
        t_min: Time at which it stops.
    """

    mean: Tensor
    process: LinearSDE
    horizon: float
    t_min: float

    def score(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """Score at ``noisy`` of shape ``(..., d)`` and ``time`` of shape ``(...,)``."""
        signal_scale, _ = self.process.moments(time)
        return signal_scale.to(noisy).unsqueeze(-1) * self.mean.to(noisy) - noisy
