"""Generative functions: what all of them can do, and those that `@gen` makes."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast, overload

import numpy as np

from genparams.dsl import edits, gradients
from genparams.dsl.execution import Rng, all_visited, choice_values, execute
from genparams.dsl.interpreter import Call, Run, running
from genparams.errors import ArgumentError, MissingChoice, nearest
from genparams.params import ParamStore
from genparams.registry import live, register
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Operations, Trace
from genparams.types import Address, global_name, show


class GenerativeFunction(ABC):
    """A function that makes random choices at addresses.

    Write t for its choices, x for its arguments and p(t; x) for the density of the choices given
    the arguments.
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
            project=edits.project,
            rescored=edits.rescored,
            restore_parameters=edits.restore_parameters,
        ),
    )
    """What its traces can do, which `Trace` names."""
    grad_places: list[int]
    """The places of the arguments whose gradients are wanted when it is at the top."""
    argument_names: list[str]

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Call:
        """A call, to be run at an address inside another generative function."""

    @abstractmethod
    def perform(self, run: Run, call: Call, key: Address) -> Any:
        """Take part in an execution below `key`, empty at its root, and return the value."""

    @abstractmethod
    def complete(self, args: tuple[Any, ...]) -> Call:
        """A call with these arguments, completed with defaults."""

    def __deepcopy__(self, memo: Any) -> "GenerativeFunction":
        return self  # as functions are: a copied trace is of the same function

    def simulate(self, args: tuple[Any, ...] = (), rng: Rng = None) -> Trace:
        """Draw every choice: t ~ p(.; x).

        Args:
            args: The arguments, as a tuple.
            rng: A generator, a seed, or None for fresh randomness. A seeded run repeats to the bit.
        """
        generator = np.random.default_rng(rng)
        return execute(self, args, lambda address, d, x, size: d.draw(generator, x, size))

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
            strict: Whether a constraint that the run never visits is an error.

        Returns:
            The trace, and the weight log p(t; x) - log q(t; x) where q drew the open choices: the
            sum of the log probabilities of the constrained ones.

        Raises:
            UnusedConstraint: a constraint was never visited, and `strict`.
        """
        generator = np.random.default_rng(rng)
        given = choice_values(constraints)

        def choose(address: Address, d: Any, x: list[Any], size: Any) -> Any:
            if address in given:
                return d.coerce(given[address], x, size)
            return d.draw(generator, x, size)

        trace = execute(self, args, choose, all_visited(given) if strict else None)
        return trace, float(sum(trace.log_probs[a] for a in given if a in trace.log_probs))

    def propose(self, args: tuple[Any, ...] = (), rng: Rng = None) -> tuple[ChoiceMap, float, Any]:
        """Draw every choice; returns the choices, their log p(t; x), and the return value."""
        trace = self.simulate(args, rng)
        return trace.choices, trace.log_prob, trace.retval

    def assess(self, args: tuple[Any, ...], choices: Mapping[Any, Any]) -> tuple[float, Any]:
        """log p(t; x) of a full set of choices, and the return value.

        Raises:
            MissingChoice: the run visits an address that has no value in `choices`.
            UnusedConstraint: `choices` has a value that the run never visits.
        """
        given = choice_values(choices)

        def choose(address: Address, d: Any, x: list[Any], size: Any) -> Any:
            if address not in given:
                raise MissingChoice(
                    f"{self.__name__} needs a value for {show(address)}; "
                    f"{nearest(show(address), map(show, given))} "
                    "(generate draws what is not given)"
                )
            return d.coerce(given[address], x, size)

        trace = execute(self, args, choose, all_visited(given))
        return trace.log_prob, trace.retval


class GenFunction(GenerativeFunction):
    """An ordinary function made generative: the result of `@gen`.

    Calling it gives a `Call`, to be run at an address inside another generative function. Its
    parameters live in `params` and belong to it alone.
    """

    def __init__(
        self,
        body: Callable[..., Any],
        arg_grads: Iterable[str] = (),
        params: ParamStore | None = None,
    ):
        functools.update_wrapper(self, body)
        self.body = body
        self.params = ParamStore() if params is None else params
        if params is None:
            self.params.owner = self.__name__
        self.signature = inspect.signature(body)
        self.origin = self
        self.recipe: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None
        self.seen: dict[tuple[ParamStore, str], None] = {}
        self.arg_grads = tuple(arg_grads)
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

    def __call__(self, *args: Any, **kwargs: Any) -> Call:
        return Call(self, args, kwargs)

    def inline(self, *args: Any, **kwargs: Any) -> Any:
        """Run in the caller's own address space, reading this function's parameters."""
        return self._run(running(f"{self.__name__}.inline(...)"), args, kwargs, ())

    def with_params(self, params: ParamStore) -> "GenFunction":
        """The same function over another store: a teacher and its student, an ensemble, a test.

        While it runs, whoever calls the original by its name, in recursion or through a
        combinator, calls it with the same store.
        """
        other = GenFunction(self.body, self.arg_grads, params)
        other.origin = self.origin
        return other

    def perform(self, run: Run, call: Call, key: Address) -> Any:
        return self._run(run, call.args, call.options, key)

    def _run(self, run: Run, args: tuple, kwargs: dict[str, Any] | None, key: Address) -> Any:
        """Run the body, or that of the clone in whose run the original is called by name."""
        clones = run.clones
        if not clones and self.origin is self:
            return run.nested(self, args, kwargs, key)
        function = clones.get(self, self)
        run.clones = {**clones, function.origin: function}
        try:
            return run.nested(function, args, kwargs, key)
        finally:
            run.clones = clones

    def complete(self, args: tuple[Any, ...]) -> Call:
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
def gen(function: Callable[..., Any]) -> GenFunction: ...
@overload
def gen(*, arg_grads: Iterable[str]) -> Callable[[Callable[..., Any]], GenFunction]: ...
def gen(function: Callable[..., Any] | None = None, *, arg_grads: Iterable[str] = ()) -> Any:
    """Make an ordinary function generative.

    Inside it, `param(name)` reads a parameter and `call @ address` makes a random choice or runs
    another generative function.

    Args:
        arg_grads: The arguments whose gradients `accumulate_param_gradients` returns when this
            function is at the top; inside another generative function gradients flow through
            arguments by themselves.
    """
    if function is None:
        return lambda f: gen_function(f, arg_grads)
    return gen_function(function, arg_grads)


def gen_function(function: Callable[..., Any], arg_grads: Iterable[str]) -> GenFunction:
    """A generative function known by its name, in place of an older one of the same module."""
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise ArgumentError(
            f"{function.__name__} is a generator or asynchronous; a generative function returns "
            "its value"
        )
    if isinstance(arg_grads, str):
        raise ArgumentError(
            f"arg_grads is a tuple of names, got {arg_grads!r}; write ({arg_grads!r},)"
        )
    made = GenFunction(function, arg_grads)
    local = "<locals>" in made.__qualname__
    old = [] if local else [f for f in live(made.__name__) if _home(f) == _home(made)]
    register(made, replaces=old)
    return made


def _clone(origin: GenFunction, params: ParamStore) -> GenFunction:
    return origin.with_params(params)


def _home(function: Any) -> tuple[str, str]:
    return function.__module__, function.__qualname__
