"""What every picture shares: axes, figures, and errors without matplotlib."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from models import WAITS, X, coins_of, line_of, mixture_of

import genparams
from genparams import plotting
from genparams.errors import ArgumentError, InvalidValue, MissingExtra
from genparams.learning.training.history import History

LINE, COINS, WAIT = line_of(), coins_of(), mixture_of()
STEPS = np.arange(1, 7)
HISTORY = History(
    objective="ELBO",
    steps=STEPS,
    epochs=(STEPS + 1) // 2,
    log_prob=-1.0 / STEPS,
    grad_norm=1.0 / STEPS,
    seconds=0.1 * STEPS,
    params={},
    stopped_because="that is enough",
)
PICTURES = {
    "plot_profile": lambda **ax: plotting.plot_profile(LINE, "noise", **ax),
    "plot_fit": lambda **ax: plotting.plot_fit(LINE, **ax),
    "plot_residuals": lambda **ax: plotting.plot_residuals(LINE, **ax),
    "plot_qq": lambda **ax: plotting.plot_qq(COINS, **ax),
    "plot_curve": lambda **ax: plotting.plot_curve(COINS, np.linspace(1.0, 3.0, 9), **ax),
    "plot_mixture": lambda **ax: plotting.plot_mixture(WAITS, WAIT, **ax),
    "plot_history": lambda **ax: plotting.plot_history(HISTORY, **ax),
}
METHODS = {
    "plot_profile": lambda **ax: LINE.plot_profile("noise", **ax),
    "plot_fit": lambda **ax: LINE.plot_fit(**ax),
    "plot_residuals": lambda **ax: LINE.plot_residuals(**ax),
    "plot_qq": lambda **ax: COINS.plot_qq(**ax),
    "plot_curve": lambda **ax: COINS.plot_curve(np.linspace(1.0, 3.0, 9), **ax),
    "plot_history": lambda **ax: HISTORY.plot(**ax),
}
each = pytest.mark.parametrize("name", PICTURES)
each_method = pytest.mark.parametrize("name", METHODS)


def test_every_picture_is_in_the_table():
    assert sorted(PICTURES) == sorted(plotting.__all__)


@each
def test_axes_that_are_given_are_returned_and_no_figure_is_made(name, ax):
    before = pyplot.get_fignums()
    assert PICTURES[name](ax=ax) is ax
    assert pyplot.get_fignums() == before
    ax.figure.canvas.draw()


@each
def test_a_new_figure_is_made_without_axes(name):
    before = pyplot.get_fignums()
    axes = PICTURES[name]()
    assert len(pyplot.get_fignums()) == len(before) + 1
    assert axes.figure.axes == [axes]
    axes.figure.canvas.draw()


@each
def test_labels_that_are_there_stay(name, ax):
    ax.set(xlabel="minutes", ylabel="metres")
    PICTURES[name](ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("minutes", "metres")


@each
def test_something_else_than_axes_is_an_error(name):
    figure, _ = pyplot.subplots()
    with pytest.raises(InvalidValue, match=rf"{name} draws on one axes of matplotlib, got ax="):
        PICTURES[name](ax=figure)


@each
def test_without_matplotlib_the_extra_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=rf"{name} needs matplotlib.*genparams\[plot\]"):
        PICTURES[name]()


@each_method
def test_the_methods_of_a_result_draw_the_same(name, ax):
    METHODS[name](ax=ax)
    other = pyplot.subplots()[1]
    PICTURES[name](ax=other)
    for one, two in zip(ax.lines, other.lines, strict=True):
        assert np.array_equal(one.get_xydata(), two.get_xydata(), equal_nan=True)


def test_a_wrong_option_is_explained(ax):
    with pytest.raises(ArgumentError, match="did you mean level"):
        LINE.plot_qq(ax=ax, levl=0.5)


def test_pictures_are_loaded_when_they_are_asked_for_and_matplotlib_when_they_draw():
    code = (
        "import sys, genparams; assert 'genparams.plotting' not in sys.modules; "
        "genparams.plotting.plot_fit; assert 'matplotlib' not in sys.modules; "
        "assert 'scipy.interpolate' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(genparams.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_points_over_a_predictor_and_a_curve_share_axes(ax):
    LINE.plot_fit(ax=ax)
    LINE.plot_curve(np.sort(X), ax=ax)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["observed", "fitted mean", "mean", "95% interval of the mean"]
