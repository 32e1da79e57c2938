"""What mixing laws does to divergence and entropy: compensation and concavity."""

from collections.abc import Callable
from itertools import product

import sympy as sp

from genbound.derivation import Derivation

__all__ = [
    "aggregate_kl",
    "compensation",
    "compensation_finite",
    "concavity",
    "concavity_binary",
    "identification",
    "identified",
    "information",
    "law_entropy",
    "rate",
    "sample_entropy",
    "two_points",
]

rate = sp.Symbol(r"{\textstyle\frac{1}{n}\sum_i\mathrm{KL}(\mu_i\|\nu)}", nonnegative=True)
information = sp.Symbol(
    r"{\textstyle\frac{1}{n}\sum_i\mathrm{KL}(\mu_i\|\bar{\mu})}", nonnegative=True
)
aggregate_kl = sp.Symbol(r"\mathrm{KL}(\bar{\mu}\|\nu)", nonnegative=True)

# Two laws on two letters with weights w: the masses are free, and need not even sum to 1.
_places = list(product((1, 2), (1, 2)))
_mass = {(i, z): sp.Symbol(rf"\mu_{{{i}{z}}}", positive=True) for i, z in _places}
_weight = {i: sp.Symbol(f"w_{i}", positive=True) for i in (1, 2)}
_nu = {z: sp.Symbol(f"nu_{z}", positive=True) for z in (1, 2)}
_mixed = {z: sum(_weight[i] * _mass[i, z] for i in (1, 2)) for z in (1, 2)}
_finite = {
    rate: sum(_weight[i] * _mass[i, z] * sp.log(_mass[i, z] / _nu[z]) for i, z in _places),
    information: sum(
        _weight[i] * _mass[i, z] * sp.log(_mass[i, z] / _mixed[z]) for i, z in _places
    ),
    aggregate_kl: sum(_mixed[z] * sp.log(_mixed[z] / _nu[z]) for z in (1, 2)),
}

compensation_finite = Derivation.of(
    rate, _finite[rate], by="two laws on two letters, any weights"
).equals(
    _finite[information] + _finite[aggregate_kl],
    by=r"\(\log\frac{\mu_i}{\nu}=\log\frac{\mu_i}{\bar{\mu}}+\log\frac{\bar{\mu}}{\nu}\)",
)
"""The identity where every sum is written out."""

compensation = (
    Derivation.of(rate, rate, by=r"laws \(\mu_i\) with mixture \(\bar{\mu}\), any \(\nu\)")
    .granted(
        "=",
        information + aggregate_kl,
        cite="Topsoe 1967; Hoffman and Johnson 2016",
        by=r"\(\log\frac{\mu_i}{\nu}=\log\frac{\mu_i}{\bar{\mu}}+\log\frac{\bar{\mu}}{\nu}\)",
        witness=_finite,
    )
    .at_least(information, by="a divergence is not negative")
)
"""Rate = information + divergence of the mixture: no reference beats the mixture itself."""

# The information about which of n data was noised.
identified = sp.Symbol(r"\hat{I}_{T}", nonnegative=True)
_doubt = sp.Symbol(r"\mathbb{E}\,H(i\,|\,Z)", nonnegative=True)
_n = sp.Symbol("n", positive=True)

identification = Derivation.of(
    identified, sp.log(_n) - _doubt, by=r"index \(i\) uniform on \(n\), \(Z\sim E_T(X_i)\)"
).at_most(sp.log(_n), by="an entropy is not negative")
"""Nobody can know more about a uniform index than log n."""

_z = sp.Symbol("xi", real=True)
_snr = sp.Symbol("gamma", positive=True)


def _bell(sign: int) -> sp.Expr:
    """Density of the received value, sent as +1, up to what both signs share."""
    return sp.exp(-((_z + (1 - sign) * sp.sqrt(_snr)) ** 2) / 2)


two_points = Derivation.of(
    sp.Symbol(r"{\log\frac{\mu_1}{\bar{\mu}}}", real=True),
    sp.log(_bell(1) / ((_bell(1) + _bell(-1)) / 2)),
    by=r"two points, at \(\sqrt{\gamma}+\xi\) in units of the noise",
).equals(
    sp.log(2) - sp.log(1 + sp.exp(-2 * _snr - 2 * sp.sqrt(_snr) * _z)), by="divide by the first"
)
"""The integrand of the information of two points; gamma = alpha^2 |a|^2 / sigma^2."""

# The entropy of an empirical law is too small on average.
sample_entropy = sp.Symbol(r"\mathbb{E}\,h(\hat{P})", real=True)
law_entropy = sp.Symbol("h(P)", real=True)
_distance = sp.Symbol(r"\mathbb{E}\,\mathrm{KL}(\hat{P}\|P)", nonnegative=True)
_q = sp.Symbol("q", positive=True)


def _entropy(share: sp.Expr) -> sp.Expr:
    return -_xlogy(share, share) - _xlogy(1 - share, 1 - share)


def _kl(share: sp.Expr, law: sp.Expr) -> sp.Expr:
    return -_entropy(share) - _xlogy(share, law) - _xlogy(1 - share, 1 - law)


def _xlogy(x: sp.Expr, y: sp.Expr) -> sp.Expr:
    return sp.S.Zero if x == 0 else x * sp.log(y)


def _over_samples(n: int, statistic: Callable[[sp.Expr], sp.Expr]) -> sp.Expr:
    """Mean of a statistic of the share of ones among n tosses, by enumeration."""
    return sum(
        sp.binomial(n, k) * _q**k * (1 - _q) ** (n - k) * statistic(sp.Rational(k, n))
        for k in range(n + 1)
    )


def concavity_binary(n: int) -> Derivation:
    """The entropy of the empirical law of n tosses of a coin, every sample enumerated.

    Args:
        n: Number of tosses, at least 1.

    Returns:
        ``E H(P-hat) = H(P) - E KL(P-hat || P)`` in the letter q, the probability of a one.

    Raises:
        ValueError: If ``n`` is below 1.
    """
    if n < 1:
        raise ValueError(f"n: got {n} tosses, allowed is at least 1")
    return Derivation.of(
        sp.Symbol(r"\mathbb{E}\,H(\hat{P})", nonnegative=True),
        _over_samples(n, _entropy),
        by=f"{n} tosses, all samples",
        domain={_q: (0, 1)},
    ).equals(
        _entropy(_q) - _over_samples(n, lambda share: _kl(share, _q)),
        by=r"\(H(P)-\mathbb{E}\,\mathrm{KL}(\hat{P}\|P)\)",
    )


concavity = (
    Derivation.of(
        sample_entropy, sample_entropy, by="entropy of the empirical law", domain={_q: (0, 1)}
    )
    .granted(
        "=",
        law_entropy - _distance,
        cite="Cover and Thomas 2006, section 2.7",
        by=r"the mean of \(\hat{P}\) is \(P\)",
        witness={
            sample_entropy: _over_samples(3, _entropy),
            law_entropy: _entropy(_q),
            _distance: _over_samples(3, lambda share: _kl(share, _q)),
        },
    )
    .at_most(law_entropy, by="a divergence is not negative")
)
"""A sample looks less random than its law; noised laws obey the same line at every time."""
