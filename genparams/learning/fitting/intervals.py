"""Intervals of several entries at one level."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from genparams.constraints import Interval, Positive
from genparams.errors import InvalidValue, UnknownParameter, nearest
from genparams.learning.views import frame
from genparams.mistakes import answering, closed
from genparams.numeric import quiet
from genparams.text import brief
from genparams.types import Array, Constraint


def normal_quantile(level: float) -> float:
    """The z with P(|Z| < z) = level, for a standard normal Z.

    Raises:
        InvalidValue: the level is not between 0 and 1.
    """
    return float(-special.ndtri(0.5 * (1.0 - check_level(level))))


def check_level(level: Any) -> float:
    """The probability of an interval.

    Raises:
        InvalidValue: it is not a number between 0 and 1.
    """
    is_number = isinstance(level, (int, float, np.number)) and not isinstance(level, bool)
    if not is_number or not 0.0 < level < 1.0:
        raise InvalidValue(
            f"the level of an interval is between 0 and 1, as 0.95; got {brief(level)}"
            f"{_instead_of(level)}"
        )
    return float(level)


def _instead_of(level: Any) -> str:
    """What to write instead of a percentage, or of the name of an entry."""
    if isinstance(level, str):
        return f"; write conf_int()[{level!r}] for one entry"
    is_number = isinstance(level, (int, float)) and not isinstance(level, bool)
    return f"; write {level / 100:g}" if is_number and 1.0 < level < 100.0 else ""


@closed()
@answering(lower="write low", upper="write high")
@dataclass(frozen=True, eq=False)
class Intervals(Mapping[str, tuple[float, float]]):
    """Intervals by the names of entries: `intervals["sigma"]` is a pair (low, high)."""

    entries: Sequence[str]
    low: Array
    high: Array
    level: float
    kind: str
    missing: Mapping[str, str]
    """The reason for each entry whose interval is NaN, or open at an end."""

    def __getitem__(self, entry: str) -> tuple[float, float]:
        """The ends of the interval of an entry.

        Raises:
            UnknownParameter: there is no such entry.
        """
        if entry not in self.entries:
            known = ", ".join(self.entries[:5])
            raise UnknownParameter(
                f"there is no entry {brief(entry)}; {nearest(str(entry), self.entries) or known}"
            )
        place = list(self.entries).index(entry)
        return float(self.low[place]), float(self.high[place])

    def get(self, entry: Any, default: Any = None) -> Any:
        """The ends of the interval of an entry; `default` if there is no such entry."""
        try:
            return self[entry]
        except UnknownParameter:
            return default

    def __contains__(self, entry: object) -> bool:
        return entry in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def table(self) -> Array:
        """The ends in two columns, in the order of the entries."""
        return np.column_stack([self.low, self.high])

    def to_frame(self) -> Any:
        """A data frame of pandas, with columns `low` and `high`."""
        return frame({"low": self.low, "high": self.high}, index=list(self.entries))

    def __repr__(self) -> str:
        width = max(map(len, self.entries), default=0)
        lines = [f"{n:<{width}}  ({a:.6g}, {b:.6g})" for n, (a, b) in self.items()]
        kind = "Wald" if self.kind == "wald" else self.kind
        notes = [f"{entry}: {reason}" for entry, reason in self.missing.items()]
        return "\n".join([f"{100 * self.level:.10g}% {kind} intervals", *lines, *notes])


@quiet
def on_scale(
    scales: Sequence[Constraint | None], at: Array, errors: Array, z: float
) -> tuple[Array, Array]:
    """The ends at - z errors and at + z errors of each entry, mapped to its natural scale."""
    low, high = at - z * errors, at + z * errors
    ends = [
        sorted((_mapped(scale, a), _mapped(scale, b))) if math.isfinite(a) else (np.nan, np.nan)
        for scale, a, b in zip(scales, low, high, strict=True)
    ]
    table = np.array(ends).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _mapped(scale: Constraint | None, theta: float) -> float:
    return np.nan if scale is None else natural_end(scale, float(theta))


def natural_end(scale: Constraint, theta: float) -> float:
    """The value at a coordinate; the bound itself where no float is nearer to it."""
    value = float(scale.natural(theta))
    if isinstance(scale, (Positive, Interval)):
        low, high = (scale.low, scale.high) if isinstance(scale, Interval) else (0.0, math.inf)
        if value == scale.natural(math.copysign(math.inf, theta)):
            return high if theta > 0.0 else low
    return value
