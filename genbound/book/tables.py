"""The tables of `book/results/`: chapters run with a profile, what they keep is written down.

A table is two files, `NAME.csv` and `NAME.yml`; see `genbound.results`, whose `keep` leaves them
in a folder that this module names, without what only this module knows.
"""

import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from genbound.book.build import PACKAGE
from genbound.book.chapters import Chapter, differing, load_profile, read_chapter
from genbound.book.fingerprint import environment, imported
from genbound.book.parameters import ParameterError
from genbound.book.runs import BookError, Task, job_of, run_each, run_one, say_on_the_terminal
from genbound.files import whole
from genbound.results import FOLDER

__all__ = ["update"]


def update(
    root: Path,
    paths: Sequence[Path],
    *,
    profile: str | Path,
    jobs: int = 2,
    packages: Sequence[Path] = (PACKAGE,),
    say: Callable[[str], None] = say_on_the_terminal,
) -> list[Path]:
    """Run chapters with a profile and write the tables that they keep.

    The tables of a chapter appear together or not at all; its notebook is left as
    `runs/CHAPTER-PROFILE.ipynb`.

    Args:
        root: The book's root.
        paths: The chapters' files.
        profile: Parameters by chapter, as a name in `book/profiles/` or a YAML file.
        jobs: How many chapters run at once.
        packages: Folders of packages put on the chapters' import path.
        say: Where one line per finished chapter goes.

    Returns:
        The files that were written, `.csv` and `.yml`.

    Raises:
        ParameterError: If a chapter keeps no table, the profile does not name it, or a parameter
            is refused; nothing has run then.
        BookError: If a chapter fails or keeps a table under another chapter's name; the tables of
            the others are written.
    """
    root = root.resolve()
    given = load_profile(root, profile)
    book = {chapter.name: chapter for chapter in map(read_chapter, paths)}
    profile = Path(profile).stem
    for name, chapter in book.items():
        if "keep(" not in chapter.code:
            raise ParameterError(f"{name}: keeps no table; it has no call of results.keep")
        if name not in given:
            raise ParameterError(f"{name}: profile {profile} has no parameters for it")
    changed = differing(book.values(), {name: given[name] for name in book})
    written: list[Path] = []

    def task(chapter: Chapter) -> Task:
        def one(running: list[subprocess.Popen]) -> float:
            notebook = root / "runs" / f"{chapter.name}-{profile}.ipynb"
            job = job_of(chapter, changed[chapter.name], notebook, notebook)
            with tempfile.TemporaryDirectory() as folder:
                seconds = run_one(job, packages, environment={FOLDER: folder}, running=running)
                found = _found(chapter.name, Path(folder))
            origin = _origin(root, chapter, changed[chapter.name], profile, packages)
            written.extend(_write(root / "book" / "results", found, origin))
            return seconds

        return Task(chapter.name, one)

    run_each([task(chapter) for chapter in book.values()], jobs=jobs, say=say)
    return sorted(written)


def _found(chapter: str, folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """What a run has kept: each table's text, and what its process knew of itself."""
    found = {
        path.stem: (
            path.read_text(encoding="utf-8"),
            yaml.safe_load(path.with_suffix(".yml").read_text(encoding="utf-8")),
        )
        for path in sorted(folder.glob("*.csv"))
    }
    if not found:
        raise BookError(f"{chapter}: kept no table with these parameters")
    for name in found:
        if not name.startswith(f"{chapter}-"):
            raise BookError(f"{chapter}: kept {name}, allowed are names from {chapter}- on")
    return found


def _origin(
    root: Path,
    chapter: Chapter,
    changed: Mapping[str, Any],
    profile: str,
    packages: Sequence[Path],
) -> dict[str, Any]:
    """Where a chapter's tables come from, but for the device."""
    values = {parameter.name: parameter.default for parameter in chapter.parameters} | changed
    known = environment(imported(chapter.code, packages).outside)
    path = chapter.path.resolve()
    shown = path.relative_to(root) if path.is_relative_to(root) else path.name
    return {
        "chapter": chapter.name,
        "profile": profile,
        "parameters": {k: list(v) if isinstance(v, tuple) else v for k, v in changed.items()},
        **({"seeds": values["seeds"]} if "seeds" in values else {}),
        "versions": {name: known[name] for name in ("python", "torch") if name in known}
        | {"genbound": _version()},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": f"python -m genbound results {shown} --profile {profile}",
    }


def _write(
    folder: Path, found: Mapping[str, tuple[str, dict[str, Any]]], origin: Mapping[str, Any]
) -> list[Path]:
    """Write all files, or none: they get their names when the last one is written."""
    texts = {}
    for name, (table, told) in found.items():
        texts[folder / f"{name}.csv"] = table
        texts[folder / f"{name}.yml"] = yaml.safe_dump({**origin, **told}, sort_keys=False)
    with ExitStack() as stack:
        for path, text in texts.items():
            stack.enter_context(whole(path)).write_text(text, encoding="utf-8")
    return list(texts)


def _version() -> str:
    try:
        return metadata.version("genbound")
    except metadata.PackageNotFoundError:  # run from its sources, which have their own record
        project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
        return tomllib.loads(project)["project"]["version"]
