"""The text of a recurrence: a loop over single numbers, whose vectors are lists."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from genparams.compiled.algebra.ir import Recurrence, Statement
from genparams.compiled.writing.calls import Names, bare, written
from genparams.program.write import indented, template


def recurrence_lines(
    loop: Recurrence,
    names: Names,
    number: Callable[[int], str],
    entries: Callable[[int], str],
    kept: Sequence[str],
) -> list[str]:
    """The lines of a loop.

    Args:
        number: The text of an argument that is a single number.
        entries: The text of an argument that is a vector, as a list.
        kept: The names of the lists for the statements `loop.kept`.
    """
    texts = _Texts(loop, names, number)
    before = [
        f"{texts.before(j, d)} = {bare(number(places[-d]))}"
        for j, places in loop.first.items()
        for d in range(1, len(places) + 1)
    ]
    body = texts.body()
    body += [f"{out}.append({texts.local(j)})" for out, j in zip(kept, loop.kept, strict=True)]
    for j, places in loop.first.items():
        body += [f"{texts.before(j, d)} = {texts.before(j, d - 1)}"
                 for d in range(len(places), 1, -1)]  # fmt: skip
        body.append(f"{texts.before(j, 1)} = {texts.local(j)}")
    return [
        *before,
        *(f"{out} = []" for out in kept),
        _head(texts.entries, entries, loop.length),
        *indented(body or ["pass"]),
    ]


def _head(named: dict[int, str], entries: Callable[[int], str], length: int) -> str:
    if not named:
        return f"for _ in range({length}):"
    lists = [entries(k) for k in named]
    if len(lists) == 1:
        return f"for {next(iter(named.values()))} in {lists[0]}:"
    return f"for {', '.join(named.values())} in zip({', '.join(lists)}):"


class _Texts:
    """The texts of the statements of a body."""

    def __init__(self, loop: Recurrence, names: Names, number: Callable[[int], str]):
        self._loop, self._names, self._number = loop, names, number
        self._uses = Counter(a[1] for s in loop.body for a in s.args if a[0] == "local")
        self._read_later = {*loop.kept, *loop.first}
        self._of: dict[int, str] = {}
        self._before: dict[tuple[int, int], str] = {}
        self.entries: dict[int, str] = {}

    def local(self, j: int) -> str:
        return self._of[j]

    def before(self, j: int, d: int) -> str:
        if (j, d) not in self._before:
            self._before[j, d] = self._names.fresh(f"last{j}" if d == 1 else f"last{j}_{d}")
        return self._before[j, d]

    def body(self) -> list[str]:
        lines = []
        for j, s in enumerate(self._loop.body):
            text = self._statement(s, lines)
            if self._uses[j] == 1 and j not in self._read_later and len(text) < 80:
                self._of[j] = f"({text})"
            else:
                self._of[j] = self._names.fresh(f"s{j}")
                lines.append(f"{self._of[j]} = {text}")
        return lines

    def _statement(self, s: Statement, lines: list[str]) -> str:
        args = [self._argument(a) for a in s.args]
        form = template(s.op)
        if form is None:
            name = self._names.of(s.op, getattr(s.op, "__name__", "f"))
            return f"float({name}({', '.join(map(bare, args))}))"
        for i, a in enumerate(args):
            if a.startswith("(") and form.count(f"{{{i}}}") > 1:
                args[i] = self._names.fresh()
                lines.append(f"{args[i]} = {bare(a)}")
        return written(form, args)

    def _argument(self, a: tuple[Any, ...]) -> str:
        kind, which, *rest = a
        if kind == "local":
            return self._of[which]
        if kind == "before":
            return self.before(which, rest[0])
        if kind == "input":
            return self._number(which)
        if kind == "entry":
            if which not in self.entries:
                self.entries[which] = self._names.fresh(f"e{which}")
            return self.entries[which]
        return self._names.literal(which, str)
