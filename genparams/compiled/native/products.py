"""Products of matrices, as jobs of a plan.

A product of small matrices is written out entry by entry. Where one of the three lengths is long,
the product is a part of the loop over that length: an inner product in each iteration, or the
addition of a multiple of a row. So the rows of a tall matrix are read once for the elementwise
operations between its product with parameters and the gradient. Other products are calls of BLAS.
"""

import math
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.native.assembling import in_memory
from genparams.compiled.native.entrywise import fill
from genparams.compiled.native.fuse import BLOCK, SMALL, UNROLL, Lines, Names, Value, loop_axes
from genparams.compiled.native.values import Values, loaded
from genparams.compiled.native.views import View
from genparams.errors import CannotRecord

_MULTIPLICATIONS = 512
"""The most multiplications that are written out."""


def product(values: Values, node: Node) -> Value:
    """`np.matmul`."""
    a, b = [values.of(x) for x in node.args]
    batch, p, k, m = _lengths(a.shape, b.shape)
    if max(a.size, b.size, int(np.prod(node.shape))) <= 64 and p * k * m <= _MULTIPLICATIONS:
        return values.in_section(node, [a, b], _written_out(node))
    if batch:
        return _stacked(values, node, a, b)
    if node.dtype != np.dtype(float) or "f" not in (a.kind, b.kind):
        raise CannotRecord("a matrix product of whole numbers, for numba")
    wide = m > 1 and p <= UNROLL and m >= k  # computed column by column: of the transposes
    left, right = (_turned(values, b), _turned(values, a)) if wide else (a, b)
    rows, columns = (m, p) if wide else (p, m)
    found = None
    if _contracts(values, left, right, rows, k, columns):
        found = _added_up(values, node, a, b, k)
    elif columns <= UNROLL and rows > 1:
        found = _row_by_row(values, node, left, right, k, wide)
    return found or _by_blas(values, node, a, b, (p, k, m))


def _lengths(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[bool, int, int, int]:
    """Whether there is a stack of matrices, and the lengths: rows, inner, columns."""
    *_, p, k = (1, *a)
    m = b[-1] if len(b) > 1 else 1
    return max(len(a), len(b)) > 2, p, k, m


def _turned(values: Values, x: Value) -> Value:
    """The transpose of a matrix."""
    if len(x.shape) < 2:
        return x
    found = values.seen(x, np.transpose, x.shape[::-1])
    assert found is not None
    return found


def _written_out(node: Node) -> Any:
    def compute(lines: Lines, given: list[Names]) -> Names:
        return _product_of_names(lines, *given).reshape(node.shape)

    return compute


def _product_of_names(lines: Lines, a: Names, b: Names) -> Names:
    a = a[None] if a.ndim == 1 else a
    b = b[:, None] if b.ndim == 1 else b
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, stack + x.shape[-2:]) for x in (a, b))
    found = np.empty((*stack, a.shape[-2], b.shape[-1]), object)
    for *s, i, j in np.ndindex(found.shape):
        pairs = zip(a[(*s, i)], b[(*s, slice(None), j)], strict=True)
        found[(*s, i, j)] = lines.name(" + ".join(f"{x} * {y}" for x, y in pairs))
    return found


def _contracts(values: Values, a: Value, b: Value, p: int, k: int, m: int) -> bool:
    """Whether the loop runs over the inner length, and not over the rows of the first matrix."""
    if len(a.shape) < 2 or p == 1:
        return True
    for x, inner in ((a, 1), (b, 0)):
        if x.space is not None:
            return inner in x.axes
    if a.view is None or k <= UNROLL or p <= UNROLL:
        return k > p
    return a.view.strides[1] > a.view.strides[0]


# --- A loop over rows: an inner product in each iteration


def _row_by_row(
    values: Values, node: Node, a: Value, b: Value, k: int, turned: bool
) -> Value | None:
    """Each iteration computes a row of the product; `turned` where it is the transpose's."""
    around = (len(node.shape) - 1,) if turned else (0,)
    if a.shape[0] <= UNROLL:
        return None
    if k <= UNROLL and b.size <= 64:

        def unrolled(lines: Lines, given: list[Names]) -> Names:
            row = _product_of_names(lines, given[0], given[1])[0]
            return _as_row(row, node, turned)

        return values.in_loop(node, [a, b], [(0,), (-1,)], around, unrolled)
    return _by_blocks_of_rows(values, node, a, b, k, turned)


def _by_blocks_of_rows(
    values: Values, node: Node, a: Value, b: Value, k: int, turned: bool
) -> Value | None:
    """The loop runs in blocks; BLAS multiplies the rows of a block before its iterations."""
    columns = b.shape[1] if len(b.shape) > 1 else 1
    left, right = values.plan.stored(a), values.plan.stored(b).matrix()
    if left.strides != (k, 1) or right is None or (a.kind, b.kind) != ("f", "f"):
        return None
    room = values.plan.memory((BLOCK, columns), "f")

    def block(loop: Lines, given: list[Names]) -> Names:
        out = _block(room, columns if len(b.shape) > 1 else 0, "0")
        loop.block_before.append(f"np.dot({_block(left, k)}, {right}, {out})")
        places = [["(i0 - start)", column] for column in range(columns)]
        return _as_row(np.array([loop.name(room.at(p)) for p in places], object), node, turned)

    around = (len(node.shape) - 1,) if turned else (0,)
    return values.in_loop(node, [], [], around, block, values.plan.read_in_section(a, b))


def _block(view: View, length: int, start: str = "start") -> str:
    """The text of the rows of a block, of which each has a length; 0 for a vector."""
    width = max(length, 1)
    first = f"{view.first} + {width} * {start}"
    rows = f"{view.base}[{first}:{first} + {width} * (stop - start)]"
    return f"{rows}.reshape((stop - start, {length}))" if length else rows


def _as_row(row: Names, node: Node, turned: bool) -> Names:
    if len(node.shape) == 1:
        return row[:1]
    return row.reshape(-1, 1) if turned else row.reshape(1, -1)


# --- A loop over the inner length: the addition of a multiple of a row


def _added_up(values: Values, node: Node, a: Value, b: Value, k: int) -> Value | None:
    """Each iteration adds the product of a column and a row."""
    p = a.shape[0] if len(a.shape) > 1 else 1
    m = b.shape[1] if len(b.shape) > 1 else 1
    if k <= UNROLL or min(p, m) > UNROLL:
        return None
    axes = [(len(a.shape) - 1,), (0,)]
    if p * m <= UNROLL:
        return _added_in_names(values, node, [a, b], axes, k)
    long = 0 if p > UNROLL else 1
    return _added_in_memory(values, node, [a, b], axes, long) if min(p, m) == 1 else None


def _added_in_names(
    values: Values, node: Node, args: list[Value], axes: list[tuple[int, ...]], length: int
) -> Value:
    level = values.plan.read_in_loop([*zip(args, axes, strict=True)], (length,))
    totals = np.array([values.plan.new_name() for _ in range(math.prod(node.shape))], object)

    def job(loop: Lines) -> None:
        terms = _product_of_names(loop, *loaded(loop, args, axes)).ravel()
        for name, term in zip(totals, terms, strict=True):
            loop.before.append(f"{name} = 0.0")
            loop.body.append(f"{name} += {term}")

    values.plan.in_loop(level, (length,), job)
    return values.new(node, ready=level + 1, names=totals.reshape(node.shape))


def _added_in_memory(
    values: Values, node: Node, args: list[Value], axes: list[tuple[int, ...]], long: int
) -> Value | None:
    """The loop runs in blocks; BLAS multiplies a block of rows by what its iterations computed.

    Args:
        long: Which of the arguments has the rows; the other one is a vector.
    """
    rows, factor = args[long], args[1 - long]
    length, width = factor.size, rows.size // factor.size
    view = values.plan.stored(rows)
    strides = view.strides if long else view.strides[::-1]
    if strides != (width, 1) or (rows.kind, factor.kind) != ("f", "f"):
        return None
    before = values.plan.read_in_section(rows)
    level = values.plan.read_in_loop([(factor, axes[1 - long])], (length,), before)
    found = values.new(node, ready=level + 1)
    to = found.view = values.plan.memory(node.shape, "f")
    room, part = values.plan.memory((BLOCK,), "f"), values.plan.memory((width,), "f")
    fill(values, level, found, "0.0")

    def job(loop: Lines) -> None:
        (name,) = loop.load(factor, {axes[1 - long][0]: "i0"}).ravel()
        loop.body.append(f"{room.at(['(i0 - start)'])} = {name}")
        out = f"{part.base}[{part.first}:{part.first + width}]"
        loop.block_after += [
            f"np.dot({_block(room, 0, '0')}, {_block(view, width)}, {out})",
            f"for j in range({width}): w[{to.first} + j] += {part.at(['j'])}",
        ]

    values.plan.in_loop(level, (length,), job)
    return found


# --- Stacks of matrices, and BLAS


def _stacked(values: Values, node: Node, a: Value, b: Value) -> Value:
    """Products of small matrices, one for each entry of a batch."""
    batch = node.shape[: max(len(a.shape), len(b.shape)) - 2]
    are_matrices = min(len(a.shape), len(b.shape)) > 1
    if are_matrices and a.shape[-1] > UNROLL and math.prod(node.shape) <= SMALL:
        axes = [(len(a.shape) - 1,), (len(b.shape) - 2,)]
        return _added_in_names(values, node, [a, b], axes, a.shape[-1])
    each = int(np.prod(node.shape[len(batch) :]))
    around = tuple([i for i in loop_axes((*batch, each)) if i < len(batch)])
    rest = np.prod([n for i, n in enumerate(batch) if i not in around])
    if not around or rest * each * a.shape[-1] > 8 * UNROLL or not are_matrices:
        raise CannotRecord("a product of stacks of matrices of these shapes, for numba")
    arg_axes = []
    for v in (a, b):
        shift = len(batch) + 2 - len(v.shape)
        arg_axes.append(
            tuple([i - shift if i >= shift and v.shape[i - shift] > 1 else -1 for i in around])
        )
    return values.in_loop(
        node, [a, b], arg_axes, around, lambda lines, g: _product_of_names(lines, *g)
    )


def _by_blas(
    values: Values, node: Node, a: Value, b: Value, lengths: tuple[int, int, int]
) -> Value:
    p, k, m = lengths
    left, right = [_matrix(values, x, to) for x, to in ((a, (p, k)), (b, (k, m)))]
    level = values.plan.read_in_section(a, b)
    found = values.new(node, ready=level)
    found.view = values.plan.memory(node.shape, "f")
    out = found.view.through(lambda x: x.reshape((p, m)))
    assert out is not None
    values.plan.in_section(
        level,
        lambda section: section.body.append(f"np.dot({left}, {right}, {out.matrix()})"),
    )
    return found


def _matrix(values: Values, x: Value, shape: tuple[int, int]) -> str:
    """The text of a matrix that BLAS reads."""
    if x.kind != "f":
        raise CannotRecord("a matrix product of whole numbers, for numba")
    view = values.plan.stored(x).through(lambda a: a.reshape(shape))
    text = view and view.matrix()
    if text is None:
        copy = in_memory(values, x)
        x.ready, x.view = copy.ready, copy.view
        return _matrix(values, x, shape)
    return text
