"""What a chapter depends on, read from its imports."""

import pytest

from genbound.book.fingerprint import environment, fingerprint, imported, named


@pytest.fixture
def package(tmp_path):
    files = {
        "tiny/__init__.py": '"""Door."""\nfrom tiny.a import first\nfrom tiny.deep import low\n',
        "tiny/a.py": "from tiny import base\nimport json\n",
        "tiny/b.py": "import numpy as np\nfrom .deep.low import thing\n",
        "tiny/base.py": "",
        "tiny/deep/__init__.py": "from tiny.deep.low import thing\n",
        "tiny/deep/low.py": "import torch.nn\n",
        "tiny/loud/__init__.py": "import sympy\nfrom tiny import base\nbase.x = 1\n",
        "tiny/loud/part.py": "",
        "tiny/own/__init__.py": "from tiny.own import part\n",
        "tiny/own/part.py": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).write_text(text)
    return tmp_path / "tiny"


ALL = {"__init__.py", "a.py", "base.py", "deep/low.py"}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("x = 1", set()),
        ("from tiny import first", {"a.py", "base.py"}),
        ("from tiny import base", {"base.py"}),
        ("from tiny import base as anything", {"base.py"}),
        ("from tiny.deep import thing", {"deep/low.py"}),
        ("from tiny import low", {"deep/low.py"}),
        ("import tiny.deep.low as low", {"deep/low.py"}),
        ("from tiny.b import whatever", {"b.py", "deep/low.py"}),
        ("def f():\n    from tiny.b import whatever", {"b.py", "deep/low.py"}),
        ("from tiny.loud.part import x", {"loud/part.py", "loud/__init__.py", "base.py"}),
        ("from tiny.own import part", {"own/part.py"}),
        ("from tiny.loud import part", {"loud/part.py", "loud/__init__.py", "base.py"}),
        ("import tiny", ALL),
        ("import tiny.base", ALL),
        ("from tiny import *", ALL),
        ("from tiny import nowhere", ALL),
        ("%magic\n!ls\nfrom tiny import base", {"base.py"}),
        ("this is no Python", ALL),
    ],
)
def test_files_behind_an_import(package, code, files):
    found = {path.relative_to(package).as_posix() for path in imported(code, [package]).files}
    assert found == files


def test_names_outside_leave_out_the_standard_library(package):
    assert imported("import os\nfrom tiny import b, first", [package]).outside == (
        "numpy",
        "torch",
    )


def test_versions_stand_for_what_is_imported():
    assert set(environment(["yaml", "no_such_module"])) == {"python", "platform", "PyYAML"}


def test_tables_are_those_that_the_code_names(tmp_path):
    for name in ("one-a.csv", "one-a.yml", "one-b.csv"):
        (tmp_path / name).write_text(name)
    (tmp_path / "deep").mkdir()

    def found(code):
        return [path.name for path in named(code, tmp_path)]

    assert found("%magic\nresults.kept('one-a')") == ["one-a.csv", "one-a.yml"]
    assert found("name = 'one-b'  # one-a") == ["one-b.csv"]
    assert found("print('one', 'deep')") == []
    assert found("this is no Python") == ["one-a.csv", "one-a.yml", "one-b.csv"]
    assert named("'one-a'", tmp_path / "missing") == ()


def test_every_part_changes_the_fingerprint(package):
    sources = imported("from tiny import first", [package])
    marks = {
        fingerprint("text", {}, sources),
        fingerprint("other text", {}, sources),
        fingerprint("text", {"n": 1}, sources),
        fingerprint("text", {}, imported("from tiny import base", [package])),
        fingerprint("text", {}, imported("from tiny import first\nimport numpy", [package])),
    }
    marks.add(fingerprint("text", {}, sources, [package / "b.py"]))
    (package / "b.py").write_text("x = 1")
    marks.add(fingerprint("text", {}, sources, [package / "b.py"]))
    (package / "base.py").write_text("x = 1")
    marks.add(fingerprint("text", {}, sources))
    assert len(marks) == 8
    (package / "base.py").write_text("")
    assert fingerprint("text", {}, sources) in marks


LATE = {
    "by hand": {
        "__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from tiny.a import first\ndef __getattr__(name):\n    return 1\n"
    },
    "by a stub": {
        "__init__.py": "import lazy_loader\n"
        "__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n",
        "__init__.pyi": "from .a import first as first\nfrom .deep.low import thing as thing\n",
    },
}


@pytest.mark.parametrize("late", LATE)
def test_a_front_door_that_opens_late_is_looked_through_as_well(package, late):
    for name, text in LATE[late].items():
        (package / name).write_text(text)
    found = {path.name for path in imported("from tiny import first", [package]).files}
    assert found == {"a.py", "base.py"}


def test_all_of_a_package_is_what_its_stub_names(package):
    for name, text in LATE["by a stub"].items():
        (package / name).write_text(text)
    found = {path.name for path in imported("import tiny", [package]).files}
    assert found == {"__init__.py", "a.py", "base.py", "low.py"}


def test_a_front_door_with_code_of_its_own_counts_whole(package):
    (package / "__init__.py").write_text("a, __dir__ = 1, 2\n")
    (package / "__init__.pyi").write_text("from .a import first as first\n")
    found = {path.name for path in imported("from tiny import base", [package]).files}
    assert found == {"__init__.py", "a.py", "base.py"}
