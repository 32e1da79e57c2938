"""The theorems, assembled: a derivation and an estimator for each of its letters."""

from genbound.bounds.diffusion import (
    diffusion_kl,
    diffusion_kl_released,
    diffusion_kl_tight,
    diffusion_nll,
)
from genbound.bounds.vae import vae_nll, vae_paper

__all__ = [
    "diffusion_kl",
    "diffusion_kl_released",
    "diffusion_kl_tight",
    "diffusion_nll",
    "vae_nll",
    "vae_paper",
]
