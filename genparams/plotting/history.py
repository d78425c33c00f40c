"""What a loop recorded, by step."""

from typing import Any

import numpy as np

from genparams.errors import InvalidValue, nearest
from genparams.learning.training.history import History
from genparams.mistakes import explained
from genparams.plotting.canvas import DASHED, LINE, axes_for, check_axes, legend, name_axes
from genparams.text import brackets
from genparams.types import Array

FEW = 10
"""A parameter with more entries than this has no legend."""


@explained
def plot_history(history: History, ax: Any = None, name: str | None = None) -> Any:
    """Draw what a loop recorded, by step.

    Where an epoch has several records, the mean of each epoch is drawn over the records of its
    steps, which are estimates from minibatches.

    Args:
        ax: The axes to draw on; None for a new figure.
        name: The name of a parameter, whose entries are drawn; or "grad_norm", on a logarithmic
            scale. None for the objective.

    Returns:
        The axes.

    Raises:
        InvalidValue: nothing of that name was recorded.
        MissingExtra: matplotlib is not installed.
    """
    check_axes("plot_history", ax)
    what, values = _chosen(history, name)
    axes = axes_for(ax)
    if name is None or name == "grad_norm":
        _draw_series(axes, history, values)
    else:
        _draw_entries(axes, history.steps, values)
    if name == "grad_norm" and np.any(values > 0.0):
        axes.set_yscale("log")
    name_axes(axes, "step", what)
    legend(axes)
    return axes


def _chosen(history: History, name: str | None) -> tuple[str, Array]:
    if name is None:
        return history.objective, history.log_prob
    if name == "grad_norm":
        return "norm of the gradient", history.grad_norm
    if not isinstance(name, str) or name not in history.params:
        known = ["grad_norm", *history.params]
        raise InvalidValue(f"no {name!r} was recorded; {nearest(str(name), known)}")
    return name, history.params[name]


def _draw_series(axes: Any, history: History, values: Array) -> None:
    """Draw values, and their means by epoch where these are something else."""
    epochs, first, counts = np.unique(history.epochs, return_index=True, return_counts=True)
    if len(epochs) == len(values):
        axes.plot(history.steps, values, **LINE)
        return
    axes.plot(history.steps, values, label="each step", color="0.6", linewidth=0.8)
    last = history.steps[first + counts - 1]
    means = np.add.reduceat(values, first) / counts
    style = {**LINE, "marker": "."} if len(epochs) < 30 else LINE
    axes.plot(last, means, label="mean of an epoch", **style)


def _draw_entries(axes: Any, steps: Array, values: Array) -> None:
    """Draw each entry of a parameter."""
    indices = list(np.ndindex(values.shape[1:]))
    styles = ["-", DASHED["linestyle"], "-.", ":"]
    for k, index in enumerate(indices):
        label = brackets(index) if 1 < len(indices) <= FEW else None
        style = {**LINE, "color": f"C{k % 10}", "linestyle": styles[k % 4]}
        axes.plot(steps, values[(slice(None), *index)], label=label, **style)
