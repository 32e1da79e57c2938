"""The linear VAE: its letters, its matrices, its laws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from genbound.derivations import linear_vae as letters
from genbound.models.linear_vae import LinearVAE
from genbound.protocols import Decoder, Encoder


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_model(d: int, k: int, seed: int) -> LinearVAE:
    parts = normal(2 * d * k + d + 2 * k, seed=seed).split([d * k, d, d * k, k, k])
    weight, centre, encoder, offset, log_variance = parts
    return LinearVAE(
        weight.reshape(d, k), centre, 0.3, encoder.reshape(k, d), offset, log_variance.exp()
    )


@given(seed=st.integers(0, 10_000))
def test_one_coordinate_has_the_derived_letters(seed: int) -> None:
    model = random_model(1, 1, seed)
    mean, root = normal(2, seed=seed + 1)
    variance = root.exp()
    exact = model.exact(mean[None], variance[None, None])
    point = (
        model.weight,
        model.centre,
        model.sigma2,
        model.encoder_weight,
        model.encoder_offset,
        model.encoder_variance,
        mean,
        variance,
    )
    for letter, value in (
        (COMPILED["distortion"], exact.distortion),
        (COMPILED["rate"], exact.rate),
        (COMPILED["code_information"], exact.information),
        (COMPILED["aggregate"], exact.aggregate_kl),
    ):
        torch.testing.assert_close(letter(*point).squeeze(), value)
    nll = COMPILED["entropy"](*point) + COMPILED["model_kl"](*point)
    torch.testing.assert_close(nll.squeeze(), exact.nll)


COMPILED = {
    name: getattr(letters, name).to_torch(*letters.letters)
    for name in ("distortion", "rate", "code_information", "aggregate", "entropy", "model_kl")
}


@given(d=st.integers(1, 4), k=st.integers(1, 3), seed=st.integers(0, 10_000))
def test_the_terms_are_those_of_the_laws(d: int, k: int, seed: int) -> None:
    """Against torch's divergences of full Gaussians."""
    model = random_model(d, k, seed)
    mean, factor = normal(d, seed=seed + 1), normal(d, d, seed=seed + 2)
    covariance = factor @ factor.mT + 0.1 * torch.eye(d, dtype=torch.float64)
    exact = model.exact(mean, covariance)
    data = MultivariateNormal(mean, covariance)
    code = model.encoder_weight @ mean + model.encoder_offset
    spread = model.encoder_weight @ covariance @ model.encoder_weight.mT
    identity = torch.eye(k, dtype=torch.float64)
    together = MultivariateNormal(code, spread + torch.diag(model.encoder_variance))
    prior = MultivariateNormal(torch.zeros(k, dtype=torch.float64), identity)
    torch.testing.assert_close(exact.aggregate_kl, kl_divergence(together, prior))
    torch.testing.assert_close(exact.rate, exact.information + exact.aggregate_kl)
    generated = MultivariateNormal(model.centre, model.covariance)
    truth = data.entropy() + kl_divergence(data, generated)
    torch.testing.assert_close(exact.nll, truth)
    assert exact.distortion + exact.rate >= exact.nll - 1e-9


@given(d=st.integers(1, 5), k=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_ppca_loses_nothing(d: int, k: int, seed: int) -> None:
    weight, centre = normal(d, k, seed=seed), normal(d, seed=seed + 1)
    model = LinearVAE.ppca(weight, centre, 0.25)
    torch.testing.assert_close(
        model.covariance, weight @ weight.mT + 0.25 * torch.eye(d, dtype=torch.float64)
    )
    exact = model.exact(centre, model.covariance)
    assert exact.aggregate_kl.abs() < 1e-9
    assert (exact.distortion + exact.rate - exact.nll).abs() < 1e-9
    torch.testing.assert_close(
        exact.distortion,
        torch.tensor(d / 2 * math.log(2 * math.pi * math.e * 0.25), dtype=torch.float64),
    )


def test_golden_numbers() -> None:
    weight = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    model = LinearVAE.ppca(weight, torch.zeros(2, dtype=torch.float64), 0.25)
    exact = model.exact(model.centre, model.covariance)
    expected = {"information": 0.895880, "distortion": 1.451583, "nll": 2.347462, "rate": 0.895880}
    for name, value in expected.items():
        assert float(getattr(exact, name)) == pytest.approx(value, abs=1e-6)


def test_it_fulfils_both_contracts_and_generates_its_law(generator: torch.Generator) -> None:
    model = LinearVAE.ppca(normal(3, 2, seed=1), normal(3, seed=2), 0.5)
    assert isinstance(model, Encoder) and isinstance(model, Decoder)
    latent = torch.randn(40_000, 2, generator=generator, dtype=torch.float64)
    made = model.generate(latent, generator=generator)
    torch.testing.assert_close(made.T.cov(), model.covariance, rtol=0.05, atol=0.05)
    torch.testing.assert_close(made.mean(0), model.centre, rtol=0.05, atol=0.05)
    entropy = MultivariateNormal(model.centre, model.covariance).entropy()
    assert -model.log_density(made).mean() == pytest.approx(float(entropy), abs=0.03)
    assert model.encode(made.reshape(4, -1, 3)).batch_shape == (4, 10_000)


def test_bad_variances_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma2: got 0"):
        LinearVAE.ppca(torch.ones(2, 1), torch.zeros(2), 0.0)
    zero = torch.zeros(1)
    with pytest.raises(ValueError, match="encoder_variance"):
        LinearVAE(torch.ones(2, 1), torch.zeros(2), 1.0, torch.ones(1, 2), zero, zero)
