"""How far a score model's law is from that of the data, in Wasserstein-2 distance."""

import math

import torch
from torch import Generator, Tensor

from genbound.arguments import Count, Sample, declared, score_at
from genbound.bound import Assumption, Bound, Term
from genbound.data.source import Source
from genbound.derivations import wasserstein_sampler as proof
from genbound.derivations.linear_score import a
from genbound.derivations.score_slope import gain
from genbound.estimate import Estimate, combine, exact, mean, subsample
from genbound.estimators import score_matching
from genbound.estimators.quadratic_transport import to_standard_normal
from genbound.estimators.score_slope import Course, MeasuredSlope, Slope, course
from genbound.protocols import ScoreModel

__all__ = ["wasserstein_sampler"]


@declared
def wasserstein_sampler(
    *,
    slope: Slope,
    source: Source | None = None,
    held_out: Sample | None = None,
    information: float = 0.0,
    start: float | None = None,
    levels: Count = 64,
    draws: int = 512,
) -> Bound:
    r"""W_2 between the data noised to ``t_min`` and what the reverse process ends in.

    ``W_2 <= A_B W_2(P_T, pi) + int A e db``, with the score error
    ``e = (E |s_theta - s|^2)^(1/2)`` and ``A = exp int (1/2 + slope) db`` from ``t_min`` on; or,
    with test data in place of a known law, ``W_2 <= A_B W_2(P_T, pi) + (2 int A^2 db L)^(1/2)``
    with the explicit loss ``L = L_DSM - (I_eps - I_T)``. Time is continuous: what the steps of a
    sampler cost is not in it.

    Args:
        slope: One-sided Lipschitz constant of the learned score at times ``(k,)``, known from a
            closed form; or a :class:`~genbound.estimators.score_slope.MeasuredSlope` of this very
            model, and then the number is a ranking and no certificate.
        source: The law of the data, if its score is known.
        held_out: Otherwise data that the model has not seen, shape ``(m, d)``.
        information: ``I(X; X_t)`` at ``t_min`` less that at the horizon, in nats, with
            ``held_out``. Of real data it is unknown; 0 is always allowed, for then the denoising
            loss stands for the smaller explicit one.
        start: ``W_2(P_T, N(0, I))`` if it is known; else the second moment of the data bounds it.
        levels: Noise levels of the integral over the clock.
        draws: Points of the source at each level, or noise levels for each held-out datum.

    Returns:
        A bound in the unit of the data, for variance-preserving processes. Its reference is the
        distance of a model that learned nothing, from below: that of N(0, I) from the normal law
        with the moments of the noised training data.

    Raises:
        ValueError: If not exactly one of ``source`` and ``held_out`` is given, or a number is
            out of range.

    Reference:
        This book, from classical ingredients; beside Dupuis et al. 2025, who measure this
        distance and bound a divergence.
    """
    if (source is None) == (held_out is None):
        raise ValueError("source, held_out: got both or neither, allowed is exactly one")
    if information < 0 or (source is not None and information):
        raise ValueError(
            f"information: got {information}, allowed is >= 0, and only with held_out"
        )
    if start is not None and not start >= 0:
        raise ValueError(f"start: got {start}, allowed is >= 0")
    if draws < 2:
        raise ValueError(f"draws: got {draws}, allowed is at least 2")
    side = "lower" if isinstance(slope, MeasuredSlope) else "exact"
    method = f"slope {'measured, from below' if side == 'lower' else 'known'}, {levels} levels"

    def along(model: ScoreModel) -> Course:
        ends = {"horizon": model.horizon, "t_min": model.t_min}
        return course(model.process, slope, levels=levels, **ends)

    def total_gain(model: ScoreModel, _data: Tensor, **_: object) -> Estimate:
        return Estimate(float(along(model).total_gain), 0.0, 0, method, side)

    def squared_gain(model: ScoreModel, _data: Tensor, **_: object) -> Estimate:
        path = along(model)
        return Estimate(float((path.gain.square() * path.clock).sum()), 0.0, 0, method, side)

    def from_start(model: ScoreModel, _data: Tensor, *, generator: Generator) -> Estimate:
        if start is not None:
            return exact(start, method="given")
        points = held_out if source is None else source.sample(4096, generator=generator)
        share = float(model.process.moments(model.horizon)[0]) ** 2
        norm2 = mean(points.square().sum(1), method="second moment")
        constants = {a: share, proof.d: points.shape[1]}
        return combine(
            proof.start_of_moments.expr, {proof.norm2: norm2}, constants, method="second moment"
        )

    def score_error(model: ScoreModel, _data: Tensor, *, generator: Generator) -> Estimate:
        loss = score_matching.denoising(model, held_out, draws=draws, generator=generator)
        return Estimate(
            max(loss.value - information, 0.0),
            loss.stderr,
            loss.n,
            f"denoising loss of held-out data less {information:.4g}",
            "unbiased" if information else "upper",
        )

    def accumulated(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        path = along(model)
        fresh = source.sample(levels * draws, generator=generator, dtype=data.dtype)
        errors = _errors(model, source, fresh, path.time, generator)
        root = errors.mean(1).sqrt()
        spread = errors.std(1) / (2 * root.clamp_min(torch.finfo(root.dtype).tiny))
        weights = path.gain * path.clock
        stderr = math.sqrt(float((weights * spread).square().sum() / draws))
        text = f"score errors at {levels} levels, {draws} draws each; {method}"
        found = "lower" if side == "lower" else "consistent"
        return Estimate(float((weights * root).sum()), stderr, levels * draws, text, found)

    parts = [
        Term(gain, "gain of an error at the horizon", total_gain),
        Term(proof.start, "distance from the prior at the horizon", from_start),
    ]
    if source is None:
        parts += [
            Term(proof.squared_gain, "squared gain along the clock", squared_gain),
            Term(proof.score_error, "explicit score-matching loss", score_error),
        ]
    else:
        parts.append(Term(proof.accumulated, "score errors with their gains", accumulated))
    known = "the slope holds for the learned score at every two points"
    return Bound(
        name="wasserstein_sampler",
        theorem=proof.by_loss if source is None else proof.theorem,
        terms=tuple(parts),
        constants=(),
        contract=ScoreModel,
        source="this book, from classical ingredients",
        holds="ranking only" if side == "lower" else "in expectation",
        assumptions=(
            Assumption(
                f"{known}; it was measured at points, from below" if side == "lower" else known
            ),
            Assumption("the sampler takes steps of no length"),
            Assumption("held-out data are fresh draws of P" if source is None else "P is known"),
        ),
        trivial=Term(proof.distance, "distance of a model that learned nothing", _untrained),
        unit="distance",
    )


@torch.no_grad()
def _errors(
    model: ScoreModel, source: Source, data: Tensor, times: Tensor, generator: Generator
) -> Tensor:
    """Squared score errors at each time on its part of the data, shape ``(levels, draws)``."""
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
    time = times.to(data).repeat_interleave(len(data) // len(times))
    noisy = model.process.perturb(data, time, noise)
    gap = score_at(model.score, noisy, time) - source.path_score(model.process)(noisy, time)
    return gap.square().sum(1).double().cpu().view(len(times), -1)


def _untrained(model: ScoreModel, data: Tensor, **_: object) -> Estimate:
    signal, noise = (float(scale) for scale in model.process.moments(model.t_min))

    def distance(points: Tensor) -> float:
        points = signal * points.double()
        identity = torch.eye(points.shape[1]).to(points)
        covariance = torch.cov(points.mT).view_as(identity) + noise**2 * identity
        return to_standard_normal(points.mean(0), covariance)

    method = "the moments of the noised training data"
    if len(data) < 4:
        return Estimate(distance(data), math.nan, len(data), method, "lower")
    return subsample(distance, data, parts=min(8, len(data) // 2), method=method, side="lower")
