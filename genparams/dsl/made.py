"""Things that are made of the same parts again and again, such as `truncated(normal(...), ...)`."""

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary


def made_of_parts(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, which returns the same thing for the same parts while that thing is alive.

    The last 256 stay alive, so that a call in a loop makes a thing once. What is made keeps its
    `recipe`, this function and the parts, by which it is pickled.
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
