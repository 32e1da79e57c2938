"""The rates of information, against laws that are not normal: there the witnesses say nothing."""

import math
from dataclasses import replace

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from genbound import data, sde
from genbound.derivation import Derivation
from genbound.derivations import information_flow as flow
from genbound.estimators import information
from genbound.symbolic import Refuted

# A clock of its own: on this schedule time is the clock.
PROCESS = sde.ou(1)
clocks = st.floats(0.05, 3)
laws = st.lists(st.tuples(st.floats(-2, 2), st.floats(0.2, 1)), min_size=2, max_size=4).map(
    lambda parts: data.gaussian_mixture(
        [[centre] for centre, _ in parts], variance=0.1, weights=[weight for _, weight in parts]
    )
)


def test_time_is_the_clock_here():
    time = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    torch.testing.assert_close(PROCESS.clock_of(time), time)


def test_grades():
    found = {
        name: value.grades
        for name in flow.__all__
        if isinstance(value := getattr(flow, name), Derivation)
    }
    proved = ("defined", "proved")
    assert found == {
        "collapse_clock": proved,
        "de_bruijn": ("defined", "granted"),
        "entropy_rate": proved,
        "fokker_planck": proved,
        "gaussian_mmse": proved,
        "information_gaussian": proved,
        "information_rate": ("defined", "proved", "granted"),
        "kernel_entropy_rate": proved,
        "stationarity": ("defined", "proved", "granted"),
        "stationarity_gaussian": proved,
        "tweedie": proved,
    }


def test_citations_have_witnesses():
    cited = [
        step
        for name in flow.__all__
        if isinstance(result := getattr(flow, name), Derivation)
        for step in result.steps
        if step.cite
    ]
    assert len(cited) == 4
    assert all("holds on a solvable family" in step.detail for step in cited)


@pytest.mark.parametrize(
    "name",
    [
        "collapse_clock",
        "entropy_rate",
        "fokker_planck",
        "gaussian_mmse",
        "kernel_entropy_rate",
        "stationarity_gaussian",
        "tweedie",
    ],
)
def test_a_wrong_last_line_is_refuted(name):
    result = getattr(flow, name)
    with pytest.raises(Refuted):
        replace(result, steps=result.steps[:-1]).equals(
            result.expr * sp.Rational(101, 100), by="a wrong constant"
        )


@pytest.mark.parametrize("factor", [sp.Rational(9, 10), -1, 2])
def test_a_wrong_constant_in_a_citation_is_refuted(factor):
    a = flow.signal2
    claims = [
        (flow.entropy_slope, (factor * flow.fisher - flow.d) / 2),
        ((flow.fisher - flow.d / (1 - a)) / 2, -factor * flow.mismatch / 2),
        (-flow.mismatch / 2, -factor * a / (1 - a) ** 2 * flow.mmse / 2),
    ]
    for left, right in claims:
        with pytest.raises(Refuted):
            Derivation.of(left, left, domain={a: (0, 1)}).granted(
                "=", right, cite="", by="", witness=flow._solved
            )


def mean_under(law, function):
    """Integral of a function (of points (q, 1)) against a one-dimensional mixture."""
    reach = float(law.centres.abs().max()) + 12 * math.sqrt(law.variance)
    line = torch.linspace(-reach, reach, 20_001, dtype=torch.float64).unsqueeze(-1)
    values = law.log_density(line).exp() * function(line)
    return float(integrate.simpson(values.numpy(), dx=float(line[1] - line[0])))


def rate_of(function, clock, step=1e-3):
    """Derivative along the clock, central and extrapolated once."""
    first, second = (
        (function(clock + part) - function(clock - part)) / (2 * part) for part in (step, step / 2)
    )
    return (4 * second - first) / 3


@given(laws, clocks)
@settings(max_examples=15)
def test_de_bruijn_and_the_approach_to_the_prior(law, clock):
    noised = law.noised(PROCESS, clock)
    entropy = rate_of(lambda b: law.noised(PROCESS, b).entropy().value, clock)
    fisher = mean_under(noised, lambda x: noised.score(x).square().sum(-1))
    value = flow.de_bruijn.to_torch(flow.fisher, flow.d)
    assert entropy == pytest.approx(float(value(fisher, 1)), rel=1e-5, abs=1e-7)

    def to_prior(b):
        later = law.noised(PROCESS, b)
        surprise = mean_under(later, lambda x: x.square().sum(-1) + math.log(2 * math.pi)) / 2
        return surprise - later.entropy().value

    distance = mean_under(noised, lambda x: (noised.score(x) + x).square().sum(-1))
    opened = Derivation.of(flow.prior_slope, flow.stationarity.steps[1].expr)
    value = float(opened.to_torch(flow.prior_fisher)(distance))
    assert rate_of(to_prior, clock) == pytest.approx(value, rel=1e-5, abs=1e-7)


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=5), clocks)
@settings(max_examples=15)
def test_information_of_points_falls_at_the_rate_of_the_denoising_error(places, clock):
    points = data.points([[place] for place in places])
    noised = points.noised(PROCESS, clock)
    signal2 = math.exp(-clock)
    noise2 = 1 - signal2
    truth = rate_of(lambda b: points.information(PROCESS, b).value, clock)

    def denoised(x):
        return (x + noise2 * noised.score(x)) / math.sqrt(signal2)

    second = float(points.centres.square().mean())
    mmse = second - mean_under(noised, lambda x: denoised(x).square().sum(-1))
    lines = [
        Derivation.of(flow.information_slope, step.expr) for step in flow.information_rate.steps
    ]
    by_error = float(lines[-2].to_torch(flow.signal2, flow.mmse)(signal2, mmse))
    assert truth == pytest.approx(by_error, rel=1e-3, abs=2e-5)
    fisher = mean_under(noised, lambda x: noised.score(x).square().sum(-1))
    by_fisher = lines[2].to_torch(flow.signal2, flow.fisher, flow.d)(signal2, fisher, 1)
    assert truth == pytest.approx(float(by_fisher), rel=1e-3, abs=2e-5)


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=3, max_size=6), clocks)
@settings(max_examples=20)
def test_a_mixture_of_kernels_solves_the_fokker_planck_equation(parts, clock):
    law = data.points(parts[:-1])
    here = torch.tensor(parts[-1], dtype=torch.float64)
    moved = rate_of(
        lambda b: float(law.noised(PROCESS, b).log_density(here)), clock, step=1e-3 * clock
    )
    noised = law.noised(PROCESS, clock)
    score = noised.score(here)
    slope = torch.func.jacrev(noised.score)(here).trace()
    flow_there = (len(here) + here @ score + score @ score + slope) / 2
    assert moved == pytest.approx(float(flow_there), rel=1e-4, abs=1e-4)


@given(st.integers(0, 99), st.integers(3, 30), st.integers(1, 4))
@settings(max_examples=15)
def test_information_of_a_sample_falls_from_log_n_to_nothing(seed, n, d):
    sample = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def measure(clock):
        return information.encoder_information(
            PROCESS, sample, clock, draws=256, generator=torch.Generator().manual_seed(seed)
        )

    parts = [measure(clock) for clock in (1e-4, 0.1, 0.4, 1.0, 2.0, 4.0, 12.0)]
    assert all(0 <= part.value <= math.log(n) for part in parts)
    for early, late in zip(parts, parts[1:], strict=False):
        assert late.value <= early.value + 4 * math.hypot(early.stderr, late.stderr)
    assert parts[-1].value < 0.01 * math.log(n)


@given(st.integers(2, 10_000), st.integers(1, 50))
def test_at_the_collapse_the_law_knows_as_much_as_a_lossless_sample(n, d):
    share = 1 - n ** (-2 / d)
    source = data.Gaussian(torch.zeros(d), torch.eye(d))
    truth = source.information(PROCESS, -math.log(share)).value
    value = float(flow.collapse_clock.to_torch(flow._n)(n))
    assert value == pytest.approx(truth, rel=1e-6)
