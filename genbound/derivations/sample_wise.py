"""Information about single data and about the whole sample."""

import sympy as sp

from genbound.derivation import Derivation
from genbound.derivations.gaussian import channel_of

__all__ = [
    "chain_rule",
    "mean_learner",
    "mean_learner_args",
    "mean_of_roots",
    "root_information",
    "whole",
]

_n = sp.Symbol("n", positive=True)
_d = sp.Symbol("d", positive=True, integer=True)

whole = sp.Symbol("I(W;S)", nonnegative=True)
_first = sp.Symbol("I(W;X_{1})", nonnegative=True)
_second = sp.Symbol("I(W;X_{2})", nonnegative=True)
_second_given = sp.Symbol(r"I(W;X_{2}|X_{1})", nonnegative=True)
_second_joint = sp.Symbol(r"I(W,X_{1};X_{2})", nonnegative=True)
_known = sp.Symbol(r"I(X_{1};X_{2}|W)", nonnegative=True)

# W = a X_1 + b X_2 + tau noise, all normal: every information is that of a Gaussian channel.
_a, _b, _tau = sp.symbols("a b tau", positive=True)


_linear = {
    whole: channel_of(_a**2 + _b**2, _tau**2),
    _first: channel_of(_a**2, _b**2 + _tau**2),
    _second: channel_of(_b**2, _a**2 + _tau**2),
    _second_given: channel_of(_b**2, _tau**2),
    _second_joint: channel_of(_b**2, _tau**2),
    # Given W, the two data have correlation -ab / sqrt((a^2 + tau^2) (b^2 + tau^2)).
    _known: -sp.log(1 - (_a * _b) ** 2 / ((_a**2 + _tau**2) * (_b**2 + _tau**2))) / 2,
}

chain_rule = (
    Derivation.of(whole, whole, by="two independent data")
    .granted(
        "=",
        _first + _second_given,
        cite="Cover and Thomas 2006, section 2.5",
        by="chain rule",
        witness=_linear,
    )
    .granted(
        "=",
        _first + _second_joint,
        cite="Cover and Thomas 2006, section 2.5",
        by=r"chain rule, \(I(X_1;X_2)=0\)",
        witness=_linear,
    )
    .granted(
        "=",
        _first + _second + _known,
        cite="Cover and Thomas 2006, section 2.5",
        by="chain rule in the other order",
        witness=_linear,
    )
    .at_least(_first + _second, by="an information is not negative")
)
"""What is known of single data adds up to no more than what is known of all of them.

For n data the same step is taken n - 1 times.
"""

# A mean of k + 1 data, released with noise of variance 1 / ((k + 1) z) per coordinate.
_z, _others = sp.symbols("z k", positive=True)
_share = _others / (_others + 1)

_concave = Derivation.of(
    sp.log(1 + _share * _z), sp.log(1 + _share * _z), by="a value in between"
).at_least(_share * sp.log(1 + _z), by="concavity of the logarithm")

mean_learner = (
    Derivation.of(
        sp.Symbol(r"{\textstyle\sum_i I(W;X_i)}", nonnegative=True),
        (_others + 1) * _d * channel_of(_z - _share * _z, 1 + _share * _z),
        by=r"\(W=\hat{\mu}+\tau\xi\), \(n=k+1\), \(z=1/n\tau^2\)",
    )
    .equals(
        (_others + 1) * _d * (sp.log(1 + _z) - sp.log(1 + _share * _z)) / 2,
        by="collecting logarithms",
    )
    .at_most(_d * sp.log(1 + _z) / 2, by="concavity of the logarithm", using=[_concave])
)
"""A mean in noise: the sum over its data stays below I(W; S), the last line.

Its arguments are :data:`mean_learner_args`.
"""

mean_learner_args = (_others, _z, _d)

mean_of_roots = sp.Symbol(r"\overline{\sqrt{I}}", nonnegative=True)
_mean = sp.Symbol(r"\bar{I}", nonnegative=True)
_alpha, _beta, _weight = sp.symbols("alpha beta w", positive=True)

_jensen = Derivation.of(
    mean_of_roots, mean_of_roots, by=r"mean of \(\sqrt{I(W;X_i)}\)", domain={_weight: (0, 1)}
).granted(
    "<=",
    sp.sqrt(_mean),
    cite="Jensen",
    by="concavity of the root",
    # Two values of the information, alpha^2 and beta^2, with weights w and 1 - w.
    witness={
        mean_of_roots: _weight * _alpha + (1 - _weight) * _beta,
        _mean: _weight * _alpha**2 + (1 - _weight) * _beta**2,
    },
)
_shared = Derivation.of(_mean, _mean, by=r"mean of \(I(W;X_i)\)").granted(
    "<=",
    whole / _n,
    cite="Bu, Zou and Veeravalli 2020",
    by=r"the chain rule, \(n-1\) times",
    witness={
        _n: 2,
        _mean: (_linear[_first] + _linear[_second]) / 2,
        whole: _linear[whole],
    },
)

root_information = (
    Derivation.of(mean_of_roots, mean_of_roots, by=r"mean of \(\sqrt{I(W;X_i)}\)")
    .at_most(sp.sqrt(_mean), by="concavity of the root", using=[_jensen])
    .at_most(sp.sqrt(whole / _n), by="the chain rule", using=[_shared])
)
"""Whoever bounds the information in the whole sample pays its root over n, not over 1."""
