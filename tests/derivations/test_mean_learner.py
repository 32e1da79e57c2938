"""The learner of a mean at any t_min: limits, golden numbers, simulation."""

import math
from functools import cache

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import diffusion, mean_learner, trade_off
from genbound.derivations.diffusion import paper_form
from genbound.derivations.diffusion.solved import one_datum, population, sample
from genbound.symbolic import Refuted


@cache
def word(module, name):
    return getattr(module, name).to_torch(*module.letters)


def value(name, *point):
    return float(word(mean_learner, name)(*point))


points = st.tuples(
    st.floats(0.05, 0.99),
    st.floats(0.01, 0.99),
    st.integers(2, 50),
    st.integers(1, 20),
    st.floats(0.01, 20),
)


def test_grades():
    found = {n: v for n, v in vars(mean_learner).items() if isinstance(v, Derivation)}
    assert len(found) > 25
    for name, derivation in found.items():
        allowed = {"defined", "proved"} | ({"sampled"} if name == "gap_is_bounded" else set())
        assert set(derivation.grades) <= allowed, name


AT_ZERO = {
    "exact": "exact",
    "score_error": "score_error",
    "prior": "prior",
    "rate": "rate",
    "information_end": "information",
    "gap": "gap",
    "scale2": "scale2",
    "information": "sample_information",
    "generator_scale2": "generator_scale2",
    "base": "paper_base",
}


@given(points)
def test_its_limit_at_time_zero_is_the_solved_trade_off(point):
    _, share, *rest = point
    for ours, theirs in AT_ZERO.items():
        solved = float(word(trade_off, theirs)(share, *rest))
        assert value(ours, 1.0, share, *rest) == pytest.approx(solved, rel=1e-9, abs=1e-12), ours


@given(points)
def test_letters_are_those_of_simulated_pairs(point):
    """Second moments of the pairs, from their covariance, not from the formulas."""
    u, r, n, d, norm2 = point
    mu = math.sqrt(norm2 / d)
    v = 1 - r
    # (x_eps, learned mean) of a training datum: means and covariance per coordinate
    cov = torch.tensor([[1.0, math.sqrt(u) / n], [math.sqrt(u) / n, 1 / n]], dtype=torch.float64)
    row = torch.tensor([1.0, -math.sqrt(u) * v], dtype=torch.float64)
    offset = math.sqrt(u) * mu * r
    seen = float(row @ cov @ row) + offset**2 + r
    fresh = float(row @ torch.diag(cov.diagonal()) @ row) + offset**2 + r
    log_volume = math.log(2 * math.pi * v)
    assert value("loss_prior", *point) == pytest.approx(d * (log_volume + fresh / v) / 2)
    assert value("loss_prior_hat", *point) == pytest.approx(d * (log_volume + seen / v) / 2)
    correlation2 = float(cov[0, 1] ** 2 / cov[1, 1])
    assert value("information_noised", *point) == pytest.approx(
        -d / 2 * math.log(1 - correlation2), rel=1e-9
    )


@pytest.mark.parametrize("name", ["tight", "tight_held_out", "nll_information", "nll_held_out"])
def test_theorems_line_by_line(name):
    theorem = getattr(diffusion, name)
    solved = diffusion.on_mean_learner(theorem)
    assert len(solved.steps) == len(theorem.steps)
    assert solved.relation == "<="
    # what rested on a citation is an identity of closed forms now
    assert set(solved.grades) <= {"defined", "proved", "sampled"}
    left = {diffusion.distance_min, diffusion.distance_end}
    assert solved.expr.free_symbols - left <= set(mean_learner.letters)


@pytest.mark.parametrize(
    ("chain", "letter"),
    [
        ("path", diffusion.prior_kl),
        ("denoising", diffusion.esm),
        ("jensen", diffusion.loss_prior),
        ("reconstruction", diffusion.info_pair_hat),
        ("joint_is_bounded", diffusion.esm_hat),
        ("entropy_falls", diffusion.entropy_min),
        ("encoder_gap_is_bounded", diffusion.scale_encoder),
        ("pair_keeps_more", diffusion.info_end_hat),
        ("gap_is_bounded", diffusion.scale_generator),
        ("generated_information", diffusion.energy),
    ],
)
def test_the_witness_refutes_a_wrong_constant(chain, letter):
    """Each citation is tried again with one letter a tenth too small (or too large).

    On the learner of a mean the information bound on a gap is loose by a factor of at least two,
    so only a larger slip shows.
    """
    derivation = getattr(diffusion, chain)
    step = next(step for step in derivation.steps if step.grade == "granted")
    wrong = sp.Rational(11, 10) if step.relation == ">=" else sp.Rational(9, 10)
    wrong = sp.Rational(1, 4) if chain == "gap_is_bounded" else wrong
    if chain == "entropy_falls":
        expr = step.expr - sp.Rational(1, 4)
    else:
        expr = step.expr.subs(letter, wrong * letter)
    index = derivation.steps.index(step)
    opening = Derivation(derivation.lhs, derivation.steps[:index], derivation.domain)
    with pytest.raises(Refuted):
        opening.granted(step.relation, expr, cite="none", by="wrong", witness=witnesses(chain))


def witnesses(chain):
    """The closed forms that the module tried the citation on."""
    special = {
        "generated_information": paper_form._generated,
        "encoder_gap_is_bounded": paper_form._one_point_closed,
        "pair_keeps_more": paper_form._population_pair,
        "gap_is_bounded": sample,
        "reconstruction": one_datum,
        "joint_is_bounded": one_datum,
        "entropy_falls": one_datum,
    }
    return special.get(chain, population)
