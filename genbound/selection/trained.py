"""Rules that evaluate a bound on trained models: retrain, one model, and the derivative."""

import math
from collections.abc import Sequence

import sympy as sp
import torch
from torch import Generator, Tensor

from genbound.estimators import curves
from genbound.protocols import ScoreModel
from genbound.selection.bootstrap import at_crossing, at_minimum, resampled
from genbound.selection.letters import Form, Letters, ModelOf, increasing, measure, model_at
from genbound.selection.selection import Selection

__all__ = ["derivative", "one_model", "retrain"]

CRITERIA = {
    "tight": "tight bound, nats",
    "nll": "likelihood bound, nats",
    "paper": "paper's form, nats",
}


def retrain(
    models: ModelOf,
    *,
    horizons: Sequence[float],
    generator: Generator,
    form: Form = "tight",
    held_out: Tensor | None = None,
    information: float | None = None,
    constant: float = 1.0,
    draws: int = 64,
    paths: int = 256,
    step: float = 0.2,
    level: float = 0.95,
    resamples: int = 1000,
) -> Selection:
    """The paper's way: a model trained for each horizon, the least bound wins.

    Args:
        models: For each horizon the model and its training data, as a mapping or a function.
        horizons: Increasing.
        generator: Source of all noise; every model meets the same.
        form: ``"tight"``, ``"nll"`` or ``"paper"``.
        held_out: Fresh data that measure the gap.
        information: Mean of ``I(theta; X_i)``, which bounds the gap where there are none.
        constant: Both sub-Gaussian constants of the paper's form.
        draws: Noise draws per datum.
        paths: Reverse paths of the generator term.
        step: Their largest step in the log signal-to-noise ratio.
        level: Level of the intervals.
        resamples: Resamples of the data.

    Returns:
        The selection. Its interval holds the trained models fixed: it tells what other data to
        *evaluate* on would have changed, not what another training would have.

    Raises:
        ValueError: If a model is missing, or no horizon is given.
    """
    start = generator.get_state()
    pieces: list[Letters] = []
    for horizon in increasing(horizons):
        model, data = model_at(models, horizon)
        generator.set_state(start)
        pieces.append(
            measure(
                form,
                model,
                data,
                (horizon,),
                held_out=held_out,
                information_value=information,
                constant=constant,
                draws=draws,
                paths=paths,
                step=step,
                generator=generator,
            )
        )
    letters = {
        symbol: [piece.curves[symbol][0] for piece in pieces] for symbol in pieces[0].curves
    }
    first = pieces[0]
    values = first._replace(curves=letters).values(resamples, generator)
    notes = (*first.notes, "one trained model per horizon")
    return at_minimum(
        "retrain", horizons, values, criterion=CRITERIA[form], level=level, notes=notes
    )


def one_model(
    model: ScoreModel,
    data: Tensor,
    *,
    horizons: Sequence[float],
    generator: Generator,
    form: Form = "tight",
    held_out: Tensor | None = None,
    information: float | None = None,
    constant: float = 1.0,
    draws: int = 64,
    paths: int = 256,
    step: float = 0.2,
    level: float = 0.95,
    resamples: int = 1000,
) -> Selection:
    """One model, trained up to the longest horizon and truncated; the least bound wins.

    Args:
        model: Score model.
        data: Its training data, shape ``(n, d)``.
        horizons: Increasing, up to the model's.
        generator: As for :func:`retrain`, like all that follow.
        form: The bound.
        held_out: Fresh data.
        information: Mean of ``I(theta; X_i)``.
        constant: Constants of the paper's form.
        draws: Noise draws per datum up to the longest horizon.
        paths: Reverse paths.
        step: Their step.
        level: Level of the intervals.
        resamples: Resamples of the data.

    Returns:
        The selection; all horizons share data and draws.
    """
    letters = measure(
        form,
        model,
        data,
        increasing(horizons),
        held_out=held_out,
        information_value=information,
        constant=constant,
        draws=draws,
        paths=paths,
        step=step,
        generator=generator,
    )
    values = letters.values(resamples, generator)
    notes = (*letters.notes, "one trained model, truncated")
    return at_minimum(
        "one_model", horizons, values, criterion=CRITERIA[form], level=level, notes=notes
    )


def derivative(
    model: ScoreModel,
    data: Tensor,
    *,
    horizons: Sequence[float],
    generator: Generator,
    held_out: Tensor | None = None,
    information: float | None = None,
    draws: int = 64,
    level: float = 0.95,
    resamples: int = 1000,
) -> Selection:
    """The first horizon at which the learned score no longer beats the prior's score -x.

    The criterion is the slope of the bound in the clock; on held-out data it is measured, on
    training data the slope of the bounded gap ``R sqrt(2 I)`` is added.

    Args:
        model: Score model.
        data: Its training data, shape ``(n, d)``.
        horizons: Increasing, up to the model's.
        generator: As for :func:`retrain`, like all that follow.
        held_out: Fresh data.
        information: Mean of ``I(theta; X_i)``; needed without held-out data.
        draws: Noise draws per datum.
        level: Level of the intervals.
        resamples: Resamples of the data.

    Returns:
        The selection; the longest horizon if the slope is negative at all of them.

    Raises:
        ValueError: If there are neither held-out data nor an information.

    Reference:
        :data:`genbound.derivations.horizon.tight_slope`.
    """
    horizons = increasing(horizons)
    noise = {"draws": draws, "generator": generator}
    slope, scale = sp.symbols("slope scale")
    points = data if held_out is None else held_out
    found = {slope: curves.score_slope(model, points, horizons, **noise)}
    if held_out is not None:
        notes: tuple[str, ...] = (f"slope on {len(held_out)} held-out data",)
    elif information is None:
        raise ValueError("held_out: give held-out data, or the information that bounds the gap")
    else:
        found[scale] = curves.left_scale(model, data, horizons, **noise)
        notes = ("slope on training data plus that of the bounded gap",)
    values = resampled(found, resamples=resamples, generator=generator)
    total = values[slope]
    if held_out is None and len(horizons) > 1:
        clock = model.process.clock_of(torch.tensor(horizons, dtype=torch.float64))
        (gap_slope,) = torch.gradient(values[scale], spacing=(clock,), dim=1)
        total = total + math.sqrt(2 * information) * gap_slope
    if not bool((total[0] >= 0).any()):
        notes = (*notes, "the learned score beats the prior's at every horizon offered")
    return at_crossing(
        "derivative",
        horizons,
        total,
        criterion="slope in the clock, nats",
        level=level,
        notes=notes,
    )
