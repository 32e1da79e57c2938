"""Linear noising processes, fixed by two expressions: the signal scale and the noise variance.

Given the data, the state at time t is Gaussian, ``X_t = alpha(t) X + sigma(t) noise``. Drift and
diffusion of ``dX = f X dt + g dW`` follow from this pair by differentiation, which always ends in
closed form; the converse integration need not. Hence a process *is* the pair, and every other
letter, and every tensor function, is derived from it.
"""

from genbound.sde.letters import log_snr, t
from genbound.sde.linear import LinearSDE
from genbound.sde.schedules import cosine, ou, sub_vp, ve, vp

__all__ = ["LinearSDE", "cosine", "log_snr", "ou", "sub_vp", "t", "ve", "vp"]
