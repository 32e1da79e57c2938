"""The shipped noising processes: functions that return a value."""

import sympy as sp

from genbound.sde.letters import log_snr, t
from genbound.sde.linear import LinearSDE
from genbound.symbolic import expm1, log1p

__all__ = ["cosine", "ou", "sub_vp", "ve", "vp"]

Number = float | sp.Expr


def vp(beta_min: Number = 0.1, beta_max: Number = 20) -> LinearSDE:
    """Variance-preserving process with a linear schedule: ``alpha^2 = exp(-B)``.

    Args:
        beta_min: Rate at time 0, non-negative.
        beta_max: Rate at time 1, positive.

    Returns:
        The process with ``B = beta_min t + (beta_max - beta_min) t^2 / 2``.

    Reference:
        Song et al., Score-based generative modeling through SDEs (2021), equation 11.
    """
    rate, final = _exact(beta_min), _exact(beta_max)
    clock = _linear_clock(rate, final)
    inverse = _linear_time(rate, final, log1p(sp.exp(-log_snr)))
    return LinearSDE(
        sp.exp(-clock / 2), -expm1(-clock), name=f"VP({rate}, {final})", inverse=inverse
    )


def ou(beta: Number = 2) -> LinearSDE:
    """Ornstein-Uhlenbeck process ``dX = -beta X / 2 dt + sqrt(beta) dW``.

    Args:
        beta: Rate, positive.

    Returns:
        The process; it is the variance-preserving one with a constant schedule.
    """
    rate = _exact(beta)
    inverse = log1p(sp.exp(-log_snr)) / rate
    return LinearSDE(sp.exp(-rate * t / 2), -expm1(-rate * t), name=f"OU({rate})", inverse=inverse)


def sub_vp(beta_min: Number = 0.1, beta_max: Number = 20) -> LinearSDE:
    """Sub-variance-preserving process: ``alpha^2 = exp(-B)``, ``sigma = 1 - exp(-B)``.

    Args:
        beta_min: Rate at time 0, non-negative.
        beta_max: Rate at time 1, positive.

    Returns:
        The process with ``B = beta_min t + (beta_max - beta_min) t^2 / 2``.

    Reference:
        Song et al., Score-based generative modeling through SDEs (2021), equation 12.
    """
    rate, final = _exact(beta_min), _exact(beta_max)
    clock = _linear_clock(rate, final)
    # alpha / sigma = 1 / (2 sinh(B/2))
    inverse = _linear_time(rate, final, 2 * sp.asinh(sp.exp(-log_snr / 2) / 2))
    return LinearSDE(
        sp.exp(-clock / 2), expm1(-clock) ** 2, name=f"sub-VP({rate}, {final})", inverse=inverse
    )


def ve(sigma_min: Number = 0.01, sigma_max: Number = 50) -> LinearSDE:
    """Variance-exploding process: alpha = 1, the noise scale grows geometrically.

    Args:
        sigma_min: Scale of the noise at early times, positive.
        sigma_max: Scale of the noise at time 1, larger than ``sigma_min``.

    Returns:
        The process with ``sigma2 = sigma_min^2 ((sigma_max / sigma_min)^(2 t) - 1)``.

    Reference:
        Song et al., Score-based generative modeling through SDEs (2021), appendix C.
    """
    first, last = _exact(sigma_min), _exact(sigma_max)
    if not 0 < first < last:
        raise ValueError(f"sigma_min: got {first}, allowed is 0 < sigma_min < sigma_max = {last}")
    rate = 2 * sp.log(last / first)
    inverse = log1p(sp.exp(-log_snr) / first**2) / rate
    return LinearSDE(
        sp.Integer(1), first**2 * expm1(rate * t), name=f"VE({first}, {last})", inverse=inverse
    )


def cosine(offset: Number = 0.008) -> LinearSDE:
    """Variance-preserving process whose signal scale is a cosine; the signal is gone at time 1.

    Args:
        offset: Shift that keeps the first steps from being too small, non-negative.

    Returns:
        The process with ``alpha = cos(u) / cos(u_0)``, ``u = pi (t + offset) / (2 (1 + offset))``.

    Reference:
        Nichol and Dhariwal, Improved denoising diffusion probabilistic models (2021).
    """
    shift = _exact(offset)
    speed = sp.pi / (2 * (1 + shift))
    start = speed * shift
    # cos(a)^2 - cos(b)^2 = sin(b - a) sin(b + a): no difference of almost equal numbers near 0
    sigma2 = sp.sin(speed * t) * sp.sin(speed * t + 2 * start) / sp.cos(start) ** 2
    inverse_snr = sp.exp(-log_snr)
    tangent2 = sp.tan(start) ** 2 * (1 + inverse_snr) + inverse_snr
    return LinearSDE(
        sp.cos(speed * t + start) / sp.cos(start),
        sigma2,
        name=f"cosine({shift})",
        inverse=sp.atan(sp.sqrt(tangent2)) / speed - shift,
    )


def _exact(value: Number) -> sp.Expr:
    # 0.1 means one tenth here, not the nearest binary fraction
    return sp.Rational(str(value)) if isinstance(value, float) else sp.sympify(value)


def _linear_clock(rate: sp.Expr, final: sp.Expr) -> sp.Expr:
    if rate < 0 or final <= 0:
        raise ValueError(f"beta_min: got {rate} with beta_max {final}, allowed is 0 <= and 0 <")
    return rate * t + (final - rate) * t**2 / 2


def _linear_time(rate: sp.Expr, final: sp.Expr, clock: sp.Expr) -> sp.Expr:
    # the root of the quadratic in the form that survives beta_min = beta_max
    return 2 * clock / (rate + sp.sqrt(rate**2 + 2 * (final - rate) * clock))
