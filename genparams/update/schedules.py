# ruff: noqa: N801 - a schedule is written and read as the function that it is
"""Schedules: pure functions from a count of steps to a factor.

    factor = schedule(count),    count = 0 at the first step

A schedule is a value: it shows its numbers, equals another with the same numbers, and pickles. It
has no state: the caller counts. In a system whose first step is t = 1, t = count + 1. A number
outside its range is an `InvalidValue`.

| here | agrees with |
| --- | --- |
| `constant_schedule` | Axon's constant, optax's constant_schedule |
| `inverse_time_decay` | Flux's decay, Gen's GradientDescent, Keras' InverseTimeDecay |
| `one_over_sqrt` | GoMLX's stochastic gradient descent |
| `exponential_decay` | Axon's and optax's exponential_decay |
| `polynomial_decay` | Axon's polynomial_decay, optax's polynomial_schedule |
| `cosine_decay` | Axon's, GoMLX's and optax's, with restarts and warm-up |
| `piecewise_constant` | optax's piecewise_constant_schedule, torch's MultiStepLR |
| `join_schedules` | optax's join_schedules |
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from typing import Any, TypeVar, dataclass_transform

from genparams.errors import InvalidValue
from genparams.mistakes import closed
from genparams.text import brief
from genparams.update.settings import (
    ABOVE_0,
    AT_LEAST_0,
    COUNT,
    COUNT_FROM_1,
    FINITE,
    Requirement,
    checked,
    number,
    plain,
)

Schedule = Callable[[int], float]
Class = TypeVar("Class", bound=type)

LENGTH = Requirement("a number of steps above 0", lambda v: 0 < v < math.inf, "100", becomes=plain)
CYCLES = COUNT_FROM_1._replace(words="1, 2, ..., or None for no end", example="1")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def schedule(**requirements: Requirement) -> Callable[[Class], Class]:
    """A decorator of schedules: frozen dataclasses whose numbers are checked."""

    def advice(schedule: Any, name: str) -> str:
        kind = type(schedule).__name__
        return f"a schedule does not change: make another {kind}, and an update with it"

    def decorate(cls: Class) -> Class:
        made = dataclass(frozen=True, slots=True)(cls)
        return checked(**requirements)(closed(advice=advice)(made))

    return decorate


@schedule(value=FINITE)
class constant_schedule:
    """The same factor at every step: value."""

    value: float

    def __call__(self, count: int) -> float:
        return self.value


@schedule(init=FINITE, rate=AT_LEAST_0, steps=LENGTH)
class inverse_time_decay:
    """A factor that falls as one over the count.

        init / (1 + rate count / steps),    count = 0, 1, ...

    Flux 0.6's `decay=gamma` is `inverse_time_decay(1.0, gamma)`. Flux 0.7's, whose first n is 1, is
    `inverse_time_decay(1 / (1 + gamma), gamma / (1 + gamma))`. Gen's GradientDescent, with
    init (beta + 1) / (beta + t) and t = count + 1, is `inverse_time_decay(init, 1.0, beta + 1)`.
    """

    init: float
    rate: float
    steps: float = 1

    def __call__(self, count: int) -> float:
        return self.init / (1.0 + self.rate * count / self.steps)


@schedule(init=FINITE)
class one_over_sqrt:
    """A factor that falls as one over the root of the number of steps.

        init / sqrt(count + 1),    count = 0, 1, ...

    GoMLX's stochastic gradient descent has this decay by default; its global step is count + 1.
    """

    init: float

    def __call__(self, count: int) -> float:
        return self.init / math.sqrt(count + 1)


@schedule(init=ABOVE_0, rate=ABOVE_0, steps=LENGTH, begin=COUNT, end=AT_LEAST_0.or_none())
class exponential_decay:
    """A factor that is multiplied by `rate` over every `steps` steps.

        init                       while count <= begin
        init rate^p                after, with p = (count - begin) / steps

    count = 0 at the first step. The formula is the one of Axon and optax. A rate above 1 makes
    it grow, up to `end`, or to infinity without one.

    Args:
        staircase: Whether p is rounded down, so that the factor falls once in `steps` steps.
        end: The least factor for a rate below 1, the greatest factor otherwise.

    Raises:
        InvalidValue: `end` is on the wrong side of `init`, where optax would jump to it at once.
    """

    init: float
    rate: float
    steps: float
    begin: int = 0
    _: KW_ONLY
    staircase: bool = False
    end: float | None = None

    def __post_init__(self) -> None:
        if self.end is None:
            return
        if (self.end > self.init) if self.rate < 1.0 else (self.end < self.init):
            side = "at most" if self.rate < 1.0 else "at least"
            raise InvalidValue(
                f"exponential_decay: with rate {self.rate} the end must be {side} init = "
                f"{self.init}, got {self.end}; swap the two, or write the rate as {1 / self.rate}"
            )

    def __call__(self, count: int) -> float:
        p = max(count - self.begin, 0) / self.steps
        try:
            factor = self.init * self.rate ** (math.floor(p) if self.staircase else p)
        except OverflowError:
            factor = math.inf
        if self.end is None:
            return factor
        return max(factor, self.end) if self.rate < 1.0 else min(factor, self.end)


@schedule(init=FINITE, end=FINITE, power=ABOVE_0, steps=LENGTH, begin=COUNT)
class polynomial_decay:
    """A factor that goes from `init` to `end` as a power of the share of the steps that is left.

        end + (init - end) (1 - s)^power,    s = min(max(count - begin, 0), steps) / steps

    count = 0 at the first step; the factor is `end` from count = begin + steps on. The formula is
    the one of Axon (with power 2) and optax's polynomial_schedule. Power 1 is a line, up or
    down: `polynomial_decay(0.0, 0.1, 1, 500)` warms up to 0.1.
    """

    init: float
    end: float
    power: float
    steps: float
    begin: int = 0

    def __call__(self, count: int) -> float:
        s = min(max(count - self.begin, 0), self.steps) / self.steps
        return self.end + (self.init - self.end) * (1.0 - s) ** self.power


@schedule(
    init=FINITE,
    steps=LENGTH,
    end=FINITE,
    cycles=CYCLES.or_none(),
    warmup=COUNT,
    start=FINITE.or_none(),
)
class cosine_decay:
    """A factor that falls from `init` to `end` along half a cosine, once or in several periods.

        start + (init - start) count / warmup          while count < warmup
        end + (init - end) (1 + cos(pi s)) / 2         after, s = frac((count - warmup) / steps)
        end                                            from count = warmup + cycles steps on

    count = 0 at the first step. Between cycles it jumps back to `init` (a saw-tooth), so that `end`
    itself is reached once, after the last. Reference: Loshchilov and Hutter, 2016,
    https://arxiv.org/abs/1608.03983, with every period of the same length.

    | system | here |
    | --- | --- |
    | Axon, optax: decay_steps, alpha | `cosine_decay(init, steps, alpha * init)` |
    | GoMLX: period, warm-up W | `cosine_decay(init, period, cycles=None, warmup=W)` |
    | GoMLX: k cycles in N steps | `cosine_decay(init, (N - W) / k, cycles=None, warmup=W)` |
    | optax: warmup_cosine_decay_schedule | `cosine_decay(peak, T - W, end, warmup=W, start=init)` |

    optax's decay_steps T counts the warm-up, `steps` here does not. optax's `exponent` is 1.

    Args:
        steps: The length of a period; it need not be a whole number.
        cycles: The number of periods, or None for a saw-tooth without a last period.
        warmup: The number of steps before the first period.
        start: The factor at the first step of the warm-up; `end` if None, as in GoMLX.

    Raises:
        InvalidValue: there is a `start` and no warm-up.
    """

    init: float
    steps: float
    end: float = 0.0
    _: KW_ONLY
    cycles: int | None = 1
    warmup: int = 0
    start: float | None = None

    def __post_init__(self) -> None:
        if self.start is not None and not self.warmup:
            raise InvalidValue(
                f"cosine_decay: start = {self.start} is where a warm-up begins, and there is "
                "none; give warmup=100, say, or leave start out"
            )

    def __call__(self, count: int) -> float:
        if count < self.warmup:
            start = self.end if self.start is None else self.start
            return start + (self.init - start) * (count / self.warmup)
        periods = (count - self.warmup) / self.steps
        if self.cycles is not None and periods >= self.cycles:
            return self.end
        s = periods - math.floor(periods)
        return self.end + (self.init - self.end) * (0.5 * (1.0 + math.cos(math.pi * s)))


@schedule(init=FINITE)
class piecewise_constant:
    """A factor that is multiplied by another at given counts, and does not change between them.

        init * the product of factors[b] over all boundaries b <= count

    count = 0 at the first step, so that a factor at b applies from step b + 1 on. The formula is
    the one of optax's piecewise_constant_schedule; torch's MultiStepLR with milestones 30 and 80 is
    `piecewise_constant(init, {30: 0.1, 80: 0.1})`.

    Raises:
        InvalidValue: a boundary is not a count, or a factor is below 0 or not finite.
    """

    init: float
    factors: Mapping[int, float] = field(hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.factors, Mapping):
            raise InvalidValue(
                "piecewise_constant: factors must be a dictionary from counts to factors, such as "
                f"{{100: 0.5}}, got {brief(self.factors)}"
            )
        factors = {
            number("piecewise_constant", "a boundary", boundary, COUNT): number(
                "piecewise_constant", f"the factor at {boundary!r}", factor, AT_LEAST_0
            )
            for boundary, factor in self.factors.items()
        }
        object.__setattr__(self, "factors", dict(sorted(factors.items())))

    def __call__(self, count: int) -> float:
        value = self.init
        for boundary, factor in self.factors.items():
            if count < boundary:
                break
            value *= factor
        return value


@schedule()
class join_schedules:
    """One schedule after the other, each with a count from 0.

        schedules[0](count)                        while count < boundaries[0]
        schedules[k](count - boundaries[k - 1])    from boundaries[k - 1] on

    count = 0 at the first step. As optax's join_schedules. A schedule is any function of a count:

        join_schedules([polynomial_decay(0.0, 0.1, 1, 500), one_over_sqrt(0.1)], [500])

    Raises:
        InvalidValue: a schedule cannot be called, the boundaries are not one fewer than the
            schedules, or do not rise from above 0.
    """

    schedules: Sequence[Schedule]
    boundaries: Sequence[int]

    def __post_init__(self) -> None:
        schedules = tuple(self.schedules)
        boundaries = tuple(
            number("join_schedules", "a boundary", b, COUNT) for b in self.boundaries
        )
        for schedule in schedules:
            if not callable(schedule):
                raise InvalidValue(
                    "join_schedules: a schedule is a function of a count, such as "
                    f"constant_schedule(0.1), got {brief(schedule)}"
                )
        if len(boundaries) != len(schedules) - 1:
            raise InvalidValue(
                f"join_schedules: {len(schedules)} schedules meet at {max(len(schedules) - 1, 0)} "
                f"boundaries, got {len(boundaries)}; give at least one schedule, and the count at "
                "which each but the first begins"
            )
        if any(b <= a for a, b in pairwise((0, *boundaries))):
            raise InvalidValue(
                f"join_schedules: boundaries must rise from above 0, got {list(boundaries)}; sort "
                "them, and leave out a schedule that has no steps"
            )
        object.__setattr__(self, "schedules", schedules)
        object.__setattr__(self, "boundaries", boundaries)

    def __call__(self, count: int) -> float:
        k = bisect_right(self.boundaries, count)
        return self.schedules[k](count - self.boundaries[k - 1] if k else count)
