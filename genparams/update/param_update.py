"""Parameter updates: a rule bound to the parameters that it moves."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from genparams.attributes import closed
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
from genparams.keywords import answering, explained, instead
from genparams.params import Parameter, is_finite, labels, lock
from genparams.registry import updates
from genparams.tree import brief
from genparams.update.engine import Engine, interrupts_later
from genparams.update.rule import Rule, State, chain, out_of_range, split
from genparams.update.settings import RATE, number
from genparams.update.states import (
    differences,
    filled,
    joined,
    kept_of,
    leaves,
    put_back,
    settable,
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
    steps: int
    skipped: int
    _next: int
    _chain: Rule
    _head: dict[str, Rule]
    _tail: Any
    _targets: Targets
    _state: dict[Any, Any] | None
    _begun: set[Parameter]
    _engine: Engine | None
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
        waiting = [p for p in self._targets.parameters() if p.accumulated and not p.frozen]
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
        vars(self).update(steps=0, skipped=0)
        self._next = 0  # the number of the step under way
        self._chain = rule if rule.parts else chain(rule)
        self._head, self._tail = split(self._chain)
        self._targets = targets
        self._state = None
        self._begun = set()  # those that the state knows
        self._engine = None
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
            f"f.params[{left[0].name!r}].freeze()",
            UntrainedParameter,
            stacklevel=4,
        )
        self._untrained = True

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
        return _by_name([p for p in self._targets.parameters() if not p.frozen])

    def covers(self) -> list[Parameter]:
        """The parameters of this update, frozen or not."""
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
            if self.steps >= self._look_at:
                self._look(grads)
            known = self._targets.parameters()
            if known is not self._known:
                self._refuse_misspelt(known)
                self._known, self._moving = known, [p for p in known if not p.frozen]
            if not self._moving:
                why = self._targets.why_none()
                raise NothingAccumulated(f"this update has no parameters to move: {why}")
            given = None if grads is None else self._targets.given(grads)
            if given is None:
                for p in self._moving:  # nearly always the first
                    if p.accumulated:
                        break
                else:
                    raise self._nothing_accumulated()
            if self.tracer is None:
                self._apply(given)
            else:
                traced = self._moving if given is None else list(given)
                with self.tracer.step(self.steps + 1, _by_name(traced), given):
                    self._apply(given)

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

    def _apply(self, given: Mapping[Parameter, Any] | None) -> None:
        if not (self._step_by_parts(given) if self._head else self._step_whole(given)):
            with interrupts_later():
                self._step_without_nonfinite(given)

    def _step_whole(self, given: Mapping[Parameter, Any] | None) -> bool:
        """Take a step of a rule that is all formulas; False if a gradient is not finite."""
        self.__dict__["_next"] = self.steps + 1  # a fifth of the time of setting an attribute
        return self._engine_of(self._moving if given is None else given).step(given, self._done)

    def _done(self) -> None:
        """Count a step that was taken; it may be called twice for one."""
        self.__dict__["steps"] = self._next

    def _step_by_parts(self, given: Mapping[Parameter, Any] | None) -> bool:
        """Let the parts of a rule that see whole parameters go first; False as above."""
        g: Any = {p: p.grad for p in self._moving} if given is None else dict(given)
        if not all(map(is_finite, g.values())):
            return False
        if self.minimize:
            g = {p: -d for p, d in g.items()}
        state = self._state_with(self._moving)
        theta = {p: p.coordinates for p in self._moving}
        after = {}
        for place, part in self._head.items():
            g, after[place] = part.apply(g, state[place], theta)
            self._refuse_other_keys(part, g)
        del theta  # from here on nobody else holds the coordinates
        self._next = self.steps + 1
        moved: list[tuple[Parameter, Any, Any]] = []

        def done() -> None:
            for p, *at in moved:
                p.place(*at)
            self._state = {**state, **after}
            if given is None:
                for p in g:
                    p.zero_grad()
            self._done()

        try:
            if self._tail is None:
                moved += [(p, *p.stepped(direction)) for p, direction in g.items()]
                try:
                    done()
                except BaseException:
                    done()
                    raise
            else:
                g = {p: p.checked_direction(d) for p, d in g.items()}
                if not self._engine_of(g).step(g, done):
                    raise InvalidValue("its directions are not finite")
        except ValueError as error:
            raise UpdateError(f"{self.rule!r} cannot be applied: {error}") from None
        return True

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

    def _engine_of(self, parameters: Iterable[Parameter]) -> Engine:
        """The engine for these, in any order."""
        engine = self._engine
        if engine is not None and not engine.is_current():
            engine = None
        if engine is not None and engine.made_for is parameters:
            return engine
        wanted = dict.fromkeys(parameters)
        if engine is None or engine.parameters.keys() != wanted.keys():
            assert self._tail is not None
            state = self._state_with(wanted)
            minimize = self.minimize and not self._head
            engine = Engine(self._tail, state, wanted, minimize)
            self._engine = engine
        engine.made_for = parameters if parameters is self._moving else None
        return engine

    def _step_without_nonfinite(self, given: Mapping[Parameter, Any] | None) -> None:
        """Do what the policy says about gradients that are not finite."""
        g = {p: p.grad for p in self._moving} if given is None else dict(given)
        bad = {p: ~np.isfinite(d) for p, d in g.items() if not is_finite(d)}
        if self.on_nonfinite == "raise":
            parameter = next(iter(bad))
            function, name = _key_of(parameter, self._moving)
            fault = parameter.fault if given is None else None
            raise NonFiniteGradient(function, name, self.steps + 1, fault)
        if self.on_nonfinite == "skip":
            vars(self)["skipped"] += 1
        elif self.on_nonfinite == "zero":
            self._apply({p: 0.0 * p.coordinates if p in bad else d for p, d in g.items()})
        else:
            self._step_around(dict(g), bad)
        if given is None:
            for p in g:
                p.zero_grad()

    def _step_around(self, g: dict[Parameter, Any], bad: dict[Parameter, Any]) -> None:
        """Step all but the bad entries: a single number is left out, the rest is put back after."""
        for p, entries in bad.items():
            if np.ndim(entries):
                g[p] = np.where(entries, 0.0, g[p])
            else:
                del g[p]
        if not g:
            return
        around = {p: entries for p, entries in bad.items() if p in g}
        before = {p: (p.coordinates, kept_of(self._state_with(g), p)) for p in around}
        self._apply(g)
        for p, entries in around.items():
            theta, old = before[p]
            p.place(*p.moved(np.where(entries, theta, p.coordinates)))
            self._state = put_back(self._state_with(g), old, p, entries)
            self._engine = None  # it wrote to the state before

    # --- The state

    def _state_with(self, parameters: Iterable[Parameter]) -> dict[Any, Any]:
        """The rule's state, up to date, with a beginning for parameters that it does not know."""
        if self._engine is not None:
            self._engine.note()
        fresh = {p: p.coordinates for p in parameters if p not in self._begun}
        state = self._state
        if fresh or state is None:
            state = self._state = joined(state or {}, self._chain.init(fresh))
            self._begun.update(fresh)
            self._engine = None  # it wrote to the state before
        return state

    @explained
    def state_dict(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state as arrays, by name."""
        known = self._targets.parameters()
        state = self._state_with(known)
        named = leaves(state, _paths(known))
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
            template = self.template()
            wrong = self.differences(saved, template)
            if wrong:
                raise StateMismatch(f"the saved state does not fit {self!r}: " + "; ".join(wrong))
            vars(self).update(self.restored(saved, template))

    def restored(self, saved: Mapping[str, Any], template: "Template") -> dict[str, Any]:
        """The attributes of this update in a saved state that fits; nothing is changed."""
        return {
            "_state": filled(template.state, template.names, saved),
            "_engine": None,
            "_begun": set(template.names),
            "steps": int(saved["steps"]),
            "skipped": int(saved["skipped"]),
        }

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
        state = self._state_with(self._targets.parameters())
        return {path: at["factor"] for path, at in settable(state)}

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
            at = dict(settable(self._state_with(self._targets.parameters())))
            if not isinstance(rates, Mapping):
                raise UpdateError(
                    f"rates are a dictionary by name, got {brief(rates)}; the names are "
                    f"{', '.join(map(repr, at)) or 'none'}; write update.learning_rate for one rate"
                )
            for path, rate in rates.items():
                if path not in at:
                    raise UpdateError(f"there is no rate {path!r}; {nearest(path, at)}")
                number("ParamUpdate", "learning_rate", rate, RATE)
            for path, rate in rates.items():
                at[path]["factor"] = float(rate)

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
