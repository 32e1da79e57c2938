"""Quadratic transport: between two samples, and between the Gaussians fitted to their features."""

import math
from collections.abc import Callable

import ot
import torch
from torch import Tensor

from genbound.arguments import Sample, declared
from genbound.estimate import Estimate
from genbound.estimators.two_sample import joined

__all__ = ["frechet", "squared_wasserstein2", "to_standard_normal", "wasserstein2"]

Features = Callable[[Tensor], Tensor]

# Pivots of the network simplex; it stops far earlier unless the samples are of tens of thousands.
PIVOTS = 10**7


@declared
def squared_wasserstein2(first: Sample, second: Sample) -> Estimate:
    """Squared Euclidean Wasserstein-2 distance between two samples, exactly.

    ``min over couplings of sum_ij c_ij |x_i - y_j|^2``, by network simplex. It is convex in both
    laws, so that of two samples exceeds, in the mean, that of the laws they were drawn from; the
    excess is of order ``n^(-2/d)`` for d > 4. The error is that of the optimal prices of the
    points: by how much the cost moves, to first order, with the weight of each. Where the laws
    agree the prices vanish and the error is of a smaller order than its excess.

    Args:
        first: Independent points, shape ``(n, d)``, n >= 2.
        second: Independent points, shape ``(m, d)``, m >= 2.

    Returns:
        In the squared unit of the points; side ``upper``. The influences are those of the first
        sample, then those of the second. Memory ``n m``, time about ``n^2.3`` for n = m.

    Raises:
        ValueError: If the samples are no matrices of two or more rows over the same space.

    Reference:
        Peyre and Cuturi 2019; del Barrio and Loubes 2019 for the error.
    """
    _check(first, second)
    first, second = first.detach().double(), second.detach().double()
    # The common centre, so that points far from 0 lose no digits.
    centre = first.mean(0)
    gaps = torch.cdist(
        first - centre, second - centre, compute_mode="donot_use_mm_for_euclid_dist"
    )
    _, found = ot.emd([], [], gaps.square().cpu().numpy(), numItermax=PIVOTS, log=True)
    prices = (torch.as_tensor(found[side], dtype=torch.float64) for side in ("u", "v"))
    return _from_effects(max(float(found["cost"]), 0.0), *prices, method="exact transport")


@declared
def wasserstein2(first: Sample, second: Sample) -> Estimate:
    """Euclidean Wasserstein-2 distance between two samples: the root of the squared one.

    The root is not convex (of a point and a mixture of it with another it is concave in the
    weight), so unlike the square it has no side for all laws.

    Args:
        first: Independent points, shape ``(n, d)``, n >= 2.
        second: Independent points, shape ``(m, d)``, m >= 2.

    Returns:
        In the unit of the points; ``consistent``, above the truth in most cases, by up to
        ``n^(-1/d)``. At 0 the error is unknown (nan).

    Raises:
        ValueError: As :func:`squared_wasserstein2`.
    """
    square = squared_wasserstein2(first, second)
    root = math.sqrt(square.value)
    if root == 0:
        return Estimate(0.0, math.nan, square.n, square.method, "consistent")
    slope = 1 / (2 * root)
    return Estimate(
        root,
        slope * square.stderr,
        square.n,
        square.method,
        "consistent",
        influence=slope * square.influence,
    )


@declared
def to_standard_normal(mean: Tensor, covariance: Tensor) -> float:
    """Wasserstein-2 distance of N(mean, covariance) from N(0, I), in closed form.

    ``(|m|^2 + sum_i (sqrt(v_i) - 1)^2)^(1/2)`` with the eigenvalues ``v_i`` of the covariance. No
    law with these two moments is nearer to N(0, I).

    Args:
        mean: Shape ``(d,)``.
        covariance: Symmetric, positive semi-definite, shape ``(d, d)``.

    Returns:
        The distance.

    Raises:
        ValueError: If the shapes don't fit.

    Reference:
        Gelbrich 1990.
    """
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        shape = tuple(covariance.shape)
        raise ValueError(f"covariance: got shape {shape} with a mean of {tuple(mean.shape)}")
    variances = torch.linalg.eigvalsh(covariance.double()).clamp_min(0)
    return math.sqrt(float(mean.double().square().sum() + (variances.sqrt() - 1).square().sum()))


@declared
def frechet(first: Tensor, second: Tensor, *, features: Features | None = None) -> Estimate:
    """Squared Frechet distance between the Gaussians fitted to features of two samples.

    ``|m - m'|^2 + tr S + tr S' - 2 tr (S^(1/2) S' S^(1/2))^(1/2)`` with the means and the
    covariances (divided by n - 1) of the features. With those of an Inception network it is the
    FID; with other features, here the points themselves unless a map is given, it is not to be
    compared with published ones. It sees two moments only: different laws may have distance 0.

    The square of the means' distance is convex in them, and the rest is convex in both
    covariances, which are unbiased: so the mean over samples lies above the distance of the laws.
    The excess is of order ``1 / n`` but grows with the number of features, and differs between
    models: compare at equal sizes.

    Args:
        first: Independent data, shape ``(n, ...)``, n >= 2.
        second: Independent data, shape ``(m, ...)``, m >= 2.
        features: Map of data ``(n, ...)`` to features ``(n, k)``; by default the identity, for
            data ``(n, d)``. It must not have seen the data compared.

    Returns:
        In the squared unit of the features; side ``upper``. Its error is of first order, through
        the optimal map between the Gaussians; unknown (nan) where a covariance is singular, as
        with no more data than features.

    Raises:
        ValueError: If the features are no matrices of two or more rows over the same space.

    Reference:
        Dowson and Landau 1982; Heusel et al. 2017; Chong and Forsyth 2020 for the excess.
    """
    name = "the data" if features is None else "features"
    if features is not None:
        first, second = features(first), features(second)
    _check(first, second)
    first, second = first.detach().double(), second.detach().double()
    shift = first.mean(0) - second.mean(0)
    centred = first - first.mean(0), second - second.mean(0)
    covariances = [part.mT @ part / (len(part) - 1) for part in centred]
    roots = [_root(covariance) for covariance in covariances]
    # The singular values of S^(1/2) S'^(1/2) are the eigenvalues of (S^(1/2) S' S^(1/2))^(1/2).
    left, overlap, right = torch.linalg.svd(roots[0] @ roots[1])
    spread = sum(covariance.trace() for covariance in covariances) - 2 * overlap.sum()
    value = max(float(shift.square().sum() + spread), 0.0)
    method = f"Gaussians fitted to {name}, k={first.shape[1]}"
    if any(torch.linalg.matrix_rank(root) < len(root) for root in roots):
        return Estimate(value, math.nan, len(first) + len(second), method, "upper")
    # S^(1/2) S'^(1/2) = U D V^T: the map from S to S' is S'^(1/2) V U^T S^(-1/2).
    turn = right.mT @ left.mT
    effects = []
    for part, sign, map_ in (
        (centred[0], 1.0, torch.linalg.solve(roots[0], turn.mT @ roots[1])),
        (centred[1], -1.0, torch.linalg.solve(roots[1], turn @ roots[0])),
    ):
        effects.append(2 * sign * part @ shift + (part * (part - part @ map_)).sum(1))
    return _from_effects(value, *effects, method=method)


def _root(covariance: Tensor) -> Tensor:
    variances, axes = torch.linalg.eigh(covariance)
    return axes * variances.clamp_min(0).sqrt() @ axes.mT


def _from_effects(value: float, first: Tensor, second: Tensor, *, method: str) -> Estimate:
    """An upward-biased value from the effects of the data of two independent samples."""
    stderr = math.sqrt(float(first.var()) / len(first) + float(second.var()) / len(second))
    n = len(first) + len(second)
    method = f"{method}, n={len(first)} and m={len(second)}"
    return Estimate(value, stderr, n, method, "upper", influence=joined(first, second))


def _check(first: Tensor, second: Tensor) -> None:
    shapes = tuple(first.shape), tuple(second.shape)
    if first.ndim != 2 or second.ndim != 2 or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"first, second: got shapes {shapes[0]} and {shapes[1]}, allowed are (n, d) and (m, d)"
        )
    if min(len(first), len(second)) < 2:
        raise ValueError(
            f"first, second: got {len(first)} and {len(second)} points, "
            "allowed are at least 2 of each"
        )
