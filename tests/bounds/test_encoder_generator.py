"""Theorem A on a learner of the mean, with the estimators in place of the letters."""

import math
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch.distributions import Independent, Normal

from genbound import sampler, sde
from genbound.bound import WrongSide
from genbound.bounds import encoder_generator
from genbound.derivations import encoder_generator as proof
from genbound.derivations import trade_off
from genbound.estimate import Estimate, across, mean
from genbound.estimators import reconstruction as rec
from genbound.models.solvable import MeanLearner


@dataclass
class Exact:
    """The mean learner's encoder and generator in continuous time, a = alpha_T^2."""

    mean: torch.Tensor
    share: float

    def encode(self, data):
        noise = torch.full_like(data, (1 - self.share) ** 0.5)
        return Independent(Normal(self.share**0.5 * data, noise), 1)

    def generate(self, latents, *, generator):
        noise = torch.randn(latents.shape, generator=generator, dtype=latents.dtype)
        noise2 = 1 - self.share
        return self.share**0.5 * latents + noise2 * self.mean + noise2**0.5 * noise


def scales(model, data):
    """The exact constants R_1(S, X_i) of the squared distance."""
    offset = (data - (1 - model.share) * model.mean).norm(dim=1)
    solved = proof.solved_encoder_scale2.to_torch(proof.a, proof.d, proof.miss)
    return solved(model.share, data.shape[1], offset).sqrt()


@dataclass
class Case:
    share: float
    n: int
    mu: tuple[float, ...]

    @property
    def point(self):
        return (self.share, self.n, len(self.mu), sum(x * x for x in self.mu))

    def value(self, derivation):
        return float(derivation.to_torch(*proof.letters)(*self.point))

    def data(self, generator, n=None):
        mu = torch.tensor(self.mu, dtype=torch.float64)
        shape = (n or self.n, len(mu))
        return mu + torch.randn(shape, generator=generator, dtype=torch.float64)

    @property
    def constants(self):
        return {
            "R_generator": math.sqrt(self.value(trade_off.squared_scale2)),
            "information": self.value(trade_off.generated_sample_information),
        }


CASES = [
    Case(0.658362, 10, (1.0, 1.0)),
    Case(0.0262, 10, (1.0, 1.0)),
    Case(0.3, 4, (0.5,)),
    Case(0.9, 30, (2.0, -1.0, 0.0)),
    Case(1e-3, 3, (0.0, 0.0, 0.0, 0.5)),
    Case(0.05, 50, (-1.5,)),
]
SQUARED = {"discrepancy": rec.squared_distance, "draws": 8}


@pytest.mark.parametrize("case", CASES)
def test_the_bound_holds_with_its_estimators(case):
    generator = torch.Generator().manual_seed(case.n)
    bound = encoder_generator(**SQUARED, encoder_scales=scales)
    totals, losses = [], []
    for _ in range(40):
        data = case.data(generator)
        model = Exact(data.mean(0), case.share)
        breakdown = bound.evaluate(model, data, generator=generator, **case.constants)
        totals.append(breakdown.total)
        losses.append(breakdown["reconstruction loss"])
    total, loss = across(totals), across(losses)
    assert abs(loss.value - case.value(proof.solved_encoded_loss)) < 4 * loss.stderr
    assert total.value >= case.value(proof.solved_prior_loss) - 4 * total.stderr


@pytest.mark.parametrize("case", CASES)
def test_held_out_data_measure_the_gap(case):
    generator = torch.Generator().manual_seed(case.n + 1)
    gaps = []
    for _ in range(60):
        data = case.data(generator)
        model = Exact(data.mean(0), case.share)
        fresh = case.data(generator, 100)
        bound = encoder_generator(**SQUARED, encoder_scales=scales, held_out=fresh)
        gaps.append(
            bound.evaluate(model, data, generator=generator)["generator: gap on held-out data"]
        )
    gap = across(gaps)
    assert abs(gap.value - case.value(trade_off.squared_gap)) < 4 * gap.stderr


def test_measured_constants_are_larger_than_the_exact_ones():
    case = CASES[0]
    generator = torch.Generator().manual_seed(0)
    data = case.data(generator)
    model = Exact(data.mean(0), case.share)
    measured = partial(rec.prior_scales, discrepancy=rec.squared_distance, draws=20_000)
    assert bool((measured(model, data, generator=generator) > scales(model, data)).all())
    how = SQUARED | {"encoder_scales": partial(measured, generator=generator)}
    total = encoder_generator(**how).evaluate(model, data, generator=generator, **case.constants)
    exact = encoder_generator(**SQUARED, encoder_scales=scales)
    assert (
        total.total.value
        > exact.evaluate(model, data, generator=generator, **case.constants).total.value
    )


def test_one_constant_for_all_data():
    case = CASES[1]
    generator = torch.Generator().manual_seed(0)
    data = case.data(generator)
    model = Exact(data.mean(0), case.share)
    largest = float(scales(model, data).max())
    bound = encoder_generator(**SQUARED)
    breakdown = bound.evaluate(
        model, data, generator=generator, R_encoder=largest, **case.constants
    )
    weighted = rec.weighted_root_rate(model, data, scales(model, data)).value
    assert breakdown["mean root of the rate"].value * largest >= weighted
    assert breakdown.total.value > case.value(proof.solved_prior_loss)
    with pytest.raises(ValueError, match="give a value for R_encoder"):
        bound.evaluate(model, data, generator=generator, **case.constants)


def test_verdicts_and_the_trivial_generator():
    """Data that N(0, I) misses: at a long horizon the bound beats a generator of pure noise."""
    case = Case(1e-4, 200, (5.0, 5.0))
    generator = torch.Generator().manual_seed(0)
    data = case.data(generator)
    bound = encoder_generator(**SQUARED, encoder_scales=scales, unit="squared metres")
    learned = bound.evaluate(
        Exact(data.mean(0), case.share), data, generator=generator, **case.constants
    )
    # E |x - xi|^2 = |mu|^2 + 2 d.
    assert abs(learned.trivial.value - 54) < 4 * learned.trivial.stderr
    assert learned.verdict == "informative" and "squared metres, informative" in str(learned)
    nothing = bound.evaluate(
        Exact(torch.zeros(2).double(), case.share), data, generator=generator, **case.constants
    )
    assert nothing.verdict == "vacuous"


def test_a_score_model_is_evaluated_through_its_round_trip():
    case = CASES[1]
    generator = torch.Generator().manual_seed(0)
    process = sde.vp()
    data = case.data(generator)
    learner = MeanLearner(data.mean(0), process, 0.6, 1e-4)
    model = sampler.RoundTrip(learner, 0.1)
    found = [
        encoder_generator(**SQUARED, encoder_scales=lambda _, x: x[:, 0].abs()).evaluate(
            m, data, generator=generator, **case.constants
        )["reconstruction loss"]
        for m in (model, Exact(data.mean(0), float(process.moments(0.6)[0]) ** 2))
    ]
    assert abs(found[0].value - found[1].value) < 4 * math.hypot(*(e.stderr for e in found))


def test_a_downward_information_is_refused():
    case = CASES[0]
    generator = torch.Generator().manual_seed(0)
    data = case.data(generator)
    bound = encoder_generator(**SQUARED, encoder_scales=scales)
    low = Estimate(0.1, 0.01, 10, "a lower bound", "lower")
    with pytest.raises(WrongSide, match="from the side 'lower', but the bound rises"):
        bound.evaluate(
            Exact(data.mean(0), case.share),
            data,
            generator=generator,
            R_generator=1.0,
            information=low,
        )


def test_a_model_without_a_generator_is_refused():
    data = torch.zeros(4, 2)
    with pytest.raises(TypeError, match="is no EncoderGenerator, it lacks generate"):
        encoder_generator(**SQUARED).evaluate(
            type("Half", (), {"encode": None})(), data, generator=torch.Generator()
        )


def test_without_its_encoder_term_the_bound_fails():
    """A negative control: the check above can see a bound that is none."""
    case = CASES[0]
    generator = torch.Generator().manual_seed(9)
    bound = encoder_generator(**SQUARED, encoder_scales=lambda _, x: torch.zeros(len(x)))
    values = []
    for _ in range(30):
        data = case.data(generator)
        model = Exact(data.mean(0), case.share)
        values.append(
            bound.evaluate(model, data, generator=generator, **case.constants).total.value
        )
    total = mean(torch.tensor(values, dtype=torch.float64), method="over samples")
    assert total.value < case.value(proof.solved_prior_loss) - 4 * total.stderr
