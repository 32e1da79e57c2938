"""Numbers for the prose: a chapter records a value once, and its text quotes it.

In a run of a study the value is also kept in the run's folder, from where it comes into the
study's table.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

#: The environment variable that names the folder where `record` leaves values in a study.
FOLDER = "GENBOUND_RECORDS"
#: The file in that folder with one line of JSON for each value.
RECORDS = "records.jsonl"


def record(name: str, value: Value) -> Value:
    """Keep a value under a name, so that the chapter's text can quote it with `glue`.

    A number is kept as a plain Python number, whatever library it comes from. An estimate (what
    has `value` and `stderr`) is kept as its text under `name` and as two numbers under
    `name-value` and `name-stderr`. What shows itself as LaTeX can be quoted as an equation, a
    figure as a figure. Outside a notebook, or without MyST-NB, nothing is kept.

    In a run of a study, numbers, text and estimates become entries of its table; arrays and
    figures are files, which the table names.

    Args:
        name: The name, once per chapter.
        value: The value.

    Returns:
        The value itself.
    """
    if hasattr(value, "value") and hasattr(value, "stderr"):
        _glue(name, str(value))
        _glue(f"{name}-value", float(value.value))
        _glue(f"{name}-stderr", float(value.stderr))
    else:
        _glue(name, _plain(value))
    if folder := os.environ.get(FOLDER):
        entry = {"name": name, **_kept(name, value, Path(folder))}
        with Path(folder, RECORDS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    return value


def _plain(value: object) -> Any:  # noqa: ANN401
    """A number of any library as Python's own; everything else as it is."""
    scalar = hasattr(value, "item") and getattr(value, "ndim", 0) == 0
    return value.item() if scalar else value


def _kept(name: str, value: Any, folder: Path) -> dict[str, Any]:  # noqa: ANN401
    """What a table holds of a value, its files written."""
    if hasattr(value, "value") and hasattr(value, "stderr"):
        told = {key: getattr(value, key, None) for key in ("n", "method", "side")}
        return {"value": float(value.value), "stderr": float(value.stderr), **told}
    plain = _plain(value)
    if plain is None or isinstance(plain, bool | int | float | str):
        return {"value": plain}
    stem = _stem(name)
    if hasattr(value, "savefig"):
        value.savefig(folder / f"{stem}.svg")
        return {"file": f"{stem}.svg"}
    if hasattr(value, "shape"):
        import numpy as np

        tensor = hasattr(value, "detach")
        array = value.detach().cpu().numpy() if tensor else np.asarray(value)
        np.save(folder / f"{stem}.npy", array, allow_pickle=False)
        return {"file": f"{stem}.npy", "shape": list(array.shape)}
    return {"value": str(value)}


def _stem(name: str) -> str:
    """A file's name for a record; no two records share one."""
    stem = re.sub(r"[^\w.-]+", "-", name)
    return stem if stem == name else f"{stem}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _glue(name: str, value: object) -> None:
    try:
        from IPython import get_ipython
        from myst_nb import glue
    except ImportError:
        return
    if get_ipython() is not None:
        glue(name, value, display=False)
