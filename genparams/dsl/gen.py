"""Generative functions: what all of them can do, and those that `@gen` makes."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

import numpy as np

from genparams.dsl import gradients
from genparams.dsl.interpreter import Call, Choose, Run, running
from genparams.errors import ArgumentError, InvalidValue, MissingChoice, nearest
from genparams.params import Parameter, ParamStore, live, register
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import ArgGrads, Trace
from genparams.types import Address, show

Rng = np.random.Generator | int | None


def natural(parameter: Parameter) -> Any:
    """The answer to what a parameter is, outside of differentiation."""
    return parameter.value


class GenerativeFunction(ABC):
    """A function that makes random choices at addresses.

    Write t for its choices, x for its arguments and p(t; x) for the density of the choices given
    the arguments.
    """

    __name__: str
    grad_places: list[int]
    """The places of the arguments whose gradients are wanted when it is at the top."""

    @abstractmethod
    def perform(self, run: Run, call: Call, key: Address) -> Any:
        """Take part in an execution below `key`, empty at its root, and return the value."""

    @abstractmethod
    def complete(self, args: tuple[Any, ...]) -> Call:
        """A call with these arguments, completed with defaults."""

    def simulate(self, args: tuple[Any, ...] = (), rng: Rng = None) -> Trace:
        """Draw every choice: t ~ p(.; x).

        Args:
            args: The arguments, as a tuple.
            rng: A generator, a seed, or None for fresh randomness. A seeded run repeats to the bit.
        """
        generator = np.random.default_rng(rng)
        return self._trace(args, lambda address, d, x, size: d.draw(generator, x, size))[0]

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
        given = _choice_map(constraints)._values

        def choose(address: Address, d: Any, x: list[Any], size: Any) -> Any:
            return (
                d.coerce(given[address], x, size)
                if address in given
                else d.draw(generator, x, size)
            )

        trace, run = self._trace(args, choose, given if strict else None)
        return trace, float(sum(run.log_probs[a] for a in given if a in run.log_probs))

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
        given = _choice_map(choices)._values

        def choose(address: Address, d: Any, x: list[Any], size: Any) -> Any:
            if address not in given:
                raise MissingChoice(
                    f"{self.__name__} needs a value for {show(address)}; "
                    f"{nearest(show(address), map(show, given))} "
                    "(generate draws what is not given)"
                )
            return d.coerce(given[address], x, size)

        trace, _ = self._trace(args, choose, given)
        return trace.log_prob, trace.retval

    def accumulate(
        self, traces: list[Trace], retval_grads: list[Any], scales: list[float]
    ) -> list[tuple[float, ArgGrads]]:
        """The work of `Trace.accumulate_param_gradients`, for several traces at once."""
        return gradients.accumulate(traces, retval_grads, scales)

    def differentiate(self, trace: Trace, retval_grad: Any) -> dict[str, dict[str, Any]]:
        """The work of `Trace.param_gradients`."""
        return gradients.by_name(gradients.differentiate(trace, retval_grad).grads)

    def _trace(
        self,
        args: tuple[Any, ...],
        choose: Choose,
        given: Mapping[Address, Any] | None = None,
    ) -> tuple[Trace, Run]:
        if not isinstance(args, tuple):
            raise ArgumentError(
                f"args is a tuple, got {type(args).__name__}; write {self.__name__}.simulate((x,))"
            )
        call = self.complete(args)
        run = Run(choose, natural)
        retval = run.execute(call, given)
        return Trace(
            self, call.args, retval, ChoiceMap.trusted(run.values), run.log_probs, run.calls
        ), run


def _choice_map(choices: Mapping[Any, Any] | None) -> ChoiceMap:
    if choices is not None and not isinstance(choices, Mapping):
        raise InvalidValue(f"choices are a dictionary by address or a ChoiceMap, got {choices!r}")
    return choices if isinstance(choices, ChoiceMap) else ChoiceMap(choices)


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
        self.params.owner = self.params.owner or self.__name__
        self.signature = inspect.signature(body)
        self.origin = self
        self.seen: dict[tuple[ParamStore, str], None] = {}
        self.arg_grads = tuple(arg_grads)
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
        run = running(f"{self.__name__}.inline(...)")
        return run.body(self._within(run), args, kwargs, run.prefix)

    def with_params(self, params: ParamStore) -> "GenFunction":
        """The same function over another store: a teacher and its student, an ensemble, a test.

        Where its body calls itself by name, it calls itself with the same store.
        """
        other = GenFunction(self.body, self.arg_grads, params)
        other.origin = self.origin
        return other

    def perform(self, run: Run, call: Call, key: Address) -> Any:
        return run.nested(self._within(run), call.args, call.options or {}, key)

    def _within(self, run: Run) -> "GenFunction":
        """Itself, or the clone that is running and calls itself by the name of its original."""
        caller = run.function
        return caller if isinstance(caller, GenFunction) and caller.origin is self else self

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
    if isinstance(arg_grads, str):
        raise ArgumentError(
            f"arg_grads is a tuple of names, got {arg_grads!r}; write ({arg_grads!r},)"
        )
    made = GenFunction(function, arg_grads)
    local = "<locals>" in made.__qualname__
    old = [] if local else [f for f in live(made.__name__) if _home(f) == _home(made)]
    register(made, replaces=old)
    return made


def _home(function: Any) -> tuple[str, str]:
    return function.__module__, function.__qualname__
