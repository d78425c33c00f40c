"""Calls of functions that were recorded as one operation.

Compiled code calls the loops of such a function in its place, on arrays that lie in one piece.
"""

import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.native.assembling import in_memory
from genparams.compiled.native.fuse import Lines, Value
from genparams.compiled.native.recurrences import member
from genparams.compiled.native.values import Values
from genparams.compiled.native.views import whole
from genparams.errors import CannotRecord

Loops = Callable[..., Any]


def kernel(values: Values, node: Node) -> Value:
    """A call of the loops of a recordable function."""
    if node.op.loops is None:
        raise CannotRecord(f"{node.op.__name__}, for numba")
    args = [_in_one_piece(values, values.of(a)) for a in node.args]
    level = values.plan.read_in_section(*args)
    function, name = _named(values, node.op.loops), values.plan.new_name()

    def job(section: Lines) -> None:
        given = [_text(section, a) for a in args]
        section.body.append(f"{name} = {function}({', '.join(given)})")

    values.plan.in_section(level, job)
    if node.dtype is not None:
        return _result(values, node, level, name)
    return Value((), "", level, np.array(name, object))


def part(values: Values, node: Node) -> Value:
    """A member of a tuple, as a kernel or a recurrence gives."""
    tuple_of, i = node.args
    made = values.of(tuple_of)
    if not hasattr(tuple_of.op, "loops"):
        return member(values, node)
    return _result(values, node, made.ready, f"{made.entries()[()]}[{i}]")


def _in_one_piece(values: Values, x: Value) -> Value:
    if not x.shape:
        return x
    return x if values.plan.stored(x).is_contiguous else in_memory(values, x)


def _text(section: Lines, x: Value) -> str:
    if not x.shape:
        return section.load(x)[()]
    assert x.view is not None
    return str(x.view.matrix())


def _result(values: Values, node: Node, level: int, text: str) -> Value:
    """A number or an array that the text of a call gives."""
    name = values.plan.new_name()
    ending = ".ravel()" if node.shape else ""
    values.plan.in_section(level, lambda section: section.body.append(f"{name} = {text}{ending}"))
    if node.shape:
        return values.new(node, ready=level, view=whole(name, 0, node.shape))
    return values.new(node, ready=level, names=np.array(name, object))


def _named(values: Values, loops: Loops) -> str:
    """The name by which the text calls loops."""
    name = f"{loops.__module__.rpartition('.')[2]}_{loops.__name__}"
    values.functions[name] = loops
    return name


@cache
def compiled_loops(loops: Loops) -> Any:
    """The loops, for numba to compile where they are called."""
    from numba import njit  # type: ignore[import-not-found]

    return njit(error_model="numpy", nogil=True)(loops)


@cache
def version_of(loops: Loops) -> str:
    """What changes when the loops do: where they are, and a hash of their module."""
    source = inspect.getsource(inspect.getmodule(loops) or loops)
    return f"{loops.__module__} {hashlib.sha256(source.encode()).hexdigest()[:12]}"
