"""Rules that pull parameters towards zero, or shake them."""

import math
from typing import Any

import numpy as np

from genparams.update.formula import elementwise
from genparams.update.grouping import Where, only
from genparams.update.rule import Rule, State, Tree, remembered, stateful
from genparams.update.settings import AT_LEAST_0, COUNT, number


@remembered
def add_decayed_weights(decay: float, mask: Where | None = None) -> Rule:
    """Pull parameters towards zero: direction = g - decay * theta.

    Directions are added, so this shrinks, whether the update maximises or minimises: the gradient
    of a loss has its sign turned before the rules see it. Before the other rules of a chain it is
    an L2 penalty of decay |theta|^2 / 2; between an adaptive rule and its rate it is the decoupled
    decay of Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101. theta are unconstrained
    coordinates. Frozen parameters do not decay.

    Args:
        mask: The parameters that decay, as in `only`; None for all.

    Raises:
        InvalidValue: `decay` is negative or not finite.
        UpdateError: `mask` cannot be read.
    """
    decay = number("add_decayed_weights", "decay", decay, AT_LEAST_0)
    rule = elementwise(lambda g, theta: g - decay * theta, name="add_decayed_weights", decay=decay)
    return rule if mask is None else only(rule, mask)


@remembered
def add_noise(eta: float = 0.01, gamma: float = 0.55, seed: int | None = 0) -> Rule:
    """Add Gaussian noise that falls with the number of steps.

        direction = g + e,   e ~ Normal(0, variance eta / (1 + count)^gamma)

    count = 0, 1, ... counts the calls. The state holds that of the generator, PCG64, which draws
    in the order of the directions: an update that is loaded goes on with the same noise.

    Args:
        seed: A whole number from which the noise follows; None for noise that differs each time.

    Raises:
        InvalidValue: `eta` or `gamma` is negative or not finite, or `seed` is no seed.

    Reference: Neelakantan et al., 2015, https://arxiv.org/abs/1511.06807, section 3, as in optax.
    Axon takes this variance for the standard deviation.
    """
    eta = number("add_noise", "eta", eta, AT_LEAST_0)
    gamma = number("add_noise", "gamma", gamma, AT_LEAST_0)
    if seed is not None:
        seed = number("add_noise", "seed", seed, COUNT)

    def init(theta: Tree) -> State:
        return {"count": 0, "generator": packed(np.random.PCG64(seed))}

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict[Any, Any], State]:
        bits = unpacked(state["generator"])
        normal = np.random.Generator(bits).standard_normal
        std = math.sqrt(eta) * (1.0 + state["count"]) ** (-gamma / 2.0)
        directions = {}
        for k, d in g.items():
            noise = std * normal(np.shape(d))
            directions[k] = float(d + noise) if type(d) is float else d + noise.astype(d.dtype)
        return directions, {"count": state["count"] + 1, "generator": packed(bits)}

    ranges = {"generator": (np.zeros(6, np.uint64), _GREATEST)}
    return stateful(init, apply, "add_noise", ranges, eta=eta, gamma=gamma, seed=seed)


_WORD = 1 << 64
_GREATEST = np.array([_WORD - 1] * 4 + [1, (1 << 32) - 1], np.uint64)


def packed(bits: np.random.PCG64) -> np.ndarray:
    """The state of a generator as six words, np.uint64."""
    state: Any = bits.state
    numbers = state["state"]["state"], state["state"]["inc"]
    words = [word for n in numbers for word in divmod(n, _WORD)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64)


def unpacked(words: np.ndarray) -> np.random.PCG64:
    """A generator in the state that `packed` gave."""
    high, low, inc_high, inc_low, has_uint32, uinteger = map(int, words)
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": high * _WORD + low, "inc": inc_high * _WORD + inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return bits
