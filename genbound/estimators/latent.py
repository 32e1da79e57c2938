r"""What a learned code costs and keeps: the terms of a VAE's bounds, in nats.

For any encoder whose laws E(x) are normal with independent coordinates, N(m(x), diag s(x)^2), and
the prior pi = N(0, I_k). With E#P-hat the mixture of the codes of all n data,

    rate = information + aggregate divergence,

where the rate is ``mean_i KL(E(x_i) || pi)``, the information ``mean_i KL(E(x_i) || E#P-hat)``,
that between the index of a datum and its code, and the aggregate divergence
``KL(E#P-hat || pi)`` (Hoffman and Johnson 2016).
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal

from genbound.arguments import declared
from genbound.estimate import Estimate, mean
from genbound.estimators.code_mixture import code_divergences
from genbound.estimators.draws import draw
from genbound.estimators.spread import from_effects
from genbound.protocols import Autoencoder, Encoder

__all__ = [
    "aggregate_kl",
    "distortion",
    "importance_losses",
    "importance_nll",
    "information",
    "left_scale",
    "nelbo",
    "nelbo_losses",
    "rate",
    "root_rate",
]

# Numbers per evaluation of a network, over the data of a block, their draws and the dimension.
BLOCK_ENTRIES = 2**21


@declared
def rate(model: Encoder, data: Tensor) -> Estimate:
    """Mean divergence of the codes from the prior, ``mean_i KL(E(x_i) || pi)``.

    ``KL_i = sum_l (m_l^2 + s_l^2 - 1 - log s_l^2) / 2``.

    Args:
        model: Encoder with diagonal normal laws.
        data: Shape ``(n, d)``, n >= 2.

    Returns:
        Nats; the standard error is that of sampling the data.

    Raises:
        TypeError: If the encoder's laws are of another family.
    """
    return mean(_rates(*_codes(model, data)), method="mean KL(E(x) || pi), closed form")


@declared
def root_rate(model: Encoder, data: Tensor) -> Estimate:
    """Mean root of the rate, ``mean_i sqrt(KL(E(x_i) || pi))`` (arguments as for :func:`rate`).

    By Jensen's inequality it is at most the root of the rate.
    """
    rates = _rates(*_codes(model, data))
    return mean(rates.sqrt(), method="mean sqrt KL(E(x) || pi), closed form")


@declared
def information(
    model: Encoder, data: Tensor, *, draws: int, generator: Generator, among: int | None = None
) -> Estimate:
    """Information of the code about which datum it belongs to, ``mean_i KL(E(x_i) || E#P-hat)``.

    The mixture runs over all n data: over a minibatch of b it could not exceed log b. The draws
    of a datum serve for its own density and for the mixture's, whose ratio is what is averaged.

    Args:
        model: Encoder with diagonal normal laws.
        data: Shape ``(n, d)``, n >= 2.
        draws: Draws per datum, in antithetic pairs; even, at least 4.
        generator: Source of the draws, on the device of ``data``.
        among: Number m of data, chosen at random, over which the mean is taken; all by default.
            The mixture is over all n in any case. The time grows as ``n m draws k``.

    Returns:
        Value in ``[0, log n]`` nats. Its standard error covers both the choice of the sample and
        the draws.

    Raises:
        TypeError: If the encoder's laws are of another family.
        ValueError: If ``data`` has no two rows, ``draws`` is odd or below 4 or ``among`` is not
            in 2..n.
    """
    parts = code_divergences(*_codes(model, data), draws=draws, generator=generator, among=among)
    n = len(data)
    return from_effects(
        min(max(float(parts.kl.mean()), 0.0), math.log(n)),
        parts.effect,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method=f"KL to the mixture of all {n} codes, {parts.method}",
    )


@declared
def aggregate_kl(model: Encoder, data: Tensor, *, draws: int, generator: Generator) -> Estimate:
    """Divergence of all codes together from the prior, ``KL(E#P-hat || pi)``.

    The rate less the information, datum by datum (arguments as for :func:`information`).

    Returns:
        Non-negative nats; the standard error covers the sample and the draws.
    """
    codes = _codes(model, data)
    parts = code_divergences(*codes, draws=draws, generator=generator)
    rates = _rates(*codes)
    return from_effects(
        max(float((rates - parts.kl).mean()), 0.0),
        rates - parts.effect,
        noise=parts.noise,
        mean_noise=parts.mean_noise,
        method=f"rate less information, {parts.method}",
    )


@declared
def distortion(model: Autoencoder, data: Tensor, *, draws: int, generator: Generator) -> Estimate:
    """Mean negative log-likelihood given the code, ``mean_i E_{z ~ E(x_i)}[-log g(x_i|z)]``.

    Args:
        model: Encoder and generator with a known density.
        data: Shape ``(n, d)``, n >= 2.
        draws: Codes per datum, at least 1.
        generator: Source of the codes, on the device of ``data``.

    Returns:
        Nats; every datum has its own codes, so the standard error covers data and codes.

    Raises:
        TypeError: If the encoder's laws are of another family.
        ValueError: If ``draws`` is below 1 or ``data`` is no matrix.
    """
    losses = _distortions(model, data, draws, generator)
    return mean(losses, method=f"-log g(x|z), {draws} codes per datum")


@declared
def nelbo(model: Autoencoder, data: Tensor, *, draws: int, generator: Generator) -> Estimate:
    """Negative evidence lower bound, distortion plus rate (arguments as for :func:`distortion`).

    Returns:
        Nats: an unbiased estimate of the negative ELBO, which is at least the negative
        log-likelihood.
    """
    losses = nelbo_losses(model, data, draws=draws, generator=generator)
    return mean(losses, method=f"distortion plus rate, {draws} codes per datum")


@declared
def nelbo_losses(model: Autoencoder, data: Tensor, *, draws: int, generator: Generator) -> Tensor:
    """Unbiased value of every datum's negative ELBO, nats, shape ``(n,)``, float64."""
    return _distortions(model, data, draws, generator) + _rates(*_codes(model, data))


@declared
def importance_nll(
    model: Autoencoder, data: Tensor, *, samples: int, generator: Generator
) -> Estimate:
    """Negative log-likelihood by importance sampling, ``mean_i -log p(x_i)`` from above.

    Args:
        model: Encoder and generator with a known density.
        data: Shape ``(n, d)``, n >= 2.
        samples: K, codes per datum; with one it is the negative ELBO.
        generator: Source of the codes, on the device of ``data``.

    Returns:
        Nats. Its side is ``upper``: by Jensen's inequality the expectation is at least the
        negative log-likelihood, and falls towards it as K grows, with an excess of
        ``Var(w) / (2 K (E w)^2)`` to first order.

    Raises:
        TypeError: If the encoder's laws are of another family.
        ValueError: If ``samples`` is below 1 or ``data`` is no matrix.

    Reference:
        Burda, Grosse and Salakhutdinov (2016), theorem 1.
    """
    losses = importance_losses(model, data, samples=samples, generator=generator)
    return mean(losses, method=f"importance weighting, {samples} codes per datum", side="upper")


@declared
def importance_losses(
    model: Autoencoder, data: Tensor, *, samples: int, generator: Generator
) -> Tensor:
    """Every datum's ``-log mean_k g(x|z_k) pi(z_k) / E(x)(z_k)``, nats, ``(n,)``, float64."""

    def bound(point: Tensor, law: Independent, code: Tensor) -> Tensor:
        prior = Independent(Normal(torch.zeros_like(code), torch.ones_like(code)), 1)
        log_weight = model.decode(code).log_prob(point) + prior.log_prob(code)
        log_weight = log_weight.double() - law.log_prob(code).double()
        return math.log(samples) - torch.logsumexp(log_weight, 0)

    return _per_datum(model, data, bound, "samples", samples, generator)


@declared
def left_scale(
    model: Autoencoder,
    held_out: Tensor,
    *,
    samples: int,
    generator: Generator,
    floor: float = 0.0,
) -> Estimate:
    """Left sub-Gaussian constant of the log-loss, ``R = sqrt(E (-log p(X) - floor)^2)``.

    A loss with the lower bound ``floor`` is left-sub-Gaussian with this constant, whatever its
    right tail. A Bernoulli likelihood has the floor 0; a Gaussian one with a fixed scale sigma
    has ``d log(2 pi sigma^2) / 2``.

    Args:
        model: Encoder and generator with a known density.
        held_out: Data that the model was not trained on, shape ``(n, d)``, n >= 2.
        samples: Codes per datum.
        generator: Source of the codes, on the device of ``held_out``.
        floor: A number that the loss is known never to fall below.

    Returns:
        Nats. Its side is ``upper``, because the importance-weighted loss is.

    Raises:
        ValueError: If a loss lies below ``floor``, so that it is no floor.
    """
    losses = importance_losses(model, held_out, samples=samples, generator=generator) - floor
    if bool((losses < 0).any()):
        raise ValueError(f"floor: got {floor}, but a loss of {float(losses.min()) + floor:.6g}")
    square = mean(losses.square(), method="")
    root = math.sqrt(square.value)
    slope = 1 / (2 * root) if root else 0.0
    return Estimate(
        root,
        slope * square.stderr,
        square.n,
        f"root mean square of the log-loss less {floor:g}, {samples} codes per datum",
        "upper",
        slope * square.influence,
    )


@torch.no_grad()
def _codes(model: Encoder, data: Tensor) -> tuple[Tensor, Tensor]:
    """Means and scales of the codes, each (n, k), in double precision."""
    if data.ndim != 2:
        raise ValueError(f"data: got shape {tuple(data.shape)}, allowed is (n, d)")
    laws = [_normal(model.encode(part)) for part in data.split(_rows(data.shape[1]))]
    means, scales = ([getattr(law, name) for law in laws] for name in ("mean", "stddev"))
    return torch.cat(means).double(), torch.cat(scales).double()


def _normal(law: object) -> Independent:
    base = getattr(law, "base_dist", None)
    if isinstance(law, Independent) and isinstance(base, Normal):
        return law
    got = type(law).__name__ + (f" of {type(base).__name__}" if base is not None else "")
    raise TypeError(f"encode: got {got}, allowed is Independent of Normal")


def _rates(means: Tensor, scales: Tensor) -> Tensor:
    rates = (means.square() + scales.square() - 1 - 2 * scales.log()).sum(-1) / 2
    # Rounding may leave -1e-17 of a code at the prior, whose root would be nan.
    return rates.clamp(min=0)


def _distortions(model: Autoencoder, data: Tensor, draws: int, generator: Generator) -> Tensor:
    def loss(point: Tensor, _: Independent, code: Tensor) -> Tensor:
        return -model.decode(code).log_prob(point).double().mean(0)

    return _per_datum(model, data, loss, "draws", draws, generator)


@torch.no_grad()
def _per_datum(
    model: Autoencoder,
    data: Tensor,
    statistic: Callable[[Tensor, Independent, Tensor], Tensor],
    name: str,
    count: int,
    generator: Generator,
) -> Tensor:
    """A statistic of (data (b, d), their laws, codes (count, b, k)) -> (b,), in blocks."""
    if data.ndim != 2:
        raise ValueError(f"data: got shape {tuple(data.shape)}, allowed is (n, d)")
    if count < 1:
        raise ValueError(f"{name}: got {count}, allowed is at least 1")
    parts = []
    for part in data.split(_rows(count * data.shape[1])):
        law = _normal(model.encode(part))
        parts.append(statistic(part, law, draw(law, generator=generator, shape=(count,))))
    return torch.cat(parts)


def _rows(entries: int) -> int:
    return max(1, BLOCK_ENTRIES // entries)
