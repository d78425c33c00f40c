"""The length of what an update sees: a gradient, a direction, a parameter."""

import math
from typing import Any

import numpy as np


def norm(d: Any) -> float:
    """The root of the sum of squares, also where the squares themselves would overflow."""
    if type(d) is float:
        return abs(d)
    flat = np.asarray(d, np.float64).ravel()
    with np.errstate(over="ignore", under="ignore"):
        square = float(flat @ flat)
        if 1e-280 < square < math.inf:
            return math.sqrt(square)
        top = float(np.max(np.abs(flat), initial=0.0))
        if top == 0.0 or not math.isfinite(top):
            return top
        ratios = flat / top
        return top * math.sqrt(float(ratios @ ratios))
