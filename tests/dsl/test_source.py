"""What a body says before it runs: constraints that stay, parameters declared, calls never run."""

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
    mixture,
    normal,
    param,
    positive,
    real,
    save_checkpoint,
    set_param,
    truncated,
    unit_interval,
)
from genparams.errors import ConstraintError, UnaddressedChoice, UnknownParameter


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


# --- Calls that were never run


def helper(x):
    normal(x, 1.0)


def maker(x):
    return normal(x, 1.0)


def as_a_statement(x):
    normal(x, 1.0)
    return normal(x, 1.0) @ "x"


def assigned_and_never_read(x):
    _ = normal(x, 1.0)
    return normal(x, 1.0) @ "x"


def assigned_to_two_names(x):
    y, z = normal(x, 1.0), normal(x, 2.0)  # noqa: F841
    return y @ "x"


def in_a_comprehension(x):
    [normal(x, 1.0) for _ in range(3)]
    return normal(x, 1.0) @ "x"


def in_a_comprehension_never_read(x):
    ys = [normal(x, 1.0) for _ in range(3)]  # noqa: F841
    return normal(x, 1.0) @ "x"


def in_a_condition(x):
    normal(x, 1.0) if x > 0 else None
    return normal(x, 1.0) @ "x"


def in_a_loop(x):
    for _ in range(3):
        normal(x, 1.0)
    return x


def in_a_helper(x):
    helper(x)
    return normal(x, 1.0) @ "x"


def made_by_a_helper(x):
    maker(x)
    return normal(x, 1.0) @ "x"


def a_mixture(x):
    mixture([0.5, 0.5], [normal(x, 1.0), normal(-x, 1.0)])
    return normal(x, 1.0) @ "x"


def a_mixture_never_read(x):
    noise = truncated(normal(x, 1.0), low=0.0)  # noqa: F841
    return normal(x, 1.0) @ "x"


def after_another_choice(x):
    normal(x, 1.0) @ "x"
    return normal(x, 1.0), 1.0


DROPPED = [
    as_a_statement,
    assigned_and_never_read,
    assigned_to_two_names,
    in_a_comprehension,
    in_a_comprehension_never_read,
    in_a_condition,
    in_a_loop,
    in_a_helper,
    made_by_a_helper,
    a_mixture,
    a_mixture_never_read,
    after_another_choice,
]


@pytest.mark.parametrize("body", DROPPED)
def test_a_call_that_is_never_run_is_an_error_of_every_run(body):
    f = gen(body)
    for run in (lambda: f.simulate((1.0,)), lambda: f.generate((1.0,), {"x": 0.5})):
        with pytest.raises(UnaddressedChoice, match='@ "name"'):
            run()

    @gen
    def around():
        return f(1.0) @ "f"

    with pytest.raises(UnaddressedChoice, match='@ "name"'):
        around.simulate()


def test_where_there_is_no_source_a_call_that_is_never_run_is_no_error():
    f = without_source("def f(x):\n    normal(x, 1.0)\n    return normal(x, 1.0) @ 'x'")
    assert list(f.simulate((1.0,)).choices) == [("x",)]


def picked(x):
    return {"narrow": normal(x, 1.0), "wide": normal(x, 9.0)}["wide" if x > 0 else "narrow"] @ "x"


def picked_from_a_name(x):
    calls = [normal(x, 1.0), normal(x, 9.0)]
    return calls[int(x > 0)] @ "x"


def run_under_a_condition(x):
    noise = normal(x, 1.0)
    return noise @ "x" if x > 0 else x


def replaced(x):
    noise = normal(x, 1.0)
    if x > 0:
        noise = normal(x, 9.0)
    return noise @ "x"


def run_twice(x):
    noise = normal(x, 1.0)
    return noise @ "x" + noise @ "y"


def left_early(x):
    for call in [normal(x, 1.0), normal(x, 2.0)]:
        return call @ "x"


def broken_off(x):
    for call in [normal(x, 1.0), normal(x, 2.0)]:
        y = call @ "x"
        if y < np.inf:
            break
    return y


def of_a_mixture(x):
    parts = [normal(x, 1.0), normal(-x, 1.0)]
    return mixture([0.5, 0.5], parts) @ "x"


def log_probs_outside(x):
    normal.log_prob(x, 0.0, 1.0)
    return normal(x, 1.0) @ "x"


USED = [
    picked,
    picked_from_a_name,
    run_under_a_condition,
    replaced,
    run_twice,
    left_early,
    broken_off,
    of_a_mixture,
    log_probs_outside,
]


@pytest.mark.parametrize("body", USED)
@pytest.mark.parametrize("x", [-1.0, 1.0])
def test_a_call_that_the_model_does_not_take_is_no_mistake(body, x):
    gen(body).simulate((x,)).accumulate_param_gradients()
