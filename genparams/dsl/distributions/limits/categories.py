"""Truncated and censored `categorical`: sums over a table of probabilities, or of log weights.

With S the categories that are recorded as x, and T the categories that are possible,

    log p(x) = log sum_{k in S} weight_k - log sum_{k in T} weight_k

Truncated, S is x alone and T is between the limits. Censored, a limit is recorded for itself and
all categories beyond it, and T is every category. Probabilities sum to one over every category, so
nothing is subtracted for them.
"""

from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.categorical import categorical
from genparams.dsl.distributions.declaration import Terms

CATEGORICAL = (categorical, categorical(logits=[0.0]).fn)
"""`categorical` by probabilities, and by log weights."""


def _column(a: Any) -> Any:
    """Entries of a batch as a column, to compare with the categories along the last axis."""
    return np.reshape(a, (*shape_of(a), 1))


def _log_weight(base: Distribution, table: Any, where: Any) -> tuple[Any, Any]:
    """The log of the weight of some categories, and its derivative by the table."""
    if base is categorical:
        top, each, slope = 0.0, np.where(where, table, 0.0), 1.0
    else:
        top = np.max(np.where(where, raw(table), -np.inf), axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        each = slope = np.where(where, np.exp(np.where(where, table - top, 0.0)), 0.0)
        top = top[..., 0]
    total = np.sum(each, axis=-1)
    some = raw(total) > 0.0
    whole = np.where(some, total, 1.0)
    return (
        np.where(some, np.log(whole), -np.inf) + top,
        lambda: np.where(where & _column(some), slope / _column(whole), 0.0),
    )


def _categories(table: Any) -> Any:
    return np.arange(shape_of(table)[-1])


def _between(table: Any, low: Any, high: Any) -> Any:
    """Which categories are between two limits."""
    k = _categories(table)
    return (k >= _column(raw(low))) & (k <= _column(raw(high)))


def restricted(base: Distribution, table: Any, low: Any, high: Any) -> Any:
    """The table with weight only between the limits."""
    there = _between(table, low, high)
    if base is not categorical:
        return np.where(there, table, -np.inf)
    kept = np.where(there, table, 0.0)
    return kept / np.sum(kept, axis=-1, keepdims=True)


def log_mass_between(base: Distribution, table: Any, low: Any, high: Any) -> Any:
    """The log of the weight between two limits."""
    return _log_weight(base, table, _between(table, low, high))[0]


def truncated_terms(base: Distribution, x: Any, table: Any, low: Any, high: Any) -> Terms:
    """The terms of a truncated `categorical`."""
    possible = _between(table, low, high)
    recorded = (_categories(table) == _column(raw(x))) & possible
    return _terms(table, _ratio(base, table, recorded, possible))


def censored_terms(base: Distribution, x: Any, table: Any, low: Any, high: Any) -> Terms:
    """The terms of a censored `categorical`."""
    k, x, low, high = _categories(table), _column(raw(x)), _column(raw(low)), _column(raw(high))
    recorded = np.where(x >= high, k >= high, k == x)
    recorded = np.where(x <= low, k <= low, recorded) & np.isfinite(x)
    if base is categorical:
        return _terms(table, _log_weight(base, table, recorded))
    return _terms(table, _ratio(base, table, recorded, np.ones(k.shape, dtype=bool)))


def _ratio(base: Distribution, table: Any, recorded: Any, possible: Any) -> tuple[Any, Any]:
    """The log of one weight over another, with no derivative where the first is zero."""
    value, rise = _log_weight(base, table, recorded)
    whole, fall = _log_weight(base, table, possible)
    some = np.isfinite(raw(value))
    return (
        value - np.where(some, whole, 0.0),
        lambda: rise() - np.where(_column(some), fall(), 0.0),
    )


def _terms(table: Any, found: tuple[Any, Any]) -> Terms:
    value, slope = found

    def by_table(g: Any) -> Any:
        return sum_to(_column(g) * slope(), shape_of(table))

    return value, (None, by_table, None, None)
