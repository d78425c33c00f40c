"""Parameter updates: a rule bound to the parameters that it moves."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from genparams.errors import (
    GradientsWaiting,
    InvalidValue,
    NonFiniteGradient,
    NothingAccumulated,
    ReplacedFunction,
    StateMismatch,
    UnknownParameter,
    UnreadParameter,
    UntrainedParameter,
    UpdateError,
    likely,
    nearest,
)
from genparams.memory import Cell, Changes, swap
from genparams.mistakes import answering, closed, explained, instead
from genparams.params import Parameter, edited, emptied, is_finite, labels, lock
from genparams.registry import updates
from genparams.text import brief
from genparams.update.engine import Engine, Given, Progress
from genparams.update.rule import Rule, State, chain, out_of_range, split
from genparams.update.settings import RATE, number
from genparams.update.state import (
    differences,
    filled,
    joined,
    kept_of,
    leaves,
    put_back,
    replaced,
    settable,
    without,
)
from genparams.update.targets import Targets
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
        minimize: Whether the gradients are of a loss: their sign is turned once, before the rule
            sees them.
        on_nonfinite: What a gradient with a NaN or an infinity does: "raise" an error; "skip" the
            step, which is counted in `skipped`; "zero" the whole gradient of that parameter
            (GoMLX's clip_nan); or "keep" the value and state of such entries as they are while
            the others move. The accumulators are emptied unless it raises.
        tracer: Writes down what each step did.
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
    _chain: Rule
    _head: dict[str, Rule]
    _tail: Any
    _targets: Targets
    _progress: Cell
    _known: list[Parameter] | None
    _moving: list[Parameter]
    _look_at: float
    _replaced: bool
    _untrained: bool
    _unread: bool

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
        waiting = [p for p in self.covers() if p.accumulated and not p.frozen]
        if waiting:
            warnings.warn(
                f"gradients from before this update was made wait at {_listed(waiting)}, and its "
                "first step will use them; if they are not meant, empty them with "
                "zero_param_grad(f, name)",
                GradientsWaiting,
                stacklevel=3,
            )

    def _bind(
        self,
        rule: Rule,
        targets: Targets,
        minimize: bool,
        on_nonfinite: str,
        tracer: GradientTracer | None,
    ) -> None:
        fixed = {"rule": rule, "minimize": minimize, "on_nonfinite": on_nonfinite}
        vars(self).update(fixed)
        self.tracer = tracer
        self._chain = rule if rule.parts else chain(rule)
        self._head, self._tail = split(self._chain)
        self._targets = targets
        self._progress = Cell(Progress(0, 0, frozenset(), {}, None, 0, ([], [])))
        self._known = None
        self._moving = []
        self._look_at = 0  # the number of steps at which to look for a likely mistake
        self._replaced = False  # whether a function may have been defined again
        self._untrained = False  # whether the warning was given
        self._unread = False  # likewise
        with lock:
            updates.add(self)

    def __reduce__(self) -> Any:
        with lock:
            made_with = self.rule, self._targets, self.minimize, self.on_nonfinite, self.tracer
            return _restored, (*made_with, self.state_dict())

    # --- What is likely a mistake

    def look_again(self) -> None:
        """Note that some function was defined again."""
        self._replaced = True
        self._look_at = 0

    def _look(self, given: Any) -> None:
        """Warn of what is likely a mistake: each thing once, and at some of the steps only."""
        if self._replaced:
            self._warn_of_replaced()
        if not self._untrained and given is None:
            self._warn_of_untrained()
        if not self._unread:
            self._warn_of_unread()
        self._look_at = 2 * self.steps + 1

    def _warn_of_replaced(self) -> None:
        for name in self._targets.replaced():
            warnings.warn(
                f"{name} was defined again since this update was made, which moves the parameters "
                f"of the older one; initialise the parameters of the new {name}, and make its "
                "traces and this update again",
                ReplacedFunction,
                stacklevel=4,
            )
        self._replaced = False

    def _warn_of_untrained(self) -> None:
        left = [p for p in self._targets.passed_over() if p.accumulated and not p.frozen]
        if not left:
            return
        covered = {p for update in list(updates) for p in update.covers()}
        left = [p for p in left if p not in covered]
        if not left:
            return
        warnings.warn(
            f"gradients wait at {_listed(left)}, which the runs read and no update moves; write "
            "ParamUpdate(..., callees=True) to train them, or freeze them: "
            f"{left[0].store.owner or 'f'}.params[{left[0].name!r}].freeze()",
            UntrainedParameter,
            stacklevel=4,
        )
        self._untrained = True

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._progress.now.steps

    @property
    def skipped(self) -> int:
        """How many steps were skipped, because a gradient was not finite."""
        return self._progress.now.skipped

    def _warn_of_unread(self) -> None:
        for owner, name, near in self._targets.unread():
            warnings.warn(
                f"{owner} has a parameter {name!r} that no run has read, and its runs read "
                f"{near!r}; if that was meant, write init_param({owner}, {near!r}, value)",
                UnreadParameter,
                stacklevel=4,
            )
            self._unread = True

    def parameters(self) -> dict[tuple[str, str], Parameter]:
        """What `apply` would move now, by function and name; frozen parameters are left out."""
        with lock:
            return _by_name([p for p in self._targets.parameters() if not p.frozen])

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
            UntrainedParameter: gradients wait at parameters that the runs of functions given whole
                read, that are not frozen, and that no update moves. Once for each update, and
                looked for at steps 1, 2, 4, 8, ...
            UnreadParameter: no run has read a parameter of a function, and its runs read one with
                a similar name. Likewise.
            ReplacedFunction: a function was defined again since the update was made.

        If it raises, nothing has changed.
        """
        with lock:
            progress: Progress = self._progress.now
            if progress.steps >= self._look_at:
                self._look(grads)
            known = self._targets.parameters()
            if known is not self._known:
                self._refuse_misspelt(known)
                self._moving, self._known = [p for p in known if not p.frozen], known
            if not self._moving:
                why = self._targets.why_none()
                raise NothingAccumulated(f"this update has no parameters to move: {why}")
            given = None if grads is None else self._targets.given(grads)
            if given is None:
                for p in self._moving:  # nearly always the first
                    memory, i = p._at
                    if memory.now.grad[i] is not None:
                        break
                else:
                    raise self._nothing_accumulated()
            if self.tracer is None:
                swap(self._step(progress, given, {}) or self._step_without_nonfinite(given))
            else:
                traced = self._moving if given is None else list(given)
                with self.tracer.step(progress.steps + 1, _by_name(traced), given):
                    swap(self._step(progress, given, {}) or self._step_without_nonfinite(given))

    def _refuse_misspelt(self, known: list[Parameter]) -> None:
        """Refuse a rule that names parameters, other than by patterns, that are not there."""
        names = {n for p in known for n in (p.name, f"{p.store.owner or 'theta'}.{p.name}")}
        for name in sorted(self.rule.names - names) if known else ():
            raise UnknownParameter(
                f"the rule is for {name!r}, and this update moves no such parameter; "
                f"{nearest(name, names)} (a pattern such as '{name}*' may match none)"
            )

    def _nothing_accumulated(self) -> NothingAccumulated:
        which = ", ".join(f"{f}.{name}" for f, name in _by_name(self._moving))
        return NothingAccumulated(
            f"no gradient was accumulated for {which}; call "
            "trace.accumulate_param_gradients() before apply()"
        )

    def _step(
        self, progress: Progress, given: Given, around: Mapping[Parameter, Any]
    ) -> Changes | None:
        """What a step changes; None if a gradient is not finite.

        Args:
            around: Entries of arrays that do not move and whose state stays.
        """
        if self._head:
            found = self._step_by_parts(progress, given, around)
        else:
            engine, progress = self._engine_of(progress, self._moving if given is None else given)
            found = engine.step(progress, given, around)
        if found is None:
            return None
        changes, changes[self._progress] = found
        return changes

    def _step_by_parts(
        self, progress: Progress, given: Given, around: Mapping[Parameter, Any]
    ) -> tuple[Changes, Progress] | None:
        """The same where parts of the rule see whole parameters: these go first."""
        g: Any = {p: p.grad for p in self._moving} if given is None else dict(given)
        if not all(map(is_finite, g.values())):
            return None
        if self.minimize:
            g = {p: -d for p, d in g.items()}
        progress = self._with_state(progress, self._moving)
        theta = {p: p.coordinates for p in self._moving}
        heads = {}
        for place, part in self._head.items():
            before = progress.state[place]
            g, after = part.apply(g, before, theta)
            self._refuse_other_keys(part, g)
            heads[place] = _put_back_all(after, before, around)
        try:
            if self._tail is None:
                found = self._step_by_directions(progress, g, around)
            else:
                g = {p: p.checked_direction(d) for p, d in g.items()}
                engine, progress = self._engine_of(progress, g)
                found = engine.step(progress, g, around)
            if found is None:
                raise InvalidValue("its directions are not finite")
        except ValueError as error:
            raise UpdateError(f"{self.rule!r} cannot be applied: {error}") from None
        changes, progress = found
        if given is None:
            changes = emptied(g, changes)
        return changes, progress._replace(state={**progress.state, **heads})

    def _step_by_directions(
        self, progress: Progress, g: Mapping[Parameter, Any], around: Mapping[Parameter, Any]
    ) -> tuple[Changes, Progress]:
        """The same once every part was applied."""
        edits = {}
        for p, direction in g.items():
            edits[p] = p.stepped(direction)
            if p in around:
                edits[p] = p.moved(np.where(around[p], p.coordinates, edits[p]["theta"]))
        return edited(edits), progress._replace(steps=progress.steps + 1)

    def _refuse_other_keys(self, part: Rule, directions: Any) -> None:
        """Refuse directions that are no dictionary by the parameters that were given."""
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

    def _engine_of(
        self, progress: Progress, parameters: Iterable[Parameter]
    ) -> tuple[Engine, Progress]:
        """An engine for these parameters, in any order, and the progress that lies as it says."""
        engine = progress.engine
        if engine is not None:
            for memory in engine.memories:
                if memory.left:
                    engine = None
                    break
            else:
                if engine.made_for is parameters:
                    return engine, progress
        wanted = dict.fromkeys(parameters)
        if engine is None or engine.parameters.keys() != wanted.keys():
            assert self._tail is not None
            progress = self._with_state(progress, wanted)
            whole = progress.whole()
            engine = Engine(self._tail, whole, wanted, self.minimize and not self._head)
            state, held = engine.laid(whole)
            progress = progress._replace(state=state, engine=engine, taken=0, held=held)
        engine.made_for = parameters if parameters is self._moving else None
        return engine, progress

    def _step_without_nonfinite(self, given: Given) -> Changes:
        """What the policy about gradients that are not finite changes."""
        g = {p: p.grad for p in self._moving} if given is None else dict(given)
        bad = {p: ~np.isfinite(d) for p, d in g.items() if not is_finite(d)}
        if self.on_nonfinite == "raise":
            parameter = next(iter(bad))
            function, name = _key_of(parameter, self._moving)
            fault = parameter.fault if given is None else None
            raise NonFiniteGradient(function, name, self.steps + 1, fault)
        changes: Changes | None = {}
        now: Progress = self._progress.now
        if self.on_nonfinite == "skip":
            changes = {self._progress: now._replace(skipped=now.skipped + 1)}
        elif self.on_nonfinite == "zero":
            zeroed = {p: np.zeros(p.shape, p.dtype) if p.shape else 0.0 for p in bad}
            changes = self._step(now, {**g, **zeroed}, {})
        else:  # a single number is left out, the bad entries of an array stay as they are
            kept = {p: d for p, d in g.items() if p not in bad or p.shape}
            kept.update({p: np.where(bad[p], 0.0, d) for p, d in kept.items() if p in bad})
            changes = {}
            if kept:
                changes = self._step(now, kept, {p: bad[p] for p in kept if p in bad})
        assert changes is not None  # no gradient is left that is not finite
        return emptied(g, changes) if given is None else changes

    # --- The state

    def _with_state(self, progress: Progress, parameters: Iterable[Parameter]) -> Progress:
        """Progress with a beginning of the state for parameters that it does not know."""
        fresh = {p: p.coordinates for p in parameters if p not in progress.known}
        if not fresh and (progress.known or progress.state):
            return progress
        state = joined(progress.whole(), self._chain.init(fresh))
        known = progress.known.union(fresh)
        gone = {p for p in known if not p.store.holds(p)}
        if gone:
            state, known = without(state, gone), known - gone
        return progress._replace(state=state, known=known, engine=None)

    def _whole_state(self) -> dict[Any, Any]:
        """The rule's state for all parameters that are meant now; hold the lock."""
        return self._with_state(self._progress.now, self._targets.parameters()).whole()

    @explained
    def state_dict(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state as arrays, by name."""
        with lock:
            known = self._targets.parameters()
            named = leaves(self._whole_state(), _paths(known))
            found = {"steps": np.array(self.steps), "skipped": np.array(self.skipped)}
            for k, v in named.items():
                found[k] = np.array(v)
                if found[k].dtype.kind not in "fiub":
                    raise UpdateError(f"a state holds numbers and arrays of them; {k} is {v!r}")
            return found

    def differences(
        self, saved: Mapping[str, Any], template: "Template | None" = None
    ) -> list[str]:
        """What keeps a saved state from being loaded, a sentence each."""
        if not isinstance(saved, Mapping):
            return [f"a state is a dictionary, as state_dict gives it, and not {saved!r}"]
        with lock:
            wrong = differences((template or self.template()).expected, saved)
            return wrong or out_of_range(self._chain.ranges, saved)

    @explained
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` gave.

        Raises:
            StateMismatch: names, shapes or kinds differ, or a value is outside its range; the
                message lists each difference, and nothing is changed.
        """
        with lock:
            swap(self.restored(saved))

    def restored(self, saved: Mapping[str, Any], template: "Template | None" = None) -> Changes:
        """What `swap` takes to load a state; with the changes of stores, one `swap` loads all.

        Hold the lock from here to the swap.

        Raises:
            StateMismatch: as `load_state_dict`.
        """
        template = template or self.template()
        wrong = self.differences(saved, template)
        if wrong:
            raise StateMismatch(f"the saved state does not fit {self!r}: " + "; ".join(wrong))
        state = filled(template.state, template.names, saved)
        steps, skipped = int(saved["steps"]), int(saved["skipped"])
        after = Progress(steps, skipped, frozenset(template.names), state, None, 0, ([], []))
        return {self._progress: after}

    def template(self) -> "Template":
        """A first state, which says what a saved one looks like."""
        known = self._targets.parameters()
        names = _paths(known)
        state = self._chain.init({p: p.coordinates for p in known})
        return Template(state, {"steps": 0, "skipped": 0, **leaves(state, names)}, names)

    # --- The rate

    @property
    def learning_rates(self) -> dict[str, float]:
        """The factors that may be set while training, by the place of each in the rule."""
        with lock:
            found = settable(self._whole_state())
            return {"/".join(path): at["factor"] for path, at in found.items()}

    @property
    def learning_rate(self) -> float:
        """The factor of the rule, which may be set while training.

        Raises:
            UpdateError: the rule has no such factor, as with a schedule, or several that differ.
        """
        rates = self.learning_rates
        if not rates:
            raise UpdateError(
                f"{self.rule!r} has no rate that can be read and set; make it with a number as "
                "learning_rate, or chain(..., scale_by_state(rate)); for a schedule, read "
                "schedule(update.steps)"
            )
        if len(set(rates.values())) != 1:
            found = ", ".join(f"{path!r}: {rate}" for path, rate in rates.items())
            raise UpdateError(
                f"{self.rule!r} has several rates; read learning_rates, and write "
                f"set_learning_rates({{{found}}})"
            )
        return next(iter(rates.values()))

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
            progress = self._with_state(self._progress.now, self._targets.parameters())
            state = progress.state
            parts = settable(state)
            paths = {"/".join(path): path for path in parts}
            if not isinstance(rates, Mapping):
                raise UpdateError(
                    f"rates are a dictionary by name, got {brief(rates)}; the names are "
                    f"{', '.join(map(repr, paths)) or 'none'}; write update.learning_rate for one "
                    "rate"
                )
            for name, rate in rates.items():
                if name not in paths:
                    raise UpdateError(f"there is no rate {name!r}; {nearest(name, paths)}")
                number("ParamUpdate", "learning_rate", rate, RATE)
                path = paths[name]
                state = replaced(state, path, {**parts[path], "factor": float(rate)})
            swap({self._progress: progress._replace(state=state)})

    def __repr__(self) -> str:
        which = ", ".join(f"{f}.{name}" for f, name in self.parameters()) or "no parameters yet"
        policy = "" if self.on_nonfinite == "raise" else f", on_nonfinite={self.on_nonfinite!r}"
        sign = ", minimize=True" if self.minimize else ""
        return f"ParamUpdate({self.rule!r}, {which}{sign}{policy})"


class Template(NamedTuple):
    """A first state of an update, its data by name, and the names of the parameters."""

    state: State
    expected: dict[str, Any]
    names: dict[Parameter, str]


def _restored(
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


def _listed(parameters: Iterable[Parameter]) -> str:
    names = [f"{p.store.owner or 'theta'}.{p.name}" for p in parameters]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _by_name(parameters: Iterable[Parameter]) -> dict[tuple[str, str], Parameter]:
    parameters = list(parameters)
    names = labels(p.store for p in parameters)
    return {(names[p.store], p.name): p for p in parameters}


def _paths(parameters: Iterable[Parameter]) -> dict[Parameter, str]:
    """The names of parameters in a saved state."""
    return {p: "/".join(key) for key, p in _by_name(parameters).items()}


def _key_of(parameter: Parameter, parameters: list[Parameter]) -> tuple[str, str]:
    return next(key for key, p in _by_name([*parameters, parameter]).items() if p is parameter)


def _put_back_all(
    after: Mapping[Any, Any], before: Mapping[Any, Any], around: Mapping[Parameter, Any]
) -> Mapping[Any, Any]:
    """A state with some entries of parameters as they were before."""
    for p, entries in around.items():
        after = put_back(after, kept_of(before, p), p, entries)
    return after
