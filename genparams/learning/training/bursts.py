"""Bursts of training: many steps in one call, where nothing else happens between them.

The gradient of a static function is a program, and a rule for every number alike is one too. Where
the data of the next steps are one trace, and nobody has to be told of each step, the two alternate
on numbers of their own. The parameters, the state of the rule, the records and the counts follow at
the end of a burst, all at once. A step that is not plain, such as one with a gradient that is not
finite, ends a burst before it, and is taken in the usual way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.errors import CannotRecord
from genparams.learning.training.compiled_bursts import CompiledBursts, Data, cut, listed, same
from genparams.learning.training.passes import Passes
from genparams.learning.training.runs import Runs
from genparams.types import Array
from genparams.update.burst import Burst, Noted
from genparams.update.number_loop import Notes
from genparams.update.param_update import ParamUpdate

if TYPE_CHECKING:
    from genparams.compiled.kept import Bound, Kept

FEW = 8
"""For fewer steps than this a loop is not compiled."""
LONGEST = 0.05
"""How long a burst lasts, in seconds: so often Ctrl-C is looked for and progress is shown."""
MOST_IDLE = 64
"""The most steps between two attempts, where bursts end before their first step."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """The steps of a burst."""

    notes: Notes
    columns: tuple[Array, ...]
    """The columns of a history, with a row for each step."""
    is_committed: Callable[[], bool]
    """Whether the numbers are the current ones."""
    count: Callable[[], None]
    """Notes in the data and in the program that the steps were taken."""

    @property
    def last(self) -> tuple[Any, ...]:
        """The row of the last step."""
        return tuple([column[-1].item() for column in self.columns])


class Bursts:
    """Takes bursts of the steps of a training.

    Args:
        scale: The factor of gradients.
        estimate: From log probabilities of a minibatch of a size to the objective.
    """

    def __init__(
        self,
        runs: Runs,
        passes: Passes,
        updates: Sequence[ParamUpdate],
        scale: float,
        estimate: Callable[[Any, int], Any],
    ):
        self._runs, self._passes, self._updates = runs, passes, updates
        self._scale, self._estimate = scale, estimate
        self._burst: Burst | None = None
        self._kept: Any = None
        self._compiled: CompiledBursts | None = None
        self._wait = self._patience = 0
        self._is_over = False

    def take(self, most: int, notes: Notes, begin: float, noted: Noted) -> Taken | None:
        """Take at most so many steps; None if the next one has to be taken in the usual way.

        They count from `commit` on.

        Args:
            begin: When the loop began.
            noted: The parameters whose values are recorded.
        """
        if self._wait or self._is_over:
            self._wait -= 1
            return None
        found = self._next()
        burst = None if found is None else self._burst_of(found[0])
        if found is None or burst is None:
            self._pause()
            return None
        bound, ahead = found
        most = min(most, ahead, *[update.plain_steps() for update in burst.updates])
        if most < 1:
            return None
        self._run(burst, bound, most, notes, noted)
        if not len(notes.seconds):
            self._pause()
            return None
        self._patience = 0
        return Taken(
            notes,
            self._columns(notes, begin),
            burst.is_committed,
            self._count(bound, len(notes.seconds)),
        )

    def _pause(self) -> None:
        """Wait longer before the next attempt."""
        self._wait = self._patience = min(2 * self._patience + 1, MOST_IDLE)

    def _run(self, burst: Burst, bound: "Bound", most: int, notes: Notes, noted: Noted) -> None:
        compiled, scale = self._compiled, self._scale
        if compiled is not None and most >= FEW:
            burst.begin()
            try:
                size = self._size(bound)
                data_of = partial(self._data, bound)
                if compiled.run(data_of, most, size, scale, notes, noted):
                    return
            except (CannotRecord, ArithmeticError, ValueError):
                self._compiled = None  # the rule cannot be compiled, or has other numbers
            notes.clear()
        burst.begin()
        burst.run(bound.kept.code.step, self._bounds(bound, most), scale, notes, noted)

    def _size(self, bound: "Bound") -> int:
        """How many numbers the data of a step are, if steps have different data."""
        if self._passes.same[0] is not None:
            return 0
        return sum(a.size for a in bound.values.named().values())

    def _data(self, bound: "Bound", steps: int) -> Data:
        """The data of so many of the next steps, or of fewer, for a compiled loop."""
        if self._passes.same[0] is not None:
            return same(bound.kept, bound.values, steps)
        ahead = islice(self._passes.look(steps), steps)
        found = cut(bound.kept, [n.batch for n in ahead])
        return found or listed(bound.kept, self._bounds(bound, steps), steps)

    def _columns(self, notes: Notes, begin: float) -> tuple[Array, ...]:
        count = len(notes.seconds)
        epochs, sizes = self._passes.epochs_and_sizes(count)
        return (
            np.arange(notes.first, notes.first + count),
            epochs,
            self._estimate(np.array(notes.log_probs), sizes),
            np.array(notes.norms),
            np.array(notes.seconds) - begin,
        )

    def commit(self) -> bool:
        """Make the numbers of the last burst the current ones; False if others have changed them
        meanwhile, and then there are no more bursts."""
        assert self._burst is not None
        self._is_over = not self._burst.commit()
        return not self._is_over

    def _count(self, bound: "Bound", steps: int) -> Callable[[], None]:
        def counted() -> None:
            bound.kept.hits += steps
            self._passes.skip(steps)

        return counted

    def _next(self) -> tuple["Bound", int] | None:
        """The program of the next step, with its data, and how many steps it serves."""
        static = self._runs.gradients
        if not hasattr(static, "ahead"):  # it is of no static function
            return None
        batch, left = self._passes.same
        if batch is not None:
            trace = self._runs.trace_of(batch)
            found = None if trace is None else static.ahead(trace)
            return found and (found[0], min(left, found[1]))
        ahead = self._passes.look(1) if self._runs.is_plain else ()
        data = self._runs.data_of(ahead[0].batch) if ahead else None
        return None if data is None else static.ahead_of(*data)

    def _bounds(self, bound: "Bound", most: int) -> Iterator[Any]:
        """The data of the next steps, as far as the program serves them."""
        if self._passes.same[0] is not None:
            return repeat(bound.values, most)
        return chain([bound.values], self._others(bound.kept, most))

    def _others(self, kept: "Kept", most: int) -> Iterator[Any]:
        """The data of the steps after the next one."""
        for k in range(1, most):
            ahead = self._passes.look(k + 1)
            data = self._runs.data_of(ahead[k].batch) if len(ahead) > k else None
            values = None if data is None else kept.values(*data)
            if values is None:
                return
            yield values

    def _burst_of(self, bound: "Bound") -> Burst | None:
        """The burst of the updates that the program gives a gradient to; None if there is none."""
        burst = self._burst
        if burst is not None and self._kept is bound.kept and burst.is_current():
            return burst
        free = {*bound.free}
        updates = [u for u in self._updates if any(p in free for p in u.covers())]
        if not updates or not all(u.plain_steps() for u in updates):
            return None
        self._kept, self._burst = bound.kept, Burst(updates, bound.parameters, bound.free)
        self._compiled = CompiledBursts.of(bound.kept.code, self._burst)
        return self._burst
