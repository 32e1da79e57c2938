"""Squared norms of gradients along a trajectory: of the mean and of a minibatch, told apart.

The gradient of b independent draws has E ||g_b||^2 = ||E g||^2 + tr Cov(g) / b: the first part
tells how far the weights are from a stationary point, the second how much the samples disagree.
Bounds for noisy training ask for the left side; read from the minibatches alone, it hides how
much of it is noise.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_leaves, tree_map  # the trees of torch.func

from genbound.estimate import Estimate, exact

__all__ = ["GradientNorms", "GradientQuantities", "gradient_norms"]

# Numbers per evaluation: the gradients of a block of samples.
BLOCK_ENTRIES = 2**22

Loss = Callable[[Any, Any], Tensor]
FlatLoss = Callable[[Tensor, Any], Tensor]


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
    slopes: Tensor
    spreads: Tensor
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

    def minibatch(self, batch: int) -> Estimate:
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
        _check_batch(batch)
        return self._estimate(1.0, 1 / batch, f"squared norm of the gradient of {batch} draws")

    def quantities(self, batch: int) -> GradientQuantities:
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
        _check_batch(batch)
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


def gradient_norms(
    loss: Loss,
    module: nn.Module,
    trajectory: Tensor,
    samples: Any,  # noqa: ANN401
    *,
    whole: bool = False,
) -> GradientNorms:
    """Mean and scatter of the samples' gradients at every snapshot of a trajectory.

    The gradients of single samples are taken in blocks, by a vectorised backward pass; only their
    products with the mean gradient and their distances from it are kept.

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
        ValueError: If the shapes don't fit.
    """
    flat_loss, p = _of_flat_weights(loss, module)
    if trajectory.ndim != 2 or trajectory.shape[1] != p or len(trajectory) < 1:
        raise ValueError(f"trajectory: got shape {tuple(trajectory.shape)}, allowed is (k, {p})")
    sizes = {len(leaf) if leaf.ndim else 0 for leaf in tree_leaves(samples)}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(f"samples: got lengths {sorted(sizes)}, allowed is one n >= 2")
    n = sizes.pop()
    found = [_at(flat_loss, weights.detach(), samples, n) for weights in trajectory]
    norm2, slopes, spreads = (torch.stack(part) for part in zip(*found, strict=True))
    if whole:
        return GradientNorms(norm2, spreads.mean(1), slopes, spreads, whole)
    trace = spreads.sum(1) / (n - 1)
    return GradientNorms(norm2 - trace / n, trace, slopes, spreads, whole)


def _at(loss: FlatLoss, weights: Tensor, samples: Any, n: int) -> tuple[Tensor, ...]:  # noqa: ANN401
    """At one point: the mean gradient's squared norm, the slopes and the spreads."""
    gradients = vmap(grad(loss), (None, 0))

    def total(weights: Tensor, part: Any) -> Tensor:  # noqa: ANN401
        return vmap(loss, (None, 0))(weights, part).sum()

    size = max(1, BLOCK_ENTRIES // len(weights))
    mean = sum(grad(total)(weights, part) for part in _blocks(samples, n, size)) / n
    slopes, spreads = [], []
    for part in _blocks(samples, n, size):
        # Centred before they are squared: late in training the mean is small beside them.
        centred = gradients(weights, part) - mean
        slopes.append(centred @ mean)
        spreads.append(centred.square().sum(1))
    joined = (torch.cat(parts).double().cpu() for parts in (slopes, spreads))
    return mean.double().square().sum().cpu(), *joined


def _blocks(samples: Any, n: int, size: int) -> Iterator[Any]:  # noqa: ANN401
    for start in range(0, n, size):
        yield tree_map(lambda leaf: leaf[start : start + size], samples)  # noqa: B023


def _of_flat_weights(loss: Loss, module: nn.Module) -> tuple[FlatLoss, int]:
    """The loss as a function of the flattened weights, and their number."""
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]

    def flat_loss(weights: Tensor, sample: Any) -> Tensor:  # noqa: ANN401
        parts = weights.split(sizes)
        named = {
            name: part.view(shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

        def network(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            return functional_call(module, named, args, kwargs)

        return loss(network, sample)

    return flat_loss, sum(sizes)


def _check_batch(batch: int) -> None:
    if batch < 1:
        raise ValueError(f"batch: got {batch}, allowed is at least 1")
