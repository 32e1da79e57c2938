"""Breakdown: what a bound said of one model, letter by letter."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import sympy as sp

from genbound.bound.parts import Constant
from genbound.estimate import Estimate, combine, exact
from genbound.symbolic import latex

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from genbound.bound.theorem import Bound

__all__ = ["Breakdown"]


@dataclass(frozen=True)
class Breakdown:
    """What a bound said of one model: every term with its error, the total, the verdict."""

    bound: "Bound"
    values: Mapping[sp.Symbol, Estimate]
    trivial: Estimate | None = None

    @cached_property
    def total(self) -> Estimate:
        """The bound, in its unit, with the error that its measured parts leave."""
        if any(math.isinf(estimate.value) for estimate in self.values.values()):
            return Estimate(math.inf, 0.0, 0, "an infinite constant", "exact")
        return combine(self.bound.theorem.expr, self.values, method=self.bound.name)

    @property
    def verdict(self) -> Literal["informative", "vacuous", "no certificate", "no reference"]:
        """Whether the total lies below what holds of a model that learned nothing.

        A number that only ranks is no certificate, however small it is.
        """
        if self.trivial is None:
            return "vacuous" if math.isinf(self.total.value) else "no reference"
        if not self.total.upper() < self.trivial.value:
            return "vacuous"
        return "no certificate" if self.bound.holds == "ranking only" else "informative"

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

    def plot(self, *, truth: "float | Estimate | None" = None, ax: "Axes | None" = None) -> "Axes":
        """Stacked contributions with the total's error, and the truth where it is known."""
        from genbound.plot import breakdown

        axes = breakdown(self.table(), total=self.total, truth=truth, ax=ax)
        axes.set(xlabel=self.bound.unit)
        return axes

    def _share(self, expr: sp.Expr) -> Estimate:
        letters = {symbol: self.values[symbol] for symbol in expr.free_symbols}
        if any(math.isinf(estimate.value) for estimate in letters.values()):
            return Estimate(math.inf, 0.0, 0, "an infinite constant", "exact")
        return combine(expr, letters)

    def __str__(self) -> str:
        """Theorem, total and verdict in one line."""
        total = f"{self.total} {self.bound.unit}"
        return f"{self.bound.name}: {total}, {self.verdict} ({self.bound.holds})"

    def _repr_html_(self) -> str:
        cells = "".join(
            f'<tr><td class="term">\\({escape(latex(sp.Symbol(row.term)), quote=False)}\\)</td>'
            f"<td>{escape(row.title)}</td><td>{self._text(row.term)}</td>"
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
            f"<p><strong>{escape(self.bound.name)}</strong>: "
            f"{self.total} {escape(self.bound.unit)}{trivial} "
            f'<span class="verdict verdict-{self.verdict.split()[0]}">{self.verdict}</span> '
            f"({self.bound.holds}; {escape(self.bound.source)})</p>"
            f'<ul class="assumptions">{notes}</ul>'
        )

    def _text(self, letter: str) -> str:
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
