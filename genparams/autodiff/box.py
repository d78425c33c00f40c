"""What a box can do: Python's operators, an array's attributes and methods, numpy's protocols.

Each hands over to the gate or to the elementwise rules. An array's in-place operators change a box
as they change an array: every name of the array sees it. They are refused where the array may be
seen through another one: a parameter, an argument, a part of a larger array, or an array of which a
part was taken.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from genparams.autodiff import moves
from genparams.autodiff.elementwise import (
    DERIVATIVES,
    binary_operator,
    elementwise,
    is_operand,
)
from genparams.autodiff.gate import call, call_ufunc
from genparams.autodiff.tape import Box, linear, np, raw, refusal, share, user_line
from genparams.errors import TracedAttribute

_AS_FUNCTIONS = {
    *("all", "any", "argmax", "argmin", "argsort", "argpartition", "cumprod"),
    *("cumsum", "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat"),
    *("searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var"),
    *("conj", "conjugate", "round"),
}
"""Methods of an array that do what the function of the same name does."""
_IN_PLACE = {"sort", "partition", "fill", "put", "resize", "setfield", "byteswap"}


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
        if ufunc in DERIVATIVES and method == "__call__" and not kwargs:  # nearly always
            return elementwise(ufunc, inputs)
        return call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        return call(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """An array of boxes. Unless it is a copy it cannot be written to: this box would not
        change with it, as an array would.
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
        return moves.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refusal(
            "assignment into an array", "np.where(condition, new, old) or np.stack([...])"
        )

    # --- Copies: a box of the same value, which changes by itself

    def copy(self, order: str = "C") -> Any:
        return moves.copy(self)

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
        return linear(box, self.value.astype(dtype), lambda g: g)

    def view(self, dtype: Any = numpy.ndarray) -> Any:
        if dtype is not numpy.ndarray:
            raise refusal("view() as another type", "the value as it is")
        made = self.copy()
        share(self, made)
        return made


# --- Operators of two


def _by_ufunc(ufunc: numpy.ufunc, swap: bool) -> Callable[[Any, Any], Any]:
    def apply(self: Any, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        return call_ufunc(ufunc, "__call__", (other, self) if swap else (self, other), {})

    return apply


def _by_value(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: compare(raw(self), raw(other))


def _in_place(symbol: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def change(self: Any, other: Any) -> Any:
        if not self.shape:
            return NotImplemented  # of a number Python makes a new one
        if self.index in self.tape.shared:
            raise refusal(
                f"{symbol} on an array that another name may see (a parameter, an argument, a part "
                "of an array, or an array of which a part was taken)",
                f"x = x {symbol[:-1]} y, or x = x.copy() before it",
            )
        result = apply(self, other)
        if type(result) is not Box:
            result = self.tape.record(result, [])  # flat: x //= y
        if result.shape != self.shape:
            raise refusal(f"{symbol} that changes the shape", f"x = x {symbol[:-1]} y")
        self.value, self.tape, self.index = result.value, result.tape, result.index
        return self

    return change


def _refused(what: str, instead: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise refusal(what, instead)

    return refuse


def _two(name: str, apply: Callable, swapped: Callable, symbol: str | None) -> dict[str, Any]:
    """An operator, the one for a box on the right, and the one in place."""
    found = {f"__{name}__": apply, f"__r{name}__": swapped}
    if symbol:
        found[f"__i{name}__"] = _in_place(f"{symbol}=", getattr(operator, name))
    return found


_WHOLE = "an argument or a discrete choice for what counts or indexes"
_OF_CLASSES = {*vars(Box), *vars(type("Empty", (), {})), "__annotations__"}
_BEHAVIOUR = {name: value for name, value in vars(_Array).items() if name not in _OF_CLASSES}
for _name, _symbol, _ufunc, _on_floats in [
    ("add", "+", np.add, operator.add),
    ("sub", "-", np.subtract, operator.sub),
    ("mul", "*", np.multiply, operator.mul),
    ("truediv", "/", np.true_divide, operator.truediv),
]:
    _left = binary_operator(_ufunc, _on_floats)
    _right = binary_operator(_ufunc, _on_floats, swap=True)
    _BEHAVIOUR |= _two(_name, _left, _right, _symbol)
for _name, _symbol, _ufunc in [
    ("pow", "**", np.power),
    ("matmul", "@", np.matmul),
    ("mod", "%", np.remainder),
    ("floordiv", "//", np.floor_divide),
    ("divmod", None, np.divmod),
]:
    _BEHAVIOUR |= _two(_name, _by_ufunc(_ufunc, False), _by_ufunc(_ufunc, True), _symbol)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _BEHAVIOUR[f"__{_name}__"] = _by_value(getattr(operator, _name))
for _name, _what, _instead in [
    (
        "float",
        "float(), a function of the math module, or assignment into an array",
        "np.exp, np.stack, ...",
    ),
    ("round", "round()", "the value as it is"),
    ("floor", "math.floor()", "np.floor, whose derivative is 0"),
    ("ceil", "math.ceil()", "np.ceil, whose derivative is 0"),
    ("trunc", "math.trunc()", "np.trunc, whose derivative is 0"),
    ("int", "int()", _WHOLE),
    ("index", "int()", _WHOLE),
    ("complex", "complex()", "real numbers"),
    ("hash", "a dictionary key, a set or a function's cache (hash())", "it as a value, not a key"),
]:
    _BEHAVIOUR[f"__{_name}__"] = _refused(_what, _instead)

for _name, _value in _BEHAVIOUR.items():
    setattr(Box, _name, _value)
