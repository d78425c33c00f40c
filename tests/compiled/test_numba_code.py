"""Functions for numba compute what was recorded: as Python text, and compiled."""

import builtins
import sys
import threading
from typing import Any

import numpy as np
import pytest
from as_python import run_as_python
from evaluation import moved_inputs, recorded_again
from scipy import special
from static_models_table import MODELS
from test_random_programs import body_of

from genparams import gen
from genparams.autodiff import scatter
from genparams.compiled.algebra.simplify import straight
from genparams.compiled.native import special_numbers, vectors
from genparams.compiled.native.numba_code import numba_code
from genparams.compiled.native.training_loop import Group
from genparams.compiled.recording import Open, record_gradient
from genparams.compiled.rolling.roll import rolled
from genparams.errors import CannotRecord, MissingExtra
from genparams.program.recorded import DATA, PARAMETERS, Recording
from genparams.update.formula import Elementwise
from genparams.update.kernel import kernel

pytest.importorskip("numba")

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """Compiled code is kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENPARAMS_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield


def compared(recording, results, program, run=run_as_python, seeds=2):
    """The function for numba computes on other inputs what the recording computes."""
    code = numba_code(program)
    for seed in range(seeds):
        inputs = moved_inputs(recording, seed)
        try:
            expected, passed = recorded_again(recording, results, inputs)
        except ValueError:  # a shape that depends on the inputs
            expected, passed = [], False
        with np.errstate(all="ignore"):
            found = run(code, recording, inputs)
        assert passed == (found is not None)
        for a, b in zip(expected, found or [], strict=bool(found)):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)
    return code


def compiled_step(code, recording, inputs) -> Any:
    each = list(zip(inputs, recording.inputs, strict=True))
    bound = code.bind(*[x for x, r in each if r.stage == DATA])
    return bound and code.step(*[x for x, r in each if r.stage != DATA], bound)


def recorded_model(body, args, data=None, arg_grads=()):
    function = gen(arg_grads=arg_grads)(body) if arg_grads else gen(body)
    trace = function.simulate(args, rng=0) if data is None else function.generate(args, data)[0]
    found = record_gradient(trace, Open.ALL)
    return found.recording, [found.log_prob, *found.grads]


# --- Models


@pytest.mark.parametrize("make", [straight, rolled])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_model_has_the_gradients_of_its_recording(model, make):
    if model.name == "statistics":
        pytest.skip("it sorts")
    recording, results = recorded_model(model.body, model.args, model.data, model.arg_grads)
    compared(recording, results, make(recording, results))


@pytest.mark.parametrize("seed", range(20))
def test_a_random_model_has_the_gradients_of_its_recording(seed):
    xs = np.random.default_rng(seed).standard_normal(6)
    recording, results = recorded_model(body_of(seed), (xs,))
    compared(recording, results, rolled(recording, results))


# --- Arrays of every size, whose operations share loops


N = 90
TABLE = RNG.integers(0, 7, N)
STEPS = [
    lambda a, v, m: a * v,
    lambda a, v, m: np.where(v > a, v, 0.5 * v),
    lambda a, v, m: v - np.max(v),
    lambda a, v, m: np.sum(m, axis=1),
    lambda a, v, m: np.max(m, axis=-1) + a,
    lambda a, v, m: np.log1p(np.exp(-np.abs(v))),
    lambda a, v, m: np.concatenate([v[30:], v[:30] * a]),
    lambda a, v, m: v[::-1],
    lambda a, v, m: v[TABLE * 3],
    lambda a, v, m: scatter(v, TABLE * 2, (N,)),
    lambda a, v, m: scatter(v[:40], slice(10, 50), (N,)),
    lambda a, v, m: np.cumsum(v) / N,
    lambda a, v, m: np.tanh(v + v @ v / N),
    lambda a, v, m: m @ np.sum(m, axis=0) / N,
    lambda a, v, m: np.reshape(np.transpose(m), (-1,))[:N],
    lambda a, v, m: np.minimum(v, np.mean(m)) + np.mean(m, axis=1),
    lambda a, v, m: (np.reshape(v, (30, 3)) @ np.reshape(v[:9], (3, 3))).reshape(N),
    lambda a, v, m: np.sum(v[:, None] * v[None, :], axis=0) / N,
    lambda a, v, m: np.sum(np.exp(np.tanh(v[:, None] - v)), axis=1) / N,
    lambda a, v, m: np.broadcast_to(np.reshape(v[:45], (1, 45)), (2, 45)).reshape(N),
]
"""From a number, a vector and a matrix to a vector."""
WIDE = [
    lambda v, m: m * v[:, None],
    lambda v, m: np.stack([v, v[::-1], m[:, 0]], axis=1)[:, np.arange(m.shape[1]) % 3],
    lambda v, m: m - np.sum(m, axis=0) / N,
    lambda v, m: np.exp(m - np.max(m, axis=1, keepdims=True)),
    lambda v, m: m @ (np.transpose(m) @ m) / N,
    lambda v, m: np.tanh(m) + np.transpose(np.transpose(m) * v),
]


def shared_loops(seed, width):
    """A random recording of operations on arrays."""
    rng = np.random.default_rng([seed, width])
    recording = Recording(10**5)
    x = recording.input(rng.standard_normal(N), DATA, "x")
    m = recording.input(rng.standard_normal((N, width)), DATA, "m")
    a = recording.input(0.3, PARAMETERS, "a")
    v = recording.input(rng.standard_normal(N) * 0.3, PARAMETERS, "v")
    w = recording.input(rng.standard_normal(width) * 0.3, PARAMETERS, "w")
    u, k, results = v + x, m * a + w, []
    for _ in range(6):
        u = np.tanh(STEPS[rng.integers(len(STEPS))](a, u, k)) + 0.1 * x
        k = np.tanh(WIDE[rng.integers(len(WIDE))](u, k)) + 0.1 * m
        a = np.tanh(a + np.sum(u) / N)
    e = m @ w
    results = [np.sum(u * e) + a, a * 2.0, u, np.transpose(k) @ (u - e)]
    return recording, results


@pytest.mark.parametrize("width", [3, 20])
@pytest.mark.parametrize("seed", range(25))
def test_operations_on_arrays_share_loops(seed, width):
    recording, results = shared_loops(seed, width)
    compared(recording, results, straight(recording, results))


@pytest.mark.parametrize("seed", range(3))
def test_compiled_operations_on_arrays_share_loops(seed):
    recording, results = shared_loops(seed, 20)
    compared(recording, results, straight(recording, results), compiled_step)


def test_an_elementwise_gradient_of_a_tall_matrix_reads_it_in_blocks():
    recording = Recording(1000)
    x = recording.input(RNG.standard_normal((700, 40)), DATA, "x")
    w = recording.input(RNG.standard_normal(40), PARAMETERS, "w")
    logits = x @ w
    results = [np.sum(special.log_expit(logits)), np.transpose(x) @ special.expit(-logits)]
    code = compared(recording, results, straight(recording, results))
    assert "stop = min(" in code.text
    assert code.text.count("for i0 in range(start, stop)") == 1


def test_entries_that_only_their_own_loop_reads_are_not_stored():
    recording = Recording(1000)
    x = recording.input(np.arange(200.0), DATA, "x")
    a = recording.input(0.01, PARAMETERS, "a")
    z = np.tanh(x * a - 1.0)
    results = [np.sum(z * z), np.sum(z * x)]
    code = compared(recording, results, straight(recording, results))
    assert "w[" not in code.text
    assert code.text.count("for ") == 1


# --- Compiled


def test_a_compiled_model_has_the_gradients_of_its_recording():
    model = next(m for m in MODELS if m.name == "many sites")
    recording, results = recorded_model(model.body, model.args, model.data)
    compared(recording, results, straight(recording, results), compiled_step)


def test_a_compiled_loop_over_choices_has_the_gradients_of_its_recording():
    model = next(m for m in MODELS if m.name == "kalman")
    recording, results = recorded_model(model.body, model.args, model.data)
    compared(recording, results, rolled(recording, results), compiled_step)


def small():
    """A recording of -sum (x - a)^2 and its derivative, with a test of a."""
    recording = Recording(100)
    x = recording.input(np.arange(100.0), DATA, "x")
    a = recording.input(3.0, PARAMETERS, "a")
    bool(a < 60.0)
    d = x - a
    results = [-np.sum(d * d), 2.0 * np.sum(d)]
    code: Any = numba_code(straight(recording, results))
    return recording, code


DESCENT = kernel((Elementwise(lambda g, theta, c: c * g, constants=lambda t: (0.001 / t,)),))
MOMENTUM = kernel(
    (Elementwise(lambda g, theta, m: ((m + g) * 0.001, 0.5 * m + g), fields={"m": 0.0}),)
)


def test_a_loop_takes_the_steps_of_its_rule():
    _, code = small()
    bound = code.bind(np.arange(100.0))
    constants = np.array([DESCENT.folded(0.001 / t) for t in range(1, 6)])
    theta, by_hand = np.array([3.0]), 3.0
    taken = code.loop([Group(DESCENT, 0, 0, 1)], theta, np.zeros((0, 1)), constants, bound)
    for t in range(1, 6):
        log_prob, g = code.step(by_hand, bound)
        assert taken.log_probs[t - 1] == pytest.approx(log_prob)
        assert taken.norms[t - 1] == pytest.approx(abs(g))
        by_hand += 0.001 / t * g
    assert taken.steps == 5
    assert theta[0] == pytest.approx(by_hand)


def test_a_loop_keeps_the_fields_of_its_rule():
    _, code = small()
    bound = code.bind(np.arange(100.0))
    theta, fields, m, by_hand = np.array([3.0]), np.zeros((1, 1)), 0.0, 3.0
    code.loop([Group(MOMENTUM, 0, 0, 1)], theta, fields, np.zeros((4, 0)), bound)
    for _ in range(4):
        _, g = code.step(by_hand, bound)
        by_hand, m = by_hand + 0.001 * (m + g), 0.5 * m + g
    assert theta[0] == pytest.approx(by_hand)
    assert fields[0, 0] == pytest.approx(m)


def test_a_loop_takes_other_data_at_each_step():
    _, code = small()
    data = [np.arange(100.0) + shift for shift in range(4)]
    bounds, theta, by_hand = [code.bind(x) for x in data], np.array([3.0]), 3.0
    constants = np.array([DESCENT.folded(0.001)] * 4)
    taken = code.loop([Group(DESCENT, 0, 0, 1)], theta, np.zeros((0, 1)), constants, bounds)
    for log_prob, bound in zip(taken.log_probs, bounds, strict=True):
        expected, g = code.step(by_hand, bound)
        assert log_prob == pytest.approx(expected)
        by_hand += 0.001 * g
    assert theta[0] == pytest.approx(by_hand)


def test_a_loop_takes_other_draws_at_each_step():
    recording = Recording(100)
    x = recording.input(np.arange(80.0), DATA, "x")
    z, u = recording.input(np.zeros(3), DATA, "z"), recording.input(0.5, DATA, "u")
    a = recording.input(0.1, PARAMETERS, "a")
    bool(u > 0.0)
    d = x - a * (u + np.sum(z * z))
    results = [-np.sum(d * d) * 1e-6, np.sum(d) * 2e-6 * (u + np.sum(z * z))]
    code: Any = numba_code(straight(recording, results), each_step=(1, 2))
    bound = code.bind(np.arange(80.0), np.zeros(3), 0.5)
    draws, us = RNG.standard_normal((5, 3)), RNG.random(5)
    us[4] = -1.0  # another answer
    constants = np.array([DESCENT.folded(1.0)] * 5)
    group, theta, by_hand = [Group(DESCENT, 0, 0, 1)], np.array([0.1]), 0.1
    taken = code.loop(group, theta, np.zeros((0, 1)), constants, bound, each_step=[draws, us])
    for k in range(4):
        _, g = code.step(by_hand, code.bind(np.arange(80.0), draws[k], us[k]))
        by_hand += g
    assert taken.steps == 4
    assert theta[0] == pytest.approx(by_hand)


@pytest.mark.parametrize("start", [61.0, np.nan, 1e200])
def test_a_loop_ends_before_a_step_that_has_to_be_interpreted(start):
    _, code = small()
    bound = code.bind(np.arange(100.0))
    theta = np.array([start])
    constants = np.array([DESCENT.folded(0.001)] * 3)
    taken = code.loop([Group(DESCENT, 0, 0, 1)], theta, np.zeros((0, 1)), constants, bound)
    assert taken.steps == 0
    np.testing.assert_equal(theta, [start])


def test_a_loop_that_overflows_leaves_the_state_before_that_step():
    _, code = small()
    bound = code.bind(np.arange(100.0))
    theta = np.array([3.0])
    constants = np.array([DESCENT.folded(c) for c in (0.001, -1e308)])
    taken = code.loop([Group(DESCENT, 0, 0, 1)], theta, np.zeros((0, 1)), constants, bound)
    assert taken.steps == 1
    assert theta[0] == pytest.approx(3.0 + 0.001 * code.step(3.0, bound)[1])


def test_data_that_cannot_be_written_to_and_have_gaps_are_bound():
    _, code = small()
    data = np.arange(200.0)[::2]
    data.flags.writeable = False
    expected = code.step(1.0, code.bind(np.arange(0.0, 200.0, 2.0)))
    assert code.step(1.0, code.bind(data)) == expected


def test_threads_compile_once_and_agree():
    _, code = small()
    found = []

    def work():
        found.extend(code.step(float(k % 7), code.bind(np.arange(100.0)))[0] for k in range(200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 1600
    assert len(set(found)) == 7


def test_an_index_beyond_an_axis_is_left_to_the_interpreter():
    recording = Recording(100)
    at = recording.input(np.arange(70) % 5, DATA, "at")
    v = recording.input(np.arange(5.0), PARAMETERS, "v")
    results = [np.sum(v[at]), scatter(v[at], at, (5,))]
    code = numba_code(straight(recording, results))
    assert code.bind(np.full(70, 5)) is None
    assert code.bind(np.full(70, -6)) is None
    assert code.bind(np.full(70, -5)) is not None
    moving = numba_code(straight(recording, results), each_step=(0,))
    assert "if v" in moving.text
    bound = moving.bind(np.full(70, 7))
    assert moving.step(np.arange(5.0), bound) is None
    log_prob, g = compiled_step(moving, recording, [np.arange(70) % 5, np.arange(5.0)])
    assert log_prob == 140.0
    np.testing.assert_allclose(g, 14.0 * np.arange(5.0))


# --- What cannot be compiled


def test_an_operation_that_is_not_known_is_named():
    recording = Recording(100)
    a = recording.input(np.arange(3.0), PARAMETERS, "a")
    results = [np.sum(np.sort(a)), a]
    with pytest.raises(CannotRecord, match="sort, for numba"):
        numba_code(straight(recording, results))


def test_a_missing_numba_says_what_to_install(monkeypatch):
    recording, _ = small()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtra, match=r"not installed.*genparams\[numba\]"):
        numba_code(straight(recording, [0.0]))


def test_a_broken_numba_says_why(monkeypatch):
    recording, _ = small()
    original = builtins.__import__

    def broken(name, *args, **options):
        if name == "numba":
            raise ImportError("numba needs numpy 1.0")
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(MissingExtra, match=r"cannot be imported \(numba needs numpy 1\.0\)"):
        numba_code(straight(recording, [0.0]))


# --- Functions of single numbers


EDGES = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, -1.0, 5e-324, 709.7, 709.8, -745.1, -745.2]
NUMBERS = np.concatenate(
    [np.linspace(-760.0, 760.0, 4001), 10.0 ** RNG.uniform(-300, 300, 2000), EDGES]
)


@pytest.mark.parametrize("name", vectors.ARITHMETIC)
def test_a_function_without_branches_is_right_to_a_unit_in_the_last_place(name):
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(NUMBERS.astype(np.longdouble)).astype(float)
        found = np.array([getattr(vectors, name)(float(x)) for x in NUMBERS])
        normal = np.abs(expected) > 1e-300
        np.testing.assert_allclose(found[normal], expected[normal], rtol=5e-16)
        np.testing.assert_allclose(found[~normal], expected[~normal], rtol=1e-6, atol=5e-324)


@pytest.mark.parametrize("name", ["psi", "log_ndtr", "ndtr", "expit", "log_expit", "entr", "logit"])
def test_a_special_function_is_that_of_scipy(name):
    at = np.concatenate([np.linspace(-20.0, 30.0, 501) + 1e-3, 10.0 ** RNG.uniform(-6, 5, 200)])
    at = RNG.random(500) if name == "logit" else at
    found = [getattr(special_numbers, name)(float(x)) for x in at]
    np.testing.assert_allclose(found, getattr(special, name)(at), rtol=1e-11, atol=1e-13)
