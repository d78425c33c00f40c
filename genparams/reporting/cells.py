"""The cells of a table: numbers, texts, and missing numbers with their reasons.

A plain number is shown with five significant digits, an integer in full. `Rounded` shows a number
to a given decimal place, `PValue` a probability with four decimals. Large and small numbers are
shown with an exponent. The text of a number is the number rounded to the digits that are shown.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeAlias

from genparams.errors import InvalidValue
from genparams.text import brief

DIGITS = 5
"""The significant digits of a plain number."""
MOST_PLACES = 7
"""The decimals up to which a number may be shown as zero."""
MOST_DIGITS = 15
"""The significant digits of any number: a float holds no more."""
EXPONENT = 10
"""Numbers of more than this many digits before the point are shown with an exponent."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A number that cannot be given, and why. It is shown as `-`, with the reason as a note.

    Raises:
        InvalidValue: the reason is empty.
    """

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise InvalidValue("a missing number needs a reason; write Missing('why')")


@dataclass(frozen=True, slots=True)
class Rounded:
    """A number that is shown to a number of decimal places; -2 rounds to hundreds."""

    value: float
    places: int


@dataclass(frozen=True, slots=True)
class PValue:
    """A probability, shown with four decimals, or as `<0.0001`.

    Raises:
        InvalidValue: the number is not in [0, 1].
    """

    value: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.value <= 1.0:
            raise InvalidValue(f"a p-value is between 0 and 1, got {brief(self.value)}")


Cell: TypeAlias = int | float | str | Missing | Rounded | PValue


def checked(cell: Any, place: str) -> Cell:
    """A cell with its number as a Python int or float.

    Args:
        place: Where the cell is, for an error message.

    Raises:
        InvalidValue: it is no cell, or its number is NaN.
    """
    if isinstance(cell, (str, Missing, PValue)):
        return cell
    if isinstance(cell, Rounded):
        return Rounded(_number(cell.value, place), cell.places)
    return _number(cell, place)


def _number(value: Any, place: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidValue(
            f"{place} of the table is {brief(value)}; write a number, a text or Missing(reason)"
        )
    number = int(value) if isinstance(value, Integral) else float(value)
    if math.isnan(number):
        raise InvalidValue(f"{place} of the table is NaN; write Missing(reason)")
    return number


def number_of(cell: Cell) -> int | float | None:
    """The number of a cell; None for a text or a missing number."""
    if isinstance(cell, (Rounded, PValue)):
        return cell.value
    return None if isinstance(cell, (str, Missing)) else cell


def text_of(cell: int | float | Rounded | PValue) -> str:
    """The text of a number."""
    if isinstance(cell, PValue):
        return f"{cell.value:.4f}" if cell.value >= 0.0001 else "<0.0001"
    if isinstance(cell, Rounded):
        return _rounded(cell.value, cell.places)
    if isinstance(cell, int):
        return str(cell) if abs(cell) < 10**12 else f"{Decimal(cell):.{DIGITS - 1}e}"
    return _rounded(cell, places(cell, DIGITS)) if cell else "0"


def places(value: float, digits: int) -> int:
    """The decimal places that show a number with so many significant digits; 0 for 0 and inf."""
    if value == 0.0 or math.isinf(value):
        return 0
    return digits - 1 - _magnitude(value)


def _magnitude(value: float) -> int:
    """The exponent of a number in decimal notation."""
    return Decimal(value).adjusted()


def _rounded(value: float, places: int) -> str:
    if math.isinf(value):
        return str(value)
    if _is_fixed(value, places):
        text = f"{value:.{min(max(places, 0), MOST_PLACES if not value else MOST_DIGITS)}f}"
        return text if float(text) else text.lstrip("-")
    digits = min(max(_magnitude(value) + places, 1), MOST_DIGITS - 1)
    return f"{value:.{digits}e}"


def _is_fixed(value: float, places: int) -> bool:
    """Whether a number is shown without an exponent."""
    if value == 0.0:
        return True
    size = _magnitude(value)
    is_small = places > MOST_PLACES and size < -4
    return places >= -1 and not is_small and size < EXPONENT and size + places < MOST_DIGITS
