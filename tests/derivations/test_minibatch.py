"""Descent on minibatches against its own recursion, run many times."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import minibatch as proof
from genbound.derivations import sgld_solved

NAMES = ("score_error", "excess", "gap")


def compiled(name: str):
    return getattr(proof, name).to_torch(*proof.letters)


def test_nothing_is_taken_on_trust() -> None:
    found = [value for value in vars(proof).values() if isinstance(value, Derivation)]
    assert len(found) >= 7
    assert {grade for value in found for grade in value.grades} <= {"defined", "proved"}


@pytest.mark.parametrize("size", [1, 3, 10])
@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_the_recursion_has_these_losses(size: int, rate: float) -> None:
    gen = torch.Generator().manual_seed(size)
    n, d, variance, kappa, steps, runs = 6, 3, 0.7, 0.9, 5, 40_000
    like = {"generator": gen, "dtype": torch.float64}
    data = math.sqrt(variance) * torch.randn(runs, n, d, **like)
    theta = torch.full((runs, d), 0.5, dtype=torch.float64)
    for _ in range(steps):
        index = torch.randint(n, (runs, size), generator=gen)
        batches = torch.gather(data, 1, index[..., None].expand(-1, -1, d)).mean(1)
        theta = theta - rate * 2 * kappa * (theta - batches)
    centre = data.mean(1)
    error = kappa * theta.square().sum(1)
    excess = kappa * (theta - centre).square().sum(1)
    training = kappa * (theta[:, None] - data).square().sum(-1).mean(1)
    gap = error + kappa * d * variance - training
    where = (kappa, 1 - 2 * kappa * rate, steps, size, n, d, variance, d * 0.25)
    for name, values in zip(NAMES, (error, excess, gap), strict=True):
        truth = float(compiled(name)(*where))
        assert abs(float(values.mean()) - truth) <= 4 * float(values.std()) / math.sqrt(runs), name


@given(st.floats(0.01, 5), st.floats(0.01, 0.99), st.integers(1, 50), st.integers(2, 40))
def test_the_gap_is_that_of_langevin_training(kappa, keep, steps, n) -> None:
    d, variance = 4, 1.3
    own = compiled("gap")(kappa, keep, steps, 1, n, d, variance, 2.0)
    other = sgld_solved.gap.to_torch(*sgld_solved.letters)(kappa, keep, 7.0, steps, n, d, variance)
    assert float(own) == pytest.approx(float(other))


def test_no_run_beats_the_best_stopping_time() -> None:
    gen = torch.Generator().manual_seed(0)
    count = 2000
    uniform = torch.rand(5, count, generator=gen, dtype=torch.float64)
    kappa, keep, variance, distance2 = 3 * uniform[0], uniform[1], 2 * uniform[2], 5 * uniform[3]
    steps, size, n, d = (
        torch.randint(low, high, (count,), generator=gen).double()
        for low, high in ((1, 200), (1, 64), (2, 100), (1, 50))
    )
    where = (kappa, keep, steps, size, n, d, variance, distance2)
    assert (compiled("best")(*where) <= compiled("score_error")(*where) * (1 + 1e-12)).all()
    # It is reached: with many data per batch, at the step that keeps the best share.
    kept = compiled("best_kept")(*where)
    exact = (kappa, kept, 1, 1e15, n, d, variance, distance2)
    torch.testing.assert_close(compiled("score_error")(*exact), compiled("best")(*where))


@given(st.floats(0.05, 0.95), st.integers(2, 30), st.integers(1, 20))
def test_equal_epochs_are_more_steps_of_a_smaller_batch(keep, n, epochs) -> None:
    found = proof.by_epochs.to_torch(*proof.letters, proof.epochs)
    for size in (1, n):
        steps = epochs * n / size
        where = (0.8, keep, steps, size, n, 2, 1.0, 1.0)
        assert float(found(*where, epochs)) == pytest.approx(float(compiled("gap")(*where)))
