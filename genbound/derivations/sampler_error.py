r"""What the sampler costs: its start, its steps and its score, with the exact law beside them.

Data are noised by dX = -X dt + \sqrt{2} dB; backwards runs the exponential integrator from N(0, I)
at T to \delta, in steps of length at most h. In the spirit of Theorem 3.1 of Dupuis et al. 2025
(arXiv 2506.03849); the proof is that of Conforti, Durmus and Silveri 2023 (arXiv 2308.12240) with
constants of our own. That paper calls 2 (\nabla\log p + x) the score, the package \nabla\log p:
`convention` turns one into the other. One step is the subject of :mod:`frozen_score`.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import frozen_score, gaussian, linear_score
from genbound.derivations.frozen_score import (
    domain,
    fisher,
    growth,
    learned_cost,
    mu,
    offset,
    prior_kl,
    share,
    slope,
    step,
    v,
)

divergence = sp.Symbol(r"\mathrm{KL}(P_{\delta}\|P_{\theta})", nonnegative=True)
path = sp.Symbol(r"\mathrm{KL}_{\mathrm{path}}", nonnegative=True)
start = sp.Symbol(r"\mathrm{KL}(P_{T}\|\pi)", nonnegative=True)
data_divergence = sp.Symbol(r"\mathrm{KL}(P\|\pi)", nonnegative=True)
drift_error = sp.Symbol(r"{\sum_k\int\mathbb{E}\|r-Y_t\|^{2}\,\mathrm{d}t}", nonnegative=True)
score_error = sp.Symbol(r"\varepsilon_{s}", nonnegative=True)
explicit_loss = sp.Symbol(r"\mathcal{L}_{\mathrm{ESM}}^{h}", nonnegative=True)
fisher_first = sp.Symbol(r"\mathcal{I}(P_{\delta}\|\pi)", nonnegative=True)
fisher_last = sp.Symbol(r"\mathcal{I}(P_{T}\|\pi)", nonnegative=True)
horizon, span = sp.symbols("T tau", positive=True)

# The convention, once.
_learned, _true, _x = sp.symbols("s_{\\theta} s x", real=True)

convention = Derivation.of(
    sp.Symbol(r"{\|\bar{s}_{\theta}-\bar{s}\|^{2}}", nonnegative=True),
    (2 * (_learned + _x) - 2 * (_true + _x)) ** 2,
    by=r"the paper's \(\bar{s}=2(s+x)\)",
).equals(4 * (_learned - _true) ** 2, by=r"\(x\) cancels")
"""The paper's squared score error is four times the package's."""

in_package = Derivation.of(
    score_error,
    4 * explicit_loss / span,
    by=r"\(\mathcal{L}_{\mathrm{ESM}}=\frac12\int2\,\|s_{\theta}-s\|^{2}\,\mathrm{d}t\),"
    r" mean over \(\tau=T-\delta\)",
)
"""The paper's mean score error over the grid, in terms of the package's integrated loss."""

log_sobolev = Derivation.of(start, start, by="any law", domain={share: (0, 1)}).granted(
    "<=",
    fisher_last / 2,
    cite="Gross 1975",
    by="logarithmic Sobolev inequality of the Gaussian",
    witness={start: prior_kl.expr, fisher_last: fisher.expr},
)
"""Divergence from the prior is at most half the Fisher information, equality for a shift."""

initialisation = Derivation.of(start, start, by="of the start").granted(
    "<=",
    sp.exp(-2 * horizon) * data_divergence,
    cite="Bakry, Gentil and Ledoux 2014, theorem 5.2.1",
    by=r"\(\partial_t\mathrm{KL}=-\mathcal{I}\le-2\,\mathrm{KL}\), then Gronwall",
    witness={
        start: prior_kl.expr.subs(share, sp.exp(-2 * horizon)),
        data_divergence: prior_kl.expr.subs(share, 1),
    },
)
"""What the wrong start costs; equality where the data are a shifted prior."""

_norm2 = sp.Symbol(r"\mathbb{E}\|X\|^{2}", positive=True)
_d = gaussian.d

initialisation_of_moments = (
    Derivation.of(start, start, by="of the start", domain={share: (0, 1)})
    .granted(
        "<=",
        (share * (_norm2 - _d) - _d * sp.log(1 - share)) / 2,
        cite="Cover and Thomas 2006, convexity of the divergence",
        by=r"\(\mathbb{E}\,\mathrm{KL}(E_T(X)\|\pi)\), \(u=e^{-2T}\)",
        witness={start: _d * prior_kl.expr, _norm2: _d * (mu**2 + v)},
    )
    .at_most(
        share * _norm2 / 2 + _d * share**2 / (4 * (1 - share)),
        by="power series of the logarithm",
    )
)
"""The same for data without a density: only the second moment is needed."""

# One Gaussian step, r = A x + b: the sampler's law and its cost.
_M = sp.Symbol("M_{k}", real=True)
_V = sp.Symbol("V_{k}", positive=True)
_pull = 1 / growth + 2 * slope * (1 - 1 / growth)

mean_step = Derivation.of(
    sp.Symbol("M_{k+1}", real=True),
    _pull * _M + 2 * offset * (1 - 1 / growth),
    by=r"\(e^{-h}M+(1-e^{-h})\,2(AM+b)\), \(w=e^{h}\)",
)
"""Mean of the sampler after a step."""

variance_step = Derivation.of(
    sp.Symbol("V_{k+1}", nonnegative=True),
    _pull**2 * _V + 1 - 1 / growth**2,
    by=r"the step's own noise is \(1-e^{-2h}\)",
)
"""Variance of the sampler after a step."""

# A sampler of one step is solvable as a whole.
_clock = sp.log(growth)
_start_kl = prior_kl.expr.subs(share, share / growth**2)
_path_kl = prior_kl.expr + learned_cost.expr
solved = {
    divergence: gaussian.kl_of(
        sp.sqrt(share) * mu,
        1 + (v - 1) * share,
        mean_step.expr.subs(_M, 0),
        variance_step.expr.subs(_V, 1),
    ),
    path: _path_kl,
    start: _start_kl,
    drift_error: _path_kl - _start_kl,
    span: _clock,
    step: _clock,
    score_error: 4 * frozen_score.one_step[frozen_score.error],
    fisher_first: fisher.expr,
    fisher_last: fisher.expr.subs(share, share / growth**2),
}
"""Letters of the bound in the solvable case, for witnesses."""

# With r = 0 the sampler is the noising process in equilibrium: the two paths differ in one end.
# By frozen_score.approach the Fisher information integrates to a difference of divergences.
_idle = {
    path: prior_kl.expr,
    start: _start_kl,
    drift_error: prior_kl.expr - _start_kl,
}

path_divergence = (
    Derivation.of(divergence, divergence, by="of the generated law", domain=domain)
    .granted(
        "<=",
        path,
        cite="Cover and Thomas 2006, data processing",
        by="the path contains its end",
        witness=solved,
    )
    .granted(
        "=",
        start + drift_error,
        cite="Girsanov; Chen, Chewi, Li, Li, Salim and Zhang 2023",
        by=r"drifts \(-X+2Y_t\) and \(-X+2r\), noise \(\sqrt{2}\mathrm{d}B\)",
        witness=_idle,
    )
)
"""The divergence of the paths, without loss once the end is traded for the path."""

summed = Derivation.of(drift_error, drift_error, by="all steps", domain=domain).granted(
    "<=",
    span * score_error / 2 + step * (fisher_first - fisher_last),
    cite="Conforti, Durmus and Silveri 2023",
    by=r"each step its length times the above; \(h_k\le h\), telescoping",
    witness=solved,
)
"""All steps of length at most h <= log 3; tau eps / 2 is twice sum_k h_k E|r - Y|^2."""

_early, _later, _full = sp.symbols("rho_1 rho_2 h", positive=True)
_rise_1, _rise_2 = sp.symbols("D_1 D_2", nonnegative=True)

telescoping = Derivation.of(
    sp.Symbol(r"{\sum_kh_k(g_{k+1}-g_k)}", nonnegative=True),
    _early * _full * _rise_1 + _later * _full * _rise_2,
    by=r"two steps, \(h_k=\rho_kh\), \(D_k=g_{k+1}-g_k\ge0\)",
    domain={_early: (0, 1), _later: (0, 1)},
).at_most(_full * (_rise_1 + _rise_2), by="no step is longer than the longest")
"""Rises of the Fisher information add up to the whole rise."""

on_grid = path_divergence.at_most(
    start + span * score_error / 2 + step * (fisher_first - fisher_last),
    by="step by step",
    using=[summed],
)
"""Start, score and steps, in the paper's convention."""

theorem = on_grid.equals(
    start + 2 * explicit_loss + step * (fisher_first - fisher_last),
    by="the package's loss",
    using=[in_package],
).at_most(
    sp.exp(-2 * horizon) * data_divergence
    + 2 * explicit_loss
    + step * (fisher_first - fisher_last),
    by="the start",
    using=[initialisation],
)
"""Initialisation, twice the explicit loss on the grid, and steps times the Fisher information."""

fisher_bound = Derivation.of(
    fisher_first, fisher_first, by="where the sampler stops", domain={share: (0, 1)}
).granted(
    "<=",
    share * _norm2 + _d * share**2 / (1 - share),
    cite="Jensen; Vincent 2011",
    by=r"\(Y_\delta\) is a conditional mean of the kernel's, \(u=e^{-2\delta}\)",
    witness={fisher_first: _d * fisher.expr, _norm2: _d * (mu**2 + v)},
)
"""Early stopping pays for data without a Fisher information: d / (2 delta) for small delta."""

_shift = sp.Symbol(r"\Delta\mu", real=True)

girsanov_tight = Derivation.of(
    explicit_loss,
    linear_score.score_error.expr.subs(
        {
            linear_score.a: 0,
            linear_score.u: 1,
            linear_score.s2: v,
            linear_score.s2_hat: v,
            linear_score.mu: mu,
            linear_score.mu_hat: mu + _shift,
        }
    ),
    by=r"a wrong mean, \(\delta=0\), \(T\to\infty\), \(h\to0\)",
).equals(
    gaussian.same_variance.expr.subs({gaussian.m_2: gaussian.m + _shift, gaussian.s2: v}),
    by="divergence of two shifted laws",
)
"""Where Girsanov gives nothing away."""
