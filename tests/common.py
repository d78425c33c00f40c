"""What tests of several folders share."""

import contextlib
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import genparams
from genparams import ParamStore
from genparams.params import Parameter, lock


def parameters_in_memory(store: ParamStore) -> list[Parameter]:
    """Every parameter that was made in a store and that something still refers to."""
    gc.collect()
    return [o for o in gc.get_objects() if type(o) is Parameter and o.store is store]


STEP = 1e-3


def slope(f: Callable[[float], Any]) -> Any:
    """The derivative of f at 0 by central differences, to order STEP^4."""
    near, far = f(STEP) - f(-STEP), f(2.0 * STEP) - f(-2.0 * STEP)
    return (8.0 * near - far) / (12.0 * STEP)


class Fault(BaseException):
    """What nothing catches."""


def fault_at(n: int, act: Callable[[], Any], also: str = "") -> bool:
    """Do something, with a fault at the n-th line of the library that it runs; whether it came.

    Args:
        also: Another file whose lines count.
    """
    left = n
    package = str(Path(genparams.__file__).parent)

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal left
        file = frame.f_code.co_filename
        is_ours = file.startswith(package) or file == also
        if not is_ours and not (file == "<string>" and frame.f_code.co_name == "f"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise Fault
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except Fault:
        return True
    finally:
        sys.settrace(before)
        with contextlib.suppress(RuntimeError):  # a trace can raise where `with lock` ends, before
            while True:  # the lock is released; a signal cannot
                lock.release()
    return False
