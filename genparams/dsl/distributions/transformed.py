"""Distributions of a smooth function of a draw, by the change of variables."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from genparams.autodiff import Box, Tape, as_array, np, raw, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms, is_one, once
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    as_operand,
    bound_matrix,
    bound_vector,
    lazy_finite,
    real_vector,
)
from genparams.dsl.distributions.parts import base_of, made_of_parts
from genparams.dsl.distributions.regions import Through
from genparams.dsl.distributions.statistics.composed import in_vectors, of_transformed
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import Size

Shape = tuple[int, ...]


class Bijection(Protocol):
    """What `transformed` asks of a bijection, which every constraint is.

    All but `contains` are written in operations that can be differentiated.
    """

    rank: ClassVar[int]
    """The axes of a value: 0 if the bijection applies to every entry alone."""
    coordinate_rank: ClassVar[int]

    @property
    def name(self) -> str: ...

    def natural(self, theta: Any) -> Any:
        """The value at the coordinates theta."""
        ...

    def inverse(self, value: Any) -> Any:
        """The coordinates of a value."""
        ...

    def contains(self, value: Any) -> Any:
        """Whether each value has coordinates, without the axes of one value."""
        ...

    def log_det_jacobian(self, theta: Any) -> Any:
        """log |d natural(theta) / d theta|, without the axes of one value."""
        ...

    def value_shape(self, shape: Shape) -> Shape:
        """The shape of a value whose coordinates have that shape."""
        ...

    def interior(self, shape: Shape) -> Any:
        """A value of that shape."""
        ...


@dataclass(frozen=True, slots=True)
class Affine:
    """x = loc + scale y."""

    loc: Any
    scale: Any


@explained
def affine(loc: Any, scale: Any) -> Affine:
    """The bijection x = loc + scale y, for `transformed`; both may be parameters."""
    return Affine(loc, scale)


@dataclass(frozen=True, slots=True)
class _AffineRule:
    """The rule of `Affine`, which is given loc and scale with each call."""

    name: str = "affine"
    rank: ClassVar[int] = 0
    coordinate_rank: ClassVar[int] = 0

    def natural(self, theta: Any, loc: Any, scale: Any) -> Any:
        return loc + scale * theta

    def inverse(self, value: Any, loc: Any, scale: Any) -> Any:
        return (value - loc) / scale

    def contains(self, value: Any) -> Any:
        return np.isfinite(value)

    def log_det_jacobian(self, theta: Any, loc: Any, scale: Any) -> Any:
        return np.broadcast_to(np.log(np.abs(scale)), shape_of(theta))

    def value_shape(self, shape: Shape) -> Shape:
        return shape

    def interior(self, shape: Shape) -> Any:
        return np.zeros(shape)


AFFINE = _AffineRule()
not_zero = Domain("finite and not 0", lambda v: (v != 0.0) & (abs(v) < math.inf))


@explained
def transformed(base: Call, bijection: Bijection | Affine, size: Size = None) -> Call:
    """The distribution of `bijection.natural(y)` for y drawn from a continuous distribution.

        log p(x) = log p_base(y) - log |d natural(y) / d y|,    y = bijection.inverse(x)

    and -inf where x is not a value of the bijection. `transformed(normal(mu, s), positive)` is
    `lognormal(mu, s)`. The density of a simplex is one over all its entries but the last, that of a
    Cholesky factor one over its lower triangle.

    Args:
        base: A call such as `normal(mu, std)` or `mvnormal(mean, cov)`. A bijection of vectors
            takes vectors, or a distribution over numbers whose arguments run over the coordinates
            on their last axis.
        bijection: `positive`, `unit_interval`, `interval(low, high)`, `simplex`, `ordered`,
            `lower_cholesky`, `affine(loc, scale)`, or any other `Bijection`.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base is discrete, or its entries are jointly constrained.
        ShapeError: a bijection of vectors was given coordinates that are single numbers.
    """
    fn = base_of("transformed", base, "transformed(base, bijection)")
    if not fn.kind.continuous or not fn.kind.free:
        why = "discrete" if not fn.kind.continuous else "over entries that are jointly constrained"
        raise ArgumentError(
            "transformed takes a continuous distribution over numbers or vectors such as "
            f"normal(mu, std); {fn.__name__} is {why}"
        )
    rule, extra = _rule_of(bijection)
    args = fn.operands(base.args)
    if rule.coordinate_rank > fn.kind.rank:
        ranks = [domain.rank for domain in fn.arguments.values()]
        if all(len(shape_of(a)) == r for a, r in zip(args, ranks, strict=True)):
            raise ShapeError(
                f"{rule.name} takes vectors of coordinates; give {base!r} arguments that "
                "run over them on their last axis"
            )
        fn, args = _in_vectors(fn), _with_axes(args, [rank + 1 for rank in ranks])
    extra = _with_axes(extra, [fn.kind.rank] * len(extra))
    return Call(_transformed(fn, rule), (*args, *extra), size)


def _rule_of(bijection: Any) -> tuple[Any, Sequence[Any]]:
    """A bijection that is the same for all calls, and its arguments in this one."""
    if isinstance(bijection, Affine):
        loc, scale = bijection.loc, bijection.scale
        return AFFINE, (as_operand("affine", "loc", loc), as_operand("affine", "scale", scale))
    if not hasattr(bijection, "log_det_jacobian"):
        raise ArgumentError(
            "transformed takes positive, unit_interval, interval(low, high), simplex, ordered, "
            f"lower_cholesky or affine(loc, scale) as its bijection, got {brief(bijection)}"
        )
    try:
        hash(bijection)
    except TypeError:
        raise ArgumentError(
            f"transformed keeps one distribution for each bijection, and {bijection!r} is not "
            "hashable; write @dataclass(frozen=True), with eq=False where it holds arrays"
        ) from None
    return bijection, ()


@made_of_parts
def _in_vectors(base: Distribution) -> Distribution:
    """The base with its last batch axis as the axis of a vector."""
    arguments = {name: replace(d, rank=d.rank + 1) for name, d in base.arguments.items()}
    places = [-1 - domain.rank for domain in base.arguments.values()]

    def event(args: Sequence[Any]) -> Shape:
        return np.broadcast_shapes(*((shape_of(a)[i],) for a, i in zip(args, places, strict=True)))

    def terms(x: Any, *args: Any) -> Terms:
        log_f, pulls = base.declared.terms(x, *args)
        full = shape_of(log_f)

        def over(pull: Any) -> Any:
            return lambda g: pull(g if is_one(g) else np.broadcast_to(g[..., None], full))

        each = [None if pull is None else over(pull) for pull in pulls]
        return np.sum(log_f, axis=-1), each

    return Distribution(
        Declaration(
            name=base.__name__,
            arguments=arguments,
            kind=real_vector,
            draw=lambda rng, *args, size: base.draw(rng, args, (*size, *event(args))),
            terms=terms,
            fit=base.declared.fit,
            region=base.declared.region,
            block_width=base.declared.block_width,
            event=event,
            doc=base.__doc__,
            statistics=in_vectors(base, event),
        )
    )


def _kind(base: Distribution, bijection: Bijection) -> ValueKind:
    if not bijection.rank:
        return base.kind
    # A bijection that keeps the number of entries leaves them free of each other.
    keeps = bijection.rank == 1 and bijection.value_shape((2,)) == (2,)
    return real_vector if keeps else (bound_vector, bound_matrix)[bijection.rank - 1]


@made_of_parts
def _transformed(base: Distribution, bijection: Any) -> Distribution:
    if bijection.coordinate_rank not in (0, base.kind.rank):
        raise ArgumentError(f"{bijection.name} does not take values of {base.__name__}")
    kind = _kind(base, bijection)
    name = f"{base.__name__} through {bijection.name}"
    arguments = dict(base.arguments)
    count = len(arguments)
    if bijection is AFFINE:
        rank = base.kind.rank
        for label, domain in (("loc", lazy_finite), ("scale", not_zero)):
            while label in arguments:
                label += " of affine"
            arguments[label] = domain.within(rank)

    def draw(rng: Any, *args: Any, size: Shape) -> Any:
        y = base.draw(rng, args[:count], size or None)
        return np.array(bijection.natural(y, *args[count:]))

    return Distribution(
        Declaration(
            name=name,
            arguments=arguments,
            kind=kind,
            draw=draw,
            terms=_terms(base, bijection, kind),
            fit=lambda *args: base.declared.check_fit(args[:count]),
            block_width=base.declared.block_width,
            event=lambda args: bijection.value_shape(base.declared.event_shape(args[:count])),
            region=lambda *args: Through(bijection, args[count:], base.region_of(args[:count])),
            support=f"the values of {bijection.name} at which {base.__name__} has a density",
            doc=transformed.__doc__,
            statistics=of_transformed(base, bijection, bijection is AFFINE),
        )
    )


def _terms(base: Distribution, bijection: Any, kind: ValueKind) -> Callable[..., Terms]:
    """The terms of the value, the arguments of the base, and the arguments of the bijection."""
    count = len(base.arguments)
    # The axes of a value, where the bijection applies to every entry alone.
    events = tuple(range(-kind.rank, 0)) if not bijection.rank else ()

    def terms(x: Any, *args: Any) -> Terms:
        own, extra = args[:count], args[count:]
        there = as_array(np.all(bijection.contains(raw(x)), axis=events))
        everywhere = bool(np.all(there))
        if not everywhere:
            each = np.reshape(there, (*there.shape, *(1,) * kind.rank))
            x = np.where(each, x, bijection.interior(shape_of(x)[there.ndim :]))
        tape = Tape()
        leaves = [tape.leaf(v) for v in (x, *extra)]
        y = bijection.inverse(*leaves)
        log_det = bijection.log_det_jacobian(y, *leaves[1:])
        log_det = np.sum(log_det, axis=events) if events else log_det
        log_f, pulls = base.declared.terms(y.value, *own)
        boxed = type(log_det) is Box and log_det.tape is tape
        log_p = log_f - (log_det.value if boxed else log_det)
        batch = shape_of(log_p)

        def masked(g: Any) -> Any:
            """A gradient by the log densities, 0 where the value is not one of the bijection."""
            return g if everywhere else g * np.where(there, 1.0, 0.0)

        @once
        def back(g: Any) -> list[Any]:
            g = np.broadcast_to(masked(g), batch) if batch else masked(g)
            seeds = [(y, pulls[0](g))]  # type: ignore[misc]
            if boxed:
                seeds.append((log_det, sum_to(-g, shape_of(log_det))))
            return tape.gradients(seeds, leaves)

        by_x, *by_extra = [lambda g, i=i: back(g)[i] for i in range(len(leaves))]
        by_own = [pull and (lambda g, pull=pull: pull(masked(g))) for pull in pulls[1:]]
        log_p = log_p if everywhere else np.where(there, log_p, -np.inf)
        return log_p, [by_x, *by_own, *by_extra]

    return terms


def _with_axes(args: Sequence[Any], ranks: Sequence[int]) -> list[Any]:
    """Arguments with axes of length 1 in front, where they have fewer axes than their ranks."""
    return [
        np.reshape(v, (*(1,) * (rank - len(shape_of(v))), *shape_of(v)))
        if len(shape_of(v)) < rank
        else v
        for v, rank in zip(args, ranks, strict=True)
    ]
