import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.estimate import exact
from genbound.estimators.gradients import gradient_norms
from genbound.estimators.langevin import LangevinRun, contrast, from_norms, pooled
from genbound.models.networks import MLP
from tests.estimators.reference import seeded

K = 30


def a_run(device="cpu", **changes):
    loss = exact(1.0, method="known")
    run = LangevinRun(
        rates=torch.full((K,), 0.1, dtype=torch.float64, device=device),
        measured=torch.arange(K, device=device),
        squared=torch.ones(K, 1, dtype=torch.float64, device=device),
        batch=4,
        weights=7,
        inverse_temperature=20.0,
        loss=loss,
        start_loss=loss,
        untrained_loss=loss,
    )
    return replace(run, **changes)


def test_sums_of_constant_norms(device):
    steps = torch.tensor([0, 7, 29], device=device)
    norms = torch.full((3, 1), 2.5, device=device)
    run = a_run(device, measured=steps, squared=norms, centred=norms, single=norms)
    assert run.trajectory().value == pytest.approx(0.1 * K * 2.5)
    assert run.variances().value == run.of_data().value == pytest.approx(0.1 * K * 2.5)
    assert run.forgotten().value == pytest.approx(run.trajectory().value)
    decaying = replace(run, weight_decay=2.0)
    assert decaying.forgotten().value == pytest.approx(0.25 * (1 - 0.8**K) / 0.2)
    capacity = K * 3.5 * math.log1p(20 * 0.1 * 2.5 / 14)
    assert run.capacity().value == pytest.approx(capacity)
    assert "3 of 30 steps" in run.capacity().method


@given(st.floats(-3, 3), st.floats(0.01, 5), st.sets(st.integers(1, K - 2), max_size=6))
def test_what_is_linear_in_the_steps_is_interpolated_exactly(slope, level, inner):
    at = torch.tensor(sorted({0, K - 1} | inner))
    values = level + 3 * K + slope * at.double()
    rates = torch.linspace(0.2, 0.1, K, dtype=torch.float64)
    run = a_run(rates=rates, measured=at, squared=values[:, None])
    truth = rates @ (level + 3 * K + slope * torch.arange(K, dtype=torch.float64))
    assert run.trajectory().value == pytest.approx(float(truth))
    ends = a_run(measured=at[-1:], squared=values[-1:, None])
    assert ends.trajectory().value == pytest.approx(0.1 * K * float(values[-1]))


def test_errors_are_those_of_the_columns():
    draws = 5 + torch.randn(K, 400, generator=seeded(1), dtype=torch.float64)
    run = a_run(squared=draws, centred=draws)
    found = run.trajectory()
    assert found.value == pytest.approx(0.1 * float(draws.sum()) / 400)
    assert found.stderr == pytest.approx(0.1 * math.sqrt(K / 400), rel=0.1)
    # The logarithm's slope is below that of its tangent at 0, and so are its value and error.
    capacity, linear = run.capacity(), run.variances()
    assert capacity.value < 5 * linear.value and capacity.stderr < 5 * linear.stderr
    hot = replace(run, inverse_temperature=1e-9)
    tangent = 1e-9 / 4
    assert hot.capacity().value == pytest.approx(tangent * linear.value, rel=1e-6)
    assert hot.capacity().stderr == pytest.approx(tangent * linear.stderr, rel=1e-6)


def test_unbiased_squares_below_zero_count_as_zero():
    draws = torch.tensor([[-3.0, 1.0]]).expand(K, 2)
    found = a_run(centred=draws).variances()
    assert found.value == 0 and found.stderr > 0 and found.side == "consistent"


def squared_error(module, sample):
    return (module(sample[:1]) - sample[1:]).square().mean()


NET = MLP(1, 1, width=4, depth=2, generator=seeded(2)).double()
PATH = torch.randn(3, sum(p.numel() for p in NET.parameters()), generator=seeded(3)).double()


def norms(samples, **options):
    return gradient_norms(squared_error, NET, PATH, samples, **options)


def test_fields_from_draws_are_the_norms_of_the_gradients():
    samples = torch.randn(300, 2, generator=seeded(4), dtype=torch.float64)
    of_draws = norms(samples)
    fields = from_norms(of_draws, batch=8)
    run = a_run(measured=torch.tensor([0, 10, 20]), **fields)
    truth = of_draws.minibatch(8)
    rates = torch.zeros(K, dtype=torch.float64)
    rates[:], at = 1e-30, torch.tensor([0, 10, 20])
    rates[at] = 1 / 3
    found = replace(run, rates=rates).trajectory()
    assert found.value == pytest.approx(truth.value)
    assert found.stderr == pytest.approx(truth.stderr)
    one = from_norms(of_draws, batch=1)
    assert torch.equal(one["squared"], one["single"])
    assert fields["batch"] == 8


def test_whole_batches_have_no_variance_and_distinct_data_the_right_one():
    samples = torch.randn(6, 2, generator=seeded(5), dtype=torch.float64)
    whole = norms(samples, whole=True)
    assert torch.equal(from_norms(whole, batch=6)["squared"][:, 0], whole.mean2)
    pairs = torch.combinations(torch.arange(6), 2)
    squares = [norms(samples[pair], whole=True).mean2 for pair in pairs]
    found = from_norms(whole, batch=2)["squared"][:, 0]
    torch.testing.assert_close(found, torch.stack(squares).mean(0))


def test_the_drift_of_held_out_data_is_subtracted():
    train, fresh = torch.randn(2, 6, 2, generator=seeded(6), dtype=torch.float64)
    pairs = (train, fresh)
    apart = gradient_norms(contrast(squared_error), NET, PATH, pairs, whole=True)
    fields = from_norms(norms(train, whole=True), batch=6, held_out=apart)
    # Its mean is the squared distance of the two mean gradients.
    twice = gradient_norms(
        lambda module, pair: squared_error(module, pair[0]) + squared_error(module, pair[1]),
        NET,
        PATH,
        pairs,
        whole=True,
    )
    sides = [norms(part, whole=True).mean2 for part in pairs]
    truth = 2 * (sides[0] + sides[1]) - twice.mean2
    torch.testing.assert_close(fields["centred"][:, 0], truth)
    few = from_norms(norms(train), batch=3, held_out=gradient_norms(
        contrast(squared_error), NET, PATH, pairs))  # fmt: skip
    assert few["centred"].shape == (3, 6)


def test_runs_are_pooled_column_by_column():
    found = [a_run(squared=torch.full((K, 5), float(k)), loss=exact(k, method="")) for k in (1, 3)]
    both = pooled(found)
    assert both.squared.shape == (K, 2) and both.centred is None
    assert both.trajectory().value == pytest.approx(0.1 * K * 2)
    assert both.trajectory().stderr == pytest.approx(0.1 * K)
    assert both.loss.value == 2 and both.loss.stderr == pytest.approx(1)
    with pytest.raises(ValueError, match="need at least 2"):
        pooled(found[:1])
    for change in ({"batch": 5}, {"inverse_temperature": 1.0}, {"rates": torch.ones(K)}):
        with pytest.raises(ValueError, match="their settings differ"):
            pooled([found[0], replace(found[1], **change)])


def test_every_second_of_the_measured_steps_will_do():
    """A strided view of the steps: torch warns where it has to copy."""
    some, squared = torch.arange(0, K)[::2], torch.rand(K, 3, generator=seeded(8))[::2]
    run = a_run(measured=some, squared=squared)
    copied = a_run(measured=some.clone(), squared=squared.clone())
    assert run.trajectory() == copied.trajectory()


WRONG = {
    "batch": {"batch": 0},
    "inverse_temperature": {"inverse_temperature": -1.0},
    "weight_decay": {"weight_decay": -0.1},
    "start_divergence": {"start_divergence": math.nan},
    "rates": {"rates": torch.tensor([0.1, 0.0])},
    "measured": {"measured": torch.arange(1, K + 1)},
    "squared": {"squared": torch.ones(K)},
    "centred": {"centred": torch.ones(3, 2)},
    "single": {"single": torch.full((K, 2), math.nan)},
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input(name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        a_run(**WRONG[name])


def test_bad_norms():
    whole = norms(torch.randn(6, 2, dtype=torch.float64, generator=seeded(7)), whole=True)
    with pytest.raises(ValueError, match="batch: got 7"):
        from_norms(whole, batch=7)
    with pytest.raises(ValueError, match=r"batch: got -1, allowed is 1\.\.inf"):
        from_norms(norms(torch.randn(6, 2, dtype=torch.float64)), batch=-1)
    other = norms(torch.randn(4, 2, dtype=torch.float64, generator=seeded(7)), whole=True)
    with pytest.raises(ValueError, match="held_out: got norms"):
        from_norms(whole, batch=2, held_out=other)


def test_a_run_is_told_in_a_few_words():
    assert "tensor" not in repr(a_run()) and "batch=4" in repr(a_run())
