"""Generalization bounds for generative models: derived, computed, compared with the truth.

Letters are proved, words are measured, and a bound is the only place where a proved letter meets a
measured word.
"""

from genbound.bound import Assumption, Bound, Breakdown, Constant, Term
from genbound.derivation import Derivation
from genbound.estimate import Estimate
from genbound.protocols import ScoreModel
from genbound.record import record
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
