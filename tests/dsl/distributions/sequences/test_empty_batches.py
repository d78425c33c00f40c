"""A batch of no sequences has the log probability 0 and no gradient."""

import numpy as np
import pytest

from genparams import (
    autoregressive,
    gaussian_process,
    gen,
    hidden_markov,
    kernels,
    linear_gaussian,
    markov_chain,
    normal,
    param,
)

EVEN = np.full((2, 2), 0.5)
CALLS = {
    "chain": lambda a, size: markov_chain(EVEN[0], EVEN + a - a, 4, size=size),
    "hidden": lambda a, size: hidden_markov(EVEN[0], EVEN, normal([a, 1.0], 1.0), 4, size=size),
    "numbers": lambda a, size: linear_gaussian(
        4, transition_std=1.0, observation_std=a, initial_cov=1.0, size=size
    ),
    "vectors": lambda a, size: linear_gaussian(
        4,
        transition=np.eye(2),
        transition_std=1.0,
        observation=np.eye(2),
        observation_std=a + np.zeros(2),
        initial_cov=1.0,
        size=size,
    ),
    "series": lambda a, size: autoregressive(0.5, a, 4, size=size),
    "later series": lambda a, size: autoregressive(0.5, a, 4, initial=0.3, size=size),
    "process": lambda a, size: gaussian_process(np.arange(4.0), kernels.white(a), size=size),
}


@pytest.mark.parametrize("size", [0, (2, 0)])
@pytest.mark.parametrize("name", CALLS)
def test_a_batch_of_none_is_drawn_and_differentiated(name, size):
    @gen
    def model():
        return CALLS[name](param("a", 0.7), size) @ "x"

    trace = model.simulate((), rng=0)
    assert trace["x"].shape[:-1] in ((0,), (2, 0), (0, 4), (2, 0, 4))
    assert trace.log_prob == 0.0
    assert trace.param_gradients()["model"]["a"] == 0.0
