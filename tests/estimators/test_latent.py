"""The terms of a VAE against closed forms, naive loops and exact likelihoods."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)
from torch.utils._python_dispatch import TorchDispatchMode

from genbound.estimators import latent
from genbound.estimators.code_mixture import code_divergences
from genbound.models.linear_vae import LinearVAE

GOLDEN = LinearVAE.ppca(
    torch.tensor([[1.0], [0.5]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64), 0.25
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def linear(d: int, k: int, seed: int) -> LinearVAE:
    """A model whose encoder is not the posterior, of moderate size."""
    exact = LinearVAE.ppca(normal(d, k, seed=seed), normal(d, seed=seed + 1), 0.4)
    return LinearVAE(
        exact.weight,
        exact.centre,
        0.4,
        0.8 * exact.encoder_weight,
        exact.encoder_offset + 0.1,
        1.2 * exact.encoder_variance,
    )


def moments(data: Tensor) -> tuple[Tensor, Tensor]:
    return data.mean(0), (data - data.mean(0)).mT @ (data - data.mean(0)) / len(data)


@dataclass
class Codes:
    """An encoder whose data are the means and logarithmic scales of their codes."""

    k: int

    def encode(self, data: Tensor) -> Independent:
        means, log_scales = data.split(self.k, -1)
        return Independent(Normal(means, log_scales.exp()), 1)


def naive(means: Tensor, scales: Tensor, draws: int, seed: int) -> Tensor:
    """Divergence of every component from the mixture, by torch's own mixture."""
    n = len(means)
    mixture = MixtureSameFamily(
        Categorical(torch.ones(n, dtype=torch.float64)), Independent(Normal(means, scales), 1)
    )
    values = []
    for i in range(n):
        points = means[i] + scales[i] * normal(draws, means.shape[1], seed=seed + i)
        own = Independent(Normal(means[i], scales[i]), 1)
        values.append((own.log_prob(points) - mixture.log_prob(points)).mean())
    return torch.stack(values)


@given(d=st.integers(1, 4), k=st.integers(1, 3), seed=st.integers(0, 999))
def test_linear_terms_of_a_sample(d: int, k: int, seed: int) -> None:
    """Training distortion, rate and the like of a linear VAE follow from two moments."""
    model, data = linear(d, k, seed), normal(40, d, seed=seed + 2)
    exact = model.exact(*moments(data))
    assert latent.rate(model, data).value == pytest.approx(float(exact.rate), rel=1e-9)
    found = latent.distortion(model, data, draws=200, generator=seeded(seed))
    # The error given the data: that of the codes alone.
    spread = torch.stack(
        [latent._distortions(model, data, 200, seeded(seed + 1 + i)) for i in range(6)]
    ).mean(1)
    assert abs(found.value - float(exact.distortion)) < 6 * float(spread.std()) + 1e-9
    total = latent.nelbo(model, data, draws=200, generator=seeded(seed))
    assert total.value == pytest.approx(found.value + float(exact.rate), rel=1e-9)


def test_standard_errors_cover_the_population() -> None:
    """Over fresh samples the terms of D4 are hit as often as their errors say."""
    model = linear(3, 2, 5)
    law = MultivariateNormal(model.centre + 0.2, 1.3 * model.covariance)
    exact = model.exact(law.mean, law.covariance_matrix)
    truths = {"rate": exact.rate, "distortion": exact.distortion}
    truths["nelbo"] = exact.rate + exact.distortion
    hits = dict.fromkeys(truths, 0.0)
    for seed in range(200):
        data = (
            law.mean + normal(100, 3, seed=seed) @ torch.linalg.cholesky(law.covariance_matrix).mT
        )
        draws = {"draws": 4, "generator": seeded(seed)}
        found = {
            "rate": latent.rate(model, data),
            "distortion": latent.distortion(model, data, **draws),
            "nelbo": latent.nelbo(model, data, **draws),
        }
        for name, truth in truths.items():
            low, high = found[name].interval(0.9)
            hits[name] += (low <= truth <= high) / 200
    for name, share in hits.items():
        assert 0.83 < share < 0.97, (name, share)


def test_information_of_a_gaussian_code_is_the_closed_form() -> None:
    """With many data the mixture of the codes is the Gaussian of D4."""
    data = normal(3000, 2, seed=1) @ torch.linalg.cholesky(GOLDEN.covariance).mT
    exact = GOLDEN.exact(*moments(data))
    found = latent.information(GOLDEN, data, draws=8, generator=seeded())
    assert abs(found.value - float(exact.information)) < 4 * found.stderr
    assert found.stderr < 0.02
    together = latent.aggregate_kl(GOLDEN, data, draws=8, generator=seeded())
    assert abs(together.value - float(exact.aggregate_kl)) < 4 * together.stderr
    assert together.stderr < 0.02
    total = found.value + together.value
    assert total == pytest.approx(latent.rate(GOLDEN, data).value, rel=1e-9)


@given(n=st.integers(2, 9), k=st.integers(1, 3), spread=st.floats(0, 4), seed=st.integers(0, 999))
def test_information_is_the_naive_loop(n: int, k: int, spread: float, seed: int) -> None:
    means = spread * normal(n, k, seed=seed)
    scales = normal(n, k, seed=seed + 1).div(2).exp()
    parts = code_divergences(means, scales, draws=2000, generator=seeded(seed))
    slow = torch.stack([naive(means, scales, 1000, seed + 100 * i) for i in range(1, 5)])
    error = (parts.noise + slow.var(0) / 4).sqrt() + slow.var(0).sqrt().max() / 2
    assert ((parts.kl - slow.mean(0)).abs() < 6 * error + 1e-9).all()
    found = latent.information(
        Codes(k), torch.cat([means, scales.log()], 1), draws=4, generator=seeded(seed)
    )
    assert 0 <= found.value <= math.log(n)


def test_equal_scales_agree_with_the_isotropic_estimator() -> None:
    from genbound.estimators.mixture_divergence import divergences_to_mixture

    centres = 2 * normal(60, 3, seed=3)
    fast = divergences_to_mixture(centres, draws=2000, generator=seeded(1))
    here = code_divergences(centres, torch.ones_like(centres), draws=2000, generator=seeded(2))
    assert ((fast.kl - here.kl).abs() < 6 * (fast.noise + here.noise).sqrt()).all()
    assert (fast.effect - here.effect).std() < 0.1 * fast.effect.std()


@pytest.mark.parametrize("spread", [0.0, 1e3])
def test_the_ends_of_the_range_are_reached(spread: float) -> None:
    """Equal codes tell nothing; codes far apart tell all, to the last digit."""
    data = torch.cat([spread * normal(50, 2, seed=1), torch.full((50, 2), -1.0)], 1).double()
    found = latent.information(Codes(2), data, draws=4, generator=seeded())
    assert found.value == pytest.approx(math.log(50) if spread else 0.0, abs=1e-12)
    assert found.stderr == pytest.approx(0.0, abs=1e-9)


def test_tiny_scales_leave_digits() -> None:
    """Two codes at distance 2 s with scale s = 1e-5, far from the origin."""
    scale = 1e-5
    means = torch.tensor([[3.0], [3.0 + 2 * scale]], dtype=torch.float64)
    data = torch.cat([means, torch.full((2, 1), math.log(scale), dtype=torch.float64)], 1)
    found = latent.information(Codes(1), data, draws=200_000, generator=seeded())
    assert found.value == pytest.approx(0.336831, abs=2e-3)


def test_information_errors_cover_its_mean_over_samples() -> None:
    def sample(seed: int) -> Tensor:
        return torch.cat([1.5 * normal(60, 2, seed=seed), 0.5 * normal(60, 2, seed=-seed - 1)], 1)

    def measure(seed: int) -> object:
        return latent.information(Codes(2), sample(seed), draws=8, generator=seeded(seed))

    found = [measure(seed) for seed in range(120)]
    values = torch.tensor([each.value for each in found], dtype=torch.float64)
    claimed = torch.tensor([each.stderr for each in found], dtype=torch.float64)
    assert float(claimed.mean()) == pytest.approx(float(values.std()), rel=0.25)


def test_a_random_part_of_the_data_agrees_with_all() -> None:
    data = torch.cat([2 * normal(400, 2, seed=1), 0.3 * normal(400, 2, seed=2)], 1)
    all_of_them = latent.information(Codes(2), data, draws=64, generator=seeded(1))
    part = latent.information(Codes(2), data, draws=64, generator=seeded(2), among=80)
    assert part.n == 80 and part.stderr > all_of_them.stderr
    assert abs(part.value - all_of_them.value) < 4 * part.stderr


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that was made."""

    entries = 0

    def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


def test_memory_does_not_grow_with_the_square_of_the_data() -> None:
    n, k, draws = 4000, 8, 4
    data = torch.cat([normal(n, k, seed=1), normal(n, k, seed=2)], 1)
    with Largest() as largest:
        latent.information(Codes(k), data, draws=draws, generator=seeded(), among=200)
        latent.nelbo(linear(8, 3, 0), data[:, :8], draws=64, generator=seeded())
    assert n * draws < largest.entries <= 2**21


@given(d=st.integers(1, 4), k=st.integers(1, 2), seed=st.integers(0, 999))
def test_importance_sampling_finds_the_exact_likelihood(d: int, k: int, seed: int) -> None:
    model = linear(d, k, seed)
    data = model.centre + normal(30, d, seed=seed + 2)
    exact = -model.log_density(data)
    found = latent.importance_losses(model, data, samples=4000, generator=seeded(seed))
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.05)


def test_importance_sampling_with_the_posterior_is_exact() -> None:
    data = normal(20, 2, seed=1)
    found = latent.importance_losses(GOLDEN, data, samples=1, generator=seeded())
    torch.testing.assert_close(found, -GOLDEN.log_density(data))


def test_importance_sampling_comes_from_above() -> None:
    """One code gives the negative ELBO; each doubling lowers the value towards the truth."""
    model = linear(3, 2, 7)
    data = model.centre + normal(4000, 3, seed=8)
    estimates = [
        latent.importance_nll(model, data, samples=samples, generator=seeded(samples))
        for samples in (1, 4, 16, 64)
    ]
    assert {estimate.side for estimate in estimates} == {"upper"}
    values = [estimate.value for estimate in estimates]
    assert values == sorted(values, reverse=True)
    truth = float(-model.log_density(data).mean())
    assert truth < values[-1] + 0.005 < truth + 0.02
    exact = model.exact(*moments(data))
    assert values[0] == pytest.approx(float(exact.distortion + exact.rate), abs=0.06)


def test_roots_are_below_the_root_of_the_mean() -> None:
    data = normal(200, 2, seed=3)
    root, rate = latent.root_rate(GOLDEN, data), latent.rate(GOLDEN, data)
    assert 0 < root.value < math.sqrt(rate.value)
    means = GOLDEN.encode(data).mean
    scale2 = GOLDEN.encoder_variance
    rates = (means.square().sum(1) + scale2.sum() - 1 - scale2.log().sum()) / 2
    assert root.value == pytest.approx(float(rates.sqrt().mean()))


@dataclass
class Coins:
    """Bernoulli likelihood that ignores its code: the likelihood is a product, exactly."""

    probability: Tensor

    def encode(self, data: Tensor) -> Independent:
        code = data[..., :1] * 0.3
        return Independent(Normal(code, torch.ones_like(code)), 1)

    def decode(self, code: Tensor) -> Independent:
        probability = self.probability.expand(*code.shape[:-1], -1)
        return Independent(Bernoulli(probs=probability), 1)


def test_left_scale_of_a_binary_likelihood() -> None:
    probability = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    model = Coins(probability)
    data = torch.bernoulli(probability.expand(5000, 3), generator=seeded())
    losses = -Independent(Bernoulli(probs=probability), 1).log_prob(data)
    found = latent.left_scale(model, data, samples=400, generator=seeded(1))
    assert found.side == "upper"
    assert found.value == pytest.approx(float(losses.square().mean().sqrt()), rel=5e-3)
    lower = latent.left_scale(model, data, samples=400, generator=seeded(1), floor=0.5)
    assert lower.value < found.value
    with pytest.raises(ValueError, match="floor: got 3"):
        latent.left_scale(model, data, samples=4, generator=seeded(1), floor=3.0)


def test_the_seed_fixes_the_number_and_single_precision_agrees() -> None:
    data = normal(50, 2, seed=4)
    one, two = (
        latent.importance_nll(GOLDEN, data, samples=8, generator=seeded(3)).value for _ in range(2)
    )
    assert one == two
    weight = torch.tensor([[1.0], [0.5]])
    single = LinearVAE.ppca(weight, torch.zeros(2), 0.25)
    for name in ("rate", "root_rate"):
        expected = getattr(latent, name)(GOLDEN, data).value
        assert getattr(latent, name)(single, data.float()).value == pytest.approx(expected, 1e-5)


class Foreign:
    """An encoder of another family."""

    def encode(self, data: Tensor) -> Independent:
        return Independent(Laplace(data, torch.ones_like(data)), 1)


def test_bad_input_is_refused() -> None:
    data = normal(10, 2, seed=0)
    with pytest.raises(TypeError, match="encode: got Independent of Laplace"):
        latent.rate(Foreign(), data)
    with pytest.raises(TypeError, match="encode: got MultivariateNormal"):
        latent._normal(MultivariateNormal(torch.zeros(2), torch.eye(2)))
    with pytest.raises(ValueError, match="data: got shape"):
        latent.rate(GOLDEN, data[0])
    for draws in (3, 2):
        with pytest.raises(ValueError, match="draws: got"):
            latent.information(GOLDEN, data, draws=draws, generator=seeded())
    with pytest.raises(ValueError, match="data: got 1 rows"):
        latent.information(GOLDEN, data[:1], draws=4, generator=seeded())
    with pytest.raises(ValueError, match="among: got 11"):
        latent.information(GOLDEN, data, draws=4, generator=seeded(), among=11)
    with pytest.raises(ValueError, match="draws: got 0"):
        latent.distortion(GOLDEN, data, draws=0, generator=seeded())
    with pytest.raises(ValueError, match="samples: got 0"):
        latent.importance_nll(GOLDEN, data, samples=0, generator=seeded())
