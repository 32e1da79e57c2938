import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from genbound.estimate import Estimate, across, combine, exact, mean, subsample

p, q, c = sp.symbols("p q c", positive=True)


def plain(value, side="unbiased", stderr=0.1, n=10):
    return Estimate(value, stderr, n, "by hand", side)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30))
def test_mean(values):
    estimate = mean(torch.tensor(values, dtype=torch.float64), method="by hand")
    truth = torch.tensor(values, dtype=torch.float64)
    assert estimate.value == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert estimate.stderr == pytest.approx(stats.sem(values), abs=1e-12)
    assert (estimate.n, estimate.side) == (len(values), "unbiased")
    assert torch.allclose(estimate.influence, truth - truth.mean())


def test_mean_of_single_precision_is_taken_in_double():
    values = torch.full((10_000,), 0.1, dtype=torch.float32)
    assert mean(values, method="").value == pytest.approx(float(values[0]), rel=1e-12)


@pytest.mark.parametrize("shape", [(1,), (0,), (3, 2), ()])
def test_mean_needs_a_vector(shape):
    with pytest.raises(ValueError, match="samples: shape"):
        mean(torch.zeros(shape), method="")


def test_exact():
    estimate = exact(2, method="by hand")
    assert (estimate.value, estimate.stderr, estimate.side) == (2.0, 0.0, "exact")
    assert estimate.interval() == (2.0, 2.0)


@given(st.floats(0.5, 0.999), st.integers(2, 40), st.floats(0.01, 3))
def test_intervals_are_students(level, n, stderr):
    estimate = plain(1.0, stderr=stderr, n=n)
    low, high = estimate.interval(level)
    assert (low, high) == pytest.approx(stats.t.interval(level, n - 1, 1.0, stderr))
    assert estimate.upper(level) == pytest.approx(1 + stderr * stats.t.ppf(level, n - 1))
    assert estimate.lower(level) == pytest.approx(1 - stderr * stats.t.ppf(level, n - 1))
    assert low <= estimate.lower(level) <= estimate.upper(level) <= high


@pytest.mark.parametrize("level", [0, 1, -0.5, 95])
def test_levels_are_probabilities(level):
    for limit in ("interval", "upper", "lower"):
        with pytest.raises(ValueError, match=f"level: got {level}"):
            getattr(plain(1.0), limit)(level)


def test_refuses_what_is_no_estimate():
    with pytest.raises(ValueError, match="side: got 'above'"):
        plain(1.0, "above")
    with pytest.raises(ValueError, match="stderr: got -1"):
        plain(1.0, stderr=-1)
    assert math.isnan(plain(1.0, stderr=math.nan).upper())


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.42113, 0.00312, "0.4211 ± 0.0031"),
        (12.3456, 1.5, "12.3 ± 1.5"),
        (1234.5, 123.4, "1234 ± 123"),
        (0.0, 0.00049, "0.00000 ± 0.00049"),
        (-3.14159, 0.26, "-3.14 ± 0.26"),
        (1.5284431107, 4.4e-10, "1.5284431 ± 4.4e-10"),
        (2.0, 4.4e-300, "2 ± 4.4e-300"),
        (2.5, 0.0, "2.5"),
        (1 / 3, 0.0, "0.333333"),
        (math.inf, 0.0, "inf"),
        (1.25, math.nan, "1.25 ± nan"),
    ],
)
def test_text(value, stderr, text):
    assert str(plain(value, stderr=stderr)) == text


def test_across_repetitions():
    parts = [plain(value, stderr=9.0) for value in (1.0, 2.0, 6.0)]
    estimate = across(parts)
    assert estimate.value == pytest.approx(3.0)
    assert estimate.stderr == pytest.approx(stats.sem([1, 2, 6]))
    assert estimate.n == 3
    assert estimate.method == "by hand; mean over 3 repetitions"
    assert across(parts, method="seeds").method == "seeds"


@pytest.mark.parametrize(
    ("sides", "side"),
    [
        (("unbiased", "unbiased"), "unbiased"),
        (("exact", "exact"), "unbiased"),
        (("exact", "lower"), "lower"),
        (("upper", "upper"), "upper"),
        (("lower", "upper"), "unknown"),
        (("consistent", "unknown"), "unknown"),
    ],
)
def test_sides_across(sides, side):
    assert across([plain(1.0, kind) for kind in sides]).side == side


@pytest.mark.parametrize("parts", [[], [plain(1.0)]])
def test_across_needs_two(parts):
    with pytest.raises(ValueError, match=f"estimates: got {len(parts)}"):
        across(parts)


def test_subsample_recovers_the_error_of_a_mean(generator):
    errors, inside = [], []
    for _ in range(400):
        data = torch.randn(64, generator=generator, dtype=torch.float64)
        estimate = subsample(lambda x: float(x.mean()), data, parts=4, method="m", side="upper")
        assert estimate.value == pytest.approx(float(data.mean()))
        errors.append(estimate.stderr**2)
        low, high = estimate.interval()
        inside.append(low <= 0 <= high)
    errors = mean(torch.tensor(errors), method="")
    assert abs(errors.value - 1 / 64) <= 4 * errors.stderr
    # With 63 degrees of freedom in place of 3, only 86 % of the intervals would hold the truth.
    assert sum(inside) / len(inside) > 0.92
    assert (estimate.n, estimate.side, estimate.method) == (4, "upper", "m; 4 parts of 64")


def test_subsample_splits_all_its_data_alike():
    first = torch.arange(12.0)
    estimate = subsample(
        lambda x, y: float((x - y).abs().sum()), first, first.clone(), method="", side="exact"
    )
    assert (estimate.value, estimate.stderr) == (0.0, 0.0)


@pytest.mark.parametrize("parts", [1, 0, 5])
def test_subsample_needs_parts(parts):
    with pytest.raises(ValueError, match=f"parts: got {parts}, allowed are 2..4"):
        subsample(float, torch.zeros(4), parts=parts, method="", side="exact")


def test_combining_independent_parts():
    parts = {p: plain(2.0, stderr=0.3), q: plain(5.0, stderr=0.4)}
    total = combine(c * p - q, parts, {c: 3.0})
    assert total.value == pytest.approx(1.0)
    assert total.stderr == pytest.approx(math.hypot(3 * 0.3, 0.4))
    product = combine(p * q, parts)
    assert product.stderr == pytest.approx(math.hypot(5 * 0.3, 2 * 0.4))


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(3, 50), st.integers(0, 99))
def test_shared_data_add_per_datum(slope, offset, n, seed):
    data = torch.randn(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    parts = {p: mean(data[0], method=""), q: mean(data[1], method="")}
    total = combine(slope * p + q + offset, parts)
    direct = mean(slope * data[0] + data[1] + offset, method="")
    assert total.value == pytest.approx(direct.value)
    assert total.stderr == pytest.approx(direct.stderr, abs=1e-12)
    assert torch.allclose(total.influence, direct.influence, atol=1e-12)
    assert total.n == n


def test_what_cancels_has_no_error(generator):
    part = mean(torch.randn(20, generator=generator), method="")
    assert combine(p - q, {p: part, q: part}).stderr == pytest.approx(0, abs=1e-15)
    assert combine(p - q, {p: plain(1.0), q: plain(1.0)}).stderr > 0.1


def test_different_samples_add_as_independent(generator):
    first, second = (mean(torch.randn(size, generator=generator), method="") for size in (20, 30))
    total = combine(p + 2 * q, {p: first, q: second})
    assert total.stderr == pytest.approx(math.hypot(first.stderr, 2 * second.stderr))
    assert total.influence is None
    # a t quantile with the larger count would be too short
    assert total.n == 20


def replicate(n, replications, generator):
    """D = mean of u and R = mean of v on the same, correlated, skew data."""
    shape = (replications, n)
    u = -torch.rand(shape, generator=generator, dtype=torch.float64).log()
    v = 0.7 * u + 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64)
    return u, v, 1 + 2 * math.sqrt(0.85)


def test_nominal_intervals_cover_on_shared_data(generator):
    n, replications = 200, 2000
    u, v, truth = replicate(n, replications, generator)
    first, second = u.mean(1), v.mean(1)
    totals = first + 2 * second.sqrt()
    slopes = 1 / second.sqrt()
    joint = (u + slopes[:, None] * v).std(1) / math.sqrt(n)
    apart = ((u.var(1) + slopes**2 * v.var(1)) / n).sqrt()
    for k in range(25):
        parts = {p: mean(u[k], method=""), q: mean(v[k], method="")}
        total = combine(p + 2 * sp.sqrt(q), parts)
        assert total.value == pytest.approx(float(totals[k]), rel=1e-12)
        assert total.stderr == pytest.approx(float(joint[k]), rel=1e-10)
        low, high = total.interval()
        reach = stats.t.ppf(0.975, n - 1) * float(joint[k])
        assert (low, high) == pytest.approx((total.value - reach, total.value + reach))
        lonely = {s: Estimate(e.value, e.stderr, e.n, "") for s, e in parts.items()}
        independent = combine(p + 2 * sp.sqrt(q), lonely)
        assert independent.stderr == pytest.approx(float(apart[k]), rel=1e-10)
    reach = stats.t.ppf(0.975, n - 1)
    covered = float(((totals - truth).abs() <= reach * joint).double().mean())
    alone = float(((totals - truth).abs() <= reach * apart).double().mean())
    assert 0.935 <= covered <= 0.965
    assert alone < 0.9


SIDES = ("exact", "unbiased", "lower", "upper", "consistent", "unknown")


def expected_side(first, second, *, second_falls):
    flip = {"lower": "upper", "upper": "lower"}
    found = {first, flip.get(second, second) if second_falls else second} - {"exact"}
    if not found:
        return "exact"
    if "unknown" in found or {"lower", "upper"} <= found:
        return "unknown"
    return next(s for s in ("lower", "upper", "consistent", "unbiased") if s in found)


@pytest.mark.parametrize("first", SIDES)
@pytest.mark.parametrize("second", SIDES)
def test_side_of_a_combination(first, second):
    def part(side):
        return exact(1.0, method="") if side == "exact" else plain(1.0, side)

    parts = {p: part(first), q: part(second)}
    assert combine(p + 2 * q, parts).side == expected_side(first, second, second_falls=False)
    assert combine(p - 2 * q, parts).side == expected_side(first, second, second_falls=True)


def test_side_of_a_curved_formula():
    one = {p: plain(1.0)}
    assert combine(2 * p, one).side == "unbiased"
    assert combine(sp.sqrt(p), one).side == "consistent"
    assert combine((p - 1) ** 2, one).side == "consistent"
    assert combine(p * q, {p: plain(1.0), q: exact(2.0, method="")}).side == "unbiased"
    # a product of two estimates may be of dependent ones
    assert combine(p * q, one | {q: plain(1.0)}).side == "consistent"
    assert combine(sp.sqrt(p), {p: plain(1.0, "lower")}).side == "lower"
    assert combine(1 / p, {p: plain(1.0, "lower")}).side == "upper"
    # at its least point a formula neither rises nor falls
    assert combine((p - 1) ** 2, {p: plain(1.0, "lower")}).side == "unknown"
    assert combine(p + 0 * q, {p: plain(1.0), q: plain(1.0, "unknown")}).side == "unbiased"


def test_roots_of_zero():
    known = combine(q * sp.sqrt(2 * p), {p: exact(0.0, method=""), q: plain(1.0)})
    assert (known.value, known.stderr) == (0.0, 0.0)
    measured = combine(sp.sqrt(p) + q, {p: plain(0.0), q: plain(1.0)})
    assert measured.value == 1.0
    assert math.isnan(measured.stderr)
    assert combine(sp.sqrt(p), {p: plain(0.0, "lower")}).side == "unknown"


def test_unknown_errors_stay_unknown():
    parts = {p: plain(1.0, stderr=math.nan), q: plain(1.0)}
    assert math.isnan(combine(p + q, parts).stderr)
    assert combine(0 * p + q, parts).stderr == pytest.approx(0.1)


def test_a_symbol_without_value_is_named():
    with pytest.raises(ValueError, match=r"estimates: no value for \['c', 'q'\]"):
        combine(p + c * q, {p: plain(1.0)})


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.4213, 0.0031, "0.4213 ± 0.0031"),
        (130.41, 0.62, "130.41 ± 0.62"),
        (5.14e-9, 2.4e-10, "(5.14 ± 0.24)e-09"),
        (-3.2e-6, 4e-5, "(-0.3 ± 4.0)e-05"),
        (0.25, 0.0, "0.25"),
    ],
)
def test_text_shows_two_digits_of_the_error(value: float, stderr: float, text: str) -> None:
    assert str(Estimate(value, stderr, 10, "")) == text


def test_combining_keeps_the_noise_that_influences_do_not_show():
    x, y = sp.symbols("x y")
    equal = Estimate(1.0, 0.3, 10, "equal effects", influence=torch.zeros(10))
    spread = mean(torch.arange(10.0), method="data")
    total = combine(2 * x + y, {x: equal, y: spread})
    assert total.stderr == pytest.approx(math.hypot(0.6, spread.stderr))
    # The noise stays when the result is combined once more.
    assert combine(x, {x: total}).stderr == pytest.approx(total.stderr)


def test_equal_numbers_have_no_error() -> None:
    found = across([exact(0.1094866721795840631, method="known")] * 7)
    assert (found.value, found.stderr) == (0.1094866721795840631, 0.0)


def test_the_mean_of_what_is_no_number_is_refused():
    samples = torch.tensor([1.0, math.nan, math.nan])
    with pytest.raises(ValueError, match="^samples: 2 of 3 are nan, in the loss of a net$"):
        mean(samples, method="loss of a net")
    assert mean(torch.tensor([1.0, math.inf]), method="").value == math.inf
