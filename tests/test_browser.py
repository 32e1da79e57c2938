"""The built book in a browser: it loads, its mathematics is set, it fits, it finds words.

A visit returns its complaints, so that the visits are also tried on a page with each fault.
"""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("book")
DESKTOP, PHONE = 1280, 390
# The theme and its Thebe extension declare one constant twice; nothing depends on it.
KNOWN_ERRORS = ("Identifier 'THEBE_JS_URL' has already been declared",)

# What one look at a page finds. Text in code, and in what MathJax set, is not raw mathematics.
LOOK = r"""() => {
  const article = document.querySelector("article") || document.body;
  const seen = node => !node.parentElement.closest("pre, code, script, style, mjx-container");
  const walk = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const raw = [];
  while (walk.nextNode()) {
    const found = walk.currentNode.data.match(/\\\(|\\\[|\$\$|\\begin\{|\$[^$\n]+\$/);
    if (found && seen(walk.currentNode)) raw.push(walk.currentNode.data.trim().slice(0, 60));
  }
  return {
    formulas: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll("mjx-container").length,
    faulty: document.querySelectorAll("mjx-merror, mjx-mtext[style*='red']").length,
    raw: raw,
    overflow: document.documentElement.scrollWidth - window.innerWidth,
  };
}"""


@dataclass(frozen=True)
class Visit:
    """One look at one page: what it asked for, what it said, how its mathematics came out."""

    page: str
    width: int
    errors: tuple[str, ...]
    foreign: tuple[str, ...]
    formulas: int
    typeset: int
    faulty: int
    raw: tuple[str, ...]
    overflow: int

    def complaints(self) -> list[str]:
        """What is wrong with the page."""
        found = [f"console: {text}" for text in self.errors]
        found += [f"asks for {url}" for url in self.foreign]
        found += [f"raw mathematics {text!r}" for text in self.raw]
        if self.typeset < self.formulas:
            found.append(f"{self.typeset} of {self.formulas} formulas typeset")
        if self.faulty:
            found.append(f"{self.faulty} formulas with an error or an unknown macro")
        if self.overflow > 3:
            found.append(f"{self.overflow} px too wide")
        return [f"{self.page} at {self.width} px: {text}" for text in found]


def chromium() -> str:
    """The browser's path; skips where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    return found


class Quiet(SimpleHTTPRequestHandler):
    """A file server that keeps connections open and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


class Browser:
    """Chromium without a network: the pages of one folder, and nothing else, under one address."""

    def __init__(self, html: Path) -> None:
        self.html = html

    def __enter__(self) -> "Browser":
        sync = pytest.importorskip("playwright.sync_api")
        path = chromium()
        # A server, not intercepted requests: with these no script would be compiled only once.
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=self.html))
        self.host = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.driver = sync.sync_playwright().start()
        self.window = self.driver.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.window.close()
        # A driver left running would keep an event loop in this thread, which notebooks need.
        self.driver.stop()
        self.server.shutdown()
        self.server.server_close()

    def open(self, width: int):
        tab = self.window.new_page(viewport={"width": width, "height": 900})
        self.errors, self.foreign = [], []
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        tab.on("request", lambda asked: self._note(asked.url))
        return tab

    def _note(self, url: str) -> None:
        if not url.startswith((self.host, "data:", "blob:")):
            self.foreign.append(url)

    def visit(self, tab, page: str, width: int) -> Visit:
        self.errors.clear(), self.foreign.clear()
        tab.goto(self.host + page, wait_until="load")
        tab.evaluate("() => window.MathJax?.startup?.promise?.then(() => true) ?? true")
        seen = tab.evaluate(LOOK)
        seen["raw"] = tuple(seen["raw"])
        errors = (text for text in self.errors if not any(k in text for k in KNOWN_ERRORS))
        return Visit(page, width, tuple(errors), tuple(self.foreign), **seen)


def page_names(html: Path) -> list[str]:
    """Every page by its path, but for the first, which only points to another."""
    names = (path.relative_to(html).as_posix() for path in sorted(html.rglob("*.html")))
    return [name for name in names if name != "index.html" and not name.startswith("_static/")]


def visits(html: Path) -> Iterator[Visit]:
    """Look at every page, wide and narrow."""
    with Browser(html) as browser:
        for width in (DESKTOP, PHONE):
            tab = browser.open(width)
            for page in page_names(html):
                yield browser.visit(tab, page, width)
            tab.close()


def hits(html: Path, word: str) -> int:
    """How many pages the book's own search finds for a word."""
    with Browser(html) as browser:
        tab = browser.open(DESKTOP)
        tab.goto(f"{browser.host}search.html?q={word}")
        # The summary line comes when the search has ended, with hits or without.
        tab.wait_for_function("document.querySelector('#search-results p')?.innerText.length > 0")
        tab.wait_for_timeout(300)
        return tab.locator("#search-results ul.search > li").count()


def test_every_page_in_a_browser(real_site):
    seen = list(visits(real_site))
    assert [complaint for visit in seen for complaint in visit.complaints()] == []
    # The pages are the book's, not an empty folder's.
    assert sum(visit.formulas for visit in seen) > 20


def test_search_works_without_a_network(real_site):
    assert hits(real_site, "generalization") > 0
    assert hits(real_site, "xyzzyplugh") == 0


def test_the_site_opens_from_disk(real_site):
    with Browser(real_site) as browser:
        tab = browser.window.new_page()
        tab.goto((real_site / "book/notation.html").as_uri())
        tab.evaluate("() => MathJax.startup.promise.then(() => true)")
        seen = tab.evaluate(LOOK)
    assert 0 < seen["formulas"] <= seen["typeset"] and not seen["raw"]


FAULTS = {
    "raw mathematics": r"<p>so \(x^2\) holds</p>",
    "raw mathematics '$W$": "<p>$W$ is a function</p>",
    "formulas typeset": '<span class="math">x</span>',
    "an unknown macro": '<mjx-container><mjx-mtext style="color: red">x</mjx-mtext>',
    "with an error": "<mjx-container><mjx-merror>x</mjx-merror></mjx-container>",
    "px too wide": '<div style="width: 3000px">x</div>',
    "asks for https://elsewhere.test/": '<script src="https://elsewhere.test/x.js"></script>',
    "console: ": "<script>throw new Error('broken')</script>",
}


def test_the_browser_finds_each_fault_and_no_other(small_site):
    site = small_site(*FAULTS.values())
    expected = {f"fault-{k}.html": text for k, text in enumerate(FAULTS)}
    seen = list(visits(site))
    assert len(seen) == 2 * (2 + len(FAULTS))
    for visit in seen:
        found = visit.complaints()
        if visit.page in expected:
            assert any(expected[visit.page] in text for text in found), visit
        else:
            assert found == []
