"""Upper bounds on I(theta; S), the information of the weights in the whole training sample.

A gap of a loss of the generator as a whole asks for the information per datum,
``mean_i I(theta; X_i) <= I(theta; S) / n``: divide by n with :func:`per_datum` before a bound's
constant ``information`` is given. Without noise or rounding I(theta; S) of a deterministic
training on data with a density is infinite (discrete data have at most their entropy); every
function here says which noisy or rounded weights it is about.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.estimate import Estimate, exact, mean

__all__ = [
    "gaussian_channel",
    "gaussian_spread",
    "gaussian_weights",
    "noisy_sgd",
    "per_datum",
    "quantised",
]


@declared
def gaussian_weights(moved2: Tensor, *, tau: float) -> Estimate:
    """Information of ``theta + tau xi``: ``I(theta; S) <= E||theta - theta_0||^2 / (2 tau^2)``.

    Args:
        moved2: Squared distances ``||theta - theta_0||^2`` of independent trainings on
            independent samples from a point that has not seen its sample (the start; a model
            trained on another sample), shape ``(K,)``, K >= 2.
        tau: Scale of the noise on the final weights, positive.

    Returns:
        Nats, for the whole sample; the standard error is over trainings.

    Raises:
        ValueError: If tau is not positive or ``moved2`` is no vector of at least two values.

    Reference:
        :data:`genbound.derivations.parameter_information.gaussian_weights`.
    """
    _check_positive("tau", tau)
    method = f"weights moved, Gaussian noise of scale {tau:.3g}"
    return mean(moved2.double() / (2 * tau**2), method=method, side="upper")


@declared
def gaussian_spread(weights: Tensor, *, tau: float) -> Estimate:
    """Information of ``theta + tau xi``: ``I(theta; S) <= tr Cov(theta) / (2 tau^2)``.

    The best reference point of :func:`gaussian_weights`, the mean of theta over samples, without
    knowing it: half the mean squared distance of two independently trained weights.

    Args:
        weights: Flattened weights of independent trainings, shape ``(K, p)``, K >= 2. Trained
            from one start they measure I(theta; S); from different starts, the information in
            sample and start together, which is larger.
        tau: Scale of the noise on the final weights, positive.

    Returns:
        Nats, for the whole sample. The trace of the sample covariance is unbiased, so the value
        errs upwards only.

    Raises:
        ValueError: If tau is not positive or there are fewer than two trainings.
    """
    _check_positive("tau", tau)
    centred = _centred(weights)
    squares = centred.square().sum(1) * (len(weights) / (len(weights) - 1))
    method = f"trace of the weights' covariance, Gaussian noise of scale {tau:.3g}"
    return mean(squares / (2 * tau**2), method=method, side="upper")


@declared
def gaussian_channel(weights: Tensor, *, tau: float) -> Estimate:
    """Information of ``theta + tau xi`` as a Gaussian channel: ``1/2 log det(I + C / tau^2)``.

    With C the covariance of the weights over samples this is an upper bound on I(theta; S), exact
    for normal weights. With the covariance of K retrainings it is *too small*: the logarithm of
    the determinant is concave, and the sample covariance has rank K - 1 only. So it is no upper
    bound, and a bound refuses it; :func:`gaussian_spread` lies above.

    Args:
        weights: As for :func:`gaussian_spread`, K >= 3.
        tau: Scale of the noise on the final weights, positive.

    Returns:
        Nats, for the whole sample; side ``lower`` with respect to the channel's information. The
        standard error is the jackknife's over trainings.

    Raises:
        ValueError: If tau is not positive or there are fewer than three trainings.
    """
    _check_positive("tau", tau)
    if len(weights) < 3:
        raise ValueError(f"weights: got {len(weights)} trainings, allowed are at least 3")
    centred = _centred(weights)
    count = len(centred)
    # The determinant needs inner products only: K x K instead of p x p.
    gram = centred @ centred.mT / tau**2
    value = _half_log_det(gram / (count - 1))
    parts = []
    for k in range(count):
        kept = [j for j in range(count) if j != k]
        inner = gram[kept][:, kept]
        rows = inner.mean(0)
        parts.append(_half_log_det((inner - rows - rows[:, None] + rows.mean()) / (count - 2)))
    left_out = torch.tensor(parts, dtype=torch.float64)
    influence = (count - 1) * (left_out.mean() - left_out)
    stderr = math.sqrt(float(influence.square().sum()) / (count * (count - 1)))
    method = f"Gaussian channel of {count} trainings, noise of scale {tau:.3g}"
    return Estimate(value, stderr, count, method, "lower", influence)


@declared
def noisy_sgd(gradient_norms2: Tensor, lr: float | Tensor, noise: float | Tensor) -> Estimate:
    """Information of noisy SGD: ``I(theta; S) <= sum_k lr_k^2 E||g_k||^2 / (2 sigma_k^2)``.

    For ``theta <- theta - lr g + sigma xi`` (:func:`genbound.training.noisy_sgd`) with batches
    that are drawn without looking at the data.

    Args:
        gradient_norms2: Squared norms of the (clipped) gradients, shape ``(steps,)`` where they
            are bounds, such as the squared clip; or ``(steps, K)`` as seen in K >= 2 independent
            trainings on independent samples.
        lr: Learning rates, ``(steps,)`` or one for all.
        noise: Scales of the noise of each step, ``(steps,)`` or one for all; positive.

    Returns:
        Nats, for the whole sample: without error from bounds, else with the standard error over
        trainings.

    Raises:
        ValueError: If a scale is not positive or ``gradient_norms2`` has another shape.

    Reference:
        Pensia, Jog and Loh (2018).
    """
    if gradient_norms2.ndim not in (1, 2):
        raise ValueError(
            f"gradient_norms2: got shape {tuple(gradient_norms2.shape)}, "
            "allowed are (steps,) and (steps, K)"
        )
    norms2 = gradient_norms2.double()
    rates, scales = (torch.as_tensor(word).to(norms2) for word in (lr, noise))
    _check_positive("noise", float(scales.min()))
    shares = (rates / scales).square().expand(len(norms2)) / 2
    method = f"noisy SGD, {len(norms2)} steps"
    if norms2.ndim == 1:
        return replace(exact(float(shares @ norms2), method=method), side="upper")
    return mean(shares @ norms2, method=method, side="upper")


@declared
def quantised(weights: int, *, bits: int) -> Estimate:
    """Information of rounded weights: ``I(theta; S) <= p b log 2``.

    Args:
        weights: Number p of weights, at least 1.
        bits: Bits b of each, at least 1.

    Returns:
        Nats, for the whole sample; an upper bound without error.

    Raises:
        ValueError: If a number is below 1.
    """
    for name, count in {"weights": weights, "bits": bits}.items():
        if count < 1:
            raise ValueError(f"{name}: got {count}, allowed is at least 1")
    value = weights * bits * math.log(2)
    return replace(exact(value, method=f"{weights} weights of {bits} bits"), side="upper")


@declared
def per_datum(information: Estimate, n: int) -> Estimate:
    """The bound that it gives on ``mean_i I(theta; X_i)``, for independent data: divided by n.

    Args:
        information: Of I(theta; S), nats.
        n: Number of training data, at least 1.

    Returns:
        Nats per datum.

    Raises:
        ValueError: If n is below 1.
    """
    if n < 1:
        raise ValueError(f"n: got {n}, allowed is at least 1")
    return replace(
        information,
        value=information.value / n,
        stderr=information.stderr / n,
        method=f"{information.method}; divided by n = {n}",
        influence=None if information.influence is None else information.influence / n,
    )


def _centred(weights: Tensor) -> Tensor:
    if weights.ndim != 2 or len(weights) < 2:
        raise ValueError(f"weights: got shape {tuple(weights.shape)}, allowed is (K, p), K >= 2")
    return weights.double() - weights.double().mean(0)


def _half_log_det(gram: Tensor) -> float:
    return float(torch.linalg.slogdet(torch.eye(len(gram)).to(gram) + gram).logabsdet) / 2


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: got {value}, allowed is {name} > 0")
