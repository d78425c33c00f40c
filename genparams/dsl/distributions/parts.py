"""What distributions that are made of other distributions share."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Any
from weakref import WeakValueDictionary

from genparams.autodiff import Box, np, raw
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.errors import ArgumentError
from genparams.text import brief


def with_arguments(
    parts: Iterable[Any], args: Sequence[Any]
) -> Iterator[tuple[Any, Sequence[Any]]]:
    """Each distribution with its own arguments, which follow each other part by part."""
    start = 0
    for part in parts:
        end = start + len(part.arguments)
        yield part, args[start:end]
        start = end


def base_of(what: str, call: Any, form: str) -> Distribution:
    """The distribution of a call that something is to be made of, written as in `form`."""
    if not isinstance(call, Call) or not isinstance(call.fn, Distribution):
        raise ArgumentError(
            f"{what} takes a call of a distribution such as normal(mu, std), got {no_call(call)}; "
            f"write {form}"
        )
    if call.options is not None:
        raise ArgumentError(
            f"a call inside {what} takes no size; write {what}(..., size={call.options!r})"
        )
    return call.fn


def no_call(given: Any) -> str:
    """What was given in place of a call, in a sentence."""
    if isinstance(given, AbstractDistribution):
        return f"{given.__name__} without its arguments"
    if isinstance(given, Call):
        return repr(given)
    number = isinstance(given, (Real, np.ndarray, Box))
    return f"{brief(given)}{' (a call inside another takes no @)' if number else ''}"


def without_boxes(x: Any) -> Any:
    """A value, or a tuple of values, without boxes."""
    return tuple(map(without_boxes, x)) if type(x) is tuple else raw(x)


def made_of_parts(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, which returns the same thing for the same parts while that thing is alive.

    A cache keeps the last 256. A thing is pickled by its `recipe`: this function and the parts.
    """
    living: WeakValueDictionary[tuple, Any] = WeakValueDictionary()

    @functools.lru_cache(maxsize=256)
    @functools.wraps(make)
    def made(*parts: Any) -> Any:
        found = living.get(parts)
        if found is None:
            found = living[parts] = make(*parts)
            found.recipe = made, parts
        return found

    return made
