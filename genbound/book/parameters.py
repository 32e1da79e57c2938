"""A chapter's parameters: typed, documented and checked before anything runs.

A chapter declares them in its cell tagged `parameters`, one per line::

    n: int = 200  # 10 <= n <= 100_000; training samples
    horizons: list[float] = [1.0, 2.0]  # horizons > 0; the grid of T
    device: str = "cpu"  # where to compute

The annotation may be left out (the default's type stands for it), and so may the condition before
the semicolon. The condition of a list or tuple holds for each of its elements.
"""

import ast
import io
import os
import tokenize
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from genbound.book.conditions import evaluate, names_of_condition

SCALARS = {"int": int, "float": float, "bool": bool, "str": str, "Path": str}


class ParameterError(ValueError):
    """A parameter that is unknown, of the wrong type, out of range or badly declared."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a chapter.

    Attributes:
        name: The variable that the chapter reads.
        kind: Its type as Python writes it, such as `int`, `float | None` or `list[float]`.
        default: The value in the chapter.
        condition: What a value must satisfy, a Python expression in the name; may be empty.
        description: One line for the reader; may be empty.
    """

    name: str
    kind: str
    default: Any
    condition: str = ""
    description: str = ""

    @property
    def allowed(self) -> str:
        """What may be given, in one phrase."""
        return f"{self.kind} with {self.condition}" if self.condition else self.kind


def read(cell_source: str) -> tuple[Parameter, ...]:
    """The parameters that a chapter's `parameters` cell declares.

    Args:
        cell_source: The cell's code: assignments of literals, one per line.

    Returns:
        The parameters in the order of the cell.

    Raises:
        ParameterError: If the cell holds anything else, or a default breaks its own declaration.
    """
    comments = _comments(cell_source)
    found: dict[str, Parameter] = {}
    for statement in _statements(cell_source):
        parameter = _declared(statement, comments.get(statement.end_lineno or 0, ""))
        if parameter.name in found:
            raise ParameterError(f"parameter {parameter.name}: declared twice in its cell")
        found[parameter.name] = parameter
    return tuple(found.values())


def check(parameters: Iterable[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, each converted to its declared type.

    Args:
        parameters: What the chapter declares.
        given: Values by name.

    Returns:
        Plain Python values by name, only for the names that were given.

    Raises:
        ParameterError: For an unknown name, a wrong type or a value out of range.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            raise ParameterError(unknown("parameter", str(name), known))
    return {name: _accepted(known[name], value) for name, value in given.items()}


def parse(parameter: Parameter, text: str) -> Any:  # noqa: ANN401
    """The value that a command line's text means for this parameter.

    Args:
        parameter: The declaration, whose type decides how the text is read.
        text: For instance `5`, `1e-3`, `true` (for a bool), `1,2,4` (for a list).

    Returns:
        The checked value.

    Raises:
        ParameterError: If the text has no reading of the declared type, or is out of range.
    """
    return _accepted(parameter, _reading(_kind(parameter.kind), text.strip()))


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not among the known ones, with the closest one suggested."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown {what} {name}: {hint}allowed: {', '.join(names) or 'none'}"


def _comments(source: str) -> dict[int, str]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return {}
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _statements(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"parameters cell: line {error.lineno}: {error.msg}") from error


def _declared(statement: ast.stmt, comment: str) -> Parameter:
    shown = ast.unparse(statement)
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            kind = ast.unparse(statement.annotation)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            kind = ""
        case _:
            raise ParameterError(f"parameters cell: not 'name = literal': {shown}")
    try:
        default = ast.literal_eval(value)
    except ValueError as error:
        raise ParameterError(f"parameter {name}: its default is not a literal: {shown}") from error
    kind = kind or _inferred(name, default)
    condition, description = _split(name, comment)
    parameter = Parameter(name, kind, default, condition, description)
    return Parameter(name, kind, _accepted(parameter, default), condition, description)


def _inferred(name: str, default: object) -> str:
    if isinstance(default, list | tuple):
        kinds = {_inferred(name, element) for element in default}
        element = "float" if kinds == {"int", "float"} else next(iter(kinds), "")
        if len(kinds) <= 1 or element == "float":
            bare, rest = ("list", "") if isinstance(default, list) else ("tuple", ", ...")
            return f"{bare}[{element}{rest}]" if element else bare
    elif type(default).__name__ in SCALARS:
        return type(default).__name__
    raise ParameterError(f"parameter {name}: its default {default!r} needs an annotation")


def _split(name: str, comment: str) -> tuple[str, str]:
    head, semicolon, tail = (part.strip() for part in comment.partition(";"))
    names = names_of_condition(head)
    if names is None or (name not in names and not semicolon):
        return "", comment
    if names != {name}:
        raise ParameterError(f"parameter {name}: its condition '{head}' may only speak of {name}")
    return head, tail


def _accepted(parameter: Parameter, value: object) -> Any:  # noqa: ANN401
    try:
        converted = _converted(_kind(parameter.kind), value)
    except TypeError:
        raise ParameterError(
            f"parameter {parameter.name}: given {value!r} ({type(value).__name__}), "
            f"allowed: {parameter.allowed}"
        ) from None
    if parameter.condition and converted is not None:
        elements = converted if isinstance(converted, list | tuple) else [converted]
        if not all(_holds(parameter, element) for element in elements):
            raise ParameterError(
                f"parameter {parameter.name}: given {value!r}, allowed: {parameter.allowed}"
            )
    return converted


def _holds(parameter: Parameter, value: object) -> bool:
    try:
        return bool(evaluate(parameter.condition, {parameter.name: value}))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ParameterError(
            f"parameter {parameter.name}: its condition '{parameter.condition}' has no value "
            f"at {value!r}: {error}"
        ) from error


def _kind(kind: str) -> ast.expr:
    return ast.parse(kind, mode="eval").body


def _converted(kind: ast.expr, value: object) -> Any:  # noqa: ANN401
    """The value as the kind's own Python type; TypeError if it is not of that kind."""
    match kind:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            try:
                return _converted(left, value)
            except TypeError:
                return _converted(right, value)
        case ast.Constant(value=None) if value is None:
            return None
        case ast.Name(id="list" | "tuple" as container):
            return _converted_elements(container, None, value)
        case ast.Subscript(value=ast.Name(id="list" | "tuple" as container), slice=element):
            element = element.elts[0] if isinstance(element, ast.Tuple) else element
            return _converted_elements(container, element, value)
        case ast.Name(id=scalar) if scalar in SCALARS:
            return _converted_scalar(scalar, value)
        case ast.Constant(value=None):
            raise TypeError
    raise ParameterError(
        f"unknown type {ast.unparse(kind)} of a parameter: allowed: {', '.join(SCALARS)}, "
        "list[...], tuple[..., ...], each also with '| None'"
    )


def _converted_elements(container: str, element: ast.expr | None, value: object) -> list | tuple:
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, list | tuple):
        raise TypeError
    elements = [_plain(item) if element is None else _converted(element, item) for item in value]
    return elements if container == "list" else tuple(elements)


def _converted_scalar(scalar: str, value: object) -> Any:  # noqa: ANN401
    value = _plain(value)
    if scalar == "float":
        # YAML 1.1 reads 1e-3 as text.
        value = _literal(value) if isinstance(value, str) else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            with suppress(OverflowError):
                if float(value) == value:  # not so for NaN, nor for whole numbers with many digits
                    return float(value)
    elif scalar == "Path":
        return _of_type(os.fspath(value) if isinstance(value, os.PathLike) else value, str)
    else:
        return _of_type(value, SCALARS[scalar])
    raise TypeError


def _of_type(value: object, expected: type) -> Any:  # noqa: ANN401
    if type(value) is not expected:
        raise TypeError
    return value


def _plain(value: object) -> object:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _reading(kind: ast.expr, text: str) -> object:
    nodes = list(ast.walk(kind))
    words = {node.id for node in nodes if isinstance(node, ast.Name)}
    optional = any(isinstance(node, ast.Constant) and node.value is None for node in nodes)
    if optional and text in {"None", "null"}:
        return None
    if words & {"list", "tuple"}:
        value = _literal(text)
        if isinstance(value, str) and words & {"str", "Path"}:
            inside = text[1:-1] if text[:1] in {"[", "("} else text
            value = [part.strip() for part in inside.split(",")]
        return value if isinstance(value, list | tuple) else [value]
    if words & {"str", "Path"}:
        return text
    if "bool" in words and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return _literal(text)
