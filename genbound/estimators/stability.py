"""How far a trained score moves when one datum is replaced, measured by training again.

The second training gets the same initial weights, the same indices of batches and the same noise
as the first, and sees a fresh datum in the place of one of its data. That couples the two; the
best coupling may keep them nearer, so the distance is an upper estimate. Every coupling will do
for the theorems of :mod:`genbound.derivations.stability`.
"""

import math
from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor

from genbound.arguments import declared, score_at
from genbound.estimate import Estimate, mean
from genbound.estimators.noise_levels import between, integrals
from genbound.protocols import ScoreModel

__all__ = [
    "random_set_stability",
    "replaced",
    "replacement_gap",
    "root",
    "score_stability",
]


@declared
def replaced(data: Tensor, fresh: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """Samples with one datum replaced each, one per member of an ensemble.

    Train the sample and these in one call of :func:`genbound.training.train`, all members with
    one seed: they share initial weights, indices of batches and noise.

    Args:
        data: The sample, shape ``(n, ...)``.
        fresh: Independent data of the same law, shape ``(m, ...)``.
        indices: Which datum the k-th fresh one takes the place of, m numbers in 0..n-1.

    Returns:
        m samples of the shape of ``data``.

    Raises:
        ValueError: If the shapes don't fit or an index is not one of the sample's.
    """
    if fresh.shape[1:] != data.shape[1:]:
        shape = tuple(data.shape[1:])
        raise ValueError(f"fresh: got data of shape {tuple(fresh.shape[1:])}, allowed is {shape}")
    if len(indices) != len(fresh) or not all(0 <= i < len(data) for i in indices):
        raise ValueError(
            f"indices: got {list(indices)}, allowed are {len(fresh)} numbers in 0..{len(data) - 1}"
        )
    samples = []
    for index, datum in zip(indices, fresh, strict=True):
        sample = data.clone()
        sample[index] = datum
        samples.append(sample)
    return samples


@declared
def score_stability(
    model: ScoreModel,
    retrained: Sequence[ScoreModel],
    fresh: Tensor,
    *,
    draws: int,
    generator: torch.Generator,
) -> Estimate:
    r"""Mean squared distance of two scores at the noised datum that only one of them has seen.

    ``1/2 int g^2 E ||s(x_t, t) - s^i(x_t, t)||^2 dt``, x the fresh datum: the square of the
    stability, in the units of :mod:`genbound.estimators.score_matching`.

    Args:
        model: Trained on the sample.
        retrained: Trained on the sample with a datum replaced, m >= 2 of them.
        fresh: The data that they saw instead, shape ``(m, d)``.
        draws: Noise levels per datum, one in each of as many strata; at least 1.
        generator: Source of levels and noise, on the device of ``fresh``.

    Returns:
        Nats. The error covers replacements and noise for one sample and one seed; for the mean
        over samples take the square of each (:func:`genbound.estimate.across`), then its
        :func:`root`. The side is ``upper``: the coupling may not be the best.

    Raises:
        ValueError: If there are fewer than two models, or not one fresh datum for each.

    Reference:
        Farghly, Rebeschini, Deligiannidis and Doucet 2025, the definition of score stability.
    """

    def distance(mine: Tensor, theirs: Tensor, _: Tensor) -> Tensor:
        return (mine - theirs).square().sum(-1)

    distances = _at_fresh(model, retrained, fresh, distance, draws, generator)
    return mean(distances, method=f"{len(fresh)} retrainings, {draws} draws each", side="upper")


@declared
def replacement_gap(
    model: ScoreModel,
    retrained: Sequence[ScoreModel],
    fresh: Tensor,
    *,
    draws: int,
    generator: torch.Generator,
) -> Estimate:
    r"""Generalization gap from retraining: what a datum loses when it was not trained on.

    ``E gap = E [loss(s, x) - loss(s^i, x)]``, x the fresh datum that only s^i has seen. Both
    losses are those of one datum under one noise, so this sees small gaps long before the mean
    over held-out data less that over the sample does (on the learner of a mean, two retrainings
    leave less than a quarter of the variance that 500 held-out data do).

    Args:
        model: As for :func:`score_stability`, like all that follow.
        retrained: Trained with a datum replaced.
        fresh: The data that they saw instead.
        draws: Noise levels per datum.
        generator: Source of levels and noise.

    Returns:
        Nats, unbiased for the mean gap over samples if the training treats its data alike.

    Raises:
        ValueError: As :func:`score_stability`.

    Reference:
        In the spirit of Bousquet and Elisseeff 2002.
    """

    def excess(mine: Tensor, theirs: Tensor, noise: Tensor) -> Tensor:
        # ||mine + noise||^2 - ||theirs + noise||^2 without the cancellation.
        return ((mine - theirs) * (mine + theirs + 2 * noise)).sum(-1)

    losses = _at_fresh(model, retrained, fresh, excess, draws, generator)
    return mean(losses, method=f"{len(fresh)} retrainings, {draws} draws each")


@declared
def root(square: Estimate) -> Estimate:
    """The root of a squared stability, its error by the slope of the root.

    Args:
        square: Estimate of a square, not negative.

    Returns:
        The root, on the side of the square. At zero the error is unknown (nan), unless the square
        has none.

    Raises:
        ValueError: If the square is negative.
    """
    if not square.value >= 0:
        raise ValueError(f"square: got {square.value}, allowed is >= 0")
    value = math.sqrt(square.value)
    slope = 1 / (2 * value) if value else math.nan
    influence = None if square.influence is None or not value else slope * square.influence
    stderr = 0.0 if square.stderr == 0 else slope * square.stderr
    return Estimate(value, stderr, square.n, f"root of: {square.method}", square.side, influence)


@declared
def random_set_stability(losses: Tensor, retrained: Tensor) -> Estimate:
    """How much the loss of an iterate rises when one datum is replaced, iterate by iterate.

    The mean over retrainings of ``max_{k, z} [loss(theta'_k, z) - loss(theta_k, z)]_+``: whatever
    iterate of the window a rule picks, and whatever datum it is tried on, the iterate of the same
    number in the other training loses no more than this in addition. It is the constant of
    :data:`genbound.derivations.stable_sets.stability_bound`, on the worst iterate.

    Args:
        losses: Loss of each iterate of the first training on each of a number of data, shape
            ``(iterates, data)``.
        retrained: The same for the retrainings, with the same noise, shape
            ``(m, iterates, data)``, m >= 2.

    Returns:
        In the unit of the losses; the error covers the retrainings. The side is ``lower``: the
        largest over finitely many data lies below the supremum.

    Raises:
        ValueError: If the shapes don't fit.

    Reference:
        In the spirit of Tuci et al. 2025 (arXiv 2507.06775).
    """
    if losses.ndim != 2 or retrained.ndim != 3 or retrained.shape[1:] != losses.shape:
        raise ValueError(
            f"retrained: got shape {tuple(retrained.shape)}, "
            f"allowed is (m, *{tuple(losses.shape)}), losses being (iterates, data)"
        )
    rises = (retrained - losses).clamp(min=0).flatten(1).amax(1)
    k, data = losses.shape
    return mean(rises, method=f"largest rise over {k} iterates and {data} data", side="lower")


def _at_fresh(
    model: ScoreModel,
    retrained: Sequence[ScoreModel],
    fresh: Tensor,
    compare: Callable[[Tensor, Tensor, Tensor], Tensor],
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Integrals of what compares both scores and the noise, in its units, at each fresh datum."""
    if fresh.ndim != 2 or not 2 <= len(retrained) == len(fresh):
        raise ValueError(
            f"fresh: got shape {tuple(fresh.shape)} for {len(retrained)} retrained models, "
            "allowed is (m, d) with one datum for each of m >= 2 models"
        )
    levels = between(model.process, model.t_min, model.horizon)
    waiting = iter(retrained)

    def integrand(noisy: Tensor, time: Tensor, noise_scale: Tensor, noise: Tensor) -> Tensor:
        # The data come in blocks, in order, each with the model that has seen it.
        theirs = zip(islice(waiting, len(noisy)), noisy, time, strict=True)
        others = torch.stack(
            [score_at(other.score, points, times) for other, points, times in theirs]
        )
        return compare(
            noise_scale * score_at(model.score, noisy, time), noise_scale * others, noise
        )

    return integrals(model.process, fresh, integrand, levels, draws=draws, generator=generator)
