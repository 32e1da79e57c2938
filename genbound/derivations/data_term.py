r"""The data term: how much noised data reveal of their sample, and how far chance moves it.

In the spirit of Lemma 3.1 of Dupuis et al. 2025 (arXiv 2506.03849); identity, sign and constants
are our own. Delta_s = C(\hat{P}) - C(P) compares the irreducible denoising losses of the empirical
law and of the law, in the convention and letters of :mod:`score_gap`. Over uniform times in
[t_0, T], tau = T - t_0, it is a difference of entropies.
"""

from dataclasses import replace

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations import gaussian, information_flow, mixing
from genbound.derivations.frozen_score import fisher, mu, share, v
from genbound.derivations.sampler_error import (
    data_divergence,
    fisher_first,
    horizon,
    score_error,
    span,
    step,
)
from genbound.derivations.score_gap import (
    assembled,
    constant,
    data_term,
    decomposition,
    empirical_constant,
    empirical_error,
    gap,
)

n = sp.Symbol("n", positive=True)
norm2 = sp.Symbol(r"\mathbb{E}\|X\|^{2}", positive=True)
sample_norm2 = sp.Symbol(r"{\textstyle\frac{1}{n}\sum_i\|X_i\|^{2}}", positive=True)
fisher_t = sp.Symbol(r"\mathcal{I}(P_{t}\|\pi)", nonnegative=True)
sample_fisher = sp.Symbol(r"\mathcal{I}(\hat{P}_{t}\|\pi)", nonnegative=True)
information_first = sp.Symbol("I(X;X_{t_0})", nonnegative=True)
information_last = sp.Symbol("I(X;X_{T})", nonnegative=True)
identified_first = sp.Symbol(r"\hat{I}_{t_0}", nonnegative=True)
identified_last = sp.Symbol(r"\hat{I}_{T}", nonnegative=True)
mean_data_term = sp.Symbol(r"\mathbb{E}\,\Delta_{s}", real=True)
mean_fisher = sp.Symbol(r"\mathbb{E}\,\mathcal{I}(\hat{P}_{t}\|P_{t})", nonnegative=True)
mean_reverse_fisher = sp.Symbol(r"\mathbb{E}\,\mathcal{I}(P_{t}\|\hat{P}_{t})", nonnegative=True)

_inside = {share: (0, 1)}
_noise2 = 1 - share
_d = gaussian.d
_energy = 4 * (share * (mu**2 + v) + share**2 / _noise2)
_solved = {constant: _energy - 4 * fisher.expr, norm2: mu**2 + v, fisher_t: fisher.expr, _d: 1}

# At one time.
at_one_time = Derivation.of(constant, constant, by="at one time", domain=_inside).granted(
    "=",
    4 * (share * norm2 + _d * share**2 / _noise2) - 4 * fisher_t,
    cite="Vincent 2011",
    by=r"\(\mathbb{E}\|v_t\|^2-\mathbb{E}\|\mathbb{E}[v_t|X_t]\|^2\)",
    # E v_t^2 - s^2 from the posterior: v_t - s = 2 e^{-t} (X - E[X | X_t]) / sigma^2.
    witness={
        constant: _d * 4 * share / _noise2**2 * v * _noise2 / (1 + (v - 1) * share),
        norm2: _d * (mu**2 + v),
        fisher_t: _d * fisher.expr,
    },
)
"""What no score can learn at one time: the target's energy less the score's."""

components = Derivation.of(
    data_term, empirical_constant - constant, by="definition", domain=_inside
).equals(
    4 * (share * (sample_norm2 - norm2) + fisher_t - sample_fisher),
    by="moments and Fisher informations",
    using=[
        at_one_time.specialise(
            {constant: empirical_constant, norm2: sample_norm2, fisher_t: sample_fisher},
            by="empirical law",
        ),
        at_one_time,
    ],
)
"""Two parts at each time: a fluctuation of the second moment, a difference of informations."""

# The sign.
_score, _other, _x = sp.symbols("s_{1} s_{2} x", real=True)

relative_score = Derivation.of(
    sp.Symbol(r"{\|s_1+x\|^{2}-\|s_1-s_2\|^{2}}", real=True),
    (_score + _x) ** 2 - (_score - _other) ** 2,
    by=r"scores \(s_1\) of \(\hat{P}_t\), \(s_2\) of \(P_t\)",
).equals(
    2 * (_score + _x) * (_other + _x) - (_other + _x) ** 2,
    by=r"linear in \(s_1\), so the mean under \(\hat{P}_t\) is linear in \(\hat{P}_t\)",
)
"""Why averaging over samples leaves the information of the law."""

sign = (
    Derivation.of(mean_data_term, mean_data_term, by="mean over samples", domain=_inside)
    .granted(
        "=",
        -4 * mean_fisher,
        cite="mean of the linear part",
        by=r"\(\mathbb{E}\hat{P}_t=P_t\), \(\mathbb{E}\,\mathcal{I}(\hat{P}_t\|\pi)"
        r"=\mathcal{I}(P_t\|\pi)+\mathbb{E}\,\mathcal{I}(\hat{P}_t\|P_t)\)",
        # One datum of a normal law: C of a point is 0, and the two scores are known.
        witness={
            mean_data_term: -_solved[constant],
            mean_fisher: share * v / (_noise2 * (1 + (v - 1) * share)),
        },
    )
    .at_most(0, by="an information is not negative")
)
"""On average the data term helps, whatever the weighting of times."""

# The memoriser, whose score is that of the empirical law.
_mean_error = sp.Symbol(r"\mathbb{E}\,\varepsilon_{s}", nonnegative=True)
mean_empirical = sp.Symbol(r"\mathbb{E}\,\mathcal{L}^{(n)}_{\mathrm{ESM}}", nonnegative=True)
mean_gap = sp.Symbol(r"\mathbb{E}\,\mathcal{G}", real=True)

_mean_parts = decomposition.specialise(
    {score_error: _mean_error, empirical_error: 0, data_term: mean_data_term, gap: mean_gap},
    by=r"means, \(\mathcal{L}^{(n)}_{\mathrm{ESM}}=0\)",
)

memoriser = (
    Derivation.of(mean_gap, mean_gap, by="mean over samples")
    .equals(_mean_error - mean_data_term, by="decomposition", using=[_mean_parts])
    .equals(
        _mean_error + 4 * mean_fisher,
        by="the sign",
        using=[replace(sign, steps=sign.steps[:2])],
    )
    .equals(
        4 * (mean_reverse_fisher + mean_fisher),
        by=r"\(\bar{s}=2(s+x)\): its error is \(4\,\mathcal{I}(P_t\|\hat{P}_t)\)",
        using=[Derivation.of(_mean_error, 4 * mean_reverse_fisher)],
    )
)
"""Learning the sample by heart: the gap is a Fisher divergence, both ways."""

# Uniform times: information.
_mismatch_rate = replace(
    information_flow.information_rate, steps=information_flow.information_rate.steps[:4]
)

constant_rate = Derivation.of(
    constant,
    4 * information_flow.mismatch,
    by=r"at one time, \(\bar{s}=2(s+x)\): four times the mean of \(\|\nabla\log E_b-s\|^2\)",
).equals(
    -8 * information_flow.information_slope,
    by=r"I-MMSE in the clock \(b=2t\), so this is \(-4\,\partial_tI(X;X_t)\)",
    using=[_mismatch_rate],
)
"""The irreducible loss is four times the rate at which information is lost."""


def _channel(at: sp.Expr) -> sp.Expr:
    return gaussian.channel_of(at * v, 1 - at)


rate_gaussian = Derivation.of(
    constant,
    8 * share * sp.diff(_channel(share), share),
    by=r"\(-4\,\partial_tI\) for data \(N(\mu,v)\), \(\partial_t=-2u\,\partial_u\)",
    domain=_inside,
).equals(_solved[constant], by=r"\(4(\ldots)\), at one time")
"""The same from the other end, for a Gaussian channel."""

_ratio = sp.Symbol("r", positive=True)

identity = Derivation.of(
    constant, constant, by=r"mean over uniform times", domain=_inside | {_ratio: (0, 1)}
).granted(
    "=",
    4 * (information_first - information_last) / span,
    cite="Guo, Shamai and Verdu 2005",
    by=r"\(-4\,\partial_tI\), integrated from \(t_0\) to \(T\)",
    # Times with e^{-2T} = u r; the mean is done by partial fractions.
    witness={
        constant: -4
        / sp.log(_ratio)
        * (
            sp.log((1 + (v - 1) * share) / (1 + (v - 1) * share * _ratio))
            - sp.log((1 - share) / (1 - share * _ratio))
        ),
        span: -sp.log(_ratio) / 2,
        information_first: _channel(share),
        information_last: _channel(share * _ratio),
    },
)
"""The irreducible loss over uniform times is the information lost from t_0 to T."""

of_sample = identity.specialise(
    {
        constant: empirical_constant,
        information_first: identified_first,
        information_last: identified_last,
    },
    by="which of the n data was noised",
)
"""The same for the empirical law."""

_identification = mixing.identification.specialise(
    {mixing.identified: identified_first}, by=r"index of the datum, at \(t_0\)"
)

memorised_loss = of_sample.at_most(
    4 * identified_first / span, by="an information is not negative"
).at_most(4 * sp.log(n) / span, by="an index of n", using=[_identification])
"""Whoever memorises reaches this training loss in every dimension."""

crossover = (
    Derivation.of(data_term, empirical_constant - constant, by="definition")
    .equals(
        4 * (identified_first - identified_last - information_first + information_last) / span,
        by="information",
        using=[of_sample, identity],
    )
    .at_most(
        4 * (sp.log(n) - information_first + information_last) / span,
        by="an index of n, known at best",
        using=[_identification],
    )
)
"""Negative as soon as the law tells more than log n: then memorising pays."""

_entropy, _entropy_last, _sample_entropy, _sample_entropy_last, _kernel, _kernel_last = (
    sp.Symbol(name, real=True)
    for name in (
        "h(P_{t_0})",
        "h(P_{T})",
        r"h(\hat{P}_{t_0})",
        r"h(\hat{P}_{T})",
        "h(X_{t_0}|X)",
        "h(X_{T}|X)",
    )
)

entropies = replace(crossover, steps=crossover.steps[:2]).equals(
    4 * (_sample_entropy - _entropy - (_sample_entropy_last - _entropy_last)) / span,
    by="the noise has the same entropy under both laws",
    using=[
        Derivation.of(identified_first, _sample_entropy - _kernel),
        Derivation.of(identified_last, _sample_entropy_last - _kernel_last),
        Derivation.of(information_first, _entropy - _kernel),
        Derivation.of(information_last, _entropy_last - _kernel_last),
    ],
)
"""A difference of entropies: the sample's lack of randomness at t_0, less what is left at T."""

# What one sample Y_t of the memoriser's law tells of the data set.
_mean_entropy, _mean_entropy_last = (
    sp.Symbol(rf"{{\mathbb{{E}}\,h(\hat{{P}}_{{{at}}})}}", real=True) for at in ("t_0", "T")
)
revealed_first = sp.Symbol("I(S;Y_{t_0})", nonnegative=True)
revealed_last = sp.Symbol("I(S;Y_{T})", nonnegative=True)

revealed = entropies.specialise(
    {
        data_term: mean_data_term,
        _sample_entropy: _mean_entropy,
        _sample_entropy_last: _mean_entropy_last,
    },
    by="mean over samples",
).equals(
    -4 * (revealed_first - revealed_last) / span,
    by=r"\(Y_t\sim\hat{P}_t\), whose law is \(P_t\): \(I(S;Y_t)=h(P_t)-\mathbb{E}\,h(\hat{P}_t)\)",
    using=[
        Derivation.of(_mean_entropy, _entropy - revealed_first),
        Derivation.of(_mean_entropy_last, _entropy_last - revealed_last),
    ],
)
"""On average it is minus what noise takes away of this: what a copyist gives away of its data."""

assembled_mean = assembled.specialise(
    {data_term: mean_data_term, empirical_error: mean_empirical, gap: mean_gap},
    by="mean over samples and training",
).at_most(
    sp.exp(-2 * horizon) * data_divergence
    + step * fisher_first
    + span * (mean_empirical + mean_gap) / 2,
    by="the mean of the data term is negative",
    using=[sign],
)
"""In the mean the data term can be left out."""
