import math

import pytest
import sympy as sp
import torch

from genbound.derivation import Derivation
from genbound.derivations import parameter_information as proof
from genbound.derivations.trade_off import M, d, n
from genbound.symbolic import Refuted, verify


def cases(count=4000):
    gen = torch.Generator().manual_seed(1)
    sizes = torch.randint(2, 300, (count,), generator=gen).double()
    dims = torch.randint(1, 30, (count,), generator=gen).double()
    norm2, tau2 = torch.randn(2, count, generator=gen, dtype=torch.float64).mul(2).exp()
    return sizes, dims, norm2, tau2


def test_what_is_granted_is_witnessed():
    granted = {
        "per_datum",
        "gaussian_weights",
        "gaussian_channel",
        "noisy_sgd",
        "noisy_sgd_capacity",
        "quantised",
    }
    for name, derivation in vars(proof).items():
        if isinstance(derivation, Derivation):
            allowed = {"defined", "proved"} | ({"granted"} if name in granted else set())
            assert set(derivation.grades) <= allowed, name
            assert all("not checked" not in step.detail for step in derivation.steps), name


DESCENT = proof.rate**2 * proof.gradients2 / (2 * proof.noise_variance)


@pytest.mark.parametrize(
    ("right", "witness"),
    [
        (0.9 * DESCENT, proof._descent),
        (
            proof.weights * proof.bits * sp.log(2) * sp.Rational(9, 10),
            {
                proof.information: -proof._q * sp.log(proof._q)
                - (1 - proof._q) * sp.log(1 - proof._q),
                proof.weights: 1,
                proof.bits: 1,
            },
        ),
        (
            sp.Rational(9, 10) * proof.moved2 / (2 * proof.tau2),
            {proof.information: proof.mean_learner.expr, proof.moved2: d / n},
        ),
    ],
)
def test_wrong_constants_are_refuted(right, witness):
    domain = {proof.keep: (0, 1), proof._q: (0, 1), n: (1, None)}
    with pytest.raises(Refuted):
        verify("<=", proof.information, sp.nsimplify(right), witness=witness, domain=domain)


def test_no_bound_lies_below_the_exact_information():
    sizes, dims, norm2, tau2 = cases()
    exact = proof.mean_learner.to_torch(n, d, proof.tau2)(sizes, dims, tau2)
    moved = proof.gaussian_weights.to_torch(proof.moved2, proof.tau2)
    spread = proof.gaussian_channel.to_torch(proof.spread, proof.tau2)
    channel = proof.gaussian_channel.steps[2].expr
    letters = (proof.weights, proof.spread, proof.tau2)
    channel = Derivation.of(proof.information, channel).to_torch(*letters)
    torch.testing.assert_close(channel(dims, dims / sizes, tau2), exact)
    assert bool((exact <= spread(dims / sizes, tau2)).all())
    assert bool((spread(dims / sizes, tau2) <= moved(norm2 + dims / sizes, tau2)).all())
    datum = proof.mean_learner_datum.to_torch(n, d, proof.tau2)(sizes, dims, tau2)
    assert bool((datum <= exact / sizes + 1e-12).all())
    quiet = proof.mean_learner_datum.to_torch(n, d, proof.tau2)(sizes, dims, tau2 * 1e-20)
    torch.testing.assert_close(quiet, dims / 2 * torch.log(sizes / (sizes - 1)))


def test_noisy_descent_is_bounded_and_its_information_saturates():
    sizes, dims, norm2, noise2 = cases()
    gen = torch.Generator().manual_seed(2)
    keep = torch.rand(len(sizes), generator=gen, dtype=torch.float64).clamp(0.01, 0.99)
    steps = torch.randint(1, 100, (len(sizes),), generator=gen).double()
    letters = (proof.keep, proof.steps, n, d, proof.noise_variance)
    exact = proof.noisy_mean_learner.to_torch(*letters)
    truth = exact(keep, steps, sizes, dims, noise2)
    gradients2 = proof.noisy_gradients.to_torch(*letters, M)(
        keep, steps, sizes, dims, noise2, norm2
    )
    bound = (1 - keep).square() * gradients2 / (2 * noise2)
    assert bool((truth <= bound).all())
    assert float((truth / bound).max()) > 0.5
    last, later = (exact(0.9, k, 10, 2, 0.1) for k in (1000, 2000))
    assert float(last) == pytest.approx(float(later)) == pytest.approx(math.log(1 + 0.19 / 1))


def test_noisy_descent_against_simulation():
    gen = torch.Generator().manual_seed(3)
    rate, noise, steps, size, count = 0.3, 0.2, 7, 5, 400_000
    learned = 1.5 + torch.randn(count, generator=gen, dtype=torch.float64) / math.sqrt(size)
    theta, gradients2 = torch.zeros_like(learned), torch.zeros_like(learned)
    for _ in range(steps):
        gradient = theta - learned
        gradients2 += gradient.square()
        theta = (
            theta
            - rate * gradient
            + noise * torch.randn(count, generator=gen, dtype=torch.float64)
        )
    correlation = float(torch.corrcoef(torch.stack([theta, learned]))[0, 1])
    letters = (proof.keep, proof.steps, n, d, proof.noise_variance)
    point = (1 - rate, steps, size, 1, noise**2)
    exact = float(proof.noisy_mean_learner.to_torch(*letters)(*point))
    # The correlation of normal pairs is known to (1 - rho^2) / sqrt(count).
    error = abs(correlation) / math.sqrt(count)
    assert abs(-math.log(1 - correlation**2) / 2 - exact) <= 4 * error
    solved = float(proof.noisy_gradients.to_torch(*letters, M)(*point, 1.5**2))
    assert abs(float(gradients2.mean()) - solved) <= 4 * float(gradients2.std()) / math.sqrt(count)
