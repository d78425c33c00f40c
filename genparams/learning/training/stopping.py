"""Stopping tests: callbacks that end a loop. Their state is saved in its checkpoints."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, UnknownParameter, nearest
from genparams.learning.fitting.entries import keys_of
from genparams.learning.training.events import Event
from genparams.mistakes import closed, explained, refuse_other_functions
from genparams.text import brief, counted
from genparams.types import Array
from genparams.update.param_update import ParamUpdate
from genparams.update.settings import AT_LEAST_0, COUNT_FROM_1, checked

_VALUE = "value of "


@checked(patience=COUNT_FROM_1, least_gain=AT_LEAST_0)
@closed()
@dataclass(eq=False)
class EarlyStopping:
    """Stops when an objective has not risen for `patience` epochs in a row.

    At the end of each epoch the objective is an improvement if it is above the best so far by more
    than `least_gain`. NaN is not an improvement. The counts begin anew when a training begins; a
    resumed training goes on with them.

        held_out = EarlyStopping(5, lambda event: f.generate(args, constraints)[1])
        train(f, data, update, epochs=1000, callbacks=[held_out])

    Args:
        patience: The number of epochs in a row without improvement after which it stops.
        objective: From an `Event` to a number that is greater where the fit is better, such as the
            log probability of data that are not trained on. None: the mean of `event.log_prob`
            over the epoch.
        keep_best: Whether the values at the best epoch are kept, for `restore`.
    """

    patience: int
    objective: Callable[[Event], float] | None = None
    least_gain: float = 0.0
    keep_best: bool = False
    best: float = field(init=False, default=-math.inf)
    """The best value so far."""
    best_step: int = field(init=False, default=0)
    """The step after which it was found."""
    best_params: dict[str, Any] = field(init=False, default_factory=dict)
    """The values of the parameters there, by name, if they are kept."""
    bad: int = field(init=False, default=0)
    """How many epochs in a row were no improvement."""
    _sum: float = field(init=False, default=0.0)
    _count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.objective is not None:
            refuse_other_functions("objective", self.objective, "event", InvalidValue)

    def __call__(self, event: Event) -> None:
        self._sum += event.log_prob
        self._count += 1
        if not event.end_of_epoch:
            return
        value = self._sum / self._count if self.objective is None else self._asked(event)
        self._sum, self._count = 0.0, 0
        if value > self.best + self.least_gain:
            self.best, self.best_step, self.bad = value, event.step, 0
            if self.keep_best:
                self.best_params = {name: _copy(value) for name, value in event.params.items()}
            return
        self.bad += 1
        if self.bad >= self.patience:
            what = f"the {event.objective}" if self.objective is None else "the objective"
            epochs = counted(self.bad, "epoch")
            if self.best == -math.inf:
                event.stop(f"{what} had no finite value in {epochs}: the last was {value:.6g}")
                return
            last = ", and the last is NaN" if math.isnan(value) else ""
            event.stop(
                f"{what} has not risen for {epochs}: the best was {self.best:.6g} at step "
                f"{self.best_step}{last}"
            )

    def begin_training(self) -> None:
        """Forget an earlier training."""
        self.best, self.best_step, self.bad, self.best_params = -math.inf, 0, 0, {}
        self._sum, self._count = 0.0, 0

    def _asked(self, event: Event) -> float:
        assert self.objective is not None
        value = self.objective(event)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise InvalidValue(
                f"the objective of EarlyStopping gives one number, got {brief(value)}; "
                "f.generate(args, constraints) gives a trace and the number"
            ) from None

    @explained
    def restore(self, update: ParamUpdate) -> None:
        """Give the parameters of an update the values that they had at the best epoch.

        Raises:
            UnknownParameter: a parameter has no value there; nothing is changed.
        """
        names = keys_of(update.covers())
        for name in names.values():
            if name not in self.best_params:
                raise UnknownParameter(
                    f"no value of {name!r} was kept; "
                    + (
                        nearest(name, self.best_params)
                        if self.keep_best
                        else "write EarlyStopping(patience, keep_best=True)"
                    )
                )
        for p, name in names.items():
            p.set(self.best_params[name])

    def state_dict(self) -> dict[str, Any]:
        """The best value, its step and its parameters, and the counts."""
        kept = {_VALUE + name: value for name, value in self.best_params.items()}
        numbers = {"best": self.best, "best_step": self.best_step, "bad": self.bad}
        return {**numbers, "sum": self._sum, "count": self._count, **kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` gave."""
        self.best, self.bad = float(state["best"]), int(state["bad"])
        self.best_step = int(state["best_step"])
        self._sum, self._count = float(state["sum"]), int(state["count"])
        self.best_params = _values(state)


@checked(window=COUNT_FROM_1, tolerance=AT_LEAST_0)
@closed()
@dataclass(eq=False)
class StopAtPlateau:
    """Stops when the mean objective of `window` steps hardly rises from window to window.

        mean - mean before <= tolerance (1 + |mean|)

    The windows follow each other. Use a window of several epochs for minibatches, whose objective
    is an estimate.
    """

    window: int = 100
    tolerance: float = 1e-6
    _before: float = field(init=False, default=-math.inf)
    _sum: float = field(init=False, default=0.0)
    _count: int = field(init=False, default=0)

    def __call__(self, event: Event) -> None:
        self._sum += event.log_prob
        self._count += 1
        if self._count < self.window:
            return
        mean = self._sum / self._count
        before, self._before, self._sum, self._count = self._before, mean, 0.0, 0
        if mean - before <= self.tolerance * (1.0 + abs(mean)):
            event.stop(
                f"the mean {event.objective} of {counted(self.window, 'step')} was {mean:.6g}, "
                f"after {before:.6g} in the {self.window} before"
            )

    def begin_training(self) -> None:
        """Forget an earlier training."""
        self._before, self._sum, self._count = -math.inf, 0.0, 0

    def state_dict(self) -> dict[str, float]:
        """The mean of the window before, and the sum and count of this one."""
        return {"before": self._before, "sum": self._sum, "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` gave."""
        self._before, self._sum = float(state["before"]), float(state["sum"])
        self._count = int(state["count"])


@checked(tolerance=AT_LEAST_0)
@closed()
@dataclass(eq=False)
class StopAtGradient:
    """Stops when the norm of the gradient is at most `tolerance`, as it is at a maximum.

    It is for steps that use all data: the gradient of a minibatch does not go to 0.
    """

    tolerance: float

    def __call__(self, event: Event) -> None:
        if event.grad_norm <= self.tolerance:
            event.stop(f"the norm of the gradient was {event.grad_norm:.3g}")


@checked(tolerance=AT_LEAST_0, patience=COUNT_FROM_1)
@closed()
@dataclass(eq=False)
class StopAtChange:
    """Stops when no entry of a parameter changes any more.

        |value - value before| <= tolerance (1 + |value|)    for every entry

    in `patience` steps in a row. Values are natural values.
    """

    tolerance: float
    patience: int = 1
    still: int = field(init=False, default=0)
    """How many steps in a row changed nothing."""
    _before: dict[str, Any] = field(init=False, default_factory=dict)

    def __call__(self, event: Event) -> None:
        now = {name: np.array(value, dtype=float) for name, value in event.params.items()}
        before, self._before = self._before, now
        is_still = before.keys() == now.keys() and all(
            _is_near(now[name], before[name], self.tolerance) for name in now
        )
        self.still = self.still + 1 if is_still else 0
        if self.still >= self.patience:
            event.stop(
                f"no parameter changed by more than {self.tolerance:.3g} (relative to 1 + its "
                f"size) in {counted(self.still, 'step')}"
            )

    def begin_training(self) -> None:
        """Forget an earlier training."""
        self.still, self._before = 0, {}

    def state_dict(self) -> dict[str, Any]:
        """The count of steps without change, and the last values."""
        return {"still": self.still, **{_VALUE + name: v for name, v in self._before.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` gave."""
        self.still = int(state["still"])
        self._before = {name: np.asarray(v, float) for name, v in _values(state).items()}


def _is_near(now: Array, before: Array, tolerance: float) -> bool:
    if now.shape != before.shape:
        return False
    return bool(np.all(np.abs(now - before) <= tolerance * (1.0 + np.abs(now))))


def _values(state: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(_VALUE): _copy(v) for k, v in state.items() if k.startswith(_VALUE)}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
