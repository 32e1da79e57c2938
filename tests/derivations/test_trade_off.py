import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

from genbound.derivation import Derivation
from genbound.derivations import trade_off
from genbound.sde import vp

PROCESS = vp()

# Of every other derivation each step is proved.
SAMPLED = {
    "gap_is_bounded",
    "tight_is_bound",
    "information_is_bounded",
    "squared_gap_is_bounded",
}


def value(name, *point):
    return float(getattr(trade_off, name).to_torch(*trade_off.letters)(*point))


def test_nothing_is_taken_from_the_literature():
    found = {
        name: value for name, value in vars(trade_off).items() if isinstance(value, Derivation)
    }
    assert set(found) >= SAMPLED
    for name, derivation in found.items():
        allowed = {"defined", "proved"} | ({"sampled"} if name in SAMPLED else set())
        assert set(derivation.grades) <= allowed, name


# d = 2, M = 2, n = 10 at T = 0.2, 0.6, 1.0.
GOLDEN = {
    "exact": (0.445112, 0.095515, 0.099991),
    "path": (0.692526, 0.123580, 0.100039),
    "tight": (0.7967, 0.4205, 0.4050),
    "rate": (1.732366, 0.052749, 0.000086),
    "information": (1.074004, 0.026549, 0.000043),
    "generator_information": (0.033593, 0.092926, 0.095306),
    "energy_mean": (0.034164, 0.097380, 0.099996),
    "energy_prior": (0.3758, 1.0712, 1.1000),
    "energy_zero": (0.6654, 3.6701, 10.0500),
    "squared_gap": (0.13666, 0.38952, 0.39998),
    "squared_gap_is_bounded": (0.23125, 0.55281, 0.56760),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(name):
    for time, golden in zip((0.2, 0.6, 1.0), GOLDEN[name], strict=True):
        signal2 = float(PROCESS.moments(time)[0]) ** 2
        digits = len(str(golden).split(".")[1]) if golden > 1e-3 else 6
        assert value(name, signal2, 10, 2, 2) == pytest.approx(golden, abs=0.51 * 10**-digits)


def test_golden_gap_and_horizon():
    assert value("gap", 1e-12, 10, 2, 2) == pytest.approx(0.2)
    assert value("gap_is_bounded", 1e-12, 10, 2, 2) == pytest.approx(0.504948, abs=5e-7)
    for n, time in ((10, 0.48591), (200, 0.72506), (1000, 0.82827)):
        clock = float(trade_off.best_clock.to_torch(*trade_off.letters)(0.5, n, 2, 2))
        assert float(PROCESS.clock_of(time)) == pytest.approx(clock, rel=1e-4)
    assert value("james_stein", 0.5, 16, 784, 49) == pytest.approx(0.5)


@st.composite
def problems(draw):
    """a = alpha_T^2, n, and the mean mu (d,)."""
    mu = draw(st.lists(st.floats(-2, 2), min_size=1, max_size=4).filter(any))
    mu = np.array(mu) + 0.05
    return draw(st.floats(0.02, 0.98)), draw(st.integers(2, 30)), mu


def point_of(a, n, mu):
    return a, n, len(mu), float(mu @ mu)


def reverse_mean(a):
    """End of -dm/db = m/2 - (m - e^{-b/2}) from clock B to 0, and its path, by an ODE solver."""
    clock = -math.log(a)

    def slope(run, m):
        return m / 2 - (m - np.exp(-(clock - run) / 2))

    return integrate.solve_ivp(
        slope, (0, clock), [0.0], dense_output=True, rtol=1e-10, atol=1e-12
    ).sol


def within(samples, truth):
    """Whether a mean of independent values agrees with the truth to 4 standard errors."""
    samples = np.asarray(samples)
    stderr = samples.std() / math.sqrt(len(samples))
    return abs(samples.mean() - truth) <= 4 * stderr + 1e-12


REPLICATIONS = 20_000


def draws(n, mu, seed=0):
    """Sample means with one of their data, and a fresh datum: each (REPLICATIONS, d)."""
    rng = np.random.default_rng(seed)
    shape = (REPLICATIONS, len(mu))
    datum, fresh = (mu + rng.standard_normal(shape) for _ in range(2))
    others = (n - 1) * mu + math.sqrt(n - 1) * rng.standard_normal(shape)
    return (datum + others) / n, datum, fresh, rng


@given(problems())
@settings(max_examples=25)
def test_exact_divergence(problem):
    a, n, mu = problem
    gain = float(reverse_mean(a)(-math.log(a))[0])
    assert gain == pytest.approx(1 - a, rel=1e-7)
    learned, *_ = draws(n, mu)
    divergences = ((mu - gain * learned) ** 2).sum(1) / 2
    assert within(divergences, value("exact", *point_of(a, n, mu)))


@given(problems())
@settings(max_examples=25)
def test_mean_of_the_reverse_process(problem):
    a, _, mu = problem
    clock, path = -math.log(a), reverse_mean(a)
    compiled = trade_off.generator_mean.to_torch(trade_off._mean, trade_off.b, trade_off.B)
    for b in np.linspace(0, clock, 5):
        assert float(compiled(mu[0], b, clock)) == pytest.approx(
            mu[0] * float(path(clock - b)[0]), abs=1e-7
        )


@given(problems())
@settings(max_examples=25)
def test_best_horizon_against_a_minimiser(problem):
    _, n, mu = problem
    point = point_of(0.5, n, mu)
    exact = trade_off.exact.to_torch(*trade_off.letters)
    found = optimize.minimize_scalar(
        lambda a: float(exact(a, *point[1:])),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    minimiser = float(trade_off.minimiser.subs(dict(zip(trade_off.letters, point, strict=True))))
    assert found.x == pytest.approx(minimiser, abs=1e-5)
    assert found.fun == pytest.approx(value("exact_minimum", *point))
    assert -math.log(found.x) == pytest.approx(value("best_clock", *point), rel=1e-3, abs=1e-4)
    infinite = float(exact(0.0, *point[1:]))
    assert found.fun / infinite == pytest.approx(value("james_stein", *point))


@given(problems())
@settings(max_examples=25)
def test_james_stein_shrinkage(problem):
    """The best horizon is the best shrinkage of the sample mean, by simulation."""
    _, n, mu = problem
    point = point_of(0.5, n, mu)
    learned, *_ = draws(n, mu)
    best = 1 - float(trade_off.minimiser.subs(dict(zip(trade_off.letters, point, strict=True))))
    assert within(((mu - best * learned) ** 2).sum(1) / 2, value("exact_minimum", *point))


@given(problems())
@settings(max_examples=25)
def test_path_bound(problem):
    a, n, mu = problem
    point = point_of(a, n, mu)
    learned, *_ = draws(n, mu)
    clock = -math.log(a)
    weight = integrate.quad(lambda b: math.exp(-b), 0, clock)[0]
    errors = weight * ((learned - mu) ** 2).sum(1) / 2
    assert within(errors, value("score_error", *point))
    noised = torch.distributions.Normal(torch.from_numpy(math.sqrt(a) * mu), 1.0)
    standard = torch.distributions.Normal(torch.zeros(len(mu)).double(), 1.0)
    prior = float(torch.distributions.kl_divergence(noised, standard).sum())
    assert value("prior", *point) == pytest.approx(prior)
    assert value("path", *point) == pytest.approx(prior + value("score_error", *point))
    slack = a * (1 - a) * (float(mu @ mu) + len(mu) / n) / 2
    assert value("path", *point) - value("exact", *point) == pytest.approx(slack)
    slope = (value("path", a + 1e-3, *point[1:]) - value("path", a - 1e-3, *point[1:])) / 2e-3
    assert value("path_slope", *point) == pytest.approx(slope, rel=1e-6, abs=1e-9)


@given(problems())
@settings(max_examples=25)
def test_rate_and_information(problem):
    a, n, mu = problem
    point = point_of(a, n, mu)
    _, datum, _, _ = draws(n, mu)
    v = 1 - a
    rates = (a * datum**2 + v - 1 - math.log(v)).sum(1) / 2
    assert within(rates, value("rate", *point))
    covariance = np.array([[1, math.sqrt(a)], [math.sqrt(a), 1]])
    truth = -len(mu) * np.linalg.slogdet(covariance)[1] / 2
    assert value("information", *point) == pytest.approx(truth)
    assert value("compensation", *point) == pytest.approx(value("prior", *point))


def information(covariance, split, d):
    """d times the information between the first `split` and the other coordinates."""
    blocks = [covariance, covariance[:split, :split], covariance[split:, split:]]
    joint, first, second = (np.linalg.slogdet(block)[1] for block in blocks)
    return d * (first + second - joint) / 2


@given(problems())
@settings(max_examples=25)
def test_informations_by_determinants(problem):
    a, n, mu = problem
    point, v, d = point_of(a, n, mu), 1 - a, len(mu)
    means = np.full((1, n), 1 / n)
    # the learned mean and one datum; a generated sample given its start, and the whole sample
    learned = np.array([[1 / n, 1 / n], [1 / n, 1]])
    assert value("sample_information", *point) == pytest.approx(information(learned, 1, d))
    whole = np.block([[np.array([[v + v**2 / n]]), v * means], [v * means.T, np.eye(n)]])
    assert value("generator_information", *point) == pytest.approx(information(whole, 1, d))
    pair = np.array([[1 + v**2 / n, v / n], [v / n, 1]])
    truth = information(pair, 1, d)
    assert value("generated_sample_information", *point) == pytest.approx(truth)


@given(problems())
@settings(max_examples=25)
def test_energies_by_quadrature(problem):
    a, n, mu = problem
    point, d = point_of(a, n, mu), len(mu)
    clock, path = -math.log(a), reverse_mean(a)
    learned, *_ = draws(n, mu)
    second = float(mu @ mu) + d / n
    assert within((learned**2).sum(1), second)

    def energy(square):
        return integrate.quad(square, 0, clock, epsrel=1e-9)[0] / 2

    # the path is N(m_b, I) with m_b proportional to the learned mean
    zero = energy(lambda b: d + (float(path(clock - b)[0]) - math.exp(-b / 2)) ** 2 * second)
    prior = energy(lambda b: math.exp(-b) * second)
    mean = energy(lambda b: math.exp(-b) * d / n)
    assert value("energy_zero", *point) == pytest.approx(zero, rel=1e-6)
    assert value("energy_prior", *point) == pytest.approx(prior)
    assert value("energy_mean", *point) == pytest.approx(mean)


@given(problems())
@settings(max_examples=25)
def test_gap_and_its_constant(problem):
    a, n, mu = problem
    point = point_of(a, n, mu)
    learned, datum, fresh, _ = draws(n, mu)
    v = 1 - a
    unseen, seen = (v * ((x - learned) ** 2).sum(1) / 2 for x in (fresh, datum))
    assert within(unseen - seen, value("gap", *point))
    spread = (unseen - unseen.mean()) ** 2
    assert within(spread, value("scale2", *point))
    assert value("gap", *point) <= value("gap_is_bounded", *point)


@given(problems())
@settings(max_examples=25)
def test_squared_gap_and_its_constant(problem):
    a, n, mu = problem
    point, v = point_of(a, n, mu), 1 - a
    learned, datum, fresh, rng = draws(n, mu)
    noise = rng.standard_normal((2, *learned.shape))
    sample = math.sqrt(a) * noise[0] + v * learned + math.sqrt(v) * noise[1]
    unseen, seen = (((x - sample) ** 2).sum(1) for x in (fresh, datum))
    assert within(unseen - seen, value("squared_gap", *point))
    spread = (unseen - unseen.mean()) ** 2
    assert within(spread, value("squared_scale2", *point))


@given(problems())
@settings(max_examples=100)
def test_order_of_the_bounds(problem):
    point = point_of(*problem)
    numbers = [value(name, *point) for name in ("exact_minimum", "exact", "path", "tight")]
    assert numbers == sorted(numbers)
    names = ("generator_information", "energy_mean", "energy_prior")
    numbers = [value(name, *point) for name in names]
    assert numbers == sorted(numbers)
    assert value("squared_gap", *point) <= value("squared_gap_is_bounded", *point)
    training = value("score_error", *point) - value("gap", *point)
    root = math.sqrt(2 * value("scale2", *point) * value("sample_information", *point))
    assert value("tight", *point) == pytest.approx(training + value("prior", *point) + root)


def test_letters_stand_in_their_order():
    assert [str(letter) for letter in trade_off.letters] == ["a", "n", "d", "M"]
    assert sp.simplify(trade_off.exact.expr.diff(trade_off.a, 2)).is_positive
