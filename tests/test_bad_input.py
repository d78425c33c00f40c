"""What people do wrong: what they are told, and that nothing was changed by it.

Each row prepares models and returns the wrong thing to do. Every parameter, accumulator and update
state of the models that it shows to `watch` is compared, to the bit, before and after.
"""

# pyright: reportCallIssue=false, reportArgumentType=false, reportOperatorIssue=false

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from genparams import (
    ADAM,
    ChoiceMap,
    ParamStore,
    ParamUpdate,
    accumulate_param_gradients,
    gen,
    get_param,
    increment_param_grad,
    init_param,
    normal,
    param,
    poisson,
    positive,
    real,
    set_param,
    set_param_grad,
    simplex,
)
from genparams.dsl.combinators import map_, mask, switch, unfold
from genparams.dsl.custom import custom_gradient, custom_random
from genparams.errors import (
    AddressConflict,
    AddressError,
    ArgumentError,
    ConstraintError,
    DistributionError,
    GradientShapeError,
    InvalidValue,
    MissingChoice,
    NonFiniteGradient,
    NothingAccumulated,
    NotRunning,
    ShapeError,
    TracedValueError,
    UnaddressedChoice,
    UninitializedParameter,
    UnknownAddress,
    UnknownFunction,
    UnknownParameter,
    UnusedConstraint,
    UpdateError,
)


class Watch:
    """The models of a row: parameters with values, accumulated gradients, and an update."""

    def __init__(self):
        self.stores = []
        self.updates = []

    def __call__(self, f, constraints=None, **values):
        """Watch a function; with values it has parameters, and its update has taken a step."""
        for name, value in values.items():
            f.params.init(name, value, (constraints or {}).get(name, real))
        if values:
            update = ParamUpdate(ADAM(0.01), f)
            shapes = {name: p.shape for name, p in f.params.items()}
            update.apply(grads={name: np.ones(shape) for name, shape in shapes.items()})
            for name, shape in shapes.items():
                f.params[name].increment_grad(np.full(shape, 0.5))
            self.updates.append(update)
        self.stores.append(f.params)
        return f

    def snapshot(self):
        parameters = [
            (name, id(p), p.constraint, p.frozen, p.accumulated, p.fault)
            + tuple(map(bits, (p.value, p.coordinates, p.grad)))
            for store in self.stores
            for name, p in store.items()
        ]
        states = [{k: bits(v) for k, v in update.state_dict().items()} for update in self.updates]
        return parameters, states


def bits(value):
    value = np.asarray(value)
    return value.dtype.str, value.shape, value.tobytes()


def a_model(watch):
    @gen
    def line(xs):
        mean = param("slope") * xs + param("intercept")
        return normal(mean, param("noise")) @ "ys"

    return watch(line, {"noise": positive}, slope=1.0, intercept=[0.5, 0.5, 0.5], noise=2.0)


XS = np.array([0.0, 1.0, 2.0])


def in_model(body):
    """Simulating a model that has a parameter, declares another and then does what `body` says."""

    def row(watch):
        @gen
        def f():
            param("kept")
            param("declared", 1.0)
            return body()

        watch(f, kept=3.0)
        return f.simulate

    return row


def calling(body, callee):
    """The same with a model that `body` is given, such as one that it calls."""
    return lambda watch: in_model(partial(body, watch(gen(callee))))(watch)


def calling_line(body):
    return lambda watch: in_model(partial(body, a_model(watch)))(watch)


def visits(*addresses):
    return in_model(lambda: [normal(0.0, 1.0) @ address for address in addresses])


def with_line(action):
    return lambda watch: partial(action, a_model(watch))


def with_model(action, body, constraints=None, **values):
    return lambda watch: partial(action, watch(gen(body), constraints, **values))


def with_update(**grads):
    def row(watch):
        a_model(watch)
        return lambda: watch.updates[0].apply(grads=grads)

    return row


@dataclass(frozen=True)
class Key:
    """Hashable by its type, and not by its value."""

    items: list


def a_constraint_on_the_address_of_a_call(watch):
    inner = watch(gen(lambda: normal(0.0, 1.0) @ "x"))
    f = watch(gen(lambda: inner() @ "part"))
    return lambda: f.generate((), {"part": 1.0})


def a_trace_asked_for_an_unknown_address(watch):
    trace = a_model(watch).simulate((XS,))
    return lambda: trace["yss"]


def a_scale_that_has_become_negative(watch):
    f = watch(gen(lambda: normal(0.0, param("std")) @ "x"), std=1.0)
    trace = f.simulate()
    set_param(f, "std", -0.5)
    return trace.accumulate_param_gradients


def callee():
    return param("mu")


# --- Updates


def an_update(**by_name):
    def row(watch):
        @gen
        def known_to_updates():
            return param("slope")

        watch(known_to_updates, slope=1.0)
        return lambda: (known_to_updates, ParamUpdate(ADAM(0.1), **by_name))

    return row


def two_live_functions_of_one_name(watch):
    def make():
        @gen
        def an_ambiguous_name():
            return param("a")

        return watch(an_ambiguous_name, a=1.0)

    both = [make(), make()]
    return lambda: (both, ParamUpdate(ADAM(0.1), an_ambiguous_name=["a"]))


def apply_with_nothing_accumulated(watch):
    line = a_model(watch)
    for name in line.params:
        line.params[name].zero_grad()
    return watch.updates[0].apply


def apply_a_gradient_that_is_not_finite(watch):
    @gen
    def overflowing():
        w = param("w")
        normal(w, 1.0) @ "good"
        normal(np.sqrt(w), 1.0) @ "bad"

    watch(overflowing, w=[1.0, 2.0])
    trace = overflowing.simulate()
    set_param(overflowing, "w", [0.0, 1.0])
    with np.errstate(divide="ignore"):
        trace.accumulate_param_gradients()
    return watch.updates[0].apply


# --- Gradients


def at_gradient_time(body):
    """A body that runs, and fails when its gradient is taken."""

    def row(watch):
        f = watch(gen(lambda: body(param("a"), param("w"))), a=0.3, w=[1.0, 2.0])
        return f.simulate().accumulate_param_gradients

    return row


def exponential_by_math(a, w):
    return normal(0.0, math.exp(a)) @ "x"


def assignment_into_an_array(a, w):
    array = np.zeros(2)
    array[0] = a
    return normal(array, 1.0) @ "x"


def assignment_of_an_array(a, w):
    array = np.zeros((2, 2))
    array[0] = w
    return normal(array, 1.0) @ "x"


def addition_in_place(a, w):
    mean = np.zeros(2)
    mean += a
    return normal(mean, 1.0) @ "x"


def a_parameter_as_an_index(a, w):
    return normal(w[int(a)], 1.0) @ "x"


def a_retval_grad(returned, retval_grad):
    def row(watch):
        f = watch(gen(lambda: returned(param("w"))), w=[1.0, 2.0])
        trace = f.simulate()
        return lambda: trace.accumulate_param_gradients(retval_grad)

    return row


def one_failing_trace_among_several(watch):
    line = a_model(watch)
    bad = watch(gen(lambda: normal(0.0, math.exp(param("a"))) @ "x"), a=0.3)
    traces = [line.simulate((XS,)), bad.simulate(), line.simulate((XS,))]
    return lambda: accumulate_param_gradients(traces)


def more_scales_than_traces(watch):
    trace = a_model(watch).simulate((XS,))
    return lambda: accumulate_param_gradients([trace], scale=[1.0, 2.0])


# --- Edits of traces


def a_branching_trace(watch):
    @gen
    def below(x):
        return normal(x, param("std")) @ "v"

    @gen
    def other(x):
        return normal(x, 1.0) @ "v"

    @gen
    def branching(first):
        x = normal(param("mu"), 1.0) @ "x"
        param("declared", 1.0)
        poisson(2.0) @ ("deep", "count")
        return (below if first else other)(x) @ "part"

    watch(other)
    watch(below, std=1.0)
    return watch(branching, mu=0.5).simulate((True,))


def an_edit(action):
    return lambda watch: partial(action, a_branching_trace(watch))


# --- Combinators


def combined(combinator, *args):
    """Simulating a model that has a parameter, declares another and runs a combinator."""

    def row(watch):
        kernel = watch(gen(lambda x, y: normal(param("mu") * x, 1.0) @ "x"), mu=1.0)
        return in_model(lambda: combinator(kernel)(*args) @ "part")(watch)

    return row


# --- Gradients by hand


def by_hand(gradient):
    def row(watch):
        @gen
        def f():
            normal(param("mu"), 1.0) @ "x"
            return custom_gradient(lambda a, w: a * w, gradient)(param("mu"), param("w")) @ "y"

        trace = watch(f, mu=0.5, w=[1.0, 2.0]).simulate()
        return lambda: trace.accumulate_param_gradients(np.ones(2))

    return row


def random_by_hand(gradients):
    def row(watch):
        f = custom_random(
            lambda rng, m: rng.normal(m), lambda x, m: -x * x, gradients, ("m",), name="odd"
        )
        trace = watch(f, m=0.5).simulate()
        return trace.accumulate_param_gradients

    return row


# --- A model that fails


def fails():
    param("also declared", 1.0)
    normal(0.0, 1.0) @ "x"
    raise KeyError("the model's own")


MISTAKES = {
    AddressConflict: [
        (
            an_edit(lambda t: t.update({}, (False,))),
            "'part' changed from below to other; give each function an address of its own",
        ),
        (
            an_edit(lambda t: t.regenerate("x", (False,))),
            "the call at 'part' changed from below to other",
        ),
        (an_edit(lambda t: t.choices.merge({"x": 1.0})), "both maps have a value for 'x'"),
        (
            an_edit(lambda t: t.choices.merge({("x", "y"): 1.0})),
            r"\('x', 'y'\) is nested under the value for 'x'",
        ),
        (
            with_line(lambda line: line.generate((XS,), {"ys": XS, ("ys", 0): 1.0})),
            r"\('ys', 0\) is nested under the value for 'ys'",
        ),
        (
            visits("x", "x"),
            "f visited 'x' twice; give each choice its own address",
        ),
        (
            visits("x", ("x", 1)),
            r"f visited \('x', 1\), nested under the choice at 'x'",
        ),
        (
            visits(("x", 1), "x"),
            "f visited 'x' twice; other choices are nested under it",
        ),
    ],
    AddressError: [
        (visits(["x"]), r"made of hashable keys, got \['x'\]"),
        (
            visits(("x", {})),
            r"made of hashable keys, got \{\} in \('x', \{\}\)",
        ),
        (visits(("x", (1, 2))), r"flat tuple of keys.*write \('x', 1, 2\)"),
        (visits(("x", Key([1]))), r"Key\(items=\[1\]\)\) is not hashable"),
    ],
    ArgumentError: [
        (
            an_edit(lambda t: t.update({}, True)),
            r"one tuple and come first, got bool; write \(first,\)",
        ),
        (
            combined(lambda kernel: map_(kernel, shared=("z",)), [1.0], [2.0]),
            "has no argument 'z'; known: x, y",
        ),
        (combined(lambda _: map_(len), [1.0]), "map_ takes a generative function, got .*@gen"),
        (
            combined(lambda kernel: switch(left=kernel, right=kernel), "rihgt", 1.0, 2.0),
            "switch has no case 'rihgt'; did you mean right",
        ),
        (
            combined(lambda kernel: switch(kernel, normal), 1, 0.0),
            r"case 1 of a switch takes a function of @gen, got normal\(mu, std\)",
        ),
        (
            combined(lambda kernel: mask(normal), True, 0.0),
            r"mask takes a function of @gen, got normal\(mu, std\)",
        ),
        (
            combined(lambda _: custom_gradient(lambda x: x, lambda i, r, g: (g,), ("a", "b")), 1.0),
            r"takes 1 inputs, fewer than the parameters \('a', 'b'\)",
        ),
        (with_line(lambda line: line.simulate(())), r"line\(xs\) was given 0 arguments: missing"),
        (
            with_line(lambda line: line.assess((XS, XS), {"ys": XS})),
            r"line\(xs\) was given 2 arguments",
        ),
        (calling_line(lambda line: line() @ "line"), r"line\(xs\) was given 0 arguments: missing"),
        (calling_line(lambda line: line(XS, noise=1.0) @ "line"), r"line\(xs\).*'noise'"),
        (calling_line(lambda line: line.inline(XS, XS)), r"line\(xs\) was given 2 arguments"),
        (in_model(lambda: normal(0.0) @ "x"), r"write normal\(mu, std\); got 1 by pos"),
        (
            in_model(lambda: normal(0.0, sd=1.0) @ "x"),
            r"normal\(mu, std\) has no argument 'sd'; write std",
        ),
        (
            with_line(lambda line: line.simulate(XS)),
            r"one tuple and come first, got ndarray; write \(xs,\)",
        ),
        (
            with_line(lambda line: gen(arg_grads=("xss",))(lambda xs: xs)),
            "no argument 'xss'; did you mean xs",
        ),
        (with_line(lambda line: gen(arg_grads="xs")(lambda xs: xs)), r"write \('xs',\)"),
    ],
    ConstraintError: [
        (
            with_line(lambda line: init_param(line, "noise", 0.0, constraint=positive)),
            "is not positive: every entry must be above 0",
        ),
        (
            with_line(lambda line: set_param(line, "noise", -1.0)),
            "is not positive: every entry must be above 0",
        ),
        (
            with_model(
                lambda f: set_param(f, "p", [0.5, 0.6]),
                lambda: param("p"),
                {"p": simplex},
                p=[0.5, 0.5],
            ),
            "is not simplex:.*sum to 1",
        ),
        (in_model(lambda: param("std", -1.0, constraint=positive)), "is not positive"),
    ],
    DistributionError: [
        (
            an_edit(lambda t: t.choice_gradients(["x", "deep"])),
            r"\('deep', 'count'\) is discrete \(poisson\).*select continuous choices only",
        ),
        (
            with_model(
                lambda f: f.generate((), {"x": "high"}),
                lambda: normal(param("mu"), 1.0) @ "x",
                mu=0.0,
            ),
            "at 'x': expected numbers.*high",
        ),
        (
            with_model(
                lambda f: f.generate((), {"x": math.nan}),
                lambda: normal(param("mu"), 1.0) @ "x",
                mu=0.0,
            ),
            "at 'x':.*NaN",
        ),
        (
            in_model(lambda: normal(0.0, -1.0) @ ("noise", 3)),
            r"\('noise', 3\): std of normal must be above 0.*-1\.0",
        ),
        (a_scale_that_has_become_negative, r"at 'x':.*above 0.*-0\.5"),
    ],
    GradientShapeError: [
        (
            by_hand(lambda inputs, r, g: (g @ inputs[1],)),
            "must be a tuple of 2, one for each input, got 1",
        ),
        (by_hand(lambda inputs, r, g: (g, g)), r"by its input 0 must have shape \(\), got \(2,\)"),
        (
            random_by_hand(lambda x, m: (0.0,)),
            "gradient of odd must be a tuple of 2, one for each input, got 1",
        ),
        (
            random_by_hand(lambda x, m: (0.0, [0.0])),
            r"gradient of odd by its input 1 must have shape \(\), got \(1,\)",
        ),
    ],
    InvalidValue: [
        (
            with_line(lambda f: init_param(f, "slope", "steep")),
            "parameter 'slope' must be a number or an array of numbers, got 'steep'",
        ),
    ],
    KeyError: [
        (calling(lambda inner: inner() @ "inner", fails), "the model's own"),
    ],
    MissingChoice: [
        (with_line(lambda line: line.assess((XS,), {})), "line needs a value for 'ys'"),
    ],
    NonFiniteGradient: [
        (
            apply_a_gradient_that_is_not_finite,
            "parameter 'w' is not finite at step 2; the log probability of 'bad' made it",
        ),
        (with_update(slope=math.nan), "line's parameter 'slope' .* step 2"),
    ],
    NotRunning: [
        (with_line(lambda line: param("slope")), r"param\('slope'\) is outside.*@gen"),
        (
            with_line(lambda line: normal(0.0, 1.0) @ "x"),
            r"normal\(\.\.\.\) @ 'x' is outside.*@gen",
        ),
        (with_line(lambda line: line.inline(XS)), r"line\.inline\(\.\.\.\) is outside"),
    ],
    NothingAccumulated: [
        (apply_with_nothing_accumulated, r"line\.slope.*before apply"),
    ],
    ShapeError: [
        (
            an_edit(lambda t: t.choice_gradients("x", np.ones(2))),
            r"the return value has shape \(\); retval_grad has shape \(2,\)",
        ),
        (combined(map_, [1.0, 2.0], [1.0]), "needs mapped arguments of one length, got x: 2, y: 1"),
        (
            combined(map_, [1.0, 2.0], 1.0),
            r"the mapped argument y is 1\.0; give one entry for each call, or name it in shared=",
        ),
        (
            combined(lambda kernel: map_(kernel, shared=("x", "y")), 1.0, 2.0),
            "of one length, got shared ones only",
        ),
        (combined(unfold, -1, 1.0), "needs a length that is a whole number, at least 0, got -1"),
        (
            combined(unfold, 1.5, 1.0),
            r"needs a length that is a whole number, at least 0, got 1\.5",
        ),
        (
            with_line(lambda line: line.generate((XS,), {"ys": [1.0, 2.0]})),
            r"at 'ys':.*shape \(3,\) here, got \(2,\)",
        ),
        (
            with_line(lambda line: line.assess((XS,), {"ys": 1.0})),
            r"at 'ys':.*shape \(3,\) here, got \(\)",
        ),
        (
            with_model(
                lambda f: f.generate((), {"x": [1.0, 2.0]}),
                lambda: normal(param("mu"), 1.0) @ "x",
                mu=0.0,
            ),
            r"at 'x':.*shape \(\) here, got \(2,\).*size=\(2,\)",
        ),
        (in_model(lambda: normal(np.zeros(2), np.ones(3)) @ "x"), r"at 'x':.*\(2,\), \(3,\)"),
        (
            with_update(slope=1.0, intercept=[1.0, 2.0]),
            r"'intercept' must have shape \(3,\).*got \(2,\)",
        ),
        (more_scales_than_traces, "1 traces need one scale or 1, got 2"),
        (
            with_line(lambda f: set_param(f, "intercept", 0.0)),
            r"parameter 'intercept' has shape \(3,\), got \(\); init_param",
        ),
        (
            with_line(lambda f: set_param_grad(f, "intercept", [1.0])),
            r"gradient of parameter 'intercept' must have shape \(3,\), got \(1,\)",
        ),
        (
            with_line(lambda f: increment_param_grad(f, "slope", [1.0, 2.0])),
            r"gradient of parameter 'slope' must have shape \(\), got \(2,\)",
        ),
        (
            a_retval_grad(lambda w: w, np.ones(3)),
            r"return value has shape \(2,\); retval_grad has shape \(3,\)",
        ),
        (a_retval_grad(lambda w: (w, w), (np.ones(2),)), "return value has 2 parts"),
        (a_retval_grad(lambda w: {"a": w}, {"b": np.ones(2)}), r"dictionary with keys \['a'\]"),
        (
            a_retval_grad(lambda w: {"a": (w, w[0])}, {"a": (None, np.ones(2))}),
            r"return value\['a'\]\[1\] has shape \(\); retval_grad has shape \(2,\)",
        ),
        (a_retval_grad(lambda w: w[0], {"a": 1.0}), "return value"),
        (a_retval_grad(lambda w: None, 1.0), "return value"),
    ],
    TracedValueError: [
        (one_failing_trace_among_several, r"write np\.exp"),
        (
            at_gradient_time(exponential_by_math),
            r"math module.*write np\.exp.*line \d+ of .*test_bad_input\.py: .*math\.exp\(a\)",
        ),
        (
            at_gradient_time(assignment_into_an_array),
            r"assignment into an array.*np\.stack.*line \d+ of .*test_bad_input\.py",
        ),
        (
            at_gradient_time(assignment_of_an_array),
            r"assignment into an array.*np\.stack.*line \d+ of .*test_bad_input\.py",
        ),
        (
            at_gradient_time(addition_in_place),
            r"in-place.*x = x \+ y instead of x \+= y.*line \d+ of .*test_bad_input\.py",
        ),
        (
            at_gradient_time(a_parameter_as_an_index),
            r"int\(\).*discrete choice.*test_bad_input\.py",
        ),
    ],
    UnaddressedChoice: [
        (in_model(lambda: 1.0 + normal(0.0, 1.0)), r'normal\(\.\.\.\) @ "name"'),
        (in_model(lambda: 1.0 if poisson(2.0) == 0 else 2.0), r'poisson\(\.\.\.\) @ "name"'),
        (in_model(lambda: normal(0.0, 1.0)), r'returned normal\(\.\.\.\).*@ "name"'),
        (
            calling(lambda inner: inner() @ "inner", lambda: normal(0.0, 1.0)),
            r"returned normal\(\.\.\.\)",
        ),
        (
            in_model(lambda: normal(normal(0.0, 1.0), 1.0) @ "x"),
            r'mu of normal is normal\(\.\.\.\).*@ "name"',
        ),
        (
            calling(
                lambda inner: inner(normal(0.0, 1.0)) @ "inner", lambda x: normal(x, 1.0) @ "x"
            ),
            r'normal\(\.\.\.\) @ "name"',
        ),
        (in_model(lambda: np.exp(normal(0.0, 1.0))), r'normal\(\.\.\.\) @ "name"'),
        (calling(lambda inner: inner() * 2.0, lambda: 1.0), r'\(\.\.\.\) @ "name"'),
    ],
    UninitializedParameter: [
        (in_model(lambda: param("kpt")), r"init_param\(f, 'kpt'.*kept"),
        (calling(lambda inner: inner() @ "part", callee), r"init_param\(callee, 'mu"),
    ],
    UnknownAddress: [
        (
            an_edit(lambda t: t.regenerate(["x", "y"])),
            "there is nothing at or below the selected address 'y'",
        ),
        (
            an_edit(lambda t: t.project(("deep", "cuont"))),
            r"\('deep', 'cuont'\); did you mean \('deep', 'count'\)",
        ),
        (
            an_edit(lambda t: t.choice_gradients("y")),
            "there is nothing at or below the selected address 'y'",
        ),
        (a_trace_asked_for_an_unknown_address, "no choice at 'yss'.*'ys'"),
    ],
    UnknownFunction: [
        (two_live_functions_of_one_name, "2 live functions.*pass the function"),
        (
            an_update(known_to_update=["slope"]),
            "no generative function is named 'known_to_update'; did you mean known_to_updates",
        ),
    ],
    UnknownParameter: [
        (with_update(slope=1.0, slop=1.0), "no parameter 'slop'.*slope"),
        (
            with_line(lambda f: set_param(f, "slop", 0.0)),
            "line has no parameter 'slop'; did you mean slope",
        ),
        (with_line(lambda f: get_param(f, "noize")), "did you mean noise"),
        (
            an_update(known_to_updates=["slope", "slop"]),
            "known_to_updates has no parameter 'slop'; did you mean slope",
        ),
    ],
    UnusedConstraint: [
        (
            an_edit(lambda t: t.update({"xx": 1.0})),
            "branching never visited 'xx'; did you mean 'x'",
        ),
        (
            an_edit(lambda t: t.update({"part": 1.0})),
            "'part' is a call; give values for the choices nested under it",
        ),
        (
            with_line(lambda line: line.generate((XS,), {"y": [1.0, 2.0, 3.0]})),
            "line never visited 'y'.*'ys'",
        ),
        (
            with_model(
                lambda f: f.generate((), {"z": 1.0}),
                lambda: normal(param("declared", 1.0), 1.0) @ "x",
            ),
            "never visited 'z'",
        ),
        (a_constraint_on_the_address_of_a_call, "'part' is a call; give values"),
        (
            with_line(lambda line: line.assess((XS,), {"ys": XS, "zs": 1.0})),
            "line never visited 'zs'.*'ys'",
        ),
    ],
    UpdateError: [
        (an_update(known_to_updates="slope"), r"write \['slope'\]"),
    ],
}


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [(row, error, told) for error, rows in MISTAKES.items() for row, told in rows],
)
def test_a_mistake_is_told_and_changes_nothing(row, error, message):
    watch = Watch()
    wrong = row(watch)
    before = watch.snapshot()
    with pytest.raises(error, match=message):
        wrong()
    assert watch.snapshot() == before
    assert_the_library_still_works()


def assert_the_library_still_works():
    with pytest.raises(NotRunning):
        param("a")

    @gen
    def f():
        return normal(param("mu", 0.0), 1.0) @ "x"

    trace, weight = f.generate((), {"x": 1.0})
    update = ParamUpdate(ADAM(0.5), f)
    trace.accumulate_param_gradients()
    update.apply()
    assert weight == trace.log_prob
    assert f.params["mu"].value == pytest.approx(0.5, abs=1e-6)


def test_a_whole_number_as_a_parameter_works_as_a_float():
    @gen
    def f():
        return normal(param("a"), 1.0) @ "x"

    init_param(f, "a", 1)
    trace, _ = f.generate((), {"x": 2})
    update = ParamUpdate(ADAM(0.25), f)
    trace.accumulate_param_gradients()
    update.apply()
    assert get_param(f, "a") == pytest.approx(1.25, abs=1e-6)


def test_a_mistake_below_a_store_of_its_own_changes_nothing():
    theta = ParamStore(w=[1.0, 2.0])
    update = ParamUpdate(ADAM(0.1), theta)
    for wrong in ({"w": 1.0}, {"v": 1.0}, {"w": [math.inf, 0.0]}, {}):
        with pytest.raises((ShapeError, UnknownParameter, UpdateError)):
            update.apply(grads=wrong)
    assert theta["w"].value.tolist() == [1.0, 2.0]
    assert update.steps == 0


def test_a_choice_map_with_a_mistake_in_it_is_refused_before_anything_runs():
    ran = []
    f = gen(lambda: ran.append(1))
    with pytest.raises(AddressConflict):
        f.generate((), {"a": 1.0, ("a", "b"): 2.0})
    with pytest.raises(AddressConflict):
        f.assess((), ChoiceMap({"a": {"b": 1.0}, ("a", "b"): 2.0}))
    assert ran == []
