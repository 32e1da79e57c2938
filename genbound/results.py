"""Tables of results: a chapter hands over what a long run measured, and quotes what one has left.

A chapter runs in a minute with its defaults; what takes longer is run apart, by the command
`genbound results`, and its tables are kept beside the chapters as `book/results/NAME.csv` with a
`NAME.yml` that says where the numbers come from. So every build shows them, and none repeats them.
"""

import csv
import io
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["FOLDER", "LARGEST", "Kept", "keep", "kept", "numbers"]

#: The environment variable that names the folder where `keep` leaves its tables.
FOLDER = "GENBOUND_RESULTS"
#: Rows of the largest table: results are to be read, not mined.
LARGEST = 500

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)")


@dataclass(frozen=True, eq=False)
class Kept:
    """A table from a longer run, and where it comes from.

    Attributes:
        frame: The table.
        provenance: `chapter`, `profile`, `parameters` (those that differ from the chapter's
            defaults), `device`, `versions`, `date`, `command`, and `seeds` where the chapter has
            a parameter of that name.
    """

    frame: "pd.DataFrame"
    provenance: Mapping[str, Any]

    @property
    def caption(self) -> str:
        """Where the numbers come from, in one sentence."""
        said = self.provenance
        seeds = f", seeds: {said['seeds']}" if "seeds" in said else ""
        changed = {k: v for k, v in said["parameters"].items() if k != "seeds"}
        given = ", ".join(f"{name} = {value}" for name, value in changed.items())
        versions = ", ".join(f"{name} {version}" for name, version in said["versions"].items())
        return (
            f"Profile {said['profile']}{f' ({given})' if given else ''}{seeds}; computed on "
            f"{said['device']} with {versions} on {said['date']} by “{said['command']}”."
        )

    def _repr_html_(self) -> str:
        table = self.frame.to_html(index=False, border=0, float_format=_shown, na_rep="")
        start, rest = table.split(">", 1)
        return f"{start}><caption>{escape(self.caption, quote=False)}</caption>{rest}"


def keep(name: str, frame: "pd.DataFrame") -> None:
    """Hand over a table of results; without the command `genbound results`, only check it.

    Args:
        name: CHAPTER-WHAT in lower case with hyphens, such as `trade-off-trained-optimum`.
        frame: Numbers and text, at most `LARGEST` rows, without an index of its own.

    Raises:
        ValueError: If the name or the table is not of this kind, or the name was kept before.
    """
    _check_name(name)
    text = _as_csv(name, frame)
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    path = Path(folder, f"{name}.csv")
    if path.exists():
        raise ValueError(f"name: {name} was kept before; names must differ")
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".yml").write_text(yaml.safe_dump({"device": _device()}), encoding="utf-8")


def kept(name: str) -> Kept | None:
    """The table of that name that a longer run has left in `book/results/`.

    The build reruns a chapter when a table changes whose name stands in the chapter's code as a
    plain string.

    Args:
        name: As it was given to `keep`.

    Returns:
        The table, or None if there is none (yet), or no book around the working folder.

    Raises:
        ValueError: If the name is no name of a table.
        OSError: If only one of its two files is there.
    """
    _check_name(name)
    here = Path.cwd()
    root = next((f for f in (here, *here.parents) if (f / "_toc.yml").is_file()), here)
    table, origin = (root / "book" / "results" / f"{name}.{end}" for end in ("csv", "yml"))
    if not table.is_file() and not origin.is_file():
        return None
    provenance = yaml.safe_load(origin.read_text(encoding="utf-8"))
    return Kept(_from_csv(table.read_text(encoding="utf-8")), provenance)


def numbers(cells: Iterable[object]) -> "np.ndarray":
    """The numbers in a table's cells, such as `1.2 ± 0.3` or `+0.5 [+0.1, +0.8]`.

    Args:
        cells: Texts of estimates or of intervals, or plain numbers.

    Returns:
        One row for each place in a text: the values, then the errors, or the ends of the
        intervals. Where a cell has fewer numbers than another (an exact value has no error), 0.
    """
    import numpy as np

    rows = []
    for cell in cells:
        inside, _, power = str(cell).partition(")")  # as in `(1.2 ± 0.3)e-07`
        rows.append([float(number) * float(f"1{power}") for number in _NUMBER.findall(inside)])
    width = max(map(len, rows))
    return np.array([row + [0.0] * (width - len(row)) for row in rows]).T


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"name: given {name!r}, allowed: CHAPTER-WHAT in lower case with hyphens")


def _as_csv(name: str, frame: "pd.DataFrame") -> str:
    """The table as text that gives the same table back."""
    import pandas as pd

    if not frame.index.equals(pd.RangeIndex(len(frame))):
        raise ValueError(f"frame: {name} has an index, which is not kept; use reset_index()")
    if not 0 < len(frame) <= LARGEST:
        raise ValueError(f"frame: {name} has {len(frame)} rows, allowed: 1..{LARGEST}")
    narrow = frame.select_dtypes("float32").columns
    frame = frame.astype(dict.fromkeys(narrow, "float64"))
    text = frame.to_csv(index=False, lineterminator="\n")
    try:
        pd.testing.assert_frame_equal(_from_csv(text), frame, check_dtype=False, check_exact=True)
    except AssertionError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"frame: {name} does not survive as text, only numbers and text do: {reason}"
        ) from None
    return text


def _from_csv(text: str) -> "pd.DataFrame":
    import pandas as pd

    names, *rows = csv.reader(io.StringIO(text))
    columns = zip(*rows, strict=True)
    return pd.concat(
        [pd.Series(_read(c), name=n) for n, c in zip(names, columns, strict=True)], axis=1
    )


def _read(column: Sequence[str]) -> Sequence[Any]:
    """A column's numbers, where all of it are numbers; Python's reading of them is exact."""
    if set(column) <= {"True", "False"}:
        return [word == "True" for word in column]
    for kind in (int, float):
        with suppress(ValueError):
            return [kind(word or "nan") for word in column]
    return column


def _device() -> str:
    """What this process computed on: the GPU, if torch has used it, else the CPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads() if torch is not None else 1
    return f"{threads} CPU thread{'s' if threads > 1 else ''} ({platform.machine()})"


def _shown(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:.4g}"
