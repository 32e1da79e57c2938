import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.bound import WrongSide
from genbound.bounds import diffusion_kl, diffusion_kl_released, diffusion_kl_tight, diffusion_nll
from genbound.derivations import diffusion as proof
from genbound.derivations.change_of_measure import information, scale
from genbound.estimate import Estimate, mean
from genbound.estimators import information as encoder
from genbound.estimators import score_matching, trajectory
from genbound.models.solvable import MeanLearner
from genbound.sde import vp

PROCESS = vp()


@dataclass(frozen=True)
class Problem:
    """N(mu, I) and n data, a learner of the mean, everything known."""

    mu: torch.Tensor
    n: int
    horizon: float
    t_min: float

    @property
    def d(self):
        return len(self.mu)

    @property
    def ends(self):
        """alpha^2 at t_min and at the horizon."""
        return [float(PROCESS.moments(t)[0]) ** 2 for t in (self.t_min, self.horizon)]

    @property
    def norm2(self):
        return float(self.mu.square().sum())

    def data(self, generator, n=None):
        noise = torch.randn(n or self.n, self.d, generator=generator, dtype=torch.float64)
        return self.mu + noise

    def learner(self, data):
        return MeanLearner(data.mean(0), PROCESS, self.horizon, self.t_min)

    def true_kl(self, data):
        early, late = self.ends
        end = (1 - late / early) * data.mean(0)
        return early * float((self.mu - end).square().sum()) / 2

    def true_nll(self, data):
        return self.true_kl(data) + self.d / 2 * math.log(2 * math.pi * math.e)

    @property
    def mean_kl(self):
        early, late = self.ends
        keep = late / early
        return early * (keep**2 * self.norm2 + (1 - keep) ** 2 * self.d / self.n) / 2

    @property
    def constants(self):
        """The exact left-sub-Gaussian constant and the exact information."""
        early, late = self.ends
        width = (early - late) * (1 + 1 / self.n)
        return {
            "R": width * math.sqrt(self.d / 2),
            "information": self.d / 2 * math.log(self.n / (self.n - 1)),
        }

    @property
    def training_loss(self):
        """Mean over samples of the denoising loss on the training data."""
        early, late = self.ends
        lost = math.log((1 - late) / (1 - early)) - (early - late)
        return self.d / 2 * ((early - late) * (1 - 1 / self.n) + lost)

    @property
    def gap(self):
        early, late = self.ends
        return (early - late) * self.d / self.n

    @property
    def rate(self):
        late = self.ends[1]
        return (late * self.norm2 - self.d * math.log(1 - late)) / 2

    @property
    def mean_path_nll(self):
        """Mean over samples of the right side of theorem E with the exact gap."""
        entropy = self.d / 2 * math.log(2 * math.pi * math.e * (1 - self.ends[0]))
        return self.training_loss + self.gap + self.rate + entropy


def problem(mu, n, horizon, t_min):
    return Problem(torch.tensor(mu, dtype=torch.float64), n, horizon, t_min)


problems = st.builds(
    problem,
    st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    st.integers(2, 60),
    st.floats(0.2, 1.2),
    st.floats(0.005, 0.1),
)

tight = proof.tight.to_torch(proof.esm_hat, proof.info_end_hat, proof.rate, scale, information)
nll = proof.nll_information.to_torch(
    proof.dsm_hat, proof.rate, proof.d, proof.sigma2_min, scale, information
)


@given(problems)
@settings(max_examples=300)
def test_no_theorem_lies_below_the_truth(case):
    constants = case.constants.values()
    entropy = case.d / 2 * math.log(2 * math.pi * math.e)
    bound = nll(case.training_loss, case.rate, case.d, 1 - case.ends[0], *constants)
    assert float(bound) >= case.mean_kl + entropy - 1e-9
    assert float(bound) >= case.mean_path_nll - 1e-9
    # L_ESM-hat = L_DSM-hat - (I_eps-hat - I_T-hat), and I_eps-hat <= min(log n, I_eps)
    most = min(math.log(case.n), -case.d / 2 * math.log(1 - case.ends[0]))
    least_explicit = case.training_loss - most
    assert float(tight(least_explicit, 0.0, case.rate, *constants)) >= case.mean_kl - 1e-9


CASES = [
    problem(mu, n, horizon, t_min)
    for (mu, n), (horizon, t_min) in zip(
        [
            ([1.0, 1.0], 10),
            ([0.5], 2),
            ([2.0, -1.0, 0.5], 5),
            ([0.0, 0.0], 20),
            ([-1.5], 30),
            ([0.3, 0.3, 0.3, 0.3], 8),
            ([1.0, -2.0], 3),
            ([0.1], 15),
            ([1.0, 0.0, -1.0], 12),
            ([2.0, 2.0], 40),
        ],
        [
            (0.6, 0.05),
            (1.0, 0.02),
            (0.3, 0.05),
            (1.0, 0.1),
            (0.2, 0.01),
            (0.5, 0.03),
            (0.8, 0.05),
            (0.4, 0.02),
            (1.2, 0.08),
            (0.7, 0.05),
        ],
        strict=True,
    )
]
REPETITIONS = 16


def repeat(case, measure, repetitions=REPETITIONS):
    """Mean over samples of what `measure(data, generator)` says, with its error."""
    generator = torch.Generator().manual_seed(len(CASES) + case.n)
    values = [measure(case.data(generator), generator) for _ in range(repetitions)]
    return mean(torch.tensor(values, dtype=torch.float64), method="over samples")


@pytest.mark.parametrize("case", CASES)
def test_tight_bound_holds_with_its_estimators(case):
    bound = diffusion_kl_tight(draws=16)

    def excess(data, generator):
        breakdown = bound.evaluate(case.learner(data), data, generator=generator, **case.constants)
        return breakdown.total.value - case.true_kl(data)

    margin = repeat(case, excess)
    assert margin.value >= -4 * margin.stderr


@pytest.mark.parametrize("case", CASES)
def test_nll_bound_with_its_estimators(case):
    bound = diffusion_nll(draws=16)
    root = case.constants["R"] * math.sqrt(2 * case.constants["information"])

    def numbers(data, generator):
        breakdown = bound.evaluate(case.learner(data), data, generator=generator, **case.constants)
        return breakdown.total.value

    total = repeat(case, numbers)
    expected = case.mean_path_nll - case.gap + root
    assert abs(total.value - expected) <= 4 * total.stderr
    truth = case.mean_kl + case.d / 2 * math.log(2 * math.pi * math.e)
    assert total.value >= truth - 4 * total.stderr


def test_without_its_gap_term_the_bound_fails():
    """A negative control: the check above can see a bound that is none."""
    case = problem([0.2, 0.0], 3, 1.0, 0.1)
    bound = diffusion_nll(draws=32)

    def excess(data, generator):
        model = case.learner(data)
        breakdown = bound.evaluate(model, data, generator=generator, R=0.0, information=0.0)
        return breakdown.total.value - case.true_nll(data)

    margin = repeat(case, excess, repetitions=60)
    assert margin.value < -4 * margin.stderr


@pytest.mark.parametrize("case", CASES[:5])
@pytest.mark.parametrize("make", [diffusion_kl_tight, diffusion_nll])
def test_held_out_variants(case, make):
    def excess(data, generator):
        bound = make(draws=16, held_out=case.data(generator, n=400))
        breakdown = bound.evaluate(case.learner(data), data, generator=generator)
        truth = case.true_kl(data) if make is diffusion_kl_tight else case.true_nll(data)
        return breakdown.total.value - truth

    margin = repeat(case, excess)
    assert margin.value >= -4 * margin.stderr
    if make is diffusion_nll:
        entropy = case.d / 2 * math.log(2 * math.pi * math.e)
        expected = case.mean_path_nll - case.mean_kl - entropy
        assert abs(margin.value - expected) <= 4 * margin.stderr


def test_held_out_gap_is_the_gap():
    case = problem([1.0, 1.0], 4, 0.6, 0.05)

    def measure(data, generator):
        bound = diffusion_nll(draws=8, held_out=case.data(generator, n=500))
        breakdown = bound.evaluate(case.learner(data), data, generator=generator)
        return breakdown["gap on held-out data"].value

    measured = repeat(case, measure, repetitions=60)
    assert abs(measured.value - case.gap) <= 4 * measured.stderr


def noised_roots(case, data, *, draws, generator):
    """Mean root of KL(N(sqrt(r) x, (1 - r) I) || N(0, I)) over noised data x, r = a / u."""
    early, late = case.ends
    kept, total = late / early, 0.0
    for _ in range(draws):
        noise = torch.randn(data.shape, generator=generator, dtype=torch.float64)
        points = math.sqrt(early) * data + math.sqrt(1 - early) * noise
        squares = kept * points.square().sum(-1)
        total = total + ((squares - case.d * (kept + math.log(1 - kept))) / 2).sqrt()
    return mean(total / draws, method="by hand")


@pytest.mark.parametrize("case", CASES[:4])
def test_paper_form_is_its_formula(case):
    data = case.data(torch.Generator().manual_seed(5))
    model = case.learner(data)
    breakdown = diffusion_kl(draws=8, paths=64, step=0.2).evaluate(
        model, data, generator=torch.Generator().manual_seed(7), R_encoder=1.3, R_generator=0.7
    )
    generator = torch.Generator().manual_seed(7)
    explicit = score_matching.explicit(model, data, draws=8, generator=generator)
    kept = encoder.encoder_information(PROCESS, data, case.horizon, draws=8, generator=generator)
    roots = noised_roots(case, data, draws=8, generator=generator)
    energy = trajectory.path_energy(
        model,
        reference="zero",
        d=case.d,
        paths=64,
        step=0.2,
        generator=generator,
        dtype=data.dtype,
    )
    total = (
        explicit.value
        - kept.value
        + math.sqrt(2) * 1.3 * roots.value
        + math.sqrt(2) * 0.7 * math.sqrt(energy.value / case.n)
    )
    assert breakdown.total.value == pytest.approx(total, rel=1e-12)
    assert breakdown.table().contribution.sum() == pytest.approx(total, rel=1e-12)
    # data share their influence; the paths are independent of them
    per_datum = explicit.influence - kept.influence + math.sqrt(2) * 1.3 * roots.influence
    slope = 0.7 / math.sqrt(2 * case.n * energy.value)
    variance = float(per_datum.var()) / case.n + (slope * energy.stderr) ** 2
    assert breakdown.total.stderr == pytest.approx(math.sqrt(variance))


def test_constants_are_asked_for(generator):
    case = CASES[0]
    data = case.data(generator)
    model = case.learner(data)
    for bound, names in (
        (diffusion_kl(), ("R_encoder", "R_generator")),
        (diffusion_kl_tight(), ("R", "information")),
        (diffusion_nll(), ("R", "information")),
    ):
        with pytest.raises(ValueError) as refusal:
            bound.evaluate(model, data, generator=generator)
        assert all(f"{name} (" in str(refusal.value) for name in names)
    with pytest.raises(TypeError, match="unknown"):
        diffusion_nll(held_out=data).evaluate(model, data, generator=generator, R=1.0)
    with pytest.raises(TypeError, match="lacks horizon, process, score, t_min"):
        diffusion_nll().evaluate(object(), data, generator=generator, **case.constants)


def test_an_infinite_information_is_vacuous(generator):
    case = CASES[0]
    data = case.data(generator)
    constants = {"R": 1.0, "information": math.inf}
    for make in (diffusion_kl_tight, diffusion_nll):
        breakdown = make(draws=4).evaluate(
            case.learner(data), data, generator=generator, **constants
        )
        assert breakdown.total.value == math.inf
        assert breakdown.verdict == "vacuous"


def test_an_upper_estimate_of_the_information_is_welcome_and_a_lower_one_refused(generator):
    case = CASES[0]
    data = case.data(generator)
    for side in ("upper", "lower"):
        given_information = Estimate(0.1, 0.01, 20, "by hand", side)
        evaluate = diffusion_nll(draws=4).evaluate
        options = {"generator": generator, "R": 1.0, "information": given_information}
        if side == "upper":
            assert evaluate(case.learner(data), data, **options).total.side == "upper"
        else:
            with pytest.raises(WrongSide, match="measured from the side 'lower'"):
                evaluate(case.learner(data), data, **options)


def test_trivial_reference_is_the_prior(generator):
    case = problem([1.0, 1.0], 4000, 0.6, 0.05)
    data = case.data(generator)
    early = case.ends[0]
    bound = diffusion_nll(draws=4)
    breakdown = bound.evaluate(case.learner(data), data, generator=generator, **case.constants)
    truth = (early * case.norm2 + case.d + case.d * math.log(2 * math.pi)) / 2
    assert abs(breakdown.trivial.value - truth) <= 4 * breakdown.trivial.stderr
    assert breakdown.verdict == "informative"


def test_the_released_formula_ranks_and_bounds_nothing(generator):
    case = CASES[0]
    data = case.data(generator)
    bound = diffusion_kl_released(draws=8, steps=20)
    options = {"generator": generator, "R_encoder": 1.0, "R_generator": 1.0}
    breakdown = bound.evaluate(case.learner(data), data, **options)
    assert math.isfinite(breakdown.total.value)
    assert breakdown.total.side == "unknown"
    assert "ranking only" in str(breakdown)
    claimed = replace(bound, holds="in expectation")
    with pytest.raises(WrongSide, match="diffusion_kl_released"):
        claimed.evaluate(case.learner(data), data, **options)


@pytest.mark.parametrize("make", [diffusion_kl, diffusion_kl_tight, diffusion_nll])
def test_statements_and_pages(make, generator):
    case = CASES[0]
    data = case.data(generator)
    bound = make(draws=4)
    names = [constant.name for constant in bound.constants if constant.known is None]
    breakdown = bound.evaluate(
        case.learner(data), data, generator=generator, **dict.fromkeys(names, 0.5)
    )
    assert r"\le" in bound.latex()
    html = breakdown._repr_html_()
    assert bound.name in html
    assert all(term.title in html for term in bound.terms)
    assert breakdown.table().contribution.sum() == pytest.approx(breakdown.total.value)
