"""One of K categories, by probabilities or by log weights: a number, or a label."""

from collections.abc import Iterable, Sequence
from typing import Any, final

from genparams.autodiff import as_array, np, raw, scatter, shape_of, special, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.declaration import Declaration, with_axes
from genparams.dsl.distributions.discrete import is_whole
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    at_index,
    first_index,
    in_words,
    is_masked,
    weights,
    whole,
)
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.regions import Region, no_region
from genparams.dsl.distributions.signatures import called_as
from genparams.dsl.distributions.values import why_impossible
from genparams.errors import ArgumentError, DistributionError, ShapeError, nearest
from genparams.numeric import scalars
from genparams.types import Size


def with_labels(call: Call, labels: Any) -> Call:
    """A call of `categorical` whose values are labels."""
    given = labels.tolist() if isinstance(labels, np.ndarray) else labels
    texts = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not texts or not all(isinstance(label, str) for label in texts):
        raise ArgumentError(f'labels is a list of strings such as ["no", "yes"], got {labels!r}')
    if len(set(texts)) < len(texts):
        twice = next(label for label in texts if texts.count(label) > 1)
        raise ArgumentError(f"labels of categorical must differ; {twice!r} is there twice")
    return Call(_labelled(call.fn, tuple(map(str, texts))), call.args, call.options)


@made_of_parts
def _labelled(base: Distribution, labels: tuple[str, ...]) -> "Labelled":
    return Labelled(base, labels)


@final
class Labelled(AbstractDistribution):
    """`categorical` whose values are labels in place of numbers."""

    def __init__(self, base: Distribution, labels: tuple[str, ...]):
        self.base, self.labels = base, labels
        self.__name__ = base.__name__
        self.__doc__ = base.__doc__
        self.arguments = base.arguments
        self.argument_names = list(base.arguments)
        self.kind = ValueKind(0, self._codes_of)
        self._texts = np.array(labels)
        self._codes = {label: code for code, label in enumerate(labels)}

    def __call__(self, *args: Any, size: Size = None, **named: Any) -> Call:
        return with_labels(self.base(*args, size=size, **named), self.labels)

    @property
    def support(self) -> str:
        more = f" and {len(self.labels) - 8} more" if len(self.labels) > 8 else ""
        return f"the labels {', '.join(map(repr, self.labels[:8]))}{more}"

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        self._check_count(args)
        return self._labels_of(self.base.draw(rng, args, size))

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        self._check_count(args)
        return self._labels_of(self.base.coerce(self._codes_of(value), args, size))

    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        self._check_count(args)
        return self._labels_of(self.base.broadcast(self._codes_of(x), args, size))

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        self._check_count(args)
        return self.base.log_prob_of(self._codes_of(x), args)

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        self._check_count(args)
        return self.base.log_probs_of(self._codes_of(x), args)

    def region_of(self, args: Sequence[Any]) -> Region:
        raise no_region(self.__name__, "they are labels")

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        def entry(at: tuple[int, ...], count: int) -> str:
            one = np.asarray(x)[at[len(at) - np.ndim(x) :]]
            return f"{'the first' if at else 'the value'} is {in_words(one)}{at_index(at)}"

        each = self.log_probs_of(x, [raw(a) for a in args])
        return why_impossible(self.__name__, self.support, each, entry)

    def _labels_of(self, codes: Any) -> Any:
        """The label of each code."""
        if not isinstance(codes, np.ndarray):
            return self.labels[codes]
        texts = self._texts[codes]
        texts.setflags(write=False)
        return texts

    def _codes_of(self, value: Any) -> Any:
        """The code of each label."""
        if type(value) is str:
            return self._code_of(value, ())
        if is_masked(value):
            raise DistributionError("the value is a masked array; leave out what is masked")
        value = np.asarray(value)
        if not value.ndim:
            return self._code_of(value.item(), ())
        each, which = (
            np.unique(value, return_inverse=True)
            if value.dtype.kind == "U"
            else (value.ravel(), np.arange(value.size))
        )
        which = np.reshape(which, value.shape)

        def index(k: int) -> tuple[int, ...]:
            return first_index(which == k)[0]

        codes = [
            self._codes[label] if label in self._codes else self._code_of(label, index(k))
            for k, label in enumerate(each.tolist())
        ]
        return np.array(codes, dtype=np.int64)[which]

    def _code_of(self, label: Any, at: tuple[int, ...]) -> int:
        code = self._codes.get(label) if isinstance(label, str) else None
        if code is None:
            hint = nearest(label, self.labels) if isinstance(label, str) else self.support
            raise DistributionError(
                f"{label!r}{at_index(at)} is not a label of categorical; {hint}"
            )
        return code

    def _check_count(self, args: Sequence[Any]) -> None:
        (name,) = self.arguments
        (table,) = args
        shape = shape_of(table)
        if shape and shape[-1] != len(self.labels):
            raise ShapeError(
                f"categorical has {len(self.labels)} labels and {shape[-1]} {name}; "
                "give one for each"
            )

    def __repr__(self) -> str:
        (name,) = self.arguments
        given = "logits=..." if name == "logits" else name
        return f"{self.__name__}({given}, labels={list(self.labels)!r})"


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
    x = as_array(x)
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
    p, shape = float(probs[x]) if 0 <= x < len(probs) else 0.0, probs.shape

    def pull(g):
        inside = 0 <= x < len(probs)
        if type(g) is not float:
            return scatter(g * (scalars.ratio(1.0, p) if inside else 0.0), x % len(probs), shape)
        by_probs = np.zeros(shape)
        if inside:
            by_probs[x] = scalars.ratio(g, p)
        return by_probs

    return scalars.log(p), (None, pull)


def _categorical_terms(x, probs):
    if type(x) is int and type(probs) is np.ndarray and probs.ndim == 1:
        return _terms_of_one(x, probs)
    p, chosen, inside = _pick(x, probs)

    def pull(g):
        there = np.where(chosen & as_array(inside)[..., None], 1.0, 0.0)
        return sum_to(with_axes(g, 1) * there / np.where(there > 0.0, probs, 1.0), shape_of(probs))

    return np.where(inside, np.log(p), -np.inf), (None, pull)


def _categorical_logits_terms(x, logits):
    shifted = logits - np.max(raw(logits), axis=-1, keepdims=True)
    scale = np.sum(np.exp(shifted), axis=-1, keepdims=True)
    value, chosen, inside = _pick(x, shifted - np.log(scale))

    def pull(g):
        there = np.where(as_array(inside)[..., None], 1.0, 0.0)
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
