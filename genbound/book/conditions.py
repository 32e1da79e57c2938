"""Conditions on a parameter: a small, closed part of Python's expressions."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}


def names_of_condition(text: str) -> frozenset[str] | None:
    """The names that a condition speaks of, or None where the text is prose.

    Args:
        text: What a comment says, for instance `0 < n <= 100` or `training samples`.

    Returns:
        The names, if the text is a comparison or is joined by `and`, `or`, `not`; None otherwise.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    negated = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
    if not negated and not isinstance(tree, ast.Compare | ast.BoolOp):
        return None
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The value of literals, names, arithmetic, comparisons, `in`, `and`, `or` and `not`.

    Args:
        expression: Python text.
        names: Values of the names in it.

    Returns:
        Its value.

    Raises:
        ValueError: If the expression holds anything else, such as a call.
    """
    return _value(ast.parse(expression, mode="eval").body, names)


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:  # noqa: ANN401
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return tuple(_value(item, names) for item in items)
        case ast.UnaryOp(op=op, operand=operand):
            return _operator(op)(_value(operand, names))
        case ast.BinOp(left=left, op=op, right=right):
            return _operator(op)(_value(left, names), _value(right, names))
        case ast.BoolOp(op=op, values=values):
            choose = all if isinstance(op, ast.And) else any
            return choose(_value(value, names) for value in values)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [_value(side, names) for side in (left, *comparators)]
            pairs = zip(sides[:-1], sides[1:], strict=True)
            return all(_operator(op)(a, b) for op, (a, b) in zip(ops, pairs, strict=True))
    raise ValueError(f"'{ast.unparse(node)}' isn't allowed in a condition")


def _operator(op: ast.AST) -> Callable[..., Any]:
    if type(op) not in OPERATORS:
        raise ValueError(f"the operator {type(op).__name__} isn't allowed in a condition")
    return OPERATORS[type(op)]
