"""The mean of a choice with its standard error, and the means of several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

import numpy as np

from genparams.errors import InvalidValue
from genparams.learning.fitting.by_address import SHOWN, ByAddress, listed
from genparams.learning.fitting.errors import coordinate, slope
from genparams.learning.fitting.intervals import check_level, normal_quantile, on_scale
from genparams.learning.views import frame
from genparams.mistakes import closed, explained
from genparams.text import brackets
from genparams.types import Array, Constraint, real


@closed()
@dataclass(frozen=True, eq=False)
class Prediction:
    """The mean of a choice, entry by entry."""

    mean: Array
    std_errors: Array
    """Of the mean, not of new data; NaN where `missing` says why."""
    missing: str
    """Why a standard error is missing; empty if none is."""
    draws: Array | None
    """New data along the first axis, if draws were asked for."""
    _scales: Sequence[Constraint]
    """The constraint in whose coordinate the band of each entry is built."""

    def __repr__(self) -> str:
        rows = zip(np.ravel(self.mean), np.ravel(self.std_errors), strict=True)
        lines = [f"{mean:.6g} +- {error:.3g}" for mean, error in rows]
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        return "\n".join([*lines[:SHOWN], *more, *([self.missing] if self.missing else [])])

    @explained
    def conf_int(self, level: float = 0.95) -> tuple[Array, Array]:
        """A band for the mean: its lower and its upper end at each entry."""
        z, flat = normal_quantile(level), self.mean.ravel()
        scales = [_inside(s, m) for s, m in zip(self._scales, flat, strict=True)]
        at = np.array([coordinate(s, m) for s, m in zip(scales, flat, strict=True)])
        rates = np.array([slope(s, m) for s, m in zip(scales, flat, strict=True)])
        low, high = on_scale(scales, at, rates * self.std_errors.ravel(), z)
        shape = np.shape(self.mean)
        return low.reshape(shape)[()], high.reshape(shape)[()]

    @explained
    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """An interval for new data, by the quantiles of `draws`.

        Raises:
            InvalidValue: no draws were asked for.
        """
        tail = 0.5 * (1.0 - check_level(level))
        if self.draws is None:
            raise InvalidValue(
                "an interval for new data needs draws; write predict(args, draws=1000)"
            )
        low, high = np.quantile(self.draws, [tail, 1.0 - tail], axis=0)
        return low, high


def _inside(scale: Constraint, mean: float) -> Constraint:
    """The constraint if the mean is inside, else `real`."""
    return scale if np.isfinite(coordinate(scale, mean)) else real


@closed()
@dataclass(frozen=True, eq=False)
class Predictions(Mapping[Any, Prediction]):
    """The prediction of each choice: `predictions["ys"].mean`."""

    by_address: ByAddress[Prediction]

    def __getitem__(self, address: Any) -> Prediction:
        """The prediction at an address.

        Raises:
            UnknownAddress: there is no choice.
            InvalidValue: the choice has no mean.
        """
        return self.by_address[address]

    def get(self, address: Any, default: Any = None) -> Any:
        """The prediction at an address; `default` if there is none."""
        return self.by_address.get(address, default)

    def __contains__(self, address: object) -> bool:
        return address in self.by_address

    def __iter__(self) -> Iterator[Any]:
        return iter(self.by_address)

    def __len__(self) -> int:
        return len(self.by_address)

    @explained
    def to_frame(self, level: float = 0.95) -> Any:
        """A data frame of pandas with a row for each entry."""
        columns: dict[str, list[Any]] = {n: [] for n in ("mean", "std_error", "low", "high")}
        index: list[str] = []
        for address, one in self.items():
            index += [f"{address}{brackets(i)}" for i in np.ndindex(*one.mean.shape)]
            parts = (one.mean, one.std_errors, *one.conf_int(level))
            for name, part in zip(columns, parts, strict=True):
                columns[name] += np.ravel(part).tolist()
        return frame(columns, index)

    def __repr__(self) -> str:
        rows, more = listed(self.by_address, repr)
        return "\n".join([*(_under(name, text) for name, text in rows), *more])


def _under(name: str, text: str) -> str:
    """A name with a text of one line beside it, or of several lines below it."""
    return f"{name}\n{indent(text, '  ')}" if "\n" in text else f"{name}  {text}"
