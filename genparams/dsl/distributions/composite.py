"""Products: several distributions as one choice, whose value is a tuple."""

import math
from collections.abc import Sequence
from typing import Any, final

from genparams.autodiff import Box, np, raw, shape_of
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import AbstractDistribution
from genparams.dsl.distributions.calling import wrong_arguments
from genparams.dsl.distributions.domains import Domain, ValueKind
from genparams.dsl.distributions.parts import base_of, made_of_parts, with_arguments, without_boxes
from genparams.dsl.distributions.regions import Region, Together
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.types import Size


@explained
def product(parts: Sequence[Call[Any]], size: Size = None) -> Call[tuple[Any, ...]]:
    """Independent parts as one choice; its value is a tuple with one entry for each.

        log p(x) = log p_1(x[0]) + log p_2(x[1]) + ...

    Args:
        parts: Calls such as `[normal(0.0, 1.0), poisson(3.0)]`, of any distributions, products or
            mixtures of products. Each has its own shape.
        size: The shape of the batch of every part.

    Raises:
        ArgumentError: a part is not a call of a distribution, or has a size of its own.
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
    """A distribution whose value is a tuple; its arguments are given by position."""

    def __call__(self, *args: Any, size: Size = None, **named: Any) -> Call:
        if named or len(args) != len(self.arguments):
            raise wrong_arguments(self.arguments, repr(self), len(args), named)
        return Call(self, args, size)

    def __repr__(self) -> str:
        return f"{self.__name__}, with arguments {', '.join(self.arguments)}"


def tuple_kind(kinds: Sequence[ValueKind]) -> ValueKind:
    """The kind of a tuple with entries of these kinds."""
    return ValueKind(
        0, tuple, all(kind.continuous for kind in kinds), all(kind.free for kind in kinds)
    )


def tuple_entries(choice: TupleDistribution, value: Any, count: int) -> Sequence[Any]:
    """The entries of a value."""
    has_entries = isinstance(value, (tuple, list)) or np.ndim(value)
    if not has_entries or len(value) != count:
        raise ShapeError(
            f"a value of {choice.__name__} is a tuple of {count} entries, got {value!r}"
        )
    return value


@final
class Product(TupleDistribution):
    """Independent distributions as one choice; its arguments are those of each part in turn."""

    def __init__(self, parts: tuple[AbstractDistribution, ...]):
        self.parts = parts
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

    def region_of(self, args: Sequence[Any]) -> Region:
        pairs = with_arguments(self.parts, args)
        return Together([part.region_of(own) for part, own in pairs])

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        args = [raw(a) for a in args]
        found = []
        for i, (part, own) in enumerate(with_arguments(self.parts, args)):
            if not math.isfinite(raw(part.log_prob_of(without_boxes(x[i]), own))):
                found.append(f"entry {i} of the tuple: {part.why_impossible(x[i], own)}")
        return "; ".join(found) or "every entry has a finite log probability, but the sum overflows"

    @property
    def support(self) -> str:
        return f"tuples of {'; '.join(part.support for part in self.parts)}"
