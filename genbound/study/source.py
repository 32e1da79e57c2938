"""The notebook of a study: a chapter, or any notebook with a `parameters` cell."""

import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from genbound.book.execute import KERNELSPEC, notebook
from genbound.book.fingerprint import digest, environment, imported, named
from genbound.book.parameters import Parameter, ParameterError
from genbound.book.parameters import read as read_parameters

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Source:
    """A notebook that is run again and again.

    Attributes:
        path: Its file, resolved.
        text: Its cells without outputs, as JSON text of nbformat 4.
        code: The code of its cells, joined.
        parameters: What it declares.
    """

    path: Path
    text: str
    code: str
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str:
        """The stem of its file."""
        return self.path.stem

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What its outcome depends on beside the parameters.

        The hash of its code (prose changes no number), that of the sources which the code imports
        from this package, from beside the notebook and from wherever else nothing is installed,
        with the kept tables that it names, and the versions of everything else.
        """
        folder = self.path.parent
        packages = [PACKAGE, *(file.with_suffix("") for file in sorted(folder.glob("*.py")))]
        while True:
            try:
                found = imported(self.code, packages)
            except (SyntaxError, ValueError) as error:
                raise ParameterError(f"notebook {self.path}: cannot import {error}") from error
            own = [place for name in found.outside if (place := _own(name, folder))]
            if not own:
                break
            packages += own
        tables = named(self.code, folder / "results")
        files = [(f.parent.name, f.name, digest(f)) for f in (*found.files, *tables)]
        return {
            "code": hashed(self.code),
            "sources": hashed(files),
            "versions": environment(found.outside),
        }

    def run(self, parameters: Mapping[str, Any]) -> str:
        """The name of a run: the hash of everything that its outcome depends on."""
        return hashed([self._mark, parameters])

    @cached_property
    def _mark(self) -> str:
        return hashed([self.name, self.identity])


def read(path: Path | str) -> Source:
    """The notebook of a study, from its file.

    Args:
        path: A notebook in MyST Markdown (.md) or JSON (.ipynb), with one cell tagged
            `parameters`.

    Returns:
        The notebook.

    Raises:
        ParameterError: If the file is missing or no such notebook, or its parameters are badly
            declared.
    """
    path = Path(path)
    if path.suffix not in {".md", ".ipynb"}:
        raise ParameterError(f"notebook {path}: must be a .md or .ipynb file")
    if not path.is_file():
        raise ParameterError(f"notebook {path}: no such file")
    book = _opened(path)
    language = book.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise ParameterError(f"notebook {path}: its language is {language}, allowed: python")
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) != 1:
        raise ParameterError(
            f"notebook {path}: has {len(tagged)} cells tagged 'parameters', allowed: one"
        )
    try:
        parameters = read_parameters(tagged[0])
    except ParameterError as error:
        raise ParameterError(f"{path.stem}: {error}") from error
    code = "\n".join(cell.source for cell in cells)
    return Source(path.resolve(), _text(book), code, parameters)


def hashed(value: Any) -> str:  # noqa: ANN401
    """The first half of the SHA-256 of a value's JSON text; longer than any study needs."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _own(name: str, folder: Path) -> Path | None:
    """Where an imported name's sources lie, without ending, if they are not installed ones."""
    spec = PathFinder.find_spec(name, [str(folder), *sys.path])
    if spec is None:
        return None
    place = Path([*(spec.submodule_search_locations or []), spec.origin][0])
    installed = {"site-packages", "dist-packages"} & set(place.parts)
    return None if installed or place.stem != name else place.with_suffix("")


def _opened(path: Path) -> Any:  # noqa: ANN401
    import nbformat

    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older notebooks lack what a run does not need
            book = notebook(text) if path.suffix == ".md" else nbformat.reads(text, 4)
            nbformat.validate(book)
    except OSError as error:
        raise ParameterError(f"notebook {path}: {error.strerror or error}") from error
    except Exception as error:
        # Every library on the way has its own errors for a broken file.
        reason = str(error).strip().split("\n")[0]
        raise ParameterError(f"notebook {path}: not a notebook: {reason}") from error
    return book


def _text(book: Any) -> str:  # noqa: ANN401
    """The cells and their tags, in the form of a chapter that was just read."""
    import nbformat

    fresh = nbformat.v4.new_notebook(metadata={"kernelspec": KERNELSPEC})
    for number, cell in enumerate(book.cells):
        kept = {key: cell.metadata[key] for key in ("tags", "mystnb") if key in cell.metadata}
        new = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
        fresh.cells.append(new(cell.source, metadata=kept, id=f"cell-{number:03d}"))
    return nbformat.writes(fresh)
