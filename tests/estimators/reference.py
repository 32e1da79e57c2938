"""Slow and obvious versions of what the package computes fast, and models with known answers."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genbound.sampler import reverse_chain, step_mean, time_grid
from genbound.sde import LinearSDE, vp


@dataclass
class Model:
    """Any score."""

    score: Any
    process: Any = field(default_factory=vp)
    horizon: float = 1.0
    t_min: float = 0.02


def seeded(seed=0):
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


@dataclass
class GaussianScore:
    """The exact score of noised N(mean, variance I): a model whose chain stays Gaussian."""

    process: LinearSDE
    horizon: float
    t_min: float
    mean: Tensor
    variance: float = 1.0

    def law(self, time):
        """Signal scale and variance at a time, both of shape (..., 1)."""
        time = torch.as_tensor(time, dtype=torch.float64)
        signal_scale, noise_scale = (scale[..., None] for scale in self.process.moments(time))
        return signal_scale, signal_scale**2 * self.variance + noise_scale**2

    def score(self, noisy, time):
        signal_scale, variance = self.law(time)
        return (signal_scale * self.mean - noisy) / variance

    def chain(self, step):
        """Times, clock increments, and means (d,) and variances of the chain's states, exactly."""
        times = time_grid(self.process, self.horizon, self.t_min, step=step)
        increments = -self.process.clock_of(times).diff()
        scales, _ = self.process.moments(times)
        means, variances = [torch.zeros_like(self.mean)], [1.0]
        for k, increment in enumerate(increments):
            signal_scale, variance = (float(word) for word in self.law(times[k]))
            pull = float(increment) / variance
            factor = float(1 + scales[k + 1].log() - scales[k].log()) - pull
            means.append(factor * means[-1] + pull * signal_scale * self.mean)
            variances.append(factor**2 * variances[-1] + float(increment))
        return times, increments, means, variances


def naive_encoder_information(centres, variance, *, draws, generator):
    """Mean KL of each Gaussian to the mixture of all, one at a time; value and MC error."""
    n, d = centres.shape
    components = Independent(Normal(centres, torch.full((n, d), math.sqrt(variance))), 1)
    mixture = MixtureSameFamily(Categorical(torch.ones(n).double()), components)
    values, noise = [], []
    for centre in centres:
        own = Independent(Normal(centre, torch.full((d,), math.sqrt(variance))), 1)
        y = centre + math.sqrt(variance) * torch.randn(draws, d, generator=generator).double()
        ratio = own.log_prob(y) - mixture.log_prob(y)
        values.append(ratio.mean())
        noise.append(ratio.var() / draws)
    return float(sum(values)) / n, math.sqrt(float(sum(noise))) / n


def two_point_information(gamma):
    """log 2 - E log(1 + exp(-2 gamma - 2 sqrt(gamma) xi)) by the trapezoidal rule."""
    xi = np.linspace(-12, 12, 20_001)
    weight = np.exp(-(xi**2) / 2) / math.sqrt(2 * math.pi)
    loss = np.logaddexp(0, -2 * gamma - 2 * math.sqrt(gamma) * xi)
    return math.log(2) - float((weight * loss).sum() * (xi[1] - xi[0]))


def orthogonal_information(n, kappa):
    """Information of n orthogonal centres of norm kappa in unit noise, by two nested quadratures.

    With S = exp(kappa xi_i) + sum_{j != i} exp(kappa xi_j - kappa^2) and independent xi it is
    log n + kappa E xi_i - E log S, and log S = int (exp(-e^w) - exp(-S e^w)) dw over the line.
    """
    xi = np.linspace(-12, 12, 1201)
    weight = np.exp(-(xi**2) / 2) / math.sqrt(2 * math.pi) * (xi[1] - xi[0])
    w = np.linspace(-80, 80, 801)[:, None]
    own = (weight * np.exp(-np.exp(w + kappa * xi))).sum(1)
    other = (weight * np.exp(-np.exp(w + kappa * xi - kappa**2))).sum(1)
    integrand = np.exp(-np.exp(w[:, 0])) - own * other ** (n - 1)
    return math.log(n) - float(integrand.sum() * (w[1, 0] - w[0, 0]))


def naive_chain_log_density(model, points, *, chains, step, generator):
    """Log density of the chain's end: the mixture of the last steps' Gaussian kernels."""
    n, d = points.shape
    start = torch.randn(chains, d, generator=generator, dtype=torch.float64)
    times = time_grid(model.process, model.horizon, model.t_min, step=step)
    *_, last = reverse_chain(model.process, model.score, start, times, generator=generator)
    scale = last.increment.sqrt().expand(chains, d)
    kernels = Independent(Normal(step_mean(model.process, last), scale), 1)
    log_kernels = torch.stack([kernels.log_prob(point) for point in points])
    return torch.logsumexp(log_kernels, 1) - math.log(chains)


def naive_energy_distance(first, second):
    """The U-statistic of the energy distance, pair by pair."""
    across = [float((x - y).norm()) for x in first for y in second]
    within = [
        [float((x - y).norm()) for i, x in enumerate(z) for j, y in enumerate(z) if i != j]
        for z in (first, second)
    ]
    return 2 * np.mean(across) - np.mean(within[0]) - np.mean(within[1])
