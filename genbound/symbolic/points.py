"""Try a claim at random rational points: false claims are found at once."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import mpmath
import sympy as sp

__all__ = ["DIGITS", "POINTS", "Domain", "Refuted", "Relation", "Undecided", "try_points"]

Relation = Literal["=", "<=", ">="]
Domain = Mapping[sp.Symbol, tuple[Any, Any]]

POINTS = 32
DIGITS = 30


class Refuted(ValueError):
    """A claimed relation is false; the message carries a counter-example."""


class Undecided(ValueError):
    """A relation could be neither proved nor tried at enough points of its domain."""


def try_points(gap: sp.Expr, relation: Relation, domain: Domain, *, claim: str) -> None:
    """Try ``gap = 0`` (or ``gap >= 0`` for an inequality) at random rational points of a domain.

    Args:
        gap: Difference of the two sides.
        relation: ``"="``, or an inequality.
        domain: Open interval of each symbol that its assumptions alone do not bound.
        claim: Text of the claim, for the error.

    Raises:
        Refuted: If a point contradicts the claim.
        Undecided: If too few points give real values.
    """
    symbols = sorted(gap.free_symbols, key=str)
    summands = sp.lambdify(symbols, list(sp.Add.make_args(gap)), modules="mpmath")
    needed = POINTS if symbols else 1
    tried = 0
    # Digits to spare: what cancels inside a summand must not look like a counter-example.
    with mpmath.workdps(3 * DIGITS):
        for point in _points(symbols, domain, attempts=20 * needed):
            value, slack = _value_and_slack(summands, point)
            if value is None:
                continue
            if (relation == "=" and abs(value) > slack) or (relation != "=" and value < -slack):
                where = ", ".join(f"{s} = {v}" for s, v in zip(symbols, point, strict=True))
                gap_text = mpmath.nstr(value, 6)
                raise Refuted(f"{claim} fails at {where or 'every point'} (gap {gap_text})")
            tried += 1
            if tried == needed:
                return
    raise Undecided(f"{claim}: only {tried} of {needed} points gave real values; state the domain")


def _value_and_slack(summands: Callable, point: Sequence[sp.Rational]) -> tuple[Any, Any]:
    try:
        parts = [mpmath.mpmathify(part) for part in summands(*[_mpf(value) for value in point])]
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        return None, None
    value = mpmath.fsum(parts)
    # Cancellation is judged against the largest summand, not against the tiny remainder.
    slack = (1 + max(map(abs, parts))) * mpmath.mpf(10) ** (5 - DIGITS)
    if not mpmath.isfinite(value) or abs(mpmath.im(value)) > slack:
        return None, None
    return mpmath.re(value), slack


def _mpf(value: sp.Rational) -> Any:  # noqa: ANN401
    return mpmath.mpf(int(value.p)) / int(value.q)


def _points(
    symbols: Sequence[sp.Symbol], domain: Domain, *, attempts: int
) -> Iterator[list[sp.Rational]]:
    # A generator of its own with a fixed seed: the same claim meets the same points everywhere.
    rng = random.Random(20250600)
    for _ in range(attempts):
        yield [_draw(symbol, domain.get(symbol, (None, None)), rng) for symbol in symbols]


def _draw(symbol: sp.Symbol, interval: tuple[Any, Any], rng: random.Random) -> sp.Rational:
    low, high = (None if end is None else sp.Rational(end) for end in interval)
    if low is None and (symbol.is_positive or symbol.is_nonnegative):
        low = sp.Integer(0)
    if high is None and (symbol.is_negative or symbol.is_nonpositive):
        high = sp.Integer(0)
    if symbol.is_integer:
        first = -20 if low is None else int(sp.floor(low)) + 1
        last = first + 40 if high is None else int(sp.ceiling(high)) - 1
        return sp.Integer(rng.randint(first, max(first, last)))
    if low is not None and high is not None:
        return low + (high - low) * sp.Rational(rng.randint(1, 997), 998)
    size = sp.Rational(rng.randint(1, 400), rng.choice((1, 7, 53, 211)) * rng.randint(1, 9))
    if low is not None:
        return low + size
    if high is not None:
        return high - size
    return size * rng.choice((-1, 1))
