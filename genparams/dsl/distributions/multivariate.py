"""Distributions over vectors."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, raw, shape_of, special, sum_to
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    above_zero,
    bound_vector,
    count,
    finite,
    first_bad,
    in_words,
    lazy_vector,
    real_vector,
    weights,
    whole,
)
from genparams.dsl.distributions.elementwise import per
from genparams.dsl.distributions.pullbacks import Pullback, Terms, is_one, once
from genparams.dsl.distributions.signatures import called_as
from genparams.errors import DistributionError, ShapeError
from genparams.numeric import FEW, arrays, deviance, exact_product, psi_less_log, stirling

_LOG_TWO_PI = math.log(2.0 * math.pi)
_TINY = 1e-307
"""Entries of a probability vector below which floats have fewer digits."""


def _swap(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _spread(g: Any, axes: int) -> Any:
    """A cotangent of the batch with that many trailing axes to broadcast over."""
    return np.reshape(g, (*shape_of(g), *(1,) * axes)) if shape_of(g) else g


def _log_det(factor: Any) -> Any:
    return np.sum(np.log(np.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


@dataclass(frozen=True, slots=True)
class _Whitened:
    """Log densities by a lower Cholesky factor L, and what all their gradients are made of.

    With z = L^-1 (x - mean) and a cotangent g of the batch:
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
    """Rows of `x` by one normal, or by each of k: one matrix product does for all.

    The vectors' axis is put before the batch, so that every sum runs along contiguous numbers.
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
        return _spread(g if shape_of(g) == batch else np.broadcast_to(g, batch), axes)

    return _Whitened(
        log_density,
        lambda g: _spread(sum_to(spread(g, 0), shape_of(factor)[:-2]), 2),
        lambda g: sum_to(spread(g, 1) * u, shape_of(mean)),
        lambda g: sum_to(spread(g, 1) * u, shape_of(x)),
        lambda g: sum_to(spread(g, 2) * (z[..., :, None] * z[..., None, :]), shape_of(factor)),
        inverse,
    )


def _factor(cov: Any) -> Any:
    try:
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        good = np.linalg.eigvalsh(raw(cov))[..., 0] > 0.0
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


def _where_finite(terms: Callable[..., Terms]) -> Callable[..., Terms]:
    """Terms whose log density is -inf, and whose gradient is 0, for what is too far for floats."""

    def guarded(x: Any, mean: Any, matrix: Any) -> Terms:
        log_density, pulls = terms(x, mean, matrix)
        good = np.isfinite(raw(log_density))
        if np.all(good):
            return log_density, pulls
        log_density, pulls = terms(np.where(good[..., None], x, raw(mean)), mean, matrix)

        def kept(pull: Pullback) -> Pullback:
            return lambda g: pull(np.where(good, 1.0, 0.0) * g)

        return np.where(good, log_density, -np.inf), [kept(pull) for pull in pulls if pull]

    return guarded


@_where_finite
def _mvnormal_terms(x: Any, mean: Any, cov: Any) -> Terms:
    white = _whiten(x, mean, _factor(cov))

    def by_cov(g: Any) -> Any:
        inner = white.second(g) - white.count(g) * np.eye(shape_of(cov)[-1])
        return 0.5 * (_swap(white.inverse) @ inner @ white.inverse)

    return white.log_density, (lambda g: -white.each(g), white.first, by_cov)


@_where_finite
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


_square = Domain(
    "finite and symmetric",
    finite.test,
    rank=2,
    member=lambda v: (
        v.shape[-1] == v.shape[-2] and np.all(np.isclose(v, _swap(v), 1e-10, 0.0), axis=(-2, -1))
    ),
)
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


def _dirichlet_terms(x: Any, alpha: Any) -> Terms:
    inside = np.all(raw(x) >= 0.0, axis=-1) & (np.abs(np.sum(raw(x), axis=-1) - 1.0) < 1e-8)
    there = inside[..., None]
    y = np.where(there, x, 1.0)
    mass = np.sum(alpha, axis=-1)
    large = inside & (raw(mass) > FEW)
    if np.any(large):
        large = large & np.all(raw(x) > _TINY, axis=-1)
    saddle = _DirichletSaddle(y, alpha, large)

    def plain() -> Any:
        kernel = np.sum(special.xlogy(alpha - 1.0, y), axis=-1)
        return kernel + special.gammaln(mass) - np.sum(special.gammaln(alpha), axis=-1)

    def plain_by_alpha() -> Any:
        return np.log(y) + _spread(special.psi(mass), 1) - special.psi(alpha)

    def by_alpha(g: Any) -> Any:
        each = arrays.choose(large[..., None], saddle.by_alpha, plain_by_alpha)
        return sum_to(_spread(g, 1) * np.where(there, each, 0.0), shape_of(alpha))

    def by_x(g: Any) -> Any:
        each = np.where(there, per(arrays, alpha - 1.0, y), 0.0)
        return sum_to(_spread(g, 1) * each, shape_of(x))

    log_density = arrays.choose(large, saddle.log_density, plain)
    return np.where(inside, log_density, -np.inf), (by_x, by_alpha)


@dataclass(frozen=True, slots=True)
class _DirichletSaddle:
    """The Dirichlet by what alpha and mass x differ by, as Loader's formulas for counts.

    Where it is not asked for, x and alpha are 1.
    """

    x: Any
    alpha: Any
    asked: Any

    def _parts(self) -> tuple[Any, ...]:
        each = self.asked[..., None]
        a, x = np.where(each, self.alpha, 1.0), np.where(each, self.x, 1.0)
        mass, lost = _exact_sum(self.alpha)
        mass, lost = np.where(self.asked, mass, 1.0), np.where(self.asked, lost, 0.0)
        mean, lost_mean = exact_product(arrays, _spread(mass, 1), x)
        return a, x, mass, lost, mean, lost_mean, a - mean

    def log_density(self) -> Any:
        a, x, mass, lost, mean, lost_mean, excess = self._parts()
        each = stirling(arrays, a) + deviance(arrays, a, mean, excess - lost_mean) - lost_mean
        whole, lost_whole = _exact_sum(excess)
        rest = np.sum(each + np.log(x) - np.log(a), axis=-1) + whole + (lost_whole - lost)
        return stirling(arrays, mass) - np.log(mass) - rest

    def by_alpha(self) -> Any:
        a, _, mass, lost, mean, lost_mean, excess = self._parts()
        shared = psi_less_log(arrays, mass) + lost / mass
        return (
            _log_ratio(mean, a, lost_mean - excess) + _spread(shared, 1) - psi_less_log(arrays, a)
        )


def _exact_sum(a: Any) -> tuple[Any, Any]:
    """The sum along the last axis, and what rounding took from it (Knuth's two-sum)."""
    total, parts = np.sum(a, axis=-1), raw(a)
    sums = np.cumsum(parts, axis=-1)
    before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
    added = sums - before
    lost = before - (sums - added) + (parts - added)
    return total, sums[..., -1] - raw(total) + np.sum(lost, axis=-1)


def _log_ratio(x: Any, y: Any, difference: Any) -> Any:
    """log(x / y), given difference = x - y."""
    near = np.abs(raw(difference)) < 0.5 * raw(y)
    close = np.log1p(np.where(near, difference, 0.0) / y)
    return np.where(near, close, np.log(x) - np.log(y))


def _draw_dirichlet(rng: Any, alpha: Any, size: tuple[int, ...]) -> Any:
    """Gamma draws over their sum; below alpha = 1 by their logarithms, for they may underflow."""
    shape = (*size, np.shape(alpha)[-1])
    if np.all(alpha >= 1.0):
        parts = rng.standard_gamma(alpha, shape)
    else:
        # A gamma(a + 1) draw times u^(1 / a) is a gamma(a) draw.
        logs = np.log(rng.standard_gamma(alpha + 1.0, shape)) - rng.exponential(size=shape) / alpha
        parts = np.exp(logs - np.max(logs, axis=-1, keepdims=True))
    return parts / np.sum(parts, axis=-1, keepdims=True)


def _off_the_simplex(row: Any) -> str:
    low = np.min(row)
    return f"has an entry {float(low)!r}" if low < 0.0 else _sum_in_words(row)


def _sum_in_words(row: Any) -> str:
    return f"sums to {float(np.sum(row)):.10g}"


def _no_counts(row: Any) -> str:
    bad = row[(row < 0) | (row != np.floor(row)) | ~np.isfinite(row)]
    return f"has an entry {bad[0].item()!r}" if bad.size else _sum_in_words(row)


dirichlet = called_as(signatures.dirichlet)(
    Distribution(
        Declaration(
            name="dirichlet",
            arguments={"alpha": above_zero.within(1)},
            kind=bound_vector,
            draw=_draw_dirichlet,
            terms=_dirichlet_terms,
            support="vectors of numbers of at least 0 that sum to 1",
            fault=_off_the_simplex,
            doc="""The Dirichlet distribution over vectors of positive numbers that sum to 1;
    `alpha` has shape (..., K).

    log p(x) = sum_k (alpha_k - 1) log x_k + log Gamma(sum_k alpha_k) - sum_k log Gamma(alpha_k)

    As `scipy.stats.dirichlet(alpha)`.

    The gradient by x is for free entries.
    """,
        )
    )
)


def _multinomial_terms(x: Any, n: Any, probs: Any) -> Terms:
    x = np.asarray(x)
    whole_up = np.all((x >= 0.0) & (x == np.floor(x)), axis=-1)
    inside = whole_up & (np.sum(np.where(np.isfinite(x), x, -1.0), axis=-1) == raw(n))
    batch = np.broadcast_shapes(inside.shape, shape_of(n), shape_of(probs)[:-1])
    inside = np.broadcast_to(inside, batch)
    there = inside[..., None]
    x, trials = np.where(there, x, 0.0), np.where(inside, raw(n), 0.0)[..., None]
    mean, lost = exact_product(arrays, trials, probs)
    excess = x - mean
    each = stirling(arrays, x) + deviance(arrays, x, mean, excess - lost) - lost
    rest = np.sum(each, axis=-1) + np.sum(excess, axis=-1)
    log_density = stirling(arrays, trials[..., 0]) - rest

    def by_probs(g: Any) -> Any:
        some = x > 0.0
        share = np.where(some, x, 0.0) / np.where(some, probs, 1.0)
        return sum_to(_spread(g, 1) * share, shape_of(probs))

    return np.where(inside, log_density, -np.inf), (None, None, by_probs)


def _draw_multinomial(rng: Any, n: Any, probs: Any, size: tuple[int, ...]) -> Any:
    probs = probs / np.sum(probs, axis=-1, keepdims=True)
    return rng.multinomial(np.asarray(n, dtype=np.int64), probs, size)


multinomial = called_as(signatures.multinomial)(
    Distribution(
        Declaration(
            name="multinomial",
            arguments={"n": count, "probs": weights},
            kind=ValueKind(1, whole.convert),
            draw=_draw_multinomial,
            terms=_multinomial_terms,
            support="vectors of whole numbers from 0 on that sum to n",
            fault=_no_counts,
            event=lambda args: shape_of(args[1])[-1:],
            doc="""How often each of K outcomes came up in `n` trials; `probs` has shape (..., K).

    log p(x) = log n! + sum_k (x_k log probs_k - log x_k!)

    for whole x_k that sum to n. The gradient by `probs` is for free entries, x_k / probs_k.

    As `scipy.stats.multinomial(n, probs)`.
    """,
        )
    )
)
