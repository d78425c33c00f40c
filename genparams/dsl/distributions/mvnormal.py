"""The multivariate normal distribution, by a covariance or by its Cholesky factor."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import (
    Declaration,
    Pullback,
    Terms,
    is_one,
    once,
    with_axes,
)
from genparams.dsl.distributions.domains import (
    Domain,
    finite,
    first_bad,
    in_words,
    lazy_vector,
    real_vector,
)
from genparams.dsl.distributions.regions import WHOLE_LINE, always
from genparams.dsl.distributions.signatures import called_as
from genparams.errors import DistributionError, ShapeError

_LOG_TWO_PI = math.log(2.0 * math.pi)


def _swap(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _log_det(factor: Any) -> Any:
    return np.sum(np.log(np.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


@dataclass(frozen=True, slots=True)
class _Whitened:
    """Log densities by a lower Cholesky factor L, and the sums that their gradients are made of.

    With z = L^-1 (x - mean), and g a gradient by the batch of log densities:
    """

    log_density: Any
    count: Pullback
    """The sum of g, in the batch axes of L with two more of length 1."""
    first: Pullback
    """L^-T times g z, summed to the shape of the mean."""
    each: Pullback
    """L^-T times g z, summed to the shape of x."""
    second: Pullback
    """The sum of g z z^T, in the shape of L."""
    inverse: Any
    """L^-1."""


def _whiten(x: Any, mean: Any, factor: Any) -> _Whitened:
    rows = len(shape_of(x)) == 2
    if rows and len(shape_of(factor)) == 2 and len(shape_of(mean)) == 1:
        return _whiten_rows(x, mean, factor, ())
    stacked = len(shape_of(factor)) == 4 and len(shape_of(mean)) == 3
    if rows and stacked and shape_of(factor)[1] == shape_of(mean)[1] == 1:
        k = max(shape_of(factor)[0], shape_of(mean)[0])
        return _whiten_rows(x, mean, factor, (k,))  # the components of a mixture
    return _whiten_any(x, mean, factor)


def _whiten_rows(x: Any, mean: Any, factor: Any, front: tuple[int, ...]) -> _Whitened:
    """Rows of `x` by one normal, or by each of k, with one matrix product for all.

    The axis of the vectors comes before the batch, so that every sum is over contiguous numbers.
    """
    n, d = shape_of(x)
    k = front[0] if front else 1
    count = math.prod(shape_of(factor)[:-2])  # k factors, or one for all
    inverse = np.reshape(np.linalg.inv(factor), (count, d, d))
    product = np.reshape(np.reshape(inverse, (count * d, d)) @ np.transpose(x), (count, d, n))
    z = product - inverse @ np.reshape(mean, (-1, d, 1))
    constant = np.reshape(_log_det(factor), (-1, 1)) + 0.5 * d * _LOG_TWO_PI
    log_density = np.reshape(-0.5 * np.sum(z * z, axis=1) - constant, (*front, n))

    def spread(g: Any) -> Any:
        g = np.reshape(g, (-1, 1, shape_of(g)[-1] if shape_of(g) else 1))
        return np.broadcast_to(g, (k, 1, n))

    weighted = once(lambda g: z if is_one(g) else spread(g) * z)

    def first(g: Any) -> Any:
        by_mean = _swap(inverse) @ np.sum(weighted(g), axis=-1, keepdims=True)
        return np.reshape(
            sum_to(by_mean, (shape_of(mean)[0] if front else 1, d, 1)), shape_of(mean)
        )

    def to_factor(stack: Any) -> Any:
        return np.reshape(
            sum_to(stack, (shape_of(inverse)[0], *shape_of(stack)[1:])),
            shape_of(factor)[:-2] + shape_of(stack)[1:],
        )

    return _Whitened(
        log_density,
        lambda g: to_factor(np.sum(spread(g), axis=-1, keepdims=True)),
        first,
        lambda g: np.transpose(np.sum(_swap(inverse) @ weighted(g), axis=0)),
        lambda g: to_factor(weighted(g) @ _swap(z)),
        np.reshape(inverse, shape_of(factor)),
    )


def _whiten_any(x: Any, mean: Any, factor: Any) -> _Whitened:
    """Any shapes that broadcast."""
    inverse = np.linalg.inv(factor)
    off = x - mean
    d = shape_of(off)[-1]
    z = np.sum(inverse * off[..., None, :], axis=-1)
    u = np.sum(inverse * z[..., :, None], axis=-2)
    log_density = -0.5 * np.sum(z * z, axis=-1) - (_log_det(factor) + 0.5 * d * _LOG_TWO_PI)
    batch = shape_of(log_density)

    def spread(g: Any, axes: int) -> Any:
        return with_axes(g if shape_of(g) == batch else np.broadcast_to(g, batch), axes)

    return _Whitened(
        log_density,
        lambda g: with_axes(sum_to(spread(g, 0), shape_of(factor)[:-2]), 2),
        lambda g: sum_to(spread(g, 1) * u, shape_of(mean)),
        lambda g: sum_to(spread(g, 1) * u, shape_of(x)),
        lambda g: sum_to(spread(g, 2) * (z[..., :, None] * z[..., None, :]), shape_of(factor)),
        inverse,
    )


def _factor(cov: Any) -> Any:
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        lowest = np.linalg.eigvalsh(raw(cov))[..., 0]
        # rounding may leave the lowest eigenvalue just above 0 where the factorisation fails
        good = lowest > (0.0 if np.any(lowest <= 0.0) else np.min(lowest))
        raise DistributionError(
            f"cov of mvnormal must be positive definite, got {first_bad(raw(cov), good, in_words)}"
        ) from None


def _same_size(name: str) -> Callable[..., None]:
    """A check that a mean and a matrix of that name fit together."""

    def check(mean: Any, matrix: Any) -> None:
        d = shape_of(mean)[-1]
        if shape_of(matrix)[-2:] != (d, d):
            raise ShapeError(
                f"{name} of mvnormal must be {d} x {d} for a mean of length {d}, "
                f"got shape {shape_of(matrix)}"
            )

    return check


def where_finite(terms: Callable[..., Terms]) -> Callable[..., Terms]:
    """Terms whose log density is -inf and whose gradient is 0 where the density overflows."""

    def guarded(x: Any, mean: Any, *others: Any) -> Terms:
        log_density, pulls = terms(x, mean, *others)
        good = np.isfinite(raw(log_density))
        if np.all(good):
            return log_density, pulls
        log_density, pulls = terms(np.where(good[..., None], x, raw(mean)), mean, *others)

        def kept(pull: Pullback) -> Pullback:
            return lambda g: pull(np.where(good, 1.0, 0.0) * g)

        return np.where(good, log_density, -np.inf), [kept(pull) for pull in pulls if pull]

    return guarded


@where_finite
def _mvnormal_terms(x: Any, mean: Any, cov: Any) -> Terms:
    white = _whiten(x, mean, _factor(cov))

    def by_cov(g: Any) -> Any:
        inner = white.second(g) - white.count(g) * np.eye(shape_of(cov)[-1])
        return 0.5 * (_swap(white.inverse) @ inner @ white.inverse)

    return white.log_density, (lambda g: -white.each(g), white.first, by_cov)


@where_finite
def _mvnormal_tril_terms(x: Any, mean: Any, scale_tril: Any) -> Terms:
    white = _whiten(x, mean, scale_tril)

    def by_factor(g: Any) -> Any:
        d = shape_of(scale_tril)[-1]
        lower = np.tri(d) * (_swap(white.inverse) @ white.second(g))
        return lower - white.count(g) * np.eye(d) / np.where(np.eye(d) > 0.0, scale_tril, 1.0)

    return white.log_density, (lambda g: -white.each(g), white.first, by_factor)


def _draw_mvnormal(rng: Any, mean: Any, cov: Any, size: tuple[int, ...]) -> Any:
    return _draw_mvnormal_tril(rng, mean, _factor(cov), size)


def _draw_mvnormal_tril(rng: Any, mean: Any, scale_tril: Any, size: tuple[int, ...]) -> Any:
    z = rng.standard_normal((*size, np.shape(mean)[-1]))
    return mean + np.sum(scale_tril * z[..., None, :], axis=-1)


def is_symmetric(v: Any) -> Any:
    """Whether matrices equal their transposes, but for rounding of the size of the variances."""
    if v.shape[-1] != v.shape[-2]:
        return False
    root = np.sqrt(np.abs(np.diagonal(v, axis1=-2, axis2=-1)))
    scale = root[..., :, None] * root[..., None, :]
    return np.all(np.abs(v - _swap(v)) <= 1e-10 * scale, axis=(-2, -1))


_square = Domain("finite and symmetric", finite.test, rank=2, member=is_symmetric)
_factor_domain = Domain(
    "lower triangular with a positive diagonal",
    finite.test,
    rank=2,
    member=lambda v: (
        np.all(np.tril(v) == v, axis=(-2, -1))
        & np.all(np.diagonal(v, axis1=-2, axis2=-1) > 0.0, axis=-1)
    ),
)

_mvnormal_tril = Distribution(
    Declaration(
        name="mvnormal",
        arguments={"mean": lazy_vector, "scale_tril": _factor_domain},
        kind=real_vector,
        region=always(WHOLE_LINE),
        draw=_draw_mvnormal_tril,
        terms=_mvnormal_tril_terms,
        fit=_same_size("scale_tril"),
        doc="`mvnormal` by the lower Cholesky factor L of its covariance, cov = L L^T.",
    )
)

mvnormal = called_as(signatures.mvnormal)(
    Distribution(
        Declaration(
            name="mvnormal",
            arguments={"mean": lazy_vector, "cov": _square},
            kind=real_vector,
            region=always(WHOLE_LINE),
            draw=_draw_mvnormal,
            terms=_mvnormal_terms,
            forms={"scale_tril": _mvnormal_tril},
            fit=_same_size("cov"),
            doc="""The multivariate normal distribution with a covariance, or its lower
    Cholesky factor `scale_tril=`.

    log p(x) = -(x - mean)^T cov^-1 (x - mean) / 2 - log det(cov) / 2 - d log(2 pi) / 2

    As `scipy.stats.multivariate_normal(mean, cov)`.

    `mean` has shape (..., d), `cov` and `scale_tril` (..., d, d), a value (..., d). The gradient by
    `cov` is symmetric: -(cov^-1 - cov^-1 (x - mean) (x - mean)^T cov^-1) / 2.
    """,
        )
    )
)
