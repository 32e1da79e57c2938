"""What the package offers, and where it lies; it is imported when it is asked for."""

from .diffusion import (
    diffusion_kl as diffusion_kl,
    diffusion_kl_released as diffusion_kl_released,
    diffusion_kl_tight as diffusion_kl_tight,
    diffusion_nll as diffusion_nll,
)
from .encoder_generator import encoder_generator as encoder_generator
from .memorization import memorization as memorization
from .sampler_error import sampler_kl as sampler_kl, sampler_kl_test_loss as sampler_kl_test_loss
from .sgld import sgld_forms as sgld_forms, sgld_gap as sgld_gap
from .stability import (
    stability_gap as stability_gap,
    stability_root as stability_root,
    stability_score_error as stability_score_error,
)
from .topology import topological_gap as topological_gap
from .vae import vae_nll as vae_nll, vae_paper as vae_paper
from .wasserstein import wasserstein as wasserstein, wasserstein_product as wasserstein_product
from .wasserstein_sampler import wasserstein_sampler as wasserstein_sampler
