import math
from dataclasses import replace

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import data, estimate, sde
from genbound.derivation import Derivation
from genbound.derivations import mixing
from genbound.estimators import information
from genbound.symbolic import Refuted

PROCESS = sde.vp()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def test_grades():
    found = {
        name: value.grades
        for name in mixing.__all__
        if isinstance(value := getattr(mixing, name), Derivation)
    }
    assert found == {
        "compensation": ("defined", "proved", "granted"),
        "compensation_finite": ("defined", "proved"),
        "concavity": ("defined", "proved", "granted"),
        "identification": ("defined", "proved"),
        "two_points": ("defined", "proved"),
    }


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_tosses_of_a_coin_by_enumeration(n):
    result = mixing.concavity_binary(n)
    assert result.grades == ("defined", "proved")
    with pytest.raises(Refuted):
        replace(result, steps=result.steps[:1]).equals(result.expr + sp.Rational(1, 99), by="off")


@pytest.mark.parametrize(("n", "share"), [(2, 0.3), (3, 0.5), (7, 0.05)])
def test_tosses_of_a_coin_by_the_binomial_law(n, share):
    def entropy(shares):
        return torch.special.entr(shares) + torch.special.entr(1 - shares)

    counts = torch.arange(n + 1, dtype=torch.float64)
    law = torch.distributions.Binomial(n, torch.tensor(share, dtype=torch.float64))
    mean = float((law.log_prob(counts).exp() * entropy(counts / n)).sum())
    result = mixing.concavity_binary(n)
    assert float(result.to_torch(mixing._q)(share)) == pytest.approx(mean)
    assert mean < float(entropy(torch.tensor(share)))


def test_no_tosses_are_refused():
    with pytest.raises(ValueError, match="n: got 0 tosses"):
        mixing.concavity_binary(0)


def test_citations_have_witnesses_that_refute():
    cited = {mixing.compensation: mixing._finite}
    for result in (mixing.compensation, mixing.concavity):
        (step,) = [step for step in result.steps if step.cite]
        assert "holds on a solvable family" in step.detail
    for factor in (sp.Rational(9, 10), 2):
        for result, witness in cited.items():
            with pytest.raises(Refuted):
                replace(result, steps=result.steps[:1]).granted(
                    "=",
                    mixing.information + factor * mixing.aggregate_kl,
                    cite="",
                    by="",
                    witness=witness,
                )


@given(st.lists(st.lists(st.floats(0.01, 5), min_size=2, max_size=2), min_size=3, max_size=3))
def test_compensation_of_laws_on_two_letters(masses):
    laws = torch.tensor(masses, dtype=torch.float64)
    laws = laws / laws.sum(-1, keepdim=True)
    *parts, reference = laws
    weights = (0.3, 0.7)
    mixed = sum(weight * part for weight, part in zip(weights, parts, strict=True))

    def kl(first, second):
        return float((first * (first / second).log()).sum())

    point = {mixing._weight[i]: weights[i - 1] for i in (1, 2)}
    point |= {mixing._mass[i, z]: float(parts[i - 1][z - 1]) for i, z in mixing._places}
    point |= {mixing._nu[z]: float(reference[z - 1]) for z in (1, 2)}
    truth = sum(w * kl(part, reference) for w, part in zip(weights, parts, strict=True))
    assert float(mixing.compensation_finite.expr.subs(point)) == pytest.approx(truth, abs=1e-12)
    information_value = float(mixing._finite[mixing.information].subs(point))
    assert information_value == pytest.approx(truth - kl(mixed, reference), abs=1e-12)


@given(st.floats(0.05, 9), st.integers(1, 4), st.integers(0, 50))
@settings(max_examples=10)
def test_two_points(snr, d, seed):
    integrand = mixing.two_points.to_torch(mixing._snr, mixing._z)
    noise = normal(50_000, seed=seed)
    seen = estimate.mean(integrand(snr, noise), method="draws")
    half = normal(1, d, seed=seed)
    half = half / half.norm() * math.sqrt(snr)
    alpha, sigma = (float(scale) for scale in PROCESS.moments(0.3))
    points = data.points(torch.cat([half, -half]) * sigma / alpha)
    truth = points.information(PROCESS, 0.3).value
    assert abs(seen.value - truth) <= 4 * seen.stderr + 1e-4


@given(st.integers(0, 99), st.integers(2, 12), st.integers(1, 6), st.floats(0.05, 1))
@settings(max_examples=25)
def test_rate_is_information_plus_divergence_of_the_aggregate(seed, n, d, time):
    sample = 1.5 * normal(n, d, seed=seed)
    options = {"draws": 512, "generator": seeded(seed)}
    kept = information.encoder_information(PROCESS, sample, time, **options)
    rate = information.encoder_rate(PROCESS, sample, time)
    # independent of the encoder's estimators: draws from the noised law and its log density
    noised = data.points(sample).noised(PROCESS, time)
    draws = noised.sample(20_000, generator=options["generator"])
    prior = -(draws.square().sum(-1) + d * math.log(2 * math.pi)) / 2
    aggregate = estimate.mean(noised.log_density(draws) - prior, method="draws")
    noise = math.hypot(kept.stderr, aggregate.stderr)
    assert abs(rate.value - kept.value - aggregate.value) <= 4 * noise + 1e-6
    assert 0 <= kept.value <= math.log(n)
    assert kept.value <= rate.value + 4 * kept.stderr


@pytest.mark.parametrize("time", [0.1, 0.25, 0.5])
def test_a_sample_keeps_less_information_than_its_law(time):
    """Also: a part of the sample keeps less than all of it."""
    law = data.gaussian_mixture([[-1.0], [0.5], [2.0]], variance=0.05)
    many = [law.sample(12, generator=seeded(seed)) for seed in range(200)]

    def over_samples(n):
        values = [data.points(sample[:n]).information(PROCESS, time).value for sample in many]
        return estimate.mean(torch.tensor(values), method="over samples")

    third, whole = over_samples(4), over_samples(12)
    truth = law.information(PROCESS, time).value
    assert third.value < whole.value - 4 * whole.stderr
    assert whole.value < truth - 4 * whole.stderr
    distances = [
        data.kl(data.points(sample).noised(PROCESS, time), law.noised(PROCESS, time)).value
        for sample in many
    ]
    apart = estimate.mean(torch.tensor(distances), method="over samples")
    noise = math.hypot(whole.stderr, apart.stderr)
    assert abs(truth - whole.value - apart.value) < 4 * noise


def test_identification_is_bounded_by_log_n():
    assert mixing.identification.expr == sp.log(mixing._n)
    assert mixing.identification.relation == "<="
