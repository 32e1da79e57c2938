import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from genbound.derivation import Derivation
from genbound.derivations import sample_wise
from genbound.symbolic import Refuted

weights = st.floats(0.1, 3)


def test_grades():
    found = {
        name: value.grades
        for name in sample_wise.__all__
        if isinstance(value := getattr(sample_wise, name), Derivation)
    }
    assert found == {
        "chain_rule": ("defined", "proved", "granted"),
        "mean_learner": ("defined", "proved"),
        "root_information": ("defined", "granted"),
    }


def test_citations_have_witnesses():
    derivations = (value for value in vars(sample_wise).values() if isinstance(value, Derivation))
    cited = [step for result in derivations for step in result.steps if step.cite]
    assert len(cited) == 5
    assert all("holds on a solvable family" in step.detail for step in cited)


def gaussian_information(covariance, first, second):
    """Of two blocks of a normal vector, from three determinants."""
    parts = [np.linalg.slogdet(covariance[np.ix_(k, k)])[1] for k in (first, second)]
    both = first + second
    return (sum(parts) - np.linalg.slogdet(covariance[np.ix_(both, both)])[1]) / 2


@given(weights, weights, weights)
def test_the_witness_is_the_information_of_a_normal_vector(a, b, tau):
    covariance = np.eye(3)
    covariance[2] = covariance[:, 2] = [a, b, a**2 + b**2 + tau**2]
    point = {sample_wise._a: a, sample_wise._b: b, sample_wise._tau: tau}
    whole = gaussian_information(covariance, [2], [0, 1])
    truth = {
        sample_wise.whole: whole,
        sample_wise._first: gaussian_information(covariance, [2], [0]),
        sample_wise._second: gaussian_information(covariance, [2], [1]),
        sample_wise._second_given: whole - gaussian_information(covariance, [2], [0]),
        sample_wise._second_joint: gaussian_information(covariance, [0, 2], [1]),
        sample_wise._known: -math.log(1 - conditional_correlation(covariance) ** 2) / 2,
    }
    for letter, value in truth.items():
        found = float(sample_wise._linear[letter].subs(point))
        assert found == pytest.approx(value, rel=1e-9, abs=1e-12)


def conditional_correlation(covariance):
    """Correlation of the first two coordinates of a normal vector, given the third."""
    given_third = (
        covariance[:2, :2] - np.outer(covariance[:2, 2], covariance[2, :2]) / (covariance[2, 2])
    )
    return given_third[0, 1] / math.sqrt(given_third[0, 0] * given_third[1, 1])


def test_the_chain_rule_without_its_last_term_is_refuted():
    letters = sample_wise
    opening = Derivation.of(letters.whole, letters.whole)
    with pytest.raises(Refuted):
        opening.granted(
            "=",
            letters._first + letters._second,
            cite="",
            by="",
            witness=letters._linear,
        )
    with pytest.raises(Refuted):
        Derivation.of(letters._mean, letters._mean).granted(
            "<=",
            sp.Rational(9, 10) * letters.whole / letters._n,
            cite="",
            by="",
            # without noise to speak of each datum alone is worth little: take much noise
            witness={
                letters._n: 2,
                letters._mean: (
                    letters._linear[letters._first] + letters._linear[letters._second]
                ).subs(letters._tau, 100)
                / 2,
                letters.whole: letters._linear[letters.whole].subs(letters._tau, 100),
            },
        )


def test_a_mean_in_noise():
    generator = torch.Generator().manual_seed(0)
    z = 10 ** (6 * torch.rand(5000, generator=generator, dtype=torch.float64) - 3)
    n = torch.randint(2, 1000, (5000,), generator=generator).double()
    one, whole = (
        Derivation.of(sp.Symbol("I"), step.expr).to_torch(*sample_wise.mean_learner_args)(
            n - 1, z, 3
        )
        for step in (sample_wise.mean_learner.steps[0], sample_wise.mean_learner.steps[-1])
    )
    tau2 = 1 / (n * z)
    single = 1.5 * torch.log((1 / n + tau2) / ((n - 1) / n**2 + tau2))
    torch.testing.assert_close(one, n * single)
    torch.testing.assert_close(whole, 1.5 * torch.log1p(1 / (n * tau2)))
    assert bool((one <= whole * (1 + 1e-9)).all())
    roots = sample_wise.root_information.to_torch(sample_wise.whole, sample_wise._n)
    assert bool((single.sqrt() <= roots(whole, n) * (1 + 1e-9)).all())
