"""The tape: how a gradient is computed.

Reverse mode needs a record of a computation, and then goes through the record backwards. Here a
`Box` wraps each number or array that depends on what one differentiates by, and a `Tape` is the
record. For f(x) = x * sin(x):

1. *Forwards.* `tape.leaf(2.0)` makes a box for x. Each operation on boxes computes its value at
   once, in a new box with the next number, and appends one *edge* to the tape for each argument
   that is a box: (number of the result, number of the argument, partial derivative).

       box 0   x = 2.0
       box 1   sin(x) = 0.91        edge (1, 0, cos(x))
       box 2   x * sin(x) = 1.82    edges (2, 0, sin(x)) and (2, 1, x)

2. *Backwards.* The *cotangent* of a box is the derivative of f by the value of the box. It is 1 for
   the result. `tape.gradients` reads the edges from the last to the first, multiplies the
   cotangent of the result by the partial derivative, and adds the product to the cotangent of the
   argument (the chain rule). An argument always has a lower number than its result, so every
   cotangent is complete before it is used. At the end the cotangent of box 0 is f'(x).

The partial derivative of an array by an array is a large matrix. Such an edge has a *pullback* in
its place: a function that multiplies a cotangent by the matrix without writing the matrix.

For a second derivative, the value of a box is itself a box, of an *outer* tape: the outer tape
records whatever the inner one computes, forwards and backwards. Tapes are numbered as they are
made, and the inner tape is always made later. So the number says which of two boxes is the inner
one, in any number of threads.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from types import FunctionType
from typing import Any

import numpy
from scipy import special as scipy_special

from genparams.autodiff.batch import Batch
from genparams.autodiff.refusals import refusal, user_line
from genparams.errors import TracedValueError
from genparams.numeric import quiet
from genparams.program.recorded import Recorded, as_type, note

np: Any = numpy  # boxes speak numpy's protocols, which the type stubs of numpy do not know
special: Any = scipy_special

_level = itertools.count(1)
_add_up, _dot = numpy.add.reduce, numpy.dot


class Tape:
    """The record of one differentiated computation."""

    __slots__ = ("edges", "level", "node", "shared")

    def __init__(self) -> None:
        self.edges: list[tuple[int, int, Any]] = []
        self.level = next(_level)
        self.node = itertools.count().__next__
        """Gives the next number of a box; one call, so that two threads never get the same."""
        self.shared: set[int] = set()
        """The numbers of boxes whose arrays another name may see: they are not changed in place."""

    def leaf(self, value: Any) -> "Box":
        """A box to differentiate by, of a float, an array of floats or a box of an outer tape."""
        index = self.node()
        if type(value) is not float:  # numbers are never changed in place
            value = canonical(value)
            self.shared.add(index)
        return Box(value, self, index)

    def record(self, value: Any, edges: Iterable[tuple[Any, Any]]) -> "Box":
        """A box for `value`, given each argument with its partial derivative or pullback.

        An argument that is not a box of this tape is a constant here and adds no edge.
        """
        child = self.node()
        for argument, partial in edges:
            if type(argument) is Box and argument.tape is self:
                self.edges.append((child, argument.index, partial))
        return Box(canonical(value), self, child)

    def __enter__(self) -> "Tape":
        return self

    def __exit__(self, *error: Any) -> None:
        """End the computation: using one of its boxes later is an error."""
        self.node = _ended
        self.edges = []

    def gradients(self, seeds: Iterable[tuple["Box", Any]], sources: Sequence["Box"]) -> list[Any]:
        """The gradient of `sum(seed * value for value, seed in seeds)` by each source; None for a
        source that the values do not depend on.

        A seed may be a `Batch` of p seeds, and the gradients are then batches of p gradients.
        """
        cotangents = self.cotangents(seeds)
        return [cotangents[source.index] for source in sources]

    @quiet
    def cotangents(self, seeds: Iterable[tuple["Box", Any]]) -> list[Any]:
        """The gradient of `sum(seed * value for value, seed in seeds)` by each box, in the order of
        their numbers; None for a box that the values do not depend on.
        """
        cotangents: list[Any] = [None] * self.node()
        for box, seed in seeds:
            at = box.index
            old = cotangents[at]
            cotangents[at] = seed if old is None else old + seed
        for child, parent, partial in reversed(self.edges):
            g = cotangents[child]
            if g is not None:
                g = partial(g) if type(partial) is FunctionType else g * partial
                old = cotangents[parent]
                cotangents[parent] = g if old is None else old + g
        return cotangents


class Box:
    """A value being differentiated: a float, an array of floats, a recorded value, or a box of an
    outer tape.

    A box is not an ndarray. `genparams.autodiff.box` gives it operators, methods and numpy's
    protocols, so that models use plain numpy.
    """

    __slots__ = ("index", "tape", "value")
    wraps = "a value being differentiated"

    __mul__: Any

    def __init__(self, value: Any, tape: Tape, index: int):
        self.value = value
        self.tape = tape
        self.index = index

    shape = property(lambda self: shape_of(self.value), lambda self, shape: _refuse_shape())
    ndim = property(lambda self: len(shape_of(self.value)))
    size = property(lambda self: math.prod(shape_of(self.value)))
    dtype = property(lambda self: _dtype(raw(self)))
    """A single number has no dtype, as a float has none: numpy would convert the mean of a list of
    numbers to it.
    """


# --- Values inside boxes


def canonical(value: Any) -> Any:
    """The form in which a box holds a value: a plain float for one number, an array otherwise."""
    kind = type(value)
    if (
        kind is float
        or kind is Box
        or (kind is numpy.ndarray and value.ndim and value.dtype.kind == "f")
        or kind is Batch
    ):
        return value
    if kind is Recorded:
        return value if value.dtype.kind == "f" else note(as_type, (value, np.dtype(float)))
    value = np.asarray(value)
    if value.dtype.kind == "c":
        raise refusal("a function with complex values", "functions of real numbers")
    if value.dtype.kind != "f":
        value = value.astype(float)
    return value if value.ndim else float(value)


def raw(value: Any) -> Any:
    """The number or array inside any depth of boxes."""
    while type(value) is Box:
        value = value.value
    return value


def _dtype(value: Any) -> Any:
    if type(value) is Recorded and not value.shape:
        value = value.value
    return value.dtype


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a number, an array or a box."""
    kind = type(value)
    if kind is float:
        return ()
    if kind is numpy.ndarray or kind is Batch or kind is Recorded:
        return value.shape
    return shape_of(value.value) if kind is Box else np.shape(value)


def unbox(values: Sequence[Any]) -> tuple[Tape | None, Sequence[Any]]:
    """The innermost tape among the values, and the values with that tape's boxes opened."""
    tape: Any = None
    for value in values:
        if type(value) is Box and (tape is None or value.tape.level > tape.level):
            tape = value.tape
    if tape is None:
        return None, values
    return tape, [v.value if type(v) is Box and v.tape is tape else v for v in values]


def operand(value: Any) -> Any:
    """`value` as a float, an array of floats or a box; a list or an object array of boxes is
    stacked into one.
    """
    kind = type(value)
    if kind is float or kind is Box:
        return value
    if kind is numpy.ndarray and value.dtype.kind == "f":
        return value if value.ndim else float(value)
    if kind is Batch or kind is Recorded:
        return canonical(value)
    if isinstance(value, (int, float, np.number, np.bool_)) and not isinstance(
        value, np.complexfloating
    ):
        return float(value)
    if isinstance(value, (list, tuple)):
        parts = [operand(v) for v in value]
        if any(type(p) in (Box, Batch, Recorded) for p in parts):
            return np.stack(parts)
        value = parts
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("expected numbers, found a masked array; leave out what is masked")
    value = np.asarray(value)
    if value.dtype == object:
        value = value.tolist()
        if isinstance(value, list) or type(value) is Box:
            return operand(value)
        value = np.asarray(float(value) if isinstance(value, Real) else value)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"expected numbers, found {value.dtype} {value!r}")
    return value.astype(float) if value.ndim else float(value)


def as_array(value: Any) -> Any:
    """An array; a recorded value as it is."""
    return value if type(value) is Recorded else np.asarray(value)


def holds_box(value: Any) -> bool:
    """Whether a value is a box, or a list or an object array with a box in it."""
    if type(value) is numpy.ndarray:
        return value.dtype == object and any(type(v) is Box for v in value.flat)
    return type(value) is Box or (isinstance(value, (list, tuple)) and any(map(holds_box, value)))


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """`g` summed over the axes along which an argument of that shape was broadcast."""
    have = g.shape if type(g) is numpy.ndarray else shape_of(g)
    if have == shape:
        return g
    if type(g) is Batch:
        return _sum_rows_to(g, shape)
    if not shape:
        return total(g)
    g = np.sum(g, axis=tuple(range(len(have) - len(shape)))) if len(have) > len(shape) else g
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and shape_of(g)[i] != 1)
    return np.sum(g, axis=stretched, keepdims=True) if stretched else g


def _traced_dot(g: Any, partial: Any) -> Box:
    """The sum of `g * partial`, as one node in place of two."""
    return unary(g, sum_product_to(g.value, partial, ()), lambda c: c * partial)


def _sum_rows_to(g: Batch, shape: tuple[int, ...]) -> Batch:
    """`sum_to` of each row, by one sum over all axes."""
    have, new = g.shape, len(g.shape) - len(shape)
    stretched = [i for i, n in enumerate(shape, new) if n == 1 and have[i] != 1]
    axes = tuple([i + 1 for i in (*range(new), *stretched)])
    found = _add_up(g.value, axes) if type(g.value) is numpy.ndarray else np.sum(g.value, axes)
    return Batch(found if not stretched else np.reshape(found, (g.count, *shape)))


def total(value: Any) -> Any:
    """The sum of every entry, as a float or a box."""
    if type(value) is numpy.ndarray:
        return float(_add_up(value, None))
    if type(value) is Box and (shape := shape_of(value)):  # as `np.sum`, without its dispatch
        return unary(value, total(value.value), lambda g: np.broadcast_to(g, shape))
    return np.sum(value)


def sum_product_to(g: Any, partial: Any, shape: tuple[int, ...]) -> Any:
    """`sum_to(g * partial, shape)`."""
    if type(partial) is float and partial == 1.0:
        return sum_to(g, shape)
    if (
        not shape
        and type(g) is numpy.ndarray
        and type(partial) is numpy.ndarray
        and g.shape == partial.shape
    ):  # one pass and no temporary
        flat = g.ndim == 1
        return float(_dot(g, partial) if flat else _dot(g.ravel(), partial.ravel()))
    if not shape and type(g) is Batch and shape_of(partial) == g.shape:
        return _dot_rows(g, partial)
    kind = type(g)
    if not shape and kind is Box and type(partial) is numpy.ndarray and g.shape == partial.shape:
        return _traced_dot(g, partial)
    return sum_to(g * partial, shape)


def _dot_rows(g: Batch, partial: Any) -> Batch:
    """The sum of `row * partial` for each row, without the products as a temporary."""
    return Batch(np.matmul(np.reshape(g.value, (g.count, -1)), np.reshape(partial, (-1,))))


def unary(box: Box, value: Any, pull: Any) -> Box:
    """The box for a function of one box, given its value and its pullback."""
    made = box.tape.record(value, [(box, pull)])
    value = made.value
    if (
        type(value) is numpy.ndarray
        and value.base is not None
        and np.may_share_memory(value, box.value)
    ) or (type(value) is Box and value.index in value.tape.shared):
        mark_shared(box, made)
    return made


def mark_shared(*boxes: Any) -> None:
    """Record that these boxes see the same array, so that none of them is changed in place."""
    for box in boxes:
        while type(box) is Box:
            box.tape.shared.add(box.index)
            box = box.value


# --- Refusals


def _ended() -> int:
    raise TracedValueError(
        "a value of an earlier gradient was kept, in a global, a cache, a default argument or an "
        "object, and is used again. Compute what depends on a parameter again in each run, and "
        f"keep only numbers from outside the model ({user_line()})"
    )


def _refuse_shape() -> None:
    raise refusal("assignment to shape", "x = x.reshape(shape)")
