"""The contracts are met by plain objects: no base class, no registration."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from genbound.protocols import Decoder, Encoder, EncoderGenerator, Objective, ScoreModel


@dataclass
class Foreign:
    """Anybody's noise-predicting network, adapted."""

    network: nn.Module
    process: Any
    horizon: float = 1.0
    t_min: float = 1e-3

    def score(self, noisy: Tensor, time: Tensor) -> Tensor:
        return -self.network(noisy) / self.process(time)


def isotropic(points: Tensor) -> Distribution:
    return Independent(Normal(points, torch.ones_like(points)), 1)


def test_an_adapter_of_a_foreign_model_is_a_score_model() -> None:
    model = Foreign(nn.Identity(), lambda time: 2.0 * torch.ones_like(time))
    assert isinstance(model, ScoreModel)
    assert torch.equal(model.score(torch.ones(3, 2), torch.ones(3, 1)), -torch.ones(3, 2) / 2)


@pytest.mark.parametrize("missing", ["process", "horizon", "t_min", "score"])
def test_an_object_without_one_of_the_names_is_no_score_model(missing: str) -> None:
    names = {"process": None, "horizon": 1.0, "t_min": 0.1, "score": lambda noisy, _: -noisy}
    complete = type("Model", (), names)
    incomplete = type("Model", (), {k: v for k, v in names.items() if k != missing})
    assert isinstance(complete(), ScoreModel)
    assert not isinstance(incomplete(), ScoreModel)


def test_encoders_and_decoders_are_told_by_their_verbs() -> None:
    encoder = type("E", (), {"encode": staticmethod(isotropic)})()
    decoder = type("D", (), {"decode": staticmethod(isotropic)})()
    assert isinstance(encoder, Encoder) and not isinstance(encoder, Decoder)
    assert isinstance(decoder, Decoder) and not isinstance(decoder, Encoder)
    assert encoder.encode(torch.zeros(5, 3)).event_shape == (3,)


def test_an_objective_is_a_draw_and_a_loss() -> None:
    assert Objective._fields == ("draw", "loss")


@pytest.mark.parametrize("missing", ["encode", "generate", None])
def test_an_encoder_generator_needs_no_density(missing: str | None) -> None:
    names = {
        "encode": lambda _, points: isotropic(points),
        "generate": lambda _, latent, **__: latent,
    }
    model = type("Model", (), {name: call for name, call in names.items() if name != missing})()
    assert isinstance(model, EncoderGenerator) == (missing is None)
    assert not isinstance(model, Decoder)
