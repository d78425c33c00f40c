"""The text of single operations, in a namespace of the functions and constants that it names."""

import keyword
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import is_elementwise, shape_of
from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.shapes import axes_of
from genparams.compiled.algebra.totals import inner
from genparams.program.record import LOGICAL, TESTS
from genparams.program.recorded import PART, as_type
from genparams.program.write import NAMES, template

Text = Callable[[Any], str]

CONVERSIONS = {"f": "float", "b": "bool", "i": "int", "u": "int"}

_OPERATORS = {np.add: "+", np.subtract: "-", np.multiply: "*", np.true_divide: "/", np.matmul: "@"}

REDUCING = {
    np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum,
    np.all: np.logical_and, np.any: np.logical_or,
}  # fmt: skip
"""Reductions, by the ufunc whose `reduce` computes them fastest."""

SMALL = 512
"""Arrays with fewer entries are made anew, which takes no longer than to write into a buffer."""


LONGEST_ONES = 4096


class Names:
    """Names of the values in a program's text, each one used once."""

    def __init__(self) -> None:
        self.space: dict[str, Any] = {"np": np, **NAMES, "float": float, "bool": bool, "int": int}
        self._taken = {*self.space, "bound", "data", "bind", "step", "here", "max", "min", "abs"}
        self._constants: dict[int, tuple[str, Any]] = {}
        self._ones: dict[int, np.ndarray] = {}
        self._count = 0

    def fresh(self, wish: str = "") -> str:
        """The wish as an identifier, with a number if it is taken; or v1, v2, ..."""
        if not wish:
            self._count += 1
            return self.fresh(f"v{self._count}")
        name = re.sub(r"\W+", "_", wish).strip("_") or "x"
        if name[0].isdigit() or keyword.iskeyword(name) or re.fullmatch(r"b\d+", name):
            name = f"x_{name}"  # b0, b1, ... are buffers
        number, found = 1, name
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def of(self, value: Any, wish: str) -> str:
        """The name that a function or a constant array has in the text."""
        if id(value) not in self._constants:
            name = self.fresh(wish)
            self._constants[id(value)] = name, value
            self.space[name] = value
        return self._constants[id(value)][0]

    def ones(self, length: int) -> str:
        """The name of a row of ones."""
        if length not in self._ones:
            self._ones[length] = np.ones(length)
        return self.of(self._ones[length], f"ones_{length}")

    def literal(self, a: Any, text: Text) -> str:
        """The text of an argument: nodes and arrays by `text`, numbers as they are, or a name."""
        if isinstance(a, (Node, np.ndarray)):
            return text(a)
        if type(a) is tuple:
            return "(" + "".join(f"{self.literal(x, text)}, " for x in a).rstrip(" ") + ")"
        if type(a) is slice:
            parts = [self.literal(x, text) for x in (a.start, a.stop, a.step)]
            return f"slice({', '.join(parts)})"
        if type(a) is float:
            return (
                repr(a) if math.isfinite(a) else {"inf": "inf", "-inf": "-inf"}.get(repr(a), "nan")
            )
        if a is None or type(a) in (bool, int, str):
            return repr(a)
        if a is Ellipsis:
            return "..."
        return self.of(a, getattr(a, "__name__", "k"))

    def index(self, a: Any, text: Text) -> str:
        """The text between the brackets of `x[...]`."""
        if type(a) is tuple:
            return ", ".join(self.index(x, text) for x in a) + ("," if len(a) == 1 else "") or "()"
        if type(a) is slice:
            first, last, step = ("" if x is None else self.literal(x, text)
                                 for x in (a.start, a.stop, a.step))  # fmt: skip
            return f"{first}:{last}" + (f":{step}" if step else "")
        return self.literal(a, text)


# --- Single numbers


def is_number(a: Any) -> bool:
    """Whether an argument is a single number: a float, a truth value or a whole number."""
    if isinstance(a, Node):
        return a.shape == () and a.dtype is not None
    return type(a) in (float, bool, int)


_CLASSES = {np.isfinite, np.isnan, np.isinf}


def number_template(n: Node) -> str | None:
    """The text of an operation on single numbers, with places; None if it has to be called."""
    found = template(n.op) if n.op is not None and not n.options else None
    if found is None or n.shape != () or not all(map(is_number, n.args)):
        return None
    kinds = [_kind(a) for a in n.args]
    if n.op in LOGICAL:
        return found if set(kinds) == {"b"} else None
    if n.op in TESTS or n.op in _CLASSES or n.op is np.where:
        return found
    return found if n.dtype == np.dtype(float) else None


def _kind(a: Any) -> str:
    if isinstance(a, Node) and a.dtype is not None:
        return a.dtype.kind
    return {float: "f", bool: "b", int: "i"}[type(a)]


def written(form: str, args: Sequence[str]) -> str:
    """The text of an operation on numbers with the texts of its arguments."""
    if _CALL.fullmatch(form):
        return form.format(*map(bare, args))
    return form.format(*(f"({a})" if a.startswith("-") else a for a in args))


_CALL = re.compile(r"\w+\([^()]*\)")


def bare(a: str) -> str:
    """A text without the parentheses around the whole of it."""
    depth = 0
    for i, letter in enumerate(a):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and i < len(a) - 1:
            return a
    return a[1:-1] if a.startswith("(") else a


# --- Arrays


def array_text(n: Node, names: Names, text: Text, out: str | None) -> str:
    """The text that computes a node whose arguments are, or whose result is, an array."""

    def literal(a: Any) -> str:
        return names.literal(a, text)

    args = [literal(a) for a in n.args]
    if n.op is np.matmul and _is_thin(n):
        return _thin_product(args)
    if n.op in _OPERATORS and out is None and not n.options and not _is_long(n):
        left, right = (f"({a})" if " " in a or a.startswith("-") else a for a in args)
        return f"{left} {_OPERATORS[n.op]} {right}"
    if n.op in REDUCING and not dict(n.options).keys() - {"axis", "keepdims", "initial"}:
        ones = _ones(n, names)
        return f"np.dot({args[0]}, {ones})" if ones else _reduction_text(n, args[0], out)
    special = _SPECIAL.get(n.op)
    if special is not None and not n.options:
        found = special(n, args, names, text)
        if found is not None:
            return found
    args = [bare(literal(a)) if isinstance(a, Node) else literal(a) for a in n.args]
    if out is not None:
        positional = n.op not in (np.maximum, np.minimum)
        args.append(out if positional else f"out={out}")
    args += [f"{k}={literal(v)}" for k, v in n.options]
    return f"{_function(n.op, names)}({', '.join(args)})"


def _is_long(n: Node) -> bool:
    return math.prod(n.shape) >= SMALL and n.op is not np.matmul


def _function(op: Any, names: Names) -> str:
    name = getattr(op, "__name__", "f")
    for module, prefix in ((np, "np"), (np.linalg, "np.linalg")):
        if getattr(module, name, None) is op:
            return f"{prefix}.{name}"
    return names.of(op, name)


def _ones(n: Node, names: Names) -> str | None:
    """The name of a row of ones, by which a short vector is summed faster than by `reduce`."""
    (length, *more) = shape_of(n.args[0]) or (0,)
    vector = isinstance(n.args[0], Node) and n.args[0].dtype == np.dtype(float) and not more
    if n.op is not np.sum or n.options or not vector or not 1 < length < LONGEST_ONES:
        return None
    return names.ones(length)


def _reduction_text(n: Node, x: str, out: str | None) -> str:
    (argument,), given = n.args, dict(n.options)
    axes = axes_of(given.get("axis"), len(shape_of(argument)))
    whole = len(axes) == len(shape_of(argument))
    axis: Any = axes[0] if len(axes) == 1 else None if whole else axes
    if n.op is np.sum and out is not None and len(axes) == 1 and not given.get("keepdims"):
        length = shape_of(argument)[axis]
        if 2 <= length <= 4 and axis < len(shape_of(argument)) - 1:
            return _sum_of_few(x, axis, length, out)
    parts = [x] if axis == 0 else [x, repr(axis)]
    if out is not None:
        parts = [x, repr(axis), "None", out]
    if given.get("keepdims"):
        parts.append("keepdims=True")
    if "initial" in given:
        parts.append(f"initial={given['initial']!r}")
    return f"np.{REDUCING[n.op].__name__}.reduce({', '.join(parts)})"


def _sum_of_few(x: str, axis: int, length: int, out: str) -> str:
    """A sum along a short axis, faster by additions of its slices."""
    slices = [f"{x}[{':, ' * axis}{i}]" for i in range(length)]
    text = slices[0]
    for y in slices[1:]:
        text = f"np.add({text}, {y}, {out})"
    return text


def _is_thin(n: Node) -> bool:
    """Whether a product is a stack of small matrices made of long ones."""
    inside = shape_of(n.args[0])[-1]
    return len(n.shape) > 2 and inside >= 64 and max(n.shape[-2:]) <= 4 and not n.options


def _thin_product(args: list[str]) -> str:
    """A product of matrices by the inner products of rows, faster where they are few and long."""
    return f"np.vecdot({args[0]}[..., :, None, :], {args[1]}.swapaxes(-1, -2)[..., None, :, :])"


def _getitem(n: Node, args: list[str], names: Names, text: Text) -> str | None:
    return f"{args[0]}[{names.index(n.args[1], text)}]" if shape_of(n.args[0]) else None


def _reshape(n: Node, args: list[str], names: Names, text: Text) -> str | None:
    if len(args) != 2 or not isinstance(n.args[0], Node):
        return None
    if not shape_of(n.args[0]):  # `np.reshape` of a number takes five times as long
        axes = len(n.shape)
        return f"np.array({'(' * axes}{args[0]}{',)' * axes})" if axes else None
    return f"{args[0]}.reshape({args[1]})"


def _transpose(n: Node, args: list[str], names: Names, text: Text) -> str | None:
    if not isinstance(n.args[0], Node):
        return None
    backwards = n.args[1:] in ((), (None,), (tuple(range(len(n.shape)))[::-1],))
    return f"{args[0]}.T" if backwards else f"{args[0]}.transpose({args[1]})"


def _inner(n: Node, args: list[str], names: Names, text: Text) -> str:
    flat = "dot" if len(shape_of(n.args[0])) == 1 else "vdot"
    return f"np.{flat}({args[0]}, {args[1]})"


def _part(n: Node, args: list[str], names: Names, text: Text) -> str:
    return f"{args[0]}[{n.args[1]}]"


_SPECIAL: dict[Any, Callable[[Node, list[str], Names, Text], str | None]] = {
    operator.getitem: _getitem,
    np.reshape: _reshape,
    np.transpose: _transpose,
    PART: _part,
    inner: _inner,
}


def takes_out(n: Node) -> bool:
    """Whether the operation can write into a buffer."""
    if n.dtype is None or math.prod(n.shape) < SMALL or n.op is np.where:
        return False
    if n.op is np.matmul:
        return not _is_thin(n)
    if n.op in (np.sum, np.max, np.min, np.all, np.any):
        return not dict(n.options).keys() - {"axis", "keepdims"}
    return is_elementwise(n.op) and not n.options


_VIEWS = {
    np.reshape, np.transpose, np.broadcast_to, np.squeeze, np.expand_dims, np.ravel, np.diagonal,
    np.swapaxes, np.moveaxis, operator.getitem, PART,
}  # fmt: skip


_FRESH = {
    None, np.matmul, np.stack, np.concatenate, inner, scatter, as_type, np.array, np.copy, np.tile,
    np.repeat, np.cumsum, np.outer, np.take_along_axis,
    *(np.linalg.inv, np.linalg.solve, np.linalg.cholesky, np.linalg.slogdet, np.linalg.det),
}  # fmt: skip


def may_be_view(n: Node) -> bool:
    """Whether the result may share memory with an argument."""
    if n.shape == () and n.dtype is not None:
        return False
    return not (is_elementwise(n.op) or n.op in REDUCING or n.op in _FRESH)
