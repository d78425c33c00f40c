"""Pickling and copying: functions by name, what they made by value."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from genparams import (
    ADAM,
    ChoiceMap,
    GradientsWaiting,
    ParamStore,
    ParamUpdate,
    affine,
    bernoulli,
    censored,
    gamma,
    gen,
    init_param,
    interval,
    lower_cholesky,
    mixture,
    normal,
    ordered,
    param,
    poisson,
    positive,
    product,
    set_param,
    simplex,
    transformed,
    truncated,
    unit_interval,
    zero_inflated,
)
from genparams.dsl.combinators import map_, mask, recurse, switch, unfold
from genparams.dsl.custom import custom_gradient


def again(value):
    return pickle.loads(pickle.dumps(value))


@gen
def inner(x):
    return normal(x, param("std", 1.5, positive)) @ ("deep", 0)


@gen
def model(xs, n=2):
    slope = param("slope", 0.5)
    flag = bernoulli(0.5) @ "flag"
    ys = normal(slope * xs, 1.0) @ "ys"
    return {"ys": ys, "parts": (flag, [inner(slope) @ ("part", i) for i in range(n)])}


@gen
def move(i, state):
    return normal(param("decay", 0.8) * state, 1.0) @ "x"


@gen
def grow(x):
    return x, [0.5 * x] if x > 1.0 else []


@gen
def add(value, results):
    return normal(value + sum(results), 1.0) @ "sum"


def squared(x):
    return x * x


def squared_gradient(inputs, r, g):
    return (2.0 * inputs[0] * g,)


square = custom_gradient(squared, squared_gradient)
steps = unfold(move)
COMBINED = {
    "map_": (map_(inner), ([1.0, 2.0],)),
    "map_ of a distribution": (map_(normal, shared=("std",)), ([1.0, 2.0], 0.5)),
    "unfold": (steps, (2, 1.0)),
    "switch": (switch(inner, low=model), ("low", np.ones(2))),
    "recurse": (recurse(grow, add), (2.0,)),
    "mask": (mask(inner), (True, 1.0)),
    "map_ of mask": (map_(mask(inner)), ([True, False], [1.0, 2.0])),
}


@gen
def combining(n):
    return steps(n, 1.0) @ "steps"


@gen
def by_hand(x):
    return square(normal(x, 1.0) @ "x") @ "square"


XS = np.array([1.0, 2.0, 3.0])


# --- Functions


def test_a_function_of_a_module_is_pickled_by_its_name():
    assert again(model) is model
    assert again([model, inner]) == [model, inner]
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model


def test_a_distribution_is_pickled_by_its_name():
    assert again(normal) is normal
    assert again(bernoulli) is bernoulli


def test_a_clone_is_pickled_with_its_store():
    theta = ParamStore(slope=3.0)
    clone = again(model.with_params(theta))
    assert clone.origin is model
    assert clone.params["slope"].value == 3.0
    assert clone.params is not theta
    set_param(clone, "slope", 4.0)
    assert theta["slope"].value == 3.0
    assert clone.simulate((XS,), rng=0).retval["ys"][0] != model.simulate((XS,), 0).retval["ys"][0]


def test_a_local_function_says_that_it_is_local():
    @gen
    def local():
        return normal(0.0, 1.0) @ "x"

    for value in (local, local.simulate()):
        with pytest.raises((pickle.PicklingError, AttributeError), match=r"local.*<locals>|local"):
            pickle.dumps(value)


# --- Traces


def test_a_trace_is_equal_after_pickling():
    trace = model.simulate((XS,), rng=0)
    other = again(trace)
    assert other == trace
    assert other.gen_fn is model
    assert other.log_prob == trace.log_prob
    assert other["part", 1] == trace["part", 1]
    assert other.calls == trace.calls
    assert repr(other) == repr(trace)
    assert not other.is_stale


def test_a_pickled_trace_does_all_that_a_trace_does():
    trace = again(model.generate((XS,), {"flag": True, "ys": XS}, rng=0)[0])
    grads = trace.param_gradients()
    assert grads["model"]["slope"] == pytest.approx(
        np.sum(XS * (XS - 0.5 * XS))
        + sum(trace["part", i, "deep", 0] - 0.5 for i in range(2)) / 1.5**2
    )
    new, weight, discard = trace.update({"flag": False}, (2.0 * XS,))
    assert new.update(discard, trace.args)[0] == trace
    assert weight == pytest.approx(new.log_prob - trace.log_prob)
    assert again(new) == new
    set_param(inner, "std", 2.0)
    assert trace.is_stale
    assert trace.rescored().log_prob != trace.log_prob
    set_param(inner, "std", 1.5)


def test_a_pickled_trace_cannot_be_written_to():
    trace = again(model.simulate((XS,), rng=0))
    with pytest.raises(ValueError, match="read-only"):
        trace["ys"][0] = 1.0


def test_a_trace_of_a_distribution_pickles():
    trace = normal.simulate((np.zeros(2), 1.0), rng=0)
    assert again(trace) == trace


MADE_OF_OTHERS = [
    mixture([0.3, 0.7], normal([0.0, 1.0], 1.0)),
    mixture([0.5, 0.5], [product([normal(0.0, 1.0)]), product([normal(1.0, 1.0)])]),
    product([normal(0.0, 1.0), poisson(2.0)]),
    transformed(normal(0.0, 1.0), affine(1.0, 2.0)),
    zero_inflated(0.3, poisson(2.0)),
    truncated(normal(0.0, 1.0), low=0.0),
    censored(gamma(2.0, scale=1.0), low=1.0),
]


@pytest.mark.parametrize("call", MADE_OF_OTHERS, ids=repr)
def test_a_trace_of_a_distribution_made_of_others_pickles(call):
    trace = call.fn.simulate(call.args, rng=0)
    assert again(trace) == trace
    assert again(trace).gen_fn is trace.gen_fn


def test_a_trace_of_a_clone_is_pickled_with_its_store():
    clone = model.with_params(ParamStore(slope=3.0))
    trace = clone.simulate((XS,), rng=0)
    other = again(trace)
    assert other.choices == trace.choices
    assert other.log_probs == trace.log_probs
    assert other.gen_fn.origin is model
    assert not other.is_stale
    assert other.update({})[1] == 0.0
    set_param(other.gen_fn, "slope", 5.0)
    assert other.is_stale
    assert not trace.is_stale


@pytest.mark.parametrize("name", COMBINED)
def test_a_trace_of_a_combinator_pickles(name):
    f, args = COMBINED[name]
    trace = f.simulate(args, rng=0)
    other = again(trace)
    assert other.choices == trace.choices
    assert other.update({})[1] == 0.0
    assert other.param_gradients() == trace.param_gradients()
    assert other.gen_fn.__name__ == f.__name__


def test_a_trace_through_a_combinator_pickles():
    trace = combining.simulate((3,), rng=0)
    other = again(trace)
    assert other == trace
    assert other.update({}, (4,))[0].retval[:3] == trace.retval
    assert other.regenerate(("steps", 0), rng=0)[0] == trace.regenerate(("steps", 0), rng=0)[0]


def test_a_trace_through_a_function_with_its_own_gradient_pickles():
    trace = by_hand.simulate((1.0,), rng=0)
    assert again(trace) == trace
    assert again(trace).update({})[1] == 0.0


def test_a_deep_copy_of_a_trace_is_of_the_same_function():
    for f, args in [(model, (XS,)), (combining, (2,)), (by_hand, (1.0,)), (normal, (0.0, 1.0))]:
        trace = f.simulate(args, rng=0)
        for other in (copy.deepcopy(trace), copy.copy(trace)):
            assert other == trace
            assert other.gen_fn is f
            assert other.update({})[1] == 0.0


@pytest.mark.parametrize("name", COMBINED)
def test_a_deep_copy_of_a_trace_of_a_combinator_is_of_the_same_function(name):
    f, args = COMBINED[name]
    trace = f.simulate(args, rng=0)
    assert copy.deepcopy(trace) == trace


def test_a_deep_copy_of_a_trace_of_a_local_function_is_of_the_same_function():
    @gen
    def local():
        return normal(param("mu", 1.0), 1.0) @ "x"

    trace = local.simulate()
    other = copy.deepcopy(trace)
    assert other == trace
    other.accumulate_param_gradients()
    assert local.params["mu"].accumulated


def test_a_deep_copy_of_a_trace_of_a_clone_is_of_the_same_clone():
    clone = model.with_params(ParamStore(slope=3.0))
    trace = clone.simulate((XS,), rng=0)
    other = copy.deepcopy(trace)
    assert other == trace
    assert other.gen_fn is clone


# --- Choice maps and stores


def test_a_choice_map_pickles_with_every_kind_of_value():
    choices = ChoiceMap({"a": {0: 1.5, True: 2}, ("b", None): [1.0, 2.0], "c": (1, np.ones(2))})
    other = again(choices)
    assert other == choices
    assert list(other) == list(choices)
    with pytest.raises(ValueError, match="read-only"):
        other["b", None][0] = 3.0
    assert again(choices["a"]) == choices["a"]


CONSTRAINTS = {
    "positive": (positive, [1.0, 2.0]),
    "unit_interval": (unit_interval, 0.3),
    "interval": (interval(-1.0, 4.0), 3.0),
    "simplex": (simplex, [0.2, 0.3, 0.5]),
    "ordered": (ordered, [-1.0, 0.0, 2.0]),
    "lower_cholesky": (lower_cholesky, [[1.0, 0.0], [0.5, 2.0]]),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_store_pickles_with_its_constraints_gradients_and_frozen_parameters(name):
    constraint, value = CONSTRAINTS[name]
    theta = ParamStore(a=1.0)
    p = theta.init("p", value, constraint)
    p.increment_grad(np.full(p.shape, 2.0))
    theta["a"].freeze()
    other = again(theta)
    assert list(other) == ["a", "p"]
    assert repr(other) == repr(theta)
    assert other["p"].store is other
    assert other["p"].constraint == constraint
    assert other["a"].frozen
    for mine, theirs in [
        (p.value, other["p"].value),
        (p.coordinates, other["p"].coordinates),
        (p.grad, other["p"].grad),
    ]:
        assert type(mine) is type(theirs)
        np.testing.assert_array_equal(mine, theirs)
    with pytest.warns(GradientsWaiting):
        update = ParamUpdate(ADAM(0.1), other)
    update.apply()
    np.testing.assert_array_equal(theta["p"].value, value)
    assert not np.array_equal(other["p"].value, value)


def test_a_pickled_store_keeps_its_precision_and_hands_out_no_writeable_values():
    theta = ParamStore(w=np.ones(3, np.float32), v=[1.0, 2.0])
    other = again(theta)
    assert other["w"].value.dtype == np.float32
    for name in other:
        with pytest.raises(ValueError, match="read-only"):
            other[name].value[0] = 7.0
        with pytest.raises(ValueError, match="read-only"):
            other[name].coordinates[0] = 7.0


# --- Updates


def test_the_state_of_an_update_is_taken_up_after_pickling():
    def fresh():
        f = gen(lambda: normal(param("w"), param("s")) @ "x")
        init_param(f, "w", [1.0, 2.0])
        init_param(f, "s", 1.0, positive)
        return f, ParamUpdate(ADAM(0.1), f)

    (f, update), (g, resumed) = fresh(), fresh()
    trace, _ = f.generate((), {"x": [3.0, -1.0]})
    for _ in range(3):
        trace.accumulate_param_gradients()
        update.apply()
    state, theta = pickle.loads(pickle.dumps((update.state_dict(), f.params)))
    for name, p in theta.items():
        set_param(g, name, p.value)
    resumed.load_state_dict(state)
    other, _ = g.generate((), {"x": [3.0, -1.0]})
    for one, by in ((trace, update), (other, resumed)):
        one.accumulate_param_gradients()
        by.apply()
    for name in theta:
        np.testing.assert_allclose(g.params[name].value, f.params[name].value, rtol=1e-14)


def test_another_process_reads_a_pickled_trace():
    trace = model.simulate((XS,), rng=0)
    code = (
        "import pickle, sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "trace = pickle.load(sys.stdin.buffer)\n"
        "print(trace.log_prob, len(trace.choices), trace.is_stale)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=pickle.dumps(trace),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split() == [repr(trace.log_prob), "4", "True"]
