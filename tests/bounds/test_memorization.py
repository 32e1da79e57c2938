import math

import pytest
import torch

from genbound import data, sampler
from genbound.bounds import memorization
from genbound.derivations import memorization as proof
from genbound.derivations import trade_off
from genbound.estimate import across
from genbound.estimators import information, score_matching, trajectory
from genbound.estimators.memorization import kernel_gap
from genbound.models.solvable import MeanLearner
from genbound.sde import vp
from tests.estimators.reference import Model, seeded

PROCESS = vp()


def test_on_the_mean_learner_it_is_the_closed_form():
    n, horizon, generator = 10, 0.6, seeded(1)
    source = data.Gaussian(torch.ones(2).double(), torch.eye(2).double())
    others = [
        MeanLearner(source.sample(n, generator=generator).mean(0), PROCESS, horizon, 1e-3)
        for _ in range(4)
    ]
    references = {"prior": 1.0712, "zero": 3.6701, trajectory.mean_score(others[:1]): None}
    for reference, golden in references.items():
        bound = memorization(reference=reference, paths=8, step=0.2)
        breakdowns = []
        for _ in range(60):
            sample = source.sample(n, generator=generator)
            model = MeanLearner(sample.mean(0), PROCESS, horizon, 1e-3)
            breakdowns.append(bound.evaluate(model, sample, generator=generator))
        total = breakdowns[0].total
        assert total.value == pytest.approx(
            math.sqrt(breakdowns[0]["score along the generating path"].value / (2 * n))
        )
        energy = across([b["score along the generating path"] for b in breakdowns])
        if golden is not None:
            assert abs(energy.value - golden) <= 4 * energy.stderr + 0.05 * golden
        assert breakdowns[0].trivial.value == 1
        assert breakdowns[0].verdict == "informative"


def test_it_is_vacuous_for_few_data_and_a_score_that_copies():
    sample = data.SwissRoll().sample(3, generator=seeded(2))
    memoriser = Model(data.points(sample).path_score(PROCESS), PROCESS, 1.0, 0.01)
    breakdown = memorization(paths=64).evaluate(memoriser, sample, generator=seeded())
    assert breakdown.verdict == "vacuous" and breakdown.total.value > 0.5


def test_the_measured_gap_stays_below_the_bound():
    """A score that copies its data: the gap is large, the bound larger, for every n."""
    source, generator = data.SwissRoll(), seeded(6)
    fresh = source.sample(500, generator=generator)
    gaps = {}
    for n in (3, 10, 30):
        sample = source.sample(n, generator=generator)
        model = Model(data.points(sample).path_score(PROCESS), PROCESS, 1.0, 0.01)
        chain = {"d": 2, "horizon": 1.0, "t_min": 0.01, "step": 0.3, "dtype": torch.float64}
        made = sampler.sample(PROCESS, model.score, n=500, generator=generator, **chain)
        gaps[n] = kernel_gap(made, sample, fresh, bandwidth=0.2)
        bound = memorization(paths=100, step=0.3).evaluate(model, sample, generator=generator)
        assert gaps[n].upper() < bound.total.lower()
    assert gaps[3].lower() > gaps[30].upper() > 0


@pytest.mark.parametrize("centres", [[[1.5, 0.0], [-1.5, 0.0]], None])
def test_the_empirical_score_s_energy_telescopes(centres):
    """1/2 int g^2 E ||grad log p-hat_t + x||^2 dt is the difference of two prior divergences."""
    t_min, horizon = 0.05, 0.8
    if centres is None:
        sample = data.SwissRoll().sample(40, generator=seeded(3))
    else:
        sample = torch.tensor(centres, dtype=torch.float64)
    # The prior's score against the empirical one, along the forward law of the sample.
    prior = Model(lambda noisy, _: -noisy, PROCESS, horizon, t_min)
    options = {"draws": 4096, "generator": seeded()}
    energy = score_matching.explicit(prior, sample, **options)
    start, end = (
        information.aggregate_kl(PROCESS, sample, time, **options) for time in (t_min, horizon)
    )
    # Exact for every sample: only the draws err, and the estimates' own errors cover the data.
    assert energy.value == pytest.approx(start.value - end.value, rel=0.02)
    # Along the model's own path the same, up to the wrong start and the step.
    memoriser = Model(data.points(sample).path_score(PROCESS), PROCESS, 1.2, t_min)
    own = trajectory.path_energy(
        memoriser,
        reference="prior",
        d=2,
        paths=1500,
        step=0.05,
        generator=seeded(),
        dtype=torch.float64,
    )
    assert abs(own.value - start.value) <= 4 * own.stderr + 0.03 * start.value


def test_a_thousand_mean_learners():
    """The reference of the prior in closed form bounds the gap of every solvable case."""
    gen = seeded(8)
    share = torch.rand(1000, generator=gen, dtype=torch.float64).clamp(1e-3, 1 - 1e-3)
    n, d = (torch.randint(low, 50, (1000,), generator=gen).double() for low in (2, 1))
    norm2, bandwidth2 = torch.randn(2, 1000, generator=gen, dtype=torch.float64).exp()
    gap = proof.solved_gap.to_torch(*trade_off.letters, proof.bandwidth2)(
        share, n, d, norm2, bandwidth2
    )
    total = memorization().theorem.to_torch(proof.energy, trade_off.n)
    for reference in (trade_off.energy_mean, trade_off.energy_prior, trade_off.energy_zero):
        energy = reference.to_torch(*trade_off.letters)(share, n, d, norm2)
        assert bool((gap <= total(energy, n)).all())
