"""Checkpoints: whole files only, every difference told, and resuming as if nothing had been."""

import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from genparams import (
    ADAM,
    ParamStore,
    ParamUpdate,
    chain,
    checkpoint_metadata,
    gen,
    init_param,
    load_checkpoint,
    normal,
    only,
    param,
    positive,
    project,
    project_box,
    save_checkpoint,
    scale,
    simplex,
)
from genparams.errors import InvalidValue, StateMismatch


def a_store():
    theta = ParamStore(W=np.arange(6.0).reshape(2, 3), b=0.5, e=np.zeros((0, 2)))
    theta.init("s", 2.0, positive)
    theta.init("w", [0.2, 0.3, 0.5], simplex)
    theta.init("f", np.array([1.0, 2.0], np.float32))
    return theta


def step(theta, update, rng):
    for p in theta.values():
        p.increment_grad(rng.standard_normal(p.shape))
    update.apply()


def bits(theta, update, rng):
    parameters = {
        k: (np.asarray(p.value).tobytes(), np.asarray(p.coordinates).tobytes())
        for k, p in theta.items()
    }
    state = {k: v.tobytes() for k, v in update.state_dict().items()}
    return parameters, state, repr(rng.bit_generator.state)


RULES = {"ADAM": lambda: ADAM(0.1), "whole parameters": lambda: chain(ADAM(0.1), scale(0.5))}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("bit_generator", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_resuming_equals_never_having_stopped_to_the_bit(tmp_path, rule, bit_generator):
    theta, rng = a_store(), np.random.Generator(bit_generator(1))
    update = ParamUpdate(rule(), theta)
    for _ in range(3):
        step(theta, update, rng)
    save_checkpoint(tmp_path / "run", theta=theta, update=update, rng=rng, metadata={"epoch": 3})
    for _ in range(4):
        step(theta, update, rng)
    expected = bits(theta, update, rng)

    theta, rng = a_store(), np.random.Generator(bit_generator(2))
    update = ParamUpdate(rule(), theta)
    assert load_checkpoint(tmp_path / "run", theta=theta, update=update, rng=rng) == {"epoch": 3}
    for _ in range(4):
        step(theta, update, rng)
    assert bits(theta, update, rng) == expected


def test_resuming_in_the_middle_of_training_that_goes_on(tmp_path):
    theta, rng = a_store(), np.random.default_rng(1)
    update = ParamUpdate(ADAM(0.1), theta)
    step(theta, update, rng)
    save_checkpoint(tmp_path / "run", theta=theta, update=update, rng=rng)
    held = theta["W"].value
    before = held.copy()
    for _ in range(2):
        step(theta, update, rng)
    expected = bits(theta, update, rng)
    load_checkpoint(tmp_path / "run", theta=theta, update=update, rng=rng)
    for _ in range(2):
        step(theta, update, rng)
    assert bits(theta, update, rng) == expected
    np.testing.assert_array_equal(held, before)


def test_frozen_flags_accumulators_and_set_rates_come_back(tmp_path):
    theta = a_store()
    update = ParamUpdate(ADAM(0.1), theta)
    update.learning_rate = 0.025
    theta["W"].freeze()
    theta["b"].increment_grad(3.0)
    save_checkpoint(tmp_path / "run", theta=theta, update=update)
    other = a_store()
    again = ParamUpdate(ADAM(0.1), other)
    other["s"].freeze()
    other["s"].increment_grad(1.0)
    load_checkpoint(tmp_path / "run", theta=other, update=again)
    assert other == theta
    assert (other["W"].frozen, other["s"].frozen) == (True, False)
    assert (other["b"].grad, other["b"].accumulated, other["s"].accumulated) == (3.0, True, False)
    assert again.learning_rate == 0.025


def test_metadata_can_be_read_before_anything_is_made(tmp_path):
    save_checkpoint(tmp_path / "run", a=ParamStore(x=1.0), metadata={"width": 3})
    assert checkpoint_metadata(tmp_path / "run") == {"width": 3}


def test_some_parts_may_be_loaded_alone(tmp_path):
    save_checkpoint(tmp_path / "run", a=ParamStore(x=1.0), rng=np.random.default_rng(0))
    other = ParamStore(x=2.0)
    with pytest.raises(StateMismatch, match="'rng', which was not given"):
        load_checkpoint(tmp_path / "run", a=other)
    load_checkpoint(tmp_path / "run", a=other, partial=True)
    assert other["x"].value == 1.0


def halves(count):
    return 0.5


def test_functions_in_rules_are_known_by_their_names(tmp_path):
    def rule():
        within = partial(project_box, low=-1.0, high=1.0)
        return project(only(ADAM(halves), lambda p: True), within)

    theta = ParamStore(x=1.0)
    save_checkpoint(tmp_path / "run", update=ParamUpdate(rule(), theta))
    load_checkpoint(tmp_path / "run", update=ParamUpdate(rule(), theta))
    assert "0x" not in repr(rule())
    assert "partial(project_box, low=-1.0, high=1.0)" in repr(rule())


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere; make it first"):
        save_checkpoint(tmp_path / "nowhere" / "run", a=ParamStore(x=1.0))


@pytest.mark.skipif(not hasattr(os, "umask"), reason="there are no modes here")
def test_a_checkpoint_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "other").write_text("")
    save_checkpoint(tmp_path / "run", a=ParamStore(x=1.0))
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_functions_stand_for_their_parameters(tmp_path):
    @gen
    def checkpointed():
        return normal(param("mean", 1.0), 1.0) @ "x"

    checkpointed.simulate()
    save_checkpoint(tmp_path / "run", model=checkpointed)
    init_param(checkpointed, "mean", 7.0)
    load_checkpoint(tmp_path / "run", model=checkpointed)
    assert checkpointed.params["mean"].value == 1.0


class Counter:
    def __init__(self, count):
        self.count = count

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, saved):
        self.count = saved["count"]


def test_whatever_has_a_state_may_be_a_part(tmp_path):
    save_checkpoint(tmp_path / "run", counter=Counter(5))
    other = Counter(0)
    load_checkpoint(tmp_path / "run", counter=other)
    assert other.count == 5


# --- What does not fit


def test_every_difference_is_listed_and_nothing_changes(tmp_path):
    theta, rng = a_store(), np.random.default_rng(1)
    update = ParamUpdate(ADAM(0.1), theta)
    step(theta, update, rng)
    save_checkpoint(tmp_path / "run", theta=theta, update=update, rng=rng, lost=Counter(1))
    other = ParamStore(W=np.zeros((3, 2)), b=np.float32(0.5), extra=1.0)
    other.init("s", 1.0)
    before = pickle.dumps(other)
    mine = np.random.Generator(np.random.Philox(0))
    with pytest.raises(StateMismatch) as caught:
        load_checkpoint(
            tmp_path / "run", theta=other, update=ParamUpdate(ADAM(0.2), other), rng=mine, new=other
        )
    message = str(caught.value)
    for difference in (
        "the file has a part 'lost', which was not given",
        "the file has no part 'new'",
        "theta: there is no parameter 'w' here",
        "theta: the file has no parameter 'extra'",
        "theta: 'W' has shape (2, 3) in the file, (3, 2) here",
        "theta: 'b' has type float64 in the file, float32 here",
        "theta: 's' has the constraint positive in the file, real here",
        "update: its rule is ADAM(learning_rate=0.1",
        "0 scale_by_adam/m/theta/W has shape",
        "0 scale_by_adam/t/theta/extra is missing",
        "rng: its bits are of PCG64 in the file and of Philox here",
    ):
        assert difference in message
    assert other == pickle.loads(before)


def test_a_part_of_another_kind_is_told(tmp_path):
    save_checkpoint(tmp_path / "run", a=ParamStore(x=1.0))
    with pytest.raises(StateMismatch, match="part 'a' is of kind store in the file and generator"):
        load_checkpoint(tmp_path / "run", a=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("save", "error", "message"),
    [
        (lambda path: save_checkpoint(path), InvalidValue, "nothing to save"),
        (
            lambda path: save_checkpoint(path, a=a_store(), metadata={"f": np.zeros(2)}),
            InvalidValue,
            "metadata hold what JSON can",
        ),
        (lambda path: save_checkpoint(path, a=3), InvalidValue, "part 'a' is 3; a part is a gen"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_the_file_stays(tmp_path, save, error, message):
    path = tmp_path / "run"
    path.write_text("old")
    with pytest.raises(error, match=message):
        save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run"]


# --- Files that are not there, or not whole


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "nothing", a=ParamStore(x=1.0))


# --- Interrupted saves


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, where):
    path = tmp_path / "run"
    theta = ParamStore(x=1.0)
    save_checkpoint(path, a=theta)

    def fails(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, where, fails)
    theta["x"].set(2.0)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(path, a=theta)
    assert os.listdir(tmp_path) == ["run"]
    load_checkpoint(path, a=theta)
    assert theta["x"].value == 1.0


SAVES_FOR_EVER = """
import sys
import numpy as np
from genparams import ParamStore, save_checkpoint
theta = ParamStore(a=np.zeros(20000), b=np.zeros(20000))
for i in range(10**9):
    theta["a"].set(np.full(20000, float(i)))
    theta["b"].set(np.full(20000, float(i)))
    save_checkpoint(sys.argv[1], theta=theta)
    print(i, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_save_that_is_killed_leaves_a_whole_file(tmp_path):
    path = tmp_path / "run"
    theta = ParamStore(a=np.zeros(20000), b=np.zeros(20000))
    for seed in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVES_FOR_EVER, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + 0.0137 * seed)
        process.kill()
        process.wait()
        process.stdout.close()
        load_checkpoint(path, theta=theta)
        assert len({*theta["a"].value.tolist(), *theta["b"].value.tolist()}) == 1
