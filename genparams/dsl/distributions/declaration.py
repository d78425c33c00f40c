"""A distribution as data: a name, the domains of its arguments, a sampler and a log density."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from genparams.autodiff import np, raw, shape_of
from genparams.dsl.distributions.domains import Domain, ValueKind
from genparams.dsl.distributions.regions import RegionOf
from genparams.dsl.distributions.statistics.known import Statistics
from genparams.errors import ShapeError
from genparams.text import brief

Pullback = Callable[[Any], Any]
"""From a gradient by a batch of log densities to the gradient by one value, in its shape.

The gradient by the batch has its shape, or is 1.0, which means ones.
"""
Terms = tuple[Any, Sequence[Pullback | None]]
"""The log density of each member of a batch, and a pullback for the value and each argument; None
where there is no derivative."""


def once(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f`, with its last result kept: for what several pullbacks share."""
    last: list[Any] = []

    def remembered(g: Any) -> Any:
        if not last or last[0] is not g:
            last[:] = g, f(g)
        return last[1]

    return remembered


def is_one(g: Any) -> bool:
    """Whether a gradient is 1.0, which means ones."""
    return type(g) is float and g == 1.0


def with_axes(g: Any, axes: int) -> Any:
    """A gradient by a batch, with so many trailing axes of length 1."""
    return np.reshape(g, (*shape_of(g), *(1,) * axes)) if shape_of(g) else g


Slope = Callable[[], Any]
"""A derivative, computed when it is called."""
LogDensity = tuple[Any, Sequence[Slope | None]]
"""A log density or a log mass, and its derivatives; None by what has none."""
Formula = Callable[..., LogDensity]
"""`formula(m, x, *args)`: the log density, and its derivatives by the value and each argument.

`m` holds the functions of single floats or of arrays: `numeric.scalars` or `numeric.arrays`.
"""


def _last_axis(args: Sequence[Any]) -> tuple[int, ...]:
    return shape_of(args[0])[-1:]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Declaration:
    """What `Distribution` is made of."""

    name: str
    arguments: dict[str, Domain]
    kind: ValueKind
    draw: Callable[..., Any]
    """`draw(rng, *args, size)` draws an array of the shape `size`."""
    terms: Callable[..., Terms]
    """`terms(x, *args)`: the log density over a batch, and its pullbacks."""
    formula: Formula | None = None
    """The log density of single numbers; None if there is none of its own."""
    inside: Callable[..., Any] | None = None
    """`inside(x, *args)`: where the density is not 0; None if that is everywhere."""
    region: RegionOf | None = None
    """`region(*args)`: a set that holds every value with a density, with coordinates of its values;
    None if none is known, or the values are discrete."""
    support: str = ""
    """The values that have a density, in words; the support of the kind if empty."""
    fit: Callable[..., None] | None = None
    """`fit(*args)` raises an error unless the arguments fit together."""
    event: Callable[[Sequence[Any]], tuple[int, ...]] = _last_axis
    """The shape of one vector or matrix, given the arguments."""
    fault: Callable[[Any], str] | None = None
    """What is wrong with one value outside the support, in words."""
    block_width: int = 1
    """How many numbers a temporary array holds for each entry of the value."""
    draws_floats: bool = False
    """Whether `draw` takes size=None, for one number."""

    statistics: Statistics | None = None
    """Its expected information, moments and distribution function, where it is no family of the
    table in `statistics.families`."""

    doc: str | None = None
    note: str = ""
    """Words after the name in messages."""
    forms: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Other parametrisations: a keyword, and the function that makes the call."""
    keyword_only: int = 0
    """How many of the last arguments must be given by name."""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    # --- Computed from these

    eager: list[tuple[int, str, Domain]] = field(init=False)
    """The arguments to check before the log density is computed: place, name and domain."""
    lazy: list[tuple[int, str, Domain]] = field(init=False)
    """The arguments to check only where the log density is not finite."""
    eager_tests: list[tuple[int, Callable[..., Any]]] = field(init=False)
    """The tests of single numbers, by the place among the value and the arguments."""
    all_tests: list[tuple[int, Callable[..., Any]]] = field(init=False)
    """The tests of single numbers, by the place among the arguments."""

    def __post_init__(self) -> None:
        places = [(i, n, d) for i, (n, d) in enumerate(self.arguments.items()) if d.test or d.rank]
        computed = {
            "support": self.support or self.kind.support,
            "eager": [place for place in places if not place[2].lazy],
            "lazy": [place for place in places if place[2].lazy],
            "eager_tests": [(i + 1, d.test) for i, _, d in places if d.test and not d.lazy],
            "all_tests": [(i, d.test) for i, _, d in places if d.test],
        }
        for name, value in computed.items():
            object.__setattr__(self, name, value)

    def check(self, args: Sequence[Any]) -> None:
        """Raise unless the arguments are in their domains, but for the lazy ones, and fit."""
        for i, name, domain in self.eager:
            a = args[i]
            if type(a) is not float or domain.rank or domain.test is None or not domain.test(a):
                domain.check(self.name, name, a)
        if self.fit is not None:
            self.check_fit(args)

    def check_fit(self, args: Sequence[Any]) -> None:
        """Raise unless the arguments, each in its domain, fit together."""
        if self.fit is not None:
            self.fit(*map(raw, args))

    def check_lazy(self, args: Sequence[Any]) -> None:
        """Raise unless the lazy arguments are in their domains."""
        for i, name, domain in self.lazy:
            domain.check(self.name, name, args[i])

    def event_shape(self, args: Sequence[Any]) -> tuple[int, ...]:
        """The shape of one value, without the axes of the batch."""
        return self.event(args) if self.kind.rank else ()

    def batch_shape(self, args: Sequence[Any], size: Any) -> tuple[int, ...]:
        """The shape of a draw, without the axes of one value."""
        shapes = []
        for a, (name, domain) in zip(args, self.arguments.items(), strict=True):
            shape = shape_of(a)
            if len(shape) < domain.rank:
                domain.check(self.name, name, a)
            if shape:
                shapes.append(shape[: len(shape) - domain.rank])
        try:
            batch = shapes[0] if shapes else ()
            if shapes.count(batch) < len(shapes):
                batch = np.broadcast_shapes(*shapes)
            if size is None:
                return batch
            sizes = size if isinstance(size, (tuple, list)) else (size,)
            wanted = tuple(operator.index(n) for n in sizes)
            if np.broadcast_shapes(batch, wanted) != wanted:
                raise ValueError
        except (ValueError, TypeError):
            if not _is_size(size):
                raise ShapeError(
                    f"size of {self.name} is a whole number, at least 0, or a tuple of such "
                    f"numbers, got {brief(size)}"
                ) from None
            of = f" and size {size}" if size is not None else ""
            raise ShapeError(
                f"the arguments of {self.name} do not fit together: shapes "
                f"{[shape_of(a) for a in args]}{of}"
            ) from None
        return wanted


def _is_size(size: Any) -> bool:
    sizes = size if isinstance(size, (tuple, list)) else (size,)
    return size is None or all(isinstance(n, Integral) and int(n) >= 0 for n in sizes)
