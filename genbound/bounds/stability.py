"""A stable score generalises: bounds from the distance that one replaced datum moves the score.

In expectation over sample and training, with no assumption on the loss. The one constant is the
stability, which is known in solvable cases and measured by
:mod:`genbound.estimators.stability` otherwise. Source: Farghly, Rebeschini, Deligiannidis and
Doucet 2025 (arXiv 2507.03756), proofs and constants of this package.
"""

import math
from types import SimpleNamespace

import sympy as sp
import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bound.parts import Measure
from genbound.derivation import Derivation
from genbound.derivations import stability as proof
from genbound.estimate import Estimate, combine, exact, mean
from genbound.estimators import score_matching
from genbound.protocols import ScoreModel

__all__ = ["stability_gap", "stability_root", "stability_score_error"]

_STABILITY = Constant(
    proof.stability,
    "stability",
    "root of the squared score stability; known, or measured by retraining: then it is an "
    "estimate, not a certificate",
)
_ASSUMPTIONS = (
    Assumption("in expectation over sample and training: one sample gives an estimate of it"),
    Assumption("the training treats its data alike: their order does not matter"),
    Assumption("stability and losses are those of one weighting of times, the likelihood's"),
)


@declared
def stability_gap(*, draws: int = 64) -> Bound:
    r"""Gap of the denoising loss: E gap <= 2 eps_stab sqrt(E training loss) + eps_stab^2.

    Args:
        draws: Noise levels per datum.

    Returns:
        A bound with the constant ``stability``, in nats. It is informative where training loss
        and bound together lie below the loss of the score -x, which has learned nothing.

    Reference:
        In the spirit of Theorem 3 of Farghly et al. 2025.
    """
    return _bound("stability_gap", proof.gap, (_training(draws),), _spare(draws), "nats")


@declared
def stability_root(*, draws: int = 64) -> Bound:
    r"""Root of the loss on fresh data: sqrt(E loss) <= sqrt(E training loss) + eps_stab.

    Nothing is lost to squares: this is the sharpest of the three forms.

    Args:
        draws: Noise levels per datum.

    Returns:
        A bound with the constant ``stability``, on the root of the loss (root of nats).

    Reference:
        Theorem 3 of Farghly et al. 2025, whose proof gives the constant 1.
    """
    loss = sp.Symbol("loss", nonnegative=True)

    def trivial(model: ScoreModel, data: Tensor, *, generator: torch.Generator) -> Estimate:
        untrained = _training(draws).measure(_nothing_learned(model), data, generator=generator)
        return combine(sp.sqrt(loss), {loss: untrained}, method="root of the loss of -x")

    return _bound("stability_root", proof.root_gap, (_training(draws),), trivial, "root of nats")


@declared
def stability_score_error(*, irreducible: float | Estimate, draws: int = 64) -> Bound:
    r"""Score error: E error <= fit + 2 eps_stab sqrt(fit + C(P)) + eps_stab^2.

    Args:
        irreducible: C(P), the denoising loss of the exact score: the information about the datum
            lost between t_min and the horizon,
            ``source.information(process, t_min)`` less that at the horizon (nats). It is not
            known for data of unknown law.
        draws: Noise levels per datum, even.

    Returns:
        A bound with the constant ``stability``, in nats: of the explicit loss against the law of
        the data, by that against the sample.

    Reference:
        In the spirit of Theorem 3 of Farghly et al. 2025.
    """
    known = irreducible
    if not isinstance(known, Estimate):
        known = exact(known, method="given")
    if not 0 <= known.value < math.inf:
        raise ValueError(f"irreducible: got {known.value}, allowed are finite numbers >= 0")
    loss, floor = sp.symbols("loss floor")

    def fit(model: ScoreModel, data: Tensor, *, generator: torch.Generator) -> Estimate:
        return score_matching.explicit(model, data, draws=draws, generator=generator)

    def trivial(model: ScoreModel, data: Tensor, *, generator: torch.Generator) -> Estimate:
        untrained = _training(draws).measure(_nothing_learned(model), data, generator=generator)
        return combine(loss - floor, {loss: untrained, floor: known}, method="error of -x")

    terms = (
        Term(proof.fit, "distance to the sample's own score", fit),
        Term(proof.irreducible, "loss of the exact score", lambda *_, **__: known),
    )
    return _bound("stability_score_error", proof.score_error, terms, trivial, "nats")


def _bound(
    name: str, theorem: Derivation, terms: tuple[Term, ...], trivial: Measure, unit: str
) -> Bound:
    return Bound(
        name=name,
        theorem=theorem,
        terms=terms,
        constants=(_STABILITY,),
        contract=ScoreModel,
        source="in the spirit of Farghly, Rebeschini, Deligiannidis and Doucet 2025",
        assumptions=_ASSUMPTIONS,
        trivial=Term(theorem.lhs, "a score that has learned nothing", trivial),
        unit=unit,
    )


def _training(draws: int) -> Term:
    def measure(model: ScoreModel, data: Tensor, *, generator: torch.Generator) -> Estimate:
        return score_matching.denoising(model, data, draws=draws, generator=generator)

    return Term(proof.training, "training loss", measure)


def _spare(draws: int) -> Measure:
    """What a gap may be before it takes away all that was learned."""

    def measure(model: ScoreModel, data: Tensor, *, generator: torch.Generator) -> Estimate:
        state = generator.get_state()
        losses = []
        for score in (_nothing_learned(model), model):
            generator.set_state(state)
            options = {"draws": draws, "generator": generator}
            losses.append(score_matching.denoising_losses(score, data, **options))
        untrained, trained = losses
        return mean(untrained - trained, method="loss of -x less training loss, common draws")

    return measure


def _nothing_learned(model: ScoreModel) -> SimpleNamespace:
    return SimpleNamespace(
        process=model.process,
        horizon=model.horizon,
        t_min=model.t_min,
        score=lambda noisy, _: -noisy,
    )
