"""Many small score networks at once, against one after the other."""

import pytest
import torch

from benchmarks.baselines import langevin_one_after_the_other, train_one_after_the_other
from genbound import data, sde
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.training import sgld, stream, train

PROCESS = sde.vp()


def build(member):
    generator, width = stream(member["seed"], "initialisation"), member.get("width", 128)
    net = MLP(2 + N_FEATURES, 2, width=width, depth=3, generator=generator)
    return Diffusion(net, PROCESS, horizon=1.0, t_min=0.02)


MEMBERS = [{"seed": seed, "lr": 1e-3} for seed in range(32)]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def problem(batch):
    generator = torch.Generator().manual_seed(0)
    sample = data.SwissRoll().sample(1000, generator=generator, dtype=torch.float32)
    objective = denoising_objective(PROCESS, batch=batch, horizon=1.0, t_min=0.02)
    return objective, build, sample.to(DEVICE)


@pytest.mark.parametrize(("batch", "target"), [(50, 4), (256, 2)])
def test_ensemble(versus, batch, target):
    given = problem(batch)
    versus(
        f"32 score networks, batch {batch}, against one after the other",
        lambda: train(*given, MEMBERS, steps=50),
        lambda: train_one_after_the_other(*given, MEMBERS[:8], steps=50),
        target=10 if DEVICE == "cuda" else target,
        part=8 / 32,
    )


# Noise for every weight in every step: of wide networks it is half of the work, for both.
@pytest.mark.parametrize(("width", "target"), [(32, 4), (128, 1.5)])
def test_langevin_ensemble(versus, width, target):
    given, beta = problem(50), 1e4
    members = [{**member, "width": width} for member in MEMBERS]
    rule = sgld(inverse_temperature=torch.full((len(members),), beta))
    versus(
        f"32 Langevin chains of width {width}, against one after the other",
        lambda: train(*given, members, steps=50, optimiser=rule),
        lambda: langevin_one_after_the_other(
            *given, members[:8], steps=50, inverse_temperature=beta
        ),
        target=10 if DEVICE == "cuda" else target,
        part=8 / 32,
    )
