"""The values of a program's nodes, and the jobs of a plan that compute them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import is_elementwise
from genparams.compiled.algebra.ir import Node, Recurrence
from genparams.compiled.native.fuse import (
    SMALL,
    Lines,
    Names,
    Plan,
    Value,
    constant_value,
    space_of,
)
from genparams.compiled.native.views import (
    VIEWING,
    See,
    entries_through,
    is_basic,
    seeing,
    whole,
)
from genparams.errors import CannotRecord
from genparams.program.recorded import as_type, recordable

_KINDS = {"f": np.float64, "i": np.int64, "b": np.bool_}

Compute = Callable[[Lines, list[Names]], Names]
"""Writes lines that compute entries from the entries of arguments."""


class Values:
    """The values of a program's nodes.

    Args:
        table: How to compute each operation that is not elementwise.
        elementwise: How to compute the others.
        given: The nodes whose values are known before the function runs.
    """

    def __init__(self, table: Mapping[Any, "Lower"], elementwise: "Lower", given: set[Node]):
        self._table, self._elementwise, self.given = table, elementwise, given
        self.plan = Plan()
        self.known: dict[Node, Value] = {}
        self.data: list[tuple[Any, str]] = []
        """Nodes and constant arrays that the function takes as flat arrays, with their kinds."""
        self.numbers: list[Node] = []
        """Nodes that are single floats and come in one array."""
        self.indices: list[tuple[Any, int]] = []
        """Given indices, and the lengths of the axes within which they have to be."""
        self.parts: dict[Node, list[Value]] = {}
        """The members of results that are tuples."""
        self.settled: dict[Any, Any] = {}
        """The nodes whose values are tested, with the answers."""
        self.functions: dict[str, Callable[..., Any]] = {}
        """The loops that the text calls, by name."""
        self._constants: dict[int, Value] = {}

    def of(self, a: Any) -> Value:
        """The value of a node or of a constant."""
        if isinstance(a, Node):
            if a not in self.known:
                self.known[a] = self._given(a) if a in self.given else self._computed(a)
            return self.known[a]
        if isinstance(a, np.ndarray):
            if id(a) not in self._constants:
                self._constants[id(a)] = self.array(a, a.shape, a.dtype)
            return self._constants[id(a)]
        if isinstance(a, (bool, int, float)):
            return constant_value(a)
        raise CannotRecord(f"{type(a).__name__} as an argument, for numba")

    def _given(self, node: Node) -> Value:
        """The value of a node that is known before the function runs."""
        if node.op in VIEWING:
            found = self.viewed(node)
            if found is not None:
                return found
        if node.dtype is None:
            raise CannotRecord("a tuple of data, for numba")
        if node.shape == () and node.dtype.kind == "f":
            self.numbers.append(node)
            return Value((), "f", view=whole("n", len(self.numbers) - 1, ()))
        return self.array(node, node.shape, node.dtype)

    def array(self, array: Any, shape: tuple[int, ...], dtype: np.dtype) -> Value:
        """The value of a node or of a constant array that the function takes."""
        kind = "i" if dtype.kind == "u" else dtype.kind
        if kind not in _KINDS or 0 in shape:
            raise CannotRecord(f"an array of shape {shape} and type {dtype}, for numba")
        self.data.append((array, kind))
        return Value(shape, kind, view=whole(f"d{len(self.data) - 1}", 0, shape))

    def _computed(self, node: Node) -> Value:
        kind = "" if node.dtype is None else node.dtype.kind
        known = node.dtype is None or (kind in _KINDS and np.dtype(_KINDS[kind]) == node.dtype)
        if not known or 0 in node.shape:
            raise CannotRecord(f"an array of shape {node.shape} and type {node.dtype}, for numba")
        if is_elementwise(node.op) or node.op is as_type:
            return self._elementwise(self, node)
        lower = self._table.get(_kind_of(node.op))
        if lower is None:
            raise CannotRecord(f"{getattr(node.op, '__name__', node.op)}, for numba")
        return lower(self, node)

    def new(self, node: Node, **where: Any) -> Value:
        """A value of the shape and kind of a node."""
        assert node.dtype is not None
        return Value(node.shape, node.dtype.kind, **where)

    def answered(self, a: Any) -> Any:
        """An argument with the answer in place of each node that is tested."""
        if isinstance(a, Node):
            return self.settled.get(a, a)
        if type(a) is tuple:
            return tuple(map(self.answered, a))
        if type(a) is slice:
            return slice(*map(self.answered, (a.start, a.stop, a.step)))
        return a

    # --- Ways to compute

    def in_section(self, node: Node, args: list[Value], compute: Compute) -> Value:
        """A small result, computed from the entries of its arguments in straight lines."""
        level = self.plan.read_in_section(*args)
        found = self.new(node, ready=level)

        def job(section: Lines) -> None:
            found.names = compute(section, [section.load(a) for a in args])

        found.names = np.empty(node.shape, object)  # until the job has run
        self.plan.in_section(level, job)
        return found

    def in_loop(
        self,
        node: Node,
        args: list[Value],
        arg_axes: list[tuple[int, ...]],
        axes: tuple[int, ...],
        compute: Compute,
        level: int = 0,
    ) -> Value:
        """A result of which a loop over some axes computes the entries.

        Args:
            arg_axes: For each argument and each axis of the loop the argument's axis; -1 if the
                argument is the same along it.
            level: The first level on which the loop can run, for other reasons.
        """
        space = space_of(node.shape, axes)
        level = self.plan.read_in_loop([*zip(args, arg_axes, strict=True)], space, level)
        found = self.new(node, ready=level + 1, level=level, space=space, axes=axes)

        def job(loop: Lines) -> None:
            found.names = compute(loop, loaded(loop, args, arg_axes))

        self.plan.in_loop(level, space, job)
        return found

    # --- Values seen in another way

    def viewed(self, node: Node) -> Value | None:
        """The value of a node that only shows its argument in another way; None otherwise."""
        source, *args = node.args
        args = [self.answered(a) for a in args]
        if not isinstance(source, (Node, np.ndarray)) or not is_plain(args):
            return None
        see = seeing(node.op, tuple(args), dict(node.options))
        return self.seen(self.of(source), see, node.shape)

    def seen(self, x: Value, see: See, shape: tuple[int, ...]) -> Value | None:
        """A value shown in another way; None if that needs a copy."""
        found = Value(shape, x.kind, x.ready)
        if x.space is None and x.names is not None:
            found.names = lambda: see(x.entries())
            return found
        through = None if x.space is None else entries_through(see, x.shape, x.axes)
        if through is not None and through[1][0].size <= SMALL:
            found.axes, places = through
            found.level, found.space, found.origin = x.level, x.space, (x, see)
            found.names = lambda: x.entries()[places]
            return found
        like = x.view or (self.plan.stored(x) if x.origin else whole("", 0, x.shape))
        if like.through(see) is None:
            return None
        found.view = self.plan.stored(x).through(see)
        return found


def _kind_of(op: Any) -> Any:
    """The entry of the table for an operation."""
    if isinstance(op, Recurrence):
        return Recurrence
    return recordable if hasattr(op, "loops") else op


Lower = Callable[[Values, Node], Value]
"""Plans how a node is computed."""


def loaded(loop: Lines, args: list[Value], arg_axes: list[tuple[int, ...]]) -> list[Names]:
    """The entries of arguments in an iteration of a loop."""
    return [
        loop.load(v, {a: f"i{d}" for d, a in enumerate(axes) if a >= 0})
        for v, axes in zip(args, arg_axes, strict=True)
    ]


def is_plain(args: Any) -> bool:
    """Whether arguments are constants that name axes, shapes or a basic index."""
    return all(map(is_basic, args))
