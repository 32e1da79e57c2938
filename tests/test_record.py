"""Numbers that the prose quotes."""

import subprocess
import sys
from dataclasses import dataclass

import nbformat
import numpy as np
import pytest

from genbound.book import build
from genbound.record import record

pytestmark = pytest.mark.xdist_group("book")

PAGE = """---
file_format: mystnb
---
# Records

```{code-cell}
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import sympy
import torch

from genbound.record import record


@dataclass
class Measured:
    value: object
    stderr: object

    def __str__(self):
        return "0.42 ± 0.01"


record("integer", np.int64(3))
record("flag", np.bool_(True))
record("tensor", torch.tensor(0.5))
record("single", np.float32(0.25))
record("measured", Measured(np.float64(0.4211), torch.tensor(0.0125)))
record("formula", sympy.sqrt(sympy.Symbol("x")))
figure, _ = plt.subplots(figsize=(1, 1))
record("figure", figure)
plt.close(figure)
```

Page: {glue:text}`integer`, {glue:text}`flag`, {glue:text}`tensor:.2f`, {glue:text}`single`,
{glue:text}`measured`, {glue:text}`measured-value:.3f`, {glue:text}`measured-stderr:.4f`.

```{glue:math} formula
:label: eq-formula
```

```{glue:figure} figure
:name: fig-one

A figure.
```
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    (root / "book").mkdir()
    (root / "book" / "page.md").write_text(PAGE, encoding="utf-8")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (root / "_config.yml").write_text("title: Records\nonly_build_toc_files: true\n")
    build(root, say=[].append)
    return root / "_build"


def test_recorded_values_are_plain_numbers(site):
    (executed,) = (site / "cache").rglob("*.ipynb")
    outputs = [out for cell in nbformat.read(executed, 4).cells for out in cell.get("outputs", ())]
    kept = {
        out.metadata.scrapbook.name: out.data for out in outputs if "scrapbook" in out.metadata
    }
    prefix = "application/papermill.record"
    plain = {name: data.get(f"{prefix}/text/plain") for name, data in kept.items()}
    assert plain["integer"] == "3"
    assert plain["flag"] == "True"
    assert plain["tensor"] == "0.5"
    assert plain["measured"] == "'0.42 ± 0.01'"
    assert plain["measured-value"] == "0.4211"
    assert float(plain["measured-stderr"]) == pytest.approx(0.0125)
    assert f"{prefix}/text/latex" in kept["formula"]
    assert f"{prefix}/image/png" in kept["figure"]


def test_the_prose_quotes_them(site):
    html = (site / "html" / "book" / "page.html").read_text(encoding="utf-8")
    start = html.index("<p>Page:")
    sentence = html[start : html.index("</p>", start)].replace('<span class="pasted-text">', "")
    words = sentence.replace("</span>", "").replace("\n", " ")
    assert words == "<p>Page: 3, True, 0.50, 0.25, 0.42 ± 0.01, 0.421, 0.0125."
    assert r"\sqrt{x}" in html
    assert "A figure." in html


@dataclass
class Measured:
    value: float = 1.0
    stderr: float = 0.1


@pytest.mark.parametrize("value", [3, "text", None, np.float64(0.5), Measured()])
def test_outside_a_notebook_the_value_comes_back_untouched(value, capsys):
    assert record("name", value) is value
    assert capsys.readouterr().out == ""


def test_without_myst_nb_the_value_comes_back():
    code = (
        "import sys; sys.modules['myst_nb'] = None\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.instance()\n"
        "from genbound.record import record\n"
        "assert record('name', 3) == 3"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert shown.stdout == ""
