"""Data for the models of `worlds` that have no printed table: drawn once, the same everywhere.

`RandomState` is the generator of numpy whose streams never change, and the draws are rounded, so
that every machine has the same numbers. `world_references` computes the fits of these numbers.
"""

import numpy as np


def steps(low, high, n):
    """A predictor: n numbers from low to high, rounded."""
    return np.round(np.linspace(low, high, n), 3)


# --- Survival times with limits: a subject is seen no longer than its limit.

_rng = np.random.RandomState(1)
LIFE_X = steps(-1.0, 1.0, 120)
LIFE_LIMIT = np.round(_rng.uniform(2.0, 20.0, 120), 2)
LIFE_TIME = np.minimum(np.round(np.exp(2.0 + 0.5 * LIFE_X) * _rng.weibull(1.5, 120), 3), LIFE_LIMIT)

# --- Counts

_rng = np.random.RandomState(2)
ZEROS_X = steps(-1.5, 1.5, 200)
ZEROS_Y = np.where(_rng.uniform(size=200) < 0.3, 0, _rng.poisson(np.exp(0.8 + 0.5 * ZEROS_X)))

_rng = np.random.RandomState(3)
SPREAD_X = steps(-1.5, 1.5, 150)
SPREAD_Y = _rng.poisson(np.exp(1.0 + 0.6 * SPREAD_X) * _rng.gamma(1.7, 1.0 / 1.7, 150))

_rng = np.random.RandomState(4)
LITTER_N = _rng.randint(5, 13, 60)
LITTER_Y = _rng.binomial(LITTER_N, _rng.beta(2.0, 5.0, 60))

# --- Classes

_rng = np.random.RandomState(5)
PROBIT_X = np.round(_rng.normal(size=(120, 2)), 3)
PROBIT_Y = PROBIT_X @ [0.8, -0.5] + 0.3 + _rng.normal(size=120) > 0.0

_rng = np.random.RandomState(6)
CHOICE_X = np.round(_rng.normal(size=(200, 2)), 3)
CHOICE_Y = np.argmax(
    np.stack([np.zeros(200), 0.5 + CHOICE_X @ [1.0, -0.5], -0.3 + CHOICE_X @ [-0.4, 0.8]], axis=1)
    + _rng.gumbel(size=(200, 3)),
    axis=1,
)

_rng = np.random.RandomState(7)
GRADE_X = np.round(_rng.normal(size=150), 3)
GRADE_Y = np.searchsorted([-1.0, 0.5, 2.0], 1.2 * GRADE_X + _rng.logistic(size=150))

# --- Measurements

_rng = np.random.RandomState(8)
CLAIM_X = steps(0.0, 2.0, 100)
CLAIM_Y = np.round(_rng.gamma(2.5, np.exp(1.0 + 0.7 * CLAIM_X) / 2.5), 3)

_rng = np.random.RandomState(9)
HEAVY_X = steps(-2.0, 2.0, 100)
HEAVY_Y = np.round(1.0 + 2.0 * HEAVY_X + 0.5 * _rng.standard_t(3.0, 100), 3)

_rng = np.random.RandomState(10)
SPENT_X = steps(-2.0, 2.0, 100)
SPENT_Y = np.maximum(np.round(0.5 + 1.5 * SPENT_X + _rng.normal(0.0, 1.2, 100), 3), 0.0)

_rng = np.random.RandomState(11)
_z = _rng.normal(size=(60, 2))
PAIRS = np.round([3.0, -1.0] + _z @ [[2.0, 0.7 * 0.5], [0.0, np.sqrt(1 - 0.7**2) * 0.5]], 3)

# --- Groups

_rng = np.random.RandomState(12)
CLUSTER_X = steps(-1.0, 1.0, 40)
CLUSTER_Y = _rng.binomial(
    12, 1.0 / (1.0 + np.exp(-0.4 - 0.9 * CLUSTER_X - 0.7 * _rng.normal(size=40)))
)

_rng = np.random.RandomState(13)
PANEL_X = np.round(_rng.normal(size=(30, 4)), 3)
PANEL_Y = _rng.poisson(np.exp(0.5 + 0.4 * PANEL_X + 0.6 * _rng.normal(size=(30, 1))))

_rng = np.random.RandomState(14)
GROWTH_T = np.arange(5.0)
GROWTH_Y = np.round(
    10.0
    + 1.5 * GROWTH_T
    + _rng.normal(0.0, 1.4, (25, 1))
    + _rng.normal(0.0, 0.5, (25, 1)) * GROWTH_T
    + _rng.normal(0.0, 0.8, (25, 5)),
    3,
)

# --- Series

_rng = np.random.RandomState(15)
_state, _visited = 0, []
for _u in _rng.uniform(size=120):
    _state = _state if _u < (0.9, 0.8)[_state] else 1 - _state
    _visited.append(_state)
STORMS = _rng.poisson(np.array([1.5, 6.0])[_visited])

_rng = np.random.RandomState(16)
_e = _rng.normal(0.0, 1.3, 151)
_x, _series = 0.0, []
for _now, _last in zip(_e[1:], _e[:-1], strict=True):
    _x = 0.7 * _x + _now + 0.4 * _last
    _series.append(2.0 + _x)
SERIES = np.round(_series, 3)
