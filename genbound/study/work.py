"""One run of a study, from its order to its row, in whatever process it is handed to."""

import ast
import json
import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import isinf
from pathlib import Path
from typing import Any

from genbound.book import execute
from genbound.book.history import device
from genbound.record import FOLDER, RECORDS
from genbound.study.store import DONE, FAILED, Store, refusals

#: What became of an order, beside the two ways in which a run can end.
ELSEWHERE, LOST = "elsewhere", "lost"
NOTEBOOK = "executed.ipynb"
#: Letters of an error in a row; all of it is in the executed notebook.
LONGEST = 10_000


@dataclass(frozen=True)
class Order:
    """A run that is to be done.

    Attributes:
        run: Its name: the hash of all that its outcome depends on.
        root: The study's folder.
        notebook: How messages call the notebook.
        source: The notebook's file.
        text: The notebook, as JSON text of nbformat 4.
        folder: The working folder.
        parameters: The values of all parameters.
        identity: What the name was made from: the hashes of code, sources and environment, and
            the versions.
        paths: Folders in front of the import path.
        since: Rows of failed runs from before this time (seconds since 1970) are done again.
        attempt: Which attempt this is, from 1.
        attempts: How often a run is tried whose kernel dies.
    """

    run: str
    root: Path
    notebook: str
    source: str
    text: str
    folder: str
    parameters: Mapping[str, Any]
    identity: Mapping[str, Any]
    paths: tuple[str, ...]
    since: float = 0.0
    attempt: int = 1
    attempts: int = 3


def perform(order: Order) -> str:
    """Do a run, unless it has ended or somebody else does it; leave its row.

    Args:
        order: What to do.

    Returns:
        What became of it: `done`, `failed`, `elsewhere` (another driver works on it) or `lost`
        (its kernel died, and it may be tried again).

    Raises:
        StoreError: If the folder cannot be written.
    """
    store = Store(order.root)
    with store.claimed(order.run) as mine:
        if not mine:
            return ELSEWHERE
        if (status := _before(order, store)) is not None:
            return status
        began, error = time.monotonic(), None
        with store.workplace(order.run) as work:
            try:
                book = _executed(order, work)
            except execute.CellFailed as failure:
                if isinstance(failure, execute.KernelDied) and order.attempt < order.attempts:
                    return LOST
                book, error = failure.book, str(failure)
            return _publish(order, store, work, book, error, time.monotonic() - began)


def give_up(order: Order, error: str) -> str:
    """Leave the row of a run whose process died at every attempt.

    Args:
        order: The run.
        error: What is known of the reason.

    Returns:
        What became of it: `failed`, unless another driver had better luck.
    """
    store = Store(order.root)
    with store.claimed(order.run) as mine:
        if not mine:
            return ELSEWHERE
        if (status := _before(order, store)) is not None:
            return status
        with store.workplace(order.run) as work:
            return _publish(order, store, work, None, error, float("nan"))


def _before(order: Order, store: Store) -> str | None:
    """How the run ended before, unless it is to be done again."""
    row = store.row(order.run)
    done = row is not None and (row["status"] == DONE or row["ended"] >= order.since)
    return row["status"] if done else None


def _executed(order: Order, work: Path) -> Any:  # noqa: ANN401
    import nbformat
    from papermill.translators import papermill_translators

    # It warns of parameters that its pattern for a line overlooks (ours are checked already), and
    # of dead kernels without saying which run's (the row does).
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    papermill_translators.register("python", _Exact)
    book = nbformat.reads(order.text, 4)
    options = _kernel(order, work)
    return execute.run_cells(book, name=order.notebook, parameters=order.parameters, **options)


class _Exact:
    """What papermill asks of a language, for plain Python values: their own text."""

    @staticmethod
    def inspect(_cell: Any) -> list[Any]:  # noqa: ANN401
        """What a cell declares; it was read before."""
        return []

    @staticmethod
    def codify(parameters: Mapping[str, Any], comment: str) -> str:
        """The cell that sets the parameters."""
        lines = (f"{name} = {_literal(value)}" for name, value in parameters.items())
        return "\n".join([f"# {comment}", *lines, ""])


def _literal(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({''.join(f'{_literal(each)}, ' for each in value)})"
    return f'float("{value}")' if isinstance(value, float) and isinf(value) else repr(value)


def _publish(
    order: Order,
    store: Store,
    work: Path,
    book: Any,  # noqa: ANN401
    error: str | None,
    seconds: float,
) -> str:
    import nbformat

    with refusals(order.root):
        if book is not None:
            (work / NOTEBOOK).write_text(nbformat.writes(book), encoding="utf-8")
        records = _records(work)
    row = {
        "run": order.run,
        "status": DONE if error is None else FAILED,
        "source": order.source,
        "parameters": dict(order.parameters),
        "records": records,
        "error": error and error[:LONGEST],
        "seconds": round(seconds, 3),
        "ended": time.time(),
        "attempts": order.attempt,
        "host": socket.gethostname(),
        "device": device(),
        **order.identity,
    }
    store.publish(order.run, work, row)
    return row["status"]


def _kernel(order: Order, work: Path) -> dict[str, Any]:
    """Options that make papermill take a forked kernel, where the system can fork."""
    environment = {FOLDER: str(work)}
    if not hasattr(os, "fork"):  # pragma: no cover
        os.environ.update(environment)
        os.chdir(order.folder)
        return {}
    from genbound.study import warm

    interpreter = warm.interpreter(imported(order.text), order.paths, order.identity["sources"])
    return {
        "kernel_manager_class": warm.manager(interpreter, order.folder, environment),
        "shutdown_kernel": "immediate",
    }


@cache
def imported(text: str) -> tuple[str, ...]:
    """The modules that a notebook imports at the top of its cells, as far as they can be read."""
    found = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        try:
            tree = ast.parse(source) if cell["cell_type"] == "code" else ast.Module([], [])
        except SyntaxError:
            continue
        for statement in tree.body:
            match statement:
                case ast.Import(names=names):
                    found += [alias.name for alias in names]
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    found += [module, *(f"{module}.{alias.name}" for alias in names)]
    # What `record` imports when it is called for the first time.
    late = ["myst_nb"] if any(name.startswith("genbound") for name in found) else []
    return tuple(dict.fromkeys([*found, *late]))


def _records(work: Path) -> dict[str, Any]:
    """What the notebook recorded, by name; of equal names the last."""
    path = work / RECORDS
    if not path.is_file():
        return {}
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    path.unlink()
    return {entry.pop("name"): entry for entry in entries}
