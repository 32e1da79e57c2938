"""The rooms of the package: who may import whom, and what a room may bring in from outside.

The arrow runs symbolic -> derivation -> derivations -> estimators -> bound -> bounds. Bounds and
training never import models, the book's machinery imports no mathematics, and the contracts
import nothing of the package.
"""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "genbound"
LONGEST = 320

TABLE = """
files:
arguments:
symbolic:     files
estimate:     symbolic
derivation:   symbolic
derivations:  symbolic derivation sde
sde:          symbolic
mixtures:     symbolic
sampler:      arguments symbolic sde protocols
data:         symbolic estimate sde mixtures
protocols:
estimators:   arguments symbolic estimate derivation derivations sde mixtures sampler data \
              protocols
bound:        arguments symbolic estimate derivation plot
bounds:       arguments symbolic estimate derivation derivations sde mixtures sampler data \
              protocols estimators bound
selection:    symbolic estimate derivation derivations sde mixtures sampler data protocols \
              estimators bound bounds plot
training:     files protocols
models:       symbolic sde protocols
comparison:   estimate
plot:
interactive:  symbolic
record:
results:
book:         files results
study:        files record book plot
__main__:     book study
"""

#: The book's machinery: it must start fast and know nothing of what the notebooks compute.
MACHINERY = ("files", "record", "results", "book", "study", "__main__")
MATHEMATICS = {"torch", "sympy", "numpy", "scipy", "sklearn"}
BANNED = {
    **dict.fromkeys(MACHINERY, MATHEMATICS),
    "plot": {"torch", "sympy"},
    "interactive": MATHEMATICS,
    "derivation": {"torch", "numpy", "scipy"},
    "derivations": {"torch", "numpy", "scipy"},
    "estimators": {"sympy"},
    "training": {"sympy"},
    "comparison": {"sympy"},
}


def read_table(table: str) -> dict[str, set[str]]:
    rows = (line.split(":") for line in table.strip().splitlines())
    return {room: set(allowed.split()) for room, allowed in rows}


ALLOWED = read_table(TABLE)


def statements(node: ast.AST, *, at_start: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """All imports below a node, each with whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_start
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from statements(child, at_start=at_start and not (late or for_types))


def imported(path: Path, root: Path) -> Iterator[tuple[str, bool]]:
    """Dotted names that a file imports; of `from a import b` the name a.b."""
    inside = [root.name, *path.relative_to(root).with_suffix("").parts]
    for statement, at_start in statements(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            yield from ((alias.name, at_start) for alias in statement.names)
            continue
        above = inside[: -statement.level] if statement.level else []
        source = ".".join([*above, *([statement.module] if statement.module else [])])
        yield from ((f"{source}.{alias.name}", at_start) for alias in statement.names)


def faults(root: Path) -> list[str]:
    """Everything in a package that breaks the rules, in words."""
    found = []
    for path in sorted(root.rglob("*.py")):
        room = path.relative_to(root).with_suffix("").parts[0]
        where = path.relative_to(root.parent)
        if (length := len(path.read_text().splitlines())) > LONGEST:
            found.append(f"{where}: {length} lines, at most {LONGEST} are allowed")
        if where == Path(root.name, "__init__.py"):
            continue
        if room not in ALLOWED:
            found.append(f"{where}: the room {room} has no row in the table")
            continue
        for name, at_start in imported(path, root):
            head, _, tail = name.partition(".")
            other = tail.split(".")[0]
            if head != root.name:
                if at_start and head in BANNED.get(room, ()):
                    found.append(f"{where}: {room} must not import {head}")
            elif other not in ALLOWED:
                found.append(f"{where}: imports {name}, which is no room")
            elif other != room and other not in ALLOWED[room]:
                found.append(f"{where}: {room} must not import {other}")
    return found


def test_no_arrow_runs_backwards() -> None:
    assert faults(PACKAGE) == []


def test_every_row_of_the_table_is_a_room() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(ALLOWED) - {"bounds"} <= rooms
    assert set().union(*ALLOWED.values()) | set(BANNED) <= set(ALLOWED)


def test_the_table_has_no_cycle_and_keeps_the_promises() -> None:
    order = list(TopologicalSorter(ALLOWED).static_order())
    chain = ["symbolic", "derivation", "derivations", "estimators", "bound", "bounds"]
    assert [room for room in order if room in chain and room != "bound"] == [
        room for room in chain if room != "bound"
    ]
    reach = {room: closure(room) for room in ALLOWED}
    assert "models" not in reach["bounds"] | reach["bound"] | reach["training"]
    assert not reach["protocols"] and not reach["plot"]
    for room in MACHINERY:
        assert reach[room] <= {*MACHINERY, "plot"}


def closure(room: str) -> set[str]:
    return ALLOWED[room].union(*(closure(other) for other in ALLOWED[room]))


PLANTED = {
    "bounds import models": ("bounds/vae.py", "from genbound.models.networks import MLP"),
    "bounds import models by name": ("bounds/vae.py", "from genbound import estimate, models"),
    "bounds import models plainly": ("bounds/vae.py", "import genbound.models.diffusion as d"),
    "bounds import models relatively": ("bounds/vae.py", "from ..models import networks"),
    "bounds import models from above": ("bounds/deep/vae.py", "from ... import models"),
    "training imports models": (
        "training/loop.py",
        "def f():\n    from genbound.models import MLP",
    ),
    "an arrow backwards": ("symbolic.py", "from genbound.derivation import Derivation"),
    "an estimator knows a bound": ("estimators/kl.py", "if True:\n    import genbound.bound"),
    "protocols import": ("protocols.py", "from genbound.sde import LinearSDE"),
    "types count as well": (
        "protocols.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from genbound import sde",
    ),
    "a proof holds tensors": ("derivations/gaussian.py", "import torch"),
    "the book computes": (
        "book/site.py",
        "try:\n    from sympy import Symbol\nexcept OSError: ...",
    ),
    "the results know tensors": ("results.py", "import torch"),
    "the record knows tensors": ("record.py", "import torch.nn as nn"),
    "plots know models": ("plot.py", "from .training import Run"),
    "a re-export": ("bounds/vae.py", "from genbound import Estimate"),
    "the package itself": ("bounds/vae.py", "import genbound"),
    "a new room": ("attic.py", ""),
    "a long file": ("training/optim.py", "\n" * (LONGEST + 1)),
}


@pytest.mark.parametrize("case", PLANTED)
def test_planted_faults_are_found(case: str, tmp_path: Path) -> None:
    name, text = PLANTED[case]
    path = tmp_path / "genbound" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert len(faults(tmp_path / "genbound")) == 1


ALLOWED_TEXTS = {
    "bounds/vae.py": "from genbound import bound, estimate\nfrom . import other\nimport torch",
    "record.py": "def show():\n    import torch",
    "results.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy",
    "derivations/vae.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
    "sde/linear.py": "from genbound.sde.letters import t\nfrom ..symbolic import to_torch",
    "training/optim.py": "\n" * LONGEST,
    "__init__.py": "from genbound.models import MLP",
}


@pytest.mark.parametrize("name", ALLOWED_TEXTS)
def test_what_is_allowed_passes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "genbound" / name
    path.parent.mkdir(parents=True)
    path.write_text(ALLOWED_TEXTS[name])
    assert faults(tmp_path / "genbound") == []
