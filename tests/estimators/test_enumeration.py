"""The binary instance of Theorem C: golden digits, a slow twin, and thousands of instances."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genbound.derivations import discrete
from genbound.derivations.change_of_measure import information
from genbound.derivations.encoder_generator import scale_generator, weighted_root
from genbound.estimators.enumeration import two_values


def words(q, p, n):
    return two_values(torch.tensor(q), torch.tensor(p), n)


def value(derivation, case):
    return derivation.to_torch(*case)(*case.values())


def test_golden_digits():
    case = words(0.3, 0.2, 5)
    root = case[weighted_root] * math.sqrt(2)
    generator_term = case[scale_generator] * (2 * case[information]).sqrt()
    golden = {
        case[discrete.kl]: 0.045155,
        case[discrete.joint_error]: 0.028726,
        case[discrete.information_hat]: 0.130950,
        case[discrete.entropy_hat]: 0.491204,
        case[discrete.entropy]: 0.610864,
        root: 0.339085,
        case[scale_generator]: 0.895880,
        case[information]: 0.119660,
        generator_term: 0.438267,
        value(discrete.kept, case): 0.555469,
        value(discrete.theorem, case): 0.675129,
    }
    for found, digits in golden.items():
        assert abs(float(found) - digits) < 6e-7, digits
    noisier = words(0.3, 0.45, 5)
    assert abs(float(noisier[discrete.kl]) - 0.056262) < 6e-7
    assert abs(float(value(discrete.kept, noisier)) - 0.357332) < 6e-7


def slowly(q, p, n):
    """Every sample, every datum, every code, one at a time."""
    truth, flip = (1 - q, q), lambda x, z: 1 - p if x == z else p
    totals = dict.fromkeys(("kl", "joint", "info", "entropy", "loss", "prior", "root"), 0.0)
    joint_law = {}
    losses = []
    rate = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    for sample in itertools.product((0, 1), repeat=n):
        weight = math.prod(truth[x] for x in sample)
        k = sum(sample)
        share = (k + 1) / (n + 2)

        def g(x, z, share=share):
            mass = {1: share * flip(1, z), 0: (1 - share) * flip(0, z)}
            return mass[x] / (mass[0] + mass[1])

        seen = {0: 1 - k / n, 1: k / n}
        mixture = {z: sum(seen[x] * flip(x, z) for x in (0, 1)) for z in (0, 1)}
        bar = {x: -(math.log(g(x, 0)) + math.log(g(x, 1))) / 2 for x in (0, 1)}
        losses += bar.values()
        totals["kl"] += weight * sum(
            truth[x] * math.log(truth[x] / ((g(x, 0) + g(x, 1)) / 2)) for x in (0, 1)
        )
        totals["prior"] += weight * sum(truth[x] * bar[x] for x in (0, 1))
        for x in sample:
            part = weight / n
            totals["entropy"] -= part * math.log(seen[x])
            constant = abs(math.log(g(x, 0) / g(x, 1))) / 2
            totals["root"] += part * constant * math.sqrt(max(rate, 0.0))
            for z in (0, 1):
                code = part * flip(x, z)
                totals["loss"] -= code * math.log(g(x, z))
                totals["info"] += code * math.log(flip(x, z) / mixture[z])
                totals["joint"] += code * math.log(seen[x] * flip(x, z) / (mixture[z] * g(x, z)))
        joint_law[k, sample[0]] = joint_law.get((k, sample[0]), 0.0) + weight
    of_k = {k: sum(joint_law.get((k, x), 0) for x in (0, 1)) for k in range(n + 1)}
    totals["shared"] = sum(
        mass * math.log(mass / (of_k[k] * truth[x])) for (k, x), mass in joint_law.items()
    )
    totals["range"] = (max(losses) - min(losses)) / 2
    return totals


@given(st.floats(0.02, 0.98), st.floats(0.01, 0.5), st.integers(1, 6))
@settings(max_examples=25)
def test_against_the_slow_twin(q, p, n):
    slow = slowly(q, p, n)
    case = two_values(*torch.tensor([q, p], dtype=torch.float64), n)
    letters = {
        "kl": discrete.kl,
        "joint": discrete.joint_error,
        "info": discrete.information_hat,
        "entropy": discrete.entropy_hat,
        "loss": discrete.encoded_loss_hat,
        "prior": discrete.prior_loss,
        "root": weighted_root,
        "shared": information,
        "range": scale_generator,
    }
    for name, letter in letters.items():
        assert abs(float(case[letter]) - slow[name]) < 1e-9, name


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 30, 100])
def test_theorem_c_never_falls_below_the_truth(n):
    """400 random laws and noise levels for each n: bound, identity and entropies."""
    generator = torch.Generator().manual_seed(n)
    q, p = torch.rand(2, 400, generator=generator, dtype=torch.float64) * 0.998 + 1e-3
    case = two_values(q, p / 2, n)
    kept, total = value(discrete.kept, case), value(discrete.theorem, case)
    assert bool((kept >= case[discrete.kl]).all()) and bool((total >= kept - 1e-12).all())
    identity = value(discrete.identity, case)
    assert float((identity - case[discrete.encoded_loss_hat]).abs().max()) < 1e-12
    # H(P) exceeds the mean empirical entropy by exactly the information in one datum.
    difference = case[discrete.entropy] - case[discrete.entropy_hat] - case[information]
    assert float(difference.abs().max()) < 1e-12


def test_without_its_generator_term_the_bound_fails():
    """A negative control: the check above can see a bound that is none."""
    q = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    case = two_values(q, torch.tensor(0.499), 1)
    case[scale_generator] = torch.zeros_like(q)
    assert bool((value(discrete.kept, case) < case[discrete.kl]).any())


def test_shapes_broadcast():
    case = two_values(torch.rand(3, 1) * 0.8 + 0.1, torch.tensor([0.1, 0.5]), 4)
    assert {tuple(v.shape) for v in case.values()} <= {(3, 2)}


@pytest.mark.parametrize(
    ("q", "p", "n", "name"),
    [(0.0, 0.1, 2, "q"), (1.0, 0.1, 2, "q"), (0.5, 0.0, 2, "p"), (0.5, 0.6, 2, "p")]
    + [(0.5, 0.1, 0, "n")],
)
def test_bad_input_is_named(q, p, n, name):
    with pytest.raises(ValueError, match=f"^{name}: .*allowed is"):
        words(q, p, n)
