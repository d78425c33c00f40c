"""Completions: a guide draws what the observations leave open, and the model runs on both.

Both run on one tape. A choice of the guide with the pathwise estimator is a box that moves with the
arguments of its distribution, so that the derivative of the model's log probability goes through it
to the parameters of the guide. A choice that neither the observations nor the guide give is drawn
from the model itself: it belongs to the guide's distribution as well as to the model's.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, Tape, raw, shape_of
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.pathwise import moving
from genparams.dsl.distributions.values import draw_to_be_scored
from genparams.dsl.execution import refuse_masked, visits
from genparams.dsl.interpreter import Choose, Operands, Read, Run
from genparams.dsl.likelihood.sites import Site
from genparams.dsl.replay_errors import explained_error
from genparams.errors import (
    AddressConflict,
    ArgumentError,
    GuideMismatch,
    ImpossibleTrace,
    InvalidValue,
    ShapeError,
    nearest,
)
from genparams.learning.latent.estimators import Estimators
from genparams.structure import map_leaves
from genparams.text import brief
from genparams.trace.choices import choice_values
from genparams.types import Address, show


@dataclass(frozen=True, slots=True)
class Problem:
    """A model with observations, and a guide for its other choices."""

    model: Call[Any]
    observed: Mapping[Address, Any]
    guide: Call[Any]
    estimators: Estimators
    particles: int | None = None
    """How many particles the arrays of the choices hold, on their first axis; None if a run is one
    particle."""
    _converted: dict[Address, tuple[Any, Any]] = field(default_factory=dict)
    """Observations in the type of a draw, with what that type and shape depend on."""
    _fitting: dict[Address, Any] = field(default_factory=dict)
    """What it was that choices of the guide fitted to."""

    def observation(
        self, address: Address, distribution: Any, operands: Operands, size: Any
    ) -> Any:
        """An observation in the type and the shape of a draw; the same for every particle.

        It is converted again if the type or the shape of a draw may have changed.
        """
        asked = (distribution, size, *map(shape_of, operands))
        known = self._converted.get(address)
        if known is not None and known[0] == asked:
            return known[1]
        value = self.observed[address]
        try:
            found = distribution.coerce(value, operands, size)
        except ShapeError as error:
            if self.particles is None:
                raise
            found = self._for_each_particle(value, distribution, operands, size, error)
        self._converted[address] = asked, found
        return found

    def _for_each_particle(
        self, value: Any, distribution: Any, operands: Operands, size: Any, error: ShapeError
    ) -> Any:
        count: Any = self.particles
        each = map_leaves(lambda v: np.broadcast_to(v, (count, *np.shape(v))), value)
        try:
            return distribution.coerce(each, operands, size)
        except ShapeError:
            raise error from None

    def of_guide(
        self, address: Address, value: Any, distribution: Any, operands: Operands, size: Any
    ) -> Any:
        """A choice of the guide in the type of a draw of the model; a box stays as it is."""
        if type(value) is not Box:
            return self._coerced(address, value, distribution, operands, size)
        asked = (distribution, size, shape_of(value.value), *map(shape_of, operands))
        if self._fitting.get(address) != asked:
            if not distribution.kind.continuous:
                raise GuideMismatch(
                    f"the guide's choice at {show(address)} is continuous, and the model's is of "
                    f"{distribution.__name__}, which is discrete"
                )
            self._coerced(address, value.value, distribution, operands, size)
            self._fitting[address] = asked
        return value

    def _coerced(
        self, address: Address, value: Any, distribution: Any, operands: Operands, size: Any
    ) -> Any:
        try:
            return distribution.coerce(value, operands, size)
        except InvalidValue as error:
            raise GuideMismatch(
                f"the guide's choice at {show(address)} does not fit the model: {error}"
            ) from None


def problem_of(
    model: Any,
    args: Any,
    observations: Mapping[Any, Any] | None,
    guide: Any,
    guide_args: Any,
    estimator: Any,
    particles: int | None,
) -> Problem:
    """A problem, its arguments completed with defaults.

    Raises:
        ArgumentError: a function is not generative; arguments are not a tuple, or do not fit.
        InvalidValue: the estimator is not known; an argument is a masked array.
    """
    model_call = _call("model", model, "args", args)
    guide_call = _call("guide", guide, "guide_args", guide_args)
    observed = choice_values(observations)
    return Problem(model_call, observed, guide_call, Estimators(estimator), particles)


def _call(what: str, function: Any, named: str, args: Any) -> Call[Any]:
    if not hasattr(function, "perform"):
        raise ArgumentError(f"the {what} is a generative function, got {brief(function)}")
    if not isinstance(args, tuple):
        raise ArgumentError(
            f"{named} of the {what} {function.__name__} is one tuple, got {brief(args)}; write "
            f"{named}=({''.join(f'{name}, ' for name in function.argument_names).rstrip()})"
        )
    call = function.complete(args)
    refuse_masked(function.argument_names, call.args)
    return call


Parts = tuple[Address, Any, list[Any], Any]
"""What a `Site` is made of: address, distribution, arguments and value."""


@dataclass(slots=True)
class Completion:
    """One run of a guide, and of a model on its choices."""

    guide: Run
    model: Run
    guide_parts: list[Parts] = field(default_factory=list)
    model_parts: list[Parts] = field(default_factory=list)
    scored: set[Address] = field(default_factory=set)
    """The choices with the score-function estimator."""
    drawn: set[Address] = field(default_factory=set)
    """The choices that the model drew itself."""

    @property
    def guide_sites(self) -> list[Site]:
        """The choices of the guide."""
        return [Site(*parts) for parts in self.guide_parts]

    @property
    def model_sites(self) -> list[Site]:
        """The choices of the model, the observations among them."""
        return [Site(*parts) for parts in self.model_parts]


def completed(problem: Problem, tape: Tape, read: Read, rng: Any, runs: list[Run]) -> Completion:
    """Run the guide, then the model on the observations and the choices of the guide.

    Args:
        runs: A list to which both runs are appended; the caller keeps or forgets the parameters
            that they declare.

    Raises:
        AddressConflict: the guide makes a choice that is observed.
        UnusedConstraint: the model never visits the address of an observation.
        GuideMismatch: the model does not make a choice of the guide, or has no density at its
            value.
        ImpossibleTrace: another log probability is not finite.
    """
    found = Completion(None, None)  # type: ignore[arg-type]  # given below
    drawn = _drawn(problem, found, tape, rng)
    found.guide = Run(_guiding(problem, found, drawn), read)
    _run(found.guide, problem.guide, lambda run: None, runs)
    found.model = Run(_completing(problem, found, drawn), read)
    _run(found.model, problem.model, _all_visited(problem, found.guide), runs)
    if problem.estimators.by_selection:
        problem.estimators.check(found.guide.values.keys() | found.drawn)
    _refuse_impossible(problem, found)
    return found


# --- Runs


class _Asked(NamedTuple):
    """What an explanation of an error needs of a trace."""

    gen_fn: Any
    args: tuple[Any, ...]


def _run(run: Run, call: Call[Any], check: Callable[[Run], None], runs: list[Run]) -> None:
    """Run a call; an error about a traced value says so."""
    runs.append(run)
    try:
        run.execute(call, check, keep=False)
    except Exception as error:
        asked: Any = _Asked(call.fn, call.args)
        explained = explained_error(asked, error, run, lambda: _fails_plainly(run, call))
        if explained is error:
            raise
        raise explained from error


def _fails_plainly(failed: Run, call: Call[Any]) -> bool:
    """Whether a run that failed fails without derivatives as well."""

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address in failed.values:
            return map_leaves(raw, failed.values[address])
        return map_leaves(raw, failed.choose(address, distribution, operands, size))

    run = Run(choose, lambda parameter: raw(failed.read(parameter)))
    try:
        run.execute(call, keep=False)
    except Exception:
        return True
    finally:
        run.forget()
    return False


def _all_visited(problem: Problem, guide: Run) -> Callable[[Run], None]:
    """A check that the model visits every observation and every choice of the guide."""
    observed = visits(problem.observed)

    def check(run: Run) -> None:
        observed(run)
        for address in guide.values:
            if address not in run.values:
                of, at = problem.guide.fn.__name__, show(address)
                open_ones = (show(a) for a in run.values if a not in problem.observed)
                raise GuideMismatch(
                    f"the guide {of} makes a choice at {at}, which the model "
                    f"{problem.model.fn.__name__} never visits; {nearest(at, open_ones)}"
                )

    return check


# --- The values of choices


def _drawn(problem: Problem, found: Completion, tape: Tape, rng: Any) -> Choose:
    """A `Choose` that draws a choice, as a box if it has the pathwise estimator."""
    is_pathwise = problem.estimators.is_pathwise

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        args = [raw(o) for o in operands]
        if type(distribution) is Distribution:
            x = draw_to_be_scored(distribution.declared, rng, args, size)
        else:
            x = distribution.draw(rng, args, size)
        if is_pathwise(address, distribution):
            return moving(tape, distribution, x, operands)
        found.scored.add(address)
        return x

    return choose


def _guiding(problem: Problem, found: Completion, drawn: Choose) -> Choose:
    """A `Choose` that draws what is not observed, and records it."""
    observed, name, record = problem.observed, problem.guide.fn.__name__, found.guide_parts.append

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address in observed:
            raise AddressConflict(
                f"the guide {name} makes a choice at {show(address)}, which is observed; a guide "
                "makes the choices that have no observation, and takes data as arguments: write "
                "guide_args=(...)"
            )
        x = drawn(address, distribution, operands, size)
        record((address, distribution, operands, x))
        return x

    return choose


def _completing(problem: Problem, found: Completion, drawn: Choose) -> Choose:
    """A `Choose` that gives observations and choices of the guide, else draws, and records it."""
    observed, given = problem.observed, found.guide.values
    record = found.model_parts.append

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address in observed:
            x = problem.observation(address, distribution, operands, size)
        elif address in given:
            x = problem.of_guide(address, given[address], distribution, operands, size)
        else:
            found.drawn.add(address)
            x = drawn(address, distribution, operands, size)
        record((address, distribution, operands, x))
        return x

    return choose


# --- Log probabilities that are not finite


def _refuse_impossible(problem: Problem, found: Completion) -> None:
    both = [*found.guide.log_probs.values(), *found.model.log_probs.values()]
    total = sum(map(raw, both))
    if total - total == 0.0:
        return
    for run, sites in ((found.guide, found.guide_sites), (found.model, found.model_sites)):
        _refuse_impossible_choice(problem, found, run, sites)


def _refuse_impossible_choice(
    problem: Problem, found: Completion, run: Run, sites: Iterable[Site]
) -> None:
    for site in sites:
        log_prob = raw(run.log_probs[site.address])
        if np.isfinite(log_prob):
            continue
        value = map_leaves(raw, site.value)
        why = site.distribution.why_impossible(value, site.args)
        at, name = show(site.address), run.root.__name__
        if run is found.guide or site.address not in found.guide.values:
            raise ImpossibleTrace(name, at, log_prob, why)
        raise GuideMismatch(
            f"the guide {problem.guide.fn.__name__} drew {brief(value)} at {at}, where the log "
            f"probability of the model {name} is {log_prob}: {why}. Give the guide a distribution "
            "with the support of the model's, such as transformed(normal(mu, std), positive)"
        )
