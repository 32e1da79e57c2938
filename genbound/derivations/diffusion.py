r"""The diffusion bound in three forms, from path divergence to a computable total.

All letters are means over the sample S. The model is the reverse process with score s_theta,
started from the prior pi at the horizon T and stopped at t_min = epsilon; \hat{} marks the
empirical law. Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Theorems 6.2, 6.3.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import gap, information, sample_gap, scale

d = sp.Symbol("d", positive=True, integer=True)
n = sp.Symbol("n", positive=True)
sigma2_min = sp.Symbol(r"\sigma_{\varepsilon}^{2}", positive=True)

kl = sp.Symbol(r"\mathrm{KL}(P_{\varepsilon}\|p_{\theta})", nonnegative=True)
nll = sp.Symbol(r"\mathrm{NLL}_{\varepsilon}", real=True)
esm = sp.Symbol(r"\mathcal{L}_{\mathrm{ESM}}", nonnegative=True)
esm_hat = sp.Symbol(r"\hat{\mathcal{L}}_{\mathrm{ESM}}", nonnegative=True)
dsm = sp.Symbol(r"\mathcal{L}_{\mathrm{DSM}}", nonnegative=True)
dsm_hat = sp.Symbol(r"\hat{\mathcal{L}}_{\mathrm{DSM}}", nonnegative=True)
info_min = sp.Symbol(r"I_{\varepsilon}", nonnegative=True)
info_end = sp.Symbol("I_{T}", nonnegative=True)
info_min_hat = sp.Symbol(r"\hat{I}_{\varepsilon}", nonnegative=True)
info_end_hat = sp.Symbol(r"\hat{I}_{T}", nonnegative=True)
rate = sp.Symbol(r"\mathcal{R}_{T}", nonnegative=True)
root_rate = sp.Symbol(r"\mathcal{K}_{T}", nonnegative=True)
prior_kl = sp.Symbol(r"\mathrm{KL}(P_{T}\|\pi)", nonnegative=True)
prior_kl_hat = sp.Symbol(r"\mathrm{KL}(\hat{P}_{T}\|\pi)", nonnegative=True)
distance_min = sp.Symbol(r"\mathrm{KL}(\hat{P}_{\varepsilon}\|P_{\varepsilon})", nonnegative=True)
distance_end = sp.Symbol(r"\mathrm{KL}(\hat{P}_{T}\|P_{T})", nonnegative=True)
energy = sp.Symbol(r"A_{\bar{s}}", nonnegative=True)
scale_encoder = sp.Symbol("R_{1}", nonnegative=True)
scale_generator = sp.Symbol("R_{2}", nonnegative=True)

# The solvable family: P = N(mu, I_d), s_theta = -(x - alpha_t mean(S)), u = alpha_eps^2 and
# a = u r = alpha_T^2. One datum makes every empirical letter a closed form as well.
_u, _r, _norm2 = sp.symbols("u r M", positive=True)
_a = _u * _r
_domain = {_u: (0, 1), _r: (0, 1)}
_constant = d / 2 * (-(_u - _a) - sp.log((1 - _u) / (1 - _a)))
_population = {
    kl: (_norm2 * _a**2 / _u + (_u - _a) ** 2 / _u * d / n) / 2,
    esm: (_u - _a) * d / n / 2,
    dsm: (_u - _a) * (d + d / n) / 2 + _constant,
    prior_kl: _a * _norm2 / 2,
    info_min: -d * sp.log(1 - _u) / 2,
    info_end: -d * sp.log(1 - _a) / 2,
}
_one_datum = {symbol: value.subs(n, 1) for symbol, value in _population.items()} | {
    esm_hat: _constant,
    dsm_hat: _constant,
    info_min_hat: 0,
    info_end_hat: 0,
    gap: (_u - _a) * d,
    rate: (_a * _norm2 - d * sp.log(1 - _a)) / 2,
    prior_kl_hat: (_a * _norm2 - d * sp.log(1 - _a)) / 2,
    distance_min: -d * sp.log(1 - _u) / 2,
    distance_end: -d * sp.log(1 - _a) / 2,
}


path = Derivation.of(kl, kl, by="what the bound is about", domain=_domain).granted(
    "<=",
    esm + prior_kl,
    cite="Song, Durkan, Murray and Ermon 2021; Huang, Lim and Courville 2021",
    by="Girsanov on path space, then data processing",
    witness=_population,
)
"""The path bound: what the score costs plus what the prior costs."""

denoising = Derivation.of(dsm, dsm, by="denoising score matching", domain=_domain).granted(
    "=",
    esm + info_min - info_end,
    cite="Vincent 2011; Guo, Shamai and Verdu 2005",
    by="orthogonality of the posterior mean, then I-MMSE",
    witness=_population,
)
"""Denoising loss = explicit loss + information lost between t_min and T (any law)."""

denoising_hat = Derivation.of(
    dsm_hat, dsm_hat, by="the same identity for the empirical law", domain=_domain
).granted(
    "=",
    esm_hat + info_min_hat - info_end_hat,
    cite="Vincent 2011; Guo, Shamai and Verdu 2005",
    by="orthogonality of the posterior mean, then I-MMSE",
    witness=_one_datum,
)

generalization = Derivation.of(dsm, dsm_hat + gap, by="definition of the gap")


def _concavity(letter: sp.Symbol, hat: sp.Symbol, distance: sp.Symbol) -> Derivation:
    return Derivation.of(letter, letter, by="entropy of the mean law", domain=_domain).granted(
        "=",
        hat + distance,
        cite="Cover and Thomas 2006",
        by=r"\(h(P_t)=\mathbb{E}h(\hat{P}_t)+\mathbb{E}\,\mathrm{KL}(\hat{P}_t\|P_t)\)",
        witness=_one_datum,
    )


concavity_min = _concavity(info_min, info_min_hat, distance_min)
concavity_end = _concavity(info_end, info_end_hat, distance_end)

compensation = Derivation.of(
    prior_kl_hat, prior_kl_hat, by="divergence of the empirical law", domain=_domain
).granted(
    "=",
    distance_end + prior_kl,
    cite="Topsoe 1967, compensation identity",
    by=r"the mean law of \(\hat{P}_T\) is \(P_T\)",
    witness=_one_datum,
)

split_rate = Derivation.of(
    prior_kl_hat, prior_kl_hat, by="aggregated posterior", domain=_domain
).granted(
    "=",
    rate - info_end_hat,
    cite="Hoffman and Johnson 2016",
    by="rate = encoder information + aggregated-posterior divergence",
    witness=_one_datum,
)
"""Encoder's and prior's term are one: rate - information = KL(empirical P_T || pi) >= 0."""

_identity = (
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

tight_held_out = _identity.at_most(
    esm_hat - info_end_hat + rate + gap, by="a divergence is not negative"
)
"""D+ with the gap kept as a letter, to be measured on held-out data."""

tight = tight_held_out.at_most(
    esm_hat - info_end_hat + rate + scale * sp.sqrt(2 * information),
    by="information bounds the gap",
    using=[sample_gap],
)
"""Theorem D+: encoder and prior combine exactly; only the gap carries a constant R."""

nll_held_out = (
    Derivation.of(nll, nll, by="negative log-likelihood at t_min", domain=_domain)
    .granted(
        "<=",
        dsm + rate + d / 2 * sp.log(2 * sp.pi * sp.E * sigma2_min),
        cite="Song, Durkan, Murray and Ermon 2021; Huang, Lim and Courville 2021",
        by="path bound for one datum, averaged",
        witness=_population
        | {
            nll: _population[kl] + d / 2 * sp.log(2 * sp.pi * sp.E),
            rate: _one_datum[rate],
            sigma2_min: 1 - _u,
        },
    )
    .equals(
        dsm_hat + gap + rate + d / 2 * sp.log(2 * sp.pi * sp.E * sigma2_min),
        by="training loss plus gap",
        using=[generalization],
    )
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

generated_information = Derivation.of(
    information, information, by="information between a generated sample and a datum"
).granted(
    "<=",
    energy / n,
    cite="Chen, Zhu and Shkurti 2025, in the spirit of Theorem 6.3",
    by="path divergence to a reference sampler that has not seen the data",
)

paper = (
    Derivation.of(kl, kl, by="what the bound is about")
    .granted(
        "<=",
        esm_hat
        - info_end_hat
        + sp.sqrt(2) * scale_encoder * root_rate
        + scale_generator * sp.sqrt(2 * information),
        cite="Chen, Zhu and Shkurti 2025, in the spirit of Theorem 6.2",
        by="change of measure for the prior and for the sample",
    )
    .at_most(
        esm_hat
        - info_end_hat
        + sp.sqrt(2) * scale_encoder * root_rate
        + scale_generator * sp.sqrt(2 * energy / n),
        by="score along the generating path",
        using=[generated_information],
    )
)
"""The paper's form: sub-Gaussian constants on the encoder's and on the generator's term."""
