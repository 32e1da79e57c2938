"""Projections keep lengths as the chi-squared law says, repeat to the bit, and take no memory."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from genbound.protocols import Objective
from genbound.training import grid, sgd, train
from genbound.training.capture import Projection, projection


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def matrix(draw: Projection) -> Tensor:
    """A itself, (k, p), from the columns of the identity."""
    return draw(torch.eye(draw.p, dtype=torch.float64)).T


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation returns."""

    size = 0

    def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.size = max(self.size, result.numel())
        return result


@given(
    p=st.integers(1, 50), k=st.integers(1, 20), block=st.integers(1, 60), seed=st.integers(0, 99)
)
def test_it_is_one_linear_map(p: int, k: int, block: int, seed: int) -> None:
    draw = projection(p, k, generator=seeded(seed), block=block)
    points = torch.randn(2, 3, p, generator=seeded(seed + 1), dtype=torch.float64)
    torch.testing.assert_close(draw(points), points @ matrix(draw).T)
    path = draw(points.cumsum(1))
    torch.testing.assert_close(path, draw(points).cumsum(1))
    assert draw(points).shape == (2, 3, k)


def test_the_entries_are_independent_normals() -> None:
    # Blocks of 7 in 100: equal blocks, or one short of the end, would show.
    entries = matrix(projection(100, 50, generator=seeded(3), block=7)) * math.sqrt(50)
    n = entries.numel()
    assert abs(float(entries.mean())) <= 4 / math.sqrt(n)
    assert abs(float(entries.var()) - 1) <= 4 * math.sqrt(2 / n)
    fourth = entries**4
    assert abs(float(fourth.mean()) - 3) <= 4 * math.sqrt(96 / n)
    # Correlations of 100 x 99 / 2 pairs of columns: the largest of so many stays below 6 errors.
    among = torch.corrcoef(entries.T).fill_diagonal_(0)
    assert float(among.abs().max()) <= 6 / math.sqrt(50)
    assert len(entries.unique()) == n


@pytest.mark.parametrize("shape", ["dense", "sparse", "heavy"])
def test_squared_lengths_have_the_chi_squared_law(shape: str) -> None:
    p, k, draws = 300, 8, 1500
    vector = torch.randn(p, generator=seeded(1), dtype=torch.float64)
    if shape == "sparse":
        vector[2:] = 0
    elif shape == "heavy":
        vector = vector**9
    source = seeded(2)
    ratios = (
        torch.stack(
            [
                projection(p, k, generator=source, block=64)(vector).square().sum()
                for _ in range(draws)
            ]
        )
        / vector.square().sum()
    )
    variance = 2 / k
    assert abs(float(ratios.mean()) - 1) <= 4 * math.sqrt(variance / draws)
    # The fourth central moment of a chi-squared of k degrees is 12 k (k + 4), over k^4.
    error = math.sqrt((12 * k * (k + 4) / k**4 - variance**2) / draws)
    assert abs(float(ratios.var()) - variance) <= 4 * error


def test_all_distances_of_a_path_are_kept() -> None:
    # One pair leaves 1 +- eps with probability 2 exp(-k (eps^2 / 2 - eps^3 / 3) / 2) at most.
    k, n, eps = 1024, 60, 0.25
    pairs = n * (n - 1) // 2
    assert pairs * 2 * math.exp(-k * (eps**2 / 2 - eps**3 / 3) / 2) < 1e-1
    path = torch.randn(n, 5000, generator=seeded(4), dtype=torch.float64).cumsum(0)
    draw = projection(5000, k, generator=seeded(5), block=512)
    true, kept = (torch.pdist(points).square() for points in (path, draw(path)))
    assert float((kept / true - 1).abs().max()) <= eps
    lengths = torch.linalg.vector_norm(path, dim=1)
    spread = (torch.linalg.vector_norm(draw(path), dim=1) / lengths - 1).abs().max()
    assert 0 < float(spread) <= 5 * draw.distortion
    assert draw.distortion == pytest.approx(1 / math.sqrt(2048))


def test_tiny_steps_of_large_weights_are_kept() -> None:
    generator = seeded(2)
    start = torch.randn(2000, generator=generator)
    steps = 1e-5 * torch.randn(50, 2000, generator=generator)
    path = start + steps.cumsum(0)
    draw = projection(2000, 64, generator=generator)
    moved = draw(path.double() - path[0].double())
    torch.testing.assert_close(draw(path) - draw(path)[0], moved, rtol=1e-7, atol=1e-12)


def test_a_value_fixes_the_map_to_the_bit() -> None:
    points = torch.randn(3, 1000, generator=seeded(0))
    first = projection(1000, 16, generator=seeded(9), block=100)
    again = projection(1000, 16, generator=seeded(9), block=100)
    assert first == again == Projection(1000, 16, first.seed, 100)
    assert torch.equal(first(points), again(points))
    assert torch.equal(first(points), first(points))
    source = seeded(9)
    other, another = (projection(1000, 16, generator=source, block=100) for _ in range(2))
    assert other == first and another != first
    assert not torch.equal(another(points), first(points))
    assert first(points).dtype == torch.float64


def test_the_global_generator_stays_where_it_is() -> None:
    before = torch.random.get_rng_state()
    projection(10, 2, generator=seeded(0))(torch.ones(10))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_million_weights_are_projected_without_the_matrix() -> None:
    p, k, block = 10**6, 8, 2**14
    draw = projection(p, k, generator=seeded(6), block=block)
    weights = torch.ones(1, p)
    with Largest() as largest:
        projected = draw(weights)
    assert k * block <= largest.size <= max(p, k * block) < k * p
    ratio = float(projected.square().sum()) / p
    assert abs(ratio - 1) <= 4 * math.sqrt(2 / k)


def test_a_captured_path_is_projected_as_its_iterates_are() -> None:
    def build(member: dict) -> nn.Module:
        module = nn.Linear(30, 1, bias=False)
        nn.init.constant_(module.weight, 0.1 * member["seed"])
        return module

    data = torch.randn(20, 30, generator=seeded(7), dtype=torch.float64)
    objective = Objective(
        lambda data, _: data, lambda module, data: (module(data) - 1).square().mean()
    )
    members = grid(seed=range(3), lr=[0.01])
    run = train(objective, build, data, members, steps=12, capture_every=2, optimiser=sgd())
    draw = projection(30, 200, generator=seeded(8), block=13)
    path = draw(run.trajectory)
    assert path.shape == (6, 3, 200)
    for i in range(3):
        true, kept = torch.pdist(run.trajectory[:, i]), torch.pdist(path[:, i])
        assert float((kept / true - 1).abs().max()) <= 5 * draw.distortion
        for snapshot in range(6):
            torch.testing.assert_close(draw(run.trajectory[snapshot, i]), path[snapshot, i])


def test_it_runs_where_the_weights_are(device: torch.device) -> None:
    points = torch.randn(4, 500, generator=seeded(0)).to(device)
    draw = projection(500, 64, generator=Generator(device).manual_seed(1), block=100)
    assert draw(points).device.type == device.type
    assert torch.equal(draw(points), draw(points))


@pytest.mark.parametrize("name", ["p", "k", "block"])
def test_counts_out_of_range_are_refused_by_name(name: str) -> None:
    counts = {"p": 5, "k": 2, "block": 3} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        projection(counts["p"], counts["k"], block=counts["block"], generator=seeded(0))


@pytest.mark.parametrize("shape", [(4,), (5, 4), ()])
def test_other_weights_are_refused(shape: tuple[int, ...]) -> None:
    draw = projection(5, 2, generator=seeded(0))
    with pytest.raises(ValueError, match=r"weights must be \(..., 5\)"):
        draw(torch.zeros(shape))
