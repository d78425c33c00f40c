"""One of K categories, by probabilities or by log weights."""

from genparams.autodiff import np, raw, shape_of, special, sum_to
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, with_axes
from genparams.dsl.distributions.discrete import is_whole
from genparams.dsl.distributions.domains import Domain, weights, whole
from genparams.dsl.distributions.labels import with_labels
from genparams.dsl.distributions.signatures import called_as
from genparams.numeric import scalars

_logits = Domain(
    "below infinity and not NaN, with a finite one along the last axis",
    lambda v: v < np.inf,
    rank=1,
    member=lambda v: v.max(axis=-1, initial=-np.inf) > -np.inf,
)


def _pick(x, table):
    """The entries of `table` along its last axis at each of `x`.

    Also a mask of these entries, and whether each of `x` is an index of the table.
    """
    x = np.asarray(x)
    k = shape_of(table)[-1]
    inside = (x >= 0) & (x < k) & is_whole(x)
    batch = np.broadcast_shapes(x.shape, shape_of(table)[:-1])
    index = np.broadcast_to(np.where(inside, x, 0).astype(np.int64), batch)
    chosen = index[..., None] == np.arange(k)
    if len(shape_of(table)) == 1:
        return table[index if batch else int(index)], chosen, inside
    return np.sum(np.where(chosen, table, 0.0), axis=-1), chosen, inside


def _terms_of_one(x, probs):
    """`_categorical_terms` of one number and one table, for speed: a Markov chain has thousands."""
    p = float(probs[x]) if 0 <= x < len(probs) else 0.0

    def pull(g):
        by_probs = np.zeros(len(probs))
        if 0 <= x < len(probs):
            by_probs[x] = scalars.ratio(float(g), p)
        return by_probs

    return scalars.log(p), (None, pull)


def _categorical_terms(x, probs):
    if type(x) is int and type(probs) is np.ndarray and probs.ndim == 1:
        return _terms_of_one(x, probs)
    p, chosen, inside = _pick(x, probs)

    def pull(g):
        there = np.where(chosen & np.asarray(inside)[..., None], 1.0, 0.0)
        return sum_to(with_axes(g, 1) * there / np.where(there > 0.0, probs, 1.0), shape_of(probs))

    return np.where(inside, np.log(p), -np.inf), (None, pull)


def _categorical_logits_terms(x, logits):
    shifted = logits - np.max(raw(logits), axis=-1, keepdims=True)
    scale = np.sum(np.exp(shifted), axis=-1, keepdims=True)
    value, chosen, inside = _pick(x, shifted - np.log(scale))

    def pull(g):
        there = np.where(np.asarray(inside)[..., None], 1.0, 0.0)
        return sum_to(
            with_axes(g, 1) * there * (np.where(chosen, 1.0, 0.0) - np.exp(shifted) / scale),
            shape_of(logits),
        )

    return np.where(inside, value, -np.inf), (None, pull)


def _draw_categorical(rng, probs, size):
    edges = np.cumsum(probs, axis=-1)
    if not size and edges.ndim == 1:
        return int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
    u = rng.random(size)[..., None] if size else rng.random()
    return np.sum(u * edges[..., -1:] >= edges, axis=-1)


_categorical_logits = Distribution(
    Declaration(
        name="categorical",
        arguments={"logits": _logits},
        kind=whole,
        draw=lambda rng, logits, size: _draw_categorical(
            rng, np.exp(logits - special.logsumexp(logits, axis=-1, keepdims=True)), size
        ),
        terms=_categorical_logits_terms,
        support="the whole numbers from 0 to K - 1, for K logits",
        doc="`categorical` by log weights: log p(x) = logits[x] - log sum_k exp(logits[k]).",
    )
)

categorical = called_as(signatures.categorical)(
    Distribution(
        Declaration(
            name="categorical",
            arguments={"probs": weights},
            kind=whole,
            draw=_draw_categorical,
            terms=_categorical_terms,
            forms={
                "labels": lambda *args, labels, **named: with_labels(
                    categorical(*args, **named), labels
                ),
                "logits": _categorical_logits,
            },
            support="the whole numbers from 0 to K - 1, for K probs",
            doc="""One of 0, 1, ..., K - 1 with probabilities `probs` or log weights `logits=`.

    log p(x) = log probs[x]

    With `labels=`, K different strings, a value is one of these strings: `categorical(probs,
    labels=["no", "yes"])` draws a string, or an array of strings for a batch.

    A weight of 0, or a logit of -inf, is a category that never occurs. The gradient by `probs` is
    for free entries, 1 / probs[x] at x. For entries that sum to 1 use `logits=`, or a parameter
    with the constraint `simplex`.
    """,
        )
    )
)
