"""The words `sweep`, `table` and `report` of the command line."""

import argparse
import sys
from pathlib import Path
from typing import Any

from genbound.book.parameters import ParameterError
from genbound.study import axes, report, tables
from genbound.study.drive import RunFailed
from genbound.study.slurm import script
from genbound.study.source import read
from genbound.study.study import Study


def add(commands: Any) -> None:  # noqa: ANN401
    """Add the words to a parser's subcommands; each sets `command` to what does it."""
    sweeping = commands.add_parser(
        "sweep",
        help="run a notebook over a grid of its parameters",
        allow_abbrev=False,
        epilog="VALUES: 0.2,0.4 or linspace(0.2,1,5), logspace(2,4,3), arange(1,5)",
    )
    sweeping.add_argument("notebook", type=Path)
    add_axis = {"action": "append", "default": []}
    sweeping.add_argument("-p", **add_axis, metavar="NAME=VALUES", help="an axis, or one value")
    sweeping.add_argument("--zip", **add_axis, metavar="NAME,NAME", help="axes that go together")
    sweeping.add_argument("--grid", type=Path, metavar="FILE", help="a YAML file of axes")
    sweeping.add_argument("--seeds", type=int, metavar="K", help="cross with seed = 0..K-1")
    sweeping.add_argument("--out", default="runs", help="folder (default runs)")
    sweeping.add_argument("--jobs", type=int, default=1, help="processes (default 1; one GPU: 1)")
    sweeping.add_argument("--attempts", type=int, default=3, help="tries if a kernel dies")
    sweeping.add_argument("--dask", metavar="ADDRESS", help="a dask scheduler, tcp://...")
    ends = sweeping.add_mutually_exclusive_group()
    ends.add_argument("--keep-going", action="store_true", help="past failed runs (the default)")
    ends.add_argument("--fail-fast", action="store_true", help="stop at the first failed run")
    told = sweeping.add_mutually_exclusive_group()
    told.add_argument("--part", default="0/1", metavar="I/K", help="only part I of K")
    told.add_argument("--dry-run", action="store_true", help="only tell how much there is to do")
    told.add_argument("--slurm-array", type=int, metavar="K", help="print a script of K jobs")
    sweeping.set_defaults(command=_sweep)

    showing = commands.add_parser("table", help="show or save the table of a sweep")
    showing.add_argument("folder", type=Path)
    showing.add_argument("--out", type=Path, help="a .csv or .parquet file")
    showing.set_defaults(command=_table)

    reporting = commands.add_parser("report", help="write a page about a sweep")
    reporting.add_argument("folder", type=Path)
    reporting.add_argument("--out", type=Path, help="the page (default FOLDER/report.html)")
    reporting.set_defaults(command=_report)


def _sweep(given: argparse.Namespace) -> None:
    study = _study(given)
    if given.slurm_array is not None:
        if given.slurm_array < 1:
            raise ParameterError(f"--slurm-array: given {given.slurm_array}, allowed: from 1")
        words = _without(sys.argv[1:], "--slurm-array")
        print(script(words, runs=len(study.runs), tasks=given.slurm_array), end="")
        return
    if given.dry_run:
        print(study.plan(jobs=max(given.jobs, 1)))
        return
    index, slash, parts = given.part.partition("/")
    if not (slash and index.isdecimal() and parts.isdecimal()):
        raise ParameterError(f"--part: given {given.part}, allowed: I/K")
    options = {"attempts": given.attempts, "fail_fast": given.fail_fast}
    part = int(index), int(parts)
    if given.dask:
        with _client(given.dask) as client:
            table = study.run(executor=client, part=part, **options)
    else:
        table = study.run(jobs=given.jobs, part=part, **options)
    counts = table["status"].value_counts()
    print(f"{study.root}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
    failed = table["error"].iloc[part[0] :: part[1]].dropna()
    if len(failed):
        first = f"the first with {failed.iloc[0]}"
        raise RunFailed(f"{len(failed)} failed (genbound table {study.root}), {first}")


def _study(given: argparse.Namespace) -> Study:
    declared = read(given.notebook).parameters
    words = axes.from_words(declared, given.p, given.zip)
    grid = axes.from_file(given.grid) if given.grid else {}
    for key in words:
        if key in grid:
            raise ParameterError(f"axis {key}: given twice, with -p and in {given.grid}")
    if not given.out:  # which would be the current folder
        raise ParameterError("--out: given no name, allowed: that of a folder")
    return Study(given.notebook, {**grid, **words}, Path(given.out), seeds=given.seeds)


def _client(address: str) -> Any:  # noqa: ANN401
    try:
        from distributed import Client
    except ImportError:
        raise ParameterError("--dask: needs the package distributed") from None
    try:
        return Client(address)
    except (OSError, ValueError) as error:
        raise ParameterError(f"--dask {address}: {error}") from error


def _without(words: list[str], option: str) -> list[str]:
    """A command line without an option and its value."""
    kept, skip = [], 0
    for word in words:
        if word == option:
            skip = 2
        if skip == 0 and not word.startswith(f"{option}="):
            kept.append(word)
        skip = max(skip - 1, 0)
    return kept


def _table(given: argparse.Namespace) -> None:
    table = tables.of_folder(given.folder)
    if given.out is None:
        print(_shown(table))
    else:
        tables.save(table, given.out)
        print(given.out)


def _shown(table: Any) -> str:  # noqa: ANN401
    """For a terminal: what differs between the runs as columns, the rest in a line."""
    told = table.drop(columns=["run", "source", "notebook"]).astype(object)
    told = told.where(told.notna(), "")
    same = [name for name in told if name != "status" and told[name].map(str).nunique() == 1]
    line = ", ".join(f"{name} = {told[name].iloc[0]}" for name in same if told[name].iloc[0] != "")
    return f"{told.drop(columns=same).to_string(index=False)}\nall: {line}"


def _report(given: argparse.Namespace) -> None:
    table = tables.of_folder(given.folder)
    fresh = table[table["stale"] == ""]
    if fresh.empty:
        raise ParameterError(f"{given.folder}: all runs are stale: {table['stale'].iloc[0]}")
    fresh.attrs = table.attrs
    print(report.write(fresh, given.out or given.folder / "report.html"))
