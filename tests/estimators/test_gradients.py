"""Gradient norms against linear regression, a loop over samples, and minibatches drawn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genbound.estimators import gradients
from genbound.estimators.gradients import gradient_norms
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.sde import ou
from genbound.training.ensemble import stream
from genbound.training.loop import train


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def squared_error(module, sample):
    features, target = sample
    return (module(features) - target).square().sum() / 2


def line(d):
    return nn.utils.skip_init(nn.Linear, d, 1, bias=False, dtype=torch.float64)


def regression(n, d, seed):
    features = normal(n, d, seed=seed)
    return features, features.sum(1, keepdim=True) + 0.5 * normal(n, 1, seed=seed + 1)


@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 1000))
def test_linear_regression_on_all_data(n, d, seed):
    """The mean gradient is X^T (X w - y) / n; the scatter is that of the rows x_i r_i."""
    features, target = regression(n, d, seed)
    trajectory = normal(3, d, seed=seed + 2)
    found = gradient_norms(squared_error, line(d), trajectory, (features, target), whole=True)
    for weights, mean2, trace in zip(trajectory, found.mean2, found.trace, strict=True):
        rows = features * (features @ weights[:, None] - target)
        assert math.isclose(mean2, rows.mean(0).square().sum(), rel_tol=1e-9)
        assert math.isclose(trace, rows.var(0, unbiased=False).sum(), rel_tol=1e-9, abs_tol=1e-12)
    assert found.full().stderr == 0 and found.full().side == "exact"
    # All samples at once as a minibatch of one: E ||g_1||^2 is the mean of ||g_i||^2.
    whole = (features * (features @ trajectory.mT - target).mT[:, :, None]).square().sum(-1)
    assert math.isclose(found.minibatch(1).value, whole.mean(), rel_tol=1e-9)


@given(st.integers(1, 50), st.integers(0, 100))
def test_the_parts_add_up(batch, seed):
    samples, trajectory = regression(20, 3, seed), normal(4, 3, seed=seed)
    found = gradient_norms(squared_error, line(3), trajectory, samples)
    parts = found.full().value + found.scatter().value / batch
    three = found.quantities(batch)
    assert math.isclose(found.minibatch(batch).value, parts, rel_tol=1e-9)
    assert math.isclose(three.norm.value, parts, rel_tol=1e-9)
    assert math.isclose(three.product.value, batch * parts, rel_tol=1e-9)
    assert math.isclose(three.product.stderr, batch * three.norm.stderr, rel_tol=1e-9)
    assert three.batch.value == batch and three.batch.stderr == 0


@settings(max_examples=5)
@given(st.integers(1, 8), st.integers(0, 1000))
def test_minibatches_with_replacement(batch, seed):
    features, target = regression(12, 3, seed)
    weights = normal(1, 3, seed=seed + 2)
    found = gradient_norms(squared_error, line(3), weights, (features, target), whole=True)
    rows = features * (features @ weights.mT - target)
    chosen = torch.randint(12, (20_000, batch), generator=seeded(seed))
    norms = rows[chosen].mean(1).square().sum(1)
    error = float(norms.std()) / 20_000**0.5
    assert abs(found.minibatch(batch).value - float(norms.mean())) < 4 * error


@pytest.mark.parametrize("excess", [0.0, 0.05, 1.0])
def test_from_draws_unbiased_with_the_right_error(excess):
    """Features N(0, I_d), noise of variance s, w off by v: the gradients' moments are known.

    With r = <v, x> - e: E x r = v, and E |x r|^2 = (d + 2) |v|^2 + d s. At v = 0, where the
    first-order error vanishes, the standard error is sqrt(2) times too large, never too small.
    """
    d, n, s = 4, 50, 0.25
    off = excess * torch.ones(d, dtype=torch.float64)
    mean2 = float(off.square().sum())
    trace = (d + 2) * mean2 + d * s - mean2
    trajectory = (1 + off)[None]
    runs = [
        gradient_norms(squared_error, line(d), trajectory, regression(n, d, 10 * k))
        for k in range(300)
    ]
    truths = {"full": mean2, "scatter": trace}
    for name, truth in truths.items():
        estimates = [getattr(run, name)() for run in runs]
        values = torch.tensor([each.value for each in estimates])
        claimed = torch.tensor([each.stderr for each in estimates]).square().mean().sqrt()
        assert abs(float(values.mean()) - truth) < 4 * float(values.std()) / 300**0.5
        most = 1.2 if name == "scatter" or excess == 1 else 1.15 * 2**0.5
        assert 0.85 < float(claimed / values.std()) < most


def test_against_a_loop_over_samples(monkeypatch):
    """A network of two layers, in blocks of three samples and in one."""
    module = MLP(3, 2, width=5, depth=1, generator=seeded()).double()
    samples = normal(10, 3, seed=1), normal(10, 2, seed=2)
    start = torch.cat([parameter.detach().flatten() for parameter in module.parameters()])
    rows = []
    for sample in zip(*samples, strict=True):
        each = torch.autograd.grad(squared_error(module, sample), list(module.parameters()))
        rows.append(torch.cat([part.flatten() for part in each]))
    rows = torch.stack(rows)
    # Two layers of 3 + 5 and 5 + 2 numbers, each with a bias and the square of one visit.
    for entries in (gradients.BLOCK_ENTRIES, 3 * (10 + 9)):
        monkeypatch.setattr(gradients, "BLOCK_ENTRIES", entries)
        found = gradient_norms(squared_error, module, start[None], samples)
        centred = rows - rows.mean(0)
        torch.testing.assert_close(found.spreads[0], centred.square().sum(1))
        torch.testing.assert_close(found.slopes[0], centred @ rows.mean(0))
        products = (rows @ rows.mT).fill_diagonal_(0)
        assert math.isclose(found.mean2, products.sum() / 90, rel_tol=1e-9, abs_tol=1e-12)


def test_along_a_training_run_of_a_score():
    """The captured weights of one member; draws of the objective as batches of one."""
    process, d = ou(), 2
    times = {"horizon": 2.0, "t_min": 0.05}
    data = normal(30, d).float()

    def build(member):
        net = MLP(d + N_FEATURES, d, 8, 1, generator=stream(member["seed"], "initialisation"))
        return Diffusion(net, process, **times)

    run = train(
        denoising_objective(process, batch=8, **times),
        build,
        data,
        [{"seed": seed, "lr": 1e-2} for seed in (0, 1)],
        steps=20,
        capture_every=5,
    )
    objective = denoising_objective(process, batch=200, **times)
    points, noise, uniform, low, high = objective.draw(data, seeded(1))
    # A sample is a batch of one: its level is uniform over the whole range, not in a stratum.
    samples = (
        points[:, None],
        noise[:, None],
        uniform[:, None],
        low.expand(200),
        high.expand(200),
    )
    member = run.trajectory[:, 1]
    found = gradient_norms(objective.loss, run.model(1), member, samples)
    assert found.mean2.shape == (4,) and found.spreads.shape == (4, 200)
    model = run.model(1).requires_grad_(True)
    torch.testing.assert_close(torch.cat([p.flatten() for p in model.parameters()]), member[-1])
    losses = [objective.loss(model, tuple(leaf[i] for leaf in samples)) for i in range(200)]
    mean = torch.autograd.grad(torch.stack(losses).mean(), list(model.parameters()))
    norm2 = sum(float(part.square().sum()) for part in mean)
    assert math.isclose(found.mean2[-1] + found.trace[-1] / 200, norm2, rel_tol=1e-4)
    assert found.minibatch(8).value > found.full().value


@pytest.mark.parametrize(
    ("trajectory", "lengths", "message"),
    [
        ((2, 4), (5, 5), r"trajectory: got shape \(2, 4\), allowed is \(k, 3\)"),
        ((3,), (5, 5), r"trajectory: got shape \(3,\)"),
        ((2, 3), (5, 4), r"samples: got lengths \[4, 5\], allowed is one n >= 2"),
        ((2, 3), (1, 1), r"samples: got lengths \[1\]"),
    ],
)
def test_bad_shapes_are_named(trajectory, lengths, message):
    samples = normal(lengths[0], 3), normal(lengths[1], 1)
    with pytest.raises(ValueError, match=message):
        gradient_norms(squared_error, line(3), torch.zeros(trajectory), samples)


def test_gradients_that_are_no_numbers_are_refused():
    inputs, outputs = regression(6, 3, 0)
    inputs[3] = torch.nan
    with pytest.raises(ValueError, match="^samples: gradients at 1 of 1 snapshots are not finite"):
        gradient_norms(squared_error, line(3), normal(1, 3), (inputs, outputs))


def test_bad_batches_are_named():
    found = gradient_norms(squared_error, line(3), normal(1, 3), regression(5, 3, 0))
    for ask in (found.minibatch, found.quantities):
        with pytest.raises(ValueError, match="batch: got 0, allowed is at least 1"):
            ask(0)


def test_devices(device):
    samples, weights = regression(5, 3, 0), normal(1, 3)
    reference = gradient_norms(squared_error, line(3), weights, samples)
    moved = tuple(part.to(device) for part in samples)
    found = gradient_norms(squared_error, line(3).to(device), weights.to(device), moved)
    torch.testing.assert_close(found.spreads, reference.spreads)
