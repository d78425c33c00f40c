"""A replay of any distribution is its run, whatever numpy and traced values round differently."""

import math

import numpy as np
import pytest
from test_table import ROWS

from genparams import gen, init_param, param
from genparams.errors import ReplayDiffers

ROUND_TRIPS = [
    lambda x: np.exp(np.log(np.abs(x) + 1.0)) - 1.0 + (x - np.abs(x)),
    lambda x: np.sum(np.stack([x / 3.0, x / 3.0, x / 3.0]), axis=0),
    lambda x: np.tanh(0.1) * x / np.tanh(0.1),
    lambda x: (x * 1e3 + x) / 1001.0,
    lambda x: np.sqrt(x * x + 1.0) ** 2 * x / (x * x + 1.0),
]
"""Functions that are the identity, and round."""
DTYPES = [np.float64, np.float32]


def traced_model(row, args, dtype, seed):
    """A model of one choice of a distribution, its arguments parameters; and the scale that they
    are multiplied by, where they may be.
    """
    places = [i for i, a in enumerate(row.arguments) if a.move]
    free = [i for i in places if not row.arguments[i].rank]
    scale = [1.0]

    @gen
    def f():
        used = list(args)
        for i in places:
            used[i] = param(f"p{i}")
            if i in free:
                used[i] = ROUND_TRIPS[(seed + i) % len(ROUND_TRIPS)](used[i]) * scale[0]
        return row.call(*used) @ "x"

    for i in places:
        init_param(f, f"p{i}", np.asarray(args[i]).astype(dtype if i in free else np.float64))
    return f, free, scale


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", [(), (7,)], ids=repr)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_distribution_is_refused_for_rounding(row, shape, dtype):
    for seed in range(4):
        args = row.settings(seed, shape)
        x = row.values(seed, args, shape)
        f, _, _ = traced_model(row, args, dtype, seed)
        trace, _ = f.generate((), {"x": x})
        if math.isfinite(trace.log_prob):
            trace.param_gradients()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_distribution_is_refused_for_a_real_difference(row, dtype):
    refused = 0
    for seed in range(6):
        args = row.settings(seed, (7,))
        x = row.values(seed, args, (7,))
        f, free, scale = traced_model(row, args, dtype, seed)
        if not free:
            return  # vectors are not scaled, as a simplex stays one
        trace, _ = f.generate((), {"x": x})
        scale[0] = 1.001
        changed = f.assess((), {"x": x})[0] - trace.log_prob
        if not math.isfinite(changed) or abs(changed) < 1e-4:
            continue
        with pytest.raises(ReplayDiffers):
            trace.param_gradients()
        refused += 1
    assert refused
