"""Checks of what a user asks of a fit: one of several names, and a number of times."""

from collections.abc import Collection
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, nearest
from genparams.text import brief


def one_of(what: str, given: Any, known: Collection[str]) -> Any:
    """One of several names.

    Raises:
        InvalidValue: it is none of them.
    """
    if not isinstance(given, str) or given not in known:
        raise InvalidValue(
            f"there is no {what} of kind {brief(given)}; {nearest(str(given), known)}"
        )
    return given


def check_count(what: str, n: Any, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        InvalidValue: it is not.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
        raise InvalidValue(f"{what} is a whole number of at least {least}, got {brief(n)}")
    return int(n)
