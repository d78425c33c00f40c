"""The interpreter: one run of a generative function, and the two questions that it asks.

While a model runs it asks what a parameter is (`param`) and what a choice is (`call @ address`). A
`Run` holds the two functions that answer: `read` gives the value of a parameter, `choose` the value
of a choice. Drawing, constraining and replaying differ in these two functions only. The checks and
the records of a run are here.
"""

from collections.abc import Callable
from typing import Any, Protocol

from genparams.dsl.call import Call, current, running
from genparams.dsl.declarations import declare, forget, hold, keep_declared, undecided
from genparams.dsl.explanations import (
    error_of_body,
    error_of_choice,
    refuse_calls,
    too_deep,
    visited_twice,
    visited_under,
)
from genparams.errors import AddressError, ArgumentError, InvalidValue, TracedValueError
from genparams.params import Parameter, ParamStore, lock, lookup, restructured, swap
from genparams.trace.address import path
from genparams.trace.record import ATOMS, Frame, frame_of
from genparams.types import Address, Constraint, show


class Owner(Protocol):
    """A function that owns parameters."""

    __name__: str
    params: ParamStore


class Body(Owner, Protocol):
    """A function whose body is written in the language."""

    body: Callable[..., Any]

    def wrong_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ArgumentError | None: ...


class Earlier(Protocol):
    """An earlier run, some of whose calls need not be run again."""

    def call(
        self,
        run: "Run",
        address: Address,
        function: Body,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> tuple[Any, Frame]:
        """What a call returns, and its frame; it is run where it is not the same."""
        ...


Operands = list[Any]
"""A name for closures, whose annotations Python evaluates each time that they are made."""
Choose = Callable[[Address, Any, Operands, Any], Any]
"""From an address, a distribution, its arguments and its size to the value of the choice."""
Read = Callable[[Parameter], Any]


class Run:
    """One run: the two functions that answer its questions, and what happened so far."""

    __slots__ = (
        "branches",
        "choose",
        "clones",
        "earlier",
        "frames",
        "function",
        "held",
        "log_probs",
        "parts",
        "prefix",
        "read",
        "reads",
        "root",
        "values",
    )

    def __init__(self, choose: Choose, read: Read, earlier: Earlier | None = None):
        self.choose = choose
        self.read = read
        self.root: Any = None
        self.function: Any = None
        self.prefix: Address = ()
        self.values: dict[Address, Any] = {}
        self.log_probs: dict[Address, Any] = {}
        self.frames: dict[Address, Frame] = {}
        self.parts: list[Address] = []  # of the running function
        self.earlier = earlier  # the run that this one continues
        self.branches: set[Address] = set()  # every proper prefix of an address in use
        self.clones: dict[Any, Any] = {}  # by the function that a clone replaces while it runs
        self.reads: dict[Parameter, Owner] = {}
        self.held: dict[Parameter, None] = {}  # see declarations

    def execute(
        self,
        call: Call,
        check: Callable[["Run"], None] | None = None,
        keep: bool = True,
        perform: Callable[[], Any] | None = None,
    ) -> Any:
        """Run a call at the root; if it or the check fails, what it declared is removed.

        Args:
            keep: Whether what it declared is kept when it ends; else the caller decides later, by
                `keep_declared` or `forget`.
            perform: What is run; None means the whole call.
        """
        self.root = call.fn
        outer = current.get()
        try:
            current.set(self)
            retval = call.fn.perform(self, call, ()) if perform is None else perform()
            if check is not None:
                check(self)
            if self.reads:
                self._note_reads(call.fn.seen)
            if keep and self.held:
                with lock:
                    keep_declared([self], {})
        except BaseException as error:
            self.forget()
            if isinstance(error, RecursionError):
                raise too_deep(error, Run.body.__code__) from None
            raise
        finally:
            current.set(outer)
        return retval

    def _note_reads(self, seen: dict[tuple[ParamStore, str], None]) -> None:
        """Add the parameters of this run to those that runs of the root function have read."""
        new = [(f.params, p.name) for p, f in self.reads.items() if (f.params, p.name) not in seen]
        if new:
            with lock:
                swap(restructured())  # an update with `callees=True` may have more parameters now
                seen.update(dict.fromkeys(new))

    def forget(self) -> None:
        """Remove the parameters that this run declared, unless another run holds them."""
        forget(self)

    def choice(self, distribution: Any, args: tuple[Any, ...], size: Any, key: Address) -> Any:
        """The value of the choice at `key`, recorded with its log probability."""
        address = self.prefix + key
        self._claim(address, len(key))
        try:
            operands = distribution.operands(args)
            value = self.choose(address, distribution, operands, size)
            log_prob = distribution.log_prob_of(value, operands)
        except InvalidValue as error:
            raise type(error)(f"at {show(address)}: {error}") from None
        except TypeError as error:
            clearer = error_of_choice(distribution, args, address, error)
            if clearer is error:
                raise
            raise clearer from error
        self.values[address] = value
        self.log_probs[address] = log_prob
        self.parts.append(address)
        return value

    def nested(
        self, function: Body, args: tuple[Any, ...], kwargs: dict[str, Any] | None, key: Address
    ) -> Any:
        """Run a function's body with its own parameters, its addresses nested under `key`.

        The empty key is for the root, and for a function whose addresses are the caller's.
        """
        address = self.prefix + key
        if not key:
            retval = self.body(function, function.body, args, kwargs, address)
            refuse_uncalled(function, retval)
            return retval
        self._claim(address, len(key))
        self.branches.add(address)
        parts, self.parts = self.parts, []
        try:
            if self.earlier is None:
                retval = self.body(function, function.body, args, kwargs, address)
                frame = checked_frame(function, retval, args, kwargs, self.parts)
            else:
                retval, frame = self.earlier.call(self, address, function, args, kwargs)
        finally:
            self.parts = parts
        self.frames[address] = frame
        parts.append(address)
        return retval

    def body(
        self,
        function: Body,
        body: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        address: Address,
    ) -> Any:
        """The value of a body that reads the parameters of `function`."""
        outer = self.function, self.prefix
        self.function, self.prefix = function, address
        try:
            retval = body(*args, **kwargs) if kwargs else body(*args)
        except (AttributeError, TypeError, ValueError) as error:
            clearer = error_of_body(function, args, kwargs or {}, error)
            if clearer is error:
                raise
            raise clearer from error
        finally:
            self.function, self.prefix = outer
        return retval

    def parameter(self, function: Owner, name: str) -> Any:
        """The value of a parameter of a function."""
        store, before = function.params, undecided.now
        parameter = lookup(store, name)
        if before or undecided.now is not before:  # else nobody is declaring parameters
            while not hold(self, parameter):
                parameter = lookup(store, name)  # the run that declared it has failed
        self.reads[parameter] = function
        return self.read(parameter)

    def _claim(self, address: Address, length: int) -> None:
        """Refuse an address that is in use, or that is a prefix or an extension of one in use.

        `length` is how many keys the running function gave. Each new prefix is added to `branches`,
        so that the next address under it is checked by one look-up.
        """
        try:
            is_used = address in self.values or address in self.branches
        except TracedValueError:
            raise
        except TypeError:
            path(address)
            raise AddressError(f"{show(address)} is not hashable") from None
        if is_used:
            raise visited_twice(self, address)
        if length == 1:
            return
        for end in range(len(address) - 1, len(address) - length, -1):
            prefix = address[:end]
            is_branch = prefix in self.branches  # then no choice is there
            if prefix in self.frames or (not is_branch and prefix in self.values):
                raise visited_under(self, address, prefix)
            if is_branch:
                break
            self.branches.add(prefix)

    def leaves_no_room(self, address: Address) -> bool:
        """Whether no choice can be at an address: a call is there, or choices above or below."""
        return (
            address in self.frames
            or address in self.branches
            or any(address[:n] in self.values for n in range(1, len(address)))
        )


def refuse_uncalled(function: Body, retval: Any) -> None:
    """Refuse a return value that has a call in it which was not run."""
    kind = type(retval)
    if kind not in ATOMS and not (kind is list and {*map(type, retval)} <= ATOMS):
        refuse_calls(function, retval)


def checked_frame(
    function: Body,
    retval: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    parts: list[Address],
) -> Frame:
    """The frame of a call that was run; a return value with calls that were not run is refused."""
    frame = frame_of(function, retval, args, kwargs, parts)
    if not frame.is_plain:
        refuse_calls(function, retval)
    return frame


_NO_INIT: Any = object()


def param(name: str, init: Any = _NO_INIT, constraint: Constraint | None = None) -> Any:
    """Read a parameter of the running function.

    Args:
        name: Its name, within the function whose body calls `param`.
        init: Its value at the first run, if `init_param` gave none before.
        constraint: The set of its values; used with `init`. None means `real`, or the constraint
            that was given to `init_param`.

    Returns:
        The natural value: a float, or an array that cannot be written to.

    Raises:
        UninitializedParameter: it has no value and `init` is not given.
        ConstraintError: `init` lies outside the constraint; or the parameter has another constraint
            than the one here, and no call of `init_param` asked for that one.
        ArgumentError: a constraint is given and `init` is not.
        NotRunning: no generative function is running.
    """
    run = current.get()
    if run is None or run.function is None:
        run = running(f"param({name!r})")
    if init is not _NO_INIT:
        declare(run, run.function.params, name, init, constraint)
    elif constraint is not None:
        raise ArgumentError(
            f"param({name!r}) has a constraint and no first value; write "
            f"param({name!r}, value, constraint={constraint!r})"
        )
    return run.parameter(run.function, name)
