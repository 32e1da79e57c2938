"""The Swiss roll: scikit-learn's law, and a density that its quadrature has converged to."""

import math

import pytest
import torch
from sklearn.datasets import make_swiss_roll

from genbound import sde
from genbound.data import SwissRoll


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.5, 2.0])
def test_twice_the_nodes_change_nothing(noise, generator):
    roll = SwissRoll(noise)
    far = 6 * torch.randn(300, 2, generator=generator, dtype=torch.float64)
    for data, nodes, tolerance in (
        (roll.sample(1000, generator=generator), 3.0, 1e-8),
        (roll.sample(1000, generator=generator), 6.0, 1e-8),
        (far, 6.0, 1e-5),
    ):
        once, twice = (roll._mixture(k * nodes).log_density(data) for k in (1, 2))
        assert float((once - twice).abs().max()) < tolerance


def test_same_law_as_scikit_learn(generator):
    theirs = torch.as_tensor(make_swiss_roll(3000, noise=0.5, random_state=0)[0][:, [0, 2]] / 5)
    ours = SwissRoll().sample(3000, generator=generator)

    def features(data):
        waves = [data @ torch.tensor(w, dtype=torch.float64) for w in ([1, 0], [0, 1], [2, 1])]
        return torch.stack([*waves, *(w.square() for w in waves), *(w.sin() for w in waves)], -1)

    gap = features(theirs).mean(0) - features(ours).mean(0)
    error = ((features(theirs).var(0) + features(ours).var(0)) / 3000).sqrt()
    assert bool((gap.abs() < 4 * error).all())


def test_density_is_one_in_total_and_has_the_entropy_of_the_draws(generator):
    roll = SwissRoll(0.3)
    axis = torch.linspace(-5, 5, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    assert float(roll.log_density(grid).exp().sum() * 0.05**2) == pytest.approx(1, abs=1e-6)
    surprise = -roll.log_density(roll.sample(4000, generator=generator))
    entropy = roll.entropy()
    assert abs(entropy.value - float(surprise.mean())) < 4 * float(surprise.std()) / math.sqrt(
        4000
    )
    assert entropy.stderr < 1e-6


def test_centres_are_spread_evenly_in_the_radius():
    mixture = SwissRoll(0.1, 2.0).mixture
    first, last = (2 * r * math.pi / 5 for r in (1.5, 4.5))
    mean_square = (mixture.log_weights.exp() * mixture.centres.square().sum(-1)).sum()
    # the mean of r^2 for r uniform between the ends
    assert float(mean_square) == pytest.approx((first**2 + first * last + last**2) / 3)


def test_noised_law_keeps_its_form(generator):
    process, time = sde.vp(), 0.3
    roll = SwissRoll()
    law = roll.noised(process, time)
    alpha, sigma = (float(scale) for scale in process.moments(time))
    assert law.scale == pytest.approx(alpha)
    assert law.noise**2 == pytest.approx((0.1 * alpha) ** 2 + sigma**2)
    noisy = law.sample(50, generator=generator)
    torch.testing.assert_close(roll.path_score(process)(noisy, time), law.score(noisy))


def test_information_falls_with_time():
    process = sde.vp()
    values = [SwissRoll().information(process, time).value for time in (0.05, 0.3, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def test_information_of_a_noisier_roll_exceeds_by_at_most_that_of_its_noise():
    # X = curve + noise, so I(curve; X_t) <= I(X; X_t) <= I(curve; X_t) + I(noise; X_t | curve)
    process, time = sde.vp(), 0.2
    alpha, sigma = (float(scale) for scale in process.moments(time))
    whole = SwissRoll(0.1).information(process, time).value
    noise_entropy = math.log(2 * math.pi * math.e * ((0.1 * alpha) ** 2 + sigma**2))
    curve = SwissRoll(0.1).noised(process, time).entropy().value - noise_entropy
    assert 0 < curve < whole
    assert whole - curve == pytest.approx(math.log1p((0.1 * alpha / sigma) ** 2))


@pytest.mark.parametrize("call", [lambda: SwissRoll(-1.0), lambda: SwissRoll(0.1, 0.0)])
def test_refuses_bad_parameters(call):
    with pytest.raises(ValueError, match="noise: got"):
        call()


def test_a_curve_has_no_density():
    with pytest.raises(ValueError, match="no density"):
        SwissRoll(0.0).log_density(torch.zeros(2))
