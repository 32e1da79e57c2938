"""The coupling's theorem: its toy is tight, its witnesses are sharp, random Gaussians obey it."""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from genbound.derivation import Derivation
from genbound.derivations import frozen_score, linear_score, score_slope
from genbound.derivations import wasserstein_sampler as proof
from genbound.estimators.quadratic_transport import wasserstein2
from genbound.symbolic import Refuted, verify
from tests.derivations.test_sampler_steps import random_cases

INSTANCES = 1500


def test_grades():
    found = {name: value for name, value in vars(proof).items() if isinstance(value, Derivation)}
    for name in ("coupling", "growth_of_error", "toy", "toy_total", "toy_whole", "toy_paper"):
        assert set(found[name].grades) == {"defined", "proved"}, name
    for name in ("theorem", "cauchy_schwarz", "start_of_moments", "contraction", "one_step"):
        assert "holds on a solvable family" in found[name].steps[-1].detail, name
    for name in ("gaussian_gain_equation", "steepest", "bump_gain_equation"):
        assert set(getattr(score_slope, name).grades) == {"defined", "proved"}, name


def test_the_toy_integral_is_one():
    """t15, by SymPy and by quadrature of the integrals as the paper would write them."""
    assert proof.toy_paper.expr == 1
    assert proof.toy_whole.expr == proof.shift
    for variance in (0.1, 0.6, 1.0, 5.0):

        def noised(time, variance=variance):
            return 1 + (variance - 1) * math.exp(-2 * time)

        def integrand(s):
            rate = integrate.quad(lambda r: 2 / noised(r) - 1, 0, s)[0]
            return 2 * math.exp(-s - rate) / noised(s)

        assert abs(integrate.quad(integrand, 0, 20)[0] - 1) < 1e-6


SHARP = {
    # in the limit t_min = 0, T = infinity, where nothing is lost, and for a perfect start
    "theorem": {proof.mu: 0, proof.v: 1},
    "cauchy_schwarz": {},
}


@pytest.mark.parametrize("name", SHARP)
def test_no_smaller_constant_passes(name):
    step = getattr(proof, name)
    witness = {letter: value.subs(SHARP[name]) for letter, value in proof._solved.items()}
    with pytest.raises(Refuted):
        verify(
            "<=",
            step.lhs,
            sp.Rational(97, 100) * step.expr,
            domain=dict(step.domain),
            witness=witness,
        )


def test_neither_part_of_the_theorem_is_enough():
    for part in (proof.gain * proof.start, proof.accumulated):
        with pytest.raises(Refuted):
            verify("<=", proof.distance, part, domain=proof._inside, witness=proof._solved)


@given(st.floats(0.5, 0.99), st.floats(0.001, 0.3), st.floats(0.2, 2), st.floats(0.1, 2))
def test_equality_with_start_and_error(u, a, mu, short):
    """Variance one and a learned mean on the side of the prior: both parts pull the same way."""
    shift = -short * mu
    truth = proof.solved_distance.to_torch(*proof.letters)(u, a, mu, 1.0, shift)
    at_start = proof.solved_start.to_torch(*proof.letters)(u, a, mu, 1.0, shift)
    factor = score_slope.gaussian_gain.to_torch(u_, a_, v_)(u, a, 1.0)
    ordered = {proof._r: a_ / u_}
    lost = sp.Abs(proof._toy.subs(ordered))
    total = factor * at_start + sp.lambdify((u_, a_, v_, proof.shift), lost)(u, a, 1.0, shift)
    assert torch.isclose(truth, total, rtol=1e-9)


u_, a_, v_ = linear_score.u, linear_score.a, score_slope.v


def uniform(low, high, generator, *shape):
    unit = torch.rand(INSTANCES, *shape, generator=generator, dtype=torch.float64)
    return low + (high - low) * unit


def test_random_gaussians_with_wrong_mean_and_variance(generator):
    """The whole theorem against the exact laws; the integral by quadrature."""
    early, ratio = uniform(0.3, 0.999, generator), uniform(0.0005, 0.9, generator)
    late = early * ratio
    means = uniform(-2, 2, generator), uniform(-2, 2, generator)
    variances = 10 ** uniform(-1.3, 1, generator), 10 ** uniform(-1.3, 1, generator)
    law = (early, late, means[0], variances[0], means[1], variances[1])
    letters = linear_score.letters
    mean, variance = (
        moment.to_torch(*letters)(*law)
        for moment in (linear_score.sde_mean, linear_score.sde_variance)
    )
    true_variance = 1 + (variances[0] - 1) * early
    truth = (mean - early.sqrt() * means[0]) ** 2 + (variance.sqrt() - true_variance.sqrt()) ** 2
    # b = log(u / w) in equal cells, nodes of Gauss and Legendre in each
    nodes, weights = map(torch.as_tensor, np.polynomial.legendre.leggauss(48))
    clock = -ratio.log()
    share = early[:, None] * torch.exp(-clock[:, None] * (nodes + 1) / 2)
    gain = score_slope.gaussian_gain.to_torch(u_, a_, v_)
    density = linear_score.score_density.to_torch(
        linear_score._w, linear_score.mu, linear_score.s2, linear_score.mu_hat, linear_score.s2_hat
    )
    columns = [part[:, None] for part in (means[0], variances[0], means[1], variances[1])]
    error2 = (share * density(share, *columns)).clamp_min(0)
    gains = gain(early[:, None], share, columns[3])
    accumulated = (gains * error2.sqrt() * weights).sum(1) * clock / 2
    squared = (gains.square() * weights).sum(1) * clock / 2
    loss = (error2 * weights).sum(1) * clock / 4
    start2 = late * means[0] ** 2 + (1 - (1 + (variances[0] - 1) * late).sqrt()) ** 2
    at_horizon = gain(early, late, variances[1]) * start2.sqrt()
    assert float((at_horizon + accumulated - truth.sqrt()).min()) > -1e-6
    assert float((2 * squared * loss - accumulated**2).min()) > -1e-9
    # A negative control: the comparison can see a bound that is none.
    assert float((at_horizon + 0.7 * accumulated - truth.sqrt()).min()) < 0
    assert float((accumulated - truth.sqrt()).min()) < 0


def test_the_information_lost_is_printed_as_one_quantity():
    """A difference that is subtracted needs brackets, or the page shows the wrong sign."""
    assert r"- {(I_{\varepsilon}-I_{T})}" in proof.held_out.statement()


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.2, 2), st.floats(0.2, 2))
def test_distance_of_normal_laws(first, second, one, two):
    """D1, against exact transport between the quantiles of the two laws."""
    grid = torch.linspace(0.5 / 150, 1 - 0.5 / 150, 150, dtype=torch.float64)
    quantiles = torch.special.ndtri(grid).unsqueeze(1)
    measured = wasserstein2(first + one * quantiles, second + two * quantiles).value
    formula = proof.of_gaussians.to_torch(proof._means, proof._deviations)
    assert abs(measured - float(formula(first - second, one - two)) ** 0.5) < 0.05


def test_support_is_no_worse_than_two_points():
    """Random laws in a ball: the bound on their slope, at their steepest places."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(40, 6, 2, generator=generator, dtype=torch.float64)
    centres = centres / centres.norm(dim=-1).amax(1)[:, None, None]
    bound = score_slope.support_slope.to_torch(score_slope.w, score_slope.M)
    for share in (0.2, 0.6, 0.9):
        places = torch.randn(40, 200, 1, 2, generator=generator, dtype=torch.float64)
        kernel = -(places - share**0.5 * centres[:, None]).square().sum(-1) / (2 * (1 - share))
        weight = kernel.softmax(-1)[..., None]
        mean = (weight * centres[:, None]).sum(2, keepdim=True)
        offset = centres[:, None] - mean
        covariance = torch.einsum("abci,abcj,abck->abij", offset, offset, weight)
        steepest = torch.linalg.eigvalsh(covariance)[..., -1].max()
        slope = -1 / (1 - share) + share * steepest / (1 - share) ** 2
        assert float(slope) <= float(bound(share, 1.0)) + 1e-12


def test_the_recursion_over_whole_chains(generator):
    """Three thousand chains of the exponential integrator, at each of their twelve steps."""
    v, mu, times, shift, tilt = random_cases(generator)
    place = (frozen_score.share, frozen_score.mu, frozen_score.v)
    slope_of = frozen_score.true_slope.to_torch(frozen_score.share, frozen_score.v)
    offset_of, fisher = (
        law.to_torch(*place) for law in (frozen_score.true_offset, frozen_score.fisher)
    )
    error = frozen_score.grid_error.to_torch(*frozen_score.letters)
    letters = (proof._now, proof._lipschitz, frozen_score.growth, proof.error)
    bound = proof.one_step.to_torch(*letters, proof._later, proof._earlier)
    shares, steps = (-2 * times).exp(), -times.diff(dim=0)

    def apart(mean, variance, share):
        true = 1 + (v - 1) * share
        return ((mean - share.sqrt() * mu) ** 2 + (variance.sqrt() - true.sqrt()) ** 2).sqrt()

    mean, variance = torch.zeros_like(v), torch.ones_like(v)
    allowed, tight = apart(mean, variance, shares[0]), []
    for before, after, h in zip(shares, shares[1:], steps, strict=False):
        slope, offset = slope_of(before, v) + tilt, offset_of(before, mu + shift, v)
        fresh = 1 - (-h).exp()
        pull = (-h).exp() + 2 * slope * fresh
        missed = error(after, h.exp(), mu, v, slope, offset).clamp_min(0)
        informations = [fisher(share, mu, v) for share in (after, before)]
        allowed = bound(allowed, pull.abs(), h.exp(), missed, *informations)
        mean, variance = pull * mean + 2 * offset * fresh, pull**2 * variance - (-2 * h).expm1()
        exact = apart(mean, variance, after)
        assert bool((exact <= allowed + 1e-9).all())
        tight.append(float((exact / allowed).max()))
    assert min(tight) > 0.5
