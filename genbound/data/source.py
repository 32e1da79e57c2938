"""What a source of data knows: the contract of the toy laws."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from genbound.estimate import Estimate
from genbound.sde import LinearSDE

__all__ = [
    "DRAWS",
    "Source",
    "check_dimension",
    "column_moments",
    "information_from_entropy",
    "require",
]

DRAWS = 20_000


class Source(Protocol):
    """A law P on R^d that can be sampled and knows its density, score and information."""

    @property
    def d(self) -> int:
        """Dimension."""
        ...

    def sample(
        self, n: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draw ``n`` independent points, shape ``(n, d)``."""
        ...

    def noised(self, process: LinearSDE, time: float) -> "Source":
        """The law of ``alpha X + sigma noise`` at ``time``."""
        ...

    def log_density(self, data: Tensor) -> Tensor:
        """Log density in nats at ``data`` of shape ``(..., d)``."""
        ...

    def score(self, data: Tensor) -> Tensor:
        """Gradient of the log density, shape ``(..., d)``."""
        ...

    def path_score(self, process: LinearSDE) -> Callable[[Tensor, float | Tensor], Tensor]:
        """Scores of all noised laws, as a function of ``(noisy (..., d), time (...))``."""
        ...

    def entropy(self, *, generator: torch.Generator | None = None, n: int = DRAWS) -> Estimate:
        """Differential entropy in nats."""
        ...

    def information(
        self,
        process: LinearSDE,
        time: float,
        *,
        generator: torch.Generator | None = None,
        n: int = DRAWS,
    ) -> Estimate:
        """Mutual information ``I(X; X_t)`` in nats."""
        ...


def information_from_entropy(
    entropy: Estimate, process: LinearSDE, time: float, d: int
) -> Estimate:
    """Mutual information ``h(P_t) - d log(2 pi e sigma2) / 2`` from the noised law's entropy."""
    _, noise_scale = process.moments(time)
    noise_entropy = d * math.log(2 * math.pi * math.e * float(noise_scale) ** 2) / 2
    return replace(entropy, value=entropy.value - noise_entropy)


def require(generator: torch.Generator | None, name: str) -> torch.Generator:
    """Return the generator, or say that one is needed."""
    if generator is None:
        raise ValueError(f"generator: {name} has no quadrature here, it needs draws; pass one")
    return generator


def check_dimension(source: Source, data: Tensor) -> None:
    """Refuse data that do not live where the source does: the shapes may fit all the same."""
    if data.shape[-1] != source.d:
        raise ValueError(
            f"source: got one of dimension {source.d} for data of shape {tuple(data.shape)}"
        )


def column_moments(
    process: LinearSDE, time: float | Tensor, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Signal and noise scale in float64, with a last axis to multiply points ``(..., d)``."""
    if isinstance(time, Tensor):
        time = time.to(like)
    signal_scale, noise_scale = process.moments(time)
    return signal_scale.unsqueeze(-1), noise_scale.unsqueeze(-1)
