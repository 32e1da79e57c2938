r"""A terminal law that is learned: standardise the data, and the prior fits.

The reverse process of a diffusion model starts at N(0, I). Standardised data x' = (x - mean) /
scale, trained and sampled with N(0, I) as before, are in the coordinates of x a model whose
reverse process starts at N(alpha_T mean, [1 + (scale^2 - 1) alpha_T^2] I), the Gaussian fit to the
noised sample, if every time is moved to the one with the same ratio of signal to noise. So no
sampler and no estimator has to know of another prior: only the coordinates change.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

__all__ = ["Standard"]


@dataclass(frozen=True, eq=False)
class Standard:
    """Standard coordinates of a sample, and the way between them and the data's own.

    Attributes:
        process: The noising process of the data, a `LinearSDE`.
        mean: Mean of the sample, (d,).
        scale: One standard deviation for all coordinates.
    """

    process: Any
    mean: Tensor
    scale: float

    @classmethod
    def fit(cls, process: Any, sample: Tensor) -> Self:  # noqa: ANN401
        """Fit mean and scale.

        Args:
            process: The noising process.
            sample: Shape (n, d), n >= 2.

        Returns:
            The coordinates in which the sample has mean 0 and mean squared coordinate 1.

        Raises:
            ValueError: If the sample is no matrix of at least two different rows.
        """
        if sample.ndim != 2 or len(sample) < 2:
            raise ValueError(f"sample: got shape {tuple(sample.shape)}, allowed is (n, d), n >= 2")
        mean = sample.mean(0)
        scale = float((sample - mean).square().mean().sqrt())
        if not scale > 0:
            raise ValueError("sample: all its rows are equal, allowed are different ones")
        return cls(process, mean, scale)

    def encode(self, data: Tensor) -> Tensor:
        """Data (..., d) in standard coordinates."""
        return (data - self.mean) / self.scale

    def time_of(self, time: float) -> float:
        """The time at which standardised data have the ratio of signal to noise of ``time``.

        Args:
            time: Time of the data's own noising.

        Returns:
            The time whose log signal-to-noise ratio is higher by 2 log scale.
        """
        shift = 2 * math.log(self.scale)
        return float(self.process.time_of(self.process.log_snr_of(time) + shift))

    def noised(self, noisy: Tensor, time: float) -> Tensor:
        """Noised data in standard coordinates: alpha x + sigma noise -> alpha' x' + sigma' noise.

        Args:
            noisy: Data noised to ``time``, (..., d).
            time: Time of the data's own noising.

        Returns:
            The same points as standardised data noised to ``time_of(time)``, (..., d).
        """
        signal_scale, own = self._signals(time)
        return own * self.encode(noisy / signal_scale)

    def restored(self, noisy: Tensor, time: float) -> Tensor:
        """The way back from :meth:`noised`, for what a model of standardised data generates."""
        signal_scale, own = self._signals(time)
        return signal_scale * (self.mean + self.scale * noisy / own)

    def log_volume(self, time: float) -> float:
        """What is added to a log density of :meth:`noised` points to have it in the data's own.

        Args:
            time: Time of the data's own noising.

        Returns:
            d log(alpha' / (alpha scale)), nats.
        """
        signal_scale, own = self._signals(time)
        return len(self.mean) * math.log(own / (signal_scale * self.scale))

    def _signals(self, time: float) -> tuple[float, float]:
        """Signal scale of the data's own noising and of the standardised data's."""
        signal_scale, _ = self.process.moments(time)
        own, _ = self.process.moments(self.time_of(time))
        return float(signal_scale), float(own)
