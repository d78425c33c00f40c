"""The parameters that a body declares, `param(name, init, constraint=...)`, before it runs.

So a parameter can be read, set and loaded before the first run. What depends on the run is left to
the run, which finds a constraint that differs (`ParamStore.declare`).
"""

import ast
from contextlib import suppress
from typing import Any

import numpy as np

from genparams.constraints import interval
from genparams.dsl.interpreter import param
from genparams.dsl.source import Body, calls_in, value_of
from genparams.types import Constraint

_ARGUMENTS: list[str] = ["name", "init", "constraint"]
_CONSTANT = (interval, np.array, np.zeros, np.ones, np.full, np.eye)
"""Functions that give the same value in every run, if their arguments are constants."""


class SourceParams:
    """What a body says of its parameters."""

    def __init__(self, body: Body):
        self._body = body

    def reads(self, name: str) -> bool:
        """Whether the body reads a parameter of that name, in some of its runs or in all."""
        return bool(self._calls_of_param(name))

    def declares(self, name: str) -> bool:
        """Whether the body declares a parameter of that name, whatever its value."""
        return bool(self._declarations(name))

    def declaration(self, name: str) -> tuple[Any, Constraint | None] | None:
        """The first value and the constraint that the body gives a parameter.

        None if it declares none of that name, or if only a run can tell what it gives.
        """
        declared = self._declarations(name)
        try:
            found = [(self._constant(given["init"]), self._constraint(given)) for given in declared]
        except _DependsOnRun:
            return None
        return found[0] if found and all(_same(found[0], other) for other in found) else None

    def constraint(self, name: str) -> Constraint | None:
        """The constraint that the body declares for a parameter; None if it cannot be told."""
        found: list[Constraint | None] = []
        for given in self._declarations(name):
            with suppress(_DependsOnRun):
                found.append(self._constraint(given))
        known = [c for c in found if c is not None]
        return known[0] if known and all(c == known[0] for c in known) else None

    def _declarations(self, name: str) -> list[dict[str, ast.expr]]:
        """The arguments of every `param(name, init, ...)` in the body."""
        return [given for given in self._calls_of_param(name) if "init" in given]

    def _calls_of_param(self, name: str) -> list[dict[str, ast.expr]]:
        """The arguments of every `param(name, ...)` in the body."""
        found = []
        for call in calls_in(self._body):
            given: dict[str, ast.expr] = dict(zip(_ARGUMENTS, call.args, strict=False))
            given.update({k.arg: k.value for k in call.keywords if k.arg})
            called = given.get("name")
            if (
                isinstance(called, ast.Constant)
                and called.value == name
                and value_of(call.func, self._body) is param
            ):
                found.append(given)
        return found

    def _constraint(self, given: dict[str, ast.expr]) -> Any:
        return self._constant(given["constraint"]) if "constraint" in given else None

    def _constant(self, node: ast.expr) -> Any:
        """The value of an expression that is the same in every run."""
        if isinstance(node, ast.Name | ast.Attribute):
            value = value_of(node, self._body)
            if hasattr(value, "coordinates") and not isinstance(value, type):
                return value
        elif isinstance(node, ast.Call):
            return self._computed(node)
        else:
            with suppress(ValueError, TypeError, SyntaxError):
                return ast.literal_eval(node)
        raise _DependsOnRun

    def _computed(self, node: ast.Call) -> Any:
        function: Any = value_of(node.func, self._body)
        if not any(function is known for known in _CONSTANT):
            raise _DependsOnRun
        args = [self._constant(a) for a in node.args]
        named = {k.arg or "**": self._constant(k.value) for k in node.keywords}
        try:
            return function(*args, **named)
        except (TypeError, ValueError):  # a run says what is wrong; no function takes "**"
            raise _DependsOnRun from None


class _DependsOnRun(Exception):
    """Only a run can tell the value of an expression."""


def _same(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[1] == other[1] and np.array_equal(one[0], other[0])
