"""Autoregressive series, stationary or given the values before them."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms, with_axes
from genparams.dsl.distributions.domains import (
    Domain,
    above_zero,
    as_operand,
    finite,
    in_words,
    lazy_vector,
    real_vector,
)
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.regions import WHOLE_LINE, always
from genparams.dsl.distributions.sequences import autoregression, lapack
from genparams.dsl.distributions.statistics.known import Statistics
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import Array, Numbers, Size

NAME = "autoregressive"


@explained
def autoregressive(
    coefficients: Numbers,
    std: Numbers,
    length: int,
    mean: Numbers = 0.0,
    initial: Numbers | None = None,
    *,
    size: Size = None,
) -> Call[Array]:
    """A series in which each value depends on the p values before it, AR(p).

        y_t - mean_t = sum_i coefficients[i - 1] (y_(t-i) - mean_(t-i)) + e_t,    e_t ~ N(0, std^2)

    The first values are drawn from the stationary distribution, in which all y_t - mean_t have the
    same variance, and the log density is exact. With `initial` it is the density given these
    values. `mean=x @ beta` makes it a regression with autoregressive errors.

    A series is stationary if its partial autocorrelations are between -1 and 1. To train
    coefficients, make them of such numbers:

        partial = param("partial", [0.0, 0.0], constraint=interval(-1.0, 1.0))
        autoregressive(autoregressive_coefficients(partial), std, len(ys)) @ "ys"

    The gradients by all arguments and by the value are in closed form.

    Args:
        coefficients: A number, or p numbers along the last axis, that of lag 1 first.
        std: The standard deviation of an innovation e_t, above 0.
        length: How many values the series has: at least p, unless `initial` is given.
        mean: A number, or the mean of each value along the last axis. With `initial` it begins with
            the means of these p values.
        initial: The p values before the series, in the order of time; None for a stationary series.
            The coefficients may be any numbers then.
        size: The shape of a batch of independent series.

    Raises:
        ArgumentError: `length` is not a whole number above 0.
        ShapeError: the mean does not have the length of the series, the series is shorter than p,
            or there are not p initial values.
        DistributionError: when it is used, the coefficients are not the ones of a stationary
            series, or another argument is outside its domain. Missing values (NaN) are refused;
            `linear_gaussian` takes them.

    Reference: Box, Jenkins and Reinsel, Time series analysis, chapter 7.
    """
    phi, length = vector_of("coefficients", coefficients), whole_length(length)
    order = shape_of(phi)[-1]
    if initial is None:
        if length < order:
            raise ShapeError(
                f"a stationary series with {order} coefficients has at least as many values, got "
                f"length {length}; give the values before it, initial=..."
            )
        return Call(_stationary(), (phi, std, mean_of(mean, length, 0)), size)
    first = vector_of("initial", initial)
    if shape_of(first)[-1] != order:
        raise ShapeError(
            f"initial of {NAME} holds one value for each of {order} coefficients, got shape "
            f"{shape_of(first)}"
        )
    return Call(_conditional(), (phi, std, mean_of(mean, order + length, order), first), size)


@explained
def autoregressive_coefficients(partial: Numbers) -> Any:
    """The coefficients of `autoregressive` for a series with these partial autocorrelations.

    Every series with partial autocorrelations between -1 and 1 is stationary, and every stationary
    series has one vector of them. With r_k the entry k, from phi^(1) = (r_1),

        phi^(k)_k = r_k,    phi^(k)_j = phi^(k-1)_j - r_k phi^(k-1)_(k-j),    j < k

    Args:
        partial: p numbers between -1 and 1 along the last axis. The gradient flows through.

    Raises:
        DistributionError: a number is not between -1 and 1.

    Reference: Barndorff-Nielsen and Schou, 1973, On the parametrization of autoregressive models by
    partial autocorrelations.
    """
    partial = vector_of("partial", partial, "autoregressive_coefficients")
    _between.check("autoregressive_coefficients", "partial", partial)
    return autoregression.step_up(partial)


# --- Arguments


def vector_of(name: str, value: Any, where: str = NAME) -> Any:
    """An argument with at least one axis, of length 1 if it is a number."""
    value = as_operand(where, name, value)
    if not shape_of(value):
        return np.reshape(value, (1,))
    if shape_of(value)[-1] == 0:
        raise ShapeError(
            f"{name} of {where} needs at least one number, got shape {shape_of(value)}"
        )
    return value


def whole_length(value: Any, name: str = "length", where: str = NAME) -> int:
    try:
        length = operator.index(value)
    except TypeError:
        length = 0
    if length < 1 or isinstance(value, bool):
        raise ArgumentError(f"{name} of {where} is a whole number above 0, got {brief(value)}")
    return length


def mean_of(mean: Any, total: int, before: int, where: str = NAME) -> Any:
    """The mean of each value."""
    mean = as_operand(where, "mean", mean)
    if not shape_of(mean):
        return np.broadcast_to(mean, (total,))
    if shape_of(mean)[-1] != total:
        parts = f" = {before} + {total - before}" if before else ""
        raise ShapeError(
            f"mean of {where} is a number or has {total}{parts} entries along its last axis, one "
            f"for each value, got shape {shape_of(mean)}"
        )
    return mean


def _partials(phi: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.concatenate([a[..., -1:] for a in reversed(autoregression.step_down(phi))], -1)


def _not_stationary(phi: Any) -> str:
    return (
        f"{in_words(phi)} with partial autocorrelations {in_words(_partials(phi))}, which are not "
        "all between -1 and 1; write autoregressive_coefficients(partial) for such numbers"
    )


_between = Domain("between -1 and 1", lambda v: (v > -1.0) & (v < 1.0), rank=1)
_coefficients = Domain(
    "the coefficients of a stationary series",
    finite.test,
    rank=1,
    lazy=True,
    member=lambda v: np.all(np.abs(_partials(v)) < 1.0, axis=-1),
    fault=_not_stationary,
)
_std = Domain(above_zero.rule, above_zero.test, lazy=True)


# --- The log density


def _terms_by(kernel: Callable[..., Any], d: Any, phi: Any, std: Any) -> tuple[Any, list[Any]]:
    """The log density of each series, and pullbacks by the deviations, the coefficients and std."""
    batch = np.broadcast_shapes(shape_of(d)[:-1], shape_of(phi)[:-1], shape_of(std))

    def rows(value: Any, *event: int) -> Any:
        whole = (*batch, *event)
        same = shape_of(value) == whole
        return np.reshape(value if same else np.broadcast_to(value, whole), (-1, *event))

    found = kernel(rows(d, shape_of(d)[-1]), rows(phi, shape_of(phi)[-1]), rows(std))
    good = np.isfinite(raw(found[0]))
    if not np.all(good):
        found = [np.where(good, found[0], -np.inf)] + [
            np.where(with_axes(good, len(shape_of(by)) - 1), by, 0.0) for by in found[1:]
        ]

    def pull(by: Any, value: Any) -> Any:
        rank = len(shape_of(by)) - 1
        by = np.reshape(by, batch + shape_of(by)[1:])
        return lambda g: sum_to(with_axes(g, rank) * by, shape_of(value))

    pulls = [pull(by, value) for by, value in zip(found[1:], (d, phi, std), strict=True)]
    return np.reshape(found[0], batch), pulls


def _stationary_terms(y: Any, phi: Any, std: Any, mean: Any) -> Terms:
    log_density, (by_d, by_phi, by_std) = _terms_by(autoregression.stationary, y - mean, phi, std)
    return log_density, (
        lambda g: sum_to(by_d(g), shape_of(y)),
        by_phi,
        by_std,
        lambda g: sum_to(-by_d(g), shape_of(mean)),
    )


def _conditional_terms(y: Any, phi: Any, std: Any, mean: Any, initial: Any) -> Terms:
    before = shape_of(initial)[-1]
    batch = np.broadcast_shapes(shape_of(y)[:-1], shape_of(initial)[:-1])
    parts = [np.broadcast_to(v, (*batch, shape_of(v)[-1])) for v in (initial, y)]
    d = np.concatenate(parts, axis=-1) - mean
    log_density, (by_d, by_phi, by_std) = _terms_by(autoregression.conditional, d, phi, std)
    return log_density, (
        lambda g: sum_to(by_d(g)[..., before:], shape_of(y)),
        by_phi,
        by_std,
        lambda g: sum_to(-by_d(g), shape_of(mean)),
        lambda g: sum_to(by_d(g)[..., :before], shape_of(initial)),
    )


# --- Draws


def recursion(phi: Array, starts: Sequence[Array], right: Array) -> Array:
    """d where d_t - sum_i phi_i d_(t-i) = right_t for t >= p, by a banded triangular solver.

    Args:
        starts: For t = 1, 2, ... the coefficients of the t values before it, where t < p; without
            them d_t = right_t for t < p.
        right: A column for each system.
    """
    order, n = len(phi), len(right)
    bands = np.zeros((order + 1, n))
    for i in range(1, order + 1):
        bands[i, order - i : n - i] = -phi[i - 1]
    for t, start in enumerate(starts, 1):
        bands[np.arange(1, t + 1), t - np.arange(1, t + 1)] = -start
    return lapack.dtbtrs(bands, right, uplo="L", diag="U")[0]


def _stationary_draw(phi: Array, z: Array) -> Array:
    """A series with std 1 from standard normal numbers."""
    orders = autoregression.step_down(phi)[::-1]
    keep = 1.0 - np.square([a[-1] for a in orders])
    scale = np.ones(len(z))
    scale[: len(phi)] = np.cumprod(keep[::-1])[::-1] ** -0.5
    return recursion(phi, orders[:-1], (scale * z)[:, None])[:, 0]


def _draw_stationary(rng: Any, phi: Any, std: Any, mean: Any, size: tuple[int, ...]) -> Any:
    z = rng.standard_normal((*size, shape_of(mean)[-1]))
    return mean + np.asarray(std)[..., None] * _of_each(_stationary_draw)(phi, z)


def _draw_conditional(
    rng: Any, phi: Any, std: Any, mean: Any, initial: Any, size: tuple[int, ...]
) -> Any:
    before, total = shape_of(initial)[-1], shape_of(mean)[-1]
    right = np.asarray(std)[..., None] * rng.standard_normal((*size, total))
    right[..., :before] = initial - mean[..., :before]
    solved = _of_each(lambda a, b: recursion(a, [], b[:, None])[:, 0])
    return (mean + solved(phi, right))[..., before:]


def _of_each(draw: Callable[[Array, Array], Array]) -> Any:
    """The draws of a batch, each by its coefficients and a row of numbers."""
    return np.vectorize(draw, signature="(p),(n)->(n)", otypes=[float])


def _stationary_variance(phi: Any, std: Any, mean: Any) -> Any:
    keep = np.prod(1.0 - _partials(phi) ** 2, axis=-1)
    return np.asarray(std**2 / keep)[..., None] + np.zeros(np.shape(mean))


# --- The distributions


@made_of_parts
def _stationary() -> Distribution:
    return Distribution(
        Declaration(
            name=NAME,
            arguments={"coefficients": _coefficients, "std": _std, "mean": lazy_vector},
            kind=real_vector,
            region=always(WHOLE_LINE),
            draw=_draw_stationary,
            terms=_stationary_terms,
            event=lambda args: shape_of(args[2])[-1:],
            doc=autoregressive.__doc__,
            statistics=Statistics(mean=lambda phi, std, mean: mean, variance=_stationary_variance),
        )
    )


@made_of_parts
def _conditional() -> Distribution:
    return Distribution(
        Declaration(
            name=NAME,
            arguments={
                "coefficients": lazy_vector,
                "std": _std,
                "mean": lazy_vector,
                "initial": lazy_vector,
            },
            kind=real_vector,
            region=always(WHOLE_LINE),
            draw=_draw_conditional,
            terms=_conditional_terms,
            event=lambda args: (shape_of(args[2])[-1] - shape_of(args[3])[-1],),
            doc=autoregressive.__doc__,
        )
    )
