"""Momentum: directions that remember those before them."""

from genparams.update.formula import elementwise
from genparams.update.rule import Rule, remembered
from genparams.update.settings import SHARE, FloatType, checked


@remembered
def momentum_trace(decay: float = 0.9, nesterov: bool = False, *, dtype: FloatType = None) -> Rule:
    """Add to each direction a decaying sum of those before it.

        m <- decay m + g
        direction = m,    or g + decay m (the new m) if nesterov

    There is no factor 1 - decay: of a constant g it makes g / (1 - decay) in the end. A running
    mean is `chain(momentum_trace(decay), scale(1 - decay))`. It is the trace of Axon and optax, and
    torch's SGD with this momentum and no dampening. Whether the rate comes before or after is the
    same until it changes: before, as in Flux, the sum remembers the steps; after, as in torch, the
    gradients.

    Raises:
        InvalidValue: `decay` is not in [0, 1).

    Reference: Sutskever et al., 2013, https://proceedings.mlr.press/v28/sutskever13.html, with
    Nesterov's form in the variables of Bengio et al., 2012, https://arxiv.org/abs/1212.0901.
    """
    (decay,) = checked("momentum_trace", SHARE, decay=decay)

    def formula(g, theta, m):
        m = decay * m + g
        return g + decay * m if nesterov else m, m

    settings = {"decay": decay, **({"nesterov": True} if nesterov else {})}
    return elementwise(
        formula,
        {"m": 0.0},
        name="momentum_trace",
        dtype=dtype,
        **settings,
    )
