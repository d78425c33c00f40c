"""The loop of every learner: all or nothing, callbacks, what ends it, and what an error leaves."""

import re
import signal
import threading
from typing import Any

import numpy as np
import pytest
from training import X, Y, adam, history_of, new_line, pairs, values

from genparams import ADAM, SGD, ParamStore, ParamUpdate, zero_param_grad
from genparams.errors import (
    AccumulatorsNotEmpty,
    InvalidValue,
    NonFiniteGradient,
    NothingAccumulated,
    UpdateError,
)
from genparams.learning.training.loop import LoopOptions, run_loop
from genparams.learning.training.position import Finished
from genparams.learning.training.train import train

DATA = (X,), {"y": Y}


def uphill(theta, count=None):
    """The work of maximising -(a - 1)^2 / 2 - (b - 2)^2 / 2, for so many steps."""
    taken = 0

    def work():
        nonlocal taken
        if taken == count:
            raise Finished("the count was reached")
        taken += 1
        a, b = theta["a"].value, theta["b"].value
        theta["a"].increment_grad(1.0 - a)
        theta["b"].increment_grad(2.0 - b)
        return -0.5 * ((a - 1.0) ** 2 + (b - 2.0) ** 2)

    return work


def test_a_learner_is_its_work_and_its_updates():
    theta = ParamStore(a=0.0, b=0.0)
    history = run_loop(
        uphill(theta), ParamUpdate(SGD(0.5), theta), LoopOptions(steps=3, objective="height")
    )
    assert history.objective == "height"
    assert history.log_prob.tolist() == [-2.5, -0.625, -0.15625]
    assert history.grad_norm == pytest.approx([5**0.5, 5**0.5 / 2, 5**0.5 / 4])
    assert history.params["a"].tolist() == [0.5, 0.75, 0.875]
    assert history.steps.tolist() == history.epochs.tolist() == [1, 2, 3]
    assert np.all(np.diff(history.seconds) >= 0.0)


def test_work_that_is_finished_ends_the_loop():
    theta = ParamStore(a=0.0, b=0.0)
    history = run_loop(uphill(theta, 2), ParamUpdate(SGD(0.5), theta), LoopOptions())
    assert history.stopped_because == "the count was reached"
    assert theta["a"].value == 0.75


def test_a_loop_of_no_steps_has_an_empty_history():
    theta = ParamStore(a=0.0, b=0.0)
    history = run_loop(uphill(theta), ParamUpdate(SGD(0.5), theta), LoopOptions(steps=0))
    assert len(history.steps) == len(history.log_prob) == 0
    assert repr(history) == "History(no steps; stopped because 0 steps were taken)"


def test_a_loop_without_gradients_is_an_error():
    theta = ParamStore(a=0.0, b=0.0)
    with pytest.raises(NothingAccumulated):
        run_loop(lambda: 0.0, ParamUpdate(SGD(0.5), theta), LoopOptions(steps=2))
    both = [ParamUpdate(SGD(0.5), {theta: [name]}) for name in "ab"]
    with pytest.raises(NothingAccumulated, match=r"accumulated for theta\.a, theta\.b"):
        run_loop(lambda: 0.0, both, LoopOptions(steps=2))


# --- All or nothing


def test_one_update_that_fails_keeps_the_others_from_moving():
    theta, phi = ParamStore(a=1.0, w=np.ones(3)), ParamStore(b=1.0)
    updates = [ParamUpdate(ADAM(0.1), theta), ParamUpdate(ADAM(0.1), phi)]
    taken = 0

    def work():
        nonlocal taken
        taken += 1
        theta["a"].increment_grad(1.0)
        theta["w"].increment_grad(np.ones(3))
        phi["b"].increment_grad(np.inf if taken == 4 else 1.0)
        return 0.0

    with pytest.raises(NonFiniteGradient) as caught:
        run_loop(work, updates, LoopOptions(steps=9))
    assert [update.steps for update in updates] == [3, 3]
    other = ParamStore(a=1.0, w=np.ones(3))
    same = ParamUpdate(ADAM(0.1), other)
    for _ in range(3):
        same.apply({"a": 1.0, "w": np.ones(3)})
    assert other["a"].value == theta["a"].value
    assert np.array_equal(other["w"].value, theta["w"].value)
    assert not any(p.accumulated for p in [*theta.values(), *phi.values()])
    assert len(history_of(caught.value).steps) == 3
    # and both go on as if the step had not been tried
    same.apply({"a": 1.0, "w": np.ones(3)})
    updates[0].apply({"a": 1.0, "w": np.ones(3)})
    assert np.array_equal(other["w"].value, theta["w"].value)


def test_an_error_of_the_work_leaves_the_last_complete_step():
    theta = ParamStore(a=0.0, b=0.0)
    inner = uphill(theta, 3)

    def work():
        try:
            return inner()
        except Finished:
            theta["a"].increment_grad(5.0)
            raise ZeroDivisionError("in the model") from None

    with pytest.raises(ZeroDivisionError) as caught:
        run_loop(work, ParamUpdate(SGD(0.5), theta), LoopOptions(steps=9))
    history = history_of(caught.value)
    assert history.params["a"][-1] == theta["a"].value == 0.875
    assert history.stopped_because == "of an error: ZeroDivisionError"
    assert not theta["a"].accumulated


# --- Callbacks


def test_a_callback_sees_each_step_and_stops():
    line, seen = new_line(), []

    def look(event):
        seen.append((event.step, event.epoch, event.end_of_epoch, event.log_prob))
        assert event.params["slope"] == line.params["slope"].value
        assert event.params.keys() == {"slope", "intercept", "noise"}
        assert event.updates[0].steps == event.step
        if event.step == 5:
            event.stop("five are enough")

    history = train(line, pairs(), adam(line), epochs=9, batch_size=4, callbacks=[look])
    assert history.stopped_because == "five are enough"
    assert [s[:3] for s in seen] == [
        (1, 1, False),
        (2, 1, False),
        (3, 1, True),
        (4, 2, False),
        (5, 2, False),
    ]
    assert [s[3] for s in seen] == history.log_prob.tolist()


def test_the_first_reason_to_stop_counts():
    line = new_line()
    callbacks = [lambda event: event.stop("first"), lambda event: event.stop("second")]
    history = train(line, DATA, adam(line), steps=9, callbacks=callbacks)
    assert history.stopped_because == "first"
    assert len(history.steps) == 1


def test_a_callback_that_raises_leaves_the_step_taken():
    line, same = new_line(), new_line()

    def fails(event):
        if event.step == 4:
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full") as caught:
        train(line, DATA, adam(line), steps=9, callbacks=[fails])
    train(same, DATA, adam(same), steps=4)
    assert values(line) == values(same)
    history = history_of(caught.value)
    assert history.steps.tolist() == [1, 2, 3, 4]
    assert history.stopped_because == "of an error: RuntimeError"


def test_a_reason_is_in_words():
    line = new_line()
    wrong: Any = True
    with pytest.raises(InvalidValue, match="the reason in words, got True"):
        train(line, DATA, adam(line), steps=2, callbacks=[lambda event: event.stop(wrong)])


def test_an_event_is_shown_in_a_line():
    line, seen = new_line(), []
    train(line, DATA, adam(line), steps=1, callbacks=[seen.append])
    assert re.fullmatch(
        r"Event\(step 1, epoch 1, log probability -\d.*, gradient norm \d.*\)", repr(seen[0])
    )


# --- Ctrl-C


def test_ctrl_c_ends_after_the_step():
    line, same = new_line(), new_line()

    def press(event):
        if event.step == 3:
            signal.raise_signal(signal.SIGINT)

    history = train(line, DATA, adam(line), steps=9, callbacks=[press])
    assert history.stopped_because == "it was interrupted"
    train(same, DATA, adam(same), steps=3)
    assert values(line) == values(same)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("moved", [False, True])
def test_a_second_ctrl_c_breaks_a_step_off_whole(moved):
    """Between the step and its count as well: the history has each step that moved anything."""
    theta = ParamStore(a=0.0, b=0.0)
    update = ParamUpdate(SGD(0.5), theta)
    work, apply = uphill(theta), update.apply

    def press_twice():
        if moved:
            apply()
        if update.steps >= 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        if not moved:
            apply()

    object.__setattr__(update, "apply", press_twice)
    history = run_loop(work, update, LoopOptions(steps=9))
    assert history.stopped_because == "it was interrupted"
    assert history.steps[-1] == update.steps == 3
    assert history.params["a"][-1] == theta["a"].value
    assert not theta["a"].accumulated


def test_a_loop_runs_outside_the_main_thread():
    line, found = new_line(), []
    thread = threading.Thread(target=lambda: found.append(train(line, DATA, adam(line), steps=2)))
    thread.start()
    thread.join()
    assert len(found[0].steps) == 2


# --- What is recorded


def test_every_k_steps_are_recorded_and_the_last():
    line, same = new_line(), new_line()
    full = train(line, DATA, adam(line), steps=10)
    few = train(same, DATA, adam(same), steps=10, history_every=4)
    assert few.steps.tolist() == [4, 8, 10]
    assert few.log_prob.tolist() == full.log_prob[[3, 7, 9]].tolist()
    assert few.params["noise"].tolist() == full.params["noise"][[3, 7, 9]].tolist()


def large():
    theta = ParamStore(w=np.zeros(101), b=np.zeros((2, 3), np.float32))

    def work():
        theta["w"].increment_grad(np.ones(101))
        theta["b"].increment_grad(np.ones((2, 3)))
        return 0.0

    return theta, work


def test_many_numbers_are_recorded_on_request():
    theta, work = large()
    update = ParamUpdate(SGD(1.0), theta)
    history = run_loop(work, update, LoopOptions(steps=2))
    with pytest.raises(LookupError, match=r"have 107 numbers, .* record_params=True"):
        _ = history.params["w"]
    assert history.grad_norm == pytest.approx([107**0.5] * 2)
    history = run_loop(work, update, LoopOptions(steps=2, record_params=True))
    assert history.params["w"].shape == (2, 101)
    assert np.array_equal(history.params["b"], [np.full((2, 3), 3.0), np.full((2, 3), 4.0)])


def test_few_numbers_are_not_recorded_on_request():
    line = new_line()
    history = train(line, DATA, adam(line), steps=2, record_params=False)
    assert dict(history.params) == {}


def test_a_parameter_that_is_declared_later_has_no_values_before():
    theta = ParamStore(a=0.0)
    update = ParamUpdate(SGD(1.0), theta)
    taken = 0

    def work():
        nonlocal taken
        taken += 1
        if taken == 3:
            theta.init("b", 7.0)
        for p in theta.values():
            p.increment_grad(1.0)
        return 0.0

    history = run_loop(work, update, LoopOptions(steps=4))
    assert history.params["a"].tolist() == [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_array_equal(history.params["b"], [np.nan, np.nan, 8.0, 9.0])


# --- What is refused


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "resume without a file": ({"resume": True}, 'write checkpoint="run.npz"'),
    "checkpoints without a file": ({"checkpoint_every": 3}, 'write checkpoint="run.npz"'),
    "checkpoints never": ({"checkpoint": "x", "checkpoint_every": 0}, "at least 1, got 0"),
    "records never": ({"history_every": 0}, "history_every is a whole number of at least 1"),
    "a word for a flag": ({"record_params": "no"}, "record_params is True, False or None"),
    "a number for a file": ({"checkpoint": 3}, "checkpoint is the path of a file"),
    "one callback": ({"callbacks": print}, "callbacks are a list of functions"),
    "a callback of nothing": ({"callbacks": [lambda: 1]}, "a function of \\(event\\)"),
}


@pytest.mark.parametrize("what", BAD)
def test_wrong_options_are_refused(what):
    options, message = BAD[what]
    theta = ParamStore(a=0.0, b=0.0)
    with pytest.raises(InvalidValue, match=message):
        run_loop(uphill(theta), ParamUpdate(SGD(0.5), theta), LoopOptions(steps=2, **options))
    assert theta["a"].value == 0.0


def test_gradients_that_wait_are_refused():
    theta = ParamStore(a=0.0, b=0.0)
    update = ParamUpdate(SGD(0.5), theta)
    theta["a"].increment_grad(1.0)
    with pytest.raises(AccumulatorsNotEmpty, match=r"wait at theta\.a, and train would add"):
        run_loop(uphill(theta), update, LoopOptions(steps=2))
    zero_param_grad(theta, "a")
    run_loop(uphill(theta), update, LoopOptions(steps=2))


def test_functions_that_only_the_work_knows_are_looked_at_too():
    theta, phi = ParamStore(a=0.0, b=0.0), ParamStore(c=0.0)
    phi["c"].increment_grad(1.0)
    with pytest.raises(AccumulatorsNotEmpty, match=r"theta\.c"):
        run_loop(uphill(theta), ParamUpdate(SGD(0.5), theta), LoopOptions(steps=2, functions=[phi]))


def test_what_is_no_update_is_refused():
    with pytest.raises(UpdateError, match="black_box_vi takes an update or a list of them, got 3"):
        run_loop(lambda: 0.0, 3, LoopOptions(title="black_box_vi"))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2])
def test_a_callback_that_leaves_gradients_is_an_error(count):
    line, rest = new_line(), [lambda event: None] * (count - 1)

    def looks(event):
        line.generate(*DATA)[0].accumulate_param_gradients()

    with pytest.raises(
        AccumulatorsNotEmpty, match=r"the callback looks left gradients at line\."
    ) as c:
        train(line, DATA, adam(line), steps=3, callbacks=[*rest, looks])
    assert len(history_of(c.value).steps) == 1
    assert not any(p.accumulated for p in line.params.values())


def test_a_callback_may_use_the_gradients_that_it_makes():
    line = new_line()
    update = adam(line)

    def steps(event):
        line.generate(*DATA)[0].accumulate_param_gradients()
        update.apply()

    assert len(train(line, DATA, update, steps=3, callbacks=[steps]).steps) == 3
    assert update.steps == 6


def test_a_gradient_that_no_update_moves_is_no_error():
    line = new_line()
    update = ParamUpdate(SGD(0.01), {line: ["slope"]})
    assert len(train(line, DATA, update, steps=3, callbacks=[lambda event: None]).steps) == 3


def test_an_update_that_goes_down_is_refused():
    line = new_line()
    before = values(line)
    with pytest.raises(UpdateError, match=r"train climbs a log probability .* leave minimize out"):
        train(line, DATA, ParamUpdate(SGD(0.01), line, minimize=True), steps=3)
    assert values(line) == before


def test_one_step_was_taken():
    line = new_line()
    assert train(line, DATA, adam(line), steps=1).stopped_because == "1 step was taken"
    history = train(line, DATA, adam(line), epochs=1)
    assert history.stopped_because == "1 epoch was done"
