import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from genbound.derivation import Derivation
from genbound.derivations import change_of_measure as lemmas

positive = st.floats(0.05, 3)
real = st.floats(-3, 3)


def test_grades():
    found = {
        name: value.grades
        for name, value in vars(lemmas).items()
        if isinstance(value, Derivation) and not name.startswith("_")
    }
    assert found == {
        "transport": ("proved", "granted"),
        "gaussian_quadratic": ("defined", "proved"),
        "nonnegative_loss": ("defined", "proved", "granted"),
        "sample_gap": ("defined", "granted"),
    }


def test_citations_have_witnesses():
    for derivation in (lemmas.sample_gap, lemmas._mean):
        (cited,) = [step for step in derivation.steps if step.grade == "granted"]
        assert "holds on a solvable family" in cited.detail


transport = lemmas.transport.to_torch(lemmas.scale, lemmas.divergence)

coordinates = st.lists(st.tuples(positive, real, real, positive), min_size=1, max_size=4)


@given(coordinates)
@settings(max_examples=300)
def test_transport_of_gaussian_quadratics(parts):
    """f = sum a (x + b)^2, Q standard normal, P any product of normal laws."""
    a, b, mean, s2 = np.array(parts).T
    scale = math.sqrt((2 * a**2 * (1 + 2 * b**2)).sum())
    divergence = (s2 + mean**2 - 1 - np.log(s2)).sum() / 2
    shift = (a * (1 + b**2) - a * (s2 + (mean + b) ** 2)).sum()
    assert shift <= float(transport(scale, divergence)) + 1e-9


@given(st.lists(st.tuples(real, positive), min_size=1, max_size=4))
def test_transport_is_attained_by_a_shift(parts):
    """f = c . x and P = Q moved along -c: no smaller constant would do."""
    slope = np.array(parts)[:, 0]
    length = parts[0][1]
    scale = float(np.linalg.norm(slope)) + 1e-12
    move = -length * slope / scale
    shift, divergence = float(-slope @ move), float(move @ move) / 2
    assert shift == pytest.approx(float(transport(scale, divergence)), rel=1e-6, abs=1e-9)


def normal_mean(function, centre=0.0):
    """E function(xi) for a standard normal xi, over a window around the integrand's bulk."""
    return integrate.quad(
        lambda x: function(x) * stats.norm.pdf(x), centre - 14, centre + 14, limit=400
    )[0]


@given(positive, positive, positive)
def test_gaussian_quadratic(rate, a, b):
    args = (lemmas.slope, lemmas._a, lemmas._b)
    first, last = (
        type(lemmas.gaussian_quadratic).of(lemmas.gap, step.expr).to_torch(*args)(rate, a, b)
        for step in (lemmas.gaussian_quadratic.steps[0], lemmas.gaussian_quadratic.steps[-1])
    )
    truth = math.log(normal_mean(lambda x: math.exp(-rate * a * (x + b) ** 2)))
    assert float(first) == pytest.approx(truth, rel=1e-6, abs=1e-9)
    mean = normal_mean(lambda x: a * (x + b) ** 2)
    variance = normal_mean(lambda x: (a * (x + b) ** 2 - mean) ** 2)
    assert float(last) == pytest.approx(-rate * mean + rate**2 * variance / 2, rel=1e-6)
    assert float(first) <= float(last) + 1e-12


second_order = lemmas.nonnegative_loss.to_torch(lemmas.slope, lemmas._first, lemmas._second)


def check_left_tail(rate, log_laplace, first, second):
    bound = float(second_order(rate, first, second))
    assert bound == pytest.approx(-rate * first + rate**2 * second / 2)
    assert log_laplace <= bound + 1e-9


@given(rate=st.floats(0.001, 20), shape=st.floats(0.05, 9), size=positive)
@settings(max_examples=200)
def test_nonnegative_gamma_losses(rate, shape, size):
    check_left_tail(
        rate,
        -shape * math.log1p(rate * size),
        shape * size,
        shape * (shape + 1) * size**2,
    )


@given(rate=st.floats(0.001, 5), spread=st.floats(0.05, 1.5))
def test_nonnegative_lognormal_losses(rate, spread):
    laplace = normal_mean(lambda x: math.exp(-rate * math.exp(spread * x)))
    check_left_tail(rate, math.log(laplace), math.exp(spread**2 / 2), math.exp(2 * spread**2))


@given(
    rate=st.floats(0.001, 20),
    atoms=st.lists(st.tuples(st.floats(0, 5), positive), min_size=1, max_size=6),
)
@settings(max_examples=200)
def test_nonnegative_discrete_losses(rate, atoms):
    values, weights = np.array(atoms).T
    weights = weights / weights.sum()
    check_left_tail(
        rate,
        math.log(weights @ np.exp(-rate * values)),
        weights @ values,
        weights @ values**2,
    )


def test_the_second_moment_is_the_smallest_constant_for_rare_losses():
    """A loss of 1 with small probability p has R^2 near p = E f^2: nothing is lost."""
    rare, rate = 1e-6, 1e-3
    exact = math.log1p(rare * math.expm1(-rate))
    assert exact > -rate * rare + 0.99 * rate**2 * rare / 2


gap_bound = lemmas.sample_gap.to_torch(lemmas.scale, lemmas.information)


@given(n=st.integers(2, 500), d=st.integers(1, 9), noise2=st.floats(0, 4), weight=positive)
@settings(max_examples=200)
def test_gap_of_a_noisy_mean(n, d, noise2, weight):
    """W = sample mean + noise under the loss weight |x - W|^2 / 2, everything closed form."""
    gap = weight * d / n
    scale = weight * (1 + 1 / n + noise2) * math.sqrt(d / 2)
    one = d / 2 * math.log((1 / n + noise2) / ((n - 1) / n**2 + noise2))
    assert gap <= float(gap_bound(scale, one)) * (1 + 1e-9)
    if noise2 > 0.001:
        # one n-th of the information in the whole sample serves as well, and is larger
        whole = d / 2 * math.log1p(1 / (n * noise2)) / n
        assert one <= whole * (1 + 1e-9)
        assert gap <= float(gap_bound(scale, whole)) * (1 + 1e-9)
