"""Reducing the learning rate when a metric does not improve any more."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from genparams.errors import InvalidValue, StateMismatch
from genparams.mistakes import closed, explained
from genparams.text import brief
from genparams.update.settings import AT_LEAST_0, COUNT, Requirement, checked

BETWEEN_0_AND_1 = Requirement("above 0 and below 1", lambda v: 0 < v < 1, "0.1")


class HasLearningRates(Protocol):
    """What can have its learning rates reduced, such as a `ParamUpdate`."""

    @property
    def learning_rates(self) -> Mapping[str, float]: ...

    def set_learning_rates(self, rates: Mapping[str, float]) -> None: ...


@checked(
    factor=BETWEEN_0_AND_1, patience=COUNT, threshold=AT_LEAST_0, cooldown=COUNT, minimum=AT_LEAST_0
)
@closed()
@dataclass(eq=False, repr=False)
class ReduceOnPlateau:
    """Reduces the learning rates of an update when a metric does not improve any more.

        rate <- max(minimum, factor rate)    for each

    when `step` has been given more than `patience` values in a row without improvement. A value is
    an improvement if it is below the best so far by more than

        threshold |best|    if relative, else    threshold

    (above, if `maximize`). NaN is not an improvement. After a reduction, `cooldown` values are not
    counted.

    It differs from torch's ReduceLROnPlateau in two things. torch's relative threshold is
    threshold best: a negative metric, such as most log likelihoods, then improves when it gets
    worse. The two agree where the best is not negative. And torch skips a reduction of less than
    1e-8.

    Args:
        update: What has the learning rates: a `ParamUpdate`.
        patience: The number of values in a row without improvement that change nothing.
        minimum: The least learning rate.
        maximize: Whether a greater metric is better.

    Raises:
        InvalidValue: `update` has no learning rate that can be set.
    """

    update: HasLearningRates
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    relative: bool = True
    cooldown: int = 0
    minimum: float = 0.0
    maximize: bool = False
    best: float = field(init=False)
    bad: int = field(init=False, default=0)
    """How many values in a row were not an improvement."""
    cooling: int = field(init=False, default=0)
    """How many of the next values do not count."""

    def __post_init__(self) -> None:
        if not getattr(self.update, "learning_rates", None):
            raise InvalidValue(
                "ReduceOnPlateau takes an update whose learning rate is a number, such as "
                f"ParamUpdate(ADAM(0.01), f), got {brief(self.update)}"
            )
        self.best = -math.inf if self.maximize else math.inf

    @explained
    def step(self, value: float) -> bool:
        """Take a value of the metric; return whether the learning rate was reduced.

        Raises:
            InvalidValue: `value` is not a number.
        """
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise InvalidValue(
                f"ReduceOnPlateau.step takes one number, such as a mean loss, got {brief(value)}"
            ) from None
        if self._improves(value):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.cooling:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad <= self.patience:
            return False
        self.cooling, self.bad = self.cooldown, 0
        return self._reduce()

    def _improves(self, value: float) -> bool:
        if math.isinf(self.best):
            needed = 0.0
        else:
            needed = self.threshold * (abs(self.best) if self.relative else 1.0)
        return value > self.best + needed if self.maximize else value < self.best - needed

    def _reduce(self) -> bool:
        old = self.update.learning_rates
        new = {name: max(self.minimum, self.factor * rate) for name, rate in old.items()}
        lower = {name: rate for name, rate in new.items() if rate < old[name]}
        if lower:
            self.update.set_learning_rates(lower)
        return bool(lower)

    def state_dict(self) -> dict[str, float]:
        """The best value, the count of values without improvement, and the rest of the cooldown.

        The learning rate is not included: it is in the state of the update.
        """
        return {"best": self.best, "bad": self.bad, "cooling": self.cooling}

    @explained
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`.

        Raises:
            StateMismatch: a name is missing or not known, or a number is not valid; nothing is
                changed.
        """
        if set(saved) != set(self.state_dict()):
            raise StateMismatch(
                "the state of ReduceOnPlateau is best, bad and cooling, got "
                f"{', '.join(map(str, saved)) or 'nothing'}; give what state_dict() returned"
            )
        try:
            best, bad, cooling = (float(saved[name]) for name in self.state_dict())
        except (TypeError, ValueError):
            best = bad = cooling = math.nan
        if math.isnan(best) or not (COUNT.holds(bad) and COUNT.holds(cooling)):
            raise StateMismatch(
                "the state of ReduceOnPlateau is a number `best` and two counts, got "
                f"{dict(saved)!r}; give what state_dict() returned"
            )
        self.best, self.bad, self.cooling = best, int(bad), int(cooling)

    def __repr__(self) -> str:
        names = "factor", "patience", "threshold", "relative", "cooldown", "minimum", "maximize"
        settings = (f"{name}={getattr(self, name)!r}" for name in names)
        return f"ReduceOnPlateau({self.update!r}, {', '.join(settings)})"
