r"""What is known of I(theta; S), the information of the weights in the training sample.

A loss of the generator as a whole (a likelihood, a score-matching loss) asks for it. For a
deterministic training of continuous weights it is infinite; each bound here is about weights with
some noise or rounding, and each is tried on the mean learner: data N(mu, I_d), theta = the sample
mean, M = |mu|^2. The information per datum, mean_i I(theta; X_i), is at most I(theta; S) / n.
"""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.gaussian import channel_of, kl_of
from genbound.derivations.trade_off import M, d, n

information = sp.Symbol(r"I(\theta;S)", nonnegative=True)
datum_information = sp.Symbol(r"{\frac{1}{n}\sum_i I(\theta;X_i)}", nonnegative=True)
moved2 = sp.Symbol(r"\mathbb{E}\|\theta-\theta_{0}\|^{2}", positive=True)
spread = sp.Symbol(r"\mathbb{E}\|\theta-\mathbb{E}\theta\|^{2}", positive=True)
log_det = sp.Symbol(r"{\frac12\log\det(I+C/\tau^2)}", nonnegative=True)
strangeness = sp.Symbol(r"\mathrm{KL}(\mathrm{law}(\theta)\|Q)", nonnegative=True)
gradient2 = sp.Symbol(r"\|g\|^{2}", positive=True)
gradients2 = sp.Symbol(r"\sum_k\mathbb{E}\|g_{k}\|^{2}", nonnegative=True)
tau2 = sp.Symbol(r"\tau^{2}", positive=True)
noise_variance = sp.Symbol(r"\sigma^{2}", positive=True)
rate = sp.Symbol("eta", positive=True)
keep = sp.Symbol("rho", positive=True)
clip = sp.Symbol("L", positive=True)
steps = sp.Symbol("K", positive=True, integer=True)
weights = sp.Symbol("p", positive=True)
bits = sp.Symbol("b", positive=True)

# Mean learner with Gaussian noise of variance tau^2 on its weights.
mean_learner = Derivation.of(
    information,
    d * channel_of(1 / n, tau2),
    by=r"Gaussian channel: signal \(\hat{\mu}\), noise \(\tau\xi\)",
).equals(d * sp.log(1 + 1 / (n * tau2)) / 2, by="collecting terms")
"""Exact information of the noisy sample mean in the sample."""

mean_learner_datum = Derivation.of(
    datum_information,
    d * channel_of(1 / n**2, (n - 1) / n**2 + tau2),
    by=r"Gaussian channel: signal \(X_i/n\), noise: the other data and \(\tau\xi\)",
    domain={n: (1, None)},
).equals(d * sp.log((1 / n + tau2) / ((n - 1) / n**2 + tau2)) / 2, by="collecting logarithms")
"""Exact information in one datum; finite even without noise."""

per_datum = Derivation.of(
    datum_information, datum_information, by="mean over the data", domain={n: (1, None)}
).granted(
    "<=",
    information / n,
    cite="Bu, Zou and Veeravalli 2020",
    by="chain rule for independent data",
    witness={datum_information: mean_learner_datum.expr, information: mean_learner.expr},
)
"""What enters a gap: the information per datum, at most that of the whole sample over n."""

weight_divergence = Derivation.of(
    sp.Symbol(r"\mathrm{KL}_{\theta}"),
    d * kl_of(sp.sqrt(moved2 / d), tau2, variance_2=tau2),
    by=r"\(N(\theta,\tau^2I)\) from \(N(\theta_0,\tau^2I)\), per coordinate",
).equals(moved2 / (2 * tau2), by="equal variances")
"""Noisy weights from the same noise around a fixed point."""

gaussian_weights = (
    Derivation.of(information, information, by=r"of \(\theta+\tau\xi\)")
    .granted(
        "=",
        moved2 / (2 * tau2) - strangeness,
        cite="Topsoe 1967, compensation identity",
        by=r"reference \(N(\theta_0,\tau^2I)\)",
        witness={
            information: mean_learner.expr,
            moved2: M + d / n,
            strangeness: ((M + d / n) / tau2 - d * sp.log(1 + 1 / (n * tau2))) / 2,
        },
    )
    .at_most(moved2 / (2 * tau2), by="a divergence is not negative")
)
"""Gaussian weights: theta_0 is any point that has not seen the sample, the start for example."""

_first, _second = sp.symbols("lambda_1 lambda_2", positive=True)

gaussian_channel = (
    Derivation.of(
        information, information, by=r"of \(\theta+\tau\xi\), \(C\) covariance of \(\theta\)"
    )
    .granted(
        "<=",
        log_det,
        cite="Cover and Thomas 2006, the normal law has most entropy for its covariance",
        by="Gaussian channel",
        witness={information: mean_learner.expr, log_det: d * sp.log(1 + 1 / n / tau2) / 2},
    )
    .granted(
        "<=",
        weights * sp.log(1 + spread / (weights * tau2)) / 2,
        cite="Hadamard's inequality, then Jensen's",
        by=r"equal eigenvalues are worst",
        witness={
            log_det: (sp.log(1 + _first / tau2) + sp.log(1 + _second / tau2)) / 2,
            weights: 2,
            spread: _first + _second,
        },
    )
    .at_most(spread / (2 * tau2), by=r"\(\log(1+x)\le x\)")
)
"""Gaussian channel: exact for the mean learner; its last line is the best theta_0 above."""

_ratio = sp.Symbol("x", positive=True)

ordering = (
    Derivation.of(
        information, d * sp.log(1 + _ratio) / 2, by=r"mean learner, \(x=1/(n\tau^2)\): the channel"
    )
    .at_most(d * _ratio / 2, by=r"trace of the channel, or \(\theta_0=\mu\)")
    .at_most(d * _ratio / 2 + M / (2 * tau2), by=r"\(\theta_0=0\): the mean is paid for")
)
"""The mean learner's bounds in order: the channel is exact, a reference far off costs most."""

step_divergence = Derivation.of(
    sp.Symbol(r"\mathrm{KL}_{\mathrm{step}}"),
    d * kl_of(rate * sp.sqrt(gradient2 / d), noise_variance, variance_2=noise_variance),
    by=r"\(N(\theta-\eta g,\sigma^2I)\) from \(N(\theta,\sigma^2I)\)",
).equals(rate**2 * gradient2 / (2 * noise_variance), by="equal variances")
"""One step of noisy gradient descent from a step without gradient."""

# Full-batch noisy descent of |theta - X|^2 / 2 from theta = 0: linear, so everything is Gaussian.
_k = sp.Symbol("k", integer=True, nonnegative=True)
_kept = sp.Symbol("r", positive=True)

noisy_mean_learner = (
    Derivation.of(
        information,
        d * channel_of((1 - _kept) ** 2 / n, noise_variance * (1 - _kept**2) / (1 - keep**2)),
        by=r"\(\theta_K=(1-r)\hat{\mu}+\) noise, \(r=\rho^K\), \(\rho=1-\eta\)",
        domain={keep: (0, 1), _kept: (0, 1)},
    )
    .equals(
        d * sp.log(1 + (1 - _kept) * (1 - keep**2) / (n * noise_variance * (1 + _kept))) / 2,
        by="a difference of squares",
    )
    .specialise({_kept: keep**steps}, by=r"\(K\) steps")
)
"""Exact information of the last weights of noisy descent: it saturates in the number of steps."""

noisy_gradients = Derivation.of(
    gradients2,
    sp.Sum(
        keep ** (2 * _k) * (M + d / n)
        + d * noise_variance * (1 - keep ** (2 * _k)) / (1 - keep**2),
        (_k, 0, steps - 1),
    ),
    by=r"\(\mathbb{E}\|\theta_k-\hat{\mu}\|^2\) along the way",
    domain={keep: (0, 1)},
).equals(
    (1 - keep ** (2 * steps)) / (1 - keep**2) * (M + d / n - d * noise_variance / (1 - keep**2))
    + steps * d * noise_variance / (1 - keep**2),
    by="geometric sums",
)
"""Squared gradients of the same descent, summed: they grow with the steps for ever."""

_share = sp.Symbol(r"\kappa", positive=True)

clipped = Derivation.of(
    gradients2,
    _share * steps * clip**2,
    by=r"gradients clipped to norm \(L\)",
    domain={_share: (0, 1)},
).at_most(steps * clip**2, by="each at most the clip")

# Started at the mean of the data: no gradient is spent on finding it, so the bound is sharpest.
_descent = {
    information: noisy_mean_learner.expr,
    gradients2: noisy_gradients.expr.subs(M, 0),
    rate: 1 - keep,
}

noisy_sgd = (
    Derivation.of(information, information, by="of the last weights", domain={keep: (0, 1)})
    .granted(
        "<=",
        rate**2 * gradients2 / (2 * noise_variance),
        cite="Pensia, Jog and Loh 2018",
        by=r"data processing, then the chain rule over the steps",
        witness=_descent,
    )
    .at_most(
        rate**2 * steps * clip**2 / (2 * noise_variance), by="clipped gradients", using=[clipped]
    )
)
"""Noisy SGD: theta <- theta - eta g + sigma xi; batches and draws are independent of the data."""

noisy_sgd_capacity = (
    Derivation.of(information, information, by="of the last weights", domain={keep: (0, 1)})
    .granted(
        "<=",
        steps * weights * sp.log(1 + rate**2 * clip**2 / (weights * noise_variance)) / 2,
        cite="Pensia, Jog and Loh 2018",
        by=r"each of \(K\) steps is a Gaussian channel",
        witness={
            information: noisy_mean_learner.expr.subs(steps, 1),
            steps: 1,
            weights: d,
            clip: sp.sqrt(d / n),
            rate: 1 - keep,
        },
    )
    .at_most(rate**2 * steps * clip**2 / (2 * noise_variance), by=r"\(\log(1+x)\le x\)")
)
"""The same with the capacity of each step: smaller where the noise is."""

_q = sp.Symbol("q", positive=True)

quantised = Derivation.of(
    information, information, by="of rounded weights", domain={_q: (0, 1)}
).granted(
    "<=",
    weights * bits * sp.log(2),
    cite="Cover and Thomas 2006",
    by="entropy is at most the logarithm of the number of values",
    # Independent bits that the sample determines: their entropy.
    witness={information: weights * bits * (-_q * sp.log(_q) - (1 - _q) * sp.log(1 - _q))},
)
"""p weights of b bits each."""
