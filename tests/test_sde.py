"""Noising processes: letters against calculus, tensors against letters, refusals."""

import dataclasses
import math
import pickle

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from torch.func import grad, vmap

from genbound import sde
from genbound.sde import LinearSDE, t

PROCESSES = [
    sde.vp(),
    sde.vp(2, 2),
    sde.vp(1, 5),
    sde.ou(),
    sde.sub_vp(),
    sde.ve(),
    sde.ve(0.1, 3),
    sde.cosine(),
    sde.cosine(0),
    LinearSDE(sp.cos(sp.pi * t / 2), sp.sin(sp.pi * t / 2) ** 2, name="one line"),
    LinearSDE(1 / (1 + t), t * (1 + t), name="rational"),
    LinearSDE(sp.exp(-t), sp.sin(t) ** 2 * sp.exp(t**2), name="no closed clock"),
]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: p.name)
TIMES = torch.tensor([1e-4, 0.01, 0.2, 0.5, 0.95], dtype=torch.float64)


@every_process
def test_drift_and_diffusion_are_derivatives_of_the_moments(process):
    def signal(time):
        return process.moments(time)[0].log()

    def variance(time):
        return process.moments(time)[1].square()

    drift = vmap(grad(signal))(TIMES)
    torch.testing.assert_close(process.drift_of(TIMES), drift)
    torch.testing.assert_close(
        process.diffusion2_of(TIMES), vmap(grad(variance))(TIMES) - 2 * drift * variance(TIMES)
    )


@every_process
def test_moments_solve_the_moment_equations_of_the_sde(process):
    signal, noise = process.moments(TIMES)

    def equations(time, moments):
        drift, diffusion2 = float(process.drift_of(time)), float(process.diffusion2_of(time))
        return [drift * moments[0], 2 * drift * moments[1] + diffusion2]

    path = solve_ivp(
        equations,
        (float(TIMES[1]), float(TIMES[-1])),
        [float(signal[1]), float(noise[1] ** 2)],
        t_eval=TIMES[1:].numpy(),
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(path.y[0], signal[1:], rtol=1e-6)
    np.testing.assert_allclose(path.y[1], noise[1:] ** 2, rtol=1e-6)


@every_process
def test_letters_and_tensors_agree(process):
    for k, time in enumerate([sp.Rational(1, 100), sp.Rational(1, 5), sp.Rational(1, 2)]):
        word = TIMES[k + 1]
        for letter, call in (
            (process.drift, process.drift_of),
            (process.diffusion2, process.diffusion2_of),
            (process.log_snr, process.log_snr_of),
        ):
            assert float(call(word)) == pytest.approx(float(letter.subs(t, time)), rel=1e-12)


@every_process
def test_clock_is_the_integral_of_the_diffusion(process):
    for time in (0.01, 0.3, 0.9):
        truth, error = quad(lambda s: float(process.diffusion2_of(s)), 0, time, epsabs=1e-13)
        assert float(process.clock_of(time)) == pytest.approx(truth, rel=1e-8, abs=10 * error)


def test_clock_without_closed_form_is_batched():
    process = PROCESSES[-1]
    assert process.clock is None
    assert process.clock_of(TIMES.reshape(5, 1)).shape == (5, 1)
    torch.testing.assert_close(vmap(grad(process.clock_of))(TIMES), process.diffusion2_of(TIMES))


@every_process
def test_diffusion_over_variance_is_the_fall_of_the_log_snr(process):
    _, noise = process.moments(TIMES)
    fall = -vmap(grad(process.log_snr_of))(TIMES)
    torch.testing.assert_close(process.diffusion2_of(TIMES) / noise**2, fall)


@every_process
@pytest.mark.parametrize("known", [True, False], ids=["formula", "bisection"])
def test_time_of_inverts_the_log_snr(process, known):
    if not known:
        process = dataclasses.replace(process, inverse=None)
    torch.testing.assert_close(
        process.time_of(process.log_snr_of(TIMES)), TIMES, rtol=1e-9, atol=1e-14
    )


@given(st.floats(-4, 12), st.sampled_from(PROCESSES))
def test_time_of_is_a_right_inverse(value, process):
    time = process.time_of(value)
    if bool(time.isfinite()) and float(time) <= 1:
        assert float(process.log_snr_of(time)) == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize("process", [PROCESSES[0], PROCESSES[-1]], ids=["formula", "bisection"])
def test_gradient_of_time_of(process):
    values = process.log_snr_of(TIMES[1:])
    slopes = vmap(grad(process.time_of))(values)
    _, noise = process.moments(TIMES[1:])
    torch.testing.assert_close(slopes, -noise.square() / process.diffusion2_of(TIMES[1:]))


def test_bisection_says_nan_where_there_is_no_time():
    process = dataclasses.replace(sde.ou(1), inverse=None)
    assert process.time_of(torch.tensor([-5.0, 0.0])).isnan().tolist() == [True, False]


@pytest.mark.parametrize("make", [sde.vp, sde.ou, sde.sub_vp, sde.ve, sde.cosine])
def test_single_precision_survives_small_times(make):
    process = make()
    times = torch.logspace(-8, 0, 30, dtype=torch.float32)[:-1]
    exact = times.double()
    for single, double in zip(process.moments(times), process.moments(exact), strict=True):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=2e-6, atol=0)
    torch.testing.assert_close(
        process.diffusion2_of(times).double(), process.diffusion2_of(exact), rtol=5e-6, atol=0
    )


@given(st.floats(0.01, 1.0), st.floats(0.5, 4.0))
def test_ou_is_vp_in_another_clock(time, rate):
    vp, ou = sde.vp(0.1, 7), sde.ou(rate)
    other = float(vp.clock_of(time)) / rate
    for left, right in zip(vp.moments(time), ou.moments(other), strict=True):
        assert float(left) == pytest.approx(float(right), rel=1e-9)


def test_letters_of_the_shipped_processes():
    assert sde.vp().drift == -sp.Rational(199, 20) * t - sp.Rational(1, 20)
    assert sp.expand(sde.vp().diffusion2) == sp.Rational(199, 10) * t + sp.Rational(1, 10)
    assert sde.vp().clock == sp.Rational(199, 20) * t**2 + t / 10
    assert sde.ou(2).diffusion2 == 2
    assert sde.ve().drift == 0
    assert sde.ve().clock == sde.ve().sigma2
    assert [p().preserves_variance for p in (sde.vp, sde.cosine, sde.sub_vp, sde.ve)] == [
        True,
        True,
        False,
        False,
    ]


def test_equal_by_value():
    process = sde.vp()
    assert process == sde.vp(sp.Rational(1, 10), 20)
    assert process == dataclasses.replace(process, name="other", inverse=None)
    assert hash(process) == hash(sde.vp())
    assert process != sde.vp(0.1, 10)
    assert "expm1" in repr(process)
    with pytest.raises(dataclasses.FrozenInstanceError):
        process.alpha = sp.Integer(1)


def test_pickles_after_use():
    process = PROCESSES[-1]
    before = process.clock_of(TIMES)
    again = pickle.loads(pickle.dumps(process))
    assert again == process
    torch.testing.assert_close(again.clock_of(TIMES), before)


@pytest.mark.parametrize(
    ("alpha", "sigma2", "message"),
    [
        (2 * sp.exp(-t), t, "alpha: got 2"),
        (sp.exp(-t), 1 + t, "sigma2: got 1"),
        (sp.exp(-t), -t, "sigma2: got -"),
        (1 - 2 * t, t, "alpha: got -"),
        (1 + t, t / (1 + 9 * t), "must fall"),
        (sp.exp(-sp.Symbol("t")), t, "only symbol"),
    ],
)
def test_refuses_what_is_no_noising_process(alpha, sigma2, message):
    with pytest.raises(ValueError, match=message):
        LinearSDE(alpha, sigma2)


@pytest.mark.parametrize(
    ("inverse", "message"),
    [(sp.exp(-sde.log_snr), "not that time"), (t, "only symbol")],
)
def test_refuses_a_wrong_inverse(inverse, message):
    with pytest.raises(ValueError, match=message):
        LinearSDE(sp.exp(-t), 1 - sp.exp(-2 * t), inverse=inverse)


@pytest.mark.parametrize(
    "call", [lambda: sde.ve(2, 1), lambda: sde.vp(-1, 2), lambda: sde.vp(0, 0)]
)
def test_refuses_bad_parameters(call):
    with pytest.raises(ValueError, match="allowed"):
        call()


@every_process
def test_perturb_and_kernel_score(process, generator):
    data = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    signal, scale = process.moments(TIMES)
    noisy = process.perturb(data, TIMES, noise)
    torch.testing.assert_close(noisy, signal[:, None] * data + scale[:, None] * noise)
    torch.testing.assert_close(
        process.kernel_score(data, noisy, TIMES), -noise / scale[:, None], rtol=1e-6, atol=1e-7
    )
    one_by_one = vmap(process.perturb)(data, TIMES, noise)
    torch.testing.assert_close(one_by_one, noisy)


@pytest.mark.parametrize("time", [0.3, torch.tensor(0.3), torch.full((4,), 0.3).double()])
def test_perturb_keeps_the_dtype_of_the_data(time):
    data = torch.ones(4, 2, dtype=torch.float32)
    assert sde.vp().perturb(data, time, data).dtype == torch.float32
    assert sde.vp().kernel_score(data, data, time).dtype == torch.float32


def test_constant_letters_have_the_shape_of_the_time():
    assert sde.ve().moments(TIMES)[0].shape == TIMES.shape
    assert sde.ou().drift_of(TIMES.reshape(5, 1)).shape == (5, 1)


@every_process
def test_reverse_drift_runs_a_gaussian_backwards(process):
    mean, variance = 1.5, 0.3
    nodes, weights = (torch.as_tensor(a) for a in np.polynomial.hermite_e.hermegauss(20))
    weights = weights / weights.sum()
    for time in (0.1, 0.6):
        signal, noise = (float(scale) for scale in process.moments(time))
        centre, spread = signal * mean, signal**2 * variance + noise**2
        states = (centre + math.sqrt(spread) * nodes).unsqueeze(-1)
        drift = process.reverse_drift(lambda x, _, m=centre, v=spread: -(x - m) / v)
        values = drift(states, time).squeeze(-1)
        rate, diffusion2 = float(process.drift_of(time)), float(process.diffusion2_of(time))
        # backwards in time: dm = -E[drift], dv = -2 Cov(x, drift) + g^2 must undo the forward law
        covariance = float((weights * values * (states.squeeze(-1) - centre)).sum())
        assert float((weights * values).sum()) == pytest.approx(rate * centre, abs=1e-9)
        assert -2 * covariance + diffusion2 == pytest.approx(
            -(2 * rate * spread + diffusion2), rel=1e-9
        )
