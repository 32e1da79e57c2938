"""The whole diffusion bound of one trained model, against its terms the released way."""

import torch

from benchmarks.baselines import euler_maruyama_energy, kde_loop, rates_by_cholesky
from genbound import bounds, data, sde
from genbound.models.diffusion import N_FEATURES, Diffusion
from genbound.models.networks import MLP

PROCESS, T_MIN = sde.vp(), 0.02


def test_whole_bound(versus):
    generator = torch.Generator().manual_seed(0)
    sample = data.SwissRoll().sample(200, generator=generator, dtype=torch.float32)
    net = MLP(2 + N_FEATURES, 2, width=128, depth=3, generator=generator)
    model = Diffusion(net, PROCESS, horizon=1.0, t_min=T_MIN).requires_grad_(False)
    bound = bounds.diffusion_kl(draws=16, paths=64, step=0.5)
    signal_scale, noise_scale = (float(scale) for scale in PROCESS.moments(1.0))

    def released():
        centres = signal_scale * sample.double()
        kde_loop(centres, noise_scale**2, draws=1000, components=len(sample))
        rates_by_cholesky(PROCESS, sample.double(), 1.0)
        euler_maruyama_energy(model, d=2, paths=200, steps=1000)

    def ours():
        return bound.evaluate(model, sample, generator=generator, R_encoder=1.0, R_generator=1.0)

    versus(
        "whole diffusion bound, n = 200, T = 1",
        ours,
        released,
        target=100,
        note=f"relative standard error {ours().total.stderr / ours().total.value:.2%}",
    )
