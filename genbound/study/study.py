"""A study: one notebook over many parameters, each run done once and kept."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbound.book.parameters import ParameterError
from genbound.study import axes, tables
from genbound.study.drive import drive
from genbound.study.processes import Processes
from genbound.study.report import write
from genbound.study.source import PACKAGE, Source, read
from genbound.study.store import DONE, Store
from genbound.study.work import Order

if TYPE_CHECKING:
    import pandas as pd

#: Runs that are handed at a time to an executor that keeps its own queue.
QUEUE = 1000


@dataclass(frozen=True)
class Plan:
    """How much of a study is there.

    Attributes:
        runs: Runs in the grid.
        done: Those that are done.
        failed: Those that failed.
        stale: Rows in the folder that an older state of the notebook, the package or the
            environment has left.
        seconds: Mean time of the runs done, None without any.
        jobs: How many run at once.
    """

    runs: int
    done: int
    failed: int
    stale: int
    seconds: float | None
    jobs: int

    def __str__(self) -> str:
        """The counts, and how long what is missing will take."""
        missing = self.runs - self.done
        lines = [f"{self.runs} runs: {self.done} done, {self.failed} failed, {missing} to do"]
        if self.stale:
            lines.append(f"{self.stale} rows of older code, sources or versions stay as they are")
        if self.seconds is not None and missing:
            left = missing * self.seconds / self.jobs
            lines.append(
                f"about {left:.0f} s with {self.jobs} at a time ({self.seconds:.2f} s each)"
            )
        return "\n".join(lines)


class Study:
    """A notebook, a grid of its parameters, and the folder where the runs are kept.

    A run is known by the hash of the notebook's code, its parameters, the sources that the code
    imports and the versions of all else: whatever of them changes, it is another run, and what is
    there already is not done again.
    """

    def __init__(
        self,
        notebook: Path | str,
        grid: axes.Grid | Sequence[Mapping[str, Any]],
        root: Path | str,
        *,
        seeds: int | None = None,
    ) -> None:
        """Check everything; nothing runs, and nothing is written.

        Args:
            notebook: A chapter, or any notebook (.md or .ipynb) with a cell tagged `parameters`.
            grid: Values by name, crossed, the last name fastest: lists, or ranges in words such
                as `"linspace(0.2, 1, 5)"`. A tuple of names has a list of tuples, for names that
                advance together. Or the list of all runs, each a dict of parameters.
            root: The folder of the results; several studies may share it.
            seeds: Also cross with `seed` = 0, ..., seeds - 1.

        Raises:
            ParameterError: If anything of this cannot be run as given.
        """
        self.source: Source = read(notebook)
        self.root = Path(root).resolve()
        if self.root.exists() and not self.root.is_dir():
            raise ParameterError(f"root {self.root}: is a file, allowed: a folder")
        declared = self.source.parameters
        if isinstance(grid, Mapping):
            if seeds is not None:
                grid = axes.with_seeds(grid, declared, seeds)
            self._given = axes.points(declared, grid)
        elif seeds is not None:
            raise ParameterError("seeds: allowed with axes, not with a list of runs")
        else:
            self._given = axes.listed(declared, grid)

    @cached_property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The values of all parameters of each run, by the run's name, in the grid's order."""
        defaults = {parameter.name: parameter.default for parameter in self.source.parameters}
        values = ({**defaults, **given} for given in self._given)
        return {self.source.run(parameters): parameters for parameters in values}

    def plan(self, *, jobs: int = 1) -> Plan:
        """What is there, and how long the rest will take.

        Args:
            jobs: How many shall run at once.

        Returns:
            The counts.
        """
        rows = Store(self.root).rows()
        mine = [row for row in rows if row["run"] in self.runs]
        done = [row["seconds"] for row in mine if row["status"] == DONE]
        others = [row for row in rows if row["source"] == str(self.source.path)]
        return Plan(
            runs=len(self.runs),
            done=len(done),
            failed=len(mine) - len(done),
            stale=sum(tables.stale(row, self.source.identity) != "" for row in others),
            seconds=sum(done) / len(done) if done else None,
            jobs=jobs,
        )

    def run(
        self,
        *,
        jobs: int = 1,
        executor: Any = None,  # noqa: ANN401
        fail_fast: bool = False,
        attempts: int = 3,
        part: tuple[int, int] = (0, 1),
        progress: bool = True,
    ) -> "pd.DataFrame":
        """Do the runs that are missing, and those that failed before.

        A run that fails is a row with its error, and the others go on. Whatever ends this
        process, a later call goes on where it ended.

        Args:
            jobs: Processes on this machine. One GPU: one process.
            executor: Instead of them, whatever has a `submit` that returns futures of the
                standard library, or a `dask.distributed.Client`.
            fail_fast: Stop at the first run that fails.
            attempts: How often a run is tried whose kernel or process dies.
            part: (i, k): only the i-th of k parts of the runs, for an array of jobs.
            progress: Whether to tell how far it is: a bar on a terminal, else a line now and then.

        Returns:
            The table of the study's runs.

        Raises:
            ParameterError: If an argument is out of range.
            StoreError: If the folder refuses a write; what ended before is kept.
            RunFailed: If a run failed that was to stop the study.
        """
        for name, count in {"jobs": jobs, "attempts": attempts}.items():
            if count < 1:
                raise ParameterError(f"{name}: given {count}, allowed: a whole number from 1")
        index, parts = part
        if not 0 <= index < parts:
            raise ParameterError(f"part: given {index} of {parts}, allowed: 0..{parts - 1}")
        store = Store(self.root)
        store.tidy()
        ended = {row["run"] for row in store.rows() if row["status"] == DONE}
        wanted = list(self.runs.items())[index::parts]
        orders = [self._order(*item, attempts) for item in wanted if item[0] not in ended]
        if orders:
            with ExitStack() as stack:
                if executor is None:
                    at_once = min(jobs, len(orders))
                    executor = stack.enter_context(Processes(at_once))
                else:
                    executor, at_once = _foreign(executor), QUEUE
                drive(orders, executor, at_once=at_once, fail_fast=fail_fast, progress=progress)
        return self.table()

    def table(self) -> "pd.DataFrame":
        """One row for each run of the grid, in its order: see :func:`tables.frame`."""
        found = {row["run"]: row for row in Store(self.root).rows()}
        missing = {"status": "missing", "source": str(self.source.path)}
        rows = [
            found.get(run, {"run": run, "parameters": parameters, **missing})
            for run, parameters in self.runs.items()
        ]
        return tables.frame(rows, self.root)

    def report(self, path: Path | str | None = None) -> Path:
        """Write a page with curves, intervals over seeds, failures and links to the notebooks.

        Args:
            path: The page; `report.html` in the study's folder unless given.

        Returns:
            The page.
        """
        return write(self.table(), Path(path) if path else self.root / "report.html")

    def _order(self, run: str, parameters: Mapping[str, Any], attempts: int) -> Order:
        source = self.source
        return Order(
            run=run,
            root=self.root,
            notebook=source.name,
            source=str(source.path),
            text=source.text,
            folder=str(source.path.parent),
            parameters=parameters,
            identity=source.identity,
            paths=(str(PACKAGE.parent), str(source.path.parent)),
            since=time.time(),
            attempts=attempts,
        )


def _foreign(executor: Any) -> Executor:  # noqa: ANN401
    """A dask client knows how to be an executor of the standard library."""
    if hasattr(executor, "get_executor"):
        return executor.get_executor(pure=False)
    if not hasattr(executor, "submit"):
        raise ParameterError(f"executor: given {executor!r}, allowed: anything with submit")
    return executor
