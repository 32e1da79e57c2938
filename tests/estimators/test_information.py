import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, kl_divergence

from genbound import mixtures
from genbound.estimate import across
from genbound.estimators import information, mixture_divergence
from genbound.estimators.mixture_divergence import divergences_to_mixture
from genbound.sde import cosine, ou, sub_vp, ve, vp
from tests.estimators.reference import (
    naive_encoder_information,
    orthogonal_information,
    seeded,
    two_point_information,
)

PROCESS = vp()


def spread(n, d, *, seed=0, scale=1.0):
    return scale * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


def spread_by(generator, n, d):
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def near(estimate, truth, *, extra=0.0):
    return abs(estimate.value - truth) <= 4 * math.hypot(estimate.stderr, extra) + 1e-9


def ratio_at(time):
    signal_scale, noise_scale = PROCESS.moments(time)
    return float(signal_scale / noise_scale)


@pytest.mark.parametrize(
    ("gamma", "value"), [(0.1, 0.0476492), (0.5, 0.201345), (1.0, 0.336831), (10.0, 0.690899)]
)
def test_reference_of_two_points_has_the_known_values(gamma, value):
    assert two_point_information(gamma) == pytest.approx(value, rel=3e-6)


@pytest.mark.parametrize(("kappa", "value"), [(0.5, 0.116), (1.0, 0.451), (3.0, 2.36)])
def test_reference_of_orthogonal_points_has_the_known_values(kappa, value):
    assert orthogonal_information(16, kappa) == pytest.approx(value, rel=6e-3)
    assert orthogonal_information(2, kappa) == pytest.approx(
        two_point_information(kappa**2 / 2), rel=1e-6
    )


# Nearer to log n the deficit is a rare event, whose error no few draws can know.
@given(gamma=st.floats(0.01, 4), d=st.integers(1, 5), seed=st.integers(0, 99))
def test_two_points(gamma, d, seed):
    direction = spread(1, d, seed=seed)
    half = direction * math.sqrt(gamma) / direction.norm() / ratio_at(0.3)
    estimate = information.encoder_information(
        PROCESS, torch.cat([half, -half]), 0.3, draws=4000, generator=seeded(seed)
    )
    assert near(estimate, two_point_information(gamma))
    assert estimate.stderr < 0.02


@given(kappa=st.floats(0.05, 2.5), n=st.integers(2, 40), seed=st.integers(0, 99))
def test_orthogonal_points(kappa, n, seed):
    rotation, _ = torch.linalg.qr(spread(n + 2, n, seed=seed))
    estimate = information.encoder_information(
        PROCESS, kappa / ratio_at(0.4) * rotation.mT, 0.4, draws=400, generator=seeded(seed)
    )
    assert near(estimate, orthogonal_information(n, kappa))


@pytest.mark.parametrize("gamma", [6.0, 10.0, 20.0])
def test_two_points_far_apart(gamma):
    half = torch.tensor([[math.sqrt(gamma) / ratio_at(0.3), 0.0]], dtype=torch.float64)
    estimate = information.encoder_information(
        PROCESS, torch.cat([half, -half]), 0.3, draws=100_000, generator=seeded()
    )
    assert estimate.value == pytest.approx(two_point_information(gamma), abs=1e-3)


@pytest.mark.parametrize("time", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("d", [1, 3, 20])
def test_agrees_with_the_loop_over_components(time, d):
    data = spread(30, d, seed=d)
    signal_scale, noise_scale = (float(scale) for scale in PROCESS.moments(time))
    value, error = naive_encoder_information(
        signal_scale * data, noise_scale**2, draws=2000, generator=seeded(1)
    )
    estimate = information.encoder_information(PROCESS, data, time, draws=2000, generator=seeded())
    parts = divergences_to_mixture(
        data * signal_scale / noise_scale, draws=2000, generator=seeded()
    )
    assert estimate.value == pytest.approx(max(float(parts.kl.mean()), 0))
    # The data are the same in both, so only the draws differ.
    assert abs(estimate.value - value) <= 4 * math.hypot(math.sqrt(parts.mean_noise), error) + 1e-9


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("time", [0.003, 0.1, 0.6])
def test_log_space_and_matrix_product_agree(time, d, monkeypatch):
    data = spread(100, d, scale=0.3)
    data[50:60] = data[0]

    def value():
        return information.encoder_information(PROCESS, data, time, draws=16, generator=seeded())

    products = value()
    monkeypatch.setattr(mixture_divergence, "EXPONENT_RANGE", -1.0)
    logs = value()
    assert logs.value == pytest.approx(products.value, abs=1e-10)
    assert logs.stderr == pytest.approx(products.stderr, rel=1e-6)
    torch.testing.assert_close(logs.influence, products.influence, atol=1e-8, rtol=1e-6)


def test_far_apart_data_take_the_path_in_log_space():
    data = spread(50, 2, scale=1e4)
    estimate = information.encoder_information(PROCESS, data, 0.01, draws=8, generator=seeded())
    assert estimate.value == pytest.approx(math.log(50), abs=1e-9)
    assert estimate.stderr < 1e-9


@given(
    n=st.integers(2, 50),
    d=st.integers(1, 6),
    times=st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
def test_lies_between_zero_and_log_n_and_falls_with_time(n, d, times, scale, seed):
    data = spread(n, d, seed=seed, scale=scale)
    early, late = (
        information.encoder_information(PROCESS, data, time, draws=64, generator=seeded(seed))
        for time in sorted(times)
    )
    for estimate in (early, late):
        assert 0 <= estimate.value <= math.log(n)
        assert len(estimate.influence) == n
    assert early.value >= late.value - 4 * math.hypot(early.stderr, late.stderr) - 1e-9


@given(copies=st.integers(2, 5), seed=st.integers(0, 99))
def test_duplicates_take_away_the_logarithm_of_their_number(copies, seed):
    data = spread(20, 3, seed=seed, scale=30).repeat(copies, 1)
    estimate = information.encoder_information(PROCESS, data, 0.05, draws=8, generator=seeded())
    assert estimate.value == pytest.approx(math.log(20), abs=1e-9)


@given(n=st.integers(2, 60), d=st.integers(1, 8), time=st.floats(0.02, 1), seed=st.integers(0, 99))
def test_rate_is_information_plus_aggregate_divergence(n, d, time, seed):
    data = spread(n, d, seed=seed, scale=1.5)
    rate = information.encoder_rate(PROCESS, data, time)
    told, aggregate = (
        estimator(PROCESS, data, time, draws=64, generator=seeded(seed))
        for estimator in (information.encoder_information, information.aggregate_kl)
    )
    if told.value > 0 and aggregate.value > 0:
        assert told.value + aggregate.value == pytest.approx(rate.value, rel=1e-9)
    assert near(aggregate, rate.value - told.value)


@pytest.mark.parametrize("process", [vp(), ou(), sub_vp(), ve(), cosine()], ids=lambda p: p.name)
def test_aggregate_divergence_agrees_with_the_log_densities(process):
    data, time, draws = spread(40, 2, scale=2.0), 0.5, 4000
    signal_scale, noise_scale = process.moments(time)
    noise = torch.randn(40, draws, 2, generator=seeded(3), dtype=torch.float64)
    noisy = signal_scale * data[:, None] + noise_scale * noise
    prior = -noisy.square().sum(-1) / 2 - math.log(2 * math.pi)
    ratio = mixtures.log_density(noisy, signal_scale * data, noise_scale**2) - prior
    error = float(ratio.var(1).mean().sqrt()) / math.sqrt(40 * draws)
    parts = divergences_to_mixture(
        data * signal_scale / noise_scale, draws=draws, generator=seeded()
    )
    estimate = information.aggregate_kl(process, data, time, draws=draws, generator=seeded())
    bar = 4 * math.hypot(error, math.sqrt(parts.mean_noise))
    assert abs(estimate.value - float(ratio.mean())) <= bar


@given(d=st.integers(1, 6), time=st.floats(0.01, 3), seed=st.integers(0, 99))
def test_rates_in_closed_form(d, time, seed):
    data = spread(25, d, seed=seed)
    signal_scale, noise_scale = PROCESS.moments(time)
    eye = torch.eye(d, dtype=torch.float64)
    encoded = MultivariateNormal(signal_scale * data, noise_scale**2 * eye)
    divergences = kl_divergence(encoded, MultivariateNormal(torch.zeros(d).double(), eye))
    rate = information.encoder_rate(PROCESS, data, time)
    root = information.encoder_root_rate(PROCESS, data, time)
    assert rate.value == pytest.approx(float(divergences.mean()), rel=1e-6, abs=1e-12)
    assert rate.stderr == pytest.approx(float(divergences.std()) / 5, rel=1e-6, abs=1e-12)
    roots = divergences.clamp(min=0).sqrt()
    assert root.value == pytest.approx(float(roots.mean()), rel=1e-6, abs=1e-7)
    torch.testing.assert_close(root.influence, roots - roots.mean(), atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("estimator", [information.encoder_rate, information.encoder_root_rate])
def test_rates_are_finite_when_all_signal_is_gone(estimator):
    assert 0 <= estimator(PROCESS, spread(10, 3), 8.0).value < 1e-6


@pytest.mark.parametrize(
    ("estimator", "time"),
    [
        (information.encoder_information, 0.1),
        (information.encoder_information, 0.5),
        (information.encoder_information, 1.0),
        (information.aggregate_kl, 0.1),
        (information.aggregate_kl, 0.3),
    ],
)
def test_error_covers_sample_and_draws(estimator, time):
    shape = torch.tensor([2.0, 1.0], dtype=torch.float64)
    generator = seeded(7)
    estimates = []
    for _ in range(300):
        data = torch.randn(150, 2, generator=generator, dtype=torch.float64) * shape
        estimates.append(estimator(PROCESS, data, time, draws=16, generator=generator))
    values = torch.tensor([estimate.value for estimate in estimates])
    errors = torch.tensor([estimate.stderr for estimate in estimates])
    centre = float(values.mean())
    inside = [low <= centre <= high for low, high in (e.interval() for e in estimates)]
    assert 0.90 <= sum(inside) / len(inside) <= 0.99
    assert 0.8 <= float(errors.square().mean().sqrt() / values.std()) <= 1.25


def test_influences_carry_the_error():
    estimate = information.encoder_information(
        PROCESS, spread(200, 2), 0.3, draws=16, generator=seeded()
    )
    assert float(estimate.influence.mean()) == pytest.approx(0, abs=1e-12)
    assert float(estimate.influence.std()) / math.sqrt(200) == pytest.approx(estimate.stderr)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_any_block_gives_the_same_number(block):
    data = spread(100, 3)
    estimate = information.encoder_information(
        PROCESS, data, 0.3, draws=200, generator=seeded(), block=block
    )
    best = information.encoder_information(PROCESS, data, 0.3, draws=4000, generator=seeded(1))
    assert abs(estimate.value - best.value) < 0.05
    assert near(estimate, best.value)


@given(n=st.integers(2, 12), d=st.integers(1, 2), scale=st.floats(0.1, 5), seed=st.integers(0, 99))
def test_influences_are_those_of_the_jackknife(n, d, scale, seed):
    centres = spread(n, d, seed=seed, scale=scale)
    parts = divergences_to_mixture(centres, draws=4, generator=seeded())
    left_out = torch.stack(
        [
            divergences_to_mixture(
                torch.cat([centres[:i], centres[i + 1 :]]), draws=4, generator=seeded()
            ).kl.sum()
            if n > 2
            else torch.zeros((), dtype=torch.float64)
            for i in range(n)
        ]
    )
    # Leaving out datum i: the sum of all n values less the sum of the other n - 1 among them.
    jackknife = parts.kl.sum() - left_out
    spread_of = parts.effect - parts.effect.mean()
    torch.testing.assert_close(spread_of, jackknife - jackknife.mean(), atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("time", [0.05, 0.2])
def test_quadrature_agrees_with_draws(time, monkeypatch):
    data = spread(80, 2, scale=2.0)
    exact = information.encoder_information(PROCESS, data, time, draws=4, generator=seeded())
    monkeypatch.setattr(mixture_divergence, "QUADRATURE_D", 0)
    drawn = information.encoder_information(PROCESS, data, time, draws=4000, generator=seeded())
    assert exact.value == pytest.approx(drawn.value, abs=0.01)
    assert exact.stderr == pytest.approx(drawn.stderr, rel=0.05)
    torch.testing.assert_close(exact.influence, drawn.influence, atol=0.1, rtol=0.1)


def test_single_precision_data_lose_nothing():
    data = spread(60, 3).float()
    single, double = (
        information.encoder_information(PROCESS, x, 0.05, draws=16, generator=seeded())
        for x in (data, data.double())
    )
    assert single.value == double.value


def test_the_same_seed_gives_the_same_number():
    data = spread(40, 3)
    first, second = (
        information.encoder_information(PROCESS, data, 0.3, draws=8, generator=seeded(5))
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("time", [0.1, 0.4])
def test_a_part_of_the_data_stands_for_all(time, d):
    generator, parts = seeded(11), []
    for _ in range(150):
        data = spread_by(generator, 120, d)
        parts.append(
            information.encoder_information(
                PROCESS, data, time, draws=16, generator=generator, among=40
            )
        )
    whole = [
        information.encoder_information(
            PROCESS, spread_by(generator, 120, d), time, draws=16, generator=generator
        )
        for _ in range(150)
    ]
    values, errors = (
        torch.tensor([getattr(part, name) for part in parts]) for name in ("value", "stderr")
    )
    truth, error = across(whole).value, math.hypot(across(whole).stderr, across(parts).stderr)
    assert abs(float(values.mean()) - truth) <= 4 * error
    assert 0.75 <= float(errors.square().mean().sqrt() / values.std()) <= 1.35


@pytest.mark.parametrize("among", [0, 1, 6])
def test_refuses_a_part_that_is_none(among):
    with pytest.raises(ValueError, match="among: got"):
        information.encoder_information(
            PROCESS, spread(5, 2), 0.3, draws=4, generator=seeded(), among=among
        )


@pytest.mark.parametrize("draws", [0, 2, 5, -4])
def test_refuses_draws_that_do_not_pair(draws):
    with pytest.raises(ValueError, match="draws: got"):
        information.encoder_information(
            PROCESS, spread(5, 2), 0.3, draws=draws, generator=seeded()
        )


@pytest.mark.parametrize("shape", [(5,), (1, 2), (2, 3, 4)])
def test_refuses_data_without_two_rows(shape):
    with pytest.raises(ValueError, match="data: got shape"):
        information.encoder_information(
            PROCESS, torch.zeros(shape), 0.3, draws=8, generator=seeded()
        )
