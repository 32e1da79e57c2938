"""No diffusion bound falls below the truth: solvable instances by thousands, and measured ones."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import roots_genlaguerre

from genbound.bounds import diffusion_kl, diffusion_kl_tight, diffusion_nll
from genbound.derivations import linear_score, mean_learner, variance_learner
from genbound.estimators import likelihood
from genbound.models.solvable import LinearScore
from genbound.sde import vp

PROCESS = vp()
INSTANCES = 2000


def uniform(generator, low, high, shape=(INSTANCES,)):
    draws = torch.rand(shape, generator=generator, dtype=torch.float64)
    return low + (high - low) * draws


def shares(generator):
    """alpha^2 at t_min and at the horizon, of the standard schedule."""
    t_min, horizon = uniform(generator, 0.001, 0.1), uniform(generator, 0.12, 1.2)
    return (PROCESS.moments(time)[0] ** 2 for time in (t_min, horizon))


def learners(generator):
    """u, r, n, d, M of the learner of a mean."""
    early, late = shares(generator)
    n = 2 + (200 * uniform(generator, 0, 1) ** 3).floor()
    d = 1 + (30 * uniform(generator, 0, 1) ** 2).floor()
    return early, late / early, n, d, 10 ** uniform(generator, -2, 2)


def word(derivation, letters=mean_learner.letters):
    return derivation.to_torch(*letters)


def test_bounds_of_the_mean_learner(generator):
    point = learners(generator)
    truth = word(mean_learner.exact)(*point)
    for bound in (mean_learner.path, mean_learner.tight):
        assert bool((word(bound)(*point) >= truth - 1e-10).all())
    assert bool((word(mean_learner.nll_bound)(*point) >= word(mean_learner.nll)(*point)).all())
    # D+ with the exact gap, its sample's distance kept, is the path bound
    exact_gap = sum(
        word(part)(*point) for part in (mean_learner.base, mean_learner.rate, mean_learner.gap)
    )
    assert torch.allclose(exact_gap, word(mean_learner.path)(*point), rtol=1e-9)
    # E is D+ and the entropy of the truth
    excess = word(mean_learner.nll_bound)(*point) - word(mean_learner.nll)(*point)
    assert torch.allclose(excess, word(mean_learner.tight)(*point) - truth, atol=1e-8)


def test_without_its_gap_the_tight_form_falls_below_the_truth(generator):
    """A negative control: base and rate alone are no bound."""
    point = learners(generator)
    wrong = word(mean_learner.base)(*point) + word(mean_learner.rate)(*point)
    below = wrong < word(mean_learner.exact)(*point)
    assert 0.2 < float(below.double().mean()) < 1


def test_the_smoothed_form_of_the_mean_learner(generator):
    """Theorem C_eps: its encoder term, a mean over noised data, by simulation."""
    early, kept, n, d, norm2 = learners(generator)
    draws, widest = 64, int(d.max())
    total = torch.zeros(INSTANCES, dtype=torch.float64)
    coordinates = torch.arange(widest) < d[:, None]
    mu = torch.where(coordinates, (norm2 / d).sqrt()[:, None], 0.0)
    scale2 = word(
        mean_learner.encoder_scale2, (mean_learner.r, mean_learner.d, mean_learner.offset2)
    )
    rate = word(mean_learner.encoder_rate, (mean_learner.r, mean_learner.d, mean_learner.point2))
    for _ in range(draws):
        datum, rest, noise = (
            torch.where(coordinates, torch.randn(mu.shape, generator=generator).double(), 0.0)
            for _ in range(3)
        )
        learned = mu + datum / n[:, None] + rest * ((n - 1).sqrt() / n)[:, None]
        point = early.sqrt()[:, None] * (mu + datum) + (1 - early).sqrt()[:, None] * noise
        miss = point - (early.sqrt() * (1 - kept))[:, None] * learned
        r1 = scale2(kept, d, miss.square().sum(1)).sqrt()
        total += r1 * (2 * rate(kept, d, point.square().sum(1))).clamp(min=0).sqrt()
    values = (early, kept, n, d, norm2)
    others = word(mean_learner.base)(*values) + word(mean_learner.generator_term)(*values)
    assert bool((total / draws + others >= word(mean_learner.exact)(*values)).all())


def test_golden_numbers_of_the_paper_form():
    """d = 2, M = 2, n = 10, t_min = 0: D+ .7967, .4205, .4050 at T = .2, .6, 1."""
    for time, tight in ((0.2, 0.7967), (0.6, 0.4205), (1.0, 0.4050)):
        late = float(PROCESS.moments(time)[0]) ** 2
        assert abs(float(word(mean_learner.tight)(1.0, late, 10, 2, 2.0)) - tight) < 6e-5


def test_path_bound_of_linear_scores(generator):
    early, late = shares(generator)
    mu, learned = (uniform(generator, -3, 3) for _ in range(2))
    s2, s2_hat = (10 ** uniform(generator, -1.5, 1.5) for _ in range(2))
    point = (early, late, mu, s2, learned, s2_hat)
    letters = linear_score.letters
    truth = word(linear_score.exact, letters)(*point)
    assert bool((word(linear_score.path, letters)(*point) >= truth - 1e-9).all())
    # the flow has another law, and the path bound says nothing of it: it does fall below
    flow = word(linear_score.exact_ode, letters)(*point)
    assert bool((word(linear_score.path, letters)(*point) < flow).any())


def test_information_form_of_the_variance_learner():
    """D+ in one coordinate: the mean over the learned variance by Gauss-Laguerre."""
    generator = torch.Generator().manual_seed(3)
    checked = 0
    for n in (2, 3, 5, 10, 30, 100):
        # n s2_hat / s2 is chi-square with n degrees of freedom, so s2_hat = 2 s2 c / n
        nodes, weights = (torch.as_tensor(x) for x in roots_genlaguerre(60, n / 2 - 1))
        weights = weights / weights.sum()
        early, late = (share[:200, None] for share in shares(generator))
        s2 = 10 ** uniform(generator, -1, 1, (200, 1))
        s2_hat = 2 * s2 * nodes / n
        point = (early, late, torch.zeros_like(s2), s2, torch.zeros_like(s2), s2_hat)
        truth = word(linear_score.exact, linear_score.letters)(*point) @ weights
        other = (early, late, s2, s2_hat)
        letters = variance_learner.letters
        training = (
            word(variance_learner.training_loss, letters[:2] + letters[3:])(early, late, s2_hat)
            @ weights
        )
        scale = (word(variance_learner.loss_square, letters)(*other) @ weights).sqrt()
        information = float(
            word(variance_learner.variance_information, (variance_learner.n,))(float(n))
        )
        kept = word(linear_score.information_min, (linear_score.u, linear_score.s2))(early, s2)
        rate = word(linear_score.rate, (linear_score.a, linear_score.x2))(late, s2)
        bound = training - kept[:, 0] + rate[:, 0] + scale * math.sqrt(2 * information)
        assert bool((bound >= truth - 1e-9).all())
        population = word(linear_score.denoising, linear_score.letters)(*point) @ weights
        assert bool((population - training <= scale * math.sqrt(2 * information)).all())
        checked += len(bound)
    assert checked >= 1000


@st.composite
def fitted(draw):
    """A Gaussian, data from it, fresh data, and the linear score fitted to the data."""
    d, n = draw(st.integers(1, 3)), draw(st.integers(4, 40))
    seed = draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    root, mu = normal(d, d), normal(d)
    sample, fresh = (mu + normal(size, d) @ root.mT for size in (n, 600))
    centred = sample - sample.mean(0)
    ends = draw(st.floats(0.2, 1.0)), draw(st.floats(0.01, 0.1))
    model = LinearScore(sample.mean(0), centred.mT @ centred / n, PROCESS, *ends)
    return mu, root @ root.mT, sample, fresh, model, generator


def exact_kl(mu, covariance, model):
    """KL of the SDE's law from the truth at t_min, with full covariances."""
    early, late = (float(PROCESS.moments(time)[0]) ** 2 for time in (model.t_min, model.horizon))
    variances, axes = model.spectrum
    variances = variances.clamp(min=0)
    letters = (linear_score.u, linear_score.a, linear_score.mu_hat, linear_score.s2_hat)
    along = model.mean @ axes
    mean = word(linear_score.sde_mean, letters)(early, late, along, variances)
    variance = word(linear_score.sde_variance, letters)(early, late, along, variances)
    rotated = axes.mT @ covariance @ axes * early + (1 - early) * torch.eye(len(mu)).double()
    offset = math.sqrt(early) * mu @ axes - mean
    trace = float((rotated.diagonal() / variance + offset**2 / variance).sum())
    volume = float(variance.log().sum() - torch.linalg.slogdet(rotated)[1])
    entropy = float(torch.linalg.slogdet(2 * math.pi * math.e * rotated)[1]) / 2
    return (trace - len(mu) + volume) / 2, entropy


@given(fitted())
@settings(max_examples=60)
def test_bounds_measured_on_linear_scores(case):
    mu, covariance, sample, fresh, model, generator = case
    truth, entropy = exact_kl(mu, covariance, model)
    for make, lowest in ((diffusion_kl_tight, truth), (diffusion_nll, truth + entropy)):
        bound = make(draws=8, held_out=fresh)
        total = bound.evaluate(model, sample, generator=generator).total
        assert total.value >= lowest - 4 * total.stderr
    path = likelihood.nelbo(model, fresh, draws=8, generator=generator)
    assert path.value >= truth + entropy - 4 * path.stderr


def test_the_reference_of_the_generator_term(generator):
    """Against the prior's score the paper's form stays finite in T, against zero it grows."""
    sample = torch.randn(20, 2, generator=generator, dtype=torch.float64) + 1
    model = LinearScore(sample.mean(0), torch.eye(2).double(), PROCESS, 1.0, 0.05)
    options = {"R_encoder": 1.0, "R_generator": 1.0}
    energies = {}
    for reference in ("zero", "prior"):
        bound = diffusion_kl(draws=4, paths=400, reference=reference)
        seeded = torch.Generator().manual_seed(1)
        energies[reference] = bound.evaluate(model, sample, generator=seeded, **options)[
            "score along the generating path"
        ]
    assert energies["zero"].value > 2 * energies["prior"].value
    early, late = (float(PROCESS.moments(time)[0]) ** 2 for time in (0.05, 1.0))
    expected = float(sample.mean(0).square().sum()) * (early - late) / 2
    assert abs(energies["prior"].value - expected) < 4 * energies["prior"].stderr + 0.05 * expected
    assert np.isfinite(energies["zero"].value)
