"""Distances between the iterates of a training run, and sketches of runs too long to be stored.

Late in training the steps are tiny beside the weights, and the usual product form of a distance
loses all digits. Here the products are those of the increments, which are as small as the
distances themselves; they are summed in float64, and a pair that still lost its digits is
computed again from its difference.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from scipy.linalg.blas import dsyrk, ssyrk
from torch import Tensor

from genbound.arguments import declared

#: Rows taken at a time, to stay in the cache.
BAND = 128
Parts = Callable[[], Iterator[Tensor]]

__all__ = ["Sketch", "distances", "edge_lengths", "path_distances", "sketch"]


@declared
def distances(
    points: Tensor,
    *,
    product: torch.dtype = torch.float64,
    tolerance: float | None = None,
    block: int = 4096,
    device: torch.device | str | None = None,
) -> Tensor:
    """Euclidean distances between the iterates of a trajectory, in order of time.

    ``D_ij^2 = S_ii + S_jj - 2 S_ij`` with ``S`` the double running sum of the increments' inner
    products. The order matters only for the accuracy: any point set is allowed.

    Args:
        points: Iterates, shape ``(n, d)``; they may lie elsewhere than on ``device``, which sees
            ``block`` coordinates at a time.
        product: Type of the inner products: float64, relative error about 1e-8 at worst, or
            float32, faster, about 2e-4 at worst and 1e-6 mostly (on a GPU, TF32 must be off).
        tolerance: A pair is computed again from its difference where rounding may have taken this
            share of its squared distance; by default the root of the product's precision.
        block: Coordinates taken at a time.
        device: Where to compute; by default where the points are.

    Returns:
        Symmetric, zero diagonal, shape ``(n, n)``, float64, on ``device``. Equal points have
        distance zero exactly.

    Raises:
        ValueError: If the points are not a finite matrix of floats or an option is not allowed.
    """
    _check(points, "points", product, block)
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance: got {tolerance}, allowed is > 0")
    place = points.device if device is None else torch.device(device)

    def parts() -> Iterator[Tensor]:
        return (part.to(place) for part in points.detach().split(block, 1))

    return _distances(parts, len(points), product, place, tolerance)


@declared
def path_distances(
    increments: Tensor,
    *,
    product: torch.dtype = torch.float64,
    block: int = 4096,
    device: torch.device | str | None = None,
) -> Tensor:
    """Distances between the points of a path that is known by its steps.

    Steps below the rounding of the weights are kept: the weights themselves are not needed.

    Args:
        increments: Steps ``theta_{k+1} - theta_k``, shape ``(n - 1, d)``.
        product: As for :func:`distances`.
        block: Coordinates taken at a time.
        device: Where to compute; by default where the increments are.

    Returns:
        Shape ``(n, n)``, float64, on ``device``.

    Raises:
        ValueError: As for :func:`distances`.
    """
    _check(increments, "increments", product, block)
    place = increments.device if device is None else torch.device(device)

    def parts() -> Iterator[Tensor]:
        for part in increments.split(block, 1):
            walked = part.to(place, torch.float64).cumsum(0)
            yield torch.cat([torch.zeros_like(walked[:1]), walked])

    return _distances(parts, len(increments) + 1, product, place, None)


def edge_lengths(
    points: Tensor,
    edges: Tensor,
    *,
    block: int = 4096,
    device: torch.device | str | None = None,
) -> Tensor:
    """Distances of given pairs from their differences in float64, with no cancellation.

    Args:
        points: Shape ``(n, d)``.
        edges: Pairs of indices, shape ``(m, 2)``.
        block: Coordinates taken at a time.
        device: Where to compute; by default where the points are.

    Returns:
        Shape ``(m,)``, float64, on ``device``.

    Raises:
        ValueError: If the points are not a finite matrix of floats, the edges are no pairs, or
            the block is not positive.
    """
    _check(points, "points", torch.float64, block)
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError(f"edges: got shape {tuple(edges.shape)}, allowed is (m, 2)")
    place = points.device if device is None else torch.device(device)
    parts = (part.to(place) for part in points.detach().split(block, 1))
    return _squared_lengths(parts, edges.to(place)).sqrt()


@dataclass(frozen=True, eq=False)
class Sketch:
    """A random linear map to few dimensions, for iterates that are too many to be stored.

    The coordinates get random signs and are dealt out at random to k equal groups, each of which
    is summed. A squared length keeps its mean, and its relative variance is at most 2 / k,
    whatever the dimension. The map is linear: it may be applied to increments as they come.

    Attributes:
        order: Which coordinate stands where, shape ``(k, m)``; ``d`` and above stand for none.
        sign: Signs of the coordinates, shape ``(d,)``.
    """

    order: Tensor
    sign: Tensor

    @property
    def distortion(self) -> float:
        """Relative standard deviation of a distance, to first order at most: 1 / sqrt(2 k)."""
        return 0.0 if self.order.shape[1] == 1 else 1 / math.sqrt(2 * len(self.order))

    def __call__(self, points: Tensor) -> Tensor:
        """Sketch of points.

        Args:
            points: Shape ``(..., d)``, on the device of the sketch. Late in training give
                increments, or differences from one iterate: the sums are in float64, but what the
                rounding of the weights has taken is gone.

        Returns:
            Shape ``(..., k)``, float64.

        Raises:
            ValueError: If the dimension is not that of the sketch.
        """
        if points.shape[-1] != len(self.sign):
            raise ValueError(
                f"points: got dimension {points.shape[-1]}, allowed is {len(self.sign)}"
            )
        signed = points.double() * self.sign
        missing = self.order.numel() - len(self.sign)
        padded = torch.nn.functional.pad(signed, (0, missing))
        return padded[..., self.order].sum(-1)

    def __repr__(self) -> str:
        """Dimensions and distortion."""
        sizes = f"{len(self.sign)} -> {len(self.order)}"
        return f"Sketch({sizes}, distortion={self.distortion:.2g})"


@declared
def sketch(
    d: int, k: int, *, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Sketch:
    """Draw a sketch; one and the same serves all iterates of a trajectory.

    Args:
        d: Dimension of the weights.
        k: Dimension of the sketches; from ``d`` on the map is an isometry.
        generator: Source of the draw, on ``device``.
        device: Device of the weights.

    Returns:
        The map.

    Raises:
        ValueError: If a dimension is not positive.
    """
    if min(d, k) < 1:
        raise ValueError(f"k: got d={d} and k={k}, allowed are positive dimensions")
    places = -(-d // k) * k
    order = torch.randperm(places, generator=generator, device=device).reshape(k, -1)
    sign = torch.randint(0, 2, (d,), generator=generator, device=device).double() * 2 - 1
    return Sketch(order, sign)


def _distances(
    parts: Parts, n: int, product: torch.dtype, place: torch.device, tolerance: float | None
) -> Tensor:
    """Distances from column blocks of points, which ``parts()`` yields anew at each call."""
    squared = torch.zeros(n, n, dtype=torch.float64, device=place)
    gram = _gram(parts, n - 1, product, place)
    own, between = gram.diagonal(), torch.zeros(n - 1, dtype=torch.float64, device=place)
    # Rounding: of the inner products of the steps between a pair, and of a few running sums.
    travelled = own.cumsum(0)
    tolerance = math.sqrt(torch.finfo(product).eps) if tolerance is None else tolerance
    product_eps, eps = torch.finfo(product).eps / tolerance, 16 * torch.finfo(torch.float64).eps
    lost = [torch.empty(0, 2, dtype=torch.long, device=place)]
    # A band of points and all later ones, seen from the point before the band: nothing that
    # happened earlier can cost a digit. The last band comes first, for the sums to be short.
    for start in reversed(range(0, n - 1, BAND)):
        band = gram[start : start + BAND, start:].triu()
        between[start:] += band.triu(1).sum(0)
        reach = (own[start:] + 2 * between[start:]).cumsum(0)
        size = len(band)
        band[:, :size] += band[:, :size].triu(1).mT
        noise = (travelled[start:] - travelled[start : start + size, None]) * product_eps
        part = band.cumsum(0).cumsum_(1).mul_(-2).add_(reach[:size, None]).add_(reach)
        noise += (reach[:size, None] + reach) * (eps / tolerance)
        squared[1 + start : 1 + start + size, 1 + start :] = part
        lost.append((part <= noise).triu_(1).nonzero() + 1 + start)
    if n > 1:
        # Seen from the very first point, which is in no band.
        squared[0, 1:] = reach
        noise = travelled * product_eps + reach * (eps / tolerance)
        lost.append(torch.nn.functional.pad((reach <= noise).nonzero() + 1, (1, 0)))
    pairs = torch.cat(lost)
    if product != torch.float64 and len(pairs) > 32 * n:
        return _distances(parts, n, torch.float64, place, None)
    squared[pairs[:, 0], pairs[:, 1]] = _squared_lengths(parts(), pairs)
    for start in range(0, n, BAND):
        band = squared[start : start + BAND, start:].clamp_(min=0).sqrt_()
        size = len(band)
        corner = band[:, :size].triu(1)
        band[:, :size] = corner + corner.mT
        squared[start + size :, start : start + size] = band[:, size:].mT
    return squared


def _gram(parts: Parts, n: int, product: torch.dtype, place: torch.device) -> Tensor:
    """Inner products of the n steps; what stands left of the diagonal may be anything."""
    gram = torch.zeros(n, n, dtype=torch.float64, device=place)
    for part in parts():
        steps = part.to(torch.promote_types(part.dtype, product)).diff(dim=0).to(product)
        if place.type != "cpu":
            gram += steps @ steps.mT
        elif n:
            # Half the work of a product; its lower half is the upper one in rows.
            half = ssyrk if product == torch.float32 else dsyrk
            gram += torch.from_numpy(half(1.0, steps.numpy().T, trans=1, lower=1).T)
    return gram


def _squared_lengths(parts: Iterator[Tensor], pairs: Tensor, entries: int = 2**18) -> Tensor:
    """Few pairs at a time, so that their differences stay in the cache."""
    total = torch.zeros(len(pairs), dtype=torch.float64, device=pairs.device)
    for part in parts:
        rows = max(1, entries // part.shape[1]) if part.device.type == "cpu" else len(pairs)
        for now, sums in zip(pairs.split(rows), total.split(rows), strict=True):
            first, second = part[now[:, 0]].double(), part[now[:, 1]].double()
            sums += (first - second).square_().sum(1)
    return total


def _check(points: Tensor, name: str, product: torch.dtype, block: int) -> None:
    if points.ndim != 2 or not points.numel() or not points.is_floating_point():
        raise ValueError(
            f"{name}: got {points.dtype} of shape {tuple(points.shape)}, allowed are floats (n, d)"
        )
    if product not in (torch.float32, torch.float64):
        raise ValueError(f"product: got {product}, allowed are torch.float32 and torch.float64")
    if block < 1:
        raise ValueError(f"block: got {block}, allowed is block >= 1")
    # A sum would do, but for the overflow of finite numbers; the extremes show all others.
    ends = (end for part in points.detach().split(block, 1) for end in part.aminmax())
    if not all(math.isfinite(end) for end in ends):
        raise ValueError(f"{name}: got values that are not finite, allowed are finite ones")
