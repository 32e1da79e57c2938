"""Many small score networks at once, against one after the other."""

import pytest
import torch

from benchmarks.baselines import train_one_after_the_other
from genbound import data, sde
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.training import stream, train

PROCESS = sde.vp()


def build(member):
    generator = stream(member["seed"], "initialisation")
    net = MLP(2 + N_FEATURES, 2, width=128, depth=3, generator=generator)
    return Diffusion(net, PROCESS, horizon=1.0, t_min=0.02)


@pytest.mark.parametrize(("batch", "target"), [(50, 4), (256, 2)])
def test_ensemble(versus, batch, target):
    generator = torch.Generator().manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sample = data.SwissRoll().sample(1000, generator=generator, dtype=torch.float32).to(device)
    objective = denoising_objective(PROCESS, batch=batch, horizon=1.0, t_min=0.02)
    members = [{"seed": seed, "lr": 1e-3} for seed in range(32)]
    if device == "cuda":
        target = 10

    versus(
        f"32 score networks, batch {batch}, against one after the other",
        lambda: train(objective, build, sample, members, steps=50),
        lambda: train_one_after_the_other(objective, build, sample, members[:8], steps=50),
        target=target,
        part=8 / 32,
    )
