"""Bound: a derivation, and for each letter of its last line a way to measure it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import sympy as sp
import torch
from torch import Tensor

from genbound.arguments import Sample, declared, lacking
from genbound.bound.breakdown import Breakdown
from genbound.bound.parts import Assumption, Constant, Term, WrongSide
from genbound.derivation import Derivation
from genbound.estimate import Estimate, exact

__all__ = ["Bound"]

Holds = Literal["in expectation", "with high probability", "ranking only"]


@dataclass(frozen=True)
class Bound:
    """An upper bound that evaluates on any model which fulfils a contract.

    Attributes:
        name: Label of the theorem, the same in book, docstring and code.
        theorem: Derivation whose last line is the total.
        terms: One per measured letter of the last line.
        constants: One per remaining letter.
        contract: Protocol that the model must fulfil.
        source: Paper and theorem.
        holds: In which sense the inequality holds.
        assumptions: Hypotheses.
        trivial: Measures what the same bound says of a model that learned nothing; a total that
            is not below it is vacuous.
        unit: Unit of the total.

    Raises:
        ValueError: If a letter of the last line has neither a term nor a constant, or the reverse.
    """

    name: str
    theorem: Derivation
    terms: tuple[Term, ...]
    constants: tuple[Constant, ...]
    contract: type
    source: str
    holds: Holds = "in expectation"
    assumptions: tuple[Assumption, ...] = ()
    trivial: Term | None = None
    unit: str = "nats"

    def __post_init__(self) -> None:
        """Check that terms and constants are exactly the letters of the theorem."""
        letters = self.theorem.expr.free_symbols
        given = {part.symbol for part in (*self.terms, *self.constants)}
        if letters != given:
            raise ValueError(
                f"{self.name}: letters without a term or constant: {_names(letters - given)}; "
                f"terms or constants absent from the theorem: {_names(given - letters)}"
            )

    @declared
    def evaluate(
        self,
        model: Any,  # noqa: ANN401
        data: Sample,
        *,
        generator: torch.Generator,
        **constants: float | Estimate,
    ) -> "Breakdown":
        """Measure every term on a model and its training data.

        Args:
            model: Any object that fulfils the contract.
            data: Training data, shape ``(n, d)``.
            generator: Source of every random number.
            **constants: Values (or estimates) of the constants, by name.

        Returns:
            The breakdown.

        Raises:
            TypeError: If the model lacks a method of the contract, or a constant is unknown.
            ValueError: If a constant is missing or not a non-negative number, data are no finite
                matrix of at least two rows, or the theorem has no value at what was measured.
            WrongSide: If a term's estimator errs on the side that would break the bound.
        """
        self._check_model(model)
        values = self._constants(model, data, constants)
        measured = {
            term.symbol: term.measure(model, data, generator=generator) for term in self.terms
        }
        everything = measured | values
        if self.holds != "ranking only":
            for part in (*self.terms, *self.constants):
                self._check_side(part, everything)
        trivial = self.trivial.measure(model, data, generator=generator) if self.trivial else None
        breakdown = Breakdown(self, everything, trivial)
        if math.isnan(breakdown.total.value):
            found = {
                part: everything[part.symbol].value for part in (*self.terms, *self.constants)
            }
            at = ", ".join(f"{_called(part)} = {value:.4g}" for part, value in found.items())
            raise ValueError(f"{self.name}: has no value at {at}")
        return breakdown

    def latex(self) -> str:
        """The statement of the theorem."""
        return self.theorem.statement()

    def _check_model(self, model: Any) -> None:  # noqa: ANN401
        if missing := lacking(model, self.contract):
            raise TypeError(
                f"model: {type(model).__name__} is no {self.contract.__name__}, "
                f"it lacks {', '.join(missing)}"
            )

    def _constants(
        self,
        model: Any,  # noqa: ANN401
        data: Tensor,
        given: Mapping[str, float | Estimate],
    ) -> dict[sp.Symbol, Estimate]:
        open_names = {c.name: c for c in self.constants if c.known is None}
        unknown = sorted(set(given) - set(open_names))
        if unknown:
            raise TypeError(f"{self.name}: unknown {unknown}, allowed are {sorted(open_names)}")
        missing = [f"{name} ({c.title})" for name, c in open_names.items() if name not in given]
        if missing:
            raise ValueError(f"{self.name}: give a value for {'; '.join(missing)}")
        values = {}
        for constant in self.constants:
            if constant.known is not None:
                values[constant.symbol] = exact(constant.known(model, data), method="known")
                continue
            value = given[constant.name]
            if isinstance(value, Real | Tensor):
                value = exact(value, method="given")
            elif not isinstance(value, Estimate):
                raise TypeError(f"{constant.name}: got {value!r}, allowed is a number or Estimate")
            if not value.value >= 0:
                raise ValueError(f"{constant.name}: got {value.value}, must be >= 0")
            values[constant.symbol] = value
        return values

    def _check_side(self, part: Term | Constant, values: Mapping[sp.Symbol, Estimate]) -> None:
        side = values[part.symbol].side
        if side in ("exact", "unbiased", "consistent"):
            return
        # A root has no slope at 0, yet it rises: the sign is asked for where all letters are > 0.
        inside = {letter: sp.Dummy(positive=True) for letter in values if letter.is_nonnegative}
        slope = sp.diff(self.theorem.expr, part.symbol).subs(inside)
        rises, falls = slope.is_nonnegative, slope.is_nonpositive
        if not ((rises and side == "upper") or (falls and side == "lower")):
            way = "rises" if rises else "falls" if falls else "neither rises nor falls"
            raise WrongSide(
                f"{self.name}: {_called(part)} was measured from the side '{side}', "
                f"but the bound {way} with it"
            )


def _names(symbols: set[sp.Symbol]) -> list[str]:
    return sorted(map(str, symbols))


def _called(part: Term | Constant) -> str:
    return part.name if isinstance(part, Constant) else part.title
