"""Theorem C: its grades, and its steps as numbers on random finite alphabets."""

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import discrete as proof
from genbound.symbolic import Refuted, verify


def test_grades():
    found = {
        name: value
        for name, value in vars(proof).items()
        if isinstance(value, Derivation) and name not in ("sample_gap", "encoder_mean")
    }
    assert set(found) >= {"pointwise", "identity", "jensen", "concavity", "kept", "theorem"}
    assert found["pointwise"].grades == ("defined", "proved")
    for name in ("identity", "jensen", "concavity"):
        assert "holds on a solvable family" in found[name].steps[-1].detail, name
    assert proof.theorem.lhs == proof.kl and proof.theorem.relation == "<="


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("identity", proof.joint_error + proof.information_hat + proof.entropy_hat),
        ("identity", proof.joint_error - proof.information_hat - proof.entropy_hat),
        ("identity", proof.joint_error - proof.information_hat / 2 + proof.entropy_hat),
        ("jensen", sp.Rational(9, 10) * proof.prior_loss),
        ("concavity", sp.Rational(9, 10) * proof.entropy),
    ],
)
def test_wrong_signs_and_constants_are_refuted(name, wrong):
    step = getattr(proof, name)
    witness = proof._two_shares if name == "concavity" else proof._binary
    with pytest.raises(Refuted):
        verify(step.relation, step.lhs, wrong, domain=dict(step.domain), witness=witness)


@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 10_000))
def test_identity_and_jensen_on_any_finite_alphabet(values, codes, seed):
    generator = torch.Generator().manual_seed(seed)

    def laws(*shape):
        masses = torch.rand(shape, generator=generator, dtype=torch.float64) + 1e-3
        return masses / masses.sum(-1, keepdim=True)

    data, encoder = laws(values), laws(values, codes)
    decoder, prior = laws(codes, values).T, laws(codes)
    pairs = data[:, None] * encoder
    mixture = pairs.sum(0)
    loss = -(pairs * decoder.log()).sum()
    joint = (pairs * (pairs / (mixture * decoder)).log()).sum()
    information = (pairs * (encoder / mixture).log()).sum()
    entropy = -(data * data.log()).sum()
    words = {
        proof.joint_error: joint,
        proof.information_hat: information,
        proof.entropy_hat: entropy,
    }
    solved = proof.identity.to_torch(*words)(*words.values())
    assert torch.allclose(solved, loss, atol=1e-12)
    outside = -(data * (decoder.log() * prior).sum(-1)).sum()
    inside = -(data * (decoder * prior).sum(-1).log()).sum()
    assert inside <= outside + 1e-12
