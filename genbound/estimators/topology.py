"""Topology of a trajectory: the lengths of its spanning tree, and its magnitude.

Both measure how many different places a trajectory visits. The lifetimes of its connected
components, when balls around the iterates grow, are the edges of the minimum spanning tree.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genbound.estimate import Estimate, exact
from genbound.estimators.trajectory_geometry import Sketch, distances, edge_lengths

__all__ = ["Weighting", "lifetime_sum", "spanning_tree", "weighting"]


def spanning_tree(separations: Tensor) -> Tensor:
    """Edges of a minimum spanning tree, by Prim's rule, one row of the matrix at a time.

    Points at distance zero are joined by an edge of length zero, as they should be (a sparse
    matrix would take it for no edge).

    Args:
        separations: Symmetric distances, shape ``(n, n)``.

    Returns:
        Pairs of indices, shape ``(n - 1, 2)``, in the order in which the points are reached from
        the first.

    Raises:
        ValueError: If the distances are not a square matrix of finite nonnegative numbers.
    """
    _check(separations)
    n = len(separations)
    # An index of its own for each row keeps the loop on the device.
    here = torch.zeros(1, dtype=torch.long, device=separations.device)
    nearest = torch.full_like(separations[0], torch.inf)
    outside = torch.ones(n, dtype=torch.bool, device=separations.device)
    parent = torch.zeros(n, dtype=torch.long, device=separations.device)
    edges = torch.empty(n - 1, 2, dtype=torch.long, device=separations.device)
    for k in range(n - 1):
        outside.index_fill_(0, here, False)
        nearest.index_fill_(0, here, torch.inf)
        row = separations.index_select(0, here)[0]
        closer = (row < nearest) & outside
        nearest = torch.where(closer, row, nearest)
        parent = torch.where(closer, here, parent)
        here = nearest.argmin(0, keepdim=True)
        edges[k, 0:1] = parent.index_select(0, here)
        edges[k, 1:2] = here
    return edges


def lifetime_sum(
    points: Tensor,
    *,
    alpha: float = 1.0,
    product: torch.dtype = torch.float64,
    sketch: Sketch | None = None,
    block: int = 4096,
    device: torch.device | str | None = None,
) -> Estimate:
    """Sum of the lifetimes of a trajectory's components, ``E^alpha = sum |edge|^alpha``.

    The edges are those of the minimum spanning tree; their lengths are recomputed from the
    points' differences in float64, so only the choice of the tree feels the product's rounding.

    Args:
        points: Iterates (in order of time) or their sketches, shape ``(n, d)``.
        alpha: Power, positive.
        product: Type of the inner products (:func:`distances`). With float32 a tree may be chosen
            that is not quite minimal.
        sketch: The map that made the points, if they are sketches.
        block: Coordinates taken at a time.
        device: Where to compute; by default where the points are.

    Returns:
        In the unit of the weights to the power alpha. Exact in float64; ``upper`` in float32, for
        no tree is shorter than the minimal one. Of sketches ``lower`` for alpha <= 2: on the mean
        no edge is longer, and the least of several trees is shorter still. The standard error is
        then what would hold if all edges erred together.

    Raises:
        ValueError: If alpha is not positive or the points don't fit.

    Reference:
        In the spirit of Andreeva et al. 2024, alpha-weighted lifetime sums.
    """
    if not alpha > 0:
        raise ValueError(f"alpha: got {alpha}, allowed is alpha > 0")
    if sketch is not None and points.shape[-1] != (k := len(sketch.order)):
        raise ValueError(f"points: got dimension {points.shape[-1]}, allowed is the sketch's {k}")
    separations = distances(points, product=product, block=block, device=device)
    edges = spanning_tree(separations)
    value = float(edge_lengths(points, edges, block=block, device=device).pow(alpha).sum())
    name = f"spanning tree of {len(points)} points, alpha={alpha:g}"
    if sketch is not None and sketch.distortion:
        side = "lower" if alpha <= 2 and product == torch.float64 else "unknown"
        k = len(sketch.order)
        return Estimate(value, alpha * sketch.distortion * value, k, f"{name}, {sketch}", side)
    if product != torch.float64:
        return Estimate(value, 0.0, 0, f"{name}, tree in {product}", "upper")
    return exact(value, method=name)


@dataclass(frozen=True, eq=False)
class Weighting:
    """The weights of the points of a set at a scale, which solve ``Z w = 1``.

    Attributes:
        weights: Shape ``(n,)``; of equal points the first has the weight, the others none.
        scale: s of ``Z_ab = exp(-s d(a, b))``.
        residual: Largest entry of ``|Z w - 1|``.
        points: Number of different points.
    """

    weights: Tensor
    scale: float
    residual: float
    points: int

    @property
    def magnitude(self) -> Estimate:
        """Sum of the weights: the effective number of points."""
        return exact(float(self.weights.sum()), method=f"magnitude, {self._how}")

    @property
    def positive_magnitude(self) -> Estimate:
        """Sum of the positive weights, not below the magnitude."""
        value = float(self.weights.clamp(min=0).sum())
        return exact(value, method=f"positive magnitude, {self._how}")

    @property
    def _how(self) -> str:
        return f"scale {self.scale:.4g}, {self.points} points, residual {self.residual:.1e}"

    def __repr__(self) -> str:
        """Both magnitudes, the scale and the residual."""
        return (
            f"Weighting(magnitude={self.magnitude}, positive={self.positive_magnitude}, "
            f"{self._how})"
        )


def weighting(separations: Tensor, *, scale: float, tolerance: float = 1e-10) -> Weighting:
    """Weights of a finite metric space, by Cholesky in float64 and one step of refinement.

    ``sum_b exp(-s d(a, b)) w_b = 1`` for all a. Points at distance zero count as one.

    Args:
        separations: Symmetric distances, shape ``(n, n)``, in float64 where the scale is small:
            the positive magnitude feels errors that the magnitude doesn't show. Distances of
            sketches give the weights of the sketches, which lie on no side of the others.
        scale: s, positive, one over the unit of the distances.
        tolerance: Largest residual allowed.

    Returns:
        The weights, with their residual.

    Raises:
        ValueError: If the distances are no square matrix of finite nonnegative numbers, the scale
            is not positive, or the system cannot be solved: the similarities are not positive
            definite (Euclidean distances of different points always are, up to rounding).

    Reference:
        Leinster, The magnitude of metric spaces (2013).
    """
    _check(separations)
    if not scale > 0:
        raise ValueError(f"scale: got {scale}, allowed is scale > 0")
    separations = separations.double()
    indices = torch.arange(len(separations), device=separations.device)
    kept = (separations == 0).int().argmax(1) == indices
    similarity = torch.exp(-scale * separations[kept][:, kept])
    factor, failed = torch.linalg.cholesky_ex(similarity)
    if failed:
        raise ValueError(
            f"scale: got {scale}, at which the similarities are not positive definite in float64; "
            "allowed are larger scales, or distances of a Euclidean space"
        )
    ones = torch.ones(len(similarity), 1, dtype=torch.float64, device=separations.device)
    solution = torch.cholesky_solve(ones, factor)
    solution = solution + torch.cholesky_solve(ones - similarity @ solution, factor)
    residual = float((similarity @ solution - ones).abs().max())
    if not residual <= tolerance:
        raise ValueError(f"tolerance: got {tolerance:g}, the residual is {residual:.1e}")
    weights = torch.zeros(len(separations), dtype=torch.float64, device=separations.device)
    weights[kept] = solution[:, 0]
    return Weighting(weights, scale, residual, int(kept.sum()))


def _check(separations: Tensor) -> None:
    if separations.ndim != 2 or len(separations) != separations.shape[-1] or not len(separations):
        raise ValueError(
            f"separations: got shape {tuple(separations.shape)}, allowed is (n, n) with n >= 1"
        )
    if not bool(((separations >= 0) & separations.isfinite()).all()):
        raise ValueError("separations: got negative or infinite ones, allowed are finite d >= 0")
