import math

import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import sgld_solved, stability
from genbound.symbolic import Refuted, verify

LETTERS = (*sgld_solved.letters, sgld_solved.fixed)
EXCESS = stability.excess.to_torch(stability.training, stability.stability)
GAP = stability.gap.to_torch(stability.training, stability.stability)
ROOT = stability.root_gap.to_torch(stability.training, stability.stability)


def closed_forms(*values):
    population, training = (
        getattr(sgld_solved, name).to_torch(*LETTERS)(*values)
        for name in ("population", "training")
    )
    return population, training, sgld_solved.swap.to_torch(*LETTERS[:-1])(*values[:-1]).sqrt()


def test_what_is_granted_is_witnessed():
    for name, derivation in vars(stability).items():
        if isinstance(derivation, Derivation):
            assert all("not checked" not in step.detail for step in derivation.steps), name
            assert ("sampled" in derivation.grades) == (name == "solved"), name


def test_golden_numbers():
    weight = 0.9597387831
    population, training, moved = closed_forms(
        weight, 1 - 0.1 * weight, 200.0, 40, 20, 5, 0.6, 3.5660838399
    )
    assert math.sqrt(population) - math.sqrt(training) == pytest.approx(0.0556607, abs=1e-7)
    assert float(moved) == pytest.approx(0.1178635, abs=1e-7)
    assert float(population - training) == pytest.approx(0.2828340, abs=1e-7)


def test_no_form_lies_below_the_truth():
    gen = torch.Generator().manual_seed(1)
    weight, beta, variance, fixed = (
        torch.randn(4, 4000, generator=gen, dtype=torch.float64).mul(2).exp()
    )
    keep = torch.rand(4000, generator=gen, dtype=torch.float64)
    whole = [
        torch.randint(low, high, (4000,), generator=gen).double()
        for low, high in ((1, 60), (1, 200), (1, 30))
    ]
    case = (weight, keep, 100 * beta, *whole, variance, fixed * (fixed > 1))
    population, training, moved = closed_forms(*case)
    slack = 1 + 1e-9
    assert bool((population.sqrt() <= ROOT(training, moved) * slack).all())
    assert bool((population <= EXCESS(training, moved) * slack).all())
    assert bool((population - training <= GAP(training, moved) + 1e-9 * population).all())
    assert float((population / EXCESS(training, moved)).max()) > 0.99


def test_a_single_datum_learned_by_heart_loses_nothing():
    _, _, moved = closed_forms(1.0, 1e-9, 1e18, 1, 1, 3, 2.0, 0.0)
    assert float(moved) == pytest.approx(math.sqrt(12))
    assert float(EXCESS(0.0, float(moved))) == pytest.approx(12)


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.01, 1)), min_size=1, max_size=6
    )
)
def test_any_score_on_finitely_many_points(points):
    """Minkowski with weights: whatever the two scores, root losses differ by their distance."""
    first, second, mass = torch.tensor(points, dtype=torch.float64).T
    population, training = (mass * first.square()).sum(), (mass * second.square()).sum()
    moved = (mass * (first - second).square()).sum().sqrt()
    assert float(population.sqrt()) <= float(ROOT(training, moved)) + 1e-9
    assert float(population) <= float(EXCESS(training, moved)) + 1e-9


def test_the_score_error_keeps_the_order_of_its_parts():
    bound = stability.score_error.to_torch(
        stability.fit, stability.irreducible, stability.stability
    )
    assert float(bound(0.5, 2.0, 0.0)) == 0.5
    assert float(bound(0.5, 2.0, 0.1)) == pytest.approx(0.5 + 0.2 * math.sqrt(2.5) + 0.01)


ONE = stability._one_datum
WRONG = {
    "root": (
        stability._root,
        sp.sqrt(stability.training) + sp.Rational(19, 20) * stability.stability,
    ),
    "no cross term": (stability.population, stability.training + stability.stability**2),
    "gap without its root": (
        stability.population - stability.training,
        2 * stability.stability * sp.sqrt(stability.training),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_false_variants_are_refuted(name):
    left, right = WRONG[name]
    with pytest.raises(Refuted):
        verify("<=", left, right, witness=ONE, domain={stability._share: (0, 1)})


def test_without_convexity_the_data_term_is_refuted():
    step = stability.data_gap
    known = stability._known
    witness = {
        stability._empirical: known.subs(
            sgld_solved.variance, stability._share * sgld_solved.variance
        ),
        stability.irreducible: known,
    }
    with pytest.raises(Refuted):
        verify(
            "<=",
            step.lhs,
            sp.Rational(9, 10) * stability.irreducible,
            witness=witness,
            domain=dict(step.domain),
        )
