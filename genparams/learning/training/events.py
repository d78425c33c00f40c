"""Events: what the callbacks of a loop are given after each step."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from genparams.errors import InvalidValue
from genparams.learning.training.tracked import Tracked
from genparams.mistakes import closed
from genparams.text import brief
from genparams.update.param_update import ParamUpdate


@closed()
class Event:
    """One step of a loop, after the parameters have moved.

    Attributes:
        step: Its number, from 1.
        epoch: The number of its epoch, from 1.
        end_of_epoch: Whether it was the last step of its epoch.
        log_prob: The objective, which `objective` names, at the values before the step.
        grad_norm: The norm of the gradient before the step, in unconstrained coordinates.
        seconds: The time since the loop began.
        updates: The updates that took the step.
        stopped_because: Why the loop ends with this step; empty if it goes on.
    """

    __slots__ = (
        "_tracked",
        "end_of_epoch",
        "epoch",
        "grad_norm",
        "log_prob",
        "objective",
        "seconds",
        "step",
        "stopped_because",
        "updates",
    )

    def __init__(
        self,
        step: int,
        epoch: int,
        end_of_epoch: bool,
        log_prob: float,
        grad_norm: float,
        seconds: float,
        objective: str,
        updates: Sequence[ParamUpdate],
        tracked: Tracked,
    ):
        self.step, self.epoch, self.end_of_epoch = step, epoch, end_of_epoch
        self.log_prob, self.grad_norm, self.seconds = log_prob, grad_norm, seconds
        self.objective, self.updates, self._tracked = objective, updates, tracked
        self.stopped_because = ""

    @property
    def params(self) -> Mapping[str, Any]:
        """The values of the parameters that the updates move, by name, after the step.

        They are for reading: a parameter gets a value by `set_param`.
        """
        return MappingProxyType(self._tracked.present())

    def stop(self, reason: str) -> None:
        """End the loop after this step; `reason` becomes `History.stopped_because`.

        Raises:
            InvalidValue: `reason` is no text.
        """
        if not isinstance(reason, str) or not reason:
            raise InvalidValue(f"event.stop takes the reason in words, got {brief(reason)}")
        self.stopped_because = self.stopped_because or reason

    def __repr__(self) -> str:
        return (
            f"Event(step {self.step}, epoch {self.epoch}, {self.objective} {self.log_prob:.6g}, "
            f"gradient norm {self.grad_norm:.3g})"
        )


Callback = Callable[[Event], Any]
"""A function of an `Event`.

One with a method `next_call(step)`, which returns the number of the first step after `step` that it
needs, may be left out in the steps before that one: a static function then takes them at once.
"""
