"""Distributions: generative functions with one choice.

A distribution is data and three functions:

    draw      a value, given a generator, the arguments and the shape of the batch
    terms     the log density of each member of the batch and, for the value and every argument,
              a pullback
    support   where the density is not zero

A pullback carries a cotangent of the batch of log densities (an array of the batch's shape, or 1.0
for ones) to one argument: it is the closed-form gradient, and only those that are asked for are
computed. Summed over the batch this is one node on the tape, however large the choice.
"""

import functools
import inspect
import math
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any
from weakref import WeakValueDictionary

from genparams.autodiff import (
    Box,
    holds_box,
    np,
    raw,
    refusal,
    shape_of,
    total,
    unbox,
)
from genparams.dsl.distributions.domains import (
    Domain,
    Kind,
    at_index,
    real_number,
    shown,
    taken,
)
from genparams.dsl.execution import Rng, seeded
from genparams.dsl.gen import GenerativeFunction
from genparams.dsl.interpreter import Call, Run
from genparams.errors import (
    ArgumentError,
    DistributionError,
    InvalidValue,
    ShapeError,
    TracedValueError,
)
from genparams.mistakes import answering, instead
from genparams.numeric import quiet, scalars
from genparams.text import brief
from genparams.types import Address, P, R, Size, global_name

BLOCK = 32768
"""Numbers in one temporary of a block: a handful of them stay in a core's cache."""

_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD
_BY_NAME = inspect.Parameter.KEYWORD_ONLY

Pullback = Callable[[Any], Any]
Terms = tuple[Any, Sequence[Pullback | None]]


def once(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f` that remembers its last argument, for what several pullbacks share."""
    last: list[Any] = []

    def remembered(g: Any) -> Any:
        if not last or last[0] is not g:
            last[:] = g, f(g)
        return last[1]

    return remembered


def is_one(g: Any) -> bool:
    """Whether a cotangent is 1.0, standing for ones."""
    return type(g) is float and g == 1.0


def plain(x: Any) -> Any:
    """A value, or a tuple of them, without boxes."""
    return tuple(map(plain, x)) if type(x) is tuple else raw(x)


def made_of_parts(make: Callable[..., Any]) -> Callable[..., Any]:
    """Make one distribution of the same parts as long as it lives; it pickles as them.

    The last few stay alive, so that a call in a loop makes none.
    """
    living: WeakValueDictionary[tuple, Any] = WeakValueDictionary()

    @functools.lru_cache(maxsize=256)
    @functools.wraps(make)
    def made(*parts: Any) -> Any:
        found = living.get(parts)
        if found is None:
            found = living[parts] = make(*parts)
            found.recipe = made, parts
        return found

    return made


_OF_ARRAYS = "write log_prob(x, *args), its logarithm, or log_probs for one of each entry"


@answering(
    pdf=_OF_ARRAYS,
    logpdf=_OF_ARRAYS,
    pmf=_OF_ARRAYS,
    logpmf=_OF_ARRAYS,
    rvs="write sample(*args, rng=...)",
)
class SingleChoice(GenerativeFunction[P, R]):
    """A generative function with one choice, its value: a distribution, or a product of several."""

    arguments: dict[str, Domain]
    kind: Kind
    verbatim: bool = False
    """Whether arguments arrive as they were given, and not as floats and arrays of floats."""
    recipe: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
    """What makes it anew: a function and its arguments."""

    @abstractmethod
    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        """A value that cannot be written to, given arguments in order."""

    @abstractmethod
    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        """A value given from outside, in this distribution's type and shape.

        Raises:
            ShapeError: it does not have the shape of a draw.
        """

    @abstractmethod
    def fitted(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        """A value outside a model, broadcast with the arguments unless there is a size.

        Raises:
            ShapeError: they do not broadcast.
        """

    @abstractmethod
    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        """log p(x), summed over the batch: a float, or one node on the tape of its boxes."""

    @abstractmethod
    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        """log p of each entry of the batch: an array, or one node on the tape of its boxes."""

    @property
    @abstractmethod
    def support(self) -> str:
        """The values that have a density, in words."""

    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        return run.choice(self, call.args, call.options, key)

    def complete(self, args: tuple[Any, ...]) -> Call[R]:
        if len(args) < len(self.arguments):
            return self(*args)  # pyright: ignore[reportCallIssue]
        return self._whole(args)

    def operands(self, args: Sequence[Any]) -> list[Any]:
        """Arguments from outside as floats, arrays of floats and boxes.

        Raises:
            DistributionError: one is a masked array.
            ArgumentError: one does not consist of numbers.
        """
        for a in args:
            if type(a) is not float and type(a) is not Box:
                break
        else:
            return list(args)
        name = self.__name__
        return [taken(name, n, a) for n, a in zip(self.arguments, args, strict=True)]

    @property
    def has_gradients(self) -> Mapping[str, bool]:
        """Whether the log density has a gradient by the value, `x`, and by each argument."""
        each = {name: domain.smooth for name, domain in self.arguments.items()}
        return {"x": self.kind.continuous, **each}

    def log_prob(self, x: Any, *args: P.args, **named: P.kwargs) -> Any:
        """log p(x), summed over the batch; -inf outside the support.

        The value and the arguments broadcast. The gradient flows through all that are traced.
        """
        return self(*args, **named).log_prob(x)

    def log_probs(self, x: Any, *args: P.args, **named: P.kwargs) -> Any:
        """log p of each entry of the batch, in the shape of the batch."""
        return self(*args, **named).log_probs(x)

    def sample(self, *args: Any, size: Size = None, rng: Rng = None, **named: Any) -> Any:
        """Draw a value; `rng` is a generator, a seed, or None for fresh randomness."""
        call = self(*args, size=size, **named)  # pyright: ignore[reportCallIssue]
        return call.sample(rng=rng)

    def log_prob_called(self, x: Any, call: Call[Any]) -> Any:
        """The work of `Call.log_prob`."""
        operands = self.operands(call.args)
        return self.log_prob_of(self.fitted(x, operands, call.options), operands)

    def log_probs_called(self, x: Any, call: Call[Any]) -> Any:
        """The work of `Call.log_probs`."""
        operands = self.operands(call.args)
        return self.log_probs_of(self.fitted(x, operands, call.options), operands)

    def sample_called(self, call: Call[Any], size: Size, rng: Rng) -> Any:
        """The work of `Call.sample`."""
        if size is not None and call.options is not None:
            raise ArgumentError(f"{call!r} has size {call.options!r} already; give one of the two")
        size = call.options if size is None else size
        operands = self.operands(call.args)
        if any(map(holds_box, operands)):
            raise refusal(f"{self.__name__}(...).sample()", 'call @ "name"')
        return self.draw(seeded(rng), operands, size)

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        """Why log p(x) is not finite: how many entries, the first of them, and the support."""
        x, args = plain(x), [raw(a) for a in args]
        log_probs = np.asarray(self.log_probs_of(x, args))
        bad = np.argwhere(~np.isfinite(log_probs))
        about = f"the support of {self.__name__} is {self.support}"
        if not len(bad):
            return f"every entry has a finite log probability, but their sum overflows; {about}"
        at = tuple(int(i) for i in bad[0])
        said = self.entry_in_words(x, args, at, len(bad))
        levels = " or ".join(sorted({repr(float(v)) for v in log_probs[~np.isfinite(log_probs)]}))
        if not log_probs.ndim:
            return f"{said}, and its log probability is {levels}; {about}"
        have = "entries has" if len(bad) == 1 else "entries have"
        return f"{len(bad)} of {log_probs.size} {have} log probability {levels}: {said}; {about}"

    def entry_in_words(self, x: Any, args: Sequence[Any], at: tuple[int, ...], count: int) -> str:
        """What the entry of a value at an index of the batch is: the first of `count`."""
        return f"the value is {x!r}" if not at else f"the first is{at_index(at)}"

    def __reduce__(self) -> Any:
        """Pickled by what it was made of, or by its name in the module of its functions."""
        return self.recipe or global_name(self, self.__module__)

    def _whole(self, args: tuple[Any, ...], size: Size = None) -> Call[R]:
        """A call with every argument, in order."""
        if len(args) != len(self.arguments):
            raise self._wrong_arguments(len(args))
        return Call(self, args, size)

    def _wrong_arguments(self, count: int, named: Iterable[str] = ()) -> ArgumentError:
        also = f" and {', '.join(named)}" if named else ""
        hint = ""
        if count > len(self.arguments):
            hint = "; several draws are asked for by size=, and the address comes after @"
        return ArgumentError(f"write {self._forms()}; got {count} by position{also}{hint}")

    def _forms(self) -> str:
        """How it is called, in every way."""
        return repr(self)


def no_call(given: Any) -> str:
    """What was given in place of a call, in a sentence."""
    if isinstance(given, SingleChoice):
        return f"{given.__name__} without its arguments"
    if isinstance(given, Call):
        return repr(given)
    number = isinstance(given, (Real, np.ndarray, Box))
    return f"{brief(given)}{' (a call inside another takes no @)' if number else ''}"


class _Signature:
    """`__signature__` of a distribution, made of its names when `inspect.signature` asks for it."""

    def __get__(self, made: "Distribution | None", owner: type) -> inspect.Signature:
        if made is None or not all(map(str.isidentifier, made.arguments)):
            raise AttributeError("__signature__")
        places = [
            inspect.Parameter(
                name,
                _BY_PLACE if i < made._positional else _BY_NAME,
                default=made._defaults.get(name, inspect.Parameter.empty),
            )
            for i, name in enumerate(made.arguments)
        ]
        return inspect.Signature([*places, inspect.Parameter("size", _BY_NAME, default=None)])


def _documented(doc: str, name: str, arguments: dict[str, Domain], within: str) -> str:
    """A docstring, with what its arguments may be, what a value is, and the errors."""
    what = {0: "", 1: "vectors, along the last axis; ", 2: "matrices, along the last two axes; "}
    rules = [f"    {n}: {what[min(d.rank, 2)]}{d.rule}." for n, d in arguments.items()]
    return "\n".join(
        [
            inspect.cleandoc(doc),
            "",
            "All arguments broadcast; a value has the shape of the batch, or `size`.",
            "",
            f"Args of {name}:",
            *rules,
            "",
            f"Support: {within}.",
            "",
            "Raises:",
            "    DistributionError: an argument is outside its domain; a value is NaN or masked.",
            "    ShapeError: shapes do not broadcast.",
            "    ArgumentError: the number or the names of the arguments are wrong.",
        ]
    )


class Distribution(SingleChoice[P, R]):
    """A generative function with one choice, its value.

    `normal(mu, std) @ "y"` draws inside a generative function; `normal.log_prob(y, mu, std)` is its
    log density and `normal.sample(mu, std, rng=0)` draws, anywhere. All arguments broadcast: an
    array-valued choice is that many independent draws and its log probability is their sum. `size`
    asks for that many draws, as in numpy.
    """

    __wrapped__: Callable[..., Any]
    """The function that tells how it is called: its declaration, or a user's log density."""
    __signature__: Any = _Signature()

    def __init__(
        self,
        name: str,
        arguments: dict[str, Domain],
        kind: Kind,
        draw: Callable[..., Any],
        terms: Callable[..., Terms],
        density: Callable[..., tuple[Any, Sequence[Callable[[], Any] | None]]] | None = None,
        support: Callable[..., Any] | None = None,
        keywords: dict[str, Callable[..., Call[Any]]] | None = None,
        positional: int | None = None,
        joint: Callable[..., None] | None = None,
        width: int = 1,
        event: Callable[[Sequence[Any]], tuple[int, ...]] | None = None,
        defaults: dict[str, Any] | None = None,
        doc: str | None = None,
        note: str = "",
        within: str = "",
        fault: Callable[..., str] | None = None,
        single: bool = False,
    ):
        self.__name__ = name
        self.__module__ = draw.__module__
        self._note = note
        self.__doc__ = _documented(doc or "", name, arguments, within or kind.words)
        self.arguments = arguments
        self.argument_names = list(arguments)
        self.kind = kind
        self.grad_places: list[int] = []
        places = [(i, n, d) for i, (n, d) in enumerate(arguments.items()) if d.test or d.rank]
        self._domains = [place for place in places if not place[2].late]
        self._late = [place for place in places if place[2].late]
        self._draw = draw
        self.terms = terms  # also what a mixture asks of its components
        self.density = density
        self.inside = support  # tells where the density is not zero; None if it never is
        self._within = within or kind.words
        self.fault = fault  # what is wrong with one value, given its arguments
        self.single = single  # whether the sampler takes size=None for one number
        self._keywords = keywords or {}
        self._positional = len(arguments) if positional is None else positional
        self.joint = joint
        self._complete = self._positional if self._positional == len(arguments) else -1
        self._tests = [(i + 1, d.test) for i, _, d in self._domains if d.test]
        self._all_tests = [(i, d.test) for i, _, d in places if d.test]
        self.width = width  # how many numbers a temporary holds for each entry of the value
        self._event = event or (lambda args: shape_of(args[0])[-1:])  # the shape of one value
        self._defaults = defaults or {}
        self._known = [*arguments, *self._keywords, "size"]
        self._whole_form = self  # of which this is another form, such as bernoulli(logits=...)
        for form in self._keywords.values():
            if isinstance(form, Distribution):
                form._whole_form, form._known = self, self._known

    # --- calling

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        named: dict[str, Any] = kwargs
        size = named.pop("size", None) if named else None
        if not named and len(args) == self._complete:
            return Call(self, args, size)
        for keyword, alternative in self._keywords.items():
            if keyword in named:
                return alternative(*args, size=size, **named)
        names = list(self.arguments)
        for name in named:
            if name not in names:
                raise ArgumentError(
                    f"{self._forms()} has no argument {name!r}; {instead(name, self._known, named)}"
                )
        given = dict(zip(names[: self._positional], args, strict=False))
        named = {n: v for n, v in self._defaults.items() if n not in given} | named
        if (
            len(args) > self._positional
            or given.keys() & named.keys()
            or len(given) + len(named) != len(names)
        ):
            raise self._wrong_arguments(len(args), named)
        given.update(named)
        return Call(self, tuple(given[n] for n in names), size)

    # --- what the interpreter asks

    @property
    def support(self) -> str:
        """The values that have a density, in words."""
        return self._within

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        """A value that cannot be written to, given arguments in order.

        Raises:
            DistributionError: an argument is outside its domain, or the draw is no finite number.
        """
        if size is None and self.single:
            for a in args:
                if type(a) is not float:
                    break
            else:
                return self._draw_one(rng, args)
        args = [raw(a) for a in args]
        batch = self.batch_shape(args, size)
        with np.errstate(all="ignore"):
            self._check(args)
            self._check_late(args)
            value = self._drawn(rng, args, batch)
            if isinstance(value, np.ndarray) and value.ndim:
                if value.dtype.kind == "f" and not math.isfinite(value.sum()):
                    self._refuse_overflow(value, args)
                value.setflags(write=False)
                return value
        value = self.kind.convert(value)
        if value - value != 0:
            self._refuse_overflow(value, args)
        return value

    def _draw_one(self, rng: Any, args: Sequence[Any]) -> Any:
        """`draw` of a single number by single numbers, without numpy's arrays."""
        for i, test in self._all_tests:
            if not test(args[i]):
                self._check(args)
                self._check_late(args)
        if self.joint is not None:
            self.joint(*args)
        value = self._drawn(rng, args, None)
        if type(value) is not float or self.kind is not real_number:
            value = self.kind.convert(value)
        if value - value != 0:
            self._refuse_overflow(value, args)
        return value

    def _drawn(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        try:
            return self._draw(rng, *args, size=size)
        except InvalidValue:
            raise
        except (ValueError, ArithmeticError) as error:
            raise DistributionError(
                f"{self.__name__} cannot be drawn{self._given(args, ())}: {error}"
            ) from None

    def _refuse_overflow(self, value: Any, args: Sequence[Any]) -> None:
        """Raise where a draw is no finite number."""
        value = np.asarray(value)
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            at = tuple(int(i) for i in bad[0])
            here = at[: value.ndim - self.kind.rank]
            raise DistributionError(
                f"a draw of {self.__name__} is {float(value[at])}{at_index(at)}"
                f"{self._given(args, here)}: it overflows"
            )

    def _given(self, args: Sequence[Any], at: tuple[int, ...]) -> str:
        """The first few arguments at an index of the batch, as the end of a clause."""
        parts = []
        for a, (name, domain) in zip(args, self.arguments.items(), strict=True):
            shape = np.shape(a)
            batch = shape[: len(shape) - domain.rank]
            own = at[len(at) - len(batch) :] if batch else ()
            own = tuple(0 if n == 1 else i for i, n in zip(own, batch, strict=False))
            if len(own) == len(batch) and domain.rank < 2:
                parts.append(f"{name} = {shown(np.asarray(a)[own])}")
        return f", where {', '.join(parts[:4])}" if parts else ""

    def entry_in_words(self, x: Any, args: Sequence[Any], at: tuple[int, ...], count: int) -> str:
        """What the entry of a value at an index of the batch is: the first of `count`."""
        shape = np.shape(x)
        batch = shape[: len(shape) - self.kind.rank]
        one = np.asarray(x)[at[len(at) - len(batch) :]]
        if self.fault is None:
            subject = "the first" if at else "the value"
            return f"{subject} is {shown(one)}{at_index(at)}{self._given(args, at)}"
        subject = "the value"
        if at:
            subject = f"row {at[0]}" if len(at) == 1 else f"the entry{at_index(at)}"
        subject = f"the first, {subject}," if count > 1 else subject
        return f"{subject} {self.fault(one)}{self._given(args, at)}"

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        """A value given from outside, in this distribution's type and shape.

        Raises:
            ShapeError: it does not have the shape of a draw.
        """
        if type(value) is float and self.kind is real_number and size is None:
            for a in args:
                if type(a) is not float and shape_of(a):
                    break
            else:
                if value == value:
                    return value
        value = self.kind.convert(value)
        batch = self.batch_shape(args, size)
        shape = np.shape(value)
        event = self.event_shape(args)
        if shape != batch + event:
            wanted = shape[: len(shape) - len(event)]
            hint = f"; for independent draws give the call size={wanted}"
            if self.__name__.isidentifier():
                hint = f"; for independent draws write {self.__name__}(..., size={wanted})"
            raise ShapeError(
                f"a value of {self.__name__} has shape {batch + event} here, got {shape}"
                f"{hint if size is None and len(shape) > len(batch + event) else ''}"
            )
        if shape:
            value.setflags(write=False)
        return value

    def fitted(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        """A value outside a model, broadcast with the arguments unless there is a size."""
        if type(x) is not Box and (
            size is not None or (isinstance(x, (int, float)) and not any(map(shape_of, args)))
        ):
            return self.coerce(x, args, size)
        value = x if type(x) is Box else self.kind.convert(x)
        shape, event = shape_of(value), self.event_shape(args)
        batch = self.batch_shape(args, size)
        front = shape[: len(shape) - len(event)]
        try:
            if shape[len(front) :] != event:
                raise ValueError
            full = np.broadcast_shapes(batch, front) + event
            if size is not None and full != batch + event:
                raise ValueError
        except ValueError:
            raise ShapeError(
                f"a value of {self.__name__} has shape {batch + event} here, got {shape}, "
                "which does not broadcast"
            ) from None
        return value if shape == full else np.broadcast_to(value, full)

    def event_shape(self, args: Sequence[Any]) -> tuple[int, ...]:
        """The shape of one value, without the axes of the batch."""
        return self._event(args) if self.kind.rank else ()

    def batch_shape(self, args: Sequence[Any], size: Any) -> tuple[int, ...]:
        """The shape of a draw, less the axes of one value."""
        shapes = []
        for a, (name, domain) in zip(args, self.arguments.items(), strict=True):
            shape = shape_of(a)
            if len(shape) < domain.rank:
                domain.check(self.__name__, name, a)
            if shape:
                shapes.append(shape[: len(shape) - domain.rank])
        try:
            batch = np.broadcast_shapes(*shapes) if shapes else ()
            if size is None:
                return batch
            sizes = size if isinstance(size, (tuple, list)) else (size,)
            wanted = tuple(operator.index(n) for n in sizes)
            if np.broadcast_shapes(batch, wanted) != wanted:
                raise ValueError
        except (ValueError, TypeError):
            if not _is_size(size):
                raise ShapeError(
                    f"size of {self.__name__} is a whole number, at least 0, or a tuple of such "
                    f"numbers, got {brief(size)}"
                ) from None
            of = f" and size {size}" if size is not None else ""
            raise ShapeError(
                f"the arguments of {self.__name__} do not fit together: shapes "
                f"{[shape_of(a) for a in args]}{of}"
            ) from None
        return wanted

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        """log p(x), summed over the batch: a float, or one node on the tape of its boxes."""
        operands = (x, *args)
        if self.density is not None:
            tape, values = None, []  # as `unbox` gives them, if all are single numbers
            for o in operands:
                kind = type(o)
                if kind is Box and (tape is None or tape is o.tape):
                    tape, o = o.tape, o.value
                    kind = type(o)
                if kind is not float and kind is not int and kind is not bool:
                    break
                values.append(o)
            else:
                return self._of_floats(self.density, operands, tape, values)
        return self._of_arrays(operands)

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        """log p of each entry of the batch: an array, or one node on the tape of its boxes."""
        operands = (x, *args)
        if self.density is not None and not any(map(shape_of, operands)):
            return self.log_prob_of(x, args)
        tape, values = unbox(operands)
        with np.errstate(all="ignore"):
            self._check(values[1:])
            log_density, pullbacks = self.terms(*values)
            self._refuse_misfit(values, shape_of(log_density))
            if not np.all(np.isfinite(raw(log_density))):
                self._check_late(values[1:])
        if not shape_of(log_density) and type(log_density) is not Box:
            log_density = float(log_density)
        if tape is None:
            return log_density
        edges = []
        for i, o in enumerate(operands):
            if type(o) is Box and o.tape is tape:
                pull = pullbacks[i]
                if pull is None:
                    raise self._no_derivative(i)
                edges.append((o, lambda g, pull=pull: pull(g)))
        return tape.record(log_density, edges)

    @quiet
    def _of_arrays(self, operands: Sequence[Any]) -> Any:
        """`log_prob_of` for a batch or for vectors."""
        tape, values = unbox(operands)
        self._check(values[1:])
        wanted = [i for i, o in enumerate(operands) if type(o) is Box and o.tape is tape]
        log_prob, gradients = self._summed(values, wanted)
        if not math.isfinite(raw(log_prob)):
            self._check_late(values[1:])
        if tape is None:
            return log_prob
        if type(log_prob) is Box and log_prob.tape is tape:
            raise TracedValueError(
                f"the log density of {self.__name__} uses a value that is being differentiated and "
                "is none of its arguments; give it as an argument"
            )
        edges = tape.edges
        child = tape.node()
        for i, gradient in zip(wanted, gradients, strict=True):
            edges.append((child, operands[i].index, gradient))
        return Box(log_prob, tape, child)

    def _summed(self, values: Sequence[Any], wanted: list[int]) -> tuple[Any, list[Any]]:
        """The log density summed over the batch, and its gradients by the wanted values."""
        if type(values[0]) is np.ndarray and values[0].size * self.width > 2 * BLOCK:
            blocks = self._blocks(values)
            if len(blocks) > 1:
                return self._summed_by_blocks(values, wanted, blocks)
        log_density, pullbacks = self.terms(*values)
        batch = shape_of(log_density)
        self._refuse_misfit(values, batch)
        log_prob = total(log_density) if batch else log_density
        gradients = []
        for i in wanted:
            pull = pullbacks[i]
            if pull is None:
                raise self._no_derivative(i)
            gradients.append(pull(1.0))
        return log_prob if type(log_prob) is Box else float(log_prob), gradients

    def _refuse_misfit(self, values: Sequence[Any], batch: tuple[int, ...]) -> None:
        """Refuse a value of a replay that no longer has the shape of a draw."""
        shape = shape_of(values[0])
        if shape[: len(shape) - self.kind.rank] != batch:
            raise ShapeError(
                f"a value of {self.__name__} of shape {shape} does not fit the batch of shape "
                f"{batch} that its arguments have"
            )

    def _blocks(self, values: Sequence[Any]) -> list[list[Any]]:
        """The values cut along the first axis of the batch into blocks that stay in cache.

        Temporaries of a block are small enough to be used again and again, where temporaries of
        the whole would be allocated anew; that is most of the time of a large choice
        (benchmarks/step.py, logistic regression and mixture).
        """
        batch = np.shape(values[0])[: np.ndim(values[0]) - self.kind.rank]
        if any(type(v) is Box for v in values) or not batch:
            return []
        rows = max(1, BLOCK // (math.prod(batch[1:]) * self.width))
        ranks = [self.kind.rank, *(domain.rank for domain in self.arguments.values())]
        cut = [
            np.ndim(v) - rank == len(batch) and np.shape(v)[0] == batch[0]
            for v, rank in zip(values, ranks, strict=True)
        ]
        return [
            [v[start : start + rows] if c else v for v, c in zip(values, cut, strict=True)]
            for start in range(0, batch[0], rows)
        ]

    def _summed_by_blocks(
        self, values: Sequence[Any], wanted: list[int], blocks: list[list[Any]]
    ) -> tuple[float, list[Any]]:
        parts = [self._summed(block, wanted) for block in blocks]
        gradients = []
        for place, i in enumerate(wanted):
            pieces = [g[place] for _, g in parts]
            cut = blocks[0][i] is not values[i]
            gradients.append(np.concatenate(pieces) if cut else sum(pieces[1:], pieces[0]))
        return sum(log_prob for log_prob, _ in parts), gradients

    def _of_floats(
        self, density: Callable, operands: Sequence[Any], tape: Any, values: Sequence[Any]
    ) -> Any:
        """`log_prob_of` for a single number, by `math`."""
        for i, test in self._tests:
            if not test(values[i]):
                self._check(values[1:])
        if self.joint is not None:
            self.joint(*values[1:])
        if self.inside is None or self.inside(*values):
            log_prob, partials = density(scalars, *values)
        else:
            log_prob, partials = -math.inf, [lambda: 0.0] * len(values)
        if log_prob - log_prob != 0.0:
            self._check_late(values[1:])
        if tape is None:
            return log_prob
        add_edge = tape.edges.append
        child = tape.node()
        for i, o in enumerate(operands):
            if type(o) is Box:
                partial = partials[i]
                if partial is None:
                    raise self._no_derivative(i)
                add_edge((child, o.index, partial()))
        return Box(log_prob, tape, child)

    def _no_derivative(self, place: int) -> DistributionError:
        name = ("the value", *self.arguments)[place]
        return DistributionError(
            f"{self.__name__} has no derivative by {name}, which depends here on a parameter, on "
            "an argument whose gradient is wanted, or on a choice"
        )

    def _check(self, args: Sequence[Any]) -> None:
        for i, name, domain in self._domains:
            domain.check(self.__name__, name, args[i])
        self.check_joint(args)

    def check_joint(self, args: Sequence[Any]) -> None:
        """Raise unless the arguments, each in its domain, fit together."""
        if self.joint is not None:
            self.joint(*map(raw, args))

    def _check_late(self, args: Sequence[Any]) -> None:
        for i, name, domain in self._late:
            domain.check(self.__name__, name, args[i])

    def _forms(self) -> str:
        return repr(self._whole_form)

    def __repr__(self) -> str:
        names = list(self.arguments)
        front, last = names[: self._positional], names[self._positional :]
        ways = [", ".join([*front, *(f"{name}=..." for name in last)])]
        for keyword, form in self._keywords.items():
            kept = names[: len(names) - isinstance(form, Distribution)]
            ways.append(", ".join([*kept, f"{keyword}=..."]))
        return " or ".join(f"{self.__name__}({way})" for way in ways) + self._note


def _is_size(size: Any) -> bool:
    sizes = size if isinstance(size, (tuple, list)) else (size,)
    return size is None or all(isinstance(n, Integral) and int(n) >= 0 for n in sizes)


def with_arguments(
    parts: Iterable[Any], args: Sequence[Any]
) -> Iterator[tuple[Any, Sequence[Any]]]:
    """Each distribution with its own arguments, which follow each other part by part."""
    start = 0
    for part in parts:
        end = start + len(part.arguments)
        yield part, args[start:end]
        start = end


def base_of(what: str, call: Any, form: str) -> Distribution:
    """The distribution of a call that something is to be made of.

    Args:
        form: How that is written, such as "truncated(base, low, high)".

    Raises:
        ArgumentError: it is not one, or it has a size of its own.
    """
    if not isinstance(call, Call) or not isinstance(call.fn, Distribution):
        raise ArgumentError(
            f"{what} takes a call of a distribution such as normal(mu, std), got {no_call(call)}; "
            f"write {form}"
        )
    if call.options is not None:
        raise ArgumentError(
            f"a call inside {what} takes no size; write {what}(..., size={call.options!r})"
        )
    return call.fn
