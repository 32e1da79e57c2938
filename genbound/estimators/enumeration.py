"""Theorem C on two values, exactly: every sample is enumerated, no constant is assumed.

Data P = Bern(q), encoder a binary symmetric channel that flips with probability p, prior a fair
coin. Of n data with k ones the learner keeps the smoothed share (k + 1) / (n + 2) and generates
by Bayes' rule. The noise level p plays the part of the horizon: at p = 1/2 nothing is kept.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbound.derivations import discrete
from genbound.derivations.change_of_measure import information
from genbound.derivations.encoder_generator import scale_generator, weighted_root

if TYPE_CHECKING:
    from sympy import Symbol

__all__ = ["two_values"]


def two_values(q: Tensor, p: Tensor, n: int) -> "dict[Symbol, Tensor]":
    """Every letter of Theorem C, as a mean over all samples of n coin flips.

    The constants are half ranges: over z for R_1(S, x), which stands inside the average, and
    over samples and values for R_2. The information is that between the k of the sample and one
    datum, ``E KL(P-hat || P)``.

    Args:
        q: Probability of a one, in (0, 1), any shape.
        p: Noise level, in (0, 1/2], of a shape that broadcasts with that of q.
        n: Training samples, at least 1.

    Returns:
        Values by letter, each of the shape of q and p together, in nats, float64; the truth is
        under `discrete.kl`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    q, p = torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float64) for x in (q, p)))
    if not bool(((q > 0) & (q < 1)).all()):
        raise ValueError("q: got a value outside (0, 1), allowed is 0 < q < 1")
    if not bool(((p > 0) & (p <= 0.5)).all()):
        raise ValueError("p: got a value outside (0, 1/2], allowed is 0 < p <= 1/2")
    if n < 1:
        raise ValueError(f"n: got {n}, allowed is n >= 1")
    ones = torch.arange(n + 1, dtype=torch.float64, device=q.device)
    law = torch.distributions.Binomial(n, q.unsqueeze(-1))
    weight = law.log_prob(ones).exp()  # (..., k)
    truth = torch.stack([1 - q, q], -1)  # (..., x)
    seen = torch.stack([1 - ones / n, ones / n], -1)  # (k, x)
    smoothed = torch.stack([n + 1 - ones, ones + 1], -1) / (n + 2)  # (k, x)
    flip = torch.stack([1 - p, p, p, 1 - p], -1).unflatten(-1, (2, 2)).unsqueeze(-3)  # (..,1,x,z)
    decoder = smoothed.unsqueeze(-1) * flip
    decoder = decoder / decoder.sum(-2, keepdim=True)  # g(x|z), (..., k, x, z)
    codes = (seen.unsqueeze(-1) * flip).sum(-2, keepdim=True)  # (..., k, 1, z)
    pairs = seen.unsqueeze(-1) * flip
    loss = -decoder.log().mean(-1)  # over the prior, (..., k, x)
    kept = (flip * (2 * flip).log()).sum((-1, -2)) / 2  # KL(E(x) || pi), the same for both x
    ranges = (decoder[..., 0] / decoder[..., 1]).log().abs() / 2  # R_1(k, x)

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum(-1)

    def entropy(masses: Tensor) -> Tensor:
        return -torch.special.xlogy(masses, masses).sum(-1)

    generated = decoder.mean(-1)
    divergences = (truth.unsqueeze(-2) * (truth.unsqueeze(-2) / generated).log()).sum(-1)
    from_truth = -entropy(seen) - (seen * truth.log().unsqueeze(-2)).sum(-1)
    return {
        discrete.kl: mean(divergences),
        discrete.joint_error: mean(
            (_relative(pairs, codes * decoder)).sum((-1, -2)),
        ),
        discrete.information_hat: mean((pairs * (flip / codes).log()).sum((-1, -2))),
        discrete.entropy_hat: mean(entropy(seen)),
        discrete.entropy: entropy(truth),
        discrete.encoded_loss_hat: mean(-(pairs * decoder.log()).sum((-1, -2))),
        discrete.prior_loss: mean((truth.unsqueeze(-2) * loss).sum(-1)),
        discrete.prior_loss_hat: mean((seen * loss).sum(-1)),
        weighted_root: mean((seen * ranges).sum(-1) * kept.clamp_min(0).sqrt()),
        scale_generator: (loss.amax((-1, -2)) - loss.amin((-1, -2))) / 2,
        information: mean(from_truth),
    }


def _relative(first: Tensor, second: Tensor) -> Tensor:
    """Terms of a divergence: u log(u / w), with 0 log 0 = 0."""
    return torch.special.xlogy(first, first) - first * second.log()
