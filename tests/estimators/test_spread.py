import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.estimate import Estimate, combine, exact, mean
from genbound.estimators.spread import from_effects, root


def test_error_is_that_of_data_and_value_without_the_noise_of_the_effects():
    generator = torch.Generator().manual_seed(0)
    n, scale, noise, mean_noise = 200_000, 0.5, 1.0, 3e-6
    effects = scale * torch.randn(n, generator=generator, dtype=torch.float64)
    effects += noise * torch.randn(n, generator=generator, dtype=torch.float64)
    estimate = from_effects(
        1.5, effects, noise=torch.full((n,), noise**2), mean_noise=mean_noise, method="known"
    )
    assert estimate.value == 1.5
    assert estimate.stderr == pytest.approx(math.sqrt(scale**2 / n + mean_noise), rel=0.03)


@given(
    effects=st.lists(st.floats(-10, 10), min_size=2, max_size=20),
    noise=st.floats(0, 5),
    mean_noise=st.floats(0, 5),
)
def test_influences_are_centred_and_spread_as_the_error_says(effects, noise, mean_noise):
    effects = torch.tensor(effects, dtype=torch.float64)
    n = len(effects)
    estimate = from_effects(
        0.0, effects, noise=torch.full((n,), noise), mean_noise=mean_noise, method="any"
    )
    assert estimate.stderr**2 >= mean_noise * (1 - 1e-12)
    assert float(estimate.influence.mean()) == pytest.approx(0, abs=1e-6)
    if float(effects.std()) > 1e-6:
        spread = float(estimate.influence.std()) / math.sqrt(n)
        assert spread == pytest.approx(estimate.stderr, rel=1e-6, abs=1e-12)


def test_rounding_of_equal_effects_is_not_blown_up():
    # Their mean is off by one unit in the last place, so the centred effects are not quite zero.
    effects = torch.full((3,), 5.689981770725316, dtype=torch.float64)
    estimate = from_effects(0.0, effects, noise=torch.zeros(3), mean_noise=1.0, method="any")
    assert estimate.stderr == 1.0
    assert float(estimate.influence.abs().max()) == 0.0


def test_a_root_is_that_of_the_delta_method():
    square = mean(torch.rand(50, generator=torch.Generator().manual_seed(1)), method="")
    letter = sp.Symbol("x", positive=True)
    known = combine(sp.sqrt(letter), {letter: square}, method="here")
    found = root(square, method="here")
    assert found.value == pytest.approx(known.value)
    assert found.stderr == pytest.approx(known.stderr)
    torch.testing.assert_close(found.influence, known.influence)
    assert (found.side, found.n, found.method) == (known.side, known.n, "here")


@pytest.mark.parametrize("value", [0.0, -0.2])
def test_a_root_of_what_is_not_positive_has_no_known_error(value):
    found = root(Estimate(value, 0.1, 9, ""), method="")
    assert found.value == 0 and math.isnan(found.stderr) and found.influence is None
    assert root(exact(0.0, method=""), method="").stderr == 0
