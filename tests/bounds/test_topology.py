"""The worst gap along a trajectory: walks that were fixed before the data, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.bound import WrongSide
from genbound.bounds import topological_gap
from genbound.derivations import topology as proof
from genbound.derivations.change_of_measure import scale
from genbound.derivations.trade_off import n
from genbound.estimate import Estimate, across, exact
from genbound.estimators.iterates import Iterates
from genbound.estimators.topology import spanning_tree, weighting
from genbound.estimators.trajectory_geometry import distances, sketch
from genbound.symbolic import to_torch

UNTRAINED = exact(0.0, method="tanh 0")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, generator):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def walk(k, d, *, step, seed):
    return (step * normal(k, d, generator=seeded(seed))).cumsum(0)


def directions(*shape, generator):
    points = normal(*shape, generator=generator)
    return points / points.norm(dim=-1, keepdim=True)


def window(points, data):
    """Loss tanh <theta, z> of unit vectors z: values in [-1, 1], slope 1, population loss 0."""
    return Iterates(points, torch.tanh(points @ data.mT), UNTRAINED)


FIXED = {"R": 1.0, "L": 1.0, "I_infinity": exact(0.0, method="known: fixed before the data")}
BOUNDS = {
    "union": topological_gap("union"),
    "half": topological_gap("lifetimes", alpha=0.5),
    "one": topological_gap("lifetimes"),
    "magnitude": topological_gap("magnitude"),
    "half of losses": topological_gap("lifetimes", alpha=0.5, metric="losses"),
    "magnitude of losses": topological_gap("magnitude", metric="losses"),
}


def constants(bound, **changed):
    names = {c.name for c in bound.constants if c.known is None}
    return {name: value for name, value in (FIXED | changed).items() if name in names}


def test_a_walk_of_three_hundred_points_in_the_mean():
    """A walk in R^5, n = 200: the worst gap, and the bounds without the price of a probability."""
    points, size = walk(300, 5, step=0.05, seed=0), 200
    losses = torch.tanh(directions(400, size, 5, generator=seeded(1)) @ points.mT)
    truth = across([exact(float(-each.mean(0).min()), method="") for each in losses])
    assert abs(truth.value - 0.033) < 0.006 + 4 * truth.stderr
    separations = distances(points)
    edges = spanning_tree(separations)
    lengths = separations[edges[:, 0], edges[:, 1]]
    at = {scale: 1, n: size, proof.lipschitz: 1, proof.dependence: 0, proof.failure: 1}
    union = proof.iterates_bound.expr.subs(at | {proof.iterates: 300})
    assert float(union) == pytest.approx(0.239, abs=5e-4)
    for alpha, golden in ((0.5, 0.332), (1.0, 0.340)):
        tree = {proof.alpha: alpha, proof.lifetimes: float(lengths.pow(alpha).sum())}
        assert float(proof.lifetimes_bound.expr.subs(at | tree)) == pytest.approx(golden, abs=3e-3)
    # lambda = c sqrt(n) / 2L is sqrt(n) / R at c = 2.
    found = {}
    for multiple in (1, 2, 4, 8):
        positive = weighting(separations, scale=multiple * size**0.5).positive_magnitude.value
        letters = {proof.multiple: multiple, proof.positive_magnitude: positive}
        found[multiple] = float(proof.magnitude_bound.expr.subs(at | letters))
    assert found[2] == pytest.approx(0.412, abs=0.01)
    assert min(found.values()) == pytest.approx(0.240, abs=3e-3)
    assert truth.value < float(union) < min(found.values())


LETTERS = (n, proof.iterates, proof.lifetimes, proof.positive_magnitude)
GIVEN = {scale: 1, proof.lipschitz: 1, proof.dependence: 0, proof.failure: 0.05}


def compiled(bound, alpha):
    """The total of a bound from its measured letters, for many instances at once."""
    theorem = bound.theorem.expr.subs(GIVEN | {proof.alpha: alpha, proof.multiple: 1})
    return to_torch(LETTERS, theorem)


def test_a_thousand_walks_without_a_violation():
    generator, rows = seeded(2), []
    for seed in range(1000):
        k, d, size = (int(torch.randint(2, top, (1,), generator=generator)) for top in (30, 6, 60))
        points = walk(k, d, step=float(normal(1, generator=generator).exp()), seed=seed)
        iterates = window(points, directions(size, d, generator=generator))
        row = [float(-iterates.losses.mean(1).min()), size, k]
        for metric in ("weights", "losses"):
            row += [iterates.lifetimes(alpha=alpha, metric=metric).value for alpha in (0.5, 1.0)]
            weighed = iterates.weighting(scale=size**0.5, metric=metric)
            row.append(weighed.positive_magnitude.value)
        rows.append(row)
    worst, size, k, *shapes = torch.tensor(rows, dtype=torch.float64).T
    one = torch.ones_like(worst)
    levels = {
        "union": (size, k, one, one),
        "half": (size, k, shapes[0], one),
        "one": (size, k, shapes[1], one),
        "magnitude": (size, k, one, shapes[2]),
        "half of losses": (size, k, shapes[3], one),
        "magnitude of losses": (size, k, one, shapes[5]),
    }
    for name, letters in levels.items():
        level = compiled(BOUNDS[name], 1.0 if name == "one" else 0.5)(*letters)
        # Each may fail in 5 % of the cases; none is so tight that it does.
        assert bool((worst <= level).all()), name
        assert bool((worst > level / 8).any()), name


def test_normal_losses_without_a_violation():
    """Loss <theta, z> of normal data: R is the largest norm of an iterate; z has no bound."""
    generator = seeded(3)
    for seed in range(100):
        points = walk(20, 3, step=0.3, seed=seed)
        data = normal(40, 3, generator=generator)
        iterates = Iterates(points, points @ data.mT, UNTRAINED)
        worst = float(-iterates.losses.mean(1).min())
        given = constants(BOUNDS["union"], R=float(points.norm(dim=1).max()))
        total = BOUNDS["union"].evaluate(iterates, data, generator=generator, **given).total
        assert worst <= total.value


def test_the_slope_of_half_the_data_metric_holds():
    data = directions(50, 3, generator=seeded(4))
    iterates = window(walk(25, 3, step=0.4, seed=5), data)
    apart = iterates.separations("losses")
    loss = iterates.losses.mean(1)
    assert bool(((loss[:, None] - loss).abs() <= apart + 1e-12).all())
    # A shorter distance than that of the weights, since the slope is at most 1.
    assert bool((apart <= iterates.separations() + 1e-12).all())


def test_every_letter_is_told():
    points, data = walk(40, 4, step=0.05, seed=6), directions(100, 4, generator=seeded(7))
    for name, bound in BOUNDS.items():
        breakdown = bound.evaluate(
            window(points, data), data, generator=seeded(0), **constants(bound)
        )
        table = breakdown.table()
        assert table.contribution.sum() == pytest.approx(breakdown.total.value), name
        assert breakdown.verdict == "vacuous", name
    assert "40 points" in breakdown["positive magnitude"].method
    half = BOUNDS["half"].evaluate(
        window(points, data), data, generator=seeded(0), **constants(BOUNDS["half"])
    )
    assert half["what the trajectory knows of the data"].method == "known: fixed before the data"


def test_a_deterministic_training_knows_everything():
    points, data = walk(10, 2, step=0.1, seed=8), directions(30, 2, generator=seeded(9))
    for bound in BOUNDS.values():
        given = constants(bound, I_infinity=math.inf)
        breakdown = bound.evaluate(window(points, data), data, generator=seeded(0), **given)
        assert math.isinf(breakdown.total.value) and breakdown.verdict == "vacuous"
        assert "infinite" in breakdown.total.method


def test_a_cluster_is_one_point_for_the_tree_and_never_for_the_union():
    data = directions(200, 5, generator=seeded(10))
    values = {}
    for name in ("union", "one", "magnitude"):
        iterates = window(walk(1000, 5, step=1e-9, seed=11), data)
        given = constants(BOUNDS[name])
        values[name] = BOUNDS[name].evaluate(iterates, data, generator=seeded(0), **given).total
    floor = 1 / 200**0.5
    assert values["one"].value == pytest.approx(
        floor + math.sqrt(2 * math.log(20) / 200), rel=1e-3
    )
    assert values["one"].value < values["union"].value
    # The positive magnitude doesn't fall to 1.
    assert math.log(20) < values["magnitude"].value * 200**0.5 / 2 - 1 / 8


def test_a_repeated_iterate_is_counted_once():
    points, data = walk(12, 2, step=0.1, seed=12), directions(30, 2, generator=seeded(13))
    for name, bound in BOUNDS.items():
        once, twice = (
            bound.evaluate(window(each, data), data, generator=seeded(0), **constants(bound)).total
            for each in (points, torch.cat([points, points[::3]]))
        )
        assert once.value == pytest.approx(twice.value, rel=1e-6), name


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    alpha=st.floats(0.05, 1),
    multiple=st.floats(0.2, 8),
    failure=st.floats(0.001, 0.5),
    among=st.integers(1, 20),
)
def test_monotone_in_what_is_not_known(seed, alpha, multiple, failure, among):
    generator = seeded(seed)
    points, data = walk(15, 3, step=0.2, seed=seed), directions(40, 3, generator=generator)
    iterates = window(points, data)
    for form, metric in (
        ("union", "weights"),
        ("lifetimes", "weights"),
        ("magnitude", "weights"),
        ("lifetimes", "losses"),
        ("magnitude", "losses"),
    ):
        options = {"metric": metric, "alpha": alpha, "multiple": multiple}
        bound = topological_gap(form, failure_probability=failure, **options)
        base = bound.evaluate(iterates, data, generator=generator, **constants(bound)).total.value
        knows = constants(bound, I_infinity=1.0)
        assert bound.evaluate(iterates, data, generator=generator, **knows).total.value > base
        surer = topological_gap(form, failure_probability=failure / 2, **options)
        shared = topological_gap(form, failure_probability=failure, among=2, **options)
        both = [
            each.evaluate(iterates, data, generator=generator, **constants(each)).total.value
            for each in (surer, shared)
        ]
        assert both[0] == pytest.approx(both[1]) and both[0] > base
        most = topological_gap(form, failure_probability=failure, among=among, **options)
        value = most.evaluate(iterates, data, generator=generator, **constants(most)).total.value
        assert value >= base


def test_the_stability_form_needs_no_information():
    points, data = walk(20, 3, step=0.05, seed=14), directions(100, 3, generator=seeded(15))
    iterates = window(points, data)
    bound = topological_gap("stability", block=25)
    assert bound.holds == "in expectation"
    given = {"R": 1.0, "L": 1.0, "stability": 0.002}
    total = bound.evaluate(iterates, data, generator=seeded(0), **given).total.value
    lifetimes = iterates.lifetimes(alpha=1.0).value
    truth = 1 / 5 + math.sqrt(2 * math.log(1 + 2 * 10 * lifetimes) / 25) + 50 * 0.002
    assert total == pytest.approx(truth)
    # An estimate over finitely many retrainings lies below the constant, and is refused.
    below = Estimate(0.002, 1e-4, 20, "retrainings", "lower")
    with pytest.raises(WrongSide, match="stability was measured from"):
        bound.evaluate(iterates, data, generator=seeded(0), **given | {"stability": below})
    with pytest.raises(ValueError, match=r"^block: got 30, allowed are divisors of n = 100"):
        topological_gap("stability", block=30).evaluate(
            iterates, data, generator=seeded(0), **given
        )


def test_a_sketch_is_refused():
    points, data = walk(20, 500, step=0.05, seed=16), directions(50, 500, generator=seeded(17))
    draw = sketch(500, 64, generator=seeded(18))
    iterates = Iterates(draw(points), torch.tanh(points @ data.mT), UNTRAINED, sketch=draw)
    for name, title in (("one", "lifetime sum"), ("magnitude", "positive magnitude")):
        with pytest.raises(WrongSide, match=title):
            bound = BOUNDS[name]
            bound.evaluate(iterates, data, generator=seeded(0), **constants(bound))
    # The distances of losses need no weights.
    bound = BOUNDS["magnitude of losses"]
    bound.evaluate(iterates, data, generator=seeded(0), **constants(bound))


def test_devices(device):
    points, data = walk(30, 4, step=0.1, seed=19), directions(50, 4, generator=seeded(20))
    values = []
    for place in ("cpu", device):
        losses = torch.tanh(points @ data.mT).to(place)
        iterates = Iterates(points, losses, UNTRAINED, device=place)
        for bound in BOUNDS.values():
            breakdown = bound.evaluate(iterates, data, generator=seeded(0), **constants(bound))
            values.append(breakdown.total.value)
    assert values[: len(BOUNDS)] == pytest.approx(values[len(BOUNDS) :])


BAD = [
    ({"form": "cover"}, "form"),
    ({"form": "union", "metric": "losses"}, "metric"),
    ({"alpha": 1.1}, "alpha"),
    ({"alpha": 0.0}, "alpha"),
    ({"form": "magnitude", "multiple": 0.0}, "multiple"),
    ({"among": 0}, "among"),
    ({"block": 5}, "block"),
    ({"form": "stability"}, "block"),
    ({"failure_probability": 1.0}, "failure_probability"),
]


@pytest.mark.parametrize(("options", "name"), BAD)
def test_bad_input(options, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        topological_gap(**options)


def test_the_data_are_those_of_the_losses():
    points, data = walk(20, 3, step=0.05, seed=14), directions(100, 3, generator=seeded(15))
    iterates, bound = window(points, data), BOUNDS["one"]
    with pytest.raises(ValueError, match="data: got 99, allowed are the 100 of"):
        bound.evaluate(iterates, data[1:], generator=seeded(0), **constants(bound))
    with pytest.raises(ValueError, match=r"lifetimes: has no value at .*R = 0"):
        bound.evaluate(iterates, data, generator=seeded(0), **constants(bound, R=0.0))
