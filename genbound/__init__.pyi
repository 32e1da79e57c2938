"""What the package offers, and where it lies; it is imported when it is asked for."""

from .bound import (
    Assumption as Assumption,
    Bound as Bound,
    Breakdown as Breakdown,
    Constant as Constant,
    Term as Term,
)
from .derivation import Derivation as Derivation
from .estimate import Estimate as Estimate
from .protocols import ScoreModel as ScoreModel
from .record import record as record
from .sde import LinearSDE as LinearSDE
from .symbolic import Refuted as Refuted, verify as verify
