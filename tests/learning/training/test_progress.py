"""Progress: a bar with tqdm, lines without, and nothing where nobody looks."""

import io
import sys

import pytest
from training import X, Y, adam, new_line

from genparams.learning.training.train import train

DATA = (X,), {"y": Y}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def a_terminal(monkeypatch):
    """What the standard error output writes to, from here on."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    return found


def test_progress_is_a_bar_at_a_terminal(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = a_terminal(monkeypatch)
    line = new_line()
    train(line, DATA, adam(line), epochs=4, batch_size=5, progress=True)
    assert "train:" in terminal.getvalue()
    assert "/8 [" in terminal.getvalue()
    assert "log probability -" in terminal.getvalue()


def test_progress_is_lines_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = a_terminal(monkeypatch)
    line = new_line()
    train(line, DATA, adam(line), steps=4, progress=True)
    first = terminal.getvalue().splitlines()[0]
    assert first.startswith("train: 1 log probability -")


def test_nothing_is_shown_where_nobody_looks(monkeypatch):
    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    line = new_line()
    train(line, DATA, adam(line), steps=4, progress=True)
    assert quiet.getvalue() == ""


def test_nothing_is_shown_unless_it_is_asked_for(monkeypatch):
    line, terminal = new_line(), a_terminal(monkeypatch)
    train(line, DATA, adam(line), steps=4)
    assert terminal.getvalue() == ""
