import math

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


@given(st.floats(0.01, 8), st.floats(0, 9), st.integers(1, 5))
def test_it_falls_as_the_clock_runs(clock, norm2, d):
    a, x2, dimension = gaussian.prior_kl_args
    b = sp.Symbol("b", positive=True)
    slope = sp.diff(gaussian.prior_kl.expr.subs(a, sp.exp(-b)), b)
    signal = math.exp(-clock)
    truth = -signal / 2 * (norm2 + d * signal / (1 - signal))
    assert float(slope.subs({b: clock, x2: norm2, dimension: d})) == pytest.approx(truth)
