"""Functions of the parameters with their standard errors: the delta method.

For y = f(x), with the covariance V of x and the derivatives J of y by x,

    cov(y) = J V J^T
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.autodiff import Box, Tape, raw
from genparams.constraints import positive, unit_interval
from genparams.errors import GenParamsError, InvalidValue
from genparams.learning.fitting.errors import coordinate, slope
from genparams.learning.fitting.intervals import Intervals, normal_quantile, on_scale
from genparams.mistakes import closed
from genparams.numeric import quiet
from genparams.text import brackets, brief
from genparams.types import Array, Constraint, real

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult


@closed()
@dataclass(frozen=True, eq=False)
class Derived:
    """A function of the parameters of a fit."""

    estimates: Any
    """What the function returns at the estimates: a number, an array or a dictionary."""
    std_errors: Any
    """The standard errors in the same form; NaN where `missing` has a reason."""
    entries: Sequence[str]
    """The names of the numbers in it, in order."""
    values: Array
    """The numbers in it, in order."""
    cov: Array
    """Their covariance."""
    missing: Mapping[str, str]
    """Why an entry has no standard error."""
    constraint: Constraint = real
    """In whose coordinate intervals are built."""

    def conf_int(self, level: float = 0.95) -> Intervals:
        """Each value plus and minus z standard errors, in the coordinate of the constraint.

        Raises:
            InvalidValue: the level is not between 0 and 1.
        """
        scales = [self.constraint] * len(self.values)
        at = np.array([coordinate(self.constraint, v) for v in self.values])
        rates = np.array([slope(self.constraint, v) for v in self.values])
        errors = rates * np.sqrt(np.diag(self.cov))
        low, high = on_scale(scales, at, errors, normal_quantile(level))
        return Intervals(self.entries, low, high, level, "wald", self.missing)

    def __repr__(self) -> str:
        errors = np.sqrt(np.diag(self.cov))
        rows = zip(self.entries, self.values, errors, strict=True)
        return "\n".join(f"{name} = {value:.6g} +- {error:.3g}" for name, value, error in rows)


def derived(
    result: "FitResult",
    function: Callable[[Mapping[str, Any]], Any],
    constraint: Constraint = real,
) -> Derived:
    """A function of the estimates with its covariance."""
    if not callable(function):
        raise InvalidValue(
            f"derive takes a function of the estimates, such as lambda x: x['a'] / x['b'], got "
            f"{brief(function)}"
        )
    found, jacobian = linearised(function, result.estimates)
    errors, entries = result.errors(), _entries(function, found)
    values = np.concatenate([np.zeros(0), *(np.ravel(v) for v in _parts(found).values())])
    cov, lost = carried(jacobian, errors.cov, errors.missing)
    missing = {entries[i]: reason for i, reason in lost.items()}
    _check_inside(constraint, entries, values)
    std_errors = _formed(found, np.sqrt(np.diag(cov)))
    return Derived(found, std_errors, entries, values, cov, missing, constraint)


def _check_inside(constraint: Any, entries: Sequence[str], values: Array) -> None:
    """Refuse a constraint in whose coordinate there is no interval.

    Raises:
        InvalidValue: it is another one than `real`, `positive` and `unit_interval`, or a value is
            not inside.
    """
    if constraint not in (real, positive, unit_interval):
        raise InvalidValue(
            f"the constraint of a derived quantity is positive or unit_interval, got "
            f"{brief(constraint)}"
        )
    for entry, value in zip(entries, values, strict=True):
        if not np.isfinite(coordinate(constraint, value)):
            raise InvalidValue(
                f"{entry} is {value:.6g}, not inside {constraint!r}; leave out constraint="
            )


def carried(
    jacobian: Array, cov: Array, missing: Mapping[int, str]
) -> tuple[Array, dict[int, str]]:
    """J V J^T, NaN for the rows that need a variance that is missing, and their reasons.

    An entry that is held, or always 0, is a constant.
    """
    lost: dict[int, str] = {}
    for place, reason in missing.items():
        if reason not in CONSTANT:
            lost |= {int(i): reason for i in np.flatnonzero(jacobian[:, place] != 0.0)}
    known = np.where(np.isfinite(cov), cov, 0.0)
    found = jacobian @ known @ jacobian.T
    rows = list(lost)
    found[rows, :] = found[:, rows] = np.nan
    return found, lost


CONSTANT = ("frozen", "always 0")
"""The reasons of entries that do not vary."""


@quiet
def linearised(
    function: Callable[[Mapping[str, Any]], Any], estimates: Mapping[str, Any]
) -> tuple[Any, Array]:
    """What a function returns at the estimates, and its derivatives by their entries."""
    with Tape() as tape:
        leaves = {key: tape.leaf(value) for key, value in estimates.items()}
        try:
            found = function(leaves)
        except GenParamsError:
            raise
        except KeyError as error:
            raise InvalidValue(_unknown(str(error.args[0]), estimates)) from error
        parts = _checked(found)
        rows = [_rows(tape, part, leaves) for part in parts.values()]
    width = sum(int(np.size(v)) for v in estimates.values())
    plain = {key: raw(part) for key, part in parts.items()}
    jacobian = np.concatenate([np.zeros((0, width)), *rows])
    return (plain if isinstance(found, Mapping) else plain[""]), jacobian


def _unknown(name: str, estimates: Mapping[str, Any]) -> str:
    """What is wrong with a name: it is one of an entry, or of nothing."""
    parameter = name.partition("[")[0]
    if parameter in estimates:
        return f"{name} is an entry: index the parameter, as estimates[{parameter!r}][0]"
    return f"there is no parameter {name!r}; known: {', '.join(estimates)}"


def _checked(found: Any) -> dict[str, Any]:
    """The parts of what a function returned, as numbers, arrays or boxes."""
    parts = {}
    for key, part in _parts(found).items():
        if type(part) is not Box:
            part = np.stack(part) if isinstance(part, (list, tuple)) else part
        if type(part) is not Box and np.asarray(part).dtype.kind not in "fiub":
            raise InvalidValue(
                f"a derived quantity is a number, an array or a dictionary of them, got "
                f"{brief(part)}"
            )
        parts[key] = part if type(part) is Box else _float(part)
    return parts


def _float(part: Any) -> Any:
    numbers = np.asarray(part, dtype=float)
    return numbers if numbers.ndim else float(numbers)


def _parts(found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return {str(key): part for key, part in found.items()}
    return {"": found}


def _rows(tape: Tape, part: Any, leaves: Mapping[str, Box]) -> Array:
    """The derivatives of each number in a part by the entries of the leaves."""
    shape = np.shape(raw(part))
    width = sum(int(np.size(raw(leaf))) for leaf in leaves.values())
    rows = np.zeros((int(np.prod(shape)), width))
    if type(part) is not Box:
        return rows
    for i in range(len(rows)):
        seed = 1.0 if not shape else np.eye(len(rows))[i].reshape(shape)
        found = tape.gradients([(part, seed)], list(leaves.values()))
        each = [
            np.zeros(np.size(raw(leaf))) if g is None else np.ravel(g)
            for leaf, g in zip(leaves.values(), found, strict=True)
        ]
        rows[i] = np.concatenate([np.zeros(0), *each])
    return rows


def _entries(function: Any, found: Any) -> list[str]:
    name = getattr(function, "__name__", "value")
    plain = name if name.isidentifier() else "value"
    names = []
    for key, part in _parts(found).items():
        names += [f"{key or plain}{brackets(at)}" for at in np.ndindex(*np.shape(part))]
    return names


def _formed(found: Any, flat: Array) -> Any:
    """Numbers in the form of what a function returned."""
    formed, start = {}, 0
    for key, part in _parts(found).items():
        some = flat[start : start + np.size(part)]
        start += np.size(part)
        formed[key] = some.reshape(np.shape(part)) if np.ndim(part) else float(some[0])
    return formed if isinstance(found, Mapping) else formed[""]
