"""The theorems, assembled: a derivation and an estimator for each of its letters."""

from genbound.bounds.diffusion import (
    diffusion_kl,
    diffusion_kl_released,
    diffusion_kl_tight,
    diffusion_nll,
)

__all__ = ["diffusion_kl", "diffusion_kl_released", "diffusion_kl_tight", "diffusion_nll"]
