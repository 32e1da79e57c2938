"""The encoder-generator bound: how far fresh data lie from what the prior generates.

It evaluates on any :class:`genbound.protocols.EncoderGenerator`, with or without a density.
Source: Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Theorem 4.1.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bounds.held_out import gap_term
from genbound.derivations import encoder_generator as proof
from genbound.derivations.change_of_measure import gap
from genbound.estimate import Estimate, mean
from genbound.estimators import latent, reconstruction
from genbound.estimators.reconstruction import Discrepancy
from genbound.protocols import EncoderGenerator

__all__ = ["encoder_generator", "parts"]

Scales = Callable[[EncoderGenerator, Tensor], Tensor]

_EXPECTATION = Assumption("in expectation over the sample: one sample gives an estimate of it")
_TAIL = Assumption("each discrepancy is left-R-sub-Gaussian; only one that is >= 0 shows its R")
_FRESH = Assumption("held-out data are fresh draws of P")


@declared
def encoder_generator(
    *,
    discrepancy: Discrepancy,
    draws: int = 16,
    encoder_scales: Scales | None = None,
    held_out: Tensor | None = None,
    unit: str = "discrepancy",
) -> Bound:
    r"""Theorem A: E c(X, x~) for a fresh X and a generated x~, whatever the encoder.

    ``E c <= reconstruction + sqrt(2) mean R_1 sqrt(KL(E(X_i) || pi)) + R_2 sqrt(2 I)``

    Args:
        discrepancy: c(x, x~), a function of two batches of points ``(..., d)``.
        draws: Generated points per datum.
        encoder_scales: ``encoder_scales(model, data)`` gives R_1(S, X_i) of each datum, shape
            ``(n,)``; for a discrepancy that is never negative
            :func:`genbound.estimators.reconstruction.prior_scales` measures it. Without it one
            constant ``R_encoder`` must be given.
        held_out: Data that the model has not seen, shape ``(m, d)``. With them the generator's
            gap is measured and neither ``R_generator`` nor ``information`` is needed.
        unit: Unit of the discrepancy.

    Returns:
        A bound for any encoder with independent normal coordinates and any generator. Its
        trivial reference is the generator that draws from N(0, I_d), which has learned nothing.

    Reference:
        Chen et al. 2025, in the spirit of Theorem 4.1.
    """
    terms, constants, assumptions = parts(
        discrepancy=discrepancy, draws=draws, encoder_scales=encoder_scales, held_out=held_out
    )
    theorems = {
        (True, True): proof.theorem,
        (True, False): proof.held_out,
        (False, True): proof.weighted,
        (False, False): proof.weighted_held_out,
    }
    return Bound(
        name="encoder_generator",
        theorem=theorems[encoder_scales is None, held_out is None],
        terms=terms,
        constants=constants,
        contract=EncoderGenerator,
        source="Chen, Zhu and Shkurti 2025, in the spirit of Theorem 4.1",
        assumptions=assumptions,
        trivial=_prior_generator(discrepancy, draws),
        unit=unit,
    )


def parts(
    *,
    discrepancy: Discrepancy,
    draws: int,
    encoder_scales: Scales | None,
    held_out: Tensor | None,
) -> tuple[tuple[Term, ...], tuple[Constant, ...], tuple[Assumption, ...]]:
    """Terms, constants and assumptions of Theorem A (arguments as for the bound)."""
    terms = [_reconstruction(discrepancy, draws)]
    constants = []
    if encoder_scales is None:
        terms.append(Term(proof.root_rate, "mean root of the rate", _root_rate))
        constants.append(
            Constant(
                proof.scale_encoder,
                "R_encoder",
                "left-sub-Gaussian constant under the prior; reconstruction.prior_scales, or K "
                "for the distance and a K-Lipschitz decoder",
            )
        )
    else:
        terms.append(_weighted_root(encoder_scales))
    if held_out is None:
        constants += [
            Constant(
                proof.scale_generator,
                "R_generator",
                "left-sub-Gaussian constant for a fresh datum, reconstruction.left_scale",
            ),
            Constant(
                proof.information,
                "information",
                "mean over i of I(x~; X_i | Z) in nats; trajectory.path_energy / n is larger",
            ),
        ]
        return tuple(terms), tuple(constants), (_EXPECTATION, _TAIL)
    terms.append(_gap(discrepancy, draws, held_out))
    return tuple(terms), tuple(constants), (_EXPECTATION, _TAIL, _FRESH)


def _reconstruction(discrepancy: Discrepancy, draws: int) -> Term:
    def measure(model: EncoderGenerator, data: Tensor, *, generator: Generator) -> Estimate:
        how = {"discrepancy": discrepancy, "draws": draws, "generator": generator}
        return reconstruction.encoded_loss(model, data, **how)

    return Term(proof.encoded_loss_hat, "reconstruction loss", measure)


def _root_rate(model: EncoderGenerator, data: Tensor, **_: object) -> Estimate:
    return latent.root_rate(model, data)


def _weighted_root(scales: Scales) -> Term:
    def measure(model: EncoderGenerator, data: Tensor, **_: object) -> Estimate:
        return reconstruction.weighted_root_rate(model, data, scales(model, data))

    return Term(proof.weighted_root, "encoder: mean of R_1 sqrt(rate)", measure)


def _gap(discrepancy: Discrepancy, draws: int, held_out: Tensor) -> Term:
    loss = partial(reconstruction.prior_loss, discrepancy=discrepancy, draws=draws)
    method = f"held-out less training data, {draws} draws"
    return gap_term(gap, "generator: gap on held-out data", loss, held_out, method=method)


def _prior_generator(discrepancy: Discrepancy, draws: int) -> Term:
    def measure(_: EncoderGenerator, data: Tensor, *, generator: Generator) -> Estimate:
        like = {"dtype": data.dtype, "device": data.device}
        noise = torch.randn((draws, *data.shape), generator=generator, **like)
        return mean(discrepancy(data, noise).mean(0), method=f"{draws} draws of N(0, I)")

    return Term(proof.prior_loss, "generator that draws from N(0, I)", measure)
