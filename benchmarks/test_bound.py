"""The whole diffusion bound of one model, and over horizons, against the slow ways."""

import torch

from benchmarks.baselines import euler_maruyama_energy, kde_loop, rates_by_cholesky
from genbound import bounds, data, sde
from genbound.estimators import curves, information, score_matching
from genbound.models.diffusion import N_FEATURES, Diffusion, denoising_objective
from genbound.models.networks import MLP
from genbound.training import stream, train

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
        result = bound.evaluate(model, sample, generator=generator, R_encoder=1.0, R_generator=1.0)
        return result.total

    total = ours()
    versus(
        "whole diffusion bound, n = 200, T = 1",
        ours,
        released,
        target=100,
        note=f"relative standard error {total.stderr / total.value:.2%}",
    )


def test_curve_over_horizons(versus):
    horizons = [0.2 * k for k in range(1, 11)]
    generator = torch.Generator().manual_seed(0)
    sample = data.SwissRoll().sample(200, generator=generator, dtype=torch.float32)

    def trained(horizon):
        objective = denoising_objective(PROCESS, batch=64, horizon=horizon, t_min=T_MIN)

        def build(member):
            net = MLP(2 + N_FEATURES, 2, width=64, depth=3, generator=stream(0, "weights"))
            return Diffusion(net, PROCESS, horizon=member["T"], t_min=T_MIN)

        return train(objective, build, sample, [{"T": horizon, "seed": 0, "lr": 1e-3}], steps=500)

    def ours():
        model = trained(horizons[-1]).model(0)
        shared = {"draws": 32, "generator": generator}
        curves.explicit(model, sample, horizons, **shared)
        curves.encoder_rate(PROCESS, sample, horizons)
        curves.encoder_information(PROCESS, sample, horizons, **shared)

    def retrained():
        for horizon in horizons[:2]:
            model = trained(horizon).model(0)
            shared = {"draws": 32, "generator": generator}
            score_matching.explicit(model, sample, **shared)
            information.aggregate_kl(model.process, sample, horizon, **shared)

    versus(
        "tight bound at 10 horizons, one model against retraining",
        ours,
        retrained,
        target=8,
        part=2 / 10,
        rounds=2,
    )
