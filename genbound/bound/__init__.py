"""Bound: the one place where a proved letter meets a measured word.

A :class:`Bound` is a derivation plus, for each letter of its last line, a way to measure it. The
theorem's last line *is* the total, so the sum of the terms cannot drift from the theorem.
"""

from genbound.bound.breakdown import Breakdown
from genbound.bound.parts import Assumption, Constant, Term, WrongSide
from genbound.bound.theorem import Bound

__all__ = ["Assumption", "Bound", "Breakdown", "Constant", "Term", "WrongSide"]
