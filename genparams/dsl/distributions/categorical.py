"""One of K categories, by probabilities or by log weights, as a number or as a label."""

from collections.abc import Iterable, Sequence
from typing import Any, final

from genparams.autodiff import np, raw, shape_of, special, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.discrete import is_whole
from genparams.dsl.distributions.domains import (
    Domain,
    ValueKind,
    at_index,
    in_words,
    is_masked,
    weights,
    whole,
)
from genparams.dsl.distributions.impossible import why_impossible
from genparams.dsl.distributions.signatures import called_as
from genparams.dsl.made import made_of_parts
from genparams.errors import ArgumentError, DistributionError, ShapeError, nearest
from genparams.numeric import scalars
from genparams.types import Size

_logits = Domain(
    "below infinity and not NaN, with a finite one along the last axis",
    lambda v: v < np.inf,
    rank=1,
    member=lambda v: v.max(axis=-1, initial=-np.inf) > -np.inf,
)


def _pick(x, table):
    """The entry that each of `x` names on the last axis of `table`, and its place."""
    x = np.asarray(x)
    k = shape_of(table)[-1]
    inside = (x >= 0) & (x < k) & is_whole(x)
    batch = np.broadcast_shapes(x.shape, shape_of(table)[:-1])
    index = np.broadcast_to(np.where(inside, x, 0).astype(np.int64), batch)
    chosen = index[..., None] == np.arange(k)
    if len(shape_of(table)) == 1:
        return table[index if batch else int(index)], chosen, inside
    return np.sum(np.where(chosen, table, 0.0), axis=-1), chosen, inside


def _one_of(x, probs):
    """`_categorical_terms` of one choice from one table: a Markov chain makes thousands."""
    p = float(probs[x]) if 0 <= x < len(probs) else 0.0

    def pull(g):
        by_probs = np.zeros(len(probs))
        if 0 <= x < len(probs):
            by_probs[x] = scalars.ratio(float(g), p)
        return by_probs

    return scalars.log(p), (None, pull)


def _categorical_terms(x, probs):
    if type(x) is int and type(probs) is np.ndarray and probs.ndim == 1:
        return _one_of(x, probs)
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
                "labels": lambda *args, **named: _by_labels(*args, **named),
                "logits": _categorical_logits,
            },
            support="the whole numbers from 0 to K - 1, for K probs",
            doc="""One of 0, 1, ..., K - 1, by `probs` along their last axis, or by log weights
    `logits=`.

    log p(x) = log probs[x]

    With `labels=`, K different strings, it is one of these: `categorical(probs, labels=["no",
    "yes"])` draws a string, or for a batch an array of strings, and its values are given as such.

    A weight of 0, or a logit of -inf, is a category that never occurs. The gradient by `probs` is
    the one of free entries, 1 / probs[x] at x: a parameter with the constraint `simplex` or
    `logits=` carries it to coordinates that sum to one.
    """,
        )
    )
)


# --- Labels


def _by_labels(*args: Any, labels: Any, size: Size = None, **named: Any) -> Call:
    """`categorical` over labels."""
    call = categorical(*args, size=size, **named)
    given = labels.tolist() if isinstance(labels, np.ndarray) else labels
    texts = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not texts or not all(isinstance(label, str) for label in texts):
        raise ArgumentError(f'labels is a list of strings such as ["no", "yes"], got {labels!r}')
    if len(set(texts)) < len(texts):
        twice = next(label for label in texts if texts.count(label) > 1)
        raise ArgumentError(f"labels of categorical must differ; {twice!r} is there twice")
    return Call(_labelled(call.fn, tuple(map(str, texts))), call.args, size)


@made_of_parts
def _labelled(base: Distribution, labels: tuple[str, ...]) -> "Labelled":
    return Labelled(base, labels)


@final
class Labelled(AbstractDistribution):
    """`categorical` whose values are labels in place of numbers."""

    def __init__(self, base: Distribution, labels: tuple[str, ...]):
        self.base, self.labels = base, labels
        self.grad_places: list[int] = []
        self.__name__ = base.__name__
        self.__doc__ = categorical.__doc__
        self.arguments = base.arguments
        self.argument_names = list(base.arguments)
        self.kind = ValueKind(0, self._coded)
        self._texts = np.array(labels)
        self._codes = {label: code for code, label in enumerate(labels)}

    def __call__(self, *args: Any, size: Size = None, **named: Any) -> Call:
        return _by_labels(*args, labels=self.labels, size=size, **named)

    @property
    def support(self) -> str:
        more = f" and {len(self.labels) - 8} more" if len(self.labels) > 8 else ""
        return f"the labels {', '.join(map(repr, self.labels[:8]))}{more}"

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        self._fit(args)
        return self._named(self.base.draw(rng, args, size))

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        self._fit(args)
        return self._named(self.base.coerce(self._coded(value), args, size))

    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        self._fit(args)
        return self._named(self.base.broadcast(self._coded(x), args, size))

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        self._fit(args)
        return self.base.log_prob_of(self._coded(x), args)

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        self._fit(args)
        return self.base.log_probs_of(self._coded(x), args)

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        def entry(at: tuple[int, ...], count: int) -> str:
            one = np.asarray(x)[at[len(at) - np.ndim(x) :]]
            return f"{'the first' if at else 'the value'} is {in_words(one)}{at_index(at)}"

        each = self.log_probs_of(x, [raw(a) for a in args])
        return why_impossible(self.__name__, self.support, each, entry)

    def _named(self, codes: Any) -> Any:
        """The label of each code."""
        if not isinstance(codes, np.ndarray):
            return self.labels[codes]
        texts = self._texts[codes]
        texts.setflags(write=False)
        return texts

    def _coded(self, value: Any) -> Any:
        """The code of each label.

        Raises:
            DistributionError: a value is none of the labels.
        """
        if type(value) is str:
            return self._code(value, ())
        if is_masked(value):
            raise DistributionError("the value is a masked array; leave out what is masked")
        value = np.asarray(value)
        if not value.ndim:
            return self._code(value.item(), ())
        each, which = (
            np.unique(value, return_inverse=True)
            if value.dtype.kind == "U"
            else (
                value.ravel(),
                np.arange(value.size),
            )
        )
        which = np.reshape(which, value.shape)

        def index(k: int) -> tuple[int, ...]:
            return tuple(int(i) for i in np.argwhere(which == k)[0])

        codes = [
            self._codes[label] if label in self._codes else self._code(label, index(k))
            for k, label in enumerate(each.tolist())
        ]
        return np.array(codes, dtype=np.int64)[which]

    def _code(self, label: Any, at: tuple[int, ...]) -> int:
        code = self._codes.get(label) if isinstance(label, str) else None
        if code is None:
            hint = nearest(label, self.labels) if isinstance(label, str) else self.support
            raise DistributionError(
                f"{label!r}{at_index(at)} is not a label of categorical; {hint}"
            )
        return code

    def _fit(self, args: Sequence[Any]) -> None:
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
