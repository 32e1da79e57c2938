"""What a sample hides from a score: irreducible losses, and the data term between two of them.

The irreducible loss of a law P is what denoising leaves even to its own score,

    C(P) = 1/2 int g^2 E ||grad log p_t - grad log p_{t|0}||^2 dt
         = I(X; X_{t_min}) - I(X; X_T),

the information that noising destroys, and ``Delta = C(P-hat) - C(P)`` is the data term of a sample
with the empirical law P-hat. Here both come from informations;
:mod:`genbound.estimators.data_term_parts` follows the definition. All numbers are in nats, like
the losses of :mod:`genbound.estimators.score_matching`; the squared error of ``2 (s + x)`` at a
uniform time of the Ornstein-Uhlenbeck process with g^2 = 2 is ``4 / (horizon - t_min)`` times as
large.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from genbound.arguments import Sample, Several, declared
from genbound.data import Source
from genbound.data.source import DRAWS, check_dimension
from genbound.estimate import Estimate
from genbound.estimators.mixture_divergence import divergences_to_mixture
from genbound.estimators.spread import from_effects
from genbound.sde import LinearSDE

__all__ = ["data_term", "irreducible", "irreducible_of_sample"]


@declared
def irreducible(
    source: Source,
    process: LinearSDE,
    *,
    horizon: float,
    t_min: float,
    generator: torch.Generator | None = None,
    draws: Several = DRAWS,
) -> Estimate:
    """Irreducible loss of a known law, ``I(X; X_{t_min}) - I(X; X_T)``.

    Args:
        source: The law.
        process: Noising process.
        horizon: T.
        t_min: Start of the interval.
        generator: Source of the draws; needed where the source has no quadrature.
        draws: Their number; the same draws serve at both times.

    Returns:
        Non-negative nats: exact for a Gaussian, by quadrature in one and two dimensions.

    Raises:
        ValueError: If the interval is empty, or draws are needed and there is no generator.

    Reference:
        I-MMSE: Guo, Shamai and Verdu 2005; :mod:`genbound.derivations.data_term`.
    """
    _check(horizon, t_min)
    state = None if generator is None else generator.get_state()
    known = []
    for time in (t_min, horizon):
        if generator is not None:
            generator.set_state(state)
        known.append(source.information(process, time, generator=generator, n=draws))
    return _lost(*known)


@declared
def irreducible_of_sample(
    process: LinearSDE,
    sample: Sample,
    *,
    horizon: float,
    t_min: float,
    draws: int,
    generator: torch.Generator,
    given_sample: bool = False,
) -> Estimate:
    """Irreducible loss of an empirical law: what who learns the sample by heart has left.

    Args:
        process: Noising process.
        sample: Shape ``(n, d)``, n >= 2.
        horizon: T.
        t_min: Start of the interval.
        draws: Noise draws per datum, even, at least 4; in one and two dimensions quadrature takes
            their place.
        generator: Source of the draws, on the device of ``sample``.
        given_sample: Whether the error is that of this sample's value alone.

    Returns:
        Value in ``[0, log n]`` nats. The standard error covers the choice of the sample, with the
        influence of each datum; given the sample it is numerical, without influences.

    Raises:
        ValueError: If the interval is empty, ``sample`` has no two rows or ``draws`` is odd or
            below 4.
    """
    _check(horizon, t_min)
    return _of_sample(process, sample, horizon, t_min, draws, generator, given_sample)


@declared
def data_term(
    source: Source,
    process: LinearSDE,
    sample: Sample,
    *,
    horizon: float,
    t_min: float,
    generator: torch.Generator,
    draws: int = 256,
    law_draws: Several = DRAWS,
    given_sample: bool = False,
) -> Estimate:
    """Data term of a sample of a known law, by informations.

    ``[I-hat_{t_min} - I-hat_T] - [I_{t_min} - I_T]``, with I-hat the information about which of
    the data was noised. On average over samples it is at most 0.

    Args:
        source: The law.
        process: Noising process.
        sample: Shape ``(n, d)``, n >= 2.
        horizon: T.
        t_min: Start of the interval.
        generator: Source of the draws, on the device of ``sample``.
        draws: As for :func:`irreducible_of_sample`.
        law_draws: As for :func:`irreducible`.
        given_sample: Whether the error is that of this sample's value alone.

    Returns:
        Nats, of either sign. With the default error the value may be combined with the losses of
        the same data: the influences of the data are kept.

    Raises:
        ValueError: As for the parts.

    Reference:
        In the spirit of Lemma 3.1 of Dupuis et al. 2025; :mod:`genbound.derivations.data_term`.
    """
    check_dimension(source, sample)
    law = irreducible(
        source, process, horizon=horizon, t_min=t_min, generator=generator, draws=law_draws
    )
    own = _of_sample(process, sample, horizon, t_min, draws, generator, given_sample)
    return replace(
        own,
        value=own.value - law.value,
        stderr=math.hypot(own.stderr, law.stderr),
        method="difference of informations lost, of the sample and of the law",
        side="consistent" if law.side == "consistent" else own.side,
    )


def _of_sample(
    process: LinearSDE,
    sample: Tensor,
    horizon: float,
    t_min: float,
    draws: int,
    generator: torch.Generator,
    given_sample: bool,
) -> Estimate:
    """The information about which datum was noised, at the start less at the end."""
    first, last = (
        divergences_to_mixture(
            sample.double() * float((process.log_snr_of(time) / 2).exp()),
            draws=draws,
            generator=generator,
        )
        for time in (t_min, horizon)
    )
    value = min(max(float((first.kl - last.kl).mean()), 0.0), math.log(len(sample)))
    mean_noise = first.mean_noise + last.mean_noise
    method = f"information about which of {len(sample)} data was noised, lost; {first.method}"
    if given_sample:
        return Estimate(value, math.sqrt(mean_noise), len(sample), method)
    return from_effects(
        value,
        first.effect - last.effect,
        noise=first.noise + last.noise,
        mean_noise=mean_noise,
        method=method,
    )


def _lost(first: Estimate, last: Estimate) -> Estimate:
    """Difference of two informations; draws that both rest on are known by their influences."""
    if first.influence is None or last.influence is None:
        stderr = math.hypot(first.stderr, last.stderr)
    else:
        stderr = float((first.influence - last.influence).std()) / math.sqrt(first.n)
    method = f"information at both ends: {first.method}"
    return Estimate(first.value - last.value, stderr, first.n, method, first.side)


def _check(horizon: float, t_min: float) -> None:
    if not 0 < t_min < horizon:
        raise ValueError(f"t_min: got {t_min}, allowed is 0 < t_min < horizon = {horizon}")
