"""The same quantities the slow and obvious way: what the cases of the suite are held against."""

import math

import numpy as np
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from genbound.sde import LinearSDE


def kde_loop(centres: Tensor, variance: float, *, draws: int, components: int) -> float:
    """Information of a mixture, one kernel density fit and score per component."""
    places = centres.numpy()
    n, d = places.shape
    random = np.random.default_rng(0)
    total = 0.0
    for centre in places[:components]:
        noisy = random.multivariate_normal(centre, variance * np.eye(d), size=draws)
        density = KernelDensity(bandwidth=math.sqrt(variance)).fit(places)
        own = -((noisy - centre) ** 2).sum(1) / (2 * variance)
        own -= d / 2 * math.log(2 * math.pi * variance)
        total += float((own - density.score_samples(noisy)).mean())
    return total / components


def exact_loop(centres: Tensor, variance: float, *, draws: int, components: int) -> float:
    """The same with an exact mixture density, still one component at a time."""
    n, d = centres.shape
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for centre in centres[:components]:
        noise = torch.randn(draws, d, generator=generator, dtype=centres.dtype)
        noisy = centre + math.sqrt(variance) * noise
        distances = torch.cdist(noisy, centres).square()
        log_mixture = torch.logsumexp(-distances / (2 * variance), 1) - math.log(n)
        own = -(noisy - centre).square().sum(1) / (2 * variance)
        total += float((own - log_mixture).mean())
    return total / components


def rates_by_cholesky(process: LinearSDE, data: Tensor, time: float) -> float:
    """Mean root divergence from the prior, one general multivariate normal per datum."""
    signal_scale, noise_scale = process.moments(time)
    eye = torch.eye(data.shape[1], dtype=data.dtype)
    prior = MultivariateNormal(torch.zeros_like(data[0]), eye)
    laws = (MultivariateNormal(signal_scale * x, noise_scale.double() ** 2 * eye) for x in data)
    return sum(float(kl_divergence(law, prior).sqrt()) for law in laws) / len(data)


def euler_maruyama_energy(model, *, d: int, paths: int, steps: int) -> float:
    """Energy of the score along the reverse path, by way of NumPy at every step."""
    random = np.random.default_rng(0)
    state, total = random.standard_normal((paths, d)), 0.0
    step = (model.horizon - model.t_min) / steps
    for k in range(steps):
        time = model.horizon - k * step
        beta = float(model.process.diffusion2_of(torch.tensor(time)))
        score = model.score(torch.tensor(state, dtype=torch.float32), time).numpy()
        total += step * beta / 2 * float((score**2).sum(1).mean())
        state = state + step * beta * (state / 2 + score)
        state = state + math.sqrt(step * beta) * random.standard_normal(state.shape)
    return total


def train_one_after_the_other(objective, build, data: Tensor, members, *, steps: int) -> list:
    """Every member in its own loop with the optimiser of the library."""
    modules: list[nn.Module] = []
    for member in members:
        module = build(member)
        optimiser = torch.optim.Adam(module.parameters(), lr=member["lr"])
        generator = torch.Generator().manual_seed(member["seed"])
        for _ in range(steps):
            loss = objective.loss(module, objective.draw(data, generator))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        modules.append(module)
    return modules


def langevin_one_after_the_other(
    objective, build, data: Tensor, members, *, steps: int, inverse_temperature: float
) -> list:
    """Every member in its own loop, a step of descent and then noise on each weight."""
    modules: list[nn.Module] = []
    for member in members:
        module, lr = build(member), member["lr"]
        generator = torch.Generator(data.device).manual_seed(member["seed"])
        for _ in range(steps):
            loss = objective.loss(module, objective.draw(data, generator))
            module.zero_grad()
            loss.backward()
            with torch.no_grad():
                for weight in module.parameters():
                    noise = torch.empty_like(weight).normal_(generator=generator)
                    weight.add_(weight.grad, alpha=-lr)
                    weight.add_(noise, alpha=math.sqrt(2 * lr / inverse_temperature))
        modules.append(module)
    return modules
