"""Stochastic gradient Langevin dynamics: descent whose noise makes it sample a posterior."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from genbound.training.ensemble import flatten
from genbound.training.optim import Params, State, Transform, along, check
from genbound.training.schedules import Constant, Schedule

__all__ = ["sgld"]


def sgld(
    *,
    inverse_temperature: Tensor | float,
    weight_decay: float = 0.0,
    schedule: Schedule | None = None,
) -> Transform:
    """Langevin descent, theta <- theta - lr_k (g + w theta) + sqrt(2 lr_k / beta) xi.

    g is the gradient of the loss L, xi is standard normal, fresh in every step, each member's
    from its own generator, and lr_k is the member's rate times the schedule. With small steps and
    exact gradients the weights come to the law with density in proportion to
    exp(-beta L(theta)) N(theta; 0, I / (beta w)): weight decay is a Gaussian prior. At a
    curvature a of L + w |theta|^2 / 2 a constant step widens the variance 1 / (beta a) by the
    factor 1 / (1 - lr a / 2). For stacked parameters, (e, ...), as `train` has them.

    Args:
        inverse_temperature: beta, in units of one over the loss, positive: a number for all
            members or a tensor (e,). `math.inf` is plain descent, and draws nothing.
        weight_decay: w; w theta is added to the gradient.
        schedule: Step k = 0, 1, ... -> factor on the rate; see :mod:`genbound.training.schedules`.
            Constant if None.

    Returns:
        The optimiser.

    Raises:
        ValueError: If an argument is out of range. `init` raises it if there is not one inverse
            temperature for each member.

    Reference:
        Welling and Teh (2011), equation 4.
    """
    beta = torch.as_tensor(inverse_temperature, dtype=torch.float64).detach().cpu().clone()
    if beta.ndim > 1 or not bool((beta > 0).all()):
        raise ValueError(
            f"inverse_temperature must be positive, one number or (e,), got {beta.tolist()}"
        )
    check("weight_decay", weight_decay)
    schedule = Constant() if schedule is None else schedule

    def init(params: Params) -> State:
        members = len(next(iter(params.values())))
        if beta.ndim == 1 and len(beta) != members:
            raise ValueError(
                f"inverse_temperature must be one number or {members}, got {len(beta)}"
            )
        return {"count": 0}

    def update(
        params: Params, grads: Params, state: State, lr: Tensor | float
    ) -> tuple[Params, State]:
        rate = lr * schedule(state["count"])
        state["count"] += 1
        for name, param in params.items():
            grad = grads[name]
            if weight_decay != 0.0:
                grad = torch.add(grad, param, alpha=weight_decay)
            param.sub_(along(rate, param) * grad)
        return params, state

    def kick(
        params: Params, state: State, lr: Tensor | float, generators: Sequence[Generator]
    ) -> None:
        # The noise completes the update, which has counted itself already.
        rates = torch.as_tensor(lr, dtype=torch.float64) * schedule(state["count"] - 1)
        scales = (2 * rates / beta.to(rates.device)).sqrt().expand(len(generators))
        noise = torch.zeros_like(flatten(params))
        warm = beta.isfinite().expand(len(noise)).tolist()
        for own, generator, moves in zip(noise, generators, warm, strict=True):
            # A member without noise must not draw: it would lose the batches of plain descent.
            if moves:
                own.normal_(generator=generator)
        sizes = [param[0].numel() for param in params.values()]
        for param, part in zip(params.values(), noise.split(sizes, 1), strict=True):
            param.addcmul_(part.view_as(param), along(scales, param))

    name = f"sgld(inverse_temperature={beta.tolist()}, weight_decay={weight_decay}, "
    return Transform(init, update, f"{name}schedule={schedule})", kick)
