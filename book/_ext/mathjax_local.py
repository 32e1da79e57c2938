"""Typeset mathematics without a network: lay MathJax beside the pages.

The package `sphinx-mathjax-offline` carries the whole of MathJax 3 (24 MB). A book needs one
renderer, its fonts and the TeX extensions that are loaded on demand (6 MB), so only these are
copied.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

RENDERER = "tex-mml-chtml.js"
KEPT = (RENDERER, "output/chtml/fonts/woff-v2", "input/tex/extensions")


def _point_to_copy(_: Sphinx, config: Config) -> None:
    config.mathjax_path = f"mathjax/{RENDERER}"


def _copy(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    package = find_spec("sphinx-mathjax-offline")
    source = Path(package.origin).parent / "static/mathjax"
    target = Path(app.outdir) / "_static/mathjax"
    for name in KEPT:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target / name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", _point_to_copy)
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
