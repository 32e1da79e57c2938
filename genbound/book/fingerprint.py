"""What a chapter's output depends on, as one hash.

The sources of a chapter are found by reading its imports, and theirs, without running anything.
A package's `__init__` that only re-exports is looked through: `from package import name` counts as
an import of the module that defines the name, so that a new module behind the same front door
leaves other chapters alone. Imports that are made by a string at run time are not seen.
"""

import ast
import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sources:
    """What some code imports, directly or through others.

    Attributes:
        files: Source files of the watched packages, sorted.
        outside: Top-level names of everything else that is imported, sorted.
    """

    files: tuple[Path, ...]
    outside: tuple[str, ...]


@dataclass(frozen=True)
class _Import:
    """One imported name: `from module import name`, or `import module` where the name is empty."""

    module: str
    name: str


def fingerprint(
    text: str, parameters: Mapping[str, Any], sources: Sources, tables: Iterable[Path] = ()
) -> str:
    """The hash of a chapter's text, parameters, imported sources, tables and environment.

    Args:
        text: The chapter's whole text.
        parameters: The values that replace the chapter's own defaults.
        sources: From `imported`, for the chapter's code.
        tables: Kept tables and swept notebooks: from `named`, for the chapter's code.

    Returns:
        A hexadecimal SHA-256.
    """
    parts = {
        "text": text,
        "parameters": parameters,
        "sources": [(path.parent.name, path.name, digest(path)) for path in sources.files],
        "tables": [(path.name, digest(path)) for path in tables],
        "environment": environment(sources.outside),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digest(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def environment(names: Iterable[str]) -> dict[str, str]:
    """The Python, the platform and the versions behind top-level import names.

    Args:
        names: Import names such as `torch` or `sklearn`; those of no distribution are left out.

    Returns:
        Versions by distribution, with `python` and `platform`.
    """
    owners = _owners()
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        **{owner: metadata.version(owner) for name in names for owner in owners.get(name, ())},
    }


def imported(code: str, packages: Sequence[Path]) -> Sources:
    """The sources that some code imports, directly or through others.

    Args:
        code: Python, in which lines of notebook magic are passed over. Code that cannot be parsed
            counts as importing everything.
        packages: Folders of the packages to look into.

    Returns:
        The files and the names of what lies outside.
    """
    roots = {folder.name: folder.parent for folder in packages}
    try:
        waiting = list(_imports(_parsed(_without_magic(code)), ""))
    except SyntaxError:
        waiting = [_Import(name, "") for name in roots]
    seen: set[_Import] = set()
    files: set[Path] = set()
    outside: set[str] = set()
    while waiting:
        found = waiting.pop()
        if found in seen:
            continue
        seen.add(found)
        top = found.module.partition(".")[0]
        if top in roots:
            reached, further = _reached(found, roots[top])
            files.update(reached)
            waiting.extend(further)
        else:
            outside.add(top)
    return Sources(tuple(sorted(files)), tuple(sorted(outside - sys.stdlib_module_names)))


def named(code: str, folder: Path) -> tuple[Path, ...]:
    """The files of a folder whose stems, or paths from above it, stand in some code as strings.

    Args:
        code: Python; code that cannot be parsed counts as naming every file.
        folder: The folder, which may be missing.

    Returns:
        The files, sorted.
    """
    files = sorted(path for path in folder.glob("*") if path.is_file())
    try:
        tree = _parsed(_without_magic(code))
    except SyntaxError:
        return tuple(files)
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return tuple(path for path in files if {path.stem, f"{folder.name}/{path.name}"} & strings)


def _reached(found: _Import, root: Path) -> tuple[list[Path], list[_Import]]:
    """The files that one import brings in, and the imports that follow from it."""
    files, further = [], []
    for front_door in _packages_above(found.module, root):
        tree = _read(front_door)
        if not _only_reexports(tree):
            files.append(front_door)
            further.extend(_imports(tree, _package(front_door, root)))
    file = _file(found.module, root)
    if file is None:
        if found.name:  # of a folder without a front door, it may be a module
            further.append(_Import(f"{found.module}.{found.name}", ""))
        return files, further
    tree, package = _read(file), _package(file, root)
    if file.name == "__init__.py" and found.name:
        behind = dict(_bindings(tree, package)).get(found.name, found)
        if behind == found:  # not bound there, or by importing the submodule of that name
            behind = _Import(f"{found.module}.{found.name}", "")
        if behind.name or _file(behind.module, root) is not None:
            further.append(behind)
            if _only_reexports(tree):
                return files, further
    return [*files, file], [*further, *_imports(tree, package)]


def _imports(tree: ast.Module, package: str) -> Iterator[_Import]:
    for _, item in _bindings(tree, package):
        yield item


@cache
def _bindings(tree: ast.Module, package: str) -> tuple[tuple[str, _Import], ...]:
    """Each imported name as it is bound, with where it comes from."""
    return tuple(_bound(tree, package))


def _bound(tree: ast.Module, package: str) -> Iterator[tuple[str, _Import]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    # 'import a.b' binds a, and so all of a is at hand; 'import a.b as c' doesn't.
                    whole = alias.name if alias.asname else alias.name.partition(".")[0]
                    yield alias.asname or whole, _Import(whole, "")
                    yield "", _Import(alias.name, "")
            case ast.ImportFrom(module=module, names=names, level=level):
                origin = _absolute(module or "", level, package)
                for alias in names:
                    name = "" if alias.name == "*" else alias.name
                    yield alias.asname or alias.name, _Import(origin, name)


def _absolute(module: str, level: int, package: str) -> str:
    if level == 0:
        return module
    parts = package.split(".")
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, *([module] if module else [])])


def _only_reexports(tree: ast.Module) -> bool:
    def double(name: str) -> bool:
        return name.startswith("__") and name.endswith("__")

    def harmless(node: ast.stmt) -> bool:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Assign(targets=[ast.Tuple(elts=targets)]) | ast.Assign(targets=targets):
                return all(isinstance(t, ast.Name) and double(t.id) for t in targets)
            case ast.FunctionDef(name=name):
                return double(name)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=[]):
                return all(map(harmless, body))
        return False

    return all(harmless(node) for node in tree.body)


def _packages_above(module: str, root: Path) -> list[Path]:
    parts = module.split(".")[:-1]
    inits = [root.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1)]
    return [init for init in inits if init.is_file()]


def _file(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next(
        (path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None
    )


def _package(file: Path, root: Path) -> str:
    """The package that a file's relative imports start from."""
    return ".".join(file.parent.relative_to(root).parts)


def _without_magic(code: str) -> str:
    lines = code.splitlines()
    return "\n".join("" if line.lstrip()[:1] in {"%", "!"} else line for line in lines)


def _read(file: Path) -> ast.Module:
    """A file's code, followed by its stub: there a front door says what it imports when asked."""
    stub = file.with_suffix(".pyi")
    texts = [path.read_text(encoding="utf-8") for path in (file, stub) if path.is_file()]
    return _parsed("\n".join(texts), str(file))


@cache
def _parsed(source: str, file: str = "<cells>") -> ast.Module:
    return ast.parse(source, file)


@cache
def _owners() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
