"""Distributions over whole numbers and truth values."""

from genparams.autodiff import np, raw, shape_of, special, sum_to
from genparams.dsl.distributions.base import (
    Distribution,
    anything,
    at_least_zero,
    boolean,
    count,
    elementwise,
    per,
    probability,
    vector,
    weights,
    whole,
)


def _is_bit(x, p):
    return (x == 0) | (x == 1)


@elementwise(
    name="bernoulli",
    logits=anything,
    kind=boolean,
    support=_is_bit,
    draw=lambda rng, logits, size: rng.random(size) < special.expit(logits),
)
def _bernoulli_logits(m, x, logits):
    """`bernoulli` by log odds: log p(x) = log expit(logits) if x, else log expit(-logits)."""
    side = 2.0 * x - 1.0
    toward = side * logits
    return m.log_expit(toward), (None, lambda: side * m.expit(-toward))


@elementwise(
    probs=probability,
    kind=boolean,
    support=_is_bit,
    keywords={"logits": _bernoulli_logits},
    draw=lambda rng, probs, size: rng.random(size) < probs,
)
def bernoulli(m, x, probs):
    """True with probability `probs`, or with log odds `logits=`.

    log p(x) = x log probs + (1 - x) log(1 - probs)
    """
    return (
        m.xlogy(1.0 * x, probs) + m.xlog1py(1.0 - x, -probs),
        (None, lambda: per(m, 1.0 * x, probs) - per(m, 1.0 - x, 1.0 - probs)),
    )


def _is_whole(x):
    return type(x) is int or (np.floor(x) == x) & (x < np.inf)


def _within(x, n, p):
    return (x >= 0) & (x <= n) & _is_whole(x)


def _log_choose(m, n, x):
    return m.gammaln(n + 1.0) - m.gammaln(x + 1.0) - m.gammaln(n - x + 1.0)


@elementwise(
    name="binomial",
    n=count,
    logits=anything,
    kind=whole,
    support=_within,
    draw=lambda rng, n, logits, size: rng.binomial(
        np.asarray(n, dtype=np.int64), special.expit(logits), size
    ),
)
def _binomial_logits(m, x, n, logits):
    """`binomial` by log odds.

    log p(x) = log C(n, x) + x log expit(logits) + (n - x) log expit(-logits)
    """
    return (
        _log_choose(m, n, x) + x * m.log_expit(logits) + (n - x) * m.log_expit(-logits),
        (None, None, lambda: x * m.expit(-logits) - (n - x) * m.expit(logits)),
    )


@elementwise(
    n=count,
    probs=probability,
    kind=whole,
    support=_within,
    keywords={"logits": _binomial_logits},
    draw=lambda rng, n, probs, size: rng.binomial(np.asarray(n, dtype=np.int64), probs, size),
)
def binomial(m, x, n, probs):
    """The number of successes in `n` trials, each with probability `probs` or log odds `logits=`.

    log p(x) = log C(n, x) + x log probs + (n - x) log(1 - probs)
    """
    return (
        _log_choose(m, n, x) + m.xlogy(1.0 * x, probs) + m.xlog1py(1.0 * (n - x), -probs),
        (None, None, lambda: per(m, x, probs) - per(m, n - x, 1.0 - probs)),
    )


@elementwise(
    rate=at_least_zero,
    kind=whole,
    support=lambda x, rate: (x >= 0) & _is_whole(x),
    draw=lambda rng, rate, size: rng.poisson(rate, size),
)
def poisson(m, x, rate):
    """The Poisson distribution with mean `rate`.

    log p(x) = x log rate - rate - log x!
    """
    return m.xlogy(1.0 * x, rate) - rate - m.gammaln(x + 1.0), (
        None,
        lambda: per(m, x, rate) - 1.0,
    )


def _pick(x, table):
    """The entry that each of `x` names on the last axis of `table`, and where it stands."""
    x = np.asarray(x)
    k = shape_of(table)[-1]
    inside = (x >= 0) & (x < k) & _is_whole(x)
    batch = np.broadcast_shapes(x.shape, shape_of(table)[:-1])
    index = np.broadcast_to(np.where(inside, x, 0).astype(np.int64), batch)
    chosen = index[..., None] == np.arange(k)
    if len(shape_of(table)) == 1:
        return table[index if batch else int(index)], chosen, inside
    return np.sum(np.where(chosen, table, 0.0), axis=-1), chosen, inside


def _categorical_terms(x, probs):
    p, chosen, inside = _pick(x, probs)

    def pull(g):
        spread = np.reshape(g, (*shape_of(g), 1)) if shape_of(g) else g
        there = np.where(chosen & np.asarray(inside)[..., None], 1.0, 0.0)
        return sum_to(spread * there / np.where(there > 0.0, probs, 1.0), shape_of(probs))

    return np.where(inside, np.log(p), -np.inf), (None, pull)


def _categorical_logits_terms(x, logits):
    shifted = logits - np.max(raw(logits), axis=-1, keepdims=True)
    scale = np.sum(np.exp(shifted), axis=-1, keepdims=True)
    value, chosen, inside = _pick(x, shifted - np.log(scale))

    def pull(g):
        spread = np.reshape(g, (*shape_of(g), 1)) if shape_of(g) else g
        there = np.where(np.asarray(inside)[..., None], 1.0, 0.0)
        return sum_to(
            spread * there * (np.where(chosen, 1.0, 0.0) - np.exp(shifted) / scale),
            shape_of(logits),
        )

    return np.where(inside, value, -np.inf), (None, pull)


def _draw_categorical(rng, probs, size):
    edges = np.cumsum(probs, axis=-1)
    u = rng.random(size)[..., None] if size else rng.random()
    return np.sum(u * edges[..., -1:] >= edges, axis=-1)


_categorical_logits = Distribution(
    "categorical",
    {"logits": vector},
    whole,
    lambda rng, logits, size: _draw_categorical(
        rng, np.exp(logits - special.logsumexp(logits, axis=-1, keepdims=True)), size
    ),
    _categorical_logits_terms,
    doc="`categorical` by log weights: log p(x) = logits[x] - log sum_k exp(logits[k]).",
)

categorical = Distribution(
    "categorical",
    {"probs": weights},
    whole,
    _draw_categorical,
    _categorical_terms,
    keywords={"logits": _categorical_logits},
    doc="""One of 0, 1, ..., K - 1, by `probs` along their last axis, or by log weights `logits=`.

    log p(x) = log probs[x]

    The gradient by `probs` is that of free entries, 1 / probs[x] at x: a parameter with the
    constraint `simplex` or `logits=` carries it to coordinates that sum to one.
    """,
)
