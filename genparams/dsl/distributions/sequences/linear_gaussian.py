"""Linear Gaussian state-space models: a call of the distribution, from arguments of every shape."""

from typing import Any

from genparams.autodiff import np, raw, shape_of
from genparams.dsl.call import Call
from genparams.dsl.distributions.domains import as_operand, at_least_zero, finite
from genparams.dsl.distributions.sequences.autoregressive import whole_length
from genparams.dsl.distributions.sequences.linear_gaussian_density import (
    NAME,
    NAMES,
    Form,
    marginal,
)
from genparams.errors import ArgumentError, DistributionError, ShapeError
from genparams.mistakes import explained
from genparams.program.recorded import recordable
from genparams.text import brief
from genparams.types import Array, Numbers, Size


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
    given = (
        (0.0 if initial_mean is None else initial_mean, n, None),
        (initial_cov, n + n, None),
        (A, n + n, length - 1),
        (transition_offset, n, length - 1),
        (Q, n + n, length - 1),
        (observation, p + n, length),
        (observation_offset, p, length),
        (R, p + p, length),
    )
    args, varying = [], []
    for name, (value, shape, times) in zip(NAMES, given, strict=True):
        varies = False
        if type(value) is not float or shape:
            value, varies = _fitted(name, value, shape, times)
        args.append(value)
        varying.append(varies)
    return Call(marginal(Form(length, len(n), len(p), tuple(varying))), tuple(args), size)


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
    finite.check(NAME, "transition", A)
    largest = _largest_eigenvalue(raw(A)) if A_shape else abs(raw(A))
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


@recordable()
def _largest_eigenvalue(A: Any) -> Any:
    return float(np.max(np.abs(np.linalg.eigvals(A))))
