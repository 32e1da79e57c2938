"""Estimate: a number, its standard error, and the side on which its method errs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import sympy as sp
import torch
from scipy import special
from torch import Tensor

__all__ = ["Estimate", "Side", "across", "combine", "exact", "mean", "subsample"]

Side = Literal["exact", "unbiased", "lower", "upper", "consistent", "unknown"]


@dataclass(frozen=True)
class Estimate:
    """A measured number.

    Attributes:
        value: The number, in the unit of the quantity (nats for divergences and informations).
        stderr: Standard error of ``value``; ``nan`` when unknown.
        n: Number of data, draws or repetitions that the standard error rests on.
        method: How it was obtained, in a few words.
        side: Where the method errs: ``exact``, ``unbiased``, ``lower`` (expectation below the
            truth), ``upper``, ``consistent`` (a bias that vanishes with n) or ``unknown``.
        influence: First-order effect of each datum, shape ``(n,)``: the error is about the mean
            of these. Estimates from the same data are correlated through them.
    """

    value: float
    stderr: float
    n: int
    method: str
    side: Side = "unbiased"
    influence: Tensor | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check side and standard error."""
        if self.side not in get_args(Side):
            raise ValueError(f"side: got {self.side!r}, allowed are {get_args(Side)}")
        if self.stderr < 0:
            raise ValueError(f"stderr: got {self.stderr}, must be >= 0 (nan when unknown)")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval for the mean of the method (its bias is told by side).

        Args:
            level: Confidence level in (0, 1).

        Returns:
            Low and high end, by Student's t with n - 1 degrees of freedom.
        """
        reach = self._quantile((1 + _probability(level)) / 2) * self.stderr
        return self.value - reach, self.value + reach

    def upper(self, level: float = 0.95) -> float:
        """One-sided upper confidence limit."""
        return self.value + self._quantile(_probability(level)) * self.stderr

    def lower(self, level: float = 0.95) -> float:
        """One-sided lower confidence limit."""
        return self.value - self._quantile(_probability(level)) * self.stderr

    def _quantile(self, probability: float) -> float:
        if self.n < 2:
            return float(special.ndtri(probability))
        return float(special.stdtrit(self.n - 1, probability))

    def __str__(self) -> str:
        """Value and error, to two digits of the error, but the value to eight digits at most."""
        if self.stderr == 0:
            return f"{self.value:.6g}"
        if self.stderr < 1e-8 * abs(self.value) < math.inf:
            return f"{self.value:.8g} ± {self.stderr:.1e}"
        if not math.isfinite(self.stderr) or not math.isfinite(self.value):
            return f"{self.value:.4g} ± {self.stderr:.2g}"
        size = math.floor(math.log10(max(abs(self.value), self.stderr)))
        if size < -4:
            scaled = Estimate(self.value / 10.0**size, self.stderr / 10.0**size, self.n, "")
            return f"({scaled})e{size:03d}"
        digits = max(0, 1 - math.floor(math.log10(self.stderr)))
        return f"{self.value:.{digits}f} ± {self.stderr:.{digits}f}"


def exact(value: float, *, method: str) -> Estimate:
    """A number known without error."""
    return Estimate(float(value), 0.0, 0, method, "exact")


def mean(samples: Tensor, *, method: str, side: Side = "unbiased") -> Estimate:
    """The mean of independent values, one per datum.

    Args:
        samples: Values, shape ``(n,)`` with n >= 2.
        method: How the values were obtained.
        side: Side on which the values err.

    Returns:
        Mean with standard error ``std / sqrt(n)``; its influences are the centred values.

    Raises:
        ValueError: If ``samples`` is not a vector of at least two values, or a value is nan.
    """
    if samples.ndim != 1 or len(samples) < 2:
        raise ValueError(f"samples: shape {tuple(samples.shape)}, need (n,) with n >= 2")
    if lost := int(samples.isnan().sum()):
        raise ValueError(f"samples: {lost} of {len(samples)} are nan, in the {method}")
    samples = samples.detach().double().cpu()
    # The mean of equal numbers is that number, though its last digit may not be.
    constant = bool((samples == samples[0]).all())
    value = samples[0] if constant else samples.mean()
    return Estimate(
        float(value),
        float(samples.std() / math.sqrt(len(samples))) if not constant else 0.0,
        len(samples),
        method,
        side,
        influence=samples - value,
    )


def across(estimates: Sequence[Estimate], *, method: str | None = None) -> Estimate:
    """The mean over independent repetitions (seeds), with the error that their spread shows.

    Args:
        estimates: At least two estimates of the same quantity from independent repetitions.
        method: Text; by default the method of the first with the number of repetitions.

    Returns:
        The mean; its standard error is the spread over repetitions, which contains both the
        estimation error of each and the variation between them.

    Raises:
        ValueError: If there are fewer than two estimates.
    """
    if len(estimates) < 2:
        raise ValueError(f"estimates: got {len(estimates)}, need at least 2 repetitions")
    values = torch.tensor([estimate.value for estimate in estimates], dtype=torch.float64)
    sides = {estimate.side for estimate in estimates} - {"exact"}
    side: Side = "unbiased" if not sides else sides.pop() if len(sides) == 1 else "unknown"
    text = method or f"{estimates[0].method}; mean over {len(values)} repetitions"
    return mean(values, method=text, side=side)


def subsample(
    statistic: Callable[..., float], *data: Tensor, parts: int = 8, method: str, side: Side
) -> Estimate:
    """Any statistic of n data, its error from the spread over disjoint parts.

    Args:
        statistic: Maps tensors with a common first dimension to a number.
        *data: Tensors of shape ``(n, ...)``.
        parts: Number of disjoint parts, at least 2.
        method: Text.
        side: Side on which the statistic errs.

    Returns:
        The statistic of all data; the standard error is the parts' standard deviation divided by
        ``sqrt(parts)``, which presumes an error of order ``1 / sqrt(n)``. It rests on the parts:
        their number is the estimate's ``n``.

    Raises:
        ValueError: If there are fewer than two parts or fewer data than parts.
    """
    n = len(data[0])
    if not 2 <= parts <= n:
        raise ValueError(f"parts: got {parts}, allowed are 2..{n} (the number of data)")
    values = torch.tensor(
        [statistic(*(tensor[k::parts] for tensor in data)) for k in range(parts)],
        dtype=torch.float64,
    )
    stderr = float(values.std() / math.sqrt(parts))
    text = f"{method}; {parts} parts of {n}"
    return Estimate(float(statistic(*data)), stderr, parts, text, side)


def combine(
    expr: sp.Expr,
    estimates: Mapping[sp.Symbol, Estimate],
    constants: Mapping[sp.Symbol, float] | None = None,
    *,
    method: str = "delta method",
) -> Estimate:
    """Propagate estimates through a formula by its symbolic gradient.

    Estimates with influences of equal length are taken to rest on the same data, so their errors
    add per datum; all else, also what an error exceeds its influences by, adds as independent.
    (For independent samples of equal length the cross terms vanish in the mean, so the rule stays
    right.)

    Args:
        expr: Formula.
        estimates: One estimate per measured symbol.
        constants: Values of the remaining symbols.
        method: Text.

    Returns:
        The formula's value. Its side follows from the sides of the parts and the signs of the
        gradient; a curved formula of unbiased parts is ``consistent``. Its ``n`` is the smallest
        among the parts that have an error. Where the gradient is infinite the error is unknown.

    Raises:
        ValueError: If a symbol of the formula has no value.
    """
    constants = dict(constants or {})
    missing = sorted(map(str, expr.free_symbols - set(estimates) - set(constants)))
    if missing:
        raise ValueError(f"estimates: no value for {missing}")
    point = {symbol: estimate.value for symbol, estimate in estimates.items()} | constants
    uncertain = {symbol: part for symbol, part in estimates.items() if _errs(part)}
    slopes = {symbol: _slope(expr, symbol, point) for symbol in uncertain}
    counts = [part.n for symbol, part in uncertain.items() if slopes[symbol] and part.stderr]
    n = min(counts, default=max((part.n for part in estimates.values()), default=0))
    shared: dict[int, Tensor] = {}
    variance = 0.0
    for symbol, estimate in uncertain.items():
        if estimate.stderr == 0 or slopes[symbol] == 0:
            continue
        if estimate.influence is not None:
            part = slopes[symbol] * estimate.influence
            shared[len(part)] = shared[len(part)] + part if len(part) in shared else part
            variance += slopes[symbol] ** 2 * _unexplained(estimate)
        else:
            variance += (slopes[symbol] * estimate.stderr) ** 2
    variance += sum(float(part.var()) / len(part) for part in shared.values())
    return Estimate(
        float(expr.subs(point)),
        math.sqrt(variance) if variance == variance else math.nan,
        n,
        method,
        _side(expr, uncertain, slopes, point),
        influence=next(iter(shared.values())) if len(shared) == 1 else None,
    )


def _errs(estimate: Estimate) -> bool:
    return estimate.side != "exact" or estimate.stderr != 0


def _unexplained(estimate: Estimate) -> float:
    """The part of an estimate's variance that its influences do not show: noise of its own."""
    explained = float(estimate.influence.var()) / len(estimate.influence)
    return max(estimate.stderr**2 - explained, 0.0)


def _slope(expr: sp.Expr, symbol: sp.Symbol, point: Mapping[sp.Symbol, float]) -> float:
    slope = sp.diff(expr, symbol).subs(point)
    # A root at 0 has no first-order error: unknown, not infinite.
    return float(slope) if slope.is_finite else math.nan


def _side(
    expr: sp.Expr,
    uncertain: Mapping[sp.Symbol, Estimate],
    slopes: Mapping[sp.Symbol, float],
    point: Mapping[sp.Symbol, float],
) -> Side:
    flip = {"lower": "upper", "upper": "lower"}
    expr = expr.subs({symbol: value for symbol, value in point.items() if symbol not in uncertain})
    sides = set()
    for symbol, estimate in uncertain.items():
        slope = sp.diff(expr, symbol)
        if slope == 0 or estimate.side == "exact":
            continue
        side = estimate.side
        if side in flip and not abs(slopes[symbol]) > 0:
            side = "unknown"
        sides.add(flip.get(side, side) if slopes[symbol] < 0 else side)
        if side == "unbiased" and slope.free_symbols & set(uncertain):
            sides.add("consistent")
    if not sides:
        return "exact"
    if "unknown" in sides or {"lower", "upper"} <= sides:
        return "unknown"
    for side in ("lower", "upper", "consistent"):
        if side in sides:
            return side
    return "unbiased"


def _probability(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level: got {level}, allowed is 0 < level < 1")
    return level
