"""An executor of processes on this machine, each replaced when it dies.

`concurrent.futures.ProcessPoolExecutor` gives up all its work when one process is killed, and
imports the caller's script once more in each. A process here runs `serve`: it reads
pickled calls and writes pickled answers, and dies with whoever holds the other end.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class ProcessDied(RuntimeError):
    """The process that did a call ended before it had answered."""


class Processes(Executor):
    """Calls run in a fixed number of processes, each call in one that lives on.

    A process that dies takes one call with it, whose future raises `ProcessDied`; the next call
    finds a new process.
    """

    def __init__(self, count: int) -> None:
        """Make an executor; its processes start when they are needed.

        Args:
            count: How many calls run at once.
        """
        self._threads = ThreadPoolExecutor(count, "process")
        self._idle: SimpleQueue[subprocess.Popen[bytes] | None] = SimpleQueue()
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        for _ in range(count):
            self._idle.put(None)

    def submit(
        self,
        function: Callable[..., Result],
        /,
        *arguments: Any,  # noqa: ANN401
        **named: Any,  # noqa: ANN401
    ) -> Future[Result]:
        """Schedule a call; the function must be importable by its name."""
        return self._threads.submit(self._call, function, arguments, named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: those at work too if futures are cancelled."""
        if cancel_futures:
            self._closed = True
            for process in list(self._alive):
                process.kill()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for process in list(self._alive):
            self._end(process)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:  # noqa: ANN401
        """Wait for what is at work, unless something went wrong."""
        self.shutdown(cancel_futures=kind is not None)

    def _call(self, function: Callable[..., Result], arguments: Any, named: Any) -> Result:  # noqa: ANN401
        process = self._idle.get()
        try:
            if self._closed:
                raise ProcessDied("the executor is closed")
            if process is None:
                process = self._start()
            pickle.dump((function, arguments, named), process.stdin)
            process.stdin.flush()
            good, result = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            status = self._end(process)
            process = None
            raise ProcessDied(f"its process ended with status {status}") from error
        finally:
            self._idle.put(process)
        if not good:
            raise result
        return result

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            process_group=0,
        )
        self._alive.add(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        self._alive.discard(process)
        process.kill()
        with suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        return process.wait()


def serve() -> None:
    """Answer calls until the input ends, and then end at once, whatever is at work."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    calls: SimpleQueue[Any] = SimpleQueue()

    def listen() -> None:
        while True:
            try:
                calls.put(pickle.load(sys.stdin.buffer))
            except (EOFError, pickle.UnpicklingError):  # the second, if killed while it wrote
                os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        function, arguments, named = calls.get()
        try:
            answer = True, function(*arguments, **named)
        except Exception as error:
            answer = False, error
        pickle.dump(answer, answers)
        answers.flush()
