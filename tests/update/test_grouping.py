"""Rules for some parameters and rules around rules: against each rule alone."""

import functools
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genparams import gen, init_param, normal, param
from genparams.errors import InvalidValue, UnknownParameter, UpdateError
from genparams.params import ParamStore
from genparams.update.adaptive import scale_by_adam
from genparams.update.clipping import centralize, clip_by_global_norm
from genparams.update.grouping import accumulate, only, partition, project, with_schedule
from genparams.update.kernel import kernel
from genparams.update.named_rules import ADAM, AdamW
from genparams.update.param_update import ParamUpdate
from genparams.update.projections import project_box, project_simplex
from genparams.update.rule import Rule, chain, stateless
from genparams.update.scaling import scale, scale_by_schedule, scale_by_state

THETA = {"w": np.array([1.0, 2.0]), "bias": 3.0, "v": np.ones((2, 1))}
G = {"w": np.array([1.0, -1.0]), "bias": 2.0, "v": np.array([[4.0], [0.0]])}
wrong: Any = 3


def first(rule, g, theta):
    return rule.apply(g, rule.init(theta), theta)[0]


def run(rule, gradients, theta):
    """The directions of several steps."""
    state, found = rule.init(theta), []
    for g in gradients:
        directions, state = rule.apply(g, state, theta)
        found.append(directions)
    return found


def assert_same(one, other):
    assert list(one) == list(other)
    for k, d in one.items():
        np.testing.assert_array_equal(d, other[k])
        assert type(d) is type(other[k])


class Key:
    """What a rule sees of a parameter."""

    def __init__(self, function, name):
        self.name = name
        self.store = type("Store", (), {"owner": function})()


# --- only

WHERES = {
    "a name": ("bias", ["bias"]),
    "a pattern": ("*i*", ["bias"]),
    "a choice of letters": ("[vw]", ["w", "v"]),
    "everything": ("*", ["w", "bias", "v"]),
    "nothing": ((), []),
    "names": (("bias", "v"), ["bias", "v"]),
    "a list of names and patterns": (["b*", "w"], ["w", "bias"]),
    "a mapping": ({"w": True, "bias": False, "v": True}, ["w", "v"]),
    "a predicate": (lambda key: len(key) == 1, ["w", "v"]),
}


@pytest.mark.parametrize("name", WHERES)
def test_only_those_meant_are_changed(name):
    where, meant = WHERES[name]
    found = first(only(scale(10.0), where), G, THETA)
    assert_same(found, {k: 10.0 * d if k in meant else d for k, d in G.items()})


def test_parameters_are_also_called_by_function_and_name():
    weight, bias, other = Key("encoder", "w"), Key("encoder", "b"), Key("decoder", "w")
    g = dict.fromkeys([weight, bias, other, Key("", "w")], 1.0)
    for where, expected in [
        ("w", [2, 1, 2, 2]),
        ("encoder.*", [2, 2, 1, 1]),
        ("encoder.w", [2, 1, 1, 1]),
        ("theta.w", [1, 1, 1, 2]),
        ({"encoder.w": False, "w": True, "b": False}, [1, 1, 2, 2]),
    ]:
        assert list(first(only(scale(2.0), where), g, g).values()) == expected


def test_a_name_with_brackets_is_also_a_name():
    g = {"w[0]": 1.0, "w0": 1.0}
    assert first(only(scale(2.0), "w[0]"), g, g) == {"w[0]": 2.0, "w0": 2.0}


def test_names_are_matched_by_case():
    g = {"Ws": 1.0, "ws": 1.0}
    assert first(only(scale(2.0), "W*"), g, g) == {"Ws": 2.0, "ws": 1.0}


def test_the_state_of_only_holds_no_others():
    state = only(scale_by_adam(), "*i*").init(THETA)
    assert set(state) == {"0 *i*", "1 *"}
    assert set(state["0 *i*"]["m"]) == {"bias"}


# --- partition

RULES = {
    "scale": scale(0.5),
    "adam": ADAM(0.1),
    "schedule": scale_by_schedule(lambda count: 1.0 / (1 + count)),
    "norm": clip_by_global_norm(1.0),
}
NAMES = ("a", "b", "c", "d")
numbers = st.floats(-1e6, 1e6)
steps = st.lists(st.dictionaries(st.sampled_from(NAMES), numbers), min_size=1, max_size=4)
assignments = st.tuples(*[st.sampled_from(sorted(RULES))] * len(NAMES))


@given(steps, assignments)
def test_a_partition_is_each_rule_alone_on_its_own(gradients, assignment):
    own = {
        label: tuple(n for n, of in zip(NAMES, assignment, strict=True) if of == label)
        for label in RULES
    }
    theta = dict.fromkeys(NAMES, 1.0)
    together = run(
        partition({own[label]: RULES[label] for label in RULES if own[label]}), gradients, theta
    )
    for label, rule in RULES.items():
        mine = [{k: d for k, d in g.items() if k in own[label]} for g in gradients]
        alone = run(rule, mine, dict.fromkeys(own[label], 1.0))
        for whole, part in zip(together, alone, strict=True):
            assert {k: d for k, d in whole.items() if k in own[label]} == part
    assert [list(d) for d in together] == [list(g) for g in gradients]


def test_the_first_pattern_that_matches_counts():
    rule = partition({"bias": scale(1.0), ("v", "b*"): scale(10.0), "*": scale(100.0)})
    g = dict.fromkeys(["bias", "b2", "v", "w"], 1.0)
    assert first(rule, g, g) == {"bias": 1.0, "b2": 10.0, "v": 10.0, "w": 100.0}


def test_a_partition_names_its_state_by_place_and_pattern():
    def is_wide(key):
        return np.ndim(THETA[key]) > 1

    rule = partition({("bias", "u"): ADAM(), is_wide: scale_by_adam(), "*": scale(1.0)})
    state = rule.init(THETA)
    assert set(state) == {"0 bias, u", "1 is_wide", "2 *"}
    assert set(state["0 bias, u"]["0 scale_by_adam"]["m"]) == {"bias"}
    assert set(state["1 is_wide"]["m"]) == {"v"}


def test_a_parameter_that_matches_none_is_an_error_that_lists_the_patterns():
    rule = partition({"*bias": scale(1.0), ("a", "b"): scale(2.0)})
    message = r"no rule of this partition is for 'w': they are for \*bias, a, b; add '\*'"
    with pytest.raises(UpdateError, match=message):
        rule.init(THETA)
    with pytest.raises(UpdateError, match=r"'encoder\.w'"):
        rule.init({Key("encoder", "w"): 1.0})


def test_a_repr_shows_what_a_rule_is_made_of():
    assert repr(only(scale(2.0), "w")) == "only(rule=scale(factor=2.0), where='w')"
    found = repr(partition({"*": scale(2.0)}))
    assert found == "partition(rules={'*': scale(factor=2.0)})"
    assert repr(accumulate(scale(2.0), 4)) == "accumulate(rule=scale(factor=2.0), k=4)"


WRONG = {
    "a where that cannot be read": (lambda: only(scale(1.0), wrong), "a predicate, got 3"),
    "names that are none": (lambda: only(scale(1.0), ("a", wrong)), r"got \('a', 3\)"),
    "a pattern that is none": (lambda: partition({("a", 3): scale(1.0)}), r"got \('a', 3\)"),
    "a rule of only that is none": (lambda: only(wrong, "a"), "only takes rules .* got 3 for a"),
    "a rule of partition that is none": (
        lambda: partition({"a": scale(1.0), "*": wrong}),
        r"partition takes rules such as scale\(0.1\), got 3 for \*",
    ),
    "no mapping": (lambda: partition(wrong), "a partition is a mapping such as"),
    "no rules": (lambda: partition({}), "a partition is a mapping such as"),
    "a mask with a hole": (
        lambda: only(scale(1.0), {"w": True, "bias": False}).init(THETA),
        "says nothing about 'v', only about 'w', 'bias'; add it",
    ),
    "a projection that is none": (lambda: project(scale(1.0), wrong), r"of \(array\), got 3"),
    "a rule of project that is none": (lambda: project(wrong, abs), "got 3"),
    "a schedule that is none": (lambda: with_schedule(scale(1.0), wrong), r"of \(count\), got 3"),
    "a rule of accumulate that is none": (lambda: accumulate(wrong, 2), "accumulate takes a rule"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name):
    make, message = WRONG[name]
    with pytest.raises(UpdateError, match=message):
        make()


# --- Speed

FAST = {
    "only": only(scale_by_adam(), "*i*"),
    "only of a chain": only(chain(scale_by_adam(), scale_by_state(0.1)), ("w", "bias")),
    "partition": partition(
        {"w": scale_by_schedule(lambda count: 1.0 + count), "bias": chain(), "*": ADAM(0.1)}
    ),
    "partition in a partition": partition(
        {"w": only(scale(2.0), "x"), "*": partition({"v": scale_by_adam(), "*": scale(3.0)})}
    ),
    "a chain of them": chain(only(scale(2.0), "w"), partition({"v": ADAM(), "*": scale(0.1)})),
}


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("key", G)
def test_the_formulas_of_a_parameter_do_what_apply_does(name, key):
    rule = FAST[name]
    assert rule.pieces is not None
    state = rule.init(THETA)
    directions, _ = rule.apply(G, state, THETA)
    constants, fields = [], []
    pieces = rule.pieces(key)
    for path, piece in pieces:
        at: Any = functools.reduce(lambda at, place: at[place], path, state)
        constants += piece.constants_at(1, at)
        fields += [np.ravel(at[f][key]).copy() for f in piece.fields]
    code = kernel(tuple(piece for _, piece in pieces))
    f, scratch = code.over_arrays
    start = np.ravel(THETA[key]).astype(float)
    new = [np.empty_like(start) for _ in [start, *fields]]
    space = [np.empty_like(start) for _ in range(scratch)]
    f(start, np.ravel(G[key]).copy(), *fields, *new, *space, *code.folded(*constants))
    np.testing.assert_allclose(new[0], np.ravel(THETA[key] + directions[key]), rtol=1e-14)


def test_the_formulas_for_no_key_are_those_for_all():
    rule = FAST["a chain of them"]
    assert rule.pieces is not None
    assert [path for path, _ in rule.pieces(None)] == [
        ("0 only", "0 w"),
        ("1 partition", "0 v", "0 scale_by_adam"),
        ("1 partition", "0 v", "1 scale_by_state"),
        ("1 partition", "1 *"),
    ]


def test_every_rule_of_a_partition_counts_every_step():
    rule = partition({"a": scale(1.0), "*": scale_by_schedule(lambda count: 1.0 + count)})
    theta = {"a": 0.0, "b": 0.0}
    found = run(rule, [{"a": 1.0}, {"a": 1.0}, {"b": 1.0}], theta)
    assert found[2] == {"b": 3.0}


def test_a_rule_that_sees_whole_parameters_makes_its_group_slow():
    assert only(centralize(), "w").pieces is None
    assert partition({"w": scale(1.0), "*": centralize()}).pieces is None


def slow(rule):
    """The same rule without its formulas."""
    return Rule(rule.init, rule.apply, rule.name)


MIXED = partition({"w": chain(centralize(), ADAM(0.1)), "*": scale(0.1)})


@pytest.mark.parametrize("rule", [*FAST.values(), MIXED], ids=[*FAST, "mixed"])
@pytest.mark.parametrize("minimize", [False, True])
def test_an_update_takes_the_steps_of_apply(rule, minimize):
    rule = replace(rule, names=frozenset())
    fast, plain = ParamStore(THETA), ParamStore(THETA)
    updates = [
        ParamUpdate(rule, fast, minimize=minimize),
        ParamUpdate(slow(rule), plain, minimize=minimize),
    ]
    for i in range(4):
        for update in updates:
            g = {k: d * (1.0 - i) for k, d in G.items() if i != 2 or k != "w"}
            update.apply(g)
    for k in THETA:
        np.testing.assert_allclose(fast[k].value, plain[k].value, rtol=1e-12)


@pytest.mark.parametrize(
    "rule", [*FAST.values(), MIXED, accumulate(ADAM(0.1), 2)], ids=[*FAST, "mixed", "accumulate"]
)
def test_a_parameter_that_joins_later_takes_the_steps_of_apply(rule):
    rule = replace(rule, names=frozenset())  # as if it were for patterns
    fast, plain = ParamStore({"w": THETA["w"]}), ParamStore({"w": THETA["w"]})
    for theta, update in [(fast, ParamUpdate(rule, fast)), (plain, ParamUpdate(slow(rule), plain))]:
        for _ in range(2):
            update.apply({"w": G["w"]})
        theta.init("v", THETA["v"])
        theta.init("bias", THETA["bias"])
        for _ in range(2):
            update.apply({"v": G["v"], "bias": G["bias"]})
        whole = ParamUpdate(update.rule, ParamStore(THETA)).state_dict()
        assert set(update.state_dict()) == set(whole)
    for k in THETA:
        np.testing.assert_allclose(fast[k].value, plain[k].value, rtol=1e-12)


def test_an_update_counts_the_steps_of_a_group_that_is_still_empty():
    theta = ParamStore({"a": 0.0})
    update = ParamUpdate(
        partition({"a": scale(1.0), "*": scale_by_schedule(lambda count: 1.0 + count)}), theta
    )
    for _ in range(2):
        update.apply({"a": 1.0})
    theta.init("b", 0.0)
    update.apply({"b": 1.0})
    assert theta["b"].value == 3.0


def test_the_rates_of_groups_are_read_and_set_by_their_names():
    theta = ParamStore(THETA)
    update = ParamUpdate(partition({"bias": ADAM(0.1), "*": ADAM(0.2)}), theta)
    assert update.learning_rates == {
        "0 partition/0 bias/1 scale_by_state": 0.1,
        "0 partition/1 */1 scale_by_state": 0.2,
    }


def test_functions_have_rates_of_their_own():
    @gen
    def group_left():
        pass

    @gen
    def group_right():
        pass

    init_param(group_left, "w", 1.0)
    init_param(group_right, "w", 1.0)
    rule = partition({"group_left.*": scale(0.1), "*": scale(0.5)})
    ParamUpdate(rule, group_left, group_right).apply(
        {"group_left": {"w": 1.0}, "group_right": {"w": 1.0}}
    )
    assert group_left.params["w"].value == 1.1
    assert group_right.params["w"].value == 1.5


# --- project

unit_box = functools.partial(project_box, low=0.0, high=1.0)


def test_a_step_ends_in_the_box():
    theta = {"a": 0.75, "w": np.array([[0.5], [0.25]]), "f": np.array([0.5], np.float32)}
    g = {"a": 5.0, "w": np.array([[-5.0], [0.5]]), "f": np.array([1.0], np.float32)}
    found = first(project(scale(0.5), unit_box), g, theta)
    assert found["a"] == 0.25
    assert type(found["a"]) is float
    assert found["w"].tolist() == [[-0.5], [0.25]]
    assert found["f"].dtype == np.float32
    assert found["f"].tolist() == [0.5]


def test_the_others_are_not_projected():
    theta = {"a": 0.75, "b": 0.75}
    found = first(project(scale(1.0), unit_box, where="a"), {"a": 5.0, "b": 5.0}, theta)
    assert found == {"a": 0.25, "b": 5.0}


def test_climbing_in_the_simplex_ends_at_its_best_corner():
    theta = ParamStore({"p": [0.4, 0.3, 0.3]})
    update = ParamUpdate(project(scale(0.1), project_simplex), theta)
    for _ in range(60):
        update.apply({"p": [1.0, 3.0, 2.0]})
    np.testing.assert_allclose(theta["p"].value, [0.0, 1.0, 0.0], atol=1e-12)


def test_the_rule_under_a_projection_keeps_its_state():
    theta = {"a": 0.5}
    rule = project(ADAM(0.1), unit_box)
    _, state = rule.apply({"a": 1.0}, rule.init(theta), theta)
    assert state["0 ADAM"]["0 scale_by_adam"]["t"] == {"a": 1}


def test_a_projection_that_changes_the_shape_is_refused():
    with pytest.raises(UpdateError, match=r"of 'w' must keep its shape \(2,\), got \(\)"):
        first(project(scale(1.0), np.sum), {"w": np.ones(2)}, {"w": np.ones(2)})


# --- accumulate, with_schedule


def test_every_second_call_steps_by_the_mean():
    gradients = [{"a": 1.0}, {"a": 4.0}, {"a": -1.0}, {"a": 0.0}, {"a": 9.0}]
    found = run(accumulate(scale(2.0), 2), gradients, {"a": 0.0})
    assert [d["a"] for d in found] == [0.0, 5.0, 0.0, -1.0, 0.0]


def test_every_third_call_steps_by_the_sum():
    gradients = [{"w": np.array([1.0, i])} for i in range(4)]
    found = run(accumulate(scale(1.0), 3, mean=False), gradients, {"w": np.zeros(2)})
    assert [d["w"].tolist() for d in found] == [[0, 0], [0, 0], [3, 3], [0, 0]]


@given(st.integers(1, 5), st.lists(numbers, min_size=1, max_size=12))
def test_accumulating_is_the_rule_on_means(k, values):
    theta = {"a": 0.0}
    found = run(accumulate(ADAM(0.1), k), [{"a": v} for v in values], theta)
    windows = [values[i : i + k] for i in range(0, len(values) - k + 1, k)]
    expected = iter(
        run(ADAM(0.1), [{"a": functools.reduce(float.__add__, w, 0.0) / k} for w in windows], theta)
    )
    for i, directions in enumerate(found, start=1):
        assert directions == (next(expected) if i % k == 0 else {"a": 0.0})


def test_a_missing_gradient_counts_as_zero_and_one_never_given_is_missing_for_the_rule():
    rule, theta = accumulate(scale_by_adam(), 2), {"a": 0.0, "b": 0.0, "c": 0.0}
    state = rule.init(theta)
    _, state = rule.apply({"a": 4.0, "b": 2.0}, state, theta)
    directions, state = rule.apply({"b": 2.0}, state, theta)
    assert set(directions) == {"a", "b"}
    assert state["rule"]["t"] == {"a": 1, "b": 1, "c": 0}
    assert state["rule"]["m"] == {"a": 2.0, "b": 2.0, "c": 0.0}
    assert state["total"] == {"a": 0.0, "b": 0.0, "c": 0.0}


def test_the_rule_waits_between_its_calls():
    rule, theta = accumulate(scale_by_adam(), 3), {"a": 0.0}
    state = rule.init(theta)
    begun = pickle.dumps(state["rule"])
    for _ in range(2):
        _, state = rule.apply({"a": 1.0}, state, theta)
        assert pickle.dumps(state["rule"]) == begun


def test_an_update_moves_by_what_it_was_given_in_any_call():
    theta = ParamStore({"a": 0.0, "w": [1.0, 2.0]})
    update = ParamUpdate(accumulate(scale(1.0), 2), theta)
    update.apply({"a": 1.0, "w": [1.0, 0.0]})
    assert theta["a"].value == 0.0
    update.apply({"a": 2.0})
    assert theta["a"].value == 1.5
    assert theta["w"].value.tolist() == [1.5, 2.0]


def test_an_update_empties_the_accumulators_in_every_call():
    @gen
    def accumulate_model():
        normal(param("mu"), 1.0) @ "x"

    init_param(accumulate_model, "mu", 0.0)
    update = ParamUpdate(accumulate(scale(1.0), 2), accumulate_model)
    mu = accumulate_model.params["mu"]
    for x, expected in [(2.0, 0.0), (6.0, 4.0), (5.0, 4.0)]:
        trace, _ = accumulate_model.generate((), {"x": x})
        trace.accumulate_param_gradients()
        update.apply()
        assert (mu.value, mu.grad) == (expected, 0.0)


def test_a_parameter_frozen_within_a_window_does_not_move():
    theta = ParamStore({"a": 0.0, "b": 0.0})
    update = ParamUpdate(accumulate(scale(1.0), 2), theta)
    update.apply({"a": 2.0, "b": 2.0})
    theta["a"].freeze()
    update.apply({"b": 2.0})
    assert (theta["a"].value, theta["b"].value) == (0.0, 2.0)


def test_accumulation_is_resumed_within_a_window():
    one, other = ParamStore({"a": 0.0}), ParamStore({"a": 0.0})
    update = ParamUpdate(accumulate(ADAM(0.1), 3), one)
    for g in (1.0, 2.0):
        update.apply({"a": g})
    resumed = ParamUpdate(accumulate(ADAM(0.1), 3), other)
    resumed.load_state_dict(update.state_dict())
    for of in (update, resumed):
        of.apply({"a": 3.0})
    assert one["a"].value == other["a"].value != 0.0


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "2", None])
def test_a_number_of_calls_that_is_none_is_refused(k):
    with pytest.raises(InvalidValue, match=r"^accumulate: k must be a whole number above 0"):
        accumulate(scale(1.0), k)


def test_optax_accumulates_the_same():
    optax = pytest.importorskip("optax")
    theirs = optax.MultiSteps(optax.adam(0.1), 3)
    rng, w = np.random.default_rng(2), np.zeros(4, np.float32)
    gradients = [rng.normal(size=4).astype(np.float32) for _ in range(7)]
    found = run(accumulate(ADAM(0.1), 3), [{"w": g} for g in gradients], {"w": w})
    state = theirs.init(w)
    for g, directions in zip(gradients, found, strict=True):
        expected, state = theirs.update(-g, state, w)
        np.testing.assert_allclose(directions["w"], np.asarray(expected), atol=1e-6)


def test_optax_partitions_the_same():
    optax = pytest.importorskip("optax")
    theirs = optax.partition(
        {"slow": optax.adam(0.01), "fast": optax.sgd(0.5)},
        {"w": "slow", "bias": "fast", "v": "slow"},
    )
    theta = {k: np.asarray(v, np.float32) for k, v in THETA.items()}
    g = {k: np.asarray(v, np.float32) for k, v in G.items()}
    state = theirs.init(theta)
    for directions in run(partition({"bias": scale(0.5), "*": ADAM(0.01)}), [g] * 3, theta):
        expected, state = theirs.update({k: -d for k, d in g.items()}, state, theta)
        for k, d in directions.items():
            np.testing.assert_allclose(d, np.asarray(expected[k]), atol=1e-7)


def test_a_schedule_multiplies_what_the_rule_gives():
    rule = with_schedule(scale(2.0), lambda count: 1.0 / (1 + count))
    found = run(rule, [{"a": 3.0}] * 3, {"a": 0.0})
    assert [d["a"] for d in found] == [6.0, 3.0, 2.0]
    assert rule.pieces is not None


# --- Laws of all of them

ALL = {
    **FAST,
    "only, whole": only(centralize(), "v"),
    "mixed": MIXED,
    "project": project(ADAM(0.1), unit_box, where="b*"),
    "accumulate": accumulate(ADAM(0.1), 2),
    "with_schedule": with_schedule(ADAM(0.1), lambda count: 0.5**count),
}
each_rule = pytest.mark.parametrize("rule", ALL.values(), ids=ALL)


@each_rule
def test_the_inputs_stay_as_they_are(rule):
    theta = {k: np.array(v) if np.ndim(v) else v for k, v in THETA.items()}
    for v in theta.values():
        if isinstance(v, np.ndarray):
            v.setflags(write=False)
    state = rule.init(theta)
    for _ in range(3):
        before = pickle.dumps((G, state, theta))
        directions, after = rule.apply(G, state, theta)
        again, _ = rule.apply(G, state, theta)
        assert pickle.dumps((G, state, theta)) == before
        assert_same(directions, again)
        state = after


@each_rule
@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-200, 1e150])
def test_kinds_stay_and_no_size_of_gradient_gives_a_nan(rule, size):
    theta = {"w": np.ones(2), "bias": 1.0, "v": np.ones((2, 3), np.float32), "empty": np.zeros(0)}
    g = {
        "w": np.full(2, -size),
        "bias": size,
        "v": np.full((2, 3), min(size, 1e15), np.float32),
        "empty": np.zeros(0),
    }
    for directions in run(rule, [g] * 2, theta):
        assert list(directions) == list(g)
        assert type(directions["bias"]) is float
        assert directions["v"].dtype == np.float32
        assert directions["empty"].shape == (0,)
        assert all(np.all(np.isfinite(d)) for d in directions.values())


@each_rule
def test_a_parameter_without_a_gradient_is_left_alone(rule):
    for directions in run(rule, [{"bias": 1.0}, {"bias": 2.0}], THETA):
        assert set(directions) == {"bias"}


@each_rule
def test_nothing_gives_nothing(rule):
    assert run(rule, [{}, {}], {}) == [{}, {}]


def test_what_a_rule_leaves_out_stays_out():
    none = stateless(lambda g, theta: {})
    g = {"w": 1.0, "b": 1.0}
    assert first(partition({"w": none, "*": scale(2.0)}), g, g) == {"b": 2.0}


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (only(scale(2.0), "bais"), "bais"),
        (partition({"bais": scale(2.0), "*": scale(1.0)}), "bais"),
        (chain(scale(1.0), AdamW(0.1, mask=["w", "theta.bais"])), "theta.bais"),
        (project(scale(1.0), np.abs, where="bais"), "bais"),
        (
            accumulate(only(scale(1.0), {"w": True, "bias": True, "v": True, "bais": False}), 2),
            "bais",
        ),
    ],
    ids=repr,
)
def test_a_rule_for_a_parameter_that_is_not_there_is_refused(rule, wrong):
    update = ParamUpdate(rule, ParamStore(THETA))
    with pytest.raises(UnknownParameter, match=rf"for '{wrong}', and .* did you mean .*bias\?"):
        update.apply(G)


def test_patterns_may_match_nothing_and_a_function_is_meant_by_its_name_and_a_star():
    update = ParamUpdate(
        partition({"*bais": scale(9.0), "theta.*": scale(2.0), "*": scale(0.0)}), ParamStore(THETA)
    )
    update.apply(G)
