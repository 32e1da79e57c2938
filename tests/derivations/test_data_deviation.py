import math
from dataclasses import replace

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sympy import Rational

from genbound.derivation import Derivation
from genbound.derivations import data_deviation as proof
from genbound.derivations.data_term import n
from genbound.derivations.sampler_error import span
from genbound.symbolic import Refuted, verify


def test_what_is_granted_is_witnessed():
    proved = {"coin", "_logarithm"}
    for name, result in vars(proof).items():
        if isinstance(result, Derivation):
            allowed = {"defined", "proved"} | (set() if name in proved else {"granted"})
            assert set(result.grades) <= allowed, name
            assert all("not checked" not in step.detail for step in result.steps), name


def test_wrong_constants_are_refuted():
    coins = {proof._log_laplace: n * sp.log(sp.cosh(proof._slope * proof.moved / 2))}
    bound = n * (proof._slope * proof.moved) ** 2 / 8
    with pytest.raises(Refuted):
        verify("<=", proof._log_laplace, Rational(99, 100) * bound, witness=coins)
    apart = {proof._mixture: proof._apart * proof._binary(proof._q)}
    with pytest.raises(Refuted):
        verify(
            "<=",
            proof._mixture,
            Rational(9, 10) * proof._binary(proof._q),
            domain={proof._q: (0, 1), proof._apart: (0, 1)},
            witness=apart,
        )
    with pytest.raises(Refuted):
        replace(proof.difference, steps=proof.difference.steps[:2]).at_most(
            proof.difference.expr / 2, by="wrong", using=[proof.component_lost]
        )
    with pytest.raises(Refuted):
        verify(
            "<=",
            proof._lost,
            Rational(9, 10) * proof._mixture,
            domain=proof.component_lost.domain,
            witness={
                proof._lost: (proof._apart - proof._left * proof._apart) * proof._binary(proof._q),
                proof._mixture: proof._apart * proof._binary(proof._q),
            },
        )
    with pytest.raises(Refuted):
        replace(proof.coin, steps=proof.coin.steps[:2]).at_most(
            Rational(4, 5) + sp.log(proof._others + 1), by="wrong", using=[proof._logarithm]
        )
    with pytest.raises(Refuted):
        replace(proof.deviation, steps=proof.deviation.steps[:1]).equals(
            proof.deviation.expr / 2, by="wrong"
        )


def test_no_coin_exceeds_its_deviation(generator):
    """Tails of 3000 binomial laws, exactly."""
    count = 3000
    sizes = torch.randint(1, 400, (count,), generator=generator).double()
    chance, level = torch.rand(2, count, generator=generator, dtype=torch.float64)
    deviation = proof.deviation.to_torch(proof.moved, n, proof.level)
    excess = deviation(torch.ones(count, dtype=torch.float64), sizes, -level.log())
    tails = binom.sf((sizes * chance + excess).numpy(), sizes.numpy(), chance.numpy())
    assert bool((torch.from_numpy(tails) <= level).all())
    tight = torch.from_numpy(tails) / level
    assert float(tight.max()) > 0.5


@given(st.floats(0.01, 0.9), st.floats(0.1, 5), st.integers(1, 500), st.floats(0.01, 0.5))
def test_bounded_support_is_hoeffding(weight, support, size, zeta):
    letters = (proof._weight, proof.support, n, proof.level)
    value = proof.bounded_support.to_torch(*letters)(weight, support, size, -math.log(zeta))
    truth = 4 * weight * support**2 * math.sqrt(math.log(1 / zeta) / (2 * size))
    assert float(value) == pytest.approx(truth, rel=1e-9)


def entropy_of(samples: torch.Tensor, noise: float) -> torch.Tensor:
    """Entropy of the mixture of kernels at the samples (..., n), by quadrature."""
    x = torch.linspace(-9, 9, 361, dtype=torch.float64)
    away = (samples[..., None] - x) / noise
    density = (-away.square() / 2).exp().mean(-2) / (noise * math.sqrt(2 * math.pi))
    return -torch.trapezoid(density * density.clamp_min(1e-280).log(), x)


def test_one_datum_moves_an_entropy_by_less_than_a_coin(generator):
    size, count = 5, 2000
    draw = torch.randn(count, size + 1, generator=generator, dtype=torch.float64) * 1.5
    first, second = draw[:, :size], draw[:, 1:]
    for noise in (0.15, 0.6):
        moved = (entropy_of(first, noise) - entropy_of(second, noise)).abs()
        coin = float(proof._binary(sp.Rational(1, size)))
        assert bool((moved <= coin).all())
        assert float(moved.max()) > 0.3 * coin


def test_what_a_datum_tells_is_forgotten(generator):
    """The difference of two times moves by one coin at most, and nearly by all of it."""
    size, count = 6, 2000
    coin = float(proof._binary(sp.Rational(1, size)))
    draw = 2 * torch.randn(count, size + 1, generator=generator, dtype=torch.float64)
    draw[:200, :size], draw[:200, size] = 0.0, 4.0
    kept = [
        torch.stack([entropy_of(scale * part, noise) for part in (draw[:, :size], draw[:, 1:])])
        for scale, noise in ((0.98, 0.2), (0.1, 0.99))
    ]
    moved = (kept[0] - kept[1]).diff(dim=0).abs()
    assert 0.9 * coin < float(moved.max()) < coin


@given(st.integers(2, 10_000), st.floats(0.1, 5), st.floats(0.001, 0.5))
def test_the_logarithm_costs_more_than_the_coin(size, tau, zeta):
    letters = (n, span, proof.level)
    bound = float(proof.concentration.to_torch(*letters)(size, tau, -math.log(zeta)))
    share = 1 / size
    coin = -share * math.log(share) - (1 - share) * math.log1p(-share)
    sharp = 4 * coin / tau * math.sqrt(size * math.log(1 / zeta) / 2)
    assert sharp <= bound * (1 + 1e-12)
    assert bound <= 2.1 * sharp


def test_the_data_term_inherits_both(generator):
    weight, support, level, tau = torch.rand(4, 2000, generator=generator, dtype=torch.float64)
    size, gap = 50.0, weight - 0.5
    fluctuation = proof.bounded_support.to_torch(proof._weight, proof.support, n, proof.level)
    letters = (proof._weight, proof.support, n, proof.level, proof.fisher_gap)
    torch.testing.assert_close(
        proof.by_moments.to_torch(*letters)(weight, support, size, level, gap),
        fluctuation(weight, support, size, level) + 4 * gap,
    )
    both = (n, span, proof.level)
    torch.testing.assert_close(
        proof.by_entropy.to_torch(*both)(size, tau, level),
        proof.concentration.to_torch(*both)(size, tau, level),
    )
    opening = replace(proof.by_entropy, steps=proof.by_entropy.steps[:1])
    with pytest.raises(Refuted):
        opening.at_most(proof._excess / 2, by="wrong", using=[proof.sign])
