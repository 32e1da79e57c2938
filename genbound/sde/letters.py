"""The letters of a noising process: its symbols, which pairs are admissible, the clock."""

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate

from genbound.symbolic import is_zero

__all__ = ["check_inverse", "check_noising", "closed_clock", "log_snr", "preserves_variance", "t"]

t = sp.Symbol("t", positive=True)
log_snr = sp.Symbol("lambda", real=True)

POINTS = [sp.Rational(k, 97) for k in (1, *range(6, 96, 6), 96)]
TINY = sp.Float("1e-20")
CLOSE = sp.Float("1e-15")


def check_noising(alpha: sp.Expr, sigma2: sp.Expr) -> None:
    """Refuse a pair that is no noising process on (0, 1).

    Args:
        alpha: Signal scale: 1 at time 0, positive.
        sigma2: Noise variance: 0 at time 0, positive, with ``alpha^2 / sigma2`` falling.

    Raises:
        ValueError: If one of this fails at a rational point of a fixed set.
    """
    for letter, expr, start in (("alpha", alpha, 1), ("sigma2", sigma2, 0)):
        if expr.free_symbols - {t}:
            raise ValueError(f"{letter}: got {expr}, the only symbol allowed is sde.t")
        value = sp.N(expr.subs(t, 0), 30)
        if not (value.is_real and abs(value - start) < TINY):
            raise ValueError(f"{letter}: got {value} at time 0 from {expr}, allowed is {start}")
    last = sp.oo
    for point in POINTS:
        signal, variance = (sp.N(expr.subs(t, point), 30) for expr in (alpha, sigma2))
        for letter, value in (("alpha", signal), ("sigma2", variance)):
            if not (value.is_real and value > 0):
                raise ValueError(f"{letter}: got {value} at t = {point}, allowed is > 0 on (0, 1)")
        ratio = signal**2 / variance
        if ratio >= last:
            raise ValueError(
                f"sigma2: alpha^2 / sigma2 must fall on (0, 1), not so at t = {point}"
            )
        last = ratio


def check_inverse(inverse: sp.Expr, forward: sp.Expr) -> None:
    """Refuse an expression that does not invert the log signal-to-noise ratio.

    Args:
        inverse: Time as an expression of ``log_snr``.
        forward: Log signal-to-noise ratio as an expression of ``t``.

    Raises:
        ValueError: If a time of a fixed set does not come back.
    """
    if inverse.free_symbols - {log_snr}:
        raise ValueError(f"inverse: got {inverse}, the only symbol allowed is sde.log_snr")
    for point in POINTS:
        back = sp.N(inverse.subs(log_snr, sp.N(forward.subs(t, point), 30)), 30)
        if not (back.is_real and abs(back - point) < CLOSE):
            raise ValueError(f"inverse: got {back} for the log-SNR of time {point}, not that time")


def preserves_variance(alpha: sp.Expr, sigma2: sp.Expr) -> bool:
    """Whether ``alpha^2 + sigma2 = 1`` is proved."""
    excess = sp.expand_func(alpha**2 + sigma2 - 1)
    # SymPy spends seconds on what is not zero; one point tells at once
    return abs(sp.N(excess.subs(t, POINTS[5]), 30)) < TINY and is_zero(excess)


def closed_clock(alpha: sp.Expr, sigma2: sp.Expr, diffusion2: sp.Expr) -> sp.Expr | None:
    """Integral of ``diffusion2`` from 0 to t, or ``None`` if no closed form was found."""
    signal_clock = -2 * sp.log(alpha)
    if signal_clock == 0:
        return sigma2
    if preserves_variance(alpha, sigma2):
        return signal_clock
    # If sigma2 = phi(b) with b = -2 log(alpha), then g^2 dt = (phi'(b) + phi(b)) db.
    b = sp.Dummy("b", positive=True)
    phi = sp.expand_func(sigma2).subs(signal_clock, b)
    variable, rate, end = t, diffusion2, t
    if not phi.has(t):
        variable, rate, end = b, phi.diff(b) + phi, signal_clock
    integral = manualintegrate(sp.expand(rate, power_exp=False), variable)
    start = integral.subs(variable, 0)
    if integral.has(sp.Integral) or not start.is_finite:
        return None
    return sp.expand(integral - start, power_exp=False).subs(variable, end)
