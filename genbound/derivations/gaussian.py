"""Divergence, entropy and information of Gaussians, from the moments of a normal variable."""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation

__all__ = [
    "channel_information",
    "channel_of",
    "d",
    "entropy",
    "kl",
    "kl_of",
    "noise2",
    "prior_kl",
    "prior_kl_args",
    "prior_kl_excess",
    "prior_kl_slope",
    "same_variance",
    "signal2",
]

d = sp.Symbol("d", positive=True, integer=True)
m, m_2 = sp.symbols("m m_2", real=True)
s2, s2_2 = sp.symbols("s^2 s_2^2", positive=True)
signal2, noise2 = sp.symbols("q^2 r^2", positive=True)


def _log_density(x: sp.Expr, mean: sp.Expr, variance: sp.Expr) -> sp.Expr:
    return -((x - mean) ** 2 / variance + sp.log(2 * sp.pi * variance)) / 2


_x = Normal("x", m, sp.sqrt(s2))

entropy = Derivation.of(
    sp.Symbol(r"h(N(m,s^{2}))"), Expectation(-_log_density(_x, m, s2)), by="definition"
).equals(sp.log(2 * sp.pi * sp.E * s2) / 2, by="variance of x")
"""Differential entropy of N(m, s^2), nats."""

kl = Derivation.of(
    sp.Symbol(r"\mathrm{KL}(N(m,s^{2})\|N(m_{2},s_{2}^{2}))"),
    Expectation(_log_density(_x, m, s2) - _log_density(_x, m_2, s2_2)),
    by="definition",
).equals(((s2 + (m - m_2) ** 2) / s2_2 - 1 - sp.log(s2 / s2_2)) / 2, by="moments of x")
"""Divergence between two normal laws, nats."""


def kl_of(
    mean: sp.Expr | int,
    variance: sp.Expr,
    mean_2: sp.Expr | int = 0,
    variance_2: sp.Expr | int = 1,
) -> sp.Expr:
    """:data:`kl` of N(mean, variance) from N(mean_2, variance_2), else from N(0, 1)."""
    laws = {m: mean, s2: variance, m_2: mean_2, s2_2: variance_2}
    return kl.expr.subs(laws, simultaneous=True)


same_variance = Derivation.of(
    sp.Symbol(r"\mathrm{KL}(N(m,s^{2})\|N(m_{2},s^{2}))"),
    kl_of(m, s2, m_2, s2),
    by="equal variances",
).equals((m - m_2) ** 2 / (2 * s2), by="collecting terms")
"""Divergence between two normal laws that differ in their means alone, nats."""

channel_information = Derivation.of(
    sp.Symbol("{I(U;U+V)}"),
    entropy.expr.subs(s2, signal2 + noise2) - entropy.expr.subs(s2, noise2),
    by="entropy of the output minus entropy of the noise",
).equals(sp.log(1 + signal2 / noise2) / 2, by="collecting logarithms")
"""Information through a Gaussian channel: signal N(0, q^2), independent noise N(0, r^2)."""


def channel_of(signal: sp.Expr, noise: sp.Expr) -> sp.Expr:
    """:data:`channel_information` of a signal and a noise of these variances."""
    return channel_information.expr.subs({signal2: signal, noise2: noise}, simultaneous=True)


_a = sp.Symbol("a", positive=True)
_norm2 = sp.Symbol(r"\|x\|^{2}", positive=True)

prior_kl = (
    Derivation.of(
        sp.Symbol(r"\mathrm{KL}(E_T(x)\|\pi)"),
        d * kl_of(sp.sqrt(_a * _norm2 / d), 1 - _a),
        by="d equal coordinates after a rotation",
        domain={_a: (0, 1)},
    )
).equals((_a * (_norm2 - d) - d * sp.log(1 - _a)) / 2, by="collecting terms")
"""Divergence of the noised point N(sqrt(a) x, (1-a) I) from the prior N(0, I); a = alpha_T^2.

Its arguments are :data:`prior_kl_args`.
"""

prior_kl_args = (_a, _norm2, d)

prior_kl_slope = (
    Derivation.of(
        sp.Symbol(r"{\partial_B\,\mathrm{KL}(E_T(x)\|\pi)}", real=True),
        -_a * sp.diff(prior_kl.expr, _a),
        by=r"chain rule: \(a=e^{-B}\), so \(\partial_B=-a\,\partial_a\)",
        domain={_a: (0, 1)},
    )
    .equals(-_a * (_norm2 + d * _a / (1 - _a)) / 2, by="differentiate")
    .at_most(0, by="every factor has its sign")
)
"""The encoder's rate falls along the clock, for every datum."""

prior_kl_excess = (
    Derivation.of(
        sp.Symbol(r"{\mathrm{KL}(E_T(x)\|\pi)-a\|x\|^{2}/2}", real=True),
        prior_kl.expr - _a * _norm2 / 2,
        by="less its first-order part",
        domain={_a: (0, 1)},
    )
    .equals(d * (-_a - sp.log(1 - _a)) / 2, by="collecting terms")
    .at_most(d * _a**2 / (4 * (1 - _a)), by="power series of the logarithm")
)
"""For long horizons only the norm of the datum counts: the rest is of second order in a."""
