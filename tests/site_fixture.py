"""Sites to test: the real book, built once per session, and a small page with a given fault.

A pytest plugin. The book is built with its smallest parameters from a copy under `_build/smoke/`,
so the reader's own site stays as it is. What a former run executed there is reused where nothing
changed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]


def mirror(root: Path, copy: Path) -> None:
    """Lay the sources of a book into another folder, and nothing else."""
    shutil.rmtree(copy / "book", ignore_errors=True)
    shutil.copytree(root / "book", copy / "book", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(root / name, copy / name)


@pytest.fixture(scope="session")
def real_site() -> Path:
    """The folder of pages of the real book in its smoke profile."""
    from genbound import book

    copy = ROOT / "_build" / "smoke"
    copy.mkdir(parents=True, exist_ok=True)
    with FileLock(copy / ".lock"):
        mirror(ROOT, copy)
        built = book.build(copy, profile="smoke")
    return built.index.parent


PAGE = """<!doctype html><html><head><title>t</title></head><body><article id="top">
<h1>Fine</h1><p>Costs 3 dollars, see <a href="other.html#there">there</a>.</p>
<figure><img src="dot.svg" alt="A dot"><figcaption>Dot.</figcaption></figure>
<div class="cell_output">0.5 ± 0.1</div>{fault}</article></body></html>"""


@pytest.fixture
def small_site(tmp_path: Path) -> Callable[..., Path]:
    """Write a sound site, and one page more for each fault: fault-0.html, fault-1.html ..."""

    def write(*faults: str) -> Path:
        (tmp_path / "page.html").write_text(PAGE.format(fault=""))
        (tmp_path / "other.html").write_text('<article><p id="there">here</p></article>')
        (tmp_path / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
        for index, fault in enumerate(faults):
            (tmp_path / f"fault-{index}.html").write_text(PAGE.format(fault=fault))
        return tmp_path

    return write
