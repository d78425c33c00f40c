"""What a batch of cotangents can do, and the functions of numpy that take all of its rows at once.

Each rule works on the array that holds the rows. The first axis of this array counts the rows, so
that axis i of a cotangent is axis i + 1 of the array. `loop` applies functions that have no rule,
and calls with arguments that a rule does not name.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from string import ascii_letters
from typing import Any

import numpy
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from genparams.autodiff.batch import Batch, batches_in, loop, np
from genparams.program.recorded import indexed

MUCH_LARGER = 1000
"""A vector is checked for being a unit vector if the matrix has this many times as many numbers."""

# --- Axes


def _axis(x: Batch, axis: int) -> int:
    """An axis of a cotangent, among the axes of the rows."""
    return normalize_axis_index(axis, x.ndim) + 1


def _axes(x: Batch, axis: Any) -> tuple[int, ...]:
    """Axes of a cotangent, among the axes of the rows; None for all."""
    if axis is None:
        return tuple(range(1, x.ndim + 1))
    return tuple(i + 1 for i in normalize_axis_tuple(axis, x.ndim))


def _to_rank(x: Any, rank: int) -> Any:
    """The array of a batch with axes of length 1 after its first, for cotangents of that rank."""
    if type(x) is not Batch:
        return x
    count, *shape = x.value.shape
    if len(shape) == rank:
        return x.value
    return np.reshape(x.value, (count, *(1,) * (rank - len(shape)), *shape))


def _size(x: Any) -> int:
    return math.prod(np.shape(x))


def _rank(x: Any) -> int:
    return x.ndim if hasattr(x, "ndim") else np.ndim(x)


def elementwise(function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
    """The rows of a function that broadcasts its arguments."""
    rank = max(map(_rank, inputs))
    result = function(*[_to_rank(x, rank) for x in inputs])
    return tuple(map(Batch, result)) if isinstance(result, tuple) else Batch(result)


# --- Reductions and running sums


def _sum(a: Batch, axis: Any = None, keepdims: bool = False) -> Any:
    return Batch(np.sum(a.value, axis=_axes(a, axis), keepdims=keepdims))


def _mean(a: Batch, axis: Any = None, keepdims: bool = False) -> Any:
    return Batch(np.mean(a.value, axis=_axes(a, axis), keepdims=keepdims))


def _cumsum(a: Batch, axis: int | None = None) -> Any:
    a = _ravel(a) if axis is None else a
    return Batch(np.cumsum(a.value, axis=_axis(a, axis or 0)))


# --- Shapes


def _reshape(a: Batch, shape: Any) -> Any:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if -1 in shape:  # numpy does not infer a length in an array without entries
        others = math.prod(n for n in shape if n != -1)
        shape = tuple(a.size // max(others, 1) if n == -1 else n for n in shape)
    return Batch(np.reshape(a.value, (a.count, *shape)))


def _ravel(a: Batch) -> Any:
    return _reshape(a, (-1,))


def _transpose(a: Batch, axes: Any = None) -> Any:
    order = range(a.ndim, 0, -1) if axes is None else [_axis(a, i) for i in axes]
    return Batch(np.transpose(a.value, (0, *order)))


def _swapaxes(a: Batch, axis1: int, axis2: int) -> Any:
    return Batch(np.swapaxes(a.value, _axis(a, axis1), _axis(a, axis2)))


def _moveaxis(a: Batch, source: Any, destination: Any) -> Any:
    return Batch(np.moveaxis(a.value, _axes(a, source), _axes(a, destination)))


def _matrix_transpose(x: Batch) -> Any:
    return _swapaxes(x, -1, -2)


def _expand_dims(a: Batch, axis: Any) -> Any:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = normalize_axis_tuple(axes, a.ndim + len(axes))
    return Batch(np.expand_dims(a.value, tuple(i + 1 for i in axes)))


def _squeeze(a: Batch, axis: Any = None) -> Any:
    if axis is None:
        axis = tuple(i for i, n in enumerate(a.shape) if n == 1)
    return Batch(np.squeeze(a.value, axis=_axes(a, axis)))


def _broadcast_to(array: Batch, shape: Any) -> Any:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    return Batch(np.broadcast_to(_to_rank(array, len(shape)), (array.count, *shape)))


def _flip(m: Batch, axis: Any = None) -> Any:
    return Batch(np.flip(m.value, axis=_axes(m, axis)))


def _diagonal(a: Batch, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return Batch(np.diagonal(a.value, offset, _axis(a, axis1), _axis(a, axis2)))


def _tril(m: Batch, k: int = 0) -> Any:
    return Batch(np.tril(m.value, k)) if m.ndim > 1 else loop(np.tril, (m, k), {})


def _triu(m: Batch, k: int = 0) -> Any:
    return Batch(np.triu(m.value, k)) if m.ndim > 1 else loop(np.triu, (m, k), {})


_BASIC = (int, slice)


def is_basic(index: Any) -> bool:
    """Whether an index is made of whole numbers, slices, None and an ellipsis alone."""
    keys = index if isinstance(index, tuple) else (index,)
    return all(
        type(k) in _BASIC or k is None or k is Ellipsis or isinstance(k, np.integer) for k in keys
    )


def _getitem(a: Batch, index: Any) -> Any:
    if is_basic(index):
        keys = index if isinstance(index, tuple) else (index,)
        return Batch(a.value[(slice(None), *keys)])
    places = indexed(np.arange(a.size).reshape(a.shape), index)
    return Batch(indexed(_ravel(a).value, (slice(None), places)))


# --- Several arrays


def _with_rows(parts: Sequence[Any]) -> list[Any]:
    """Arrays and batches, all with rows."""
    count = next(batches_in(parts)).count
    return [
        p.value if type(p) is Batch else np.broadcast_to(p, (count, *np.shape(p))) for p in parts
    ]


def _concatenate(arrays: Any, axis: int | None = 0) -> Any:
    if axis is None:
        return loop(np.concatenate, (arrays, axis), {})
    parts = _with_rows(arrays)
    return Batch(np.concatenate(parts, axis=normalize_axis_index(axis, parts[0].ndim - 1) + 1))


def _stack(arrays: Any, axis: int = 0) -> Any:
    parts = _with_rows(arrays)
    return Batch(np.stack(parts, axis=normalize_axis_index(axis, parts[0].ndim) + 1))


def _where(condition: Any, x: Any, y: Any) -> Any:
    return elementwise(np.where, (condition, x, y))


# --- Products


def matmul(a: Any, b: Any) -> Any:
    """`a @ b`. A product with a plain matrix is one product of matrices for all rows."""
    if type(a) is not Batch and _rank(a) <= 2:
        return _times_right(a, b)
    if type(b) is not Batch and _rank(b) <= 2:
        return _times_left(a, b)
    row, column = _rank(a) == 1, _rank(b) == 1
    found = elementwise(np.matmul, (_expand(a, 0) if row else a, _expand(b, -1) if column else b))
    return _getitem(found, (..., *(0,) * row, *(slice(None),) * (not column), *(0,) * column))


def _times_left(a: Batch, b: Any) -> Batch:
    """A batch times a plain matrix or vector, as one product of matrices."""
    *shape, n = a.value.shape
    first = _unit_vectors_from(a.value) if _size(b) > MUCH_LARGER * a.size else None
    if first is not None:  # as in a Hessian: rows of b, without a product
        return Batch(b[first : first + shape[0]])
    found = np.matmul(np.reshape(a.value, (math.prod(shape), n)), b)
    return Batch(np.reshape(found, (*shape, *b.shape[1:])))


def _unit_vectors_from(rows: Any) -> int | None:
    """The place of the first 1, if the rows are successive unit vectors; else None."""
    if type(rows) is not numpy.ndarray or rows.ndim != 2 or not rows.size:
        return None
    first = int(np.argmax(rows[0]))
    inside = first + rows.shape[0] <= rows.shape[1]
    return first if inside and np.array_equal(rows, np.eye(*rows.shape, first)) else None


def _times_right(a: Any, b: Batch) -> Batch:
    """A plain matrix or vector times a batch, by the transposes."""
    if b.ndim == 1:
        return _times_left(b, np.transpose(a))
    if b.shape[-1] == 1:
        return _expand_dims(_times_left(_getitem(b, (..., 0)), np.transpose(a)), -1)
    found = _times_left(_swapaxes(b, -1, -2), np.transpose(a))
    return found if _rank(a) == 1 else _swapaxes(found, -1, -2)


def _expand(a: Any, axis: int) -> Any:
    return _expand_dims(a, axis) if type(a) is Batch else np.expand_dims(a, axis)


def _dot(a: Any, b: Any) -> Any:
    if not _rank(a) or not _rank(b):
        return elementwise(np.multiply, (a, b))
    return matmul(a, b) if _rank(a) <= 2 >= _rank(b) else loop(np.dot, (a, b), {})


def _einsum(subscripts: str, *operands: Any) -> Any:
    """An einsum with one more index, which counts the rows."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    if not arrow:
        return loop(np.einsum, (subscripts, *operands), {})
    letter = next(c for c in ascii_letters if c not in subscripts)
    each = zip(inputs.split(","), operands, strict=True)
    terms = ",".join(letter + s if type(v) is Batch else s for s, v in each)
    values = [v.value if type(v) is Batch else v for v in operands]
    return Batch(np.einsum(f"{terms}->{letter}{output}", *values, optimize=len(values) > 1))


def _solve(a: Any, b: Any) -> Any:
    """x where a x = b. For one plain matrix `a` the columns of all rows are solved at once."""
    if type(a) is Batch or _rank(a) > 2 or b.ndim != 2:
        return loop(np.linalg.solve, (a, b), {})
    n, k = b.shape
    columns = np.reshape(np.moveaxis(b.value, 0, 1), (n, b.count * k))
    found = np.reshape(np.linalg.solve(a, columns), (n, b.count, k))
    return Batch(np.moveaxis(found, 1, 0))


# --- The tables

ONE: dict[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.mean: _mean,
    np.cumsum: _cumsum,
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.matrix_transpose: _matrix_transpose,
    np.linalg.matrix_transpose: _matrix_transpose,
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.broadcast_to: _broadcast_to,
    np.flip: _flip,
    np.diagonal: _diagonal,
    np.tril: _tril,
    np.triu: _triu,
    np.copy: lambda a: Batch(np.copy(a.value)),
    np.zeros_like: lambda a: Batch(np.zeros_like(a.value)),
    np.ones_like: lambda a: Batch(np.ones_like(a.value)),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.iscomplexobj: lambda x: np.iscomplexobj(x.value),
    np.isrealobj: lambda x: np.isrealobj(x.value),
    np.result_type: lambda a: np.result_type(a.value),
}
"""Rules for functions whose first argument is the batch."""

SEVERAL: dict[Any, Callable[..., Any]] = {
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.where: _where,
    np.dot: _dot,
    np.einsum: _einsum,
    np.linalg.solve: _solve,
}
"""Rules for functions of which any argument may be a batch."""


def _takes(rule: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a rule names all of these arguments."""
    code = rule.__code__
    most = len(args) if code.co_flags & 4 else code.co_argcount  # 4: any number of arguments
    return len(args) <= most and kwargs.keys() <= set(code.co_varnames[: code.co_argcount])


# --- What a batch can do

_METHODS = ("copy", "cumsum", "diagonal", "dot", "max", "mean", "min", "prod", "ravel", "repeat")
_METHODS += ("squeeze", "std", "sum", "swapaxes", "take", "trace", "var", "conj", "all", "any")


class _Rows:
    """The methods of a batch."""

    __array_priority__ = 2000.0

    value: Any
    shape: tuple[int, ...]

    T = property(lambda self: _transpose(self))
    mT = property(lambda self: _matrix_transpose(self))  # noqa: N815  # numpy's name

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "at" or "out" in kwargs:
            raise TypeError(f"numpy.{ufunc.__name__} does not write many cotangents into one array")
        if method == "__call__" and not kwargs:
            if ufunc is np.matmul:
                return matmul(*inputs)
            if ufunc.signature is None:
                return elementwise(ufunc, inputs)
        return loop(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
        rule = ONE.get(func) if args and type(args[0]) is Batch else SEVERAL.get(func)
        if rule is not None and _takes(rule, args, kwargs):
            return rule(*args, **kwargs)
        return loop(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("many cotangents are not one array; write functions of numpy")

    def __bool__(self) -> bool:
        raise TypeError("many cotangents have no single truth value; write np.where")

    __float__ = __int__ = __index__ = __bool__
    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return _getitem(self, index)  # type: ignore[arg-type]

    def __matmul__(self, other: Any) -> Any:
        return np.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return np.matmul(other, self)

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(f"many cotangents have no attribute {name!r}")
        function = getattr(np, name)
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self) -> Any:
        return _ravel(self)  # type: ignore[arg-type]

    def astype(self, dtype: Any) -> Any:
        return Batch(self.value.astype(dtype))


def _operator(ufunc: numpy.ufunc, swap: bool = False) -> Callable[[Any, Any], Any]:
    def apply(self: Any, other: Any) -> Any:
        x, kind = self.value, type(other)
        if kind is Batch and len(x.shape) == len(other.value.shape):
            return Batch(ufunc(other.value, x) if swap else ufunc(x, other.value))
        if kind is float or (kind is numpy.ndarray and len(x.shape) == other.ndim + 1):
            return Batch(ufunc(other, x) if swap else ufunc(x, other))
        return elementwise(ufunc, (other, self) if swap else (self, other))

    return apply


_OPERATORS = {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide},
    **{"pow": np.power, "mod": np.remainder, "floordiv": np.floor_divide},
    **{"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
    **{"eq": np.equal, "ne": np.not_equal, "and": np.bitwise_and, "or": np.bitwise_or},
}
for _name, _ufunc in _OPERATORS.items():
    setattr(Batch, f"__{_name}__", _operator(_ufunc))
    setattr(Batch, f"__r{_name}__", _operator(_ufunc, swap=True))
for _name, _ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Batch, f"__{_name}__", lambda self, ufunc=_ufunc: Batch(ufunc(self.value)))
Batch.__pos__ = lambda self: self  # type: ignore[attr-defined]
_OF_CLASSES = {"__annotations__", "__dict__", "__doc__", "__module__", "__weakref__", "value"}
for _name, _value in vars(_Rows).items():
    if _name not in _OF_CLASSES | {"shape"}:
        setattr(Batch, _name, _value)
