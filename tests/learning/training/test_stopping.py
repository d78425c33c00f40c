"""Stopping tests: when training has done what it can."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from training import X, Y, adam, new_line

from genparams import SGD, ParamStore, ParamUpdate, cosine_decay, gen, normal, param
from genparams.errors import InvalidValue, UnknownParameter
from genparams.learning.training.stopping import (
    EarlyStopping,
    StopAtChange,
    StopAtGradient,
    StopAtPlateau,
)
from genparams.learning.training.train import train

DATA = (X,), {"y": Y}


def fed(test, objectives, steps_in_epoch=1):
    """The steps at which a test stops, given the objective of each step."""
    stopped = []
    for step, log_prob in enumerate(objectives, 1):
        event: Any = SimpleNamespace(
            step=step,
            epoch=(step - 1) // steps_in_epoch + 1,
            end_of_epoch=step % steps_in_epoch == 0,
            log_prob=log_prob,
            objective="ELBO",
            params={"a": float(step)},
            stop=lambda reason, step=step: stopped.append((step, reason)),
        )
        test(event)
    return stopped


def test_early_stopping_counts_epochs_without_improvement():
    test = EarlyStopping(2)
    assert fed(test, [1.0, 3.0, 2.0, 3.5, 3.5, float("nan")]) == [
        (6, "the ELBO has not risen for 2 epochs: the best was 3.5 at step 4, and the last is NaN")
    ]
    assert (test.best, test.best_step) == (3.5, 4)


def test_early_stopping_looks_at_the_mean_of_an_epoch():
    assert fed(EarlyStopping(1), [1.0, 5.0, 9.0, -3.0, 4.0, 1.0], steps_in_epoch=2) == [
        (4, "the ELBO has not risen for 1 epoch: the best was 3 at step 2"),
        (6, "the ELBO has not risen for 2 epochs: the best was 3 at step 2"),
    ]


def test_a_gain_that_is_too_small_is_no_improvement():
    assert fed(EarlyStopping(2, least_gain=0.5), [1.0, 1.4, 1.6, 1.9, 2.0])[0][0] == 5


def test_held_out_data_stop_a_model_that_learns_its_data_by_heart():
    @gen
    def polynomial(x):
        powers = np.stack([x**k for k in range(8)], axis=-1)
        return normal(powers @ param("beta", np.zeros(8)), 0.3) @ "y"

    rng = np.random.default_rng(0)
    xs = rng.uniform(-1.0, 1.0, 12)
    ys = np.sin(3.0 * xs) + 0.3 * rng.normal(size=12)
    later = ((np.linspace(-1, 1, 50),), {"y": np.sin(3.0 * np.linspace(-1, 1, 50))})
    polynomial.generate((xs,), {"y": ys})
    update = adam(polynomial, 0.02)
    early = EarlyStopping(30, lambda event: polynomial.generate(*later)[1], keep_best=True)
    history = train(polynomial, ((xs,), {"y": ys}), update, epochs=3000, callbacks=[early])
    assert 30 < len(history.steps) < 3000
    assert len(history.steps) == early.best_step + 30
    assert "the objective has not risen for 30 epochs" in history.stopped_because
    early.restore(update)
    assert polynomial.generate(*later)[1] == pytest.approx(early.best, rel=1e-12)
    at = history.steps.tolist().index(early.best_step)
    assert np.array_equal(history.params["beta"][at], early.best_params["beta"])


def test_values_that_were_not_kept_are_not_restored():
    line = new_line()
    update, early = adam(line), EarlyStopping(3)
    train(line, DATA, update, steps=2, callbacks=[early])
    with pytest.raises(UnknownParameter, match=r"no value of 'slope' was kept; .*keep_best=True"):
        early.restore(update)


def test_an_objective_is_one_number():
    line = new_line()
    wrong: Any = lambda event: line.generate(*DATA)  # noqa: E731
    with pytest.raises(InvalidValue, match="the objective of EarlyStopping gives one number"):
        train(line, DATA, adam(line), steps=2, callbacks=[EarlyStopping(3, wrong)])


def test_a_plateau_is_two_windows_of_one_mean():
    objectives = [0.0, 2.0, 3.0, 5.0, 4.0, 4.0, 9.0, 9.0]
    assert fed(StopAtPlateau(2, 1e-9), objectives) == [
        (6, "the mean ELBO of 2 steps was 4, after 4 in the 2 before")
    ]


def test_training_at_a_maximum_is_a_plateau():
    line = new_line()
    update = ParamUpdate(SGD(0.005), line)
    history = train(line, DATA, update, steps=5000, callbacks=[StopAtPlateau(50, 1e-12)])
    assert len(history.steps) < 5000
    slope, intercept = np.polyfit(X, Y, 1)
    assert line.params["slope"].value == pytest.approx(slope, rel=1e-3)
    assert line.params["intercept"].value == pytest.approx(intercept, rel=1e-3)


def test_a_small_gradient_stops():
    theta = ParamStore(a=1.0)

    @gen
    def one():
        return normal(param("a", 1.0), 1.0) @ "y"

    one.simulate()
    update = ParamUpdate(SGD(0.5), one)
    history = train(one, ((), {"y": 0.0}), update, steps=99, callbacks=[StopAtGradient(0.1)])
    assert history.grad_norm.tolist() == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert history.stopped_because == "the norm of the gradient was 0.0625"
    assert theta["a"].value == 1.0


def test_parameters_that_do_not_change_stop():
    line = new_line()
    update = ParamUpdate(SGD(cosine_decay(0.02, 200)), line)
    history = train(line, DATA, update, steps=500, callbacks=[StopAtChange(1e-6, patience=3)])
    end = history.steps[-1]
    assert end < 500
    for name in ("slope", "intercept", "noise"):
        series = history.params[name]
        changes = np.abs(np.diff(series)) / (1.0 + np.abs(series[1:]))
        assert np.all(changes[-3:] <= 1e-6)
    assert "in 3 steps" in history.stopped_because


BAD: list[tuple[Any, str]] = [
    (lambda: EarlyStopping(0), "patience must be a whole number above 0"),
    (lambda: EarlyStopping(3, 4.0), "objective is a function of"),  # type: ignore[arg-type]
    (lambda: EarlyStopping(3, least_gain=-1.0), "least_gain must be at least 0"),
    (lambda: StopAtPlateau(0), "window must be a whole number above 0"),
    (lambda: StopAtGradient(-1.0), "tolerance must be at least 0"),
    (lambda: StopAtChange(float("nan")), "tolerance must be at least 0"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()


def test_an_objective_that_is_never_finite_is_named():
    assert fed(EarlyStopping(2), [float("nan")] * 2) == [
        (2, "the ELBO had no finite value in 2 epochs: the last was nan")
    ]


AGAIN: list[Any] = [
    EarlyStopping(3, lambda event: -event.step, keep_best=True),
    StopAtPlateau(2, 1e9),
    StopAtChange(1e9, 3),
]


@pytest.mark.parametrize("test", AGAIN, ids=lambda test: type(test).__name__)
def test_a_stopping_test_begins_anew_with_each_training(test):
    line = new_line()
    first = train(line, DATA, adam(line), steps=50, callbacks=[test])
    assert 1 < len(first.steps) < 50
    again = train(line, DATA, adam(line), steps=50, callbacks=[test])
    assert len(again.steps) == len(first.steps)
