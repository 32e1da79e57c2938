import math

import pytest
import torch

from genbound.derivations import memorization as proof
from genbound.derivations import trade_off

LETTERS = (*trade_off.letters, proof.bandwidth2)


def cases(count=4000, seed=0):
    """a, n, d, M, h^2 at random."""
    gen = torch.Generator().manual_seed(seed)
    share = torch.rand(count, generator=gen, dtype=torch.float64).clamp(1e-4, 1 - 1e-4)
    n, d = (
        torch.randint(low, high, (count,), generator=gen).double()
        for low, high in ((2, 100), (1, 20))
    )
    norm2, bandwidth2 = torch.randn(2, count, generator=gen, dtype=torch.float64).mul(2).exp()
    return share, n, d, norm2, bandwidth2


def test_grades():
    assert set(proof.memorization.grades) <= {"proved", "granted"}
    assert proof.gaussian_integral.grade == proof.kernel_mean.grade == "proved"
    assert proof.gap_is_bounded.grade == "sampled"


def test_corollary_m_is_never_below_the_truth():
    point = cases()
    gap = proof.solved_gap.to_torch(*LETTERS)(*point)
    # Far from the data a smaller spread keeps the sample away: the gap may be negative.
    assert float(gap.min()) < 0 and float(gap.max()) > 0.1
    bound = proof.memorization.to_torch(proof.energy, trade_off.n)
    for name in ("generator_information", "energy_mean", "energy_prior", "energy_zero"):
        energy = getattr(trade_off, name).to_torch(*trade_off.letters)(*point[:4])
        assert bool((gap <= bound(energy, point[1])).all()), name
    # The sharpest reference is not far off: a constant four times smaller would be violated.
    mean = trade_off.energy_mean.to_torch(*trade_off.letters)(*point[:4])
    assert bool((gap > bound(mean, point[1]) / 4).any())


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_solved_gap_against_simulation(n):
    gen, d, share, bandwidth = torch.Generator().manual_seed(n), 2, 0.2, 0.9
    mu, count, kept = torch.tensor([1.0, -0.5]).double(), 200_000, 1 - share

    def normal():
        return torch.randn(count, d, generator=gen, dtype=torch.float64)

    datum, fresh = mu + normal(), mu + normal()
    learned = (datum + (n - 1) * mu + math.sqrt(n - 1) * normal()) / n
    made = math.sqrt(share) * normal() + kept * learned + math.sqrt(kept) * normal()

    def kernel(other):
        return torch.exp((made - other).square().sum(-1) / (-2 * bandwidth**2))

    gaps = kernel(datum) - kernel(fresh)
    point = (share, n, d, float(mu.square().sum()), bandwidth**2)
    solved = float(proof.solved_gap.to_torch(*LETTERS)(*point))
    assert abs(float(gaps.mean()) - solved) <= 4 * float(gaps.std()) / math.sqrt(count)
