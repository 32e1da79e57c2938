"""Divergence of the components of an isotropic Gaussian mixture from the whole mixture.

The mean over the components is the information between the index of a component and a point drawn
from it. Everything is written with products of matrices: nothing of size n x n x d is held.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genbound.data.quadrature import standard_nodes

__all__ = ["Divergences", "divergences_to_mixture", "gathered", "leave_one_out"]

# exp() of a float64 stays normal over this range, with room for the sum over the mixture.
EXPONENT_RANGE = 600.0
# Logarithm of a term that adds nothing to a sum of at least 1, even n times.
NEGLIGIBLE = -60.0
# Entries of the array that the slow path of _log_sums may hold.
SUM_ENTRIES = 2**22
# Largest dimension in which quadrature takes the place of draws, and its nodes per axis. The
# fewest are enough for many data: on a spiral of 400 points the mean errs by 2e-6 at most.
QUADRATURE_D = 2
ORDERS = (16, 96)
# Evaluations of an exponential, about a tenth of a second.
BUDGET = 2**24


class Divergences(NamedTuple):
    """Monte Carlo values of ``KL(N(c_i, v I) || mean_j N(c_j, v I))``, one per component.

    Attributes:
        kl: Value of each of m components, shape ``(m,)``, float64; unbiased if drawn.
        effect: Effect of each on the mean of the values, up to a constant, shape ``(m,)``.
        noise: Squared numerical error of each effect, shape ``(m,)``: its Monte Carlo variance.
        mean_noise: The same for the mean of the values. Components of a block share their draws,
            so this is not the mean of ``noise`` divided by m.
        method: How they were obtained.
    """

    kl: Tensor
    effect: Tensor
    noise: Tensor
    mean_noise: float
    method: str


@torch.no_grad()
def divergences_to_mixture(
    centres: Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    block: int | None = None,
    among: int | None = None,
) -> Divergences:
    """Values of ``KL(N(c_i, I) || mean_j N(c_j, I))``.

    Args:
        centres: Centres in units of the common standard deviation, shape ``(n, d)``, n >= 2.
        draws: Draws per component, in antithetic pairs; even, at least 4. Not used in one and two
            dimensions.
        generator: Source of all randomness, on the device of ``centres``.
        block: Components that share their draws.
        among: Number m of components to evaluate, chosen at random; all by default. The mixture
            is that of all n.

    Returns:
        Values and their numerical errors.

    Raises:
        ValueError: If ``centres`` has no two rows, ``draws`` is odd or below 4 or ``among`` is
            not in 2..n.
    """
    if centres.ndim != 2 or len(centres) < 2:
        raise ValueError(f"data: got shape {tuple(centres.shape)}, allowed is (n, d) with n >= 2")
    if draws < 4 or draws % 2:
        raise ValueError(f"draws: got {draws}, allowed are even numbers from 4 on")
    if among is not None and not 2 <= among <= len(centres):
        raise ValueError(f"among: got {among}, allowed are 2..{len(centres)} (the number of data)")
    # Double precision throughout: near duplicates far from the origin leave no digits to spare.
    centres = centres.double() - centres.double().mean(0)
    if among is not None:
        order = torch.randperm(len(centres), generator=generator, device=centres.device)
        centres = centres[order]
    chosen = among or len(centres)
    if centres.shape[1] <= QUADRATURE_D:
        return _by_quadrature(centres, chosen)
    return _by_draws(centres, chosen, draws // 2, generator, block or max(16, draws // 4))


def _by_draws(
    centres: Tensor, chosen: int, pairs: int, generator: torch.Generator, block: int
) -> Divergences:
    n, d = centres.shape
    halves = centres.square().sum(1) / 2
    kl, echo, noise, mean_noise = [], [], [], 0.0
    for first in range(0, chosen, block):
        own = slice(first, min(first + block, chosen))
        shifts = torch.randn(
            pairs, d, generator=generator, dtype=torch.float64, device=centres.device
        )
        tilts, reach = shifts @ centres.mT, float(shifts.norm(dim=1).max())
        tilts = torch.cat([tilts, -tilts])
        ratios = _log_ratios(centres, halves, tilts, own, reach)
        echoes = leave_one_out(ratios, n)
        effects = (ratios + chosen / n * echoes).unflatten(1, (2, pairs)).mean(1)
        kl.append(ratios.mean(1))
        echo.append(echoes.mean(1))
        noise.append(effects.var(1) / pairs)
        sums = ratios.sum(0).unflatten(0, (2, pairs)).mean(0)
        mean_noise += float(sums.var()) / pairs / chosen**2
    parts = (torch.cat(part) for part in (kl, echo, noise))
    return gathered(*parts, mean_noise, n, f"{2 * pairs} draws each")


def _by_quadrature(centres: Tensor, chosen: int) -> Divergences:
    """The error is what the finer of two Gauss-Hermite rules changes."""
    n, d = centres.shape
    halves = centres.square().sum(1) / 2
    order = max(ORDERS[0], min(int((BUDGET / n / chosen) ** (1 / d)), ORDERS[1]))
    rules = [standard_nodes(each, d) for each in (order, 2 * order // 3)]
    nodes = torch.cat([nodes for nodes, _ in rules]).to(centres)
    weights = torch.block_diag(*(weights[None] for _, weights in rules)).mT.to(centres)
    tilts, reach = nodes @ centres.mT, float(nodes.norm(dim=1).max())
    rows = []
    for first in range(0, chosen, len(nodes)):
        own = slice(first, min(first + len(nodes), chosen))
        ratios = _log_ratios(centres, halves, tilts, own, reach)
        rows.append(torch.stack([ratios @ weights, leave_one_out(ratios, n) @ weights]))
    (kl, coarse_kl), (echo, coarse_echo) = torch.cat(rows, 1).movedim(-1, 1)
    kl_change, echo_change = kl - coarse_kl, echo - coarse_echo
    noise = (kl_change + chosen / n * echo_change).square()
    method = f"Gauss-Hermite quadrature, {order} nodes per axis"
    return gathered(kl, echo, noise, float(kl_change.mean()) ** 2, n, method)


def gathered(
    kl: Tensor, echo: Tensor, noise: Tensor, mean_noise: float, n: int, method: str
) -> Divergences:
    """Effects from values and echoes; data that were not chosen have an echo alone.

    Args:
        kl: Value of each of the chosen components, shape ``(m,)``.
        echo: What each does to the values of the others, see :func:`leave_one_out`; ``(m,)``.
        noise: Squared numerical error of each ``kl + m / n echo``, shape ``(m,)``.
        mean_noise: The same for the mean of the values.
        n: Number of all components.
        method: How they were obtained.

    Returns:
        All of it.
    """
    share = len(kl) / n
    unseen = float(echo.var()) * (1 - share) / n
    return Divergences(kl, kl + share * echo, noise, mean_noise + unseen, method)


def leave_one_out(ratios: Tensor, n: int) -> Tensor:
    """What a datum does to the values of the others, summed over them.

    Leaving out datum i divides the mixture at a noised point by 1 - w, with w the probability
    that i is its origin. Under the mixture w is the density of component i over n times that of
    all, so the sum over the others of ``E_j log(1 - w)`` is ``E_i (1 - w) log(1 - w) / w``: the
    jackknife needs no other evaluation. Without it intervals are too short where w is near 1.

    Args:
        ratios: Log density ratios at noised versions of some data, shape ``(b, k)``.
        n: Number of components.

    Returns:
        Values up to a constant, shape ``(b, k)``.
    """
    log_weight = (ratios - math.log(n)).clamp(min=-600, max=0)
    weight = log_weight.exp()
    return torch.special.xlog1py(-torch.expm1(log_weight), -weight) / weight


def _log_ratios(
    centres: Tensor, halves: Tensor, tilts: Tensor, own: slice, reach: float
) -> Tensor:
    """Log density of each component ``own`` less that of the mixture, at its noised centre.

    Args:
        centres: Shape ``(n, d)``.
        halves: Half their squared norms, ``(n,)``.
        tilts: Scalar products of the noise with the centres, shape ``(k, n)``.
        own: The components, b of them.
        reach: Largest norm of the noise.

    Returns:
        Shape ``(b, k)``.
    """
    affinities = (centres[own] @ centres.mT).sub_(halves).sub_(halves[own, None]).clamp_(max=0)
    # A component lies at distance 0 from itself, whatever rounding says.
    affinities[:, own].fill_diagonal_(0.0)
    log_sums = _log_sums(affinities, tilts, own, reach)
    return math.log(len(centres)) + tilts[:, own].mT - log_sums


def _log_sums(affinities: Tensor, tilts: Tensor, own: slice, reach: float) -> Tensor:
    """``log sum_j exp(affinities[i, j] + tilts[k, j])``, shape (b, k).

    The rows i are the components ``own``; each sum is at least its term j = i. So for a tilt that
    nowhere exceeds those of ``own`` by more than the range of the exponential, whatever underflows
    is negligible, and one product of matrices gives the sums to full precision. For the others
    the sums are taken in log space, over the components that are near one of the rows: at
    distance r, a term is at most ``exp(reach r - r^2 / 2)`` times the term j = i.
    """
    top = tilts.amax(1)
    tame = top - tilts[:, own].amin(1) < EXPONENT_RANGE
    result = affinities.new_empty(len(affinities), len(tilts))
    sums = affinities.exp() @ (tilts[tame] - top[tame, None]).exp_().mT
    result[:, tame] = sums.log_() + top[tame]
    if not tame.all():
        near = (affinities + reach * (-2 * affinities).sqrt()).amax(0) > NEGLIGIBLE
        affinities, wild = affinities[:, near], tilts[~tame][:, near]
        rows = max(1, SUM_ENTRIES // wild.numel())
        parts = [torch.logsumexp(part[:, None, :] + wild, -1) for part in affinities.split(rows)]
        result[:, ~tame] = torch.cat(parts)
    return result
