"""Parameters that a run declares, which are kept when it ends and removed when it fails."""

import pytest

from genparams import (
    gen,
    init_param,
    normal,
    param,
    positive,
)
from genparams.errors import MissingChoice, UnusedConstraint


def test_a_parameter_given_an_init_is_declared_at_the_first_run_and_keeps_its_value_after():
    @gen
    def f(init):
        return param("scale", init, constraint=positive)

    assert f.simulate((2.0,)).retval == pytest.approx(2.0, rel=1e-15)
    assert f.simulate((5.0,)).retval == pytest.approx(2.0, rel=1e-15)
    assert f.params["scale"].constraint is positive


def test_init_param_wins_over_the_init_in_the_body():
    @gen
    def f():
        return param("a", 1.0)

    init_param(f, "a", 7.0)
    assert f.simulate().retval == 7.0


def test_a_run_that_fails_forgets_the_parameters_that_it_declared():
    @gen
    def inner():
        param("b", 1.0)
        raise RuntimeError("no")

    @gen
    def outer():
        param("kept")
        param("a", 1.0)
        return inner() @ "inner"

    init_param(outer, "kept", 3.0)
    with pytest.raises(RuntimeError, match="no"):
        outer.simulate()
    assert list(outer.params) == ["kept"]
    assert list(inner.params) == []


def test_a_strict_generate_that_fails_forgets_the_parameters_that_it_declared():
    @gen
    def f():
        return normal(param("a", 1.0), 1.0) @ "x"

    with pytest.raises(UnusedConstraint):
        f.generate((), {"z": 1.0})
    assert list(f.params) == []


def test_an_assess_that_fails_forgets_the_parameters_that_it_declared():
    @gen
    def f():
        return normal(param("a", 1.0), 1.0) @ "x"

    with pytest.raises(MissingChoice):
        f.assess((), {})
    with pytest.raises(UnusedConstraint):
        f.assess((), {"x": 0.0, "z": 1.0})
    assert list(f.params) == []
