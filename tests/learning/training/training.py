"""What the tests of training share: a line, its data, and a rule that notes gradients."""

from typing import Any

import numpy as np

from genparams import ADAM, ParamUpdate, gen, init_param, normal, param, positive, stateless

X = np.linspace(-1.0, 1.0, 10)
Y = 1.0 + 2.0 * X + 0.3 * np.cos(7.0 * X)


def new_line():
    """A line with parameters of its own, at their start."""

    @gen
    def line(x):
        return normal(param("slope") * x + param("intercept"), param("noise")) @ "y"

    begin(line)
    return line


def begin(line):
    init_param(line, "slope", 0.0)
    init_param(line, "intercept", 0.0)
    init_param(line, "noise", 1.0, constraint=positive)


def adam(f, rate=0.05):
    return ParamUpdate(ADAM(rate), f)


def pairs():
    """The data as ten pairs of arguments and data."""
    return [((float(x),), {"y": float(y)}) for x, y in zip(X, Y, strict=True)]


def values(*functions):
    """Every value and every accumulated gradient, to the bit."""
    return [(p.name, p.value, p.grad) for f in functions for p in f.params.values()]


def noting(found):
    """A rule that notes each gradient by name and moves nothing."""

    def note(g, theta):
        found.append({p.name: d for p, d in g.items()})
        return {p: 0.0 * d for p, d in g.items()}

    return stateless(note)


def gradient(f, args, constraints, scale=1.0):
    """The gradient of one run by parameter name."""
    trace, _ = f.generate(args, constraints)
    (by_name,) = trace.param_gradients().values()
    return {name: scale * g for name, g in by_name.items()}


def history_of(error: Any):
    """What an error of a loop says was reached."""
    return error.history
