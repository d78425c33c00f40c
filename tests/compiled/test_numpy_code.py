"""Generated numpy code computes what was recorded, on other inputs too."""

import operator
from typing import Any

import numpy as np
import pytest
from scipy import special

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import Builder
from genparams.compiled.algebra.ir import Program, Recurrence, Statement
from genparams.compiled.algebra.simplify import straight
from genparams.compiled.writing.numpy_code import numpy_code
from genparams.program.recorded import DATA, PARAMETERS, PART, Recording, recordable

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

STAGES = {"x": DATA, "X": DATA, "flag": DATA, "a": PARAMETERS, "w": PARAMETERS, "v": PARAMETERS}


def inputs(n, seed):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.standard_normal(n),
        "X": rng.standard_normal((n, 3)),
        "flag": rng.random(n) < 0.5,
        "a": float(rng.random()) + 0.5,
        "w": rng.standard_normal(3),
        "v": rng.standard_normal(n),
    }


def recorded(f, values):
    """The results of a function of inputs, as a recording of them."""
    recording = Recording(10**5)
    with np.errstate(all="ignore"):
        made = f(**{k: recording.input(v, STAGES[k], k) for k, v in values.items()})
    return recording, made


def code_of(f, values):
    recording, results = recorded(f, values)
    return numpy_code(straight(recording, results))


def run(code, values) -> Any:
    """What the code computes from all inputs by name; None if a test has another answer."""
    by_stage = {s: [v for k, v in values.items() if STAGES[k] == s] for s in (DATA, PARAMETERS)}
    return stepped(code, by_stage[PARAMETERS], by_stage[DATA])


def stepped(code, theta, data=()) -> Any:
    with np.errstate(all="ignore"):
        bound = code.bind(*data)
        return None if bound is None else code.step(*theta, bound)


def assert_same(f, n=7, **given):
    """The code of f, recorded on some inputs, computes f on others."""
    code = code_of(f, {**inputs(n, 0), **given})
    for seed in (0, 1):
        values = {**inputs(n, seed), **given}
        with np.errstate(all="ignore"):
            expected = f(**values)
        found = run(code, values)
        assert found is not None
        for e, g in zip(expected, found, strict=True):
            assert np.shape(e) == np.shape(g)
            np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-9 * (1.0 + np.max(np.abs(e))))
            assert isinstance(g, np.ndarray if np.shape(e) else float)
    return code


# --- Random programs


UNARY = [
    np.negative, np.tanh, np.absolute, np.square, special.expit, special.log_expit, np.sign,
    lambda x: np.exp(-np.absolute(x)), lambda x: np.log(np.absolute(x) + 1.0), lambda x: x**3,
    lambda x: np.sqrt(np.absolute(x)), lambda x: x * -1.0, lambda x: 2.0 - x, lambda x: x / 4.0,
    lambda x: np.where(x > 0.1, x, 0.5 * x), lambda x: np.log1p(x * x),
    lambda x: 1.0 / (x * x + 1.0),
    lambda x: np.mean(x) + x, lambda x: x - np.max(x),
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, np.maximum, np.minimum,
    lambda x, y: x / (1.0 + y * y), lambda x, y: np.where(x < y, x, y - 1.0),
]  # fmt: skip


def reshaped(rng, x):
    """A rearrangement of a value, and sums over some of its axes."""
    rank = len(np.shape(x))
    kind = int(rng.integers(7))
    if kind == 0 or rank == 0:
        return np.sum(x)
    axis = int(rng.integers(rank))
    if kind == 1:
        return np.sum(x, axis=axis, keepdims=bool(rng.integers(2)))
    if kind == 2:
        return np.transpose(x)
    if kind == 3:
        return np.reshape(x, (1, *np.shape(x), 1))
    if kind == 4:
        return np.max(x, axis=axis)
    if kind == 5:
        return x[..., ::2] if rng.integers(2) else x[0]
    return np.stack([x, 2.0 * x], axis=0)


def random_program(seed):
    def f(x, X, flag, a, w, v):
        rng = np.random.default_rng(seed)
        pool = [x, X, 1.0 * flag, a, w, v, X @ w, 3.0, x * a, np.ones(np.shape(x))]
        for _ in range(14):
            kind = rng.random()
            one, two = (pool[i] for i in rng.integers(len(pool), size=2))
            if kind < 0.4:
                made = UNARY[rng.integers(len(UNARY))](one)
            elif kind < 0.75:
                try:
                    shape = np.broadcast_shapes(np.shape(one), np.shape(two))
                except ValueError:
                    continue
                if np.prod(shape) > 1e6:  # an outer product of long arrays
                    continue
                made = BINARY[rng.integers(len(BINARY))](one, two)
            elif len(np.shape(one)) < 3:
                made = reshaped(rng, one)
            else:
                continue
            pool.append(made)
        last = [x * a, *pool[10:]][-6:]
        total = sum(np.sum(np.tanh(p)) for p in last)
        return [total, *(1.0 * p for p in last), np.sum(last[-1] * last[-1]), pool[4] * 1.0]

    return f


@pytest.mark.parametrize("seed", range(150))
def test_a_random_program_equals_its_recording(seed):
    assert_same(random_program(seed))


@pytest.mark.parametrize("seed", range(60))
def test_a_random_program_over_long_arrays_equals_its_recording(seed):
    assert_same(random_program(1000 + seed), n=9001)


# --- Single features


def test_a_sum_of_squares_is_one_inner_product():
    code = assert_same(lambda x, a, **_: [np.sum((x * a - 1.0) ** 2 * (-0.5) / a)])
    assert code.text.count("np.dot") == 1
    assert "add.reduce" not in code.text


def test_expit_and_log_expit_of_one_argument_share_one_exponential():
    def f(x, a, **_):
        return [np.sum(special.log_expit(x * a)), np.sum(x * special.expit(-(x * a)))]

    assert assert_same(f).text.count("np.exp(") == 1


def test_what_depends_on_data_alone_is_computed_by_bind():
    code = assert_same(lambda x, a, **_: [np.sum(np.exp(x)) * a])
    assert "np.exp" in code.text.split("def step")[0]
    assert "np.exp" not in code.text.split("def step")[1]


def test_single_numbers_are_computed_by_math():
    code = assert_same(
        lambda a, **_: [np.exp(a) + np.log1p(a * a) / np.sqrt(a) + special.gammaln(a)]
    )
    assert "np." not in code.text


def test_matrix_products_over_long_arrays_run_by_blocks():
    def f(X, w, flag, **_):
        side = 2.0 * flag - 1.0
        return [np.sum(special.log_expit(side * (X @ w))), np.transpose(X) @ (side * (X @ w))]

    code = assert_same(f, n=20000)
    assert "in blocks:" in code.text


def test_thin_products_of_stacks_equal_matrix_products():
    def f(X, w, **_):
        stack = np.reshape(np.transpose(X * w), (3, 1, -1))
        return [stack @ np.swapaxes(stack, 1, 2)]

    for n in (7, 500, 9001):
        assert_same(f, n=n)


def test_a_normaliser_over_a_long_axis_needs_a_loop_before_the_next():
    def f(v, x, **_):
        shares = np.exp(v - np.max(v))
        shares = shares / np.sum(shares)
        return [np.sum(shares * x), shares]

    assert assert_same(f, n=9001).text.count("in blocks") >= 1


def test_indices_and_scatter_are_kept():
    places = np.array([0, 2, 2])

    def f(w, x, **_):
        return [np.sum(w[places]), scatter(w[places], (places,), (3,)), x[1:4] * w[1], w[None, :]]

    recording, results = recorded(lambda w, x, **_: f(w, x), inputs(7, 0))
    code = numpy_code(straight(recording, results))
    values = inputs(7, 1)
    for e, g in zip(f(**values), run(code, values), strict=True):
        np.testing.assert_allclose(g, e)


def test_linear_algebra_and_plain_functions_are_called():
    middle = recordable()(lambda x: float(np.median(x)))

    def f(w, a, **_):
        m = np.reshape(w, (3, 1)) * w + (1.0 + a) * np.eye(3)
        sign, log_det = np.linalg.slogdet(m)
        return [sign * log_det + middle(w), np.linalg.inv(m) @ w, np.linalg.solve(m, w)]

    assert "<lambda>" not in assert_same(f).text


def test_an_unusual_answer_of_a_test_ends_the_step():
    def f(a, x, **_):
        return [a * 2.0 if a > 1.0 else a] if x[0] < 100.0 else [x[0] * a]

    values = {**inputs(3, 0), "a": 2.0}
    code = code_of(f, values)
    assert run(code, values) == (4.0,)
    assert run(code, {**values, "a": 0.5}) is None
    assert run(code, {**values, "x": np.full(3, 200.0)}) is None


def test_the_truth_of_an_input_is_asked():
    def f(a, **_):
        return [a * 2.0 if a else np.exp(a)]

    values = {**inputs(3, 0), "a": 2.0}
    assert run(code_of(f, values), values) == (4.0,)
    assert run(code_of(f, values), {**values, "a": 0.0}) is None


def test_a_test_of_a_long_array_is_asked_in_blocks():
    def f(v, **_):
        return [np.sum(v * v)] if np.all(v < 50.0) else [np.sum(v)]

    values = inputs(9001, 0)
    code = code_of(f, values)
    assert run(code, values) is not None
    values["v"][-1] = 60.0
    assert run(code, values) is None


def test_an_index_is_a_test_of_a_whole_number():
    def f(a, x, **_):
        return [x[int(a)] * a]

    values = {**inputs(5, 0), "a": 2.25}
    code = code_of(f, values)
    assert run(code, values)[0] == values["x"][2] * 2.25
    assert run(code, {**values, "a": 3.25}) is None


def test_results_share_no_memory_with_buffers_inputs_or_each_other():
    def f(v, x, a, **_):
        return [a * 1.0, v * 1.0, x * 1.0, v * 2.0, v * 2.0, np.reshape(v * 2.0, (-1, 1))]

    for n in (5, 1000, 9001):
        values = inputs(n, 0)
        code = code_of(f, values)
        with np.errstate(all="ignore"):
            bound = code.bind(values["x"], values["X"], values["flag"])
            one = list(code.step(values["a"], values["w"], values["v"], bound) or ())
            kept = [np.copy(r) for r in one]
            code.step(values["a"], values["w"], values["v"] + 1.0, bound)
        arrays = [r for r in one if isinstance(r, np.ndarray)] + [values["v"], values["x"]]
        for i, r in enumerate(arrays):
            assert not any(np.shares_memory(r, s) for s in arrays[:i])
        for before, after in zip(kept, one, strict=True):
            np.testing.assert_array_equal(before, after)


def test_nan_and_infinity_stay_what_they_are():
    def f(x, a, v, **_):
        return [np.sum(x * a * 0.0), np.sum(v * x), np.sum(special.log_expit(x * a)), a * 0.0]

    values = inputs(4, 0)
    code = code_of(f, values)
    for bad in (np.nan, np.inf, -np.inf):
        given = {**values, "a": bad}
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(np.isfinite(run(code, given)), np.isfinite(f(**given)))


def test_many_data_inputs_are_taken_as_one_row():
    recording = Recording(10**5)
    ys = [recording.input(float(i), DATA, f"ys {i}") for i in range(50)]
    a = recording.input(0.5, PARAMETERS, "a")
    code = numpy_code(straight(recording, [np.sum((np.stack(ys) - a) ** 2), ys[3] * a]))
    given = np.arange(50.0) ** 0.5
    found = stepped(code, [0.25], given.tolist())
    np.testing.assert_allclose(found, [np.sum((given - 0.25) ** 2), given[3] * 0.25])
    assert "np.array(data[0:50])" in code.text


def test_names_are_identifiers_and_differ():
    recording = Recording(100)
    names = ["('ys', 1)", "for", "3", "v1", "np", "a", "a", ""]
    made = [recording.input(float(i), PARAMETERS, name) for i, name in enumerate(names)]
    total = made[0] * 1.0
    for x in made[1:]:
        total = total + x * x
    code = numpy_code(straight(recording, [total]))
    assert stepped(code, map(float, range(8))) == (float(sum(i * i for i in range(8))),)


# --- Recurrences


def test_a_recurrence_is_a_loop_over_lists():
    """m <- max(0.5 m' + 0.1 m'', rate y), where m' and m'' are the last two."""
    builder = Builder()
    ys = builder.input(DATA, (6,), float, "ys")
    rate = builder.input(PARAMETERS, (), float, "rate")
    body = (
        Statement(np.multiply, (("entry", 0), ("input", 1))),
        Statement(np.multiply, (("before", 4, 1), ("constant", 0.5))),
        Statement(np.multiply, (("before", 4, 2), ("constant", 0.1))),
        Statement(np.add, (("local", 1), ("local", 2))),
        Statement(np.maximum, (("local", 3), ("local", 0))),
    )
    loop = Recurrence(6, body, {4: (2, 1)}, (4, 0))
    node = builder.make(loop, (ys, rate, 0.25), (), (), None)
    states = builder.make(PART, (node, 0), (), (6,), float)
    moves = builder.make(PART, (node, 1), (), (6,), float)
    second = Recurrence(6, (Statement(np.add, (("entry", 0), ("before", 0, 1))),), {0: (1,)}, (0,))
    backwards = builder.make(operator.getitem, (states, slice(None, None, -1)))
    sums = builder.make(second, (backwards, 0.0), (), (), None)
    summed = builder.make(PART, (sums, 0), (), (6,), float)
    last = builder.make(operator.getitem, (summed, 5))
    results = [last, builder.make(np.sum, (builder.make(np.multiply, (moves, ys)),)), states]
    code = numpy_code(builder.program(results))
    y = np.arange(6.0)
    m, state = [0.25, 0.7], []
    for value in y:
        state.append(max(0.5 * m[-1] + 0.1 * m[-2], value * 0.7))
        m.append(state[-1])
    found = stepped(code, [0.7], [y])
    assert found[0] == pytest.approx(sum(state))
    assert found[1] == pytest.approx(np.sum(0.7 * y * y))
    np.testing.assert_allclose(found[2], state)
    assert ".tolist()" in code.text.split("def step")[0]


def test_a_program_of_constants_is_code_too():
    code = numpy_code(Program([], [], [], [1.5, np.zeros(3)]))
    found = stepped(code, [])
    assert found[0] == 1.5
    np.testing.assert_array_equal(found[1], np.zeros(3))
