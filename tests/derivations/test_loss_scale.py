import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from genbound.derivation import Derivation
from genbound.derivations import loss_scale as proof
from genbound.derivations.linear_score import a, u
from genbound.derivations.parameter_information import information
from genbound.derivations.sgld_solved import span
from genbound.derivations.trade_off import d, n
from genbound.symbolic import Refuted, verify

BOUNDED = proof.bounded.to_torch(u, a, span, d, proof.size, proof.score_size)
MOVING = proof.moving_scale.to_torch(proof.moving_scale2, information, n)


def test_what_is_granted_is_witnessed():
    granted = set()
    for name, derivation in vars(proof).items():
        if isinstance(derivation, Derivation):
            granted |= {name} if "granted" in derivation.grades else set()
            assert "sampled" not in derivation.grades, name
            assert all("not checked" not in step.detail for step in derivation.steps), name
    others = {"sample_gap", "square_moment"}
    assert granted - others == {"bounded", "hoeffding", "moving_scale", "_score_part"}


@given(st.floats(0.001, 0.5), st.floats(1, 4), st.floats(0, 3), st.floats(0, 3))
def test_the_largest_loss_by_quadrature(start, end, reach, largest):
    """The worst case: a constant score against the target of a datum at the edge."""

    def loss(time):
        share = math.exp(-2 * time)
        noise = share / math.sqrt(1 - share)
        return (largest + math.sqrt(share) * reach) ** 2 + noise**2

    truth = integrate.quad(loss, start, end)[0]
    at = (math.exp(-2 * start), math.exp(-2 * end), end - start, 1)
    bound = float(BOUNDED(*at, reach, largest))
    assert truth <= bound * (1 + 1e-6)
    scale = proof.bounded_scale.to_torch(u, a, span, d, proof.size, proof.score_size)
    assert float(scale(*at, reach, largest)) == pytest.approx(bound / 2)


def test_the_noise_part_diverges_like_a_logarithm():
    starts = torch.logspace(-8, -1, 20, dtype=torch.float64)
    share = (-2 * starts).exp()
    low, high = (law.to_torch(u)(share) for law in (proof.kernel_below, proof.kernel_above))
    for start, least, most in zip(starts.tolist(), low, high, strict=True):
        found = integrate.quad(
            lambda s: math.exp(-4 * math.exp(s)) / -math.expm1(-2 * math.exp(s)) * math.exp(s),
            math.log(start),
            4,
        )[0]
        assert least - 1e-7 <= found <= most + 1e-7
    assert float(high[0] - high[-1]) == pytest.approx(math.log(1e7) / 2, abs=0.1)


def test_a_score_in_the_learner_of_a_mean_has_a_normal_excess():
    gen = torch.Generator().manual_seed(2)
    weight, spread, count = 0.9, 0.6, 200_000
    theta, other = torch.randn(2, 5, generator=gen, dtype=torch.float64)
    fresh = spread**0.5 * torch.randn(count, 5, generator=gen, dtype=torch.float64)
    excess = weight * ((theta - fresh).square() - (other - fresh).square()).sum(1)
    letters = (proof.weight, proof._apart, proof.variance)
    truth = float(proof.centred.to_torch(*letters)(weight, (theta - other).norm(), spread))
    assert float(excess.var()) == pytest.approx(truth, rel=4 * math.sqrt(2 / count))
    standard = (excess - excess.mean()) / excess.std()
    assert abs(float(standard.pow(4).mean()) - 3) <= 4 * math.sqrt(96 / count)


def test_a_moving_scale_bounds_a_gap_that_one_scale_cannot():
    """Weights that copy the sign of their own gap, with scales as different as one likes."""
    gen = torch.Generator().manual_seed(3)
    for size in (2, 20):
        noise = torch.randn(100_000, generator=gen, dtype=torch.float64) / math.sqrt(size)
        scales = torch.randn(len(noise), generator=gen, dtype=torch.float64).exp()
        gap = (scales * noise.abs()).mean()
        bound = float(MOVING(scales.square().mean(), math.log(2), size))
        assert 0.2 * bound < float(gap) < bound


WRONG = {
    "less of score and target": (
        proof._mean_square,
        sp.Rational(99, 50) * (proof._s2 + proof._v2),
        {
            proof._mean_square: 4 * proof._one**2,
            proof._s2: proof._one**2,
            proof._v2: proof._one**2,
        },
    ),
    "a smaller Hoeffding": (
        proof._laplace,
        sp.Rational(9, 10) * proof.hoeffding.expr,
        {proof._laplace: sp.log(sp.cosh(proof._slope * proof._top / 2))},
    ),
    "half the information": (
        sp.sqrt(proof._normalised2),
        sp.sqrt(2 / n * (information + proof._log_laplace)),
        {
            proof._normalised2: (1 + proof._p) / n,
            information: (proof._p - sp.log(1 + proof._p)) / 2,
            proof._log_laplace: sp.log(2) / 2,
        },
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_false_variants_are_refuted(name):
    left, right, witness = WRONG[name]
    with pytest.raises(Refuted):
        verify("<=", left, right, witness=witness, domain={proof._share: (0, 1)})
