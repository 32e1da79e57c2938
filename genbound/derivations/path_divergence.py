r"""Divergence between path laws: what a score error costs along a noising process.

Time enters through the noise variance: y = \sigma^2 grows from \sigma_\varepsilon^2 to
\sigma_T^2, and db = dy / (1 - y) in the clock. The learner of the instances knows a mean only,
s(x, t) = -(x - \alpha \hat\mu) for data N(\mu, 1), in one coordinate.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian, trade_off

__all__ = [
    "chain",
    "chain_limit",
    "chain_step",
    "conditional",
    "conditional_letters",
    "denoising",
    "denoising_letters",
    "denoising_of_datum",
    "denoising_rate",
    "path_slack",
    "two_steps",
]

_mu = sp.Symbol("mu", real=True)
_learned = sp.Symbol(r"\hat{\mu}", real=True)
_datum = sp.Symbol("x", real=True)
_y = sp.Symbol("y", positive=True)
_first = sp.Symbol(r"\sigma_{\varepsilon}^{2}", positive=True)
_last = sp.Symbol(r"\sigma_{T}^{2}", positive=True)
_xi = Normal("xi", 0, 1)

denoising_letters = (_first, _last, _mu, _learned)
"""Argument order of :data:`denoising`."""

denoising_rate = Derivation.of(
    sp.Symbol(r"{2\,\partial_y\,\ell_{\theta}(x)}", real=True),
    Expectation((sp.sqrt(1 - _y) * (_learned - _datum) + (1 - _y) / sp.sqrt(_y) * _xi) ** 2)
    / (1 - _y),
    by=r"\(s+\xi/\sigma\) at \(\alpha x+\sigma\xi\), \(y=\sigma^2\)",
    domain={_y: (0, 1), _learned: (None, None)},
).equals((_datum - _learned) ** 2 + (1 - _y) / _y, by="moments of the noise")
"""How fast the denoising loss of one datum grows with the noise variance."""

denoising_of_datum = Derivation.of(
    sp.Symbol(r"\ell_{\theta}(x)", real=True),
    sp.Integral(denoising_rate.expr, (_y, _first, _last)) / 2,
    by=r"from \(\varepsilon\) to \(T\)",
).equals(
    (_last - _first) * ((_datum - _learned) ** 2 - 1) / 2 + sp.log(_last / _first) / 2,
    by="integrate",
)
"""Denoising loss of one datum under the mean learner."""

_x = Normal("x", _mu, 1)


def _information(noise_variance: sp.Expr) -> sp.Expr:
    return gaussian.channel_of(1 - noise_variance, noise_variance)


denoising = (
    Derivation.of(
        sp.Symbol(r"\mathcal{L}_{\mathrm{DSM}}", real=True),
        Expectation(denoising_of_datum.expr.subs(_datum, _x)),
        by=r"mean over \(X\sim N(\mu,1)\)",
    )
    .equals(
        (_last - _first) * (_learned - _mu) ** 2 / 2 + sp.log(_last / _first) / 2,
        by=r"moments of \(X\)",
    )
    .equals(
        sp.Integral((_learned - _mu) ** 2, (_y, _first, _last)) / 2
        + _information(_first)
        - _information(_last),
        by=r"\(\mathcal{L}_{\mathrm{ESM}}+I_{\varepsilon}-I_{T}\)",
    )
)
"""Denoising loss = explicit loss + information lost, with every mean taken."""

# The path bound for one datum x: the model starts at N(0, 1) and keeps variance 1.
_u = sp.Symbol("u", positive=True)
_r = sp.Symbol("r", positive=True)
_a = _u * _r

conditional_letters = (_u, _r, _datum, _learned)
"""Argument order of :data:`conditional`: alpha_eps^2, the share left of it at T, x, its mean."""

_loss = ((_u - _a) * (_datum - _learned) ** 2 - (_u - _a) - sp.log(1 - _u) + sp.log(1 - _a)) / 2
_start = (_a * (_datum**2 - 1) - sp.log(1 - _a)) / 2

conditional = (
    Derivation.of(
        sp.Symbol(r"\mathrm{KL}(E_{\varepsilon}(x)\|p_{\theta})", real=True),
        (1 - _u + (_u * _datum - (_u - _a) * _learned) ** 2 / _u - 1 - sp.log(1 - _u)) / 2,
        by=r"\(u=\alpha_{\varepsilon}^2\), \(ur=\alpha_T^2\)",
        domain={_u: (0, 1), _r: (0, 1)},
    )
    .equals(
        _loss + _start - _a * (1 - _r) * _learned**2 / 2,
        by=r"\(\ell_{\theta}(x)+\mathrm{KL}(E_T(x)\|\pi)-\ldots\)",
    )
    .at_most(_loss + _start, by="what is subtracted is a square")
)
"""Path bound for a single datum: the step behind every bound on the likelihood."""

path_slack = Derivation.of(
    sp.Symbol(r"{\mathcal{B}_{\mathrm{path}}-\mathrm{KL}}", real=True),
    trade_off.path.expr - trade_off.exact.expr,
    by="path bound less exact divergence",
    domain={trade_off.a: (0, 1)},
).equals(
    trade_off.a * (1 - trade_off.a) * (trade_off.M + trade_off.d / trade_off.n) / 2,
    by="collecting terms",
)
"""What data processing gives away for the mean learner."""

# Euler-Maruyama chains with scores s and s-bar: equal steps h of the clock, k counts from data.
_h = sp.Symbol("h", positive=True)
_k = sp.Symbol("k", positive=True, integer=True)
_clock = sp.Symbol("B", positive=True)
_s, _s_bar, _state = sp.symbols(r"s \bar{s} y", real=True)
_moves = {
    gaussian.m: _state + _h * (_state / 2 + _s),
    gaussian.m_2: _state + _h * (_state / 2 + _s_bar),
    gaussian.s2: _h,
}

chain_step = Derivation.of(
    sp.Symbol(r"\mathrm{KL}_{\mathrm{step}}", nonnegative=True),
    gaussian.same_variance.expr.subs(_moves, simultaneous=True),
    by="two normal laws, the same noise",
).equals(_h * (_s - _s_bar) ** 2 / 2, by="collecting terms")
"""One step of two chains from the same state."""

# Two steps with constant score errors: the joint law has a closed form of its own.
_c_1, _c_2 = sp.symbols("c_1 c_2", real=True)
_keep = 1 - _h / 2
_covariance = sp.Matrix([[_h, _keep * _h], [_keep * _h, _keep**2 * _h + _h]])
_apart = sp.Matrix([_h * _c_1, _keep * _h * _c_1 + _h * _c_2])

two_steps = Derivation.of(
    sp.Symbol(r"\mathrm{KL}_{\mathrm{path}}", nonnegative=True),
    (_apart.T * _covariance.inv() * _apart)[0] / 2,
    by=r"joint law of two steps, errors \(c_1\), \(c_2\)",
).equals(_h * _c_1**2 / 2 + _h * _c_2**2 / 2, by="one term for each step")
"""The chain rule, checked on the joint law: path divergence is the sum over steps."""


def _energy(steps: sp.Expr) -> sp.Expr:
    """Sum of h e^{-k h} / 2 over k = 1 .. steps, the mean learner's error at signal e^{-kh}."""
    return _h / 2 * (1 - sp.exp(-steps * _h)) / (sp.exp(_h) - 1)


chain = Derivation.of(
    sp.Symbol(r"{A_k-A_{k-1}}", real=True),
    _energy(_k) - _energy(_k - 1),
    by=r"\(A_k=\frac{h}{2}\,\frac{1-e^{-kh}}{e^{h}-1}\), so \(A_0=0\)",
).equals(_h * sp.exp(-_k * _h) / 2, by=r"one step, \((s-\bar{s})^2=e^{-kh}\)")
"""The geometric sum, by induction, for a mean that is wrong by 1."""

_energy_limit = sp.Limit(_energy(_clock / _h), _h, 0)

chain_limit = Derivation.of(
    sp.Symbol(r"{A(T)}", real=True), _energy_limit, by=r"\(N=B/h\) steps, \(h\to 0\)"
).equals((1 - sp.exp(-_clock)) / 2, by=r"\(\frac12\int_0^{B}e^{-b}\,\mathrm{d}b\)")
"""The chain's divergence tends to that of the continuous process."""
