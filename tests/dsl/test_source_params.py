"""The parameters that the text of a body declares are there before it runs, with constraints."""

import numpy as np
import pytest

from genparams import (
    ADAM,
    ParamStore,
    ParamUpdate,
    gen,
    get_param,
    init_param,
    interval,
    load_checkpoint,
    normal,
    param,
    positive,
    real,
    save_checkpoint,
    set_param,
    unit_interval,
)
from genparams.errors import ConstraintError, UnknownParameter


def a_model():
    @gen
    def f():
        scale = param("s", 1.0, constraint=positive)
        share = param("p", 0.25, unit_interval)
        weight = param("w", np.zeros(3))
        level = param("level", 1.5, constraint=interval(1.0, 2.0))
        return normal(share + level + weight.sum(), scale) @ "x"

    return f


def without_source(text, name="f"):
    found = {"param": param, "positive": positive, "normal": normal}
    exec(text, found)
    return gen(found[name])


# --- Constraints


def test_a_value_alone_keeps_the_constraint_that_the_body_declares():
    f = a_model()
    init_param(f, "s", 2.0)
    init_param(f, "level", 1.25)
    f.params.init("p", 0.5)
    assert f.params["s"].constraint == positive
    assert f.params["level"].constraint == interval(1.0, 2.0)
    assert f.params["p"].constraint == unit_interval
    with pytest.raises(ConstraintError, match="not positive"):
        init_param(f, "s", -1.0)
    assert get_param(f, "s") == 2.0
    f.simulate()


def test_a_value_alone_keeps_the_constraint_that_was_given_before():
    f = a_model()
    init_param(f, "s", 0.5, constraint=unit_interval)
    init_param(f, "s", 0.75)
    assert f.params["s"].constraint == unit_interval
    init_param(f, "s", 2.0, constraint=real)
    assert f.params["s"].constraint == real
    f.simulate()
    assert f.params["s"].constraint == real


def test_a_constraint_that_cannot_be_read_before_is_asked_for_at_the_run():
    f = without_source(
        "def f():\n    return normal(0.0, param('s', 1.0, constraint=positive)) @ 'x'"
    )
    init_param(f, "s", 2.0)
    with pytest.raises(ConstraintError, match=r"constraint real and its model declares positive"):
        f.simulate()
    assert f.params["s"].constraint == real
    init_param(f, "s", 2.0, constraint=positive)
    f.simulate()


def test_a_constraint_that_depends_on_the_run_is_asked_for_at_the_run():
    @gen
    def f(high):
        return normal(param("a", 0.5, constraint=interval(0.0, high)), 1.0) @ "x"

    init_param(f, "a", 0.75)
    with pytest.raises(ConstraintError, match=r"declares interval\(0.0, 2.0\)"):
        f.simulate((2.0,))


def test_two_constraints_for_one_parameter_are_refused():
    @gen
    def f():
        first = param("a", 0.5, constraint=positive)
        return normal(first, param("a", 0.5, constraint=unit_interval)) @ "x"

    with pytest.raises(ConstraintError, match="has the constraint positive and its model declares"):
        f.simulate()
    assert "a" not in f.params


def test_a_store_of_ones_own_is_asked_for_the_constraint():
    f = a_model()
    twin = f.with_params(ParamStore(s=2.0))
    with pytest.raises(ConstraintError, match="constraint=positive"):
        twin.simulate()
    init_param(twin, "s", 2.0, constraint=positive)
    twin.simulate()
    other = f.with_params(ParamStore())
    init_param(other, "s", 2.0)
    assert other.params["s"].constraint == positive


def test_a_fit_from_another_start_stays_inside_the_constraint():
    f = a_model()
    init_param(f, "s", 0.01)
    update = ParamUpdate(ADAM(1.0), f)
    for _ in range(5):
        trace, _ = f.generate((), {"x": 1.75})
        trace.accumulate_param_gradients()
        update.apply()
        assert get_param(f, "s") > 0.0


# --- Declarations


def test_a_parameter_that_the_body_declares_is_there_before_the_first_run():
    f = a_model()
    assert get_param(f, "s") == 1.0
    assert get_param(f, "w").shape == (3,)
    set_param(f, "level", 1.75)
    ParamUpdate(ADAM(0.1), {f: ["p"]})
    assert {name: p.constraint for name, p in f.params.items()} == {
        "s": positive,
        "w": real,
        "level": interval(1.0, 2.0),
        "p": unit_interval,
    }
    f.simulate()
    assert get_param(f, "level") == 1.75


def test_a_checkpoint_is_loaded_before_the_first_run(tmp_path):
    f, again = a_model(), a_model()
    set_param(f, "s", 3.0)
    f.simulate()
    save_checkpoint(tmp_path / "run.npz", model=f)
    load_checkpoint(tmp_path / "run.npz", model=again)
    assert get_param(again, "s") == 3.0
    assert again.params == f.params


def test_a_parameter_whose_value_depends_on_the_run_says_so():
    @gen
    def f(n):
        return normal(param("w", np.zeros(n)), 1.0) @ "x"

    for wrong in (lambda: get_param(f, "w"), lambda: ParamUpdate(ADAM(), {f: ["w"]})):
        with pytest.raises(UnknownParameter, match="'w' at its first run; run it"):
            wrong()
    assert list(f.params) == []


def test_a_parameter_declared_in_two_ways_is_left_to_the_run():
    @gen
    def f(wide):
        return normal(0.0, param("s", 2.0) if wide else param("s", 1.0)) @ "x"

    with pytest.raises(UnknownParameter, match="at its first run"):
        get_param(f, "s")


def test_a_parameter_of_a_function_inside_is_not_the_outer_ones():
    @gen
    def f():
        @gen
        def g():
            return param("a", 1.0)

        return g() @ "g"

    with pytest.raises(UnknownParameter, match="has no parameter 'a'"):
        get_param(f, "a")


def test_names_that_the_body_binds_itself_are_not_read_from_outside():
    @gen
    def f(positive):
        return normal(param("a", 1.0, constraint=positive), 1.0) @ "x"

    with pytest.raises(UnknownParameter, match="at its first run"):
        get_param(f, "a")
