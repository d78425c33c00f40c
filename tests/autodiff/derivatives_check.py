"""The check of a gradient, and of the gradient of a gradient, against finite differences."""

import math

import numpy as np
from hypothesis import settings

from genparams.autodiff import gradient, shape_of

STEP = 1e-3
deterministic = settings(derandomize=True, deadline=None, max_examples=60)


def slope(f):
    """The derivative of f at 0 by central differences, to order STEP^4."""
    near, far = f(STEP) - f(-STEP), f(2.0 * STEP) - f(-2.0 * STEP)
    return (8.0 * near - far) / (12.0 * STEP)


def check(f, x):
    """The gradient, and that of a gradient along a direction, against finite differences."""
    rng = np.random.default_rng(0)
    v, u = 0.3 * rng.normal(size=(2, *np.shape(x)))
    v, u = (float(v), float(u)) if not np.shape(x) else (v, u)
    g = gradient(f, x)
    assert shape_of(g) == np.shape(x)
    np.testing.assert_allclose(np.sum(g * v), slope(lambda h: f(x + h * v)), rtol=1e-7, atol=1e-8)

    def along(y):
        return np.sum(gradient(f, y) * u)

    np.testing.assert_allclose(
        np.sum(gradient(along, x) * v), slope(lambda h: along(x + h * v)), rtol=1e-6, atol=1e-7
    )


def weighed(function):
    """`function` made a number: its entries and their squares, summed with weights."""

    def f(x):
        y = function(x)
        w = np.cos(1.0 + np.arange(math.prod(shape_of(y)))).reshape(shape_of(y))
        return np.sum(w * y) + 0.5 * np.sum(y * y)

    return f
