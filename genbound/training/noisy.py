"""Noisy stochastic gradient descent: Gaussian noise on every step bounds what weights can know."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from genbound.training.optim import Params, State, Transform, along, check

__all__ = ["noisy_sgd"]


def noisy_sgd(*, noise: float, clip: float = float("inf")) -> Transform:
    """Gradient descent with clipped gradients and noise, theta <- theta - lr g + sigma xi.

    g is the gradient, shortened to norm L where it is longer; xi is standard normal, fresh in
    every step, each member's from its own generator. Whatever the loss, K steps then leave
    I(theta; S) <= sum_k lr_k^2 L^2 / (2 sigma^2), as long as the batches are drawn without
    looking at the data. For stacked parameters, (e, ...), as `train` has them.

    Args:
        noise: sigma, the scale of the noise added to each weight in each step; not negative.
        clip: L, the largest norm of a member's gradient over all its weights; positive.

    Returns:
        The optimiser.

    Raises:
        ValueError: If an argument is out of range.

    Reference:
        Pensia, Jog and Loh (2018).
    """
    check("noise", noise)
    if not clip > 0:
        raise ValueError(f"clip must be positive, got {clip}")

    def init(_params: Params) -> State:
        return {}

    def update(
        params: Params, grads: Params, state: State, lr: Tensor | float
    ) -> tuple[Params, State]:
        norms2 = sum(grad.reshape(len(grad), -1).square().sum(1) for grad in grads.values())
        shrink = (clip / norms2.sqrt()).clamp(max=1.0)
        for name, param in params.items():
            param.sub_(along(lr, param) * along(shrink, param) * grads[name])
        return params, state

    def kick(
        params: Params, _state: State, _lr: Tensor | float, generators: Sequence[Generator]
    ) -> None:
        if noise == 0.0:
            return
        for param in params.values():
            for weights, generator in zip(param, generators, strict=True):
                like = {"dtype": param.dtype, "device": param.device}
                weights.add_(torch.randn(weights.shape, generator=generator, **like), alpha=noise)

    return Transform(init, update, f"noisy_sgd(noise={noise}, clip={clip})", kick)
