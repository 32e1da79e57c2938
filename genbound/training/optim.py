"""Optimisers as pairs of functions, with one learning rate per ensemble member.

A `Transform` is (init, update): `state = init(params)`, then
`params, state = update(params, grads, state, lr)`. Parameters, gradients and states are dicts of
tensors, so that a state can be saved as it is. With stacked parameters, (e, ...), and rates (e,),
one call moves e members, each at its own rate; `torch.optim` can only share one rate.

`update` writes the new values in place of the old and hands the same dicts back: for small
networks the memory of fresh ones costs more than the arithmetic. Clone what shall stay.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

Params = dict[str, Tensor]
State = dict[str, Any]


class Transform(NamedTuple):
    """An optimiser.

    Attributes:
        init: params -> state.
        update: (params, grads, state, lr) -> (params, state), in place. `lr` is a float, or a
            tensor (e,) for parameters stacked as (e, ...).
        name: The rule and its constants in words; two transforms of one name do the same.
        kick: (params, state, lr, generators) -> None, what a random rule adds after each update,
            whose state it is handed, in place, each member's part drawn from its own generator;
            None for a rule without chance.
    """

    init: Callable[[Params], State]
    update: Callable[[Params, Params, State, Tensor | float], tuple[Params, State]]
    name: str
    kick: Callable[[Params, State, Tensor | float, Sequence[Generator]], None] | None = None


def sgd(*, momentum: float = 0.0, weight_decay: float = 0.0) -> Transform:
    """Stochastic gradient descent, u <- m u + g, theta <- theta - lr u; as `torch.optim.SGD`.

    Args:
        momentum: m, in [0, 1).
        weight_decay: w; w theta is added to the gradient.

    Returns:
        The optimiser.

    Raises:
        ValueError: If an argument is out of range.
    """
    check("momentum", momentum, below=1.0)
    check("weight_decay", weight_decay)

    def init(params: Params) -> State:
        if momentum == 0.0:
            return {}
        return {"velocity": {name: torch.zeros_like(param) for name, param in params.items()}}

    def update(
        params: Params, grads: Params, state: State, lr: Tensor | float
    ) -> tuple[Params, State]:
        for name, param in params.items():
            step = _decayed(param, grads[name], weight_decay)
            if momentum != 0.0:
                step = state["velocity"][name].mul_(momentum).add_(step)
            param.sub_(along(lr, param) * step)
        return params, state

    return Transform(init, update, f"sgd(momentum={momentum}, weight_decay={weight_decay})")


def adam(
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Transform:
    """Adam; as `torch.optim.Adam`.

    With m and v the running means of g and g^2, and b1, b2 the decay rates, step k is
    theta <- theta - lr [m / (1 - b1^k)] / [sqrt(v / (1 - b2^k)) + eps].

    Args:
        betas: (b1, b2), each in [0, 1).
        eps: The addition to the root.
        weight_decay: w; w theta is added to the gradient.

    Returns:
        The optimiser.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Kingma and Ba (2015), algorithm 1.
    """
    first, second = betas
    check("betas[0]", first, below=1.0)
    check("betas[1]", second, below=1.0)
    check("eps", eps)
    check("weight_decay", weight_decay)

    def init(params: Params) -> State:
        mean, square = (
            {name: torch.zeros_like(param) for name, param in params.items()} for _ in range(2)
        )
        return {"count": 0, "mean": mean, "square": square}

    def update(
        params: Params, grads: Params, state: State, lr: Tensor | float
    ) -> tuple[Params, State]:
        state["count"] += 1
        # Both corrections go into one rate and one eps: two passes over the weights fewer.
        root = (1 - second ** state["count"]) ** 0.5
        rate = lr * (root / (1 - first ** state["count"]))
        for name, param in params.items():
            grad = _decayed(param, grads[name], weight_decay)
            mean = state["mean"][name].lerp_(grad, 1 - first)
            square = state["square"][name].mul_(second).addcmul_(grad, grad, value=1 - second)
            scale = square.sqrt().add_(eps * root).div_(along(rate, param))
            param.addcdiv_(mean, scale, value=-1)
        return params, state

    name = f"adam(betas={tuple(betas)}, eps={eps}, weight_decay={weight_decay})"
    return Transform(init, update, name)


def _decayed(param: Tensor, grad: Tensor, weight_decay: float) -> Tensor:
    return grad if weight_decay == 0.0 else torch.add(grad, param, alpha=weight_decay)


def along(lr: Tensor | float, param: Tensor) -> Tensor | float:
    """One number per member, with the trailing axes that let it multiply a stacked parameter."""
    if not isinstance(lr, Tensor):
        return lr
    return lr.reshape(lr.shape + (1,) * (param.ndim - lr.ndim)).to(param)


def check(name: str, value: float, *, below: float = float("inf")) -> None:
    """Refuse a constant outside [0, below)."""
    if not 0.0 <= value < below:
        raise ValueError(f"{name} must be in [0, {below}), got {value}")
