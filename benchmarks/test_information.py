"""Information of the encoder about its datum: (1/n) sum_i KL(E_t(x_i) || mixture of all)."""

import resource

import pytest
import torch

from benchmarks.baselines import exact_loop, kde_loop
from genbound import data, sde
from genbound.estimators.information import encoder_information
from genbound.estimators.mixture_divergence import divergences_to_mixture

PROCESS, TIME = sde.vp(), 0.2
SIGNAL, NOISE = (float(scale) for scale in PROCESS.moments(TIME))


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("n", "target"), [(200, 500), (2000, 1000)])
def test_plane(versus, n, target):
    sample = data.SwissRoll().sample(n, generator=seeded())
    components = min(n, 100)
    baseline = {}

    def loop():
        baseline["value"] = kde_loop(SIGNAL * sample, NOISE**2, draws=1000, components=components)

    def ours():
        return encoder_information(PROCESS, sample, TIME, draws=1000, generator=seeded())

    versus(
        f"information, d = 2, n = {n}, against a KDE loop",
        ours,
        loop,
        target=target,
        part=components / n,
    )
    assert baseline["value"] == pytest.approx(ours().value, abs=0.3)


@pytest.mark.parametrize(("d", "components"), [(64, 50), (784, 10)])
def test_space(versus, d, components):
    n, draws = 1000, 64
    sample = torch.randn(n, d, generator=seeded(2), dtype=torch.float64) * (3 / d**0.5)
    centres = SIGNAL / NOISE * sample

    def ours():
        return divergences_to_mixture(centres, draws=draws, generator=seeded(), block=128)

    def loop():
        exact_loop(centres, 1.0, draws=draws, components=components)

    parts = ours()
    versus(
        f"information, d = {d}, n = {n}, against an exact loop",
        ours,
        loop,
        target=50,
        part=components / n,
        note=f"{float(parts.kl.mean()):.3f}, Monte Carlo error {parts.mean_noise**0.5:.3f}",
    )


def test_many_images(versus):
    n, d, among = 60_000, 3072, 128
    sample = torch.randn(n, d, generator=seeded(2)) * (3 / d**0.5)
    before = peak()

    def ours():
        encoder_information(
            PROCESS, sample, TIME, draws=4, generator=seeded(), block=128, among=among
        )

    def loop():
        exact_loop(SIGNAL * sample, NOISE**2, draws=4, components=2)

    versus(
        f"information, d = {d}, n = {n}, against an exact loop",
        ours,
        loop,
        target=1,
        part=2 / among,
        rounds=1,
        note=f"{among} of the data against the mixture of all {n}",
    )
    # The data in double precision, and a few rows of n numbers: never n x n, nor n x draws x d.
    assert peak() - before < 8 * n * d * 3 + 8 * n * 2048


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
