"""The whole book, each chapter with its smallest parameters, builds without a warning."""

from pathlib import Path

import pytest

from genbound.book import site
from genbound.book.build import chapters
from genbound.book.chapters import differing, load_profile

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.xdist_group("book")


def test_every_page_is_there(real_site):
    assert (real_site / "index.html").is_file()
    for page in site.pages(ROOT):
        assert (real_site / f"{page}.html").is_file(), page


def test_every_chapter_ran(real_site):
    book = chapters(ROOT)
    assert len(book) >= 4
    for chapter in book.values():
        assert list((real_site.parent / "cache" / chapter.name).glob("*.ipynb")), chapter.name


@pytest.mark.parametrize("profile", ["smoke", "full", "study"])
def test_profiles_hold_parameters_that_chapters_accept(profile):
    given = load_profile(ROOT, profile)
    assert differing(chapters(ROOT).values(), given).keys() == given.keys()


def test_parameters_say_what_they_are():
    for chapter in chapters(ROOT).values():
        for parameter in chapter.parameters:
            assert parameter.description, f"{chapter.name}: {parameter.name} has no description"
