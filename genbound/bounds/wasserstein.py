"""Wasserstein bounds for any pair of encoder and generator, by two couplings.

Source: Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Corollary 4.2, for the
product coupling; the coupling through the encoder is derived here.
"""

from dataclasses import replace
from functools import partial

from torch import Generator, Tensor

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bound.parts import Measure
from genbound.bounds.encoder_generator import Scales, parts
from genbound.bounds.held_out import gap_term
from genbound.derivations import wasserstein as proof
from genbound.derivations.change_of_measure import gap, information
from genbound.estimate import Estimate
from genbound.estimators import latent, reconstruction, transport
from genbound.protocols import EncoderGenerator

__all__ = ["wasserstein", "wasserstein_product"]

_EXPECTATION = Assumption("in expectation over the sample: one sample gives an estimate of it")
_LIPSCHITZ = Assumption("u(G(z)) is R_encoder-sub-Gaussian for every 1-Lipschitz u")
_TAIL = Assumption("the reconstruction distance is left-sub-Gaussian for a fresh datum")
_FIXED = Assumption("the encoder does not depend on the sample: its codes follow E#P in the mean")
_FRESH = Assumption("held-out data are fresh draws of P")


@declared
def wasserstein(*, draws: int = 16, held_out: Tensor | None = None) -> Bound:
    r"""Theorem B+: W_1(P, G#pi) by the coupling through the encoder.

    ``W_1 <= reconstruction + R_1 sqrt(2 KL(E#P || pi)) + R_2 sqrt(2 I)``

    Args:
        draws: Codes per datum, even, at least 4.
        held_out: Data that the model has not seen, shape ``(m, d)``. With them the gap of the
            reconstruction and the divergence of the codes are measured, the latter from above in
            the mean, and only ``R_encoder`` is left to be given. Without them the codes of the
            training data stand for those of P, which is right in the mean if the encoder is fixed.

    Returns:
        A bound in the unit of the data. Its trivial reference is the best single point, a
        generator that always says the same.

    Reference:
        Derived here; all ingredients are classical.
    """
    reconstructed = Term(proof.encoded_loss_hat, "reconstruction distance", _loss(draws))
    terms = [reconstructed, _codes(draws, held_out)]
    constants = [
        Constant(
            proof.scale_encoder,
            "R_encoder",
            "sub-Gaussian constant of the decoder, K if it is K-Lipschitz and deterministic",
        )
    ]
    if held_out is None:
        theorem, assumptions = proof.theorem, (_EXPECTATION, _LIPSCHITZ, _TAIL, _FIXED)
        constants += [
            Constant(
                proof.scale_generator,
                "R_generator",
                "left-sub-Gaussian constant of the reconstruction distance of a fresh datum",
            ),
            Constant(
                information,
                "information",
                "mean over i of I(W; X_i) in nats, W encoder and generator together",
            ),
        ]
    else:
        theorem, assumptions = proof.held_out, (_EXPECTATION, _LIPSCHITZ, _FRESH)
        terms.append(_gap(draws, held_out))
    return Bound(
        name="wasserstein",
        theorem=theorem,
        terms=tuple(terms),
        constants=tuple(constants),
        contract=EncoderGenerator,
        source="this book, from classical ingredients",
        assumptions=assumptions,
        trivial=_POINT,
        unit="distance",
    )


@declared
def wasserstein_product(
    *,
    draws: int = 16,
    encoder_scales: Scales | None = None,
    held_out: Tensor | None = None,
) -> Bound:
    r"""The Wasserstein bound by the product coupling: Theorem A with the distance as discrepancy.

    What it bounds is the mean distance of independent points, and that is never below the
    distance between P and the best single point: the verdict is vacuous for every model.

    Args:
        draws: Generated points per datum.
        encoder_scales: As for :func:`genbound.bounds.encoder_generator`.
        held_out: As for :func:`genbound.bounds.encoder_generator`.

    Returns:
        A bound in the unit of the data.

    Reference:
        Chen et al. 2025, in the spirit of Corollary 4.2.
    """
    terms, constants, assumptions = parts(
        discrepancy=reconstruction.distance,
        draws=draws,
        encoder_scales=encoder_scales,
        held_out=held_out,
    )
    theorems = {
        (True, True): proof.product_theorem,
        (True, False): proof.product_held_out,
        (False, True): proof.product_weighted,
        (False, False): proof.product_weighted_held_out,
    }
    return Bound(
        name="wasserstein_product",
        theorem=theorems[encoder_scales is None, held_out is None],
        terms=terms,
        constants=constants,
        contract=EncoderGenerator,
        source="Chen, Zhu and Shkurti 2025, in the spirit of Corollary 4.2",
        assumptions=assumptions,
        trivial=_POINT,
        unit="distance",
    )


def _loss(draws: int) -> Measure:
    return partial(reconstruction.encoded_loss, discrepancy=reconstruction.distance, draws=draws)


def _codes(draws: int, held_out: Tensor | None) -> Term:
    def measure(model: EncoderGenerator, data: Tensor, *, generator: Generator) -> Estimate:
        points = data if held_out is None else held_out
        found = latent.aggregate_kl(model, points, draws=draws, generator=generator)
        # The codes of a few points are further from the prior, in the mean, than those of P.
        return replace(found, side="upper")

    return Term(proof.aggregate_kl, "divergence of the codes from the prior", measure)


def _gap(draws: int, held_out: Tensor) -> Term:
    title = "gap of the reconstruction on held-out data"
    method = f"held-out less training data, {draws} draws"
    return gap_term(gap, title, _loss(draws), held_out, method=method)


def _to_point(_: EncoderGenerator, data: Tensor, **__: object) -> Estimate:
    return transport.distance_to_point(data)


_POINT = Term(proof.point_w1, "the best single point", _to_point)
