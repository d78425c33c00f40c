"""What parameters that step alike have in common: formulas, constants, and counts of steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from genparams.params import Parameter
from genparams.update.formula import Elementwise
from genparams.update.kernel import kernel, overflow

Path = tuple[str, ...]
Parts = Sequence[tuple[Path, Elementwise]]
"""Formulas that run one after the other, each with the path of its state."""
Given = Mapping[Parameter, Any] | None
"""Gradients by parameter; None for the accumulated ones."""


def at_path(state: Mapping[str, Any], path: Path) -> Any:
    """A part of a nested state."""
    for name in path:
        state = state[name]
    return state


def _getter(path: Path) -> Callable[[Mapping[str, Any]], Any]:
    """`at_path` of one path. Most paths have one name, for which `itemgetter` is faster."""
    return itemgetter(path[0]) if len(path) == 1 else partial(at_path, path=path)


class Group:
    """The formulas of parameters that step alike.

    Args:
        parts: The formulas.
        counts: How many steps the parameters have taken so far, by formula.
    """

    __slots__ = ("_constants", "code", "counts", "fields", "parts")

    def __init__(self, parts: Parts, counts: Sequence[int]):
        self.parts, self.counts = parts, counts
        self.code = kernel(tuple([formula for _, formula in parts]))
        self.fields = [(path, name) for path, formula in parts for name in formula.fields]
        self._constants = [
            (formula.constants, count if formula.counts else None, _getter(path))
            for (path, formula), count in zip(parts, counts, strict=True)
            if formula.constants is not None
        ]

    def constants(self, taken: int, state: Mapping[str, Any]) -> list[float]:
        """The constants of a step, after the steps that the stepper has taken."""
        found: list[float] = []
        for constants, count, shared in self._constants:
            found += constants(shared(state) if count is None else count + taken + 1)
        return found

    def sources(self) -> Iterator[tuple[Callable[[Any], tuple[float, ...]], int | None, Any]]:
        """What gives the constants, in order: a function; how many steps there were before the
        stepper, if it takes their count; and what finds the shared state that it takes else."""
        return iter(self._constants)

    def table(self, taken: int, steps: int, state: Mapping[str, Any]) -> np.ndarray:
        """The constants of the next steps, and what is computed from them alone: a row for each.

        Functions that take an array of counts are called once.

        Raises:
            ArithmeticError, ValueError: a number overflows.
        """
        t = np.arange(taken + 1, taken + steps + 1)
        columns: list[Any] = []
        for constants, count, shared in self._constants:
            if count is None:
                columns += constants(shared(state))
            else:
                columns += _of_each(constants, t + count)
        try:
            found = self.code.folded(*columns)
        except TypeError:  # a function of `math`, which takes single numbers
            rows = zip(*(np.broadcast_to(c, steps).tolist() for c in columns), strict=True)
            return np.array([self.code.folded(*one) for one in rows])
        table = np.empty((steps, len(found)))
        for k, column in enumerate(found):
            table[:, k] = column
        return table

    def folded(self, constants: list[float], parameter: Parameter) -> tuple[float, ...]:
        """The constants of a step, and what is computed from them alone.

        Args:
            parameter: One of the group, for the message.

        Raises:
            UpdateError: a number overflows.
        """
        try:
            return self.code.folded(*constants)
        except (ArithmeticError, ValueError):
            raise overflow(parameter) from None


def _of_each(constants: Callable[[Any], tuple[float, ...]], t: np.ndarray) -> Sequence[Any]:
    """The constants at each count: columns, or numbers that are the same at all."""
    ends = [constants(int(t[0])), constants(int(t[-1]))]
    with suppress(Exception):  # a user's function may take single numbers alone
        with np.errstate(all="ignore"):
            found = constants(t)  # type: ignore[arg-type]
        columns = [np.broadcast_to(np.asarray(c, float), t.shape) for c in found]
        if np.allclose([[c[0], c[-1]] for c in columns], np.transpose(ends), rtol=1e-12, atol=0.0):
            return columns
    return np.array([constants(int(k)) for k in t]).T  # type: ignore[return-value]
