"""The engine: an elementwise rule on certain parameters, which steps all of them or none."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from genparams.params import Parameter, is_finite
from genparams.update.rule import Pieces
from genparams.update.runs import Group, Parts, Run, Scratch, Singles, count_of, is_short


@contextmanager
def interrupts_later() -> Iterator[None]:
    """Let Ctrl-C wait for the end of what is inside."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, Any]] = []
    usual = signal.signal(signal.SIGINT, lambda *what: waiting.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if waiting and callable(usual):
            usual(*waiting[0])


class Engine:
    """An elementwise rule on certain parameters.

    Args:
        pieces: The rule's formulas, as `Rule.pieces` gives them.
        state: The rule's state, to which the engine writes from now on. What it holds by
            parameter is up to date after `note`.
    """

    def __init__(
        self,
        pieces: Callable[[Any], Pieces],
        state: dict[str, Any],
        parameters: dict[Parameter, None],
        minimize: bool,
    ):
        self.parameters = parameters
        self.made_for: Any = None
        self._taken = 0
        self._scratch = Scratch()
        parts = {p: _parts(pieces(p), state) for p in parameters}
        self._shared = [
            (piece.advance, at)
            for piece, at in _parts(pieces(None), state)
            if piece.advance is not None
        ]
        for store in {p.store: None for p in parameters}:
            store.pack()

        def alike(p: Parameter) -> Any:
            return [(piece, id(s), count_of(piece, s, p)) for piece, s in parts[p]]

        self.singles: list[Singles] = []
        singles: dict[Any, list[Parameter]] = {}
        for p in parameters:
            if p.buffer is None:
                singles.setdefault(tuple(alike(p)), []).append(p)
        for together in singles.values():
            group = Group(parts[together[0]], minimize, together[0])
            self.singles.append(Singles(group, together))
        self.runs: list[Run] = []
        for together in _side_by_side([p for p in parameters if p.buffer is not None], alike):
            group = Group(parts[together[0]], minimize, together[0])
            self.runs.append(Run(group, together, _dtype(parts[together[0]])))

    def is_current(self) -> bool:
        """Whether its parameters still lie where they lay."""
        return not self.runs or all(run.parameters[0].buffer is run.buffer for run in self.runs)

    def note(self) -> None:
        """Write what is kept by parameter into the rule's state."""
        for part in (*self.singles, *self.runs):
            part.note(self._taken)

    def step(self, given: Mapping[Parameter, Any] | None, done: Callable[[], None]) -> bool:
        """Step along given gradients, or the accumulated ones; False if one is not finite.

        Accumulators that were used are emptied. Unless it returns True nothing has changed, but
        for an interrupt: what it finds half done is undone if it is still being computed, and
        else finished.

        Args:
            done: Is called when the step is taken, perhaps twice.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        moved: list[tuple[Any, ...]] = []
        for part in self.singles:
            found = part.stepped(given, self._taken)
            if found is None:
                return False
            moved += found
        shared = [(state, advance(state)) for advance, state in self._shared]
        commit = moved, shared, self._taken + 1, given is None, done
        if not self.runs:  # as in _step_runs, whose lists are a tenth of so small a step
            try:
                self._commit(*commit)
            except BaseException:
                self._commit(*commit)
                raise
            return True
        with np.errstate(all="ignore"):  # what is not finite is looked for
            gradients = [run.gradient(given) for run in self.runs]
            short = [is_short(g) for g in gradients]
            if not all(short) and not all(map(is_finite, gradients)):
                return False
            if any(run.is_long for run in self.runs):
                with interrupts_later():
                    self._step_runs(gradients, short, commit)
            else:
                self._step_runs(gradients, short, commit)
        return True

    def _step_runs(
        self, gradients: list[np.ndarray], short: list[bool], commit: tuple[Any, ...]
    ) -> None:
        saved: list[tuple[Run, list[np.ndarray]]] = []
        computed = False
        try:
            for run, g, is_short in zip(self.runs, gradients, short, strict=True):
                saved.append((run, run.saved(is_short)))
                run.step(g, is_short, self._taken, self._scratch)
            computed = True
            self._commit(*commit)
        except BaseException:
            if computed:
                self._commit(*commit)
            else:
                for run, old in saved:
                    run.restore(old)
            raise

    def _commit(
        self,
        moved: list[tuple[Any, ...]],
        shared: list[tuple[dict, Mapping]],
        taken: int,
        emptied: bool,
        done: Callable[[], None],
    ) -> None:
        """Take what was computed; it does not matter if it is done twice."""
        for slot, theta, fields, value in moved:
            p = slot.parameter
            p._theta, p._value, slot.fields = theta, value, fields
            if emptied:
                p._grad, p.accumulated = 0.0, False
        for run in self.runs:
            run.finish(emptied)
        for state, after in shared:
            state.update(after)
        self._taken = taken
        done()


def _parts(pieces: Pieces, state: dict[str, Any]) -> Parts:
    """Formulas, each with its part of the state."""
    found = []
    for path, piece in pieces:
        at = state
        for name in path:
            at = at[name]
        found.append((piece, at))
    return found


def _dtype(parts: Parts) -> np.dtype | None:
    return next((piece.dtype for piece, _ in parts if piece.dtype is not None), None)


def _side_by_side(
    parameters: Iterable[Parameter], alike: Callable[[Parameter], Any]
) -> list[list[Parameter]]:
    """Those that follow each other in memory and step alike, together."""
    found: list[list[Parameter]] = []
    end: Any = None
    for buffer, at, p in sorted(map(_lying, parameters), key=lambda lying: lying[:2]):
        if (buffer, at, alike(p)) == end:
            found[-1].append(p)
        else:
            found.append([p])
        end = buffer, at + int(np.prod(p.shape)), alike(p)
    return found


def _lying(p: Parameter) -> tuple[int, int, Parameter]:
    """Where the numbers of a parameter are: in which memory, and from which place on."""
    assert p.buffer is not None
    return id(p.buffer), p.buffer.places[p].start, p
