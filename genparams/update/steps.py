"""How a rule steps parameters: from its state and gradients to the changes of one step.

No value of a parameter or of the state is changed here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, UpdateError
from genparams.params import (
    Changes,
    Parameter,
    as_floats,
    coordinates_and_value,
    edit_to,
    edited,
    emptied,
    is_current,
    is_finite,
)
from genparams.text import brief
from genparams.update.formula import Elementwise
from genparams.update.group import Given
from genparams.update.rule import Pieces, Rule, chain, split
from genparams.update.state import joined, with_fixed, without
from genparams.update.stepper import Progress, Stepper

Fixed = Mapping[Parameter, Any]
"""Masks of entries of arrays that do not move and whose state stays."""


class Steps:
    """The steps of a rule.

    A rule is a chain. Its first parts may need whole parameters; they are applied one by one. The
    parts after them that treat every number alike are stepped together by a `Stepper`.

    Args:
        minimize: Whether the gradients are of a loss: their sign is changed first.
    """

    def __init__(self, rule: Rule, minimize: bool):
        self.rule = rule
        self.chain = rule if rule.parts else chain(rule)
        self._minimize = minimize
        self._head, self._pieces = split(self.chain)

    @property
    def has_head(self) -> bool:
        """Whether the first parts of the chain are applied one by one."""
        return bool(self._head)

    def beginning(self) -> Progress:
        """The progress before the first step."""
        return Progress(0, 0, frozenset(), {}, None, 0, {})

    def covering(self, progress: Progress, parameters: Iterable[Parameter]) -> Progress:
        """The progress with a first state for new parameters, and without those that are gone."""
        fresh = {p: p.coordinates for p in parameters if p not in progress.known}
        if not fresh and (progress.known or progress.state):
            return progress
        state = joined(progress.whole_state(), self.chain.init(fresh))
        known = progress.known.union(fresh)
        gone = {p for p in known if not is_current(p)}
        if gone:
            state, known = without(state, gone), known - gone
        return progress._replace(state=state, known=known, stepper=None)

    def step(
        self, progress: Progress, moving: tuple[Parameter, ...], given: Given, fixed: Fixed
    ) -> tuple[Changes, Progress] | None:
        """What one step changes in parameters, and the next progress.

        None if a gradient is not finite.

        Args:
            moving: The parameters, in the order in which they were meant.
            given: Gradients of some of them; None for the accumulated ones, which are emptied.

        Raises:
            UpdateError: the rule gives something that is no direction, or the step leads to a value
                that is not finite.
        """
        if self._head:
            return self._step_with_head(progress, moving, given, fixed)
        stepper = progress.stepper
        if given is not None:
            moving = tuple([p for p in moving if p in given])
        elif stepper is not None and stepper.parameters is moving:
            return stepper.step(progress, given, fixed)
        progress, stepper = self._with_stepper(progress, moving)
        return stepper.step(progress, given, fixed)

    def _with_stepper(
        self, progress: Progress, moving: tuple[Parameter, ...]
    ) -> tuple[Progress, Stepper]:
        """Progress whose fields are laid out by a stepper for these parameters."""
        stepper = progress.stepper
        if stepper is not None and stepper.parameters == moving:
            return progress, stepper
        pieces = self._pieces
        assert pieces is not None
        if self._minimize and not self._head:
            pieces = _after_negation(pieces)
        progress = self.covering(progress, moving)
        state = progress.whole_state()
        stepper = Stepper(pieces, state, moving)
        state, fields = stepper.laid_out(state)
        return progress._replace(state=state, stepper=stepper, taken=0, fields=fields), stepper

    def _step_with_head(
        self, progress: Progress, moving: tuple[Parameter, ...], given: Given, fixed: Fixed
    ) -> tuple[Changes, Progress] | None:
        g: Any = {p: p.grad for p in moving} if given is None else dict(given)
        if not all(map(is_finite, g.values())):
            return None
        if self._minimize:
            g = {p: -d for p, d in g.items()}
        progress = self.covering(progress, moving)
        theta = {p: p.coordinates for p in moving}
        states = {}
        for place, part in self._head.items():
            before = progress.state[place]
            directions, after = part.apply(g, before, theta)
            _refuse_other_keys(part, directions, theta)
            g = directions
            for p, entries in fixed.items():
                after = with_fixed(after, before, p, entries)
            states[place] = after
        directions = {p: self._checked(p, d) for p, d in g.items()}
        if self._pieces is None:
            edits = {p: self._edit_by(p, d, fixed.get(p)) for p, d in directions.items()}
            changes, progress = edited(edits), progress._replace(steps=progress.steps + 1)
        else:
            progress, stepper = self._with_stepper(progress, tuple(directions))
            found = stepper.step(progress, directions, fixed)
            if found is None:
                raise UpdateError(f"{self.rule!r} cannot be applied: its directions are not finite")
            changes, progress = found
        if given is None:
            changes = emptied(directions, changes)
        return changes, progress._replace(state={**progress.state, **states})

    def _checked(self, p: Parameter, direction: Any) -> Any:
        """A direction as a float or an array of the shape of a parameter's coordinates."""
        if not (isinstance(direction, np.ndarray) and direction.dtype.kind == "f"):
            try:
                direction = as_floats(direction, f"its direction for parameter {p.name!r}")
            except InvalidValue as error:
                raise UpdateError(f"{self.rule!r} cannot be applied: {error}") from None
        if np.shape(direction) != p.shape:
            raise UpdateError(
                f"{self.rule!r} cannot be applied: it gave a direction of shape "
                f"{np.shape(direction)} for parameter {p.name!r}, whose gradient has shape "
                f"{p.shape}"
            )
        return direction if p.shape else float(direction)

    def _edit_by(self, p: Parameter, direction: Any, fixed: Any) -> Any:
        """The edit that moves a parameter along a direction, except for fixed entries."""
        before = p.coordinates
        with np.errstate(all="ignore"):  # numbers that are not finite are looked for
            after = before + direction
            if fixed is not None:
                after = np.where(fixed, before, after)
            theta, value = coordinates_and_value(p, after)
            if not is_finite(theta) or not is_finite(value):
                raise UpdateError(
                    f"{self.rule!r} cannot be applied: it takes parameter {p.name!r} from "
                    f"{brief(p.value)} to {brief(value)}; lower the step size"
                )
        return edit_to(p, theta, value)


_NEGATIVE = Elementwise(lambda g, theta: -g)


def _after_negation(pieces: Callable[[Any], Pieces]) -> Callable[[Any], Pieces]:
    """The formulas of a rule, for gradients of a loss."""
    return lambda parameter: [((), _NEGATIVE), *pieces(parameter)]


def _refuse_other_keys(part: Rule, directions: Any, moving: Mapping[Parameter, Any]) -> None:
    """Refuse directions that are not a dictionary by some of the parameters that move."""
    if not isinstance(directions, Mapping):
        raise UpdateError(
            f"{part!r} gave {directions!r}; directions are a dictionary by parameter, with the "
            "keys that it was given"
        )
    for key in directions:
        if not isinstance(key, Parameter):
            raise UpdateError(
                f"{part!r} gave a direction for {key!r}; directions have the keys that were "
                "given, which are parameters: their names are key.name"
            )
        if key not in moving:
            raise UpdateError(
                f"{part!r} gave a direction for parameter {key.name!r}, which is frozen or does "
                "not belong to this update; give directions for the keys of theta"
            )
