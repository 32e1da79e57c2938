import math

import matplotlib as mpl
import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from genbound import selection
from genbound.data import Gaussian
from genbound.estimate import Estimate, mean
from genbound.models.solvable import MeanLearner
from genbound.sde import ve, vp
from genbound.selection import bootstrap, closed_form, select

mpl.use("Agg")

PROCESS = vp()
HORIZONS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
LETTER = sp.Symbol("f", real=True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def problem(n=20, d=2, shift=1.0, seed=0, m=400):
    """Training data, held-out data and the mean learner."""
    data, fresh = normal(n, d, seed=seed) + shift, normal(m, d, seed=seed + 1) + shift
    return data, fresh, MeanLearner(data.mean(0), PROCESS, 1.0, 0.02)


class Shrinking:
    """A score that overshoots where little signal is left: its slope changes sign."""

    process, horizon, t_min = PROCESS, 1.0, 0.02

    def score(self, noisy, time):
        signal_scale, noise_scale = (word[..., None] for word in PROCESS.moments(time))
        return 1.2 * signal_scale - noisy + 0.6 * noise_scale**6 * torch.sin(3 * noisy)


@given(spread=st.floats(0.1, 0.5), seed=st.integers(0, 9))
@settings(max_examples=5)
def test_the_interval_of_a_minimiser_covers_it(spread, seed):
    """Each datum votes (T - x)^2: the minimiser is the mean, its error that of a mean."""
    horizons, hits, n, repeats = torch.linspace(-1, 1, 201).double(), 0, 40, 60
    generator = seeded(seed)
    for _ in range(repeats):
        votes = spread * torch.randn(n, generator=generator, dtype=torch.float64)
        curve = [mean((horizon - votes).square(), method="") for horizon in horizons]
        values = bootstrap.evaluate(
            LETTER, {LETTER: curve}, {}, resamples=200, generator=generator
        )
        found = bootstrap.at_minimum("", horizons, values, criterion="", level=0.95)
        assert abs(found.horizon - float(votes.mean())) <= 0.0051
        width = (found.high - found.low) / (2 * 1.96 * float(votes.std()) / math.sqrt(n))
        assert 0.6 < width < 1.5
        hits += found.low <= 0 <= found.high
    assert hits >= 0.95 * repeats - 4 * math.sqrt(0.05 * repeats)


def test_resamples_spread_as_the_standard_error():
    shared = mean(normal(30), method="")
    lone = Estimate(1.0, 0.3, 5, "")
    found = bootstrap.resampled(
        {LETTER: [shared, shared], sp.Symbol("g"): [lone]}, resamples=4000, generator=seeded()
    )
    values = found[LETTER]
    assert float(values[0, 0]) == shared.value
    torch.testing.assert_close(values[:, 0], values[:, 1])
    assert float(values[1:, 0].std()) == pytest.approx(shared.stderr, rel=0.06)
    assert float(found[sp.Symbol("g")][1:].std()) == pytest.approx(0.3, rel=0.06)


def test_tight_and_derivative_follow_one_slope_in_the_solved_case():
    for shift, n, last in ((1.5, 20, True), (0.0, 5, False)):
        data, fresh, model = problem(n=n, shift=shift, seed=3)
        given_all = {"model": model, "data": data, "held_out": fresh, "horizons": HORIZONS}
        slope = float(fresh.mean(0) @ model.mean - model.mean.square().sum() / 2)
        assert (slope > 0) == last
        end = HORIZONS[-1] if last else HORIZONS[0]
        for rule, options in (("one_model", {"form": "tight"}), ("derivative", {})):
            found = select(rule, generator=seeded(), draws=200, **given_all, **options)
            assert found.horizon == end, rule
            assert found.low <= found.horizon <= found.high


def test_forms_differ_by_a_number_and_the_curve_is_the_closed_form():
    data, fresh, model = problem(n=60, m=2000)
    options = {"horizons": HORIZONS, "held_out": fresh, "draws": 200}
    nll = select("one_model", model=model, data=data, form="nll", generator=seeded(), **options)
    tight = select("one_model", model=model, data=data, generator=seeded(1), **options)
    a = PROCESS.moments(torch.tensor(HORIZONS, dtype=torch.float64))[0].square().numpy()
    slope = float((model.mean - fresh).square().sum(1).mean() - fresh.square().sum(1).mean()) / 2
    for found in (nll, tight):
        values, half = found.table["value"], (found.table["high"] - found.table["low"]) / 2
        moved = values - values.iloc[-1] + slope * (a - a[-1])
        assert (moved.abs() <= 2.5 * half).all()
        assert list(found.table.columns) == ["T", "value", "low", "high"]
    rule = select("derivative", model=model, data=data, generator=seeded(2), **options)
    half = (rule.table["high"] - rule.table["low"]) / 2
    assert ((rule.table["value"] - slope * a).abs() <= 2.5 * half).all()


def test_the_derivative_stops_where_the_likelihood_bound_is_least():
    horizons = tuple(np.linspace(0.2, 1.0, 33).tolist())
    data, fresh = normal(300, 2) + 1, normal(2000, 2, seed=1) + 1
    model, given_all = Shrinking(), {"horizons": horizons, "held_out": fresh, "draws": 128}
    rule = select("derivative", model=model, data=data, generator=seeded(), **given_all)
    curve = select(
        "one_model", model=model, data=data, form="nll", generator=seeded(1), **given_all
    )
    assert horizons[0] < rule.horizon < horizons[-1]
    assert rule.low - 0.026 <= curve.horizon <= rule.high + 0.026


def test_an_information_takes_the_place_of_held_out_data():
    data, _, model = problem(n=30)
    options = {"model": model, "data": data, "horizons": HORIZONS, "draws": 64}
    for rule in ("one_model", "derivative"):
        free = select(rule, generator=seeded(), information=0.0, **options)
        paid = select(rule, generator=seeded(), information=0.05, **options)
        assert (paid.table["value"] >= free.table["value"]).all()
        assert paid.horizon <= free.horizon
        with pytest.raises(ValueError, match="held_out: give"):
            select(rule, generator=seeded(), **options)


def test_retrain_meets_one_model_where_the_model_is_the_same():
    data, fresh, model = problem()
    options = {"horizons": HORIZONS, "held_out": fresh, "draws": 256, "form": "nll"}
    one = select("one_model", model=model, data=data, generator=seeded(), **options)
    many = select("retrain", models=lambda _: (model, data), generator=seeded(1), **options)
    # A function of the horizon that ignores it is never asked to truncate.
    width = (one.table["high"] - one.table["low"]) / 2
    truncated = {T: (MeanLearner(data.mean(0), PROCESS, T, 0.02), data) for T in HORIZONS}
    mapped = select("retrain", models=truncated, generator=seeded(1), **options)
    assert ((many.table["value"] - mapped.table["value"]).abs() < 1e-9).all()
    assert ((one.table["value"] - many.table["value"]).abs() <= 2 * width).all()
    with pytest.raises(ValueError, match=r"models: no model for the horizon 0\.2"):
        select("retrain", models={1.0: (model, data)}, generator=seeded(), **options)


def test_the_paper_s_form_has_an_interior_choice_that_no_constant_moves_far():
    data, _, model = problem(n=10)
    options = {"model": model, "data": data, "form": "paper", "horizons": HORIZONS, "draws": 128}
    small, large = (
        select("one_model", generator=seeded(), constant=constant, **options)
        for constant in (1.0, 1000.0)
    )
    assert HORIZONS[0] < large.horizon < HORIZONS[-1]
    assert abs(small.horizon - large.horizon) <= 0.2
    assert "by hand" in small.notes[0]


def population_choice(n, norm, *, root=True):
    """Minimiser of the paper's two terms for D2's data, exact rate, a score of given norm."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(50)
    squares = (1 + nodes[:, None]) ** 2 + (1 + nodes) ** 2
    joint = np.outer(weights, weights) / (2 * math.pi)

    def criterion(time):
        clock = float(PROCESS.clock_of(time))
        a = math.exp(-clock)
        rate = (a * (squares - 2) - 2 * math.log1p(-a)) / 2
        return float(((rate**0.5 if root else rate) * joint).sum()) + norm * math.sqrt(
            clock / (2 * n)
        )

    return optimize.minimize_scalar(criterion, bounds=(0.05, 2), options={"xatol": 1e-6}).x


GOLDEN = {10: (0.673, 0.267), 16: (0.715, 0.372), 200: (0.899, 0.693), 1000: (0.995, 0.821)}
RELEASED = {10: (0.568, 0.400), 16: (0.591, 0.433), 200: (0.701, 0.579), 1000: (0.761, 0.653)}


@pytest.mark.parametrize("n", GOLDEN)
def test_golden_choices_of_the_paper_s_form_and_of_its_released_variant(n):
    for norm, golden, released in zip((1.25, 5.0), GOLDEN[n], RELEASED[n], strict=True):
        # the golden horizons were read off a grid of spacing 0.001
        assert population_choice(n, norm) == pytest.approx(golden, abs=1.2e-3)
        assert population_choice(n, norm, root=False) == pytest.approx(released, abs=1.2e-3)


@pytest.mark.parametrize(("n", "truth"), [(10, 0.486), (16, 0.529), (200, 0.725), (1000, 0.828)])
def test_plug_in_gives_the_golden_horizons(n, truth):
    clock = torch.tensor(math.log(1 + n * 2 / 2), dtype=torch.float64)
    assert float(closed_form.time_of_clock(PROCESS, clock)) == pytest.approx(truth, abs=6e-4)
    radius = torch.tensor(1.7246, dtype=torch.float64)  # E|X| for N((1, 1), I)
    lambert = closed_form.lambert_clock(n, torch.tensor(1.25), radius)
    chosen = float(closed_form.time_of_clock(PROCESS, lambert))
    assert chosen == pytest.approx(GOLDEN[n][0], abs=0.012)


def test_plug_in_follows_its_formulas():
    data, _, model = problem(n=50, m=4)
    options = {"data": data, "process": PROCESS, "horizons": HORIZONS, "generator": seeded()}
    found = select("plug_in", formula="shrinkage", **options)
    norm2 = float(data.mean(0).square().sum() - data.var(0).sum() / 50)
    clock = float(PROCESS.clock_of(found.horizon))
    assert clock == pytest.approx(math.log(1 + 25 * norm2), rel=1e-6)
    assert found.low < found.horizon < found.high
    lambert = select("plug_in", formula="paper", score_norm=1.25, **options)
    clock, radius = float(PROCESS.clock_of(lambert.horizon)), float(data.norm(dim=1).mean())
    assert math.exp(clock) / clock == pytest.approx(50 * radius**2 / 1.25**2, rel=1e-6)
    measured = select("plug_in", formula="paper", model=model, **options)
    # the mean learner's score has mean square d plus what is left of its mean
    assert lambert.horizon < measured.horizon + 0.1
    assert "L = 1.4" in measured.notes[0]


def test_plug_in_stays_inside_the_horizons_and_never_balances_without_data():
    data = normal(4, 2)
    options = {"data": data, "process": PROCESS, "generator": seeded(), "formula": "paper"}
    found = select("plug_in", horizons=(0.5, 1.0), score_norm=50.0, **options)
    assert found.horizon == 0.5
    assert "outside" in found.notes[-1]


@given(d=st.integers(1, 5), shift=st.floats(-2, 2))
def test_the_squared_norm_of_the_mean_is_unbiased(d, shift):
    values = [closed_form.mean_norm2(normal(8, d, seed=k) + shift) for k in range(60)]
    found = torch.tensor([each.value for each in values])
    stderr = float(found.std()) / math.sqrt(60)
    assert abs(float(found.mean()) - d * shift**2) <= 4 * stderr


def test_validation_sees_the_truth_and_its_bound_does_not():
    data, _, _ = problem(n=10, shift=0.7, seed=4)
    fresh = normal(4000, 2, seed=9) + 0.7
    model = MeanLearner(data.mean(0), PROCESS, 1.0, 0.02)
    options = {"models": model, "held_out": fresh, "horizons": HORIZONS, "generator": seeded()}
    nll = select("validation", paths=8, step=0.3, **options)
    nelbo = select("validation", measure="nelbo", draws=64, **options)
    source = Gaussian(torch.full((2,), 0.7, dtype=torch.float64), torch.eye(2).double())
    a = PROCESS.moments(torch.tensor(HORIZONS, dtype=torch.float64))[0].square()
    truth = [(source.mean - (1 - share) * model.mean).square().sum() / 2 for share in a]
    assert nll.low <= HORIZONS[int(torch.stack(truth).argmin())] <= nll.high
    assert nelbo.horizon == HORIZONS[-1]
    assert (nelbo.table["value"] > nll.table["value"] - 0.02).all()
    each = select(
        "validation",
        **(options | {"models": {T: (model, data) for T in HORIZONS}}),
        measure="nelbo",
        draws=64,
    )
    assert ((each.table["value"] - nelbo.table["value"]).abs() < 0.1).all()


def test_fixed_is_fixed():
    found = select("fixed")
    assert (found.horizon, found.low, found.high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="horizon: got -1"):
        select("fixed", horizon=-1)


def test_a_selection_shows_itself():
    data, _, _ = problem()
    found = select("plug_in", data=data, process=PROCESS, horizons=HORIZONS, generator=seeded())
    assert str(found).startswith("plug_in (shrinkage): T = ")
    page = found._repr_html_()
    assert page.count("<tr>") == len(HORIZONS)
    assert "N(mu, I)" in page
    ax = found.plot()
    assert ax.get_xlabel() == "horizon $T$"
    assert any(line.get_xdata()[0] == found.horizon for line in ax.lines)
    mpl.pyplot.close("all")


def test_refuses_what_it_does_not_know():
    data, fresh, model = problem()
    options = {"model": model, "data": data, "generator": seeded(), "held_out": fresh}
    plug = {"data": data, "generator": seeded(), "horizons": HORIZONS}
    cases = [
        (ValueError, "rule: got 'oracle'", "oracle", {}),
        (TypeError, r"one_model: lacks \['horizons'\]", "one_model", options),
        (TypeError, r"fixed: lacks \[\], does not know \['data'\]", "fixed", {"data": data}),
        (ValueError, "horizons: got", "one_model", options | {"horizons": (1.0, 0.5)}),
        (ValueError, "form: got 'loose'", "one_model",
         options | {"horizons": HORIZONS, "form": "loose"}),
        (ValueError, "level: got 2", "derivative", options | {"horizons": HORIZONS, "level": 2}),
        (ValueError, "resamples: got 1", "derivative",
         options | {"horizons": HORIZONS, "resamples": 1}),
        (ValueError, "formula: got", "plug_in", plug | {"process": PROCESS, "formula": "best"}),
        (ValueError, "model: the paper's", "plug_in",
         plug | {"process": PROCESS, "formula": "paper"}),
        (ValueError, "process: got", "plug_in", plug | {"process": ve()}),
        (ValueError, "measure: got", "validation",
         {"models": model, "held_out": fresh, "horizons": HORIZONS, "generator": seeded(),
          "measure": "mmd"}),
    ]  # fmt: skip
    for error, words, rule, given_all in cases:
        with pytest.raises(error, match=words):
            select(rule, **given_all)
    assert set(selection.RULES) <= set(selection.__all__)
