"""Computations recorded: numbers that note each operation on them.

A `Recorded` holds a number or an array, and the operation that made it. It answers numpy's
protocols: a function of numpy that is given one computes its value at once and returns a new
`Recorded`. So a computation that is run once on recorded values leaves the list of its operations,
a `Recording`.

What a computation asks Python for is a *test*: the truth of a comparison, or a whole number as an
index. The recording keeps the question and its answer, because another answer may lead to another
list of operations. What leaves numpy's protocols, such as `float(x)`, cannot be recorded.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from genparams.errors import CannotRecord, TooManyOperations
from genparams.program.record import Operation

F = TypeVar("F", bound=Callable[..., Any])

ALWAYS, DATA, PARAMETERS = range(3)
"""What a value depends on: nothing, arguments and choices alone, or parameters."""

_STRUCTURE = {
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type),
    *(np.iscomplexobj, np.isrealobj, np.zeros_like, np.ones_like, np.empty_like),
    *(np.may_share_memory, np.shares_memory),
}
"""Functions whose result depends on shapes and types alone."""

_BY_VALUE = {
    *(np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.extract, np.compress, np.delete),
    *(np.trim_zeros, np.histogram, np.bincount, np.array_repr, np.array_str, np.array2string),
}
"""Functions whose result has a shape that depends on numbers."""

_WRITING = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}


class Recording:
    """The operations on recorded values, in the order in which they were made."""

    def __init__(self, cap: int):
        self.cap = cap
        """The most operations that are recorded."""
        self.operations: list[Recorded] = []
        self.inputs: list[Recorded] = []
        self.answers: dict[int, Any] = {}
        """What was asked, by place, with the answers: truth values, whole numbers or arrays."""
        self.known: dict[Any, Recorded] = {}
        self.kept: list[Any] = []  # so that the id of a constant is not used again
        self.refusal: CannotRecord | None = None
        """Why it cannot be used, also if the computation has caught the error."""
        self.is_open = True
        """Whether the computation goes on; else its values may be keys, and be shown."""

    def input(self, value: Any, stage: int, name: str) -> "Recorded":
        """A recorded input: a float, or an array of numbers."""
        made = Recorded(value, None, (), {}, stage, self)
        made.name = name
        self.inputs.append(made)
        return made

    @property
    def tests(self) -> dict["Recorded", Any]:
        """What was asked, with the answers, of a recording that is closed."""
        return {self.operations[place]: answer for place, answer in self.answers.items()}

    def close(self) -> None:
        """End the computation.

        Raises:
            CannotRecord: something in it cannot be recorded.
        """
        self.is_open = False
        if self.refusal is not None:
            raise self.refusal

    def refuse(self, what: str) -> CannotRecord:
        self.refusal = self.refusal or CannotRecord(what)
        return self.refusal


class Recorded(Operation, NDArrayOperatorsMixin):
    """A number or an array, and the operation that made it; an input has no operation.

    Args:
        value: A float, a truth value, a whole number, an array or a tuple of these.
        args: Recorded values and constants; lists are tuples.
        options: Keyword arguments, which are constants.
        stage: What it depends on, DATA or PARAMETERS.
    """

    __slots__ = ("dtype", "options", "place", "recording", "shape", "stage", "value")
    __array_priority__ = 500.0
    """Lower than that of a class with the attribute `wraps`, whose objects hold recorded values."""

    def __init__(
        self,
        value: Any,
        op: Any,
        args: tuple[Any, ...],
        options: dict[str, Any],
        stage: int,
        recording: Recording,
    ):
        self.name, self.op, self.args, self.options = "", op, args, options
        self.value, self.stage, self.recording = value, stage, recording
        kind = type(value)
        if kind is np.ndarray:
            self.shape, self.dtype = value.shape, value.dtype
            if self.dtype in _UNLIKE:
                raise recording.refuse(f"numbers of type {self.dtype}")
        else:
            self.shape, self.dtype = (), _DTYPES.get(kind)
        self.place = len(recording.operations)
        """Its number among all operations and inputs."""
        if self.place >= recording.cap:
            recording.refusal = TooManyOperations(f"it has more than {recording.cap} operations")
            raise recording.refusal
        recording.operations.append(self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(hasattr(type(x), "wraps") for x in inputs):
            return NotImplemented
        if "out" in options or method == "at":
            raise self.recording.refuse(f"an operation in place ({ufunc.__name__})")
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if method == "reduce" and ufunc is np.add:
            function, options = np.sum, {"axis": 0, **options}
            if len(inputs) > 1:
                inputs, options = inputs[:1], {**options, "axis": inputs[1]}
        return note(function, inputs, options)

    def __array_function__(self, f: Any, types: Any, args: Any, options: Any) -> Any:
        if any(hasattr(kind, "wraps") for kind in types):
            return NotImplemented
        if f in _STRUCTURE:
            return f(*map(plain, args), **{k: plain(v) for k, v in options.items()})
        if f in _WRITING or options.get("out") is not None:
            raise self.recording.refuse(f"an operation in place (np.{f.__name__})")
        if f in _BY_VALUE:
            return f(*map(settled, args), **{k: settled(v) for k, v in options.items()})
        return note(f, args, options)

    # --- What Python asks for

    def __bool__(self) -> bool:
        return bool(self._answer(bool(self.value)))

    def __index__(self) -> int:
        return int(self._answer(operator.index(self.value)))

    def __int__(self) -> int:
        return int(self._answer(int(self.value), np.trunc))

    def _answer(self, answer: Any, of: Any = None) -> Any:
        asked = self if of is None else note(of, (self,))
        return self.recording.answers.setdefault(asked.place, answer)

    def __float__(self) -> float:
        raise self.recording.refuse("float(), or a function of the math module, of an input")

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise self.recording.refuse("a conversion to an array (np.asarray, scipy, pandas, ...)")

    def __complex__(self) -> complex:
        raise self.recording.refuse("complex() of an input")

    def __format__(self, spec: str) -> str:
        raise self.recording.refuse("text made of an input")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise self.recording.refuse("pickling or copying an input")

    def __round__(self, *digits: Any) -> Any:
        raise self.recording.refuse("round() of an input")

    def __hash__(self) -> int:  # the mixin defines ==, which removes the hash
        if self.recording.is_open:
            raise self.recording.refuse("a dictionary key, a set or a cache (hash()) of an input")
        return id(self)

    def __str__(self) -> str:
        if self.recording.is_open:
            raise self.recording.refuse("text made of an input")
        return repr(self)

    def __repr__(self) -> str:
        if self.recording.is_open:
            self.recording.refuse("text made of an input")
        return f"recorded {self.value!r}"

    # --- An array

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: int(np.prod(self.shape, dtype=int)))
    T = property(lambda self: note(np.transpose, (self,)))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if not self.shape and type(self.value) is not tuple:  # new axes, as of a number of numpy
            shape = np.empty(())[index].shape
            return np.reshape(self, shape) if shape else self  # type: ignore[call-overload]
        return note(operator.getitem, (self, settled_masks(index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise self.recording.refuse("assignment into an argument")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"an input has no attribute {name!r}")
        function = getattr(np, name, None)
        if not callable(function) or name in _IN_PLACE:
            raise self.recording.refuse(f"the attribute {name!r} of an input")
        return lambda *args, **options: function(self, *args, **options)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)  # type: ignore[call-overload]

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return note(as_type, (self, np.dtype(dtype)))

    def copy(self, order: str = "C") -> Any:
        return self  # nothing changes it

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        return np.compress(settled(condition), self, axis)  # type: ignore[arg-type]

    flatten = property(lambda self: self.ravel)

    def item(self, *index: Any) -> Any:
        if index:
            return self[index[0] if len(index) == 1 else index]
        return np.reshape(self, (-1,))[0] if self.shape else self  # type: ignore[call-overload]

    def tolist(self) -> Any:
        return [part.tolist() for part in self] if self.shape else self

    def _changed_in_place(self, other: Any) -> Any:
        if self.shape:
            raise self.recording.refuse("an operation in place on an array (x += y)")
        return NotImplemented  # Python makes a new number

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = _changed_in_place
    __imatmul__ = __ifloordiv__ = __imod__ = __iand__ = __ior__ = __ixor__ = _changed_in_place


_IN_PLACE = {"sort", "partition", "fill", "put", "resize", "setfield", "byteswap", "itemset"}
_SINGLE = {np.dtype(float), np.dtype(bool), np.dtype(int)}
"""The types of single numbers, which are kept as numbers of Python."""
_UNLIKE = {np.dtype(t) for t in (np.float16, np.float32, np.complex64, complex)}
"""Types that a single number of Python does not have: it would be rounded in another way."""
_DTYPES = {float: np.dtype(float), bool: np.dtype(bool), int: np.dtype(int)}


def as_type(x: Any, dtype: Any) -> Any:
    """`x.astype(dtype)`, of a number or an array."""
    return np.asarray(x).astype(dtype)


# --- Noting operations


def note(op: Callable[..., Any], args: Iterable[Any], options: Any = None) -> Any:
    """Compute an operation of which an argument is, or holds, a recorded value, and record it.

    The caller turns off numpy's warnings.
    """
    args = tuple([_canonical(a) for a in args])
    options = dict(options) if options else {}
    recording, stage = _found(args)
    for value in options.values():
        if holds_recorded(value):
            inside, at = _found((value,))
            recording, stage = recording or inside, max(stage, at)
    assert recording is not None
    key = (op, *map(_key, args))
    if options:
        key = (*key, "options", _key(tuple(sorted(options.items()))))
    known = recording.known.get(key)
    if known is None:
        given = {k: plain(v) for k, v in options.items()}
        try:
            value = op(*map(plain, args), **given)
        except Exception as error:  # the computation may catch it, and go on in another way
            recording.refuse(f"an error that the run may catch ({type(error).__name__}: {error})")
            raise
        known = Recorded(_result(value, recording), op, args, options, stage, recording)
        recording.known[key] = known
        recording.kept.append((args, options))
    return _parts(known) if isinstance(known.value, tuple) else known


def _parts(known: Recorded) -> Any:
    """The members of a result that is a tuple, recorded one by one."""
    parts = [note(PART, (known, i)) for i in range(len(known.value))]
    kind = type(known.value)
    return kind(*parts) if hasattr(kind, "_fields") else tuple(parts)


def _part(values: tuple[Any, ...], i: int) -> Any:
    return values[i]


PART = _part
"""The operation that takes a member of a tuple."""


def _canonical(a: Any) -> Any:
    if type(a) is not float and getattr(a, "dtype", None) in _UNLIKE:
        raise CannotRecord(f"numbers of type {a.dtype} beside an input")
    if isinstance(a, np.generic) or (type(a) is np.ndarray and not a.ndim and a.dtype != object):
        return a.item()
    if type(a) is list:
        return tuple([_canonical(v) for v in a])
    return a


def _result(value: Any, recording: Recording) -> Any:
    """A result as a float, a truth value, a whole number, an array or a tuple."""
    if isinstance(value, np.generic) or (type(value) is np.ndarray and not value.ndim):
        if value.dtype not in _SINGLE:
            raise recording.refuse(f"a single number of type {value.dtype}")
        return value.item()
    if isinstance(value, (tuple, list)):
        parts = [_result(v, recording) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _found(args: Sequence[Any]) -> tuple[Recording | None, int]:
    """The recording of the recorded values among arguments, and what they depend on."""
    recording, stage = None, ALWAYS
    for a in args:
        if type(a) is Recorded:
            recording, stage = a.recording, max(stage, a.stage)
        elif type(a) is tuple:
            inside, at = _found(a)
            recording, stage = recording or inside, max(stage, at)
    return recording, stage


def _key(a: Any) -> Any:
    """A key that is equal for equal arguments; arrays are equal if they are one object."""
    kind = type(a)
    if kind is Recorded:
        return a.place
    if kind is tuple:
        return tuple(map(_key, a))
    if kind is float:
        return a.hex()  # tells 0.0 from -0.0, and finds NaN again
    if kind is slice:
        return (slice, _key(a.start), _key(a.stop), _key(a.step))
    return kind, a if kind in (int, bool, str) or a is None or a is Ellipsis else id(a)


def _binary(
    ufunc: np.ufunc, on_floats: Callable[[float, float], Any], swap: bool
) -> Callable[[Recorded, Any], Any]:
    """An operator; for two single numbers in a tenth of the time of `note`.

    A loop over choices is recorded as thousands of such operations (benchmarks/static.py).
    """

    def apply(self: Recorded, other: Any) -> Any:
        x, kind = self.value, type(other)
        if type(x) is float and (kind is float or kind is Recorded):
            recorded = kind is Recorded
            y, stage = (other.value, other.stage) if recorded else (other, ALWAYS)
            if type(y) is float:
                mine, theirs = self.place, other.place if recorded else y.hex()
                key = (ufunc, theirs, mine) if swap else (ufunc, mine, theirs)
                known = self.recording.known.get(key)
                if known is None:
                    args, numbers = (self, other), (x, y)
                    if swap:
                        args, numbers = (other, self), (y, x)
                    try:
                        value = on_floats(*numbers)
                    except ZeroDivisionError:
                        value = ufunc(*numbers).item()
                    stage = self.stage if self.stage > stage else stage
                    known = Recorded(value, ufunc, args, _NO_OPTIONS, stage, self.recording)
                    self.recording.known[key] = known
                return known
        if kind is not Recorded and (hasattr(kind, "wraps") or not _is_operand(other)):
            return NotImplemented
        if ufunc is np.multiply and kind in (list, tuple) and type(x) is int:
            return other * operator.index(self)  # a list that is repeated
        return ufunc(other, self) if swap else ufunc(self, other)

    return apply


def _is_operand(value: Any) -> bool:
    return isinstance(value, (float, int, complex, list, tuple, np.ndarray, np.generic))


_NO_OPTIONS: dict[str, Any] = {}
for _name, _ufunc in [
    ("add", np.add),
    ("sub", np.subtract),
    ("mul", np.multiply),
    ("truediv", np.true_divide),
]:
    for _prefix, _swap in (("", False), ("r", True)):
        setattr(
            Recorded,
            f"__{_prefix}{_name}__",
            _binary(_ufunc, getattr(operator, _name), _swap),
        )


# --- Values


def indexed(x: Any, index: Any) -> Any:
    """`x[index]` of a plain array, or of what knows recorded values; the index may be recorded."""
    if type(x) is np.ndarray and holds_recorded(index):
        index = settled_masks(index)
        return note(operator.getitem, (x, index)) if holds_recorded(index) else x[index]
    return x[index]


def plain(value: Any) -> Any:
    """The number or array of a recorded value; other values as they are."""
    if type(value) is Recorded:
        return value.value
    if type(value) in (tuple, list) and holds_recorded(value):
        return type(value)(map(plain, value))
    if type(value) is slice:
        return slice(*map(plain, (value.start, value.stop, value.step)))
    return value


def holds_recorded(value: Any) -> bool:
    """Whether a value is a recorded one, or a list or a tuple with one in it."""
    kind = type(value)
    return kind is Recorded or (kind in (tuple, list) and any(map(holds_recorded, value)))


def settled(value: Any) -> Any:
    """The plain value, whose numbers are made a test."""
    if type(value) is Recorded:
        value.recording.answers.setdefault(value.place, value.value)
        return value.value
    if type(value) in (tuple, list) and holds_recorded(value):
        return type(value)(map(settled, value))
    return value


def settled_masks(index: Any) -> Any:
    """An index whose truth values, and the ends of whose slices, are plain: they decide the shape
    of what is indexed."""
    if type(index) is Recorded:
        return settled(index) if index.dtype == bool else index
    if type(index) is slice:
        ends = (index.start, index.stop, index.step)
        return slice(*(operator.index(e) if type(e) is Recorded else e for e in ends))
    if type(index) is tuple:
        return tuple(map(settled_masks, index))
    return index


def recordable(loops: Callable[..., Any] | None = None) -> Callable[[F], F]:
    """A decorator of a plain function of numbers and arrays, which is recorded as one operation.

    Args:
        loops: A function with the same arguments and results, written as plain loops over numbers;
            compiled code calls it in place of this one.
    """

    def decorate(function: Any) -> Any:
        function.loops = loops

        @wraps(function)
        def apply(*args: Any) -> Any:
            return note(function, args) if any(map(holds_recorded, args)) else function(*args)

        return apply

    return decorate
