import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from genbound.data import points
from genbound.estimators import score_matching
from genbound.estimators.mixture_divergence import divergences_to_mixture
from genbound.sde import cosine, ou, sub_vp, ve, vp
from tests.estimators.reference import GaussianScore, Model, seeded

PROCESS = vp()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def kept(time):
    """Squared signal scale."""
    return float(PROCESS.moments(time)[0]) ** 2


def shifted_losses(data, mean, t_min, horizon):
    """Denoising losses of the score of N(alpha mean, I), in closed form."""
    u, v, d = kept(t_min), kept(horizon), data.shape[1]
    noise_part = d / 2 * (-(u - v) - math.log((1 - u) / (1 - v)))
    return (u - v) / 2 * (data - mean).square().sum(-1) + noise_part


def exact_empirical(data, **interval):
    return Model(points(data).path_score(PROCESS), **interval)


def wrong_score(noisy, time):
    time = torch.as_tensor(time).expand(noisy.shape[:-1]).unsqueeze(-1)
    return torch.sin(2 * noisy.flip(-1)) - noisy * (1 + time)


def information_lost_by_datum(data, t_min, horizon, *, draws=256):
    """Each datum's part of the information lost between two times, and the mean's error."""
    parts = []
    for seed, time in enumerate((t_min, horizon)):
        signal_scale, noise_scale = (float(scale) for scale in PROCESS.moments(time))
        parts.append(
            divergences_to_mixture(
                data * signal_scale / noise_scale, draws=draws, generator=seeded(seed)
            )
        )
    error = math.sqrt(parts[0].mean_noise + parts[1].mean_noise)
    return parts[0].kl - parts[1].kl, error


def information_lost(data, t_min, horizon, **options):
    """Mean and Monte Carlo error of the information lost between two times."""
    lost, error = information_lost_by_datum(data, t_min, horizon, **options)
    return float(lost.mean()), error


@given(
    d=st.integers(1, 10),
    times=st.tuples(st.floats(0.005, 0.2), st.floats(0.25, 1.5)),
    offset=st.floats(-2, 2),
    seed=st.integers(0, 99),
)
def test_losses_in_the_solvable_case(d, times, offset, seed):
    t_min, horizon = times
    data = normal(400, d, seed=seed) + 1
    mean = data.mean(0) + offset
    model = GaussianScore(PROCESS, horizon, t_min, mean)
    losses = score_matching.denoising_losses(model, data, draws=8, generator=seeded(seed))
    excess = losses - shifted_losses(data, mean, t_min, horizon)
    assert abs(float(excess.mean())) <= 4 * float(excess.std()) / 20


def test_denoising_is_the_mean_of_the_losses():
    data, model = normal(50, 2), GaussianScore(PROCESS, 1.0, 0.02, torch.zeros(2).double())
    losses = score_matching.denoising_losses(model, data, draws=3, generator=seeded())
    estimate = score_matching.denoising(model, data, draws=3, generator=seeded())
    assert estimate.value == pytest.approx(float(losses.mean()))
    assert estimate.stderr == pytest.approx(float(losses.std()) / math.sqrt(50))
    torch.testing.assert_close(estimate.influence, losses - losses.mean())


@pytest.mark.parametrize("process", [vp(), ou(), sub_vp(), ve(), cosine()], ids=lambda p: p.name)
def test_weights_are_the_likelihood_s_for_every_process(process):
    data, t_min, horizon = normal(20_000, 2) * 0.5 + 1, 0.05, 0.9
    square = float(data.square().sum(-1).mean())

    def rate(time):
        signal2, noise2 = (float(scale) ** 2 for scale in process.moments(time))
        error = (1 - noise2) ** 2 * 2 + noise2 * signal2 * square
        return float(process.diffusion2_of(time)) / noise2 * error / 2

    truth, _ = integrate.quad(rate, t_min, horizon, epsabs=1e-8)
    model = Model(lambda noisy, _: -noisy, process=process, horizon=horizon, t_min=t_min)
    losses = score_matching.denoising(model, data, draws=16, generator=seeded())
    assert abs(losses.value - truth) <= 4 * losses.stderr
    assert losses.stderr < 0.05 * truth


@given(
    n=st.integers(2, 40), d=st.integers(1, 4), horizon=st.floats(0.1, 2), seed=st.integers(0, 99)
)
def test_the_exact_empirical_score_leaves_the_information_only(n, d, horizon, seed):
    data = normal(n, d, seed=seed)
    model = exact_empirical(data, horizon=horizon)
    none = score_matching.explicit(model, data, draws=4, generator=seeded(seed))
    assert none.value == pytest.approx(0, abs=1e-12)
    assert none.stderr == pytest.approx(0, abs=1e-9)
    # Copies of the data repeat the draws; the spread over copies is the error that counts here.
    copies = data.repeat(100, 1)
    losses = score_matching.denoising_losses(model, copies, draws=32, generator=seeded(seed))
    repeated = losses.reshape(100, n).mean(1)
    truth, truth_error = information_lost(data, model.t_min, horizon)
    error = math.hypot(float(repeated.std()) / 10, truth_error)
    assert abs(float(repeated.mean()) - truth) <= 4 * error + 1e-3


@pytest.mark.parametrize("t_min", [0.02, 0.2])
@pytest.mark.parametrize("horizon", [0.4, 1.0])
def test_denoising_is_explicit_plus_information(t_min, horizon):
    data = normal(60, 2) * torch.tensor([2.0, 0.5])
    model = Model(wrong_score, t_min=t_min, horizon=horizon)
    draws = {"draws": 512, "generator": seeded(3)}
    explicit = score_matching.explicit(model, data, **draws)
    # The data stay, so half the spread of a repetition is the error that counts here.
    repeated = [score_matching.denoising(model, data, **draws).value for _ in range(8)]
    explicits = [score_matching.explicit(model, data, **draws).value for _ in range(8)]
    gaps = torch.tensor(repeated) - torch.tensor(explicits)
    truth, truth_error = information_lost(data, t_min, horizon, draws=1024)
    assert explicit.value > 0.1
    assert abs(float(gaps.mean()) - truth) <= 5 * math.hypot(
        float(gaps.std()) / 8**0.5, truth_error
    )


def test_explicit_in_the_solvable_case():
    # One datum, n times: the empirical score is that of the kernel, so explicit is denoising.
    data = normal(1, 3).repeat(200, 1)
    model = GaussianScore(PROCESS, 0.7, 0.05, torch.ones(3).double())
    estimate = score_matching.explicit(model, data, draws=32, generator=seeded())
    truth = float(shifted_losses(data, model.mean, 0.05, 0.7)[0])
    assert abs(estimate.value - truth) <= 4 * estimate.stderr + 1e-9
    assert estimate.stderr < 0.05 * truth


@pytest.mark.parametrize(
    ("estimator", "draws"),
    [(score_matching.denoising, 4), (score_matching.explicit, 8), (score_matching.left_scale, 8)],
)
def test_error_covers_data_and_draws(estimator, draws):
    generator, model = seeded(11), Model(wrong_score, t_min=0.05)
    estimates = [
        estimator(
            model,
            torch.randn(80, 2, generator=generator, dtype=torch.float64) * 1.5,
            draws=draws,
            generator=generator,
        )
        for _ in range(250)
    ]
    values = torch.tensor([estimate.value for estimate in estimates])
    errors = torch.tensor([estimate.stderr for estimate in estimates])
    centre = float(values.mean())
    inside = [low <= centre <= high for low, high in (e.interval() for e in estimates)]
    assert 0.90 <= sum(inside) / len(inside) <= 0.99
    assert 0.8 <= float(errors.square().mean().sqrt() / values.std()) <= 1.25


def test_influences_of_explicit_are_loss_less_information_lost():
    data = normal(40, 2) * torch.tensor([2.0, 0.5])
    model = Model(wrong_score, t_min=0.1)
    estimate = score_matching.explicit(model, data, draws=2000, generator=seeded())
    losses = score_matching.denoising_losses(model, data, draws=4000, generator=seeded(1))
    lost = information_lost_by_datum(data, 0.1, 1.0, draws=4000)[0]
    effects = losses - lost
    centred = effects - effects.mean()
    assert float((estimate.influence - centred).std()) < 0.1 * float(centred.std())


def test_left_scale_in_the_solvable_case():
    data = normal(20_000, 2) + 1
    mean = torch.tensor([0.5, 1.0], dtype=torch.float64)
    model = GaussianScore(PROCESS, 1.0, 0.05, mean)
    losses = shifted_losses(data, mean, 0.05, 1.0)
    estimate = score_matching.left_scale(model, data, draws=2, generator=seeded())
    assert abs(estimate.value - float(losses.square().mean().sqrt())) <= 4 * estimate.stderr
    # The square of the noisy losses themselves would be far off.
    noisy = score_matching.denoising_losses(model, data, draws=2, generator=seeded())
    naive = float(noisy.square().mean().sqrt())
    assert naive > estimate.value + 10 * estimate.stderr


def test_left_scale_above_a_floor():
    data = normal(20_000, 2) + 1
    model = GaussianScore(PROCESS, 1.0, 0.05, torch.ones(2).double())
    losses = shifted_losses(data, model.mean, 0.05, 1.0)
    floor = float(shifted_losses(model.mean[None], model.mean, 0.05, 1.0))
    estimate = score_matching.left_scale(model, data, draws=8, generator=seeded(), floor=floor)
    truth = float((losses - floor).square().mean().sqrt())
    assert abs(estimate.value - truth) <= 4 * estimate.stderr
    assert estimate.side == "consistent"


def test_left_scale_of_a_loss_at_its_floor_is_zero_or_unknown():
    data = normal(1, 2).repeat(100, 1)
    model = exact_empirical(data)
    zero = score_matching.left_scale(model, data, draws=4, generator=seeded())
    assert zero.value == pytest.approx(0, abs=1e-9)
    model = GaussianScore(PROCESS, 1.0, 0.05, data[0])
    floor = float(shifted_losses(data, data[0], 0.05, 1.0)[0])
    estimates = [
        score_matching.left_scale(model, data, draws=4, generator=seeded(seed), floor=floor)
        for seed in range(12)
    ]
    unknown = [estimate for estimate in estimates if math.isnan(estimate.stderr)]
    assert unknown and all(estimate.value == 0 for estimate in unknown)


def test_interval_can_be_chosen():
    data, model = normal(500, 2), GaussianScore(PROCESS, 1.0, 0.02, torch.zeros(2).double())
    short = score_matching.denoising(
        model, data, draws=16, generator=seeded(), horizon=0.5, t_min=0.1
    )
    truth = float(shifted_losses(data, model.mean, 0.1, 0.5).mean())
    assert abs(short.value - truth) <= 4 * short.stderr


def test_stays_in_single_precision():
    dtypes = set()

    def score(noisy, time):
        dtypes.update((noisy.dtype, time.dtype))
        return -noisy

    score_matching.denoising(Model(score), normal(5, 2).float(), draws=3, generator=seeded())
    assert dtypes == {torch.float32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws: got 0"),
        ({"draws": 3, "horizon": 0.01}, "t_min: got 0.02"),
        ({"draws": 3, "t_min": 0.0}, "t_min: got 0.0"),
    ],
)
def test_refuses_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        score_matching.denoising(Model(wrong_score), normal(5, 2), generator=seeded(), **options)


def test_refuses_odd_draws_where_halves_are_needed():
    for estimator in (score_matching.explicit, score_matching.left_scale):
        with pytest.raises(ValueError, match="draws: got 3"):
            estimator(Model(wrong_score), normal(5, 2), draws=3, generator=seeded())


def test_refuses_data_that_are_no_matrix():
    with pytest.raises(ValueError, match="data: got shape"):
        score_matching.denoising(Model(wrong_score), normal(5), draws=3, generator=seeded())


@pytest.mark.parametrize(("score", "share"), [(lambda noisy, _: -noisy, 0.6), (wrong_score, 0.9)])
def test_what_is_subtracted_has_mean_zero_and_lowers_the_noise(score, share):
    data, model = normal(1, 4).repeat(4000, 1), Model(score)
    spread = normal(4000, 4, seed=1) + data
    # The same datum over and over: all variation is that of the draws.
    kept_noise = score_matching.denoising_losses(model, data, draws=4, generator=seeded())

    def plain(noisy, time, noise_scale, noise):
        return (noise + noise_scale * score(noisy, time)).square().sum(-1)

    whole = score_matching._integrals(model, data, plain, 4, seeded(), None, None)
    torch.testing.assert_close(kept_noise, whole)
    reduced = score_matching.denoising_losses(model, spread, draws=4, generator=seeded())
    whole = score_matching._integrals(model, spread, plain, 4, seeded(), None, None)
    gap = reduced - whole
    assert abs(float(gap.mean())) <= 4 * float(gap.std()) / math.sqrt(4000)
    assert float(reduced.var()) < share * float(whole.var())


@pytest.mark.parametrize("estimator", [score_matching.denoising, score_matching.explicit])
def test_a_score_that_is_no_number_is_refused(estimator):
    model = SimpleNamespace(process=ou(), horizon=1.0, t_min=0.1, score=lambda x, _: x * math.nan)
    with pytest.raises(ValueError, match="nan, in the .* score matching"):
        estimator(model, torch.ones(4, 2), draws=2, generator=torch.Generator())
