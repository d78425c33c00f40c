"""Distributions made of others: products, and discrete ones with more zeros."""

import math
from collections.abc import Sequence
from typing import Any, final

from genparams.autodiff import Box, np, operand, raw, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.calling import wrong_arguments
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import Domain, ValueKind, probability
from genparams.dsl.distributions.parts import base_of, with_arguments, without_boxes
from genparams.dsl.distributions.pullbacks import Terms
from genparams.dsl.made import made_of_parts
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size

# --- Products


@explained
def product(parts: Sequence[Call[Any]], size: Size = None) -> Call[tuple[Any, ...]]:
    """Independent parts as one choice; its value is a tuple with one entry for each.

        log p(x) = log p_1(x[0]) + log p_2(x[1]) + ...

    Args:
        parts: Calls such as `[normal(0.0, 1.0), poisson(3.0)]`, of any distributions, products or
            mixtures of products. Each has its own shape.
        size: The shape of the batch of every part.
    """
    if isinstance(parts, Call):
        raise ArgumentError(f"product takes a list of calls; write product([{parts!r}, ...])")
    parts = list(parts)
    for call in parts:
        if not isinstance(call, Call) or not isinstance(call.fn, AbstractDistribution):
            base_of("product", call, "product([normal(mu, std), poisson(rate)])")
        elif call.options is not None:
            raise ArgumentError(
                f"a call inside product takes no size; write product(..., size={call.options!r})"
            )
    if not parts:
        raise ArgumentError("product needs at least one part")
    distribution = _product_of(tuple(call.fn for call in parts))
    return Call(distribution, tuple(a for call in parts for a in call.args), size)


@made_of_parts
def _product_of(parts: tuple[AbstractDistribution, ...]) -> "Product":
    return Product(parts)


class TupleDistribution(AbstractDistribution):
    """A choice of several entries, whose value is a tuple; its arguments are given by position."""

    def __call__(self, *args: Any, size: Size = None, **named: Any) -> Call:
        if named or len(args) != len(self.arguments):
            raise wrong_arguments(self.arguments, repr(self), len(args), named)
        return Call(self, args, size)

    def __repr__(self) -> str:
        return f"{self.__name__}, with arguments {', '.join(self.arguments)}"


def tuple_kind(kinds: Sequence[ValueKind]) -> ValueKind:
    """The kind of a tuple whose entries are of these kinds."""
    return ValueKind(
        0, tuple, all(kind.continuous for kind in kinds), all(kind.free for kind in kinds)
    )


def tuple_support(supports: Sequence[str]) -> str:
    """The support of a tuple."""
    return f"tuples of {'; '.join(supports)}"


def tuple_entries(choice: TupleDistribution, value: Any, count: int) -> Sequence[Any]:
    """A value, if it has that many entries.

    Raises:
        ShapeError: it has not.
    """
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != count:
        raise ShapeError(
            f"a value of {choice.__name__} is a tuple of {count} entries, got {value!r}"
        )
    return value


@final
class Product(TupleDistribution):
    """Independent distributions as one choice: with the arguments of all, one after the other."""

    def __init__(self, parts: tuple[AbstractDistribution, ...]):
        self.parts = parts
        self.grad_places: list[int] = []
        self.__name__ = f"product of {', '.join(part.__name__ for part in parts)}"
        self.arguments: dict[str, Domain] = {
            f"{name} of part {i}": domain
            for i, part in enumerate(parts)
            for name, domain in part.arguments.items()
        }
        self.argument_names = list(self.arguments)
        self.kind = tuple_kind([part.kind for part in parts])

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        return tuple(part.draw(rng, own, size) for part, own in with_arguments(self.parts, args))

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        return tuple(
            v if type(v) is Box else part.coerce(v, own, size)
            for v, (part, own) in zip(
                tuple_entries(self, value, len(self.parts)),
                with_arguments(self.parts, args),
                strict=True,
            )
        )

    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        entries = tuple_entries(self, x, len(self.parts))
        return tuple(
            part.broadcast(v, own, size)
            for v, (part, own) in zip(entries, with_arguments(self.parts, args), strict=True)
        )

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        return sum(
            part.log_prob_of(x[i], own)
            for i, (part, own) in enumerate(with_arguments(self.parts, args))
        )

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        each = [
            part.log_probs_of(x[i], own)
            for i, (part, own) in enumerate(with_arguments(self.parts, args))
        ]
        shapes = list(map(shape_of, each))
        if len(set(shapes)) > 1:
            raise ShapeError(
                f"the entries of {self.__name__} have batches of different shapes {shapes}, so "
                "that there is no log probability for each; write log_prob for their sum"
            )
        return sum(each[1:], each[0])

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        args = [raw(a) for a in args]
        told = []
        for i, (part, own) in enumerate(with_arguments(self.parts, args)):
            if not math.isfinite(raw(part.log_prob_of(without_boxes(x[i]), own))):
                told.append(f"entry {i} of the tuple: {part.why_impossible(x[i], own)}")
        return "; ".join(told) or "every entry has a finite log probability, but the sum overflows"

    @property
    def support(self) -> str:
        return tuple_support([part.support for part in self.parts])


# --- More zeros


@explained
def zero_inflated(prob_zero: Numbers, base: Call[R], size: Size = None) -> Call[R]:
    """0 with probability `prob_zero`, else a draw of a discrete distribution.

        log p(0) = log(prob_zero + (1 - prob_zero) p_base(0))
        log p(x) = log(1 - prob_zero) + log p_base(x),    x != 0

    Args:
        prob_zero: The probability of a zero that is not the base's own.
        base: A call such as `poisson(rate)`, of a distribution over whole numbers.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base is continuous, or its values are vectors.
    """
    fn = base_of("zero_inflated", base, "zero_inflated(prob_zero, base)")
    if fn.kind.continuous or fn.kind.rank:
        why = "is continuous, so that a zero has no density" if fn.kind.continuous else "is not one"
        raise ArgumentError(
            "zero_inflated takes a distribution over whole numbers such as poisson(rate); "
            f"{fn.__name__} {why}"
        )
    return Call(_zero_inflated(fn), (prob_zero, *base.args), size)


@made_of_parts
def _zero_inflated(base: Distribution) -> Distribution:
    arguments = {"prob_zero": probability}
    for name, domain in base.arguments.items():
        label = f"{name} of {base.__name__}" if name in arguments else name
        arguments[label] = domain.within()

    def terms(x: Any, prob_zero: Any, *args: Any) -> Terms:
        log_f, pulls = base.declared.terms(x, *args)
        batch = np.broadcast_shapes(shape_of(log_f), shape_of(prob_zero), shape_of(x))
        log_f = np.broadcast_to(log_f, batch) if batch else log_f
        zero = np.broadcast_to(np.equal(raw(x), 0), batch)
        possible = np.isfinite(raw(log_f))
        stays = np.subtract(1.0, prob_zero)
        # What has no probability is kept out of the logarithms, so that no NaN can come of it.
        from_base = possible & (np.broadcast_to(raw(stays), batch) > 0.0)
        extra = zero & (np.broadcast_to(raw(prob_zero), batch) > 0.0)
        own = np.where(possible, log_f, 0.0) + np.log(np.where(from_base, stays, 1.0))
        more = np.log(np.where(extra, prob_zero, 1.0))
        both = np.logaddexp(np.where(from_base, own, more), np.where(extra, more, own))
        either = np.where(extra & from_base, both, np.where(extra, more, own))
        some = extra | from_base
        share = np.where(from_base, np.exp(own - either), 0.0)

        def to_prob_zero(g: Any) -> Any:
            less = -np.expm1(np.where(possible, log_f, -np.inf))  # 1 - p_base
            at_zero = less * np.exp(-np.where(zero & some, either, 0.0))
            elsewhere = np.where(possible, np.divide(-1.0, stays), 0.0)
            return sum_to(g * np.where(zero, at_zero, elsewhere), shape_of(prob_zero))

        def to_base(pull: Any) -> Any:
            return lambda g: pull(g * share)

        return np.where(some, either, -np.inf), [
            None,
            to_prob_zero,
            *(None if pull is None else to_base(pull) for pull in pulls[1:]),
        ]

    def draw(rng: Any, prob_zero: Any, *args: Any, size: tuple[int, ...]) -> Any:
        value = base.draw(rng, args, size or None)
        return np.where(rng.random(size) < prob_zero, np.zeros_like(value), value)

    return Distribution(
        Declaration(
            name=f"zero_inflated {base.__name__}",
            arguments=arguments,
            kind=base.kind,
            draw=draw,
            terms=terms,
            fit=lambda prob_zero, *args: base.declared.check_fit(args),
            block_width=base.declared.block_width,
            doc=zero_inflated.__doc__,
            support=f"0, and {base.support}",
        )
    )


def operands(args: Sequence[Any], ranks: Sequence[int]) -> list[Any]:
    """Arguments with axes of length 1 in front of those that have fewer than that."""
    values = [operand(a) for a in args]
    return [
        np.reshape(v, (*(1,) * (rank - len(shape_of(v))), *shape_of(v)))
        if len(shape_of(v)) < rank
        else v
        for v, rank in zip(values, ranks, strict=True)
    ]
