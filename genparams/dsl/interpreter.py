"""The interpreter: one execution of a generative function, and the two questions that it asks.

While a model runs it asks what a parameter is (`param`) and what a choice is (`call @ address`). A
`Run` holds how they are answered: `read` gives the value of a parameter, `choose` the value of a
choice. Drawing, constraining and replaying differ in these two functions only; what is checked and
what is recorded is here, once.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Protocol

import numpy as np

from genparams.errors import (
    AddressConflict,
    AddressError,
    ArgumentError,
    DeepRecursion,
    GenParamsError,
    InvalidValue,
    NotRunning,
    TracedValueError,
    UnaddressedAttribute,
    UnaddressedChoice,
    UnusedConstraint,
    nearest,
)
from genparams.mistakes import answering
from genparams.params import Parameter, ParamStore, all_at_once, lock
from genparams.trace.address import path
from genparams.types import Address, Constraint, R, real, show


class Owner(Protocol):
    """What the interpreter asks of a function that owns parameters."""

    __name__: str
    params: ParamStore


class Body(Owner, Protocol):
    """What the interpreter asks of a function whose body is written in the language."""

    body: Callable[..., Any]

    def refuse_wrong_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], error: TypeError
    ) -> None: ...


Operands = list[Any]
"""A name for closures, whose annotations Python evaluates each time that they are made."""
Choose = Callable[[Address, Any, Operands, Any], Any]
Read = Callable[[Parameter], Any]

_running: ContextVar["Run | None"] = ContextVar("genparams_run", default=None)


@answering(
    simulate="write f.simulate(args)",
    generate="write f.generate(args, constraints)",
    assess="write f.assess(args, choices)",
    propose="write f.propose(args)",
    rsample="write sample(size=..., rng=...)",
    rvs="write sample(size=..., rng=...)",
    pdf="write log_prob(x)",
    logpdf="write log_prob(x)",
)
class Call(Generic[R]):
    """A generative function and its arguments, not yet run; `call @ address` runs it there.

    `Call[float]` is the type of one whose value is a float.
    """

    __slots__ = ("args", "fn", "options")

    def __init__(self, fn: Any, args: tuple[Any, ...], options: Any):
        self.fn: Any = fn
        self.args: tuple[Any, ...] = args
        self.options: Any = options

    def __matmul__(self, address: Any) -> R:
        run = _running.get()
        if run is None or run.function is None:  # none, or one that was interrupted as it ended
            raise NotRunning(
                f"{self!r} @ {address!r} is outside a running generative function; "
                "decorate the function around it with @gen and run it with simulate or generate"
            )
        kind = type(address)
        key = (address,) if kind is str or kind is int else path(address)
        if not key:
            raise AddressError(f'{self!r} @ () has no address; write a key such as "y"')
        return self.fn.perform(run, self, key)

    def log_prob(self, x: Any) -> Any:
        """log p(x) of a distribution's call, summed over the batch; -inf outside the support."""
        return self._asked("log_prob_called", "assess(args, choices)")(x, self)

    def log_probs(self, x: Any) -> Any:
        """log p of each entry of the batch of a distribution's call."""
        return self._asked("log_probs_called", "assess(args, choices)")(x, self)

    def sample(self, size: Any = None, rng: Any = None) -> Any:
        """Draw a value from a distribution's call; `rng` is a generator, a seed, or None."""
        return self._asked("sample_called", "simulate(args)")(self, size, rng)

    def _asked(self, method: str, instead: str) -> Callable[..., Any]:
        found = getattr(self.fn, method, None)
        if found is None:
            name = self.fn.__name__
            raise ArgumentError(
                f"{self!r} calls a generative function, not a distribution; write {name}.{instead}"
            )
        return found

    def __repr__(self) -> str:
        return f"{self.fn.__name__}(...)"

    def _used(self, *args: Any, **kwargs: Any) -> Any:
        raise UnaddressedChoice(
            f'{self!r} was used as a value before it was run; write {self!r} @ "name"'
        )

    __hash__ = None  # type: ignore[assignment]  # so that it is no address either
    if not TYPE_CHECKING:  # a type checker reports them, as what a call does not have
        __eq__ = __ne__ = __mod__ = __floordiv__ = __round__ = _used
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _used
        __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = __abs__ = _used
        __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = __bool__ = _used
        __format__ = __and__ = __or__ = __iter__ = __len__ = __getitem__ = __rmatmul__ = _used
        __array__ = __array_ufunc__ = __array_function__ = _used


class Run:
    """One execution: how its questions are answered, and what happened so far."""

    __slots__ = (
        "branches",
        "calls",
        "choose",
        "clones",
        "function",
        "held",
        "log_probs",
        "prefix",
        "read",
        "reads",
        "root",
        "values",
    )

    def __init__(self, choose: Choose, read: Read):
        self.choose = choose
        self.read = read
        self.root: Any = None
        self.function: Any = None
        self.prefix: Address = ()
        self.values: dict[Address, Any] = {}
        self.log_probs: dict[Address, Any] = {}
        self.calls: dict[Address, tuple[Any, Any]] = {}
        self.branches: set[Address] = set()  # every proper prefix of an address in use
        self.clones: dict[Any, Any] = {}  # by the function that a clone replaces while it runs
        self.reads: dict[Parameter, Owner] = {}
        self.held: dict[Parameter, None] = {}  # read or declared while no run had kept them yet

    def execute(
        self, call: Call, check: Callable[["Run"], None] | None = None, keep: bool = True
    ) -> Any:
        """Run a call at the root; if it or the check fails, what it declared is forgotten.

        Args:
            keep: Whether what it declares is kept when it ends; else the caller says so later, by
                `keeping` or `forget`.
        """
        self.root = call.fn
        outer = _running.get()
        try:
            _running.set(self)
            retval = call.fn.perform(self, call, ())
            if check is not None:
                check(self)
            for parameter, function in self.reads.items():
                call.fn.seen[function.params, parameter.name] = None  # for `callees=True`
            if keep and self.held:
                all_at_once(keeping([self]))
        except RecursionError as error:
            self.forget()
            raise _deep(error) from None
        except BaseException:
            self.forget()
            raise
        finally:
            _running.set(outer)
        return retval

    def forget(self) -> None:
        """Undo the declarations of parameters that no other run has read."""
        with lock:
            for parameter in self.held:
                holders = _undecided.get(parameter)
                if holders is None:
                    continue
                holders.discard(self)
                if not holders:
                    store = parameter.store
                    if store.holds(parameter):
                        store.discard(parameter.name)
                    _undecided.pop(parameter, None)

    def choice(self, distribution: Any, args: tuple[Any, ...], size: Any, key: Address) -> Any:
        """Answer what the choice at `key` is, and record it with its log probability."""
        address = self.prefix + key
        self._claim(address, len(key))
        try:
            operands = list(args) if distribution.verbatim else distribution.operands(args)
            value = self.choose(address, distribution, operands, size)
            log_prob = distribution.log_prob_of(value, operands)
        except InvalidValue as error:
            raise type(error)(f"at {show(address)}: {error}") from None
        except TypeError as error:
            for name, a in zip(distribution.arguments, args, strict=False):
                if isinstance(a, Call):
                    raise UnaddressedChoice(
                        f'{name} of {distribution.__name__} is {a!r}; write {a!r} @ "name"'
                    ) from error
            if type(error) is ArgumentError:
                raise ArgumentError(f"at {show(address)}: {error}") from error
            raise
        self.values[address] = value
        self.log_probs[address] = log_prob
        return value

    def nested(
        self, function: Body, args: tuple[Any, ...], kwargs: dict[str, Any] | None, key: Address
    ) -> Any:
        """Run a function's body with its own parameters, its addresses below `key`.

        The empty key is for the root, and for a function whose addresses are the caller's.
        """
        address = self.prefix + key
        if key:
            self._claim(address, len(key))
            self.branches.add(address)
        outer = self.function, self.prefix
        self.function, self.prefix = function, address
        try:
            retval = function.body(*args, **kwargs) if kwargs else function.body(*args)
        except AttributeError as error:
            call, name = error.obj, error.name
            if type(call) is not Call or isinstance(error, GenParamsError):
                raise
            raise UnaddressedAttribute(
                f"{call!r} was asked for .{name} before it was run; write "
                f'({call!r} @ "name").{name}'
            ) from error
        except (TypeError, ValueError) as error:
            if type(error) is TypeError:
                function.refuse_wrong_arguments(args, kwargs or {}, error)
            hint = _hint(error)
            if hint is not None:
                kind = ArgumentError if isinstance(error, TypeError) else InvalidValue
                raise kind(f"{function.__name__}: {error}; {hint}") from error
            raise
        finally:
            self.function, self.prefix = outer
        kind = type(retval)
        if kind is Call or kind is tuple or kind is list or kind is dict:
            for call in _calls_in(retval):
                raise UnaddressedChoice(
                    f"{function.__name__} returned {call!r} without running it; "
                    f'write {call!r} @ "name"'
                )
        if key:
            self.calls[address] = (function, retval)
        return retval

    def parameter(self, function: Owner, name: str) -> Any:
        """Answer what a parameter of a function is."""
        parameter = function.params.lookup(name)
        if _undecided and not self._hold(parameter):
            parameter = function.params.lookup(name)  # forgotten since, by the run that declared it
        self.reads[parameter] = function
        return self.read(parameter)

    def _hold(self, parameter: Parameter) -> bool:
        """Keep a parameter that no run has kept yet from being forgotten; whether it is there."""
        with lock:
            if parameter in _undecided:
                self.held[parameter] = None
                _undecided[parameter].add(self)
            store, name = parameter.store, parameter.name
            return name in store and store[name] is parameter

    def declare(self, name: str, init: Any, constraint: Constraint | None) -> None:
        """Give a parameter of the running function its first value, if it has none.

        Raises:
            ConstraintError: it has one already, and with another constraint that nobody asked for.
            ShapeError: a run declared it with another shape.
        """
        store = self.function.params
        if type(init) is np.ndarray and name in store:
            store.refuse_other_shape(name, init.shape)
        if constraint is None and name in store and not _undecided:
            return
        with lock:
            if name in store:
                self._hold(store.declare(name, init, constraint))
                return
            parameter = Parameter(name, init, constraint or real, store)
            parameter.is_declared = True
            self.held[parameter] = None
            _undecided[parameter] = {self}
            store.add(parameter)

    def _claim(self, address: Address, length: int) -> None:
        """Refuse an address that is taken, or lies below or above one that is.

        `length` is how many keys the running function gave. Each prefix that it opens is noted, so
        that the next address below it is checked by looking up one.
        """
        try:
            if address in self.values or address in self.branches:
                below = (
                    ""
                    if address in self.values or address in self.calls
                    else "; other choices lie below it"
                )
                raise AddressConflict(
                    f"{self._who()} visited {show(address)} twice{below}; give each choice "
                    "its own address"
                )
        except TracedValueError:
            raise
        except TypeError:
            path(address)
            raise AddressError(f"{show(address)} is not hashable") from None
        if length == 1:
            return
        for end in range(len(address) - 1, len(address) - length, -1):
            prefix = address[:end]
            is_open = prefix in self.branches  # then no choice is there
            if prefix in self.calls or (not is_open and prefix in self.values):
                kind = "choice" if prefix in self.values else "call"
                raise AddressConflict(
                    f"{self._who()} visited {show(address)}, below the {kind} at {show(prefix)}"
                )
            if is_open:
                break
            self.branches.add(prefix)

    def leaves_no_room(self, address: Address) -> bool:
        """Whether no choice can be at an address: a call is there, or choices above or below."""
        return (
            address in self.calls
            or address in self.branches
            or any(address[:n] in self.values for n in range(1, len(address)))
        )

    def unvisited(self, address: Address) -> UnusedConstraint:
        """The error for a value that was given and never asked for."""
        above = [address[:n] for n in range(1, len(address)) if address[:n] in self.values]
        rows = self._rows_of(address)
        if address in self.calls:
            hint = f"{show(address)} is a call; give values for the choices below it{rows}"
        elif address in self.branches:
            below = next(a for a in self.values if a[: len(address)] == address)
            nested = f"{{{show(address)}: {{...}}}}{rows}"
            hint = f"choices such as {show(below)} lie below it; write {nested}"
        elif rows:
            hint = f"it is visited once for each call{rows}"
        elif above:
            at = show(above[0])
            hint = f"{at} is a choice and has one value; write {{{at}: value}}"
        elif self.values:
            hint = nearest(show(address), map(show, self.values))
        else:
            hint = "it made no choices"
        return UnusedConstraint(f"{self.root.__name__} never visited {show(address)}; {hint}")

    def _rows_of(self, address: Address) -> str:
        """How to give what map_ or unfold visits once for each call, if the address is of those."""
        words = [k for k in address if type(k) is not int]
        for a in self.values:
            numbers = [i for i, k in enumerate(a) if type(k) is int]
            at = numbers[0] if numbers else 0
            if numbers and ([k for k in a if type(k) is not int] == words or a[:at] == address):
                rows = f"ChoiceMap.rows({{{show(a[at + 1 :])}: array}})"
                return f"; for one array write {f'{{{show(a[:at])}: {rows}}}' if at else rows}"
        return ""

    def _who(self) -> str:
        return self.function.__name__ if self.function else "a run"


_HINTS = {
    "operand type(s) for @": 'what is before @ must be a call, as in normal(mu, std) @ "name"',
    "ufunc 'matmul' did not contain a loop": (
        'what is before @ must be a call, as in normal(mu, std) @ "name"'
    ),
    "cannot be interpreted as an integer": (
        "parameters and real choices are floats; take a count or an index from an argument"
    ),
    "multiply sequence by non-int of type 'float'": "write np.array([...]) for the list",
    "assignment destination is read-only": (
        "values of parameters, choices and data are not changed; write np.where, or np.stack([...])"
    ),
    "truth value of an array": (
        "a condition takes one number; write np.where(condition, a, b) for one of each entry"
    ),
    "param() ": 'write param("name"), or param("name", value, constraint=positive)',
}
"""What to write where Python or numpy refuses what models often do by mistake."""


def _hint(error: Exception) -> str | None:
    if isinstance(error, GenParamsError):
        return None
    said = str(error)
    return next((hint for part, hint in _HINTS.items() if part in said), None)


_undecided: dict[Parameter, set[Run]] = {}
"""Parameters that a run declared and none has kept yet, with the runs in progress that read them.

When the last of these runs fails, the parameter is forgotten; when the first ends, it is kept.
"""


def keeping(runs: Iterable[Run]) -> list[tuple[Any, ...]]:
    """The calls for `all_at_once` that keep what runs have declared."""
    return [(_undecided.pop, p, None) for run in runs if run.held for p in run.held]


def _deep(error: RecursionError) -> RecursionError:
    """The error of a generative function that calls itself too deeply, or `error` itself."""
    frames, names, trail = 0, [], error.__traceback__
    while trail is not None:
        frames += 1
        if trail.tb_frame.f_code is Run.nested.__code__:
            names.append(trail.tb_frame.f_locals["function"].__name__)
        trail = trail.tb_next
    if len(names) * 12 < frames:
        return error  # of a function of Python's that calls itself
    return DeepRecursion(names[-1], len(names), sys.getrecursionlimit())


def in_progress() -> Run | None:
    """The execution in progress, if there is one."""
    run = _running.get()
    return None if run is None or run.function is None else run


def running(what: str) -> Run:
    """The execution in progress.

    Raises:
        NotRunning: there is none.
    """
    run = in_progress()
    if run is None:
        raise _outside(what)
    return run


def _outside(what: str) -> NotRunning:
    return NotRunning(
        f"{what} is outside a running generative function; decorate the function "
        "around it with @gen, "
        "or read a parameter with get_param(f, name)"
    )


_NO_INIT: Any = object()


def param(name: str, init: Any = _NO_INIT, constraint: Constraint | None = None) -> Any:
    """Read a parameter of the running function.

    Args:
        name: Its name, within the function whose body calls `param`.
        init: Its value at the first run, if `init_param` gave none before.
        constraint: Where its values lie; used with `init`. None means `real`, or what
            `init_param` asked for.

    Returns:
        The natural value: a float, or an array that cannot be written to.

    Raises:
        UninitializedParameter: it has no value and `init` is not given.
        ConstraintError: `init` lies outside the constraint; or the parameter has another constraint
            than the one here, and no call of `init_param` asked for that one.
        ArgumentError: a constraint is given and `init` is not.
        NotRunning: no generative function is running.
    """
    run = _running.get()
    if run is None or run.function is None:
        raise _outside(f"param({name!r})")
    if init is not _NO_INIT:
        run.declare(name, init, constraint)
    elif constraint is not None:
        raise ArgumentError(
            f"param({name!r}) has a constraint and no first value; write "
            f"param({name!r}, value, constraint={constraint!r})"
        )
    return run.parameter(run.function, name)


def _calls_in(value: Any) -> Iterator[Call]:
    """The calls in a returned value, not yet run."""
    if type(value) is Call:
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            if type(part) is not float:
                yield from _calls_in(part)
