r"""A linear score with a wrong mean and a wrong variance: every bound beside the exact law.

Data N(\mu, s^2) in one coordinate, variance-preserving process, learned score
-(x - \alpha_t \hat\mu) / \hat{v}_t with \hat{v}_t = 1 + (\hat{s}^2 - 1) \alpha_t^2: the exact
score of N(\hat\mu, \hat{s}^2). The model starts from N(0, 1) at the horizon T and stops at
t_min = \varepsilon. Whatever the covariances, a rotation to common axes leaves a sum of
coordinates. Everything depends on time through u = \alpha_\varepsilon^2 and a = \alpha_T^2 alone,
and on t_min = 0 through u = 1.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian

u = sp.Symbol("u", positive=True)
a = sp.Symbol("a", positive=True)
mu = sp.Symbol("mu", real=True)
s2 = sp.Symbol("s^{2}", positive=True)
mu_hat = sp.Symbol(r"\hat{\mu}", real=True)
s2_hat = sp.Symbol(r"\hat{s}^{2}", positive=True)
x2 = sp.Symbol("x^{2}", nonnegative=True)
y2 = sp.Symbol("y^{2}", nonnegative=True)

letters = (u, a, mu, s2, mu_hat, s2_hat)
"""Argument order of every compiled result of one coordinate."""

# Share of signal at an intermediate time, 1 - share is the share of noise: db = -dw / w.
_w = sp.Symbol("w", positive=True)
_b = sp.Symbol("b", positive=True)
_r = sp.Symbol("r", positive=True)
# Since a < u: writing a = u r keeps the order of the two in the domain.
_domain = {u: (0, 1), _r: (0, 1), mu: (None, None), mu_hat: (None, None), _w: (0, 1)}
_xi = Normal("xi", 0, 1)


def _variance(of: sp.Expr, share: sp.Expr) -> sp.Expr:
    """Variance of noised N(., of) where the signal's share is `share`."""
    return 1 + (of - 1) * share


_v_u, _v_a = _variance(s2, u), _variance(s2, a)
_hat_u, _hat_a = _variance(s2_hat, u), _variance(s2_hat, a)
_offset = mu_hat - mu


def _result(name: str, expr: sp.Expr, by: str) -> Derivation:
    """A derivation about a < u, in the letters u and r = a / u while it is checked."""
    ends = {symbol: _domain[symbol] for symbol in _domain if symbol in expr.free_symbols}
    return Derivation.of(sp.Symbol(name, real=True), expr, by=by, domain=ends)


def _solves(name: str, moment: sp.Expr, rate: sp.Expr, by: str) -> Derivation:
    """The moment, along the clock b that counts down, solves its equation (and its start)."""
    share = sp.exp(-_b)
    left = -sp.diff(moment.subs(u, share), _b)
    return Derivation.of(
        sp.Symbol(name, real=True),
        left,
        by=r"differentiate, \(u=e^{-b}\)",
        domain={a: (0, 1), mu_hat: (None, None)},
    ).equals(rate.subs(u, share), by=by)


_M, _V = sp.symbols("M V", real=True)


def _drift(weight: sp.Expr) -> sp.Expr:
    """Drift of a mean M under M / 2 + weight * score, clockwise towards the data."""
    return _M / 2 + weight * -(_M - sp.sqrt(u) * mu_hat) / _hat_u


# The reverse process loses what it starts with by the factor phi(u) / phi(a).
_sde_factor = _hat_u * sp.sqrt(a) / (_hat_a * sp.sqrt(u))
_ode_factor = sp.sqrt(_hat_u / _hat_a)


def _mean(factor: sp.Expr) -> sp.Expr:
    return mu_hat * (sp.sqrt(u) - sp.sqrt(a) * factor)


sde_mean = _result("M_{\\varepsilon}", _mean(_sde_factor), "exact reverse path plus what is left")
"""Mean of the reverse SDE at t_min, started from N(0, 1)."""

sde_variance = _result(
    "V_{\\varepsilon}", _hat_u + _sde_factor**2 * (1 - _hat_a), "the same for the variance"
)
"""Variance of the reverse SDE at t_min."""

ode_mean = _result("M^{\\circ}_{\\varepsilon}", _mean(_ode_factor), "the deterministic flow")
"""Mean of the probability-flow ODE at t_min, started from N(0, 1)."""

ode_variance = _result("V^{\\circ}_{\\varepsilon}", _hat_u / _hat_a, "the flow scales the start")
"""Variance of the probability-flow ODE at t_min."""

sde_mean_equation = _solves(
    r"{-\partial_b M}",
    sde_mean.expr,
    _drift(sp.Integer(1)).subs(_M, sde_mean.expr),
    r"the drift \(M/2+s(M)\)",
)
sde_variance_equation = _solves(
    r"{-\partial_b V}",
    sde_variance.expr,
    (_V - 2 * _V / _hat_u + 1).subs(_V, sde_variance.expr),
    r"\(V-2V/\hat{v}+1\)",
)
ode_mean_equation = _solves(
    r"{-\partial_b M^{\circ}}",
    ode_mean.expr,
    _drift(sp.Rational(1, 2)).subs(_M, ode_mean.expr),
    r"the drift \(M/2+s(M)/2\)",
)
ode_variance_equation = _solves(
    r"{-\partial_b V^{\circ}}",
    ode_variance.expr,
    (_V - _V / _hat_u).subs(_V, ode_variance.expr),
    r"\(V-V/\hat{v}\)",
)
"""Each moment solves its equation; at u = a it is 0 (mean) or 1 (variance), the prior's."""


def _at_start(name: str, moment: Derivation, expr: sp.Expr) -> Derivation:
    """A moment where the process runs down to time 0."""
    ends = {a: (0, 1), mu_hat: (None, None)}
    opening = Derivation.of(
        sp.Symbol(name, real=True), moment.expr.subs(u, 1), by=r"\(u=1\)", domain=ends
    )
    return opening.equals(expr, by="collecting terms")


sde_mean_start = _at_start("M_{0}", sde_mean, mu_hat * (1 - a) / _hat_a)
sde_variance_start = _at_start(
    "V_{0}", sde_variance, s2_hat - (s2_hat - 1) * a**2 * s2_hat**2 / _hat_a**2
)
ode_mean_start = _at_start(
    r"M^{\circ}_{0}", ode_mean, mu_hat * (1 - sp.sqrt(a) * sp.sqrt(s2_hat / _hat_a))
)
ode_variance_start = _at_start(r"V^{\circ}_{0}", ode_variance, s2_hat / _hat_a)


def _kl_from_data(name: str, mean: sp.Expr, variance: sp.Expr, by: str) -> Derivation:
    return _result(name, gaussian.kl_of(sp.sqrt(u) * mu, _v_u, mean, variance), by)


exact = _kl_from_data(
    r"\mathrm{KL}(P_{\varepsilon}\|p_{\theta})",
    sde_mean.expr,
    sde_variance.expr,
    "two normal laws, the reverse SDE's",
)
"""Divergence of the SDE's law from the data at t_min, nats per coordinate."""

exact_ode = _kl_from_data(
    r"\mathrm{KL}(P_{\varepsilon}\|p^{\circ}_{\theta})",
    ode_mean.expr,
    ode_variance.expr,
    "two normal laws, the flow's",
)
"""Divergence of the ODE's law from the data at t_min, nats per coordinate."""

entropy = _result(
    r"{h(P_{\varepsilon})}", sp.log(2 * sp.pi * sp.E * _v_u) / 2, "entropy of a normal law"
)
"""Add it to a divergence to get the negative log-likelihood of a fresh datum."""

# The squared score error at the share w, over the noised truth, in units of w: partial fractions.
_v, _hat = _variance(s2, _w), _variance(s2_hat, _w)
_miss = s2_hat - s2
_density = _v * (1 / _v - 1 / _hat) ** 2 / _w + _offset**2 / _hat**2

score_density = (
    _result(
        r"{2\,\partial_w\mathcal{L}_{\mathrm{ESM}}}",
        Expectation((_xi / sp.sqrt(_v) - (sp.sqrt(_v) * _xi - sp.sqrt(_w) * _offset) / _hat) ** 2)
        / _w,
        r"squared score error at \(x=\alpha\mu+\sqrt{v}\,\xi\)",
    )
    .equals(_density, by="moments of a normal")
    .equals(
        (s2_hat - 1) / _hat - (s2 - 1) / _v - (_miss - _offset**2) / _hat**2,
        by="partial fractions",
    )
)


def _primitive(share: sp.Expr) -> sp.Expr:
    hat, true = _variance(s2_hat, share), _variance(s2, share)
    return (sp.log(hat) - sp.log(true) - (_miss - _offset**2) * share / hat) / 2


primitive = _result(
    r"{2\,\partial_w\mathcal{L}_{\mathrm{ESM}}(w)}",
    2 * sp.diff(_primitive(_w), _w),
    "the integral",
).equals(score_density.expr, by="differentiate")
"""The integral of the score density in closed form, checked by its derivative."""

score_error = _result(
    r"\mathcal{L}_{\mathrm{ESM}}",
    _primitive(u) - _primitive(a),
    r"integral from \(a\) to \(u\)",
)
"""Explicit score-matching loss of the population, nats per coordinate."""

prior = _result(
    r"\mathrm{KL}(P_{T}\|\pi)",
    gaussian.kl_of(sp.sqrt(a) * mu, _v_a),
    "two normal laws",
)
"""What the wrong starting law costs."""

path = _result(r"\mathcal{B}_{\mathrm{path}}", score_error.expr + prior.expr, "score plus prior")
"""The path bound."""

_ordered = {a: u * _r}
path_is_bound = Derivation.of(
    exact.lhs,
    exact.lhs,
    by=r"tried at \(a=ur<u\)",
    domain={u: (0, 1), _r: (0, 1), mu: (None, None), mu_hat: (None, None)},
).granted(
    "<=",
    score_error.lhs + prior.lhs,
    cite="Song, Durkan, Murray and Ermon 2021; Huang, Lim and Courville 2021",
    by="Girsanov on path space, then data processing",
    witness={part.lhs: part.expr.subs(_ordered) for part in (exact, score_error, prior)},
)
"""The path bound, tried on wrong means and wrong variances at random."""

# The loss of one datum, over its own noise: x_w = sqrt(w) x + sqrt(1 - w) xi.
_loss_density = s2_hat**2 * _w / ((1 - _w) * _hat**2) + x2 / _hat**2
_distance = sp.Symbol("y", real=True)

loss_density = (
    _result(
        r"{2\,\partial_w\ell}",
        Expectation(
            (_xi / sp.sqrt(1 - _w) - (sp.sqrt(_w) * _distance + sp.sqrt(1 - _w) * _xi) / _hat) ** 2
        )
        / _w,
        r"squared distance to the kernel's score, \(y=x-\hat{\mu}\)",
    )
    .equals(_loss_density.subs(x2, _distance**2), by="moments of a normal")
    .equals(
        1 / (1 - _w) + (s2_hat - 1) / _hat + (_distance**2 - s2_hat) / _hat**2,
        by="partial fractions",
    )
)


def _loss_primitive(share: sp.Expr) -> sp.Expr:
    hat = _variance(s2_hat, share)
    return (sp.log(hat) - sp.log(1 - share) + (y2 - s2_hat) * share / hat) / 2


loss_primitive = _result(
    r"{2\,\partial_w\ell(w)}",
    2 * sp.diff(_loss_primitive(_w), _w).subs(y2, _distance**2),
    "the integral",
).equals(loss_density.expr, by="differentiate")

loss = _result(
    r"\ell_{\theta}(x)",
    _loss_primitive(u) - _loss_primitive(a),
    r"integral from \(a\) to \(u\)",
)
"""Denoising loss of a datum at the squared distance y2 from the learned mean."""

loss_letters = (u, a, s2_hat, y2)

denoising = _result(
    r"\mathcal{L}_{\mathrm{DSM}}",
    loss.expr.subs(y2, s2 + _offset**2),
    r"mean loss: \(\mathbb{E}(x-\hat{\mu})^2=s^2+(\mu-\hat{\mu})^2\)",
)
"""Denoising loss of the population."""


def _information(name: str, share: sp.Expr) -> Derivation:
    return _result(name, gaussian.channel_of(s2 * share, 1 - share), "Gaussian channel")


information_min = _information(r"I_{\varepsilon}", u)
information_end = _information("I_{T}", a)

denoising_splits = Derivation.of(
    denoising.lhs,
    denoising.expr.subs(_ordered),
    by=r"\(a=ur\)",
    domain={u: (0, 1), _r: (0, 1), mu: (None, None), mu_hat: (None, None)},
).equals(
    (score_error.expr + information_min.expr - information_end.expr).subs(_ordered),
    by="explicit loss plus the information lost",
)

rate = _result(
    r"\mathcal{R}_{T}", (a * (x2 - 1) - sp.log(1 - a)) / 2, r"\(\mathrm{KL}(E_T(x)\|\pi)\)"
)
"""Rate of a datum; its mean is at x2 = mu^2 + s^2."""
