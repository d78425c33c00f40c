"""What the tests of distributions made of others ask of a call."""

from typing import Any

import numpy as np

FAILURE_RATE = 1e-4
"""How often a right sampler would fail one goodness-of-fit test, were its seed not fixed."""


def log_prob(x, call) -> Any:
    return call.fn.log_prob(x, *call.args, size=call.options)


def traced(x, call) -> Any:
    """The log density for a value or arguments that may be traced."""
    return call.fn.log_prob_of(x, list(call.args))


def sample(call, rng: Any = 0) -> Any:
    return call.fn.sample(*call.args, size=call.options, rng=rng)


def ends(low, high) -> tuple[Any, Any]:
    """Two limits, where None is no limit."""
    return (-np.inf if low is None else low), (np.inf if high is None else high)
