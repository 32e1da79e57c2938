"""What the sampler makes of a score: the golden table, and the order of the divergences."""

import pytest
import torch

from genbound import sampler, sde
from genbound.data import Gaussian, Mixture, kl
from genbound.estimators.sampler_divergence import generated_kl, path_kl, prior_kl
from tests.estimators.reference import Model, seeded

OU = sde.ou()


def golden_model(v, m, shift, tilt, horizon=3.0, t_min=0.0):
    def score(state, time):
        signal = torch.exp(-torch.as_tensor(time)).unsqueeze(-1)
        law = 1 + (v - 1) * signal**2
        return ((law - 1) / law + tilt) * state + signal * (m + shift) / law - state

    return Model(score, OU, horizon, t_min)


@pytest.mark.parametrize(
    ("case", "exact", "path"),
    [
        ((0.25, 1.0, 0.0, 0.0), 0.010643, 0.046946),
        ((4.0, 0.0, 0.0, 0.0), 0.002231, 0.020461),
        ((0.25, 1.0, 0.3, 0.0), 0.136899, 0.174579),
        ((0.25, 1.0, 0.3, 0.05), 0.165278, 0.206387),
    ],
)
def test_golden_numbers(case, exact, path):
    v, m, *_ = case
    law, model = Gaussian([m], [[v]]), golden_model(*case)
    times = sampler.clock_grid(OU, 3.0, 0.0, steps=50)
    along = path_kl(law, model, times, n=20_000, generator=seeded())
    assert abs(along.value - path) < 4 * along.stderr + 1e-6
    # With the true score almost nothing is left to chance.
    assert along.stderr < (1e-3 if any(case[2:]) else 1e-5)
    made = generated_kl(law, model, times, n=1500, paths=16, generator=seeded())
    assert abs(made.value - exact) < 4 * made.stderr < 0.08


def test_a_mixture_with_a_score_that_is_wrong():
    law = Mixture([[1.2, 0.0], [-0.8, 0.5]], 0.2)
    wrong = Mixture([[1.4, 0.0], [-0.8, 0.2]], 0.25)
    model = Model(wrong.path_score(OU), OU, 3.0, 0.02)
    times = sampler.time_grid(OU, 3.0, 0.02, step=0.3)
    made = generated_kl(law, model, times, n=1500, paths=32, generator=seeded())
    along = path_kl(law, model, times, n=20_000, generator=seeded())
    # The sampler with the exact score of the wrong law makes nearly that law.
    near = kl(law.noised(OU, 0.02), wrong.noised(OU, 0.02)).value
    assert made.value == pytest.approx(near, abs=4 * made.stderr + 0.05)
    assert made.upper() < along.lower()


def test_no_score_at_all():
    """The sampler keeps N(0, I): law and path are as far as the data noised to the end."""
    law = Mixture([[1.2, 0.0], [-0.8, 0.5]], 0.2)
    model = Model(lambda x, _: -x, OU, 2.0, 0.1)
    times = sampler.clock_grid(OU, 2.0, 0.1, steps=6)
    truth = prior_kl(law.noised(OU, 0.1)).value
    along = path_kl(law, model, times, n=500, generator=seeded())
    assert along.value == pytest.approx(truth, rel=1e-6) and along.stderr < 1e-8
    made = generated_kl(law, model, times, n=4000, paths=8, generator=seeded())
    assert abs(made.value - truth) < 4 * made.stderr


def test_the_prior_itself():
    assert prior_kl(Gaussian([0.0], [[1.0]])).value == 0
    assert prior_kl(Mixture([[1.0, 2.0]], 1.0)).value == pytest.approx(2.5)
    with pytest.raises(ValueError, match="law on points"):
        prior_kl(Mixture([[1.0, 2.0]], 0.0))


def test_bad_input():
    law = Gaussian([0.0], [[1.0]])
    with pytest.raises(ValueError, match="paths: got 1"):
        generated_kl(
            law,
            golden_model(1.0, 0.0, 0.0, 0.0),
            torch.tensor([1.0, 0.5]),
            n=4,
            paths=1,
            generator=seeded(),
        )
