"""The words of the command line, and everything that they refuse."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from genbound.__main__ import main

FINE = "x: int = 1  # x >= 1\nT: float = 0.5  # 0 < T < 2\nseed: int = 0\nh: list[float] = [1.0]"


def markdown(*cells: str, parameters: str = FINE) -> str:
    """A notebook in MyST Markdown."""
    head = "---\nkernelspec:\n  name: python3\n  display_name: P\n---\n# Page\n\n"
    tagged = f"```{{code-cell}}\n:tags: [parameters]\n{parameters}\n```\n\n"
    return head + tagged + "".join(f"```{{code-cell}}\n{cell}\n```\n\n" for cell in cells)


def run(capsys, *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(markdown("print(x)"))
    return tmp_path


GRIDS = {
    "list.yml": "- 1",
    "broken.yml": "x: [1",
    "twice.yml": "x: 1\nx: 2",
    "number.yml": "1: 2",
    "zip.yml": "zip: 3",
    "unequal.yml": "zip:\n- {x: [1, 2], T: [0.5]}",
    "fine.yml": "x: [1]",
    "unknown.yml": "y: [1]",
    "nested.yml": "x: {a: 1}",
}
PAGES = {
    "bare.md": "# no code",
    "two.md": markdown("print(1)").replace(
        "# Page", "```{code-cell}\n:tags: [parameters]\nz=1\n```"
    ),
    "computed.md": markdown(parameters="x: int = 1 + 1"),
    "untyped.md": markdown(parameters="x = None"),
    "strange.md": markdown(parameters="x: complex = 1"),
    "default.md": markdown(parameters="x: int = 0  # x >= 1"),
    "double.md": markdown(parameters="x: int = 0\nx: int = 1"),
    "seedless.md": markdown(parameters="x: int = 0"),
    "text.txt": "x = 1",
    "broken.ipynb": "{",
    "other.ipynb": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": '
    '{"name": "ir", "display_name": "R", "language": "R"}}, "cells": []}',
    "old.ipynb": '{"nbformat": 3}',
}
BAD = [
    ("no file", "gone.md", [], "no such file"),
    ("a folder", ".", [], "must be a .md or .ipynb file"),
    ("another ending", "text.txt", [], "must be a .md or .ipynb file"),
    ("no code", "bare.md", [], "0 cells tagged 'parameters'"),
    ("two cells", "two.md", [], "2 cells tagged 'parameters'"),
    ("no literal", "computed.md", [], "parameter x: its default is not a literal"),
    ("no type", "untyped.md", [], "parameter x: its default None needs an annotation"),
    ("unknown type", "strange.md", [], "unknown type complex"),
    ("bad default", "default.md", [], "parameter x: given 0"),
    ("declared twice", "double.md", [], "parameter x: declared twice"),
    ("no JSON", "broken.ipynb", [], "not a notebook"),
    ("another language", "other.ipynb", [], "its language is R"),
    ("an old notebook", "old.ipynb", [], "not a notebook"),
    ("no value", "page.md", ["-p", "x"], "-p x: must be NAME=VALUES"),
    ("no name", "page.md", ["-p", "=1"], "must be NAME=VALUES"),
    ("unknown name", "page.md", ["-p", "X=1"], "unknown parameter X"),
    ("an axis twice", "page.md", ["-p", "x=1", "-p", "x=2"], "axis x: given twice"),
    ("a value twice", "page.md", ["-p", "x=1,2,1"], "axis x: x = 1 given twice"),
    ("an empty value", "page.md", ["-p", "x=1,,2"], "axis x: has an empty value"),
    ("a wrong type", "page.md", ["-p", "x=1.5"], "parameter x: given 1.5"),
    ("words", "page.md", ["-p", "T=high"], "parameter T: given 'high'"),
    ("not a number", "page.md", ["-p", "T=nan"], "parameter T: given"),
    ("out of range", "page.md", ["-p", "T=0.5,2.5"], "parameter T: given 2.5"),
    (
        "a short range",
        "page.md",
        ["-p", "T=linspace(0,1)"],
        "must be linspace(first, last, count)",
    ),
    ("a range of nothing", "page.md", ["-p", "x=arange(5,1)"], "axis x: has no values"),
    ("a range of letters", "page.md", ["-p", "x=arange(a,b)"], "must be arange("),
    ("too many values", "page.md", ["-p", "x=arange(1,1e8)"], "at most 1000000"),
    (
        "too many runs",
        "page.md",
        ["-p", "x=arange(1,2001)", "-p", "seed=arange(0,2000)"],
        "grid: has 4000000 runs",
    ),
    ("a list without brackets", "page.md", ["-p", "h=[a]"], "parameter h"),
    ("zip of one", "page.md", ["-p", "x=1", "--zip", "x"], "two or more different names"),
    ("zip of no axis", "page.md", ["-p", "x=1", "--zip", "x,T"], "unknown axis T"),
    (
        "zip of two lengths",
        "page.md",
        ["-p", "x=1,2", "-p", "T=0.5", "--zip", "x,T"],
        "must be of one length: x has 2, T has 1",
    ),
    ("no grid file", "page.md", ["--grid", "gone.yml"], "grid gone.yml: No such file"),
    ("a grid file of a list", "page.md", ["--grid", "list.yml"], "must map names to values"),
    ("bad YAML", "page.md", ["--grid", "broken.yml"], "grid broken.yml: not YAML"),
    ("YAML that repeats", "page.md", ["--grid", "twice.yml"], "x is given twice"),
    ("YAML with a number", "page.md", ["--grid", "number.yml"], "the name 1, allowed: text"),
    ("YAML with a bad zip", "page.md", ["--grid", "zip.yml"], "zip must be a list"),
    ("YAML of two lengths", "page.md", ["--grid", "unequal.yml"], "x has 2, T has 1"),
    ("YAML with an unknown name", "page.md", ["--grid", "unknown.yml"], "unknown parameter y"),
    ("YAML with a nest", "page.md", ["--grid", "nested.yml"], "allowed: values"),
    ("file and word", "page.md", ["--grid", "fine.yml", "-p", "x=2"], "axis x: given twice"),
    ("no seeds", "page.md", ["--seeds", "0"], "seeds: given 0"),
    ("too many seeds", "page.md", ["--seeds", "99999999999"], "seeds: given 99999999999"),
    ("an open bracket", "page.md", ["-p", "h=[1,2"], "leaves a quote or bracket open"),
    ("seeds without seed", "seedless.md", ["--seeds", "2"], "unknown parameter seed"),
    ("seeds twice", "page.md", ["--seeds", "2", "-p", "seed=1"], "axis seed: given twice"),
    ("no jobs", "page.md", ["--jobs", "0"], "jobs: given 0"),
    ("no attempts", "page.md", ["--attempts", "0"], "attempts: given 0"),
    ("a part of words", "page.md", ["--part", "first"], "--part: given first"),
    ("a part of odd digits", "page.md", ["--part", "0/\u00b2"], "--part: given 0/\u00b2"),
    ("a part too many", "page.md", ["--part", "2/2"], "part: given 2 of 2"),
    ("a script of nothing", "page.md", ["--slurm-array", "0"], "--slurm-array: given 0"),
    ("a scheduler of no kind", "page.md", ["--dask", "here"], "--dask here"),
    ("no folder", "page.md", ["--out", ""], "--out: given no name"),
    ("a file for a folder", "page.md", ["--out", "text.txt"], "is a file, allowed: a folder"),
]


@pytest.mark.parametrize(("page", "words", "told"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_told_in_one_line_and_writes_nothing(
    here: Path, capsys, page: str, words: list[str], told: str
) -> None:
    for name, text in {**GRIDS, **PAGES}.items():
        (here / name).write_text(text)
    before = sorted(here.rglob("*"))
    status, out, err = run(capsys, "sweep", page, *words)
    assert status == 2 and out == ""
    assert err.startswith("genbound: ") and err.count("\n") == 1 and told in err
    assert sorted(here.rglob("*")) == before


def test_at_least_thirty_kinds() -> None:
    assert len({told for *_, told in BAD}) >= 30


@pytest.mark.parametrize("word", ["table", "report"])
def test_a_folder_without_runs(here: Path, capsys, word: str) -> None:
    status, _, err = run(capsys, word, "gone")
    assert status == 2 and "gone: holds no runs" in err and not (here / "gone").exists()


def test_a_sweep_its_table_and_its_page(here: Path, capsys) -> None:
    page = here / "page.md"
    page.write_text(markdown("assert x < 3, 'too large'"))
    words = ["sweep", "page.md", "-p", "x=1,2,3", "-p", "h=[1],[2,3]", "--jobs", "2"]
    status, out, _ = run(capsys, *words, "--dry-run")
    assert status == 0 and out == "6 runs: 0 done, 0 failed, 6 to do\n"
    assert not (here / "runs").exists()
    status, out, err = run(capsys, *words)
    assert status == 1 and out.splitlines()[-1] == f"{here}/runs: 4 done, 2 failed"
    assert "2 failed (genbound table" in err and "too large" in err.splitlines()[-1]
    status, out, _ = run(capsys, *words, "--dry-run")
    assert out.splitlines()[0] == "6 runs: 4 done, 2 failed, 2 to do"
    assert "about" in out

    assert run(capsys, "table", "runs", "--out", "t.csv")[0] == 0
    assert run(capsys, "table", "runs", "--out", "t.parquet")[0] == 0
    table, same = pd.read_csv("t.csv"), pd.read_parquet("t.parquet")
    assert len(table) == len(same) == 6
    assert sorted(same["h"]) == ["[1.0]"] * 3 + ["[2.0, 3.0]"] * 3
    assert (table["status"] == "failed").tolist() == (same["x"] == 3).tolist()
    assert table["error"].dropna().str.contains("too large").all()
    assert table["stale"].isna().all()
    status, _, err = run(capsys, "table", "runs", "--out", "t.xls")
    assert status == 2 and "must end in .csv or .parquet" in err

    status, out, _ = run(capsys, "report", "runs")
    assert status == 0 and "too large" in (here / "runs" / "report.html").read_text()

    page.write_text(markdown("assert x < 4, 'too large'"))
    assert run(capsys, "table", "runs", "--out", "t.csv")[0] == 0
    assert (pd.read_csv("t.csv")["stale"] == "code").all()
    assert run(capsys, *words, "--dry-run")[1].startswith("6 runs: 0 done, 0 failed, 6 to do\n6 r")
    page.unlink()
    assert run(capsys, "table", "runs", "--out", "t.csv")[0] == 0
    assert (pd.read_csv("t.csv")["stale"] == "notebook gone").all()


def test_fail_fast_stops_at_the_first_failure(here: Path, capsys) -> None:
    (here / "page.md").write_text(markdown("assert x > 1"))
    status, _, err = run(capsys, "sweep", "page.md", "-p", "x=arange(1,30)", "--fail-fast")
    assert status == 1 and "failed with" in err
    assert len(list((here / "runs" / "rows").glob("*.json"))) < 29


def test_an_array_script_runs_the_same_sweep_in_parts(here: Path, monkeypatch, capsys) -> None:
    words = ["sweep", "page.md", "-p", "x=1,2,3", "--out", "all"]
    monkeypatch.setattr(sys, "argv", ["anything", *words, "--slurm-array", "2"])
    status, script, _ = run(capsys, *words, "--slurm-array", "2")
    assert status == 0 and "#SBATCH --array=0-1\n" in script and not (here / "all").exists()
    for task, rows in (("0", 2), ("1", 3)):
        subprocess.run(
            ["bash", "-c", script],
            cwd="/",
            env=os.environ | {"SLURM_ARRAY_TASK_ID": task},
            check=True,
            capture_output=True,
        )
        assert len(list((here / "all" / "rows").glob("*.json"))) == rows
