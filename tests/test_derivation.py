from dataclasses import FrozenInstanceError

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import GRADES, Derivation
from genbound.symbolic import Refuted, to_torch

x, y, a = sp.symbols("x y a", positive=True)
r = sp.Symbol("r", real=True)
f, g, h = sp.symbols("f g h", positive=True)

square = Derivation.of(f, (x + 1) ** 2, by="its definition")


def test_steps_make_new_values():
    longer = square.equals(x**2 + 2 * x + 1, by="expanding")
    assert (len(square.steps), len(longer.steps)) == (1, 2)
    assert longer.lhs == square.lhs == f
    assert square == Derivation.of(f, (x + 1) ** 2, by="its definition")
    with pytest.raises(FrozenInstanceError):
        square.lhs = g
    with pytest.raises(FrozenInstanceError):
        square.steps[0].expr = x


def test_grades_run_from_no_check_to_a_citation():
    assert GRADES == ("defined", "substituted", "proved", "sampled", "witnessed", "granted")
    chain = square
    seen = [chain.grade]
    chain = chain.equals(x**2 + 2 * x + 1, by="expanding")
    seen.append(chain.grade)
    chain = chain.at_most(x**2 + 2 * x + g, by="on a family", witness={g: 1 + y})
    seen.append(chain.grade)
    chain = chain.granted("<=", x**2 + 2 * x + 2 * g, cite="a book", by="its theorem")
    seen.append(chain.grade)
    # a later, stronger step does not mend the chain
    chain = chain.at_most(x**2 + 3 * x + 2 * g, by="x is positive")
    seen.append(chain.grade)
    assert seen == ["defined", "proved", "witnessed", "granted", "granted"]
    assert chain.grades == ("defined", "proved", "witnessed", "granted")
    assert chain.relation == "<="
    assert chain.expr == x**2 + 3 * x + 2 * g


@given(
    error=st.sampled_from([sp.Rational(1, 10**6), -1, x / 100, sp.exp(-x)]),
    method=st.sampled_from(["equals", "at_most", "at_least"]),
)
def test_a_false_step_is_not_made(error, method):
    sign = -1 if (method == "at_most") == (error != -1) else 1
    with pytest.raises(Refuted):
        getattr(square, method)(x**2 + 2 * x + 1 + sign * error, by="carelessness")


def test_the_domain_is_used_and_kept():
    inside = Derivation.of(f, a**2, domain={a: (0, 1)})
    assert inside.at_most(a, by="a < 1").at_most(1, by="a < 1").grade == "proved"
    with pytest.raises(Refuted):
        Derivation.of(f, a**2).at_most(a, by="nothing")


def test_a_chain_does_not_turn():
    up = square.at_most(x**2 + 2 * x + 2, by="1 < 2")
    with pytest.raises(ValueError, match="a chain of <= cannot turn to >="):
        up.at_least(x**2, by="positive")
    with pytest.raises(ValueError, match="cannot turn"):
        up.granted(">=", 0, cite="a book", by="obvious")
    assert up.equals((x + 1) ** 2 + 1, by="collecting").relation == "<="
    down = square.at_least(x**2, by="positive")
    assert down.relation == ">="
    with pytest.raises(ValueError, match="a chain of >= cannot turn to <="):
        down.at_most(x**2 + 1, by="1 > 0")


def test_equalities_may_be_used():
    value = Derivation.of(g, 2 * x, by="definition")
    chain = Derivation.of(f, g**2 + 1).equals(4 * x**2 + 1, by="value of g", using=[value])
    assert chain.grade == "proved"
    # in the other direction as well: the result's letter may enter
    assert Derivation.of(f, 2 * x + 1).equals(g + 1, by="g", using=[value]).grade == "proved"
    with pytest.raises(Refuted):
        Derivation.of(f, g**2).equals(4 * x**2 + 1, by="value of g", using=[value])
    with pytest.raises(Refuted):
        Derivation.of(f, g**2).equals(4 * x**2, by="nothing is said of g")


def test_inequalities_may_be_used_in_their_direction():
    upper = Derivation.of(g, g).granted("<=", x, cite="a book", by="upper")
    lower = Derivation.of(g, g).granted(">=", x, cite="a book", by="lower")
    rising, falling = Derivation.of(f, g**2 + y), Derivation.of(f, y - sp.log(g))
    assert rising.at_most(x**2 + y, by="g", using=[upper]).grade == "granted"
    assert rising.at_least(x**2 + y, by="g", using=[lower]).relation == ">="
    assert falling.at_most(y - sp.log(x), by="g", using=[lower]).relation == "<="
    assert falling.at_least(y - sp.log(x), by="g", using=[upper]).relation == ">="


@pytest.mark.parametrize(
    ("expr", "result", "method"),
    [
        (g**2, "<=", "at_least"),
        (g**2, ">=", "at_most"),
        (-g, "<=", "at_most"),
        (1 / g, ">=", "at_least"),
        (g**2, "<=", "equals"),
        ((g - 1) ** 2, "<=", "at_most"),
        (sp.sin(g), ">=", "at_least"),
    ],
)
def test_inequalities_are_refused_against_their_direction(expr, result, method):
    used = Derivation.of(g, g).granted(result, x, cite="a book", by="a result")
    with pytest.raises(ValueError, match=f"using: g {result} ... cannot serve a step"):
        getattr(Derivation.of(f, expr), method)(expr.subs(g, x), by="g", using=[used])


def test_the_grade_of_what_is_used_counts():
    cited = Derivation.of(g, g).granted("=", 2 * x, cite="a book", by="its value")
    chain = Derivation.of(f, g + 1).equals(2 * x + 1, by="g", using=[cited])
    assert chain.steps[-1].grade == "granted"


def test_the_domain_of_what_is_used_counts():
    half = Derivation.of(g, a, by="definition", domain={a: (0, sp.Rational(1, 2))})
    chain = Derivation.of(f, g).at_most(sp.Rational(1, 2), by="a < 1/2", using=[half])
    assert chain.grade == "proved"


def test_a_citation_with_a_wrong_constant_is_refuted_by_its_witness():
    mean, root = sp.symbols("m r", positive=True)
    witness = {mean: x, root: 2 * sp.sqrt(x)}
    opening = Derivation.of(mean, mean)
    chain = opening.granted("<=", root**2 / 4, cite="a book", by="Jensen", witness=witness)
    assert chain.steps[-1].grade == "granted"
    assert chain.steps[-1].cite == "a book"
    assert "holds on a solvable family" in chain.steps[-1].detail
    with pytest.raises(Refuted, match="fails at"):
        opening.granted("<=", root**2 / 5, cite="a book", by="Jensen", witness=witness)
    assert opening.granted("<=", root**2 / 5, cite="a book", by="Jensen").grade == "granted"


def test_specialising_opens_a_child():
    parent = Derivation.of(f, a * x**2, domain={a: (0, 1)}).at_most(x**2, by="a < 1")
    child = parent.specialise({x: y + 1}, by="x = y + 1")
    assert len(child.steps) == 1
    assert (child.relation, child.expr, child.grade) == ("<=", (y + 1) ** 2, "proved")
    assert dict(child.domain) == dict(parent.domain)
    assert parent.expr == x**2
    opening = Derivation.of(f * x, a * x**2, domain={a: (0, 1)})
    plain = opening.specialise({a: r**2, x: a}, by="renaming", domain={r: (0, 1)})
    assert (plain.lhs, plain.expr) == (f * a, r**2 * a**2)
    assert plain.grade == "substituted"
    assert dict(plain.domain) == {r: (0, 1)}
    # symbols are exchanged at once, not one after the other
    exchanged = Derivation.of(f, x - 2 * y).specialise({x: y, y: x}, by="exchange")
    assert exchanged.expr == y - 2 * x


def test_a_child_keeps_the_weakest_grade():
    cited = square.granted("<=", x**2 + 2 * x + 3, cite="a book", by="its theorem")
    assert cited.specialise({x: 1}, by="x = 1").grade == "granted"


def test_another_name():
    renamed = square.named(g)
    assert (renamed.lhs, renamed.steps) == (g, square.steps)


@given(st.floats(0.1, 5), st.floats(0.1, 5))
def test_tensor_code_is_that_of_the_last_line(first, second):
    chain = square.at_most((x + 1) ** 2 + y * sp.sqrt(2), by="y is positive")
    value = chain.to_torch(x, y)(torch.tensor(first).double(), second)
    assert float(value) == pytest.approx((first + 1) ** 2 + second * 2**0.5)
    assert torch.equal(value, to_torch((x, y), chain.expr)(torch.tensor(first).double(), second))
    with pytest.raises(ValueError, match="lacks"):
        chain.to_torch(x)


def test_page():
    chain = square.at_most(x**2 + 2 * x + 2, by="1 < 2 & more").granted(
        "<=", x**2 + 2 * x + 3, cite="Author <2025>", by="a theorem"
    )
    html = chain._repr_html_()
    for step in chain.steps:
        assert f"grade-{step.grade}" in html
        assert f">{step.grade}<" in html
    for text in ("its definition", "1 &lt; 2 &amp; more", "a theorem (Author &lt;2025&gt;)"):
        assert text in html
    assert html.count('<tr class="step">') == 3
    assert html.count(r"\le ") == 2
    assert chain.latex().count(r"\\") == 2
    assert r"\begin{aligned}f &=" in chain.latex()
    assert r"[\text{granted}]" in chain.latex()
    assert chain.statement() == r"f \le x^{2} + 2 x + 3"
    assert chain._repr_latex_() == r"$$f \le x^{2} + 2 x + 3$$"


def test_an_inequality_is_used_only_where_its_letter_cannot_turn_the_sign() -> None:
    letter, x = sp.Symbol("g", real=True), sp.Symbol("x", positive=True)
    upper = Derivation.of(letter, letter).granted("<=", x, cite="a book", by="upper")
    with pytest.raises(ValueError, match="using"):
        Derivation.of(sp.Symbol("f"), letter**2).at_most(x**2, by="g", using=[upper])


def test_a_case_outside_the_domain_is_refused() -> None:
    a = sp.Symbol("a", positive=True)
    share = Derivation.of(sp.Symbol("f"), 1 - a, domain={a: (0, 1)})
    assert share.specialise({a: sp.Rational(1, 2)}, by="half").expr == sp.Rational(1, 2)
    with pytest.raises(ValueError, match="a = 2, allowed is"):
        share.specialise({a: 2}, by="too much")
