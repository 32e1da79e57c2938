"""The likelihood bound of a VAE: grades, what its witnesses can refute, and simulation."""

import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound import Refuted
from genbound.derivation import Derivation
from genbound.derivations import vae as proof
from genbound.derivations.change_of_measure import information
from genbound.derivations.gaussian import channel_of

CITED = ("defined", "granted")
CHAIN = ("defined", "proved", "granted")
GRADES = {
    "sample_gap": CITED,
    "evidence": CITED,
    "nll_with_gap": CITED,
    "nll_information": CITED,
    "nll_held_out": CHAIN,
    "chain_rule": CITED,
    "nelbo_information": ("granted",),
    "learned_gap": ("defined", "proved"),
    "learned_scale2": ("defined", "proved"),
    "learned_information": ("defined", "proved"),
    "learned_gap_is_bounded": ("defined", "proved"),
    "paper": ("substituted",),
    "paper_previous": ("defined",),
    "disguise": ("substituted",),
    "optimised": ("defined", "proved"),
    "attained": ("defined", "proved"),
    "self_tuned": ("defined", "proved"),
}


def test_grades() -> None:
    found = {
        name: value.grades
        for name, value in vars(proof).items()
        if isinstance(value, Derivation) and not name.startswith("_")
    }
    assert found == GRADES


def again(derivation: Derivation, expr: sp.Expr) -> Derivation:
    """The first citation of a derivation once more, with another right side."""
    first, cited = derivation.steps[:2]
    start = Derivation.of(derivation.lhs, first.expr, domain=dict(derivation.domain))
    witness = proof._witness_seen | {
        proof.nll: proof._fresh[0],
        proof.nelbo: proof._fresh[1] + proof._fresh[2],
        information: channel_of(proof._signal, proof._r1),
        proof.information_encoder: channel_of(
            proof._signal * proof._r1 / (proof._signal + proof._r1), proof._r2
        ),
        proof.information_pair: channel_of(proof._signal, 1 / (1 / proof._r1 + 1 / proof._r2)),
    }
    return start.granted(cited.relation, expr, cite="a test", by="a slip", witness=witness)


SLIPS = {
    "rate 0.9": (proof.evidence, proof.distortion_hat + 0.9 * proof.rate_hat),
    "distortion 0.95": (proof.evidence, 0.95 * proof.distortion_hat + proof.rate_hat),
    "no rate": (proof.evidence, proof.distortion_hat),
    "half of all": (proof.nll_held_out, proof.nelbo - sp.Rational(1, 10)),
    "no condition": (proof.chain_rule, information + 1.01 * proof.information_encoder),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_refuted(name: str) -> None:
    derivation, expr = SLIPS[name]
    again(derivation, derivation.steps[1].expr)
    with pytest.raises(Refuted):
        again(derivation, expr)


@given(
    n=st.integers(2, 40), d=st.integers(1, 6), ratio=st.floats(0.2, 4), seed=st.integers(0, 999)
)
def test_the_learned_centre_is_solved(n: int, d: int, ratio: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    letters = (proof.n, proof.d, proof.ratio)
    many = 4000

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64) * math.sqrt(ratio)

    datum, others, fresh = normal(many, d), normal(many, d) / math.sqrt(n - 1), normal(many, d)
    centre = (datum + (n - 1) * others) / n
    losses = [(points - centre).square().sum(-1) / 2 for points in (fresh, datum)]
    gap = losses[0] - losses[1]
    solved = float(proof.learned_gap.to_torch(*letters)(n, d, ratio))
    assert abs(float(gap.mean()) - solved) < 4.5 * float(gap.std()) / math.sqrt(many)
    scale2 = float(proof.learned_scale2.to_torch(*letters)(n, d, ratio))
    assert float(losses[0].var()) == pytest.approx(scale2, rel=0.4)
    # Given the mean, a datum has the share (n-1)/n of its variance left.
    left = n * torch.log(torch.tensor((n - 1) / n)) / n
    known = float(proof.learned_information.to_torch(*letters)(n, d, ratio))
    assert known == pytest.approx(-d * left.item() / 2)
    assert solved <= math.sqrt(2 * scale2 * known)


def test_golden_gap() -> None:
    letters = (proof.n, proof.d, proof.ratio)
    scale2, known, gap = (
        float(letter.to_torch(*letters)(10, 2, 1.0))
        for letter in (proof.learned_scale2, proof.learned_information, proof.learned_gap)
    )
    assert gap == pytest.approx(0.2)
    assert math.sqrt(2 * scale2 * known) == pytest.approx(0.504948, abs=5e-7)


@given(
    n=st.integers(1, 1000),
    width=st.floats(0.1, 10),
    rate=st.floats(0.01, 30),
    tilt=st.floats(-3, 3),
)
def test_no_other_lambda_is_better(n: int, width: float, rate: float, tilt: float) -> None:
    best = math.sqrt(8 * rate) * n / width

    def value(parameter: float) -> float:
        return n * rate / parameter + parameter * width**2 / (8 * n)

    assert value(best) == pytest.approx(math.sqrt(2 * rate) * width / 2)
    assert value(best * math.exp(tilt)) >= value(best) * (1 - 1e-12)


def test_the_plotted_numbers_of_the_paper() -> None:
    """Reconstruction 74, rate 20.6, root of the "information" 25.23, n = 60000."""
    args = (proof.distortion_hat, proof.rate_hat, proof.mi_hat, proof.n)
    total = float(proof.paper.to_torch(*args)(74.0, 20.6, 25.23**2, 60_000))
    assert total == pytest.approx(83.25, abs=0.1)
    disguise = float(proof.disguise.to_torch(proof.distortion_hat, proof.d)(74.0, 1024))
    assert math.sqrt(disguise) == pytest.approx(25.23, abs=0.02)
