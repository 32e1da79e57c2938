"""The letters of the diffusion bounds as measured terms: one estimator for each."""

import math
from functools import partial

import sympy as sp
import torch
from torch import Generator, Tensor

from genbound.bound import Term
from genbound.bound.parts import Measure
from genbound.bounds.held_out import gap_term
from genbound.derivations import diffusion as proof
from genbound.derivations import gaussian
from genbound.derivations.change_of_measure import gap as gap_letter
from genbound.estimate import Estimate, combine, mean
from genbound.estimators import information as encoder
from genbound.estimators import released, score_matching, trajectory
from genbound.protocols import ScoreModel

__all__ = [
    "RATE",
    "ROOT_RATE",
    "closed_form",
    "encoder_information",
    "explicit",
    "held_out_gap",
    "noised_root_rate",
    "of_encoder",
    "over_data",
    "path_energy",
    "prior_kl",
    "prior_nll",
    "released_energy",
]


def over_data(symbol: sp.Symbol, title: str, estimator: Measure, draws: int) -> Term:
    """A letter that is a mean of the model's losses over the data."""

    def measure(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        return estimator(model, data, draws=draws, generator=generator)

    return Term(symbol, title, measure)


def of_encoder(symbol: sp.Symbol, title: str, estimator: Measure, when: str, draws: int) -> Term:
    """A letter of the noised data at one of the model's times, by Monte Carlo."""

    def measure(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        time = getattr(model, when)
        return estimator(model.process, data, time, draws=draws, generator=generator)

    return Term(symbol, title, measure)


def closed_form(symbol: sp.Symbol, title: str, estimator: Measure) -> Term:
    """A letter of the noised data at the horizon that needs no draws."""

    def measure(model: ScoreModel, data: Tensor, **_: object) -> Estimate:
        return estimator(model.process, data, model.horizon)

    return Term(symbol, title, measure)


def explicit(draws: int) -> Term:
    """Explicit score-matching loss against the score of the noised sample."""
    title = "explicit score-matching loss"
    return over_data(proof.esm_hat, title, score_matching.explicit, draws)


def encoder_information(draws: int) -> Term:
    """Information that the encoder keeps at the horizon about which datum it was given."""
    estimator = encoder.encoder_information
    return of_encoder(proof.info_end_hat, "encoder information", estimator, "horizon", draws)


def prior_kl(draws: int) -> Term:
    """What the bound says of a model that learned nothing: KL(P-hat_t_min || N(0, I))."""
    return of_encoder(proof.kl, "divergence of the prior", encoder.aggregate_kl, "t_min", draws)


def noised_root_rate(draws: int) -> Term:
    """Mean root of KL(E_{T|eps}(x_eps) || pi), where x_eps is a datum noised to t_min."""
    kl = gaussian.prior_kl.to_torch(*gaussian.prior_kl_args)

    def measure(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        signal_scale, noise_scale = (float(word) for word in model.process.moments(model.t_min))
        kept = (float(model.process.moments(model.horizon)[0]) / signal_scale) ** 2
        data = data.double()
        total = torch.zeros_like(data[:, 0])
        for _ in range(draws):
            noise = torch.randn(
                data.shape, generator=generator, dtype=data.dtype, device=data.device
            )
            norm2 = (signal_scale * data + noise_scale * noise).square().sum(-1)
            total += kl(kept, norm2, data.shape[-1]).clamp(min=0).sqrt()
        return mean(total / draws, method=f"root of a closed form, {draws} draws per datum")

    return Term(proof.root_rate, "mean root of the rate from t_min on", measure)


def path_energy(paths: int, step: float, reference: trajectory.Reference) -> Term:
    """Energy of the generating path against a reference score that saw no data."""

    def measure(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        return trajectory.path_energy(
            model,
            reference=reference,
            d=data.shape[-1],
            paths=paths,
            step=step,
            generator=generator,
            dtype=data.dtype,
            device=data.device,
        )

    return Term(proof.energy, "score along the generating path", measure)


def held_out_gap(held_out: Tensor, draws: int) -> Term:
    """Denoising loss on fresh data less that on the training data."""
    loss = partial(score_matching.denoising, draws=draws)
    method = f"held-out less training loss, {draws} draws"
    return gap_term(gap_letter, "gap on held-out data", loss, held_out, method=method)


def prior_nll() -> Term:
    """Negative log-likelihood of the noised data under the prior."""

    def measure(model: ScoreModel, data: Tensor, **_: object) -> Estimate:
        signal_scale, noise_scale = model.process.moments(model.t_min)
        d = data.shape[-1]
        norm2 = signal_scale**2 * data.double().square().sum(-1) + noise_scale**2 * d
        return mean((norm2 + d * math.log(2 * math.pi)) / 2, method="closed form per datum")

    return Term(proof.nll, "negative log-likelihood of the prior", measure)


def released_energy(steps: int) -> Term:
    """The generator term as coded by the authors: for comparison only."""
    largest = sp.Symbol("L")

    def measure(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        norm = released.score_bound(model, data, steps=steps, generator=generator)
        clock = float(model.process.clock_of(model.horizon))
        return combine(clock / 2 * largest**2, {largest: norm}, method=norm.method)

    return Term(proof.energy, "largest batch-mean score norm", measure)


RATE = closed_form(proof.rate, "rate", encoder.encoder_rate)
ROOT_RATE = closed_form(proof.root_rate, "mean root of the rate", encoder.encoder_root_rate)
