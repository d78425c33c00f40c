"""Whatever line an exception hits, an operation has happened whole or not at all."""

import itertools
import sys
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from common import fault_at

from genparams import (
    ADAM,
    SGD,
    GradientTracer,
    ParamStore,
    ParamUpdate,
    accumulate,
    chain,
    clip_by_global_norm,
    gen,
    init_param,
    interval,
    lower_cholesky,
    only,
    ordered,
    param,
    partition,
    positive,
    project,
    project_ball,
    scale,
    scale_by_adam,
    scale_by_schedule,
    set_param,
    simplex,
    stateful,
)
from genparams.errors import UpdateError
from genparams.params import added, edit_to_saved, edited, lock, read, restructured, swap


def restore(theta, saved):
    """Restore some parameters, as a checkpoint does."""
    with lock:
        edits = {theta[name]: edit_to_saved(theta[name], edit) for name, edit in saved.items()}
        swap(edited(edits, restructured()))


def bits(value):
    return np.shape(value), np.asarray(value).tobytes()


def everything(stores, update=None):
    """All that may change, to the bit."""
    parameters = [
        (p.name, bits(p.value), bits(p.coordinates), bits(p.grad), p.accumulated, p.frozen, p.fault)
        for store in stores
        for p in store.values()
    ]
    if update is None:
        return parameters
    state = {k: bits(v) for k, v in update.state_dict().items()}
    return parameters, state, update.steps, update.skipped, update.learning_rates


@dataclass(frozen=True)
class Case:
    """An update, and the gradients of its steps."""

    stores: tuple
    update: ParamUpdate
    bad: bool = False
    given: bool = False

    def gradients(self, step):
        """Gradients of a step, with some that are not finite if they are bad."""
        rng = np.random.default_rng(step)
        found = {}
        for store in self.stores:
            for p in store.values():
                g = rng.standard_normal(p.shape)
                if self.bad and step >= 2 and p.name in ("a", "W"):
                    g = np.where(rng.random(p.shape) < (0.3 if p.shape else 2.0), np.inf, g)
                found[p] = g if p.shape else float(g)
        return found

    def prepare(self, step):
        if not self.given:
            for p, g in self.gradients(step).items():
                p.increment_grad(g)

    def apply(self, step):
        if self.given:
            self.update.apply(grads={p.name: g for p, g in self.gradients(step).items()})
        else:
            self.update.apply()


def floats():
    return ParamStore(a=1.0, b=-2.0, c=0.5)


def some_arrays():
    return ParamStore(W=np.ones((2, 3)), v=np.arange(4.0), e=np.zeros((0, 2)))


def mixed():
    return ParamStore(a=1.0, W=np.ones((2, 3)), s=np.float32(1.0), w=np.ones(3, np.float32))


def constrained():
    theta = ParamStore(a=1.0)
    theta.init("s", 2.0, positive)
    theta.init("u", [0.25, 0.5], interval(0.0, 1.0))
    theta.init("w", [0.2, 0.3, 0.5], simplex)
    theta.init("o", [0.0, 1.0, 3.0], ordered)
    theta.init("L", np.eye(2), lower_cholesky)
    return theta


def with_frozen():
    theta = mixed()
    theta["W"].freeze()
    theta["a"].freeze()
    return theta


def long():
    return ParamStore(a=1.0, W=np.linspace(0.0, 1.0, 40_000), v=np.ones(5))


def extrapolate():
    def init(theta):
        return {"previous": {k: 0.0 * v for k, v in theta.items()}}

    def apply(g, state, theta):
        directions = {k: d + 0.5 * (d - state["previous"][k]) for k, d in g.items()}
        return directions, {"previous": {**state["previous"], **g}}

    return stateful(init, apply, "extrapolate")


GROUPS = partition(
    {"a": scale(0.1), "W": chain(scale_by_adam(), scale_by_schedule(lambda t: 0.1 / (1.0 + t)))}
    | {"*": ADAM(0.01)}
)
CASES = {
    "floats": (floats, ADAM(0.1), {}),
    "arrays": (some_arrays, ADAM(0.1), {}),
    "mixed": (mixed, ADAM(0.1), {}),
    "mixed, in single precision": (mixed, ADAM(0.1, dtype="float32"), {}),
    "constrained": (constrained, ADAM(0.1), {}),
    "frozen": (with_frozen, ADAM(0.1), {}),
    "partition": (mixed, GROUPS, {}),
    "only": (mixed, chain(only(scale_by_adam(), "W"), scale(0.1)), {}),
    "whole parameters first": (mixed, chain(clip_by_global_norm(1.0), ADAM(0.1)), {}),
    "whole parameters last": (constrained, chain(scale_by_adam(), extrapolate()), {}),
    "projection": (mixed, project(SGD(0.1), lambda x: project_ball(x, 1.0)), {}),
    "every second call": (mixed, accumulate(ADAM(0.1), 2), {}),
    "minimize": (mixed, ADAM(0.1), {"minimize": True}),
    "traced": (mixed, ADAM(0.1), {"tracer": GradientTracer()}),
    "skip": (mixed, ADAM(0.1), {"on_nonfinite": "skip"}),
    "zero": (mixed, ADAM(0.1), {"on_nonfinite": "zero"}),
    "keep": (mixed, ADAM(0.1), {"on_nonfinite": "keep"}),
    "keep, by parts": (mixed, chain(extrapolate(), ADAM(0.1)), {"on_nonfinite": "keep"}),
    "keep, no formulas": (mixed, extrapolate(), {"on_nonfinite": "keep"}),
    "given": (mixed, ADAM(0.1), {}),
    "given, zero": (mixed, ADAM(0.1), {"on_nonfinite": "zero"}),
    "blocks": (long, ADAM(0.1), {}),
    "several stores": ((floats, some_arrays, constrained), ADAM(0.1), {}),
}


def case_of(name):
    make, rule, options = CASES[name]
    stores = tuple(f() for f in (make if isinstance(make, tuple) else (make,)))
    update = ParamUpdate(rule, *stores, **options)
    return Case(stores, update, "on_nonfinite" in options, name.startswith("given"))


def applied(name, steps):
    """A case after some steps, with the gradients of the next."""
    case = case_of(name)
    for step in range(steps):
        case.prepare(step)
        case.apply(step)
    case.prepare(steps)
    return case


def look(case):
    return everything(case.stores, case.update)


FIRST = [("mixed", 0), ("whole parameters first", 0)]
"""Cases whose first step is tried too: the lines that make an engine are the same for all."""


@pytest.mark.parametrize(("name", "warm"), [*FIRST, *((name, 2) for name in CASES)])
def test_a_fault_at_any_line_of_a_step_leaves_all_of_it_or_nothing(name, warm):
    case = applied(name, warm)
    before = look(case)
    case.apply(warm)
    after = look(case)
    case.prepare(warm + 1)
    case.apply(warm + 1)
    later = look(case)
    count, wholes, case = 0, 0, applied(name, warm)
    while True:
        count += 1
        if not fault_at(count, lambda case=case: case.apply(warm)):
            break
        found = look(case)
        assert found in (before, after), f"line {count} leaves a mixture"
        if found == after:
            wholes += 1
            case.prepare(warm + 1)
            case.apply(warm + 1)
            assert look(case) == later, f"line {count} changes the step after"
        if found == after or not warm:
            case = applied(name, warm)
    assert look(case) == after, "a fault before a step changes the step that is taken again"
    assert count > 20
    assert wholes > 0  # some line comes after the step is taken


def test_a_step_that_overflows_at_the_last_of_many_numbers_changes_nothing():
    size = 2_000_000
    theta = ParamStore(W=np.linspace(0.0, 1.0, size), a=1.0, v=np.ones(3))
    theta.init("s", 1.0, positive)
    update = ParamUpdate(chain(ADAM(0.1), scale(1e300)), theta)
    for _ in range(2):
        update.apply(grads={"W": np.zeros(size), "a": 0.0, "v": np.zeros(3), "s": 0.0})
    g = np.zeros(size)
    g[-1] = 1e160
    for p in theta.values():
        p.set_grad(g if p.name == "W" else np.zeros(p.shape))
    before = everything([theta], update)
    for _ in range(2):
        with pytest.raises(UpdateError, match=r"'W', or its state, .* lower the step size"):
            update.apply()
        assert everything([theta], update) == before
    theta["W"].set_grad(np.zeros(size))
    update.apply()
    assert update.steps == 3


OPERATIONS = {
    "set a number": lambda theta, update: theta["a"].set(7.0),
    "set an array": lambda theta, update: theta["W"].set(np.full((2, 3), 7.0)),
    "set_grad": lambda theta, update: theta["W"].set_grad(np.full((2, 3), 7.0)),
    "zero_grad": lambda theta, update: theta["W"].zero_grad(),
    "freeze": lambda theta, update: theta["W"].freeze(),
    "init": lambda theta, update: theta.init("W", np.zeros(2)),
    "added": lambda theta, update: swap(
        added([(theta["a"], 1.0, None), (theta["W"], np.ones((2, 3)), "x"), (theta["a"], 1.0, "y")])
    ),
    "learning_rate": lambda theta, update: setattr(update, "learning_rate", 0.5),
    "load_state_dict": lambda theta, update: update.load_state_dict(
        {k: v + 1 for k, v in update.state_dict().items()}
    ),
    "restore": lambda theta, update: restore(
        theta,
        {
            "a": {"theta": 5.0, "value": 5.0, "grad": 3.0, "frozen": True},
            "W": {"theta": np.full((2, 3), 5.0), "value": np.full((2, 3), 5.0), "grad": None},
            "w": {"grad": np.ones(3, np.float32)},
        },
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_at_any_line_of_another_operation_leaves_all_of_it_or_nothing(name):
    def prepared():
        case = applied("mixed", 2)
        return case.stores[0], case.update

    def seen(theta, update):
        if name == "init":
            return everything([theta])  # the update has nothing for the new one yet
        return everything([theta], update)

    theta, update = prepared()
    before = seen(theta, update)
    OPERATIONS[name](theta, update)
    after = seen(theta, update)
    assert after != before
    count = 1
    while True:
        theta, update = prepared()
        if not fault_at(count, lambda t=theta, u=update: OPERATIONS[name](t, u)):
            break
        found = seen(theta, update)
        assert found in (before, after), f"line {count} leaves a mixture"
        OPERATIONS[name](theta, update) if found == before else None
        count += 1
    assert count > 5


def test_a_fault_at_any_line_restores_all_parameters_of_a_trace_or_none():
    @gen
    def model():
        return param("a", 1.0) + param("s", 2.0, constraint=positive) + param("w", np.ones(2)).sum()

    trace = model.simulate(())

    def values():
        return {name: np.array(p.value).tolist() for name, p in model.params.items()}

    before, seen = values(), set()
    for at in itertools.count(1):
        for name, value in (("a", 5.0), ("s", 6.0), ("w", [7.0, 7.0])):
            set_param(model, name, value)
        model.params.discard("w")
        came = fault_at(at, trace.restore_parameters)
        seen.add(values() == before)
        assert values() in (before, {"a": 5.0, "s": 6.0})
        if "w" not in model.params:
            init_param(model, "w", [1.0, 1.0])
        if not came:
            break
    assert seen == {True, False}


# --- What is restored


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"a": {"theta": [1.0], "value": [1.0]}}, "has shape"),
        ({"a": {"theta": np.nan, "value": np.nan}}, "not real"),
        ({"s": {"theta": 0.0, "value": -1.0}}, "not positive"),
        ({"s": {"theta": 0.0, "value": 2.0}}, "differs from the value at its coordinates"),
        ({"s": {"theta": np.inf, "value": 2.0}}, "differs from the value at its coordinates"),
        ({"s": {"grad": "many"}}, "must be a number"),
        ({"s": {"grad": [1.0, 2.0]}}, "must have shape"),
        ({"zzz": {"grad": None}}, "no parameter 'zzz'"),
    ],
)
def test_what_is_not_right_is_not_restored_nor_is_anything_beside_it(saved, message):
    theta = ParamStore(a=1.0, b=np.ones(2))
    theta.init("s", 2.0, positive)
    before = everything([theta])
    good = {"b": {"theta": [3.0, 4.0], "value": [3.0, 4.0], "grad": [1.0, 1.0], "frozen": True}}
    with pytest.raises((ValueError, LookupError), match=message):
        restore(theta, {**good, **saved})
    assert everything([theta]) == before
    restore(theta, good)
    assert theta["b"].value.tolist() == [3.0, 4.0]
    assert theta["b"].grad.tolist() == [1.0, 1.0]
    assert theta["b"].frozen


def test_what_was_read_is_restored_to_the_bit():
    theta = constrained()
    update = ParamUpdate(ADAM(3.0), theta)
    for step in range(30):
        rng = np.random.default_rng(step)
        update.apply(grads={p.name: rng.standard_normal(p.shape) + 1.0 for p in theta.values()})
    other = constrained()
    restore(other, {p.name: {"theta": p.coordinates, "value": p.value} for p in theta.values()})
    assert everything([other]) == everything([theta])


# --- Threads


def beside(act, looks, seconds=0.5):
    """Repeat an action in one thread while others look; what they found."""
    stop, found, errors = threading.Event(), [], []

    def watch(see):
        try:
            while not stop.is_set():
                found.append(see())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=watch, args=(see,)) for see in looks]
    interval_before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        timer = threading.Timer(seconds, stop.set)
        timer.start()
        while not stop.is_set():
            act()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval_before)
    assert not errors
    return found


def test_a_state_that_is_read_beside_steps_is_of_one_moment():
    theta = ParamStore(a=0.0, W=np.zeros(50), v=np.zeros(3))
    theta["v"].freeze()
    momentum = stateful(lambda t: {"n": dict(t)}, lambda g, s, t: (dict(g), {"n": dict(t)}), "last")
    update = ParamUpdate(chain(momentum, scale_by_adam(), scale(1.0)), theta)
    g = {"a": 1.0, "W": np.ones(50)}

    def see():
        state = update.state_dict()
        counts = {int(v) for k, v in state.items() if "/t/" in k and not k.endswith("/v")}
        return len({int(state["steps"]), *counts} - {0}) <= 1 and len(update.parameters()) == 2

    found = beside(lambda: update.apply(grads=g), [see, see])
    assert len(found) > 20
    assert all(found)


def test_rates_that_are_set_beside_steps_lose_no_step_and_no_rate():
    theta = ParamStore(a=0.0, W=np.zeros(50))
    update = ParamUpdate(chain(scale_by_adam(), partition({"a": SGD(1.0), "*": SGD(1.0)})), theta)
    taken, g = 0, {"a": 1.0, "W": np.ones(50)}
    rates = iter(range(1, 10**9))

    def act():
        nonlocal taken
        update.apply(grads=g)
        taken += 1

    def see():
        update.learning_rate = rate = float(next(rates))
        return update.learning_rate == rate and len(set(update.learning_rates.values())) == 1

    found = beside(act, [see])
    assert len(found) > 20
    assert all(found)
    assert update.steps == taken
    state = update.state_dict()
    assert {int(v) for k, v in state.items() if "/t/" in k} == {taken}


def test_values_that_are_read_beside_steps_are_whole_and_never_change():
    theta = ParamStore(W=np.zeros(5000), a=0.0)
    theta.init("s", np.ones(300), positive)
    update = ParamUpdate(scale(1.0), theta)
    g = {"W": np.ones(5000), "a": 1.0, "s": np.full(300, 1e-3)}

    def see():
        value, at = theta["W"].value, theta["W"].coordinates
        first = value[0], at[0], float(theta["s"].value[0])
        found = [bool(np.all(value == value[0])), bool(np.all(at == at[0]))]
        natural, coordinates = read(theta["s"])[1::-1]
        found.append(bool(np.all(natural == np.exp(coordinates))))
        return all(found) and (value[0], at[0]) == first[:2]

    found = beside(lambda: update.apply(grads=g), [see, see])
    assert len(found) > 20
    assert all(found)
