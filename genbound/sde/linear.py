"""Linear noising processes, fixed by two expressions: the signal scale and the noise variance.

Given the data, the state at time t is Gaussian, ``X_t = alpha(t) X + sigma(t) noise``. Drift and
diffusion of ``dX = f X dt + g dW`` follow from this pair by differentiation, which always ends in
closed form; the converse integration need not. Hence a process *is* the pair, and every other
letter, and every tensor function, is derived from it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from genbound.sde.letters import (
    check_inverse,
    check_noising,
    closed_clock,
    log_snr,
    preserves_variance,
    t,
)
from genbound.symbolic import to_torch

__all__ = ["LinearSDE", "log_snr", "t"]

Time = float | Tensor

QUADRATURE_NODES = 64
BISECTIONS = 64
EARLIEST = 1e-30


@dataclass(frozen=True)
class LinearSDE:
    """A linear noising process ``dX = f X dt + g dW`` with ``X_t | X ~ N(alpha X, sigma2 I)``.

    An attribute is a SymPy expression in ``sde.t``, a call gives tensors in the dtype and on the
    device of its argument (float64 for a Python number) and works under ``vmap`` and ``grad``.

    Attributes:
        alpha: Signal scale, 1 at time 0.
        sigma2: Noise variance, 0 at time 0. Write it with ``symbolic.expm1`` where it is one minus
            an exponential: in float32 ``1 - exp(-B)`` is exactly 0 at B = 1e-8.
        name: For people; plays no part in equality.
        inverse: Time as an expression of ``sde.log_snr``, if known.

    Raises:
        ValueError: If the pair is no noising process on (0, 1), or ``inverse`` is not its inverse.
    """

    alpha: sp.Expr
    sigma2: sp.Expr
    name: str = field(default="", kw_only=True, compare=False)
    inverse: sp.Expr | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the definition."""
        for letter in ("alpha", "sigma2"):
            object.__setattr__(self, letter, sp.sympify(getattr(self, letter)))
        check_noising(self.alpha, self.sigma2)
        if self.inverse is not None:
            object.__setattr__(self, "inverse", sp.sympify(self.inverse))
            check_inverse(self.inverse, self.log_snr)

    @cached_property
    def log_snr(self) -> sp.Expr:
        """Log signal-to-noise ratio ``log(alpha^2 / sigma2)``."""
        return 2 * sp.log(self.alpha) - sp.log(self.sigma2)

    @cached_property
    def drift(self) -> sp.Expr:
        """Drift coefficient ``f = alpha' / alpha``."""
        return sp.diff(sp.log(self.alpha), t)

    @cached_property
    def diffusion2(self) -> sp.Expr:
        """Squared diffusion coefficient ``g^2 = (sigma2)' - 2 f sigma2``."""
        if self.preserves_variance:
            return sp.factor(-2 * self.drift)
        plain = sp.expand_func(self._diffusion2_sum)
        factored = sp.powsimp(sp.factor(sp.expand(plain, power_exp=False)))
        return min(plain, factored, key=sp.count_ops)

    @cached_property
    def clock(self) -> sp.Expr | None:
        """Integral of ``diffusion2`` from 0 to t, or ``None`` if no closed form was found."""
        return closed_clock(self.alpha, self.sigma2, self.diffusion2)

    @cached_property
    def preserves_variance(self) -> bool:
        """Whether ``alpha^2 + sigma2 = 1``, so that N(0, I) is left as it is."""
        return preserves_variance(self.alpha, self.sigma2)

    def moments(self, time: Time) -> tuple[Tensor, Tensor]:
        """Signal scale and noise scale.

        Args:
            time: Times, any shape.

        Returns:
            ``alpha(time)`` and ``sigma(time)``, each of the shape of ``time``.
        """
        return _compiled(t, self.alpha)(time), _compiled(t, self.sigma2)(time).sqrt()

    def log_snr_of(self, time: Time) -> Tensor:
        """Log signal-to-noise ratio at ``time`` (nats)."""
        return _compiled(t, self.log_snr)(time)

    def drift_of(self, time: Time) -> Tensor:
        """Drift coefficient at ``time``."""
        return _compiled(t, self.drift)(time)

    def diffusion2_of(self, time: Time) -> Tensor:
        """Squared diffusion coefficient at ``time``."""
        return _compiled(t, self._diffusion2_sum)(time)

    def clock_of(self, time: Time) -> Tensor:
        """Integral of the squared diffusion coefficient from 0 to ``time``.

        Closed form where there is one, else Gauss-Legendre quadrature.
        """
        if self.clock is not None:
            return _compiled(t, self.clock)(time)
        time = _as_tensor(time)
        nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
        # v -> v^2 keeps a smooth integrand smooth and tames a g^2 like 1/sqrt(t) at the start.
        roots = torch.as_tensor((nodes + 1) / 2, dtype=time.dtype, device=time.device)
        weight = torch.as_tensor(weights, dtype=time.dtype, device=time.device) * roots
        values = _compiled(t, self._diffusion2_sum)(time.unsqueeze(-1) * roots**2)
        return time * (values * weight).sum(-1)

    def time_of(self, log_snr: Time) -> Tensor:
        """Time at which the log signal-to-noise ratio has a given value.

        Args:
            log_snr: Log signal-to-noise ratios, any shape (nats).

        Returns:
            Times. Without ``inverse`` they are sought in (0, 1] by bisection in float64, and are
            ``nan`` where there is none; the gradient then comes from a last Newton step.
        """
        if self.inverse is not None:
            return _inverse_word(self.inverse)(log_snr)
        given = _as_tensor(log_snr)
        return self._bisect(given.double()).to(given.dtype)

    def perturb(self, data: Tensor, time: Time, noise: Tensor) -> Tensor:
        """Noise the data: ``alpha(time) data + sigma(time) noise``.

        Args:
            data: Shape ``(..., d)``.
            time: One number, or a shape that broadcasts with ``data.shape[:-1]``.
            noise: Standard normal, of the shape of the result.

        Returns:
            The noised data, shape ``(..., d)``.
        """
        signal_scale, noise_scale = self.moments(_like(time, data))
        return signal_scale.unsqueeze(-1) * data + noise_scale.unsqueeze(-1) * noise

    def kernel_score(self, data: Tensor, noisy: Tensor, time: Time) -> Tensor:
        """Score of the kernel, ``-(noisy - alpha data) / sigma2``, shape ``(..., d)``."""
        time = _like(time, noisy).unsqueeze(-1)
        return (_compiled(t, self.alpha)(time) * data - noisy) / _compiled(t, self.sigma2)(time)

    def reverse_drift(self, score: Callable[[Tensor, Tensor], Tensor]) -> Callable:
        """Drift of the time-reversed process, in the direction of forward time.

        With the score of the noised laws, ``dX = (f X - g^2 score) dt + g dW``, run from the
        horizon down, has the laws of the forward process.

        Args:
            score: Function of ``(state, time)``.

        Returns:
            Function of ``(state, time)``, with state of shape ``(..., d)``.

        Reference:
            Anderson, Reverse-time diffusion equation models (1982).
        """

        def drift(state: Tensor, time: Time) -> Tensor:
            time = _like(time, state)
            rate, diffusion2 = self.drift_of(time), self.diffusion2_of(time)
            return rate.unsqueeze(-1) * state - diffusion2.unsqueeze(-1) * score(state, time)

        return drift

    @cached_property
    def _diffusion2_sum(self) -> sp.Expr:
        # Two non-negative summands, for a process that shrinks the signal, so the compiled sum
        # keeps its digits near time 0, where the simplified letter may cancel.
        return sp.diff(self.sigma2, t) - 2 * self.drift * self.sigma2

    def _bisect(self, target: Tensor) -> Tensor:
        fixed = target.detach()
        low = torch.full_like(fixed, np.log(EARLIEST))
        high = torch.zeros_like(fixed)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            early = _compiled(t, self.log_snr)(middle.exp()) > fixed
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        time = ((low + high) / 2).exp()
        slope = -_compiled(t, self._diffusion2_sum)(time) / _compiled(t, self.sigma2)(time)
        polished = time - (_compiled(t, self.log_snr)(time) - target) / slope
        ends = _compiled(t, self.log_snr)(torch.tensor([EARLIEST, 1.0]).to(fixed))
        inside = (fixed <= ends[0]) & (fixed >= ends[1])
        return torch.where(inside, polished, torch.nan)


@cache
def _compiled(symbol: sp.Symbol, expr: sp.Expr) -> Callable[[Time], Tensor]:
    function = to_torch((symbol,), expr)

    def word(value: Time) -> Tensor:
        value = _as_tensor(value)
        # a constant letter compiles to a scalar
        return function(value).expand(value.shape)

    return word


def _inverse_word(inverse: sp.Expr) -> Callable[[Time], Tensor]:
    return _compiled(log_snr, inverse)


def _as_tensor(value: Time) -> Tensor:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value
    return torch.as_tensor(value, dtype=torch.float64)


def _like(value: Time, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(like)
    return torch.tensor(value, dtype=like.dtype, device=like.device)
