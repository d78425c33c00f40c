"""An edit runs the calls that it changes, and gives what a run of the whole function gives.

A trace that was pickled has no record of its calls: its edits run the whole function.
"""

import pickle

import numpy as np
import pytest

from genparams import (
    ParamStore,
    bernoulli,
    gen,
    map_,
    mask,
    normal,
    param,
    poisson,
    recurse,
    select,
    set_param,
    switch,
    unfold,
)
from genparams.errors import AddressConflict, UnusedConstraint

RUNS = {"count": 0}


@gen
def outlier(x, mu):
    """A kernel with a choice on which another choice hinges."""
    RUNS["count"] += 1
    wild = bernoulli(0.3) @ "wild"
    if wild:
        spread = normal(2.0, 1.0) @ "spread"
        return normal(mu + x, 1.0 + abs(spread)) @ "y"
    return normal(mu + x, 0.5) @ "y"


@gen
def regression(xs):
    mu = normal(0.0, 1.0) @ "mu"
    ys = map_(outlier, shared=["mu"])(xs, mu) @ "points"
    return normal(sum(ys), 1.0) @ "total"


@gen
def step(t, state, drift):
    RUNS["count"] += 1
    state = normal(drift * state, param("noise", 1.0)) @ "state"
    _ = normal(state, 0.5) @ "seen"
    return state


@gen
def walk(n, drift):
    states = unfold(step)(n, 0.0, drift) @ "steps"
    states.append(9.0)  # a list is the caller's own
    return states


@gen
def walk_from(n):
    drift = normal(0.5, 0.1) @ "drift"
    states = walk(n, drift) @ "walk"
    return normal(states[-1], 1.0) @ "last"


@gen
def late(n):
    """The functions inside see another `i` after the loop."""
    found = []
    for i in range(n):

        @gen
        def inside():
            return normal(float(i), 1.0) @ "x"  # noqa: B023

        found.append(inside() @ ("call", i))
    return found


@gen
def of_array(values):
    RUNS["count"] += 1
    return normal(values.sum(), 1.0) @ "x"


@gen
def reused_buffer():
    """One array for several calls, which is changed in between."""
    buffer, found = np.zeros(2), []
    for i in range(3):
        buffer[0] = i
        found.append(of_array(buffer) @ i)
    return found


@gen
def low(x):
    return normal(x, 1.0) @ "v"


@gen
def high(x):
    first = normal(x, 2.0) @ "v"
    return low(first) @ "more"


@gen
def branches(n):
    found = []
    for i in range(n):
        which = bernoulli(0.5) @ ("which", i)
        value = switch(low, high)(int(which), float(i)) @ ("value", i)
        found.append(mask(low)(bool(which), value) @ ("masked", i))
    return tuple(found)


@gen
def grow(depth):
    size = normal(1.0, 1.0) @ "size"
    twins = bernoulli(0.5) @ "twins"
    return size, [depth - 1] * (1 + int(twins)) if depth else []


@gen
def gather(size, sizes):
    return size + sum(sizes)


@gen
def twice(xs):
    """Lists that go from one call to another, one of them changed on the way."""
    first = map_(low)(xs) @ "first"
    first[0] = 0.0
    second = map_(normal)(first, [1.0] * len(first)) @ "second"
    return map_(map_(low))([first, second]) @ "third"


@gen
def inlined(x):
    a = low.inline(x)
    return normal(a, 1.0) @ "w"


MODELS = {
    "regression": (regression, (np.linspace(-1.0, 1.0, 7),)),
    "walk": (walk, (6, 0.5)),
    "walk_from": (walk_from, (6,)),
    "unfold": (unfold(step), (6, 0.2, 0.9)),
    "map_": (map_(outlier), (np.zeros(6), [0.1 * i for i in range(6)])),
    "buffer": (reused_buffer, ()),
    "branches": (branches, (4,)),
    "tree": (recurse(grow, gather), (3,)),
    "twice": (twice, ([0.5, 1.0, 1.5],)),
    "inlined": (inlined, (0.3,)),
}
each_model = pytest.mark.parametrize("name", MODELS)


def whole(trace):
    """The same trace, whose edits run the whole function."""
    return pickle.loads(pickle.dumps(trace))


def assert_same(one, other):
    assert one == other
    assert other.parameters.items() <= one.parameters.items()
    assert {a: f for a, (f, _) in one.calls.items()}.keys() == other.calls.keys()
    for address, (_, result) in other.calls.items():
        assert one[address] == result
    assert {*one.choices} == {*other.choices}


def nudged(value):
    return not value if isinstance(value, bool) else value + 0.25


@each_model
def test_chains_of_edits_give_what_runs_of_the_whole_function_give(name):
    model, args = MODELS[name]
    rng = np.random.default_rng(3)
    trace = model.simulate(args, rng=1)
    for seed in range(60):
        addresses = [*trace.choices]
        count = 1 if name == "branches" else 1 + (seed % 5 == 0)  # one may end another there
        chosen = [addresses[i] for i in rng.integers(len(addresses), size=count)]
        if seed % 2:
            made = [t.regenerate(select(*chosen), rng=seed) for t in (trace, whole(trace))]
        else:
            values = {a: nudged(trace[a]) for a in chosen}
            made = [t.update(values, rng=seed) for t in (trace, whole(trace))]
            assert made[0][2] == made[1][2]
            back, _, _ = made[0][0].update(made[0][2])
            assert back.choices == trace.choices
        assert_same(made[0][0], made[1][0])
        assert made[0][1] == pytest.approx(made[1][1], abs=1e-9)
        trace = made[0][0]


@pytest.mark.parametrize("n", [0, 3, 5, 6, 9])
@pytest.mark.parametrize("name", ["walk", "walk_from", "unfold", "branches"])
def test_other_arguments_give_what_a_run_of_the_whole_function_gives(name, n):
    model, (_, *rest) = MODELS[name]
    n = max(n, 1) if name == "walk_from" else n
    trace = model.simulate((6, *rest)[: len(MODELS[name][1])], rng=1)
    given = {next(iter(trace.choices)): True if name == "branches" else 0.5} if n else {}
    made = [t.update(given, (n, *rest), rng=5) for t in (trace, whole(trace))]
    assert_same(made[0][0], made[1][0])
    assert made[0][1] == pytest.approx(made[1][1], abs=1e-9)
    assert made[0][2] == made[1][2]
    again, weight = made[0][0].regenerate([], (6, *rest), rng=2)
    other, its_weight = whole(made[0][0]).regenerate([], (6, *rest), rng=2)
    assert_same(again, other)
    assert weight == pytest.approx(its_weight, abs=1e-9)


def runs_of(edit):
    """How often kernels run; the least of three, as some edits are compared with a whole run."""
    counts = []
    for _ in range(3):
        RUNS["count"] = 0
        edit()
        counts.append(RUNS["count"])
    return min(counts)


@pytest.mark.parametrize("n", [20, 200])
def test_an_edit_of_one_entry_runs_one_entry(n):
    trace = regression.simulate((np.zeros(n),), rng=0)
    assert runs_of(lambda: trace.update({("points", 7, "wild"): True})) == 1
    assert runs_of(lambda: trace.regenerate(select(("points", 7)))) == 1


@pytest.mark.parametrize("n", [20, 200])
def test_an_edit_of_one_step_runs_the_steps_whose_state_changes(n):
    trace = walk_from.simulate((n,), rng=0)
    assert runs_of(lambda: trace.update({("walk", "steps", 7, "state"): 1.0})) == 2
    assert runs_of(lambda: trace.update({("walk", "steps", 7, "seen"): 1.0})) == 1
    assert runs_of(lambda: trace.update({("walk", "steps", n, "seen"): 1.0}, (n + 1,))) == 1


def test_a_function_that_is_defined_in_a_loop_is_run_with_the_loop():
    trace = late.simulate((5,), rng=0)
    new, weight, _ = trace.update({("call", 1, "x"): 0.5})
    again = new.rescored()
    assert new == again
    assert weight == pytest.approx(again.log_prob - trace.log_prob)


def test_an_edit_runs_everything_after_a_parameter_has_moved():
    trace = walk.simulate((5, 0.5), rng=0)
    set_param(step, "noise", 2.0)
    new, weight, _ = trace.update({("steps", 1, "seen"): 0.0})
    set_param(step, "noise", 1.0)
    assert new.log_prob == pytest.approx(trace.log_prob + weight)
    assert set(new.parameters.values()) == {2.0}


def test_a_clone_is_edited_with_its_own_parameters():
    clone = step.with_params(ParamStore(noise=3.0))
    trace = clone.simulate((0, 1.0, 0.5), rng=0)
    new, weight, _ = trace.update({"seen": 1.0})
    assert new.log_prob == pytest.approx(trace.log_prob + weight)
    assert set(new.parameters.values()) == {3.0}


def test_an_argument_that_was_changed_in_place_is_read_again():
    xs = np.zeros(8)
    trace = map_(of_array).simulate(([xs[i : i + 2] for i in range(7)],), rng=0)
    xs[5] = 4.0
    new, _, _ = trace.update({(4, "x"): 1.0})
    assert new[4, "x"] == 1.0
    again = new.rescored()
    assert new.log_probs[4, "x"] == again.log_probs[4, "x"]


def test_what_a_user_does_to_a_list_of_a_trace_does_not_reach_its_edits():
    trace = walk.simulate((4, 0.5), rng=0)
    trace["steps"].clear()
    new, _, _ = trace.update({("steps", 0, "seen"): 0.0})
    assert len(new["steps"]) == 4


def test_a_value_at_an_address_that_is_never_visited_is_refused_with_the_nearest_one():
    trace = regression.simulate((np.zeros(9),), rng=0)
    with pytest.raises(UnusedConstraint, match="did you mean"):
        trace.update({("points", 3, "wild"): False, ("points", 3, "spraed"): 1.0})


@gen
def either(n):
    kind = bernoulli(0.5) @ "kind"
    for i in range(n):
        _ = poisson(1.0) @ ("k", i)
    return (low if kind else high)(0.0) @ "part"


def test_another_function_at_the_address_of_a_call_is_refused():
    trace, _ = either.generate((8,), {"kind": True})
    with pytest.raises(AddressConflict, match="changed from low to high"):
        trace.update({"kind": False})


def test_a_trace_of_many_edits_pickles_and_has_gradients():
    trace = walk.simulate((30, 0.5), rng=0)
    for i in range(30):
        trace, _ = trace.regenerate(select(("steps", i)), rng=i)
    assert pickle.loads(pickle.dumps(trace)) == trace
    g = trace.param_gradients()["step"]["noise"]
    fresh, _ = walk.generate((30, 0.5), trace.choices)
    assert g == fresh.param_gradients()["step"]["noise"]


# --- Functions that depend on more than their arguments, parameters and choices


@gen
def leaf(x):
    v = normal(float(np.sum(x)), 1.0) @ "v"
    _ = normal(v, 1.0) @ "w"
    return 0.0


@gen
def appends(_, states):
    if bernoulli(0.5) @ "b":
        states.append(1.0)
    _ = normal(0.0, 1.0) @ "n"
    return states


@gen
def one_list_of_all_steps(n):
    states = unfold(appends)(n, [0.0]) @ "u"
    return poisson(float(sum(len(s) for s in states))) @ "y"


@gen
def pushes(buffer):
    buffer.append(normal(0.0, 1.0) @ "v")
    return buffer


@gen
def one_list_of_caller_and_callee():
    buffer = []
    same = pushes(buffer) @ "p"
    same.append(1.0)
    _ = normal(float(len(buffer)), 1.0) @ "z"
    for name in "abcdefgh":
        _ = normal(0.0, 1.0) @ name


@gen
def scratch_that_is_locked_later():
    buffer = np.zeros(3)
    _ = leaf(buffer) @ "a"
    buffer[0] = 5.0
    buffer.setflags(write=False)
    _ = leaf(buffer) @ "b"
    _ = leaf(1.0) @ "c"


@gen
def argument_that_is_changed_and_restored(xs):
    xs -= 1.0
    _ = leaf(xs) @ "a"
    xs += 1.0
    for i in range(4):
        _ = leaf(xs) @ i


def kernels(n):
    for i in range(n):

        @gen
        def kernel(x):
            v = normal(x + i, 1.0) @ "v"  # noqa: B023  # i moves on
            _ = normal(v, 1.0) @ "w"
            return 0.0

        yield kernel


@gen
def kernels_of_a_generator():
    for i, kernel in enumerate(kernels(4)):
        _ = kernel(0.0) @ i


STATE = {"s": 0.0}


@gen
def reads_state(x):
    v = normal(x + STATE["s"], 1.0) @ "v"
    _ = normal(v, 1.0) @ "w"
    return 0.0


@gen
def state_that_the_body_changes():
    STATE["s"] = 0.0
    for i in range(4):
        _ = reads_state(0.0) @ i
        STATE["s"] += 1.0


def scaled(scale):
    @gen
    def inner(z):
        v = normal(z, scale) @ "v"
        _ = normal(v, 1.0) @ "w"
        return v

    return inner


@gen
def kernel_of_a_factory(n):
    inner, total = scaled(2.0), 0.0
    for i in range(n):
        total = total + (inner(total) @ i)
    return total


@gen
def combinator_of_a_factory(n):
    return unfold(gen_step(2.0))(n, 0.0) @ "u"


def gen_step(scale):
    @gen
    def inner(t, z):
        v = normal(z, scale) @ "v"
        _ = normal(v, 1.0) @ "w"
        return v

    return inner


@gen
def risky(x):
    v = normal(x, 1.0) @ "v"
    _ = normal(v, 1.0) @ "w"
    if v > 0.0:
        raise ValueError("v > 0")
    return v


@gen
def catches():
    try:
        found = risky(0.0) @ "r"
    except ValueError:
        found = 0.0
    for i in range(4):
        _ = leaf(found) @ i


IMPURE = [
    (one_list_of_all_steps, (4,), ("u", 1, "b")),
    (one_list_of_caller_and_callee, (), "a"),
    (scratch_that_is_locked_later, (), ("a", "v")),
    (argument_that_is_changed_and_restored, (np.arange(3.0),), ("a", "v")),
    (kernels_of_a_generator, (), (0, "v")),
    (state_that_the_body_changes, (), (0, "v")),
    (kernel_of_a_factory, (4,), (1, "v")),
    (combinator_of_a_factory, (6,), ("u", 1, "v")),
    (catches, (), ("r", "v")),
]


@pytest.mark.parametrize(
    ("model", "args", "address"), IMPURE, ids=lambda m: getattr(m, "__name__", "")
)
def test_an_edit_of_a_function_with_a_state_of_its_own_is_a_whole_run(model, args, address):
    trace = model.simulate(args, rng=0)
    for seed in range(6):
        if seed % 2:
            trace, _ = trace.regenerate(select(address), rng=seed)
        else:
            trace, _, _ = trace.update({address: nudged(trace[address])}, rng=seed)
        log_prob, retval = model.assess(args, trace.choices)
        assert trace.log_prob == pytest.approx(log_prob, abs=1e-9)
        assert trace.retval == retval


def test_a_large_argument_that_was_changed_in_place_is_read_again():
    big = np.zeros(100_000)
    trace = map_(leaf).simulate(([big, big, big, big],), rng=0)
    big[700] = 5.0
    new, _, _ = trace.update({(0, "v"): 0.1})
    log_prob, _ = map_(leaf).assess(([big, big, big, big],), new.choices)
    assert new.log_prob == pytest.approx(log_prob)


@gen
def with_default(x, weights=(1.0, 2.0, 3.0)):
    return normal(x * sum(weights), 1.0) @ "y"


@gen
def calls_with_default(xs):
    return map_(with_default)(xs) @ "m"


def test_a_default_of_a_kernel_goes_whole_to_every_call_at_the_root_too():
    ys = {(i, "y"): 0.0 for i in range(3)}
    inside, _ = calls_with_default.assess((np.arange(3.0),), {"m": ys})
    root, _ = map_(with_default).assess((np.arange(3.0),), ys)
    assert root == inside


def test_what_fails_when_it_is_run_alone_keeps_its_draw():
    """`risky` is refused for every v above 0, by its caller: half of the draws are above 0."""
    trace = catches.simulate((), rng=0)
    signs = [catches_sign(trace, seed) for seed in range(400)]
    assert 160 < sum(signs) < 240  # fails with probability 4e-5 for another seed


def catches_sign(trace, seed):
    new, _ = trace.regenerate(select(("r", "v")), rng=seed)
    return new["r", "v"] > 0.0
