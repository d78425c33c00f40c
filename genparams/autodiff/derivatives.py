"""Derivatives of a function: gradients, Jacobians and Hessians.

A Jacobian J has an entry for each output (row) and each source (column). A backward pass computes
J^T c for a cotangent c of the outputs, which is one row where c is a unit vector. A `Batch` of unit
vectors gives all rows in one pass.

J^T c is linear in c. So the derivative of J^T c by c, at any c, is J^T, and the rows of J^T are the
columns of J: `columns` records the pass that computes J^T c on a tape of its own, and goes through
that tape backwards. It takes about the time of p forward passes for p columns, for any number of
outputs.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff.batch import Batch
from genparams.autodiff.tape import Box, Tape, np, operand, shape_of

AT_ONCE = 8
"""Cotangents in the first pass. This pass shows how large the cotangents of the tape are."""
LARGEST = 2**23
"""The most numbers in a cotangent of the later passes: 64 MiB in double precision."""


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
        return rows(tape, [gradient(f, source)], [source])


def jacobian(f: Callable[[Any], Any], x: Any) -> Any:
    """The derivatives at `x` of a function from a number or an array to a number or an array.

    Returns:
        d f(x)[i] / d x[j] at [i, j], of shape (*f(x).shape, *x.shape): by rows if f(x) has no more
        entries than x, else by columns.
    """
    x = operand(x)
    with Tape() as tape:
        source = tape.leaf(x)
        y = operand(f(source))
        if _size(y) <= _size(x):
            found = rows(tape, [y], [source])
        else:
            (by_source,) = columns(tape, [y], [source])
            found = np.transpose(np.reshape(by_source, (_size(x), _size(y))))
    found = np.reshape(found, (*shape_of(y), *shape_of(x)))
    return operand(found)


# --- Parts of a Jacobian


def rows(tape: Tape, outputs: Sequence[Any], sources: Sequence[Box], largest: int = LARGEST) -> Any:
    """The matrix of the derivatives of outputs by sources.

    Args:
        outputs: Boxes of the tape, of any shapes; any other value is a constant.
        sources: Boxes of the tape.
        largest: The most numbers in the cotangents of one value. A pass takes as many rows as fit,
            but at least 8. There are several passes if not all rows fit.

    Returns:
        A matrix with a row for each entry of the outputs and a column for each entry of the
        sources, both in order and flattened.
    """
    count, parts = sum(map(_size, outputs)), _by_source(tape, outputs, sources, largest)
    each = zip(parts, sources, strict=True)
    return np.concatenate([np.reshape(part, (count, _size(s))) for part, s in each], axis=1)


def columns(
    tape: Tape, outputs: Sequence[Any], sources: Sequence[Box], largest: int = LARGEST
) -> list[Any]:
    """The derivatives of outputs by each entry of the sources; fast where sources are few.

    Args:
        outputs, sources, largest: As in `rows`.

    Returns:
        For each output an array of shape (p, *output.shape), where p counts the entries of all
        sources, in order and flattened: entry k is the derivative by source entry k.

    Raises:
        TracedValueError: the outputs use a function whose gradient, given by hand, cannot be
            differentiated. `rows` does not differentiate gradients, and has no such error.
    """
    with Tape() as linear:
        cotangents = [linear.leaf(_numbers(shape_of(y))) for y in outputs]
        seeds = zip(outputs, cotangents, strict=True)
        found = tape.cotangents([(y, c) for y, c in seeds if _is_on(tape, y)])
        each = [(found[source.index], source) for source in sources]
        pulled = [_zeros(source.shape) if g is None else g for g, source in each]
        return _by_source(linear, pulled, cotangents, largest, _at_once(found, largest))


def _by_source(
    tape: Tape,
    outputs: Sequence[Any],
    sources: Sequence[Box],
    largest: int,
    step: int = AT_ONCE,
) -> list[Any]:
    """The derivatives of all entries of the outputs by each source, along a first axis.

    They are computed for a block of entries at once, so that no cotangent takes much memory.

    Args:
        step: The number of entries in the first block.
    """
    count, start = sum(map(_size, outputs)), 0
    blocks: list[list[Any]] = []
    while start < count or not blocks:
        stop = min(start + step, count)
        found = tape.cotangents(_unit_vectors(tape, outputs, start, stop))
        blocks.append([_dense(found[source.index], source, stop - start) for source in sources])
        if stop < count:
            step = _at_once(found, largest)
        start = stop
    if len(blocks) == 1:
        return blocks[0]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _at_once(cotangents: Sequence[Any], largest: int) -> int:
    """How many cotangents of these sizes a pass takes."""
    size = max((_size(g) for g in cotangents if g is not None), default=1)
    return max(AT_ONCE, largest // max(size, 1))


def _unit_vectors(
    tape: Tape, outputs: Sequence[Any], start: int, stop: int
) -> list[tuple[Box, Batch]]:
    """The outputs with the unit vectors of their entries from `start` to `stop`."""
    seeds, first, count = [], 0, stop - start
    vectors = np.eye(count, sum(map(_size, outputs)), start)
    for y in outputs:
        last = first + _size(y)
        if _is_on(tape, y) and first < stop and last > start:
            seeds.append((y, Batch(vectors[:, first:last].reshape(count, *shape_of(y)))))
        first = last
    return seeds


def _dense(g: Any, source: Box, count: int) -> Any:
    """The rows of a batch of gradients by a source; zeros where there is none."""
    if type(g) is Batch:
        return g.value
    return np.broadcast_to(0.0 if g is None else g, (count, *source.shape))


def _is_on(tape: Tape, value: Any) -> bool:
    return type(value) is Box and value.tape is tape


def _size(value: Any) -> int:
    return math.prod(shape_of(value))


def _numbers(shape: tuple[int, ...]) -> Any:
    """A cotangent without a zero, since some pullbacks leave work out for a cotangent of zeros."""
    found = np.cos(1.0 + np.arange(math.prod(shape)))
    return found.reshape(shape) if shape else float(found[0])


def _zeros(shape: tuple[int, ...]) -> Any:
    return np.zeros(shape) if shape else 0.0
