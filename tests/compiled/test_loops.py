"""The parts of rolling: stretches, components, operations on rows, random loops."""

import operator
from typing import Any

import numpy as np
import pytest
from evaluation import evaluated, moved_inputs, recorded_again

from genparams.autodiff import Box, Tape, scatter
from genparams.compiled.algebra.builder import Builder, shape_of
from genparams.compiled.algebra.ir import Program, Recurrence
from genparams.compiled.algebra.simplify import straight
from genparams.compiled.rolling.batch import Batch
from genparams.compiled.rolling.distribute import components
from genparams.compiled.rolling.periods import Stretch, stretches
from genparams.compiled.rolling.roll import rolled
from genparams.compiled.rolling.stream import CannotRoll, Rows
from genparams.program.recorded import DATA, PARAMETERS, Recording, as_type, recordable

# --- Stretches and components


def test_a_stretch_has_its_shortest_period():
    codes = np.array([9, 8, *[1, 2, 3] * 10, 7, *[4] * 12, 5])
    assert stretches(codes) == [Stretch(2, 3, 30), Stretch(33, 1, 12)]


def test_a_loop_in_a_loop_is_the_inner_one():
    codes = np.array([7, *[1, 2] * 20] * 9)
    found = stretches(codes)
    assert {s.period for s in found} == {2}
    assert len(found) == 9


def test_what_does_not_repeat_has_no_stretch():
    assert stretches(np.arange(50)) == []
    assert stretches(np.array([], int)) == []


def test_components_come_after_those_that_they_need():
    needs = [[3], [0, 1], [1, 0], [4], [3]]
    assert components(needs) == [[3, 4], [0], [1], [2]]


def test_a_long_chain_needs_no_deep_stack():
    n = 20_000
    assert len(components([[k + 1] for k in range(n - 1)] + [[]])) == n


# --- Operations on all iterations at once

COUNT = 5
RNG = np.random.default_rng(11)


def of(*shape):
    return RNG.standard_normal((COUNT, *shape))


MATRICES = np.eye(3) * 4.0 + 0.1 * of(3, 3)
INDICES = np.array([2, 0, 1, 1, 2])

FORMS = [
    (np.add, (Rows(of(3)), Rows(of()))),
    (np.multiply, (Rows(of(2, 3)), Rows(of(3)))),
    (np.where, (Rows(of(3) > 0.0), 0.5, Rows(of()))),
    (np.clip, (Rows(of(3)), -0.5, 0.5)),
    (np.sum, (Rows(of(2, 3)), 0)),
    (np.max, (Rows(of(3)),)),
    (np.reshape, (Rows(of(2, 3)), (3, 2))),
    (np.ravel, (Rows(of(2, 3)),)),
    (np.transpose, (Rows(of(2, 3)),)),
    (np.transpose, (Rows(of(2, 3, 4)), (1, 2, 0))),
    (np.swapaxes, (Rows(of(2, 3)), 0, -1)),
    (np.broadcast_to, (Rows(of(3)), (2, 3))),
    (np.stack, ((Rows(of(3)), np.arange(3.0)),)),
    (np.concatenate, ((Rows(of(2, 3)), np.ones((1, 3))),)),
    (np.array, ((Rows(of()), 1.0, Rows(of())),)),
    (np.matmul, (Rows(of(3)), Rows(of(3)))),
    (np.matmul, (Rows(of(3)), np.arange(3.0))),
    (np.matmul, (np.arange(3.0), Rows(of(3)))),
    (np.matmul, (Rows(of(2, 3)), np.arange(3.0))),
    (np.matmul, (np.ones((2, 3)), Rows(of(3)))),
    (np.matmul, (Rows(of(2, 3)), Rows(of(3)))),
    (np.matmul, (Rows(of(2)), Rows(of(2, 3)))),
    (np.matmul, (np.ones(2), Rows(of(2, 3)))),
    (np.matmul, (Rows(of(2, 3)), Rows(of(3, 4)))),
    (np.matmul, (Rows(of(2, 3)), np.ones((3, 4)))),
    (np.dot, (Rows(of(3)), 2.0)),
    (np.outer, (Rows(of(2)), Rows(of(3)))),
    (np.outer, (np.ones(2), Rows(of(3)))),
    (np.linalg.inv, (Rows(MATRICES),)),
    (np.linalg.cholesky, (Rows(MATRICES @ np.swapaxes(MATRICES, 1, 2)),)),
    (operator.getitem, (Rows(of(3, 2)), (1, slice(None)))),
    (operator.getitem, (Rows(of(3, 2)), np.array([2, 0]))),
    (operator.getitem, (Rows(of(3, 2)), (slice(None), None, np.array([1, 0])))),
    (operator.getitem, (np.arange(6.0).reshape(3, 2), Rows(INDICES))),
    (operator.getitem, (np.arange(6.0).reshape(3, 2), (Rows(INDICES), 1))),
    (operator.getitem, (np.arange(8.0), Rows(np.add.outer(INDICES, np.arange(3))))),
    (operator.getitem, (Rows(of(3, 2)), Rows(INDICES))),
    (scatter, (Rows(of()), Rows(INDICES), (3,))),
    (scatter, (Rows(of(2)), (slice(0, 2),), (3,))),
    (scatter, (Rows(of(3)), Rows(np.add.outer(INDICES, np.arange(3))), (8,))),
    (as_type, (Rows(of(3) > 0.0), np.dtype(float))),
]


def in_iteration(a, t):
    if isinstance(a, Rows):
        return a.value[t].item() if a.value.ndim == 1 else a.value[t]
    return tuple(in_iteration(x, t) for x in a) if type(a) is tuple else a


def as_nodes(builder, a, inputs) -> Any:
    """Rows of floats and truth values as inputs of a program."""
    if isinstance(a, Rows) and a.value.dtype.kind != "i":
        node = builder.input(PARAMETERS, a.value.shape, a.value.dtype, "a")
        inputs[node] = a.value
        return Rows(node)
    return tuple(as_nodes(builder, x, inputs) for x in a) if type(a) is tuple else a


@pytest.mark.parametrize("row", range(len(FORMS)))
def test_an_operation_on_rows_gives_the_rows_of_the_operation(row):
    op, args = FORMS[row]
    each = [np.asarray(op(*in_iteration(args, t))) for t in range(COUNT)]
    builder, inputs = Builder(), {}
    given = as_nodes(builder, args, inputs)
    shape, dtype = each[0].shape, each[0].dtype
    made = Batch(builder, COUNT, shape, dtype).make(op, given, ()).value
    assert shape_of(made) == (COUNT, *shape)
    recording = Recording(100)
    for value in inputs.values():
        recording.input(value, PARAMETERS, "a")
    program: Program = builder.program([made])
    (found,), _ = evaluated(program, recording, list(inputs.values()))
    np.testing.assert_allclose(found, each, rtol=1e-12)


def test_what_is_not_known_for_rows_is_refused():
    batch = Batch(Builder(), COUNT, (3,), np.dtype(float))
    with pytest.raises(CannotRoll, match="cumsum"):
        batch.make(np.cumsum, (Rows(of(3)),), ())


# --- Loops by hand


def recorded(f):
    """A function of a number, of eight and of forty data, recorded."""
    recording = Recording(10**5)
    theta = recording.input(0.3, PARAMETERS, "theta")
    table = recording.input(RNG.standard_normal(8), PARAMETERS, "table")
    xs = [recording.input(float(x), DATA, "x") for x in RNG.standard_normal(40)]
    return recording, f(theta, table, xs)


def assert_same(recording, results):
    program = rolled(recording, results)
    for seed in range(2):
        inputs = moved_inputs(recording, seed)
        expected, passed = recorded_again(recording, results, inputs)
        found, also_passed = evaluated(program, recording, inputs)
        assert passed == also_passed
        for a, b in zip(expected, found, strict=True) if passed else ():
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)
    return program


def test_a_loop_with_an_unknown_operation_stays_as_it_is():
    doubled = recordable()(lambda x: 2.0 * x)

    def f(theta, table, xs):
        return [np.sin(doubled(x * theta)) for x in xs]

    recording, results = recorded(f)
    program = assert_same(recording, results)
    assert len(program.nodes) == len(straight(recording, results).nodes)


def test_one_iteration_that_differs_parts_a_loop():
    def f(theta, table, xs):
        values = [np.sin(x * theta) for x in xs]
        values[20] = np.cos(xs[20] * theta) + table[3]
        return [np.max(np.stack([v * v for v in values]))]

    assert len(assert_same(*recorded(f)).nodes) < 30


def test_tests_with_several_answers_are_one_test_each():
    def f(theta, table, xs):
        total = 0.0
        for x in xs:
            if x * theta > 0.0:
                total = total + x
            total = total + np.exp(x) * theta
        for x in xs:
            total = total + table[int(x * 0.0) + 2]
        return [total]

    recording, results = recorded(f)
    assert len(assert_same(recording, results).tests) <= 3
    assert len(recording.tests) > 40


def test_values_of_all_iterations_may_be_results():
    def f(theta, table, xs):
        out, state = [], theta
        for x in xs:
            state = np.tanh(state * 0.5 + x)
            out.append(state)
        return out

    program = assert_same(*recorded(f))
    (recurrence,) = [n.op for n in program.nodes if isinstance(n.op, Recurrence)]
    assert (recurrence.length, len(recurrence.body)) == (40, 3)


def test_a_running_sum_is_no_recurrence():
    def f(theta, table, xs):
        total, out = theta, 0.0
        for x in xs:
            total = total + x * theta
            out = out + np.sin(total)
        return [out]

    program = assert_same(*recorded(f))
    assert np.cumsum in {n.op for n in program.nodes}


# --- Random loops

UNARY = [np.sin, np.tanh, np.cos, lambda x: -x, lambda x: 0.5 * x, lambda x: np.exp(0.1 * x),
         lambda x: 1.0 / (1.0 + x * x), lambda x: np.sqrt(1.0 + x * x)]  # fmt: skip
BINARY = [operator.add, operator.sub, lambda a, b: 0.3 * a * b, lambda a, b: a / (2.0 + b * b),
          np.maximum]  # fmt: skip


def random_loop(rng):
    """A function of parameters and data with a loop: states, totals, branches, indices."""
    count, states = int(rng.integers(9, 60)), int(rng.integers(0, 3))
    width, lag = int(rng.choice([0, 0, 0, 2, 3])), int(rng.integers(1, 3))
    steps = [
        (int(rng.integers(2)), int(rng.integers(40)), *map(int, rng.integers(0, 99, 2)))
        for _ in range(rng.integers(2, 9))
    ]
    branch, special = int(rng.choice([0, 0, 2, 3])), int(rng.choice([-1, 0, count - 1, count // 2]))
    constants, places = rng.standard_normal(count), rng.integers(0, 4, count)
    has_second = bool(rng.integers(2))

    def body(t, total, factor, theta, table, xs, before):
        pool = [*theta, xs[t], constants[t], table[places[t]], factor]
        pool += [s[-lag] for s in before] + [s[-1] for s in before]
        for is_binary, which, i, j in steps:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            pool.append(BINARY[which % 5](a, b) if is_binary else UNARY[which % 8](a))
        out = pool[-1]
        if branch and t % branch == 0:
            out = out * theta[0]
        if t == special:
            out = out + np.sin(theta[0])
        for k, s in enumerate(before):
            s.append(
                0.5 * np.tanh(pool[-1 - k % 2] + 0.2 * s[-lag])
                + (np.zeros(width) if width else 0.0)
            )
        value = np.sum(out) if getattr(out, "shape", ()) else out
        return total - 0.5 * value * value

    def run(theta, table, xs):
        start = np.zeros(width) if width else 0.0
        before = [[0.1 * (k + 1) + start] * lag for k in range(states)]
        total = 0.0
        for t in range(count):
            total = body(t, total, 1.0, theta, table, xs, before)
        for t in range(count - 3 if has_second else 0):
            total = body(t, total, 0.5, theta, table, xs, before)
        return total

    return count, run


@pytest.mark.parametrize("seed", range(60))
def test_random_loops_and_their_gradients_are_rolled_right(seed):
    rng = np.random.default_rng(seed)
    count, run = random_loop(rng)
    recording, tape = Recording(10**6), Tape()
    theta = [tape.leaf(recording.input(float(rng.standard_normal()), PARAMETERS, "theta"))
             for _ in range(2)]  # fmt: skip
    table = tape.leaf(recording.input(rng.standard_normal(4), PARAMETERS, "table"))
    xs = [recording.input(float(x), DATA, "x") for x in rng.standard_normal(count)]
    with np.errstate(all="ignore"):
        total = run(theta, table, xs)
        if type(total) is not Box:
            return
        found = tape.gradients([(total, 1.0)], [*theta, table])
    results = [total.value, *(0.0 if g is None else g for g in found)]
    assert_same(recording, results)
