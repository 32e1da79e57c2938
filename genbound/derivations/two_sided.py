"""Two tails are too much to ask: a quadratic whose mean moves further than R sqrt(2 KL)."""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import gaussian

__all__ = ["args", "right_tail", "shrunk", "stretched"]

_r = sp.Symbol("r", positive=True)

right_tail = Derivation.of(
    sp.Symbol(r"\log\,\mathbb{E}\,e^{\lambda a\xi^2}"),
    -sp.log(1 - _r) / 2,
    by=r"Gaussian integral, \(r = 2\lambda a < 1\)",
    domain={_r: (0, 1)},
).at_least(_r / 2 + _r**2 / 4, by=r"\(\lambda\) mean \(+\,\lambda^2/2\) variance")
"""The other tail breaks the same inequality at every lambda, and is infinite from 1/2a on."""

_d = gaussian.d


args = (_r, _d)
"""Argument order of :data:`shrunk` and :data:`stretched`."""

# f = |x|^2 / 2 under Q = N(0, I_d), so R^2 = d / 2, against P = N(0, s^2 I_d).
_spread = sp.Symbol(r"\Delta^{2}", nonnegative=True)

shrunk = Derivation.of(
    _spread, (_d * (1 - 1 / (1 + _r)) / 2) ** 2, by=r"\(s^2=1/(1+r)\), below 1"
).at_most(
    2 * (_d / 2) * _d * gaussian.kl_of(0, 1 / (1 + _r)), by=r"\(2R^2\,\mathrm{KL}\), \(R^2=d/2\)"
)
"""Where P is narrower, the mean falls, and by no more than the inequality says."""

stretched = Derivation.of(_spread, (_d * _r / 2) ** 2, by=r"\(s^2=1+r\), above 1").at_least(
    2 * (_d / 2) * _d * gaussian.kl_of(0, 1 + _r), by=r"\(2R^2\,\mathrm{KL}\), \(R^2=d/2\)"
)
"""Where P is wider, the mean rises by more: the two-sided inequality is false at every width."""
