import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.bounds import sgld_forms
from genbound.estimators.langevin_solved import solved_run

CASE = {
    "n": 20,
    "d": 5,
    "variance": 0.6,
    "curvature": 0.9597388,
    "constant": 3.5660838,
    "untrained": 9.0,
    "rate": 0.05,
    "steps": 40,
    "inverse_temperature": 200.0,
    "weight_decay": 0.1,
}


def test_the_run_of_the_golden_numbers():
    run, gap, information, uniform, moving = solved_run(**CASE)
    left = 0.995
    twice = 200 / 2 * (1 - 0.0025) * run.forgotten().value
    assert twice == pytest.approx(41.159950, abs=1e-5)
    assert run.trajectory().value < 2 * run.forgotten().value / left**40
    assert 0 < information < 6.325459
    # It ends between the mean of its sample and rest.
    assert 0.9 * 2 * 0.9597388 * 5 * 0.6 / 20 < gap < 2 * 0.9597388 * 5 * 0.6 / 20
    assert moving < uniform
    assert run.loss.value < run.start_loss.value


@given(
    st.floats(0.5, 1e4), st.integers(2, 500), st.integers(1, 300), st.floats(0.01, 0.4),
    st.floats(0.05, 3),
)  # fmt: skip
@settings(max_examples=15)
def test_no_form_falls_below_the_gap_but_perhaps_the_one_without_a_theorem(
    beta, size, count, rate, variance
):
    changes = {"n": size, "steps": count, "rate": rate, "inverse_temperature": beta}
    solved = solved_run(**CASE | changes | {"variance": variance, "curvature": 1.0})
    data = torch.zeros(size, 5)
    for scale, constant in (("uniform", solved.uniform), ("moving", solved.moving)):
        table = sgld_forms(
            solved.run, data, R=constant, scale=scale, information=solved.information
        )
        for form, bound in table.bound.items():
            assert form == "time_uniform" or bound.value >= solved.gap
            assert not math.isnan(bound.value)
