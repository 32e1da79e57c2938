"""Squared norms of single samples' gradients, against forming the gradients."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from genbound.estimators.ghost_norms import squared_norms
from genbound.models.networks import MLP

NETWORKS = {"3-128-128-128-2": (3, 2, 128, 3, 1024), "784-512-512-10": (784, 10, 512, 2, 256)}


def squared_error(module, sample):
    features, target = sample
    return (module(features) - target).square().sum() / 2


def by_vmap(module: nn.Module, samples: tuple) -> torch.Tensor:
    """The gradients of all samples in one vectorised pass, and then their norms."""
    weights = {name: parameter.detach() for name, parameter in module.named_parameters()}

    def loss(weights, sample):
        return squared_error(lambda x: functional_call(module, weights, (x,)), sample)

    gradients = vmap(grad(loss), (None, 0))(weights, samples)
    return sum(each.flatten(1).square().sum(1) for each in gradients.values())


def by_loop(module: nn.Module, samples: tuple) -> torch.Tensor:
    """One backward pass after the other."""
    norms = []
    for sample in zip(*samples, strict=True):
        gradients = torch.autograd.grad(squared_error(module, sample), list(module.parameters()))
        norms.append(sum(each.square().sum() for each in gradients))
    return torch.stack(norms)


@pytest.mark.parametrize("baseline", [by_vmap, by_loop])
@pytest.mark.parametrize("name", NETWORKS)
def test_norms(versus, name, baseline):
    d, out, width, depth, n = NETWORKS[name]
    generator = torch.Generator().manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = MLP(d, out, width, depth, generator=generator).to(device)
    samples = tuple(torch.randn(n, k, generator=generator).to(device) for k in (d, out))
    part = 1 if name.startswith("3") and baseline is by_vmap else 1 / 4
    few = tuple(leaf[: int(n * part)] for leaf in samples)
    expected, found = baseline(module, few), squared_norms(squared_error, module, samples)
    torch.testing.assert_close(found[: len(few[0])].float(), expected, rtol=1e-4, atol=0)
    versus(
        f"gradient norms, {name}, n = {n}, against {baseline.__name__.replace('_', ' ')}",
        lambda: squared_norms(squared_error, module, samples),
        lambda: baseline(module, few),
        target=10,
        part=part,
    )
