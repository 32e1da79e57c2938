import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import matplotlib
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.bound import Assumption, Bound, Constant, Term, WrongSide
from genbound.derivation import Derivation
from genbound.estimate import Estimate, exact, mean
from genbound.protocols import ScoreModel

matplotlib.use("Agg")

risk = sp.Symbol(r"\mathcal{R}", nonnegative=True)
loss, info, scale, free = sp.symbols("ell I R w", nonnegative=True)
n = sp.Symbol("n", positive=True)
letters = (loss, info, scale, n, free)


class Mean(Protocol):
    """A model that knows its mean."""

    d: int

    def centre(self) -> Any:
        """The mean."""


@dataclass
class Model:
    d: int = 2

    def centre(self):
        return torch.zeros(self.d)


def fixed(value, side="unbiased", stderr=0.0):
    return lambda _model, _data, **_: Estimate(value, stderr, 10, "by hand", side)


def per_datum(_model, data, **_):
    return mean(data[:, 0].square(), method="mean square")


def theorem(expr):
    return Derivation.of(risk, risk, by="what it is about").granted(
        "<=", sp.sympify(expr), cite="a book", by="a theorem"
    )


SIZE = Constant(n, "n", "training samples", known=lambda _, data: len(data))
SCALE = Constant(scale, "R", "sub-Gaussian constant")


def bound(measure_info=None, measure_loss=per_datum, **changes):
    made = Bound(
        name="test_bound",
        theorem=theorem(loss + scale * sp.sqrt(2 * info / n)),
        terms=(
            Term(loss, "training loss", measure_loss),
            Term(info, "information", measure_info or fixed(0.5)),
        ),
        constants=(SCALE, SIZE),
        contract=Mean,
        source="A book <2025>",
        assumptions=(Assumption("data are independent"), Assumption("n > 1", checked=True)),
    )
    return replace(made, **changes)


@pytest.fixture
def data(generator):
    return torch.randn(50, 2, generator=generator, dtype=torch.float64)


def test_total_is_the_theorem(data, generator):
    breakdown = bound().evaluate(Model(), data, generator=generator, R=3.0)
    losses = data[:, 0].square()
    assert breakdown.total.value == pytest.approx(float(losses.mean()) + 3 * math.sqrt(1 / 50))
    assert breakdown.total.stderr == pytest.approx(float(losses.std()) / math.sqrt(50))
    for name in ("ell", "training loss"):
        assert breakdown[name].value == pytest.approx(float(losses.mean()))
    assert breakdown["n"].value == 50
    assert breakdown["R"].value == breakdown["sub-Gaussian constant"].value == 3
    with pytest.raises(KeyError, match="temperature: not in"):
        breakdown["temperature"]


def test_terms_must_be_the_letters_of_the_theorem():
    with pytest.raises(ValueError, match=r"letters without a term or constant: \['R'\]"):
        bound(constants=(SIZE,))
    stranger = Constant(sp.Symbol("q"), "q", "a stranger")
    with pytest.raises(ValueError, match=r"absent from the theorem: \['q'\]"):
        bound(constants=(SCALE, SIZE, stranger))


def test_constants_are_asked_for_by_name(data, generator):
    evaluate = bound().evaluate
    with pytest.raises(ValueError, match=r"give a value for R \(sub-Gaussian constant\)"):
        evaluate(Model(), data, generator=generator)
    with pytest.raises(TypeError, match=r"unknown \['Q'\], allowed are \['R'\]"):
        evaluate(Model(), data, generator=generator, R=1.0, Q=2.0)
    with pytest.raises(TypeError, match=r"unknown \['n'\]"):
        evaluate(Model(), data, generator=generator, R=1.0, n=9)
    for value in (-1.0, math.nan):
        with pytest.raises(ValueError, match=f"R: got {value}, must be >= 0"):
            evaluate(Model(), data, generator=generator, R=value)


def test_data_are_a_matrix(generator):
    for shape in ((1, 2), (5,), (5, 2, 1)):
        with pytest.raises(ValueError, match=r"^data: got shape .* \(n, d\)"):
            bound().evaluate(Model(), torch.zeros(shape), generator=generator, R=1.0)


def test_a_model_that_breaks_the_contract_is_told_what_it_lacks(data, generator):
    def evaluate(model, **changes):
        bound(**changes).evaluate(model, data, generator=generator, R=1.0)

    with pytest.raises(TypeError, match="model: object is no Mean, it lacks centre, d$"):
        evaluate(object())

    @dataclass
    class Fields:
        process: Any = None
        horizon: float = 1.0
        t_min: float = 0.1

    with pytest.raises(TypeError, match="Fields is no ScoreModel, it lacks score$"):
        evaluate(Fields(), contract=ScoreModel)
    Fields.score = lambda noisy, _: -noisy
    del Fields.horizon
    instance = object.__new__(Fields)
    with pytest.raises(TypeError, match="it lacks horizon$"):
        evaluate(instance, contract=ScoreModel)


@pytest.mark.parametrize("side", ["exact", "unbiased", "consistent", "upper"])
def test_sides_that_keep_the_bound(side, data, generator):
    made = bound(fixed(0.5, side)).evaluate(Model(), data, generator=generator, R=1.0)
    assert made["I"].side == side


@pytest.mark.parametrize("side", ["lower", "unknown"])
def test_sides_that_break_it_are_refused_by_name(side, data, generator):
    made = bound(fixed(0.5, side))
    message = f": information was measured from the side '{side}', but the bound rises with it$"
    with pytest.raises(WrongSide, match=message):
        made.evaluate(Model(), data, generator=generator, R=1.0)
    guess = Estimate(1.0, 0.1, 10, "a guess", side)
    with pytest.raises(WrongSide, match=f": R was measured from the side '{side}', but"):
        bound(fixed(0.5, "exact")).evaluate(Model(), data, generator=generator, R=guess)
    ranking = replace(made, holds="ranking only")
    assert ranking.evaluate(Model(), data, generator=generator, R=1.0)["I"].side == side


@pytest.mark.parametrize(("side", "fits"), [("lower", True), ("upper", False)])
def test_a_falling_term_wants_the_other_side(side, fits, data, generator):
    made = Bound(
        "falling",
        theorem(loss - info),
        (Term(loss, "loss", per_datum), Term(info, "information", fixed(0.1, side))),
        (),
        Mean,
        "a book",
    )
    if fits:
        assert made.evaluate(Model(), data, generator=generator).total.side == "upper"
    else:
        with pytest.raises(WrongSide, match="but the bound falls with it"):
            made.evaluate(Model(), data, generator=generator)


def test_a_term_of_no_direction_must_be_unbiased(data, generator):
    made = bound(theorem=theorem((loss - info) ** 2), constants=())
    made.evaluate(Model(), data, generator=generator)
    terms = (made.terms[0], Term(info, "information", fixed(0.1, "upper")))
    with pytest.raises(WrongSide, match="neither rises nor falls"):
        replace(made, terms=terms).evaluate(Model(), data, generator=generator)


def test_estimated_constants_bring_their_error_and_side(data, generator):
    constant = Estimate(2.0, 0.25, 30, "fitted", "upper")
    breakdown = bound().evaluate(Model(), data, generator=generator, R=constant)
    expected = math.hypot(breakdown["ell"].stderr, 0.25 * math.sqrt(1 / 50))
    assert breakdown.total.stderr == pytest.approx(expected)
    assert breakdown.total.side == "upper"
    with pytest.raises(WrongSide, match=": R was measured"):
        bound().evaluate(
            Model(), data, generator=generator, R=Estimate(2.0, 0.25, 30, "fitted", "lower")
        )


def powers(count):
    return st.lists(
        st.sampled_from([0, 0, 1, 2, sp.Rational(1, 2)]), min_size=count, max_size=count
    )


@given(
    st.lists(st.tuples(st.integers(-3, 3), powers(4)), min_size=1, max_size=5),
    st.lists(st.floats(0.1, 3), min_size=4, max_size=4),
    st.booleans(),
)
def test_contributions_sum_to_the_total(addends, values, factored):
    measured = letters[:3] + letters[4:]
    expr = loss + sum(
        factor * sp.prod([s**e for s, e in zip(measured, exponents, strict=True)])
        for factor, exponents in addends
    )
    expr = expr * (1 + info) if factored else expr
    used = [pair for pair in zip(measured, values, strict=True) if pair[0] in expr.free_symbols]
    terms = tuple(Term(s, f"term {s}", fixed(v, stderr=0.1)) for s, v in used)
    made = Bound("random", theorem(expr), terms, (), Mean, "")
    breakdown = made.evaluate(Model(), torch.ones(5, 2), generator=torch.Generator())
    table = breakdown.table()
    total = float(expr.subs(dict(used)))
    assert breakdown.total.value == pytest.approx(total, abs=1e-9)
    assert table.contribution.sum() == pytest.approx(total, abs=1e-9)
    assert set(table.term) - {"1"} == {str(s) for s, _ in used}


def test_table(data, generator):
    table = bound().evaluate(Model(), data, generator=generator, R=3.0).table()
    assert list(table.term) == ["ell", "I", "R"]
    assert list(table.columns) == [
        "term",
        "title",
        "value",
        "stderr",
        "n",
        "method",
        "side",
        "contribution",
        "contribution_stderr",
        "grade",
    ]
    row = table.set_index("term").loc["I"]
    assert row.contribution == pytest.approx(3 * math.sqrt(1 / 50))
    assert table.set_index("term").loc["R"].contribution == 0


def test_a_number_in_the_theorem_has_its_row(data, generator):
    made = bound(theorem=theorem(loss + sp.log(2)), terms=bound().terms[:1], constants=())
    breakdown = made.evaluate(Model(), data, generator=generator)
    assert breakdown.table().contribution.tolist()[-1] == pytest.approx(math.log(2))
    assert "number in the theorem" in breakdown._repr_html_()


def test_verdicts(data, generator):
    def verdict(trivial, **constants):
        term = None if trivial is None else Term(risk, "nothing learned", fixed(trivial))
        made = bound(trivial=term)
        return made.evaluate(Model(), data, generator=generator, **constants).verdict

    assert verdict(None, R=1.0) == "no reference"
    assert verdict(1e6, R=1.0) == "informative"
    assert verdict(1e-6, R=1.0) == "vacuous"
    total = bound().evaluate(Model(), data, generator=generator, R=1.0).total
    # the upper limit must lie below, not the value alone
    assert verdict(total.value + 0.5 * total.stderr, R=1.0) == "vacuous"
    assert verdict(total.upper() + 1e-9, R=1.0) == "informative"
    assert verdict(1e6, R=math.inf) == "vacuous"
    assert verdict(None, R=math.inf) == "vacuous"


def test_an_infinite_information_is_a_vacuous_bound_and_no_error(data, generator):
    made = bound(fixed(math.inf))
    breakdown = made.evaluate(Model(), data, generator=generator, R=1.0)
    assert breakdown.total.value == math.inf
    assert breakdown.verdict == "vacuous"
    assert breakdown.table().contribution.tolist()[1] == math.inf
    for text in (str(breakdown), breakdown._repr_html_()):
        assert "vacuous" in text


@pytest.mark.parametrize("constants", [{"R": 0.0}, {"R": 1.0}])
@pytest.mark.parametrize("side", ["exact", "unbiased"])
def test_no_information_costs_nothing(constants, side, data, generator):
    breakdown = bound(fixed(0.0, side)).evaluate(Model(), data, generator=generator, **constants)
    assert breakdown.total.value == pytest.approx(breakdown["ell"].value)
    assert breakdown.total.stderr == pytest.approx(breakdown["ell"].stderr)


def test_page(data, generator):
    term = Term(risk, "nothing learned", fixed(9.0))
    breakdown = bound(trivial=term).evaluate(Model(), data, generator=generator, R=3.0)
    html = breakdown._repr_html_()
    for text in (
        "training loss",
        "assumed: data are independent",
        "checked: n &gt; 1",
        "A book &lt;2025&gt;",
        "against 9 without learning",
        "verdict-informative",
        "in expectation",
        str(breakdown.total),
    ):
        assert text in html
    line = f"test_bound: {breakdown.total} nats, informative (in expectation)"
    assert str(breakdown) == line
    assert bound().latex().startswith(r"\mathcal{R} \le ")


def test_plot(data, generator):
    breakdown = bound().evaluate(Model(), data, generator=generator, R=3.0)
    axes = breakdown.plot(truth=0.1)
    assert len(axes.patches) >= 2
    matplotlib.pyplot.close(axes.figure)


def test_the_total_errs_as_it_says(generator):
    """Loss and information rest on the same data; replications show the true spread."""

    def spread(_model, data, **_):
        return mean(data[:, 0].square() + data[:, 1].abs(), method="dependent")

    made = bound(spread)
    totals, errors, alone = [], [], []
    for _ in range(300):
        data = torch.randn(60, 2, generator=generator, dtype=torch.float64)
        breakdown = made.evaluate(Model(), data, generator=generator, R=6.0)
        totals.append(breakdown.total.value)
        errors.append(breakdown.total.stderr)
        slope = 6 / math.sqrt(2 * 60 * breakdown["I"].value)
        alone.append(math.hypot(breakdown["ell"].stderr, slope * breakdown["I"].stderr))
    true = float(torch.tensor(totals).std())
    # 300 replications know a standard deviation to 4 %
    assert sum(errors) / 300 == pytest.approx(true, rel=0.16)
    assert sum(alone) / 300 < 0.88 * true


def test_randomness_comes_from_the_generator(data):
    def measure(_model, _data, *, generator):
        return exact(float(torch.rand((), generator=generator)), method="random")

    values = [
        bound(measure).evaluate(
            Model(), data, generator=torch.Generator().manual_seed(seed), R=1.0
        )["I"]
        for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]


def test_a_bound_without_a_value_says_where(data, generator):
    made = bound(fixed(math.nan, "exact"))
    with pytest.raises(ValueError, match=": has no value at .*information = nan, R = 1"):
        made.evaluate(Model(), data, generator=generator, R=1.0)


@pytest.mark.parametrize("value", ["1", None, [1.0]])
def test_a_constant_is_a_number(value, data, generator):
    with pytest.raises(TypeError, match=r"^R: got .*, allowed is a number or Estimate"):
        bound().evaluate(Model(), data, generator=generator, R=value)
