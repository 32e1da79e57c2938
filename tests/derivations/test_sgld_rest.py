import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import sgld_forgetting, sgld_rest, sgld_solved
from genbound.derivations.linear_score import a, u
from genbound.derivations.parameter_information import rate

CASE = {"n": 20.0, "d": 5.0, "variance": 0.6}


def curvature():
    times = (math.exp(-0.1), math.exp(-6.0), 2.95, 0.6)
    letters = (u, a, sgld_solved.span, sgld_solved.variance)
    return float(sgld_solved.curvature.to_torch(*letters)(*times))


def moments(*chain):
    chain = tuple(torch.as_tensor(word, dtype=torch.float64) for word in chain)
    return [
        law.to_torch(*sgld_rest.letters)(*chain)
        for law in (sgld_rest.share_at, sgld_rest.spread_at)
    ]


def test_every_line_is_proved():
    for name, derivation in vars(sgld_rest).items():
        if isinstance(derivation, Derivation):
            assert not {"granted", "sampled", "witnessed"} & set(derivation.grades), name


def test_the_golden_divergence():
    weight = curvature()
    share, spread = moments(weight, 0.05, 0.1, 200, 40)
    rest = sgld_forgetting.stationary.to_torch(
        sgld_forgetting.decay, rate, sgld_solved.inverse_temperature
    )(0.1, 0.05, 200.0)
    letters = (*sgld_rest.moments, sgld_rest.rest)
    exact = sgld_rest.divergence.to_torch(*letters)(share, spread, weight, *CASE.values(), rest)
    assert float(exact) == pytest.approx(6.325459, abs=1e-6)
    information = sgld_rest.information.to_torch(*sgld_rest.moments)
    assert float(information(share, spread, weight, *CASE.values())) < float(exact)


@given(
    st.floats(0.1, 3), st.floats(0.01, 0.9), st.floats(0.01, 0.9), st.floats(0.5, 50),
    st.integers(0, 12),
)  # fmt: skip
def test_the_moments_are_those_of_the_recursion(weight, lr, decay, beta, count):
    share, spread = 0.0, 2 / (beta * decay * (2 - lr * decay))
    for _ in range(count):
        keep = 1 - lr * (2 * weight + decay)
        share, spread = keep * share + 2 * weight * lr, keep**2 * spread + 2 * lr / beta
    found = moments(weight, lr, decay, beta, count)
    assert float(found[0]) == pytest.approx(share, rel=1e-6, abs=1e-6)
    assert float(found[1]) == pytest.approx(spread, rel=1e-6, abs=1e-6)


def test_everything_else_against_simulation():
    gen = torch.Generator().manual_seed(1)
    weight, lr, decay, beta, count, size, variance = 0.8, 0.2, 0.3, 6.0, 5, 4, 0.6
    like = {"generator": gen, "dtype": torch.float64}
    data = math.sqrt(variance) * torch.randn(200_000, size, **like)
    _, spread = moments(weight, lr, decay, beta, 0)
    theta = spread.sqrt() * torch.randn(len(data), **like)
    for _ in range(count):
        gradient = 2 * weight * (theta[:, None] - data).mean(1)
        kick = math.sqrt(2 * lr / beta) * torch.randn(len(theta), **like)
        theta = theta - lr * (gradient + decay * theta) + kick
    centre, singles = data.mean(1), 2 * weight * (theta[:, None] - data)
    fit = torch.stack([theta, centre]).cov()
    samples = {
        "loss": weight * (theta[:, None] - data).square().mean(1),
        "gap": 2 * weight * theta * centre,
        "gradient2": singles.mean(1).square(),
        "single2": singles.square().mean(1),
        "shift2": theta.square(),
        "step_variance": (2 * weight * (centre - fit[0, 1] / fit[0, 0] * theta)).square(),
    }
    values = (*moments(weight, lr, decay, beta, count), weight, size, 1, variance)
    for name, found in samples.items():
        truth = float(getattr(sgld_rest, name).to_torch(*sgld_rest.moments)(*values))
        error = 4 * float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean()) - truth) <= error, name
    correlation = float(fit[0, 1] / (fit[0, 0] * fit[1, 1]).sqrt())
    information = float(sgld_rest.information.to_torch(*sgld_rest.moments)(*values))
    off = abs(-math.log(1 - correlation**2) / 2 - information)
    assert off <= 4 * abs(correlation) / math.sqrt(len(theta))
