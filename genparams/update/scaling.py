"""Rules that multiply directions by one factor."""

from typing import Any

from genparams.errors import GenParamsError, InvalidValue
from genparams.mistakes import refuse_other_functions
from genparams.text import brief
from genparams.update.formula import elementwise
from genparams.update.rule import NOT_NEGATIVE, Rule, rule_maker
from genparams.update.schedules import Schedule
from genparams.update.settings import FINITE, Requirement


@rule_maker()
def scale(factor: float) -> Rule:
    """Multiply by a fixed factor: direction = factor * g."""
    return elementwise(lambda g, theta: g * factor, name="scale", factor=factor)


@rule_maker()
def scale_by_state(factor: float) -> Rule:
    """Multiply by a factor that is part of the state: direction = factor * g.

    `ParamUpdate.learning_rate` reads and sets this factor while training.
    """
    return elementwise(
        _scaled,
        shared={"factor": factor},
        constants=lambda shared: (shared["factor"],),
        ranges={"factor": NOT_NEGATIVE} if factor >= 0.0 else None,
        name="scale_by_state",
        factor=factor,
    )


@rule_maker()
def scale_by_schedule(schedule: Schedule) -> Rule:
    """Multiply by a factor that depends on the step: direction = schedule(count) * g.

    count = 0, 1, ... counts the calls, whichever parameters took part in them.

    Raises:
        InvalidValue: `schedule` is not a function; or, at a step, it does not give a finite number.
    """
    if not callable(schedule):
        raise InvalidValue(
            f"scale_by_schedule takes a function of the count of steps, such as "
            f"exponential_decay(0.1, 0.9, 100), got {brief(schedule)}; a number goes into scale"
        )
    return scheduled(schedule, FINITE)


def scheduled(schedule: Schedule, requirement: Requirement) -> Rule:
    """The rule `scale_by_schedule`, with a requirement on its factors: rates are not negative."""
    refuse_other_functions("a schedule", schedule, "count", InvalidValue)

    def factor(count: int) -> float:
        try:
            found = schedule(count)
        except GenParamsError:
            raise
        except Exception as error:
            raise InvalidValue(
                f"a schedule fails at count {count} (the first is 0): {error!r}"
            ) from error
        if not requirement.accepts(found):
            raise InvalidValue(
                f"a schedule must give what is {requirement.words}, got {brief(found)} at count "
                f"{count}"
            )
        return float(found)

    return elementwise(
        _scaled,
        shared={"count": 0},
        constants=lambda shared: (factor(shared["count"]),),
        advance=lambda shared: {"count": shared["count"] + 1},
        name="scale_by_schedule",
        schedule=schedule,
    )


@rule_maker(step_size_init=FINITE, step_size_beta=FINITE)
def scale_by_inverse_time(step_size_init: float, step_size_beta: float) -> Rule:
    """Multiply by a step size that falls with the number of steps.

        direction = step_size_init (step_size_beta + 1) / (step_size_beta + t) g

    t = 1, 2, ... counts the calls.
    """

    def constants(shared: dict) -> tuple[float]:
        return (step_size_init * (step_size_beta + 1.0) / (step_size_beta + shared["t"] + 1),)

    return elementwise(
        _scaled, shared={"t": 0}, constants=constants, advance=lambda shared: {"t": shared["t"] + 1}
    )


def _scaled(g: Any, theta: Any, factor: Any) -> Any:
    return g * factor
