"""The shape and dtype of the result of an operation, found without computing it."""

import operator
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.errors import CannotRecord

REDUCTIONS = {np.sum, np.max, np.min, np.prod, np.all, np.any, np.mean}
"""Functions `f(a, axis=..., keepdims=...)`."""
_REARRANGING = {
    np.reshape, np.transpose, np.ravel, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze,
    np.diagonal, np.flip, np.stack, np.concatenate, operator.getitem,
}  # fmt: skip


def normal_reduction(
    op: Any, args: tuple[Any, ...], options: tuple[Any, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arguments and options of a reduction, of which equal ones are written equally.

    The axes are a tuple of numbers from 0 on, without the option if they are all axes.
    """
    given = dict(options)
    if len(args) > 1:
        args, given = args[:1], {"axis": args[1], **given}
    x: Any = next(iter(args))
    rank = len(x.shape if isinstance(x, Node) else np.shape(x))
    axes, kept = axes_of(given.pop("axis", None), rank), bool(given.pop("keepdims", False))
    given = {k: v for k, v in given.items() if not (v is None or v is np._NoValue)}
    if len(axes) < rank or (kept and rank):
        given["axis"] = axes
    if kept and rank:
        given["keepdims"] = True
    return args, tuple(sorted(given.items()))


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """The axes that an argument `axis` names, in order."""
    if axis is None:
        return tuple(range(rank))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(a % rank for a in map(operator.index, axes))) if rank else ()


def reduced_shape(shape: tuple[int, ...], options: tuple[Any, ...]) -> tuple[int, ...]:
    given = dict(options)
    axes = axes_of(given.get("axis"), len(shape))
    if given.get("keepdims"):
        return tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def shape_and_dtype(
    op: Any, args: tuple[Any, ...], options: tuple[Any, ...]
) -> tuple[tuple[int, ...], Any]:
    """The shape and dtype of a reduction, a matrix product or a rearrangement."""
    if op in REDUCTIONS:
        x = _like(args[0])
        one = np.zeros((1,) * x.ndim, x.dtype)
        return reduced_shape(x.shape, options), op(one, **dict(options)).dtype
    if op is np.matmul:
        return _product_shape(*map(_like, args))
    if op is np.broadcast_to:
        return tuple(args[1]), _like(args[0]).dtype
    if op in _REARRANGING:
        with np.errstate(all="ignore"):
            result = op(*_as_empty(args), **dict(options))
        return np.shape(result), np.asarray(result).dtype
    name = getattr(op, "__name__", op)
    raise CannotRecord(f"the shape of the result of {name} has to be given")


def _product_shape(a: np.ndarray, b: np.ndarray) -> tuple[tuple[int, ...], np.dtype]:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = a.shape[-2:-1] if a.ndim > 1 else ()
    columns = b.shape[-1:] if b.ndim > 1 else ()
    return batch + rows + columns, np.result_type(a.dtype, b.dtype)


def _like(a: Any) -> np.ndarray:
    """An array of that shape and dtype that takes no memory."""
    if isinstance(a, Node):
        return np.broadcast_to(np.zeros((), a.dtype), a.shape)
    return np.asarray(a)


def _as_empty(a: Any) -> Any:
    if type(a) is tuple:
        return tuple(map(_as_empty, a))
    if isinstance(a, Node):
        return _like(a) if a.shape else np.zeros((), a.dtype)[()]
    return a
