"""Training of static functions: the keyword of `train`, and loops that numba compiles."""

import importlib.util
from typing import Any

import numpy as np
import pytest

from genparams import (
    ADAM,
    SGD,
    AdaGrad,
    AdamW,
    Momentum,
    NAdam,
    ParamUpdate,
    RAdam,
    RMSProp,
    chain,
    clip,
    cosine_decay,
    gen,
    init_param,
    normal,
    param,
    positive,
    simplex,
    train,
    with_schedule,
)
from genparams.errors import ArgumentError, ImpossibleTrace, InvalidValue, UpdateError

X = np.linspace(-1.0, 1.0, 10)
Y = 1.0 + 2.0 * X + 0.3 * np.cos(7.0 * X)
DATA = (X,), {"y": Y}


def line(**static: Any) -> Any:
    def line(x):
        return normal(param("slope") * x + param("intercept"), param("noise")) @ "y"

    made: Any = gen(**static)(line)
    init_param(made, "slope", 0.0)
    init_param(made, "intercept", 0.0)
    init_param(made, "noise", 1.0, constraint=positive)
    return made


def adam(f):
    return ParamUpdate(ADAM(0.05), f)


def one_by_one(event):
    """A callback that is called after each step."""


# --- The keyword


def test_a_function_is_static_while_it_is_trained():
    f, g = line(), line()
    before, seen = f.trace_gradients, []
    train(
        f,
        DATA,
        adam(f),
        steps=5,
        static=True,
        callbacks=[lambda event: seen.append(f.trace_gradients)],
    )
    assert all(one is not before for one in seen)
    assert f.trace_gradients is before
    history = train(f, DATA, adam(f), steps=100, static=True)
    train(g, DATA, adam(g), steps=5)
    expected = train(g, DATA, adam(g), steps=100)
    np.testing.assert_allclose(history.log_prob, expected.log_prob, rtol=1e-9)
    for name in expected.params:
        np.testing.assert_allclose(history.params[name], expected.params[name], rtol=1e-9)


def test_a_function_is_what_it_was_after_an_error():
    f = line()
    before = f.trace_gradients

    def fails(event):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        train(f, DATA, adam(f), steps=5, static=True, callbacks=[fails])
    assert f.trace_gradients is before


def test_a_static_function_keeps_its_programs():
    f = line(static=True)
    before = f.trace_gradients
    train(f, DATA, adam(f), steps=5, static=True)
    assert f.trace_gradients is before


def test_a_backend_that_does_not_exist_is_refused_before_the_first_step():
    f = line()
    with pytest.raises(ArgumentError, match="numpyy"):
        train(f, DATA, adam(f), steps=5, static=True, backend="numpyy")
    with pytest.raises(InvalidValue, match="static"):
        train(f, DATA, adam(f), steps=5, static="yes")  # type: ignore[arg-type]
    assert f.params["slope"].value == 0.0


@pytest.mark.parametrize("form", ["rows", "rows in order", "pairs", "a function"])
def test_minibatches_of_a_static_function(form):
    pairs = [((float(x),), {"y": float(y)}) for x, y in zip(X, Y, strict=True)]
    data, options = {
        "rows": (DATA, {"batch_size": 5}),
        "rows in order": (DATA, {"batch_size": 5, "shuffle": False}),
        "pairs": (pairs, {"batch_size": 5}),
        "a function": (lambda: iter(pairs), {}),
    }[form]
    f, g = line(), line()
    one = train(f, data, adam(f), epochs=20, rng=1, static=True, **options)
    two = train(g, data, adam(g), epochs=20, rng=1, **options)
    np.testing.assert_allclose(one.log_prob, two.log_prob, rtol=1e-8)
    assert one.epochs.tolist() == two.epochs.tolist()
    for name in two.params:
        np.testing.assert_allclose(one.params[name], two.params[name], rtol=1e-7)


# --- Loops that numba compiles

has_numba = importlib.util.find_spec("numba") is not None
with_numba = pytest.mark.skipif(not has_numba, reason="numba is not installed")


def regression(**static: Any) -> Any:
    def regression(x):
        mean = x @ (param("weights") * param("share")[0]) + param("shift")
        return normal(mean, param("scale")) @ "y"

    made: Any = gen(**static)(regression)
    init_param(made, "shift", 0.5)
    init_param(made, "weights", np.zeros(3))
    init_param(made, "share", np.array([0.2, 0.3, 0.5]), constraint=simplex)
    init_param(made, "scale", 1.0, constraint=positive)
    return made


def rows():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3))
    return (x,), {"y": x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.standard_normal(20)}


def near(one, two, rtol=1e-6):
    assert one.stopped_because == two.stopped_because
    assert one.steps.tolist() == two.steps.tolist()
    assert one.epochs.tolist() == two.epochs.tolist()
    for a, b in ((one.log_prob, two.log_prob), (one.grad_norm, two.grad_norm)):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-9)
    for name in two.params:
        np.testing.assert_allclose(one.params[name], two.params[name], rtol=rtol, atol=1e-9)
    assert np.all(np.diff(one.seconds) >= 0.0)


def both(make, rule, data, **options):
    """Train by numba, and by numpy step by step."""
    f, g = make(static=True, backend="numba"), make(static=True)
    mine, other = ParamUpdate(rule, f), ParamUpdate(rule, g)
    near(
        train(f, data, mine, **options),
        train(g, data, other, callbacks=[one_by_one], **options),
    )
    assert mine.steps == other.steps
    for a, b in zip(mine.state_dict().values(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


RULES = {
    "ADAM": ADAM(0.05),
    "SGD": SGD(0.001),
    "Momentum": Momentum(0.001),
    "RMSProp": RMSProp(0.01),
    "AdaGrad": AdaGrad(0.1),
    "AdamW": AdamW(0.05),
    "NAdam": NAdam(0.05),
    "RAdam": RAdam(0.05),
    "clipped": chain(clip(0.5), ADAM(0.05)),
    "a schedule": with_schedule(ADAM(1.0), cosine_decay(0.05, 200)),
}


@with_numba
@pytest.mark.parametrize("rule", RULES)
def test_a_compiled_loop_takes_the_steps_of_the_rule(rule):
    both(line, RULES[rule], DATA, steps=100)


@with_numba
@pytest.mark.parametrize("options", [{}, {"history_every": 7}, {"record_params": False}])
def test_a_compiled_loop_moves_arrays_and_constrained_values(options):
    both(regression, ADAM(0.05), rows(), steps=100, **options)


@with_numba
@pytest.mark.parametrize("options", [{"total": 100.0}, {"reduction": "mean"}])
def test_a_compiled_loop_weighs_data(options):
    both(line, ADAM(0.05), DATA, steps=100, **options)


@with_numba
def test_a_compiled_loop_leaves_frozen_parameters():
    def frozen(**static):
        f = regression(**static)
        f.params["share"].freeze()
        return f

    both(frozen, ADAM(0.05), rows(), steps=100)


@with_numba
@pytest.mark.parametrize("rate", [1.0, 100.0])
def test_an_error_comes_at_the_same_step_in_a_compiled_loop(rate):
    def ended(f, **options):
        with pytest.raises((UpdateError, ImpossibleTrace)) as found:
            train(f, DATA, ParamUpdate(SGD(rate), f), steps=500, **options)
        return found.value

    one = ended(line(static=True, backend="numba"))
    two = ended(line(static=True), callbacks=[one_by_one])
    assert type(one) is type(two)
    near(one.history, two.history)  # type: ignore[attr-defined]


@with_numba
def test_a_long_training_is_many_calls():
    f = line(static=True, backend="numba")
    history = train(f, DATA, adam(f), steps=100_000, history_every=1000)
    assert history.steps.tolist() == list(range(1000, 100_001, 1000))
    slope, intercept = np.polyfit(X, Y, 1)
    assert f.params["slope"].value == pytest.approx(slope, abs=1e-3)
    assert f.params["intercept"].value == pytest.approx(intercept, abs=1e-3)
