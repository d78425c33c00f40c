"""Clipping and centring: against values worked out by hand, and against optax where it is there."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from genparams.errors import InvalidValue
from genparams.params import ParamStore
from genparams.update.adaptive import scale_by_adam
from genparams.update.clipping import centralize, clip, clip_by_global_norm, clip_by_norm
from genparams.update.param_update import ParamUpdate
from genparams.update.rule import chain

RULES = {
    "clip": clip(1.0),
    "clip_by_norm": clip_by_norm(1.0),
    "clip_by_global_norm": clip_by_global_norm(1.0),
    "centralize": centralize(),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
NORMS = (clip_by_norm, clip_by_global_norm)


def step(rule, g):
    """The first directions for these gradients; they do not depend on the parameters."""
    theta = {k: 0.0 * np.ones_like(d) if type(d) is not float else 0.0 for k, d in g.items()}
    return rule.apply(g, rule.init(theta), theta)[0]


def as_rows(directions):
    return {k: np.asarray(d).tolist() for k, d in directions.items()}


BY_HAND = {
    "clip: a number above": (clip(2.0), {"a": 3.0}, {"a": 2.0}),
    "clip: a number below": (clip(2.0), {"a": -3.0}, {"a": -2.0}),
    "clip: a number within": (clip(2.0), {"a": -1.5}, {"a": -1.5}),
    "clip: a whole bound": (clip(2), {"a": 3.0}, {"a": 2.0}),
    "clip: entry by entry": (
        clip(0.5),
        {"a": np.array([[0.25, -4.0], [0.5, 1e308]])},
        {"a": [[0.25, -0.5], [0.5, 0.5]]},
    ),
    "clip_by_norm: each for itself": (
        clip_by_norm(2.5),
        {"a": np.array([3.0, 4.0]), "b": -5.0, "c": np.array([[1.5], [2.0]])},
        {"a": [1.5, 2.0], "b": -2.5, "c": [[1.5], [2.0]]},
    ),
    "clip_by_norm: any rank": (
        clip_by_norm(1.0),
        {"a": np.full((2, 2, 2, 2), 0.5)},
        {"a": np.full((2, 2, 2, 2), 0.25).tolist()},
    ),
    "clip_by_global_norm: all together": (
        clip_by_global_norm(6.5),
        {"a": np.array([[3.0], [0.0]]), "b": -4.0, "c": np.array([12.0])},
        {"a": [[1.5], [0.0]], "b": -2.0, "c": [6.0]},
    ),
    "clip_by_global_norm: at the bound": (
        clip_by_global_norm(5.0),
        {"a": 3.0, "b": 4.0},
        {"a": 3.0, "b": 4.0},
    ),
    "centralize: rows": (
        centralize(),
        {"a": np.array([[1.0, 3.0], [2.0, 8.0]])},
        {"a": [[-1.0, 1.0], [-3.0, 3.0]]},
    ),
    "centralize: rank 3": (
        centralize(),
        {"a": np.array([[[1.0, 2.0], [3.0, 6.0]]])},
        {"a": [[[-2.0, -1.0], [0.0, 3.0]]]},
    ),
    "centralize: a number and a vector stay": (
        centralize(),
        {"a": 3.0, "b": np.array([1.0, 2.0])},
        {"a": 3.0, "b": [1.0, 2.0]},
    ),
    "centralize: a single column becomes zero": (
        centralize(),
        {"a": np.array([[3.0], [-7.0]])},
        {"a": [[0.0], [0.0]]},
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_direction_is_that_worked_out_by_hand(name):
    rule, g, expected = BY_HAND[name]
    assert as_rows(step(rule, g)) == expected


@each_rule
@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-200, 1.0, 1e30, 1e200, 8e307])
def test_no_size_of_gradient_gives_a_nan(rule, size):
    found = step(rule, {"a": size, "w": np.full((2, 1), -size), "v": np.array([size, 0.0])})
    assert all(np.all(np.isfinite(d)) for d in found.values())
    assert type(found["a"]) is float


@each_rule
@pytest.mark.parametrize("size", [0.0, 1e-45, 1.0, 3e38])
def test_float32_stays_float32(rule, size):
    found = step(rule, {"w": np.full((3, 2), size, np.float32)})
    assert found["w"].dtype == np.float32
    assert np.all(np.isfinite(found["w"]))


@each_rule
def test_nothing_gives_nothing(rule):
    assert step(rule, {}) == {}
    found = step(
        rule, {"empty": np.zeros(0), "rows": np.zeros((2, 0)), "columns": np.zeros((0, 2))}
    )
    assert {k: d.shape for k, d in found.items()} == {
        "empty": (0,),
        "rows": (2, 0),
        "columns": (0, 2),
    }


@each_rule
def test_the_inputs_stay_as_they_are(rule):
    g = {"a": 3.0, "w": np.array([[3.0, -4.0], [0.5, 0.0]])}
    g["w"].setflags(write=False)
    theta = {"a": 1.0, "w": np.ones((2, 2))}
    state = rule.init(theta)
    before = pickle.dumps((g, state, theta))
    rule.apply(g, state, theta)
    assert pickle.dumps((g, state, theta)) == before


@pytest.mark.parametrize("maker", NORMS)
@pytest.mark.parametrize("size", [1e-310, 1e-170, 1.0, 1e170, 8e307])
def test_the_length_is_right_where_squares_are_no_floats(maker, size):
    found = step(maker(0.5 * size), {"w": np.array([[0.6 * size], [0.8 * size]])})
    assert found["w"].ravel() == pytest.approx([0.3 * size, 0.4 * size], rel=1e-9)


@pytest.mark.parametrize("maker", NORMS)
def test_a_huge_float32_keeps_its_direction(maker):
    found = step(maker(1.0), {"w": np.full(10_000, 3e38, np.float32)})
    np.testing.assert_allclose(found["w"], 0.01, rtol=1e-6)


numbers = st.floats(-1e300, 1e300)
gradients = st.fixed_dictionaries(
    {"a": numbers, "w": arrays(np.float64, array_shapes(max_dims=3, max_side=3), elements=numbers)}
)
bounds = st.floats(1e-100, 1e100)


def length(*leaves):
    return math.hypot(*np.concatenate([np.ravel(d) for d in leaves]))


@given(gradients, bounds)
def test_clipping_by_norm_bounds_each_length_and_keeps_what_is_shorter(g, bound):
    for k, d in step(clip_by_norm(bound), g).items():
        if length(g[k]) <= bound * (1 - 1e-12):
            np.testing.assert_array_equal(d, g[k])
        elif length(g[k]) > bound * (1 + 1e-12):
            assert length(d) == pytest.approx(bound, rel=1e-9)


@given(gradients, bounds)
def test_clipping_by_global_norm_scales_everything_by_one_factor(g, bound):
    found = step(clip_by_global_norm(bound), g)
    assert length(*found.values()) <= bound * (1 + 1e-9)
    norm = length(*g.values())
    for k, d in found.items():
        expected = g[k] if norm <= bound else g[k] / norm * bound
        np.testing.assert_allclose(d, expected, rtol=1e-9, atol=1e-300)


@given(gradients, st.integers(-20, 20))
def test_halving_gradient_and_bound_halves_the_direction(g, power):
    g = {k: np.asarray(d) * 1e-200 for k, d in g.items()}
    scaled = {k: d * 2.0**power for k, d in g.items()}
    for maker in NORMS:
        one, other = step(maker(1.0), g), step(maker(2.0**power), scaled)
        for k in g:
            np.testing.assert_allclose(other[k], one[k] * 2.0**power, rtol=1e-12, atol=1e-300)


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=4), elements=st.floats(-1e6, 1e6)))
def test_centred_slices_have_mean_zero_and_stay_centred(g):
    once = step(centralize(), {"w": g})["w"]
    means = once.reshape(len(g), -1).mean(axis=1)
    np.testing.assert_allclose(means, 0.0, atol=1e-9)
    np.testing.assert_allclose(step(centralize(), {"w": once})["w"], once, atol=1e-9)


def test_the_state_tells_the_length_before_clipping():
    rule = clip_by_global_norm(1.0)
    theta = {"a": 0.0, "b": np.zeros(2)}
    state = rule.init(theta)
    assert state == {"norm": 0.0}
    _, state = rule.apply({"a": 3.0, "b": np.array([0.0, -4.0])}, state, theta)
    assert state == {"norm": 5.0}
    _, state = rule.apply({"a": 0.25}, state, theta)
    assert state == {"norm": 0.25}


def test_the_global_length_is_of_the_parameters_of_the_step():
    rule, theta = clip_by_global_norm(2.5), {"a": 0.0, "b": 0.0}
    assert rule.apply({"a": 5.0}, rule.init(theta), theta)[0] == {"a": 2.5}


def test_a_nan_in_one_parameter_shows_in_all_that_share_its_norm():
    found = step(clip_by_global_norm(1.0), {"a": math.nan, "b": 1.0})
    assert math.isnan(found["a"])
    assert math.isnan(found["b"])


def test_an_update_clips_all_its_parameters_together():
    theta = ParamStore()
    theta.init("a", 0.0)
    theta.init("b", [0.0, 0.0])
    update = ParamUpdate(chain(clip_by_global_norm(6.5), scale_by_adam()), theta)
    update.apply({"a": 5.0, "b": [0.0, 12.0]})
    saved = update.state_dict()
    assert saved["0 clip_by_global_norm/norm"] == 13.0
    ParamUpdate(chain(clip_by_global_norm(6.5), scale_by_adam()), theta).load_state_dict(saved)


def test_an_update_clips_as_the_rule_does():
    theta = ParamStore()
    theta.init("a", 1.0)
    theta.init("b", [1.0, 2.0, 3.0])
    ParamUpdate(clip(0.5), theta, minimize=True).apply({"a": 3.0, "b": [0.25, -7.0, 0.5]})
    assert theta["a"].value == 0.5
    assert theta["b"].value.tolist() == [0.75, 2.5, 2.5]


@pytest.mark.parametrize("maker", [clip, *NORMS])
@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf, "1", None])
def test_a_bound_that_is_none_is_refused(maker, bound):
    with pytest.raises(InvalidValue, match=f"^{maker.__name__}: .* above 0 and finite, got"):
        maker(bound)


def test_optax_gives_the_same():
    optax = pytest.importorskip("optax")
    rng = np.random.default_rng(1)
    g = {k: rng.normal(size=s).astype(np.float32) for k, s in [("a", (2, 3, 4)), ("b", (5,))]}
    pairs = [
        (clip(0.5), optax.clip(0.5)),
        (clip_by_global_norm(1.5), optax.clip_by_global_norm(1.5)),
        (clip_by_global_norm(100.0), optax.clip_by_global_norm(100.0)),
        (centralize(), optax.centralize()),
    ]
    expected = [(ours, theirs.update(g, theirs.init(g), g)[0]) for ours, theirs in pairs]
    ball = optax.projections.projection_l2_ball
    expected.append((clip_by_norm(2.0), {k: ball(d, 2.0) for k, d in g.items()}))
    for ours, directions in expected:
        for k, d in step(ours, g).items():
            np.testing.assert_allclose(d, np.asarray(directions[k]), rtol=1e-5, atol=1e-6)
