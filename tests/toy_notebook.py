"""Small notebooks to be swept."""

import json
from pathlib import Path

import nbformat

PARAMETERS = """
n: int = 10  # n >= 1; size
T: float = 0.5  # 0 < T < 2; horizon
seed: int = 0  # 0 <= seed; seed
name: str = "a"
flag: bool = False
maybe: float | None = None
steps: list[float] = [1.0, 2.0]
folder: Path = "data"
"""

#: What `genbound.record` does, without its import.
KEEP = """
import json, os
def keep(name, value):
    with open(os.path.join(os.environ["GENBOUND_RECORDS"], "records.jsonl"), "a") as file:
        file.write(json.dumps({"name": name, "value": value}) + "\\n")
"""


def write(path: Path, *cells: str, parameters: str = PARAMETERS) -> Path:
    """A notebook with a cell of parameters and others."""
    new = nbformat.v4.new_code_cell
    tagged = new(parameters, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(
        cells=[new("from pathlib import Path"), tagged, *map(new, cells)],
        metadata={"kernelspec": kernel},
    )
    path.write_text(nbformat.writes(book))
    return path


def rows(root: Path) -> dict[str, dict]:
    """All rows of a folder by run."""
    return {path.stem: json.loads(path.read_text()) for path in (root / "rows").glob("*.json")}
