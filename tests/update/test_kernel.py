"""Formulas written out as code: over floats, over arrays in place, and fused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from genparams import ADAM, chain, elementwise, scale, scale_by_adam
from genparams.errors import UpdateError
from genparams.program.record import record
from genparams.update.formula import Elementwise
from genparams.update.kernel import kernel


def pieces(rule):
    return tuple(piece for _, piece in rule.pieces(None))


def negated(formulas):
    return (Elementwise(lambda g, theta: -g), *formulas)


def over_floats(formulas, g, theta, fields, constants=(), minimize=False):
    code = kernel(negated(formulas) if minimize else formulas)
    (moved,), (after,) = code.over_floats([theta], [g], [fields], constants)
    return moved, after


def over_arrays(formulas, g, theta, fields, constants=(), minimize=False):
    code = kernel(negated(formulas) if minimize else formulas)
    f, scratch = code.over_arrays
    inputs = [theta, g, *fields]
    before = [a.copy() for a in inputs]
    new = [np.full_like(theta, np.nan) for _ in [theta, *fields]]
    space = [np.empty_like(theta) for _ in range(scratch)]
    with np.errstate(all="ignore"):
        f(*inputs, *new, *space, *code.folded(*constants))
    np.testing.assert_array_equal(inputs, before)  # inputs are read only
    return new[0], new[1:]


FORMULAS = {
    "nothing": (lambda g, theta: g, ()),
    "a constant factor": (lambda g, theta: 3.0 * g * 0.5, ()),
    "the coordinate twice": (lambda g, theta: g - 0.1 * theta - theta / 3.0, ()),
    "momentum": (lambda g, theta, m: (0.9 * m + g, 0.9 * m + g), ("m",)),
    "the field is the direction": (lambda g, theta, m: (m + g, m + g), ("m",)),
    "the direction is the old field": (lambda g, theta, m: (m, g), ("m",)),
    "fields change places": (lambda g, theta, a, b: (a + b, b, a), ("a", "b")),
    "fields move along": (lambda g, theta, a, b, c: (c, g, a, b), ("a", "b", "c")),
    "an old field late": (lambda g, theta, m: (np.sqrt(m * m + 1.0) * (m - g), m + g), ("m",)),
    "two of one": (lambda g, theta, a, b: (g, a + g, a + g), ("a", "b")),
    "a field forgotten": (lambda g, theta, m: (g + m, 0.0), ("m",)),
    "powers": (lambda g, theta, v: (g / (v**2 + 1.0), abs(v) ** 0.5), ("v",)),
    "where": (lambda g, theta, v: (np.where(g > v, g, -v), np.where(v <= 0.0, g, v)), ("v",)),
    "bounds": (lambda g, theta: np.minimum(np.maximum(g, -0.5), 0.5), ()),
    "signs": (lambda g, theta, v: (np.sign(g) * np.exp(-abs(v)), np.tanh(v - g)), ("v",)),
    "the coordinate is kept": (lambda g, theta, p: (0.1 * g + 0.9 * (theta - p), theta), ("p",)),
    "the coordinate and a field": (lambda g, theta, p, q: (g + p - q, theta, p), ("p", "q")),
    "no number divided by": (lambda g, theta: np.minimum(1.0 / np.abs(g), 5.0), ()),
    "a root of what is below 0": (lambda g, theta: np.where(g > 0.0, np.sqrt(abs(g)), 0.0), ()),
    "tests joined": (lambda g, theta: np.where((g > 0.0) & ~(theta == 1.0), g, -theta), ()),
    "tests of tests": (lambda g, theta: np.where((g > 0.0) | (theta != g), 1.0, 0.0), ()),
    "others": (lambda g, theta: np.arctan(g) + np.log1p(g * g) - np.cbrt(theta), ()),
}
numbers = st.floats(-3.0, 3.0).map(lambda x: round(x, 3))


@pytest.mark.parametrize("minimize", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
@settings(max_examples=25)
@given(rows=st.lists(st.tuples(*[numbers] * 5), min_size=1, max_size=4))
def test_the_code_does_what_the_formula_says(name, minimize, rows):
    formula, names = FORMULAS[name]
    formulas = (Elementwise(formula, dict.fromkeys(names, 0.0)),)
    g, theta, *fields = np.array(rows).T[: 2 + len(names)]
    with np.errstate(all="ignore"):
        found = formula(-g if minimize else g, theta, *fields)
    direction, *after = found if isinstance(found, tuple) else (found,)
    moved, stepped = over_arrays(formulas, g, theta, fields, minimize=minimize)
    np.testing.assert_allclose(moved, theta + direction, rtol=1e-14, atol=1e-15)
    for mine, expected in zip(stepped, after, strict=True):
        np.testing.assert_allclose(mine, expected + 0.0 * g, rtol=1e-14, atol=1e-15)
    for i in range(len(g)):
        at = [float(a[i]) for a in (g, theta, *fields)]
        try:
            single, kept = over_floats(formulas, at[0], at[1], tuple(at[2:]), minimize=minimize)
        except ZeroDivisionError:
            continue  # a float is then stepped as an array
        assert type(single) is float
        assert single == pytest.approx(moved[i], rel=1e-14, abs=1e-15)
        assert list(kept) == pytest.approx([a[i] for a in stepped], rel=1e-14, abs=1e-15)


def test_a_chain_is_one_piece_of_code_without_scratch():
    code = kernel(pieces(ADAM(0.1)))
    assert len(code.program.steps) == 10
    assert code.over_arrays[1] == 0


def test_factors_that_follow_each_other_become_one():
    code = kernel(pieces(chain(scale(2.0), scale(3.0), scale(0.5))))
    assert len(code.program.steps) == 2
    assert over_floats(pieces(chain(scale(2.0), scale(3.0))), 1.5, 1.0, ())[0] == 10.0


def test_what_depends_on_constants_alone_is_computed_once():
    rule = elementwise(lambda g, theta, t: g / (1.0 - 0.5**t), constants=lambda t: (float(t),))
    code = kernel(pieces(rule))
    assert len(code.program.steps) == 2
    assert code.folded(2.0)[-1] == 0.75


def test_numbers_alone_are_computed_at_once():
    assert record(np.add, 1.0, 2.0) == 3.0


def test_numba_takes_the_same_steps():
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    g, theta, m = rng.standard_normal((3, 100))
    v = rng.random(100)
    (adam,) = pieces(scale_by_adam())
    constants = adam.constants_at(3, {})
    code = kernel((adam,))
    expected, fields = over_arrays((adam,), g, theta, [m, v], constants)
    new = [np.empty(100) for _ in range(3)]
    assert code.fused(theta, g, m, v, *new, *code.folded(*constants)) == 0
    np.testing.assert_allclose(new[0], expected, rtol=1e-15)
    np.testing.assert_allclose(new[1:], fields, rtol=1e-15)


def branches(g, theta):
    return g if g > 0.0 else theta


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (elementwise(branches), r"cannot branch on a number; write np\.where"),
        (elementwise(lambda g, theta: np.sum(g)), r"np\.sum, only ufuncs and np\.where"),
        (elementwise(lambda g, theta: np.add.reduce(g)), r"cannot use add\.reduce"),
        (elementwise(lambda g, theta: np.linalg.norm(g)), "cannot use np.norm"),
        (elementwise(lambda g, theta: (g > 0.0) + 1.0), "cannot use a comparison as a number"),
        (elementwise(lambda g, theta: special.expit(g)), "cannot use expit"),
        (elementwise(lambda g, theta: (g, g)), r"a direction and 0 fields .*got 2 values"),
        (elementwise(lambda g, theta, m: g, {"m": 0.0}), r"and 1 fields \(m\), got 1 values"),
    ],
    ids=str,
)
def test_a_formula_that_is_not_elementwise_is_refused(rule, message):
    with pytest.raises(UpdateError, match=message):
        kernel(pieces(rule))
