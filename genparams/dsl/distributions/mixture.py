"""Mixtures of distributions, and of products of them."""

from collections.abc import Iterable, Sequence
from typing import Any, final

from genparams.autodiff import Box, np, raw, shape_of
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.composite import (
    Product,
    TupleDistribution,
    tuple_entries,
    tuple_kind,
)
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    at_index,
    weights,
)
from genparams.dsl.distributions.mixing import (
    Row,
    components_of,
    draw_mixture,
    mixture_terms,
)
from genparams.dsl.distributions.parts import made_of_parts, no_call, with_arguments, without_boxes
from genparams.dsl.distributions.regions import Region, Together, hull
from genparams.dsl.distributions.statistics.composed import of_mixture
from genparams.dsl.distributions.values import why_impossible
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size

BLOCK_WIDTH = 4
"""For the size of blocks: a guess at the number of components."""


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

    Raises:
        ArgumentError: there is no component, a component is not a call or has a size, or the kinds
            of their values differ.
        ShapeError: when it is used, there are more or fewer components than weights.
    """
    if isinstance(size, Call):
        raise ArgumentError(
            f"the components of a mixture are one list; write mixture(weights, [{components!r}, "
            f"{size!r}])"
        )
    one_call = isinstance(components, Call)
    if not one_call and not isinstance(components, Iterable):
        raise _no_component(components)
    calls: Sequence[Call] = [components] if isinstance(components, Call) else list(components)
    rows = _rows(calls)
    args = [a for call in calls for a in call.fn.operands(call.args)]
    if one_call:
        ranks = [domain.rank for domain in calls[0].fn.arguments.values()]
        shapes = map(shape_of, args)
        args = [  # an argument that all components share
            np.reshape(a, (1, *shape)) if len(shape) == rank else a
            for a, shape, rank in zip(args, shapes, ranks, strict=True)
        ]
    joint = isinstance(calls[0].fn, Product)
    return Call(
        (_mixture_of_products if joint else _mixture_of)(rows, one_call), (weights, *args), size
    )


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


def _arguments(rows: Sequence[Row], one_call: bool) -> dict[str, Domain]:
    """The weights, then the arguments of every part of every row."""
    arguments: dict[str, Domain] = {"weights": weights}
    for k, row in enumerate(rows):
        for i, part in enumerate(row):
            for name, domain in part.arguments.items():
                label = f"{name} of part {i}" if len(row) > 1 else name
                label = label if one_call else f"{label} of component {k}"
                label = f"{label} of {part.__name__}" if label in arguments else label
                arguments[label] = domain.within(one_call)
    return arguments


def _kind(column: Sequence[Distribution]) -> ValueKind:
    """The kind of value that distributions share."""
    first = column[0].kind
    free = all(part.kind.free for part in column)
    return ValueKind(first.rank, first.convert, first.continuous, free)


@made_of_parts
def _mixture_of(rows: tuple[Row, ...], one_call: bool) -> Distribution:
    column = [part for (part,) in rows]
    name = f"mixture of {', '.join(part.__name__ for part in column)}"
    return Distribution(
        Declaration(
            name=name,
            region=lambda *args: _region(
                [one for (one,) in _components(rows, one_call, args)], name
            ),
            arguments=_arguments(rows, one_call),
            kind=_kind(column),
            draw=lambda rng, w, *args, size: draw_mixture(rows, one_call, rng, w, args, size)[0],
            terms=mixture_terms(rows, one_call),
            fit=_check_counts(rows, one_call),
            block_width=BLOCK_WIDTH,
            event=lambda args: column[0].declared.event_shape(
                args[1 : 1 + len(column[0].arguments)]
            ),
            doc=mixture.__doc__,
            support=_support(column),
            fault=column[0].declared.fault,
            statistics=of_mixture(
                lambda args, count: [one for (one,) in components_of(rows, one_call, args, count)],
                column,
            ),
        )
    )


def _components(rows: Sequence[Row], one_call: bool, args: Sequence[Any]) -> Any:
    """For each component its parts, each with its own arguments; `args` begin with the weights."""
    return components_of(rows, one_call, args[1:], shape_of(args[0])[-1])


def _region(column: Sequence[tuple[Distribution, Sequence[Any]]], name: str) -> Region:
    """A region that holds the values of all components."""
    return hull([part.region_of(own) for part, own in column], name)


def mixed(fn: Any, args: Sequence[Any]) -> tuple[Any, list[tuple[Distribution, list[Any]]]] | None:
    """The weights of a mixture, and for each component its distribution with its arguments.

    None for a distribution that is no mixture, and for a mixture of products.
    """
    make, parts = getattr(fn, "recipe", None) or (None, ())
    if make is not _mixture_of:
        return None
    (w, *rest), rows, one_call = args, *parts
    components = components_of(rows, one_call, rest, np.shape(w)[-1])
    return w, [(part, list(own)) for ((part, own),) in components]


def _support(column: Sequence[Distribution]) -> str:
    """The values that any of the components has, in words."""
    return ", or ".join(dict.fromkeys(part.support for part in column))


@made_of_parts
def _mixture_of_products(rows: tuple[Row, ...], one_call: bool) -> "MixtureOfProducts":
    return MixtureOfProducts(rows, one_call)


@final
class MixtureOfProducts(TupleDistribution):
    """A mixture of products: all entries of one value come from one component."""

    def __init__(self, rows: tuple[Row, ...], one_call: bool):
        self._rows, self._one_call = rows, one_call
        kinds = [_kind(column) for column in zip(*rows, strict=True)]
        products = [f"product of {', '.join(part.__name__ for part in row)}" for row in rows]
        self.__name__ = f"mixture of {' and '.join(products)}"
        self.__doc__ = mixture.__doc__
        self.arguments = _arguments(rows, one_call)
        self.argument_names = list(self.arguments)
        self.kind = tuple_kind(kinds)
        # The density is a density of the first entry, with the others as arguments.
        others = {f"entry {i}": Domain("", None, k.rank) for i, k in enumerate(kinds) if i}
        self._others = tuple(np.zeros((1,) * kind.rank) for kind in kinds[1:])
        check = _check_counts(rows, one_call)
        self._density = Distribution(
            Declaration(
                name=self.__name__,
                arguments=others | self.arguments,
                kind=kinds[0],
                draw=draw_mixture,
                terms=mixture_terms(rows, one_call),
                fit=lambda *args: check(*args[len(others) :]),
                block_width=BLOCK_WIDTH,
                event=lambda args: self._events(args[len(others) + 1 :])[0],
            )
        )

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        w, *rest = map(raw, args)
        for a, (name, domain) in zip((w, *rest), self.arguments.items(), strict=True):
            domain.check(self.__name__, name, a)
        self._density.declared.check_fit((*self._others, w, *rest))
        batch = self._batch(args, size)
        return self.coerce(
            draw_mixture(self._rows, self._one_call, rng, w, rest, batch), args, size
        )

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        batch = self._batch(args, size)
        first = components_of(self._rows, self._one_call, [raw(a) for a in args[1:]], 1)[0]
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
        first = components_of(self._rows, self._one_call, [raw(a) for a in args], 1)[0]
        return [part.declared.event_shape(own) for part, own in first]

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        return self._density.log_prob_of(x[0], (*x[1:], *args))

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        return self._density.log_probs_of(x[0], (*x[1:], *args))

    def region_of(self, args: Sequence[Any]) -> Region:
        columns = zip(*_components(self._rows, self._one_call, args), strict=True)
        return Together([_region(column, self.__name__) for column in columns])

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        x, args = without_boxes(x), [raw(a) for a in args]

        def entry(at: tuple[int, ...], count: int) -> str:
            return f"the first is{at_index(at)}" if at else f"the value is {x!r}"

        each = self.log_probs_of(x, args)
        return why_impossible(self.__name__, self.support, each, entry)

    @property
    def support(self) -> str:
        columns = zip(*self._rows, strict=True)
        return f"tuples of {'; '.join(map(_support, columns))}"


def _check_counts(rows: Sequence[Row], one_call: bool) -> Any:
    """A check that there are as many weights as components."""
    parts = [part for row in rows for part in row]
    named = list(_arguments(rows, one_call).items())[1:]

    def check(w: Any, *args: Any) -> None:
        count = np.shape(w)[-1]
        if not one_call and count != len(rows):
            raise ShapeError(
                f"a mixture of {len(rows)} components needs {len(rows)} weights, got {count}"
            )
        for a, (name, domain) in zip(args, named if one_call else (), strict=one_call):
            axis = np.ndim(a) - domain.rank
            if np.shape(a)[axis : axis + 1] not in [(1,), (count,)]:
                raise ShapeError(
                    f"{name} of a mixture of {count} components needs {count} entries along its "
                    f"last batch axis, or one for all, got shape {np.shape(a)}"
                )
        for part, own in with_arguments(parts, args):
            part.declared.check_fit(own)

    return check
