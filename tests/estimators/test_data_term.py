"""The data term by informations: closed forms, the theorem of three parts, sign and spread."""

import math
from functools import cache

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss

from genbound import estimate
from genbound.data import Gaussian, gaussian_mixture, points, two_point
from genbound.estimators.common_noise import score_gap
from genbound.estimators.data_term import data_term, irreducible, irreducible_of_sample
from genbound.estimators.score_error import score_error
from genbound.estimators.score_matching import denoising, explicit
from genbound.sde import cosine, ou, sub_vp, ve, vp
from tests.estimators.reference import (
    Model,
    orthogonal_information,
    seeded,
    two_point_information,
)

PROCESS = ou()
SPAN = {"horizon": 3.0, "t_min": 0.05}
PAPER = 4 / (SPAN["horizon"] - SPAN["t_min"])
LAW = Gaussian([0.4], [[1.7]])
PLANE = gaussian_mixture([[1.0, 0.0], [-1.0, 0.5], [0.0, 2.0]], variance=0.1)
SPACE = gaussian_mixture(
    [[1.0, 0.0, 0.0], [-1.0, 0.5, 1.0], [0.0, 2.0, 0.5], [1.0, 1.0, 1.0]], variance=0.1
)


def snr(time, process=PROCESS):
    return float(process.log_snr_of(time).exp())


@pytest.mark.parametrize("process", [ou(), vp(), sub_vp(), ve(), cosine()])
@given(t_min=st.floats(0.01, 0.1), horizon=st.floats(0.3, 0.9), seed=st.integers(0, 99))
def test_gaussian_data(process, t_min, horizon, seed):
    """Half the change of ``log det(alpha^2 covariance + sigma^2 I) / sigma^2d``."""
    root = torch.randn(3, 3, generator=seeded(seed), dtype=torch.float64)
    law = Gaussian(torch.ones(3), root @ root.mT)
    found = irreducible(law, process, horizon=horizon, t_min=t_min)
    known = [
        float(torch.logdet(torch.eye(3) + snr(time, process) * law.covariance)) / 2
        for time in (t_min, horizon)
    ]
    assert math.isclose(found.value, known[0] - known[1], rel_tol=1e-9)
    assert found.side == "exact"


@given(half=st.floats(0.05, 1.0), d=st.integers(1, 4))
def test_two_points(half, d):
    place = torch.full((d,), half / math.sqrt(d), dtype=torch.float64)
    law = two_point(place)
    truth = [two_point_information(half**2 * snr(time)) for time in (0.05, 3.0)]
    assert irreducible(law, PROCESS, **SPAN).value == pytest.approx(truth[0] - truth[1], abs=2e-5)
    found = irreducible_of_sample(
        PROCESS, law.centres, draws=20_000, generator=seeded(), given_sample=True, **SPAN
    )
    assert abs(found.value - truth[0] + truth[1]) < 4 * found.stderr + 2e-5


def test_orthogonal_points():
    sample = 0.5 * torch.eye(12, dtype=torch.float64)
    found = irreducible_of_sample(
        PROCESS, sample, draws=4000, generator=seeded(), given_sample=True, **SPAN
    )
    truth = [orthogonal_information(12, 0.5 * math.sqrt(snr(time))) for time in (0.05, 3.0)]
    assert abs(found.value - truth[0] + truth[1]) < 4 * found.stderr < 0.05


def test_draws_serve_both_ends():
    """In three dimensions the law is drawn; common draws, right within their error."""
    found = [irreducible(SPACE, PROCESS, generator=seeded(k), **SPAN) for k in range(40)]
    values = torch.tensor([each.value for each in found])
    claimed = found[0].stderr
    assert 0.7 < float(values.std()) / claimed < 1.3
    # Both ends apart: the end's own noise would be added.
    loose = irreducible(SPACE, PROCESS, generator=seeded(0), draws=2000, **SPAN)
    assert claimed < loose.stderr
    assert found[0].influence is None


def uniform_times(order=300):
    nodes, weights = leggauss(order)
    t_min, horizon = SPAN["t_min"], SPAN["horizon"]
    times = t_min + (horizon - t_min) * (torch.from_numpy(nodes) + 1) / 2
    return times, torch.from_numpy(weights) / 2


def test_the_three_parts_add_up_to_the_score_error():
    """By quadrature, for one sample of 25 data and the score 0.5 x + 0.3 (the paper's s)."""
    slope, offset = 0.5, 0.3
    sample = LAW.sample(25, generator=seeded(4))
    times, weights = uniform_times()
    signal, noise2 = torch.exp(-times), -torch.expm1(-2 * times)
    variance = signal**2 * 1.7 + noise2
    # The score error is a closed form of the law alone.
    apart = slope - 2 * (variance - 1) / variance
    middle = apart * signal * 0.4 + offset - 2 * signal * 0.4 / variance
    error = float(weights @ (apart**2 * variance + middle**2))
    assert error == pytest.approx(0.1944613, rel=3e-5)
    # Loss of a datum, in the mean over the law and over the sample.
    first, second = sample.mean(), sample.square().mean()

    def loss(first, second):
        bias = ((slope - 2) * signal) ** 2 * second + 2 * (slope - 2) * signal * offset * first
        noise = noise2.sqrt() * slope + 2 * signal**2 / noise2.sqrt()
        return float(weights @ (bias + offset**2 + noise**2))

    gap = loss(0.4, 1.7 + 0.16) - loss(first, second)
    x = torch.linspace(-7, 7, 4001, dtype=torch.float64)
    fits = []
    for time in times:
        law = points(sample).noised(PROCESS, time)
        density, score = law.log_density(x[:, None]).exp(), law.score(x[:, None])[:, 0]
        wrong = slope * x + offset - 2 * (score + x)
        fits.append(torch.trapezoid(density * wrong**2, x))
    fit = float(weights @ torch.stack(fits))
    data = PAPER * data_term(LAW, PROCESS, sample, generator=seeded(), **SPAN).value
    assert fit + data + gap == pytest.approx(error, abs=2e-7)
    assert abs(data) > 1e-3


def test_the_measured_parts_add_up_and_their_errors_cancel():
    """What a training datum does to the fit, the data term and the gap cancels in the sum."""
    sample, fresh = (PLANE.sample(400, generator=seeded(k)) for k in (1, 2))
    model = Model(lambda noisy, _: 0.3 - 1.2 * noisy, PROCESS, **SPAN)
    parts = [
        explicit(model, sample, draws=128, generator=seeded(3)),
        data_term(PLANE, PROCESS, sample, generator=seeded(4), **SPAN),
        score_gap(model, sample, fresh, draws=128, generator=seeded(5)).gap,
    ]
    letters = sp.symbols("fit data gap")
    total = estimate.combine(sum(letters), dict(zip(letters, parts, strict=True)))
    more = PLANE.sample(40_000, generator=seeded(6))
    truth = score_error(model, PLANE, more, draws=4, generator=seeded(7))
    assert abs(total.value - truth.value) < 4 * math.hypot(total.stderr, truth.stderr)
    alone = math.sqrt(sum(part.stderr**2 for part in parts))
    assert total.stderr < 0.75 * alone


@cache
def many(n=8, count=200):
    """Data terms of many samples on the line."""
    found = []
    for k in range(count):
        sample = LAW.sample(n, generator=seeded(1000 + k))
        found.append(data_term(LAW, PROCESS, sample, generator=seeded(), **SPAN))
    return found


def test_the_mean_is_negative_and_a_divergence():
    """The data term is on average minus the error of the true score on the samples."""
    found = estimate.across(many())
    assert found.value < -4 * found.stderr
    exact = Model(LAW.path_score(PROCESS), PROCESS, **SPAN)
    errors = estimate.across(
        [
            explicit(exact, LAW.sample(8, generator=seeded(k)), draws=64, generator=seeded(k + 1))
            for k in range(0, 200, 2)
        ]
    )
    assert abs(found.value + errors.value) < 4 * math.hypot(found.stderr, errors.stderr)


def test_the_standard_error_is_the_spread_over_samples():
    values = torch.tensor([each.value for each in many(n=40)])
    claimed = torch.tensor([each.stderr for each in many(n=40)])
    assert 0.75 < float(claimed.square().mean().sqrt() / values.std()) < 1.35


@pytest.mark.parametrize("n", [8, 40])
def test_the_concentration_holds_and_is_loose(n):
    values = torch.tensor([each.value for each in many(n=n)])
    coin = -(math.log(1 / n) / n + (1 - 1 / n) * math.log(1 - 1 / n))
    for failure in (0.5, 0.05):
        deviation = coin * math.sqrt(n * math.log(1 / failure) / 2)
        simple = (1 + math.log(n)) * math.sqrt(math.log(1 / failure) / (2 * n))
        assert deviation <= simple
        assert float((values - values.mean() > deviation).double().mean()) <= failure
    assert float(values.max() - values.mean()) < deviation


@given(
    n=st.integers(2, 30),
    d=st.integers(1, 2),
    scale=st.floats(0.01, 5.0),
    far=st.floats(0.0, 50.0),
    seed=st.integers(0, 999),
)
def test_one_datum_moves_it_little(n, d, scale, far, seed):
    """At most by the entropy of a coin of weight 1 / n, wherever the datum goes."""
    sample = scale * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)
    other = sample.clone()
    other[0] += far
    before, after = (
        irreducible_of_sample(PROCESS, each, draws=4, generator=seeded(), **SPAN).value
        for each in (sample, other)
    )
    coin = -(math.log(1 / n) / n + (1 - 1 / n) * math.log(1 - 1 / n))
    assert abs(before - after) <= coin


def test_a_datum_that_leaves_the_others_moves_it_by_nearly_that():
    """Eight equal data, one leaves: the entropy at the start rises by a coin, nearly."""
    sample = torch.zeros(8, 1, dtype=torch.float64)
    other = sample.clone()
    other[0] = 5.0
    before, after = (
        irreducible_of_sample(PROCESS, each, draws=4, generator=seeded(), **SPAN).value
        for each in (sample, other)
    )
    coin = math.log(8) / 8 + 7 / 8 * math.log(8 / 7)
    assert 0.9 * coin < after - before < coin


@given(n=st.integers(2, 12), d=st.integers(1, 2), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_memoriser(n, d, seed):
    """Its training loss is the irreducible one; far apart it knows the index: log n."""
    sample = 40 * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)
    span = {"horizon": 8.0, "t_min": 1e-4}
    found = irreducible_of_sample(PROCESS, sample, draws=4, generator=seeded(), **span)
    assert 0.8 * math.log(n) < found.value <= math.log(n)


def test_the_gap_of_the_memoriser_is_a_divergence_both_ways():
    """Mean gap = error of the memoriser + error of the true score on the samples."""
    left, alone = [], []
    exact = Model(PLANE.path_score(PROCESS), PROCESS, **SPAN)
    for k in range(50):
        sample, fresh = (PLANE.sample(m, generator=seeded(10 * k + m)) for m in (12, 400))
        memoriser = Model(points(sample).path_score(PROCESS), PROCESS, **SPAN)
        seen, unseen = (
            denoising(memoriser, part, draws=m, generator=seeded(10 * k + 2)).value
            for part, m in ((sample, 256), (fresh, 8))
        )
        error = score_error(memoriser, PLANE, fresh, draws=8, generator=seeded(10 * k + 4)).value
        back = explicit(exact, sample, draws=64, generator=seeded(10 * k + 5)).value
        left.append(unseen - seen - error - back)
        alone.append(unseen - seen - 2 * error)
    found, wrong = (
        estimate.mean(torch.tensor(part), method="difference") for part in (left, alone)
    )
    assert abs(found.value) < 4 * found.stderr
    # Twice one divergence would not do.
    assert abs(wrong.value) > 4 * wrong.stderr


def test_bad_input_is_named():
    sample = PLANE.sample(5, generator=seeded())
    with pytest.raises(ValueError, match="t_min: got 3.0, allowed is 0 < t_min < horizon = 3.0"):
        irreducible(PLANE, PROCESS, horizon=3.0, t_min=3.0)
    with pytest.raises(ValueError, match="t_min: got 0.0"):
        data_term(PLANE, PROCESS, sample, horizon=3.0, t_min=0.0, generator=seeded())
    with pytest.raises(ValueError, match="generator: information has no quadrature"):
        irreducible(SPACE, PROCESS, **SPAN)
    with pytest.raises(ValueError, match=r"sample: got shape \(1, 2\)"):
        irreducible_of_sample(PROCESS, sample[:1], draws=4, generator=seeded(), **SPAN)


def test_devices(device):
    source = gaussian_mixture(torch.eye(3, device=device), variance=0.1)
    generator = torch.Generator(device).manual_seed(0)
    sample = source.sample(20, generator=generator)
    found = data_term(source, PROCESS, sample, generator=generator, **SPAN)
    assert found.influence.shape == (20,)
    assert abs(found.value) < math.log(20)
