"""Derivation: an immutable chain of checked steps, from a definition to an expression.

Every step is verified when it is made; a false one raises :class:`genbound.symbolic.Refuted`
with a counter-example. The last line compiles to the tensor code that evaluates it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Self

import sympy as sp

from genbound.symbolic import Relation, is_nonnegative, latex, to_torch, verify_once

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GRADES", "Derivation", "Grade", "Step"]

Grade = Literal["defined", "substituted", "proved", "sampled", "witnessed", "granted"]

# From what needs no check to what rests on a citation: a chain is as strong as its last-ranked.
GRADES: tuple[Grade, ...] = (
    "defined",
    "substituted",
    "proved",
    "sampled",
    "witnessed",
    "granted",
)
_SYMBOLS = {"=": "=", "<=": r"\le", ">=": r"\ge"}


@dataclass(frozen=True)
class Step:
    r"""One line: what it claims of the line above, why, and how that was established.

    Attributes:
        relation: How it relates to the line above (the first line: to the left side).
        expr: The line.
        by: Reason, text that may contain ``\(...\)``.
        grade: How the claim was established.
        detail: What the check found.
        cite: Where a granted line is proved.
    """

    relation: Relation
    expr: sp.Expr
    by: str
    grade: Grade
    detail: str = ""
    cite: str = ""


@dataclass(frozen=True)
class Derivation:
    """A left side and the steps that lead from it to the last line.

    Make one with :meth:`of`; each method returns a new value with one more step.

    Attributes:
        lhs: What the derivation is about, a letter or an expression.
        steps: The lines.
        domain: Open interval of each symbol that its assumptions alone do not bound.

    Example:
        >>> x = sp.Symbol("x", positive=True)
        >>> square = Derivation.of(sp.Symbol("f"), (x + 1) ** 2, by="definition")
        >>> square.equals(x**2 + 2 * x + 1, by="expanding").grade
        'proved'
    """

    lhs: sp.Expr
    steps: tuple[Step, ...]
    domain: tuple[tuple[sp.Symbol, tuple[Any, Any]], ...] = ()

    @classmethod
    def of(
        cls,
        lhs: sp.Expr,
        expr: sp.Expr,
        *,
        by: str = "definition",
        domain: Mapping[sp.Symbol, tuple[Any, Any]] | None = None,
    ) -> Self:
        """Open a derivation with the definition of its left side.

        Args:
            lhs: Letter or expression.
            expr: What it stands for.
            by: Reason shown beside the line.
            domain: Open interval of symbols, for example ``{a: (0, 1)}``.

        Returns:
            A derivation of one line, grade ``defined``.
        """
        step = Step("=", sp.sympify(expr), by, "defined")
        return cls(sp.sympify(lhs), (step,), tuple((domain or {}).items()))

    @property
    def expr(self) -> sp.Expr:
        """The last line."""
        return self.steps[-1].expr

    @property
    def relation(self) -> Relation:
        """How the left side relates to the last line."""
        return next((step.relation for step in self.steps if step.relation != "="), "=")

    @property
    def grade(self) -> Grade:
        """The weakest grade among the steps and the results they use."""
        return max((step.grade for step in self.steps), key=GRADES.index)

    @property
    def grades(self) -> tuple[Grade, ...]:
        """The distinct grades, strongest first."""
        found = {step.grade for step in self.steps}
        return tuple(grade for grade in GRADES if grade in found)

    def equals(self, expr: sp.Expr, *, by: str, **check: Any) -> Self:  # noqa: ANN401
        """Add a line that equals the last one.

        Args:
            expr: The new line.
            by: Reason shown beside it.
            **check: ``using=`` derivations whose left sides may be replaced by their last lines;
                ``witness=`` closed forms of opaque letters on a solvable family.

        Returns:
            The longer derivation.

        Raises:
            Refuted: If the claim fails at a point; the message names it.
        """
        return self._extend("=", expr, by, **check)

    def at_most(self, expr: sp.Expr, *, by: str, **check: Any) -> Self:  # noqa: ANN401
        """Add a line that the last one does not exceed (arguments as for :meth:`equals`)."""
        return self._extend("<=", expr, by, **check)

    def at_least(self, expr: sp.Expr, *, by: str, **check: Any) -> Self:  # noqa: ANN401
        """Add a line that the last one does not fall below (arguments as for :meth:`equals`)."""
        return self._extend(">=", expr, by, **check)

    def granted(
        self,
        relation: Relation,
        expr: sp.Expr,
        *,
        cite: str,
        by: str,
        witness: Mapping[sp.Expr, sp.Expr] | None = None,
    ) -> Self:
        """Add a line taken from the literature.

        Args:
            relation: ``"="``, ``"<="`` or ``">="``.
            expr: The new line.
            cite: Where it is proved.
            by: Name of the result.
            witness: Closed forms of the letters on a solvable family, on which the citation is
                tried as well: a result copied with a wrong constant is refuted there.

        Returns:
            The longer derivation; the step's grade is ``granted``.

        Raises:
            Refuted: If the witness contradicts the line.
        """
        expr = sp.sympify(expr)
        detail = "cited, not checked"
        if witness is not None:
            verdict = verify_once(
                relation, self.expr, expr, domain=dict(self.domain), witness=witness
            )
            detail = f"cited; {verdict.detail}"
        return self._append(Step(relation, expr, by, "granted", detail, cite))

    def specialise(
        self,
        values: Mapping[sp.Symbol, Any],
        *,
        by: str,
        domain: Mapping[sp.Symbol, tuple[Any, Any]] | None = None,
    ) -> Self:
        """Open a child whose first line is the last one with symbols replaced.

        A substitution is no equality, so the child starts afresh; it keeps the relation and the
        weakest grade of its parent.

        Args:
            values: Replacement of each symbol.
            by: Reason shown beside the line.
            domain: Intervals of new symbols.

        Returns:
            The child.

        Raises:
            ValueError: If a number lies outside the domain of its symbol.
        """
        for symbol, (low, high) in self.domain:
            value = sp.sympify(values.get(symbol, symbol))
            below = value.is_number and low is not None and value <= low
            above = value.is_number and high is not None and value >= high
            if below or above:
                raise ValueError(f"values: {symbol} = {value}, allowed is ({low}, {high})")
        kept = {symbol: ends for symbol, ends in self.domain if symbol not in values}
        grade = max(("substituted", self.grade), key=GRADES.index)
        detail = f"a case of a result that is {self.grade}"
        expr = self.expr.subs(values, simultaneous=True)
        return type(self)(
            self.lhs.subs(values, simultaneous=True),
            (Step(self.relation, expr, by, grade, detail),),
            tuple((kept | dict(domain or {})).items()),
        )

    def named(self, lhs: sp.Expr) -> Self:
        """Give the left side another name."""
        return replace(self, lhs=sp.sympify(lhs))

    def to_torch(self, *args: sp.Symbol) -> Callable[..., "Tensor"]:
        """Compile the last line to tensor code with these symbols as arguments."""
        return to_torch(args, self.expr)

    def latex(self) -> str:
        """The whole chain as an aligned block, reasons and grades on the right."""
        rows = [
            rf"{left} &{_SYMBOLS[step.relation]} {latex(step.expr)}"
            rf" && \text{{{step.by}}}\;[\text{{{step.grade}}}]"
            for left, step in self._rows()
        ]
        return "\\begin{aligned}" + r" \\ ".join(rows) + "\\end{aligned}"

    def statement(self) -> str:
        """The result alone: left side, relation, last line."""
        return f"{latex(self.lhs)} {_SYMBOLS[self.relation]} {latex(self.expr)}"

    def _repr_latex_(self) -> str:
        return f"$${self.statement()}$$"

    def _repr_html_(self) -> str:
        """A table: formula, reason, grade, one row per step."""
        rows = []
        for left, step in self._rows():
            formula = rf"\(\displaystyle {left} {_SYMBOLS[step.relation]} {latex(step.expr)}\)"
            source = f" ({escape(step.cite)})" if step.cite else ""
            rows.append(
                f'<tr class="step"><td class="formula">{escape(formula, quote=False)}</td>'
                f'<td class="reason">{escape(step.by, quote=False)}{source}</td>'
                f'<td class="grade"><span class="grade grade-{step.grade}" '
                f'title="{escape(step.detail)}">{step.grade}</span></td></tr>'
            )
        return f'<div class="derivation"><table>{"".join(rows)}</table></div>'

    def _rows(self) -> list[tuple[str, Step]]:
        """The lines with what stands left of each; an opening ``x = x`` says nothing."""
        steps = self.steps
        if len(steps) > 1 and steps[0].expr == self.lhs:
            steps = steps[1:]
        return [(latex(self.lhs) if k == 0 else "", step) for k, step in enumerate(steps)]

    def _extend(
        self,
        relation: Relation,
        expr: sp.Expr,
        by: str,
        *,
        using: Sequence["Derivation"] = (),
        witness: Mapping[sp.Expr, sp.Expr] | None = None,
    ) -> Self:
        expr = sp.sympify(expr)
        domain = dict(self.domain)
        before, after = self.expr, expr
        for result in using:
            domain |= dict(result.domain)
            before = _replace(before, result, relation)
            if result.relation == "=":
                after = after.subs(result.lhs, result.expr)
        verdict = verify_once(relation, before, after, domain=domain, witness=witness)
        grades = (verdict.grade, *(result.grade for result in using))
        return self._append(
            Step(relation, expr, by, max(grades, key=GRADES.index), verdict.detail)
        )

    def _append(self, step: Step) -> Self:
        if {self.relation, step.relation} == {"<=", ">="}:
            raise ValueError(
                f"relation: a chain of {self.relation} cannot turn to {step.relation}"
            )
        return replace(self, steps=(*self.steps, step))


def _replace(expr: sp.Expr, result: Derivation, relation: Relation) -> sp.Expr:
    """Use a result inside an expression: its left side becomes its last line.

    An inequality may be used only where the expression grows (or falls) in that letter, so that
    the replacement goes in the direction of the step.
    """
    if result.relation == "=":
        return expr.subs(result.lhs, result.expr)
    # Where the letter may be 0, continuity carries over what holds for positive values.
    letter = sp.Dummy(positive=True) if result.lhs.is_nonnegative else sp.Dummy(real=True)
    slope = sp.diff(expr.subs(result.lhs, letter), letter)
    grows, falls = is_nonnegative(slope), is_nonnegative(-slope)
    needed = "<=" if grows else ">=" if falls else None
    allowed = needed if relation == "<=" else {"<=": ">=", ">=": "<="}.get(needed or "")
    if relation == "=" or result.relation != allowed:
        raise ValueError(
            f"using: {result.lhs} {result.relation} ... cannot serve a step '{relation}' here"
        )
    return expr.subs(result.lhs, result.expr)
