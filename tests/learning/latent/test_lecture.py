"""Lectures: the gradient of a function on the choices of another one."""

import numpy as np
import pytest
from cells import expectation

from genparams import (
    ADAM,
    ParamUpdate,
    bernoulli,
    categorical,
    gen,
    init_param,
    map_,
    normal,
    param,
    uniform,
)
from genparams.errors import (
    ArgumentError,
    ImpossibleTrace,
    InvalidValue,
    MissingChoice,
    UnusedConstraint,
)
from genparams.learning.latent.lecture import lecture, lecture_batched

RAIN = np.array([0.5, 0.25, 0.25])
"""The probabilities of no rain, some and much; and of a wet lawn given each: multiples of 1/4."""
WET = np.array([0.25, 0.5, 0.75])
JOINT = RAIN * np.array([1.0 - WET, WET])
"""The probability of each value of `wet`, in rows, and of `rain`."""


@gen
def weather():
    rain = categorical(RAIN) @ "rain"
    return bernoulli(WET[rain]) @ "wet"


@gen
def guess(wet):
    """q(rain | wet): a table of logits with a row for each value of `wet`."""
    return categorical(logits=param("table")[int(wet)]) @ "rain"


guesses = map_(guess)


def wet_of(trace):
    return (trace["wet"],)


def wets_of(traces):
    return ([trace["wet"] for trace in traces],)


@pytest.fixture(autouse=True)
def start():
    init_param(guess, "table", np.random.default_rng(0).normal(size=(2, 3)))


def softmax(table):
    return np.exp(table) / np.sum(np.exp(table), axis=1, keepdims=True)


def exact_gradient():
    """The gradient of E_p[log q(rain | wet)] by the logits."""
    wet = JOINT.sum(axis=1, keepdims=True)
    return JOINT - wet * softmax(guess.params["table"].value)


def gradient_of(run):
    """What a lecture adds to the accumulator."""
    guess.params["table"].zero_grad()
    run()
    return guess.params["table"].grad.copy()


def test_the_expected_gradient_is_that_of_the_expected_log_probability():
    """Over every draw of the weather."""
    found = expectation(
        lambda rng: gradient_of(lambda: lecture(weather, (), guess, wet_of, rng)), 4, 2
    )
    np.testing.assert_allclose(found, exact_gradient(), rtol=1e-12, atol=1e-15)


def test_the_expected_value_is_the_expected_log_probability():
    found = expectation(lambda rng: lecture(weather, (), guess, wet_of, rng), 4, 2)
    log_q = np.log(softmax(guess.params["table"].value))
    assert found == pytest.approx(np.sum(JOINT * log_q), rel=1e-12)


def test_a_batch_sums_gradients_and_gives_the_mean_log_probability():
    """Over every draw of two days; gradients of a batch are sums, as in Gen."""

    def run(rng):
        return lecture_batched(weather, (), guesses, wets_of, 2, rng)

    found = expectation(lambda rng: gradient_of(lambda: run(rng)), 4, 4)
    np.testing.assert_allclose(found, 2.0 * exact_gradient(), rtol=1e-12, atol=1e-15)
    rng = np.random.default_rng(5)
    each = [lecture(weather, (), guess, wet_of, rng) for _ in range(2)]
    assert run(5) == pytest.approx(np.mean(each), rel=1e-12)


def test_lectures_in_a_loop_teach_the_posterior():
    """The rows of the table reach p(rain | wet). The largest error of 100 seeds was 0.12."""
    update, rng = ParamUpdate(ADAM(0.05), guess), np.random.default_rng(1)
    for _ in range(100):
        lecture_batched(weather, (), guesses, wets_of, 20, rng)
        update.apply()
    posterior = JOINT / JOINT.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax(guess.params["table"].value), posterior, atol=0.15)


def test_a_lecture_repeats_to_the_bit_and_leaves_the_parameters_of_p_alone():
    @gen
    def teacher():
        return normal(param("mean", 1.0), 1.0) @ "x"

    @gen
    def student():
        return normal(param("mean", 0.0), 1.0) @ "x"

    first = lecture(teacher, (), student, lambda trace: (), rng=3)
    assert lecture(teacher, (), student, lambda trace: (), rng=3) == first
    x = teacher.simulate((), 3)["x"]
    assert student.params["mean"].grad == pytest.approx(2.0 * x)
    assert not teacher.params["mean"].accumulated


@gen
def wider():
    return uniform(0.0, 2.0) @ "x"


@gen
def narrow():
    return uniform(0.0, param("high", 1.0)) @ "x"


@gen
def misspelt(wet):
    return categorical(logits=param("table", np.zeros((2, 3)))[int(wet)]) @ "rains"


@gen
def caller(wet):
    return guess(wet) @ "rain"


BAD = {
    "a choice that p does not make": (
        lambda: lecture(weather, (), misspelt, wet_of),
        MissingChoice,
        "misspelt makes a choice at 'rains', where the run of weather made none; did you mean "
        "'rain'",
    ),
    "a call where p makes a choice": (
        lambda: lecture(weather, (), caller, wet_of),
        (MissingChoice, UnusedConstraint),
        "'rain'",
    ),
    "no key of a trace": (
        lambda: lecture_batched(weather, (), guess, lambda traces: (True,), 2, 0),
        MissingChoice,
        "guess makes a choice at 'rain'",
    ),
    "another support": (
        lambda: lecture(wider, (), narrow, lambda trace: (), 0),
        ImpossibleTrace,
        "'x' of narrow has log probability -inf",
    ),
    "no tuple": (
        lambda: lecture(weather, (), guess, lambda trace: trace["wet"]),
        ArgumentError,
        r"get_q_args returns the arguments of guess as a tuple, \(wet,\), got",
    ),
    "no function": (
        lambda: lecture(weather, (), guess, (True,)),  # type: ignore[arg-type]
        ArgumentError,
        r"get_q_args is a function of \(trace\)",
    ),
    "p is no generative function": (
        lambda: lecture(len, (), guess, wet_of),  # type: ignore[arg-type]
        ArgumentError,
        "p is a generative function, got the function len; write @gen",
    ),
    "q is no generative function": (
        lambda: lecture_batched(weather, (), None, wets_of, 2),  # type: ignore[arg-type]
        ArgumentError,
        "q_batched is a generative function, got None",
    ),
    "an empty batch": (
        lambda: lecture_batched(weather, (), guesses, wets_of, 0),
        InvalidValue,
        "batch_size is a whole number of at least 1, got 0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_lecture_that_teaches_nothing_is_refused(case):
    """And nothing is added to any accumulator."""
    run, error, message = BAD[case]
    with pytest.raises(error, match=message):
        run()
    assert not guess.params["table"].accumulated
