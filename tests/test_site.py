"""The pages of the built book, as far as no browser is needed to judge them.

Every check is a function of a folder of pages that returns its complaints, so that each is also
tried on a page with exactly the fault that it is there to find.
"""

import re
from copy import copy
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

pytestmark = pytest.mark.xdist_group("book")
ROOT = Path(__file__).resolve().parents[1]
UNRESOLVED = re.compile(
    r"\{(?:glue|cite|eq|numref|ref|doc|term|prf)\b[^}]*\}|\[\?\]|\?\?|unresolved|undefined label"
)
DEBRIS = re.compile(
    r"Traceback \(most recent call last\)|\x1b\[|\b\w*(?:Warning|Error): |\d+%\||\bit/s\b|s/it\b"
    r"|<Figure size|<matplotlib|<Axes"
)


@lru_cache(maxsize=1)
def pages(html: Path) -> dict[str, BeautifulSoup]:
    """Every page of the book by its path, but for the first, which only points to another."""
    paths = sorted(path for path in html.rglob("*.html") if "_static" not in path.parts)
    named = {path.relative_to(html).as_posix(): path for path in paths}
    named.pop("index.html", None)
    return {
        name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for name, path in named.items()
    }


def article(soup: BeautifulSoup) -> Tag:
    return soup.find("article") or soup.body


def anchors(soup: BeautifulSoup) -> set[str]:
    return {tag["id"] for tag in soup.find_all(id=True)} | {
        tag["name"] for tag in soup.find_all("a", attrs={"name": True})
    }


def broken_links(html: Path) -> list[str]:
    """Links, pictures and scripts inside the book that lead nowhere."""
    soups = pages(html)
    known = {name: anchors(soup) for name, soup in soups.items()}
    complaints = []
    for name, soup in soups.items():
        for tag in soup.find_all(["a", "img", "script", "link"]):
            target = tag.get("href") or tag.get("src") or ""
            url = urlsplit(target)
            if url.scheme or url.netloc or not target:
                continue
            path = (html / name).parent / unquote(url.path) if url.path else html / name
            page = path.resolve().relative_to(html.resolve()).as_posix()
            if not path.is_file():
                complaints.append(f"{name}: {target} does not exist")
            elif url.fragment and page in known and unquote(url.fragment) not in known[page]:
                complaints.append(f"{name}: {target} has no such place")
    return complaints


def unlabelled_figures(html: Path) -> list[str]:
    """Pictures without a caption, or without words for those who cannot see them."""
    complaints = []
    for name, soup in pages(html).items():
        for image in article(soup).select("img:not(.logo__image)"):
            alt = image.get("alt", "").strip()
            # Sphinx writes the file's name where an author wrote nothing.
            if not alt or re.search(r"\.(svg|png|jpe?g|gif)$", alt):
                complaints.append(f"{name}: {image.get('src')} has no alternative text")
            figure = image.find_parent("figure")
            if figure is None or not figure.find("figcaption"):
                complaints.append(f"{name}: {image.get('src')} has no caption")
        for drawing in article(soup).select(".slider-figure :is(svg, canvas)"):
            if not drawing.get("aria-label"):
                complaints.append(f"{name}: a slider's drawing has no aria-label")
    return complaints


def unresolved_text(html: Path) -> list[str]:
    """References, citations and glued values that were left as they were written."""
    complaints = []
    for name, soup in pages(html).items():
        body = copy(article(soup))
        for hidden in body.select("pre, code, script, style"):
            hidden.decompose()
        found = UNRESOLVED.search(body.get_text(" "))
        if found:
            complaints.append(f"{name}: unresolved {found.group()!r}")
        complaints += [
            f"{name}: system message {problem.get_text(' ', strip=True)!r}"
            for problem in body.select(".system-message, span.problematic")
        ]
    return complaints


def output_debris(html: Path) -> list[str]:
    """Tracebacks, warnings, progress bars and printed objects in what the cells put out."""
    complaints = []
    for name, soup in pages(html).items():
        for output in soup.select("div.cell_output"):
            found = DEBRIS.search(output.get_text(" "))
            if found:
                complaints.append(f"{name}: {found.group()!r} in an output")
            if output.select_one(".stderr, .traceback"):
                complaints.append(f"{name}: a cell wrote to stderr or raised")
    return complaints


CHECKS = (broken_links, unlabelled_figures, unresolved_text, output_debris)


@pytest.mark.parametrize("check", CHECKS)
def test_pages(real_site, check):
    assert check(real_site) == []


def test_every_page_of_the_contents_is_there(real_site):
    listed = re.findall(r"(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text())
    assert listed
    assert {f"{name}.html" for name in listed} <= set(pages(real_site))


def test_a_chapter_has_what_its_reader_expects(real_site):
    soup = pages(real_site)["book/trade-off-solved.html"]
    assert soup.select_one("a.left-prev") and soup.select_one("a.right-next")
    assert soup.select_one("form.bd-search") and "theme-switch-button" in str(soup)
    assert soup.select_one("a.btn-download-source-button[href$='.ipynb']")
    assert not soup.select_one("a[href*='github.com/executablebooks']")


# A page with each fault, so that no check can pass by finding nothing.

FAULTS = {
    broken_links: (
        '<a href="gone.html">x</a>',
        '<a href="other.html#gone">x</a>',
        '<a href="#gone">x</a>',
        '<img src="gone.svg">',
    ),
    unlabelled_figures: (
        '<figure><img src="dot.svg"><figcaption>c</figcaption></figure>',
        '<figure><img src="dot.svg" alt="../_images/dot.svg"><figcaption>c</figcaption></figure>',
        '<p><img src="dot.svg" alt="A dot"></p>',
        '<div class="slider-figure"><svg></svg></div>',
    ),
    unresolved_text: (
        "<p>the bound is {glue:text}bound</p>",
        "<p>as in [?]</p>",
        '<span class="problematic">x</span>',
    ),
    output_debris: (
        '<div class="cell_output">Traceback (most recent call last)</div>',
        '<div class="cell_output">UserWarning: beware</div>',
        '<div class="cell_output"> 40%|####      | 4/10</div>',
        '<div class="cell_output"><div class="stderr">x</div></div>',
        '<div class="cell_output">&lt;Figure size 640x480&gt;</div>',
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_finds_its_faults_and_no_other(small_site, check):
    site = small_site(*FAULTS[check])
    pages_with_complaints = {text.partition(":")[0] for text in check(site)}
    assert pages_with_complaints == {f"fault-{k}.html" for k in range(len(FAULTS[check]))}


def luminance(color: str) -> float:
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_badges_can_be_read_in_both_themes():
    style = (ROOT / "book/_static/genbound.css").read_text()
    pairs = re.findall(r"--gb-(\w+)-ink: (#\w{6});\s*--gb-\1-tint: (#\w{6})", style)
    assert len(pairs) == 12
    for name, ink, tint in pairs:
        dark, light = sorted([luminance(ink), luminance(tint)])
        assert (light + 0.05) / (dark + 0.05) > 4.5, name
