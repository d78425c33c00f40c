"""The language: `@gen`, parameters, calls at addresses, and the four ways to execute them."""

import numpy as np
import pytest
from scipy.stats import norm

from genparams import (
    FixedStepGradientDescent,
    ParamStore,
    ParamUpdate,
    bernoulli,
    categorical,
    custom_random,
    gen,
    init_param,
    map_,
    normal,
    param,
    poisson,
)
from genparams.errors import (
    AddressConflict,
    AddressError,
    ArgumentError,
    UninitializedParameter,
    UnknownFunction,
    UnknownParameter,
)


@gen
def pair(mu=0.0, *, spread=1.0):
    x = normal(mu, spread) @ "x"
    return normal(x, 2.0 * spread) @ "y"


@gen
def walk(steps, start=0.0):
    """A random walk that calls itself."""
    if steps == 0:
        return start
    here = normal(start, param("std", 1.0)) @ "here"
    return walk(steps - 1, here) @ "rest"


def make_line():
    @gen
    def line(xs, noise=0.5):
        return normal(param("slope") * xs + param("intercept"), noise) @ "ys"

    init_param(line, "slope", 2.0)
    init_param(line, "intercept", -1.0)
    return line


# --- Functions and their parameters


def test_a_generative_function_keeps_the_name_and_the_words_of_its_body():
    assert walk.__name__ == "walk"
    assert walk.__doc__ == "A random walk that calls itself."
    assert "walk(steps, start=0.0)" in repr(walk)


def test_calling_a_generative_function_runs_nothing():
    def fails():
        raise AssertionError("the body ran")

    gen(fails)()


def test_a_parameter_is_read_with_the_value_it_was_given():
    assert make_line().assess((np.zeros(2),), {"ys": [-1.0, -1.0]})[0] == pytest.approx(
        2 * norm.logpdf(0.0, 0.0, 0.5), rel=1e-12
    )


def test_reading_a_parameter_without_a_value_says_which_line_to_write():
    @gen
    def f():
        return param("a")

    with pytest.raises(UninitializedParameter, match=r"init_param\(f, 'a', value\)"):
        f.simulate()


def test_functions_with_parameters_of_one_name_keep_them_apart():
    @gen
    def inner():
        return param("a", 1.0)

    @gen
    def outer():
        return param("a", 2.0), inner() @ "inner"

    assert outer.simulate().retval == (2.0, 1.0)


# --- Calls and addresses


def test_an_address_is_a_key_or_a_path_of_keys():
    @gen
    def f():
        normal(0.0, 1.0) @ "a"
        normal(0.0, 1.0) @ 1
        normal(0.0, 1.0) @ ("b", 2)
        normal(0.0, 1.0) @ ("b", "c", None)
        normal(0.0, 1.0) @ ("d",)

    trace = f.simulate((), rng=0)
    assert list(trace.choices) == [("a",), (1,), ("b", 2), ("b", "c", None), ("d",)]
    assert trace["d"] == trace[("d",)] == trace.choices["d"]
    assert trace["b", 2] == trace.choices["b"][2]


def test_a_nested_call_puts_its_address_before_those_of_the_callee():
    @gen
    def outer():
        return pair(1.0) @ ("part", 0), pair(mu=2.0, spread=3.0) @ ("part", 1)

    trace = outer.simulate((), rng=0)
    assert list(trace.choices) == [("part", i, name) for i in range(2) for name in "xy"]
    assert trace["part", 0] == trace["part", 0, "y"]
    assert trace.retval == (trace["part", 0, "y"], trace["part", 1, "y"])


def test_inline_runs_in_the_address_space_of_the_caller_with_the_parameters_of_the_callee():
    @gen
    def inner():
        return normal(param("a", 5.0), 0.1) @ "x"

    @gen
    def outer():
        return param("a", 1.0) + inner.inline()

    trace = outer.simulate((), rng=0)
    assert list(trace.choices) == [("x",)]
    assert trace.retval == 1.0 + trace["x"]
    assert list(outer.params) == list(inner.params) == ["a"]


def test_inline_below_a_nested_call_stays_below_its_address():
    @gen
    def middle():
        return pair.inline(0.0)

    @gen
    def outer():
        return middle() @ "m"

    assert list(outer.simulate().choices) == [("m", "x"), ("m", "y")]


def test_a_function_can_call_itself():
    trace = walk.simulate((3,), rng=0)
    assert list(trace.choices) == [("here",), ("rest", "here"), ("rest", "rest", "here")]
    assert trace.retval == trace["rest", "rest", "here"]


def test_control_flow_may_depend_on_data_and_on_choices():
    @gen
    def f(longer):
        n = poisson(3.0) @ "n"
        if longer:
            n = n + 1
        if bernoulli(0.5) @ "heads":
            return [normal(0.0, 1.0) @ ("x", i) for i in range(n)]
        return pair() @ "pair"

    trace, _ = f.generate((True,), {"n": 2, "heads": True}, rng=0)
    assert list(trace.choices) == [("n",), ("heads",), ("x", 0), ("x", 1), ("x", 2)]
    trace, _ = f.generate((True,), {"n": 2, "heads": False}, rng=0)
    assert list(trace.choices) == [("n",), ("heads",), ("pair", "x"), ("pair", "y")]


def test_a_choice_may_be_an_index():
    @gen
    def f():
        means = np.array([0.0, 10.0, 20.0])
        return normal(means[categorical([0.2, 0.3, 0.5]) @ "k"], 0.1) @ "x"

    trace, _ = f.generate((), {"k": 2}, rng=0)
    assert type(trace["k"]) is int
    assert abs(trace["x"] - 20.0) < 1.0


@pytest.mark.parametrize(
    "addresses",
    [
        ["a", "a"],
        [("a", 1), ("a", 1)],
        ["a", ("a", 1)],
        [("a", 1), "a"],
        [("a", 1), ("a", 1, 2)],
        [("a", 1, 2), ("a", 1)],
        [("a", 1, 2), "a"],
    ],
    ids=str,
)
def test_two_choices_cannot_stand_at_one_address_or_one_below_the_other(addresses):
    @gen
    def f():
        for address in addresses:
            normal(0.0, 1.0) @ address

    with pytest.raises(AddressConflict, match="visited"):
        f.simulate()


def test_the_empty_path_is_no_address_inside_a_function():
    @gen
    def f():
        normal(0.0, 1.0) @ ()

    with pytest.raises(AddressError, match=r"@ \(\) has no address; write a key"):
        f.simulate()


@pytest.mark.parametrize("second", ["a", ("a", "x"), ("a", "other")], ids=str)
def test_what_lies_below_a_call_belongs_to_the_call(second):
    @gen
    def f():
        pair() @ "a"
        normal(0.0, 1.0) @ second

    @gen
    def g():
        normal(0.0, 1.0) @ second
        pair() @ "a"

    for model in (f, g):
        with pytest.raises(AddressConflict, match="visited"):
            model.simulate()


def test_inlining_a_function_twice_visits_its_addresses_twice():
    @gen
    def f():
        pair.inline()
        pair.inline()

    with pytest.raises(AddressConflict, match="visited 'x' twice"):
        f.simulate()


# --- Arguments


def test_trace_args_are_completed_with_defaults():
    assert walk.simulate((2,)).args == (2, 0.0)
    assert pair.simulate().args == (0.0,)
    assert walk.simulate((2, 5.0)).args == (2, 5.0)


def test_keyword_arguments_and_any_number_of_arguments_work_as_in_python():
    @gen
    def inner(a, *rest, scale=1.0, **others):
        return scale * (a + sum(rest)) + sum(others.values())

    @gen
    def outer():
        return inner(1, 2, 3, scale=10.0, b=4) @ "i"

    assert outer.simulate().retval == 64.0
    assert inner.simulate((1, 2, 3)).args == (1, 2, 3)


def test_a_type_error_inside_the_body_is_not_taken_for_wrong_arguments():
    @gen
    def f(a):
        return a + None

    with pytest.raises(TypeError, match="unsupported operand") as caught:
        f.simulate((1,))
    assert not isinstance(caught.value, ArgumentError)


# --- The same function over another store


def test_with_params_reads_another_store_and_leaves_the_first_alone():
    teacher = make_line()
    student = teacher.with_params(ParamStore(slope=0.0, intercept=0.0))
    xs = np.array([1.0])
    assert teacher.generate((xs,), {"ys": [1.0]})[1] != student.generate((xs,), {"ys": [1.0]})[1]
    trace, _ = student.generate((xs,), {"ys": [1.0]})
    update = ParamUpdate(FixedStepGradientDescent(0.1), student)
    trace.accumulate_param_gradients()
    assert student.params["slope"].grad == pytest.approx(4.0)
    assert teacher.params["slope"].grad == 0.0
    update.apply()
    assert student.params["slope"].value == pytest.approx(0.4)
    assert teacher.params["slope"].value == 2.0


def test_a_clone_that_calls_itself_by_name_keeps_its_store():
    clone = walk.with_params(ParamStore(std=1e-9))
    trace = clone.simulate((5,), rng=0)
    assert abs(trace.retval) < 1e-6
    assert trace.calls["rest",][0] is clone


def test_a_clone_that_inlines_itself_by_name_keeps_its_store():
    @gen
    def countdown(n) -> list[float]:
        a = param("a", 1.0)
        return [a] if n == 0 else [a, *countdown.inline(n - 1)]

    assert countdown.with_params(ParamStore(a=2.0)).simulate((2,)).retval == [2.0, 2.0, 2.0]
    assert countdown.simulate((1,)).retval == [1.0, 1.0]


def test_a_clone_keeps_its_store_through_combinators_and_other_functions():
    @gen
    def leaves(n):
        a = param("a", 1.0)
        if n == 0:
            return [a]
        left, right = map_(leaves)([n - 1, n - 1]) @ "children"
        return [a, *left, *right]

    @gen
    def even(n):
        a = param("a", 1.0)
        return [a] if n == 0 else [a, *(odd(n - 1) @ "odd")]

    @gen
    def odd(n):
        return [] if n == 0 else even(n - 1) @ "even"

    trace = leaves.with_params(ParamStore(a=2.0)).simulate((2,))
    assert trace.retval == [2.0] * 7
    assert trace.rescored().retval == [2.0] * 7
    assert leaves.simulate((1,)).retval == [1.0] * 3
    assert even.with_params(ParamStore(a=2.0)).simulate((4,)).retval == [2.0] * 3


def test_inside_a_clone_another_clone_of_the_same_function_has_its_own_store():
    @gen
    def f(depth) -> list[float]:
        a = param("a", 1.0)
        return [a] if depth == 0 else [a, *(g(0) @ "other"), *(f(0) @ "same")]

    g = f.with_params(ParamStore(a=3.0))
    assert f.with_params(ParamStore(a=2.0)).simulate((1,)).retval == [2.0, 3.0, 2.0]


def test_a_clone_declares_into_its_own_store():
    @gen
    def f():
        return param("a", 1.0)

    store = ParamStore()
    f.with_params(store).simulate()
    assert list(store) == ["a"]
    assert list(f.params) == []


# --- Names


def define(source, module="a_notebook"):
    """Run a cell of a notebook and return what it defines."""
    namespace = {"__name__": module, "gen": gen, "param": param}
    exec(source, namespace)
    return namespace


def test_a_function_by_hand_of_the_same_name_is_no_obstacle():
    by_hand = custom_random(
        lambda rng, a: a, lambda v, a: 0.0, lambda v, a: (0.0, 0.0), ("a",), name="twice_named"
    )
    made = define("@gen\ndef twice_named():\n    return param('a')\n")["twice_named"]
    assert made.__name__ == by_hand.__name__


def test_redefining_a_function_of_a_module_replaces_the_old_one():
    source = "@gen\ndef redefined_in_a_cell():\n    return param('a')\n"
    old = define(source)["redefined_in_a_cell"]
    new = define(source)["redefined_in_a_cell"]
    init_param(new, "a", 1.0)
    update = ParamUpdate(FixedStepGradientDescent(1.0), redefined_in_a_cell=["a"])
    update.apply(grads={"a": 1.0})
    assert new.params["a"].value == 2.0
    assert len(old.params) == 0


def test_functions_of_one_name_in_two_modules_are_two():
    source = "@gen\ndef same_name_in_two_modules():\n    return param('a')\n"
    kept = [define(source, module) for module in ("first", "second")]
    with pytest.raises(UnknownFunction, match="2 live functions are named"):
        ParamUpdate(FixedStepGradientDescent(1.0), same_name_in_two_modules=["a"])
    assert len(kept) == 2


def test_two_live_local_functions_of_one_name_are_an_error_and_one_is_not():
    def make():
        @gen
        def local_twin():
            return param("a")

        return local_twin

    first = make()
    init_param(first, "a", 1.0)
    second = make()
    with pytest.raises(UnknownFunction, match="pass the function itself"):
        ParamUpdate(FixedStepGradientDescent(1.0), local_twin=["a"])
    del second
    ParamUpdate(FixedStepGradientDescent(1.0), local_twin=["a"]).apply(grads={"a": 1.0})
    assert first.params["a"].value == 2.0


def test_naming_a_parameter_that_is_not_there_gives_the_nearest_name():
    line = make_line()
    with pytest.raises(UnknownParameter, match=r"'slop'.*slope"):
        ParamUpdate(FixedStepGradientDescent(1.0), {line: ["slop"]})
