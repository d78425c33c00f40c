"""Trace edits: what `update`, `regenerate`, `project` and `choice_gradients` return and weigh."""

import numpy as np
import pytest
from scipy.stats import bernoulli as bernoulli_of
from scipy.stats import norm

from genparams import (
    ParamStore,
    bernoulli,
    binomial,
    dirichlet,
    gen,
    init_param,
    normal,
    param,
    poisson,
    positive,
    set_param,
    uniform,
)
from genparams.dsl.combinators import map_, mask, recurse, switch, unfold
from genparams.dsl.replay import replay
from genparams.errors import (
    AddressConflict,
    ArgumentError,
    DistributionError,
    InvalidValue,
    MissingChoice,
    ShapeError,
    UnknownAddress,
    UnusedConstraint,
)
from genparams.trace.selection import everything, nothing, select

STEP = 1e-5


@gen
def leaf(mu):
    return normal(mu, param("std")) @ "v"


@gen(arg_grads=("shift",))
def branching(shift=0.0):
    """Choices that decide which others are made, some below a call."""
    x = normal(shift, 1.0) @ "x"
    if bernoulli(0.3) @ "flag":
        y = normal(x, 2.0) @ ("on", "y")
        return (leaf(y) @ "leaf") + x
    return x * (normal(x, 0.5) @ ("off", "z"))


@pytest.fixture(autouse=True)
def _std():
    init_param(leaf, "std", 1.5, positive)


ON = {"x": 0.5, "flag": True, ("on", "y"): 1.0, ("leaf", "v"): 2.0}
OFF = {"x": 0.5, "flag": False, ("off", "z"): 0.25}


def on():
    return branching.generate((), ON)[0]


def off():
    return branching.generate((), OFF)[0]


def log_normal(x, mu, std):
    return float(norm.logpdf(x, mu, std))


# --- update


def test_an_update_of_nothing_returns_the_same_and_weighs_nothing():
    trace = on()
    new, weight, discard = trace.update({})
    assert new == trace
    assert weight == 0.0
    assert discard == {}
    assert trace.update()[1] == 0.0


def test_an_overwritten_choice_weighs_the_change_of_every_log_prob_that_it_enters():
    new, weight, discard = on().update({"x": -1.0})
    expected = log_normal(-1.0, 0.0, 1.0) - log_normal(0.5, 0.0, 1.0)
    expected += log_normal(1.0, -1.0, 2.0) - log_normal(1.0, 0.5, 2.0)
    assert weight == pytest.approx(expected, rel=1e-12)
    assert discard == {"x": 0.5}
    assert new.choices == ON | {"x": -1.0}
    assert new.retval == 1.0


def test_a_choice_below_a_call_is_updated_by_its_path():
    new, weight, discard = on().update({("leaf", "v"): 3.0})
    expected = log_normal(3.0, 1.0, 1.5) - log_normal(2.0, 1.0, 1.5)
    assert weight == pytest.approx(expected, rel=1e-12)
    assert discard == {"leaf": {"v": 2.0}}
    assert new["leaf"] == 3.0


def test_choices_that_appear_are_drawn_and_weigh_nothing_those_that_go_are_subtracted():
    old = on()
    new, weight, discard = old.update({"flag": False}, rng=0)
    expected = bernoulli_of.logpmf(0, 0.3) - bernoulli_of.logpmf(1, 0.3)
    expected -= log_normal(1.0, 0.5, 2.0) + log_normal(2.0, 1.0, 1.5)
    assert weight == pytest.approx(float(expected), rel=1e-12)
    assert discard == {"flag": True, ("on", "y"): 1.0, ("leaf", "v"): 2.0}
    assert set(new.choices) == {("x",), ("flag",), ("off", "z")}
    assert new.update({})[1] == 0.0


def test_choices_that_appear_with_a_value_given_weigh_their_log_prob():
    _, weight, discard = off().update({"flag": True, ("on", "y"): 1.0, "leaf": {"v": 2.0}})
    expected = bernoulli_of.logpmf(1, 0.3) - bernoulli_of.logpmf(0, 0.3)
    expected += log_normal(1.0, 0.5, 2.0) + log_normal(2.0, 1.0, 1.5)
    expected -= log_normal(0.25, 0.5, 0.5)
    assert weight == pytest.approx(float(expected), rel=1e-12)
    assert discard == {"flag": False, "off": {"z": 0.25}}


def test_one_fresh_choice_among_given_ones_is_left_out_of_the_weight():
    new, weight, _ = off().update({"flag": True, ("on", "y"): 1.0}, rng=3)
    kept = new.log_prob - new.log_probs["leaf", "v"]
    assert weight == pytest.approx(kept - off().log_prob, rel=1e-12)


def test_other_arguments_change_the_log_probs_and_keep_the_choices():
    new, weight, discard = on().update({}, (2.0,))
    assert new.args == (2.0,)
    assert new.choices == ON
    assert discard == {}
    expected = log_normal(0.5, 2.0, 1.0) - log_normal(0.5, 0.0, 1.0)
    assert weight == pytest.approx(expected, rel=1e-12)


def test_the_arguments_of_an_update_are_completed_with_defaults():
    new, weight, _ = branching.generate((2.0,), ON)[0].update({}, ())
    assert new.args == (0.0,)
    expected = log_normal(0.5, 0.0, 1.0) - log_normal(0.5, 2.0, 1.0)
    assert weight == pytest.approx(expected, rel=1e-12)


def test_arguments_that_are_no_tuple_are_refused():
    with pytest.raises(ArgumentError, match="one tuple and come first"):
        on().update({}, 2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("trace", [on, off])
def test_after_a_parameter_change_an_update_weighs_new_minus_stored(trace):
    old = trace()
    set_param(leaf, "std", 3.0)
    new, weight, discard = old.update({})
    now = branching.assess((), old.choices)[0]
    assert weight == pytest.approx(now - old.log_prob, rel=1e-12, abs=1e-15)
    assert new.log_prob == now
    assert (weight == 0.0) == (trace is off)
    assert discard == {}
    assert not new.is_stale


def test_there_and_back_is_the_identity_and_the_weights_cancel():
    old = branching.generate((1.0,), ON)[0]
    there, weight, discard = old.update(OFF, (-1.0,))
    back, back_weight, again = there.update(discard, old.args)
    assert back == old
    assert again == OFF
    assert weight == pytest.approx(-back_weight, rel=1e-12)


def test_a_seeded_update_repeats_to_the_bit():
    assert off().update({"flag": True}, rng=5)[0] == off().update({"flag": True}, rng=5)[0]


def test_the_old_trace_stays_as_it_was():
    old = on()
    old.update({"x": 3.0, "flag": False}, (5.0,))
    old.regenerate(everything)
    assert old == on()


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"y": 1.0}, "never visited 'y'"),
        ({("off", "z"): 1.0}, r"never visited \('off', 'z'\)"),
        ({"leaf": 1.0}, "'leaf' is a call; give values"),
        ({"flag": False, ("leaf", "v"): 1.0}, r"never visited \('leaf', 'v'\)"),
    ],
)
def test_a_constraint_that_is_not_visited_is_refused_and_changes_nothing(constraints, message):
    old = on()
    with pytest.raises(UnusedConstraint, match=message):
        old.update(constraints)
    assert old == on()
    assert list(leaf.params) == ["std"]


def test_an_update_that_fails_forgets_what_it_declared():
    @gen
    def f(more):
        if more:
            param("declared", 1.0)
        return normal(0.0, 1.0) @ "x"

    trace = f.simulate((False,))
    with pytest.raises(UnusedConstraint):
        trace.update({"z": 1.0}, (True,))
    assert list(f.params) == []


def test_a_value_of_the_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match="'x'"):
        on().update({"x": [1.0, 2.0]})


def test_constraints_that_are_no_mapping_are_refused():
    with pytest.raises(InvalidValue, match="dictionary by address"):
        on().update(["x"])  # type: ignore[arg-type]


@gen
def other_leaf(mu):
    return normal(mu, 1.0) @ "v"


def test_another_function_at_the_address_of_a_call_is_refused():
    @gen
    def f(first):
        return (leaf if first else other_leaf)(0.0) @ "part"

    trace = f.simulate((True,))
    for edit in (
        lambda: trace.update({}, (False,)),
        lambda: trace.regenerate("part", (False,)),
    ):
        with pytest.raises(AddressConflict, match="'part' changed from leaf to other_leaf"):
            edit()


def test_a_call_may_become_a_choice_and_a_choice_a_call():
    @gen
    def f(call):
        return leaf(0.0) @ "part" if call else normal(0.0, 1.0) @ "part"

    trace, _ = f.generate((True,), {"part": {"v": 1.0}})
    new, weight, discard = trace.update({"part": 2.0}, (False,))
    assert discard == {"part": {"v": 1.0}}
    expected = log_normal(2.0, 0.0, 1.0) - log_normal(1.0, 0.0, 1.5)
    assert weight == pytest.approx(expected, rel=1e-12)
    back, back_weight, _ = new.update(discard, (True,))
    assert back == trace
    assert weight == pytest.approx(-back_weight, rel=1e-12)


def test_a_function_that_is_made_anew_in_each_run_is_the_same_function():
    theta = ParamStore(std=2.0)

    @gen
    def f(n):
        @gen
        def step(i, state):
            return normal(state, 1.0) @ "x"

        leaf.with_params(theta)(0.0) @ "clone"
        return unfold(step)(n, 0.0) @ "steps"

    trace = f.simulate((2,), rng=0)
    assert trace.update({})[1] == 0.0
    assert len(trace.update({}, (3,))[0].choices) == 4
    assert trace.regenerate("clone", rng=1)[1] == 0.0


# --- regenerate


def test_regenerating_draws_the_selected_choices_and_weighs_those_that_are_kept():
    old = on()
    new, weight = old.regenerate("x", rng=1)
    assert new["x"] != 0.5
    assert new.choices == ON | {"x": new["x"]}
    expected = log_normal(1.0, new["x"], 2.0) - log_normal(1.0, 0.5, 2.0)
    assert weight == pytest.approx(expected, rel=1e-12)


def test_regenerating_everything_weighs_nothing_and_nothing_keeps_everything():
    old = on()
    assert old.regenerate(everything, rng=0)[1] == 0.0
    assert old.regenerate(everything, rng=0)[0] == branching.simulate((), rng=0)
    new, weight = old.regenerate(nothing)
    assert (new, weight) == (old, 0.0)


def test_choices_that_appear_or_go_weigh_nothing_when_regenerated():
    old = on()
    seed = next(s for s in range(50) if not old.regenerate("flag", rng=s)[0]["flag"])
    new, weight = old.regenerate("flag", rng=seed)
    assert set(new.choices) == {("x",), ("flag",), ("off", "z")}
    assert weight == 0.0
    _, weight = old.regenerate(select("flag"), (2.0,), rng=seed)
    assert weight == pytest.approx(log_normal(0.5, 2.0, 1.0) - log_normal(0.5, 0.0, 1.0), rel=1e-12)


def test_after_a_parameter_change_regenerate_weighs_new_minus_stored_for_what_is_kept():
    old = on()
    set_param(leaf, "std", 3.0)
    expected = log_normal(2.0, 1.0, 3.0) - log_normal(2.0, 1.0, 1.5)
    assert old.regenerate(nothing)[1] == pytest.approx(expected, rel=1e-12)
    assert old.regenerate("leaf")[1] == 0.0


def test_the_weight_of_regenerate_is_that_of_metropolis_hastings():
    """weight = log p(t') - log p(t) + log q(t; t') - log q(t'; t) with proposals from the prior."""
    old = on()
    for seed in range(5):
        new, weight = old.regenerate([("on", "y"), "x"], rng=seed)
        moved = [("x",), ("on", "y")]
        forward = sum(new.log_probs[a] for a in moved)
        backward = sum(old.log_probs[a] for a in moved)
        assert weight == pytest.approx(
            new.log_prob - old.log_prob + backward - forward, rel=1e-10, abs=1e-12
        )


# --- project and selections

SELECTIONS = {
    "a key": ("x", ["x"]),
    "a path": (("on", "y"), [("on", "y")]),
    "a prefix": ("on", [("on", "y")]),
    "a call": ("leaf", [("leaf", "v")]),
    "a list": (["x", ("leaf", "v")], ["x", ("leaf", "v")]),
    "a set": ({"x", ("on", "y")}, ["x", ("on", "y")]),
    "select": (select("x", ("on", "y")), ["x", ("on", "y")]),
    "everything": (everything, list(ON)),
    "nothing": (nothing, []),
    "an empty list": ([], []),
    "the empty path": ((), list(ON)),
    "a complement": (~select("x"), [a for a in ON if a != "x"]),
    "the complement of everything": (~everything, []),
    "a union": (select("x") | select("leaf"), ["x", ("leaf", "v")]),
    "a meet": (select("x", "leaf") & ~select("x"), [("leaf", "v")]),
    "what is missing and ignored": (select("x", "zz", missing="ignore"), ["x"]),
}


@pytest.mark.parametrize("case", SELECTIONS)
def test_project_sums_the_stored_log_probs_of_what_is_selected(case):
    selection, addresses = SELECTIONS[case]
    trace = on()
    paths = [a if isinstance(a, tuple) else (a,) for a in addresses]
    expected = sum(trace.log_probs[a] for a in paths)
    assert trace.project(selection) == pytest.approx(expected, rel=1e-14, abs=1e-15)
    set_param(leaf, "std", 9.0)
    assert trace.project(selection) == pytest.approx(expected, rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("case", SELECTIONS)
def test_regenerate_moves_exactly_what_is_selected(case):
    selection, addresses = SELECTIONS[case]
    trace = on()
    fixed = {a: v for a, v in ON.items() if a not in addresses}
    new, _ = trace.regenerate(selection, rng=2)
    if new["flag"]:
        assert {a: new[a] for a in fixed} == fixed
        assert all(new[a] != ON[a] for a in addresses if a != "flag")


MISSING = ["zz", ("on", "zz"), ["x", "zz"], select("zz"), ~select("zz"), select("x") | select("zz")]


@pytest.mark.parametrize("selection", MISSING, ids=repr)
def test_a_selected_address_that_is_not_there_is_refused(selection):
    trace = on()
    for use in (trace.project, trace.regenerate, trace.choice_gradients):
        with pytest.raises(UnknownAddress, match="'zz'"):
            use(selection)


def test_an_address_that_another_branch_has_may_be_ignored():
    trace = off()
    selection = select(("on", "y"), "x", missing="ignore")
    assert trace.project(selection) == trace.project("x")
    assert trace.regenerate(selection, rng=0)[0]["x"] == trace.regenerate("x", rng=0)[0]["x"]
    assert list(trace.choice_gradients(selection)[2]) == [("x",)]


# --- rescored and is_stale


def test_a_trace_is_stale_when_a_parameter_that_it_read_has_another_value():
    trace, without = on(), off()
    assert not trace.is_stale
    set_param(leaf, "std", 1.5)
    assert not trace.is_stale
    set_param(leaf, "std", 2.0)
    assert trace.is_stale
    assert not without.is_stale
    assert not trace.rescored().is_stale


def test_a_trace_is_stale_when_its_parameter_has_another_shape_or_is_gone():
    @gen
    def f():
        return normal(np.sum(param("w")), 1.0) @ "x"

    init_param(f, "w", [1.0, 2.0])
    trace = f.simulate()
    init_param(f, "w", [1.0, 2.0, 3.0])
    assert trace.is_stale
    init_param(f, "w", [1.0, 2.0])
    assert not trace.is_stale
    f.params.discard("w")
    assert trace.is_stale


def test_rescoring_keeps_the_choices_under_todays_parameters():
    old = on()
    set_param(leaf, "std", 3.0)
    new = old.rescored()
    assert new.choices == old.choices
    assert new.args == old.args
    assert new.log_prob == branching.assess((), ON)[0]
    assert new.rescored() == new


def test_rescoring_a_trace_whose_choices_no_longer_fit_says_so():
    @gen
    def f():
        if param("a") > 0:
            return normal(0.0, 1.0) @ "positive"
        return normal(0.0, 1.0) @ "negative"

    init_param(f, "a", 1.0)
    trace = f.simulate()
    set_param(f, "a", -1.0)
    with pytest.raises(MissingChoice, match="'negative'"):
        trace.rescored()
    new, weight, discard = trace.update({}, rng=0)
    assert list(discard) == [("positive",)]
    assert weight == pytest.approx(-trace.log_prob)
    assert list(new.choices) == [("negative",)]


# --- Choice gradients


def check_choice_gradients(trace, selection, retval_grad=None):
    """Compare each entry with a central difference of log p(t; x) + <retval_grad, r>."""

    def value(address, at):
        choices = dict(trace.choices) | {address: at}
        log_prob, retval = trace.gen_fn.assess(trace.args, choices)
        paired = 0.0 if retval_grad is None else np.sum(np.asarray(retval) * retval_grad)
        return log_prob + paired

    _, values, grads = trace.choice_gradients(selection, retval_grad)
    for address, g in grads.items():
        at = np.asarray(values[address], dtype=float)
        assert np.shape(g) == at.shape
        for place in np.ndindex(at.shape):
            ahead, behind = at.copy(), at.copy()
            ahead[place] += STEP
            behind[place] -= STEP
            slope = (value(address, ahead) - value(address, behind)) / (2.0 * STEP)
            assert np.asarray(g)[place] == pytest.approx(slope, rel=1e-6, abs=1e-7)
    return grads


@pytest.mark.parametrize("retval_grad", [None, 0.7])
@pytest.mark.parametrize("selection", [["x", "on", "leaf"], ("leaf", "v"), ~select("flag"), []])
def test_choice_gradients_agree_with_central_differences(selection, retval_grad):
    check_choice_gradients(on(), selection, retval_grad)


def test_choice_gradients_return_arguments_values_and_gradients():
    args, values, grads = on().choice_gradients(["x", ("on", "y")], retval_grad=10.0)
    assert args == (pytest.approx(0.5),)
    assert values == {"x": 0.5, ("on", "y"): 1.0}
    assert grads["x"] == pytest.approx(-0.5 + 0.5 / 4.0 + 10.0)
    assert grads["on", "y"] == pytest.approx(-0.5 / 4.0 + 1.0 / 1.5**2)
    assert type(grads["x"]) is float


def test_no_selection_gives_the_gradients_by_arguments_alone():
    args, values, grads = on().choice_gradients()
    assert args == (pytest.approx(0.5),)
    assert values == grads == {}


@gen(arg_grads=("xs", "ends"))
def arrays(xs, ends, n=2):
    w = normal(np.zeros(3), 1.0) @ "w"
    s = normal(0.0, 2.0, size=(n, 2)) @ "s"
    low, high = ends
    u = uniform(low, high) @ "u"
    return normal(np.stack([w * xs, w * u]), 1.0) @ "y", np.sum(s * s) * w


def a_trace_of_arrays():
    return arrays.simulate((np.array([1.0, 2.0, -1.0]), (-1.0, 2.0)), rng=0)


def test_choice_gradients_of_arrays_have_their_shapes_and_cannot_be_written_to():
    trace = a_trace_of_arrays()
    grads = check_choice_gradients(trace, everything)
    assert {a: np.shape(g) for a, g in grads.items()} == {
        ("w",): (3,),
        ("s",): (2, 2),
        ("u",): (),
        ("y",): (2, 3),
    }
    with pytest.raises(ValueError, match="read-only"):
        grads["w"][0] = 1.0


def test_argument_gradients_have_the_structure_of_the_arguments():
    trace = a_trace_of_arrays()
    xs, ends, n = trace.choice_gradients("w", (None, np.ones(3)))[0]
    assert np.shape(xs) == (3,)
    assert type(ends) is tuple
    assert ends == pytest.approx((1.0 / 3.0, -1.0 / 3.0))
    assert n is None


def test_choice_gradients_take_the_gradient_of_a_structured_return_value():
    trace = a_trace_of_arrays()
    g = np.array([0.5, -1.0, 2.0])
    plain = trace.choice_gradients("s")[2]["s"]
    found = trace.choice_gradients("s", (None, g))[2]["s"]
    np.testing.assert_allclose(found - plain, 2.0 * trace["s"] * (trace["w"] @ g), rtol=1e-12)
    assert trace.choice_gradients("y", (np.ones((2, 3)), None))[2]["y"] == pytest.approx(
        trace.choice_gradients("y")[2]["y"] + 1.0
    )


@pytest.mark.parametrize("retval_grad", [np.ones(2), (1.0, 2.0), {"a": 1.0}, "text"], ids=repr)
def test_a_retval_grad_that_does_not_fit_is_refused(retval_grad):
    with pytest.raises(ShapeError, match="return value"):
        on().choice_gradients("x", retval_grad)


DISCRETE = {
    "bernoulli": lambda: bernoulli(0.5),
    "poisson": lambda: poisson(3.0),
    "binomial": lambda: binomial(4, 0.5),
    "bernoullis": lambda: bernoulli(0.5, size=3),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_a_discrete_choice_has_no_gradient(name):
    @gen
    def f():
        return DISCRETE[name]() @ ("deep", "k"), normal(0.0, 1.0) @ "x"

    trace = f.simulate()
    for selection in (("deep", "k"), "deep", everything):
        with pytest.raises(DistributionError, match=r"\('deep', 'k'\) is discrete"):
            trace.choice_gradients(selection)
    assert list(trace.choice_gradients(~select("deep"))[2]) == [("x",)]


def test_choice_gradients_leave_the_accumulators_alone():
    trace = on()
    leaf.params["std"].increment_grad(4.0)
    trace.choice_gradients(["x", "leaf"], 1.0)
    assert leaf.params["std"].grad == 4.0
    leaf.params["std"].zero_grad()
    trace.choice_gradients("x")
    assert not leaf.params["std"].accumulated


def test_choice_gradients_are_taken_at_todays_parameters():
    trace = on()
    set_param(leaf, "std", 3.0)
    assert trace.choice_gradients("leaf")[2]["leaf", "v"] == pytest.approx(-1.0 / 9.0)
    check_choice_gradients(trace, "leaf", 0.3)


def test_a_choice_that_decides_a_branch_has_the_gradient_of_the_branch_taken():
    @gen
    def f():
        x = normal(0.0, 1.0) @ "x"
        return normal(x * x, 1.0) @ "up" if x > 0.0 else normal(-x, 1.0) @ "down"

    check_choice_gradients(f.generate((), {"x": 0.7})[0], "x")
    check_choice_gradients(f.generate((), {"x": -0.7})[0], "x")


def test_the_gradient_by_a_point_of_the_simplex_is_that_of_free_entries():
    @gen
    def f():
        return dirichlet(np.array([2.0, 3.0, 4.0])) @ "p"

    trace, _ = f.generate((), {"p": [0.2, 0.3, 0.5]})
    np.testing.assert_allclose(
        trace.choice_gradients("p")[2]["p"], np.array([1.0, 2.0, 3.0]) / [0.2, 0.3, 0.5], rtol=1e-12
    )


# --- Values with structure


def test_the_empty_path_is_the_return_value():
    trace = a_trace_of_arrays()
    assert trace[()] is trace.retval
    assert on()[()] == on().retval


def test_the_trace_of_a_distribution_is_edited_at_the_empty_path():
    trace, _ = normal.generate((0.0, 1.0), {(): 2.0})
    new, weight, discard = trace.update({(): 1.0})
    assert (new.retval, new[()], discard[()]) == (1.0, 1.0, 2.0)
    assert weight == pytest.approx(1.5)
    assert trace.update({}, (2.0, 1.0))[1] == pytest.approx(2.0)
    assert trace.choice_gradients(())[2][()] == -2.0
    assert trace.project(everything) == trace.log_prob
    assert trace.regenerate(everything, rng=0)[0].retval == normal.sample(0.0, 1.0, rng=0)


def test_array_choices_are_updated_whole_and_given_back():
    trace = a_trace_of_arrays()
    new, weight, discard = trace.update({"w": [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(new["w"], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(discard["w"], trace["w"])
    assert weight == pytest.approx(new.log_prob - trace.log_prob, rel=1e-12)
    back, back_weight, _ = new.update(discard)
    assert back == trace
    assert weight == pytest.approx(-back_weight, rel=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        new["w"][0] = 0.0


def test_arguments_that_are_tuples_are_replaced_whole():
    trace = a_trace_of_arrays()
    xs, _, n = trace.args
    new, weight, _ = trace.update({}, (xs, (-2.0, 4.0), n))
    assert weight == pytest.approx(np.log(3.0 / 6.0), rel=1e-12)
    assert new.args[1] == (-2.0, 4.0)


def test_a_kept_choice_that_no_longer_has_the_shape_of_a_draw_is_refused():
    trace = a_trace_of_arrays()
    xs, ends, _ = trace.args
    with pytest.raises(ShapeError, match=r"'s': .*shape \(3, 2\) here, got \(2, 2\)"):
        trace.update({}, (xs, ends, 3))
    new, _, discard = trace.update({"s": np.zeros((3, 2))}, (xs, ends, 3))
    assert np.shape(new["s"]) == (3, 2)
    assert np.shape(discard["s"]) == (2, 2)


# --- At every depth, and through every combinator


@gen
def beneath(shift):
    return branching(shift) @ ("part", 0)


@gen
def inlining(shift):
    normal(shift, 1.0) @ "before"
    return branching.inline(shift)


@gen
def twice_beneath(shift):
    normal(shift, 1.0) @ "before"
    return beneath(shift) @ "outer"


@gen
def step(i, state):
    return branching.inline(0.1 * state + i)


@gen
def produce(depth):
    return branching(0.5 * depth) @ "value", [depth - 1] * 2 if depth > 0 else []


@gen
def total(value, results):
    return normal(value + sum(results), 1.0) @ "sum"


@gen
def plain(shift):
    return normal(shift, 1.0) @ "x"


mapped, steps, either = map_(branching), unfold(step), switch(plain, branching)
grown, masked = recurse(produce, total), mask(branching)


@gen
def calling(f, *args):
    return f(*args) @ "f"


@gen
def inlining_any(f, *args):
    return f.inline(*args)


HOSTS = {
    "alone": (branching, (0.3,), ()),
    "beneath a call": (beneath, (0.3,), ("part", 0)),
    "beneath two calls": (twice_beneath, (0.3,), ("outer", "part", 0)),
    "inlined": (inlining, (0.3,), ()),
    "map_": (mapped, ([0.1, 0.2, 0.3],), (1,)),
    "unfold": (steps, (3, 1.0), (1,)),
    "switch": (either, (1, 0.3), ()),
    "recurse": (grown, (1,), ("child", 1, "produce", "value")),
    "mask": (masked, (True, 0.3), ()),
    "map_ called": (calling, (mapped, np.array([0.1, 0.2])), ("f", 0)),
    "unfold called": (calling, (steps, 2, 1.0), ("f", 1)),
    "switch called": (calling, (either, 1, 0.3), ("f",)),
    "recurse called": (calling, (grown, 1), ("f", "produce", "value")),
    "mask called": (calling, (masked, True, 0.3), ("f",)),
    "map_ inlined": (inlining_any, (mapped, [0.1, 0.2]), (1,)),
    "unfold inlined": (inlining_any, (steps, 2, 1.0), (0,)),
    "recurse inlined": (inlining_any, (grown, 1), ("child", 0, "produce", "value")),
    "switch in mask in map_": (map_(mask(either)), ([True, False], [1, 1], [0.1, 0.2]), (0,)),
    "map_ in unfold": (
        unfold(gen(lambda i, xs: map_(branching)(xs) @ "m")),
        (2, [0.1, 0.2]),
        (1, "m", 0),
    ),
}


def hosted(name, choices=ON, rng=0):
    f, args, prefix = HOSTS[name]
    return f.generate(args, {prefix + path_of(a): v for a, v in choices.items()}, rng)[0]


def path_of(address):
    return address if isinstance(address, tuple) else (address,)


@pytest.mark.parametrize("name", HOSTS)
def test_an_update_reaches_every_depth(name):
    old = hosted(name)
    prefix = HOSTS[name][2]
    assert old.update({}) == (old, 0.0, {})
    new, weight, discard = old.update({prefix + ("x",): -0.5})
    assert weight == pytest.approx(new.log_prob - old.log_prob, rel=1e-10)
    assert new.log_prob == old.gen_fn.assess(old.args, new.choices)[0]
    assert discard == {prefix + ("x",): 0.5}
    assert new.choices == dict(old.choices) | {prefix + ("x",): -0.5}


@pytest.mark.parametrize("name", HOSTS)
def test_structure_changes_at_every_depth_and_the_weights_there_and_back_cancel(name):
    old = hosted(name)
    prefix = HOSTS[name][2]
    given = {prefix + path_of(a): v for a, v in OFF.items()}
    new, weight, discard = old.update(given)
    assert set(discard) == {prefix + path_of(a) for a in ON}
    assert weight == pytest.approx(new.log_prob - old.log_prob, rel=1e-10)
    back, back_weight, again = new.update(discard)
    assert back == old
    assert again == given
    assert weight == pytest.approx(-back_weight, rel=1e-12)


@pytest.mark.parametrize("name", HOSTS)
def test_fresh_choices_at_every_depth_are_left_out_of_the_weight(name):
    old = hosted(name, OFF)
    prefix = HOSTS[name][2]
    new, weight, _ = old.update({prefix + ("flag",): True}, rng=1)
    fresh = sum(new.log_probs[prefix + a] for a in [("on", "y"), ("leaf", "v")])
    assert weight == pytest.approx(new.log_prob - fresh - old.log_prob, rel=1e-10)


@pytest.mark.parametrize("name", HOSTS)
def test_regenerating_reaches_every_depth(name):
    old = hosted(name)
    prefix = HOSTS[name][2]
    new, weight = old.regenerate([prefix + ("x",), prefix + ("leaf",)], rng=1)
    moved = [prefix + ("x",), prefix + ("leaf", "v")]
    kept = [a for a in old.choices if a not in moved]
    assert all(new[a] == old[a] for a in kept)
    assert all(new[a] != old[a] for a in moved)
    expected = sum(new.log_probs[a] - old.log_probs[a] for a in kept)
    assert weight == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("name", HOSTS)
def test_after_a_parameter_change_every_combinator_rescores_what_is_below_it(name):
    """Gen.jl's Map and Unfold keep the old log probabilities of what they think unchanged."""
    old = hosted(name)
    set_param(leaf, "std", 3.0)
    now = old.gen_fn.assess(old.args, old.choices)[0]
    assert now != old.log_prob
    assert old.is_stale
    assert old.update({})[1] == pytest.approx(now - old.log_prob, rel=1e-10)
    assert old.rescored().log_prob == now
    assert old.regenerate(nothing)[1] == pytest.approx(now - old.log_prob, rel=1e-10)


@pytest.mark.parametrize("name", HOSTS)
def test_choice_gradients_reach_every_depth(name):
    old = hosted(name)
    prefix = HOSTS[name][2]
    weights = [0.7] * len(old.retval) if isinstance(old.retval, list) else 0.7
    if name == "switch in mask in map_":
        weights = [0.7, None]
    if name == "map_ in unfold":
        weights = [[0.7, -0.3], [0.2, 0.1]]
    selection = [prefix + ("x",), prefix + ("on",), prefix + ("leaf",)]
    _, values, grads = old.choice_gradients(selection, weights)
    assert len(grads) == 3
    for address, g in grads.items():

        def value(at, address=address):
            choices = dict(old.choices) | {address: at}
            run, retval = replay(old, lambda p: p.value, old.args, lambda a, d, x, size: choices[a])
            return sum(run.log_probs.values()) + paired(retval, weights)

        at = values[address]
        slope = (value(at + STEP) - value(at - STEP)) / (2.0 * STEP)
        assert g == pytest.approx(slope, rel=1e-6, abs=1e-7)


def paired(retval, weights):
    if isinstance(weights, list):
        return sum(map(paired, retval, weights))
    return 0.0 if weights is None else retval * weights


def test_a_longer_unfold_and_map_draw_what_they_add():
    old = hosted("unfold")
    new, weight, discard = old.update({}, (4, 1.0), rng=0)
    added = [a for a in new.choices if a[0] == 3]
    assert added
    assert set(new.choices) - set(added) == set(old.choices)
    assert (weight, discard) == (pytest.approx(0.0, abs=1e-12), {})
    back, back_weight, gone = new.update({}, (3, 1.0))
    assert back == old
    assert set(gone) == set(added)
    assert back_weight == pytest.approx(-sum(new.log_probs[a] for a in added), rel=1e-10)
    shorter, _, gone = hosted("map_").update({}, ([0.1, 0.2],))
    assert {a[0] for a in gone} == {2}
    assert len(shorter.retval) == 2


def test_another_case_of_a_switch_keeps_the_choices_that_both_have():
    old = hosted("switch")
    new, weight, discard = old.update({}, (0, 0.3))
    assert new.choices == {"x": 0.5}
    assert set(discard) == {path_of(a) for a in ON if a != "x"}
    assert weight == pytest.approx(-sum(old.log_probs[a] for a in discard), rel=1e-12)
    back, back_weight, _ = new.update(discard, (1, 0.3))
    assert back == old
    assert weight == pytest.approx(-back_weight, rel=1e-12)


def test_a_mask_taken_off_draws_and_put_on_subtracts():
    old = hosted("mask")
    new, weight, discard = old.update({}, (False, 0.3))
    assert (len(new.choices), new.retval) == (0, None)
    assert weight == pytest.approx(-old.log_prob, rel=1e-12)
    back, back_weight, _ = new.update(discard, (True, 0.3))
    assert back == old
    assert back_weight == pytest.approx(old.log_prob, rel=1e-12)


def test_a_branch_with_another_function_at_the_address_of_a_call_is_refused():
    @gen
    def first(x):
        return leaf(x) @ "part"

    @gen
    def second(x):
        return other_leaf(x) @ "part"

    trace = switch(first, second).simulate((0, 1.0))
    with pytest.raises(AddressConflict, match="'part' changed from leaf to other_leaf"):
        trace.update({}, (1, 1.0))
