"""Many modules of one architecture as one: stacked weights, one vmapped pass."""

import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vmap

from genbound.training.optim import Params

Member = Mapping[str, Any]
Build = Callable[[Member], nn.Module]
Gradients = Callable[[Params, Any], tuple[Tensor, Params]]


def stream(seed: int, name: str, *, device: torch.device | str = "cpu") -> Generator:
    """A generator of its own for each purpose, so that no two purposes share random numbers.

    Args:
        seed: The member's seed, an integer.
        name: The purpose, "initialisation" for a builder; `train` draws from "draws".
        device: Where the generator lives.

    Returns:
        The generator.
    """
    # A hash, because a CPU generator reads only 32 bits of its seed: seed + k streams collide.
    digest = hashlib.sha256(f"{name}:{operator.index(seed)}".encode()).digest()
    return Generator(device=device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def built(build: Build, member: Member, like: Tensor) -> nn.Module:
    """A member's module as `build` makes it, where the data are.

    Args:
        build: member -> module.
        member: What distinguishes the member; has a "seed".
        like: A tensor; the module is moved to its device, and to its dtype if that is floating.

    Returns:
        The module.
    """
    with torch.random.fork_rng(devices=[]):
        # Foreign layers know no other source than the global generator.
        seed = stream(member["seed"], "global").initial_seed()
        torch.default_generator.manual_seed(seed)
        module = build(member)
    return module.to(like.device, like.dtype if like.is_floating_point() else None)


def stack(modules: Sequence[nn.Module]) -> tuple[Params, Params]:
    """What is trained and what stays.

    Args:
        modules: e modules of one architecture.

    Returns:
        Parameters that require gradients, and the other parameters with the buffers, each as
        {name: (e, ...)}.

    Raises:
        ValueError: If the modules differ in a name or a shape, or there is nothing to train.
    """
    params: Params = {}
    constants: Params = {}
    for name, tensor in [*modules[0].named_parameters(), *modules[0].named_buffers()]:
        try:
            tensors = [operator.attrgetter(name)(module).detach() for module in modules]
            (params if tensor.requires_grad else constants)[name] = torch.stack(tensors)
        except (AttributeError, RuntimeError) as error:
            raise ValueError(f"build: the members' modules differ in {name} ({error})") from error
    if not params:
        raise ValueError("build: the module has no parameter that requires gradients")
    return params, constants


def gradients(loss: Callable[..., Tensor], module: nn.Module, constants: Params) -> Gradients:
    """The losses of all members and their gradients, in one pass.

    Args:
        loss: (module, sample) -> 0-dim tensor.
        module: One of the modules; lends its `forward`.
        constants: What stays, {name: (e, ...)}.

    Returns:
        (params, samples) -> (losses (e,), gradients), with stacked params and samples. It raises
        TypeError if the loss is not 0-dim, ValueError if the module changes its buffers.
    """
    untouched = {name: constant.clone() for name, constant in constants.items()}

    def member_loss(params: Params, fixed: Params, sample: Any) -> Tensor:  # noqa: ANN401
        def network(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return functional_call(module, (params, fixed), args, kwargs)

        return loss(network, sample)

    def evaluate(params: Params, samples: Any) -> tuple[Tensor, Params]:  # noqa: ANN401
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        losses = vmap(member_loss)(leaves, constants, samples)
        if losses.ndim != 1:
            raise TypeError(f"objective: loss must be 0-dim, got shape {tuple(losses.shape[1:])}")
        changed = [n for n, kept in untouched.items() if not torch.equal(kept, constants[n])]
        if changed:
            raise ValueError(f"build: the module changes its buffers {', '.join(changed)}")
        untouched.clear()  # The first call tells.
        # Only the forward pass is vmapped: the members share no weight, so the gradient of the
        # sum holds each member's own, a third faster than vmap over grad_and_value.
        grads = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
        return losses.detach(), dict(zip(leaves, grads, strict=True))

    return evaluate


def flatten(params: Params) -> Tensor:
    """The weights as vectors, (e, p)."""
    return torch.cat([param.reshape(len(param), -1) for param in params.values()], 1)
