"""The log density and the draws of a mixture, from the ones of its components.

A mixture is made of rows of distributions. A list of calls gives a row for each component. One call
gives a single row, whose arguments run over the components on their last batch axis. A row has as
many parts as the value has entries: several for products, else one.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import cycle
from operator import add
from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Pullback, Terms, is_one, once
from genparams.dsl.distributions.parts import with_arguments

Row = tuple[Distribution, ...]


# --- The log density


def mixture_terms(rows: Sequence[Row], one_call: bool) -> Callable[..., Terms]:
    """The terms of a mixture: of the entries of the value, the weights, and every argument."""
    parts = [part for row in rows for part in row]
    entries = len(rows[0])
    ranks = _argument_ranks(rows[0])

    def terms(*values: Any) -> Terms:
        xs, w, args = values[:entries], values[entries], values[entries + 1 :]
        axes = _axes_of_stack(rows[0], xs, w, args) if one_call else 0
        own = [_first(a, r, axes) for a, r in zip(args, ranks, strict=True)] if one_call else args
        pairs = zip(cycle(xs), with_arguments(parts, own), strict=False)
        each = [part.declared.terms(x, *mine) for x, (part, mine) in pairs]
        logs = [log_f for log_f, _ in each]
        if entries > 1 and not one_call:
            logs = [reduce(add, logs[n : n + entries]) for n in range(0, len(logs), entries)]
        log_f = (
            _one_stack(reduce(add, logs), shape_of(w)[-1], axes) if one_call else _stacked(logs, w)
        )
        log_p, to_components, to_weights = _stack_mixed(w, log_f)

        def pullback(n: int, place: int) -> Pullback | None:
            """The pullback of part n by its value, at place 0, or by an argument."""
            log_f, pulls = each[n]
            pull, shape = pulls[place], shape_of(log_f)
            if pull is None:
                return None
            if one_call:
                return lambda g: pull(sum_to(to_components(g), shape))
            return lambda g: pull(sum_to(to_components(g)[n // entries], shape))

        by_args = [
            pullback(n, place)
            for n, (_, pulls) in enumerate(each)
            for place in range(1, len(pulls))
        ]
        if one_call:
            by_args = [
                pull and (lambda g, pull=pull, a=a, r=r: _last(pull(g), shape_of(a), r))
                for pull, a, r in zip(by_args, args, ranks, strict=True)
            ]
        by_entries = [
            _sum_of([pullback(n, 0) for n in range(i, len(each), entries)]) for i in range(entries)
        ]
        return log_p, [*by_entries, to_weights, *by_args]

    return terms


def _sum_of(pulls: Sequence[Pullback | None]) -> Pullback | None:
    if any(pull is None for pull in pulls):
        return None
    return lambda g: sum(pull(g) for pull in pulls if pull)


def _stacked(logs: Sequence[Any], w: Any) -> Any:
    """The log densities of components, stacked along a new first axis."""
    batch = np.broadcast_shapes(shape_of(w)[:-1], *map(shape_of, logs))
    return np.stack([np.broadcast_to(log_f, batch) for log_f in logs])


def _one_stack(log_f: Any, count: int, axes: int) -> Any:
    """The log densities of the components of one call, with an entry for each component.

    They have one already, unless the components share all of their arguments.
    """
    shape = shape_of(log_f)
    if shape[: len(shape) - axes + 1] == (count,):
        return log_f
    return np.broadcast_to(log_f, np.broadcast_shapes(shape, (count, *(1,) * (axes - 1))))


_LEAST_WEIGHT = 1e-200
"""Where all weights are larger, a share over its weight has all digits."""


def _stack_mixed(w: Any, log_f: Any) -> tuple[Any, Pullback, Pullback]:
    """The log density of a mixture from a stack of log densities, components first; its pullbacks
    to the stack, which weigh the gradient by the share of each component, and to the weights."""
    axes = len(shape_of(log_f))
    joint = log_f + np.log(_first(w, 0, axes))
    top = np.max(raw(joint), axis=0)
    top = np.where(np.isfinite(top), top, 0.0)
    parts = np.exp(joint - top)
    mass = np.sum(parts, axis=0)
    some = raw(mass) > 0.0
    safe = np.where(some, mass, 1.0)
    log_p = np.where(some, top + np.log(safe), -np.inf)
    share = parts / safe

    @once
    def to_stack(g: Any) -> Any:
        return share if is_one(g) else g * share

    def to_weights(g: Any) -> Any:
        lifted = _lifted(w, 0, axes)
        if np.all(raw(w) > _LEAST_WEIGHT):
            by_w = sum_to(to_stack(g), lifted) / _first(w, 0, axes)
        else:
            level = np.where(np.isfinite(raw(log_p)), log_p, 0.0)
            by_w = sum_to(g * np.exp(log_f - level), lifted)
        return _last(by_w, shape_of(w), 0)

    return log_p, to_stack, to_weights


# --- The axis of the components


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


def _argument_ranks(row: Row) -> list[int]:
    return [domain.rank for part in row for domain in part.arguments.values()]


def _axes_of_stack(row: Row, xs: Sequence[Any], w: Any, args: Sequence[Any]) -> int:
    """The axes of the batch, and one for the components."""
    return 1 + max(
        *(len(shape_of(x)) - part.kind.rank for x, part in zip(xs, row, strict=True)),
        len(shape_of(w)) - 1,
        *(len(shape_of(a)) - r - 1 for a, r in zip(args, _argument_ranks(row), strict=True)),
    )


# --- Draws


def draw_mixture(
    rows: Sequence[Row], one_call: bool, rng: Any, w: Any, args: Sequence[Any], size: Any
) -> list[Any]:
    """The entries of a value."""
    edges = np.cumsum(w, axis=-1)
    which = np.sum(np.expand_dims(rng.random(size), -1) * edges[..., -1:] >= edges, axis=-1)
    components = components_of(rows, one_call, args, np.shape(w)[-1])
    return [_pick(which, rng, column, size) for column in zip(*components, strict=True)]


def _pick(which: Any, rng: Any, column: Sequence[Any], size: Any) -> Any:
    """Draw one part from each component, and keep the draw of the chosen component."""
    (first, own), *others = column
    value = np.asarray(first.draw(rng, own, size or None))
    for k, (part, own) in enumerate(others, start=1):
        here = np.reshape(which == k, (*np.shape(which), *(1,) * part.kind.rank))
        value = np.where(here, part.draw(rng, own, size or None), value)
    return value


def components_of(
    rows: Sequence[Row], one_call: bool, args: Sequence[Any], count: int
) -> list[list[Any]]:
    """For each component its parts, each with its own arguments."""
    if not one_call:
        pairs = with_arguments([part for row in rows for part in row], args)
        return [[next(pairs) for _ in row] for row in rows]
    ranks = _argument_ranks(rows[0])
    each = [[_component(a, k, r) for a, r in zip(args, ranks, strict=True)] for k in range(count)]
    return [list(with_arguments(rows[0], own)) for own in each]


def _component(a: Any, k: int, rank: int) -> Any:
    axis = np.ndim(a) - rank - 1
    return np.take(a, 0 if np.shape(a)[axis] == 1 else k, axis=axis)
