"""Topology of a trajectory: trees, magnitudes, and the distances between its iterates."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from genbound.estimators.topology import lifetime_sum, spanning_tree, weighting
from genbound.estimators.trajectory_geometry import distances


def walk(n, d, *, step=1.0, start=0.0, dtype=torch.float64, seed=1):
    """A random walk; with a start, late in a training: steps far smaller than the weights."""
    generator = torch.Generator().manual_seed(seed)
    increments = torch.randn(n, d, generator=generator, dtype=dtype)
    return increments.mul_(step).cumsum_(0).add_(start)


def chosen(separations, edges):
    return float(separations[edges[:, 0], edges[:, 1]].sum())


@pytest.mark.parametrize("n", [1000, 2000, 5000])
def test_tree(versus, n):
    points = walk(n, 10)
    points[: n // 50] = points[n // 2 : n // 2 + n // 50]  # duplicates
    separations = distances(points)
    matrix = separations.numpy()
    truth = float(linkage(squareform(matrix, checks=False), "single")[:, 2].sum())
    assert chosen(separations, spanning_tree(separations)) == pytest.approx(truth, rel=1e-12)
    wrong = float(minimum_spanning_tree(matrix).sum()) / truth - 1
    versus(
        f"spanning tree, n = {n}, against scipy's",
        lambda: spanning_tree(separations),
        lambda: minimum_spanning_tree(matrix),
        target=30,
        note=f"with duplicates scipy's is {wrong:+.2%} off",
    )


@pytest.mark.parametrize("n", [1000, 2000, 5000])
def test_tree_beside_single_linkage(versus, n):
    """Compiled code of scipy, which tells the lengths and not which points they join."""
    separations = distances(walk(n, 10))
    condensed = squareform(separations.numpy(), checks=False)
    versus(
        f"spanning tree, n = {n}, against single linkage",
        lambda: spanning_tree(separations),
        lambda: linkage(condensed, "single"),
        target=0,
        note="compiled, heights alone",
    )


@pytest.mark.parametrize("n", [1000, 2000, 5000])
@pytest.mark.parametrize(("library", "name"), [("gph", "ripser_parallel"), ("ripser", "ripser")])
def test_tree_beside_persistence(versus, library, name, n):
    persistence = getattr(pytest.importorskip(library), name)
    separations = distances(walk(n, 10))
    options = {"metric": "precomputed"} if library == "gph" else {"distance_matrix": True}
    versus(
        f"spanning tree, n = {n}, against {library}",
        lambda: spanning_tree(separations),
        lambda: persistence(separations.numpy(), maxdim=0, **options),
        target=10,
    )


@pytest.mark.parametrize(("way", "scale"), [("isolating", 2.0), ("joining", 0.05)])
def test_magnitude(versus, way, scale):
    separations = distances(walk(5000, 50))
    result = weighting(separations, scale=scale)

    def generic():
        similarity = torch.exp(-scale * separations)
        return torch.linalg.solve(similarity, torch.ones(5000, 1, dtype=torch.float64))

    positive = float(generic().clamp(min=0).sum())
    assert result.positive_magnitude.value == pytest.approx(positive, rel=1e-9)
    assert result.residual < 1e-12
    note = f"PMag / N {result.saturation:.2f}, residual {result.residual:.0e}"
    versus(
        f"magnitude, n = 5000, {way} scale, against a solver",
        lambda: weighting(separations, scale=scale),
        generic,
        target=2,
        note=note,
    )


@pytest.mark.parametrize(("n", "d"), [(2000, 10_000), (5000, 100_000)])
def test_lifetimes_of_weights(versus, n, d):
    points = walk(n, d, step=1e-3, start=1.0, dtype=torch.float32)
    part = 200 / d

    def baseline():
        pdist(points[:, :200].numpy())

    value = lifetime_sum(points, product=torch.float32)
    # In so many dimensions the tree is the path.
    truth = sum(float((b.double() - a.double()).norm()) for a, b in pairwise(points))
    error = abs(value.value / truth - 1)
    assert error < 1e-6
    versus(
        f"E^1 of {n} x {d} weights, against scipy",
        lambda: lifetime_sum(points, product=torch.float32),
        baseline,
        target=30,
        part=part,
        rounds=1,
        note=f"error {error:.0e}; the baseline's tree left out",
    )


@pytest.mark.parametrize("d", [50, 2000])
def test_distances(versus, d):
    points = walk(5000, d, step=1e-3, start=1.0)
    exact = squareform(pdist(points.numpy()))
    off = exact > 0
    error = np.max(np.abs(distances(points).numpy() - exact)[off] / exact[off])
    single = points.float()
    gram = torch.cdist(single, single, compute_mode="use_mm_for_euclid_dist").numpy()
    lost = np.max(np.abs(gram - exact)[off] / exact[off])
    versus(
        f"distances of 5000 x {d} weights, against scipy",
        lambda: distances(points),
        lambda: squareform(pdist(points.numpy())),
        target=1,
        note=f"error {error:.0e}; by a product in single precision {lost:.0e}",
    )
    assert error < 1e-8 and math.isfinite(lost)
