"""The driver: hands runs to an executor until all have ended, and tells how far it is."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from genbound.book import BookError
from genbound.book.runs import say_on_the_terminal
from genbound.study.store import DONE, FAILED, StoreError
from genbound.study.work import LOST, Order, give_up, perform

#: Seconds between two looks at runs that another driver works on.
PATIENCE = 0.5
#: Seconds after which a terminal is told anew, whether or not a run has ended.
TICK = 1.0
#: Seconds between two lines of progress where there is no terminal.
SILENCE = 30.0


class RunFailed(BookError):
    """A run failed, and the study was to stop at the first that does."""


@dataclass
class Progress:
    """What a person wants to see: done, failed, running, rate, time left.

    Attributes:
        total: Runs that are asked for.
        shown: Whether anything is shown.
        counts: Runs by what became of them.
    """

    total: int
    shown: bool = True
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Start the clock, and the bar where there is a terminal."""
        self._began = self._told = time.monotonic()
        disable = None if self.shown else True
        self._bar = tqdm(total=self.total, unit="run", smoothing=0, disable=disable)

    def ended(self, status: str) -> None:
        """Count a run that has ended."""
        self.counts[status] += 1
        self._bar.update()

    def show(self, running: int) -> None:
        """Say how far it is: on a terminal now, elsewhere if it is long since."""
        self._bar.set_postfix(failed=self.counts[FAILED], running=running)
        now = time.monotonic()
        if self.shown and self._bar.disable and now - self._told > SILENCE:
            self._told = now
            say_on_the_terminal(self.line(running))

    def line(self, running: int) -> str:
        """How far it is, in one line."""
        ended = self.counts[DONE] + self.counts[FAILED]
        rate = ended / max(time.monotonic() - self._began, 1e-9)
        left = f"{(self.total - ended) / rate:.0f} s left" if ended else "none ended yet"
        return (
            f"{self.counts[DONE]} done, {self.counts[FAILED]} failed, {running} running of "
            f"{self.total}; {60 * rate:.3g} a minute, {left}"
        )

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


def drive(
    orders: Sequence[Order],
    executor: Executor,
    *,
    at_once: int,
    fail_fast: bool = False,
    progress: bool = True,
) -> Counter[str]:
    """Have runs done until each has ended.

    Args:
        orders: The runs.
        executor: What does them: anything whose `submit` returns a future of the standard
            library.
        at_once: How many are handed over at a time.
        fail_fast: Stop at the first run that fails.
        progress: Whether to tell how far it is.

    Returns:
        How many runs are done, and how many failed.

    Raises:
        StoreError: If the folder refuses a write; the runs that ended before are kept.
        RunFailed: If a run failed that was to stop the study.
    """
    waiting, flying = deque(orders), dict[Future, Order]()
    told = Progress(len(orders), progress)
    try:
        while waiting or flying:
            while waiting and len(flying) < at_once:
                order = waiting.popleft()
                flying[executor.submit(perform, order)] = order
            told.show(len(flying))
            ended, _ = wait(flying, TICK, return_when=FIRST_COMPLETED)
            busy = 0
            for future in ended:
                order = flying.pop(future)
                status = _fate(future, order)
                if status in (DONE, FAILED):
                    told.ended(status)
                elif status == LOST:
                    waiting.append(replace(order, attempt=order.attempt + 1))
                else:
                    busy += 1
                    waiting.append(order)
                if status == FAILED and fail_fast:
                    raise RunFailed(f"run {order.run} failed with {dict(order.parameters)}")
            if busy and len(waiting) <= busy and not flying:
                time.sleep(PATIENCE)
    except BaseException:
        for future in flying:
            future.cancel()
        raise
    finally:
        told.close()
    return told.counts


def _fate(future: Future, order: Order) -> str:
    """What became of an order; a process that died under it is an attempt."""
    try:
        return future.result()
    except StoreError:
        raise
    except Exception as error:
        # A process that was killed, here or on a cluster: every executor says it in its own way.
        if order.attempt < order.attempts:
            return LOST
        return give_up(order, f"{type(error).__name__}: {error}")
