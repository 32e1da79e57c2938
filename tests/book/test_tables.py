"""Tables that chapters keep: written whole, with where they come from, and seen by the build."""

import pathlib
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import nbformat
import pytest
import yaml

from genbound import __main__ as command
from genbound.book import BookError, ParameterError, run, tables
from genbound.book.build import build

HEADER = "---\nfile_format: mystnb\n---\n"
SUMS = (
    HEADER
    + """# Sums

```{code-cell}
:tags: [parameters]
n: int = 2  # 1 <= n <= 100; how many
grid: tuple[float, ...] = (1.0,)  # where
seeds: int = 4  # how often
```

```{code-cell}
import pandas as pd
from genbound import results

frame = pd.DataFrame({"x": [n / 3 * value for value in grid]})
results.keep("sums-thirds", frame)
results.keep("sums-count", pd.DataFrame({"n": [n], "what": ["how many"]}))
```

```{code-cell}
found = results.kept("sums-thirds")
found.frame.x.tolist() if found else "nothing yet"
```
"""
)
PLAIN = HEADER + "# Plain\n\n```{code-cell}\nfrom genbound import results\n1 + 1\n```\n"
FILES = {
    "_config.yml": "title: Miniature\n",
    "_toc.yml": "format: jb-book\nroot: book/sums\nchapters:\n- file: book/plain\n",
    "book/sums.md": SUMS,
    "book/plain.md": PLAIN,
    "book/profiles/long.yml": "sums:\n  n: 5\n  grid: [1, 2]\nplain: {}\n",
    "book/profiles/other.yml": "plain: {}\n",
}


@pytest.fixture
def book(tmp_path):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def update(book, *names, profile="long"):
    paths = [book / "book" / f"{name}.md" for name in names or ("sums",)]
    return tables.update(book, paths, profile=profile, say=[].append)


def change(book, path, old, new):
    text = (book / path).read_text()
    assert old in text
    (book / path).write_text(text.replace(old, new))


def shown(notebook):
    """What the last cell shows."""
    return nbformat.read(notebook, 4).cells[-1].outputs[0].data["text/plain"]


def today():
    return datetime.now(UTC).strftime("%Y-%m-%d")


def snapshot(book):
    folder = book / "book" / "results"
    return {path.name: path.read_bytes() for path in folder.glob("*")} if folder.exists() else {}


ALL = {f"sums-{what}.{end}" for what in ("count", "thirds") for end in ("csv", "yml")}


def test_tables_are_written_with_their_provenance_and_a_second_run_changes_nothing(
    book, monkeypatch, capsys
):
    monkeypatch.chdir(book / "book")
    assert command.main(["results", "sums.md", "--profile", "long"]) == 0
    named = capsys.readouterr().out.splitlines()[-4:]
    assert {book / name for name in named} == {book / "book" / "results" / name for name in ALL}
    before = snapshot(book)
    assert set(before) == ALL
    assert before["sums-thirds.csv"].decode() == f"x\n{5 / 3}\n{10 / 3}\n"
    origin = yaml.safe_load(before["sums-thirds.yml"])
    versions, date = origin.pop("versions"), origin.pop("date")
    assert set(versions) == {"python", "genbound"} and re.match(r"\d+\.\d+", versions["genbound"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
    assert origin.pop("device").startswith("1 CPU thread")
    assert origin == {
        "chapter": "sums",
        "profile": "long",
        "parameters": {"n": 5, "grid": [1.0, 2.0]},
        "seeds": 4,
        "command": "python -m genbound results book/sums.md --profile long",
    }
    assert shown(book / "runs" / "sums-long.ipynb") == "'nothing yet'"
    for name in ALL:
        (book / "book" / "results" / name).write_text("spoilt")
    change(book, "book/sums.md", "found =", "found = None  #")
    update(book)
    assert {
        name: text.replace(today().encode(), date.encode())
        for name, text in snapshot(book).items()
    } == before


def test_an_ordinary_run_shows_the_table_that_lies_there_and_writes_none(book):
    results = book / "book" / "results"
    results.mkdir()
    (results / "sums-thirds.csv").write_text("x\n0.25\n")
    (results / "sums-thirds.yml").write_text("profile: long\n")
    before = snapshot(book)
    output = run(book / "book" / "sums.md", output=book / "out.ipynb")
    assert shown(output) == "[0.25]"
    cells = nbformat.read(output, 4).cells
    assert [len(cell.outputs) for cell in cells if cell.cell_type == "code"] == [0, 0, 1]
    assert snapshot(book) == before


def test_a_failing_chapter_leaves_its_tables_and_the_others_are_written(book):
    (book / "book" / "results").mkdir()
    (book / "book" / "results" / "sums-count.csv").write_text("n\n1\n")
    change(book, "book/sums.md", "found =", "1 / 0\nfound =")
    keeping = 'import pandas as pd\nresults.keep("plain-one", pd.DataFrame({"x": [1]}))'
    change(book, "book/plain.md", "1 + 1", keeping)
    with pytest.raises(BookError, match=r"sums: cell \[\d\] failed: ZeroDivisionError"):
        update(book, "sums", "plain")
    after = snapshot(book)
    assert set(after) == {"sums-count.csv", "plain-one.csv", "plain-one.yml"}
    assert after["sums-count.csv"] == b"n\n1\n"


def test_tables_of_others_and_no_tables_are_refused(book):
    change(book, "book/sums.md", 'keep("sums-thirds"', 'keep("plain-thirds"')
    change(book, "book/plain.md", "1 + 1", "None and results.keep()")
    with pytest.raises(BookError) as failure:
        update(book, "sums", "plain")
    assert "sums: kept plain-thirds, allowed are names from sums- on" in str(failure.value)
    assert "plain: kept no table with these parameters" in str(failure.value)
    assert snapshot(book) == {}


@pytest.mark.parametrize(
    ("names", "profile", "message"),
    [
        (("plain",), "long", "plain: keeps no table; it has no call of results.keep"),
        (("sums",), "other", "sums: profile other has no parameters for it"),
        (("sums",), "lon", "unknown profile lon: did you mean long"),
        (("gone",), "long", "gone.md: no such file"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_runs(book, names, profile, message):
    with pytest.raises(ParameterError, match=message):
        update(book, *names, profile=profile)
    assert not (book / "runs").exists()


def test_only_a_table_that_is_named_makes_its_chapter_stale(book, monkeypatch):
    def unrun(job, *_, **__):
        pathlib.Path(job.output).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(job.output).touch()
        return 1.0

    monkeypatch.setattr("genbound.book.site.update", lambda *_, **__: False)
    monkeypatch.setattr(sys.modules["genbound.book.build"], "run_one", unrun)

    def ran():
        built = build(book, say=[].append)
        return {outcome.chapter for outcome in built.outcomes if outcome.ran}

    assert ran() == {"sums", "plain"}
    results = book / "book" / "results"
    results.mkdir()
    (results / "plain-more.csv").write_text("x\n1\n")
    assert ran() == set()
    (results / "sums-thirds.csv").write_text("x\n1\n")
    (results / "sums-thirds.yml").write_text("profile: long\n")
    assert ran() == {"sums"}
    (results / "plain-more.csv").write_text("x\n2\n")
    assert ran() == set()
    (results / "sums-thirds.yml").write_text("profile: short\n")
    assert ran() == {"sums"}


def test_the_command_needs_a_profile_and_says_in_one_line_what_is_wrong(book, monkeypatch, capsys):
    monkeypatch.chdir(book / "book")
    assert command.main(["results", "plain.md", "--profile", "long"]) == 2
    assert capsys.readouterr().err == (
        "genbound: plain: keeps no table; it has no call of results.keep\n"
    )
    with pytest.raises(SystemExit):
        command.main(["results", "sums.md"])
    assert "--profile" in capsys.readouterr().err


def test_an_interrupted_command_leaves_no_table(book):
    slow = "import pathlib, time\npathlib.Path('../started').touch()\ntime.sleep(100)\nfound ="
    change(book, "book/sums.md", "found =", slow)
    # A shell that puts a job into the background makes its processes deaf to SIGINT.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "import sys; from genbound.__main__ import main; sys.exit(main(sys.argv[1:]))"
    line = [sys.executable, "-c", code, "results", "book/sums.md", "--profile", "long"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(line, cwd=book, **quiet) as process:
        try:
            until = time.monotonic() + 60
            while not (book / "started").exists():
                assert time.monotonic() < until
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
        finally:
            process.kill()
    assert snapshot(book) == {}
