"""Standard errors on the natural scale, and on the scale of the intervals, by the delta method.

With the covariance C of the coordinates theta, and the derivatives D of the natural values x by
theta,

    cov(x) = D C D^T

An interval of an entry is built in a coordinate s(x) of that entry alone, and its ends are mapped
back: theta itself where the entry depends on one coordinate, else the logit of an entry of a
simplex, the logarithm of an entry that is positive, or x.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from genparams.constraints import Interval, Positive
from genparams.learning.fitting.entries import is_entrywise
from genparams.learning.fitting.kinds import spread
from genparams.learning.fitting.maximum import Maximum
from genparams.numeric import quiet
from genparams.params import Parameter
from genparams.types import Array, Constraint

DEPENDS = 1e-6
"""An entry depends on a coordinate that has at least this part in its derivatives."""


@dataclass(frozen=True, slots=True)
class Errors:
    """The covariance of the entries of a fit, in order, of one kind."""

    cov: Array
    """On the natural scale; NaN where `missing` has a reason."""
    spread: Array
    """The standard error of each entry in the coordinate of its interval."""
    missing: Mapping[int, str]
    """Why an entry has no standard error, by its place."""
    condition: float
    note: str = ""
    coordinates: Array | None = None
    """The covariance of the coordinates, NaN for those without; None for a saved result."""

    @property
    def std_errors(self) -> Array:
        return np.sqrt(np.diag(self.cov))


@dataclass(frozen=True)
class Places:
    """Where the entries of a fit are: all parameters in order, those held included."""

    maximum: Maximum
    parameters: Sequence[Parameter]
    scales: Sequence[Constraint | None]
    """The constraint of the coordinate of each entry; None for an entry that is constant."""
    coordinate_names: Sequence[str]
    """The name of each place of the vector."""
    reasons: Mapping[int, str] = field(default_factory=dict)
    """Why an entry has no standard error whatever the kind: it is held, or constant."""

    @cached_property
    def rows(self) -> dict[Parameter, slice]:
        """The places of the entries of each parameter."""
        found, start = {}, 0
        for p in self.parameters:
            end = start + int(np.prod(p.value_shape))
            found[p] = slice(start, end)
            start = end
        return found

    @cached_property
    def values(self) -> Array:
        """The natural value of each entry."""
        likelihood = self.maximum.likelihood
        values = likelihood.natural(self.maximum.found.x)
        return np.concatenate([np.zeros(0), *(np.ravel(values[p]) for p in self.parameters)])

    @cached_property
    def jacobian(self) -> Array:
        """The derivatives D of the entries by the coordinates, of shape (entries, size)."""
        likelihood, x = self.maximum.likelihood, self.maximum.found.x
        free = likelihood.vector.parameters
        found = likelihood.tangents(x, lambda read: [read(p) for p in free])
        result = np.zeros((len(self.values), likelihood.vector.size))
        for p, (_, columns) in zip(free, found, strict=True):
            result[self.rows[p]] = columns.reshape(len(x), -1).T
        return result

    @cached_property
    def own(self) -> dict[int, int]:
        """The coordinate of each entry that depends on one alone."""
        places = self.maximum.likelihood.vector.places
        return {
            row: k
            for p, place in places.items()
            if is_entrywise(p)
            for row, k in zip(_range(self.rows[p]), _range(place), strict=True)
        }

    @cached_property
    def at(self) -> Array:
        """Each entry in the coordinate of its interval; NaN for one that is held or constant."""
        x, found = self.maximum.found.x, np.full(len(self.values), np.nan)
        for row, scale in enumerate(self.scales):
            if row in self.own:
                found[row] = x[self.own[row]]
            elif scale is not None and row not in self.reasons:
                found[row] = coordinate(scale, self.values[row])
        return found


def _range(place: slice) -> range:
    return range(place.start, place.stop)


@quiet
def coordinate(scale: Constraint, value: float) -> float:
    """The coordinate of a value; infinite at a bound."""
    inverse: Callable[[Any], Any] = getattr(scale, "inverse", scale.coordinates)
    return float(inverse(np.float64(value)))


@quiet
def slope(scale: Constraint, value: float) -> float:
    """The derivative of the coordinate by the value, of one of our own constraints of entries."""
    if isinstance(scale, Positive):
        return 1.0 / value
    if isinstance(scale, Interval):
        return (scale.high - scale.low) / ((value - scale.low) * (scale.high - value))
    return 1.0


def errors_of(places: Places, kind: str) -> Errors:
    """The standard errors of a kind, and the reasons for those that are missing."""
    maximum = places.maximum
    usable = maximum.usable
    names = [n for n, use in zip(places.coordinate_names, usable, strict=True) if use]
    found = spread(maximum, kind, names)
    missing = {**places.reasons, **_held(places)}
    if found.inverse.reason:
        free = dict.fromkeys(range(len(places.values)), found.inverse.reason)
        missing = {**free, **missing}
    j = places.jacobian[:, usable]
    cov = _symmetric(j @ found.inverse.matrix @ j.T)
    within = _coordinate_errors(places, found.inverse.matrix, cov)
    lost = list(missing)
    cov[lost, :] = cov[:, lost] = within[lost] = np.nan
    full = np.full((len(usable), len(usable)), np.nan)
    full[np.ix_(usable, usable)] = found.inverse.matrix
    return Errors(cov, within, missing, found.inverse.condition, found.note, full)


def _held(places: Places) -> dict[int, str]:
    """The reason of each entry that depends on a coordinate without a standard error."""
    found: dict[int, str] = {}
    for k, reason in places.maximum.missing.items():
        by = np.abs(places.jacobian)
        share = by[:, k] > DEPENDS * np.maximum(np.max(by, axis=1), 1e-300)
        found |= {int(i): reason for i in np.flatnonzero(share)}
        found |= {row: reason for row, own in places.own.items() if own == k}
    return found


def _symmetric(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)


@quiet
def _coordinate_errors(places: Places, matrix: Array, cov: Array) -> Array:
    """The standard error of each entry in its coordinate."""
    found = np.full(len(places.values), np.nan)
    full = np.full(places.maximum.likelihood.vector.size, np.nan)
    full[places.maximum.usable] = np.sqrt(np.diag(matrix))
    for row, scale in enumerate(places.scales):
        if row in places.own:
            found[row] = full[places.own[row]]
        elif scale is not None and row not in places.reasons:
            found[row] = np.sqrt(cov[row, row]) * slope(scale, places.values[row])
    return found
