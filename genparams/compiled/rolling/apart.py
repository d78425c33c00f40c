"""Operations on small arrays taken apart into operations on single numbers.

Within the body of a recurrence an array is an array of *names*, so that what only rearranges
numbers (a transpose, an index) costs nothing. A name is an argument of a `Statement`.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import is_elementwise
from genparams.compiled.algebra.ir import Statement
from genparams.compiled.algebra.shapes import axes_of
from genparams.compiled.algebra.totals import inner
from genparams.compiled.rolling.stream import CannotRoll
from genparams.compiled.rolling.sums import added
from genparams.program.recorded import as_type

LARGEST = 64
"""The most entries of a small array."""
MOST = 5000
"""The most statements of a body."""

Name = Any
"""An argument of a statement: a tuple."""


class Body:
    """The statements of a recurrence while they are made; equal ones are one."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self._known: dict[Any, Name] = {}

    def make(self, op: Any, *args: Name) -> Name:
        """The name of an operation on single numbers."""
        simple = _simple(op, args)
        if simple is not None:
            return simple
        key = (op, *map(_key, args))
        name = self._known.get(key)
        if name is None:
            if len(self.statements) >= MOST:
                raise CannotRoll("too many statements")
            name = self._known[key] = ("local", len(self.statements))
            self.statements.append(Statement(op, args))
        return name

    def copied(self, a: Name) -> Name:
        """A name of a statement for any name."""
        name = ("local", len(self.statements))
        self.statements.append(Statement(np.multiply, (a, ("constant", 1.0))))
        return name

    def operation(self, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
        """The names of an operation on arrays of names.

        Raises:
            CannotRoll: it is not known for single numbers.
        """
        if is_elementwise(op) and not options:
            return self._elementwise(op, args)
        return _FORMS.get(op, _unknown)(self, op, args, options)

    def _elementwise(self, op: Any, args: Sequence[Any]) -> np.ndarray:
        arrays = np.broadcast_arrays(*map(names, args))
        made = np.empty(arrays[0].shape, object)
        for at in np.ndindex(made.shape):
            made[at] = self.make(op, *(a[at] for a in arrays))
        return made

    def chain(self, op: Any, parts: Iterable[Name]) -> Name:
        """An operation on two numbers, over several numbers one after another."""
        return reduce(lambda x, y: self.make(op, x, y), parts)


def names(a: Any) -> np.ndarray:
    """The names of an argument: an array of names, or constants."""
    if isinstance(a, np.ndarray) and a.dtype == object:
        return a
    constants = np.asarray(a)
    made = np.empty(constants.shape, object)
    for at in np.ndindex(made.shape):
        made[at] = ("constant", constants[at].item())
    return made


def _key(a: Name) -> Name:
    return ("constant", repr(a[1])) if a[0] == "constant" else a


def _simple(op: Any, args: tuple[Name, ...]) -> Name | None:
    """What an operation is without computing it, up to the sign of zero."""
    if all(a[0] == "constant" for a in args):
        with np.errstate(all="ignore"):
            return ("constant", np.asarray(op(*(a[1] for a in args))).item())
    for a, b in (args, args[::-1]) if op in (np.add, np.multiply) else (args,) * (len(args) == 2):
        if b[0] == "constant" and type(b[1]) is float:
            if op in (np.add, np.subtract) and b[1] == 0.0:
                return a
            if op in (np.multiply, np.true_divide) and b[1] == 1.0:
                return a
    return None


# --- Forms


def _unknown(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    raise CannotRoll(f"{getattr(op, '__name__', op)} of single numbers")


def _rearranged(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    if any(map(_is_named, args[1:])):
        return _unknown(body, op, args, options)
    return _array(op(names(args[0]), *args[1:], **options))


def _is_named(a: Any) -> bool:
    """Whether an argument is, or holds, an array of names."""
    if type(a) is tuple:
        return any(map(_is_named, a))
    return isinstance(a, np.ndarray) and a.dtype == object


def _array(made: Any) -> np.ndarray:
    """An array of names; an index may have taken a name out of it."""
    if isinstance(made, np.ndarray):
        return made
    single = np.empty((), object)
    single[()] = made
    return single


def _joined(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    return op(tuple(map(names, args[0])), *args[1:], **options)


_CHAINS: dict[Any, Any] = {
    np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum,
    np.all: np.logical_and, np.any: np.logical_or,
}  # fmt: skip


def _reduced(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    x = names(args[0])
    axes = axes_of(options.get("axis", args[1] if len(args) > 1 else None), x.ndim)
    unknown = {k for k, v in options.items() if v is not None} - {"axis", "keepdims", "initial"}
    if unknown or not all(x.shape[a] for a in axes):
        return _unknown(body, op, args, options)
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = np.transpose(x, (*kept, *axes)).reshape((*[x.shape[a] for a in kept], -1))
    initial = options.get("initial")
    first = [] if initial is None or initial is np._NoValue else [("constant", float(initial))]
    made = np.empty(rows.shape[:-1], object)
    for at in np.ndindex(made.shape):
        made[at] = body.chain(_CHAINS[op], [*first, *rows[at]])
    if options.get("keepdims") is True:
        made = made.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])
    return made


def _listed(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    return np.stack([*map(names, args[0])])


def _product(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    x, y = map(names, args)
    if options or max(x.ndim, y.ndim) > 2 or (op is np.matmul and not (x.ndim and y.ndim)):
        return _unknown(body, op, args, options)
    if not (x.ndim and y.ndim):
        return body._elementwise(np.multiply, args)
    rows, columns = np.atleast_2d(x), (y if y.ndim == 2 else y[:, None])
    made = np.empty((len(rows), columns.shape[1]), object)
    for i, j in np.ndindex(made.shape):
        each = zip(rows[i], columns[:, j], strict=True)
        made[i, j] = body.chain(np.add, [body.make(np.multiply, u, v) for u, v in each])
    return made.reshape(x.shape[:-1] + (y.shape[1:] if y.ndim == 2 else ()))


def _added(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    return reduce(lambda x, y: body._elementwise(np.add, (x, y)), map(names, args))


def _inner(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    return _reduced(body, np.sum, (body._elementwise(np.multiply, args),), {})


def _outer(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    x, y = map(names, args)
    return body._elementwise(np.multiply, (x.reshape(-1, 1), y.reshape(1, -1)))


def _scatter(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    g, index, shape = args
    if _is_named(index):
        return _unknown(body, op, args, options)
    where = np.arange(int(np.prod(shape))).reshape(shape)[index]
    values = np.broadcast_to(names(g), where.shape)
    made = names(np.zeros(shape)).reshape(-1)
    for at, name in zip(where.flat, values.flat, strict=True):
        made[at] = body.make(np.add, made[at], name)
    return made.reshape(shape)


def _same(body: Body, op: Any, args: Sequence[Any], options: dict[str, Any]) -> np.ndarray:
    if np.dtype(args[1]) != np.dtype(float):
        return _unknown(body, op, args, options)
    return body._elementwise(np.multiply, (args[0], 1.0))


Form = Callable[[Body, Any, Sequence[Any], dict[str, Any]], np.ndarray]

_FORMS: dict[Any, Form] = {
    **dict.fromkeys(_CHAINS, _reduced),
    **dict.fromkeys(
        (np.reshape, np.ravel, np.expand_dims, np.squeeze, np.transpose, np.swapaxes,
         np.moveaxis, np.broadcast_to, np.diagonal, np.flip, operator.getitem), _rearranged
    ),
    np.stack: _joined,
    np.concatenate: _joined,
    np.array: _listed,
    np.matmul: _product,
    np.dot: _product,
    np.outer: _outer,
    scatter: _scatter,
    as_type: _same,
    inner: _inner,
    added: _added,
}  # fmt: skip
