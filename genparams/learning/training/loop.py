"""The loop that every iterative learner runs in.

A learner is a function that does the work of one step: it accumulates gradients and returns the
objective. The loop applies the updates, all or none, and does everything else: it records, calls
callbacks, shows progress, ends at Ctrl-C, writes checkpoints and goes on from them.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from genparams.errors import AccumulatorsNotEmpty, InvalidValue, UpdateError
from genparams.learning.checks import check_count
from genparams.learning.progress import Report, shown_at_a_terminal
from genparams.learning.training.bursts import LONGEST, Bursts, Taken
from genparams.learning.training.events import Callback, Event
from genparams.learning.training.history import History
from genparams.learning.training.interrupts import INTERRUPTED, interrupts
from genparams.learning.training.position import Finished, Position
from genparams.learning.training.recorder import Recorder
from genparams.learning.training.saving import Saving
from genparams.mistakes import refuse_other_functions
from genparams.params import Parameter, ParamStore, emptied, labels, lock, swap
from genparams.text import brief, counted
from genparams.update.number_loop import Notes
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import dotted
from genparams.update.together import Together

Work = Callable[[], float]
"""One step of a learner: it accumulates the gradients and returns the objective before the step."""

SHOWN_EVERY = 0.05
"""The shortest time between two reports of progress, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """How a loop runs. Every learner passes its own keywords of these names on."""

    steps: int | None = None
    """The most steps, those before a resume included; None for no limit."""
    expected: int | None = None
    """How many steps there will be, for progress; None if that is not known."""
    objective: str = "log probability"
    """What the work returns, in words."""
    title: str = "train"
    """The name of the learner, for progress and errors."""
    functions: Sequence[Any] = ()
    """The generative functions and stores whose parameters the work may read."""
    callbacks: Sequence[Callback] = ()
    """Called with an `Event` after each step, in this order."""
    history_every: int = 1
    """Every so many steps are recorded, and the last one."""
    record_params: bool | None = None
    """Whether the values of parameters are recorded; None: if they have at most 100 numbers."""
    progress: bool = False
    """Whether progress is shown where the standard error output is a terminal."""
    rng: np.random.Generator | None = None
    """What the work draws from, for checkpoints."""
    checkpoint: str | os.PathLike[str] | None = None
    """The file of checkpoints; the last is written when the loop ends, however it ends."""
    checkpoint_every: int | None = None
    """Every so many steps a checkpoint is written; None for the last one only."""
    resume: bool = False
    """Whether to go on from the checkpoint, if there is one."""
    compared: Mapping[str, Any] = field(default_factory=dict)
    """Options of the learner, by name, that a checkpoint has and a resume may not change."""
    position: Position | None = None
    """Where the work is in its data; None if it has no epochs."""
    bursts: Bursts | None = None
    """What takes several steps at once where the learner can."""


def run_loop(
    work: Work, updates: ParamUpdate | Sequence[ParamUpdate], options: LoopOptions
) -> History:
    """Take steps until there is a reason to stop.

    In each step `work()` accumulates gradients, the updates that have any are applied, all or none,
    and the callbacks are called. After an error of the work or of a callback the parameters are as
    the last complete step left them, the accumulators are empty, and the error goes on with the
    history of the steps in its attribute `history`.

    Raises:
        AccumulatorsNotEmpty: a gradient waits at the start, or a callback leaves one.
        UpdateError: these are no updates, one has minimize=True, or two move one parameter.
        InvalidValue: an option has a value that it does not take.
        StateMismatch, CheckpointError: the checkpoint cannot be loaded.
    """
    loop = _Loop(work, checked_updates(options.title, updates), options)
    return loop.run()


def checked_updates(title: str, updates: Any) -> list[ParamUpdate]:
    """One update or several as a list.

    Raises:
        UpdateError: these are no updates, one has minimize=True, or two move one parameter.
    """
    found: list[Any] = [updates] if isinstance(updates, ParamUpdate) else []
    if isinstance(updates, Sequence):
        found = list(updates)
    if not found:
        raise UpdateError(
            f"{title} takes an update or a list of them, got {brief(updates)}; write "
            "ParamUpdate(ADAM(0.01), f)"
        )
    moved: set[Parameter] = set()
    for update in found:
        if not isinstance(update, ParamUpdate):
            raise UpdateError(f"{title} takes updates, got {brief(update)}")
        if update.minimize:
            raise UpdateError(
                f"{title} climbs a log probability or a bound of one, and an update with "
                "minimize=True would go down; leave minimize out"
            )
        mine = update.covers()
        if twice := [p for p in mine if p in moved]:
            raise UpdateError(
                f"two updates move {dotted(twice)}, and the gradients are for one; name the "
                "parameters of each: ParamUpdate(rule, f=['a'])"
            )
        moved.update(mine)
    return found


class _Loop:
    """The state of a loop while it runs."""

    def __init__(self, work: Work, updates: list[ParamUpdate], options: LoopOptions):
        _check(options)
        self.work, self.updates, self.options = work, updates, options
        self.callbacks = list(options.callbacks)
        self.position = options.position or Position()
        self.refuse_waiting()
        self.recorder = Recorder(updates, options.record_params)
        self.apply = updates[0].apply if len(updates) == 1 else Together(updates).apply
        self.every = options.history_every
        self.taken, self.offset, self.saved = 0, 0.0, 0
        self.last: tuple[Any, ...] = ()  # a record of the last step
        self.pending: tuple[float, ...] = ()  # the objective and the norm of a step being taken
        self.taking: Taken | None = None  # a burst that is not yet counted
        self.drawn_from: Any = None  # the state of the generator before a step being taken
        self.reason = ""
        self.stop = ""  # the reason of a callback, which a checkpoint keeps
        self.saving = self.made_saving()
        draws = self.saving is not None and options.rng is not None
        self.bits = options.rng.bit_generator if draws and options.rng else None

    def parameters(self) -> list[Parameter]:
        """Every parameter to which the work may add a gradient."""
        found = [p for update in self.updates for p in update.covers()]
        for function in self.options.functions:
            store = function if isinstance(function, ParamStore) else _store_of(function)
            found += store.values()
            seen: list[tuple[ParamStore, str]] = [*getattr(function, "seen", ())]
            found += [s[name] for s, name in seen if name in s]
        return list(dict.fromkeys(found))

    def refuse_waiting(self) -> None:
        waiting = [p for p in self.parameters() if p.accumulated]
        if waiting:
            of, name = next(iter(labels([waiting[0].store]).values())), waiting[0].name
            raise AccumulatorsNotEmpty(
                f"gradients wait at {dotted(waiting)}, and {self.options.title} would add to them; "
                f"empty them with zero_param_grad({of}, {name!r}), or use them with update.apply()"
            )

    def empty(self) -> None:
        """Empty every accumulator."""
        with lock:
            waiting = [p for p in self.parameters() if p.accumulated]
            if waiting:
                swap(emptied(waiting))

    # --- Running

    def run(self) -> History:
        options, saving = self.options, self.saving
        if options.resume and saving is not None and saving.exists():
            self.last, self.stop = saving.load()
            self.reason = self.stop
            if self.last:
                self.taken = self.saved = self.last[0]
                self.offset = self.last[-1]
        else:
            for begin in [getattr(c, "begin_training", None) for c in self.callbacks]:
                if begin is not None:
                    begin()
        expected = options.steps if options.expected is None else options.expected
        shown = shown_at_a_terminal(options.title, options.progress, expected)
        try:
            with interrupts() as interrupted, shown as report:
                self.steps(interrupted, report)
        except KeyboardInterrupt:
            self.count_broken_off()
            self.reason = INTERRUPTED
        except Exception as error:
            self.reason = f"of an error: {type(error).__name__}"
            with suppress(AttributeError):
                error.history = self.history()  # type: ignore[attr-defined]
            raise
        finally:
            self.empty()
            self.save()
        return self.history()

    def steps(self, interrupted: Callable[[], bool], report: Report) -> None:
        """Take steps until there is a reason to stop."""
        options, every = self.options, self.options.checkpoint_every
        begin, next_report = perf_counter() - self.offset, 0.0
        while not self.reason:
            if options.steps is not None and self.taken >= options.steps:
                were = "was" if options.steps == 1 else "were"
                self.reason = f"{counted(options.steps, 'step')} {were} taken"
                break
            try:
                if not self.take_burst(begin):
                    self.one_step(begin)
            except Finished as end:
                self.reason = str(end)
                break
            if options.progress and self.offset >= next_report:
                report(self.taken, f"{options.objective} {self.last[2]:.6g}")
                next_report = self.offset + SHOWN_EVERY
            if self.callbacks:
                self.call()
            if every is not None and self.taken % every == 0:
                self.save()
            if interrupted():
                self.reason = self.reason or INTERRUPTED

    def save(self) -> None:
        """Write a checkpoint of the last complete step, if there is none yet."""
        if self.saving is None or self.taken == self.saved:
            return
        before = self.drawn_from or self.position.drawn_from
        if before is not None and self.bits is not None:
            self.bits.state = before  # as it was before a step that was not taken
        self.saving.save(self.last, self.stop)
        self.saved = self.taken

    def take_burst(self, begin: float) -> bool:
        """Take several steps at once, if the learner can and nothing happens between them."""
        bursts = self.options.bursts
        most = self.plain_steps() if bursts is not None else 0
        if bursts is None or most < 2:
            return False
        notes = Notes(perf_counter, perf_counter() + LONGEST, self.taken + 1, self.every)
        self.taking = taken = bursts.take(most, notes, begin, self.recorder.noted())
        if taken is None or not bursts.commit():
            self.taking = None
            return False
        self.count_all(taken)
        return True

    def plain_steps(self) -> int:
        """How many steps there are before something else is to be done."""
        options, taken = self.options, self.taken
        ends = [step for callback in self.callbacks if (step := _next_call(callback, taken))]
        if len(ends) < len(self.callbacks):
            return 0
        if options.steps is not None:
            ends.append(options.steps)
        if options.checkpoint_every is not None:
            ends.append(taken + options.checkpoint_every - taken % options.checkpoint_every)
        return min(ends, default=sys.maxsize) - taken

    def one_step(self, begin: float) -> float:
        """Do the work, apply the updates, and record."""
        if self.bits is not None:
            self.drawn_from = self.position.drawn_from or self.bits.state
        log_prob = self.work()
        self.pending = (log_prob, self.recorder.now().grad_norm())
        self.apply()
        self.count(begin)
        return log_prob

    def count(self, begin: float) -> None:
        """Note that the pending step was taken."""
        position = self.position
        position.step()
        self.taken = taken = self.taken + 1
        self.offset = offset = perf_counter() - begin
        self.last = last = (taken, position.epoch, *self.pending, offset)
        self.pending, self.drawn_from = (), None
        if taken % self.every == 0:
            self.recorder.add(last)

    def count_all(self, taken: Taken) -> None:
        """Note that the steps of a burst were taken."""
        self.last, notes = taken.last, taken.notes
        self.taken, self.offset = self.last[0], self.last[-1]
        self.taking = None
        taken.count()
        recorded = slice(-notes.first % self.every, None, self.every)
        columns = [column[recorded].copy() for column in taken.columns]
        self.recorder.add_all(columns, notes.numbers, notes.arrays)

    def count_broken_off(self) -> None:
        """Note a step that an interrupt broke off, if the parameters have moved already."""
        if self.taking is not None and self.taking.is_committed():
            self.count_all(self.taking)
        if self.pending and not any(p.accumulated for u in self.updates for p in u.covers()):
            self.count(perf_counter() - self.offset)

    def call(self) -> None:
        """Call the callbacks."""
        step, epoch, log_prob, grad_norm, seconds = self.last
        event = Event(
            step,
            epoch,
            self.position.end_of_epoch,
            log_prob,
            grad_norm,
            seconds,
            self.options.objective,
            self.updates,
            self.recorder.tracked,
        )
        before = self.recorder.now().waiting()
        for callback in self.callbacks:
            callback(event)
            if self.recorder.now().waiting() > before:
                raise self.added_to(callback)
        self.reason = self.stop = event.stopped_because

    def added_to(self, callback: Callback) -> AccumulatorsNotEmpty:
        name = getattr(callback, "__name__", type(callback).__name__)
        waiting = [p for p in self.recorder.tracked.names if p.accumulated]
        return AccumulatorsNotEmpty(
            f"the callback {name} left gradients at {dotted(waiting)}, and the next step of "
            f"{self.options.title} would add to them; read gradients with trace.param_gradients(), "
            "which accumulates nothing"
        )

    # --- The end

    def history(self) -> History:
        return self.recorder.history(self.options.objective, self.reason, self.last)

    def made_saving(self) -> Saving | None:
        options = self.options
        if options.checkpoint is None:
            return None
        return Saving(
            options.checkpoint,
            lambda: dict.fromkeys(p.store for p in self.parameters()),
            self.updates,
            self.callbacks,
            options.rng,
            self.position,
            self.recorder,
            {**options.compared, "history_every": options.history_every},
        )


def _check(options: LoopOptions) -> None:
    """Refuse options with values that they do not take."""
    check_count("history_every", options.history_every)
    if options.record_params not in (None, True, False):
        raise InvalidValue(
            f"record_params is True, False or None, got {brief(options.record_params)}"
        )
    if options.checkpoint is not None and not isinstance(options.checkpoint, str | os.PathLike):
        raise InvalidValue(
            f"checkpoint is the path of a file, such as 'run.npz', got {brief(options.checkpoint)}"
        )
    if options.steps is not None:
        check_count("steps", options.steps, 0)
    if options.checkpoint_every is not None:
        check_count("checkpoint_every", options.checkpoint_every)
    if options.checkpoint is None and (options.checkpoint_every is not None or options.resume):
        raise InvalidValue(
            "checkpoint_every and resume need the file of the checkpoints; write "
            'checkpoint="run.npz"'
        )
    if not isinstance(options.callbacks, Sequence):
        raise InvalidValue(
            f"callbacks are a list of functions of an event, got {brief(options.callbacks)}"
        )
    for callback in options.callbacks:
        refuse_other_functions("a callback", callback, "event", InvalidValue)


def _next_call(callback: Callback, step: int) -> int | None:
    """The first step after `step` that a callback wants to be told of; None if it does not say."""
    asked = getattr(callback, "next_call", None)
    return None if asked is None else asked(step)


def _store_of(function: Any) -> ParamStore:
    """The store of a function; an empty one for a distribution."""
    return getattr(function, "params", None) or ParamStore()
