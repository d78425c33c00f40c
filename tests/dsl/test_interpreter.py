"""One execution: who answers its questions, and that it ends cleanly however it ends."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from genparams import bernoulli, gen, init_param, normal, param
from genparams.dsl.call import running
from genparams.dsl.interpreter import Run
from genparams.errors import NotRunning


@gen
def shifted(shift):
    x = normal(param("mu", 1.0), 2.0) @ "x"
    return x + shift


def test_a_run_asks_for_each_choice_once_and_for_each_parameter_as_often_as_it_is_read():
    asked = []

    def choose(address, distribution, operands, size):
        asked.append((address, distribution.__name__, operands))
        return 4.0

    def read(parameter):
        asked.append(parameter.name)
        return 3.0

    run = Run(choose, read)
    assert run.execute(shifted(0.5)) == 4.5
    assert asked == ["mu", (("x",), "normal", [3.0, 2.0])]
    assert run.values == {("x",): 4.0}
    assert run.log_probs["x",] == normal.log_prob(4.0, 3.0, 2.0)


def test_a_run_notes_the_parameters_that_it_read_with_their_functions():
    @gen
    def outer():
        return shifted(0.0) @ "inner"

    run = Run(lambda *_: 0.0, lambda p: p.value)
    run.execute(outer())
    assert run.reads == {shifted.params["mu"]: shifted}


def test_a_nested_call_is_recorded_with_its_function_and_value():
    @gen
    def outer():
        shifted(1.0) @ ("a", "b")

    run = Run(lambda *_: 2.0, lambda p: p.value)
    run.execute(outer())
    assert {a: frame[:2] for a, frame in run.frames.items()} == {("a", "b"): (shifted, 3.0)}


def test_nothing_runs_after_a_run_has_failed():
    @gen
    def fails():
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError, match="no"):
        fails.simulate()
    with pytest.raises(NotRunning, match="outside a running generative function"):
        running("this")
    assert shifted.generate((0.0,), {"x": 1.0})[0].retval == 1.0


def test_the_caller_reads_its_own_parameters_after_a_callee_has_failed():
    @gen
    def fails():
        param("a", 1.0)
        raise ZeroDivisionError("no")

    @gen
    def outer():
        with pytest.raises(ZeroDivisionError, match="no"):
            fails() @ "f"
        with pytest.raises(ZeroDivisionError, match="no"):
            fails.inline()
        normal(0.0, 1.0) @ "x"
        return param("a")

    init_param(outer, "a", 5.0)
    trace = outer.simulate()
    assert trace.retval == 5.0
    assert list(trace.choices) == [("x",)]


def test_an_interrupted_run_leaves_nothing_behind():
    @gen
    def interrupted():
        param("a", 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted.simulate()
    assert len(interrupted.params) == 0
    with pytest.raises(NotRunning):
        param("a")


def test_runs_in_several_threads_do_not_see_each_other():
    @gen
    def many(n):
        return sum(normal(0.0, 1.0) @ i for i in range(n))

    serial = [many.simulate((50,), rng=i).retval for i in range(20)]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda i: many.simulate((50,), rng=i).retval, range(20)))
    assert parallel == serial


def test_a_model_may_execute_another_one_while_it_runs():
    @gen
    def outer():
        inside = shifted.simulate((0.0,), rng=0).retval
        return normal(inside, 1.0) @ "x"

    assert list(outer.simulate().choices) == [("x",)]


def test_a_truth_value_is_a_bool_and_a_number_a_float():
    @gen
    def f():
        return bernoulli(0.5) @ "b", normal(0, 1) @ "x"

    assert [type(v) for v in f.simulate().retval] == [bool, float]
