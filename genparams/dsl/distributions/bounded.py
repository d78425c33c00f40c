"""The formulas of values between bounds: a value by its coordinate u, and log |d value / d u|.

| bounds | value | u |
| --- | --- | --- |
| low | low + exp(u) | log(x - low) |
| high | high - exp(u) | log(high - x) |
| both | low + (high - low) expit(u) | logit((x - low) / (high - low)) |

A formula returns what it computes for each entry, and the derivatives by u, low and high.
"""

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from genparams.autodiff import np, operand, raw
from genparams.numeric import arrays, scalars


class Side(Enum):
    """On which sides of the values there is a finite bound."""

    NONE = (False, False)
    LOWER = (True, False)
    UPPER = (False, True)
    BOTH = (True, True)
    MIXED = "not the same for all entries"


def sides_of(low: Any, high: Any) -> Side:
    """The finite bounds among two bounds without boxes."""
    lower, upper = _is_finite(low), _is_finite(high)
    return Side.MIXED if None in (lower, upper) else Side((lower, upper))


def _is_finite(bound: Any) -> bool | None:
    """Whether all entries are finite, or none is; None if they differ."""
    if type(bound) is float:
        return math.isfinite(bound)
    finite = np.isfinite(bound)
    return True if np.all(finite) else None if np.any(finite) else False


def functions_of(*values: Any) -> Any:
    """The functions of numbers, or of arrays and boxes."""
    return scalars if all(type(v) is float for v in values) else arrays


def inside_bounds(value: Any, low: Any, high: Any) -> Any:
    """A value moved to the next float inside where rounding made it equal a finite bound.

    A traced value keeps its derivative.
    """
    at = raw(value)
    if type(at) is float and type(low) is float and type(high) is float:
        if (at > low and (at < high or high == math.inf)) or at != at:
            return value
    elif np.all((at > low) & ((at < high) | (high == math.inf)) | np.isnan(at)):
        return value
    top = np.where(high == math.inf, math.inf, np.nextafter(high, -math.inf))
    inside = np.minimum(np.maximum(at, np.nextafter(low, math.inf)), top)
    with np.errstate(invalid="ignore"):
        shift = np.where(at == inside, 0.0, inside - at)
    found = value + shift
    return operand(found)


# --- The formulas


Formula = Callable[..., tuple[Any, Sequence[Any]]]
"""`formula(m, u, low, high)`, with `m` the functions of numbers or of arrays."""


def _from_low(m: Any, u: Any, low: Any, high: Any) -> tuple[Any, Sequence[Any]]:
    away = m.exp(u)
    return low + away, (away, 1.0, 0.0)


def _from_high(m: Any, u: Any, low: Any, high: Any) -> tuple[Any, Sequence[Any]]:
    away = m.exp(u)
    return high - away, (-away, 0.0, 1.0)


def _between(m: Any, u: Any, low: Any, high: Any) -> tuple[Any, Sequence[Any]]:
    share, rest, width = m.expit(u), m.expit(-u), high - low
    return low + width * share, (width * share * rest, rest, share)


def _mixed(m: Any, u: Any, low: Any, high: Any) -> tuple[Any, Sequence[Any]]:
    lower, upper = np.isfinite(raw(low)), np.isfinite(raw(high))
    both, one = lower & upper, lower ^ upper
    low, high = np.where(lower, low, 0.0), np.where(upper, high, 0.0)
    away = np.exp(np.where(one, u, 0.0))
    inside, (by_u, by_low, by_high) = _between(m, np.where(both, u, 0.0), low, high)
    half = np.where(lower, low + away, high - away)
    by_half = np.where(lower, away, -away)
    return np.where(both, inside, np.where(one, half, u)), (
        np.where(both, by_u, np.where(one, by_half, 1.0)),
        np.where(both, by_low, np.where(lower, 1.0, 0.0)),
        np.where(both, by_high, np.where(upper, 1.0, 0.0)),
    )


def _log_det_between(m: Any, u: Any, low: Any, high: Any) -> tuple[Any, Sequence[Any]]:
    width = high - low
    value = m.log(width) + m.log_expit(u) + m.log_expit(-u)
    return value, (m.expit(-u) - m.expit(u), -1.0 / width, 1.0 / width)


def _log_det_mixed(m: Any, u: Any, low: Any, high: Any) -> tuple[Any, Sequence[Any]]:
    lower, upper = np.isfinite(raw(low)), np.isfinite(raw(high))
    both, one = lower & upper, lower ^ upper
    low, high = np.where(both, low, 0.0), np.where(both, high, 1.0)
    inside, (by_u, by_low, by_high) = _log_det_between(m, np.where(both, u, 0.0), low, high)
    return np.where(both, inside, np.where(one, u, 0.0)), (
        np.where(both, by_u, np.where(one, 1.0, 0.0)),
        np.where(both, by_low, 0.0),
        np.where(both, by_high, 0.0),
    )


NATURAL: dict[Side, Formula] = {
    Side.LOWER: _from_low,
    Side.UPPER: _from_high,
    Side.BOTH: _between,
    Side.MIXED: _mixed,
}
LOG_DET: dict[Side, Formula] = {Side.BOTH: _log_det_between, Side.MIXED: _log_det_mixed}
