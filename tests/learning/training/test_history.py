"""Histories: arrays, a data frame, and words."""

import pickle
import sys

import numpy as np
import pytest
from training import X, Y, adam, new_line, pairs

from genparams import SGD, ParamStore, ParamUpdate
from genparams.errors import GenParamsError, MissingExtra, UnknownAttribute, UnknownParameter
from genparams.learning.training.loop import LoopOptions, run_loop
from genparams.learning.training.train import train

DATA = (X,), {"y": Y}


def of_arrays():
    theta = ParamStore(w=np.zeros((2, 2)), b=0.0)

    def work():
        theta["w"].increment_grad(np.arange(4.0).reshape(2, 2))
        theta["b"].increment_grad(1.0)
        return -1.5

    return run_loop(work, ParamUpdate(SGD(1.0), theta), LoopOptions(steps=3, objective="the bound"))


def test_the_frame_has_a_row_for_each_record_and_a_column_for_each_entry():
    pytest.importorskip("pandas")
    frame = of_arrays().to_frame()
    assert list(frame.columns) == [
        *("epoch", "the bound", "grad_norm", "seconds"),
        *("w[0, 0]", "w[0, 1]", "w[1, 0]", "w[1, 1]", "b"),
    ]
    assert frame.index.name == "step"
    assert frame.loc[2].drop("seconds").tolist() == [2, -1.5, 15**0.5, 0, 2, 4, 6, 2]


def test_without_pandas_the_frame_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"genparams\[pandas\]"):
        of_arrays().to_frame()


def test_a_history_is_a_line():
    line = new_line()
    history = train(line, DATA, adam(line), steps=4)
    text = rf"History(4 steps, log probability {history.log_prob[0]:.6g} to "
    assert repr(history).startswith(text)
    assert repr(history).endswith("stopped because 4 steps were taken)")
    assert repr(history.params).startswith("{slope: array (4,)")


def test_the_arrays_of_a_history_do_not_change():
    history = of_arrays()
    for array in (history.log_prob, history.steps, history.params["w"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_two_functions_with_a_parameter_of_one_name_have_both():
    one, other = new_line(), new_line()
    updates = [adam(one), adam(other)]

    def work():
        for f in (one, other):
            f.generate(*DATA)[0].accumulate_param_gradients()
        return 0.0

    history = run_loop(work, updates, LoopOptions(steps=2))
    assert set(history.params) == {
        f"{f}.{name}" for f in ("line", "line#2") for name in ("slope", "intercept", "noise")
    }


def test_a_history_is_pickled():
    history = of_arrays()
    again = pickle.loads(pickle.dumps(history))
    assert repr(again) == repr(history)
    assert np.array_equal(again.params["w"], history.params["w"])


def test_a_misspelt_name_has_a_hint():
    history = of_arrays()
    with pytest.raises(UnknownParameter, match="no parameter 'W' was recorded; did you mean w"):
        _ = history.params["W"]
    with pytest.raises(UnknownAttribute, match=r"write -history\.log_prob"):
        _ = history.losses  # type: ignore[attr-defined]
    with pytest.raises(GenParamsError):
        history.steps = None  # type: ignore[misc]


def test_the_epoch_of_each_step_is_recorded():
    line = new_line()
    history = train(line, pairs(), adam(line), epochs=2, batch_size=4)
    assert history.epochs.tolist() == [1, 1, 1, 2, 2, 2]
