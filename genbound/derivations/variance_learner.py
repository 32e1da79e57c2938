r"""A learner of a variance: the mean of n squares, and the information it keeps about one of them.

Data N(0, s^2) in one coordinate, \hat{s}^2 = mean of x_i^2, the linear score of
:mod:`genbound.derivations.linear_score` with this variance and mean 0. Then n \hat{s}^2 / s^2 has
the chi-square law with n degrees of freedom, and everything is a closed form or one integral.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations.linear_score import a, loss, s2, s2_hat, u, y2

n = sp.Symbol("n", positive=True)
k = sp.Symbol("k", positive=True)
_order = sp.Symbol("p", positive=True)
_c = sp.Symbol("c", positive=True)
_chi2_density = _c ** (k / 2 - 1) * sp.exp(-_c / 2) / (2 ** (k / 2) * sp.gamma(k / 2))

chi2_moment = Derivation.of(
    sp.Symbol(r"{\mathbb{E}[C^{p}]}", positive=True),
    sp.Integral(_c**_order * _chi2_density, (_c, 0, sp.oo)),
    by=r"\(C\sim\chi^2_k\)",
).equals(2**_order * sp.gamma(k / 2 + _order) / sp.gamma(k / 2), by="Euler's integral")

_log_mean = sp.diff(chi2_moment.expr, _order).subs(_order, 0)

chi2_entropy = Derivation.of(
    sp.Symbol(r"{h(\chi^{2}_{k})}", real=True),
    chi2_moment.expr.subs(_order, 1) / 2
    - (k / 2 - 1) * _log_mean
    + k / 2 * sp.log(2)
    + sp.loggamma(k / 2),
    by=r"\(-\mathbb{E}\log\) of the density; \(\mathbb{E}\log C=\partial_p\mathbb{E}[C^p]\) at 0",
).equals(
    k / 2 + sp.log(2) + sp.loggamma(k / 2) + (1 - k / 2) * sp.digamma(k / 2),
    by="collecting terms",
)
"""Differential entropy of the chi-square law with k degrees of freedom, nats."""

variance_information = Derivation.of(
    sp.Symbol(r"{I(\hat{s}^{2};X_i)}", real=True),
    chi2_entropy.expr.subs(k, n) - chi2_entropy.expr.subs(k, n - 1),
    by=r"\(n\hat{s}^2/s^2\) is \(\chi^2_n\), given \(X_i\) it is \(\chi^2_{n-1}\) and a shift",
    domain={n: (1, None)},
)
"""Information of the mean of n squares about one datum; the same in every coordinate."""

letters = (u, a, s2, s2_hat)
"""Argument order of the results below."""

training_loss = Derivation.of(
    sp.Symbol(r"{\hat{\mathcal{L}}_{\mathrm{DSM}}}", real=True),
    loss.expr.subs(y2, s2_hat),
    by=r"the loss is linear in \(x^2\), whose mean over the sample is \(\hat{s}^2\)",
)
"""Denoising loss on the training data."""

_x = Normal("x", 0, sp.sqrt(s2))
_constant = sp.Symbol("C", real=True)
_slope = sp.Symbol("D", real=True)

_square = Derivation.of(
    sp.Symbol(r"{\mathbb{E}_x[\ell^{2}]}", nonnegative=True),
    Expectation((_constant + _slope * (_x**2 - s2_hat)) ** 2),
    by=r"loss \(C+D(x^2-\hat{s}^2)\) at a fresh datum",
    domain={_constant: (None, None), _slope: (None, None)},
).equals(
    (_constant + _slope * (s2 - s2_hat)) ** 2 + 2 * _slope**2 * s2**2,
    by="fourth moment of a normal",
)

loss_square = _square.specialise(
    {_constant: loss.expr.subs(y2, s2_hat), _slope: sp.diff(loss.expr, y2)},
    by="constant and slope of the loss",
)
"""Mean square of the loss at a fresh datum, given the learned variance; its mean is R^2."""
