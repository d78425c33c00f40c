"""What trials found: bodies that look at their numbers in ways that no operation of numpy shows.

Each body is run for several traces, static and not. The gradients agree, whether the function
replays its program, records another, or is interpreted.
"""

import collections
import warnings
from typing import Any

import numpy as np
import pytest

from genparams import (
    ADAM,
    ParamUpdate,
    gaussian_process,
    gen,
    kernels,
    normal,
    param,
    positive,
    train,
)
from genparams.errors import ArgumentError, NotStatic


def a():
    return param("a", 0.5)


def caught(m):
    try:
        low = np.linalg.cholesky(m)[0, 0]
    except np.linalg.LinAlgError:
        low = 3.0
    return normal(a() * low, 1.0) @ "y"


def caught_index(k):
    weights = param("w", np.array([0.5, 0.7]))
    try:
        w = weights[k[0]]
    except IndexError:
        w = 3.0 * weights[0]
    return normal(w, 1.0) @ "y"


def filled(x):
    z = np.zeros(2)
    z[:] = x
    return normal(a() * z[0], 1.0) @ "y"


def without_copies(x):
    z = x.copy()
    z.sort()
    return normal(a() * z[0], 1.0) @ "y"


def chosen(x):
    return normal(a() * np.sum(x.compress(np.array([True, False, True]))), 1.0) @ "y"


class Batch:
    """An object with state, as an argument."""

    def __init__(self, value):
        self.value = value


GOOD, BAD = np.eye(2), -np.eye(2)
CASES = {
    "a caught error": (caught, [BAD, BAD, BAD, GOOD, GOOD]),
    "a caught index": (caught_index, [np.array([k]) for k in (5, 5, 5, 1, 1)]),
    "an array that is filled": (filled, [np.full(2, v) for v in (1.0, 1.0, 1.0, 2.0, 2.0)]),
    "a set": (
        lambda k: normal(a() * len(set(k)), 1.0) @ "y",
        [np.array(k) for k in ([5, 1, 2], [5, 1, 2], [5, 1, 3], [1, 1, 1], [1, 1, 1])],
    ),
    "a dictionary": (
        lambda k: normal(a() * {0: 1.0, 1: 7.0}.get(k[0], 0.5), 1.0) @ "y",
        [np.array([k]) for k in (0, 0, 1, 1, 2)],
    ),
    "a counter": (
        lambda k: normal(a() * len(collections.Counter(k.tolist())), 1.0) @ "y",
        [np.array(k) for k in ([1, 2], [1, 2], [1, 1], [1, 1])],
    ),
    "a test of the type of a number": (
        lambda x: normal(a() * (2.0 if isinstance(x, float) else 3.0), 1.0) @ "y",
        [1.0, 2.0, 3.0],
    ),
    "a test of the type of an array": (
        lambda x: normal(a() * (2.0 if isinstance(x, np.ndarray) else 3.0), 1.0) @ "y",
        [np.ones(2)] * 3,
    ),
    "a scalar": (
        lambda x: normal(a() * (2.0 if np.isscalar(x) else 3.0), 1.0) @ "y",
        [1.0, 2.0, 3.0],
    ),
    "a copy that is sorted": (without_copies, [np.array([3.0, 1.0, 2.0])] * 3),
    "compress": (chosen, [np.arange(3.0), np.arange(3.0) + 1.0] * 2),
    "a list that is repeated": (
        lambda k: normal(a() * len([0] * k[0]), 1.0) @ "y",
        [np.array([k]) for k in (2, 2, 3, 3)],
    ),
    "text": (
        lambda x: normal(a() * float(str(x)), 1.0) @ "y",
        [1.0, 2.0, 2.0, 3.0],
    ),
    "single precision": (
        lambda x: normal(a() * np.sum(x * np.float64(0.1)), 1.0) @ "y",
        [np.arange(5, dtype=np.float32) * 1e6 / 3] * 3,
    ),
    "bytes that wrap": (
        lambda k: normal(a() * (k[0] + k[1]), 1.0) @ "y",
        [np.array([200, 100], np.uint8)] * 3,
    ),
    "minus zero": (
        lambda x: normal(a() * np.arctan2(0.0, x), 1.0) @ "y",
        [np.float64(0.0), np.float64(0.0), np.float64(-0.0), np.float64(-0.0)],
    ),
    "rounding on purpose": (
        lambda x: normal(a() * ((x + 1e16) - 1e16), 1.0) @ "y",
        [3.7, 3.7, 3.9, 3.9],
    ),
    "small factors": (
        lambda x: normal(a() * ((x * 1e-200) * 1e200), 1.0) @ "y",
        [1e-200, 1.0, 1e-150, 2.0],
    ),
}


def gradients(function, argument):
    trace, _ = function.generate((argument,), {"y": 1.0})
    return [g for _ in range(2) for of in trace.param_gradients().values() for g in of.values()]


@pytest.mark.filterwarnings("ignore::genparams.errors.NotStatic")
@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_for_every_trace(name):
    body, arguments = CASES[name]
    plain = gen(body)
    plain.simulate((arguments[0],))
    static = gen(static=True)(body).with_params(plain.params)
    for argument in arguments:
        found, expected = gradients(static, argument), gradients(plain, argument)
        for g, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore::genparams.errors.NotStatic")
def test_an_object_that_changes_between_traces_is_read_again():
    buffer, batch = np.zeros(2), Batch(1.0)

    def filled_buffer(x):
        z = np.zeros(2)
        z[:] = x
        return normal(a() * z[0], 1.0) @ "y"

    cases: Any = (
        (filled_buffer, lambda v: buffer.fill(v), buffer),
        (lambda b: normal(a() * b.value, 1.0) @ "y", lambda v: setattr(batch, "value", v), batch),
    )
    for body, change, argument in cases:
        plain = gen(body)
        plain.simulate((argument,))
        static = gen(static=True)(body).with_params(plain.params)
        for value in (1.0, 1.0, 1.0, 2.0, 2.0, 3.0):
            change(value)
            assert gradients(static, argument) == gradients(plain, argument)


LEVEL = {"factor": 1.0}


def test_after_a_difference_the_function_is_interpreted():
    def body(x):
        return normal(a() * x * LEVEL["factor"], 1.0) @ "y"

    plain = gen(body)
    plain.simulate((1.0,))
    static = gen(static=True)(body).with_params(plain.params)
    for _ in range(3):
        gradients(static, 1.0)
    LEVEL["factor"] = 4.0
    try:
        with pytest.warns(NotStatic, match="does not find the log probability of the run"):
            assert gradients(static, 1.0) == gradients(plain, 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for factor in (5.0, 7.0):
                LEVEL["factor"] = factor
                assert gradients(static, 1.0) == gradients(plain, 1.0)
    finally:
        LEVEL["factor"] = 1.0


@pytest.mark.filterwarnings("ignore::genparams.errors.ReplacedFunction")
def test_a_function_that_is_called_may_be_defined_again():
    scope = {"gen": gen, "normal": normal, "param": param, "__name__": "a_notebook"}
    cell = "@gen\ndef inner(x):\n    return normal(param('b', 0.5) * x * {}, 1.0) @ 'z'\n"
    exec(cell.format(1), scope)
    exec("def outer(x):\n    return inner(x) @ 'i'\n", scope)
    plain, static = gen(scope["outer"]), gen(static=True)(scope["outer"])

    def both():
        found = []
        for f in (static, plain):
            trace, _ = f.generate((1.0,), {("i", "z"): 1.0})
            found.append([trace.param_gradients()["inner"]["b"] for _ in range(3)])
        return found

    assert both()[0] == both()[1]
    exec(cell.format(3), scope)
    for _ in range(3):
        first, second = both()
        assert first == second == [-1.5] * 3


def test_what_a_body_leaves_outside_is_no_recorded_number():
    info = {"resid": None}

    @gen(static=True)
    def model(x):
        info["resid"] = x - 1.0
        return normal(a() * x, 1.0) @ "y"

    trace, _ = model.generate((np.arange(3.0),), {"y": np.ones(3)})
    with pytest.warns(NotStatic, match="it changes info"):
        trace.param_gradients()
    np.testing.assert_array_equal(np.asarray(info["resid"]), [-1.0, 0.0, 1.0])


def test_roundings_of_a_matrix_that_is_almost_singular_are_no_difference():
    x = np.linspace(0.0, 1.0, 20)
    y = np.sin(3.0 * x) + 0.05 * np.cos(40.0 * x)

    def body(x):
        scale, length = param("s", 1.0, positive), param("l", 0.3, positive)
        kernel = kernels.squared_exponential(scale, length)
        return gaussian_process(x, kernel, noise=1e-5) @ "y"

    plain = gen(body)
    plain.generate((x,), {"y": y})
    static = gen(static=True)(body).with_params(plain.params)
    trace, _ = static.generate((x,), {"y": y})
    update = ParamUpdate(ADAM(0.02), static)
    for _ in range(40):
        trace.accumulate_param_gradients()
        update.apply()
    assert static.trace_gradients.programs.by_key


def test_a_resumed_training_has_the_same_bits(tmp_path):
    x = np.linspace(-1.0, 1.0, 103)
    y = 2.0 * x + 0.3 * np.cos(50.0 * x)

    def trained(steps, **options):
        @gen
        def line(x):
            noise = param("noise", 1.0, positive)
            return normal(param("a", 0.0) * x + param("b", 0.0), noise) @ "y"

        line.generate((x,), {"y": y})
        data, update = ((x,), {"y": y}), ParamUpdate(ADAM(0.03), line)
        return train(line, data, update, steps=steps, static=True, **options)

    file = tmp_path / "run.npz"
    trained(7, checkpoint=file, resume=True)
    resumed, whole = trained(50, checkpoint=file, resume=True), trained(50)
    np.testing.assert_array_equal(resumed.log_prob, whole.log_prob)


def test_parameters_may_have_the_names_of_buffers():
    x = np.linspace(-1.0, 1.0, 20_000)

    def body(x):
        b0, b1 = param("b0", 0.5), param("b1", np.array([0.3, 0.7]))
        mean = np.tanh(b0 * x) * b1[0] + np.exp(-x * x) * b1[1]
        return normal(mean, 1.0) @ "y"

    plain = gen(body)
    plain.generate((x,), {"y": x})
    static = gen(static=True)(body).with_params(plain.params)
    for value in (0.5, 0.6, 0.7, 0.8):
        plain.params["b0"].set(value)
        found, expected = ([], [])
        for f, into in ((static, found), (plain, expected)):
            (of,) = f.generate((x,), {"y": x})[0].param_gradients().values()
            into += [*of.values()]
        for g, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-10)
    (kept,) = [k for some in static.trace_gradients.programs.by_key.values() for k in some]
    assert kept.hits >= 3


def test_a_back_end_is_for_static_functions():
    with pytest.raises(ArgumentError, match="write static=True too"):
        gen(backend="numba")(caught)
