"""Combinators: what they run, what they return, and the gradients that flow through them."""

import pickle

import numpy as np
import pytest
from scipy.stats import norm

from genparams import (
    ADAM,
    ChoiceMap,
    FixedStepGradientDescent,
    GenerativeFunction,
    ParamUpdate,
    bernoulli,
    categorical,
    gen,
    init_param,
    normal,
    param,
    positive,
    set_param,
    uniform,
)
from genparams.dsl.check import check_gradients
from genparams.dsl.combinators import map_, mask, recurse, switch, unfold
from genparams.errors import (
    ArgumentError,
    MissingChoice,
    ShapeError,
    UninitializedParameter,
    UnusedConstraint,
)
from genparams.trace.choices import same


@gen(arg_grads=("x", "gain"))
def kernel(x, gain):
    y = normal(param("a") * x * gain, param("std")) @ "y"
    return y * x + param("a") * gain


@gen(arg_grads=("state", "drift"))
def move(i, state, drift):
    state = normal(param("decay") * state + drift, 1.0) @ "x"
    return state * drift + param("decay")


@gen
def low(x):
    return normal(param("low") * x, 1.0) @ "v"


@gen
def high(x):
    y = normal(x, 1.0) @ "v"
    return normal(y, param("high")) @ ("also", "w")


@gen
def produce(x):
    v = normal(param("rate") * x, 1.0) @ "v"
    return v, [0.5 * x, 0.1 * v] if x > 1.0 else []


@gen
def aggregate(value, results):
    return normal(value + param("share") * sum(results), 1.0) @ "sum"


@gen
def passed(g, *args):
    """Any combinator below a call."""
    return g(*args) @ "part"


@gen
def inlined(g, *args):
    return g.inline(*args)


@pytest.fixture(autouse=True)
def _parameters():
    init_param(kernel, "a", 0.7)
    init_param(kernel, "std", 1.5, positive)
    init_param(move, "decay", 0.8)
    init_param(low, "low", -0.5)
    init_param(high, "high", 0.8, positive)
    init_param(produce, "rate", 0.9)
    init_param(aggregate, "share", 0.4)


XS = np.array([1.0, -2.0, 0.5])
mapped = map_(kernel, shared=("gain",))
moved = unfold(move)
chosen = switch(low, high)
tree = recurse(produce, aggregate)
masked = mask(kernel)


# --- map_


def test_map_runs_its_kernel_for_each_entry_with_shared_arguments_whole():
    trace, weight = mapped.generate((XS, 2.0), {i: {"y": float(i)} for i in range(3)})
    assert trace.retval == pytest.approx([i * x + 1.4 for i, x in enumerate(XS)])
    expected = norm.logpdf(np.arange(3.0), 0.7 * XS * 2.0, 1.5).sum()
    assert trace.log_prob == weight == pytest.approx(expected, rel=1e-12)
    assert list(trace.choices) == [(0, "y"), (1, "y"), (2, "y")]
    assert trace.args[1] == 2.0


def test_map_takes_lists_arrays_and_tuples_alike():
    for xs in (XS, list(XS), tuple(XS)):
        assert mapped.simulate((xs, 2.0), rng=0).choices == mapped.simulate((XS, 2.0), 0).choices


def test_map_over_rows_gives_each_call_its_row():
    f = map_(gen(lambda row: normal(np.sum(row), 1.0) @ "s"))
    trace = f.simulate((np.arange(6.0).reshape(3, 2),), rng=0)
    expected = norm.logpdf([trace[i, "s"] for i in range(3)], [1.0, 5.0, 9.0], 1.0).sum()
    assert trace.log_prob == pytest.approx(expected, rel=1e-12)


def test_map_of_a_distribution_has_its_choices_at_the_entries():
    f = map_(normal, shared=("std",))
    trace = f.simulate(([1.0, 2.0], 0.5), rng=0)
    assert list(trace.choices) == [(0,), (1,)]
    assert trace.retval == [trace[0], trace[1]]
    expected = norm.logpdf(trace.retval, [1.0, 2.0], 0.5).sum()
    assert trace.log_prob == pytest.approx(expected, rel=1e-12)
    _, discard = trace.update({0: 3.0})[1:]
    assert list(discard) == [(0,)]


def test_arguments_may_be_given_by_name_below_a_call():
    @gen
    def f(g):
        return g(XS, gain=2.0) @ "part" if g is mapped else g(XS, std=2.0) @ "part"

    by_name = f.simulate((mapped,), rng=0)
    assert by_name["part"] == passed.simulate((mapped, XS, 2.0), rng=0).retval
    scaled = f.simulate((map_(normal, shared=("std",)),), rng=0)
    assert len(scaled.retval) == 3


def test_a_shared_default_of_the_kernel_holds():
    @gen
    def shifted(x, by=10.0):
        return normal(x + by, 1e-9) @ "y"

    trace = map_(shifted, shared=("by",)).simulate(([1.0, 2.0],))
    assert trace.retval == pytest.approx([11.0, 12.0], abs=1e-6)
    assert trace.args == ([1.0, 2.0], 10.0)


def test_nothing_to_map_over_returns_nothing():
    trace = mapped.simulate(([], 2.0))
    assert (trace.retval, len(trace.choices), trace.log_prob) == ([], 0, 0.0)
    _, (by_xs, by_gain) = trace.accumulate_param_gradients()
    assert (by_xs, by_gain) == ([], 0.0)
    assert mapped.simulate((np.zeros(0), 2.0)).accumulate_param_gradients()[1][0].shape == (0,)


def test_gradients_by_mapped_arguments_have_their_structure_and_shared_ones_are_summed():
    trace, _ = mapped.generate((XS, 2.0), {i: {"y": 1.0} for i in range(3)})
    log_prob, (by_xs, by_gain) = trace.accumulate_param_gradients([1.0, None, 2.0])
    residual = (1.0 - 0.7 * XS * 2.0) / 1.5**2
    assert log_prob == trace.log_prob
    np.testing.assert_allclose(by_xs, residual * 1.4 + np.array([1.0, 0.0, 2.0]), rtol=1e-12)
    assert by_gain == pytest.approx(np.sum(residual * 0.7 * XS) + 0.7 * 3.0)
    by_list = mapped.generate((list(XS), 2.0), trace.choices)[0].accumulate_param_gradients()[1][0]
    assert type(by_list) is list
    np.testing.assert_allclose(by_list, residual * 1.4, rtol=1e-12)


MAP_ERRORS = {
    "unequal lengths": (map_(kernel), ([1.0, 2.0], [1.0]), ShapeError, "one length.*x: 2, gain: 1"),
    "a number": (map_(kernel), ([1.0], 2.0), ShapeError, r"argument gain is 2\.0.*shared="),
    "everything shared": (
        map_(kernel, shared=("x", "gain")),
        (1.0, 2.0),
        ShapeError,
        "shared ones only",
    ),
    "too few arguments": (mapped, ([1.0],), ArgumentError, "missing a required argument: 'gain'"),
}


@pytest.mark.parametrize("case", MAP_ERRORS)
def test_what_cannot_be_mapped_is_refused(case):
    f, args, error, message = MAP_ERRORS[case]
    with pytest.raises(error, match=message):
        f.simulate(args)
    if case != "too few arguments":
        with pytest.raises(error, match=message):
            passed.simulate((f, *args))


# --- unfold


def test_unfold_runs_each_step_on_the_state_before_it():
    trace, weight = moved.generate((3, 1.0, 2.0), {i: {"x": i + 1.0} for i in range(3)})
    states = [1.0, *(x * 2.0 + 0.8 for x in (1.0, 2.0, 3.0))]
    assert trace.retval == pytest.approx(states[1:])
    means = 0.8 * np.array(states[:3]) + 2.0
    expected = norm.logpdf([1.0, 2.0, 3.0], means, 1.0).sum()
    assert trace.log_prob == weight == pytest.approx(expected, rel=1e-12)
    assert list(trace.choices) == [(0, "x"), (1, "x"), (2, "x")]


def test_the_steps_are_counted_from_zero():
    f = unfold(gen(lambda i, state: [*state, i]))
    assert f.simulate((3, [])).retval == [[0], [0, 1], [0, 1, 2]]


@pytest.mark.parametrize("length", [0, np.int64(0)])
def test_no_steps_return_no_states_and_no_gradient_by_the_first(length):
    @gen(arg_grads=("state",))
    def f(state):
        moved(length, state, 1.0) @ "part"
        return state

    trace = f.simulate((2.0,))
    assert len(trace.choices) == 0
    assert trace["part"] == []
    assert trace.accumulate_param_gradients(3.0)[1] == (3.0,)


def test_gradients_flow_through_states_to_the_first_and_shared_arguments_are_summed():
    """With x_0, x_1 held fixed: s_1 = x_0 d + c, x_1 ~ N(c s_1 + d, 1), c the decay, d the drift.

    Gen.jl drops the gradient through the states where a caller uses them.
    """

    @gen(arg_grads=("state", "drift"))
    def f(state, drift):
        return moved(2, state, drift) @ "part"

    trace, _ = f.generate((1.5, 2.0), {"part": {0: {"x": 3.0}, 1: {"x": 5.0}}})
    c, d = 0.8, 2.0
    first = 3.0 - (c * 1.5 + d)
    second = 5.0 - (c * (3.0 * d + c) + d)
    _, (by_state, by_drift) = trace.accumulate_param_gradients([10.0, 100.0])
    assert by_state == pytest.approx(first * c)
    assert by_drift == pytest.approx(first + second * (c * 3.0 + 1.0) + 30.0 + 500.0)
    expected = first * 1.5 + second * (3.0 * d + 2.0 * c) + 10.0 + 100.0
    assert move.params["decay"].grad == pytest.approx(expected)


def test_states_with_structure_are_carried_whole():
    @gen
    def step(i, state):
        position, speed = state["position"], state["speed"]
        speed = normal(speed, 1.0) @ "speed"
        return {"position": position + speed, "speed": speed * param("friction", 0.9)}

    @gen(arg_grads=("start",))
    def f(start):
        return unfold(step)(3, start) @ "steps"

    trace = f.simulate(({"position": np.zeros(2), "speed": 1.0},), rng=0)
    assert np.shape(trace.retval[2]["position"]) == (2,)
    by_start = trace.accumulate_param_gradients([None, None, {"position": np.ones(2)}])[1][0]
    np.testing.assert_array_equal(by_start["position"], [1.0, 1.0])
    assert by_start["speed"] == pytest.approx(trace["steps", 0, "speed"] - 1.0)


@pytest.mark.parametrize("length", [-1, 2.0, 2.5, "3", None, np.float64(2.0), np.array([2])])
def test_a_length_that_is_negative_or_not_whole_is_refused(length):
    with pytest.raises(ShapeError, match=r"unfold\(move\).*at least 0, got"):
        moved.simulate((length, 1.0, 1.0))


# --- switch


@pytest.mark.parametrize(
    ("f", "cases"),
    [
        (chosen, (0, 1)),
        (chosen, (False, True)),
        (chosen, (np.int64(0), np.bool_(True))),
        (switch(low=low, high=high), ("low", "high")),
        (switch({"a": low, ("b", 1): high}), ("a", ("b", 1))),
        (switch(low, other=high), (0, "other")),
    ],
)
def test_a_switch_runs_the_branch_of_its_case_where_the_call_stands(f, cases):
    first, second = (f.simulate((case, 2.0), rng=0) for case in cases)
    assert list(first.choices) == [("v",)]
    assert list(second.choices) == [("v",), ("also", "w")]
    assert first.log_prob == low.assess((2.0,), first.choices)[0]
    assert second.log_prob == high.assess((2.0,), second.choices)[0]
    assert second.retval == second["also", "w"]
    below = passed.generate((f, cases[1], 2.0), {"part": second.choices.to_dict()})
    assert below[1] == pytest.approx(second.log_prob, rel=1e-12)


def test_only_the_branch_taken_gets_a_gradient_and_arguments_flow_into_either():
    @gen(arg_grads=("x",))
    def f(case, x):
        return chosen(case, x * x) @ "part"

    trace, _ = f.generate((0, 3.0), {"part": {"v": 2.0}})
    residual = 2.0 + 0.5 * 9.0
    assert trace.accumulate_param_gradients()[1] == (None, pytest.approx(-0.5 * residual * 6.0))
    assert low.params["low"].grad == pytest.approx(residual * 9.0)
    assert not high.params["high"].accumulated
    trace, _ = f.generate((1, 3.0), {"part": {"v": 2.0, "also": {"w": 1.0}}})
    assert trace.accumulate_param_gradients()[1][1] == pytest.approx((2.0 - 9.0) * 6.0)
    assert high.params["high"].accumulated


def test_a_choice_may_be_the_case():
    @gen
    def f():
        k = categorical([0.5, 0.5]) @ "k"
        return chosen(k, 1.0) @ "part"

    trace, _ = f.generate((), {"k": 1})
    assert ("part", "also", "w") in trace.choices


@pytest.mark.parametrize("case", [2, -1, "low", None, 0.5, [0], np.array([1, 2])], ids=repr)
def test_an_unknown_case_is_refused(case):
    with pytest.raises(ArgumentError, match=r"switch has no case .*(known: 0, 1|did you mean 1)"):
        chosen.simulate((case, 1.0))


def test_an_unknown_case_by_name_is_told_the_nearest():
    with pytest.raises(ArgumentError, match="no case 'hgh'; did you mean high"):
        switch(low=low, high=high).simulate(("hgh", 1.0))


@pytest.mark.parametrize("branch", [normal, lambda x: x, 3, None, low(1.0)])
def test_a_branch_is_a_function_of_gen(branch):
    with pytest.raises(ArgumentError, match="case 1 of a switch takes a function of @gen, got"):
        switch(low, branch)
    with pytest.raises(ArgumentError, match="case 'b' of a switch"):
        switch(a=low, b=branch)
    with pytest.raises(ArgumentError, match="mask takes a function of @gen, got"):
        mask(branch)


@pytest.mark.parametrize("wrong", [lambda x: x, 3, None], ids=["a plain function", "3", "None"])
@pytest.mark.parametrize(
    "combine", [map_, unfold, lambda f: recurse(f, low), lambda f: recurse(low, f)]
)
def test_a_kernel_is_a_generative_function(combine, wrong):
    with pytest.raises(ArgumentError, match="takes a generative function, got"):
        combine(wrong)


def test_shared_names_are_a_tuple_of_names_of_the_kernel():
    with pytest.raises(ArgumentError, match="kernel has no argument 'gian'; did you mean gain"):
        map_(kernel, shared=("gian",))
    with pytest.raises(ArgumentError, match=r"write \('gain',\)"):
        map_(kernel, shared="gain")


# --- recurse


def test_a_tree_is_grown_by_its_inputs_and_gathered_from_the_leaves():
    given = {
        "produce": {"v": 0.25},
        "aggregate": {"sum": 1.0},
        ("child", 0): {"produce": {"v": 2.0}, "aggregate": {"sum": 3.0}},
        ("child", 1): {"produce": {"v": 4.0}, "aggregate": {"sum": 5.0}},
    }
    trace, weight = tree.generate((1.5,), given)
    assert trace.retval == 1.0
    expected = norm.logpdf([0.25, 2.0, 4.0], 0.9 * np.array([1.5, 0.75, 0.025]), 1.0).sum()
    expected += norm.logpdf([3.0, 5.0, 1.0], [2.0, 4.0, 0.25 + 0.4 * 8.0], 1.0).sum()
    assert trace.log_prob == weight == pytest.approx(expected, rel=1e-12)


def test_gradients_flow_down_a_tree_and_up_again():
    @gen(arg_grads=("x",))
    def f(x):
        return tree(x) @ "tree"

    check_gradients(f, (1.5,), rng=0)
    check_gradients(f, (0.5,), rng=0)


def test_results_without_a_choice_are_gathered_with_their_gradients():
    @gen
    def grow(depth):
        return param("base") ** depth, [depth - 1] * 2 if depth else []

    @gen
    def add(value, results):
        return value + param("factor") * sum(results)

    init_param(grow, "base", 3.0)
    init_param(add, "factor", 0.5)
    trace = recurse(grow, add).simulate((2,))
    assert trace.retval == pytest.approx(9.0 + 0.5 * 2.0 * (3.0 + 0.5 * 2.0))
    trace.accumulate_param_gradients(2.0)
    assert add.params["factor"].grad == pytest.approx(2.0 * (6.0 + 8.0 * 0.5))
    assert grow.params["base"].grad == pytest.approx(2.0 * (6.0 + 1.0))


# --- mask


def test_a_mask_runs_its_kernel_or_makes_no_choice():
    seen = masked.generate((True, 2.0, 1.0), {"y": 3.0})[0]
    assert seen.log_prob == kernel.assess((2.0, 1.0), {"y": 3.0})[0]
    assert seen.retval == pytest.approx(6.7)
    hidden = masked.simulate((False, 2.0, 1.0))
    assert (hidden.retval, len(hidden.choices), hidden.log_prob) == (None, 0, 0.0)
    hidden.accumulate_param_gradients()
    assert not kernel.params["a"].accumulated


def test_masked_entries_of_a_map_leave_out_their_data():
    f = map_(masked)
    trace = f.simulate(([True, False, True], XS, [1.0] * 3), rng=0)
    assert [a[0] for a in trace.choices] == [0, 2]
    assert trace.retval[1] is None
    with pytest.raises(UnusedConstraint, match=r"\(1, 'y'\)"):
        f.generate(trace.args, {1: {"y": 1.0}})


# --- Every combinator, alone, called and inlined


@gen
def mapped_rows(i, xs):
    return np.stack(map_(kernel)(xs, [1.0, 2.0]) @ "row")


@gen
def drifting_walk(start, drift):
    return moved(2, start, drift) @ "walk"


COMBINED = {
    "map_": (mapped, (XS, 2.0), [kernel]),
    "map_ of none": (mapped, ([], 2.0), []),
    "unfold": (moved, (3, 1.0, 0.5), [move]),
    "unfold of none": (moved, (0, 1.0, 0.5), []),
    "switch, first": (chosen, (0, 1.3), [low]),
    "switch, second": (chosen, (1, 1.3), [high]),
    "recurse": (tree, (2.0,), [produce, aggregate]),
    "mask on": (masked, (True, 1.2, 0.5), [kernel]),
    "mask off": (masked, (False, 1.2, 0.5), []),
    "map_ of map_": (map_(map_(kernel)), ([[1.0, 2.0], [0.5]], [[1.0, 1.0], [2.0]]), [kernel]),
    "map_ of unfold": (map_(moved, shared=("shared",)), ([2, 3], [0.1, 0.2], 0.5), [move]),
    "map_ of a function of unfold": (map_(drifting_walk), ([1.0, 2.0], [0.5, 0.1]), [move]),
    "map_ of switch": (map_(chosen), ([0, 1, 1], XS), [low, high]),
    "map_ of recurse": (map_(tree), ([2.0, 0.5],), [produce, aggregate]),
    "map_ of mask": (map_(masked), ([True, False], [1.0, 2.0], [1.0, 2.0]), [kernel]),
    "unfold of a map_": (unfold(mapped_rows), (2, np.array([1.0, -1.0])), [kernel]),
    "switch of unfold and map_": (switch(moved, mapped), (0, 2, 1.0, 0.3), [move]),
    "mask of switch of mask": (mask(switch(masked, low)), (True, 0, True, 1.0, 2.0), [kernel]),
    "mask of unfold": (mask(moved), (True, 2, 1.0, 0.5), [move]),
}
CASES = {
    **{name: (f, args, owners) for name, (f, args, owners) in COMBINED.items()},
    **{f"{n}, called": (passed, (f, *args), owners) for n, (f, args, owners) in COMBINED.items()},
    **{f"{n}, inlined": (inlined, (f, *args), owners) for n, (f, args, owners) in COMBINED.items()},
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_by_parameters_choices_and_arguments_agree_with_differences(case):
    f, args, owners = CASES[case]
    check = check_gradients(f, args, rng=3)
    assert check.error < 1e-6
    assert check.entries > 0 or not owners


@pytest.mark.parametrize("case", COMBINED)
def test_executions_agree_with_each_other(case):
    f, args, _ = COMBINED[case]
    trace = f.simulate(args, rng=0)
    log_prob, retval = f.assess(args, trace.choices)
    assert log_prob == trace.log_prob
    assert same(retval, trace.retval)
    again, weight = f.generate(args, trace.choices)
    assert again == trace
    assert weight == pytest.approx(trace.log_prob, rel=1e-12)
    if len(trace.choices):
        first = next(iter(trace.choices))
        without = {a: v for a, v in trace.choices.items() if a != first}
        with pytest.raises(MissingChoice):
            f.assess(args, without)
    with pytest.raises(UnusedConstraint):
        f.generate(args, {"never": 1.0})


@pytest.mark.parametrize("case", CASES)
def test_the_scale_multiplies_what_is_accumulated_and_not_what_is_returned(case):
    """Gen.jl has no scaled gradients through Map, Unfold, Switch and Recurse."""
    f, args, owners = CASES[case]
    trace = f.simulate(args, rng=1)
    parameters = [p for owner in owners for _, p in owner.params.items()]
    once = trace.accumulate_param_gradients()
    grads = [p.grad for p in parameters]
    for p in parameters:
        p.zero_grad()
    again = trace.accumulate_param_gradients(scale=-2.5)
    assert again[0] == once[0]
    np.testing.assert_equal(again[1], once[1])
    assert [p.grad for p in parameters] == pytest.approx([-2.5 * g for g in grads])


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][2]])
def test_an_update_with_callees_trains_the_parameters_of_the_kernel(case):
    f, args, owners = CASES[case]
    update = ParamUpdate(ADAM(0.1), f, callees=True)
    trace = f.simulate(args, rng=2)
    trace.accumulate_param_gradients()
    parameters = [p for owner in owners for _, p in owner.params.items()]
    grads = [p.grad for p in parameters]
    before = [p.coordinates for p in parameters]
    update.apply()
    assert len(f.params) == 0
    for p, g, was in zip(parameters, grads, before, strict=True):
        assert p.coordinates == pytest.approx(was + 0.1 * np.sign(g), abs=1e-6)
        assert p.grad == 0.0


def test_a_combinator_owns_no_parameters_and_reads_the_kernels_of_today():
    trace = mapped.simulate((XS, 2.0), rng=0)
    assert list(mapped.params) == []
    set_param(kernel, "a", 3.0)
    assert trace.is_stale
    found = trace.param_gradients()
    assert set(found) == {"kernel"}
    fresh = mapped.generate((XS, 2.0), trace.choices)[0].param_gradients()
    assert found == fresh


def test_a_kernel_in_two_combinators_shares_its_parameters():
    @gen
    def f():
        mapped(XS, 1.0) @ "map"
        return masked(True, 1.0, 1.0) @ "mask"

    trace = f.simulate((), rng=0)
    whole = trace.param_gradients()["kernel"]["a"]
    parts = [
        mapped.generate((XS, 1.0), trace.choices["map"])[0],
        masked.generate((True, 1.0, 1.0), trace.choices["mask"])[0],
    ]
    assert whole == pytest.approx(sum(t.param_gradients()["kernel"]["a"] for t in parts))


def test_a_kernel_whose_parameter_has_no_value_says_which_line_to_write():
    @gen
    def untold(x):
        return normal(param("mu") * x, 1.0) @ "y"

    with pytest.raises(UninitializedParameter, match=r"init_param\(untold, 'mu', value\)"):
        map_(untold).simulate((XS,))


def test_a_kernel_that_declares_its_parameter_at_its_first_run_declares_it_once():
    @gen
    def told(i, state):
        return normal(param("mu", 0.5) * state, 1.0) @ "y"

    unfold(told).simulate((3, 1.0))
    assert told.params["mu"].value == 0.5


def test_a_hidden_markov_chain_learns_its_decay():
    """The maximum of log p in closed form: sum x_i s_i / sum s_i^2 over the steps."""

    @gen
    def step(i, state):
        return normal(param("decay", 0.0) * state, 1.0) @ "x"

    @gen
    def chain(n):
        return unfold(step)(n, 1.0) @ "steps"

    xs = [0.9, 0.7, 0.8, 0.5]
    trace, _ = chain.generate((4,), {"steps": {i: {"x": x} for i, x in enumerate(xs)}})
    update = ParamUpdate(FixedStepGradientDescent(0.1), chain, callees=True)
    for _ in range(60):
        trace.accumulate_param_gradients()
        update.apply()
    before = np.array([1.0, *xs[:-1]])
    assert step.params["decay"].value == pytest.approx(before @ xs / (before @ before), rel=1e-6)


def test_combinators_are_generative_functions_with_names():
    names = ["map_(kernel)", "unfold(move)", "switch(low, high)", "recurse(produce, aggregate)"]
    made = [mapped, moved, chosen, tree]
    assert [f.__name__ for f in made] == names
    assert all(isinstance(f, GenerativeFunction) for f in made)
    assert repr(mapped) == "<generative function map_(kernel)(x, gain)>"


def test_a_distribution_may_be_a_kernel_of_unfold():
    spread = unfold(uniform)
    trace = spread.simulate((3, 10.0), rng=0)
    assert list(trace.choices) == [(0,), (1,), (2,)]
    highs = [10.0, *trace.retval[:2]]
    lows = [0.0, 1.0, 2.0]
    expected = -sum(np.log(h - low_) for h, low_ in zip(highs, lows, strict=True))
    assert trace.log_prob == pytest.approx(expected, rel=1e-12)


def test_discrete_states_carry_no_gradient():
    @gen
    def flip(i, state):
        return bernoulli(0.9 if state else param("p", 0.2)) @ "s"

    trace, _ = unfold(flip).generate((3, False), {i: {"s": i > 0} for i in range(3)})
    trace.accumulate_param_gradients()
    assert flip.params["p"].grad == pytest.approx(-1.0 / 0.8 + 1.0 / 0.2)


# --- Gradients by arguments, and arrays of choices


@gen
def pulled(x, pull):
    return normal(pull * x, 1.0) @ "x"


@gen
def pushed(x, push):
    return normal(push + x, 1.0) @ "x"


@gen
def drifting(step, state, drift):
    return normal(state + drift * step, 1.0) @ "x"


@gen
def grown(x):
    return x, [x - 1.0] if x > 0.5 else []


@gen
def gathered(value, results):
    return normal(value + sum(results), 1.0) @ "x"


BY_ARGUMENTS = {
    "map_": (map_(pulled, arg_grads=("x", "pull")), (np.array([1.0, 2.0]), [0.5, 0.25]), (0, 1)),
    "map_ of a distribution": (map_(normal, arg_grads=("mu",)), ([1.0, 2.0], [0.5, 0.25]), (0,)),
    "unfold": (unfold(drifting, arg_grads=("state", "drift")), (3, 0.5, 0.25), (1, 2)),
    "switch": (switch(pulled, pushed, arg_grads=("x",)), (1, 0.5, 0.25), (1,)),
    "switch of one kind": (switch(pulled, arg_grads=("pull",)), (0, 0.5, 0.25), (2,)),
    "mask": (mask(pulled, arg_grads=("pull",)), (True, 0.5, 0.25), (2,)),
    "recurse": (recurse(grown, gathered, arg_grads=("x",)), (1.25,), (0,)),
}


@pytest.mark.parametrize("name", BY_ARGUMENTS)
def test_a_combinator_gives_the_gradients_by_arguments_that_are_named(name):
    f, args, places = BY_ARGUMENTS[name]
    assert check_gradients(f, args).error < 1e-6
    _, arg_grads = f.simulate(args, rng=0).accumulate_param_gradients()
    assert [i for i, g in enumerate(arg_grads) if g is not None] == list(places)


def test_a_combinator_with_gradients_by_arguments_pickles():
    f = unfold(drifting, arg_grads=("drift",))
    assert pickle.loads(pickle.dumps(f)) is f
    assert f is not unfold(drifting)


@pytest.mark.parametrize(
    "make",
    [
        lambda: switch(pulled, pushed, arg_grads=("pull",)),
        lambda: unfold(drifting, arg_grads=("step",)),
        lambda: mask(pulled, arg_grads=("y",)),
        lambda: recurse(grown, gathered, arg_grads=("value",)),
        lambda: map_(pulled, arg_grads="x"),
    ],
)
def test_a_name_that_is_no_argument_of_the_combination_is_refused(make):
    with pytest.raises(ArgumentError, match=r"has no argument|write \('x',\)"):
        make()


def test_an_argument_of_a_kernel_may_be_given_by_name():
    @gen
    def f():
        unfold(drifting)(2, 0.0, drift=0.5) @ "steps"
        mask(pulled)(True, 1.0, pull=2.0) @ "masked"
        return switch(pulled, pushed)(1, 1.0, push=2.0) @ "switched"

    assert len(f.simulate().choices) == 4


def test_rows_give_an_array_to_a_map_and_to_an_unfolding():
    @gen
    def f(xs):
        map_(pulled, shared=("pull",))(xs, 2.0) @ "points"
        return unfold(drifting)(len(xs), 0.0, 0.5) @ "steps"

    xs = np.array([1.0, 2.0, 3.0])
    rows = ChoiceMap.rows({"x": xs})
    trace, weight = f.generate((xs,), {"points": rows, "steps": rows})
    assert weight == trace.log_prob
    assert [trace["points", i, "x"] for i in range(3)] == xs.tolist()
    assert rows == ChoiceMap({(i, "x"): x for i, x in enumerate(xs)})
    assert ChoiceMap.rows({"a": {"b": xs}, "c": np.ones((3, 2))})[1, "c"].tolist() == [1.0, 1.0]
    trace, weight = map_(normal).generate((xs, xs), ChoiceMap.rows({(): xs}))
    assert weight == trace.log_prob


@pytest.mark.parametrize("given", [{0: 1.0, 1: 2.0}, "ab"])
def test_what_has_keys_or_letters_is_not_mapped_over(given):
    kernel = gen(lambda x: normal(0.0, 1.0) @ "y")
    with pytest.raises(ShapeError, match="give an array or a list, with one entry for each call"):
        map_(kernel).simulate((given,))
