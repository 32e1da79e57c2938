"""How the denoising loss differs from datum to datum: a stand-in for its sub-Gaussian scale.

A standard deviation is a scale only for a normal loss. For any other it is an estimate of what a
bound asks for, and no certificate: the tails that decide are those that held-out data don't show.
"""

import torch
from torch import Tensor

from genbound.arguments import Count, Sample, declared
from genbound.estimate import Estimate
from genbound.estimators.score_matching import denoising_losses, root_mean_product
from genbound.protocols import ScoreModel

__all__ = ["measured_scale"]


@declared
def measured_scale(
    model: ScoreModel,
    held_out: Sample,
    *,
    draws: Count,
    generator: torch.Generator,
    reference: ScoreModel | None = None,
    horizon: float | None = None,
    t_min: float | None = None,
) -> Estimate:
    """Standard deviation over data of the denoising loss, or of its excess over a reference's.

    The gap of a reference that has not seen the sample has mean 0, so its loss may be subtracted
    datum by datum: what all scores find difficult cancels. The two are measured under the same
    noise, and the whole twice: the covariance of two evaluations is free of the variance that
    their noise adds.

    Args:
        model: Score model.
        held_out: Data that it was not trained on, shape ``(m, d)``, m >= 3.
        draws: Noise levels per datum and evaluation; at least 1.
        generator: Source of levels and noise, on the device of ``held_out``.
        reference: A score model that has not seen the sample.
        horizon: End of the time interval; the model's by default.
        t_min: Start of the time interval; the model's by default.

    Returns:
        Nats; 0 with an unknown error where noise makes the covariance negative.

    Raises:
        ValueError: If there are fewer than three data, or as `denoising_losses`.
    """
    if len(held_out) < 3:
        raise ValueError(f"held_out: got {len(held_out)} data, allowed is at least 3")
    start, end = model.t_min if t_min is None else t_min, horizon or model.horizon

    def losses(of: ScoreModel) -> Tensor:
        return denoising_losses(
            of, held_out, draws=draws, generator=generator, horizon=end, t_min=start
        )

    def centred() -> Tensor:
        state = generator.get_state()
        found = losses(model)
        if reference is not None:
            generator.set_state(state)
            found = found - losses(reference)
        return found - found.mean()

    m = len(held_out)
    correction = (m / (m - 1)) ** 0.5
    first, second = centred() * correction, centred() * correction
    of = "loss" if reference is None else "loss less a reference's"
    method = f"measured: standard deviation of the {of}, {m} held-out data; no certificate"
    return root_mean_product(first, second, method=method)
