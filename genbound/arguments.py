"""What a call may be given: the annotations say it, and one line tells of anything else."""

import inspect
import math
from collections.abc import Callable
from functools import cache, wraps
from numbers import Integral, Real
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from torch import Tensor

__all__ = [
    "Count",
    "Positive",
    "Rule",
    "Sample",
    "Several",
    "Times",
    "declared",
    "lacking",
    "score_at",
]

P = ParamSpec("P")
R = TypeVar("R")


class Rule(NamedTuple):
    """What an annotated type allows beyond its type: the words of a refusal, and the test."""

    text: str
    holds: Callable[[Any], bool]


def _decrease(times: Tensor) -> bool:
    return times.ndim == 1 and len(times) > 1 and bool((times.diff() < 0).all() and times[-1] >= 0)


Sample = Annotated[
    Tensor,
    Rule(
        "finite floats (n, d) with n >= 2",
        lambda data: data.ndim == 2 and len(data) > 1 and data.shape[1] > 0,
    ),
]
Times = Annotated[
    Tensor, Rule("two or more times that decrease, none of them negative", _decrease)
]
Count = Annotated[int, Rule("at least 1", lambda count: count >= 1)]
Positive = Annotated[float, Rule("a finite number > 0", lambda number: number > 0)]
Several = Annotated[int, Rule("at least 2", lambda count: count >= 2)]


def declared(function: Callable[P, R]) -> Callable[P, R]:
    """Check every call of a function, or of a class, against its annotations.

    Tensors are of finite floats, an ``int`` is whole, a ``float`` finite (a tensor of one number
    will do), a generator is no seed, a model has what its contract asks for. Shapes and ranges
    are those of a :class:`Rule`, as in :data:`Sample`, or the function's own affair.

    Args:
        function: A function with annotations, or a class whose ``__init__`` has them.

    Returns:
        The same. It raises TypeError for a value of another kind, ValueError for numbers that
        are not finite or not floats: one line with the name, what was given, what is allowed.
    """
    if inspect.isclass(function):
        function.__init__ = declared(function.__init__)
        return function
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        allowed = _kinds(function)
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            _check(name, value, allowed[name])
        return function(*args, **kwargs)

    return checked


def lacking(value: Any, contract: type) -> list[str]:  # noqa: ANN401
    """The methods and attributes of a contract that a value does not have, by name."""
    return [name for name in _members(contract) if not hasattr(value, name)]


def score_at(score: Callable[[Tensor, Tensor], Tensor], noisy: Tensor, time: Tensor) -> Tensor:
    """A score where it is asked for, refused if one of another shape would pass for it."""
    found = score(noisy, time)
    if found.shape != noisy.shape:
        got, allowed = tuple(found.shape), tuple(noisy.shape)
        raise ValueError(f"score: got shape {got} at points of shape {allowed}, allowed is theirs")
    return found


class _Kind(NamedTuple):
    """What an annotation allows, in words; whether a value is such, and has a meaning."""

    text: str
    holds: Callable[[Any], bool]
    sound: Callable[[Any], bool] = lambda _: True


def _finite(values: Tensor) -> bool:
    # The extremes tell of every number that is not finite, without a copy.
    return not values.numel() or all(map(math.isfinite, values.detach().aminmax()))


_ANYTHING = _Kind("anything", lambda _: True)
_NUMBERS = {
    Tensor: _Kind(
        "a tensor of finite floats",
        lambda value: isinstance(value, Tensor),
        lambda value: value.is_floating_point() and _finite(value),
    ),
    int: _Kind("a whole number", lambda value: isinstance(value, Integral)),
    float: _Kind(
        "a finite number",
        lambda value: isinstance(value, Real) or isinstance(value, Tensor) and value.ndim == 0,
        lambda value: math.isfinite(value),
    ),
    type(None): _Kind("None", lambda value: value is None),
    Any: _ANYTHING,
    object: _ANYTHING,
}


@cache
def _kinds(function: Callable) -> dict[str, tuple[_Kind, ...]]:
    """What each argument may be; several kinds of a union."""
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        many = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        found[name] = (_ANYTHING,) if many else tuple(_allowed(hints.get(name, Any)))
    return found


def _allowed(hint: Any) -> list[_Kind]:  # noqa: ANN401
    if hint in _NUMBERS:
        return [_NUMBERS[hint]]
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        (kind,), rule = _allowed(parts[0]), parts[1]
        return [_Kind(rule.text, kind.holds, lambda v: kind.sound(v) and rule.holds(v))]
    if origin in (Union, UnionType):
        return [kind for part in parts for kind in _allowed(part)]
    if origin is Literal:
        return [_Kind(f"one of {parts}", lambda v: isinstance(v, str), lambda v: v in parts)]
    if origin is Callable:
        return [_Kind("a function", callable)]
    if origin is not None:
        return [_ANYTHING]
    if getattr(hint, "_is_protocol", False):
        text = f"{hint.__name__}, with {', '.join(_members(hint))}"
        return [_Kind(text, lambda value: not lacking(value, hint))]
    return [_Kind(hint.__name__, lambda value: isinstance(value, hint))]


def _members(contract: type) -> list[str]:
    # Attributes are annotations of the protocol, methods are members of it.
    methods = {name for name in vars(contract) if not name.startswith("_")}
    return sorted(methods | set(contract.__annotations__))


def _check(name: str, value: Any, kinds: tuple[_Kind, ...]) -> None:  # noqa: ANN401
    fitting = [kind for kind in kinds if kind.holds(value)]
    if any(kind.sound(value) for kind in fitting):
        return
    error = ValueError if fitting else TypeError
    raise error(f"{name}: got {_shown(value)}, allowed is {' or '.join(k.text for k in kinds)}")


def _shown(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, Tensor) and value.ndim:
        lost = int((~value.isfinite()).sum())
        rest = f", {lost} of its numbers not finite" if lost else ""
        kind = "" if value.is_floating_point() else f"{value.dtype} of "
        return f"{kind}shape {tuple(value.shape)}{rest}"
    if isinstance(value, Real | str | Tensor | type | None):
        return repr(value)
    return type(value).__name__
