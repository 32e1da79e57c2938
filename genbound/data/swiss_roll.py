"""The Swiss roll in the plane, with its exact density."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from genbound.data.mixture import Mixture
from genbound.data.source import DRAWS, information_from_entropy
from genbound.estimate import Estimate
from genbound.sde import LinearSDE

__all__ = ["SwissRoll"]

SHRINK = 5.0
# Quadrature nodes per standard deviation of noise along the curve. Three are exact to 1e-10 where
# the law puts its mass, far points need more: the convergence tests decide.
NODES = 6.0
NODES_FOR_ENTROPY = 3.0
PANEL_NODES = 64


@dataclass(frozen=True)
class SwissRoll:
    """The planar Swiss roll: a spiral plus isotropic Gaussian noise.

    ``u ~ U(0, 1)``, ``r = 3 pi (1 + 2 u) / 2``, and the point is
    ``scale (r cos r, r sin r) / 5 + noise N(0, I)``. With the default noise this is the law of
    scikit-learn's ``make_swiss_roll(noise=0.5)``, its first and third coordinate divided by 5.

    Attributes:
        noise: Standard deviation of the noise, non-negative.
        scale: Scale of the spiral, positive.

    Raises:
        ValueError: If the noise is negative or the scale is not positive.
    """

    noise: float = 0.1
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Check."""
        if not (0 <= self.noise < math.inf and 0 < self.scale < math.inf):
            raise ValueError(
                f"noise: got {self.noise} with scale {self.scale}, allowed is >= 0 with scale > 0"
            )

    @property
    def d(self) -> int:
        """Dimension, 2."""
        return 2

    @cached_property
    def mixture(self) -> Mixture:
        """The law as a Gaussian mixture whose centres are quadrature nodes on the spiral."""
        return self._mixture(NODES)

    def sample(
        self, n: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draw ``n`` independent points, shape ``(n, 2)``."""
        device = generator.device
        place = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
        noise = torch.randn(n, 2, generator=generator, dtype=torch.float64, device=device)
        return (self.scale * spiral(place) + self.noise * noise).to(dtype)

    def noised(self, process: LinearSDE, time: float) -> "SwissRoll":
        """The law of ``alpha X + sigma noise`` at ``time``."""
        signal_scale, noise_scale = (float(scale) for scale in process.moments(time))
        return SwissRoll(
            math.hypot(signal_scale * self.noise, noise_scale), signal_scale * self.scale
        )

    def log_density(self, data: Tensor) -> Tensor:
        """Log density in nats at ``data`` of shape ``(..., 2)``."""
        return self.mixture.log_density(data)

    def score(self, data: Tensor) -> Tensor:
        """Gradient of the log density, shape ``(..., 2)``."""
        return self.mixture.score(data)

    def path_score(self, process: LinearSDE) -> Callable[[Tensor, float | Tensor], Tensor]:
        """Scores of all noised laws, as a function of ``(noisy (..., 2), time (...))``."""
        return self.mixture.path_score(process)

    def entropy(self, *, generator: torch.Generator | None = None, n: int = DRAWS) -> Estimate:
        """Differential entropy in nats, by quadrature; draws only if the noise is tiny."""
        return self._mixture(NODES_FOR_ENTROPY).entropy(generator=generator, n=n)

    def information(
        self,
        process: LinearSDE,
        time: float,
        *,
        generator: torch.Generator | None = None,
        n: int = DRAWS,
    ) -> Estimate:
        """Mutual information ``I(X; X_t)`` in nats, from the entropy of the noised law."""
        entropy = self.noised(process, time).entropy(generator=generator, n=n)
        return information_from_entropy(entropy, process, time, self.d)

    def _mixture(self, nodes_per_noise: float) -> Mixture:
        if self.noise == 0:
            raise ValueError("noise: got 0, a law on a curve has no density; noise it first")
        # The squared radius is nearly proportional to arc length, so nodes even in it are even
        # along the curve; du = dr / (3 pi) = d(r^2) / (6 pi r).
        first, last = (2.25 * math.pi**2, 20.25 * math.pi**2)
        length = self.scale * (last - first) / 2 / SHRINK
        panels = math.ceil(max(1.0, nodes_per_noise * length / self.noise / PANEL_NODES))
        nodes, weights = np.polynomial.legendre.leggauss(PANEL_NODES)
        # Far points see an end of the curve as a sharp edge, hence short panels there.
        edges = (1 - np.cos(np.pi * np.arange(panels + 1) / panels)) / 2
        widths = np.diff(edges)[:, None]
        places = edges[:-1, None] + widths * (nodes + 1) / 2
        radius = np.sqrt(first + (last - first) * places)
        centres = self.scale * spiral(torch.as_tensor(radius / (3 * np.pi) - 0.5).flatten())
        log_weights = torch.log(torch.as_tensor(widths * weights / radius)).flatten()
        return Mixture(centres, self.noise**2, log_weights - log_weights.logsumexp(0))


def spiral(place: Tensor) -> Tensor:
    """Points of the noiseless spiral.

    Args:
        place: Where on the curve, in [0, 1], any shape.

    Returns:
        Shape ``(..., 2)``.
    """
    radius = 1.5 * math.pi * (1 + 2 * place)
    return torch.stack([radius * radius.cos(), radius * radius.sin()], -1) / SHRINK
