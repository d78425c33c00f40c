"""A call that a body makes and never runs is an error of every run."""

import linecache

import numpy as np
import pytest

from genparams import gen, mixture, normal, truncated
from genparams.errors import UnaddressedChoice


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
    found = {"normal": normal}
    exec("def f(x):\n    normal(x, 1.0)\n    return normal(x, 1.0) @ 'x'", found)
    f = gen(found["f"])
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


def test_a_call_that_is_named_and_run_in_one_expression_is_run():
    def body(x):
        return (y := normal(x, 1.0)) @ "y"  # noqa: F841

    assert isinstance(gen(body).simulate((0.0,))["y"], float)


class Lazy:
    @property
    def client(self):
        raise RuntimeError("no property is read to look at a body")


lazy = Lazy()


def test_looking_at_a_body_runs_no_property():
    @gen
    def careful(verbose):
        if verbose:
            lazy.client.send()
        return normal(0.0, 1.0) @ "y"

    careful.simulate((False,))


def test_helpers_that_call_helpers_are_looked_at_once():
    text = ["def h0(): return 1.0"]
    text += [f"def h{i}(): return h{i - 1}() + h{i - 1}()" for i in range(1, 40)]
    text += ["def body(deep):", "    if deep: h39()", "    return normal(0.0, 1.0) @ 'y'"]
    name = "many_helpers"
    code = "\n".join(text)
    linecache.cache[name] = len(code), None, code.splitlines(keepends=True), name
    space = {"normal": normal, "__name__": __name__}
    exec(compile(code, name, "exec"), space)
    gen(space["body"]).simulate((False,))  # as slow as 2 ** 40 look-ups otherwise
