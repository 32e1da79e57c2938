from functools import partial

import pytest
import torch

from genbound.data import Mixture, SwissRoll, points
from genbound.estimators import information, released, score_matching
from genbound.sampler import reverse_chain
from genbound.sde import ou, vp
from tests.estimators.reference import Model, seeded

PROCESS = vp()
# The released code stops its paths almost at the data.
early_model = partial(Model, t_min=1e-3)


def rolls(*, count=6, n=200):
    generator = seeded(4)
    return [SwissRoll().sample(n, generator=generator) for _ in range(count)]


def measure(estimator, data, time):
    estimates = [
        estimator(PROCESS, x, time, draws=64, generator=seeded(k)).value
        for k, x in enumerate(data)
    ]
    values = torch.tensor(estimates, dtype=torch.float64)
    return float(values.mean()), float(values.std())


@pytest.mark.parametrize(("time", "wrong", "right"), [(0.2, 1.122, 1.478), (0.4, 0.350, 0.384)])
def test_sigma_for_its_square_lowers_the_mixture_term(time, wrong, right):
    # The values were measured on one sample of 200 points; samples vary by their spread.
    data = rolls()
    found_wrong, spread_wrong = measure(released.mixture_term, data, time)
    found_right, spread_right = measure(information.encoder_information, data, time)
    assert abs(found_wrong - wrong) <= 3 * spread_wrong + 0.01
    assert abs(found_right - right) <= 3 * spread_right + 0.01
    assert found_right - found_wrong == pytest.approx(right - wrong, rel=0.25)


def test_the_fault_is_negligible_when_the_noise_scale_is_one():
    (data,) = rolls(count=1)
    wrong, right = (
        estimator(PROCESS, data, 1.0, draws=64, generator=seeded()).value
        for estimator in (released.mixture_term, information.encoder_information)
    )
    assert wrong == pytest.approx(right, rel=1e-3)


def test_mixture_term_is_the_information_at_another_noise():
    # Signal alpha in noise of variance sigma is signal alpha sqrt(sigma) in noise sigma^2.
    process, (data,) = ou(1), rolls(count=1, n=50)
    signal_scale, noise_scale = (float(scale) for scale in process.moments(0.3))
    wrong = released.mixture_term(process, data, 0.3, draws=16, generator=seeded())
    right = information.encoder_information(
        process, data * noise_scale**0.5, 0.3, draws=16, generator=seeded()
    )
    assert wrong.value == pytest.approx(right.value, rel=1e-12)
    assert "sigma" in wrong.method


def test_epsilon_loss_falls_with_the_horizon_and_the_right_loss_rises():
    (data,) = rolls(count=1)
    model = early_model(points(data).path_score(PROCESS))
    horizons = (0.2, 0.6, 1.8)
    wrong = [
        released.epsilon_loss(model, data, draws=32, generator=seeded(), horizon=horizon)
        for horizon in horizons
    ]
    right = [
        score_matching.denoising(model, data, draws=32, generator=seeded(), horizon=horizon)
        for horizon in horizons
    ]
    for early, late in zip(wrong[:-1], wrong[1:], strict=True):
        assert early.value - late.value > 4 * (early.stderr + late.stderr)
    assert right[2].value - right[0].value > 4 * (right[0].stderr + right[2].stderr)
    # Measured on another sample of the roll: .625 and .146; 3.80 and 5.25.
    assert wrong[0].value == pytest.approx(0.625, rel=0.15)
    assert wrong[2].value == pytest.approx(0.146, rel=0.15)
    assert right[0].value == pytest.approx(3.80, rel=0.1)
    assert right[2].value == pytest.approx(5.25, rel=0.1)


def test_epsilon_loss_of_the_zero_score_is_half_the_dimension():
    estimate = released.epsilon_loss(
        early_model(lambda noisy, _: torch.zeros_like(noisy)),
        torch.zeros(500, 6),
        draws=20,
        generator=seeded(),
    )
    assert abs(estimate.value - 3) <= 4 * estimate.stderr


def test_score_bound_reads_the_time_index_backwards():
    times = []

    def score(noisy, time):
        times.append(float(time[0]))
        return -noisy

    data = rolls(count=1)[0]
    released.score_bound(early_model(score), data, steps=4, generator=seeded(), horizon=0.8)
    assert times[::2] == pytest.approx([0.001, 0.2, 0.4, 0.6])
    assert times[1::2] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_score_bound_is_the_largest_batch_mean_norm():
    # A score that only depends on time: the mean norm is that of the largest time.
    model = early_model(lambda noisy, time: time[:, None].expand_as(noisy) * 3)
    data = rolls(count=1)[0]
    estimate = released.score_bound(model, data, steps=10, generator=seeded())
    assert estimate.value == pytest.approx(0.9 * 3 * 2**0.5)
    assert estimate.stderr == pytest.approx(0, abs=1e-12)


def test_score_bound_exceeds_the_norm_along_the_right_path():
    # The exact score of the data blurred by a variance of .05; measured on another sample: 5.5
    # by the released rule, 3.5 by the right one.
    (data,) = rolls(count=1)
    blurred = Mixture(data, 0.05).path_score(PROCESS)
    estimate = released.score_bound(early_model(blurred), data, steps=200, generator=seeded())
    times = torch.linspace(1, 0.001, 201, dtype=torch.float64)
    start = torch.randn(200, 2, generator=seeded(), dtype=torch.float64)
    chain = reverse_chain(PROCESS, blurred, start, times, generator=seeded(1))
    right = max(float(step.score.norm(dim=1).mean()) for step in chain)
    assert right == pytest.approx(3.5, rel=0.15)
    assert estimate.value == pytest.approx(5.5, rel=0.15)
