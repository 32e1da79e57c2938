"""Noise and clipping are what the information bound asks for."""

import math

import pytest
import torch
from torch import nn

from genbound.protocols import Objective
from genbound.training import grid, noisy_sgd, sgd, stream, train

RATE, NOISE, STEPS = 0.3, 0.2, 7


class Mean(nn.Module):
    """A learner of a mean: its gradient on the whole sample is theta - mean."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(d))

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return (data - self.theta).square().sum(-1).mean() / 2


WHOLE = Objective(lambda data, _: data, lambda module, data: module(data))


def data_of(count: int, n: int = 5, d: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return list(1 + torch.randn(count, n, d, generator=generator, dtype=torch.float64))


def trained(count: int, **options: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample means and trained weights of many members with a sample and noise of their own."""
    data, members = data_of(count), grid(lr=[RATE], seed=range(count))
    run = train(
        WHOLE, lambda _: Mean(2), data, members, steps=STEPS, optimiser=noisy_sgd(**options)
    )
    return torch.stack(data).mean(1), run.params["theta"]


def test_without_noise_and_clip_it_is_plain_descent() -> None:
    data, members = data_of(3), grid(lr=[RATE], seed=range(3))
    options = {"steps": STEPS, "capture_every": 1}
    plain, noisy = (
        train(WHOLE, lambda _: Mean(2), data, members, optimiser=rule, **options).trajectory
        for rule in (sgd(), noisy_sgd(noise=0.0))
    )
    torch.testing.assert_close(plain, noisy, rtol=1e-12, atol=0)


def test_the_weights_have_the_law_of_noisy_descent() -> None:
    means, weights = trained(1000, noise=NOISE)
    kept = (1 - RATE) ** STEPS
    rest = (weights - (1 - kept) * means).flatten()
    variance = NOISE**2 * (1 - kept**2) / (1 - (1 - RATE) ** 2)
    assert abs(float(rest.mean())) <= 4 * math.sqrt(variance / len(rest))
    assert abs(float(rest.var()) / variance - 1) <= 4 * math.sqrt(2 / len(rest))
    # Members do not share their noise, nor do the coordinates of one.
    pair = torch.corrcoef((weights - (1 - kept) * means).T)[0, 1]
    assert abs(float(pair)) <= 4 / math.sqrt(1000)


def test_no_step_is_longer_than_the_clip_and_short_gradients_stay() -> None:
    data = [50 + data_of(1)[0]]
    run = train(
        WHOLE,
        lambda _: Mean(2),
        data,
        grid(lr=[RATE], seed=[0]),
        steps=2,
        capture_every=1,
        optimiser=noisy_sgd(noise=0.0, clip=1.5),
    )
    mean = data[0].mean(0)
    first = RATE * 1.5 * mean / mean.norm()
    torch.testing.assert_close(run.trajectory[0, 0], first)
    torch.testing.assert_close((run.trajectory[1, 0] - first).norm(), first.norm())
    free = trained(1, noise=0.0, clip=100.0)[1]
    torch.testing.assert_close(free, trained(1, noise=0.0)[1])


def test_the_clip_is_on_all_weights_of_a_member_together() -> None:
    rule = noisy_sgd(noise=0.0, clip=1.0)
    params = {"w": torch.zeros(2, 3), "b": torch.zeros(2)}
    grads = {"w": torch.tensor([[2.0, 0, 0], [0.3, 0, 0]]), "b": torch.tensor([2.0, 0.4])}
    moved, _ = rule.update(params, grads, rule.init(params), 1.0)
    norms = (moved["w"].square().sum(1) + moved["b"].square()).sqrt()
    assert norms.tolist() == pytest.approx([1.0, 0.5])
    assert moved["w"][0, 0] == moved["b"][0]


def test_members_of_one_seed_share_their_noise() -> None:
    rule, like = noisy_sgd(noise=1.0), torch.zeros(2, 4)
    params = {"w": like.clone()}
    rule.kick(params, {}, 0.1, [stream(seed, "draws") for seed in (3, 3)])
    assert torch.equal(params["w"][0], params["w"][1]) and params["w"].std() > 0
    rule.kick(params, {}, 0.1, [stream(seed, "draws") for seed in (3, 4)])
    assert not torch.equal(params["w"][0], params["w"][1])


def test_names_tell_constants_apart() -> None:
    names = {noisy_sgd(noise=s, clip=c).name for s in (0.1, 0.2) for c in (1.0, 2.0)}
    assert len(names) == 4


@pytest.mark.parametrize("options", [{"noise": -1.0}, {"noise": 0.1, "clip": 0.0}])
def test_constants_out_of_range_are_refused_by_name(options: dict) -> None:
    with pytest.raises(ValueError, match=list(options)[-1]):
        noisy_sgd(**options)
