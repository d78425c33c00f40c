"""Rules that scale directions by a factor."""

from collections.abc import Callable

from genparams.errors import GenParamsError, InvalidValue
from genparams.mistakes import refuse_other_functions
from genparams.text import brief
from genparams.update.formula import elementwise
from genparams.update.rule import AT_LEAST_0, Rule, remembered
from genparams.update.settings import FINITE, Kind, number


@remembered
def scale(factor: float) -> Rule:
    """Multiply by a fixed factor: direction = factor * g.

    Raises:
        InvalidValue: `factor` is not a finite number.
    """
    factor = number("scale", "factor", factor, FINITE)
    return elementwise(lambda g, theta: g * factor, name="scale", factor=factor)


@remembered
def scale_by_state(factor: float) -> Rule:
    """Multiply by a factor that is part of the state: direction = factor * g.

    It is what `ParamUpdate.learning_rate` reads and sets while training.

    Raises:
        InvalidValue: `factor` is not a finite number.
    """
    factor = number("scale_by_state", "factor", factor, FINITE)
    return elementwise(
        lambda g, theta, factor: g * factor,
        shared={"factor": factor},
        constants=lambda shared: (shared["factor"],),
        ranges={"factor": AT_LEAST_0} if factor >= 0.0 else None,  # it can be set from 0 on
        name="scale_by_state",
        factor=factor,
    )


@remembered
def scale_by_schedule(schedule: Callable[[int], float]) -> Rule:
    """Multiply by a factor that depends on the step: direction = schedule(count) * g.

    count = 0, 1, ... counts the calls, whichever parameters took part in them.

    Raises:
        InvalidValue: `schedule` is no function; or, when it is called, gives no finite number.
    """
    if not callable(schedule):
        raise InvalidValue(
            f"scale_by_schedule takes a function of the count of steps, such as "
            f"exponential_decay(0.1, 0.9, 100), got {brief(schedule)}; a number goes into scale"
        )
    return scheduled(schedule, FINITE)


@remembered
def scheduled(schedule: Callable[[int], float], kind: Kind) -> Rule:
    """`scale_by_schedule`, whose factors are of a kind: rates are not negative."""
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
        if not kind.accepts(found):
            raise InvalidValue(
                f"a schedule must give what is {kind.words}, got {brief(found)} at count {count}"
            )
        return float(found)

    return elementwise(
        lambda g, theta, factor: g * factor,
        shared={"count": 0},
        constants=lambda shared: (factor(shared["count"]),),
        advance=lambda shared: {"count": shared["count"] + 1},
        name="scale_by_schedule",
        schedule=schedule,
    )


@remembered
def scale_by_inverse_time(step_size_init: float, step_size_beta: float) -> Rule:
    """Multiply by a step size that falls with the number of steps.

        direction = step_size_init (step_size_beta + 1) / (step_size_beta + t) g

    t = 1, 2, ... counts the calls.
    """

    def constants(shared: dict) -> tuple[float]:
        return (step_size_init * (step_size_beta + 1.0) / (step_size_beta + shared["t"] + 1),)

    return elementwise(
        lambda g, theta, factor: g * factor,
        shared={"t": 0},
        constants=constants,
        advance=lambda shared: {"t": shared["t"] + 1},
        name="scale_by_inverse_time",
        step_size_init=step_size_init,
        step_size_beta=step_size_beta,
    )
