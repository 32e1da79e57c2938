"""Line charts that a reader moves: curves compiled from letters, redrawn by the page itself.

A formula is written once. The expression that a derivation ends in becomes a JavaScript function
through :func:`genbound.symbolic.to_javascript`, and the page that shows it needs no library, no
network and no kernel.
"""

from genbound.interactive.figure import Axis, Slider, SliderFigure

__all__ = ["Axis", "Slider", "SliderFigure"]
