"""Sampling: grids of times, what one step is, and the reverse chain that takes the steps."""

from genbound.sampler.chain import RoundTrip, affine_law, reverse_chain, sample
from genbound.sampler.grids import clock_grid, time_grid
from genbound.sampler.schemes import Scheme, Step, euler, exponential, step_mean

__all__ = [
    "RoundTrip",
    "Scheme",
    "Step",
    "affine_law",
    "clock_grid",
    "euler",
    "exponential",
    "reverse_chain",
    "sample",
    "step_mean",
    "time_grid",
]
