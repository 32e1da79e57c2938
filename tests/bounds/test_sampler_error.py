"""The sampler's bound: golden numbers, two forms that agree, and never below the truth."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import sampler, sde
from genbound.bounds import sampler_kl, sampler_kl_test_loss
from genbound.data import Gaussian, Mixture, kl, points
from genbound.derivations import sampler_steps as proof
from genbound.estimate import across, exact
from genbound.estimators.noise_levels import on_grid
from genbound.estimators.sampler_divergence import generated_kl, path_kl
from genbound.estimators.score_error import score_error
from tests.estimators.reference import Model, seeded

OU = sde.ou()
TWO = Mixture([[1.2, 0.0], [-0.8, 0.5]], 0.2)


def golden_model(v, m, shift, tilt, t_min=0.0):
    def score(state, time):
        signal = torch.exp(-torch.as_tensor(time)).unsqueeze(-1)
        law = 1 + (v - 1) * signal**2
        return ((law - 1) / law + tilt) * state + signal * (m + shift) / law - state

    return Model(score, OU, 3.0, t_min)


@pytest.mark.parametrize(
    ("case", "golden"),
    [
        ((0.25, 1.0, 0.0, 0.0), (0.196879, 0.391730)),
        ((4.0, 0.0, 0.0, 0.0), (0.136997, 0.271993)),
        ((0.25, 1.0, 0.3, 0.0), (0.481987, 0.676838)),
        ((0.25, 1.0, 0.3, 0.05), (0.546322, 0.741173)),
    ],
)
def test_golden_numbers(case, golden):
    """Start and steps are exact; the score error is the sum of the parts, or measured at once."""
    v, m, *wrong = case
    law, model = Gaussian([m], [[v]]), golden_model(*case)
    times = sampler.clock_grid(OU, 3.0, 0.0, steps=50)
    sample, fresh = (law.sample(n, generator=seeded(n)) for n in (300, 4000))
    bound = sampler_kl_test_loss(times, source=law, held_out=fresh, draws=16)
    found = bound.evaluate(model, sample, generator=seeded())
    error = score_error(
        model, law, fresh, draws=16, generator=seeded(1), levels=on_grid(OU, times)
    )
    start = math.exp(-6) * found["divergence of the data from the prior"].value
    rises = found["steps"].value
    tolerance = 8 * error.stderr + 1.5e-6
    assert start + rises + 2 * error.value == pytest.approx(golden[0], abs=tolerance)
    assert start + 2 * rises + 2 * error.value == pytest.approx(golden[1], abs=tolerance)
    if not any(wrong):
        assert error.value < 1e-20
    assert abs(found.total.value - golden[0]) < 4 * found.total.stderr < 0.2


@pytest.mark.parametrize("grid", ["even", "geometric"])
def test_the_two_forms_agree(grid):
    """Three parts of one sample, or the test loss: the same number, which no sample moves."""
    wrong = Mixture([[1.4, 0.0], [-0.8, 0.2]], 0.25)
    model = Model(wrong.path_score(OU), OU, 3.0, 0.05)
    times = {
        "even": sampler.clock_grid(OU, 3.0, 0.05, steps=30),
        "geometric": sampler.time_grid(OU, 3.0, 0.05, step=0.4),
    }[grid]
    sample, fresh = (TWO.sample(n, generator=seeded(n)) for n in (200, 5000))
    options = {"source": TWO, "held_out": fresh, "law_draws": 4000}
    forms = [
        bound.evaluate(model, sample, generator=seeded(1)).total
        for bound in (
            sampler_kl(times, draws=128, **options),
            sampler_kl_test_loss(times, draws=32, **options),
        )
    ]
    apart = forms[0].value - forms[1].value
    assert abs(apart) < 4 * math.hypot(*(form.stderr for form in forms)) < 0.6
    made = generated_kl(TWO, model, times, n=1000, paths=16, generator=seeded(2))
    along = path_kl(TWO, model, times, n=20_000, generator=seeded(3))
    assert made.value < along.value < forms[1].lower()


def test_the_memoriser_s_parts():
    """No optimisation error; the gap is all that its bound consists of."""
    sample, fresh = (TWO.sample(n, generator=seeded(n)) for n in (20, 2000))
    model = Model(points(sample).path_score(OU), OU, 3.0, 0.05)
    times = sampler.time_grid(OU, 3.0, 0.05, step=0.4)
    bound = sampler_kl(times, source=TWO, held_out=fresh, draws=64, law_draws=4000)
    found = bound.evaluate(model, sample, generator=seeded())
    assert found["optimisation"].value == 0
    assert found["generalization"].lower() > 0.3
    assert found.total.lower() > found.trivial.value and found.verdict == "vacuous"


def test_in_expectation_without_a_source():
    """Means over samples: the bound without the law stays above the one that knows it."""
    n, t_min = 40, 0.05
    law = Gaussian([1.0, 0.0], [[0.5, 0.0], [0.0, 2.0]])
    times = sampler.time_grid(OU, 3.0, t_min, step=0.15)
    blind, truths = [], []
    for k in range(30):
        sample, fresh = (law.sample(m, generator=seeded(100 * k + m)) for m in (n, 500))
        learned = Gaussian(sample.mean(0), sample.T.cov())
        model = Model(learned.path_score(OU), OU, 3.0, t_min)
        bound = sampler_kl(times, held_out=fresh, draws=16)
        blind.append(bound.evaluate(model, sample, generator=seeded(k)))
        made = sampler.affine_law(OU, model.score, times, d=2, scheme=sampler.exponential)
        truths.append(kl(law.noised(OU, t_min), Gaussian(*made)).value)
    total = across([b.total for b in blind])
    assert total.lower() > sum(truths) / len(truths)
    assert blind[0].bound.theorem is proof.in_expectation
    assert "steps, by second moments" in blind[0].table().title.tolist()


def test_a_gap_from_elsewhere():
    sample = TWO.sample(50, generator=seeded())
    model = Model(TWO.path_score(OU), OU, 3.0, 0.05)
    times = sampler.time_grid(OU, 3.0, 0.05, step=0.3)
    bound = sampler_kl(times, draws=8)
    small, large = (
        bound.evaluate(model, sample, generator=seeded(), gap=gap).total.value
        for gap in (0.0, exact(1.0, method="a bound on the gap"))
    )
    assert large - small == pytest.approx(2.0)
    with pytest.raises(ValueError, match="give a value for gap"):
        bound.evaluate(model, sample, generator=seeded())


@given(shift=st.floats(-0.5, 0.5), steps=st.integers(4, 40), v=st.floats(0.3, 3.0))
@settings(max_examples=8)
def test_never_below_the_truth(shift, steps, v):
    law = Gaussian([0.5], [[v]])
    model = golden_model(v, 0.5, shift, 0.0, t_min=0.05)
    times = sampler.clock_grid(OU, 3.0, 0.05, steps=steps)
    sample, fresh = (law.sample(n, generator=seeded(n)) for n in (50, 500))
    bound = sampler_kl_test_loss(times, source=law, held_out=fresh, draws=8, law_draws=2000)
    found = bound.evaluate(model, sample, generator=seeded())
    made = sampler.affine_law(OU, model.score, times, d=1, scheme=sampler.exponential)
    truth = kl(law.noised(OU, 0.05), Gaussian(*made)).value
    assert truth < found.total.value + 4 * found.total.stderr


def test_what_does_not_fit_is_refused():
    sample = TWO.sample(10, generator=seeded())
    model = Model(TWO.path_score(OU), OU, 3.0, 0.05)

    def evaluate(times, model=model, **options):
        sampler_kl(times, **options).evaluate(model, sample, generator=seeded(), gap=0.0)

    with pytest.raises(ValueError, match="times: got"):
        evaluate(sampler.clock_grid(OU, 2.0, 0.05, steps=9))
    with pytest.raises(ValueError, match="times: got a step of 1.48"):
        evaluate(sampler.clock_grid(OU, 3.0, 0.05, steps=2))
    with pytest.raises(ValueError, match="times: got steps that grow"):
        evaluate(torch.tensor([3.0, 2.9, 2.0, 1.0, 0.05]))
    exploding = Model(lambda x, _: -x, sde.ve(), 0.9, 0.5)
    with pytest.raises(ValueError, match="process: the sampler needs"):
        evaluate(torch.linspace(0.9, 0.5, 900).double(), model=exploding)
    with pytest.raises(ValueError, match="law on points"):
        evaluate(sampler.time_grid(OU, 3.0, 0.05, step=0.3), source=points(sample))


def test_devices(device):
    sample = torch.randn(16, 2, generator=seeded()).to(device)
    model = Model(lambda x, _: -x, OU, 3.0, 0.05)
    times = sampler.time_grid(OU, 3.0, 0.05, step=0.4)
    generator = torch.Generator(device).manual_seed(0)
    found = sampler_kl(times, held_out=sample, draws=4).evaluate(
        model, sample, generator=generator
    )
    assert found["generalization"].value == pytest.approx(0, abs=5)
    assert found.verdict == "vacuous"
    known = {"source": TWO, "held_out": sample, "draws": 4, "law_draws": 100}
    for form in (sampler_kl, sampler_kl_test_loss):
        found = form(times, **known).evaluate(model, sample, generator=generator)
        assert math.isfinite(found.total.value)
