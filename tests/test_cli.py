"""The command line: what it accepts, what it refuses, and with which exit status."""

import subprocess
import sys

import pytest

import genbound
from genbound import __main__ as command
from genbound.book import BookError, Built, Outcome

CHAPTER = """---
file_format: mystnb
---
# Sums

```{code-cell}
:tags: [parameters]
n: int = 2  # 1 <= n <= 100; how many
rate: float = 0.5
device = "cpu"  # device in ("cpu", "cuda")
```

```{code-cell}
n + 1 / (n - 50)
```
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    (tmp_path / "book" / "profiles").mkdir(parents=True)
    (tmp_path / "book" / "sums.md").write_text(CHAPTER)
    (tmp_path / "book" / "profiles" / "small.yml").write_text("sums:\n  rate: 1e-3\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/sums\n")
    (tmp_path / "_config.yml").write_text("title: Sums\n")
    monkeypatch.chdir(tmp_path / "book")
    return tmp_path


@pytest.fixture
def builds(monkeypatch):
    """What `build` would have been called with."""
    calls = []

    def build(root, **options):
        calls.append((root, options))
        outcomes = (Outcome("sums", 12.3, True), Outcome("another", 0.5, False))
        return Built(root / "_build/html/index.html", outcomes, True)

    monkeypatch.setattr(command, "build", build)
    return calls


def test_build_hands_typed_parameters_on_and_prints_a_table(book, builds, capsys):
    words = ["-p", "sums.rate=1e-3", "-p", "sums.n=7", "--jobs", "3", "--profile", "small"]
    assert command.main(["build", *words]) == 0
    root, options = builds[0]
    assert root == book  # found above the working folder
    assert options["overrides"] == {"sums": {"rate": 1e-3, "n": 7}}
    assert (options["jobs"], options["profile"], options["force"]) == (3, "small", False)
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["sums", "12.3", "ran"]
    assert shown[2].split() == ["another", "0.5", "reused"]
    assert shown[-1] == f"site (rendered): {book / '_build/html/index.html'}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "-p", "sum.n=3"], "unknown chapter sum: did you mean sums"),
        (["build", "-p", "sums.rat=3"], "sums: unknown parameter rat: did you mean rate"),
        (["build", "-p", "sums.n=true"], "sums: parameter n: given 'true' (str), allowed: int"),
        (["build", "-p", "sums.n=1e3"], "sums: parameter n: given 1000.0 (float)"),
        (["build", "-p", "sums.n=0"], "sums: parameter n: given 0, allowed: int with 1 <= n"),
        (["build", "-p", "sums.device=tpu"], "given 'tpu'"),
        (["build", "-p", "sums.n"], "must be CHAPTER.NAME=VALUE"),
        (["build", "-p", "n=3"], "must be CHAPTER.NAME=VALUE"),
        (["run", "sums.md", "-p", "n"], "must be NAME=VALUE"),
        (["run", "sums.md", "-p", "m=3"], "sums: unknown parameter m"),
        (["run", "gone.md"], "gone.md: no such file"),
        (["parameters", "../_toc.yml"], "_toc.yml: not a chapter"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(book, builds, capsys, words, message):
    assert command.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("genbound: ")
    assert shown.err.count("\n") == 1
    assert not builds
    assert not (book / "_build").exists()


def test_a_profile_that_does_not_exist_is_refused(book, capsys):
    assert command.main(["build", "--profile", "smal"]) == 2
    assert "unknown profile smal: did you mean small" in capsys.readouterr().err
    assert not (book / "_build").exists()


@pytest.mark.usefixtures("book", "builds")
def test_jobs_are_counted_from_one(capsys):
    with pytest.raises(SystemExit) as refused:
        command.main(["build", "--jobs", "0"])
    assert refused.value.code == 2
    assert "given 0, allowed: a whole number from 1" in capsys.readouterr().err


def test_outside_a_book_there_is_nothing_to_build(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["build"]) == 2
    assert "not inside a book" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"), [(BookError("one: failed"), 1), (KeyboardInterrupt, 130)]
)
@pytest.mark.usefixtures("book")
def test_failures_have_their_own_exit_status(monkeypatch, capsys, error, status):
    def build(*_, **__):
        raise error

    monkeypatch.setattr(command, "build", build)
    assert command.main(["build"]) == status
    assert capsys.readouterr().err.startswith("genbound: ")


@pytest.mark.usefixtures("book")
def test_parameters_are_shown_with_what_is_allowed(capsys):
    assert command.main(["parameters", "sums.md"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "n = 2  (int with 1 <= n <= 100)",
        "    how many",
        "rate = 0.5  (float)",
        'device = \'cpu\'  (str with device in ("cpu", "cuda"))',
    ]


def test_run_leaves_the_notebook_or_says_which_cell_failed(book):
    line = [sys.executable, "-m", "genbound", "run", "sums.md", "--out", "../out.ipynb", "-p"]
    good = subprocess.run([*line, "n=51"], capture_output=True, text=True, check=True)
    assert good.stdout.strip() == str(book / "out.ipynb")
    assert "52.0" in (book / "out.ipynb").read_text()
    bad = subprocess.run([*line, "n=50"], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "sums: cell [3] failed: ZeroDivisionError" in bad.stderr
    assert "Traceback" in bad.stderr


def test_the_command_line_waits_for_no_mathematics() -> None:
    heavy = {"torch", "sympy", "numpy"}
    code = f"import sys, genbound.__main__; print(*({heavy} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


def test_every_name_of_the_front_door_opens() -> None:
    for name in genbound.__all__:
        assert getattr(genbound, name) is not None
    with pytest.raises(AttributeError, match="^No genbound attribute bond$"):
        _ = genbound.bond
