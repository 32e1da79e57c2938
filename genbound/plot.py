"""Figures from tables, never from models.

Every function takes a table of numbers and returns Matplotlib axes. Series differ in colour (the
Okabe-Ito palette), in line style and in marker, so no figure needs colour to be understood.
"""

import sys
from collections.abc import Sequence
from textwrap import fill
from typing import Protocol

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, INK = "#CC79A7", "#56B4E9", "#222222"
PALETTE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 3)))
# Two-sided 95 % of the normal law.
Z95 = 1.959963984540054

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": mpl.cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.figsize": (7.2, 4.2),
    "font.size": 11.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "lines.linewidth": 1.9,
    "lines.markersize": 5.5,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    # Without a fixed salt the element names, and so the bytes, differ from run to run.
    "svg.hashsalt": "genbound",
    "text.color": INK,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


class Measured(Protocol):
    """A number with its standard error, such as `genbound.Estimate`."""

    value: float
    stderr: float


def use_style() -> None:
    """Set the book's look; in a notebook, draw SVG whose bytes do not depend on the date."""
    mpl.rcParams.update(STYLE)
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})


def breakdown(
    table: pd.DataFrame,
    *,
    total: Measured | None = None,
    truth: float | Measured | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what each term adds to a bound, the total with its error, and the truth beside it.

    The bars are stacked end to end, one row each: a term starts where the one above it stopped.
    Terms that add are blue; terms that subtract are red and hatched.

    Args:
        table: columns `title`, `contribution` (nats) and `contribution_stderr`, one row per term.
        total: the bound with its own standard error. Without it the total is the sum of the
            contributions and its standard error the sum of theirs, which is never too small,
            however the terms depend on each other.
        truth: the quantity that the bound bounds, a number or a measured value; drawn as a line.
        ax: where to draw; new axes by default.

    Returns:
        The axes: `ax.containers` holds the bars (terms, then the total), then the error bar.

    Raises:
        ValueError: the table has no rows or lacks a column, or a contribution is not finite.
    """
    terms, bound, error = _checked(table, total)
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 1.3 + 0.52 * (len(terms) + 1)))
    lengths = terms["contribution"].to_numpy(dtype=float)
    errors = terms["contribution_stderr"].to_numpy(dtype=float)
    starts = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    rows = np.arange(len(terms))
    last = len(terms)
    bars = ax.barh(rows, lengths, left=starts, height=0.62, color=BLUE)
    for bar, length in zip(bars, lengths, strict=True):
        if length < 0:
            bar.set(facecolor=VERMILLION, hatch="///", edgecolor="white")
    ax.vlines(starts[1:], rows[1:] - 0.69, rows[1:] + 0.31, color="#888888", linewidth=0.8)
    ax.barh([last], [bound], height=0.62, color="#555555")
    ax.errorbar([bound], [last], xerr=[Z95 * error], fmt="none", ecolor=INK, capsize=5)
    ends = np.append(np.maximum(starts, starts + lengths), max(bound + Z95 * error, 0.0))
    for row, value in enumerate([*lengths, bound]):
        text = _number(value, [*errors, error][row])
        ax.annotate(
            text,
            (ends[row], row),
            (6, 0),
            textcoords="offset points",
            va="center",
            # The line of the truth passes behind the numbers.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    if truth is not None:
        _mark_truth(ax, truth)
    titles = [fill(str(title), 30) for title in terms["title"]]
    ax.set_yticks([*rows, last], [*titles, "bound"])
    ax.get_yticklabels()[-1].set_fontweight("bold")
    ax.axvline(0.0, color="#666666", linewidth=0.9)
    ax.set(ylim=(last + 0.6, -0.6), xlabel="nats")
    ax.grid(visible=False, axis="y")
    left, right = ax.get_xlim()
    # Room for the numbers beside the bars.
    ax.set_xlim(left, right + 0.18 * (right - left))
    ax.locator_params(axis="x", nbins=7)
    return ax


def curve(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    low: str | None = None,
    high: str | None = None,
    by: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw y against x, one line and one shaded interval for each value of `by`.

    Args:
        table: one row per point; rows may come in any order.
        x: column of the horizontal axis.
        y: column of the vertical axis.
        low: column of the interval's lower end; needs `high`.
        high: column of the interval's upper end; needs `low`.
        by: column that separates the lines; one line without it. The legend names the column
            where its values are numbers; words speak for themselves.
        ax: where to draw; new axes by default.

    Returns:
        The axes, with one line per group in the order of the groups' first appearance.

    Raises:
        ValueError: a column is missing, or one of `low` and `high` stands alone.
    """
    if (low is None) != (high is None):
        raise ValueError(f"low={low!r} and high={high!r}: give both columns or neither")
    _require(table, [name for name in (x, y, low, high, by) if name is not None])
    if ax is None:
        _, ax = plt.subplots()
    groups = [("", table)] if by is None else list(table.groupby(by, sort=False))
    for index, (name, group) in enumerate(groups):
        ordered = group.sort_values(x)
        label = y if by is None else _said(by, name)
        _line(ax, ordered[x], ordered[y], index, label=label)
        if low is not None and high is not None:
            _band(ax, ordered[x], ordered[low], ordered[high], _color(index))
    ax.set(xlabel=x, ylabel=y)
    if by is not None:
        ax.legend()
    return ax


def trade_off(
    table: pd.DataFrame,
    *,
    x: str,
    total: str,
    parts: Sequence[str] = (),
    truth: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a bound, its parts and the truth against x, and mark where bound and truth are least.

    A column named `<curve>_stderr`, where there is one, is drawn as a 95 % interval.

    Args:
        table: one row per value of x, for instance per horizon T.
        x: column of the horizontal axis.
        total: column of the bound.
        parts: columns of its parts, drawn thinner.
        truth: column of the quantity that is bounded.
        ax: where to draw; new axes by default.

    Returns:
        The axes. The markers of the minimisers are the lines labelled "_least <column>".

    Raises:
        ValueError: a column is missing.
    """
    marked = [total] if truth is None else [total, truth]
    _require(table, [x, *marked, *parts])
    if ax is None:
        _, ax = plt.subplots()
    ordered = table.sort_values(x)
    colors = {total: BLUE, truth: INK}
    colors |= dict(zip(parts, (VERMILLION, GREEN, PURPLE, ORANGE, SKY) * 3, strict=False))
    for index, name in enumerate([*marked, *parts]):
        strong = name in marked
        look = {"color": colors[name], "linestyle": DASHES[index % len(DASHES)]}
        ax.plot(ordered[x], ordered[name], linewidth=2.6 if strong else 1.8, label=name, **look)
        if f"{name}_stderr" in ordered:
            half = Z95 * ordered[f"{name}_stderr"]
            _band(ax, ordered[x], ordered[name] - half, ordered[name] + half, colors[name])
    for name, marker in zip(marked, ("o", "D"), strict=False):
        least = ordered.loc[ordered[name].idxmin()]
        look = {"color": colors[name], "markeredgecolor": "white", "markersize": 9, "zorder": 5}
        ax.plot([least[x]], [least[name]], marker, label=f"_least {name}", **look)
        ax.axvline(least[x], color=colors[name], linewidth=0.9, linestyle=":", zorder=0.5)
    ax.set(xlabel=x, ylabel="nats")
    ax.legend()
    return ax


def _checked(table: pd.DataFrame, total: Measured | None) -> tuple[pd.DataFrame, float, float]:
    """Return the terms, the total and the total's standard error."""
    _require(table, ["title", "contribution", "contribution_stderr"])
    if table.empty:
        raise ValueError("table: no terms to draw; at least one row")
    for title, value in zip(table["title"], table["contribution"], strict=True):
        if not np.isfinite(value):
            raise ValueError(f"contribution of {title!r}: {value} cannot be drawn; finite numbers")
    if total is not None:
        return table, float(total.value), float(total.stderr)
    return table, float(table["contribution"].sum()), float(table["contribution_stderr"].sum())


def _mark_truth(ax: Axes, truth: float | Measured) -> None:
    value = float(getattr(truth, "value", truth))
    error = float(getattr(truth, "stderr", 0.0))
    if error > 0.0:
        ax.axvspan(value - Z95 * error, value + Z95 * error, color=GREEN, alpha=0.15, lw=0)
    ax.axvline(value, color=GREEN, linewidth=2.2, linestyle=DASHES[1], label="truth", zorder=3)
    at = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    look = {"ha": "center", "va": "bottom", "color": "#00634A", "fontweight": "bold"}
    ax.annotate(f"truth {_number(value, error)}", (value, 1.0), (0, 4), **at, **look)


def _said(by: str, name: object) -> str:
    """A number needs the name of what it counts, a word does not."""
    try:
        float(name)
    except ValueError:
        return str(name)
    return f"{by} = {name}"


def _line(ax: Axes, x: pd.Series, y: pd.Series, index: int, *, label: str) -> None:
    marker, dashes = MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)]
    ax.plot(x, y, color=_color(index), marker=marker, linestyle=dashes, label=label)


def _band(ax: Axes, x: pd.Series, low: pd.Series, high: pd.Series, color: str) -> None:
    ax.fill_between(x, low, high, color=color, alpha=0.17, linewidth=0)


def _color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _number(value: float, error: float) -> str:
    """Write a number with as many digits as its error allows."""
    if error <= 0.0 or not np.isfinite(error):
        return f"{value:.3g}"
    digits = max(0, int(-np.floor(np.log10(error))))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(f"table: no column {missing[0]!r}; it has {', '.join(map(str, table))}")
