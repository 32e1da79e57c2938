"""Paths that do not fit: random projections of flattened weights, taken while training runs.

A path of N iterates with p weights takes N p numbers; projected to k directions it takes N k, and
each distance keeps its size up to a relative deviation of about 1 / sqrt(2 k). The matrix of the
projection is drawn again, block by block, whenever it is needed: it takes no memory either.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from genbound.training.ensemble import stream

__all__ = ["Projection", "projection"]


@dataclass(frozen=True)
class Projection:
    """The map w -> A w with A of independent N(0, 1/k) entries, A never held whole.

    For each fixed w, k |A w|^2 / |w|^2 is chi-squared with k degrees of freedom, whatever w and p
    are; so the map keeps squared lengths in the mean, with relative variance exactly 2 / k. It is
    linear: the projected increments are the increments of the projected path. The sketch of
    :mod:`genbound.estimators.trajectory_geometry` takes p operations instead of k p; there 2 / k
    is a bound, and the law depends on w.

    Attributes:
        p: Number of weights.
        k: Number of directions.
        seed: What the entries are drawn from: equal values are equal maps.
        block: Weights that are taken at a time, so that k x block entries are held. It belongs to
            the map: another block draws other entries.
    """

    p: int
    k: int
    seed: int
    block: int

    @property
    def distortion(self) -> float:
        """Relative standard deviation of a length, to first order: 1 / sqrt(2 k)."""
        return 1 / math.sqrt(2 * self.k)

    def __call__(self, weights: Tensor) -> Tensor:
        """Project weights; many rows share the cost of drawing the entries.

        Args:
            weights: Flattened weights, (..., p). Products and sums are in float64, so that even
                tiny steps of float32 weights are the differences of their projections.

        Returns:
            (..., k), float64, on the device of the weights. CPU and CUDA draw other entries, so
            one path is projected on one device.

        Raises:
            ValueError: If there are not p weights.
        """
        if weights.shape[-1:] != (self.p,):
            raise ValueError(f"weights must be (..., {self.p}), got {tuple(weights.shape)}")
        total = weights.new_zeros((*weights.shape[:-1], self.k), dtype=torch.float64)
        parts = weights.split(self.block, -1)
        for part, entries in zip(parts, self._blocks(weights.device), strict=True):
            total += part.double() @ entries
        return total / math.sqrt(self.k)

    def _blocks(self, device: torch.device) -> Iterator[Tensor]:
        for i, start in enumerate(range(0, self.p, self.block)):
            generator = stream(self.seed, f"projection {i}", device=device)
            size = (min(self.block, self.p - start), self.k)
            yield torch.randn(size, generator=generator, dtype=torch.float64, device=device)


def projection(p: int, k: int, *, generator: Generator, block: int = 4096) -> Projection:
    """Draw a projection; one and the same serves all iterates of a path.

    Args:
        p: Number of weights.
        k: Number of directions. From 4 log(N) / (eps^2 / 2 - eps^3 / 3) on, all squared distances
            of N points are kept up to factors 1 +- eps with probability at least 1 / N; twice
            that many directions make it 1 - 1 / N^2.
        generator: Source of the one number that fixes all entries.
        block: Weights that are taken at a time.

    Returns:
        The map, a value: it can be kept, printed, and drawn again.

    Raises:
        ValueError: If a number is not positive.

    Reference:
        Johnson and Lindenstrauss (1984); Dasgupta and Gupta (2003).
    """
    for name, count in {"p": p, "k": k, "block": block}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    top = torch.iinfo(torch.int64).max
    seed = torch.randint(top, (), generator=generator, device=generator.device)
    return Projection(p, k, int(seed), block)
