"""A prepared interpreter: it imports once what the runs import, and forks a kernel for each.

It is run as a script, needs nothing else of the package, and dies with whoever holds the other
end of its input. The first line of its input names the modules to import; every further line is a
request, `{"connection": file, "folder": path, "environment": {...}}`, answered with the process
of a kernel once it listens, or has died on the way there. A fork shares nothing that it changes:
runs see the modules as they were after import, and not one another.
"""

import builtins
import ctypes
import gc
import importlib
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from types import SimpleNamespace
from typing import Any, NoReturn


def main() -> None:
    """Serve requests until the input ends."""
    # A group of its own, so that an interrupted terminal does not interrupt the runs.
    with suppress(OSError):
        os.setpgid(0, 0)
    sys.argv = [sys.executable]
    # Libraries look for a kernel when they are imported, and behave accordingly for good.
    builtins.get_ipython = lambda: SimpleNamespace(kernel=None)
    # What a module says when it is imported is no output of a run.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        for name in [
            "ipykernel.debugger",
            "ipykernel.kernelapp",
            "ipykernel.ipkernel",
            "ipykernel.zmqshell",
            *json.loads(sys.stdin.readline()),
        ]:
            # A run that needs what cannot be imported will say so itself.
            with suppress(BaseException):
                importlib.import_module(name)
    del builtins.get_ipython
    gc.collect()
    gc.freeze()  # else the collector would write to, and so copy, every page of memory
    _answer("ready")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries dead kernels
    mother = os.getpid()
    for line in sys.stdin:
        hearing, ready = os.pipe()
        kernel = os.fork()
        if kernel == 0:
            os.close(hearing)
            _kernel(json.loads(line), mother, ready)
        os.close(ready)
        # The kernel closes its end when it listens; if it dies before, the system does.
        os.read(hearing, 1)
        os.close(hearing)
        _answer(str(kernel))
    os.killpg(0, signal.SIGKILL)


def _kernel(request: dict[str, Any], mother: int, ready: int) -> NoReturn:
    _die_with(mother)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    os.chdir(request["folder"])
    os.environ.update(request["environment"], JPY_PARENT_PID=str(mother))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    gc.unfreeze()
    # torch and random start a process alike or reseed on a fork; NumPy would repeat itself.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()

    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(["-f", request["connection"], "--HistoryManager.enabled=False"])
    os.close(ready)
    app.start()
    os._exit(0)


def _answer(word: str) -> None:
    with suppress(BrokenPipeError):  # nobody is left to hear it, and the input ends as well
        os.write(1, f"{word}\n".encode())


def _die_with(mother: int) -> None:
    """On Linux at once; elsewhere the kernel looks for its mother every second."""
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    if os.getppid() != mother:
        os._exit(1)


if __name__ == "__main__":
    main()
