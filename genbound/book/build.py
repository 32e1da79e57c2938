"""The book: its chapters are executed only where something changed, then rendered as one site.

Under `_build/`: `cache/<chapter>/<fingerprint>.ipynb` are executed notebooks, the newest of each
chapter, with a small record beside each; `staged/` is the tree that Jupyter Book renders, `html/`
is the last good site, `failed/` holds notebooks up to the cell that raised.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genbound.book import execute, history, site
from genbound.book.chapters import Chapter, differing, load_profile, merged, read_chapter
from genbound.book.fingerprint import fingerprint, imported, named
from genbound.book.history import Version
from genbound.book.runs import BookError, Task, job_of, run_each, run_one, say_on_the_terminal

PACKAGE = Path(__file__).parents[1]
STATUS_PAGE = "book/status"


@dataclass(frozen=True)
class Outcome:
    """How a chapter came into the book: the seconds of its run, and whether it ran now."""

    chapter: str
    seconds: float
    ran: bool


@dataclass(frozen=True)
class Built:
    """A finished build: its first page, the chapters, and whether the site was rendered anew."""

    index: Path
    outcomes: tuple[Outcome, ...]
    rendered: bool


def chapters(root: Path) -> dict[str, Chapter]:
    """The chapters that run, by page (the path in `_toc.yml`), in the book's order."""
    found = {}
    for page in site.pages(root):
        path = root / f"{page}.md"
        if not path.is_file():
            raise BookError(f"_toc.yml lists {page}, but there is no {page}.md")
        if execute.is_notebook(path.read_text(encoding="utf-8")):
            found[page] = read_chapter(path)
    names = [chapter.name for chapter in found.values()]
    for name in names:
        if names.count(name) > 1:
            raise BookError(f"two chapters have the name {name}; names must differ")
    return found


def build(
    root: Path,
    *,
    profile: str | Path | None = None,
    overrides: Mapping[str, Mapping[str, Any]] = {},
    jobs: int = 2,
    force: bool = False,
    packages: Sequence[Path] = (PACKAGE,),
    say: Callable[[str], None] = say_on_the_terminal,
) -> Built:
    """Execute the chapters that changed and render the site.

    Args:
        root: The folder of `_config.yml` and `_toc.yml`.
        profile: Parameters by chapter, as a name in `book/profiles/` or a YAML file.
        overrides: Parameters by chapter; they win over the profile's.
        jobs: How many chapters run at once.
        force: Run every chapter, changed or not.
        packages: Folders of the packages whose sources the chapters depend on.
        say: Where one line per finished chapter goes.

    Returns:
        The site and how each chapter came into it.

    Raises:
        ParameterError: If a parameter is refused; nothing has run then.
        BookError: If a chapter fails or the site has warnings; the last good site is untouched.
    """
    root = root.resolve()
    given = merged(load_profile(root, profile) if profile else {}, overrides)
    book = chapters(root)
    changed = differing(book.values(), given)
    with _alone(root / "_build", say):
        versions = {
            page: _version(chapter, changed.get(chapter.name, {}), packages, root)
            for page, chapter in book.items()
        }
        missing = [v for v in versions.values() if force or not v.record.is_file()]
        _run_missing(missing, root, jobs=jobs, packages=packages, say=say)
        executed = {f"{page}.ipynb": v.notebook.read_bytes() for page, v in versions.items()}
        if STATUS_PAGE in site.pages(root):
            executed[f"{STATUS_PAGE}.md"] = history.status(versions).encode()
        try:
            rendered = site.update(root, executed, packages=packages, say=say)
        except site.SiteError as error:
            raise BookError(str(error)) from error
        for version in versions.values():
            history.forget_old(version)
    outcomes = [
        Outcome(v.chapter.name, v.recorded()["seconds"], v in missing) for v in versions.values()
    ]
    return Built(root / "_build" / "html" / "index.html", tuple(outcomes), rendered)


def run(
    path: Path,
    parameters: Mapping[str, Any] = {},
    output: Path | None = None,
    *,
    packages: Sequence[Path] = (PACKAGE,),
) -> Path:
    """Run one chapter and leave the executed notebook.

    Args:
        path: The chapter's file.
        parameters: Values that replace its defaults.
        output: The notebook to write; `runs/<chapter>.ipynb` unless told.
        packages: Folders of packages put on its import path.

    Returns:
        The executed notebook.

    Raises:
        ParameterError: If a parameter is refused; nothing has run then.
        BookError: If a cell fails; the notebook up to there is left at `output`.
    """
    chapter = read_chapter(path)
    output = (output or Path("runs", f"{chapter.name}.ipynb")).resolve()
    changed = differing([chapter], {chapter.name: parameters})[chapter.name]
    run_one(job_of(chapter, changed, output, output), packages)
    return output


def _version(
    chapter: Chapter, changed: Mapping[str, Any], packages: Sequence[Path], root: Path
) -> Version:
    swept = named(chapter.code, root / "book" / "swept")
    # A chapter that sweeps a notebook computes what the notebook computes.
    inner = [read_chapter(path).code for path in swept]
    sources = imported("\n".join([chapter.code, *inner]), packages)
    tables = named(chapter.code, root / "book" / "results")
    mark = fingerprint(chapter.text, changed, sources, (*tables, *swept))
    notebook = root / "_build" / "cache" / chapter.name / f"{mark}.ipynb"
    return Version(chapter, changed, sources, notebook)


def _run_missing(
    versions: Sequence[Version],
    root: Path,
    *,
    jobs: int,
    packages: Sequence[Path],
    say: Callable[[str], None],
) -> None:
    """Run chapters, the longest first."""

    def task(version: Version) -> Task:
        failed = root / "_build" / "failed" / f"{version.chapter.name}.ipynb"

        def one(running: list[subprocess.Popen]) -> float:
            failed.unlink(missing_ok=True)
            version.record.unlink(missing_ok=True)
            job = job_of(version.chapter, version.changed, version.notebook, failed)
            seconds = run_one(job, packages, running=running)
            history.remember(version, seconds)
            return seconds

        return Task(version.chapter.name, one)

    ordered = sorted(versions, key=history.expected, reverse=True)
    run_each([task(version) for version in ordered], jobs=jobs, say=say)


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder against other builds; wait for one that is at work."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another build is at work in {folder}; waiting for it to end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
