"""Generated modules and their compiled code are kept in a folder."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from genparams.compiled.native import cache_folder
from genparams.errors import CannotCache


@pytest.fixture(autouse=True)
def forgotten():
    """Each test begins as a new process does."""
    cache_folder.forget()


def test_the_folder_is_the_one_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GENPARAMS_CACHE", str(tmp_path / "own"))
    assert cache_folder.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("GENPARAMS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder.cache_folder() == tmp_path / "genparams"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder.cache_folder() == Path.home() / ".cache" / "genparams"


def test_a_text_is_one_file_and_one_module(monkeypatch, tmp_path):
    monkeypatch.setenv("GENPARAMS_CACHE", str(tmp_path))
    module, has_file = cache_folder.load("def f(x): return x + one\n", {"one": 1})
    again, _ = cache_folder.load("def f(x): return x + one\n", {"one": 1})
    assert has_file
    assert module is again
    assert module.f(2) == 3
    assert len(list(tmp_path.glob("*.py"))) == 1


def test_a_file_that_was_changed_is_written_again(monkeypatch, tmp_path):
    monkeypatch.setenv("GENPARAMS_CACHE", str(tmp_path))
    cache_folder.load("x = 1\n", {})
    (file,) = tmp_path.glob("*.py")
    file.write_text("x = ")
    cache_folder.forget()
    module, _ = cache_folder.load("x = 1\n", {})
    assert module.x == 1
    assert file.read_text() == "x = 1\n"


def test_a_folder_that_cannot_be_written_is_named_once(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("GENPARAMS_CACHE", str(blocked / "inside"))
    with pytest.warns(CannotCache, match="file/inside.*set GENPARAMS_CACHE"):
        module, has_file = cache_folder.load("x = 1\n", {})
    assert not has_file
    assert module.x == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache_folder.load("x = 2\n", {})


PROCESS = """
import numpy as np
from genparams.compiled.native.numba_code import numba_code
from genparams.compiled.algebra.simplify import straight
from genparams.program.recorded import DATA, PARAMETERS, Recording
recording = Recording(100)
x = recording.input(np.arange(100.0), DATA, "x")
a = recording.input(3.0, PARAMETERS, "a")
code = numba_code(straight(recording, [np.sum(np.exp(-x * a)), a * 1.0]))
assert abs(code.step(3.0, code.bind(np.arange(100.0)))[0] - 1.0523957) < 1e-6
(count,) = code.gradient.stats.cache_hits.values() or (0,)
print(count)
"""


def test_the_next_process_finds_compiled_code(monkeypatch, tmp_path):
    pytest.importorskip("numba")
    monkeypatch.setenv("GENPARAMS_CACHE", str(tmp_path))
    found = [
        subprocess.run(
            [sys.executable, "-c", PROCESS.replace("or (0,)", "or [0]")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert found == ["0", "1"]
