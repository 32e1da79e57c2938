"""How far a choice would move with other data: letters resampled through their influences.

A letter's estimate moves, to first order, by the mean of its influences over the resampled data.
Letters with as many influences rest on the same data and are resampled together, at all horizons
at once; so the interval of a minimiser knows that neighbouring horizons err alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import sympy as sp
import torch
from torch import Generator, Tensor

from genbound.estimate import Estimate
from genbound.selection.selection import Selection
from genbound.symbolic import to_torch

__all__ = ["at_crossing", "at_minimum", "evaluate", "quantiles", "resampled"]

Curves = Mapping[sp.Symbol, Sequence[Estimate]]


def resampled(curves: Curves, *, resamples: int, generator: Generator) -> dict[sp.Symbol, Tensor]:
    """Values of every letter over resampled data.

    Args:
        curves: Estimates of each letter, one per horizon.
        resamples: Number of resamples, at least 2.
        generator: Source of the resampling, on any device.

    Returns:
        Shape ``(1 + resamples, horizons)`` for each letter, float64; the first row holds the
        values themselves. Estimates without influences get independent normal errors.

    Raises:
        ValueError: If there are fewer than two resamples.
    """
    if resamples < 2:
        raise ValueError(f"resamples: got {resamples}, allowed is at least 2")
    # The influences are on the CPU, and so is the resampling, wherever the draws were made.
    seed = torch.randint(2**31, (), generator=generator, device=generator.device)
    generator = Generator().manual_seed(int(seed))
    weights: dict[int, Tensor] = {}
    found = {}
    for letter, curve in curves.items():
        value = torch.tensor([each.value for each in curve], dtype=torch.float64)
        influences = [each.influence for each in curve]
        if any(influence is None for influence in influences):
            errors = torch.tensor([each.stderr for each in curve], dtype=torch.float64)
            draws = torch.randn(resamples, len(curve), generator=generator, dtype=torch.float64)
            shifts = errors * draws
        else:
            moves = torch.stack(influences)
            n = moves.shape[1]
            if n not in weights:
                weights[n] = _weights(n, resamples, generator)
            shifts = weights[n] @ moves.mT
        found[letter] = torch.cat([value[None], value + shifts])
    return found


def evaluate(
    expr: sp.Expr,
    curves: Curves,
    constants: Mapping[sp.Symbol, float],
    *,
    resamples: int,
    generator: Generator,
) -> Tensor:
    """A formula of letters over horizons, at the estimates and over resampled data.

    Args:
        expr: The formula.
        curves: Its measured letters, one estimate per horizon.
        constants: Values of its other letters.
        resamples: Number of resamples, at least 2.
        generator: Source of the resampling, on any device.

    Returns:
        Shape ``(1 + resamples, horizons)``, the values first.
    """
    letters = resampled(curves, resamples=resamples, generator=generator)
    values = letters | {
        symbol: torch.tensor(float(value)).double() for symbol, value in constants.items()
    }
    return to_torch(tuple(values), expr)(*values.values())


def at_minimum(rule: str, horizons: Sequence[float], values: Tensor, **about: object) -> Selection:
    """The horizon where a criterion is least.

    Args:
        rule: Name of the rule.
        horizons: Increasing.
        values: The criterion and its resamples, shape ``(1 + resamples, horizons)``.
        **about: ``criterion``, ``level`` and ``notes`` of the selection.

    Returns:
        The selection.
    """
    return _chosen(rule, horizons, values, lambda rows: rows.argmin(1), **about)


def at_crossing(
    rule: str, horizons: Sequence[float], values: Tensor, **about: object
) -> Selection:
    """The first horizon where a slope is not negative, or the last one if it always is.

    Arguments as for :func:`at_minimum`.
    """

    def first(rows: Tensor) -> Tensor:
        stops = rows >= 0
        return torch.where(stops.any(1), stops.int().argmax(1), rows.shape[1] - 1)

    return _chosen(rule, horizons, values, first, **about)


def quantiles(draws: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Two-sided interval of draws along their first axis, between existing values."""
    if not 0 < level < 1:
        raise ValueError(f"level: got {level}, allowed is 0 < level < 1")
    ends = ((1 - level) / 2, (1 + level) / 2)
    low, high = (
        draws.quantile(end, dim=0, interpolation=side)
        for end, side in zip(ends, ("lower", "higher"), strict=True)
    )
    return low, high


def _chosen(
    rule: str,
    horizons: Sequence[float],
    values: Tensor,
    pick: Callable[[Tensor], Tensor],
    *,
    criterion: str,
    level: float,
    notes: tuple[str, ...] = (),
) -> Selection:
    times = torch.tensor([float(horizon) for horizon in horizons], dtype=torch.float64)
    chosen = times[pick(values)]
    low, high = quantiles(chosen[1:], level)
    ends = {float(times[0]): "shortest", float(times[-1]): "longest"}
    if len(times) > 1 and float(chosen[0]) in ends:
        notes = (*notes, f"the choice is the {ends[float(chosen[0])]} horizon offered")
    lower, upper = quantiles(values[1:], level)
    table = pd.DataFrame(
        {
            "T": times.numpy(),
            "value": values[0].numpy(),
            "low": lower.numpy(),
            "high": upper.numpy(),
        }
    )
    return Selection(
        rule, float(chosen[0]), float(low), float(high), table, criterion, level, notes
    )


def _weights(n: int, resamples: int, generator: Generator) -> Tensor:
    """Weights of n data in each resample, less their mean, shape (resamples, n)."""
    chosen = torch.randint(n, (resamples, n), generator=generator)
    counts = torch.zeros(resamples, n, dtype=torch.float64)
    counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=torch.float64))
    # A resample has variance (n - 1) / n of the sample's.
    return (counts - 1) / n * math.sqrt(n / max(n - 1, 1))
