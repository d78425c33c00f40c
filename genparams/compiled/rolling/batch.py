"""Operations on all iterations of a loop at once: one operation on arrays with one more axis.

`Rows(a)` is an argument with a value for each iteration, along the first axis of `a`. Any other
argument is the same in all iterations.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import Builder, is_elementwise, shape_of
from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.shapes import REDUCTIONS, axes_of
from genparams.compiled.algebra.totals import inner
from genparams.compiled.rolling.stream import CannotRoll, Rows
from genparams.compiled.rolling.sums import added
from genparams.program.recorded import as_type

Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations for `count` iterations at once.

    Args:
        shape, dtype: Of the result in one iteration.
    """

    builder: Builder
    count: int
    shape: tuple[int, ...]
    dtype: Any

    def make(self, op: Any, args: Sequence[Any], options: Options) -> Rows:
        """The operation on rows.

        Raises:
            CannotRoll: it is not known for rows.
        """
        if is_elementwise(op) and not options:
            form: Form = _elementwise
        elif op in REDUCTIONS:
            form = _reduction
        else:
            form = _FORMS.get(op, _unknown)
        made = form(self, op, args, dict(options))
        if shape_of(made) != (self.count, *self.shape):
            made = self.builder.broadcast(made, (self.count, *self.shape))
        return Rows(made)

    def operation(self, op: Any, *args: Any, **options: Any) -> Any:
        """An operation whose result has the shape of all iterations."""
        return self.builder.make(
            op, args, tuple(sorted(options.items())), (self.count, *self.shape), self.dtype
        )

    def spread(self, a: Any) -> Any:
        """An argument with the axis of iterations."""
        if isinstance(a, Rows):
            return a.value
        return self.builder.broadcast(a, (self.count, *shape_of(a)))

    def with_axes(self, a: Any, rank: int) -> Any:
        """An argument whose values have so many axes, as broadcasting adds them."""
        if not isinstance(a, Rows) or len(a.shape) == rank:
            return a.value if isinstance(a, Rows) else a
        new = (self.count, *(1,) * (rank - len(a.shape)), *a.shape)
        return self.builder.make(np.reshape, (a.value, new))


Form = Callable[[Batch, Any, Sequence[Any], dict[str, Any]], Any]


def _unknown(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    raise CannotRoll(f"{getattr(op, '__name__', op)} for all iterations at once")


def _elementwise(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    rank = len(b.shape)
    return b.builder.make(op, [b.with_axes(a, rank) for a in args])


def _clip(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    if options:
        _unknown(b, op, args, options)
    return b.operation(op, *[b.with_axes(a, len(b.shape)) for a in args])


def _reduction(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    (x, *axis) = args
    axes = axes_of(options.pop("axis", axis[0] if axis else None), len(x.shape))
    if not axes:
        return b.builder.make(op, (b.builder.make(np.reshape, (x.value, (b.count, *x.shape, 1))),),
                              (("axis", len(x.shape) + 1), *options.items()))  # fmt: skip
    options["axis"] = tuple([a + 1 for a in axes])
    return b.builder.make(op, (x.value,), tuple(sorted(options.items())))


def _reshaped(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Functions that give the same numbers in the same order in another shape."""
    if options.get("order", "C") != "C":
        _unknown(b, op, args, options)
    return b.operation(np.reshape, args[0].value, (b.count, *b.shape))


def _transpose(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    rank = len(b.shape)
    axes = options.get("axes", args[1] if len(args) > 1 else None)
    axes = range(rank)[::-1] if axes is None else [a % rank for a in axes]
    return b.operation(np.transpose, args[0].value, (0, *[a + 1 for a in axes]))


def _swapaxes(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    rank = len(b.shape)
    i, j = (a % rank + 1 for a in args[1:])
    return b.operation(np.swapaxes, args[0].value, i, j)


def _broadcast_to(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    return b.builder.broadcast(b.with_axes(args[0], len(b.shape)), (b.count, *b.shape))


def _joined(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """`stack` and `concatenate`."""
    axis = options.get("axis", args[1] if len(args) > 1 else 0)
    parts = tuple([b.spread(a) for a in args[0]])
    return b.operation(op, parts, axis=axis % len(b.shape) + 1)


def _inner(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """The sum of products of all entries."""
    one = Batch(b.builder, b.count, shape_of_one(args[0]), b.dtype)
    product = _elementwise(one, np.multiply, args, {})
    axes = tuple(range(1, len(shape_of(product))))
    return b.builder.make(np.sum, (product,), (("axis", axes),)) if axes else product


def shape_of_one(a: Any) -> tuple[int, ...]:
    """The shape of an argument in one iteration."""
    return a.shape if isinstance(a, Rows) else shape_of(a)


def _added(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    parts = [b.with_axes(a, len(b.shape)) for a in args]
    return reduce(lambda x, y: b.builder.make(np.add, (x, y)), parts)


def _array(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """An array of numbers."""
    (numbers,) = args
    if options or any(map(shape_of_one, numbers)):
        _unknown(b, op, args, options)
    rows = [a.value if isinstance(a, Rows) else None for a in numbers]
    if all(isinstance(x, Node) and x.op is np.array for x in rows):
        each = zip(*(x.args[0] for x in rows), strict=True)  # type: ignore[union-attr]
        flat = tuple([x for row in each for x in row])
        made = b.builder.make(np.array, (flat,), (), (len(flat),), b.dtype)
        return b.operation(np.reshape, made, (b.count, *b.shape))
    parts = tuple([b.spread(a) for a in numbers])
    return b.operation(np.stack, parts, axis=1)


def _as_type(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    return b.operation(op, args[0].value, args[1])


def _alone(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Functions of matrices that take stacks of matrices."""
    if len(args) > 1 or options:
        _unknown(b, op, args, options)
    return b.operation(op, args[0].value)


# --- Products


def _matmul(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    x, y = args
    ranks = len(shape_of(x)), len(shape_of(y))
    if options or max(ranks) > 2 or (op is np.matmul and not all(ranks)):
        _unknown(b, op, args, options)
    if not all(ranks):
        return _elementwise(b, np.multiply, args, {})
    make = b.builder.make
    if ranks == (1, 1) and isinstance(x, Rows) and isinstance(y, Rows):
        return make(np.sum, (make(np.multiply, (x.value, y.value)),), (("axis", 1),))
    if isinstance(y, Rows) and ranks[1] == 1 and not isinstance(x, Rows):
        return make(np.matmul, (y.value, _turned(make, x)))
    if isinstance(y, Rows) and ranks[1] == 1:  # rows of matrices times rows of vectors
        column = make(np.reshape, (y.value, (b.count, *y.shape, 1)))
        return b.operation(np.reshape, make(np.matmul, (x.value, column)), (b.count, *b.shape))
    if isinstance(x, Rows) and ranks[0] == 1 and isinstance(y, Rows):
        row = make(np.reshape, (x.value, (b.count, 1, *x.shape)))
        return b.operation(np.reshape, make(np.matmul, (row, y.value)), (b.count, *b.shape))
    return make(np.matmul, [a.value if isinstance(a, Rows) else a for a in args])


def _turned(make: Any, a: Any) -> Any:
    return make(np.transpose, (a,)) if len(shape_of(a)) > 1 else a


def _outer(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    x, y = args
    if options or len(shape_of(x)) != 1 or len(shape_of(y)) != 1:
        _unknown(b, op, args, options)
    lead = (b.count,) if isinstance(x, Rows) else ()
    inner = x.value if isinstance(x, Rows) else x
    column = b.builder.make(np.reshape, (inner, (*lead, b.shape[0], 1)))
    x = Rows(column) if isinstance(x, Rows) else column
    return _elementwise(b, np.multiply, (x, y), {})


# --- Indices


def _getitem(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    x, index = args
    keys = index if type(index) is tuple else (index,)
    if not any(isinstance(k, Rows) for k in keys):
        return b.operation(op, x.value, every(keys))
    if isinstance(x, Rows):
        return b.operation(op, x.value, (np.arange(b.count), *_row_keys(keys)))
    if len(keys) == 1:
        return taken(b.builder, x, keys[0].value)
    last = max(i for i, k in enumerate(keys) if isinstance(k, Rows))
    if any(_is_list(k) for k in keys[last + 1 :]):
        raise CannotRoll("several lists of indices")
    return b.operation(op, x, (*_row_keys(keys[: last + 1]), *keys[last + 1 :]))


def _row_keys(keys: Sequence[Any]) -> list[Any]:
    """Single indices, of each iteration or the same for all."""
    if not all(type(k) is int or (isinstance(k, Rows) and not k.shape) for k in keys):
        raise CannotRoll("indices behind a slice")
    return [k.value if isinstance(k, Rows) else k for k in keys]


def taken(builder: Builder, x: Any, index: Any) -> Any:
    """`x[index]` for an array of whole numbers; a slice where the numbers are equally far apart."""
    if isinstance(index, np.ndarray) and index.ndim == 1 and len(index) > 1:
        step = int(index[1] - index[0])
        if step and np.all(np.diff(index) == step) and min(index[0], index[-1]) >= 0:
            first, end = int(index[0]), int(index[-1]) + step
            if (first, end, step) == (0, shape_of(x)[0], 1):
                return x
            return builder.make(
                operator.getitem, (x, slice(first, end if end >= 0 else None, step))
            )
    if isinstance(x, Node) and x.op is operator.getitem and isinstance(index, np.ndarray):
        base, inner = x.args
        if isinstance(inner, np.ndarray) and inner.ndim == 1:
            return taken(builder, base, inner[index])
    shape = (*shape_of(index), *shape_of(x)[1:])
    dtype = x.dtype if hasattr(x, "dtype") else None
    return builder.make(operator.getitem, (x, index), (), shape, dtype)


def every(keys: Sequence[Any]) -> tuple[Any, ...]:
    """The index that takes, of each row, what an index takes of one value.

    Raises:
        CannotRoll: numpy would put the axes into another order.
    """
    if any(_is_list(k) for k in keys):
        advanced = [_is_list(k) or type(k) is int for k in keys]
        at = [i for i, is_advanced in enumerate(advanced) if is_advanced]
        if at[-1] - at[0] + 1 != len(at):
            raise CannotRoll("indices on both sides of a slice")
    return (slice(None), *keys)


def _is_list(k: Any) -> bool:
    return not (k is None or k is Ellipsis or type(k) in (int, slice))


def _scatter(b: Batch, op: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
    g, index, shape = args
    keys = index if type(index) is tuple else (index,)
    if len(keys) == 1 and isinstance(keys[0], Rows) and len(keys[0].shape) == 1:
        keys = (np.arange(b.count)[:, None], keys[0].value)
    elif any(isinstance(k, Rows) for k in keys):
        keys = (np.arange(b.count), *_row_keys(keys))
    else:
        keys = every(keys)
    return b.operation(op, b.spread(g), keys, (b.count, *shape))


_FORMS: dict[Any, Form] = {
    np.reshape: _reshaped,
    np.ravel: _reshaped,
    np.expand_dims: _reshaped,
    np.squeeze: _reshaped,
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.broadcast_to: _broadcast_to,
    np.stack: _joined,
    np.concatenate: _joined,
    np.clip: _clip,
    np.array: _array,
    np.matmul: _matmul,
    np.dot: _matmul,
    np.outer: _outer,
    np.linalg.inv: _alone,
    np.linalg.det: _alone,
    np.linalg.cholesky: _alone,
    operator.getitem: _getitem,
    scatter: _scatter,
    as_type: _as_type,
    inner: _inner,
    added: _added,
}
