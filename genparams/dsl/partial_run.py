"""Partial runs: an edit runs again the calls that it changes, and no others.

A changed choice belongs to a call. That call is run again with the arguments that it had. If it
returns what it returned before, nothing outside of it changes. Else the function that called it is
run again, in which a call is not run if its function, its arguments and the choices nested under it
are the same. A combinator goes on from its changed entries alone.

A partial run is right if a function depends on its arguments, parameters and choices only. So a
call is run alone, or not run, only where nothing else is likely: its arguments are numbers, texts
or tuples of these, which nobody can have changed, and the function was made before the run. What
fails in a partial run is run whole. The first partial run of a function, the fourth, the sixteenth
and so on are compared with a whole run: after a difference, the function is always run whole.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from genparams.dsl.call import Call
from genparams.dsl.execution import (
    execute,
    fingerprint,
    recorder,
    refuse_masked,
    refuse_traced,
    visits,
)
from genparams.dsl.interpreter import Choose, Run, checked_frame, refuse_uncalled
from genparams.dsl.replay import held
from genparams.structure import leaves
from genparams.trace.choices import same
from genparams.trace.record import ATOMS, Frame, Record, as_frame
from genparams.trace.trace import Trace
from genparams.types import Address


class Past:
    """The run of a trace, for a run that continues it."""

    def __init__(self, trace: Trace, changed: Iterable[Address]):
        self.record: Record = trace._record
        self.fresh: dict[Address, tuple[Any, Frame]] = {}
        """Calls that were run again before the function that called them: what they returned."""
        self.gone: list[Address] = []
        """Choices and calls of combinators that are no longer made."""
        self.retval: Any = None
        """What the root returned, if it was run."""
        self.settled: set[Address] = set()
        """The combinators whose parts that are no longer made are in `gone`."""
        self.dirty: dict[Address, dict[Address, None]] = {(): {}}
        """By the address of a call: its parts that have a changed choice."""
        self.caller: dict[Address, Address] = {}
        """By the address of such a call: the address of the call that made it."""
        for address in changed:
            above: Address = ()
            for n in range(1, len(address)):
                part = address[:n]
                if part in self.caller or self.record.frame(part) is not None:
                    self.caller[part] = above
                    self.dirty.setdefault(above, {})[part] = None
                    above = part
            self.dirty.setdefault(above, {})[address] = None
        self._plain: list[list[Any]] = []

    # --- Whether something is as it was

    def is_safe(self, value: Any) -> bool:
        """Whether nobody can have changed a value since it was recorded."""
        kind = type(value)
        return kind in ATOMS or (kind is tuple and all(map(self.is_safe, value)))

    def same(self, then: Any, now: Any) -> bool:
        """Whether two values are equal, and nobody can have changed them."""
        kind = type(then)
        if kind is not type(now):
            return False
        if kind in ATOMS:
            return then is now or (then == now and (then != 0 or _sign(then) == _sign(now)))
        return kind is tuple and len(then) == len(now) and all(map(self.same, then, now))

    def same_arguments(
        self, frame: Frame, args: tuple[Any, ...], options: dict[str, Any] | None
    ) -> bool:
        """Whether a call is given the arguments that it had."""
        if not self.same(frame.args, args):
            return False
        then, now = frame.options or {}, options or {}
        return then.keys() == now.keys() and all(self.same(then[k], now[k]) for k in then)

    def keeps_result(self, frame: Frame) -> bool:
        """Whether nobody can have changed what a call returned."""
        return frame.is_plain or self.is_safe(frame.retval)

    # --- Calls

    def call(
        self,
        run: Run,
        address: Address,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> tuple[Any, Frame]:
        """What a call returns, and its frame; it is run where it is not the same."""
        if address in self.fresh:
            return self.fresh[address]
        frame = self.record.frame(address)
        if frame is None or frame.function is not function:
            retval = run.body(function, function.body, args, kwargs, address)
            return retval, checked_frame(function, retval, args, kwargs, run.parts)
        if (
            address in self.dirty
            or not self.same_arguments(frame, args, kwargs)
            or not self.keeps_result(frame)
        ):
            return self._run_again(run, address, frame, args, kwargs)
        return self._given(frame), frame

    def _given(self, frame: Frame) -> Any:
        """What the caller of a plain call is given: it may change a list."""
        if type(frame.retval) is not list:
            return frame.retval
        self._plain.append(frame.retval)
        return frame.retval[:]

    def _run_again(
        self,
        run: Run,
        address: Address,
        frame: Frame,
        args: tuple[Any, ...],
        options: dict[str, Any] | None,
        climbs: bool = False,
    ) -> tuple[Any, Frame]:
        """Run a call that was run before; a combinator goes on.

        Args:
            climbs: Whether the arguments are the ones of the earlier run.
        """
        function = frame.function
        if function.resume is None:
            retval = run.body(function, function.body, args, options, address)
            return retval, checked_frame(function, retval, args, options, run.parts)
        entries = Entries(self, run, address, frame, climbs)
        resumed = functools.partial(function.resume, entries)
        retval = run.body(function, resumed, args, options, address)
        if entries.is_settled and entries.is_plain:
            new = as_frame((function, retval, True, args, options, run.parts))
            return self._given(new), new
        return retval, checked_frame(function, retval, args, options, run.parts)

    # --- Running again

    def run_again(self, run: Run, args: tuple[Any, ...] | None) -> None:
        """Run the innermost call that changes, and the calls around it as far as they change.

        Args:
            args: Other arguments of the root; None if it has the same.
        """
        address: Address = () if args is not None else self._start()
        while True:
            frame = self.record.frame(address)
            assert frame is not None
            run.parts = []
            given = frame.args if args is None else args
            if not address and frame.function.resume is None:
                self.retval = run.body(frame.function, frame.function.body, given, None, ())
                if not self._is_plain_list(self.retval):
                    refuse_uncalled(frame.function, self.retval)
                new = as_frame((frame.function, None, False, given, None, run.parts))
                self.fresh[()] = None, new
                return
            found = self._run_again(run, address, frame, given, frame.options, args is None)
            self.fresh[address] = found
            if not address or self.same(frame.retval, found[0]):
                self.retval = found[0]
                return
            address = self._alone(self.caller[address])

    def _is_plain_list(self, retval: Any) -> bool:
        """Whether it is the list that a call returned: to compare them is fast."""
        with suppress(ValueError):  # arrays in it have no truth value
            return type(retval) is list and retval in self._plain
        return False

    def _start(self) -> Address:
        """The innermost call around every changed choice that can be run by itself."""
        address: Address = ()
        while len(inside := self.dirty[address]) == 1:
            (part,) = inside
            if part not in self.dirty:
                break
            address = part
        return self._alone(address)

    def _alone(self, address: Address) -> Address:
        """The innermost call around one, or this call itself, that can be run by itself."""
        while address and not self._can_run_alone(address):
            address = self.caller[address]
        return address

    def _can_run_alone(self, address: Address) -> bool:
        """Whether a call can be run by itself, in place of the function that made it."""
        frame = self.record.frame(address)
        assert frame is not None
        function = frame.function
        if not self._is_older(function):
            return False
        if function.resume is None:  # a combinator does not look at its own arguments
            values = [*frame.args, *(frame.options or {}).values()]
            if not all(map(self.is_safe, values)):
                return False
        while address:
            address = self.caller[address]
            around = self.record.frame(address)
            assert around is not None
            if around.function.origin is not around.function:
                return False
        return True

    def _is_older(self, function: Any) -> bool:
        """Whether a function was made before the run, or combines such functions.

        A function that a body makes may see variables of the body, which change.
        """
        if function.origin is not function:
            return False
        if function.recipe is None:
            return function.made < self.record.born
        _, parts, named = function.recipe
        inner = leaves([*parts, *named.values()])
        return all(self._is_older(p) for p in inner if hasattr(p, "recipe"))

    def _changed_kind(self, part: Address, run: Run, frames: dict[Address, Frame]) -> bool:
        """Whether a call is now a choice, or a choice is now a call."""
        if part in run.values:
            return self.record.log_prob(part) is None
        return part in frames and self.record.frame(part) is None

    def all_gone(
        self, run: Run, frames: dict[Address, Frame], root: Frame | None
    ) -> tuple[list[Address], list[Address]]:
        """The choices and the calls that are no longer made."""
        gone = list(self.gone)
        for address, new in [*frames.items(), *([((), root)] if root else [])]:
            old = self.record.frame(address)
            if old is None or old is new or address in self.settled:
                continue  # a call that was not run has the parts that it had
            now = {*new.parts}
            gone += [p for p in old.parts if p not in now or self._changed_kind(p, run, frames)]
        choices, calls = [], []
        for part in gone:
            more = self.record.below(part)
            choices += [a for a in more[0] if a not in run.values]
            calls += [a for a in more[1] if a not in frames]
        return choices, calls


class NotPartial(Exception):
    """A call cannot be run by itself; the whole function is to be run."""


class Entries:
    """The entries of a combinator that is run again."""

    def __init__(self, past: Past, run: Run, address: Address, frame: Frame, climbs: bool):
        self._frame, self._past, self._run, self._address = frame, past, run, address
        self._climbs = climbs
        self.is_plain = frame.is_plain
        """Whether nobody can change what the entries returned, before or now."""
        self.is_settled = False

    @property
    def changed(self) -> list[Any]:
        """The entries with a changed choice, in order."""
        dirty = self._past.dirty.get(self._address, ())
        return sorted({part[len(self._address)]: None for part in dirty})

    def results(self) -> list[Any] | None:
        """What each entry returned, not to be changed; None if it may have changed since."""
        return self._frame.retval if self._past.keeps_result(self._frame) else None

    def has_arguments(self, args: tuple[Any, ...], since: int = 0) -> bool:
        """Whether these are the arguments that the combinator had, from one place on."""
        return self._climbs or self._past.same(self._frame.args[since:], args)

    def again(self, entry: Any, *state: Any) -> Any:
        """Run an entry with the arguments that it had; a step of `unfold` on another state."""
        address = (*self._address, entry)
        frame = self._past.record.frame(address)
        if frame is None or frame.options:
            raise NotPartial(address)
        args = (frame.args[0], *state, *frame.args[2:]) if state else frame.args
        if address not in self._past.fresh and not all(map(self._past.is_safe, args)):
            raise NotPartial(address)
        return frame.function(*args) @ entry

    def is_as_before(self, entry: int, result: Any) -> bool:
        """Whether an entry that was run again returned what it returned before."""
        self.is_plain = self.is_plain and type(result) in ATOMS
        before = self._frame.retval
        return entry < len(before) and self._past.same(before[entry], result)

    def settle(self, count: int) -> None:
        """Note that the entries before `count` are kept or run again, in order, and no others."""
        old, new = self._frame.parts, self._run.parts
        if count != len(old):
            more = count - len(old)
            self._run.parts = [*old, *new[-more:]] if more > 0 else old[:count]
            self._past.gone += old[count:]
        else:
            self._run.parts = old
        self._past.settled.add(self._address)
        self.is_settled = True


class Partial(NamedTuple):
    """What a partial run changes in a trace."""

    trace: Trace
    visited: dict[Address, float]
    """log p of each choice that was visited."""
    gone: list[Address]
    """The choices that are no longer visited."""


def partial_run(
    trace: Trace,
    changed: Sequence[Address],
    args: tuple[Any, ...] | None,
    choose: Choose,
    check: Callable[[Run], None],
) -> Partial | None:
    """Run the calls of a trace again that some changed choices, or other arguments, change.

    Returns:
        None where the whole function is to be run: the trace comes from another process, a
        parameter has moved since its run, nothing is known to change, or most of it does; or the
        partial run failed.
    """
    record, function = trace._record, trace.gen_fn
    if record.root is None or trace._origin is not None or not hasattr(function, "resume"):
        return None
    size = len((record.base or record).values)
    if (not changed and args is None) or 4 * len(changed) > size:
        return None
    if function.runs_whole or function.origin is not function or trace.is_stale:
        return None
    if args is not None and not isinstance(args, tuple):
        return None
    try:
        part = _run(trace, changed, args, choose, check)
    except Exception:  # the caller may catch it, or the whole run explains it
        return None
    function.edits += 1
    return _confirmed(trace, part) if _is_power_of_4(function.edits) else part


def _run(
    trace: Trace,
    changed: Sequence[Address],
    args: tuple[Any, ...] | None,
    choose: Choose,
    check: Callable[[Run], None],
) -> Partial:
    record, function = trace._record, trace.gen_fn
    given = trace.args if args is None else function.complete(args).args
    refuse_masked(function.argument_names, () if args is None else given)
    past = Past(trace, changed)
    read, values = recorder()
    run = Run(choose, read, past)
    call = Call(function, given, None)
    run.execute(call, check, perform=lambda: past.run_again(run, None if args is None else given))
    frames = {**run.frames, **{a: frame for a, (_, frame) in past.fresh.items()}}
    root = frames.pop((), None)
    results = [f.retval for f in frames.values() if not f.is_plain]
    refuse_traced(function, run.log_probs, results)
    choices, calls = past.all_gone(run, frames, root)
    parameters = trace.parameters
    if run.reads and any((f, p.name) not in parameters for p, f in run.reads.items()):
        parameters = {**parameters, **{(f, p.name): values[p] for p, f in run.reads.items()}}
    visited = {**run.log_probs}  # the record may add what is gone
    new = Trace(
        function,
        given,
        trace.retval if root is None else past.retval,
        parameters,
        record.edited(Record(run.values, run.log_probs, frames, root), choices, calls),
        trace._prints if args is None else tuple(map(fingerprint, given)),
    )
    return Partial(new, visited, choices)


def _is_power_of_4(n: int) -> bool:
    return n & (n - 1) == 0 and n.bit_length() % 2 == 1


def _confirmed(trace: Trace, part: Partial) -> Partial | None:
    """A partial run, or the whole run of its choices if that gives another result."""
    new = part.trace
    choices = new.choices._values
    try:
        whole = execute(new.gen_fn, new.args, held(new), visits(choices))
        if whole.log_probs == new.log_probs and same(whole.retval, new.retval):
            return part
    except Exception:
        whole = None
    new.gen_fn.runs_whole = True
    if whole is None:
        return None
    gone = [a for a in trace.choices if a not in choices]
    return Partial(whole, whole.log_probs, gone)


def _sign(x: Any) -> float:
    return math.copysign(1.0, x)
