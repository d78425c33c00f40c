"""Linear Gaussian state-space models: the marginal distribution of what is observed."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from genparams.autodiff import Box, by_row, np, raw, refusal, shape_of, sum_to, unbox
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms, once, with_axes
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    as_operand,
    at_least_zero,
    finite,
    is_masked,
)
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.regions import WHOLE_LINE, always
from genparams.dsl.distributions.sequences.autoregressive import whole_length
from genparams.errors import ArgumentError, DistributionError, ShapeError
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import Array, Numbers, Size

NAME = "linear_gaussian"
NAMES = ("initial_mean", "initial_cov", "transition", "transition_offset", "transition_cov")
NAMES += ("observation", "observation_offset", "observation_cov")


class Form(NamedTuple):
    """What the shapes of the arguments say."""

    length: int
    state: int
    """1 if the states are vectors, 0 if they are numbers."""
    seen: int
    """1 if the observations are vectors, 0 if they are numbers."""
    varying: tuple[bool, ...]
    """Whether each argument has an axis of time in front."""

    @property
    def ranks(self) -> list[int]:
        """The axes of each argument."""
        n, p = self.state, self.seen
        each = n, 2 * n, 2 * n, n, 2 * n, n + p, p, 2 * p
        return [rank + varies for rank, varies in zip(each, self.varying, strict=True)]


@explained
def linear_gaussian(
    length: int,
    *,
    transition: Numbers = 1.0,
    transition_offset: Numbers = 0.0,
    transition_cov: Numbers | None = None,
    transition_std: Numbers | None = None,
    observation: Numbers = 1.0,
    observation_offset: Numbers = 0.0,
    observation_cov: Numbers | None = None,
    observation_std: Numbers | None = None,
    initial_mean: Numbers | None = None,
    initial_cov: Numbers | None = None,
    initial: str | None = None,
    size: Size = None,
) -> Call[Array]:
    """What is observed of a linear Gaussian state-space model; its states are integrated out.

        x_0 ~ N(initial_mean, initial_cov)
        x_t = transition x_{t-1} + transition_offset + N(0, transition_cov),  t = 1 ... length - 1
        y_t = observation x_t + observation_offset + N(0, observation_cov),   t = 0 ... length - 1

    The choice is y. Its log probability is that of one multivariate normal, computed by the Kalman
    filter in time proportional to `length`, with all gradients. The local level model:

        linear_gaussian(len(ys), transition_std=q, observation_std=r, initial_mean=0.0,
                        initial_cov=1e7) @ "ys"

    A state is a number, or a vector of n numbers if `transition` is a matrix. An observation is a
    number if `observation_cov` or `observation_std` is one, else a vector of p numbers. y has the
    shape (length,) or (length, p). Every argument may change with time: it then has one more axis
    in front, of `length` for the observation, and of `length - 1` for the transition, whose first
    entry leads from x_0 to x_1. Time-varying regression coefficients have `observation=X` with X of
    shape (length, n).

    *Missing observations* are NaN in y, and contribute nothing to the log probability; of a vector
    single entries may be missing. The gradient by a missing entry is 0. Draws have no missing
    entries.

    *An unknown start.* `initial="stationary"` is the distribution that a step does not change. With
    a large `initial_cov`, such as 1e6 times the variance of y, the first observations make the
    start; log p then has a term -log(initial_cov) / 2 for each free entry of the start, and
    likelihoods are only to be compared for one `initial_cov`.

    Args:
        length: The number of times.
        transition: A number, or a matrix of shape (n, n).
        transition_offset: A number, or a vector of shape (n,).
        transition_cov: The variance, or the covariance of shape (n, n), which may be singular. For
            vectors a number is a multiple of the identity.
        transition_std: In its place the standard deviation, or n standard deviations of independent
            noises; they are the same at all times.
        observation: A number; shape (n,) from vectors to numbers; shape (p,) from numbers to
            vectors; shape (p, n) from vectors to vectors.
        observation_offset: A number, or a vector of shape (p,).
        observation_cov: The variance, or the covariance of shape (p, p).
        observation_std: In its place the standard deviation, or p of independent noises.
        initial_mean: A number, or a vector of shape (n,); 0 unless given.
        initial_cov: The variance, or the covariance of shape (n, n); a number is a multiple of the
            identity.
        initial: "stationary" in place of `initial_mean` and `initial_cov`.
        size: The shape of a batch of independent sequences.

    Raises:
        ArgumentError: an argument is missing or given twice, or `length` is not a whole number
            above 0.
        ShapeError: shapes do not fit together.
        DistributionError: a covariance is not positive semidefinite, there is no stationary start,
            or when it is used, the covariance of an observation given those before it is singular.

    Reference: Durbin and Koopman, 2012, Time series analysis by state space methods.
    """
    length = whole_length(length, "length", NAME)
    A = as_operand(NAME, "transition", transition)
    R, p = _observation_cov(observation_cov, observation_std)
    n = shape_of(A)[-1:] if len(shape_of(A)) > 1 else ()
    Q = _transition_cov(transition_cov, transition_std)
    if initial is not None:
        if initial_mean is not None or initial_cov is not None:
            raise ArgumentError(
                f"initial of {NAME} takes the place of initial_mean and initial_cov"
            )
        initial_mean, initial_cov = _stationary(initial, A, transition_offset, Q)
    elif initial_cov is None:
        raise ArgumentError(
            f"{NAME} needs the variance of the first state: write initial_cov=..., or "
            'initial="stationary"'
        )
    given = {
        "initial_mean": (0.0 if initial_mean is None else initial_mean, n, None),
        "initial_cov": (initial_cov, n + n, None),
        "transition": (A, n + n, length - 1),
        "transition_offset": (transition_offset, n, length - 1),
        "transition_cov": (Q, n + n, length - 1),
        "observation": (observation, p + n, length),
        "observation_offset": (observation_offset, p, length),
        "observation_cov": (R, p + p, length),
    }
    args, varying = zip(*(_fitted(name, *one) for name, one in given.items()), strict=True)
    return Call(_linear_gaussian(Form(length, len(n), len(p), varying)), args, size)


# --- Arguments


def _observation_cov(cov: Any, std: Any) -> tuple[Any, tuple[int, ...]]:
    """The covariance, and the shape of one observation."""
    name, value = _one_of("observation", cov, std)
    rank = len(shape_of(value))
    if name == "observation_cov":
        return value, shape_of(value)[-1:] if rank > 1 else ()
    return _of_std(name, value), shape_of(value)


def _transition_cov(cov: Any, std: Any) -> Any:
    name, value = _one_of("transition", cov, std)
    return value if name == "transition_cov" else _of_std(name, value)


def _one_of(noise: str, cov: Any, std: Any) -> tuple[str, Any]:
    if (cov is None) == (std is None):
        raise ArgumentError(
            f"{NAME} needs one of {noise}_cov and {noise}_std, got "
            f"{'neither' if cov is None else 'both'}"
        )
    name, value = (f"{noise}_std", std) if cov is None else (f"{noise}_cov", cov)
    return name, as_operand(NAME, name, value)


def _of_std(name: str, std: Any) -> Any:
    """The covariance of independent noises."""
    at_least_zero.check(NAME, name, std)
    rank = len(shape_of(std))
    if rank > 1:
        raise ShapeError(
            f"{name} of {NAME} is a number or a vector, got shape {shape_of(std)}; write "
            f"{name[:-3]}cov= for noises that depend on each other or change with time"
        )
    return std * std * np.eye(*shape_of(std)) if rank else std * std


def _fitted(name: str, value: Any, shape: tuple[int, ...], times: int | None) -> tuple[Any, bool]:
    """An argument in the shape of one time, or of all, and whether it is of all."""
    value = as_operand(NAME, name, value)
    have = shape_of(value)
    if have == shape:
        return value, False
    if times is not None and have == (times, *shape):
        return value, True
    if not have and len(shape) == 1 and name != "observation":
        return value + np.zeros(shape), False
    if not have and len(shape) == 2 and name.endswith("cov"):
        return value * np.eye(shape[0]), False
    also = "" if times is None else f", or {(times, *shape)} with one for each time"
    raise ShapeError(f"{name} of {NAME} has shape {shape} here{also}, got shape {have}")


def _stationary(initial: Any, A: Any, c: Any, Q: Any) -> tuple[Any, Any]:
    """The mean m = A m + c and the covariance P = A P A^T + Q."""
    if initial != "stationary":
        raise ArgumentError(f'initial of {NAME} is "stationary" or None, got {brief(initial)}')
    A_shape, c = shape_of(A), as_operand(NAME, "transition_offset", c)
    n = A_shape[-1] if len(A_shape) > 1 else 1
    changes = len(A_shape) % 2 or len(shape_of(c)) > len(A_shape) // 2
    if changes or len(shape_of(Q)) not in (0, len(A_shape)):
        raise DistributionError(
            f'initial="stationary" of {NAME} needs a transition that is the same at all times'
        )
    if A_shape[:-1] != A_shape[1:]:
        raise ShapeError(f"transition of {NAME} is a square matrix, got shape {A_shape}")
    plain = np.reshape(raw(A), (n, n))
    finite.check(NAME, "transition", plain)
    largest = float(np.max(np.abs(np.linalg.eigvals(plain))))
    if largest >= 1.0:
        raise DistributionError(
            f"{NAME} has no stationary start: an eigenvalue of transition has absolute value "
            f"{largest:.6g}, which is not below 1; give initial_cov"
        )
    if not A_shape:
        return c / (1.0 - A), Q / (1.0 - A * A)
    eye = np.eye(n)
    both = np.reshape(A[:, None, :, None] * A[None, :, None, :], (n * n, n * n))
    P = np.reshape(
        np.linalg.solve(np.eye(n * n) - both, np.reshape(Q * eye if not shape_of(Q) else Q, (-1,))),
        (n, n),
    )
    mean = np.linalg.solve(eye - A, c + np.zeros(n))
    return mean, 0.5 * (P + np.swapaxes(P, 0, 1))


# --- The distribution


def _convert(value: Any) -> Any:
    """Numbers, where NaN is a missing one."""
    if is_masked(value):
        value = np.ma.filled(np.ma.asarray(value, dtype=float), np.nan)
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise DistributionError(
            f"expected numbers, NaN where missing, got {brief(value)} of type {value.dtype}"
        )
    return value.astype(np.float64)


def _is_covariance(v: Any) -> Any:
    """Whether matrices are symmetric and positive semidefinite, but for rounding."""
    root = np.sqrt(np.maximum(np.diagonal(v, axis1=-2, axis2=-1), 0.0))
    root = np.where(root > 0.0, root, 1.0)
    scaled = v / (root[..., :, None] * root[..., None, :])
    symmetric = np.all(np.abs(scaled - np.swapaxes(scaled, -1, -2)) <= 1e-10, axis=(-2, -1))
    return symmetric & (np.linalg.eigvalsh(scaled)[..., 0] >= -1e-10)


_COVARIANCE = Domain(
    "finite, symmetric and positive semidefinite", finite.test, member=_is_covariance
)


def _domain(name: str, rank: int, matrix: bool) -> Domain:
    if name.endswith("cov"):
        return (_COVARIANCE if matrix else at_least_zero).within(rank)
    return Domain("finite", finite.test, rank=rank, lazy=True)


@made_of_parts
def _linear_gaussian(form: Form) -> Distribution:
    support = "sequences of finite numbers, NaN where an observation is missing"
    kind = ValueKind(1 + form.seen, _convert, continuous=True, support=support)

    def event(args: Sequence[Any]) -> tuple[int, ...]:
        return (form.length, *(shape_of(args[-1])[-1:] if form.seen else ()))

    return Distribution(
        Declaration(
            name=NAME,
            arguments={
                name: _domain(name, rank, rank > varies)
                for name, rank, varies in zip(NAMES, form.ranks, form.varying, strict=True)
            },
            kind=kind,
            region=always(WHOLE_LINE),
            draw=lambda rng, *args, size: _draw(form, rng, args, size),
            terms=_terms(form),
            event=event,
            doc=linear_gaussian.__doc__,
        )
    )


def _terms(form: Form) -> Any:
    """The log density of each sequence of a batch, with its gradients."""
    ranks = [1 + form.seen, *form.ranks]

    def terms(*values: Any) -> Terms:
        one = _nested if any(type(v) is Box for v in values) else _by_hand
        shapes = [shape_of(v) for v in values]
        fronts = [shape[: len(shape) - r] for shape, r in zip(shapes, ranks, strict=True)]
        if not any(fronts):
            log_prob, *gradients = one(form, values)
            return log_prob, [_scaled(g) for g in gradients]
        batch = np.broadcast_shapes(*fronts)
        found = [one(form, own) for own in _members(values, ranks, batch)]
        log_probs, *each = (
            np.reshape(np.stack(parts), batch + shape_of(parts[0]))
            for parts in zip(*found, strict=True)
        )
        pulls = [_summed(g, r, shape) for g, r, shape in zip(each, ranks, shapes, strict=True)]
        return log_probs, pulls

    return terms


def _scaled(gradient: Any) -> Any:
    return lambda g: g * gradient


def _summed(gradient: Any, rank: int, shape: tuple[int, ...]) -> Any:
    return lambda g: sum_to(with_axes(g, rank) * gradient, shape)


def in_full(form: Form, values: Sequence[Any]) -> list[Array]:
    """y and the arguments of one sequence, with vectors and matrices in place of numbers, and an
    axis of time in front of all but the start.
    """
    n = shape_of(values[3])[-1] if form.state else 1
    p = shape_of(values[-1])[-1] if form.seen else 1
    shapes = (-1, p), (n,), (n, n), (-1, n, n), (-1, n), (-1, n, n), (-1, p, n), (-1, p), (-1, p, p)
    return [np.reshape(v, shape) for v, shape in zip(values, shapes, strict=True)]


def _kernel(form: Form, values: Sequence[Any]) -> tuple[Any, ...]:
    """log p(y) and its gradients, in the shapes of the kernel."""
    # imported here because scipy.linalg is slow to import
    from genparams.dsl.distributions.sequences.kalman import kalman
    from genparams.dsl.distributions.sequences.kalman_scalar import kalman_scalar

    if form.state or form.seen:
        kernel, arrays = kalman, in_full(form, values)
    else:
        arrays = [v if type(v) is np.ndarray else np.array((v,)) for v in values]
        kernel = kalman_scalar
    return kernel(*arrays)


def _by_hand(form: Form, values: Sequence[Any]) -> list[Any]:
    """log p(y), a float, and its gradients by y and each argument."""
    log_prob, *gradients = _kernel(form, values)
    if not math.isfinite(log_prob):
        return [_infinite(form, values), *(v * 0.0 for v in map(np.nan_to_num, values))]
    return [log_prob, *map(_in_shape, gradients, values)]


def _in_shape(g: Array, v: Any) -> Any:
    """A gradient in the shape of what it is by."""
    if type(v) is not np.ndarray:
        return g.item()
    return g if g.shape == v.shape else np.reshape(g, v.shape)


def _infinite(form: Form, values: Sequence[Any]) -> float:
    """log p(y) where it is not finite; NaN where an argument is not.

    Raises:
        DistributionError: a covariance is singular.
    """
    y, *args = values
    if not all(np.all(np.isfinite(a)) for a in args):
        return math.nan  # and then the error names the argument
    near = [0.0 * a if "cov" not in name else a for name, a in zip(NAMES, args, strict=True)]
    near[2::3] = args[2::3]
    if not math.isfinite(_kernel(form, [np.where(np.isnan(y), y, 0.0), *near])[0]):
        raise DistributionError(
            f"the covariance of an observation of {NAME}, given the observations before it, is "
            "singular or overflows; with more noise, as of observation_cov, it is not singular"
        )
    return -math.inf


def _nested(form: Form, values: Sequence[Any]) -> list[Any]:
    """As `_by_hand`, where the values are being differentiated: the gradients can be, once more.

    The matrix of second derivatives is symmetric. So a cotangent of all gradients is pulled back to
    their derivative in its direction.
    """
    tape, inner = unbox(values)
    if tape is None:
        return _by_hand(form, values)
    if any(type(v) is Box for v in inner):
        raise refusal(f"a third derivative of {NAME}", "first and second derivatives")
    log_prob, *gradients = _by_hand(form, inner)
    if not math.isfinite(log_prob):
        return [log_prob, *gradients]
    pulled = once(by_row(lambda g: _along(form, inner, g)))
    flat = np.concatenate([np.reshape(g, (-1,)) for g in gradients])
    together: Any = tape.record(
        flat, [(v, lambda g, i=i: pulled(g)[i]) for i, v in enumerate(values) if type(v) is Box]
    )
    ends = np.cumsum([np.size(g) for g in gradients])
    parts = [
        np.reshape(together[end - np.size(g) : end], np.shape(g))
        for g, end in zip(gradients, ends, strict=True)
    ]
    edges = [(v, g) for v, g in zip(values, gradients, strict=True) if type(v) is Box]
    return [tape.record(log_prob, [(v, _scaled(g)) for v, g in edges]), *parts]


def _along(form: Form, values: Sequence[Any], direction: Array) -> list[Any]:
    """The derivative of the gradients in a direction, which is given as one flat array."""
    from genparams.dsl.distributions.sequences.kalman_tangent import kalman_tangent

    ends = np.cumsum([np.size(v) for v in values])
    moves = [
        np.reshape(direction[end - np.size(v) : end], np.shape(v))
        for v, end in zip(values, ends, strict=True)
    ]
    found = kalman_tangent(in_full(form, values), in_full(form, moves))
    return list(map(_in_shape, found, values))


def _draw(form: Form, rng: Any, args: Sequence[Any], size: tuple[int, ...]) -> Any:
    from genparams.dsl.distributions.sequences.linear_gaussian_draws import draw

    ranks = form.ranks
    if all(len(shape_of(v)) == rank for v, rank in zip(args, ranks, strict=True)):
        return draw(form, rng, args, size)
    each = [draw(form, rng, one, ()) for one in _members(args, ranks, size)]
    return np.reshape(np.stack(each), size + np.shape(each[0]))


def _members(values: Sequence[Any], ranks: Sequence[int], batch: tuple[int, ...]) -> list[Any]:
    """The values of each member of a batch."""
    spread = [
        np.broadcast_to(v, batch + shape_of(v)[len(shape_of(v)) - rank :])
        for v, rank in zip(values, ranks, strict=True)
    ]
    return [[v[at] for v in spread] for at in np.ndindex(batch)]
