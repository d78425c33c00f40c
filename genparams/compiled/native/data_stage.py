"""What a program computes from data alone, once for each binding."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.compiled.builder import plain_result
from genparams.compiled.ir import Node, Program
from genparams.compiled.native.values import is_loop
from genparams.numeric import quiet
from genparams.program.recorded import DATA


@quiet
def data_values(program: Program, data: Sequence[Any]) -> dict[Node, Any] | None:
    """The values of all nodes that depend on data alone; None if a test has another answer.

    Raises:
        Exception: as an operation does.
    """
    found: dict[Node, Any] = dict(zip(program.data, data, strict=True))
    asked = {t.asked: t.answer for t in program.tests if isinstance(t.asked, Node)}
    if not all(_same(found[n], asked[n]) for n in program.data if n in asked):
        return None
    for n in program.nodes:
        if n.stage == DATA and not is_loop(n):
            args = [_filled(a, found) for a in n.args]
            found[n] = plain_result(n.op(*args, **dict(n.options)))
            if n in asked and not _same(found[n], asked[n]):
                return None
    return found


def _same(found: Any, answer: Any) -> bool:
    return np.array_equal(found, answer)


def _filled(a: Any, found: dict[Node, Any]) -> Any:
    if isinstance(a, Node):
        return found[a]
    if type(a) is tuple:
        return tuple([_filled(x, found) for x in a])
    if type(a) is slice:
        return slice(*(_filled(x, found) for x in (a.start, a.stop, a.step)))
    return a
