"""Predictions: the means of choices at any arguments, with standard errors and bands.

The standard error of a mean m is by the delta method, sqrt(m' C m'), for its derivatives m' by the
coordinates and their covariance C. A band is built in the logit of a probability, in the logarithm
of a mean that is positive by its distribution, and in the mean itself elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.autodiff import raw
from genparams.constraints import positive, unit_interval
from genparams.dsl.execution import Rng, drawn, seeded
from genparams.dsl.interpreter import Choose, Operands, Read
from genparams.dsl.likelihood.aside import sites_at
from genparams.dsl.likelihood.likelihood import given
from genparams.dsl.likelihood.sites import Site
from genparams.dsl.replay import held
from genparams.errors import GenParamsError, InvalidValue, UnknownAddress, UnusedConstraint, nearest
from genparams.learning.errors import Errors, coordinate, slope
from genparams.learning.intervals import check_level, normal_quantile, on_scale
from genparams.learning.model import Model
from genparams.learning.moments import mean_of, mean_slopes
from genparams.learning.saved import needed
from genparams.learning.simulations import check_count
from genparams.learning.views import frame
from genparams.mistakes import closed, explained
from genparams.trace.address import path
from genparams.trace.choices import choice_values
from genparams.types import Address, Array, Constraint, real, show

if TYPE_CHECKING:
    from genparams.learning.result import FitResult

PROBABILITIES = {"bernoulli", "beta", "beta_uniform"}
"""The distributions whose mean is between 0 and 1."""
POSITIVE = {
    *("poisson", "gamma", "exponential", "lognormal", "weibull", "inv_gamma", "half_normal"),
    *("binomial", "neg_binomial", "geometric", "beta_binomial"),
}
"""The distributions whose mean is above 0."""
SHOWN = 10
"""The most means, or addresses, that a prediction shows."""
SOURCE = 7
"""The seed of the draws by which choices that depend on others are found."""


@closed()
@dataclass(frozen=True, eq=False)
class Prediction:
    """The mean of a choice, entry by entry."""

    mean: Array
    std_errors: Array
    """Of the mean, not of new data; NaN where `missing` says why."""
    missing: str
    """Why a standard error is missing; empty if none is."""
    draws: Array | None
    """New data along the first axis, if draws were asked for."""
    _scale: Constraint

    def __repr__(self) -> str:
        rows = zip(np.ravel(self.mean), np.ravel(self.std_errors), strict=True)
        lines = [f"{mean:.6g} +- {error:.3g}" for mean, error in rows]
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        return "\n".join([*lines[:SHOWN], *more, *([self.missing] if self.missing else [])])

    @explained
    def conf_int(self, level: float = 0.95) -> tuple[Array, Array]:
        """A band for the mean: its lower and its upper end at each entry."""
        z, flat = normal_quantile(level), self.mean.ravel()
        scales = [_inside(self._scale, m) for m in flat]
        at = np.array([coordinate(s, m) for s, m in zip(scales, flat, strict=True)])
        rates = np.array([slope(s, m) for s, m in zip(scales, flat, strict=True)])
        low, high = on_scale(scales, at, rates * self.std_errors.ravel(), z)
        shape = np.shape(self.mean)
        return low.reshape(shape)[()], high.reshape(shape)[()]

    @explained
    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """An interval for new data, by the quantiles of `draws`.

        Raises:
            InvalidValue: no draws were asked for.
        """
        tail = 0.5 * (1.0 - check_level(level))
        if self.draws is None:
            raise InvalidValue(
                "an interval for new data needs draws; write predict(args, draws=1000)"
            )
        low, high = np.quantile(self.draws, [tail, 1.0 - tail], axis=0)
        return low, high


def _inside(scale: Constraint, mean: float) -> Constraint:
    """The constraint if the mean is inside, else `real`."""
    return scale if np.isfinite(coordinate(scale, mean)) else real


@closed()
@dataclass(frozen=True, eq=False)
class Predictions(Mapping[Any, Prediction]):
    """The prediction of each choice: `predictions["ys"].mean`."""

    by_address: Mapping[Address, Prediction]

    def __getitem__(self, address: Any) -> Prediction:
        """The prediction at an address.

        Raises:
            UnknownAddress: there is no choice.
        """
        at = path(address)
        if at not in self.by_address:
            known = map(show, self.by_address)
            raise UnknownAddress(f"there is no choice {show(at)}; {nearest(show(at), known)}")
        return self.by_address[at]

    def __iter__(self) -> Iterator[Any]:
        return (key_of(address) for address in self.by_address)

    def __len__(self) -> int:
        return len(self.by_address)

    @explained
    def to_frame(self, level: float = 0.95) -> Any:
        """A data frame of pandas with a row for each entry."""
        columns: dict[str, list[Any]] = {n: [] for n in ("mean", "std_error", "low", "high")}
        index: list[str] = []
        for address, one in self.items():
            at = [f"[{', '.join(map(str, i))}]" if i else "" for i in np.ndindex(*one.mean.shape)]
            index += [f"{address}{place}" for place in at]
            parts = (one.mean, one.std_errors, *one.conf_int(level))
            for name, part in zip(columns, parts, strict=True):
                columns[name] += np.ravel(part).tolist()
        return frame(columns, index)

    def __repr__(self) -> str:
        found = [show(address) for address in self.by_address]
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return f"Predictions({', '.join([*found[:SHOWN], *more])})"


def key_of(address: Address) -> Any:
    """An address as a person writes it: one key alone, else the path."""
    return address[0] if len(address) == 1 else address


# --- At other arguments


def predicted(
    result: "FitResult",
    args: tuple[Any, ...] | None,
    constraints: Mapping[Any, Any] | None,
    draws: int = 0,
    rng: Rng = None,
) -> Predictions:
    """The means of all choices that are not given."""
    model = needed(result.model, "predict")
    check_count("the number of draws", draws, 0)
    if args is None:
        return _of_data(result, model)
    function = model.likelihood.traces[0].gen_fn
    if {t.gen_fn for t in model.likelihood.traces} != {function}:
        raise InvalidValue("several functions were fitted; predict() has the means of the data")
    known = choice_values(constraints)
    choose = _answers(known, drawn(SOURCE))
    _refuse_dependence(model, function, args, known)
    found = _means(model, result.errors(), lambda read: sites_at(function, args, read, choose))
    unused = [a for a in known if a not in found]
    if unused:
        raise UnusedConstraint(f"{function.__name__} never visited {show(unused[0])}")
    wanted = {a: p for a, p in found.items() if a not in known}
    if draws:
        new = _new_data(result, function, args, known, draws, seeded(rng))
        wanted = {a: _with_draws(p, new[a]) for a, p in wanted.items()}
    return Predictions(wanted)


def _with_draws(one: Prediction, draws: Array) -> Prediction:
    return Prediction(one.mean, one.std_errors, one.missing, draws, one._scale)


def _of_data(result: "FitResult", model: Model) -> Predictions:
    """The means of the choices of the data, each given those before it."""
    found: dict[Address, Prediction] = {}
    for i, trace in enumerate(model.likelihood.traces):
        each = _means(
            model,
            result.errors(),
            lambda read, t=trace: sites_at(t.gen_fn, t.args, read, held(t, at_run=True)),
        )
        several = len(model.likelihood.traces) > 1
        found |= {(i, *a) if several else a: p for a, p in each.items()}
    return Predictions(found)


def fitted(result: "FitResult") -> dict[Any, Any]:
    """The mean of each choice of the data; with several traces under their numbers."""
    sites = numbered(needed(result.model, "fitted").sites)
    return {key_of(a): mean_of(site) for a, site in sites.items()}


def numbered(sites: Sequence[Sequence[Site]]) -> dict[Address, Site]:
    """Choices by address; those of several traces under the number of the trace."""
    if len(sites) == 1:
        return {site.address: site for site in sites[0]}
    return {(i, *site.address): site for i, trace in enumerate(sites) for site in trace}


# --- Means and their errors


def _means(
    model: Model, errors: Errors, run: Callable[[Read], list[Site]]
) -> dict[Address, Prediction]:
    """The mean of each choice of a run with its standard error."""
    kept: list[Site] = []

    def operands(read: Read) -> list[Any]:
        kept[:] = run(read)
        return [o for site in kept for o in site.operands]

    found = iter(model.likelihood.tangents(model.x, operands))
    predictions = {}
    for site in kept:
        tangents = [next(found)[1] for _ in site.operands]
        slopes = mean_slopes(site, tangents, len(model.x))
        predictions[site.address] = _prediction(site, slopes, model, errors)
    return predictions


def _prediction(site: Site, slopes: Array, model: Model, errors: Errors) -> Prediction:
    mean = mean_of(site)
    flat = slopes.reshape(len(model.x), -1)
    cov = needed(errors.coordinates, "predict")
    known = np.where(np.isfinite(cov), cov, 0.0)
    variances = np.einsum("ki,kl,li->i", flat, known, flat)
    lost, reason = np.zeros(flat.shape[1], bool), ""
    for k in np.flatnonzero(~np.isfinite(np.diag(cov))):
        touched = flat[k] != 0.0
        lost |= touched
        if np.any(touched):
            reason = model.maximum.missing.get(int(k)) or next(iter(errors.missing.values()))
    std_errors = np.where(lost, np.nan, np.sqrt(np.maximum(variances, 0.0)))
    scale = _scale_of(site.distribution.__name__)
    return Prediction(mean, std_errors.reshape(mean.shape), reason, None, scale)


def _scale_of(name: str) -> Constraint:
    return unit_interval if name in PROBABILITIES else positive if name in POSITIVE else real


# --- Runs


def _answers(known: Mapping[Address, Any], otherwise: Choose) -> Choose:
    """A `Choose` that gives the values that are known, and draws the others, without boxes."""

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        plain = [raw(o) for o in operands]
        if address in known:
            return distribution.coerce(known[address], plain, size)
        return otherwise(address, distribution, plain, size)

    return choose


def _refuse_dependence(
    model: Model, function: Any, args: tuple[Any, ...], known: Mapping[Address, Any]
) -> None:
    """Refuse a model in which the distribution of a choice depends on a choice that is drawn.

    The model runs twice. Every choice that is not given has another value in the second run.

    Raises:
        InvalidValue: the second run finds other distributions or fails.
    """
    read = given(model.values)
    first = sites_at(function, args, read, _answers(known, drawn(SOURCE)))
    values = {site.address: site.value for site in first}
    other = drawn(SOURCE + 1)

    def changed(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        new = other(address, distribution, operands, size)
        return _other(values[address], new) if address in values else new

    try:
        second = sites_at(function, args, read, _answers(known, changed))
    except (GenParamsError, LookupError, TypeError, ValueError, ArithmeticError):
        second = []
    here, there = ([(s.address, s.distribution) for s in sites] for sites in (first, second))
    if here == there and all(_same(a, b) for a, b in zip(first, second, strict=True)):
        return
    drawn_ones = [a for a in values if a not in known]
    names = ", ".join(map(show, drawn_ones[:3]))
    raise InvalidValue(
        f"a choice of {function.__name__} depends on one of {names}, which is drawn: its mean has "
        "no formula. Give the choices on which others depend, predict(args, constraints={...}), "
        "or draw data, simulate(n)"
    )


def _other(value: Any, new: Any) -> Any:
    """A value that differs from the first in every number."""
    numbers = np.asarray(value)
    if numbers.dtype.kind == "b":
        changed = ~numbers
    elif numbers.dtype.kind in "iu":
        changed = np.where(numbers > 0, numbers - 1, numbers + 1)
    else:
        return new
    return changed if numbers.ndim else type(value)(changed.item())


def _same(a: Site, b: Site) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.args, b.args, strict=True))


# --- New data


def _new_data(
    result: "FitResult",
    function: Any,
    args: tuple[Any, ...],
    known: Mapping[Address, Any],
    draws: int,
    rng: np.random.Generator,
) -> dict[Address, Array]:
    """Draws of new data, each at coordinates drawn from the normal distribution of the estimate."""
    model = needed(result.model, "predict")
    spread = _spread(needed(result.errors().coordinates, "predict"))
    rows: dict[Address, list[Any]] = {}
    for _ in range(draws):
        x = model.x + spread @ rng.standard_normal(len(model.x))
        values = model.likelihood.natural(x)
        for site in sites_at(function, args, given(values), _answers(known, drawn(rng))):
            rows.setdefault(site.address, []).append(site.value)
    return {address: np.array(each, dtype=float) for address, each in rows.items()}


def _spread(cov: Array) -> Array:
    """A root of a covariance, 0 for what has none."""
    values, vectors = np.linalg.eigh(np.where(np.isfinite(cov), cov, 0.0))
    return vectors * np.sqrt(np.maximum(values, 0.0))
