"""What tests of several folders share."""

import gc
from collections.abc import Callable
from typing import Any

from genparams import ParamStore
from genparams.params import Parameter


def parameters_in_memory(store: ParamStore) -> list[Parameter]:
    """Every parameter that was made in a store and that something still refers to."""
    gc.collect()
    return [o for o in gc.get_objects() if type(o) is Parameter and o.store is store]


STEP = 1e-3


def slope(f: Callable[[float], Any]) -> Any:
    """The derivative of f at 0 by central differences, to order STEP^4."""
    near, far = f(STEP) - f(-STEP), f(2.0 * STEP) - f(-2.0 * STEP)
    return (8.0 * near - far) / (12.0 * STEP)
