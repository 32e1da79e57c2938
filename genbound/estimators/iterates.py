"""The iterates of one training within a window: their losses, and their geometry by two metrics.

The distance of two iterates is that of their weights, or the mean absolute difference of their
losses on the training data, which no reparametrisation changes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from genbound.arguments import Count, declared
from genbound.estimate import Estimate, mean
from genbound.estimators.score_matching import denoising_losses
from genbound.estimators.topology import Weighting, lifetimes, spanning_tree, weighting
from genbound.estimators.trajectory_geometry import Sketch, distances, edge_lengths

__all__ = ["Iterates", "Metric", "loss_distances", "path_losses"]

Metric = Literal["weights", "losses"]


@declared
@dataclass(frozen=True, eq=False)
class Iterates:
    """What a bound on the worst iterate asks of a training.

    Attributes:
        points: Weights of the iterates, in order of time, or their sketches, shape ``(k, p)``.
        losses: Loss of each iterate on each training datum, shape ``(k, n)``.
        untrained_loss: Loss of a model that has learned nothing.
        sketch: The map that made the points, if they are sketches.
        device: Where to compute; by default where the points are.
    """

    points: Tensor = field(repr=False)
    losses: Tensor = field(repr=False)
    untrained_loss: Estimate
    sketch: Sketch | None = None
    device: torch.device | str | None = None

    def __post_init__(self) -> None:
        """Check that there is a row of losses for each iterate."""
        if self.points.ndim != 2 or self.losses.ndim != 2 or len(self.points) != len(self.losses):
            raise ValueError(
                f"losses: got shape {tuple(self.losses.shape)}, allowed is (k, n) for points "
                f"(k, p), here {tuple(self.points.shape)}"
            )

    @property
    def loss(self) -> Estimate:
        """Training loss of the last iterate, the one that would be used."""
        return mean(self.losses[-1], method="training loss of the last iterate")

    @declared
    def separations(self, metric: Metric = "weights") -> Tensor:
        """Distances between the iterates, shape ``(k, k)``, float64; computed once."""
        return self._apart if metric == "weights" else self._losses_apart

    def distinct(self) -> int:
        """Number of iterates with different weights."""
        apart = self._apart + torch.eye(len(self._apart), device=self._apart.device)
        return len(apart) - int((apart == 0).triu().any(0).sum())

    @declared
    def lifetimes(self, *, alpha: float, metric: Metric = "weights") -> Estimate:
        """Lifetime sum of the iterates, as :func:`genbound.estimators.topology.lifetime_sum`."""
        method = f"spanning tree of {len(self.points)} points by {metric}"
        if metric == "losses":
            return lifetimes(self._losses_tree, alpha, method=method)
        return lifetimes(self._tree, alpha, method=method, sketch=self.sketch)

    def weighting(self, *, scale: float, metric: Metric = "weights") -> Weighting:
        """Weights of the iterates at a scale, for both magnitudes."""
        return weighting(self.separations(metric), scale=scale)

    def positive_magnitude(self, *, scale: float, metric: Metric = "weights") -> Estimate:
        """Positive magnitude at a scale; that of sketches is on no side of the weights'."""
        found = self.weighting(scale=scale, metric=metric).positive_magnitude
        if self.sketch is not None and metric == "weights" and self.sketch.distortion:
            text = f"{found.method}, {self.sketch}"
            return Estimate(found.value, math.nan, len(self.sketch.order), text, "unknown")
        return found

    @declared
    def worst_gap(self, fresh: Tensor) -> Estimate:
        """The largest gap of an iterate, fresh loss less training loss.

        Args:
            fresh: Loss of each iterate on data that no iterate has seen, shape ``(k, m)``.

        Returns:
            The gap of the iterate that looks worst; ``upper``, because the largest of noisy
            values is too large on the mean. The error is that of the fresh data alone, the
            training data being what the gap speaks of.

        Raises:
            ValueError: If there is no row of fresh losses for each iterate.
        """
        if fresh.ndim != 2 or len(fresh) != len(self.losses):
            shape = tuple(fresh.shape)
            raise ValueError(f"fresh: got shape {shape}, allowed is ({len(self.losses)}, m)")
        gaps = fresh.double().mean(1) - self.losses.double().mean(1)
        worst = int(gaps.argmax())
        unseen = mean(fresh[worst], method="")
        text = f"largest of {len(gaps)} gaps, {fresh.shape[1]} fresh data"
        return Estimate(float(gaps[worst]), unseen.stderr, unseen.n, text, "upper")

    @cached_property
    def _apart(self) -> Tensor:
        return distances(self.points, device=self.device)

    @cached_property
    def _losses_apart(self) -> Tensor:
        return loss_distances(self.losses)

    @cached_property
    def _tree(self) -> Tensor:
        return edge_lengths(self.points, spanning_tree(self._apart), device=self.device)

    @cached_property
    def _losses_tree(self) -> Tensor:
        edges = spanning_tree(self._losses_apart)
        return self._losses_apart[edges[:, 0], edges[:, 1]]


@declared
def loss_distances(losses: Tensor) -> Tensor:
    """Data pseudo-metric, ``rho_S(a, b) = (1/n) sum_i |loss_a(x_i) - loss_b(x_i)|``.

    Two iterates with the same losses are at distance zero, whatever their weights.

    Args:
        losses: Shape ``(k, n)``, with noise common to all iterates.

    Returns:
        Shape ``(k, k)``, float64.

    Raises:
        ValueError: If the losses are no matrix.
    """
    if losses.ndim != 2 or not losses.numel():
        raise ValueError(f"losses: got shape {tuple(losses.shape)}, allowed is (k, n)")
    losses = losses.double()
    return torch.cdist(losses, losses, p=1) / losses.shape[1]


@declared
def path_losses(
    model: nn.Module,
    window: Tensor,
    data: Tensor,
    *,
    draws: Count,
    generator: torch.Generator,
) -> Tensor:
    """Denoising losses along a trajectory, with the same noise for all iterates.

    As long as the noise stays, a datum is a point with its noise, and nothing is approximate.

    Args:
        model: Score model with the architecture of the iterates; its weights are put back.
        window: Flattened weights, in the order of its parameters, shape ``(k, p)``.
        data: Shape ``(n, d)``.
        draws: Noise levels per datum, one in each of as many strata.
        generator: Source of levels and noise; it is left as after one iterate.

    Returns:
        Losses in nats, shape ``(k, n)``, float64.

    Raises:
        ValueError: If the window has other weights than the model.
    """
    p = sum(parameter.numel() for parameter in model.parameters())
    if window.ndim != 2 or window.shape[1] != p or not len(window):
        raise ValueError(f"window: got shape {tuple(window.shape)}, allowed is (k, {p})")
    own = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    state = generator.get_state()

    def losses() -> Iterator[Tensor]:
        for weights in window:
            generator.set_state(state)
            with torch.no_grad():
                nn.utils.vector_to_parameters(weights, model.parameters())
            yield denoising_losses(model, data, draws=draws, generator=generator)

    try:
        return torch.stack(list(losses()))
    finally:
        with torch.no_grad():
            nn.utils.vector_to_parameters(own, model.parameters())
