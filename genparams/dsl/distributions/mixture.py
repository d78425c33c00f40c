"""Mixtures of distributions."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from genparams.autodiff import np, operand, raw, shape_of, sum_to
from genparams.dsl.distributions.base import Distribution, Size, Terms, is_one, once, with_arguments
from genparams.dsl.distributions.domains import Domain, weights
from genparams.dsl.interpreter import Call
from genparams.errors import ArgumentError, ShapeError

WIDTH = 4  # a guess at the number of components, to size blocks


def mixture(weights: Any, components: Call | Sequence[Call], size: Size = None) -> Call:
    """A mixture: the component k is drawn with probability weights[k], then the value from it.

        log p(x) = log sum_k weights[k] p_k(x)

    Args:
        weights: Probabilities along the last axis. Their gradient is that of free entries,
            p_k(x) / p(x).
        components: One call whose arguments' last batch axis runs over the components, as in
            `mixture(w, normal(mu, std))` with vectors `mu` and `std` or `mixture(w, mvnormal(means,
            covs))` with `means` of shape (K, d); or a list of calls of any distributions over the
            same kind of value.
        size: The shape of the batch, as for any distribution.
    """
    together = isinstance(components, Call)
    calls: Sequence[Call] = [components] if isinstance(components, Call) else components
    for call in calls:
        if not isinstance(call, Call) or not isinstance(call.fn, Distribution):
            raise ArgumentError(
                "the components of a mixture are distributions such as normal(mu, std), "
                f"got {call!r}"
            )
        if call.options is not None:
            raise ArgumentError(
                f"a component of a mixture takes no size; write mixture(..., size={call.options!r})"
            )
    if not calls:
        raise ArgumentError("a mixture needs at least one component")
    if len({(call.fn.kind.rank, call.fn.kind.convert) for call in calls}) > 1:
        raise ArgumentError(
            f"the components of a mixture must share one kind of value, got {list(calls)}"
        )
    distribution = _mixture_of(tuple(call.fn for call in calls), together)
    args = [operand(a) for call in calls for a in call.args]
    if together:
        ranks = [domain.rank for domain in calls[0].fn.arguments.values()]
        shapes = map(shape_of, args)
        args = [  # an argument that all components share
            np.reshape(a, (1, *shape)) if len(shape) == rank else a
            for a, shape, rank in zip(args, shapes, ranks, strict=True)
        ]
    return Call(distribution, (weights, *args), size)


@cache
def _mixture_of(bases: tuple[Distribution, ...], together: bool) -> Distribution:
    """The distribution whose arguments are the weights, then every component's arguments."""
    arguments: dict[str, Domain] = {"weights": weights}
    for k, base in enumerate(bases):
        for name, domain in base.arguments.items():
            label = name if together else f"{name} of component {k}"
            arguments[label] = Domain(domain.rule, domain.test, domain.rank + together)
    terms = _together(bases[0]) if together else _apart(bases)

    def check_counts(w: Any, *args: Any) -> None:
        count = np.shape(w)[-1]
        if not together and count != len(bases):
            raise ShapeError(
                f"a mixture of {len(bases)} components needs {len(bases)} weights, got {count}"
            )
        for a, (name, domain) in zip(args, bases[0].arguments.items(), strict=False):
            axis = np.ndim(a) - domain.rank - 1
            if together and np.shape(a)[axis : axis + 1] not in [(1,), (count,)]:
                raise ShapeError(
                    f"{name} of a mixture of {count} components needs {count} entries along its "
                    f"last batch axis, or one for all, got shape {np.shape(a)}"
                )
        for base, own in with_arguments(bases, args):
            base.check_joint(own)

    names = ", ".join(base.__name__ for base in bases)

    def draw(rng: Any, w: Any, *args: Any, size: tuple[int, ...]) -> Any:
        edges = np.cumsum(w, axis=-1)
        which = np.sum(np.expand_dims(rng.random(size), -1) * edges[..., -1:] >= edges, axis=-1)
        count = np.shape(w)[-1]
        if together:
            ranks = [domain.rank for domain in bases[0].arguments.values()]
            every = [
                (bases[0], [_component(a, k, r) for a, r in zip(args, ranks, strict=True)])
                for k in range(count)
            ]
        else:
            every = list(with_arguments(bases, args))
        rank = bases[0].kind.rank
        value = np.asarray(every[0][0].draw(rng, every[0][1], size or None))
        for k, (base, own) in enumerate(every[1:], start=1):
            here = np.reshape(which == k, (*np.shape(which), *(1,) * rank))
            value = np.where(here, base.draw(rng, own, size or None), value)
        return value

    return Distribution(
        f"mixture of {names}",
        arguments,
        bases[0].kind,
        draw,
        terms,
        joint=check_counts,
        width=WIDTH,
        event=lambda args: bases[0].event_shape(args[1 : 1 + len(bases[0].arguments)]),
        doc=mixture.__doc__,
    )


def _component(a: Any, k: int, rank: int) -> Any:
    axis = np.ndim(a) - rank - 1
    return np.take(a, 0 if np.shape(a)[axis] == 1 else k, axis=axis)


def _mix(w: Any, log_f: Any) -> tuple[Any, Any, Any]:
    """The log density of the mixture from those of its components, which run along the first axis.

    Also how to carry a cotangent back to them, which weighs it by each component's share, and to
    the weights.
    """
    joint = log_f + np.log(_first(w, 0, len(shape_of(log_f))))
    top = np.max(raw(joint), axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    mass = np.sum(np.exp(joint - top), axis=0)
    some = raw(mass) > 0.0
    log_density = np.where(some, top + np.log(np.where(some, mass, 1.0)), -np.inf)
    level = np.where(np.isfinite(raw(log_density)), log_density, 0.0)

    share = np.exp(joint - level)

    @once
    def to_components(g: Any) -> Any:
        return share if is_one(g) else g * share

    def to_weights(g: Any) -> Any:
        return _last(
            sum_to(g * np.exp(log_f - level), _lifted(w, 0, len(shape_of(log_f)))), shape_of(w), 0
        )

    return log_density, to_components, to_weights


def _lifted(a: Any, rank: int, axes: int) -> tuple[int, ...]:
    """The shape of `_first(a, rank, axes)`."""
    shape = shape_of(a)
    cut = len(shape) - rank
    batch, event = shape[:cut], shape[cut:]
    return (batch[-1], *(1,) * (axes - len(batch)), *batch[:-1], *event)


def _first(a: Any, rank: int, axes: int) -> Any:
    """`a` with its last batch axis, the components, in front of `axes - 1` others."""
    n = len(shape_of(a))
    last = n - rank - 1
    order = (last, *range(last), *range(last + 1, n))
    return np.reshape(np.transpose(a, order) if n > 1 else a, _lifted(a, rank, axes))


def _last(g: Any, shape: tuple[int, ...], rank: int) -> Any:
    """The way back from `_first`, for a gradient."""
    last = len(shape) - rank - 1
    moved = (shape[last], *shape[:last], *shape[last + 1 :])
    order = (*range(1, last + 1), 0, *range(last + 1, len(shape)))
    return np.transpose(np.reshape(g, moved), order)


def _together(base: Distribution) -> Any:
    ranks = [domain.rank for domain in base.arguments.values()]

    def terms(x: Any, w: Any, *args: Any) -> Terms:
        axes = 1 + max(
            len(shape_of(x)) - base.kind.rank,
            len(shape_of(w)) - 1,
            *(len(shape_of(a)) - rank - 1 for a, rank in zip(args, ranks, strict=True)),
        )
        lifted = [_first(a, rank, axes) for a, rank in zip(args, ranks, strict=True)]
        log_f, pulls = base.terms(x, *lifted)
        log_density, to_components, to_weights = _mix(w, log_f)
        by_x = None if pulls[0] is None else lambda g: pulls[0](to_components(g))  # type: ignore[misc]
        by_args = [
            None
            if pull is None
            else lambda g, pull=pull, a=a, rank=rank: _last(
                pull(to_components(g)), shape_of(a), rank
            )
            for pull, a, rank in zip(pulls[1:], args, ranks, strict=True)
        ]
        return log_density, [by_x, to_weights, *by_args]

    return terms


def _apart(bases: tuple[Distribution, ...]) -> Any:
    def terms(x: Any, w: Any, *args: Any) -> Terms:
        parts = [base.terms(x, *own) for base, own in with_arguments(bases, args)]
        batch = np.broadcast_shapes(shape_of(w)[:-1], *(shape_of(log_f) for log_f, _ in parts))
        log_f = np.stack([np.broadcast_to(part, batch) for part, _ in parts])
        log_density, to_components, to_weights = _mix(w, log_f)
        by_x = None
        if all(pulls[0] is not None for _, pulls in parts):
            by_x = lambda g: sum(  # noqa: E731
                pulls[0](sum_to(to_components(g)[k], shape_of(part)))  # type: ignore[misc]
                for k, (part, pulls) in enumerate(parts)
            )
        by_args = [
            None
            if pull is None
            else lambda g, pull=pull, k=k, part=part: pull(
                sum_to(to_components(g)[k], shape_of(part))
            )
            for k, (part, pulls) in enumerate(parts)
            for pull in pulls[1:]
        ]
        return log_density, [by_x, to_weights, *by_args]

    return terms
