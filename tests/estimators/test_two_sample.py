import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genbound.estimators import two_sample
from tests.estimators.reference import naive_energy_distance, seeded


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def naive_mmd(first, second, bandwidth):
    """The U-statistic of the squared maximum mean discrepancy, pair by pair."""

    def k(x, y):
        return math.exp(-float((x - y).square().sum()) / (2 * bandwidth**2))

    across = [k(x, y) for x in first for y in second]
    within = [
        [k(x, y) for i, x in enumerate(z) for j, y in enumerate(z) if i != j]
        for z in (first, second)
    ]
    return sum(sum(part) / len(part) for part in within) - 2 * sum(across) / len(across)


def energy(first, second, **options):
    return two_sample.energy_distance(first, second, **options)


def discrepancy(first, second, **options):
    return two_sample.mmd(first, second, bandwidth=0.8, **options)


def shifted_energy(shift):
    """Energy distance of N(0, 1) and N(shift, 1), from E|N(m, 2)| at m = shift and m = 0."""
    folded = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * (
        1 - 2 * stats.norm.cdf(-shift / math.sqrt(2))
    )
    return 2 * folded - 2 * 2 / math.sqrt(math.pi)


def shifted_mmd(shift, bandwidth=0.8):
    """Squared discrepancy of N(0, 1) and N(shift, 1): Gaussian integrals."""
    width = bandwidth**2 + 2
    return 2 * bandwidth / math.sqrt(width) * (1 - math.exp(-(shift**2) / (2 * width)))


DISTANCES = [(energy, shifted_energy), (discrepancy, shifted_mmd)]


@given(n=st.integers(2, 12), m=st.integers(2, 12), d=st.integers(1, 4), seed=st.integers(0, 99))
def test_distances_pair_by_pair(n, m, d, seed):
    first, second = normal(n, d, seed=seed), normal(m, d, seed=seed + 1) + 0.5
    for block in (1, 5, 100):
        options = {"permutations": 9, "generator": seeded(), "block": block}
        test = energy(first, second, **options)
        assert test.distance.value == pytest.approx(naive_energy_distance(first, second), abs=1e-7)
        test = discrepancy(first, second, **options)
        assert test.distance.value == pytest.approx(naive_mmd(first, second, 0.8), abs=1e-12)


@pytest.mark.parametrize(("distance", "solved"), DISTANCES)
@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_distances_of_shifted_gaussians_and_their_errors(distance, solved, shift):
    generator, tests = seeded(3), []
    for _ in range(200):
        first = torch.randn(60, 1, generator=generator, dtype=torch.float64)
        second = torch.randn(90, 1, generator=generator, dtype=torch.float64) + shift
        tests.append(distance(first, second, permutations=30, generator=generator))
    truth = solved(shift)
    values = torch.tensor([test.distance.value for test in tests])
    errors = torch.tensor([test.distance.stderr for test in tests])
    assert abs(float(values.mean()) - truth) <= 4 * float(values.std()) / math.sqrt(200)
    # Where the laws agree both parts of the error see the same noise: it is too large there.
    largest = 1.25 if shift == 1 else 2.0
    assert 0.85 <= float(errors.square().mean().sqrt() / values.std()) <= largest
    intervals = [test.distance.interval() for test in tests]
    assert sum(low <= truth <= high for low, high in intervals) / 200 >= 0.82


def test_the_influences_carry_the_first_order_of_the_error():
    first, second = normal(40, 2), normal(70, 2, seed=1) + 2
    test = energy(first, second, permutations=0, generator=seeded())
    influence = test.distance.influence
    assert len(influence) == test.distance.n == 110
    assert float(influence.sum()) == pytest.approx(0, abs=1e-9)
    assert float(influence.std()) / math.sqrt(110) == pytest.approx(test.distance.stderr, rel=0.03)
    # The effect of one datum, by leaving it out.
    without = energy(first[1:], second, permutations=0, generator=seeded()).distance.value
    removed = -float(influence[0]) / 110 * 40 / 39
    assert without - test.distance.value == pytest.approx(removed, rel=0.03)


@pytest.mark.parametrize("distance", [energy, discrepancy])
def test_permutation_test_keeps_its_level_and_sees_a_difference(distance):
    generator, levels = seeded(1), []
    for _ in range(200):
        first, second = torch.randn(2, 20, 2, generator=generator)
        levels.append(distance(first, second, permutations=99, generator=generator).p_value)
    assert stats.kstest(levels, "uniform").pvalue > 1e-3
    test = distance(
        normal(100, 2), normal(100, 2, seed=1) + 1, permutations=99, generator=generator
    )
    assert test.p_value == 0.01
    assert test.distance.value > test.null_quantile > 0


def test_median_distance():
    data = normal(50, 3)
    pairs = [float((data[i] - data[j]).norm()) for i in range(50) for j in range(i)]
    assert two_sample.median_distance(data) == pytest.approx(sorted(pairs)[(len(pairs) - 1) // 2])
    assert two_sample.median_distance(data, most=2) == pytest.approx(pairs[0])


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((1, 2), (5, 2)), ((5,), (5,))])
@pytest.mark.parametrize("distance", [energy, discrepancy])
def test_bad_shapes_are_refused(distance, shapes):
    with pytest.raises(ValueError, match="first|second"):
        distance(*(torch.zeros(shape) for shape in shapes), permutations=9, generator=seeded())


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan])
def test_a_bandwidth_must_be_positive(bandwidth):
    with pytest.raises(ValueError, match="bandwidth: got"):
        two_sample.gaussian_kernel(bandwidth)


def test_one_datum_has_no_median_distance():
    with pytest.raises(ValueError, match="data: got shape"):
        two_sample.median_distance(normal(1, 2))
