"""Bound: the one place where a proved letter meets a measured word.

A :class:`Bound` is a derivation plus, for each letter of its last line, a way to measure it. The
theorem's last line *is* the total, so the sum of the terms cannot drift from the theorem.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import sympy as sp
import torch
from torch import Tensor

from genbound.derivation import Derivation
from genbound.estimate import Estimate, combine, exact
from genbound.symbolic import latex

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Assumption", "Bound", "Breakdown", "Constant", "Term", "WrongSide"]

Measure = Callable[..., Estimate]
Holds = Literal["in expectation", "with high probability", "ranking only"]


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

    def __post_init__(self) -> None:
        """Check that terms and constants are exactly the letters of the theorem."""
        letters = self.theorem.expr.free_symbols
        given = {part.symbol for part in (*self.terms, *self.constants)}
        if letters != given:
            raise ValueError(
                f"{self.name}: letters without a term or constant: {_names(letters - given)}; "
                f"terms or constants absent from the theorem: {_names(given - letters)}"
            )

    def evaluate(
        self,
        model: Any,  # noqa: ANN401
        data: Tensor,
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
            ValueError: If a constant is missing or not a non-negative number, or data are no
                matrix of at least two rows.
            WrongSide: If a term's estimator errs on the side that would break the bound.
        """
        self._check_model(model)
        if data.ndim != 2 or len(data) < 2:
            raise ValueError(f"data: shape {tuple(data.shape)}, need (n, d) with n >= 2")
        values = self._constants(model, data, constants)
        measured = {
            term.symbol: term.measure(model, data, generator=generator) for term in self.terms
        }
        everything = measured | values
        if self.holds != "ranking only":
            for part in (*self.terms, *self.constants):
                self._check_side(part, everything)
        trivial = self.trivial.measure(model, data, generator=generator) if self.trivial else None
        return Breakdown(self, everything, trivial)

    def latex(self) -> str:
        """The statement of the theorem."""
        return self.theorem.statement()

    def _check_model(self, model: Any) -> None:  # noqa: ANN401
        # Attributes are annotations of the protocol, methods are members of it.
        members = {name for name in vars(self.contract) if not name.startswith("_")}
        wanted = members | set(self.contract.__annotations__)
        missing = sorted(name for name in wanted if not hasattr(model, name))
        if missing:
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
            if not isinstance(value, Estimate):
                value = exact(value, method="given")
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
                f"{self.name}: {part.title} ({part.symbol}) was measured from the side "
                f"'{side}', but the bound {way} with it"
            )


@dataclass(frozen=True)
class Breakdown:
    """What a bound said of one model: every term with its error, the total, the verdict."""

    bound: Bound
    values: Mapping[sp.Symbol, Estimate]
    trivial: Estimate | None = None

    @property
    def total(self) -> Estimate:
        """The bound, in nats, with the error that its measured parts leave."""
        if any(math.isinf(estimate.value) for estimate in self.values.values()):
            return Estimate(math.inf, 0.0, 0, "an infinite constant", "exact")
        return combine(self.bound.theorem.expr, self.values, method=self.bound.name)

    @property
    def verdict(self) -> Literal["informative", "vacuous", "no reference"]:
        """Whether the total lies below what holds of a model that learned nothing."""
        if self.trivial is None:
            return "vacuous" if math.isinf(self.total.value) else "no reference"
        return "informative" if self.total.upper() < self.trivial.value else "vacuous"

    def __getitem__(self, name: str) -> Estimate:
        """The estimate of a term or constant, by its title, name or letter."""
        for part in (*self.bound.terms, *self.bound.constants):
            if name in (str(part.symbol), part.title, getattr(part, "name", None)):
                return self.values[part.symbol]
        raise KeyError(f"{name}: not in {[part.title for part in self.bound.terms]}")

    def table(self) -> "pd.DataFrame":
        """One row per term, with what it adds to the total; the contributions sum to it.

        Returns:
            Columns term, title, value, stderr, n, method, side, contribution,
            contribution_stderr, grade. An addend with several letters is listed under the first,
            one without letters in a row of its own.
        """
        import pandas as pd

        left = list(sp.Add.make_args(sp.expand(self.bound.theorem.expr)))
        rows = []
        for part in (*self.bound.terms, *self.bound.constants):
            mine = [addend for addend in left if part.symbol in addend.free_symbols]
            left = [addend for addend in left if addend not in mine]
            estimate = self.values[part.symbol]
            share = self._share(sp.Add(*mine))
            if isinstance(part, Constant) and part.known is not None and not mine:
                continue
            grade = getattr(part, "grade", "given")
            rows.append(_row(str(part.symbol), part.title, estimate, share, grade=grade))
        if left:
            number = float(sp.Add(*left))
            known = exact(number, method="the theorem")
            rows.append(_row("1", "number in the theorem", known, known, grade="defined"))
        return pd.DataFrame(rows)

    def plot(self, *, truth: float | None = None, ax: "Axes | None" = None) -> "Axes":
        """Stacked contributions with the total's error, and the truth where it is known."""
        from genbound.plot import breakdown

        return breakdown(self.table(), total=self.total, truth=truth, ax=ax)

    def _share(self, expr: sp.Expr) -> Estimate:
        letters = {symbol: self.values[symbol] for symbol in expr.free_symbols}
        if any(math.isinf(estimate.value) for estimate in letters.values()):
            return Estimate(math.inf, 0.0, 0, "an infinite constant", "exact")
        return combine(expr, letters)

    def __str__(self) -> str:
        """Theorem, total and verdict in one line."""
        return f"{self.bound.name}: {self.total} nats, {self.verdict} ({self.bound.holds})"

    def _repr_html_(self) -> str:
        cells = "".join(
            f'<tr><td class="term">\\({escape(latex(sp.Symbol(row.term)), quote=False)}\\)</td>'
            f"<td>{escape(row.title)}</td><td>{self.values_text(row.term)}</td>"
            f"<td>{row.contribution:+.4g}</td><td>{escape(row.side)}</td>"
            f"<td>{escape(row.method)}</td></tr>"
            for row in self.table().itertuples()
        )
        notes = "".join(
            f"<li>{'checked' if a.checked else 'assumed'}: {escape(a.text)}</li>"
            for a in self.bound.assumptions
        )
        trivial = f", against {self.trivial} without learning" if self.trivial else ""
        return (
            '<table class="breakdown"><thead><tr><th>letter</th><th>term</th><th>value</th>'
            "<th>adds</th><th>side</th><th>measured by</th></tr></thead>"
            f"<tbody>{cells}</tbody></table>"
            f"<p><strong>{escape(self.bound.name)}</strong>: {self.total} nats{trivial} "
            f'<span class="verdict verdict-{self.verdict.split()[0]}">{self.verdict}</span> '
            f"({self.bound.holds}; {escape(self.bound.source)})</p>"
            f'<ul class="assumptions">{notes}</ul>'
        )

    def values_text(self, letter: str) -> str:
        """The estimate of a letter as text."""
        texts = {str(symbol): str(estimate) for symbol, estimate in self.values.items()}
        return texts.get(letter, letter)


def _row(
    term: str, title: str, estimate: Estimate, share: Estimate, *, grade: str
) -> dict[str, Any]:
    return {
        "term": term,
        "title": title,
        "value": estimate.value,
        "stderr": estimate.stderr,
        "n": estimate.n,
        "method": estimate.method,
        "side": estimate.side,
        "contribution": share.value,
        "contribution_stderr": share.stderr,
        "grade": grade,
    }


def _names(symbols: set[sp.Symbol]) -> list[str]:
    return sorted(map(str, symbols))
