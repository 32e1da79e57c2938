"""Chapters: what a book's text says about itself, and the parameters that a reader gives it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genbound.book.execute import is_notebook, notebook
from genbound.book.parameters import Parameter, ParameterError, check, read, unknown


@dataclass(frozen=True)
class Chapter:
    """A page of the book that runs.

    Attributes:
        name: Its file's stem.
        path: Its file.
        text: Its text.
        code: Its code cells, joined.
        parameters: What it declares.
    """

    name: str
    path: Path
    text: str
    code: str
    parameters: tuple[Parameter, ...]


def read_chapter(path: Path) -> Chapter:
    """A chapter from its file.

    Args:
        path: A MyST Markdown notebook.

    Returns:
        The chapter, with its declared parameters.

    Raises:
        ParameterError: If the file is not a notebook, or its parameters are badly declared.
    """
    if not path.is_file():
        raise ParameterError(f"{path}: no such file")
    text = path.read_text(encoding="utf-8")
    if not is_notebook(text):
        raise ParameterError(f"{path}: not a chapter: no front matter 'file_format: mystnb'")
    cells = [cell for cell in notebook(text).cells if cell.cell_type == "code"]
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    try:
        parameters = read("\n".join(tagged))
    except ParameterError as error:
        raise ParameterError(f"{path.stem}: {error}") from error
    return Chapter(path.stem, path, text, "\n".join(cell.source for cell in cells), parameters)


def load_profile(root: Path, profile: str | Path) -> dict[str, dict[str, Any]]:
    """The parameters by chapter that a profile holds.

    Args:
        root: The book's root.
        profile: A name in `book/profiles/`, or a YAML file.

    Returns:
        Values by chapter and name.

    Raises:
        ParameterError: If there is no such profile, or it is not a mapping of mappings.
    """
    folder = root / "book" / "profiles"
    path = Path(profile)
    path = path if path.suffix in {".yml", ".yaml"} else folder / f"{profile}.yml"
    if not path.is_file():
        names = sorted(path.stem for path in folder.glob("*.yml"))
        raise ParameterError(unknown("profile", str(profile), names))
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ParameterError(f"profile {path}: must map chapters to 'name: value' pairs")
    return content


def merged(*levels: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Parameters by chapter from several sources; the later ones win."""
    result: dict[str, dict[str, Any]] = {}
    for level in levels:
        for chapter, values in level.items():
            result.setdefault(str(chapter), {}).update(values)
    return result


def differing(
    book: Iterable[Chapter], given: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The given parameters that differ from the chapters' defaults.

    Args:
        book: The chapters.
        given: Values by chapter and name.

    Returns:
        Accepted values by chapter and name.

    Raises:
        ParameterError: For an unknown chapter or name, a wrong type or a value out of range.
    """
    known = {chapter.name: chapter for chapter in book}
    changed = {}
    for name, values in given.items():
        if name not in known:
            raise ParameterError(unknown("chapter", name, known))
        defaults = {parameter.name: parameter.default for parameter in known[name].parameters}
        try:
            accepted = check(known[name].parameters, values)
        except ParameterError as error:
            raise ParameterError(f"{name}: {error}") from error
        changed[name] = {key: value for key, value in accepted.items() if value != defaults[key]}
    return changed
