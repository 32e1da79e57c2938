"""Typed parameters, checked strictly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.book.parameters import Parameter, ParameterError, check, parse, read

CELL = """
n: int = 200  # 10 <= n <= 100_000; training samples
horizons: list[float] = [0.5, 1]  # horizons > 0; the grid of T
rate = 1e-3  # not rate < 0 and rate != 7
device: str = "cpu"  # device in ("cpu", "cuda"); where; and how
seeds: tuple[int, ...] = (0, 1)
limit: int | None = None  # limit > 0 or limit == -1
verbose: bool = False  # say more
data: Path = "data"
sizes = (
    1,
    2,
)  # sizes % 2 in {0, 1}; on several lines
"""
PARAMETERS = {parameter.name: parameter for parameter in read(CELL)}


def test_a_cell_declares_name_kind_default_condition_and_description():
    assert PARAMETERS["n"] == Parameter("n", "int", 200, "10 <= n <= 100_000", "training samples")
    assert PARAMETERS["device"].description == "where; and how"
    assert PARAMETERS["rate"] == Parameter("rate", "float", 1e-3, "not rate < 0 and rate != 7")
    assert PARAMETERS["verbose"] == Parameter("verbose", "bool", False, "", "say more")
    assert PARAMETERS["horizons"].default == [0.5, 1.0]
    assert PARAMETERS["sizes"].kind == "tuple[int, ...]"
    assert PARAMETERS["sizes"].condition == "sizes % 2 in {0, 1}"
    assert list(PARAMETERS)[:2] == ["n", "horizons"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("n", np.int64(50), 50),
        ("n", torch.tensor(50), 50),
        ("rate", 1, 1.0),
        ("rate", "1e-4", 1e-4),
        ("rate", np.float32(0.5), 0.5),
        ("verbose", np.bool_(False), False),
        ("horizons", np.array([1.0, 2.0]), [1.0, 2.0]),
        ("horizons", (1, 2), [1.0, 2.0]),
        ("horizons", [], []),
        ("seeds", [np.int64(3)], (3,)),
        ("limit", None, None),
        ("limit", 5, 5),
    ],
)
def test_accepted_values_become_plain_python(name, value, expected):
    accepted = check(PARAMETERS.values(), {name: value})[name]
    assert accepted == expected
    assert type(accepted) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 9),
        ("n", 20.0),
        ("n", True),
        ("n", "20"),
        ("n", None),
        ("rate", True),
        ("rate", "fast"),
        ("rate", -1.0),
        ("rate", 7),
        ("rate", float("nan")),
        ("device", "tpu"),
        ("device", 3),
        ("verbose", 0),
        ("verbose", "False"),
        ("horizons", 1.0),
        ("horizons", [1.0, -1.0]),
        ("horizons", [1.0, "x"]),
        ("seeds", [0.5]),
        ("limit", 0),
        ("data", 1),
    ],
)
def test_refusals_name_the_parameter_the_value_and_what_is_allowed(name, value):
    with pytest.raises(ParameterError) as refused:
        check(PARAMETERS.values(), {name: value})
    message = str(refused.value)
    assert message.startswith(f"parameter {name}: given {value!r}")
    assert message.endswith(f"allowed: {PARAMETERS[name].allowed}")
    assert "\n" not in message


def test_a_misspelt_name_is_refused_with_the_closest_one():
    with pytest.raises(ParameterError, match="unknown parameter horizon: did you mean horizons"):
        check(PARAMETERS.values(), {"horizon": [1.0]})


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("n", "1_000", 1000),
        ("rate", "1e-3", 1e-3),
        ("rate", " 2 ", 2.0),
        ("device", "cuda", "cuda"),
        ("verbose", "true", True),
        ("verbose", "False", False),
        ("horizons", "1,2.5", [1.0, 2.5]),
        ("horizons", "[1, 2]", [1.0, 2.0]),
        ("horizons", "3", [3.0]),
        ("seeds", "4,5", (4, 5)),
        ("limit", "None", None),
        ("limit", "-1", -1),
        ("data", "some/where", "some/where"),
    ],
)
def test_text_is_read_by_the_declared_type(name, text, expected):
    assert parse(PARAMETERS[name], text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n", "true"),
        ("n", "1e3"),
        ("n", "5"),
        ("n", ""),
        ("rate", "nan"),
        ("rate", "True"),
        ("verbose", "1"),
        ("horizons", "1,x"),
        ("limit", "0"),
        ("n", "__import__('os')"),
    ],
)
def test_text_of_another_type_is_refused(name, text):
    with pytest.raises(ParameterError, match=f"parameter {name}: given"):
        parse(PARAMETERS[name], text)


@given(st.integers(), st.integers(), st.integers())
def test_a_range_holds_exactly_inside(low, value, high):
    parameter = Parameter("n", "int", value, f"{low} <= n <= {high}")
    if low <= value <= high:
        assert check([parameter], {"n": value}) == {"n": value}
    else:
        with pytest.raises(ParameterError):
            check([parameter], {"n": value})


@given(st.floats(allow_nan=False) | st.integers().map(float))
def test_a_float_survives_the_command_line(value):
    parameter = Parameter("x", "float", 0.0)
    if value in (float("inf"), float("-inf")):
        with pytest.raises(ParameterError):
            parse(parameter, repr(value))
    else:
        assert parse(parameter, repr(value)) == value


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("n: int = f(3)", "not a literal"),
        ("print(1)", "not 'name = literal'"),
        ("a = b = 3", "not 'name = literal'"),
        ("n: int", "not 'name = literal'"),
        ("n: int = 3.5", "given 3.5"),
        ("n: int = 3  # n > 5", "given 3"),
        ("n: int = 3  # 1 <= m <= 5; a slip", "may only speak of n"),
        ("n: int = 3  # n > m; a slip", "may only speak of n"),
        ("n: int = 3  # f(n) > 2; a call", "only speak of n"),
        ("n: int = 3  # n.real > 2; an attribute", "isn't allowed"),
        ("n: int = 3  # n is 3; identity", "isn't allowed"),
        ("n: int = 3  # 1 / (n - 3) > 0", "division by zero"),
        ("n: complex = 3", "unknown type complex"),
        ("n = None", "needs an annotation"),
        ("n = [1, 'a']", "needs an annotation"),
        ("n = 1\nn = 2", "declared twice"),
        ("n = (", "parameters cell: line 1"),
    ],
)
def test_a_bad_declaration_is_refused(cell, message):
    with pytest.raises(ParameterError, match=message.replace("(", r"\(")):
        read(cell)


@pytest.mark.parametrize(
    "comment", ["training samples", "noise in data", "one; two", "10 of them", "", "type: ignore"]
)
def test_prose_is_no_condition(comment):
    assert read(f"n: int = 3  # {comment}")[0] == Parameter("n", "int", 3, "", comment)
