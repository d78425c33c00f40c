"""What beginners do wrong: each mistake has an error of the library that says what to write.

Laws walk over every public function; the table holds mistakes that nothing but an example finds.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportIndexIssue=false, reportOptionalMemberAccess=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

import functools
import math
import pickle

import numpy as np
import pytest

import genparams
from genparams import (
    ADAM,
    SGD,
    ChoiceMap,
    FixedStepGradientDescent,
    ParamStore,
    ParamUpdate,
    ReduceOnPlateau,
    RMSProp,
    Rule,
    accumulate,
    accumulate_param_gradients,
    bernoulli,
    beta,
    binomial,
    by_name,
    categorical,
    check_gradients,
    cosine_decay,
    custom_gradient,
    custom_random,
    distribution,
    elementwise,
    exponential,
    gamma,
    gen,
    get_param,
    increment_param_grad,
    init_param,
    interval,
    load_checkpoint,
    map_,
    mask,
    mixture,
    normal,
    ordered,
    param,
    poisson,
    positive,
    project,
    recurse,
    save_checkpoint,
    select,
    set_param,
    set_param_grad,
    simplex,
    stateful,
    stateless,
    student_t,
    switch,
    transformed,
    truncated,
    unfold,
    unit_interval,
)
from genparams.constraints import lower_cholesky
from genparams.errors import (
    AddressError,
    ArgumentError,
    ConstraintError,
    GenParamsError,
    ImmutableError,
    InvalidValue,
    ShapeError,
    UnaddressedChoice,
    UninitializedParameter,
    UnknownAddress,
    UnknownAttribute,
    UnknownFunction,
    UnknownImport,
    UnknownParameter,
    UnusedConstraint,
    UpdateError,
)
from genparams.vocabulary import ELSEWHERE, OURS

XS = np.array([0.0, 1.0, 2.0])


@gen
def line(xs):
    slope, noise = param("slope", 0.0), param("noise", 1.0, constraint=positive)
    return normal(slope * xs, noise) @ "ys"


@gen
def inner(x):
    return normal(x, 1.0) @ "x"


@gen
def outer(x):
    return inner(x) @ "part"


@gen
def several(xs):
    return map_(inner)(xs) @ "g"


def a_trace():
    return line.generate((XS,), {"ys": XS})[0]


def a_run(body, *args):
    return lambda: gen(body).simulate(args)


def a_method():
    class Model:
        @gen
        def step(self, x):
            return x

    return Model


def an_asynchronous_function():
    async def f():
        return 1.0

    return gen(f)


def a_generator():
    def f():
        yield 1.0

    return gen(f)


def gen_with(**values):
    @gen
    def f():
        return 1.0

    for name, value in values.items():
        init_param(f, name, value)
    return f


@gen
def calls_in_a_mixture():
    parts = [normal(0.0, 1.0) @ "a", normal(1.0, 1.0) @ "b"]
    return mixture([0.5, 0.5], parts) @ "x"


def an_update():
    return ParamUpdate(ADAM(0.1), ParamStore(a=1.0))


def a_step(rule):
    return lambda: ParamUpdate(rule(), ParamStore(a=1.0)).apply({"a": 1.0})


MISTAKES = {
    AddressError: [
        (lambda: a_trace().regenerate({"y": 1.0}), r"addresses, not values.*write \['y'\]"),
        (lambda: ChoiceMap({"a": 1.0})[["a"]], "hashable"),
        (lambda: ["a"] in ChoiceMap({"a": 1.0}), "hashable"),
        (lambda: ChoiceMap({math.nan: 1.0}), "NaN"),
        (a_run(lambda: normal(0.0, 1.0) @ inner(0.0)), "hashable"),
        (a_run(lambda: normal(0.0, 1.0) @ math.nan), "NaN"),
        (lambda: select(["a", "b"]), "hashable"),
    ],
    ArgumentError: [
        (
            lambda: genparams.mcmc(genparams.hmc, a_trace(), 10),
            r"functools.partial\(hmc, selection",
        ),
        (lambda: genparams.mala((a_trace(), True), "y"), "write trace, accepted = "),
        (lambda: line.simulate(5), r"got int; write \(xs,\)"),
        (lambda: line.simulate([XS]), r"write \(xs,\)"),
        (lambda: line.simulate(xs=XS), "no argument 'xs'; known: args"),
        (lambda: gen(lambda: 1.0).simulate(5), r"got int; write \(\)"),
        (lambda: gen(lambda a, b: 1.0).simulate(5), r"write \(a, b\)"),
        (
            lambda: line.generate({"ys": XS}),
            r"got dict.*choices come after them in generate\(args, constraints\)",
        ),
        (lambda: line.simulate((XS,), seed=1), "'seed'; write rng"),
        (lambda: line.propose((XS,), random_state=1), "write rng"),
        (lambda: line.generate((XS,), obs={}), "write constraints"),
        (lambda: line.generate((XS,), {})["ys"], r"write trace, weight = generate\("),
        (lambda: [*line.simulate((XS,))], "no parts to unpack"),
        (lambda: a_trace().accumulate_param_gradients(weight=2.0), "'weight'; write scale"),
        (lambda: ChoiceMap(a=1.0), "no argument 'a'"),
        (a_run(lambda: 1.0 @ "x"), "is before @ must be a call"),
        (
            a_run(lambda: param("s", constraint=positive)),
            r"write param\('s', value, constraint=positive\)",
        ),
        (a_run(lambda: param("s", value=1.0)), r'param\("name", value'),
        (a_run(lambda: list(range(param("n", 3)))), "take a count or an index from an argument"),
        (a_run(lambda: param("a", 2.0) * [1.0]), r"np.array"),
        (lambda: gen(inner), "generative already"),
        (lambda: gen(Exception), "def or lambda"),
        (lambda: gen(math.exp), "write a function around it"),
        (lambda: gen(functools.partial(max, 1)), "def or lambda"),
        (a_method, "step as a function outside the class"),
        (lambda: gen(classmethod(lambda cls: 1)), "@staticmethod above"),
        (an_asynchronous_function, "def without async"),
        (a_generator, r"return \[\.\.\.\]"),
        (lambda: unfold(normal, 3), "arg_grads is a tuple of names"),
        (lambda: switch(), r"such as switch\(f, g\)"),
        (lambda: custom_gradient(1.0, 2.0), "two functions"),
        (lambda: check_gradients(len), r"check_gradients\(f, args"),
        (lambda: accumulate_param_gradients(line), "f.generate"),
        (lambda: mixture(weights=[1.0], comps=[normal(0.0, 1.0)]), "did you mean components"),
        (lambda: init_param(gen_with(), "a", init=1.0), "'init'; write value"),
        (lambda: init_param(gen_with(), "a"), "'value'"),
        (lambda: init_param(gen_with(), "a", 0.5, bounds=(0, 1)), "write constraint"),
        (lambda: ADAM(lr=0.1), "'lr'; write learning_rate"),
        (lambda: FixedStepGradientDescent(lr=0.1), "write step_size"),
        (lambda: ADAM(betas=(0.9, 0.99)), "write beta1 and beta2"),
        (lambda: ADAM(eps=1e-8), "write epsilon"),
        (lambda: SGD(momentum=0.9), "the rule Momentum has it"),
        (lambda: Rule(ADAM), "argument: 'apply'"),
        (
            lambda: custom_gradient(lambda x: x, lambda x: 2.0),
            r"of \(inputs, r, g\), and <lambda>\(x\) is not",
        ),
        (
            lambda: custom_random(None, lambda x, rate: 0.0, lambda x: (1.0,), params=["rate"]),
            r"gradients of custom_random is a function of \(x, rate\)",
        ),
        (
            lambda: distribution(lambda x, m: -((x - m) ** 2)),
            r"sample of @distribution\(sample=...\) is a function of \(rng, size\)",
        ),
        (
            lambda: distribution(lambda rng, m: m, lambda x, m: x - m),
            "unexpected keyword argument 'size'",
        ),
        (
            lambda: distribution(lambda rng, m, size: m, lambda x, m, s: x - m),
            r"of \(rng, m, s, size\), and <lambda>\(rng, m, size\) is not",
        ),
        (
            lambda: unfold(inner),
            r"the kernel of unfold is a function of \(step, state\), and inner\(x\) is not",
        ),
        (
            lambda: recurse(inner, inner),
            r"aggregate of recurse is a function of \(value, results\)",
        ),
        (lambda: normal(loc=0.0, scale=1.0), "'loc'; write mu$"),
        (lambda: normal(mu=0.0, sigma=1.0), "'sigma'; write std$"),
        (lambda: binomial(10, p=0.3), "'p'; write probs$"),
        (lambda: poisson(lam=3.0), "'lam'; write rate$"),
        (lambda: exponential(scale=2.0), "rate, which is 1 / sc"),
        (lambda: student_t(nu=3.0, loc=0.0, scale=1.0), "'nu'; write df$"),
        (lambda: beta(a=1.0, b=2.0), "'a'; write alpha$"),
        (
            lambda: gamma(concentration=2.0, rate=1.0),
            r"gamma\(shape, scale=...\) or gamma\(shape, rate=...\) has no .*; write shape$",
        ),
        (lambda: normal(0.0, 1.0, shape=3), "write size$"),
        (
            lambda: bernoulli(0.5, logits=0.0),
            r"write bernoulli\(probs\) or bernoulli\(logits=...\); got 1 by position and logits",
        ),
        (lambda: categorical(["a", "b"], [0.5, 0.5]), r"categorical\(probs, labels=...\)"),
        (lambda: normal("x", 0.0, 1.0), "the address comes after @"),
        (
            a_run(lambda: normal(None, 1.0) @ "x"),
            "at 'x': mu of normal must be a number or an array of numbers, got None",
        ),
        (
            lambda: mixture([normal(0.0, 1.0), normal(1.0, 1.0)], [0.5, 0.5]),
            r"got 0.5 .*; write mixture\(weights, components\)",
        ),
        (
            lambda: mixture([0.5, 0.5], normal(0.0, 1.0), normal(1.0, 1.0)),
            "the components of a mixture are one list",
        ),
        (lambda: calls_in_a_mixture.simulate(), "a call inside another takes no @"),
        (
            lambda: truncated(normal, 0.0, 1.0),
            r"got normal without its arguments; write truncated\(base, low, high\)",
        ),
        (lambda: transformed(positive, normal(0.0, 1.0)), r"write transformed\(base, bijection\)"),
        (lambda: mask(inner).simulate((0.0, True)), "is True or False, got 0.0"),
        (lambda: switch([inner, inner]), "one after the other"),
        (lambda: positive(), "write constraint=positive$"),
        (lambda: cosine_decay(0.1, T_max=10), "'T_max'; write steps$"),
        (lambda: RMSProp(alpha=0.9), "learning_rate or rho$"),
        (lambda: ReduceOnPlateau(an_update()).step(), "value"),
        (lambda: ParamStore(1.0, 2.0), "too many positional"),
        (lambda: normal.sample(0.0, 1.0, seed=1), r"sample\(..., rng=seed\)"),
    ],
    ConstraintError: [
        (a_run(lambda: param("s", 1.0, constraint="positive")), "one such as positive"),
        (lambda: init_param(gen_with(), "a", 0.5, constraint=(0, 1)), r"interval\(0, 1\)"),
        (lambda: interval("a", "b"), "two numbers"),
    ],
    GenParamsError: [
        (lambda: ChoiceMap({("a", 1): 1.0, "a": {True: 2.0}}), "given twice"),
    ],
    ImmutableError: [
        (lambda: a_trace().__setitem__("ys", 1.0), r"trace.update\("),
        (lambda: ChoiceMap().__setitem__("a", 1.0), "merge"),
        (lambda: ChoiceMap({"a": 1.0}).__delitem__("a"), "without"),
        (lambda: gen_with().params.__setitem__("a", 1.0), r"init_param\(f, 'a', value\)"),
    ],
    InvalidValue: [
        (
            lambda: line.generate({"ys": XS}, (XS,)),
            r"arguments come first in generate\(args, constraints\)",
        ),
        (
            lambda: a_trace().update((XS,), {"ys": XS}),
            r"after the choices in trace.update\(constraints, args\)",
        ),
        (lambda: line.generate((XS,), [1.0]), "dictionary by address"),
        (lambda: line.simulate((XS,), rng="a"), "seed, or None"),
        (lambda: line.generate((XS,), {}, rng=-1), "at least 0"),
        (lambda: ChoiceMap([1.0]), "dictionary by address"),
        (a_run(lambda: 1 if param("w", [1.0, 2.0]) > 0 else 2), "np.where"),
        (a_run(lambda: param("w", [1.0, 2.0]).__setitem__(0, 1.0)), "are not changed"),
        (lambda: line.with_params({"slope": 1.0}), r"ParamStore\(name=value"),
        (
            lambda: ADAM(lambda: 0.1),
            r"a schedule is a function of \(count\), and <lambda>\(\) is not",
        ),
        (lambda: ADAM(cosine_decay), "'steps'"),
        (a_step(lambda: ADAM(lambda count: None)), "got None at count 0"),
        (a_step(lambda: ADAM(lambda count: -0.1)), "at least 0"),
        (
            a_step(lambda: SGD(lambda count: 1.0 / count)),
            r"fails at count 0 \(the first is 0\): ZeroDivisionError",
        ),
        (
            lambda: a_trace().accumulate_param_gradients(scale=math.nan),
            "scale must be a finite number, got nan",
        ),
        (lambda: by_name("adam", lr=0.1), "'lr'; write learning_rate$"),
        (
            lambda: genparams.GradientTracer().global_norm(3),
            "no record is of step 3: the records are empty",
        ),
        (
            lambda: increment_param_grad(line, "noise", 1.0, scale="x"),
            "scale must be a finite number, got 'x'",
        ),
        (
            lambda: save_checkpoint(line, model=line),
            "the path of a checkpoint comes first, such as 'run.npz', got <generative",
        ),
        (lambda: load_checkpoint(None, model=line), "got None"),
    ],
    ShapeError: [
        (lambda: ChoiceMap.rows({"x": 1.0}), "one entry for each call"),
        (lambda: ChoiceMap.rows({"x": [1.0], "y": [1.0, 2.0]}), "2 for 'y' and 1 for 'x'"),
        (lambda: ChoiceMap.rows({}), "rows takes one array or several"),
        (
            a_run(lambda: normal(0.0, 1.0, size=2.5) @ "x"),
            "at 'x': size of normal is a whole number, at least 0, or a tuple .*got 2.5",
        ),
        (lambda: normal.sample(0.0, 1.0, size=-1), "got -1$"),
    ],
    UnaddressedChoice: [
        (a_run(lambda: normal @ "x"), r"normal\(mu, std\) @"),
        (a_run(lambda: 1.0 + inner), r"inner\(x\) @"),
        (a_run(lambda: normal(0.0, 1.0).sum()), r'@ "name"\).sum'),
        (a_run(lambda: {"a": [normal(0.0, 1.0)]}), "returned normal"),
    ],
    UninitializedParameter: [
        (a_run(lambda: param("a")), r"param\('a', value\) in the model"),
    ],
    UnknownAddress: [
        (lambda: a_trace().choices["ys", 0], "'ys' is a choice"),
        (lambda: a_trace().choices.view("ys"), "'ys' is a choice"),
        (lambda: ChoiceMap({"a": 1.0}).view(("a", 0)), "'a' is a choice"),
    ],
    UnknownAttribute: [
        (
            lambda: line.generate((XS,), {}).accumulate_param_gradients(),
            r"write trace, weight = generate\(",
        ),
        (lambda: a_trace().update({}).log_prob, r"write trace, weight, discard = update\("),
        (lambda: a_trace().regenerate("ys").choices, r"write trace, weight = regenerate\("),
        (lambda: line.propose((XS,)).choices, r"write choices, weight, retval = propose\("),
        (lambda: line.assess((XS,), {"ys": XS}).log_prob, r"write log_prob, retval = assess\("),
        (lambda: setattr(a_trace(), "retval", 1.0), "does not change"),
        (lambda: a_trace().score, "write trace.log_prob"),
        (lambda: a_trace().get_retval(), "write trace.retval"),
        (lambda: a_trace().backward(), "accumulate_param_gradients"),
        (lambda: ChoiceMap({"a": 1.0}).pop("a"), "without"),
        (lambda: ChoiceMap({"a": 1.0}).update({"b": 1.0}), "merge"),
        (lambda: line.fit(XS), r"write fit\(f, args"),
        (lambda: line.train(XS), r"write train\(.*ParamUpdate\(ADAM"),
        (lambda: line.log_prob(XS), "assess"),
        (lambda: line.sample(XS), "simulate"),
        (lambda: normal.pdf(0.0), "log_prob"),
        (lambda: normal.rvs(0.0, 1.0), r"sample\("),
        (lambda: ParamUpdate(ADAM(), line).step(), r"update.apply\(\)"),
        (lambda: line(XS).simulate(), r"write f.simulate\(args\)"),
        (lambda: setattr(an_update(), "steps", 3), "it counts the steps"),
        (lambda: setattr(an_update(), "learning_rates", 0.1), "the rate is update.learning_rate"),
        (lambda: line.freeze(), r"f.params\[name\].freeze"),
    ],
    UnknownFunction: [
        (lambda: init_param("slope", line, 1.0), "before the name"),
        (lambda: ParamUpdate(ADAM(), [line]), r"write ParamUpdate\(rule, f\)"),
    ],
    UnknownParameter: [
        (lambda: get_param(gen_with(), "a"), r"init_param\(f, 'a', value\)"),
    ],
    UnusedConstraint: [
        (lambda: outer.generate((0.0,), {"part": 1.0}, strict=False), "'part' is a call"),
        (
            lambda: gen(lambda: normal(0.0, 1.0) @ ("a", 0)).generate((), {"a": 1.0}, strict=False),
            "are nested under it",
        ),
        (
            lambda: line.generate((XS,), {"ys": {0: 1.0}}, strict=False),
            "'ys' is a choice and has one value",
        ),
        (
            lambda: several.generate((XS,), {"g": XS}),
            r"write \{'g': ChoiceMap.rows\(\{'x': array\}\)\}",
        ),
        (
            lambda: several.generate((XS,), {("g", "x"): XS}),
            r"write \{'g': ChoiceMap.rows\(\{'x': array\}\)\}",
        ),
        (lambda: map_(inner).generate((XS,), {"x": XS}), r"write ChoiceMap.rows\(\{'x': array\}\)"),
    ],
    UpdateError: [
        (lambda: ParamUpdate(line, ADAM()), "takes a rule"),
        (lambda: stateless(0.5), r"\(directions, theta\), got 0.5"),
        (lambda: stateless(lambda g: g), r"\(directions, theta\), and <lambda>\(g\) is not"),
        (
            lambda: stateful(lambda theta: {}, lambda g, state: (g, state)),
            r"apply of stateful is a function of \(directions, state, theta\)",
        ),
        (
            lambda: elementwise(lambda g: g),
            r"formula of elementwise is a function of \(g, theta\), and <lambda>\(g\) is not",
        ),
        (
            lambda: elementwise(lambda g, theta: g, fields={"v": 0.0}),
            r"is a function of \(g, theta, v\)",
        ),
        (lambda: elementwise("g"), "got 'g'"),
        (a_step(lambda: project(SGD(0.1), lambda x: None)), "must give numbers, got None"),
        (lambda: project(SGD(0.1), lambda x, y: x), r"of \(array\), and <lambda>\(x, y\) is not"),
        (
            lambda: ParamUpdate(ADAM(), line, lr=0.1),
            r"'lr'; the learning rate belongs to the rule, as in ADAM\(0.01\)",
        ),
        (lambda: ParamUpdate(ADAM(), line, maximize=True), "every rule climbs"),
        (lambda: ParamUpdate(ADAM, line), "the function ADAM$"),
        (
            lambda: an_update().set_learning_rates(0.1),
            "rates are a dictionary by name, got 0.1; the names are '1 scale_by_state'",
        ),
    ],
}

FLAGS = {
    "strict": lambda: line.generate((XS,), {}, strict="no"),
    "minimize": lambda: ParamUpdate(ADAM(0.1), line, minimize="yes"),
    "callees": lambda: ParamUpdate(ADAM(0.1), line, callees=["a"]),
    "mean": lambda: accumulate(ADAM(0.1), 2, "sum"),
    "decay_by_root": lambda: SGD(0.1, decay_by_root=None),
    "discrete": lambda: distribution(lambda rng, size: 0.0, lambda x: x, discrete=2),
    "maximize": lambda: ReduceOnPlateau(an_update(), maximize="max"),
    "partial": lambda: load_checkpoint("none.npz", partial="model"),
}
ROWS = [
    *((wrong, error, told) for error, rows in MISTAKES.items() for wrong, told in rows),
    *((wrong, InvalidValue, f"{flag} is True or False, got") for flag, wrong in FLAGS.items()),
]


@pytest.mark.parametrize(("wrong", "error", "message"), ROWS)
def test_a_mistake_is_answered_by_what_to_write(wrong, error, message):
    with pytest.raises(error, match=message) as raised:
        wrong()
    assert isinstance(raised.value, GenParamsError)
    assert len(str(raised.value)) < 400


# --- Laws over everything public

NOT_CALLED_BY_USERS = {
    "Call",
    "Constraint",
    "Distribution",
    "Draws",
    "Event",
    "GenFunction",
    "GenerativeFunction",
    "GradientCheck",
    "History",
    "Parameter",
    "Particles",
    "PlacedTraces",
    "ParamStore",  # its keywords are names of parameters
    "Rule",
    "Selection",
    "Trace",
    "chain",  # its keywords are settings to be shown
    "param",  # of a body, whose errors are answered there
}
CALLABLE = [
    name
    for name in genparams.__all__
    if callable(getattr(genparams, name))
    and name not in NOT_CALLED_BY_USERS
    and not (
        isinstance(getattr(genparams, name), type)
        and issubclass(getattr(genparams, name), BaseException)
    )
]


@pytest.mark.parametrize("name", CALLABLE)
def test_every_public_function_answers_a_wrong_keyword(name):
    with pytest.raises(GenParamsError) as raised:
        getattr(genparams, name)(no_argument_of_this_name=1)
    assert len(str(raised.value)) < 400


def test_what_neighbouring_libraries_call_an_argument_has_names_of_ours():
    import inspect

    ours = {
        argument
        for name in genparams.__all__
        if callable(getattr(genparams, name))
        and not isinstance(getattr(genparams, name), genparams.GenerativeFunction)
        and not issubclass(type(getattr(genparams, name)), type)
        for argument in inspect.signature(getattr(genparams, name)).parameters
    }
    ours |= {"args", "constraints", "rng", "retval_grad", "scale", "size"}
    ours |= {"maximize", "minimum", "steps", "end"}  # of classes
    for name in genparams.__all__:
        thing = getattr(genparams, name)
        if isinstance(thing, genparams.Distribution):
            ours |= {*inspect.signature(thing).parameters}
    assert {n for names in OURS.values() for n in names} <= ours
    assert not OURS.keys() & {"args", "constraints", "rng"}
    assert all(hint for hint in ELSEWHERE.values())


@pytest.mark.parametrize("name", ["Adam", "adam", "normall", "Normal", "vmap", "HMCC"])
def test_a_public_name_that_is_misspelt_is_answered(name):
    with pytest.raises(UnknownImport, match=f"no name '{name}'"):
        exec(f"from genparams import {name}")
    with pytest.raises(UnknownAttribute, match=f"no name '{name}'"):
        getattr(genparams, name)
    assert not hasattr(genparams, name)
    assert not hasattr(genparams, "__no_such_name__")


@pytest.mark.parametrize("f", [line, map_(inner), normal, mixture([1.0], [normal(0.0, 1.0)]).fn])
def test_dir_shows_what_a_user_needs(f):
    shown = {name for name in dir(f) if not name.startswith("__")}
    assert {"simulate", "generate", "propose", "assess"} <= shown
    assert all(hasattr(f, name) for name in shown)
    assert shown <= {
        *("simulate", "generate", "propose", "assess", "inline", "signature", "with_params"),
        *("params", "arg_grads", "arguments", "log_prob", "log_probs", "sample"),
        *("support", "has_gradients"),
    }


def bad_array(n=10_000):
    array = np.ones(n)
    array[[17, 400]] = -1.0, np.nan
    return array


@gen
def wide(n):
    return normal(0.0, 1.0, size=n) @ "ys"


@gen
def wide_scale(scale):
    return normal(np.zeros(len(scale)), scale) @ "ys"


LARGE = bad_array()
WRONG_SIMPLEX = np.where(np.arange(10_000) == 17, -1.0, 1e-4)
WRONG_FACTOR = np.eye(100)
WRONG_FACTOR[17, 17] = -1.0
ARRAYS = {
    "real": lambda: init_param(gen_with(), "a", LARGE),
    "positive": lambda: init_param(gen_with(), "a", LARGE, constraint=positive),
    "unit_interval": lambda: init_param(gen_with(), "a", LARGE, constraint=unit_interval),
    "interval": lambda: init_param(gen_with(), "a", LARGE, constraint=interval(-0.5, 2.0)),
    "simplex": lambda: init_param(gen_with(), "a", WRONG_SIMPLEX, constraint=simplex),
    "ordered": lambda: init_param(gen_with(), "a", np.zeros(10_000), constraint=ordered),
    "lower_cholesky": lambda: init_param(gen_with(), "a", WRONG_FACTOR, constraint=lower_cholesky),
    "set_param": lambda: set_param(gen_with(a=np.ones(10_000)), "a", LARGE),
    "param": a_run(lambda: param("a", LARGE, constraint=positive)),
    "a scale": lambda: wide_scale.simulate((LARGE,)),
    "a list of scales": lambda: wide_scale.simulate((LARGE.tolist(),)),
    "a probability": a_run(lambda: bernoulli(2.0 * np.abs(np.nan_to_num(LARGE))) @ "x"),
    "data": lambda: wide.generate((10_000,), {"ys": LARGE}),
    "a list of data": lambda: wide.generate((10_000,), {"ys": LARGE.tolist()}),
}
WHOLE_ARRAYS = {
    "another shape": lambda: set_param(gen_with(a=1.0), "a", LARGE),
    "a gradient": lambda: set_param_grad(gen_with(a=1.0), "a", LARGE.tolist()),
    "text": lambda: init_param(gen_with(), "a", ["text"] * 10_000),
    "constraints": lambda: line.generate((XS,), LARGE.tolist()),
    "choices": lambda: line.assess((XS,), [LARGE]),
    "an address": lambda: ChoiceMap()[LARGE.tolist()],
    "a path": lambda: ChoiceMap()["a", tuple(range(10_000))],
    "a length": lambda: unfold(inner).simulate((LARGE.tolist(), 1.0)),
    "a case": lambda: switch(inner).simulate((LARGE.tolist(), 1.0)),
    "a scale of gradients": lambda: a_trace().accumulate_param_gradients(scale=LARGE.tolist()),
    "a gradient of the return value": lambda: a_trace().accumulate_param_gradients(LARGE.tolist()),
    "gradients": lambda: ParamUpdate(ADAM(), gen_with(a=1.0)).apply(grads={"a": LARGE.tolist()}),
    "gradients without names": lambda: ParamUpdate(ADAM(), gen_with(a=1.0)).apply(LARGE.tolist()),
    "a store": lambda: ParamStore(LARGE.tolist()),
    "a rate": lambda: ADAM(LARGE.tolist()),
    "shared names": lambda: map_(inner, shared=LARGE.tolist()),
    "choices as a vector": lambda: ChoiceMap({"a": 1.0}).from_array(LARGE.tolist()),
    "a merge": lambda: ChoiceMap({"a": LARGE}).merge({"a": LARGE}),
    "a limit": a_run(lambda: truncated(LARGE, low=0.0) @ "x"),
    "components": a_run(lambda: mixture([1.0], LARGE.tolist()) @ "x"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_entry_of_a_large_array_is_named_by_its_index(name):
    with pytest.raises(GenParamsError) as raised:
        ARRAYS[name]()
    said = str(raised.value)
    assert len(said) < 400
    wanted = {"bernoulli": "0", "ordered": "1", "lower_cholesky": "17, 17"}
    assert "index" in said or "[" in said
    assert wanted.get(name, "") in said


@pytest.mark.parametrize("name", WHOLE_ARRAYS)
def test_no_message_holds_a_whole_array(name):
    with pytest.raises(GenParamsError) as raised:
        WHOLE_ARRAYS[name]()
    assert len(str(raised.value)) < 400


def test_an_entry_is_named_with_its_index_its_value_and_how_many_are_wrong():
    with pytest.raises(
        ConstraintError, match=r"^parameter 'a': -1\.0 at index 17 \(2 of 10000 ent"
    ):
        ARRAYS["positive"]()
    with pytest.raises(GenParamsError, match=r"^at 'ys': "):
        ARRAYS["a scale"]()


# --- What stays usable


def test_results_are_tuples_that_pickle():
    for results in (
        line.generate((XS,), {}, rng=0),
        line.propose((XS,), rng=0),
        line.assess((XS,), {"ys": XS}),
        a_trace().update({"ys": XS}),
        a_trace().regenerate("ys", rng=0),
    ):
        assert isinstance(results, tuple)
        assert results[0] is next(iter(results))
        assert len(results[:1]) == 1
        again = pickle.loads(pickle.dumps(results))
        assert type(again) is type(results)
        assert len(again) == len(results)
        assert not hasattr(results, "__no_such_name__")


def test_a_choice_map_gives_a_default_where_nothing_is():
    choices = ChoiceMap({"a": 1.0, "b": {"c": 2.0}})
    assert choices.get("q") is None
    assert choices.get("q", 0.0) == 0.0
    assert choices.get("a", 0.0) == 1.0
    assert choices.get(("b", "c"), 0.0) == 2.0
    assert choices.get("b") == ChoiceMap({"c": 2.0})
    assert choices.get(("a", "c"), 0.0) == 0.0
    assert choices.view("q") == ChoiceMap()
    assert choices.view(()) == choices
    assert "a" in choices
    assert "q" not in choices


def test_a_trace_knows_what_is_at_its_addresses():
    trace, _ = outer.generate((0.0,), {"part": {"x": 1.0}})
    assert "part" in trace
    assert ("part", "x") in trace
    assert "x" not in trace


def test_a_lenient_generate_lets_pass_what_another_run_may_visit():
    trace, weight = line.generate((XS,), {"ys": XS, "q": 1.0, ("r", 0): 2.0}, strict=False)
    assert weight == trace.log_prob


# --- Flags, functions of the user, and methods


def test_every_flag_is_true_or_false():
    import inspect

    checked = 0
    for name in CALLABLE:
        function = getattr(genparams, name)
        if isinstance(function, genparams.GenerativeFunction):
            continue
        for flag, p in inspect.signature(function).parameters.items():
            if type(p.default) is bool:
                with pytest.raises(InvalidValue, match=f"{flag} is True or False, got 'no'"):
                    function(**{flag: "no"})
                checked += 1
    assert checked >= 20


METHODS = {
    "Parameter": (ParamStore(a=1.0)["a"], ("set", "set_grad", "increment_grad")),
    "ParamStore": (ParamStore(a=1.0), ("init",)),
    "ParamUpdate": (an_update(), ("state_dict", "load_state_dict", "set_learning_rates")),
    "ReduceOnPlateau": (ReduceOnPlateau(an_update()), ("step", "load_state_dict")),
    "GradientTracer": (genparams.GradientTracer(), ("global_norm",)),
    "Trace": (a_trace(), ("accumulate_param_gradients", "update", "regenerate", "rescored")),
    "ChoiceMap": (ChoiceMap({"a": 1.0}), ("merge", "select", "without", "rows", "from_array")),
    "Selection": (select("a"), ("check",)),
    "GenFunction": (line, ("simulate", "generate", "propose", "assess", "with_params")),
}


@pytest.mark.parametrize(("thing", "names"), METHODS.values(), ids=METHODS)
def test_every_method_answers_a_wrong_keyword(thing, names):
    for name in names:
        with pytest.raises(ArgumentError, match="no argument 'no_argument_of_this_name'"):
            getattr(thing, name)(no_argument_of_this_name=1)


def test_a_schedule_that_fails_changes_nothing():
    theta = ParamStore(a=1.0)
    update = ParamUpdate(SGD(lambda count: 1.0 / (1 - count)), theta)
    update.apply({"a": 1.0})
    before = theta["a"].value, update.state_dict()
    with pytest.raises(InvalidValue, match="fails at count 1"):
        update.apply({"a": 1.0})
    assert (theta["a"].value, update.state_dict()) == before


def test_the_datasets_are_there_without_an_import():
    assert len(genparams.datasets.mtcars()["mpg"]) == 32
