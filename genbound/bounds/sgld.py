"""The score-matching gap of Langevin training, bounded by what its weights remember.

Seven forms of one idea: a sub-Gaussian loss can differ between the sample and fresh data only by
what the weights know of the sample. They differ in how that information is bounded, and all ask
for a scale R that no data can certify. In the spirit of Theorem 4.1 of Dupuis, Shariatian,
Haddouche, Durmus and Simsekli 2025 (arXiv 2506.03849), with constants of our own.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import pandas as pd
import sympy as sp
import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Breakdown, Constant, Term
from genbound.derivation import Derivation
from genbound.derivations import pac_bayes, sgld, sgld_forgetting
from genbound.derivations import sgld_gap as proof
from genbound.derivations.change_of_measure import sample_gap
from genbound.derivations.change_of_measure import scale as scale_letter
from genbound.derivations.parameter_information import information, rate, steps
from genbound.derivations.sgld_solved import inverse_temperature
from genbound.derivations.trade_off import n
from genbound.estimate import Estimate, combine
from genbound.estimators.langevin import LangevinRun

__all__ = ["Form", "sgld_forms", "sgld_gap"]

Form = Literal[
    "exact",
    "trajectory",
    "forgetting",
    "variance",
    "variance_linear",
    "leave_one_out",
    "time_uniform",
]
Scale = Literal["uniform", "moving"]

# One scale for all weights; a scale of each weights' own; with high probability.
_THEOREMS: dict[Form, tuple[Derivation, Derivation | None, Derivation | None]] = {
    "exact": (proof.exact, proof.moving_exact, None),
    "trajectory": (proof.trajectory_sum, proof.moving_trajectory, pac_bayes.trajectory_gap),
    "forgetting": (proof.forgetful, proof.moving_forgetful, pac_bayes.forgetful_gap),
    "variance": (proof.capacity, proof.moving_capacity, None),
    "variance_linear": (proof.variance, proof.moving_variance, None),
    "leave_one_out": (sgld.leave_one_out_gap, None, None),
    "time_uniform": (proof.flow, proof.moving_flow, pac_bayes.flow_gap),
}


def _term(symbol: sp.Symbol, title: str, of: Callable[[LangevinRun], Estimate]) -> Term:
    return Term(symbol, title, lambda run, _data, **_: of(run))


def _fallen(run: LangevinRun) -> Estimate:
    """The last loss; where it has risen the steps are no flow, and nothing is claimed."""
    if run.loss.value <= run.start_loss.value:
        return run.loss
    return Estimate(-math.inf, 0.0, 0, "the loss has risen: no flow", "exact")


_TERMS = (
    _term(sgld.gradients, "squared gradients along the way", LangevinRun.trajectory),
    _term(
        sgld_forgetting.forgotten, "squared gradients, the past discounted", LangevinRun.forgotten
    ),
    _term(sgld.capacity, "capacity of the noisy steps", LangevinRun.capacity),
    _term(sgld.variances, "variance of the gradients", LangevinRun.variances),
    _term(sgld.datum_gradients, "squared gradients of single data", LangevinRun.of_data),
    _term(sgld_forgetting.start_loss, "training loss at the start", lambda run: run.start_loss),
    _term(sgld_forgetting.losses, "training loss in the end", _fallen),
)


def _known(symbol: sp.Symbol, title: str, of: Callable[[LangevinRun], float]) -> Constant:
    return Constant(symbol, title.replace(" ", "_"), title, known=lambda run, _: of(run))


_CONSTANTS = (
    Constant(scale_letter, "R", "sub-Gaussian scale of the loss: known, measured or assumed"),
    Constant(information, "information", "I(theta; S) in nats, where it is known"),
    Constant(n, "n", "training samples", known=lambda _, data: len(data)),
    _known(inverse_temperature, "inverse temperature", lambda run: run.inverse_temperature),
    _known(sgld.batch, "batch", lambda run: run.batch),
    _known(rate, "rate", lambda run: float(run.rates[0])),
    _known(steps, "steps", lambda run: len(run.rates)),
    _known(sgld_forgetting.decay, "weight decay", lambda run: run.weight_decay),
    _known(
        sgld_forgetting.start_divergence,
        "divergence of the start",
        lambda run: run.start_divergence,
    ),
)

_untrained, _trained = sp.symbols("untrained trained")
_TRIVIAL = Term(
    sample_gap.lhs,
    "untrained loss less training loss",
    lambda run, _data, **_: combine(
        _untrained - _trained,
        {_untrained: run.untrained_loss, _trained: run.loss},
        method="untrained loss less training loss",
    ),
)

_TAIL = {
    "uniform": Assumption("the loss is R-sub-Gaussian for independent weights and datum"),
    "moving": Assumption(
        "the loss is sub-Gaussian for fixed weights, less that of fixed reference weights; "
        "R is the root mean square of the scales"
    ),
}
_NOISE = Assumption("the noise of every step was injected; batches do not look at the data")
_OWN: dict[Form, Assumption] = {
    "forgetting": Assumption("the rate is constant and the decay pulls to where pi rests"),
    "variance": Assumption("the drift that is subtracted has not seen the sample"),
    "variance_linear": Assumption("the drift that is subtracted has not seen the sample"),
    "leave_one_out": Assumption("the data of a batch are distinct"),
    "time_uniform": Assumption(
        "continuous time, full batches, started at pi and reversible for pi exp(-beta loss): "
        "for steps of finite size this is no theorem"
    ),
}


@declared
def sgld_gap(
    form: Form = "trajectory",
    *,
    scale: Scale = "uniform",
    failure_probability: float | None = None,
) -> Bound:
    r"""Bound on the score-matching gap of weights that were trained by Langevin steps.

    Args:
        form: How the information of the weights is bounded: ``"exact"``, where it is known;
            ``"trajectory"``, by all squared gradients; ``"forgetting"``, by the last of them
            (weight decay); ``"variance"`` and ``"variance_linear"``, by what of them the weights
            do not foretell; ``"leave_one_out"``, by those of single data; ``"time_uniform"``, by
            how far the training loss has fallen.
        scale: ``"uniform"``, one R for all weights; ``"moving"``, for a loss less that of
            reference weights, where R is the root mean square over the trained weights.
        failure_probability: If given, a bound on the mean gap over the training's own randomness
            that holds for all but this share of samples. Its letters are means given the sample;
            R may be of either kind.

    Returns:
        A bound on :class:`genbound.estimators.langevin.LangevinRun`, in the unit of the loss, with
        the constant ``R`` (and ``information`` for the exact form). It is informative if training
        loss plus bound lies below the loss of a model that learned nothing.

    Raises:
        ValueError: If there is no such form, or none with this scale or with high probability.

    Reference:
        Dupuis et al. 2025, in the spirit of Theorem 4.1; after Pensia et al. 2018, Mou et al.
        2018, Negrea et al. 2019, Li et al. 2020 and Harel et al. 2025.
    """
    theorem = _THEOREMS[form][_column(scale, failure_probability)]
    if theorem is None:
        asked = f"scale={scale!r}, failure_probability={failure_probability}"
        raise ValueError(f"form: {form!r} has no version with {asked}")
    constants = _CONSTANTS
    if failure_probability is not None:
        if not 0 < failure_probability < 1:
            raise ValueError(
                f"failure_probability: got {failure_probability}, allowed is between 0 and 1"
            )
        allowed = _known(pac_bayes.failure, "failure probability", lambda _: failure_probability)
        constants = (*constants, allowed)
    letters = theorem.expr.free_symbols
    chosen = [_TAIL[scale], _NOISE, *([_OWN[form]] if form in _OWN else [])]
    return Bound(
        name=f"sgld_gap, {form.replace('_', ' ')}",
        theorem=theorem,
        terms=tuple(term for term in _TERMS if term.symbol in letters),
        constants=tuple(constant for constant in constants if constant.symbol in letters),
        contract=LangevinRun,
        source="this book, in the spirit of Dupuis et al. 2025, Theorem 4.1",
        holds="in expectation" if failure_probability is None else "with high probability",
        assumptions=tuple(chosen),
        trivial=_TRIVIAL,
    )


@declared
def sgld_forms(
    run: LangevinRun,
    data: Tensor,
    *,
    R: float | Estimate,
    information: float | Estimate | None = None,
    scale: Scale = "uniform",
    failure_probability: float | None = None,
) -> pd.DataFrame:
    """All forms that apply to a run, side by side.

    Args:
        run: The run.
        data: Its training data, shape ``(n, d)``.
        R: Sub-Gaussian scale of the loss.
        information: I(theta; S) in nats, where it is known.
        scale: As for :func:`sgld_gap`, like what follows.
        failure_probability: As there.

    Returns:
        A row for each form (its name is the index) with the columns

        - ``nats``: the information that the bound allows the weights, :class:`Estimate`; for
          leave-one-out n times that of one datum, with high probability the divergence;
        - ``bound``: the bound on the gap, Estimate;
        - ``factor``: bound over what an untrained model loses; informative below 1;
        - ``verdict``.
    """
    applies = dict.fromkeys(get_args(Form), True) | {
        "exact": information is not None,
        "forgetting": run.steady,
        "variance": run.centred is not None,
        "variance_linear": run.centred is not None,
        "leave_one_out": run.single is not None,
    }
    rows = {}
    for form in get_args(Form):
        if not applies[form] or _THEOREMS[form][_column(scale, failure_probability)] is None:
            continue
        bound = sgld_gap(form, scale=scale, failure_probability=failure_probability)
        given = {"R": R} | ({"information": information} if form == "exact" else {})
        breakdown = bound.evaluate(run, data, generator=torch.Generator(), **given)
        total, trivial = breakdown.total, breakdown.trivial
        rows[form] = {
            "nats": _nats(breakdown, scale, failure_probability),
            "bound": total,
            "factor": total.value / trivial.value if trivial.value > 0 else math.inf,
            "verdict": breakdown.verdict,
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.rename_axis("form")


def _column(scale: Scale, failure_probability: float | None) -> int:
    return 2 if failure_probability is not None else int(scale == "moving")


def _nats(breakdown: Breakdown, scale: Scale, failure_probability: float | None) -> Estimate:
    """What the bound allows the weights to know: its square, without scale and confidence."""
    if math.isinf(breakdown.total.value):
        return breakdown.total
    column = _column(scale, failure_probability)
    share, confidence = ((2, 0), (4, sp.log(2) / 2), (4, sp.log(sp.sqrt(2) / pac_bayes.failure)))[
        column
    ]
    squared = n * (breakdown.bound.theorem.expr / scale_letter) ** 2 / share
    return combine(sp.expand(squared) - confidence, breakdown.values, method="nats")
