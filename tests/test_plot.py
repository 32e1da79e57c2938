"""Figures say what their tables say."""

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.container import BarContainer, ErrorbarContainer

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from genbound import plot

CONTRIBUTIONS = st.lists(
    st.floats(-5, 5, allow_nan=False).filter(lambda value: abs(value) > 1e-3),
    min_size=1,
    max_size=6,
)


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def terms(contributions, errors=None):
    errors = [0.01] * len(contributions) if errors is None else errors
    names = [f"term {index}" for index in range(len(contributions))]
    return pd.DataFrame(
        {
            "term": names,
            "title": names,
            "contribution": contributions,
            "contribution_stderr": errors,
        }
    )


def bars(ax):
    return [box for box in ax.containers if isinstance(box, BarContainer)]


def error_bar(ax):
    (only,) = [box for box in ax.containers if isinstance(box, ErrorbarContainer)]
    ((start, end),) = only.lines[2][0].get_segments()
    return start[0], end[0]


@settings(max_examples=15, deadline=None)
@given(CONTRIBUTIONS)
def test_breakdown_bars_are_contributions_laid_end_to_end(contributions):
    ax = plot.breakdown(terms(contributions))
    pieces, (total,) = bars(ax)
    edges = np.concatenate([[0.0], np.cumsum(contributions)])
    for piece, start, length in zip(pieces, edges, contributions, strict=False):
        low, high = sorted([piece.get_x(), piece.get_x() + piece.get_width()])
        assert (low, high) == pytest.approx(tuple(sorted([start, start + length])), abs=1e-9)
    assert total.get_width() == pytest.approx(sum(contributions), abs=1e-9)
    plt.close(ax.figure)


def test_breakdown_tells_adding_from_subtracting_terms_without_colour():
    pieces, _ = bars(plot.breakdown(terms([1.0, -0.4])))
    assert [bool(piece.get_hatch()) for piece in pieces] == [False, True]


def test_breakdown_labels_its_rows_with_titles_and_numbers():
    ax = plot.breakdown(terms([1.25, -0.5], [0.003, 0.0]))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["term 0", "term 1", "bound"]
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["1.250 ± 0.003", "-0.5", "0.750 ± 0.003"]
    assert ax.get_xlabel() == "nats"


def test_error_bar_without_a_total_row_is_safe_for_dependent_terms():
    errors = [0.03, 0.04]
    low, high = error_bar(plot.breakdown(terms([1.0, 2.0], errors)))
    assert (high - low) / 2 == pytest.approx(1.959964 * sum(errors), rel=1e-5)


@dataclass
class Measured:
    value: float
    stderr: float


def test_error_bar_and_length_come_from_the_measured_total():
    ax = plot.breakdown(terms([1.0, 2.0], [0.3, 0.4]), total=Measured(2.5, 0.05))
    pieces, (total,) = bars(ax)
    assert len(pieces) == 2
    assert total.get_width() == pytest.approx(2.5)
    low, high = error_bar(ax)
    assert (low + high) / 2 == pytest.approx(2.5)
    assert (high - low) / 2 == pytest.approx(1.959964 * 0.05, rel=1e-5)


def test_truth_is_a_line_at_its_value_and_a_band_of_its_error():
    ax = plot.breakdown(terms([1.0]), truth=Measured(0.4, 0.02))
    (line,) = [line for line in ax.lines if line.get_label() == "truth"]
    assert list(line.get_xdata()) == [0.4, 0.4]
    (band,) = [patch for patch in ax.patches if patch not in [*bars(ax)[0], *bars(ax)[1]]]
    assert band.get_width() == pytest.approx(2 * 1.959964 * 0.02, rel=1e-5)
    assert "truth 0.40 ± 0.02" in [text.get_text() for text in ax.texts]


def test_breakdown_refuses_a_table_that_it_cannot_draw():
    with pytest.raises(ValueError, match="no column 'contribution_stderr'"):
        plot.breakdown(terms([1.0]).drop(columns="contribution_stderr"))
    with pytest.raises(ValueError, match="no terms"):
        plot.breakdown(terms([1.0])[:0])
    with pytest.raises(ValueError, match="'term 1': inf cannot be drawn"):
        plot.breakdown(terms([1.0, float("inf")]))


def long_table():
    time = np.array([0.5, 0.1, 1.0])
    return pd.concat(
        pd.DataFrame(
            {"T": time, "kl": n * time, "low": n * time - 1, "high": n * time + 2, "n": n}
        )
        for n in (10, 20)
    )


def test_curve_draws_one_sorted_line_and_one_band_per_group():
    ax = plot.curve(long_table(), x="T", y="kl", low="low", high="high", by="n")
    first, second = ax.lines
    assert list(first.get_xdata()) == [0.1, 0.5, 1.0]
    assert list(second.get_ydata()) == pytest.approx([2.0, 10.0, 20.0])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["n = 10", "n = 20"]
    heights = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((1.0, 22.0))


def test_a_word_in_the_legend_stands_alone():
    ax = plot.curve(long_table().replace({"n": {20: "tight"}}), x="T", y="kl", by="n")
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["n = 10", "tight"]


def test_curve_tells_groups_apart_without_colour():
    lines = plot.curve(long_table(), x="T", y="kl", by="n").lines
    assert len({line.get_marker() for line in lines}) == 2
    assert len({line.get_linestyle() for line in lines}) == 2


def test_curve_refuses_half_an_interval_and_an_unknown_column():
    with pytest.raises(ValueError, match="both columns or neither"):
        plot.curve(long_table(), x="T", y="kl", low="low")
    with pytest.raises(ValueError, match="no column 'KL'"):
        plot.curve(long_table(), x="T", y="KL")


def test_trade_off_marks_both_minimisers():
    time = np.linspace(0.1, 1.0, 19)
    table = pd.DataFrame({"T": time, "bound": (time - 0.7) ** 2 + 2, "kl": (time - 0.3) ** 2})
    table["bound_stderr"] = 0.1
    ax = plot.trade_off(table.sample(frac=1, random_state=0), x="T", total="bound", truth="kl")
    marks = {line.get_label(): line for line in ax.lines}
    assert marks["_least bound"].get_xdata()[0] == pytest.approx(0.7)
    assert marks["_least bound"].get_ydata()[0] == pytest.approx(2.0)
    assert marks["_least kl"].get_xdata()[0] == pytest.approx(0.3)
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(2.0 - 0.1959964, rel=1e-6)


def svg() -> bytes:
    with matplotlib.rc_context():
        plot.use_style()
        figure = plot.breakdown(terms([1.0, -0.5]), truth=0.2).figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def test_the_same_table_gives_the_same_bytes():
    assert svg() == svg()


def contrast_with_white(color):
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in matplotlib.colors.to_rgb(color)
    )
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_colours_stand_out_from_the_page():
    assert min(map(contrast_with_white, plot.PALETTE)) > 2.0
    assert len(set(plot.PALETTE)) == len(plot.PALETTE)
