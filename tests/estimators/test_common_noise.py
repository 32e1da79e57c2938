"""The score gap under common noise: solvable scores, cancellation, and honest errors."""

import math

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import estimate
from genbound.estimators.common_noise import score_gap
from genbound.estimators.score_matching import denoising_losses
from genbound.models.solvable import MeanLearner
from genbound.sde import ou
from tests.estimators.reference import GaussianScore, Model, seeded

PROCESS = ou()
TIMES = {"horizon": 2.0, "t_min": 0.05}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def tilted(noisy, _time):
    """A score that is wrong in the same way everywhere."""
    return 3.0 - noisy


def learner(mean):
    return MeanLearner(mean, PROCESS, **TIMES)


@given(st.integers(2, 40), st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_equal_data_have_no_gap(n, d, draws, seed):
    data = normal(n, d, seed=seed)
    found = score_gap(Model(tilted, **TIMES), data, data, draws=draws, generator=seeded(seed))
    assert found.gap.value == found.gap.stderr == 0
    assert found.train == found.test


@given(st.integers(2, 20), st.integers(1, 3), st.integers(0, 1000))
def test_the_parts_are_the_losses_and_their_difference(n, d, seed):
    train, test = normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    model = learner(train.mean(0))
    found = score_gap(model, train, test, draws=3, generator=seeded(seed))
    for part, data in ((found.train, train), (found.test, test)):
        expected = denoising_losses(model, data, draws=3, generator=seeded(seed)).mean()
        assert math.isclose(part.value, expected)
    # The influences carry the common noise, so the formula has the error of the pairs.
    first, second = sp.symbols("first second")
    formula = estimate.combine(first - second, {first: found.test, second: found.train})
    assert math.isclose(formula.value, found.gap.value, rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(formula.stderr, found.gap.stderr, rel_tol=1e-9)


@settings(max_examples=5)
@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_learned_mean(d, seed):
    """The gap is kappa (|z - m|^2 - |x - m|^2) / 2 in the mean, kappa the loss of signal."""
    train, test = normal(15, d, seed=seed), normal(15, d, seed=seed + 1)
    mean = train.mean(0)
    values = torch.tensor(
        [
            score_gap(learner(mean), train, test, draws=4, generator=seeded(k)).gap.value
            for k in range(200)
        ]
    )
    first, last = (float(PROCESS.moments(time)[0]) ** 2 for time in (0.05, 2.0))
    apart = [float((data - mean).square().sum(1).mean()) for data in (train, test)]
    truth = (first - last) / 2 * (apart[1] - apart[0])
    assert abs(float(values.mean()) - truth) < 4 * float(values.std()) / 200**0.5


def test_twice_the_score_at_uniform_times():
    """Data N(0, v I), the score of N(m, v I): irreducible part and error are closed forms."""
    d, v, start, end = 3, 0.4, 0.1, 2.5
    mean = torch.tensor([0.5, 0.0, -0.2], dtype=torch.float64)
    w = [math.exp(-2 * time) for time in (start, end)]
    log_ratios = [math.log((1 + (v - 1) * u) / (1 - u)) for u in w]
    weights = [u / (1 + (v - 1) * u) for u in w]
    irreducible = 2 * d / (end - start) * (log_ratios[0] - log_ratios[1])
    kappa = 2 / (end - start) * (weights[0] - weights[1])
    truth = irreducible + kappa * float(mean.square().sum())
    train, test = (math.sqrt(v) * normal(4000, d, seed=seed) for seed in (1, 2))
    found = score_gap(
        GaussianScore(PROCESS, end, start, mean, v), train, test, draws=4, generator=seeded()
    )
    scale = 4 / (end - start)
    for part in (found.train, found.test):
        assert abs(scale * part.value - truth) < 4 * scale * part.stderr < 0.2


def test_common_noise_cancels():
    """Of the variance that the noise adds to the gap, a small part is left."""
    train, test = normal(50, 3, seed=1), normal(50, 3, seed=2)
    model = Model(tilted, **TIMES)
    common, apart = [], []
    for k in range(200):
        found = score_gap(model, train, test, draws=2, generator=seeded(k))
        common.append(found.gap.value)
        fresh = score_gap(model, train, test, draws=2, generator=seeded(1000 + k))
        apart.append(fresh.test.value - found.train.value)
    ratio = torch.tensor(common).var() / torch.tensor(apart).var()
    assert float(ratio) < 0.3


def test_the_standard_error_covers_data_and_noise():
    model = Model(tilted, **TIMES)
    found = [
        score_gap(
            model,
            normal(60, 2, seed=3 * k),
            normal(60, 2, seed=3 * k + 1),
            draws=2,
            generator=seeded(3 * k + 2),
        )
        for k in range(300)
    ]
    for part in ("train", "test", "gap"):
        values = torch.tensor([getattr(each, part).value for each in found])
        claimed = torch.tensor([getattr(each, part).stderr for each in found])
        assert 0.85 < float(claimed.square().mean().sqrt() / values.std()) < 1.15
    gaps = torch.tensor([each.gap.value for each in found])
    assert abs(float(gaps.mean())) < 4 * float(gaps.std()) / 300**0.5


def test_bad_input_is_named():
    model = learner(torch.zeros(2))
    with pytest.raises(ValueError, match=r"test: got shape \(4, 2\), allowed is \(5, 2\)"):
        score_gap(model, torch.zeros(5, 2), torch.zeros(4, 2), draws=1, generator=seeded())
    with pytest.raises(ValueError, match="draws: got 0"):
        score_gap(model, torch.zeros(5, 2), torch.zeros(5, 2), draws=0, generator=seeded())


def test_devices(device):
    train, test = normal(20, 2, seed=1).to(device), normal(20, 2, seed=2).to(device)
    generator = torch.Generator(device).manual_seed(0)
    model = learner(train.mean(0))
    assert score_gap(model, train, train, draws=2, generator=generator).gap.value == 0
    assert score_gap(model, train, test, draws=2, generator=generator).gap.stderr > 0
