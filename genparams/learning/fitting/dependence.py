"""Whether the distribution of a choice depends on another choice that is drawn."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genparams.autodiff import raw
from genparams.dsl.execution import drawn
from genparams.dsl.interpreter import Choose, Operands
from genparams.dsl.likelihood.aside import sites_at
from genparams.dsl.likelihood.likelihood import given
from genparams.dsl.likelihood.sites import Site
from genparams.errors import GenParamsError, InvalidValue
from genparams.learning.fitting.model import Model
from genparams.types import Address, show

SEED = 7
"""Of the draws by which a dependence is found."""
TRIES = 100
"""How often a choice is drawn to find a value unlike another."""


def answered(known: Mapping[Address, Any], otherwise: Choose) -> Choose:
    """A `Choose` that gives the values that are known, and draws the others, without boxes."""

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        plain = [raw(o) for o in operands]
        if address in known:
            return distribution.coerce(known[address], plain, size)
        return otherwise(address, distribution, plain, size)

    return choose


def refuse_dependence(
    model: Model, function: Any, args: tuple[Any, ...], known: Mapping[Address, Any]
) -> None:
    """Refuse a model in which the distribution of a choice depends on a choice that is drawn.

    The model runs twice. Every choice that is not given has another value in the second run.

    Raises:
        InvalidValue: the second run finds other distributions or fails.
    """
    read = given(model.values)
    first = sites_at(function, args, read, answered(known, drawn(SEED)))
    values = {site.address: site.value for site in first}
    try:
        second = sites_at(function, args, read, answered(known, _unlike_all(values)))
    except (GenParamsError, LookupError, TypeError, ValueError, ArithmeticError):
        second = []
    if len(first) == len(second) and all(map(_same, first, second)):
        return
    drawn_ones = [a for a in values if a not in known]
    names = ", ".join(map(show, drawn_ones[:3]))
    raise InvalidValue(
        f"a choice of {function.__name__} depends on one of {names}, which is drawn: its mean has "
        "no formula. Give the choices on which others depend, predict(args, constraints={...}), "
        "or draw data, simulate(n)"
    )


def _unlike_all(values: Mapping[Address, Any]) -> Choose:
    """A `Choose` that gives each choice another value."""
    other = drawn(SEED + 1)

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        def draw() -> Any:
            return other(address, distribution, operands, size)

        return _other(values[address], draw) if address in values else draw()

    return choose


def _other(value: Any, draw: Callable[[], Any]) -> Any:
    """A value that differs from the first in every number, or another draw."""
    if isinstance(value, tuple):
        return tuple(map(_other, value, [lambda v=v: v for v in draw()]))
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "biu":
        return _unlike(value, draw)
    if numbers.dtype.kind == "b":
        changed = ~numbers
    else:
        changed = np.where(numbers > 0, numbers - 1, numbers + 1)
    return changed if numbers.ndim else type(value)(changed.item())


def _unlike(value: Any, draw: Callable[[], Any]) -> Any:
    """A draw without an entry that equals one of the value, or the last of many draws."""
    new = draw()
    for _ in range(TRIES):
        if not np.any(np.asarray(new) == np.asarray(value)):
            break
        new = draw()
    return new


def _same(a: Site, b: Site) -> bool:
    """Whether two choices have the same address, distribution and arguments."""
    if (a.address, a.distribution) != (b.address, b.distribution):
        return False
    return all(np.array_equal(x, y) for x, y in zip(a.args, b.args, strict=True))
