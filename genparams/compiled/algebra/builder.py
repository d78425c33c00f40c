"""Programs built one operation at a time: each operation once, in its simplest form.

`Builder.make` is what a program is made with. It gives the node of an operation on nodes and
constants; or a constant, or another node, where algebra allows it. An operation on equal arguments
gives the same node again.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node, Program, Test
from genparams.compiled.algebra.rules import RULES
from genparams.compiled.algebra.shapes import REDUCTIONS, normal_reduction, shape_and_dtype
from genparams.compiled.algebra.totals import inner
from genparams.program.recorded import ALWAYS, DATA

Options = tuple[tuple[str, Any], ...]

COMMUTATIVE = {
    np.add, np.multiply, np.maximum, np.minimum, np.equal, np.not_equal, np.logaddexp,
    np.bitwise_and, np.bitwise_or, np.logical_and, np.logical_or, inner,
}  # fmt: skip

_WITH_NUMBERS = {
    np.add, np.subtract, np.multiply, np.true_divide, np.power, np.maximum, np.minimum,
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.where,
}  # fmt: skip
"""Operations for which a whole number beside floats may be written as a float."""


class Builder:
    """The operations of a program that is being made."""

    def __init__(self) -> None:
        self.parameters: list[Node] = []
        self.data: list[Node] = []
        self.nodes: list[Node] = []
        """The operations, each after those that it reads; inputs are not among them."""
        self._known: dict[Any, Node] = {}
        self._kept: dict[int, Any] = {}  # so that the id of a constant is not used again
        self._uniform: dict[int, float | None] = {}

    def input(self, stage: int, shape: tuple[int, ...], dtype: Any, name: str) -> Node:
        """An input of the stage DATA or PARAMETERS."""
        made = Node(None, (), (), shape, np.dtype(dtype), stage, name)
        (self.data if stage == DATA else self.parameters).append(made)
        return made

    def make(
        self,
        op: Any,
        args: Sequence[Any],
        options: Options = (),
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ) -> Any:
        """The node of an operation, simplified; or a constant, if all arguments are constants.

        Args:
            args: Nodes, constants, and tuples of these.
            shape, dtype: Of the result; by default they are found where the operation is an
                elementwise ufunc, a reduction or one that rearranges numbers.
        """
        args = tuple(map(canonical, args))
        if op in REDUCTIONS:
            args, options = normal_reduction(op, args, options)
        if not holds_node(args):
            return constant(op, args, options)
        if is_elementwise(op) and not options:
            return self._elementwise(op, args)
        if shape is None:
            shape, dtype = shape_and_dtype(op, args, options)
        dtype = None if dtype is None else np.dtype(dtype)
        rule = RULES.get(op)
        simpler = rule(self, args, options, shape, dtype) if rule else None
        return self.node(op, args, options, shape, dtype) if simpler is None else simpler

    def _elementwise(self, op: Any, args: tuple[Any, ...]) -> Any:
        """An operation entry by entry: on what its arguments were before they were broadcast."""
        shape = common_shape(args)
        args = tuple([self.narrow(a) for a in args])
        natural = common_shape(args)
        if not holds_node(args):
            return self.broadcast(constant(op, args, ()), shape)
        if op in _WITH_NUMBERS:
            args = _as_floats(op, args)
        dtype = elementwise_dtype(op, args)
        rule = RULES.get(op)
        made = rule(self, args, (), natural, dtype) if rule else None
        if made is None:
            made = self.node(op, args, (), natural, dtype)
        return self.broadcast(made, shape)

    def narrow(self, a: Any) -> Any:
        """What an argument was before it was broadcast, or the number that an array repeats."""
        if isinstance(a, Node):
            return a.args[0] if a.op is np.broadcast_to else a
        if isinstance(a, np.ndarray):
            number = self.uniform(a)
            return a if number is None else number
        return a

    def uniform(self, a: np.ndarray) -> float | None:
        """The number that every entry of a constant array equals, if there is one."""
        if id(a) not in self._uniform:
            self._kept[id(a)] = a
            self._uniform[id(a)] = _uniform(a)
        return self._uniform[id(a)]

    def broadcast(self, a: Any, shape: tuple[int, ...]) -> Any:
        if shape_of(a) == shape:
            return a
        if not isinstance(a, Node):
            return np.broadcast_to(a, shape)
        return self.node(np.broadcast_to, (a, shape), (), shape, a.dtype)

    def node(
        self, op: Any, args: tuple[Any, ...], options: Options, shape: Any, dtype: Any
    ) -> Node:
        """The node of an operation as it is; the one of an equal operation, if there is one."""
        key = (op, self.key(args), self.key(options) if options else ())
        known = self._known.get(key)
        if known is None and op in COMMUTATIVE:
            known = self._known.get((op, key[1][::-1], key[2]))
        if known is None:
            known = Node(op, args, options, tuple(shape), dtype, stage_of(args))
            self._known[key] = known
            self.nodes.append(known)
        return known

    def existing(self, op: Any, args: tuple[Any, ...]) -> Node | None:
        """The node of an elementwise operation, if the program has it already."""
        return self._known.get((op, self.key(args), ()))

    def key(self, a: Any) -> Any:
        """A key that is equal for equal constants; for arrays, if they are the same object."""
        kind = type(a)
        if kind is Node:
            return a
        if kind is tuple:
            return tuple([self.key(x) for x in a])
        if kind is float:
            return a.hex()  # tells 0.0 from -0.0, and finds NaN again
        if kind is slice:
            return (slice, self.key(a.start), self.key(a.stop), self.key(a.step))
        if kind in (int, bool, str) or a is None or a is Ellipsis or isinstance(a, np.dtype):
            return (kind, a)
        self._kept[id(a)] = a
        return id(a)

    def program(self, results: Sequence[Any], tests: Sequence[Test] = ()) -> Program:
        """The program of results and tests, without the operations that nothing reads."""
        read = reached([*results, *(t.asked for t in tests)])
        nodes = [n for n in self.nodes if n in read]
        _turn(nodes, [*results, *(t.asked for t in tests)])
        read = reached([*results, *(t.asked for t in tests)])
        nodes = [n for n in nodes if n in read]
        return Program(self.parameters, self.data, nodes, list(results), list(tests))


def _turn(nodes: Sequence[Node], results: Sequence[Any]) -> None:
    """Write -(x - y) as y - x where nothing else reads x - y."""
    uses = Counter(a for n in nodes for a in nodes_in(n.args))
    uses.update(n for r in results for n in nodes_in(r))
    for n in nodes:
        (x, *_) = n.args or (None,)
        if n.op is np.negative and isinstance(x, Node) and x.op is np.subtract and uses[x] == 1:
            n.op, n.args = np.subtract, x.args[::-1]


# --- Arguments


def canonical(a: Any) -> Any:
    """Single numbers of numpy as Python's; lists as tuples."""
    if isinstance(a, np.generic) or (type(a) is np.ndarray and not a.ndim):
        return a.item()
    return tuple(map(canonical, a)) if type(a) in (list, tuple) else a


def holds_node(a: Any) -> bool:
    """Whether a value is a node, or a tuple or a slice with one in it."""
    return bool(nodes_in(a))


def nodes_in(a: Any) -> list[Node]:
    """The nodes in an argument, or in a tuple of arguments."""
    kind = type(a)
    if kind is Node:
        return [a]
    if kind is slice:
        a = (a.start, a.stop, a.step)
    elif kind is not tuple:
        return []
    found = []
    for x in a:
        if type(x) is Node:
            found.append(x)
        elif type(x) is tuple or type(x) is slice:
            found += nodes_in(x)
    return found


def reached(results: Sequence[Any]) -> set[Node]:
    """The nodes that results read, and the results."""
    found: set[Node] = set()
    waiting = nodes_in(tuple(results))
    while waiting:
        n = waiting.pop()
        if n not in found:
            found.add(n)
            waiting += nodes_in(n.args)
    return found


def stage_of(a: Any) -> int:
    """What a value depends on: nothing, data, or parameters."""
    return max([n.stage for n in nodes_in(a)], default=ALWAYS)


def shape_of(a: Any) -> tuple[int, ...]:
    if isinstance(a, (Node, np.ndarray)):
        return a.shape
    return () if type(a) in (float, bool, int) else np.shape(a)


def common_shape(args: Sequence[Any]) -> tuple[int, ...]:
    """The shape that arguments broadcast to."""
    shapes = {shape_of(a) for a in args}
    return shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)


def constant(op: Any, args: tuple[Any, ...], options: Options) -> Any:
    """The result of an operation on constants."""
    with np.errstate(all="ignore"):
        return plain_result(op(*args, **dict(options)))


def plain_result(value: Any) -> Any:
    """A result as a float, a truth value, a whole number, an array or a tuple of these."""
    if isinstance(value, np.generic) or (type(value) is np.ndarray and not value.ndim):
        return value.item()
    return tuple(map(plain_result, value)) if isinstance(value, (tuple, list)) else value


def _uniform(a: np.ndarray) -> float | None:
    if a.dtype != float or not a.size:
        return None
    first = a.item(0)
    same = np.all(a == first) and (first != 0.0 or len(set(np.signbit(a).flat)) == 1)
    return first if same else None


def _as_floats(op: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Whole numbers beside floats as floats, so that equal operations are written equally."""
    numbers = args[1:] if op is np.where else args
    if not any(_is_float(a) for a in numbers):
        return args
    return tuple([float(a) if type(a) is int and abs(a) < 2**53 else a for a in args])


def _is_float(a: Any) -> bool:
    return type(a) is float or (isinstance(a, (Node, np.ndarray)) and a.dtype == float)


# --- Elementwise operations


def is_elementwise(op: Any) -> bool:
    """Whether an operation computes each entry of its result from one entry of each argument."""
    return op is np.where or (isinstance(op, np.ufunc) and op.nout == 1 and op.signature is None)


def elementwise_dtype(op: Any, args: tuple[Any, ...]) -> np.dtype:
    """The dtype of an elementwise operation. A single number takes the precision of an array."""
    kinds = tuple(map(_kind, args[1:] if op is np.where else args))
    return _result_dtype(np.add if op is np.where else op, kinds)


def _kind(a: Any) -> Any:
    if isinstance(a, (Node, np.ndarray)):
        if a.shape or a.dtype is None:
            return a.dtype
        return {"f": float, "i": int}.get(a.dtype.kind, a.dtype)
    return np.dtype(bool) if type(a) is bool else type(a)


@lru_cache(maxsize=4096)
def _result_dtype(op: np.ufunc, kinds: tuple[Any, ...]) -> np.dtype:
    weak = all(k in (float, int) for k in kinds)
    numbers = [np.dtype(k) if weak and not isinstance(k, np.dtype) else k for k in kinds]
    return op.resolve_dtypes((*numbers, None))[-1]
