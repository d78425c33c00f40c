"""Constraints: smooth bijections between sets of natural values and unconstrained real coordinates.

| constraint | value | coordinates theta |
| --- | --- | --- |
| `positive` | x > 0 | log x |
| `interval(low, high)` | low < x < high | logit((x - low) / (high - low)) |
| `unit_interval` | 0 < x < 1 | logit(x) |
| `simplex` | K positive numbers with sum 1, along the last axis | log(x_k / x_K), k = 1 .. K - 1 |
| `ordered` | x_1 < x_2 < ... along the last axis | x_1, then log(x_k - x_{k-1}) |
| `lower_cholesky` | lower triangular, positive diagonal | the triangle by rows, diagonal in logs |

The logarithms make the usual coordinates of statistics: a standard error on theta is one on log
sigma or logit p.
"""

import math
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, raw, special
from genparams.errors import ConstraintError


def _check(inside: Any, value: Any, name: str, rule: str) -> None:
    if not np.all(inside):
        raise ConstraintError(f"{np.asarray(value).tolist()!r} is not {name}: {rule}")


@dataclass(frozen=True, slots=True)
class Positive:
    """Every entry above 0; theta = log x."""

    name: str = "positive"

    def natural(self, theta: Any) -> Any:
        return np.exp(theta)

    def coordinates(self, value: Any) -> Any:
        _check(
            (value > 0) & np.isfinite(value),
            value,
            self.name,
            "every entry must be above 0 and finite",
        )
        return np.log(value)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Interval:
    """Every entry strictly between `low` and `high`; theta = logit((x - low) / (high - low))."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConstraintError(
                f"interval({self.low}, {self.high}) needs two finite bounds, low < high"
            )

    @property
    def name(self) -> str:
        return (
            "unit_interval"
            if (self.low, self.high) == (0.0, 1.0)
            else f"interval({self.low}, {self.high})"
        )

    def natural(self, theta: Any) -> Any:
        share = special.expit(theta)
        return (
            share
            if (self.low, self.high) == (0.0, 1.0)
            else self.low + (self.high - self.low) * share
        )

    def coordinates(self, value: Any) -> Any:
        inside = (value > self.low) & (value < self.high)
        _check(
            inside,
            value,
            self.name,
            f"every entry must lie strictly between {self.low} and {self.high}",
        )
        return np.log(value - self.low) - np.log(self.high - value)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Simplex:
    """Positive entries that sum to 1 along the last axis; theta_k = log(x_k / x_K)."""

    name: str = "simplex"

    def natural(self, theta: Any) -> Any:
        last = np.zeros((*np.shape(theta)[:-1], 1))
        logits = np.concatenate([theta, last], axis=-1)
        weights = np.exp(logits - np.max(raw(logits), axis=-1, keepdims=True))
        return weights / np.sum(weights, axis=-1, keepdims=True)

    def coordinates(self, value: Any) -> Any:
        enough = np.ndim(value) > 0 and np.shape(value)[-1] > 1
        _check(enough, value, self.name, "it needs an array of at least two entries")
        tolerance = 1e-5 if np.asarray(value).dtype == np.float32 else 1e-8
        inside = np.all(value > 0) and np.allclose(
            np.sum(value, axis=-1), 1.0, rtol=0.0, atol=tolerance
        )
        _check(
            inside, value, self.name, "every entry must be above 0 and the last axis must sum to 1"
        )
        return np.log(value[..., :-1]) - np.log(value[..., -1:])

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Ordered:
    """Increasing entries along the last axis; theta = x_1, log(x_2 - x_1), log(x_3 - x_2), ..."""

    name: str = "ordered"

    def natural(self, theta: Any) -> Any:
        return np.cumsum(np.concatenate([theta[..., :1], np.exp(theta[..., 1:])], axis=-1), axis=-1)

    def coordinates(self, value: Any) -> Any:
        _check(
            np.ndim(value) > 0 and np.all(np.isfinite(value)),
            value,
            self.name,
            "it needs an array of finite numbers",
        )
        steps = np.diff(value, axis=-1)
        _check(steps > 0, value, self.name, "each entry must be above the one before it")
        return np.concatenate([value[..., :1], np.log(steps)], axis=-1)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class LowerCholesky:
    """A lower triangular matrix with a positive diagonal; theta is its lower triangle by rows, the
    diagonal in logs.

    `L @ L.T` is then any positive definite matrix, once.
    """

    name: str = "lower_cholesky"

    def natural(self, theta: Any) -> Any:
        size = np.shape(theta)[-1]
        d = (math.isqrt(8 * size + 1) - 1) // 2
        rows, columns = np.tril_indices(d)
        entries = np.where(rows == columns, np.exp(np.where(rows == columns, theta, 0.0)), theta)
        zero = np.zeros((*np.shape(theta)[:-1], 1))
        where = np.full((d, d), size)
        where[rows, columns] = np.arange(size)
        return np.concatenate([entries, zero], axis=-1)[..., where]

    def coordinates(self, value: Any) -> Any:
        square = np.ndim(value) >= 2 and np.shape(value)[-1] == np.shape(value)[-2]
        _check(square, value, self.name, "it must be a square matrix")
        diagonal = np.diagonal(value, axis1=-2, axis2=-1)
        inside = (
            np.all(np.tril(value) == value) and np.all(np.isfinite(value)) and np.all(diagonal > 0)
        )
        _check(inside, value, self.name, "it must be lower triangular with a positive diagonal")
        rows, columns = np.tril_indices(np.shape(value)[-1])
        entries = value[..., rows, columns]
        return np.where(rows == columns, np.log(np.where(rows == columns, entries, 1.0)), entries)

    def __repr__(self) -> str:
        return self.name


positive = Positive()
unit_interval = Interval(0.0, 1.0)
simplex = Simplex()
ordered = Ordered()
lower_cholesky = LowerCholesky()


def interval(low: float, high: float) -> Interval:
    """Every entry strictly between two finite bounds."""
    return Interval(float(low), float(high))
