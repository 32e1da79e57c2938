r"""What a generated sample knows of the training sample: the generator term and its references.

The sampling chain runs from Z ~ pi, independent of the sample S, and its end is the generated
sample. Compared with the same chain under a reference score that has not seen S, it bounds the
information I(X~; S | Z). Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Theorem
6.3, take the reference zero; others cost nothing more to prove.

The solvable case of the witnesses is the mean learner of :mod:`trade_off`, whose letters
(a, n, d, M) are used throughout.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import trade_off
from genbound.derivations.gaussian import channel_of, kl_of, signal2
from genbound.derivations.trade_off import B, M, a, b, d, n

information = sp.Symbol(r"{I(\tilde{X};S|Z)}", nonnegative=True)
root_information = sp.Symbol(r"{\frac{1}{n}\sum_i\sqrt{I(\tilde{X};X_i|Z)}}", nonnegative=True)
mean_information = sp.Symbol(r"{\frac{1}{n}\sum_i I(\tilde{X};X_i|Z)}", nonnegative=True)
path_information = sp.Symbol("I(Y;S|Z)", nonnegative=True)
energy = sp.Symbol(r"A_{\bar{s}}", nonnegative=True)
energy_to_zero = sp.Symbol("A_{0}", nonnegative=True)
strangeness = sp.Symbol(r"\mathrm{KL}(\mathrm{law}(Y)\|\bar{Q})", nonnegative=True)
norm = sp.Symbol("L", positive=True)
others = sp.Symbol("K", positive=True)

_v = 1 - a
_below_one = {a: (0, 1)}
_mean_learner = {
    information: trade_off.generator_information.expr,
    # The whole path is a channel for mu-hat with signal-to-noise ratio int e^{-b} db = v.
    path_information: d * sp.log(1 + _v / n) / 2,
    energy: trade_off.energy_mean.expr,
    strangeness: d * (_v / n - sp.log(1 + _v / n)) / 2,
}

# One step of the chain: N(y + delta s, delta I) against N(y + delta s-bar, delta I).
_step = sp.Symbol("delta", positive=True)
_gap2 = sp.Symbol(r"\|s-\bar{s}\|^{2}", positive=True)

step_divergence = Derivation.of(
    sp.Symbol(r"\mathrm{KL}_{\mathrm{step}}"),
    d * kl_of(_step * sp.sqrt(_gap2 / d), _step, variance_2=_step),
    by=r"two steps of clock \(\delta\) from one state, per coordinate",
).equals(_step * _gap2 / 2, by="equal variances")
"""Divergence of one Gaussian step from the same step with another score."""


def _two_steps() -> dict[sp.Expr, sp.Expr]:
    """Two steps with the score u + c y, and with 0: the joint divergence from joint moments."""
    u, c = sp.symbols("u c", positive=True)
    first, second = _step * u, (1 + _step * c) * _step * u + _step * u
    slope = 1 + _step * c
    mean = sp.Matrix([first, second])
    covariance = _step * sp.Matrix([[1, slope], [slope, slope**2 + 1]])
    reference = _step * sp.Matrix([[1, 1], [1, 2]])
    inverse = reference.inv()
    divergence = (
        (inverse * covariance).trace()
        + (mean.T * inverse * mean)[0]
        - 2
        + sp.log(reference.det() / covariance.det())
    ) / 2
    return {
        _joint: sp.expand(divergence),
        _before: _step * u**2 / 2,
        _gap2: (u + c * first) ** 2 + c**2 * _step,
    }


_joint = sp.Symbol(r"\mathrm{KL}_{k+1}", nonnegative=True)
_before = sp.Symbol(r"\mathrm{KL}_{k}", nonnegative=True)

chain_rule = Derivation.of(_joint, _joint, by="paths of one more step").granted(
    "=",
    _before + _step * _gap2 / 2,
    cite="Cover and Thomas 2006, chain rule",
    by=r"the next step, averaged over the model's own states",
    witness=_two_steps(),
)
"""Divergence of path laws, step by step: with step_divergence, a sum over the chain."""

# Theorem G+: any reference that has not seen the sample.
reference_score = (
    Derivation.of(information, information, by="of one generated sample", domain=_below_one)
    .granted(
        "<=",
        path_information,
        cite="Cover and Thomas 2006, data processing",
        by="the path contains its end",
        witness=_mean_learner,
    )
    .granted(
        "=",
        energy - strangeness,
        cite="Topsoe 1967, compensation identity",
        by=r"mean divergence to a fixed law \(\bar{Q}\) of paths",
        witness=_mean_learner,
    )
    .at_most(energy, by="a divergence is not negative")
)
"""Theorem G+: I(X~; S | Z) <= A_s-bar for every reference score that is independent of S."""

_largest = sp.Symbol(r"\|s\|_{\max}", positive=True)
_share = sp.Symbol("rho", positive=True)

zero_energy = Derivation.of(
    energy_to_zero,
    sp.Integral(norm**2, (b, 0, B)) / 2,
    by=r"\(L\): root mean square of the score along the path, in the clock",
).equals(norm**2 * B / 2, by="the clock runs from \\(B\\) to 0")
"""The zero reference: it pays for the length of the path."""

norm_is_enough = Derivation.of(
    norm, _share * _largest, by=r"\(\rho = L/\|s\|_{\max}\)", domain={_share: (0, 1)}
).at_most(_largest, by="a mean is at most the largest value")
"""A bound on the norm of the score, as in the paper, may stand for L; no Lipschitz constant."""

sample_information = Derivation.of(
    sp.Symbol(r"{I(\tilde{X};X_i|Z)}", real=True),
    d * channel_of((_v / n) ** 2, _v + _v**2 * (n - 1) / n**2),
    by=r"Gaussian channel: signal \(vX_i/n\), noise: the other data and the path",
    domain=_below_one | {n: (1, None)},
).equals(d * sp.log((1 + _v / n) / (1 + _v * (n - 1) / n**2)) / 2, by="collecting logarithms")
"""Information of one generated sample about one datum, given the starting noise; solvable case."""

sample_wise = Derivation.of(
    root_information, root_information, by="mean over the data", domain=_below_one | {n: (1, None)}
).granted(
    "<=",
    sp.sqrt(information / n),
    cite="Bu, Zou and Veeravalli 2020",
    by="independent data, then concavity of the root",
    witness={
        root_information: sp.sqrt(sample_information.expr),
        information: _mean_learner[information],
    },
)
"""From the whole sample to one datum."""

mean_wise = Derivation.of(
    mean_information, mean_information, by="mean over the data", domain=_below_one | {n: (1, None)}
).granted(
    "<=",
    information / n,
    cite="Bu, Zou and Veeravalli 2020",
    by="chain rule for independent data",
    witness={
        mean_information: sample_information.expr,
        information: _mean_learner[information],
    },
)
"""The same without the root."""

_to_zero = reference_score.specialise({energy: energy_to_zero}, by=r"reference \(\bar{s}=0\)")

generator_term = sample_wise.at_most(
    sp.sqrt(energy_to_zero / n), by="reference zero", using=[_to_zero]
).equals(norm * sp.sqrt(B / (2 * n)), by="length of the path", using=[zero_energy])
"""Theorem G: the generator term with the zero reference."""

capacity = (
    Derivation.of(
        sp.Symbol(r"{I(Y_{k+1};S|Y_{k},Z)}", nonnegative=True),
        d * channel_of(_step**2 * norm**2 / d, _step),
        by=r"most that a Gaussian channel carries: power \(\delta^2 L^2\), noise \(\delta\)",
    )
    .equals(d * sp.log(1 + _step * norm**2 / d) / 2, by="collecting terms")
    .at_most(_step * norm**2 / 2, by=r"\(\log(1+x)\le x\)")
)
"""A step carries no more than its channel can; the gain vanishes with the step."""


def _capacity_information() -> Derivation:
    """The information of one step for a Gaussian signal of mean m and variance q^2."""
    drawn = sp.Symbol(r"{I(Y_{k+1};S|Y_{k},Z)}", nonnegative=True)
    return Derivation.of(drawn, drawn, by="one step of the chain").granted(
        "<=",
        d * sp.log(1 + _step * norm**2 / d) / 2,
        cite="Cover and Thomas 2006, capacity of the Gaussian channel; Pensia, Jog and Loh 2018",
        by="a Gaussian signal carries most for its power",
        witness={
            drawn: d * sp.log(1 + _step * signal2) / 2,
            norm: sp.sqrt(d * signal2),
        },
    )


step_capacity = _capacity_information()
"""Why the channel's capacity is an upper bound."""

# References in the solvable case.
_mu = sp.sqrt(M / d)
_learned, _ghost = (Normal(name, _mu, 1 / sp.sqrt(n)) for name in (r"\hat{\mu}", r"\hat{\mu}'"))
_average = Normal(r"\bar{\mu}_{K}", _mu, 1 / sp.sqrt(n * others))


def _energy(name: str, mismatch2: sp.Expr, by: str) -> Derivation:
    integral = sp.Integral(sp.exp(-b) * mismatch2, (b, 0, -sp.log(a)))
    return Derivation.of(sp.Symbol(name, real=True), d / 2 * integral, by=by, domain=_below_one)


energy_ghost = (
    _energy("A_{s'}", Expectation((_learned - _ghost) ** 2), "reference: one independent model")
    .equals(_v * d / n, by="two independent means")
    .equals(2 * trade_off.energy_mean.expr, by="twice the reference of the mean score")
)
"""Path energy against one model that was trained on an independent sample."""

energy_ensemble = _energy(
    r"A_{\bar{s}_{K}}",
    Expectation((_learned - _average) ** 2),
    r"reference: mean score of \(K\) independent models",
).equals((1 + 1 / others) * _v * d / (2 * n), by="variance of a mean")
"""Between the ghost (K = 1) and the mean score (K to infinity)."""

_ghost_divergence = sp.Symbol(r"{\mathrm{KL}(G_{S}\|G_{S'})}", nonnegative=True)

ghost_sample = (
    Derivation.of(information, information, by="of one generated sample", domain=_below_one)
    .granted(
        "<=",
        _ghost_divergence,
        cite="Cover and Thomas 2006, convexity of the divergence",
        by=r"\(I=\mathbb{E}\,\mathrm{KL}(G_{S}\|\mathbb{E}G_{S'})\), then Jensen",
        witness={
            information: _mean_learner[information],
            # Ends given Z: normal laws of variance v with means v mu-hat and v mu-hat'.
            _ghost_divergence: d * _v**2 * (2 / n) / (2 * _v),
        },
    )
    .specialise({_ghost_divergence: energy_ghost.lhs}, by="from ends to paths")
)
"""Ghost sample: the divergence between two independently trained models bounds the information."""

_ratio = sp.Symbol("x", positive=True)

mean_above_truth = (
    Derivation.of(
        trade_off.generator_information.lhs,
        d * sp.log(1 + _ratio) / 2,
        by=r"\(x = v/n\), signal-to-noise ratio of the path",
    )
    .at_most(d * _ratio / 2, by=r"\(\log(1+x)\le x\)")
    .at_most(d * _ratio, by=r"one model in place of the mean score: \(x \ge 0\)")
)
"""Truth, mean-score reference, ghost, as lines of one chain; x = v / n."""

prior_above_mean = trade_off.energy_prior.at_least(trade_off.energy_mean.expr, by=r"\(M\ge 0\)")
"""The prior's score pays for the mean, which says nothing of the sample."""

zero_above_clock = trade_off.energy_zero.at_least(-d * sp.log(a) / 2, by="the rest is positive")
"""The zero reference grows with the clock B = -log a, whatever was learned."""

# Data N(0, s^2) in one coordinate: V = 1 + (s^2 - 1) e^{-b} is the variance at clock b.
_variance = sp.Symbol("V", positive=True)
_first = sp.Symbol(r"V_{\varepsilon}", positive=True)
_last = sp.Symbol("V_{T}", positive=True)

prior_reference = (
    Derivation.of(
        sp.Symbol("{A_{-x}}", real=True),
        sp.Integral((1 - 1 / _variance) / 2, (_variance, _last, _first)),
        by=r"\(\frac12\int V(1-1/V)^2\,\mathrm{d}b\) with \(\mathrm{d}V=-(V-1)\,\mathrm{d}b\)",
    )
    .equals(
        (_first - 1 - sp.log(_first)) / 2 - (_last - 1 - sp.log(_last)) / 2,
        by=r"\(\mathrm{KL}(P_\varepsilon\|\pi)-\mathrm{KL}(P_T\|\pi)\)",
    )
    .at_most((_first - 1 - sp.log(_first)) / 2, by="a divergence is not negative")
)
"""Why the prior's reference saturates: for an exact score on the forward law it telescopes."""
