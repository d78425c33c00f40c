"""The marginal distribution of the observations of a linear Gaussian state-space model.

The kernels compute log p(y) and its gradients from plain arrays; here they become one node on a
tape.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from genparams.autodiff import Box, by_row, np, refusal, shape_of, sum_to, unbox
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms, once, with_axes
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    at_least_zero,
    finite,
    is_masked,
)
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.regions import WHOLE_LINE, always
from genparams.dsl.distributions.sequences import loops_kalman
from genparams.dsl.distributions.sequences.kalman import kalman
from genparams.dsl.distributions.sequences.kalman_scalar import kalman_scalar
from genparams.dsl.distributions.sequences.kalman_tangent import kalman_tangent
from genparams.errors import DistributionError
from genparams.program.recorded import recordable
from genparams.text import brief
from genparams.types import Array

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
    n = shape_of(v)[-1]
    return np.reshape(are_covariances(np.reshape(v, (-1, n, n))), shape_of(v)[:-2])


@recordable(loops_kalman.are_covariances)
def are_covariances(v: Any) -> Any:
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
def marginal(form: Form) -> Distribution:
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
            doc="The observations of a linear Gaussian state-space model; see `linear_gaussian`.",
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
        events = [(), *(shape[len(shape) - r :] for shape, r in zip(shapes, ranks, strict=True))]
        log_probs, *each = (
            np.reshape(np.stack([own[i] for own in found]), batch + event)
            if found
            else np.zeros(batch + event)
            for i, event in enumerate(events)
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
    if form.state or form.seen:
        return kalman(*in_full(form, values))
    return kalman_scalar(*[_vector(v) for v in values])


def _vector(v: Any) -> Any:
    """One entry for each time, or for all."""
    if type(v) is float:
        return np.array((v,))
    return v if shape_of(v) else np.reshape(v, (1,))


def _by_hand(form: Form, values: Sequence[Any]) -> list[Any]:
    """log p(y), a float, and its gradients by y and each argument."""
    log_prob, *gradients = _kernel(form, values)
    if not _is_finite(log_prob):
        return [_infinite(form, values), *(v * 0.0 for v in map(np.nan_to_num, values))]
    return [log_prob, *map(_in_shape, gradients, values)]


def _is_finite(x: Any) -> bool:
    """Whether a number is finite; of a recorded one this is a test."""
    return bool(x - x == 0.0)


def _in_shape(g: Array, v: Any) -> Any:
    """A gradient in the shape of what it is by."""
    shape = shape_of(v)
    if not shape:
        return g.item()
    return g if g.shape == shape else np.reshape(g, shape)


def _infinite(form: Form, values: Sequence[Any]) -> float:
    """log p(y) where it is not finite; NaN where an argument is not.

    Raises:
        DistributionError: a covariance is singular.
    """
    y, *args = values
    if not all(np.all(np.isfinite(a)) for a in args):
        return math.nan  # and then the error names the argument
    near = [
        a * 0.0 if name.endswith(("mean", "offset")) else a
        for name, a in zip(NAMES, args, strict=True)
    ]
    if not _is_finite(_kernel(form, [np.where(np.isnan(y), y, 0.0), *near])[0]):
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
    if not _is_finite(log_prob):
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
