"""The worst gap along a trajectory of any optimiser, bounded by the shape of the trajectory.

A trajectory that has not seen the data costs the logarithm of its effective number of points;
what it has seen costs its information, which is infinite for a deterministic training, or its
stability. In the spirit of Theorem 4.2 of Dupuis, Shariatian, Haddouche, Durmus and Simsekli 2025
(arXiv 2506.03849), with constants of our own.
"""

from typing import Literal

import sympy as sp
from torch import Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.derivation import Derivation
from genbound.derivations import loss_metric, stable_sets
from genbound.derivations import topology as proof
from genbound.derivations.change_of_measure import scale as scale_letter
from genbound.derivations.trade_off import n
from genbound.estimate import Estimate, combine
from genbound.estimators.iterates import Iterates, Metric

__all__ = ["Form", "topological_gap"]

Form = Literal["union", "lifetimes", "magnitude", "stability"]

_TAIL = Assumption("the loss is R-sub-Gaussian in the datum for fixed weights")
_SLOPE = Assumption("for every datum the loss is L-Lipschitz in the weights")
_RANGE = Assumption(
    "the loss lies in an interval of length 2 R; no Lipschitz constant is asked for: the training "
    "losses have slope 1 in their own distance, and random signs stand for the population"
)
_KNOWN = Assumption(
    "I_infinity is 0 for a trajectory fixed before the data, infinite for a deterministic "
    "training on continuous data; any other value is assumed"
)
_STABLE = Assumption(
    "beta bounds the rise of the loss when one datum is exchanged, for every rule that picks an "
    "iterate, and every datum it is tried on"
)

_THEOREMS: dict[tuple[Form, Metric], tuple[Derivation, tuple[Assumption, ...]]] = {
    ("union", "weights"): (proof.iterates_bound, (_TAIL, _KNOWN)),
    ("lifetimes", "weights"): (proof.lifetimes_bound, (_TAIL, _SLOPE, _KNOWN)),
    ("magnitude", "weights"): (proof.magnitude_bound, (_TAIL, _SLOPE, _KNOWN)),
    ("stability", "weights"): (stable_sets.block_bound, (_TAIL, _SLOPE, _STABLE)),
    ("lifetimes", "losses"): (loss_metric.lifetimes_bound, (_RANGE, _KNOWN)),
    ("magnitude", "losses"): (loss_metric.magnitude_bound, (_RANGE, _KNOWN)),
}

_untrained, _trained = sp.symbols("untrained trained")


@declared
def topological_gap(
    form: Form = "lifetimes",
    *,
    metric: Metric = "weights",
    alpha: float = 1.0,
    multiple: float = 1.0,
    among: int = 1,
    block: int | None = None,
    failure_probability: float = 0.05,
) -> Bound:
    r"""Bound on the largest gap of the iterates in a window.

    Args:
        form: ``"union"``, by the number of different iterates, the baseline; ``"lifetimes"``, by
            the sum of the edges of their spanning tree to the power alpha; ``"magnitude"``, by
            their positive magnitude; ``"stability"``, by the lifetime sum and a stability beta in
            the place of the information, on the mean over data and training.
        metric: ``"weights"``, Euclidean; or ``"losses"``, the mean absolute difference of the
            losses on the training data, for a bounded loss, at twice the price. The union knows
            no metric, and the stability only the first.
        alpha: Power of the lengths in (0, 1]; no larger one, for its distance is no metric.
        multiple: c of the scale ``c sqrt(n)`` at which the magnitude is taken.
        among: Number of bounds, fixed before the data were seen, of which the least is quoted:
            each then fails with a share of the probability.
        block: J of the stability form, a divisor of n near ``beta^(-2/3)``.
        failure_probability: Share of samples for which the bound may fail; of no concern to the
            stability form.

    Returns:
        A bound on :class:`genbound.estimators.iterates.Iterates`, in the unit of the loss. Its
        constants are ``R`` (sub-Gaussian scale, or half the range of the loss), ``L`` (Lipschitz
        constant in the weights), ``I_infinity``, and ``stability`` instead for that form; give an
        :class:`Estimate` to say where one comes from. It is informative if the training loss of
        the last iterate plus the bound lies below the loss of a model that learned nothing.

    Raises:
        ValueError: If an argument is not allowed.

    Reference:
        Dupuis et al. 2025, in the spirit of Theorem 4.2; after Andreeva et al. 2024 and Tuci et
        al. 2025.
    """
    _check(form, metric, alpha, multiple, among, block, failure_probability)
    theorem, assumptions = _THEOREMS[form, metric]
    allowed = _known(proof.failure, "failure probability", failure_probability / among)
    constants = (*_constants(alpha, multiple, block), allowed)
    letters = theorem.expr.free_symbols
    return Bound(
        name=f"topological_gap, {form}" + (" of losses" if metric == "losses" else ""),
        theorem=theorem,
        terms=tuple(t for t in _terms(metric, alpha, multiple) if t.symbol in letters),
        constants=tuple(c for c in constants if c.symbol in letters),
        contract=Iterates,
        source="this book, in the spirit of Dupuis et al. 2025, Theorem 4.2",
        holds="in expectation" if form == "stability" else "with high probability",
        assumptions=assumptions,
        trivial=_TRIVIAL,
    )


def _terms(metric: Metric, alpha: float, multiple: float) -> tuple[Term, ...]:
    def magnitude(window: Iterates, data: Tensor, **_: object) -> Estimate:
        scale = multiple * len(data) ** 0.5
        return window.positive_magnitude(scale=scale, metric=metric)

    def lifetimes(window: Iterates, _data: Tensor, **_: object) -> Estimate:
        return window.lifetimes(alpha=alpha, metric=metric)

    return (
        Term(proof.positive_magnitude, "positive magnitude", magnitude),
        Term(proof.lifetimes, "lifetime sum", lifetimes),
    )


def _constants(alpha: float, multiple: float, block: int | None) -> tuple[Constant, ...]:
    def samples(window: Iterates, data: Tensor) -> int:
        if (known := window.losses.shape[1]) != len(data):
            raise ValueError(f"data: got {len(data)}, allowed are the {known} of the losses")
        return known

    def divides(_: Iterates, data: Tensor) -> float:
        if len(data) % block:
            raise ValueError(f"block: got {block}, allowed are divisors of n = {len(data)}")
        return block

    return (
        Constant(scale_letter, "R", "sub-Gaussian scale of the loss, or half its range"),
        Constant(proof.lipschitz, "L", "Lipschitz constant of the loss in the weights"),
        Constant(proof.dependence, "I_infinity", "what the trajectory knows of the data"),
        Constant(stable_sets.stability, "stability", "rise of the loss per exchanged datum"),
        Constant(n, "n", "training samples", known=samples),
        Constant(
            proof.iterates, "iterates", "different iterates", known=lambda w, _: w.distinct()
        ),
        Constant(stable_sets.block, "block", "data exchanged at a time", known=divides),
        _known(proof.alpha, "alpha", alpha),
        _known(proof.multiple, "multiple", multiple),
    )


def _known(symbol: sp.Symbol, title: str, value: float) -> Constant:
    return Constant(symbol, title.replace(" ", "_"), title, known=lambda *_: value)


def _learned(window: Iterates, _data: Tensor, **_: object) -> Estimate:
    return combine(
        _untrained - _trained,
        {_untrained: window.untrained_loss, _trained: window.loss},
        method="untrained loss less training loss of the last iterate",
    )


_TRIVIAL = Term(proof.worst_gap, "untrained loss less training loss", _learned)


def _check(
    form: Form,
    metric: Metric,
    alpha: float,
    multiple: float,
    among: int,
    block: int | None,
    failure_probability: float,
) -> None:
    if (form, metric) not in _THEOREMS:
        allowed = tuple(m for f, m in _THEOREMS if f == form)
        raise ValueError(f"metric: got {metric!r}, allowed for {form!r} are {allowed}")
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha: got {alpha}, allowed is 0 < alpha <= 1")
    if not multiple > 0:
        raise ValueError(f"multiple: got {multiple}, allowed is multiple > 0")
    if among < 1:
        raise ValueError(f"among: got {among}, allowed is among >= 1")
    if (block is None) == (form == "stability") or (block is not None and block < 1):
        raise ValueError(f"block: got {block}, allowed is a positive integer for 'stability' only")
    if not 0 < failure_probability < 1:
        raise ValueError(
            f"failure_probability: got {failure_probability}, allowed is between 0 and 1"
        )
