"""Negative log-likelihood of a score model: by its probability flow, and by its path bound.

A score model generates in two ways. The reverse SDE adds noise on the way back, the flow

    dx/dt = f x - g^2 s(x, t) / 2

does not; both start at N(0, I). With the exact score of the data and an endless horizon they end
in the same law, with a learned score in two different ones. :func:`ode_nll` is the likelihood of
the *flow*; the bounds of this package, :func:`nelbo` among them, and
:func:`genbound.estimators.divergence.model_nll` speak of the *SDE*.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torchdiffeq import odeint

from genbound.arguments import declared
from genbound.derivations import diffusion as proof
from genbound.estimate import Estimate, combine, mean
from genbound.estimators.information import encoder_rate
from genbound.estimators.score_matching import denoising
from genbound.protocols import ScoreModel

__all__ = ["bits_per_dimension", "nelbo", "ode_log_density", "ode_nll"]

# Numbers per evaluation of the model: points of a block, their probes and the dimension.
BLOCK_ENTRIES = 2**21

#: The solver's error is the change from this many times the tolerance.
COARSER = 10.0


@declared
def ode_nll(
    model: ScoreModel,
    data: Tensor,
    *,
    generator: torch.Generator,
    probes: int | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Estimate:
    """Negative log-likelihood of noised data under the flow, at t_min.

    ``-E log p(alpha x + sigma eps)``, where p is the law at ``t_min`` of the probability-flow ODE
    started from N(0, I) at the horizon. It is not the law of the reverse SDE.

    Args:
        model: Score model; its score must be differentiable by ``torch.func``.
        data: Data, each noised to ``t_min`` once; shape ``(n, d)``, n >= 2.
        generator: Source of noise and probes, on the device of ``data``.
        probes: Random sign vectors per datum for the divergence of the flow (Hutchinson's
            estimator, unbiased); exact by default, which costs d backward passes per step.
        rtol: Relative tolerance of the solver.
        atol: Absolute tolerance of the solver.

    Returns:
        Nats per datum. The standard error covers data, noise, probes and, added in squares, the
        solver: how far the mean moves at ten times the tolerance.

    Raises:
        ValueError: If ``data`` is no matrix of at least two rows, or ``probes`` is below 1.

    Reference:
        Song, Sohl-Dickstein, Kingma, Kumar, Ermon and Poole (2021), section 4.3.
    """
    _check(data, probes)
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype, device=data.device)
    points = model.process.perturb(data, model.t_min, noise)
    signs = _signs(points, probes, generator)
    fine, coarse = (
        _log_density(model, points, signs, scale * rtol, scale * atol) for scale in (1.0, COARSER)
    )
    change = abs(float((fine - coarse).mean()))
    how = "exact divergence" if probes is None else f"{probes} probes per datum"
    method = f"probability flow, {how}; solver error {change:.1g}"
    estimate = mean(-fine, method=method, side="consistent")
    return replace(estimate, stderr=math.hypot(estimate.stderr, change))


@declared
def ode_log_density(
    model: ScoreModel,
    points: Tensor,
    *,
    generator: torch.Generator | None = None,
    probes: int | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """Log density of the flow's end at given points.

    Args:
        model: Score model.
        points: Points at ``t_min``, shape ``(n, d)``.
        generator: Source of the probes; needed only with ``probes``.
        probes: As for :func:`ode_nll`.
        rtol: Relative tolerance of the solver.
        atol: Absolute tolerance of the solver.

    Returns:
        Nats, shape ``(n,)``, float64.

    Raises:
        ValueError: If ``points`` is no matrix, or probes are asked for without a generator.
    """
    _check(points, probes)
    return _log_density(model, points, _signs(points, probes, generator), rtol, atol)


@declared
def nelbo(model: ScoreModel, data: Tensor, *, draws: int, generator: torch.Generator) -> Estimate:
    """Path bound on the negative log-likelihood of noised data under the reverse SDE, at t_min.

    ``loss(x) + KL(E_T(x) || N(0, I)) + d/2 log(2 pi e sigma_min^2)``, averaged over the data,
    with the times of the loss drawn in proportion to its weight. On training data it is what
    training minimises, on held-out data a bound on the test likelihood.

    Args:
        model: Score model.
        data: Shape ``(n, d)``, n >= 2.
        draws: Noise levels per datum.
        generator: Source of levels and noise, on the device of ``data``.

    Returns:
        Nats per datum; the side is ``upper``, as of a likelihood.

    Reference:
        Song, Durkan, Murray and Ermon (2021); Huang, Lim and Courville (2021).
    """
    parts = {
        proof.dsm: denoising(model, data, draws=draws, generator=generator),
        proof.rate: encoder_rate(model.process, data, model.horizon),
    }
    constants = {
        proof.d: data.shape[-1],
        proof.sigma2_min: float(model.process.moments(model.t_min)[1]) ** 2,
    }
    method = f"path bound per datum, {draws} draws"
    return replace(combine(proof.nelbo.expr, parts, constants, method=method), side="upper")


@declared
def bits_per_dimension(estimate: Estimate, d: int) -> Estimate:
    """A negative log-likelihood in bits per dimension, ``nats / (d log 2)``.

    Args:
        estimate: Nats per datum.
        d: Dimension of a datum.

    Returns:
        Bits per dimension, with the error and the side of ``estimate``.
    """
    expr, method = proof.bits_per_dimension.expr, f"{estimate.method}; bits per dimension"
    return combine(expr, {proof.nll: estimate}, {proof.d: d}, method=method)


def _check(points: Tensor, probes: int | None) -> None:
    if points.ndim != 2:
        raise ValueError(f"data: got shape {tuple(points.shape)}, allowed is (n, d)")
    if probes is not None and probes < 1:
        raise ValueError(f"probes: got {probes}, allowed is at least 1, or None for exact")


def _signs(points: Tensor, probes: int | None, generator: torch.Generator | None) -> Tensor | None:
    """Random sign vectors, shape (probes, n, d); one path keeps its own."""
    if probes is None:
        return None
    if generator is None:
        raise ValueError("generator: probes are random, pass one")
    shape = (probes, *points.shape)
    bits = torch.randint(2, shape, generator=generator, device=points.device)
    return (2 * bits - 1).to(points.dtype)


@torch.no_grad()
def _log_density(
    model: ScoreModel, points: Tensor, signs: Tensor | None, rtol: float, atol: float
) -> Tensor:
    n, d = points.shape
    ends = [float(model.process.log_snr_of(time)) for time in (model.t_min, model.horizon)]
    log_snr = torch.tensor(ends, dtype=points.dtype, device=points.device)
    block = max(1, BLOCK_ENTRIES // (d * (d if signs is None else len(signs))))
    parts = []
    for start in range(0, n, block):
        part = points[start : start + block]
        flow = _flow(model, None if signs is None else signs[:, start : start + block])
        begin = (part, torch.zeros_like(part[:, 0]))
        states, volumes = odeint(flow, begin, log_snr, rtol=rtol, atol=atol, method="dopri5")
        norms = states[-1].double().square().sum(-1)
        parts.append(volumes[-1].double() - (norms + d * math.log(2 * math.pi)) / 2)
    return torch.cat(parts)


def _flow(model: ScoreModel, signs: Tensor | None):  # noqa: ANN202
    """Velocity of the flow in the log signal-to-noise ratio, and its divergence.

    There ``dt = -sigma^2 / g^2 d log_snr``, so the score enters with sigma^2 / 2, a number of
    order one at every noise level.
    """
    process = model.process

    def flow(log_snr: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        points, _ = state
        time = process.time_of(log_snr.double())
        noise2 = process.moments(time)[1].square()
        rate = (-process.drift_of(time) * noise2 / process.diffusion2_of(time)).to(points)
        weight = (noise2 / 2).to(points)
        at = time.to(points).expand(len(points))
        score, pull = torch.func.vjp(lambda x: model.score(x, at), points)
        probes = torch.eye(points.shape[1]).to(points)[:, None] if signs is None else signs
        traces = torch.vmap(lambda probe: _quadratic(pull, probe.expand_as(points)))(probes)
        trace = traces.sum(0) if signs is None else traces.mean(0)
        return rate * points + weight * score, rate * points.shape[1] + weight * trace

    return flow


def _quadratic(pull, probe: Tensor) -> Tensor:  # noqa: ANN001
    """Probe times Jacobian times probe, per point."""
    return (pull(probe)[0] * probe).sum(-1)
