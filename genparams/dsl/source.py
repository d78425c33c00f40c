"""The text of a body: its calls, and the values of its names, known before it runs.

A body is read once, from the file that Python itself would show in a traceback. Where there is no
text, or the text belongs to something else by now, nothing is known.
"""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from genparams.dsl.call import Call

T = TypeVar("T")
Body = Callable[..., Any]
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def once_per_body(read: Callable[[Body], T]) -> Callable[[Body], T]:
    """Keep what a function reads in a body, for all functions that have this body."""
    known: WeakKeyDictionary[CodeType, T] = WeakKeyDictionary()

    def reading(body: Body) -> T:
        code = body.__code__
        if code not in known:
            known[code] = read(body)
        return known[code]

    return reading


@once_per_body
def syntax_of(body: Body) -> Any:
    """The syntax tree of a body; None if there is none, or if several might be it."""
    code = body.__code__
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return None
    ast.increment_lineno(module, code.co_firstlineno - 1)
    found = [n for n in ast.walk(module) if isinstance(n, Function) and _fits(n, code)]
    return found[0] if len(found) == 1 else None


@once_per_body
def calls_in(body: Body) -> list[ast.Call]:
    """The calls in a body."""
    return [n for n in nodes_in(body) if isinstance(n, ast.Call)]


@once_per_body
def declared_outside(body: Body) -> set[str]:
    """The names that a body, or a function in it, declares global or nonlocal."""
    nodes = ast.walk(syntax_of(body) or ast.Pass())
    names = [n.names for n in nodes if isinstance(n, ast.Global | ast.Nonlocal)]
    return {name for several in names for name in several}


def nodes_in(body: Body) -> Iterator[ast.AST]:
    """Every node of a body, without its signature and the functions and classes in it."""
    node = syntax_of(body)
    if node is None:
        return
    waiting: list[ast.AST] = [*node.body] if isinstance(node.body, list) else [node.body]
    while waiting:
        at = waiting.pop()
        yield at
        if not isinstance(at, Function | ast.ClassDef):
            waiting += ast.iter_child_nodes(at)


def value_of(node: ast.expr, body: Body) -> Any:
    """The value of a name in a body, or of an attribute of one; None if only a run can tell."""
    if isinstance(node, ast.Attribute):
        owner = value_of(node.value, body)
        if isinstance(owner, Call):
            return None
        found = inspect.getattr_static(owner, node.attr, None)  # runs no property
        return found.__func__ if isinstance(found, staticmethod) else found
    if not isinstance(node, ast.Name) or node.id in _changed_names(body):
        return None
    if node.id not in body.__code__.co_freevars:
        return body.__globals__.get(node.id, getattr(builtins, node.id, None))
    cells: Any = body.__closure__
    try:
        return cells[body.__code__.co_freevars.index(node.id)].cell_contents
    except ValueError:  # not bound yet
        return None


@once_per_body
def _changed_names(body: Body) -> set[str]:
    """The names that a run of a body may give other values."""
    return _locals(body.__code__) | declared_outside(body)


def _locals(code: CodeType) -> set[str]:
    """The local names of a code object and of the functions and comprehensions in it."""
    inside = [_locals(part) for part in code.co_consts if isinstance(part, CodeType)]
    return {*code.co_varnames, *code.co_cellvars}.union(*inside)


def _fits(node: Any, code: CodeType) -> bool:
    """Whether a syntax tree belongs to a code object: by its name, arguments and global names."""
    args = node.args
    names = [a.arg for a in [*args.posonlyargs, *args.args, *args.kwonlyargs]]
    names += [a.arg for a in (args.vararg, args.kwarg) if a is not None]
    inside = list(ast.walk(node))
    words = {n.id for n in inside if isinstance(n, ast.Name)}
    words |= {n.attr for n in inside if isinstance(n, ast.Attribute)}
    expected = set(code.co_freevars)
    if not any(isinstance(n, ast.Import | ast.ImportFrom) for n in inside):
        expected |= {name for name in code.co_names if "." not in name}
    return (
        code.co_name == getattr(node, "name", "<lambda>")
        and tuple(names) == code.co_varnames[: len(names)]
        and words >= expected
    )
