r"""The score gap of Langevin training, in expectation, once for each bound on its information.

First with one sub-Gaussian scale for all weights, then with a scale of each weights' own, whose
root mean square R enters: a factor of sqrt(2), and half a bit more information, for a scale that
may be much smaller. What holds with high probability stands in :mod:`pac_bayes`; there R may be
either of the two.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import change_of_measure, parameter_information
from genbound.derivations.change_of_measure import sample_gap, scale
from genbound.derivations.loss_scale import moving_scale, moving_scale2
from genbound.derivations.parameter_information import information
from genbound.derivations.sgld import (
    capacity_form,
    divergence,
    trajectory,
    variance_form,
    variances,
    whole,
)
from genbound.derivations.sgld_forgetting import energy_drop, forgetting
from genbound.derivations.sgld_solved import inverse_temperature
from genbound.derivations.trade_off import n

__all__ = [
    "capacity",
    "exact",
    "flow",
    "forgetful",
    "moving_capacity",
    "moving_exact",
    "moving_flow",
    "moving_forgetful",
    "moving_trajectory",
    "moving_variance",
    "trajectory_sum",
    "variance",
]

# The last line of the variance form alone, by what it is called here.
linear = Derivation.of(information, information, by="of the last weights").at_most(
    inverse_temperature * variances / 4, by="the variance form", using=[variance_form]
)

exact = sample_gap.at_most(
    scale * sp.sqrt(2 * information / n),
    by="chain rule for independent data",
    using=[parameter_information.per_datum.named(change_of_measure.information)],
)
"""By the information itself, where it is known."""

moving_exact = moving_scale.specialise(
    {moving_scale2: scale**2}, by=r"\(R^2=\mathbb{E}R_\theta^2\)"
)


def _uniform(bound: Derivation, by: str) -> Derivation:
    return exact.at_most(scale * sp.sqrt(2 * bound.expr / n), by=by, using=[bound])


def _moving(bound: Derivation, by: str) -> Derivation:
    spent = 2 * scale * sp.sqrt((bound.expr + sp.log(2) / 2) / n)
    return moving_exact.at_most(spent, by=by, using=[bound])


def _of_divergence(bound: Derivation, by: str) -> Derivation:
    return whole.at_most(bound.expr, by=by, using=[bound.named(divergence)])


_trajectory = _of_divergence(trajectory, "along the trajectory")
_forgetful = _of_divergence(forgetting, "forgetting")
_flow = _of_divergence(energy_drop, "the flow's second law")

trajectory_sum = _uniform(_trajectory, "along the trajectory")
forgetful = _uniform(_forgetful, "with weight decay, from rest or elsewhere")
flow = _uniform(_flow, "the flow from rest; for steps of finite size no theorem")
capacity = _uniform(capacity_form, "step by step, what its noise lets through")
variance = _uniform(linear, "only what the weights do not foretell")
"""Expected gap, one scale for all weights."""

moving_trajectory = _moving(_trajectory, "along the trajectory")
moving_forgetful = _moving(_forgetful, "with weight decay, from rest or elsewhere")
moving_flow = _moving(_flow, "the flow from rest; for steps of finite size no theorem")
moving_capacity = _moving(capacity_form, "step by step, what its noise lets through")
moving_variance = _moving(linear, "only what the weights do not foretell")
"""Expected gap, a scale for each weights."""
