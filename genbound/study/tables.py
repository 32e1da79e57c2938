"""One tidy table from the rows of a folder: a row per run, a column per thing known of it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbound.book.parameters import ParameterError
from genbound.files import whole
from genbound.study.source import read
from genbound.study.store import Store
from genbound.study.work import NOTEBOOK

if TYPE_CHECKING:
    import pandas as pd

#: Columns that every table has, after the parameters and the records.
ABOUT = ("seconds", "attempts", "device", "python", "torch", "error", "source", "notebook")
_STATES = ("code", "sources", "versions")


def frame(rows: Iterable[Mapping[str, Any]], root: Path) -> "pd.DataFrame":
    """A table of runs.

    Args:
        rows: Rows as a store holds them.
        root: The store's folder.

    Returns:
        Columns `run`, `status`, `stale` where the rows have it, the parameters, the records (an
        estimate is two columns, `NAME` and `NAME_stderr`; an array or a figure is the path of its
        file), and `ABOUT`, with the first line of an error. A record that has another column's
        name gets `record_` in front. In `attrs` are the names of `parameters` and `records`.
    """
    import pandas as pd

    rows = list(rows)
    parameters = list(dict.fromkeys(name for row in rows for name in row["parameters"]))
    flat = [_flat(row, root, {*parameters, *ABOUT}) for row in rows]
    first = [key for key in ("run", "status", "stale") if any(key in row for row in rows)]
    known = {*first, *parameters, *ABOUT}
    records = list(dict.fromkeys(name for row in flat for name in row if name not in known))
    table = pd.DataFrame.from_records(flat, columns=[*first, *parameters, *records, *ABOUT])
    table.attrs = {"parameters": parameters, "records": records}
    return table


def of_folder(root: Path) -> "pd.DataFrame":
    """The table of everything in a folder, with what is stale, and by what.

    Args:
        root: The folder of one or several studies.

    Returns:
        As `frame`, with a column `stale`: empty, or which of `code`, `sources` and `versions`
        have changed since the run, or `notebook gone`.

    Raises:
        ParameterError: If there are no runs in the folder.
    """
    rows = Store(root).rows()
    if not rows:
        raise ParameterError(f"{root}: holds no runs")
    now: dict[str, Mapping[str, Any] | None] = {}
    for source in {row["source"] for row in rows}:
        try:
            now[source] = read(source).identity
        except ParameterError:
            now[source] = None
    return frame([row | {"stale": stale(row, now[row["source"]])} for row in rows], root)


def stale(row: Mapping[str, Any], identity: Mapping[str, Any] | None) -> str:
    """What has changed since a run, in words; empty if nothing has."""
    if identity is None:
        return "notebook gone"
    return ", ".join(part for part in _STATES if row[part] != identity[part])


def save(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV or Parquet, by the ending of its name.

    Raises:
        ParameterError: If the ending is another.
    """
    if path.suffix not in {".csv", ".parquet"}:
        raise ParameterError(f"--out {path}: must end in .csv or .parquet")
    with whole(path) as partial:
        if path.suffix == ".csv":
            table.to_csv(partial, index=False)
        else:
            mixed = {name: column for name, column in table.items() if column.dtype == object}
            plain = {name: column.map(_plain) for name, column in mixed.items()}
            table.assign(**plain).to_parquet(partial, index=False)


def _flat(row: Mapping[str, Any], root: Path, taken: set[str]) -> dict[str, Any]:
    flat = {key: row[key] for key in ("run", "status", "stale") if key in row}
    flat |= row["parameters"]
    folder = root / "runs" / row["run"]
    for name, record in row.get("records", {}).items():
        name = f"record_{name}" if name in {"run", "status", "stale", *taken} else name
        if "file" in record:
            flat[name] = str(folder / record["file"])
        else:
            flat[name] = record["value"]
            if "stderr" in record:
                flat[f"{name}_stderr"] = record["stderr"]
    versions = row.get("versions", {})
    about = {
        "error": (row.get("error") or "").partition("\n")[0] or None,
        "python": versions.get("python"),
        "torch": versions.get("torch"),
        "notebook": str(folder / NOTEBOOK) if (folder / NOTEBOOK).exists() else None,
    }
    return flat | {name: about.get(name, row.get(name)) for name in ABOUT}


def _plain(value: object) -> object:
    """Parquet's columns have one type: lists become text."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value
