"""Static functions: a replay gives what the interpreter gives."""

import warnings
from typing import Any

import numpy as np
import pytest
from static_models_table import MODELS

from genparams import gen

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)


def both(model, backend="numpy"):
    """The same function twice over one store, static and not, and a trace of each."""
    plain = gen(arg_grads=model.arg_grads)(model.body)
    static = gen(arg_grads=model.arg_grads, static=True, backend=backend)(model.body)
    trace, _ = plain.generate(model.args, model.data)
    static = static.with_params(plain.params)
    other, _ = static.generate(model.args, model.data)
    return static, trace, other


def move(store, rng):
    """Move every parameter a little in its coordinates."""
    for p in store.values():
        p.set(p.constraint.natural(p.coordinates + 0.03 * rng.standard_normal(p.shape or None)))


def hits(static):
    """How many gradients were replayed."""
    programs = static.trace_gradients.programs.by_key.values()
    return sum(kept.hits for some in programs for kept in some)


def assert_same(found: Any, expected: Any) -> None:
    """Nested dictionaries and tuples of gradients that agree to rounding."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        found, expected = found.values(), expected.values()
    if isinstance(expected, (tuple, list)) or not hasattr(expected, "__float__"):
        for a, b in zip(found, expected or (), strict=True):
            assert_same(a, b)
    elif expected is not None:
        scale = 1.0 + np.max(np.abs(expected), initial=0.0)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * scale)


def parameters(trace):
    """The gradients of a trace by parameters, whatever the function's store is called."""
    return [list(of.values()) for of in trace.param_gradients().values()]


@each_model
def test_a_replay_gives_the_gradient_of_the_interpreter(model):
    static, trace, other = both(model)
    rng = np.random.default_rng(0)
    for _ in range(8):
        assert_same(parameters(other), parameters(trace))
        for store in {f.params for f, _ in trace.parameters}:
            move(store, rng)
    assert static.trace_gradients.programs.reason is None
    assert hits(static) >= 5


if __name__ == "__main__":
    import sys
    import traceback

    from static_models_table import MODELS as ALL

    warnings.simplefilter("error")
    for one in ALL:
        if len(sys.argv) > 1 and sys.argv[1] not in one.name:
            continue
        try:
            test_a_replay_gives_the_gradient_of_the_interpreter(one)
            print("ok", one.name)
        except Exception as error:
            print("FAIL", one.name, type(error).__name__, str(error)[:300])
            if len(sys.argv) > 1:
                traceback.print_exc()
