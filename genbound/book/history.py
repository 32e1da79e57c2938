"""What ran: the record beside each executed notebook, and the page made of all records."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from genbound.book.chapters import Chapter
from genbound.book.fingerprint import Sources, environment
from genbound.files import whole

#: Runs of a chapter that are kept, so that who goes back to former parameters finds them again.
KEPT = 8


@dataclass(frozen=True)
class Version:
    """A chapter with everything that its output depends on.

    Attributes:
        chapter: The chapter.
        changed: Parameters that differ from its defaults.
        sources: What its code imports.
        notebook: Where its executed notebook lies, or will.
    """

    chapter: Chapter
    changed: Mapping[str, Any]
    sources: Sources
    notebook: Path

    @property
    def record(self) -> Path:
        """Where the record of its run lies; written last, so its presence means done."""
        return self.notebook.with_suffix(".json")

    def recorded(self) -> dict[str, Any]:
        """The record of its run: seconds, date, parameters, versions, device."""
        return json.loads(self.record.read_text(encoding="utf-8"))


def status(versions: Mapping[str, Version]) -> str:
    """The page that says when, how long, on what and with which parameters each chapter ran."""
    rows = []
    for page, version in versions.items():
        ran = version.recorded()
        changed = ", ".join(f"`{name} = {value!r}`" for name, value in ran["parameters"].items())
        cells = (
            f"{{doc}}`/{page}`",
            ran["date"],
            f"{ran['seconds']:.1f}",
            ran["versions"]["python"],
            ran["versions"].get("torch", "none"),
            ran["device"],
            changed or "defaults",
        )
        rows.append(" | ".join(cells))
    return (
        "# Status\n\nWhen each chapter ran, for how long, on what and with which parameters.\n\n"
        "| Chapter | Ran | Seconds | Python | PyTorch | Device | Parameters |\n"
        "| --- | --- | --: | --- | --- | --- | --- |\n" + "".join(f"| {row} |\n" for row in rows)
    )


def expected(version: Version) -> float:
    """Seconds of the chapter's most recent run; infinity if it never ran."""
    records = _newest_first(version, "*.json")
    return json.loads(records[0].read_text())["seconds"] if records else float("inf")


def remember(version: Version, seconds: float) -> None:
    """Write the record of a run that has just ended."""
    record = {
        "chapter": version.chapter.name,
        "seconds": seconds,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "parameters": version.changed,
        "versions": environment(version.sources.outside),
        "device": device(),
    }
    with whole(version.record) as partial:
        partial.write_text(json.dumps(record, indent=1))


def forget_old(version: Version) -> None:
    """Remove all but the newest runs of a chapter; this version's own stays, however old."""
    for notebook in _newest_first(version, "*.ipynb")[KEPT:]:
        if notebook != version.notebook:
            notebook.with_suffix(".json").unlink(missing_ok=True)
            notebook.unlink()


def _newest_first(version: Version, pattern: str) -> list[Path]:
    files = version.notebook.parent.glob(pattern)
    return sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)


@cache
def device() -> str:
    """What this machine computes on: its first GPU, else its processor."""
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        told = subprocess.run(query, capture_output=True, text=True, check=False)
        if told.returncode == 0 and told.stdout.strip():
            return told.stdout.splitlines()[0]
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"
