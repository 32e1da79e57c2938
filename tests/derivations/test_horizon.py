import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, special

from genbound.derivation import Derivation
from genbound.derivations import horizon, trade_off
from genbound.sde import vp
from genbound.symbolic import Refuted

PROCESS = vp()
GRANTED = {"_esm_end", "_de_bruijn", "_learned", "_prior", "tight_slope"}


def test_what_is_proved_and_what_rests_on_the_literature():
    found = {k: v for k, v in vars(horizon).items() if isinstance(v, Derivation)}
    assert set(horizon.__all__) <= set(found)
    for name, derivation in found.items():
        allowed = {"defined", "substituted", "proved"}
        allowed |= {"granted"} if name in GRANTED else set()
        allowed |= {"sampled"} if name == "paper_branch" else set()
        assert set(derivation.grades) <= allowed, name


CLOCK = sp.lambdify(
    horizon.paper_letters, horizon.paper_clock.expr, [{"LambertW": special.lambertw}, "numpy"]
)
FORM = sp.lambdify((horizon.B, horizon.R, *horizon.paper_letters), horizon.paper_form.expr)
RULE = horizon.tight_slope.to_torch(horizon.learned_loss, horizon.prior_loss_letter)


def chosen_clock(n, norm, radius):
    """The closed form, by SciPy's Lambert function."""
    return float(np.real(CLOCK(n, norm, radius)))


@given(
    n=st.integers(2, 10_000),
    norm=st.floats(0.1, 5),
    radius=st.floats(0.1, 10),
    scale=st.floats(0.1, 100),
)
def test_the_paper_s_clock_is_a_minimum_whatever_the_constant(n, norm, radius, scale):
    assume(n * radius**2 / norm**2 > 1.01 * math.e)
    clock = chosen_clock(n, norm, radius)
    assert clock > 1
    assert math.exp(clock) / clock == pytest.approx(n * radius**2 / norm**2)
    found = optimize.minimize_scalar(
        lambda b: FORM(b, scale, n, norm, radius), bounds=(1, 60), options={"xatol": 1e-9}
    )
    assert found.x == pytest.approx(clock, abs=1e-3)
    ratio = math.log(n * radius**2 / norm**2)
    assert clock >= ratio + math.log(ratio)


def test_the_growth_is_that_of_the_truth():
    for size in (1e8, 1e80):
        truth = math.log(1 + size * 2 / 2)
        assert chosen_clock(size, 1.25, 1.4) / truth == pytest.approx(1, abs=3 / truth**0.5)


def test_golden_clock():
    # d = 2, |mu|^2 = 2: r = E|X|.
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    first, second = np.meshgrid(1 + nodes, 1 + nodes)
    joint = np.outer(weights, weights) / (2 * math.pi)
    radius = float((np.hypot(first, second) * joint).sum())
    assert chosen_clock(10, 1.25, radius) == pytest.approx(4.57, abs=0.02)


@given(s2=st.floats(0.1, 5), c2=st.floats(0, 4), a=st.floats(0.02, 0.98))
def test_the_rule_agrees_with_the_slope_by_differences(s2, c2, a):
    """Data N(0, s^2), score -(x - alpha c): score error by quadrature, slope by differences."""

    def variance(share):
        return 1 + (s2 - 1) * share

    def bound(clock):
        shares = np.exp(-np.linspace(0, clock, 4001))
        v = variance(shares)
        error = shares * c2 + (1 - v) ** 2 / v
        esm = np.trapezoid(error, dx=clock / 4000) / 2
        return esm + (v[-1] - 1 - math.log(v[-1])) / 2

    clock = -math.log(a)
    slope = (bound(clock + 1e-3) - bound(clock - 1e-3)) / 2e-3
    losses = (a * (c2 + s2) + a**2 / (1 - a), a * s2 + a**2 / (1 - a))
    assert float(RULE(*losses)) == pytest.approx(slope, abs=2e-3)


def test_the_citations_would_be_refuted_with_a_wrong_constant():
    letter, error, loss = horizon._kl_slope, horizon.prior_error, horizon.prior_loss_letter
    cases = [
        (letter, -error),
        (error, loss + horizon.bayes_loss),
        (horizon.learned_error, horizon.learned_loss - 2 * horizon.bayes_loss),
    ]
    for left, wrong in cases:
        with pytest.raises(Refuted):
            horizon._granted(left, wrong, cite="nowhere", by="a slip")


def test_the_solved_truth_turns_where_the_bound_does_not():
    n, d, norm2 = 10, 2, 2.0
    best = float(trade_off.minimiser.subs({trade_off.n: n, trade_off.d: d, trade_off.M: norm2}))
    exact = horizon.solved_exact_slope.to_torch(*trade_off.letters)
    path = horizon.solved_slope.to_torch(*trade_off.letters)
    assert float(exact(best, n, d, norm2)) == pytest.approx(0, abs=1e-12)
    for share, sign in ((best / 2, 1), ((1 + best) / 2, -1)):
        assert float(exact(share, n, d, norm2)) * sign > 0
        assert float(path(share, n, d, norm2)) < 0
    assert float(path(0.5, n, d, 0.9 * d / n)) > 0
