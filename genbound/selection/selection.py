"""Selection: a horizon that a rule chose, with the whole curve that it looked at."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Selection"]


@dataclass(frozen=True, eq=False)
class Selection:
    """What a rule chose, and how sure it may be.

    Attributes:
        rule: Name of the rule.
        horizon: The chosen T.
        low: Lower end of the interval of the chosen T over resampled data.
        high: Its upper end.
        table: One row per horizon: ``T``, the criterion's ``value``, ``low`` and ``high``.
        criterion: What the values are.
        level: Level of all intervals.
        notes: What a reader should know: ends of the grid, constants set by hand.
    """

    rule: str
    horizon: float
    low: float
    high: float
    table: pd.DataFrame
    criterion: str
    level: float = 0.95
    notes: tuple[str, ...] = ()

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the criterion against the horizon and mark the choice with its interval."""
        from genbound.plot import INK, curve

        ax = curve(self.table, x="T", y="value", low="low", high="high", ax=ax)
        ax.axvspan(self.low, self.high, color=INK, alpha=0.1, linewidth=0)
        ax.axvline(self.horizon, color=INK, linestyle=":", label="_chosen")
        ax.set(xlabel="horizon $T$", ylabel=self.criterion)
        return ax

    def __str__(self) -> str:
        """Rule, choice and interval in one line."""
        return f"{self.rule}: T = {self.horizon:.3g}, in [{self.low:.3g}, {self.high:.3g}]"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        table = self.table.to_html(index=False, float_format="{:.4g}".format, border=0)
        return (
            f"<p><strong>{escape(self.rule)}</strong>: T = {self.horizon:.3g} "
            f"({self.level:.0%} of resampled data: {self.low:.3g} to {self.high:.3g}), "
            f"by {escape(self.criterion)}</p>{table}" + (f"<ul>{notes}</ul>" if notes else "")
        )
