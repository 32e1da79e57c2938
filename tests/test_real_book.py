"""The whole book, each chapter with its smallest parameters, builds without a warning."""

import shutil
from pathlib import Path

import pytest

from genbound import site
from genbound.book import build, chapters
from genbound.chapters import differing, load_profile

pytestmark = pytest.mark.xdist_group("book")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("real")
    shutil.copytree(ROOT / "book", root / "book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, root)
    return build(root, profile="smoke", say=[].append)


def test_every_page_is_there(built):
    html = built.index.parent
    assert built.index.is_file()
    for page in site.pages(ROOT):
        assert (html / f"{page}.html").stat().st_size > 1000, page


def test_every_chapter_ran(built):
    assert {outcome.chapter for outcome in built.outcomes} == {
        chapter.name for chapter in chapters(ROOT).values()
    }
    assert len(built.outcomes) >= 4


@pytest.mark.parametrize("profile", ["smoke", "full"])
def test_profiles_hold_parameters_that_chapters_accept(profile):
    given = load_profile(ROOT, profile)
    assert differing(chapters(ROOT).values(), given).keys() == given.keys()


def test_parameters_say_what_they_are():
    for chapter in chapters(ROOT).values():
        for parameter in chapter.parameters:
            assert parameter.description, f"{chapter.name}: {parameter.name} has no description"
