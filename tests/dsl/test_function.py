"""What every generative function can do: simulate, generate, propose and assess."""

import numpy as np
import pytest
from scipy.stats import norm

from genparams import (
    ChoiceMap,
    gen,
    init_param,
    map_,
    normal,
    param,
    poisson,
)
from genparams.errors import UnusedConstraint


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


# --- Simulate, generate, propose, assess


def test_simulate_records_the_log_probability_of_every_choice():
    trace = pair.simulate((1.0,), rng=1)
    x, y = trace["x"], trace["y"]
    assert trace.log_probs["x",] == pytest.approx(norm.logpdf(x, 1.0, 1.0), rel=1e-12)
    assert trace.log_prob == pytest.approx(
        norm.logpdf(x, 1.0, 1.0) + norm.logpdf(y, x, 2.0), rel=1e-12
    )
    assert trace.gen_fn is pair


def test_the_weight_of_generate_is_the_log_probability_of_what_was_given():
    trace, weight = pair.generate((), {"y": 3.0}, rng=0)
    assert trace["y"] == 3.0
    assert weight == pytest.approx(norm.logpdf(3.0, trace["x"], 2.0), rel=1e-12)
    assert weight == trace.log_probs["y",]


def test_generate_without_constraints_weighs_nothing_and_draws_as_simulate_does():
    trace, weight = pair.generate((), rng=3)
    assert weight == 0.0
    assert trace.choices == pair.simulate((), rng=3).choices


def test_propose_returns_choices_their_log_probability_and_the_return_value():
    choices, weight, retval = pair.propose((), rng=5)
    trace = pair.simulate((), rng=5)
    assert choices == trace.choices
    assert (weight, retval) == (trace.log_prob, trace.retval)


def test_assess_weighs_a_full_set_of_choices():
    weight, retval = pair.assess((), {"x": 1.0, "y": 2.0})
    assert weight == pytest.approx(norm.logpdf(1.0) + norm.logpdf(2.0, 1.0, 2.0), rel=1e-12)
    assert retval == 2.0


def test_a_choice_outside_the_support_has_log_probability_minus_infinity():
    @gen
    def f():
        return poisson(2.0) @ "n"

    assert f.assess((), {"n": -1})[0] == -np.inf


def test_a_distribution_alone_is_a_generative_function_with_one_choice_at_the_root():
    trace, weight = normal.generate((0.0, 1.0), {(): 0.5})
    assert trace.retval == trace[()] == 0.5
    assert weight == trace.log_prob == pytest.approx(norm.logpdf(0.5), rel=1e-12)


def test_an_unvisited_constraint_is_an_error_unless_not_strict():
    with pytest.raises(UnusedConstraint, match=r"pair never visited 'yy'; did you mean 'y'"):
        pair.generate((), {"yy": 1.0})
    trace, weight = pair.generate((), {"yy": 1.0, "y": 2.0}, rng=0, strict=False)
    assert weight == trace.log_probs["y",]
    assert list(trace.choices) == [("x",), ("y",)]


@pytest.mark.parametrize(
    "constraints",
    [
        {"p": {"x": 1.0, "y": 2.0}},
        {("p", "x"): 1.0, ("p", "y"): 2.0},
        {"p": ChoiceMap({"x": 1.0, "y": 2.0})},
        ChoiceMap({("p", "x"): 1, "p": {"y": 2}}),
    ],
    ids=["nested", "flat", "a choice map inside", "a choice map"],
)
def test_constraints_may_be_nested_flat_or_a_choice_map(constraints):
    @gen
    def f():
        return pair() @ "p"

    trace, weight = f.generate((), constraints)
    assert trace.choices == ChoiceMap({"p": {"x": 1.0, "y": 2.0}})
    assert weight == pytest.approx(trace.log_prob, rel=1e-15)


def test_the_choices_of_a_trace_are_constraints_for_another_run():
    trace = walk.simulate((4,), rng=0)
    again, weight = walk.generate((4,), trace.choices)
    assert again.choices == trace.choices
    assert weight == trace.log_prob == again.log_prob


@pytest.mark.parametrize(
    "draw",
    [
        lambda f, args, rng: f.simulate(args, rng).choices,
        lambda f, args, rng: f.generate(args, rng=rng)[0].choices,
        lambda f, args, rng: f.propose(args, rng)[0],
    ],
    ids=["simulate", "generate", "propose"],
)
def test_a_seeded_run_is_reproducible_to_the_bit(draw):
    line = make_line()
    args = (np.linspace(0.0, 1.0, 5),)
    first = draw(line, args, 7)["ys"]
    assert first.tobytes() == draw(line, args, 7)["ys"].tobytes()
    assert first.tobytes() == draw(line, args, np.random.default_rng(7))["ys"].tobytes()
    assert first.tobytes() != draw(line, args, 8)["ys"].tobytes()


def test_a_generator_moves_on_from_run_to_run():
    rng = np.random.default_rng(0)
    assert pair.simulate((), rng)["x"] != pair.simulate((), rng)["x"]


def test_runs_without_a_seed_differ():
    assert pair.simulate()["x"] != pair.simulate()["x"]


def test_values_that_are_handed_out_cannot_be_written_to():
    line = make_line()
    xs = np.zeros(3)
    for trace in (line.simulate((xs,)), line.generate((xs,), {"ys": np.ones(3)})[0]):
        for value in (trace["ys"], trace.retval, trace.choices["ys"]):
            with pytest.raises(ValueError, match="read-only"):
                value[0] = 1.0


def test_a_constraint_is_copied_and_stays_writable_for_its_owner():
    ys = np.zeros(3)
    trace, _ = make_line().generate((np.zeros(3),), {"ys": ys})
    ys[0] = 100.0
    assert trace["ys"][0] == 0.0


def test_the_array_of_a_parameter_cannot_be_written_to_by_the_model():
    @gen
    def f():
        param("w")[0] = 1.0

    init_param(f, "w", [0.0, 0.0])
    with pytest.raises(ValueError, match="read-only"):
        f.simulate()


def test_a_failing_run_inside_a_running_model_leaves_the_outer_one_running():
    @gen
    def broken():
        raise RuntimeError("no")

    @gen
    def outer():
        with pytest.raises(RuntimeError, match="no"):
            broken.simulate()
        return normal(0.0, 1.0) @ "x", param("a", 1.0)

    assert outer.simulate().retval[1] == 1.0


# --- What `dir` shows


EXECUTING = {"simulate", "generate", "propose", "assess"}


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        (pair, EXECUTING | {"arg_grads", "inline", "params", "signature", "with_params"}),
        (map_(pair), EXECUTING | {"arg_grads", "inline", "params", "signature", "with_params"}),
        (
            normal,
            EXECUTING
            | {"arguments", "has_gradients", "log_prob", "log_probs", "sample", "support"},
        ),
        (normal(0.0, 1.0), {"args", "fn", "log_prob", "log_probs", "options", "sample"}),
        (
            pair.simulate(),
            {
                *("args", "calls", "choices", "gen_fn", "log_prob", "log_probs", "parameters"),
                *("retval", "is_stale", "accumulate_param_gradients", "param_gradients"),
                *("choice_gradients", "update", "regenerate", "project", "rescored"),
                "restore_parameters",
            },
        ),
        (
            ChoiceMap({"x": 1.0}),
            {
                *("get", "items", "keys", "values", "view", "merge", "select", "without"),
                *("rows", "to_dict", "to_array", "from_array"),
            },
        ),
    ],
    ids=["a function of @gen", "a combination", "a distribution", "a call", "a trace", "choices"],
)
def test_dir_shows_what_a_user_needs_and_nothing_else(thing, shown):
    assert {name for name in dir(thing) if not name.startswith("_")} == shown
