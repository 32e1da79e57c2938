"""Gradients of single samples as factors, so that their norms never need the gradients.

The gradient of a linear layer's weights for one sample is an outer product: of what the layer
got (``a``) and of what comes back to it from the loss (``delta``). Its squared norm is
``|a|^2 |delta|^2``; a sample that visits the layer several times, such as a batch taken as one
sample, adds up several products, and has the sum over ``(a_s . a_t)(delta_s . delta_t)``. One
backward pass gives the factors of all samples.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.functional import linear, pad
from torch.utils._pytree import tree_leaves, tree_map  # the trees of torch.func

__all__ = ["Factors", "entries", "factored", "linear_visits", "squared_norms"]

Loss = Callable[[Any, Any], Tensor]
Weights = dict[str, Tensor]
#: Shapes of the outputs of each visit of a layer, by the layer's name.
Visits = dict[str, list[torch.Size]]


class Factors(NamedTuple):
    """Gradients of n samples, float64: factors for linear layers, themselves for the others.

    Attributes:
        inputs: What each linear layer got, t visits of a sample, ``{name: (n, t, i)}``; where
            it has a bias, with an entry 1 at the end.
        signals: Derivatives by what it gave, ``{name: (n, t, o)}``.
        others: Gradients of all other parameters, ``{name: (n, ...)}``.
    """

    inputs: Weights
    signals: Weights
    others: Weights

    def norms2(self) -> Tensor:
        """Squared norm of each sample's gradient, shape ``(n,)``."""
        parts = [each.flatten(1).square().sum(1) for each in self.others.values()]
        for name, inputs in self.inputs.items():
            signals = self.signals[name]
            if inputs.shape[1] == 1:
                parts.append((inputs.square().sum(-1) * signals.square().sum(-1)).squeeze(1))
            else:
                products = (inputs @ inputs.mT) * (signals @ signals.mT)
                parts.append(products.sum((1, 2)))
        return torch.stack(parts).sum(0)

    def total(self) -> Weights:
        """Sum of the samples' gradients; of a linear layer its weight and bias as one matrix."""
        sums = {name: each.sum(0) for name, each in self.others.items()}
        for name, inputs in self.inputs.items():
            sums[name] = self.signals[name].flatten(0, 1).mT @ inputs.flatten(0, 1)
        return sums

    def dot(self, direction: Weights) -> Tensor:
        """Product of each sample's gradient with a direction.

        Args:
            direction: As `total` gives it.

        Returns:
            Shape ``(n,)``.
        """
        parts = [each.flatten(1) @ direction[name].flatten() for name, each in self.others.items()]
        for name, inputs in self.inputs.items():
            parts.append((self.signals[name] @ direction[name] * inputs).sum((1, 2)))
        return torch.stack(parts).sum(0)


def squared_norms(loss: Loss, module: nn.Module, samples: Any) -> Tensor:  # noqa: ANN401
    """Squared norm of every sample's gradient, by one backward pass.

    The gradients of layers of type `nn.Linear` are never formed; those of other parameters are,
    sample by sample in one vectorised pass.

    Args:
        loss: (module, sample) -> 0-dim tensor, of one sample.
        module: At its own weights; all its parameters count.
        samples: Tensor, or tuple, list or dict of tensors, of shapes ``(n, ...)``.

    Returns:
        Shape ``(n,)``, float64, on the device of the weights.

    Reference:
        Goodfellow 2015, Efficient per-example gradient computations.
    """
    weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
    visits = linear_visits(loss, module, tree_map(lambda leaf: leaf[0], samples))
    return factored(loss, module, weights, samples, visits).norms2()


def linear_visits(loss: Loss, module: nn.Module, sample: Any) -> Visits:  # noqa: ANN401
    """Which layers' gradients are outer products, found by a trial with one sample.

    A layer counts if it is exactly an `nn.Linear`, is visited, and its parameters have no other
    use: they are replaced inside the layer by copies, and a parameter that then still moves the
    loss, or belongs to a second module, is used elsewhere.

    Args:
        loss: (module, sample) -> 0-dim tensor.
        module: The network.
        sample: One sample.

    Returns:
        The shapes of the outputs of each visit, by the layer's name.
    """
    linears = {name: m for name, m in module.named_modules() if type(m) is nn.Linear}
    visits: Visits = {name: [] for name in linears}

    def copied(name: str, inputs: Tensor, output: Tensor) -> Tensor:
        layer = linears[name]
        visits[name].append(output.shape)
        bias = None if layer.bias is None else layer.bias.detach()
        return linear(inputs, layer.weight.detach(), bias)

    named = {
        name: parameter.detach().requires_grad_() for name, parameter in module.named_parameters()
    }
    with torch.enable_grad(), _hooked(linears, copied):
        value = _called(loss, module, named, sample)
    moves = (None,) * len(named)
    if value.requires_grad:
        moves = torch.autograd.grad(value, list(named.values()), allow_unused=True)
    elsewhere = {name for name, move in zip(named, moves, strict=True) if move is not None}
    owners = Counter(map(id, (p for _, p in module.named_parameters(remove_duplicate=False))))

    def covered(name: str, layer: nn.Linear) -> bool:
        own = {_joined(name, part): owners[id(p)] for part, p in layer.named_parameters()}
        return bool(visits[name]) and not elsewhere & set(own) and set(own.values()) == {1}

    return {name: visits[name] for name, layer in linears.items() if covered(name, layer)}


def factored(
    loss: Loss,
    module: nn.Module,
    weights: Weights,
    samples: Any,  # noqa: ANN401
    visits: Visits,
) -> Factors:
    """The gradients of all samples as factors, by one vectorised forward and backward pass.

    Memory grows with the samples times the widths of the layers, not times the weights.

    Args:
        loss: (module, sample) -> 0-dim tensor, of one sample.
        module: The network.
        weights: Its weights, by their names.
        samples: Of shapes ``(n, ...)``.
        visits: From :func:`linear_visits`.

    Returns:
        The factors.
    """
    n = len(tree_leaves(samples)[0])
    linears = {name: m for name, m in module.named_modules() if name in visits}
    owned = {
        _joined(name, part) for name, m in linears.items() for part, _ in m.named_parameters()
    }
    held = {name: weight.detach() for name, weight in weights.items() if name in owned}
    others = {
        name: weight.detach().expand(n, *weight.shape).requires_grad_()
        for name, weight in weights.items()
        if name not in owned
    }
    like = next(iter(weights.values()))
    # Added to what a layer gives: the derivative by this zero is the signal that comes back.
    nothing = {
        name: [like.new_zeros(n, *shape).requires_grad_() for shape in shapes]
        for name, shapes in visits.items()
    }

    def run(added: Any, own: Weights, sample: Any) -> tuple[Tensor, Any]:  # noqa: ANN401
        seen: dict[str, list[Tensor]] = {name: [] for name in visits}

        def moved(name: str, inputs: Tensor, output: Tensor) -> Tensor:
            seen[name].append(inputs.detach())
            return output + added[name][len(seen[name]) - 1]

        with _hooked(linears, moved):
            return _called(loss, module, held | own, sample), seen

    with torch.enable_grad():
        losses, seen = vmap(run)(nothing, others, samples)
        leaves = [*tree_leaves(nothing), *others.values()]
        grads = torch.autograd.grad(losses.sum(), leaves, materialize_grads=True)
    found = iter(grads)
    signals = {name: _rows([next(found) for _ in shapes]) for name, shapes in visits.items()}
    inputs = {
        name: pad(_rows(seen[name]), (0, 1), value=1.0)
        if layer.bias is not None
        else _rows(seen[name])
        for name, layer in linears.items()
    }
    return Factors(inputs, signals, {name: next(found).double() for name in others})


def entries(module: nn.Module, visits: Visits) -> int:
    """Numbers that one sample takes in :class:`Factors`, for blocks of the right size."""
    layers = dict(module.named_modules())
    total = sum(parameter.numel() for parameter in module.parameters())
    for name, shapes in visits.items():
        layer = layers[name]
        times = sum(shape[:-1].numel() for shape in shapes)
        total -= sum(parameter.numel() for parameter in layer.parameters())
        # Among them the products of all pairs of visits.
        total += times * (layer.in_features + 1 + layer.out_features + times)
    return total


def _rows(visits: list[Tensor]) -> Tensor:
    """All visits of a sample as rows, (n, t, width)."""
    return torch.cat([each.reshape(len(each), -1, each.shape[-1]) for each in visits], 1).double()


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _called(loss: Loss, module: nn.Module, weights: Weights, sample: Any) -> Tensor:  # noqa: ANN401
    def network(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return functional_call(module, weights, args, kwargs)

    return loss(network, sample)


@contextmanager
def _hooked(
    linears: dict[str, nn.Linear], change: Callable[[str, Tensor, Tensor], Tensor]
) -> Iterator[None]:
    """While this lasts, what a layer gives is changed: (name, inputs, output) -> output."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        return lambda _, args, output: change(name, args[0], output)

    handles = [m.register_forward_hook(hook(name), prepend=True) for name, m in linears.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
