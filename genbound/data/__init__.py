"""Data laws that know their answers, and small real images.

A source samples, and it also knows its density, score, entropy, and the information that survives
noising: what an estimator has to find.
"""

from genbound.data.divergence import kl
from genbound.data.gaussian import Gaussian
from genbound.data.images import (
    Logits,
    Split,
    cifar10,
    digits,
    few_shot,
    mnist,
    mnist5k,
    pooled,
)
from genbound.data.mixture import (
    Mixture,
    gaussian_mixture,
    orthogonal_points,
    points,
    two_point,
)
from genbound.data.source import Source
from genbound.data.swiss_roll import SwissRoll

__all__ = [
    "Gaussian",
    "Logits",
    "Mixture",
    "Source",
    "Split",
    "SwissRoll",
    "cifar10",
    "digits",
    "few_shot",
    "gaussian_mixture",
    "kl",
    "mnist",
    "mnist5k",
    "orthogonal_points",
    "points",
    "pooled",
    "two_point",
]
