"""Covariance functions of Gaussian processes: values that are built, added and multiplied.

    from genparams import kernels

    kernel = kernels.squared_exponential(scale, length_scale) + kernels.periodic(1.0, 0.5, period)
    cov = kernel(x)            # between the values at x
    cross = kernel(x, x_new)   # between the values at x and at x_new

Inputs are an array of shape (n,), numbers on a line, or (n, d), points with d coordinates. The
parameters may be traced: the gradient of a covariance matrix flows to them, and to inputs that are
traced. With u = x / length_scale, the kernels of a distance are

    k(x, x') = scale^2 f(z),    z = sum_k (u_k - u'_k)^2

and are one node each. For the gradient G by the matrix and W = 2 scale^2 f'(z) G, the gradient by u
is W 1 u - W u': no array has an axis for each pair of inputs and each coordinate.

Reference: Rasmussen and Williams, 2006, Gaussian processes for machine learning, chapter 4.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to, unbox
from genparams.dsl.distributions.declaration import once
from genparams.dsl.distributions.domains import Domain, above_zero, as_operand, finite
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import Numbers

__all__ = ["Kernel", "constant", "linear", "matern", "periodic", "rational_quadratic"]
__all__ += ["squared_exponential", "white"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Kernel:
    """A covariance function. `kernel(x)` is the covariance of the values at x, `kernel(x, x_new)`
    their covariance with the values at x_new.

    Kernels are added and multiplied with each other, and with any function (x1, x2) -> matrix.
    """

    name: str
    between: Callable[[Any, Any], Any]
    """`between(x1, x2)`, where x2 is None for the values at x1 themselves."""

    def __call__(self, x1: Numbers, x2: Numbers | None = None) -> Any:
        """The covariance matrix, of shape (n1, n2).

        Raises:
            ShapeError: inputs are not of shape (n,) or (n, d), with the same d, and d length scales
                where there is not one for all.
            DistributionError: an input is not finite.
        """
        first = as_inputs(x1, self.name)
        if x2 is None:
            return self.between(first, None)
        second = as_inputs(x2, self.name)
        if shape_of(first)[1:] != shape_of(second)[1:]:
            raise ShapeError(
                f"inputs of {self.name} have the same coordinates, got shapes {shape_of(first)} "
                f"and {shape_of(second)}"
            )
        return self.between(first, second)

    def __add__(self, other: Any) -> "Kernel":
        return _combined(self, other, "+", lambda a, b: a + b)

    def __mul__(self, other: Any) -> "Kernel":
        return _combined(self, other, "*", lambda a, b: a * b)

    __radd__ = __add__
    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"


def as_kernel(given: Any) -> Kernel:
    """A kernel, of a kernel or a function (x1, x2) -> covariance matrix.

    Raises:
        ArgumentError: it is neither.
        ShapeError: when it is used and the matrix has another shape.
    """
    if isinstance(given, Kernel):
        return given
    if not callable(given) or isinstance(given, type):
        raise ArgumentError(
            "a kernel is one of genparams.kernels, such as squared_exponential(scale, "
            f"length_scale), or a function (x1, x2) -> covariance matrix, got {brief(given)}"
        )
    name = getattr(given, "__name__", "kernel")
    if name in __all__ and given.__module__ == __name__:
        raise ArgumentError(f"{name} makes a kernel of its parameters; write kernels.{name}(...)")

    def between(x1: Any, x2: Any) -> Any:
        cov = as_operand(name, "the matrix", given(x1, x1 if x2 is None else x2))
        wanted = _shape(x1, x2)
        if shape_of(cov) != wanted:
            raise ShapeError(
                f"{name} must give a matrix of shape {wanted} for {wanted[0]} and {wanted[1]} "
                f"inputs, got shape {shape_of(cov)}"
            )
        return cov

    return Kernel(name, between)


def as_inputs(x: Any, where: str) -> Any:
    """Inputs as an array of floats, of shape (n,) or (n, d), or a box of one.

    Raises:
        ShapeError: they have another number of axes, or there are none.
        DistributionError: one is not finite.
    """
    x = as_operand(where, "x", x)
    if len(shape_of(x)) not in (1, 2) or 0 in shape_of(x):
        raise ShapeError(
            f"x of {where} has shape (n,) or (n, d) with at least one input, got {shape_of(x)}"
        )
    finite.check(where, "x", x)
    return x


def _combined(a: Kernel, b: Any, sign: str, of: Callable[[Any, Any], Any]) -> Kernel:
    if not callable(b):
        raise ArgumentError(
            f"a kernel is added to and multiplied with kernels, got {brief(b)}; for a number write "
            "constant(scale), whose variance is scale^2"
        )
    b = as_kernel(b)
    return Kernel(f"({a.name} {sign} {b.name})", lambda x, y: of(a.between(x, y), b.between(x, y)))


# --- Kernels of a distance

Slope = Callable[[], Any]
Profile = Callable[..., tuple[Any, Sequence[Slope]]]
"""`profile(z, *shape)`: f(z), and its derivatives by z and by each shape parameter."""


@explained
def squared_exponential(scale: Numbers, length_scale: Numbers) -> Kernel:
    """Infinitely smooth functions: k = scale^2 exp(-z / 2).

    Also called the radial basis function or Gaussian kernel.

    Args:
        scale: The standard deviation of a value, above 0.
        length_scale: How far inputs with similar values are from each other: a number, or one for
            each coordinate. All kernels with these arguments take them so.
    """

    return _of_distance("squared_exponential", _gaussian, scale, length_scale)


@explained
def matern(scale: Numbers, length_scale: Numbers, nu: float = 1.5) -> Kernel:
    """Functions with derivatives up to an order below `nu`, with a = sqrt(2 nu z).

        nu = 1/2   k = scale^2 exp(-a)
        nu = 3/2   k = scale^2 (1 + a) exp(-a)
        nu = 5/2   k = scale^2 (1 + a + a^2 / 3) exp(-a)

    On a line these processes are `linear_gaussian` models too, in time of order n.

    Args:
        nu: 0.5, 1.5 or 2.5.
    """
    if nu not in list(_MATERN):
        raise ArgumentError(f"nu of matern is 0.5, 1.5 or 2.5, got {brief(nu)}")
    return _of_distance("matern", _MATERN[nu], scale, length_scale)


@explained
def rational_quadratic(scale: Numbers, length_scale: Numbers, alpha: Numbers) -> Kernel:
    """Smooth functions of many lengths: k = scale^2 (1 + z / (2 alpha))^-alpha.

    It is a mixture of squared exponentials, and one of them as alpha grows.
    """

    def profile(z: Any, alpha: Any) -> Any:
        rest = 0.5 * z / alpha
        log_base = np.log1p(rest)
        f = np.exp(-alpha * log_base)
        base = 1.0 + rest
        return f, [lambda: -0.5 * f / base, lambda: f * (rest / base - log_base)]

    alpha = _positive("rational_quadratic", "alpha", alpha)
    return _of_distance("rational_quadratic", profile, scale, length_scale, alpha)


@explained
def periodic(scale: Numbers, length_scale: Numbers, period: Numbers) -> Kernel:
    """Functions that repeat: k = scale^2 exp(-2 sum_k sin^2(pi (x_k - x'_k) / period) / length^2).

    It is a squared exponential of (cos, sin)(2 pi x / period), points on a circle.

    Args:
        length_scale: A number, without units: the smoothness within one period.
        period: A number, or one for each coordinate.
    """
    period = _positive("periodic", "period", period, 1)
    length_scale = _positive("periodic", "length_scale", length_scale)
    on_circle = _of_distance("periodic", _gaussian, scale, length_scale)

    def circle(x: Any) -> Any:
        _check_coordinates("periodic", "period", period, x)
        angle = 2.0 * math.pi * x / period
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)

    def between(x1: Any, x2: Any) -> Any:
        x1, x2 = _centred(x1, x2)
        return on_circle.between(circle(x1), None if x2 is None else circle(x2))

    return Kernel("periodic", between)


def _gaussian(z: Any) -> Any:
    f = np.exp(-0.5 * z)
    return f, [lambda: -0.5 * f]


def _matern12(z: Any) -> Any:
    r = _root(z)
    f = np.exp(-r)
    apart = raw(z) > 0.0
    return f, [lambda: np.where(apart, -0.5 * f / np.where(apart, r, 1.0), 0.0)]


def _matern32(z: Any) -> Any:
    a = math.sqrt(3.0) * _root(z)
    decay = np.exp(-a)
    return (1.0 + a) * decay, [lambda: -1.5 * decay]


def _matern52(z: Any) -> Any:
    a = math.sqrt(5.0) * _root(z)
    decay = np.exp(-a)
    return (1.0 + a + a * a / 3.0) * decay, [lambda: (-5.0 / 6.0) * (1.0 + a) * decay]


def _root(z: Any) -> Any:
    """sqrt(z), with derivative 0 where z is 0: there the inputs are equal, and z does not move."""
    apart = raw(z) > 0.0
    return np.where(apart, np.sqrt(np.where(apart, z, 1.0)), 0.0)


_MATERN: dict[float, Profile] = {0.5: _matern12, 1.5: _matern32, 2.5: _matern52}


def _of_distance(name: str, profile: Profile, scale: Any, length_scale: Any, *shape: Any) -> Kernel:
    scale = _positive(name, "scale", scale)
    length_scale = _positive(name, "length_scale", length_scale, 1)

    def between(x1: Any, x2: Any) -> Any:
        x1, x2 = _centred(x1, x2)
        _check_coordinates(name, "length_scale", length_scale, x1)
        u1 = x1 / length_scale
        return _covariance(profile, u1, u1 if x2 is None else x2 / length_scale, scale, shape)

    return Kernel(name, between)


def _covariance(profile: Profile, u1: Any, u2: Any, scale: Any, shape: Sequence[Any]) -> Any:
    """scale^2 f(z), as one node on the tape of its boxes."""
    given = u1, u2, scale, *shape
    tape, (v1, v2, s, *own) = unbox(given)
    z: Any = 0.0
    for k in range(shape_of(v1)[1]):
        z = z + (v1[:, k : k + 1] - v2[:, k]) ** 2
    f, slopes = profile(z, *own)
    cov = s * s * f
    if tape is None:
        return cov

    weights = once(lambda g: 2.0 * s * s * g * slopes[0]())

    def by_u1(g: Any) -> Any:
        w = weights(g)
        return np.sum(w, axis=-1)[..., None] * v1 - w @ v2

    def by_u2(g: Any) -> Any:
        w = np.swapaxes(weights(g), -1, -2)
        return np.sum(w, axis=-1)[..., None] * v2 - w @ v1

    def by_shape(slope: Slope) -> Any:
        return lambda g: sum_to(s * s * g * slope(), ())

    pulls = [by_u1, by_u2, lambda g: sum_to(2.0 * s * g * f, ()), *map(by_shape, slopes[1:])]
    return tape.record(cov, zip(given, pulls, strict=True))


# --- Other kernels


@explained
def linear(scale: Numbers, center: Numbers = 0.0) -> Kernel:
    """Lines through 0 at `center`: k = scale^2 (x - center)^T (x' - center).

    Args:
        scale: The standard deviation of the slopes, above 0.
        center: A number, or one for each coordinate.
    """
    variance = _positive("linear", "scale", scale) ** 2
    center = as_operand("linear", "center", center)

    def between(x1: Any, x2: Any) -> Any:
        first = _columns(x1)
        _check_coordinates("linear", "center", center, first)
        u1 = first - center
        u2 = u1 if x2 is None else _columns(x2) - center
        return variance * (u1 @ np.transpose(u2))

    return Kernel("linear", between)


@explained
def constant(scale: Numbers) -> Kernel:
    """One number for all inputs, drawn from N(0, scale^2): k = scale^2."""
    variance = _positive("constant", "scale", scale) ** 2

    def between(x1: Any, x2: Any) -> Any:
        return variance * np.ones(_shape(x1, x2))

    return Kernel("constant", between)


@explained
def white(scale: Numbers) -> Kernel:
    """Independent noise in each value: k = scale^2 of a value with itself, else 0.

    It is in `kernel(x)` and not in `kernel(x1, x2)`, whose values are different ones even where
    inputs are equal.
    """
    variance = _positive("white", "scale", scale) ** 2

    def between(x1: Any, x2: Any) -> Any:
        return variance * (np.eye(shape_of(x1)[0]) if x2 is None else np.zeros(_shape(x1, x2)))

    return Kernel("white", between)


# --- Arguments


def _positive(where: str, name: str, value: Any, axes: int = 0) -> Any:
    """A parameter above 0: a number, or a vector where there may be one."""
    value = as_operand(where, name, value)
    if len(shape_of(value)) > axes:
        what = "a number or one number for each coordinate" if axes else "a number"
        raise ShapeError(f"{name} of {where} is {what}, got shape {shape_of(value)}")
    _above_zero.check(where, name, value)
    return value


_above_zero = Domain(above_zero.rule, above_zero.test)


def _shape(x1: Any, x2: Any) -> tuple[int, int]:
    """The shape of the matrix between inputs."""
    return shape_of(x1)[0], shape_of(x1 if x2 is None else x2)[0]


def _columns(x: Any) -> Any:
    """Inputs with an axis of coordinates."""
    return x if len(shape_of(x)) == 2 else np.reshape(x, (-1, 1))


def _centred(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Inputs less a common middle, so that differences of large numbers keep their digits."""
    first = _columns(x1)
    middle = np.mean(raw(first), axis=0)
    return first - middle, None if x2 is None else _columns(x2) - middle


def _check_coordinates(where: str, name: str, value: Any, x: Any) -> None:
    if shape_of(value) not in ((), (1,), shape_of(x)[1:]):
        raise ShapeError(
            f"{name} of {where} is a number or has one entry for each of {shape_of(x)[1]} "
            f"coordinates of the inputs, got shape {shape_of(value)}"
        )
