# pyright: reportAttributeAccessIssue=false
"""A replay is the run of its trace, and a gradient needs a trace that is possible."""

import copy
import importlib
import linecache
import math
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import parameters_in_memory

import genparams
from genparams import (
    ADAM,
    ParamStore,
    ParamUpdate,
    accumulate_param_gradients,
    bernoulli,
    categorical,
    custom_gradient,
    custom_random,
    distribution,
    gen,
    init_param,
    interval,
    map_,
    mask,
    mixture,
    normal,
    param,
    poisson,
    positive,
    recurse,
    set_param,
    simplex,
    switch,
    unfold,
    uniform,
    unit_interval,
)
from genparams.autodiff import Box
from genparams.errors import (
    DeepRecursion,
    GradientShapeError,
    ImpossibleTrace,
    InvalidValue,
    MissingChoice,
    NotRunning,
    ReplayDiffers,
    TracedValueError,
    UninitializedParameter,
)

XS = np.linspace(-1.0, 1.0, 5)
GLOBAL = {"scale": 1.0}


@pytest.fixture(autouse=True)
def global_scale():
    yield
    GLOBAL["scale"] = 1.0


def line(body, **settings):
    f = gen(**settings)(body) if settings else gen(body)
    init_param(f, "a", 0.7)
    init_param(f, "w", [0.5, -0.3])
    return f


# --- Replays that are other models


def draws_by_itself(xs):
    return normal(param("a") * xs + np.random.standard_normal(), 1.0) @ "y"


def reads_a_global(xs):
    return normal(GLOBAL["scale"] * param("a") * xs, 1.0) @ "y"


def changes_its_argument(xs):
    xs *= 2.0
    return normal(param("a") * xs, 1.0) @ "y"


def sorts_its_argument_afterwards(xs):
    y = normal(param("a") * xs, 1.0) @ "y"
    xs.sort()
    return y


def swallows_an_error(xs):
    try:
        scale = math.exp(param("a"))
    except TypeError:
        scale = 1.0
    return normal(scale * xs, 1.0) @ "y"


def asks_for_the_type(xs):
    a = param("a")
    return normal((a if isinstance(a, float) else 0.5 * a) * xs, 1.0) @ "y"


def visits_more(xs):
    CALLS.append(0)
    normal(param("a") * xs, 1.0) @ "y"
    for i in range(len(CALLS)):
        normal(0.0, 1.0) @ ("more", i)


def visits_less(xs):
    CALLS.append(0)
    normal(param("a") * xs, 1.0) @ "y"
    for i in range(10 - len(CALLS)):
        normal(0.0, 1.0) @ ("less", i)


def returns_another_value(xs):
    CALLS.append(0)
    normal(xs, 1.0) @ "y"
    return param("a") * len(CALLS)


def returns_another_structure(xs):
    CALLS.append(0)
    normal(xs, 1.0) @ "y"
    return [param("a")] * len(CALLS)


def returns_other_keys(xs):
    CALLS.append(0)
    normal(xs, 1.0) @ "y"
    return {len(CALLS): param("a")}


def returns_an_array_of_other_numbers(xs):
    CALLS.append(0)
    normal(xs, 1.0) @ "y"
    return np.array([param("a"), param("a") * len(CALLS)])


CALLS: list[int] = []
OTHER_MODELS = [
    draws_by_itself,
    changes_its_argument,
    sorts_its_argument_afterwards,
    swallows_an_error,
    asks_for_the_type,
    visits_more,
    visits_less,
]
BY_THE_BODY = (draws_by_itself, changes_its_argument, sorts_its_argument_afterwards)


def arguments():
    CALLS.clear()
    return (np.array([0.3, -1.0, 2.0]),)


GRADIENTS = {
    "accumulate": lambda trace: trace.accumulate_param_gradients(),
    "several": lambda trace: accumulate_param_gradients([trace]),
    "param_gradients": lambda trace: trace.param_gradients(),
    "choice_gradients": lambda trace: trace.choice_gradients(),
}


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("body", OTHER_MODELS, ids=lambda body: body.__name__)
def test_a_replay_that_is_another_model_is_refused_by_every_gradient(body, gradient):
    if gradient == "choice_gradients" and body in (swallows_an_error, asks_for_the_type):
        return  # parameters are not traced there, and the replay is the run
    f = line(body)
    trace = f.simulate(arguments(), rng=0)
    with pytest.raises(ReplayDiffers, match="this replay differs from the run") as caught:
        GRADIENTS[gradient](trace)
    assert caught.value.function == body.__name__
    assert not f.params["a"].accumulated


def test_the_error_names_the_first_choice_both_values_and_the_cause():
    f = line(draws_by_itself)
    trace = f.simulate((XS,), rng=0)
    with pytest.raises(ReplayDiffers, match=r"'y'.*draws at random by itself.*global") as caught:
        trace.param_gradients()
    assert caught.value.address == "'y'"
    assert caught.value.then == trace.log_prob
    assert caught.value.now != trace.log_prob
    assert repr(caught.value.then) in str(caught.value)
    assert repr(caught.value.now) in str(caught.value)
    with pytest.raises(
        ReplayDiffers, match=r"Without gradients it finds the same.*catches an error"
    ):
        line(swallows_an_error).simulate((XS,), rng=0).param_gradients()


def test_the_first_of_several_choices_is_named():
    @gen
    def f():
        for i in range(4):
            normal(param("a", 1.0) * (GLOBAL["scale"] if i > 1 else 1.0), 1.0) @ ("x", i)

    trace = f.simulate()
    GLOBAL["scale"] = 3.0
    with pytest.raises(ReplayDiffers, match=r"\('x', 2\)"):
        trace.param_gradients()


RETURNED = {
    returns_another_value: 1.0,
    returns_another_structure: [1.0],
    returns_other_keys: {1: 1.0},
    returns_an_array_of_other_numbers: np.ones(2),
}


@pytest.mark.parametrize("body", RETURNED, ids=lambda body: body.__name__)
def test_the_return_value_is_compared_where_its_gradient_is_asked(body):
    f = line(body)
    f.simulate(arguments(), rng=0).param_gradients()
    trace = f.simulate(arguments(), rng=0)
    with pytest.raises(ReplayDiffers, match="the return value was"):
        trace.param_gradients(retval_grad=RETURNED[body])


ARGUMENTS = {
    "array": lambda: np.ones(5),
    "matrix": lambda: np.ones((2, 3)),
    "large array": lambda: np.ones(100_000),
    "list": lambda: [1.0, 2.0],
    "list of arrays": lambda: [np.ones(2), np.ones(3)],
    "dictionary": lambda: {"x": np.ones(2)},
}


@pytest.mark.parametrize("made", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("by", ["the caller", "the body"])
def test_a_changed_argument_is_found_where_the_log_probability_does_not_show_it(made, by):
    """At a slope of 0 the data do not enter the log probability, and they enter the gradient."""

    def change(xs):
        if isinstance(xs, np.ndarray):
            xs *= 2.0
        elif isinstance(xs, dict):
            xs["x"] *= 2.0
        elif isinstance(xs[0], float):
            xs[0] += 1.0
        else:
            xs[1] *= 2.0

    def body(xs):
        if by == "the body":
            change(xs)
        first = np.ravel(xs["x"] if isinstance(xs, dict) else xs[0])[0]
        return normal(param("slope", 0.0) * first, 1.0) @ "y"

    xs = made()
    trace = gen(body).simulate((xs,), rng=0)
    if by == "the caller":
        trace.param_gradients()
        change(xs)
    with pytest.raises(ReplayDiffers, match="numbers in its argument xs have changed"):
        trace.param_gradients()


def test_an_argument_that_the_caller_changed_is_found():
    f, xs = line(lambda xs: normal(param("a") * xs, 1.0) @ "y"), np.array([1.0, 2.0])
    trace, _ = f.generate((xs,), {"y": [0.0, 1.0]})
    trace.param_gradients()
    xs[0] = 1.5
    with pytest.raises(ReplayDiffers, match="numbers in its argument xs have changed"):
        trace.param_gradients()
    xs[0] = 1.0
    trace.param_gradients()


def test_visited_choices_are_told_from_the_structure_of_today():
    f = line(visits_more)
    trace = f.simulate(arguments(), rng=0)
    with pytest.raises(ReplayDiffers, match=r"visits \('more', 1\), which the run did not visit"):
        trace.param_gradients()
    set_param(f, "a", 1.0)
    with pytest.raises(MissingChoice, match="at the present parameters"):
        trace.param_gradients()
    with pytest.raises(ReplayDiffers, match="the replay does not visit"):
        line(visits_less).simulate(arguments(), rng=0).param_gradients()


# --- After parameters have moved


def test_a_first_gradient_of_a_stale_trace_is_compared_at_the_values_of_the_run():
    f = line(reads_a_global)
    trace = f.simulate((XS,), rng=0)
    set_param(f, "a", 2.0)
    trace.param_gradients()
    trace = f.simulate((XS,), rng=0)
    set_param(f, "a", 0.1)
    GLOBAL["scale"] = 1.5
    with pytest.raises(ReplayDiffers, match="a global that changed"):
        trace.param_gradients()
    assert f.params["a"].value == 0.1


def test_a_model_that_changes_while_it_is_trained_is_found_in_a_few_steps():
    f = line(reads_a_global)
    trace = f.simulate((XS,), rng=0)
    update = ParamUpdate(ADAM(0.01), f)
    for steps in range(1, 16):
        trace.accumulate_param_gradients()
        update.apply()
        GLOBAL["scale"] = 1.0 if steps < 6 else 1.2
    with pytest.raises(ReplayDiffers):
        trace.accumulate_param_gradients()


def test_a_trace_is_compared_again_when_its_parameters_have_come_back():
    f = line(reads_a_global)
    trace = f.simulate((XS,), rng=0)
    trace.param_gradients()
    set_param(f, "a", 2.0)
    trace.param_gradients()
    GLOBAL["scale"] = 1.2
    trace.param_gradients()  # at other values, where it is not compared each time
    set_param(f, "a", 0.7)
    with pytest.raises(ReplayDiffers):
        trace.param_gradients()


def test_a_gradient_that_cannot_be_taken_at_the_values_of_the_run_is_not_compared():
    @gen
    def f():
        a = param("a", 1.0)
        return normal(math.exp(a) if a < 2.0 else np.exp(a), 1.0) @ "x"

    trace, _ = f.generate((), {"x": 0.0})
    set_param(f, "a", 3.0)
    assert trace.param_gradients()["f"]["a"] == pytest.approx(-math.exp(6.0))


def test_the_comparison_of_a_stale_trace_leaves_nothing_behind():
    @gen
    def f():
        if param("a", 1.0) > 0.0:
            param("only positive", 2.0)
        return normal(param("a"), 1.0) @ "x"

    trace = f.simulate()
    f.params.discard("only positive")
    set_param(f, "a", -1.0)
    trace.param_gradients()
    assert list(f.params) == ["a"]


EDITS = {
    "update": lambda trace: trace.update({"y": np.zeros(5)})[0],
    "regenerate": lambda trace: trace.regenerate("y", rng=1)[0],
    "rescored": lambda trace: trace.rescored(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_traces_of_edits_are_compared_with_their_own_runs(edit):
    f = line(reads_a_global)
    trace = f.simulate((XS,), rng=0)
    GLOBAL["scale"] = 2.0
    made = EDITS[edit](f.simulate((XS,), rng=0))
    made.param_gradients()
    GLOBAL["scale"] = 1.0
    trace.param_gradients()
    with pytest.raises(ReplayDiffers):
        made.param_gradients()


# --- Combinators and functions of other kinds

PURE = line(lambda x: normal(param("a") * x, 1.0) @ "y")
IMPURE = line(lambda x: normal(param("a") * x * GLOBAL["scale"], 1.0) @ "y")


@gen
def produce(x):
    normal(x * GLOBAL["scale"], 1.0) @ "p"
    return x, [0.5 * x] if x > 0.5 else []


@gen
def aggregate(value, results):
    return normal(value + sum(results), 1.0) @ "sum"


@gen
def stepped(i, state):
    return normal(0.5 * state * GLOBAL["scale"], 1.0) @ "y"


scaled = custom_gradient(lambda x: x * GLOBAL["scale"], lambda args, r, g: (g,))
flat = custom_random(
    lambda rng, mu: rng.normal(mu),
    lambda x, mu: -0.5 * (x - GLOBAL["scale"] * mu) ** 2,
    lambda x, mu: (mu - x, x - mu),
    name="flat",
)


@gen
def with_custom_parts():
    x = flat(scaled(1.0) @ "s") @ "x"
    return normal(x, param("std", 1.0)) @ "y"


gumbel = distribution(
    lambda rng, loc, size: rng.gumbel(loc, 1.0, size),
    lambda x, loc: -(x - loc * GLOBAL["scale"]) - np.exp(-(x - loc * GLOBAL["scale"])),
)
COMBINED = {
    "map_": (map_(IMPURE), ([1.0, 2.0],)),
    "unfold": (unfold(stepped), (3, 1.0)),
    "switch": (switch(PURE, IMPURE), (1, 1.0)),
    "recurse": (recurse(produce, aggregate), (2.0,)),
    "mask": (mask(IMPURE), (True, 1.0)),
    "custom": (with_custom_parts, ()),
    "own": (gumbel, (1.0,)),
    "clone": (IMPURE.with_params(ParamStore(a=0.4)), (1.0,)),
}


@pytest.mark.parametrize("name", COMBINED)
def test_combinators_and_functions_of_other_kinds_are_compared_too(name):
    f, args = COMBINED[name]
    trace = f.simulate(args, rng=0)
    trace.param_gradients()
    GLOBAL["scale"] = 1.3
    with pytest.raises(ReplayDiffers):
        trace.param_gradients()


def test_a_clone_made_anew_in_each_run_is_compared_with_the_store_that_it_shares():
    theta = ParamStore(a=0.5)

    @gen
    def f(x):
        return PURE.with_params(theta)(x) @ "inner"

    trace = f.simulate((2.0,), rng=0)
    trace.param_gradients()
    theta["a"].set(0.9)
    trace.param_gradients()
    again = f.simulate((2.0,), rng=0)
    assert list(again.parameters.values()) == [0.9]
    again.param_gradients()


# --- Rounding is no difference


def test_an_ill_conditioned_model_is_not_refused_for_rounding():
    @gen
    def f(std):
        a = param("a", 0.3)
        return normal(np.exp(np.log(a) * 3.0), std) @ "x"

    for std in (1e-3, 1e-9, 1e-12, 1e-14):
        for seed in range(5):
            f.simulate((std,), rng=seed).param_gradients()


def test_single_precision_is_not_refused_at_a_maximum_where_the_gradient_vanishes():
    xs = np.linspace(-1.0, 1.0, 500).astype(np.float32)
    for std in (1.0, 1e-2, 1e-4):
        for seed in range(5):

            @gen
            def f(xs, std):
                mean = np.exp(param("a", 0.0)) * xs + np.sum(xs * np.exp(param("b", 0.0)))
                return normal(mean, std) @ "y"

            noise = std * np.random.default_rng(seed).standard_normal(500)
            for direction in (xs, np.ones(500)):
                noise -= direction * (noise @ direction) / (direction @ direction)
            trace, _ = f.generate((xs, std), {"y": np.exp(0.0) * xs + np.sum(xs) + noise})
            f.params["a"].set(0.1)
            trace, _ = f.generate((xs, std), {"y": np.exp(0.1) * xs + np.sum(xs) + noise})
            trace.param_gradients()


def test_a_chaotic_model_is_not_refused_for_rounding():
    @gen
    def f(x):
        rate = param("rate", 3.9)
        for i in range(60):
            x = np.exp(np.log(rate) + np.log(x) + np.log1p(-x))
            normal(x, 0.1) @ i

    for seed in range(5):
        f.simulate((0.2 + 0.1 * seed,), rng=seed).param_gradients()


def test_data_at_the_bound_of_a_parameter_are_where_the_run_found_them():
    """exp(log(3.3)) is below 3.3: a replay reads the value itself."""

    @gen
    def f():
        return uniform(0.0, param("high", 3.3, positive), size=2) @ "x"

    trace, _ = f.generate((), {"x": [3.3, 1.0]})
    assert trace.param_gradients()["f"]["high"] == pytest.approx(-2.0)


def test_a_constrained_parameter_has_its_natural_value_in_a_replay():
    seen = []

    @gen
    def f():
        for name, value, constraint in VALUES:
            seen.append(np.asarray(getattr(param(name, value, constraint), "value", 0.0)))
        return normal(0.0, 1.0) @ "x"

    trace = f.simulate()
    seen.clear()
    trace.param_gradients()
    for (name, _, _), value in zip(VALUES, seen, strict=True):
        np.testing.assert_array_equal(value, f.params[name].value)


VALUES = [
    ("positive", [0.1, 3.3], positive),
    ("unit", 0.3, unit_interval),
    ("interval", [0.2, 0.7], interval(-1.0, 3.0)),
    ("simplex", [0.2, 0.3, 0.5], simplex),
    ("real", [0.1, 0.2], interval(-5.0, 5.0)),
]


def test_alike_infinite_log_probabilities_are_no_difference():
    trace, weight = gen(lambda: normal(param("a", 0.0), 1.0) @ "x").generate((), {"x": np.inf})
    assert weight == -np.inf
    with pytest.raises(ImpossibleTrace):
        trace.param_gradients()


# --- Traces of probability zero

IMPOSSIBLE = {
    "bernoulli": (lambda p: bernoulli(p, size=4) @ "y", 0.3, [1, 0, 2, -1]),
    "categorical": (lambda p: categorical([p, 1.0 - p], size=3) @ "y", 0.3, [1, 2, 0]),
    "poisson": (lambda p: poisson(p) @ "y", 2.5, -1),
    "uniform": (lambda p: uniform(0.0, p) @ "y", 2.5, 3.0),
    "custom": (lambda p: below(p) @ "y", 2.5, 3.0),
    "own": (lambda p: own_uniform(p) @ "y", 2.5, 3.0),
    "mixture": (lambda p: mixture([0.5, 0.5], uniform(0.0, [1.0, p])) @ "y", 2.5, 3.0),
}
below = custom_random(
    None,
    lambda x, p: -np.log(p) if x < p else -np.inf,
    lambda x, p: (0.0, -1.0 / p),
    name="below",
)
own_uniform = distribution(
    lambda rng, p, size: rng.uniform(0.0, p, size),
    lambda x, p: np.where((x >= 0.0) & (x <= p), -np.log(p), -np.inf),
    name="own_uniform",
)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_data_of_probability_zero_do_not_train(name, gradient):
    body, p, y = IMPOSSIBLE[name]

    @gen
    def f():
        return body(param("p", p))

    try:
        trace, weight = f.generate((), {"y": y})
    except InvalidValue:
        return  # refused where it is given
    assert weight == trace.log_prob == -np.inf
    assert trace.update({})[0].log_prob == -np.inf
    assert f.assess((), {"y": y})[0] == -np.inf
    with pytest.raises(ImpossibleTrace, match="'y' of f has log probability -inf") as caught:
        GRADIENTS[gradient](trace)
    assert (caught.value.function, caught.value.address) == ("f", "'y'")
    assert caught.value.log_prob == -np.inf
    assert not f.params["p"].accumulated


def test_a_trace_may_become_impossible_as_parameters_move():
    f = gen(lambda: uniform(0.0, param("high", 2.0)) @ "x")
    trace, _ = f.generate((), {"x": 1.5})
    trace.param_gradients()
    set_param(f, "high", 1.0)
    with pytest.raises(ImpossibleTrace, match="at the present parameters"):
        trace.accumulate_param_gradients()


def test_one_impossible_trace_of_several_adds_nothing():
    f = gen(lambda: uniform(0.0, param("high", 2.0)) @ "x")
    traces = [f.generate((), {"x": x})[0] for x in (0.5, 3.0, 1.0)]
    with pytest.raises(ImpossibleTrace):
        accumulate_param_gradients(traces)
    assert not f.params["high"].accumulated


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_a_log_probability_that_is_infinite_does_not_train(bad):
    odd = custom_random(None, lambda x, p: bad, lambda x, p: (0.0, 0.0), name="odd")
    f = gen(lambda: odd(param("p", 1.0)) @ "y")
    trace, _ = f.generate((), {"y": 1.0})
    with pytest.raises(ImpossibleTrace, match="'y'"):
        trace.param_gradients()


# --- Accumulating happens whole or not at all


def a_model_of_every_kind():
    @gen
    def inner(x):
        return normal(x * param("gain"), param("std", 1.5, positive)) @ "x"

    @gen
    def outer(xs):
        w = param("w")
        y = normal(xs @ w + param("b"), 1.0) @ "y"
        z = inner(param("b")) @ "inner"
        categorical(param("probs", [0.2, 0.8], simplex)) @ "k"
        return np.sum(y) + z

    init_param(outer, "w", np.array([0.5, -1.0], np.float32))
    init_param(outer, "b", 0.3)
    init_param(inner, "gain", [1.0, 2.0])
    return outer, inner


def standing(*functions):
    """Everything that accumulating may change."""
    return [
        (
            f.__name__,
            name,
            p.value.tolist() if np.ndim(p.value) else p.value,
            np.asarray(p.grad).tolist(),
            p.accumulated,
            p.fault,
        )
        for f in functions
        for name, p in f.params.items()
    ]


LIBRARY = str(Path(genparams.__file__).parent)


class Fault(BaseException):
    """What is raised at a line, as Ctrl-C may be."""


@cache
def begins_with(file, line):
    """Whether a line opens a `with` block."""
    return linecache.getline(file, line).strip().startswith("with ")


def telling_lines(work):
    """The numbers, for `with_a_fault`, of the first two times and the last that each line runs."""
    places = []
    assert with_a_fault(work, 0, places) is None
    times = {}
    for at, place in enumerate(places, start=1):
        times.setdefault(place, []).append(at)
    return sorted({at for each in times.values() for at in (*each[:2], each[-1])})


def with_a_fault(work, at, places=None):
    """Do some work with a fault at the `at`-th line that runs inside the library.

    The end of a `with` block counts as a line of its own, at which Python handles no signal: the
    fault is raised at the next one.

    Args:
        places: A list to which the place of each line is added.

    Returns where it was raised, or None if the work came to its end before.
    """
    count, entered = 0, set()

    def trace(frame, event, arg):
        nonlocal count
        file = frame.f_code.co_filename
        if not file.startswith(LIBRARY):
            return None
        if event == "line":
            here = frame, frame.f_lineno
            if begins_with(file, frame.f_lineno):
                if here in entered:
                    return trace
                entered.add(here)
            count += 1
            if places is not None:
                places.append((file, frame.f_lineno))
            if count == at:
                sys.settrace(None)
                raise Fault(f"{file}:{frame.f_lineno}")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Fault as fault:
        return str(fault)
    finally:
        sys.settrace(before)
    return None


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "added to"])
def test_a_fault_at_any_line_leaves_accumulating_done_or_not_begun(earlier):
    def made():
        outer, inner = a_model_of_every_kind()
        xs = np.array([[1.0, 2.0], [0.5, -1.0]])
        traces = [outer.simulate((xs * (i + 1),), rng=i) for i in range(2)]
        if earlier:
            accumulate_param_gradients(traces)
        outer.params.discard("probs")  # declared again by the replays
        return outer, inner, traces

    @gen
    def fails(outer):
        outer(np.zeros((1, 2))) @ "outer"
        raise ZeroDivisionError

    outer, inner, traces = made()
    before = standing(outer, inner)
    lines = telling_lines(lambda: accumulate_param_gradients(traces, [1.0, 0.5]))
    after = standing(outer, inner)
    assert before != after
    outcomes = set()
    outer, inner, traces = made()
    for at in [*lines, 100_000]:
        if standing(outer, inner) != before:
            outer, inner, traces = made()
        fault = with_a_fault(
            lambda traces=traces: accumulate_param_gradients(traces, [1.0, 0.5]), at
        )
        found = standing(outer, inner)
        assert found in (before, after), fault
        with pytest.raises(ZeroDivisionError):
            fails.simulate((outer,))
        assert standing(outer, inner) == found, fault
        outcomes.add(found == after)
        assert (fault is None) == (at == 100_000)
    assert outcomes == {False, True}


@pytest.mark.parametrize("work", ["increment_grad", "set_grad"])
def test_a_fault_at_any_line_leaves_a_gradient_by_hand_whole(work):
    wanted = 3.0 if work == "increment_grad" else 2.0
    for shape in ((), (3,)):
        grads = set()
        for at in range(1, 1000):
            p = ParamStore().init("a", np.zeros(shape))
            p.increment_grad(np.ones(shape))
            fault = with_a_fault(lambda p=p, s=shape: getattr(p, work)(np.full(s, 2.0)), at)
            grads.add(tuple(np.ravel(p.grad)))
            if fault is None:
                break
        assert grads == {(1.0,) * max(1, math.prod(shape)), (wanted,) * max(1, math.prod(shape))}


def test_a_gradient_of_a_wrong_shape_leaves_all_accumulators_alone():
    wrong = distribution(
        lambda rng, mu, size: rng.normal(mu, 1.0, size),
        lambda x, mu: -0.5 * (x - mu) ** 2,
        gradients=lambda x, mu: (mu - x, np.ones(5)),
        name="wrong",
    )
    by_hand = custom_gradient(lambda x: 2.0 * x, lambda args, r, g: (np.ones(3),))
    for body in (lambda b: wrong(b) @ "y", lambda b: normal(by_hand(b) @ "h", 1.0) @ "y"):

        @gen
        def f(body):
            normal(param("a", 1.0), 1.0) @ "x"
            body(param("b", [1.0, 2.0]))

        good, bad = gen(lambda: normal(param("a", 1.0), 1.0) @ "x").simulate(), f.simulate((body,))
        with pytest.raises(InvalidValue, match="shape"):
            accumulate_param_gradients([good, bad])
        for p in (*f.params.values(), *good.gen_fn.params.values()):
            assert not p.accumulated


def test_a_rule_that_gives_another_shape_is_found_before_anything_is_added():
    def total(w) -> Any:
        return w.tape.record(w.value.sum(), [(w, np.ones(7))]) if type(w) is Box else w.sum()

    f = line(lambda: [normal(param("a"), 1.0) @ "a", normal(total(param("w")), 1.0) @ "w"])
    trace = f.simulate()
    with pytest.raises(GradientShapeError, match=r"parameter 'w' of .* has shape \(7,\)"):
        trace.accumulate_param_gradients()
    assert not f.params["a"].accumulated


def test_a_failed_gradient_forgets_what_its_replay_declared():
    f = gen(lambda: normal(param("a", 1.0), 1.0) @ "x")
    trace = f.simulate()
    f.params.discard("a")
    with pytest.raises(InvalidValue, match="return value"):
        trace.accumulate_param_gradients(retval_grad=np.ones(3))
    assert "a" not in f.params
    trace.accumulate_param_gradients()
    assert f.params["a"].accumulated


# --- The parameters of a run


def test_a_trace_records_the_values_that_its_run_used():
    @gen
    def f():
        first = param("a", 1.0)
        set_param(f, "a", 2.0)  # as another thread may do
        return first, param("a"), normal(param("a"), 1.0) @ "x"

    trace = f.simulate()
    assert trace.parameters == {(f, "a"): 1.0}
    assert trace.retval[:2] == (1.0, 1.0)
    assert trace.log_prob == normal.log_prob(trace["x"], 1.0, 1.0)
    assert trace.is_stale


def test_traces_record_what_they_used_beside_a_thread_that_moves_parameters():
    f = gen(lambda: normal(param("w"), 1.0) @ "x")
    init_param(f, "w", np.zeros(4))
    stop = []

    def move():
        i = 0.0
        while not stop:
            i += 1.0
            set_param(f, "w", np.full(4, i))

    with ThreadPoolExecutor(2) as pool:
        moving = pool.submit(move)
        try:
            for seed in range(300):
                trace = f.simulate((), rng=seed)
                (value,) = trace.parameters.values()
                assert trace.log_prob == normal.log_prob(trace["x"], value, 1.0)
        finally:
            stop.append(True)
        moving.result()


def test_a_failing_first_run_leaves_a_parameter_that_another_run_has_read():
    other = []

    @gen
    def f(fails):
        a = param("a", 1.0)
        if fails:
            other.append(f.simulate((False,)))
            raise ZeroDivisionError("no")
        return normal(a, 1.0) @ "x"

    with pytest.raises(ZeroDivisionError, match="no"):
        f.simulate((True,))
    other[0].accumulate_param_gradients()
    assert f.params["a"].accumulated


def test_the_last_failing_run_takes_away_what_none_has_kept():
    @gen
    def f(depth):
        param("a", 1.0)
        if depth:
            with pytest.raises(ZeroDivisionError):
                f.simulate((depth - 1,))
            assert "a" in f.params
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        f.simulate((2,))
    assert len(f.params) == 0
    assert parameters_in_memory(f.params) == []


# --- Traces of another process

ELSEWHERE = """
import pickle, sys
sys.path[:0] = [{path!r}]
from traced_models import f, g
from genparams import *
from genparams.errors import *
trace = pickle.load(sys.stdin.buffer)
{code}
"""
MODELS = """
from genparams import *
@gen
def g(x):
    return normal(x * param("gain"), param("std", 1.0, positive)) @ "x"
@gen
def f(xs):
    normal(param("a", 1.0) * xs, 1.0) @ "y"
    return g(2.0) @ "g"
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "traced_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("traced_models")
    del sys.modules["traced_models"]


def elsewhere(models, trace, code):
    path = models.__file__.rsplit("/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ELSEWHERE.format(path=path, code=code)],
        input=pickle.dumps(trace),
        capture_output=True,
        check=False,
    )
    assert not done.returncode, done.stderr.decode()
    return done.stdout.decode().strip().split("\n")


REFUSED = """
def refused(work):
    try:
        work(trace)
    except ForeignParameters as error:
        print(error.function, error.parameter, error.then, [*f.params], [*g.params])
    else:
        print("not refused")
refused(lambda t: t.accumulate_param_gradients())
refused(lambda t: t.param_gradients())
refused(lambda t: t.choice_gradients("y"))
refused(lambda t: t.update({}))
refused(lambda t: t.regenerate("y"))
"""


def made_with(models, a, gain):
    init_param(models.f, "a", a)
    init_param(models.g, "gain", gain)
    init_param(models.g, "std", 2.0, positive)
    return models.f.generate((XS,), {"y": XS}, rng=0)[0]


def test_a_trace_is_refused_where_its_parameters_are_not_there(models):
    trace = made_with(models, 3.0, 0.5)
    assert (
        elsewhere(models, trace, 'init_param(g, "gain", 0.5)' + REFUSED)
        == ["f a 3.0 [] ['gain']"] * 5
    )
    assert elsewhere(models, trace, REFUSED)[0].endswith("[] []")


def test_a_trace_is_refused_where_its_parameters_have_other_values_or_constraints(models):
    trace = made_with(models, 1.0, 0.5)
    there = 'init_param(g, "gain", 0.25); init_param(g, "std", 2.0, positive)'
    assert elsewhere(models, trace, there + REFUSED) == ["g gain 0.5 [] ['gain', 'std']"] * 5
    there = 'init_param(g, "gain", 0.5); init_param(g, "std", 2.0, real)'
    assert elsewhere(models, trace, there + REFUSED) == ["g std 2.0 [] ['gain', 'std']"] * 5


def test_a_trace_is_differentiated_where_its_parameters_are_the_same(models):
    trace = made_with(models, 1.0, 0.5)
    there = textwrap.dedent("""
        init_param(g, "gain", 0.5); init_param(g, "std", 2.0, positive)
        print(trace.param_gradients()["g"]["gain"])
        set_param(g, "gain", 0.7)
        print(trace.is_stale, trace.param_gradients()["g"]["gain"])
    """)
    first, second = elsewhere(models, trace, there)
    assert float(first) == trace.param_gradients()["g"]["gain"]
    set_param(models.g, "gain", 0.7)
    assert second == f"True {trace.param_gradients()['g']['gain']}"


def test_a_worker_differentiates_at_the_values_of_the_caller(models):
    trace = made_with(models, 3.0, 0.5)
    there = textwrap.dedent("""
        init_param(g, "gain", 0.1)
        g.params["gain"].increment_grad(1.0)
        trace.restore_parameters()
        print(g.params["std"].constraint, g.params["gain"].grad, trace.is_stale)
        grads = trace.param_gradients()
        print(grads["f"]["a"], grads["g"]["gain"], grads["g"]["std"])
    """)
    first, second = elsewhere(models, trace, there)
    assert first == "positive 1.0 False"
    grads = trace.param_gradients()
    assert [float(g) for g in second.split()] == [
        grads["f"]["a"],
        grads["g"]["gain"],
        grads["g"]["std"],
    ]


def test_a_trace_is_rescored_at_the_values_there(models):
    trace = made_with(models, 3.0, 0.5)
    there = textwrap.dedent("""
        init_param(g, "gain", 0.25)
        new = trace.rescored()
        new.accumulate_param_gradients()
        print(new.parameters[f, "a"])
    """)
    assert elsewhere(models, trace, there) == ["1.0"]


def test_a_trace_that_comes_back_is_at_home(models, tmp_path):
    trace = made_with(models, 3.0, 0.5)
    path = tmp_path / "back"
    elsewhere(models, trace, f"pickle.dump(trace, open({str(path)!r}, 'wb'))")
    back = pickle.loads(path.read_bytes())
    set_param(models.g, "gain", 0.9)
    assert back.param_gradients() == trace.param_gradients()


def test_parameters_are_restored_all_or_none():
    f = line(lambda: [normal(param(n), 1.0) @ n for n in "aw"])
    trace = f.simulate()
    set_param(f, "a", 5.0)
    init_param(f, "w", np.zeros(3))
    with pytest.raises(InvalidValue, match=r"'w' of .* has shape \(3,\) here and \(2,\)"):
        trace.restore_parameters()
    assert f.params["a"].value == 5.0
    init_param(f, "w", np.zeros(2))
    trace.restore_parameters()
    assert not trace.is_stale


# --- Arguments of other kinds


class Series:
    """An array of another package, which knows no traced values."""

    __array_ufunc__ = None

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype) if dtype else self.values

    def to_numpy(self):
        return self.values

    def __mul__(self, other):
        if not isinstance(other, float):
            raise TypeError(f"no arithmetic with {type(other).__name__}")
        return Series(self.values * other)

    __rmul__ = __mul__

    def __getitem__(self, name):
        return self.values


@pytest.mark.parametrize(
    ("given", "body", "instead"),
    [
        (Series(XS), lambda xs: normal(xs * param("a"), 1.0) @ "y", r"xs\.to_numpy\(\)"),
        ([1, Series(XS)], lambda xs: normal(xs[1] * param("a"), 1.0) @ "y", r"xs\[1\]\.to_numpy"),
        (
            {"x": Series(XS)},
            lambda xs: normal(xs["x"] * param("a"), 1.0) @ "y",
            r"xs\['x'\]\.to_numpy",
        ),
    ],
)
def test_an_array_of_another_package_is_named_where_it_cannot_be_differentiated(
    given, body, instead
):
    f = line(body)
    trace = f.simulate((given,), rng=0)
    with pytest.raises(TracedValueError, match=f"{instead}.*line .*test_replay.py"):
        trace.param_gradients()


def test_an_array_of_another_package_works_by_its_column_and_as_an_argument_of_a_distribution():
    f = line(lambda data: normal(param("a") * data["x"], 1.0) @ "y")
    g = line(lambda data: normal(param("a") * 1.0, data) @ "y")
    for made in (f, g):
        trace, _ = made.generate((Series(np.abs(XS) + 1.0),), {"y": XS})
        plain, _ = made.generate(
            ({"x": np.abs(XS) + 1.0} if made is f else np.abs(XS) + 1.0,), {"y": XS}
        )
        assert trace.param_gradients() == plain.param_gradients()


def test_an_error_of_the_model_is_not_blamed_on_an_argument():
    f = line(lambda data, wrong: wrong["missing"] if len(CALLS) else normal(0.0, 1.0) @ "y")
    CALLS.clear()
    trace = f.simulate((Series(XS), {}))
    CALLS.append(0)
    with pytest.raises(KeyError, match="missing"):
        trace.param_gradients()


@pytest.mark.parametrize("where", [lambda x: x, lambda x: [1.0, x], lambda x: {"a": (x,)}])
def test_a_masked_array_among_the_arguments_is_refused_by_name(where):
    f = line(lambda n, xs: normal(param("a"), 1.0) @ "y")
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    for work in (f.simulate, f.generate, f.propose, lambda args: f.assess(args, {"y": 1.0})):
        with pytest.raises(InvalidValue, match=r"argument xs is a masked array.*filled"):
            work((3, where(masked)))
    with pytest.raises(InvalidValue, match="argument xs is a masked array"):
        f.simulate((3, 1.0)).update({}, (3, where(masked)))


# --- Recursion


def test_a_deep_recursion_says_which_function_how_deep_and_what_to_write():
    @gen
    def countdown(n):
        x = normal(param("mu", 0.0), 1.0) @ "x"
        return x if n == 0 else countdown(n - 1) @ "next"

    with pytest.raises(DeepRecursion, match=r"countdown was \d+ calls deep.*unfold.*setrec") as e:
        countdown.simulate((100_000,))
    assert e.value.function == "countdown"
    assert e.value.depth > 50
    assert e.value.limit == sys.getrecursionlimit()
    assert len(countdown.params) == 0
    with pytest.raises(NotRunning):
        param("mu")


def test_a_recursion_of_python_s_own_is_no_error_of_ours():
    def helper(n):
        return helper(n + 1)

    with pytest.raises(RecursionError) as caught:
        gen(lambda: helper(0)).simulate()
    assert type(caught.value) is RecursionError


def test_an_uninitialised_parameter_of_the_same_process_is_named_as_before():
    f = line(lambda: normal(param("a"), 1.0) @ "x")
    trace = pickle.loads(pickle.dumps(ParamStore(a=1.0)))
    assert trace["a"].value == 1.0
    made = f.simulate()
    f.params.discard("a")
    with pytest.raises(UninitializedParameter, match="'a'"):
        made.param_gradients()
