import json
import math
import shutil
import subprocess

import pytest
import sympy as sp
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy.stats import Expectation, Normal

from genbound.symbolic import (
    Refuted,
    Undecided,
    Verdict,
    expm1,
    is_nonnegative,
    is_zero,
    latex,
    log1p,
    to_javascript,
    to_torch,
    verify,
    verify_once,
)

x, y = sp.symbols("x y", positive=True)
r, s = sp.symbols("r s", real=True)
k = sp.Symbol("k", positive=True, integer=True)

IDENTITIES = [
    ((r + s) ** 3, r**3 + 3 * r**2 * s + 3 * r * s**2 + s**3),
    (sp.log(x * y / (1 + x)), sp.log(x) + sp.log(y) - sp.log(1 + x)),
    (sp.sin(r) ** 2, 1 - sp.cos(r) ** 2),
    (expm1(x), sp.exp(x) - 1),
    (log1p(x), sp.log(1 + x)),
    (sp.sqrt(x**2 * y) / x, sp.sqrt(y)),
    (x / (1 + x) + 1 / (1 + x), 1),
    (sp.exp(-x) * sp.exp(2 * x), sp.exp(x)),
]

TRUE_INEQUALITIES = [
    (log1p(x), x),
    (sp.log(1 + x), x),
    (sp.exp(-x), 1 - x + x**2 / 2),
    (sp.log(x), x - 1),
    (2 * r * s, r**2 + s**2),
    (x - x**2 / 2, sp.log(1 + x)),
    (0, (x - 1 - sp.log(x)) / 2),
]


@pytest.mark.parametrize(("left", "right"), IDENTITIES)
def test_proves_identities(left, right):
    assert verify("=", left, right).grade == "proved"


@pytest.mark.parametrize(("left", "right"), TRUE_INEQUALITIES)
def test_proves_inequalities_from_either_side(left, right):
    assert verify("<=", left, right).grade == "proved"
    assert verify(">=", right, left).grade == "proved"


def test_divergence_of_gaussians_is_not_negative():
    variance, other = sp.symbols("v w", positive=True)
    ratio = variance / other
    divergence = (ratio + (r - s) ** 2 / other - 1 - sp.log(ratio)) / 2
    assert verify(">=", divergence, 0).grade in ("proved", "sampled")
    assert verify(">=", (x + r**2 - 1 - sp.log(x)) / 2, 0).grade == "proved"


def test_a_truth_without_proof_keeps_the_grade_of_its_points():
    # Turan's inequality in a form that neither signs nor derivatives reach
    left, right = sp.gamma(x) * sp.gamma(y), sp.gamma((x + y) / 2) ** 2
    verdict = verify(">=", left, right, domain={x: (0, 9), y: (0, 9)})
    assert verdict.grade == "sampled"
    assert "32 random rational points" in verdict.detail


@pytest.mark.parametrize(("left", "right"), IDENTITIES)
@pytest.mark.parametrize(
    "plant",
    [
        lambda expr: -expr,
        lambda expr: 2 * expr,
        lambda expr: expr + sp.Rational(1, 10**6),
        lambda expr: expr * (1 + sp.Rational(1, 10**9)),
    ],
    ids=["sign", "factor 2", "1e-6", "relative 1e-9"],
)
def test_refutes_planted_errors(left, right, plant):
    with pytest.raises(Refuted, match="fails at"):
        verify("=", left, plant(sp.sympify(right)))


@pytest.mark.parametrize(("left", "right"), TRUE_INEQUALITIES)
def test_refutes_the_turned_inequality(left, right):
    with pytest.raises(Refuted):
        verify(">=", left, right)


def test_the_counterexample_is_one():
    with pytest.raises(Refuted) as refusal:
        verify("<=", x * y, x + y)
    text = str(refusal.value)
    assert "x*y <= x + y fails at x = " in text
    where = text.split("fails at ")[1].split(" (")[0]
    values = dict(pair.split(" = ") for pair in where.split(", "))
    left, right = (sp.Rational(values[name]) for name in ("x", "y"))
    assert left * right > left + right
    gap = float(text.split("gap ")[1].rstrip(")"))
    assert gap == pytest.approx(float(left + right - left * right), rel=1e-5)


def test_the_domain_decides():
    claim = ("<=", x**2, x)
    assert verify(*claim, domain={x: (0, 1)}).grade == "proved"
    with pytest.raises(Refuted):
        verify(*claim)
    with pytest.raises(Refuted):
        verify(*claim, domain={x: (0, sp.Rational(3, 2))})
    assert verify(">=", r**3, 8, domain={r: (2, None)}).grade == "proved"
    assert verify("<=", r**3, 8, domain={r: (None, 2)}).grade in ("proved", "sampled")
    with pytest.raises(Refuted):
        verify(">=", r**3, 8, domain={r: (None, 2)})


def test_integers_are_tried_as_integers():
    assert verify("=", sp.cos(2 * sp.pi * k), 1).grade == "proved"
    assert verify(">=", k, 1).grade in ("proved", "sampled")
    with pytest.raises(Refuted, match="k = [2-9]|k = [1-9][0-9]"):
        verify("<=", k, 1)


negative = sp.Symbol("z", negative=True)


def test_signs_of_letters_are_respected():
    assert verify("<=", negative, 0).grade == "proved"
    with pytest.raises(Refuted):
        verify("<=", r, 0)


@pytest.mark.parametrize(
    "expr",
    [
        sp.sqrt(-x),
        sp.log(-x - 1),
        sp.asin(2 + x),
    ],
)
def test_undecided_without_real_values(expr):
    with pytest.raises(Undecided, match="only 0 of 32 points gave real values"):
        verify("<=", expr, x)


def test_points_where_numbers_have_no_order_are_skipped():
    expr = sp.Max(sp.log(r), 0)
    assert verify("<=", expr, sp.Abs(r)).grade == "sampled"
    with pytest.raises(Undecided):
        verify("<=", expr, sp.Abs(r), domain={r: (None, 0)})


def test_numbers_need_no_points():
    assert verify("<=", sp.sqrt(2), sp.Rational(3, 2)).grade == "proved"
    with pytest.raises(Refuted, match="every point"):
        verify("<=", sp.pi, 3)


def test_a_witness_says_whether_it_could_refute():
    """Half of the range is spent: no. All of it, of either sign and in either direction: yes."""
    mean, square = sp.symbols("m_1 m_2", real=True)
    for size, relation in ((x, "<="), (-x, "<="), (x, ">="), (-x, ">=")):
        sharp = verify(relation, mean, square, witness={mean: size, square: size})
        assert sharp.detail.endswith("fails there with a tenth less")
    loose = verify("<=", mean, square, witness={mean: x, square: 2 * x})
    assert loose.detail.endswith("points")
    equal = verify("=", mean, square, witness={mean: x, square: x})
    assert equal.detail.endswith("points")


def test_witness():
    mean, square = sp.symbols("m_1 m_2", positive=True)
    witness = {mean: x, square: x**2 + y}
    assert verify("<=", mean**2, square, witness=witness).grade == "witnessed"
    with pytest.raises(Refuted):
        verify("<=", 2 * mean**2, square, witness=witness)
    # the replacement is simultaneous, so that letters may be exchanged
    swapped = {"witness": {x: y, y: x}, "domain": {x: (0, 1), y: (1, 2)}}
    assert verify(">=", x, y, **swapped).grade == "witnessed"
    with pytest.raises(Refuted):
        verify("<=", x, y, **swapped)


def test_unknown_relation_is_refused():
    with pytest.raises(ValueError, match="relation: got '<'"):
        verify("<", x, x + 1)


def test_zero():
    assert is_zero(sp.log(x / y) - sp.log(x) + sp.log(y))
    assert not is_zero(x - x**2)


@given(
    coefficients=st.lists(st.integers(-4, 4), min_size=1, max_size=4),
    root=st.sampled_from([sp.exp(-x), sp.log(1 + x), 1 / (1 + x), sp.log(x), 1 / (1 - x)]),
    weight=st.integers(-3, 3),
)
@settings(max_examples=80)
def test_never_proves_what_a_point_refutes(coefficients, root, weight):
    expr = sum(c * x**j for j, c in enumerate(coefficients)) + weight * root
    grid = [10 ** (step / 8) for step in range(-24, 17)]
    values = [complex(expr.subs(x, sp.Float(value))) for value in grid if value != 1]
    negative = any(abs(value.imag) < 1e-12 and value.real < -1e-9 for value in values)
    if negative:
        assert not is_nonnegative(expr)


@pytest.mark.parametrize(
    "expr",
    [
        -sp.acot(x - 1),
        1 / (1 - x),
        x / (2 - x),
        sp.tan(x),
        sp.log((x - 1) ** 2) + x,
        sp.Abs(x - 1) - sp.Rational(1, 2),
        2 - sp.floor(x),
        x * y - x - y + 2 - x**2,
    ],
)
def test_jumps_and_poles_prove_nothing(expr):
    assert not is_nonnegative(expr)


leaves = st.sampled_from([x, y, sp.sqrt(2), sp.pi, sp.Rational(1, 3), sp.Integer(2)])


def _grow(children):
    unary = [
        lambda e: sp.exp(-e),
        lambda e: sp.log(1 + e),
        lambda e: sp.sqrt(e),
        lambda e: expm1(-e),
        lambda e: log1p(e),
        lambda e: 1 / (1 + e**2),
        sp.tanh,
        sp.sin,
    ]
    binary = [lambda a, b: a + b, lambda a, b: a * b, sp.Max, lambda a, b: sp.Min(a, b, 3)]
    return st.one_of(
        st.builds(lambda f, e: f(e), st.sampled_from(unary), children),
        st.builds(lambda f, a, b: f(a, b), st.sampled_from(binary), children, children),
    )


expressions = st.recursive(leaves, _grow, max_leaves=6)
words = st.floats(0.05, 4)


@given(expressions, words, words, st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=150)
def test_compiled_values_equal_evaluated_ones(expr, first, second, dtype):
    point = {x: sp.Float(first, 30), y: sp.Float(second, 30)}
    truth = complex(sp.sympify(expr).subs(point).evalf(20))
    assume(truth.imag == 0 and abs(truth.real) < 1e6)
    compiled = to_torch((x, y), expr)
    given_words = torch.tensor([first, second], dtype=dtype)
    # the input itself is rounded, so that a difference of equal terms keeps an absolute error
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-12}[dtype] * max(1, abs(truth.real))
    for value in (compiled(*given_words), compiled(given_words[0], second)):
        assert value.dtype == dtype
        assert abs(float(value) - truth.real) <= tolerance
    alone = compiled(first, second)
    assert alone.dtype == torch.float64
    assert abs(float(alone) - truth.real) <= 1e-12 * max(1, abs(truth.real))


SMOOTH = [
    sp.exp(-x * y) / (1 + x),
    sp.sqrt(2) * sp.log(x + y) * sp.sqrt(x),
    expm1(-x) * log1p(y),
    sp.Max(x, 2) * y**2 + sp.Min(x * y, 3),
    sp.Piecewise((x**2, x < 1), (2 * x - 1, True)) + y,
    sp.loggamma(x + 1) + y,
]


@pytest.mark.parametrize("expr", SMOOTH)
def test_transformed_code_equals_derivatives(expr, generator):
    first, second = 0.1 + 3 * torch.rand(2, 7, generator=generator, dtype=torch.float64)
    compiled = to_torch((x, y), expr)
    slope = sp.lambdify((x, y), sp.diff(expr, x), modules=["scipy", "numpy"])
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    truth = torch.tensor([float(slope(*pair)) for pair in pairs], dtype=torch.float64)
    batched = torch.func.vmap(compiled)(first, second)
    assert torch.allclose(batched, compiled(first, second), rtol=1e-14)
    slopes = torch.func.vmap(torch.func.grad(compiled))(first, second)
    assert torch.allclose(slopes, truth, rtol=1e-10)
    assert float(torch.func.grad(compiled)(first[0], 1.5)) == pytest.approx(
        float(slope(float(first[0]), 1.5))
    )


@pytest.mark.parametrize(
    ("expr", "truth"),
    [(expm1(x), math.expm1), (-expm1(-x), lambda v: -math.expm1(-v)), (log1p(x), math.log1p)],
)
def test_small_arguments_keep_their_digits_in_single_precision(expr, truth):
    value = to_torch((x,), expr)(torch.tensor(1e-7, dtype=torch.float32))
    assert float(value) == pytest.approx(truth(1e-7), rel=1e-6)
    derivative = to_torch((x,), sp.diff(expr, x))(torch.tensor(1e-7, dtype=torch.float32))
    assert float(derivative) == pytest.approx(1, rel=1e-6)


def test_compiled_code_stays_on_its_device(device):
    compiled = to_torch((x, y), sp.Max(x, sp.sqrt(2)) + y + log1p(x))
    value = compiled(torch.tensor([1.0, 2.0], device=device), 1)
    assert (value.device.type, value.dtype) == (device.type, torch.float32)
    assert compiled(1, torch.tensor([2], device=device)).device.type == device.type


def test_broadcasting_and_constants():
    column, row = torch.rand(3, 1), torch.rand(4)
    assert torch.equal(to_torch((x, y), x * y)(column, row), column * row)
    seven = to_torch((x,), sp.Integer(7))(torch.ones(2))
    assert (float(seven), seven.dtype) == (7, torch.float32)
    assert float(to_torch((), sp.pi)()) == math.pi


def test_integers_are_computed_in_double_precision():
    value = to_torch((x,), sp.log(x))(torch.tensor([3, 5]))
    assert value.dtype == torch.float64
    assert value.tolist() == [math.log(3), math.log(5)]
    mixed = to_torch((x, y), sp.log(x) * y)(torch.tensor(3), torch.tensor(1.0))
    assert mixed.dtype == torch.float32


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"args: \['x'\] lacks \['y'\]"):
        to_torch((x,), x + y)
    compiled = to_torch((x, y), x + y)
    with pytest.raises(TypeError, match=r"expected 2 arguments \(x, y\), got 1"):
        compiled(1.0)
    assert "return" in compiled.__doc__


def test_javascript_computes_the_same():
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here to run JavaScript")
    cases = []

    @given(expressions, words, words)
    def collect(expr, first, second):
        truth = complex(sp.sympify(expr).subs({x: sp.Float(first, 30), y: sp.Float(second, 30)}))
        assume(truth.imag == 0)
        cases.append((f"({to_javascript((x, y), expr)})({first!r}, {second!r})", truth.real))

    collect()
    calls = ", ".join(code for code, _ in cases)
    command = [program, "-e", f"console.log(JSON.stringify([{calls}]))"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    values = json.loads(output.stdout)
    assert len(values) == len(cases) >= 50
    for (code, truth), value in zip(cases, values, strict=True):
        assert value == pytest.approx(truth, rel=1e-12, abs=1e-12), code


def test_javascript_text():
    n, d = sp.symbols("n d")
    assert to_javascript((n, d), n * sp.exp(-d)) == "(n, d) => n*Math.exp(-d)"
    assert to_javascript((n,), log1p(n)) == "(n) => Math.log1p(n)"
    with pytest.raises(ValueError, match=r"lacks \['d'\]"):
        to_javascript((n,), n * d)
    with pytest.raises(ValueError, match="no JavaScript name"):
        to_javascript((sp.Symbol("a_{1}"),), sp.Symbol("a_{1}"))
    with pytest.raises(NotImplementedError):
        to_javascript((n,), sp.loggamma(n))


def test_latex_writes_the_plain_function():
    assert latex(expm1(x)) == "e^{x} - 1"
    assert latex(log1p(x)) == r"\log{\left(x + 1 \right)}"


def test_a_verdict_is_kept_and_a_false_claim_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBOUND_VERDICTS", str(tmp_path / "new"))
    first = verify_once("=", (x + 1) ** 2, x**2 + 2 * x + 1)
    assert first.grade == "proved"
    (kept,) = (tmp_path / "new").glob("*.json")
    monkeypatch.setattr("genbound.symbolic.memory.verify", None)
    assert verify_once("=", (x + 1) ** 2, x**2 + 2 * x + 1) == first
    monkeypatch.undo()
    monkeypatch.setenv("GENBOUND_VERDICTS", str(tmp_path / "new"))
    for _ in range(2):
        with pytest.raises(Refuted):
            verify_once("=", (x + 1) ** 2, x**2)
    assert list((tmp_path / "new").iterdir()) == [kept]
    kept.write_text("{")
    assert verify_once("=", (x + 1) ** 2, x**2 + 2 * x + 1) == first


@pytest.mark.parametrize(
    "change",
    [
        {"relation": "<="},
        {"left": sp.Symbol("x", real=True) ** 2},
        {"left": Expectation(Normal("x", 0, 1) ** 2)},
        {"right": 2 * x},
        {"domain": {x: (0, 2)}},
        {"domain": {x: (0, None)}},
        {"witness": {x: y}},
        {"witness": {x: y**2}},
    ],
)
def test_every_part_of_a_claim_counts(change, tmp_path, monkeypatch):
    monkeypatch.setenv("GENBOUND_VERDICTS", str(tmp_path))
    asked = []
    verdict = Verdict("proved", "")
    monkeypatch.setattr(
        "genbound.symbolic.memory.verify", lambda *claim, **_: asked.append(claim) or verdict
    )
    claim = {"relation": "=", "left": x**2, "right": x, "domain": {x: (0, 1)}, "witness": None}
    for each in (claim, claim, claim | change):
        verify_once(
            each["relation"],
            each["left"],
            each["right"],
            domain=each["domain"],
            witness=each["witness"],
        )
    assert len(asked) == 2
    assert verify_once("=", sp.Symbol("x") ** 2, x) == verdict
    assert len(asked) == 3


@pytest.mark.parametrize("folder", ["", "/proc/none"])
def test_without_a_folder_claims_are_checked_each_time(folder, monkeypatch):
    monkeypatch.setenv("GENBOUND_VERDICTS", folder)
    for _ in range(2):
        assert verify_once("=", x + x, 2 * x).grade == "proved"
