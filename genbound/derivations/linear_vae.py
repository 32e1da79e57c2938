r"""A linear VAE with Gaussian laws, in which every letter of a VAE bound is a closed form.

One coordinate: data x ~ N(mu, C), encoder N(A x + b, q), prior N(0, 1), generator N(w z + c, s^2).
Probabilistic PCA splits into such coordinates; at its optimum the encoder is the posterior.
:class:`genbound.models.linear_vae.LinearVAE` is the same model for matrices.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian

w, c, A, b, mu = sp.symbols("w c A b mu", real=True)
s2 = sp.Symbol("s^{2}", positive=True)
q = sp.Symbol("q", positive=True)
C = sp.Symbol("C", positive=True)

letters = (w, c, s2, A, b, q, mu, C)
"""Argument order of every compiled result for one coordinate of a linear VAE."""

_x = Normal("x", mu, sp.sqrt(C))
_xi = Normal("xi", 0, 1)


def _result(name: str, expr: sp.Expr, by: str) -> Derivation:
    return Derivation.of(sp.Symbol(name, real=True), expr, by=by)


distortion = _result(
    "D",
    sp.log(2 * sp.pi * s2) / 2
    + Expectation((_x - w * (A * _x + b + sp.sqrt(q) * _xi) - c) ** 2) / (2 * s2),
    r"\(-\log g(x|z)\) at \(z = A x + b + \sqrt{q}\,\xi\)",
).equals(
    ((1 - w * A) ** 2 * C + w**2 * q + (mu - w * (A * mu + b) - c) ** 2) / (2 * s2)
    + sp.log(2 * sp.pi * s2) / 2,
    by=r"moments of \(x\) and \(\xi\)",
)
"""Mean negative log-likelihood given the code, one coordinate."""

rate = _result(
    r"\mathcal{R}",
    Expectation(gaussian.kl_of(A * _x + b, q)),
    r"mean of \(\mathrm{KL}(N(Ax+b,q)\,\|\,N(0,1))\)",
).equals((q + A**2 * C + (A * mu + b) ** 2 - 1 - sp.log(q)) / 2, by=r"moments of \(x\)")
"""E KL(E(X) || pi), one coordinate."""

code_information = _result(
    "{I(X;Z)}", gaussian.channel_of(A**2 * C, q), "Gaussian channel"
).equals(sp.log((A**2 * C + q) / q) / 2, by="collecting terms")
"""Information that the code carries about the datum, one coordinate."""

aggregate = _result(
    r"\mathrm{KL}(E\#P\|\pi)",
    gaussian.kl_of(A * mu + b, A**2 * C + q),
    r"all codes together are \(N(A\mu+b, A^2C+q)\)",
)
"""Divergence of the aggregated posterior from the prior, one coordinate."""

compensation = rate.equals(
    code_information.expr + aggregate.expr, by="information plus aggregate divergence"
)
"""Rate = information + aggregate divergence (Hoffman and Johnson 2016), here to the letter."""

entropy = _result("h(P)", gaussian.entropy.expr.subs(gaussian.s2, C), "entropy of a normal law")
model_kl = _result(
    r"\mathrm{KL}(P\|p_{\theta})",
    gaussian.kl_of(mu, C, c, w**2 + s2),
    r"the generator's law is \(N(c, w^2+s^2)\)",
)
"""The truth: divergence of the generator from the data, one coordinate."""

_variance = w**2 + s2
posterior_kl = _result(
    r"{\mathbb{E}\,\mathrm{KL}(E(X)\|p_{\theta}(\cdot|X))}",
    Expectation(gaussian.kl_of(A * _x + b, q, w * (_x - c) / _variance, s2 / _variance)),
    "the best encoder is the posterior",
).equals(
    (
        q * _variance / s2
        - 1
        - sp.log(q * _variance / s2)
        + ((A - w / _variance) ** 2 * C + (A * mu + b - w * (mu - c) / _variance) ** 2)
        * _variance
        / s2
    )
    / 2,
    by=r"moments of \(x\)",
)
"""What an encoder that is not the posterior costs, one coordinate."""

slack = _result(r"{D+\mathcal{R}}", distortion.expr + rate.expr, "negative evidence bound").equals(
    entropy.expr + model_kl.expr + posterior_kl.expr,
    by="entropy, misfit of the generator, misfit of the encoder",
)
"""The negative ELBO is the entropy plus two divergences, neither of them negative."""

optimum = {
    A: w / _variance,
    b: -w * c / _variance,
    q: s2 / _variance,
    mu: c,
    C: _variance,
}
"""Where both divergences vanish: probabilistic PCA with the posterior as encoder."""

# One latent for d coordinates: norm2 is the squared length of the single column of W.
norm2 = sp.Symbol(r"\|w\|^{2}", positive=True)
d = sp.Symbol("d", positive=True, integer=True)
ppca_letters = (norm2, s2, d)
_along = {w: sp.sqrt(norm2)}


def _at_optimum(result: Derivation, by: str) -> Derivation:
    return Derivation.of(result.lhs, result.expr.subs(optimum).subs(_along), by=by)


ppca_information = _at_optimum(code_information, "posterior as encoder").equals(
    sp.log(1 + norm2 / s2) / 2, by="collecting terms"
)
ppca_rate = _at_optimum(rate, "posterior as encoder").equals(
    ppca_information.expr, by="the information alone"
)
ppca_aggregate = _at_optimum(aggregate, "posterior as encoder").equals(
    sp.Integer(0), by=r"\(E\#P=\pi\)"
)
ppca_distortion = Derivation.of(
    distortion.lhs,
    distortion.expr.subs(optimum).subs(_along) + (d - 1) * sp.log(2 * sp.pi * sp.E * s2) / 2,
    by=r"one coordinate along \(w\), \(d-1\) of noise",
).equals(d * sp.log(2 * sp.pi * sp.E * s2) / 2, by="the entropy of the noise")
ppca_total = _result(
    r"{D+\mathcal{R}}", ppca_distortion.expr + ppca_rate.expr, "negative evidence bound"
).equals(
    sp.log(2 * sp.pi * sp.E * (norm2 + s2)) / 2 + (d - 1) * sp.log(2 * sp.pi * sp.E * s2) / 2,
    by=r"\(h(P)\), the entropy of \(N(c, ww^{\top}+s^2I)\)",
)
"""At the optimum nothing is lost: the negative ELBO is the entropy of the data."""
