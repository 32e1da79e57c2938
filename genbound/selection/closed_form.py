"""Rules that need no curve: the formulas of the derivations with numbers plugged in, and T = 1."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import sympy as sp
import torch
from scipy import special
from torch import Generator, Tensor

from genbound.derivations import horizon as letters
from genbound.derivations import trade_off
from genbound.estimate import Estimate, combine, exact, mean
from genbound.estimators import trajectory
from genbound.protocols import ScoreModel
from genbound.sde import LinearSDE
from genbound.selection.bootstrap import quantiles, resampled
from genbound.selection.selection import Selection

__all__ = ["fixed", "lambert_clock", "mean_norm2", "plug_in", "time_of_clock"]


def plug_in(
    data: Tensor,
    *,
    process: LinearSDE,
    horizons: Sequence[float],
    generator: Generator,
    formula: Literal["paper", "shrinkage"] = "shrinkage",
    model: ScoreModel | None = None,
    score_norm: float | Estimate | None = None,
    paths: int = 256,
    step: float = 0.2,
    level: float = 0.95,
    resamples: int = 1000,
) -> Selection:
    r"""A closed form for the best clock, with estimates in place of its letters.

    ``"shrinkage"``: ``B = log(1 + n |mu|^2 / d)``, the optimum of the solvable model, with the
    unbiased estimate of ``|mu|^2``; exact for N(mu, I) and a learner of the mean, elsewhere a
    guess. ``"paper"``: ``B = -W_{-1}(-L^2 / (n r^2))``, where the paper's two dominant terms
    balance, with r the mean norm of the data and L the root mean square of the score along the
    model's own reverse path.

    Args:
        data: Training data, shape ``(n, d)``, n >= 2.
        process: Variance-preserving noising process.
        horizons: Increasing; the curve is drawn there, and the choice kept between their ends.
        generator: Source of resampling and paths.
        formula: Which of the two.
        model: Score model whose paths give L (paper).
        score_norm: L itself, in place of a model (paper).
        paths: Reverse paths (paper).
        step: Their largest step in the log signal-to-noise ratio.
        level: Level of the intervals.
        resamples: Resamples of the data.

    Returns:
        The selection; its curve is the formula's own criterion.

    Raises:
        ValueError: If the process is not variance preserving, the formula is unknown, or L is
            neither given nor can be measured.

    Reference:
        :data:`genbound.derivations.horizon.paper_clock`,
        :data:`genbound.derivations.trade_off.best_clock`.
    """
    if not process.preserves_variance:
        raise ValueError(f"process: got {process.name}, allowed are variance-preserving ones")
    if formula not in ("paper", "shrinkage"):
        raise ValueError(f"formula: got {formula!r}, allowed are ('paper', 'shrinkage')")
    n, d = data.shape
    grid = torch.tensor([float(horizon) for horizon in horizons], dtype=torch.float64)
    clock = process.clock_of(grid)
    if formula == "shrinkage":
        found = {trade_off.M: (mean_norm2(data),)}
        values = resampled(found, resamples=resamples, generator=generator)
        norm2 = values[trade_off.M].clamp(min=0)
        best = trade_off.best_clock.to_torch(trade_off.n, trade_off.d, trade_off.M)(n, d, norm2)
        curve = trade_off.exact.to_torch(*trade_off.letters)((-clock).exp(), n, d, norm2)
        criterion, notes = "expected divergence, nats", ("takes the data for N(mu, I)",)
    else:
        if score_norm is None and model is None:
            raise ValueError("model: the paper's formula needs a model, or its score_norm")
        norm = score_norm if model is None else _score_norm(model, data, paths, step, generator)
        norm = norm if isinstance(norm, Estimate) else exact(float(norm), method="given")
        radius = mean(data.double().norm(dim=-1), method="mean norm of the data")
        found = {letters.L: (norm,), letters.r: (radius,)}
        values = resampled(found, resamples=resamples, generator=generator)
        best = lambert_clock(n, values[letters.L], values[letters.r])
        form = letters.paper_form.to_torch(letters.B, letters.R, *letters.paper_letters)
        curve = form(clock, 1.0, n, values[letters.L], values[letters.r])
        criterion, notes = "two terms of the paper's form, R = 1", (f"L = {norm}, r = {radius}",)
    times = time_of_clock(process, best.squeeze(1))
    clipped = times.clamp(float(grid[0]), float(grid[-1]))
    if float(clipped[0]) != float(times[0]):
        notes = (*notes, f"the formula gives {float(times[0]):.3g}, outside the horizons offered")
    low, high = quantiles(clipped[1:], level)
    lower, upper = quantiles(curve[1:], level)
    table = pd.DataFrame(
        {"T": grid.numpy(), "value": curve[0].numpy(), "low": lower.numpy(), "high": upper.numpy()}
    )
    return Selection(
        f"plug_in ({formula})",
        float(clipped[0]),
        float(low),
        float(high),
        table,
        criterion,
        level,
        notes,
    )


def fixed(*, horizon: float = 1.0) -> Selection:
    """A baseline: the default horizon, whatever the data.

    Args:
        horizon: T, positive.

    Returns:
        The selection; its curve is a single point without a value.

    Raises:
        ValueError: If the horizon is not positive.
    """
    if not 0 < horizon < math.inf:
        raise ValueError(f"horizon: got {horizon}, allowed is a positive time")
    nothing = math.nan
    table = pd.DataFrame({"T": [horizon], "value": nothing, "low": nothing, "high": nothing})
    return Selection("fixed", horizon, horizon, horizon, table, "nothing: it is fixed")


def lambert_clock(n: float, norm: Tensor, radius: Tensor) -> Tensor:
    """Clock at which the paper's two terms balance.

    Args:
        n: Training samples.
        norm: L, root mean square of the score along the path.
        radius: r, mean norm of the data.

    Returns:
        ``-W_{-1}(-L^2 / (n r^2))``; 0 where the terms never balance, because their sum then
        falls with the clock nowhere.
    """
    compiled = sp.lambdify(
        letters.paper_letters, letters.paper_clock.expr, [{"LambertW": special.lambertw}, "numpy"]
    )
    norm, radius = torch.broadcast_tensors(norm.double(), radius.double())
    balance = norm.square() / (n * radius.square())
    root = np.real(compiled(n, norm.cpu().numpy(), radius.cpu().numpy()))
    found = torch.from_numpy(np.asarray(root, dtype=np.float64)).to(norm.device)
    return torch.where(balance < math.exp(-1), found, 0.0)


def mean_norm2(data: Tensor) -> Estimate:
    """Unbiased estimate of the squared norm of the mean, with the influences of the data.

    ``|mean|^2 - tr(covariance) / n``, which may be negative.
    """
    data = data.double().cpu()
    n, centre = len(data), data.mean(0)
    value = float(centre.square().sum() - data.var(0).sum() / n)
    influence = 2 * (data - centre) @ centre
    stderr = float(influence.std()) / math.sqrt(n)
    method = "squared norm of the mean, less its variance"
    return Estimate(value, stderr, n, method, "unbiased", influence)


def time_of_clock(process: LinearSDE, clock: Tensor) -> Tensor:
    """Time at which the clock of a variance-preserving process has a given value (0 at 0)."""
    positive = clock.clamp(min=1e-12)
    return torch.where(clock > 0, process.time_of(-torch.expm1(positive).log()), 0.0)


def _score_norm(
    model: ScoreModel, data: Tensor, paths: int, step: float, generator: Generator
) -> Estimate:
    """L from the path energy against zero: A = L^2 B / 2."""
    energy = sp.Symbol("A", positive=True)
    measured = trajectory.path_energy(
        model,
        reference="zero",
        d=data.shape[-1],
        paths=paths,
        step=step,
        generator=generator,
        dtype=data.dtype,
        device=data.device,
    )
    clock = float(model.process.clock_of(model.horizon))
    return combine(sp.sqrt(2 * energy / clock), {energy: measured}, method="norm of the score")
