"""Completing data by a guide: a generative function that draws what the model leaves unobserved.

A model makes choices z that nobody observes and choices x that are observed. A guide q(z | x) draws
the hidden ones; the model is run on both. The log weight log p(x, z) - log q(z | x) is an estimate
of a lower bound of log p(x), and the mean of the weights is an unbiased estimate of p(x).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from genparams.dsl.execution import answers, drawn, execute, visits
from genparams.dsl.function import GenerativeFunction
from genparams.dsl.interpreter import Run
from genparams.errors import AddressConflict, GuideMismatch, nearest
from genparams.text import counted
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Trace
from genparams.types import Address, show


class Guided(NamedTuple):
    """A run of the model on the observed choices and those that the guide drew."""

    trace: Trace
    """Of the model, with every choice."""
    guide: Trace
    log_weight: float
    """log p(x, z) - log q(z | x). Where the model drew choices that the guide leaves out, these are
    in neither term: they come from q and p alike."""


def guided(
    model: GenerativeFunction,
    args: tuple[Any, ...],
    observed: ChoiceMap,
    guide: GenerativeFunction,
    guide_args: tuple[Any, ...],
    rng: Any,
) -> Guided:
    """Draw the hidden choices from the guide, and run the model on them and the observed ones.

    A hidden choice that the guide does not make is drawn by the model, given those before it.

    Raises:
        AddressConflict: the guide makes a choice that is observed.
        UnusedConstraint: the model never visits an observed choice.
        GuideMismatch: it does not make a choice of the guide.
    """
    by_guide = guide.simulate(guide_args, rng)
    refuse_observed(by_guide, observed)
    given = {**observed._values, **by_guide.choices._values}
    check_observed = visits(observed._values)

    def check(run: Run) -> None:
        check_observed(run)
        for address in by_guide.choices:
            if address not in run.values:
                near = nearest(show(address), map(show, run.values))
                raise GuideMismatch(
                    f"the guide {guide.__name__} makes a choice at {show(address)}, which "
                    f"{model.__name__} does not make; {near}"
                )

    trace = execute(model, args, answers(given, drawn(rng)), check)
    log_probs = trace.log_probs
    return Guided(trace, by_guide, float(sum(log_probs[a] for a in given)) - by_guide.log_prob)


def refuse_observed(by_guide: Trace, observed: ChoiceMap) -> None:
    """Refuse a guide that makes a choice at, above or below an observed address.

    Raises:
        AddressConflict: it does.
    """
    for address in by_guide.choices:
        if address in observed._values or _is_nested(address, observed):
            name = by_guide.gen_fn.__name__
            raise AddressConflict(
                f"the guide {name} makes a choice at {show(address)}, which is observed; a guide "
                f"makes hidden choices only: take {show(address)} out of {name}, and give it the "
                "observed value as an argument if it needs it"
            )


def _is_nested(address: Address, observed: ChoiceMap) -> bool:
    """Whether an observed address is a prefix of this one, or this one of it."""
    if any(address[:n] in observed._values for n in range(1, len(address))):
        return True
    n = len(address)
    return any(len(a) > n and a[:n] == address for a in observed._values)


def refuse_unguided(found: Guided, observed: ChoiceMap, otherwise: str) -> None:
    """Refuse a guide that leaves out a hidden choice, which the model then drew.

    Args:
        otherwise: What to write to have the model draw it, as the end of a sentence.

    Raises:
        GuideMismatch: it does.
    """
    known = len(observed) + len(found.guide.choices)
    if len(found.trace.choices) == known:
        return
    by_guide = found.guide.choices
    left = [show(a) for a in found.trace.choices if a not in observed and a not in by_guide]
    more = f" and {counted(len(left) - 1, 'more choice')}" if len(left) > 1 else ""
    raise GuideMismatch(
        f"{found.trace.gen_fn.__name__} makes the hidden choice {left[0]}{more}, which the guide "
        f"{found.guide.gen_fn.__name__} does not make; let the guide make it, or {otherwise}"
    )


GuideArgs = Callable[[tuple[Any, ...], ChoiceMap], tuple[Any, ...]]
"""From the arguments of the model and the observed choices to the arguments of the guide."""


def appended(args: tuple[Any, ...], observed: ChoiceMap) -> tuple[Any, ...]:
    """The arguments of a guide by default: the arguments of the model, then what is observed."""
    return (*args, observed)
