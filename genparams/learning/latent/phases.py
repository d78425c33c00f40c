"""The phases of wake-sleep: what one step draws, and the gradients that it accumulates."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from genparams.dsl.gradients import accumulate_param_gradients
from genparams.learning.latent.pair import Pair, read_by, refuse_unrelated
from genparams.learning.training.batches import Item
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Trace
from genparams.update.param_update import ParamUpdate

Args = tuple[Any, ...]


Updates = Sequence[ParamUpdate]


class Accumulates(Protocol):
    """What accumulates the gradients of a step."""

    def accumulate(self, items: Iterable[Item], scale: float) -> float:
        """Add the gradients of some data, times `scale`; the sum of their objectives."""
        ...


@dataclass(slots=True)
class Weighted:
    """Traces with factors, whose gradients are accumulated together."""

    traces: list[Trace] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)

    def add(self, traces: Iterable[Trace], scales: Iterable[float]) -> None:
        """Add traces. One with the factor 0 is left out, since it may have no density."""
        for trace, scale in zip(traces, scales, strict=True):
            if scale != 0.0:
                self.traces.append(trace)
                self.scales.append(float(scale))

    def accumulate(self, scale: float = 1.0, executor: Any = None) -> list[float]:
        """Accumulate the gradients, times one more factor; the log probability of each trace."""
        scales = [scale * one for one in self.scales]
        done = accumulate_param_gradients(self.traces, scales, executor)
        return [log_prob for log_prob, _ in done]


def as_choices(constraints: Mapping[Any, Any]) -> ChoiceMap:
    """What is observed, as a choice map."""
    return constraints if isinstance(constraints, ChoiceMap) else ChoiceMap(constraints)


Gradients = Callable[[Args, ChoiceMap, Weighted, Weighted], float]
"""Adds the traces of the model and of the guide that one datum gives; returns its objective."""


class Learning:
    """The gradients of a model and of a guide, over the data of one step after another.

    A function without updates is held: its gradient is not computed.
    """

    def __init__(
        self,
        pair: Pair,
        model_updates: Updates,
        guide_updates: Updates,
        gradients: Gradients,
        executor: Any = None,
    ):
        self._trained = [
            ("model_update", model_updates, pair.model),
            ("guide_update", guide_updates, pair.guide),
        ]
        self._gradients, self._executor = gradients, executor
        self._checked = False

    def accumulate(self, items: Iterable[Item], scale: float) -> float:
        """Add the gradients of some data, times `scale`; the sum of their objectives.

        Raises:
            NothingToTrain: an update moves no parameter that its function reads.
        """
        found = Weighted(), Weighted()
        total = 0.0
        for args, constraints in items:
            total += self._gradients(args, as_choices(constraints), *found)
        each = [(*one, traces) for one, traces in zip(self._trained, found, strict=True) if one[1]]
        if not self._checked:
            for what, updates, function, weighted in each:
                refuse_unrelated(what, updates, read_by(weighted.traces), function)
            self._checked = True
        for *_, weighted in each:
            weighted.accumulate(scale, self._executor)
        return total
