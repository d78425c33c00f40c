"""Models with something unseen, which their bodies sum or integrate out, on `world_data`."""

import numpy as np
import world_data as d
from world import computed

from genparams import (
    binomial,
    gen,
    interval,
    mixture,
    mvnormal,
    normal,
    param,
    poisson,
    positive,
    product,
    unit_interval,
)

NODES, _weights = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = _weights / _weights.sum()

# --- Groups


@gen
def clusters(n, x):
    """Successes of each cluster, a mixture over the nodes of its random intercept."""
    eta = param("intercept", 0.0) + param("slope", 0.0) * x
    spread = param("spread", 1.0, constraint=positive)
    return mixture(WEIGHTS, binomial(n, logits=eta[:, None] + spread * NODES)) @ "y"


@gen
def panel(X):
    """The counts of each row of X, which share a random intercept."""
    eta = param("intercept", 0.0) + param("slope", 0.0) * X
    spread = param("spread", 1.0, constraint=positive)
    rates = np.exp(eta[:, :, None] + spread * NODES)
    parts = [poisson(rates[:, j]) for j in range(X.shape[1])]
    return mixture(WEIGHTS, product(parts)) @ "y"


@gen
def growth(t, n):
    """Lines with random intercepts and slopes, by their marginal covariance."""
    mean = param("intercept", 0.0) + param("slope", 0.0) * t
    tau0, tau1 = param("tau0", 1.0, constraint=positive), param("tau1", 1.0, constraint=positive)
    sigma = param("sigma", 1.0, constraint=positive)
    cov = tau0**2 + tau1**2 * np.outer(t, t) + sigma**2 * np.eye(len(t))
    return mvnormal(mean, cov, size=n) @ "y"


# --- Series


@gen
def storms(n):
    """Each count given the counts before it, by the forward algorithm."""
    stay = param("stay", [0.5, 0.5], constraint=unit_interval)
    rates = param("rates", [1.0, 2.0], constraint=positive)
    state = np.array([0.5, 0.5])
    for t in range(n):
        y = mixture(state, poisson(rates)) @ ("y", t)
        seen = state * np.exp(poisson.log_probs(y, rates))
        seen = seen / seen.sum()
        state = seen * stay + (seen * (1.0 - stay))[::-1]


@gen
def arma(n):
    """Each value given the values before it, by the Kalman filter.

    The state is (x, theta e) with x(t + 1) = phi x(t) + theta e(t) + e(t + 1).
    """
    mean, sigma = param("mean", 0.0), param("sigma", 1.0, constraint=positive)
    phi = param("phi", 0.0, constraint=interval(-1.0, 1.0))
    theta = param("theta", 0.0, constraint=interval(-1.0, 1.0))
    moves = phi * np.array([[1.0, 0.0], [0.0, 0.0]]) + np.array([[0.0, 1.0], [0.0, 0.0]])
    noise = sigma**2 * np.stack([np.stack([1.0, theta]), np.stack([theta, theta**2])])
    variance = sigma**2 * (1.0 + 2.0 * phi * theta + theta**2) / (1.0 - phi**2)
    first = np.array([[1.0, 0.0], [0.0, 0.0]])
    cov = noise + (variance - sigma**2) * first
    state = np.zeros(2)
    for t in range(n):
        y = normal(mean + state[0], np.sqrt(cov[0, 0])) @ ("y", t)
        gain = cov[:, 0] / cov[0, 0]
        state = moves @ (state + gain * (y - mean - state[0]))
        cov = moves @ (cov - np.outer(gain, cov[0])) @ moves.T + noise


def latent():
    """A world for each model."""
    rows = {"intercept": 0.0, "slope": 0.0, "spread": 1.0}
    return [
        computed(
            "binomial_clusters",
            clusters,
            (12, d.CLUSTER_X),
            {"y": d.CLUSTER_Y},
            40,
            rows,
            {"intercept": -2.0, "slope": -1.0, "spread": 0.1},
        ),
        computed(
            "poisson_panel",
            panel,
            (d.PANEL_X,),
            {"y": tuple(d.PANEL_Y.T)},
            30,
            rows,
            {"intercept": 2.0, "slope": -1.0, "spread": 0.1},
        ),
        computed(
            "mixed",
            growth,
            (d.GROWTH_T, 25),
            {"y": d.GROWTH_Y},
            25,
            {"intercept": 0.0, "slope": 0.0, "tau0": 1.0, "tau1": 1.0, "sigma": 1.0},
            {"intercept": 50.0, "slope": -5.0, "tau0": 10.0, "tau1": 0.1, "sigma": 10.0},
        ),
        computed(
            "hidden_markov",
            storms,
            (120,),
            {("y", t): y for t, y in enumerate(d.STORMS)},
            120,
            {"stay": [0.5, 0.5], "rates": [1.0, 2.0]},
        ),
        computed(
            "arma",
            arma,
            (150,),
            {("y", t): y for t, y in enumerate(d.SERIES)},
            150,
            {"mean": 0.0, "phi": 0.0, "theta": 0.0, "sigma": 1.0},
        ),
    ]
