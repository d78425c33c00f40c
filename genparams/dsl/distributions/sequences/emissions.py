"""The distributions of observations by the state of a hidden Markov chain."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Pullback, once
from genparams.dsl.distributions.domains import Domain, first_index, in_words
from genparams.errors import DistributionError, ShapeError


class Emissions(NamedTuple):
    """A distribution whose arguments have an axis for the states, and maybe one for the steps."""

    base: Distribution
    length: int
    timed: tuple[bool, ...]
    """Whether each argument has an axis for the steps, in front of the axis for the states."""

    @property
    def ranks(self) -> list[int]:
        return [domain.rank for domain in self.base.arguments.values()]

    @property
    def arguments(self) -> dict[str, Domain]:
        named: dict[str, Domain] = {}
        for (name, domain), timed in zip(self.base.arguments.items(), self.timed, strict=True):
            taken = name in ("initial", "transition")
            named[f"{name} of {self.base.__name__}" if taken else name] = domain.within(1 + timed)
        return named

    def check(self, args: Sequence[Any], states: int) -> None:
        """Raise unless there is an entry for each state, or one for all, and for each step."""
        for a, rank, timed, name in zip(args, self.ranks, self.timed, self.arguments, strict=True):
            *front, count = shape_of(a)[: len(shape_of(a)) - rank]
            if count not in (1, states):
                raise ShapeError(
                    f"{name} of hidden_markov needs an entry for each of {states} states along its "
                    f"last batch axis, or one for all, got shape {shape_of(a)}"
                )
            if timed and front[-1] not in (1, self.length):
                raise ShapeError(
                    f"{name} of hidden_markov needs an entry for each of {self.length} observations"
                    f" along the axis in front of the states, got shape {shape_of(a)}"
                )
        self.base.declared.check_fit(args)

    def terms(self, x: Any, args: Sequence[Any], states: int) -> tuple[Any, list[Any]]:
        """The table of log emissions, (*batch, K, T), and its pullbacks to x and the arguments."""
        shape = shape_of(x)
        batch = shape[: len(shape) - self.base.kind.rank]
        x, there = self._filled(x)
        axes = len(batch) - 1
        own = [
            _states_first(a, rank, timed, axes)
            for a, rank, timed in zip(args, self.ranks, self.timed, strict=True)
        ]
        each, (by_x, *by_args) = self.base.declared.terms(x, *own)
        table = np.where(there, each, 0.0) if there is not None else each
        table = np.broadcast_to(table, (states, *batch))

        @once
        def to_each(g: Any) -> Any:
            g = np.moveaxis(g, -2, 0)
            return sum_to(g if there is None else g * there, shape_of(each))

        def back(pull: Pullback, a: Any) -> Pullback:
            return lambda g: _states_last(pull(to_each(g)), a, axes)

        pulls = [pull and back(pull, a) for pull, a in zip(by_args, args, strict=True)]
        return np.moveaxis(table, 0, -2), [by_x and (lambda g: by_x(to_each(g))), *pulls]

    def _filled(self, x: Any) -> tuple[Any, Any]:
        """Observations with a value that was observed in place of each missing one; and where
        observations are, 1.0 or 0.0, or None for everywhere.
        """
        missing = np.isnan(raw(x)) if self.base.kind.continuous else False
        if not np.any(missing):
            return x, None
        gone = np.all(missing, axis=tuple(range(-self.base.kind.rank, 0)))
        observed = raw(x)[~gone]
        other = observed[0] if len(observed) else 0.5
        return np.where(missing, other, x), np.where(gone, 0.0, 1.0)

    def draw(self, rng: Any, states: Any, args: Sequence[Any]) -> Any:
        """An observation for each of the states."""
        own = []
        for a, rank, timed in zip(args, self.ranks, self.timed, strict=True):
            a = _states_first(a, rank, timed, states.ndim - 1)
            event = a.shape[a.ndim - rank :]
            which = states if len(a) > 1 else np.zeros_like(states)
            which = np.reshape(which, (1, *states.shape, *(1,) * rank))
            full = np.broadcast_to(a, (len(a), *states.shape, *event))
            own.append(np.take_along_axis(full, which, axis=0)[0])
        return self.base.draw(rng, own, states.shape)


def _states_first(a: Any, rank: int, timed: bool, axes: int) -> Any:
    """An argument in the shape (K or 1, *batch, T or 1, *event), for `axes` axes of the batch."""
    shape = shape_of(a)
    cut = len(shape) - rank
    front, states = shape[: cut - 1], shape[cut - 1]
    front = front if timed else (*front, 1)
    front = (1,) * (axes + 1 - len(front)) + front
    return np.moveaxis(np.reshape(a, (*front, states, *shape[cut:])), len(front), 0)


def _states_last(g: Any, a: Any, axes: int) -> Any:
    """The way back from `_states_first`, for a gradient."""
    return np.reshape(np.moveaxis(g, 0, axes + 1), shape_of(a))


# --- Missing observations


def with_missing(convert: Callable[[Any], Any], rank: int) -> Callable[[Any], Any]:
    """A conversion of values from outside that keeps NaN."""

    def converted(value: Any) -> Any:
        given = value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
        if given.dtype.kind != "f" or not np.any(np.isnan(given)):
            return convert(given)
        missing = np.isnan(given)
        axes = tuple(range(-rank, 0))
        partly = np.any(missing, axis=axes) & ~np.all(missing, axis=axes)
        if np.any(partly):
            at, _ = first_index(partly)
            raise DistributionError(
                f"observation {at[-1]} of hidden_markov is missing in part, "
                f"{in_words(given[at])}; make all of its entries NaN, or compute log_emissions"
            )
        return np.where(missing, np.nan, convert(np.where(missing, 0.0, given)))

    return converted
