"""Models and data that several tests of results fit."""

import numpy as np
from maxima import fitted

from genparams import (
    bernoulli,
    gamma,
    gen,
    init_param,
    interval,
    lower_cholesky,
    mixture,
    mvnormal,
    normal,
    ordered,
    param,
    positive,
    simplex,
)
from genparams.datasets import faithful, oring


@gen
def line(xs):
    slope, intercept = param("slope", 0.0), param("intercept", 0.0)
    return normal(slope * xs + intercept, param("sigma", 1.0, constraint=positive)) @ "ys"


@gen
def constant(xs):
    intercept = param("intercept", 0.0)
    return normal(intercept + 0.0 * xs, param("sigma", 1.0, constraint=positive)) @ "ys"


@gen
def risk(temp):
    return bernoulli(logits=param("intercept", 0.0) + param("temp", 0.0) * temp) @ "distress"


@gen
def two_normals(n):
    w = param("w", np.array([0.4, 0.6]), constraint=simplex)
    mu = param("mu", np.array([55.0, 80.0]), constraint=ordered)
    sigma = param("sigma", np.array([6.0, 6.0]), constraint=positive)
    return mixture(w, normal(mu, sigma), size=n) @ "waiting"


@gen
def gammas(n):
    shape, scale = param("shape", 2.0, positive), param("scale", 1.0, positive)
    return gamma(shape, scale=scale, size=n) @ "x"


@gen
def share(n):
    return bernoulli(param("p", 0.5, interval(0.0, 1.0)), size=n) @ "x"


@gen
def cloud(n):
    mu, root = param("mu", np.zeros(2)), param("L", np.eye(2), lower_cholesky)
    return mvnormal(mu, root @ root.T, size=n) @ "x"


XS = np.linspace(-1.0, 3.0, 12)
YS = 1.5 * XS - 0.5 + np.random.default_rng(3).normal(0.0, 0.7, 12)


def line_fit(**named):
    start(line, slope=0.0, intercept=0.0, sigma=1.0)
    return fitted(line, (XS,), {"ys": YS}, **named)


def constant_fit():
    start(constant, intercept=0.0, sigma=1.0)
    return fitted(constant, (XS,), {"ys": YS})


def oring_fit(**named):
    start(risk, intercept=0.0, temp=0.0)
    data = oring()
    return fitted(risk, (data["temp"],), {"distress": data["distress"] > 0}, **named)


def faithful_fit():
    start(two_normals, w=[0.4, 0.6], mu=[55.0, 80.0], sigma=[6.0, 6.0])
    waiting = faithful()["waiting"]
    return fitted(two_normals, (len(waiting),), {"waiting": waiting})


def gamma_fit(**named):
    start(gammas, shape=2.0, scale=1.0)
    x = np.random.default_rng(5).gamma(2.5, 1.5, 60)
    return fitted(gammas, (60,), {"x": x}, **named)


def share_fit(successes=3, n=20):
    start(share, p=0.5)
    return fitted(share, (n,), {"x": np.arange(n) < successes})


def cloud_fit():
    start(cloud, mu=np.zeros(2), L=np.eye(2))
    x = np.random.default_rng(8).normal(size=(40, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    return fitted(cloud, (40,), {"x": x})


CONSTRAINTS = {
    "sigma": positive,
    "w": simplex,
    "mu": ordered,
    "shape": positive,
    "scale": positive,
    "p": interval(0.0, 1.0),
    "L": lower_cholesky,
}


def start(f, **values):
    """Give every parameter its first value."""
    for name, value in values.items():
        if name in f.params:
            f.params[name].set(value)
        else:
            constraint = None if f is cloud and name == "mu" else CONSTRAINTS.get(name)
            init_param(f, name, value, constraint=constraint)
