"""The interpreter: one execution of a generative function, and the two questions that it asks.

While a model runs it asks what a parameter is (`param`) and what a choice is (`call @ address`). A
`Run` holds how they are answered: `read` gives the value of a parameter, `choose` the value of a
choice. Drawing, constraining and replaying differ in these two functions only; what is checked and
what is recorded is here, once.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from genparams.errors import (
    AddressConflict,
    AddressError,
    ArgumentError,
    InvalidValue,
    NotRunning,
    UnaddressedChoice,
    UnusedConstraint,
    nearest,
)
from genparams.params import Parameter, ParamStore, lock, real
from genparams.trace.address import path
from genparams.types import Address, Constraint, show


class Owner(Protocol):
    """What the interpreter asks of a function that owns parameters."""

    __name__: str
    params: ParamStore


class Body(Owner, Protocol):
    """What the interpreter asks of a function whose body is written in the language."""

    body: Callable[..., Any]

    def refuse_wrong_arguments(self, args: tuple, kwargs: dict, error: TypeError) -> None: ...


Choose = Callable[[Address, Any, list[Any], Any], Any]
Read = Callable[[Parameter], Any]

_running: ContextVar["Run | None"] = ContextVar("genparams_run", default=None)


class Call:
    """A generative function and its arguments, not yet run; `call @ address` runs it there."""

    __slots__ = ("args", "fn", "options")

    def __init__(self, fn: Any, args: tuple[Any, ...], options: Any):
        self.fn = fn
        self.args = args
        self.options = options

    def __matmul__(self, address: Any) -> Any:
        run = _running.get()
        if run is None:
            raise NotRunning(
                f"{self!r} @ {address!r} stands outside a running generative function; "
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

    __hash__ = object.__hash__
    __eq__ = __ne__ = __mod__ = __floordiv__ = __round__ = _used
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = (
        __pow__
    ) = __rpow__ = _used
    __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = (
        __bool__
    ) = _used
    __format__ = __and__ = __or__ = __iter__ = __len__ = __getitem__ = __rmatmul__ = __array__ = (
        __array_ufunc__
    ) = __array_function__ = _used


class Run:
    """One execution: how its questions are answered, and what happened so far."""

    __slots__ = (
        "branches",
        "calls",
        "choose",
        "clones",
        "declared",
        "function",
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
        self.clones: dict[Any, Any] = {}  # by the function that a clone stands for while it runs
        self.reads: dict[Parameter, Owner] = {}
        self.declared: list[Parameter] = []

    def execute(self, call: Call, check: Callable[["Run"], None] | None = None) -> Any:
        """Run a call at the root; if it or the check fails, what it declared is forgotten."""
        token = _running.set(self)
        self.root = call.fn
        try:
            retval = call.fn.perform(self, call, ())
            if check is not None:
                check(self)
        except BaseException:
            self.forget()
            raise
        finally:
            _running.reset(token)
        for parameter, function in self.reads.items():
            call.fn.seen[function.params, parameter.name] = None  # what `callees=True` trains
        return retval

    def forget(self) -> None:
        """Undo the declarations of parameters."""
        for p in self.declared:
            if p.name in p.store and p.store[p.name] is p:
                p.store.discard(p.name)

    def choice(self, distribution: Any, args: tuple[Any, ...], size: Any, key: Address) -> Any:
        """Answer what the choice at `key` is, and record it with its log probability."""
        address = self.prefix + key
        self._claim(address, len(key))
        try:
            operands = list(args) if distribution.verbatim else distribution.operands(args)
            value = self.choose(address, distribution, operands, size)
            log_prob = distribution.log_prob_of(value, operands)
        except InvalidValue as error:
            raise type(error)(f"{error} (at {show(address)})") from None
        except TypeError as error:
            for name, a in zip(distribution.arguments, args, strict=False):
                if isinstance(a, Call):
                    raise UnaddressedChoice(
                        f'{name} of {distribution.__name__} is {a!r}; write {a!r} @ "name"'
                    ) from error
            raise
        self.values[address] = value
        self.log_probs[address] = log_prob
        return value

    def nested(
        self, function: Body, args: tuple[Any, ...], kwargs: dict[str, Any] | None, key: Address
    ) -> Any:
        """Run a function's body with its own parameters, its addresses below `key`.

        The empty key stands for the root, and for a function whose addresses are the caller's.
        """
        address = self.prefix + key
        if key:
            self._claim(address, len(key))
            self.branches.add(address)
        outer = self.function, self.prefix
        self.function, self.prefix = function, address
        try:
            retval = function.body(*args, **kwargs) if kwargs else function.body(*args)
        except TypeError as error:
            function.refuse_wrong_arguments(args, kwargs or {}, error)
            raise
        finally:
            self.function, self.prefix = outer
        kind = type(retval)
        if kind is Call or kind is tuple or kind is list:
            self._refuse_calls(function, retval)
        if key:
            self.calls[address] = (function, retval)
        return retval

    def _refuse_calls(self, function: Body, retval: Any) -> None:
        for value in (retval,) if type(retval) is Call else retval:
            if type(value) is Call:
                raise UnaddressedChoice(
                    f"{function.__name__} returned {value!r} without running it; "
                    f'write {value!r} @ "name"'
                )

    def parameter(self, function: Owner, name: str) -> Any:
        """Answer what a parameter of a function is."""
        parameter = function.params.lookup(name)
        self.reads[parameter] = function
        return self.read(parameter)

    def declare(self, name: str, init: Any, constraint: Constraint) -> None:
        """Give a parameter of the running function its first value, if it has none."""
        store = self.function.params
        with lock:
            if name not in store:
                self.declared.append(store.init(name, init, constraint))

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
        except TypeError:
            path(address)
            raise AddressError(f"{show(address)} is not hashable") from None
        if length == 1:
            return
        for end in range(len(address) - 1, len(address) - length, -1):
            prefix = address[:end]
            if prefix in self.values or prefix in self.calls:
                kind = "choice" if prefix in self.values else "call"
                raise AddressConflict(
                    f"{self._who()} visited {show(address)}, below the {kind} at {show(prefix)}"
                )
            if prefix in self.branches:
                break
            self.branches.add(prefix)

    def unvisited(self, address: Address) -> UnusedConstraint:
        """The error for a value that was given and never asked for."""
        if address in self.calls:
            hint = f"{show(address)} is a call; give values for the choices below it"
        elif address in self.branches:
            below = next(a for a in self.values if a[: len(address)] == address)
            hint = f"choices such as {show(below)} lie below it; write {{{show(address)}: {{...}}}}"
        elif self.values:
            hint = nearest(show(address), map(show, self.values))
        else:
            hint = "it made no choices"
        return UnusedConstraint(f"{self.root.__name__} never visited {show(address)}; {hint}")

    def _who(self) -> str:
        return self.function.__name__ if self.function else "a run"


def running(what: str) -> Run:
    """The execution in progress.

    Raises:
        NotRunning: there is none.
    """
    run = _running.get()
    if run is None or run.function is None:
        raise NotRunning(
            f"{what} stands outside a running generative function; decorate the function "
            "around it with @gen, "
            "or read a parameter with get_param(f, name)"
        )
    return run


_NO_INIT: Any = object()


def param(name: str, init: Any = _NO_INIT, constraint: Constraint = real) -> Any:
    """Read a parameter of the running function.

    Args:
        name: Its name, within the function whose body this stands in.
        init: Its value at the first run, if `init_param` gave none before.
        constraint: Where its values lie; used with `init`.

    Returns:
        The natural value: a float, or an array that cannot be written to.

    Raises:
        UninitializedParameter: it has no value and `init` is not given.
        NotRunning: no generative function is running.
    """
    run = running(f"param({name!r})")
    if init is not _NO_INIT:
        run.declare(name, init, constraint)
    return run.parameter(run.function, name)
