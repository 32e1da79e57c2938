"""Squared norms of gradients along a trajectory: of the mean and of a minibatch, told apart.

The gradient of b independent draws has E ||g_b||^2 = ||E g||^2 + tr Cov(g) / b: the first part
tells how far the weights are from a stationary point, the second how much the samples disagree.
Bounds for noisy training ask for the left side; read from the minibatches alone, it hides how
much of it is noise.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map  # the trees of torch.func

from genbound.arguments import Count, declared
from genbound.estimate import Estimate, exact
from genbound.estimators.ghost_norms import (
    Factors,
    Loss,
    entries,
    factored,
    linear_visits,
)

__all__ = ["GradientNorms", "GradientQuantities", "gradient_norms"]

# Numbers per evaluation: the gradients of a block of samples, as factors where they have them.
BLOCK_ENTRIES = 2**22


class GradientQuantities(NamedTuple):
    """What is held against gaps, with the two halves of it that any claim must beat.

    Attributes:
        product: ``b <||g_b||^2> = b <||E g||^2> + <tr Cov(g)>``; the brackets are the mean over
            the snapshots.
        batch: ``b`` alone. Multiplying by it builds in whatever the batch size explains.
        norm: ``<||g_b||^2>`` alone.
    """

    product: Estimate
    batch: Estimate
    norm: Estimate


@dataclass(frozen=True, eq=False)
class GradientNorms:
    """Gradients of k snapshots of the weights, each on the same n samples.

    Attributes:
        mean2: ``||E g||^2`` at each snapshot, shape ``(k,)``. From draws it is unbiased, and so
            may be negative near a stationary point.
        trace: ``tr Cov(g)`` of a single sample's gradient, shape ``(k,)``.
        slopes: ``<g_i - g, g>`` of each sample with the mean gradient g, shape ``(k, n)``.
        spreads: ``||g_i - g||^2``, shape ``(k, n)``.
        whole: Whether the samples are all there are, so that nothing is estimated.
    """

    mean2: Tensor
    trace: Tensor
    slopes: Tensor = field(repr=False)
    spreads: Tensor = field(repr=False)
    whole: bool

    def full(self) -> Estimate:
        """``<||E g||^2>``: the mean gradient's squared norm, mean over the snapshots.

        Returns:
            Squared norm. Where the mean gradient is 0 the standard error, of second order there,
            is too large by a factor of up to ``sqrt(2)``; elsewhere it is right.
        """
        return self._estimate(1.0, 0.0, "squared norm of the mean gradient")

    def scatter(self) -> Estimate:
        """``<tr Cov(g)>``: the variance of one sample's gradient, mean over the snapshots."""
        return self._estimate(0.0, 1.0, "variance of a sample's gradient")

    @declared
    def minibatch(self, batch: Count) -> Estimate:
        """``<||g_b||^2>``, expected for b independent draws, mean over the snapshots.

        Args:
            batch: b >= 1, drawn with replacement. (Without, from n data, the variance has the
                factor ``(n - b) / (n - 1)``; strata lower it, too.)

        Returns:
            Squared norm; the error is that of the samples, the weights being given: average
            over runs (:func:`genbound.estimate.across`) for a statement about training.

        Raises:
            ValueError: If ``batch`` is below 1.
        """
        return self._estimate(1.0, 1 / batch, f"squared norm of the gradient of {batch} draws")

    @declared
    def quantities(self, batch: Count) -> GradientQuantities:
        """Batch size times squared norm, and each of them alone.

        Args:
            batch: b >= 1, as for :meth:`minibatch`.

        Returns:
            The three. Correlations of the product mean little beside those of its halves.

        Raises:
            ValueError: If ``batch`` is below 1.

        Reference:
            In the spirit of the experiments of Dupuis et al. 2025, who follow the product over
            the last steps of training.
        """
        product = self._estimate(batch, 1.0, f"{batch} times the squared norm of its gradient")
        return GradientQuantities(
            product, exact(batch, method="batch size"), self.minibatch(batch)
        )

    def _estimate(self, of_mean: float, of_trace: float, method: str) -> Estimate:
        k, n = self.slopes.shape
        value = float(of_mean * self.mean2.mean() + of_trace * self.trace.mean())
        method = f"{method}, {k} snapshots, {n} samples"
        if self.whole:
            return exact(value, method=method)
        effects = (2 * of_mean * self.slopes + of_trace * self.spreads).mean(0)
        # The snapshots share the samples, so their effects are averaged before they are squared.
        stderr = math.sqrt(float(effects.var()) / n)
        return Estimate(value, stderr, n, method, influence=effects - effects.mean())


@declared
def gradient_norms(
    loss: Loss,
    module: nn.Module,
    trajectory: Tensor,
    samples: Any,  # noqa: ANN401
    *,
    whole: bool = False,
) -> GradientNorms:
    """Mean and scatter of the samples' gradients at every snapshot of a trajectory.

    What is kept of a single sample's gradient is its product with the mean gradient and its
    distance from it. Of linear layers both follow from what goes in and what comes back
    (:mod:`genbound.estimators.ghost_norms`); only other layers' gradients are formed, in blocks.

    Args:
        loss: (module, sample) -> 0-dim tensor, of one sample; for a
            :class:`genbound.protocols.Objective` its ``loss`` with batches of one.
        module: Its architecture; its own weights are not used. All its parameters are trained.
        trajectory: Flattened weights in the order of ``named_parameters``, shape ``(k, p)``: of
            one member of a training run, the snapshots of interest.
        samples: Tensor, or tuple, list or dict of tensors, of shapes ``(n, ...)``, n >= 2:
            independent draws of all that a step draws (data, times, noise), made anew: to the
            batches of their own training the weights have adapted.
        whole: Whether these n samples are the whole population, as for a loss without noise over
            all training data. Then the numbers are exact.

    Returns:
        The norms, float64, on the CPU.

    Raises:
        ValueError: If the shapes don't fit, or a gradient is not finite.
    """
    p = sum(parameter.numel() for parameter in module.parameters())
    if trajectory.ndim != 2 or trajectory.shape[1] != p or len(trajectory) < 1:
        raise ValueError(f"trajectory: got shape {tuple(trajectory.shape)}, allowed is (k, {p})")
    sizes = {len(leaf) if leaf.ndim else 0 for leaf in tree_leaves(samples)}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(f"samples: got lengths {sorted(sizes)}, allowed is one n >= 2")
    n = sizes.pop()
    visits = linear_visits(loss, module, tree_map(lambda leaf: leaf[0], samples))
    size = max(1, BLOCK_ENTRIES // entries(module, visits))

    def pieces(flat: Tensor) -> Iterator[Factors]:
        parts = flat.detach().split([parameter.numel() for parameter in module.parameters()])
        weights = {
            name: part.view(parameter.shape)
            for (name, parameter), part in zip(module.named_parameters(), parts, strict=True)
        }
        for start in range(0, n, size):
            block = tree_map(lambda leaf: leaf[start : start + size], samples)  # noqa: B023
            yield factored(loss, module, weights, block, visits)

    found = [_moments(partial(pieces, flat), n, once=size >= n) for flat in trajectory]
    norm2, slopes, spreads = (torch.stack(part).cpu() for part in zip(*found, strict=True))
    if lost := int((~norm2.isfinite()).sum()):
        raise ValueError(f"samples: gradients at {lost} of {len(norm2)} snapshots are not finite")
    if whole:
        return GradientNorms(norm2, spreads.mean(1), slopes, spreads, whole)
    trace = spreads.sum(1) / (n - 1)
    return GradientNorms(norm2 - trace / n, trace, slopes, spreads, whole)


def _moments(
    pieces: Callable[[], Iterable[Factors]], n: int, *, once: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """At one point: the mean gradient's squared norm, the slopes and the spreads."""
    kept = list(pieces()) if once else None
    totals = [piece.total() for piece in kept or pieces()]
    mean = {name: sum(total[name] for total in totals) / n for name in totals[0]}
    mean2 = sum(part.square().sum() for part in mean.values())
    slopes, spreads = [], []
    for piece in kept or pieces():
        slope = piece.dot(mean) - mean2
        slopes.append(slope)
        # |g_i - g|^2, whose terms may cancel: so all is in float64, and the mean of the same.
        spreads.append((piece.norms2() - mean2 - 2 * slope).clamp_min(0))
    return mean2, torch.cat(slopes), torch.cat(spreads)
