"""Constraints: smooth bijections between sets of natural values and unconstrained real coordinates.

| constraint | value | coordinates theta |
| --- | --- | --- |
| `positive` | x > 0 | log x |
| `interval(low, high)` | low < x < high | logit((x - low) / (high - low)) |
| `unit_interval` | 0 < x < 1 | logit(x) |
| `simplex` | K positive numbers with sum 1, along the last axis | log(x_k / x_K), k = 1 .. K - 1 |
| `ordered` | x_1 < x_2 < ... along the last axis | x_1, then log(x_k - x_{k-1}) |
| `lower_cholesky` | lower triangular, positive diagonal | the triangle by rows, diagonal in logs |

The constraint of a parameter without one, `real`, is in `types`. The logarithms make the usual
coordinates of statistics: a standard error on theta is one on log sigma or logit p.

A value is never on a bound: where rounding would give the bound, `natural` gives the next float
inside, of the type of theta. It separates equal neighbours of `ordered` in the same way. The
derivative is the derivative of the formula. A value that overflows is infinite, and a parameter
refuses it.

Each constraint is also a change of variables for `transformed`. `inverse` is `coordinates` without
its checks, written in operations that can be differentiated; `contains` says which values have
coordinates; `log_det_jacobian` is log |d natural(theta) / d theta|. The density of a value is over
its free entries: all entries for `positive`, `interval` and `ordered`, the first K - 1 for
`simplex`, the lower triangle for `lower_cholesky`.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from genparams.autodiff import np, raw, special
from genparams.errors import ArgumentError, ConstraintError, ShapeError
from genparams.mistakes import explained
from genparams.text import brief, offence
from genparams.types import Constraint

Shape = tuple[int, ...]


def _dtype(at: Any) -> Any:
    """The precision of a value: single for an array of single precision, else double."""
    return np.float32 if getattr(at, "dtype", None) == np.float32 else np.float64


def _moved_to(value: Any, inside: Any) -> Any:
    """`inside` in place of `value`; a traced value keeps its derivative."""
    at = raw(value)
    if at is value:
        return inside
    with np.errstate(invalid="ignore"):  # inf - inf
        shift = np.where(at == inside, 0.0, inside - at)
    return value + shift if np.any(shift) else value


_SMALLEST = {dtype: np.finfo(dtype).smallest_subnormal for dtype in (np.float32, np.float64)}
"""The smallest positive number of each precision."""


def _above_0(value: Any) -> Any:
    """A value of at least 0; the smallest positive number in place of 0."""
    at = raw(value)
    if at > 0.0 if isinstance(at, float) else at.size and at.min() > 0.0:
        return value
    return _moved_to(value, np.maximum(at, _SMALLEST[_dtype(at)]))


def _largest_log(dtype: Any) -> Any:
    with np.errstate(over="ignore"):
        theta = np.log(np.finfo(dtype).max)
        while not np.all(np.isfinite(np.exp(np.full(16, theta)))):
            theta = np.nextafter(theta, dtype(0.0))
    return theta


_LARGEST_LOG = {dtype: _largest_log(dtype) for dtype in (np.float32, np.float64)}
"""The largest number of each precision whose exponential does not overflow."""


def _below_overflow(log: Any) -> Any:
    """A logarithm, lowered where rounding makes its exponential overflow."""
    return np.minimum(log, _LARGEST_LOG[_dtype(log)])


class _NamedConstraint:
    """What the constraints have in common: their text, and the error for `positive()`."""

    __slots__ = ()

    def __call__(self, *args: Any, **named: Any) -> Any:
        raise ArgumentError(f"{self!r} is a constraint itself; write constraint={self!r}")

    def __repr__(self: Constraint) -> str:
        return self.name

    def _check(self: Constraint, value: Any, inside: Any, rule: str) -> None:
        """Refuse a value unless all of `inside` is true: its entries, or its vectors, or itself."""
        if not np.all(inside):
            raise ConstraintError(f"{offence(value, inside)} is not {self.name}: {rule}")


class _EntrywiseConstraint(_NamedConstraint):
    """A constraint on each entry alone."""

    __slots__ = ()
    rank: ClassVar[int] = 0
    coordinate_rank: ClassVar[int] = 0

    def value_shape(self, shape: Shape) -> Shape:
        return shape


@dataclass(frozen=True, slots=True, repr=False)
class Positive(_EntrywiseConstraint):
    """Every entry above 0; theta = log x."""

    name: str = "positive"

    def natural(self, theta: Any) -> Any:
        return _above_0(np.exp(theta))

    def coordinates(self, value: Any) -> Any:
        self._check(value, self.contains(value), "every entry must be above 0 and finite")
        return _below_overflow(self.inverse(value))

    def inverse(self, value: Any) -> Any:
        return np.log(value)

    def contains(self, value: Any) -> Any:
        return (value > 0) & np.isfinite(value)

    def log_det_jacobian(self, theta: Any) -> Any:
        return theta

    def interior(self, shape: Shape) -> Any:
        return np.ones(shape)


@dataclass(frozen=True, slots=True, repr=False)
class Interval(_EntrywiseConstraint):
    """Every entry strictly between `low` and `high`; theta = logit((x - low) / (high - low))."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConstraintError(
                f"interval({self.low}, {self.high}) needs two finite bounds, low < high"
            )
        if not math.nextafter(self.low, self.high) < self.high:
            raise ConstraintError(f"no number lies between {self.low} and {self.high}")

    @property
    def name(self) -> str:
        is_unit = (self.low, self.high) == (0.0, 1.0)
        return "unit_interval" if is_unit else f"interval({self.low}, {self.high})"

    def _is_wide(self, at: Any) -> bool:
        """Whether the distance of the bounds overflows."""
        return self.high - self.low > np.finfo(_dtype(at)).max

    def natural(self, theta: Any) -> Any:
        share = special.expit(theta)
        if (self.low, self.high) == (0.0, 1.0):
            value = share
        elif self._is_wide(raw(theta)):
            value = self.low * special.expit(-theta) + self.high * share
        else:
            value = self.low + (self.high - self.low) * share
        at = raw(value)
        if (
            self.low < at < self.high
            if isinstance(at, float)
            else np.all((self.low < at) & (at < self.high))
        ):
            return value
        return _moved_to(value, np.clip(at, *self._ends(_dtype(at))))

    def _bounds(self, dtype: Any) -> tuple[Any, Any]:
        with np.errstate(over="ignore"):  # a bound beyond single precision is infinite
            return dtype(self.low), dtype(self.high)

    def _ends(self, dtype: Any) -> tuple[Any, Any]:
        """The least and the greatest number inside."""
        low, high = self._bounds(dtype)
        return np.nextafter(low, dtype(np.inf)), np.nextafter(high, dtype(-np.inf))

    def coordinates(self, value: Any) -> Any:
        if not np.all(np.isfinite(self._bounds(_dtype(value)))):
            raise ConstraintError(
                f"the bounds of {self.name} are beyond single precision; give values in double"
            )
        rule = f"every entry must lie strictly between {self.low} and {self.high}"
        self._check(value, self.contains(value), rule)
        return self.inverse(value)

    def inverse(self, value: Any) -> Any:
        if self._is_wide(raw(value)):
            half = 0.5 * value
            return np.log(half - 0.5 * self.low) - np.log(0.5 * self.high - half)
        return np.log(value - self.low) - np.log(self.high - value)

    def contains(self, value: Any) -> Any:
        least, greatest = self._ends(_dtype(value))
        return (value >= least) & (value <= greatest)

    def log_det_jacobian(self, theta: Any) -> Any:
        """log(high - low) + log expit(theta) + log expit(-theta)."""
        width = self.high - self.low
        if math.isinf(width):
            log_width = math.log(0.5 * self.high - 0.5 * self.low) + math.log(2.0)
        else:
            log_width = math.log(width)
        return log_width + special.log_expit(theta) + special.log_expit(-theta)

    def interior(self, shape: Shape) -> Any:
        return np.full(shape, 0.5 * self.low + 0.5 * self.high)


@dataclass(frozen=True, slots=True, repr=False)
class Simplex(_NamedConstraint):
    """Positive entries that sum to 1 along the last axis; theta_k = log(x_k / x_K)."""

    name: str = "simplex"
    rank: ClassVar[int] = 1
    coordinate_rank: ClassVar[int] = 1

    def natural(self, theta: Any) -> Any:
        last = np.zeros((*np.shape(theta)[:-1], 1), _dtype(raw(theta)))
        logits = np.concatenate([theta, last], axis=-1)
        weights = np.exp(logits - np.max(raw(logits), axis=-1, keepdims=True))
        return _above_0(weights / np.sum(weights, axis=-1, keepdims=True))

    def coordinates(self, value: Any) -> Any:
        enough = np.ndim(value) > 0 and np.shape(value)[-1] > 1
        self._check(value, enough, "it needs an array of at least two entries")
        self._check(value, value > 0, "every entry must be above 0")
        rule = "every entry must be above 0 and the last axis must sum to 1"
        self._check(value, self.contains(value), rule)
        return self.inverse(value)

    def inverse(self, value: Any) -> Any:
        return np.log(value[..., :-1]) - np.log(value[..., -1:])

    def contains(self, value: Any) -> Any:
        tolerance = 1e-5 if np.asarray(value).dtype == np.float32 else 1e-8
        return np.all(value > 0, axis=-1) & (np.abs(np.sum(value, axis=-1) - 1.0) <= tolerance)

    def log_det_jacobian(self, theta: Any) -> Any:
        """sum_k log x_k, over all K entries."""
        top = np.maximum(np.max(raw(theta), axis=-1), 0.0)
        weights = np.exp(theta - top[..., None])
        log_sum = top + np.log(np.sum(weights, axis=-1) + np.exp(-top))
        return np.sum(theta, axis=-1) - (np.shape(theta)[-1] + 1) * log_sum

    def value_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] + 1)

    def interior(self, shape: Shape) -> Any:
        return np.full(shape, 1.0 / shape[-1])


@dataclass(frozen=True, slots=True, repr=False)
class Ordered(_NamedConstraint):
    """Increasing entries along the last axis; theta = x_1, log(x_2 - x_1), log(x_3 - x_2), ..."""

    name: str = "ordered"
    rank: ClassVar[int] = 1
    coordinate_rank: ClassVar[int] = 1

    def natural(self, theta: Any) -> Any:
        parts = [theta[..., :1], np.exp(theta[..., 1:])]
        value = np.cumsum(np.concatenate(parts, axis=-1), axis=-1)
        at = raw(value)
        if np.all(at[..., 1:] > at[..., :-1]):
            return value
        inside = at.copy()
        for k in range(1, np.shape(at)[-1]):
            above = np.nextafter(inside[..., k - 1], np.inf, dtype=at.dtype)
            inside[..., k] = np.maximum(at[..., k], above)
        return _moved_to(value, inside)

    def coordinates(self, value: Any) -> Any:
        needs = "it needs an array of finite numbers"
        self._check(value, np.ndim(value) > 0, needs)
        self._check(value, np.isfinite(value), needs)
        with np.errstate(over="ignore"):
            steps = np.diff(value, axis=-1)
        first = np.ones((*np.shape(value)[:-1], 1), bool)
        above = np.concatenate([first, steps > 0], axis=-1)
        self._check(value, above, "each entry must be above the one before it")
        near = np.concatenate([first, np.isfinite(steps)], axis=-1)
        self._check(value, near, "the distance of two neighbours overflows")
        theta = self.inverse(value)
        theta[..., 1:] = _below_overflow(theta[..., 1:])
        return theta

    def inverse(self, value: Any) -> Any:
        steps = value[..., 1:] - value[..., :-1]
        return np.concatenate([value[..., :1], np.log(steps)], axis=-1)

    def contains(self, value: Any) -> Any:
        return np.all(np.isfinite(value), axis=-1) & np.all(
            value[..., 1:] > value[..., :-1], axis=-1
        )

    def log_det_jacobian(self, theta: Any) -> Any:
        """The sum of theta_2, theta_3, ..."""
        return np.sum(theta[..., 1:], axis=-1)

    def value_shape(self, shape: Shape) -> Shape:
        return shape

    def interior(self, shape: Shape) -> Any:
        return np.broadcast_to(np.arange(float(shape[-1])), shape)


@dataclass(frozen=True, slots=True, repr=False)
class LowerCholesky(_NamedConstraint):
    """A lower triangular matrix with a positive diagonal; theta is its lower triangle by rows, the
    diagonal in logs.

    `L @ L.T` is then any positive definite matrix, once.
    """

    name: str = "lower_cholesky"
    rank: ClassVar[int] = 2
    coordinate_rank: ClassVar[int] = 1

    def natural(self, theta: Any) -> Any:
        size = np.shape(theta)[-1]
        d = (math.isqrt(8 * size + 1) - 1) // 2
        rows, columns = np.tril_indices(d)
        logs = np.where(rows == columns, theta, 0.0)
        entries = np.where(rows == columns, _above_0(np.exp(logs)), theta)
        zero = np.zeros((*np.shape(theta)[:-1], 1), _dtype(raw(theta)))
        where = np.full((d, d), size)
        where[rows, columns] = np.arange(size)
        return np.concatenate([entries, zero], axis=-1)[..., where]

    def coordinates(self, value: Any) -> Any:
        square = np.ndim(value) >= 2 and np.shape(value)[-1] == np.shape(value)[-2]
        self._check(value, square, "it must be a square matrix")
        positive = (value > 0) | ~np.eye(np.shape(value)[-1], dtype=bool)
        inside = (np.tril(value) == value) & np.isfinite(value) & positive
        self._check(value, inside, "it must be lower triangular with a positive diagonal")
        theta = self.inverse(value)
        rows, columns = np.tril_indices(np.shape(value)[-1])
        return np.where(rows == columns, _below_overflow(theta), theta)

    def inverse(self, value: Any) -> Any:
        rows, columns = np.tril_indices(np.shape(value)[-1])
        entries = value[..., rows, columns]
        return np.where(rows == columns, np.log(np.where(rows == columns, entries, 1.0)), entries)

    def contains(self, value: Any) -> Any:
        diagonal = np.diagonal(value, axis1=-2, axis2=-1)
        lower = (np.tril(value) == value) & np.isfinite(value)
        return np.all(lower, axis=(-2, -1)) & np.all(diagonal > 0, axis=-1)

    def log_det_jacobian(self, theta: Any) -> Any:
        """The sum of the logarithms of the diagonal, which are coordinates."""
        rows, columns = np.tril_indices(self.value_shape(np.shape(theta))[-1])
        return np.sum(theta[..., rows == columns], axis=-1)

    def value_shape(self, shape: Shape) -> Shape:
        d = (math.isqrt(8 * shape[-1] + 1) - 1) // 2
        if d * (d + 1) // 2 != shape[-1]:
            raise ShapeError(
                f"{self.name} takes 1, 3, 6, ... coordinates, d (d + 1) / 2 for a d x d matrix, "
                f"got {shape[-1]}"
            )
        return (*shape[:-1], d, d)

    def interior(self, shape: Shape) -> Any:
        return np.broadcast_to(np.eye(shape[-1]), shape)


positive = Positive()
unit_interval = Interval(0.0, 1.0)
simplex = Simplex()
ordered = Ordered()
lower_cholesky = LowerCholesky()


@explained
def interval(low: float, high: float) -> Interval:
    """Every entry strictly between two finite bounds.

    Raises:
        ConstraintError: the bounds are not two finite numbers, low < high.
    """
    try:
        bounds = float(low), float(high)
    except (TypeError, ValueError):
        found = f"{brief(low)} and {brief(high)}"
        raise ConstraintError(f"interval takes two numbers, got {found}") from None
    return Interval(*bounds)
