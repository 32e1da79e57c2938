"""Every chapter, run twice with its smallest parameters, gives the same notebook.

The first run is that of the site, in a new process; the second is that of a study, in a kernel
forked from an interpreter that has imported what all chapters import. In a file of its own,
without a group: the chapters are shared out among all workers.
"""

from pathlib import Path

import nbformat
import pytest

from genbound.book import execute
from genbound.book.build import chapters
from genbound.book.chapters import differing, load_profile
from genbound.study import warm
from genbound.study.work import imported

ROOT = Path(__file__).resolve().parents[1]
BOOK = chapters(ROOT)
SMOKE = differing(BOOK.values(), load_profile(ROOT, "smoke"))


@pytest.fixture(scope="module")
def interpreter() -> warm.Interpreter:
    texts = (nbformat.writes(execute.notebook(chapter.text)) for chapter in BOOK.values())
    modules = sorted({name for text in texts for name in imported(text)})
    return warm.interpreter(tuple(modules), (str(ROOT),))


@pytest.mark.parametrize("chapter", BOOK.values(), ids=lambda chapter: chapter.name)
def test_a_second_run_is_the_same(real_site, chapter, interpreter):
    cached = (real_site.parent / "cache" / chapter.name).glob("*.ipynb")
    first = nbformat.read(max(cached, key=lambda path: path.stat().st_mtime), 4)
    second = execute.run_cells(
        execute.notebook(chapter.text),
        name=chapter.name,
        parameters=SMOKE.get(chapter.name, {}),
        kernel_manager_class=warm.manager(interpreter, str(chapter.path.parent), {}),
        shutdown_kernel="immediate",
    )
    assert second == first
