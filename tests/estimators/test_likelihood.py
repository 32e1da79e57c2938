"""Likelihoods of the flow and of the path bound against linear scores, which are solved."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.derivations import linear_score
from genbound.estimate import Estimate
from genbound.estimators import divergence, likelihood
from genbound.models.diffusion import N_FEATURES, Diffusion
from genbound.models.networks import MLP
from genbound.models.solvable import LinearScore
from genbound.sde import cosine, ve, vp

LETTERS = (linear_score.u, linear_score.a, linear_score.mu_hat, linear_score.s2_hat)


def solved(model, kind):
    """Mean and variances of the model's law at t_min along the axes of its covariance."""
    early, late = (float(model.process.moments(t)[0]) ** 2 for t in (model.t_min, model.horizon))
    along, variances = model.mean @ model.spectrum[1], model.spectrum[0]
    return tuple(
        getattr(linear_score, f"{kind}_{moment}").to_torch(*LETTERS)(early, late, along, variances)
        for moment in ("mean", "variance")
    )


def log_density(model, points, kind):
    mean, variance = solved(model, kind)
    offsets = points @ model.spectrum[1] - mean
    return -(offsets**2 / variance + (2 * math.pi * variance).log()).sum(-1) / 2


def linear(seed=0, d=2, horizon=0.4, t_min=0.03, process=None):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(d, d, generator=generator, dtype=torch.float64)
    mean = torch.randn(d, generator=generator, dtype=torch.float64)
    return LinearScore(mean, root @ root.mT + 0.1 * torch.eye(d), process or vp(), horizon, t_min)


@given(
    st.integers(0, 1000),
    st.integers(1, 4),
    st.floats(0.2, 0.9),
    st.floats(0.01, 0.1),
    st.sampled_from([vp(), cosine()]),
)
@settings(max_examples=30)
def test_the_flow_of_a_linear_score(seed, d, horizon, t_min, process):
    model = linear(seed, d, horizon, t_min, process)
    points = torch.randn(6, d, generator=torch.Generator().manual_seed(seed)).double()
    found = likelihood.ode_log_density(model, points, rtol=1e-8, atol=1e-8)
    assert torch.allclose(found, log_density(model, points, "ode"), atol=2e-5)


def test_flow_and_sde_have_different_laws(generator):
    """Each likelihood agrees with its own closed form and not with the other's."""
    model = linear(3)
    data = torch.randn(3000, 2, generator=generator, dtype=torch.float64)
    flow = likelihood.ode_nll(model, data, generator=generator)
    chain = divergence.model_nll(model, data, paths=16, step=0.05, generator=generator)
    early = float(model.process.moments(model.t_min)[0])
    points = early * data + math.sqrt(1 - early**2) * torch.randn(
        data.shape, generator=generator, dtype=torch.float64
    )
    truth = {kind: -float(log_density(model, points, kind).mean()) for kind in ("ode", "sde")}
    assert abs(flow.value - truth["ode"]) < 5 * flow.stderr
    assert abs(chain.value - truth["sde"]) < 5 * chain.stderr + 0.02
    assert abs(truth["ode"] - truth["sde"]) > 10 * max(flow.stderr, chain.stderr)


def test_probes_are_unbiased(generator):
    model = linear(4, d=5)
    point = torch.randn(1, 5, generator=generator, dtype=torch.float64)
    points = point.expand(4000, 5)
    noisy = likelihood.ode_log_density(model, points, generator=generator, probes=1)
    exact = float(likelihood.ode_log_density(model, point))
    assert float(noisy.std()) > 0.01
    assert abs(float(noisy.mean()) - exact) < 4 * float(noisy.std()) / math.sqrt(4000) + 1e-3
    several = likelihood.ode_log_density(model, points[:500], generator=generator, probes=16)
    assert float(several.std()) < float(noisy.std()) / 2


def test_blocks_change_nothing(generator, monkeypatch):
    model = linear(5)
    points = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    whole = likelihood.ode_log_density(model, points, rtol=1e-8, atol=1e-8)
    monkeypatch.setattr(likelihood, "BLOCK_ENTRIES", 8)
    parts = likelihood.ode_log_density(model, points, rtol=1e-8, atol=1e-8)
    assert torch.allclose(whole, parts, atol=1e-6)


def test_a_process_that_explodes(generator):
    """Any linear process: here the flow has no drift, and its law is known by scaling."""
    process = ve(0.01, 3.0)
    model = LinearScore(torch.zeros(1).double(), torch.eye(1).double(), process, 0.9, 0.05)
    points = torch.randn(5, 1, generator=generator, dtype=torch.float64)
    early, late = (float(process.moments(t)[1]) ** 2 for t in (0.05, 0.9))
    variance = (1 + early) / (1 + late)
    expected = -(points[:, 0] ** 2 / variance + math.log(2 * math.pi * variance)) / 2
    found = likelihood.ode_log_density(model, points, rtol=1e-8, atol=1e-8)
    assert torch.allclose(found, expected, atol=1e-5)


def test_images_sized_data_in_float32(generator):
    d = 784
    model = LinearScore(torch.zeros(d), 0.5 * torch.eye(d), vp(), 0.6, 0.05)
    data = torch.randn(16, d, generator=generator) * 0.5**0.5
    found = likelihood.ode_nll(model, data, generator=generator, probes=1)
    early = float(model.process.moments(0.05)[0]) ** 2
    truth = d / 2 * math.log(2 * math.pi * math.e * (1 - early / 2))
    assert abs(found.value - truth) < 4 * found.stderr + 0.5
    assert "1 probes" in found.method


def test_a_network(device):
    generator = torch.Generator(device).manual_seed(0)
    net = MLP(2 + N_FEATURES, 2, width=8, depth=2, generator=torch.Generator().manual_seed(0))
    model = Diffusion(net, vp(), horizon=0.5, t_min=0.05).to(device)
    data = torch.randn(20, 2, generator=generator, device=device)
    exact = likelihood.ode_nll(model, data, generator=torch.Generator(device).manual_seed(1))
    assert math.isfinite(exact.value) and exact.side == "consistent" and exact.n == 20
    assert "solver error" in exact.method


@given(st.integers(0, 1000), st.floats(0.3, 0.9))
@settings(max_examples=15)
def test_nelbo_is_the_path_bound(seed, horizon):
    model = linear(seed, 2, horizon)
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(400, 2, generator=generator, dtype=torch.float64)
    found = likelihood.nelbo(model, data, draws=16, generator=generator)
    early, late = (float(model.process.moments(t)[0]) ** 2 for t in (model.t_min, horizon))
    along, variances = (data - model.mean) @ model.spectrum[1], model.spectrum[0]
    loss = linear_score.loss.to_torch(*linear_score.loss_letters)(early, late, variances, along**2)
    rate = linear_score.rate.to_torch(linear_score.a, linear_score.x2)(late, data**2)
    entropy = math.log(2 * math.pi * math.e * (1 - early))
    truth = float((loss + rate).sum(-1).mean()) + entropy
    assert abs(found.value - truth) < 4.5 * found.stderr
    assert found.side == "upper"


def test_bits_per_dimension():
    nats = Estimate(784 * math.log(2) * 3, 784 * math.log(2) * 0.1, 10, "some", "upper")
    bits = likelihood.bits_per_dimension(nats, 784)
    assert bits.value == pytest.approx(3) and bits.stderr == pytest.approx(0.1)
    assert bits.side == "upper" and "bits" in bits.method


def test_bad_input(generator):
    model, data = linear(), torch.randn(4, 2).double()
    with pytest.raises(ValueError, match="probes: got 0"):
        likelihood.ode_nll(model, data, generator=generator, probes=0)
    with pytest.raises(ValueError, match="data: got shape"):
        likelihood.ode_log_density(model, data[0])
    with pytest.raises(ValueError, match="generator: probes"):
        likelihood.ode_log_density(model, data, probes=1)
