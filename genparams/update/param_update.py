"""Parameter updates: a rule bound to the parameters that it moves."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genparams.errors import NonFiniteGradient, NothingAccumulated, StateMismatch, UpdateError
from genparams.params import Parameter, is_finite, labels, lock
from genparams.update.rule import Rule, State
from genparams.update.targets import Targets


class ParamUpdate:
    """Moves parameters along their accumulated gradients by a rule.

        ParamUpdate(rule, foo=["a", "b"], bar=["theta"])      by the names of functions
        ParamUpdate(rule, {foo: ["a", "b"], bar: ["theta"]})  by the functions themselves
        ParamUpdate(rule, foo)                                all that foo owns at each `apply`
        ParamUpdate(rule, foo, callees=True)                  and all that its runs have read
        ParamUpdate(rule, theta)                              a store that stands alone

    Args:
        targets: Generative functions, stores, or dictionaries from these (or their names) to
            lists of names.
        callees: Whether functions given whole stand for what their runs read, nested calls
            included.
        minimize: Whether the gradients are of a loss: their sign is turned once, before the rule
            sees them.
        by_name: Lists of parameter names, by the name of a live function.

    Raises:
        UnknownFunction, UnknownParameter: a name is not there, or two live functions have it.
    """

    def __init__(
        self,
        rule: Rule,
        /,
        *targets: Any,
        callees: bool = False,
        minimize: bool = False,
        **by_name: Iterable[str],
    ):
        if not isinstance(rule, Rule):
            raise UpdateError(f"an update takes a rule such as ADAM(0.01), got {rule!r}")
        self.rule = rule
        self.minimize = minimize
        self.steps = 0
        self._targets = Targets([*targets, by_name] if by_name else targets, callees)
        self._state: State | None = None
        self._begun: set[Parameter] = set()  # those that the state knows

    def parameters(self) -> dict[tuple[str, str], Parameter]:
        """What `apply` would move now, by function and name; frozen parameters are left out."""
        return _by_name([p for p in self._targets.parameters() if not p.frozen])

    def apply(self, grads: Mapping[Any, Any] | None = None) -> None:
        """Take one step, and empty the accumulators of the parameters that it moved.

        Args:
            grads: Gradients to use in place of the accumulated ones, which then stay as they are:
                by parameter name for a single store or function, else by function and then by
                name. Parameters that are missing or None are left alone, and so is their state.

        Raises:
            NothingAccumulated: no gradient was accumulated for any of the parameters.
            NonFiniteGradient: a gradient has a NaN or an infinity.
            UnknownParameter, ShapeError: `grads` does not fit.
            UpdateError: the rule gives a direction of another shape, or one without end.

        If it raises, nothing has changed.
        """
        with lock:
            moving = [p for p in self._targets.parameters() if not p.frozen]
            if not moving:
                why = self._targets.why_none()
                raise NothingAccumulated(f"this update has no parameters to move: {why}")
            g = self._accumulated(moving) if grads is None else self._targets.given(grads)
            for parameter, d in g.items():
                if not is_finite(d):
                    function, name = _key_of(parameter, moving)
                    fault = parameter.fault if grads is None else None
                    raise NonFiniteGradient(function, name, self.steps + 1, fault)
            if self.minimize:
                g = {parameter: -d for parameter, d in g.items()}
            theta = {parameter: parameter.coordinates for parameter in moving}
            directions, state = self.rule.apply(g, self._state_with(theta), theta)
            for parameter, coordinates, value in self._moved(directions):
                parameter.place(coordinates, value)
                if grads is None:
                    parameter.zero_grad()
            self._state = state
            self._begun.update(theta)
            self.steps += 1

    def _accumulated(self, moving: list[Parameter]) -> dict[Parameter, Any]:
        if not any(parameter.accumulated for parameter in moving):
            which = ", ".join(f"{f}.{name}" for f, name in _by_name(moving))
            raise NothingAccumulated(
                f"no gradient was accumulated for {which}; call "
                "trace.accumulate_param_gradients() before apply()"
            )
        return {parameter: parameter._grad for parameter in moving}

    def _moved(self, directions: Mapping[Parameter, Any]) -> list[tuple[Parameter, Any, Any]]:
        try:
            return [(p, *p.stepped(direction)) for p, direction in directions.items()]
        except (ValueError, AttributeError) as error:
            raise UpdateError(f"{self.rule!r} cannot be applied: {error}") from None

    def _state_with(self, theta: Mapping[Parameter, Any]) -> State:
        """The rule's state, with a beginning for parameters that it does not know."""
        fresh = {parameter: at for parameter, at in theta.items() if parameter not in self._begun}
        if not fresh and self._state is not None:
            return self._state
        begun = self.rule.init(fresh)
        return begun if self._state is None else _joined(self._state, begun)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state as arrays, by name."""
        known = self._targets.parameters()
        state = self._state_with({p: p.coordinates for p in known})
        leaves = _leaves(state, {p: "/".join(key) for key, p in _by_name(known).items()})
        return {"steps": np.array(self.steps), **{k: np.array(v) for k, v in leaves.items()}}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            StateMismatch: names, shapes or kinds differ; the message lists each difference, and
                nothing is changed.
        """
        known = self._targets.parameters()
        names = {p: "/".join(key) for key, p in _by_name(known).items()}
        template = self.rule.init({p: p.coordinates for p in known})
        expected = {"steps": 0, **_leaves(template, names)}
        wrong = [f"{k} is missing" for k in expected if k not in saved]
        wrong += [f"{k} is not in this update" for k in saved if k not in expected]
        for k, v in expected.items():
            if k in saved and np.shape(saved[k]) != np.shape(v):
                wrong.append(f"{k} has shape {np.shape(saved[k])}, expected {np.shape(v)}")
            elif k in saved and np.asarray(saved[k]).dtype.kind not in "fiu":
                wrong.append(f"{k} is {saved[k]!r}, expected numbers")
            elif k in saved and isinstance(v, int) and not np.isfinite(saved[k]):
                wrong.append(f"{k} is {saved[k]!r}, expected a count")
        if wrong:
            raise StateMismatch(f"the saved state does not fit {self!r}: " + "; ".join(wrong))
        self._state = _filled(template, names, saved)
        self._begun = set(known)
        self.steps = int(saved["steps"])

    def __repr__(self) -> str:
        which = ", ".join(f"{f}.{name}" for f, name in self.parameters()) or "no parameters yet"
        return f"ParamUpdate({self.rule!r}, {which}{', minimize=True' if self.minimize else ''})"


def _by_name(parameters: Iterable[Parameter]) -> dict[tuple[str, str], Parameter]:
    parameters = list(parameters)
    names = labels(p.store for p in parameters)
    return {(names[p.store], p.name): p for p in parameters}


def _key_of(parameter: Parameter, parameters: list[Parameter]) -> tuple[str, str]:
    return next(key for key, p in _by_name([*parameters, parameter]).items() if p is parameter)


def _joined(old: Any, new: Any) -> Any:
    """A state with the entries of new parameters added; a counter of both stays the old one."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return old
    return {**new, **{k: _joined(v, new[k]) if k in new else v for k, v in old.items()}}


def _leaves(state: State, names: Mapping[Parameter, str], prefix: str = "") -> dict[str, Any]:
    """The plain data of a state by name; parameters that have no name are left out."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(key, Parameter) and key not in names:
            continue
        name = prefix + (names[key] if isinstance(key, Parameter) else str(key))
        if isinstance(value, Mapping):
            found.update(_leaves(value, names, name + "/"))
        else:
            found[name] = value
    return found


def _filled(
    template: State, names: Mapping[Parameter, str], saved: Mapping[str, Any], prefix: str = ""
) -> dict[Any, Any]:
    """The template with saved data in the places of its own."""
    filled: dict[Any, Any] = {}
    for key, value in template.items():
        name = prefix + (names[key] if isinstance(key, Parameter) else str(key))
        if isinstance(value, Mapping):
            filled[key] = _filled(value, names, saved, name + "/")
        elif isinstance(value, np.ndarray):
            filled[key] = np.array(saved[name], dtype=value.dtype)
        else:
            filled[key] = type(value)(saved[name])
    return filled
