"""Loops are found in recordings, and computed as what they were."""

import numpy as np
import pytest
from evaluation import evaluated, moved_inputs, recorded_again

from genparams import categorical, gen, normal, param, positive
from genparams.compiled.algebra.ir import Recurrence
from genparams.compiled.recording import Open, record_gradient
from genparams.compiled.rolling.roll import rolled

RNG = np.random.default_rng(3)
N = 120
XS = RNG.standard_normal(N).tolist()
GROUP = RNG.integers(0, 5, N).tolist()
ROWS = RNG.standard_normal((N, 3))


def recorded_model(body, args):
    found = record_gradient(gen(body).simulate(args, rng=0), Open.ALL)
    return found.recording, [found.log_prob, *found.grads]


def assert_same(recording, results):
    """The rolled program computes on other inputs what the recording computes; the program."""
    program = rolled(recording, results)
    for seed in range(2):
        inputs = moved_inputs(recording, seed)
        expected, passed = recorded_again(recording, results, inputs)
        found, also_passed = evaluated(program, recording, inputs)
        assert passed == also_passed
        if passed:
            for a, b in zip(expected, found, strict=True):
                assert np.shape(a) == np.shape(b)
                np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)
    return program


def line(xs):
    slope, start = param("slope", 0.5), param("start", 0.1)
    std = param("std", 1.0, constraint=positive)
    for i, x in enumerate(xs):
        normal(slope * x + start, std) @ ("y", i)


def kalman(n):
    a, q = param("a", 0.5), param("q", 0.3, constraint=positive)
    r = param("r", 0.5, constraint=positive)
    mean, variance = 0.0, 1.0
    for t in range(n):
        mean, variance = a * mean, a * a * variance + q
        total = variance + r
        y = normal(mean, np.sqrt(total)) @ ("y", t)
        gain = variance / total
        mean, variance = mean + gain * (y - mean), (1.0 - gain) * variance


def hidden_markov(n):
    means, logits = param("means", np.linspace(-2.0, 2.0, 4)), param("logits", np.eye(4))
    weights = np.exp(logits)
    transition = weights / np.sum(weights, axis=1, keepdims=True)
    ys = normal(np.zeros(n), 1.5) @ "ys"
    share, total = np.ones(4) / 4.0, 0.0
    for t in range(n):
        share = (share @ transition) * np.exp(-0.5 * (ys[t] - means) ** 2)
        mass = np.sum(share)
        share, total = share / mass, total + np.log(mass)
    normal(0.01 * total, 1.0) @ "end"


def two_lags(n):
    a, b = param("a", 0.5), param("b", -0.2)
    std = param("std", 1.0, constraint=positive)
    now, before = 0.0, 0.0
    for t in range(n):
        now, before = normal(a * now + b * before, std) @ ("y", t), now


def walks(lengths):
    for k, n in enumerate(lengths):
        drift, std = param(f"drift{k}", 0.1 * k), param("std", 1.0, constraint=positive)
        x = 0.0
        for t in range(n):
            x = normal(x + drift, std) @ ("x", k, t)


def nested(groups, n):
    mean, spread = param("mean", 0.1), param("spread", 0.7, constraint=positive)
    std = param("std", 1.2, constraint=positive)
    for g in range(groups):
        m = normal(mean, spread) @ ("m", g)
        for i in range(n):
            normal(m, std) @ ("y", g, i)


def by_index(group, xs):
    effect, slope = param("effect", np.linspace(-1.0, 1.0, 5)), param("slope", 0.3)
    std = param("std", 1.2, constraint=positive)
    for i, (g, x) in enumerate(zip(group, xs, strict=True)):
        normal(effect[g] + slope * x, std) @ ("y", i)


def alternating(n):
    a, b = param("a", 0.3), param("b", 0.5)
    std = param("std", 1.2, constraint=positive)
    for i in range(n):
        normal(a * i / n if i % 2 else np.exp(b), std) @ ("y", i)


def other_ends(n):
    a, std = param("a", 0.3), param("std", 1.2, constraint=positive)
    x = normal(a * a, 1.0) @ "first"
    for i in range(n):
        x = normal(x * a, std) @ ("y", i)
    normal(x * a * x, std * 2.0) @ "last"


def one_total(n, m):
    a, std = param("a", 0.3), param("std", 1.2, constraint=positive)
    total = 0.0
    for i in range(n):
        total = total + a * (normal(a, std) @ ("y", i))
    for i in range(m):
        z = normal(a * 2.0, std) @ ("z", i)
        total = total + z * z * std
    normal(0.01 * total, 1.0) @ "end"


def two_states(n):
    a, b = param("a", 0.3), param("b", 0.5)
    std = param("std", 1.2, constraint=positive)
    u, v = 0.1, 0.2
    for i in range(n):
        u, v = np.tanh(a * u + v), b * v + 0.1 * u
        normal(u + v, std) @ ("y", i)


def rows(table):
    weights, std = param("weights", np.zeros(3)), param("std", 1.2, constraint=positive)
    for i, row in enumerate(table):
        normal(row @ weights, std) @ ("y", i)


def running_total(n):
    a, std = param("a", 0.3), param("std", 1.2, constraint=positive)
    x = 0.0
    for i in range(n):
        x = x + a * (normal(0.0, 1.0) @ ("e", i))
        normal(x, std) @ ("y", i)


def labels(n):
    logits = param("logits", np.zeros(4))
    for i in range(n):
        categorical(logits=logits) @ ("c", i)


def lists_of_boxes(group):
    stds = [np.exp(s) for s in param("log_stds", np.linspace(0.0, 1.0, 5))]
    means = param("means", np.zeros(5))
    for i, g in enumerate(group):
        normal(means[g], stds[g]) @ ("y", i)


def tracking(n):
    turn = param("turn", np.array([[0.8, 0.1], [0.0, 0.7]]))
    q, r = param("q", 0.3, constraint=positive), param("r", 0.5, constraint=positive)
    mean, cov, seen = np.zeros(2), np.eye(2), np.array([1.0, 0.0])
    for t in range(n):
        mean, cov = turn @ mean, turn @ cov @ turn.T + q * np.eye(2)
        total = seen @ cov @ seen + r
        y = normal(seen @ mean, np.sqrt(total)) @ ("y", t)
        gain = cov @ seen / total
        mean, cov = mean + gain * (y - seen @ mean), cov - np.outer(gain, seen @ cov)


CASES = {
    "line": (line, (XS,), 35),
    "kalman": (kalman, (N,), 140),
    "hidden_markov": (hidden_markov, (N,), 150),
    "two_lags": (two_lags, (N,), 80),
    "walks": (walks, ([20, 60, 33],), 40),
    "nested": (nested, (12, 20), 60),
    "by_index": (by_index, (GROUP, XS), 40),
    "alternating": (alternating, (N,), 60),
    "other_ends": (other_ends, (N,), 70),
    "one_total": (one_total, (N, N // 2), 110),
    "two_states": (two_states, (N,), 130),
    "rows": (rows, (list(ROWS),), 30),
    "running_total": (running_total, (N,), 50),
    "labels": (labels, (N,), 35),
    "lists_of_boxes": (lists_of_boxes, (GROUP,), 90),
    "tracking": (tracking, (N,), 230),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rolled_model_computes_what_was_recorded_in_few_operations(name):
    body, args, most = CASES[name]
    program = assert_same(*recorded_model(body, args))
    assert len(program.nodes) <= most


def test_what_needs_no_earlier_value_is_not_sequential():
    for name in ("line", "two_lags", "walks", "by_index", "rows", "running_total"):
        body, args, _ = CASES[name]
        program = rolled(*recorded_model(body, args))
        assert not any(isinstance(n.op, Recurrence) for n in program.nodes), name


def test_a_recurrence_keeps_only_what_crosses_from_one_iteration_to_the_next():
    program = rolled(*recorded_model(kalman, (N,)))
    kept = [len(n.op.kept) for n in program.nodes if isinstance(n.op, Recurrence)]
    assert kept
    assert max(kept) <= 2
