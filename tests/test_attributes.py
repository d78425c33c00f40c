"""Attributes that mean nothing are refused, with what to write instead."""

import copy
import functools
import inspect
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import genparams
from genparams import (
    ADAM,
    ChoiceMap,
    GenerativeFunction,
    GradientTracer,
    ParamStore,
    ParamUpdate,
    ReduceOnPlateau,
    constant_schedule,
    cosine_decay,
    exponential_decay,
    gen,
    inverse_time_decay,
    join_schedules,
    normal,
    one_over_sqrt,
    param,
    piecewise_constant,
    polynomial_decay,
    select,
)
from genparams.errors import UnknownAttribute


@gen
def attributed():
    return normal(param("mu", 0.0), 1.0) @ "x"


def an_update():
    return ParamUpdate(ADAM(0.1), ParamStore(W=np.zeros(2), b=0.5))


def a_fit():
    trace, _ = attributed.generate((), {"x": 0.5})
    return genparams.fit(trace)


def a_history():
    return genparams.train(
        attributed, [((), {"x": 0.5})], ParamUpdate(ADAM(0.1), attributed), steps=1
    )


def an_event():
    seen = []
    update = ParamUpdate(ADAM(0.1), attributed)
    genparams.train(attributed, [((), {"x": 0.5})], update, steps=1, callbacks=[seen.append])
    return seen[0]


def some_draws():
    move = functools.partial(genparams.metropolis_hastings, selection="x")
    return genparams.mcmc(move, attributed.simulate(rng=0), draws=2, warmup=0, rng=0)


def a_filter():
    found = genparams.ParticleFilter(attributed, 2, rng=0)
    found.initialize((), {"x": 0.5})
    return found


def expects(model, args, observed, rng):
    return [model.generate(args, observed, rng)[0]], np.zeros(1)


def placed_traces():
    with ThreadPoolExecutor(1) as pool:
        return genparams.place([attributed.simulate()], pool)


EXAMPLES = {
    "Call": lambda: normal(0.0, 1.0),
    "ChoiceMap": lambda: ChoiceMap({"x": 1.0}),
    "Draws": some_draws,
    "EStep": lambda: genparams.EStep(expects),
    "EarlyStopping": lambda: genparams.EarlyStopping(3),
    "Event": an_event,
    "FitResult": a_fit,
    "GradientCheck": lambda: genparams.check_gradients(attributed),
    "GradientTracer": GradientTracer,
    "History": a_history,
    "LocalProcesses": lambda: genparams.LocalProcesses(1),
    "ParamStore": lambda: ParamStore(W=1.0),
    "ParamUpdate": an_update,
    "Parameter": lambda: ParamStore(W=1.0)["W"],
    "ParticleFilter": a_filter,
    "Particles": lambda: genparams.importance_sampling(attributed, (), {}, 2, rng=0),
    "PlacedTraces": placed_traces,
    "ReduceOnPlateau": lambda: ReduceOnPlateau(an_update()),
    "Rule": lambda: ADAM(0.1),
    "Selection": lambda: select("x"),
    "StopAtChange": lambda: genparams.StopAtChange(1e-3),
    "StopAtGradient": lambda: genparams.StopAtGradient(1e-3),
    "StopAtPlateau": genparams.StopAtPlateau,
    "TensorBoardLogger": lambda: genparams.TensorBoardLogger(tempfile.mkdtemp()),
    "Trace": attributed.simulate,
    "constant_schedule": lambda: constant_schedule(0.1),
    "cosine_decay": lambda: cosine_decay(0.1, 10),
    "exponential_decay": lambda: exponential_decay(0.1, 0.5, 10),
    "inverse_time_decay": lambda: inverse_time_decay(0.1, 0.5),
    "join_schedules": lambda: join_schedules([constant_schedule(0.1)], []),
    "one_over_sqrt": lambda: one_over_sqrt(0.1),
    "piecewise_constant": lambda: piecewise_constant(0.1, {10: 0.5}),
    "polynomial_decay": lambda: polynomial_decay(0.1, 0.01, 1.0, 10),
}
FUNCTIONS = (GenerativeFunction,)
"""What has attributes of its own, as every function of Python has."""
CLASSES = [
    name
    for name in genparams.__all__
    if inspect.isclass(cls := getattr(genparams, name))
    and name != "Constraint"  # a protocol, for annotations
    and not issubclass(cls, (*FUNCTIONS, BaseException))
]


@pytest.mark.parametrize("name", CLASSES)
def test_no_public_class_takes_an_attribute_that_it_does_not_have(name):
    thing = EXAMPLES[name]()
    assert isinstance(thing, getattr(genparams, name))
    with pytest.raises(AttributeError):
        thing.no_such_attribute = 1.0
    assert not hasattr(thing, "no_such_attribute")
    for method in [n for n in dir(thing) if not n.startswith("_")]:
        if inspect.ismethod(getattr(thing, method)):
            with pytest.raises(AttributeError):
                setattr(thing, method, None)


def sets(make, name, value):
    def wrong():
        setattr(make(), name, value)

    return wrong


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (an_update, "lr", "has no attribute 'lr' .* the rate is update.learning_rate"),
        (an_update, "learning_rat", "the rate is update.learning_rate"),
        (an_update, "step_size", "the rate is update.learning_rate"),
        (an_update, "minimize", "make another update"),
        (an_update, "rule", r"it is given to ParamUpdate\(rule, ...\) and stays"),
        (an_update, "on_nonfinite", "make another update"),
        (an_update, "color", "what can be set is update.learning_rate and update.tracer"),
        (an_update, "trace", "did you mean tracer"),
        (lambda: ParamStore(W=1.0), "W", r"write store\['W'\].set\(value\)"),
        (lambda: ParamStore(W=1.0), "V", r"store.init\('V', value\)"),
        (lambda: ParamStore(W=1.0)["W"], "value", r"write theta\['W'\].set\(3.0\)"),
        (lambda: ParamStore(W=1.0)["W"], "grad", r"write theta\['W'\].set_grad\(grad\)"),
        (lambda: ParamStore(W=1.0)["W"], "coordinates", r"write theta\['W'\].set\(value\)"),
        (a_fit, "estimates", "'estimates' that can be set"),
        (attributed.simulate, "retval", "a trace does not change: write trace.update"),
        (lambda: ADAM(0.1), "learning_rate", "a rule does not change"),
        (lambda: constant_schedule(0.1), "value", "make another constant_schedule"),
        (GradientTracer, "limits", "did you mean limit"),
        (lambda: ReduceOnPlateau(an_update()), "patient", "did you mean patience"),
    ],
)
def test_the_error_says_what_to_write(make, name, message):
    with pytest.raises(UnknownAttribute, match=message):
        sets(make, name, 3.0)()


def test_what_can_be_set_is_set():
    update = an_update()
    update.learning_rate = 0.5
    update.tracer = GradientTracer()
    assert update.learning_rate == 0.5
    plateau = ReduceOnPlateau(update)
    plateau.patience = 3
    assert plateau.patience == 3


BOUND = {"LocalProcesses", "PlacedTraces", "TensorBoardLogger"}
"""What is bound to processes or to files, and is not copied."""


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - BOUND))
def test_a_class_that_is_closed_is_still_copied_and_pickled(name):
    thing = EXAMPLES[name]()
    for twin in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing)):
        assert type(twin) is type(thing)
        if type(thing).__repr__ is not object.__repr__:
            assert repr(twin) == repr(thing)
