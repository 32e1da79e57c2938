"""Every call is held against the annotations of the function: one line tells what is wrong."""

import inspect
import math
from typing import Any, Literal, Protocol

import numpy as np
import pytest
import torch
from torch import Tensor

from genbound.arguments import Count, Sample, Several, Times, declared, score_at


class Named(Protocol):
    name: str

    def call(self) -> None: ...


class Fits:
    name = "it"

    def call(self):
        pass


@declared
def given(
    points: Tensor | None = None,
    *rest: Any,
    count: int = 1,
    scale: float = 1.0,
    time: float | Tensor = 0.0,
    generator: torch.Generator | None = None,
    form: Literal["first", "second"] = "first",
    model: Named | None = None,
    sample: Sample | None = None,
    times: Times | None = None,
    steps: Count = 1,
    paths: Several = 2,
    **others: Any,
):
    """What arrives."""
    unchanged = time, generator, form, model, sample, times, steps, paths
    return points, rest, count, scale, unchanged, others


def test_a_call_is_passed_on_as_it_is():
    points = torch.ones(2, 3, requires_grad=True)
    arrived, *rest = given(points, 4, count=2, scale=3, more="text")
    assert arrived is points
    assert rest == [(4,), 2, 3, (0.0, None, "first", None, None, None, 1, 2), {"more": "text"}]
    assert given.__doc__ == "What arrives."
    assert list(inspect.signature(given).parameters)[:3] == ["points", "rest", "count"]


@pytest.mark.parametrize(
    "fitting",
    [
        {"points": torch.zeros(0, 2)},
        {"points": None},
        {"count": np.int64(3)},
        {"scale": np.float32(0.5)},
        {"scale": torch.tensor(0.5)},
        {"scale": 2},
        {"time": torch.zeros(3)},
        {"generator": torch.Generator()},
        {"form": "second"},
        {"model": Fits()},
        {"sample": torch.zeros(2, 1)},
        {"times": torch.tensor([1.0, 0.0])},
        {"steps": 1, "paths": 2},
    ],
)
def test_what_is_allowed(fitting):
    given(**fitting)


WRONG = {
    "points": [
        ([1.0], "TypeError", "got list, allowed is a tensor of finite floats or None"),
        (np.zeros(2), "TypeError", "got ndarray"),
        (torch.ones(2, dtype=torch.long), "ValueError", r"got torch.int64 of shape \(2,\), all"),
        (torch.tensor([1.0, math.nan]), "ValueError", "1 of its numbers not finite"),
        (torch.tensor([-math.inf, 1.0]), "ValueError", "1 of its numbers not finite"),
    ],
    "count": [(2.5, "TypeError", "got 2.5, allowed is a whole number"), ("3", "TypeError", "'3'")],
    "scale": [
        (math.nan, "ValueError", "got nan, allowed is a finite number"),
        (math.inf, "ValueError", "got inf"),
        ("1", "TypeError", "got '1'"),
        (None, "TypeError", "got None"),
        (torch.ones(2), "TypeError", r"got shape \(2,\)"),
    ],
    "time": [(torch.tensor([math.nan]), "ValueError", "a finite number or a tensor of finite")],
    "generator": [(0, "TypeError", "got 0, allowed is Generator or None")],
    "form": [("third", "ValueError", r"got 'third', allowed is one of \('first', 'second'\)")],
    "model": [
        (object(), "TypeError", "got object, allowed is Named, with call, name or None"),
        (int, "TypeError", "got <class 'int'>"),
    ],
    "sample": [
        (torch.zeros(3), "ValueError", r"got shape \(3,\), allowed is finite floats \(n, d\)"),
        (torch.zeros(1, 2), "ValueError", r"got shape \(1, 2\)"),
        (torch.zeros(3, 0), "ValueError", r"got shape \(3, 0\)"),
        (torch.full((3, 2), math.inf), "ValueError", "6 of its numbers not finite"),
        ([[1.0]], "TypeError", "got list"),
    ],
    "times": [
        (torch.tensor(times), "ValueError", "allowed is two or more times that decrease")
        for times in ([0.5], [0.1, 0.5], [0.5, 0.5], [0.5, -0.1], [[0.5, 0.1]], [math.nan, 0.1])
    ],
    "steps": [(0, "ValueError", "got 0, allowed is at least 1")],
    "paths": [(1, "ValueError", "got 1, allowed is at least 2"), ("2", "TypeError", "got '2'")],
}


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [(name, *case) for name, cases in WRONG.items() for case in cases],
)
def test_what_is_not_allowed_is_named_in_one_line(name, value, error, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        given(**{name: value})
    assert caught.type.__name__ == error
    assert str(caught.value).startswith(f"{name}: ") and "\n" not in str(caught.value)


def test_a_score_of_another_shape_is_refused():
    noisy, time = torch.ones(5, 4, 1), torch.ones(5, 4)
    assert score_at(lambda x, _: -x, noisy, time).shape == noisy.shape
    with pytest.raises(ValueError, match=r"^score: got shape \(5, 4\) at points of shape"):
        score_at(lambda _, t: t, noisy, time)
