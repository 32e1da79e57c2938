"""Norms of single samples' gradients from factors, against a loop of backward passes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genbound.estimators.ghost_norms import entries, factored, linear_visits, squared_norms
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.sde import ou


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def filled(module, seed=0):
    module = module.double()
    with torch.no_grad():
        for k, parameter in enumerate(module.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=100 * seed + k) / 2)
    return module


def squared_error(module, sample):
    features, target = sample
    return (module(features) - target).square().sum() / 2


def rows(loss, module, samples):
    """Each sample's gradient, by a backward pass of its own."""
    gradients = []
    for i in range(len(samples[0])):
        value = loss(module, tuple(leaf[i] for leaf in samples))
        parts = torch.autograd.grad(value, list(module.parameters()), materialize_grads=True)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(gradients)


class Twice(nn.Module):
    """One layer visited twice, the second time on what it gave."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(torch.tanh(self.layer(x)))


class UsedElsewhere(nn.Module):
    """A layer whose weight the loss also meets outside of the layer."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(x))) + torch.tanh(x @ self.inner.weight[:3])


class Tied(nn.Module):
    """Two layers with one weight, and an own bias each."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(3, 3) for _ in range(3))
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Spare(nn.Module):
    """A layer that is never called."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.used(x)


class Own(nn.Linear):
    """A layer that is not what its base class is."""

    def forward(self, x):
        return super().forward(x) + self.weight.sum()


def scaled():
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.SiLU(), nn.Linear(4, 3, bias=False))


NETWORKS = {
    "linear": (lambda: nn.Linear(3, 3), {""}),
    "no bias": (lambda: nn.Linear(3, 3, bias=False), {""}),
    "visited twice": (Twice, {"layer"}),
    "with other layers": (scaled, {"0", "3"}),
    "used elsewhere": (UsedElsewhere, {"outer"}),
    "tied": (Tied, {"last"}),
    "a subclass": (lambda: nn.Sequential(Own(3, 3), nn.Linear(3, 3)), {"1"}),
    "an unused layer": (Spare, {"used"}),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("places", [(), (1,), (4,), (2, 3)])
def test_networks_against_a_loop(name, places):
    """A sample is a vector, a batch of one, a batch, or a batch of sequences."""
    build, covered = NETWORKS[name]
    module = filled(build())
    samples = normal(5, *places, 3, seed=1), normal(5, *places, 3, seed=2)
    expected = rows(squared_error, module, samples).square().sum(1)
    torch.testing.assert_close(squared_norms(squared_error, module, samples), expected)
    visits = linear_visits(squared_error, module, tuple(leaf[0] for leaf in samples))
    assert set(visits) == covered
    assert not any(layer._forward_hooks for layer in module.modules())


@settings(max_examples=20)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3), st.integers(0, 99)
)
def test_sums_and_products(d, width, depth, visits, seed):
    module = filled(MLP(d, 2, width, depth, generator=seeded()), seed)
    samples = normal(6, visits, d, seed=seed), normal(6, visits, 2, seed=seed + 1)
    expected = rows(squared_error, module, samples)
    weights = dict(module.named_parameters())
    shapes = linear_visits(squared_error, module, tuple(leaf[0] for leaf in samples))
    found = factored(squared_error, module, weights, samples, shapes)
    assert not found.others
    torch.testing.assert_close(found.norms2(), expected.square().sum(1))
    total = found.total()
    norm2 = sum(part.square().sum() for part in total.values())
    torch.testing.assert_close(norm2, expected.sum(0).square().sum())
    torch.testing.assert_close(found.dot(total), expected @ expected.sum(0))
    held = sum(each[0].numel() for part in found for each in part.values())
    assert entries(module, shapes) == held + visits**2 * len(shapes)


def test_a_convolution_keeps_its_gradients():
    module = filled(nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(0), nn.Linear(6, 3)))
    samples = normal(5, 1, 5, seed=1), normal(5, 3, seed=2)
    expected = rows(squared_error, module, samples).square().sum(1)
    torch.testing.assert_close(squared_norms(squared_error, module, samples), expected)


def test_batches_of_a_score_model_as_samples():
    """The squared norm of a minibatch's gradient, its strata included."""
    process, times = ou(), {"horizon": 2.0, "t_min": 0.05}
    net = MLP(2 + N_FEATURES, 2, 8, 2, generator=seeded())
    model = Diffusion(net, process, **times).double()
    objective = denoising_objective(process, batch=6, **times)
    drawn = [objective.draw(normal(20, 2), seeded(k)) for k in range(5)]
    batches = tuple(torch.stack(leaves) for leaves in zip(*drawn, strict=True))
    expected = rows(objective.loss, model, batches).square().sum(1)
    torch.testing.assert_close(squared_norms(objective.loss, model, batches), expected)


def test_single_precision():
    module = filled(MLP(20, 5, 64, 3, generator=seeded()))
    samples = normal(50, 20), normal(50, 5)
    expected = squared_norms(squared_error, module, samples)
    single = tuple(leaf.float() for leaf in samples)
    found = squared_norms(squared_error, module.float(), single)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_devices(device):
    module = filled(scaled())
    samples = normal(5, 3), normal(5, 3, seed=1)
    expected = squared_norms(squared_error, module, samples)
    moved = tuple(leaf.to(device) for leaf in samples)
    found = squared_norms(squared_error, module.to(device), moved)
    torch.testing.assert_close(found.cpu(), expected)
