"""Choosing the horizon: rules behind one function, each with its curve and an interval.

- ``"retrain"``: a model for each horizon, the least bound (the paper's way);
- ``"one_model"``: one model, truncated, the least bound;
- ``"derivative"``: where the learned score ceases to beat the prior's;
- ``"plug_in"``: a closed form;
- ``"fixed"`` and ``"validation"``: baselines.

:mod:`genbound.selection.solved` measures what each of them costs where the truth is known.
"""

import inspect
from typing import Any, Literal

from genbound.selection.closed_form import fixed, plug_in
from genbound.selection.selection import Selection
from genbound.selection.trained import derivative, one_model, retrain
from genbound.selection.validation import validation

__all__ = [
    "RULES",
    "Rule",
    "Selection",
    "derivative",
    "fixed",
    "one_model",
    "plug_in",
    "retrain",
    "select",
    "validation",
]

Rule = Literal["retrain", "one_model", "derivative", "plug_in", "fixed", "validation"]

RULES = {
    "retrain": retrain,
    "one_model": one_model,
    "derivative": derivative,
    "plug_in": plug_in,
    "fixed": fixed,
    "validation": validation,
}


def select(rule: Rule, **given: Any) -> Selection:  # noqa: ANN401
    """Choose a horizon by one of the rules.

    Args:
        rule: ``"retrain"``, ``"one_model"``, ``"derivative"``, ``"plug_in"``, ``"fixed"`` or
            ``"validation"``.
        **given: What the function of that name takes, by name: model or models, data, held_out,
            horizons, generator and its options.

    Returns:
        The selection: curve, chosen horizon and interval.

    Raises:
        ValueError: If the rule is unknown.
        TypeError: If an argument is missing or unknown.
    """
    if rule not in RULES:
        raise ValueError(f"rule: got {rule!r}, allowed are {tuple(RULES)}")
    takes = inspect.signature(RULES[rule]).parameters
    unknown = sorted(set(given) - set(takes))
    missing = [name for name, p in takes.items() if p.default is p.empty and name not in given]
    if unknown or missing:
        raise TypeError(
            f"{rule}: lacks {missing}, does not know {unknown}; it takes {list(takes)}"
        )
    return RULES[rule](**given)
