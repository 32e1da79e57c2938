import math

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.data import Gaussian
from genbound.derivations import trade_off
from genbound.estimate import combine
from genbound.estimators import curves, divergence, information, score_matching, trajectory
from genbound.sde import cosine, ou, vp
from tests.estimators.reference import GaussianScore, Model, seeded

PROCESS = vp()
HORIZONS = (0.2, 0.35, 0.6, 1.0)
LATE, EARLY = sp.symbols("late early")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def kept(time, process=PROCESS):
    """Squared signal scale."""
    return float(process.moments(time)[0]) ** 2


def learner(d, offset=0.3, process=PROCESS, horizon=1.0, t_min=0.02):
    return GaussianScore(process, horizon, t_min, torch.full((d,), offset, dtype=torch.float64))


def wrong_score(noisy, time):
    time = torch.as_tensor(time).expand(noisy.shape[:-1]).unsqueeze(-1)
    return torch.sin(2 * noisy.flip(-1)) - noisy * (1 + time)


def step_between(curve, k=1):
    """Difference of neighbouring horizons."""
    return combine(LATE - EARLY, {LATE: curve[k], EARLY: curve[k - 1]})


@pytest.mark.parametrize("process", [vp(), ou(), cosine()], ids=lambda p: p.name)
def test_denoising_is_the_closed_form_at_every_horizon(process):
    horizons = (0.2, 0.35, 0.6, 0.9)
    data, model = normal(4000, 3) + 1, learner(3, process=process, horizon=0.9)
    curve = curves.denoising(model, data, horizons, draws=16, generator=seeded(1))
    u, squares = kept(model.t_min, process), (data - model.mean).square().sum(-1)
    for horizon, found in zip(horizons, curve, strict=True):
        v = kept(horizon, process)
        noise_part = 3 / 2 * (-(u - v) - math.log((1 - u) / (1 - v)))
        truth = (u - v) / 2 * float(squares.mean()) + noise_part
        assert abs(found.value - truth) <= 4 * found.stderr
        assert len(found.influence) == 4000


@given(d=st.integers(1, 6), offset=st.floats(-2, 2), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_slope_is_the_closed_form_and_the_derivative_of_loss_plus_rate(d, offset, seed):
    data, model = normal(300, d, seed=seed) + 1, learner(d, offset)
    curve = curves.score_slope(model, data, HORIZONS, draws=16, generator=seeded(seed))
    shift = (data - model.mean).square().sum(-1) - data.square().sum(-1)
    for horizon, found in zip(HORIZONS, curve, strict=True):
        exact = kept(horizon) * shift / 2
        noise = found.influence + found.value - exact
        assert abs(float(noise.mean())) <= 4 * float(noise.std()) / math.sqrt(300) + 1e-12


def test_slope_integrates_to_the_change_of_loss_plus_rate():
    data = 1.5 * normal(3000, 2)
    model = Model(wrong_score)
    ends = (0.4, 0.41)
    loss = step_between(curves.denoising(model, data, ends, draws=400, generator=seeded()))
    rates = curves.encoder_rate(PROCESS, data, ends)
    clock = float(PROCESS.clock_of(0.41) - PROCESS.clock_of(0.4))
    (slope,) = curves.score_slope(model, data, (0.405,), draws=200, generator=seeded(1))
    change = (loss.value + rates[1].value - rates[0].value) / clock
    assert abs(change - slope.value) <= 4 * math.hypot(loss.stderr / clock, slope.stderr)


def test_curves_agree_with_the_estimators_of_one_horizon():
    data, model = 1.5 * normal(60, 3), Model(wrong_score)
    single = {"draws": 64, "generator": seeded(5)}
    pairs = [
        (curves.denoising, score_matching.denoising),
        (curves.explicit, score_matching.explicit),
        (curves.left_scale, score_matching.left_scale),
    ]
    for many, one in pairs:
        curve = many(model, data, HORIZONS, draws=128, generator=seeded(6))
        for horizon, found in zip(HORIZONS, curve, strict=True):
            alone = one(model, data, horizon=horizon, **single)
            # Both rest on the same data: only their draws differ, by less than either error.
            assert abs(found.value - alone.value) <= 2 * alone.stderr
            assert found.stderr == pytest.approx(alone.stderr, rel=0.35)


def test_the_exact_empirical_score_has_no_explicit_loss():
    from genbound.data import points

    data = normal(20, 2)
    model = Model(points(data).path_score(PROCESS))
    for found in curves.explicit(model, data, HORIZONS, draws=8, generator=seeded()):
        assert found.value == pytest.approx(0, abs=1e-12)


def test_encoder_curves_are_the_single_estimators_with_the_same_noise():
    data, generator = normal(40, 4), seeded(3)
    curve = curves.encoder_information(PROCESS, data, HORIZONS, draws=16, generator=generator)
    for horizon, found in zip(HORIZONS, curve, strict=True):
        options = {"draws": 16, "generator": seeded(3)}
        assert found == information.encoder_information(PROCESS, data, horizon, **options)
    values = [found.value for found in curve]
    assert values == sorted(values, reverse=True)
    rates = curves.encoder_rate(PROCESS, data, HORIZONS)
    assert rates[2] == information.encoder_rate(PROCESS, data, 0.6)
    roots = curves.encoder_root_rate(PROCESS, data, HORIZONS)
    assert roots[0] == information.encoder_root_rate(PROCESS, data, 0.2)


@pytest.mark.parametrize("reference", ["zero", "prior"])
def test_path_energy_is_the_closed_form_and_that_of_single_chains(reference):
    model = learner(2, 0.8, t_min=1e-3)
    options = {"reference": reference, "d": 2, "step": 0.05, "dtype": torch.float64}
    curve = curves.path_energy(model, HORIZONS, paths=1500, generator=seeded(), **options)
    a = torch.tensor([kept(horizon) for horizon in HORIZONS], dtype=torch.float64)
    letter = trade_off.energy_zero if reference == "zero" else trade_off.energy_prior
    # n so large that M + d / n is the learned mean's own square
    truths = letter.to_torch(*trade_off.letters)(a, 1e12, 2, float(model.mean.square().sum()))
    for horizon, found, truth in zip(HORIZONS, curve, truths.tolist(), strict=True):
        assert abs(found.value - truth) <= 4 * found.stderr + 0.03 * truth
        alone = trajectory.path_energy(
            model, paths=1500, generator=seeded(9), horizon=horizon, **options
        )
        # The grids differ, and so do the steps.
        slack = 4 * math.hypot(found.stderr, alone.stderr) + 1e-3 * truth
        assert abs(found.value - alone.value) <= slack
    if reference == "zero":  # against the prior this model's energy does not depend on the path
        assert step_between(curve, 3).stderr < math.hypot(curve[2].stderr, curve[3].stderr)


def test_the_measured_truth_is_the_closed_form():
    mu, model = torch.ones(2, dtype=torch.float64), learner(2, 0.7, t_min=0.05)
    source = Gaussian(mu, torch.eye(2, dtype=torch.float64))
    options = {"paths": 16, "step": 0.1}
    noised = source.noised(PROCESS, model.t_min)
    found = curves.model_kl(
        noised, model, HORIZONS, n=400, dtype=torch.float64, generator=seeded(), **options
    )
    data = source.sample(400, generator=seeded(2))
    nll = curves.model_nll(model, data, HORIZONS, generator=seeded(3), **options)
    u = kept(model.t_min)
    for horizon, kl, likelihood in zip(HORIZONS, found, nll, strict=True):
        a = kept(horizon)
        truth = float((mu - (1 - a / u) * model.mean).square().sum()) * u / 2
        assert abs(kl.value - truth) <= 4 * kl.stderr + 0.02
        entropy = math.log(2 * math.pi * math.e)
        assert abs(likelihood.value - truth - entropy) <= 4 * likelihood.stderr + 0.02
    alone = divergence.model_kl(
        noised, model, n=400, dtype=torch.float64, generator=seeded(8), **options
    )
    assert abs(alone.value - found[-1].value) <= 4 * math.hypot(alone.stderr, found[-1].stderr)


def test_differences_between_horizons_have_honest_small_errors():
    horizons = (0.5, 0.6)
    model, repeats = learner(2, 0.5, horizon=0.6), 150
    u, v = kept(0.5), kept(0.6)
    shift = 2 * (1 + 0.5**2)  # E ||X - mean||^2 for X standard normal
    truth = (u - v) / 2 * shift - (u - v) - math.log((1 - u) / (1 - v))
    scores, ratios = [], []
    for seed in range(repeats):
        data = normal(80, 2, seed=seed)
        curve = curves.denoising(model, data, horizons, draws=16, generator=seeded(seed))
        difference = step_between(curve)
        scores.append((difference.value - truth) / difference.stderr)
        ratios.append(difference.stderr / math.hypot(curve[0].stderr, curve[1].stderr))
    spread = float(torch.tensor(scores).std())
    assert 0.8 < spread < 1.25
    assert abs(float(torch.tensor(scores).mean())) < 4 * spread / math.sqrt(repeats)
    assert max(ratios) < 0.5


@pytest.mark.parametrize("horizons", [(), (0.5, 0.4), (0.5, 0.5), (0.01, 0.5), (0.5, 1.1)])
def test_refuses_horizons_out_of_order(horizons):
    model, data = learner(2), normal(4, 2)
    options = {"draws": 4, "generator": seeded()}
    for curve in (curves.denoising, curves.explicit, curves.left_scale, curves.score_slope):
        with pytest.raises(ValueError, match="horizons: got"):
            curve(model, data, horizons, **options)
    chain = {"paths": 4, "step": 0.5, "generator": seeded()}
    with pytest.raises(ValueError, match="horizons: got"):
        curves.path_energy(model, horizons, reference="zero", d=2, **chain)
    with pytest.raises(ValueError, match="horizons: got"):
        curves.model_nll(model, data, horizons, **chain)


def test_refuses_an_unknown_reference_and_a_single_path():
    model = learner(2)
    chain = {"paths": 1, "step": 0.5, "generator": seeded()}
    with pytest.raises(ValueError, match="reference: got 'one'"):
        curves.path_energy(model, HORIZONS, reference="one", d=2, **chain)
    with pytest.raises(ValueError, match="paths: got 1"):
        curves.model_nll(model, normal(4, 2), HORIZONS, **chain)
