"""What a program computes from data alone, once for each binding."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import nodes_in, plain_result
from genparams.compiled.algebra.ir import Node, Program, Recurrence
from genparams.numeric import quiet
from genparams.program.recorded import DATA


class DataStage:
    """The operations of a program on data, which numpy computes.

    Recurrences, and what reads them, are left to the compiled function, which is faster.

    Args:
        each_step: The data that differ from step to step: what reads them is left out, too.
    """

    def __init__(self, program: Program, each_step: Sequence[Node] = ()):
        self.inputs = program.data
        self.given = {n for n in program.data if n not in each_step}
        """What is known once data are bound."""
        self.nodes: list[Node] = []
        for n in program.nodes:
            known = all(a in self.given for a in nodes_in(n.args))
            if n.stage == DATA and known and not isinstance(n.op, Recurrence):
                self.given.add(n)
                self.nodes.append(n)
        tests = [t for t in program.tests if isinstance(t.asked, Node) and t.asked in self.given]
        self._answers = {t.asked: t.answer for t in tests}
        self._options = {n: dict(n.options) for n in self.nodes}

    @quiet
    def values(self, data: Sequence[Any]) -> dict[Node, Any] | None:
        """The values of inputs and operations; None if a test has another answer.

        Raises:
            Exception: as an operation does.
        """
        found: dict[Node, Any] = dict(zip(self.inputs, data, strict=True))
        if not all(self._passes(n, found[n]) for n in self.inputs):
            return None
        for n in self.nodes:
            args = [_filled(a, found) for a in n.args]
            found[n] = plain_result(n.op(*args, **self._options[n]))
            if not self._passes(n, found[n]):
                return None
        return found

    def _passes(self, n: Node, value: Any) -> bool:
        return n not in self._answers or np.array_equal(value, self._answers[n])


def _filled(a: Any, found: dict[Node, Any]) -> Any:
    if isinstance(a, Node):
        return found[a]
    if type(a) is tuple:
        return tuple([_filled(x, found) for x in a])
    if type(a) is slice:
        return slice(*(_filled(x, found) for x in (a.start, a.stop, a.step)))
    return a
