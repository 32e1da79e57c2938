"""The linear VAE's letters against matrices, simulation and golden numbers."""

import math
from collections.abc import Callable
from functools import cache

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import linear_vae

number = st.floats(-2, 2)
positive = st.floats(0.05, 3)


def derivations() -> dict[str, Derivation]:
    return {
        name: value for name, value in vars(linear_vae).items() if isinstance(value, Derivation)
    }


@cache
def compiled(name: str) -> Callable[..., torch.Tensor]:
    return getattr(linear_vae, name).to_torch(*linear_vae.letters)


def value(name: str, *point: float) -> float:
    return float(compiled(name)(*point))


def test_every_step_is_proved() -> None:
    found = derivations()
    assert len(found) == 14
    for name, derivation in found.items():
        assert set(derivation.grades) <= {"defined", "proved"}, name


def test_golden_numbers() -> None:
    """W = (1, 1/2), s^2 = 1/4."""
    golden = {
        "ppca_information": 0.895880,
        "ppca_rate": 0.895880,
        "ppca_aggregate": 0.0,
        "ppca_distortion": 1.451583,
        "ppca_total": 2.347462,
    }
    for name, expected in golden.items():
        letter = getattr(linear_vae, name).to_torch(*linear_vae.ppca_letters)
        assert float(letter(1.25, 0.25, 2)) == pytest.approx(expected, abs=1e-6)
    covariance = torch.tensor([[1.25, 0.5], [0.5, 0.5]], dtype=torch.float64)
    entropy = float(torch.logdet(2 * math.pi * math.e * covariance)) / 2
    assert golden["ppca_total"] == pytest.approx(entropy, abs=1e-6)


@given(w=number, c=number, s2=positive, slope=number, b=number, q=positive, mu=number, C=positive)
def test_the_letters_are_the_laws(
    w: float, c: float, s2: float, slope: float, b: float, q: float, mu: float, C: float
) -> None:
    """Against torch's divergences, and quadrature over x and the encoder's noise."""
    point = (w, c, s2, slope, b, q, mu, C)
    nodes = torch.linspace(-10, 10, 401, dtype=torch.float64)
    weights = torch.exp(-nodes.square() / 2) / math.sqrt(2 * math.pi) * (nodes[1] - nodes[0])
    x = mu + math.sqrt(C) * nodes
    z = slope * x[:, None] + b + math.sqrt(q) * nodes
    decoder = torch.distributions.Normal(w * z + c, math.sqrt(s2))
    distortion = -(weights[:, None] * weights * decoder.log_prob(x[:, None])).sum()
    assert value("distortion", *point) == pytest.approx(distortion.item(), rel=1e-7)

    def normal(mean: float | torch.Tensor, variance: float) -> torch.distributions.Normal:
        return torch.distributions.Normal(
            torch.as_tensor(mean, dtype=torch.float64), math.sqrt(variance)
        )

    kl = torch.distributions.kl_divergence
    together = normal(slope * mu + b, slope**2 * C + q)
    rate = (weights * kl(normal(slope * x + b, q), normal(0.0, 1.0))).sum()
    assert value("rate", *point) == pytest.approx(rate.item(), rel=1e-7, abs=1e-9)
    information = (weights * kl(normal(slope * x + b, q), together)).sum()
    assert value("code_information", *point) == pytest.approx(information.item(), abs=1e-9)
    aggregate = kl(together, normal(0.0, 1.0)).item()
    assert value("aggregate", *point) == pytest.approx(aggregate, abs=1e-9)
    variance = w**2 + s2
    posterior = normal(w * (x - c) / variance, s2 / variance)
    apart = (weights * kl(normal(slope * x + b, q), posterior)).sum()
    assert value("posterior_kl", *point) == pytest.approx(apart.item(), rel=1e-7, abs=1e-9)
    assert value("model_kl", *point) == pytest.approx(
        kl(normal(mu, C), normal(c, variance)).item(), abs=1e-9
    )


def test_at_the_optimum_nothing_is_lost() -> None:
    for name in ("posterior_kl", "model_kl", "aggregate"):
        expr = getattr(linear_vae, name).expr.subs(linear_vae.optimum)
        assert sp.simplify(expr) == 0, name
