import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.derivations import trade_off
from genbound.models.solvable import MeanLearner
from genbound.sde import vp
from genbound.selection import select, solved

PROCESS = vp()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def table(**point):
    given_all = {"repetitions": 2000, "generator": seeded()} | point
    return solved.regret(**given_all).set_index("rule")


@given(n=st.integers(2, 40), d=st.integers(1, 8), norm2=st.floats(0.1, 10))
@settings(max_examples=15)
def test_constant_choices_have_the_closed_form(n, d, norm2):
    found = table(n=n, d=d, norm2=norm2, repetitions=500)
    exact = trade_off.exact.to_torch(*trade_off.letters)
    least = float(trade_off.exact_minimum.to_torch(*trade_off.letters)(0.5, n, d, norm2))
    assert found.loc["best constant T", "regret"] == 0
    assert found.loc["best constant T", "divergence"] == pytest.approx(least)
    default = float(PROCESS.moments(1.0)[0]) ** 2
    truth = float(exact(default, n, d, norm2)) - least
    row = found.loc["fixed, T = 1"]
    assert abs(row["regret"] - truth) <= 4 * row["stderr"]
    grid = PROCESS.moments(solved._grid())[0].square()
    truth = float(exact(grid, n, d, norm2).mean()) - least
    row = found.loc["random T"]
    assert abs(row["regret"] - truth) <= 4 * row["stderr"]
    assert (found["regret"] >= -4 * found["stderr"]).all()


def test_shrinkage_pays_in_many_dimensions_and_the_gain_vanishes_with_data():
    many = table(n=16, d=20, norm2=2.0)
    default, plug_in = many.loc["fixed, T = 1"], many.loc["plug-in, shrinkage"]
    assert plug_in["regret"] + 4 * plug_in["stderr"] < default["regret"] / 3
    gains = []
    for n in (4, 64, 1024):
        found = table(n=n, d=2, norm2=2.0, repetitions=300)
        gains.append(found.loc["fixed, T = 1", "relative"])
    assert gains[0] > gains[1] > gains[2]
    assert gains[2] < 0.01


def test_linear_criteria_choose_an_end():
    found = solved.choices(
        torch.randn(50, 6, 3, generator=seeded(), dtype=torch.float64) + 0.3,
        fresh_mean=torch.full((50, 3), 0.3, dtype=torch.float64),
        norm2=0.27,
        horizons=solved._grid(),
        process=PROCESS,
        generator=seeded(),
    )
    ends = PROCESS.moments(solved._grid()[[0, -1]])[0].square()
    taken = set()
    for rule in ("one model or derivative, information", "one model or derivative, held-out"):
        assert set(found[rule].tolist()) <= set(ends.tolist())
        taken |= set(found[rule].tolist())
    assert taken == set(ends.tolist())


@pytest.mark.parametrize("seed", range(4))
def test_the_rules_on_one_model_choose_the_same(seed):
    """The vectorised closed forms against the estimators, sample by sample."""
    truth = torch.ones(2, dtype=torch.float64)
    sample = truth + torch.randn(1, 12, 2, generator=seeded(seed), dtype=torch.float64)
    fresh = truth + torch.randn(4000, 2, generator=seeded(seed + 50), dtype=torch.float64)
    grid = torch.tensor([0.3, 0.45, 0.6, 0.8, 1.0], dtype=torch.float64)
    found = solved.choices(
        sample,
        fresh_mean=fresh.mean(0, keepdim=True),
        norm2=2.0,
        horizons=grid,
        process=PROCESS,
        generator=seeded(),
    )
    data = sample[0]
    model = MeanLearner(data.mean(0), PROCESS, 1.0, 1e-3)
    shared = {"horizons": grid.tolist(), "generator": seeded(seed)}
    chosen = {
        "plug-in, shrinkage": select("plug_in", data=data, process=PROCESS, **shared),
        "plug-in, paper": select(
            "plug_in", data=data, process=PROCESS, formula="paper", model=model, paths=4000,
            step=0.05, **shared
        ),
        "one model or derivative, held-out": select(
            "one_model", model=model, data=data, held_out=fresh, draws=400, **shared
        ),
        "retrain or one model, paper's form": select(
            "one_model", model=model, data=data, form="paper", constant=1e4, paths=4000,
            step=0.1, **shared
        ),
    }  # fmt: skip
    for rule, selection in chosen.items():
        share = float(PROCESS.moments(selection.horizon)[0]) ** 2
        assert share == pytest.approx(float(found[rule]), rel=0.05, abs=1e-9), rule
    # The likelihood is flat near its best horizon: the choices differ by next to no divergence.
    nll = select("validation", models=model, held_out=fresh, paths=8, step=0.1, **shared)
    price = [
        float((fresh.mean(0) - (1 - share) * model.mean).square().sum()) / 2
        for share in (found["validation, likelihood"], PROCESS.moments(nll.horizon)[0] ** 2)
    ]
    assert price[1] == pytest.approx(price[0], abs=5e-3)


@pytest.mark.parametrize("wrong", [{"n": 1}, {"repetitions": 1}, {"norm2": 0.0}])
def test_refuses_what_cannot_be(wrong):
    with pytest.raises(ValueError, match="allowed are at least 2"):
        table(**({"n": 5, "d": 2, "norm2": 1.0} | wrong))
