"""The gap of a loss on held-out data, as a measured term: one for every bound that allows it."""

from typing import Any

import sympy as sp
from torch import Generator, Tensor

from genbound.bound import Term
from genbound.bound.parts import Measure
from genbound.estimate import Estimate, combine

__all__ = ["gap_term"]


def gap_term(
    symbol: sp.Symbol, title: str, loss: Measure, held_out: Tensor, *, method: str
) -> Term:
    """Mean loss on fresh data less that on the training data.

    Args:
        symbol: The gap's letter.
        title: What it is, in a few words.
        loss: ``loss(model, points, generator=...)``, an estimate of the mean loss on points.
        held_out: Data that the model has not seen, shape ``(m, d)``.
        method: How the difference is measured, in a few words.

    Returns:
        The term. Its two losses rest on different data, so their errors add.
    """
    fresh, seen = sp.symbols("fresh seen")

    def measure(model: Any, data: Tensor, *, generator: Generator) -> Estimate:  # noqa: ANN401
        losses = {
            letter: loss(model, points, generator=generator)
            for letter, points in ((fresh, held_out), (seen, data))
        }
        return combine(fresh - seen, losses, method=method)

    return Term(symbol, title, measure)
