r"""Langevin training that forgets: bounds on its weights' divergence that do not grow with time.

With weight decay,
\theta \leftarrow (1 - \eta\varpi)\theta - \eta\hat{g} + \sqrt{2\eta/\beta}\,\xi, the bound is a
sum of squared gradients of which only the last count; it is about the discrete steps themselves.
The second law needs no gradients at all, but it is about the continuous flow.
Both compare with a law of the weights, here pi, that has not seen the sample.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.gaussian import kl_of, s2
from genbound.derivations.parameter_information import rate, steps
from genbound.derivations.sgld import divergence
from genbound.derivations.sgld_solved import inverse_temperature, keep, weight

__all__ = [
    "decay",
    "energy_drop",
    "forgetting",
    "forgetting_step",
    "forgotten",
    "induction",
    "losses",
    "matching",
    "price",
    "second_law",
    "start_divergence",
    "start_loss",
    "stationary",
    "young",
]

decay = sp.Symbol(r"\varpi", positive=True)
start_divergence = sp.Symbol(r"\mathrm{KL}(\rho_{0}\|\pi)", nonnegative=True)
forgotten = sp.Symbol(
    r"{\sum_k\eta(1-\eta\varpi)^{K-1-k}\mathbb{E}\|\hat{g}_{k}\|^{2}}", nonnegative=True
)

_beta = inverse_temperature
_below_one = {keep: (0, 1)}

# One step in continuous time, gradient frozen:
# d theta = -(g' + w' theta) dt + sqrt(2 / b') dB, with g' = g / k and k = w / w'.
_kappa = sp.Symbol("k", positive=True)
# Only the product must be below 1: in a fitting unit of time both factors are.
_small = {decay: (0, 1), rate: (0, 1)}
_inner_decay = decay / _kappa
_inner_beta = _beta * _kappa * (1 - rate * decay / 2)

matching = Derivation.of(
    sp.Symbol(r"{\mathrm{Var}(\theta_{K+1}|\theta_{K})}"),
    (1 - (1 - rate * decay) ** 2) / (_inner_beta * _inner_decay),
    by=r"the flow with decay \(\varpi/k\), \(e^{-\varpi\eta/k}=1-\eta\varpi\)",
    domain=_small,
).equals(2 * rate / _beta, by=r"inverse temperature \(\beta k(1-\eta\varpi/2)\)")
"""The noise of the flow over one step is that of the step."""

stationary = Derivation.of(
    sp.Symbol(r"v_{\infty}", positive=True),
    1 / (_inner_beta * _inner_decay),
    by="the flow's law at rest without gradients",
    domain=_small,
).equals(2 / (_beta * decay * (2 - rate * decay)), by="collecting terms")
"""Variance of pi = N(0, v I), which the chain without gradients leaves as it is."""

_fisher, _drift, _share = sp.symbols("F B c", positive=True)
young = Derivation.of(
    sp.Symbol(r"{-\frac{F^{2}}{\beta}+FB}", real=True),
    -(_fisher**2) / _beta + _fisher * _drift,
    by=r"Fokker-Planck, then Cauchy-Schwarz: \(\partial_t\mathrm{KL}\) is at most this",
).at_most(
    -(_fisher**2) / _beta * (1 - 1 / (2 * _share)) + _share * _beta * _drift**2 / 2,
    by="Young's inequality",
)
"""F^2: relative Fisher information, B^2: squared drift; c = 1 forgets, c = 1/2 does not."""

_past = divergence
_next = sp.Symbol(r"\mathrm{KL}(\rho_{K+1}\|\pi)", nonnegative=True)
_last2 = sp.Symbol(r"\mathbb{E}\|\hat{g}_{K}\|^{2}", nonnegative=True)
_span = sp.Symbol("s", positive=True)

price = Derivation.of(
    sp.Symbol("{P}", positive=True),
    _inner_beta
    / (2 * _kappa**2)
    * sp.Integral(
        sp.exp(-_inner_decay * _span), (_span, 0, -sp.log(1 - rate * decay) / _inner_decay)
    ),
    by=r"Gronwall over one step, \(\hat{g}'=\hat{g}/k\)",
    domain=_small,
).equals(_beta * rate * (1 - rate * decay / 2) / 2, by="the integral")
"""Price of the last squared gradient: the flow's own constants cancel."""

# A constant gradient that the decay just balances: weights of the variance at rest stay where they
# are, and so does their divergence, however many steps are taken.
_mean = sp.Symbol("m_0", real=True)
_still = kl_of(_mean, stationary.expr, variance_2=stationary.expr)
_at_rest = {_past: _still, _next: _still, _last2: (decay * _mean) ** 2}

forgetting_step = Derivation.of(_next, _next, by="after one more step", domain=_small).granted(
    "<=",
    (1 - rate * decay) * _past + price.expr * _last2,
    cite="Gross 1975, logarithmic Sobolev inequality; Mou, Wang, Zhai and Zheng 2018 in shape",
    by=r"Young with \(c=1\), then \(F^2\ge2\beta\varpi\,\mathrm{KL}\), then Gronwall",
    witness=_at_rest,
)
"""One step: the past counts less by the decay, the last gradient at its price."""

_left = sp.Symbol("q", positive=True)
_sum = sp.Symbol("S_{K}", nonnegative=True)


def _bound(kept: sp.Expr, total: sp.Expr) -> sp.Expr:
    return kept * start_divergence + _beta * (1 + _left) / 4 * total


_in_share = {decay: (1 - _left) / rate}
_one_more = forgetting_step.specialise(
    _in_share, by=r"\(q=1-\eta\varpi\)", domain={_left: (0, 1)}
).equals(_left * _past + _beta * (1 + _left) / 4 * rate * _last2, by="collecting terms")
_claim = Derivation.of(_past, _past, by="the claim").granted(
    "<=",
    _bound(_left**steps, _sum),
    cite="the hypothesis of the induction",
    by=r"for \(K\) steps",
    witness={_past: start_divergence, steps: 0, _sum: 0},
)

induction = (
    Derivation.of(_next, _next, by="one more step", domain={_left: (0, 1)})
    .at_most(_one_more.expr, by=r"one step, \(q=1-\eta\varpi\)", using=[_one_more])
    .at_most(_one_more.expr.subs(_past, _claim.expr), by="hypothesis", using=[_claim])
    .equals(
        _bound(_left ** (steps + 1), _left * _sum + rate * _last2),
        by=r"\(S_{K+1}=qS_K+\eta\,\mathbb{E}\|\hat{g}_K\|^2\)",
    )
)
"""From K steps to K + 1: the same bound, with a sum of gradients that forgets as it goes."""

forgetting = Derivation.of(
    divergence, divergence, by="of the last weights", domain=_small
).granted(
    "<=",
    _bound(_left**steps, forgotten).subs(_left, 1 - rate * decay),
    cite="induction over the steps, from no step at all",
    by="the step above, again and again",
    witness={
        divergence: _still,
        start_divergence: _still,
        forgotten: rate * _at_rest[_last2] * (1 - (1 - rate * decay) ** steps) / (rate * decay),
    },
)
"""With weight decay only the last 1 / (rate decay) gradients count."""

# The second law: no gradients, no time, no dimension.
start_loss = sp.Symbol(r"{\mathbb{E}_{\rho_{0}}\hat{\mathcal{R}}}", nonnegative=True)
losses = sp.Symbol(r"{\mathbb{E}_{\rho_{t}}\hat{\mathcal{R}}}", nonnegative=True)
_to_gibbs = sp.Symbol(r"\mathrm{KL}(\rho_{t}\|\nu)", nonnegative=True)
_from_start = sp.Symbol(r"\mathrm{KL}(\rho_{0}\|\nu)", nonnegative=True)
_log_z = sp.Symbol(r"{\log\mathcal{Z}}", real=True)
_at_time = sp.Symbol(r"\mathrm{KL}(\rho_{t}\|\pi)", nonnegative=True)

# pi = N(0, s^2), loss kappa (theta - z)^2, any normal start; the flow keeps the share rho of its
# way to nu.
_centre, _spread = sp.symbols("z s_0", real=True)
_gibbs2 = 1 / (1 / s2 + 2 * _beta * weight)
_gibbs = 2 * _beta * weight * _centre * _gibbs2
_moved, _moved2 = _gibbs + (_mean - _gibbs) * keep, _gibbs2 + (_spread**2 - _gibbs2) * keep**2


_flow = {
    _at_time: kl_of(_moved, _moved2, 0, s2),
    _to_gibbs: kl_of(_moved, _moved2, _gibbs, _gibbs2),
    _from_start: kl_of(_mean, _spread**2, _gibbs, _gibbs2),
    start_divergence: kl_of(_mean, _spread**2, 0, s2),
    losses: weight * ((_moved - _centre) ** 2 + _moved2),
    start_loss: weight * ((_mean - _centre) ** 2 + _spread**2),
    _log_z: -sp.log(s2 / _gibbs2) / 2 - _beta * weight * _centre**2 * _gibbs2 / s2,
}
_tilted = "Donsker and Varadhan 1983, the tilted law"

_start = Derivation.of(
    _from_start, _from_start, by=r"\(\nu\propto e^{-\beta\hat{\mathcal{R}}}\pi\)"
)
_start = _start.granted(
    "=",
    start_divergence + _beta * start_loss + _log_z,
    cite=_tilted,
    by=r"mean under \(\rho_0\) of \(\log\pi/\nu\)",
    witness=_flow,
)
energy_drop = (
    Derivation.of(_at_time, _at_time, by="of the weights at any time", domain=_below_one)
    .granted(
        "=",
        _to_gibbs - _beta * losses - _log_z,
        cite=_tilted,
        by=r"mean under \(\rho_t\) of \(\log\nu/\pi\)",
        witness=_flow,
    )
    .granted(
        "<=",
        _from_start - _beta * losses - _log_z,
        cite="data processing; Harel, Wolanowsky, Vardi, Srebro and Soudry 2025 in shape",
        by=r"the flow leaves \(\nu\) as it is",
        witness=_flow,
    )
    .equals(start_divergence + _beta * (start_loss - losses), by="the start", using=[_start])
)
"""Langevin flow that is reversible for nu; for steps of finite size it is no theorem."""

second_law = energy_drop.at_most(
    start_divergence + _beta * start_loss, by="a loss is not negative"
)
"""The same whatever the time: the price of the start, least where it is pi itself."""
