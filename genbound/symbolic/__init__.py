"""The one door between symbols and tensors: decide a relation, compile an expression.

A *letter* is a SymPy symbol, a *word* is a tensor. :func:`verify` says how far a relation between
letters is established, :func:`to_torch` turns an expression into the tensor code that evaluates
it, :func:`to_javascript` into the code behind a slider, and :func:`latex` into what a page shows.
"""

from genbound.symbolic.code import expm1, latex, log1p, to_javascript, to_torch
from genbound.symbolic.memory import verify_once
from genbound.symbolic.points import Refuted, Undecided
from genbound.symbolic.proofs import is_nonnegative, is_zero
from genbound.symbolic.relations import Domain, Relation, Verdict, verify

__all__ = [
    "Domain",
    "Refuted",
    "Relation",
    "Undecided",
    "Verdict",
    "expm1",
    "is_nonnegative",
    "is_zero",
    "latex",
    "log1p",
    "to_javascript",
    "to_torch",
    "verify",
    "verify_once",
]
