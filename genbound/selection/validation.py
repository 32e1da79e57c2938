"""The honest baseline: the likelihood of held-out data."""

from collections.abc import Mapping, Sequence
from typing import Literal

import sympy as sp
from torch import Generator, Tensor

from genbound.derivations import diffusion as proof
from genbound.estimators import curves
from genbound.protocols import ScoreModel
from genbound.selection.bootstrap import at_minimum
from genbound.selection.letters import Letters, ModelOf, increasing, model_at
from genbound.selection.selection import Selection

__all__ = ["validation"]


def validation(
    models: ScoreModel | ModelOf,
    held_out: Tensor,
    *,
    horizons: Sequence[float],
    generator: Generator,
    measure: Literal["nelbo", "nll"] = "nll",
    draws: int = 64,
    paths: int = 64,
    step: float = 0.2,
    level: float = 0.95,
    resamples: int = 1000,
) -> Selection:
    """A baseline: the horizon with the least negative log likelihood of held-out data.

    Args:
        models: One model, truncated; or a mapping or function as for :func:`retrain`.
        held_out: Fresh data, shape ``(m, d)``.
        horizons: Increasing.
        generator: Source of all noise.
        measure: ``"nll"``, of the sampling chain itself; ``"nelbo"``, its path bound.
        draws: Noise draws per datum (nelbo).
        paths: Noising paths per datum (nll).
        step: Their largest step in the log signal-to-noise ratio.
        level: Level of the intervals.
        resamples: Resamples of the held-out data.

    Returns:
        The selection.

    Raises:
        ValueError: If the measure is unknown.
    """
    horizons = increasing(horizons)
    if measure not in ("nelbo", "nll"):
        raise ValueError(f"measure: got {measure!r}, allowed are ('nelbo', 'nll')")
    likelihood, loss, rate = sp.symbols("likelihood loss rate", real=True)

    def along(model: ScoreModel, times: Sequence[float]) -> dict[sp.Symbol, curves.Curve]:
        if measure == "nll":
            chain = {"paths": paths, "step": step, "generator": generator}
            return {likelihood: curves.model_nll(model, held_out, times, **chain)}
        noise = {"draws": draws, "generator": generator}
        return {
            loss: curves.denoising(model, held_out, times, **noise),
            rate: curves.encoder_rate(model.process, held_out, times),
        }

    if isinstance(models, Mapping) or not hasattr(models, "score"):
        start, found = generator.get_state(), {}
        for horizon in horizons:
            generator.set_state(start)
            for symbol, (each,) in along(model_at(models, horizon)[0], (horizon,)).items():
                found.setdefault(symbol, []).append(each)
    else:
        found = along(models, horizons)
    expr = likelihood if measure == "nll" else loss + rate
    if measure == "nelbo":
        model = models if hasattr(models, "score") else model_at(models, horizons[0])[0]
        expr += _end_entropy(model, held_out.shape[-1])
    values = Letters(expr, found, {}, ()).values(resamples, generator)
    criterion = f"held-out {measure.upper()}, nats"
    return at_minimum("validation", horizons, values, criterion=criterion, level=level)


def _end_entropy(model: ScoreModel, d: int) -> float:
    """What separates the path bound from loss plus rate, the same at every horizon."""
    variance = float(model.process.moments(model.t_min)[1]) ** 2
    known = {proof.d: d, proof.sigma2_min: variance}
    offset = proof.nll_held_out.expr.subs({proof.dsm_hat: 0, proof.rate: 0})
    letters = offset.free_symbols - set(known)
    return float(offset.subs(dict.fromkeys(letters, 0)).subs(known))
