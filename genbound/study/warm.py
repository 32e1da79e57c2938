"""Kernels from a prepared interpreter: ready in a tenth of the time that a new one takes."""

import asyncio
import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Type

SCRIPT = Path(__file__).with_name("interpreter.py")


class Interpreter:
    """A process that has imported some modules and forks kernels."""

    def __init__(self, modules: Sequence[str], paths: Sequence[str]) -> None:
        """Start it; it dies with this process.

        Args:
            modules: What it imports.
            paths: What it finds in front of its import path.
        """
        self._modules = tuple(modules)
        self._paths = tuple(paths)
        self._lock = threading.Lock()
        self._process = self._start()

    def fork(self, connection: str, folder: str, environment: Mapping[str, str]) -> int:
        """A kernel that listens at a connection file, unless it died before it could.

        Args:
            connection: The connection file.
            folder: The kernel's working folder.
            environment: Variables that it finds set.

        Returns:
            Its process.

        Raises:
            RuntimeError: If it could not be started.
        """
        request = {"connection": connection, "folder": folder, "environment": dict(environment)}
        with self._lock:
            for _ in range(2):
                with suppress(OSError):
                    self._process.stdin.write(json.dumps(request) + "\n")
                    self._process.stdin.flush()
                    if (answer := self._process.stdout.readline().strip()).isdigit():
                        return int(answer)
                # Somebody has killed it; another one takes its place.
                self.close()
                self._process = self._start()
        raise RuntimeError("a prepared interpreter could not start a kernel")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def close(self) -> None:
        """End it, and with it its kernels."""
        self._process.kill()
        with suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=kernel_environment(self._paths),
        )
        process.stdin.write(json.dumps(self._modules) + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("a prepared interpreter did not start")
        return process


def kernel_environment(paths: Sequence[str]) -> dict[str, str]:
    """The environment of kernels: one thread, a fixed order of sets, figures that are kept."""
    fixed = {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH", "")])),
        "PYTHONUTF8": "1",
    }
    return os.environ | fixed


@cache
def interpreter(
    modules: tuple[str, ...], paths: tuple[str, ...], _sources: str = ""
) -> Interpreter:
    """The prepared interpreter of this process for some modules; it ends with the process.

    It holds the modules as they were: for other sources, known by their hash, there is another.
    """
    made = Interpreter(modules, paths)
    atexit.register(made.close)
    return made


class _Kernel:
    """As much of `subprocess.Popen` as a provisioner asks for."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        # Whoever inherits the kernels of a killed interpreter may never bury them, as the first
        # process of many a container does: then a dead one stays visible for good.
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE:
                return None
        return 1

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(0.002)
        return 1

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    terminate = kill


class _Forked(LocalProvisioner):
    """Has its kernel forked instead of started."""

    fork: Callable[[], int]

    async def launch_kernel(self, *_command: Any, **_options: Any) -> KernelConnectionInfo:  # noqa: ANN401
        self.process = _Kernel(self.fork())
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def kill(self, **_restart: bool) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class _Client(AsyncKernelClient):
    async def wait_for_ready(self, timeout: float | None = None) -> None:
        # The subscription to the kernel's output needs a moment. Without it the first question
        # goes unheard, and the next is asked a fifth of a second later.
        await asyncio.sleep(0.02)
        await super().wait_for_ready(timeout)


def manager(
    interpreter: Interpreter, folder: str, environment: Mapping[str, str]
) -> type[AsyncKernelManager]:
    """A class of kernel managers, for `papermill.execute_notebook`.

    Args:
        interpreter: What forks their kernels.
        folder: The kernels' working folder.
        environment: Variables that the kernels find set.

    Returns:
        The class.
    """

    class Warm(AsyncKernelManager):
        client_class = Type(default_value=_Client)

        def __init__(self, **options: Any) -> None:  # noqa: ANN401
            super().__init__(**options)
            self.kernel_id = str(uuid.uuid4())
            self.provisioner = _Forked(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
            self.provisioner.fork = lambda: interpreter.fork(
                self.connection_file, folder, environment
            )

    return Warm
