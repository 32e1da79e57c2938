"""Grids: what is varied, written as words, as Python values or as a YAML file.

An axis has a name and values. Axes are crossed, the last one fastest; axes that are zipped advance
together. In words and in YAML a range stands for its values: `linspace(0.2, 1.4, 4)`,
`logspace(2, 4, 3)` (powers of ten), `arange(1, 5)` (without the end).
"""

import ast
import itertools
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from genbound.book.parameters import Parameter, ParameterError, check, parse, unknown

#: Runs of the largest grid.
LARGEST = 1_000_000

Grid = Mapping[str | tuple[str, ...], Any]
_RANGE = re.compile(r"\s*(linspace|logspace|arange)\((.*)\)\s*")


def points(parameters: Sequence[Parameter], grid: Grid) -> list[dict[str, Any]]:
    """Every combination of a grid's values, checked and converted to the declared types.

    Args:
        parameters: What the notebook declares.
        grid: Values by name: a list, a range in words or one single value; a tuple of names has
            a list of tuples, for axes that advance together.

    Returns:
        One dict for each run, all with the same names in the order of the grid.

    Raises:
        ParameterError: For an unknown, repeated or empty axis, a value that is refused or given
            twice, or too many runs.
    """
    known = {parameter.name: parameter for parameter in parameters}
    axes = [_axis(known, key, values) for key, values in grid.items()]
    names = [name for axis in axes for name in axis[0]]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"axis {name}: given twice")
    count = math.prod(len(axis) for axis in axes)
    if count > LARGEST:
        raise ParameterError(f"grid: has {count} runs, allowed: at most {LARGEST}")
    return [
        {k: v for part in parts for k, v in part.items()} for parts in itertools.product(*axes)
    ]


def from_words(
    parameters: Sequence[Parameter], words: Iterable[str], together: Iterable[str] = ()
) -> dict[str | tuple[str, ...], list[Any]]:
    """A grid from the words of a command line.

    Args:
        parameters: What the notebook declares; a name's type decides how its text is read.
        words: NAME=VALUES, with values apart by commas, or a range. Where the parameter is a
            list, each value stands in brackets.
        together: Names apart by commas, of axes that advance together.

    Returns:
        The grid.

    Raises:
        ParameterError: If a word is not of this form, or its text has no reading.
    """
    known = {parameter.name: parameter for parameter in parameters}
    grid: dict[str | tuple[str, ...], list[Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ParameterError(f"-p {word}: must be NAME=VALUES")
        if name not in known:
            raise ParameterError(unknown("parameter", name, known))
        if name in grid:
            raise ParameterError(f"axis {name}: given twice")
        grid[name] = list(_read(known[name], text))
    for group in together:
        names = tuple(name.strip() for name in group.split(","))
        if len(set(names)) != len(names) or len(names) < 2:
            raise ParameterError(f"--zip {group}: must be two or more different names")
        for name in names:
            if name not in grid:
                raise ParameterError(f"--zip {group}: {unknown('axis', name, map(str, grid))}")
        lengths = {name: len(grid[name]) for name in names}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ParameterError(f"--zip {group}: must be of one length: {shown}")
        values = list(zip(*(grid.pop(name) for name in names), strict=True))
        grid[names] = values
    return grid


def from_file(path: Path) -> dict[str | tuple[str, ...], Any]:
    """A grid from a YAML file: `name: values` pairs, and under `zip` a list of such mappings.

    Args:
        path: The file.

    Returns:
        The grid.

    Raises:
        ParameterError: If the file cannot be read or is not of this form.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_NoRepeats)
    except OSError as error:
        raise ParameterError(f"grid {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"grid {path}: not YAML: {reason}") from error
    if not isinstance(content, dict) or not content:
        raise ParameterError(f"grid {path}: must map names to values")
    groups = content.pop("zip", [])
    grid: dict[str | tuple[str, ...], Any] = {}
    for name, values in content.items():
        if not isinstance(name, str):
            raise ParameterError(f"grid {path}: given the name {name!r}, allowed: text")
        grid[name] = values
    if not isinstance(groups, list) or not all(isinstance(g, dict) and g for g in groups):
        raise ParameterError(f"grid {path}: zip must be a list of mappings")
    for group in groups:
        columns = {str(name): _several(values) for name, values in group.items()}
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ParameterError(f"grid {path}: zip must be of one length: {shown}")
        grid[tuple(columns)] = list(zip(*columns.values(), strict=True))
    return grid


def with_seeds(grid: Grid, parameters: Sequence[Parameter], count: int) -> dict[Any, Any]:
    """The grid with the axis seed = 0, ..., count - 1, fastest.

    Raises:
        ParameterError: If the notebook declares no `seed`, or the grid has it already.
    """
    known = [parameter.name for parameter in parameters]
    if "seed" not in known:
        raise ParameterError(f"seeds: {unknown('parameter', 'seed', known)}")
    if any("seed" in (key if isinstance(key, tuple) else (key,)) for key in grid):
        raise ParameterError("axis seed: given twice")
    if not 1 <= count <= LARGEST:
        raise ParameterError(f"seeds: given {count}, allowed: a whole number from 1 to {LARGEST}")
    return {**grid, "seed": list(range(count))}


def _axis(
    known: Mapping[str, Parameter],
    key: str | tuple[str, ...],
    values: Any,  # noqa: ANN401
) -> list[dict[str, Any]]:
    """The points of one axis, checked."""
    names = key if isinstance(key, tuple) else (key,)
    for name in names:
        if name not in known:
            raise ParameterError(unknown("parameter", str(name), known))
    label = ", ".join(names)
    rows = _several(values) if len(names) > 1 else [(value,) for value in _several(values)]
    if not rows:
        raise ParameterError(f"axis {label}: has no values")
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != len(names):
            raise ParameterError(f"axis {label}: given {row!r}, allowed: one value for each name")
        given = {name: _whole(known[name], value) for name, value in zip(names, row, strict=True)}
        point = check([known[name] for name in names], given)
        if repr(point) in found:
            shown = ", ".join(f"{name} = {value!r}" for name, value in point.items())
            raise ParameterError(f"axis {label}: {shown} given twice")
        found[repr(point)] = point
    return list(found.values())


def _several(values: Any) -> list[Any]:  # noqa: ANN401
    """A list of values; one value is a list of one."""
    if isinstance(values, str) and (found := _RANGE.fullmatch(values)):
        return list(_range(*found.groups()))
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, Mapping):
        raise ParameterError(f"grid: given {dict(values)!r} for an axis, allowed: values")
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return [values]
    found = list(itertools.islice(values, LARGEST + 1))
    if len(found) > LARGEST:
        raise ParameterError(f"grid: an axis has more than {LARGEST} values")
    return found


def _read(parameter: Parameter, text: str) -> Iterator[Any]:
    """The values that a command line's text means for a parameter."""
    if found := _RANGE.fullmatch(text):
        yield from _range(*found.groups())
        return
    for part in _parts(parameter.name, text):
        if not part:
            raise ParameterError(f"axis {parameter.name}: has an empty value in '{text}'")
        yield parse(parameter, part)


def _parts(name: str, text: str) -> list[str]:
    """Split at the commas that stand outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    if quote or depth:
        raise ParameterError(f"axis {name}: '{text}' leaves a quote or bracket open")
    stripped = [part.strip() for part in parts]
    return [p[1:-1] if len(p) > 1 and p[0] == p[-1] and p[0] in "'\"" else p for p in stripped]


def _range(kind: str, text: str) -> Iterator[float]:
    try:
        numbers = [ast.literal_eval(part.strip()) for part in text.split(",")]
    except (ValueError, SyntaxError):
        numbers = []
    if len(numbers) not in ((2, 3) if kind == "arange" else (3,)) or not all(
        type(number) in (int, float) and math.isfinite(number) for number in numbers
    ):
        form = "start, stop[, step]" if kind == "arange" else "first, last, count"
        raise ParameterError(f"range {kind}({text}): must be {kind}({form})")
    # As fractions, so that 0.2, 0.4, ... are the numbers that a person would write.
    first, last, third = (Fraction(repr(number)) for number in (*numbers, 1)[:3])
    if kind == "arange":
        if third == 0:
            raise ParameterError(f"range {kind}({text}): its step is 0")
        step, count = third, math.ceil((last - first) / third)
    else:
        if type(numbers[2]) is not int or third < 1:
            raise ParameterError(f"range {kind}({text}): its count must be a whole number from 1")
        step, count = (last - first) / max(third - 1, 1), int(third)
    if count > LARGEST:
        raise ParameterError(f"range {kind}({text}): has {count} values, at most {LARGEST}")
    if kind == "logspace" and max(first, last) > sys.float_info.max_10_exp:
        raise ParameterError(
            f"range {kind}({text}): its ends are exponents of ten, allowed: at most 308"
        )
    for place in (first + i * step for i in range(count)):
        number = int(place) if place.denominator == 1 else float(place)
        yield 10.0**number if kind == "logspace" else number


def _whole(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401
    """A range gives 100.0 where a whole number is asked for."""
    if parameter.kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class _NoRepeats(yaml.SafeLoader):
    """YAML in which no name stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"{name} is given twice")
        return super().construct_mapping(node, deep)


def listed(
    parameters: Sequence[Parameter], runs: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Runs that are given one by one, checked and converted.

    Raises:
        ParameterError: For a run that is no mapping, is refused or stands twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for number, run in enumerate(runs):
        if not isinstance(run, Mapping):
            raise ParameterError(f"grid: run {number} is {run!r}, allowed: names with values")
        values = check(parameters, run)
        if repr(sorted(values.items(), key=str)) in found:
            raise ParameterError(f"grid: run {number} stands twice: {values}")
        found[repr(sorted(values.items(), key=str))] = values
    if not found:
        raise ParameterError("grid: has no runs")
    return list(found.values())
