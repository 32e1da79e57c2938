import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Independent, Normal, kl_divergence

from genbound.derivation import Derivation
from genbound.derivations import gaussian
from genbound.symbolic import Refuted

means = st.floats(-3, 3)
variances = st.floats(0.1, 4)


def integral(function, centre, variance):
    reach = 12 * math.sqrt(variance)
    return integrate.quad(function, centre - reach, centre + reach, limit=200)[0]


def test_everything_is_proved():
    found = {
        name: value.grades
        for name, value in vars(gaussian).items()
        if isinstance(value, Derivation)
    }
    assert {"entropy", "kl", "channel_information", "prior_kl"} <= set(found)
    assert set(found.values()) == {("defined", "proved")}


@given(means, variances)
def test_entropy(mean, variance):
    law = stats.norm(mean, math.sqrt(variance))
    truth = integral(lambda x: -law.pdf(x) * law.logpdf(x), mean, variance)
    assert float(gaussian.entropy.to_torch(gaussian.s2)(variance)) == pytest.approx(truth)


@given(means, variances, means, variances)
def test_kl(mean, variance, other_mean, other_variance):
    law = stats.norm(mean, math.sqrt(variance))
    other = stats.norm(other_mean, math.sqrt(other_variance))
    truth = integral(lambda x: law.pdf(x) * (law.logpdf(x) - other.logpdf(x)), mean, variance)
    compiled = gaussian.kl.to_torch(gaussian.m, gaussian.s2, gaussian.m_2, gaussian.s2_2)
    value = float(compiled(mean, variance, other_mean, other_variance))
    assert value == pytest.approx(truth, rel=1e-6, abs=1e-9)


@given(variances, variances)
def test_channel_information(signal2, noise2):
    # of the pair (U, U + V) as a Gaussian vector
    covariance = np.array([[signal2, signal2], [signal2, signal2 + noise2]])
    truth = np.log(covariance.diagonal()).sum() / 2 - np.linalg.slogdet(covariance)[1] / 2
    compiled = gaussian.channel_information.to_torch(gaussian.signal2, gaussian.noise2)
    assert float(compiled(signal2, noise2)) == pytest.approx(truth, rel=1e-9)


@given(st.floats(0.001, 0.999), st.lists(means, min_size=1, max_size=5))
def test_divergence_of_a_noised_point_from_the_prior(a, point):
    point = torch.tensor(point, dtype=torch.float64)
    noised = Independent(Normal(math.sqrt(a) * point, math.sqrt(1 - a)), 1)
    prior = Independent(Normal(torch.zeros_like(point), 1.0), 1)
    value = gaussian.prior_kl.to_torch(*gaussian.prior_kl_args)(
        a, point.square().sum(), len(point)
    )
    assert float(value) == pytest.approx(float(kl_divergence(noised, prior)), abs=1e-12)


falling, excess_bound = (
    Derivation.of(sp.Symbol("slope"), expr).to_torch(*gaussian.prior_kl_args)
    for expr in (gaussian.prior_kl_slope.steps[1].expr, gaussian.prior_kl_excess.expr)
)
divergence = gaussian.prior_kl.to_torch(*gaussian.prior_kl_args)


@given(st.floats(0.01, 8), st.floats(0.001, 9), st.integers(1, 5))
def test_it_falls_as_the_clock_runs(clock, norm2, d):
    moved = torch.tensor(clock, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(divergence(torch.exp(-moved), norm2, d), moved)
    assert float(slope) < 0
    assert float(falling(math.exp(-clock), norm2, d)) == pytest.approx(float(slope))


def test_far_out_only_the_norm_of_the_datum_counts():
    generator = torch.Generator().manual_seed(0)
    a, norm2 = torch.rand(2, 2000, generator=generator, dtype=torch.float64)
    excess = divergence(a, norm2, 3) - a * norm2 / 2
    assert bool((excess >= -1e-12).all())
    assert bool((excess <= excess_bound(a, norm2, 3) + 1e-12).all())
    assert float((excess_bound(a, norm2, 3) / excess)[a < 0.01].max()) < 1.02


@given(means, means, variances)
def test_two_laws_of_one_variance(mean, other, variance):
    args = (gaussian.m, gaussian.m_2, gaussian.s2)
    root = math.sqrt(variance)
    truth = kl_divergence(Normal(mean, root), Normal(other, root))
    value = gaussian.same_variance.to_torch(*args)(mean, other, variance)
    assert float(value) == pytest.approx(float(truth), rel=1e-5, abs=1e-6)


def test_a_wrong_sign_or_constant_is_refuted():
    opening = replace(gaussian.prior_kl_slope, steps=gaussian.prior_kl_slope.steps[:1])
    with pytest.raises(Refuted):
        opening.at_least(0, by="wrong sign")
    excess = replace(gaussian.prior_kl_excess, steps=gaussian.prior_kl_excess.steps[:2])
    with pytest.raises(Refuted):
        excess.at_most(gaussian.prior_kl_excess.expr * sp.Rational(9, 10), by="too sharp")
