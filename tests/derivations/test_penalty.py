"""The closed forms of penalised training, against minimisers, solvers and simulation."""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

from genbound.derivation import Derivation
from genbound.derivations import penalty, trade_off
from genbound.symbolic import Refuted, to_torch

FOUND = {name: value for name, value in vars(penalty).items() if isinstance(value, Derivation)}
INSTANCES = 4000


def value(name, *point):
    return float(FOUND[name].to_torch(*penalty.letters)(*point))


@st.composite
def problems(draw):
    """a = alpha_T^2, n, d, M and lambda."""
    share, weight = draw(st.floats(0.01, 0.95)), draw(st.floats(0.01, 5.0))
    return (
        share,
        draw(st.integers(2, 200)),
        draw(st.integers(1, 30)),
        draw(st.floats(0.05, 20.0)),
        weight,
    )


def within(samples, truth):
    stderr = samples.std() / math.sqrt(len(samples))
    return abs(samples.mean() - truth) <= 4 * stderr + 1e-12


def test_everything_is_proved():
    assert len(FOUND) == 21
    for name, derivation in FOUND.items():
        assert set(derivation.grades) <= {"defined", "proved"}, name


def test_a_wrong_constant_is_refuted():
    loss = penalty.mean_loss
    wrong = loss.steps[1].expr.subs(penalty.weight, 2 * penalty.weight)
    with pytest.raises(Refuted):
        Derivation(loss.lhs, loss.steps[:1], loss.domain).equals(wrong, by="a slip")
    with pytest.raises(Refuted):
        penalty.exact.at_least(penalty.terminal_exact.expr, by="never better than no penalty")


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.01, 10))
def test_the_pointwise_minimiser(best, reference, weight):
    around = {penalty.best_score: best, penalty.reference: reference, penalty.weight: weight}
    loss = sp.lambdify(
        penalty.score, penalty.pointwise.steps[1].expr.subs(around).subs(penalty._tau, 1)
    )
    found = optimize.minimize_scalar(loss)
    assert found.x == pytest.approx(float(penalty.shrunk_score.subs(around)), abs=1e-6)
    least = float(penalty.pointwise.expr.subs(around).subs(penalty._tau, 1))
    assert found.fun == pytest.approx(least, abs=1e-9)


@given(problems())
@settings(max_examples=25)
def test_the_exact_divergence_by_simulation(problem):
    share, n, d, norm2, weight = problem
    rng = np.random.default_rng(0)
    mu = np.full(d, math.sqrt(norm2 / d))
    learned = mu + rng.standard_normal((20_000, d)) / math.sqrt(n)
    made = (1 - share) * learned / (1 + weight)
    assert within(((mu - made) ** 2).sum(1) / 2, value("exact", *problem))
    assert within(((mu - learned) ** 2).sum(1) / 2, value("terminal_exact", *problem))
    start = share * ((mu - learned) ** 2).sum(1) / 2
    assert within(start, value("terminal_prior", *problem))


@given(problems())
@settings(max_examples=25)
def test_the_best_weight_against_a_minimiser(problem):
    _, n, d, norm2, _ = problem
    exact = FOUND["exact"].to_torch(*penalty.letters)
    found = optimize.minimize_scalar(
        lambda log: float(exact(0.0, n, d, norm2, math.exp(log))),
        bounds=(-15, 10),
        options={"xatol": 1e-9},
    )
    best = float(penalty.best_weight_endless.subs({penalty.n: n, penalty.d: d, penalty.M: norm2}))
    assert math.exp(found.x) == pytest.approx(best, rel=1e-3)
    assert found.fun == pytest.approx(value("endless_optimum", *problem))


def instances():
    """Random a, n, d, M and lambda, each (INSTANCES,)."""
    generator = torch.Generator().manual_seed(3)
    uniform = torch.rand(5, INSTANCES, generator=generator, dtype=torch.float64)
    share, weight = uniform[0] * 0.98 + 0.01, (8 * uniform[4] - 5).exp()
    n, d = (1 + (7 * uniform[1]).exp()).floor(), (1 + (6 * uniform[2]).exp()).floor()
    return share, n, d, (8 * uniform[3] - 4).exp(), weight


def test_no_instance_falls_below_the_optimum_and_the_best_weight_is_never_worse_than_none():
    share, n, d, norm2, weight = instances()
    exact = FOUND["exact"].to_torch(*penalty.letters)
    least = trade_off.exact_minimum.to_torch(*trade_off.letters)(share, n, d, norm2)
    slack = 1 + 1e-12
    assert (exact(share, n, d, norm2, weight) * slack >= least).all()
    best = to_torch(penalty.letters, penalty.best_weight)(share, n, d, norm2, weight)
    with_best = exact(share, n, d, norm2, best)
    torch.testing.assert_close(with_best, least)
    unpenalised = trade_off.exact.to_torch(*trade_off.letters)(share, n, d, norm2)
    assert (with_best <= unpenalised * slack).all()
    assert (with_best < 0.9 * unpenalised).any()
    joint = FOUND["joint_optimum"].to_torch(*penalty.letters)(share, n, d, norm2, weight)
    torch.testing.assert_close(joint, least)
    endless = FOUND["endless_optimum"].to_torch(*penalty.letters)(share, n, d, norm2, weight)
    torch.testing.assert_close(endless, exact(0 * share, n, d, norm2, d / (n * norm2)))


@given(st.floats(0.05, 3), st.floats(0.2, 0.99), st.integers(2, 300), st.floats(0.01, 30))
def test_soft_thresholding(h, sigma, n, scale):
    """The root form's minimiser over the plane of m, by a solver without derivatives."""

    def loss(point):
        miss = (point[0] - h) ** 2 + point[1] ** 2
        energy = sigma**2 * (point @ point) / 2
        return sigma**2 * miss / 2 + scale * math.sqrt(2 * energy / n)

    values = {penalty.h: h, penalty.sigma: sigma, penalty.n: n, penalty.R: scale}
    factor = float(penalty.threshold.subs(values))
    claimed = loss(np.array([factor * h, 0.0]))
    found = optimize.minimize(
        loss, [h, 0.1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
    )
    assert claimed <= found.fun + 1e-9
    assert factor * h == pytest.approx(found.x[0], abs=1e-3)
    ratio = scale / (sigma * math.sqrt(n) * h)
    bound = penalty.root_kept if ratio < 1 else penalty.root_dropped
    assert claimed == pytest.approx(float(bound.expr.subs(values).subs(penalty._kappa, ratio)))


def test_the_price_of_the_root_form_by_simulation():
    """E KL n -> 3 d / 4 with R^2 = d / 2, against d / 2 without a penalty."""
    n, d, norm2 = 40_000, 4, 2.0
    rng = np.random.default_rng(1)
    mu = np.full(d, math.sqrt(norm2 / d))
    learned = mu + rng.standard_normal((40_000, d)) / math.sqrt(n)
    length = np.linalg.norm(learned, axis=1, keepdims=True)
    made = np.maximum(0, 1 - math.sqrt(d / 2 / n) / length) * learned
    scaled = n * ((mu - made) ** 2).sum(1) / 2
    limit = float(penalty.root_price.expr.subs(penalty.d, d))
    assert limit == 3.0
    assert scaled.mean() == pytest.approx(limit, abs=4 * scaled.std() / 200 + 0.02)


@given(problems())
@settings(max_examples=25)
def test_a_terminal_law_gives_the_learned_mean_at_every_horizon(problem):
    share, *_ = problem
    clock = -math.log(share)

    def slope(run, m):
        return m / 2 - (m - np.exp(-(clock - run) / 2))

    end = integrate.solve_ivp(slope, (0, clock), [math.sqrt(share)], rtol=1e-10, atol=1e-12)
    assert end.y[0, -1] == pytest.approx(1.0, rel=1e-6)
    spread2 = 2.7
    law = penalty.terminal_spread.expr.subs({penalty.a: share, penalty._spread2: spread2})
    assert float(law) == pytest.approx(share * spread2 + 1 - share)


@given(problems(), st.floats(0.55, 0.99))
@settings(max_examples=25)
def test_the_zero_reference_by_a_solver_and_simulation(problem, q):
    share, n, d, norm2, _ = problem
    clock = -math.log(share)

    def slope(run, state):
        mean, variance = state
        pull = np.exp(-(clock - run) / 2)
        return [mean / 2 - q * (mean - pull), (1 - 2 * q) * variance + 1]

    solved = integrate.solve_ivp(slope, (0, clock), [0.0, 1.0], rtol=1e-10, atol=1e-12)
    gain, variance = solved.y[:, -1]
    end = penalty.end_variance.to_torch(penalty.a, penalty.q)(share, q)
    assert float(end) == pytest.approx(variance, rel=1e-6)
    rng = np.random.default_rng(0)
    mu = np.full(d, math.sqrt(norm2 / d))
    learned = mu + rng.standard_normal((20_000, d)) / math.sqrt(n)
    miss = ((mu - gain * learned) ** 2).sum(1)
    divergence = (miss / variance + d * (1 / variance - 1 + math.log(variance))) / 2
    exact = penalty.zero_exact.to_torch(*penalty.letters_zero)(share, n, d, norm2, q)
    assert within(divergence, float(exact))


def test_without_a_pull_the_zero_reference_is_the_plain_learner():
    share, n, d, norm2, _ = instances()
    pulled = penalty.zero_exact.to_torch(*penalty.letters_zero)(share, n, d, norm2, 1.0)
    plain = trade_off.exact.to_torch(*trade_off.letters)(share, n, d, norm2)
    torch.testing.assert_close(pulled, plain)


def test_limits_in_numbers():
    gap = (1e-3 * 1.5 - math.log1p(1e-3 * 1.5)) / (2 * 1e-6)
    spread2 = penalty._gap + 1
    law = float(penalty.prior_second_order.expr.subs(spread2, 2.5))
    assert gap == pytest.approx(law, rel=2e-3)
