"""The paired comparison: against brute force, and its error rates on simulated data."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.comparison import holm, paired, sign_flip

FINITE = st.floats(-5, 5).map(lambda x: round(x, 3))


def by_definition(p_values: list[float]) -> list[float]:
    """The least size at which Holm's procedure, run step by step, rejects each hypothesis."""

    def rejected(size: float) -> set[int]:
        left, gone = sorted(range(len(p_values)), key=lambda k: p_values[k]), set()
        while left and p_values[left[0]] * len(left) <= size:
            gone.add(left.pop(0))
        return gone

    k = len(p_values)
    sizes = sorted({min(1.0, p * m) for p in p_values for m in range(1, k + 1)} | {1.0})
    return [next((s for s in sizes if i in rejected(s)), 1.0) for i in range(k)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_against_its_definition(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), by_definition(p_values), rtol=1e-12, atol=1e-300)


@given(st.lists(FINITE, min_size=2, max_size=8))
def test_sign_flips_against_all_of_them(differences: list[float]) -> None:
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    means = (signs * differences).mean(1)
    extreme = np.abs(means) >= abs(np.mean(differences)) * (1 - 1e-9) - 1e-12
    found = sign_flip(np.array(differences), rng=np.random.default_rng(0), resamples=9999)
    assert found == pytest.approx(min(1.0, extreme.mean()))


def test_few_seeds_show_nothing() -> None:
    for seeds in range(2, 8):
        least = sign_flip(np.arange(1.0, seeds + 1), rng=np.random.default_rng(0), resamples=9999)
        assert least == pytest.approx(2.0 ** (1 - seeds))


def test_the_table(generator: torch.Generator) -> None:
    plain = torch.randn(12, generator=generator, dtype=torch.float64)
    noise = torch.randn(12, generator=generator, dtype=torch.float64)
    metrics = {
        "plain": plain,
        "helps": plain - 1 + 0.1 * noise,
        "hurts": (plain + 0.5 + 0.1 * noise).tolist(),
        "nothing": plain,
        "shift": plain + 0.25,
    }
    table = paired(metrics, baseline="plain", generator=generator)
    assert list(table.index) == list(metrics)
    verdicts = table["verdict"].iloc[1:].tolist()
    assert verdicts == ["better", "worse", "no difference shown", "worse"]
    assert table.loc["plain", ["difference", "low", "p", "verdict"]].isna().all()
    for name in ("helps", "hurts"):
        row = table.loc[name]
        assert row["difference"].value == pytest.approx(
            float((torch.as_tensor(metrics[name]) - plain).mean())
        )
        assert row["low"] < row["difference"].value < row["high"]
        assert row["p"] <= row["p_holm"] <= 4 * row["p"]
    assert table.loc["nothing", ["low", "high", "p_holm"]].tolist() == [0, 0, 1]
    assert table.loc["shift", "low"] == pytest.approx(0.25)
    assert table["mean"]["plain"].value == pytest.approx(float(plain.mean()))


def test_pairing_removes_what_the_methods_share(generator: torch.Generator) -> None:
    shared = 10 * torch.randn(12, generator=generator)
    own = 0.1 * torch.randn(12, generator=generator)
    metrics = {"plain": shared, "other": shared + own - 0.3}
    table = paired(metrics, baseline="plain", generator=generator)
    assert table.loc["other", "verdict"] == "better"
    metrics["other"] = metrics["other"].roll(1)
    table = paired(metrics, baseline="plain", generator=generator)
    assert table.loc["other", "verdict"] == "no difference shown"


def test_the_same_generator_gives_the_same_table() -> None:
    metrics = {"a": torch.arange(25.0), "b": torch.arange(25.0).flip(0).square() / 20}
    first, second = (
        paired(metrics, baseline="a", generator=torch.Generator().manual_seed(4)) for _ in range(2)
    )
    assert first.equals(second)


def test_coverage_of_the_interval_and_size_of_the_test() -> None:
    """20 seeds: skewed differences of mean 1 for the interval, symmetric ones for the test."""
    generator = torch.Generator().manual_seed(7)
    trials, seeds = 300, 20
    normal = torch.randn(trials, seeds, generator=generator, dtype=torch.float64)
    covered = rejected = 0
    for k in range(trials):
        row = normal[k]
        skewed = torch.log1p(row.exp()) + 1 - 0.80606  # mean of the softplus of a normal variable
        metrics = {"plain": torch.zeros(seeds), "skewed": skewed, "null": row}
        table = paired(metrics, baseline="plain", generator=generator, resamples=400)
        covered += table.loc["skewed", "low"] <= 1 <= table.loc["skewed", "high"]
        rejected += table.loc["null", "p"] <= 0.05
    # The bootstrap is a little short for 20 seeds; the sign-flip test has its size exactly.
    assert 0.88 <= covered / trials <= 0.98
    assert rejected / trials <= 0.05 + 4 * (0.05 * 0.95 / trials) ** 0.5


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"b": [1.0, 2.0]}, "baseline: got 'a', allowed are"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "metrics: shapes"),
        ({"a": [1.0], "b": [1.0]}, "metrics: shapes"),
        ({"a": [1.0, 2.0], "b": [1.0, float("nan")]}, "metrics: b has values that are not finite"),
    ],
)
def test_bad_input(metrics: dict, message: str, generator: torch.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        paired(metrics, baseline="a", generator=generator)
