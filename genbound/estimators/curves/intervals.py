"""The horizons of one model: their order, and how draws are shared among the intervals."""

from collections.abc import Sequence
from itertools import pairwise

from genbound.estimate import Estimate
from genbound.protocols import ScoreModel

__all__ = ["Curve", "check", "intervals"]

Curve = tuple[Estimate, ...]


def intervals(
    model: ScoreModel, horizons: Sequence[float], draws: int
) -> list[tuple[float, float, int]]:
    """Intervals between the horizons, from ``t_min`` up.

    Args:
        model: Score model.
        horizons: Increasing times, above the model's ``t_min`` and up to its horizon.
        draws: Draws to share among the intervals, by their length in the log-SNR.

    Returns:
        Start, end and number of draws, at least one, of each.

    Raises:
        ValueError: If the horizons don't increase between ``t_min`` and the model's horizon.
    """
    check(model, horizons)
    ends = [float(model.t_min), *map(float, horizons)]
    log_snr = [float(model.process.log_snr_of(time)) for time in ends]
    whole = log_snr[0] - log_snr[-1]
    return [
        (start, end, max(1, round(draws * (high - low) / whole)))
        for (start, end), (high, low) in zip(pairwise(ends), pairwise(log_snr), strict=True)
    ]


def check(model: ScoreModel, horizons: Sequence[float]) -> None:
    """Raise a ValueError unless the horizons increase from ``t_min`` to the model's horizon."""
    ends = [model.t_min, *horizons]
    rising = all(early < late for early, late in pairwise(ends))
    if len(ends) < 2 or not rising or horizons[-1] > model.horizon * (1 + 1e-9):
        raise ValueError(
            f"horizons: got {list(horizons)}, allowed are increasing times above t_min = "
            f"{model.t_min} and up to the model's horizon {model.horizon}"
        )
