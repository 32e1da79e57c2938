"""Generalization bounds for generative models: derived, computed, compared with the truth.

Letters are proved, words are measured, and a bound is the only place where a proved letter meets a
measured word.
"""

from typing import TYPE_CHECKING

from genbound.record import record

if TYPE_CHECKING:
    from genbound.bound import Assumption, Bound, Breakdown, Constant, Term
    from genbound.derivation import Derivation
    from genbound.estimate import Estimate
    from genbound.protocols import ScoreModel
    from genbound.sde import LinearSDE
    from genbound.symbolic import Refuted, verify

__all__ = [
    "Assumption",
    "Bound",
    "Breakdown",
    "Constant",
    "Derivation",
    "Estimate",
    "LinearSDE",
    "Refuted",
    "ScoreModel",
    "Term",
    "record",
    "verify",
]


def __getattr__(name: str) -> object:
    """Import what is asked for: the command line and a study's processes wait for no torch."""
    from importlib import import_module

    homes = {
        "bound": ("Assumption", "Bound", "Breakdown", "Constant", "Term"),
        "derivation": ("Derivation",),
        "estimate": ("Estimate",),
        "protocols": ("ScoreModel",),
        "sde": ("LinearSDE",),
        "symbolic": ("Refuted", "verify"),
    }
    for home, names in homes.items():
        if name in names:
            return getattr(import_module(f"genbound.{home}"), name)
    raise AttributeError(f"module 'genbound' has no attribute {name!r}")
