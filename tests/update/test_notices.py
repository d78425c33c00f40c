"""What an update warns about: parameters that nothing trains, old gradients, old functions."""

import gc
import sys
import types
import warnings

import numpy as np
import pytest

from genparams import (
    ADAM,
    GenParamsWarning,
    GradientsWaiting,
    ParamStore,
    ParamUpdate,
    ReplacedFunction,
    UnreadParameter,
    UntrainedParameter,
    gen,
    init_param,
    normal,
    param,
    zero_param_grad,
)
from genparams.registry import replaced


@gen
def noticed_inner():
    return normal(param("c", 0.0), 1.0) @ "z"


@gen
def noticed_outer():
    z = noticed_inner() @ "inner"
    return normal(param("a", 0.0) + z, 1.0) @ "x"


@pytest.fixture(autouse=True)
def fresh():
    gc.collect()
    for f in (noticed_inner, noticed_outer):
        for name in list(f.params):
            f.params.discard(name)


def a_trace():
    trace, _ = noticed_outer.generate((), {"x": 3.0, ("inner", "z"): 1.0})
    return trace


# --- Parameters that nothing trains


def test_an_inner_function_that_nothing_trains_is_named_once():
    trace = a_trace()
    update = ParamUpdate(ADAM(0.1), noticed_outer)
    trace.accumulate_param_gradients()
    with pytest.warns(
        UntrainedParameter, match=r"noticed_inner\.c, which the runs .*callees=True.*freeze\(\)"
    ) as caught:
        update.apply()
    assert caught[0].filename == __file__
    assert noticed_inner.params["c"].value == 0.0
    for _ in range(3):  # a warning is an error here
        trace.accumulate_param_gradients()
        update.apply()
    assert update.steps == 4


def test_a_warning_that_is_an_error_leaves_all_as_it_was():
    trace = a_trace()
    update = ParamUpdate(ADAM(0.1), noticed_outer)
    trace.accumulate_param_gradients()
    before = noticed_outer.params["a"].grad
    for _ in range(2):
        with pytest.raises(UntrainedParameter):
            update.apply()
    assert (update.steps, noticed_outer.params["a"].grad) == (0, before)


def test_no_warning_where_callees_are_trained():
    update = ParamUpdate(ADAM(0.1), noticed_outer, callees=True)
    a_trace().accumulate_param_gradients()
    update.apply()


def test_no_warning_where_the_inner_parameters_are_frozen():
    trace = a_trace()
    update = ParamUpdate(ADAM(0.1), noticed_outer)
    noticed_inner.params["c"].freeze()
    trace.accumulate_param_gradients()
    update.apply()


def test_no_warning_where_parameters_are_named_one_by_one():
    trace = a_trace()
    update = ParamUpdate(ADAM(0.1), noticed_outer=["a"])
    trace.accumulate_param_gradients()
    update.apply()


def test_no_warning_where_another_living_update_trains_them():
    trace = a_trace()
    outer = ParamUpdate(ADAM(0.1), noticed_outer)
    inner = ParamUpdate(ADAM(0.1), noticed_inner)
    for _ in range(3):
        trace.accumulate_param_gradients()
        outer.apply()
        inner.apply()
    del inner
    gc.collect()
    trace.accumulate_param_gradients()
    with pytest.warns(UntrainedParameter):
        outer.apply()  # the fourth step


def test_a_parameter_that_is_read_late_is_found_within_twice_the_steps():
    @gen
    def late(is_late):
        if is_late:
            noticed_inner() @ "inner"
        return normal(param("a", 0.0), 1.0) @ "x"

    early, _ = late.generate((False,), {"x": 1.0})
    update = ParamUpdate(ADAM(0.1), late)
    for _ in range(5):
        early.accumulate_param_gradients()
        update.apply()
    then, _ = late.generate((True,), {"x": 1.0, ("inner", "z"): 1.0})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            then.accumulate_param_gradients()
            update.apply()
    assert [w.category for w in caught] == [UntrainedParameter]


# --- Gradients from before


def test_gradients_from_before_an_update_are_named():
    trace = a_trace()
    trace.accumulate_param_gradients()
    with pytest.warns(
        GradientsWaiting, match=r"wait at noticed_outer\.a.*zero_param_grad"
    ) as found:
        ParamUpdate(ADAM(0.1), noticed_outer)
    assert found[0].filename == __file__
    zero_param_grad(noticed_outer, "a")
    ParamUpdate(ADAM(0.1), noticed_outer)


def test_gradients_of_frozen_parameters_do_not_count():
    theta = ParamStore(a=1.0, b=1.0)
    theta["a"].increment_grad(1.0)
    theta["a"].freeze()
    ParamUpdate(ADAM(0.1), theta)


def test_a_store_shows_where_gradients_wait():
    theta = ParamStore(a=1.0, b=np.zeros(2))
    assert "waiting" not in repr(theta)
    theta["b"].increment_grad([1.0, 2.0])
    shown = repr(theta).splitlines()
    assert "waiting" not in shown[1]
    assert "a gradient is waiting" in shown[2]
    assert "a gradient is waiting" in theta._repr_html_()


# --- Functions that were defined again

CELL = """
from genparams import gen, normal, param
@gen
def of_a_notebook():
    return normal(param("mu", {start}), 1.0) @ "x"
"""


@pytest.fixture
def notebook():
    module = types.ModuleType("a_notebook")
    sys.modules["a_notebook"] = module
    yield (
        lambda start: (
            exec(CELL.format(start=start), module.__dict__) or module.__dict__["of_a_notebook"]
        )
    )
    del sys.modules["a_notebook"]


@pytest.mark.parametrize("by_name", [False, True])
def test_an_update_of_a_function_that_was_defined_again_says_so_once(notebook, by_name):
    old = notebook(0.0)
    trace, _ = old.generate((), {"x": 1.0})
    target = {"of_a_notebook": ["mu"]} if by_name else old
    update = ParamUpdate(ADAM(0.1), target)
    trace.accumulate_param_gradients()
    update.apply()
    assert not replaced(old)
    new = notebook(5.0)
    assert replaced(old)
    assert replaced(old.params)
    assert not replaced(new)
    trace.accumulate_param_gradients()
    with pytest.warns(
        ReplacedFunction, match="of_a_notebook was defined again .*this update again"
    ):
        update.apply()
    trace.accumulate_param_gradients()
    update.apply()
    notebook(6.0)
    trace.accumulate_param_gradients()
    with pytest.warns(ReplacedFunction):
        update.apply()


def test_an_update_of_other_functions_says_nothing_of_one_that_was_defined_again(notebook):
    notebook(0.0)
    theta = ParamStore(a=1.0)
    update = ParamUpdate(ADAM(0.1), theta)
    notebook(1.0)
    update.apply(grads={"a": 1.0})


def test_a_clone_goes_with_the_function_that_it_is_a_clone_of(notebook):
    old = notebook(0.0)
    clone = old.with_params(ParamStore(mu=0.0))
    update = ParamUpdate(ADAM(0.1), clone)
    notebook(1.0)
    with pytest.warns(ReplacedFunction):
        update.apply(grads={"mu": 1.0})


def test_functions_without_a_name_do_not_replace_each_other():
    one = gen(eval("lambda: 0.0", {"__name__": "anonymous"}))
    gen(eval("lambda: 1.0", {"__name__": "anonymous"}))
    assert not replaced(one)


def test_warnings_of_ours_are_silenced_together():
    theta = ParamStore(a=1.0)
    theta["a"].increment_grad(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GenParamsWarning)
        ParamUpdate(ADAM(0.1), theta).apply()


# --- Parameters that nothing reads


def test_a_misspelt_initial_value_is_named_once():
    @gen
    def noticed_slope(x):
        return normal(param("slope", 0.0) * x, 1.0) @ "y"

    init_param(noticed_slope, "slop", 2.0)
    trace, _ = noticed_slope.generate((1.0,), {"y": 3.0})
    update = ParamUpdate(ADAM(0.1), noticed_slope)
    trace.accumulate_param_gradients()
    with pytest.warns(
        UnreadParameter, match="'slop' that no run has read, .* read 'slope'"
    ) as all_:
        update.apply()
    assert len(all_) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            trace.accumulate_param_gradients()
            update.apply()


@pytest.mark.parametrize("unread", ["noise", "w2", "beta_2"])
def test_a_parameter_of_a_branch_that_no_run_took_is_no_misspelling(unread):
    @gen
    def noticed_branch(low):
        mean = param("beta", 0.0) if low else param("beta_2", 0.0)
        mean = mean + (param("w1", 0.0) if low else param("w2"))
        return normal(mean + (param("slope", 0.0) if low else param("noise", 0.0)), 1.0) @ "y"

    init_param(noticed_branch, unread, 1.0)
    trace, _ = noticed_branch.generate((True,), {"y": 3.0})
    update = ParamUpdate(ADAM(0.1), noticed_branch)
    trace.accumulate_param_gradients()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        update.apply()
