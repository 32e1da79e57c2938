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

#: Columns that every table has, before and after the parameters and the records.
ABOUT = ("seconds", "attempts", "device", "python", "torch", "error", "source", "notebook")
FIRST = ("run", "status", "stale")
#: Letters of an error in a table; all of it is in the executed notebook.
LONGEST = 300
_STATES = ("code", "sources", "versions")


def frame(rows: Iterable[Mapping[str, Any]], root: Path) -> "pd.DataFrame":
    """A table of runs.

    Args:
        rows: Rows as a store holds them.
        root: The store's folder.

    Returns:
        Columns `run`, `status`, `stale` where the rows have it, the parameters, the records (an
        estimate is two columns, `NAME` and `NAME_stderr`; an array or a figure is the path of its
        file), and `ABOUT`, with the first line of an error. A parameter or a record that has
        another column's name gets `parameter_` or `record_` in front. In `attrs` are the names of
        `parameters` and `records`.
    """
    import pandas as pd

    rows = list(rows)
    parameters = {name: _apart(name) for row in rows for name in row["parameters"]}
    flat = [_flat(row, root, parameters) for row in rows]
    first = [key for key in FIRST if any(key in row for row in rows)]
    known = {*first, *parameters.values(), *ABOUT}
    records = list(dict.fromkeys(name for row in flat for name in row if name not in known))
    columns = [*first, *parameters.values(), *records, *ABOUT]
    table = pd.DataFrame.from_records(flat, columns=columns)
    for name in (*parameters.values(), *records):
        # Whole numbers with gaps would become floats, and lose digits.
        values = [row.get(name) for row in flat] if table[name].dtype == float else []
        if {type(value) for value in values} == {int, type(None)}:
            table[name] = pd.array(values, dtype="Int64")
    table.attrs = {"parameters": list(parameters.values()), "records": records}
    return table


def of_folder(root: Path) -> "pd.DataFrame":
    """The table of everything in a folder, with what is stale, and by what.

    Args:
        root: The folder of one or several studies.

    Returns:
        As `frame`, sorted by the parameters, with a column `stale`: empty, or which of `code`,
        `sources` and `versions` have changed since the run, or that the notebook is gone or
        unreadable.

    Raises:
        ParameterError: If there are no runs in the folder.
    """
    root = root.resolve()
    rows = sorted(Store(root).rows(), key=_place)
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
        return f"notebook {'unreadable' if Path(row['source']).exists() else 'gone'}"
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
            objects = {name: column for name, column in table.items() if column.dtype == object}
            plain = {name: _of_one_type(column) for name, column in objects.items()}
            table.assign(**plain).to_parquet(partial, index=False)


def _place(row: Mapping[str, Any]) -> tuple[str, list[tuple[str, Any]]]:
    values = row["parameters"].values()
    numbers = [v if isinstance(v, int | float | str) else repr(v) for v in values]
    return row["source"], [(type(n).__name__, n) for n in numbers]


def _apart(parameter: str) -> str:
    return f"parameter_{parameter}" if parameter in {*FIRST, *ABOUT} else parameter


def _flat(row: Mapping[str, Any], root: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    flat = {key: row[key] for key in FIRST if key in row}
    flat |= {parameters[name]: value for name, value in row["parameters"].items()}
    folder, taken = root / "runs" / row["run"], {*FIRST, *ABOUT, *parameters.values()}
    for name, record in row.get("records", {}).items():
        name = f"record_{name}" if name in taken else name
        if "file" in record:
            flat[name] = str(folder / record["file"])
        else:
            flat[name] = record["value"]
            if "stderr" in record:
                flat[f"{name}_stderr"] = record["stderr"]
    versions = row.get("versions", {})
    error = (row.get("error") or "").partition("\n")[0]
    about = {
        "error": error[:LONGEST] + "..." * (len(error) > LONGEST) or None,
        "python": versions.get("python"),
        "torch": versions.get("torch"),
        "notebook": str(folder / NOTEBOOK) if (folder / NOTEBOOK).exists() else None,
    }
    return flat | {name: about.get(name, row.get(name)) for name in ABOUT}


def _of_one_type(column: "pd.Series") -> "pd.Series":
    """As Parquet wants it: lists, several types in one and very long numbers become text."""
    kinds = {type(value) for value in column.dropna()}
    text = kinds - {str, bool} or len(kinds) > 1
    return column.map(json.dumps, na_action="ignore") if text else column
