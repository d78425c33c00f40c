"""Predictions: the means of choices at any arguments, with standard errors and bands.

The standard error of a mean m is by the delta method, sqrt(m' C m'), for its derivatives m' by the
coordinates and their covariance C. A band is built in the logit of a mean between two bounds, such
as a probability, in the logarithm of a mean that is positive by its distribution, and in the mean
itself elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.constraints import Interval, positive, unit_interval
from genparams.dsl.execution import Rng, drawn, seeded
from genparams.dsl.interpreter import Read
from genparams.dsl.likelihood.aside import sites_at
from genparams.dsl.likelihood.likelihood import given
from genparams.dsl.likelihood.sites import Site
from genparams.dsl.replay import held
from genparams.errors import ArgumentError, InvalidValue, UnusedConstraint
from genparams.learning.checks import check_count
from genparams.learning.fitting.by_address import ByAddress, some
from genparams.learning.fitting.dependence import SEED, answered, refuse_dependence
from genparams.learning.fitting.derive import CONSTANT
from genparams.learning.fitting.errors import Errors
from genparams.learning.fitting.model import Model, needed, unchanged
from genparams.learning.fitting.moments import mean_of, mean_slopes
from genparams.learning.fitting.prediction import Prediction, Predictions
from genparams.text import brief
from genparams.trace.choices import choice_values
from genparams.types import Address, Array, Constraint, real, show

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult

PROBABILITIES = {"bernoulli", "beta", "beta_uniform", "dirichlet"}
"""The distributions whose mean is between 0 and 1."""
COUNTS = {"binomial", "beta_binomial", "multinomial"}
"""The distributions whose mean is between 0 and their first argument."""
POSITIVE = {
    *("poisson", "gamma", "exponential", "lognormal", "weibull", "inv_gamma", "half_normal"),
    *("neg_binomial", "geometric"),
}
"""The distributions whose mean is above 0."""
Run = Callable[[Read], list[Site]]


def predicted(
    result: "FitResult",
    args: tuple[Any, ...] | None,
    constraints: Mapping[Any, Any] | None,
    draws: int = 0,
    rng: Rng = None,
) -> Predictions:
    """The means of all choices that are not given."""
    model = unchanged(result, "predict")
    check_count("the number of draws", draws, 0)
    if args is None:
        return _of_data(result, model)
    function = _one_function(model)
    _refuse_no_tuple(function, args)
    known = choice_values(constraints)
    refuse_dependence(model, function, args, known)
    choose = answered(known, drawn(SEED))
    found, unknown = _means(
        model, result.errors(), lambda read: sites_at(function, args, read, choose)
    )
    unused = [a for a in known if a not in found and a not in unknown]
    if unused:
        raise UnusedConstraint(f"{function.__name__} never visited {show(unused[0])}")
    wanted = {a: p for a, p in found.items() if a not in known}
    if draws:
        new = _new_data(result, function, args, known, draws, seeded(rng))
        wanted = {a: replace(p, draws=new[a]) for a, p in wanted.items()}
    return Predictions(some(wanted, {a: why for a, why in unknown.items() if a not in known}))


def _one_function(model: Model) -> Any:
    """The function that was fitted.

    Raises:
        InvalidValue: there are several.
    """
    function = model.likelihood.traces[0].gen_fn
    if {t.gen_fn for t in model.likelihood.traces} != {function}:
        raise InvalidValue("several functions were fitted; predict() has the means of the data")
    return function


def _refuse_no_tuple(function: Any, args: Any) -> None:
    """Refuse arguments that are no tuple.

    Raises:
        ArgumentError: they are none.
    """
    if not isinstance(args, tuple):
        raise ArgumentError(
            f"the arguments of {function.__name__} are one tuple, got {brief(args)}; write "
            f"predict(({', '.join(function.argument_names)},))"
        )


def _of_data(result: "FitResult", model: Model) -> Predictions:
    """The means of the choices of the data, each given those before it."""
    found: dict[Address, Prediction] = {}
    unknown: dict[Address, str] = {}
    several = len(model.likelihood.traces) > 1
    for i, trace in enumerate(model.likelihood.traces):

        def run(read: Read, t: Any = trace) -> list[Site]:
            return sites_at(t.gen_fn, t.args, read, held(t, at_run=True))

        means, reasons = _means(model, result.errors(), run)
        found |= {(i, *a) if several else a: p for a, p in means.items()}
        unknown |= {(i, *a) if several else a: why for a, why in reasons.items()}
    return Predictions(some(found, unknown))


def fitted(result: "FitResult") -> ByAddress[Array]:
    """The mean of each choice of the data; with several traces under their numbers."""
    sites = numbered(unchanged(result, "fitted").sites)
    return some(*each_of(sites, mean_of))


def numbered(sites: Sequence[Sequence[Site]]) -> dict[Address, Site]:
    """Choices by address; those of several traces under the number of the trace."""
    if len(sites) == 1:
        return {site.address: site for site in sites[0]}
    return {(i, *site.address): site for i, trace in enumerate(sites) for site in trace}


def each_of(
    sites: Mapping[Address, Site], f: Callable[[Site], Array]
) -> tuple[dict[Address, Array], dict[Address, str]]:
    """A number of each choice, and why others do not have it."""
    found: dict[Address, Array] = {}
    unknown: dict[Address, str] = {}
    for address, site in sites.items():
        try:
            found[address] = f(site)
        except InvalidValue as error:
            unknown[address] = str(error)
    return found, unknown


# --- Means and their errors


def _means(
    model: Model, errors: Errors, run: Run
) -> tuple[dict[Address, Prediction], dict[Address, str]]:
    """The mean of each choice of a run with its standard error, and why others have none."""
    kept: list[Site] = []

    def operands(read: Read) -> list[Any]:
        kept[:] = run(read)
        return [o for site in kept for o in site.operands]

    tangents = iter([columns for _, columns in model.likelihood.tangents(model.x, operands)])
    by_site = {site.address: (site, [next(tangents) for _ in site.operands]) for site in kept}
    _, unknown = each_of({a: site for a, (site, _) in by_site.items()}, mean_of)
    return {
        a: _prediction(site, mean_slopes(site, along, len(model.x)), model, errors)
        for a, (site, along) in by_site.items()
        if a not in unknown
    }, unknown


def _prediction(site: Site, slopes: Array, model: Model, errors: Errors) -> Prediction:
    mean, flat = mean_of(site), slopes.reshape(len(model.x), -1)
    cov = needed(errors.coordinates, "predict")
    known = np.where(np.isfinite(cov), cov, 0.0)
    variances = np.sum(flat * (known @ flat), axis=0)
    lost, reason = _lost(flat, cov, model, errors)
    std_errors = np.where(lost, np.nan, np.sqrt(np.maximum(variances, 0.0)))
    return Prediction(mean, std_errors.reshape(mean.shape), reason, None, _scales_of(site, mean))


def _lost(flat: Array, cov: Array, model: Model, errors: Errors) -> tuple[Array, str]:
    """Which means depend on a coordinate without a standard error, and why it has none."""
    lost, reason = np.zeros(flat.shape[1], bool), ""
    others = [why for why in errors.missing.values() if why not in CONSTANT]
    for k in np.flatnonzero(~np.isfinite(np.diag(cov))).tolist():
        touched = flat[k] != 0.0
        lost |= touched
        if np.any(touched):
            reason = model.maximum.missing.get(k) or others[0]
    return lost, reason


def _scales_of(site: Site, mean: Array) -> list[Constraint]:
    """The constraint in whose coordinate the band of each mean is built."""
    name = site.distribution.__name__
    if name in COUNTS:
        n = np.asarray(site.args[0], dtype=float)
        most = np.broadcast_to(n[..., None] if name == "multinomial" else n, mean.shape)
        return [Interval(0.0, m) if m > 0.0 else real for m in most.ravel().tolist()]
    one = unit_interval if name in PROBABILITIES else positive if name in POSITIVE else real
    return [one] * mean.size


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
    model = unchanged(result, "predict")
    spread = _spread(needed(result.errors().coordinates, "predict"))
    rows: dict[Address, list[Any]] = {}
    for _ in range(draws):
        x = model.x + spread @ rng.standard_normal(len(model.x))
        values = model.likelihood.natural(x)
        for site in sites_at(function, args, given(values), answered(known, drawn(rng))):
            rows.setdefault(site.address, []).append(site.value)
    return {address: np.array(each, dtype=float) for address, each in rows.items()}


def _spread(cov: Array) -> Array:
    """A root of a covariance, 0 for what has none."""
    values, vectors = np.linalg.eigh(np.where(np.isfinite(cov), cov, 0.0))
    return vectors * np.sqrt(np.maximum(values, 0.0))
