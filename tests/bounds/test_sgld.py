"""The forms of the Langevin bound on cases whose gap, information and divergences are known."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from genbound.bound import Term
from genbound.bounds import sgld_forms, sgld_gap
from genbound.bounds.sgld import _TERMS, _THEOREMS
from genbound.derivations import pac_bayes, sgld, sgld_forgetting, sgld_rest, sgld_solved
from genbound.derivations.change_of_measure import scale
from genbound.derivations.linear_score import a, u
from genbound.derivations.parameter_information import information, rate, steps, weights
from genbound.derivations.sgld_solved import inverse_temperature
from genbound.derivations.trade_off import n
from genbound.estimate import exact
from genbound.estimators.gradients import gradient_norms
from genbound.estimators.langevin import LangevinRun, from_norms, pooled
from genbound.protocols import Objective
from genbound.training import stream, train
from genbound.training.sgld import sgld as langevin

START, END, RATE, DECAY = 0.05, 3.0, 0.05, 0.1
BETA, K, N, D, VARIANCE = 200.0, 40, 20, 5, 0.6
SAMPLE = torch.zeros(N, D)


def curvature():
    times = (math.exp(-2 * START), math.exp(-2 * END), END - START, VARIANCE)
    letters = (u, a, sgld_solved.span, sgld_solved.variance)
    return float(sgld_solved.curvature.to_torch(*letters)(*times))


KAPPA = curvature()
POINT = (KAPPA, 1 - 2 * KAPPA * RATE, BETA, K, N, D, VARIANCE)
COUNTS = torch.arange(K, dtype=torch.float64)


def at_end(name):
    return float(getattr(sgld_solved, name).to_torch(*sgld_solved.letters)(*POINT))


def solved_run(**changes):
    """The solved case from a fixed start, as a run: every number known."""
    letters = [sgld_solved.step if x == steps else x for x in sgld_solved.letters]
    at = (*POINT[:3], COUNTS, *POINT[4:])
    spread = sgld_solved.noise_spread.expr.subs(steps, sgld_solved.step)
    tau2 = sgld_solved.Derivation.of(spread, spread).to_torch(*letters)(*at)
    squared = 4 * KAPPA**2 * D * (POINT[1] ** (2 * COUNTS) * VARIANCE / N + tau2)
    run = LangevinRun(
        rates=torch.full((K,), RATE, dtype=torch.float64),
        measured=torch.arange(K),
        squared=squared[:, None],
        centred=sgld_solved.step_variance.to_torch(*letters)(*at)[:, None],
        single=(squared + 4 * KAPPA**2 * D * VARIANCE * (1 - 1 / N))[:, None],
        batch=N,
        weights=D,
        inverse_temperature=BETA,
        loss=exact(6.4, method="known"),
        start_loss=exact(6.5, method="known"),
        untrained_loss=exact(12.0, method="known"),
    )
    return replace(run, **changes)


def totals(run, **options):
    return sgld_forms(run, SAMPLE, **options)["bound"].map(lambda total: total.value)


def test_the_golden_numbers_of_the_solved_case():
    known = at_end("information")
    frame = sgld_forms(solved_run(), SAMPLE, R=1.0, information=known)
    assert KAPPA == pytest.approx(0.9597388, abs=1e-7)
    assert at_end("gap") == pytest.approx(0.2828340, abs=1e-7)
    nats = {
        "exact": 6.123945,
        "trajectory": 11.909699,
        "variance": 9.001268,
        "variance_linear": 9.780665,
    }
    for form, golden in nats.items():
        assert frame.nats[form].value == pytest.approx(golden, abs=1e-6), form
    factors = {"exact": 0.782556, "trajectory": 1.091316, "leave_one_out": 2.304303}
    for form, golden in factors.items():
        assert frame.bound[form].value == pytest.approx(golden, abs=1e-6), form
    # A fixed start is infinitely far from where the chain without gradients rests.
    assert math.isinf(frame.bound["forgetting"].value)
    assert math.isinf(frame.bound["time_uniform"].value)
    assert set(frame.verdict[["forgetting", "time_uniform"]]) == {"vacuous"}
    assert set(frame.verdict[["exact", "trajectory", "leave_one_out"]]) == {"informative"}
    assert frame.factor["exact"] == pytest.approx(0.782556 / 5.6, abs=1e-5)


def rest_case(weight, lr, decay, beta, count, size, dims, variance):
    """Letters of every form for the learner of a mean from rest, for all steps at once."""
    words = [torch.as_tensor(x, dtype=torch.float64)[..., None] for x in (weight, lr, decay, beta)]
    ks = torch.arange(count + 1, dtype=torch.float64)
    share, spread = (
        law.to_torch(*sgld_rest.letters)(*words, ks)
        for law in (sgld_rest.share_at, sgld_rest.spread_at)
    )
    others = [torch.as_tensor(x, dtype=torch.float64)[..., None] for x in (size, dims, variance)]
    found = {
        name: getattr(sgld_rest, name).to_torch(*sgld_rest.moments)(
            share, spread, words[0], *others
        )
        for name in (
            "loss",
            "gap",
            "gradient2",
            "single2",
            "shift2",
            "step_variance",
            "information",
        )
    }
    return found, share, spread


def test_the_golden_numbers_with_weight_decay():
    found, _, _ = rest_case(KAPPA, RATE, DECAY, BETA, K, N, D, VARIANCE)
    run = solved_run(
        squared=found["gradient2"][:K, None], weight_decay=DECAY, start_divergence=0.0
    )
    frame = sgld_forms(run, SAMPLE, R=1.0)
    assert frame.nats["forgetting"].value == pytest.approx(41.159950, abs=1e-6)
    assert frame.nats["forgetting"].value > 6.325459


class MeanScore(nn.Module):
    """Its denoising loss is kappa |theta - z|^2 and a constant."""

    def __init__(self, start):
        super().__init__()
        self.theta = nn.Parameter(start.clone())

    def forward(self, data):
        return KAPPA * (data - self.theta).square().sum(-1)


WHOLE = Objective(lambda data, _: data, lambda module, data: module(data).mean())


def test_training_gives_the_solved_case(device):
    seeds = 600 if device.type == "cpu" else 60
    data = [
        math.sqrt(VARIANCE)
        * torch.randn(N, D, generator=stream(seed, "sample"), dtype=torch.float64).to(device)
        for seed in range(seeds)
    ]
    run = train(
        WHOLE,
        lambda _: MeanScore(torch.zeros(D, dtype=torch.float64)),
        data,
        [{"seed": seed, "lr": RATE} for seed in range(seeds)],
        steps=K,
        optimiser=langevin(inverse_temperature=BETA),
        capture_every=1,
    )
    theta, centre = run.params["theta"].cpu(), torch.stack(data).mean(1).cpu()
    # The population's mean is 0 and known: what is left of the gap is linear in the sample mean.
    gap = 2 * KAPPA * (theta * centre).sum(1)
    error = float(gap.std()) / math.sqrt(seeds)
    assert abs(float(gap.mean()) - at_end("gap")) <= 4 * error < at_end("gap")

    start = torch.zeros(1, D, dtype=torch.float64, device=device)
    runs = []
    for i in range(40):
        path = torch.cat([start, run.trajectory[:-1, i]])
        norms = gradient_norms(
            lambda net, z: net(z), MeanScore(start[0]), path, data[i], whole=True
        )
        runs.append(solved_run(**from_norms(norms, batch=N)))
    measured = pooled(runs)
    of_solved = solved_run()
    for name in ("trajectory", "of_data"):
        found, truth = getattr(measured, name)(), getattr(of_solved, name)().value
        assert abs(found.value - truth) <= 4 * found.stderr < truth, name


def quadratics(gen, count, axes):
    draws = torch.randn(4, count, axes, generator=gen, dtype=torch.float64).mul(1.2).exp()
    curve, start2, variance, _ = draws
    beta, size = torch.randn(2, count, 1, generator=gen, dtype=torch.float64).mul(1.5).exp()
    lr = (
        2.4
        * torch.rand(count, 1, generator=gen, dtype=torch.float64)
        / curve.amax(1, keepdim=True)
    )
    decay = torch.rand(count, 1, generator=gen, dtype=torch.float64).clamp(1e-3, 0.999) / lr
    return curve, lr, decay, beta, variance / (1 + size), start2


@pytest.mark.parametrize("decays", [False, True])
def test_trajectory_and_forgetting_on_quadratics_some_unstable(decays):
    """Divergences of 6000 chains in three axes, each exact at every step; data fixed."""
    gen = torch.Generator().manual_seed(5)
    curve, lr, decay, beta, offset2, start2 = quadratics(gen, 6000, 3)
    decay = decay if decays else torch.zeros_like(decay)
    rest = 2 / (beta * decay * (2 - lr * decay)) if decays else start2
    optimum = offset2.sqrt()
    keep, quiet = 1 - lr * (curve + decay), 1 - lr * decay
    mean, spread, reference = torch.zeros_like(curve), rest.clone(), rest.clone()
    total, discounted = torch.zeros(2, 6000, dtype=torch.float64)
    way = sgld.trajectory.to_torch(inverse_temperature, sgld.gradients)
    letters = (sgld_forgetting.decay, rate, inverse_temperature, steps)
    names = (sgld_forgetting.start_divergence, sgld_forgetting.forgotten)
    forgetting = sgld_forgetting.forgetting.to_torch(*letters, *names)
    worst = torch.zeros(2, dtype=torch.float64)
    unstable = (lr * (curve + decay) > 2).any(1)
    assert int(unstable.sum()) > 500
    for count in range(1, 11):
        squared = (curve**2 * ((mean - optimum) ** 2 + spread)).sum(1)
        total = total + lr[:, 0] * squared
        discounted = quiet[:, 0] * discounted + lr[:, 0] * squared
        mean = keep * mean + lr * curve * optimum
        spread = keep**2 * spread + 2 * lr / beta
        reference = quiet**2 * reference + 2 * lr / beta
        ratio = spread / reference
        exactly = ((ratio + mean**2 / reference - 1 - ratio.log()) / 2).sum(1)
        bounds = [way(beta[:, 0], total)]
        if decays:
            of_decay = (decay[:, 0], lr[:, 0], beta[:, 0], float(count))
            bounds.append(forgetting(*of_decay, 0.0, discounted))
        for k, bound in enumerate(bounds):
            assert bool((exactly <= bound * (1 + 1e-9)).all())
            worst[k] = max(worst[k], float((exactly / bound).max()))
    assert 0.9 < float(worst.max()) <= 1


def cases(gen, count):
    weight, beta, variance = torch.randn(3, count, generator=gen, dtype=torch.float64).exp()
    # Of a step's contraction, gradient and decay each have a random part; all of it below 2.
    parts = torch.rand(2, count, generator=gen, dtype=torch.float64).clamp(0.01, 0.95)
    lr = parts[0] / (2 * weight)
    dims, size = (torch.randint(low, 60, (count,), generator=gen).double() for low in (1, 2))
    return weight, lr, parts[1] / lr, (3 * beta).pow(1.5), size, dims, variance


def letters_of(case, count):
    """All letters after `count` steps, for every instance, and the gap and its two scales."""
    weight, lr, decay, beta, size, dims, variance = case
    found, share, spread = rest_case(weight, lr, decay, beta, count, *case[4:])
    ages = torch.arange(count - 1, -1, -1, dtype=torch.float64)
    squared = lr[:, None] * found["gradient2"][:, :count]
    capacity = sgld.step_capacity.to_torch(sgld.step_variance, weights, rate, inverse_temperature)
    of_steps = [x[:, None] for x in (dims, lr, beta)]
    variances = found["step_variance"][:, :count]
    known = {
        inverse_temperature: beta,
        n: size,
        sgld.batch: size,
        rate: lr,
        steps: torch.full_like(lr, count),
        sgld_forgetting.decay: decay,
        sgld_forgetting.start_divergence: torch.zeros_like(lr),
        sgld.gradients: squared.sum(1),
        sgld_forgetting.forgotten: (squared * (1 - lr * decay)[:, None] ** ages).sum(1),
        sgld.variances: (lr[:, None] * variances).sum(1),
        sgld.capacity: capacity(variances, *of_steps).sum(1),
        sgld.datum_gradients: (lr[:, None] * found["single2"][:, :count]).sum(1),
        sgld_forgetting.start_loss: found["loss"][:, 0],
        sgld_forgetting.losses: found["loss"][:, -1],
        information: found["information"][:, -1],
        pac_bayes.failure: torch.full_like(lr, 0.05),
    }
    # The loss of independent weights and datum: a positive quadratic of normal variables.
    seen = share[:, -1] ** 2 * variance / size + spread[:, -1]
    uniform = weight * (variance + seen) * (2 * dims).sqrt()
    moving = 2 * weight * (variance * found["shift2"][:, -1]).sqrt()
    return known, found["gap"][:, -1], uniform, moving


@pytest.mark.parametrize("form", _THEOREMS)
def test_two_thousand_trainings_from_rest(form):
    gen = torch.Generator().manual_seed(6)
    for count in (1, 3, 40):
        case = cases(gen, 2000)
        if form == "time_uniform":
            # Of the flow alone: steps so short that they follow it.
            case = (case[0], case[1] / 50, case[2], *case[3:])
        known, gap, uniform, moving = letters_of(case, count)
        best = 0.0
        for theorem, constant in zip(_THEOREMS[form], (uniform, moving, moving), strict=True):
            if theorem is not None:
                letters = sorted(theorem.expr.free_symbols - {scale}, key=str)
                values = [known[letter] for letter in letters]
                total = theorem.to_torch(scale, *letters)(constant, *values)
                assert bool((gap <= total).all())
                best = max(best, float((gap / total).max()))
        assert best > 0.03


def test_the_promised_probability():
    """The mean over trainings of the gap, given the sample, against the bound of that sample."""
    gen = torch.Generator().manual_seed(7)
    samples, beta, size = 20_000, 30.0, 4
    theorem = pac_bayes.trajectory_gap.to_torch(
        scale, inverse_temperature, sgld.gradients, pac_bayes.failure, n
    )
    centre = torch.randn(samples, D, generator=gen, dtype=torch.float64) / math.sqrt(size)
    centre2 = centre.square().sum(1)
    share, spread, total = 0.0, 0.0, torch.zeros(samples, dtype=torch.float64)
    for _ in range(15):
        total = total + RATE * 4 * KAPPA**2 * ((1 - share) ** 2 * centre2 + D * spread)
        keep = 1 - 2 * KAPPA * RATE
        share, spread = keep * share + 1 - keep, keep**2 * spread + 2 * RATE / beta
    gap = 2 * KAPPA * share * centre2
    moving = 2 * KAPPA * (share**2 * centre2 + D * spread).sqrt()
    for failure in (0.5, 0.05, 0.001):
        missed = (gap > theorem(moving, beta, total, failure, size)).double().mean()
        assert float(missed) <= failure


def test_with_a_moving_scale_the_gap_is_that_of_a_difference():
    """After one step: the reference's own gap, 0 in the mean, is more than the bound allows."""
    gen = torch.Generator().manual_seed(8)
    samples, beta, size, failure = 20_000, 30.0, 4, 0.05
    data = torch.randn(samples, size, D, generator=gen, dtype=torch.float64)
    centre2 = data.mean(1).square().sum(-1)
    share, spread = 2 * KAPPA * RATE, 2 * RATE / beta
    theorem = pac_bayes.trajectory_gap.to_torch(
        scale, inverse_temperature, sgld.gradients, pac_bayes.failure, n
    )
    moving = 2 * KAPPA * (share**2 * centre2 + D * spread).sqrt()
    bound = theorem(moving, beta, RATE * 4 * KAPPA**2 * centre2, failure, size)
    difference = 2 * KAPPA * share * centre2
    reference = KAPPA * (D - data.square().sum(-1).mean(1))
    assert abs(float(reference.mean())) <= 4 * float(reference.std()) / math.sqrt(samples)
    assert float((difference > bound).double().mean()) <= failure
    assert float((difference + reference > bound).double().mean()) > 2 * failure


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.01, 0.9))
def test_units_scale_and_confidence(factor, constant, failure):
    """Another unit of the loss changes the bound by that factor, through the scale alone."""
    run = solved_run(weight_decay=DECAY, start_divergence=0.4)
    other = replace(
        run,
        rates=run.rates / factor,
        inverse_temperature=run.inverse_temperature / factor,
        weight_decay=run.weight_decay * factor,
        **{name: getattr(run, name) * factor**2 for name in ("squared", "centred", "single")},
        **{
            name: exact(getattr(run, name).value * factor, method="known")
            for name in ("loss", "start_loss", "untrained_loss")
        },
    )
    options = {"R": constant, "information": 6.0}
    mine, theirs = totals(run, **options), totals(other, **options | {"R": constant * factor})
    assert theirs.tolist() == pytest.approx((factor * mine).tolist())
    assert mine["exact"] <= mine["variance"] <= mine["variance_linear"] <= mine["trajectory"]
    sure = totals(run, R=constant, failure_probability=failure)
    surer = totals(run, R=constant, failure_probability=failure / 2)
    assert bool((mine[sure.index] < sure).all() and (sure < surer).all())


def test_a_breakdown_says_what_is_assumed():
    run = solved_run(weight_decay=DECAY, start_divergence=0.0)
    bound = sgld_gap("forgetting", scale="moving", failure_probability=0.1)
    said = bound.evaluate(run, SAMPLE, generator=torch.Generator(), R=exact(0.5, method="assumed"))
    assert said.bound.holds == "with high probability"
    assert said["R"].method == "assumed"
    assert said.trivial.value == pytest.approx(5.6)
    assert "moving" not in str(said) and "squared gradients" in said._repr_html_()
    flow = sgld_gap("time_uniform")
    assert any("no theorem" in assumption.text for assumption in flow.assumptions)
    risen = replace(run, loss=exact(7.0, method="known"))
    risen = flow.evaluate(risen, SAMPLE, generator=torch.Generator(), R=1.0)
    assert risen.verdict == "vacuous" and math.isinf(risen.total.value)
    assert all(isinstance(term, Term) for term in _TERMS)


def test_bad_input():
    with pytest.raises(ValueError, match="form: got 'all'"):
        sgld_gap("all")
    with pytest.raises(ValueError, match="scale: got 'none'"):
        sgld_gap(scale="none")
    with pytest.raises(ValueError, match="failure_probability: got 1.5"):
        sgld_gap(failure_probability=1.5)
    for options in ({"scale": "moving"}, {"failure_probability": 0.1}):
        with pytest.raises(ValueError, match="form: 'leave_one_out' has no version"):
            sgld_gap("leave_one_out", **options)
    with pytest.raises(ValueError, match="rates: from"):
        falling = solved_run(rates=torch.linspace(0.05, 0.01, K), weight_decay=0.1)
        sgld_gap("forgetting").evaluate(falling, SAMPLE, generator=torch.Generator(), R=1.0)
    assert "forgetting" not in sgld_forms(falling, SAMPLE, R=1.0).index
    violent = solved_run(weight_decay=25.0)
    assert not violent.steady and "forgetting" not in sgld_forms(violent, SAMPLE, R=1.0).index
    with pytest.raises(TypeError, match="is no LangevinRun"):
        sgld_gap().evaluate(object(), SAMPLE, generator=torch.Generator(), R=1.0)
    without = solved_run(centred=None, single=None)
    assert "variance" not in sgld_forms(without, SAMPLE, R=1.0).index
    with pytest.raises(ValueError, match="centred: not measured"):
        sgld_gap("variance").evaluate(without, SAMPLE, generator=torch.Generator(), R=1.0)
