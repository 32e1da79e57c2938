"""One chapter, run from its text to an executed notebook, in a process of its own.

The process is this file run as a script: it needs nothing else of the package, so it starts fast.
It reads one `Job` as a line of JSON, and dies with whoever holds the other end of its input.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from genbound.files import whole

KERNELSPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
CELL_FAILED = 3


class CellFailed(RuntimeError):
    """A cell raised; the message names the chapter and the cell and holds the traceback.

    Attributes:
        book: The notebook up to there.
    """

    def __init__(self, message: str, book: Any = None) -> None:  # noqa: ANN401
        """Take the message and the notebook."""
        super().__init__(message)
        self.book = book


class KernelDied(CellFailed):
    """The process that ran the cells ended before they did."""


@dataclass(frozen=True)
class Job:
    """What to run.

    Attributes:
        chapter: How messages call the chapter.
        folder: The working folder.
        text: The chapter's text, in MyST Markdown.
        parameters: Values that replace its defaults.
        output: Where the executed notebook goes, once it is complete.
        failed: Where the notebook goes if a cell raises.
    """

    chapter: str
    folder: str
    text: str
    parameters: Mapping[str, Any]
    output: str
    failed: str


def is_notebook(text: str) -> bool:
    """Whether a page's text is a notebook: its front matter says `file_format: mystnb`."""
    front_matter = text.split("\n---", 1)[0] if text.startswith("---\n") else ""
    return "\nfile_format: mystnb" in front_matter


def notebook(text: str) -> Any:  # noqa: ANN401
    """The notebook of a MyST Markdown text, its cells named by their order alone."""
    import jupytext

    book = jupytext.reads(text, fmt="md:myst")
    book.metadata = type(book.metadata)(kernelspec=KERNELSPEC)
    return _numbered(book)


def start(
    job: Job, *, import_from: tuple[Path, ...] = (), environment: Mapping[str, str] = {}
) -> subprocess.Popen:
    """Start a job in its own process and process group.

    Args:
        job: What to run.
        import_from: Folders put at the front of the chapter's import path.
        environment: Variables that the chapter finds set.

    Returns:
        The process; hand it to `finish`.
    """
    paths = [*map(str, import_from), *filter(None, [os.environ.get("PYTHONPATH")])]
    # One thread per process: two busy processes with two threads each are several times slower.
    # A fixed hash seed: the order of a set must not change a page.
    fixed = {
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUTF8": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | fixed | dict(environment),
        process_group=0,
    )
    process.stdin.write(json.dumps(asdict(job)) + "\n")
    process.stdin.flush()
    return process


def finish(process: subprocess.Popen, job: Job) -> None:
    """Wait for a started job.

    Args:
        process: From `start`.
        job: The same job.

    Raises:
        CellFailed: If a cell raised.
        RuntimeError: If the process died otherwise.
    """
    # Not communicate(): it would close standard input, which tells the process to die.
    with process, ThreadPoolExecutor(1) as reader:
        noise = reader.submit(process.stderr.read)
        said = process.stdout.read()
        process.wait()
    if process.returncode == CELL_FAILED:
        raise CellFailed(said.strip())
    if process.returncode:
        raise RuntimeError(
            f"{job.chapter}: its process ended with {process.returncode}\n{noise.result()}"
        )


def kill(process: subprocess.Popen) -> None:
    """End a started job at once, with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def execute(job: Job) -> None:
    """Run a job in this process.

    Args:
        job: What to run; its output appears complete or not at all.

    Raises:
        CellFailed: If a cell raised or the kernel died; the notebook up to there is left at
            `job.failed`.
    """
    try:
        book = run_cells(
            notebook(job.text), name=job.chapter, parameters=job.parameters, folder=job.folder
        )
    except CellFailed as failure:
        _publish(failure.book, Path(job.failed))
        told = f"{failure}\nThe notebook up to there: {job.failed}"
        raise type(failure)(told, failure.book) from None
    _publish(book, Path(job.output))


def run_cells(
    book: Any,  # noqa: ANN401
    *,
    name: str,
    parameters: Mapping[str, Any],
    folder: str | None = None,
    **kernel: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Run a notebook's cells.

    Args:
        book: The notebook, from `notebook`.
        name: How messages call it.
        parameters: Values that replace its defaults.
        folder: The working folder, entered with the whole process; None if the kernel finds its
            own way.
        **kernel: Options of nbclient's client.

    Returns:
        The executed notebook, without what differs between two equal runs.

    Raises:
        KernelDied: If the kernel ended before the notebook did.
        CellFailed: If a cell raised.
    """
    import tempfile

    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    # A socket's path has a hundred letters at most, which a cluster's own folder may exceed.
    short = "/tmp" if len(tempfile.gettempdir()) > 80 else None
    with tempfile.TemporaryDirectory(dir=short) as scratch:
        source, target = Path(scratch, "source.ipynb"), Path(scratch, "executed.ipynb")
        # Sockets in the file system: with TCP, kernels that start together may grab the same port.
        sockets = Config(KernelManager={"transport": "ipc", "ip": str(Path(scratch, "socket"))})
        nbformat.write(book, source)
        try:
            papermill.execute_notebook(
                source,
                target,
                parameters=dict(parameters),
                cwd=folder,
                kernel_name="python3",
                progress_bar=False,
                config=sockets,
                coalesce_streams=True,  # else the moments of printing would cut it into pieces
                **kernel,
            )
        except papermill.PapermillExecutionError as error:
            raise CellFailed(_explained(name, error), _clean(nbformat.read(target, 4))) from None
        except DeadKernelError:
            book = nbformat.read(target, 4)
            told = f"{name}: the kernel died in cell [{_running(book)}]; is memory short?"
            raise KernelDied(told, _clean(book)) from None
        return _clean(nbformat.read(target, 4))


def _explained(name: str, error: Any) -> str:  # noqa: ANN401
    from papermill.exceptions import strip_color

    traceback = strip_color("\n".join(error.traceback)) or f"{error.ename}: {error.evalue}"
    return f"{name}: cell [{error.exec_count}] failed: {error.ename}: {error.evalue}\n{traceback}"


def _running(book: Any) -> int:  # noqa: ANN401
    """The number of the last code cell that was started."""
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    return sum(cell.metadata.papermill.start_time is not None for cell in code)


def _clean(book: Any) -> Any:  # noqa: ANN401
    book.metadata.pop("papermill", None)
    for cell in book.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    return _numbered(book)


def _publish(book: Any, path: Path) -> None:  # noqa: ANN401
    import nbformat

    with whole(path) as partial:
        nbformat.write(book, partial)


def _numbered(book: Any) -> Any:  # noqa: ANN401
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number:03d}"
    return book


def _die_with_parent() -> NoReturn:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit


def _main() -> int:
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        execute(job)
    except CellFailed as failure:
        sys.stdout.write(str(failure))
        return CELL_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(_main())
