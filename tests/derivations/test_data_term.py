import math
from dataclasses import replace
from functools import cache

import pytest
import sympy as sp
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from genbound import sde
from genbound.data import Gaussian
from genbound.derivation import Derivation
from genbound.derivations import data_term as proof
from genbound.derivations import information_flow, score_gap
from genbound.symbolic import Refuted, verify

SIZE, COUNT, FIRST, LAST, SPREAD2 = 8, 1000, 0.1, 1.5, 1.7
SPAN = LAST - FIRST
LAW, PROCESS = Gaussian([0.0], [[SPREAD2]]), sde.ou(beta=2)
nines = sp.Rational(9, 10)


def test_what_is_granted_is_witnessed():
    proved = {"relative_score", "rate_gaussian", "fisher", "_identification"}
    for name, result in vars(proof).items():
        if isinstance(result, Derivation):
            allowed = {"defined", "proved"} | (set() if name in proved else {"granted"})
            assert set(result.grades) <= allowed, name
            assert all("not checked" not in step.detail for step in result.steps), name


ONE_DATUM = {
    proof.mean_data_term: -proof._solved[proof.constant],
    proof.mean_fisher: proof.share
    * proof.v
    / ((1 - proof.share) * (1 + (proof.v - 1) * proof.share)),
}


@pytest.mark.parametrize("factor", [nines, 1 / nines, 2])
def test_wrong_constants_are_refuted(factor):
    with pytest.raises(Refuted):
        verify(
            "=",
            proof.mean_data_term,
            -4 * factor * proof.mean_fisher,
            domain=proof._inside,
            witness=ONE_DATUM,
        )
    wrong = proof.constant_rate.expr * factor
    with pytest.raises(Refuted):
        replace(proof.constant_rate, steps=proof.constant_rate.steps[:1]).equals(
            wrong, by="wrong", using=[proof._mismatch_rate]
        )
    for result in (proof.rate_gaussian, proof.relative_score):
        with pytest.raises(Refuted):
            replace(result, steps=result.steps[:1]).equals(factor * result.expr, by="wrong")
    share, v = proof.share, proof.v
    energy = proof.at_one_time.steps[-1].expr.subs(proof.fisher_t, factor * proof.fisher_t)
    with pytest.raises(Refuted):
        verify(
            "=",
            proof.constant,
            energy,
            domain=proof._inside,
            witness=proof._solved
            | {proof.constant: 4 * share * v / ((1 - share) * (1 + (v - 1) * share))},
        )


def test_the_clock_of_the_constant():
    assert proof.constant_rate.expr == -8 * information_flow.information_slope
    with pytest.raises(ValueError, match="using"):
        # An index that may be doubted cannot make a lower bound.
        replace(proof.crossover, steps=proof.crossover.steps[:2]).at_least(
            0, by="wrong", using=[proof._identification]
        )


@cache
def measured() -> dict[str, Tensor]:
    """A thousand samples of eight data each; everything about them by quadrature."""
    generator = torch.Generator().manual_seed(7)
    samples = LAW.sample(COUNT * SIZE, generator=generator).reshape(COUNT, SIZE)
    x = torch.linspace(-8, 8, 481, dtype=torch.float64)
    nodes, weights = leggauss(20)
    # Uniform times, by nodes in the logarithm of time.
    low, high = math.log(FIRST), math.log(LAST)
    logs = low + (high - low) * (torch.from_numpy(nodes) + 1) / 2
    lengths = torch.from_numpy(weights) / 2 * (high - low) * logs.exp() / SPAN
    totals = {name: torch.zeros(COUNT, dtype=torch.float64) for name in ("data", "sign", "error")}
    loss = torch.zeros(COUNT, dtype=torch.float64)

    def laws(time: float) -> tuple[Tensor, ...]:
        share = math.exp(-2 * time)
        centres = math.sqrt(share) * samples
        noise2 = 1 - share
        away = centres[..., None] - x
        kernels = (-away.square() / (2 * noise2)).exp() / math.sqrt(2 * math.pi * noise2) / SIZE
        density = kernels.sum(1)
        score = (away * kernels).sum(1) / density.clamp_min(1e-280) / noise2
        law = LAW.noised(PROCESS, time)
        return (
            share,
            density,
            score,
            law.log_density(x[:, None]).exp(),
            law.score(x[:, None])[:, 0],
        )

    def integral(values: Tensor) -> Tensor:
        return torch.trapezoid(values, x)

    for time, length in zip(logs.exp().tolist(), lengths.tolist(), strict=True):
        share, density, score, truth, true_score = laws(time)
        moment = share * (samples.square().mean(1) - SPREAD2)
        fisher = integral(truth * (true_score + x).square())
        sample_fisher = integral(density * (score + x).square())
        totals["data"] += length * 4 * (moment + fisher - sample_fisher)
        totals["sign"] += length * 4 * integral(density * (score - true_score).square())
        totals["error"] += length * 4 * integral(truth * (score - true_score).square())
        energy = 4 * (share * samples.square().mean(1) + share**2 / (1 - share))
        loss += length * (energy - 4 * sample_fisher)

    def entropy(time: float) -> Tensor:
        density = laws(time)[1]
        return -integral(density * density.clamp_min(1e-280).log())

    return totals | {"loss": loss, "first": entropy(FIRST), "last": entropy(LAST)}


def law_entropy(time: float) -> float:
    return LAW.noised(PROCESS, time).entropy().value


def test_the_data_term_is_a_difference_of_entropies():
    found = measured()
    letters = (
        proof.span,
        proof._sample_entropy,
        proof._entropy,
        proof._sample_entropy_last,
        proof._entropy_last,
    )
    value = proof.entropies.to_torch(*letters)(
        SPAN, found["first"], law_entropy(FIRST), found["last"], law_entropy(LAST)
    )
    torch.testing.assert_close(value, found["data"], atol=1e-5, rtol=1e-5)


def test_no_sample_breaks_a_bound():
    found = measured()
    memorised = proof.memorised_loss.to_torch(proof.n, proof.span)(SIZE, SPAN)
    assert bool((found["loss"] <= float(memorised)).all())
    assert float(found["loss"].max()) > 0.6 * float(memorised)
    informations = [LAW.information(PROCESS, time).value for time in (FIRST, LAST)]
    letters = (proof.n, proof.span, proof.information_first, proof.information_last)
    bound = float(proof.crossover.to_torch(*letters)(SIZE, SPAN, *informations))
    assert bool((found["data"] <= bound).all())
    # The constant of the law is the information lost: loss of the sample less data term.
    exact = float(proof.identity.to_torch(*letters[1:])(SPAN, *informations))
    torch.testing.assert_close(
        found["loss"] - found["data"], torch.full_like(found["loss"], exact), atol=1e-5, rtol=1e-5
    )


def within(samples: Tensor) -> bool:
    return abs(float(samples.mean())) <= 4 * float(samples.std()) / math.sqrt(COUNT)


def test_the_sign_of_the_mean_and_the_memoriser():
    found = measured()
    assert within(found["data"] + found["sign"])
    assert not within(found["data"] + 0.8 * found["sign"])
    # The memoriser has no training error: its gap is its error less the data term.
    gap = found["error"] - found["data"]
    both = proof.memoriser.to_torch(proof.mean_fisher, proof.mean_reverse_fisher)
    assert within(gap - both(found["sign"] / 4, found["error"] / 4))


def test_leaving_out_the_data_term_raises_the_bound(generator):
    values = torch.rand(8, 2000, generator=generator, dtype=torch.float64)
    letters = (
        proof.horizon,
        proof.data_divergence,
        proof.step,
        proof.fisher_first,
        proof.span,
    )
    mean = proof.assembled_mean.to_torch(*letters, proof.mean_empirical, proof.mean_gap)
    full = proof.assembled.to_torch(*letters, proof.empirical_error, proof.gap, proof.data_term)
    assert bool((mean(*values[:7]) >= full(*values[:7], -values[7])).all())
    opening = score_gap.assembled.specialise({proof.data_term: proof.mean_data_term}, by="mean")
    with pytest.raises(ValueError, match="using"):
        opening.at_least(0, by="wrong way", using=[proof.sign])
