r"""The sampler's bound for any grid of steps, in the letters that can be measured; the best grid.

:mod:`sampler_error` bounds all steps by the longest. Here every step pays for itself,
\sum_k h_k (I_{k+1} - I_k), with I_k the Fisher information where step k begins. As in
:mod:`score_gap`, losses are in the package's convention at the end, sums over the grid of times at
which the sampler reads its score. In the spirit of Theorem 3.1 of Dupuis et al. 2025
(arXiv 2506.03849), constants of our own.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import data_term as of_sample
from genbound.derivations import gaussian
from genbound.derivations.frozen_score import domain, fisher, growth, mu, prior_kl, share, step, v
from genbound.derivations.sampler_error import (
    data_divergence,
    drift_error,
    fisher_first,
    fisher_last,
    horizon,
    initialisation,
    path_divergence,
    score_error,
    solved,
    span,
    start,
)
from genbound.derivations.score_gap import (
    data_term,
    decomposition,
    empirical_error,
    gap,
    package_parts,
)

rises = sp.Symbol(r"{\sum_kh_k(\mathcal{I}_{k+1}-\mathcal{I}_{k})}", nonnegative=True)
rate = sp.Symbol(r"\mathbb{E}\,\mathrm{KL}(E_{T}(X)\|\pi)", nonnegative=True)
kernel_rises = sp.Symbol(r"{\sum_k(h_{k-1}-h_{k})\mathcal{J}_{k}}", nonnegative=True)
optimisation, data_part, generalization = package_parts
mean_optimisation = sp.Symbol(r"\mathbb{E}\,\mathcal{L}^{(n)}_{\mathrm{ESM},h}", nonnegative=True)
mean_gap = sp.Symbol(r"\mathbb{E}\,\mathcal{G}_{h}", real=True)
risk = sp.Symbol(r"\mathcal{R}_{h}(\theta)", nonnegative=True)
training_risk = sp.Symbol(r"\hat{\mathcal{R}}_{h}(\theta)", nonnegative=True)
constant = sp.Symbol("C_{h}(P)", nonnegative=True)
sample_constant = sp.Symbol(r"C_{h}(\hat{P})", nonnegative=True)

_d = gaussian.d
_one_step = {rises: solved[step] * (solved[fisher_first] - solved[fisher_last])}

# Every step pays for itself.
summed = Derivation.of(drift_error, drift_error, by="all steps", domain=domain).granted(
    "<=",
    span * score_error / 2 + rises,
    cite="Conforti, Durmus and Silveri 2023",
    by=r"within_step for each, \(g_t\le g_{k+1}\), \(h_k\le\log3\)",
    witness=solved | _one_step,
)
"""Twice the score error at each start, and what the Fisher information rises within each step."""

longest = Derivation.of(rises, rises, by="all steps").granted(
    "<=",
    step * (fisher_first - fisher_last),
    cite="telescoping",
    by=r"\(h_k\le h\), rises are not negative",
    witness=_one_step | {letter: solved[letter] for letter in (step, fisher_first, fisher_last)},
)
"""The form with the longest step; equal for a grid of equal steps."""

_by_parts = path_divergence.at_most(
    start + span * score_error / 2 + rises, by="step by step", using=[summed]
).equals(
    start + rises + span * (empirical_error + data_term + gap) / 2,
    by="the score error split in three",
    using=[decomposition],
)
_to_package = {
    letter: 4 * part / span
    for letter, part in zip((empirical_error, data_term, gap), package_parts, strict=True)
}

parts = (
    _by_parts.at_most(
        sp.exp(-2 * horizon) * data_divergence
        + rises
        + span * (empirical_error + data_term + gap) / 2,
        by="the start",
        using=[initialisation],
    )
    .specialise(_to_package, by=r"\(\bar{s}=2(s+x)\), integrals for means: \(4/\tau\)")
    .equals(
        sp.exp(-2 * horizon) * data_divergence + rises + 2 * sum(package_parts),
        by="collecting terms",
    )
)
"""Initialisation, steps, and twice optimisation, data and generalization."""

_of_training = Derivation.of(
    optimisation, training_risk - sample_constant, by="Vincent, for the sample"
)
_of_data = Derivation.of(data_part, sample_constant - constant)
_of_gap = Derivation.of(generalization, risk - training_risk)

test_loss = parts.equals(
    sp.exp(-2 * horizon) * data_divergence + rises + 2 * (risk - constant),
    by="three parts, put together again",
    using=[_of_training, _of_data, _of_gap],
)
"""The same with the denoising loss of the law: the three parts are what it exceeds C by."""

# For data of which nothing is known but a sample: second moments, and means over samples.
_early, _extra = sp.symbols("h_2 rho", nonnegative=True)
_g_0, _g_1, _g_2 = sp.symbols("I_0 I_1 I_2", nonnegative=True)
_j_1, _j_2 = sp.symbols("J_1 J_2", nonnegative=True)
_first = _early + _extra
_inside = {share: (0, 1)}
_of_kernel = share * (mu**2 + v) + share**2 / (1 - share)
_jensen_1, _jensen_2 = (
    Derivation.of(g, g, by="at one time", domain=_inside).granted(
        "<=",
        j,
        cite="Jensen; Vincent 2011",
        by="sampler_error.fisher_bound",
        witness={g: fisher.expr, j: _of_kernel},
    )
    for g, j in ((_g_1, _j_1), (_g_2, _j_2))
)

by_parts = (
    Derivation.of(
        sp.Symbol(r"{h_1(\mathcal{I}_1-\mathcal{I}_0)+h_2(\mathcal{I}_2-\mathcal{I}_1)}"),
        _first * (_g_1 - _g_0) + _early * (_g_2 - _g_1),
        by=r"two steps, \(h_1=h_2+\rho\)",
    )
    .equals(_early * _g_2 + _extra * _g_1 - _first * _g_0, by="summation by parts")
    .at_most(_early * _g_2 + _extra * _g_1, by="an information is not negative")
    .at_most(
        _early * _j_2 + _extra * _j_1, by="Jensen, at each time", using=[_jensen_1, _jensen_2]
    )
)
"""Steps that do not grow towards the data: bounds on each information serve all of them."""

rises_of_kernel = Derivation.of(rises, rises, by="all steps", domain=_inside).granted(
    "<=",
    kernel_rises,
    cite="summation by parts; Jensen",
    by=r"\(\mathcal{J}_k=u_k\mathbb{E}\|X\|^2+du_k^2/(1-u_k)\), \(u=e^{-2t}\), steps that shrink",
    witness={
        rises: step * (fisher.expr - fisher.expr.subs(share, share / growth**2)),
        kernel_rises: step * _of_kernel,
    },
)
"""Only the second moment of the data is needed, and it is finite for points, too."""

_start_of_rate = Derivation.of(start, start, by="of the start", domain=_inside).granted(
    "<=",
    rate,
    cite="Cover and Thomas 2006, convexity of the divergence",
    by="noised data are a mixture of noised points",
    witness={
        start: prior_kl.expr,
        rate: gaussian.prior_kl.expr.subs(
            dict(zip(gaussian.prior_kl_args, (share, mu**2 + v, 1), strict=True))
        ),
    },
)

in_expectation = (
    _by_parts.specialise(
        {
            empirical_error: of_sample.mean_empirical,
            data_term: of_sample.mean_data_term,
            gap: of_sample.mean_gap,
        },
        by="mean over samples and training",
    )
    .at_most(
        start + rises + span * (of_sample.mean_empirical + of_sample.mean_gap) / 2,
        by="the mean of the data term is negative",
        using=[of_sample.sign],
    )
    .at_most(
        rate + rises + span * (of_sample.mean_empirical + of_sample.mean_gap) / 2,
        by="the start, for any data",
        using=[_start_of_rate],
    )
    .at_most(
        rate + kernel_rises + span * (of_sample.mean_empirical + of_sample.mean_gap) / 2,
        by="the steps, for any data",
        using=[rises_of_kernel],
    )
    .specialise(
        {
            of_sample.mean_empirical: 4 * mean_optimisation / span,
            of_sample.mean_gap: 4 * mean_gap / span,
        },
        by=r"\(\bar{s}=2(s+x)\), integrals for means: \(4/\tau\)",
    )
    .equals(rate + kernel_rises + 2 * (mean_optimisation + mean_gap), by="collecting terms")
)
"""What a sample alone can say: no source, no data term."""

# The best grid for data without a density, whose information near the end is d / (2 t).
time, stop, count = sp.symbols(r"t delta N", positive=True)
_c = sp.Symbol("c", positive=True)
_slope2 = sp.Symbol("a", positive=True)
_ratio = sp.Symbol("kappa", positive=True)

near_the_data = Derivation.of(
    sp.Symbol(r"{\lim_{t\to0}t\,\mathcal{J}(t)}"),
    sp.Limit(time * _d * sp.exp(-4 * time) / (1 - sp.exp(-2 * time)), time, 0),
    by=r"the part of \(\mathcal{J}\) that grows",
).equals(_d / 2, by="series")
"""Close to points in d dimensions the information is d / (2 t)."""

even_price = Derivation.of(
    sp.Symbol(r"{\mathcal{I}\text{-steps, even}}"),
    (horizon - stop) / count * (_d / (2 * stop) - _d / (2 * horizon)),
    by=r"\(h=(T-\delta)/N\), \(\mathcal{I}=d/(2t)\)",
).equals(_d * (horizon - stop) ** 2 / (2 * count * stop * horizon), by="collecting terms")
"""Equal steps: the price grows like 1 / delta."""

one_step_weighed = (
    Derivation.of(sp.Symbol("{ha+c^{2}/h}"), step * _slope2 + _c**2 / step, by="price and number")
    .equals(
        (sp.sqrt(step * _slope2) - _c / sp.sqrt(step)) ** 2 + 2 * _c * sp.sqrt(_slope2),
        by="complete the square",
    )
    .at_least(2 * _c * sp.sqrt(_slope2), by="a square is not negative")
)
"""A step h at slope a costs h a and uses 1 / h of the steps: best is h = c / sqrt(a)."""

best_price = Derivation.of(
    sp.Symbol(r"{\mathcal{I}\text{-steps, best}}"),
    sp.Integral(sp.sqrt(_d / (2 * time**2)), (time, stop, horizon)) ** 2 / count,
    by=r"\(h\propto a^{-1/2}\), \(a=d/(2t^2)\), \(N=\int\mathrm{d}t/h\)",
).equals(_d * sp.log(horizon / stop) ** 2 / (2 * count), by="integrate")
"""Steps proportional to the time left: the price grows like log^2(1 / delta) only."""

geometric_price = Derivation.of(
    sp.Symbol(r"{\mathcal{I}\text{-steps, geometric}}"),
    sp.Integral(_ratio * time * _d / (2 * time**2), (time, stop, horizon)),
    by=r"\(h=\kappa t\)",
).equals(
    best_price.expr.subs(count, sp.log(horizon / stop) / _ratio),
    by=r"\(N=\log(T/\delta)/\kappa\): the best",
)
"""A geometric grid is that best one."""
