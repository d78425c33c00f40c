"""Distributions over vectors."""

import math
from typing import Any

from genparams.autodiff import np, raw, shape_of, special, sum_to
from genparams.dsl.distributions.base import Distribution, Domain, Terms, real_vector
from genparams.errors import DistributionError

_LOG_TWO_PI = math.log(2.0 * math.pi)


def _swap(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _spread(g: Any, axes: int) -> Any:
    """A cotangent of the batch with that many trailing axes to broadcast over."""
    return np.reshape(g, (*shape_of(g), *(1,) * axes)) if shape_of(g) else g


def _diagonal(values: Any) -> Any:
    """Diagonal matrices from the last axis."""
    return _spread(values, 1) * np.eye(shape_of(values)[-1])


def _log_det(factor: Any) -> Any:
    return np.sum(np.log(np.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


def _terms_by_factor(x: Any, mean: Any, factor: Any) -> tuple[Any, Any, Any, Any]:
    """With L the factor: log densities, z = L^-1 (x - mean), u = L^-T z and L^-1."""
    inverse = np.linalg.inv(factor)
    off = x - mean
    d = shape_of(off)[-1]
    if len(shape_of(inverse)) == 2:
        z = np.reshape(np.reshape(off, (-1, d)) @ _swap(inverse), shape_of(off))
        u = np.reshape(np.reshape(z, (-1, d)) @ inverse, shape_of(off))
    else:
        z = np.sum(inverse * off[..., None, :], axis=-1)
        u = np.sum(inverse * z[..., :, None], axis=-2)
    return -0.5 * np.sum(z * z, axis=-1) - (_log_det(factor) + 0.5 * d * _LOG_TWO_PI), z, u, inverse


def _outer(g: Any, a: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """The sum of g a b^T over the batch, down to that shape."""
    if len(shape) == 2:
        d = shape[-1]
        return np.transpose(np.reshape(_spread(g, 1) * a, (-1, d))) @ np.reshape(b, (-1, d))
    return sum_to(_spread(g, 2) * (a[..., :, None] * b[..., None, :]), shape)


def _weight(g: Any, batch: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The sum of g over the batch, down to the batch axes of an argument of that shape."""
    return _spread(sum_to(np.broadcast_to(g, batch) if shape_of(g) != batch else g, shape[:-2]), 2)


def _factor(cov: Any) -> Any:
    try:
        if not np.allclose(raw(cov), _swap(raw(cov)), rtol=1e-10, atol=0.0):
            raise DistributionError(f"cov of mvnormal must be symmetric, got {raw(cov)!r}")
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        raise DistributionError(
            f"cov of mvnormal must be positive definite, got {raw(cov)!r}"
        ) from None


def _mvnormal_terms(x: Any, mean: Any, cov: Any) -> Terms:
    log_density, _, u, inverse = _terms_by_factor(x, mean, _factor(cov))
    batch, shape = shape_of(log_density), shape_of(cov)

    def by_cov(g: Any) -> Any:
        return 0.5 * (
            _outer(g, u, u, shape) - _weight(g, batch, shape) * (_swap(inverse) @ inverse)
        )

    return log_density, (
        lambda g: sum_to(-_spread(g, 1) * u, shape_of(x)),
        lambda g: sum_to(_spread(g, 1) * u, shape_of(mean)),
        by_cov,
    )


def _mvnormal_tril_terms(x: Any, mean: Any, scale_tril: Any) -> Terms:
    log_density, z, u, _ = _terms_by_factor(x, mean, scale_tril)
    batch, shape = shape_of(log_density), shape_of(scale_tril)

    def by_factor(g: Any) -> Any:
        weight = _weight(g, batch, shape)
        diagonal = np.diagonal(scale_tril, axis1=-2, axis2=-1)
        return np.tril(1.0 + 0.0 * raw(scale_tril)) * _outer(g, u, z, shape) - weight * _diagonal(
            1.0 / diagonal
        )

    return log_density, (
        lambda g: sum_to(-_spread(g, 1) * u, shape_of(x)),
        lambda g: sum_to(_spread(g, 1) * u, shape_of(mean)),
        by_factor,
    )


def _draw_mvnormal(rng: Any, mean: Any, cov: Any, size: tuple[int, ...]) -> Any:
    return _draw_mvnormal_tril(rng, mean, _factor(cov), size)


def _draw_mvnormal_tril(rng: Any, mean: Any, scale_tril: Any, size: tuple[int, ...]) -> Any:
    z = rng.standard_normal((*size, np.shape(mean)[-1]))
    return mean + np.sum(scale_tril * z[..., None, :], axis=-1)


_vector = Domain("a vector", None, rank=1)
_square = Domain("a square matrix", None, rank=2)
_factor_domain = Domain(
    "lower triangular with a positive diagonal",
    lambda v: np.all(np.tril(v) == v) and np.all(np.diagonal(v, axis1=-2, axis2=-1) > 0.0),
    rank=2,
)

_mvnormal_tril = Distribution(
    "mvnormal",
    {"mean": _vector, "scale_tril": _factor_domain},
    real_vector,
    _draw_mvnormal_tril,
    _mvnormal_tril_terms,
    doc="`mvnormal` by the lower Cholesky factor L of its covariance, cov = L L^T.",
)

mvnormal = Distribution(
    "mvnormal",
    {"mean": _vector, "cov": _square},
    real_vector,
    _draw_mvnormal,
    _mvnormal_terms,
    keywords={"scale_tril": _mvnormal_tril},
    doc="""The multivariate normal distribution with a covariance, or its lower Cholesky factor
    `scale_tril=`.

    log p(x) = -(x - mean)^T cov^-1 (x - mean) / 2 - log det(cov) / 2 - d log(2 pi) / 2

    `mean` has shape (..., d), `cov` and `scale_tril` (..., d, d), a value (..., d). The gradient by
    `cov` is
    symmetric: -(cov^-1 - cov^-1 (x - mean) (x - mean)^T cov^-1) / 2.
    """,
)


def _dirichlet_terms(x: Any, alpha: Any) -> Terms:
    inside = np.all(raw(x) >= 0.0, axis=-1) & (np.abs(np.sum(raw(x), axis=-1) - 1.0) < 1e-8)
    mass = np.sum(alpha, axis=-1)
    there = _spread(np.where(inside, 1.0, 0.0), 1)
    with np.errstate(all="ignore"):
        kernel = np.sum(special.xlogy(alpha - 1.0, np.where(there > 0.0, x, 0.5)), axis=-1)
    log_density = kernel + special.gammaln(mass) - np.sum(special.gammaln(alpha), axis=-1)

    def by_alpha(g: Any) -> Any:
        with np.errstate(divide="ignore"):
            log_x = np.log(np.where(there > 0.0, x, 1.0))
        return sum_to(
            _spread(g, 1) * there * (log_x + _spread(special.psi(mass), 1) - special.psi(alpha)),
            shape_of(alpha),
        )

    def by_x(g: Any) -> Any:
        return sum_to(
            _spread(g, 1) * there * (alpha - 1.0) / np.where(there > 0.0, x, 1.0), shape_of(x)
        )

    return np.where(inside, log_density, -np.inf), (by_x, by_alpha)


def _draw_dirichlet(rng: Any, alpha: Any, size: tuple[int, ...]) -> Any:
    parts = rng.standard_gamma(alpha, (*size, np.shape(alpha)[-1]))
    return parts / np.sum(parts, axis=-1, keepdims=True)


dirichlet = Distribution(
    "dirichlet",
    {"alpha": Domain("above 0", lambda v: np.all(v > 0.0), rank=1)},
    real_vector,
    _draw_dirichlet,
    _dirichlet_terms,
    doc="""The Dirichlet distribution over vectors of positive numbers that sum to 1; `alpha` has
    shape (..., K).

    log p(x) = sum_k (alpha_k - 1) log x_k + log Gamma(sum_k alpha_k) - sum_k log Gamma(alpha_k)

    The gradient by x is that of free entries.
    """,
)
