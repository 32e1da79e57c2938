"""The score model and its objective against the case that is solvable in closed form.

For data N(mu, I) and the score s(x, t) = -(x - alpha_t m) the likelihood-weighted denoising loss
is l(x) = (u' - u) ||x - m||^2 / 2 + d/2 [u - u' - log((1 - u') / (1 - u))], u = alpha^2 at the
horizon and u' at t_min.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective, features
from genbound.models.networks import MLP
from genbound.protocols import Objective, ScoreModel
from genbound.sde import LinearSDE, cosine, ou, sub_vp, ve, vp
from genbound.training import grid, stream, train

VP = vp()


class Shifted(nn.Module):
    """The score -(x - alpha m) with m as its weight."""

    def __init__(self, process: LinearSDE, centre: Tensor) -> None:
        super().__init__()
        self.process = process
        self.centre = nn.Parameter(centre)

    def forward(self, noisy: Tensor, time: Tensor) -> Tensor:
        signal_scale, _ = self.process.moments(time)
        return signal_scale.unsqueeze(-1) * self.centre - noisy


class Velocity(nn.Module):
    """The ideal network for N(centre, I): -sigma centre, read off the features."""

    def __init__(self, centre: Tensor) -> None:
        super().__init__()
        self.centre = centre

    def forward(self, inputs: Tensor) -> Tensor:
        return -inputs[..., len(self.centre) + 1, None] * self.centre


def closed_form(
    process: LinearSDE, data: Tensor, centre: Tensor, horizon: float, t_min: float
) -> Tensor:
    ends = torch.tensor([horizon, t_min], dtype=torch.float64)
    signal, noise = (moment.square().tolist() for moment in process.moments(ends))
    rise = signal[1] - signal[0]
    constant = data.shape[-1] / 2 * (-rise - math.log(noise[1] / noise[0]))
    return rise / 2 * (data - centre).square().sum(-1) + constant


def losses(objective: Objective, module: nn.Module, data: Tensor, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    draws = (objective.draw(data, generator) for _ in range(n))
    return torch.stack([objective.loss(module, sample) for sample in draws])


def assert_mean(samples: Tensor, truth: float | Tensor, errors: float = 4.0) -> None:
    stderr = samples.std(0) / len(samples) ** 0.5
    assert ((samples.mean(0) - truth).abs() < errors * stderr).all()


@given(
    process=st.sampled_from([VP, ou(), ou(5), cosine(), vp(1, 10)]),
    horizon=st.floats(0.3, 0.95),
    t_min=st.floats(1e-4, 0.2),
    d=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_the_objective_is_the_closed_form_in_expectation(
    process: LinearSDE, horizon: float, t_min: float, d: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    data = 1 + torch.randn(12, d, generator=generator, dtype=torch.float64)
    centre = torch.randn(d, generator=generator, dtype=torch.float64)
    objective = denoising_objective(process, batch=64, horizon=horizon, t_min=t_min)
    truth = closed_form(process, data, centre, horizon, t_min).mean()
    samples = losses(objective, Shifted(process, centre), data, 100).detach()
    # Fifty comparisons: five standard errors keep the family below one false alarm in 10^4.
    assert_mean(samples, truth, errors=5.0)


def test_the_comparison_sees_a_wrong_weight(generator: Generator) -> None:
    data = torch.randn(12, 2, generator=generator, dtype=torch.float64)
    centre = torch.zeros(2, dtype=torch.float64)
    objective = denoising_objective(VP, batch=64, horizon=0.9, t_min=1e-2)
    samples = losses(objective, Shifted(VP, centre), data, 400).detach()
    truth = closed_form(VP, data, centre, 0.9, 1e-2).mean()
    assert_mean(samples, truth)
    with pytest.raises(AssertionError):
        assert_mean(samples, closed_form(VP, data, centre, 0.9, 1.2e-2).mean())


def test_the_weighting_holds_for_any_linear_process(generator: Generator) -> None:
    """With the zero score the loss is d/2 times the range of the log-SNR, whatever the process."""
    data = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    for process in (VP, sub_vp(), ve()):
        objective = denoising_objective(process, batch=32, horizon=0.9, t_min=1e-2)
        high, low = process.log_snr_of(torch.tensor([1e-2, 0.9], dtype=torch.float64)).tolist()
        samples = losses(objective, lambda noisy, _: torch.zeros_like(noisy), data, 200)
        assert_mean(samples, 3 / 2 * (high - low))


def test_the_noise_levels_of_a_batch_are_stratified() -> None:
    seen = []

    def spy(noisy: Tensor, time: Tensor) -> Tensor:
        seen.append(VP.log_snr_of(time))
        return noisy

    data = torch.zeros(3, 2, dtype=torch.float64)
    losses(denoising_objective(VP, batch=10, horizon=0.9, t_min=1e-2), spy, data, 3)
    low, high = VP.log_snr_of(torch.tensor([0.9, 1e-2], dtype=torch.float64)).tolist()
    for levels in seen:
        assert torch.equal(
            ((levels - low) / (high - low) * 10).floor(), torch.arange(10.0, dtype=torch.float64)
        )
    assert not torch.equal(seen[0], seen[1])


def test_the_learners_own_optimum_is_a_fixed_point(generator: Generator) -> None:
    """At the sample mean the expected gradient is 0; elsewhere it is (u' - u)(m - mean)."""
    data = 2 + torch.randn(20, 2, generator=generator, dtype=torch.float64)
    objective = denoising_objective(VP, batch=32, horizon=1.0, t_min=1e-2)
    rise = VP.moments(1e-2)[0].square() - VP.moments(1.0)[0].square()
    for offset in (0.0, 0.5):
        module = Shifted(VP, data.mean(0) + offset)
        samples = [objective.draw(data, generator) for _ in range(300)]
        values = [objective.loss(module, sample) for sample in samples]
        slopes = [torch.autograd.grad(value, module.centre)[0] for value in values]
        assert_mean(torch.stack(slopes), rise * offset)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (7,), (2, 7)])
def test_the_ideal_network_gives_the_exact_score(
    leading: tuple[int, ...], dtype: torch.dtype, generator: Generator, device: torch.device
) -> None:
    like = {"dtype": dtype, "device": device}
    centre = torch.tensor([1.0, -2.0, 0.5], **like)
    model = Diffusion(Velocity(centre), VP, horizon=1.0, t_min=1e-3)
    noisy = torch.randn(*leading, 3, generator=generator, dtype=dtype).to(device)
    times = torch.rand(leading, generator=generator, dtype=dtype).to(device) * 0.9 + 0.05
    score = model.score(noisy, times)
    assert score.dtype == dtype and score.shape == noisy.shape
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    expected = Shifted(VP, centre)(noisy, times)
    torch.testing.assert_close(score, expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(model(noisy, times), score)
    for time in (0.4, torch.tensor(0.4, **like)):
        expected = Shifted(VP, centre)(noisy, torch.full(leading, 0.4, **like))
        torch.testing.assert_close(
            model.score(noisy, time), expected, rtol=tolerance, atol=tolerance
        )


def test_the_score_tends_to_the_priors(generator: Generator) -> None:
    net = MLP(2 + N_FEATURES, 2, 16, 2, generator=generator).double()
    model = Diffusion(net, ou(40), horizon=1.0, t_min=1e-3)
    noisy = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(model.score(noisy, 1.0), -noisy, rtol=0, atol=1e-7)
    assert (model.score(noisy, 0.1) + noisy).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("process", [VP, ou(), cosine()], ids=lambda p: p.name)
def test_features_are_bounded_and_finite_and_tell_levels_apart(
    process: LinearSDE, dtype: torch.dtype
) -> None:
    times = torch.cat([torch.logspace(-6, -2, 40), torch.linspace(0.02, 1.0, 100)]).to(dtype)
    known = features(*process.moments(times))
    assert known.shape == (140, N_FEATURES) and known.dtype == dtype
    assert known.isfinite().all() and known.abs().max() <= 1 + 1e-6
    inner = known[(process.log_snr_of(times).abs() < 15)]
    gaps = torch.cdist(inner, inner) + torch.eye(len(inner), dtype=dtype)
    assert gaps.min() > 1e-3


def test_a_diffusion_is_a_score_model(generator: Generator) -> None:
    net = MLP(2 + N_FEATURES, 2, 4, 1, generator=generator)
    assert isinstance(Diffusion(net, VP, horizon=1, t_min=1e-3), ScoreModel)
    assert not isinstance(net, ScoreModel)


@pytest.mark.parametrize("process", [ve(), sub_vp()], ids=lambda p: p.name)
def test_a_process_that_does_not_preserve_variance_is_refused(process: LinearSDE) -> None:
    with pytest.raises(ValueError, match="process must be variance preserving"):
        Diffusion(nn.Identity(), process, horizon=1.0, t_min=1e-3)


@pytest.mark.parametrize("times", [(1.0, 0.0), (1.0, 1.0), (0.5, 0.7), (-1.0, -2.0)])
def test_times_out_of_order_are_refused(times: tuple[float, float]) -> None:
    horizon, t_min = times
    with pytest.raises(ValueError, match="t_min must be in"):
        Diffusion(nn.Identity(), VP, horizon=horizon, t_min=t_min)
    with pytest.raises(ValueError, match="t_min must be in"):
        denoising_objective(VP, batch=8, horizon=horizon, t_min=t_min)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="batch must be at least 1"):
        denoising_objective(VP, batch=0, horizon=1.0, t_min=1e-3)


def build(member: dict) -> Diffusion:
    net = MLP(2 + N_FEATURES, 2, 32, 2, generator=stream(member["seed"], "initialisation"))
    return Diffusion(net, VP, horizon=member.get("horizon", 1.0), t_min=1e-2)


def test_a_network_learns_the_score_of_a_gaussian(device: torch.device) -> None:
    centre = torch.tensor([1.0, -0.5])
    data = centre + torch.randn(4000, 2, generator=stream(0, "data"))
    objective = denoising_objective(VP, batch=128, horizon=1.0, t_min=1e-2)
    members = grid(seed=range(2), lr=[3e-3])
    run = train(objective, build, data.to(device), members, steps=600)
    fresh = centre + torch.randn(4000, 2, generator=stream(1, "data"))
    floor = closed_form(VP, fresh, centre, 1.0, 1e-2).mean().item()
    for i in range(2):
        trained, untrained = run.model(i).cpu(), build(members[i])
        # The same draws for all three: the noise that they share cancels.
        best, learned, initial = (
            losses(objective, module, fresh, 60).detach()
            for module in (Shifted(VP, centre), trained, untrained)
        )
        assert (initial - best).mean() > 0.3
        excess = learned - best
        assert -4 * excess.std() / 60**0.5 < excess.mean() < 0.08
        assert learned.mean() == pytest.approx(floor, abs=0.25)


def test_members_of_different_horizons_train_together() -> None:
    data = torch.randn(50, 2, generator=stream(0, "data"), dtype=torch.float64)
    members = grid(seed=[0], lr=[0.01], horizon=[0.3, 0.6, 1.0])
    objectives = [
        denoising_objective(vp(), batch=16, horizon=member["horizon"], t_min=1e-2)
        for member in members
    ]
    run = train(objectives, build, data, members, steps=40)
    for i, (member, objective) in enumerate(zip(members, objectives, strict=True)):
        solo = train(objective, build, data, [member], steps=40)
        assert torch.equal(run.losses[:, i], solo.losses[:, 0])
        assert run.model(i).horizon == member["horizon"]
    other = denoising_objective(ou(), batch=16, horizon=1.0, t_min=1e-2)
    with pytest.raises(ValueError, match="equal losses"):
        train([*objectives[:2], other], build, data, members, steps=1)
