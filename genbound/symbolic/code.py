"""Expressions as tensor code, as JavaScript and as LaTeX."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p
from sympy.printing.pytorch import TorchPrinter

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["expm1", "latex", "log1p", "plain", "to_javascript", "to_torch"]


def to_torch(args: Sequence[sp.Symbol], expr: sp.Expr) -> Callable[..., "Tensor"]:
    """Compile an expression to tensor code.

    The result accepts tensors and Python numbers in any mixture, broadcasts, works under ``vmap``
    and ``grad``, and computes in the dtype and on the device of its first floating tensor argument
    (float64 if there is none). Three gaps of SymPy's own printer are closed: Python
    numbers as arguments, constants such as ``sqrt(2)`` inside functions, and the functions
    ``expm1``, ``log1p`` and ``erfc``.

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
            # A logarithm of integers would fall back on the global default dtype.
            return value if value.is_floating_point() else value.to(like.dtype)
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
            "erfc": torch.erfc,
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
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        device = tensors[0].device if tensors else None
        default = torch.zeros((), dtype=torch.float64, device=device)
        like = next((value for value in tensors if value.is_floating_point()), default)
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
        ValueError: If ``expr`` has a symbol that ``args`` lacks, a name is no identifier, or
            JavaScript has no single expression for it.
    """
    unknown = sorted(map(str, expr.free_symbols - set(args)))
    if unknown:
        raise ValueError(f"args: {list(map(str, args))} lacks {unknown}, which the expression has")
    for symbol in args:
        if not str(symbol).isidentifier():
            raise ValueError(f"args: {symbol} is no JavaScript name; rename it first")
    body = sp.jscode(expr, user_functions={"expm1": "Math.expm1", "log1p": "Math.log1p"})
    if ";" in body:
        raise ValueError(f"expr: {expr} needs more than one JavaScript expression")
    return f"({', '.join(map(str, args))}) => {body}"


def latex(expr: sp.Expr) -> str:
    """Typeset an expression the way the book writes it (``expm1(x)`` as ``e^x - 1``)."""
    return sp.latex(plain(sp.sympify(expr)), ln_notation=False, mul_symbol=None)


def plain(expr: sp.Expr) -> sp.Expr:
    """Replace the floating-point-safe spellings by the functions they stand for."""
    return expr.replace(expm1, lambda x: sp.exp(x) - 1).replace(log1p, lambda x: sp.log(1 + x))


class _Printer(TorchPrinter):
    """SymPy's torch printer with the names it lacks (resolved in the function's namespace)."""

    def _print_named(self, expr: sp.Function) -> str:
        return f"{type(expr).__name__}({', '.join(map(self._print, expr.args))})"

    _print_expm1 = _print_log1p = _print_erfc = _print_named


def _fold_constants(expr: sp.Expr) -> sp.Expr:
    """Turn irrational constants into floats, so that functions only ever see tensors."""

    def irrational(part: sp.Basic) -> bool:
        return (
            isinstance(part, sp.Expr)
            and bool(part.is_number and part.is_real)
            and not (part.is_Rational or part.is_Float)
        )

    return expr.replace(irrational, lambda part: part.evalf(17))
