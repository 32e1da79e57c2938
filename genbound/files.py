"""Files that appear whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file under another name first; it takes its place if nothing goes wrong.

    Args:
        path: The file; its folder is made if missing.

    Yields:
        A hidden file in the same folder, whose ending is another; no two writers have the same.

    Raises:
        OSError: If the file cannot be written; a former one stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
