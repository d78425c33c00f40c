"""Elliptical slice sampling leaves a closed-form normal posterior invariant."""

import functools
from typing import Any

import numpy as np
import pytest

from genparams import bernoulli, gamma, gen, mvnormal, normal, uniform
from genparams.errors import (
    ArgumentError,
    InferenceError,
    InvalidValue,
    NoDensity,
    ShapeError,
    UnknownAddress,
)
from genparams.learning.sampling.elliptical import elliptical_slice

MEAN = np.array([0.5, -1.0])
COV = np.array([[1.0, 0.6], [0.6, 2.0]])
YS = np.array([1.5, 0.0])
NOISE = 0.7


@gen
def vector():
    f = mvnormal(MEAN, COV) @ "f"
    normal(f, NOISE) @ "ys"


@gen
def chained():
    """The same joint prior, one number at a time."""
    a = normal(0.5, 1.0) @ "a"
    b = normal(-1.0 + 0.6 * (a - 0.5), np.sqrt(2.0 - 0.36)) @ "b"
    normal(a, NOISE) @ ("ys", 0)
    normal(b, NOISE) @ ("ys", 1)


GIVEN = {vector: {"ys": YS}, chained: {("ys", i): y for i, y in enumerate(YS)}}
AT = {vector: "f", chained: ["a", "b"]}
POSTERIOR_COV = np.linalg.inv(np.linalg.inv(COV) + np.eye(2) / NOISE**2)
POSTERIOR_MEAN = POSTERIOR_COV @ (np.linalg.solve(COV, MEAN) + YS / NOISE**2)


def trace_at(model, f):
    choices = {"f": f} if model is vector else {"a": f[0], "b": f[1]}
    return model.generate((), {**choices, **GIVEN[model]})[0]


def numbers(trace):
    return np.array([trace["a"], trace["b"]]) if trace.gen_fn is chained else trace["f"]


@pytest.mark.parametrize("model", [vector, chained], ids=["vector", "list"])
def test_a_step_leaves_the_posterior_invariant(model):
    """500 exact draws, one step each: means and covariances within 4 standard errors.

    Five tests on each model fail once in 1500 seeds.
    """
    rng = np.random.default_rng(6)
    root = np.linalg.cholesky(POSTERIOR_COV)
    starts = POSTERIOR_MEAN + rng.normal(size=(500, 2)) @ root.T
    moves = [elliptical_slice(trace_at(model, f), AT[model], MEAN, COV, rng=rng) for f in starts]
    assert all(moved.accepted for moved in moves)
    ends = np.array([numbers(moved.trace) for moved in moves])
    z = np.linalg.solve(root, (ends - POSTERIOR_MEAN).T)
    assert np.all(np.abs(z.mean(axis=1)) < 4.0 / np.sqrt(500))
    assert np.all(np.abs((z**2).mean(axis=1) - 1.0) < 4.0 * np.sqrt(2.0 / 500))
    assert abs((z[0] * z[1]).mean()) < 4.0 / np.sqrt(500)
    assert abs(np.corrcoef(starts[:, 0], ends[:, 0])[0, 1]) < 0.9


def test_a_flat_likelihood_takes_the_first_angle():
    @gen
    def prior():
        normal(1.0, 2.0) @ "x"

    trace = prior.simulate((), 0)
    moved = elliptical_slice(trace, "x", 1.0, 4.0, rng=1)
    assert moved.stats["evaluations"] == 1.0
    assert type(moved.trace["x"]) is float
    assert moved.trace["x"] != trace["x"]


def test_mean_and_covariance_may_depend_on_other_choices():
    @gen
    def scaled():
        s = gamma(2.0, rate=1.0) @ "s"
        x = normal(s, s, size=3) @ "x"
        normal(x, 1.0) @ "y"

    trace, _ = scaled.generate((), {"y": np.zeros(3)}, rng=0)
    kernel = functools.partial(
        elliptical_slice,
        address="x",
        mean=lambda t: t["s"],
        cov=lambda t: t["s"] ** 2 * np.eye(3),
    )
    moved = kernel(kernel(trace, rng=0).trace.update({"s": 2.5})[0], rng=1)
    assert moved.trace["x"].shape == (3,)


def test_a_step_repeats_to_the_bit():
    one, other = (elliptical_slice(trace_at(vector, YS), "f", MEAN, COV, rng=2) for _ in range(2))
    assert one == other


@gen
def branching():
    x = normal(0.0, 1.0) @ "x"
    if x > 0.0:
        normal(0.0, 1.0) @ "z"


@gen
def bounded():
    x = normal(0.0, 1.0) @ "x"
    uniform(0.0, x) @ "y"


@gen
def coin():
    bernoulli(0.5) @ "x"


def sliced(
    address: Any = "f", mean: Any = MEAN, cov: Any = COV, model: Any = vector, given: Any = None
):
    given = {"f": YS, "ys": YS} if given is None else given
    return lambda: elliptical_slice(model.generate((), given)[0], address, mean, cov, rng=0)


MISTAKES = {
    "another mean": (sliced(mean=0.0), InferenceError, "the prior of 'f' in vector is not N"),
    "a standard deviation": (
        sliced("x", 1.0, 2.0, gen(lambda: normal(1.0, 2.0) @ "x"), {"x": 0.1}),
        InferenceError,
        "covariance \\(not the standard deviation\\)",
    ),
    "no normal prior": (
        sliced("y", 0.5, 1.0, bounded, {"x": 1.0, "y": 0.4}),
        InferenceError,
        "the prior of 'y' in bounded is not N",
    ),
    "a discrete choice": (
        sliced("x", 0.5, 1.0, coin, {"x": True}),
        InvalidValue,
        "the choice at 'x' is True",
    ),
    "a covariance of another size": (
        sliced(cov=1.0),
        ShapeError,
        "cov has shape \\(\\); the choic",
    ),
    "a mean of another size": (
        sliced(mean=np.zeros(3)),
        ShapeError,
        "mean has shape \\(3,\\); the choices need \\(2,\\)",
    ),
    "a covariance that is none": (sliced(cov=-COV), InvalidValue, "positive definite"),
    "a covariance that is not symmetric": (
        sliced(cov=np.array([[1.0, 0.2], [0.1, 1.0]])),
        InvalidValue,
        "not symmetric",
    ),
    "a mean in words": (sliced(mean="zero"), InvalidValue, "mean is made of numbers"),
    "an infinite mean": (sliced(mean=np.inf), InvalidValue, "finite numbers"),
    "an unknown address": (sliced("g"), UnknownAddress, "there is no choice at 'g'"),
    "a prefix": (
        sliced("ys", model=chained, given={"a": 0.1, "b": 0.2, **GIVEN[chained]}),
        UnknownAddress,
        "'ys' is no choice; nested under it are",
    ),
    "no address": (sliced([]), InvalidValue, "one address or a list"),
    "a changing structure": (
        lambda: (
            [sliced("x", 0.0, 1.0, branching, {"x": -0.1})() for _ in range(9)]
            and [
                elliptical_slice(branching.generate((), {"x": -0.1})[0], "x", 0.0, 1.0, rng=seed)
                for seed in range(9)
            ]
        ),
        InferenceError,
        "branching makes other choices where 'x' has other values",
    ),
    "no density": (
        sliced("x", 0.0, 1.0, bounded, {"x": 1.0, "y": 3.0}),
        NoDensity,
        "cannot begin at this trace: 'y' of bounded has log probability -inf",
    ),
    "no trace": (
        lambda: elliptical_slice("f", MEAN, COV, None),  # pyright: ignore
        ArgumentError,
        "elliptical_slice moves a trace, which comes first",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        act()
