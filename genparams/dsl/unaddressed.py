"""Calls that a body makes and never runs: `normal(0, 1)` without `@ "name"`.

Such a call makes no choice, so the model is not the one its author meant. It is found in the text
of the body: the result of the call is the value of a statement, or of a name that is never read.
"""

import ast
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any, get_origin

from genparams.dsl.call import Call
from genparams.dsl.source import (
    Body,
    calls_in,
    declared_outside,
    nodes_in,
    once_per_body,
    syntax_of,
    value_of,
)


def call_never_run(body: Body, known: set[CodeType] | None = None) -> str | None:
    """A call that a body makes and never runs, and its line; None if there is none.

    Functions of the same module that the body calls are searched too, except those in `known`.
    """
    known = set() if known is None else known
    code = body.__code__
    known.add(code)
    for call in _dropped(body):
        if _makes_calls(value_of(call.func, body), body):
            return f"{ast.unparse(call)} in line {call.lineno} of {code.co_filename}"
    for call in calls_in(body):
        helper = value_of(call.func, body)
        if _is_of_module(helper, body) and helper.__code__ not in known:
            found = call_never_run(helper, known)
            if found:
                return found
    return None


def _makes_calls(function: Any, body: Body) -> bool:
    """Whether a function gives a `Call`: a generative function does, so does `mixture`, and so
    does a function of the same module that returns what a generative function gives.
    """
    returned = getattr(function, "__annotations__", {}).get("return")
    if _is_generative(function) or returned is Call or get_origin(returned) is Call:
        return True
    if not _is_of_module(function, body):
        return False
    return any(_is_generative(value_of(call.func, function)) for call in _returned(function))


def _is_generative(function: Any) -> bool:
    return hasattr(type(function), "perform")


def _is_of_module(function: Any, body: Body) -> bool:
    """Whether it is an ordinary function of the module of a body."""
    return isinstance(function, FunctionType) and function.__globals__ is body.__globals__


# --- The results of calls


@once_per_body
def _returned(body: Body) -> list[ast.Call]:
    """The calls whose results a body returns."""
    values = [n.value for n in nodes_in(body) if isinstance(n, ast.Return) and n.value is not None]
    return [call for value in values for call in _results(value)]


@once_per_body
def _dropped(body: Body) -> list[ast.Call]:
    """The calls whose results are values of statements, or of names that are never read."""
    node = syntax_of(body)
    if node is None or isinstance(node, ast.Lambda):
        return []
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    read = {n.id for n in names if isinstance(n.ctx, ast.Load)}
    if read & {"locals", "vars", "eval", "exec", "globals"}:
        return []
    read |= declared_outside(body)
    values = [value for n in nodes_in(body) for value in _unread_of(n, read)]
    return [call for value in values for call in _results(value)]


def _unread_of(node: ast.AST, read: set[str]) -> Iterator[ast.expr]:
    """The values that a statement or an assignment drops, given the names that are read."""
    if isinstance(node, ast.Expr):
        yield node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        yield from _unread(node.targets[0], node.value, read)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from _unread(node.target, node.value, read)


def _unread(target: ast.expr, value: ast.expr, read: set[str]) -> Iterator[ast.expr]:
    """The values that go to names which are never read."""
    if isinstance(target, ast.Name):
        if target.id not in read:
            yield value
    elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        for t, v in zip(target.elts, value.elts, strict=False):
            yield from _unread(t, v, read)


_HELD: dict[type[ast.expr], tuple[str, ...]] = {
    ast.IfExp: ("body", "orelse"),
    ast.BoolOp: ("values",),
    ast.NamedExpr: ("value",),
    **dict.fromkeys((ast.Tuple, ast.List, ast.Set), ("elts",)),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.GeneratorExp), ("elt",)),
    ast.Dict: ("values",),
    ast.DictComp: ("value",),
}
"""By kind of expression, the parts whose values its value is, or holds."""


def _results(value: ast.expr) -> Iterator[ast.Call]:
    """The calls whose results a value is, or holds."""
    if isinstance(value, ast.Call):
        yield value
    for field in _HELD.get(type(value), ()):
        parts = getattr(value, field)
        for part in parts if isinstance(parts, list) else [parts]:
            yield from _results(part)
