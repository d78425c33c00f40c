"""What a box can do: an array's attributes and methods, and numpy's protocols.

Each passes its work to `dispatch` or to the elementwise rules. `Box` gets these methods, and the
operators of `operators`, when this module is imported.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy

from genparams.autodiff import products, rearranging
from genparams.autodiff.batch import Batch
from genparams.autodiff.dispatch import call, call_ufunc
from genparams.autodiff.elementwise import DERIVATIVES, elementwise
from genparams.autodiff.operators import OPERATORS
from genparams.autodiff.refusals import refusal, user_line
from genparams.autodiff.tape import Box, mark_shared, np, raw, unary
from genparams.errors import TracedAttribute

_AS_FUNCTIONS = {
    *("all", "any", "argmax", "argmin", "argsort", "argpartition", "cumprod"),
    *("cumsum", "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat"),
    *("searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var"),
    *("conj", "conjugate", "round"),
}
"""Methods of an array that do what the function of the same name does."""
_IN_PLACE = {"sort", "partition", "fill", "put", "resize", "setfield", "byteswap"}


def _is_array(value: Any) -> bool:
    """Whether a value is a box, or an array of floats."""
    kind = type(value)
    return kind is Box or (kind is numpy.ndarray and value.dtype.kind == "f")


class _Array:
    """The attributes and methods of an array."""

    __array_priority__ = 1000.0
    __pandas_priority__ = 10_000  # a Series lets a box go first

    shape: tuple[int, ...]
    size: int
    dtype: Any
    value: Any
    tape: Any

    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.matrix_transpose(self))  # noqa: N815  # numpy's name
    real = property(lambda self: self)
    imag = property(lambda self: np.zeros(self.shape) if self.shape else 0.0)
    flat = property(lambda self: iter(np.reshape(self, (-1,))))
    nbytes = property(lambda self: np.asarray(raw(self)).nbytes)
    itemsize = property(lambda self: np.asarray(raw(self)).itemsize)

    # --- numpy's protocols

    def __array_ufunc__(
        self, ufunc: numpy.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        if method == "at" or (out is not None and any(o is not None for o in out)):
            raise refusal("in-place arithmetic on an array", "x = x + y instead of x += y")
        if Batch in map(type, inputs):
            return NotImplemented  # a batch of rows that are boxes
        if method == "__call__" and not kwargs:
            if ufunc in DERIVATIVES:  # nearly always
                return elementwise(ufunc, inputs)
            if ufunc is np.matmul and all(map(_is_array, inputs)):
                return products.matmul(*inputs)
        return call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        return NotImplemented if Batch in types else call(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """An object array of boxes. It is read-only unless it is a copy: writing to it would not
        change this box.
        """
        if dtype is not None and np.dtype(dtype) != np.dtype(object):
            raise refusal(
                f"assignment into an array, or an array of {np.dtype(dtype)},",
                "the value as it is, np.stack([...]) or np.where(condition, new, old)",
            )
        entries = np.empty(self.shape, object)
        flat = np.reshape(self, (-1,)) if self.shape else [self]
        for place, entry in zip(np.ndindex(self.shape), flat, strict=True):
            entries[(*place, None)].fill(entry)  # assignment would ask the entry for an array
        entries.flags.writeable = bool(copy)
        return entries

    # --- Operators

    def __neg__(self) -> Any:
        return elementwise(np.negative, (self,))

    def __pos__(self) -> Any:
        return self.copy()

    def __abs__(self) -> Any:
        return elementwise(np.absolute, (self,))

    def __bool__(self) -> bool:
        return bool(raw(self))

    def __format__(self, spec: str) -> str:
        return f"traced {format(raw(self), spec)}"  # which float() does not read

    def __repr__(self) -> str:
        return f"traced {raw(self)!r}"

    # --- A sequence

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return rearranging.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refusal(
            "assignment into an array", "np.where(condition, new, old) or np.stack([...])"
        )

    # --- Copies: a box of the same value, which can be changed without changing this box

    def copy(self, order: str = "C") -> Any:
        return rearranging.copy(self)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return memo.setdefault(id(self), self.copy())

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise refusal("pickling, or sending to another process,", "it outside of the model")

    # --- Methods

    def __getattr__(self, name: str) -> Any:
        """A method, as the numpy function of its name.

        numpy also asks the entries of an array of boxes for the methods of its ufuncs.
        """
        public = not name.startswith("_")
        function: Any = getattr(np, name, None) if public else None
        if name in _AS_FUNCTIONS or isinstance(function, numpy.ufunc):
            return lambda *args, **kwargs: function(self, *args, **kwargs)
        if name in _IN_PLACE:
            raise refusal(f"{name}(), which changes an array in place,", f"x = np.{name}(x)")
        if public and name != "dtype" and hasattr(numpy.ndarray, name):
            raise refusal(
                f"the array's attribute {name!r}", "functions that have a derivative rule"
            )
        said = f"a value that is being differentiated has no attribute {name!r}"
        raise TracedAttribute(f"{said} ({user_line()})") if public else AttributeError(said)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def clip(self, min: Any = None, max: Any = None) -> Any:
        return np.clip(self, min, max)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        return np.compress(condition, self, axis)

    def flatten(self, order: str = "C") -> Any:
        return np.ravel(self.copy(), order=order)

    def item(self, *index: Any) -> Any:
        if len(index) > 1 or (index and isinstance(index[0], tuple)):
            return self[index if len(index) > 1 else index[0]]
        if not index and self.size != 1:
            raise ValueError("can only convert an array of size 1 to a number")
        return np.reshape(self, (-1,))[index[0] if index else 0]

    def tolist(self) -> Any:
        return [part.tolist() for part in self] if self.shape else self

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        if not np.issubdtype(dtype, np.floating):
            raise refusal(f"astype({dtype!r})", "the value as it is")
        if np.dtype(dtype) == self.dtype or not self.shape:
            return self.copy() if copy else self
        box: Any = self
        return unary(box, self.value.astype(dtype), lambda g: g)

    def view(self, dtype: Any = numpy.ndarray) -> Any:
        if dtype is not numpy.ndarray:
            raise refusal("view() as another type", "the value as it is")
        made = self.copy()
        mark_shared(self, made)
        return made


_OF_CLASSES = {*vars(Box), "__annotations__", "__dict__", "__weakref__"}
for _name, _value in {**vars(_Array), **OPERATORS}.items():
    if _name not in _OF_CLASSES:
        setattr(Box, _name, _value)
