r"""Choosing the horizon: which way each term moves with T, and where the sums are least.

Everything is written in the clock B of a variance-preserving process, with a = alpha_T^2 =
e^{-B}; the slope in T is beta_T times the slope in B. The terms in front of a trade-off move one
way each. What is least where depends on which terms are kept:

- the paper's two terms alone balance at a root of Lambert's equation, in which R cancels;
- the tight bound is stationary where the learned score ceases to beat the prior's score -x;
- the truth of the solvable model is least at :data:`genbound.derivations.trade_off.best_clock`.

Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Theorems 6.2 and 6.3; derived here.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian, trade_off
from genbound.derivations.trade_off import B, M, a, d, n

__all__ = [
    "datum_slope",
    "explicit_slope",
    "information_slope",
    "paper_branch",
    "paper_clock",
    "paper_convex",
    "paper_floor",
    "paper_form",
    "paper_growth",
    "paper_slope",
    "paper_stationary",
    "prior_loss",
    "prior_slope",
    "rate_floor",
    "rate_slope",
    "solved_exact_slope",
    "solved_slope",
    "tight_slope",
    "zero_reference_slope",
]

R = sp.Symbol("R", positive=True)
L = sp.Symbol("L", positive=True)
r = sp.Symbol("r", positive=True)
s2 = sp.Symbol("s^{2}", positive=True)
norm2 = sp.Symbol(r"\|x\|^{2}", positive=True)

paper_letters = (n, L, r)
"""Argument order of the compiled :data:`paper_clock`: samples, score norm, mean norm of data."""

_domain = {a: (0, 1)}
_standard = Normal("epsilon", 0, 1)


def _slope(name: str, curve: sp.Expr, by: str) -> Derivation:
    """Open the derivation of a slope in the clock, of a curve that is written in a."""
    letter = sp.Symbol(rf"{{\partial_B {name}}}", real=True)
    by = rf"\(\partial_B = -a\,\partial_a\); {by}"
    return Derivation.of(letter, -a * sp.Derivative(curve, a), by=by, domain=_domain)


# Which way each term moves.

_a_rate, _norm2_rate, _d_rate = gaussian.prior_kl_args
_rate = gaussian.prior_kl.expr.subs({_a_rate: a, _norm2_rate: norm2, _d_rate: d})

rate_slope = (
    _slope(r"\mathrm{KL}(E_T(x)\|\pi)", _rate, "one datum")
    .equals(-a * (norm2 + d * a / (1 - a)) / 2, by="differentiate")
    .at_most(0, by="every factor has its sign")
)
"""The encoder's divergence from the prior falls with T, for every datum."""

_v = 1 + (s2 - 1) * a
_datum = Normal("x", 0, sp.sqrt(s2))
_kernel_mismatch = Expectation((sp.sqrt(a) * _datum / _v) ** 2) + Expectation(
    ((sp.sqrt(1 - a) / _v - 1 / sp.sqrt(1 - a)) * _standard) ** 2
)

information_slope = (
    _slope("I_T", sp.log(_v / (1 - a)) / 2, r"data \(N(0, s^2)\)")
    .equals(
        -_kernel_mismatch / 2,
        by=r"minus half of \(\mathbb{E}\|\nabla\log E_T(x) - \nabla\log p_T\|^2\)",
    )
    .equals(-a * s2 / ((1 - a) * _v) / 2, by="second moments")
    .at_most(0, by="every factor has its sign")
)
"""The encoder's information falls with T, so its negative, which stands in the bound, rises."""

_prior_kl = (_v - 1 - sp.log(_v)) / 2
_noised = Normal("x_T", 0, sp.sqrt(_v))

prior_slope = (
    _slope(r"\mathrm{KL}(P_T\|\pi)", _prior_kl, "the same data")
    .equals(
        -Expectation((_noised - _noised / _v) ** 2) / 2,
        by=r"minus half of \(\mathbb{E}\|x_T + \nabla\log p_T\|^2\)",
    )
    .equals(-((a * (s2 - 1)) ** 2) / _v / 2, by="second moment")
    .at_most(0, by="a square over a variance")
)
"""The divergence of the noised law from the prior falls with T."""

explicit_slope = (
    _slope(r"\mathcal{L}_{\mathrm{ESM}}", trade_off.score_error.expr, "the mean learner")
    .equals(a * d / (2 * n), by="half the score error at the horizon")
    .at_least(0, by="a mean square is not negative")
)
"""The score-matching loss rises with T: there is more path to get wrong."""

zero_reference_slope = (
    Derivation.of(
        sp.Symbol(r"{\partial_B\sqrt{A_0/n}}", real=True),
        sp.Derivative(L * sp.sqrt(B / (2 * n)), B),
        by=r"a score of norm \(L\) along the path",
    )
    .equals(L / (2 * sp.sqrt(2 * n * B)), by="differentiate")
    .at_least(0, by="every factor has its sign")
)
"""The generator's term against the zero reference rises with T, for ever."""


# The paper's form: a mean root of the rate against the root of the clock.

rate_floor = (
    Derivation.of(
        sp.Symbol(r"\mathrm{KL}(E_T(x)\|\pi)"),
        _rate,
        by="closed form",
        domain=_domain,
    )
).at_least(a * norm2 / 2, by=r"\(-\log(1-a) \ge a\); equal in the limit \(a \to 0\)")
"""The rate's leading term at large clocks is a floor at every clock."""

paper_form = Derivation.of(
    sp.Symbol(r"\mathcal{B}_{2+3}", real=True),
    sp.sqrt(2) * R * sp.sqrt(sp.exp(-B) * r**2 / 2) + sp.sqrt(2) * R * L * sp.sqrt(B / (2 * n)),
    by=r"leading rate with \(r = \frac1n\sum_i\|X_i\|\), zero reference",
).equals(R * (r * sp.exp(-B / 2) + L * sp.sqrt(B / n)), by="collecting terms")
"""The two terms of the paper's form that dominate it, at large clocks."""

paper_slope = Derivation.of(
    sp.Symbol(r"{\partial_B\mathcal{B}_{2+3}}", real=True),
    sp.Derivative(paper_form.expr, B),
    by="in the clock",
).equals(R * (L / sp.sqrt(n * B) - r * sp.exp(-B / 2)) / 2, by="differentiate")

_balance = {L: r * sp.sqrt(n * B * sp.exp(-B))}

paper_stationary = paper_slope.specialise(
    _balance, by=r"where \(e^{B}/B = n r^2/L^2\), whatever \(R\)"
).equals(0, by=r"\(R\) is a common factor")
"""R cancels: the slope vanishes where e^B / B = n r^2 / L^2."""

_second = sp.Symbol(r"{\partial_B^2\mathcal{B}_{2+3}}", real=True)

paper_convex = (
    Derivation.of(
        _second, sp.Derivative(paper_slope.expr, B), by="second slope", domain={B: (1, None)}
    )
    .equals(sp.diff(paper_slope.expr, B), by="differentiate")
    .specialise(_balance, by="at the balance", domain={B: (1, None)})
    .equals(R * r * sp.exp(-B / 2) * (1 - 1 / B) / 4, by="collecting terms")
    .at_least(0, by=r"\(B > 1\): the larger root is the minimum")
)
"""Of the two roots of B e^{-B} = L^2 / (n r^2) the one above 1 is the minimum."""

paper_clock = Derivation.of(
    sp.Symbol(r"{B^{\star}_{2+3}}", real=True),
    -sp.LambertW(-(L**2) / (n * r**2), -1),
    by=r"lower branch of Lambert's function, \(B > 1\)",
)
"""Clock at which the paper's two terms balance. Compile it with SciPy, torch has no Lambert W."""

_root = -sp.LambertW(-B * sp.exp(-B), -1)

paper_branch = Derivation.of(
    sp.Symbol(r"{-W_{-1}(-Be^{-B})}", real=True), _root, by="the same", domain={B: (1, None)}
).equals(B, by="Lambert's function inverts it")
"""The lower branch is the right one."""

log_ratio = sp.Symbol(r"\ell", positive=True)

paper_floor = Derivation.of(
    B,
    log_ratio + sp.log(B),
    by=r"logarithm of the balance, \(\ell = \log(n r^2/L^2)\)",
    domain={B: (1, None)},
).at_least(log_ratio, by=r"\(B > 1\)")

paper_growth = Derivation.of(
    paper_clock.lhs, log_ratio + sp.log(B), by="the balance again", domain={B: (1, None)}
).at_least(log_ratio + sp.log(log_ratio), by=r"\(B \ge \ell\)", using=[paper_floor])
"""The chosen clock grows like the logarithm of n r^2 / L^2, and a little faster."""


# The tight bound: the learned score against the prior's.

learned_loss = sp.Symbol(r"D_{s}", nonnegative=True)
prior_loss_letter = sp.Symbol(r"D_{-x}", nonnegative=True)
bayes_loss = sp.Symbol(r"D_{\star}", nonnegative=True)
learned_error = sp.Symbol(r"{\mathbb{E}\|s-\nabla\log\hat{p}_T\|^2}", nonnegative=True)
prior_error = sp.Symbol(r"{\mathbb{E}\|x_T+\nabla\log\hat{p}_T\|^2}", nonnegative=True)
_esm_slope = sp.Symbol(r"{\partial_B\hat{\mathcal{L}}_{\mathrm{ESM}}}", real=True)
_kl_slope = sp.Symbol(r"{\partial_B\mathrm{KL}(\hat{P}_T\|\pi)}", real=True)

# For the witness the law is N(0, s^2) and the learned score -(x - alpha_T c), in one dimension.
_c2 = sp.Symbol("c^{2}", positive=True)
_witness = {
    learned_error: a * _c2 + (1 - _v) ** 2 / _v,
    prior_error: (1 - _v) ** 2 / _v,
    learned_loss: a * _c2 + a * s2 + a**2 / (1 - a),
    prior_loss_letter: a * s2 + a**2 / (1 - a),
    bayes_loss: a * s2 / ((1 - a) * _v),
    _esm_slope: (a * _c2 + (1 - _v) ** 2 / _v) / 2,
    _kl_slope: -a * sp.diff(_prior_kl, a),
}


def _granted(left: sp.Symbol, right: sp.Expr, *, cite: str, by: str) -> Derivation:
    return Derivation.of(left, left, by="at the horizon", domain=_domain).granted(
        "=", right, cite=cite, by=by, witness=_witness
    )


_esm_end = _granted(
    _esm_slope,
    learned_error / 2,
    cite="fundamental theorem of calculus",
    by="the integrand at its end",
)
_de_bruijn = _granted(
    _kl_slope, -prior_error / 2, cite="Barron 1986", by="de Bruijn's identity, relative to N(0, I)"
)
_learned = _granted(
    learned_error,
    learned_loss - bayes_loss,
    cite="Vincent 2011",
    by="orthogonality of the posterior mean",
)
_prior = _granted(
    prior_error, prior_loss_letter - bayes_loss, cite="Vincent 2011", by="the same for the prior"
)

tight_slope = (
    Derivation.of(
        sp.Symbol(r"{\partial_B\mathcal{B}_{\mathrm{tight}}}", real=True),
        _esm_slope + _kl_slope,
        by=r"the terms that depend on \(T\), gap apart",
        domain=_domain,
    )
    .equals(
        (learned_error - prior_error) / 2,
        by="both slopes are score errors at the horizon",
        using=[_esm_end, _de_bruijn],
    )
    .equals(
        (learned_loss - prior_loss_letter) / 2,
        by=r"denoising losses; \(D_{\star}\), which no score can remove, cancels",
        using=[_learned, _prior],
    )
)
r"""Stop where the learned score no longer beats the prior's: D_s = E||s + eps/sigma||^2 at T."""

_coordinate = sp.sqrt(norm2 / d)

prior_loss = (
    Derivation.of(
        prior_loss_letter,
        d
        * Expectation(
            (_standard / sp.sqrt(1 - a) - sp.sqrt(a) * _coordinate - sp.sqrt(1 - a) * _standard)
            ** 2
        ),
        by=r"\(x_T = \sqrt{a}\,x + \sigma\epsilon\), one datum",
        domain=_domain,
    )
).equals(a * norm2 + d * a**2 / (1 - a), by="moments of the noise")
"""The prior's denoising loss needs no draws; half of it is the slope of the rate, negated."""

datum_slope = Derivation.of(
    prior_loss_letter,
    -2 * rate_slope.steps[-2].expr,
    by="twice the fall of the rate",
    domain=_domain,
).equals(prior_loss.expr, by="the same expression")
"""So the likelihood bound, loss plus rate, has the same slope datum by datum."""


# The solvable model.

solved_slope = Derivation.of(
    sp.Symbol(r"{\partial_B\mathcal{B}_{\mathrm{path}}}", real=True),
    -a * trade_off.path_slope.expr,
    by=r"\(\partial_B = -a\,\partial_a\)",
    domain=_domain,
).equals(a * (d * (1 + 1 / n) - (M + d)) / 2, by=r"\((D_s - D_{-x})/2\) for fresh data")
"""One sign at all T: the rule never stops where M > d / n, the exact divergence is U-shaped."""

solved_exact_slope = Derivation.of(
    sp.Symbol(r"{\partial_B\mathrm{KL}}", real=True),
    -a * sp.diff(trade_off.exact.expr, a),
    by=r"\(\partial_B = -a\,\partial_a\)",
    domain=_domain,
).equals(a * ((1 - a) * d / n - a * M), by="differentiate")
"""It changes sign at a = d / (d + n M)."""
