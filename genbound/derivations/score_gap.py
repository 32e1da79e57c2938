r"""The score error split in three: optimisation, data, generalization; and the data term alone.

In the spirit of Theorem 3.1 and Lemma 3.1 of Dupuis et al. 2025 (arXiv 2506.03849), constants of
our own. As in that paper the score is 2 (\nabla\log p + x) and losses are means over a law of
times; :mod:`sampler_error` holds the conversion. P is the law of the data, \hat{P} the empirical
law of n of them, \hat{P}_t that law noised by dX = -X dt + \sqrt{2} dB; u = e^{-2t}.
The solvable case is one coordinate: data N(0, M), the score W x at one time.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations.frozen_score import fisher, mu, share, step, v
from genbound.derivations.sampler_error import (
    data_divergence,
    fisher_first,
    fisher_last,
    horizon,
    initialisation,
    on_grid,
    score_error,
    span,
    start,
)

risk = sp.Symbol(r"\mathcal{R}(\theta)", nonnegative=True)
training_risk = sp.Symbol(r"\hat{\mathcal{R}}(\theta)", nonnegative=True)
empirical_error = sp.Symbol(r"\mathcal{L}^{(n)}_{\mathrm{ESM}}", nonnegative=True)
constant = sp.Symbol("C(P)", nonnegative=True)
empirical_constant = sp.Symbol(r"C(\hat{P})", nonnegative=True)
data_term = sp.Symbol(r"\Delta_{s}", real=True)
gap = sp.Symbol(r"\mathcal{G}", real=True)
M = sp.Symbol("M", positive=True)
W = sp.Symbol("W", real=True)

_inside = {share: (0, 1)}
_noise2 = 1 - share
_xi = Normal("xi", 0, 1)
_e = sp.Symbol("xi", real=True)
_z = sp.Symbol("z", real=True)

target = Derivation.of(
    sp.Symbol(r"v_{t}", real=True),
    2 * (-_e / sp.sqrt(_noise2) + sp.sqrt(share) * _z + sp.sqrt(_noise2) * _e),
    by=r"\(2(\nabla\log p_{t|0}+x)\) at \(x=e^{-t}z+\sigma\xi\)",
    domain=_inside,
).equals(
    2 * (sp.sqrt(share) * _z - share / sp.sqrt(_noise2) * _e), by=r"\(\sigma-1/\sigma=-u/\sigma\)"
)
"""What a score is trained to hit, one coordinate."""

_guess = sp.Symbol(r"\hat{\xi}", real=True)

noise_prediction = Derivation.of(
    sp.Symbol(r"{\|\bar{s}_{\theta}-v_{t}\|^{2}}", nonnegative=True),
    (2 * (sp.sqrt(share) * _z + sp.sqrt(_noise2) * _e - _guess / sp.sqrt(_noise2)) - target.expr)
    ** 2,
    by=r"a network that predicts the noise, \(\bar{s}_{\theta}=2(x-\hat{\xi}/\sigma)\)",
    domain=_inside,
).equals(4 * (_guess - _e) ** 2 / _noise2, by="the datum cancels")
"""What the plain error of predicted noise has to be multiplied by."""

_norm2 = sp.Symbol(r"\mathbb{E}\|X\|^{2}", positive=True)
_target2 = sp.Symbol(r"\mathbb{E}\|v_t\|^{2}", nonnegative=True)

target_energy = Derivation.of(
    _target2,
    Expectation(target.expr.subs(_e, _xi) ** 2),
    by="one coordinate, one datum",
    domain=_inside,
).equals(4 * (share * _z**2 + share**2 / _noise2), by="moments of the noise")
"""Mean square of the target."""

# Gaussian data N(0, M), score W x, at one time.
linear_loss = Derivation.of(
    sp.Symbol(r"\ell(W,z)", nonnegative=True),
    Expectation(
        (W * (sp.sqrt(share) * _z + sp.sqrt(_noise2) * _xi) - target.expr.subs(_e, _xi)) ** 2
    ),
    by=r"\(\mathbb{E}\|Wx-v_t\|^2\)",
    domain=_inside,
).equals(
    share * (W - 2) ** 2 * _z**2 + (sp.sqrt(_noise2) * W + 2 * share / sp.sqrt(_noise2)) ** 2,
    by="moments of the noise",
)
"""Loss of one datum."""

_second = share * M + _noise2
best = 2 * (_second - 1) / _second
"""The best linear score, for Gaussian data the true one."""

linear_risk = Derivation.of(
    risk,
    linear_loss.expr.subs(_z, sp.sqrt(M)),
    by=r"mean over the data, \(M=\mathbb{E}z^2\)",
    domain=_inside,
).equals(
    _second * (W - best) ** 2
    + 4 * (share * M + share**2 / _noise2 - (_second - 1) ** 2 / _second),
    by=r"complete the square at \(W^{*}\)",
)
"""Excess over the best score, and what no score can do better."""

linear_gradient = Derivation.of(
    sp.Symbol(r"{\partial_{W}\mathcal{R}}", real=True),
    sp.diff(linear_risk.steps[0].expr, W),
    by="differentiate",
    domain=_inside,
).equals(2 * _second * (W - best), by=r"\(H=2\Sigma_t\)")
"""Gradient of the risk; with the sample's moment, of the training loss."""

_hat_M = sp.Symbol(r"\hat{M}", positive=True)

linear_gap = Derivation.of(
    gap,
    linear_risk.steps[0].expr - linear_risk.steps[0].expr.subs(M, _hat_M),
    by="risk less training loss",
    domain=_inside,
).equals(share * (W - 2) ** 2 * (M - _hat_M), by="only the second moment differs")
"""Generalization gap of a linear score."""

# The decomposition.
_s_theta, _s, _v = sp.symbols(r"s_{\theta} s v_{t}", real=True)

expansion = Derivation.of(
    sp.Symbol(r"{\|s_{\theta}-v_t\|^{2}}", nonnegative=True),
    (_s_theta - _v) ** 2,
    by="at one state",
).equals(
    (_s_theta - _s) ** 2 + (_s - _v) ** 2 + 2 * (_s_theta - _s) * (_s - _v),
    by=r"the last term has mean 0: \(\mathbb{E}[v_t|X_t]=s\)",
)
"""Pythagoras for the target."""

_gaussian = {
    risk: linear_risk.steps[0].expr,
    score_error: _second * (W - best) ** 2,
    constant: 4 * (share * M + share**2 / _noise2 - fisher.expr.subs({mu: 0, v: M})),
}

vincent = Derivation.of(risk, risk, by="denoising loss of any score", domain=_inside).granted(
    "=",
    score_error + constant,
    cite="Vincent 2011",
    by=r"orthogonality, \(C=\mathbb{E}\|v_t-\mathbb{E}[v_t|X_t]\|^2\)",
    witness=_gaussian,
)
"""Denoising loss = score error + a constant of the law."""

of_sample = vincent.specialise(
    {risk: training_risk, score_error: empirical_error, constant: empirical_constant},
    by=r"the empirical law is a law: \(\hat{P}\) for \(P\)",
)
"""The same for the training sample."""

gap_definition = Derivation.of(gap, risk - training_risk)
data_definition = Derivation.of(data_term, empirical_constant - constant)

decomposition = (
    Derivation.of(score_error, score_error, by="population, any score, trained or not")
    .equals(risk - constant, by="test loss", using=[vincent])
    .equals(
        empirical_error + data_term + gap,
        by="training loss; optimisation, data, generalization",
        using=[gap_definition, data_definition, of_sample],
    )
)
"""The score error is what training left, what the sample misses, and the gap."""

# The sampler's bound with the three parts.
assembled = (
    on_grid.equals(
        start
        + step * (fisher_first - fisher_last)
        + span * (empirical_error + data_term + gap) / 2,
        by="the score error split in three",
        using=[decomposition],
    )
    .at_most(
        start + step * fisher_first + span * (empirical_error + data_term + gap) / 2,
        by="a Fisher information is not negative",
    )
    .at_most(
        sp.exp(-2 * horizon) * data_divergence
        + step * fisher_first
        + span * (empirical_error + data_term + gap) / 2,
        by="the start",
        using=[initialisation],
    )
)
"""Start, steps, and half of tau times optimisation, data and generalization (means on the grid).

The last three are the denoising loss on test data less a constant that nobody knows: the
decomposition explains, it does not certify.
"""

package_parts = tuple(
    sp.Symbol(name, real=True)
    for name in (
        r"\mathcal{L}^{(n)}_{\mathrm{ESM},h}",
        r"\Delta_{h}",
        r"\mathcal{G}_{h}",
    )
)
"""Optimisation, data and generalization as the package counts them, summed over the grid.

The last is the denoising loss of the law less that of the sample.
"""

assembled_in_package = assembled.specialise(
    {
        part: 4 * of_package / span
        for part, of_package in zip((empirical_error, data_term, gap), package_parts, strict=True)
    },
    by=r"\(\bar{s}=2(s+x)\), integrals for means: \(4/\tau\)",
).equals(
    sp.exp(-2 * horizon) * data_divergence + step * fisher_first + 2 * sum(package_parts),
    by="collecting terms",
)
"""The same with the package's score and its integrated losses."""
