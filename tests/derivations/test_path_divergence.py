import math
from dataclasses import replace

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from genbound import data, sde
from genbound.derivation import Derivation
from genbound.derivations import path_divergence as path
from genbound.derivations import trade_off
from genbound.estimators import score_matching
from genbound.models.solvable import MeanLearner
from genbound.symbolic import Refuted

PROCESS = sde.vp()
reals = st.floats(-2, 2)


def test_everything_is_proved():
    found = {
        name: value.grades for name, value in vars(path).items() if isinstance(value, Derivation)
    }
    assert len(found) == 9
    assert set(found.values()) == {("defined", "proved")}


@pytest.mark.parametrize("name", sorted(set(path.__all__) - {"conditional"}))
def test_a_wrong_last_line_is_refuted(name):
    result = getattr(path, name)
    if isinstance(result, Derivation):
        with pytest.raises(Refuted):
            replace(result, steps=result.steps[:-1]).equals(
                result.expr * sp.Rational(101, 100), by="a wrong constant"
            )


def noise_variances(t_min, horizon):
    return [float(PROCESS.moments(time)[1]) ** 2 for time in (t_min, horizon)]


@given(reals, reals, st.floats(0.05, 0.2), st.floats(0.3, 1), st.integers(0, 99))
@settings(max_examples=15)
def test_denoising_loss_of_the_mean_learner(mu, learned, t_min, horizon, seed):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.tensor([learned], dtype=torch.float64)
    model = MeanLearner(mean, PROCESS, horizon, t_min)
    law = data.Gaussian([mu], [[1.0]])
    sample = law.sample(4000, generator=generator)
    seen = score_matching.denoising(model, sample, draws=16, generator=generator)
    first, last = noise_variances(t_min, horizon)
    # the last line keeps its integral for the page, the one before has it done
    solved = Derivation.of(sp.Symbol("L"), path.denoising.steps[1].expr)
    value = float(solved.to_torch(*path.denoising_letters)(first, last, mu, learned))
    assert abs(seen.value - value) <= 4 * seen.stderr
    lost = law.information(PROCESS, t_min).value - law.information(PROCESS, horizon).value
    explicit = (last - first) * (learned - mu) ** 2 / 2
    assert value == pytest.approx(explicit + lost, rel=1e-6)


def test_no_datum_breaks_its_path_bound():
    u, r, x, learned = torch.randn(
        4, 5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    u, r = torch.sigmoid(u), torch.sigmoid(r)
    a = u * r
    model = Normal(learned * (u - a) / u.sqrt(), torch.ones_like(u))
    truth = kl_divergence(Normal(u.sqrt() * x, (1 - u).sqrt()), model)
    bound = path.conditional.to_torch(*path.conditional_letters)(u, r, x, learned)
    exact = Derivation.of(sp.Symbol("KL"), path.conditional.steps[0].expr)
    torch.testing.assert_close(exact.to_torch(*path.conditional_letters)(u, r, x, learned), truth)
    assert bool((bound >= truth - 1e-12).all())
    assert float((bound - truth).min()) < 1e-4
    opening = replace(path.conditional, steps=path.conditional.steps[:1])
    with pytest.raises(Refuted):
        opening.at_most(path.conditional.expr - path._start / 10, by="a tenth too little")


def test_slack_of_the_path_bound():
    a, n, norm2 = torch.rand(
        3, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    point = (a, 1 + 50 * n, 3, norm2)
    bound, exact, slack = (
        letter.to_torch(*trade_off.letters)(*point)
        for letter in (trade_off.path, trade_off.exact, path.path_slack)
    )
    torch.testing.assert_close(bound - exact, slack)


@given(reals, reals, st.integers(1, 60), st.floats(0.1, 6))
def test_divergence_of_two_chains_step_by_step(learned, other, steps, clock):
    """The sum over steps of one step's divergence, and its limit from below."""
    h = clock / steps
    energy = Derivation.of(sp.Symbol("A"), path._energy(path._k)).to_torch(path._k, path._h)
    total = 0.0
    for k in range(steps, 0, -1):
        signal_scale = math.exp(-k * h / 2)
        step = path.chain_step.to_torch(path._s, path._s_bar, path._h)
        total += float(step(signal_scale * learned, signal_scale * other, h))
    value = float(energy(float(steps), h)) * (learned - other) ** 2
    assert value == pytest.approx(total, rel=1e-9, abs=1e-12)
    limit = Derivation.of(sp.Symbol("A"), path.chain_limit.expr).to_torch(path._clock)
    assert value <= float(limit(clock)) * (learned - other) ** 2 + 1e-12


def test_the_joint_law_of_two_steps_is_that_of_a_simulated_chain():
    generator = torch.Generator().manual_seed(0)
    h, n = 0.3, 200_000
    first = 0.7 * (1 - h / 2) + math.sqrt(h) * torch.randn(n, generator=generator)
    second = (1 - h / 2) * first + math.sqrt(h) * torch.randn(n, generator=generator)
    seen = torch.cov(torch.stack([first, second]))
    truth = torch.tensor(
        [[float(x.subs(path._h, h)) for x in row] for row in path._covariance.tolist()]
    )
    torch.testing.assert_close(seen, truth, atol=0.01, rtol=0.02)
