"""Slopes of scores: closed forms, the side of the estimate, the integral along the clock."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.data import Mixture
from genbound.derivations import score_slope as letters
from genbound.derivations.linear_score import a, u
from genbound.estimators import score_slope
from genbound.models.diffusion import N_FEATURES, Diffusion
from genbound.models.networks import MLP
from genbound.models.solvable import LinearScore
from genbound.sde import ou, ve, vp


def linear(d, seed, process, horizon=0.9, t_min=0.02):
    generator = torch.Generator().manual_seed(seed)
    part = torch.randn(d, d, generator=generator, dtype=torch.float64)
    mean = torch.randn(d, generator=generator, dtype=torch.float64)
    return LinearScore(mean, part @ part.mT + 0.1 * torch.eye(d), process, horizon, t_min)


@given(st.integers(1, 4), st.integers(0, 100), st.floats(0.05, 0.9))
def test_a_normal_law_has_the_slope_of_its_widest_axis(d, seed, time):
    model = linear(d, seed, vp())
    points = torch.randn(5, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = score_slope.largest(lambda x: model.score(x, time), points)
    share = float(vp().moments(time)[0]) ** 2
    widest = float(model.spectrum[0][-1])
    expected = letters.gaussian_slope.to_torch(letters.w, letters.v)(share, widest)
    assert torch.allclose(found, expected.expand(5), rtol=1e-9)


@given(st.integers(2, 5), st.integers(0, 200))
def test_only_the_symmetric_part_counts(d, seed):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    points = torch.randn(3, d, generator=generator, dtype=torch.float64)
    found = score_slope.largest(lambda x: matrix @ x, points)
    pairs = torch.randn(2000, d, generator=generator, dtype=torch.float64)
    quotients = (pairs * (pairs @ matrix.mT)).sum(1) / pairs.square().sum(1)
    assert float(quotients.max()) <= float(found[0]) + 1e-9
    assert torch.allclose(found, found[0].expand(3))


@pytest.mark.parametrize("process", [vp(), ou()])
@pytest.mark.parametrize(("half", "variance"), [(0.7, 0.3), (1.5, 1.0), (0.4, 2.0)])
def test_gain_of_two_bumps(process, half, variance):
    words = (letters.w, letters.v, letters.M)
    rule = letters.bump_slope.to_torch(*words)

    def slope(time):
        return rule(process.moments(time)[0] ** 2, variance, half)

    shares = [float(process.moments(time)[0]) ** 2 for time in (0.05, 0.8)]
    exact = letters.bump_gain.to_torch(u, a, *words[1:])(*shares, variance, half)
    path = score_slope.course(process, slope, horizon=0.8, t_min=0.05, levels=2000)
    assert math.isclose(float(path.total_gain), float(exact), rel_tol=1e-4)
    coarse = score_slope.course(process, slope, horizon=0.8, t_min=0.05, levels=64)
    assert math.isclose(float(coarse.total_gain), float(exact), rel_tol=0.02)
    middle = letters.bump_gain.to_torch(u, a, *words[1:])(
        shares[0], process.moments(path.time)[0] ** 2, variance, half
    )
    assert torch.allclose(path.gain, middle, rtol=1e-3)
    clock = process.clock_of(0.8) - process.clock_of(0.05)
    assert math.isclose(float(path.clock.sum()), float(clock), rel_tol=1e-9)


def test_measured_slopes_lie_below_the_truth_and_come_close(generator):
    source = Mixture(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), 0.2)
    process = ou()
    model = SimpleNamespace(
        process=process, horizon=2.0, t_min=0.02, score=source.path_score(process)
    )
    data = source.sample(200, generator=generator)
    found = score_slope.measured(model, data, levels=12, points=400, generator=generator)
    times = process.time_of(found.log_snr)
    share = process.moments(times)[0] ** 2
    truth = letters.bump_slope.to_torch(letters.w, letters.v, letters.M)(share, 0.2, 1.0)
    truth = torch.maximum(truth, -1 / (1 - 0.8 * share))
    assert bool((found.slopes <= truth + 1e-9).all())
    assert bool((found.slopes >= truth - 0.15 * truth.abs() - 0.02).all())
    assert torch.allclose(found(times), found.slopes)


def test_of_a_network(device):
    generator = torch.Generator(device).manual_seed(0)
    net = MLP(2 + N_FEATURES, 2, 16, 2, generator=generator)
    model = Diffusion(net, vp(), horizon=1.0, t_min=0.05).to(device)
    data = torch.randn(50, 2, generator=generator, device=device)
    found = score_slope.measured(model, data, levels=5, points=32, generator=generator)
    assert found.slopes.shape == (5,) and bool(found.slopes.isfinite().all())
    # At the horizon the network hardly matters: the score is -x, its slope -1.
    assert abs(float(found.slopes[0]) + 1) < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": torch.zeros(3)}, "data"),
        ({"points": 3}, "points"),
        ({"levels": 1}, "levels"),
    ],
)
def test_bad_input_measured(change, message, generator):
    model = linear(2, 0, vp())
    words = {"data": torch.zeros(4, 2, dtype=torch.float64), "levels": 4, "points": 4} | change
    data = words.pop("data")
    with pytest.raises(ValueError, match=message):
        score_slope.measured(model, data, generator=generator, **words)


def test_bad_input_elsewhere():
    with pytest.raises(ValueError, match="points"):
        score_slope.largest(lambda x: x, torch.zeros(3))
    for change, message in (({"t_min": 2.0}, "t_min"), ({"levels": 0}, "levels")):
        words = {"horizon": 1.0, "t_min": 0.1, "levels": 3} | change
        with pytest.raises(ValueError, match=message):
            score_slope.course(vp(), lambda time: 0 * time, **words)
    with pytest.raises(ValueError, match="process"):
        score_slope.course(ve(), lambda time: 0 * time, horizon=1.0, t_min=0.1)
