"""Each case beside its baseline, timed in the same run; a table of the ratios at the end."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

ROWS = pytest.StashKey[list]()


@dataclass(frozen=True)
class Row:
    """Seconds of ours and of the baseline, the ratio that was aimed at, and what to know of it."""

    case: str
    ours: float
    baseline: float
    target: float
    note: str

    def __str__(self):
        ratio = self.baseline / self.ours
        times = f"{self.ours:>9.4f}s{self.baseline:>11.3f}s{ratio:>9.1f}x{self.target:>7g}x"
        return f"{self.case:<56}{times}  {self.note}"


def pytest_configure(config):
    config.stash[ROWS] = []
    torch.set_num_threads(1)


@pytest.fixture
def versus(benchmark, request) -> Callable[..., float]:
    """Time a function and its baseline, and return how many times faster it is.

    `part` is the share of its work that the baseline does; its time is extrapolated from it. What
    runs in other processes is marked `benchmark(timer=time.perf_counter)`.
    """

    def measure(case, ours, baseline, *, target, part=1.0, rounds=3, note=""):
        benchmark.pedantic(_finished(ours), rounds=rounds, warmup_rounds=1)
        marker = request.node.get_closest_marker("benchmark")
        chosen = marker.kwargs.get("timer") if marker else None
        timer = chosen or pkgutil.resolve_name(request.config.getoption("benchmark_timer"))
        start = timer()
        _finished(baseline)()
        seconds = (timer() - start) / part
        if part < 1:
            note = f"baseline extrapolated from {part:.2%}; {note}".rstrip("; ")
        row = Row(case, benchmark.stats.stats.median, seconds, target, note)
        request.config.stash[ROWS].append(row)
        benchmark.extra_info.update(case=case, baseline=seconds, target=target, note=note)
        return seconds / row.ours

    return measure


def _finished(function):
    def run():
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


def pytest_terminal_summary(terminalreporter, config):
    if rows := config.stash[ROWS]:
        heads = f"{'ours':>10}{'baseline':>12}{'ratio':>10}{'target':>8}"
        terminalreporter.write_line(f"\n{'case':<56}{heads}")
        for row in rows:
            terminalreporter.write_line(str(row))
