"""Data simulated at the estimates."""

from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.errors import InvalidValue
from genparams.learning.saved import needed
from genparams.text import brief
from genparams.trace.trace import Trace

if TYPE_CHECKING:
    from genparams.learning.result import FitResult


def check_count(what: str, n: Any, least: int = 1) -> int:
    """A whole number of at least `least`.

    Raises:
        InvalidValue: it is not.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
        raise InvalidValue(f"{what} is a whole number of at least {least}, got {brief(n)}")
    return int(n)


def simulated(result: "FitResult", n: int, rng: Rng) -> list[Trace]:
    """n traces of each trace of the data, in turn."""
    model, generator = needed(result.model, "simulate"), seeded(rng)
    return [t for _ in range(check_count("n", n, 0)) for t in model.simulate(generator)]
