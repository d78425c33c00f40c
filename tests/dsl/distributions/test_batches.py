"""Hessians and Jacobians of every distribution in one pass: those of one pass for each row."""

import numpy as np
import pytest
import test_composite
import test_limits
import test_table

from genparams import (
    categorical,
    censored,
    custom_gradient,
    custom_random,
    distribution,
    laplace,
    mixture,
    mvnormal,
    normal,
    truncated,
)
from genparams.autodiff import Box, Tape, columns, operand, rows

BATCH = (3, 2)


def one_pass_each(tape, outputs, sources):
    """`rows` by one pass for each entry of the outputs."""
    found = []
    for y in outputs:
        size = int(np.prod(np.shape(y), dtype=int))
        for unit in np.eye(size):
            g = [None] * len(sources)
            if type(y) is Box and y.tape is tape:
                seed = unit.reshape(y.shape) if y.shape else 1.0
                g = tape.gradients([(y, seed)], sources)
            dense = [np.zeros(s.shape) if v is None else v for v, s in zip(g, sources, strict=True)]
            found.append(np.concatenate([np.ravel(v) for v in dense]))
    return np.stack(found)


def assert_same(found, wanted):
    assert np.all(np.isfinite(wanted))
    scale = 1.0 + np.max(np.abs(wanted), initial=0.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12 * scale)


def check_hessian(f, values):
    """Of a function of several values."""
    with Tape() as outer:
        points = [outer.leaf(v) for v in values]
        with Tape() as inner:
            leaves = [inner.leaf(point) for point in points]
            result = f(*leaves)
            gradients = inner.gradients([(result, 1.0)], leaves)
        gradients = [g for g in gradients if g is not None]
        wanted = one_pass_each(outer, gradients, points)
        assert_same(rows(outer, gradients, points), wanted)
        assert_same(stacked(columns(outer, gradients, points)), wanted)


def check_jacobian(f, values):
    with Tape() as tape:
        leaves = [tape.leaf(v) for v in values]
        outputs = [f(*leaves)]
        wanted = one_pass_each(tape, outputs, leaves)
        assert_same(rows(tape, outputs, leaves), wanted)
        assert_same(stacked(columns(tape, outputs, leaves)), wanted)


def stacked(parts):
    return np.concatenate([np.reshape(part, (len(part), -1)) for part in parts], axis=1).T


def check_call(make, args, x, free, value_moves):
    """The second derivatives of the log density of `make(*args)`, and the first of each entry's,
    by the arguments at the places `free`, and by the value if it moves.
    """
    places = [*free, *([len(args)] if value_moves else [])]
    given = [*args, x]
    if not places:
        return

    def of(name):
        def f(*values):
            now = dict(zip(places, values, strict=True))
            *own, at = (now.get(i, v) for i, v in enumerate(given))
            call = make(*own)
            return getattr(call.fn, name)(at, [operand(a) for a in call.args])

        return f

    values = [operand(given[i]) for i in places]
    check_hessian(of("log_prob_of"), values)
    check_jacobian(of("log_probs_of"), values)


@pytest.mark.parametrize("shape", [(), BATCH], ids=["one", "array"])
@pytest.mark.parametrize("row", test_table.ROWS, ids=lambda row: row.name)
def test_every_distribution_has_the_derivatives_of_one_pass_for_each_row(row, shape):
    args = row.settings(3, shape)
    x = row.values(3, args, shape)
    traced = [i for i, a in enumerate(row.arguments) if a.move is not None]
    check_call(row.call, args, x, traced, row.move is not None)


@pytest.mark.parametrize("row", test_table.ROWS, ids=lambda row: row.name)
def test_arguments_that_broadcast_have_the_derivatives_of_one_pass_for_each_row(row):
    args = row.mixed_settings(2)
    x = row.values(2, args, BATCH)
    traced = [i for i, a in enumerate(row.arguments) if a.move is not None]
    check_call(row.call, args, x, traced, row.move is not None)


@pytest.mark.parametrize("row", test_composite.ROWS, ids=lambda row: row.name)
def test_distributions_of_others_have_the_derivatives_of_one_pass_for_each_row(row):
    free = [i for i in range(len(row.args)) if i not in row.fixed]
    check_call(row.call, row.args, row.values, free, row.by_value)


@pytest.mark.parametrize("of", [truncated, censored], ids=lambda of: of.__name__)
@pytest.mark.parametrize("row", test_limits.ROWS, ids=lambda row: row.name)
def test_distributions_with_limits_have_the_derivatives_of_one_pass_for_each_row(row, of):
    free = [i for i in range(len(row.args)) if i not in row.fixed]
    low, high = row.limits[0]
    x = of(row.call(*row.args), low, high, size=4)
    value = x.fn.sample(*x.args, size=4, rng=1)
    check_call(lambda *args: of(row.call(*args), low, high), row.args, value, free, False)


MIXTURES = {
    "one call": lambda w, mu, s: mixture(w, normal(mu, s)),
    "calls": lambda w, mu, s: mixture(w, [normal(mu[0], s), laplace(mu[1], s)]),
    "vectors": lambda w, mu, s: mixture(w, mvnormal(np.stack([mu, -mu]), np.eye(2) * s)),
    "of categories": lambda w, mu, s: mixture(w, [categorical(w), categorical(logits=mu * s)]),
}


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("many", [False, True], ids=["one", "array"])
def test_mixtures_have_the_derivatives_of_one_pass_for_each_row(name, many):
    args = (np.array([0.3, 0.7]), np.array([0.4, -1.2]), 1.3)
    x = {"vectors": np.array([0.2, 0.9]), "of categories": 1}.get(name, 0.7)
    x = np.stack([x, x, 0 * x]) if many else x
    check_call(MIXTURES[name], args, x, [0, 1, 2], False)


# --- Gradients by hand


def picky(inputs, r, g):
    """A gradient that only works with one number or array."""
    out = np.zeros(3)
    for i in range(3):
        out[i] = float(g[i]) * (2.0 if inputs[0][i] > 0.0 else 3.0)
    return (out,)


def test_a_gradient_by_hand_is_given_one_cotangent_at_a_time():
    f = custom_gradient(lambda x: np.where(x > 0.0, 2.0, 3.0) * x, picky)
    with Tape() as tape:
        x = tape.leaf(np.array([1.0, -1.0, 2.0]))
        found = rows(tape, [f.body(x) * np.arange(3.0)], [x])
    np.testing.assert_array_equal(found, np.diag([0.0, 3.0, 4.0]))


def test_a_gradient_by_hand_may_give_none():
    f = custom_gradient(lambda x, k: k * x, lambda inputs, r, g: (inputs[1] * g, None))
    with Tape() as tape:
        x, k = tape.leaf(np.array([1.0, -1.0])), tape.leaf(3.0)
        found = rows(tape, [f.body(x, k)], [x, k])
    np.testing.assert_array_equal(found, [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])


OWN = {
    "by tape": distribution(
        lambda rng, mu, s, size: rng.normal(mu, s, size),
        lambda x, mu, s: -0.5 * ((x - mu) / s) ** 2 - np.log(s),
        name="by_tape",
    ),
    "by hand": distribution(
        lambda rng, mu, s, size: rng.normal(mu, s, size),
        lambda x, mu, s: -0.5 * ((x - mu) / s) ** 2 - np.log(s),
        lambda x, mu, s: (
            (mu - x) / s**2,
            (x - mu) / s**2,
            lambda: (x - mu) ** 2 / s**3 - 1.0 / s,
        ),
        name="by_hand",
    ),
}


@pytest.mark.parametrize("f", [pytest.param(f, id=name) for name, f in OWN.items()])
@pytest.mark.parametrize("x", [0.7, np.array([0.7, -0.2, 1.1])], ids=["one", "array"])
def test_own_distributions_have_the_derivatives_of_one_pass_for_each_row(f, x):
    check_call(f, (0.3, 1.2), x, [0, 1], True)


def test_a_random_function_by_hand_has_the_derivatives_of_one_pass_for_each_row():
    def log_prob(x, mu):
        return -0.5 * np.sum((x - mu) ** 2)

    f = custom_random(None, log_prob, lambda x, mu: (mu - x, x - mu))

    def of(mu):
        return f.log_prob_of(np.array([1.0, 2.0]), [mu])

    check_hessian(of, [np.array([0.5, 0.1])])
    check_jacobian(of, [np.array([0.5, 0.1])])
