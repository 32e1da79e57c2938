r"""Why people plot b |g|^2 of plain SGD: a temperature read off its noise. A heuristic, no bound.

Langevin training pays \beta\eta|g|^2 / 4 nats a step. Plain SGD injects nothing, but its batches
are noisy; whoever puts the temperature of that noise in place of the injected one gets b |g|^2.
The last step is the wrong one: where batches are its only chance, SGD's weights take finitely many
values given start and sample, and their divergence from any law with a density is infinite. What
is proved here is how far equality of variances goes, and what the number contains.
"""

import sympy as sp
from sympy.stats import Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations.gaussian import kl_of
from genbound.derivations.parameter_information import gradient2, rate, steps, weights
from genbound.derivations.sgld import batch, step_divergence
from genbound.derivations.sgld_solved import inverse_temperature, keep, noise_spread, weight

__all__ = [
    "batch_noise",
    "effective",
    "minibatch",
    "price",
    "price_floor",
    "same_spread",
    "scatter",
]

scatter = sp.Symbol(r"\mathrm{tr}\,\Sigma", positive=True)
_effective = sp.Symbol(r"\beta_{\mathrm{eff}}", positive=True)
_cost = sp.Symbol(r"\mathrm{cost}_{k}", nonnegative=True)
_noise = Normal("xi", 0, 1)

batch_noise = Derivation.of(
    sp.Symbol(r"\mathrm{tr}\,\mathrm{Var}(\theta_{k+1}|\theta_{k})", positive=True),
    weights * Variance(rate * sp.sqrt(scatter / (weights * batch)) * _noise),
    by=r"\(b\) independent draws: the gradient's variance is \(\Sigma/b\)",
).equals(rate**2 * scatter / batch, by="variance of a multiple")
"""Variance that the batches give one step of plain SGD."""

_injected = 2 * rate * weights / inverse_temperature
effective = Derivation.of(
    _effective,
    sp.solve(sp.Eq(_injected, batch_noise.expr), inverse_temperature)[0],
    by=r"heuristic: \(2\eta p/\beta=\eta^2\,\mathrm{tr}\,\Sigma/b\), equal variances",
)
"""Inverse temperature that Langevin noise of the same total variance would have."""

price = (
    Derivation.of(_cost, _cost, by="of one step of plain SGD")
    .granted(
        "=",
        step_divergence.expr.subs(inverse_temperature, effective.expr),
        cite="a heuristic, no theorem",
        by="as if the batches' noise had been injected",
        # If it were normal with equal axes, it would be this divergence.
        witness={
            _cost: weights
            * kl_of(
                rate * sp.sqrt(gradient2 / weights),
                batch_noise.expr / weights,
                variance_2=batch_noise.expr / weights,
            )
        },
    )
    .equals(batch * gradient2 * weights / (2 * scatter), by="the rate cancels")
)
"""What a step would cost: in proportion to b |g|^2, whatever the rate. Not a divergence."""

# The squared norm is measured on the batches themselves.
_mean2 = sp.Symbol(r"\|\mathbb{E}g\|^{2}", nonnegative=True)
minibatch = Derivation.of(
    gradient2, _mean2 + scatter / batch, by="mean square: squared mean plus variance"
)
price_floor = (
    price.equals(
        price.expr.subs(gradient2, minibatch.expr), by="norms of minibatches", using=[minibatch]
    )
    .equals(weights / 2 + weights * batch * _mean2 / (2 * scatter), by="collecting terms")
    .at_least(weights / 2, by="a square is not negative")
)
"""At rest half a nat per weight and step remains: the number is then all noise."""

# Where the batches' noise has the same variance everywhere, the temperature does what it says.
same_spread = Derivation.of(
    sp.Symbol(r"\mathrm{Var}(\theta_{K})", positive=True),
    ((1 - keep) / (2 * weight)) ** 2
    * scatter
    / (weights * batch)
    * (1 - keep ** (2 * steps))
    / (1 - keep**2),
    by="plain SGD on a quadratic: the batches' noise, geometric sum",
    domain={keep: (0, 1)},
).equals(
    noise_spread.expr.subs(
        inverse_temperature, effective.expr.subs(rate, (1 - keep) / (2 * weight))
    ),
    by="Langevin training at the effective temperature",
)
"""Two chains of equal means and variances: one has a density, the other has none."""
