import math

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from genbound.derivation import Derivation
from genbound.derivations import change_of_measure, sgld, sgld_forgetting, sgld_solved
from genbound.derivations.linear_score import a, u
from genbound.derivations.parameter_information import rate, steps, weights
from genbound.derivations.trade_off import d, n
from genbound.symbolic import Refuted, verify

LETTERS = sgld_solved.letters
STEP_LETTERS = tuple(sgld_solved.step if letter == steps else letter for letter in LETTERS)
TIMES = (u, a, sgld_solved.span, sgld_solved.variance)
START, END, RATE, DECAY = 0.05, 3.0, 0.05, 0.1
CASE = {"beta": 200.0, "steps": 40, "n": 20, "d": 5, "variance": 0.6}


def curvature(variance=0.6):
    times = (math.exp(-2 * START), math.exp(-2 * END), END - START, variance)
    return float(sgld_solved.curvature.to_torch(*TIMES)(*times))


def point():
    weight = curvature()
    return weight, 1 - 2 * weight * RATE, *CASE.values()


def solved(name, values):
    return getattr(sgld_solved, name).to_torch(*LETTERS)(*values)


def step_variances(values, longest):
    """V_k for every k below `longest`, zero from each instance's last step on."""
    values = [torch.as_tensor(value, dtype=torch.float64)[..., None] for value in values]
    k = torch.arange(longest, dtype=torch.float64)
    found = sgld_solved.step_variance.to_torch(*STEP_LETTERS)(*values[:3], k, *values[4:])
    return torch.where(k < values[3], found, 0.0)


def one_step(values, rates, longest):
    """Sum over the steps of what each can tell."""
    compiled = sgld.step_capacity.to_torch(
        sgld.step_variance, weights, rate, sgld_solved.inverse_temperature
    )
    dims, beta = (torch.as_tensor(values[k], dtype=torch.float64)[..., None] for k in (5, 2))
    rates = torch.as_tensor(rates, dtype=torch.float64)[..., None]
    return compiled(step_variances(values, longest), dims, rates, beta).sum(-1)


def test_what_is_granted_is_witnessed():
    granted = {
        "trajectory",
        "whole",
        "expected",
        "variance_form",
        "leave_one_out",
        "leave_one_out_gap",
        "sample_gap",
        "forgetting_step",
        "forgetting",
        "induction",
        "capacity_form",
        "energy_drop",
        "second_law",
        "_one_more",
        "_claim",
        "_start",
    }
    seen = set()
    for module in (sgld, sgld_forgetting, sgld_solved):
        for name, derivation in vars(module).items():
            if isinstance(derivation, Derivation):
                seen |= {name} if "granted" in derivation.grades else set()
                assert "sampled" not in derivation.grades, name
                assert all("not checked" not in step.detail for step in derivation.steps), name
    assert seen == granted


def test_golden_numbers_of_the_solved_case():
    times = (math.exp(-2 * START), math.exp(-2 * END), END - START, CASE["variance"])
    constant = sgld_solved.constant.to_torch(*TIMES, d)(*times, CASE["d"])
    least = sgld_solved.irreducible.to_torch(*TIMES, d)(*times, CASE["d"])
    assert curvature() == pytest.approx(0.9597388, abs=1e-7)
    assert float(constant) == pytest.approx(3.5660838, abs=1e-7)
    assert float(least) == pytest.approx(6.4453002, abs=1e-7)
    assert float(least) + curvature() * 5 * 0.3**2 == pytest.approx(6.877183, abs=1e-6)
    values = point()
    information = float(solved("information", values))
    assert float(solved("gap", values)) == pytest.approx(0.2828340, abs=1e-7)
    assert information == pytest.approx(6.123945, abs=1e-6)
    assert math.sqrt(2 * information / 20) == pytest.approx(0.782556, abs=1e-6)
    gradients, beta = solved("gradients", values), CASE["beta"]
    trajectory = sgld.trajectory.to_torch(sgld_solved.inverse_temperature, sgld.gradients)
    assert float(trajectory(beta, gradients)) == pytest.approx(11.909699, abs=1e-6)
    assert float(one_step(values, RATE, 40)) == pytest.approx(9.001268, abs=1e-6)
    linear = beta / 4 * RATE * float(step_variances(values, 40).sum())
    assert linear == pytest.approx(9.780665, abs=1e-6)
    of_one = (change_of_measure.scale, sgld_solved.inverse_temperature, n)
    expected = sgld.expected.to_torch(*of_one, sgld.gradients)(1.0, beta, 20.0, gradients)
    assert float(expected) == pytest.approx(1.091316, abs=1e-6)
    left_out = sgld.leave_one_out_gap.to_torch(*of_one, sgld.batch, sgld.datum_gradients)
    price = left_out(1.0, beta, 20.0, 20.0, solved("datum_gradients", values))
    assert float(price) == pytest.approx(2.304303, abs=1e-6)


@given(st.floats(0.05, 4), st.floats(-3, 3))
@settings(max_examples=20)
def test_the_loss_of_a_datum_is_a_quadratic(variance, distance):
    """The denoising loss by quadrature over time, in the units of the second paper."""

    def squared(time):
        spread2 = -math.expm1(-2 * time)
        noised = 1 + (variance - 1) * math.exp(-2 * time)
        slope = 1 - 1 / noised
        of_noise = 2 * slope * math.sqrt(spread2) + 2 * math.exp(-2 * time) / math.sqrt(spread2)
        return (2 * math.exp(-time) * distance / noised) ** 2 + of_noise**2

    truth = integrate.quad(squared, START, END)[0] / (END - START)
    times = (math.exp(-2 * START), math.exp(-2 * END), END - START, variance)
    constant = sgld_solved.constant.to_torch(*TIMES, d)(*times, 1)
    assert curvature(variance) * distance**2 + float(constant) == pytest.approx(truth, rel=1e-6)


def test_the_solved_case_against_simulation():
    gen = torch.Generator().manual_seed(1)
    weight, keep, beta, count, size, variance = 0.8, 0.7, 6.0, 5, 4, 0.6
    like = {"generator": gen, "dtype": torch.float64}
    data = math.sqrt(variance) * torch.randn(100_000, size, **like)
    step = (1 - keep) / (2 * weight)
    theta = torch.zeros(len(data), dtype=torch.float64)
    spent, single = torch.zeros_like(theta), torch.zeros_like(theta)
    for _ in range(count):
        gradient = 2 * weight * (theta[:, None] - data)
        spent += step * gradient.mean(1).square()
        single += step * gradient.square().mean(1)
        kick = math.sqrt(2 * step / beta) * torch.randn(len(theta), **like)
        theta = theta - step * gradient.mean(1) + kick
    gap = weight * (theta.square() + variance - (theta[:, None] - data).square().mean(1))
    values = (weight, keep, beta, count, size, 1, variance)
    for name, found in (("gap", gap), ("gradients", spent), ("datum_gradients", single)):
        error = 4 * float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean()) - float(solved(name, values))) <= error, name
    for name, of in (("information", data.mean(1)), ("datum_information", data[:, 0])):
        correlation = float(torch.corrcoef(torch.stack([theta, of]))[0, 1])
        truth = float(solved(name, values))
        error = 4 * abs(correlation) / math.sqrt(len(theta))
        assert abs(-math.log(1 - correlation**2) / 2 - truth) <= error, name


def cases(count=4000, longest=60):
    gen = torch.Generator().manual_seed(2)
    weight, beta, variance = torch.randn(3, count, generator=gen, dtype=torch.float64).exp()
    keep = torch.rand(count, generator=gen, dtype=torch.float64).clamp(0.01, 0.99)
    whole = [
        torch.randint(*ends, (count,), generator=gen).double()
        for ends in ((1, longest), (2, 200), (1, 30))
    ]
    return weight, keep, (3 * beta).pow(1.5), *whole, variance


def test_no_form_lies_below_the_exact_information_or_gap():
    values = cases()
    weight, keep, beta, _, size, dims, variance = values
    rates = (1 - keep) / (2 * weight)
    slack = 1 + 1e-9
    information, datum = solved("information", values), solved("datum_information", values)
    gradients, single = solved("gradients", values), solved("datum_gradients", values)
    divergence, left_out = solved("divergence", values), solved("leave_one_out", values)
    inverse = sgld_solved.inverse_temperature
    trajectory = sgld.trajectory.to_torch(inverse, sgld.gradients)(beta, gradients)
    assert bool((information <= divergence * slack).all())
    assert bool((divergence <= trajectory * slack).all())
    capacity = one_step(values, rates, 60)
    linear = sgld.variance_form.to_torch(inverse, sgld.variances)
    linear = linear(beta, rates * step_variances(values, 60).sum(-1))
    assert bool((information <= capacity * slack).all())
    assert bool((capacity <= linear * slack).all() and (linear <= trajectory * slack).all())
    one = sgld.leave_one_out.to_torch(inverse, n, sgld.batch, sgld.datum_gradients)
    assert bool((datum <= information / size * slack).all())
    assert bool((datum <= left_out * slack).all())
    assert bool((left_out <= one(beta, size, size, single) * slack).all())
    # Each form is sharp somewhere: a smaller constant would fail.
    for truth, bound in ((divergence, trajectory), (information, capacity), (datum, left_out)):
        assert float((truth / bound).max()) > 0.95
    # Squared distances are left-sub-Gaussian, with the scale of their variance.
    loss = sgld_solved.population.to_torch(*LETTERS, sgld_solved.fixed)(*values, 0.0)
    scale = loss * (2 / dims).sqrt()
    gap = solved("gap", values)
    of_one = (change_of_measure.scale, inverse, n)
    expected = sgld.expected.to_torch(*of_one, sgld.gradients)(scale, beta, size, gradients)
    alone = sgld.leave_one_out_gap.to_torch(*of_one, sgld.batch, sgld.datum_gradients)
    assert bool((gap <= expected * slack).all())
    assert bool((gap <= alone(scale, beta, size, size, single) * slack).all())


DECAYING = (sgld_forgetting.decay, rate, sgld_solved.inverse_temperature)


def decaying(weight, rates, decay, beta, size, dims, variance, *, longest):
    """Exact divergence of a quadratic with weight decay from rest, and its bound, at each step."""
    keep = 1 - 2 * weight * rates - rates * decay
    left = 1 - rates * decay
    rest = sgld_forgetting.stationary.to_torch(*DECAYING)(decay, rates, beta)
    bound = sgld_forgetting.forgetting.to_torch(
        *DECAYING, steps, sgld_forgetting.start_divergence, sgld_forgetting.forgotten
    )
    share, spread, total = torch.zeros_like(weight), rest, torch.zeros_like(weight)
    for count in range(1, longest + 1):
        squared = 4 * weight**2 * dims * ((share - 1) ** 2 * variance / size + spread)
        total = left * total + rates * squared
        share = keep * share + 2 * weight * rates
        spread = keep**2 * spread + 2 * rates / beta
        ratio = spread / rest
        exact = dims / 2 * (ratio + share**2 * variance / size / rest - 1 - ratio.log())
        yield exact, bound(decay, rates, beta, count, 0.0, total)


def test_forgetting_in_the_golden_case_and_at_random():
    golden = torch.tensor([curvature(), RATE, DECAY, 200, 20, 5, 0.6], dtype=torch.float64)
    exact, bound = list(decaying(*golden, longest=40))[-1]
    assert float(exact) == pytest.approx(6.325459, abs=1e-6)
    assert float(bound) == pytest.approx(41.159950, abs=1e-6)
    gen = torch.Generator().manual_seed(3)
    draws = torch.randn(4, 5000, generator=gen, dtype=torch.float64).mul(1.5).exp()
    rates, kept, left = torch.rand(3, 5000, generator=gen, dtype=torch.float64)
    weight, beta, size, variance = draws
    case = (weight, 2 * rates / weight, kept.clamp(0.001, 0.999) * weight / (2 * rates), beta)
    worst = 0.0
    for exact, bound in decaying(*case, size, 1 + 9 * left, 10 * variance, longest=12):
        assert bool((exact <= bound * (1 + 1e-9)).all())
        worst = max(worst, float((exact / bound).max()))
    assert worst > 0.99


def test_the_second_law_at_any_time():
    letters = (
        sgld_solved.inverse_temperature,
        sgld_solved.weight,
        sgld_solved.keep,
        sgld_forgetting._centre,
        sgld_forgetting.s2,
        sgld_forgetting._mean,
        sgld_forgetting._spread,
    )
    gen = torch.Generator().manual_seed(4)
    beta, weight, rest, ratio = torch.randn(4, 4000, generator=gen, dtype=torch.float64).exp()
    centre, mean = 2 * torch.randn(2, 4000, generator=gen, dtype=torch.float64)
    flow = sgld_forgetting.energy_drop
    parts = (sgld_forgetting.start_divergence, sgld_forgetting.start_loss, sgld_forgetting.losses)
    exact, *found = (
        Derivation.of(letter, sgld_forgetting._flow[letter]).to_torch(*letters)
        for letter in (flow.lhs, *parts)
    )
    bound = flow.to_torch(letters[0], *parts)
    uniform = sgld_forgetting.second_law.to_torch(letters[0], *parts[:2])
    for at_rest in (True, False):
        start = (torch.zeros_like(mean), rest.sqrt()) if at_rest else (mean, ratio.sqrt())
        before = torch.zeros_like(beta)
        for keep in (0.99, 0.7, 0.3, 0.01):
            case = (beta, weight, torch.tensor(keep, dtype=torch.float64), centre, rest, *start)
            truth, (first, loss, later) = exact(*case), (part(*case) for part in found)
            limit = uniform(beta, first, loss)
            assert bool((truth <= bound(beta, first, loss, later) + 1e-9 * limit).all())
            assert bool((truth <= limit).all())
            if at_rest:
                assert bool((first.abs() <= 1e-12).all())
                assert bool((before <= truth + 1e-12).all())
                before = truth


AT_REST = {sgld_forgetting._mean: 0, sgld_forgetting._spread: sp.sqrt(sgld_forgetting.s2)}
FLOW = {letter: value.subs(AT_REST) for letter, value in sgld_forgetting._flow.items()}
REST = sgld_forgetting._at_rest
PAST, NEXT, LAST2 = (getattr(sgld_forgetting, name) for name in ("_past", "_next", "_last2"))
WRONG = {
    "trajectory": (
        sgld.divergence,
        0.95 * sgld.trajectory.expr,
        sgld.trajectory,
        {
            sgld.divergence: sgld_solved.divergence.expr,
            sgld.gradients: sgld_solved.gradients.expr,
        },
    ),
    "capacity": (
        sgld.information,
        0.95 * sgld.capacity,
        sgld.variance_form,
        {
            sgld.information: sgld_solved.information.expr.subs(steps, 1),
            sgld.capacity: sgld._one_step,
        },
    ),
    "leave one out": (
        sgld.left_out,
        0.95 * sgld.leave_one_out.expr,
        sgld.leave_one_out,
        {
            sgld.left_out: sgld_solved.leave_one_out.expr,
            sgld.datum_gradients: sgld_solved.datum_gradients.expr,
            sgld.batch: n,
        },
    ),
    "price": (
        NEXT,
        (1 - rate * sgld_forgetting.decay) * PAST + 0.99 * sgld_forgetting.price.expr * LAST2,
        sgld_forgetting.forgetting_step,
        REST,
    ),
    "forgetting twice as fast": (
        NEXT,
        (1 - rate * sgld_forgetting.decay) ** 2 * PAST + sgld_forgetting.price.expr * LAST2,
        sgld_forgetting.forgetting_step,
        REST,
    ),
    "second law, less than half": (
        sgld_forgetting.second_law.lhs,
        0.4
        * sgld_solved.inverse_temperature
        * (sgld_forgetting.start_loss - sgld_forgetting.losses),
        sgld_forgetting.second_law,
        FLOW,
    ),
    "second law, a faster flow": (
        sgld_forgetting._to_gibbs,
        0.95 * sgld_forgetting._from_start,
        sgld_forgetting.second_law,
        FLOW,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_constants_are_refuted(name):
    left, right, result, witness = WRONG[name]
    with pytest.raises(Refuted):
        verify("<=", left, right, witness=witness, domain=dict(result.domain))
