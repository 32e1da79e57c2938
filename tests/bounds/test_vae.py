"""The VAE bounds where everything is known: linear VAEs that learn their centre."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal

from genbound.bound import WrongSide
from genbound.bounds import vae_nll, vae_paper
from genbound.derivations import linear_vae as letters
from genbound.derivations import vae as proof
from genbound.derivations.change_of_measure import information, scale
from genbound.estimate import Estimate, mean
from genbound.estimators import latent
from genbound.models.linear_vae import LinearVAE

COMPILED = {
    name: getattr(letters, name).to_torch(*letters.letters)
    for name in ("distortion", "rate", "entropy", "model_kl")
}
BOUNDED = proof.nll_information.to_torch(proof.distortion_hat, proof.rate_hat, scale, information)
MEASURED = proof.nll_held_out.to_torch(proof.distortion_hat, proof.rate_hat, proof.nelbo_gap)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def solvable(instances: int = 4000, d: int = 5, seed: int = 1) -> dict[str, Tensor]:
    """Right and left sides for learned centres, wrong variances and any linear encoder."""
    w, slope, *logs = normal(5, instances, d, seed=seed)
    s2, q, C = (log.exp() for log in logs)
    # Half of the encoders are the posteriors, where the evidence bound is tight.
    best = (torch.arange(instances) % 2 == 0)[:, None]
    slope = torch.where(best, w / (w**2 + s2), slope)
    q = torch.where(best, s2 / (w**2 + s2), q)
    n = torch.randint(2, 60, (instances, 1), generator=seeded(seed)).double()
    zero = torch.zeros_like(w)

    def terms(spread: Tensor) -> dict[str, Tensor]:
        point = (w, zero, s2, slope, zero, q, zero, C * spread)
        return {name: letter(*point).sum(-1) for name, letter in COMPILED.items()}

    seen, fresh = terms(1 - 1 / n), terms(1 + 1 / n)
    ratio = C / (w**2 + s2) * (1 + 1 / n)
    return {
        "distortion": seen["distortion"],
        "rate": seen["rate"],
        "R": (ratio.square().sum(-1) / 2).sqrt(),
        "information": (d / 2 * torch.log(n / (n - 1))).squeeze(-1),
        "gap": fresh["distortion"] + fresh["rate"] - seen["distortion"] - seen["rate"],
        "nll": fresh["entropy"] + fresh["model_kl"],
        "training nll": seen["entropy"] + seen["model_kl"],
    }


def test_no_theorem_lies_below_the_truth() -> None:
    case = solvable()
    bounded = BOUNDED(*(case[name] for name in ("distortion", "rate", "R", "information")))
    assert (bounded >= case["nll"] - 1e-9).all()
    measured = MEASURED(case["distortion"], case["rate"], case["gap"])
    assert (measured >= case["nll"] - 1e-9).all()
    # The gap's own bound is not vacuous: it holds with the training likelihood, too.
    root = case["R"] * (2 * case["information"]).sqrt()
    assert (case["training nll"] + root >= case["nll"] - 1e-9).all()


def test_without_the_gap_the_theorem_fails() -> None:
    """A negative control: the check above can see a bound that is none."""
    case = solvable()
    nothing = torch.zeros_like(case["R"])
    bounded = BOUNDED(case["distortion"], case["rate"], nothing, case["information"])
    assert (bounded < case["nll"]).double().mean() > 0.3


@dataclass(frozen=True)
class Problem:
    """Data N(mu, ratio * covariance of the generator); the learner knows all but the centre."""

    d: int
    k: int
    n: int
    ratio: float
    shift: float
    seed: int

    @property
    def generator(self) -> LinearVAE:
        return LinearVAE.ppca(
            normal(self.d, self.k, seed=self.seed), normal(self.d, seed=self.seed + 1), 0.5
        )

    def data(self, source: torch.Generator, n: int | None = None) -> Tensor:
        noise = torch.randn(n or self.n, self.d, generator=source, dtype=torch.float64)
        root = torch.linalg.cholesky(self.ratio * self.generator.covariance)
        return self.generator.centre + noise @ root.mT

    def learner(self, data: Tensor) -> LinearVAE:
        model = self.generator
        found = LinearVAE.ppca(model.weight, data.mean(0), model.sigma2)
        return replace(found, encoder_offset=found.encoder_offset + self.shift)

    @property
    def constants(self) -> dict[str, float]:
        width = self.ratio * (1 + 1 / self.n)
        return {
            "R": width * math.sqrt(self.d / 2),
            "information": self.d / 2 * math.log(self.n / (self.n - 1)),
        }

    def nll(self, sign: int) -> float:
        """Mean over samples on fresh data (1) or on training data (-1)."""
        base = MultivariateNormal(self.generator.centre, self.generator.covariance).entropy()
        return float(base) + self.d / 2 * (self.ratio * (1 + sign / self.n) - 1)

    @property
    def slack(self) -> float:
        """Divergence of the shifted encoder from the posterior."""
        return self.shift**2 * float((1 / self.generator.encoder_variance).sum()) / 2


CASES = [
    Problem(2, 1, 5, 1.0, 0.0, 0),
    Problem(3, 2, 10, 0.7, 0.2, 1),
    Problem(1, 1, 2, 1.5, 0.0, 2),
    Problem(4, 2, 30, 1.0, 0.1, 3),
    Problem(5, 5, 8, 1.2, 0.0, 4),
    Problem(2, 3, 12, 0.5, 0.3, 5),
]


def repeat(case: Problem, measure: object, repetitions: int = 60) -> Estimate:
    source = seeded(case.seed)
    values = [measure(case.data(source), source) for _ in range(repetitions)]
    return mean(torch.tensor(values, dtype=torch.float64), method="over samples")


@pytest.mark.parametrize("case", CASES)
def test_estimated_totals_are_the_closed_forms(case: Problem) -> None:
    bound = vae_nll(draws=8)

    def total(data: Tensor, source: torch.Generator) -> float:
        model = case.learner(data)
        return bound.evaluate(model, data, generator=source, **case.constants).total.value

    found = repeat(case, total)
    root = case.constants["R"] * math.sqrt(2 * case.constants["information"])
    expected = case.nll(-1) + case.slack + root
    assert abs(found.value - expected) <= 4 * found.stderr
    assert found.value >= case.nll(1) - 4 * found.stderr


@pytest.mark.parametrize("case", CASES)
def test_the_measured_gap_gives_the_population(case: Problem) -> None:
    def excess(data: Tensor, source: torch.Generator) -> float:
        bound = vae_nll(draws=8, held_out=case.data(source, n=300))
        breakdown = bound.evaluate(case.learner(data), data, generator=source)
        exact = case.learner(data).exact(
            case.generator.centre, case.ratio * case.generator.covariance
        )
        return breakdown.total.value - float(exact.nll)

    found = repeat(case, excess)
    assert abs(found.value - case.slack) <= 4 * found.stderr


def test_errors_cover_the_total() -> None:
    """For a model held fixed the total's error is right over fresh samples."""
    case = CASES[3]
    model, bound = case.learner(case.data(seeded(99), n=1000)), vae_nll(draws=4)
    law = (case.generator.centre, case.ratio * case.generator.covariance)
    exact = model.exact(*law)
    truth = float(exact.distortion + exact.rate)
    hits = 0
    for seed in range(200):
        data = case.data(seeded(seed), n=100)
        options = {"generator": seeded(seed), "R": 0.0, "information": 1.0}
        low, high = bound.evaluate(model, data, **options).total.interval(0.9)
        hits += low <= truth <= high
    assert 0.83 < hits / 200 < 0.97


def test_the_verdict_compares_with_independent_coordinates() -> None:
    """Correlated coordinates: informative with many data, vacuous with few."""
    weight = torch.full((6, 1), 0.3, dtype=torch.float64)
    truth = LinearVAE.ppca(weight, torch.zeros(6, dtype=torch.float64), 0.1)
    verdicts = {}
    for n in (4, 2000):
        latents = normal(n, 1, seed=n)
        data = truth.generate(latents, generator=seeded(n))
        model = LinearVAE.ppca(weight, data.mean(0), 0.1)
        constants = {"R": (1 + 1 / n) * math.sqrt(3), "information": 3 * math.log(n / (n - 1))}
        breakdown = vae_nll().evaluate(model, data, generator=seeded(n), **constants)
        verdicts[n] = breakdown.verdict
        entropies = data.var(0, correction=0).log().sum() / 2 + 3 * math.log(2 * math.pi * math.e)
        assert breakdown.trivial.value == pytest.approx(float(entropies))
    assert verdicts == {4: "vacuous", 2000: "informative"}


def test_a_constant_coordinate_is_no_error() -> None:
    data = normal(20, 2, seed=1) * torch.tensor([1.0, 0.0], dtype=torch.float64)
    breakdown = vae_nll(held_out=data).evaluate(
        CASES[0].learner(data), data, generator=seeded(), **{}
    )
    assert breakdown.trivial.value < -100 and breakdown.verdict == "vacuous"


@dataclass
class Coins:
    """Pixels with given probabilities, whatever the code."""

    probability: Tensor

    def encode(self, data: Tensor) -> Independent:
        code = data[..., :1] * 0.3
        return Independent(Normal(code, 0.8 * torch.ones_like(code)), 1)

    def decode(self, code: Tensor) -> Independent:
        return Independent(Bernoulli(probs=self.probability.expand(*code.shape[:-1], -1)), 1)


def test_the_trivial_model_of_binary_data() -> None:
    probability = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    data = torch.bernoulli(probability.expand(400, 3), generator=seeded())
    breakdown = vae_nll(held_out=data).evaluate(Coins(probability), data, generator=seeded())
    share = data.mean(0)
    entropy = float((torch.special.entr(share) + torch.special.entr(1 - share)).sum())
    assert breakdown.trivial.value == pytest.approx(entropy)
    # A model that draws its pixels on their own has learned nothing.
    assert breakdown.verdict == "vacuous"


def test_the_plotted_form_is_its_formula() -> None:
    probability = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    data = torch.bernoulli(probability.expand(400, 3), generator=seeded())
    model, fair = Coins(probability), Coins(torch.full((3,), 0.5, dtype=torch.float64))
    breakdown = vae_paper(reference=fair, draws=8).evaluate(model, data, generator=seeded(1))
    rate = latent.rate(model, data).value
    rec = float(-model.decode(data[:, :1]).log_prob(data).mean())
    gain = 3 * math.log(2) - rec
    assert breakdown["gain over an untrained decoder"].value == pytest.approx(gain)
    total = rec + 2 * math.sqrt(rate) + 2 * math.sqrt(gain / 400)
    assert breakdown.total.value == pytest.approx(total)
    assert "ranking only" in str(breakdown) and breakdown.verdict == "no reference"
    disguise = proof.disguise.to_torch(proof.distortion_hat, proof.d)
    assert float(disguise(rec, 3)) == pytest.approx(gain)
    # A reference that is better than the model: no gain, and no root of a negative number.
    breakdown = vae_paper(reference=model, draws=8).evaluate(fair, data, generator=seeded(1))
    assert breakdown["gain over an untrained decoder"].value == 0.0


def test_constants_and_contract_are_asked_for() -> None:
    case = CASES[0]
    data = case.data(seeded())
    model = case.learner(data)
    with pytest.raises(ValueError, match=r"R \(") as refusal:
        vae_nll().evaluate(model, data, generator=seeded())
    assert "information (" in str(refusal.value)
    with pytest.raises(TypeError, match="unknown"):
        vae_nll(held_out=data).evaluate(model, data, generator=seeded(), R=1.0)
    with pytest.raises(TypeError, match="lacks decode, encode"):
        vae_nll(held_out=data).evaluate(object(), data, generator=seeded())
    low = Estimate(1.0, 0.1, 10, "a guess", "lower")
    with pytest.raises(WrongSide, match="measured from the side 'lower'"):
        vae_nll().evaluate(model, data, generator=seeded(), R=low, information=0.1)


@pytest.mark.parametrize("held_out", [None, normal(20, 2, seed=9)])
def test_statements_and_pages(held_out: Tensor | None) -> None:
    case = CASES[0]
    data = case.data(seeded())
    bound = vae_nll(held_out=held_out)
    constants = {} if held_out is not None else case.constants
    breakdown = bound.evaluate(case.learner(data), data, generator=seeded(), **constants)
    assert r"\le" in bound.latex()
    html = breakdown._repr_html_()
    assert "vae_nll" in html and all(term.title in html for term in bound.terms)
    assert breakdown.table().contribution.sum() == pytest.approx(breakdown.total.value)
