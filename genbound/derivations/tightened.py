r"""A sharper Girsanov: errors made at high noise are forgotten on the way down.

P_t and Q_t are the laws of the exact and of the learned reverse process at noise time t, both
with noise \sqrt{2} dB; their drifts differ by 2 e, where e = s_\theta - s is the score error in
the package's convention. Time runs down, from T to \delta: a dot is the derivative in that
direction. In the spirit of Dupuis, Farghly, Haddouche, Durmus and Simsekli 2026, proof and
constants of our own. The solvable cases are one coordinate, with drifts a x + b and A x + B.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian
from genbound.derivations.frozen_score import share, v

flow = sp.Symbol(r"{\dot{\mathrm{KL}}(P_{t}\|Q_{t})}", real=True)
now = sp.Symbol(r"\mathrm{KL}(P_{t}\|Q_{t})", nonnegative=True)
end = sp.Symbol(r"\mathrm{KL}(P_{\delta}\|Q_{\delta})", nonnegative=True)
begin = sp.Symbol(r"\mathrm{KL}(P_{T}\|Q_{T})", nonnegative=True)
fisher = sp.Symbol(r"\mathcal{I}(P_{t}\|Q_{t})", nonnegative=True)
error = sp.Symbol(r"{\mathbb{E}\|e_{t}\|^{2}}", nonnegative=True)
constant = sp.Symbol("{C_{t}}", positive=True)
fade = sp.Symbol("q", positive=True)
kept_start = sp.Symbol(r"f_{T}", positive=True)
forgotten = sp.Symbol(
    r"{\int_{\delta}^{T}f_{t}\,\mathbb{E}\|e_{t}\|^{2}\,\mathrm{d}t}", nonnegative=True
)

_inside = {fade: (0, 1)}
_m, _learned = gaussian.m, gaussian.m_2
_s2, _learned2 = gaussian.s2, gaussian.s2_2
_a, _b, _slope, _offset = sp.symbols("a b A B", real=True)
_x = Normal("x", _m, sp.sqrt(_s2))
_ratio_slope = (_x - _learned) / _learned2 - (_x - _m) / _s2
_miss = (_slope - _a) * _x + _offset - _b

entropy_flow = Derivation.of(
    flow,
    sp.diff(gaussian.kl.expr, _m) * (_a * _m + _b)
    + sp.diff(gaussian.kl.expr, _s2) * (2 * _a * _s2 + 2)
    + sp.diff(gaussian.kl.expr, _learned) * (_slope * _learned + _offset)
    + sp.diff(gaussian.kl.expr, _learned2) * (2 * _slope * _learned2 + 2),
    by=r"two normal laws, \(\dot{m}=am+b\), \(\dot{s^2}=2as^2+2\)",
).equals(
    -Expectation(_ratio_slope**2) - Expectation(_miss * _ratio_slope),
    by=r"\(-\mathcal{I}(P_t\|Q_t)-\mathbb{E}_{P_t}[2e\cdot\nabla\log(p_t/q_t)]\)",
)
"""The divergence falls by the relative Fisher information, and rises by what the error points at.

Only the part of the error along the slope of log p / q counts: a field that moves mass around
without changing the law costs nothing.
"""

_root, _error_root = sp.symbols("F E", nonnegative=True)

young = Derivation.of(
    sp.Symbol("{-F^{2}+2FE}", real=True),
    -(_root**2) + 2 * _root * _error_root,
    by=r"Cauchy-Schwarz, \(F^2=\mathcal{I}\), \(E^2=\mathbb{E}\|e\|^2\)",
    domain=_inside,
).at_most(
    -fade * _root**2 + _error_root**2 / (1 - fade),
    by=r"Young's inequality, \(q<1\)",
)
"""q = 0 gives Girsanov's rate; q > 0 keeps something of the Fisher information, at a price."""

# A family for witnesses: data N(0, 1), so P_t = N(0, 1) too, and Q_t = N(D, 1).
_shift, _field, _time = sp.symbols("D eta tau", positive=True)
_shifted = {
    now: _shift**2 / 2,
    fisher: _shift**2,
    flow: -(_shift**2) + 2 * _shift * _field,
    error: _field**2,
    constant: 1,
}

log_sobolev = Derivation.of(now, now, by="any P", domain=_inside).granted(
    "<=",
    constant * fisher / 2,
    cite="Gross 1975",
    by=r"\(Q_t\) has a log-Sobolev constant \(C_t\)",
    witness={
        now: gaussian.kl.expr,
        fisher: (1 / _learned2 - 1 / _s2) ** 2 * _s2 + ((_m - _learned) / _learned2) ** 2,
        constant: _learned2,
    },
)
"""A normal law has its variance as constant; equality for a shift."""

_lower = Derivation.of(fisher, fisher, by="of the error's effect", domain=_inside).granted(
    ">=",
    2 * now / constant,
    cite="Gross 1975",
    by="the same, solved for the information",
    witness=_shifted,
)

dissipation = (
    Derivation.of(flow, flow, by="along both processes", domain=_inside)
    .granted(
        "<=",
        -fade * fisher + error / (1 - fade),
        cite="Fokker-Planck; mean of Young's inequality",
        by=r"entropy flow, \(0<q<1\)",
        witness=_shifted,
    )
    .at_most(
        -2 * fade / constant * now + error / (1 - fade),
        by="log-Sobolev",
        using=[_lower],
    )
)
"""What is forgotten and what is added, at each time."""

_level, _factor = sp.Symbol("K", nonnegative=True), sp.Symbol("f", positive=True)
_slope_k = sp.Symbol(r"\dot{K}", real=True)
_add = sp.Symbol("E^{2}", nonnegative=True)
_rate = sp.Symbol("rho", nonnegative=True)
_fall = Derivation.of(_slope_k, _slope_k, by="the step above").granted(
    "<=",
    -_rate * _level + _add,
    cite="hypothesis",
    by="dissipation",
    witness={_slope_k: -_rate * _level + _add},
)

gronwall = Derivation.of(
    sp.Symbol(r"{\dot{(K/f)}}", real=True),
    (_slope_k + _rate * _level) / _factor,
    by=r"\(f=e^{-\int\rho}\), \(\dot{f}=-\rho f\)",
).at_most(_add / _factor, by="the rate cancels", using=[_fall])
"""Divided by what is left of it, the divergence grows by errors alone."""

_shifted_end = (_shift * sp.exp(-_time) + 2 * _field * (1 - sp.exp(-_time))) ** 2 / 2

theorem = Derivation.of(end, end, by="where the sampler stops", domain=_inside).granted(
    "<=",
    kept_start * begin + forgotten / (1 - fade),
    cite="Gronwall",
    by=r"\(f_t=\exp(-\int_{\delta}^{t}2q/C_s\,\mathrm{d}s)\) is what is left from time t on",
    witness={
        end: _shifted_end,
        begin: _shift**2 / 2,
        kept_start: sp.exp(-2 * fade * _time),
        forgotten: _field**2 * (1 - sp.exp(-2 * fade * _time)) / (2 * fade),
    },
)
"""Start and errors count by what is left of them at the end; continuous time, no grid."""

_total = sp.Symbol(r"\mathcal{L}_{\mathrm{ESM}}", nonnegative=True)

girsanov = Derivation.of(end, end, by="where the sampler stops").granted(
    "<=",
    begin + _total,
    cite="Girsanov; the limit q = 0",
    by=r"nothing is forgotten: \(f_t=1\)",
    # An error that keeps the shift alive: nothing is lost as tau tends to 0.
    witness={
        end: _shifted_end.subs(_field, _shift),
        begin: _shift**2 / 2,
        _total: _shift**2 * _time,
    },
)
"""The usual step: all errors count alike."""

best_share = Derivation.of(
    sp.Symbol("{-qy^{2}+E^{2}/(1-q)}", real=True),
    -fade * _root**2 + _error_root**2 / (1 - fade),
    by=r"\(y^2=2\,\mathrm{KL}/C\)",
    domain=_inside,
).equals(
    -(_root**2)
    + 2 * _root * _error_root
    + (sp.sqrt(1 - fade) * _root - _error_root / sp.sqrt(1 - fade)) ** 2,
    by="complete the square",
)
"""The share may change with time: best is 1 - q = E / y where that is below 1, and else q = 0."""

# Gaussian data N(mu, v): what is left, and an error in the mean alone, exactly. v_t = 1+(v-1) u.
_variance = 1 + (v - 1) * share


def _along(expr: sp.Expr) -> sp.Expr:
    """Derivative in t, u = e^{-2t}."""
    return -2 * share * sp.diff(expr, share)


left = Derivation.of(
    sp.Symbol(r"{\partial_t\log(u/v_{t})}", real=True),
    _along(sp.log(share / _variance)),
    by=r"\(u=e^{-2t}\), \(v_t=1+(v-1)u\)",
    domain={share: (0, 1)},
).equals(
    -2 / _variance, by=r"so \(f_t=\big(\frac{u_t/v_t}{u_\delta/v_\delta}\big)^{q}\), \(C=v_t\)"
)
"""What is left at the end of a divergence at time t, for a law of the data's own variance."""

moved = Derivation.of(
    sp.Symbol(r"{\partial_t\log(\sqrt{u}/v_{t})}", real=True),
    _along(sp.log(sp.sqrt(share) / _variance)),
    by=r"\(u=e^{-2t}\)",
    domain={share: (0, 1)},
).equals(
    1 - 2 / _variance,
    by=r"slope of the reverse drift: a shift at t ends \(\sqrt{u}/v_t\) as large",
)
"""How a shift of the mean is carried to the end."""

_signal = sp.Symbol("alpha", positive=True)

carried = Derivation.of(
    sp.Symbol(r"{-\alpha\,\partial_{\alpha}S}", real=True),
    -_signal * sp.diff(-sp.atan(sp.sqrt(v - 1) * _signal) / sp.sqrt(v - 1), _signal),
    by=r"\(S=-\arctan(\sqrt{v-1}\,\alpha)/\sqrt{v-1}\), \(\alpha=e^{-t}\)",
    domain={v: (1, None), _signal: (0, 1)},
).equals(_signal / (1 + (v - 1) * _signal**2), by="differentiate")
"""The integral of that over a window of times, for v > 1."""
