"""The theorems, assembled: a derivation and an estimator for each of its letters."""

from genbound.bounds.diffusion import (
    diffusion_kl,
    diffusion_kl_released,
    diffusion_kl_tight,
    diffusion_nll,
)
from genbound.bounds.encoder_generator import encoder_generator
from genbound.bounds.memorization import memorization
from genbound.bounds.sampler_error import sampler_kl, sampler_kl_test_loss
from genbound.bounds.sgld import sgld_forms, sgld_gap
from genbound.bounds.stability import stability_gap, stability_root, stability_score_error
from genbound.bounds.topology import topological_gap
from genbound.bounds.vae import vae_nll, vae_paper
from genbound.bounds.wasserstein import wasserstein, wasserstein_product
from genbound.bounds.wasserstein_sampler import wasserstein_sampler

__all__ = [
    "diffusion_kl",
    "diffusion_kl_released",
    "diffusion_kl_tight",
    "diffusion_nll",
    "encoder_generator",
    "memorization",
    "sampler_kl",
    "sampler_kl_test_loss",
    "sgld_forms",
    "sgld_gap",
    "stability_gap",
    "stability_root",
    "stability_score_error",
    "topological_gap",
    "vae_nll",
    "vae_paper",
    "wasserstein",
    "wasserstein_product",
    "wasserstein_sampler",
]
