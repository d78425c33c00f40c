"""The engine: flat memory, and the same steps as the rule that it carries out."""

import copy
import gc
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genparams import (
    ADAM,
    GradientDescent,
    ParamStore,
    ParamUpdate,
    chain,
    elementwise,
    positive,
    scale,
    scale_by_adam,
    simplex,
    stateful,
    stateless,
)
from genparams.errors import NonFiniteGradient, UpdateError

double = stateless(lambda g, theta: {k: 2.0 * d for k, d in g.items()}, "double")
RULES = {
    "ADAM": ADAM(0.1),
    "GradientDescent": GradientDescent(0.1, 3.0),
    "momentum": elementwise(lambda g, theta, v: (0.1 * v + g, 0.9 * v + g), {"v": 0.0}),
    "decay": chain(ADAM(0.1), elementwise(lambda g, theta: g - 0.01 * theta)),
    "whole parameters first": chain(double, scale_by_adam(), scale(0.1)),
    "whole parameters last": chain(scale_by_adam(), scale(0.1), double),
    "not a chain": double,
}
START = {"a": 1.0, "W": np.arange(6.0).reshape(2, 3), "b": np.ones(3), "e": np.zeros((0, 2))}


def by_the_rule(rule, start, steps):
    """What the pure functions say, step by step: partial gradients leave the rest alone."""
    theta = {k: np.array(v) if np.ndim(v) else v for k, v in start.items()}
    state = rule.init(theta)
    for g in steps:
        directions, state = rule.apply(g, state, theta)
        theta = {k: v + directions.get(k, 0.0) for k, v in theta.items()}
    return theta


def some_gradients(rng, names):
    return {
        k: rng.standard_normal(np.shape(START[k])) if np.ndim(START[k]) else rng.normal()
        for k in names
    }


@pytest.fixture(params=RULES)
def rule(request):
    return RULES[request.param]


@settings(max_examples=30)
@given(
    which=st.lists(
        st.sets(st.sampled_from(sorted(START)), min_size=1).map(sorted), min_size=1, max_size=5
    ),
    name=st.sampled_from(sorted(RULES)),
)
def test_an_update_takes_the_steps_that_its_rule_says(which, name):
    rng = np.random.default_rng(0)
    steps = [some_gradients(rng, names) for names in which]
    theta = ParamStore(**START)
    update = ParamUpdate(RULES[name], theta)
    for g in steps:
        update.apply(grads=g)
    for k, expected in by_the_rule(RULES[name], START, steps).items():
        np.testing.assert_allclose(theta[k].value, expected, rtol=1e-13, atol=1e-15)


def test_accumulated_and_given_gradients_take_the_same_steps(rule):
    rng = np.random.default_rng(1)
    one, other = ParamStore(**START), ParamStore(**START)
    by_hand, accumulated = ParamUpdate(rule, one), ParamUpdate(rule, other)
    for _ in range(4):
        g = some_gradients(rng, START)
        by_hand.apply(grads=g)
        for k, d in g.items():
            other[k].increment_grad(d)
        accumulated.apply()
    assert one == other
    assert not any(p.accumulated for _, p in other.items())


def test_a_long_array_is_stepped_as_its_parts_are(rule):
    start = np.random.default_rng(2).standard_normal(120_000)  # several blocks
    whole = ParamStore(a=start)
    parts = ParamStore({f"a{i}": part for i, part in enumerate(start.reshape(100, 1200))})
    updates = ParamUpdate(rule, whole), ParamUpdate(rule, parts)
    for i in range(3):
        g = np.cos(i + start)
        updates[0].apply(grads={"a": g})
        updates[1].apply(grads={f"a{i}": part for i, part in enumerate(g.reshape(100, 1200))})
    np.testing.assert_array_equal(
        whole["a"].value, np.concatenate([p.value for p in parts.values()])
    )


def test_numbas_loop_takes_the_same_steps():
    pytest.importorskip("numba")
    start = {"a": np.linspace(0.0, 1.0, 300_000)}
    theta, steps = ParamStore(start), [{"a": np.cos(i + start["a"])} for i in range(3)]
    update = ParamUpdate(RULES["decay"], theta)
    for g in steps:
        update.apply(grads=g)
    expected = by_the_rule(RULES["decay"], start, steps)["a"]
    np.testing.assert_allclose(theta["a"].value, expected, rtol=1e-13, atol=1e-15)


def test_a_parameter_frozen_for_a_while_goes_on_where_it_was():
    theta = ParamStore(a=np.ones(3), b=np.ones(2), c=1.0)
    update = ParamUpdate(ADAM(0.1), theta)
    g = {"a": np.ones(3), "b": np.array([1.0, -1.0]), "c": 1.0}
    alone = by_the_rule(ADAM(0.1), {"b": np.ones(2)}, [{"b": g["b"]}] * 3)
    update.apply(grads=g)
    theta["b"].freeze()
    update.apply(grads=g)
    theta["b"].thaw()
    update.apply(grads=g)
    update.apply(grads=g)
    np.testing.assert_allclose(theta["b"].value, alone["b"], rtol=1e-14)


def test_a_parameter_that_joins_later_does_not_disturb_the_others():
    theta = ParamStore(a=np.ones(3))
    update = ParamUpdate(ADAM(0.1), theta)
    update.apply(grads={"a": np.ones(3)})
    theta.init("b", np.zeros(4))
    update.apply(grads={"a": np.ones(3), "b": np.ones(4)})
    other = ParamStore(a=np.ones(3))
    plain = ParamUpdate(ADAM(0.1), other)
    for _ in range(2):
        plain.apply(grads={"a": np.ones(3)})
    assert np.array_equal(theta["a"].value, other["a"].value)
    np.testing.assert_allclose(theta["b"].value, np.full(4, 0.1), rtol=1e-7)


def test_two_updates_take_turns_on_one_store():
    theta = ParamStore(a=np.zeros(3), b=np.zeros(2), c=np.zeros(4))
    first, second = ParamUpdate(ADAM(0.1), {theta: ["a", "c"]}), ParamUpdate(ADAM(0.1), theta)
    for _ in range(3):
        first.apply(grads={"a": np.ones(3), "c": np.ones(4)})
        second.apply(grads={"b": np.ones(2)})
    np.testing.assert_allclose(theta["a"].value, np.full(3, 0.3), rtol=1e-6)
    np.testing.assert_allclose(theta["b"].value, np.full(2, 0.3), rtol=1e-6)
    np.testing.assert_allclose(theta["c"].value, np.full(4, 0.3), rtol=1e-6)


def test_a_value_that_was_set_is_where_the_next_step_begins():
    theta = ParamStore(a=np.zeros(3), b=np.zeros(2))
    update = ParamUpdate(scale(1.0), theta)
    update.apply(grads={"a": np.ones(3), "b": np.ones(2)})
    theta["a"].set([5.0, 6.0, 7.0])
    update.apply(grads={"a": np.ones(3), "b": np.ones(2)})
    assert theta["a"].value.tolist() == [6.0, 7.0, 8.0]
    assert theta["b"].value.tolist() == [2.0, 2.0]


def test_looking_at_the_state_of_what_is_frozen_does_not_cut_the_update_off():
    theta = ParamStore(a=np.ones(3), b=1.0, c=np.ones(2))
    theta["c"].freeze()
    update = ParamUpdate(ADAM(0.1), theta)
    g = {"a": np.ones(3), "b": 1.0}
    update.apply(grads=g)
    assert update.state_dict()["0 scale_by_adam/t/theta/c"] == 0
    update.apply(grads=g)
    state = update.state_dict()
    assert [int(state[f"0 scale_by_adam/t/theta/{k}"]) for k in "abc"] == [2, 2, 0]
    assert state["0 scale_by_adam/m/theta/a"].tolist() == pytest.approx([1.9] * 3)
    update.learning_rate = 0.0
    before = theta["a"].value
    update.apply(grads=g)
    assert theta["a"].value.tolist() == before.tolist()


# --- What was handed out


def test_an_array_that_was_handed_out_never_changes(rule):
    theta = ParamStore(**START)
    update = ParamUpdate(rule, theta)
    seen = []
    for i in range(4):
        parts = [theta["W"].value, theta["W"].value[1], theta["b"].coordinates.reshape(3, 1)]
        seen.append((parts, [np.copy(part) for part in parts]))
        update.apply(grads=some_gradients(np.random.default_rng(i), START))
    for parts, copies in seen:
        for part, expected in zip(parts, copies, strict=True):
            np.testing.assert_array_equal(part, expected)
            assert not part.flags.writeable


def test_steps_need_no_new_memory_where_nobody_has_read_the_values():
    size, rule = 1_000_000, ADAM(0.1)
    ParamUpdate(rule, ParamStore(a=np.zeros(size))).apply({"a": np.ones(size)})  # makes the code
    theta = ParamStore(a=np.zeros(size // 2), b=np.zeros((2, size // 4)))
    update = ParamUpdate(rule, theta)
    tracemalloc.start()
    try:
        for _ in range(2):
            for p in theta.values():
                p.set_grad(np.ones(p.shape))
            update.apply()
        for p in theta.values():
            p.set_grad(np.ones(p.shape))
        begin = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        update.apply()
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert begin < 6.5 * 8 * size  # coordinates and two moments twice
    assert peak - begin < 0.1 * 8 * size
    assert end - begin < 0.01 * 8 * size


def test_values_that_were_read_are_kept_and_cost_new_memory_only_while_held():
    size = 1_000_000
    theta = ParamStore(a=np.zeros(size))
    update = ParamUpdate(scale(1.0), theta)
    g = np.ones(size)
    update.apply(grads={"a": g})
    held = [theta["a"].value]
    tracemalloc.start()
    try:
        for _ in range(5):
            update.apply(grads={"a": g})
            held.append(theta["a"].value)
        with_all = tracemalloc.get_traced_memory()[0]
        firsts = [float(value[0]) for value in held]
        assert all(np.all(value == first) for value, first in zip(held, firsts, strict=True))
        held.clear()
        for _ in range(3):
            update.apply(grads={"a": g})
        without = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert firsts == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert with_all > 4.9 * 8 * size
    assert without < 2.1 * 8 * size


def test_updates_and_stores_copy_and_pickle():
    theta = ParamStore(**START)
    g = some_gradients(np.random.default_rng(0), START)
    update = ParamUpdate(scale(0.1), theta)
    update.apply(grads=g)
    for other in (copy.deepcopy(theta), pickle.loads(pickle.dumps(theta))):
        assert other == theta
        ParamUpdate(scale(1.0), other).apply(grads=g)
        assert not np.array_equal(other["W"].value, theta["W"].value)
        other["b"].increment_grad(np.ones(3))
        assert theta["b"].grad.tolist() == [0.0, 0.0, 0.0]


# --- Types and constraints


def test_single_precision_stays_single_and_may_be_computed_in_double():
    start = np.linspace(-1.0, 1.0, 5, dtype=np.float32)
    g = np.cos(start)
    found = {}
    for dtype in (None, "float64"):
        theta = ParamStore(a=start, s=np.float32(1.0))
        rule = chain(scale_by_adam(dtype=dtype), scale(0.1))
        update = ParamUpdate(rule, theta)
        for _ in range(3):
            update.apply(grads={"a": g, "s": 1.0})
        assert theta["a"].value.dtype == np.float32
        assert np.float32(theta["s"].value) == theta["s"].value
        found[dtype] = theta["a"].value
        kept = {v.dtype for k, v in update.state_dict().items() if k.endswith("/m/theta/a")}
        assert kept == {np.dtype(dtype or "float32")}
    exact = by_the_rule(
        chain(scale_by_adam(), scale(0.1)),
        {"a": start.astype(float)},
        [{"a": g.astype(float)}] * 3,
    )["a"]
    np.testing.assert_allclose(found["float64"], exact, rtol=3e-7)
    np.testing.assert_allclose(found[None], exact, rtol=1e-5)


def test_constrained_parameters_move_in_their_coordinates():
    theta = ParamStore()
    theta.init("s", 2.0, positive)
    theta.init("w", [0.2, 0.3, 0.5], simplex)
    theta.init("v", [1.0, 2.0], positive)
    update = ParamUpdate(scale(1.0), theta)
    update.apply(grads={"s": 1.0, "w": [1.0, 0.0], "v": [0.0, -1.0]})
    assert theta["s"].value == pytest.approx(2.0 * np.e)
    np.testing.assert_allclose(theta["v"].value, [1.0, 2.0 / np.e])
    expected = np.array([0.2 * np.e, 0.3, 0.5])
    np.testing.assert_allclose(theta["w"].value, expected / expected.sum())


# --- Steps that fail


HUGE = elementwise(lambda g, theta: g * 1e200 * 1e200, name="HUGE")


@pytest.mark.parametrize(
    ("rule", "grads"),
    [
        (HUGE, {"a": 1.0}),
        (HUGE, {"W": np.ones((2, 3)), "b": np.zeros(3)}),
        (chain(double, HUGE), {"a": 1.0, "b": np.zeros(3)}),
        (elementwise(lambda g, theta: 1.0 / g, name="inverse"), {"a": 0.0, "b": np.ones(3)}),
        (elementwise(lambda g, theta: 1.0 / g, name="inverse"), {"a": 1.0, "b": np.zeros(3)}),
        (elementwise(lambda g, theta: np.exp(g), name="exponential"), {"a": 1e3, "b": np.ones(3)}),
    ],
    ids=str,
)
def test_a_step_beyond_what_floats_hold_is_refused_and_nothing_moves(rule, grads):
    theta = ParamStore(**START)
    update = ParamUpdate(rule, theta)
    before = pickle.dumps(theta)
    with pytest.raises(UpdateError, match="lower the step size"):
        update.apply(grads=grads)
    assert theta == pickle.loads(before)
    assert update.steps == 0


def test_a_positive_parameter_that_would_overflow_is_refused():
    theta = ParamStore(a=1.0)
    theta.init("s", 1.0, positive)
    theta.init("v", [1.0, 1.0], positive)
    update = ParamUpdate(scale(1.0), theta)
    for grads in ({"a": 1.0, "s": 1000.0}, {"a": 1.0, "v": [0.0, 1000.0]}):
        with pytest.raises(UpdateError, match="not finite; lower the step size"):
            update.apply(grads=grads)
    assert (theta["a"].value, theta["s"].value, theta["v"].value.tolist()) == (1.0, 1.0, [1.0, 1.0])


# --- Gradients that are not finite


BAD = {"a": np.nan, "W": np.array([[1.0, np.inf, 1.0], [1.0, 1.0, 1.0]]), "b": np.ones(3)}


def test_skip_counts_and_leaves_everything(rule):
    theta = ParamStore(**START)
    update = ParamUpdate(rule, theta, on_nonfinite="skip")
    good = some_gradients(np.random.default_rng(0), START)
    update.apply(grads=good)
    values = copy.deepcopy(theta)
    before = {k: v.tobytes() for k, v in update.state_dict().items() if k != "skipped"}
    theta["a"].increment_grad(np.inf)
    update.apply()
    assert (update.steps, update.skipped) == (1, 1)
    assert theta == values
    assert not theta["a"].accumulated
    after = {k: v.tobytes() for k, v in update.state_dict().items() if k != "skipped"}
    assert after == before


def test_zero_takes_the_whole_gradient_of_a_parameter_for_zero(rule):
    zeroed = {"a": 0.0, "W": np.zeros((2, 3)), "b": np.ones(3)}
    one, other = ParamStore(**START), ParamStore(**START)
    policy = ParamUpdate(rule, one, on_nonfinite="zero")
    plain = ParamUpdate(rule, other)
    for g, same in ((BAD, zeroed), ({"b": np.ones(3)}, {"b": np.ones(3)})):
        policy.apply(grads=g)
        plain.apply(grads=same)
    assert one == other


@pytest.mark.parametrize("name", ["ADAM", "momentum", "whole parameters first", "not a chain"])
def test_keep_leaves_bad_entries_and_their_state_alone(name):
    rule = RULES[name]
    theta = ParamStore(**START)
    update = ParamUpdate(rule, theta, on_nonfinite="keep")
    good = some_gradients(np.random.default_rng(0), ["a", "W", "b"])
    update.apply(grads=good)
    before, state = copy.deepcopy(theta), update.state_dict()
    for k, d in BAD.items():
        theta[k].increment_grad(d)
    update.apply()
    assert np.array_equal(theta["a"].value, before["a"].value)
    moved = theta["W"].value != before["W"].value
    assert moved.tolist() == [[True, False, True], [True, True, True]]
    assert not np.any(theta["b"].value == before["b"].value)
    for k, v in update.state_dict().items():
        if k.endswith("theta/W") and v.shape == (2, 3):
            assert v[0, 1] == state[k][0, 1]
            assert v[1, 1] != state[k][1, 1]
    assert not theta["a"].accumulated
    assert update.steps == 2


def test_a_step_of_which_nothing_is_left_moves_nothing():
    theta = ParamStore(a=1.0)
    update = ParamUpdate(ADAM(0.1), theta, on_nonfinite="keep")
    update.apply(grads={"a": np.nan})
    assert theta["a"].value == 1.0


def test_clipping_does_not_hide_a_gradient_that_is_not_finite():
    bounded = elementwise(lambda g, theta: np.minimum(np.maximum(g, -1.0), 1.0))
    for bad in ({"a": np.inf}, {"b": [1.0, np.inf, 0.0]}):
        with pytest.raises(NonFiniteGradient):
            ParamUpdate(bounded, ParamStore(**START)).apply(grads=bad)


# --- What a rule of one's own may do


def extrapolate():
    def init(theta):
        return {"previous": {k: 0.0 * v for k, v in theta.items()}}

    def apply(g, state, theta):
        directions = {k: d + 0.5 * (d - state["previous"][k]) for k, d in g.items()}
        return directions, {"previous": {**state["previous"], **g}}

    return chain(stateful(init, apply, "extrapolate"), scale(0.1))


def test_a_rule_may_keep_the_gradients_that_it_is_given():
    one, other = ParamStore(w=np.zeros(2), a=0.0), ParamStore(w=np.zeros(2), a=0.0)
    accumulated, given = ParamUpdate(extrapolate(), one), ParamUpdate(extrapolate(), other)
    for g in (1.0, 3.0, 5.0):
        one["w"].increment_grad([g, g])
        one["a"].increment_grad(g)
        accumulated.apply()
        given.apply(grads={"w": [g, g], "a": g})
    assert one == other
    assert one["a"].value == pytest.approx(0.1 * (1.5 + 4.0 + 6.0))
    assert one["w"].value.tolist() == [one["a"].value] * 2


def test_a_rule_may_keep_the_coordinates_that_it_is_given():
    def apply(g, state, theta):
        return dict(g), {"last": dict(theta)}

    theta = ParamStore(w=np.zeros(3), a=0.0)
    update = ParamUpdate(
        stateful(lambda theta: {"last": dict(theta)}, apply, "keeps"), theta, on_nonfinite="keep"
    )
    update.apply(grads={"w": np.ones(3)})
    update.apply(grads={"w": np.array([1.0, np.nan, 1.0]), "a": 1.0})
    assert theta["w"].value.tolist() == [2.0, 1.0, 2.0]
    assert update.state_dict()["0 keeps/last/theta/w"].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("whose", ["a frozen one", "one of another store"])
def test_a_rule_cannot_move_other_parameters(whose):
    theta, other = ParamStore(a=0.0, b=1.0), ParamStore(c=2.0)
    theta["b"].freeze()
    foreign = theta["b"] if whose == "a frozen one" else other["c"]
    update = ParamUpdate(stateless(lambda g, theta: {**g, foreign: 1.0}), theta)
    with pytest.raises(UpdateError, match="is frozen or does not belong to this update"):
        update.apply(grads={"a": 1.0})
    assert (theta["a"].value, theta["b"].value, other["c"].value) == (0.0, 1.0, 2.0)


def test_a_state_does_not_keep_the_arrays_of_parameters_that_were_frozen():
    size = 100_000
    theta = ParamStore(**{f"p{i}": np.zeros(size) for i in range(6)})
    update, ones = ParamUpdate(ADAM(0.1), theta), np.ones(size)
    tracemalloc.start()
    try:
        for i in range(5):
            update.apply(grads=dict.fromkeys(list(theta)[i:], ones))
            theta[f"p{i}"].freeze()
        update.apply(grads={"p5": ones})
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 4.5 * 6 * 8 * size  # two vectors of coordinates, and two fields


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda g, theta: {"a": 1.0}, r"a direction for 'a'; .*their names are key\.name"),
        (lambda g, theta: None, "gave None; directions are a dictionary by parameter"),
        (lambda g, theta: dict.fromkeys(g, "up"), "cannot be applied: its direction .* a number"),
        (lambda g, theta: {key: [[1.0], 2.0] for key in g}, "cannot be applied: its direction"),
        (lambda g, theta: dict.fromkeys(g, np.nan), r"parameter '.' from .* to nan; lower the"),
    ],
)
def test_directions_that_are_none_are_refused(apply, message):
    with pytest.raises(UpdateError, match=message):
        ParamUpdate(stateless(apply, "wrong"), ParamStore(a=1.0)).apply(grads={"a": 1.0})


# --- Floats and arrays alike


@pytest.mark.parametrize(
    ("formula", "g"),
    [
        (lambda g, theta: np.minimum(1.0 / np.abs(g), 5.0), 0.0),
        (lambda g, theta: 1.0 / (1.0 + np.exp(-1000.0 * g)), -1.0),
        (lambda g, theta: np.where(g > 0.0, np.sqrt(g), 0.0), -1.0),
        (lambda g, theta: g, 1e200),
    ],
)
def test_a_number_is_stepped_as_an_array_of_one_is(formula, g):
    theta = ParamStore(a=1.0, v=np.ones(1))
    ParamUpdate(elementwise(formula), theta).apply(grads={"a": g, "v": [g]})
    assert theta["v"].value.tolist() == [theta["a"].value]


@pytest.mark.parametrize("name", ["a", "v"])
def test_a_gradient_that_would_spoil_the_state_for_good_is_refused(name):
    theta = ParamStore(a=1.0, v=np.ones(2))
    update = ParamUpdate(ADAM(0.1), theta)
    with pytest.raises(UpdateError, match=f"'{name}', or its state, .* or clip the gradient"):
        update.apply(grads={name: 1e200 if name == "a" else [1.0, 1e200]})
    update.apply(grads={"a": 1.0, "v": [1.0, 1.0]})
    assert update.steps == 1
    assert theta["v"].value.tolist() == pytest.approx([1.1, 1.1])


@pytest.mark.parametrize("policy", ["raise", "zero", "keep", "skip"])
def test_a_gradient_beyond_single_precision_is_not_finite(policy):
    theta = ParamStore(p=np.ones(3, np.float32))
    update = ParamUpdate(ADAM(0.1), theta, on_nonfinite=policy)
    g = {"p": np.array([1e300, 1.0, 1.0])}
    if policy == "raise":
        with pytest.raises(NonFiniteGradient):
            update.apply(grads=g)
    else:
        update.apply(grads=g)
    moved = (theta["p"].value != 1.0).tolist()
    assert moved == [False, policy == "keep", policy == "keep"]


def test_a_state_in_single_precision_leaves_coordinates_in_double():
    theta = ParamStore(W=np.full(2, 1.0 / 3.0))
    update = ParamUpdate(chain(scale_by_adam(dtype="float32"), scale(1e-10)), theta)
    update.apply(grads={"W": [0.0, 1.0]})
    assert theta["W"].value[0] == 1.0 / 3.0
    assert theta["W"].value[1] - 1.0 / 3.0 == pytest.approx(1e-10, rel=1e-5)
    assert update.state_dict()["0 scale_by_adam/m/theta/W"].dtype == np.float32
    again = ParamUpdate(chain(scale_by_adam(dtype="float32"), scale(1e-10)), theta)
    again.load_state_dict(update.state_dict())


def test_parts_may_keep_states_of_different_types():
    def rule():
        momentum = elementwise(lambda g, theta, m: (0.9 * m + g, 0.9 * m + g), {"m": 0.0})
        return chain(scale_by_adam(dtype="float32"), momentum, scale(0.1))

    theta = ParamStore(W=np.zeros(3))
    update = ParamUpdate(rule(), theta)
    update.apply(grads={"W": np.ones(3)})
    again = ParamUpdate(rule(), theta)
    again.load_state_dict(update.state_dict())
    kinds = {
        k.split("/")[0]: v.dtype for k, v in update.state_dict().items() if k.endswith("m/theta/W")
    }
    assert sorted(map(str, kinds.values())) == ["float32", "float64"]


def test_a_parameter_that_was_initialised_again_lets_go_of_the_others():
    theta = ParamStore(a=np.zeros(2), b=np.zeros(3))
    update = ParamUpdate(scale(1.0), theta)
    update.apply(grads={"a": np.ones(2), "b": np.ones(3)})
    old = theta["a"]
    theta.init("a", np.zeros(2))
    held = [old.value for _ in range(3)]
    update.apply(grads={"a": np.ones(2), "b": np.ones(3)})
    old.set([7.0, 7.0])
    assert [h.tolist() for h in held] == [[1.0, 1.0]] * 3
    assert theta["b"].value.tolist() == [2.0] * 3
    assert theta["a"].value.tolist() == [1.0] * 2
