"""A mean over data whose terms were themselves drawn: one error for both."""

import math

import torch
from torch import Tensor

from genbound.estimate import Estimate, Side

__all__ = ["from_effects"]


def from_effects(
    value: float,
    effects: Tensor,
    *,
    noise: Tensor,
    mean_noise: float,
    method: str,
    side: Side = "unbiased",
) -> Estimate:
    """An estimate from the noisy first-order effects of its data.

    ``stderr^2 = (Var_i(effect) - mean_i noise_i) / n + mean_noise``: the spread of the effects
    over data without the noise of their draws, and the noise of the value.

    Args:
        value: The value.
        effects: Unbiased effect of each datum, up to a common constant, shape ``(n,)``, n >= 2.
        noise: Variance of each effect given the datum, shape ``(n,)``.
        mean_noise: Variance of the value given the data.
        method: How the value was obtained.
        side: Side on which the method errs.

    Returns:
        The estimate. Its influences are the centred effects, scaled so that their spread gives
        its standard error: that is what errors of several terms are combined from.
    """
    if math.isnan(value):
        raise ValueError(f"value: got nan, in the {method}")
    n = len(effects)
    effects = effects.double().cpu()
    centred = effects - effects.mean()
    spread = float(centred.square().sum()) / (n - 1)
    variance = max(spread - float(noise.mean()), 0.0) / n + mean_noise
    # Equal effects leave a spread of rounding errors, which must not be blown up to the error's.
    rounding = (torch.finfo(torch.float64).eps * float(effects.abs().max())) ** 2
    scale = math.sqrt(variance * n / spread) if spread > rounding else 0.0
    return Estimate(value, math.sqrt(variance), n, method, side, influence=centred * scale)
