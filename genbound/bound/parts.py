"""What a bound is made of: measured letters, constants, and hypotheses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from torch import Tensor

from genbound.estimate import Estimate

__all__ = ["Assumption", "Constant", "Term", "WrongSide"]

Measure = Callable[..., Estimate]


class WrongSide(ValueError):
    """A term was measured by a method that errs on the side that would break the bound."""


@dataclass(frozen=True)
class Term:
    """A measured letter.

    Attributes:
        symbol: The letter in the theorem's last line.
        title: What it is, in a few words.
        measure: ``measure(model, data, *, generator) -> Estimate``.
        grade: Grade of the term's own formula (from its derivation).
    """

    symbol: sp.Symbol
    title: str
    measure: Measure = field(repr=False)
    grade: str = "defined"


@dataclass(frozen=True)
class Constant:
    """A letter that the reader must supply, or that follows from model and data.

    Attributes:
        symbol: The letter.
        name: Keyword of :meth:`Bound.evaluate`.
        title: What it is and where it may come from.
        known: ``known(model, data) -> float`` where it follows from them.
    """

    symbol: sp.Symbol
    name: str
    title: str
    known: Callable[[Any, Tensor], float] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Assumption:
    """A hypothesis of the theorem, and whether the evaluation checks it or only assumes it."""

    text: str
    checked: bool = False
