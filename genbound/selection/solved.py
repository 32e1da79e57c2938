"""What each rule costs where the truth is known: the mean learner, many samples at once.

For data N(mu, I) and a learner of the mean every criterion is a closed form of the sample, and so
is the divergence at the chosen horizon. The regret is that divergence less the least possible
one, in expectation over samples. Training for each horizon and truncating one model are the same
here, because the learned mean does not depend on the horizon.
"""

import math

import pandas as pd
import torch
from torch import Generator, Tensor

from genbound.derivations import gaussian, trade_off
from genbound.estimate import mean
from genbound.sde import LinearSDE, vp
from genbound.selection.closed_form import lambert_clock

__all__ = ["choices", "regret"]

LETTERS = trade_off.letters


def regret(
    *,
    n: int,
    d: int,
    norm2: float,
    repetitions: int,
    generator: Generator,
    horizons: Tensor | None = None,
    held_out: int | None = None,
    process: LinearSDE | None = None,
) -> pd.DataFrame:
    """Expected divergence at the horizon that each rule chooses, less the least one.

    Args:
        n: Training samples, at least 2.
        d: Dimension.
        norm2: Squared norm M of the true mean, positive.
        repetitions: Training samples drawn, at least 2.
        generator: Source of all of them.
        horizons: Grid of the rules that search; 40 times from 0.05 to 1.4 by default.
        held_out: Size of the held-out sample, n by default.
        process: Variance-preserving process; the linear schedule by default.

    Returns:
        One row per rule: ``rule``, mean chosen ``clock``, ``divergence``, ``regret`` and its
        standard error ``stderr``, and ``relative``, the regret over the least divergence. The
        regrets are paired with the best horizon's divergence sample by sample, whose mean is
        known; rules of one table share their samples. A rule that looks at fresh data may have a
        negative regret, because its horizon follows the sample.

    Raises:
        ValueError: If a count or ``norm2`` is out of range.
    """
    if n < 2 or repetitions < 2 or not norm2 > 0:
        raise ValueError(
            f"n, repetitions, norm2: got {n}, {repetitions}, {norm2}; "
            "allowed are at least 2, at least 2, positive"
        )
    truth = torch.full((d,), math.sqrt(norm2 / d), dtype=torch.float64, device=generator.device)
    like = {"generator": generator, "dtype": torch.float64, "device": generator.device}
    sample = truth + torch.randn(repetitions, n, d, **like)
    fresh = truth + torch.randn(repetitions, held_out or n, d, **like).mean(1)
    chosen = choices(
        sample,
        fresh_mean=fresh,
        norm2=norm2,
        horizons=_grid() if horizons is None else horizons,
        process=process or vp(),
        generator=generator,
    )
    learned = sample.mean(1)
    least = float(trade_off.exact_minimum.to_torch(*LETTERS)(0.5, n, d, norm2))

    def divergence(share: Tensor) -> Tensor:
        return (truth - (1 - share)[:, None] * learned).square().sum(-1) / 2

    best = divergence(chosen["best constant T"])
    rows = []
    for rule, share in chosen.items():
        excess = mean((divergence(share) - best).cpu(), method=rule)
        rows.append(
            {
                "rule": rule,
                "clock": float(-share.clamp(min=1e-300).log().mean()),
                "divergence": least + excess.value,
                "regret": excess.value,
                "stderr": excess.stderr,
                "relative": excess.value / least,
            }
        )
    return pd.DataFrame(rows)


def choices(
    sample: Tensor,
    *,
    fresh_mean: Tensor,
    norm2: float,
    horizons: Tensor,
    process: LinearSDE,
    generator: Generator,
) -> dict[str, Tensor]:
    """The share ``a = alpha_T^2`` of signal at the horizon that each rule chooses.

    Args:
        sample: Training samples, shape ``(repetitions, n, d)``.
        fresh_mean: Means of held-out samples, shape ``(repetitions, d)``.
        norm2: Squared norm of the true mean, for the best choice possible.
        horizons: Increasing grid for the rules that search, shape ``(h,)``.
        process: Variance-preserving process.
        generator: Source of the random horizon.

    Returns:
        Shape ``(repetitions,)`` for each rule.
    """
    repetitions, n, d = sample.shape
    learned = sample.mean(1)
    square = learned.square().sum(-1)
    signal2 = process.moments(horizons.to(sample))[0].square()
    shortest, longest = signal2[0], signal2[-1]
    default = process.moments(torch.tensor(1.0, dtype=sample.dtype))[0].square().to(sample)
    ones = torch.ones_like(square)

    # Tight and likelihood bound are linear in a, so one slope decides, for the derivative as well.
    with_information = square / 2 - _gap_slope(n, d)
    measured = (fresh_mean * learned).sum(-1) - square / 2

    variance = (sample - learned[:, None]).square().sum((1, 2)) / (n - 1)
    norm2_hat = (square - variance / n).clamp(min=0)
    clock = trade_off.best_clock.to_torch(trade_off.n, trade_off.d, trade_off.M)(n, d, norm2_hat)
    energy = trade_off.energy_zero.to_torch(*LETTERS)(default, math.inf, d, square)
    norm = (2 * energy / -default.log()).sqrt()
    radius = sample.norm(dim=-1).mean(1)
    shrink = ((fresh_mean * learned).sum(-1) / square).clamp(0, 1)
    nearest = ((1 - signal2) - shrink[:, None]).abs().argmin(1)
    random = torch.randint(len(signal2), (repetitions,), generator=generator, device=sample.device)
    return {
        "best constant T": ones * float(trade_off.minimiser.subs(_point(n, d, norm2))),
        "fixed, T = 1": ones * default,
        "random T": signal2[random],
        "retrain or one model, paper's form": signal2[_paper_form(sample, signal2).argmin(1)],
        "one model or derivative, information": torch.where(
            with_information > 0, longest, shortest
        ),
        "one model or derivative, held-out": torch.where(measured > 0, longest, shortest),
        "plug-in, paper": (-lambert_clock(n, norm, radius)).exp().clamp(longest, shortest),
        "plug-in, shrinkage": (-clock).exp().clamp(longest, shortest),
        "validation, likelihood": signal2[nearest],
    }


def _paper_form(sample: Tensor, signal2: Tensor) -> Tensor:
    """Mean root of the rate plus the root of the path energy over n, shape (repetitions, h)."""
    n, d = sample.shape[1:]
    squares = sample.square().sum(-1)
    rate = gaussian.prior_kl.to_torch(*gaussian.prior_kl_args)
    encoder = torch.stack([rate(share, squares, d).sqrt().mean(1) for share in signal2], 1)
    learned2 = sample.mean(1).square().sum(-1, keepdim=True)
    energy = trade_off.energy_zero.to_torch(*LETTERS)(signal2, math.inf, d, learned2)
    return encoder + (energy / n).sqrt()


def _gap_slope(n: int, d: int) -> float:
    """Slope in 1 - a of the information bound on the gap."""
    return float(trade_off.gap_is_bounded.to_torch(*LETTERS)(0.5, n, d, 1.0)) / 0.5


def _point(n: int, d: int, norm2: float) -> dict:
    return {trade_off.n: n, trade_off.d: d, trade_off.M: norm2}


def _grid() -> Tensor:
    return torch.linspace(0.05, 1.4, 40, dtype=torch.float64)
