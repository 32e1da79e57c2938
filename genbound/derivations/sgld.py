r"""What the weights of Langevin training know of the sample, and the score-matching gap it allows.

\theta \leftarrow \theta - \eta\hat{g} + \sqrt{2\eta/\beta}\,\xi, with batches drawn without
looking at the data. In the spirit of the algorithm-dependent results of Dupuis, Shariatian,
Haddouche, Durmus and Simsekli 2025 (arXiv 2506.03849), with constants of our own. The noise must
be injected: nothing here is about Adam, and where \beta grows like n the bounds do not fall with
n. A divergence is about one sample; a bound on it may be averaged over samples. Every form is
tried on the learner of :mod:`sgld_solved`.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import change_of_measure, parameter_information, sgld_solved
from genbound.derivations.change_of_measure import sample_gap, scale
from genbound.derivations.gaussian import channel_of
from genbound.derivations.parameter_information import (
    datum_information,
    information,
    rate,
    steps,
    weights,
)
from genbound.derivations.sgld_solved import inverse_temperature, keep, weight
from genbound.derivations.trade_off import d, n

__all__ = [
    "batch",
    "capacity",
    "capacity_form",
    "datum_gradients",
    "divergence",
    "expected",
    "gradients",
    "leave_one_out",
    "leave_one_out_gap",
    "left_out",
    "step_capacity",
    "step_divergence",
    "step_variance",
    "trajectory",
    "variance_form",
    "variances",
    "whole",
]

divergence = sp.Symbol(r"\mathrm{KL}(\rho_{K}\|\pi)", nonnegative=True)
left_out = sp.Symbol(r"\mathrm{KL}(\rho_{K}\|Q_{i})", nonnegative=True)
gradients = sgld_solved.gradients.lhs
datum_gradients = sgld_solved.datum_gradients.lhs
step_variance = sgld_solved.step_variance.lhs
variances = sp.Symbol(r"\sum_k\eta_{k}V_{k}", nonnegative=True)
capacity = sp.Symbol(r"{\sum_k\frac{p}{2}\log(1+\frac{\beta\eta_k}{2p}V_k)}", nonnegative=True)
batch = sp.Symbol("b", positive=True)

_beta = inverse_temperature
_below_one = {keep: (0, 1)}
_many = _below_one | {n: (1, None)}

# The whole way, without decay.
step_divergence = parameter_information.step_divergence.specialise(
    {parameter_information.noise_variance: 2 * rate / _beta}, by=r"\(\sigma^2=2\eta/\beta\)"
).equals(_beta * rate * parameter_information.gradient2 / 4, by="collecting terms")
"""One step of Langevin training from the same step without gradient."""

trajectory = Derivation.of(
    divergence, divergence, by="of the last weights", domain=_below_one
).granted(
    "<=",
    _beta * gradients / 4,
    cite="Pensia, Jog and Loh 2018; Mou, Wang, Zhai and Zheng 2018",
    by=r"data processing, then the chain rule; \(\pi\): the chain without gradients",
    witness={divergence: sgld_solved.divergence.expr, gradients: sgld_solved.gradients.expr},
)
"""Without weight decay: every gradient on the way is paid for, however long ago."""

whole = Derivation.of(information, information, by="of the last weights", domain=_many).granted(
    "<=",
    divergence,
    cite="Topsoe 1967, compensation identity",
    by=r"mean over samples; \(\pi\) has not seen the sample",
    witness={information: sgld_solved.information.expr, divergence: sgld_solved.divergence.expr},
)
"""Any law of the weights that has not seen the sample bounds the information."""

expected = (
    sample_gap.at_most(
        scale * sp.sqrt(2 * information / n),
        by="chain rule for independent data",
        using=[parameter_information.per_datum.named(change_of_measure.information)],
    )
    .at_most(scale * sp.sqrt(2 * divergence / n), by="a data-free reference", using=[whole])
    .at_most(
        scale * sp.sqrt(_beta * gradients / (2 * n)), by="along the trajectory", using=[trajectory]
    )
)
"""Expected gap of a left-R-sub-Gaussian loss by the gradients on the way of its training."""

# Given the weights, the mean gradient is a drift that has not seen the sample.
step_capacity = Derivation.of(
    sp.Symbol("I_{k}", nonnegative=True),
    weights * channel_of(rate**2 * step_variance / weights, 2 * rate / _beta),
    by=r"Gaussian channel: signal \(\eta\hat{g}_k\), noise \(\sqrt{2\eta/\beta}\,\xi\)",
).equals(
    weights * sp.log(1 + _beta * rate * step_variance / (2 * weights)) / 2, by="collecting terms"
)
"""What one step can tell: the normal law has most entropy for its variance."""

_one_step = step_capacity.expr.subs(
    {
        step_variance: sgld_solved.step_variance.expr.subs(sgld_solved.step, 0),
        weights: d,
        rate: (1 - keep) / (2 * weight),
    }
)
_first, _second = sp.symbols("V_0 V_1", positive=True)

_ratio = sp.Symbol("x", positive=True)
_logarithm = Derivation.of(sp.log(1 + _ratio), sp.log(1 + _ratio)).at_most(
    _ratio, by="concavity of the logarithm"
)
_mean_ratio = _beta * variances / (2 * steps * weights)

capacity_form = Derivation.of(
    information, information, by="of the last weights", domain=_below_one
).granted(
    "<=",
    capacity,
    cite="Pensia, Jog and Loh 2018; Negrea, Haghifam, Dziugaite, Khisti and Roy 2019",
    by=r"data processing, then the chain rule, each step by its capacity",
    # After one step the two sides agree.
    witness={information: sgld_solved.information.expr.subs(steps, 1), capacity: _one_step},
)
"""Each step tells at most what its noise lets through."""

variance_form = capacity_form.granted(
    "<=",
    steps * weights * sp.log(1 + _mean_ratio) / 2,
    cite="Jensen",
    by="concavity of the logarithm over the steps",
    witness={
        capacity: weights
        * sum(sp.log(1 + _beta * part / (2 * weights)) for part in (_first, _second))
        / 2,
        variances: _first + _second,
        steps: 2,
    },
).at_most(
    _beta * variances / 4,
    by=r"\(\log(1+x)\le x\)",
    using=[_logarithm.specialise({_ratio: _mean_ratio}, by="here")],
)
"""Only the part of a gradient that the weights do not foretell is paid for."""

# One datum left out.
leave_one_out = (
    Derivation.of(datum_information, datum_information, by="mean over the data", domain=_many)
    .granted(
        "<=",
        left_out,
        cite="Topsoe 1967, compensation identity, given the other data",
        by=r"\(Q_i\): the same training without the gradients of datum \(i\)",
        witness={
            datum_information: sgld_solved.datum_information.expr,
            left_out: sgld_solved.leave_one_out.expr,
        },
    )
    .granted(
        "<=",
        _beta * datum_gradients / (4 * n * batch),
        cite="Li, Luo and Qiao 2020, in spirit",
        by=r"chain rule, common batches; a datum is in a batch with probability \(b/n\)",
        # One step, where the weights betray the batch: the divergence counts if i is in it.
        witness={
            left_out: batch
            / n
            * step_divergence.expr.subs(
                parameter_information.gradient2, parameter_information.gradient2 / batch**2
            ),
            datum_gradients: rate * parameter_information.gradient2,
        },
    )
)
"""Information in one datum: of order 1 / n^2 for full batches."""

leave_one_out_gap = sample_gap.at_most(
    scale * sp.sqrt(_beta * datum_gradients / (2 * n * batch)),
    by="one datum left out",
    using=[leave_one_out.named(change_of_measure.information)],
)
"""Expected gap of order 1 / n for full batches, at the price of single-datum gradients."""
