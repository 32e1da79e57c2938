"""Every chapter, run twice with its smallest parameters, gives the same notebook.

In a file of its own, without a group: the chapters are shared out among all workers.
"""

from pathlib import Path

import pytest

from genbound.book import run
from genbound.book.build import chapters
from genbound.book.chapters import load_profile

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("chapter", chapters(ROOT).values(), ids=lambda chapter: chapter.name)
def test_a_second_run_is_the_same_to_the_byte(real_site, chapter, tmp_path):
    parameters = load_profile(ROOT, "smoke").get(chapter.name, {})
    again = run(chapter.path, parameters, tmp_path / "again.ipynb").read_bytes()
    cached = (real_site.parent / "cache" / chapter.name).glob("*.ipynb")
    newest = max(cached, key=lambda path: path.stat().st_mtime)
    assert again == newest.read_bytes()
