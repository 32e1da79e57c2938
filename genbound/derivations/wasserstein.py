r"""Wasserstein and total-variation bounds for a pair of encoder and generator.

W_1 is the least mean distance between X ~ P and x~ ~ G#pi over all couplings. Taking the two
independent gives a bound that cannot fall below the spread of the data; taking them through the
encoder gives one that can vanish. All letters are means over the sample S.

Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Corollary 4.2, and its replacement.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import discrete, encoder_generator
from genbound.derivations.change_of_measure import gap, information, sample_gap, scale
from genbound.derivations.encoder_generator import (
    encoded_loss_hat,
    prior_loss,
    rate,
    scale_encoder,
    scale_generator,
)

w1 = sp.Symbol(r"{W_1(P,G_{S}\#\pi)}", nonnegative=True)
encoded_w1 = sp.Symbol(r"{W_1(P,G_{S}\#E\#P)}", nonnegative=True)
pushed_w1 = sp.Symbol(r"{W_1(G_{S}\#E\#P,G_{S}\#\pi)}", nonnegative=True)
point_w1 = sp.Symbol(r"{\min_{y}W_1(P,\delta_y)}", nonnegative=True)
encoded_loss = sp.Symbol(r"\mathcal{F}_{E}", nonnegative=True)
aggregate_kl = sp.Symbol(r"\mathrm{KL}(E\#P\|\pi)", nonnegative=True)
encoder_information = sp.Symbol("{I(X;Z)}", nonnegative=True)
total_variation = sp.Symbol(r"\mathrm{TV}(P,G_{S}\#\pi)", nonnegative=True)
mismatch = sp.Symbol(r"{\Pr(X\ne\tilde{X})}", nonnegative=True)

shift, spread = sp.symbols("m s", positive=True)
_standard = Normal("xi", 0, 1)


def _mean_distance(shift: sp.Expr, spread: sp.Expr) -> sp.Expr:
    """E|shift + spread xi| for a standard normal xi."""
    tail = sp.erfc(shift / (sp.sqrt(2) * spread))
    bell = sp.exp(-(shift**2) / (2 * spread**2))
    return shift * (1 - tail) + spread * sp.sqrt(2 / sp.pi) * bell


gaussian = Derivation.of(
    sp.Symbol(r"{W_1(N(\mu_1,s_1^2),N(\mu_2,s_2^2))}", real=True),
    Expectation(sp.Abs(shift + spread * _standard)),
    by=r"quantile coupling, \(m=|\mu_1-\mu_2|\), \(s=|s_1-s_2|\)",
).equals(_mean_distance(shift, spread), by="Gaussian integral")
"""Distance of two normal laws on the line."""

independent = Derivation.of(
    sp.Symbol(r"{\mathbb{E}|X-X'|}", real=True),
    Expectation(sp.Abs(sp.sqrt(2) * spread * _standard)),
    by=r"two independent draws of \(N(\mu,s^2)\)",
).equals(2 * spread / sp.sqrt(sp.pi), by="Gaussian integral")
"""What the product coupling costs a perfect model."""

single_point = Derivation.of(
    sp.Symbol(r"{\mathbb{E}|X-\mu|}", real=True),
    Expectation(sp.Abs(spread * _standard)),
    by="a generator that always says the mean",
).equals(spread * sp.sqrt(2 / sp.pi), by="Gaussian integral")
"""Distance between a normal law and its mean."""

# P = N(mu, g^2), E(x) = N(a x / g, 1 - a^2), G(z) = g z + c: then E#P = N(a mu / g, 1), all laws
# differ by shifts, and for g -> 0, a -> 1 no step has room for a smaller constant.
_mu, _a, _g, _c = sp.symbols("mu a g c", positive=True)
_domain = {_a: (sp.Rational(99, 100), 1), _g: (0, sp.Rational(1, 50))}
_shifts = {
    w1: sp.Abs(_mu - _c),
    encoded_w1: sp.Abs((1 - _a) * _mu - _c),
    pushed_w1: _a * _mu,
    encoded_loss: _mean_distance((1 - _a) * _mu - _c, _g * sp.sqrt(2 * (1 - _a))),
    prior_loss: _mean_distance(_mu - _c, _g * sp.sqrt(2)),
    point_w1: single_point.expr.subs(spread, _g),
    scale_encoder: _g,
    aggregate_kl: (_a * _mu / _g) ** 2 / 2,
    rate: ((_a * _mu / _g) ** 2 - sp.log(1 - _a**2)) / 2,
    encoder_information: -sp.log(1 - _a**2) / 2,
}

product = Derivation.of(w1, w1, by="least mean distance", domain=_domain).granted(
    "<=",
    prior_loss,
    cite="Villani 2009, definition 6.1",
    by=r"\(X\) and \(\tilde{X}\) independent are one coupling",
    witness=_shifts,
)


def _by_product(result: Derivation) -> Derivation:
    return product.at_most(result.expr, by="Theorem A", using=[result])


product_theorem = _by_product(encoder_generator.theorem)
"""The Wasserstein bound by the product coupling."""

product_held_out = _by_product(encoder_generator.held_out)
"""The same with the gap kept as a letter."""

product_weighted = _by_product(encoder_generator.weighted)
"""The same with R_1(S, X_i) inside the average."""

product_weighted_held_out = _by_product(encoder_generator.weighted_held_out)
"""The same with R_1(S, X_i) inside the average and the gap kept as a letter."""

floor = Derivation.of(
    prior_loss, prior_loss, by=r"mean over \(\tilde{X}\) of \(\mathbb{E}_X|X-\tilde{X}|\)"
).granted(
    ">=",
    point_w1,
    cite="a mean is at least the minimum",
    by=r"each value \(\tilde{x}\) costs as much as the best one",
    witness=_shifts,
)
"""Why the product coupling is vacuous: a single point achieves as much."""


def _granted(letter: sp.Symbol, bound: sp.Expr, *, why: str, cite: str, by: str) -> Derivation:
    return Derivation.of(letter, letter, by=why, domain=_domain).granted(
        "<=", bound, cite=cite, by=by, witness=_shifts
    )


through_encoder = _granted(
    encoded_w1,
    encoded_loss,
    why="least mean distance",
    cite="Villani 2009, definition 6.1",
    by=r"the coupling \(X\to Z\to\tilde{X}\)",
)
"""The coupling that the reconstruction loss is the cost of."""

pushed = _granted(
    pushed_w1,
    scale_encoder * sp.sqrt(2 * aggregate_kl),
    why=r"largest difference of the means of a 1-Lipschitz \(u\)",
    cite="Villani 2009, remark 6.5; Bobkov and Goetze 1999",
    by=r"Kantorovich and Rubinstein, then change of measure for \(u\circ G\)",
)
"""What codes that do not follow the prior cost once decoded; R_1 = K for a K-Lipschitz decoder."""

compensation = Derivation.of(
    aggregate_kl, aggregate_kl, by="divergence of all codes together", domain=_domain
).granted(
    "=",
    rate - encoder_information,
    cite="Hoffman and Johnson 2016; Topsoe 1967",
    by="compensation identity",
    witness=_shifts,
)
"""Rate = information + divergence of the codes from the prior."""

gap_of_pair = sample_gap.specialise(
    {scale: scale_generator}, by="encoder and generator together, reconstruction loss"
)

held_out = (
    _granted(
        w1,
        encoded_w1 + pushed_w1,
        why="what the bound is about",
        cite="Villani 2009, chapter 6",
        by="triangle inequality",
    )
    .at_most(encoded_loss + pushed_w1, by="coupling", using=[through_encoder])
    .at_most(
        encoded_loss + scale_encoder * sp.sqrt(2 * aggregate_kl),
        by="codes against prior",
        using=[pushed],
    )
    .equals(
        encoded_loss_hat + gap + scale_encoder * sp.sqrt(2 * aggregate_kl),
        by="training loss plus gap",
        using=[Derivation.of(encoded_loss, encoded_loss_hat + gap, by="definition of the gap")],
    )
)
"""Theorem B+ with the gap kept as a letter."""

theorem = held_out.at_most(
    encoded_loss_hat
    + scale_encoder * sp.sqrt(2 * aggregate_kl)
    + scale_generator * sp.sqrt(2 * information),
    by="information bounds the gap",
    using=[gap_of_pair],
)
"""Theorem B+: reconstruction, codes against prior, generalization."""

split = theorem.equals(
    encoded_loss_hat
    + scale_encoder * sp.sqrt(2 * (rate - encoder_information))
    + scale_generator * sp.sqrt(2 * information),
    by="rate less information",
    using=[compensation],
)
"""The same in the terms of the diffusion bound."""

# A coin that is fair up to e, a channel that flips with probability p, and G the identity: for
# small e and p no smaller constant passes.
_e, _p = sp.symbols("e p", positive=True)
_coin_domain = {_e: (0, sp.Rational(1, 50)), _p: (0, sp.Rational(1, 1000))}


def _from_fair(excess: sp.Expr) -> sp.Expr:
    """KL divergence of a coin with probability 1/2 + excess from a fair one."""
    ends = (1 / sp.Integer(2) + excess, 1 / sp.Integer(2) - excess)
    return sum(end * sp.log(2 * end) for end in ends)


total_variation_kl = (
    Derivation.of(total_variation, total_variation, by="half the mass moved", domain=_coin_domain)
    .granted(
        "<=",
        sp.sqrt(discrete.kl / 2),
        cite="Pinsker 1964; Csiszar 1967",
        by="Pinsker, and concavity of the root",
        witness={total_variation: _e, discrete.kl: _from_fair(_e)},
    )
    .at_most(sp.sqrt(discrete.theorem.expr / 2), by="Theorem C", using=[discrete.theorem])
)
"""Total variation for finitely many values, through the KL divergence."""

total_variation_codes = Derivation.of(
    total_variation, total_variation, by="half the mass moved", domain=_coin_domain
).granted(
    "<=",
    mismatch + sp.sqrt(aggregate_kl / 2),
    cite="Pinsker 1964; Csiszar 1967",
    by=r"triangle at \(G_{S}\#E\#P\), coupling, data processing, Pinsker",
    witness={
        total_variation: _e,
        mismatch: _p,
        aggregate_kl: _from_fair(_e * (1 - 2 * _p)),
    },
)
"""Total variation through the encoder, without Theorem C."""

# On the line: P = N(mu, s^2), E(x) = N(a x, b^2), G(z) = g z + h mean(S).
mu = sp.Symbol("mu", real=True)
s, a, b, g, h, n = sp.symbols("s a b g h n", positive=True)

letters = (mu, s, a, b, g, h, n)
"""Argument order of the compiled results below."""

_ends = {n: (1, None)}
_learned2 = h**2 * s**2 / n
_code2 = a**2 * s**2 + b**2


def _solved(name: sp.Expr, expr: sp.Expr, by: str) -> Derivation:
    kept = {symbol: _ends[symbol] for symbol in _ends if symbol in expr.free_symbols}
    return Derivation.of(name, expr, by=by, domain=kept)


solved_w1 = _solved(
    w1,
    _mean_distance((1 - h) * mu, sp.sqrt(_learned2 + (s - g) ** 2)),
    r"\(\mathbb{E}|(\mu-h\hat{\mu})+(s-g)\xi|\), normal once more",
)
"""E W_1(P, G#pi) with the learned mean."""

solved_prior_loss = _solved(
    prior_loss,
    _mean_distance((1 - h) * mu, sp.sqrt(s**2 + g**2 + _learned2)),
    r"\(\mathbb{E}|X-gz-h\hat{\mu}|\)",
)
"""Cost of the product coupling."""

_kept = 1 - g * a
solved_encoded_loss_hat = _solved(
    encoded_loss_hat,
    _mean_distance(
        (_kept - h) * mu,
        sp.sqrt(_kept**2 * s**2 + g**2 * b**2 + _learned2 - 2 * _kept * h * s**2 / n),
    ),
    r"\(\mathbb{E}|(1-ga)X_i-gb\xi-h\hat{\mu}|\); covariance \(s^2/n\)",
)
"""Reconstruction loss on training data."""

solved_aggregate_kl = _solved(
    aggregate_kl, (_code2 + a**2 * mu**2 - 1 - sp.log(_code2)) / 2, r"\(E\#P=N(a\mu,a^2s^2+b^2)\)"
)
"""Divergence of the codes from the prior."""

solved_bound = _solved(
    w1,
    theorem.expr.subs(
        {
            encoded_loss_hat: solved_encoded_loss_hat.expr,
            aggregate_kl: solved_aggregate_kl.expr,
            scale_encoder: g,
            scale_generator: sp.sqrt(_kept**2 * s**2 + _learned2),
            information: sp.log(n / (n - 1)) / 2,
        }
    ),
    r"Theorem B+; \(R_2\): the loss is Lipschitz in \((X,\hat{\mu})\)",
)
"""Theorem B+ with every letter known."""

is_bound = solved_w1.at_most(solved_bound.expr, by="Theorem B+, tried without its proof")
"""The bound against the truth at random points of the whole family."""
