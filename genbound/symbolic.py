"""The one door between symbols and tensors: decide a relation, compile an expression.

A *letter* is a SymPy symbol, a *word* is a tensor. :func:`verify` says how far a relation between
letters is established, :func:`to_torch` turns an expression into the tensor code that evaluates
it, :func:`to_javascript` into the code behind a slider, and :func:`latex` into what a page shows.
"""

import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import mpmath
import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p
from sympy.printing.pytorch import TorchPrinter

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Domain",
    "Refuted",
    "Undecided",
    "Verdict",
    "expm1",
    "is_nonnegative",
    "latex",
    "log1p",
    "to_javascript",
    "to_torch",
    "verify",
]

Relation = Literal["=", "<=", ">="]
Domain = Mapping[sp.Symbol, tuple[Any, Any]]

POINTS = 32
DIGITS = 30
# Past this many operations SymPy's simplifier and limits can run for minutes; the points decide.
SIMPLIFY_LIMIT = 250
CALCULUS_LIMIT = 60


class Refuted(ValueError):
    """A claimed relation is false; the message carries a counter-example."""


class Undecided(ValueError):
    """A relation could be neither proved nor tried at enough points of its domain."""


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
    gap = right - left if relation == "<=" else left - right
    if witness is not None:
        gap = gap.subs(witness, simultaneous=True)
    gap = _plain(gap)
    domain = dict(domain or {})
    _try_points(gap, relation, domain, claim=f"{left} {relation} {right}")
    if witness is not None:
        return Verdict("witnessed", f"holds on a solvable family, at {POINTS} random points")
    proof = is_zero if relation == "=" else is_nonnegative
    if proof(_unbounded(gap, domain)):
        return Verdict("proved", "reduced to 0" if relation == "=" else "reduced to a sum >= 0")
    return Verdict("sampled", f"holds at {POINTS} random rational points, {DIGITS} digits")


def is_zero(expr: sp.Expr) -> bool:
    """Whether SymPy reduces ``expr`` to 0 (``False`` means: found no proof)."""
    if sp.expand(expr) == 0:
        return True
    reduced = sp.expand(sp.expand_log(sp.powsimp(sp.expand(sp.together(expr))), force=False))
    if reduced == 0 or sp.cancel(reduced) == 0:
        return True
    return sp.count_ops(expr) <= SIMPLIFY_LIMIT and sp.simplify(expr) == 0


def is_nonnegative(expr: sp.Expr, *, depth: int = 3) -> bool:
    """Whether ``expr >= 0`` follows from signs, from monotonicity or from convexity.

    Three arguments are tried, each a proof: the signs of the factors; for a positive symbol x,
    ``f(0+) >= 0`` with ``f'(x) >= 0``, because ``f(x) = f(0+) + int_0^x f'``; and
    ``f'(c) = 0``, ``f(c) >= 0`` with ``f''(x) >= 0``. The last two recurse up to ``depth`` times.

    Args:
        expr: Expression whose symbols carry their sign in their assumptions.
        depth: How many derivatives may be taken.

    Returns:
        ``True`` if proved; ``False`` says nothing.
    """
    if expr.is_nonnegative or sp.expand(expr).is_nonnegative:
        return True
    roots = any(not power.exp.is_integer for power in expr.atoms(sp.Pow) if power.free_symbols)
    if roots or sp.count_ops(expr) > CALCULUS_LIMIT:
        return False
    if sp.factor(sp.together(sp.expand(expr))).is_nonnegative:
        return True
    if depth == 0:
        return False
    return any(
        _grows_from_zero(expr, symbol, depth) or _convex_above_zero(expr, symbol, depth)
        for symbol in sorted(expr.free_symbols, key=str)
        if symbol.is_positive
    )


def _grows_from_zero(expr: sp.Expr, symbol: sp.Symbol, depth: int) -> bool:
    try:
        start = sp.limit(expr, symbol, 0, "+")
    except (NotImplementedError, ValueError, RecursionError):
        return False
    if not start.is_finite or not is_nonnegative(start, depth=depth - 1):
        return False
    return is_nonnegative(sp.simplify(sp.diff(expr, symbol)), depth=depth - 1)


def _convex_above_zero(expr: sp.Expr, symbol: sp.Symbol, depth: int) -> bool:
    if not is_nonnegative(sp.simplify(sp.diff(expr, symbol, 2)), depth=depth - 1):
        return False
    try:
        stationary = sp.solve(sp.diff(expr, symbol), symbol)
    except NotImplementedError:
        return False
    return any(
        point.is_positive
        and is_nonnegative(sp.simplify(expr.subs(symbol, point)), depth=depth - 1)
        for point in stationary
    )


def to_torch(args: Sequence[sp.Symbol], expr: sp.Expr) -> Callable[..., "Tensor"]:
    """Compile an expression to tensor code.

    The result accepts tensors and Python numbers in any mixture, broadcasts, works under ``vmap``
    and ``grad``, and computes in the dtype and on the device of its first tensor argument
    (float64 on the CPU if there is none). Three gaps of SymPy's own printer are closed: Python
    numbers as arguments, constants such as ``sqrt(2)`` inside functions, and ``expm1``/``log1p``.

    Args:
        args: The symbols, in the order of the compiled function's arguments.
        expr: An expression in these symbols.

    Returns:
        The function; its docstring is the generated source.

    Raises:
        ValueError: If ``expr`` has a symbol that ``args`` lacks.
    """
    import inspect

    import torch

    expr = sp.sympify(expr)
    unknown = sorted(map(str, expr.free_symbols - set(args)))
    if unknown:
        raise ValueError(f"args: {list(map(str, args))} lacks {unknown}, which the expression has")

    def as_tensor(value: Any, like: "Tensor") -> "Tensor":  # noqa: ANN401
        if isinstance(value, torch.Tensor):
            return value
        return torch.as_tensor(value, dtype=like.dtype, device=like.device)

    def reduce(operation: Callable) -> Callable:
        def apply(*values: Any) -> "Tensor":  # noqa: ANN401
            like = next(value for value in values if isinstance(value, torch.Tensor))
            return functools.reduce(operation, [as_tensor(value, like) for value in values])

        return apply

    modules = [
        {
            "max": reduce(torch.maximum),
            "min": reduce(torch.minimum),
            "loggamma": torch.lgamma,
            "expm1": torch.expm1,
            "log1p": torch.log1p,
        },
        "torch",
    ]
    printer = _Printer({"fully_qualified_modules": False, "inline": True})
    compiled = sp.lambdify(
        tuple(args), _fold_constants(expr), modules=modules, printer=printer, cse=True
    )

    def evaluate(*values: Any) -> "Tensor":  # noqa: ANN401
        if len(values) != len(args):
            raise TypeError(f"expected {len(args)} arguments {tuple(args)}, got {len(values)}")
        default = torch.zeros((), dtype=torch.float64)
        like = next((value for value in values if isinstance(value, torch.Tensor)), default)
        if not like.is_floating_point():
            like = default.to(like.device)
        return as_tensor(compiled(*[as_tensor(value, like) for value in values]), like)

    evaluate.__doc__ = inspect.getsource(compiled)
    return evaluate


def to_javascript(args: Sequence[sp.Symbol], expr: sp.Expr) -> str:
    """Compile an expression to a JavaScript arrow function, for sliders on a page.

    Args:
        args: The symbols, in the order of the arguments; their names must be identifiers.
        expr: An expression in these symbols.

    Returns:
        Source such as ``"(n, d) => n*Math.exp(-d)"``.

    Raises:
        ValueError: If ``expr`` has a symbol that ``args`` lacks, or a name is no identifier.
    """
    unknown = sorted(map(str, expr.free_symbols - set(args)))
    if unknown:
        raise ValueError(f"args: {list(map(str, args))} lacks {unknown}, which the expression has")
    for symbol in args:
        if not str(symbol).isidentifier():
            raise ValueError(f"args: {symbol} is no JavaScript name; rename it first")
    body = sp.jscode(expr, user_functions={"expm1": "Math.expm1", "log1p": "Math.log1p"})
    return f"({', '.join(map(str, args))}) => {body}"


def latex(expr: sp.Expr) -> str:
    """Typeset an expression the way the book writes it (``expm1(x)`` as ``e^x - 1``)."""
    return sp.latex(_plain(sp.sympify(expr)), ln_notation=False, mul_symbol=None)


class _Printer(TorchPrinter):
    """SymPy's torch printer with the names it lacks (resolved in the function's namespace)."""

    def _print_named(self, expr: sp.Function) -> str:
        return f"{type(expr).__name__}({', '.join(map(self._print, expr.args))})"

    _print_expm1 = _print_log1p = _print_named


def _plain(expr: sp.Expr) -> sp.Expr:
    """Replace the floating-point-safe spellings by the functions they stand for."""
    return expr.replace(expm1, lambda x: sp.exp(x) - 1).replace(log1p, lambda x: sp.log(1 + x))


def _fold_constants(expr: sp.Expr) -> sp.Expr:
    """Turn irrational constants into floats, so that functions only ever see tensors."""

    def irrational(part: sp.Basic) -> bool:
        return (
            isinstance(part, sp.Expr)
            and bool(part.is_number and part.is_real)
            and not (part.is_Rational or part.is_Float)
        )

    return expr.replace(irrational, lambda part: part.evalf(17))


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


def _try_points(gap: sp.Expr, relation: Relation, domain: Domain, *, claim: str) -> None:
    symbols = sorted(gap.free_symbols, key=str)
    summands = sp.lambdify(symbols, list(sp.Add.make_args(gap)), modules="mpmath")
    needed = POINTS if symbols else 1
    tried = 0
    with mpmath.workdps(DIGITS):
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
    except (ZeroDivisionError, ValueError, OverflowError):
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
