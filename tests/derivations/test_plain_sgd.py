import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import plain_sgd as proof
from genbound.derivations.parameter_information import gradient2, rate, steps, weights
from genbound.derivations.sgld import batch
from genbound.derivations.sgld_solved import inverse_temperature, keep, noise_spread, weight

positive = st.floats(0.01, 50)


def test_only_the_price_is_granted_and_it_says_that_it_is_a_heuristic():
    found = {
        name: value
        for name, value in vars(proof).items()
        if isinstance(value, Derivation) and "granted" in value.grades
    }
    assert set(found) == {"price", "price_floor"}
    cited = [step.cite for step in proof.price.steps if step.grade == "granted"]
    assert cited == ["a heuristic, no theorem"]


@given(positive, positive, positive, st.integers(1, 100), st.integers(1, 50))
def test_the_price_is_that_of_a_step_at_the_effective_temperature(norm2, lr, spread, size, count):
    beta = float(
        proof.effective.to_torch(rate, proof.scatter, batch, weights)(lr, spread, size, count)
    )
    found = proof.price.to_torch(gradient2, proof.scatter, batch, weights)
    assert float(found(norm2, spread, size, count)) == pytest.approx(beta * lr * norm2 / 4)
    floor = float(proof.price_floor.to_torch(weights)(float(count)))
    assert floor <= float(found(norm2 + spread / size, spread, size, count)) * (1 + 1e-12)


def test_plain_descent_has_the_variance_of_langevin_training_and_no_density():
    gen = torch.Generator().manual_seed(1)
    curvature, lr, size, count, runs = 0.8, 0.2, 3, 4, 100_000
    data = torch.randn(6, generator=gen, dtype=torch.float64)
    theta = data.mean().expand(runs)
    for _ in range(count):
        index = torch.randint(6, (runs, size), generator=gen)
        theta = theta - lr * 2 * curvature * (theta - data[index].mean(1))
    scatter = float((2 * curvature * data).var(correction=0))
    kept = 1 - 2 * curvature * lr
    truth = proof.same_spread.to_torch(weight, keep, steps, batch, weights, proof.scatter)
    truth = float(truth(curvature, kept, count, size, 1, scatter))
    beta = proof.effective.to_torch(rate, proof.scatter, batch, weights)(lr, scatter, size, 1)
    langevin = noise_spread.to_torch(weight, keep, inverse_temperature, steps)
    assert float(langevin(curvature, kept, beta, count)) == pytest.approx(truth)
    squares = (theta - theta.mean()).square()
    assert abs(float(squares.mean()) - truth) <= 4 * float(squares.std()) / math.sqrt(runs)
    # After one step the weights are one of few values: no law with a density is near.
    first = data.mean() - lr * 2 * curvature * (data.mean() - data[index].mean(1))
    assert len(first.round(decimals=10).unique()) <= math.comb(6 + size - 1, size)
