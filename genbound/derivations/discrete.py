r"""The encoder-generator bound in KL divergence, for data with finitely many values.

The discrepancy is the decoder's log-loss -log g_S(x|z). Its encoder's information enters with a
minus sign, through an identity and not through an inequality. All letters are means over the
sample S; \hat{} marks the empirical law.

Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Corollary 4.3.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import gap, information, sample_gap, scale
from genbound.derivations.encoder_generator import (
    encoded_loss_hat,
    encoder_mean,
    prior_loss,
    prior_loss_hat,
    scale_generator,
    weighted_root,
)

kl = sp.Symbol(r"\mathrm{KL}(P\|G_{S}\#\pi)", nonnegative=True)
nll = sp.Symbol(r"\mathrm{NLL}(G_{S}\#\pi)", nonnegative=True)
entropy = sp.Symbol(r"{H(P)}", nonnegative=True)
entropy_hat = sp.Symbol(r"{H(\hat{P})}", nonnegative=True)
joint_error = sp.Symbol(r"\mathcal{J}", nonnegative=True)
information_hat = sp.Symbol(r"{\hat{I}}", nonnegative=True)

# Binary data: P-hat(1) = q, encoder a channel that flips with probability p, decoder
# g(1|z) = g_z, fair prior.
_q, _p, _g0, _g1 = sp.symbols("q p g_0 g_1", positive=True)
_unit = {letter: (0, 1) for letter in (_q, _p, _g0, _g1)}
_data = {0: 1 - _q, 1: _q}
_flips = {(x, z): 1 - _p if x == z else _p for x in (0, 1) for z in (0, 1)}
_decoder = {(1, 0): _g0, (0, 0): 1 - _g0, (1, 1): _g1, (0, 1): 1 - _g1}
_codes = {z: sum(_data[x] * _flips[x, z] for x in (0, 1)) for z in (0, 1)}


def _over_pairs(value: object) -> sp.Expr:
    """Mean of value(x, z) with x from the data and z from its code."""
    return sum(_data[x] * _flips[x, z] * value(x, z) for x in (0, 1) for z in (0, 1))


def _loss(x: int) -> sp.Expr:
    """Log-loss of x, mean over the prior."""
    return -(sp.log(_decoder[x, 0]) + sp.log(_decoder[x, 1])) / 2


_binary = {
    encoded_loss_hat: _over_pairs(lambda x, z: -sp.log(_decoder[x, z])),
    joint_error: _over_pairs(
        lambda x, z: sp.log(_data[x] * _flips[x, z] / (_codes[z] * _decoder[x, z]))
    ),
    information_hat: _over_pairs(lambda x, z: sp.log(_flips[x, z] / _codes[z])),
    entropy_hat: -sum(_data[x] * sp.log(_data[x]) for x in (0, 1)),
    prior_loss: sum(_data[x] * _loss(x) for x in (0, 1)),
    nll: -sum(_data[x] * sp.log((_decoder[x, 0] + _decoder[x, 1]) / 2) for x in (0, 1)),
}

_datum, _code, _mixture, _model = sp.symbols("{\\hat{p}} e m g", positive=True)
pointwise = Derivation.of(
    sp.Symbol(r"{-\log g_S(x|z)}", real=True),
    -sp.log(_model),
    by=r"\(\hat{p}(x)\), \(e(z|x)\), \(m(z)=\sum_x\hat{p}(x)\,e(z|x)\), \(g(x|z)\)",
).equals(
    sp.log(_datum * _code / (_mixture * _model)) - sp.log(_code / _mixture) - sp.log(_datum),
    by="multiply and divide",
)
"""The log-loss of one pair: joint matching error, information and entropy in one line."""

identity = Derivation.of(
    encoded_loss_hat, encoded_loss_hat, by="reconstruction loss", domain=_unit
).granted(
    "=",
    joint_error - information_hat + entropy_hat,
    cite="linearity of the mean",
    by=r"mean of the line for one pair over \(\hat{P}E\)",
    witness=_binary,
)
"""Reconstruction = joint matching error - encoder's information + empirical entropy."""

jensen = Derivation.of(
    nll, nll, by=r"mean of \(-\log\mathbb{E}_{\pi}g_S(x|z)\)", domain=_unit
).granted(
    "<=",
    prior_loss,
    cite="Jensen's inequality",
    by=r"mean over \(z\sim\pi\) outside the logarithm",
    witness=_binary,
)
"""The step that costs most where the decoder is sure of itself."""

# The empirical share of ones is q + e or q - e with equal odds; for small e both sides agree.
_e = sp.Symbol("e", positive=True)


def _coin_entropy(share: sp.Expr) -> sp.Expr:
    return -share * sp.log(share) - (1 - share) * sp.log(1 - share)


_two_shares = {
    entropy_hat: (_coin_entropy(_q + _e) + _coin_entropy(_q - _e)) / 2,
    entropy: _coin_entropy(_q),
}
concavity = Derivation.of(
    entropy_hat,
    entropy_hat,
    by="mean over samples",
    domain={_q: (sp.Rational(1, 4), sp.Rational(3, 4)), _e: (0, sp.Rational(1, 10))},
).granted(
    "<=",
    entropy,
    cite="Cover and Thomas 2006",
    by=r"the entropy is concave and \(\mathbb{E}\hat{P}=P\)",
    witness=_two_shares,
)

gap_of_weights = sample_gap.specialise({scale: scale_generator}, by="log-loss under the prior")
"""The log-loss depends on the generator as a function: here the weights' information counts."""

kept = (
    Derivation.of(kl, nll - entropy, by="cross-entropy less entropy")
    .at_most(prior_loss - entropy, by="Jensen", using=[jensen])
    .equals(
        prior_loss_hat + gap - entropy,
        by="training loss plus gap",
        using=[Derivation.of(prior_loss, prior_loss_hat + gap, by="definition of the gap")],
    )
    .at_most(
        encoded_loss_hat + sp.sqrt(2) * weighted_root + gap - entropy,
        by="encoder step",
        using=[encoder_mean],
    )
    .at_most(
        encoded_loss_hat
        + sp.sqrt(2) * weighted_root
        + scale_generator * sp.sqrt(2 * information)
        - entropy,
        by="information bounds the gap",
        using=[gap_of_weights],
    )
    .equals(
        joint_error
        - information_hat
        + sp.sqrt(2) * weighted_root
        + scale_generator * sp.sqrt(2 * information)
        + entropy_hat
        - entropy,
        by="identity",
        using=[identity],
    )
)
"""Theorem C with the difference of the entropies, which is known where P is."""

theorem = kept.at_most(
    joint_error
    - information_hat
    + sp.sqrt(2) * weighted_root
    + scale_generator * sp.sqrt(2 * information),
    by="concavity of the entropy",
    using=[concavity],
)
"""Theorem C: matching error, less information, encoder term, generator term."""
