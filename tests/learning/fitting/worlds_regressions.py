"""Regressions of many kinds, and samples of counts, on the data of `world_data`."""

import numpy as np
import scipy.special
import world_data as d
from world import computed

from genparams import (
    bernoulli,
    beta_binomial,
    categorical,
    censored,
    gamma,
    gen,
    interval,
    mvnormal,
    neg_binomial,
    normal,
    ordered,
    param,
    poisson,
    positive,
    student_t,
    unit_interval,
    weibull,
    zero_inflated,
)


def predictor(x):
    """intercept + slope x, with the parameters of the model that runs."""
    return param("intercept", 0.0) + param("slope", 0.0) * x


# --- Counts


@gen
def inflated(x):
    share = param("share", 0.5, constraint=unit_interval)
    return zero_inflated(share, poisson(np.exp(predictor(x)))) @ "y"


@gen
def spread_counts(x):
    r, mean = param("r", 1.0, constraint=positive), np.exp(predictor(x))
    return neg_binomial(r, r / (r + mean)) @ "y"


@gen
def spread_sample(n):
    r, mean = param("r", 1.0, constraint=positive), param("mean", 1.0, constraint=positive)
    return neg_binomial(r, r / (r + mean), size=n) @ "y"


@gen
def litters(n):
    alpha = param("alpha", 1.0, constraint=positive)
    return beta_binomial(n, alpha, param("beta", 1.0, constraint=positive)) @ "y"


# --- Classes


@gen
def probit(X):
    return bernoulli(scipy.special.ndtr(X @ param("beta"))) @ "y"


@gen
def multinomial_logit(X):
    """Three classes; the first has logit 0."""
    beta = param("beta")
    others = X @ beta.T
    return categorical(logits=np.concatenate([np.zeros((len(X), 1)), others], axis=1)) @ "y"


@gen
def ordered_logit(x):
    cuts = param("cuts", [-1.0, 0.0, 1.0], constraint=ordered)
    eta = param("slope", 0.0) * x
    below = scipy.special.expit(cuts - eta[:, None])
    ends = np.concatenate([np.zeros((len(x), 1)), below, np.ones((len(x), 1))], axis=1)
    return categorical(np.diff(ends, axis=1)) @ "y"


# --- Measurements


@gen
def lifetimes(x, limits):
    shape = param("shape", 1.0, constraint=positive)
    return censored(weibull(shape, np.exp(predictor(x))), high=limits) @ "time"


@gen
def claims(x):
    shape = param("shape", 1.0, constraint=positive)
    return gamma(shape, scale=np.exp(predictor(x)) / shape) @ "y"


@gen
def heavy_tailed(x):
    df, scale = param("df", 5.0, constraint=positive), param("scale", 1.0, constraint=positive)
    return student_t(df, predictor(x), scale) @ "y"


@gen
def tobit(x):
    return censored(normal(predictor(x), param("sigma", 1.0, constraint=positive)), low=0.0) @ "y"


@gen
def bivariate(n):
    a, b = param("stds", [1.0, 1.0], constraint=positive)
    both = param("rho", 0.0, constraint=interval(-1.0, 1.0)) * a * b
    cov = np.stack([np.stack([a**2, both]), np.stack([both, b**2])])
    return mvnormal(param("means", [0.0, 0.0]), cov, size=n) @ "pairs"


def regressions():
    """A world for each model."""
    none = {"intercept": 0.0, "slope": 0.0}
    off = {"intercept": -2.0, "slope": -1.0}
    return [
        computed(
            "weibull",
            lifetimes,
            (d.LIFE_X, d.LIFE_LIMIT),
            {"time": d.LIFE_TIME},
            120,
            {**none, "shape": 1.0},
            {"intercept": 5.0, "slope": -1.0, "shape": 0.3},
        ),
        computed(
            "zero_inflated",
            inflated,
            (d.ZEROS_X,),
            {"y": d.ZEROS_Y},
            200,
            {**none, "share": 0.5},
            {**off, "share": 0.05},
        ),
        computed(
            "neg_binomial",
            spread_counts,
            (d.SPREAD_X,),
            {"y": d.SPREAD_Y},
            150,
            {**none, "r": 1.0},
            {**off, "r": 50.0},
        ),
        computed(
            "neg_binomial_alone",
            spread_sample,
            (150,),
            {"y": d.SPREAD_Y},
            150,
            {"r": 1.0, "mean": 1.0},
            {"r": 100.0, "mean": 50.0},
        ),
        computed(
            "beta_binomial",
            litters,
            (d.LITTER_N,),
            {"y": d.LITTER_Y},
            60,
            {"alpha": 1.0, "beta": 1.0},
            {"alpha": 50.0, "beta": 5.0},
        ),
        computed(
            "probit",
            probit,
            (np.column_stack([np.ones(120), d.PROBIT_X]),),
            {"y": d.PROBIT_Y},
            120,
            {"beta": np.zeros(3)},
            {"beta": np.array([-1.0, -1.0, 1.0])},
        ),
        computed(
            "multinomial_logit",
            multinomial_logit,
            (np.column_stack([np.ones(200), d.CHOICE_X]),),
            {"y": d.CHOICE_Y},
            200,
            {"beta": np.zeros((2, 3))},
            {"beta": np.array([[-2.0, -1.0, 1.0], [2.0, 1.0, -1.0]])},
        ),
        computed(
            "ordered_logit",
            ordered_logit,
            (d.GRADE_X,),
            {"y": d.GRADE_Y},
            150,
            {"slope": 0.0, "cuts": [-1.0, 0.0, 1.0]},
            {"slope": -2.0, "cuts": [-5.0, 0.0, 5.0]},
        ),
        computed(
            "gamma",
            claims,
            (d.CLAIM_X,),
            {"y": d.CLAIM_Y},
            100,
            {**none, "shape": 1.0},
            {"intercept": 4.0, "slope": -1.0, "shape": 10.0},
        ),
        computed(
            "student_t",
            heavy_tailed,
            (d.HEAVY_X,),
            {"y": d.HEAVY_Y},
            100,
            {**none, "df": 5.0, "scale": 1.0},
            {**off, "df": 1.0, "scale": 10.0},
        ),
        computed(
            "tobit",
            tobit,
            (d.SPENT_X,),
            {"y": d.SPENT_Y},
            100,
            {**none, "sigma": 1.0},
            {**off, "sigma": 10.0},
        ),
        computed(
            "bivariate",
            bivariate,
            (60,),
            {"pairs": d.PAIRS},
            60,
            {"means": [0.0, 0.0], "stds": [1.0, 1.0], "rho": 0.0},
            {"means": [10.0, 10.0], "stds": [10.0, 10.0], "rho": -0.5},
        ),
    ]
