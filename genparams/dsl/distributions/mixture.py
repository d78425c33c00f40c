"""Mixtures of distributions, and of products of them.

A mixture is made of rows of distributions. Of one call there is one row, whose arguments run over
the components; of a list of calls there is a row for each. A row has as many parts as the value has
entries: several for products, else one.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any, final

from genparams.autodiff import Box, np, raw, shape_of, sum_to
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.composite import (
    Product,
    TupleDistribution,
    tuple_entries,
    tuple_kind,
    tuple_support,
)
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import Domain, ValueKind, at_index, weights
from genparams.dsl.distributions.impossible import why_impossible
from genparams.dsl.distributions.parts import no_call, with_arguments, without_boxes
from genparams.dsl.distributions.pullbacks import Terms, is_one, once
from genparams.dsl.interpreter import Call
from genparams.dsl.made import made_of_parts
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size

WIDTH = 4  # a guess at the number of components, to size blocks

Row = tuple[Distribution, ...]


@explained
def mixture(
    weights: Numbers, components: Call[R] | Sequence[Call[R]], size: Size = None
) -> Call[R]:
    """A mixture: the component k is drawn with probability weights[k], then the value from it.

        log p(x) = log sum_k weights[k] p_k(x)

    Args:
        weights: Probabilities along the last axis. Their gradient is for free entries,
            p_k(x) / p(x).
        components: One call whose arguments' last batch axis runs over the components, as in
            `mixture(w, normal(mu, std))` with vectors `mu` and `std` or `mixture(w, mvnormal(means,
            covs))` with `means` of shape (K, d); or a list of calls of any distributions over the
            same kind of value. Of products, all entries of one value come from one component.
        size: The shape of the batch, as for any distribution.
    """
    if isinstance(size, Call):
        raise ArgumentError(
            f"the components of a mixture are one list; write mixture(weights, [{components!r}, "
            f"{size!r}])"
        )
    together = isinstance(components, Call)
    if not together and not isinstance(components, Iterable):
        raise _no_component(components)
    calls: Sequence[Call] = [components] if isinstance(components, Call) else list(components)
    rows = _rows(calls)
    args = [a for call in calls for a in call.fn.operands(call.args)]
    if together:
        ranks = [domain.rank for domain in calls[0].fn.arguments.values()]
        shapes = map(shape_of, args)
        args = [  # an argument that all components share
            np.reshape(a, (1, *shape)) if len(shape) == rank else a
            for a, shape, rank in zip(args, shapes, ranks, strict=True)
        ]
    joint = isinstance(calls[0].fn, Product)
    return Call((_joint_of if joint else _mixture_of)(rows, together), (weights, *args), size)


def _rows(calls: Sequence[Call]) -> tuple[Row, ...]:
    """The distributions of each call, one for each entry of the value."""
    if not calls:
        raise ArgumentError("a mixture needs at least one component")
    for call in calls:
        if not isinstance(call, Call) or not isinstance(call.fn, (Distribution, Product)):
            raise _no_component(call)
        if call.options is not None:
            raise ArgumentError(
                f"a component of a mixture takes no size; write mixture(..., size={call.options!r})"
            )
    rows: Any = tuple(c.fn.parts if isinstance(c.fn, Product) else (c.fn,) for c in calls)
    if not all(isinstance(part, Distribution) for row in rows for part in row):
        raise ArgumentError(
            "a mixture takes products of distributions, and none a product itself, got "
            f"{list(calls)}"
        )
    kinds = {tuple((part.kind.rank, part.kind.convert) for part in row) for row in rows}
    if len(kinds) > 1 or len({isinstance(call.fn, Product) for call in calls}) > 1:
        raise ArgumentError(
            f"the components of a mixture must share one kind of value, got {list(calls)}"
        )
    return rows


def _no_component(given: Any) -> ArgumentError:
    return ArgumentError(
        "the components of a mixture are calls of distributions such as normal(mu, std), or of "
        f"products of them, got {no_call(given)}; write mixture(weights, components)"
    )


def _arguments(rows: Sequence[Row], together: bool) -> dict[str, Domain]:
    """The weights, then the arguments of every part of every row."""
    arguments: dict[str, Domain] = {"weights": weights}
    for k, row in enumerate(rows):
        for i, part in enumerate(row):
            for name, domain in part.arguments.items():
                label = f"{name} of part {i}" if len(row) > 1 else name
                label = label if together else f"{label} of component {k}"
                label = f"{label} of {part.__name__}" if label in arguments else label
                arguments[label] = domain.within(together)
    return arguments


def _kind(column: Sequence[Distribution]) -> ValueKind:
    """The kind of value that distributions share."""
    first = column[0].kind
    free = all(part.kind.free for part in column)
    return ValueKind(first.rank, first.convert, first.continuous, free)


@made_of_parts
def _mixture_of(rows: tuple[Row, ...], together: bool) -> Distribution:
    """The distribution whose arguments are the weights, then the arguments of every component."""
    return Distribution(
        Declaration(
            name=f"mixture of {', '.join(part.__name__ for (part,) in rows)}",
            arguments=_arguments(rows, together),
            kind=_kind([part for (part,) in rows]),
            draw=lambda rng, w, *args, size: _draw(rows, together, rng, w, args, size)[0],
            terms=_terms(rows, together),
            fit=_check_counts(rows, together),
            block_width=WIDTH,
            event=lambda args: rows[0][0].declared.event_shape(
                args[1 : 1 + len(rows[0][0].arguments)]
            ),
            doc=mixture.__doc__,
            support=_support([part for (part,) in rows]),
            fault=_fault([part for (part,) in rows]),
        )
    )


def _support(column: Sequence[Distribution]) -> str:
    """The values that any of the components has, in words."""
    return ", or ".join(dict.fromkeys(part.support for part in column))


def _fault(column: Sequence[Distribution]) -> Any:
    """What is wrong with a vector, as the first component says it."""
    return column[0].declared.fault


@made_of_parts
def _joint_of(rows: tuple[Row, ...], together: bool) -> "JointMixture":
    return JointMixture(rows, together)


@final
class JointMixture(TupleDistribution):
    """A mixture of products: all entries of one value come from one component."""

    def __init__(self, rows: tuple[Row, ...], together: bool):
        self._rows, self._together = rows, together
        kinds = [_kind(column) for column in zip(*rows, strict=True)]
        products = [f"product of {', '.join(part.__name__ for part in row)}" for row in rows]
        self.__name__ = f"mixture of {' and '.join(products)}"
        self.__doc__ = mixture.__doc__
        self.grad_places: list[int] = []
        self.arguments = _arguments(rows, together)
        self.argument_names = list(self.arguments)
        self.kind = tuple_kind(kinds)
        # The density is a density of the first entry, with the others as arguments.
        others = {f"entry {i}": Domain("", None, k.rank) for i, k in enumerate(kinds) if i}
        self._others = tuple(np.zeros((1,) * kind.rank) for kind in kinds[1:])
        check = _check_counts(rows, together)
        self._density = Distribution(
            Declaration(
                name=self.__name__,
                arguments=others | self.arguments,
                kind=kinds[0],
                draw=_draw,
                terms=_terms(rows, together),
                fit=lambda *args: check(*args[len(others) :]),
                block_width=WIDTH,
                event=lambda args: self._events(args[len(others) + 1 :])[0],
            )
        )

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        w, *rest = map(raw, args)
        for a, (name, domain) in zip((w, *rest), self.arguments.items(), strict=True):
            domain.check(self.__name__, name, a)
        self._density.declared.check_fit((*self._others, w, *rest))
        batch = self._batch(args, size)
        return self.coerce(_draw(self._rows, self._together, rng, w, rest, batch), args, size)

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        batch = self._batch(args, size)
        first = _components(self._rows, self._together, [raw(a) for a in args[1:]], 1)[0]
        return tuple(
            v if type(v) is Box else part.coerce(v, own, batch)
            for v, (part, own) in zip(tuple_entries(self, value, len(first)), first, strict=True)
        )

    def _batch(self, args: Sequence[Any], size: Any) -> tuple[int, ...]:
        return self._density.declared.batch_shape((*self._others, *args), size)

    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        events = self._events(args[1:])
        if size is not None:
            return self.coerce(x, args, size)
        entries = [
            v if type(v) is Box else column[0].kind.convert(v)
            for v, column in zip(
                tuple_entries(self, x, len(events)), zip(*self._rows, strict=True), strict=True
            )
        ]
        fronts = []
        for i, (v, event) in enumerate(zip(entries, events, strict=True)):
            shape = shape_of(v)
            fronts.append(shape[: len(shape) - len(event)])
            if shape[len(fronts[-1]) :] != event:
                raise ShapeError(
                    f"entry {i} of a value of {self.__name__} has shape {event} here, got {shape}"
                )
        try:
            batch = np.broadcast_shapes(self._batch(args, None), *fronts)
        except ValueError:
            raise ShapeError(
                f"the entries of a value of {self.__name__} do not broadcast with its arguments: "
                f"shapes {fronts} and {self._batch(args, None)}"
            ) from None
        return tuple(
            np.broadcast_to(v, batch + event) if shape_of(v) != batch + event else v
            for v, event in zip(entries, events, strict=True)
        )

    def _events(self, args: Sequence[Any]) -> list[tuple[int, ...]]:
        """The shape of each entry of one value."""
        first = _components(self._rows, self._together, [raw(a) for a in args], 1)[0]
        return [part.declared.event_shape(own) for part, own in first]

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        return self._density.log_prob_of(x[0], (*x[1:], *args))

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        return self._density.log_probs_of(x[0], (*x[1:], *args))

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        x, args = without_boxes(x), [raw(a) for a in args]

        def entry(at: tuple[int, ...], count: int) -> str:
            return f"the first is{at_index(at)}" if at else f"the value is {x!r}"

        each = self.log_probs_of(x, args)
        return why_impossible(self.__name__, self.support, each, entry)

    @property
    def support(self) -> str:
        return tuple_support([_support(column) for column in zip(*self._rows, strict=True)])


# --- What all mixtures share


def _check_counts(rows: Sequence[Row], together: bool) -> Any:
    """A check that there are as many weights as components."""
    parts = [part for row in rows for part in row]
    named = list(_arguments(rows, together).items())[1:]

    def check(w: Any, *args: Any) -> None:
        count = np.shape(w)[-1]
        if not together and count != len(rows):
            raise ShapeError(
                f"a mixture of {len(rows)} components needs {len(rows)} weights, got {count}"
            )
        for a, (name, domain) in zip(args, named if together else (), strict=together):
            axis = np.ndim(a) - domain.rank
            if np.shape(a)[axis : axis + 1] not in [(1,), (count,)]:
                raise ShapeError(
                    f"{name} of a mixture of {count} components needs {count} entries along its "
                    f"last batch axis, or one for all, got shape {np.shape(a)}"
                )
        for part, own in with_arguments(parts, args):
            part.declared.check_fit(own)

    return check


def _draw(
    rows: Sequence[Row], together: bool, rng: Any, w: Any, args: Sequence[Any], size: Any
) -> list[Any]:
    """The entries of a value."""
    edges = np.cumsum(w, axis=-1)
    which = np.sum(np.expand_dims(rng.random(size), -1) * edges[..., -1:] >= edges, axis=-1)
    components = _components(rows, together, args, np.shape(w)[-1])
    return [_pick(which, rng, column, size) for column in zip(*components, strict=True)]


def _pick(which: Any, rng: Any, column: Sequence[Any], size: Any) -> Any:
    """A draw of one part from each component, and of those the one chosen."""
    (first, own), *others = column
    value = np.asarray(first.draw(rng, own, size or None))
    for k, (part, own) in enumerate(others, start=1):
        here = np.reshape(which == k, (*np.shape(which), *(1,) * part.kind.rank))
        value = np.where(here, part.draw(rng, own, size or None), value)
    return value


def _components(
    rows: Sequence[Row], together: bool, args: Sequence[Any], count: int
) -> list[list[Any]]:
    """For each component its parts, each with its own arguments."""
    if not together:
        pairs = with_arguments([part for row in rows for part in row], args)
        return [[next(pairs) for _ in row] for row in rows]
    ranks = [domain.rank for part in rows[0] for domain in part.arguments.values()]
    each = [[_component(a, k, r) for a, r in zip(args, ranks, strict=True)] for k in range(count)]
    return [list(with_arguments(rows[0], own)) for own in each]


def _component(a: Any, k: int, rank: int) -> Any:
    axis = np.ndim(a) - rank - 1
    return np.take(a, 0 if np.shape(a)[axis] == 1 else k, axis=axis)


def _mix(w: Any, log_f: Any) -> tuple[Any, Any, Any]:
    """The log density of the mixture from its components' log densities, along the first axis.

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


def _terms(rows: Sequence[Row], together: bool) -> Any:
    """The terms of a mixture: of the entries of the value, the weights, and every argument."""
    components = _together(rows[0]) if together else _apart(rows)
    m = len(rows[0])

    def terms(*values: Any) -> Terms:
        xs, w, args = values[:m], values[m], values[m + 1 :]
        log_f, parts = components(xs, w, args)
        log_density, to_components, to_weights = _mix(w, log_f)

        def by_all(pulls: Sequence[Any]) -> Any:
            if None in pulls:
                return None
            return lambda g: sum(pull(to_components(g)) for pull in pulls)

        by_entries = [by_all([pulls[0] for pulls in parts[i::m]]) for i in range(m)]
        by_args = [by_all([pull]) for pulls in parts for pull in pulls[1:]]
        return log_density, [*by_entries, to_weights, *by_args]

    return terms


# Both give the log densities of the components, which run along the first axis, and for each part
# the pullbacks of these by the value and by its arguments.


def _together(row: Row) -> Any:
    """Components along the last batch axis of the arguments."""
    entries = [part.kind.rank for part in row]
    ranks = [domain.rank for part in row for domain in part.arguments.values()]

    def components(xs: Sequence[Any], w: Any, args: Sequence[Any]) -> tuple[Any, list[Any]]:
        axes = 1 + max(
            *(len(shape_of(x)) - rank for x, rank in zip(xs, entries, strict=True)),
            len(shape_of(w)) - 1,
            *(len(shape_of(a)) - rank - 1 for a, rank in zip(args, ranks, strict=True)),
        )
        lifted = [_first(a, rank, axes) for a, rank in zip(args, ranks, strict=True)]
        pairs = zip(xs, with_arguments(row, lifted), strict=True)
        each = [part.declared.terms(x, *own) for x, (part, own) in pairs]
        shapes = iter([(shape_of(a), rank) for a, rank in zip(args, ranks, strict=True)])
        parts = [
            [_to(log_f, pulls[0]), *(_to(log_f, pull, next(shapes)) for pull in pulls[1:])]
            for log_f, pulls in each
        ]
        log_f = reduce(add, [log_f for log_f, _ in each])
        count = shape_of(w)[-1]
        if shape_of(log_f)[: len(shape_of(log_f)) - axes + 1] != (count,):  # all are the same
            batch = np.broadcast_shapes(shape_of(log_f), (count, *(1,) * (axes - 1)))
            log_f = np.broadcast_to(log_f, batch)
        return log_f, parts

    def _to(log_f: Any, pull: Any, place: Any = None) -> Any:
        """A pullback that takes a cotangent of all components, to an argument in its place."""
        shape = shape_of(log_f)
        if pull is None or place is None:
            return pull and (lambda g: pull(sum_to(g, shape)))
        return lambda g: _last(pull(sum_to(g, shape)), *place)

    return components


def _apart(rows: Sequence[Row]) -> Any:
    """Components of a row each."""
    flat = [part for row in rows for part in row]
    m = len(rows[0])

    def components(xs: tuple[Any, ...], w: Any, args: Sequence[Any]) -> tuple[Any, list[Any]]:
        pairs = zip(xs * len(rows), with_arguments(flat, args), strict=True)
        each = [part.declared.terms(x, *own) for x, (part, own) in pairs]
        parts = [[_to(n // m, log_f, p) for p in pulls] for n, (log_f, pulls) in enumerate(each)]
        logs = [log_f for log_f, _ in each]
        if m > 1:
            logs = [reduce(add, logs[n : n + m]) for n in range(0, len(logs), m)]
        batch = np.broadcast_shapes(shape_of(w)[:-1], *map(shape_of, logs))
        return np.stack([np.broadcast_to(log_f, batch) for log_f in logs]), parts

    def _to(k: int, log_f: Any, pull: Any) -> Any:
        """A pullback that takes a cotangent of all components, of which it needs the k-th."""
        shape = shape_of(log_f)
        return pull and (lambda g: pull(sum_to(g[k], shape)))

    return components
