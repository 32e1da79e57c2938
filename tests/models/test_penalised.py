"""The penalised objectives: what they learn where that is solved, and an ensemble against solos.

For the score -(x - alpha_t m) both energies are closed forms, with u = alpha^2 at the horizon and
u' at t_min: A = (u' - u) |m|^2 / 2 against the prior, and with the zero score
A = d/2 [log(u' / u) - (u' - u)] + (u' - u) |x - m|^2 / 2.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from genbound.derivations import penalty, vae
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.models.penalised import penalised_objective, self_tuned_objective
from genbound.models.vae import VAE, distortion_and_rate, elbo_objective
from genbound.sde import cosine, ou, vp
from genbound.training import grid, sgd, stream, train

VP = vp()


class Shifted(nn.Module):
    """The score -(x - alpha m) with m as its weight."""

    def __init__(self, centre: Tensor) -> None:
        super().__init__()
        self.centre = nn.Parameter(centre)

    def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
        signal_scale, _ = VP.moments(time)
        return signal_scale.unsqueeze(-1) * self.centre - noisy


def rise(horizon: float, t_min: float) -> float:
    """u' - u."""
    signals = VP.moments(torch.tensor([t_min, horizon], dtype=torch.float64))[0].square()
    return float(signals[0] - signals[1])


def losses(objective, module, data: Tensor, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    draws = (objective.draw(data, generator) for _ in range(n))
    return torch.stack([objective.loss(module, sample) for sample in draws]).detach()


def assert_mean(samples: Tensor, truth: float | Tensor, errors: float = 5.0) -> None:
    stderr = samples.std(0) / len(samples) ** 0.5
    assert ((samples.mean(0) - truth).abs() < errors * stderr + 1e-9).all()


@given(
    weight=st.floats(0.01, 3),
    horizon=st.floats(0.3, 1.0),
    t_min=st.floats(1e-3, 0.2),
    d=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_the_penalty_is_the_energy_in_expectation(weight, horizon, t_min, d, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    data = 1 + torch.randn(12, d, generator=generator, dtype=torch.float64)
    module = Shifted(torch.randn(d, generator=generator, dtype=torch.float64))
    options = {"batch": 64, "horizon": horizon, "t_min": t_min}
    plain = losses(denoising_objective(VP, **options), module, data, 60)
    signal2 = rise(horizon, t_min)
    square = float(module.centre.detach().square().sum())
    linear = penalised_objective(VP, **options, weight=weight)
    assert_mean(losses(linear, module, data, 60) - plain, weight * signal2 * square / 2)
    # A batch's energy varies with the noise levels only, and these are stratified.
    root = penalised_objective(VP, **options, weight=weight, form="root")
    got = (losses(root, module, data, 60) - plain).mean()
    assert got == pytest.approx(weight * math.sqrt(signal2 * square), rel=0.03)
    # Against zero: the energy of -x, with its cross term, in place of alpha m.
    zero = penalised_objective(VP, **options, weight=weight, reference="zero")
    signals = VP.moments(torch.tensor([t_min, horizon], dtype=torch.float64))[0].square()
    offset2 = float((data - module.centre.detach()).square().sum(-1).mean())
    constant = d * (float((signals[0] / signals[1]).log()) - signal2)
    exact = (constant + signal2 * offset2) / 2
    assert_mean(losses(zero, module, data, 60) - plain, weight * exact)


def test_without_weight_it_is_the_plain_loss_and_its_draws(generator: Generator) -> None:
    data = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    module = Shifted(torch.tensor([1.0, 2.0], dtype=torch.float64))
    options = {"batch": 16, "horizon": 0.8, "t_min": 1e-2}
    plain = losses(denoising_objective(VP, **options), module, data, 5)
    for form in ("linear", "root"):
        found = penalised_objective(VP, **options, weight=0.0, form=form)
        assert torch.equal(losses(found, module, data, 5), plain)


def trained_mean(objectives, data: Tensor, weights: list[float]) -> Tensor:
    """Mean of the last iterates of each member, (members, d): noise averages."""
    members = grid(weight=weights, seed=[3], lr=[0.05])
    run = train(
        objectives,
        lambda _: Shifted(torch.full((data.shape[1],), 0.3, dtype=torch.float64)),
        data,
        members,
        steps=1200,
        optimiser=sgd(),
        capture_every=1,
    )
    return run.trajectory[600:].mean(0)


def test_training_finds_the_shrunk_mean() -> None:
    data = 1 + torch.randn(20, 2, generator=stream(0, "data"), dtype=torch.float64)
    weights = [0.0, 0.2, 1.0, 4.0]
    options = {"batch": 256, "horizon": 1.0, "t_min": 1e-3}
    objectives = [penalised_objective(VP, **options, weight=weight) for weight in weights]
    learned = trained_mean(objectives, data, weights)
    for weight, found in zip(weights, learned, strict=True):
        torch.testing.assert_close(found, data.mean(0) / (1 + weight), rtol=0, atol=0.02)


def test_training_finds_the_soft_threshold() -> None:
    data = 1 + torch.randn(20, 2, generator=stream(0, "data"), dtype=torch.float64)
    weights = [0.1, 0.5, 1.0, 10.0]
    options = {"batch": 256, "horizon": 1.0, "t_min": 1e-3, "form": "root"}
    objectives = [penalised_objective(VP, **options, weight=weight) for weight in weights]
    learned = trained_mean(objectives, data, weights)
    length, sigma = float(data.mean(0).norm()), math.sqrt(rise(1.0, 1e-3))
    n = len(data)
    for weight, found in zip(weights, learned, strict=True):
        letters = {penalty.R: weight * math.sqrt(n), penalty.sigma: sigma, penalty.n: n}
        factor = float(penalty.threshold.subs(letters | {penalty.h: length}))
        # At the kink gradient descent walks to and fro by the rate times the slope.
        slack = 0.02 if factor else 0.05 * weight
        torch.testing.assert_close(found, factor * data.mean(0), rtol=0, atol=slack)


def test_training_against_zero_shrinks_the_whole_score() -> None:
    """A linear score -c (x - alpha m) with the reference zero finds c = 1 / (1 + lambda)."""

    class Scaled(Shifted):
        def __init__(self) -> None:
            super().__init__(torch.zeros(2, dtype=torch.float64))
            self.factor = nn.Parameter(torch.ones(1, dtype=torch.float64))

        def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
            return self.factor * super().forward(noisy, time)

    data = 1 + torch.randn(4000, 2, generator=stream(0, "data"), dtype=torch.float64)
    options = {"batch": 256, "horizon": 1.0, "t_min": 1e-3, "reference": "zero"}
    weights = [0.0, 0.5, 1.0]
    objectives = [penalised_objective(VP, **options, weight=weight) for weight in weights]
    members = grid(weight=weights, seed=[3], lr=[0.03])
    run = train(
        objectives, lambda _: Scaled(), data, members, steps=1200, optimiser=sgd(), capture_every=1
    )
    factors = run.trajectory[800:, :, 2].mean(0)
    expected = 1 / (1 + torch.tensor(weights, dtype=torch.float64))
    torch.testing.assert_close(factors, expected, rtol=0.05, atol=0)
    means = run.trajectory[800:, :, :2].mean(0)
    torch.testing.assert_close(means, data.mean(0).expand(3, 2), rtol=0, atol=0.05)


def build(member: dict) -> Diffusion:
    net = MLP(2 + N_FEATURES, 2, 16, 2, generator=stream(member["seed"], "initialisation"))
    return Diffusion(net, VP, horizon=member.get("horizon", 1.0), t_min=1e-2)


@pytest.mark.parametrize("form", ["linear", "root"])
def test_a_member_equals_its_solo_run(form: str) -> None:
    data = torch.randn(50, 2, generator=stream(0, "data"))
    members = [
        {"seed": seed, "lr": 0.01, "weight": weight, "horizon": horizon}
        for seed, (weight, horizon) in enumerate([(0.0, 1.0), (0.3, 1.0), (2.0, 0.6)])
    ]
    objectives = [
        penalised_objective(
            vp(), batch=16, horizon=m["horizon"], t_min=1e-2, weight=m["weight"], form=form
        )
        for m in members
    ]
    run = train(objectives, build, data, members, steps=30)
    for i, (member, objective) in enumerate(zip(members, objectives, strict=True)):
        solo = train(objective, build, data, [member], steps=30)
        torch.testing.assert_close(run.losses[:, i], solo.losses[:, 0], rtol=1e-5, atol=1e-6)
        for name, weights in run.params.items():
            torch.testing.assert_close(weights[i], solo.params[name][0], rtol=1e-4, atol=1e-5)


def test_settings_that_differ_have_different_losses() -> None:
    options = {"batch": 4, "horizon": 1.0, "t_min": 1e-2, "weight": 1.0}
    one = penalised_objective(vp(), **options).loss
    assert one == penalised_objective(vp(), **(options | {"horizon": 0.5, "weight": 2.0})).loss
    for other in (
        penalised_objective(vp(), **options, form="root"),
        penalised_objective(vp(), **options, reference="zero"),
        penalised_objective(ou(), **options),
        penalised_objective(cosine(), **options),
    ):
        assert one != other.loss


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and not negative, got -1.0"),
        ({"weight": math.inf}, "weight must be finite"),
        ({"form": "square"}, "form: got 'square', allowed are"),
        ({"reference": "mean"}, "reference: got 'mean', allowed are"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"t_min": 1.0}, "t_min must be in"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    options = {"batch": 4, "horizon": 1.0, "t_min": 1e-2, "weight": 1.0} | change
    with pytest.raises(ValueError, match=message):
        penalised_objective(VP, **options)


def autoencoder(member: dict) -> VAE:
    generator = stream(member["seed"], "initialisation")
    nets = (MLP(6, 4, 16, 1, generator=generator), MLP(2, 6, 16, 1, generator=generator))
    return VAE(*nets, latent=2, likelihood="bernoulli")


@given(scale=st.floats(0.0, 20.0), seed=st.integers(0, 99))
def test_the_gradient_is_that_of_the_tuned_beta(scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    data = torch.bernoulli(torch.full((20, 6), 0.4), generator=generator)
    model = autoencoder({"seed": seed})
    objective = self_tuned_objective(latent=2, batch=8, scale=scale)
    sample = objective.draw(data, generator)
    tuned = torch.autograd.grad(objective.loss(model, sample), list(model.parameters()))
    terms = distortion_and_rate(model, sample[0])
    tuned_weight = vae.self_tuned.to_torch(vae.scale, vae._rate, vae._slope)
    beta = tuned_weight(scale, terms.rate.detach(), 1.0)
    weighted = terms.distortion + beta * terms.rate
    expected = torch.autograd.grad(weighted, list(model.parameters()))
    for one, other in zip(tuned, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_self_tuned_draws_are_those_of_the_elbo_and_members_equal_solos(generator) -> None:
    data = torch.bernoulli(torch.full((30, 6), 0.4), generator=generator)
    plain = elbo_objective(latent=2, batch=8).draw(data, stream(0, "draws"))
    (points, noise), _ = self_tuned_objective(latent=2, batch=8, scale=3.0).draw(
        data, stream(0, "draws")
    )
    assert torch.equal(points, plain[0]) and torch.equal(noise, plain[1])
    members = grid(scale=[0.5, 5.0], seed=[1], lr=[0.01])
    objectives = [self_tuned_objective(latent=2, batch=8, scale=m["scale"]) for m in members]
    run = train(objectives, autoencoder, data, members, steps=20)
    for i, member in enumerate(members):
        solo = train(objectives[i], autoencoder, data, [member], steps=20)
        torch.testing.assert_close(run.losses[:, i], solo.losses[:, 0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="scale must be finite and not negative"):
        self_tuned_objective(latent=2, batch=8, scale=-1.0)
