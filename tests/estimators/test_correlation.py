"""Rank correlations against hand examples, brute force over pairs, and their Gaussian law."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.estimators.correlation import (
    along,
    between_seeds,
    granulated,
    kendall,
    partial,
    tau,
)

OPTIONS = {"resamples": 100}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def share(first, second):
    """Ordered less reversed pairs, divided by the pairs tied in neither list."""
    pairs = list(itertools.combinations(range(len(first)), 2))
    signs = [
        (math.copysign(1, a) if a else 0, math.copysign(1, b) if b else 0)
        for a, b in ((first[j] - first[i], second[j] - second[i]) for i, j in pairs)
    ]
    weight = math.sqrt(sum(a * a for a, _ in signs) * sum(b * b for _, b in signs))
    return sum(a * b for a, b in signs) / weight if weight else 0.0


def granulated_by_hand(quantity, gap):
    """The definition, one setting of the other hyper-parameters after the other."""
    grid = quantity.shape
    per_axis = []
    for axis, size in enumerate(grid):
        others = [range(n) if k != axis else [slice(None)] for k, n in enumerate(grid)]
        lines = [
            share(quantity[where].tolist(), gap[where].tolist())
            for where in itertools.product(*others)
        ]
        assert len(lines) == math.prod(grid) // size
        per_axis.append(sum(lines) / len(lines))
    return sum(per_axis) / len(per_axis)


LISTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=9)


@given(LISTS)
def test_tau_against_all_pairs(pairs):
    first, second = torch.tensor(pairs).double().unbind(1)
    expected = share(first.tolist(), second.tolist())
    assert math.isclose(tau(first, second), expected, abs_tol=1e-12)
    assert math.isclose(tau(second, first), expected, abs_tol=1e-12)
    # Only ranks count, and to reverse one list reverses the sign.
    assert math.isclose(tau(first.exp(), -second), -expected, abs_tol=1e-12)


SHAPES = st.sampled_from([(2,), (4,), (2, 2), (3, 4), (2, 3, 2)])


@settings(max_examples=25)
@given(SHAPES, st.integers(2, 4), st.integers(0, 1000), st.booleans())
def test_granulated_against_the_definition(grid, seeds, seed, coarse):
    quantity, gap = normal(seeds, *grid, seed=seed), normal(seeds, *grid, seed=seed + 1)
    if coarse:  # with ties
        quantity, gap = quantity.round(), gap.round()
    found = granulated(quantity, gap, generator=seeded(), **OPTIONS)
    expected = [granulated_by_hand(*pair) for pair in zip(quantity, gap, strict=True)]
    assert math.isclose(found.estimate.value, sum(expected) / seeds, abs_tol=1e-12)
    assert -1 <= found.low <= found.high <= 1
    per_axis = [
        along(quantity, gap, axis=axis, generator=seeded(), **OPTIONS).estimate.value
        for axis in range(len(grid))
    ]
    assert math.isclose(found.estimate.value, sum(per_axis) / len(grid), abs_tol=1e-12)


def test_two_by_two_by_hand():
    """Rows: learning rate. Both lines along it are reversed, both along the batch size agree."""
    quantity = torch.tensor([[1.0, 4.0], [2.0, 5.0]]).expand(2, 2, 2)
    gap = torch.tensor([[2.0, 8.0], [1.0, 7.0]]).expand(2, 2, 2)
    values = [
        along(quantity, gap, axis=axis, generator=seeded(), **OPTIONS).estimate.value
        for axis in (0, 1)
    ]
    assert values == [-1.0, 1.0]
    assert granulated(quantity, gap, generator=seeded(), **OPTIONS).estimate.value == 0.0
    # Of the six pairs four are ordered.
    whole = kendall(quantity, gap, generator=seeded(), **OPTIONS)
    assert math.isclose(whole.estimate.value, (4 - 2) / 6)
    assert whole.low == whole.high == whole.estimate.value  # all seeds agree


def test_a_quantity_that_follows_one_hyper_parameter_only():
    """Tau sees the batch size in both and is large; granulated, the other half counts 0."""
    batch, rate = torch.arange(5.0)[None, :, None], torch.arange(5.0)[None, None, :]
    gap = (10 * batch - rate).expand(3, 5, 5)
    quantity = batch.expand(3, 5, 5)
    whole = kendall(quantity, gap, generator=seeded(), **OPTIONS).estimate.value
    assert math.isclose(whole, 250 / math.sqrt(250 * 300))
    half = granulated(quantity, gap, generator=seeded(), **OPTIONS).estimate.value
    assert math.isclose(half, 0.5)
    assert along(quantity, gap, axis=1, generator=seeded(), **OPTIONS).estimate.value == 0.0


@settings(max_examples=6)
@given(st.floats(-0.95, 0.95))
def test_gaussian_pairs(correlation):
    """Of normal pairs with correlation r, tau is 2 arcsin(r) / pi in the mean."""
    first, noise = normal(150, 12, seed=1), normal(150, 12, seed=2)
    second = correlation * first + math.sqrt(1 - correlation**2) * noise
    truth = 2 * math.asin(correlation) / math.pi
    found = kendall(first, second, generator=seeded(), **OPTIONS).estimate
    assert abs(found.value - truth) < 4 * found.stderr
    grids = (part.reshape(150, 3, 4) for part in (first, second))
    found = granulated(*grids, generator=seeded(), **OPTIONS).estimate
    assert abs(found.value - truth) < 4 * found.stderr


@pytest.mark.parametrize("seeds", [4, 10, 20])
@pytest.mark.parametrize("coefficient", [kendall, between_seeds])
def test_intervals_cover(coefficient, seeds):
    """95 % intervals hold the truth in about that share of 300 experiments, few seeds or many."""
    first, noise = normal(300, seeds, 6, seed=3), normal(300, seeds, 6, seed=4)
    second = 0.5 * first + math.sqrt(0.75) * noise
    truth = 2 * math.asin(0.5) / math.pi
    held = 0
    for k, pair in enumerate(zip(first, second, strict=True)):
        found = coefficient(*pair, resamples=200, generator=seeded(k))
        held += found.low <= truth <= found.high
    assert 0.9 < held / 300 < 0.99


def test_intervals_of_settings_that_share_what_a_seed_is():
    """A term common to all settings of a seed leaves the error between seeds as it is for one."""
    common, other = normal(300, 10, 1, seed=5), normal(300, 10, 1, seed=6)
    first = common + 0.1 * normal(300, 10, 6, seed=7)
    second = 0.6 * common + 0.8 * other + 0.1 * normal(300, 10, 6, seed=8)
    truth = 2 * math.asin(0.6 / 1.01) / math.pi
    held = 0
    for k, pair in enumerate(zip(first, second, strict=True)):
        found = between_seeds(*pair, resamples=200, generator=seeded(k))
        held += found.low <= truth <= found.high
    assert 0.9 < held / 300 < 0.99


def test_intervals_of_what_is_left_cover_nothing():
    """A quantity that follows its baseline only, in a small grid and few seeds."""
    baseline = normal(300, 10, 12, seed=9)
    first, second = (0.8 * baseline + 0.6 * normal(300, 10, 12, seed=k) for k in (10, 11))
    held = 0
    for k, triple in enumerate(zip(first, second, baseline, strict=True)):
        found = partial(*triple, resamples=200, generator=seeded(k))
        held += found.low <= 0 <= found.high
    assert 0.9 < held / 300 < 0.99


@given(st.integers(3, 5), st.integers(0, 1000), st.booleans())
def test_between_seeds_against_the_definition(seeds, seed, coarse):
    quantity, gap = normal(seeds, 2, 3, seed=seed), normal(seeds, 2, 3, seed=seed + 1)
    if coarse:
        quantity, gap = quantity.round(), gap.round()
    found = between_seeds(quantity, gap, generator=seeded(), **OPTIONS)
    columns = zip(quantity.flatten(1).mT.tolist(), gap.flatten(1).mT.tolist(), strict=True)
    expected = sum(share(*pair) for pair in columns) / 6
    assert math.isclose(found.estimate.value, expected, abs_tol=1e-12)
    # What differs between settings only ranks nothing here, and shifts of a setting are ignored.
    settings_only = normal(2, 3, seed=seed).expand(seeds, 2, 3)
    nothing = between_seeds(settings_only, gap, generator=seeded(), **OPTIONS)
    assert nothing.estimate.value == nothing.low == nothing.high == 0
    shifted = between_seeds(quantity + settings_only, gap, generator=seeded(), **OPTIONS)
    if not coarse:
        assert math.isclose(shifted.estimate.value, expected, abs_tol=1e-12)


def test_several_axes_leave_the_others_fixed():
    quantity, gap = normal(3, 2, 4, 3, seed=1), normal(3, 2, 4, 3, seed=2)
    whole = kendall(quantity, gap, generator=seeded(), **OPTIONS)
    assert whole.estimate.value == pytest.approx(
        along(quantity, gap, axis=(2, 0, 1), generator=seeded(), **OPTIONS).estimate.value
    )
    within = along(quantity, gap, axis=(0, 2), generator=seeded(), **OPTIONS).estimate.value
    lines = [
        tau(quantity[s, :, k].flatten(), gap[s, :, k].flatten())
        for s in range(3)
        for k in range(4)
    ]
    assert math.isclose(within, sum(lines) / 12)
    one = along(quantity, gap, axis=(1,), generator=seeded(), **OPTIONS)
    assert one == along(quantity, gap, axis=1, generator=seeded(), **OPTIONS)


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.8])
def test_nothing_is_left_beyond_a_baseline_that_explains_all(strength):
    """Independent given the baseline: 0, where Kendall's own formula gives what it must not."""
    baseline = normal(400, 4, 4, seed=1)
    rest = math.sqrt(1 - strength**2)
    first, second = (strength * baseline + rest * normal(400, 4, 4, seed=k) for k in (2, 3))
    found = partial(first, second, baseline, generator=seeded(), **OPTIONS).estimate
    assert abs(found.value) < 4 * found.stderr
    both, own = (2 * math.asin(r) / math.pi for r in (strength**2, strength))
    kendalls = (both - own**2) / (1 - own**2)
    assert kendalls > 8 * found.stderr if strength == 0.8 else kendalls < 0.12


@given(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
@settings(max_examples=6)
def test_what_is_left_beyond_a_baseline(direct, through):
    """Of normal triples the partial correlation, as a tau; many settings, for its bias."""
    baseline, noise = normal(20, 30, 10, seed=1), normal(20, 30, 10, seed=2)
    first = through * baseline + normal(20, 30, 10, seed=3)
    second = baseline + direct * (first - through * baseline) + noise
    truth = 2 * math.asin(direct / math.sqrt(1 + direct**2)) / math.pi
    found = partial(first, second, baseline, generator=seeded(), **OPTIONS).estimate
    assert abs(found.value - truth) < 4 * found.stderr + 0.01


def test_a_baseline_that_says_all_leaves_nothing():
    quantity, gap = normal(3, 4, 4, seed=1), normal(3, 4, 4, seed=2)
    for baseline in (quantity.exp(), gap, -quantity):
        found = partial(quantity, gap, baseline, generator=seeded(), **OPTIONS)
        assert found.estimate.value == found.low == found.high == 0
    # Only ranks count.
    baseline = normal(3, 4, 4, seed=3)
    found = partial(quantity, gap, baseline, generator=seeded(), **OPTIONS)
    again = partial(quantity.exp(), gap**3, baseline.exp(), generator=seeded(), **OPTIONS)
    assert found == again
    reversed_ = partial(-quantity, gap, baseline, generator=seeded(), **OPTIONS)
    assert math.isclose(reversed_.estimate.value, -found.estimate.value, abs_tol=1e-12)


def test_the_generator_decides():
    quantity, gap = normal(6, 3, 3, seed=1), normal(6, 3, 3, seed=2)
    first, again, other = (
        granulated(quantity, gap, generator=seeded(seed), **OPTIONS) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other and first.estimate == other.estimate


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3,), (3,)), r"quantity: got shape \(3,\), allowed is \(seeds, \*grid\), seeds >= 2"),
        (((1, 3), (1, 3)), r"quantity: got shape \(1, 3\)"),
        (((3, 4, 1), (3, 4, 1)), "quantity: got 1 value along axis 1 of the grid"),
        (((3, 4), (3, 5)), r"gap: got shape \(3, 5\), allowed is \(3, 4\)"),
    ],
)
def test_bad_shapes_are_named(shapes, message):
    quantity, gap = (torch.zeros(shape) for shape in shapes)
    for coefficient in (kendall, granulated):
        with pytest.raises(ValueError, match=message):
            coefficient(quantity, gap, generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match=message):
        along(quantity, gap, axis=0, generator=seeded(), **OPTIONS)


def test_bad_options_and_values_are_named():
    values = normal(3, 4)
    with pytest.raises(ValueError, match=r"axis: got 1, allowed are 0\.\.0"):
        along(values, values, axis=1, generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match=r"axis: got \(\), allowed are 0\.\.0"):
        along(values, values, axis=(), generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match="quantity: got 2 seeds, allowed are at least 3"):
        between_seeds(values[:2], values[:2], generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match=r"baseline: got shape \(3, 1\), allowed is \(3, 4\)"):
        partial(values, values, values[:, :1], generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match="baseline: got equal values, allowed are different"):
        partial(values, values, values.sign(), generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match="resamples: got 1, allowed is at least 2"):
        kendall(values, values, resamples=1, generator=seeded())
    with pytest.raises(ValueError, match="level: got 1, allowed is 0 < level < 1"):
        kendall(values, values, level=1, generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match="gap: .* 12 of its numbers not finite"):
        kendall(values, values * math.nan, generator=seeded(), **OPTIONS)
    with pytest.raises(ValueError, match=r"quantity: got shape \(1,\), allowed is \(k,\), k >= 2"):
        tau(values[0, :1], values[0, :1])


def test_devices(device):
    values = normal(3, 4).to(device)
    found = kendall(values, values, generator=torch.Generator(device).manual_seed(0), **OPTIONS)
    assert found.estimate.value == 1.0
