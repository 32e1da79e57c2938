"""Times at which the reverse chain stops on its way: even in the log-SNR, or in the clock."""

import math

import torch
from torch import Tensor

from genbound.arguments import declared
from genbound.sampler.schemes import need_preserved
from genbound.sde import LinearSDE

__all__ = ["clock_grid", "time_grid"]


@declared
def time_grid(process: LinearSDE, horizon: float, t_min: float, *, step: float) -> Tensor:
    """Times from the horizon down to ``t_min``, evenly spaced in the log signal-to-noise ratio.

    Args:
        process: Noising process.
        horizon: Largest time.
        t_min: Smallest time, positive.
        step: Largest allowed spacing (nats).

    Returns:
        Decreasing times, shape ``(N + 1,)``, float64; first and last are exactly the given ends.

    Raises:
        ValueError: If ``0 < t_min < horizon`` or ``step > 0`` fails, or no signal is left.
    """
    if not 0 < t_min < horizon:
        raise ValueError(f"t_min: got {t_min}, allowed is 0 < t_min < horizon = {horizon}")
    if not step > 0:
        raise ValueError(f"step: got {step}, allowed is step > 0")
    first, last = process.log_snr_of(horizon).item(), process.log_snr_of(t_min).item()
    if not math.isfinite(first):
        raise ValueError(f"horizon: got {horizon}, where no signal is left; choose it smaller")
    # the tolerance keeps a range that is a whole number of steps from gaining one by rounding
    count = max(1, math.ceil((last - first) / step - 1e-9))
    times = process.time_of(torch.linspace(first, last, count + 1, dtype=torch.float64))
    times[0], times[-1] = horizon, t_min
    return times


@declared
def clock_grid(process: LinearSDE, horizon: float, t_min: float, *, steps: int) -> Tensor:
    """Times from the horizon down to ``t_min``, evenly spaced in the clock.

    Under the Ornstein-Uhlenbeck process they are evenly spaced in time.

    Args:
        process: Noising process, variance preserving.
        horizon: Largest time.
        t_min: Smallest time; 0 is allowed.
        steps: Number of steps N.

    Returns:
        Decreasing times, shape ``(N + 1,)``, float64; first and last are exactly the given ends.

    Raises:
        ValueError: If ``0 <= t_min < horizon`` or ``steps >= 1`` fails, or the process does not
            preserve variance.
    """
    need_preserved(process)
    if not 0 <= t_min < horizon:
        raise ValueError(f"t_min: got {t_min}, allowed is 0 <= t_min < horizon = {horizon}")
    if steps < 1:
        raise ValueError(f"steps: got {steps}, allowed is at least 1")
    first, last = (float(process.clock_of(time)) for time in (horizon, t_min))
    clocks = torch.linspace(first, last, steps + 1, dtype=torch.float64)
    # variance is preserved: alpha^2 = exp(-clock), so the ratio is 1 / (exp(clock) - 1)
    times = process.time_of(-torch.log(torch.expm1(clocks)))
    times[0], times[-1] = horizon, t_min
    return times
