"""Derivatives of a function."""

from collections.abc import Callable
from typing import Any

from genparams.autodiff.tape import Box, Tape, np, shape_of


def gradient(f: Callable[[Any], Any], x: Any) -> Any:
    """The gradient at `x` of a function from a number or an array to a number."""
    g = None
    with Tape() as tape:
        source = tape.leaf(x)
        result = f(source)
        if type(result) is Box and result.tape is tape:
            g = tape.gradients([(result, 1.0)], [source])[0]
    return (np.zeros(shape_of(x)) if shape_of(x) else 0.0) if g is None else g


def hessian(f: Callable[[Any], Any], x: Any) -> Any:
    """The second derivatives at the vector `x` of a function from a vector to a number."""
    x = np.asarray(x, dtype=float)
    with Tape() as tape:
        source = tape.leaf(x)
        g = gradient(f, source)
        if type(g) is not Box:
            return np.zeros((x.size, x.size))
        rows = [tape.gradients([(g, row)], [source])[0] for row in np.eye(x.size)]
    return np.stack([np.zeros(x.size) if row is None else row for row in rows])
