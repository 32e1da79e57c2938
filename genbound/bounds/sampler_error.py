"""What a sampler costs, term by term: its start, its steps, and the score it was given.

KL(P_delta || law of the sampler's end) for the exponential integrator of :mod:`genbound.sampler`
on a given grid. All losses are sums over that grid, in the package's nats; the derivations hold
the paper's convention. In the spirit of Theorem 3.1 of Dupuis et al. 2025 (arXiv 2506.03849).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import sympy as sp
import torch
from torch import Generator, Tensor

from genbound.arguments import Sample, Several, Times, declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bounds import diffusion_terms
from genbound.bounds.held_out import gap_term
from genbound.data import Source
from genbound.data.source import DRAWS
from genbound.derivations import sampler_steps as proof
from genbound.derivations.sampler_error import data_divergence, divergence, horizon
from genbound.estimate import Estimate
from genbound.estimators import fisher, information, sampler_losses
from genbound.estimators.data_term_parts import data_term_parts, irreducible_by_draws
from genbound.estimators.noise_levels import on_grid
from genbound.estimators.sampler_divergence import prior_kl
from genbound.protocols import ScoreModel

__all__ = ["sampler_kl", "sampler_kl_test_loss"]

_SOURCE = "Dupuis et al. 2025, in the spirit of Theorem 3.1"
_GRID = Assumption(
    "every step runs at most log 3 of half the clock; the grid is the model's", checked=True
)
_FRESH = Assumption("held-out data are fresh draws of P")
_GAP = Assumption("the given gap bounds that of the loss summed over this grid")
_SAMPLER = Assumption("the sampler starts at N(0, I) and holds the score over each step")
_KNOWN = Assumption("the given source is the law of the data")

_CLOCK = Constant(
    horizon,
    "horizon",
    "half the clock at the horizon",
    known=lambda model, _: float(model.process.clock_of(model.horizon)) / 2,
)


@declared
def sampler_kl(
    times: Times,
    *,
    source: Source | None = None,
    held_out: Sample | None = None,
    draws: int = 64,
    law_draws: Several = DRAWS,
) -> Bound:
    r"""KL(P_delta || sampler): initialisation, steps, optimisation, data and generalization.

    With a source, ``e^{-2T} KL(P || pi) + sum_k h_k (I_{k+1} - I_k) + 2 (L_ESM + Delta + G)``, for
    the model and the sample at hand. Without one the law of the data is unknown, and the bound is
    about means over samples: the data term, negative in the mean, is left out, the start is
    bounded by the mean divergence of a noised datum, and the Fisher informations by second
    moments, ``I_t <= alpha^2 E||X||^2 + d alpha^4 / sigma^2``.

    Args:
        times: The sampler's grid, decreasing from the model's horizon to its ``t_min``, shape
            ``(N + 1,)``. Its steps h_k, in half the clock, are at most log 3; without a source
            they must not grow towards the data, and ``t_min`` must be positive.
        source: The law of the data, with a density.
        held_out: Data that the model has not seen, shape ``(m, d)``. With them the gap is
            measured; without, it is the constant ``gap``.
        draws: Grid points per datum in each loss; even, at least 4.
        law_draws: Draws from the source.

    Returns:
        A bound. Its reference is the divergence of the prior, which a sampler without a score
        generates: of ``P_delta``, or, without a source, of the noised sample, which is larger.

    Reference:
        Dupuis et al. 2025, in the spirit of Theorem 3.1, constants of our own.
    """
    explicit = partial(sampler_losses.explicit, times=times, draws=draws)
    if source is None:
        theorem, gap = proof.in_expectation, proof.mean_gap
        optimisation, constants = proof.mean_optimisation, ()
        assumptions = (Assumption("in expectation over the sample: one gives an estimate of it"),)
        terms = (
            diffusion_terms.closed_form(
                proof.rate, "initialisation, by the rate", information.encoder_rate
            ),
            _on_grid(times, proof.kernel_rises, "steps, by second moments", _moment_rises),
        )
        trivial = diffusion_terms.prior_kl(draws)
    else:
        theorem, gap = proof.parts, proof.generalization
        optimisation, constants = proof.optimisation, (_CLOCK,)
        assumptions = (_KNOWN,)
        sampled = partial(_data_term, source=source, draws=draws, law_draws=law_draws)
        terms = (
            *_of_law(times, source, law_draws),
            _on_grid(times, proof.data_part, "data", sampled),
        )
        trivial = _without_learning(source)
    terms = (
        *terms,
        _on_grid(
            times,
            optimisation,
            "optimisation",
            lambda model, data, _, generator: explicit(model, data, generator=generator),
        ),
    )
    if held_out is None:
        bound = Constant(gap, "gap", "bound on the gap in nats, summed over this grid")
        constants, assumptions = (*constants, bound), (*assumptions, _GAP)
    else:
        loss = partial(sampler_losses.denoising, times=times, draws=draws)
        method = f"held-out less training loss, {draws} draws"
        terms = (*terms, gap_term(gap, "generalization", loss, held_out, method=method))
        assumptions = (*assumptions, _FRESH)
    return Bound(
        name="sampler_kl",
        theorem=theorem,
        terms=terms,
        constants=constants,
        contract=ScoreModel,
        source=_SOURCE,
        assumptions=(*assumptions, _GRID, _SAMPLER),
        trivial=trivial,
    )


@declared
def sampler_kl_test_loss(
    times: Times,
    *,
    source: Source,
    held_out: Sample,
    draws: int = 64,
    law_draws: Several = DRAWS,
) -> Bound:
    r"""The same bound with its three parts put together: test loss less what no score can avoid.

    ``e^{-2T} KL(P || pi) + sum_k h_k (I_{k+1} - I_k) + 2 (R - C(P))``, where R is the denoising
    loss on held-out data and C(P) the loss of the law's own score.

    Args:
        times: As for :func:`sampler_kl`.
        source: The law of the data, with a density.
        held_out: Data that the model has not seen, shape ``(m, d)``.
        draws: Grid points per datum in each loss.
        law_draws: Draws from the source.

    Returns:
        A bound; the training data play no part in it.

    Reference:
        Dupuis et al. 2025, in the spirit of Theorem 3.1, constants of our own.
    """

    def risk(model: ScoreModel, _: Tensor, times: Tensor, generator: Generator) -> Estimate:
        return sampler_losses.denoising(model, held_out, times, draws=draws, generator=generator)

    def constant(model: ScoreModel, _: Tensor, times: Tensor, generator: Generator) -> Estimate:
        fresh = _sample(source, law_draws, held_out, generator)
        levels = on_grid(model.process, times)
        return _of_draws(
            irreducible_by_draws(
                source, model.process, fresh, levels, draws=2, generator=generator
            )
        )

    return Bound(
        name="sampler_kl_test_loss",
        theorem=proof.test_loss,
        terms=(
            *_of_law(times, source, law_draws),
            _on_grid(times, proof.risk, "loss on held-out data", risk),
            _on_grid(times, proof.constant, "loss of the law's own score", constant),
        ),
        constants=(_CLOCK,),
        contract=ScoreModel,
        source=_SOURCE,
        assumptions=(_KNOWN, _FRESH, _GRID, _SAMPLER),
        trivial=_without_learning(source),
    )


def _on_grid(
    times: Tensor,
    symbol: sp.Symbol,
    title: str,
    estimator: Callable[[ScoreModel, Tensor, Tensor, Generator], Estimate],
) -> Term:
    """A letter measured on a grid that was found to fit the model and the theorem."""

    def measure(model: ScoreModel, data: Tensor, *, generator: Generator) -> Estimate:
        if not model.process.preserves_variance:
            raise ValueError("process: the sampler needs one that preserves variance")
        ends = (float(times[0]), float(times[-1]))
        allowed = (model.horizon, model.t_min)
        # single precision is precise enough for the ends of a grid
        if not all(abs(a - b) <= 1e-6 * model.horizon for a, b in zip(ends, allowed, strict=True)):
            raise ValueError(f"times: got the ends {ends}, allowed are {allowed}")
        longest = -float(model.process.clock_of(times.double()).diff().min()) / 2
        if not longest <= math.log(3):
            raise ValueError(f"times: got a step of {longest:.3g}, allowed is at most log 3")
        return estimator(model, data, times, generator)

    return Term(symbol, title, measure)


def _of_law(times: Tensor, source: Source, law_draws: int) -> tuple[Term, Term]:
    def start(_model: ScoreModel, _data: Tensor, *, generator: Generator) -> Estimate:
        return _of_draws(prior_kl(source, generator=_on_cpu(generator)))

    def rises(model: ScoreModel, _: Tensor, times: Tensor, generator: Generator) -> Estimate:
        own = {"n": law_draws, "generator": _on_cpu(generator)}
        return _of_draws(fisher.rise(source, model.process, times.cpu(), **own))

    return (
        Term(data_divergence, "divergence of the data from the prior", start),
        _on_grid(times, proof.rises, "steps", rises),
    )


def _moment_rises(model: ScoreModel, data: Tensor, times: Tensor, _: Generator) -> Estimate:
    return fisher.rise_of_moments(model.process, times, data)


def _data_term(
    model: ScoreModel,
    data: Tensor,
    times: Tensor,
    generator: Generator,
    *,
    source: Source,
    draws: int,
    law_draws: int,
) -> Estimate:
    fresh = _sample(source, law_draws, data, generator)
    levels = on_grid(model.process, times)
    return data_term_parts(
        source, model.process, data, fresh, levels, draws=draws, generator=generator
    ).total


def _without_learning(source: Source) -> Term:
    def measure(model: ScoreModel, _: Tensor, *, generator: Generator) -> Estimate:
        noised = source.noised(model.process, model.t_min)
        return _of_draws(prior_kl(noised, generator=_on_cpu(generator)))

    return Term(divergence, "divergence of the prior", measure)


def _sample(source: Source, n: int, like: Tensor, generator: Generator) -> Tensor:
    fresh = source.sample(n, generator=_on_cpu(generator), dtype=like.dtype)
    return fresh.to(like.device)


def _on_cpu(generator: Generator) -> Generator:
    """Where the laws live: a generator there, of a state drawn from the given one."""
    if generator.device.type == "cpu":
        return generator
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))


def _of_draws(estimate: Estimate) -> Estimate:
    """The influences of draws from the law are none of the data."""
    return replace(estimate, influence=None)
