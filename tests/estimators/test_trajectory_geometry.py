import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.estimators.trajectory_geometry import (
    distances,
    edge_lengths,
    path_distances,
    sketch,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def walk(n, d, *, step, seed=0, start=1.0):
    """Weights of norm ``start * sqrt(d)`` that move by ``step`` times their norm."""
    generator = seeded(seed)
    first = start * torch.randn(1, d, generator=generator, dtype=torch.float64)
    steps = torch.randn(n - 1, d, generator=generator, dtype=torch.float64) * step * start
    return torch.cat([first, first + steps.cumsum(0)])


def oracle(points):
    """All differences, in float64, held at once."""
    points = points.double()
    return (points[:, None] - points).square().sum(-1).sqrt()


def worst(measured, truth):
    off = ~torch.eye(len(truth), dtype=torch.bool)
    return float(((measured - truth).abs()[off] / truth[off]).max())


@pytest.mark.parametrize("step", [2e-2, 2e-4, 2e-6])
def test_late_steps_keep_their_digits_where_the_plain_gram_loses_all(step):
    points = walk(120, 500, step=step).float()
    truth = oracle(points)
    assert worst(distances(points), truth) < 1e-12
    assert worst(distances(points, product=torch.float32), truth) < 2e-5
    square = points.square().sum(1)
    plain = (square[:, None] + square - 2 * points @ points.mT).clamp(min=0).sqrt()
    if step <= 2e-4:
        assert worst(plain, truth) > 0.9


def test_steps_below_the_rounding_of_the_weights():
    increments = 1e-12 * torch.randn(40, 300, generator=seeded(1))
    truth = oracle(torch.cat([torch.zeros(1, 300), increments.double().cumsum(0)]))
    assert worst(path_distances(increments, block=128), truth) < 1e-12
    stored = 1 + torch.cat([torch.zeros(1, 300), increments.cumsum(0)])
    assert float(distances(stored).max()) == 0


def test_a_cluster_far_from_the_start():
    points = walk(60, 50, step=1e-9, seed=2)
    points[0] += 1e3
    assert worst(distances(points), oracle(points)) < 1e-7
    points = walk(60, 50, step=1e-5, seed=2)
    points[0] += 1
    assert worst(distances(points, product=torch.float32), oracle(points)) < 5e-5
    coordinates = points[:, :1] * 0 + 1e-9 * torch.arange(60.0, dtype=torch.float64)[:, None]
    coordinates[0] = 1e3
    assert worst(distances(coordinates), oracle(coordinates)) < 1e-12


@pytest.mark.parametrize("product", [torch.float32, torch.float64])
def test_returning_to_a_point_is_distance_zero(product):
    points = walk(30, 40, step=0.3, seed=3).float()
    points[7], points[29] = points[0], points[11]
    measured = distances(points, product=product)
    assert measured[0, 7] == measured[7, 0] == measured[11, 29] == 0
    assert int((measured == 0).sum()) == 30 + 4


def test_blocks_types_and_devices(device):
    points = walk(50, 1000, step=0.1, seed=4).float()
    truth = oracle(points)
    for block in (1000, 300, 77):
        measured = distances(points, block=block, device=device)
        assert measured.dtype == torch.float64 and measured.device.type == device.type
        torch.testing.assert_close(measured.cpu(), truth, rtol=1e-12, atol=0)
    assert torch.equal(measured, measured.mT)
    edges = torch.tensor([[0, 49], [3, 3], [20, 5]])
    lengths = edge_lengths(points, edges, block=300, device=device)
    torch.testing.assert_close(lengths.cpu(), truth[edges[:, 0], edges[:, 1]])


def test_a_million_weights():
    points = 1e-4 * torch.randn(6, 1_000_000, generator=seeded(5)) + 3
    truth = torch.tensor([[float((a.double() - b).norm()) for b in points] for a in points])
    assert worst(distances(points, block=65536), truth.double()) < 1e-6


@given(
    n=st.integers(1, 12),
    d=st.integers(1, 9),
    k=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(), (3,), (2, 2)]),
)
def test_a_sketch_is_linear_and_from_the_dimension_on_an_isometry(n, d, k, seed, shape):
    generator = seeded(seed)
    draw = sketch(d, k, generator=generator)
    first, second = torch.randn(2, *shape, n, d, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(draw(first + 2 * second), draw(first) + 2 * draw(second))
    assert draw(first).shape == (*shape, n, k)
    if k >= d:
        torch.testing.assert_close(draw(first).norm(dim=-1), first.norm(dim=-1))
        assert draw.distortion == 0


@settings(max_examples=12)
@given(d=st.integers(2, 40), k=st.integers(1, 8), seed=st.integers(0, 10**6))
def test_a_sketch_keeps_squared_lengths_within_its_distortion(d, k, seed):
    generator = seeded(seed)
    vector = torch.randn(d, generator=generator, dtype=torch.float64)
    vector /= vector.norm()
    draws = [sketch(d, k, generator=generator) for _ in range(2000)]
    squares = torch.stack([draw(vector).square().sum() for draw in draws])
    spread = float(squares.std())
    assert abs(float(squares.mean()) - 1) <= 4 * spread / math.sqrt(2000) + 1e-9
    # The groups are dealt without replacement: the variance in closed form.
    group = -(-d // k)
    together = (group - 1) / max(group * k - 1, 1)
    variance = 2 * together * (1 - float(vector.pow(4).sum()))
    noise = float((squares - squares.mean()).square().std()) / math.sqrt(2000)
    assert abs(spread**2 - variance) <= 5 * noise + 1e-9
    assert variance <= (2 * draws[0].distortion) ** 2 + 1e-12


def test_a_sketch_of_the_steps_is_the_sketch_of_the_path():
    points = walk(20, 500, step=0.1, seed=6)
    draw = sketch(500, 256, generator=seeded(7))
    steps = torch.stack([draw(step) for step in points.diff(dim=0)])
    torch.testing.assert_close(path_distances(steps), distances(draw(points - points[0])))
    assert worst(path_distances(steps), oracle(points)) < 6 * draw.distortion
    assert repr(draw) == "Sketch(500 -> 256, distortion=0.044)"


BAD = [
    (lambda: distances(torch.zeros(3)), "points"),
    (lambda: distances(torch.zeros(0, 3)), "points"),
    (lambda: distances(torch.zeros(3, 2, dtype=torch.long)), "points"),
    (lambda: distances(torch.full((3, 2), math.nan)), "points"),
    (lambda: path_distances(torch.full((3, 2), math.inf)), "increments"),
    (lambda: distances(torch.zeros(3, 2), product=torch.float16), "product"),
    (lambda: distances(torch.zeros(3, 2), block=0), "block"),
    (lambda: edge_lengths(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)), "edges"),
    (lambda: sketch(0, 3, generator=seeded(0)), "k"),
    (lambda: sketch(5, 3, generator=seeded(0))(torch.zeros(4)), "points"),
]


@pytest.mark.parametrize(("call", "name"), BAD)
def test_bad_input(call, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()
