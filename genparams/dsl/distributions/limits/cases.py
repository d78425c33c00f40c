"""Densities of a value and two limits, given by cases.

Which formula holds depends on where the value and the limits are. A list of cases says so. Each
entry of an array is computed by the one formula that holds for it, so that no other formula can put
a NaN into a derivative.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from genparams.autodiff import np, raw, scatter, shape_of
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Formula, LogDensity, Slope
from genparams.numeric import arrays, scalars
from genparams.program.recorded import indexed


class Point(NamedTuple):
    """A value, the arguments of the base and the limits; `m` as in `Formula`."""

    m: Any
    x: Any
    own: Sequence[Any]
    low: Any
    high: Any


Case = tuple[Callable[[Point], Any], Callable[[Point], LogDensity]]
"""A test and a formula, which applies where this test is the first that holds. The derivatives of
the formula are by the value, the arguments of the base and both limits."""


def zero() -> float:
    """The derivative by what does not matter."""
    return 0.0


def constant(value: float) -> Callable[[Point], LogDensity]:
    """The formula of a log density that is the same everywhere."""

    def formula(at: Point) -> LogDensity:
        batch = np.broadcast_shapes(*map(shape_of, (at.x, *at.own, at.low, at.high)))
        return np.full(batch, value) if batch else value, [zero] * (len(at.own) + 3)

    return formula


def by_base(base: Distribution, at: Point) -> LogDensity:
    """The log density of a base, with limits that do not matter."""
    formula: Any = base.declared.formula
    value, partials = formula(at.m, at.x, *at.own)
    still = zero if base.kind.continuous else None
    return value, (*partials, still, still)


def by_cases(cases: Sequence[Case]) -> Formula:
    """The formula of a density that has several; the test of the last case holds everywhere."""

    def formula(m: Any, *values: Any) -> LogDensity:
        if m is not scalars:
            return _of_arrays(cases, values)
        at = _point(m, values)
        return next(case(at) for test, case in cases if test(at))

    return formula


def _point(m: Any, values: Sequence[Any]) -> Point:
    x, *own, low, high = values
    return Point(m, x, own, low, high)


def _of_arrays(cases: Sequence[Case], values: Sequence[Any]) -> LogDensity:
    plain = [raw(v) for v in values]
    batch = np.broadcast_shapes(*map(np.shape, plain))
    left = np.ones(batch, dtype=bool)
    parts = []
    for test, case in cases:
        here = left & test(_point(arrays, plain))
        if here.all():
            return case(_point(arrays, values))
        if here.any():
            some = [indexed(np.broadcast_to(v, batch), here) if shape_of(v) else v for v in values]
            parts.append((here, *case(_point(arrays, some))))
        left = left & ~here

    def slope(place: int) -> Slope | None:
        each = [(here, slopes[place]) for here, _, slopes in parts]
        if any(d is None for _, d in each):
            return None
        return lambda: sum(_scattered(d(), here, batch) for here, d in each)

    value = sum(_scattered(value, here, batch) for here, value, _ in parts)
    return value, [slope(place) for place in range(len(values))]


def _scattered(values: Any, here: Any, batch: tuple[int, ...]) -> Any:
    """Values in their places among the entries of a batch, 0 in the others."""
    return scatter(np.broadcast_to(values, (int(here.sum()),)), here, batch)
