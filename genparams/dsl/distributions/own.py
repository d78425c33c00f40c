"""A user's own distributions: a sampler, a log density and, if given, its gradients."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from genparams.autodiff import Box, Tape, np, operand, raw, shape_of, sum_to
from genparams.dsl.custom import one_for_each, recorded
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Pullback, Terms, once
from genparams.dsl.distributions.domains import Domain, real_number, whole
from genparams.dsl.distributions.regions import (
    WHOLE_LINE,
    Between,
    Region,
    RegionOf,
    Through,
    always,
    no_region,
)
from genparams.dsl.distributions.statistics.contraction import Pair, by_entries
from genparams.dsl.distributions.statistics.known import Statistics
from genparams.dsl.distributions.transformed import Bijection
from genparams.errors import ArgumentError, DistributionError, ShapeError, TracedValueError
from genparams.mistakes import explained, refuse_other_functions
from genparams.program.recorded import plain
from genparams.text import brief
from genparams.types import calling_module

STEP = float(np.finfo(float).eps) ** (1.0 / 3.0)
"""The step of a central difference, relative to the size of the value that is moved."""

_any = Domain("a number", None)
_GIVE_GRADIENTS = "give gradients=, written in functions of numpy"


@overload
def distribution(
    sample: Callable[..., Any],
    log_prob: Callable[..., Any],
    gradients: Callable[..., Sequence[Any]] | None = None,
    name: str | None = None,
    discrete: bool = False,
    information: Callable[..., Mapping[tuple[str, str], Any]] | None = None,
    constraint: Bijection | None = None,
) -> Distribution: ...
@overload
def distribution(
    sample: Callable[..., Any],
    log_prob: None = None,
    gradients: Callable[..., Sequence[Any]] | None = None,
    name: str | None = None,
    discrete: bool = False,
    information: Callable[..., Mapping[tuple[str, str], Any]] | None = None,
    constraint: Bijection | None = None,
) -> Callable[[Callable[..., Any]], Distribution]: ...
@explained
def distribution(
    sample: Callable[..., Any],
    log_prob: Callable[..., Any] | None = None,
    gradients: Callable[..., Sequence[Any]] | None = None,
    name: str | None = None,
    discrete: bool = False,
    information: Callable[..., Mapping[tuple[str, str], Any]] | None = None,
    constraint: Bijection | None = None,
) -> Any:
    """A distribution from a sampler and a log density, both of them elementwise.

        gumbel = distribution(
            sample=lambda rng, loc, scale, size: rng.gumbel(loc, scale, size),
            log_prob=lambda x, loc, scale: ...,
            name="gumbel",
        )

    or, with `@distribution(sample=...)`, above the definition of the log density. The arguments of
    the log density after the value, and their defaults, become its arguments. Both
    functions are given floats or arrays of floats that broadcast; they must refuse an argument
    outside its domain themselves.

    Args:
        sample: `sample(rng, *args, size)` draws an array of the shape `size`.
        log_prob: `log_prob(x, *args)` is the log density of each entry, -inf where there is none.
            Unless `gradients` is given it is differentiated, and so is written in functions of
            numpy; in `np.where(c, f(x), g(x))` neither f(x) nor g(x) may be NaN.
        gradients: `gradients(x, *args)` is a tuple of derivatives of `log_prob`, by the value and
            by each argument; None where there is none. It is used as it is, and is differentiated
            for a second derivative. `has_gradients` does not know where it is None.
        name: The name in messages; by default the name of `log_prob`.
        discrete: Whether the values are whole numbers, by which there is no derivative.
        information: `information(*args)` is the expected information of each entry by pairs of
            names, such as {("loc", "loc"): 1.0 / scale**2, ...}; a pair that is left out has none.
            Without it there is no expected information.
        constraint: The set of the values, such as `positive` or `interval(low, high)`; None for all
            real numbers. `hmc` and other samplers that follow gradients move a value in the
            unconstrained coordinates of this set.

    Raises:
        ArgumentError: `sample`, `log_prob` or `gradients` is not a function of these arguments.
        ShapeError: when it is used and `sample` or `log_prob` returns another shape.
        DistributionError: when it is used and `log_prob` is NaN.
    """
    refuse_other_functions(
        "sample of @distribution(sample=...)", sample, "rng", partly=True, size=None
    )
    if log_prob is None:
        return lambda function: distribution(
            sample, function, gradients, name, discrete, information, constraint
        )
    refuse_other_functions("log_prob of a distribution", log_prob, "x", partly=True)
    region = _region_of(constraint, discrete)
    arguments = _arguments(log_prob)
    names = list(arguments)
    refuse_other_functions(
        "sample of a distribution", sample, ", ".join(["rng", *names]), size=None
    )
    if gradients is not None:
        of = ", ".join(["x", *names])
        refuse_other_functions("gradients of a distribution", gradients, of)
    called = name or getattr(log_prob, "__name__", "distribution")
    density = _Density(called, names, log_prob, discrete)
    made = _declare(
        called,
        names,
        lambda rng, *args, size: np.asarray(sample(rng, *args, size=size)),
        density.terms_by_tape if gradients is None else density.terms_by_hand(gradients),
        discrete,
        getattr(log_prob, "__module__", __name__),
        log_prob.__doc__ or f"A user's distribution, {called}({', '.join(names)}).",
        {n: value for n, value in arguments.items() if value is not inspect.Parameter.empty},
        statistics=None if information is None else _statistics(called, names, information),
        region=region,
    )
    made.__wrapped__ = log_prob
    return made


def _statistics(called: str, names: list[str], information: Callable[..., Any]) -> Statistics:
    """The statistics of a distribution whose information is given by pairs of names."""

    def entries(*args: Any) -> dict[Pair, Any]:
        found = {}
        for pair, value in information(*args).items():
            if not isinstance(pair, tuple) or len(pair) != 2 or not {*pair} <= {*names}:
                raise ArgumentError(
                    f"information of {called} is by pairs of its arguments {', '.join(names)}, "
                    f"got {pair!r}"
                )
            i, j = sorted(map(names.index, pair))
            found[i, j] = value
        return found

    return Statistics(information=by_entries(entries))


def _region_of(constraint: Any, discrete: bool) -> RegionOf | None:
    """The region of the values in a constraint on each entry, None for no constraint."""
    if constraint is None:
        return None if discrete else always(WHOLE_LINE)
    if discrete:
        raise ArgumentError("discrete values have no constraint; leave constraint out")
    if not hasattr(constraint, "log_det_jacobian") or constraint.rank:
        raise ArgumentError(
            "constraint of a distribution is one on each entry, such as positive or "
            f"interval(low, high), got {brief(constraint)}"
        )
    return always(Through(constraint))


def _scipy_region(family: Any) -> RegionOf:
    """The region of a continuous family of scipy, by its bounds at these arguments."""

    def ends(shapes: Sequence[Any]) -> tuple[Any, Any]:
        return tuple(map(operand, family.support(*shapes)))  # type: ignore[return-value]

    def bound(end: Any, loc: Any, scale: Any) -> Any:
        finite = np.isfinite(end)
        at = loc + scale * np.where(finite, end, 0.0)
        return np.where(finite, at, end) if np.any(finite) else end

    def region(*args: Any) -> Region:
        *shapes, loc, scale = args
        plain = [raw(a) for a in shapes]
        low, high = ends(plain)
        if any(type(a) is Box for a in shapes):
            near = ends([a * (1.0 + 1e-6) for a in plain])
            if not np.array_equal((low, high), near):
                raise no_region(
                    family.name, "its bounds move with a shape that depends on a choice"
                )
        return Between(bound(low, loc, scale), bound(high, loc, scale))

    return region


def _arguments(log_prob: Callable[..., Any]) -> dict[str, Any]:
    """The arguments after the value, and their defaults."""
    places = list(inspect.signature(log_prob).parameters.values())
    if not places or any(
        p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in places
    ):
        raise ArgumentError(
            "log_prob of a distribution takes the value and then each argument by name, as in "
            f"log_prob(x, mu, std); got {inspect.signature(log_prob)}"
        )
    if any(p.name == "size" for p in places):
        raise ArgumentError(
            "size asks every distribution for several draws; name that argument of log_prob "
            "something else"
        )
    return {p.name: p.default for p in places[1:]}


@explained
def from_scipy(
    family: Any, *, gradients: Callable[..., Sequence[Any]] | None = None
) -> Distribution:
    """A distribution of `scipy.stats`, such as `from_scipy(scipy.stats.gumbel_r)`.

    Its arguments are as in `scipy.stats`: the shapes, then loc=0 and, if it is continuous,
    scale=1. Unless they are given, its gradients are central differences with a step of 6e-6, or of
    6e-6 times the value that is moved if that is larger. They are wrong where the log density
    curves within one step, as for a scale below 1e-3: give `gradients` there. These cannot be
    differentiated again.

    Args:
        family: A distribution over numbers, without its arguments.
        gradients: `gradients(x, *args)`, as for `distribution`.

    Raises:
        ArgumentError: `family` is not a distribution over numbers, or has its arguments already.
    """
    discrete = not hasattr(family, "logpdf")
    log_prob = getattr(family, "logpmf" if discrete else "logpdf", None)
    if log_prob is None or not hasattr(family, "numargs"):
        raise ArgumentError(
            "from_scipy takes a distribution over numbers such as scipy.stats.gumbel_r, without "
            f"its arguments; got {family!r}"
        )
    shapes = [n.strip() for n in family.shapes.split(",")] if family.shapes else []
    defaults = {"loc": 0.0} if discrete else {"loc": 0.0, "scale": 1.0}
    names = [*shapes, *defaults]
    name = family.name

    def draw(rng: Any, *args: Any, size: tuple[int, ...]) -> Any:
        if discrete:  # some samplers take counts as integers only
            counts = [np.all((a == np.floor(a)) & (np.abs(a) < 2.0**53)) for a in args]
            args = tuple(np.int64(a) if c else a for a, c in zip(args, counts, strict=True))
        try:
            return np.asarray(family.rvs(*args, size=size, random_state=rng))
        except ValueError as error:
            raise DistributionError(
                f"scipy's {name} refuses {_in_words(names, args)}: {error}"
            ) from None

    how = "given" if gradients else "numerical, by central differences"
    density = _Density(name, names, log_prob, discrete)
    return _declare(
        name,
        names,
        draw,
        density.terms_by_hand(gradients or density.numerical_gradients),
        discrete,
        calling_module(),
        f"{name} of scipy.stats, {name}({', '.join(names)}). Its gradients are {how}.",
        defaults,
        "" if gradients else " with numerical gradients",
        region=None if discrete else _scipy_region(family),
    )


def _declare(
    name: str,
    arguments: Iterable[str],
    draw: Callable[..., Any],
    terms: Callable[..., Terms],
    discrete: bool,
    module: str,
    doc: str,
    defaults: dict[str, Any],
    note: str = "",
    statistics: Statistics | None = None,
    region: RegionOf | None = None,
) -> Distribution:
    """A distribution, pickled by its name in `module`."""

    def drawn(rng: Any, *args: Any, size: tuple[int, ...]) -> Any:
        value = draw(rng, *args, size=size)
        if value.shape != size:
            raise ShapeError(f"sample of {name} gave shape {value.shape} for size {size}")
        if not np.all(value == (np.floor(value) if discrete else value)):
            numbers = "whole numbers" if discrete else "numbers"
            raise DistributionError(f"sample of {name} gives {numbers}, got {value!r}")
        return value.astype(np.int64 if discrete else np.float64)

    drawn.__module__ = module
    kind = whole if discrete else real_number
    declared = Declaration(
        name=name,
        arguments=dict.fromkeys(arguments, _any),
        kind=kind,
        draw=drawn,
        terms=terms,
        defaults=defaults,
        note=note,
        statistics=statistics,
        region=region,
        support=f"{kind.support} to which its log_prob gives a density",
    )
    made = Distribution(declared)
    made.__doc__ = doc  # as its author wrote it
    return made


def _in_words(names: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{n}={raw(v)!r}" for n, v in zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class _Density:
    """A user's log density, and the ways to differentiate it."""

    name: str
    arguments: list[str]
    log_prob: Callable[..., Any]
    discrete: bool

    @property
    def names(self) -> list[str]:
        return ["the value", *self.arguments]

    def checked(self, *values: Any) -> Any:
        """The log density, if it is one number for each entry."""
        log_p = self.log_prob(*values)
        batch = np.broadcast_shapes(*map(shape_of, values))
        if shape_of(log_p) != batch:
            raise ShapeError(
                f"log_prob of {self.name} has shape {shape_of(log_p)} for a batch of shape "
                f"{batch}; return the log density of each entry, not their sum"
            )
        if np.any(np.isnan(raw(log_p))):
            at = f" at {_in_words(self.names, values)}" if not batch else ""
            raise DistributionError(
                f"log_prob of {self.name} is NaN{at}; check its arguments, and return -np.inf "
                "where there is no density"
            )
        return log_p if batch else operand(log_p)

    def pullbacks(self, pull: Callable[[Any, int], Any]) -> Sequence[Pullback | None]:
        """A pullback by the value, unless it is discrete, and by each argument."""
        each = [lambda g, i=i: pull(g, i) for i in range(len(self.names))]
        return [None, *each[1:]] if self.discrete else each

    # --- By automatic differentiation

    def terms_by_tape(self, *values: Any) -> Terms:
        """Terms whose gradients come from a tape of their own, written when one is asked for."""
        log_p = self.checked(*values)
        batch = shape_of(log_p)

        @once
        def back(g: Any) -> list[Any]:
            with Tape() as tape:
                leaves = [tape.leaf(v) for v in values]
                boxes = [values[0], *leaves[1:]] if self.discrete else leaves
                result = self._traced(boxes, log_p)
                if type(result) is not Box or result.tape is not tape:
                    return [None] * len(leaves)
                seed = np.broadcast_to(g, batch) if batch else g
                return tape.gradients([(result, seed)], leaves)

        def pull(g: Any, i: int) -> Any:
            found = back(g)[i]
            return 0.0 * values[i] if found is None else found

        return log_p, self.pullbacks(pull)

    def _traced(self, boxes: Sequence[Any], log_p: Any) -> Any:
        """The log density of traced values, if it equals the log density of their numbers."""
        traced = operand(self.log_prob(*boxes))
        now, then = np.asarray(plain(raw(traced))), np.asarray(plain(raw(log_p)))
        if now.shape != then.shape or not np.allclose(now, then, 1e-6, 1e-6, equal_nan=True):
            raise TracedValueError(
                f"log_prob of {self.name} gives another density while it is differentiated: it "
                "asks for the type of a value, catches an error or changes an array; write "
                "functions of numpy, or give gradients="
            )
        return traced

    # --- By gradients that are given

    def terms_by_hand(self, gradients: Callable[..., Sequence[Any]]) -> Callable[..., Terms]:
        """Terms whose gradients are given."""

        def pullbacks(
            values: Sequence[Any], log_p: Any, _: Any = None
        ) -> Sequence[Pullback | None]:
            batch = shape_of(log_p)
            found = once(lambda _: self._derivatives(gradients(*values), batch))

            def pull(g: Any, i: int) -> Any:
                d = found(None)[i]
                d = d() if callable(d) else d
                if d is None:
                    raise DistributionError(
                        f"{self.name} has no derivative by {self.names[i]}, which depends here on "
                        "a parameter, on an argument whose gradient is wanted, or on a choice; "
                        "gradients gives None for it"
                    )
                each = g * d
                each = np.broadcast_to(each, batch) if shape_of(each) != batch else each
                return sum_to(each, shape_of(values[i]))

            return self.pullbacks(pull)

        def terms(*values: Any) -> Terms:
            log_p = recorded(f"log_prob of {self.name}", self.checked, pullbacks, values)
            return log_p, pullbacks(values, log_p)

        return terms

    def _derivatives(self, given: Any, batch: tuple[int, ...]) -> Sequence[Any]:
        """Derivatives that are given, if there is one for each name and its shape broadcasts."""
        each = f"each of {', '.join(self.names)}, None where there is no derivative"
        what = f"the result of gradients of {self.name}"
        given = one_for_each(given, len(self.names), what, each, ArgumentError)
        for label, d in zip(self.names, given, strict=True):
            shape = () if d is None or callable(d) else shape_of(d)
            if len(shape) > len(batch) or any(
                n not in (1, m) for n, m in zip(shape[::-1], batch[::-1], strict=False)
            ):
                raise ShapeError(
                    f"the gradient of {self.name} by {label} has shape {shape} for a batch of "
                    f"shape {batch}; return the derivative for each entry"
                )
        return given

    # --- By differences

    def numerical_gradients(self, *values: Any) -> Sequence[Any]:
        """Central differences; one-sided at the end of a support, and 0 outside."""
        if any(type(v) is Box for v in values):
            raise DistributionError(
                f"the gradients of {self.name} are numerical and have no derivatives; "
                f"{_GIVE_GRADIENTS}"
            )
        each = [lambda i=i: self._difference(values, i) for i in range(len(values))]
        return [None, *each[1:]] if self.discrete else each

    def _difference(self, values: Sequence[Any], i: int) -> Any:
        def moved_to(v: Any) -> Any:
            return np.asarray(self.log_prob(*values[:i], v, *values[i + 1 :]))

        middle = np.asarray(self.log_prob(*values))
        at = np.asarray(values[i], dtype=float)
        step = STEP * np.maximum(np.abs(at), 1.0)
        up, down = at + step, at - step
        above, below = moved_to(up), moved_to(down)
        rises, falls, there = np.isfinite(above), np.isfinite(below), np.isfinite(middle)
        if np.any(there & ~rises & ~falls):
            raise DistributionError(
                f"{self.name} has no numerical derivative by {self.names[i]}: it has no density "
                f"on either side; {_GIVE_GRADIENTS}"
            )
        top, bottom = np.where(rises, above, middle), np.where(falls, below, middle)
        width = np.where(rises, up, at) - np.where(falls, down, at)
        return np.where(there, (top - bottom) / np.where(there, width, 1.0), 0.0)
