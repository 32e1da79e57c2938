"""The README's example runs as it stands, and its files exist."""

import re
from pathlib import Path

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_evaluates_a_bound(capsys: pytest.CaptureFixture) -> None:
    mpl.use("Agg")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(code, names)
    breakdown = names["breakdown"]
    assert breakdown.verdict == "informative"
    assert breakdown.table()["contribution"].sum() == pytest.approx(breakdown.total.value)
    assert capsys.readouterr().out.startswith("diffusion_kl_tight: ")


def test_every_link_leads_somewhere() -> None:
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if "://" not in t]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
