"""Fits and readings of pictures for the tests of plotting."""

import numpy as np

from genparams import (
    bernoulli,
    fit,
    gen,
    init_param,
    mixture,
    normal,
    ordered,
    param,
    poisson,
    positive,
    simplex,
)
from genparams.autodiff import np as anp

RNG = np.random.default_rng(11)
X = RNG.uniform(1.0, 3.0, 40)
Y = 1.0 + 2.0 * X + RNG.normal(0.0, 0.7, 40)
N = RNG.poisson(np.exp(0.6 * X[:25]))
WAITS = np.concatenate([RNG.normal(55.0, 6.0, 60), RNG.normal(80.0, 6.0, 90)])


def line_of(x=X, y=Y):
    """A line with the coefficients in one array: `beta[intercept]`, `beta[slope]`, `noise`."""

    @gen
    def line(x):
        beta = param("beta")
        return normal(beta[0] + beta[1] * x, param("noise")) @ "y"

    init_param(line, "beta", [0.0, 1.0])
    init_param(line, "noise", 1.0, constraint=positive)
    return fit(line, (x,), {"y": y}, labels={"beta": ["intercept", "slope"]})


def sample_of(y=Y):
    """A normal sample: its mean and standard deviation."""

    @gen
    def sample(n):
        return normal(param("mu"), param("sd"), size=n) @ "y"

    init_param(sample, "mu", 5.0)
    init_param(sample, "sd", 1.0, constraint=positive)
    return fit(sample, (len(y),), {"y": y})


def two_functions():
    """Two functions in one fit, one of which has a choice for each number."""

    @gen
    def first(x):
        return normal(param("slope", 1.0) * x, 1.0) @ "y"

    @gen
    def second(x):
        for i, v in enumerate(x):
            poisson(anp.exp(param("rate", 0.5) * v)) @ ("n", i)

    counts = {("n", i): int(n) for i, n in enumerate(N)}
    one, _ = first.generate((X,), {"y": Y})
    two, _ = second.generate((X[:25],), counts)
    return fit([one, two])


def coins_of():
    """A logistic regression."""

    @gen
    def coins(x):
        return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * (x - 2.0)) @ "heads"

    return fit(coins, (X,), {"heads": RNG_HEADS})


RNG_HEADS = (np.sin(7.0 * X) + X > 2.2).astype(int)


def mixture_of():
    """Two normals."""

    @gen
    def waits(n):
        return mixture(param("weights"), normal(param("means"), param("sds")), size=n) @ "wait"

    init_param(waits, "weights", [0.4, 0.6], constraint=simplex)
    init_param(waits, "means", [55.0, 80.0], constraint=ordered)
    init_param(waits, "sds", [6.0, 6.0], constraint=positive)
    return fit(waits, (len(WAITS),), {"wait": WAITS})


def drawn(ax, label):
    """The x and y of the line or the points with a label."""
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return np.asarray(found.get_xdata(), dtype=float), np.asarray(found.get_ydata(), dtype=float)


def band(ax):
    """The x, the lower and the upper end of the only band, by x."""
    (found,) = ax.collections
    corners = found.get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    ends = [(ys.min(), ys.max()) for ys in (corners[corners[:, 0] == v, 1] for v in x)]
    return x, *np.array(ends).T


def explained(ax):
    """The labels of the legend."""
    return [text.get_text() for text in ax.get_legend().get_texts()]
