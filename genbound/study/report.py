"""A page about a study: curves with intervals over seeds, failures, links to the notebooks."""

import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genbound.files import whole
from genbound.study.store import DONE, FAILED

if TYPE_CHECKING:
    import pandas as pd

#: Runs that the page lists, and different values of a parameter that get a curve each.
LISTED, CURVES = 1000, 6

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
figure {{ margin: 1rem 0; background: white; display: inline-block; border-radius: 6px; }}
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
    one curve for each value of the parameter that varies next to it. Points are means over the
    remaining parameters; bands are 95 % intervals of Student's t over seeds.

    Args:
        table: From `Study.table` or `tables.of_folder`.
        path: Where the page goes; figures are inside it.

    Returns:
        The page.
    """
    done = table[table["status"] == DONE]
    varied = _varied(table)
    sections = []
    for name in _measured(done):
        figures = [_curve(done, name, x, varied) for x in varied if x != "seed"]
        shown = "".join(f"<figure>{figure}</figure>" for figure in figures)
        sections.append(f"<h2>{html.escape(name)}</h2>\n{shown}")
    failures = table[table["status"] == FAILED]
    if len(failures):
        sections.append(f"<h2>Failures</h2>\n{_failures(failures, varied)}")
    sections.append(f"<h2>Runs</h2>\n{_runs(table, varied, path)}")
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    title = html.escape(", ".join(sorted({Path(s).stem for s in table["source"].dropna()})))
    page = _PAGE.format(title=title, summary=counts, sections="\n".join(sections))
    with whole(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def _varied(table: "pd.DataFrame") -> list[str]:
    """The parameters that have several numbers."""
    names = table.attrs["parameters"]
    return [n for n in names if _numbers(table[n]) and table[n].nunique() > 1]


def _measured(done: "pd.DataFrame") -> list[str]:
    """The records that are numbers, without their errors."""
    names = [name for name in done.attrs["records"] if not name.endswith("_stderr")]
    return [name for name in names if _numbers(done[name])]


def _numbers(column: "pd.Series") -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) and not is_bool_dtype(column)


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


def _curve(done: "pd.DataFrame", name: str, x: str, varied: Sequence[str]) -> str:
    """One figure as SVG text: a record over a parameter."""
    from matplotlib.figure import Figure

    from genbound import plot

    others = [n for n in varied if n not in {x, "seed"} and done[n].nunique() <= CURVES]
    by = others[:1]
    points = averaged(done.dropna(subset=[name]), name, [x, *by])
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    plot.curve(points, x=x, y="mean", low="low", high="high", by=by[0] if by else None, ax=axes)
    axes.set(ylabel=name)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("?>")[2].partition("\n")[2]


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


def _runs(table: "pd.DataFrame", varied: Sequence[str], path: Path) -> str:
    records = [n for n in table.attrs["records"] if _numbers(table[n])]
    shown = table.head(LISTED)[["status", *varied, *records, "seconds", "notebook"]]
    links = [
        f'<a href="{html.escape(os.path.relpath(at, path.parent))}">notebook</a>' if at else ""
        for at in shown["notebook"].where(shown["notebook"].notna(), None)
    ]
    text = shown.assign(notebook=links).to_html(
        index=False, border=0, escape=False, na_rep="", float_format="{:.5g}".format
    )
    more = f"<p>The first {LISTED} of {len(table)} runs.</p>" if len(table) > LISTED else ""
    return f'<div class="wide">{text}</div>{more}'
