"""Three bounds from one stability, on Langevin training of a mean and on trained networks."""

import math

import pytest
import torch

from genbound import bounds, data
from genbound.bound import WrongSide
from genbound.derivations import linear_score, sgld_solved
from genbound.derivations import stability as proof
from genbound.estimate import Estimate, across, mean
from genbound.estimators import score_matching
from genbound.estimators.stability import replaced, root, score_stability
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.models.solvable import LinearScore
from genbound.sde import ou
from genbound.training import stream, train
from tests.estimators.reference import seeded

PROCESS = ou()


def closed_forms(case, fixed):
    """Population loss, training loss and squared stability, in units of the paper."""
    letters = (*sgld_solved.letters, sgld_solved.fixed)
    population, training = (
        getattr(sgld_solved, name).to_torch(*letters)(*case, fixed)
        for name in ("population", "training")
    )
    return population, training, sgld_solved.swap.to_torch(*sgld_solved.letters)(*case)


def test_no_form_falls_below_the_truth():
    """Four thousand Langevin trainings of a mean: any rate, noise, size, dimension, time."""
    gen, many = seeded(5), 4000
    variance = torch.randn(many, generator=gen, dtype=torch.float64).mul(1.5).exp()
    edges = [
        torch.rand(many, generator=gen, dtype=torch.float64) * (high - low) + low
        for low, high in ((0.3, 0.999), (0.001, 0.3))
    ]
    # u = exp(-2 t_0), a = exp(-2 T): the span is half the difference of their logarithms.
    span = (edges[0].log() - edges[1].log()) / 2
    times = (linear_score.u, linear_score.a, sgld_solved.variance, sgld_solved.span)
    weight = sgld_solved.curvature.to_torch(*times)(*edges, variance, span)
    n, d, steps = (
        torch.randint(1, high, (many,), generator=gen).double() for high in (200, 30, 100)
    )
    fixed = sgld_solved.constant.to_torch(*times, sgld_solved.d)(*edges, variance, span, d)
    irreducible = sgld_solved.irreducible.to_torch(*times, sgld_solved.d)(
        *edges, variance, span, d
    )
    keep = torch.rand(many, generator=gen, dtype=torch.float64)
    beta = torch.randn(many, generator=gen, dtype=torch.float64).mul(2).exp() * 100
    case = (weight, keep, beta, steps, n, d, variance)
    population, training, square = closed_forms(case, fixed)

    gap = bounds.stability_gap().theorem.to_torch(proof.training, proof.stability)
    largest = bounds.stability_root().theorem.to_torch(proof.training, proof.stability)
    error = bounds.stability_score_error(irreducible=1.0).theorem.to_torch(
        proof.fit, proof.irreducible, proof.stability
    )
    slack, stability = 1 + 1e-9, square.sqrt()
    assert bool((population - training <= gap(training, stability) * slack + 1e-9).all())
    assert bool((population.sqrt() <= largest(training, stability) * slack).all())
    # The sample's own irreducible loss has no closed form: at most that of the law, in the mean.
    fit = (training - irreducible).clamp(min=0)
    assert bool(
        (population - irreducible <= error(fit, irreducible, stability) * slack + 1e-9).all()
    )
    ratio = (population - training) / gap(training, stability)
    assert (
        float(ratio.max()) > 0.4
        and float((population.sqrt() / largest(training, stability)).max()) > 0.99
    )


def solved(seed, n=20, d=2, variance=0.6, horizon=2.0, t_min=0.05):
    """A mean learned to the end on a sample, and twice more with a datum replaced."""
    source = data.Gaussian(torch.zeros(d), variance * torch.eye(d))
    sample, fresh = (source.sample(size, generator=stream(seed, str(size))) for size in (n, 3))

    def learned(points):
        return LinearScore(points.mean(0), source.covariance, PROCESS, horizon, t_min)

    others = [learned(other) for other in replaced(sample, fresh, (0, 1, 2))]
    return source, sample, fresh, learned(sample), others


def test_each_form_measures_its_letters_on_the_solved_case():
    runs = []
    for seed in range(60):
        source, sample, fresh, model, others = solved(seed)
        options = {"draws": 16, "generator": stream(seed, "noise")}
        test = source.sample(400, generator=stream(seed, "test"))
        runs.append(
            {
                "square": score_stability(model, others, fresh, **options),
                "seen": score_matching.denoising(model, sample, **options),
                "unseen": score_matching.denoising(model, test, **options),
            }
        )
    square, seen, unseen = (across([run[key] for run in runs]) for key in runs[0])
    stability = root(square)
    irreducible = source.information(PROCESS, 0.05).value - source.information(PROCESS, 2.0).value
    options = {"generator": seeded(1), "stability": stability}
    gap = bounds.stability_gap(draws=64).evaluate(model, sample, **options)
    largest = bounds.stability_root(draws=64).evaluate(model, sample, **options)
    error = bounds.stability_score_error(irreducible=irreducible, draws=64).evaluate(
        model, sample, **options
    )
    assert unseen.value - seen.value <= gap.total.upper()
    assert math.sqrt(unseen.value) <= largest.total.upper()
    assert unseen.value - irreducible <= error.total.upper()
    for breakdown in (gap, largest, error):
        assert breakdown.total.side == "upper" and breakdown.total.stderr > 0
        assert breakdown.trivial is not None
    by_hand = 2 * stability.value * math.sqrt(gap["training loss"].value) + square.value
    assert gap.total.value == pytest.approx(by_hand)
    assert largest.total.value**2 == pytest.approx(
        largest["training loss"].value + by_hand, rel=0.02
    )
    assert error["loss of the exact score"].value == pytest.approx(irreducible)
    # The score -x has the prior's divergence more to lose than the exact one.
    exact_error = score_matching.explicit(model, sample, draws=64, generator=seeded(2))
    assert abs(error["distance to the sample's own score"].value - exact_error.value) <= 4 * (
        exact_error.stderr + error["distance to the sample's own score"].stderr
    )


def test_a_far_mean_is_worth_learning_and_a_restless_score_says_nothing():
    source = data.Gaussian(torch.full((2,), 4.0), torch.eye(2))
    sample = source.sample(100, generator=seeded(3))
    model = LinearScore(sample.mean(0), source.covariance, PROCESS, 2.0, 0.05)
    verdicts = {}
    for stability in (0.02, 50.0):
        for make in (bounds.stability_gap, bounds.stability_root):
            breakdown = make(draws=16).evaluate(
                model, sample, generator=seeded(4), stability=stability
            )
            verdicts[make.__name__, stability] = breakdown.verdict
        breakdown = bounds.stability_score_error(irreducible=4.0, draws=16).evaluate(
            model, sample, generator=seeded(4), stability=stability
        )
        verdicts["error", stability] = breakdown.verdict
    assert {v for (_, s), v in verdicts.items() if s < 1} == {"informative"}
    assert {v for (_, s), v in verdicts.items() if s > 1} == {"vacuous"}


def test_trained_networks_keep_the_inequality():
    """Root losses differ by the stability at most: a mixture in the plane, Adam, few data."""
    horizon, t_min, n, seeds = 2.0, 0.05, 16, range(5)
    source = data.gaussian_mixture(torch.tensor([[1.5, 0.0], [-1.5, 0.0]]), variance=0.1)

    def build(member):
        generator = stream(member["seed"], "initialisation")
        net = MLP(2 + N_FEATURES, 2, width=16, depth=1, generator=generator)
        return Diffusion(net, PROCESS, horizon=horizon, t_min=t_min)

    def draw(size, seed, name):
        return source.sample(size, generator=stream(seed, name), dtype=torch.float32)

    samples, fresh = {}, {}
    for seed in seeds:
        sample, fresh[seed] = draw(n, seed, "sample"), draw(2, seed, "fresh")
        samples[seed] = [sample, *replaced(sample, fresh[seed], (0, 1))]
    members = [{"seed": seed, "lr": 0.01} for seed in seeds for _ in range(3)]
    objective = denoising_objective(PROCESS, batch=16, horizon=horizon, t_min=t_min)
    everything = [sample for seed in seeds for sample in samples[seed]]
    run = train(objective, build, everything, members, steps=150)
    squares, seen, unseen = [], [], []
    for k, seed in enumerate(seeds):
        model, *others = (run.model(3 * k + j) for j in range(3))
        options = {"draws": 32, "generator": stream(seed, "noise")}
        squares.append(score_stability(model, others, fresh[seed], **options))
        seen.append(score_matching.denoising(model, samples[seed][0], **options))
        unseen.append(score_matching.denoising(model, draw(300, seed, "test"), **options))
    square, training, population = across(squares), across(seen), across(unseen)
    largest = math.sqrt(training.value) + root(square).value
    slack = (population.stderr + training.stderr) / math.sqrt(training.value)
    assert math.sqrt(population.value) <= largest + 4 * (slack + root(square).stderr)
    assert square.value > 0


def test_what_would_break_a_bound_is_refused():
    *_, sample, _, model, _ = solved(0)
    low = Estimate(0.1, 0.01, 5, "largest over few data", "lower")
    with pytest.raises(WrongSide, match="stability"):
        bounds.stability_gap(draws=4).evaluate(model, sample, generator=seeded(), stability=low)
    with pytest.raises(ValueError, match="give a value for stability"):
        bounds.stability_gap(draws=4).evaluate(model, sample, generator=seeded())
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="irreducible"):
            bounds.stability_score_error(irreducible=wrong)


def test_bounds_on_a_device(device):
    sample = torch.randn(16, 2, device=device)
    model = LinearScore(sample.mean(0), torch.eye(2), PROCESS, 2.0, 0.05)
    generator = torch.Generator(device).manual_seed(0)
    square = mean(torch.tensor([0.1, 0.2]), method="", side="upper")
    for bound in (
        bounds.stability_gap(draws=4),
        bounds.stability_root(draws=4),
        bounds.stability_score_error(irreducible=1.0, draws=4),
    ):
        breakdown = bound.evaluate(model, sample, generator=generator, stability=root(square))
        assert breakdown.total.value > 0
