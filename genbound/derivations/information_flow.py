r"""How information about the data drains away along a noising process.

Time is the clock b of a variance-preserving process, b = \int \beta dt, and enters through
a = \alpha^2 = e^{-b} alone, so that \partial_b = -a \partial_a. The kernel is
N(\alpha x, \sigma^2 I) with \sigma^2 = 1 - a. Where all coordinates are alike, one is shown.
"""

import sympy as sp
from sympy.stats import Expectation, Normal

from genbound.derivation import Derivation
from genbound.derivations import gaussian

__all__ = [
    "collapse_clock",
    "data_variance",
    "de_bruijn",
    "entropy_rate",
    "fokker_planck",
    "gaussian_mmse",
    "information_gaussian",
    "information_rate",
    "kernel_entropy_rate",
    "signal2",
    "stationarity",
    "stationarity_gaussian",
    "tweedie",
]

signal2 = sp.Symbol("a", positive=True)
data_variance = sp.Symbol("s^{2}", positive=True)
d = sp.Symbol("d", positive=True, integer=True)
_n = sp.Symbol("n", positive=True)

_noise2 = 1 - signal2
_domain = {signal2: (0, 1)}


def _along_clock(expr: sp.Expr) -> sp.Expr:
    """Derivative with respect to the clock, a = e^{-b}."""
    return -signal2 * sp.diff(expr, signal2)


_mean = sp.Symbol("mu", real=True)

# A normal law N(m, v) that is noised: dm/db = -m / 2 and dv/db = 1 - v, whatever it starts from.
_x, _m = sp.symbols("x m", real=True)
_v = sp.Symbol("v", positive=True)
_log_p = -((_x - _m) ** 2) / (2 * _v) - sp.log(2 * sp.pi * _v) / 2
_score = (_m - _x) / _v
_flow = (1 + _x * _score + _score**2 + sp.diff(_score, _x)) / 2

fokker_planck = Derivation.of(
    sp.Symbol(r"{\partial_b \log p}", real=True),
    sp.diff(_log_p, _m) * (-_m / 2) + sp.diff(_log_p, _v) * (1 - _v),
    by=r"\(N(m,v)\) with \(\dot{m}=-m/2\), \(\dot{v}=1-v\)",
).equals(_flow, by=r"\((1 + xs + s^2 + s')/2\), \(s=\partial_x\log p\)")
"""The equation p' = ((x p)' + p'') / 2, divided by p, solved by every noised normal law.

It is linear in p, and the noised law of any data is a mixture of the kernels N(alpha x, sigma^2):
so every noised law solves it.
"""

_law = Normal("x", _m, sp.sqrt(_v))


def _average(expr: sp.Expr) -> sp.Expr:
    return Expectation(expr.subs(_x, _law))


entropy_rate = (
    Derivation.of(
        sp.Symbol(r"{\partial_b h}", real=True),
        -_average(_flow * _log_p),
        by=r"\(-\int\partial_b p\,\log p\), Fokker-Planck",
    )
    .equals(_average((_x + _score) * _score) / 2, by="integrate by parts")
    .equals((_average(_score**2) - 1) / 2, by=r"again: \(\mathbb{E}[xs]=-1\)")
    .equals(
        sp.diff(gaussian.entropy.expr, gaussian.s2).subs(gaussian.s2, _v) * (1 - _v),
        by="differentiating the entropy",
    )
)
"""De Bruijn's identity with every integral done, for a noised normal law in one coordinate."""

# Letters of the general statement, with closed forms for data N(mu, s^2 I_d).
entropy_slope = sp.Symbol(r"{\partial_b h(P_b)}", real=True)
kernel_slope = sp.Symbol(r"{\partial_b h(X_b|X)}", real=True)
information_slope = sp.Symbol(r"{\partial_b I_b}", real=True)
fisher = sp.Symbol(r"{\mathbb{E}\|\nabla\log p_b\|^{2}}", nonnegative=True)
mismatch = sp.Symbol(
    r"{\mathbb{E}\|\nabla\log E_b(X)(X_b)-\nabla\log p_b(X_b)\|^{2}}", nonnegative=True
)
mmse = sp.Symbol(r"\operatorname{mmse}", nonnegative=True)
_variance = 1 + (data_variance - 1) * signal2
_solved = {
    entropy_slope: d * (1 - _variance) / (2 * _variance),
    fisher: d / _variance,
    mismatch: d * signal2 * data_variance / (_noise2 * _variance),
    mmse: d * data_variance * _noise2 / _variance,
}

de_bruijn = Derivation.of(
    entropy_slope, entropy_slope, by="entropy of the noised law", domain=_domain
).granted(
    "=",
    (fisher - d) / 2,
    cite="Stam 1959; Cover and Thomas 2006, section 17.7",
    by="Fokker-Planck, then integrate by parts",
    witness=_solved,
)
"""The entropy moves by half the Fisher information less its value for the prior."""

kernel_entropy_rate = Derivation.of(
    kernel_slope,
    _along_clock(d * gaussian.entropy.expr.subs(gaussian.s2, _noise2)),
    by=r"entropy of \(N(\alpha X,\sigma^2I)\)",
    domain=_domain,
).equals(d * (1 / _noise2 - 1) / 2, by="differentiate")
"""The same for the kernel, by differentiation."""

_posterior_mean = sp.sqrt(signal2) * data_variance * _x / _variance
tweedie = Derivation.of(
    sp.Symbol(r"{\mathbb{E}[\nabla\log E_b(X)(x)\,|\,X_b=x]}", real=True),
    -(_x - sp.sqrt(signal2) * _posterior_mean) / _noise2,
    by=r"posterior mean \(\alpha s^2x/v\), data \(N(0,s^2)\)",
    domain=_domain,
).equals(-_x / _variance, by=r"\(\nabla\log p_b(x)\)")
"""Orthogonality: the score is the posterior mean of the kernel's score."""

information_rate = (
    Derivation.of(
        information_slope,
        entropy_slope - kernel_slope,
        by=r"\(I_b=h(X_b)-h(X_b|X)\)",
        domain=_domain,
    )
    .equals((fisher - d) / 2 - kernel_slope, by="de Bruijn", using=[de_bruijn])
    .equals((fisher - d / _noise2) / 2, by="the kernel's entropy", using=[kernel_entropy_rate])
    .granted(
        "=",
        -mismatch / 2,
        cite="Vincent 2011",
        by=r"orthogonality: \(\mathbb{E}\|\nabla\log E_b\|^2=d/\sigma^2\)",
        witness=_solved,
    )
    .granted(
        "=",
        -signal2 / _noise2**2 * mmse / 2,
        cite="Guo, Shamai and Verdu 2005",
        by=r"the two scores differ by \(\alpha(X-\mathbb{E}[X|X_b])/\sigma^2\)",
        witness=_solved,
    )
    .at_most(0, by="a squared error is not negative")
)
"""I-MMSE: the information falls at a rate set by the error of the best denoiser."""

gaussian_mmse = Derivation.of(
    mmse,
    data_variance - signal2 * data_variance**2 / _variance,
    by=r"variance of \(X\) less what \(X_b\) explains",
    domain=_domain,
).equals(_solved[mmse] / d, by=r"\(s^2\sigma^2/v\)")
"""Error of the posterior mean for data N(mu, s^2)."""

information_gaussian = (
    Derivation.of(
        information_slope,
        _along_clock(gaussian.channel_of(signal2 * data_variance, _noise2)),
        by=r"data \(N(\mu,s^2)\), differentiate \(I_b\)",
        domain=_domain,
    )
    .equals(-signal2 * data_variance / (2 * _noise2 * _variance), by="collecting terms")
    .equals(-signal2 / _noise2**2 * mmse / 2, by="mmse of a normal law", using=[gaussian_mmse])
)
"""The same from the other end: the information of a Gaussian channel, differentiated."""

# Divergence from the prior: the relative version of de Bruijn's identity.
prior_slope = sp.Symbol(r"{\partial_b\,\mathrm{KL}(P_b\|\pi)}", real=True)
prior_fisher = sp.Symbol(r"{\mathbb{E}\|\nabla\log p_b+x\|^{2}}", nonnegative=True)
_noised_mean = _mean * sp.sqrt(signal2)
_noised = Normal("x", _noised_mean, sp.sqrt(_variance))
_prior_kl = gaussian.kl_of(_noised_mean, _variance)

stationarity = (
    Derivation.of(
        prior_slope, prior_slope, by=r"\(\pi\) is stationary, its score is \(-x\)", domain=_domain
    )
    .granted(
        "=",
        -prior_fisher / 2,
        cite="Bakry, Gentil and Ledoux 2014, section 5.2",
        by="Fokker-Planck, then integrate by parts",
        witness={
            prior_slope: _along_clock(_prior_kl),
            prior_fisher: (_variance - 1) ** 2 / _variance + _noised_mean**2,
        },
    )
    .at_most(0, by="a square is not negative")
)
"""The prior is approached without ever turning back."""

stationarity_gaussian = (
    Derivation.of(
        prior_slope,
        _along_clock(_prior_kl),
        by=r"data \(N(\mu,s^2)\), differentiate",
        domain=_domain,
    )
    .equals(
        -Expectation((_noised - (_noised - _noised_mean) / _variance) ** 2) / 2,
        by=r"\(-\frac12\mathbb{E}(x+s)^2\)",
    )
    .equals(-((_variance - 1) ** 2 / _variance + _noised_mean**2) / 2, by=r"moments of \(x\)")
)
"""The same with every integral done, for a normal law in one coordinate."""

# Where a noised datum no longer names its origin: data N(mu, I_d).
_share = 1 - _n ** (-2 / d)

collapse_clock = Derivation.of(
    sp.Symbol("I(X;X_{b})", nonnegative=True),
    d * gaussian.channel_of(_share, 1 - _share),
    by=r"data \(N(\mu,I_d)\), where \(e^{-b}=1-n^{-2/d}\)",
    domain={_n: (1, None)},
).equals(sp.log(_n), by="collecting logarithms")
"""The clock -log(1 - n^(-2/d)) at which the law's information falls to log n."""
