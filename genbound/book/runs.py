"""Chapters at work: each in a process of its own, several at once, all ended with the caller."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from genbound.book import execute
from genbound.book.chapters import Chapter


class BookError(RuntimeError):
    """The book could not be built; the message says where and why."""


class Task(NamedTuple):
    """Something that runs one chapter.

    Attributes:
        name: How lines about it call it.
        work: Does it and gives its seconds; it appends the processes that it starts to the list
            that it is given.
    """

    name: str
    work: Callable[[list[subprocess.Popen]], float]


def say_on_the_terminal(line: str) -> None:
    """Print a line beside a progress bar."""
    tqdm.write(line)
    sys.stdout.flush()


def job_of(
    chapter: Chapter, changed: Mapping[str, Any], output: Path, failed: Path
) -> execute.Job:
    """The job of a chapter.

    Args:
        chapter: The chapter.
        changed: Values that replace its defaults.
        output: The notebook to write.
        failed: Where the notebook goes up to a cell that raises.

    Returns:
        The job; its working folder is the chapter's.
    """
    # papermill would turn a tuple into text.
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in changed.items()}
    folder = str(chapter.path.resolve().parent)
    return execute.Job(chapter.name, folder, chapter.text, plain, str(output), str(failed))


def run_one(
    job: execute.Job,
    packages: Sequence[Path],
    *,
    environment: Mapping[str, str] = {},
    running: list[subprocess.Popen] | None = None,
) -> float:
    """Run a job to its end.

    Args:
        job: What to run.
        packages: Folders of packages put on its import path.
        environment: Variables that it finds set.
        running: A list that gets the process.

    Returns:
        Its seconds.

    Raises:
        BookError: If a cell fails or the process dies.
    """
    began = time.monotonic()
    import_from = tuple(dict.fromkeys(package.parent for package in packages))
    process = execute.start(job, import_from=import_from, environment=environment)
    if running is not None:
        running.append(process)
    try:
        execute.finish(process, job)
    except RuntimeError as error:
        raise BookError(str(error)) from error
    finally:
        execute.kill(process)
    return round(time.monotonic() - began, 1)


def run_each(tasks: Sequence[Task], *, jobs: int, say: Callable[[str], None]) -> None:
    """Run tasks in their order; every one that succeeds is kept, whatever the others do.

    Args:
        tasks: What to run.
        jobs: How many run at once.
        say: Where one line per finished task goes.

    Raises:
        BookError: If any failed, with all their messages.
    """
    running: list[subprocess.Popen] = []
    failures = []
    with (
        ThreadPoolExecutor(max(jobs, 1)) as pool,
        tqdm(total=len(tasks), unit="chapter", disable=None) as bar,
    ):
        started = {pool.submit(task.work, running): task for task in tasks}
        try:
            for future in as_completed(started):
                name = started[future].name
                error = future.exception()
                bar.update()
                if isinstance(error, BookError):
                    failures.append(error)
                    say(f"{name}: failed")
                else:
                    say(f"{name}: ran in {future.result():.1f} s")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                execute.kill(process)
            raise
    if failures:
        raise BookError("\n\n".join(map(str, failures)))
