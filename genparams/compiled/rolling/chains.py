"""Chains of additions: a value to which each iteration adds terms.

    total(t) = total(t - 1) + sum_k sign_k term_k(t)

The totals are a running sum. (If only the last total is read, the additions are no chain of a loop:
`sums` makes one operation of them before loops are found.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import Builder, shape_of
from genparams.compiled.algebra.ir import Node
from genparams.compiled.rolling.classify import Before, Loop, Operand
from genparams.compiled.rolling.stream import Rows


@dataclass(frozen=True, slots=True)
class Chain:
    """Statements that add to one value.

    Args:
        head: The statement whose value the next iteration goes on with.
        first: The value before the first iteration.
        terms: What is added, each with its sign.
    """

    head: int
    first: Any
    terms: list[tuple[int, Operand]]


def chain_of(loop: Loop, component: Sequence[int]) -> Chain | None:
    """The chain that statements are which need each other; None if they are none."""
    inside, terms, back = set(component), [], []
    for j in component:
        r = loop.stream.operations[loop.start + j]
        own = [type(o) is Before and o.statement in inside for o in loop.operands[j]]
        if r.op not in (np.add, np.subtract) or r.options or len(own) != 2 or sum(own) != 1:
            return None
        if r.dtype.kind != "f" or (r.op is np.subtract and not own[0]):
            return None
        other, before = loop.operands[j][own[0]], loop.operands[j][not own[0]]
        assert type(before) is Before
        terms.append((1 if r.op is np.add else -1, other))
        back += [before] if before.distance else []
    if len(back) != 1 or back[0].distance != 1:
        return None
    return Chain(back[0].statement, back[0].first[0], terms)


Argument = Callable[[Operand], Any]


def running(builder: Builder, chain: Chain, first: Any, argument: Argument, loop: Loop) -> Rows:
    """The value of a chain after each iteration."""
    make, added = builder.make, None
    shape = loop.stream.operations[loop.start + chain.head].shape
    for sign, term in chain.terms:
        a = argument(term)
        lead = () if not isinstance(a, Rows) else (loop.length, *(1,) * (len(shape) - len(a.shape)))
        a = make(np.reshape, (a.value, (*lead, *a.shape))) if isinstance(a, Rows) else a
        if added is None:
            added = a if sign > 0 else make(np.negative, (a,))
        else:
            added = make(np.add if sign > 0 else np.subtract, (added, a))
    full = (loop.length, *shape)
    sums = make(np.cumsum, (builder.broadcast(added, full),), (("axis", 0),), full, float)
    return Rows(make(np.add, (sums, first)))


def over_iterations(builder: Builder, a: Any, length: int) -> Any:
    """The sum of a term over all iterations."""
    make = builder.make
    if not isinstance(a, Rows):
        return make(np.multiply, (a, float(length)))
    x = a.value
    if not a.shape:
        return make(np.sum, (_before_sum(x),))
    if isinstance(x, Node) and x.op is scatter:
        return _over_scattered(builder, x, a.shape)
    if isinstance(x, Node) and x.op is np.multiply and len(a.shape) == 1:
        for u, v in (x.args, x.args[::-1]):
            if shape_of(u) == (length, 1) and shape_of(v) == x.shape:
                return make(np.matmul, (make(np.reshape, (u, (length,))), v))
    return make(np.sum, (x,), (("axis", (0,)),))


def _before_sum(x: Any) -> Any:
    """What sums along all axes but the first are sums of; else the array itself."""
    if isinstance(x, Node) and x.op is np.sum and len(x.shape) == 1:
        inner = x.args[0]
        if dict(x.options).get("axis") == tuple(range(1, len(inner.shape))):
            return inner
    return x


def _over_scattered(builder: Builder, x: Node, shape: tuple[int, ...]) -> Any:
    """The sum of zeros with entries added: zeros with all of these added."""
    g, keys, _ = x.args
    if isinstance(keys[0], slice):
        inner = builder.make(np.sum, (g,), (("axis", (0,)),))
        args = (inner, keys[1:], shape)
    else:
        count = len(keys[0])
        args = (g, tuple([np.broadcast_to(k, count) if type(k) is int else k for k in keys[1:]]),
                shape)  # fmt: skip
    return builder.make(scatter, args, (), shape, float)
