"""How the learning rate changes: the factor on a member's rate in step k = 0, 1, ...

A schedule is any callable step -> factor whose `repr` tells its constants; these are values, so
that two equal ones are one to a checkpoint.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from genbound.training.optim import check

__all__ = ["Constant", "Cosine", "Power", "Schedule"]

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The factor 1 in every step."""

    def __call__(self, step: int) -> float:  # noqa: ARG002
        """The factor in step k."""
        return 1.0


@dataclass(frozen=True)
class Power:
    """The factor (1 + k)^-a.

    The steps of Langevin dynamics sum to infinity, and their squares do not, for 1/2 < a <= 1.

    Attributes:
        exponent: a, not negative.

    Raises:
        ValueError: If the exponent is out of range.
    """

    exponent: float

    def __post_init__(self) -> None:
        """Check the exponent."""
        check("exponent", self.exponent)

    def __call__(self, step: int) -> float:
        """The factor in step k."""
        return (1 + step) ** -self.exponent


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to c: the factor c + (1 - c) (1 + cos(pi k / K)) / 2.

    Attributes:
        steps: K, the number of steps; from step K on the factor is c.
        last: c, in [0, 1).

    Raises:
        ValueError: If an attribute is out of range.
    """

    steps: int
    last: float = 0.0

    def __post_init__(self) -> None:
        """Check the attributes."""
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        check("last", self.last, below=1.0)

    def __call__(self, step: int) -> float:
        """The factor in step k."""
        fraction = min(step / self.steps, 1.0)
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * fraction)) / 2
