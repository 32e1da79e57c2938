import math
from dataclasses import replace

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound import sde
from genbound.data import Gaussian
from genbound.derivation import Derivation
from genbound.derivations import sampler_error
from genbound.derivations import score_gap as proof
from genbound.symbolic import Refuted, verify

GRANTED = {
    "vincent",
    "of_sample",
    "decomposition",
    "assembled",
    "assembled_in_package",
    "on_grid",
    "initialisation",
}
nines = sp.Rational(9, 10)


def test_what_is_granted_is_witnessed():
    for name, result in vars(proof).items():
        if isinstance(result, Derivation):
            allowed = {"defined", "proved"} | ({"granted"} if name in GRANTED else set())
            assert set(result.grades) <= allowed, name
            assert all("not checked" not in step.detail for step in result.steps), name


@pytest.mark.parametrize(
    "name",
    [
        "target", "noise_prediction", "target_energy", "linear_loss", "linear_risk",
        "linear_gradient", "linear_gap",
    ],
)  # fmt: skip
def test_a_wrong_last_line_is_refuted(name):
    result = getattr(proof, name)
    with pytest.raises(Refuted):
        replace(result, steps=result.steps[:-1]).equals(nines * result.expr, by="wrong")


@pytest.mark.parametrize(
    "wrong",
    [
        proof.score_error,
        proof.score_error + nines * proof.constant,
        4 * proof.score_error + proof.constant,
        proof.score_error - proof.constant,
    ],
)
def test_wrong_constants_are_refuted(wrong):
    with pytest.raises(Refuted):
        verify("=", proof.risk, wrong, domain=proof._inside, witness=proof._gaussian)


def test_the_parts_add_up_with_the_right_signs():
    opening = replace(proof.decomposition, steps=proof.decomposition.steps[:2])
    rules = [proof.gap_definition, proof.data_definition, proof.of_sample]
    for wrong in (
        proof.empirical_error - proof.data_term + proof.gap,
        proof.empirical_error + proof.data_term,
    ):
        with pytest.raises(Refuted):
            opening.equals(wrong, by="wrong", using=rules)


def frobenius(matrix):
    return matrix.square().sum((-2, -1))


def linear_loss(weight, second, share):
    """Mean loss of the score W x where the data have the second moment M: D2, any dimension."""
    noise = math.sqrt(1 - share)
    eye = torch.eye(weight.shape[-1], dtype=weight.dtype)
    pulled = weight - 2 * eye
    spread = torch.einsum("...ij,jk,...ik->...", pulled, second, pulled)
    return share * spread + frobenius(noise * weight + 2 * share / noise * eye)


@given(st.integers(1, 4), st.floats(0.05, 2), st.integers(0, 99))
@settings(max_examples=15)
def test_matrices_act_as_the_letters_say(d, time, seed):
    """The loss by Monte Carlo; best score, gap and gradient; the letters where all is diagonal."""
    generator = torch.Generator().manual_seed(seed)
    share = math.exp(-2 * time)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    root, weight, count = normal(d, d), normal(d, d), 40_000
    clean = normal(count, d) @ root.mT
    noise = normal(count, d)
    target = 2 * (math.sqrt(share) * clean - share / math.sqrt(1 - share) * noise)
    noisy = math.sqrt(share) * clean + math.sqrt(1 - share) * noise
    seen = (noisy @ weight.mT - target).square().sum(-1)
    second = root @ root.mT
    loss = linear_loss(weight, second, share)
    assert abs(float(seen.mean() - loss)) <= 4.5 * float(seen.std()) / math.sqrt(count)

    eye = torch.eye(d, dtype=torch.float64)
    noised = share * second + (1 - share) * eye
    best = 2 * (noised - eye) @ noised.inverse()
    excess = (weight - best) @ noised @ (weight - best).mT
    torch.testing.assert_close(loss - linear_loss(best, second, share), excess.trace())
    sample = clean[:7].mT @ clean[:7] / 7
    gap = (weight - 2 * eye) @ (second - sample) @ (weight - 2 * eye).mT
    torch.testing.assert_close(
        loss - linear_loss(weight, sample, share), share * gap.trace(), atol=1e-9, rtol=1e-9
    )
    noised = share * sample + (1 - share) * eye
    fitted = 2 * (noised - eye) @ noised.inverse()
    gradient = torch.func.grad(lambda moved: linear_loss(moved, sample, share))(weight)
    torch.testing.assert_close(gradient, 2 * (weight - fitted) @ noised, atol=1e-8, rtol=1e-8)

    moments, slopes = second.diagonal(), weight.diagonal()
    letters = (proof.W, proof.M, proof.share)
    one = proof.linear_risk.to_torch(*letters)(slopes, moments, share).sum()
    torch.testing.assert_close(one, linear_loss(slopes.diag(), moments.diag(), share))
    slope = proof.linear_gradient.to_torch(*letters)(slopes, moments, share)
    torch.testing.assert_close(
        slope,
        2
        * (share * moments + 1 - share)
        * (slopes - 2 * share * (moments - 1) / (share * moments + 1 - share)),
    )


def test_the_split_on_a_sample_by_quadrature():
    """Data N(0.4, 1.7), n = 25, the score 0.5 x + 0.3: both sides of the decomposition."""
    generator = torch.Generator().manual_seed(5)
    process, law = sde.ou(beta=2), Gaussian([0.4], [[1.7]])
    sample = law.sample(25, generator=generator)
    x = torch.linspace(-14, 14, 14_001, dtype=torch.float64)[:, None]
    for time in (0.05, 0.4, 2.0):
        share = math.exp(-2 * time)
        noise = math.sqrt(1 - share)
        means = math.sqrt(share) * sample[:, 0]
        kernels = torch.distributions.Normal(means, noise).log_prob(x).exp() / 25
        empirical = kernels.sum(1)
        pull = ((means - x) * kernels).sum(1) / empirical.clamp_min(1e-300) / noise**2
        density = law.noised(process, time).log_density(x).exp()
        truth = 2 * (law.noised(process, time).score(x) + x)[:, 0]
        learned, memorised = 0.5 * x[:, 0] + 0.3, 2 * (pull + x[:, 0])

        def mean(values, weights):
            return float(torch.trapezoid(values * weights, x[:, 0]))

        energy = [
            4 * (share * second + share**2 / noise**2)
            for second in (0.4**2 + 1.7, float(sample.square().mean()))
        ]
        constants = (
            energy[0] - mean(truth.square(), density),
            energy[1] - mean(memorised.square(), empirical),
        )
        # Loss of A x + b by its moments: E(Ax + b - v)^2.
        risks = [
            share * 1.5**2 * second
            + (0.5 * noise + 2 * share / noise) ** 2
            + 0.3**2
            - 2 * 0.3 * 1.5 * math.sqrt(share) * first
            for first, second in (
                (0.4, 0.4**2 + 1.7),
                (float(sample.mean()), float(sample.square().mean())),
            )
        ]
        error = mean((learned - truth).square(), density)
        optimisation = mean((learned - memorised).square(), empirical)
        assert risks[0] - constants[0] == pytest.approx(error, rel=1e-6)
        assert risks[1] - constants[1] == pytest.approx(optimisation, rel=1e-6)
        parts = optimisation + (constants[1] - constants[0]) + (risks[0] - risks[1])
        assert parts == pytest.approx(error, rel=1e-6)


def test_the_best_score_cannot_be_improved(generator):
    share, second = torch.rand(2, 5000, generator=generator, dtype=torch.float64)
    weight = torch.randn(5000, generator=generator, dtype=torch.float64)
    risk = proof.linear_risk.to_torch(proof.W, proof.M, proof.share)
    floor = Derivation.of(proof.constant, proof._gaussian[proof.constant])
    floor = floor.to_torch(proof.M, proof.share)(9 * second, share)
    assert bool((risk(weight, 9 * second, share) >= floor * (1 - 1e-9)).all())
    best = Derivation.of(proof.W, proof.best).to_torch(proof.M, proof.share)(9 * second, share)
    torch.testing.assert_close(risk(best, 9 * second, share), floor)


def test_the_assembled_bound_is_the_sampler_bound(generator):
    """The parts of B4 replace the score error, and the package's losses cost twice their sum."""
    start, error, first, span, horizon, step = torch.rand(
        6, 2000, generator=generator, dtype=torch.float64
    )
    optimisation, data = torch.randn(2, 2000, generator=generator, dtype=torch.float64)
    gap = error - optimisation - data
    common = (proof.horizon, proof.data_divergence, proof.step, proof.fisher_first, proof.span)
    parts = (proof.empirical_error, proof.data_term, proof.gap)
    bound = proof.assembled.to_torch(*common, *parts)(
        horizon, start, step, first, span, optimisation, data, gap
    )
    sampler = sampler_error.theorem.to_torch(
        *common[:4], sampler_error.fisher_last, sampler_error.explicit_loss
    )(horizon, start, step, first, 0.0, span * error / 4)
    torch.testing.assert_close(bound, sampler)
    scale = span / 4
    in_package = proof.assembled_in_package.to_torch(*common[:4], *proof.package_parts)
    torch.testing.assert_close(
        in_package(horizon, start, step, first, scale * optimisation, scale * data, scale * gap),
        bound,
    )
