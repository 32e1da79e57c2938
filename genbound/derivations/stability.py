r"""A stable score generalises: replace one datum, and see how far the score moves at that datum.

\varepsilon_{\mathrm{stab}}^2 is the mean squared distance, at a noised fresh datum, between the
score trained on the sample and the score trained with that datum in the place of one of the
sample, with the training's randomness coupled as well as can be. In the spirit of Farghly,
Rebeschini, Deligiannidis and Doucet 2025 (arXiv 2507.03756); the constants are exact.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import score_gap, sgld_solved
from genbound.derivations.frozen_score import share
from genbound.derivations.linear_score import a, u
from genbound.derivations.sgld_solved import keep, swap, variance, weight
from genbound.derivations.trade_off import d, n

__all__ = [
    "data_gap",
    "excess",
    "fit",
    "gap",
    "irreducible",
    "population",
    "root_gap",
    "score_error",
    "solved",
    "stability",
    "training",
]

stability = sp.Symbol(r"\varepsilon_{\mathrm{stab}}", nonnegative=True)
population = sgld_solved.population.lhs
training = sgld_solved.training.lhs
fit = sp.Symbol(r"\mathbb{E}\mathcal{L}_{\mathrm{ESM}}^{(n)}", nonnegative=True)
irreducible = sp.Symbol("C(P)", nonnegative=True)
_empirical = sp.Symbol(r"\mathbb{E}\,C(\hat{P})", nonnegative=True)
_error = sp.Symbol(r"\mathbb{E}\,\varepsilon_{s}", nonnegative=True)
_root = sp.Symbol(r"\sqrt{\mathbb{E}\mathcal{R}}", nonnegative=True)
_fresh = sp.Symbol(r"\|\hat{s}^{i}-v_{t}\|", nonnegative=True)

# One datum z, learned to the share r: at r = 1 the score knows it by heart, and nothing is lost.
_share, _ratio = sp.symbols("r q", positive=True)
_unit = d * weight * variance
_below_one = {_share: (0, 1)}
_one_datum = {
    _root: sp.sqrt(_unit * (1 + _share**2)),
    _fresh: sp.sqrt(_unit) * (1 - _share),
    training: _unit * (1 - _share) ** 2,
    stability: sp.sqrt(2 * _unit) * _share,
    population: _unit * (1 + _share**2),
    _error: _unit * _share**2,
    irreducible: _unit,
}

root_gap = (
    Derivation.of(_root, _root, by=r"of the score \(\hat{s}\)", domain=_below_one)
    .granted(
        "<=",
        _fresh + stability,
        cite="Minkowski, in the space of squares over data, training, noise and time",
        by=r"\(\hat{s}-v_t=(\hat{s}^{i}-v_t)+(\hat{s}-\hat{s}^{i})\) at the fresh datum",
        witness=_one_datum,
    )
    .granted(
        "=",
        sp.sqrt(training) + stability,
        cite="exchangeable data",
        by=r"the fresh datum is to \(\hat{s}^{i}\) what a datum of the sample is to \(\hat{s}\)",
        witness=_one_datum,
    )
)
"""Square roots of the mean losses differ by the stability at most."""

_square = Derivation.of(population, _root**2, by="its root, squared")
excess = _square.at_most(
    (sp.sqrt(training) + stability) ** 2, by="square roots", using=[root_gap]
).equals(training + 2 * stability * sp.sqrt(training) + stability**2, by="expanding")
"""Population loss by the training loss."""

gap = Derivation.of(
    sgld_solved.gap.lhs, population - training, by="population less training"
).at_most(
    2 * stability * sp.sqrt(training) + stability**2, by="the population's loss", using=[excess]
)
"""Expected gap: of the order of the stability, or of its square where the sample is learned."""

# A random law with the data's as its mean: normal laws of variance r v, their centres random too.
_known = sgld_solved.irreducible.expr.subs(a, u * _ratio)
data_gap = Derivation.of(
    _empirical, _empirical, by="mean over samples", domain=_below_one | {u: (0, 1), _ratio: (0, 1)}
).granted(
    "<=",
    irreducible,
    cite="the Fisher information of a law is convex in it",
    by="the mean of the sample's law is the data's",
    witness={_empirical: _known.subs(variance, _share * variance), irreducible: _known},
)
"""The irreducible loss of the sample is the smaller one on average."""

_vincent = (
    Derivation.of(_error, _error, by="squared distance to the exact score", domain=_below_one)
    .granted(
        "=",
        population - irreducible,
        cite="Vincent 2011",
        by="denoising loss less what no score can lower",
        witness=_one_datum,
    )
    .at_most(excess.expr - irreducible, by="stability", using=[excess])
)
_sample = Derivation.of(
    training, training, by="denoising loss of the sample", domain={share: (0, 1)}
).granted(
    "=",
    fit + _empirical,
    cite="Vincent 2011",
    by="the sample's law is a law",
    # Normal data and a linear score, at one time.
    witness={
        training: score_gap._gaussian[score_gap.risk],
        fit: score_gap._gaussian[score_gap.score_error],
        _empirical: score_gap._gaussian[score_gap.constant],
    },
)

score_error = _vincent.equals(
    fit + _empirical - irreducible + 2 * stability * sp.sqrt(fit + _empirical) + stability**2,
    by="the sample's law",
    using=[_sample],
).at_most(
    fit + 2 * stability * sp.sqrt(fit + irreducible) + stability**2,
    by="the data term can be dropped",
    using=[data_gap],
)
"""Error of the learned score by its fit to the sample's own score, and by its stability."""

solved = Derivation.of(
    _root,
    sp.sqrt(sgld_solved.population.expr),
    by="Langevin training of a mean",
    domain={keep: (0, 1), n: (1, None)},
).at_most(
    sp.sqrt(sgld_solved.training.expr) + sp.sqrt(swap.expr), by="every letter in closed form"
)
"""The square roots, tried on Langevin training of a mean: any noise, rate, size and dimension."""
