"""What every picture shares: its axes, its styles, its points and its legend.

The styles differ in lightness, dashes and markers, so that a picture can be printed in grey. Lines
and bands take the first colour of the user's cycle.
"""

from importlib import import_module
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, MissingExtra
from genparams.text import brief
from genparams.types import Array

LINE: dict[str, Any] = {"color": "C0", "linewidth": 1.8}
BAND: dict[str, Any] = {"color": "C0", "alpha": 0.2, "linewidth": 0.0}
DASHED: dict[str, Any] = {"color": "0.25", "linestyle": "--", "linewidth": 1.3}
GUIDE: dict[str, Any] = {"color": "0.45", "linestyle": ":", "linewidth": 1.1}
"""Lines that are no result, such as y = x."""
POINTS: dict[str, Any] = {"color": "0.2", "alpha": 0.7, "markersize": 4.5, "linestyle": ""}
MARKERS = "o^sxD+"
"""The marker of each series of points; there are no more series."""
COLORS = ("0.2", "C1", "C2", "C3", "C4", "C5")


def check_axes(what: str, ax: Any) -> None:
    """Refuse to draw without matplotlib, or on something that is no axes.

    Raises:
        MissingExtra: matplotlib is not installed.
        InvalidValue: `ax` is no axes.
    """
    try:
        import_module("matplotlib")
        axes = import_module("matplotlib.axes").Axes
    except ImportError as error:
        raise MissingExtra(what, "matplotlib", "plot") from error
    if ax is not None and not isinstance(ax, axes):
        raise InvalidValue(
            f"{what} draws on one axes of matplotlib, got ax={brief(ax)}; write ax=axes, where "
            "figure, axes = plt.subplots()"
        )


def axes_for(ax: Any) -> Any:
    """The axes to draw on: those given, else those of a new figure."""
    if ax is not None:
        return ax
    _, axes = import_module("matplotlib.pyplot").subplots(layout="constrained")
    return axes


def name_axes(axes: Any, x: str, y: str) -> None:
    """Label the axes, unless they have labels."""
    if not axes.get_xlabel():
        axes.set_xlabel(x)
    if not axes.get_ylabel():
        axes.set_ylabel(y)


def points(axes: Any, x: Array, y: Array, label: str, series: int = 0) -> None:
    """Draw points. The label says how many have no place because they are not finite."""
    lost = int(np.sum(~(np.isfinite(x) & np.isfinite(y))))
    note = f"{lost} infinite, not drawn" if lost else ""
    style = {**POINTS, "marker": MARKERS[series], "color": COLORS[series]}
    axes.plot(x, y, label="; ".join(filter(None, (label, note))) or None, **style)


def legend(axes: Any, loc: str = "best", columns: int = 1) -> None:
    """Explain what has a label, if anything has."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=loc, ncols=columns, framealpha=0.85, edgecolor="none")


def percent(level: float) -> str:
    """A level in words: 95%."""
    return f"{100.0 * level:.10g}%"
