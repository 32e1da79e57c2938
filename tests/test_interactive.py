"""Slider figures: what is drawn is what the letters say, in the page and when a slider moves."""

import json
import random
import re
import shutil
import subprocess
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import sympy as sp
from test_browser import Browser

from genbound.interactive import Axis, Slider, SliderFigure
from genbound.symbolic import expm1, log1p

ROOT = Path(__file__).resolve().parents[1]
HORIZON, DIMENSION, BETA = sp.symbols("T d beta", positive=True)
DIVERGENCE = DIMENSION * sp.exp(-BETA * HORIZON) / 2 + HORIZON / 10
BOUND = DIVERGENCE + log1p(HORIZON) / 5

FIGURE = SliderFigure(
    curves={"exact divergence": DIVERGENCE, "bound <b>&</b>": BOUND},
    x=Axis(HORIZON, "T", 0, 8),
    sliders=(
        Slider(DIMENSION, "dimension d", 1, 20, 4, step=1),
        Slider(BETA, "rate &beta;", 0.1, 10, 1, scale="log"),
    ),
    y_label="nats",
    alt='A "divergence" that falls, then rises, below its bound',
    y_high=4.0,
    mark_minimum=("exact divergence", "bound <b>&</b>"),
)
POSITIVE = Axis(HORIZON, "T", 0.1, 8)


def minimiser(dimension: float, rate: float) -> float:
    """Where the exact divergence is least: T with (d beta / 2) exp(-beta T) = 1/10."""
    return float(sp.log(5 * dimension * rate) / rate)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    shutil.copy2(ROOT / "book/_static/genbound.css", folder)
    with Browser(folder) as opened:
        yield opened


@pytest.fixture
def show(browser):
    """Open a page with figures; it must ask for nothing foreign, and complain of nothing."""
    tabs = []

    def open_page(*figures, width=900, head="", marks=""):
        page = "".join(figure._repr_html_() for figure in figures)
        style = '<link rel="stylesheet" href="genbound.css"><link rel="icon" href="data:,">'
        (browser.html / "page.html").write_text(
            f'<!doctype html><html {marks}><meta charset="utf-8">{style}{head}<body>{page}</body>'
        )
        tab = browser.open(width)
        tabs.append(tab)
        tab.goto(browser.host + "page.html")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert browser.errors == [] and browser.foreign in ([], ["data:,"])


def paths(tab, number=0):
    """The drawn curves of a figure, each a list of points."""
    figure = tab.locator(".slider-figure").nth(number)
    drawn = figure.locator("svg[role=img] path").evaluate_all(
        "all => all.map(path => path.getAttribute('d'))"
    )
    return [
        [tuple(map(float, pair.split(","))) for pair in re.findall(r"[^ML]+", d)] for d in drawn
    ]


def heights(tab, number=0):
    """The curves in the units of the axes of FIGURE, on its 401 points."""
    frame = tab.locator(".slider-figure").nth(number).locator("svg svg")
    left, top, wide, tall = map(float, frame.get_attribute("viewBox").split())
    for curve in paths(tab, number):
        yield [((px - left) / wide * 8, (top + tall - py) / tall * 4) for px, py in curve]


def slide(tab, label, position):
    tab.get_by_label(label).first.evaluate(
        "(input, at) => { input.value = at; input.dispatchEvent(new Event('input')); }", position
    )


def agrees(tab, dimension, rate):
    for (label, curve), points in zip(FIGURE.curves.items(), heights(tab), strict=True):
        assert len(points) == 401, label
        truth = sp.lambdify(HORIZON, curve.subs({DIMENSION: dimension, BETA: rate}))
        for x, y in points[::20]:
            # Coordinates are written to a hundredth of a pixel, in both directions.
            assert y == pytest.approx(truth(x), abs=1e-4 * (1 + rate * dimension))


EXPRESSIONS = {
    "elementary": sp.sqrt(HORIZON) * sp.log(DIMENSION + 1) / (1 + BETA**2) - sp.pi,
    "careful": expm1(-BETA * HORIZON) / DIMENSION + log1p(HORIZON * BETA),
    "piecewise": sp.Piecewise((HORIZON, HORIZON < BETA), (DIMENSION**2, True)),
    "extreme": sp.Max(HORIZON, DIMENSION, BETA) - sp.Min(HORIZON, 1 / BETA) + sp.tanh(BETA),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_compiled_curve_is_the_letter(name):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine to run JavaScript outside a page")
    figure = replace(
        FIGURE, curves={name: EXPRESSIONS[name]}, x=POSITIVE, mark_minimum=(), y_high=None
    )
    draw = random.Random(name)
    points = [[draw.uniform(0.1, 6) for _ in range(3)] for _ in range(20)]
    code = f"console.log(JSON.stringify({points}.map(p => ({figure.javascript[0]})(...p))))"
    said = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    for point, found in zip(points, json.loads(said.stdout), strict=True):
        exact = EXPRESSIONS[name].subs(dict(zip((HORIZON, DIMENSION, BETA), point, strict=True)))
        assert found == pytest.approx(float(exact.replace(expm1, lambda x: sp.exp(x) - 1)))


def test_the_first_drawing_is_the_letters(show):
    tab = show(FIGURE)
    agrees(tab, 4, 1)
    assert tab.locator("output").all_inner_texts() == ["4", "1"]
    assert tab.locator(".fallback").is_hidden()


def test_sliders_move_the_curves(show):
    tab = show(FIGURE)
    slide(tab, "dimension d", 11)
    agrees(tab, 12, 1)
    slide(tab, "rate β", 150)
    assert tab.locator("output").all_inner_texts() == ["12", "3.16"]
    assert tab.get_by_label("rate β").get_attribute("aria-valuetext") == "3.16"
    agrees(tab, 12, 3.16)


STEPS = {
    "of its own": (Slider(DIMENSION, "d", 1, 3, 1, step=0.3), ["1.3", "2.8"]),
    "a hundredth": (Slider(DIMENSION, "d", 1, 3, 1), ["1.02", "3"]),
    "log": (Slider(DIMENSION, "d", 1, 100, 1, scale="log"), ["1.02", "100"]),
    "whole log": (Slider(DIMENSION, "d", 1, 99, 1, step=1, scale="log"), ["1", "99"]),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_a_slider(show, name):
    slider, values = STEPS[name]
    tab = show(replace(FIGURE, sliders=(slider, FIGURE.sliders[1])))
    last = tab.get_by_label("d").first.get_attribute("max")
    for position, value in zip(("1", last), values, strict=True):
        slide(tab, "d", position)
        assert tab.locator("output").first.inner_text() == value


def test_sliders_move_by_keyboard(show):
    tab = show(FIGURE)
    before = paths(tab)
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowRight")
    assert tab.locator("output").first.inner_text() == "5"
    assert paths(tab) != before
    tab.keyboard.press("End")
    agrees(tab, 20, 1)


def test_the_minimiser_is_marked_and_written(show):
    tab = show(FIGURE)
    for position, dimension in ((3, 4), (16, 17)):
        slide(tab, "dimension d", position)
        where = minimiser(dimension, 1)
        note = tab.locator(".least").first.inner_text()
        assert note == f", least at T = {where:.3g}"
        left, _, wide, _ = map(
            float, tab.locator("svg svg").first.get_attribute("viewBox").split()
        )
        dot = float(tab.locator("circle.series-1").get_attribute("cx"))
        # Near a minimum equal values in double precision leave the place free to about 1e-7.
        assert (dot - left) / wide * 8 == pytest.approx(where, abs=1e-5)
    assert tab.locator("circle").count() == 2


def test_a_minimum_at_an_end_says_so(show):
    falling = replace(
        FIGURE,
        curves={"falling": DIMENSION / HORIZON**BETA},
        mark_minimum=("falling",),
        x=Axis(HORIZON, "T", 0, 8),
        y_high=None,
    )
    tab = show(falling)
    assert tab.locator(".least").inner_text() == ", least at the end, T = 8"
    # The curve is infinite at 0, where the pen stays up.
    (points,) = paths(tab)
    assert len(points) == 400


def test_without_a_finite_value_nothing_is_drawn(show):
    nowhere = replace(
        FIGURE, curves={"none": sp.log(-DIMENSION * BETA - HORIZON)}, mark_minimum=("none",)
    )
    tab = show(replace(nowhere, y_high=None))
    assert paths(tab) == [[]] and tab.locator(".least").inner_text() == ""


@pytest.mark.parametrize("second", [FIGURE, replace(FIGURE, alt="Another")])
def test_two_figures_are_independent(show, second):
    tab = show(FIGURE, second)
    first, other = paths(tab, 0), paths(tab, 1)
    assert first == other
    slide(tab, "dimension d", 9)
    assert paths(tab, 0) != first and paths(tab, 1) == other
    assert tab.locator("li svg").count() == 4


def test_axes_have_round_ticks(show):
    axis = Axis(HORIZON, "n", 1e-4, 1e7, scale="log")
    tab = show(
        replace(
            FIGURE,
            curves={"c": DIMENSION * BETA * 1000 + 0 * HORIZON},
            x=axis,
            mark_minimum=(),
            y_high=None,
        )
    )
    texts = tab.locator("svg[role=img] text").all_text_contents()
    assert {"10⁻⁴", "0.01", "1", "10⁶", "0", "2000", "4000", "n", "nats"} <= set(texts)


def test_marks_are_escaped_and_entities_kept(show):
    nasty = "</script><!-- &beta; <img src=x onerror=alert(1)>"
    slider = replace(FIGURE.sliders[0], label=nasty)
    tab = show(
        replace(
            FIGURE,
            curves={nasty: BOUND},
            x=Axis(HORIZON, nasty, 0, 8),
            y_label=nasty,
            alt=nasty,
            sliders=(slider, FIGURE.sliders[1]),
            mark_minimum=(nasty,),
        )
    )
    seen = nasty.replace("&beta;", "β")
    assert tab.get_by_role("img").get_attribute("aria-label") == seen
    assert tab.get_by_label(seen).count() == 2 and tab.locator("img").count() == 0
    assert tab.locator("li span").first.inner_text() == seen
    assert seen in tab.locator("svg[role=img] text").all_text_contents()


def test_it_fits_a_phone_and_follows_the_width(show):
    tab = show(FIGURE, width=390)
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert tab.evaluate(wide) <= 0
    narrow = tab.locator("svg[role=img]").get_attribute("viewBox")
    tab.set_viewport_size({"width": 800, "height": 900})
    tab.wait_for_function(
        "before => document.querySelector('svg').getAttribute('viewBox') !== before", arg=narrow
    )
    assert tab.evaluate(wide) <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_follow_the_theme(show, theme):
    tab = show(FIGURE, marks=f'data-theme="{theme}"')
    colour = tab.locator("path.series-1").first.evaluate("path => getComputedStyle(path).stroke")
    assert colour == {"light": "rgb(0, 114, 178)", "dark": "rgb(86, 180, 233)"}[theme]


def test_it_is_drawn_where_scripts_run_elsewhere(show):
    """Front ends insert the HTML first and then run its scripts, not always in their place."""
    tab = show()
    tab.evaluate(
        """html => {
          document.body.innerHTML = html;
          const script = document.createElement("script");
          script.textContent = document.querySelector("script").textContent;
          document.head.append(script);
        }""",
        FIGURE._repr_html_(),
    )
    agrees(tab, 4, 1)


def test_without_scripts_the_words_remain(browser):
    context = browser.window.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.set_content(FIGURE._repr_html_())
    assert FIGURE.alt in tab.locator("body").inner_text()
    assert tab.locator("input").first.is_hidden()
    context.close()


def test_equal_figures_have_equal_bytes():
    assert FIGURE._repr_html_() == replace(FIGURE)._repr_html_()
    names = [
        re.search(r'data-figure="(\w+)"', figure._repr_html_()).group(1)
        for figure in (FIGURE, replace(FIGURE, alt="Another"), replace(FIGURE, y_low=-1.0))
    ]
    assert len(set(names)) == 3
    with pytest.raises(FrozenInstanceError):
        FIGURE.alt = "x"


STRANGE, ODD = sp.Symbol("s"), sp.Symbol("x y")
REFUSED = {
    "lacks .'s'": lambda: replace(FIGURE, curves={"c": BOUND + STRANGE}, mark_minimum=()),
    "no JavaScript name": lambda: replace(
        FIGURE,
        sliders=(*FIGURE.sliders, Slider(ODD, "s", 0, 1, 0)),
        curves={"c": BOUND + ODD},
        mark_minimum=(),
    ),
    "moves no curve": lambda: replace(
        FIGURE, sliders=(*FIGURE.sliders, Slider(STRANGE, "s", 0, 1, 0))
    ),
    "names a letter twice": lambda: replace(FIGURE, sliders=FIGURE.sliders * 2),
    "0 given; 1 to 5": lambda: replace(FIGURE, curves={}, mark_minimum=()),
    "6 given; 1 to 5": lambda: replace(FIGURE, curves=dict.fromkeys("abcdef", BOUND)),
    "no curve 'other'": lambda: replace(FIGURE, mark_minimum=("other",)),
    "y_high: 0.0": lambda: replace(FIGURE, y_high=0.0),
    "alt: no text": lambda: replace(FIGURE, alt=" "),
    "low below high": lambda: Axis(HORIZON, "T", 1, 1),
    "finite numbers": lambda: Axis(HORIZON, "T", 1, float("inf")),
    "low, high: nan": lambda: Axis(HORIZON, "T", float("nan"), 1),
    "above 0 on a log": lambda: Axis(HORIZON, "T", 0, 1, scale="log"),
    "'linear' or 'log'": lambda: Axis(HORIZON, "T", 0, 1, scale="cubic"),
    "value: 3 of d; 0 to 2": lambda: Slider(DIMENSION, "d", 0, 2, 3),
    "value: nan": lambda: Slider(DIMENSION, "d", 0, 2, float("nan")),
    "step: 0 ": lambda: Slider(DIMENSION, "d", 0, 2, 1, step=0),
    "step: 5 ": lambda: Slider(DIMENSION, "d", 0, 2, 1, step=5),
    "low, high: 3, 2": lambda: Slider(DIMENSION, "d", 3, 2, 2),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_input_is_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()
