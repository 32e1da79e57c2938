"""Terms that are integrals up to the horizon, or closed forms at it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbound.estimate import mean
from genbound.estimators import information, noise_levels, score_matching
from genbound.estimators.curves.intervals import Curve, check, intervals
from genbound.protocols import ScoreModel
from genbound.sde import LinearSDE

__all__ = [
    "denoising",
    "encoder_information",
    "encoder_rate",
    "encoder_root_rate",
    "explicit",
    "left_scale",
    "score_slope",
]


def denoising(
    model: ScoreModel,
    data: Tensor,
    horizons: Sequence[float],
    *,
    draws: int,
    generator: torch.Generator,
) -> Curve:
    """Denoising loss up to each horizon, as one running integral.

    Args:
        model: Score model, trained up to the longest horizon at least.
        data: Shape ``(n, d)``, n >= 2.
        horizons: Increasing times, above the model's ``t_min`` and up to its horizon.
        draws: Noise levels per datum up to the longest horizon; an interval between two horizons
            gets its share, at least one.
        generator: Source of levels and noise, on the device of ``data``.

    Returns:
        Nats, each unbiased.

    Raises:
        ValueError: If the horizons don't increase between ``t_min`` and the model's horizon.
    """
    losses = _running_losses(model, data, horizons, draws, generator)
    method = f"running denoising loss, {draws} draws per datum"
    return tuple(mean(each, method=method) for each in losses)


def explicit(
    model: ScoreModel,
    data: Tensor,
    horizons: Sequence[float],
    *,
    draws: int,
    generator: torch.Generator,
) -> Curve:
    """Explicit loss against the noised empirical law up to each horizon, a running integral.

    Arguments and errors as for :func:`denoising`; ``draws`` in pairs, so at least two for every
    interval. Influences as for :func:`genbound.estimators.score_matching.explicit`.
    """
    pieces = [
        score_matching.explicit_errors(
            model, data, draws=2 * share, generator=generator, horizon=end, t_min=start
        )
        for start, end, share in intervals(model, horizons, (draws + 1) // 2)
    ]
    running = torch.stack(pieces).cumsum(0)
    return tuple(score_matching.from_errors(errors, draws=draws) for errors in running)


def left_scale(
    model: ScoreModel,
    held_out: Tensor,
    horizons: Sequence[float],
    *,
    draws: int,
    generator: torch.Generator,
) -> Curve:
    """Left sub-Gaussian constant of the loss up to each horizon, ``sqrt(E loss(X)^2)``.

    Arguments and errors as for :func:`denoising`, half of the draws for each of two independent
    evaluations; see :func:`genbound.estimators.score_matching.left_scale`.
    """
    first, second = (
        _running_losses(model, held_out, horizons, (draws + 1) // 2, generator) for _ in range(2)
    )
    method = f"root mean square of the running loss, {draws} draws per datum"
    return tuple(
        score_matching.root_mean_product(*losses, method=method)
        for losses in zip(first, second, strict=True)
    )


@torch.no_grad()
def score_slope(
    model: ScoreModel,
    data: Tensor,
    horizons: Sequence[float],
    *,
    draws: int,
    generator: torch.Generator,
) -> Curve:
    """Slope of loss plus rate in the clock: the learned score against the prior's, at a horizon.

    ``(E ||s + eps/sigma||^2 - E ||-x_T + eps/sigma||^2) / 2``, both with the same noise, which is
    also the same at all horizons. Negative: the bound still falls with the horizon.

    Args:
        model: Score model.
        data: Shape ``(n, d)``, n >= 2; training data for the slope of the training bound, fresh
            data for that of the population's.
        horizons: As for :func:`denoising`.
        draws: Noise draws per datum.
        generator: Source of noise, on the device of ``data``.

    Returns:
        Nats per unit of the clock.

    Reference:
        :data:`genbound.derivations.horizon.tight_slope`.
    """
    check(model, horizons)
    block = max(1, noise_levels.BLOCK_ENTRIES // (draws * data.shape[1]))
    parts = []
    for part in data.split(block):
        shape = (draws, *part.shape)
        noise = torch.randn(shape, generator=generator, dtype=data.dtype, device=data.device)
        rows = []
        for horizon in horizons:
            noisy = model.process.perturb(part, horizon, noise)
            learned = model.score(noisy, torch.full(noisy.shape[:-1], horizon).to(noisy))
            _, noise_scale = model.process.moments(horizon)
            # ||s + e||^2 - ||-x + e||^2 without the cancellation, e = eps / sigma
            twice = (learned + noisy) * (learned - noisy + 2 * noise / noise_scale.to(noise))
            rows.append(twice.sum(-1).mean(0).double() / 2)
        parts.append(torch.stack(rows))
    method = f"learned against prior score at the horizon, {draws} draws per datum"
    return tuple(mean(row, method=method) for row in torch.cat(parts, 1))


def encoder_information(
    process: LinearSDE,
    data: Tensor,
    horizons: Sequence[float],
    *,
    draws: int,
    generator: torch.Generator,
) -> Curve:
    """Encoder information at each horizon, with the same noise at all of them.

    Args:
        process: Noising process.
        data: Sample, shape ``(n, d)``, n >= 2.
        horizons: Positive times.
        draws: Noise draws per datum; even, at least 4; quadrature in one and two dimensions.
        generator: Source of the noise, on the device of ``data``.

    Returns:
        Nats; see :func:`genbound.estimators.information.encoder_information`.
    """
    start = generator.get_state()
    curve = []
    for horizon in horizons:
        generator.set_state(start)
        curve.append(
            information.encoder_information(
                process, data, horizon, draws=draws, generator=generator
            )
        )
    return tuple(curve)


def encoder_rate(process: LinearSDE, data: Tensor, horizons: Sequence[float]) -> Curve:
    """Mean divergence of the encoder from the prior at each horizon, in closed form, nats."""
    return tuple(information.encoder_rate(process, data, horizon) for horizon in horizons)


def encoder_root_rate(process: LinearSDE, data: Tensor, horizons: Sequence[float]) -> Curve:
    """Mean root of the encoder's divergence at each horizon, in closed form, root nats."""
    return tuple(information.encoder_root_rate(process, data, horizon) for horizon in horizons)


def _running_losses(
    model: ScoreModel,
    data: Tensor,
    horizons: Sequence[float],
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Denoising losses of every datum up to each horizon, shape (horizons, n)."""
    pieces = [
        score_matching.denoising_losses(
            model, data, draws=share, generator=generator, horizon=end, t_min=start
        )
        for start, end, share in intervals(model, horizons, draws)
    ]
    return torch.stack(pieces).cumsum(0)
