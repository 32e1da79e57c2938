"""A page about a study: curves with intervals over seeds, failures, links to the notebooks."""

import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from genbound.files import whole
from genbound.study.store import DONE, FAILED

if TYPE_CHECKING:
    import pandas as pd

#: Runs that the page lists, and different values of a parameter that get a curve each.
LISTED, CURVES = 1000, 6
#: Ratio of the largest to the smallest value of an axis from which on it is logarithmic.
WIDE = 30

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }}
figure {{ margin: 1rem 0; display: inline-block; }}
svg {{ background: white; border-radius: 6px; max-width: 100%; height: auto; display: block; }}
.wide {{ overflow-x: auto; }}
pre {{ white-space: pre-wrap; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
{sections}
</body>
</html>
"""


def write(table: "pd.DataFrame", path: Path) -> Path:
    """Write the page.

    A parameter with several numbers is an axis; every recorded number is drawn over each axis,
    one curve for each value of another parameter, of words before numbers. Points are means over
    the remaining parameters; bands are 95 % intervals of Student's t over seeds. Where there is no
    axis, the means are told.

    Args:
        table: From `Study.table` or `tables.of_folder`.
        path: Where the page goes; figures are inside it.

    Returns:
        The page.
    """
    names = table.attrs["records"]
    varied = [n for n in table.attrs["parameters"] if table[n].map(repr).nunique() > 1]
    words = [n for n in varied if not _numbers(table[n])]
    axes = [n for n in varied if n not in {"seed", *words}]
    table = table.assign(**{n: table[n].map(str) for n in words})
    done = table[table["status"] == DONE]
    measured = [n for n in names if not n.endswith("_stderr") and _numbers(done[n].dropna())]
    sections = []
    for name in measured:
        figures = [_curve(done, name, x, [*words, *axes]) for x in axes]
        shown = "".join(figures) or _means(done, name, words)
        sections.append(f"<h2>{html.escape(name)}</h2>\n{shown}")
    failures = table[table["status"] == FAILED]
    if len(failures):
        sections.append(f"<h2>Failures</h2>\n{_failures(failures, varied)}")
    sections.append(f"<h2>Runs</h2>\n{_runs(table, [*varied, *measured], path)}")
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    title = html.escape(", ".join(sorted({Path(s).stem for s in table["source"].dropna()})))
    page = _PAGE.format(title=title, summary=counts, sections="\n".join(sections))
    with whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _numbers(column: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return len(column) > 0 and is_numeric_dtype(column) and not is_bool_dtype(column)


def averaged(done: "pd.DataFrame", name: str, by: Sequence[str]) -> "pd.DataFrame":
    """Means of a record, with 95 % intervals over seeds.

    Args:
        done: Runs that are done.
        name: A recorded number.
        by: Parameters that are told apart; over the others every seed is averaged by itself.

    Returns:
        One row for each combination of `by`, with columns `mean`, `low` and `high`; the last two
        are NaN where there is one seed only.
    """
    from scipy.stats import t

    seeds = ["seed"] if "seed" in done and "seed" not in by else []
    per_seed = done.groupby([*by, *seeds], sort=True)[name].mean().reset_index()
    found = per_seed.groupby(list(by), sort=True)[name].agg(["mean", "sem", "count"]).reset_index()
    half = found["sem"] * t.ppf(0.975, (found["count"] - 1).clip(lower=1))
    half = half.where(found["count"] > 1)
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


def _means(done: "pd.DataFrame", name: str, by: Sequence[str]) -> str:
    """A table of means and intervals, where no number is varied."""
    points = averaged(done.assign(runs="all").dropna(subset=[name]), name, list(by) or ["runs"])
    names = {"count": "seeds", "low": "95 % from", "high": "to"}
    shown = points.drop(columns=["sem"]).rename(columns=names)
    return shown.to_html(index=False, border=0, na_rep="", float_format="{:.5g}".format)


def _curve(done: "pd.DataFrame", name: str, x: str, varied: Sequence[str]) -> str:
    """One figure: a record over a parameter."""
    from matplotlib.figure import Figure

    from genbound import plot

    others = [n for n in varied if n != x]
    by = [n for n in others if done[n].nunique() <= CURVES][:1]
    points = averaged(done.dropna(subset=[name]), name, [x, *by])
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    plot.curve(points, x=x, y="mean", low="low", high="high", by=by[0] if by else None, ax=axes)
    axes.set(ylabel=name)
    if done[x].min() > 0 and done[x].max() > WIDE * done[x].min():
        axes.set_xscale("log")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue().partition("?>")[2].partition("\n")[2]
    over = [n for n in (*others, "seed") if n in done and n not in by]
    told = html.escape(f"{name} over {x}: means over {', '.join(over) or 'one run each'}")
    bands = "; bands are 95 % intervals over seeds" if points["low"].notna().any() else ""
    image = drawn.replace("<svg ", f'<svg role="img" aria-label="{told}" ', 1)
    return f"<figure>{image}<figcaption>{told}{bands}</figcaption></figure>"


def _failures(failures: "pd.DataFrame", varied: Sequence[str]) -> str:
    parts = []
    for _, row in failures.head(LISTED).iterrows():
        given = ", ".join(f"{name} = {row[name]}" for name in varied)
        reason, _, rest = str(row["error"]).partition("\n")
        parts.append(
            f"<details><summary>{html.escape(given or row['run'])}: {html.escape(reason)}"
            f"</summary><pre>{html.escape(rest)}</pre></details>"
        )
    return "\n".join(parts)


def _runs(table: "pd.DataFrame", columns: Sequence[str], path: Path) -> str:
    shown = table.head(LISTED)[["status", *columns, "seconds", "notebook"]]
    shown = shown.map(lambda value: html.escape(value) if isinstance(value, str) else value)
    links = [
        f'<a href="{quote(os.path.relpath(at, path.parent))}">notebook</a>' if at else ""
        for at in table["notebook"].where(table["notebook"].notna(), None)[:LISTED]
    ]
    text = shown.assign(notebook=links).to_html(
        index=False, border=0, escape=False, na_rep="", float_format="{:.5g}".format
    )
    more = f"<p>The first {LISTED} of {len(table)} runs.</p>" if len(table) > LISTED else ""
    return f'<div class="wide">{text}</div>{more}'
