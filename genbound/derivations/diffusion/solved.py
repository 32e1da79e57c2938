r"""The letters of the diffusion bounds on a family that is solved exactly, and what follows.

The family is the learner of a mean, :mod:`genbound.derivations.mean_learner`. Its values are the
witnesses on which every citation is tried; and a whole theorem, with its letters replaced by
them, becomes a chain in which every line is checked.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import mean_learner
from genbound.derivations.change_of_measure import gap, information, scale
from genbound.derivations.diffusion import letters
from genbound.derivations.mean_learner import d, domain, r, u

population = {
    letters.kl: mean_learner.exact.expr,
    letters.esm: mean_learner.score_error.expr,
    letters.dsm: mean_learner.denoising.expr,
    letters.prior_kl: mean_learner.prior.expr,
    letters.info_min: mean_learner.information_min.expr,
    letters.info_end: mean_learner.information_end.expr,
    letters.info_pair: mean_learner.information_pair.expr,
    letters.rate: mean_learner.rate.expr,
    letters.entropy_min: d * sp.log(2 * sp.pi * sp.E) / 2,
    letters.loss_prior: mean_learner.loss_prior.expr,
    letters.nll: mean_learner.exact.expr + d * sp.log(2 * sp.pi * sp.E) / 2,
    letters.sigma2_min: 1 - u,
}
"""Closed forms for any number of data."""

sample = population | {
    letters.dsm_hat: mean_learner.denoising_hat.expr,
    gap: mean_learner.gap.expr,
    scale: mean_learner.scale.expr,
    information: mean_learner.information.expr,
    letters.loss_prior_hat: mean_learner.loss_prior_hat.expr,
    letters.loss_encoder_hat: mean_learner.loss_encoder_hat.expr,
    letters.gap_prior: mean_learner.loss_prior.expr - mean_learner.loss_prior_hat.expr,
    letters.scale_generator: sp.sqrt(mean_learner.generator_scale2.expr),
    letters.information_noised: mean_learner.information_noised.expr,
    # How far the noised empirical law lies from the truth has no closed form: these two stay.
    letters.info_min_hat: mean_learner.information_min.expr - letters.distance_min,
    letters.info_end_hat: mean_learner.information_end.expr - letters.distance_end,
    letters.prior_kl_hat: mean_learner.prior.expr + letters.distance_end,
    letters.esm_hat: mean_learner.base.expr
    + mean_learner.information_end.expr
    + letters.distance_min
    - letters.distance_end,
}
"""The same with the letters of the sample; only the distances of P-hat from P stay letters."""

# One datum: P-hat_t is one normal law, so that every letter is a closed form.
_lost = d * sp.log((1 - u * r) / (1 - u)) / 2
one_datum = {symbol: value.subs(mean_learner.n, 1) for symbol, value in population.items()} | {
    letters.esm_hat: _lost - d * u * (1 - r) / 2,
    letters.dsm_hat: mean_learner.denoising_hat.expr.subs(mean_learner.n, 1),
    letters.info_min_hat: 0,
    letters.info_end_hat: 0,
    gap: mean_learner.gap.expr.subs(mean_learner.n, 1),
    letters.prior_kl_hat: mean_learner.rate.expr,
    letters.distance_min: mean_learner.information_min.expr,
    letters.distance_end: mean_learner.information_end.expr,
    letters.entropy_min_hat: d * sp.log(2 * sp.pi * sp.E * (1 - u)) / 2,
    letters.loss_encoder_hat: mean_learner.loss_encoder_hat.expr.subs(mean_learner.n, 1),
    # The posterior of x_eps given x_T against the generator, both normal.
    letters.joint: d
    * ((1 - u) / (1 - u * r) + u**2 * r * (1 - r) / (1 - u * r) - 1 + 2 * _lost / d)
    / 2,
    letters.info_pair_hat: d * sp.log((1 - u * r) / (1 - r)) / 2,
}


def on_mean_learner(theorem: Derivation) -> Derivation:
    """The chain of a theorem on the learner of a mean: the same lines, each now checked.

    Args:
        theorem: A chain in the letters of this package, whose lines have closed forms there.

    Returns:
        Its lines as closed forms; what rested on a citation is proved or sampled.
    """
    first, *rest = theorem.steps
    chain = Derivation.of(
        theorem.lhs, first.expr.subs(sample, simultaneous=True), by=first.by, domain=domain
    )
    for step in rest:
        extend = chain.equals if step.relation == "=" else chain.at_most
        chain = extend(step.expr.subs(sample, simultaneous=True), by=step.by)
    return chain
