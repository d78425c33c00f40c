"""Parameter updates: a rule bound to the parameters that it moves."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from genparams.errors import (
    InvalidValue,
    NonFiniteGradient,
    NothingAccumulated,
    StateMismatch,
    UnknownParameter,
    UpdateError,
    likely,
    nearest,
)
from genparams.mistakes import answering, closed, explained, instead
from genparams.params import Cell, Changes, Parameter, emptied, is_finite, lock, structure, swap
from genparams.text import brief
from genparams.update.group import Given
from genparams.update.notices import Notices, living, warn_of_waiting
from genparams.update.rates import only_rate, rates_of, with_rates
from genparams.update.rule import Rule
from genparams.update.saved_state import SavedState
from genparams.update.stepper import Progress
from genparams.update.steps import Steps
from genparams.update.targets import Targets, dotted, names_of
from genparams.update.tracer import GradientTracer

POLICIES = ("raise", "skip", "zero", "keep")
OPTIONS = ("callees", "minimize", "on_nonfinite", "tracer")
RATES = ("lr", "rate", "learning_rate", "step_size", "eta", "alpha", "step")


def _advice(update: "ParamUpdate", name: str) -> str:
    if name in (*OPTIONS, "rule"):
        return "it is given to ParamUpdate(rule, ...) and stays: make another update"
    if name in ("steps", "skipped"):
        return "it counts the steps of this update; load_state_dict restores it"
    near = nearest(name, ("tracer", *RATES))
    if near.startswith("known"):
        return "what can be set is update.learning_rate and update.tracer"
    return near if "tracer" in near else "the rate is update.learning_rate"


@explained
@answering(
    step="write update.apply()",
    zero_grad="apply empties the accumulators that it used; write zero_param_grad(f, name) for one",
    backward="write trace.accumulate_param_gradients()",
    lr="write update.learning_rate",
)
@closed("rule", "minimize", "on_nonfinite", "steps", "skipped", advice=_advice)
class ParamUpdate:
    """Moves parameters along their accumulated gradients by a rule.

        ParamUpdate(rule, foo=["a", "b"], bar=["theta"])      by the names of functions
        ParamUpdate(rule, {foo: ["a", "b"], bar: ["theta"]})  by the functions themselves
        ParamUpdate(rule, foo)                                all that foo owns at each `apply`
        ParamUpdate(rule, foo, callees=True)                  and all that its runs have read
        ParamUpdate(rule, theta)                              a store of its own

    Args:
        targets: Generative functions, stores, or dictionaries from these (or their names) to
            lists of names.
        callees: Whether functions given whole mean what their runs read, nested calls
            included.
        minimize: Whether the gradients are of a loss: their sign is changed once, before the rule
            sees them.
        on_nonfinite: What a gradient with a NaN or an infinity does: "raise" an error; "skip" the
            step, which is counted in `skipped`; "zero" the whole gradient of that parameter
            (GoMLX's clip_nan); or "keep" the values and states of such entries while the others
            move. The accumulators are emptied unless it raises.
        tracer: Records what each step did.
        by_name: Lists of parameter names, by the name of a live function.

    A copied update (`copy.copy`) moves the same parameters, from a state of its own. A pickled one
    holds its rule, its targets and its state; functions go by their names.

    Raises:
        UnknownFunction, UnknownParameter: a name is not there, or two live functions have it.

    Warns:
        GradientsWaiting: its parameters have gradients from before it was made.
    """

    rule: Rule
    minimize: bool
    on_nonfinite: str
    tracer: GradientTracer | None
    _steps: Steps
    _targets: Targets
    _progress: Cell
    _plan: "_Plan | None"
    _notices: Notices

    def __init__(
        self,
        rule: Rule,
        /,
        *targets: Any,
        callees: bool = False,
        minimize: bool = False,
        on_nonfinite: str = "raise",
        tracer: GradientTracer | None = None,
        **by_name: Iterable[str],
    ):
        if not isinstance(rule, Rule):
            raise UpdateError(f"an update takes a rule such as ADAM(0.01) first, got {brief(rule)}")
        if on_nonfinite not in POLICIES:
            near = likely(str(on_nonfinite), POLICIES)
            hint = f"; did you mean {near}?" if near else ""
            raise InvalidValue(
                f"on_nonfinite is one of {', '.join(map(repr, POLICIES))}, got {on_nonfinite!r}"
                f"{hint}"
            )
        for option, names in by_name.items():
            if not isinstance(names, Iterable):
                raise UpdateError(
                    f"ParamUpdate has no option {option!r}; {instead(option, OPTIONS)} (for a "
                    f"function of that name write {option}=['name', ...])"
                )
        if tracer is not None and not isinstance(tracer, GradientTracer):
            raise InvalidValue(f"tracer is a GradientTracer(), got {tracer!r}")
        found = Targets([*targets, by_name] if by_name else targets, callees)
        self._bind(rule, found, minimize, on_nonfinite, tracer)
        warn_of_waiting(self.covers(), stacklevel=4)

    def _bind(
        self, rule: Rule, targets: Targets, minimize: bool, on_nonfinite: str, tracer: Any
    ) -> None:
        fixed = {"rule": rule, "minimize": minimize, "on_nonfinite": on_nonfinite}
        vars(self).update(fixed)  # what is fixed cannot be set by assignment
        self.tracer = tracer
        self._steps = Steps(rule, minimize)
        self._targets = targets
        self._progress = Cell(self._steps.beginning())
        self._plan = None
        self._notices = Notices(targets)
        with lock:
            living.add(self)

    def __reduce__(self) -> Any:
        with lock:
            made_with = self.rule, self._targets, self.minimize, self.on_nonfinite, self.tracer
            return _unpickled, (*made_with, self.state_dict())

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._progress.now.steps

    @property
    def skipped(self) -> int:
        """How many steps were skipped, because a gradient was not finite."""
        return self._progress.now.skipped

    def parameters(self) -> dict[tuple[str, str], Parameter]:
        """What `apply` would move now, by function and name; frozen parameters are left out."""
        moving = [p for p in self.covers() if not p.frozen]
        return {names: p for p, names in names_of(moving).items()}

    def covers(self) -> list[Parameter]:
        """The parameters of this update, frozen or not."""
        with lock:
            return self._targets.parameters()

    # --- Taking a step

    def apply(self, grads: Mapping[Any, Any] | None = None) -> None:
        """Take one step, and empty the accumulators of the parameters that it moved.

        Args:
            grads: Gradients to use in place of the accumulated ones, which then stay as they are:
                by parameter name for a single store or function, else by function and then by
                name. Parameters that are missing or None are left alone, and so is their state.

        Raises:
            NothingAccumulated: no gradient was accumulated for any of the parameters.
            NonFiniteGradient: a gradient has a NaN or an infinity, and `on_nonfinite="raise"`.
            UnknownParameter, ShapeError: `grads` does not fit.
            UpdateError: the rule gives a direction of another shape, or an infinite one.

        Warns:
            UntrainedParameter: a parameter that the runs of a whole function read has a waiting
                gradient, is not frozen, and is moved by no update. Given once; looked for at steps
                1, 2, 4, 8, ...
            UnreadParameter: no run has read a parameter of a function, and its runs read one with
                a similar name. Likewise.
            ReplacedFunction: a function was defined again since the update was made.

        If it raises, nothing has changed.
        """
        with lock:
            plan = self._plan
            if plan is None or plan.structure is not structure.now:
                self._notices.look_for_replaced()
                plan = self._make_plan()
            progress: Progress = self._progress.now
            if progress.steps >= self._notices.next_look:
                self._notices.look(progress.steps, grads is None)
            given, moving = None, plan.moving
            if not moving:
                why = self._targets.why_none()
                raise NothingAccumulated(f"this update has no parameters to move: {why}")
            if grads is not None:
                given = self._targets.given(grads)
            elif not moving[0].accumulated and not any(p.accumulated for p in moving):
                raise NothingAccumulated(
                    f"no gradient was accumulated for {dotted(moving)}; call "
                    "trace.accumulate_param_gradients() before apply()"
                )
            if self.tracer is None:
                self._step(progress, moving, given)
            else:
                with self.tracer.step(progress.steps + 1, moving, given):
                    self._step(progress, moving, given)

    def _make_plan(self) -> "_Plan":
        """Look up the parameters that move; drop a stepper if one has moved to other memory."""
        now, known = structure.now, self._targets.parameters()
        self._refuse_misspelt(known)
        moving = tuple([p for p in known if not p.frozen])
        progress: Progress = self._progress.now
        stepper = progress.stepper
        if stepper is not None and not stepper.is_current():
            swap({self._progress: progress._replace(state=progress.whole_state(), stepper=None)})
        elif stepper is not None and stepper.parameters == moving:
            moving = stepper.parameters  # which are then known by identity
        self._plan = _Plan(now, moving)
        return self._plan

    def _refuse_misspelt(self, known: list[Parameter]) -> None:
        """Refuse a rule that names parameters, other than by patterns, that are not there."""
        names = {n for p in known for n in (p.name, f"{p.store.owner or 'theta'}.{p.name}")}
        for name in sorted(self.rule.names - names) if known else ():
            raise UnknownParameter(
                f"the rule is for {name!r}, and this update moves no such parameter; "
                f"{nearest(name, names)} (a pattern such as '{name}*' may match none)"
            )

    def _step(self, progress: Progress, moving: tuple[Parameter, ...], given: Given) -> None:
        found = self._steps.step(progress, moving, given, {})
        if found is None:
            found = self._step_with_nonfinite(progress, moving, given)
        changes, changes[self._progress] = found
        swap(changes)

    def _step_with_nonfinite(
        self, progress: Progress, moving: tuple[Parameter, ...], given: Given
    ) -> tuple[Changes, Progress]:
        """What a step changes if a gradient is not finite, and the next progress: by the policy."""
        g = {p: p.grad for p in moving} if given is None else dict(given)
        bad = {p: ~np.isfinite(d) for p, d in g.items() if not is_finite(d)}
        if self.on_nonfinite == "raise":
            p = next(iter(bad))
            function, name = names_of(moving)[p]
            fault = p.fault if given is None else None
            raise NonFiniteGradient(function, name, progress.steps + 1, fault)
        used, fixed = g, {}
        if self.on_nonfinite == "skip":
            used = {}
            progress = progress._replace(skipped=progress.skipped + 1)
        elif self.on_nonfinite == "zero":
            used = {**g, **{p: np.zeros(p.shape, p.dtype) if p.shape else 0.0 for p in bad}}
        else:  # "keep": a single number is left out, the bad entries of an array are fixed
            used = {p: d for p, d in g.items() if p not in bad or p.shape}
            fixed = {p: mask for p, mask in bad.items() if p in used}
            used.update({p: np.where(mask, 0.0, g[p]) for p, mask in fixed.items()})
        found = self._steps.step(progress, moving, used, fixed) if used else ({}, progress)
        assert found is not None  # no gradient is left that is not finite
        changes, progress = found
        return emptied(g, changes) if given is None else changes, progress

    # --- The state

    @explained
    def state_dict(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state as arrays, by name."""
        with lock:
            return self.saved_state().now()

    @explained
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` gave.

        Raises:
            StateMismatch: names, shapes or kinds differ, or a value is outside its range; the
                message lists each difference, and nothing is changed.
        """
        with lock:
            state = self.saved_state()
            if wrong := state.differences(saved):
                raise StateMismatch(f"the saved state does not fit {self!r}: " + "; ".join(wrong))
            swap(state.restored(saved))

    def saved_state(self) -> SavedState:
        """What a saved state looks like, and how it is loaded; for checkpoints."""
        return SavedState(self._steps, self._targets.parameters(), self._progress)

    def present(self) -> Changes:
        """The change that brings back the state as it is now, up to the second step from here."""
        return {self._progress: self._progress.now}

    def plain_steps(self) -> int:
        """How many steps from here on do nothing but move the same parameters as the step before,
        by formulas for every number alike; 0 if the next step does more."""
        plan, progress = self._plan, self._progress.now
        stepper = progress.stepper
        if plan is None or plan.structure is not structure.now or self.tracer is not None:
            return 0
        if stepper is None or stepper.parameters is not plan.moving or self._steps.has_head:
            return 0
        return max(0, self._notices.next_look - progress.steps)

    # --- The rate

    @property
    def learning_rates(self) -> dict[str, float]:
        """The factors that may be set while training, by the place of each in the rule."""
        with lock:
            return rates_of(self._whole_progress().state)

    @property
    def learning_rate(self) -> float:
        """The factor of the rule, which may be set while training.

        Raises:
            UpdateError: the rule has no such factor, as with a schedule, or several that differ.
        """
        return only_rate(self.rule, self.learning_rates)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        with lock:
            _ = self.learning_rate  # there is one
            self.set_learning_rates(dict.fromkeys(self.learning_rates, rate))

    @explained
    def set_learning_rates(self, rates: Mapping[str, float]) -> None:
        """Set factors, by the names that `learning_rates` gives.

        Raises:
            UpdateError: there is none of that name.
            InvalidValue: a rate is not a finite number from 0 on; nothing is changed.
        """
        with lock:
            progress = self._whole_progress()
            state = with_rates(progress.state, rates)
            swap({self._progress: progress._replace(state=state)})

    def _whole_progress(self) -> Progress:
        """The progress, with a state for every parameter that is meant now."""
        return self._steps.covering(self._progress.now, self._targets.parameters())

    def __repr__(self) -> str:
        which = dotted(self.parameters().values()) or "no parameters yet"
        policy = "" if self.on_nonfinite == "raise" else f", on_nonfinite={self.on_nonfinite!r}"
        sign = ", minimize=True" if self.minimize else ""
        return f"ParamUpdate({self.rule!r}, {which}{sign}{policy})"


class _Plan(NamedTuple):
    """What an update moves, as long as the structure of all stores is the same."""

    structure: object
    moving: tuple[Parameter, ...]


def _unpickled(
    rule: Rule,
    targets: Targets,
    minimize: bool,
    on_nonfinite: str,
    tracer: GradientTracer | None,
    saved: Mapping[str, Any],
) -> ParamUpdate:
    """An update as it was pickled."""
    update = ParamUpdate.__new__(ParamUpdate)
    update._bind(rule, targets, minimize, on_nonfinite, tracer)
    update.load_state_dict(saved)
    return update
