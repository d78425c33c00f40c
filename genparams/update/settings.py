"""The numbers that rules, schedules and projections take: what each must be.

`checked` checks the arguments of a function or a class before it runs, and adds the errors to its
docstring, so that the function itself contains only mathematics. `REQUIREMENTS` lists what an
argument of a rule must be, by its name.
"""

import inspect
import math
import textwrap
from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeVar

import numpy as np

from genparams.errors import InvalidValue
from genparams.mistakes import explained
from genparams.text import brief

Checked = TypeVar("Checked", bound=Callable[..., Any])

FloatType = str | type | np.dtype | None
"""A type of floats, such as "float32" or np.float64; None for the type of each parameter."""


class Requirement(NamedTuple):
    """What a number must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]
    example: str
    becomes: Callable[[Any], float] = float
    """The plain type of the number."""
    exempt: Callable[[Any], bool] = lambda value: False
    """Which values that are not numbers may be given too, and are not changed."""

    def accepts(self, value: Any) -> bool:
        """Whether a value is a number that meets the requirement."""
        return isinstance(value, Real) and not isinstance(value, bool) and self.holds(value)

    def or_none(self) -> "Requirement":
        """The same, or None."""
        return self._replace(exempt=lambda value: value is None)


FINITE = Requirement("a finite number", math.isfinite, "0.1")
ABOVE_0 = Requirement("above 0 and finite", lambda v: 0 < v < math.inf, "0.001")
AT_LEAST_0 = Requirement("at least 0 and finite", lambda v: 0 <= v < math.inf, "0.0")
RATE = AT_LEAST_0._replace(example="0.001")
RATE_OR_SCHEDULE = ABOVE_0._replace(words="above 0, or a schedule", exempt=callable)
SHARE = Requirement("at least 0 and below 1", lambda v: 0 <= v < 1, "0.9")
COUNT = Requirement(
    "a whole number from 0 on", lambda v: 0 <= v < math.inf and v == int(v), "100", becomes=int
)
COUNT_FROM_1 = Requirement(
    "a whole number above 0", lambda v: 1 <= v < math.inf and v == int(v), "4", becomes=int
)

REQUIREMENTS: dict[str, Requirement] = {
    **dict.fromkeys(("beta1", "beta2", "rho", "momentum"), SHARE),
    **dict.fromkeys(("epsilon", "epsilon_root", "min_norm"), AT_LEAST_0),
    **dict.fromkeys(("initial_accumulator_value", "initial_scale"), AT_LEAST_0),
    **dict.fromkeys(("decay", "weight_decay", "step_size_beta", "eta", "gamma"), AT_LEAST_0),
    **dict.fromkeys(("step_size", "step_size_init", "trust_coefficient"), ABOVE_0),
    **dict.fromkeys(("delta", "max_norm"), ABOVE_0),
    "learning_rate": RATE_OR_SCHEDULE,
    "momentum_decay": AT_LEAST_0.or_none(),
    "threshold": Requirement("at least 4", lambda v: 4 <= v < math.inf, "5.0"),
    "backoff_steps": COUNT,
    "clip_step": ABOVE_0.or_none(),
    "factor": FINITE,
    "k": COUNT_FROM_1,
    "seed": COUNT.or_none(),
}
"""What an argument of a rule must be, by its name."""


def number(owner: str, name: str, value: Any, requirement: Requirement) -> Any:
    """A value as a plain Python number, which leaves the type of an array as it is.

    Raises:
        InvalidValue: it does not meet the requirement.
    """
    if requirement.exempt(value):
        return value
    if requirement.accepts(value):
        return requirement.becomes(value)
    hint = f"; write {name}={requirement.example}" if name.isidentifier() else ""
    raise InvalidValue(f"{owner}: {name} must be {requirement.words}, got {brief(value)}{hint}")


def checked(**requirements: Requirement) -> Callable[[Checked], Checked]:
    """A decorator of functions and classes: the arguments named here are checked numbers.

    The function gets them as plain Python numbers. A call with wrong arguments is explained.
    """

    def check(f: Any) -> Any:
        if isinstance(f, type):
            f.__init__ = _checking(f.__init__, f.__name__, requirements)
        else:
            f = _checking(f, f.__name__, requirements)
        f.__doc__ = _with_errors(f.__doc__, requirements)
        return f

    return check


def _checking(f: Callable[..., Any], owner: str, requirements: dict[str, Requirement]) -> Any:
    signature = inspect.signature(f)
    names = list(signature.parameters)
    explaining = explained(f)

    def plain_number(name: str, value: Any) -> Any:
        required = requirements.get(name)
        return value if required is None else number(owner, name, value, required)

    @wraps(f)
    def checking(*args: Any, **named: Any) -> Any:
        try:
            signature.bind(*args, **named)
        except TypeError:
            return explaining(*args, **named)  # which says what is wrong
        first = map(plain_number, names, args)
        named = {name: plain_number(name, value) for name, value in named.items()}
        return explaining(*first, *args[len(names) :], **named)

    return checking


def _with_errors(doc: str | None, requirements: dict[str, Requirement]) -> str | None:
    """A docstring that also says what the numbers must be."""
    if not (doc and requirements):
        return doc
    needed: dict[str, list[str]] = {}
    for name, requirement in requirements.items():
        needed.setdefault(requirement.words, []).append(f"`{name}`")
    rules = "; ".join(f"{_and(names)} must be {words}" for words, names in needed.items())
    error = textwrap.fill(
        f"InvalidValue: {rules}.", 100, initial_indent=" " * 4, subsequent_indent=" " * 8
    )
    before, heading, after = inspect.cleandoc(doc).partition("Raises:\n")
    if heading:
        return f"{before}{heading}{error}\n{after}"
    return f"{before}\n\nRaises:\n{error}"


def _and(names: list[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1))


def plain(value: Any) -> Any:
    """A number as Python's own; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def float_type(dtype: FloatType) -> np.dtype | None:
    """The type of floats that is meant.

    Raises:
        InvalidValue: it is not a type of floats, or is shorter than float32.
    """
    if dtype is None:
        return None
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind != "f":
        raise InvalidValue(
            f"dtype must be a type of floats, got {brief(dtype)}; write dtype='float32' or "
            "dtype='float64'"
        )
    if found.itemsize < 4:
        raise InvalidValue(
            f"dtype must be at least float32, got {found}: the squares of gradients overflow, and "
            "epsilon underflows; write dtype='float32'"
        )
    return found
