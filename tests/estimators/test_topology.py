import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist

from genbound.estimators.topology import lifetime_sum, spanning_tree, weighting
from genbound.estimators.trajectory_geometry import distances, edge_lengths, sketch


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def cloud(n, d, seed, scale=1.0):
    return scale * torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


def heights(points):
    """Edges of the tree from scipy's single linkage, which takes duplicates for what they are."""
    return torch.from_numpy(linkage(pdist(points.numpy()), "single")[:, 2])


CLOUDS = {"n": st.integers(2, 40), "d": st.integers(1, 6), "seed": st.integers(0, 10**6)}
POWER = st.floats(0.1, 2)


@given(**CLOUDS, alpha=POWER, repeated=st.integers(0, 10))
def test_trees_against_scipy(n, d, seed, alpha, repeated):
    points = cloud(n, d, seed)
    again = torch.randint(0, n, (repeated,), generator=seeded(seed))
    points = torch.cat([points, points[again]])
    edges = spanning_tree(distances(points))
    lengths = edge_lengths(points, edges).sort().values
    truth = heights(points)
    torch.testing.assert_close(lengths, truth)
    measured = lifetime_sum(points, alpha=alpha)
    assert measured.side == "exact" and measured.stderr == 0
    assert measured.value == pytest.approx(float(truth[truth > 0].pow(alpha).sum()), rel=1e-9)
    # Each edge brings one new point, reached from those before it.
    reached = [0, *edges[:, 1].tolist()]
    assert sorted(reached) == list(range(len(points)))
    assert all(int(edges[k, 0]) in reached[: k + 1] for k in range(len(edges)))


def test_scipy_takes_a_zero_for_no_edge_and_this_does_not():
    points = torch.tensor([[0.0], [0.0], [3.0], [3.0], [8.0]], dtype=torch.float64)
    separations = distances(points)
    assert float(minimum_spanning_tree(separations.numpy()).sum()) != 8
    assert lifetime_sum(points).value == 8
    assert lifetime_sum(points, alpha=0.5).value == pytest.approx(math.sqrt(3) + math.sqrt(5))


@given(**CLOUDS, alpha=POWER, factor=st.floats(1e-6, 1e6))
def test_scale_order_and_isometry(n, d, seed, alpha, factor):
    points = cloud(n, d, seed)
    value = lifetime_sum(points, alpha=alpha).value
    order = torch.randperm(n, generator=seeded(seed))
    rotation = torch.linalg.qr(cloud(d, d, seed + 1)).Q
    for moved, expected in (
        (factor * points, factor**alpha * value),
        (points[order], value),
        (points @ rotation + 5, value),
    ):
        assert lifetime_sum(moved, alpha=alpha).value == pytest.approx(expected, rel=1e-9)


@given(**CLOUDS, alpha=st.floats(0.1, 1), part=st.floats(0.2, 0.9))
def test_a_part_costs_at_most_twice_the_whole(n, d, seed, alpha, part):
    points = cloud(n, d, seed)
    whole = lifetime_sum(points, alpha=alpha).value
    some = lifetime_sum(points[: max(1, int(part * n))], alpha=alpha).value
    assert some <= 2 * whole * (1 + 1e-12)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 1.7])
def test_trees_in_closed_form(alpha):
    def value(points):
        return lifetime_sum(points.double(), alpha=alpha).value

    n, side = 9, 0.7
    ordered = side * torch.arange(n).double()[:, None]
    assert value(ordered) == pytest.approx((n - 1) * side**alpha)
    grid = side * torch.cartesian_prod(torch.arange(n), torch.arange(n)).double()
    assert value(grid) == pytest.approx((n**2 - 1) * side**alpha)
    angle = 2 * math.pi * torch.arange(n).double() / n
    circle = 3 * torch.stack([angle.cos(), angle.sin()], 1)
    assert value(circle) == pytest.approx((n - 1) * (6 * math.sin(math.pi / n)) ** alpha)
    simplex = side / math.sqrt(2) * torch.eye(n)
    assert value(simplex) == pytest.approx((n - 1) * side**alpha)
    # Gradient descent on a quadratic: theta_k = r^k theta_0, so the tree is the path.
    r, steps, start = 0.83, 25, 2.0
    descent = start * r ** torch.arange(steps + 1).double()[:, None]
    truth = start**alpha * (1 - r) ** alpha * (1 - r ** (alpha * steps)) / (1 - r**alpha)
    assert value(descent) == pytest.approx(truth)


def test_noise_in_many_dimensions_is_a_path():
    n, d, step = 100, 20_000, 0.02
    steps = step * torch.randn(n, d, generator=seeded(8))
    measured = lifetime_sum(steps.cumsum(0), product=torch.float32)
    assert measured.value == pytest.approx((n - 1) * step * math.sqrt(d), rel=2e-3)
    assert measured.side == "upper"


@pytest.mark.parametrize("step", [2e-2, 2e-5])
def test_late_in_training(step):
    points = 1 + step * cloud(150, 400, 9).cumsum(0)
    points = points.float()
    truth = float(heights(points.double()).sum())
    assert lifetime_sum(points).value == pytest.approx(truth, rel=1e-12)
    assert lifetime_sum(points, product=torch.float32).value == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("product", [torch.float32, torch.float64])
def test_confined_and_jumping_trajectories(product):
    """Long paths in a small room: the steps' squares add up to far more than any distance."""
    confined = 0.01 * cloud(600, 80, 14) + 5
    jumping = 1e-7 * cloud(600, 80, 15)
    jumping[::2] += 1
    for points in (confined, jumping):
        measured = lifetime_sum(points, product=product)
        assert measured.value == pytest.approx(float(heights(points).sum()), rel=1e-6)


def test_a_sketch_errs_downward_within_its_error():
    points = cloud(60, 300, 10).cumsum(0)
    truth = lifetime_sum(points).value
    measured = []
    for seed in range(40):
        draw = sketch(300, 64, generator=seeded(seed))
        measured.append(lifetime_sum(draw(points), sketch=draw))
    values = torch.tensor([estimate.value for estimate in measured])
    assert {estimate.side for estimate in measured} == {"lower"}
    assert float(values.mean()) < truth
    assert all(abs(estimate.value - truth) <= 4 * estimate.stderr for estimate in measured)
    whole = sketch(300, 300, generator=seeded(0))
    isometric = lifetime_sum(whole(points), sketch=whole)
    assert isometric.side == "exact" and isometric.value == pytest.approx(truth)


def line(gaps):
    return torch.tensor([[0.0], *[[gap] for gap in gaps]], dtype=torch.float64).cumsum(0)


@given(gaps=st.lists(st.floats(0.05, 3), min_size=1, max_size=30), scale=st.floats(0.05, 20))
def test_magnitude_of_a_line(gaps, scale):
    result = weighting(distances(line(gaps)), scale=scale)
    half = torch.tanh(scale * torch.tensor(gaps, dtype=torch.float64) / 2)
    nothing = torch.ones(1, dtype=torch.float64)
    truth = (torch.cat([nothing, half]) + torch.cat([half, nothing])) / 2
    torch.testing.assert_close(result.weights, truth, rtol=1e-7, atol=1e-9)
    assert result.magnitude.value == pytest.approx(1 + float(half.sum()))
    assert result.positive_magnitude.value == pytest.approx(result.magnitude.value)
    assert result.residual < 1e-12


def test_golden_magnitudes():
    equidistant = 1.3 * (1 - torch.eye(7, dtype=torch.float64))
    assert weighting(equidistant, scale=1).magnitude.value == pytest.approx(2.656354, abs=1e-6)
    circle = torch.exp(2j * torch.pi * torch.arange(11) / 11)
    circle = torch.view_as_real(circle).double()
    separations = distances(circle)
    truth = 11 / float(torch.exp(-2.5 * separations[0]).sum())
    assert weighting(separations, scale=2.5).magnitude.value == pytest.approx(truth)


@pytest.mark.parametrize(
    ("q", "radius", "magnitude", "positive", "centre"),
    [(3, 0.5, 1.819955, 2.083911, -0.263956), (30, 1.0, 4.369115, 5.329861, -0.960746)],
)
def test_a_negative_weight(q, radius, magnitude, positive, centre):
    axes = radius * torch.eye(q, dtype=torch.float64)
    points = torch.cat([torch.zeros(1, q, dtype=torch.float64), axes, -axes])
    result = weighting(distances(points), scale=1)
    assert result.magnitude.value == pytest.approx(magnitude, abs=1e-6)
    assert result.positive_magnitude.value == pytest.approx(positive, abs=1e-6)
    assert float(result.weights[0]) == pytest.approx(centre, abs=1e-6)
    assert "residual" in repr(result) and result.magnitude.side == "exact"


@given(**CLOUDS, scale=st.floats(0.1, 10))
def test_magnitude_feels_neither_repetition_nor_order_nor_motion(n, d, seed, scale):
    points = cloud(n, d, seed)
    once = weighting(distances(points), scale=scale)
    assert 1 - 1e-9 <= once.magnitude.value <= once.positive_magnitude.value + 1e-12
    order = torch.randperm(n, generator=seeded(seed))
    for moved, moved_scale in (
        (torch.cat([points, points[order], points[:1]]), scale),
        (points[order] + 3, scale),
        (points / 4, 4 * scale),
    ):
        other = weighting(distances(moved), scale=moved_scale)
        assert other.points == n
        assert other.magnitude.value == pytest.approx(once.magnitude.value, rel=1e-7)
        assert other.positive_magnitude.value == pytest.approx(
            once.positive_magnitude.value, rel=1e-6
        )


@settings(max_examples=20)
@given(**CLOUDS, scale=st.floats(0.1, 10))
def test_the_lemma_for_lipschitz_functions(n, d, seed, scale):
    """exp(s max f) <= sum_b (w_b)_+ exp(s f(b)) for every f of slope at most 1."""
    points = cloud(n, d, seed)
    separations = distances(points)
    positive = weighting(separations, scale=scale).weights.clamp(min=0)
    # The least 1-Lipschitz function above random values at the points.
    values = (cloud(50, n, seed + 1)[:, None] - separations).amax(-1)
    top = values.amax(-1, keepdim=True)
    total = (positive * torch.exp(scale * (values - top))).sum(-1)
    assert bool((total >= 1 - 1e-9).all())


def test_where_single_precision_gives_the_wrong_positive_magnitude():
    points = cloud(500, 10, 11)
    separations = distances(points)
    truth = weighting(separations, scale=1e-6)
    assert truth.residual < 1e-12
    similarity = torch.exp(-1e-6 * separations.float())
    single = torch.linalg.solve(similarity, torch.ones(500))
    assert float(single.sum()) == pytest.approx(truth.magnitude.value, rel=1e-3)
    assert float(single.clamp(min=0).sum()) > 2 * truth.positive_magnitude.value
    # The magnitude falls to 1 with the scale, the positive magnitude does not.
    larger = weighting(separations, scale=1e-3)
    assert truth.magnitude.value == pytest.approx(1, abs=1e-4)
    assert truth.positive_magnitude.value == pytest.approx(
        larger.positive_magnitude.value, rel=0.01
    )
    assert truth.positive_magnitude.value > 5


def test_devices(device):
    points = cloud(30, 5, 12).to(device)
    edges = spanning_tree(distances(points))
    assert edges.device.type == device.type
    assert lifetime_sum(points).value == pytest.approx(float(heights(points.cpu()).sum()))
    assert weighting(distances(points), scale=2.0).weights.device.type == device.type


def test_one_point():
    point = torch.ones(1, 3)
    assert lifetime_sum(point).value == 0
    assert weighting(distances(point), scale=1).magnitude.value == 1


HOPELESS = 1e-30 * (1 - torch.eye(3))
# Two sides of four points with all distances 1 across and 2 within: no Euclidean space has them.
SIDES = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
BIPARTITE = (1.0 + (SIDES[:, None] == SIDES).double()) * (1 - torch.eye(8).double())
DRAW = sketch(5, 3, generator=seeded(0))


def test_similarities_that_are_not_definite_are_solved_and_flagged():
    result = weighting(BIPARTITE, scale=0.1)
    # All points are alike: the weights are one over the sum of a row.
    row = float(torch.exp(-0.1 * BIPARTITE[0]).sum())
    torch.testing.assert_close(result.weights, torch.full((8,), 1 / row, dtype=torch.float64))
    assert not result.definite and "indefinite" in result.positive_magnitude.method
    assert weighting(BIPARTITE, scale=3.0).definite


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_both_ways_to_solve_agree(scale):
    separations = distances(cloud(200, 5, 13))
    result = weighting(separations, scale=scale)
    similarity = torch.exp(-scale * separations)
    truth = torch.linalg.solve(similarity, torch.ones(200, dtype=torch.float64))
    torch.testing.assert_close(result.weights, truth, rtol=1e-9, atol=1e-11)
    assert result.residual < 1e-13 and result.definite
    assert 0 < result.saturation <= 1 + 1e-12


BAD = [
    (lambda: lifetime_sum(torch.zeros(3, 2), alpha=0), "alpha"),
    (lambda: lifetime_sum(torch.zeros(3, 2), alpha=math.inf), "alpha"),
    (lambda: lifetime_sum(torch.zeros(3, 2), sketch=DRAW), "points"),
    (lambda: lifetime_sum(torch.zeros(3)), "points"),
    (lambda: spanning_tree(torch.zeros(3, 2)), "separations"),
    (lambda: spanning_tree(torch.full((3, 3), math.nan)), "separations"),
    (lambda: spanning_tree(torch.full((3, 3), -1.0)), "separations"),
    (lambda: weighting(torch.zeros(0, 0), scale=1), "separations"),
    (lambda: weighting(torch.zeros(3, 3), scale=0), "scale"),
    (lambda: weighting(HOPELESS, scale=1), "scale"),
    (lambda: weighting(distances(cloud(20, 2, 1)), scale=1, tolerance=0), "scale"),
]


@pytest.mark.parametrize(("call", "name"), BAD)
def test_bad_input(call, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()
