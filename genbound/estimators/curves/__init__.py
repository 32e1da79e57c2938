"""Every term of the diffusion bounds as a function of the horizon, from one trained model.

A model that was trained up to its horizon also serves for every shorter one: the same weights, and
the reverse process started from N(0, I) earlier. All terms are integrals up to the horizon or
closed forms at it, so one pass up to the longest horizon gives them all. Each function returns
one :class:`~genbound.estimate.Estimate` per horizon. They share data and draws, and say so in
their influences: a difference between two horizons has a far smaller error than its parts, and
:func:`genbound.estimate.combine` finds it.

Retraining for every horizon is another experiment; its curve is made of separate models.
"""

from genbound.estimators.curves.chains import model_kl, model_nll, path_energy
from genbound.estimators.curves.integrals import (
    denoising,
    encoder_information,
    encoder_rate,
    encoder_root_rate,
    explicit,
    left_scale,
    score_slope,
)
from genbound.estimators.curves.intervals import Curve

__all__ = [
    "Curve",
    "denoising",
    "encoder_information",
    "encoder_rate",
    "encoder_root_rate",
    "explicit",
    "left_scale",
    "model_kl",
    "model_nll",
    "path_energy",
    "score_slope",
]
