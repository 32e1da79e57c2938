"""What a long training tells while it runs."""

from collections.abc import Callable

from tqdm import tqdm

__all__ = ["Progress", "progress_bar"]

#: Called as (step, steps, mean loss).
Progress = Callable[[int, int, float], None]


def progress_bar(title: str = "training") -> Progress:
    """A progress bar for `train`, silent unless the standard error stream is a terminal.

    Args:
        title: What stands before the bar.

    Returns:
        The callable that `train` expects.
    """
    bar = tqdm(desc=title, disable=None)

    def show(step: int, steps: int, loss: float) -> None:
        bar.total = steps
        bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        bar.update(step - bar.n)
        if step == steps:
            bar.close()

    return show
