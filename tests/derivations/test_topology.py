import math

import pytest
import sympy as sp
import torch
from scipy import stats

from genbound.derivation import Derivation
from genbound.derivations import loss_metric, stable_sets
from genbound.derivations import topology as proof
from genbound.derivations.change_of_measure import scale, slope
from genbound.derivations.trade_off import n
from genbound.estimators.topology import weighting
from genbound.symbolic import Refuted, verify


def test_what_is_granted_is_witnessed():
    cited = {"union_bound", "mean_union_bound", "cover", "product_law", "lifetimes_bound"}
    cited |= {"magnitude_lemma", "magnitude_bound", "stability_bound", "block_bound"}
    cited |= {"iterates_bound", "symmetrised"}
    everything = [
        item for room in (proof, stable_sets, loss_metric) for item in vars(room).items()
    ]
    for name, derivation in everything:
        if isinstance(derivation, Derivation) and not name.startswith("_"):
            expected = {"saving": "sampled"}.get(name, "granted" if name in cited else "proved")
            assert derivation.grade == expected, name
            assert all("not checked" not in step.detail for step in derivation.steps), name
            assert derivation.relation == "<=", name


STAR = {
    proof._packing: 2 * proof._a * proof.iterates,
    proof.lifetimes: proof._a * (proof.iterates + 1),
}
LINE = {
    proof.effective: sp.log(proof.iterates + 1),
    proof._packing: proof.iterates * (proof._radius + proof._a) ** proof.alpha,
}
RATIO = proof._packing / proof._radius**proof.alpha
VARIANCE = slope**2 * scale**2 / n
WRONG = {
    "a tree's part at most 3/2 of the tree": (
        sp.log(1 + RATIO),
        sp.log(1 + sp.Rational(3, 2) * proof.lifetimes / proof._radius**proof.alpha),
        STAR,
    ),
    "one point too few": (proof.effective, sp.log(RATIO), LINE),
    "a smaller variance": (
        proof._laplace,
        proof.effective + sp.Rational(9, 20) * VARIANCE,
        proof._opposite,
    ),
    "half the points": (
        proof._laplace,
        proof.effective / 2 + VARIANCE / 2,
        proof._opposite,
    ),
    "the data know nothing of the set": (
        proof._bad,
        proof._bad_apart,
        {proof._bad: (1 + proof._r) / 2, proof._bad_apart: sp.Rational(1, 2)},
    ),
    "nine tenths of the weights": (
        proof._top,
        sp.Rational(9, 10) * proof._weighted,
        {
            proof._top: sp.exp(proof._s * proof._slope_of_f * proof._r),
            proof._weighted: (1 + sp.exp(proof._s * proof._slope_of_f * proof._r))
            / (1 + sp.exp(-proof._s * proof._r)),
        },
    ),
    "less of the level": (
        proof.worst_gap,
        (proof._laplace + sp.Rational(99, 100) * proof.confidence) / slope,
        {
            proof.worst_gap: proof._m,
            proof._laplace: sp.log(proof._r * sp.exp(slope * proof._m)),
            proof.confidence: -sp.log(proof._r),
        },
    ),
    "less than one exchange": (
        proof.mean_worst_gap,
        stable_sets._expected_block
        + sp.Rational(99, 100) * stable_sets.block * stable_sets.stability,
        {
            proof.mean_worst_gap: 1 / n,
            stable_sets._expected_block: 0,
            stable_sets.stability: 1 / n,
            stable_sets.block: 1,
        },
    ),
    "symmetrisation for less than twice": (
        loss_metric._mean_gap,
        sp.Rational(19, 10) * loss_metric._mean_rademacher,
        {loss_metric._mean_gap: 2 * scale * (1 - proof._r), loss_metric._mean_rademacher: scale},
    ),
    "three quarters of a bounded difference": (
        proof.worst_gap,
        sp.Rational(3, 4) * scale * sp.sqrt(-2 * sp.log(proof._r)),
        {proof.worst_gap: 2 * scale * (1 - proof._r)},
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_constants_are_refuted(case):
    left, right, witness = WRONG[case]
    domain = {proof._r: (0, 1), proof._slope_of_f: (0, 1)}
    with pytest.raises(Refuted):
        verify("<=", left, right, witness=witness, domain=domain)


def test_the_gap_moves_by_both_losses():
    with pytest.raises(Refuted):
        proof.nearby.at_most(proof._at_centre + proof.lipschitz * proof._radius, by="one loss")


COUNT = 4000


def cases(seed=3):
    """Sets of 2 to 40 fixed points on a line, loss -theta z with z = +1 or -1, exactly."""
    gen = torch.Generator().manual_seed(seed)
    data = torch.randint(2, 400, (COUNT,), generator=gen).double()
    size = torch.randint(2, 41, (COUNT,), generator=gen)
    spread = torch.randn(COUNT, generator=gen, dtype=torch.float64).exp()
    points = spread[:, None] * torch.randn(COUNT, 40, generator=gen, dtype=torch.float64)
    # Points beyond the size repeat the last one: a set has no repetitions.
    index = torch.minimum(torch.arange(40), size[:, None] - 1)
    points = points.gather(1, index).sort(1).values
    failure = torch.rand(COUNT, generator=gen, dtype=torch.float64) * 0.98 + 0.01
    alpha = torch.rand(COUNT, generator=gen, dtype=torch.float64) * 0.9 + 0.1
    gaps = points.diff(dim=1)
    lifetimes = torch.where(gaps > 0, gaps.pow(alpha[:, None]), 0.0).sum(1)
    magnitude = 1 + torch.tanh(data.sqrt()[:, None] * gaps / 2).sum(1)
    return data, points, failure, alpha, lifetimes, magnitude


def beyond(points, data, level):
    """Probability that sup_theta theta * mean(z) exceeds the level, and the mean of the sup."""
    low, high = points[:, 0], points[:, -1]
    ups = torch.arange(400.0, dtype=torch.float64)
    mean = (2 * ups - data[:, None]) / data[:, None]
    mass = torch.from_numpy(stats.binom.pmf(ups.numpy(), data[:, None].numpy(), 0.5))
    top = torch.maximum(low[:, None] * mean, high[:, None] * mean)
    return (mass * (top > level[:, None])).sum(1), (mass * top).sum(1)


LETTERS = (scale, n, proof.lipschitz, proof.dependence, proof.failure)


def test_no_bound_fails_more_often_than_it_says():
    data, points, failure, alpha, lifetimes, magnitude = cases()
    radius = points.abs().amax(1)
    one, nothing = torch.ones_like(data), torch.zeros_like(data)
    common = (radius, data, one, nothing, failure)
    from_tree = proof.lifetimes_bound.to_torch(*LETTERS, proof.alpha, proof.lifetimes)
    from_magnitude = proof.magnitude_bound.to_torch(
        *LETTERS, proof.multiple, proof.positive_magnitude
    )
    levels = {
        "tree": from_tree(*common, alpha, lifetimes),
        "magnitude": from_magnitude(*common, one, magnitude),
    }
    for name, level in levels.items():
        assert bool((beyond(points, data, level)[0] <= failure).all()), name
    # The test has power: a level that is a third of the bound's fails too often somewhere.
    assert bool((beyond(points, data, levels["tree"] / 3)[0] > failure).any())
    assert bool((beyond(points, data, levels["magnitude"] / 3)[0] > failure).any())


def test_means_lie_below_the_bound_of_stability():
    data, points, _, alpha, lifetimes, _ = cases(4)
    radius, one = points.abs().amax(1), torch.ones_like(data)
    bound = stable_sets.stability_bound.to_torch(
        scale, proof.lipschitz, proof.alpha, proof.lifetimes, stable_sets.stability
    )
    truth = beyond(points, data, one)[1]
    # A fixed set is stable with every beta; blocks of all the data are the least of them.
    least = data ** (-1.5)
    assert bool((bound(radius, one, alpha, lifetimes, least) >= truth).all())
    assert bool((bound(radius, one, alpha, lifetimes, 3 * least) >= truth).all())
    # With steps of stability 1 / n the bound falls like the cube root.
    ratio = bound(one, one, one, 0 * one, 1 / data) / bound(one, one, one, 0 * one, one)
    torch.testing.assert_close(ratio, data ** (-1 / 3))


def test_the_union_bound_holds_for_the_iterates_themselves():
    data, points, failure, *_ = cases(5)
    bound = proof.union_bound.to_torch(scale, n, proof.effective, proof.confidence)
    distinct = 1 + (points.diff(dim=1) > 0).sum(1).double()
    level = bound(points.abs().amax(1), data, distinct.log(), (1 / failure).log())
    assert bool((beyond(points, data, level)[0] <= failure).all())


def test_magnitude_of_equidistant_points():
    separations = 1.3 * (1 - torch.eye(7, dtype=torch.float64))
    formula = proof.equidistant.steps[0].expr.subs({proof.iterates: 7, proof._r: 1.3})
    assert weighting(separations, scale=1).magnitude.value == pytest.approx(float(formula))


def test_a_floor_that_no_tree_can_lower():
    values = {n: 100, scale: 2, proof.failure: 0.5, proof.dependence: 0, proof.lifetimes: 0}
    still = proof.lifetimes_bound.expr.subs(values | {proof.lipschitz: 3, proof.alpha: 1})
    assert float(still) == pytest.approx(2 / 10 + 2 * math.sqrt(2 * math.log(2) / 100))


def test_a_power_above_one_is_refused():
    for bound in (proof.cover, proof.lifetimes_bound, loss_metric.lifetimes_bound):
        with pytest.raises(ValueError, match="values: alpha = 1.5"):
            bound.specialise({proof.alpha: 1.5}, by="too large")


def test_the_block_of_the_cube_root():
    at = {scale: 2.0, proof.lipschitz: 3.0, proof.alpha: 0.5, proof.lifetimes: 7.0}
    at |= {stable_sets.stability: 0.01}
    block = stable_sets.block_bound.expr.subs({stable_sets.block: 0.01 ** (-2 / 3)} | at)
    assert float(block) == pytest.approx(float(stable_sets.stability_bound.expr.subs(at)))


def test_bounds_from_losses_fail_no_more_often_than_they_say():
    data, points, failure, alpha, *_ = cases(6)
    half = points.abs().amax(1)
    # Losses theta z of signs: rho_S is |theta - theta'|, half the range the largest |theta|.
    gaps = points.diff(dim=1)
    lifetimes = torch.where(gaps > 0, gaps.pow(alpha[:, None]), 0.0).sum(1)
    magnitude = 1 + torch.tanh(data.sqrt()[:, None] * gaps / 2).sum(1)
    common = (half, data, torch.zeros_like(data), failure)
    letters = (scale, n, proof.dependence, proof.failure)
    tree = loss_metric.lifetimes_bound.to_torch(*letters, proof.alpha, proof.lifetimes)
    weights = loss_metric.magnitude_bound.to_torch(
        *letters, proof.multiple, proof.positive_magnitude
    )
    for level in (
        tree(*common, alpha, lifetimes),
        weights(*common, torch.ones_like(data), magnitude),
    ):
        assert bool((beyond(points, data, level)[0] <= failure).all())
        assert bool((beyond(points, data, level / 20)[0] > failure).any())
