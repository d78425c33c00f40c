"""The logger of TensorBoard: its files are read back by the format's own package."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training import X, Y, adam, new_line

from genparams import SGD, ParamStore, ParamUpdate
from genparams.errors import InvalidValue, MissingExtra
from genparams.learning.training.loggers import TensorBoardLogger
from genparams.learning.training.loop import LoopOptions, run_loop
from genparams.learning.training.train import train

DATA = (X,), {"y": Y}


def read(folder):
    """The scalars of the event files in a folder: by name, the steps and the values."""
    pytest.importorskip("tensorboardX")
    Event = import_module("tensorboardX.proto.event_pb2").Event
    found: dict[str, list[Any]] = {}
    (file,) = Path(folder).glob("events.out.tfevents.*")
    data, at = file.read_bytes(), 0
    while at < len(data):  # a record: its length, a checksum, the event, a checksum
        length = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_every_kth_step_is_in_the_event_file(tmp_path):
    pytest.importorskip("tensorboardX")
    line = new_line()
    with TensorBoardLogger(tmp_path / "run", every=2) as logger:
        history = train(line, DATA, adam(line), steps=5, callbacks=[logger])
    found = read(tmp_path / "run")
    assert set(found) == {
        *("objective", "grad_norm", "epoch", "learning_rate/1"),
        *("params/slope", "params/intercept", "params/noise"),
    }
    for name, series in [
        ("objective", history.log_prob),
        ("grad_norm", history.grad_norm),
        ("params/slope", history.params["slope"]),
    ]:
        assert [step for step, _ in found[name]] == [2, 4]
        assert [v for _, v in found[name]] == pytest.approx(series[[1, 3]].tolist(), rel=1e-6)


def test_a_large_parameter_is_written_as_its_norm(tmp_path):
    pytest.importorskip("tensorboardX")
    theta = ParamStore(w=np.zeros(25), b=np.zeros(2))

    def work():
        theta["w"].increment_grad(np.ones(25))
        theta["b"].increment_grad(np.ones(2))
        return 0.0

    with TensorBoardLogger(tmp_path) as logger:
        run_loop(work, ParamUpdate(SGD(1.0), theta), LoopOptions(steps=1, callbacks=[logger]))
    found = read(tmp_path)
    assert found["params/w_norm"] == [(1, 5.0)]
    assert found["params/b/1"] == [(1, 1.0)]
    assert "params/w/0" not in found


def test_without_a_writer_it_says_how_to_get_one(monkeypatch, tmp_path):
    for package in ("tensorboardX", "torch.utils.tensorboard", "torch"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"needs tensorboardX.* genparams\[tensorboard\]"):
        TensorBoardLogger(tmp_path)


def test_wrong_settings_are_refused(tmp_path):
    wrong: Any = 3
    with pytest.raises(InvalidValue, match="folder is a path such as 'runs/first', got 3"):
        TensorBoardLogger(wrong)
    with pytest.raises(InvalidValue, match="every is a whole number of at least 1"):
        TensorBoardLogger(tmp_path, every=0)
