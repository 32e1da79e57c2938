"""The sampler's Wasserstein bound against exact laws, tight and not, and measured transport."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import sampler
from genbound.bounds import wasserstein_sampler
from genbound.data import Gaussian, Mixture
from genbound.derivations import linear_score, score_slope
from genbound.derivations import wasserstein_sampler as proof
from genbound.estimators import quadratic_transport
from genbound.estimators import score_slope as slopes
from genbound.models.solvable import LinearScore
from genbound.sde import ou, vp

HORIZON, T_MIN = 1.5, 0.02
gaussian_slope = score_slope.gaussian_slope.to_torch(score_slope.w, score_slope.v)
bump_slope = score_slope.bump_slope.to_torch(score_slope.w, score_slope.v, score_slope.M)


def widest(model):
    top = float(model.spectrum[0][-1])
    return lambda time: gaussian_slope(model.process.moments(time)[0] ** 2, top)


def truth(source, model):
    """Exact W_2 at t_min where the two covariances have common axes."""
    shares = [float(model.process.moments(t)[0]) ** 2 for t in (model.t_min, model.horizon)]
    axes = source.spectrum[1]
    learned = (axes.mT @ model.covariance @ axes).diagonal()
    means = [part @ axes for part in (source.mean, model.mean)]
    law = (*shares, means[0], source.spectrum[0], means[1], learned)
    mean, variance = (
        moment.to_torch(*linear_score.letters)(*law)
        for moment in (linear_score.sde_mean, linear_score.sde_variance)
    )
    noised = 1 + (source.spectrum[0] - 1) * shares[0]
    gaps = (mean - shares[0] ** 0.5 * means[0]) ** 2 + (variance.sqrt() - noised.sqrt()) ** 2
    return math.sqrt(float(gaps.sum()))


@st.composite
def problems(draw):
    d, seed = draw(st.integers(1, 4)), draw(st.integers(0, 10**6))
    generator = torch.Generator().manual_seed(seed)
    part = torch.randn(d, d, generator=generator, dtype=torch.float64)
    axes = torch.linalg.qr(part)[0]
    spectra = 10 ** (2 * torch.rand(2, d, generator=generator, dtype=torch.float64) - 1)
    means = torch.randn(2, d, generator=generator, dtype=torch.float64)
    covariances = [axes * spectrum @ axes.mT for spectrum in spectra]
    process = draw(st.sampled_from([ou(), vp(0.5, 6)]))
    model = LinearScore(means[1], covariances[1], process, HORIZON, T_MIN)
    return Gaussian(means[0], covariances[0]), model


@given(problems())
@settings(max_examples=60)
def test_never_below_the_exact_distance(problem):
    source, model = problem
    generator = torch.Generator().manual_seed(1)
    data = source.sample(20, generator=generator)
    bound = wasserstein_sampler(slope=widest(model), source=source, draws=32, levels=48)
    total = bound.evaluate(model, data, generator=generator).total
    assert total.value + 4 * total.stderr >= truth(source, model) - 1e-3
    lost = source.information(model.process, T_MIN).value
    lost -= source.information(model.process, HORIZON).value
    fresh = source.sample(400, generator=generator)
    by_loss = wasserstein_sampler(
        slope=widest(model), held_out=fresh, information=lost, draws=8, levels=48
    )
    other = by_loss.evaluate(model, data, generator=generator).total
    assert other.value + 5 * other.stderr >= truth(source, model) - 1e-2


@pytest.mark.parametrize("process", [ou(), vp()])
@pytest.mark.parametrize("mean", [0.9, 0.2, -1.0])
def test_equality_where_nothing_is_lost(process, mean, generator):
    """Unit variance, a learned mean on the prior's side: bound = truth up to the quadrature."""
    one = torch.ones(1, dtype=torch.float64)
    source = Gaussian(one, one[None])
    model = LinearScore(mean * one, one[None], process, 1.0, 0.01)
    start = float(process.moments(1.0)[0])
    bound = wasserstein_sampler(slope=lambda t: -(t**0), source=source, start=start, levels=256)
    breakdown = bound.evaluate(model, source.sample(9, generator=generator), generator=generator)
    assert math.isclose(breakdown.total.value, truth(source, model), rel_tol=1e-3)
    assert breakdown["score errors with their gains"].stderr < 1e-9


def test_the_moments_bound_the_start(generator):
    source = Gaussian(torch.tensor([1.0, -0.5]), torch.diag(torch.tensor([0.3, 2.0])))
    model = LinearScore(source.mean, source.covariance, ou(), 1.0, 0.01)
    bound = wasserstein_sampler(slope=widest(model), source=source, draws=16)
    breakdown = bound.evaluate(model, source.sample(50, generator=generator), generator=generator)
    noised = source.noised(ou(), 1.0)
    exact = quadratic_transport.to_standard_normal(noised.mean, noised.covariance)
    start = breakdown["distance from the prior at the horizon"]
    share = math.exp(-2.0)
    norm2 = float(source.mean.square().sum() + source.covariance.trace())
    formula = proof.start_of_moments.to_torch(linear_score.a, proof.norm2, proof.d)
    assert abs(start.value - float(formula(share, norm2, 2))) < 4 * start.stderr
    assert start.value - 4 * start.stderr >= exact
    # better than two independent states at the start, both noised
    assert start.value < math.sqrt(share * (norm2 + 2))


def two_bumps(half, variance, learned, *, t_min):
    """True law and a model that puts its bumps elsewhere."""
    process = ou()
    centres = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    source, wrong = Mixture(half * centres, variance), Mixture(learned * centres, variance)
    model = SimpleNamespace(
        process=process, horizon=3.0, t_min=t_min, score=wrong.path_score(process)
    )

    def slope(time):
        share = process.moments(time)[0] ** 2
        steep = bump_slope(share, variance, learned)
        return torch.maximum(steep, gaussian_slope(share, variance))

    return source, model, slope


@pytest.mark.parametrize(("half", "learned"), [(1.0, 1.2), (1.0, 0.8)])
def test_measured_distance_of_a_mixture_lies_below(half, learned, generator):
    source, model, slope = two_bumps(half, 0.5, learned, t_min=0.05)
    bound = wasserstein_sampler(slope=slope, source=source)
    data = source.sample(200, generator=generator)
    total = bound.evaluate(model, data, generator=generator).total
    words = {"n": 800, "d": 2, "horizon": 3.0, "t_min": 0.05, "step": 0.1}
    made = sampler.sample(
        model.process, model.score, dtype=torch.float64, generator=generator, **words
    )
    fresh = source.noised(model.process, 0.05).sample(800, generator=generator)
    measured = quadratic_transport.wasserstein2(fresh, made)
    assert total.value - 4 * total.stderr > measured.value - 4 * measured.stderr
    # the bound is no astronomical number here: the exponent is M^2 / v = 2 at most
    assert total.value < 60 * measured.value


def test_the_exponent_between_bumps():
    """Closer to the data the gain explodes as the exponential of M^2 w / v."""
    gains = []
    for t_min in (0.3, 0.1, 0.03, 0.01):
        _, model, slope = two_bumps(1.0, 0.05, 1.0, t_min=t_min)
        path = slopes.course(model.process, slope, horizon=3.0, t_min=t_min, levels=400)
        gains.append(float(path.total_gain))
    assert gains == sorted(gains) and gains[-1] > 1e3


def test_verdict_and_reference(generator):
    source = Gaussian(torch.tensor([2.0, 0.0]), torch.diag(torch.tensor([0.5, 1.5])))
    good = LinearScore(source.mean + 0.05, source.covariance, ou(), 4.0, 0.01)
    data = source.sample(4000, generator=generator)
    bound = wasserstein_sampler(slope=widest(good), source=source, draws=64)
    breakdown = bound.evaluate(good, data, generator=generator)
    assert breakdown.verdict == "informative"
    noised = source.noised(ou(), 0.01)
    exact = quadratic_transport.to_standard_normal(noised.mean, noised.covariance)
    assert abs(breakdown.trivial.value - exact) < 4 * breakdown.trivial.stderr + 0.01
    idle = LinearScore(torch.zeros(2), torch.eye(2, dtype=torch.float64), ou(), 4.0, 0.01)
    bound = wasserstein_sampler(slope=widest(idle), source=source, draws=64)
    nothing = bound.evaluate(idle, data, generator=generator)
    assert nothing.verdict == "vacuous"
    assert nothing.total.value >= exact - 4 * nothing.total.stderr


def test_a_measured_slope_is_no_certificate(generator):
    source = Gaussian(torch.zeros(2), torch.eye(2, dtype=torch.float64))
    model = LinearScore(source.mean, source.covariance, ou(), 1.0, 0.05)
    data = source.sample(40, generator=generator)
    slope = slopes.measured(model, data, levels=4, points=8, generator=generator)
    bound = wasserstein_sampler(slope=slope, held_out=data, draws=2)
    assert bound.holds == "ranking only"
    breakdown = bound.evaluate(model, data, generator=generator)
    assert breakdown["gain of an error at the horizon"].side == "lower"
    assert breakdown["explicit score-matching loss"].side == "upper"


def test_on_every_device(device):
    generator = torch.Generator(device).manual_seed(0)
    mean = torch.zeros(2, dtype=torch.float64, device=device)
    identity = torch.eye(2, dtype=torch.float64, device=device)
    source, model = Gaussian(mean, identity), LinearScore(mean + 0.1, identity, ou(), 2.0, 0.05)
    data = source.sample(30, generator=generator)
    for how in ({"source": source}, {"held_out": data}):
        bound = wasserstein_sampler(slope=lambda t: -(t**0), draws=4, **how)
        assert bound.evaluate(model, data, generator=generator).total.value > 0.05


POINTS = torch.zeros(3, 2)
LAW = Gaussian(torch.zeros(2), torch.eye(2))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "exactly one"),
        ({"source": LAW, "held_out": POINTS}, "exactly one"),
        ({"held_out": POINTS, "information": -1.0}, "information"),
        ({"held_out": POINTS, "information": math.inf}, "information"),
        ({"source": LAW, "information": 1.0}, "information"),
        ({"source": LAW, "draws": 1}, "draws"),
        ({"source": LAW, "start": -0.1}, "start"),
    ],
)
def test_bad_input(words, message):
    with pytest.raises(ValueError, match=message):
        wasserstein_sampler(slope=lambda t: t, **words)


@given(st.integers(1, 5), st.integers(0, 200))
def test_distance_to_the_standard_normal(d, seed):
    generator = torch.Generator().manual_seed(seed)
    part = torch.randn(d, d, generator=generator, dtype=torch.float64)
    mean, covariance = torch.randn(d, generator=generator).double(), part @ part.mT
    found = quadratic_transport.to_standard_normal(mean, covariance)
    root = torch.linalg.cholesky(covariance + 1e-12 * torch.eye(d))
    # tr S + d - 2 tr S^(1/2), whose last trace is the sum of the singular values of a root
    cross = torch.linalg.svdvals(root).sum()
    expected = mean.square().sum() + covariance.trace() + d - 2 * cross
    assert math.isclose(found, math.sqrt(float(expected)), rel_tol=1e-5, abs_tol=1e-5)


def test_distance_to_the_standard_normal_refuses_other_shapes():
    with pytest.raises(ValueError, match="covariance"):
        quadratic_transport.to_standard_normal(torch.zeros(2), torch.eye(3))
