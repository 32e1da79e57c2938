"""Small notebooks to be swept."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toy_notebook import KEEP, PARAMETERS, write


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Path]:
    """Makes a notebook of the given cells, with `keep` at hand."""

    def make(*cells: str, name: str = "toy", parameters: str = PARAMETERS) -> Path:
        return write(tmp_path / f"{name}.ipynb", KEEP, *cells, parameters=parameters)

    return make
