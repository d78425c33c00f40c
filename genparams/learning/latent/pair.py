"""A model and its guide, trained together by wake-sleep: what each phase draws."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.dsl.function import GenerativeFunction
from genparams.errors import GuideMismatch, NothingToTrain, UnknownAddress, UpdateError
from genparams.learning.latent.guided import GuideArgs, Guided, appended, guided, refuse_observed
from genparams.learning.latent.lecture import refuse_other, run_on, tuple_of
from genparams.learning.training.loop import checked_updates
from genparams.mistakes import refuse_other_functions
from genparams.params import Parameter
from genparams.trace.choices import ChoiceMap, unchecked
from genparams.trace.trace import Trace
from genparams.types import show
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import dotted

Args = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A model p(z, x), and a guide q(z | x) that is given the observed choices as an argument."""

    model: GenerativeFunction
    guide: GenerativeFunction
    guide_args: GuideArgs

    def completed(self, args: Args, observed: ChoiceMap, rng: Any) -> Guided:
        """The wake phase: a run of the model on a datum and a draw of the guide."""
        given = self.args_of_guide(args, observed)
        return guided(self.model, args, observed, self.guide, given, rng)

    def dreamed(self, args: Args, observed: ChoiceMap, rng: Any) -> Trace:
        """The sleep phase: a run of the guide on a draw of the model, seen where the datum is.

        Raises:
            UnknownAddress: the model does not visit an observed address in this draw.
            GuideMismatch: the guide makes a choice that the model did not make.
            AddressConflict: the guide makes a choice that is observed.
        """
        dream = self.model.simulate(args, rng)
        for address in observed:
            if address not in dream.choices:
                raise UnknownAddress(
                    f"a draw of {self.model.__name__} has no choice at the observed address "
                    f"{show(address)}, so that the guide cannot see it; where the observed "
                    "addresses change from draw to draw, write the sleep phase by lecture(...)"
                )
        seen = unchecked({address: dream.choices._values[address] for address in observed})
        source = f"{self.model.__name__} in the sleep phase"
        given = self.args_of_guide(args, seen)
        found = run_on(self.guide, given, dream.choices, source, GuideMismatch)
        refuse_observed(found, observed)
        return found

    def args_of_guide(self, args: Args, observed: ChoiceMap) -> Args:
        """The arguments of the guide.

        Raises:
            ArgumentError: `guide_args` gives no tuple.
        """
        return tuple_of("guide_args", self.guide_args(args, observed), self.guide)


def pair_of(model: Any, guide: Any, guide_args: Any) -> Pair:
    """A model and its guide.

    Raises:
        ArgumentError: one is no generative function, or `guide_args` no function.
    """
    refuse_other("model", model)
    refuse_other("guide", guide)
    if guide_args is None:
        return Pair(model, guide, appended)
    refuse_other_functions("guide_args", guide_args, "args, observed")
    return Pair(model, guide, guide_args)


def updates_of(title: str, what: str, given: Any) -> list[ParamUpdate]:
    """One update, several or none, as a list.

    Raises:
        UpdateError: these are no updates.
    """
    if given is None:
        return []
    try:
        return checked_updates(title, given)
    except UpdateError as error:
        raise UpdateError(f"{what}: {error}") from None


def refuse_idle(title: str, *updates: Sequence[ParamUpdate]) -> None:
    """Refuse a learner without any update.

    Raises:
        UpdateError: no update is given.
    """
    if not any(updates):
        raise UpdateError(
            f"{title} was given no update; write model_update=ParamUpdate(ADAM(0.01), model), "
            "guide_update=ParamUpdate(ADAM(0.01), guide), or both"
        )


def refuse_unrelated(
    what: str, updates: Sequence[ParamUpdate], read: Iterable[Parameter], function: Any
) -> None:
    """Refuse an update that moves none of the parameters that a function read.

    Raises:
        NothingToTrain: there is one.
    """
    read = dict.fromkeys(read)
    for update in updates:
        covered = update.covers()
        if not any(p in read for p in covered):
            moves = dotted(covered) or "no parameters, since none is initialised"
            reads = f"reads {dotted(read)} only" if read else "reads no parameter"
            name = function.__name__
            raise NothingToTrain(
                f"{what} moves {moves}, and {name} {reads}; write ParamUpdate(rule, {name}), or "
                "with callees=True for nested functions too"
            )


def read_by(traces: Iterable[Trace]) -> list[Parameter]:
    """The parameters that traces read."""
    return list({f.params[name]: None for trace in traces for f, name in trace.parameters})
