"""Rules whose directions are sums of past gradients."""

import numpy as np

from genparams.update.formula import elementwise
from genparams.update.rule import Rule, rule_maker
from genparams.update.settings import SHARE, FloatType


@rule_maker(decay=SHARE)
def momentum_trace(decay: float = 0.9, nesterov: bool = False, *, dtype: FloatType = None) -> Rule:
    """Add to each direction a decaying sum of the directions before it.

        m <- decay m + g
        direction = m,    or g + decay m (the new m) if nesterov

    There is no factor 1 - decay: of a constant g it makes g / (1 - decay) in the end. A running
    mean is `chain(momentum_trace(decay), scale(1 - decay))`. It is the trace of Axon and optax, and
    torch's SGD with this momentum and no dampening. Whether the rate comes before or after makes a
    difference only when the rate changes: before, as in Flux, m is a sum of steps; after, as in
    torch, a sum of gradients.

    Reference: Sutskever et al., 2013, https://proceedings.mlr.press/v28/sutskever13.html, with
    Nesterov's form in the variables of Bengio et al., 2012, https://arxiv.org/abs/1212.0901.
    """

    def formula(g, theta, m):
        m = decay * m + g
        return g + decay * m if nesterov else m, m

    settings = {"decay": decay, **({"nesterov": True} if nesterov else {})}
    return elementwise(formula, {"m": 0.0}, name="momentum_trace", dtype=dtype, **settings)


@rule_maker()
def scale_by_lion(beta1: float = 0.9, beta2: float = 0.99, *, dtype: FloatType = None) -> Rule:
    """The sign of a mean of the gradient and a running mean of the gradients before it.

        direction = sign(beta1 m + (1 - beta1) g)
        m <- beta2 m + (1 - beta2) g

    sign(0) = 0. The state holds m / (1 - beta2).

    Reference: Chen et al., 2023, https://arxiv.org/abs/2302.06675, algorithm 2.
    """
    past = beta1 * (1.0 - beta2) / (1.0 - beta1)

    def formula(g, theta, m):
        return np.sign(m * past + g), beta2 * m + g

    return elementwise(formula, {"m": 0.0}, dtype=dtype)
