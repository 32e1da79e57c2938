"""The letters of the diffusion bounds along the horizon, and the forms that join them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import sympy as sp
from torch import Generator, Tensor

from genbound.derivations import diffusion as proof
from genbound.derivations.change_of_measure import gap, information, scale
from genbound.estimate import Estimate
from genbound.estimators import curves
from genbound.protocols import ScoreModel
from genbound.selection.bootstrap import evaluate

__all__ = ["FORMS", "Form", "Letters", "ModelOf", "increasing", "measure", "model_at"]

ModelOf = Mapping[float, tuple[ScoreModel, Tensor]] | Callable[[float], tuple[ScoreModel, Tensor]]

Form = Literal["tight", "nll", "paper"]
FORMS = ("tight", "nll", "paper")

fresh, seen = sp.symbols("fresh seen", nonnegative=True)


class Letters(NamedTuple):
    """A bound along the horizon: the formula, its measured letters and its constants."""

    expr: sp.Expr
    curves: Mapping[sp.Symbol, Sequence[Estimate]]
    constants: Mapping[sp.Symbol, float]
    notes: tuple[str, ...]

    def values(self, resamples: int, generator: Generator) -> Tensor:
        """The bound and its resamples, shape ``(1 + resamples, horizons)``."""
        given = {"resamples": resamples, "generator": generator}
        return evaluate(self.expr, self.curves, self.constants, **given)


def measure(
    form: Form,
    model: ScoreModel,
    data: Tensor,
    horizons: Sequence[float],
    *,
    held_out: Tensor | None,
    information_value: float | None,
    constant: float,
    draws: int,
    paths: int,
    step: float,
    generator: Generator,
) -> Letters:
    """Every letter of a form at every horizon, from one model.

    Args:
        form: ``"tight"``, ``"nll"`` or ``"paper"``.
        model: Score model.
        data: Its training data, shape ``(n, d)``.
        horizons: Increasing.
        held_out: Fresh data that measure the gap (tight and nll).
        information_value: Mean of ``I(theta; X_i)`` in nats, which bounds it instead.
        constant: Both sub-Gaussian constants of the paper's form.
        draws: Noise draws per datum.
        paths: Reverse paths of the generator term (paper).
        step: Their largest step in the log signal-to-noise ratio.
        generator: Source of all noise.

    Returns:
        Formula, letters and constants.

    Raises:
        ValueError: If the form is unknown, or its gap is neither measured nor bounded.
    """
    if form not in FORMS:
        raise ValueError(f"form: got {form!r}, allowed are {FORMS}")
    noise = {"draws": draws, "generator": generator}
    if form == "nll":
        found = {proof.dsm_hat: curves.denoising(model, data, horizons, **noise)}
    else:
        found = {
            proof.esm_hat: curves.explicit(model, data, horizons, **noise),
            proof.info_end_hat: curves.encoder_information(model.process, data, horizons, **noise),
        }
    if form == "paper":
        found[proof.root_rate] = curves.encoder_root_rate(model.process, data, horizons)
        found[proof.energy] = curves.path_energy(
            model,
            horizons,
            reference="zero",
            d=data.shape[-1],
            paths=paths,
            step=step,
            generator=generator,
            dtype=data.dtype,
            device=data.device,
        )
        letters = (proof.scale_encoder, proof.scale_generator)
        constants = dict.fromkeys(letters, constant) | {proof.n: len(data)}
        note = f"both sub-Gaussian constants set to {constant:g} by hand"
        return Letters(proof.paper.expr, found, constants, (note,))
    found[proof.rate] = curves.encoder_rate(model.process, data, horizons)
    bounded, measured = {
        "tight": (proof.tight, proof.tight_held_out),
        "nll": (proof.nll_information, proof.nll_held_out),
    }[form]
    variance = float(model.process.moments(model.t_min)[1]) ** 2
    known = {proof.d: data.shape[-1], proof.sigma2_min: variance}
    if held_out is not None:
        expr = measured.expr.subs(gap, fresh - seen)
        found[seen] = found.get(proof.dsm_hat) or curves.denoising(model, data, horizons, **noise)
        found[fresh] = curves.denoising(model, held_out, horizons, **noise)
        notes = (f"gap measured on {len(held_out)} held-out data",)
    elif information_value is not None:
        expr = bounded.expr
        found[scale] = curves.left_scale(model, data, horizons, **noise)
        known[information] = information_value
        notes = ("the constant R is measured on training data, where it tends to be too small",)
    else:
        raise ValueError("held_out: give held-out data, or the information that bounds the gap")
    constants = {symbol: known[symbol] for symbol in expr.free_symbols if symbol in known}
    return Letters(expr, found, constants, notes)


def model_at(models: ModelOf, horizon: float) -> tuple[ScoreModel, Tensor]:
    """The model of a horizon and its training data, or a ValueError that names what is there."""
    if callable(models):
        return models(horizon)
    if horizon not in models:
        raise ValueError(f"models: no model for the horizon {horizon}; it has {list(models)}")
    return models[horizon]


def increasing(horizons: Sequence[float]) -> tuple[float, ...]:
    """The horizons as numbers, or a ValueError if they don't increase."""
    times = tuple(float(horizon) for horizon in horizons)
    if not times or sorted(set(times)) != list(times):
        raise ValueError(f"horizons: got {list(horizons)}, allowed are increasing times")
    return times
