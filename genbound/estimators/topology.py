"""Topology of a trajectory: the lengths of its spanning tree, and its magnitude.

Both measure how many different places a trajectory visits. The lifetimes of its connected
components, when balls around the iterates grow, are the edges of the minimum spanning tree.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.estimate import Estimate, exact
from genbound.estimators.trajectory_geometry import Sketch, distances, edge_lengths

__all__ = ["Weighting", "lifetime_sum", "lifetimes", "spanning_tree", "weighting"]


@declared
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
    # Short rows and many steps: NumPy on the processor beats any launch of a kernel per step.
    rows = separations.detach().cpu().numpy()
    n = len(rows)
    nearest, parent = rows[0].copy(), np.zeros(n, dtype=np.int64)
    inside = np.zeros_like(nearest)
    row, closer = np.empty_like(nearest), np.empty(n, dtype=bool)
    nearest[0] = inside[0] = np.inf
    reached = np.empty(n - 1, dtype=np.int64)
    for k in range(n - 1):
        reached[k] = here = nearest.argmin()
        nearest[here] = inside[here] = np.inf
        np.add(rows[here], inside, out=row)
        np.less(row, nearest, out=closer)
        np.copyto(nearest, row, where=closer)
        np.copyto(parent, here, where=closer)
    # The parent of a point that is inside doesn't change any more.
    return torch.from_numpy(np.stack([parent[reached], reached], 1)).to(separations.device)


@declared
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
        alpha: Power, positive. The bounds ask for alpha <= 1, where the powers of distances are
            distances; the dimension (:mod:`genbound.estimators.dimension`) for any.
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
    if sketch is not None and points.shape[-1] != (k := len(sketch.order)):
        raise ValueError(f"points: got dimension {points.shape[-1]}, allowed is the sketch's {k}")
    # Only the choice of the tree rests on these distances: a tenth of a square is good enough.
    tolerance = None if product == torch.float64 else 0.1
    separations = distances(
        points, product=product, tolerance=tolerance, block=block, device=device
    )
    edges = spanning_tree(separations)
    lengths = edge_lengths(points, edges, block=block, device=device)
    method = f"spanning tree of {len(points)} points"
    found = lifetimes(lengths, alpha, method=method, sketch=sketch)
    if product == torch.float64:
        return found
    side = "upper" if found.side == "exact" else "unknown"
    return replace(found, method=f"{found.method}, tree in {product}", side=side)


def lifetimes(
    lengths: Tensor, alpha: float, *, method: str, sketch: Sketch | None = None
) -> Estimate:
    """The lifetime sum from the edges of a minimal tree.

    Args:
        lengths: Of the edges, shape ``(n - 1,)``.
        alpha: Power, positive.
        method: Where the edges are from.
        sketch: The map that made the points, if they are sketches.

    Returns:
        As :func:`lifetime_sum`, in float64.

    Raises:
        ValueError: If alpha is not positive.
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha: got {alpha}, allowed is 0 < alpha < inf")
    value, method = float(lengths.pow(alpha).sum()), f"{method}, alpha={alpha:g}"
    if sketch is None or not sketch.distortion:
        return exact(value, method=method)
    error, k = alpha * sketch.distortion * value, len(sketch.order)
    side = "lower" if alpha <= 2 else "unknown"
    return Estimate(value, error, k, f"{method}, {sketch}", side)


@dataclass(frozen=True, eq=False)
class Weighting:
    """The weights of the points of a set at a scale, which solve ``Z w = 1``.

    Attributes:
        weights: Shape ``(n,)``; of equal points the first has the weight, the others none.
        scale: s of ``Z_ab = exp(-s d(a, b))``.
        residual: Largest entry of ``|Z w - 1|``.
        points: Number of different points.
        definite: Whether Z is positive definite, as it is for Euclidean distances. If not, the
            magnitude may be anything, even negative; the positive magnitude keeps its sense.
    """

    weights: Tensor
    scale: float
    residual: float
    points: int
    definite: bool = True

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
    def saturation(self) -> float:
        """Positive magnitude over the number of points; near 1 the scale sees isolated points."""
        return self.positive_magnitude.value / self.points

    @property
    def _how(self) -> str:
        kind = "" if self.definite else ", indefinite similarities"
        return f"scale {self.scale:.4g}, {self.points} points, residual {self.residual:.1e}{kind}"

    def __repr__(self) -> str:
        """Both magnitudes, the scale and the residual."""
        return (
            f"Weighting(magnitude={self.magnitude}, positive={self.positive_magnitude}, "
            f"saturation={self.saturation:.2f}, {self._how})"
        )


@declared
def weighting(separations: Tensor, *, scale: float, tolerance: float = 1e-10) -> Weighting:
    """Weights of a finite metric space, in float64.

    ``sum_b exp(-s d(a, b)) w_b = 1`` for all a. Points at distance zero count as one. Where the
    scale isolates the points, by conjugate gradients, else by Cholesky and one step of
    refinement. Similarities that are not positive definite, as distances between losses may
    make them, are solved all the same, and the result is flagged.

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
            is not positive, or the system cannot be solved (the scale is too small for float64,
            or too small for these distances).

    Reference:
        Leinster, The magnitude of metric spaces (2013).
    """
    _check(separations)
    if not scale > 0:
        raise ValueError(f"scale: got {scale}, allowed is scale > 0")
    separations = separations.double()
    n, kept = len(separations), slice(None)
    if int(separations.count_nonzero()) < n * (n - 1):
        first = (separations == 0).int().argmax(1)
        kept = first == torch.arange(n, device=separations.device)
        separations = separations[kept][:, kept]
    similarity = torch.mul(separations, -scale).exp_()
    solution, definite = _solved(similarity)
    residual = float((similarity @ solution - 1).abs().max())
    if not residual <= tolerance:
        raise ValueError(
            f"scale: got {scale}, at which the residual is {residual:.1e}; allowed are larger "
            f"scales, or a tolerance above {tolerance:g}"
        )
    weights = similarity.new_zeros(n)
    weights[kept] = solution
    return Weighting(weights, scale, residual, len(similarity), definite)


def _solved(similarity: Tensor) -> tuple[Tensor, bool]:
    """Solution of ``Z w = 1``, and whether Z is positive definite."""
    ones = similarity.new_ones(len(similarity))
    if float((similarity @ ones).max()) < 1.9:
        # Rows dominated by the diagonal: well conditioned, and definite for certain.
        return _conjugate_gradients(similarity, ones), True
    factor, failed = torch.linalg.cholesky_ex(similarity)
    if failed:
        lower, pivots, _ = torch.linalg.ldl_factor_ex(similarity)

    def solve(right: Tensor) -> Tensor:
        right = right[:, None]
        if failed:
            return torch.linalg.ldl_solve(lower, pivots, right)[:, 0]
        return torch.cholesky_solve(right, factor)[:, 0]

    solution = solve(ones)
    return solution + solve(ones - similarity @ solution), not failed


def _conjugate_gradients(matrix: Tensor, right: Tensor, *, steps: int = 100) -> Tensor:
    solution, residual, direction = torch.zeros_like(right), right, right
    square = residual @ residual
    for _ in range(steps):
        image = matrix @ direction
        length = square / (direction @ image)
        solution, residual = solution + length * direction, residual - length * image
        before, square = square, residual @ residual
        if float(residual.abs().max()) < 1e-15:
            break
        direction = residual + square / before * direction
    return solution


def _check(separations: Tensor) -> None:
    if separations.ndim != 2 or len(separations) != separations.shape[-1] or not len(separations):
        raise ValueError(
            f"separations: got shape {tuple(separations.shape)}, allowed is (n, n) with n >= 1"
        )
    # A sum would tell of numbers that are not finite, but may overflow; the extremes do, too.
    least, greatest = separations.aminmax()
    if not (float(least) >= 0 and math.isfinite(greatest)):
        raise ValueError("separations: got negative or infinite ones, allowed are finite d >= 0")
