"""What the text of a body says before it runs: the parameters it declares, the calls it never runs.

A body is read once, from the file that Python itself would show in a traceback. Where there is no
text, or it is not the text of this body any more, nothing is known; a run still finds a constraint
that differs (`ParamStore.declare`).
"""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, get_origin
from weakref import WeakKeyDictionary

import numpy as np

from genparams.constraints import interval
from genparams.dsl.interpreter import Call, param
from genparams.types import Constraint

_NOT_KNOWN: Any = object()
_PURE = (interval, np.array, np.zeros, np.ones, np.full, np.eye)
"""Functions whose value for known arguments is known before a run."""


class Source:
    """The text of one body, and the values of its names."""

    def __init__(self, body: Callable[..., Any]):
        self._body = body

    def declaration(self, name: str) -> tuple[Any, Constraint | None] | None:
        """The first value and the constraint that the body gives a parameter.

        None if it declares none of that name, or if only a run can tell what it gives.
        """
        found = [(self._value(init), self._value(c)) for init, c in self._declared(name)]
        if not found or any(_NOT_KNOWN in map(_known, pair) for pair in found):
            return None
        first, rest = found[0], found[1:]
        return first if all(_same(first, other) for other in rest) else None

    def constraint(self, name: str) -> Constraint | None:
        """The constraint that the body declares for a parameter; None if it cannot be told."""
        found = [self._value(c) for _, c in self._declared(name)]
        known = [c for c in found if c is not None and c is not _NOT_KNOWN]
        return known[0] if known and all(c == known[0] for c in known) else None

    def declares(self, name: str) -> bool:
        """Whether the body declares a parameter of that name, whatever its value."""
        return bool(list(self._declared(name)))

    def never_run(self, read: frozenset[CodeType] = frozenset()) -> str | None:
        """The first call that the body makes and never runs, and where; None if there is none.

        Functions of the same module that the body uses are read too, but for those in `read`.
        """
        text = _text_of(self._body)
        if text is None:
            return None
        code = self._body.__code__
        for call in text.dropped:
            if self._makes_calls(self._value(call.func, callables=True)):
                return f"{ast.unparse(call)} in line {call.lineno} of {code.co_filename}"
        for call in text.calls:
            helper = self._helper(call)
            if helper is not None and helper.__code__ not in read:
                found = Source(helper).never_run(read | {code})
                if found:
                    return found
        return None

    def _helper(self, call: ast.Call) -> FunctionType | None:
        """The function that is called, if it is an ordinary one of the body's own module."""
        function = self._value(call.func, callables=True)
        same = isinstance(function, FunctionType) and function.__globals__ is self._globals
        return function if same else None

    def _makes_calls(self, function: Any) -> bool:
        """Whether a function gives a `Call`: a generative function does, so does `mixture`, and so
        does a function of the same module that returns what one of these gives.
        """
        if hasattr(type(function), "perform"):
            return True
        returned = getattr(function, "__annotations__", {}).get("return")
        if returned is Call or get_origin(returned) is Call:
            return True
        if not isinstance(function, FunctionType) or function.__globals__ is not self._globals:
            return False
        text, other = _text_of(function), Source(function)
        return text is not None and any(
            hasattr(type(other._value(call.func, callables=True)), "perform")
            for call in text.returned
        )

    @property
    def _globals(self) -> Any:
        return getattr(self._body, "__globals__", None)

    def reads(self, name: str) -> bool:
        """Whether the body reads a parameter of that name, in some of its runs or in all."""
        return bool(list(self._read(name)))

    def _declared(self, name: str) -> Iterator[tuple[ast.expr | None, ast.expr | None]]:
        """The expressions of the first value and of the constraint in every declaration."""
        for given in self._read(name):
            if "init" in given:
                yield given["init"], given.get("constraint")

    def _read(self, name: str) -> Iterator[dict[str, ast.expr]]:
        """The arguments of every `param(name, ...)` in the body."""
        text = _text_of(self._body)
        for call in text.calls if text is not None else ():
            names: list[str] = ["name", "init", "constraint"]
            given = dict(zip(names, call.args, strict=False))
            given.update({k.arg: k.value for k in call.keywords if k.arg})
            called = given.get("name")
            if (
                isinstance(called, ast.Constant)
                and called.value == name
                and self._value(call.func, callables=True) is param
            ):
                yield given

    def _value(self, node: ast.expr | None, callables: bool = False) -> Any:
        """The value of an expression, if it does not depend on the run."""
        if node is None:
            return None
        if isinstance(node, ast.Name):
            value = self._named(node.id)
        elif isinstance(node, ast.Attribute):
            owner = self._value(node.value, callables=True)
            known = owner is not _NOT_KNOWN and not isinstance(owner, Call)
            value = getattr(owner, node.attr, _NOT_KNOWN) if known else _NOT_KNOWN
        elif isinstance(node, ast.Call):
            value = self._computed(node)
        else:
            try:
                value = ast.literal_eval(node)
            except (ValueError, TypeError, SyntaxError):
                value = _NOT_KNOWN
        is_constraint = hasattr(value, "coordinates") and not isinstance(value, type)
        plain = isinstance(node, ast.Call | ast.Constant) or not isinstance(
            node, ast.Name | ast.Attribute
        )
        return value if callables or plain or is_constraint else _NOT_KNOWN

    def _computed(self, node: ast.Call) -> Any:
        function = self._value(node.func, callables=True)
        if not any(function is pure for pure in _PURE):
            return _NOT_KNOWN
        args = [self._value(a) for a in node.args]
        named = {k.arg: self._value(k.value) for k in node.keywords if k.arg}
        if _NOT_KNOWN in map(_known, [*args, *named.values()]) or len(named) < len(node.keywords):
            return _NOT_KNOWN
        try:
            return function(*args, **named)
        except (TypeError, ValueError):
            return _NOT_KNOWN  # the run says what is wrong with it

    def _named(self, name: str) -> Any:
        """The value of a name that the body does not bind itself."""
        body: Any = self._body
        text = _text_of(body)
        if text is None or name in text.bound:
            return _NOT_KNOWN
        free = body.__code__.co_freevars
        try:
            if name in free:
                return body.__closure__[free.index(name)].cell_contents
        except ValueError:  # not bound yet
            return _NOT_KNOWN
        return body.__globals__.get(name, getattr(builtins, name, _NOT_KNOWN))


def _known(value: Any) -> Any:
    return _NOT_KNOWN if value is _NOT_KNOWN else None


def _same(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[1] == other[1] and np.array_equal(one[0], other[0])


# --- Reading


@dataclass(frozen=True, slots=True)
class Text:
    """What is read of one body, once."""

    calls: tuple[ast.Call, ...]
    dropped: tuple[ast.Call, ...]
    """Calls that are the value of a statement, or of a name that the body never reads."""
    returned: tuple[ast.Call, ...]
    """Calls whose results the body returns."""
    bound: frozenset[str]
    """The names that the body binds: arguments, targets, functions, classes, imports."""


_TEXTS: "WeakKeyDictionary[CodeType, Text | None]" = WeakKeyDictionary()


def _text_of(body: Callable[..., Any]) -> Text | None:
    """The text of a body; None if there is none, or it is the text of something else."""
    code = getattr(body, "__code__", None)
    if code is None:
        return None
    if code not in _TEXTS:
        node = _read(code)
        _TEXTS[code] = node and Text(
            calls=tuple(_calls(node)),
            dropped=tuple(_dropped(node)),
            returned=tuple(_returned(node)),
            bound=_bound(node),
        )
    return _TEXTS[code]


def _read(code: CodeType) -> Any:
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return None
    ast.increment_lineno(module, code.co_firstlineno - 1)
    kinds = ast.Lambda if code.co_name == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    fitting = [n for n in ast.walk(module) if isinstance(n, kinds) and _fits(n, code)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(node: Any, code: CodeType) -> bool:
    """Whether a piece of text belongs to a code object: of its name, and with the same names."""
    if isinstance(node, ast.FunctionDef) and node.name != code.co_name:
        return False
    args = node.args
    names = [a.arg for a in [*args.posonlyargs, *args.args, *args.kwonlyargs]]
    names += [a.arg for a in (args.vararg, args.kwarg) if a is not None]
    words = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    words |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return tuple(names) == code.co_varnames[: len(names)] and words >= {
        *code.co_freevars,
        *(n for n in code.co_names if "." not in n and not _imported(node)),
    }


def _imported(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(node))


def _statements(node: Any) -> list[ast.AST]:
    """The parts of a body, without its signature and its decorators."""
    return node.body if isinstance(node.body, list) else [node.body]


def _inside(node: Any) -> Iterator[ast.AST]:
    """Every node of a body, without the functions and classes that it defines."""
    waiting: list[ast.AST] = list(_statements(node))
    while waiting:
        at = waiting.pop()
        yield at
        if not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(at)


def _calls(node: Any) -> Iterator[ast.Call]:
    return (n for n in _inside(node) if isinstance(n, ast.Call))


def _returned(node: Any) -> Iterator[ast.Call]:
    for n in _inside(node):
        if isinstance(n, ast.Return) and n.value is not None:
            yield from _results(n.value)


def _bound(node: Any) -> frozenset[str]:
    found: set[str] = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    for n in ast.walk(node):
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            found.add(n.id)
        elif isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and n is not node:
            found.add(n.name)
        elif isinstance(n, ast.alias):
            found.add(n.asname or n.name.split(".")[0])
        elif isinstance(n, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and n.name:
            found.add(n.name)
        elif isinstance(n, ast.MatchMapping) and n.rest:
            found.add(n.rest)
    return frozenset(found)


# --- Calls whose value goes nowhere


def _dropped(node: Any) -> Iterator[ast.Call]:
    read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if read & {"locals", "vars", "eval", "exec", "globals"}:
        return
    shared = {
        name for n in ast.walk(node) if isinstance(n, ast.Global | ast.Nonlocal) for name in n.names
    }
    for n in _inside(node) if isinstance(node.body, list) else ():
        if isinstance(n, ast.Expr):
            values = [n.value]
        elif isinstance(n, ast.Assign):
            values = [v for t in n.targets for v in _unread(t, n.value, read | shared)]
            values = values if len(n.targets) == 1 else []
        elif isinstance(n, ast.AnnAssign | ast.NamedExpr) and n.value is not None:
            values = list(_unread(n.target, n.value, read | shared))
        else:
            continue
        for value in values:
            yield from _results(value)


def _unread(target: ast.expr, value: ast.expr, read: set[str]) -> Iterator[ast.expr]:
    """The values that go to names which are never read."""
    if isinstance(target, ast.Name):
        if target.id not in read:
            yield value
        return
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        for t, v in zip(target.elts, value.elts, strict=False):
            yield from _unread(t, v, read)


def _results(value: ast.expr) -> Iterator[ast.Call]:
    """The calls whose results a value is, or holds."""
    if isinstance(value, ast.Call):
        yield value
    elif isinstance(value, ast.IfExp):
        yield from _results(value.body)
        yield from _results(value.orelse)
    elif isinstance(value, ast.BoolOp):
        yield from _results(value.values[-1])
    elif isinstance(value, ast.Tuple | ast.List | ast.Set):
        for part in value.elts:
            yield from _results(part)
    elif isinstance(value, ast.Dict):
        for part in value.values:
            yield from _results(part)
    elif isinstance(value, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        yield from _results(value.elt)
    elif isinstance(value, ast.DictComp | ast.NamedExpr):
        yield from _results(value.value)
