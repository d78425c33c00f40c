"""Static functions whose programs numba compiles: the same laws.

The models of the table take a minute to compile, so this is run with the other oracles.
"""

import subprocess
import sys

import numpy as np
import pytest
from static_models_table import MODELS
from test_random_programs import compared
from test_static import assert_same, both, hits, move, parameters

from genparams import binomial, gen, normal, param, unit_interval

pytest.importorskip("numba")

WITHOUT = {"statistics"}
"""The model that sorts the entries of a parameter, for which numpy keeps the program."""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GENPARAMS_CACHE", str(tmp_path))


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@pytest.mark.filterwarnings("ignore:numpy runs what numba cannot compile")
def test_a_compiled_replay_gives_the_gradient_of_the_interpreter(model):
    static, trace, other = both(model, "numba")
    rng = np.random.default_rng(0)
    for _ in range(6):
        assert_same(parameters(other), parameters(trace))
        for store in {f.params for f, _ in trace.parameters}:
            move(store, rng)
    assert static.trace_gradients.programs.reason is None
    assert hits(static) >= 4
    kept = [k for some in static.trace_gradients.programs.by_key.values() for k in some]
    compiled = [hasattr(k.code, "loop") for k in kept]
    assert any(compiled) == (model.name not in WITHOUT)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:numpy runs what numba cannot compile")
def test_a_random_model_is_compiled_and_replayed_as_interpreted(seed):
    static = compared(seed, "numba")
    assert static.trace_gradients.programs.reason is None
    assert hits(static) >= 2


def test_another_process_finds_the_compiled_code(tmp_path):
    script = """
import numpy as np
from genparams import gen, normal, param
@gen(static=True, backend="numba")
def f(xs):
    return normal(param("a", 0.5) * xs, 1.0) @ "y"
trace, _ = f.generate((np.arange(3.0),), {"y": np.ones(3)})
for _ in range(3):
    g = trace.param_gradients()["f"]["a"]
print(g)
"""
    printed = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
        files = {path.name for path in tmp_path.rglob("*.nbi")}
        assert files
        printed.append(files)
    assert printed[0] == printed[2]
    assert printed[1] == printed[3]


def test_digits_that_rounding_lost_are_computed_as_by_the_interpreter():
    """The binomial of large counts needs the rounding error of a product."""
    n, k = 1_000_000_000_000, np.array([400_000_123_456, 399_999_000_001])

    def body(k):
        return binomial(n, param("p", 0.4000001, constraint=unit_interval), size=2) @ "k"

    plain = gen(body)
    trace, _ = plain.generate((k,), {"k": k})
    static = gen(static=True, backend="numba")(body).with_params(plain.params)
    other, _ = static.generate((k,), {"k": k})
    for p in (0.4000001, 0.40000011, 0.3999999, 0.4):
        plain.params["p"].set(p)
        other.accumulate_param_gradients()
        assert_same(parameters(other), parameters(trace))
    assert hits(static) >= 4
    (kept,) = [k for some in static.trace_gradients.programs.by_key.values() for k in some]
    assert hasattr(kept.code, "loop")


def test_the_low_half_of_the_digits_of_a_number_is_not_simplified_away():
    def body(xs):
        x = param("a", 0.3) * xs
        cut = (2.0**27 + 1.0) * x
        low = x - (cut - (cut - x))  # 0 for real numbers
        return normal(1e8 * low, 1.0) @ "y"

    plain = gen(body)
    trace, _ = plain.generate((np.linspace(0.1, 1.0, 9),), {"y": np.ones(9)})
    static = gen(static=True, backend="numba")(body).with_params(plain.params)
    other, _ = static.generate(trace.args, trace.choices)
    for a in (0.3, 0.31, 0.32):
        plain.params["a"].set(a)
        expected = plain.generate(trace.args, trace.choices)[0].log_prob
        assert other.accumulate_param_gradients()[0] == pytest.approx(expected, rel=1e-12)
