"""A tracer: a record of each step of an update."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import InvalidValue
from genparams.mistakes import closed, explained
from genparams.params import Parameter
from genparams.text import brief
from genparams.update.clipping import norm
from genparams.update.settings import COUNT, checked
from genparams.update.targets import names_of


@dataclass(frozen=True, slots=True)
class Step:
    """The effect of one step on one parameter. Norms are L2, in unconstrained coordinates."""

    step: int
    function: str
    parameter: str
    grad_norm: float
    """Of the gradient before the rule: before any clipping."""
    value_norm: float
    step_norm: float
    nonfinite: int
    """How many entries of the gradient are NaN or infinite."""
    address: str | None
    """The choice whose log probability made those entries, where it is known."""

    @property
    def ratio(self) -> float:
        """The length of the step over the length of the coordinates before it; NaN for 0 / 0."""
        if self.value_norm == 0.0:
            return math.inf if self.step_norm > 0.0 else math.nan
        return self.step_norm / self.value_norm


@checked(limit=COUNT.or_none())
@closed()
class GradientTracer:
    """Records, for each step and parameter, the norm of the gradient and the effect of the step.

        tracer = GradientTracer()
        update = ParamUpdate(ADAM(0.1), f, tracer=tracer)
        ...
        tracer.records[-1].ratio

    A step that is refused is recorded too, with a step of length 0.

    Args:
        limit: How many of the latest records to keep; None for all.
    """

    limit: int | None
    records: list[Step]

    def __init__(self, limit: int | None = None):
        self.limit = limit
        self.records = []

    @explained
    def global_norm(self, step: int) -> float:
        """The norm of all gradients of one step together, before the rule.

        Of a step that was refused or skipped, and then taken, the last record counts.

        Raises:
            InvalidValue: no record is of that step.
        """
        last = {(r.function, r.parameter): r.grad_norm for r in self.records if r.step == step}
        if not last:
            steps = [r.step for r in self.records]
            found = f"of the steps {min(steps)} to {max(steps)}" if steps else "empty"
            raise InvalidValue(f"no record is of step {brief(step)}: the records are {found}")
        return math.hypot(*last.values())

    @contextmanager
    def step(
        self, step: int, moving: Iterable[Parameter], given: Mapping[Parameter, Any] | None
    ) -> Iterator[None]:
        """Record the step that is taken inside the `with` block."""
        before = []
        for p, (function, name) in names_of(moving if given is None else given).items():
            g = p.grad if given is None else given[p]
            bad = int(np.sum(~np.isfinite(g)))
            fault = p.fault if given is None and bad else None
            before.append((function, name, p, p.coordinates, norm(g), bad, fault))
        try:
            yield
        finally:
            self.records += [
                Step(step, function, name, g, norm(theta), norm(p.coordinates - theta), bad, fault)
                for function, name, p, theta, g, bad, fault in before
            ]
            if self.limit is not None:
                del self.records[: max(0, len(self.records) - self.limit)]
