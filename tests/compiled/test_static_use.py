"""Static functions in use: other data, threads, clones, files; and what they cannot see."""

import gc
import pickle
import sys
import threading
import tracemalloc
import types

import numpy as np
import pytest

from genparams import (
    ADAM,
    GenParamsError,
    ParamUpdate,
    accumulate_param_gradients,
    gen,
    init_param,
    normal,
    param,
    positive,
)
from genparams.errors import (
    ArgumentError,
    CannotRecord,
    MissingExtra,
    NotStatic,
    ReplayDiffers,
    StaticDiffers,
)

XS = np.linspace(-1.0, 1.0, 20)
YS = 2.0 * XS + 1.0


@gen(static=True)
def line(xs):
    slope, noise = param("slope", 0.5), param("noise", 1.3, constraint=positive)
    return normal(slope * xs, noise) @ "ys"


@pytest.fixture(autouse=True)
def _parameters():
    init_param(line, "slope", 0.5)
    init_param(line, "noise", 1.3, positive)


def hits(static):
    programs = static.trace_gradients.programs.by_key.values()
    return [kept.hits for some in programs for kept in some]


def by_slope(trace):
    return trace.param_gradients()[trace.gen_fn.__name__]["slope"]


def expected(slope, noise, xs=XS, ys=YS):
    return np.sum((ys - slope * xs) * xs) / noise**2


def several(trace, n):
    for _ in range(n):
        trace.param_gradients()


def made(f, xs=XS, ys=YS):
    return f.generate((xs,), {"ys": ys})[0]


# --- Other numbers


def test_a_trace_of_other_data_is_replayed_by_the_same_program():
    rng, before = np.random.default_rng(0), None
    for _ in range(10):
        xs, ys = rng.standard_normal((2, 20))
        trace = made(line, xs, ys)
        assert by_slope(trace) == pytest.approx(expected(0.5, 1.3, xs, ys), rel=1e-12)
        before = before or len(hits(line))
    assert len(hits(line)) == before
    assert sum(hits(line)) >= 9


def test_another_shape_gets_another_program():
    for n in (5, 7):
        trace = made(line, XS[:n], YS[:n])
        for _ in range(3):
            assert by_slope(trace) == pytest.approx(expected(0.5, 1.3, XS[:n], YS[:n]))
    assert all(count >= 2 for count in hits(line)[-2:])


def test_a_frozen_parameter_is_a_constant_and_gets_no_gradient():
    trace = made(line)
    for _ in range(3):
        assert set(trace.param_gradients()["line"]) == {"slope", "noise"}
    line.params["noise"].freeze()
    for noise in (1.3, 0.9, 0.7):
        line.params["noise"].set(noise)
        assert set(trace.param_gradients()["line"]) == {"slope"}
        assert by_slope(trace) == pytest.approx(expected(0.5, noise), rel=1e-12)
    line.params["noise"].thaw()
    assert set(trace.param_gradients()["line"]) == {"slope", "noise"}


def test_a_parameter_that_is_initialised_again_is_read_where_it_is():
    trace = made(line)
    for slope in (0.5, 0.7, 0.9, 1.1):
        init_param(line, "slope", slope)
        assert by_slope(trace) == pytest.approx(expected(slope, 1.3), rel=1e-12)


def test_a_parameter_of_another_shape_gets_another_program():
    init_param(line, "slope", np.full(20, 0.5))
    trace = made(line)
    for _ in range(3):
        np.testing.assert_allclose(by_slope(trace), (YS - 0.5 * XS) * XS / 1.3**2)


def test_a_clone_has_programs_and_parameters_of_its_own():
    other = line.with_params(pickle.loads(pickle.dumps(line.params)))
    trace, mine = made(other), made(line)
    other.params["slope"].set(0.9)
    for _ in range(4):
        assert by_slope(trace) == pytest.approx(expected(0.9, 1.3), rel=1e-12)
        assert by_slope(mine) == pytest.approx(expected(0.5, 1.3), rel=1e-12)
    assert hits(other)
    assert other.backend == "numpy"


def test_a_pickled_function_is_the_static_function():
    assert pickle.loads(pickle.dumps(line)) is line
    trace = pickle.loads(pickle.dumps(made(line)))
    for _ in range(3):
        assert by_slope(trace) == pytest.approx(expected(0.5, 1.3), rel=1e-12)


def test_a_function_that_is_not_static_may_call_a_static_one():
    @gen
    def outer(xs):
        return line(xs) @ "line"

    trace, _ = outer.generate((XS,), {("line", "ys"): YS})
    assert trace.param_gradients()["line"]["slope"] == pytest.approx(expected(0.5, 1.3))


def test_the_gradients_of_several_traces_are_added_as_without_recording():
    traces = [made(line, XS + i) for i in range(5)]
    for _ in range(3):
        accumulate_param_gradients(traces)
    total = sum(expected(0.5, 1.3, XS + i) for i in range(5))
    assert line.params["slope"].grad == pytest.approx(3.0 * total, rel=1e-12)


def test_a_gradient_that_is_handed_out_does_not_change_later():
    init_param(line, "slope", np.full(20, 0.5))
    trace = made(line)
    found = [trace.param_gradients()["line"]["slope"] for _ in range(4)]
    copies = [g.copy() for g in found]
    line.params["slope"].set(np.full(20, 0.9))
    trace.param_gradients()
    for g, copy in zip(found, copies, strict=True):
        np.testing.assert_array_equal(g, copy)


# --- Threads and memory


def test_eight_threads_replay_one_trace_and_their_own():
    shared, wrong = made(line), []

    def work(i):
        own = made(line, XS + i, YS)
        for _ in range(50):
            near = [(shared, expected(0.5, 1.3)), (own, expected(0.5, 1.3, XS + i))]
            wrong.extend(t for t, g in near if abs(by_slope(t) - g) > 1e-9 * abs(g))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_many_steps_take_no_more_memory():
    trace, update = made(line), ParamUpdate(ADAM(1e-4), line)

    def steps(n):
        for _ in range(n):
            trace.accumulate_param_gradients()
            update.apply()

    steps(300)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        steps(3000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()


def test_many_traces_take_no_more_memory():
    def steps(n):
        for i in range(n):
            by_slope(made(line, XS + 1e-3 * i))

    steps(50)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        steps(500)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()


# --- What a recording cannot see


def test_an_argument_that_is_changed_in_place_is_refused():
    xs = XS.copy()
    trace = made(line, xs)
    by_slope(trace)
    by_slope(trace)
    xs[3] = 9.0
    with pytest.raises(ReplayDiffers, match="argument xs have changed"):
        by_slope(trace)


SETTINGS = {"factor": 1.0}


def test_a_global_that_changes_is_an_error_that_names_the_address(monkeypatch):
    monkeypatch.setenv("GENPARAMS_STATIC", "check")

    @gen(static=True)
    def model():
        _ = normal(param("a", 0.5), 1.0) @ "x"
        return normal(param("a", 0.5) * SETTINGS["factor"], 1.0) @ "y"

    trace, _ = model.generate((), {"x": 0.1, "y": 2.0})
    for a in (0.5, 0.6, 0.7, 0.8):
        model.params["a"].set(a)
        trace.param_gradients()
    monkeypatch.setitem(SETTINGS, "factor", 3.0)
    with pytest.raises(StaticDiffers, match=r"at 'y'.*reads a global or an object that changes"):
        trace.param_gradients()


def test_a_model_that_draws_by_itself_is_an_error():
    rng = np.random.default_rng(0)

    @gen(static=True)
    def model():
        return normal(param("a", 0.5) + rng.standard_normal(), 1.0) @ "y"

    trace, _ = model.generate((), {"y": 2.0})
    with pytest.raises((ReplayDiffers, StaticDiffers), match="draws at random by itself"):
        several(trace, 3)


def test_a_model_that_fills_a_list_outside_is_interpreted_and_told():
    seen = []

    @gen(static=True)
    def model():
        seen.append(1)
        return normal(param("a", 0.5), 1.0) @ "y"

    trace, _ = model.generate((), {"y": 2.0})
    with pytest.warns(NotStatic, match="it changes seen in model"):
        trace.param_gradients()
    count = len(seen)
    assert trace.param_gradients()["model"]["a"] == 1.5
    assert len(seen) > count


def test_recording_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("GENPARAMS_STATIC", "off")
    function = gen(static=True)(line.body).with_params(line.params)
    trace = made(function)
    for _ in range(3):
        trace.param_gradients()
    assert not hits(function)


# --- What cannot be replayed


def test_a_branch_that_flips_at_every_step_is_right_and_told():
    @gen(static=True)
    def model():
        a = param("a", 0.5)
        return normal(a * a if a > 1.0 else -a, 1.0) @ "y"

    trace, _ = model.generate((), {"y": 2.0})

    def flip():
        for k in range(80):
            a = (0.5, 1.5)[k % 2]
            model.params["a"].set(a)
            g = trace.param_gradients()["model"]["a"]
            assert g == pytest.approx((2.0 - a * a) * 2.0 * a if k % 2 else -(2.0 + a))

    with pytest.warns(NotStatic, match="took another branch"):
        flip()
    assert min(hits(model)) > 20


def test_shapes_that_change_at_every_step_are_right_and_told():
    f = gen(static=True)(line.body).with_params(line.params)

    def grow():
        for n in range(1, 600):
            xs = np.linspace(-1.0, 1.0, n)
            assert by_slope_of(f, xs) == pytest.approx(expected(0.5, 1.3, xs, xs), abs=1e-12)

    with pytest.warns(NotStatic, match="none of its last 8 recordings could be used again"):
        grow()


def by_slope_of(f, xs):
    return f.generate((xs,), {"ys": xs})[0].param_gradients()["line"]["slope"]


def test_a_program_that_is_too_long_is_interpreted_and_told():
    @gen(static=True)
    def model(x):
        for _ in range(1_000_001):
            x = 0.5 * x
        return normal(param("a", 0.5) + x, 1.0) @ "y"

    trace, _ = model.generate((1.0,), {"y": 2.0})
    with pytest.warns(NotStatic, match="more than 1000000 operations"):
        trace.param_gradients()
    assert trace.param_gradients()["model"]["a"] == 1.5


def test_what_leaves_numpy_is_recorded_with_arguments_as_constants():
    @gen(static=True)
    def model(x):
        return normal(param("a", 0.5) * float(x), 1.0) @ "y"

    for x in (2.0, 3.0):
        trace, _ = model.generate((x,), {"y": 2.0})
        for _ in range(4):
            assert trace.param_gradients()["model"]["a"] == pytest.approx((2.0 - 0.5 * x) * x)
    assert model.trace_gradients.programs.reason is None
    assert all(count >= 2 for count in hits(model))


def test_a_gradient_at_which_arithmetic_fails_has_the_error_of_the_interpreter():
    trace = made(line)
    by_slope(trace)
    by_slope(trace)
    line.params["noise"].set(1e-200)
    with pytest.raises(GenParamsError, match="'ys'"):
        by_slope(trace)
    line.params["noise"].set(1.3)
    assert by_slope(trace) == pytest.approx(expected(0.5, 1.3), rel=1e-12)


# --- The program, and the back end


def test_a_program_shows_its_text_its_inputs_and_its_tests():
    program = line.program((XS,), {"ys": YS})
    assert program.inputs == {"xs": (20,), "'ys'": (20,), "slope": (), "noise": ()}
    assert "def step(slope, noise, bound):" in program.text
    assert program.size < program.operations
    assert any("exp(noise)" in test for test in program.tests)
    assert str(program).startswith("# line, for numpy: ")
    assert "def step" in str(program)


def test_the_program_of_what_cannot_be_recorded_is_refused():
    @gen
    def model():
        return normal(param("a", 0.5) * float(param("b", 1.0)), 1.0) @ "y"

    init_param(model, "b", 1.0)
    with pytest.raises((CannotRecord, TypeError), match="float"):
        model.program((), {"y": 2.0})


def test_an_unknown_back_end_is_refused():
    with pytest.raises(ArgumentError, match=r"backend is one of .*'nunba'; did you mean numba"):
        gen(static=True, backend="nunba")(line.body)


def test_a_missing_back_end_is_told_where_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtra, match=r"genparams\[numba\]"):
        gen(static=True, backend="numba")(line.body)


def test_a_broken_back_end_is_told_with_the_cause(monkeypatch):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise AttributeError(name)

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "numba":
                raise ImportError("numba needs another llvmlite")

    monkeypatch.delitem(sys.modules, "numba", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.raises(MissingExtra, match="numba needs another llvmlite"):
        gen(static=True, backend="numba")(line.body)
