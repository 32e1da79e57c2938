"""Losses of a linear encoder and generator, whose every mean is a closed form."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, Normal

from genbound.estimators import latent
from genbound.estimators import reconstruction as rec
from genbound.protocols import EncoderGenerator


@dataclass
class Linear:
    """E(x) = N(a x, b^2 I) and G(z) = N(g z + c, t^2 I)."""

    a: float = 0.8
    b: float = 0.5
    g: float = 1.1
    c: float = 0.3
    t: float = 0.2

    def encode(self, data):
        return Independent(Normal(self.a * data, torch.full_like(data, self.b)), 1)

    def generate(self, latents, *, generator):
        like = {"dtype": latents.dtype, "device": latents.device}
        noise = torch.randn(latents.shape, generator=generator, **like)
        return self.g * latents + self.c + self.t * noise


models = st.builds(Linear, *(st.floats(0.1, 1.5) for _ in range(5)))


def cloud(n, d, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return shift + torch.randn(n, d, generator=generator, dtype=torch.float64)


def from_prior2(model, data):
    """E |x - x~|^2 for each datum, x~ from the prior."""
    d = data.shape[1]
    return (data - model.c).square().sum(1) + d * (model.g**2 + model.t**2)


@given(models, st.integers(1, 4))
@settings(max_examples=20)
def test_squared_losses(model, d):
    data = cloud(200, d, shift=0.5)
    how = {
        "discrepancy": rec.squared_distance,
        "draws": 64,
        "generator": torch.Generator().manual_seed(1),
    }
    kept = 1 - model.g * model.a
    noise2 = model.g**2 * model.b**2 + model.t**2
    encoded = ((kept * data - model.c).square().sum(1) + d * noise2).mean()
    for found, solved in (
        (rec.encoded_loss(model, data, **how), encoded),
        (rec.prior_loss(model, data, **how), from_prior2(model, data).mean()),
    ):
        draws_alone = found.stderr  # covers the data as well, so it is no less than the draws'
        assert abs(found.value - float(solved)) < 4 * draws_alone
        assert found.side == "unbiased" and len(found.influence) == 200


def test_standard_error_covers_data_and_draws():
    model, generator = Linear(), torch.Generator().manual_seed(2)
    how = {"discrepancy": rec.distance, "draws": 4, "generator": generator}
    found = [rec.encoded_loss(model, cloud(50, 2, seed), **how) for seed in range(300)]
    values = torch.tensor([e.value for e in found])
    claimed = torch.tensor([e.stderr for e in found]).square().mean().sqrt()
    assert 0.88 < float(claimed / values.std()) < 1.12


def test_blocks_change_nothing_in_law(monkeypatch):
    model, data = Linear(), cloud(64, 3)
    whole = rec.encoded_loss(
        model,
        data,
        discrepancy=rec.distance,
        draws=512,
        generator=torch.Generator().manual_seed(3),
    )
    monkeypatch.setattr(rec, "BLOCK_ENTRIES", 512 * 3 * 5)
    blocks = rec.encoded_loss(
        model,
        data,
        discrepancy=rec.distance,
        draws=512,
        generator=torch.Generator().manual_seed(4),
    )
    assert torch.allclose(blocks.influence, whole.influence, atol=0.25)
    assert abs(blocks.value - whole.value) < 0.02


def second_moments(model, data):
    """E |x - x~|^4 for each datum: square of the mean plus variance of a Gaussian quadratic."""
    spread2 = model.g**2 + model.t**2
    offset2 = (data - model.c).square().sum(1)
    variance = 2 * data.shape[1] * spread2**2 + 4 * spread2 * offset2
    return from_prior2(model, data) ** 2 + variance


def test_scales_are_roots_of_second_moments():
    model, data = Linear(), cloud(300, 2, shift=1.0)
    generator = torch.Generator().manual_seed(5)
    how = {"discrepancy": rec.squared_distance, "generator": generator}
    solved = second_moments(model, data)
    scales = rec.prior_scales(model, data, draws=200_000, **how)
    assert scales.shape == (300,) and torch.allclose(scales, solved.sqrt(), rtol=0.03)
    scale = rec.left_scale(model, data, draws=256, **how)
    assert scale.side == "consistent"
    assert abs(scale.value - float(solved.mean().sqrt())) < 4 * scale.stderr


@given(models)
@settings(max_examples=20)
def test_the_scale_is_left_sub_gaussian(model):
    """log E exp(-l (f - E f)) <= l^2 R^2 / 2 for the loss of one datum under the prior."""
    datum, generator = cloud(1, 2, shift=1.0), torch.Generator().manual_seed(6)
    scale = float(second_moments(model, datum).sqrt())
    latents = torch.randn(100_000, 2, generator=generator, dtype=torch.float64)
    loss = (model.g * latents + model.c - datum).square().sum(1) + 2 * model.t**2
    centred = loss - loss.mean()
    for slope in torch.logspace(-3, 1.5, 20, dtype=torch.float64) / scale:
        laplace = float((-slope * centred).exp().mean().log())
        assert laplace <= float(slope * scale) ** 2 / 2 + 1e-3


def test_weighted_root_rate():
    model, data = Linear(), cloud(40, 3)
    ones = torch.ones(40, dtype=torch.float64)
    plain = latent.root_rate(model, data)
    found = rec.weighted_root_rate(model, data, ones)
    assert math.isclose(found.value, plain.value, rel_tol=1e-9)
    assert math.isclose(found.stderr, plain.stderr, rel_tol=1e-9)
    assert math.isclose(rec.weighted_root_rate(model, data, 3 * ones).value, 3 * plain.value)
    with pytest.raises(ValueError, match=r"scales: got shape \(39,\), allowed is \(40,\)"):
        rec.weighted_root_rate(model, data, ones[1:])


def test_distances():
    first, second = cloud(5, 1, 2)[:, None], cloud(7, 1, 3)
    assert rec.distance(first, second).shape == (5, 7)
    assert torch.allclose(rec.distance(first, second) ** 2, rec.squared_distance(first, second))


def test_bad_input_is_named():
    model, generator = Linear(), torch.Generator()
    how = {"discrepancy": rec.distance, "generator": generator}
    assert isinstance(model, EncoderGenerator)
    for loss in (rec.encoded_loss, rec.prior_loss, rec.left_scale, rec.prior_scales):
        with pytest.raises(ValueError, match="draws: got fewer than 1"):
            loss(model, cloud(4, 2), draws=0, **how)
    with pytest.raises(ValueError, match="data: got shape"):
        rec.encoded_loss(model, cloud(4, 2)[0], draws=2, **how)
    negative = {"discrepancy": lambda x, y: -rec.distance(x, y), "generator": generator}
    for scale in (rec.left_scale, rec.prior_scales):
        with pytest.raises(ValueError, match=r"discrepancy: got -.*, allowed is >= 0"):
            scale(model, cloud(4, 2), draws=2, **negative)


def test_devices(device):
    model, data = Linear(), cloud(20, 2).to(device, torch.float32)
    how = {
        "discrepancy": rec.distance,
        "draws": 4,
        "generator": torch.Generator(device).manual_seed(0),
    }
    assert rec.encoded_loss(model, data, **how).value > 0
    assert rec.left_scale(model, data, **how).value > 0
    scales = rec.prior_scales(model, data, **how)
    assert scales.device == data.device
    assert rec.weighted_root_rate(model, data, scales).value > 0
