"""Bounds for variational autoencoders: on the test likelihood, and what the paper plots.

Each function configures a :class:`genbound.bound.Bound` that evaluates on any
:class:`genbound.protocols.Autoencoder` with diagonal normal codes and the prior N(0, I). Values
are nats per datum.
"""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import sympy as sp
import torch
from torch import Generator, Tensor
from torch.distributions import Bernoulli, Independent

from genbound.arguments import declared
from genbound.bound import Assumption, Bound, Constant, Term
from genbound.bounds.held_out import gap_term
from genbound.derivations import vae as proof
from genbound.derivations.change_of_measure import information, scale
from genbound.estimate import Estimate, combine, mean
from genbound.estimators import latent
from genbound.protocols import Autoencoder, Decoder

__all__ = ["vae_nll", "vae_paper"]

_EXPECTATION = Assumption("in expectation over the sample: one sample gives an estimate of it")

_SCALE = Constant(scale, "R", "left-sub-Gaussian constant of -log p, see latent.left_scale")
_INFORMATION = Constant(
    information,
    "information",
    "mean over i of I(theta; X_i) in nats, theta the generator's weights, or I(theta; S) / n",
)


@declared
def vae_nll(*, draws: int = 64, held_out: Tensor | None = None) -> Bound:
    r"""Test negative log-likelihood, ``D + rate + gap``.

    Args:
        draws: Codes per datum.
        held_out: Data that the model has not seen, shape ``(m, d)``. With them the gap is that of
            the negative ELBO, measured, and no constant is needed; without, it is that of
            ``-log p``, bounded by ``R sqrt(2 I)``.

    Returns:
        A bound; its constants are ``R`` and ``information`` unless ``held_out`` is given. A model
        that learned nothing draws every coordinate on its own.

    Reference:
        Derived here: Kingma and Welling (2014) for the training data, Xu and Raginsky (2017) for
        the gap. Only the generator's information enters.
    """
    terms = (_distortion(draws), _RATE)
    if held_out is None:
        theorem, constants = proof.nll_information, (_SCALE, _INFORMATION)
        tail = "-log p is left-R-sub-Gaussian for independent weights and datum"
        assumptions = (_EXPECTATION, Assumption(tail))
    else:
        theorem, constants = proof.nll_held_out, ()
        terms = (*terms, _gap(held_out, draws))
        assumptions = (_EXPECTATION, Assumption("held-out data are fresh draws of P"))
    return Bound(
        name="vae_nll",
        theorem=theorem,
        terms=terms,
        constants=constants,
        contract=Autoencoder,
        source="this book, from the ingredients of Chen, Zhu and Shkurti 2025",
        assumptions=assumptions,
        trivial=Term(proof.nll, "likelihood of independent coordinates", _independent),
    )


@declared
def vae_paper(*, reference: Decoder, draws: int = 64) -> Bound:
    """What the paper plots for VAEs: for comparison, not a bound.

    Args:
        reference: The decoder whose log-likelihood is subtracted for the "information". In the
            released code it is one that was never trained.
        draws: Codes per datum.

    Returns:
        Reconstruction plus twice the root of the mean rate plus twice the root of the
        "information" over n.

    Reference:
        Released code of Chen et al. 2025, variational autoencoders on binary images.
    """
    return Bound(
        name="vae_paper",
        theorem=proof.paper,
        terms=(_distortion(draws), _RATE, _reconstruction_gain(reference, draws)),
        constants=(Constant(proof.n, "n", "training samples", known=lambda _, data: len(data)),),
        contract=Autoencoder,
        source="released code of Chen, Zhu and Shkurti 2025",
        holds="ranking only",
    )


def _rate(model: Autoencoder, data: Tensor, **_: object) -> Estimate:
    return latent.rate(model, data)


_RATE = Term(proof.rate_hat, "rate", _rate)


def _distortion(draws: int) -> Term:
    def measure(model: Autoencoder, data: Tensor, *, generator: Generator) -> Estimate:
        return latent.distortion(model, data, draws=draws, generator=generator)

    return Term(proof.distortion_hat, "distortion", measure)


def _gap(held_out: Tensor, draws: int) -> Term:
    loss = partial(latent.nelbo, draws=draws)
    method = f"held-out less training NELBO, {draws} codes"
    return gap_term(proof.nelbo_gap, "gap on held-out data", loss, held_out, method=method)


def _reconstruction_gain(reference: Decoder, draws: int) -> Term:
    """The plotted "information": how much better the trained decoder reconstructs."""
    other, own = sp.symbols("other own")

    def measure(model: Autoencoder, data: Tensor, *, generator: Generator) -> Estimate:
        start, losses = generator.get_state(), {}
        for letter, decoder in ((other, reference), (own, model)):
            # The same codes for both, so that their noise cancels.
            generator.set_state(start)
            pair = SimpleNamespace(encode=model.encode, decode=decoder.decode)
            losses[letter] = latent.distortion(pair, data, draws=draws, generator=generator)
        gain = combine(other - own, losses, method=f"log-likelihood ratio, {draws} codes")
        return replace(gain, value=max(gain.value, 0.0))

    return Term(proof.mi_hat, "gain over an untrained decoder", measure)


@torch.no_grad()
def _independent(model: Autoencoder, data: Tensor, **_: object) -> Estimate:
    """Likelihood of coordinates drawn on their own, with the training data's own moments.

    It is judged on the data that it was fitted to, which flatters it: a strict reference.
    """
    base = getattr(model.decode(model.encode(data[:1]).mean), "base_dist", None)
    points = data.double()
    centre = points.mean(0)
    if isinstance(base, Bernoulli):
        losses = -Independent(Bernoulli(probs=centre), 1).log_prob(points)
        return mean(losses, method="independent pixels with the data's frequencies")
    # A constant coordinate is no surprise to such a model: log 0, cut at the smallest number.
    variance = (points - centre).square().mean(0).clamp(min=torch.finfo(points.dtype).tiny)
    losses = ((points - centre).square() / variance + (2 * math.pi * variance).log()).sum(-1) / 2
    return mean(losses, method="independent normal coordinates with the data's moments")
