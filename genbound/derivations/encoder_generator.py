r"""The encoder-generator bound: two changes of measure, one for the latent and one for the sample.

An encoder E turns data into latents, a generator G turns latents into data. Training sees how well
X_i comes back from E(X_i); what counts is how far a fresh X is from what G makes of the prior pi.
The discrepancy c(x, x~) is any number; f_S(x, z) is its mean over x~ ~ G(z). All letters are means
over the sample S; \hat{} marks means over the training data.

Chen, Zhu and Shkurti 2025 (arXiv 2506.00849), in the spirit of Theorem 4.1.
"""

import sympy as sp
from sympy.stats import Expectation, Normal, Variance

from genbound.derivation import Derivation
from genbound.derivations.change_of_measure import divergence, gap, scale, transport
from genbound.derivations.trade_off import M, a, d, n

prior_loss = sp.Symbol(r"\mathcal{F}_{\pi}", nonnegative=True)
prior_loss_hat = sp.Symbol(r"\hat{\mathcal{F}}_{\pi}", nonnegative=True)
encoded_loss_hat = sp.Symbol(r"\hat{\mathcal{F}}_{E}", nonnegative=True)
rate = sp.Symbol(r"\mathcal{R}", nonnegative=True)
root_rate = sp.Symbol(r"\mathcal{K}", nonnegative=True)
weighted_root = sp.Symbol(r"\mathcal{K}_{R}", nonnegative=True)
information = sp.Symbol(r"{\bar{I}_{\tilde{X}}}", nonnegative=True)
scale_encoder = sp.Symbol("R_{1}", nonnegative=True)
scale_generator = sp.Symbol("R_{2}", nonnegative=True)

# One datum. Its squared loss in the solvable case "mean learner": d = 1, datum x, learned mean u,
# a = alpha_T^2 and v = 1 - a. As a tends to 0 both sides of the step agree to first order, so no
# smaller constant passes.
_prior_i = sp.Symbol(r"{\mathbb{E}_{\pi}f_S(X_i,z)}", real=True)
_encoded_i = sp.Symbol(r"{\mathbb{E}_{E(X_i)}f_S(X_i,z)}", real=True)
_step_i = sp.Symbol(r"{\delta_i}", real=True)
_kl_i = sp.Symbol(r"{\mathrm{KL}(E(X_i)\|\pi)}", positive=True)
_scale_i = sp.Symbol(r"{R_1(S,X_i)}", positive=True)
_a, _x, _u = sp.symbols("a x u", positive=True)
_offset2 = (_x - (1 - _a) * _u) ** 2
_mean_learner = {
    prior_loss_hat: _offset2 + _a,
    encoded_loss_hat: (1 - _a) ** 2 * (_x - _u) ** 2 + _a * (1 - _a),
    weighted_root: sp.sqrt(2 * _a**2 + 4 * _a * _offset2)
    * sp.sqrt((_a * _x**2 - _a - sp.log(1 - _a)) / 2),
}
_small = {_a: (0, sp.Rational(1, 100)), _x: (0, 3), _u: (0, 3)}

encoder_change = transport.specialise(
    {gap: _step_i, divergence: _kl_i, scale: _scale_i},
    by=r"\(Q=\pi\), \(P=E(X_i)\), \(f=f_S(X_i,\cdot)\)",
)
"""From the prior to the encoder's law of one datum."""

encoder_step = Derivation.of(
    _prior_i, _encoded_i + _step_i, by=r"\(\delta_i\) is the difference"
).at_most(
    _encoded_i + sp.sqrt(2) * _scale_i * sp.sqrt(_kl_i),
    by="change of measure",
    using=[encoder_change],
)
"""One datum: latents of the prior cost at most the root of the rate more than its own."""

encoder_mean = Derivation.of(
    prior_loss_hat, prior_loss_hat, by=r"mean over \(i\)", domain=_small
).granted(
    "<=",
    encoded_loss_hat + sp.sqrt(2) * weighted_root,
    cite="monotonicity of the expectation",
    by=r"mean of the line for one datum; \(\mathcal{K}_R\) averages \(R_1\sqrt{\mathrm{KL}}\)",
    witness=_mean_learner,
)

_extra = sp.Symbol("r", positive=True)
constant_scale = Derivation.of(
    weighted_root, weighted_root, by=r"mean of \(R_1(S,X_i)\sqrt{\mathrm{KL}(E(X_i)\|\pi)}\)"
).granted(
    "<=",
    scale_encoder * root_rate,
    cite="monotonicity of the expectation",
    by=r"\(R_1(S,X_i)\le R_1\)",
    witness={weighted_root: _x * _u, scale_encoder: _x + _extra, root_rate: _u},
)
"""With one constant for all data the mean of weighted roots is a constant times a mean root."""

# One fair coin as datum, a generator that repeats it with correlation c, and the discrepancy
# "unequal": both sides agree up to order c^3.
_c = sp.Symbol("c", positive=True)
_coins = {
    gap: _c / 2,
    scale_generator: sp.Rational(1, 2),
    information: ((1 + _c) * sp.log(1 + _c) + (1 - _c) * sp.log(1 - _c)) / 2,
}

generator_change = transport.specialise(
    {gap: _step_i, divergence: sp.Symbol(r"{I(\tilde{X};X_i|Z)}", positive=True)}
    | {scale: scale_generator},
    by=r"\(Q\): \(X_i\) independent of \((\tilde{X},Z)\); \(P\): together; \(Z\perp X_i\)",
)
"""From a fresh datum to X_i: the divergence is I(X~, Z; X_i) = I(X~; X_i | Z)."""

_y = sp.Symbol("y", positive=True)
root_concave = (
    Derivation.of(sp.Symbol(r"{\tfrac12(x+y)}"), (_x + _y) / 2, by="two roots")
    .equals(
        sp.sqrt((_x**2 + _y**2) / 2)
        - (_x - _y) ** 2 / 4 / (sp.sqrt((_x**2 + _y**2) / 2) + (_x + _y) / 2),
        by="difference of squares",
    )
    .at_most(sp.sqrt((_x**2 + _y**2) / 2), by="a square is not negative")
)
"""A mean of roots is at most the root of the mean."""

generator_step = Derivation.of(
    gap, gap, by=r"mean over \(i\)", domain={_c: (0, sp.Rational(1, 5))}
).granted(
    "<=",
    scale_generator * sp.sqrt(2 * information),
    cite="Bu, Zou and Veeravalli 2020",
    by="change of measure for each datum, concavity of the root",
    witness=_coins,
)
"""Fresh data against training data, both with latents of the prior."""

weighted_held_out = Derivation.of(
    prior_loss, prior_loss_hat + gap, by=r"\(\Delta\): fresh less training data"
).at_most(
    encoded_loss_hat + sp.sqrt(2) * weighted_root + gap, by="encoder step", using=[encoder_mean]
)
"""Theorem A with R_1(S, X_i) inside the average, and a gap to be measured on held-out data."""

weighted = weighted_held_out.at_most(
    encoded_loss_hat + sp.sqrt(2) * weighted_root + scale_generator * sp.sqrt(2 * information),
    by="generator step",
    using=[generator_step],
)
"""Theorem A with R_1(S, X_i) inside the average."""

held_out = weighted_held_out.at_most(
    encoded_loss_hat + sp.sqrt(2) * scale_encoder * root_rate + gap,
    by=r"one constant \(R_1\)",
    using=[constant_scale],
)
"""Theorem A with the gap kept as a letter."""

theorem = held_out.at_most(
    encoded_loss_hat
    + sp.sqrt(2) * scale_encoder * root_rate
    + scale_generator * sp.sqrt(2 * information),
    by="generator step",
    using=[generator_step],
)
"""Theorem A: reconstruction, encoder term, generator term."""

_chain = sp.Symbol(r"{I(\tilde{X},Z;X_i)}", nonnegative=True)
_rest = sp.Symbol(r"{I(Z;X_i|\tilde{X})}", nonnegative=True)
_given = sp.Symbol(r"{I(\tilde{X};X_i|Z)}", nonnegative=True)
_independent = sp.Symbol(r"{I(Z;X_i)}", nonnegative=True)
_other_order = Derivation.of(_chain, _independent + _given, by="chain rule").specialise(
    {_independent: 0}, by=r"\(Z\) is drawn apart from the data"
)
sample_alone = (
    Derivation.of(
        sp.Symbol(r"{I(\tilde{X};X_i)}", nonnegative=True), _chain - _rest, by="chain rule"
    )
    .equals(_given - _rest, by="chain rule in the other order", using=[_other_order])
    .at_most(_given, by="an information is not negative")
)
"""Remark (a): a discrepancy that ignores Z needs the smaller I(X~; X_i) only."""

subadditive = (
    Derivation.of(sp.Symbol(r"{\sqrt{x^2+y^2}}"), sp.sqrt(_x**2 + _y**2), by="definition")
    .equals(_x + _y - 2 * _x * _y / (_x + _y + sp.sqrt(_x**2 + _y**2)), by="difference of squares")
    .at_most(_x + _y, by="a product of positives")
)
"""The root of a sum is at most the sum of the roots."""

# The solvable case "mean learner": N(mu, I_d), sample mean, |mu|^2 = M; one coordinate at a time.
letters = (a, n, d, M)
"""Argument order of the compiled results below, that of :mod:`trade_off`."""

_v = 1 - a
_mu = sp.sqrt(M / d)
_learned = Normal(r"\hat{\mu}", _mu, 1 / sp.sqrt(n))
_datum, _latent = Normal("X", _mu, 1), Normal("z", 0, 1)
_residual = Normal("rho", 0, 1)
_domain = {a: (0, 1), n: (1, None)}

solved_prior_loss = Derivation.of(
    prior_loss,
    d * (Expectation((_datum - _v * _learned) ** 2) + a + _v),
    by=r"\(\tilde{x}=\sqrt{a}z+v\hat{\mu}+\sqrt{v}\xi\), with \(z\) and \(\xi\) standard normal",
    domain=_domain,
).equals(a**2 * M + d * (2 + _v**2 / n), by="moments of the sample mean")
"""The test functional of the squared distance."""

solved_encoded_loss = Derivation.of(
    encoded_loss_hat,
    d * (Expectation((_v * sp.sqrt(1 - 1 / n) * _residual) ** 2) + a * _v + _v),
    by=r"\(z\sim E(X_i)\); \(X_i-\hat{\mu}\) has variance \(1-1/n\)",
    domain=_domain,
).equals(d * _v * (_v * (1 - 1 / n) + a + 1), by="second moment of a normal")
"""The reconstruction loss on training data."""

_joint_scale2 = 2 * d * (2 + _v**2 / n) ** 2 + 4 * (2 + _v**2 / n) * a**2 * M
joint = (
    Derivation.of(prior_loss, prior_loss, by="what the bound is about", domain=_domain)
    .granted(
        "<=",
        encoded_loss_hat + scale * sp.sqrt(2) * sp.sqrt(rate + information),
        cite="the same two lemmas",
        by="one change of measure for latent and sample together",
        witness={
            prior_loss: solved_prior_loss.expr,
            encoded_loss_hat: solved_encoded_loss.expr,
            scale: sp.sqrt(_joint_scale2),
            rate: (a * M - d * sp.log(_v)) / 2,
            information: d * sp.log(n / (n - 1)) / 2,
        },
    )
    .at_most(
        encoded_loss_hat + scale * sp.sqrt(2) * (sp.sqrt(rate) + sp.sqrt(information)),
        by="the root of a sum",
    )
)
"""Remark (c): the joint form, and the split form with R_1 = R_2 that follows from it."""

radius, norm, cosine = sp.Symbol("x", positive=True), sp.Symbol("u", positive=True), sp.Symbol("w")
offset2 = radius**2 - 2 * _v * cosine * radius * norm + _v**2 * norm**2
_miss2 = radius**2 - 2 * cosine * radius * norm + norm**2

miss = sp.Symbol("b", positive=True)
solved_encoder_scale2 = Derivation.of(
    sp.Symbol(r"{R_1(S,X_i)^2}"),
    d * Variance((miss / sp.sqrt(d) - sp.sqrt(a) * _latent) ** 2),
    by=r"variance over \(z\sim\pi\), \(b=\|X_i-v\hat{\mu}\|\)",
).equals(2 * d * a**2 + 4 * a * miss**2, by="fourth moment of a normal")
"""Left-sub-Gaussian constant of the squared distance for one datum, squared."""

solved_encoder_step = Derivation.of(
    _step_i,
    offset2 + a * d - _v**2 * _miss2 - a * _v * d,
    by=r"\(x=\|X_i\|\), \(u=\|\hat{\mu}\|\), \(w\) the cosine between them",
    domain={a: (0, 1), cosine: (-1, 1)},
).at_most(
    sp.sqrt(solved_encoder_scale2.expr.subs(miss, sp.sqrt(offset2)))
    * sp.sqrt(a * radius**2 - a * d - d * sp.log(_v)),
    by=r"\(R_1\sqrt{2\,\mathrm{KL}}\) for every sample and every datum of it",
)
"""The encoder step with every letter known: it holds path by path, not only in the mean."""
