"""A result used later: whatever moved in between, it gives the numbers of its fit or an error."""

import pickle

import numpy as np
import pytest

from genparams import fit, gen, init_param, normal, param, positive, real
from genparams.errors import ModelChanged
from genparams.learning.fitting.result import FitResult

RNG = np.random.default_rng(0)
X = RNG.normal(size=40)
Y = 1.0 + 2.0 * X + RNG.normal(size=40)
factor = 1.0


@gen
def later_line(x):
    mean = factor * (param("a", 0.0) + param("b", 0.0) * x)
    return normal(mean, param("sigma", 1.0, positive)) @ "y"


LATE = {
    "expected": lambda r: r.cov("expected"),
    "opg": lambda r: r.cov("opg"),
    "sandwich": lambda r: r.cov("sandwich"),
    "profile": lambda r: r.profile("b").conf_int(),
    "profile intervals": lambda r: r.conf_int(kind="profile").table,
    "bootstrap": lambda r: r.bootstrap(3, rng=5).table,
    "simulate": lambda r: r.simulate(1, rng=5)[0]["y"],
    "predict": lambda r: r.predict((np.array([0.0, 3.0]),))["y"].conf_int(),
    "draws": lambda r: r.predict((X,), draws=3, rng=5)["y"].draws,
    "fitted": lambda r: r.fitted()["y"],
    "pearson": lambda r: r.residuals("pearson")["y"],
    "quantile": lambda r: r.residuals("quantile")["y"],
    "derive": lambda r: r.derive(lambda t: t["a"] / t["sigma"]).std_errors,
    "wald": lambda r: r.wald_test({"b": 0.0}).statistic,
    "summary": lambda r: np.array([len(str(r.summary()))]),
}
NEEDS_NO_RUN = {"derive", "wald", "summary"}


def fitted(x=X) -> FitResult:
    for name, value in (("a", 0.0), ("b", 0.0)):
        init_param(later_line, name, value, real)
        later_line.params[name].thaw()
    init_param(later_line, "sigma", 1.0, positive)
    return fit(later_line, (x,), {"y": Y})


def move_by_set():
    for p in later_line.params.values():
        p.set(5.0)


def move_by_init():
    for name in ("a", "b", "sigma"):
        init_param(later_line, name, 7.0)


def move_by_another_constraint():
    init_param(later_line, "b", 7.0, positive)


def move_by_freezing():
    later_line.params["b"].freeze()


def move_by_fitting_a_null_model():
    init_param(later_line, "b", 0.0)
    later_line.params["b"].freeze()
    fit(later_line, (X,), {"y": Y})


MOVES = [
    move_by_set,
    move_by_init,
    move_by_another_constraint,
    move_by_freezing,
    move_by_fitting_a_null_model,
]


@pytest.fixture(scope="module")
def at_once():
    result = fitted()
    return {name: ask(result) for name, ask in LATE.items()}


@pytest.mark.parametrize("what", LATE)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("pickled", [False, True])
def test_a_result_does_not_follow_the_parameters(what, move, pickled, at_once):
    result = fitted()
    result = pickle.loads(pickle.dumps(result)) if pickled else result
    move()
    assert np.allclose(LATE[what](result), at_once[what], rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("what", LATE)
def test_a_result_refuses_an_argument_that_changed_in_place(what, at_once):
    x = X.copy()
    result = fitted(x)
    x *= 10.0
    if what in NEEDS_NO_RUN:
        assert np.allclose(LATE[what](result), at_once[what], rtol=1e-9, atol=0.0)
    else:
        with pytest.raises(ModelChanged, match="changed in place"):
            LATE[what](result)


@pytest.mark.parametrize("what", LATE)
def test_a_result_refuses_a_global_that_changed(what, at_once, monkeypatch):
    result = fitted()
    monkeypatch.setitem(globals(), "factor", 5.0)
    if what in NEEDS_NO_RUN:
        assert np.allclose(LATE[what](result), at_once[what], rtol=1e-9, atol=0.0)
    else:
        with pytest.raises(ModelChanged, match="fit again"):
            LATE[what](result)
