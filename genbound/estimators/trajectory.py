"""How far a model's own reverse paths depart from those of a reference that saw no data."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from genbound.arguments import Count, Several, declared
from genbound.estimate import Estimate, mean
from genbound.protocols import ScoreModel
from genbound.sampler import reverse_chain, time_grid

__all__ = ["Reference", "Score", "path_energy", "reference_score"]

Score = Callable[[Tensor, Tensor], Tensor]
Reference = Literal["zero", "prior"] | Score

REFERENCES: dict[str, Score] = {
    "zero": lambda noisy, _: torch.zeros_like(noisy),
    "prior": lambda noisy, _: -noisy,
}


@declared
@torch.no_grad()
def path_energy(
    model: ScoreModel,
    *,
    reference: Reference,
    d: Count,
    paths: Several,
    step: float,
    generator: torch.Generator,
    horizon: float | None = None,
    t_min: float | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Estimate:
    """Divergence between the model's sampling chain and the same chain with a reference score.

    ``sum_k delta_k / 2 E ||s(Y_k, t_k) - s_ref(Y_k, t_k)||^2`` along the model's own chain, which
    is ``1/2 int g^2 E ||s - s_ref||^2 dt`` up to the step. The times are even in the log
    signal-to-noise ratio, which is the likelihood weighting. With a reference that doesn't depend
    on the data it bounds the information between a generated sample and the training data
    (:func:`generated_information`).

    Args:
        model: Score model.
        reference: ``"zero"``; ``"prior"``, the score -x of N(0, I), which ceases to grow with the
            horizon; or a score, called with states ``(paths, d)`` and times ``(paths,)``: that
            of a model trained on another sample (a ghost), or :func:`mean_score` of several.
        d: Dimension.
        paths: Number of independent chains, at least 2.
        step: Largest spacing in the log signal-to-noise ratio (nats).
        generator: Source of all noise, on ``device``.
        horizon: Time of the chain's start at N(0, I); the model's by default.
        t_min: Time of the chain's end; the model's by default.
        dtype: Dtype of the states, that of the model's weights.
        device: Device of the states.

    Returns:
        Nats; unbiased for the chain with this step. The influences are those of the paths.

    Raises:
        ValueError: If ``reference`` is an unknown word.

    Reference:
        Chen et al. 2025, the generator term of the diffusion bound (with the reference zero).
    """
    score_of_reference, name = reference_score(reference)
    horizon = model.horizon if horizon is None else horizon
    t_min = model.t_min if t_min is None else t_min
    times = time_grid(model.process, horizon, t_min, step=step).to(device)
    start = torch.randn(paths, d, generator=generator, dtype=dtype, device=device)
    energy = torch.zeros(paths, dtype=torch.float64, device=device)
    for now in reverse_chain(model.process, model.score, start, times, generator=generator):
        time = now.time.to(now.state).expand(len(now.state))
        gap = now.score - score_of_reference(now.state, time)
        energy += now.increment / 2 * gap.square().sum(-1).double()
    if not math.isfinite(float(energy.sum())):
        raise ValueError(f"step: got {step}, with which the chain diverged; choose it smaller")
    return mean(energy, method=f"path energy against the {name} score, {len(times) - 1} steps")


def reference_score(reference: str | Score) -> tuple[Score, str]:
    """A reference score and its name.

    Args:
        reference: ``"zero"``, ``"prior"`` or a score.

    Returns:
        The score; the word, or "given".

    Raises:
        ValueError: If ``reference`` is an unknown word.
    """
    if not isinstance(reference, str):
        return reference, "given"
    if reference not in REFERENCES:
        raise ValueError(
            f"reference: got {reference!r}, allowed are {sorted(REFERENCES)} or a score"
        )
    return REFERENCES[reference], reference


def mean_score(models: Sequence[ScoreModel]) -> Score:
    """The mean score of models trained on samples independent of one's own: a reference.

    Given the other models it is a fixed function, so it has not seen the sample; averaged over
    them, the path energy against it bounds the information. One model is a *ghost*; the more
    models, the sharper the reference: in the solvable case ``1 + 1/K`` times the energy of the
    mean score.

    Args:
        models: Models trained on other, independent samples, with training noise of their own.
            One's own model must not be among them.

    Returns:
        Function of states and times, for :func:`path_energy`.

    Raises:
        ValueError: If there is no model.
    """
    models = tuple(models)
    if not models:
        raise ValueError("models: got none, allowed is at least one trained on another sample")

    def score(noisy: Tensor, time: Tensor) -> Tensor:
        return torch.stack([model.score(noisy, time) for model in models]).mean(0)

    return score


@declared
def generated_information(energy: Estimate) -> Estimate:
    """The path energy read as an upper bound on ``I(X~; S | Z)``, in nats.

    Args:
        energy: From :func:`path_energy`, against a reference that has not seen the sample; for a
            statement about the information, averaged over independent samples
            (:func:`genbound.estimate.across`).

    Returns:
        The same number with side ``upper``. Divided by n it bounds the mean over i of
        ``I(X~; X_i | Z)``.

    Reference:
        :data:`genbound.derivations.generator.reference_score`.
    """
    return replace(energy, side="upper", method=f"bounded by the {energy.method}")
