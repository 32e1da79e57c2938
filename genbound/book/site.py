"""The site: the book's tree with executed notebooks for chapters, rendered by Jupyter Book."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from genbound.book.execute import is_notebook
from genbound.book.fingerprint import digest, environment

RENDER = (
    "from jupyter_book.cli.main import main; main()",
    *("build", "--all", "-W", "--keep-going", "--nitpick", "-q"),
)
MARK = ".built-from"


class SiteError(RuntimeError):
    """Jupyter Book refused the site; the message holds its warnings."""


def pages(root: Path) -> list[str]:
    """The pages of a book in the order of its `_toc.yml`, without file name extension."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return [page.removesuffix(".md") for page in _pages(toc)]


def update(
    root: Path,
    executed: Mapping[str, bytes],
    *,
    packages: Sequence[Path] = (),
    say: Callable[[str], None],
) -> bool:
    """Render the book into `_build/html`, if anything that the site shows has changed.

    Args:
        root: The book's root.
        executed: Content by path below the root: executed notebooks and generated pages.
        packages: Folders of packages that pages may document.
        say: Where one line about the rendering goes.

    Returns:
        Whether the site was rendered; otherwise it was already this one.

    Raises:
        SiteError: If Jupyter Book fails or warns. The site in `_build/html` is then as it was.
    """
    build = root / "_build"
    html, staged = build / "html", build / "staged"
    old = build / "html.old"
    if old.is_dir() and not html.is_dir():
        old.rename(html)  # a build was ended between the two renames below
    files = _tree(root, executed)
    mark = _mark(files, packages)
    if _read(html / MARK) == mark.encode() and (html / "index.html").is_file():
        return False
    _stage(files, staged)
    say("rendering the site")
    new = _render(staged, build, packages)
    (new / MARK).write_text(mark)
    shutil.rmtree(old, ignore_errors=True)
    if html.is_dir():
        html.rename(old)
    new.rename(html)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(new.parents[1], ignore_errors=True)
    return True


def _pages(toc: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(toc, dict):
        yield from (toc[key] for key in ("root", "file") if key in toc)
        toc = list(toc.values())
    if isinstance(toc, list):
        for part in toc:
            yield from _pages(part)


def _tree(root: Path, executed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file of the staged tree, by path below the root."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["execute"] = config.get("execute", {}) | {"execute_notebooks": "off"}
    files = {
        "_config.yml": yaml.safe_dump(config, sort_keys=False).encode(),
        "_toc.yml": (root / "_toc.yml").read_bytes(),
    }
    listed = [path for page in pages(root) if (path := root / f"{page}.md").is_file()]
    for path in [*sorted((root / "book").rglob("*")), *listed]:
        below = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in below.parts)
        if path.is_file() and not hidden:
            content = path.read_bytes()
            if path.suffix != ".md" or not is_notebook(content.decode()):
                files[below.as_posix()] = content
    return files | dict(executed)


def _mark(files: Mapping[str, bytes], packages: Sequence[Path]) -> str:
    """The hash of everything that the site is made from."""
    config = yaml.safe_load(files["_config.yml"])
    extensions = config.get("sphinx", {}).get("extra_extensions") or []
    tools = {"jupyter_book", "sphinx", "myst_nb", "myst_parser", "sphinx_book_theme", *extensions}
    parts = {
        "files": {path: hashlib.sha256(content).hexdigest() for path, content in files.items()},
        "packages": [digest(file) for folder in packages for file in sorted(folder.rglob("*.py"))],
        "tools": environment(sorted(tools)),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _stage(files: Mapping[str, bytes], staged: Path) -> None:
    """Make a folder hold exactly these files."""
    shutil.rmtree(staged, ignore_errors=True)
    for below, content in files.items():
        path = staged / below
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _render(staged: Path, build: Path, packages: Sequence[Path]) -> Path:
    """Run Jupyter Book; the folder of the finished pages.

    Every page is read and written anew: a page may quote numbers of another, and the warnings of a
    page that is not read again would be lost.
    """
    # A folder of its own: a killed build may leave a Jupyter Book that still writes for a while.
    for former in build.glob("site-*"):
        shutil.rmtree(former, ignore_errors=True)
    work, log = build / f"site-{os.getpid()}", build / "site.log"
    paths = [*(str(package.parent) for package in packages), os.environ.get("PYTHONPATH", "")]
    finished = subprocess.run(
        [sys.executable, "-c", *RENDER, str(staged), "--path-output", str(work)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        env=os.environ | {"PYTHONUTF8": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    said = re.sub("\x1b\\[[0-9;]*m", "", finished.stdout)
    log.write_text(said, encoding="utf-8")
    if finished.returncode:
        lines = dict.fromkeys(said.splitlines())
        told = [line for line in lines if "WARNING" in line or "ERROR" in line]
        shown = "\n".join(told or list(lines)[-20:]).replace(f"{staged}/", "")
        raise SiteError(f"the site was not built; the last one is untouched\n{shown}\nlog: {log}")
    return work / "_build" / "html"


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
