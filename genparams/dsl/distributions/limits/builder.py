"""What `truncated` and `censored` share: the call, the arguments, and densities given by cases.

Which formula holds depends on where the value and the limits are. A list of cases says so. Each
entry of an array is computed by the one formula that holds for it, so that no other formula can put
a NaN into a derivative.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from genparams.autodiff import np, raw, scatter, shape_of
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.declaration import Declaration, Formula
from genparams.dsl.distributions.domains import Domain, check_order
from genparams.dsl.distributions.limits.categories import CATEGORICAL
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.limits.tails import Slope
from genparams.dsl.distributions.parts import base_of
from genparams.errors import ArgumentError
from genparams.numeric import arrays, scalars
from genparams.types import Size

BLOCK_WIDTH = 16
"""For the size of blocks. There are ten times as many nodes, but entries often share them."""

# --- The call and the declaration


def limited_call(
    what: str,
    make: Callable[[Distribution], Distribution],
    base: Call[Any],
    low: Any,
    high: Any,
    size: Size,
) -> Call[Any]:
    """The call of `make(base.fn)` with the arguments of `base` and the limits.

    Raises:
        ArgumentError: the base cannot be limited, or there is no limit.
    """
    if isinstance(base, Call) and isinstance(base.fn, AbstractDistribution):
        _check_ordered(what, base.fn)
    fn = base_of(what, base, f"{what}(base, low, high)")
    if fn not in FAMILIES and fn not in CATEGORICAL:
        known = ", ".join(sorted({f.__name__ for f in (*FAMILIES, *CATEGORICAL)}))
        raise ArgumentError(f"{what} does not know the tails of {fn.__name__}; it takes {known}")
    if low is None and high is None:
        raise ArgumentError(f"{what} needs a limit; write {what}({base!r}, low=..., high=...)")
    limits = (-math.inf if low is None else low, math.inf if high is None else high)
    return Call(make(fn), (*base.args, *limits), size)


def _check_ordered(what: str, fn: AbstractDistribution) -> None:
    values = "vectors or matrices" if fn.kind.rank else "tuples"
    if fn.kind.rank or not isinstance(fn, Distribution):
        raise ArgumentError(
            f"{what} takes a distribution over numbers, such as normal(mu, std); values of "
            f"{fn.__name__} are {values}, which have no order"
        )


_number = Domain("a number, or infinite", lambda v: v == v)
_whole_number = Domain("a whole number, or infinite", lambda v: v == np.floor(v), smooth=False)


def limited(
    base: Distribution, name: str, fit: Callable[..., None] | None = None, **more: Any
) -> Distribution:
    """A distribution with the arguments of a base and two limits.

    Args:
        fit: `fit(own, low, high)` raises unless the arguments of the base and the limits fit; None
            if limits in order do.
        more: The other entries of its `Declaration`.
    """
    own_arguments = {
        f"{n} of {base.__name__}" if n in ("low", "high") else n: d.within()
        for n, d in base.arguments.items()
    }
    limit = _number if base.kind.continuous else _whole_number

    base_fit, continuous = base.declared.fit, base.kind.continuous

    def check(*args: Any) -> None:
        *own, low, high = args
        if base_fit is not None:
            base_fit(*own)
        if continuous:
            check_order(name, low, high, low < high)
        else:
            check_order(name, low, high, low <= high, "at most")
        if fit is not None:
            fit(own, low, high)

    return Distribution(
        Declaration(
            name=name,
            arguments=own_arguments | {"low": limit, "high": limit},
            kind=base.kind,
            fit=check,
            **more,
        )
    )


# --- Formulas by cases


class LimitedDensity(NamedTuple):
    """A log density, and its derivatives; None by what has none."""

    value: Any
    by_x: Slope | None
    by_own: Sequence[Slope | None]
    """By the arguments of the base."""
    by_low: Slope | None
    by_high: Slope | None


class Point(NamedTuple):
    """A value, the arguments of the base and the limits; `m` as in `Formula`."""

    m: Any
    x: Any
    own: Sequence[Any]
    low: Any
    high: Any


Case = tuple[Callable[[Point], Any], Callable[[Point], LimitedDensity]]
"""A test, and the formula for where it is the first test that holds."""


def zero() -> float:
    """The derivative by what does not matter."""
    return 0.0


def constant(value: float) -> Callable[[Point], LimitedDensity]:
    """The formula of a log density that is the same everywhere."""

    def formula(at: Point) -> LimitedDensity:
        batch = np.broadcast_shapes(*map(shape_of, (at.x, *at.own, at.low, at.high)))
        level = np.full(batch, value) if batch else value
        return LimitedDensity(level, zero, [zero] * len(at.own), zero, zero)

    return formula


def by_base(base: Distribution, at: Point) -> LimitedDensity:
    """The log density of a base, with limits that do not matter."""
    formula: Any = base.declared.formula
    value, (by_x, *by_own) = formula(at.m, at.x, *at.own)
    still = zero if base.kind.continuous else None
    return LimitedDensity(value, by_x, by_own, still, still)


def by_cases(cases: Sequence[Case]) -> Formula:
    """The formula of a density that has several; the test of the last case holds everywhere."""

    def formula(m: Any, *values: Any) -> tuple[Any, Sequence[Slope | None]]:
        if m is not scalars:
            return _of_arrays(cases, values)
        at = _point(m, values)
        return _flat(next(case(at) for test, case in cases if test(at)))

    return formula


def _point(m: Any, values: Sequence[Any]) -> Point:
    x, *own, low, high = values
    return Point(m, x, own, low, high)


def _flat(found: LimitedDensity) -> tuple[Any, Sequence[Slope | None]]:
    return found.value, (found.by_x, *found.by_own, found.by_low, found.by_high)


def _of_arrays(cases: Sequence[Case], values: Sequence[Any]) -> tuple[Any, Sequence[Slope | None]]:
    plain = [raw(v) for v in values]
    batch = np.broadcast_shapes(*map(np.shape, plain))
    left = np.ones(batch, dtype=bool)
    parts = []
    for test, case in cases:
        here = left & test(_point(arrays, plain))
        if here.all():
            return _flat(case(_point(arrays, values)))
        if here.any():
            some = [np.broadcast_to(v, batch)[here] if shape_of(v) else v for v in values]
            parts.append((here, *_flat(case(_point(arrays, some)))))
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
