import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import pac_bayes as proof
from genbound.derivations.change_of_measure import scale
from genbound.derivations.parameter_information import rate, steps
from genbound.derivations.sgld import divergence
from genbound.derivations.sgld_forgetting import decay, forgotten, start_divergence
from genbound.derivations.sgld_solved import inverse_temperature
from genbound.derivations.trade_off import n
from genbound.symbolic import Refuted, verify

BOUND = proof.pac_bayes.to_torch(scale, divergence, n, proof.failure)


def test_what_is_granted_is_witnessed():
    for name, derivation in vars(proof).items():
        if isinstance(derivation, Derivation):
            assert "sampled" not in derivation.grades, name
            assert all("not checked" not in step.detail for step in derivation.steps), name
    assert proof.square_moment.expr == sp.sqrt(2)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=2, max_size=6))
def test_the_square_moment_of_bounded_variables(points):
    """Centred variables in an interval of length l are sub-Gaussian of scale l / 2."""
    values, mass = torch.tensor(points, dtype=torch.float64).T
    mass = mass / mass.sum()
    centred = values - (mass * values).sum()
    reach = float(centred.max() - centred.min()) / 2 + 1e-9
    moment = (mass * (centred.square() / (4 * reach**2)).exp()).sum()
    assert float(moment) <= math.sqrt(2) + 1e-12


def test_the_mean_square_moment_of_a_normal_gap_is_the_constant():
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    density = (-x.square() / 2).exp() / math.sqrt(2 * math.pi)
    moment = torch.trapezoid(density * (x.square() / 4).exp(), x)
    assert float(moment) == pytest.approx(float(proof.square_moment.expr))


def test_the_worst_posterior_stays_below_with_the_promised_probability():
    """Weights are directions, the loss is <theta, z>: normal gaps of scale |theta| / sqrt(n)."""
    gen = torch.Generator().manual_seed(1)
    size, count, samples = 25, 200, 20_000
    gaps = torch.randn(samples, 8, generator=gen, dtype=torch.float64) / math.sqrt(size)
    theta = torch.randn(count, 8, generator=gen, dtype=torch.float64)
    gaps = gaps @ (theta / theta.norm(dim=1, keepdim=True)).T
    for temperature in (1.0, 5.0, 25.0, 500.0):
        posterior = (temperature * gaps).softmax(1)
        shift = (posterior * gaps).sum(1)
        spent = (posterior * (posterior * count).clamp(min=1e-300).log()).sum(1)
        for failure in (0.3, 0.05):
            missed = (shift > BOUND(1.0, spent, size, failure)).double().mean()
            assert float(missed) <= failure
    # What the posterior has learned must be paid for.
    assert float((shift > BOUND(1.0, 0.0, size, 0.3)).double().mean()) > 0.3


def test_a_fixed_weight_misses_with_the_tail_of_its_gap():
    for failure in (0.5, 0.1, 0.001):
        threshold = float(BOUND(1.0, 0.0, 1.0, failure))
        assert 0 < math.erfc(threshold / math.sqrt(2)) <= failure


def test_the_forgetful_gap_is_the_bound_at_the_forgetful_divergence():
    gen = torch.Generator().manual_seed(2)
    draws = torch.rand(6, 2000, generator=gen, dtype=torch.float64)
    start, total, beta, share, failure, size = draws
    letters = (start_divergence, forgotten, inverse_temperature, decay, rate, steps, scale, n)
    forgetful = proof.forgetful_gap.to_torch(*letters, proof.failure)
    found = forgetful(start, total, beta, share, 0.5, 7.0, 3.0, 1 + 99 * size, failure)
    spent = start * (1 - share / 2) ** 7 + beta / 2 * (1 - share / 4) * total
    torch.testing.assert_close(found, BOUND(3.0, spent, 1 + 99 * size, failure))


WRONG = {
    "half the divergence": (
        proof._second,
        2 * scale**2 / n * (divergence + proof._log_laplace),
        proof._tilt,
    ),
    "a smaller mean": (
        proof._log_laplace,
        proof.confidence - sp.Rational(1, 10),
        {
            proof._log_laplace: sp.log(sp.sqrt(2) * proof._share / proof.failure),
            proof.confidence: sp.log(sp.sqrt(2) / proof.failure),
        },
    ),
    "a smaller moment": (
        proof._laplace,
        proof._w ** sp.Rational(-2, 5),
        {proof._laplace: 1 / sp.sqrt(proof._w)},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_false_variants_are_refuted(name):
    left, right, witness = WRONG[name]
    domain = {proof._w: (0, 1), proof._share: (0, 1), proof.failure: (0, 1)}
    with pytest.raises(Refuted):
        verify("<=", left, right, witness=witness, domain=domain)
