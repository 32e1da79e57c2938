r"""A gap with high probability, for every law of the weights at once.

The loss is sub-Gaussian of scale R under the data, for every \theta, so the gap of fixed weights
is sub-Gaussian of scale R / sqrt(n). That is assumed: it fails for unbounded data, and where it
holds R grows with the dimension. The prior \pi must not have seen the sample; the posterior \rho
may be anything.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import scale
from genbound.derivations.gaussian import kl_of, m, s2
from genbound.derivations.sgld import divergence, trajectory
from genbound.derivations.sgld_forgetting import energy_drop, forgetting
from genbound.derivations.trade_off import n

__all__ = [
    "at_divergence",
    "confidence",
    "failure",
    "flow_gap",
    "forgetful_gap",
    "mean_gap",
    "pac_bayes",
    "square_moment",
    "squared_gap",
    "trajectory_gap",
]

mean_gap = sp.Symbol(r"{|\mathbb{E}_{\rho}\mathcal{G}|}", nonnegative=True)
failure = sp.Symbol("zeta", positive=True)
confidence = sp.Symbol(r"{\log\frac{\sqrt{2}}{\zeta}}", positive=True)

_gap2 = sp.Symbol(r"{(\mathbb{E}_{\rho}\mathcal{G})^{2}}", nonnegative=True)
_second = sp.Symbol(r"{\mathbb{E}_{\rho}\mathcal{G}^{2}}", nonnegative=True)
_log_laplace = sp.Symbol(r"{\log\,\mathbb{E}_{\pi}e^{n\mathcal{G}^{2}/4R^{2}}}", real=True)

# Squares of a sub-Gaussian variable X of scale s, with w = 1 - 2 c s^2.
_w = sp.Symbol("w", positive=True)
_x = sp.Symbol("x", real=True)
_laplace = sp.Symbol(r"{\mathbb{E}\,e^{cX^{2}}}", positive=True)

square_moment = (
    Derivation.of(_laplace, _laplace, by=r"\(w=1-2cs^2\)", domain={_w: (0, 1)})
    .granted(
        "<=",
        sp.Integral(
            sp.exp((1 - _w) * _x**2 / 2 - _x**2 / 2) / sp.sqrt(2 * sp.pi), (_x, -sp.oo, sp.oo)
        ),
        cite="Boucheron, Lugosi and Massart 2013, section 2.3",
        by=r"\(e^{cX^2}=\mathbb{E}_xe^{\sqrt{2c}xX}\), \(x\) standard normal; then the tail of X",
        # Equality where X is normal.
        witness={_laplace: 1 / sp.sqrt(_w)},
    )
    .equals(1 / sp.sqrt(_w), by="Gaussian integral")
    .specialise({_w: sp.Rational(1, 2)}, by=r"\(c=1/4s^2\), with \(s^2=R^2/n\) for the gap")
)
"""Mean of exp(n G^2 / 4 R^2) over the sample, for fixed weights: at most sqrt(2)."""

# Prior: a normal gap of variance 2 (1 - w) R^2 / n, posterior: any normal law of it.
_prior2 = 2 * (1 - _w) * scale**2 / n
_tilt = {
    _second: m**2 + s2,
    divergence: kl_of(m, s2, variance_2=_prior2),
    _log_laplace: -sp.log(_w) / 2,
}
_p, _q, _share = sp.symbols("p q r", positive=True)

squared_gap = (
    Derivation.of(_gap2, _gap2, by="mean over the posterior", domain={_w: (0, 1), _share: (0, 1)})
    .granted(
        "<=",
        _second,
        cite="Jensen",
        by="square of a mean",
        witness={
            _gap2: (_share * _p + (1 - _share) * _q) ** 2,
            _second: _share * _p**2 + (1 - _share) * _q**2,
        },
    )
    .granted(
        "<=",
        4 * scale**2 / n * (divergence + _log_laplace),
        cite="Donsker and Varadhan 1983",
        by=r"variational formula for \(n\mathcal{G}^2/4R^2\)",
        witness=_tilt,
    )
    .granted(
        "<=",
        4 * scale**2 / n * (divergence + confidence),
        cite="Markov's inequality",
        by=r"with probability \(1-\zeta\), from the mean \(\sqrt{2}\)",
        # A variable of mean sqrt(2) that is sqrt(2) r / zeta with probability zeta / r.
        witness={
            _log_laplace: sp.log(sp.sqrt(2) * _share / failure),
            confidence: sp.log(sp.sqrt(2) / failure),
        },
    )
)
"""The squared gap, for all posteriors at once."""

_root = Derivation.of(mean_gap, sp.sqrt(_gap2), by="definition").at_most(
    2 * scale * sp.sqrt((divergence + confidence) / n),
    by=r"with probability \(1-\zeta\)",
    using=[squared_gap],
)


def _stated(root: Derivation) -> Derivation:
    return root.specialise(
        {confidence: sp.log(sp.sqrt(2) / failure)},
        by=r"with probability \(1-\zeta\) over the sample",
        domain={failure: (0, 1)},
    )


pac_bayes = _stated(_root)
"""PAC-Bayes: the mean gap of any posterior, by its divergence from a data-free prior."""


def at_divergence(bound: Derivation, by: str) -> Derivation:
    """The gap with high probability, where `bound` bounds the divergence."""
    spent = 2 * scale * sp.sqrt((bound.expr + confidence) / n)
    return _stated(_root.at_most(spent, by=by, using=[bound.named(divergence)]))


trajectory_gap = at_divergence(trajectory, "along the trajectory")
"""The gap of Langevin training with high probability, by the gradients on its way."""

forgetful_gap = at_divergence(forgetting, "Langevin training with weight decay")
"""The gap of Langevin training with weight decay, with high probability.

Its letters: the divergence at the start, the forgotten sum of squared gradients, ``decay``,
``rate``, ``inverse_temperature``, ``steps``.
"""

flow_gap = at_divergence(energy_drop, "the flow's second law")
"""The gap of the Langevin flow with high probability, by how far its training loss has fallen."""
