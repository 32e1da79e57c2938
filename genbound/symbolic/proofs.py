"""What SymPy can prove of an expression: that it is zero, or not negative."""

import sympy as sp
from sympy.core.function import Application

__all__ = ["is_nonnegative", "is_zero"]

# Past this many operations SymPy's simplifier and limits can run for minutes; the points decide.
SIMPLIFY_LIMIT = 250
CALCULUS_LIMIT = 60


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
    # A function with jumps can fall although its derivative is positive wherever it exists.
    jumps = any(not isinstance(part, sp.exp | sp.log) for part in expr.atoms(Application))
    if roots or jumps or sp.count_ops(expr) > CALCULUS_LIMIT:
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
