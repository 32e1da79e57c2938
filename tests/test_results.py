"""Tables of results: what may be kept, how it comes back, and what the page says about it."""

import sys
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from genbound.estimate import Estimate
from genbound.results import FOLDER, LARGEST, Kept, keep, kept, numbers

ORIGIN = {
    "chapter": "sums",
    "profile": "study",
    "parameters": {"n": 3, "seeds": 20},
    "seeds": 20,
    "versions": {"python": "3.11.7", "genbound": "0.1.0"},
    "device": "1 CPU thread (x86_64)",
    "date": "2026-01-02",
    "command": "python -m genbound results book/sums.md --profile study",
}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with a folder for what is kept; the working folder is a chapter's."""
    (tmp_path / "_toc.yml").touch()
    (tmp_path / "book" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "book")
    monkeypatch.setenv(FOLDER, str(tmp_path / "book" / "results"))
    return tmp_path


def write_origin(book, name):
    (book / "book" / "results" / f"{name}.yml").write_text(yaml.safe_dump(ORIGIN))


@given(
    st.lists(
        st.tuples(st.integers(-(2**60), 2**60), st.floats(width=64), st.booleans()), min_size=1
    )
)
def test_what_is_kept_comes_back_exactly(rows):
    import tempfile
    from pathlib import Path

    frame = pd.DataFrame(rows, columns=["whole", "real", "truth"])
    frame["text"] = [f"line {k}: a “b”, c" for k in range(len(frame))]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        (root := Path(folder, "book", "results")).mkdir(parents=True)
        Path(folder, "_toc.yml").touch()
        patch.setenv(FOLDER, str(root))
        patch.chdir(folder)
        keep("sums-all", frame)
        pd.testing.assert_frame_equal(kept("sums-all").frame, frame, check_dtype=False)


@pytest.mark.usefixtures("book")
def test_short_floats_are_kept_as_they_print():
    keep("sums-narrow", pd.DataFrame({"x": pd.Series([0.1], dtype="float32")}))
    assert kept("sums-narrow").frame.x[0] == pytest.approx(0.1, rel=1e-7)


@pytest.mark.usefixtures("book")
@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"x": [1, 2]}, index=[3, 4]), "has an index"),
        (pd.DataFrame({"x": []}), "has 0 rows, allowed: 1..500"),
        (pd.DataFrame({"x": range(LARGEST + 1)}), "has 501 rows"),
        (pd.DataFrame({"x": [[1], [2]]}), 'only numbers and text do: .*"x"'),
        (pd.DataFrame({"x": ["1", "2"]}), "does not survive as text"),
        (pd.DataFrame({"x": ["", ""]}), "does not survive as text"),
        (pd.DataFrame({1: ["a", "b"]}), "does not survive as text"),
    ],
)
def test_what_would_not_come_back_is_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        keep("sums-odd", frame)
    assert kept("sums-odd") is None


@pytest.mark.parametrize(
    "name", ["sums", "Sums-x", "sums_x-y", "sums-", "../sums-x", "sums-x.csv"]
)
def test_a_name_is_a_chapter_and_a_word(name, book):
    for use in (lambda: keep(name, pd.DataFrame({"x": [1]})), lambda: kept(name)):
        with pytest.raises(ValueError, match="allowed: CHAPTER-WHAT in lower case"):
            use()
    assert not list((book / "book" / "results").iterdir())


@pytest.mark.usefixtures("book")
def test_a_name_is_used_once():
    frame = pd.DataFrame({"x": [1]})
    keep("sums-all", frame)
    with pytest.raises(ValueError, match="sums-all was kept before"):
        keep("sums-all", frame)


def test_an_ordinary_run_leaves_nothing_but_checks(book, monkeypatch):
    monkeypatch.delenv(FOLDER)
    keep("sums-all", pd.DataFrame({"x": [1]}))
    assert not list((book / "book" / "results").iterdir())
    with pytest.raises(ValueError, match="does not survive"):
        keep("sums-all", pd.DataFrame({"x": [None, "a"]}).assign(y=[{}, {}]))


def test_a_table_is_found_from_the_chapter_and_from_the_root(book, monkeypatch):
    keep("sums-all", pd.DataFrame({"x": [1]}))
    write_origin(book, "sums-all")
    assert kept("sums-all").provenance == ORIGIN
    (book / "book" / "deep").mkdir()
    for folder in (book, book / "book" / "deep"):
        monkeypatch.chdir(folder)
        assert kept("sums-all").frame.x.tolist() == [1]
    monkeypatch.chdir(book.parent)
    assert kept("sums-all") is None


def test_half_a_table_is_an_error(book):
    keep("sums-all", pd.DataFrame({"x": [1]}))
    (book / "book" / "results" / "sums-all.yml").unlink()
    with pytest.raises(FileNotFoundError, match=r"sums-all\.yml"):
        kept("sums-all")


def test_the_page_shows_the_table_and_where_it_comes_from():
    frame = pd.DataFrame({"x": [1, 20_000], "y": [1 / 3, 123456.7], "z": ["<a>", "b"]})
    page = Kept(frame, ORIGIN)._repr_html_()
    assert page.startswith('<table class="dataframe"><caption>Profile study (n = 3), seeds: 20; ')
    assert (
        "computed on 1 CPU thread (x86_64) with python 3.11.7, genbound 0.1.0 on 2026-01-02 by "
        "“python -m genbound results book/sums.md --profile study”.</caption>"
    ) in page
    for cell in ("20000", "0.3333", "123,457", "&lt;a&gt;"):
        assert f"<td>{cell}</td>" in page
    assert "<caption>Profile study; computed" in (
        Kept(frame, ORIGIN | {"parameters": {}, "seeds": 1})
        ._repr_html_()
        .replace(", seeds: 1", "")
    )


@given(
    st.floats(-1e9, 1e9).map(lambda x: round(x, 12)),
    st.floats(1e-9, 1e3),
    st.integers(-9, 3),
)
def test_the_text_of_an_estimate_is_read_back(value, stderr, power):
    value, stderr = value * 10.0**power, stderr * 10.0**power
    found = Estimate(value, stderr, 2, "")
    (seen,), (error,) = numbers([str(found)])
    # Two digits of the error are shown; of the value as many, or eight.
    assert abs(error - stderr) <= 0.06 * stderr
    assert abs(seen - value) <= max(0.06 * stderr, 1e-7 * abs(value))


def test_numbers_of_intervals_and_of_exact_values():
    assert numbers(["+0.50 [-0.10, +0.80]", "-1.00 [-1.00, -1.00]"]).tolist() == [
        [0.5, -1.0],
        [-0.1, -1.0],
        [0.8, -1.0],
    ]
    exact = Estimate(1e-5, 0.0, 0, "")
    unknown = Estimate(2.0, float("nan"), 0, "")
    values, errors = numbers([str(exact), "3 ± 1", 4, str(unknown), "inf ± nan"])
    assert values.tolist() == [1e-5, 3.0, 4.0, 2.0, float("inf")]
    assert errors[:3].tolist() == [0.0, 1.0, 0.0]
    assert errors[3] != errors[3] and errors[4] != errors[4]


def test_the_device_is_the_one_that_torch_used(book, monkeypatch):
    def told(name):
        keep(name, pd.DataFrame({"x": [1]}))
        return yaml.safe_load((book / "book" / "results" / f"{name}.yml").read_text())["device"]

    def torch(*, used):
        cuda = SimpleNamespace(is_initialized=lambda: used, get_device_name=lambda: "A card")
        return SimpleNamespace(cuda=cuda, get_num_threads=lambda: 2)

    monkeypatch.setitem(sys.modules, "torch", torch(used=True))
    assert told("sums-card") == "A card"
    monkeypatch.setitem(sys.modules, "torch", torch(used=False))
    assert told("sums-cpu").startswith("2 CPU threads (")
    monkeypatch.delitem(sys.modules, "torch")
    assert told("sums-plain").startswith("1 CPU thread (")
