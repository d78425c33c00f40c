"""Gaussian processes at given inputs, and what is known at other inputs."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from genparams.autodiff import Box, by_row, np, raw, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms, once, with_axes
from genparams.dsl.distributions.domains import (
    Domain,
    as_operand,
    at_least_zero,
    finite,
    lazy_vector,
    real_vector,
)
from genparams.dsl.distributions.mvnormal import is_symmetric, where_finite
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.regions import WHOLE_LINE, always
from genparams.dsl.distributions.sequences import lapack
from genparams.dsl.distributions.sequences.kernels import Kernel, as_inputs, as_kernel
from genparams.dsl.distributions.statistics.known import Statistics
from genparams.dsl.execution import Rng, seeded
from genparams.errors import ArgumentError, DistributionError, ShapeError
from genparams.mistakes import explained
from genparams.program.recorded import recordable
from genparams.types import Array, Numbers, Size

NAME = "gaussian_process"
_LOG_TWO_PI = math.log(2.0 * math.pi)

KernelFunction = Kernel | Callable[[Any, Any], Any]
Mean = Numbers | Callable[[Any], Any]


@explained
def gaussian_process(
    x: Numbers,
    kernel: KernelFunction,
    mean: Mean = 0.0,
    noise: Numbers = 0.0,
    *,
    size: Size = None,
) -> Call[Array]:
    """The values of a random function at the inputs x, with independent noise.

        y ~ N(mean, K),    K = kernel(x, x) + diag(noise^2)

        log p(y) = -(y - mean)^T K^-1 (y - mean) / 2 - log det(K) / 2 - n log(2 pi) / 2

    One Cholesky factorisation gives the log density. With a = K^-1 (y - mean) the gradient by K is
    (a a^T - K^-1) / 2, and flows to the parameters of the kernel and to the noise. The time is of
    order n^3, and the memory of order n^2.

    Nothing is added to the diagonal of K in silence. Smooth kernels need `noise`, if only of 1e-4
    times the scale: their matrices are singular but for rounding.

    Args:
        x: Inputs of shape (n,), or (n, d) for points with d coordinates.
        kernel: A kernel of `genparams.kernels`, or a function (x1, x2) -> covariance matrix written
            with numpy. Its parameters may be traced.
        mean: A number, n numbers along the last axis, or a function of x that gives these.
        noise: The standard deviation of the noise: a number or n numbers, at least 0.
        size: The shape of a batch of independent functions.

    Raises:
        ArgumentError: `kernel` is neither a kernel nor a function.
        ShapeError: x, the mean, the noise or the matrix of the kernel has another shape.
        DistributionError: K is not positive definite, the noise is below 0, or the matrix of a
            function is not symmetric.

    Reference: Rasmussen and Williams, 2006, Gaussian processes for machine learning, sections 2.2
    and 5.4.1.
    """
    x = as_inputs(x, NAME)
    n = shape_of(x)[0]
    cov = as_kernel(kernel)(x)
    if not isinstance(kernel, Kernel):
        _symmetric.check(NAME, "the matrix of the kernel", cov)
    args = (
        _vector("mean", mean(x) if callable(mean) else mean, n),
        cov,
        _vector("noise", noise, n),
    )
    return Call(_process(), args, size)


class Posterior(NamedTuple):
    """The normal distribution of the values of a function at new inputs."""

    mean: Array
    std: Array
    """The standard deviation of each value."""
    cov: Array
    """The covariance of all of them."""

    def sample(self, size: Size = None, rng: Rng = None) -> Array:
        """Draw the values of functions, of shape (*size, n).

        The covariance may be singular: a function without noise is known at its inputs.
        """
        return seeded(rng).multivariate_normal(
            self.mean, self.cov, size, check_valid="ignore", method="eigh"
        )


@explained
def gaussian_process_posterior(
    x_new: Numbers,
    x: Numbers,
    ys: Numbers,
    kernel: KernelFunction,
    mean: Mean = 0.0,
    noise: Numbers = 0.0,
) -> Posterior:
    """The function of a Gaussian process at new inputs, given its noisy values ys at x.

        mean = mean(x_new) + C^T K^-1 (ys - mean(x)),    cov = kernel(x_new) - C^T K^-1 C

    with K as in `gaussian_process` and C = kernel(x, x_new). A new observation has the variance of
    its noise more.

    Args:
        x_new: New inputs of shape (m,) or (m, d).
        x, kernel, noise: As for `gaussian_process`, without traced values.
        ys: n numbers.
        mean: A number or a function of x.

    Returns:
        `mean`, `std` of shape (m,) and `cov` of shape (m, m), with a method `sample(size, rng)`.

    Raises:
        ArgumentError: `mean` is neither a number nor a function.
        ShapeError, DistributionError: as for `gaussian_process`.
    """
    where = "gaussian_process_posterior"
    call = gaussian_process(x, kernel, mean, noise)
    if not callable(mean) and np.ndim(mean):
        raise ArgumentError(
            f"mean of {where} is a number or a function of x, so that it is known at x_new too; "
            f"got shape {np.shape(mean)}"
        )
    ys, x, x_new = as_operand(where, "ys", ys), as_inputs(x, where), as_inputs(x_new, where)
    n = shape_of(x)[0]
    if shape_of(ys) != (n,):
        raise ShapeError(f"ys of {where} has one value for each of {n} inputs, got {shape_of(ys)}")
    finite.check(where, "ys", ys)
    declared: Any = call.fn
    declared.declared.check(call.args)
    declared.declared.check_lazy(call.args)
    mean_at_x, cov, deviations = call.args
    made = as_kernel(kernel)
    right = np.column_stack([ys - mean_at_x, made(x, x_new)])
    half = lapack.dtrtrs(_factor(cov, deviations), right, lower=1)[0]
    found = made(x_new) - half[:, 1:].T @ half[:, 1:]
    at_new = mean(x_new) if callable(mean) else mean
    std = np.sqrt(np.maximum(np.diagonal(found), 0.0))
    return Posterior(at_new + half[:, 1:].T @ half[:, 0], std, found)


# --- Arguments


def _vector(name: str, value: Any, n: int) -> Any:
    """A number for each input."""
    value = as_operand(NAME, name, value)
    if not shape_of(value):
        return np.broadcast_to(value, (n,))
    if shape_of(value)[-1] != n or (name == "noise" and len(shape_of(value)) > 1):
        raise ShapeError(
            f"{name} of {NAME} is a number or has one entry for each of {n} inputs, got shape "
            f"{shape_of(value)}"
        )
    return value


_symmetric = Domain("finite and symmetric", finite.test, rank=2, member=is_symmetric)


# --- The log density


@recordable()
def _factor(cov: Any, noise: Any) -> Any:
    """The lower Cholesky factor of cov + diag(noise^2)."""
    whole = np.array(cov)
    whole.flat[:: len(whole) + 1] += noise * noise
    factor, info = lapack.dpotrf(whole.T, lower=1, clean=1, overwrite_a=1)
    if info and not np.all(np.isfinite(cov)):
        raise DistributionError(f"the matrix of the kernel of {NAME} is not finite")
    if info:
        raise DistributionError(
            f"the covariance of {NAME} is not positive definite, but for rounding: the first "
            f"{info} values are dependent; give noise=, or a larger one, or leave out inputs that "
            "are nearly equal"
        )
    return factor


@recordable()
def normal_by_factor(off: Any, factor: Any) -> tuple[Any, Any]:
    """The log densities of rows with mean 0, and K^-1 times each row."""
    n = len(factor)
    alpha = lapack.dpotrs(factor, off.T, lower=1)[0].T
    half_log_det = np.sum(np.log(np.diagonal(factor)))
    return -0.5 * (np.sum(off * alpha, axis=-1) + n * _LOG_TWO_PI) - half_log_det, alpha


@recordable()
def inverse_by_factor(factor: Any) -> Any:
    """K^-1."""
    lower = lapack.dpotri(factor, lower=1)[0]  # 0 above the diagonal, as the factor is
    inverse = lower + lower.T
    inverse.flat[:: len(factor) + 1] *= 0.5
    return inverse


def _terms_by_factor(off: Any, cov: Any, noise: Any) -> tuple[Any, Any, Callable[[], Any]]:
    """The log density, K^-1 off, and a function that gives K^-1."""
    factor = _factor(cov, noise)
    log_density, alpha = normal_by_factor(np.reshape(off, (-1, shape_of(cov)[0])), factor)
    shape = shape_of(off)
    return (
        np.reshape(log_density, shape[:-1]),
        np.reshape(alpha, shape),
        lambda: inverse_by_factor(factor),
    )


def _terms_by_tape(off: Any, cov: Any, noise: Any) -> tuple[Any, Any, Callable[[], Any]]:
    """The same in operations that can be differentiated again."""
    factor, n = _factor(raw(cov), raw(noise)), shape_of(cov)[0]
    bool(factor[n - 1, n - 1] > 0.0)  # a test: a recording keeps the factor, which may raise
    whole = cov + np.eye(n) * (noise * noise)
    inverse = np.linalg.inv(whole)
    alpha, log_det = off @ inverse, np.linalg.slogdet(whole)[1]
    log_density = -0.5 * (np.sum(off * alpha, axis=-1) + log_det + n * _LOG_TWO_PI)
    return log_density, alpha, lambda: inverse


@where_finite
def _terms(y: Any, mean: Any, cov: Any, noise: Any) -> Terms:
    off = y - mean
    traced = any(type(v) is Box for v in (off, cov, noise))
    log_density, alpha, inverse = (_terms_by_tape if traced else _terms_by_factor)(off, cov, noise)
    batch, n = shape_of(log_density), shape_of(cov)[0]

    def by_mean(g: Any) -> Any:
        return with_axes(g, 1) * alpha

    def gradient_by_cov(g: Any) -> Any:
        square = np.transpose(np.reshape(by_mean(g), (-1, n))) @ np.reshape(alpha, (-1, n))
        return 0.5 * (square - np.sum(np.broadcast_to(g, batch)) * inverse())

    by_cov, diagonal = once(by_row(gradient_by_cov)), by_row(np.diagonal)
    return log_density, (
        lambda g: sum_to(-by_mean(g), shape_of(y)),
        lambda g: sum_to(by_mean(g), shape_of(mean)),
        by_cov,
        lambda g: 2.0 * noise * diagonal(by_cov(g)),
    )


def _draw(rng: Any, mean: Any, cov: Any, noise: Any, size: tuple[int, ...]) -> Any:
    return mean + rng.standard_normal((*size, len(cov))) @ _factor(cov, noise).T


def _check_sizes(mean: Any, cov: Any, noise: Any) -> None:
    n = shape_of(mean)[-1]
    if shape_of(cov) != (n, n) or shape_of(noise) != (n,):
        raise ShapeError(
            f"{NAME} takes one covariance for all functions of a batch, got shapes "
            f"{shape_of(mean)}, {shape_of(cov)} and {shape_of(noise)}"
        )


@made_of_parts
def _process() -> Distribution:
    return Distribution(
        Declaration(
            name=NAME,
            arguments={
                "mean": lazy_vector,
                "cov": Domain("the matrix of a kernel", None, rank=2),
                "noise": at_least_zero.within(1),
            },
            kind=real_vector,
            region=always(WHOLE_LINE),
            draw=_draw,
            terms=_terms,
            fit=_check_sizes,
            doc=gaussian_process.__doc__,
            statistics=Statistics(
                mean=lambda mean, cov, noise: mean,
                variance=lambda mean, cov, noise: np.broadcast_to(
                    np.diagonal(cov) + noise * noise, np.shape(mean)
                ),
            ),
        )
    )
