"""The VAE and its objective: closed forms, quadrature, and an ensemble against solo runs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import kl_divergence

from genbound.models.convolutional import ConvDecoder, ConvEncoder
from genbound.models.networks import MLP
from genbound.models.vae import VAE, Terms, distortion_and_rate, elbo_loss, elbo_objective
from genbound.protocols import Decoder, Encoder
from genbound.training import grid, stream, train


def build(member: dict) -> VAE:
    generator = stream(member["seed"], "initialisation")
    encoder = MLP(6, 4, 16, 1, generator=generator)
    decoder = MLP(2, 6, 16, 1, generator=generator)
    return VAE(encoder, decoder, latent=2, likelihood=member.get("likelihood", "bernoulli"))


def bits(n: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.bernoulli(torch.full((n, d), 0.3, dtype=torch.float64), generator=generator)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_a_vae_fulfils_both_contracts(likelihood: str, generator: torch.Generator) -> None:
    model = build({"seed": 0, "likelihood": likelihood})
    assert isinstance(model, Encoder) and isinstance(model, Decoder)
    data = bits(12, 6, generator).float().reshape(3, 4, 6)
    code = model.encode(data)
    assert (code.batch_shape, code.event_shape) == ((3, 4), (2,))
    law = model.decode(code.mean)
    assert (law.batch_shape, law.event_shape) == ((3, 4), (6,))
    assert law.log_prob(data).shape == (3, 4)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_terms_are_those_of_the_laws(likelihood: str, generator: torch.Generator) -> None:
    model = build({"seed": 1, "likelihood": likelihood}).double()
    data, noise = bits(30, 6, generator), torch.randn(30, 2, generator=generator).double()
    distortion, rate = model(data, noise)
    code = model.encode(data)
    prior = torch.distributions.Independent(
        torch.distributions.Normal(torch.zeros(30, 2).double(), torch.ones(30, 2).double()), 1
    )
    torch.testing.assert_close(rate, kl_divergence(code, prior))
    latent = code.mean + code.stddev * noise
    torch.testing.assert_close(distortion, -model.decode(latent).log_prob(data))
    means = distortion_and_rate(model, (data, noise))
    assert means == Terms(distortion.mean(), rate.mean())


@given(
    likelihood=st.sampled_from(["gaussian", "bernoulli"]),
    beta=st.floats(0, 4),
    seed=st.integers(0, 99),
)
def test_the_loss_is_the_weighted_sum_and_bounds_the_likelihood(
    likelihood: str, beta: float, seed: int
) -> None:
    """One latent coordinate, so that the exact likelihood is an integral over a line."""
    generator = torch.Generator().manual_seed(seed)
    encoder = MLP(3, 2, 8, 1, generator=generator).double()
    decoder = MLP(1, 3, 8, 1, generator=generator).double()
    model = VAE(encoder, decoder, latent=1, likelihood=likelihood).double()
    data = bits(8, 3, generator)
    grid_points = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    log_joint = model.decode(grid_points[:, None, None]).log_prob(data)
    log_joint = log_joint - (grid_points.square() / 2)[:, None] - math.log(2 * math.pi) / 2
    exact = -torch.logsumexp(log_joint, 0) - math.log(18 / 2000)
    # The expectation over the noise by the same grid.
    weights = torch.exp(-grid_points.square() / 2) / math.sqrt(2 * math.pi) * (18 / 2000)
    terms = model(data, grid_points[:, None, None].expand(-1, 8, 1))
    elbo = (weights[:, None] * terms.distortion).sum(0) + terms.rate
    assert (elbo >= exact - 1e-9).all()
    noise = torch.randn(8, 1, generator=generator).double()
    distortion, rate = distortion_and_rate(model, (data, noise))
    loss = elbo_loss(model, (data, noise, torch.tensor(beta).double()))
    torch.testing.assert_close(loss, distortion + torch.tensor(beta).double() * rate)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_each_member_of_an_ensemble_is_its_solo_run(likelihood: str) -> None:
    data = bits(40, 6, stream(0, "data"))
    members = grid(seed=[0, 1], lr=[0.01], beta=[0.5, 1.0], likelihood=[likelihood])
    objectives = [elbo_objective(latent=2, batch=16, beta=m["beta"]) for m in members]
    run = train(objectives, build, data, members, steps=30)
    assert not torch.equal(run.losses[:, 0], run.losses[:, 1])
    for i, (member, objective) in enumerate(zip(members, objectives, strict=True)):
        solo = train(objective, build, data, [member], steps=30)
        assert torch.equal(run.losses[:, i], solo.losses[:, 0])
        for name, weight in run.params.items():
            assert torch.equal(weight[i], solo.params[name][0]), name


def test_convolutional_members_train_together() -> None:
    def convolutional(member: dict) -> VAE:
        generator = stream(member["seed"], "initialisation")
        encoder = ConvEncoder((8, 8), 4, 3, generator=generator)
        decoder = ConvDecoder(2, (8, 8), 3, generator=generator)
        return VAE(encoder, decoder, latent=2, likelihood="bernoulli")

    data = bits(40, 64, stream(0, "data"))
    members, objective = grid(seed=[0, 1], lr=[0.01]), elbo_objective(latent=2, batch=8)
    run = train(objective, convolutional, data, members, steps=10)
    solo = train(objective, convolutional, data, members[1:], steps=10)
    torch.testing.assert_close(run.losses[:, 1:], solo.losses, rtol=1e-10, atol=1e-10)


def test_training_lowers_the_loss_towards_the_entropy() -> None:
    """Six copies of one coin have the entropy of one; without a code they would cost six."""
    data = bits(4000, 1, stream(0, "data")).float().expand(-1, 6)
    entropy = -sum(p * math.log(p) for p in (data.mean().item(), 1 - data.mean().item()))
    members = grid(seed=[0], lr=[0.01])
    run = train(elbo_objective(latent=2, batch=128), build, data, members, steps=800)
    assert run.losses[0, 0] > 3
    assert entropy < run.losses[-200:].mean() < 2 * entropy


def test_a_learned_scale_finds_the_noise() -> None:
    data = 0.2 * torch.randn(2000, 6, generator=stream(0, "data"))
    run = train(
        elbo_objective(latent=2, batch=256),
        lambda member: build(member | {"likelihood": "gaussian"}),
        data,
        grid(seed=[0], lr=[0.02]),
        steps=600,
    )
    assert run.model(0).log_scale.exp().item() == pytest.approx(0.2, rel=0.05)


def test_a_fixed_scale_stays(generator: torch.Generator) -> None:
    net = MLP(1, 2, 4, 1, generator=generator)
    model = VAE(net, nn.Identity(), latent=1, likelihood="gaussian", scale=0.3)
    assert "log_scale" not in dict(model.named_parameters())
    law = model.decode(torch.zeros(2, 1))
    torch.testing.assert_close(law.stddev, torch.full((2, 1), 0.3))


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_generated_data_have_the_moments_of_the_law(
    likelihood: str, generator: torch.Generator
) -> None:
    model = build({"seed": 3, "likelihood": likelihood}).double()
    latent = torch.randn(1, 2, generator=generator, dtype=torch.float64).expand(20_000, 2)
    state = generator.get_state()
    made = model.generate(latent, generator=generator)
    law = model.decode(latent[0])
    assert made.shape == (20_000, 6) and made.dtype == torch.float64
    assert ((made.mean(0) - law.mean).abs() < 4.5 * law.stddev / math.sqrt(20_000)).all()
    if likelihood == "bernoulli":
        assert set(made.unique().tolist()) == {0.0, 1.0}
    else:
        torch.testing.assert_close(made.std(0), law.stddev, rtol=0.03, atol=0)
    generator.set_state(state)
    assert torch.equal(made, model.generate(latent, generator=generator))


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 12)])
def test_convolutional_networks_keep_shapes_dtype_and_seed(
    shape: tuple[int, ...], device: torch.device
) -> None:
    d = math.prod(shape)
    generators = [torch.Generator(device).manual_seed(5) for _ in range(2)]
    nets = [
        (ConvEncoder(shape, 4, 3, generator=g), ConvDecoder(2, shape, 3, generator=g))
        for g in generators
    ]
    encoder, decoder = nets[0]
    data = torch.ones(2, 5, d, device=device)
    assert encoder(data).shape == (2, 5, 4) and encoder(data[0, 0]).shape == (4,)
    assert decoder(encoder(data)[..., :2]).shape == (2, 5, d)
    for first, second in zip(*nets, strict=True):
        for one, two in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.equal(one, two) and one.abs().max() <= 1
    # Every pixel of the input matters, and every pixel of the output depends on the latent.
    pixels = torch.rand(1, d, device=device, requires_grad=True)
    assert (torch.autograd.grad(encoder(pixels).square().sum(), pixels)[0] != 0).all()
    assert (decoder(torch.ones(2, device=device)) != decoder(-torch.ones(2, device=device))).all()


BAD = {
    "likelihood": {"likelihood": "poisson"},
    "latent": {"latent": 0},
    "scale": {"scale": 0.0},
    "scale:": {"scale": 0.5, "likelihood": "bernoulli"},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused(name: str) -> None:
    options = {"latent": 1, "likelihood": "gaussian"} | BAD[name]
    with pytest.raises(ValueError, match=name):
        VAE(nn.Identity(), nn.Identity(), **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("batch", {"batch": 0}), ("latent", {"latent": 0}), ("beta", {"beta": -1.0})],
)
def test_bad_objectives_are_refused(name: str, options: dict) -> None:
    with pytest.raises(ValueError, match=name):
        elbo_objective(**({"batch": 4, "latent": 2} | options))


def test_bad_images_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match="shape: got"):
        ConvEncoder((6, 8), 2, 2, generator=generator)
    with pytest.raises(ValueError, match="width must be"):
        ConvDecoder(2, (8, 8), 0, generator=generator)


def test_data_outside_the_likelihood_are_refused() -> None:
    law = build({"seed": 0}).decode(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="support"):
        law.log_prob(torch.full((1, 6), 0.5))
