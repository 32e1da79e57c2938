import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound import data, sampler
from genbound.derivations import memorization as proof
from genbound.derivations import trade_off
from genbound.estimate import across
from genbound.estimators import memorization
from genbound.sde import vp
from tests.estimators.reference import GaussianScore, seeded

PROCESS = vp()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


@given(s=st.integers(2, 30), n=st.integers(2, 9), m=st.integers(2, 9), seed=st.integers(0, 99))
def test_kernel_gap_pair_by_pair(s, n, m, seed):
    made, seen, fresh = (normal(size, 3, seed=seed + k) for k, size in enumerate((s, n, m)))

    def k(x, y):
        return math.exp(-float((x - y).square().sum()) / (2 * 0.7**2))

    near = sum(k(x, y) for x in made for y in seen) / (s * n)
    far = sum(k(x, y) for x in made for y in fresh) / (s * m)
    estimate = memorization.kernel_gap(made, seen, fresh, bandwidth=0.7)
    assert estimate.value == pytest.approx(near - far, abs=1e-12)
    assert len(estimate.influence) == estimate.n == s + m


def test_nearest_distances_point_by_point(monkeypatch):
    points, centres = normal(40, 3), normal(17, 3, seed=1)
    naive = [sorted(float((x - c).norm()) for c in centres)[:2] for x in points]
    monkeypatch.setattr(memorization, "BLOCK_ENTRIES", 100)
    found = memorization.nearest_distances(points, centres)
    torch.testing.assert_close(found, torch.tensor(naive, dtype=torch.float64))
    ratio = memorization.nearest_ratio(points, centres)
    ratios = torch.tensor([near / second for near, second in naive])
    assert ratio.value == pytest.approx(float(ratios.mean()))
    assert ratio.stderr == pytest.approx(float(ratios.std()) / math.sqrt(40), rel=1e-5)
    share = memorization.copies(points, centres, threshold=0.8)
    assert share.value == pytest.approx(float((ratios < 0.8).double().mean()))


def test_the_error_of_the_kernel_gap_covers_both_samples():
    generator = seeded(5)
    seen = torch.randn(6, 1, generator=generator, dtype=torch.float64)
    estimates = []
    for _ in range(400):
        made = torch.randn(80, 1, generator=generator, dtype=torch.float64)
        fresh = torch.randn(15, 1, generator=generator, dtype=torch.float64)
        estimates.append(memorization.kernel_gap(made, seen, fresh, bandwidth=0.5))
    values = torch.tensor([estimate.value for estimate in estimates])
    errors = torch.tensor([estimate.stderr for estimate in estimates])
    assert 0.85 <= float(errors.square().mean().sqrt() / values.std()) <= 1.2
    explained = [float(e.influence.var()) / e.n for e in estimates]
    assert math.sqrt(sum(explained) / 400) == pytest.approx(float(values.std()), rel=0.2)
    # E exp(-(X~ - x)^2 / 2h^2) for X~ ~ N(0, 1), and for two normal points.
    width = 0.5**2 + 1
    near = float((-seen.square() / (2 * width)).exp().mean()) * 0.5 / math.sqrt(width)
    truth = near - 0.5 / math.sqrt(0.5**2 + 2)
    assert abs(float(values.mean()) - truth) <= 4 * float(values.std()) / 20


def test_the_gap_of_the_mean_learner_and_its_bound():
    """The chain of the mean learner against the closed form, in the mean over samples."""
    n, d, bandwidth, horizon = 3, 2, 0.8, 0.6
    mu, generator = torch.tensor([0.6, -0.3]).double(), seeded(9)
    source = data.Gaussian(mu, torch.eye(2).double())
    gaps = []
    for _ in range(150):
        sample = source.sample(n, generator=generator)
        model = GaussianScore(PROCESS, horizon, 1e-3, sample.mean(0))
        made = sampler.sample(
            PROCESS,
            model.score,
            n=200,
            d=d,
            horizon=horizon,
            t_min=1e-3,
            step=0.3,
            generator=generator,
            dtype=torch.float64,
        )
        fresh = source.sample(200, generator=generator)
        gaps.append(memorization.kernel_gap(made, sample, fresh, bandwidth=bandwidth))
    measured = across(gaps)
    share = float(PROCESS.moments(horizon)[0]) ** 2
    point = (share, n, d, float(mu.square().sum()))
    solved = float(
        proof.solved_gap.to_torch(*trade_off.letters, proof.bandwidth2)(*point, bandwidth**2)
    )
    assert abs(measured.value - solved) <= 4 * measured.stderr + 0.02 * solved
    assert measured.value > 4 * measured.stderr


def test_a_memoriser_is_told_from_a_generaliser():
    generator, source = seeded(4), data.SwissRoll()
    sample, fresh = (source.sample(size, generator=generator) for size in (50, 400))
    memory = data.points(sample)
    chain = {"n": 400, "d": 2, "horizon": 1.0, "t_min": 0.005, "step": 0.3, "dtype": torch.float64}
    copied = sampler.sample(PROCESS, memory.path_score(PROCESS), generator=generator, **chain)
    true = sampler.sample(
        PROCESS, source.mixture.path_score(PROCESS), generator=generator, **chain
    )
    ratios = {
        name: memorization.nearest_ratio(points, sample)
        for name, points in {"copied": copied, "true": true, "fresh": fresh}.items()
    }
    assert ratios["copied"].upper() < 0.3 < ratios["true"].lower()
    apart = ratios["true"].value - ratios["fresh"].value
    assert abs(apart) <= 4 * math.hypot(ratios["true"].stderr, ratios["fresh"].stderr)
    assert memorization.copies(copied, sample).value > 0.7
    assert memorization.copies(true, sample).value < 0.4
    gaps = [
        memorization.kernel_gap(points, sample, fresh, bandwidth=0.1) for points in (copied, true)
    ]
    assert gaps[0].lower() > gaps[1].upper()
    duplicated = torch.cat([sample, sample])
    assert memorization.nearest_ratio(sample, duplicated).value == 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: memorization.kernel_gap(x, x, x, bandwidth=0.0), "bandwidth"),
        (lambda x: memorization.kernel_gap(x, x[:, :1], x, bandwidth=1.0), "points"),
        (lambda x: memorization.kernel_gap(x, x, x[:1], bandwidth=1.0), "data"),
        (lambda x: memorization.nearest_distances(x, x[:1]), "data"),
        (lambda x: memorization.nearest_distances(x[0], x), "points"),
        (lambda x: memorization.copies(x, x, threshold=1.0), "threshold"),
    ],
)
def test_bad_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=name):
        call(normal(4, 2))
