"""What is varied: words, Python values and files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genbound.book.parameters import ParameterError, read
from genbound.study import axes

DECLARED = read(
    "n: int = 10  # n >= 1\nT: float = 0.5  # 0 < T < 2\nseed: int = 0\nname: str = 'a'\n"
    "flag: bool = False\nmaybe: float | None = None\nsteps: list[float] = [1.0]\n"
    "folder: Path = 'here'"
)


def crossed(**grid):
    return axes.points(DECLARED, grid)


def test_axes_are_crossed_with_the_last_one_fastest() -> None:
    assert crossed(T=[0.2, 0.4], n=[1, 2]) == [
        {"T": 0.2, "n": 1},
        {"T": 0.2, "n": 2},
        {"T": 0.4, "n": 1},
        {"T": 0.4, "n": 2},
    ]


def test_zipped_axes_go_together_and_are_crossed_with_the_others() -> None:
    found = axes.points(DECLARED, {("n", "T"): [(1, 0.1), (2, 0.2)], "flag": [False, True]})
    assert [(p["n"], p["T"], p["flag"]) for p in found] == [
        (1, 0.1, False),
        (1, 0.1, True),
        (2, 0.2, False),
        (2, 0.2, True),
    ]


def test_words_are_read_by_the_declared_type() -> None:
    words = [
        "T=0.2,1e-3",
        "n=1_000,2",
        "name='a,b',c",
        "flag=true,false",
        "maybe=None,2",
        "steps=[1,2],[3]",
        "folder=a b,/c",
    ]
    grid = axes.from_words(DECLARED, words)
    assert grid == {
        "T": [0.2, 0.001],
        "n": [1000, 2],
        "name": ["a,b", "c"],
        "flag": [True, False],
        "maybe": [None, 2.0],
        "steps": [[1.0, 2.0], [3.0]],
        "folder": ["a b", "/c"],
    }
    assert len(axes.points(DECLARED, grid)) == 2**7


def test_what_numpy_holds_arrives_as_what_it_is() -> None:
    found = crossed(
        n=np.array([1, 2]), T=[np.float32(0.5)], flag=[np.bool_(False)], maybe=[None, np.int64(3)]
    )
    assert found[0] == {"n": 1, "T": 0.5, "flag": False, "maybe": None}
    assert type(found[0]["n"]) is int and type(found[0]["flag"]) is bool
    assert type(found[1]["maybe"]) is float


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(1, 40))
def test_linspace_counts_as_numpy_does(first: float, last: float, count: int) -> None:
    found = axes._several(f"linspace({first!r}, {last!r}, {count})")
    np.testing.assert_allclose(found, np.linspace(first, last, count), rtol=1e-12, atol=1e-12)
    assert found[0] == first and (count == 1 or found[-1] == last)


@given(st.integers(-6, 6), st.integers(1, 12), st.integers(1, 5))
def test_logspace_and_arange_count_as_numpy_does(first: int, length: int, step: int) -> None:
    last = first + length
    powers = axes._several(f"logspace({first}, {last}, {length + 1})")
    np.testing.assert_allclose(powers, np.logspace(first, last, length + 1), rtol=1e-12)
    assert axes._several(f"arange({first}, {last}, {step})") == list(range(first, last, step))
    halves = axes._several(f"arange({first}, {last}, 0.5)")
    np.testing.assert_allclose(halves, np.arange(first, last, 0.5))


def test_a_range_of_powers_is_a_range_of_whole_numbers() -> None:
    assert [p["n"] for p in crossed(n="logspace(1, 4, 4)")] == [10, 100, 1000, 10_000]


def test_ranges_hold_the_numbers_that_a_person_would_write() -> None:
    assert axes._several("linspace(0.2, 1, 5)") == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert axes._several("arange(0.1, 0.4, 0.1)") == [0.1, 0.2, 0.3]
    assert axes._several("logspace(-3, 3, 7)") == [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]


def test_words_in_brackets_need_no_quotes() -> None:
    declared = read("layers: list[str] = ['a']")
    grid = axes.from_words(declared, ["layers=[a, b],['c,d'],e"])
    assert grid == {"layers": [["a", "b"], ["c,d"], ["e"]]}


def test_one_value_is_an_axis_of_one() -> None:
    assert crossed(n=3, name="word") == [{"n": 3, "name": "word"}]


def test_seeds_are_the_fastest_axis() -> None:
    found = axes.points(DECLARED, axes.with_seeds({"n": [1, 2]}, DECLARED, 2))
    assert [(p["n"], p["seed"]) for p in found] == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_file_says_the_same_as_words(tmp_path) -> None:
    path = tmp_path / "grid.yml"
    path.write_text(
        "T: linspace(0.2, 0.4, 2)\nflag: [true]\nzip:\n- {n: [1, 2], maybe: [null, 1e-3]}"
    )
    assert axes.points(DECLARED, axes.from_file(path)) == axes.points(
        DECLARED, {"T": [0.2, 0.4], "flag": True, ("n", "maybe"): [(1, None), (2, 0.001)]}
    )


def test_a_list_of_runs() -> None:
    assert axes.listed(DECLARED, [{"n": 1}, {"T": 0.3}]) == [{"n": 1}, {"T": 0.3}]


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({"m": [1]}, "unknown parameter m"),
        ({"n": []}, "axis n: has no values"),
        ({"n": [1, 1]}, "axis n: n = 1 given twice"),
        ({"n": [1, np.int64(1)]}, "given twice"),
        ({"n": [0]}, "parameter n: given 0"),
        ({"n": [1.5]}, "parameter n: given 1.5"),
        ({"n": ["a"]}, "parameter n: given 'a'"),
        ({"n": [True]}, "parameter n: given True"),
        ({"flag": ["False"]}, "parameter flag"),
        ({"T": [float("nan")]}, "parameter T"),
        ({"name": [object()]}, "parameter name"),
        ({"n": {"a": 1}}, "allowed: values"),
        ({"n": [1], ("n", "T"): [(1, 0.5)]}, "axis n: given twice"),
        ({("n", "T"): [(1,)]}, "one value for each name"),
        ({"n": "linspace(1, 2)"}, "linspace(first, last, count)"),
        ({"n": "linspace(1, 2, 0)"}, "its count"),
        ({"n": "arange(1, 5, 0)"}, "its step is 0"),
        ({"n": "arange(1, 1e9)"}, "at most 1000000"),
        ({"n": "range(1, 2)"}, "parameter n"),
        ({"n": "logspace(1, 1000, 4)"}, "exponents of ten"),
        ({"T": "arange(0, 1e308, 1e-308)"}, "at most 1000000"),
        ({"n": range(10**12)}, "more than 1000000 values"),
        ({"T": [10**400]}, "parameter T"),
        ({"maybe": [2**53 + 1]}, "parameter maybe"),
        ({"n": list(range(1, 1002)), "seed": list(range(1000))}, "grid: has 1001000 runs"),
        ({"steps": [1.0, 2.0]}, "parameter steps"),
    ],
)
def test_bad_grids_are_refused(grid, told: str) -> None:
    with pytest.raises(ParameterError) as refusal:
        axes.points(DECLARED, grid)
    assert told in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("runs", "told"),
    [([], "no runs"), ([3], "run 0 is 3"), ([{"n": 1}, {"n": 1}], "run 1 stands twice")],
)
def test_bad_lists_of_runs_are_refused(runs, told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        axes.listed(DECLARED, runs)
