"""Methods compared in pairs: the same seeds, the same data, one baseline.

Each seed gives every method the same sample, the same initial weights and the same noise, so that
the difference to the baseline is free of what they share. A smaller metric is better.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from genbound.estimate import Estimate, mean

__all__ = ["holm", "paired", "sign_flip"]


def paired(
    metrics: Mapping[str, Tensor | Sequence[float]],
    *,
    baseline: str,
    generator: torch.Generator,
    level: float = 0.95,
    resamples: int = 9999,
) -> pd.DataFrame:
    """Each method against the baseline, seed by seed.

    Args:
        metrics: Name of each method -> its metric for every seed, shape (seeds,); smaller is
            better. The k-th values of all methods belong together.
        baseline: The method that the others are compared with.
        generator: Source of the resampling.
        level: Level of the intervals; 1 - level is the size of the tests.
        resamples: Number of bootstrap resamples, and of sign flips where there are more than that.

    Returns:
        One row per method, in the given order, with the index `method` and the columns

        - ``mean``: the method's own mean over seeds, an Estimate;
        - ``difference``: method minus baseline, an Estimate; negative is better;
        - ``low``, ``high``: bootstrap interval (BCa) of the mean difference;
        - ``p``: two-sided paired sign-flip test; ``p_holm``: the same after Holm's correction for
          the number of methods compared;
        - ``verdict``: ``better``, ``worse`` or ``no difference shown``, by ``p_holm``.

        The baseline's own row has no difference.

    Raises:
        ValueError: If the baseline is no method, the methods have different numbers of seeds,
            fewer than two seeds, or values that are not finite.
    """
    values = {name: torch.as_tensor(seeds).double().cpu() for name, seeds in metrics.items()}
    if baseline not in values:
        raise ValueError(f"baseline: got {baseline!r}, allowed are {list(values)}")
    shapes = {name: tuple(seeds.shape) for name, seeds in values.items()}
    if len(set(shapes.values())) > 1 or len(shapes[baseline]) != 1 or len(values[baseline]) < 2:
        raise ValueError(f"metrics: shapes {shapes}, need one (seeds,) for all with seeds >= 2")
    for name, seeds in values.items():
        if not bool(seeds.isfinite().all()):
            raise ValueError(f"metrics: {name} has values that are not finite: {seeds.tolist()}")
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    others = [name for name in values if name != baseline]
    differences = {name: (values[name] - values[baseline]).numpy() for name in others}
    p_values = [sign_flip(differences[name], rng=rng, resamples=resamples) for name in others]
    corrected = dict(zip(others, holm(p_values), strict=True))
    raw = dict(zip(others, p_values, strict=True))
    rows = []
    for name, seeds in values.items():
        row = {"method": name, "mean": _mean(seeds)}
        if name != baseline:
            low, high = _interval(differences[name], level, rng, resamples)
            row |= {
                "difference": _mean(torch.as_tensor(differences[name])),
                "low": low,
                "high": high,
                "p": raw[name],
                "p_holm": corrected[name],
                "verdict": _verdict(differences[name], corrected[name], 1 - level),
            }
        rows.append(row)
    columns = ["method", "mean", "difference", "low", "high", "p", "p_holm", "verdict"]
    return pd.DataFrame(rows, columns=columns).set_index("method")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the largest of (k - j + 1) p_(j) up to each rank, at most 1.

    Args:
        p_values: The p values of k tests.

    Returns:
        Corrected values in the given order. Rejecting those below a size keeps the chance of any
        false rejection below it, however the tests depend on each other.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    ordered = np.sort(p_values)
    factors = len(ordered) - np.arange(len(ordered))
    corrected = np.minimum(1.0, np.maximum.accumulate(factors * ordered))
    return corrected[np.argsort(np.argsort(p_values, kind="stable"))].tolist()


def sign_flip(differences: np.ndarray, *, rng: np.random.Generator, resamples: int) -> float:
    """Two-sided permutation test that paired differences are symmetric about 0.

    Args:
        differences: Shape (seeds,).
        rng: Source of the flips.
        resamples: Number of random flips; where all 2^seeds are fewer, all are taken, and the
            test is exact.

    Returns:
        The p value; with k seeds it is at least 2^(1 - k), so that five seeds or fewer can never
        show anything at 5 %.
    """
    test = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=resamples, rng=rng
    )
    return float(test.pvalue)


def _mean(seeds: Tensor) -> Estimate:
    return mean(seeds, method=f"mean over {len(seeds)} paired seeds")


def _interval(
    differences: np.ndarray, level: float, rng: np.random.Generator, resamples: int
) -> tuple[float, float]:
    # Where all differences agree (a selection that always keeps the baseline) nothing is left to
    # resample, and BCa has no acceleration.
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return float(differences[0]), float(differences[0])
    interval = stats.bootstrap(
        (differences,), np.mean, confidence_level=level, n_resamples=resamples, rng=rng
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _verdict(differences: np.ndarray, p_value: float, size: float) -> str:
    if p_value > size:
        return "no difference shown"
    return "better" if differences.mean() < 0 else "worse"
