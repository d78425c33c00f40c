"""The picture of what a loop recorded."""

import numpy as np
import pytest

from genparams import SGD, ParamStore, ParamUpdate, gen, normal, param
from genparams.errors import InvalidValue
from genparams.learning.training.loop import LoopOptions, run_loop
from genparams.learning.training.train import train

X = np.linspace(0.0, 1.0, 12)


def trained(**options):
    @gen
    def line(x):
        return normal(param("slopes", np.zeros(2))[0] + param("b", 0.0) * x, 1.0) @ "y"

    line.simulate((X,))
    data = (X,), {"y": 3.0 * X}
    return train(line, data, ParamUpdate(SGD(0.05), line), rng=0, **options)


def test_all_data_in_each_step_are_one_line(ax):
    history = trained(steps=9)
    assert history.plot(ax=ax) is ax
    (line,) = ax.lines
    assert np.array_equal(line.get_xydata(), np.column_stack([history.steps, history.log_prob]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "log probability")
    assert ax.get_legend() is None


def test_minibatches_are_drawn_with_the_mean_of_each_epoch(ax):
    history = trained(epochs=4, batch_size=5)
    history.plot(ax=ax)
    steps, means = (line.get_xydata() for line in ax.lines)
    assert np.array_equal(steps[:, 1], history.log_prob)
    assert means[:, 0].tolist() == [3, 6, 9, 12]
    assert means[:, 1] == pytest.approx(history.log_prob.reshape(4, 3).mean(axis=1))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["each step", "mean of an epoch"]


def test_the_entries_of_a_parameter_are_lines(ax):
    history = trained(steps=5)
    history.plot(ax=ax, name="slopes")
    assert [line.get_label() for line in ax.lines] == ["[0]", "[1]"]
    assert np.array_equal(ax.lines[0].get_ydata(), history.params["slopes"][:, 0])
    assert ax.get_ylabel() == "slopes"


def test_gradient_norms_are_on_a_logarithmic_scale(ax):
    history = trained(steps=5)
    history.plot(ax=ax, name="grad_norm")
    assert ax.get_yscale() == "log"


def test_a_new_figure_is_made_on_request():
    axes = trained(steps=2).plot()
    assert axes.figure.axes == [axes]


def test_an_empty_history_is_an_empty_picture(ax):
    theta = ParamStore(a=0.0)
    history = run_loop(lambda: 0.0, ParamUpdate(SGD(1.0), theta), LoopOptions(steps=0))
    history.plot(ax=ax)
    assert ax.lines[0].get_xydata().size == 0


def test_what_was_not_recorded_is_refused(ax):
    with pytest.raises(InvalidValue, match="no 'slope' was recorded; did you mean slopes"):
        trained(steps=2).plot(ax=ax, name="slope")
    with pytest.raises(InvalidValue, match="draws on one axes"):
        trained(steps=2).plot(ax=3)
