"""A two-chapter book: what runs, what is reused, and what survives a failure."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import nbformat
import psutil
import pytest
from filelock import FileLock

from genbound.book import BookError, ParameterError, build, history, run

pytestmark = pytest.mark.xdist_group("book")

HEADER = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---
"""
FILES = {
    "_config.yml": "title: Miniature\nonly_build_toc_files: true\nexclude_patterns: [_build]\n",
    "_toc.yml": "format: jb-book\nroot: book/intro\nchapters:\n- file: book/one\n"
    "  sections:\n  - file: book/two\n- file: book/status\n",
    "book/intro.md": "# Miniature\n\nChapter one says {glue:text}`one.md::answer:d`.\n",
    "book/status.md": "# Status\n\nNothing ran.\n",
    "book/one.md": HEADER
    + """# One

```{code-cell}
:tags: [parameters]
n: int = 2  # 1 <= n <= 100; how many
grid: tuple[float, ...] = (1.0,)
```

```{code-cell}
from myst_nb import glue
from tiny import double
glue("answer", double(n), display=False)
print(grid, {"a set of words", "in", "some", "order"})
```

Twice as many is {glue:text}`answer`.
""",
    "book/two.md": HEADER
    + """# Two

```{code-cell}
from tiny.deep import low
low.shift
```
""",
    "book/profiles/small.yml": "one:\n  n: 1\n",
    "tiny/__init__.py": "from tiny.twice import double\n",
    "tiny/twice.py": "from tiny.deep.low import shift\n\n\n"
    "def double(n):\n    return 2 * n + shift\n",
    "tiny/deep/__init__.py": "",
    "tiny/deep/low.py": "shift = 0\n",
    "tiny/apart.py": "",
}


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def make(root, **options):
    return build(root, packages=[root / "tiny"], say=[].append, **options)


def ran(built):
    return {outcome.chapter for outcome in built.outcomes if outcome.ran}


def prose(root, page):
    return (root / "_build" / "html" / "book" / f"{page}.html").read_text(encoding="utf-8")


def change(root, path, old, new):
    text = (root / path).read_text(encoding="utf-8")
    assert old in text
    (root / path).write_text(text.replace(old, new), encoding="utf-8")


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("miniature")
    write(root, FILES)
    built = make(root)
    assert ran(built) == {"one", "two"}
    assert built.rendered
    assert built.index == root / "_build" / "html" / "index.html"
    return root


@pytest.fixture
def book(original, tmp_path):
    """A built miniature that the test may change."""
    root = tmp_path / "book"
    shutil.copytree(original, root)
    return root


@pytest.fixture
def unrendered(monkeypatch):
    """Leave the site as it is, for tests of what runs."""
    monkeypatch.setattr("genbound.book.site.update", lambda *_, **__: False)


def test_nothing_changed_runs_and_renders_nothing(book):
    before = snapshot(book / "_build" / "html")
    built = make(book)
    assert ran(built) == set()
    assert not built.rendered
    assert snapshot(book / "_build" / "html") == before
    assert "Chapter one says" in prose(book, "intro")


def test_a_changed_chapter_runs_alone_and_a_page_without_code_is_only_rendered(book):
    change(book, "book/two.md", "# Two", "# Two again")
    change(book, "book/intro.md", "Chapter one says", "We read")
    built = make(book)
    assert ran(built) == {"two"}
    assert built.rendered
    assert "Two again" in prose(book, "one")  # in its navigation
    assert "We read" in prose(book, "intro")


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    ("module", "text", "expected"),
    [
        ("tiny/apart.py", "x = 1\n", set()),
        ("tiny/__init__.py", "from tiny.twice import double\nfrom tiny import apart\n", set()),
        ("tiny/twice.py", "def double(n):\n    return n + n\n", {"one"}),
        ("tiny/deep/low.py", "shift = 10\n", {"one", "two"}),
    ],
)
def test_a_changed_module_runs_the_chapters_that_import_it(book, module, text, expected):
    (book / module).write_text(text)
    assert ran(make(book)) == expected


def test_a_parameter_runs_its_chapter_and_changes_the_prose_everywhere(book):
    assert ">4<" in prose(book, "one")
    assert ran(make(book, overrides={"one": {"n": 7}})) == {"one"}
    assert ">14<" in prose(book, "one")
    assert ">14<" in prose(book, "intro")
    assert "`n = 7`" in (book / "_build/staged/book/status.md").read_text(encoding="utf-8")
    assert "Status" in prose(book, "status") and "defaults" in prose(book, "status")


@pytest.mark.usefixtures("unrendered")
def test_a_profile_gives_way_to_a_parameter_and_former_runs_are_found_again(book):
    assert ran(make(book, profile="small")) == {"one"}
    assert ran(make(book, profile=book / "book" / "profiles" / "small.yml")) == set()
    assert ran(make(book, profile="small", overrides={"one": {"n": 2}})) == set()


@pytest.mark.usefixtures("unrendered")
def test_old_runs_are_forgotten_but_never_that_of_the_site(book, monkeypatch):
    monkeypatch.setattr(history, "KEPT", 1)
    assert ran(make(book, overrides={"one": {"n": 3}})) == {"one"}
    assert _finished(book, "one") == _finished(book, "two") == 1
    assert ran(make(book)) == {"one"}
    monkeypatch.setattr(history, "KEPT", 0)
    assert ran(make(book)) == set()
    assert _finished(book, "one") == 1


@pytest.mark.usefixtures("unrendered")
def test_two_runs_with_the_same_inputs_are_the_same_bytes(book):
    def notebooks():
        return {path.name: path.read_bytes() for path in (book / "_build/cache").rglob("*.ipynb")}

    given = {"one": {"grid": [1.0, 3.0]}}
    assert ran(make(book, overrides=given)) == {"one"}
    before = notebooks()
    assert ran(make(book, overrides=given, force=True)) == {"one", "two"}
    assert notebooks() == before
    assert any(b"[1.0, 3.0]" in content for content in before.values())


def test_a_failing_cell_is_named_and_the_last_good_site_stays(book):
    before = snapshot(book / "_build" / "html")
    change(book, "book/one.md", "print(grid", "print(1 / (n - 2), grid")
    change(book, "book/two.md", "low.shift", "low.shift + 1")
    with pytest.raises(BookError) as failure:
        make(book)
    message = str(failure.value)
    assert message.startswith("one: cell [2] failed: ZeroDivisionError: division by zero")
    assert "print(1 / (n - 2), grid" in message
    assert "\x1b" not in message
    assert snapshot(book / "_build" / "html") == before
    left = nbformat.read(book / "_build" / "failed" / "one.ipynb", 4)
    assert any(
        out.output_type == "error" for cell in left.cells for out in cell.get("outputs", ())
    )
    change(book, "book/one.md", "1 / (n - 2)", "1 / n")
    assert ran(make(book)) == {"one"}  # the run of chapter two was kept
    assert not (book / "_build" / "failed" / "one.ipynb").exists()


def test_a_kernel_that_dies_is_named(book):
    change(book, "book/two.md", "low.shift", "import os\nos._exit(1)")
    with pytest.raises(BookError, match=r"two: the kernel died in cell \[1\]"):
        make(book)
    assert (book / "_build" / "failed" / "two.ipynb").is_file()


def test_a_warning_of_the_site_is_an_error_every_time(book):
    before = snapshot(book / "_build" / "html")
    change(book, "book/intro.md", "Chapter one says", "[Nowhere](nowhere.md) says")
    for _ in range(2):
        with pytest.raises(BookError, match=r"book/intro.md:3: WARNING: .*nowhere.md"):
            make(book)
    assert snapshot(book / "_build" / "html") == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"on": {"n": 3}}, "unknown chapter on: did you mean one"),
        ({"one": {"gird": [3.0]}}, "one: unknown parameter gird: did you mean grid"),
        ({"one": {"n": 3.5}}, r"one: parameter n: given 3.5 \(float\), allowed: int with 1 <= n"),
        ({"one": {"n": True}}, "given True"),
        ({"one": {"n": 101}}, "given 101"),
        ({"two": {"n": 3}}, "allowed: none"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_runs(tmp_path, given, message):
    write(tmp_path, FILES)
    with pytest.raises(ParameterError, match=message):
        make(tmp_path, overrides=given)
    assert not (tmp_path / "_build").exists()


def test_a_bad_profile_is_refused(tmp_path):
    write(tmp_path, FILES | {"book/profiles/odd.yml": "- one\n"})
    with pytest.raises(ParameterError, match="unknown profile smal: did you mean small"):
        make(tmp_path, profile="smal")
    with pytest.raises(ParameterError, match="must map chapters"):
        make(tmp_path, profile="odd")


def test_a_missing_page_and_equal_names_are_refused(tmp_path):
    write(tmp_path, FILES)
    (tmp_path / "book" / "two.md").unlink()
    with pytest.raises(BookError, match=r"lists book/two, but there is no book/two.md"):
        make(tmp_path)
    toc = FILES["_toc.yml"].replace("book/two", "book/more/one")
    write(tmp_path, {"book/more/one.md": FILES["book/two.md"], "_toc.yml": toc})
    with pytest.raises(BookError, match="two chapters have the name one"):
        make(tmp_path)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_ended_build_leaves_no_process_and_the_next_one_finishes(book, end):
    slow = "import pathlib, time\nstarted = pathlib.Path('../started')\nif not started.exists():\n"
    slow += "    started.touch()\n    time.sleep(100)\nlow.shift"
    change(book, "book/two.md", "low.shift", slow)
    change(book, "book/one.md", "# One", "# One again")
    # A shell that puts a job into the background makes its processes deaf to SIGINT.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += (
        "import sys, pathlib; from genbound.book import build; root = pathlib.Path(sys.argv[1])\n"
    )
    code += "build(root, packages=[root / 'tiny'])"
    command = [sys.executable, "-c", code, str(book)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    _wait(lambda: (book / "started").exists() and _finished(book, "one") == 2)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2  # the chapter's process and its kernel
    process.send_signal(end)
    process.wait()
    _wait(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    assert _finished(book, "two") == 1
    assert ran(make(book)) == {"two"}
    assert "One again" in prose(book, "one")
    left = [path.name for path in (book / "_build" / "cache").rglob("*")]
    assert not [name for name in left if name.startswith(".") or name.endswith(".partial")]


def _finished(book, chapter):
    return len(list((book / "_build" / "cache" / chapter).glob("*.json")))


def _wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_second_build_says_that_it_waits(book):
    said, built = [], []
    lock = FileLock(book / "_build" / ".lock")
    with lock:
        second = threading.Thread(
            target=lambda: built.append(build(book, packages=[book / "tiny"], say=said.append))
        )
        second.start()
        _wait(lambda: said)
        assert "another build is at work" in said[0]
        assert not built
    second.join(timeout=60)
    assert ran(built[0]) == set()


def test_a_site_between_its_two_renames_is_put_back(book):
    (book / "_build" / "html").rename(book / "_build" / "html.old")
    assert not make(book).rendered
    assert "Chapter one says" in prose(book, "intro")


def test_one_chapter_runs_with_parameters(book, monkeypatch):
    monkeypatch.chdir(book)
    output = run(book / "book" / "one.md", {"n": 9}, packages=[book / "tiny"])
    assert output == book / "runs" / "one.ipynb"
    cells = nbformat.read(output, 4).cells
    assert any("n = 9" in cell.source for cell in cells)
    assert any("18" in str(cell.get("outputs")) for cell in cells)


def test_plain_papermill_runs_a_chapter(book):
    line = (
        f"{sys.executable} -m jupytext --quiet --to ipynb --output - book/one.md | "
        f"{sys.executable} -m papermill - out.ipynb -p n 5"
    )
    environment = os.environ | {"PYTHONPATH": str(book)}
    subprocess.run(line, shell=True, cwd=book, check=True, env=environment, capture_output=True)
    cells = nbformat.read(book / "out.ipynb", 4).cells
    assert any("10" in str(cell.get("outputs")) for cell in cells)
