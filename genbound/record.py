"""Numbers for the prose: a chapter records a value once, and its text quotes it."""

from typing import TypeVar

Value = TypeVar("Value")


def record(name: str, value: Value) -> Value:
    """Keep a value under a name, so that the chapter's text can quote it with `glue`.

    A number is kept as a plain Python number, whatever library it comes from. An estimate (what
    has `value` and `stderr`) is kept as its text under `name` and as two numbers under
    `name-value` and `name-stderr`. What shows itself as LaTeX can be quoted as an equation, a
    figure as a figure. Outside a notebook, or without MyST-NB, nothing is kept.

    Args:
        name: The name, once per chapter.
        value: The value.

    Returns:
        The value itself.
    """
    if hasattr(value, "value") and hasattr(value, "stderr"):
        _glue(name, str(value))
        _glue(f"{name}-value", float(value.value))
        _glue(f"{name}-stderr", float(value.stderr))
    else:
        _glue(name, value.item() if hasattr(value, "item") else value)
    return value


def _glue(name: str, value: object) -> None:
    try:
        from IPython import get_ipython
        from myst_nb import glue
    except ImportError:
        return
    if get_ipython() is not None:
        glue(name, value, display=False)
