"""The linear score and the learner of a variance against independent numerics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from genbound.derivation import Derivation
from genbound.derivations import linear_score, variance_learner
from genbound.sde import vp

PROCESS = vp()


def value(name, *point):
    """A result of one coordinate, in float64."""
    word = getattr(linear_score, name).to_torch(*linear_score.letters)
    return float(word(*map(float, point)))


def shares(t_min, horizon):
    return [float(PROCESS.moments(time)[0]) ** 2 for time in (t_min, horizon)]


@st.composite
def problems(draw):
    """u, a, mu, s2, learned mean, learned variance."""
    late = draw(st.floats(0.001, 0.9))
    early = draw(st.floats(0.05, 0.99)) * (1 - late) + late
    means = [draw(st.floats(-3, 3)) for _ in range(2)]
    variances = [draw(st.floats(0.1, 6)) for _ in range(2)]
    return early, late, means[0], variances[0], means[1], variances[1]


def test_grades():
    found = {n: v for n, v in vars(linear_score).items() if isinstance(v, Derivation)}
    assert found["path_is_bound"].grades == ("defined", "granted")
    assert "holds on a solvable family" in found["path_is_bound"].steps[-1].detail
    for name, derivation in found.items():
        if name != "path_is_bound":
            assert set(derivation.grades) <= {"defined", "proved"}, name
    proved = {n for n, v in found.items() if v.grade == "proved"}
    assert {"sde_mean_equation", "sde_variance_equation", "score_density", "primitive"} <= proved
    assert {"ode_mean_equation", "ode_variance_equation", "denoising_splits"} <= proved


def test_golden_numbers():
    """s2 = 2, learned 1.5, t_min = 0 as its limit u = 1, where the data have variance s2."""
    late = shares(0.1, 0.2)[1]
    point = (1.0, late, 0.0, 2.0, 0.0, 1.5)
    assert value("exact", *point) == pytest.approx(0.071483, abs=5e-7)
    assert value("score_error", *point) == pytest.approx(0.009631, abs=5e-7)
    assert value("prior", *point) == pytest.approx(0.076266, abs=5e-7)
    late = shares(0.1, 1.0)[1]
    point = (1.0, late, 0.0, 2.0, 0.0, 1.5)
    assert value("exact", *point) == pytest.approx(0.022826, abs=1e-6)
    assert value("path", *point) == pytest.approx(0.022826, abs=1e-6)


@pytest.mark.parametrize(("n", "golden"), [(2, 0.90939), (5, 0.152732), (10, 0.060895)])
def test_golden_information(n, golden):
    word = variance_learner.variance_information.to_torch(variance_learner.n)
    assert float(word(torch.tensor(float(n)))) == pytest.approx(golden, abs=5e-6)
    entropies = stats.chi2.entropy(n) - stats.chi2.entropy(n - 1)
    assert float(word(torch.tensor(float(n)).double())) == pytest.approx(entropies, abs=1e-6)


@given(problems())
def test_moments_solve_the_reverse_equations(problem):
    early, late, _, _, mean, variance = problem
    start, end = -math.log(late), -math.log(early)

    def rates(b, state, weight):
        """Time runs with -b; the score enters with weight 1 (SDE) or 1/2 (ODE)."""
        share = math.exp(-b)
        hat = 1 + (variance - 1) * share
        m, v = state
        drift = m / 2 - weight * (m - math.sqrt(share) * mean) / hat
        return [-drift, -(v - 2 * weight * v / hat + 2 * (weight - 0.5))]

    for weight, kind in ((1.0, "sde"), (0.5, "ode")):
        run = integrate.solve_ivp(
            rates, (start, end), [0.0, 1.0], args=(weight,), rtol=1e-9, atol=1e-11
        )
        m, v = run.y[:, -1]
        assert value(f"{kind}_mean", *problem) == pytest.approx(m, abs=1e-6)
        assert value(f"{kind}_variance", *problem) == pytest.approx(v, abs=1e-6)


@given(problems())
def test_losses_are_their_integrals(problem):
    early, late, mu, s2, mean, variance = problem
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    weights = weights / weights.sum()

    def explicit(share):
        v, hat = 1 + (s2 - 1) * share, 1 + (variance - 1) * share
        x = math.sqrt(share) * mu + math.sqrt(v) * nodes
        true = -(x - math.sqrt(share) * mu) / v
        return weights @ (true + (x - math.sqrt(share) * mean) / hat) ** 2 / share / 2

    def denoising(share, datum=0.7):
        hat = 1 + (variance - 1) * share
        x = math.sqrt(share) * datum + math.sqrt(1 - share) * nodes
        kernel = -nodes / math.sqrt(1 - share)
        return weights @ (kernel + (x - math.sqrt(share) * mean) / hat) ** 2 / share / 2

    expected, _ = integrate.quad(explicit, late, early)
    assert value("score_error", *problem) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    expected, _ = integrate.quad(denoising, late, early)
    loss = linear_score.loss.to_torch(*linear_score.loss_letters)
    assert float(loss(early, late, variance, (0.7 - mean) ** 2)) == pytest.approx(
        expected, rel=1e-6, abs=1e-9
    )
    lost = value("information_min", *problem) - value("information_end", *problem)
    assert value("denoising", *problem) - value("score_error", *problem) == pytest.approx(
        lost, abs=1e-9
    )


@given(problems())
def test_the_rate_is_information_and_prior(problem):
    early, late, mu, s2, *_ = problem
    rate = linear_score.rate.to_torch(linear_score.a, linear_score.x2)
    average = float(rate(late, mu**2 + s2))
    parts = value("information_end", *problem) + value("prior", *problem)
    assert average == pytest.approx(parts, abs=1e-9)


def test_the_mean_square_of_the_loss():
    early, late, s2, learned = 0.95, 0.2, 1.7, 0.8
    word = variance_learner.loss_square.to_torch(*variance_learner.letters)
    loss = linear_score.loss.to_torch(*linear_score.loss_letters)
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    losses = np.array([float(loss(early, late, learned, s2 * node**2)) for node in nodes])
    expected = (weights / weights.sum()) @ losses**2
    assert float(word(early, late, s2, learned)) == pytest.approx(expected)
