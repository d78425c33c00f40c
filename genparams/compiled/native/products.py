"""Products of matrices, as jobs of a plan.

A product of small matrices is written out entry by entry. Where one of the three lengths is long,
the product is a part of the loop over that length: an inner product in each iteration, or the
addition of a multiple of a row. So the rows of a tall matrix are read once for the elementwise
operations between its product with parameters and the gradient. Other products are calls of BLAS.
"""

from typing import Any

import numpy as np

from genparams.compiled.ir import Node
from genparams.compiled.native.entrywise import fill
from genparams.compiled.native.fuse import UNROLL, Lines, Names, Value, loop_axes
from genparams.compiled.native.scalar_text import converted
from genparams.compiled.native.values import Values
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
    return (
        max(len(a), len(b)) > 2,
        a[-2] if len(a) > 1 else 1,
        a[-1],
        b[-1] if len(b) > 1 else 1,
    )


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
    columns = b.shape[1] if len(b.shape) > 1 else 1
    rows = a.shape[0]
    around = (len(node.shape) - 1,) if turned else (0,)
    if rows <= UNROLL or k * columns > 64 * 8:
        return None
    if k <= UNROLL and b.size <= 64:

        def unrolled(lines: Lines, given: list[Names]) -> Names:
            row = _product_of_names(lines, given[0], given[1])[0]
            return _as_row(row, node, turned)

        return values.in_loop(node, [a, b], [(0,), (-1,)], around, unrolled)
    if columns > 4 or a.kind == "b" or b.kind == "b":
        return None
    views = [values.plan.stored(a), values.plan.stored(b)]
    level = values.plan.read_in_section(a, b)

    def inner(lines: Lines, given: list[Names]) -> Names:
        row = np.array([lines.plan.new_name() for _ in range(columns)], object)
        left = views[0].at(["i0", "j"])
        lines.body += [f"{name} = 0.0" for name in row]
        lines.body.append(f"for j in range({k}):")
        for column, name in enumerate(row):
            place = ["j", column] if len(b.shape) > 1 else ["j"]
            lines.body.append(f"  {name} += {left} * {views[1].at(place)}")
        return _as_row(row, node, turned)

    return values.in_loop(node, [], [], around, inner, level)


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
        return _added_in_names(values, node, [a, b], axes, (k,), (p, m))
    long = 0 if p > UNROLL else 1
    if max(p, m) <= UNROLL or min(p, m) > 4:
        return None
    return _added_in_memory(values, node, [a, b], axes, long, (p, m))


def _added_in_names(
    values: Values,
    node: Node,
    args: list[Value],
    axes: list[tuple[int, ...]],
    space: tuple[int, ...],
    lengths: tuple[int, int],
) -> Value:
    level = values.plan.read_in_loop([*zip(args, axes, strict=True)], space)
    totals = np.array([values.plan.new_name() for _ in range(lengths[0] * lengths[1])], object)
    totals = totals.reshape(lengths)

    def job(loop: Lines) -> None:
        left, right = [loop.load(v, {x: "i0"}) for v, (x,) in zip(args, axes, strict=True)]
        for (i, j), name in np.ndenumerate(totals):
            loop.before.append(f"{name} = 0.0")
            loop.body.append(f"{name} += {left.ravel()[i]} * {right.ravel()[j]}")

    values.plan.in_loop(level, space, job)
    return values.new(node, ready=level + 1, names=totals.reshape(node.shape))


def _added_in_memory(
    values: Values,
    node: Node,
    args: list[Value],
    axes: list[tuple[int, ...]],
    long: int,
    lengths: tuple[int, int],
) -> Value:
    """The result is long along one axis, and one of the arguments is read where it is stored."""
    space = (args[0].shape[-1],)
    factor = args[1 - long]
    row = values.plan.stored(args[long])
    before = values.plan.read_in_section(args[long])
    level = values.plan.read_in_loop([(factor, axes[1 - long])], space, before)
    found = values.new(node, ready=level + 1)
    found.view = values.plan.memory(node.shape, "f")
    fill(values, level, found, "0.0")
    to = found.view.through(lambda x: x.reshape(lengths))
    assert to is not None

    def job(loop: Lines) -> None:
        factors = loop.load(factor, {axes[1 - long][0]: "i0"}).ravel()
        loop.body.append(f"for j in range({lengths[long]}):")
        for i, name in enumerate(factors):
            target = to.at(["j", i] if long == 0 else [i, "j"])
            loop.body.append(
                f"  {target} += {name} * {row.at(['j', 'i0'] if long == 0 else ['i0', 'j'])}"
            )

    values.plan.in_loop(level, space, job)
    return found


# --- Stacks of matrices, and BLAS


def _stacked(values: Values, node: Node, a: Value, b: Value) -> Value:
    """Products of small matrices, one for each entry of a batch."""
    batch = node.shape[: max(len(a.shape), len(b.shape)) - 2]
    each = int(np.prod(node.shape[len(batch) :]))
    around = tuple([i for i in loop_axes((*batch, each)) if i < len(batch)])
    rest = np.prod([n for i, n in enumerate(batch) if i not in around])
    if not around or rest * each * a.shape[-1] > 8 * UNROLL or min(len(a.shape), len(b.shape)) < 2:
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
    view: View | None = values.plan.stored(x).through(lambda a: a.reshape(shape))
    text = view and view.matrix()
    if x.kind != "f" or text is None:
        raise CannotRecord("a matrix with gaps, or of whole numbers, for numba")
    return text


__all__ = ["converted", "product"]
