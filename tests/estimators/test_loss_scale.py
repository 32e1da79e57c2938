import math

import pytest
import torch

from genbound import data, sde
from genbound.estimators.loss_scale import measured_scale
from genbound.models.solvable import MeanLearner
from tests.estimators.reference import Model, seeded

PROCESS, HORIZON, T_MIN = sde.ou(), 2.0, 0.05


def learner(mean):
    return MeanLearner(torch.as_tensor(mean, dtype=torch.float64), PROCESS, HORIZON, T_MIN)


def weight():
    """The loss is w |theta - z|^2 and a constant: the integral of e^{-2t}."""
    return (math.exp(-2 * T_MIN) - math.exp(-2 * HORIZON)) / 2


@pytest.mark.parametrize("draws", [1, 16])
def test_the_scale_of_a_learned_mean(draws):
    source = data.Gaussian(torch.zeros(3).double(), torch.eye(3).double())
    held_out = source.sample(20_000, generator=seeded(1))
    model, reference = learner([0.5, -1.0, 0.0]), learner([0.0, 0.0, 0.2])
    options = {"draws": draws, "generator": seeded(2)}
    plain = measured_scale(model, held_out, **options)
    truth = weight() * math.sqrt(2 * 3 + 4 * 1.25)
    assert abs(plain.value - truth) <= 4 * plain.stderr < 0.4 * truth
    centred = measured_scale(model, held_out, reference=reference, **options)
    truth = 2 * weight() * math.sqrt(1.25 + 0.04)
    assert abs(centred.value - truth) <= 4 * centred.stderr < 0.1 * truth
    assert centred.value < plain.value
    assert centred.side == "consistent" and "no certificate" in centred.method


def test_common_noise_cancels_what_is_common(device):
    """Against itself a model has no excess, whatever the noise."""
    held_out = data.SwissRoll().sample(50, generator=seeded(3)).to(device)
    score = data.points(held_out.cpu()[:4]).path_score(PROCESS)
    model = Model(lambda x, t: score(x.cpu(), t.cpu()).to(x), PROCESS, HORIZON, T_MIN)
    generator = torch.Generator(device).manual_seed(4)
    own = measured_scale(model, held_out, draws=4, generator=generator, reference=model)
    assert own.value == 0 and own.stderr == 0
    other = Model(lambda x, _: -x, PROCESS, 1.0, 0.5)
    # The interval is that of the model.
    found = measured_scale(model, held_out, draws=4, generator=generator, reference=other)
    assert found.value > 0


def test_too_few_data():
    with pytest.raises(ValueError, match="held_out: got 2"):
        measured_scale(learner([0.0]), torch.zeros(2, 1), draws=2, generator=seeded())
