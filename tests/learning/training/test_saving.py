"""Checkpoints of training: to go on from any step equals never having stopped, to the bit."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training import X, Y, adam, begin, history_of, new_line, pairs, values

from genparams import (
    ADAM,
    SGD,
    ParamUpdate,
    gen,
    get_param,
    init_param,
    load_checkpoint,
    normal,
    param,
    positive,
    save_checkpoint,
)
from genparams.errors import CheckpointError, ImpossibleTrace, InvalidValue, StateMismatch
from genparams.learning.training.stopping import EarlyStopping, StopAtChange, StopAtPlateau
from genparams.learning.training.train import train

DATA = (X,), {"y": Y}
ROOT = Path(__file__).parent.parent.parent


def same_history(one, other):
    assert one.stopped_because == other.stopped_because
    for name in ("steps", "epochs", "log_prob", "grad_norm"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert one.params.keys() == other.params.keys()
    for name in one.params:
        np.testing.assert_array_equal(one.params[name], other.params[name])


@gen
def noisy(x):
    hidden = normal(param("slope"), 0.1, size=len(x)) @ "hidden"
    return normal(hidden * x + param("intercept"), param("noise")) @ "y"


FORMS: dict[str, Any] = {
    "arrays": (DATA, {"batch_size": 4}),
    "arrays in order": (DATA, {"batch_size": 4, "shuffle": False}),
    "pairs": (pairs(), {"batch_size": 4}),
    "a function": (lambda epoch: iter(pairs()), {"batch_size": 4}),
    "choices drawn in between": (DATA, {"batch_size": 4, "latent": "prior"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_training_that_stops_at_any_step_goes_on_to_the_bit(form, tmp_path):
    data, options = FORMS[form]
    options = {"epochs": 3, "rng": 3, "history_every": 2, **options}
    model = noisy if "latent" in options else new_line()
    begin(model)
    straight = train(model, data, adam(model), **options)
    end = values(model)
    for stop in range(9) if form == "arrays" else (1, 3, 5):
        begin(model)
        options["checkpoint"] = tmp_path / f"{stop}.npz"
        train(model, data, adam(model), steps=stop, **options)
        begin(model)
        resumed = train(model, data, adam(model), resume=True, **options)
        assert values(model) == end
        same_history(resumed, straight)


def test_a_run_that_is_done_goes_on_to_more_epochs(tmp_path):
    line, path = new_line(), tmp_path / "run.npz"
    straight = train(line, DATA, adam(line), epochs=5, batch_size=3, rng=0)
    end = values(line)
    begin(line)
    train(line, DATA, adam(line), epochs=2, batch_size=3, rng=0, checkpoint=path)
    begin(line)
    again: dict[str, Any] = {"batch_size": 3, "rng": 0, "checkpoint": path, "resume": True}
    assert len(train(line, DATA, adam(line), epochs=2, **again).steps) == 8
    begin(line)
    same_history(train(line, DATA, adam(line), epochs=5, **again), straight)
    assert values(line) == end


def test_a_generator_is_skipped_to_where_it_was(tmp_path):
    line, path = new_line(), tmp_path / "run.npz"
    train(line, iter(pairs()), adam(line))
    end = values(line)
    begin(line)
    train(line, iter(pairs()), adam(line), steps=6, checkpoint=path)
    begin(line)
    train(line, iter(pairs()), adam(line), checkpoint=path, resume=True)
    assert values(line) == end


def test_checkpoints_are_written_every_k_steps(tmp_path):
    line, path, found = new_line(), tmp_path / "run.npz", []

    def look(event):
        found.append(path.stat().st_mtime_ns if path.exists() else 0)
        if event.step == 8:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(
            line,
            DATA,
            adam(line),
            steps=9,
            callbacks=[look],
            checkpoint=path,
            checkpoint_every=3,
        )
    written = [after != before for before, after in pairwise(found)]
    assert [step for step, was in enumerate(written, 1) if was] == [3, 6]


def test_an_error_leaves_a_checkpoint_of_the_last_complete_step(tmp_path):
    line, same, path = new_line(), new_line(), tmp_path / "run.npz"

    def fails(event):
        if event.step == 5:
            raise RuntimeError("full")

    with pytest.raises(RuntimeError) as caught:
        train(line, DATA, adam(line), steps=9, callbacks=[fails], checkpoint=path)
    assert len(history_of(caught.value).steps) == 5
    begin(line)
    resumed = train(line, DATA, adam(line), steps=9, checkpoint=path, resume=True)
    same_history(resumed, train(same, DATA, adam(same), steps=9))


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_step_that_failed_is_tried_again_with_the_same_draws(at, tmp_path):
    calls = 0

    @gen
    def fragile(x):
        nonlocal calls
        hidden = normal(param("a", 0.0), 0.1, size=len(x)) @ "hidden"
        calls += 1
        if calls == fails_at:
            raise OSError("the network is gone")
        return normal(hidden * x, 1.0) @ "y"

    options: dict[str, Any] = {"batch_size": 4, "latent": "prior", "epochs": 3, "rng": 0}
    fails_at = 0
    fragile.simulate((X,))
    straight = train(fragile, DATA, adam(fragile), **options)
    init_param(fragile, "a", 0.0)
    options["checkpoint"] = tmp_path / "run.npz"
    fails_at, calls = 2 * at, 0  # after one run to look at, and two in each step
    with pytest.raises(OSError, match="the network"):
        train(fragile, DATA, adam(fragile), **options)
    fails_at = 0
    init_param(fragile, "a", 0.0)
    same_history(train(fragile, DATA, adam(fragile), resume=True, **options), straight)


def test_a_training_that_fails_at_once_leaves_the_old_file(tmp_path):
    line, path = started(tmp_path)
    before = path.read_bytes()
    wrong = [((float(x),), {"y": -np.inf}) for x in X]
    with pytest.raises(ImpossibleTrace):
        train(line, wrong, adam(line), steps=3, checkpoint=path)
    assert path.read_bytes() == before


def test_without_a_file_a_resumed_run_begins(tmp_path):
    line, same = new_line(), new_line()
    train(line, DATA, adam(line), steps=3, checkpoint=tmp_path / "new.npz", resume=True)
    train(same, DATA, adam(same), steps=3)
    assert values(line) == values(same)


def stopping_tests():
    return [EarlyStopping(4, keep_best=True), StopAtPlateau(5, 0.3), StopAtChange(1e-3, 2)]


def test_the_state_of_stopping_tests_is_restored(tmp_path):
    line = new_line()
    options: dict[str, Any] = {"epochs": 400, "batch_size": 5, "rng": 1}
    straight = train(line, DATA, adam(line), callbacks=(first := stopping_tests()), **options)
    end, count = values(line), len(straight.steps)
    assert count < 800
    for stop in (1, count // 2, count - 1):
        options["checkpoint"] = tmp_path / f"{stop}.npz"
        begin(line)
        train(line, DATA, adam(line), callbacks=stopping_tests(), steps=stop, **options)
        begin(line)
        second = stopping_tests()
        resumed = train(line, DATA, adam(line), callbacks=second, resume=True, **options)
        assert values(line) == end
        same_history(resumed, straight)
        assert [c.state_dict() for c in second] == [c.state_dict() for c in first]


@pytest.mark.parametrize("every", [None, 1])
def test_a_training_that_a_callback_stopped_takes_no_further_step(every, tmp_path):
    line, path = new_line(), tmp_path / "run.npz"

    def at_5(event):
        if event.step == 5:
            event.stop("five are enough")

    options: dict[str, Any] = {"steps": 9, "checkpoint": path, "checkpoint_every": every}
    first = train(line, DATA, adam(line), callbacks=[at_5], **options)
    end = values(line)
    for _ in range(2):
        begin(line)
        again = train(line, DATA, adam(line), callbacks=[at_5], resume=True, **options)
        assert again.stopped_because == "five are enough"
        assert values(line) == end
        same_history(again, first)


def test_a_training_that_a_callback_stopped_goes_on_without_resume(tmp_path):
    line, path = new_line(), tmp_path / "run.npz"
    straight = train(line, DATA, adam(line), steps=9)
    begin(line)
    stop: Any = lambda event: event.step == 5 and event.stop("enough")  # noqa: E731
    train(line, DATA, adam(line), steps=9, callbacks=[stop], checkpoint=path)
    begin(line)
    update = adam(line)
    parts: dict[str, Any] = {"parameters of line": line, "update 1": update}
    load_checkpoint(path, partial=True, **parts)
    rest = train(line, DATA, update, steps=4)
    assert rest.log_prob.tolist() == straight.log_prob[5:].tolist()


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
from training import X, Y, adam, new_line
from genparams.learning.training.train import train
line = new_line()
history = train(line, ((X,), {{"y": Y}}), adam(line), epochs=4, batch_size=3, rng=9,
                steps={steps}, checkpoint={path!r}, resume=True)
print([p.value.hex() for p in line.params.values()], [v.hex() for v in history.log_prob.tolist()])
"""


def test_another_process_goes_on_to_the_bit(tmp_path):
    def run(steps, path):
        script = SCRIPT.format(tests=str(Path(__file__).parent), steps=steps, path=str(path))
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    path = tmp_path / "run.npz"
    run(6, path)  # in the middle of the second epoch
    line = new_line()
    history = train(line, DATA, adam(line), epochs=4, batch_size=3, rng=9)
    ends = [p.value.hex() for p in line.params.values()]
    assert run(None, path) == f"{ends} {[v.hex() for v in history.log_prob.tolist()]}\n"


# --- What is refused, and changes nothing


@gen
def other(x):
    return normal(param("a", 0.0) * x, 1.0) @ "y"


def started(tmp_path, steps=3, **options):
    line, path = new_line(), tmp_path / "run.npz"
    train(line, DATA, adam(line), steps=steps, batch_size=4, rng=0, checkpoint=path, **options)
    return line, path


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    _, path = started(tmp_path)
    init_param(other, "a", 0.5)
    update = adam(other)
    with pytest.raises(StateMismatch, match="the file has a part 'parameters of line'"):
        train(other, DATA, update, steps=9, batch_size=4, checkpoint=path, resume=True)
    assert get_param(other, "a") == 0.5
    assert update.steps == 0


def cut(rows):
    return (X[:rows],), {"y": Y[:rows]}


ANOTHER: dict[str, Any] = {
    "number of data": (cut(9), adam, 4, "is of training with 10 rows .* here are 9 rows"),
    "size": (DATA, adam, 5, "batch_size=4; here are 10 rows and batch_size=5"),
    "form": (pairs(), adam, 4, "here are 10 pairs"),
    "rule": (DATA, lambda f: ParamUpdate(SGD(0.1), f), 4, "its rule is ADAM.* and SGD"),
    "number of updates": (
        DATA,
        lambda f: [ParamUpdate(ADAM(0.05), {f: [n]}) for n in f.params],
        4,
        "the file has no part 'update 2'",
    ),
}


@pytest.mark.parametrize("what", ANOTHER)
def test_a_checkpoint_of_another_training_is_refused(what, tmp_path):
    data, update, size, message = ANOTHER[what]
    line, path = started(tmp_path)
    begin(line)
    before = values(line)
    with pytest.raises(StateMismatch, match=message):
        train(line, data, update(line), steps=9, batch_size=size, checkpoint=path, resume=True)
    assert values(line) == before


def test_other_callbacks_are_refused(tmp_path):
    line, path = started(tmp_path, callbacks=[EarlyStopping(3)])
    begin(line)
    with pytest.raises(
        StateMismatch, match=r"callback 1 was EarlyStopping\(patience=3, .*, is no callback with"
    ):
        train(line, DATA, adam(line), steps=9, batch_size=4, checkpoint=path, resume=True)
    assert get_param(line, "slope") == 0.0


def test_a_checkpoint_of_a_loop_in_the_open_is_refused(tmp_path):
    line, path = new_line(), tmp_path / "run.npz"
    save_checkpoint(path, model=line)
    with pytest.raises(StateMismatch, match="that no training loop has written"):
        train(line, DATA, adam(line), steps=9, checkpoint=path, resume=True)


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    line, path = new_line(), tmp_path / "run.npz"
    save_checkpoint(path, model=line, metadata={"loop": {"last": []}})
    with pytest.raises(StateMismatch, match="as another version of genparams wrote it"):
        train(line, DATA, adam(line), steps=9, checkpoint=path, resume=True)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    line, path = started(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:])
    begin(line)
    with pytest.raises(CheckpointError):
        train(line, DATA, adam(line), steps=9, batch_size=4, checkpoint=path, resume=True)
    assert get_param(line, "slope") == 0.0


def test_the_model_of_a_checkpoint_can_be_loaded_alone(tmp_path):
    line, path = started(tmp_path)
    end = values(line)
    begin(line)
    load_checkpoint(path, partial=True, **{"parameters of line": line})
    assert values(line) == end


OPTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"reduction": "mean"}, "with reduction='sum'; here is reduction='mean'"),
    ({"total": 10}, {"total": 20}, "with total=10; here is total=20"),
    ({}, {"shuffle": False}, "with shuffle=True; here is shuffle=False"),
    ({}, {"history_every": 2}, "with history_every=1; here is history_every=2"),
]


@pytest.mark.parametrize(("first", "second", "message"), OPTIONS)
def test_other_options_are_refused(first, second, message, tmp_path):
    line, path = started(tmp_path, **first)
    begin(line)
    before = values(line)
    options: dict[str, Any] = {"steps": 9, "batch_size": 4, "checkpoint": path, "resume": True}
    with pytest.raises(StateMismatch, match=message):
        train(line, DATA, adam(line), **{**options, **first, **second})
    assert values(line) == before


@pytest.mark.parametrize("was_frozen", [True, False])
def test_other_frozen_parameters_are_refused(was_frozen, tmp_path):
    line, path = new_line(), tmp_path / "run.npz"
    if was_frozen:
        line.params["slope"].freeze()
    train(line, DATA, adam(line), steps=3, checkpoint=path)
    again = new_line()
    if not was_frozen:
        again.params["slope"].freeze()
    before = values(again)
    do = "freeze" if was_frozen else "thaw"
    with pytest.raises(StateMismatch, match=rf"line\.slope was .*\['slope'\]\.{do}\(\) before"):
        train(again, DATA, adam(again), steps=9, checkpoint=path, resume=True)
    assert values(again) == before


def test_what_a_callback_froze_is_frozen_again(tmp_path):
    line, path = new_line(), tmp_path / "run.npz"

    def freezes(event):
        if event.step == 2:
            line.params["slope"].freeze()

    options: dict[str, Any] = {"callbacks": [freezes], "checkpoint": path}
    train(line, DATA, adam(line), steps=3, **options)
    end = get_param(line, "slope")
    train(line, DATA, adam(line), steps=4, resume=True, **options)  # in the same process
    line.params["slope"].thaw()
    begin(line)
    train(line, DATA, adam(line), steps=6, resume=True, **options)
    assert get_param(line, "slope") == end
    assert line.params["slope"].frozen


def test_another_constraint_is_refused(tmp_path):
    _, path = started(tmp_path)
    again = new_line()
    init_param(again, "slope", 1.0, constraint=positive)
    with pytest.raises(
        StateMismatch, match="'slope' has the constraint real in the file, positive"
    ):
        train(again, DATA, adam(again), steps=9, batch_size=4, checkpoint=path, resume=True)
    assert get_param(again, "slope") == 1.0


OTHER_CALLBACKS: list[tuple[Any, str]] = [
    (
        [StopAtPlateau(5)],
        r"callback 1 was EarlyStopping\(patience=3, .*, is StopAtPlateau\(window=5",
    ),
    ([EarlyStopping(4)], r"callback 1 was .*patience=3.*, is .*patience=4"),
    ([EarlyStopping(3), StopAtChange(0.1)], "callback 2 is StopAtChange.* file has no state of it"),
]


@pytest.mark.parametrize(("callbacks", "message"), OTHER_CALLBACKS)
def test_callbacks_that_differ_are_named(callbacks, message, tmp_path):
    line, path = started(tmp_path, callbacks=[EarlyStopping(3)])
    begin(line)
    options: dict[str, Any] = {"steps": 9, "batch_size": 4, "checkpoint": path, "resume": True}
    with pytest.raises(StateMismatch, match=message):
        train(line, DATA, adam(line), callbacks=callbacks, **options)
    assert get_param(line, "slope") == 0.0


class Stateful:
    def __init__(self, state):
        self.state = state

    def __call__(self, event):
        pass

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.mark.parametrize(
    "state", [{"name": "a"}, {"rows": [[1], [1, 2]]}, {"a": None}, [1.0], None]
)
def test_a_state_that_cannot_be_saved_is_found_before_the_first_step(state, tmp_path):
    line = new_line()
    before = values(line)
    with pytest.raises(InvalidValue, match="callback 2, Stateful, has a state_dict"):
        train(
            line,
            DATA,
            adam(line),
            steps=3,
            callbacks=[print, Stateful(state)],
            checkpoint=tmp_path / "run.npz",
        )
    assert values(line) == before


# --- Parameters that later data read


def growing():
    """A model whose second datum reads a parameter, or calls a function that reads one."""

    @gen
    def callee():
        return param("c", 0.0)

    @gen
    def model(kind):
        mean = param("a", 0.0)
        if kind == 1:
            mean = mean + param("b", np.zeros(2)).sum() + param("s", 1.0, constraint=positive)
        elif kind == 2:
            mean = mean + callee() @ "callee"
        elif kind == 3:
            mean = mean + param("later")
        return normal(mean, 1.0) @ "y"

    return model


def by_kind(kind):
    return [((k,), {"y": 1.5 + k}) for k in (0, kind)]


def test_parameters_that_later_data_read_are_declared_from_the_file(tmp_path):
    options: dict[str, Any] = {"batch_size": 1, "shuffle": False, "steps": 8}
    model, path = growing(), tmp_path / "run.npz"
    straight = train(model, by_kind(1), adam(model), **options)
    first = growing()
    train(first, by_kind(1), adam(first), checkpoint=path, **{**options, "steps": 5})
    again = growing()
    resumed = train(again, by_kind(1), adam(again), checkpoint=path, resume=True, **options)
    same_history(resumed, straight)
    assert [
        p.coordinates.tolist() if p.shape else p.coordinates for p in again.params.values()
    ] == [p.coordinates.tolist() if p.shape else p.coordinates for p in model.params.values()]


LATER = [
    (2, "no run has called callee here yet"),
    (3, r"write init_param\(model, 'later', value\)"),
]


@pytest.mark.parametrize(("kind", "message"), LATER)
def test_parameters_that_cannot_be_declared_are_named(kind, message, tmp_path):
    path = tmp_path / "run.npz"
    options: dict[str, Any] = {"batch_size": 1, "shuffle": False, "checkpoint": path}
    first = growing()
    if kind == 3:
        init_param(first, "later", 0.5)
    first.simulate((0,))
    update = ParamUpdate(ADAM(0.05), first, callees=True)
    train(first, by_kind(kind), update, steps=5, **options)
    again = growing()
    again.simulate((0,))
    update = ParamUpdate(ADAM(0.05), again, callees=True)
    with pytest.raises(StateMismatch, match=message):
        train(again, by_kind(kind), update, steps=9, resume=True, **options)
    again.generate((2,), {"y": 0.0})
    if kind == 2:
        update = ParamUpdate(ADAM(0.05), again, callees=True)
        resumed = train(again, by_kind(kind), update, steps=9, resume=True, **options)
        assert len(resumed.steps) == 9


def test_parameters_of_a_function_that_is_called_later_are_saved(tmp_path):
    path, options = tmp_path / "run.npz", {"batch_size": 1, "shuffle": False}
    model = growing()
    model.simulate((0,))
    update = ParamUpdate(ADAM(0.05), model, callees=True)
    train(model, by_kind(2), update, steps=5, checkpoint=path, **options)
    with np.load(path) as file:
        assert file["parameters of callee/value/c"] != 0.0
