"""Loops whose iterations need the ones before them, as jobs of a plan."""

from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node, Recurrence, Statement
from genparams.compiled.native.fuse import Lines, Value
from genparams.compiled.native.scalar_text import expression, kind_of, literal
from genparams.compiled.native.values import Values
from genparams.compiled.native.views import View
from genparams.errors import CannotRecord
from genparams.program.record import TESTS

_TRUTHS = {*TESTS, np.isfinite, np.isnan, np.isinf, np.logical_xor}

Text = tuple[str, str]
"""A name or a number, and its kind."""


def recurrence(values: Values, node: Node) -> Value:
    """A `Recurrence`: the vectors that it keeps are stored; `member` picks one."""
    loop: Recurrence = node.op
    args = [values.of(a) for a in node.args]
    for a in args:
        if a.shape:
            values.plan.stored(a)
    level = values.plan.read_in_section(*args)
    kept = {j: values.plan.memory((loop.length,), "f") for j in loop.kept}

    def job(section: Lines) -> None:
        _Writer(loop, args, section).write(kept)

    values.plan.in_section(level, job)
    shape = (loop.length,)
    values.parts[node] = [Value(shape, "f", level, view=kept[j]) for j in loop.kept]
    return Value((), "f", level)


def member(values: Values, node: Node) -> Value:
    """A member of a result that is a tuple, such as a vector that a recurrence keeps."""
    whole, i = node.args
    values.of(whole)
    if whole not in values.parts:
        raise CannotRecord("a result that is a tuple, for numba")
    return values.parts[whole][i]


class _Writer:
    """The lines of one recurrence."""

    def __init__(self, loop: Recurrence, args: list[Value], section: Lines):
        self.loop, self.args, self.section = loop, args, section
        self.lines = Lines(section.plan, section.level)
        self.locals: list[Text] = []
        """What each statement computes."""
        self.before: dict[tuple[int, int], Text] = {}
        """What a statement computed some iterations ago."""

    def write(self, kept: dict[int, View]) -> None:
        for j, first in self.loop.first.items():
            self._begin(j, first)
        for statement in self.loop.body:
            self.locals.append(self._statement(statement))
        body = self.lines.body
        body += [f"{view.at(['t'])} = {self.locals[j][0]}" for j, view in kept.items()]
        for j, first in self.loop.first.items():
            for d in range(len(first), 0, -1):
                later = self.before[j, d - 1] if d > 1 else self.locals[j]
                body.append(f"{self.before[j, d][0]} = {later[0]}")
        self.section.body.append(f"for t in range({self.loop.length}):")
        self.section.body += ["  " + line for line in body]

    def _begin(self, j: int, first: tuple[int, ...]) -> None:
        """Names for what a statement computed before the first iteration, the latest last."""
        for d, k in enumerate(reversed(first), 1):
            name = self.section.plan.new_name()
            start, kind = self.section.load(self.args[k])[()], self.args[k].kind
            self.section.body.append(f"{name} = {start if kind == 'b' else f'float({start})'}")
            self.before[j, d] = name, "b" if kind == "b" else "f"

    def _statement(self, s: Statement) -> Text:
        given = [self._argument(a) for a in s.args]
        kinds = [kind for _, kind in given]
        picks_truth = s.op is np.where and set(kinds[1:]) == {"b"}
        kind = "b" if s.op in _TRUTHS or picks_truth else "f"
        name = self.section.plan.new_name()
        text = expression(s.op, [text for text, _ in given], kinds, kind)
        self.lines.body.append(f"{name} = {text}")
        return name, kind

    def _argument(self, a: tuple[Any, ...]) -> Text:
        if a[0] == "input":
            return self.section.load(self.args[a[1]])[()], self.args[a[1]].kind
        if a[0] == "entry":
            value = self.args[a[1]]
            assert value.view is not None
            return self.lines.name(value.view.at(["t"])), value.kind
        if a[0] == "local":
            return self.locals[a[1]]
        if a[0] == "before":
            return self.before[a[1], a[2]]
        return literal(a[1]), kind_of(a[1])
