"""The folder of a study: one row for each run that ended, and what the run has left.

Under the root: `rows/<run>.json`, written last and whole, so that its presence means that the run
ended; `runs/<run>/` with the executed notebook, arrays and figures; `work/` with what is not
finished; `locks/`, by which two drivers keep out of each other's way.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genbound.book import BookError

#: How runs are named; whatever else lies in the folder is somebody else's.
RUN = re.compile("[0-9a-f]{32}")
DONE, FAILED = "done", "failed"


class StoreError(BookError):
    """The folder cannot be read or written; what ended before is untouched."""


@dataclass(frozen=True)
class Store:
    """The folder of a study.

    Attributes:
        root: Where it lies; made when the first run ends.
    """

    root: Path

    def folder(self, run: str) -> Path:
        """Where a run's executed notebook, arrays and figures lie."""
        return self.root / "runs" / run

    def ended(self) -> set[str]:
        """The names of all runs that ended, well or not."""
        with suppress(FileNotFoundError), os.scandir(self.root / "rows") as entries:
            return {e.name[:-5] for e in entries if e.name.endswith(".json") and e.name[0] != "."}
        return set()

    def row(self, run: str) -> dict[str, Any] | None:
        """A run's row, or None if it has not ended.

        Raises:
            StoreError: If the row cannot be read.
        """
        path = f"{self.root}/rows/{run}.json"
        try:
            with open(path, "rb") as file:
                return json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error

    def rows(self) -> list[dict[str, Any]]:
        """All rows, by the name of the run."""
        found = map(self.row, sorted(self.ended()))
        return [row for row in found if row is not None]

    @contextmanager
    def claimed(self, run: str) -> Iterator[bool]:
        """Hold a run against everybody else who works in this folder.

        Yields:
            Whether nobody else holds it. The claim ends with the process that made it.
        """
        path = self.root / "locks" / run
        with refusals(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                lock = None
        if lock is None:
            yield False
            return
        try:
            yield True
        finally:
            # Whoever waits for this very file finds the row first.
            if self.root.joinpath("rows", f"{run}.json").exists():
                path.unlink(missing_ok=True)
            lock.release()

    @contextmanager
    def workplace(self, run: str) -> Iterator[Path]:
        """An empty folder for a claimed run, gone in the end if it was not published.

        Raises:
            StoreError: If it cannot be made.
        """
        path = self.root / "work" / run
        with refusals(self.root):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def publish(self, run: str, work: Path, row: Mapping[str, Any]) -> None:
        """End a claimed run: its folder first, then its row.

        Raises:
            StoreError: If it cannot be written; the run has not ended then.
        """
        folder, path = self.folder(run), self.root / "rows" / f"{run}.json"
        written = work / path.name
        with refusals(self.root):
            with written.open("w", encoding="utf-8") as file:
                json.dump(row, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            folder.parent.mkdir(exist_ok=True)
            path.parent.mkdir(exist_ok=True)
            # The row of a former, failed attempt must not speak of the new folder.
            path.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            work.rename(folder)
            os.replace(folder / path.name, path)

    def tidy(self) -> None:
        """Remove what killed runs have left, and nothing that is not named like a run."""
        for path in list((self.root / "work").glob("*")):
            if not RUN.fullmatch(path.name):
                continue
            with self.claimed(path.name) as mine:
                if mine:
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def refusals(root: Path) -> Iterator[None]:
    """Say of a refused write where, why, and that nothing was lost."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{root}: {reason}; what ended before is kept") from error
