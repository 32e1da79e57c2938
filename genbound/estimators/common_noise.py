"""Train and test losses of a score under the same noise, so that their gap is seen sooner."""

from typing import NamedTuple

import torch

from genbound.arguments import Count, Sample, declared
from genbound.estimate import Estimate, mean
from genbound.estimators.score_matching import denoising_losses
from genbound.protocols import ScoreModel

__all__ = ["ScoreGap", "score_gap"]


class ScoreGap(NamedTuple):
    """Denoising losses in nats, with equal influences of equal pairs.

    Attributes:
        train: Mean loss of the training data.
        test: Mean loss of the held-out data.
        gap: ``test - train``, from the differences of the pairs.
    """

    train: Estimate
    test: Estimate
    gap: Estimate


@declared
def score_gap(
    model: ScoreModel,
    train: Sample,
    test: Sample,
    *,
    draws: Count,
    generator: torch.Generator,
    horizon: float | None = None,
    t_min: float | None = None,
) -> ScoreGap:
    """Score generalization gap, ``E loss(test) - mean loss(train)``, with common random numbers.

    The i-th training datum and the i-th held-out datum get the same noise levels and the same
    noise. Each loss stays unbiased; what the noise does to both alike cancels in the difference.
    That is nearly all for a score that is wrong everywhere in the same way (measured: 96 % of the
    variance due to noise), and 10 to 20 % for a learned mean or a small trained network, whose
    losses have lost most of their common noise before. Models measured with generators in one
    state share the noise, too.

    The losses have the likelihood weighting of :mod:`genbound.estimators.score_matching`. Under
    the Ornstein-Uhlenbeck process with g^2 = 2, the squared error of ``2 (s + x)``, twice the
    score relative to N(0, I), at a time uniform on the interval is ``4 / (horizon - t_min)`` times
    these numbers.

    Args:
        model: Score model.
        train: The data it was trained on, shape ``(n, d)``, n >= 2.
        test: As many independent data it was not trained on, shape ``(n, d)``.
        draws: Noise levels per datum, one in each of as many strata; at least 1.
        generator: Source of levels and noise, on the device of the data.
        horizon: End of the time interval; the model's by default.
        t_min: Start of the time interval; the model's by default.

    Returns:
        Losses and gap. The gap's error covers both samples and the noise, for the model held
        fixed: over runs, take the gaps of independent training sets
        (:func:`genbound.estimate.across`). A gap may be negative.

    Raises:
        ValueError: If the samples differ in shape, the interval is empty, ``draws`` is below 1 or
            the data are no matrix.

    Reference:
        In the spirit of equation (9) of Dupuis et al. 2025.
    """
    if test.shape != train.shape:
        raise ValueError(
            f"test: got shape {tuple(test.shape)}, allowed is {tuple(train.shape)}, that of train"
        )
    state = generator.get_state()
    losses = []
    for data in (train, test):
        generator.set_state(state)
        losses.append(
            denoising_losses(
                model, data, draws=draws, generator=generator, horizon=horizon, t_min=t_min
            )
        )
    seen, unseen = losses
    method = f"denoising score matching, {draws} common draws per pair"
    return ScoreGap(*(mean(part, method=method) for part in (seen, unseen, unseen - seen)))
