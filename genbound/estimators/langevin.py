r"""A run of Langevin training, as a bound on its score gap sees it.

\theta <- (1 - lr w) \theta - lr g + \sqrt{2 lr / beta} \xi. What counts are its squared gradients:
of the batch, of single data, and of the batch less whatever a law that has not seen the data would
do. They are measured at some steps and interpolated between them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.derivations import sgld
from genbound.derivations.parameter_information import rate, weights
from genbound.derivations.sgld_solved import inverse_temperature
from genbound.estimate import Estimate, across, exact, mean
from genbound.estimators.gradients import GradientNorms, Loss

__all__ = ["LangevinRun", "contrast", "from_norms", "pooled"]

_capacity = sgld.step_capacity.to_torch(sgld.step_variance, weights, rate, inverse_temperature)


@dataclass(frozen=True, eq=False)
class LangevinRun:
    """What must be known of one training, or of several that differ in data and seed alone.

    Squared norms have one row for each measured step and one column for each independent
    measurement: fresh draws at the weights of one run, or whole runs. What counts is the mean of
    the columns; their spread is its error, and a single column is taken as known.

    Attributes:
        rates: lr_k of every step, shape ``(K,)``.
        measured: The steps k with a measurement, ascending, in ``[0, K)``, shape ``(m,)``. Step k
            leads from the k-th weights to the next; 0 is the start.
        squared: ``E ||g_k||^2`` of the batches that training draws, shape ``(m, r)``.
        batch: b, the data in a batch: distinct, and drawn without looking at them.
        weights: p, the number of trained weights.
        inverse_temperature: beta, in units of one over the loss.
        loss: Training loss of the last weights, on the whole sample.
        start_loss: That of the first weights.
        untrained_loss: Loss of a model that learned nothing.
        centred: ``E ||g_k - h(theta_k)||^2`` with a drift h that has not seen the sample, such as
            the gradient on held-out data; at least V_k. Shape ``(m, r)``.
        single: ``E mean_i ||grad loss(theta_k, X_i)||^2``, shape ``(m, r)``.
        weight_decay: w.
        start_divergence: ``KL(law of theta_0 || pi)``, pi the law at rest without gradients: 0 for
            weights that were drawn from pi, infinite for a fixed start.

    Raises:
        ValueError: If a number is out of range or shapes don't fit.
    """

    rates: Tensor = field(repr=False)
    measured: Tensor = field(repr=False)
    squared: Tensor = field(repr=False)
    batch: int
    weights: int
    inverse_temperature: float
    loss: Estimate
    start_loss: Estimate
    untrained_loss: Estimate
    centred: Tensor | None = field(default=None, repr=False)
    single: Tensor | None = field(default=None, repr=False)
    weight_decay: float = 0.0
    start_divergence: float = math.inf

    def __post_init__(self) -> None:
        """Check ranges and shapes."""
        for name in ("batch", "weights", "inverse_temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed is > 0")
        for name in ("weight_decay", "start_divergence"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed is >= 0")
        if self.rates.ndim != 1 or not len(self.rates) or not bool((self.rates > 0).all()):
            raise ValueError(f"rates: got shape {tuple(self.rates.shape)}, need positive (K,)")
        steps = self.measured
        in_range = bool(((steps >= 0) & (steps < len(self.rates))).all())
        if not (steps.ndim == 1 and len(steps) and in_range and bool((steps.diff() > 0).all())):
            raise ValueError(f"measured: need ascending steps below {len(self.rates)}")
        for name in ("squared", "centred", "single"):
            norms = getattr(self, name)
            if norms is None and name != "squared":
                continue
            if norms.ndim != 2 or len(norms) != len(steps) or not bool(norms.isfinite().all()):
                shape = tuple(norms.shape)
                raise ValueError(
                    f"{name}: got shape {shape}, allowed are finite numbers ({len(steps)}, r)"
                )

    @property
    def steady(self) -> bool:
        """Whether all steps have one rate, and forget less than all: ``lr w < 1``."""
        alike = torch.allclose(self.rates, self.rates[:1], rtol=1e-6)
        return alike and float(self.rates[0]) * self.weight_decay < 1

    def trajectory(self) -> Estimate:
        """``sum_k lr_k E ||g_k||^2``: the whole way."""
        return self._sum(self.squared, self.rates, "squared gradients along the way")

    def forgotten(self) -> Estimate:
        """``sum_k lr (1 - lr w)^(K-1-k) E ||g_k||^2``: of the way, what is not forgotten.

        Raises:
            ValueError: If the run is not steady.
        """
        if not self.steady:
            low, high = self.rates.min().item(), self.rates.max().item()
            raise ValueError(
                f"rates: from {low:.3g} to {high:.3g} with weight decay {self.weight_decay:.3g}, "
                "allowed is one rate for all steps, below one over the decay"
            )
        kept = 1 - float(self.rates[0]) * self.weight_decay
        ages = torch.arange(len(self.rates) - 1, -1, -1, dtype=torch.float64)
        shares = self.rates * kept ** ages.to(self.rates)
        return self._sum(self.squared, shares, "squared gradients, the past discounted")

    def variances(self) -> Estimate:
        """``sum_k lr_k V_k``: of the gradients, what the weights do not foretell.

        Raises:
            ValueError: If `centred` was not measured.
        """
        return self._sum(self._given("centred"), self.rates, "variance of the gradients")

    def capacity(self) -> Estimate:
        """``sum_k p/2 log(1 + beta lr_k V_k / 2p)``: the most that noisy steps can tell, nats.

        Raises:
            ValueError: If `centred` was not measured.
        """
        variance = self._everywhere(self._given("centred"))
        # The logarithm is of the mean; each column moves it along its slope.
        middle, rates = variance.mean(1).clamp_min(0), self.rates.double().cpu()

        def total(of: Tensor) -> Tensor:
            return _capacity(of, self.weights, rates, self.inverse_temperature).sum()

        slopes = torch.func.grad(total)(middle)
        moved = slopes @ (variance - variance.mean(1, keepdim=True))
        return self._mean(total(middle) + moved, "capacity of the noisy steps")

    def of_data(self) -> Estimate:
        """``sum_k lr_k E mean_i ||grad loss(theta_k, X_i)||^2``: of single data.

        Raises:
            ValueError: If `single` was not measured.
        """
        return self._sum(self._given("single"), self.rates, "squared gradients of single data")

    def _given(self, name: str) -> Tensor:
        if (norms := getattr(self, name)) is None:
            raise ValueError(f"{name}: not measured for this run")
        return norms

    def _sum(self, norms: Tensor, shares: Tensor, method: str) -> Estimate:
        return self._mean(shares.double().cpu() @ self._everywhere(norms), method)

    def _mean(self, columns: Tensor, method: str) -> Estimate:
        method = f"{method}, {len(self.measured)} of {len(self.rates)} steps"
        side = "unbiased" if len(self.measured) == len(self.rates) else "consistent"
        if len(columns) == 1:
            return exact(float(columns), method=method)
        found = mean(columns, method=method, side=side)
        # Unbiased squares may be negative in the mean; what they measure is not.
        return found if found.value >= 0 else replace(found, value=0.0, side="consistent")

    def _everywhere(self, norms: Tensor) -> Tensor:
        """Norms at all steps, linear between the measured ones: ``(m, r) -> (K, r)``."""
        norms, at = norms.double().cpu(), self.measured.cpu().contiguous()
        if len(at) == 1:
            return norms.expand(len(self.rates), -1)
        steps = torch.arange(len(self.rates))
        right = torch.searchsorted(at, steps).clamp(1, len(at) - 1)
        low, high = at[right - 1], at[right]
        share = ((steps - low) / (high - low)).clamp(0, 1).double()[:, None]
        return (1 - share) * norms[right - 1] + share * norms[right]


@declared
def from_norms(
    norms: GradientNorms, *, batch: int, held_out: GradientNorms | None = None
) -> dict[str, Any]:
    """Squared norms of batches, of single data and about a drift, from gradients of samples.

    Args:
        norms: :func:`genbound.estimators.gradients.gradient_norms` at the measured steps, on
            training data. Where they are whole (a loss without noise of its own), batches are
            taken to be of b distinct data; else as b independent draws, which is not too small.
        batch: b.
        held_out: The norms of :func:`contrast`, on pairs of the same training samples and
            held-out ones.

    Returns:
        The fields `squared`, `single`, `batch` and, with `held_out`, `centred` of a
        :class:`LangevinRun`.

    Raises:
        ValueError: If the two norms have different samples, or batches are larger than the whole.
    """
    n = norms.slopes.shape[1]
    most = n if norms.whole else math.inf
    if not 1 <= batch <= most:
        raise ValueError(f"batch: got {batch}, allowed is 1..{most}")
    share = (n - batch) / (n - 1) / batch if norms.whole else 1 / batch
    fields = {
        "batch": batch,
        "squared": _columns((norms, 1.0, share)),
        "single": _columns((norms, 1.0, 1.0)),
    }
    if held_out is not None:
        if held_out.slopes.shape != norms.slopes.shape:
            shapes = tuple(held_out.slopes.shape), tuple(norms.slopes.shape)
            raise ValueError(f"held_out: got norms of shape {shapes[0]}, allowed is {shapes[1]}")
        fields["centred"] = _columns((held_out, 1.0, 0.0), (norms, 0.0, share))
    return fields


def contrast(loss: Loss) -> Loss:
    """The loss of one sample less that of another: its mean gradient is the difference of theirs.

    Args:
        loss: (module, sample) -> 0-dim tensor.

    Returns:
        (module, (sample, other)) -> 0-dim tensor. Pairs with common noise tell more.
    """

    def difference(module: Callable[..., Any], pair: Any) -> Tensor:  # noqa: ANN401
        sample, other = pair
        return loss(module, sample) - loss(module, other)

    return difference


def pooled(runs: Sequence[LangevinRun]) -> LangevinRun:
    """Runs that differ in data and seed alone, as one: a column for each.

    The bounds that hold in expectation are about the mean of the letters, not of the bounds.

    Args:
        runs: At least two, with equal settings and equal measured steps.

    Returns:
        The run whose errors are those over runs.

    Raises:
        ValueError: If there are fewer than two, or their settings differ.
    """
    if len(runs) < 2:
        raise ValueError(f"runs: got {len(runs)}, need at least 2")
    first = runs[0]
    for run in runs[1:]:
        same = (
            run.batch == first.batch
            and run.weights == first.weights
            and run.inverse_temperature == first.inverse_temperature
            and run.weight_decay == first.weight_decay
            and torch.equal(run.rates, first.rates)
            and torch.equal(run.measured, first.measured)
        )
        if not same:
            raise ValueError("runs: their settings differ, allowed are other data and seeds")
    columns = {
        name: None
        if any(getattr(run, name) is None for run in runs)
        else torch.stack([getattr(run, name).double().mean(1) for run in runs], 1)
        for name in ("squared", "centred", "single")
    }
    losses = {
        name: across([getattr(run, name) for run in runs])
        for name in ("loss", "start_loss", "untrained_loss")
    }
    return replace(first, **columns, **losses)


def _columns(*parts: tuple[GradientNorms, float, float]) -> Tensor:
    """Sum of squared means and traces with these factors, with a column for each sample."""
    total = torch.zeros(())
    for norms, of_mean, of_trace in parts:
        value = (of_mean * norms.mean2 + of_trace * norms.trace)[:, None]
        if not norms.whole:
            effects = 2 * of_mean * norms.slopes + of_trace * norms.spreads
            value = value + effects - effects.mean(1, keepdim=True)
        total = total + value
    return total
