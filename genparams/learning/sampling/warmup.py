"""The warm-up of Markov chains: kernels that have a step size or a metric to choose learn it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import InvalidValue
from genparams.learning.checks import one_of
from genparams.learning.sampling.adaptation import (
    DualAveraging,
    Moments,
    Windows,
    first_step_size,
    windows,
)
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hmc import hmc
from genparams.learning.sampling.mala import mala
from genparams.learning.sampling.metric import metric_of
from genparams.learning.sampling.moved import Moved
from genparams.learning.sampling.nuts import nuts
from genparams.text import brief
from genparams.trace.trace import Trace

FORMS = ("diagonal", "dense")
"""The forms of a metric that a warm-up can estimate."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a warm-up aims at."""

    target_accept: float | None = None
    """The mean acceptance probability; None for the usual one of each kernel."""
    metric: str = "diagonal"

    def __post_init__(self) -> None:
        one_of("metric", self.metric, FORMS)
        target = self.target_accept
        if target is not None and not (isinstance(target, float) and 0.0 < target < 1.0):
            raise InvalidValue(f"target_accept is a number between 0 and 1, got {brief(target)}")


@dataclass(frozen=True, slots=True)
class _Traits:
    """The target of a kernel, and its step size for a leapfrog step of some length."""

    target: float
    of_leapfrog: Callable[[float], float] | None


_KNOWN: dict[Any, _Traits] = {
    mala: _Traits(0.574, lambda step: 0.5 * step * step),
    hmc: _Traits(0.8, lambda step: step),
    nuts: _Traits(0.8, lambda step: step),
}
_OTHER = _Traits(0.8, None)


class Learner:
    """A kernel that learns during a warm-up what its partial application leaves open.

    `kernel` is the kernel for the next iteration. After the last one `settled` gives the kernel of
    the draws and what was chosen.
    """

    def __init__(self, kernel: Any, tuning: Tuning, warmup: int):
        self.kernel = self._given = kernel
        self._tuning = tuning
        self._open = open_arguments(kernel) if warmup else {}
        self._traits = _KNOWN.get(_function_of(kernel), _OTHER)
        self._windows: Windows = windows(warmup)
        self._done = 0
        self._step: DualAveraging | None = None
        self._moments: Moments | None = None
        self._metric: Any = None

    def begin(self, trace: Trace, rng: np.random.Generator) -> None:
        """Choose the first step size, at the state where the chain begins."""
        if "step_size" in self._open:
            self._restart(trace, rng)
        self._bind(None if self._step is None else self._step.step_size)

    def learn(self, moved: Moved, rng: np.random.Generator) -> None:
        """Learn from one step of the kernel."""
        if self._step is not None:
            self._step = self._step.after(moved.accept_prob)
        if "metric" in self._open and moved.coordinates is not None:
            self._collect(moved, rng)
        self._done += 1
        self._bind(None if self._step is None else self._step.step_size)

    def settled(self) -> tuple[Any, Mapping[str, Any]]:
        """The kernel of the draws, and what was chosen, by the name of the argument."""
        chosen = self._bind(None if self._step is None else self._step.mean)
        if "metric" in chosen:
            chosen["metric"] = chosen["metric"].value
        return self.kernel, chosen

    def _collect(self, moved: Moved, rng: np.random.Generator) -> None:
        plan, u = self._windows, moved.coordinates
        assert u is not None
        if not (plan.ends and plan.first <= self._done <= plan.ends[-1]):
            return
        moments = self._moments or Moments.begun(len(u), self._tuning.metric == "dense")
        self._moments = moments.after(u)
        if self._done in plan.ends:
            self._metric = metric_of(self._moments.metric, len(u))
            self._moments = None
            if self._step is not None:
                self._restart(moved.trace, rng)

    def _restart(self, trace: Trace, rng: np.random.Generator) -> None:
        """Begin dual averaging again: with this metric other step sizes are right."""
        traits, first = self._traits, self._open["step_size"]
        given = _arguments_of(self._given, trace)
        if traits.of_leapfrog is not None and "selection" in given:
            space = Coordinates(trace, given["selection"])
            metric = given.get("metric") if self._metric is None else self._metric
            length = first_step_size(space, metric_of(metric, space.size), rng)
            first = traits.of_leapfrog(length)
        target = self._tuning.target_accept
        self._step = DualAveraging.begun(first, traits.target if target is None else target)

    def _bind(self, step_size: float | None) -> dict[str, Any]:
        """Give the kernel what was learnt so far."""
        chosen: dict[str, Any] = {} if step_size is None else {"step_size": step_size}
        if self._metric is not None:
            chosen["metric"] = self._metric
        self.kernel = functools.partial(self._given, **chosen) if chosen else self._given
        return chosen


def open_arguments(kernel: Any) -> dict[str, Any]:
    """The arguments `step_size` and `metric` of a kernel that are not given, with defaults."""
    given = kernel.keywords if isinstance(kernel, functools.partial) else {}
    found = inspect.signature(kernel).parameters
    return {
        name: 0.1 if found[name].default is inspect.Parameter.empty else found[name].default
        for name in ("step_size", "metric")
        if name in found and name not in given
    }


def _function_of(kernel: Any) -> Any:
    return kernel.func if isinstance(kernel, functools.partial) else kernel


def _arguments_of(kernel: Any, trace: Trace) -> Mapping[str, Any]:
    """The arguments that a kernel is called with, by name."""
    own = kernel if isinstance(kernel, functools.partial) else functools.partial(kernel)
    bound = inspect.signature(own.func).bind_partial(*own.args, trace, **own.keywords)
    return bound.arguments
