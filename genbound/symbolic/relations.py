"""Decide a relation between two expressions on a domain, and say how far."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import sympy as sp
from sympy import stats
from sympy.stats import Expectation, Variance

from genbound.symbolic.code import plain
from genbound.symbolic.points import (
    DIGITS,
    POINTS,
    Domain,
    Refuted,
    Relation,
    Undecided,
    try_points,
)
from genbound.symbolic.proofs import is_nonnegative, is_zero

__all__ = ["Domain", "Relation", "Verdict", "verify"]


@dataclass(frozen=True)
class Verdict:
    """How a relation was established.

    Attributes:
        grade: ``"proved"`` (reduced to 0, or to a non-negative expression), ``"sampled"`` (holds
            at random rational points of the domain) or ``"witnessed"`` (holds on a family on
            which opaque letters have closed forms).
        detail: One line for people.
    """

    grade: Literal["proved", "sampled", "witnessed"]
    detail: str


def verify(
    relation: Relation,
    left: sp.Expr,
    right: sp.Expr,
    *,
    domain: Domain | None = None,
    witness: Mapping[sp.Expr, sp.Expr] | None = None,
) -> Verdict:
    """Decide ``left relation right`` on a domain.

    The relation is first tried at random rational points with 30 digits, which finds false claims
    at once; then SymPy is asked for a proof. ``simplify(...) == 0`` alone is no decision
    procedure: it misses true identities, so a relation without a proof keeps the grade of its
    points.

    Args:
        relation: ``"="``, ``"<="`` or ``">="``.
        left: Left side.
        right: Right side.
        domain: Open interval ``(low, high)`` of each symbol that its assumptions alone do not
            bound; ``None`` as an end means unbounded.
        witness: Closed forms of opaque letters (expectations, divergences, informations) on a
            family where both sides are known. The grade is then ``"witnessed"`` at best.

    Returns:
        The verdict.

    Raises:
        Refuted: If a point contradicts the relation.
        Undecided: If too few points of the domain give real values.
        ValueError: If ``relation`` is not one of the three.
    """
    if relation not in ("=", "<=", ">="):
        raise ValueError(f"relation: got {relation!r}, allowed are '=', '<=' and '>='")
    left, right = sp.sympify(left), sp.sympify(right)
    claim = f"{left} {relation} {right}"
    gap = right - left if relation == "<=" else left - right
    if witness is not None:
        gap, right = (side.subs(witness, simultaneous=True) for side in (gap, right))
    gap = plain(_evaluated(gap))
    domain = dict(domain or {})
    try_points(gap, relation, domain, claim=claim)
    if witness is not None:
        detail = f"holds on a solvable family, at {POINTS} random points"
        if relation != "=" and _is_sharp(gap, plain(_evaluated(right)), domain):
            detail += "; fails there with a tenth less"
        return Verdict("witnessed", detail)
    proof = is_zero if relation == "=" else is_nonnegative
    if proof(_unbounded(gap, domain)):
        return Verdict("proved", "reduced to 0" if relation == "=" else "reduced to a sum >= 0")
    return Verdict("sampled", f"holds at {POINTS} random rational points, {DIGITS} digits")


def _is_sharp(gap: sp.Expr, bound: sp.Expr, domain: Domain) -> bool:
    """Whether the family would have refuted a bound that is better by a tenth."""
    try:
        try_points(gap - sp.Abs(bound) / 10, "<=", domain, claim="a tenth less")
    except Refuted:
        return True
    except Undecided:
        return False
    return False


def _evaluated(expr: sp.Expr) -> sp.Expr:
    """Do the expectations, variances and integrals that stand unevaluated on the page."""
    for kind, value in ((Variance, stats.variance), (Expectation, stats.E)):
        expr = expr.replace(kind, value)
    return expr.doit()


def _unbounded(expr: sp.Expr, domain: Domain) -> sp.Expr:
    """Express bounded symbols by positive ones, so that assumptions carry the whole domain."""
    replacement = {}
    for symbol, (low, high) in domain.items():
        free = sp.Dummy(str(symbol), positive=True)
        if low is not None and high is not None:
            replacement[symbol] = low + (high - low) * free / (1 + free)
        elif low is not None:
            replacement[symbol] = low + free
        elif high is not None:
            replacement[symbol] = high - free
    return expr.subs(replacement, simultaneous=True)
