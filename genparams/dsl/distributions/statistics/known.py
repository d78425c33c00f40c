"""What is known of a distribution beside its density."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """No result, and why, in words that follow the name of the distribution and a colon."""

    reason: str


Information = Callable[[Sequence[Any], Sequence[Any], Shape], Any]
"""`information(args, tangents, batch)` is a matrix, or `Unknown`.

`args` are floats or arrays. `tangents[i]` holds the derivatives of args[i] by each parameter, in
the shape (p, *shape of args[i]), or is None where the argument depends on no parameter. At least
one is not None. `batch` is the shape of the batch.
"""


@dataclass(frozen=True, slots=True)
class NoInformation:
    """The information of a distribution for which there is no formula, for a reason."""

    reason: str

    def __call__(self, args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
        return Unknown(self.reason)


NO_FORMULA = NoInformation("it has no formula for its expected information")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Functions of the arguments of a distribution; None is a function that is not known."""

    information: Information = NO_FORMULA
    mean: Callable[..., Any] | None = None
    """`mean(*args)` is the mean of each value of the batch."""
    variance: Callable[..., Any] | None = None
    """`variance(*args)` is the variance of each number of a value."""
    cdf: Callable[..., Any] | None = None
    """`cdf(x, *args)` is P(X <= x)."""


NOTHING = Statistics()
