"""The Wasserstein chains: sharp witnesses, known numbers, random solvable instances."""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genbound.derivation import Derivation
from genbound.derivations import wasserstein as proof
from genbound.derivations.change_of_measure import gap, information
from genbound.symbolic import Refuted, verify


def test_grades():
    found = {name: value for name, value in vars(proof).items() if isinstance(value, Derivation)}
    for name in ("gaussian", "independent", "single_point"):
        assert set(found[name].grades) == {"defined", "proved"}, name
    for name in ("product", "floor", "through_encoder", "pushed", "compensation"):
        assert "holds on a solvable family" in found[name].steps[-1].detail, name
    assert found["is_bound"].grade == "sampled"
    for name in ("theorem", "split", "held_out", "product_theorem"):
        assert found[name].lhs == proof.w1 and found[name].relation == "<=", name


SHARP = ("product", "through_encoder", "pushed")


@pytest.mark.parametrize("name", SHARP)
def test_no_smaller_constant_passes(name):
    step = getattr(proof, name)
    with pytest.raises(Refuted):
        verify(
            "<=",
            step.lhs,
            sp.Rational(97, 100) * step.expr,
            domain=dict(step.domain),
            witness=proof._shifts,
        )


def test_one_side_of_the_triangle_is_not_enough():
    for side in (proof.encoded_w1, proof.pushed_w1):
        with pytest.raises(Refuted):
            verify("<=", proof.w1, side, domain=proof._domain, witness=proof._shifts)


@pytest.mark.parametrize("factor", [sp.Rational(97, 100), 1 / sp.sqrt(2)])
def test_pinsker_has_no_smaller_constant(factor):
    share = proof._e * (1 - 2 * proof._p)
    cases = {
        proof.total_variation_codes: (
            proof.mismatch + factor * sp.sqrt(proof.aggregate_kl / 2),
            {proof.mismatch: proof._p, proof.aggregate_kl: proof._from_fair(share)},
        ),
        proof.total_variation_kl: (
            factor * sp.sqrt(proof.discrete.kl / 2),
            {proof.discrete.kl: proof._from_fair(proof._e)},
        ),
    }
    for step, (smaller, witness) in cases.items():
        witness = witness | {proof.total_variation: proof._e}
        with pytest.raises(Refuted):
            verify("<=", step.lhs, smaller, domain=proof._coin_domain, witness=witness)


def test_total_variation_through_kl():
    words = {letter: 0.1 for letter in proof.discrete.theorem.expr.free_symbols}
    total = proof.total_variation_kl.to_torch(*words)(*words.values())
    inside = proof.discrete.theorem.to_torch(*words)(*words.values())
    assert math.isclose(float(total), math.sqrt(float(inside) / 2), rel_tol=1e-6)


@given(st.floats(0, 3), st.floats(0.05, 3))
def test_gaussian_distance_is_that_of_the_quantiles(shift, spread):
    nodes, weights = np.polynomial.legendre.leggauss(400)
    quantiles = stats.norm.ppf((nodes + 1) / 2)
    distance = float(weights @ np.abs(shift + spread * quantiles)) / 2
    formula = proof.gaussian.to_torch(proof.shift, proof.spread)
    assert abs(float(formula(shift, spread)) - distance) < 1e-3 * spread


def at(derivation, mu, s, a, b, g, h, n):
    return float(derivation.to_torch(*proof.letters)(mu, s, a, b, g, h, n))


def test_known_numbers():
    """P = N(0, 1), E(x) = N(0.8 x, 0.1), G(z) = 1.1 z, no learning."""
    point = (0.0, 1.0, 0.8, math.sqrt(0.1), 1.1, 1e-12, 1e12)
    assert abs(at(proof.solved_w1, *point) - 0.0798) < 1e-4
    assert abs(at(proof.solved_encoded_loss_hat, *point) - 0.2936) < 1e-4
    assert abs(at(proof.solved_aggregate_kl, *point) - 0.0205) < 1e-4
    assert abs(at(proof.solved_prior_loss, *point) - 1.186) < 1e-3
    words = {
        proof.encoded_loss_hat: at(proof.solved_encoded_loss_hat, *point),
        proof.aggregate_kl: at(proof.solved_aggregate_kl, *point),
        proof.scale_encoder: 1.1,
        gap: 0.0,
    }
    assert abs(float(proof.held_out.to_torch(*words)(*words.values())) - 0.517) < 5e-4


def test_the_bound_can_vanish():
    """A lossless encoder whose codes follow the prior, and the generator that inverts it."""
    point = (0.0, 2.0, 0.5, 1e-7, 2.0, 1e-9, 1e9)
    assert at(proof.solved_bound, *point) < 1e-3
    assert at(proof.solved_prior_loss, *point) > 2


def random_instances(count, seed):
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high):
        return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)

    n = (10 ** uniform(0.35, 4)).floor()
    positive = [10 ** uniform(-2, 1) for _ in range(5)]
    return (uniform(-3, 3), *positive, n)


def test_b_plus_never_falls_below_the_truth():
    """20 000 instances on the line with a learned mean."""
    point = random_instances(20_000, seed=1)

    def value(derivation):
        return derivation.to_torch(*proof.letters)(*point)

    truth, bound = value(proof.solved_w1), value(proof.solved_bound)
    assert bool((bound >= truth * (1 - 1e-9)).all())
    assert bool((value(proof.solved_prior_loss) >= truth * (1 - 1e-9)).all())
    # The floor of the product coupling is the best single point, whatever the model.
    s = point[1]
    assert bool((value(proof.solved_prior_loss) >= s * math.sqrt(2 / math.pi) * (1 - 1e-9)).all())
    # The check has teeth: there are instances in which the bound is nearly the truth.
    assert float((bound / truth).min()) < 1.01 and float((bound / truth).median()) < 2


def test_without_a_term_the_bound_fails():
    """A negative control for each of the three terms."""
    point = random_instances(20_000, seed=2)
    truth = proof.solved_w1.to_torch(*proof.letters)(*point)
    loss, codes = (
        letter.to_torch(*proof.letters)(*point)
        for letter in (proof.solved_encoded_loss_hat, proof.solved_aggregate_kl)
    )
    mu, s, a, b, g, h, n = point
    scale = ((1 - g * a) ** 2 * s**2 + h**2 * s**2 / n).sqrt()
    parts = (loss, g * (2 * codes).sqrt(), scale * (n / (n - 1)).log().sqrt())
    whole = proof.solved_bound.to_torch(*proof.letters)(*point)
    assert torch.allclose(sum(parts), whole)
    for left_out in parts[:2]:
        assert bool((whole - left_out < truth * (1 - 1e-6)).any())


def test_solved_letters_against_simulation():
    mu, s, a, b, g, h, n = 0.7, 1.5, 0.6, 0.4, 1.2, 0.5, 4
    count, generator = 400_000, torch.Generator().manual_seed(3)
    sample = mu + s * torch.randn(count, n, generator=generator, dtype=torch.float64)
    noise = torch.randn(3, count, generator=generator, dtype=torch.float64)
    learned, datum = sample.mean(1), sample[:, 0]
    back = g * (a * datum + b * noise[0]) + h * learned
    made = g * noise[0] + h * learned
    fresh = mu + s * noise[1]
    distances = {
        proof.solved_encoded_loss_hat: (datum - back).abs(),
        proof.solved_prior_loss: (fresh - made).abs(),
        # Quantile coupling: the same standard normal drives both laws.
        proof.solved_w1: (fresh - g * noise[1] - h * learned).abs(),
    }
    for derivation, values in distances.items():
        solved = at(derivation, mu, s, a, b, g, h, n)
        assert abs(float(values.mean()) - solved) < 4 * float(values.std()) / count**0.5
    codes = a * fresh + b * noise[2]
    kl = (codes.var() + codes.mean() ** 2 - 1 - codes.var().log()) / 2
    assert abs(float(kl) - at(proof.solved_aggregate_kl, mu, s, a, b, g, h, n)) < 0.01


def test_the_information_of_the_mean_is_that_of_a_channel():
    solved = proof.solved_bound.expr
    assert solved.has(sp.log(proof.n / (proof.n - 1)))
    assert information not in solved.free_symbols
