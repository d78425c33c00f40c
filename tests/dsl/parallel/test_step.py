"""Gradients by workers: equal to the bit to gradients without them, or the same error."""

import os
import pickle
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import parallel_models as models
import pytest

from genparams import gen, init_param, normal, param, positive, set_param, zero_param_grad
from genparams.dsl.gradients import accumulate_param_gradients
from genparams.dsl.parallel.placed import place
from genparams.dsl.parallel.processes import LocalProcesses
from genparams.errors import (
    ArgumentError,
    ComputedHere,
    ForeignParameters,
    ImpossibleTrace,
    InvalidValue,
    NotPicklable,
    ReplayDiffers,
    ShapeError,
    WorkersLost,
)

FUNCTIONS = (models.line, models.row, models.nested, models.waiting, models.teacher)


@pytest.fixture(scope="module")
def pool():
    """Two processes of Python's own pool, which choose tasks by themselves."""
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(3) as executor:
        yield executor


@pytest.fixture(params=["processes", "pool", "threads"])
def executor(request):
    return request.getfixturevalue(request.param)


def initialise():
    rng = np.random.default_rng(3)
    for function in (models.line, models.row):
        for name in function.params:
            function.params.discard(name)
    for name, value, constraint in [
        ("slope", 0.5, None),
        ("intercept", -0.25, None),
        ("noise", 0.7, positive),
    ]:
        init_param(models.line, name, value, constraint)
    init_param(models.row, "weights", rng.normal(size=3))
    init_param(models.row, "std", 1.2, positive)
    init_param(models.waiting, "rate", 2.0, positive)
    models.teacher.params["slope"].set(3.0)


def gradients():
    """Every accumulator, which is then emptied."""
    found = {}
    for f in FUNCTIONS:
        for name, p in f.params.items():
            found[f.__name__, id(f.params), name] = (p.accumulated, np.array(p.grad))
            p.zero_grad()
    return found


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for key, (accumulated, grad) in found.items():
        assert accumulated == expected[key][0], key
        np.testing.assert_array_equal(grad, expected[key][1], strict=True)


def traces_of_all():
    """Nested calls, combinators, clones, gradients by hand, frozen and constrained parameters.

    There are more traces than are added one after another.
    """
    initialise()
    gradients()
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 8))
    models.line.params["intercept"].freeze()
    traces = [models.line.simulate((table[:, i],), i) for i in range(8)]
    models.line.params["intercept"].thaw()
    traces += [models.nested.simulate((rng.normal(size=(3, 3)),), i) for i in range(6)]
    traces += [models.queue.simulate((3,), i) for i in range(4)]
    traces += [models.lesson.simulate((table[0],), i) for i in range(3)]
    traces += [models.cloning.simulate((table[::-1, 0],), i) for i in range(3)]
    traces += [models.teacher.simulate((table[1],), 0)]
    traces += [models.line.simulate((table[i % 30, :4],), i) for i in range(120)]
    for f in (models.line, models.row, models.waiting):
        for p in f.params.values():
            p.set(np.abs(p.value) * 1.5)
    models.line.params["intercept"].freeze()
    return traces


@pytest.fixture
def traces():
    yield traces_of_all()
    models.line.params["intercept"].thaw()
    gradients()


# --- The same bits


def test_workers_add_what_a_call_without_them_adds_to_the_bit(traces, executor):
    scales = np.linspace(-1.0, 2.0, len(traces)).tolist()
    expected = accumulate_param_gradients(traces, scales)
    sums = gradients()
    found = accumulate_param_gradients(traces, scales, executor)
    assert_equal(gradients(), sums)
    assert [lp for lp, _ in found] == [lp for lp, _ in expected]
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_no_bit(traces, workers):
    accumulate_param_gradients(traces, 0.3)
    sums = gradients()
    with ThreadPoolExecutor(workers) as executor:
        accumulate_param_gradients(traces, 0.3, executor)
    assert_equal(gradients(), sums)


def test_gradients_are_added_to_what_is_accumulated(traces, processes):
    found = []
    for executor in (None, processes):
        models.line.params["slope"].increment_grad(0.125)
        accumulate_param_gradients(traces, 1.0, executor)
        found.append(gradients())
    assert_equal(*found)


def test_one_trace_and_none(traces, processes):
    assert accumulate_param_gradients([], executor=processes) == []
    assert len(place([], processes)) == 0
    expected = accumulate_param_gradients(traces[0])
    sums = gradients()
    found = accumulate_param_gradients(traces[0], executor=processes)
    assert_equal(gradients(), sums)
    assert repr(found) == repr(expected)


# --- Parameters travel with the work


def test_a_worker_differentiates_at_the_values_of_the_caller(processes):
    data = np.arange(8.0) * 7.5
    traces = [models.centred.generate((), {"x": x})[0] for x in data]
    set_param(models.centred, "mu", data.mean())
    there = [processes.submit(models.gradient_there, trace).result() for trace in traces]
    assert sum(there) == 210.0  # at the 0 that the process itself has
    accumulate_param_gradients(traces, executor=processes)
    assert models.centred.params["mu"].grad == 0.0
    zero_param_grad(models.centred, "mu")
    set_param(models.centred, "mu", 1.0)
    accumulate_param_gradients(traces, executor=processes)
    assert models.centred.params["mu"].grad == 210.0 - 8.0
    zero_param_grad(models.centred, "mu")
    set_param(models.centred, "mu", 0.0)


def test_a_worker_s_own_parameters_do_not_change(processes):
    trace = models.centred.generate((), {"x": 1.0})[0]
    set_param(models.centred, "mu", 4.0)
    accumulate_param_gradients([trace], executor=processes)
    there = {processes.submit_to(i, models.present_mu).result() for i in range(2)}
    assert there == {0.0}
    zero_param_grad(models.centred, "mu")
    set_param(models.centred, "mu", 0.0)


def test_another_constraint_and_another_shape_travel(processes):
    for value, constraint in [(np.ones(4), None), (np.ones(2), positive)]:
        init_param(models.row, "weights", value, constraint)
        trace = models.row.generate((np.arange(len(value)),), {"hidden": 0.5, "y": 1.0})[0]
        expected = trace.param_gradients()["row"]
        accumulate_param_gradients([trace], executor=processes)
        for name, g in expected.items():
            np.testing.assert_array_equal(models.row.params[name].grad, g)
        gradients()


def test_what_get_param_reads_is_never_the_worker_s_own(processes):
    initialise()
    set_param(models.line, "slope", -2.0)
    models.line.params["slope"].freeze()
    traces = [models.reading.simulate((float(i),), i) for i in range(4)]
    accumulate_param_gradients(traces)
    expected = models.reading.params["std"].grad
    zero_param_grad(models.reading, "std")
    with pytest.warns(ComputedHere, match="UnknownParameter: .*'slope'"):  # no run reads it
        accumulate_param_gradients(traces, executor=processes)
    assert models.reading.params["std"].grad == expected
    zero_param_grad(models.reading, "std")
    traces.append(models.line.simulate((np.ones(2),), 0))
    accumulate_param_gradients(traces, executor=processes)  # now it is sent
    assert models.reading.params["std"].grad == expected
    zero_param_grad(models.reading, "std")
    models.line.params["slope"].thaw()
    gradients()


@pytest.mark.parametrize("function", [models.branching, models.late_again])
def test_a_parameter_that_is_read_for_the_first_time_is_declared_here(function, processes):
    init_param(function, "a", 1.0)
    traces = [function.generate((1.0,), {"y": float(i)})[0] for i in range(5)]
    set_param(function, "a", 3.0)
    placed = place(traces, processes)
    accumulate_param_gradients(placed)
    owner, name = (models.late, "b") if function is models.branching else (function, "spread")
    found = owner.params[name].grad
    assert found != 0.0
    zero_param_grad(owner, name)
    accumulate_param_gradients(placed)  # the second step sends it
    assert owner.params[name].grad == found
    zero_param_grad(owner, name)
    accumulate_param_gradients(traces)
    assert owner.params[name].grad == found
    owner.params.discard(name)
    function.params.discard("a")


def test_a_trace_of_a_third_process_is_refused_as_without_workers(processes):
    there = processes.submit(models.simulated_there).result()
    for executor in (None, processes):
        with pytest.raises(ForeignParameters, match="'mu' of centred was 99"):
            accumulate_param_gradients([there], executor=executor)
    set_param(models.centred, "mu", 99.0)
    accumulate_param_gradients([there], executor=processes)
    assert models.centred.params["mu"].grad == there["x"] - 99.0
    zero_param_grad(models.centred, "mu")
    set_param(models.centred, "mu", 0.0)


# --- Placed traces


class Recording:
    """An executor that computes at once, and notes how many bytes it was sent."""

    def __init__(self):
        self.sent = []

    def submit(self, fn, *args):
        message = pickle.dumps(args)
        self.sent.append(len(message))
        future = Future()
        future.set_result(fn(*pickle.loads(message)))
        return future


def test_placed_traces_are_sent_once(traces):
    executor = Recording()
    placed = place(traces, executor)
    steps = []
    for _ in range(3):
        accumulate_param_gradients(placed)
        steps.append(sum(executor.sent))
        executor.sent.clear()
    accumulate_param_gradients(traces, executor=executor)
    assert steps[1] == steps[2]
    assert steps[0] > steps[1] + 10_000
    assert sum(executor.sent) > steps[1] + 10_000


def test_placed_traces_follow_the_parameters(traces, executor):
    placed = place(traces, executor)
    for slope in (1.0, -2.0, 0.25):
        set_param(models.line, "slope", slope)
        accumulate_param_gradients(placed)
        found = gradients()
        accumulate_param_gradients(traces)
        assert_equal(found, gradients())


def test_a_minibatch_of_placed_traces_is_the_same_sum_as_of_a_list(traces, executor):
    placed = place(traces, executor)
    rng = np.random.default_rng(0)
    for size in (11, 11, 80, 130):
        places = rng.permutation(len(traces))[:size].tolist()
        scales = rng.normal(size=size).tolist()
        found = accumulate_param_gradients(placed.chosen(places), scales)
        sums = gradients()
        expected = accumulate_param_gradients([traces[i] for i in places], scales)
        assert_equal(sums, gradients())
        assert repr(found) == repr(expected)


def test_placed_traces_are_a_sequence(traces, threads):
    placed = place(traces, threads)
    assert len(placed) == len(traces)
    assert placed[3] is traces[3]
    assert placed[1:3] == traces[1:3]
    assert [*placed.chosen([4, -1])] == [traces[4], traces[-1]]
    assert placed.chosen([4, 2])[:1] == [traces[4]]
    assert f"<{len(traces)} traces placed on <" in repr(placed)
    assert "<2 of <" in repr(placed.chosen([0, 1]))
    with pytest.raises(IndexError):
        placed.chosen([len(traces)])


def test_workers_have_copies_of_placed_traces(threads, processes):
    initialise()
    xs = np.ones(3)
    trace = models.line.simulate((xs,), 0)
    placed = place([trace], processes)
    accumulate_param_gradients(placed)
    copied = gradients()
    xs[0] = 5.0
    accumulate_param_gradients(placed)
    assert_equal(gradients(), copied)
    for refused in ([trace], place([trace], processes)):
        with pytest.raises(ReplayDiffers, match="argument xs"):
            accumulate_param_gradients(refused, executor=processes)


# --- Errors: the same as without workers, and nothing is added


def impossible():
    initialise()
    traces = [models.line.simulate((np.ones(2),), i) for i in range(6)]
    traces.append(models.line.generate((np.ones(2),), {"ys": [np.inf, 0.0]})[0])
    return traces


def with_error(traces, executor):
    with pytest.raises(Exception) as error:  # noqa: PT011  # compared below
        accumulate_param_gradients(traces, executor=executor)
    return error.value


def test_an_error_is_the_one_of_a_call_without_workers(executor):
    traces = impossible()
    expected, found = with_error(traces, None), with_error(traces, executor)
    assert type(found) is type(expected) is ImpossibleTrace
    assert str(found) == str(expected)
    assert "after a worker: a worker has failed with ImpossibleTrace" in found.__notes__[0]
    assert not any(accumulated for accumulated, _ in gradients().values())


def test_an_argument_changed_in_place_is_refused(executor):
    initialise()
    xs = np.ones(3)
    trace = models.line.simulate((xs,), 0)
    xs[1] = 2.0
    with pytest.raises(ReplayDiffers, match="argument xs"):
        accumulate_param_gradients([trace], executor=executor)


class Unpicklable:
    def __reduce__(self):
        raise TypeError("it holds a socket")


def local_model():
    @gen
    def local():
        return normal(param("a", 1.0), 1.0) @ "y"

    return local.simulate((), 0)


BAD = {
    "no trace": (lambda: [3.0], {}, ArgumentError, "expected a trace"),
    "no executor": (list, {"executor": 2}, ArgumentError, "method submit.*got 2"),
    "a class": (list, {"executor": ThreadPoolExecutor}, ArgumentError, "LocalProcesses"),
    "too few scales": (lambda: impossible()[:3], {"scale": [1.0]}, ShapeError, "3 traces need"),
    "a scale of NaN": (lambda: impossible()[:3], {"scale": np.nan}, InvalidValue, "finite"),
    "an argument": (
        lambda: [models.holding.simulate((Unpicklable(),), 0)],
        {},
        NotPicklable,
        "the argument thing of trace 0, of holding, cannot be sent.*it holds a socket",
    ),
    "an argument of a later trace": (
        lambda: [models.holding.simulate((x,), 0) for x in (1, 2, threading.Lock())],
        {},
        NotPicklable,
        "the argument thing of trace 2, of holding, cannot be sent.*lock",
    ),
}


@pytest.mark.parametrize("row", BAD)
def test_bad_input_is_refused(row, processes):
    make, named, error, message = BAD[row]
    with pytest.raises(error, match=message):
        accumulate_param_gradients(make(), **{"executor": processes, **named})
    assert not any(accumulated for accumulated, _ in gradients().values())


def test_a_constraint_that_cannot_be_sent_is_named(processes):
    initialise()
    init_param(models.line, "slope", 1.0, models.Unsendable())
    trace = models.line.simulate((np.ones(2),), 0)
    init_param(models.line, "slope", 1.0, models.Unsendable(lock=threading.Lock()))
    with pytest.raises(NotPicklable, match=r"constraint of parameter 'slope' of line.*lock"):
        accumulate_param_gradients([trace], executor=processes)
    models.line.params.discard("slope")


def test_placed_traces_are_used_on_their_executor(traces, threads, processes):
    placed = place(traces, threads)
    with pytest.raises(ArgumentError, match="another executor"):
        accumulate_param_gradients(placed, executor=processes)
    with pytest.raises(ArgumentError, match="placed already"):
        place(placed, threads)


# --- Workers that die or fail


def faulty(function, *args):
    init_param(function, "a", 1.0)
    with_data = [function.generate((float(i), *args), {"y": 0.5 * i})[0] for i in range(8)]
    accumulate_param_gradients(with_data)
    expected = function.params["a"].grad
    zero_param_grad(function, "a")
    return with_data, expected


def test_the_work_of_a_killed_process_is_done_again(processes, tmp_path):
    file = tmp_path / "marks"
    file.write_text(str(os.getpid()))
    traces, expected = faulty(models.dying_once, str(file))
    accumulate_param_gradients(traces, executor=processes)
    assert file.read_text().split()[1] == "died"
    assert models.dying_once.params["a"].grad == expected


def test_traces_that_kill_every_process_are_named():
    traces, _ = faulty(models.dying, os.getpid())
    message = "gradient of traces 2 to 3 was given up, because every worker that had it died"
    with LocalProcesses(1, attempts=1) as executor, pytest.raises(WorkersLost, match=message):
        accumulate_param_gradients(traces, executor=executor)
    assert not models.dying.params["a"].accumulated


def test_work_lost_with_a_pool_is_done_here():
    traces, expected = faulty(models.dying, os.getpid())
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for _ in range(2):  # the pool stays broken
            with pytest.warns(ComputedHere, match="executor has failed with BrokenProcessPool"):
                accumulate_param_gradients(traces, executor=pool)
            assert models.dying.params["a"].grad == expected
            zero_param_grad(models.dying, "a")


def test_a_worker_without_memory_has_its_work_done_here(processes):
    traces, expected = faulty(models.hungry, os.getpid())
    with pytest.warns(ComputedHere, match="traces 3 to 3: a worker has failed with MemoryError"):
        accumulate_param_gradients(traces, executor=processes)
    assert models.hungry.params["a"].grad == expected


def test_traces_for_which_there_is_no_memory_anywhere_are_named(processes, monkeypatch):
    traces, _ = faulty(models.starving, os.getpid())
    monkeypatch.setattr(models, "armed", True)
    with pytest.raises(MemoryError) as error:
        accumulate_param_gradients(traces, executor=processes)
    assert error.value.__notes__[0].startswith("while traces 3 to 3 were differentiated")
    assert not models.starving.params["a"].accumulated


# --- Functions without a name that workers can import


def test_a_local_function_is_sent_whole_if_cloudpickle_is_there(processes):
    pytest.importorskip("cloudpickle")
    traces = [local_model() for _ in range(2)]
    for trace in traces:
        expected = trace.param_gradients()["local"]["a"]
        set_param(trace.gen_fn, "a", 1.0)
        accumulate_param_gradients([trace], executor=processes)
        assert trace.gen_fn.params["a"].grad == expected


def test_a_local_function_is_named_if_cloudpickle_is_not_there(processes, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(NotPicklable, match=r"the function local cannot be sent.*local"):
        accumulate_param_gradients([local_model()], executor=processes)


def test_threads_need_nothing_sent(threads):
    trace = models.holding.simulate((threading.Lock(),), 0)
    accumulate_param_gradients([trace], executor=threads)
    assert models.holding.params["a"].grad == trace["y"] - 1.0
    zero_param_grad(models.holding, "a")
