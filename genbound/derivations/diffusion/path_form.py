r"""From path divergence to a computable total: Theorems D+ and E.

In the spirit of Theorem 6.2 of Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), from the same
ingredients, but with no Jensen step and no root of the rate.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import gap, information, sample_gap, scale
from genbound.derivations.diffusion.letters import (
    d,
    distance_end,
    distance_min,
    dsm,
    dsm_hat,
    esm,
    esm_hat,
    info_end,
    info_end_hat,
    info_min,
    info_min_hat,
    kl,
    nll,
    prior_kl,
    prior_kl_hat,
    rate,
    sigma2_min,
)
from genbound.derivations.diffusion.solved import domain, one_datum, population

path = Derivation.of(kl, kl, by="what the bound is about", domain=domain).granted(
    "<=",
    esm + prior_kl,
    cite="Song, Durkan, Murray and Ermon 2021; Huang, Lim and Courville 2021",
    by="Girsanov on path space, then data processing",
    witness=population,
)
"""The path bound: what the score costs plus what the prior costs."""

denoising = Derivation.of(dsm, dsm, by="denoising score matching", domain=domain).granted(
    "=",
    esm + info_min - info_end,
    cite="Vincent 2011; Guo, Shamai and Verdu 2005",
    by="orthogonality of the posterior mean, then I-MMSE",
    witness=population,
)
"""Denoising loss = explicit loss + information lost between t_min and T (any law)."""

denoising_hat = Derivation.of(
    dsm_hat, dsm_hat, by="the same identity for the empirical law", domain=domain
).granted(
    "=",
    esm_hat + info_min_hat - info_end_hat,
    cite="Vincent 2011; Guo, Shamai and Verdu 2005",
    by="orthogonality of the posterior mean, then I-MMSE",
    witness=one_datum,
)

generalization = Derivation.of(dsm, dsm_hat + gap, by="definition of the gap")


def _concavity(letter: sp.Symbol, hat: sp.Symbol, distance: sp.Symbol) -> Derivation:
    return Derivation.of(letter, letter, by="entropy of the mean law", domain=domain).granted(
        "=",
        hat + distance,
        cite="Cover and Thomas 2006",
        by=r"\(h(P_t)=\mathbb{E}h(\hat{P}_t)+\mathbb{E}\,\mathrm{KL}(\hat{P}_t\|P_t)\)",
        witness=one_datum,
    )


concavity_min = _concavity(info_min, info_min_hat, distance_min)
concavity_end = _concavity(info_end, info_end_hat, distance_end)

compensation = Derivation.of(
    prior_kl_hat, prior_kl_hat, by="divergence of the empirical law", domain=domain
).granted(
    "=",
    distance_end + prior_kl,
    cite="Topsoe 1967, compensation identity",
    by=r"the mean law of \(\hat{P}_T\) is \(P_T\)",
    witness=one_datum,
)

split_rate = Derivation.of(
    prior_kl_hat, prior_kl_hat, by="aggregated posterior", domain=domain
).granted(
    "=",
    rate - info_end_hat,
    cite="Hoffman and Johnson 2016",
    by="rate = encoder information + aggregated-posterior divergence",
    witness=one_datum,
)
"""Encoder's and prior's term are one: rate - information = KL(empirical P_T || pi) >= 0."""

identity = (
    path.equals(dsm - info_min + info_end + prior_kl, by="denoising loss", using=[denoising])
    .equals(
        dsm_hat + gap - info_min + info_end + prior_kl,
        by="training loss plus gap",
        using=[generalization],
    )
    .equals(
        esm_hat + info_min_hat - info_end_hat + gap - info_min + info_end + prior_kl,
        by="explicit loss of the empirical law",
        using=[denoising_hat],
    )
    .equals(
        esm_hat + gap - distance_min + distance_end + prior_kl,
        by="concavity of the entropy at both ends",
        using=[concavity_min, concavity_end],
    )
    .equals(esm_hat + gap - distance_min + prior_kl_hat, by="compensation", using=[compensation])
    .equals(
        esm_hat + gap - distance_min + rate - info_end_hat,
        by="rate minus information",
        using=[split_rate],
    )
)
"""D+ before its last step: what is lost on the path apart, nothing is dropped."""

tight_held_out = identity.at_most(
    esm_hat - info_end_hat + rate + gap, by="a divergence is not negative"
)
"""D+ with the gap kept as a letter, to be measured on held-out data."""

tight = tight_held_out.at_most(
    esm_hat - info_end_hat + rate + scale * sp.sqrt(2 * information),
    by="information bounds the gap",
    using=[sample_gap],
)
"""Theorem D+: encoder and prior combine exactly; only the gap carries a constant R."""

nelbo = Derivation.of(nll, nll, by="negative log-likelihood at t_min", domain=domain).granted(
    "<=",
    dsm + rate + d / 2 * sp.log(2 * sp.pi * sp.E * sigma2_min),
    cite="Song, Durkan, Murray and Ermon 2021; Huang, Lim and Courville 2021",
    by="path bound for one datum, averaged",
    witness=population,
)
"""What held-out data give at once: the path bound of every datum, averaged."""

bits_per_dimension = Derivation.of(
    sp.Symbol(r"\mathrm{BPD}", real=True), nll / (d * sp.log(2)), by="nats per datum to bits"
)

nll_held_out = nelbo.equals(
    dsm_hat + gap + rate + d / 2 * sp.log(2 * sp.pi * sp.E * sigma2_min),
    by="training loss plus gap",
    using=[generalization],
)
"""Theorem E with the gap kept as a letter: every other letter is computed from the sample."""

nll_information = nll_held_out.at_most(
    dsm_hat
    + rate
    + d / 2 * sp.log(2 * sp.pi * sp.E * sigma2_min)
    + scale * sp.sqrt(2 * information),
    by="information bounds the gap",
    using=[sample_gap],
)
"""Theorem E: a computable bound on the test negative log-likelihood."""
