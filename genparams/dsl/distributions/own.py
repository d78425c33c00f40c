"""A user's own distributions: a sampler and a log density, and their gradients if need be."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, overload

from genparams.autodiff import Box, Tape, np, operand, raw, shape_of, sum_to, unbox
from genparams.dsl.distributions.base import Distribution, Terms, once
from genparams.dsl.distributions.domains import Domain, real_number, whole
from genparams.errors import ArgumentError, DistributionError, ShapeError, TracedValueError
from genparams.mistakes import explained, refuse_other_functions
from genparams.types import calling_module

STEP = float(np.finfo(float).eps) ** (1.0 / 3.0)
"""The step of a central difference, relative to what is moved."""

_any = Domain("a number", None)
_GIVE_GRADIENTS = "give gradients=, written in functions of numpy"


@overload
def distribution(
    sample: Callable[..., Any],
    log_prob: Callable[..., Any],
    gradients: Callable[..., Sequence[Any]] | None = None,
    name: str | None = None,
    discrete: bool = False,
) -> Distribution: ...
@overload
def distribution(
    sample: Callable[..., Any],
    log_prob: None = None,
    gradients: Callable[..., Sequence[Any]] | None = None,
    name: str | None = None,
    discrete: bool = False,
) -> Callable[[Callable[..., Any]], Distribution]: ...
@explained
def distribution(
    sample: Callable[..., Any],
    log_prob: Callable[..., Any] | None = None,
    gradients: Callable[..., Sequence[Any]] | None = None,
    name: str | None = None,
    discrete: bool = False,
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
            numpy; `np.where(c, f(x), g(x))` needs an x that is safe for both.
        gradients: `gradients(x, *args)` is a tuple of derivatives of `log_prob`, by the value and
            by each argument; None where there is none. It is used as it is, and itself
            differentiated for a second derivative. `has_gradients` does not know where it is None.
        name: What it is called in messages; by default the name of `log_prob`.
        discrete: Whether its values are whole numbers, by which there is no derivative.

    Raises:
        ArgumentError: what is given are not functions of these arguments.
    """
    refuse_other_functions(
        "sample of @distribution(sample=...)", sample, "rng", partly=True, size=None
    )
    if log_prob is None:
        return lambda function: distribution(sample, function, gradients, name, discrete)
    refuse_other_functions("log_prob of a distribution", log_prob, "x", partly=True)
    arguments = _arguments(log_prob)
    names = list(arguments)
    refuse_other_functions(
        "sample of a distribution", sample, ", ".join(["rng", *names]), size=None
    )
    if gradients is not None:
        of = ", ".join(["x", *names])
        refuse_other_functions("gradients of a distribution", gradients, of)
    called = name or getattr(log_prob, "__name__", "distribution")
    made = _made(
        called,
        dict.fromkeys(names, _any),
        lambda rng, *args, size: np.asarray(sample(rng, *args, size=size)),
        log_prob,
        gradients,
        discrete,
        log_prob.__doc__ or f"A distribution of its own, {called}({', '.join(names)}).",
        getattr(log_prob, "__module__", __name__),
        {n: value for n, value in arguments.items() if value is not inspect.Parameter.empty},
    )
    made.__wrapped__ = log_prob
    return made


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
    scale=1. Its gradients are numerical unless given: central differences with a step of 6e-6 times
    the size of what is moved, right to about ten digits of the log density. They cannot be
    differentiated again.

    Args:
        family: The distribution itself, not one with its arguments given.
        gradients: `gradients(x, *args)`, as for `distribution`.

    Raises:
        ArgumentError: it is none, or one of vectors, or has its arguments already.
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
            args = tuple(np.int64(a) if _are_counts(a) else a for a in args)
        try:
            return np.asarray(family.rvs(*args, size=size, random_state=rng))
        except ValueError as error:
            raise DistributionError(
                f"scipy's {name} refuses {_named(names, args)}: {error}"
            ) from None

    how = "given" if gradients else "numerical, by central differences"
    return _made(
        name,
        dict.fromkeys(names, _any),
        draw,
        log_prob,
        gradients or _numerical(name, names, log_prob, discrete),
        discrete,
        f"{name} of scipy.stats, {name}({', '.join(names)}). Its gradients are {how}.",
        calling_module(),
        defaults,
        "" if gradients else " with numerical gradients",
    )


def _are_counts(a: Any) -> bool:
    return bool(np.all((a == np.floor(a)) & (np.abs(a) < 2.0**53)))


def _made(
    name: str,
    arguments: dict[str, Domain],
    draw: Callable[..., Any],
    log_prob: Callable[..., Any],
    gradients: Callable[..., Sequence[Any]] | None,
    discrete: bool,
    doc: str,
    module: str,
    defaults: dict[str, Any],
    note: str = "",
) -> Distribution:
    """A distribution, known for pickling by its name in `module`."""
    names = ["the value", *arguments]
    if gradients is None:
        terms = _by_tape(name, names, log_prob, discrete)
    else:
        terms = _by_hand(name, names, log_prob, gradients, discrete)

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
    made = Distribution(
        name,
        arguments,
        kind,
        drawn,
        terms,
        defaults=defaults,
        doc=doc,
        note=note,
        within=f"{kind.words} to which its log_prob gives a density",
    )
    made.__doc__ = doc  # the words of its author
    return made


def _named(names: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{n}={raw(v)!r}" for n, v in zip(names, values, strict=True))


def _checked(name: str, names: Sequence[str], log_p: Any, values: Sequence[Any]) -> Any:
    """A log density, if it is one number for each entry."""
    batch = np.broadcast_shapes(*map(shape_of, values))
    if shape_of(log_p) != batch:
        raise ShapeError(
            f"log_prob of {name} has shape {shape_of(log_p)} for a batch of shape {batch}; "
            "return the log density of each entry, not their sum"
        )
    if np.any(np.isnan(raw(log_p))):
        at = f" at {_named(names, values)}" if not batch else ""
        raise DistributionError(
            f"log_prob of {name} is NaN{at}; check its arguments, and return -np.inf where "
            "there is no density"
        )
    return log_p if batch or type(log_p) is Box else float(log_p)


def _the_same(name: str, traced: Any, log_p: Any) -> Any:
    """What a log density returns for traced values, if it is what it returned for numbers."""
    traced = operand(traced)
    now, then = np.asarray(raw(traced)), np.asarray(raw(log_p))
    if now.shape != then.shape or not np.allclose(now, then, 1e-6, 1e-6, equal_nan=True):
        raise TracedValueError(
            f"log_prob of {name} gives another density while it is differentiated: it asks for the "
            "type of a value, catches an error or changes an array; write functions of numpy, or "
            "give gradients="
        )
    return traced


def _by_tape(
    name: str, names: Sequence[str], log_prob: Callable[..., Any], discrete: bool
) -> Callable[..., Terms]:
    """Terms whose gradients come from a tape of their own, written when one is asked for."""

    def terms(*values: Any) -> Terms:
        log_p = _checked(name, names, log_prob(*values), values)
        batch = shape_of(log_p)

        @once
        def back(g: Any) -> list[Any]:
            with Tape() as tape:
                leaves = [tape.leaf(v) for v in values]
                boxes = [values[0], *leaves[1:]] if discrete else leaves
                result = _the_same(name, log_prob(*boxes), log_p)
                if type(result) is not Box or result.tape is not tape:
                    return [None] * len(leaves)
                seed = np.broadcast_to(g, batch) if batch else g
                return tape.gradients([(result, seed)], leaves)

        def pullback(i: int) -> Callable[[Any], Any]:
            def pull(g: Any) -> Any:
                found = back(g)[i]
                return 0.0 * values[i] if found is None else found

            return pull

        return log_p, [None if discrete and not i else pullback(i) for i in range(len(values))]

    return terms


def _by_hand(
    name: str,
    names: Sequence[str],
    log_prob: Callable[..., Any],
    gradients: Callable[..., Sequence[Any]],
    discrete: bool,
) -> Callable[..., Terms]:
    """Terms whose gradients are given."""

    def derivatives(values: Sequence[Any], batch: tuple[int, ...]) -> list[Any]:
        given = gradients(*values)
        if not isinstance(given, (tuple, list)) or len(given) != len(values):
            found = len(given) if isinstance(given, (tuple, list)) else repr(given)
            raise ArgumentError(
                f"gradients of {name} returns a tuple of {len(values)}, by {', '.join(names)}, "
                f"with None where there is none; got {found}"
            )
        for label, d in zip(names, given, strict=True):
            shape = () if d is None or callable(d) else shape_of(d)
            if len(shape) > len(batch) or any(
                n not in (1, m) for n, m in zip(shape[::-1], batch[::-1], strict=False)
            ):
                raise ShapeError(
                    f"the gradient of {name} by {label} has shape {shape} for a batch of shape "
                    f"{batch}; return the derivative for each entry"
                )
        return list(given)

    def evaluated(values: Sequence[Any]) -> Any:
        """The log density, which for boxes takes its derivatives from `gradients` too."""
        tape, inner = unbox(values)
        if tape is None:
            return _checked(name, names, log_prob(*inner), inner)
        log_p = evaluated(inner)
        pulls = pullbacks(inner, shape_of(log_p))
        edges = [
            (v, pull)
            for v, pull in zip(values, pulls, strict=True)
            if type(v) is Box and v.tape is tape and pull is not None
        ]
        return tape.record(log_p, edges)

    def pullbacks(values: Sequence[Any], batch: tuple[int, ...]) -> list[Any]:
        found = once(lambda _: derivatives(values, batch))

        def pullback(i: int) -> Callable[[Any], Any]:
            def pull(g: Any) -> Any:
                d = found(None)[i]
                d = d() if callable(d) else d
                if d is None:
                    raise DistributionError(
                        f"{name} has no derivative by {names[i]}, which depends here on a "
                        "parameter, on an argument whose gradient is wanted, or on a choice; "
                        "gradients gives None for it"
                    )
                each = g * d
                each = np.broadcast_to(each, batch) if shape_of(each) != batch else each
                return sum_to(each, shape_of(values[i]))

            return pull

        return [None if discrete and not i else pullback(i) for i in range(len(values))]

    def terms(*values: Any) -> Terms:
        log_p = evaluated(values)
        return log_p, pullbacks(values, shape_of(log_p))

    return terms


def _numerical(
    name: str, names: Sequence[str], log_prob: Callable[..., Any], discrete: bool
) -> Callable[..., Sequence[Any]]:
    """Central differences, each to be computed when asked for.

    They are one-sided at the end of a support, and 0 outside.
    """

    def gradients(*values: Any) -> Sequence[Any]:
        if any(type(v) is Box for v in values):
            raise DistributionError(
                f"the gradients of {name} are numerical and have no derivatives; {_GIVE_GRADIENTS}"
            )

        def by(i: int) -> Any:
            middle = np.asarray(log_prob(*values))
            at = np.asarray(values[i], dtype=float)
            step = STEP * np.maximum(np.abs(at), 1.0)
            up, down = at + step, at - step
            above = np.asarray(log_prob(*values[:i], up, *values[i + 1 :]))
            below = np.asarray(log_prob(*values[:i], down, *values[i + 1 :]))
            rises, falls = np.isfinite(above), np.isfinite(below)
            there = np.isfinite(middle)
            if np.any(there & ~rises & ~falls):
                raise DistributionError(
                    f"{name} has no numerical derivative by {['the value', *names][i]}: it has no "
                    f"density on either side; {_GIVE_GRADIENTS}"
                )
            top, bottom = np.where(rises, above, middle), np.where(falls, below, middle)
            width = np.where(rises, up, at) - np.where(falls, down, at)
            return np.where(there, (top - bottom) / np.where(there, width, 1.0), 0.0)

        return [None if discrete and not i else lambda i=i: by(i) for i in range(len(values))]

    return gradients
