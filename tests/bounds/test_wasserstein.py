"""Both Wasserstein bounds with their estimators, on linear models whose distance is known."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch.distributions import Independent, Normal

from genbound.bounds import wasserstein, wasserstein_product
from genbound.derivations import wasserstein as proof
from genbound.estimate import across
from genbound.estimators import reconstruction, transport


@dataclass
class Linear:
    """E(x) = N(a x, b^2 I) and G(z) = g z + shift, deterministic and g-Lipschitz."""

    a: float
    b: float
    g: float
    shift: torch.Tensor

    def encode(self, data):
        return Independent(Normal(self.a * data, torch.full_like(data, self.b)), 1)

    def generate(self, latents, **_):
        return self.g * latents + self.shift


@dataclass
class Case:
    """On the line: P = N(mu, s^2), the shift is h times the mean of n data."""

    mu: float
    s: float
    a: float
    b: float
    g: float
    h: float
    n: int

    def value(self, derivation):
        point = (self.mu, self.s, self.a, self.b, self.g, self.h, self.n)
        return float(derivation.to_torch(*proof.letters)(*point))

    def data(self, generator, n=None):
        noise = torch.randn(n or self.n, 1, generator=generator, dtype=torch.float64)
        return self.mu + self.s * noise

    def model(self, data):
        return Linear(self.a, self.b, self.g, self.h * data.mean(0))

    @property
    def constants(self):
        scale = math.hypot((1 - self.g * self.a) * self.s, self.h * self.s / self.n**0.5)
        information = math.log(self.n / (self.n - 1)) / 2
        return {"R_encoder": self.g, "R_generator": scale, "information": information}


CASES = [
    Case(0.0, 1.0, 0.8, 0.3162, 1.1, 0.1, 40),
    Case(1.0, 2.0, 0.45, 0.3, 1.9, 0.1, 20),
    Case(-0.5, 1.0, 0.1, 0.9, 0.8, 0.9, 10),
    Case(0.0, 0.5, 1.5, 0.6, 0.4, 0.5, 30),
]


@pytest.mark.parametrize("case", CASES)
def test_b_plus_holds_with_its_estimators(case):
    generator = torch.Generator().manual_seed(case.n)
    bound = wasserstein(draws=8)
    totals, losses = [], []
    for _ in range(30):
        data = case.data(generator)
        breakdown = bound.evaluate(case.model(data), data, generator=generator, **case.constants)
        totals.append(breakdown.total)
        losses.append(breakdown["reconstruction distance"])
    total, loss = across(totals), across(losses)
    assert abs(loss.value - case.value(proof.solved_encoded_loss_hat)) < 4 * loss.stderr
    assert total.value >= case.value(proof.solved_w1) - 4 * total.stderr
    # The fixed encoder's codes of n data only add to the divergence of all codes.
    assert total.value >= case.value(proof.solved_bound) - 4 * total.stderr


@pytest.mark.parametrize("case", CASES)
def test_b_plus_with_held_out_data(case):
    generator = torch.Generator().manual_seed(case.n + 1)
    data, fresh = case.data(generator), case.data(generator, 500)
    model = case.model(data)
    breakdown = wasserstein(draws=8, held_out=fresh).evaluate(
        model, data, generator=generator, R_encoder=case.g
    )
    codes = case.value(proof.solved_aggregate_kl)
    found = breakdown["divergence of the codes from the prior"]
    assert abs(found.value - codes) < 4 * found.stderr + 0.02
    assert found.side == "upper"
    made = model.generate(
        torch.randn(500, 1, generator=generator, dtype=torch.float64), generator=generator
    )
    distance = transport.wasserstein1(fresh, made)
    assert breakdown.total.value >= distance.value - 4 * (breakdown.total.stderr + distance.stderr)
    assert {a.text for a in breakdown.bound.assumptions if "fresh" in a.text}


@pytest.mark.parametrize("case", CASES)
def test_the_product_coupling_is_always_vacuous(case):
    generator = torch.Generator().manual_seed(case.n + 2)
    data, fresh = case.data(generator), case.data(generator, 500)
    model = case.model(data)
    breakdown = wasserstein_product(held_out=fresh).evaluate(
        model, data, generator=generator, R_encoder=case.g
    )
    assert breakdown.verdict == "vacuous"
    spread = across([transport.distance_to_point(case.data(generator, 500)) for _ in range(8)])
    assert breakdown.total.value >= spread.value - 4 * breakdown.total.stderr


@pytest.mark.parametrize("where", [0.0, 50.0])
def test_a_perfect_model_is_vacuous_by_one_coupling_and_informative_by_the_other(where):
    """P = N(where, I), codes that follow the prior, and the generator that undoes them."""
    generator = torch.Generator().manual_seed(3)

    class Perfect(Linear):
        def encode(self, data):
            return Independent(Normal(data - where, torch.full_like(data, 0.02)), 1)

    sample, fresh = where + torch.randn(2, 1000, 2, generator=generator, dtype=torch.float64)
    model = Perfect(1.0, 0.02, 1.0, torch.full((2,), where, dtype=torch.float64))
    evaluate = {"generator": generator, "R_encoder": 1.0}
    through = wasserstein(held_out=fresh, draws=4).evaluate(model, sample, **evaluate)
    product = wasserstein_product(held_out=fresh).evaluate(model, sample, **evaluate)
    assert product.verdict == "vacuous" and product.total.value > math.sqrt(math.pi / 2)
    # Mean distance of a standard normal of the plane from its centre.
    assert abs(product.trivial.value - math.sqrt(math.pi / 2)) < 4 * product.trivial.stderr
    assert through["reconstruction distance"].value < 0.03
    assert through.total.value > 1  # 1000 codes of scale 0.02 are far from filling the plane
    coarse = Perfect(1.0, 0.02, 1.0, model.shift)
    coarse.encode = lambda data: Independent(
        Normal(0.95 * (data - where), torch.full_like(data, 0.31)), 1
    )
    rough = wasserstein(held_out=fresh[:500], draws=32).evaluate(coarse, sample, **evaluate)
    assert rough.verdict == "informative"


def test_forms_and_their_constants():
    generator = torch.Generator().manual_seed(4)
    case = CASES[0]
    data = case.data(generator)
    model = case.model(data)

    def scales(model, data):
        return torch.full(data.shape[:1], model.g, dtype=data.dtype)

    weighted = wasserstein_product(encoder_scales=scales).evaluate(
        model, data, generator=generator, R_generator=1.0, information=0.1
    )
    plain = wasserstein_product().evaluate(
        model, data, generator=generator, R_encoder=case.g, R_generator=1.0, information=0.1
    )
    slack = 4 * math.hypot(weighted.total.stderr, plain.total.stderr)
    assert abs(weighted.total.value - plain.total.value) < slack
    held_out = wasserstein_product(encoder_scales=scales, held_out=data)
    assert "distance" in str(held_out.evaluate(model, data, generator=generator))
    loss = reconstruction.encoded_loss(
        model, data, discrepancy=reconstruction.distance, draws=16, generator=generator
    )
    assert abs(loss.value - plain["reconstruction loss"].value) < 5 * loss.stderr
    with pytest.raises(ValueError, match="give a value for R_generator"):
        wasserstein().evaluate(model, data, generator=generator, R_encoder=1.0, information=0.1)
