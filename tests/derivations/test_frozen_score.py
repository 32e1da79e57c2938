from dataclasses import replace

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound import sde
from genbound.data import Gaussian
from genbound.derivation import Derivation
from genbound.derivations import frozen_score as frozen
from genbound.symbolic import Refuted, verify

GRANTED = {"fisher_growth", "pythagoras", "_young", "within_step", "whole_step", "crude"}
nines = sp.Rational(9, 10)


def test_what_is_granted_is_witnessed():
    for name, result in vars(frozen).items():
        if isinstance(result, Derivation):
            allowed = {"defined", "proved"} | ({"granted"} if name in GRANTED else set())
            assert set(result.grades) <= allowed, name
            assert all("not checked" not in step.detail for step in result.steps), name


def claim(relation, left, right):
    """A claim about one step, tried on Gaussian data and linear scores."""
    return verify(relation, left, right, domain=frozen.domain, witness=frozen.one_step)


def test_wrong_constants_are_refuted_on_one_step():
    within, error, g, g_t = frozen._within, frozen.error, frozen._g, frozen._g_t
    ahead, w = frozen._ahead, frozen.growth
    assert claim("=", within, ahead + g_t - w**2 * g).grade == "witnessed"
    for wrong in (ahead + g_t - w * g, ahead + g_t - g, nines * ahead + g_t - w**2 * g):
        with pytest.raises(Refuted):
            claim("=", within, wrong)
    with pytest.raises(Refuted):
        claim(">=", g_t, w**3 * g)
    with pytest.raises(Refuted):
        claim("<=", within, error + nines * (g_t - g))


def test_longer_steps_need_another_proof():
    last = frozen.within_step.steps[-2].expr
    claimed = 2 * frozen.error + frozen._g_t - frozen._g
    with pytest.raises(Refuted):
        verify("<=", last, claimed, domain={frozen.growth: (1, 4)})


@pytest.mark.parametrize(
    "name", ["fisher", "approach", "score_drift", "relative_flow", "step_cost", "best_frozen"]
)
def test_a_wrong_last_line_is_refuted(name):
    result = getattr(frozen, name)
    shorter = replace(result, steps=result.steps[:-1])
    extend = shorter.equals if result.relation == "=" else shorter.at_least
    with pytest.raises(Refuted):
        extend(nines * result.expr, by="a wrong constant")


@given(st.floats(-2, 2), st.floats(0.05, 5), st.floats(0.02, 3))
def test_divergence_and_fisher_information_of_noised_data(mu, v, time):
    process = sde.ou(beta=2)
    law = Gaussian([mu], [[v]]).noised(process, time)
    share = float(process.moments(torch.tensor(time, dtype=torch.float64))[0]) ** 2
    letters = (frozen.share, frozen.mu, frozen.v)
    x = torch.linspace(-30, 30, 60_001, dtype=torch.float64)[:, None]
    density = law.log_density(x).exp()
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(x[:, 0])
    kl = torch.trapezoid(density * (law.log_density(x) - prior), x[:, 0])
    fisher = torch.trapezoid(density * (law.score(x) + x)[:, 0].square(), x[:, 0])
    assert float(frozen.prior_kl.to_torch(*letters)(share, mu, v)) == pytest.approx(
        float(kl), rel=1e-5, abs=1e-7
    )
    assert float(frozen.fisher.to_torch(*letters)(share, mu, v)) == pytest.approx(
        float(fisher), rel=1e-5, abs=1e-7
    )


def test_the_true_score_has_no_error_on_the_grid(generator):
    share, growth, v = torch.rand(3, 1000, generator=generator, dtype=torch.float64)
    growth, v = 1 + 2 * growth, 0.05 + 4 * v
    mu = torch.randn(1000, generator=generator, dtype=torch.float64)
    before = share / growth.square()
    letters = (frozen.share, frozen.mu, frozen.v)
    slope = frozen.true_slope.to_torch(frozen.share, frozen.v)(before, v)
    offset = frozen.true_offset.to_torch(*letters)(before, mu, v)
    error = frozen.grid_error.to_torch(*frozen.letters)
    torch.testing.assert_close(
        error(share, growth, mu, v, slope, offset), torch.zeros_like(v), atol=1e-12, rtol=0
    )
    # Adding 0.1 to the slope costs 0.01 E X^2.
    second = before * mu.square() + 1 + (v - 1) * before
    torch.testing.assert_close(
        error(share, growth, mu, v, slope + 0.1, offset), 0.01 * second, atol=1e-12, rtol=1e-9
    )
