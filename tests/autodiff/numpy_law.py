"""What a form of call does to a traced value: it works, is flat, is refused, or what is wrong.

A form is one line of Python. A capital letter in it names a traced value, the small letter the
same numbers untraced:

    np.linalg.norm(M, axis=1)        the matrix M is traced
    np.interp(S, [0.0, 2.0], vp)     S is traced, vp is a plain array

The line is run on numbers, which is what numpy says, and on traced values. The second run must be
refused with `TracedValueError`, or give numpy's own result (value, shape and kind), and the
gradient of the weighted sum of its entries along one direction must be the central difference of
the first run, as must the gradient of that gradient. Arrays that the line changes in the first run
count as results.
"""

import copy
import math
import operator
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from traceback import walk_tb
from typing import Any

import numpy as np
from scipy import special

from genparams.autodiff import Box, Tape
from genparams.errors import TracedValueError

FIRST, SECOND = 1e-7, 1e-6  # relative tolerances of a first and a second derivative
STEPS = (1e-3, 1e-2, 1e-4)

RNG = np.random.default_rng(11)


def _spd(*shape: int) -> Any:
    a = RNG.normal(size=(*shape, 3, 3))
    return a @ np.swapaxes(a, -1, -2) * 0.3 + np.diag([1.0, 1.7, 2.6])


def _points() -> dict[str, Any]:
    """Every letter: general numbers, with `u` in (0, 1) and with `p` above 1."""
    shapes = {"S": (), "Y": (), "V": (3,), "W": (3,), "F": (4,), "M": (2, 3), "J": (2, 3)}
    shapes |= {"Q": (3, 3), "R": (3, 3), "C": (2, 3, 2), "D": (2, 3, 2), "E": (0,), "EM": (0, 3)}
    points = {}
    for name, shape in shapes.items():
        size = math.prod(shape)
        # Distinct numbers, no two close to each other, none close to an integer or a half.
        rank = (RNG.permutation(size) + 0.5 + RNG.uniform(-0.2, 0.2, size)) / max(size, 1)
        even = RNG.permutation(size) % 2 == 0
        general = (0.13 + 0.34 * rank + RNG.integers(0, 3, size) / 2.0) * np.where(even, 1.0, -1.0)
        for suffix, values in {"": general, "u": 0.12 + 0.8 * rank, "p": 1.1 + 1.3 * rank}.items():
            array = values.reshape(shape)
            points[name + suffix] = array if shape else np.float64(array)
    points |= {"P": _spd(), "O": _spd(), "K": _spd(2), "L": _spd(2)}
    return points


POINTS = _points()
SYMMETRIC = {"P", "O", "K", "L"}

# Names of one call each that forms may use besides numpy's.
HELP = {
    "np": np,
    "special": special,
    "operator": operator,
    "copy": copy,
    "math": math,
    "nan": math.nan,
    "inf": math.inf,
    "mask3": np.array([True, False, True]),
    "mask23": np.array([[True, False, True], [True, True, False]]),
    "index3": np.array([2, 0, 1]),
    "b": np.zeros(()),
    "b2": np.zeros(2),
    "b3": np.zeros(3),
    "b23": np.zeros((2, 3)),
    "b33": np.zeros((3, 3)),
    "b3f": np.zeros(3, np.float32),
}
PLAIN = HELP | {name.lower(): value for name, value in POINTS.items()}


@dataclass(frozen=True)
class Form:
    """One line that calls `subject`; `option` names what is special about it, if anything is."""

    subject: str
    text: str
    option: str = ""

    @cached_property
    def code(self) -> types.CodeType:
        return compile(self.text, f"<{self.subject}>", "eval")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_names(self.code)))

    @cached_property
    def traced(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name in POINTS)

    def run(self, values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The result, and every named value after the call."""
        arrays = {
            name: copy.copy(PLAIN[name])
            for name in self.names
            if type(PLAIN.get(name)) is np.ndarray
        }
        scope = arrays | values
        with np.errstate(all="ignore"):
            return eval(self.code, {**PLAIN, **scope}), scope


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


# --- Results as lists of leaves


def raw(value: Any) -> Any:
    while type(value) is Box:
        value = value.value
    return value


@dataclass(frozen=True, slots=True)
class Leaf:
    """One array or number of a result: its numbers, and the boxes among its entries."""

    value: Any  # an array, or an opaque object
    scalar: bool
    boxes: tuple[tuple[Any, Any], ...]  # each with its index
    objects: bool = False  # numpy's own array of objects, which has no kind


def leaves(result: Any, depth: int = 0) -> Iterator[Leaf]:
    if type(result) is Box:
        yield Leaf(np.asarray(raw(result)), not np.ndim(raw(result)), ((result, ...),))
    elif isinstance(result, np.ndarray) and result.dtype == object:
        boxes = tuple((v, i) for i, v in np.ndenumerate(np.asarray(result)) if type(v) is Box)
        yield Leaf(_opened(result), not result.ndim, boxes, True)
    elif isinstance(result, (np.ndarray, np.generic, bool, int, float, complex)):
        yield Leaf(np.asarray(result), not np.ndim(result), ())
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from leaves(part, depth + 1)
    elif isinstance(result, (np.flatiter, np.nditer, zip, map, types.GeneratorType, reversed)):
        yield from leaves(list(result), depth + 1)
    elif isinstance(result, np.poly1d):
        yield from leaves(result.coeffs, depth + 1)
    elif result is not None:
        yield Leaf(result, True, ())


def _opened(array: Any) -> Any:
    flat = [raw(v) for v in np.asarray(array).ravel().tolist()]
    try:
        return np.array(flat, dtype=None if flat else float).reshape(array.shape)
    except (TypeError, ValueError):
        return array


def outline(result: Any) -> Any:
    """The nesting of a result: tuples, lists and the fields of named tuples."""
    if isinstance(result, tuple):
        return ("tuple", getattr(result, "_fields", ()), *map(outline, result))
    if isinstance(result, list):
        return ("list", *map(outline, result))
    return None


def weights(leaf: int, shape: tuple[int, ...]) -> Any:
    w = np.cos(1.0 + 0.7 * leaf + np.arange(math.prod(shape)))
    return w.reshape(shape) if shape else float(w[0])


def direction(name: str, turn: float) -> Any:
    shape = np.shape(POINTS[name])
    v = np.sin(turn + sum(map(ord, name)) + 2.0 * np.arange(math.prod(shape))).reshape(shape)
    if name in SYMMETRIC:  # entries that are equal stay equal, so that a maximum has a derivative
        v = v + np.swapaxes(v, -1, -2)
    return v if shape else float(v)


@dataclass(frozen=True, slots=True)
class Plain:
    """What numpy says: the leaves, the nesting, and which named arrays the line changes."""

    leaves: list[Leaf]
    outline: Any
    changed: tuple[str, ...]


def plain(form: Form) -> Plain:
    values = {name: _fresh(POINTS[name]) for name in form.traced}
    result, after = form.run(values)
    before = {name: POINTS.get(name, PLAIN.get(name)) for name in after}
    moved = tuple(name for name in after if not _same(after[name], before[name]))
    found = [*leaves(result), *(leaf for name in moved for leaf in leaves(after[name]))]
    return Plain(found, outline(result), moved)


def accepts(form: Form) -> bool:
    """Whether numpy itself takes the form and gives numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = plain(form)
    except Exception:
        return False
    if _is_a_type(form):
        return False
    return any(_numbers(leaf) or isinstance(leaf.value, bytes) for leaf in said.leaves)


def _is_a_type(form: Form) -> bool:
    """Whether numpy takes a number for a dtype, which a float64 of its own has and a float not."""
    floats = {name: float(POINTS[name]) for name in form.traced if not np.ndim(POINTS[name])}
    try:
        if floats:
            form.run({name: _fresh(POINTS[name]) for name in form.traced} | floats)
    except TypeError as error:
        return "data type" in str(error)
    except Exception:
        return False
    return False


def finite(form: Form) -> bool:
    """Whether, besides, they are finite and those of a smooth or flat function at the point."""
    if not accepts(form):
        return False
    return all(np.all(np.isfinite(leaf.value)) for leaf in plain(form).leaves if _numbers(leaf))


def _fresh(value: Any) -> Any:
    return value * 1.0


def _same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b, equal_nan=True))


def _numbers(leaf: Leaf) -> bool:
    return isinstance(leaf.value, np.ndarray) and leaf.value.dtype.kind in "fiubc"


# --- The law


class Broken(Exception):
    """A form that breaks the law, and how."""


def classify(form: Form) -> str:
    """Either "works", "flat" (the gradient is zero, and so is the difference), "refused",
    "refused by numpy" (which makes an array of objects of a list by itself), "unknown" (right in
    value where numpy's own is not finite), or what is wrong.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _classify(form)
        except Broken as broken:
            return str(broken)


def _classify(form: Form) -> str:
    said = plain(form)
    try:
        slope = _first(form, said, None)
    except Broken:
        raise
    except Exception as error:
        return _refusal(error)
    if not all(np.all(np.isfinite(leaf.value)) for leaf in said.leaves if _numbers(leaf)):
        return "unknown"
    low = any(
        _numbers(leaf) and leaf.value.dtype in (np.float32, np.float16) for leaf in said.leaves
    )
    first = lambda h: _total(form, _moved(form, h), said)  # noqa: E731
    how = _agrees(slope, first, FIRST, low)
    if how is not None:
        raise Broken(f"the gradient is {slope:.10g}, the difference {how:.10g}")
    if slope == 0.0:
        return "flat"
    if not low:
        _check_second(form, said)
    return "works"


KNOWN = (TypeError, ValueError, AttributeError)  # with which numpy refuses arrays of objects


def _refusal(error: Exception, what: str = "") -> str:
    """Whose refusal an error is: ours, or numpy's in a call that never showed us the traced value,
    since numpy makes an array of objects of a list by itself, and its ufuncs take none.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TracedValueError):
            return "refused"
        cause = cause.__cause__ or cause.__context__
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    packages = {frame.f_globals.get("__name__", "").split(".")[0] for frame in frames}
    if packages & {"genparams", "autograd"} or not isinstance(error, KNOWN):
        raise Broken(f"{what}raises {type(error).__name__}: {error}") from error
    return "refused by numpy"


def _check_second(form: Form, said: Plain) -> None:
    try:
        slope = _second(form, said)
        along = lambda h: _first(form, said, h)  # noqa: E731
        how = _agrees(slope, along, SECOND, low=False)
    except Broken:
        raise
    except Exception as error:
        _refusal(error, "its second derivative ")
        return
    if how is not None:
        raise Broken(f"the second derivative is {slope:.10g}, the difference {how:.10g}")


def _agrees(slope: float, f: Callable[[float], float], tolerance: float, low: bool) -> Any:
    """None, or the difference, which is another number at each step."""
    first = None
    for step in (0.05, 0.2) if low else STEPS:
        near, far = f(step) - f(-step), f(2.0 * step) - f(-2.0 * step)
        difference = (8.0 * near - far) / (12.0 * step)
        scale = 1e-3 + abs(difference) + abs(f(step)) * 1e-2
        if abs(slope - difference) <= scale * (2e-4 if low else tolerance):
            return None
        first = difference if first is None else first
    return first


def _moved(form: Form, h: float) -> dict[str, Any]:
    return {name: POINTS[name] + h * direction(name, 0.5) for name in form.traced}


def _total(form: Form, values: dict[str, Any], said: Plain) -> float:
    """The weighted sum of every entry of the plain result."""
    result, after = form.run({name: _fresh(value) for name, value in values.items()})
    found = [*leaves(result), *(leaf for name in said.changed for leaf in leaves(after[name]))]
    total = 0.0
    for i, leaf in enumerate(found):
        if _numbers(leaf):
            sum_of = np.sum(weights(i, leaf.value.shape) * leaf.value)
            total += sum_of.real + 0.7 * sum_of.imag
        elif isinstance(leaf.value, bytes):
            total += float(np.sum(np.frombuffer(leaf.value, np.uint8)))
    return float(total)


def _gradients(form: Form, sources: dict[str, Any], tape: Tape, said: Plain, check: bool) -> list:
    boxes = {name: _fresh(source) for name, source in sources.items()}
    result, after = form.run(boxes)
    found = [*leaves(result), *(leaf for name in said.changed for leaf in leaves(after[name]))]
    if check:
        _check_values(form, said, found, result, after)
    seeds = []
    for i, leaf in enumerate(found):
        if leaf.boxes:
            w = weights(i, leaf.value.shape)
            for box, index in leaf.boxes:
                if box.tape is tape:
                    seeds.append((box, w if index is ... or index == () else float(w[index])))
    return tape.gradients(seeds, list(sources.values()))


def _first(form: Form, said: Plain, h: float | None) -> float:
    """The gradient along the second direction at `h`, or at the point along the first."""
    tape = Tape()
    at = _moved(form, h) if h is not None else {name: POINTS[name] for name in form.traced}
    sources = {name: tape.leaf(value) for name, value in at.items()}
    gradients = _gradients(form, sources, tape, said, h is None)
    slope = 0.0
    for name, g in zip(form.traced, gradients, strict=True):
        if g is not None:
            if np.shape(g) != np.shape(POINTS[name]):
                raise Broken(f"the gradient by {name} has shape {np.shape(g)}")
            if np.asarray(g).dtype.kind != "f":
                raise Broken(f"the gradient by {name} is of {np.asarray(g).dtype}")
            slope += float(np.sum(g * direction(name, 0.5 if h is None else 1.9)))
    return slope


def _second(form: Form, said: Plain) -> float:
    """The derivative along the first direction of the gradient along the second."""
    outer, inner = Tape(), Tape()
    points = {name: outer.leaf(POINTS[name]) for name in form.traced}
    sources = {name: inner.leaf(box) for name, box in points.items()}
    gradients = _gradients(form, sources, inner, said, False)
    seeds = [
        (g, direction(name, 1.9))
        for name, g in zip(form.traced, gradients, strict=True)
        if type(g) is Box and g.tape is outer
    ]
    slope = 0.0
    for name, g in zip(form.traced, outer.gradients(seeds, list(points.values())), strict=True):
        if g is not None:
            if np.shape(g) != np.shape(POINTS[name]):
                raise Broken(f"the second derivative by {name} has shape {np.shape(g)}")
            slope += float(np.sum(g * direction(name, 0.5)))
    return slope


def _check_values(form: Form, said: Plain, found: list[Leaf], result: Any, after: dict) -> None:
    for name, value in after.items():
        if name not in said.changed and not _unchanged(name, value):
            raise Broken(f"changes {name}, which numpy leaves alone")
    if outline(result) != said.outline:
        raise Broken(f"gives {outline(result)} for {said.outline}")
    if len(found) != len(said.leaves):
        raise Broken(f"gives {len(found)} arrays for {len(said.leaves)}")
    for have, want in zip(found, said.leaves, strict=True):
        _check_leaf(have, want)


def _unchanged(name: str, value: Any) -> bool:
    value = raw(value)
    return not isinstance(value, (np.ndarray, float)) or _same(
        value, POINTS.get(name, PLAIN.get(name))
    )


def _check_leaf(have: Leaf, want: Leaf) -> None:
    if not _numbers(want):
        if _numbers(have) or have.boxes:
            raise Broken(f"gives {have.value!r} for {want.value!r}")
        return
    if not _numbers(have):
        raise Broken(f"gives {have.value!r} for {want.value!r}")
    if have.value.shape != want.value.shape:
        raise Broken(f"gives shape {have.value.shape} for {want.value.shape}")
    kinds = {"u": "i"}
    kind, wanted = (kinds.get(x.value.dtype.kind, x.value.dtype.kind) for x in (have, want))
    other = kind != wanted or (wanted == "f" and have.value.dtype != want.value.dtype)
    if other and want.value.size and not have.objects:
        raise Broken(f"gives {have.value.dtype} for {want.value.dtype}")
    close = {"rtol": 1e-14, "atol": 2e-14 * (1.0 + _largest(want.value))}
    if not np.allclose(have.value, want.value, equal_nan=True, **close):
        raise Broken(f"gives {have.value!r} for {want.value!r}")


def _largest(value: Any) -> float:
    sizes = np.abs(np.asarray(value, dtype=complex))
    sizes = sizes[np.isfinite(sizes)]
    return float(sizes.max()) if sizes.size else 0.0


@cache
def verdict(form: Form) -> str:
    """`classify`, once for each form in a session."""
    return classify(form)
