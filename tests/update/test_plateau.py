"""Reducing the learning rate on a plateau: a table by hand, and torch's own beside it."""

import json
import math
from typing import Any

import numpy as np
import pytest

from genparams.errors import InvalidValue, StateMismatch
from genparams.update.plateau import ReduceOnPlateau


class Update:
    """What a plateau asks of an update."""

    def __init__(self, learning_rate=1.0):
        self.learning_rate = learning_rate

    @property
    def learning_rates(self):
        return {"": self.learning_rate}

    def set_learning_rates(self, rates):
        self.learning_rate = rates[""]

    def __repr__(self):
        return "Update()"


def rates(values, start=1.0, **settings):
    """The learning rate after each look."""
    update = Update(start)
    plateau = ReduceOnPlateau(update, **settings)
    found = []
    for value in values:
        plateau.step(value)
        found.append(update.learning_rate)
    return found


HALF = {"factor": 0.5}
ABSOLUTE = {"factor": 0.5, "patience": 0, "relative": False}
NAN, INF = math.nan, math.inf

# settings, values, and the learning rate after each
TABLE = {
    "it improves": ({"patience": 0}, [3, 2, 1], [1, 1, 1]),
    "the first look is never bad": ({"patience": 0}, [1e9], [1]),
    "no patience": ({"patience": 0, **HALF}, [1, 1, 1], [1, 0.5, 0.25]),
    "patience forgives two": ({"patience": 2, **HALF}, [1] * 7, [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
    "an improvement forgives all": (
        {"patience": 1, **HALF},
        [5, 5, 4, 4, 3, 3, 3],
        [1, 1, 1, 1, 1, 1, 0.5],
    ),
    "the best is not the last": ({"patience": 1, **HALF}, [1, 3, 2], [1, 1, 0.5]),
    "a relative threshold": (
        {"patience": 0, "threshold": 0.1, **HALF},
        [100, 89, 81, 72],
        [1, 1, 0.5, 0.5],  # 81 is not below 89 - 8.9, 72 is
    ),
    "a small gain is not kept as the best": (
        {"patience": 9, "threshold": 0.1, "factor": 0.5},
        [100, 95, 91, 85],
        [1, 1, 1, 1],
    ),
    "an absolute threshold": ({"threshold": 2.0, **ABSOLUTE}, [9, 8, 6, 5], [1, 0.5, 0.5, 0.25]),
    "exactly the threshold is too little": ({"threshold": 2.0, **ABSOLUTE}, [9, 7], [1, 0.5]),
    "cooldown": (
        {"patience": 0, "cooldown": 2, **HALF},
        [1, 1, 1, 1, 1, 1, 1],
        [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25],
    ),
    "cooldown, then patience": (
        {"patience": 1, "cooldown": 1, **HALF},
        [1, 1, 1, 1, 1, 1],
        [1, 1, 0.5, 0.5, 0.5, 0.25],
    ),
    "minimum": ({"patience": 0, "minimum": 0.3, **HALF}, [1, 1, 1, 1], [1, 0.5, 0.3, 0.3]),
    "NaN is no improvement": ({"patience": 1, **HALF}, [1, NAN, NAN, 0.5], [1, 1, 0.5, 0.5]),
    "NaN at first": ({"patience": 1, **HALF}, [NAN, NAN, 7, 7], [1, 0.5, 0.5, 0.5]),
    "infinite at first": ({"patience": 1, **HALF}, [INF, INF, 7, 6], [1, 0.5, 0.5, 0.5]),
    "nothing is below minus infinity": ({"patience": 0, **HALF}, [-INF, -INF, 1], [1, 0.5, 0.25]),
    "maximize": (
        {"patience": 0, "maximize": True, **HALF},
        [1, 2, 1.5, 3, -INF],
        [1, 1, 0.5, 0.5, 0.25],
    ),
    # torch would take the second for an improvement: -100.005 > -100 (1 + 1e-4)
    "a log likelihood that gets worse": (
        {"patience": 0, "maximize": True, **HALF},
        [-100.0, -100.005, -99.995, -99.98],
        [1, 0.5, 0.25, 0.25],
    ),
    "a negative loss that gets worse": ({"patience": 0, **HALF}, [-100, -99.995], [1, 0.5]),
}


@pytest.mark.parametrize(("settings", "values", "expected"), TABLE.values(), ids=TABLE)
def test_rates_are_those_worked_out_by_hand(settings, values, expected):
    assert rates(values, **settings) == expected


def test_a_look_tells_whether_it_reduced():
    plateau = ReduceOnPlateau(Update(), patience=1, minimum=0.1)
    assert [plateau.step(1.0) for _ in range(6)] == [False, False, True, False, False, False]


def test_a_rate_below_the_minimum_is_left_there():
    assert rates([1, 1], start=0.01, patience=0, minimum=0.1) == [0.01, 0.01]


def test_a_rate_that_was_changed_meanwhile_is_the_one_that_is_reduced():
    update = Update()
    plateau = ReduceOnPlateau(update, factor=0.5, patience=0)
    plateau.step(1.0)
    update.learning_rate = 8.0
    plateau.step(1.0)
    assert update.learning_rate == 4.0


def test_a_metric_may_be_a_number_of_numpy():
    plateau = ReduceOnPlateau(Update(), patience=0)
    assert not plateau.step(np.float32(1.0))  # pyright: ignore[reportArgumentType]
    assert plateau.step(np.array(1.0))  # pyright: ignore[reportArgumentType]
    assert type(plateau.best) is float


TORCH: dict[str, dict[str, Any]] = {
    "defaults": {},
    "impatient": {"factor": 0.5, "patience": 1},
    "cooldown": {"factor": 0.5, "patience": 1, "cooldown": 3},
    "absolute": {"factor": 0.7, "patience": 2, "threshold": 0.05, "relative": False},
    "relative": {"factor": 0.7, "patience": 2, "threshold": 0.05, "cooldown": 1},
    "minimum": {"factor": 0.5, "patience": 0, "minimum": 0.01},
    "maximize": {"factor": 0.5, "patience": 1, "threshold": 0.02, "maximize": True},
}


@pytest.mark.parametrize("settings", TORCH.values(), ids=TORCH)
@pytest.mark.parametrize("seed", range(4))
def test_rates_are_torchs_where_metrics_are_not_negative(settings, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    values = np.abs(np.linspace(2.0, 1.0, 80) + rng.normal(scale=0.1, size=80))
    values[rng.integers(1, 80, size=5)] = np.nan
    given = {k: v for k, v in settings.items() if k in ("factor", "patience", "cooldown")}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max" if settings.get("maximize") else "min",
        threshold_mode="rel" if settings.get("relative", True) else "abs",
        threshold=settings.get("threshold", 1e-4),
        min_lr=settings.get("minimum", 0.0),
        **given,
    )
    expected = []
    for value in values:
        scheduler.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    assert expected[-1] < 1.0 or not settings
    # torch leaves out reductions of less than 1e-8
    assert rates(values, **settings) == pytest.approx(expected, rel=1e-12, abs=2e-8)


# --- State


def test_a_state_taken_up_goes_on_as_if_nothing_had_happened():
    settings = {"factor": 0.5, "patience": 1, "cooldown": 2}
    values = [3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 0.5, 1, 1]
    whole = rates(values, **settings)
    for cut in range(len(values)):
        update = Update()
        first = ReduceOnPlateau(update, **settings)
        for value in values[:cut]:
            first.step(value)
        second = ReduceOnPlateau(update, **settings)
        second.load_state_dict(first.state_dict())
        found = []
        for value in values[cut:]:
            second.step(value)
            found.append(update.learning_rate)
        assert found == whole[cut:]


def test_a_state_is_plain_numbers():
    plateau = ReduceOnPlateau(Update())
    plateau.step(2.0)
    plateau.step(3.0)
    assert plateau.state_dict() == {"best": 2.0, "bad": 1, "cooling": 0}
    assert json.loads(json.dumps(plateau.state_dict())) == plateau.state_dict()


def test_a_state_of_numpy_becomes_plain():
    plateau = ReduceOnPlateau(Update())
    saved = {"best": 2.0, "bad": 1, "cooling": 3}
    plateau.load_state_dict({name: np.array(value) for name, value in saved.items()})
    assert plateau.state_dict() == saved
    assert [type(value) for value in plateau.state_dict().values()] == [float, int, int]


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({}, "is best, bad and cooling, got nothing; give what state_dict"),
        ({"best": 1.0, "bad": 0}, "got best, bad; give"),
        ({"best": 1.0, "bad": 0, "cooling": 0, "lr": 1.0}, "got best, bad, cooling, lr"),
        ({"best": math.nan, "bad": 0, "cooling": 0}, "a number `best` and two counts, got"),
        ({"best": "low", "bad": 0, "cooling": 0}, "a number `best` and two counts"),
        ({"best": 1.0, "bad": -1, "cooling": 0}, "a number `best` and two counts"),
        ({"best": 1.0, "bad": 1.5, "cooling": 0}, "a number `best` and two counts"),
        ({"best": 1.0, "bad": 0, "cooling": math.inf}, "a number `best` and two counts"),
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_changes_nothing(saved, message):
    plateau = ReduceOnPlateau(Update())
    plateau.step(2.0)
    before = plateau.state_dict()
    with pytest.raises(StateMismatch, match=message):
        plateau.load_state_dict(saved)
    assert plateau.state_dict() == before


# --- What is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factor": 1.0}, "factor must be above 0 and below 1, got 1.0"),
        ({"factor": 0.0}, "factor must be"),
        ({"factor": math.nan}, "factor must be"),
        ({"patience": -1}, "patience must be a whole number from 0 on, got -1"),
        ({"patience": 2.5}, "patience must be a whole number"),
        ({"threshold": -0.1}, "threshold must be at least 0 and finite"),
        ({"cooldown": -1}, "cooldown must be a whole number"),
        ({"minimum": math.inf}, "minimum must be at least 0"),
    ],
    ids=str,
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(InvalidValue, match=message):
        ReduceOnPlateau(Update(), **settings)


def test_an_update_without_a_learning_rate_is_refused():
    with pytest.raises(InvalidValue, match=r"such as ParamUpdate\(ADAM\(0.01\), f\), got 0.1"):
        ReduceOnPlateau(0.1)  # pyright: ignore[reportArgumentType]


def test_a_metric_that_is_no_number_is_refused():
    plateau = ReduceOnPlateau(Update())
    with pytest.raises(InvalidValue, match=r"takes one number, such as a mean loss, got \[1, 2\]"):
        plateau.step([1, 2])  # pyright: ignore[reportArgumentType]
    assert plateau.best == math.inf


def test_a_plateau_shows_its_settings():
    assert repr(ReduceOnPlateau(Update(), 0.5, 3)) == (
        "ReduceOnPlateau(Update(), factor=0.5, patience=3, threshold=0.0001, relative=True, "
        "cooldown=0, minimum=0.0, maximize=False)"
    )
