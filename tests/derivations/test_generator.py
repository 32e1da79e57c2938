import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import generator, trade_off
from genbound.sde import vp
from genbound.symbolic import Refuted, verify

PROCESS = vp()
TIMES = (0.2, 0.6, 1.0)
POINT = (10, 2, 2.0)  # n, d, M


def solvable(derivation, point=POINT, times=TIMES, extra=()):
    """A closed form of the solvable case at several horizons."""
    share = PROCESS.moments(torch.tensor(times, dtype=torch.float64))[0] ** 2
    symbols = (*trade_off.letters, *[letter for letter, _ in extra])
    return derivation.to_torch(*symbols)(share, *point, *[value for _, value in extra])


def test_grades():
    granted = {
        "chain_rule",
        "reference_score",
        "sample_wise",
        "mean_wise",
        "generator_term",
        "step_capacity",
        "ghost_sample",
    }
    found = {k: v for k, v in vars(generator).items() if isinstance(v, Derivation)}
    assert set(found) >= granted
    for name, derivation in found.items():
        allowed = {"defined", "proved"} | ({"granted"} if name.lstrip("_") in granted else set())
        assert set(derivation.grades) <= allowed | ({"granted"} if name[0] == "_" else set()), name
        for step in derivation.steps:
            assert step.grade != "granted" or "cited, not checked" not in step.detail, name


@pytest.mark.parametrize(
    ("left", "right", "relation", "witness"),
    [
        (generator._joint, generator._before + 0.4 * generator._step * generator._gap2, "=", 0),
        (generator.information, 0.9 * generator.path_information, "<=", 1),
        (generator.path_information, 0.9 * generator.energy - generator.strangeness, "=", 1),
        (generator.information, generator.energy / 2, "<=", 1),
    ],
)
def test_the_witnesses_refute_wrong_constants(left, right, relation, witness):
    witness = (generator._two_steps(), generator._mean_learner)[witness]
    with pytest.raises(Refuted):
        verify(relation, left, sp.nsimplify(right), witness=witness, domain=generator._below_one)


def test_golden_references():
    golden = {
        trade_off.generator_information: (0.033593, 0.092926, 0.095306),
        trade_off.energy_mean: (0.034164, 0.097380, 0.099996),
        trade_off.energy_prior: (0.3758, 1.0712, 1.1000),
        trade_off.energy_zero: (0.6654, 3.6701, 10.0500),
        generator.energy_ghost: (0.068328, 0.194760, 0.199991),
    }
    for derivation, values in golden.items():
        assert solvable(derivation).tolist() == pytest.approx(values, abs=6e-5)


def test_the_order_of_the_references():
    gen = torch.Generator().manual_seed(0)
    count = 5000
    share = torch.rand(count, generator=gen, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
    n, d = (torch.randint(low, 200, (count,), generator=gen).double() for low in (2, 1))
    norm2 = torch.randn(count, generator=gen, dtype=torch.float64).exp()

    def value(derivation, *extra):
        symbols = (*trade_off.letters, *[letter for letter, _ in extra])
        return derivation.to_torch(*symbols)(share, n, d, norm2, *[word for _, word in extra])

    truth = value(trade_off.generator_information)
    mean, ghost = value(trade_off.energy_mean), value(generator.energy_ghost)
    prior, zero = value(trade_off.energy_prior), value(trade_off.energy_zero)
    others = torch.randint(1, 50, (count,), generator=gen).double()
    ensemble = value(generator.energy_ensemble, (generator.others, others))
    assert bool((truth <= mean).all() and (mean <= prior).all() and (mean <= zero).all())
    # A mean far from 0 costs the prior's score more than a short clock costs the zero score.
    assert bool((prior > zero).any() and (prior < zero).any())
    assert bool((mean <= ensemble).all() and (ensemble <= ghost + 1e-12).all())
    torch.testing.assert_close(ghost, 2 * mean)
    one = value(generator.energy_ensemble, (generator.others, 1.0))
    torch.testing.assert_close(one, ghost)
    # One datum: the conditional information is at most its share of the whole, and more than
    # that of the pair without the starting noise.
    datum = value(generator.sample_information)
    assert bool((n * datum <= truth + 1e-12).all())
    assert bool((value(trade_off.generated_sample_information) <= datum + 1e-12).all())


def test_the_zero_reference_grows_with_the_clock_alone():
    share = torch.tensor([1e-3, 1e-6, 1e-9], dtype=torch.float64)
    zero = trade_off.energy_zero.to_torch(*trade_off.letters)(share, 1e12, 2, 1e-12)
    clock = generator.zero_above_clock.to_torch(trade_off.a, trade_off.d)(share, 2)
    torch.testing.assert_close(zero, clock, rtol=1e-6, atol=0)


@given(st.floats(0.1, 5), st.floats(0.05, 3), st.floats(0.2, 6))
def test_the_prior_reference_telescopes(variance, early, run):
    """1/2 int E||grad log p_b + x||^2 db by quadrature over the clock, data N(0, variance)."""
    clocks = torch.linspace(early, early + run, 4001, dtype=torch.float64)
    noised = 1 + (variance - 1) * torch.exp(-clocks)
    energy = float(torch.trapezoid(noised * (1 - 1 / noised).square(), clocks)) / 2
    line = generator.prior_reference.steps[1].expr
    ends = dict(zip((generator._first, generator._last), noised[[0, -1]].tolist(), strict=True))
    assert energy == pytest.approx(float(line.subs(ends)), rel=1e-4, abs=1e-7)
    assert energy <= float(generator.prior_reference.expr.subs(ends)) + 1e-9


def test_theorem_g_in_numbers():
    value = generator.generator_term.to_torch(generator.norm, trade_off.B, trade_off.n)
    assert float(value(5.0, 10.05, 200)) == pytest.approx(5 * math.sqrt(10.05 / 400))


@given(st.floats(1e-4, 3), st.floats(0.1, 30), st.integers(1, 50))
def test_the_capacity_of_a_step_gains_little_when_the_step_is_small(step, norm, d):
    exact = generator.capacity.steps[1].expr
    letters = {generator._step: step, generator.norm: norm, trade_off.d: d}
    plain = step * norm**2 / 2
    assert float(exact.subs(letters)) <= plain
    assert float(exact.subs(letters)) >= plain * (1 - step * norm**2 / d / 2) - 1e-12
