"""Generative functions: what all of them can do, and those that `@gen` makes."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, cast, overload

from genparams.dsl import edits, gradients
from genparams.dsl.execution import (
    Rng,
    all_fit,
    all_visited,
    drawing,
    execute,
    seeded,
)
from genparams.dsl.interpreter import Call, Operands, Run, running
from genparams.dsl.source import Source
from genparams.errors import (
    ArgumentError,
    InvalidValue,
    MissingChoice,
    UnaddressedChoice,
    nearest,
)
from genparams.mistakes import answering, explained, there
from genparams.params import ParamStore
from genparams.registry import live, register
from genparams.text import brief
from genparams.trace.choices import ChoiceMap, choice_values
from genparams.trace.results import Assessed, Generated, Proposed
from genparams.trace.trace import Operations, Trace
from genparams.types import Address, P, R, global_name, show

SHOWN = frozenset(
    [
        *("simulate", "generate", "propose", "assess", "inline"),
        *("params", "with_params", "signature", "arg_grads"),
        *("arguments", "log_prob", "log_probs", "sample", "support", "has_gradients"),
    ]
)
"""The attributes of generative functions that `dir` shows."""


_TRAIN = (
    "write update = ParamUpdate(ADAM(0.01), f), then trace.accumulate_param_gradients() and "
    "update.apply() in a loop"
)


@answering(
    fit=_TRAIN,
    train=_TRAIN,
    learn=_TRAIN,
    optimize=_TRAIN,
    grad="write trace.accumulate_param_gradients() of one of its traces",
    sample="write simulate(args), whose trace has the choices and retval",
    log_prob="write assess(args, choices) for the log probability of all choices",
    observe="write generate(args, {address: value})",
    condition="write generate(args, {address: value})",
    backward="write accumulate_param_gradients() of one of its traces",
    accumulate_param_gradients="one of its traces has it; write trace, weight = f.generate(...)",
    parameters="write f.params",
    state_dict="write save_checkpoint(path, model=f)",
    freeze="write f.params[name].freeze() for each name",
)
class GenerativeFunction(ABC, Generic[P, R]):
    """A function that makes random choices at addresses.

    Write t for its choices, x for its arguments and p(t; x) for the density of the choices given
    the arguments. `GenerativeFunction[[float, int], str]` is the type of one that takes a float and
    an int and returns a string.
    """

    __name__: str
    operations: Operations = cast(
        Operations,
        SimpleNamespace(
            accumulate=gradients.accumulate,
            param_gradients=gradients.param_gradients,
            choice_gradients=gradients.choice_gradients,
            update=edits.update,
            regenerate=edits.regenerate,
            rescored=edits.rescored,
            restore_parameters=edits.restore_parameters,
        ),
    )
    """What its traces can do, which `Trace` names."""
    grad_places: list[int]
    """The places of the arguments whose gradients are wanted when it is at the top."""
    argument_names: list[str]

    @abstractmethod
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """A call, to be run at an address inside another generative function."""

    @abstractmethod
    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        """Take part in an execution below `key`, empty at its root, and return the value."""

    @abstractmethod
    def complete(self, args: tuple[Any, ...]) -> Call[R]:
        """A call with these arguments, completed with defaults."""

    def _not_called(self, *args: Any) -> Any:
        call = f"{self.__name__}({', '.join(self.argument_names)})"
        raise UnaddressedChoice(
            f'{self.__name__} was used as a value before it was called; write {call} @ "name"'
        )

    if not TYPE_CHECKING:  # a type checker reports them, as what a function does not have
        __matmul__ = __rmatmul__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = _not_called
        __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __neg__ = __float__ = _not_called

    def __dir__(self) -> list[str]:
        """What a user needs: not what the library asks of it."""
        return [n for n in there(self) if n in SHOWN or n.startswith("__")]

    def __deepcopy__(self, memo: Any) -> "GenerativeFunction[P, R]":
        return self  # as functions are: a copied trace is of the same function

    @explained
    def simulate(self, args: tuple[Any, ...] = (), rng: Rng = None) -> Trace:
        """Draw every choice: t ~ p(.; x).

        Args:
            args: The arguments, as a tuple.
            rng: A generator, a seed, or None for fresh randomness. A seeded run repeats to the bit.
        """
        generator = seeded(rng)
        return execute(self, args, lambda address, d, x, size: d.draw(generator, x, size))

    @explained
    def generate(
        self,
        args: tuple[Any, ...] = (),
        constraints: Mapping[Any, Any] | None = None,
        rng: Rng = None,
        strict: bool = True,
    ) -> tuple[Trace, float]:
        """Draw the choices that `constraints` leaves open.

        Args:
            constraints: A choice map, or a dictionary by key or path, flat or nested.
            strict: Whether a constraint that the run never visits is an error. A value at the
                address of a call, or one nested under a choice, is always an error.

        Returns:
            The trace, and the weight log p(t; x) - log q(t; x) where q drew the open choices: the
            sum of the log probabilities of the constrained ones.

        Raises:
            UnusedConstraint: a constraint was never visited, and `strict`; or a choice can never be
                at its address, whatever `strict` is.
        """
        generator = drawing(rng)
        given = choice_values(constraints)

        def choose(address: Address, d: Any, x: Operands, size: Any) -> Any:
            if address in given:
                return d.coerce(given[address], x, size)
            return d.draw(generator(), x, size)

        trace = execute(self, args, choose, (all_visited if strict else all_fit)(given))
        weight = float(sum(trace.log_probs[a] for a in given if a in trace.log_probs))
        return Generated((trace, weight))  # type: ignore[return-value]

    @explained
    def propose(self, args: tuple[Any, ...] = (), rng: Rng = None) -> tuple[ChoiceMap, float, R]:
        """Draw every choice; returns the choices, their log p(t; x), and the return value."""
        trace = self.simulate(args, rng)
        return Proposed((trace.choices, trace.log_prob, trace.retval))  # type: ignore[return-value]

    @explained
    def assess(self, args: tuple[Any, ...], choices: Mapping[Any, Any]) -> tuple[float, R]:
        """log p(t; x) of a full set of choices, and the return value.

        Raises:
            MissingChoice: the run visits an address that has no value in `choices`.
            UnusedConstraint: `choices` has a value that the run never visits.
        """
        given = choice_values(choices)

        def choose(address: Address, d: Any, x: Operands, size: Any) -> Any:
            if address not in given:
                raise MissingChoice(
                    f"{self.__name__} needs a value for {show(address)}; "
                    f"{nearest(show(address), map(show, given))} "
                    "(generate draws what is not given)"
                )
            return d.coerce(given[address], x, size)

        trace = execute(self, args, choose, all_visited(given))
        return Assessed((trace.log_prob, trace.retval))  # type: ignore[return-value]


class GenFunction(GenerativeFunction[P, R]):
    """An ordinary function made generative: the result of `@gen`.

    Calling it gives a `Call`, to be run at an address inside another generative function. Its
    parameters live in `params` and belong to it alone.
    """

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        body: Callable[P, R],
        arg_grads: Iterable[str] = (),
        params: ParamStore | None = None,
    ):
        functools.update_wrapper(self, body)
        self.body: Callable[P, R] = body
        self._source = Source(body)
        self._was_read = False
        self.params: ParamStore = ParamStore() if params is None else params
        if params is None:
            self.params.owner = self.__name__
        if self.params.source is None:
            self.params.source = self._source
        self.signature: inspect.Signature = inspect.signature(body)
        self.origin: GenFunction[P, R] = self
        self.recipe: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None
        self.seen: dict[tuple[ParamStore, str], None] = {}
        self.arg_grads: tuple[str, ...] = _names(arg_grads)
        self.argument_names = list(self.signature.parameters)
        positional = [
            n for n, p in self.signature.parameters.items() if p.kind <= p.POSITIONAL_OR_KEYWORD
        ]
        for name in self.arg_grads:
            if name not in positional:
                raise ArgumentError(
                    f"{self.__name__} has no argument {name!r}; {nearest(name, positional)}"
                )
        self.grad_places = [positional.index(name) for name in self.arg_grads]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        return Call(self, args, kwargs)

    def inline(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run in the caller's own address space, reading this function's parameters."""
        return self._run(running(f"{self.__name__}.inline(...)"), args, kwargs, ())

    @explained
    def with_params(self, params: ParamStore) -> "GenFunction[P, R]":
        """The same function over another store: a teacher and its student, an ensemble, a test.

        While it runs, whoever calls the original by its name, in recursion or through a
        combinator, calls it with the same store.

        Raises:
            InvalidValue: `params` is not a store.
        """
        if not isinstance(params, ParamStore):
            raise InvalidValue(
                f"with_params takes a store, got {brief(params)}; write ParamStore(name=value, ...)"
            )
        other = GenFunction(self.body, self.arg_grads, params)
        other.origin = self.origin
        return other

    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        return self._run(run, call.args, call.options, key)

    def _run(
        self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any] | None, key: Address
    ) -> Any:
        """Run the body, or that of the clone in whose run the original is called by name."""
        if not self._was_read:
            self._read()
        clones = run.clones
        if not clones and self.origin is self:
            return run.nested(self, args, kwargs, key)
        function = clones.get(self, self)
        run.clones = {**clones, function.origin: function}
        try:
            return run.nested(function, args, kwargs, key)
        finally:
            run.clones = clones

    def _read(self) -> None:
        """Refuse a body that makes a call and never runs it."""
        found = self._source.never_run()
        if found is not None:
            raise UnaddressedChoice(
                f'{self.__name__}: {found} is never run; write call @ "name" where it is made'
            )
        self._was_read = True

    def complete(self, args: tuple[Any, ...]) -> Call[R]:
        try:
            bound = self.signature.bind(*args)
        except TypeError as error:
            raise self._wrong_arguments(args, error) from None
        bound.apply_defaults()
        return Call(self, bound.args, None)

    def refuse_wrong_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], error: TypeError
    ) -> None:
        """Tell a `TypeError` of the call itself from one of the body."""
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as mismatch:
            raise self._wrong_arguments(args, mismatch) from error

    def _wrong_arguments(self, args: tuple[Any, ...], error: TypeError) -> ArgumentError:
        return ArgumentError(
            f"{self.__name__}{self.signature} was given {len(args)} arguments: {error}"
        )

    def __reduce__(self) -> Any:
        """Pickled by name, as functions are; a clone or a combination by what it was made of."""
        if self.recipe is not None:
            make, parts, named = self.recipe
            return functools.partial(make, **named), parts
        if self.origin is not self:
            return _clone, (self.origin, self.params)
        return global_name(self, self.__module__, self.__qualname__)

    def __repr__(self) -> str:
        return f"<generative function {self.__name__}{self.signature}>"


@overload
def gen(function: Callable[P, R]) -> GenFunction[P, R]: ...
@overload
def gen(*, arg_grads: Iterable[str]) -> Callable[[Callable[P, R]], GenFunction[P, R]]: ...
@explained
def gen(function: Callable[..., Any] | None = None, *, arg_grads: Iterable[str] = ()) -> Any:
    """Make an ordinary function generative.

    Inside it, `param(name)` reads a parameter and `call @ address` makes a random choice or runs
    another generative function.

    Args:
        arg_grads: The arguments whose gradients `accumulate_param_gradients` returns when this
            function is at the top; inside another generative function gradients flow through
            arguments by themselves.

    Raises:
        ArgumentError: it is not a function, or a generator, asynchronous or a method; or
            `arg_grads` names none of its arguments.
    """
    if function is None:
        return lambda f: gen_function(f, arg_grads)
    return gen_function(function, arg_grads)


def gen_function(function: Callable[P, R], arg_grads: Iterable[str]) -> GenFunction[P, R]:
    """A generative function known by its name, in place of an older one of the same module."""
    _refuse_other_than_functions(function)
    made = GenFunction(function, arg_grads)
    local = "<locals>" in made.__qualname__
    old = [] if local else [f for f in live(made.__name__) if _home(f) == _home(made)]
    register(made, replaces=old)
    return made


def _refuse_other_than_functions(function: Any) -> None:
    """Refuse what `gen` cannot make generative.

    Raises:
        ArgumentError: it says what to write.
    """
    if isinstance(function, GenerativeFunction):
        raise ArgumentError(f"{function!r} is generative already; write @gen once")
    if isinstance(function, staticmethod | classmethod):
        kind = type(function).__name__
        raise ArgumentError(f"@gen is given a {kind}; write @staticmethod above @gen")
    if not inspect.isfunction(function):
        raise ArgumentError(
            f"@gen makes a function that is written with def or lambda generative, got "
            f"{brief(function)}; write a function around it"
        )
    name = function.__name__
    if (
        inspect.isgeneratorfunction(function)
        or inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise ArgumentError(
            f"{name} is a generator or asynchronous; a generative function returns its value: "
            "write def without async, and return [...] in place of yield"
        )
    inside = function.__qualname__.rpartition(".")[0]
    first = next(iter(inspect.signature(function).parameters), "")
    if first in ("self", "cls") and inside and not inside.endswith("<locals>"):
        raise ArgumentError(
            f"{function.__qualname__} is a method, and parameters belong to functions; write "
            f"{name} as a function outside the class, which takes what it needs of {first} as "
            "arguments"
        )


def _names(arg_grads: Any) -> tuple[str, ...]:
    """The names of arguments, if they are given as names."""
    if isinstance(arg_grads, str):
        raise ArgumentError(
            f"arg_grads is a tuple of names, got {arg_grads!r}; write ({arg_grads!r},)"
        )
    if not isinstance(arg_grads, Iterable):
        raise ArgumentError(f"arg_grads is a tuple of names, got {brief(arg_grads)}")
    return tuple(arg_grads)


def _clone(origin: GenFunction[P, R], params: ParamStore) -> GenFunction[P, R]:
    return origin.with_params(params)


def _home(function: Any) -> tuple[str, str]:
    return function.__module__, function.__qualname__
