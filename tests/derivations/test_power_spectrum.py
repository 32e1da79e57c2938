"""Errors of a linear score, direction by direction, against the exact laws and simulation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivations import linear_score
from genbound.derivations import power_spectrum as proof


def test_grades():
    assert set(proof.of_start.grades) == {"defined", "proved"}
    assert set(proof.of_sample.grades) == {"defined", "proved"}


@given(st.floats(0.01, 20), st.floats(1e-4, 0.9))
def test_the_start_is_that_of_the_reverse_process(variance, share):
    law = linear_score.sde_variance.to_torch(*linear_score.letters)
    end = law(1.0, share, 0.0, variance, 0.0, variance)
    expected = (math.sqrt(variance) - math.sqrt(end)) ** 2
    found = proof.of_start.to_torch(proof.v, proof.a)(variance, share)
    assert math.isclose(float(found), expected, rel_tol=1e-5, abs_tol=1e-12)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_sample_in_one_direction(n, generator):
    variance, repetitions = 2.3, 20_000
    data = variance**0.5 * torch.randn(repetitions, n, generator=generator, dtype=torch.float64)
    spread = data.std(1, correction=0) - variance**0.5
    squares = data.mean(1).square() + spread.square()
    found = float(proof.of_sample.expr.subs({proof.n: n, proof.v: variance}))
    assert abs(float(squares.mean()) - found) < 4 * float(squares.std()) / repetitions**0.5
    assert abs(found * n / variance - 1.5) < 1 / n


@given(st.floats(0.01, 20), st.floats(0.3, 1))
def test_stopping(variance, share):
    found = proof.of_stopping.to_torch(proof.v, proof.u)(variance, share)
    noised = 1 + (variance - 1) * share
    assert math.isclose(
        float(found), (variance**0.5 - noised**0.5) ** 2, rel_tol=1e-6, abs_tol=1e-12
    )
