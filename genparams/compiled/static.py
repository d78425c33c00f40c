"""Static functions: gradients that are recorded once and replayed as straight-line code.

A `StaticGradients` takes the place of the interpreter's gradients in a function. The first gradient
of a trace is interpreted, and recorded as a program. Later gradients of this trace, and of others
that differ from it in the numbers of its inputs alone, are replays of the program.

A replay is given up, and the gradient is interpreted, where a test of the program has another
answer, where its arithmetic raises, and where it finds a number that is not finite. So a replay
gives what the interpreter gives, or nothing. What a recording cannot see is found by comparing: the
first replay of a program, the fourth, the sixteenth and so on are run both ways.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from genparams.compiled.agreement import finds_run, refuse_other, refuse_recording
from genparams.compiled.code import checked_backend, code_of
from genparams.compiled.kept import Bound, Kept, Replayed
from genparams.compiled.keys import key_of
from genparams.compiled.programs import Programs
from genparams.compiled.recording import Open, record_gradient
from genparams.dsl import gradients
from genparams.dsl.comparison import refuse_changed_arguments
from genparams.dsl.gradients import Gradient
from genparams.dsl.interpreter import Run
from genparams.errors import StaticDiffers
from genparams.numeric import quiet
from genparams.params import added, finite_scale, lock, swap
from genparams.params.records import structure
from genparams.trace.selection import Selection
from genparams.trace.trace import ArgGrads, Trace, bound_of
from genparams.types import Address


class StaticGradients:
    """The gradients of the traces of a static function.

    Args:
        name: The name of the function.
        backend: What runs the programs: "numpy", or "numba".
    """

    choice_gradients = staticmethod(gradients.choice_gradients)
    param_gradients = staticmethod(gradients.param_gradients)

    def __init__(self, name: str, backend: str = "numpy"):
        self.name, self.backend = name, checked_backend(backend)
        self.programs = Programs(name, "the gradients")
        self._mode = os.environ.get("GENPARAMS_STATIC", "")

    # --- What a trace asks for

    def accumulate(
        self, traces: Sequence[Trace], retval_grads: Sequence[Any], scales: Sequence[float]
    ) -> list[tuple[float, ArgGrads]]:
        """`gradients.accumulate`; one replay is added without its steps for several traces."""
        if len(traces) == 1 and retval_grads[0] is None and self._is_quick(traces[0]):
            scale, done = finite_scale(scales[0]), self.replayed(traces[0])
            if done is not None and self._is_due(done.kept):
                done.kept.hits -= 1  # it is counted again below
            elif done is not None:
                with lock:
                    bound = done.bound
                    if not bound.positions.have_moved(done.then):
                        each = zip(bound.free, done.grads, strict=False)
                        swap(added([(p, scale * g, None) for p, g in each]))
                        return [(done.log_prob, (None,) * len(traces[0].args))]
        return gradients.accumulate(traces, retval_grads, scales)

    def differentiate_trace(
        self, trace: Trace, retval_grad: Any, runs: list[Run], selection: Selection | None = None
    ) -> Gradient:
        """`gradients.differentiate_trace`, by a replay where one is right."""
        if retval_grad is not None or trace._origin is not None or self._mode == "off":
            return gradients.differentiate_trace(trace, retval_grad, runs, selection)
        done = self.replayed(trace, selection)
        if done is not None and not self._is_due(done.kept):
            return done.gradient()
        found = gradients.differentiate_trace(trace, None, runs, selection)
        if done is None:
            done = self._learn(trace, selection, found)
        if done is None:
            return found
        self._compare(trace, done, found)
        return done.gradient()  # the same numbers for every step, wherever a training begins

    def _compare(self, trace: Trace, done: Replayed, found: Gradient) -> None:
        try:
            refuse_other(trace, self.name, done, found)
        except StaticDiffers as error:
            self.programs.stop(str(error))  # from now on it is interpreted
            raise

    def _is_quick(self, trace: Trace) -> bool:
        return trace._origin is None and not trace.gen_fn.grad_places and self._mode != "off"

    def _is_due(self, kept: Kept) -> bool:
        """Whether a replay is to be compared with the interpreter."""
        n = kept.hits
        return self._mode == "check" or (n & (n - 1) == 0 and n.bit_length() % 2 == 1)

    # --- Replays

    def ahead(self, trace: Trace) -> tuple[Bound, int] | None:
        """The program that replays a trace, with its data, and how many of the next replays are
        compared with nothing; None if the next gradient may be no replay.

        Raises:
            ReplayDiffers: an argument has changed since the trace was made.
        """
        known = trace._bound
        bound: Bound | None = known.get(threading.get_ident()) if known is not None else None
        if bound is None or bound.structure is not structure.now or self._mode in ("off", "check"):
            return None
        refuse_changed_arguments(trace)
        return bound, _until_due(bound.kept)

    @quiet
    def ahead_of(
        self, args: tuple[Any, ...], choices: Mapping[Address, Any]
    ) -> tuple[Bound, int] | None:
        """The same for a trace with these arguments and choices, which need not be made."""
        if self._mode in ("off", "check"):
            return None
        for kept in self.programs.newest():
            if kept.checked is not structure.now:
                continue
            values = kept.values(args, choices)
            if values is not None and kept.positions is not None:
                return Bound(kept, kept.positions, values, structure.now), _until_due(kept)
        return None

    def replayed(self, trace: Trace, selection: Selection | None = None) -> Replayed | None:
        """A replay of the gradient; None where the interpreter has to answer.

        Raises:
            ReplayDiffers: an argument has changed since the trace was made.
        """
        known, place = trace._bound, threading.get_ident()
        if selection is not None:
            place = place, *(a for a in trace.choices._values if a in selection)
        bound: Bound | None = known.get(place) if known is not None else None
        refuse_changed_arguments(trace)
        if bound is not None and bound.structure is structure.now:
            done = bound.run()
            if done is not None:
                bound.kept.hits += 1
                return done
        return self._by_another(trace, selection, place, bound)

    def _by_another(
        self, trace: Trace, selection: Selection | None, place: Any, last: Bound | None
    ) -> Replayed | None:
        """A replay of another program than the last one of this trace."""
        is_new = last is None or last.structure is not structure.now
        for kept in self.programs.of(self._key(trace, selection, self.programs.level)):
            if not is_new and last is not None and kept is last.kept:
                continue
            bound = kept.bound(trace)
            done = None if bound is None else bound.run()
            if done is not None:
                if not finds_run(trace, done):
                    self.programs.stop_and_tell(
                        "a replay does not find the log probability of the run: it depends on more "
                        "than its arguments, parameters and choices"
                    )
                    return None
                bound_of(trace)[place] = bound
                self.programs.used(kept, has_flipped=not is_new)
                return done
        return None

    def _key(self, trace: Trace, selection: Selection | None, opened: Open) -> tuple[Any, ...]:
        chosen = None
        if selection is not None:
            chosen = tuple(a for a in trace.choices._values if a in selection)
        return (chosen, *key_of(trace, opened))

    def _learn(
        self, trace: Trace, selection: Selection | None, interpreted: Gradient
    ) -> Replayed | None:
        """Record the gradient of a trace for which no program was right, unless that is useless;
        what the new program finds."""

        def record(opened: Open) -> Kept:
            found = record_gradient(trace, opened, selection)
            refuse_recording(found, interpreted)
            code = code_of(found, self.backend)
            return Kept.made(self._key(trace, selection, opened), trace, opened, found, code)

        kept = self.programs.learn(lambda opened: self._key(trace, selection, opened), record)
        bound = None if kept is None else kept.bound(trace)
        return None if bound is None else bound.run()


def _until_due(kept: Kept) -> int:
    """How many replays there are before one is compared with the interpreter."""
    return (1 << (kept.hits.bit_length() + 1) // 2 * 2) - kept.hits - 1
