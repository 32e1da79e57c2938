r"""One step of the sampler: what it costs that the score stays where the step began.

Data are noised by dX = -X dt + \sqrt{2} dB. Backwards, over a step of length h, the learned score
is read once, at the first state. Relative to N(0, I), r(x) = s(x) + x is the learned score and Y
the true one where the step begins, Y_t the true one later; g_k = E|Y|^2 and g_t = E|Y_t|^2 are
Fisher informations, and w = e^u is the growth after the part u of the step. After Conforti, Durmus
and Silveri 2023 (arXiv 2308.12240). The solvable case is one coordinate of data N(mu, v), at the
time where alpha^2 = e^{-2t} is the letter `share`, with r(x) = A x + b.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian

error = sp.Symbol(r"{\mathbb{E}\|r-Y\|^{2}}", nonnegative=True)
growth = sp.Symbol("w", positive=True)
step = sp.Symbol("h", positive=True)
share = sp.Symbol("u", positive=True)
mu = sp.Symbol("mu", real=True)
v = sp.Symbol("v", positive=True)
slope, offset = sp.symbols("A b", real=True)

domain = {share: (0, 1), growth: (1, 3)}
"""Steps below log 3; the share of the signal is that at the end of the step, w = e^h."""

_xi = Normal("xi", 0, 1)
_x = sp.Symbol("x", real=True)

# Gaussian data at one time.
_variance = 1 + (v - 1) * share
_mean = sp.sqrt(share) * mu
_state = _mean + sp.sqrt(_variance) * _xi

prior_kl = Derivation.of(
    sp.Symbol(r"\mathrm{KL}(P_{t}\|\pi)", nonnegative=True),
    gaussian.kl_of(_mean, _variance),
    by="two normal laws",
    domain={share: (0, 1)},
)
"""Divergence from the prior, one coordinate."""

fisher = Derivation.of(
    sp.Symbol(r"\mathcal{I}(P_{t}\|\pi)", nonnegative=True),
    Expectation((_state - (_state - _mean) / _variance) ** 2),
    by=r"mean of \(|x+\nabla\log p_t|^2\)",
    domain={share: (0, 1)},
).equals((_variance - 1) ** 2 / _variance + _mean**2, by="moments of a normal")
"""Fisher information relative to the prior, one coordinate."""

approach = Derivation.of(
    sp.Symbol(r"{\partial_t\,\mathrm{KL}(P_{t}\|\pi)}", real=True),
    -2 * share * sp.diff(prior_kl.expr, share),
    by=r"differentiate, \(u=e^{-2t}\)",
    domain={share: (0, 1)},
).equals(-fisher.expr, by="collecting terms")
"""The divergence from the prior falls at the rate of the Fisher information."""

# Along the exact reverse process the true relative score is a martingale up to e^t.
_jet = sp.symbols("c_0:5", real=True)
_log = sum(c * _x**k / sp.factorial(k) for k, c in enumerate(_jet))
_flow = sp.diff(_log, _x, 2) + sp.diff(_log, _x) ** 2 - _x * sp.diff(_log, _x)
_ratio = -((_x - _mean) ** 2) / (2 * _variance) - sp.log(_variance) / 2 + _x**2 / 2

relative_flow = Derivation.of(
    sp.Symbol(r"{\partial_t\log(p/\pi)}", real=True),
    -2 * share * sp.diff(_ratio, share),
    by=r"\(N(\sqrt{u}\mu,1+(v-1)u)\), \(u=e^{-2t}\)",
    domain={share: (0, 1)},
).equals(
    sp.diff(_ratio, _x, 2) + sp.diff(_ratio, _x) ** 2 - _x * sp.diff(_ratio, _x),
    by=r"\(f''+f'^2-xf'\), \(f=\log(p/\pi)\)",
)
"""The equation of the relative density, solved by every noised normal law."""

score_drift = Derivation.of(
    sp.Symbol("{(LY)(x)}", real=True),
    -sp.diff(_flow, _x)
    + (-_x + 2 * sp.diff(_log, _x)) * sp.diff(_log, _x, 2)
    + sp.diff(_log, _x, 3),
    by=r"Ito along \(\mathrm{d}X=(-X+2Y)\mathrm{d}t+\sqrt{2}\mathrm{d}B\), \(Y=f'\)",
).equals(sp.diff(_log, _x), by=r"\(f''+f'^2-xf'\) cancels all but \(Y\)")
"""The drift of Y is Y, whatever the derivatives of log p at the point: E[Y_t | start] = w Y."""

# Inside one step: r at its start, true score Y there, Y_t later; g_k, g_t their second moments.
_g, _g_t = sp.symbols("g_k g_t", nonnegative=True)
_r, _y = sp.symbols("r Y", real=True)
_ahead = sp.Symbol(r"{\mathbb{E}\|r-wY\|^{2}}", nonnegative=True)
_within = sp.Symbol(r"{\mathbb{E}\|r-Y_t\|^{2}}", nonnegative=True)
_late, _late_mean = 1 + (v - 1) * share / growth**2, _mean / growth
_r_mean = slope * _late_mean + offset
_learned2 = slope**2 * _late + _r_mean**2
_product = slope * (_late - 1) + _r_mean * _late_mean
_g_late = fisher.expr.subs(share, share / growth**2)
one_step = {
    # X_t and the state at the start of the step, where w > 1, are correlated through v_t / w.
    _within: _learned2 + fisher.expr - 2 * (slope * (_variance - 1) / growth + _r_mean * _mean),
    _ahead: _learned2 - 2 * growth * _product + growth**2 * _g_late,
    error: _learned2 - 2 * _product + _g_late,
    _g: _g_late,
    _g_t: fisher.expr,
}

fisher_growth = (
    Derivation.of(_g_t, _g_t, by=r"\(\mathbb{E}\|Y_t\|^2\)", domain=domain)
    .granted(
        ">=",
        growth**2 * _g,
        cite="Jensen; Conforti, Durmus and Silveri 2023",
        by=r"\(\mathbb{E}[Y_t|X_k]=wY\)",
        witness=one_step,
    )
    .at_least(_g, by=r"\(w\ge1\)")
)
"""Backwards the Fisher information never falls."""

pythagoras = Derivation.of(_within, _within, by="within the step", domain=domain).granted(
    "=",
    _ahead + _g_t - growth**2 * _g,
    cite="Conforti, Durmus and Silveri 2023",
    by=r"\(\mathbb{E}[Y_t|X_k]=wY\), orthogonality of increments",
    witness=one_step,
)
"""An equality: the error against where the score is expected, plus what nobody can foresee."""

_young = Derivation.of(_ahead, _ahead, by="a square", domain=domain).granted(
    "<=",
    2 * error + 2 * (growth - 1) ** 2 * _g,
    cite="mean of the pointwise inequality",
    by=r"\(\|a+b\|^2\le2\|a\|^2+2\|b\|^2\)",
    witness=one_step,
)

young = Derivation.of(
    sp.Symbol(r"{\|r-wY\|^{2}}", nonnegative=True), (_r - growth * _y) ** 2, by="one state"
).at_most(
    2 * (_r - _y) ** 2 + 2 * (growth - 1) ** 2 * _y**2, by=r"\(\|a+b\|^2\le2\|a\|^2+2\|b\|^2\)"
)
"""The pointwise inequality; what it gives away is the square of a + b."""

within_step = (
    Derivation.of(_within, _within, by="within the step", domain=domain)
    .equals(_ahead + _g_t - growth**2 * _g, by="orthogonality", using=[pythagoras])
    .at_most(
        2 * error + 2 * (growth - 1) ** 2 * _g + _g_t - growth**2 * _g,
        by="split the square",
        using=[_young],
    )
    .at_most(2 * error + _g_t - _g, by=r"\((w-1)(3-w)\ge0\): steps below \(\log 3\)")
)
"""Twice the error at the start of the step, plus the rise of the Fisher information."""

_g_next = sp.Symbol("g_{k+1}", nonnegative=True)
_left_to_rise = sp.Symbol(r"{g_{k+1}-g_{t}}", nonnegative=True)

whole_step = within_step.at_most(
    2 * error + _g_next - _g,
    by=r"backwards \(g\) never falls: the same at all times of the step",
    using=[Derivation.of(_g_t, _g_next - _left_to_rise, by="fisher_growth, up to the end")],
)
"""What the step's length is to be multiplied by."""

crude = (
    Derivation.of(_within, _within, by="within the step", domain=domain)
    .granted(
        "<=",
        2 * error + 2 * (_g_t - 2 * growth * _g + _g),
        cite="mean of the pointwise inequality",
        by=r"\(2\,\mathbb{E}\|r-Y\|^2+2\,\mathbb{E}\|Y_t-Y\|^2\)",
        witness=one_step,
    )
    .at_most(2 * error + 2 * (_g_t - _g), by=r"\(w\ge1\), no limit on the step")
)
"""For steps of any length, at twice the price of the rise."""

# The exact cost. d KL = -g dt turns the time integral of g into a difference of divergences.
_kl_first, _kl_last = sp.symbols(
    r"\mathrm{KL}(P_{k+1}\|\pi) \mathrm{KL}(P_{k}\|\pi)", nonnegative=True
)
_second = sp.Symbol(r"{\mathbb{E}\|r\|^{2}}", nonnegative=True)
_cross = sp.Symbol(r"{\mathbb{E}[r\cdot Y]}", real=True)
_part = sp.Symbol("a", positive=True)

step_cost = Derivation.of(
    sp.Symbol(r"{\int\mathbb{E}\|r-Y_t\|^{2}\,\mathrm{d}t}", real=True),
    sp.Integral(_second - 2 * sp.exp(_part) * _cross, (_part, 0, step)) + _kl_first - _kl_last,
    by=r"orthogonality, \(\int g_t\,\mathrm{d}t=\mathrm{KL}_{k+1}-\mathrm{KL}_k\)",
).equals(step * _second - 2 * (sp.exp(step) - 1) * _cross + _kl_first - _kl_last, by="integrate")
"""Exact divergence between the paths of one step; the divergences telescope over the steps."""

best_frozen = (
    Derivation.of(
        sp.Symbol(r"{h\|r\|^{2}-2(e^{h}-1)\,r\cdot Y}", real=True),
        step * _r**2 - 2 * (sp.exp(step) - 1) * _r * _y,
        by="one state",
    )
    .equals(
        step * (_r - (sp.exp(step) - 1) / step * _y) ** 2 - (sp.exp(step) - 1) ** 2 / step * _y**2,
        by="complete the square",
    )
    .at_least(-((sp.exp(step) - 1) ** 2) / step * _y**2, by="a square is not negative")
)
"""What a finite step costs with any score: the best one is a little larger than the true one."""

learned_cost = Derivation.of(
    sp.Symbol(r"c_{k}", real=True),
    sp.log(growth) * _learned2 - 2 * (growth - 1) * _product,
    by=r"\(h\,\mathbb{E}\|r\|^2-2(w-1)\mathbb{E}[r\cdot Y]\); \(u\) where the step ends",
    domain=domain,
)
"""The part of a step's exact cost that depends on the score; the path costs KL_delta + sum."""

_M = sp.Symbol("M_{k}", real=True)
_V = sp.Symbol("V_{k}", positive=True)
_misread = slope * _M + offset

grid_error = (
    Derivation.of(
        error,
        slope**2 * _V
        + _misread**2
        - 2 * (slope * (_V - 1) + _misread * _M)
        + (_V - 1) ** 2 / _V
        + _M**2,
        by=r"\(\mathbb{E}\|r-Y\|^2\) where data of mean \(M_k\) and variance \(V_k\) begin a step",
    )
    .equals(
        (slope - (_V - 1) / _V) ** 2 * _V + (_misread - _M) ** 2,
        by="spread and mean of the error",
    )
    .specialise({_V: _late, _M: _late_mean}, by=r"\(M_k\), \(V_k\) at \(u/w^2\)", domain=domain)
)
"""Squared score error of one grid point, in the package's convention."""

letters = (share, growth, mu, v, slope, offset)
"""Argument order of :data:`learned_cost` and :data:`grid_error`."""

true_slope = Derivation.of(slope, 1 - 1 / _variance, by=r"\(Y=Ax+b\)", domain={share: (0, 1)})
true_offset = Derivation.of(offset, _mean / _variance, by=r"\(Y=Ax+b\)", domain={share: (0, 1)})
"""The true relative score of noised Gaussian data."""
