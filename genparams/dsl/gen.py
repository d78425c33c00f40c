"""The decorator `@gen`, which makes an ordinary function generative, and the functions it makes."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, overload

from genparams.dsl.call import Call, running
from genparams.dsl.function import GenerativeFunction
from genparams.dsl.interpreter import Run
from genparams.dsl.source_params import SourceParams
from genparams.dsl.unaddressed import call_never_run
from genparams.errors import ArgumentError, InvalidValue, UnaddressedChoice, nearest
from genparams.mistakes import explained
from genparams.params import ParamStore, lock, restructured, swap
from genparams.registry import live, register
from genparams.text import brief
from genparams.trace.record import MOMENTS
from genparams.types import Address, P, R, global_name


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
        self._was_read = False
        self.params: ParamStore = ParamStore() if params is None else params
        if params is None:
            self.params.owner = self.__name__
        if self.params.source is None:
            self.params.source = SourceParams(body)
        self.signature: inspect.Signature = inspect.signature(body)
        self.origin: GenFunction[P, R] = self
        self.recipe: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None
        self.resume: Callable[..., Any] | None = None  # a body that goes on from an earlier run
        self.made = next(MOMENTS)
        self.edits = 0  # how many partial runs there were of its traces
        self.runs_whole = False  # whether a partial run has given another result than a whole one
        self.seen: dict[tuple[ParamStore, str], None] = {}  # the parameters that its runs read
        self.arg_grads: tuple[str, ...] = tuple_of_names("arg_grads", arg_grads)
        self.argument_names = list(self.signature.parameters)
        self.grad_places = [self._place(name) for name in self.arg_grads]
        self.backend: str | None = None  # of a static function: what runs its programs

    def _place(self, name: str) -> int:
        """The place of an argument that can be given by position."""
        arguments = self.signature.parameters.values()
        positional = [p.name for p in arguments if p.kind <= p.POSITIONAL_OR_KEYWORD]
        if name not in positional:
            raise ArgumentError(
                f"{self.__name__} has no argument {name!r}; {nearest(name, positional)}"
            )
        return positional.index(name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        return Call(self, args, kwargs)

    def inline(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run in the caller's own address space, reading this function's parameters."""
        return self._run(running(f"{self.__name__}.inline(...)"), args, kwargs, ())

    @explained
    def with_params(self, params: ParamStore) -> "GenFunction[P, R]":
        """A clone of this function over another store: a teacher and its student, an ensemble.

        While the clone runs, every call of the original function, in recursion or by a combinator,
        is a call of the clone.

        Raises:
            InvalidValue: `params` is not a store.
        """
        if not isinstance(params, ParamStore):
            raise InvalidValue(
                f"with_params takes a store, got {brief(params)}; write ParamStore(name=value, ...)"
            )
        other = GenFunction(self.body, self.arg_grads, params)
        other.origin = self.origin
        if self.backend is not None:
            make_static(other, self.backend)
        return other

    @explained
    def program(
        self,
        args: tuple[Any, ...] = (),
        constraints: Mapping[Any, Any] | None = None,
        backend: str | None = None,
    ) -> Any:
        """The straight-line code that a static function replays in place of its gradient.

        A run with these arguments and choices is made and recorded; the function need not be
        static. `print(f.program(args, data))` shows the text, and its attributes are the text, the
        number of operations, the inputs and the tests.

        Args:
            args, constraints: As in `generate`.
            backend: "numpy" or "numba"; None for that of the function, numpy if it is not static.

        Raises:
            CannotRecord: the run does something that cannot be recorded.
            MissingExtra: numba is asked for and cannot be imported.
        """
        trace, _ = self.generate(args, constraints)
        shown = import_module("genparams.compiled.shown")
        return shown.program_of(trace, backend or self.backend or "numpy")

    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        return self._run(run, call.args, call.options, key)

    def _run(
        self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any] | None, key: Address
    ) -> Any:
        """Run the body of this function, or the body of its clone while that clone runs."""
        if not self._was_read:
            self._refuse_calls_never_run()
        clones = run.clones
        if not clones and self.origin is self:
            return run.nested(self, args, kwargs, key)
        function = clones.get(self, self)
        run.clones = {**clones, function.origin: function}
        try:
            return run.nested(function, args, kwargs, key)
        finally:
            run.clones = clones

    def _refuse_calls_never_run(self) -> None:
        """Refuse a body that makes a call and never runs it."""
        found = call_never_run(self.body)
        if found is not None:
            raise UnaddressedChoice(
                f'{self.__name__}: {found} is never run; write call @ "name" where it is made'
            )
        self._was_read = True

    def complete(self, args: tuple[Any, ...]) -> Call[R]:
        bound = self._bound(args, {})
        bound.apply_defaults()
        return Call(self, bound.args, None)

    def wrong_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ArgumentError | None:
        """The error of arguments that do not fit the signature; None for those that fit."""
        try:
            self._bound(args, kwargs)
        except ArgumentError as error:
            return error
        return None

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(
                f"{self.__name__}{self.signature} was given {len(args) + len(kwargs)} arguments: "
                f"{error}"
            ) from None

    def __reduce__(self) -> Any:
        """Pickled by name, as a function of Python is; a clone or a combination by its parts."""
        if self.recipe is not None:
            make, parts, named = self.recipe
            return functools.partial(make, **named), parts
        if self.origin is not self:
            return GenFunction.with_params, (self.origin, self.params)
        return global_name(self, self.__module__, self.__qualname__)

    def __repr__(self) -> str:
        return f"<generative function {self.__name__}{self.signature}>"


@overload
def gen(function: Callable[P, R]) -> GenFunction[P, R]: ...
@overload
def gen(
    *, arg_grads: Iterable[str] = (), static: bool = False, backend: str = "numpy"
) -> Callable[[Callable[P, R]], GenFunction[P, R]]: ...
@explained
def gen(
    function: Callable[..., Any] | None = None,
    *,
    arg_grads: Iterable[str] = (),
    static: bool = False,
    backend: str = "numpy",
) -> Any:
    """Make an ordinary function generative.

    Inside it, `param(name)` reads a parameter and `call @ address` makes a random choice or runs
    another generative function.

    Args:
        arg_grads: The arguments whose gradients `accumulate_param_gradients` returns when this
            function is at the top; inside another generative function gradients flow through
            arguments by themselves.
        static: Whether gradients of traces of this function are recorded once, and replayed as
            straight-line code. They are the same, and several times faster where Python's walk
            through the body takes the time. This takes for granted that the body depends on its
            arguments, its parameters and its choices only, which is compared now and then. What
            cannot be recorded is interpreted, with a warning.
        backend: What runs the recorded code: "numpy", or "numba" where it is installed.

    Raises:
        ArgumentError: it is not a function, or is a generator, asynchronous or a method; or a name
            in `arg_grads` is not a name of an argument; or there is no such backend.
        MissingExtra: `backend` is "numba", which cannot be imported.
    """
    if not static and backend != "numpy":
        raise ArgumentError(f"backend={backend!r} is for static functions; write static=True too")
    if function is None:
        return lambda f: gen_function(f, arg_grads, static, backend)
    return gen_function(function, arg_grads, static, backend)


def make_static(function: Any, backend: str) -> None:
    """Let the gradients of a function's traces be recorded and replayed.

    Raises:
        ArgumentError, MissingExtra: there is no such backend here.
    """
    # the compiled part of the library lies above the language, and is loaded when it is asked for
    compiled = import_module("genparams.compiled.static")
    function.trace_gradients = compiled.StaticGradients(function.__name__, backend)
    quantities = import_module("genparams.compiled.quantities")
    function.trace_quantities = quantities.StaticQuantities(function.__name__, backend)
    function.backend = backend


def gen_function(
    function: Callable[P, R],
    arg_grads: Iterable[str],
    static: bool = False,
    backend: str = "numpy",
) -> GenFunction[P, R]:
    """A generative function that is registered by name; it replaces one that it redefines."""
    _refuse_other_than_functions(function)
    made = GenFunction(function, arg_grads)
    if static:
        make_static(made, backend)
    local = "<locals>" in made.__qualname__
    old = [] if local else [f for f in live(made.__name__) if _home(f) == _home(made)]
    register(made, replaces=old)
    if old:
        with lock:
            swap(restructured())  # updates of the older functions warn at their next step
    return made


def _refuse_other_than_functions(function: Any) -> None:
    """Refuse what `gen` cannot make generative, and say what to write instead."""
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


def tuple_of_names(what: str, given: Any) -> tuple[str, ...]:
    """Several names, given as a tuple or another iterable."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        hint = f"; write ({given!r},)" if isinstance(given, str) else ""
        raise ArgumentError(f"{what} is a tuple of names, got {brief(given)}{hint}")
    return tuple(given)


def _home(function: Any) -> tuple[str, str]:
    return function.__module__, getattr(function, "__qualname__", function.__name__)
