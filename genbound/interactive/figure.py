"""A chart as a frozen value, and the HTML that it becomes."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import TYPE_CHECKING, Literal

from genbound.interactive.drawing import DRAW
from genbound.symbolic import to_javascript

if TYPE_CHECKING:
    import sympy as sp

__all__ = ["Axis", "Slider", "SliderFigure"]

Scale = Literal["linear", "log"]
#: Colour and dashes of each curve where no style sheet says better, as in a notebook.
SERIES = (
    ("#0072b2", "none"),
    ("#d55e00", "9 4"),
    ("#009e73", "2 4"),
    ("#b87d00", "10 4 2 4"),
    ("#b5578b", "5 5"),
)


@dataclass(frozen=True)
class Axis:
    """The horizontal axis: the letter that runs along it, and how far.

    Args:
        symbol: The letter; its name must be a JavaScript identifier.
        label: What the reader sees; may hold entities such as ``&beta;``, but no markup.
        low: Left end.
        high: Right end.
        scale: ``"linear"`` or ``"log"``.

    Raises:
        ValueError: The range is empty or infinite, or is not positive on a log scale.
    """

    symbol: "sp.Symbol"
    label: str
    low: float
    high: float
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range(self)


@dataclass(frozen=True)
class Slider:
    r"""A letter that the reader sets.

    Args:
        symbol: The letter; its name must be a JavaScript identifier.
        label: What the reader sees; may hold entities, and ``\( \)`` on a page with formulas.
        low: Least value.
        high: Greatest value.
        value: Value at the start.
        step: Values are ``low`` plus multiples of it. Without it a linear slider has 100 steps
            and a log slider goes through values of three digits.
        scale: ``"linear"`` or ``"log"``.

    Raises:
        ValueError: The range is empty, infinite or (log) not positive, ``value`` lies outside
            it, or ``step`` is not in it.
    """

    symbol: "sp.Symbol"
    label: str
    low: float
    high: float
    value: float
    step: float | None = None
    scale: Scale = "linear"

    def __post_init__(self) -> None:
        """Check the range and the start."""
        _check_range(self)
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value: {self.value} of {self.symbol}; {self.low} to {self.high}")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"step: {self.step} of {self.symbol}; above 0, at most the range")


@dataclass(frozen=True, kw_only=True)
class SliderFigure:
    """Curves over one letter, redrawn whenever the reader moves another.

    Display it as the value of a notebook's cell.

    Args:
        curves: Expression of each curve by its label, in the letters of ``x`` and ``sliders``.
        x: The horizontal axis.
        sliders: The letters that the reader sets.
        y_label: What the curves measure, with its unit.
        alt: What the figure shows, in words, for those who cannot see it.
        y_low: Lower end of the vertical axis.
        y_high: Upper end; without it, fit for nine tenths of the points and the marked minima.
        mark_minimum: Labels of the curves whose minimiser is marked and written down.

    Raises:
        ValueError: There are no curves or too many, a letter is missing, unused or named twice,
            ``mark_minimum`` names no curve, the vertical range is empty, or ``alt`` is.
    """

    curves: Mapping[str, "sp.Expr"]
    x: Axis
    sliders: Sequence[Slider]
    y_label: str
    alt: str
    y_low: float = 0.0
    y_high: float | None = None
    mark_minimum: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check that letters, labels and curves belong together, and compile."""
        if not 1 <= len(self.curves) <= len(SERIES):
            raise ValueError(f"curves: {len(self.curves)} given; 1 to {len(SERIES)}")
        names = [str(symbol) for symbol in self._symbols]
        if len(set(names)) < len(names):
            raise ValueError(f"sliders: {names} names a letter twice; once each")
        used = set().union(*(curve.free_symbols for curve in self.curves.values()))
        idle = [slider for slider in self.sliders if slider.symbol not in used]
        if idle:
            raise ValueError(f"sliders: {idle[0].symbol} moves no curve; a letter of a curve")
        unknown = [label for label in self.mark_minimum if label not in self.curves]
        if unknown:
            raise ValueError(f"mark_minimum: no curve {unknown[0]!r}; one of {list(self.curves)}")
        if self.y_high is not None and not self.y_low < self.y_high:
            raise ValueError(f"y_high: {self.y_high}; above y_low, which is {self.y_low}")
        if not self.alt.strip():
            raise ValueError("alt: no text; what the figure shows, in words")
        _ = self.javascript

    @property
    def javascript(self) -> tuple[str, ...]:
        """Source of each curve, an arrow function of ``x`` and then the sliders in order."""
        return tuple(to_javascript(self._symbols, curve) for curve in self.curves.values())

    @property
    def _symbols(self) -> list["sp.Symbol"]:
        return [self.x.symbol, *(slider.symbol for slider in self.sliders)]

    def _repr_html_(self) -> str:
        sources = ",\n".join(self.javascript)
        y = {"label": unescape(self.y_label), "low": self.y_low, "high": self.y_high}
        figure = {
            "x": _plain(self.x),
            "y": y | {"scale": "linear"},
            "sliders": [_plain(slider) for slider in self.sliders],
            "marked": [label in self.mark_minimum for label in self.curves],
            "series": SERIES,
        }
        # In a script only "<" could end the script.
        data = json.dumps(figure, default=float).replace("<", r"\u003c")
        # Equal figures share a name and each script draws what is still undrawn, so a figure
        # may stand on a page twice, and also where a front end runs scripts out of their place.
        content = f"{data}{sources}{self.alt}{list(self.curves)}"
        name = hashlib.sha256(content.encode()).hexdigest()[:12]
        inputs = "".join(
            f'<div><label><span>{_text(slider.label)}</span> <input type="range"'
            ' autocomplete="off"> <output aria-hidden="true"></output></label></div>'
            for slider in self.sliders
        )
        legend = "".join(
            f'<li><span>{_text(label)}</span><span class="least"></span></li>'
            for label in self.curves
        )
        return (
            f'<div class="slider-figure" data-figure="{name}"><p class="fallback">'
            f"{_text(self.alt)} (The figure is drawn by a script, which has not run here.)</p>"
            f'<div class="stage" hidden>{inputs}<svg role="img" aria-label="{_text(self.alt)}">'
            f'</svg><ul class="legend" aria-live="polite">{legend}</ul></div>'
            f'<script>({DRAW})("{name}", {data}, [\n{sources}\n]);</script></div>'
        )


def _check_range(given: Axis | Slider) -> None:
    low, high, name = given.low, given.high, given.symbol
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"low, high: {low}, {high} of {name}; finite numbers, low below high")
    if given.scale not in ("linear", "log"):
        raise ValueError(f"scale: {given.scale!r} of {name}; 'linear' or 'log'")
    if given.scale == "log" and low <= 0:
        raise ValueError(f"low: {low} of {name}; above 0 on a log scale")


def _plain(given: Axis | Slider) -> dict[str, object]:
    return vars(given) | {"symbol": str(given.symbol), "label": unescape(given.label)}


def _text(words: str) -> str:
    return escape(unescape(words))
