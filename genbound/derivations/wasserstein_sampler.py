r"""How far the sampler's law is from the data in W_2: one coupling, one exponent.

Two reverse processes share their noise: one with the true score s from the true law at the
horizon, one with the learned score s_\theta from N(0, I). Time runs in the clock b of a
variance-preserving process, \mathrm{d}b = g^2\,\mathrm{d}t, from 0 at t_min to B at the horizon;
slope and gain are those of :mod:`score_slope`. The theorem is of this book, its ingredients are
classical; it speaks of continuous time, and :data:`one_step` is its discrete counterpart.
Dupuis et al. 2025 (arXiv 2506.03849) write the score as 2 (\nabla\log p + x) and t = b / 2: their
drift then contracts at the rate -(1 + 2\Lambda). The solvable case is one coordinate of data
N(\mu, v), with the score of N(\mu + \Delta, v): an error that is constant in space.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import frozen_score, linear_score
from genbound.derivations.frozen_score import error, fisher, growth, mu, share, v
from genbound.derivations.linear_score import a, u
from genbound.derivations.score_slope import gain, gaussian_gain, noised, slope, w

distance = sp.Symbol(r"{W_2(P_{\varepsilon},p_{\theta})}", nonnegative=True)
start = sp.Symbol(r"{W_2(P_{T},\pi)}", nonnegative=True)
data_start = sp.Symbol(r"{W_2(P,\pi)}", nonnegative=True)
squared_gain = sp.Symbol(r"{\int A^{2}\,\mathrm{d}b}", positive=True)
accumulated = sp.Symbol(r"{\int A\,e\,\mathrm{d}b}", nonnegative=True)
score_error = sp.Symbol(r"\mathcal{L}_{\mathrm{ESM}}", nonnegative=True)
denoising = sp.Symbol(r"\mathcal{L}_{\mathrm{DSM}}", nonnegative=True)
information_lost = sp.Symbol(r"{(I_{\varepsilon}-I_{T})}", nonnegative=True)

# Along the coupling, backwards: X - Y has length D, e is the score error at Y.
_D, _e, _A = sp.symbols("D e A", positive=True)
_inner, _cosine = sp.Symbol(r"{\langle\Delta s,X-Y\rangle}", real=True), sp.Symbol("c", real=True)
_slack = sp.Symbol("q", nonnegative=True)

_one_sided = Derivation.of(
    _inner, slope * _D**2 - _slack, by=r"definition of the slope, \(q\ge0\)"
)

coupling = (
    Derivation.of(
        sp.Symbol(r"{-\partial_b\frac{1}{2}\|X-Y\|^{2}}", real=True),
        _D**2 / 2 + _inner + _cosine * _D * _e,
        by="drifts X/2 + s; the noise is common and cancels",
        domain={_cosine: (-1, 1)},
    )
    .at_most(
        _D**2 / 2 + slope * _D**2 + _cosine * _D * _e,
        by="the learned score at two points",
        using=[_one_sided],
    )
    .at_most((slope + sp.Rational(1, 2)) * _D**2 + _D * _e, by="Cauchy and Schwarz")
)
"""How fast two coupled paths part, backwards."""

_rate = sp.Symbol("kappa", real=True)

growth_of_error = Derivation.of(
    sp.Symbol(r"{\partial_b(A_bD_b)}", real=True),
    _A * _rate * _D + _A * (_slack - _rate * _D - _e),
    by=r"\(D=(\mathbb{E}\|X-Y\|^2)^{1/2}\), \(\kappa=\Lambda+\frac12\), \(q\ge0\)",
).at_least(-_A * _e, by="the rate cancels")
"""Integrated from 0 to B: D_0 <= A_B D_B + int A e."""

# The solvable case. Since a < u: a = u r keeps the order of the two in the domain.
shift = sp.Symbol("Delta", real=True)
_r = sp.Symbol("r", positive=True)
_ordered = {a: u * _r}
_inside = {u: (0, 1), _r: (0, 1), mu: (None, None), shift: (None, None)}
_v_u, _v_a = noised(u), noised(a)

_toy_density = gaussian_gain.expr.subs(a, w) * sp.sqrt(w) * shift / noised(w) / w

toy = Derivation.of(
    sp.Symbol(r"{\partial_w\int A\,e}", real=True),
    _toy_density,
    by=r"\(e=\alpha\Delta/v_w\), \(\mathrm{d}b=-\mathrm{d}w/w\)",
    domain={u: (0, 1), w: (0, 1)},
).equals(sp.diff(shift * _v_u / sp.sqrt(u) * w / noised(w), w), by="a primitive")
"""A wrong mean, as the coupling adds it up."""

toy_total = Derivation.of(
    accumulated,
    (_toy := shift * _v_u / sp.sqrt(u) * (u / _v_u - a / _v_a)).subs(_ordered),
    by=r"from \(a\) to \(u\)",
    domain=_inside,
).equals(
    (shift * (sp.sqrt(u) - sp.sqrt(a) * gaussian_gain.expr)).subs(_ordered), by="collecting terms"
)
"""What a wrong mean costs; the true distance of the means when both start at P_T."""

toy_whole = Derivation.of(
    accumulated, sp.Limit(_toy.subs(u, 1), a, 0), by=r"\(\varepsilon=0\), \(T\to\infty\)"
).equals(shift, by="the limit")
"""All of it: the distance of two shifted normal laws. Nothing is given away."""

_s = sp.Symbol("s", positive=True)

toy_paper = Derivation.of(
    sp.Symbol(r"{\int_0^\infty\frac{2e^{-s}}{v_s}e^{-\int_0^s(2/v_r-1)\mathrm{d}r}\mathrm{d}s}"),
    sp.Integral(2 * v * sp.exp(-2 * _s) / (1 + (v - 1) * sp.exp(-2 * _s)) ** 2, (_s, 0, sp.oo)),
    by=r"\(w=e^{-2s}\): \(A=\sqrt{w}\,v/v_w\)",
).equals(1, by="substitute w")
"""The same in the time of the paper."""

_mean_gap = (linear_score.sde_mean.expr - sp.sqrt(u) * mu).subs(
    {linear_score.mu_hat: mu + shift, linear_score.s2_hat: v}
)
_deviation_gap = sp.sqrt(_v_u) - sp.sqrt(
    linear_score.sde_variance.expr.subs(linear_score.s2_hat, v)
)

_means, _deviations = sp.symbols("m s", real=True)

of_gaussians = Derivation.of(
    sp.Symbol(r"{W_2^2(N(m_1,s_1^2),N(m_2,s_2^2))}", nonnegative=True),
    Expectation((_means + _deviations * Normal("xi", 0, 1)) ** 2),
    by=r"monotone coupling \(m_i+s_i\xi\), \(m=m_1-m_2\), \(s=s_1-s_2\)",
).equals(_means**2 + _deviations**2, by="moments of a normal")
"""Squared distance of two normal laws of one coordinate (or one common axis)."""

solved_distance = Derivation.of(
    distance,
    sp.sqrt(_mean_gap**2 + _deviation_gap**2),
    by="two normal laws",
    domain={u: (0, 1), a: (0, 1), mu: (None, None), shift: (None, None)},
)
"""Truth for a wrong mean: letters u, a, mu, v, Delta."""

letters = (u, a, mu, v, shift)
"""Argument order of the solved case."""

solved_start = Derivation.of(start, sp.sqrt(a * mu**2 + (1 - sp.sqrt(_v_a)) ** 2))
_learned = {
    linear_score.mu_hat: mu + shift,
    linear_score.s2: v,
    linear_score.s2_hat: v,
}
_solved = {
    distance: solved_distance.expr.subs(_ordered),
    start: solved_start.expr.subs(_ordered),
    gain: gaussian_gain.expr.subs(_ordered),
    accumulated: sp.Abs(_toy.subs(_ordered)),
    squared_gain: (_v_u**2 / u * (u / _v_u - a / _v_a)).subs(_ordered),
    score_error: (shift**2 * (u / _v_u - a / _v_a) / 2).subs(_ordered),
}

theorem = Derivation.of(
    distance, distance, by="least mean square over couplings", domain=_inside
).granted(
    "<=",
    gain * start + accumulated,
    cite="Gronwall 1919; Villani 2009, definition 6.1",
    by="the coupling with common noise, best at the start; integrate",
    witness=_solved,
)
"""Theorem: gain times the distance at the start, and the score errors with their gains."""

cauchy_schwarz = Derivation.of(
    accumulated, accumulated, by=r"\(e=(\mathbb{E}\|s_\theta-s\|^2)^{1/2}\)", domain=_inside
).granted(
    "<=",
    sp.sqrt(2 * squared_gain * score_error),
    cite="Cauchy and Schwarz",
    by=r"\(\mathcal{L}_{\mathrm{ESM}}=\frac12\int e^2\,\mathrm{d}b\)",
    witness=_solved,
)
"""The explicit loss in place of its course in time; an equality for a wrong mean."""

by_loss = theorem.at_most(
    gain * start + sp.sqrt(2 * squared_gain * score_error),
    by="over the clock",
    using=[cauchy_schwarz],
)

_vincent = Derivation.of(score_error, score_error, by="explicit loss", domain=_inside).granted(
    "=",
    denoising - information_lost,
    cite="Vincent 2011; Guo, Shamai and Verdu 2005",
    by="denoising loss less the information lost",
    witness={
        score_error: _solved[score_error],
        denoising: linear_score.denoising.expr.subs(_learned | _ordered),
        information_lost: (
            linear_score.information_min.expr - linear_score.information_end.expr
        ).subs(_learned | _ordered),
    },
)

held_out = by_loss.equals(
    gain * start + sp.sqrt(2 * squared_gain * (denoising - information_lost)),
    by="denoising loss less the information lost on the way",
    using=[_vincent],
)
"""What test data know: their denoising loss. Without I_eps - I_T, unknown for data, put 0."""

# The start.
norm2, d = sp.Symbol(r"\mathbb{E}\|X\|^{2}", positive=True), sp.Symbol("d", positive=True)

contraction = Derivation.of(start, start, by="both noised", domain={a: (0, 1)}).granted(
    "<=",
    sp.sqrt(a) * data_start,
    cite="Villani 2009, chapter 9",
    by="forward, common noise: the state is multiplied by its scale",
    witness={start: solved_start.expr, data_start: solved_start.expr.subs(a, 1)},
)
"""Forwards the process contracts."""

start_of_moments = Derivation.of(start, start, by="least mean square", domain={a: (0, 1)}).granted(
    "<=",
    sp.sqrt(a * norm2 + (1 - sp.sqrt(1 - a)) ** 2 * d),
    cite="Villani 2009, definition 6.1",
    by=r"\(\alpha X+\sigma\xi\) beside \(\xi\): the same noise",
    witness={start: sp.sqrt(d) * solved_start.expr, norm2: d * (mu**2 + v)},
)
"""Only the second moment of the data is needed."""

_size = sp.Symbol("x", real=True)

stopped = Derivation.of(
    sp.Symbol(r"{W_2(P,P_{\varepsilon})}", nonnegative=True),
    sp.sqrt(Expectation(((1 - sp.sqrt(u)) * _size + sp.sqrt(1 - u) * Normal("xi", 0, 1)) ** 2)),
    by="a datum and the same datum noised, one coordinate",
    domain={u: (0, 1)},
).equals(sp.sqrt((1 - sp.sqrt(u)) ** 2 * _size**2 + 1 - u), by="moments of a normal")
"""What stopping at t_min adds, of the data themselves."""

# Without a slope: both laws on a ball, and a divergence.
_radius, _kl = sp.Symbol("M", positive=True), sp.Symbol(r"\operatorname{KL}", nonnegative=True)
# A coin on the ends of the ball, fair up to e, beside a fair one.
_coin = sp.Symbol("e", positive=True)
_ends = sp.Rational(1, 2) + _coin, sp.Rational(1, 2) - _coin

projected = Derivation.of(
    distance,
    distance,
    by="generated points projected on the ball",
    domain={_coin: (0, sp.Rational(1, 50))},
).granted(
    "<=",
    2 * _radius * (_kl / 2) ** sp.Rational(1, 4),
    cite="Pinsker 1964; Villani 2009, theorem 6.15",
    by=r"\(W_2^2\le(2M)^2\,\mathrm{TV}\), \(\mathrm{TV}\le\sqrt{\mathrm{KL}/2}\)",
    witness={
        distance: 2 * _radius * sp.sqrt(_coin),
        _kl: sum(end * sp.log(2 * end) for end in _ends),
    },
)
"""The route through the divergence: a fourth root, and the size of the ball."""

# One step of the exponential integrator of :mod:`frozen_score`.
_next, _now = sp.symbols("D_{k+1} D_{k}", nonnegative=True)
_lipschitz = sp.Symbol("c", positive=True)
_later, _earlier = sp.symbols("g_{k+1} g_k", nonnegative=True)
_late = share / growth**2


def _apart(mean: sp.Expr, variance: sp.Expr, at: sp.Expr) -> sp.Expr:
    return sp.sqrt((mean - sp.sqrt(at) * mu) ** 2 + (sp.sqrt(variance) - sp.sqrt(noised(at))) ** 2)


_pull = 1 / growth + 2 * frozen_score.slope * (1 - 1 / growth)

one_step = Derivation.of(
    _next, _next, by="after a step of length h", domain=frozen_score.domain
).granted(
    "<=",
    _lipschitz * _now + 2 * (1 - 1 / growth) * (sp.sqrt(error) + sp.sqrt(_later - _earlier)),
    cite="Minkowski; Conforti, Durmus and Silveri 2023",
    by=r"\(w=e^h\); \(c\): Lipschitz constant of \(x\mapsto(2-\frac1w)x+2(1-\frac1w)s_\theta(x)\)",
    witness={
        _next: _apart(
            2 * frozen_score.offset * (1 - 1 / growth), _pull**2 + 1 - 1 / growth**2, share
        ),
        _now: _apart(sp.Integer(0), sp.Integer(1), _late),
        _lipschitz: sp.Abs(_pull),
        error: frozen_score.one_step[error],
        _later: fisher.expr,
        _earlier: fisher.expr.subs(share, _late),
    },
)
"""Discrete time: what was wrong times c, the score's error, and the rise of the information."""
