import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.estimate import across
from genbound.estimators import trajectory
from genbound.sde import ou, vp
from tests.estimators.reference import GaussianScore, Model, seeded

PROCESS = vp()


def measured_energy(model, **options):
    return trajectory.path_energy(model, dtype=torch.float64, **options)


def chain_energy(model, step, reference):
    """sum_k delta_k / 2 E||factor_k Y_k + offset_k||^2 with the chain's own Gaussian laws."""
    times, increments, means, variances = model.chain(step)
    total = 0.0
    for k, increment in enumerate(increments):
        signal_scale, variance = (float(word) for word in model.law(times[k]))
        factor = -1 / variance + {"zero": 0.0, "prior": 1.0}[reference]
        offset = signal_scale * model.mean / variance
        mean = factor * means[k] + offset
        square = float(mean.square().sum()) + len(mean) * factor**2 * variances[k]
        total += float(increment) / 2 * square
    return total


@given(
    reference=st.sampled_from(["zero", "prior"]),
    mean=st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    variance=st.floats(0.3, 3),
    times=st.tuples(st.floats(0.01, 0.2), st.floats(0.3, 1.2)),
    step=st.floats(0.1, 1),
    process=st.sampled_from([vp(), ou()]),
)
def test_energy_of_the_chain_as_it_is(reference, mean, variance, times, step, process):
    mean = torch.tensor(mean, dtype=torch.float64)
    model = GaussianScore(process, times[1], times[0], mean, variance)
    estimate = measured_energy(
        model, reference=reference, d=len(mean), paths=400, step=step, generator=seeded()
    )
    truth = chain_energy(model, step, reference)
    assert abs(estimate.value - truth) <= 4 * estimate.stderr + 1e-9 * truth


@given(
    mean=st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    times=st.tuples(st.floats(0.001, 0.1), st.floats(0.3, 1.2)),
    seed=st.integers(0, 99),
)
@settings(max_examples=10)
def test_energies_in_the_solvable_case(mean, times, seed):
    mean, (t_min, horizon) = torch.tensor(mean, dtype=torch.float64), times
    model = GaussianScore(PROCESS, horizon, t_min, mean)
    d, square = len(mean), float(mean.square().sum())
    early, late = (float(PROCESS.clock_of(time)) for time in (t_min, horizon))
    u, v, run = math.exp(-early), math.exp(-late), late - early
    # E||Y_b||^2 along the reverse path at clock b, and the score is -(Y_b - alpha_b mean)
    zero = (d * run + v * (1 - math.exp(-run)) * square) / 2
    prior = (u - v) * square / 2
    options = {"d": d, "paths": 300, "step": 0.02, "generator": seeded(seed)}
    for reference, truth in (("zero", zero), ("prior", prior)):
        estimate = measured_energy(model, reference=reference, **options)
        assert abs(estimate.value - truth) <= 4 * estimate.stderr + 0.03 * truth + 1e-9


def test_energy_against_another_mean():
    learned, other = torch.tensor([[1.0, 0.5], [0.7, 0.9]], dtype=torch.float64)
    model = GaussianScore(PROCESS, 0.6, 0.05, learned)
    reference = GaussianScore(PROCESS, 0.6, 0.05, other).score
    estimate = measured_energy(
        model, reference=reference, d=2, paths=10, step=0.02, generator=seeded()
    )
    u, v = (float(PROCESS.moments(time)[0]) ** 2 for time in (0.05, 0.6))
    truth = (u - v) / 2 * float((learned - other).square().sum())
    # The scores differ by a constant, so every path has the same energy.
    assert estimate.value == pytest.approx(truth, rel=0.03)
    assert estimate.stderr < 1e-9


def test_a_model_is_at_no_distance_from_itself():
    model = GaussianScore(PROCESS, 0.6, 0.05, torch.ones(2).double(), 2.0)
    estimate = measured_energy(
        model, reference=model.score, d=2, paths=10, step=0.1, generator=seeded()
    )
    assert (estimate.value, estimate.stderr) == (0.0, 0.0)


def test_a_shorter_interval_costs_less_and_sees_other_times():
    model = GaussianScore(PROCESS, 1.0, 0.01, torch.ones(2).double())
    options = {"reference": "zero", "d": 2, "paths": 50, "step": 0.1}
    whole, part = (
        measured_energy(model, generator=seeded(), **options, **interval)
        for interval in ({}, {"horizon": 0.6, "t_min": 0.1})
    )
    assert part.value < whole.value
    model = GaussianScore(PROCESS, 0.6, 0.1, model.mean)
    assert part.value == measured_energy(model, generator=seeded(), **options).value


def test_influences_are_those_of_the_paths():
    model = GaussianScore(PROCESS, 1.0, 0.05, torch.ones(2).double())
    estimate = measured_energy(
        model, reference="zero", d=2, paths=64, step=0.2, generator=seeded()
    )
    assert estimate.n == len(estimate.influence) == 64
    assert float(estimate.influence.std()) / 8 == pytest.approx(estimate.stderr)


def test_runs_in_single_precision():
    seen = set()

    def score(noisy, time):
        seen.update((noisy.dtype, time.dtype))
        return -noisy

    estimate = trajectory.path_energy(
        Model(score),
        reference="prior",
        d=2,
        paths=8,
        step=0.5,
        generator=seeded(),
    )
    assert estimate.value == 0
    assert seen == {torch.float32}


def test_refuses_an_unknown_reference():
    with pytest.raises(ValueError, match="reference: got 'mean'"):
        measured_energy(
            Model(lambda noisy, _: -noisy),
            reference="mean",
            d=2,
            paths=8,
            step=0.5,
            generator=seeded(),
        )


def test_refuses_a_chain_that_diverged():
    with pytest.raises(ValueError, match="step: got 0.5"):
        measured_energy(
            Model(lambda noisy, _: 1e300 * noisy),
            reference="zero",
            d=2,
            paths=8,
            step=0.5,
            generator=seeded(),
        )


def test_references_of_independent_mean_learners():
    """Ghost, ensembles and the mean score against the solved energies, in the mean over S."""
    d, n, horizon, t_min, repetitions = 2, 10, 0.6, 0.005, 150
    generator, mean = seeded(11), torch.ones(2).double()
    noise = torch.randn(repetitions, 5, d, generator=generator, dtype=torch.float64)
    learned = mean + noise / math.sqrt(n)
    shares = [float(PROCESS.moments(time)[0]) ** 2 for time in (t_min, horizon)]
    solved = (shares[0] - shares[1]) * d / (2 * n)
    for others in (1, 4):
        energies = []
        for own, *rest in learned[:, : 1 + others]:
            models = [GaussianScore(PROCESS, horizon, t_min, theirs) for theirs in rest]
            energies.append(
                measured_energy(
                    GaussianScore(PROCESS, horizon, t_min, own),
                    reference=trajectory.mean_score(models),
                    d=d,
                    paths=2,
                    step=0.4,
                    generator=generator,
                )
            )
        measured = across(energies)
        truth = (1 + 1 / others) * solved
        # The grid's sum differs from the integral by a few per cent.
        assert abs(measured.value - truth) <= 4 * measured.stderr + 0.05 * truth
        bound = trajectory.generated_information(measured)
        assert (bound.value, bound.side) == (measured.value, "upper")
        assert bound.value + 4 * bound.stderr >= d / 2 * math.log(1 + (1 - shares[1]) / n)


def test_golden_energies_of_the_mean_learner():
    """d = 2, |mu|^2 = 2, n = 10: means over samples, at the horizons of the derivations' tests."""
    golden = {
        0.2: (0.034164, 0.3758, 0.6654),
        0.6: (0.097380, 1.0712, 3.6701),
        1.0: (0.099996, 1.1000, 10.0500),
    }
    mu, generator = torch.ones(2).double(), seeded(3)
    for horizon, values in golden.items():
        true_score = GaussianScore(PROCESS, horizon, 2e-4, mu).score
        runs = {"mean": [], "prior": [], "zero": []}
        for _ in range(40):
            noise = torch.randn(2, generator=generator, dtype=torch.float64)
            model = GaussianScore(PROCESS, horizon, 2e-4, mu + noise / math.sqrt(10))
            for name, run in runs.items():
                reference = true_score if name == "mean" else name
                options = {"d": 2, "paths": 20, "step": 0.3, "generator": generator}
                run.append(measured_energy(model, reference=reference, **options))
        for run, value in zip(runs.values(), values, strict=True):
            measured = across(run)
            assert abs(measured.value - value) <= 4 * measured.stderr + 0.05 * value


def test_a_mean_of_no_scores_is_refused():
    with pytest.raises(ValueError, match="models: got none"):
        trajectory.mean_score([])
