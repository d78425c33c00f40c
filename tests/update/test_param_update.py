"""Parameter updates: which parameters move, by which gradients, and what is left alone."""

from typing import Any

import numpy as np
import pytest

from genparams import (
    ADAM,
    SGD,
    FixedStepGradientDescent,
    GradientDescent,
    GradientTracer,
    ParamStore,
    ParamUpdate,
    ReduceOnPlateau,
    Rule,
    chain,
    gen,
    init_param,
    normal,
    param,
    partition,
    positive,
    scale,
    scale_by_schedule,
    stateful,
    stateless,
)
from genparams.errors import (
    InvalidValue,
    NonFiniteGradient,
    NothingAccumulated,
    ShapeError,
    StateMismatch,
    UnknownFunction,
    UnknownParameter,
    UpdateError,
)

STEP = FixedStepGradientDescent(0.1)
not_a_rule: Any = ADAM  # the maker of a rule, and not a rule


@pytest.fixture
def inner():
    @gen
    def update_inner(x):
        return normal(param("c", 0.0) * x, 1.0) @ "y"

    return update_inner


@pytest.fixture
def outer(inner):
    @gen
    def update_outer():
        normal(param("a"), 1.0) @ "x"
        normal(param("b"), 1.0) @ "v"
        return inner(2.0) @ "inner"

    init_param(update_outer, "a", 1.0)
    init_param(update_outer, "b", [0.0, 1.0])
    return update_outer


@pytest.fixture
def trace(outer):
    """Its gradients: a 2, b [1, -1], c 6."""
    return outer.generate((), {"x": 3.0, "v": [1.0, 0.0], ("inner", "y"): 3.0})[0]


def values(f):
    return {name: np.array(p.value).tolist() for name, p in f.params.items()}


# --- Which parameters


def test_an_update_by_name_moves_the_named_and_zeroes_exactly_their_accumulators(
    outer, inner, trace
):
    update = ParamUpdate(STEP, update_outer=["a"])
    trace.accumulate_param_gradients()
    update.apply()
    assert values(outer) == {"a": 1.2, "b": [0.0, 1.0]}
    assert values(inner) == {"c": 0.0}
    assert outer.params["a"].grad == 0.0
    assert not outer.params["a"].accumulated
    assert outer.params["b"].grad.tolist() == [1.0, -1.0]
    assert inner.params["c"].grad == 6.0


def test_an_update_by_name_takes_several_functions(outer, inner, trace):
    update = ParamUpdate(STEP, update_outer=["b"], update_inner=["c"])
    trace.accumulate_param_gradients()
    update.apply()
    np.testing.assert_allclose(outer.params["b"].value, [0.1, 0.9])
    assert inner.params["c"].value == pytest.approx(0.6)
    assert outer.params["a"].value == 1.0


def test_an_update_by_dictionary_takes_functions_stores_and_names(outer, inner, trace):
    theta = ParamStore(z=1.0)
    update = ParamUpdate(STEP, {outer: ["a"], "update_inner": ["c"], theta: ["z"]})
    trace.accumulate_param_gradients()
    update.apply()
    assert outer.params["a"].value == pytest.approx(1.2)
    assert inner.params["c"].value == pytest.approx(0.6)
    assert theta["z"].value == 1.0


def test_an_update_of_a_function_means_what_it_owns_when_apply_is_called(outer, inner, trace):
    @gen
    def f():
        return normal(param("later"), 1.0) @ "x"

    update = ParamUpdate(STEP, f)
    with pytest.raises(
        NothingAccumulated, match="no parameters to move: none of its parameters is initialised"
    ):
        update.apply()
    init_param(f, "later", 0.0)
    made, _ = f.generate((), {"x": 5.0})
    made.accumulate_param_gradients()
    update.apply()
    assert f.params["later"].value == 0.5


def test_a_parameter_initialised_later_is_trained_as_it_would_have_been_alone():
    theta = ParamStore(a=1.0)
    update = ParamUpdate(ADAM(0.1), theta)
    for _ in range(5):
        update.apply(grads={"a": 1.0})
    theta.init("late", 0.0)
    update.apply(grads={"a": 1.0, "late": 2.0})
    alone = ParamStore(late=0.0)
    ParamUpdate(ADAM(0.1), alone).apply(grads={"late": 2.0})
    assert theta["late"].value == alone["late"].value


def test_callees_stand_for_everything_that_the_runs_of_a_function_read(outer, inner, trace):
    without, including = ParamUpdate(STEP, outer), ParamUpdate(STEP, outer, callees=True)
    assert set(without.parameters()) == {("update_outer", "a"), ("update_outer", "b")}
    assert set(including.parameters()) == {*without.parameters(), ("update_inner", "c")}
    trace.accumulate_param_gradients()
    including.apply()
    assert inner.params["c"].value == pytest.approx(0.6)


def test_callees_that_are_read_later_are_found_later(outer, inner):
    update = ParamUpdate(STEP, outer, callees=True)
    assert ("update_inner", "c") not in update.parameters()
    outer.simulate()
    assert ("update_inner", "c") in update.parameters()


def test_callees_need_functions():
    with pytest.raises(UpdateError, match="callees=True needs generative functions"):
        ParamUpdate(STEP, ParamStore(a=1.0), callees=True)


def test_two_stores_without_owner_keep_their_names_apart():
    first, second = ParamStore(a=1.0), ParamStore(a=2.0)
    update = ParamUpdate(STEP, first, second)
    assert list(update.parameters()) == [("theta", "a"), ("theta#2", "a")]
    update.apply(grads={first: {"a": 1.0}, second: {"a": -1.0}})
    assert (first["a"].value, second["a"].value) == (1.1, 1.9)


def test_naming_a_parameter_twice_moves_it_once(outer):
    update = ParamUpdate(STEP, outer, {outer: ["a", "a"]}, update_outer=["a"])
    update.apply(grads={"a": 1.0})
    assert outer.params["a"].value == 1.1


def test_two_updates_may_share_a_function_parameter_by_parameter(outer, inner, trace):
    first, second = ParamUpdate(STEP, {outer: ["a"]}), ParamUpdate(STEP, {outer: ["b"]})
    trace.accumulate_param_gradients()
    first.apply()
    second.apply()
    assert outer.params["a"].value == pytest.approx(1.2)
    np.testing.assert_allclose(outer.params["b"].value, [0.1, 0.9])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: ParamUpdate(STEP, update_outr=["a"]), UnknownFunction, "did you mean update_o"),
        (lambda f: ParamUpdate(STEP, {f: ["aa"]}), UnknownParameter, "did you mean a"),
        (lambda f: ParamUpdate(STEP, update_outer=["c"]), UnknownParameter, "no parameter 'c'"),
        (lambda f: ParamUpdate(STEP, update_outer="a"), UpdateError, r"list of names.*\['a'\]"),
        (lambda f: ParamUpdate(STEP), UpdateError, "an update needs parameters"),
        (lambda f: ParamUpdate(f), UpdateError, r"takes a rule such as ADAM"),
        (lambda f: ParamUpdate(not_a_rule, f), UpdateError, r"takes a rule such as ADAM"),
        (lambda f: ParamUpdate(STEP, lambda: 0), UnknownFunction, "expected a generative function"),
        (lambda f: ParamUpdate(STEP, {3: ["a"]}), UnknownFunction, "expected a generative"),
    ],
)
def test_what_an_update_cannot_take_is_refused_when_it_is_made(outer, make, error, message):
    with pytest.raises(error, match=message):
        make(outer)


# --- Taking a step


def test_minimize_turns_the_sign_once(outer):
    ParamUpdate(STEP, outer, minimize=True).apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    assert outer.params["a"].value == 0.9
    np.testing.assert_allclose(outer.params["b"].value, [-0.1, 0.8])


def test_minimizing_a_loss_is_maximizing_its_negative():
    up, down = ParamStore(a=1.0), ParamStore(a=1.0)
    maximize, minimize = ParamUpdate(ADAM(0.1), up), ParamUpdate(ADAM(0.1), down, minimize=True)
    for _ in range(5):
        maximize.apply(grads={"a": up["a"].value - 2.0})
        minimize.apply(grads={"a": 2.0 - down["a"].value})
    assert up["a"].value == down["a"].value


def test_applying_with_nothing_accumulated_is_an_error(outer, trace):
    update = ParamUpdate(STEP, outer, callees=True)
    with pytest.raises(NothingAccumulated, match=r"update_outer\.a.*accumulate_param_gradients"):
        update.apply()
    trace.accumulate_param_gradients()
    update.apply()
    with pytest.raises(NothingAccumulated):
        update.apply()
    assert update.steps == 1


def test_a_gradient_of_exactly_zero_counts_as_accumulated(outer):
    update = ParamUpdate(STEP, {outer: ["a"]})
    outer.params["a"].increment_grad(0.0)
    update.apply()
    assert outer.params["a"].value == 1.0


def test_a_frozen_parameter_is_not_moved_and_keeps_its_accumulator_and_state(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0, "b": [1.0, 1.0]})
    before = outer.params["a"].value
    outer.params["a"].increment_grad(5.0)
    outer.params["b"].increment_grad(np.ones(2))
    outer.params["a"].freeze()
    update.apply()
    assert (outer.params["a"].value, outer.params["a"].grad) == (before, 5.0)
    outer.params["a"].thaw()
    update.apply(grads={"a": 1.0})
    twin = ParamStore(a=1.0)
    other = ParamUpdate(ADAM(0.1), twin)
    other.apply(grads={"a": 1.0})
    other.apply(grads={"a": 1.0})
    assert outer.params["a"].value == twin["a"].value


def test_an_update_of_frozen_parameters_only_says_so(outer):
    outer.params["a"].freeze()
    with pytest.raises(NothingAccumulated, match="all of its parameters are frozen"):
        ParamUpdate(STEP, {outer: ["a"]}).apply(grads={"a": 1.0})


def test_a_rule_that_gives_some_directions_moves_and_zeroes_those_only(outer, trace):
    only_a = stateless(lambda g, theta: {k: d for k, d in g.items() if k.name == "a"})
    update = ParamUpdate(only_a, outer, callees=True)
    trace.accumulate_param_gradients()
    update.apply()
    assert outer.params["a"].value == 3.0
    assert outer.params["b"].value.tolist() == [0.0, 1.0]
    assert outer.params["b"].grad.tolist() == [1.0, -1.0]


def test_a_rule_that_changes_a_shape_is_refused_and_nothing_moves(outer):
    wider = stateless(lambda g, theta: {k: np.ones(3) for k in g}, "wider")
    update = ParamUpdate(wider, outer)
    with pytest.raises(UpdateError, match=r"wider.*direction of shape \(3,\) for parameter 'a'"):
        update.apply(grads={"a": 1.0})
    assert values(outer) == {"a": 1.0, "b": [0.0, 1.0]}
    assert update.steps == 0


def test_an_error_inside_a_rule_changes_nothing(outer, trace):
    def fails(g, theta):
        raise ZeroDivisionError("in the rule")

    update = ParamUpdate(stateless(fails), outer, callees=True)
    trace.accumulate_param_gradients()
    with pytest.raises(ZeroDivisionError, match="in the rule"):
        update.apply()
    assert values(outer) == {"a": 1.0, "b": [0.0, 1.0]}
    assert outer.params["a"].grad == 2.0
    assert update.steps == 0


def test_a_constrained_parameter_stays_inside():
    theta = ParamStore()
    theta.init("s", 1.0, positive)
    update = ParamUpdate(FixedStepGradientDescent(1.0), theta)
    update.apply(grads={"s": -3.0})
    assert theta["s"].value == pytest.approx(np.exp(-3.0))


# --- Gradients given by hand


def test_given_gradients_leave_the_accumulators_alone(outer, trace):
    update = ParamUpdate(STEP, outer)
    trace.accumulate_param_gradients()
    update.apply(grads={"a": 10.0, "b": [1.0, 1.0]})
    assert outer.params["a"].value == 2.0
    assert outer.params["a"].grad == 2.0
    assert outer.params["a"].accumulated


def test_given_gradients_may_be_partial(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0})
    update.apply(grads={"a": 1.0, "b": None})
    assert outer.params["b"].value.tolist() == [0.0, 1.0]
    state = update.state_dict()
    counts = {k.rsplit("/", 1)[1]: int(v) for k, v in state.items() if "/t/" in k}
    assert counts == {"a": 2, "b": 0}


def test_given_gradients_of_several_functions_are_nested_by_name_or_by_function(outer, inner):
    init_param(inner, "c", 0.0)
    update = ParamUpdate(STEP, outer, inner)
    update.apply(grads={"update_outer": {"a": 1.0}, inner: {"c": 2.0}})
    assert (outer.params["a"].value, inner.params["c"].value) == (1.1, 0.2)
    with pytest.raises(UpdateError, match="moves parameters of 2 functions"):
        update.apply(grads={"a": 1.0})


def test_what_param_gradients_returns_may_be_given(outer, inner, trace):
    ParamUpdate(STEP, outer, inner).apply(grads=trace.param_gradients())
    assert outer.params["a"].value == pytest.approx(1.2)
    assert inner.params["c"].value == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("grads", "error", "message"),
    [
        ({"a": [1.0]}, ShapeError, r"'a' must have shape \(\), got \(1,\)"),
        ({"b": 1.0}, ShapeError, r"'b' must have shape \(2,\), got \(\)"),
        ({"a": 1.0, "b": [1.0]}, ShapeError, r"'b' must have shape \(2,\)"),
        ({"update_outer": {"b": 1.0}}, ShapeError, r"'b' must have shape \(2,\)"),
        ({"aa": 1.0}, UnknownParameter, "no parameter 'aa'; did you mean a"),
        ({"update_outr": {"a": 1.0}}, UnknownFunction, "did you mean update_outer"),
        ({}, NothingAccumulated, "names no parameter"),
        ({"a": None}, NothingAccumulated, "names no parameter"),
        ({"a": np.nan}, NonFiniteGradient, "'a' is not finite at step 1"),
        ({"a": 1.0, "b": [0.0, np.inf]}, NonFiniteGradient, "'b' is not finite at step 1"),
        ({"unmoved": 1.0}, UpdateError, r"does not move update_outer\.unmoved"),
    ],
    ids=str,
)
def test_gradients_that_do_not_fit_are_refused_and_nothing_moves(outer, grads, error, message):
    init_param(outer, "unmoved", 0.0)
    update = ParamUpdate(STEP, {outer: ["a", "b"]})
    with pytest.raises(error, match=message):
        update.apply(grads=grads)
    assert values(outer) == {"a": 1.0, "b": [0.0, 1.0], "unmoved": 0.0}
    assert update.steps == 0


# --- Gradients that are not finite


def test_a_gradient_that_is_not_finite_names_everything(outer):
    @gen
    def update_overflows():
        a = param("a")
        normal(a, 1.0) @ "fine"
        normal(np.sqrt(a), 1.0) @ ("bad", 0)
        normal(a, 1.0) @ "fine too"

    init_param(update_overflows, "a", [0.25, 1.0])
    init_param(update_overflows, "b", 0.0)
    update = ParamUpdate(ADAM(0.1), update_overflows)
    update.apply(grads={"b": 1.0})
    trace = update_overflows.simulate()
    update_overflows.params["a"].set([0.0, 1.0])
    before = update_overflows.params["b"].value
    with np.errstate(divide="ignore"):
        trace.accumulate_param_gradients()
    with pytest.raises(NonFiniteGradient, match=r"step 2.*Nothing was changed") as caught:
        update.apply()
    error = caught.value
    assert (error.function, error.parameter) == ("update_overflows", "a")
    assert (error.step, error.address) == (2, "('bad', 0)")
    assert update_overflows.params["b"].value == before
    assert update_overflows.params["a"].value.tolist() == [0.0, 1.0]
    assert update.steps == 1


def test_a_gradient_that_the_return_value_spoilt_blames_no_address():
    @gen
    def f():
        normal(param("a", 1.0), 1.0) @ "x"
        return param("a")

    update = ParamUpdate(STEP, f)
    f.simulate().accumulate_param_gradients(retval_grad=np.inf)
    with pytest.raises(NonFiniteGradient) as caught:
        update.apply()
    assert "log probability of" not in str(caught.value)


def test_the_blame_goes_when_the_accumulator_is_emptied(outer, trace):
    update = ParamUpdate(STEP, outer, callees=True)
    outer.params["a"].increment_grad(np.inf)
    with pytest.raises(NonFiniteGradient):
        update.apply()
    outer.params["a"].zero_grad()
    trace.accumulate_param_gradients()
    update.apply()
    assert outer.params["a"].value == pytest.approx(1.2)


def test_a_fault_of_an_argument_given_by_hand_has_no_address(outer):
    with pytest.raises(NonFiniteGradient) as caught:
        ParamUpdate(STEP, outer).apply(grads={"a": np.nan})
    assert caught.value.address is None


# --- States


@pytest.mark.parametrize(
    "rule", [ADAM(0.1), GradientDescent(0.5, 2.0), FixedStepGradientDescent(0.1)], ids=repr
)
def test_a_loaded_state_continues_as_if_never_interrupted(rule):
    def gradient(theta):
        return {"a": 1.0 - theta["a"].value, "w": np.cos(theta["w"].value)}

    straight = ParamStore(a=0.3, w=[0.1, 0.2])
    update = ParamUpdate(rule, straight)
    for _ in range(3):
        update.apply(grads=gradient(straight))
    saved = update.state_dict()
    resumed = ParamStore(a=straight["a"].value, w=straight["w"].value)
    for _ in range(4):
        update.apply(grads=gradient(straight))
    again = ParamUpdate(rule, resumed)
    again.load_state_dict(saved)
    assert again.steps == 3
    for _ in range(4):
        again.apply(grads=gradient(resumed))
    assert resumed["a"].value == straight["a"].value
    assert resumed["w"].value.tobytes() == straight["w"].value.tobytes()
    assert {k: v.tobytes() for k, v in again.state_dict().items()} == {
        k: v.tobytes() for k, v in update.state_dict().items()
    }


def test_a_state_is_plain_arrays_by_function_and_parameter(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    state = update.state_dict()
    assert all(type(v) is np.ndarray for v in state.values())
    ends = {k.split("/", 1)[1] for k in state if "/" in k}
    assert ends == {f"{part}/update_outer/{name}" for part in "tmv" for name in "ab"} | {"factor"}


def test_a_saved_state_does_not_change_with_the_update(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    state = update.state_dict()
    before = {k: v.copy() for k, v in state.items()}
    update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    for k, v in state.items():
        np.testing.assert_array_equal(v, before[k])
    update.load_state_dict(state)
    for v in state.values():
        v[...] = 100
    assert int(update.state_dict()["steps"]) == 1
    assert all(np.all(v != 100) for v in update.state_dict().values())


def test_a_state_survives_numpys_own_files(outer, tmp_path):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    state: dict[str, Any] = update.state_dict()
    np.savez(tmp_path / "state.npz", **state)
    loaded = ParamUpdate(ADAM(0.1), outer)
    with np.load(tmp_path / "state.npz") as saved:
        loaded.load_state_dict(dict(saved))
    assert loaded.steps == 1
    for name, value in loaded.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_a_state_that_does_not_fit_lists_every_difference_and_changes_nothing(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    good = update.state_dict()
    bad = {k: v for k, v in good.items() if not k.endswith("/m/update_outer/a")}
    bad["extra"] = np.array(1.0)
    (wrong,) = [k for k in good if k.endswith("/v/update_outer/b")]
    bad[wrong] = np.zeros(5)
    with pytest.raises(StateMismatch) as caught:
        update.load_state_dict(bad)
    message = str(caught.value)
    for part in (
        "/m/update_outer/a is missing",
        "extra is not in this update",
        "/v/update_outer/b has shape (5,), expected (2,)",
    ):
        assert part in message
    assert {k: v.tolist() for k, v in update.state_dict().items()} == {
        k: v.tolist() for k, v in good.items()
    }


def test_initialising_a_parameter_again_starts_its_state_again(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    for _ in range(5):
        update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    b_before = {k: v.tolist() for k, v in update.state_dict().items() if k.endswith("/b")}
    init_param(outer, "a", 1.0)
    state = update.state_dict()
    assert {k: v.tolist() for k, v in state.items() if k.endswith("/b")} == b_before
    assert all(v == 0 for k, v in state.items() if k.endswith("/a"))
    update.apply(grads={"a": -3.0})
    assert outer.params["a"].value == pytest.approx(0.9, abs=1e-6)


def test_a_parameter_initialised_again_with_another_shape_is_trained(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0, "b": [1.0, 2.0]})
    init_param(outer, "b", [[1.0, 2.0, 3.0]])
    update.apply(grads={"b": np.ones((1, 3))})
    np.testing.assert_allclose(outer.params["b"].value, [[1.1, 2.1, 3.1]], atol=1e-6)


def test_setting_a_value_does_not_start_the_state_again(outer):
    update = ParamUpdate(ADAM(0.1), outer)
    update.apply(grads={"a": 1.0})
    outer.params["a"].set(5.0)
    before = update.state_dict()
    assert any(np.any(v != 0) for k, v in before.items() if k.endswith("/m/update_outer/a"))


def test_the_text_of_an_update_shows_the_rule_and_the_parameters(outer):
    assert repr(ParamUpdate(STEP, outer, minimize=True)) == (
        "ParamUpdate(FixedStepGradientDescent(step_size=0.1), "
        "update_outer.a, update_outer.b, minimize=True)"
    )


def test_training_finds_the_maximum_of_the_likelihood():
    @gen
    def line(xs):
        mean = param("slope", 0.0) * xs + param("intercept", 0.0)
        return normal(mean, param("noise", 1.0, positive)) @ "ys"

    rng = np.random.default_rng(0)
    xs = rng.normal(size=50)
    ys = 2.0 * xs - 1.0 + 0.3 * rng.normal(size=50)
    trace, _ = line.generate((xs,), {"ys": ys})
    update = ParamUpdate(ADAM(0.1), line)
    for _ in range(500):
        trace.accumulate_param_gradients()
        update.apply()
    slope, intercept = np.polyfit(xs, ys, 1)
    assert line.params["slope"].value == pytest.approx(slope, abs=1e-6)
    assert line.params["intercept"].value == pytest.approx(intercept, abs=1e-6)
    noise = np.sqrt(np.mean((ys - slope * xs - intercept) ** 2))
    assert line.params["noise"].value == pytest.approx(noise, rel=1e-6)


# --- Rates that are set while training


def test_the_rate_of_a_named_rule_is_read_and_set():
    theta = ParamStore(a=0.0, v=np.zeros(2))
    update = ParamUpdate(FixedStepGradientDescent(0.5), theta)
    g = {"a": 1.0, "v": [1.0, 2.0]}
    update.apply(grads=g)
    update.learning_rate /= 5.0
    update.apply(grads=g)
    assert update.learning_rate == 0.1
    assert theta["a"].value == 0.6
    assert theta["v"].value.tolist() == [0.6, 1.2]


def test_rates_of_groups_are_named_and_set_each():
    theta = ParamStore(a=0.0, b=0.0)
    update = ParamUpdate(partition({"a": SGD(0.1), "*": SGD(0.2)}), theta)
    assert sorted(update.learning_rates.values()) == [0.1, 0.2]
    with pytest.raises(UpdateError, match=r"several rates; read learning_rates, and write set_l"):
        _ = update.learning_rate
    with pytest.raises(UpdateError, match="several rates"):
        update.learning_rate = 0.3
    first, second = sorted(update.learning_rates)
    update.set_learning_rates({second: 1.0})
    update.apply(grads={"a": 1.0, "b": 1.0})
    assert (theta["a"].value, theta["b"].value) == (0.1, 1.0)
    with pytest.raises(UpdateError, match="there is no rate 'x'"):
        update.set_learning_rates({first: 0.0, "x": 1.0})
    assert update.learning_rates[first] == 0.1
    plateau = ReduceOnPlateau(update, factor=0.5, patience=0)
    plateau.step(1.0)
    assert plateau.step(1.0)
    assert update.learning_rates == {first: 0.05, second: 0.5}


def test_a_rate_that_follows_a_schedule_is_not_set():
    update = ParamUpdate(SGD(lambda count: 0.1), ParamStore(a=0.0))
    with pytest.raises(UpdateError, match=r"no rate that can be read.*schedule\(update\.st"):
        _ = update.learning_rate
    with pytest.raises(InvalidValue, match="an update whose learning rate is a number"):
        ReduceOnPlateau(update)


@pytest.mark.parametrize("rate", ["0.1", None, -1.0, np.nan, np.inf, True, [0.1]])
def test_a_rate_without_meaning_is_refused(rate):
    update = ParamUpdate(SGD(0.1), ParamStore(a=0.0))
    with pytest.raises(InvalidValue, match="learning_rate must be at least 0 and finite"):
        update.learning_rate = rate
    assert update.learning_rate == 0.1


# --- What a beginner writes


def test_gradients_of_one_store_may_be_given_in_both_ways_at_once():
    theta = ParamStore(a=0.0, b=0.0)
    ParamUpdate(STEP, theta).apply(grads={"theta": {"a": 1.0}, "b": 1.0})
    assert (theta["a"].value, theta["b"].value) == (0.1, 0.1)


def untyped(value: Any) -> Any:
    """What no type checker lets through."""
    return value


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (
            lambda t: ParamUpdate(STEP, t).apply(untyped([1.0])),
            UpdateError,
            "grads are a dictionary by par",
        ),
        (lambda t: ParamUpdate(STEP, "f"), UpdateError, r"ParamUpdate\(rule, f=\[\.\.\.\]\)"),
        (
            lambda t: ParamUpdate(STEP, t, tracer=untyped(True)),
            InvalidValue,
            r"tracer is a GradientTracer",
        ),
        (lambda t: ParamUpdate(STEP, t, on_nonfinite="skp"), InvalidValue, "did you mean skip"),
        (
            lambda t: ParamUpdate(STEP, t, minimise=untyped(True)),
            UpdateError,
            "did you mean minimize",
        ),
        (
            lambda t: ParamUpdate(STEP, t).load_state_dict(untyped("f")),
            StateMismatch,
            "is a dictionary",
        ),
        (
            lambda t: scale(untyped("0.1")),
            InvalidValue,
            "scale: factor must be a finite number, got '0.1'",
        ),
        (lambda t: scale_by_schedule(untyped(0.1)), InvalidValue, "a number goes into scale"),
        (
            lambda t: ParamUpdate(SGD(lambda n: untyped("0.1")), t).apply({"a": 1.0}),
            InvalidValue,
            "a schedule must give what is at least 0 and finite, got '0.1' at count 0",
        ),
        (lambda t: GradientTracer(limit=-1), InvalidValue, "limit must be a whole number"),
    ],
)
def test_a_mistake_is_told(act, error, message):
    with pytest.raises(error, match=message):
        act(ParamStore(a=1.0))


@pytest.mark.parametrize(("key", "bad"), [("steps", 2.5), ("steps", -1), ("0 ADAM", None)])
def test_a_state_without_meaning_is_refused(key, bad):
    theta = ParamStore(a=1.0)
    update = ParamUpdate(chain(ADAM(0.1)), theta)
    saved = update.state_dict()
    key = next(k for k in saved if k.startswith(key))
    saved[key] = np.array(np.nan if bad is None else bad)
    with pytest.raises(StateMismatch, match=key):
        update.load_state_dict(saved)


def test_a_state_that_cannot_be_saved_names_its_entry():
    told = Rule(lambda theta: {"note": "text"}, lambda g, state, theta: (dict(g), state), "told")
    with pytest.raises(UpdateError, match="0 told/note is 'text'"):
        ParamUpdate(told, ParamStore(a=1.0)).state_dict()


def test_a_traced_step_that_was_skipped_does_not_stay_in_the_norm():
    tracer = GradientTracer(limit=3)
    update = ParamUpdate(STEP, ParamStore(a=1.0), tracer=tracer, on_nonfinite="skip")
    update.apply({"a": np.nan})
    update.apply({"a": 3.0})
    assert tracer.global_norm(1) == 3.0
    assert [r.nonfinite for r in tracer.records] == [1, 0]
    assert tracer.records[-1].ratio == pytest.approx(0.3)
    for _ in range(4):
        update.apply({"a": 1.0})
    assert [r.step for r in tracer.records] == [3, 4, 5]


def test_a_field_named_factor_is_not_a_rate():
    rule = stateful(
        lambda theta: {"factor": dict.fromkeys(theta, 2.0)},
        lambda g, state, theta: ({k: d * state["factor"][k] for k, d in g.items()}, state),
    )
    theta = ParamStore(a=0.0)
    update = ParamUpdate(rule, theta)
    update.apply({"a": 1.0})
    assert update.learning_rates == {}
    with pytest.raises(UpdateError, match="has no rate"):
        update.learning_rate = 0.5
    update.apply({"a": 1.0})
    assert theta["a"].value == 4.0
