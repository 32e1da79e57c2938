"""Kesten's root, its solved case, stable chains, and the constant that is not ours."""

import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import heavy_tails as proof
from genbound.derivations import pac_bayes, sgld
from genbound.derivations.parameter_information import rate, steps
from genbound.derivations.sgld_solved import inverse_temperature
from genbound.symbolic import Refuted, verify


def test_grades():
    found = {name: value for name, value in vars(proof).items() if isinstance(value, Derivation)}
    granted = {"kesten", "stable_complexity", "stable_gap"}
    for name in set(found) - granted:
        assert set(found[name].grades) <= {"defined", "substituted", "proved"}, name
    for name in ("kesten", "stable_complexity"):
        assert "holds on a solvable family" in found[name].steps[-1].detail, name


@pytest.mark.parametrize(("batch", "d"), [(1, 1), (4, 1), (16, 1), (1, 3), (4, 5), (2, 12)])
def test_second_moment_against_simulation(batch, d, generator):
    """t14: the edge of finite variance, in any dimension."""
    variance, draws = 1.3, 40_000
    at = {proof.v: variance, proof.batch: batch, proof.d: d}
    edge = float(proof.edge_isotropic.subs(at))
    formula = proof.second_moment_isotropic.expr.subs(at | {rate: edge})
    assert abs(float(formula) - 1) < 1e-12
    if d == 1:
        assert math.isclose(float(proof.edge.subs(at)), edge)
        other = proof.second_moment.expr.subs(at | {rate: 0.3})
        assert math.isclose(
            other, proof.second_moment_isotropic.expr.subs(at | {rate: 0.3}), rel_tol=1e-9
        )
    size = (draws, batch, d)
    states = variance**0.5 * torch.randn(*size, generator=generator, dtype=torch.float64)
    moved = -2 * edge * (states[..., :1] * states).mean(1)
    moved[:, 0] += 1
    squares = moved.square().sum(1)
    assert abs(float(squares.mean()) - 1) < 4 * float(squares.std()) / draws**0.5


@given(st.floats(0.3, 4), st.floats(0.3, 4))
def test_the_solved_case_is_kestens(p, q):
    """X = A (1 + X) with beta-prime laws: moments of A at the tail index of X are 1."""
    moment = proof._moment(proof._p, proof._p + proof._q).subs({proof._p: p, proof._q: q})
    assert math.isclose(float(moment.subs(proof._z, q)), 1, rel_tol=1e-9)
    assert float(moment.subs(proof._z, q / 2)) < 1 < float(moment.subs(proof._z, q + p / 2))


def test_another_root_is_refuted():
    wrong = proof._moment(proof._p, proof._p + proof._q).subs(proof._z, proof._q / 2)
    with pytest.raises(Refuted):
        verify("=", proof._mean_power, sp.Integer(1), witness={proof._mean_power: wrong})


@given(st.floats(0.3, 2), st.floats(0.1, 0.95), st.integers(1, 30))
def test_scale_of_a_stable_chain(index, keep, count):
    scale, lr = 0.7, 0.2
    closed = proof.stable_scale.to_torch(proof.noise_scale, rate, proof.keep, proof.index, steps)(
        scale, lr, keep, index, count
    )
    summed = sum((keep**k * scale) ** index * lr for k in range(count))
    assert math.isclose(float(closed), summed, rel_tol=1e-9)


@given(st.floats(0.05, 1.95), st.integers(1, 10**6))
def test_the_two_forms_of_the_constant(index, weights):
    first, second = (
        sp.lambdify((proof.index, proof.weights), step.expr, "mpmath")
        for step in proof.stable_constant.steps
    )
    assert math.isclose(first(index, weights), second(index, weights), rel_tol=1e-9)
    assert math.isclose(second(2, weights), 0.5)


def test_the_radius_is_not_free(generator):
    """Cauchy noise and a constant gradient, a thousand times: the largest radius, and a larger."""
    draws = torch.randn(3, 1000, generator=generator, dtype=torch.float64).mul(2).exp()
    count = torch.randint(1, 1000, (1000,), generator=generator).double()
    scale, lr, gradient = draws
    letters = (proof.noise_scale, rate, steps, proof._slope)
    exact, largest = (
        Derivation.of(expr, expr).to_torch(*letters)(scale, lr, count, gradient)
        for expr in (proof.cauchy.steps[0].expr, proof.cauchy_radius)
    )
    coefficient = float(proof.stable_constant.expr.subs({proof.index: 1, proof.weights: 1}))
    bound = proof.stable_complexity.to_torch(
        proof.constant, sgld.gradients, proof.radius, proof.index, proof.noise_scale
    )
    spent = lr * count * gradient**2
    assert bool((exact <= bound(coefficient, spent, largest, 1.0, scale) + 1e-14).all())
    assert bool((exact > bound(coefficient, spent, 1.01 * largest, 1.0, scale)).any())


@given(st.floats(-5, 5), st.floats(0.2, 3))
def test_divergence_of_cauchy_laws(shift, scale):
    angle = torch.linspace(-math.pi / 2, math.pi / 2, 20_001, dtype=torch.float64)[1:-1]
    x = scale * angle.tan()  # Uniform angles are Cauchy draws.
    ratio = ((scale**2 + (x - shift).square()) / (scale**2 + x.square())).log()
    known = proof.cauchy.steps[0].expr.subs(
        {proof._slope: abs(shift), rate: 1, steps: 1, proof.noise_scale: scale}
    )
    assert float(ratio.mean()) == pytest.approx(float(known), abs=2e-3)


def test_at_index_two_the_bound_is_that_of_langevin_training():
    at = {proof.index: 2, proof.constant: sp.Rational(1, 2)}
    stable = proof.stable_gap.expr.subs(at)
    langevin = pac_bayes.trajectory_gap.expr.subs(inverse_temperature, proof.noise_scale**-2)
    assert sp.simplify(stable - langevin) == 0
    with pytest.raises(Refuted):
        verify(
            "<=",
            sgld.divergence,
            proof.stable_complexity.expr.subs(proof.index, 2).subs(proof.constant, 0.49),
            witness={
                sgld.divergence: sgld.trajectory.expr.subs(
                    inverse_temperature, proof.noise_scale**-2
                )
            },
        )
